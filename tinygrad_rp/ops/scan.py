"""Scans along a dimension: running sums, products and extremes.

All derivatives lead back to a linear recurrence, sₖ = bₖ + aₖ·sₖ₋₁, whose own derivative is one again, run backwards. Nothing is
divided by on the way, so that zeros and infinities do no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rp.operation import either, example, operation, public
from tinygrad_rp.ops.index import Found, dimension, need, put_along, take_along
from tinygrad_rp.ops.shape import reshape
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["cummax", "cummin", "cumprod", "cumsum", "logcumsumexp"]


def _moved(x: Any, dim: int, by: int, fill: float) -> Any:
    """x moved by one place along a dimension, with ``fill`` in the place that this leaves."""
    out = np.empty(x.shape, x.dtype)
    source, target = np.moveaxis(x, dim, 0), np.moveaxis(out, dim, 0)
    if len(source):
        target[0 if by > 0 else -1] = fill
        if by > 0:
            target[1:] = source[:-1]
        else:
            target[:-1] = source[1:]
    return out


moved: Callable[..., Tensor] = operation(
    "moved",
    _moved,
    "x moved by one place along a dimension",
    signature="input, dim, by, fill",
    x=lambda g, dim, by: either(moved, g, dim, -by, 0.0),
    method=False,
    examples=[example((3, 4), dim=1, by=1, fill=1.0), example((3,), dim=0, by=-1, fill=0.0)],
)


def _recurred(a: Any, b: Any, dim: int) -> Any:
    out = np.array(b)
    s, factors = np.moveaxis(out, dim, 0), np.moveaxis(a, dim, 0)
    for k in range(1, len(s)):
        s[k] += factors[k] * s[k - 1]
    return out


def _recurred_back(g: Any, a: Any, dim: int) -> Any:
    """The same from the last place to the first, with the factors of the next place: the derivative by ``b``."""
    return np.flip(either(recurrence, np.flip(either(moved, a, dim, -1, 0.0), (dim,)), np.flip(g, (dim,)), dim), (dim,))


recurrence: Callable[..., Tensor] = operation(
    "recurrence",
    _recurred,
    "sₖ = bₖ + aₖ·sₖ₋₁, along a dimension",
    signature="factors, terms, dim",
    inputs=2,
    a=lambda g, a, out, dim: _recurred_back(g, a, dim) * either(moved, out, dim, 1, 0.0),
    b=_recurred_back,
    method=False,
    examples=[example((3, 4), (3, 4), dim=1), example((3,), (3,), dim=0), example((0, 2), (0, 2), dim=0)],
)


def _along(name: str, input: Any, dim: Any, dtype: Any) -> tuple[Tensor, int]:
    """Input and dimension, checked; integers and bools as int64."""
    dim = dimension(name, dim, need(name, "input", input)._array.ndim)
    if dtype is not None:
        return input.to(dtype), dim
    array = input._array
    return (input.to(np.int64) if array.dtype.kind in "biu" and array.dtype.itemsize < 8 else input), dim


# ----------------------------------------------------------------------------------------------------- sums and products


def _accumulated(ufunc: np.ufunc, x: Any, dim: int) -> Any:
    if not x.ndim:
        return np.array(x)
    # float32 in double precision, as PyTorch does: each element is the sum of all before it
    wide = np.float64 if x.dtype == np.float32 else x.dtype
    return ufunc.accumulate(x, axis=dim, dtype=wide).astype(x.dtype, copy=False)


def _sum_from_behind(g: Any, dim: int) -> Any:
    return np.flip(np.cumsum(np.flip(g, (dim,)), dim), (dim,)) if g.ndim else g


_cumsum = operation(
    "cumsum",
    lambda x, dim: _accumulated(np.add, x, dim),
    "x₁ + … + xₖ",
    signature="input, dim",
    x=lambda g, dim: _sum_from_behind(g, dim),
    method=False,
    examples=[example((3, 4), dim=0), example((3, 4), dim=-1), example((), dim=0), example((0, 3), dim=0)],
)


def _product_gradient(g: Any, x: Any, out: Any, dim: int) -> Any:
    if not x.ndim:
        return g
    if np.all((x if isinstance(x, np.ndarray) else x._array) != 0):
        return _sum_from_behind(g * out, dim) / x
    return _recurred_back(g, x, dim) * either(moved, out, dim, 1, 1.0)


_cumprod = operation(
    "cumprod",
    lambda x, dim: _accumulated(np.multiply, x, dim),
    "x₁ · … · xₖ",
    signature="input, dim",
    x=_product_gradient,
    method=False,
    examples=[example((3, 4), dim=0), example((3, 4), dim=-1), example((), dim=0), example((0, 3), dim=0)],
)


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The running sums along ``dim``; of integers and bools as int64.

    Args:
        input: of any shape.
        dim: along which to run.
        dtype: convert to it before.

    Raises:
        IndexError: there is no such dimension.
    """
    return _cumsum(*_along("cumsum", input, dim, dtype))


def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The running products along ``dim``. Arguments and errors as for `cumsum`."""
    return _cumprod(*_along("cumprod", input, dim, dtype))


def _log_sums(x: Any, dim: int) -> Any:
    return np.logaddexp.accumulate(x, axis=dim) if x.ndim else np.array(x)


def _any_infinite(out: Any) -> bool:
    return bool(np.isinf(out._array if isinstance(out, Tensor) else out).any())


def _log_sums_gradient(g: Any, x: Any, out: Any, dim: int) -> Any:
    """Σ gᵢ·exp(xₖ − outᵢ) over i ≥ k: as out only grows, each factor exp(outₖ₋₁ − outₖ) is at most 1."""
    if not x.ndim:
        return g
    before = either(moved, out, dim, 1, -np.inf)
    factors = np.exp(before - out)
    if _any_infinite(out):
        factors = np.where((before == out) & (abs(out) == np.inf), 1.0, factors)  # ∞ − ∞ is no number
    return np.exp(x - out) * _recurred_back(g, factors, dim)


_logcumsumexp = operation(
    "logcumsumexp",
    _log_sums,
    "log(eˣ¹ + … + eˣᵏ)",
    signature="input, dim",
    x=_log_sums_gradient,
    method=False,
    examples=[example((3, 4), dim=0), example((3, 4), dim=-1), example((), dim=0), example((0, 3), dim=0)],
)


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """``log(cumsum(exp(input), dim))``, without overflow.

    Raises:
        IndexError: there is no such dimension.
        NotImplementedError: the elements are integers or bools.
    """
    dim = dimension("logcumsumexp", dim, need("logcumsumexp", "input", input)._array.ndim)
    if input.dtype.kind != "f":
        raise NotImplementedError(
            f"logcumsumexp() is defined for floating-point tensors, and this one holds {input.dtype}; use float() before"
        )
    return _logcumsumexp(input, dim)


# ------------------------------------------------------------------------------------------------------------- extremes


def _running(name: str, ufunc: np.ufunc) -> Callable[..., Found]:
    which = "greatest" if name == "cummax" else "least"
    along = operation(
        name,
        lambda x, indices, dim: either(take_along, x, indices, dim),
        f"the {which} of x₁ … xₖ",
        signature="input, indices, dim",
        inputs=1,
        x=lambda g, x_shape, indices, dim: either(put_along, g, indices, dim, x_shape),
        method=False,
        kinks="ties, of which the last gets the gradient",
        examples=[example((4,), indices=np.array([0, 0, 2, 2]), dim=0)],
    )

    def running(input: Tensor, dim: int) -> Found:
        dim = dimension(name, dim, need(name, "input", input)._array.ndim)
        x = input._array
        if x.ndim:
            best = ufunc.accumulate(x, axis=dim)
            counts = np.expand_dims(np.arange(x.shape[dim]), tuple(range(1, x.ndim - dim)))
            reached = np.where((x == best) | (x != x), counts, 0)
            indices = np.maximum.accumulate(reached, axis=dim)
        else:
            indices = np.zeros((), np.int64)
        return Found(along(input, indices, dim), wrap(indices))

    running.__name__ = running.__qualname__ = name
    running.__doc__ = (
        f"The {which} element so far along ``dim``, with its index, as (values, indices); of several the last.\n\n"
        "    Raises:\n        IndexError: there is no such dimension.\n    "
    )
    return running


cummax = _running("cummax", np.maximum)
cummin = _running("cummin", np.minimum)

public(cumsum, in_place=True)
public(cumprod, in_place=True)
for _function in (logcumsumexp, cummax, cummin):
    public(_function)


def _for_numpy(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def stand_in(a: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
        return function(reshape(a, -1), 0, dtype=dtype) if axis is None else function(a, axis, dtype=dtype)

    return stand_in


Tensor._numpy_functions[np.cumsum] = _for_numpy(cumsum)
Tensor._numpy_functions[np.cumprod] = _for_numpy(cumprod)
