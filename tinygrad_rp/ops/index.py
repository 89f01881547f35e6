"""Reading parts of a tensor, and putting them back: each operation here is the derivative of its neighbour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rp.operation import either, example, operation, public
from tinygrad_rp.tensor import Tensor, merge

__all__ = ["one_hot", "put_along", "put_at", "take_along", "take_along_dim"]

# -------------------------------------------------------------------------------------------------- along a dimension


def _put_along(x: Any, indices: Any, dim: int, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, x.dtype)
    if len(shape) == 0:
        return out + x
    where = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    where[dim] = indices
    np.add.at(out, tuple(where), x)
    return out


take_along: Callable[..., Tensor] = operation(
    "take_along",
    lambda x, indices, dim: np.take_along_axis(x, indices, dim) if x.ndim else x,
    "x at the given index of a dimension",
    signature="input, indices, dim",
    inputs=1,
    x=lambda g, x_shape, indices, dim: either(put_along, g, indices, dim, x_shape),
    node="GatherBackward0",
    method=False,
    examples=[example((3, 4), indices=np.array([[0, 2, 2, 1]]), dim=0)],
)
put_along: Callable[..., Tensor] = operation(
    "put_along",
    _put_along,
    "zeros of the given shape, to which x is added at the given index of a dimension",
    signature="input, indices, dim, shape",
    inputs=1,
    x=lambda g, indices, dim: either(take_along, g, indices, dim),
    node="ScatterAddBackward0",
    method=False,
    examples=[example((1, 4), indices=np.array([[0, 2, 2, 1]]), dim=0, shape=(3, 4))],
)


def take_along_dim(input: Tensor, indices: Tensor, dim: int) -> Tensor:
    """The elements of ``input`` at ``indices`` along ``dim``; the other dimensions of both agree, or are 1."""
    if indices._array.dtype.kind not in "iu":
        raise RuntimeError(f"take_along_dim(): indices must hold integers, not {indices.dtype}")
    return take_along(input, indices._array, dim)


public(take_along_dim)

# ------------------------------------------------------------------------------------------------------------ indexing


def _put_at(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, x.dtype)
    if any(isinstance(part, np.ndarray) for part in index):
        np.add.at(out, index, x)  # the same place may be named twice
    else:
        out[index] = x
    return out


put_at: Callable[..., Tensor] = operation(
    "put_at",
    _put_at,
    "zeros of the given shape, to which x is added at an index",
    signature="input, index, shape",
    inputs=1,
    x=lambda g, index: either(_index, g, index),
    node="IndexPutBackward0",
    method=False,
    examples=[
        example((2, 4), index=(np.array([0, 0]),), shape=(3, 4)),
        example((2,), index=(slice(1, 3), 0), shape=(4, 3)),
    ],
)


def _read(x: Any, index: Any) -> Any:
    out = x[index]
    return out if isinstance(out, np.ndarray) or any(type(p) is np.ndarray for p in index) else x[(*index, ...)]


def _reading(name: str, node: str, *examples: Any) -> Any:
    return operation(
        name,
        lambda x, index: _read(x, index),
        "x[index]",
        view=name != "index",
        signature="input, index",
        inputs=1,
        x=lambda g, x_shape, index: either(put_at, g, index, x_shape),
        node=node,
        title="indexing",
        method=False,
        examples=examples,
    )


_index: Callable[..., Tensor] = _reading("index", "IndexBackward0", example((3, 4), index=(np.array([2, 0, 2]),)))
_select = _reading("select", "SelectBackward0", example((3, 4), index=(1,)), example((3, 4), index=(slice(None), -1)))
_slice = _reading("slice", "SliceBackward0", example((5, 4), index=(slice(1, 5, 2),)))
_unsqueeze = _reading("index_none", "UnsqueezeBackward0", example((3,), index=(None,)))


def _part(part: Any) -> Any:
    """One part of an index, as NumPy takes it."""
    if isinstance(part, Tensor):
        array = part._array
        if array.dtype.kind not in "ib":
            raise IndexError(f"a tensor used as an index must hold signed integers or bools, not {part.dtype}")
        return array.item() if array.ndim == 0 and array.dtype.kind in "iu" else array
    if isinstance(part, slice):
        if part.step is not None and part.step <= 0:
            raise ValueError(
                "the step of a slice must be greater than zero; tensors cannot be read backwards by a slice"
            )
        return part
    if isinstance(part, list | range):
        if any(isinstance(p, list | tuple) for p in part):
            raise IndexError(
                "nested lists as an index can be read in two ways; make a tensor of them, or a tuple of lists"
            )
        items = [p.item() if isinstance(p, Tensor) else p for p in part]
        return np.asarray(items, None if items else np.int64)
    if isinstance(part, np.ndarray) or part is None or part is Ellipsis:
        return part
    if isinstance(part, bool | np.bool_):
        return np.asarray(part)
    if isinstance(part, int | np.integer):
        return int(part)
    raise IndexError(
        f"an index is made of integers, slices, None, ..., and integer or bool tensors, not {type(part).__name__}"
    )


def _getitem(self: Tensor, index: Any) -> Tensor:
    result = _part_of(self, index)
    origins = [p._origin for p in (index if isinstance(index, tuple) else (index,)) if isinstance(p, Tensor)]
    if result._node is None and any(origins):
        result._origin = merge(result._origin, *origins)
    return result


def _part_of(self: Tensor, index: Any) -> Tensor:
    parts = tuple(_part(p) for p in index) if isinstance(index, tuple) else (_part(index),)
    if not any(isinstance(p, np.ndarray) for p in parts):
        if any(isinstance(p, int) for p in parts):
            return _select(self, parts)
        if any(isinstance(p, slice) and p != slice(None) for p in parts) or None not in parts:
            return _slice(self, parts)
        return _unsqueeze(self, parts)
    if all(isinstance(p, np.ndarray) for p in parts):
        return _index(self, parts)
    # PyTorch applies integers, slices and None first, and index tensors to what is left; NumPy would count an integer
    # among the index tensors, which puts the dimensions in another order.
    used = sum(
        (p.ndim if p.dtype == bool else 1) if isinstance(p, np.ndarray) else p is not None
        for p in parts
        if p is not ...
    )
    if sum(p is ... for p in parts) > 1:
        raise IndexError("an index can contain ... only once")
    full = []
    for p in parts:
        if p is ...:
            full += [slice(None)] * (self._array.ndim - used)
        else:
            full.append(p)
    basic: list[Any] = []
    rest: list[Any] = []
    for p in full:
        if isinstance(p, np.ndarray):
            basic += [slice(None)] * (p.ndim if p.dtype == bool else 1)
            rest.append(p)
        else:
            basic.append(p)
            if not isinstance(p, int):
                rest.append(slice(None))
    if all(isinstance(p, slice) and p == slice(None) for p in basic):
        return _index(self, tuple(rest))
    return _index(_part_of(self, tuple(basic)), tuple(rest))


public(_getitem, name="__getitem__")

# ------------------------------------------------------------------------------------------------------------- one_hot


def _one_hot(x: Any, num_classes: int) -> Any:
    if x.dtype != np.int64:
        raise RuntimeError(f"one_hot(): input must hold int64 indices, not {x.dtype}")
    if x.size and x.min() < 0:
        raise RuntimeError(f"one_hot(): indices must not be negative, and one is {x.min()}")
    if num_classes <= 0 and x.size == 0:
        raise RuntimeError("one_hot(): cannot infer num_classes from an empty tensor; give it")
    n = int(x.max()) + 1 if num_classes == -1 else num_classes
    if x.size and x.max() >= n:
        raise RuntimeError(f"one_hot(): index {x.max()} is not below num_classes={n}")
    return (x[..., None] == np.arange(n)).astype(np.int64)


one_hot = operation(
    "one_hot",
    _one_hot,
    "1 at the given index, 0 elsewhere",
    signature="input, num_classes=-1",
    differentiable=False,
    method=False,
)
