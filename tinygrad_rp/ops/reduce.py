"""Reductions: sums, means, extremes, and the softmax family."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import numpy as np

from tinygrad_rp.graph import Stop
from tinygrad_rp.operation import either, example, operation, public
from tinygrad_rp.ops.elementwise import maximum, minimum
from tinygrad_rp.ops.index import Found, put_along, take_along
from tinygrad_rp.tensor import Tensor, as_dtype, get_default_dtype, wrap

__all__ = ["argmax", "argmin", "log_softmax", "logsumexp", "max", "mean", "min", "softmax", "std", "sum", "var"]

Dim = int | Sequence[int] | None


def _axes(dim: Dim) -> Any:
    """The axes in NumPy's way. No dimension, ``None`` or an empty list, means all of them."""
    if dim is None or type(dim) is int:
        return dim
    if isinstance(dim, bool):
        raise TypeError("dim must be an integer, several, or None, and not a bool")
    return tuple(index(d) for d in dim) or None if isinstance(dim, Sequence) else index(dim)


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


def _total(x: Any, dim: Any, keepdim: Any) -> Any:
    return np.add.reduce(x, axis=dim, keepdims=keepdim)


_sum_all = operation(
    "sum",
    lambda x: np.add.reduce(x, axis=None),
    "Σx, over all elements",
    x=lambda g, x_shape: np.broadcast_to(g, x_shape),
    method=False,
    examples=[example((3, 4)), example(()), example((0,))],
)
_sum_dim = operation(
    "sum_dim",
    lambda x, dim, keepdim: _total(x, dim, keepdim),
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
    return _sum_all(input) if dim is None and not keepdim else _sum_dim(input, _axes(dim), keepdim)


def _average(x: Any, dim: Any, keepdim: bool) -> Any:
    return _total(x, dim, keepdim) / _count(x.shape, dim)


def _spread_of(x: Any, dim: Any, correction: float, keepdim: bool) -> Any:
    deviation = x - _average(x, dim, True)
    squares = _total(deviation * deviation, dim, keepdim)
    freedom = builtins.max(_count(x.shape, dim) - correction, 0)  # as PyTorch: inf, or nan, without freedom
    return np.asarray(squares) / np.asarray(freedom, x.dtype)


_mean_all = operation(
    "mean",
    lambda x: np.add.reduce(x, axis=None) / x.size,
    "Σx / n, over all elements",
    x=lambda g, x_shape: np.broadcast_to(g / _count(x_shape, None), x_shape),
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
    return _mean_all(input) if dim is None and not keepdim else _mean_dim(input, _axes(dim), keepdim)


_var = operation(
    "var",
    lambda x, dim, correction, keepdim: _spread_of(x, dim, correction, keepdim),
    "Σ(x − mean)² / (n − correction)",
    signature="input, dim, correction, keepdim",
    x=lambda g, x, x_shape, dim, correction: (
        _spread(g, x_shape, dim)
        * ((x - np.mean(x, axis=dim, keepdims=True)) * _over(2.0, _count(x_shape, dim) - correction))
    ),
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
        _spread(np.where(out == 0, 0.0, g / out), x_shape, dim)
        * ((x - np.mean(x, axis=dim, keepdims=True)) * _over(1.0, _count(x_shape, dim) - correction))
    ),
    method=False,
    kinks="all elements equal, where the derivative is taken as 0",
    examples=[
        example((3, 4), dim=None, correction=1, keepdim=False),
        example((3, 4), dim=0, correction=0, keepdim=True),
    ],
)


def _over(a: float, b: float) -> float:
    return a / b if b else np.inf  # without freedom, as PyTorch has it


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
        return compute(input, _axes(dim), correction, keepdim)

    statistic.__name__ = statistic.__qualname__ = name
    statistic.__doc__ = (
        f"The {'variance' if name == 'var' else 'standard deviation'} of all elements, or over ``dim``, with "
        "``n - correction`` in the denominator (``unbiased`` is correction 1, its opposite 0)."
    )
    return statistic


var = _spread_statistic("var", _var)
std = _spread_statistic("std", _std)

# ------------------------------------------------------------------------------------------------------------- extremes

ARGMAX = Stop(
    "missing",
    "the index of an extreme is an integer: it is flat wherever it is not jumping, so that no gradient is wired.",
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
        try:
            indices = np.asarray(place_of(array, axis=dim if array.ndim else _axes_of(array, dim) or None))
            indices = np.expand_dims(indices, dim) if array.ndim else indices
        except IndexError as error:
            raise IndexError(f"{name}(): {error}") from None
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


def _place(place_of: Callable[..., Any], name: str, x: Any, dim: Any, keepdim: bool) -> Any:
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

# ------------------------------------------------------------------------------------------------------------- softmax


def _log_sum_exp(x: Any, dim: Any, keepdim: bool) -> Any:
    greatest = np.maximum.reduce(x, axis=dim, keepdims=True, initial=-np.inf)
    greatest = np.where(np.isfinite(greatest), greatest, 0.0)  # inf − inf is no number
    total = np.log(np.add.reduce(np.exp(x - greatest), axis=dim, keepdims=True)) + greatest
    return total if keepdim else np.squeeze(total, dim)


_logsumexp = operation(
    "logsumexp",
    _log_sum_exp,
    "log Σeˣ",
    signature="input, dim, keepdim=False",
    x=lambda g, x, x_shape, out, dim: _spread(g, x_shape, dim) * np.exp(x - _spread(out, x_shape, dim)),
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
    method=False,
    examples=[example((3, 4), dim=1), example((3, 4), dim=0)],
)


def _floats(input: Any) -> Any:
    return input.to(get_default_dtype()) if isinstance(input, Tensor) and input._array.dtype.kind != "f" else input


def logsumexp(input: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """``log Σ exp(input)`` over ``dim``, without overflow. Arguments and errors as for `sum`."""
    return _logsumexp(_floats(input), _axes(dim), keepdim)


def _distribution(compute: Callable[..., Tensor], name: str, formula: str) -> Callable[..., Tensor]:
    def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
        input = _floats(input) if dtype is None else input.to(as_dtype(dtype))
        return compute(input, index(dim))

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


public(sum)
public(logsumexp)
public(softmax)
public(log_softmax)
public(mean)
public(var)
public(std)
public(max)
public(min)
for _numpy_function, _function in ((np.sum, sum), (np.mean, mean), (np.max, _values(max)), (np.min, _values(min))):
    Tensor._numpy_functions[_numpy_function] = _for_numpy(_function)
