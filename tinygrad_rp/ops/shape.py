"""Operations that move elements, or change their dtype, and leave their values."""

from __future__ import annotations

import builtins
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from operator import index as as_int
from typing import Any

import numpy as np

from tinygrad_rp.graph import Stop
from tinygrad_rp.operation import SAME, either, example, operation, public, variadic
from tinygrad_rp.ops.index import _alias, _select, _slice, dimension, index_select, need, reading
from tinygrad_rp.tensor import Tensor, as_dtype, bool_, float32, float64, int32, int64, wrap

__all__ = [
    "broadcast_tensors", "broadcast_to", "cat", "chunk", "clone", "concat", "concatenate", "diag", "diag_embed", "diagonal",
    "flatten", "flip", "fliplr", "flipud", "hstack", "meshgrid", "moveaxis", "movedim", "narrow", "permute", "ravel",
    "repeat_interleave", "reshape", "roll", "select", "split", "squeeze", "stack", "swapaxes", "swapdims", "t", "tensor_split",
    "tile", "trace", "transpose", "tril", "triu", "unbind", "unflatten", "unsqueeze", "vstack",
]  # fmt: skip


def sizes(name: str, given: tuple[Any, ...], **named: Any) -> tuple[int, ...]:
    """A shape given as one sequence, as several integers, or by the one name that it has.

    Raises:
        TypeError: it is given twice or not at all, or is not made of integers.
    """
    for argument, value in named.items():
        if value is not None:
            if given or not isinstance(value, tuple | list):
                raise TypeError(f"{name}(): {argument} must be given once, as a sequence of integers where it is named")
            given = (value,)
    if len(given) == 1 and isinstance(given[0], tuple | list):
        given = tuple(given[0])
    elif not given:
        raise TypeError(f"{name}() needs a shape: several integers, or one sequence of them")
    for n in given:
        if not isinstance(n, int | np.integer | Tensor) or isinstance(n, bool):
            raise TypeError(f"{name}(): a shape is made of integers, not {type(n).__name__}")
    return tuple(int(n) for n in given)


# ----------------------------------------------------------------------------------------------------------- new shapes


def _reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    if any(n < -1 for n in shape):
        raise RuntimeError(f"reshape(): invalid shape {list(shape)}: lengths are positive, or -1 once")
    if not x.size and -1 in shape and 0 in shape:
        raise RuntimeError(
            f"reshape(): in {list(shape)} the length -1 could be anything, since there are no elements; name it"
        )
    try:
        return np.reshape(x, shape)
    except ValueError:
        raise RuntimeError(
            f"reshape(): a tensor of shape {list(x.shape)}, of {x.size} elements, cannot have the shape {list(shape)}"
        ) from None


_reshape = operation(
    "reshape",
    _reshaped,
    "the same elements in another shape",
    signature="input, shape",
    x=lambda g, x_shape: np.reshape(g, x_shape),
    node="ViewBackward0",
    method=False,
    view=True,
    examples=[
        example((3, 4), shape=(2, 6)),
        example((2, 3), shape=(-1,)),
        example((0,), shape=(0, 3)),
        example((), shape=(1,)),
    ],
)
_reshape_copy = operation(
    "reshape_copy",
    lambda x, shape: np.array(_reshaped(x, shape)),
    "the same elements in another shape, copied where they do not lie in memory so",
    signature="input, shape",
    x=lambda g, x_shape: np.reshape(g, x_shape),
    node="UnsafeViewBackward0",
    title="reshape",
    method=False,
    examples=[example((3, 4), shape=(2, 6))],
)


def _in_place(x: Any, shape: tuple[int, ...]) -> bool:
    """Whether elements can be seen in another shape where they lie. A shape that does not fit is left to others to refuse."""
    if x.flags.c_contiguous:
        return True
    try:
        np.reshape(x, shape, copy=False)
    except ValueError as error:
        return "cannot reshape" in str(error)
    return True


def reshape(input: Tensor, *lengths: Any, shape: Any = None) -> Tensor:
    """The same elements in another shape, of which one length may be -1, to be inferred.

    A view where the elements lie in memory so, else a copy.

    Raises:
        RuntimeError: the shape has another number of elements.
    """
    wanted = sizes("reshape", lengths, shape=shape)
    if isinstance(input, Tensor) and not _in_place(input._array, wanted):
        return _reshape_copy(input, wanted)
    return _reshape(input, wanted)


def view(self: Tensor, *shape: Any, size: Any = None) -> Tensor:
    """As `reshape`, but never a copy.

    Raises:
        RuntimeError: the elements do not lie in memory as the shape would need it.
    """
    if len(shape) == 1 and isinstance(shape[0], np.dtype | type):
        if np.dtype(shape[0]) == self._array.dtype:
            return _reshape(self, self._array.shape)
        raise TypeError("view(dtype) is not supported; use to(dtype)")
    wanted = sizes("view", shape, size=size)
    if not _in_place(self._array, wanted):
        raise RuntimeError(
            f"view(): a tensor of shape {list(self.shape)}, which is not contiguous, cannot be seen as {list(wanted)}; "
            "use reshape()"
        )
    return _reshape(self, wanted)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from ``start_dim`` to ``end_dim`` as one."""
    shape = need("flatten", "input", input)._array.shape
    first, last = dimension("flatten", start_dim, len(shape)), dimension("flatten", end_dim, len(shape))
    if not shape:
        return reshape(input, 1)
    if first > last:
        raise RuntimeError(f"flatten(): start_dim {start_dim} comes after end_dim {end_dim}")
    return reshape(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dimension as several, of which one length may be -1, to be inferred: the opposite of `flatten`.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: the lengths do not multiply to that of the dimension, or there are none.
    """
    shape = need("unflatten", "input", input)._array.shape
    dim = dimension("unflatten", dim, len(shape))
    lengths = _lengths("unflatten", (tuple(sizes),))
    length = shape[dim] if shape else 1
    known = math.prod(n for n in lengths if n != -1)
    if not lengths or not shape:
        raise RuntimeError(
            f"unflatten(): sizes must not be empty, nor the tensor without dimensions; they are {list(lengths)} and {list(shape)}"
        )
    if lengths.count(-1) > 1 or any(n < -1 for n in lengths):
        raise RuntimeError(f"unflatten(): sizes {list(lengths)} must be positive, or -1 once")
    if -1 in lengths and known and length % known == 0:
        lengths = tuple(length // known if n == -1 else n for n in lengths)
    if -1 in lengths or math.prod(lengths) != length:
        raise RuntimeError(
            f"unflatten(): sizes {list(lengths)} do not multiply to {length}, the length of dimension {dim}"
        )
    return view(input, (*shape[:dim], *lengths, *shape[dim + 1 :]))


_lengths = sizes


def ravel(input: Tensor) -> Tensor:
    """All elements as a vector: a view where they lie in memory so."""
    return view(contiguous(need("ravel", "input", input)), -1)


def _squeezed(x: Any, dim: Any) -> Any:
    if dim is None:
        return np.squeeze(x)
    axes = [dimension("squeeze", d, x.ndim) for d in (dim if isinstance(dim, tuple) else (dim,))]
    if len(set(axes)) < len(axes):
        raise RuntimeError(f"squeeze(): a dimension appears twice in {list(dim)}")
    return np.squeeze(x, tuple(d for d in axes if d < x.ndim and x.shape[d] == 1))


_squeeze = operation(
    "squeeze",
    _squeezed,
    "without its dimensions of length 1",
    signature="input, dim",
    x=lambda g, x_shape: np.reshape(g, x_shape),
    method=False,
    view=True,
    examples=[example((1, 3, 1), dim=None), example((), dim=None)],
)
_squeeze_dim = operation(
    "squeeze_dim",
    _squeezed,
    "without a dimension, if its length is 1",
    signature="input, dim",
    x=lambda g, x_shape: np.reshape(g, x_shape),
    node="SqueezeBackward1",
    title="squeeze",
    method=False,
    view=True,
    examples=[example((1, 3, 1), dim=0), example((1, 3), dim=1), example((), dim=-1)],
)
_squeeze_dims = operation(
    "squeeze_dims",
    _squeezed,
    "without some dimensions, where their length is 1",
    signature="input, dim",
    x=lambda g, x_shape: np.reshape(g, x_shape),
    node="SqueezeBackward2",
    title="squeeze",
    method=False,
    view=True,
    examples=[example((1, 3, 1), dim=(0, -1)), example((1, 3, 1), dim=())],
)


def squeeze(input: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """Without the dimensions of length 1: all of them, or those of ``dim``; other dimensions stay.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: one is named twice.
    """
    if dim is None:
        return _squeeze(input, None)
    return _squeeze_dims(input, tuple(dim)) if isinstance(dim, tuple | list) else _squeeze_dim(input, dim)


def _unsqueezed(x: Any, dim: int) -> Any:
    return np.expand_dims(x, dimension("unsqueeze", dim, x.ndim + 1))


unsqueeze = operation(
    "unsqueeze",
    _unsqueezed,
    "with a new dimension of length 1",
    signature="input, dim",
    x=lambda g, x_shape: np.reshape(g, x_shape),
    numpy=np.expand_dims,
    view=True,
    examples=[example((3, 4), dim=1), example((), dim=0)],
)


def _expanded(x: Any, shape: tuple[int, ...]) -> Any:
    extra = len(shape) - x.ndim
    if extra < 0:
        raise RuntimeError(f"expand(): {list(shape)} has fewer dimensions than the tensor's shape {list(x.shape)}")
    if any(n < 0 and (n != -1 or i < extra) for i, n in enumerate(shape)):
        raise RuntimeError(
            f"expand(): invalid shape {list(shape)}: -1 keeps a length, so it can stand only for one that exists"
        )
    wanted = tuple(x.shape[i - extra] if n == -1 else n for i, n in enumerate(shape))
    if any(n != m and m != 1 for n, m in zip(wanted[extra:], x.shape, strict=True)):
        raise RuntimeError(f"expand(): a tensor of shape {list(x.shape)} does not broadcast to {list(wanted)}")
    out = np.broadcast_to(x, wanted)
    if x.flags.writeable:
        out.flags.writeable = True  # a part of it in which no element is seen twice can be changed in place
    return out


_expand = operation(
    "expand",
    _expanded,
    "repeated along dimensions of length 1",
    signature="input, shape",
    x=SAME,
    method=False,
    view=True,
    examples=[example((3, 1), shape=(2, 3, 4)), example((), shape=(2,)), example((1, 3), shape=(2, -1))],
)


def expand(input: Tensor, *shape: Any, size: Any = None) -> Tensor:
    """Repeated along dimensions of length 1, and along new ones in front, without copying; -1 keeps a length.

    Raises:
        RuntimeError: the tensor does not broadcast to that shape.
    """
    return _expand(input, sizes("expand", shape, size=size))


def broadcast_to(input: Tensor, size: Any) -> Tensor:
    """As `expand`, with the shape as one sequence."""
    return _expand(input, sizes("broadcast_to", (tuple(size),)))


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors, each expanded to the shape to which they broadcast together.

    Raises:
        RuntimeError: they do not.
    """
    shapes = [need("broadcast_tensors", f"tensors[{i}]", x)._array.shape for i, x in enumerate(tensors)]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        listed = ", ".join(str(list(s)) for s in shapes)
        raise RuntimeError(f"broadcast_tensors(): the shapes {listed} do not broadcast together") from None
    return tuple(_expand(x, shape) for x in tensors)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Vectors, each expanded to the grid that they span.

    Args:
        tensors: vectors, or tensors without dimensions; also as one sequence. All of one dtype.
        indexing: ``"ij"``, the i-th vector runs along dimension i; ``"xy"``, the first two exchanged.

    Raises:
        RuntimeError: one has more dimensions, the dtypes differ, or ``indexing`` is neither.
    """
    given = tuple(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], tuple | list) else tensors
    for i, x in enumerate(given):
        if need("meshgrid", f"tensors[{i}]", x)._array.ndim > 1:
            raise RuntimeError(f"meshgrid(): tensors[{i}] must be a vector, and its shape is {list(x.shape)}")
        if x.dtype != given[0].dtype:
            raise RuntimeError(f"meshgrid(): the tensors must have one dtype, and have {given[0].dtype} and {x.dtype}")
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'meshgrid(): indexing must be "ij" or "xy", and it is {indexing!r}')
    if not given:
        raise RuntimeError("meshgrid(): needs at least one tensor")
    turned = indexing == "xy" and len(given) > 1
    if turned:
        given = (given[1], given[0], *given[2:])
    shape = tuple(x._array.size for x in given)
    grids = tuple(
        _expand(_reshape(x, tuple(-1 if j == i else 1 for j in range(len(given)))), shape) for i, x in enumerate(given)
    )
    if turned:
        return (grids[1], grids[0], *grids[2:])
    return grids


# ------------------------------------------------------------------------------------------------------ transpositions


def _swapped(x: Any, dim0: int, dim1: int) -> Any:
    first, second = dimension("transpose", dim0, x.ndim), dimension("transpose", dim1, x.ndim)
    return x[...] if x.ndim == 0 else np.swapaxes(x, first, second)


transpose = operation(
    "transpose",
    _swapped,
    "two dimensions exchanged",
    signature="input, dim0, dim1",
    x=lambda g, dim0, dim1: _swap(g, dim0, dim1),
    view=True,
    examples=[example((2, 3, 4), dim0=0, dim1=-1), example((), dim0=0, dim1=-1)],
    numpy=np.swapaxes,
)
swapaxes = swapdims = transpose


def _swap(g: Any, dim0: int, dim1: int) -> Any:
    return transpose(g, dim0, dim1) if isinstance(g, Tensor) else _swapped(g, dim0, dim1)


def _permuted(x: Any, dims: tuple[int, ...]) -> Any:
    if len(dims) != x.ndim:
        raise RuntimeError(f"permute(): {list(dims)} must name each dimension of the shape {list(x.shape)} once")
    return np.transpose(x, dims)


_permute = operation(
    "permute",
    _permuted,
    "the dimensions in another order",
    signature="input, dims",
    x=lambda g, dims: np.transpose(g, tuple(int(i) for i in np.argsort([d % len(dims) for d in dims]))),
    method=False,
    view=True,
    examples=[example((2, 3, 4), dims=(2, 0, -2)), example((), dims=())],
)


def permute(input: Tensor, *order: Any, dims: Any = None) -> Tensor:
    """The dimensions in the order ``dims``.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: one is named twice or not at all.
    """
    return _permute(input, sizes("permute", order, dims=dims))


def _several(name: str, dims: Any, ndim: int) -> tuple[int, ...]:
    """One dimension or several, counted from the front.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: one is named twice.
    """
    found = tuple(dimension(name, d, ndim) for d in (dims if isinstance(dims, tuple | list) else (dims,)))
    if len(set(found)) < len(found):
        raise RuntimeError(f"{name}(): a dimension appears twice in {list(dims)}")
    return found


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """The dimensions ``source`` moved to the places ``destination``; the others keep their order.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: one is named twice, or there are more of the one than of the other.
    """
    ndim = need("movedim", "input", input)._array.ndim
    if isinstance(source, int) is not isinstance(destination, int):
        raise TypeError("movedim(): source and destination must both be an integer, or both be several")
    moved, places = _several("movedim", source, ndim), _several("movedim", destination, ndim)
    if len(moved) != len(places):
        raise RuntimeError(f"movedim(): {len(moved)} dimensions cannot move to {len(places)} places")
    if not ndim:
        return _alias_of(input)
    order = [d for d in range(ndim) if d not in moved]
    for place, d in sorted(zip(places, moved, strict=True)):
        order.insert(place, d)
    return _permute(input, tuple(order))


moveaxis = movedim


_t = operation(
    "t",
    lambda x: x.T,
    "the transpose of a matrix",
    x=lambda g: np.transpose(g),
    method=False,
    view=True,
    examples=[example((2, 3)), example((3,))],
)


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; a vector or scalar is returned as it is.

    Raises:
        RuntimeError: there are more than two dimensions.
    """
    if need("t", "input", input)._array.ndim > 2:
        raise RuntimeError(f"t() is for at most two dimensions, and the shape is {list(input.shape)}; use transpose()")
    return _t(input)


def _reversed(input: Tensor, axes: Any = None) -> Tensor:
    return _permute(input, tuple(range(input._array.ndim))[::-1] if axes is None else sizes("permute", (axes,)))


Tensor.T = property(_reversed, doc="The tensor with its dimensions in reverse order.")  # type: ignore[attr-defined]


def _matrices_turned(self: Tensor) -> Tensor:
    if self._array.ndim == 1:
        raise RuntimeError(f"mT is for matrices, and this tensor is a vector of shape {list(self.shape)}")
    return transpose(self, -2, -1) if self._array.ndim else _alias_of(self)


Tensor.mT = property(_matrices_turned, doc="The tensor with its last two dimensions exchanged.")  # type: ignore[attr-defined]

# ------------------------------------------------------------------------------------------------------------- joining


def _joined(arrays: Any, dim: int) -> Any:
    # an empty vector joins anything, as in PyTorch
    rest = [a for a in arrays if a.shape != (0,)]
    if not rest:
        return np.array(arrays[0])
    for i, a in enumerate(arrays):
        if not a.ndim:
            raise RuntimeError(f"cat(): tensors[{i}] has no dimensions; use stack()")
    return np.concatenate(rest, axis=dim)


def _behind_each_other(shapes: Sequence[tuple[int, ...]], dim: int) -> Iterator[Any]:
    ndim = max(map(len, shapes))
    dim %= ndim
    end = 0
    for shape in shapes:
        if shape == (0,):
            yield (np.zeros(0, np.int64),) * ndim  # nothing, as a vector
        else:
            start, end = end, end + shape[dim]
            yield (slice(None),) * dim + (slice(start, end),)


cat = variadic(
    "cat",
    _joined,
    "the tensors one behind the other along a dimension they have",
    places=_behind_each_other,
    signature="tensors, dim=0",
    empty=ValueError,
    numpy=np.concatenate,
    examples=[example((2, 3), (4, 3), dim=0), example((2, 3), (2, 1), dim=-1)],
)
concat = concatenate = cat


def _side_by_side(shapes: Sequence[tuple[int, ...]], dim: int) -> Iterator[Any]:
    before = (slice(None),) * (dim % (len(shapes[0]) + 1))
    return ((*before, i) for i in range(len(shapes)))


stack = variadic(
    "stack",
    lambda arrays, dim: np.stack(arrays, axis=dim),
    "the tensors side by side along a new dimension",
    places=_side_by_side,
    signature="tensors, dim=0",
    numpy=np.stack,
    examples=[example((2, 3), (2, 3), dim=0), example((2,), (2,), dim=-1)],
)


def _list(name: str, tensors: Any) -> list[Tensor]:
    if isinstance(tensors, Tensor):
        raise TypeError(f"{name}(): tensors must be a sequence of tensors, not one")
    given = [need(name, f"tensors[{i}]", x) for i, x in enumerate(tensors)]
    if not given:
        raise RuntimeError(f"{name}(): tensors must hold at least one tensor")
    return given


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors one behind the other along dimension 1, vectors along their only one.

    Raises:
        RuntimeError: there are none, or the shapes do not fit.
    """
    given = [_reshape(x, (1,)) if not x._array.ndim else x for x in _list("hstack", tensors)]
    return cat(given, 0 if given[0]._array.ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors one below the other along dimension 0; a vector is a row.

    Raises:
        RuntimeError: there are none, or the shapes do not fit.
    """
    given = _list("vstack", tensors)
    return cat([_reshape(x, (1, x._array.size)) if x._array.ndim < 2 else x for x in given], 0)


# -------------------------------------------------------------------------------------------------------------- pieces


def _piece_example() -> Any:
    return example((5, 4), index=(slice(None), slice(1, 3), ...))


_split = reading("split", "SplitBackward0", _piece_example(), title="split")
_split_sizes = reading("split_with_sizes", "SplitWithSizesBackward0", _piece_example(), title="split")
_unbind = reading("unbind", "UnbindBackward0", example((5, 4), index=(slice(None), 1, ...)), title="unbind")


def _alias_of(input: Tensor) -> Tensor:
    return _alias(input, (...,))


def _place(dim: int, part: Any) -> Any:
    return (*(slice(None),) * dim, part, ...)


def _pieces(read: Any, input: Tensor, dim: int, bounds: Sequence[int]) -> tuple[Tensor, ...]:
    return tuple(read(input, _place(dim, slice(a, b))) for a, b in itertools.pairwise(bounds))


def _dimension_to_cut(name: str, input: Any, dim: Any) -> tuple[int, int]:
    """The dimension and its length."""
    shape = need(name, "input", input)._array.shape
    if not shape:
        raise RuntimeError(f"{name}(): a tensor without dimensions cannot be cut into pieces")
    dim = dimension(name, dim, len(shape))
    return dim, shape[dim]


def _whole(name: str, argument: str, value: Any) -> int:
    try:
        return as_int(value)
    except TypeError:
        raise TypeError(f"{name}(): {argument} must be an integer, not {value!r}") from None


def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of the pieces along ``dim``: of one length, but for the last, or of given lengths.

    Args:
        tensor: of at least one dimension.
        split_size_or_sections: the length of a piece, or all lengths.
        dim: along which to cut.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: a length is negative, or they do not add up to that of the dimension.
    """
    dim, length = _dimension_to_cut("split", tensor, dim)
    if isinstance(split_size_or_sections, tuple | list):
        lengths = sizes("split", (split_size_or_sections,))
        if any(n < 0 for n in lengths) or sum(lengths) != length:
            raise RuntimeError(
                f"split(): lengths must not be negative, and add up to {length}, the length of dimension {dim}; they are "
                f"{list(lengths)}"
            )
        return _pieces(_split_sizes, tensor, dim, (0, *itertools.accumulate(lengths)))
    size = _whole("split", "split_size_or_sections", split_size_or_sections)
    if size < 0 or (size == 0 and length):
        raise RuntimeError(f"split(): the length of a piece must be positive, and it is {size}")
    if not length:
        return _pieces(_split, tensor, dim, (0, 0))
    return _pieces(_split, tensor, dim, (*range(0, length, size), length))


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most so many pieces along ``dim``, all of one length but the last.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: ``chunks`` is not positive.
    """
    dim, length = _dimension_to_cut("chunk", input, dim)
    if chunks <= 0:
        raise RuntimeError(f"chunk(): chunks must be positive, and it is {chunks}")
    if not length:
        return _pieces(_split_sizes, input, dim, (0,) * (chunks + 1))
    return split(input, -(-length // chunks), dim)


def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of so many pieces along ``dim``, of nearly one length; or of those between the given indices.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: the number of pieces is not positive.
    """
    dim, length = _dimension_to_cut("tensor_split", input, dim)
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, tuple | list):
        cuts = (0, *sizes("tensor_split", (indices_or_sections,)), length)
        return tuple(_slice(input, _place(dim, slice(a, b))) for a, b in itertools.pairwise(cuts))
    n = as_int(indices_or_sections)
    if n <= 0:
        raise RuntimeError(f"tensor_split(): the number of pieces must be positive, and it is {n}")
    return _pieces(_slice, input, dim, tuple(i * (length // n) + min(i, length % n) for i in range(n + 1)))


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of all slices along ``dim``, without it.

    Raises:
        IndexError: there is no such dimension.
    """
    shape = need("unbind", "input", input)._array.shape
    if not shape:
        raise IndexError("unbind(): a tensor without dimensions has no slices")
    dim = dimension("unbind", dim, len(shape))
    return tuple(_unbind(input, _place(dim, i)) for i in range(shape[dim]))


def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """A view of ``length`` slices along ``dim``, from ``start`` on.

    Raises:
        IndexError: there is no such dimension, or ``start`` lies outside it.
        RuntimeError: the slices reach beyond the end.
    """
    dim, n = _dimension_to_cut("narrow", input, dim)
    begin, length = as_int(start), as_int(length)
    if not -n <= begin <= n:
        raise IndexError(f"narrow(): start {begin} must lie in [{-n}, {n}]")
    begin = begin + n if begin < 0 else begin
    if length < 0 or begin + length > n:
        raise RuntimeError(
            f"narrow(): {length} slices from {begin} on are not in dimension {dim}, which has length {n}"
        )
    return _slice(input, _place(dim, slice(begin, begin + length)))


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """A view of the slice at ``index`` of ``dim``, without that dimension.

    Raises:
        IndexError: there is no such dimension, or no such slice.
    """
    shape = need("select", "input", input)._array.shape
    if not shape:
        raise IndexError("select(): a tensor without dimensions has no slices")
    dim = dimension("select", dim, len(shape))
    place = as_int(index)
    if not -shape[dim] <= place < shape[dim]:
        raise IndexError(f"select(): index {place} is out of range for dimension {dim}, which has length {shape[dim]}")
    return _select(input, _place(dim, place))


# ------------------------------------------------------------------------------------------------ turned, rolled, repeated

_flip: Callable[..., Tensor] = operation(
    "flip",
    lambda x, dims: np.array(np.flip(x, dims), order="C"),
    "the elements in reverse order along some dimensions",
    signature="input, dims",
    x=lambda g, dims: np.flip(g, dims),
    method=False,
    examples=[
        example((3, 4), dims=(0,)),
        example((3, 4), dims=(0, 1)),
        example((3,), dims=()),
        example((0, 2), dims=(0,)),
    ],
)


def flip(input: Tensor, *several: Any, dims: Any = None) -> Tensor:
    """A copy with the elements in reverse order along ``dims``.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: one is named twice.
    """
    ndim = need("flip", "input", input)._array.ndim
    axes = _several("flip", sizes("flip", several, dims=dims), ndim)
    return _flip(input, axes if ndim else ())


def _flip_of_matrix(name: str, dim: int) -> Callable[[Tensor], Tensor]:
    def turned(input: Tensor) -> Tensor:
        if need(name, "input", input)._array.ndim <= dim:
            raise RuntimeError(
                f"{name}(): input must have at least {dim + 1} dimensions, and its shape is {list(input.shape)}"
            )
        return _flip(input, (dim,))

    turned.__name__ = turned.__qualname__ = name
    turned.__doc__ = f"A copy with the elements in reverse order along dimension {dim}."
    return turned


fliplr, flipud = _flip_of_matrix("fliplr", 1), _flip_of_matrix("flipud", 0)

_roll: Callable[..., Tensor] = operation(
    "roll",
    lambda x, shifts, dims: np.roll(x, shifts, dims) if dims else np.roll(x, shifts[0]),
    "the elements moved along, those beyond the end to the front",
    signature="input, shifts, dims",
    x=lambda g, shifts, dims: either(_roll, g, tuple(-n for n in shifts), dims),
    method=False,
    examples=[example((3, 4), shifts=(1,), dims=(0,)), example((3, 4), shifts=(5,), dims=()),
              example((3, 4), shifts=(1, -2), dims=(0, 1)),
              example((0, 2), shifts=(1,), dims=(0,))],
)  # fmt: skip


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """A copy with the elements moved by ``shifts`` along ``dims``, those beyond the end to the front.

    Args:
        input: of any shape.
        shifts: by how many places; one or several.
        dims: as many dimensions; ``None`` counts through all elements.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: there are more of the one than of the other.
    """
    shape = need("roll", "input", input)._array.shape
    by = sizes("roll", (tuple(shifts) if isinstance(shifts, tuple | list) else (shifts,),))
    if dims is None or (isinstance(dims, tuple | list) and not dims):
        if len(by) != 1:
            raise RuntimeError(f"roll(): {len(by)} shifts need as many dims")
        return _roll(input, by, ())
    axes = tuple(dims) if isinstance(dims, tuple | list) else (dims,)
    if len(axes) != len(by):
        raise RuntimeError(f"roll(): {len(by)} shifts do not go with {len(axes)} dims")
    if not shape:
        raise IndexError("roll(): a tensor without dimensions has none to roll along")
    return _roll(input, by, tuple(dimension("roll", d, len(shape)) for d in axes))


def _tiled(x: Any, repeats: tuple[int, ...]) -> Any:
    return np.tile(x, repeats) if repeats else np.array(x)


def _folded(g: Any, x_shape: tuple[int, ...], repeats: tuple[int, ...]) -> Any:
    """The sum over all repetitions."""
    shape = (1,) * (len(repeats) - len(x_shape)) + x_shape
    pairs = tuple(itertools.chain.from_iterable(zip(repeats, shape, strict=True)))
    total = np.sum(np.reshape(g, pairs), axis=tuple(range(0, len(pairs), 2))) if pairs else g
    return np.reshape(total, x_shape)


_repeat: Callable[..., Tensor] = operation(
    "repeat",
    _tiled,
    "x several times along each dimension",
    signature="input, repeats",
    x=_folded,
    method=False,
    examples=[example((2, 3), repeats=(2, 1)), example((3,), repeats=(2, 3)), example((), repeats=(2,)),
              example((2,), repeats=(0,)), example((), repeats=())],
)  # fmt: skip


def repeat(self: Tensor, *times: Any, repeats: Any = None) -> Tensor:
    """A copy that holds the tensor several times along each dimension; more numbers than dimensions make new ones in front.

    Raises:
        RuntimeError: there are fewer numbers than dimensions, or one is negative.
    """
    times = sizes("repeat", times, repeats=repeats)
    if len(times) < self._array.ndim or any(n < 0 for n in times):
        raise RuntimeError(
            f"repeat(): {list(times)} must hold a number for each dimension of shape {list(self.shape)}, none negative"
        )
    return _repeat(self, times)


def tile(input: Tensor, *times: Any, dims: Any = None) -> Tensor:
    """As ``Tensor.repeat``, but fewer numbers than dimensions are those of the last ones."""
    times = sizes("tile", times, dims=dims)
    return repeat(input, (1,) * (need("tile", "input", input)._array.ndim - len(times)) + times)


def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element several times, one behind the other, along ``dim``.

    Args:
        input: of any shape. Alone, a vector of integers: how often each index is to be repeated.
        repeats: how often; a number, or a vector of integers, one for each slice.
        dim: along which; ``None`` takes all elements as a vector.
        output_size: the length of the result, if known; not needed.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: a number is negative, or there are not as many as slices.
    """
    name = "repeat_interleave"
    need(name, "input", input)
    if repeats is None:
        return repeat_interleave(wrap(np.arange(input._array.size)), input, 0)
    if dim is None:
        input, dim = reshape(input, -1), 0
    elif not input._array.ndim:
        input = _reshape(input, (1,))
    dim = dimension(name, dim, input._array.ndim)
    length = input._array.shape[dim]
    times = repeats._array if isinstance(repeats, Tensor) else np.asarray(as_int(repeats))
    if times.dtype.kind != "i":
        raise NotImplementedError(f"{name}(): repeats must hold integers, not {times.dtype}")
    if times.ndim > 1 or times.size not in (1, length):
        raise RuntimeError(
            f"{name}(): repeats must be a number, or {length} of them, one for each slice of dimension {dim}; its shape is "
            f"{list(times.shape)}"
        )
    if times.size and times.min() < 0:
        raise RuntimeError(f"{name}(): repeats must not be negative, and one is {times.min()}")
    if isinstance(repeats, Tensor):
        result = index_select(input, dim, wrap(np.repeat(np.arange(length), times.reshape(-1))))
    else:
        shape = input._array.shape
        wide = _expand(unsqueeze(input, dim + 1), (*shape[: dim + 1], int(times), *shape[dim + 1 :]))
        result = _reshape(_in_rows(wide), (*shape[:dim], length * int(times), *shape[dim + 1 :]))
    if output_size is not None and output_size != result._array.shape[dim]:
        raise RuntimeError(
            f"{name}(): output_size is {output_size}, and the result has length {result._array.shape[dim]}"
        )
    return result


# ------------------------------------------------------------------------------------------------ triangles and diagonals


def _triangle(name: str, keep: Callable[..., Any], which: str) -> Callable[..., Tensor]:
    def kept(x: Any, diagonal: int) -> Any:
        mask = np.tri(x.shape[-2], x.shape[-1], k=diagonal if name == "tril" else diagonal - 1, dtype=bool)
        return np.where(mask if name == "tril" else ~mask, x, np.zeros((), x.dtype))

    compute: Callable[..., Tensor] = operation(
        name,
        lambda x, diagonal: kept(x, diagonal),
        f"the {which} triangle of matrices, 0 elsewhere",
        signature="input, diagonal",
        x=lambda g, diagonal: either(compute, g, diagonal),
        method=False,
        numpy=keep,
        examples=[example((3, 4), diagonal=0), example((2, 3, 3), diagonal=1), example((3, 3), diagonal=-1),
                  example((0, 2), diagonal=0)],
    )  # fmt: skip

    def triangle(input: Tensor, diagonal: int = 0) -> Tensor:
        if need(name, "input", input)._array.ndim < 2:
            raise RuntimeError(
                f"{name}(): input must have at least two dimensions, and its shape is {list(input.shape)}"
            )
        return compute(input, _whole(name, "diagonal", diagonal))

    triangle.__name__ = triangle.__qualname__ = name
    triangle.__doc__ = (
        f"The {which} triangle of matrices, 0 elsewhere, with the diagonal; ``diagonal`` moves its border to the right.\n\n"
        "    Raises:\n        RuntimeError: there are fewer than two dimensions.\n    "
    )
    return public(triangle, numpy=keep, in_place=True)


tril = _triangle("tril", np.tril, "lower")
triu = _triangle("triu", np.triu, "upper")


def _diagonal_of(x: Any, offset: int, dim1: int, dim2: int) -> Any:
    """A view of the diagonals, which can be written to (NumPy's cannot)."""
    rows, columns = x.shape[dim1], x.shape[dim2]
    n = builtins.max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    first: list[Any] = [slice(None)] * x.ndim
    if n:
        first[dim1 if offset < 0 else dim2] = slice(abs(offset), None)
    x = x[tuple(first)]
    others = [d for d in range(x.ndim) if d not in (dim1, dim2)]
    return np.lib.stride_tricks.as_strided(
        x,
        (*(x.shape[d] for d in others), n),
        (*(x.strides[d] for d in others), x.strides[dim1] + x.strides[dim2]),
        writeable=x.flags.writeable,
    )


def _on_diagonal(x: Any, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Any:
    out = np.zeros(shape, x.dtype)
    _diagonal_of(out, offset, dim1, dim2)[...] = x
    return out


_put_on_diagonal: Callable[..., Tensor] = operation(
    "diag_embed",
    _on_diagonal,
    "zeros, with x on the diagonal",
    signature="input, shape, offset, dim1, dim2",
    x=lambda g, offset, dim1, dim2: either(_diagonal, g, offset, dim1, dim2),
    method=False,
    examples=[
        example((3,), shape=(3, 3), offset=0, dim1=0, dim2=1),
        example((2, 2), shape=(2, 3, 3), offset=-1, dim1=1, dim2=2),
    ],
)


def _reading_diagonal(name: str, node: str, view: bool) -> Callable[..., Tensor]:
    formula: Any = _diagonal_of if view else lambda x, offset, dim1, dim2: np.array(_diagonal_of(x, offset, dim1, dim2))
    return operation(
        name,
        formula,
        "the diagonals of matrices",
        signature="input, offset, dim1, dim2",
        x=lambda g, x_shape, offset, dim1, dim2: either(_put_on_diagonal, g, x_shape, offset, dim1, dim2),
        node=node,
        method=False,
        view=view,
        examples=[
            example((3, 4), offset=0, dim1=0, dim2=1),
            example((2, 3, 4), offset=1, dim1=2, dim2=0),
            example((3, 3), offset=-2, dim1=0, dim2=1),
            example((3, 3), offset=5, dim1=0, dim2=1),
        ],
    )


_diagonal: Callable[..., Tensor] = _reading_diagonal("diagonal", "DiagonalBackward0", True)
_diagonal_copy = _reading_diagonal("diagonal_copy", "DiagonalBackward0_copy", False)


def _two(name: str, ndim: int, dim1: Any, dim2: Any) -> tuple[int, int]:
    first, second = dimension(name, dim1, ndim), dimension(name, dim2, ndim)
    if first == second:
        raise RuntimeError(f"{name}(): dim1 and dim2 must differ, and both are {first}")
    return first, second


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonals of the matrices that ``dim1`` and ``dim2`` span, along a new last dimension.

    Args:
        input: of at least two dimensions.
        offset: how far to the right of the main diagonal; to its left where negative.
        dim1: the rows.
        dim2: the columns.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: ``dim1`` is ``dim2``.
    """
    first, second = _two("diagonal", need("diagonal", "input", input)._array.ndim, dim1, dim2)
    return _diagonal(input, as_int(offset), first, second)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices of zeros, with the last dimension of ``input`` on their diagonals. Arguments and errors as for `diagonal`."""
    shape = need("diag_embed", "input", input)._array.shape
    if not shape:
        raise IndexError("diag_embed(): input must have at least one dimension")
    first, second = _two("diag_embed", len(shape) + 1, dim1, dim2)
    n = shape[-1] + abs(as_int(offset))
    rest = list(shape[:-1])
    for d in sorted((first, second)):
        rest.insert(d, n)
    return _put_on_diagonal(input, tuple(rest), as_int(offset), first, second)


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A matrix with a vector on its diagonal; or the diagonal of a matrix, as a copy.

    Raises:
        RuntimeError: ``input`` is neither vector nor matrix.
    """
    ndim = need("diag", "input", input)._array.ndim
    if ndim not in (1, 2):
        raise RuntimeError(f"diag(): input must be a vector or a matrix, and its shape is {list(input.shape)}")
    return diag_embed(input, diagonal) if ndim == 1 else _diagonal_copy(input, as_int(diagonal), 0, 1)


_trace = operation(
    "trace",
    lambda x: np.asarray(np.add.reduce(_diagonal_of(x, 0, 0, 1), axis=-1)),
    "the sum of the diagonal of a matrix",
    x=lambda g, x_shape: either(_put_on_diagonal, np.broadcast_to(g, (min(x_shape),)), x_shape, 0, 0, 1),
    method=False,
    examples=[example((3, 4)), example((3, 3)), example((0, 2))],
)


def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix.

    Raises:
        NotImplementedError: the elements are bools.
        RuntimeError: ``input`` is no matrix.
    """
    array = need("trace", "input", input)._array
    if array.ndim != 2:
        raise RuntimeError(f"trace(): input must be a matrix, and its shape is {list(input.shape)}")
    if array.dtype == bool_:
        raise NotImplementedError("trace() is not defined for bool tensors; convert with int() before")
    return _trace(input if array.dtype.kind == "f" else to(input, int64))


# ---------------------------------------------------------------------------------------------------- copies and dtypes

clone = operation("clone", lambda x: np.array(x), "a copy", x=SAME, numpy=np.copy, examples=[example((2, 3))])
_cast = operation(
    "to_copy",
    lambda x, dtype: x.astype(dtype),
    "the same numbers in another floating-point dtype",
    signature="input, dtype",
    x=SAME,
    method=False,
    examples=[example((3,), dtype=float64)],
)
INTEGERS = Stop(
    "missing",
    "Integers and bools carry no gradient: turning numbers into them is a step, flat wherever it is not jumping.",
    ("stay with floating-point numbers", "use a straight-through estimator, with a backward of your own"),
)
_cast_to_integer = operation(
    "to_integer",
    lambda x, dtype: x.astype(dtype),
    "the numbers cut down to integers, or to whether they are not 0",
    signature="input, dtype",
    stops={"x": INTEGERS},
    differentiable=False,
    method=False,
)


def to(
    self: Tensor, *target: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False, copy: bool = False
) -> Tensor:
    """The tensor with elements of another dtype; itself, where it has that dtype and no ``copy`` is asked for.

    Args:
        target: a dtype, or a tensor that has it; before it, or alone, a device.
        dtype: the same by name.
        device: must be ``"cpu"``.
        non_blocking: accepted; nothing is waited for.
        copy: whether the result is a copy in any case.

    Raises:
        RuntimeError: another device is asked for.
        TypeError: the dtype is none that tensors have.
    """
    for what in (*target, device):
        if isinstance(what, Tensor):
            dtype = what.dtype
        elif isinstance(what, str) and what not in np.sctypeDict:
            if what != "cpu":
                raise RuntimeError(f"to({what!r}): tensors are in main memory, so the only device is 'cpu'")
        elif what is not None and not isinstance(what, bool):
            dtype = what
    wanted = self._array.dtype if dtype is None else as_dtype(dtype)
    if wanted == self._array.dtype:
        return clone(self) if copy else self
    return (_cast if wanted.kind == "f" else _cast_to_integer)(self, wanted)


_in_rows = operation(
    "contiguous_copy", lambda x: np.array(x, order="C"), "a copy in row-major order", x=SAME, node="CloneBackward0",
    title="contiguous", method=False, examples=[example((2, 3))],
)  # fmt: skip


def contiguous(self: Tensor) -> Tensor:
    """The tensor with its elements in row-major order: itself, where they are."""
    return self if self.is_contiguous() else _in_rows(self)


for _name, _dtype in (("float", float32), ("double", float64), ("long", int64), ("int", int32), ("bool", bool_)):

    def _convert(self: Tensor, _dtype: Any = _dtype) -> Tensor:
        return to(self, _dtype)

    _convert.__doc__ = f"The tensor with elements of dtype {_dtype}."
    public(_convert, name=_name)


def _flip_for_numpy(m: Tensor, axis: Any = None) -> Tensor:
    return flip(m, tuple(range(m._array.ndim)) if axis is None else axis)


def _expand_to(self: Tensor, *shape: Any, size: Any = None) -> Tensor:
    """As `expand`."""
    return _expand(self, sizes("broadcast_to", shape, size=size))


def _split_of(self: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """As the function `split`, which calls the lengths ``split_size_or_sections``."""
    return split(self, split_size, dim)


for _function in (
    view, flatten, expand, permute, t, to, contiguous, chunk, tensor_split, unbind, narrow, select, flip, fliplr, flipud, roll,
    repeat, tile, repeat_interleave, diagonal, diag_embed, diag, trace, unflatten, ravel, movedim,
):  # fmt: skip
    public(_function)
public(reshape, numpy=np.reshape)
public(squeeze, numpy=np.squeeze)
public(_expand_to, name="broadcast_to")
public(movedim, name="moveaxis")
public(_split_of, name="split")
public(transpose, name="swapaxes")
public(transpose, name="swapdims")
Tensor._numpy_functions[np.broadcast_to] = broadcast_to
Tensor._numpy_functions[np.flip] = _flip_for_numpy
public(_reversed, name="_reversed", numpy=np.transpose)
public(lambda self, other: expand(self, other.shape), name="expand_as")
public(lambda self, other: view(self, other.shape), name="view_as")
