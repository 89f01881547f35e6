"""Writing into a tensor: ``zero_``, ``fill_``, ``copy_`` and ``x[index] = value``.

Most in-place methods follow from their operation (``exp_`` from ``exp``); these write a value that is not computed from
the old one, which therefore gets a gradient of zero. ``x[index] = value`` records no operation of its own where the index
names a view: the history of ``x`` is then a ``CopySlices`` of the old ``x`` and the value.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.graph import Stop
from tinygrad_rp.in_place import change, refuse_change, refuse_overlap, refuse_record
from tinygrad_rp.operation import SAME, operation, public
from tinygrad_rp.ops.index import explained, index_put, steps, view_at
from tinygrad_rp.ops.shape import to
from tinygrad_rp.tensor import Tensor, as_tensor, refuse_overflow, wrap

__all__: list[str] = []

OVERWRITTEN = Stop(
    "zero",
    "The value was written over: nothing computed later depends on what was there before, so zeros go back.",
    harmless=True,
)

_zero = operation(
    "zero",
    lambda x: np.zeros(x.shape, x.dtype),
    "0, whatever was there",
    stops={"x": OVERWRITTEN},
    method=False,
)

_fill = operation(
    "fill",
    lambda x, value: np.full(x.shape, value, x.dtype),
    "one number, whatever was there",
    signature="input, value",
    stops={"x": OVERWRITTEN},
    method=False,
)
_copy = operation(
    "copy",
    lambda x, y: _as(y, x),
    "y, in the shape and the dtype of x",
    signature="input, src",
    inputs=2,
    stops={"x": OVERWRITTEN},
    y=SAME,
    node="CopyBackwards",
    method=False,
)


def _as(values: Any, place: Any) -> Any:
    try:
        return np.array(np.broadcast_to(values, place.shape), place.dtype)
    except ValueError:
        raise RuntimeError(
            f"copy_(): a tensor of shape {list(values.shape)} does not broadcast to the shape {list(place.shape)} of this one"
        ) from None


def zero_(self: Tensor) -> Tensor:
    """Set all elements of this tensor to 0, and return it."""
    refuse_change(self, "zero_()")
    return change(self, _zero(self), "zero_()")


def fill_(self: Tensor, value: Any) -> Tensor:
    """Set all elements of this tensor to one number, and return it.

    Args:
        value: a number, or a tensor without dimensions.

    Raises:
        RuntimeError: it is a tensor with dimensions.
    """
    refuse_change(self, "fill_()")
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise RuntimeError(
                f"fill_(): value must have no dimensions, and has shape {list(value.shape)}; use copy_()"
            )
        return change(self, _copy(self, value), "fill_()")
    return change(self, _fill(self, _number("fill_()", value, self._array.dtype).item()), "fill_()")


def copy_(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Copy the elements of ``src``, which broadcasts to the shape of this tensor, into it, and return it.

    Raises:
        RuntimeError: the shapes do not fit.
    """
    refuse_change(self, "copy_()")
    return change(self, _copy(self, src), "copy_()")


def _number(name: str, value: Any, dtype: Any) -> Any:
    """A number as an array of a dtype.

    Raises:
        RuntimeError: integers of this dtype do not reach so far, or it is no number.
    """
    if dtype.kind in "iu":
        if not math.isfinite(value):
            raise RuntimeError(
                f"{name}: {value} cannot be converted to {dtype}, which holds integers, without overflow"
            )
        value = int(value)
        refuse_overflow(name, (value,), dtype, wraps=True)
    with np.errstate(over="ignore"):
        return np.asarray(value).astype(dtype)


def _source(value: Any, dtype: Any) -> Tensor:
    """What is to be assigned, as a tensor; numbers take the dtype of the place."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, bool | int | float | np.generic):
        return wrap(_number("x[index] = value", value, dtype))
    if isinstance(value, np.ndarray):
        return as_tensor(value)
    raise TypeError(f"x[index] = value: value must be a tensor, an array or a number, not {type(value).__name__}")


def __setitem__(self: Tensor, index: Any, value: Any) -> None:
    """Write ``value``, which broadcasts, into the part of this tensor that ``index`` names.

    Raises:
        IndexError: it is no index of this tensor, or out of range.
        RuntimeError: the shapes do not fit; with index tensors, the dtypes differ; or the tensor must not be changed.
        TypeError: ``value`` is neither a tensor nor a number.
    """
    name = "x[index] = value"
    refuse_record(self, name)
    source = _source(value, self._array.dtype)
    shape = self._array.shape
    basic, rest = steps(index, shape)
    try:
        place = self if basic is None else view_at(self, basic)
        target = place._array if rest is None else place._array[rest]
    except IndexError:
        raise explained(index, shape) from None
    refuse_overlap(place, name)
    while source._array.ndim > target.ndim and source._array.shape[0] == 1:
        source = view_at(source, (0, ...))
    if rest is not None:
        source = index_put(place, rest, source)
    else:
        try:
            source = source if source._array.shape == target.shape else source.expand(target.shape)
        except RuntimeError:
            raise RuntimeError(
                f"{name}: a value of shape {list(source.shape)} does not broadcast to the shape {list(target.shape)} of the "
                "part that the index names"
            ) from None
        source = to(source, target.dtype)
    change(place, source, name)


for _function in (zero_, fill_, copy_, __setitem__):
    public(_function)
