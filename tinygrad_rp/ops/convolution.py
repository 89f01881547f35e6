"""Convolutions, by products of matrices of windows; and padding.

The three operations of a convolution are the derivatives of one trilinear form, the sum of ``y · (x ∗ w)``, by ``y``, by ``x``
and by ``w``. So the derivatives of each are the two others, and all can be differentiated any number of times.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from operator import index
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rp.operation import either, example, operation
from tinygrad_rp.ops.shape import squeeze, unsqueeze
from tinygrad_rp.tensor import Tensor, bool_

__all__ = ["conv1d", "conv2d"]


class Layout(NamedTuple):
    """How the windows of a convolution lie.

    Args:
        stride: from window to window, one number a dimension.
        padding: zeros in front and behind, one pair a dimension.
        dilation: from element to element of a window.
        groups: into how many the channels are divided, each convolved on its own.
    """

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int


def _spans(kernel: Sequence[int], layout: Layout) -> list[int]:
    """How far a window reaches, in elements of the input."""
    return [d * (k - 1) + 1 for k, d in zip(kernel, layout.dilation, strict=True)]


def _windows(x: Any, kernel: tuple[int, ...], layout: Layout) -> Any:
    """The windows as matrices, of shape (batch, groups, elements of a window, places)."""
    n = len(kernel)
    if any(map(any, layout.padding)):
        x = np.pad(x, ((0, 0), (0, 0), *layout.padding))
    views = np.lib.stride_tricks.sliding_window_view(x, _spans(kernel, layout), tuple(range(2, 2 + n)))
    strides = [slice(None, None, s) for s in layout.stride]
    views = views[(slice(None), slice(None), *strides, *(slice(None, None, d) for d in layout.dilation))]
    batch, channels, *places = views.shape[: 2 + n]
    views = np.moveaxis(views, range(2, 2 + n), range(-n, 0))
    in_group = channels // layout.groups
    return np.reshape(views, (batch, layout.groups, in_group * math.prod(kernel), math.prod(places)))


def _places(x_shape: Sequence[int], kernel: Sequence[int], layout: Layout) -> tuple[int, ...]:
    """How many windows there are in each dimension."""
    lengths = (n + sum(p) for n, p in zip(x_shape[2:], layout.padding, strict=True))
    return tuple((n - span) // s + 1 for n, span, s in zip(lengths, _spans(kernel, layout), layout.stride, strict=True))


def _grouped(w: Any, groups: int) -> Any:
    """The kernels as matrices, of shape (groups, channels out of a group, elements of a window)."""
    return np.reshape(w, (groups, w.shape[0] // groups, math.prod(w.shape[1:])))


def _convolve(x: Any, w: Any, layout: Layout) -> Any:
    kernel = w.shape[2:]
    out = np.matmul(_grouped(w, layout.groups), _windows(x, kernel, layout))
    return np.reshape(out, (x.shape[0], w.shape[0], *_places(x.shape, kernel, layout)))


def _spread(y: Any, w: Any, x_shape: tuple[int, ...], layout: Layout) -> Any:
    """Each element of y as many times as the kernel has elements, added up where the windows lay."""
    kernel, places = w.shape[2:], y.shape[2:]
    rows = np.reshape(y, (y.shape[0], layout.groups, y.shape[1] // layout.groups, math.prod(places)))
    parts = np.matmul(np.swapaxes(_grouped(w, layout.groups), -1, -2), rows)
    parts = np.reshape(parts, (y.shape[0], x_shape[1], *kernel, *places))
    padded = np.zeros((*x_shape[:2], *(n + sum(p) for n, p in zip(x_shape[2:], layout.padding, strict=True))), y.dtype)
    whole = (slice(None), slice(None))
    for offset in np.ndindex(*kernel):
        target = [
            slice(i * d, i * d + s * (n - 1) + 1, s)
            for i, d, s, n in zip(offset, layout.dilation, layout.stride, places, strict=True)
        ]
        padded[(*whole, *target)] += parts[(*whole, *offset)]
    inside = [slice(p[0], p[0] + n) for n, p in zip(x_shape[2:], layout.padding, strict=True)]
    return padded[(*whole, *inside)]


def _correlate(x: Any, y: Any, w_shape: tuple[int, ...], layout: Layout) -> Any:
    """The kernel by which x would give y: what each of its elements met, summed over batch and places."""
    windows = _windows(x, w_shape[2:], layout)
    batch, groups, elements, places = windows.shape
    kernels = y.shape[1] // groups
    left = np.moveaxis(np.reshape(y, (batch, groups, kernels, places)), 0, 2)
    left = np.reshape(left, (groups, kernels, batch * places))
    right = np.reshape(np.moveaxis(windows, 0, 2), (groups, elements, batch * places))
    return np.reshape(np.matmul(left, np.swapaxes(right, -1, -2)), w_shape)


_PLAIN = Layout((1,), ((0, 0),), (1,), 1)
_BENT = Layout((2, 1), ((1, 1), (0, 1)), (1, 2), 2)

_convolution_input: Callable[..., Tensor] = operation(
    "convolution_input",
    _spread,
    "the derivative of x ∗ w by x: y spread by the kernel w",
    signature="input, weight, x_size, layout",
    inputs=2,
    y=lambda g, w, layout: either(_convolution_bare, g, w, layout),
    w=lambda g, y, w_shape, layout: either(_convolution_weight, g, y, w_shape, layout),
    node="ConvolutionBackwardBackward0",
    method=False,
    examples=[example((2, 3, 3), (3, 2, 2), x_size=(2, 2, 4), layout=_PLAIN)],
)
_convolution_weight: Callable[..., Tensor] = operation(
    "convolution_weight",
    _correlate,
    "the derivative of x ∗ w by w: y correlated with the windows of x",
    signature="input, other, w_size, layout",
    inputs=2,
    x=lambda g, y, x_shape, layout: either(_convolution_input, y, g, x_shape, layout),
    y=lambda g, x, layout: either(_convolution_bare, x, g, layout),
    node="ConvolutionBackwardBackward0",
    method=False,
    examples=[example((2, 2, 4), (2, 3, 3), w_size=(3, 2, 2), layout=_PLAIN)],
)
_convolution_bare: Callable[..., Tensor] = operation(
    "convolution_bare",
    _convolve,
    "x ∗ w",
    signature="input, weight, layout",
    inputs=2,
    x=lambda g, w, x_shape, layout: either(_convolution_input, g, w, x_shape, layout),
    w=lambda g, x, w_shape, layout: either(_convolution_weight, x, g, w_shape, layout),
    node="ConvolutionBackward0",
    title="convolution",
    method=False,
    examples=[
        example((2, 4, 5, 4), (4, 2, 3, 2), layout=_BENT),
        example((0, 2, 4), (3, 2, 2), layout=_PLAIN),
    ],
)
_convolution = operation(
    "convolution",
    lambda x, w, b, layout: _convolve(x, w, layout) + np.reshape(b, (-1,) + (1,) * (w.ndim - 2)),
    "x ∗ w + b",
    signature="input, weight, bias, layout",
    inputs=3,
    x=lambda g, w, x_shape, layout: either(_convolution_input, g, w, x_shape, layout),
    w=lambda g, x, w_shape, layout: either(_convolution_weight, x, g, w_shape, layout),
    b=lambda g: np.sum(g, axis=(0, *range(2, len(g.shape)))),
    method=False,
    examples=[
        example((2, 2, 4), (3, 2, 2), (3,), layout=_PLAIN),
        example((2, 4, 5, 4), (4, 2, 3, 2), (4,), layout=_BENT),
    ],
)


def per_dimension(name: str, argument: str, value: Any, n: int) -> tuple[int, ...]:
    """A size given as one integer for all dimensions, or as one for each.

    Raises:
        RuntimeError: there are neither one nor ``n`` of them.
        TypeError: it is not made of integers.
    """
    parts = tuple(value) if isinstance(value, list | tuple) else (value,)
    for part in parts:
        if isinstance(part, bool) or not hasattr(part, "__index__"):
            raise TypeError(f"{name}(): {argument} must be an integer or {n} of them, not {value!r}")
    if len(parts) not in (1, n):
        raise RuntimeError(f"{name}(): {argument} must be an integer or {n} of them, not {value!r}")
    return tuple(map(index, parts)) * (n if len(parts) == 1 else 1)


def _layout(
    name: str, input: Tensor, weight: Tensor, stride: Any, padding: Any, dilation: Any, groups: int, n: int
) -> Layout:
    strides = per_dimension(name, "stride", stride, n)
    dilations = per_dimension(name, "dilation", dilation, n)
    for argument, values in (("stride", strides), ("dilation", dilations), ("groups", (groups,))):
        if min(values) <= 0:
            raise RuntimeError(
                f"{name}(): {argument} must be positive, and is {values[0] if argument == 'groups' else values}"
            )
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise RuntimeError(f"{name}(): padding must be 'same', 'valid', an integer or {n} of them, not {padding!r}")
        if padding == "same" and set(strides) != {1}:
            raise RuntimeError(f"{name}(): padding='same' is for a stride of 1, and the stride is {strides}")
        same = padding == "same"
        total = [d * (k - 1) if same else 0 for k, d in zip(weight.shape[2:], dilations, strict=True)]
        if any(t % 2 for t in total):
            warnings.warn(
                f"{name}(): padding='same' of a kernel that spans an even length pads one element more behind than in front",
                UserWarning,
                stacklevel=4,
            )
        pads = tuple((t // 2, t - t // 2) for t in total)
    else:
        pads = tuple((p, p) for p in per_dimension(name, "padding", padding, n))
        if any(p[0] < 0 for p in pads):
            raise RuntimeError(f"{name}(): padding must not be negative, and is {padding}")
    return Layout(strides, pads, dilations, index(groups))


def _check(name: str, x: Tensor, weight: Tensor, bias: Tensor | None, layout: Layout) -> None:
    """
    Raises:
        RuntimeError: shapes or dtypes do not fit.
    """
    for argument, value in (("weight", weight), ("bias", bias)):
        if value is not None and value.dtype != x.dtype:
            raise RuntimeError(
                f"{name}(): input and {argument} must have the same dtype, and have {x.dtype} and {value.dtype}"
            )
    if x.dtype == bool_:
        raise NotImplementedError(f"{name}() is not defined for bool tensors; convert with float() before")
    out, in_group, *kernel = weight.shape
    groups = layout.groups
    if out < 1 or out % groups:
        raise RuntimeError(
            f"{name}(): weight of shape {list(weight.shape)} must have a positive multiple of groups={groups} as its first length"
        )
    if x.shape[1] != in_group * groups or not in_group:
        raise RuntimeError(
            f"{name}(): weight of shape {list(weight.shape)} with groups={groups} is for {in_group * groups} channels, "
            f"and the input has {x.shape[1]}; there must be at least one"
        )
    if bias is not None and bias.shape != (out,):
        raise RuntimeError(f"{name}(): bias must have shape [{out}], one element a kernel, and has {list(bias.shape)}")
    if min(kernel) < 1 or min(_places(x.shape, kernel, layout)) < 1:
        padded = [n + sum(p) for n, p in zip(x.shape[2:], layout.padding, strict=True)]
        raise RuntimeError(
            f"{name}(): the kernel reaches over {_spans(kernel, layout)} elements, more than the padded input has: {padded}"
        )


def _conv(n: int) -> Callable[..., Tensor]:
    name = f"conv{n}d"

    def conv(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        for argument, value in (("input", input), ("weight", weight), ("bias", bias)):
            if not isinstance(value, Tensor) and not (argument == "bias" and value is None):
                raise TypeError(f"{name}(): {argument} must be a tensor, not {type(value).__name__}")
        if weight.ndim != n + 2:
            raise RuntimeError(f"{name}(): weight must have {n + 2} dimensions, and its shape is {list(weight.shape)}")
        if input.ndim not in (n + 1, n + 2):
            raise RuntimeError(
                f"{name}(): input must have {n + 2} dimensions, or {n + 1} without a batch, and its shape is {list(input.shape)}"
            )
        layout = _layout(name, input, weight, stride, padding, dilation, groups, n)
        x = input if input.ndim == n + 2 else unsqueeze(input, 0)
        _check(name, x, weight, bias, layout)
        out = _convolution_bare(x, weight, layout) if bias is None else _convolution(x, weight, bias, layout)
        return out if x is input else squeeze(out, 0)

    sizes = "length" if n == 1 else "height, width"
    conv.__name__ = conv.__qualname__ = name
    conv.__doc__ = f"""The sum of ``input · weight`` over a window, for each of its places and each kernel (a cross-correlation).

    Args:
        input: of shape (batch, channels, {sizes}), or without the batch.
        weight: of shape (kernels, channels / groups, kernel {sizes}).
        bias: of shape (kernels,); added to every place.
        stride: from window to window, one number or one a dimension.
        padding: how many zeros are put at both ends; ``"same"`` keeps the size of the input, ``"valid"`` is none.
        dilation: from element to element of a window.
        groups: into how many groups the channels and the kernels are divided, each convolved on its own.

    Raises:
        RuntimeError: the shapes or dtypes do not fit, or the window is larger than the padded input.
    """
    return conv


conv1d = _conv(1)
conv2d = _conv(2)

# ------------------------------------------------------------------------------------------------------------- padding


def _padded(x: Any, widths: tuple[tuple[int, int], ...], value: float) -> Any:
    """With elements put at the ends; a negative width takes elements away."""
    kept = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, widths, strict=True))]
    return np.pad(kept, [(max(a, 0), max(b, 0)) for a, b in widths], constant_values=np.asarray(value).astype(x.dtype))


constant_pad: Callable[..., Tensor] = operation(
    "constant_pad",
    _padded,
    "x with a number put at its ends",
    signature="input, widths, value",
    x=lambda g, widths: either(constant_pad, g, tuple((-a, -b) for a, b in widths), 0.0),
    node="ConstantPadNdBackward0",
    title="pad",
    method=False,
    examples=[
        example((2, 3), widths=((0, 0), (1, 2)), value=1.5),
        example((2, 4), widths=((1, 0), (-1, -2)), value=0.0),
        example((0,), widths=((1, 1),), value=0.0),
    ],
)
