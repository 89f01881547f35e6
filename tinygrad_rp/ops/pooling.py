"""Pooling: the greatest element, or the mean, of each window."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rp.operation import either, example, operation
from tinygrad_rp.ops.convolution import per_dimension
from tinygrad_rp.ops.shape import squeeze, unsqueeze
from tinygrad_rp.tensor import Tensor, bool_, wrap

__all__ = ["avg_pool1d", "max_pool1d", "max_pool2d"]

Pair = tuple[int, int]


def _count(length: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows there are. With ``ceil_mode`` the last may reach beyond the padding, but must begin before it."""
    room = length + 2 * padding - dilation * (kernel - 1) - 1
    count = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    return count - 1 if ceil_mode and (count - 1) * stride >= length + padding else count


def _offsets(kernel: Pair, dilation: Pair, stride: Pair, places: Pair) -> Any:
    """For each element of a window, where it lies in the padded array, as slices over all places."""
    for offset in np.ndindex(*kernel):
        yield tuple(
            slice(i * d, i * d + s * (n - 1) + 1, s)
            for i, d, s, n in zip(offset, dilation, stride, places, strict=True)
        )


def _room(size: Pair, kernel: Pair, dilation: Pair, stride: Pair, padding: Pair, places: Pair) -> list[Pair]:
    """How far the windows reach beyond the array, at both ends of each dimension."""
    return [
        (p, max((m - 1) * s + d * (k - 1) + 1 - n - p, 0))
        for n, k, d, s, p, m in zip(size, kernel, dilation, stride, padding, places, strict=True)
    ]


def _greatest(x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, places: Pair) -> Any:
    """Where the greatest element of each window lies, counted through the plane: the first of several, the last NaN."""
    height, width = x.shape[-2:]
    room = _room((height, width), kernel, dilation, stride, padding, places)
    least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    padded = np.pad(x, [(0, 0)] * (x.ndim - 2) + room, constant_values=least)
    # each element's place in the plane, and −1 beyond it
    number = np.pad(np.arange(height * width).reshape(height, width), room, constant_values=-1)
    shape = (*x.shape[:-2], *places)
    best, indices = np.full(shape, least, x.dtype), np.full(shape, -1)
    for rows, columns in _offsets(kernel, dilation, stride, places):
        value, place = padded[..., rows, columns], number[rows, columns]
        taken = ((value > best) | (value != value) | (indices < 0)) & (place >= 0)
        best, indices = np.where(taken, value, best), np.where(taken, place, indices)
    return indices


def _flat(x: Any) -> Any:
    return np.reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))


def _scattered(x: Any, indices: Any, size: Pair) -> Any:
    planes = math.prod(x.shape[:-2])
    out = np.zeros(planes * size[0] * size[1], x.dtype)
    first = np.arange(planes).reshape(*x.shape[:-2], 1, 1) * (size[0] * size[1])
    np.add.at(out, (indices + first).ravel(), x.ravel())  # windows overlap
    return out.reshape(*x.shape[:-2], *size)


_max_pool: Callable[..., Tensor] = operation(
    "max_pool2d",
    lambda x, indices: np.reshape(np.take_along_axis(_flat(x), _flat(indices), -1), indices.shape),
    "the greatest element of each window",
    signature="input, indices",
    x=lambda g, x_shape, indices: either(_max_unpool, g, indices, x_shape[-2:]),
    node="MaxPool2DWithIndicesBackward0",
    method=False,
    kinks="ties, of which the first gets the gradient",
    examples=[
        example((1, 3, 4), indices=np.array([[[5, 5, 3]]])),
        example((2, 2, 2, 2), indices=np.array([[[[0]], [[1]]], [[[2]], [[3]]]])),
        example((0, 1, 2, 2), indices=np.zeros((0, 1, 1, 1), np.int64)),
    ],
)
_max_unpool: Callable[..., Tensor] = operation(
    "max_unpool2d",
    _scattered,
    "each element of x put where the greatest of its window was",
    signature="input, indices, size",
    x=lambda g, indices: either(_max_pool, g, indices),
    node="MaxPool2DWithIndicesBackwardBackward0",
    method=False,
    examples=[example((1, 1, 3), indices=np.array([[[5, 5, 3]]]), size=(3, 4))],
)


def _averaged(x: Any, kernel: Pair, stride: Pair, room: list[Pair], divisor: Any) -> Any:
    padded = np.pad(x, [(0, 0)] * (x.ndim - 2) + room)
    total = None
    for rows, columns in _offsets(kernel, (1, 1), stride, divisor.shape):
        part = padded[..., rows, columns]
        total = part.copy() if total is None else total + part
    if x.dtype.kind == "f":
        return total / divisor.astype(x.dtype)
    # integers are cut towards zero
    return np.trunc(total / divisor).astype(x.dtype)


def _shared(x: Any, kernel: Pair, stride: Pair, room: list[Pair], divisor: Any, size: Pair) -> Any:
    lengths = [n + sum(r) for n, r in zip(size, room, strict=True)]
    padded = np.zeros((*x.shape[:-2], *lengths), x.dtype)
    share = x / divisor.astype(x.dtype)
    for rows, columns in _offsets(kernel, (1, 1), stride, divisor.shape):
        padded[..., rows, columns] += share
    return padded[..., room[0][0] : room[0][0] + size[0], room[1][0] : room[1][0] + size[1]]


_WINDOWS = {"kernel": (2, 2), "stride": (1, 2), "room": [(0, 0), (1, 1)], "divisor": np.array([[4.0, 2.0], [4.0, 2.0]])}

_avg_pool: Callable[..., Tensor] = operation(
    "avg_pool2d",
    _averaged,
    "Σx / n of each window",
    signature="input, kernel, stride, room, divisor",
    x=lambda g, x_shape, kernel, stride, room, divisor: either(
        _avg_unpool, g, kernel, stride, room, divisor, x_shape[-2:]
    ),
    node="AvgPool2DBackward0",
    method=False,
    examples=[example((1, 3, 2), **_WINDOWS), example((0, 1, 3, 2), **_WINDOWS)],
)
_avg_unpool: Callable[..., Tensor] = operation(
    "avg_unpool2d",
    _shared,
    "x / n at each place of its window",
    signature="input, kernel, stride, room, divisor, size",
    x=lambda g, kernel, stride, room, divisor: either(_avg_pool, g, kernel, stride, room, divisor),
    node="AvgPool2DBackwardBackward0",
    method=False,
    examples=[example((1, 2, 2), size=(3, 2), **_WINDOWS)],
)


def _geometry(
    name: str, input: Tensor, n: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[Pair, Pair, Pair, Pair, Pair]:
    """Kernel, stride, padding, dilation and the number of windows, for two dimensions; in one, the first is of length 1.

    Raises:
        RuntimeError: one of them is out of its range, or no window fits.
    """
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): input must be a tensor, not {type(input).__name__}")
    shape = input.shape
    if input.ndim not in (n + 1, n + 2) or 0 in shape[-n - 1 :]:
        raise RuntimeError(
            f"{name}(): input must have {n + 2} dimensions, or {n + 1} without a batch, of which only the batch may be empty; "
            f"its shape is {list(shape)}"
        )
    if input.dtype == bool_:
        raise NotImplementedError(f"{name}() is not defined for bool tensors; convert with float() before")
    empty = stride is None or (isinstance(stride, list | tuple) and not stride)
    given = {
        "kernel_size": kernel_size,
        "stride": kernel_size if empty else stride,
        "padding": padding,
        "dilation": dilation,
    }
    sizes: list[Any] = []
    for argument, value in given.items():
        values = per_dimension(name, argument, value, n)
        least = 0 if argument == "padding" else 1
        if min(values) < least:
            raise RuntimeError(f"{name}(): {argument} must be at least {least}, and is {value}")
        sizes.append(values if n == 2 else (least, values[0]))
    kernel, strides, pads, dilations = sizes
    for k, p, d in zip(kernel, pads, dilations, strict=True):
        if 2 * p > d * (k - 1) + 1:
            raise RuntimeError(
                f"{name}(): padding may be at most half of what the window reaches over, {d * (k - 1) + 1} elements, and is {p}"
            )
    lengths = shape[-2:] if n == 2 else (1, shape[-1])
    places: Any = tuple(
        _count(m, k, s, p, d, ceil_mode)
        for m, k, s, p, d in zip(lengths, kernel, strides, pads, dilations, strict=True)
    )
    if min(places) < 1:
        raise RuntimeError(
            f"{name}(): a window of {kernel_size} does not fit into an input of {list(shape[-n:])} with padding {padding}"
        )
    return kernel, strides, pads, dilations, places


def _max(n: int) -> Callable[..., Any]:
    name = f"max_pool{n}d"

    def max_pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        geometry = _geometry(name, input, n, kernel_size, stride, padding, dilation, ceil_mode)
        kernel, strides, pads, dilations, places = geometry
        if n == 1 and input.dtype.kind != "f":
            raise NotImplementedError(
                f"{name}() is for floating-point tensors, not for {input.dtype}; use float() before"
            )
        x = input if n == 2 else unsqueeze(input, -2)
        indices = _greatest(x._array, kernel, strides, pads, dilations, places)
        out = _max_pool(x, indices)
        if n == 1:
            out, indices = squeeze(out, -2), indices[..., 0, :]
        return (out, wrap(indices)) if return_indices else out

    sizes = "length" if n == 1 else "height, width"
    max_pool.__name__ = max_pool.__qualname__ = name
    max_pool.__doc__ = f"""The greatest element of each window; of several equal ones the first gets the gradient, NaN wins.

    Args:
        input: of shape (batch, channels, {sizes}), or without the batch.
        kernel_size: of the window, one number or one a dimension.
        stride: from window to window. Default: the size of the window.
        padding: how far the first and last windows may reach beyond the input, at most half a window.
        dilation: from element to element of a window.
        ceil_mode: let a last window reach beyond the padding, rather than leave elements out.
        return_indices: return the places of the greatest elements too, counted through {"the row" if n == 1 else "the plane"}.

    Raises:
        RuntimeError: a size is out of its range, or no window fits.
    """
    return max_pool


max_pool1d = _max(1)
max_pool2d = _max(2)


def _overlap(length: int, kernel: int, stride: int, padding: int, count: int, margin: int) -> Any:
    """How many elements each window shares with the input and a margin around it."""
    starts = np.arange(count) * stride - padding
    return np.minimum(starts + kernel, length + margin) - np.maximum(starts, -margin)


def _average(
    name: str,
    input: Tensor,
    n: int,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    kernel, strides, pads, dilation, places = _geometry(name, input, n, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override == 0:
        raise RuntimeError(f"{name}(): divisor_override must not be 0")
    x = input if n == 2 else unsqueeze(input, -2)
    size: Any = x._array.shape[-2:]
    if divisor_override is None:
        counts = [
            _overlap(m, k, s, p, c, p if count_include_pad else 0)
            for m, k, s, p, c in zip(size, kernel, strides, pads, places, strict=True)
        ]
        divisor = np.multiply.outer(*counts).astype(np.float64)
    else:
        divisor = np.full(places, divisor_override, np.float64)
    out = _avg_pool(x, kernel, strides, _room(size, kernel, dilation, strides, pads, places), divisor)
    return out if n == 2 else squeeze(out, -2)


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window.

    Args:
        input: of shape (batch, channels, length), or without the batch.
        kernel_size: of the window.
        stride: from window to window. Default: the size of the window.
        padding: how many zeros are put at both ends, at most half a window.
        ceil_mode: let a last window reach beyond the padding, rather than leave elements out.
        count_include_pad: whether the zeros count in the mean.

    Raises:
        RuntimeError: a size is out of its range, or no window fits.
    """
    return _average("avg_pool1d", input, 1, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window.

    Args:
        input: of shape (batch, channels, height, width), or without the batch.
        kernel_size: of the window, one number or one a dimension.
        stride: from window to window. Default: the size of the window.
        padding: how many zeros are put at both ends, at most half a window.
        ceil_mode: let a last window reach beyond the padding, rather than leave elements out.
        count_include_pad: whether the zeros count in the mean.
        divisor_override: divide the sums by this, rather than by the number of elements.

    Raises:
        RuntimeError: a size is out of its range, or no window fits.
    """
    return _average(
        "avg_pool2d", input, 2, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )
