"""Reading parts of a tensor, and putting them back: each operation here is the derivative of its neighbour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index as as_int
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rp.graph import Stop
from tinygrad_rp.operation import SAME, either, example, operation, public
from tinygrad_rp.tensor import Tensor, merge, refuse_overflow

__all__ = [
    "bincount", "gather", "index_add", "index_fill", "index_put", "index_select", "masked_fill", "masked_select", "nonzero",
    "scatter", "scatter_add", "take", "take_along_dim",
]  # fmt: skip


class Found(NamedTuple):
    """Elements that were chosen, and where they stood: what ``max``, ``sort`` and their like return."""

    values: Tensor
    indices: Tensor


def dimension(name: str, dim: Any, ndim: int) -> int:
    """``dim`` counted from the front. A tensor without dimensions lets 0 and -1 pass, as in PyTorch.

    Raises:
        IndexError: there is no such dimension.
        TypeError: it is no integer.
    """
    try:
        found = as_int(dim)
    except TypeError:
        raise TypeError(f"{name}(): a dimension is an integer, not {type(dim).__name__}") from None
    bound = max(ndim, 1)
    if not -bound <= found < bound:
        raise IndexError(f"{name}(): dimension {found} is out of range; it must lie in [{-bound}, {bound - 1}]")
    return found % bound


def need(name: str, argument: str, value: Any) -> Tensor:
    """``value``, which must be a tensor.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}(): {argument} must be a tensor, not {type(value).__name__}; make one with tensor(…)")
    return value


def known_from(result: Tensor, *choosers: Tensor) -> Tensor:
    """The result, which knows where the tensors come from that chose its elements, where no gradient says it."""
    origins = [t._origin for t in choosers]
    if result._node is None and any(origins):
        result._origin = merge(result._origin, *origins)
    return result


# -------------------------------------------------------------------------------------------------- along a dimension


def _grid(indices: Any, dim: int) -> Any:
    """The places that indices along a dimension name, as an index of NumPy's for at least one dimension."""
    indices = np.atleast_1d(indices)
    where = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    where[dim] = indices
    return tuple(where)


def _take_along(x: Any, indices: Any, dim: int) -> Any:
    if not indices.size:
        return np.empty(indices.shape, x.dtype)
    return np.reshape(np.atleast_1d(x)[_grid(indices, dim)], indices.shape)


def _put_along(x: Any, indices: Any, dim: int, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, x.dtype)
    if indices.size:
        np.add.at(np.atleast_1d(out), _grid(indices, dim), x)
    return out


take_along: Callable[..., Tensor] = operation(
    "take_along",
    _take_along,
    "x at the given index of a dimension",
    signature="input, indices, dim",
    inputs=1,
    x=lambda g, x_shape, indices, dim: either(put_along, g, indices, dim, x_shape),
    node="GatherBackward0",
    title="gather",
    method=False,
    examples=[
        example((3, 4), indices=np.array([[0, 2, 2, 1]]), dim=0),
        example((3, 4), indices=np.array([[3, 0], [1, 1]]), dim=-1),
        example((), indices=np.array(0), dim=0),
        example((), indices=np.array([0, 0]), dim=0),
        example((3,), indices=np.array(1), dim=0),
        example((0, 2), indices=np.zeros((0, 2), np.int64), dim=0),
    ],
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


def integers(name: str, index: Any, kinds: str = "int32 or int64") -> Any:
    """The array of an index tensor.

    Raises:
        RuntimeError: it holds no such integers.
        TypeError: it is no tensor.
    """
    array = need(name, "index", index)._array
    if str(array.dtype) not in kinds:
        raise RuntimeError(f"{name}(): index must hold {kinds}, not {array.dtype}")
    return array


def _in_range(name: str, indices: Any, dim: int, length: int, error: type[Exception] = RuntimeError) -> None:
    if indices.size and (indices.min() < 0 or indices.max() >= length):
        wrong = indices[(indices < 0) | (indices >= length)].flat[0]
        raise error(
            f"{name}(): index {wrong} is out of range for dimension {dim}, which has length {length}; it must lie in "
            f"[0, {length - 1}], and negative ones do not count from the end here"
        )


def _aligned(name: str, input: Tensor, dim: Any, index: Any) -> tuple[int, Any]:
    """Dimension and indices, checked; a tensor without dimensions counts as a vector of one element."""
    indices = integers(name, index)
    dim = dimension(name, dim, need(name, "input", input)._array.ndim)
    shape = input._array.shape or (1,)
    if indices.size:
        if max(indices.ndim, 1) != len(shape):
            raise RuntimeError(
                f"{name}(): index must have as many dimensions as input, {len(shape)}, and its shape is {list(indices.shape)}"
            )
        if any(n > m for i, (n, m) in enumerate(zip(indices.shape or (1,), shape, strict=True)) if i != dim):
            raise RuntimeError(
                f"{name}(): index of shape {list(indices.shape)} must not be longer than input, of shape {list(shape)}, but for "
                f"dimension {dim}"
            )
        _in_range(name, indices, dim, shape[dim])
    return dim, indices


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """The elements of ``input`` at ``index`` along ``dim``: ``out[i][j] = input[index[i][j]][j]`` for ``dim=0``.

    Args:
        input: of any shape.
        dim: along which ``index`` counts.
        index: integers, none negative; of as many dimensions as ``input``, and no longer than it but along ``dim``.
        sparse_grad: must be false; there are no sparse tensors here.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: an index is out of range, or the shapes do not fit.
    """
    if sparse_grad:
        raise NotImplementedError("gather(): there are no sparse gradients here; leave sparse_grad out")
    dim, indices = _aligned("gather", input, dim, index)
    return known_from(take_along(input, indices, dim), index)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """The elements of ``input`` at ``indices`` along ``dim``; the other dimensions of both broadcast.

    Args:
        input: of any shape.
        indices: integers, of as many dimensions; negative ones count from the end.
        dim: along which they count; ``None`` counts through all elements, and takes ``indices`` as a vector.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: an index is out of range, or the shapes do not fit.
    """
    name = "take_along_dim"
    array = need(name, "indices", indices)._array
    if array.dtype != np.int64:
        raise RuntimeError(f"{name}(): indices must hold int64, not {indices.dtype}")
    if dim is None:
        return take_along_dim(input.reshape(-1), indices.reshape(-1), 0)
    shape = need(name, "input", input)._array.shape
    if array.ndim != len(shape):
        raise RuntimeError(
            f"{name}(): input and indices must have as many dimensions, and their shapes are {list(shape)} and "
            f"{list(array.shape)}"
        )
    dim = dimension(name, dim, len(shape))
    if shape:
        length = shape[dim]
        ahead, behind = shape[:dim], shape[dim + 1 :]
        try:
            common = np.broadcast_shapes((*ahead, 1, *behind), (*array.shape[:dim], 1, *array.shape[dim + 1 :]))
        except ValueError:
            raise RuntimeError(
                f"{name}(): input of shape {list(shape)} and indices of shape {list(array.shape)} do not broadcast but for "
                f"dimension {dim}"
            ) from None
        array = np.broadcast_to(array, (*common[:dim], array.shape[dim], *common[dim + 1 :]))
        array = np.where(array < 0, array + length, array)
        _in_range(name, array, dim, length)
        if shape != (wanted := (*common[:dim], length, *common[dim + 1 :])):
            input = input.expand(wanted)
    return known_from(take_along(input, array, dim), indices)


def _stands(shape: tuple[int, ...], target: tuple[int, ...], basic: Any, rest: Any) -> Any:
    """Which of the values that were put at an index still stand: of several put at the same place, the last does."""
    numbers = np.arange(int(np.prod(target))).reshape(target)
    held = np.zeros(shape, np.int64)
    _assign(held, numbers, basic, rest, False)
    return _at(held, basic, rest) == numbers


def _scattered(x: Any, y: Any, indices: Any, dim: int) -> Any:
    out = np.array(x)
    if indices.size:
        np.atleast_1d(out)[_grid(indices, dim)] = y
    return out


_scatter = operation(
    "scatter",
    _scattered,
    "x, with y at the given index of a dimension",
    signature="input, src, index, dim",
    inputs=2,
    x=lambda g, indices, dim: either(_scatter_number, g, indices, dim, 0.0),
    # of several values put at the same place one stands, and the gradient is its own
    y=lambda g, x_shape, indices, dim: np.where(
        np.reshape(_stands(x_shape or (1,), indices.shape or (1,), None, _grid(indices, dim)), indices.shape)
        if indices.size
        else True,
        either(take_along, g, indices, dim),
        0.0,
    ),
    method=False,
    examples=[
        example((3, 4), (1, 4), index=np.array([[0, 2, 2, 1]]), dim=0),
        example((3, 4), (3, 2), index=np.array([[0, 0], [2, 1], [3, 3]]), dim=1),
        example((), (2,), index=np.array([0, 0]), dim=0),
        example((1,), (), index=np.array(0), dim=0),
    ],
)
_scatter_number: Callable[..., Tensor] = operation(
    "scatter_number",
    lambda x, indices, dim, value: _scattered(x, value, indices, dim),
    "x, with a number at the given index of a dimension",
    signature="input, index, dim, value",
    inputs=1,
    x=lambda g, indices, dim: either(_scatter_number, g, indices, dim, 0.0),
    node="ScatterBackward1",
    title="scatter",
    method=False,
    examples=[example((3, 4), index=np.array([[0, 2, 2, 1]]), dim=0, value=2.0)],
)


def _same_dtype(name: str, argument: str, input: Tensor, other: Any) -> None:
    if need(name, argument, other).dtype != input.dtype:
        raise RuntimeError(
            f"{name}(): {argument} must hold {input.dtype}, as input does, and not {other.dtype}; convert it with to()"
        )


def _source(name: str, input: Tensor, indices: Any, src: Tensor) -> Tensor:
    """The part of ``src`` that the indices put somewhere."""
    _same_dtype(name, "src", input, src)
    shape = src._array.shape
    if shape == indices.shape:
        return src
    if indices.size == 0:
        return _slice(src.reshape(-1), (slice(0, 0), ...)).reshape(indices.shape)
    wanted = indices.shape or (1,)  # without dimensions, both count as vectors of one element
    if len(shape or (1,)) != len(wanted) or any(n > m for n, m in zip(wanted, shape or (1,), strict=True)):
        raise RuntimeError(
            f"{name}(): index of shape {list(indices.shape)} must not be longer than src, of shape {list(shape)}, in any "
            "dimension"
        )
    if shape and shape != wanted:
        src = _slice(src, (*(slice(0, n) for n in wanted), ...))
    return src if src._array.shape == indices.shape else src.reshape(indices.shape)


def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """``input``, with ``src`` at ``index`` along ``dim``: ``out[index[i][j]][j] = src[i][j]`` for ``dim=0``.

    Where several elements are put at the same place the last one stands, and it alone gets the gradient.

    Args:
        input: of any shape.
        dim: along which ``index`` counts.
        index: integers, none negative; of as many dimensions as ``input``, no longer than it but along ``dim``, and nowhere
            longer than ``src``.
        src: a tensor of the dtype of ``input``, or a number; the number may be called ``value`` too.
        value: see ``src``.
        reduce: must be ``None``; use `scatter_add` to add.

    Raises:
        IndexError: there is no such dimension.
        NotImplementedError: ``reduce`` is given.
        RuntimeError: an index is out of range, the shapes do not fit, or the dtypes differ.
    """
    if reduce is not None:
        raise NotImplementedError(f"scatter(reduce={reduce!r}) has no operation here; use scatter_add() to add")
    if (src is None) == (value is None):
        raise TypeError("scatter(): give either src, a tensor or a number, or value, a number")
    src = value if src is None else src
    dim, indices = _aligned("scatter", input, dim, index)
    if isinstance(src, Tensor):
        result = _scatter(input, _source("scatter", input, indices, src), indices, dim)
    else:
        result = _scatter_number(input, indices, dim, _number("scatter", src, input))
    return known_from(result, index)


def _number(name: str, value: Any, input: Tensor) -> Any:
    """A number that is to be written into a tensor."""
    if not isinstance(value, int | float | np.generic):
        raise TypeError(f"{name}(): value must be a number, not {type(value).__name__}")
    refuse_overflow(f"{name}()", (value,), input.dtype, wraps=True)
    return np.asarray(value).astype(input.dtype) if type(value) is int else value


def _scatter_sum(x: Any, y: Any, indices: Any, dim: int) -> Any:
    out = np.array(x)
    if indices.size:
        np.add.at(np.atleast_1d(out), _grid(indices, dim), y)
    return out


_scatter_add = operation(
    "scatter_add",
    _scatter_sum,
    "x, to which y is added at the given index of a dimension",
    signature="input, src, index, dim",
    inputs=2,
    x=SAME,
    y=lambda g, indices, dim: either(take_along, g, indices, dim),
    method=False,
    examples=[
        example((3, 4), (1, 4), index=np.array([[0, 2, 2, 1]]), dim=0),
        example((3, 4), (3, 2), index=np.array([[0, 0], [2, 1], [3, 3]]), dim=1),
        example((), (2,), index=np.array([0, 0]), dim=0),
        example((1,), (), index=np.array(0), dim=0),
    ],
)


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """As `scatter`, but what is put at a place is added to what is there. Arguments and errors as there."""
    dim, indices = _aligned("scatter_add", input, dim, index)
    return known_from(_scatter_add(input, _source("scatter_add", input, indices, src), indices, dim), index)


# ------------------------------------------------------------------------------------------------- whole slices of a dimension


def _along(index: Any, dim: int) -> Any:
    return (*(slice(None),) * dim, index)


_index_select = operation(
    "index_select",
    lambda x, dim, indices: x[_along(indices, dim)] if x.ndim else np.array(x),
    "the slices of x at the given indices of a dimension",
    signature="input, dim, index",
    x=lambda g, x_shape, dim, indices: (
        either(put_at, g, _along(indices, dim), x_shape) if x_shape else np.reshape(g, x_shape)
    ),
    method=False,
    examples=[
        example((3, 4), dim=0, index=np.array([2, 0, 2])),
        example((3, 4), dim=1, index=np.array([], np.int64)),
        example((), dim=0, index=np.array([0])),
    ],
)
_index_add = operation(
    "index_add",
    lambda x, y, dim, indices, alpha: _index_sum(x, y, dim, indices, alpha),
    "x, to which α · y is added slice by slice at the given indices of a dimension",
    signature="input, source, dim, index, alpha",
    inputs=2,
    x=SAME,
    y=lambda g, dim, indices, alpha: either(_index_select, g, dim, indices) * alpha,
    method=False,
    examples=[
        example((3, 4), (2, 4), dim=0, index=np.array([2, 2]), alpha=1),
        example((3, 4), (3, 2), dim=1, index=np.array([3, 0]), alpha=-0.5),
    ],
)
_index_fill: Callable[..., Tensor] = operation(
    "index_fill",
    lambda x, dim, indices, value: _index_set(x, dim, indices, value),
    "x, with a number at the given indices of a dimension",
    signature="input, dim, index, value",
    x=lambda g, dim, indices: either(_index_fill, g, dim, indices, 0.0),
    method=False,
    examples=[example((3, 4), dim=1, index=np.array([3, 0]), value=2.0)],
)


def _index_sum(x: Any, y: Any, dim: int, indices: Any, alpha: float) -> Any:
    out = np.array(x)
    np.add.at(out, _along(indices, dim) if x.ndim else (), y if alpha == 1 else (y * alpha).astype(x.dtype))
    return out


def _index_set(x: Any, dim: int, indices: Any, value: float) -> Any:
    out = np.array(x)
    out[_along(indices, dim) if x.ndim else ()] = value
    return out


def _slices(name: str, input: Tensor, dim: Any, index: Any) -> tuple[int, Any]:
    """The dimension and the vector of indices, checked but for their range."""
    dim = dimension(name, dim, need(name, "input", input)._array.ndim)
    indices = integers(name, index)
    if indices.ndim > 1:
        raise IndexError(f"{name}(): index must be a vector, and its shape is {list(indices.shape)}")
    return dim, indices.reshape(-1)


def _length(input: Tensor, dim: int) -> int:
    return input._array.shape[dim] if input._array.ndim else 1


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of ``input`` at the indices along ``dim``.

    Args:
        input: of any shape.
        dim: along which ``index`` counts.
        index: a vector of integers, none negative.

    Raises:
        IndexError: there is no such dimension, an index is out of range, or ``index`` is no vector.
        RuntimeError: ``index`` does not hold integers.
    """
    dim, indices = _slices("index_select", input, dim, index)
    _in_range("index_select", indices, dim, _length(input, dim), IndexError)
    if not input._array.ndim and indices.size != 1:
        raise IndexError(
            f"index_select(): a tensor without dimensions is read at one index, and there are {indices.size}"
        )
    return known_from(_index_select(input, dim, indices), index)


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """``input``, to which ``alpha · source`` is added slice by slice at the indices along ``dim``.

    Args:
        input: of any shape.
        dim: along which ``index`` counts.
        index: a vector of integers, none negative.
        source: of the shape of ``input``, but for ``dim``, where it has the length of ``index``; and of its dtype.
        alpha: a number.

    Raises:
        IndexError: there is no such dimension, or ``index`` is no vector.
        RuntimeError: an index is out of range, or shapes or dtypes do not fit.
    """
    name = "index_add"
    dim, indices = _slices(name, input, dim, index)
    _same_dtype(name, "source", input, source)
    if isinstance(alpha, float) and input.dtype.kind != "f":
        raise RuntimeError(f"{name}(): alpha must be an integer for tensors of integers, not {alpha}")
    shape = input._array.shape
    wanted = (*shape[:dim], indices.size, *shape[dim + 1 :]) if shape else source._array.shape
    if source._array.shape != wanted or (not shape and (source._array.size != 1 or indices.size != 1)):
        raise RuntimeError(
            f"{name}(): source has shape {list(source._array.shape)}; with input of shape {list(shape)} and {indices.size} "
            f"indices along dimension {dim} it must have {list(wanted) if shape else [1]}"
        )
    _in_range(name, indices, dim, _length(input, dim))
    if not shape:
        source = source.reshape(())
    return known_from(_index_add(input, source, dim, indices, alpha), index)


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """``input``, with the number ``value`` at the indices along ``dim``; negative ones count from the end.

    Raises:
        IndexError: there is no such dimension, an index is out of range, or ``index`` is no vector.
        TypeError: ``value`` is no number; of a tensor take ``item()``.
    """
    dim, indices = _slices("index_fill", input, dim, index)
    length = _length(input, dim)
    indices = np.where(indices < 0, indices + length, indices)
    _in_range("index_fill", indices, dim, length, IndexError)
    return known_from(_index_fill(input, dim, indices, _number("index_fill", value, input)), index)


# --------------------------------------------------------------------------------------------------------------- masks


def _masked(name: str, mask: Any) -> Any:
    array = need(name, "mask", mask)._array
    if array.dtype != np.bool_:
        raise RuntimeError(f"{name}(): mask must be a bool tensor, not {array.dtype}")
    return array


def _filled(x: Any, value: Any, mask: Any) -> Any:
    return np.where(mask, np.asarray(value).astype(x.dtype), x)


_masked_fill = operation(
    "masked_fill",
    lambda x, value, mask: _filled(x, value, mask),
    "x, with a number where the mask holds",
    signature="input, value, mask",
    inputs=1,
    x=lambda g, mask: np.where(mask, 0.0, g),
    method=False,
    examples=[
        example((2, 3), value=2.0, mask=np.array([True, False, True])),
        example((3,), value=2.0, mask=np.array([[True, False, True], [False, False, True]])),
    ],
)
_masked_fill_tensor = operation(
    "masked_fill_tensor",
    lambda x, value, mask: _filled(x, value, mask),
    "x, with a tensor without dimensions where the mask holds",
    signature="input, value, mask",
    inputs=2,
    x=lambda g, mask: np.where(mask, 0.0, g),
    value=lambda g, mask: np.where(mask, g, 0.0),
    node="MaskedFillBackward1",
    title="masked_fill",
    method=False,
    examples=[example((2, 3), (), mask=np.array([True, False, True]))],
)


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """``input``, with ``value`` where ``mask`` holds.

    Args:
        input: of any shape.
        mask: bools; it broadcasts with ``input``.
        value: a number, or a tensor without dimensions.

    Raises:
        RuntimeError: the mask does not hold bools, the shapes do not broadcast, or ``value`` has dimensions.
    """
    need("masked_fill", "input", input)
    held = _masked("masked_fill", mask)
    if not isinstance(value, Tensor):
        return known_from(_masked_fill(input, _number("masked_fill", value, input), held), mask)
    if value._array.ndim:
        raise RuntimeError(f"masked_fill(): a tensor as value must have no dimensions, not shape {list(value.shape)}")
    return known_from(_masked_fill_tensor(input, value, held), mask)


def _select_masked(x: Any, mask: Any) -> Any:
    shape = np.broadcast_shapes(x.shape, mask.shape)
    return np.broadcast_to(x, shape)[np.broadcast_to(mask, shape)]


def _spread_masked(g: Any, x_shape: tuple[int, ...], mask: Any) -> Any:
    shape = np.broadcast_shapes(x_shape, mask.shape)
    return either(put_at, g, (np.broadcast_to(mask, shape),), shape)


_masked_select = operation(
    "masked_select",
    _select_masked,
    "the elements of x where the mask holds, as a vector",
    signature="input, mask",
    inputs=1,
    x=_spread_masked,
    method=False,
    examples=[
        example((2, 3), mask=np.array([True, False, True])),
        example((3,), mask=np.array([[True, False, True], [False, False, True]])),
        example((), mask=np.array(True)),
    ],
)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements of ``input`` where ``mask`` holds, as a vector; both broadcast.

    Raises:
        RuntimeError: the mask does not hold bools, or the shapes do not broadcast.
    """
    held = _masked("masked_select", mask)
    return known_from(_masked_select(input, held), mask)


# ------------------------------------------------------------------------------------------------------------ indexing


def _put_at(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, x.dtype)
    if any(isinstance(part, np.ndarray) and part.dtype != np.bool_ for part in index):
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


def reading(name: str, node: str, *examples: Any, view: bool = True, title: str = "indexing") -> Any:
    """Declare a way of reading a part of a tensor, which differs from others in the name of its node."""
    return operation(
        name,
        lambda x, index: x[index],
        "x[index]",
        signature="input, index",
        inputs=1,
        x=lambda g, x_shape, index: either(put_at, g, index, x_shape),
        node=node,
        title=title,
        method=False,
        view=view,
        examples=examples,
    )


_index: Callable[..., Tensor] = reading(
    "index", "IndexBackward0", example((3, 4), index=(np.array([2, 0, 2]),)), view=False
)
_select = reading(
    "select",
    "SelectBackward0",
    example((3, 4), index=(1, ...)),
    example((3, 4), index=(slice(None), -1, ...)),
    example((3,), index=(1, ...)),
)
_slice = reading("slice", "SliceBackward0", example((5, 4), index=(slice(1, 5, 2), ...)))
_unsqueeze = reading("index_none", "UnsqueezeBackward0", example((3,), index=(None, ...)))
_alias = reading("alias", "AliasBackward0", example((3,), index=(...,)), example((), index=(...,)))


def _part(part: Any) -> Any:
    """One part of an index, as NumPy takes it."""
    if type(part) is int or part is None or part is Ellipsis:
        return part
    if isinstance(part, Tensor):
        array = part._array
        if array.dtype.kind not in "ib":
            raise IndexError(f"a tensor used as an index must hold signed integers or bools, not {part.dtype}")
        return array.item() if array.ndim == 0 and array.dtype.kind in "iu" else array
    if isinstance(part, slice):
        if part.step is not None and part.step <= 0:
            raise ValueError(
                f"the step of a slice must be greater than zero, and is {part.step}; flip() reads a tensor backwards"
            )
        return part
    if isinstance(part, list | range):
        if any(isinstance(p, list | tuple) for p in part):
            raise IndexError(
                "nested lists as an index can be read in two ways; make a tensor of them, or a tuple of lists"
            )
        items = [p.item() if isinstance(p, Tensor) else p for p in part]
        array = np.asarray(items, None if items else np.int64)
        if array.dtype.kind not in "iub":
            raise IndexError(f"a list used as an index must hold integers or bools, not {array.dtype}")
        return array
    if isinstance(part, np.ndarray):
        if part.dtype.kind not in "iub":
            raise IndexError(f"an array used as an index must hold integers or bools, not {part.dtype}")
        return np.asarray(part)
    if isinstance(part, bool | np.bool_):
        return np.asarray(part)
    if isinstance(part, int | np.integer):
        return int(part)
    if isinstance(part, str):
        raise TypeError(f"an index is made of integers, slices, None, ..., and tensors, not the string {part!r}")
    raise IndexError(
        f"an index is made of integers, slices, None, ..., and integer or bool tensors, not {type(part).__name__}"
    )


def _used(parts: tuple[Any, ...]) -> int:
    """How many dimensions an index names."""
    return sum(
        (p.ndim if p.dtype == bool else 1) if isinstance(p, np.ndarray) else p is not None
        for p in parts
        if p is not ...
    )


def steps(index: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """An index in two steps, each an index of NumPy's, or ``None`` where there is nothing to do.

    PyTorch applies integers, slices and None first, which gives a view, and index tensors to what is left. NumPy would count an
    integer among the index tensors, which puts the dimensions in another order.

    Raises:
        IndexError: it is no index of a tensor of that shape; whether each number is in range is not looked at.
    """
    parts = tuple(map(_part, index)) if isinstance(index, tuple) else (_part(index),)
    kinds = [type(p) for p in parts]
    dots = kinds.count(type(...))
    if dots > 1:
        raise IndexError("an index can contain ... only once")
    if np.ndarray not in kinds:
        # with ... NumPy hands out a view also of a single element, rather than its value
        return (parts if dots else (*parts, ...)), None
    if all(isinstance(p, np.ndarray) for p in parts):
        return None, parts
    full = []
    for p in parts:
        if p is ...:
            full += [slice(None)] * (len(shape) - _used(parts))
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
    plain = all(isinstance(p, slice) and p == slice(None) for p in basic)
    return None if plain else (*basic, ...), tuple(rest)


def explained(index: Any, shape: tuple[int, ...]) -> IndexError:
    """What is wrong with an index that NumPy refuses."""
    parts = tuple(_part(p) for p in index) if isinstance(index, tuple) else (_part(index),)
    used = _used(parts)
    if used > len(shape):
        return IndexError(
            f"too many indices: {used} for a tensor of {len(shape)} dimensions, of shape {list(shape)}"
            + ("; use item() for its number" if not shape else "")
        )
    dim = 0
    for p in parts:
        if p is ...:
            dim += len(shape) - used
        elif isinstance(p, np.ndarray) and p.dtype == bool:
            if p.shape != shape[dim : dim + p.ndim]:
                return IndexError(
                    f"a mask of shape {list(p.shape)} does not fit the tensor's shape {list(shape)} from dimension {dim} on"
                )
            dim += p.ndim
        elif p is not None:
            numbers = np.asarray([] if isinstance(p, slice) else p)
            wrong = numbers[(numbers < -shape[dim]) | (numbers >= shape[dim])]
            if wrong.size:
                lies = f"must lie in [{-shape[dim]}, {shape[dim] - 1}]" if shape[dim] else "has no place to name"
                return IndexError(
                    f"index {wrong.flat[0]} is out of range for dimension {dim}, which has length {shape[dim]}: it {lies}"
                )
            dim += 1
    shapes = " and ".join(str(list(p.shape)) for p in parts if isinstance(p, np.ndarray))
    return IndexError(f"index tensors of shape {shapes} do not broadcast together")


def _getitem(self: Tensor, index: Any) -> Tensor:
    result = _part_of(self, index)
    if result._node is None:
        choosers = [p for p in (index if isinstance(index, tuple) else (index,)) if isinstance(p, Tensor)]
        return known_from(result, *choosers) if choosers else result
    return result


def _part_of(self: Tensor, index: Any) -> Tensor:
    shape = self._array.shape
    basic, rest = steps(index, shape)
    try:
        result = self if basic is None else view_at(self, basic)
        return result if rest is None else _index(result, rest)
    except IndexError:
        raise explained(index, shape) from None


def view_at(self: Tensor, basic: tuple[Any, ...]) -> Tensor:
    """What an index without tensors names. PyTorch applies its parts one by one, so the last one names the node."""
    for p in reversed(basic):
        if p is ...:
            continue
        if type(p) is int:
            return _select(self, basic)
        if p is None:
            return _unsqueeze(self, basic)
        if p != _ALL:
            break
    return _alias(self, basic) if basic == (...,) else _slice(self, basic)


_ALL = slice(None)


def _at(x: Any, basic: Any, rest: Any) -> Any:
    """x at an index of two steps, recorded where x is a tensor."""
    if basic is not None:
        x = either(_slice, x, basic)
    return x if rest is None else either(_index, x, rest)


def _assign(out: Any, values: Any, basic: Any, rest: Any, accumulate: bool) -> None:
    """Write values into an array at an index of two steps."""
    place = out if basic is None else out[basic]
    if rest is None:
        if accumulate:
            place += values
        else:
            place[...] = values
    elif accumulate:
        np.add.at(place, rest, values)
    else:
        place[rest] = values


def _put(x: Any, values: Any, basic: Any, rest: Any, accumulate: bool) -> Any:
    out = np.array(x)
    _assign(out, values, basic, rest, accumulate)
    return out


def _put_back(g: Any, basic: Any, rest: Any, accumulate: bool) -> Any:
    """The gradient of the values that were put: of several put at the same place, the last alone stands."""
    values = _at(g, basic, rest)
    named = any(isinstance(p, np.ndarray) and p.dtype != np.bool_ for p in rest or ())
    if accumulate or not named:
        return values
    return np.where(_stands(g.shape, values.shape, basic, rest), values, 0.0)


_index_put: Callable[..., Tensor] = operation(
    "index_put",
    _put,
    "x, with the values at an index",
    signature="input, values, basic, rest, accumulate",
    inputs=2,
    x=lambda g, basic, rest, accumulate: (
        g if accumulate else either(_index_put, g, np.zeros((), g.dtype), basic, rest, False)
    ),
    values=_put_back,
    method=False,
    examples=[
        example((3, 4), (4,), basic=None, rest=(np.array([2, 0]),), accumulate=False),
        example((3, 4), (3, 4), basic=None, rest=(np.array([2, 0, 2]),), accumulate=False),
        example((3, 4), (3, 4), basic=None, rest=(np.array([2, 0, 2]),), accumulate=True),
        example((3, 4), (2,), basic=(slice(1, 3), 0, ...), rest=None, accumulate=False),
        example((3, 4), (2,), basic=(slice(1, 3), 0, ...), rest=None, accumulate=True),
        example((2, 3, 4), (3, 2), basic=(0, slice(None), slice(None), ...), rest=(slice(None), np.array([1, 3])),
                accumulate=False),
        example((), (), basic=(...,), rest=None, accumulate=False),
    ],
)  # fmt: skip


def index_put(input: Tensor, indices: Sequence[Any], values: Tensor, accumulate: bool = False) -> Tensor:
    """``input``, with ``values`` at an index: what ``input[indices] = values`` would make of a copy.

    Where several values are put at the same place the last one stands, and it alone gets the gradient.

    Args:
        input: of any shape.
        indices: the parts of the index: integer and bool tensors, and also integers, slices, None and ``...``.
        values: of the dtype of ``input``; they broadcast to the shape of ``input[indices]``.
        accumulate: add the values to what is there, where a place is named several times each of them.

    Raises:
        IndexError: it is no index of ``input``, or out of range.
        RuntimeError: the shapes or dtypes do not fit.
        TypeError: ``values`` is no tensor.
    """
    shape = need("index_put", "input", input)._array.shape
    _same_dtype("index_put", "values", input, values)
    index = tuple(indices)
    basic, rest = steps(index, shape)
    try:
        target = _at(np.broadcast_to(False, shape), basic, rest).shape
    except IndexError:
        raise explained(index, shape) from None
    try:
        np.broadcast_to(values._array, target)
    except ValueError:
        raise RuntimeError(
            f"index_put(): values of shape {list(values.shape)} do not broadcast to the shape {list(target)} of what the index "
            "names"
        ) from None
    choosers = [p for p in index if isinstance(p, Tensor)]
    return known_from(_index_put(input, values, basic, rest, bool(accumulate)), *choosers)


_take = operation(
    "take",
    lambda x, index: np.reshape(x, (-1,))[index],
    "the elements of x at the given indices, counted through all",
    signature="input, index",
    inputs=1,
    x=lambda g, x_shape, index: np.reshape(either(put_at, g, (index,), (int(np.prod(x_shape)),)), x_shape),
    method=False,
    examples=[example((3, 4), index=np.array([[0, 5], [-1, 5]])), example((3,), index=np.array(1))],
)


def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at ``index``, which counts through all elements row by row; the result has the shape of ``index``.

    Raises:
        IndexError: an index is out of range.
        RuntimeError: ``index`` does not hold int64.
    """
    indices = integers("take", index, "int64")
    n = need("take", "input", input)._array.size
    if indices.size and (indices.min() < -n or indices.max() >= n):
        wrong = indices[(indices < -n) | (indices >= n)].flat[0]
        raise IndexError(f"take(): index {wrong} is out of range for a tensor of {n} elements")
    return known_from(_take(input, indices), index)


# -------------------------------------------------------------------------------------------------- places and counts

PLACES = Stop(
    "missing",
    "Where elements stand is a matter of integers: flat wherever it is not jumping, so that no gradient is wired.",
    ("weigh the elements instead, with a smooth function of their values",),
)
_nonzero = operation(
    "nonzero",
    lambda x: np.argwhere(x) if x.ndim else np.zeros((int(bool(x)), 0), np.int64),
    "the indices of the elements that are not 0, one row an element",
    stops={"x": PLACES},
    differentiable=False,
    method=False,
)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not 0, one row an element; ``as_tuple``: one vector a dimension, for an index."""
    if not as_tuple:
        return _nonzero(input)
    rows = _nonzero(input if need("nonzero", "input", input)._array.ndim else _unsqueeze(input, (None,)))
    return tuple(_select(rows, (..., i)) for i in range(rows._array.shape[1]))


def _counted(x: Any, n: int) -> Any:
    return np.bincount(x, minlength=n)


_bincount = operation(
    "bincount",
    _counted,
    "how often each integer occurs",
    signature="input, minlength",
    stops={"x": PLACES},
    differentiable=False,
    method=False,
)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each integer from 0 on occurs in ``input``; with ``weights``, the sum of their weights.

    Args:
        input: a vector of integers, none negative.
        weights: of the same length. A gradient goes back to them.
        minlength: count at least so many integers.

    Raises:
        RuntimeError: ``input`` is no vector of such integers, ``weights`` has another length, or ``minlength`` is negative.
    """
    array = need("bincount", "input", input)._array
    if array.dtype.kind not in "iu":
        raise NotImplementedError(f"bincount(): input must hold integers, not {array.dtype}")
    if minlength < 0:
        raise RuntimeError(f"bincount(): minlength must not be negative, and it is {minlength}")
    if array.ndim != 1 or (array.size and array.min() < 0):
        raise RuntimeError(
            f"bincount(): input must be a vector of integers that are not negative; it has shape {list(array.shape)}"
            + (f" and minimum {array.min()}" if array.size else "")
        )
    if weights is None:
        return _bincount(input, minlength)
    if need("bincount", "weights", weights)._array.shape != array.shape:
        raise RuntimeError(
            f"bincount(): weights must have the shape {list(array.shape)} of input, not {list(weights.shape)}"
        )
    if weights.dtype.kind != "f":
        weights = weights.to(np.float64)
    length = max(int(array.max()) + 1 if array.size else 0, minlength)
    return known_from(put_at(weights, (array,), (length,)), input)


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

public(_getitem, name="__getitem__")
for _function in (
    bincount, gather, index_add, index_fill, index_put, index_select, masked_fill, masked_select, nonzero, scatter, scatter_add,
    take, take_along_dim,
):  # fmt: skip
    public(
        _function,
        in_place=_function in (index_add, index_fill, index_put, masked_fill, scatter, scatter_add),
    )
