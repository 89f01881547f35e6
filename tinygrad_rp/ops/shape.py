"""Operations that move elements, or change their dtype, and leave their values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.graph import Stop
from tinygrad_rp.operation import SAME, example, operation, public, variadic
from tinygrad_rp.tensor import Tensor, as_dtype, bool_, float32, float64, int32, int64

__all__ = [
    "broadcast_to", "cat", "clone", "concat", "expand", "flatten", "permute", "reshape", "squeeze", "stack", "t", "transpose",
    "unsqueeze",
]  # fmt: skip


def sizes(name: str, given: tuple[Any, ...]) -> tuple[int, ...]:
    """A shape given as one sequence or as several integers."""
    if len(given) == 1 and isinstance(given[0], tuple | list):
        given = tuple(given[0])
    for n in given:
        if not isinstance(n, int | np.integer | Tensor) or isinstance(n, bool):
            raise TypeError(f"{name}(): a shape is made of integers, not {type(n).__name__}")
    return tuple(int(n) for n in given)


# ----------------------------------------------------------------------------------------------------------- new shapes


def _reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    if any(n < -1 for n in shape):
        raise RuntimeError(f"reshape(): invalid shape {list(shape)}: lengths are positive, or -1 once")
    return np.reshape(x, shape)


_reshape = operation(
    "reshape",
    _reshaped,
    "the same elements in another shape",
    signature="input, shape",
    x=lambda g, x_shape: np.reshape(g, x_shape),
    node="ViewBackward0",
    method=False,
    examples=[example((3, 4), shape=(2, 6)), example((2, 3), shape=(-1,)), example((0,), shape=(0, 3))],
    view=True,
)


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape, of which one length may be -1, to be inferred.

    Raises:
        RuntimeError: the shape has another number of elements.
    """
    return _reshape(input, sizes("reshape", shape))


def view(self: Tensor, *shape: Any) -> Tensor:
    """As `reshape`, but never a copy.

    Raises:
        RuntimeError: the elements do not lie in memory as the shape would need it.
    """
    if len(shape) == 1 and isinstance(shape[0], np.dtype | type):
        raise TypeError("view(dtype) is not supported; use to(dtype)")
    wanted = sizes("view", shape)
    if not self._array.flags.c_contiguous:
        try:
            np.reshape(self._array, wanted, copy=False)
        except ValueError:
            raise RuntimeError(
                f"view(): a tensor of shape {list(self.shape)}, which is not contiguous, cannot be seen as {list(wanted)}; "
                "use reshape()"
            ) from None
    return _reshape(self, wanted)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from ``start_dim`` to ``end_dim`` as one."""
    shape = input._array.shape
    if not shape:
        return reshape(input, 1)
    first, last = _dim("flatten", start_dim, len(shape)), _dim("flatten", end_dim, len(shape))
    if first > last:
        raise RuntimeError(f"flatten(): start_dim {start_dim} comes after end_dim {end_dim}")
    return reshape(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def _dim(name: str, dim: int, ndim: int) -> int:
    bound = max(ndim, 1)
    if not -bound <= dim < bound:
        raise IndexError(f"{name}(): dimension {dim} is out of range; it must lie in [{-bound}, {bound - 1}]")
    return dim % bound


def _squeezed(x: Any, dim: Any) -> Any:
    if dim is None:
        return np.squeeze(x)
    dims = dim if isinstance(dim, tuple) else (dim,)
    axes = {_dim("squeeze", d, x.ndim) for d in dims}
    return np.squeeze(x, tuple(d for d in axes if d < x.ndim and x.shape[d] == 1))


_squeeze = operation(
    "squeeze",
    _squeezed,
    "without its dimensions of length 1",
    signature="input, dim",
    x=lambda g, x_shape: np.reshape(g, x_shape),
    method=False,
    examples=[example((1, 3, 1), dim=None)],
    view=True,
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
    examples=[example((1, 3, 1), dim=0), example((1, 3), dim=1)],
    view=True,
)


def squeeze(input: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """Without the dimensions of length 1: all of them, or those of ``dim``; other dimensions stay."""
    return _squeeze(input, None) if dim is None else _squeeze_dim(input, tuple(dim) if isinstance(dim, list) else dim)


def _unsqueezed(x: Any, dim: int) -> Any:
    return np.expand_dims(x, _dim("unsqueeze", dim, x.ndim + 1))


unsqueeze = operation(
    "unsqueeze",
    _unsqueezed,
    "with a new dimension of length 1",
    signature="input, dim",
    x=lambda g, x_shape: np.reshape(g, x_shape),
    numpy=np.expand_dims,
    examples=[example((3, 4), dim=1), example((), dim=0)],
    view=True,
)


def _expanded(x: Any, shape: tuple[int, ...]) -> Any:
    extra = len(shape) - x.ndim
    if extra < 0:
        raise RuntimeError(f"expand(): {list(shape)} has fewer dimensions than the tensor's shape {list(x.shape)}")
    if any(n < 0 and (n != -1 or i < extra) for i, n in enumerate(shape)):
        raise RuntimeError(
            f"expand(): invalid shape {list(shape)}: -1 keeps a length, so it can stand only for one that exists"
        )
    return np.broadcast_to(x, tuple(x.shape[i - extra] if n == -1 else n for i, n in enumerate(shape)))


_expand = operation(
    "expand",
    _expanded,
    "repeated along dimensions of length 1",
    signature="input, shape",
    x=SAME,
    method=False,
    examples=[example((3, 1), shape=(2, 3, 4)), example((), shape=(2,)), example((1, 3), shape=(2, -1))],
    view=True,
)


def expand(input: Tensor, *shape: Any) -> Tensor:
    """Repeated along dimensions of length 1, and along new ones in front, without copying; -1 keeps a length.

    Raises:
        RuntimeError: the tensor does not broadcast to that shape.
    """
    return _expand(input, sizes("expand", shape))


def broadcast_to(input: Tensor, shape: Any) -> Tensor:
    """As `expand`, with the shape as one sequence."""
    return _expand(input, sizes("broadcast_to", (shape,)))


# ------------------------------------------------------------------------------------------------------ transpositions


def _swapped(x: Any, dim0: int, dim1: int) -> Any:
    return x if x.ndim == 0 and {dim0, dim1} <= {0, -1} else np.swapaxes(x, dim0, dim1)


transpose = operation(
    "transpose",
    _swapped,
    "two dimensions exchanged",
    signature="input, dim0, dim1",
    x=lambda g, dim0, dim1: _swap(g, dim0, dim1),
    examples=[example((2, 3, 4), dim0=0, dim1=-1)],
    numpy=np.swapaxes,
    view=True,
)


def _swap(g: Any, dim0: int, dim1: int) -> Any:
    return transpose(g, dim0, dim1) if isinstance(g, Tensor) else _swapped(g, dim0, dim1)


def _permuted(x: Any, dims: tuple[int, ...]) -> Any:
    return np.transpose(x, dims)


_permute = operation(
    "permute",
    _permuted,
    "the dimensions in another order",
    signature="input, dims",
    x=lambda g, dims: np.transpose(g, tuple(int(i) for i in np.argsort([d % len(dims) for d in dims]))),
    method=False,
    examples=[example((2, 3, 4), dims=(2, 0, -2))],
    view=True,
)


def permute(input: Tensor, *dims: Any) -> Tensor:
    """The dimensions in the order ``dims``."""
    return _permute(input, sizes("permute", dims))


_t = operation(
    "t",
    lambda x: x.T,
    "the transpose of a matrix",
    x=lambda g: np.transpose(g),
    method=False,
    examples=[example((2, 3)), example((3,))],
    view=True,
)


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; a vector or scalar is returned as it is.

    Raises:
        RuntimeError: there are more than two dimensions.
    """
    if input._array.ndim > 2:
        raise RuntimeError(f"t() is for at most two dimensions, and the shape is {list(input.shape)}; use transpose()")
    return _t(input)


def _reversed(input: Tensor, axes: Any = None) -> Tensor:
    return _permute(input, tuple(range(input._array.ndim))[::-1] if axes is None else sizes("permute", (axes,)))


Tensor.T = property(_reversed, doc="The tensor with its dimensions in reverse order.")  # type: ignore[attr-defined]
Tensor.mT = property(lambda self: transpose(self, -2, -1), doc="The tensor with its last two dimensions exchanged.")  # type: ignore[attr-defined]

# ------------------------------------------------------------------------------------------------------------- joining


def _joined(arrays: Any, dim: int) -> Any:
    # an empty vector joins anything, as in PyTorch
    rest = [a for a in arrays if a.shape != (0,)] or arrays
    return np.concatenate(rest, axis=dim)


def _piece(g: Any, i: int, shapes: Any, dim: int) -> Any:
    if shapes[i] == (0,):
        return np.reshape(g, (-1,))[:0]
    dim %= len(shapes[i])
    start = sum(s[dim] for s in shapes[:i] if s != (0,))
    return g[(slice(None),) * dim + (slice(start, start + shapes[i][dim]),)]


cat = variadic(
    "cat",
    _joined,
    "the tensors one behind the other along a dimension they have",
    derivative=_piece,
    signature="tensors, dim=0",
    numpy=np.concatenate,
    examples=[example((2, 3), (4, 3), dim=0), example((2, 3), (2, 1), dim=-1)],
)
concat = cat


def _layer(g: Any, i: int, shapes: Any, dim: int) -> Any:
    return g[(slice(None),) * (dim % (len(shapes[i]) + 1)) + (i,)]


stack = variadic(
    "stack",
    lambda arrays, dim: np.stack(arrays, axis=dim),
    "the tensors side by side along a new dimension",
    derivative=_layer,
    signature="tensors, dim=0",
    numpy=np.stack,
    examples=[example((2, 3), (2, 3), dim=0), example((2,), (2,), dim=-1)],
)

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
    "integers and bools carry no gradient: turning numbers into them is a step, flat wherever it is not jumping.",
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


def to(self: Tensor, dtype: Any = None, *, copy: bool = False) -> Tensor:
    """The tensor with elements of ``dtype``; itself, where it has that dtype and no ``copy`` is asked for."""
    if dtype is None or dtype == "cpu":
        return clone(self) if copy else self
    if isinstance(dtype, Tensor):
        dtype = dtype.dtype
    elif isinstance(dtype, str) and dtype not in np.sctypeDict:
        raise RuntimeError(f"to({dtype!r}): tensors are in main memory, so the only device is 'cpu'")
    wanted = as_dtype(dtype)
    if wanted == self._array.dtype:
        return clone(self) if copy else self
    return (_cast if wanted.kind == "f" else _cast_to_integer)(self, wanted)


def contiguous(self: Tensor) -> Tensor:
    """The tensor with its elements in row-major order: itself, where they are."""
    return self if self.is_contiguous() else clone(self)


for _name, _dtype in (("float", float32), ("double", float64), ("long", int64), ("int", int32), ("bool", bool_)):

    def _convert(self: Tensor, _dtype: Any = _dtype) -> Tensor:
        return to(self, _dtype)

    _convert.__doc__ = f"The tensor with elements of dtype {_dtype}."
    public(_convert, name=_name)

for _function in (view, flatten, squeeze, expand, permute, t, to, contiguous, broadcast_to):
    public(_function)
public(reshape, numpy=np.reshape)
public(squeeze, numpy=np.squeeze)
public(broadcast_to, numpy=np.broadcast_to)
public(_reversed, name="_reversed", numpy=np.transpose)
public(lambda self, other: expand(self, other.shape), name="expand_as")
public(lambda self, other: reshape(self, other.shape), name="view_as")
