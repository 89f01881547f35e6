"""Linear algebra: products, sums by an equation, factorisations, and what is solved with them."""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from operator import index
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rp.graph import Stop
from tinygrad_rp.operation import POSITIVE, REAL, either, example, operation, public, result_dtype
from tinygrad_rp.ops.elementwise import mul, where
from tinygrad_rp.ops.index import dimension, put_at
from tinygrad_rp.ops.reduce import amax, amin, vector_norm
from tinygrad_rp.ops.shape import clone, reshape, squeeze, unsqueeze
from tinygrad_rp.tensor import Tensor, bool_, wrap

__all__ = [
    "addmm", "baddbmm", "bmm", "det", "dot", "einsum", "ger", "inner", "inverse", "logdet", "matmul", "matrix_power", "mm", "mv",
    "outer", "slogdet", "tensordot", "vdot",
]  # fmt: skip


class LinAlgError(RuntimeError):
    """A matrix is not what a function of linear algebra needs: it is singular, or not positive definite."""


# ------------------------------------------------------------------------------------------------------------- products


def _same_numbers(name: str, *arrays: Any) -> None:
    """
    Raises:
        NotImplementedError: the arrays hold bools.
        RuntimeError: their dtypes differ.
    """
    if any(a.dtype != arrays[0].dtype for a in arrays):
        dtypes = ", ".join(str(a.dtype) for a in arrays)
        raise RuntimeError(f"{name}(): the tensors must have the same dtype, and these have {dtypes}")
    if arrays[0].dtype == bool_:
        raise NotImplementedError(f"{name}() is not defined for bool tensors; convert with int() or float() before")


def _product(x: Any, y: Any) -> Any:
    _same_numbers("matmul", x, y)
    if x.ndim == 0 or y.ndim == 0:
        raise RuntimeError("matmul(): both tensors must have at least one dimension")
    _need_matching("matmul", x, y)
    return np.matmul(x, y)


def _need_matching(name: str, x: Any, y: Any) -> None:
    rows = y.shape[-2] if y.ndim > 1 else y.shape[0]
    if x.shape[-1] != rows:
        raise RuntimeError(
            f"{name}(): tensors of shape {list(x.shape)} and {list(y.shape)} do not fit: the first has "
            f"{x.shape[-1]} columns, and the second {rows} rows"
        )


def _columns(g: Any, x_ndim: int, y_ndim: int) -> Any:
    """The gradient as the matrices that it would be if vectors were matrices of one row or column."""
    if y_ndim == 1:
        g = np.expand_dims(g, -1)
    return np.expand_dims(g, -2) if x_ndim == 1 else g


def _of_second(g: Any, y: Any, strides: tuple[int, ...]) -> Any:
    """The gradient of the second factor, which lies in memory as the factor does: that of a transposed weight is transposed back
    when it arrives there, and should be contiguous then."""
    if strides[-2] < strides[-1]:
        return np.swapaxes(np.matmul(np.swapaxes(g, -1, -2), y), -1, -2)
    return np.matmul(np.swapaxes(y, -1, -2), g)


def _for_left(g: Any, x_shape: tuple[int, ...], y: Any) -> Any:
    g = _columns(g, len(x_shape), y.ndim)
    y = np.expand_dims(y, -1) if y.ndim == 1 else y
    product = np.matmul(g, np.swapaxes(y, -1, -2))
    return np.squeeze(product, -2) if len(x_shape) == 1 else product


def _for_right(g: Any, x: Any, y_shape: tuple[int, ...], y_strides: tuple[int, ...]) -> Any:
    if x.ndim > 1 and len(y_shape) > 1:
        return _of_second(g, x, y_strides)
    g = _columns(g, x.ndim, len(y_shape))
    x = np.expand_dims(x, -2) if x.ndim == 1 else x
    product = np.matmul(np.swapaxes(x, -1, -2), g)
    return np.squeeze(product, -1) if len(y_shape) == 1 else product


def _declare(name: str, node: str, *shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> Any:
    return operation(
        name,
        _product,
        "x @ y",
        signature="input, other",
        inputs=2,
        x=_for_left,
        y=_for_right,
        node=node,
        title="matmul",
        method=False,
        examples=[example(*pair) for pair in shapes],
    )


_dot = _declare("dot", "DotBackward0", ((3,), (3,)), ((0,), (0,)))
_vdot = _declare("vdot", "VdotBackward0", ((3,), (3,)))
_mv = _declare("mv", "MvBackward0", ((2, 3), (3,)))
_mm = _declare("mm", "MmBackward0", ((2, 3), (3, 4)), ((0, 3), (3, 2)), ((2, 0), (0, 3)))
_bmm = _declare(
    "bmm",
    "BmmBackward0",
    ((2, 3, 4), (2, 4, 2)),
    ((3, 4), (2, 4, 2)),
    ((3,), (2, 3, 2)),
    ((2, 2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 1, 2, 3), (3, 3, 1)),
)


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product. Vectors are taken as a row on the left and a column on the right; leading dimensions broadcast.

    Args:
        input: of shape (…, n, m) or (m,).
        other: of shape (…, m, p) or (m,).

    Raises:
        RuntimeError: the shapes do not fit, or the dtypes differ.
    """
    pair = (getattr(input, "ndim", None), getattr(other, "ndim", None))
    if pair == (2, 2):
        return _mm(input, other)
    return _dot(input, other) if pair == (1, 1) else _mv(input, other) if pair == (2, 1) else _bmm(input, other)


def _need_tensors(name: str, **arguments: Any) -> None:
    for argument, value in arguments.items():
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name}(): {argument} must be a tensor, not {type(value).__name__}; make one with tensor(…)"
            )


def _need_ndims(name: str, **arguments: tuple[Tensor, int]) -> None:
    for argument, (value, ndim) in arguments.items():
        if value.ndim != ndim:
            raise RuntimeError(
                f"{name}(): {argument} must have {ndim} dimensions, and its shape is {list(value.shape)}"
            )


def _checked(name: str, compute: Any, second: str, *ndims: int) -> Any:
    def product(input: Tensor, *others: Tensor, **named: Tensor) -> Tensor:
        if len(others) + len(named) != 1 or not named.keys() <= {second}:
            raise TypeError(f"{name}() takes input and {second}")
        (other,) = others or named.values()
        _need_tensors(name, **{"input": input, second: other})
        found = (input.ndim, other.ndim)
        if found != ndims:
            raise RuntimeError(
                f"{name}() takes tensors of {ndims[0]} and {ndims[1]} dimensions, not of shape {list(input.shape)} and "
                f"{list(other.shape)}"
            )
        if ndims == (3, 3) and input.shape[0] != other.shape[0]:
            raise RuntimeError(
                f"{name}() takes as many matrices on both sides, and here are {input.shape[0]} and {other.shape[0]}; "
                "matmul() broadcasts"
            )
        _same_numbers(name, input._array, other._array)
        _need_matching(name, input._array, other._array)
        return compute(input, other)

    product.__name__ = product.__qualname__ = name
    product.__doc__ = f"The product of a tensor of {ndims[0]} dimensions and one of {ndims[1]}."
    return public(product)


mm = _checked("mm", _mm, "mat2", 2, 2)
mv = _checked("mv", _mv, "vec", 2, 1)
dot = _checked("dot", _dot, "tensor", 1, 1)
vdot = _checked("vdot", _vdot, "other", 1, 1)
bmm = _checked("bmm", _bmm, "mat2", 3, 3)


def _operator(self: Any, other: Any, reflected: bool = False) -> Any:
    if not isinstance(other, Tensor | np.ndarray):
        return NotImplemented
    return matmul(other, self) if reflected else matmul(self, other)  # type: ignore[arg-type]


public(matmul, numpy=np.matmul)
public(_operator, name="__matmul__")
public(lambda self, other: _operator(self, other, True), name="__rmatmul__")


def _add_product(x: Any, y: Any, z: Any, beta: float, alpha: float) -> Any:
    shape = (*y.shape[:-1], z.shape[-1])
    _same_numbers("addmm", x, y, z)
    if y.shape[-1] != z.shape[-2]:
        raise RuntimeError(f"matrices of shape {list(y.shape)} and {list(z.shape)} cannot be multiplied")
    if np.broadcast_shapes(x.shape, shape) != shape:
        raise RuntimeError(
            f"input of shape {list(x.shape)} does not broadcast to the shape of the product, {list(shape)}"
        )
    if x.dtype.kind != "f":
        beta, alpha = int(beta), int(alpha)
    out = np.matmul(y, z)
    if alpha != 1:
        out *= alpha
    if beta != 0:  # without the first term where beta is 0: NaN in it is then of no account
        out += x if beta == 1 else x * beta
    return out


def _times(g: Any, factor: float) -> Any:
    return g if factor == 1 else g * factor


def _declare_sum(name: str, *examples: Any) -> Any:
    return operation(
        name,
        lambda x, y, z, beta, alpha: _add_product(x, y, z, beta, alpha),
        "β·x + α·y @ z",
        signature="input, batch1, batch2, beta, alpha",
        inputs=3,
        x=lambda g, beta: _times(g, beta),
        y=lambda g, z, alpha: _times(np.matmul(g, np.swapaxes(z, -1, -2)), alpha),
        z=lambda g, y, z_strides, alpha: _times(_of_second(g, y, z_strides), alpha),
        method=False,
        examples=examples,
    )


_addmm = _declare_sum(
    "addmm",
    example((4,), (2, 3), (3, 4), beta=1, alpha=1),
    example((2, 4), (2, 3), (3, 4), beta=0.5, alpha=-2.0),
    example((1, 1), (0, 3), (3, 4), beta=1, alpha=1),
    example((), (2, 3), (3, 4), beta=0, alpha=1),
)
_baddbmm = _declare_sum("baddbmm", example((2, 2, 4), (2, 2, 3), (2, 3, 4), beta=0.5, alpha=2.0))


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta · input + alpha · mat1 @ mat2``; without the first term where ``beta`` is 0.

    Args:
        input: of a shape that broadcasts to (n, p).
        mat1: of shape (n, m).
        mat2: of shape (m, p).
        beta: a number.
        alpha: a number.

    Raises:
        RuntimeError: the shapes do not fit, or the dtypes differ.
    """
    _need_tensors("addmm", input=input, mat1=mat1, mat2=mat2)
    _need_ndims("addmm", mat1=(mat1, 2), mat2=(mat2, 2))
    return _addmm(input, mat1, mat2, beta, alpha)


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta · input + alpha · batch1 @ batch2``, matrix by matrix; without the first term where ``beta`` is 0.

    Args:
        input: of a shape that broadcasts to (b, n, p).
        batch1: of shape (b, n, m).
        batch2: of shape (b, m, p).
        beta: a number.
        alpha: a number.

    Raises:
        RuntimeError: the shapes do not fit, or the dtypes differ.
    """
    _need_tensors("baddbmm", input=input, batch1=batch1, batch2=batch2)
    _need_ndims("baddbmm", batch1=(batch1, 3), batch2=(batch2, 3))
    if batch1.shape[0] != batch2.shape[0]:
        raise RuntimeError(
            f"baddbmm(): batch1 and batch2 hold {batch1.shape[0]} and {batch2.shape[0]} matrices; the numbers must agree"
        )
    return _baddbmm(input, batch1, batch2, beta, alpha)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The product of each element of one vector with each of another, of shape (n, m).

    Raises:
        RuntimeError: an argument is no vector.
    """
    _need_tensors("outer", input=input, vec2=vec2)
    _need_ndims("outer", input=(input, 1), vec2=(vec2, 1))
    return mul(unsqueeze(input, 1), vec2)


ger = outer
public(addmm, in_place=True)
public(baddbmm, in_place=True)
public(outer)
public(outer, name="ger")

# ------------------------------------------------------------------------------------------------ sums by an equation


def _unary(x: Any, subscripts: str, output: str) -> Any:
    """Diagonals, sums and transpositions of one array; a view of it where nothing is summed."""
    if x.dtype.kind in "biu" and any(s not in output for s in subscripts):
        x = x.astype(np.int64)  # as sum() does
    # NumPy would copy what has no dimensions
    return x[...] if subscripts == output else np.einsum(f"{subscripts}->{output}", x)


def _unary_back(g: Any, shape: tuple[int, ...], subscripts: str, output: str) -> Any:
    lengths = dict(zip(subscripts, shape, strict=True))
    # the dimensions that were summed come back, then all in the order of the input, then the diagonals
    kept = "".join(dict.fromkeys(subscripts))
    g = np.transpose(g, [output.index(s) for s in kept if s in output])
    g = np.reshape(g, [lengths[s] if s in output else 1 for s in kept])
    g = np.broadcast_to(g, tuple(lengths[s] for s in kept))
    if kept == subscripts:
        return g
    places = dict(zip(kept, np.ix_(*(np.arange(lengths[s]) for s in kept)), strict=True))
    return either(put_at, g, tuple(places[s] for s in subscripts), shape)


_einsum_of_one: Callable[..., Tensor] = operation(
    "einsum_of_one",
    _unary,
    "Σx over the subscripts that the output lacks",
    signature="input, subscripts, output",
    inputs=1,
    x=lambda g, x_shape, subscripts, output: _unary_back(g, x_shape, subscripts, output),
    node="EinsumBackward0",
    title="einsum",
    method=False,
    view=True,
    examples=[
        example((2, 3), subscripts="ij", output="ji"),
        example((3, 3), subscripts="ii", output="i"),
        example((3, 3), subscripts="ii", output=""),
        example((2, 3, 2, 2), subscripts="ijii", output="ji"),
        example((2, 3, 4), subscripts="abc", output="b"),
        example((), subscripts="", output=""),
        example((0, 3), subscripts="ab", output="b"),
    ],
)


def _pair(x: Any, y: Any, left: str, right: str, output: str) -> Any:
    """The sum of products of two arrays, as a product of matrices. A subscript of one of them alone is in the output."""
    if any(s not in output for s in left):
        _same_numbers("einsum", x, y)
    lengths = dict(zip(left + right, x.shape + y.shape, strict=True))
    shared = [s for s in left if s in right]
    batch, summed = [s for s in shared if s in output], [s for s in shared if s not in output]
    rows, columns = [s for s in left if s not in right], [s for s in right if s not in left]

    def matrices(array: Any, subscripts: str, first: list[str], second: list[str]) -> Any:
        sizes = [math.prod(lengths[s] for s in group) for group in (first, second)]
        ordered = np.transpose(array, [subscripts.index(s) for s in (*batch, *first, *second)])
        return np.reshape(ordered, (*(lengths[s] for s in batch), *sizes))

    product = np.matmul(matrices(x, left, rows, summed), matrices(y, right, summed, columns))
    found = [*batch, *rows, *columns]
    return np.transpose(np.reshape(product, [lengths[s] for s in found]), [found.index(s) for s in output])


_einsum_of_two: Callable[..., Tensor] = operation(
    "einsum_of_two",
    _pair,
    "Σx·y over the subscripts that the output lacks",
    signature="input, other, left, right, output",
    inputs=2,
    x=lambda g, y, left, right, output: either(_einsum_of_two, g, y, output, right, left),
    y=lambda g, x, left, right, output: either(_einsum_of_two, x, g, left, output, right),
    node="EinsumBackward0",
    title="einsum",
    method=False,
    examples=[
        example((2, 3), (3, 4), left="ij", right="jk", output="ki"),
        example((2, 3, 4), (4, 2, 3), left="bij", right="jbi", output="b"),
        example((3,), (4,), left="i", right="j", output="ij"),
        example((3, 2), (2, 3), left="ij", right="ji", output="ij"),
        example((), (2,), left="", right="a", output="a"),
        example((0, 3), (3, 2), left="ij", right="jk", output="ik"),
    ],
)


def _subscripts_of(part: str, ndim: int, operand: int, ellipsis: str) -> str:
    """The subscripts of an operand, one a dimension; an ellipsis stands for the last of ``ellipsis``."""
    named = part.replace("...", "")
    wrong = next((c for c in named if not (c.isascii() and c.isalpha())), None)
    if wrong is not None or part.count("...") > 1:
        raise RuntimeError(
            f"einsum(): subscripts are letters and at most one ellipsis, and those of operand {operand} are {part!r}"
        )
    missing = ndim - len(named)
    if missing < 0 or (missing and "..." not in part):
        raise RuntimeError(
            f"einsum(): the equation has {len(named)} subscripts for operand {operand}, which has {ndim} dimensions"
        )
    return part.replace("...", ellipsis[len(ellipsis) - missing :])


def _equation(equation: str, shapes: list[tuple[int, ...]]) -> tuple[list[str], str]:
    """The subscripts of each operand and of the output, without ellipses."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    parts = inputs.split(",")
    if len(parts) != len(shapes):
        raise RuntimeError(
            f"einsum(): the equation {equation!r} is of {len(parts)} operands, and {len(shapes)} were given"
        )
    free = [c for c in string.ascii_letters if c not in equation]
    widest = max(
        (len(s) - len(p.replace("...", "")) for p, s in zip(parts, shapes, strict=True) if "..." in p), default=0
    )
    ellipsis = "".join(free[: max(widest, 0)])
    subscripts = [_subscripts_of(p, len(s), i, ellipsis) for i, (p, s) in enumerate(zip(parts, shapes, strict=True))]
    if not arrow:
        named = "".join(parts).replace("...", "")
        return subscripts, ellipsis + "".join(sorted(s for s in named if named.count(s) == 1))
    found = output.replace("...", ellipsis, 1)
    for s in found:
        if found.count(s) > 1:
            raise RuntimeError(f"einsum(): the output of {equation!r} names {s!r} more than once")
        if not any(s in operand for operand in subscripts):
            raise RuntimeError(f"einsum(): no operand of {equation!r} has the subscript {s!r} of the output")
    return subscripts, found


def _check_lengths(subscripts: list[str], shapes: list[tuple[int, ...]]) -> None:
    lengths: dict[str, int] = {}
    for i, (operand, shape) in enumerate(zip(subscripts, shapes, strict=True)):
        own: dict[str, int] = {}
        for s, n in zip(operand, shape, strict=True):
            if own.setdefault(s, n) != n:
                raise RuntimeError(
                    f"einsum(): operand {i} of shape {list(shape)} has a repeated subscript for lengths {own[s]} and {n}"
                )
            if lengths.get(s, 1) != 1 and n not in (1, lengths[s]):
                raise RuntimeError(
                    f"einsum(): a subscript has length {n} in operand {i} of shape {list(shape)}, and {lengths[s]} before"
                )
            if lengths.get(s, 1) == 1:
                lengths[s] = n


def _letters(sublist: Any) -> str:
    return "".join("..." if s is Ellipsis else string.ascii_letters[index(s)] for s in sublist)


def _without(x: Tensor, subscripts: str, lost: list[str]) -> tuple[Tensor, str]:
    """Without the dimensions of length 1 that broadcast."""
    kept = [(s, n) for s, n in zip(subscripts, x.shape, strict=True) if s not in lost]
    return (reshape(x, *(n for _, n in kept)) if lost else x), "".join(s for s, _ in kept)


def _summed(x: Tensor, subscripts: str, kept: str) -> tuple[Tensor, str]:
    """With the diagonals of repeated subscripts, and the sums over those that are not kept."""
    output = "".join(dict.fromkeys(s for s in subscripts if s in kept))
    return (x if output == subscripts else _einsum_of_one(x, subscripts, output)), output


def einsum(equation: Any, *operands: Any) -> Tensor:
    """The sum of products that an equation such as ``"bij,bjk->bik"`` describes, after Einstein's convention.

    Each operand's dimensions are named by letters, ``...`` for those in front that broadcast. What the output does not name is
    summed over; a letter repeated in one operand is its diagonal. Without ``->`` the output has the letters that occur
    once, in alphabetical order. Several operands are multiplied from left to right.

    Args:
        equation: the subscripts of each operand, and of the output.
        operands: tensors, or a list of them. Also ``einsum(tensor, [0, 1], …, [1, 0])``, with subscripts as integers.

    Raises:
        RuntimeError: the equation does not fit the operands, or their dtypes differ.
        TypeError: an operand is no tensor.
        ValueError: there are no operands.
    """
    if not isinstance(equation, str):
        given = [equation, *operands]
        sublists = given[1::2]
        parts = ",".join(map(_letters, sublists[: len(given) // 2]))
        if len(given) % 2:
            parts += "->" + _letters(given.pop())
        equation, operands = parts, tuple(given[::2])
    elif len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    if not operands:
        raise ValueError("einsum(): give at least one operand after the equation")
    for i, operand in enumerate(operands):
        if not isinstance(operand, Tensor):
            raise TypeError(f"einsum(): operand {i} must be a tensor, not {type(operand).__name__}")
    shapes = [operand._array.shape for operand in operands]
    subscripts, output = _equation(equation, shapes)
    _check_lengths(subscripts, shapes)
    if len(operands) == 1:
        return _einsum_of_one(operands[0], subscripts[0], output)
    left, names = _summed(operands[0], subscripts[0], subscripts[0])
    for i, operand in enumerate(operands[1:], 1):
        right, others = _summed(operand, subscripts[i], subscripts[i])
        last = i == len(operands) - 1
        kept = output if last else output + "".join(subscripts[i + 1 :])
        at_left, at_right = dict(zip(names, left.shape, strict=True)), dict(zip(others, right.shape, strict=True))
        shared = [s for s in names if s in at_right and at_left[s] != at_right[s]]
        left, names = _without(left, names, [s for s in shared if at_left[s] == 1])
        right, others = _without(right, others, [s for s in shared if at_right[s] == 1])
        left, names = _summed(left, names, kept + others)
        right, others = _summed(right, others, kept + names)
        found = output if last else "".join(dict.fromkeys(s for s in names + others if s in kept))
        if left._array.dtype != right._array.dtype and not any(s not in found for s in names):
            # mere products are promoted, those that are summed are not, as in PyTorch
            dtype = result_dtype([np.empty(1, left._array.dtype), np.empty(1, right._array.dtype)])
            left, right = left.to(dtype), right.to(dtype)
        left, names = _einsum_of_two(left, right, names, others, found), found
    return left


Tensor._numpy_functions[np.einsum] = einsum


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The sum of products over several dimensions at once.

    Args:
        a: a tensor.
        b: a tensor.
        dims: how many of the last dimensions of ``a`` meet the first of ``b``, or a pair of lists: which of ``a``, and which
            of ``b``.

    Raises:
        RuntimeError: the dimensions that meet have different lengths.
    """
    _need_tensors("tensordot", a=a, b=b)
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot(): dims={dims} must lie between 0 and the number of dimensions of a and b")
        dims = (range(a.ndim - dims, a.ndim), range(dims))
    first, second = ([index(d) for d in (side if isinstance(side, Sequence) else [side])] for side in dims)
    if len(first) != len(second):
        raise RuntimeError(f"tensordot(): dims names {len(first)} dimensions of a, and {len(second)} of b")
    for name, tensor, side in (("a", a, first), ("b", b, second)):
        for i, d in enumerate(side):
            if not -tensor.ndim <= d < tensor.ndim:
                raise IndexError(f"tensordot(): {name} has {tensor.ndim} dimensions, and dims names {d}")
            side[i] = d % tensor.ndim
    for d, e in zip(first, second, strict=True):
        if a.shape[d] != b.shape[e] and 1 not in (a.shape[d], b.shape[e]):
            raise RuntimeError(
                f"tensordot(): dimension {d} of a has length {a.shape[d]}, and dimension {e} of b length {b.shape[e]}"
            )
    letters = iter(range(a.ndim, a.ndim + b.ndim))
    meets = dict(zip(second, first, strict=True))
    right = [meets[d] if d in meets else next(letters) for d in range(b.ndim)]
    output = [i for i in range(a.ndim) if i not in first] + [i for d, i in enumerate(right) if d not in meets]
    return einsum(a, list(range(a.ndim)), b, right, output)


def inner(input: Tensor, other: Tensor) -> Tensor:
    """The sum of products over the last dimension of both; the product, where one is a number.

    Raises:
        RuntimeError: the last dimensions differ.
    """
    _need_tensors("inner", input=input, other=other)
    if input.ndim == 0 or other.ndim == 0:
        return mul(input, other)
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            f"inner(): the last dimensions must agree, and the shapes are {list(input.shape)} and {list(other.shape)}"
        )
    return tensordot(input, other, ([-1], [-1]))


def _crossed(x: Any, y: Any, dim: int) -> Any:
    _same_numbers("cross", x, y)
    if x.ndim != y.ndim or not x.ndim:
        raise RuntimeError(f"cross(): the tensors must have equally many dimensions, not {x.ndim} and {y.ndim}")
    if not -x.ndim <= dim < x.ndim:
        raise IndexError(f"cross(): dimension {dim} is out of range for tensors of {x.ndim} dimensions")
    if x.shape[dim] != 3 or y.shape[dim] != 3:
        raise RuntimeError(
            f"cross(): dimension {dim} must have length 3, and the shapes are {list(x.shape)} and {list(y.shape)}"
        )
    return np.cross(x, y, axis=dim)


_cross: Callable[..., Tensor] = operation(
    "cross",
    _crossed,
    "x × y",
    signature="input, other, dim",
    inputs=2,
    x=lambda g, y, dim: either(_cross, y, g, dim),
    y=lambda g, x, dim: either(_cross, g, x, dim),
    node="LinalgCrossBackward0",
    method=False,
    examples=[example((2, 3), (2, 3), dim=-1), example((3, 1), (3, 2), dim=0)],
)


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross product of vectors of three elements along ``dim``; the other dimensions broadcast.

    Raises:
        RuntimeError: ``dim`` has another length than 3.
    """
    _need_tensors("cross", input=input, other=other)
    return _cross(input, other, index(dim))


public(inner)

# ------------------------------------------------------------------------------------------------- triangular matrices


def _mT(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


def _need_matrices(name: str, **arguments: Any) -> None:
    """
    Raises:
        RuntimeError: an argument has less than two dimensions, holds no floating-point numbers, or the dtypes differ.
    """
    dtypes = set()
    for argument, value in arguments.items():
        if value.ndim < 2:
            raise RuntimeError(
                f"linalg.{name}(): {argument} must have at least two dimensions, and its shape is {list(value.shape)}"
            )
        if value.dtype.kind != "f":
            raise RuntimeError(
                f"linalg.{name}(): {argument} must hold floating-point numbers, not {value.dtype}; use float() before"
            )
        dtypes.add(value.dtype)
    if len(dtypes) > 1:
        raise RuntimeError(
            f"linalg.{name}(): the tensors must have the same dtype, not {' and '.join(map(str, dtypes))}"
        )


def _need_square(name: str, x: Any) -> None:
    _need_matrices(name, A=x)
    if x.shape[-1] != x.shape[-2]:
        raise RuntimeError(f"linalg.{name}(): A must hold square matrices, and its shape is {list(x.shape)}")


def _need_fitting(name: str, x: Any, y: Any, left: bool) -> None:
    """Whether X in A X = B, or X A = B, can be: ``y`` holds matrices."""
    _need_square(name, x)
    _need_matrices(name, A=x, B=y)
    if y.shape[-2 if left else -1] != x.shape[-1]:
        raise RuntimeError(
            f"linalg.{name}(): A and B of shape {list(x.shape)} and {list(y.shape)} do not fit the equation "
            f"{'A X' if left else 'X A'} = B"
        )
    try:
        np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except ValueError:
        raise RuntimeError(
            f"linalg.{name}(): the leading dimensions of A and B, of shape {list(x.shape)} and {list(y.shape)}, do not broadcast"
        ) from None


def _substituted(x: Any, y: Any, upper: bool, left: bool, unitriangular: bool) -> Any:
    """The solution of a triangular system, row by row; what lies in the other triangle is not read."""
    _need_fitting("solve_triangular", x, y, left)
    if not left:
        return _mT(_substituted(_mT(x), _mT(y), not upper, True, unitriangular))
    n = x.shape[-1]
    out = np.empty((*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), *y.shape[-2:]), y.dtype)
    for i in reversed(range(n)) if upper else range(n):
        known = slice(i + 1, n) if upper else slice(0, i)
        row = y[..., i, :] - np.matmul(x[..., i : i + 1, known], out[..., known, :])[..., 0, :]
        out[..., i, :] = row if unitriangular else row / x[..., i, i, None]
    return out


def _triangle(n: int, upper: bool, unitriangular: bool) -> Any:
    lower = np.tri(n, k=-1 if unitriangular else 0, dtype=np.bool_)
    return lower.T if upper else lower


def _triangular_back(g: Any, x: Any, out: Any, upper: bool, left: bool, unitriangular: bool) -> Any:
    back = either(_solve_triangular, _mT(x), g, not upper, left, unitriangular)
    product = np.matmul(back, _mT(out)) if left else np.matmul(_mT(out), back)
    return np.where(_triangle(x.shape[-1], upper, unitriangular), -product, 0.0)


_solve_triangular: Callable[..., Tensor] = operation(
    "solve_triangular",
    _substituted,
    "A⁻¹ B for a triangular A (B A⁻¹ where not left)",
    signature="A, B, upper, left, unitriangular",
    inputs=2,
    # d(A⁻¹B) = A⁻¹(dB − dA·X): Giles (2008), "Collected matrix derivative results", 2.3.1
    x=lambda g, x, out, upper, left, unitriangular: _triangular_back(g, x, out, upper, left, unitriangular),
    y=lambda g, x, upper, left, unitriangular: either(_solve_triangular, _mT(x), g, not upper, left, unitriangular),
    node="LinalgSolveTriangularBackward0",
    title="linalg.solve_triangular",
    method=False,
    domain=(POSITIVE, REAL),
    kinks="a 0 on the diagonal of A",
    examples=[
        example((3, 3), (3, 2), upper=True, left=True, unitriangular=False),
        example((3, 3), (2, 3), upper=False, left=False, unitriangular=False),
        example((2, 3, 3), (3, 2), upper=False, left=True, unitriangular=True),
        example((2, 2), (3, 1, 2), upper=True, left=False, unitriangular=True),
        example((0, 0), (0, 2), upper=True, left=True, unitriangular=False),
    ],
)


def solve_triangular(
    input: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """The X in ``A X = B``, for a triangular A. A zero on its diagonal gives inf or NaN, as a division does.

    Args:
        input: A, of shape (…, n, n); only one triangle is read.
        B: of shape (…, n, k), or (…, k, n) where not ``left``. The leading dimensions broadcast.
        upper: which triangle of A is read, the upper one or the lower.
        left: whether A stands on the left; otherwise the equation is ``X A = B``.
        unitriangular: take the diagonal of A for ones, whatever it holds.

    Raises:
        RuntimeError: the shapes do not fit, or the dtypes differ.
    """
    return _solve_triangular(input, B, upper, left, unitriangular)


def _factored(x: Any, upper: bool) -> Any:
    _need_square("cholesky", x)
    try:
        factor = np.linalg.cholesky(_mT(x) if upper else x)  # of which it reads the lower triangle
        if np.isnan(np.diagonal(factor, axis1=-2, axis2=-1)).any():  # LAPACK may let NaN pass
            raise np.linalg.LinAlgError
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "linalg.cholesky(): the matrix is not positive definite (all its eigenvalues must be positive); "
            "adding a small multiple of the identity may help"
        ) from None
    return _mT(factor) if upper else factor


def _cholesky_back(g: Any, out: Any, upper: bool) -> Any:
    if upper:
        g, out = _mT(g), _mT(out)
    n = out.shape[-1]
    inner_part = np.where(np.tri(n, dtype=np.bool_), np.matmul(_mT(out), g), 0.0)
    inner_part = inner_part * (1 - np.eye(n) / 2).astype(g.dtype)
    half = either(_solve_triangular, _mT(out), inner_part, True, True, False)
    half = either(_solve_triangular, out, half, False, False, False)
    return (half + _mT(half)) / 2


_cholesky = operation(
    "cholesky",
    _factored,
    "the triangular L with L Lᵀ = A",
    signature="A, upper",
    # Murray (2016), "Differentiation of the Cholesky decomposition", eq. 10
    x=lambda g, out, upper: _cholesky_back(g, out, upper),
    node="LinalgCholeskyExBackward0",
    title="linalg.cholesky",
    method=False,
    domain=POSITIVE,
    kinks="only one triangle of A is read; the gradient is that of the symmetric A, shared by both triangles",
    examples=[example((1, 1), upper=False), example((2, 1, 1), upper=True), example((0, 0), upper=False)],
)


def cholesky(input: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L with ``L Lᵀ = A`` for a symmetric, positive definite A; with ``upper`` the U with ``Uᵀ U = A``.

    Args:
        input: A, of shape (…, n, n). Only its lower triangle is read (with ``upper`` the upper one); its gradient is symmetric.
        upper: which factor to return.

    Raises:
        LinAlgError: a matrix is not positive definite.
        RuntimeError: the matrices are not square, or not of floating-point numbers.
    """
    return _cholesky(input, upper)


# --------------------------------------------------------------------------------------------------- inverse and solve


def _singular(name: str) -> LinAlgError:
    return LinAlgError(
        f"linalg.{name}(): the matrix is singular, so that it has no inverse (its rows are linearly dependent)"
    )


def _inverted(x: Any) -> Any:
    _need_square("inv", x)
    try:
        return np.linalg.inv(x)
    except np.linalg.LinAlgError:
        raise _singular("inv") from None


inv = operation(
    "inv",
    _inverted,
    "A⁻¹",
    signature="A",
    x=lambda g, out: -np.matmul(np.matmul(_mT(out), g), _mT(out)),
    node="LinalgInvExBackward0",
    title="linalg.inv",
    method=False,
    numpy=np.linalg.inv,
    kinks="singular matrices",
    examples=[example((3, 3)), example((2, 2, 2)), example((0, 0))],
)


def inverse(input: Tensor) -> Tensor:
    """The inverse of a square matrix, or of each in a batch; as `inv`."""
    return inv(input)


def _solved(x: Any, y: Any, left: bool, vector: bool) -> Any:
    b = y[..., None] if vector else y
    _need_fitting("solve", x, b, left)
    try:
        out = np.linalg.solve(x, b) if left else _mT(np.linalg.solve(_mT(x), _mT(b)))
    except np.linalg.LinAlgError:
        raise _singular("solve") from None
    return out[..., 0] if vector else out


def _solve_back(g: Any, x: Any, out: Any, left: bool, vector: bool) -> Any:
    back = either(_solve, _mT(x), g, left, vector)
    if vector:
        back, out = np.expand_dims(back, -1), np.expand_dims(out, -1)
    return -np.matmul(back, _mT(out)) if left else -np.matmul(_mT(out), back)


_solve: Callable[..., Tensor] = operation(
    "solve",
    _solved,
    "A⁻¹ B (B A⁻¹ where not left)",
    signature="A, B, left, vector",
    inputs=2,
    # d(A⁻¹B) = A⁻¹(dB − dA·X): Giles (2008), "Collected matrix derivative results", 2.3.1
    x=lambda g, x, out, left, vector: _solve_back(g, x, out, left, vector),
    y=lambda g, x, left, vector: either(_solve, _mT(x), g, left, vector),
    node="LinalgSolveExBackward0",
    title="linalg.solve",
    method=False,
    kinks="singular matrices",
    examples=[
        example((3, 3), (3,), left=True, vector=True),
        example((3, 3), (3, 2), left=True, vector=False),
        example((2, 3, 3), (2, 3), left=True, vector=True),
        example((2, 3, 3), (3, 2), left=True, vector=False),
        example((3, 3), (2, 3), left=False, vector=False),
        example((0, 0), (0, 2), left=True, vector=False),
    ],
)


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The X in ``A X = B``.

    Args:
        A: of shape (…, n, n).
        B: vectors, of shape (n,) or the shape of A without its last dimension; otherwise matrices, of shape (…, n, k), or
            (…, k, n) where not ``left``, whose leading dimensions broadcast with those of A.
        left: whether A stands on the left; otherwise the equation is ``X A = B``.

    Raises:
        LinAlgError: a matrix is singular.
        RuntimeError: the shapes do not fit, or the dtypes differ.
    """
    _need_tensors("linalg.solve", A=A, B=B)
    vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and B.shape == A.shape[:-1])
    if vector and not left:
        raise RuntimeError(
            f"linalg.solve(): with left=False B must hold matrices, and its shape {list(B.shape)} is taken as that of vectors; "
            "give it a dimension of rows, B.unsqueeze(-2)"
        )
    return _solve(A, B, left, vector)


# ---------------------------------------------------------------------------------------------------------- eigenvalues


class Eigh(NamedTuple):
    """What ``eigh`` returns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


def _decomposed(x: Any, upper: bool) -> Any:
    """The eigenvectors, and in a last row the eigenvalues."""
    _need_square("eigh", x)
    try:
        values, vectors = np.linalg.eigh(x, "U" if upper else "L")
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"linalg.eigh(): the eigenvalues could not be found: {error}") from None
    return np.concatenate([vectors, values[..., None, :]], -2)


def _eigh_back(g: Any, out: Any) -> Any:
    v, values = out[..., :-1, :], out[..., -1:, :]
    turned = np.matmul(_mT(v), g[..., :-1, :])
    turned = (turned - _mT(turned)) / 2  # the vectors can only turn
    gaps = values - _mT(values)
    diagonal = np.eye(v.shape[-1], dtype=np.bool_)
    # vectors of one eigenvalue have no derivative, which matters only where a gradient arrives at them
    bare, bare_gaps = (t._array if isinstance(t, Tensor) else t for t in (turned, gaps))
    idle = diagonal | ((bare == 0) & (bare_gaps == 0))
    inside = np.where(idle, 0.0, turned / np.where(idle, 1.0, gaps))
    return np.matmul(np.matmul(v, np.where(diagonal, g[..., -1:, :], inside)), _mT(v))


_eigh = operation(
    "eigh",
    _decomposed,
    "V, λ with A = V diag(λ) Vᵀ",
    signature="A, upper",
    # Giles (2008), "Collected matrix derivative results", 3.1
    x=lambda g, out: _eigh_back(g, out),
    node="LinalgEighBackward0",
    title="linalg.eigh",
    method=False,
    kinks="equal eigenvalues, where their vectors have no derivative; only one triangle of A is read; the gradient is symmetric",
    examples=[example((1, 1), upper=False), example((2, 1, 1), upper=True)],
)


def eigh(input: Tensor, UPLO: str = "L") -> Eigh:
    """The eigenvalues of a symmetric matrix, in ascending order, and the eigenvectors, as columns, of length 1 and either sign.

    Args:
        input: A, of shape (…, n, n).
        UPLO: which triangle of A is read, ``"L"`` the lower or ``"U"`` the upper one.

    Raises:
        LinAlgError: the eigenvalues could not be found.
        RuntimeError: the matrices are not square, or not of floating-point numbers; or ``UPLO`` is something else.
    """
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"linalg.eigh(): UPLO must be 'L' or 'U', not {UPLO!r}")
    packed = _eigh(input, UPLO.upper() == "U")
    return Eigh(packed[..., -1, :], packed[..., :-1, :])


# --------------------------------------------------------------------------------------------------------------- norms


def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """A norm of matrices: of all elements for ``"fro"``, the greatest sum of sizes of a column for 1, of a row for inf.

    Args:
        A: of shape (…, n, m), floating-point numbers.
        ord: ``"fro"``, 1, -1, inf or -inf; the negative ones take the least sum.
        dim: the dimensions of the rows and of the columns.
        keepdim: keep them, with length 1.
        dtype: convert to it before; not to a narrower one.

    Raises:
        IndexError: there is no such dimension.
        NotImplementedError: ``ord`` is 2, -2 or ``"nuc"``, which need singular values.
        RuntimeError: there is no such norm, both dimensions are one, or the elements are no floating-point numbers.
    """
    _need_tensors("linalg.matrix_norm", A=A)
    _need_matrices("matrix_norm", A=A._array)
    if not isinstance(dim, tuple | list):
        raise TypeError(f"linalg.matrix_norm(): dim must be a pair of dimensions, not {dim!r}")
    found = [dimension("linalg.matrix_norm", d, A.ndim) for d in dim]
    if len(found) != 2 or found[0] == found[1]:
        raise RuntimeError(f"linalg.matrix_norm(): dim must name two dimensions, of rows and columns, and is {dim}")
    rows, columns = found
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim, dtype=dtype)
    if ord in ("nuc", 2, -2):
        raise NotImplementedError(
            f"linalg.matrix_norm(): ord={ord!r} needs singular values, which there are none of here"
        )
    if ord not in (1, -1, math.inf, -math.inf):
        raise RuntimeError(f"linalg.matrix_norm(): ord must be 'fro', 1, -1, inf or -inf, not {ord!r}")
    summed, kept = (rows, columns) if abs(ord) == 1 else (columns, rows)
    result = (amax if ord > 0 else amin)(vector_norm(A, 1, summed, True, dtype=dtype), kept, True)
    return result if keepdim else squeeze(result, (rows, columns))


def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """A norm of vectors or matrices.

    Args:
        A: floating-point numbers.
        ord: which; without it, the root of the sum of squares of all elements.
        dim: one dimension, for the norm of vectors (see `vector_norm`), or two, for that of matrices (see `matrix_norm`). Without
            it, ``A`` itself is the vector or the matrix.
        keepdim: keep the dimensions, with length 1.
        dtype: convert to it before; not to a narrower one.

    Raises:
        RuntimeError: ``ord`` is given for other than one or two dimensions; and as the other two.
    """
    _need_tensors("linalg.norm", A=A)
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None:
        if A.ndim not in (1, 2):
            raise RuntimeError(f"linalg.norm(): with ord, name the dim of a tensor of shape {list(A.shape)}")
        dim = tuple(range(A.ndim))
    dims = tuple(dim) if isinstance(dim, tuple | list) else (dim,)
    if len(dims) not in (1, 2):
        raise RuntimeError(f"linalg.norm(): with ord, dim must name one dimension or two, and is {dim}")
    if len(dims) == 2:
        return matrix_norm(A, ord, dims, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.norm(): ord={ord!r} is a norm of matrices, and there is one dimension")
    return vector_norm(A, ord, dims, keepdim, dtype=dtype)


# -------------------------------------------------------------------------------------------------------- determinants


def _singular_values(x: Any) -> Any:
    """U, s and Vᵀ with U diag(s) Vᵀ = x, and the sign det(U)·det(Vᵀ), which is NaN where a matrix is not finite."""
    finite = np.isfinite(x).all((-2, -1))
    u, s, vt = np.linalg.svd(np.where(finite[..., None, None], x, 0))
    sign = np.where(finite, np.sign(np.linalg.det(u) * np.linalg.det(vt)), np.nan)
    return u, s, vt, sign[..., None, None].astype(x.dtype)


def _without_each(s: Any) -> Any:
    """For each element the product of all others."""
    ones = np.ones_like(s[..., :1])
    with np.errstate(all="ignore"):
        # in float64, because products of some elements reach further than that of all
        before = np.cumprod(np.concatenate([ones, s[..., :-1]], -1), -1, np.float64)
        after = np.cumprod(np.concatenate([ones, s[..., :0:-1]], -1), -1, np.float64)[..., ::-1]
        return (before * after).astype(s.dtype)


def _without_pairs(s: Any) -> Any:
    """For each pair of elements the product of all others; 0 on the diagonal."""
    n = s.shape[-1]
    pairs = np.zeros((*s.shape, n), s.dtype)
    if n > 1:
        for i in range(n):
            pairs[..., i, np.arange(n) != i] = _without_each(np.delete(s, i, -1))
    return pairs


def _cofactors(x: Any) -> Any:
    u, s, vt, sign = _singular_values(x)
    return sign * np.matmul(u * _without_each(s)[..., None, :], vt) if s.shape[-1] else x.copy()


def _second_minors(g: Any, x: Any) -> Any:
    # between its singular vectors x is diagonal: there, the determinant's second derivative by the elements ii and jj is
    # the product of all singular values but two, that by ij and ji its opposite, and all others are 0
    u, s, vt, sign = _singular_values(x)
    turned = np.matmul(np.matmul(_mT(u), g), _mT(vt))
    pairs = _without_pairs(s)
    inside = -_mT(turned) * pairs
    places = np.arange(s.shape[-1])
    inside[..., places, places] = np.matmul(pairs, turned[..., places, places, None])[..., 0]
    return sign * np.matmul(np.matmul(u, inside), vt)


def _third(g: Any, h: Any, x: Any) -> Any:
    """The third derivative of the determinant in the directions g and h, by the inverse."""
    b = either(inv, x)
    volume = np.reshape(either(det, x), (*x.shape[:-2], 1, 1))
    bg, bh = np.matmul(b, g), np.matmul(b, h)
    trace_g, trace_h = (np.sum(d * _mT(b), axis=(-2, -1), keepdims=True) for d in (g, h))
    both = np.matmul(bg, bh)
    trace_both = np.sum(bg * _mT(bh), axis=(-2, -1), keepdims=True)
    factor = both + np.matmul(bh, bg) - trace_g * bh - trace_h * bg
    return volume * _mT(np.matmul(factor, b) + (trace_g * trace_h - trace_both) * b)


# Derivatives of the determinant are polynomials of its elements, at singular matrices too, where det(A)·A⁻ᵀ cannot be had.
_minors: Callable[..., Tensor] = operation(
    "minors",
    lambda direction, x: _second_minors(direction, x),
    "the derivative of the cofactors of A in a direction",
    signature="direction, A",
    inputs=2,
    direction=lambda g, x: either(_minors, g, x),
    x=lambda g, direction, x: _third(g, direction, x),
    method=False,
    examples=[example((3, 3), (3, 3)), example((2, 2, 2), (2, 2, 2)), example((0, 0), (0, 0)), example((1, 1), (1, 1))],
)
_cofactor: Callable[..., Tensor] = operation(
    "cofactor",
    _cofactors,
    "the cofactors of A",
    signature="A",
    x=lambda g, x: either(_minors, g, x),
    method=False,
    examples=[example((3, 3)), example((2, 2, 2)), example((1, 1))],
)


def _volume(x: Any) -> Any:
    _need_square("det", x)
    with np.errstate(all="ignore"):
        return np.asarray(np.linalg.det(x))


det = operation(
    "det",
    _volume,
    "|A|",
    signature="A",
    x=lambda g, x: np.reshape(g, (*g.shape, 1, 1)) * either(_cofactor, x),
    node="LinalgDetBackward0",
    title="linalg.det",
    numpy=np.linalg.det,
    examples=[example((3, 3)), example((2, 2, 2)), example((0, 0)), example((1, 1))],
)

SIGN = Stop(
    "zero",
    "The sign of a determinant is flat wherever it is not jumping, so no gradient goes back to the matrix.",
    ("use logabsdet, or det()",),
)


class SLogDet(NamedTuple):
    """What ``slogdet`` returns."""

    sign: Tensor
    logabsdet: Tensor


def _parts(x: Any, part: int) -> Any:
    _need_square("slogdet", x)
    with np.errstate(all="ignore"):
        sign, logabsdet = np.linalg.slogdet(x)
    return np.asarray(logabsdet if part else np.where(np.isnan(logabsdet), 0, sign).astype(x.dtype))


_sign_of_det = operation(
    "slogdet_sign",
    lambda x: _parts(x, 0),
    "the sign of |A|",
    signature="A",
    x=lambda g: None,  # as in PyTorch, whose gradient is undefined here rather than 0
    stops={"x": SIGN},
    node="LinalgSlogdetBackward0",
    title="linalg.slogdet",
    method=False,
)
_logabsdet = operation(
    "slogdet",
    lambda x: _parts(x, 1),
    "log |det A|",
    signature="A",
    x=lambda g, x: np.reshape(g, (*g.shape, 1, 1)) * _mT(either(inv, x)),
    node="LinalgSlogdetBackward0",
    title="linalg.slogdet",
    method=False,
    kinks="singular matrices",
    examples=[example((3, 3)), example((2, 2, 2)), example((0, 0))],
)


def slogdet(A: Tensor) -> SLogDet:
    """The sign of the determinant and the logarithm of its absolute value, which cannot overflow: ``(sign, logabsdet)``.

    Args:
        A: of shape (…, n, n). The sign of a singular matrix is 0, and its logabsdet −inf.

    Raises:
        LinAlgError: in backward, where a matrix is singular.
        RuntimeError: the matrices are not square, or not of floating-point numbers.
    """
    return SLogDet(_sign_of_det(A), _logabsdet(A))


def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant, NaN where that is negative. Arguments and errors as for `slogdet`."""
    sign, logabsdet = slogdet(input)
    return where(wrap(np.asarray(sign._array == -1)), math.nan, logabsdet)


def matrix_power(input: Tensor, n: int) -> Tensor:
    """The product of ``n`` times the same square matrix; of its inverse, where ``n`` is negative.

    Args:
        input: of shape (…, m, m).
        n: an integer.

    Raises:
        LinAlgError: ``n`` is negative and a matrix singular.
        RuntimeError: the matrices are not square.
    """
    _need_tensors("matrix_power", input=input)
    n = index(n)
    if input.ndim < 2 or input.shape[-1] != input.shape[-2]:
        raise RuntimeError(f"matrix_power(): input must hold square matrices, and its shape is {list(input.shape)}")
    if n == 0:
        identity = np.broadcast_to(np.eye(input.shape[-1], dtype=input.dtype), input.shape)
        return where(wrap(np.ones((), np.bool_)), wrap(identity), input)
    if n < 0:
        input, n = inv(input), -n
    if n == 1:
        return clone(input)
    power = None
    while n:
        if n % 2:
            power = input if power is None else matmul(power, input)
        n //= 2
        if n:
            input = matmul(input, input)
    return power  # type: ignore[return-value]


public(inverse)
public(slogdet, numpy=np.linalg.slogdet)
public(logdet)
public(matrix_power, numpy=np.linalg.matrix_power)
Tensor._numpy_functions |= {np.outer: outer, np.inner: inner, np.vdot: vdot, np.linalg.cholesky: cholesky}
