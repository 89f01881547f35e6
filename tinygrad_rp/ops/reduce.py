"""Reductions: sums, means, extremes, and the softmax family."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import numpy as np

from tinygrad_rp.graph import Stop
from tinygrad_rp.kernels.choice import sum_over
from tinygrad_rp.operation import either, example, operation, public
from tinygrad_rp.ops.elementwise import FLAT, _pow_number, _sign, _step, maximum, minimum
from tinygrad_rp.ops.index import Found, dimension, need, put_along, take_along
from tinygrad_rp.ops.scan import moved
from tinygrad_rp.tensor import Tensor, as_dtype, get_default_dtype, wrap

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "count_nonzero", "log_softmax", "logsumexp", "max", "mean", "min",
    "nanmean", "nansum", "norm", "prod", "softmax", "std", "sum", "var",
]  # fmt: skip

Dim = int | Sequence[int] | None


def _axes(dim: Dim, input: Any = None) -> Any:
    """The axes in NumPy's way. No dimension, ``None`` or an empty list, means all of them."""
    if dim is None or type(dim) is int:
        return dim
    if isinstance(dim, bool):
        raise TypeError("dim must be an integer, several, or None, and not a bool")
    if isinstance(dim, str):
        raise TypeError(f"dim must be an integer, several, or None, not {dim!r}")
    if not isinstance(dim, Sequence):
        return index(dim)
    axes = tuple(index(d) for d in dim) or None
    # a tensor without dimensions lets 0 and -1 pass, which NumPy does only for a single one
    return axes[0] if axes and len(axes) == 1 and isinstance(input, Tensor) and not input._array.ndim else axes


def _axes_of(x: Any, dim: Any) -> Any:
    """The same, for functions of NumPy that know no dimension of a scalar, while PyTorch lets 0 and -1 pass."""
    return () if x.ndim == 0 and dim in (0, -1) else dim


def _spread(g: Any, shape: tuple[int, ...], dim: Any) -> Any:
    """A reduced value with the reduced dimensions back, of length 1, so that it broadcasts."""
    return np.reshape(g, kept_shape(shape, dim))


def kept_shape(shape: tuple[int, ...], dim: Any) -> tuple[int, ...]:
    """The shape of a reduction that keeps its dimensions."""
    if dim is None:
        return (1,) * len(shape)
    axes = {d % builtins.max(len(shape), 1) for d in (dim if isinstance(dim, tuple) else (dim,))}
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _count(shape: tuple[int, ...], dim: Any) -> int:
    n = 1
    for length, kept in zip(shape, kept_shape(shape, dim), strict=True):
        n *= length if kept == 1 else 1
    return n


def _need_floats(name: str, input: Tensor) -> None:
    if input._array.dtype.kind != "f":
        raise RuntimeError(
            f"{name}() is defined for floating-point tensors, and this one holds {input.dtype}; use float() before"
        )


def _for_numpy(function: Callable[..., Any]) -> Callable[..., Any]:
    """The stand-in for a NumPy reduction, with NumPy's names of arguments."""

    def stand_in(a: Any, axis: Any = None, *, keepdims: Any = False, **others: Any) -> Any:
        unknown = [name for name, value in others.items() if value is not None and value is not np._NoValue]  # type: ignore[attr-defined]
        if unknown:
            raise TypeError(f"np.{function.__name__}({', '.join(unknown)}=…) has no operation on tensors")
        if keepdims is np._NoValue or not keepdims:  # type: ignore[attr-defined]
            return function(a, axis)
        return function(a, axis, keepdim=True)

    return stand_in


# ------------------------------------------------------------------------------------------------------- sums and means


_sum_all = operation(
    "sum",
    lambda x: np.add.reduce(x, axis=None),
    "Σx, over all elements",
    x=lambda g, x_shape: np.broadcast_to(g, x_shape),
    kernel="pointwise",
    method=False,
    examples=[example((3, 4)), example(()), example((0,))],
)
_sum_dim = operation(
    "sum_dim",
    lambda x, dim, keepdim: sum_over(x, dim, keepdim),
    "Σx, over some dimensions",
    signature="input, dim, keepdim",
    x=lambda g, x_shape, dim: np.broadcast_to(_spread(g, x_shape, dim), x_shape),
    node="SumBackward1",
    title="sum",
    method=False,
    examples=[
        example((3, 4), dim=0, keepdim=False),
        example((3, 4), dim=-1, keepdim=True),
        example((2, 3, 4), dim=(0, 2), keepdim=False),
        example((0, 3), dim=0, keepdim=False),
    ],
)


def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of all elements, or over ``dim``; of integers and bools as int64.

    Args:
        input: of any shape.
        dim: one dimension, several, or all when ``None``.
        keepdim: keep the reduced dimensions, with length 1.
        dtype: convert to it before.

    Raises:
        IndexError: there is no such dimension.
    """
    if isinstance(input, Tensor):
        if dtype is not None:
            input = input.to(dtype)
        elif input._array.dtype.kind in "biu" and input._array.dtype.itemsize < 8:
            input = input.to(np.int64)
    found = _sum_all(input) if dim is None and not keepdim else _sum_dim(input, _axes(dim, input), keepdim)
    return found if dtype is None else found.to(dtype)  # NumPy adds small integers up as int64


def _nan(x: Any) -> Any:
    """Where x is NaN, as a constant."""
    return wrap(_nan(x._array)) if isinstance(x, Tensor) else x != x


_nansum = operation(
    "nansum",
    lambda x, dim, keepdim: np.asarray(sum_over(np.where(_nan(x), np.zeros((), x.dtype), x), dim, keepdim)),
    "Σx, over the elements that are not NaN",
    signature="input, dim, keepdim",
    x=lambda g, x, x_shape, dim: np.where(_nan(x), 0.0, np.broadcast_to(_spread(g, x_shape, dim), x_shape)),
    method=False,
    examples=[
        example((3, 4), dim=None, keepdim=False),
        example((3, 4), dim=(0,), keepdim=True),
        example((0, 3), dim=0, keepdim=False),
    ],
)


def nansum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """As `sum`, with NaN taken as 0."""
    if need("nansum", "input", input)._array.dtype.kind != "f":
        return sum(input, dim, keepdim, dtype=dtype)
    return _nansum(input if dtype is None else input.to(dtype), _axes(dim, input), keepdim)


def nanmean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of the elements that are not NaN. Arguments and errors as for `mean`.

    Raises:
        RuntimeError: the elements are integers or bools.
    """
    _need_floats("nanmean", need("nanmean", "input", input))
    count = sum(wrap(~_nan(input._array)), dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / count


def _average(x: Any, dim: Any, keepdim: bool) -> Any:
    return sum_over(x, dim, keepdim) / _count(x.shape, dim)


def _spread_of(x: Any, dim: Any, correction: float, keepdim: bool) -> Any:
    deviation = x - _average(x, dim, True)
    squares = sum_over(deviation * deviation, dim, keepdim)
    freedom = builtins.max(_count(x.shape, dim) - correction, 0)  # as PyTorch: inf, or nan, without freedom
    return np.asarray(squares) / np.asarray(freedom, x.dtype)


_mean_all = operation(
    "mean",
    lambda x: np.add.reduce(x, axis=None) / x.size,
    "Σx / n, over all elements",
    x=lambda g, x_shape: np.broadcast_to(g / _count(x_shape, None), x_shape),
    kernel="pointwise",
    method=False,
    examples=[example((3, 4)), example(())],
)
_mean_dim = operation(
    "mean_dim",
    lambda x, dim, keepdim: _average(x, dim, keepdim),
    "Σx / n, over some dimensions",
    signature="input, dim, keepdim",
    x=lambda g, x_shape, dim: np.broadcast_to(_spread(g / _count(x_shape, dim), x_shape, dim), x_shape),
    node="MeanBackward1",
    title="mean",
    method=False,
    examples=[example((3, 4), dim=0, keepdim=False), example((2, 3, 4), dim=(0, -1), keepdim=True)],
)


def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of all elements, or over ``dim``. Arguments and errors as for `sum`.

    Raises:
        RuntimeError: the elements are integers or bools.
    """
    if isinstance(input, Tensor):
        input = input if dtype is None else input.to(dtype)
        _need_floats("mean", input)
    return _mean_all(input) if dim is None and not keepdim else _mean_dim(input, _axes(dim, input), keepdim)


_var = operation(
    "var",
    lambda x, dim, correction, keepdim: _spread_of(x, dim, correction, keepdim),
    "Σ(x − mean)² / (n − correction)",
    signature="input, dim, correction, keepdim",
    x=lambda g, x, x_shape, dim, correction: _spread(g, x_shape, dim) * _pull(x, x_shape, dim, correction, 2.0),
    method=False,
    examples=[
        example((3, 4), dim=None, correction=1, keepdim=False),
        example((3, 4), dim=0, correction=0, keepdim=True),
        example((2, 3, 4), dim=(0, 2), correction=1, keepdim=False),
    ],
)
_std = operation(
    "std",
    lambda x, dim, correction, keepdim: np.sqrt(_spread_of(x, dim, correction, keepdim)),
    "√(Σ(x − mean)² / (n − correction))",
    signature="input, dim, correction, keepdim",
    x=lambda g, x, x_shape, out, dim, correction: (
        _spread(np.where(out == 0, 0.0, g / out), x_shape, dim) * _pull(x, x_shape, dim, correction, 1.0)
    ),
    method=False,
    kinks="all elements equal, where the derivative is taken as 0",
    examples=[
        example((3, 4), dim=None, correction=1, keepdim=False),
        example((3, 4), dim=0, correction=0, keepdim=True),
    ],
)


def _pull(x: Any, x_shape: tuple[int, ...], dim: Any, correction: float, factor: float) -> Any:
    """``factor · (x − mean) / (n − correction)``; over all elements and without freedom infinite, as in PyTorch."""
    freedom = _count(x_shape, dim) - correction
    deviation = x - np.mean(x, axis=dim if x_shape else None, keepdims=True)
    if freedom <= 0 and (dim is None or not x_shape):
        return np.where(deviation == 0, np.nan, np.inf)
    return deviation * (factor / freedom if freedom else np.inf)


def _spread_statistic(name: str, compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def statistic(
        input: Tensor,
        dim: Any = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> Tensor:
        if isinstance(dim, bool):  # PyTorch also takes var(unbiased)
            dim, unbiased = None, dim
        if unbiased is not None and correction is not None:
            raise TypeError(f"{name}(): give either unbiased or correction, not both")
        if correction is None:
            correction = 1 if unbiased is None or unbiased else 0
        if isinstance(input, Tensor):
            _need_floats(name, input)
        return compute(input, _axes(dim, input), correction, keepdim)

    statistic.__name__ = statistic.__qualname__ = name
    statistic.__doc__ = (
        f"The {'variance' if name == 'var' else 'standard deviation'} of all elements, or over ``dim``, with "
        "``n - correction`` in the denominator (``unbiased`` is correction 1, its opposite 0)."
    )
    return statistic


var = _spread_statistic("var", _var)
std = _spread_statistic("std", _std)

# ------------------------------------------------------------------------------------------------------------- products


def _others(g: Any, x: Any, out: Any, dim: int) -> Any:
    """g times the product of all other elements along a dimension. ``g`` and ``out`` have length 1 there.

    Where there are zeros, which cannot be divided by, it is the product of those before and of those behind.
    """
    if np.all((x if isinstance(x, np.ndarray) else x._array) != 0):
        return g * (out / x)
    before = np.cumprod(either(moved, x, dim, 1, 1.0), dim)
    behind = np.flip(np.cumprod(np.flip(either(moved, x, dim, -1, 1.0), (dim,)), dim), (dim,))
    return g * (before * behind)


_prod_all = operation(
    "prod",
    lambda x: np.multiply.reduce(x, axis=None),
    "Πx, over all elements",
    x=lambda g, x, x_shape, out: np.reshape(_others(g, np.reshape(x, (-1,)), out, 0), x_shape),
    method=False,
    examples=[example((3, 4)), example(()), example((0,))],
)
_prod_dim = operation(
    "prod_dim",
    lambda x, dim, keepdim: np.multiply.reduce(x, axis=dim, keepdims=keepdim),
    "Πx, over a dimension",
    signature="input, dim, keepdim",
    x=lambda g, x, x_shape, out, dim: (
        _others(_spread(g, x_shape, dim), x, _spread(out, x_shape, dim), dim) if x_shape else g
    ),
    node="ProdBackward1",
    title="prod",
    method=False,
    examples=[
        example((3, 4), dim=0, keepdim=False),
        example((3, 4), dim=1, keepdim=True),
        example((), dim=0, keepdim=False),
        example((0, 3), dim=0, keepdim=False),
    ],
)


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product of all elements, or along ``dim``; of integers and bools as int64.

    Args:
        input: of any shape.
        dim: one dimension, or all when ``None``.
        keepdim: keep the reduced dimension, with length 1.
        dtype: convert to it before.

    Raises:
        IndexError: there is no such dimension.
        TypeError: ``dim`` is several, or ``keepdim`` is given without it.
    """
    array = need("prod", "input", input)._array
    if dtype is not None:
        input = input.to(dtype)
    elif array.dtype.kind in "biu" and array.dtype.itemsize < 8:
        input = input.to(np.int64)
    if dim is None and keepdim:
        raise TypeError("prod(): keepdim goes with a dim")
    found = _prod_all(input) if dim is None else _prod_dim(input, dimension("prod", dim, array.ndim), keepdim)
    return found if dtype is None else found.to(dtype)  # NumPy multiplies small integers as int64


# ---------------------------------------------------------------------------------------------------------------- norms


def _norm(x: Any, p: float, dim: Any, keepdim: Any) -> Any:
    size = np.abs(x)
    if p == np.inf:
        return np.maximum.reduce(size, axis=dim, keepdims=keepdim)
    if p == -np.inf:
        return np.minimum.reduce(size, axis=dim, keepdims=keepdim)
    if p == 0:
        return np.asarray(sum_over(x != 0, dim, keepdim)).astype(x.dtype)
    if p == 1:
        return sum_over(size, dim, keepdim)
    return np.sqrt(sum_over(x * x, dim, keepdim)) if p == 2 else sum_over(size**p, dim, keepdim) ** (1 / p)


def _norm_gradient(g: Any, x: Any, out: Any, p: float, dim: Any) -> Any:
    """sign(x)·(|x| / norm)ᵖ⁻¹, and 0 where the norm is 0. ``g`` and ``out`` are spread."""
    if p == 0:
        return None  # a count: no gradient at all, as in PyTorch
    sign = _step(_sign, x)
    if p == 1:
        return g * sign
    if p in (np.inf, -np.inf):
        return (g * sign) * _share(x, out, dim)
    if p == 2:
        return g * np.where(out == 0, 0.0, x / out)
    if p < 1:
        return sign * np.where(x == 0, 0.0, either(_pow_number, np.abs(x), p - 1)) * (g * out ** (1 - p))
    power = x * np.abs(x) ** (p - 2) if p > 2 else sign * np.abs(x) ** (p - 1)
    return power * np.where(out == 0, 0.0, g / out ** (p - 1))


def _share(x: Any, out: Any, dim: Any) -> Any:
    """What each element has in the extreme size, as a constant: ties share it evenly, NaN has none of it."""
    if isinstance(x, Tensor):
        return wrap(_share(x._array, out._array, dim))
    reached = (np.abs(x) == out).astype(x.dtype)
    return reached / np.maximum(np.add.reduce(reached, axis=dim, keepdims=True), 1)


_vector_norm = operation(
    "vector_norm",
    lambda x, p, dim, keepdim: np.asarray(_norm(x, p, dim, keepdim)),
    "(Σ|x|ᵖ)^(1/p)",
    signature="x, ord, dim, keepdim",
    x=lambda g, x, x_shape, out, p, dim: _norm_gradient(
        _spread(g, x_shape, dim), x, _spread(out, x_shape, dim), p, dim
    ),
    node="LinalgVectorNormBackward0",
    title="norm",
    method=False,
    kinks="x = 0, where the derivative is taken as 0; ties for p = ±∞, which share the gradient evenly",
    examples=[
        *(example((3, 4), ord=p, dim=None, keepdim=False) for p in (2, 1, 3, 1.5, 0.5, -1, np.inf, -np.inf)),
        example((3, 4), ord=2, dim=(0,), keepdim=True),
        example((2, 3, 4), ord=3, dim=(0, -1), keepdim=False),
        example((), ord=2, dim=None, keepdim=False),
    ],
)


def vector_norm(x: Tensor, ord: float = 2, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """``(Σ|x|ᵖ)^(1/p)`` over all elements, or over ``dim``; the greatest or least size for p = ±∞, a count of those ≠ 0 for 0.

    Where the norm is 0, its derivative is taken as 0.

    Args:
        x: floating-point numbers.
        ord: the p.
        dim: one dimension, several, or all when ``None``.
        keepdim: keep the reduced dimensions, with length 1.
        dtype: convert to it before; not to a narrower one.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: the elements are integers or bools, or there are none and the norm has no value then.
        TypeError: ``ord`` is no number.
    """
    if isinstance(ord, bool) or not isinstance(ord, int | float):
        raise TypeError(f"vector_norm(): ord must be a number, not {ord!r}")
    _need_floats("vector_norm", need("vector_norm", "x", x))
    if dtype is not None:
        wanted = as_dtype(dtype)
        if wanted.kind != "f" or wanted.itemsize < x.dtype.itemsize:
            raise RuntimeError(f"vector_norm(): {x.dtype} cannot be converted to {wanted} without loss")
        x = x.to(wanted)
    axes = _axes(dim, x)
    if ord < 0 or ord == np.inf:
        _need_elements("vector_norm", x, axes, RuntimeError, f"with ord={ord}")
    return _vector_norm(x, ord, axes, keepdim)


def _need_elements(name: str, x: Tensor, axes: Any, error: type[Exception], when: str = "") -> None:
    """Refuse to reduce nothing."""
    shape = x._array.shape
    if x._array.size:
        return
    dims = range(len(shape)) if axes is None else axes if isinstance(axes, tuple) else (axes,)
    for d in dims:
        d = dimension(name, d, len(shape))
        if axes is None or not shape[d]:
            raise (RuntimeError if axes is None else error)(
                f"{name}(): there is nothing to reduce in shape {list(shape)}"
                + (f" {when}" if when else "")
                + ("; name a dim of another length than 0" if axes is None else f" along dimension {d}")
            )


def norm(input: Tensor, p: Any = "fro", dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """As `vector_norm`; ``p="fro"`` is 2.

    Raises:
        NotImplementedError: ``p="nuc"``, the sum of singular values.
        RuntimeError: another string.
    """
    if p == "nuc":
        raise NotImplementedError('norm(p="nuc"): there is no singular value decomposition here')
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f'norm(): p must be a number or "fro", not {p!r}')
    return vector_norm(input, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


# ------------------------------------------------------------------------------------------------------------- extremes

ARGMAX = Stop(
    "missing",
    "The index of an extreme is an integer: it is flat wherever it is not jumping, so that no gradient is wired.",
    ("relax it: softmax(x / temperature)", "use a straight-through estimator, with a backward of your own"),
)


def _ties(x: Any, out: Any) -> Any:
    """Where the extreme is, as a constant; where it is NaN, at the NaNs."""
    if isinstance(x, Tensor):
        return wrap(_ties(x._array, out._array))
    return (x == out) | ((x != x) & (out != out))


def _taken(x: Any, indices: Any, dim: int, keepdim: bool) -> Any:
    taken = either(take_along, x, indices, dim)
    return taken if keepdim or not x.ndim else np.squeeze(taken, dim)


def _extreme(name: str, ufunc: np.ufunc, place_of: Callable[..., Any], pairwise: Callable[..., Tensor]) -> Any:
    formula = f"the {'greatest' if name == 'max' else 'least'} element"
    overall = operation(
        name,
        lambda x: ufunc.reduce(x, axis=None),
        formula,
        # ties share the gradient evenly
        x=lambda g, x, out: _ties(x, out) * (g / np.sum(_ties(x, out))),
        node=f"{name.capitalize()}Backward1",
        method=False,
        kinks="ties, which share the gradient evenly",
        examples=[example((3, 4)), example(())],
    )
    along = operation(
        f"{name}_dim",
        lambda x, indices, dim, keepdim: _taken(x, indices, dim, keepdim),
        f"{formula} along a dimension",
        signature="input, indices, dim, keepdim",
        inputs=1,
        x=lambda g, x_shape, indices, dim: either(put_along, np.reshape(g, indices.shape), indices, dim, x_shape),
        node=f"{name.capitalize()}Backward0",
        title=name,
        method=False,
        kinks="ties, of which the first gets the gradient",
        examples=[
            example((3, 4), indices=np.array([[0, 2, 1, 2]]), dim=0, keepdim=False),
            example((3, 4), indices=np.array([[3], [0], [0]]), dim=1, keepdim=True),
        ],
    )

    def extreme(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None) -> Any:
        if isinstance(dim, Tensor) or other is not None:
            return pairwise(input, dim if other is None else other)
        if dim is None:
            if keepdim:
                raise TypeError(f"{name}(): keepdim goes with a dim")
            return overall(input)
        dim = index(dim)
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}(): input must be a tensor, not {type(input).__name__}")
        array = input._array
        dim = dimension(name, dim, array.ndim)
        try:
            indices = np.asarray(place_of(array, axis=dim if array.ndim else None))
            indices = np.expand_dims(indices, dim) if array.ndim else indices
        except ValueError:
            raise IndexError(
                f"{name}(): dimension {dim} of a tensor of shape {list(array.shape)} has no elements"
            ) from None
        values = along(input, indices, dim, keepdim)
        return Found(values, wrap(indices if keepdim or not array.ndim else np.squeeze(indices, dim)))

    extreme.__name__ = extreme.__qualname__ = name
    extreme.__doc__ = (
        f"The {formula[4:]} of all; ``{name}(input, dim)``: along a dimension, with its index, as (values, indices); "
        f"``{name}(input, other)``: element by element.\n\n    Where several elements tie, they share the gradient evenly; along "
        "a dimension the first gets it."
    )
    return extreme


max = _extreme("max", np.maximum, np.argmax, maximum)
min = _extreme("min", np.minimum, np.argmin, minimum)


def _common_extreme(name: str, ufunc: np.ufunc, which: str) -> Callable[..., Tensor]:
    compute = operation(
        name,
        lambda x, dim, keepdim: np.asarray(ufunc.reduce(x, axis=dim, keepdims=keepdim)),
        f"the {which} element, over some dimensions",
        signature="input, dim, keepdim",
        x=lambda g, x, x_shape, out, dim: _evenly(_spread(g, x_shape, dim), x, _spread(out, x_shape, dim), dim),
        method=False,
        kinks="ties, which share the gradient evenly",
        examples=[
            example((3, 4), dim=None, keepdim=False),
            example((3, 4), dim=-1, keepdim=True),
            example((2, 3, 4), dim=(0, 2), keepdim=False),
            example((), dim=0, keepdim=False),
        ],
    )

    def extreme(input: Tensor, dim: Dim = (), keepdim: bool = False) -> Tensor:
        axes = _axes(dim, input)
        _need_elements(name, need(name, "input", input), axes, IndexError)
        named = [dimension(name, d, input.ndim) for d in axes] if isinstance(axes, tuple) else []
        if len({*named}) < len(named):
            raise RuntimeError(f"{name}(): dim={dim} names a dimension twice")
        return compute(input, axes, keepdim)

    extreme.__name__ = extreme.__qualname__ = name
    extreme.__doc__ = (
        f"The {which} element, over one dimension, several or all. Ties share the gradient evenly.\n\n    Raises:\n"
        "        IndexError: there is no such dimension, or it has no elements.\n"
        "        RuntimeError: there are no elements, or a dimension is named twice.\n    "
    )
    return extreme


def _evenly(g: Any, x: Any, out: Any, dim: Any) -> Any:
    reached = _reached(x, out)
    return reached * (g / np.sum(reached, axis=dim, keepdims=True))


def _reached(x: Any, out: Any) -> Any:
    return wrap(_reached(x._array, out._array)) if isinstance(x, Tensor) else x == out


amax = _common_extreme("amax", np.maximum, "greatest")
amin = _common_extreme("amin", np.minimum, "least")


def _place(place_of: Callable[..., Any], name: str, x: Any, dim: Any, keepdim: bool) -> Any:
    if x.dtype == np.bool_:
        raise RuntimeError(f"{name}() is not defined for bool tensors; convert with int() before")
    dim = None if dim is None else dimension(name, dim, x.ndim)
    if x.size == 0 and (dim is None or x.shape[dim] == 0):
        raise IndexError(f"{name}(): a tensor of shape {list(x.shape)} has no extreme element there")
    return np.asarray(place_of(x, axis=dim if x.ndim else _axes_of(x, dim) or None, keepdims=keepdim))


def _index_of(name: str, place_of: Callable[..., Any]) -> Any:
    return operation(
        name,
        lambda x, dim, keepdim: _place(place_of, name, x, dim, keepdim),
        f"the index of the {'greatest' if name == 'argmax' else 'least'} element, counted through all when dim is None",
        signature="input, dim=None, keepdim=False",
        stops={"x": ARGMAX},
        differentiable=False,
        numpy=getattr(np, name),
    )


argmax = _index_of("argmax", np.argmax)
argmin = _index_of("argmin", np.argmin)

# ---------------------------------------------------------------------------------------------------- truth and counts


def _of_truth(name: str, ufunc: np.ufunc, formula: str) -> Callable[..., Tensor]:
    compute = operation(
        name,
        # of bytes PyTorch makes bytes
        lambda x, dim, keepdim: np.asarray(
            ufunc.reduce(x, axis=dim, keepdims=keepdim, dtype=np.bool_)
            if x.dtype != np.uint8
            else ufunc.reduce(x, axis=dim, keepdims=keepdim, dtype=np.bool_).astype(np.uint8)
        ),
        formula,
        signature="input, dim, keepdim",
        stops={"x": FLAT},
        differentiable=False,
        method=False,
    )

    def truth(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
        need(name, "input", input)
        axes = () if isinstance(dim, tuple | list) and not dim else _axes(dim, input)
        return compute(input, axes, keepdim)

    truth.__name__ = truth.__qualname__ = name
    truth.__doc__ = (
        f"{formula.capitalize()}, over all elements or over ``dim``: one dimension or several.\n\n    Raises:\n"
        "        IndexError: there is no such dimension.\n    "
    )
    return truth


any = _of_truth("any", np.logical_or, "whether any element is not 0")
all = _of_truth("all", np.logical_and, "whether all elements are not 0")
_count_nonzero = operation(
    "count_nonzero",
    lambda x, dim: np.asarray(np.add.reduce(x != 0, axis=dim, dtype=np.int64)),
    "how many elements are not 0",
    signature="input, dim",
    stops={"x": FLAT},
    differentiable=False,
    method=False,
)


def count_nonzero(input: Tensor, dim: Dim = None) -> Tensor:
    """How many elements are not 0, of all or over ``dim``: one dimension or several.

    Raises:
        IndexError: there is no such dimension.
    """
    return _count_nonzero(need("count_nonzero", "input", input), _axes(dim, input))


# ------------------------------------------------------------------------------------------------------------- softmax


def _log_sum_exp(x: Any, dim: Any, keepdim: bool) -> Any:
    greatest = np.maximum.reduce(x, axis=dim, keepdims=True, initial=-np.inf)
    greatest = np.where(np.isfinite(greatest), greatest, 0.0)  # inf − inf is no number
    total = np.log(sum_over(np.exp(x - greatest), dim, True)) + greatest
    return total if keepdim else np.squeeze(total, dim)


_logsumexp = operation(
    "logsumexp",
    _log_sum_exp,
    "log Σeˣ",
    signature="input, dim, keepdim=False",
    x=lambda g, x, x_shape, out, dim: _spread(g, x_shape, dim) * np.exp(x - _spread(out, x_shape, dim)),
    kernel="logsumexp",
    method=False,
    examples=[example((3, 4), dim=1), example((3, 4), dim=(0, 1), keepdim=True)],
)


def _soft_max(x: Any, dim: int) -> Any:
    e = np.exp(x - np.maximum.reduce(x, axis=dim, keepdims=True, initial=-np.inf))
    return e / np.add.reduce(e, axis=dim, keepdims=True)


_softmax = operation(
    "softmax",
    _soft_max,
    "eˣ / Σeˣ",
    signature="input, dim",
    x=lambda g, out, dim: out * (g - np.sum(g * out, axis=dim, keepdims=True)),
    kernel="softmax",
    method=False,
    examples=[example((3, 4), dim=1), example((3, 4), dim=0)],
)


def _log_soft_max(x: Any, dim: int) -> Any:
    shifted = x - np.maximum.reduce(x, axis=dim, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.add.reduce(np.exp(shifted), axis=dim, keepdims=True))


_log_softmax = operation(
    "log_softmax",
    _log_soft_max,
    "x − log Σeˣ",
    signature="input, dim",
    x=lambda g, out, dim: g - np.exp(out) * np.sum(g, axis=dim, keepdims=True),
    kernel="log_softmax",
    method=False,
    examples=[example((3, 4), dim=1), example((3, 4), dim=0)],
)


def _floats(input: Any) -> Any:
    return input.to(get_default_dtype()) if isinstance(input, Tensor) and input._array.dtype.kind != "f" else input


def logsumexp(input: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """``log Σ exp(input)`` over ``dim``, without overflow. Arguments and errors as for `sum`, but ``dim`` must be named."""
    if dim is None:
        raise TypeError("logsumexp(): dim must be an integer or several, not None; name all dimensions for all")
    if isinstance(dim, Sequence) and not dim:
        raise RuntimeError("logsumexp(): dim must not be empty; name all dimensions for all")
    return _logsumexp(_floats(input), _axes(dim, input), keepdim)


def _distribution(compute: Callable[..., Tensor], name: str, formula: str) -> Callable[..., Tensor]:
    def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
        input = need(name, "input", input) if dtype is None else input.to(as_dtype(dtype))
        if input._array.dtype.kind != "f":
            raise NotImplementedError(
                f"{name}() is defined for floating-point tensors, and this one holds {input.dtype}; give dtype="
            )
        return compute(input, dimension(name, dim, input._array.ndim))

    softmax.__name__ = softmax.__qualname__ = name
    softmax.__doc__ = f"``{formula}`` along ``dim``, without overflow."
    return softmax


softmax = _distribution(_softmax, "softmax", "exp(input) / Σ exp(input)")
log_softmax = _distribution(_log_softmax, "log_softmax", "input − log Σ exp(input)")


def _values(extreme: Callable[..., Any]) -> Callable[..., Tensor]:
    def values(a: Any, axis: Any = None, keepdim: bool = False) -> Tensor:
        return extreme(a) if axis is None and not keepdim else extreme(a, axis, keepdim=keepdim).values

    values.__name__ = extreme.__name__
    return values


for _reduction in (all, amax, amin, any, count_nonzero, nanmean, nansum, norm, prod):
    public(_reduction)
public(sum)
public(logsumexp)
public(softmax)
public(log_softmax)
public(mean)
public(var)
public(std)
public(max)
public(min)
for _numpy_function, _function in (
    (np.sum, sum),
    (np.mean, mean),
    (np.max, _values(max)),
    (np.min, _values(min)),
    (np.prod, prod),
    (np.any, any),
    (np.all, all),
):
    Tensor._numpy_functions[_numpy_function] = _for_numpy(_function)
