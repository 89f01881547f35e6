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

from tinygrad_rp.kernels.choice import sum_over
from tinygrad_rp.operation import either, example, operation
from tinygrad_rp.ops.shape import squeeze, unsqueeze
from tinygrad_rp.tensor import Tensor, bool_, wrap

__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"]


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


def _by_channel(b: Any, n: int) -> Any:
    """One number a channel, to be added to an array of ``n`` dimensions, of which the channels are the second."""
    return np.reshape(b, (-1,) + (1,) * (n - 2))


def _summed_by_channel(g: Any) -> Any:
    return sum_over(g, (0, *range(2, len(g.shape))), False)


_convolution = operation(
    "convolution",
    lambda x, w, b, layout: _convolve(x, w, layout) + _by_channel(b, w.ndim),
    "x ∗ w + b",
    signature="input, weight, bias, layout",
    inputs=3,
    x=lambda g, w, x_shape, layout: either(_convolution_input, g, w, x_shape, layout),
    w=lambda g, x, w_shape, layout: either(_convolution_weight, x, g, w_shape, layout),
    b=lambda g: _summed_by_channel(g),
    method=False,
    examples=[
        example((2, 2, 4), (3, 2, 2), (3,), layout=_PLAIN),
        example((2, 4, 5, 4), (4, 2, 3, 2), (4,), layout=_BENT),
    ],
)
# the transpose of the matrix by which x ∗ w comes from x (Dumoulin and Visin, 2016, "A guide to convolution arithmetic for deep
# learning", chapter 4), as a step of its own
_convolution_transposed = operation(
    "convolution_transposed",
    lambda y, w, b, size, layout: _spread(y, w, size, layout) + _by_channel(b, w.ndim),
    "y spread by the kernel w, + b",
    signature="input, weight, bias, size, layout",
    inputs=3,
    y=lambda g, w, layout: either(_convolution_bare, g, w, layout),
    w=lambda g, y, w_shape, layout: either(_convolution_weight, g, y, w_shape, layout),
    b=lambda g: _summed_by_channel(g),
    node="ConvolutionBackward0",
    method=False,
    examples=[
        example((2, 3, 3), (3, 2, 2), (2,), size=(2, 2, 4), layout=_PLAIN),
        example((2, 4, 2, 4), (4, 2, 3, 2), (4,), size=(2, 4, 4, 5), layout=_BENT),
        example((0, 3, 3), (3, 2, 2), (2,), size=(0, 2, 4), layout=_PLAIN),
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


def _layout(name: str, weight: Tensor, stride: Any, padding: Any, dilation: Any, groups: int, n: int) -> Layout:
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


def _batched(name: str, input: Tensor, weight: Tensor, bias: Tensor | None, n: int) -> Tensor:
    """The input with a dimension for the batch.

    Raises:
        NotImplementedError: it holds bools.
        RuntimeError: the number of dimensions or the dtypes do not fit.
        TypeError: an argument is no tensor.
    """
    for argument, value in (("input", input), ("weight", weight), ("bias", bias)):
        if not isinstance(value, Tensor) and not (argument == "bias" and value is None):
            raise TypeError(f"{name}(): {argument} must be a tensor, not {type(value).__name__}")
    if weight.ndim != n + 2:
        raise RuntimeError(f"{name}(): weight must have {n + 2} dimensions, and its shape is {list(weight.shape)}")
    if input.ndim not in (n + 1, n + 2):
        raise RuntimeError(
            f"{name}(): input must have {n + 2} dimensions, or {n + 1} without a batch, and its shape is {list(input.shape)}"
        )
    for argument, value in (("weight", weight), ("bias", bias)):
        if value is not None and value.dtype != input.dtype:
            raise RuntimeError(
                f"{name}(): input and {argument} must have the same dtype, and have {input.dtype} and {value.dtype}"
            )
    if input.dtype == bool_:
        raise NotImplementedError(f"{name}() is not defined for bool tensors; convert with float() before")
    return input if input.ndim == n + 2 else unsqueeze(input, 0)


def _check(name: str, x: Tensor, weight: Tensor, bias: Tensor | None, layout: Layout) -> None:
    """
    Raises:
        RuntimeError: shapes do not fit.
    """
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
        x = _batched(name, input, weight, bias, n)
        layout = _layout(name, weight, stride, padding, dilation, groups, n)
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


def _transposed_size(
    name: str, x: Tensor, weight: Tensor, layout: Layout, output_padding: tuple[int, ...]
) -> tuple[int, ...]:
    """The shape of the result of a transposed convolution.

    Raises:
        NotImplementedError: ``output_padding`` is as large as the stride, which the dilation allows.
        RuntimeError: it is larger, or there is nothing left between the paddings.
    """
    for more, s, d in zip(output_padding, layout.stride, layout.dilation, strict=True):
        if not 0 <= more < max(s, d):
            raise RuntimeError(
                f"{name}(): output_padding must not be negative, and must be less than the stride or the dilation, and is "
                f"{output_padding}, for a stride of {layout.stride} and a dilation of {layout.dilation}"
            )
        if more >= s:
            raise NotImplementedError(
                f"{name}(): output_padding must be less than the stride here, and they are {output_padding} and {layout.stride}: "
                "put zeros behind the result instead, by pad()"
            )
    sizes = tuple(
        (n - 1) * s - sum(p) + span + more
        for n, s, p, span, more in zip(
            x.shape[2:], layout.stride, layout.padding, _spans(weight.shape[2:], layout), output_padding, strict=True
        )
    )
    if min(sizes) < 1:
        raise RuntimeError(
            f"{name}(): for an input of shape {list(x.shape)}, a kernel of {list(weight.shape[2:])} and padding "
            f"{[p[0] for p in layout.padding]}, the result would have the lengths {list(sizes)}, which must be positive"
        )
    return (x.shape[0], weight.shape[1] * layout.groups, *sizes)


def _conv_transpose(n: int) -> Callable[..., Tensor]:
    name = f"conv_transpose{n}d"

    def conv_transpose(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Tensor:
        x = _batched(name, input, weight, bias, n)
        if isinstance(padding, str):
            raise TypeError(f"{name}(): padding must be an integer or {n} of them, not {padding!r}")
        layout = _layout(name, weight, stride, padding, dilation, groups, n)
        kernels, out_group = weight.shape[:2]
        if x.shape[1] != kernels or kernels % layout.groups or not kernels * out_group:
            raise RuntimeError(
                f"{name}(): weight of shape {list(weight.shape)} is for {kernels} channels, and the input has {x.shape[1]}; they "
                f"must be a positive multiple of groups={layout.groups}"
            )
        if min(x.shape[2:]) < 1 or min(weight.shape[2:]) < 1:
            raise RuntimeError(
                f"{name}(): only the batch may be empty, and the shapes are {list(x.shape)} and {list(weight.shape)}"
            )
        out_channels = out_group * layout.groups
        if bias is not None and bias.shape != (out_channels,):
            raise RuntimeError(
                f"{name}(): bias must have shape [{out_channels}], one element a channel, and has {list(bias.shape)}"
            )
        size = _transposed_size(name, x, weight, layout, per_dimension(name, "output_padding", output_padding, n))
        added = wrap(np.zeros(out_channels, x.dtype)) if bias is None else bias
        out = _convolution_transposed(x, weight, added, size, layout)
        return out if x is input else squeeze(out, 0)

    sizes = "length" if n == 1 else "height, width"
    conv_transpose.__name__ = conv_transpose.__qualname__ = name
    conv_transpose.__doc__ = f"""Each element of the input times the kernel, added up where windows of a convolution would lie.

    It is the derivative of ``conv{n}d`` by its input, with the same arguments. A stride above 1 makes the result larger than the
    input: of length ``(length − 1) · stride − 2 · padding + dilation · (kernel − 1) + output_padding + 1``.

    Args:
        input: of shape (batch, channels, {sizes}), or without the batch.
        weight: of shape (channels, channels of the result / groups, kernel {sizes}).
        bias: one number a channel of the result; added to every place.
        stride: from window to window, one number or one a dimension.
        padding: how many elements are cut off at both ends.
        output_padding: how much longer the result is at its end: several lengths have a convolution of one length.
        groups: into how many groups the channels are divided, each spread on its own.
        dilation: from element to element of a window.

    Raises:
        NotImplementedError: ``output_padding`` is as large as the stride.
        RuntimeError: the shapes or dtypes do not fit.
    """
    return conv_transpose


conv_transpose1d = _conv_transpose(1)
conv_transpose2d = _conv_transpose(2)

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
