"""Sorting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rp.graph import Stop
from tinygrad_rp.operation import either, example, operation, public
from tinygrad_rp.ops.index import Found, dimension, need, put_along, take_along
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["argsort", "sort", "topk"]

ORDER = Stop(
    "missing",
    "The order of elements is a matter of integers: flat wherever it is not jumping, so that no gradient is wired.",
    ("use the sorted values, which carry a gradient", "relax it: softmax(x / temperature)"),
)


def _order(x: Any, dim: int, descending: bool) -> Any:
    """The indices that sort x; of equal elements the earlier comes first, and NaN counts as the greatest of all."""
    if not x.ndim:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    # from behind, so that turning the result round leaves equal elements in their order
    order = np.flip(np.argsort(np.flip(x, dim), axis=dim, kind="stable"), dim)
    return x.shape[dim] - 1 - order


def _chosen(name: str, node: str, ties: str) -> Callable[..., Tensor]:
    return operation(
        name,
        lambda x, indices, dim: either(take_along, x, indices, dim),
        "the elements that were chosen, in order",
        signature="input, indices, dim",
        inputs=1,
        x=lambda g, x_shape, indices, dim: either(put_along, g, indices, dim, x_shape),
        node=node,
        title=name.removesuffix("_stable"),
        method=False,
        kinks=ties,
        examples=[
            example((4,), indices=np.array([2, 0, 3, 1]), dim=0),
            example((2, 3), indices=np.array([[2, 0], [1, 2]]), dim=1),
        ],
    )


_sort = _chosen("sort", "SortBackward0", "ties, which keep their order")
_sort_stable = _chosen("sort_stable", "SortBackward1", "ties, which keep their order")
_topk = _chosen("topk", "TopkBackward0", "ties, of which the earlier comes first")
_argsort = operation(
    "argsort",
    _order,
    "the indices that sort x",
    signature="input, dim, descending",
    stops={"x": ORDER},
    differentiable=False,
    method=False,
)


def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = None) -> Found:
    """The elements in order along ``dim``, with their indices, as (values, indices).

    Equal elements always keep their order, and NaN counts as the greatest.

    Args:
        input: of any shape.
        dim: along which to sort.
        descending: the greatest first.
        stable: accepted; sorting is stable in any case.

    Raises:
        IndexError: there is no such dimension.
    """
    dim = dimension("sort", dim, need("sort", "input", input)._array.ndim)
    indices = _argsort(input, dim, bool(descending))
    chosen = _sort if stable is None else _sort_stable  # the same, but for PyTorch's name of the node
    return Found(chosen(input, indices._array, dim), indices)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort ``input`` along ``dim``. Arguments and errors as for `sort`."""
    dim = dimension("argsort", dim, need("argsort", "input", input)._array.ndim)
    return _argsort(input, dim, bool(descending))


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Found:
    """The ``k`` greatest elements along ``dim``, in order, with their indices, as (values, indices).

    Of equal elements the earlier comes first, and NaN counts as the greatest. A tensor without dimensions gives its one element
    even where ``k`` is 0, as in PyTorch.

    Args:
        input: of any shape.
        k: how many.
        dim: along which to choose.
        largest: false for the least.
        sorted: accepted; the result is in order in any case.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: there are not ``k`` elements along it, or the elements are bools.
        TypeError: ``k`` is no integer.
    """
    x = need("topk", "input", input)._array
    if not isinstance(k, int | np.integer):
        raise TypeError(f"topk(): k must be an integer, not {k!r}")
    dim = dimension("topk", dim, x.ndim)
    length = x.shape[dim] if x.ndim else 1
    if not 0 <= k <= length:
        raise RuntimeError(f"topk(): k must lie in [0, {length}], the length of dimension {dim}, and it is {k}")
    if x.dtype == np.bool_:
        raise RuntimeError("topk() is not defined for bool tensors; convert with int() before")
    order = _order(x, dim, bool(largest))
    indices = np.array(order[(*(slice(None),) * dim, slice(0, k))] if x.ndim else order)
    return Found(_topk(input, indices, dim), wrap(indices))


for _function in (sort, argsort, topk):
    public(_function)
