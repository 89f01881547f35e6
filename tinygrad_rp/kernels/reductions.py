"""Reductions along rows: the softmax family, each in two or three passes over a row, which stays in the cache.

The arrays hold ``n`` rows of ``m`` numbers, one behind the other. Sums are taken in blocks, and over the blocks in float64, so
that long rows lose nothing. ``zero`` is that of the dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_rp.kernels.choice import usable
from tinygrad_rp.kernels.compiler import Kernel, kernel
from tinygrad_rp.kernels.primitives import bits, by_dtype, float_of, where
from tinygrad_rp.kernels.vector_math import exp, log

__all__ = ["AlongRows", "column_sums"]

Array = ndarray[Any, Any]

BLOCK, ROWS = 1024, 256

# The greatest of integers is found by vector instructions; that of floating-point numbers, whose NaN is special, is not. So
# numbers are compared by their bits, of which those of negative numbers are turned round; NaN is the greatest.
_ZERO_32, _TURN_32 = np.int32(0), np.int32(2**31 - 1)
_ZERO_64, _TURN_64 = np.int64(0), np.int64(2**63 - 1)


def _ranked_32(k: Any) -> Any:
    return where(k < _ZERO_32, np.int32(k ^ _TURN_32), k)


def _ranked_64(k: Any) -> Any:
    return where(k < _ZERO_64, np.int64(k ^ _TURN_64), k)


_ranked = by_dtype(_ranked_32, _ranked_64)


def _greatest(x: Any, at: Any, m: Any) -> Any:
    top = _ranked(bits(x[at]))
    for j in range(at + 1, at + m):
        k = _ranked(bits(x[j]))
        top = where(k > top, k, top)
    return float_of(_ranked(top))


def _to_32(x: Any, like: Any) -> Any:
    return np.float32(x)


def _to_64(x: Any, like: Any) -> Any:
    return np.float64(x)


_rounded = by_dtype(_to_32, _to_64)
"""A float64, in the dtype of another number."""

# Sums may be taken in any order; what is summed is computed as it stands, and so in functions of its own.


def _power(x: Any, top: Any) -> Any:
    return exp(x - top)


def _total_of_powers(x: Any, at: Any, m: Any, top: Any, zero: Any) -> Any:
    total = 0.0
    for begin in range(at, at + m, BLOCK):
        s = zero
        for j in range(begin, min(begin + BLOCK, at + m)):
            s += _power(x[j], top)
        total += s
    return total


_total_of_powers.__dict__["reorders"] = True


@kernel(reorders=True)
def _softmax(n: int, m: int, zero: Any, x: Any, out: Any) -> None:
    for r in range(n):
        at = r * m
        top = _greatest(x, at, m)
        total = 0.0
        for begin in range(at, at + m, BLOCK):
            s = zero
            for j in range(begin, min(begin + BLOCK, at + m)):
                e = _power(x[j], top)
                out[j] = e
                s += e
            total += s
        share = _rounded(total, zero)
        for j in range(at, at + m):
            out[j] = out[j] / share


@kernel(reorders=True)
def _softmax_backward(n: int, m: int, zero: Any, g: Any, out: Any, back: Any) -> None:
    for r in range(n):
        at = r * m
        total = 0.0
        for begin in range(at, at + m, BLOCK):
            s = zero
            for j in range(begin, min(begin + BLOCK, at + m)):
                s += g[j] * out[j]
            total += s
        pull = _rounded(total, zero)
        for j in range(at, at + m):
            back[j] = out[j] * (g[j] - pull)


@kernel
def _log_softmax(n: int, m: int, zero: Any, x: Any, out: Any) -> None:
    for r in range(n):
        at = r * m
        top = _greatest(x, at, m)
        total = _total_of_powers(x, at, m, top, zero)
        log_total = log(_rounded(total, zero))
        for j in range(at, at + m):
            out[j] = (x[j] - top) - log_total


@kernel(reorders=True)
def _log_softmax_backward(n: int, m: int, zero: Any, g: Any, out: Any, back: Any) -> None:
    for r in range(n):
        at = r * m
        total = 0.0
        for begin in range(at, at + m, BLOCK):
            s = zero
            for j in range(begin, min(begin + BLOCK, at + m)):
                s += g[j]
            total += s
        pull = _rounded(total, zero)
        for j in range(at, at + m):
            back[j] = g[j] - exp(out[j]) * pull


@kernel
def _logsumexp(n: int, m: int, zero: Any, x: Any, out: Any) -> None:
    for r in range(n):
        at = r * m
        top = _greatest(x, at, m)
        top = where(top - top == zero, top, zero)  # inf − inf is no number
        total = _total_of_powers(x, at, m, top, zero)
        out[r] = log(_rounded(total, zero)) + top


@kernel
def _logsumexp_backward(n: int, m: int, zero: Any, g: Any, x: Any, out: Any, back: Any) -> None:
    for r in range(n):
        at, share, whole = r * m, g[r], out[r]
        for j in range(at, at + m):
            back[j] = share * exp(x[j] - whole)


@kernel(whole=("x",))
def _column_sums(n: int, first: int, rows: int, m: int, x: Any, out: Any) -> None:
    for b in range(n):
        at = b * m
        for j in range(m):
            out[at + j] = 0.0
        for r in range((first + b) * ROWS, min((first + b + 1) * ROWS, rows)):
            for j in range(m):
                out[at + j] += x[r * m + j]


def column_sums(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array | None:
    """The sum over the dimensions that come first in memory, in blocks of rows, as NumPy adds it up one by one.

    Args:
        x: of any shape and order.
        axes: the dimensions to sum over.
        keepdims: keep them, with length 1.

    Returns:
        ``None`` where they are not the first ones in memory, x is not contiguous, or there are few rows, at which NumPy is good.
    """
    order = sorted(range(x.ndim), key=lambda d: x.strides[d], reverse=True)
    straight = x.transpose(order)
    if set(order[: len(axes)]) != set(axes) or not straight.flags.c_contiguous or not usable():
        return None
    rows = math.prod(straight.shape[: len(axes)])
    if rows < 4 * ROWS:
        return None
    m = x.size // rows
    blocks = -(-rows // ROWS)
    parts = np.empty((blocks, m))
    _column_sums(blocks, rows, m, straight, parts)
    total = np.add.reduce(parts, axis=0).astype(x.dtype).reshape(straight.shape[len(axes) :])
    kept = sorted(order[len(axes) :])
    total = total.transpose([order[len(axes) :].index(d) for d in kept])
    return np.expand_dims(total, sorted(axes)) if keepdims else total


_KERNELS: dict[str, tuple[Kernel, Kernel]] = {
    "softmax": (_softmax, _softmax_backward),
    "log_softmax": (_log_softmax, _log_softmax_backward),
    "logsumexp": (_logsumexp, _logsumexp_backward),
}


class AlongRows:
    """The compiled forms of an operation that reduces the last dimensions: of its formula, and of its derivative.

    Args:
        name: of the loops.
        forward: the formula, of an array and ``dim``.
        names: what the formula takes.
    """

    def __init__(self, name: str, forward: Callable[..., Any], names: tuple[str, ...]) -> None:
        self.formula = forward
        self.names = names
        self.loops = _KERNELS[name]
        self.reduces = name == "logsumexp"

    def forward(self, *arguments: Any) -> Any:
        """The result, by the compiled loop where the dimensions are the last ones, else by NumPy."""
        given = dict(zip(self.names, arguments, strict=True))
        x = arguments[0]
        if not _are_last(given["dim"], x.ndim):
            return self.formula(*arguments)
        kept = x.ndim - (len(given["dim"]) if isinstance(given["dim"], tuple) else 1)
        shape = x.shape[:kept] if self.reduces else x.shape
        out = _run(self.loops[0], math.prod(x.shape[:kept]), shape, x)
        if out is None:
            return self.formula(*arguments)
        return out.reshape(shape + (1,) * (x.ndim - kept)) if self.reduces and given["keepdim"] else out

    def backward(
        self, wanted: tuple[str, ...], names: tuple[str, ...], values: Sequence[Any], shapes: tuple[Any, ...]
    ) -> list[Any] | None:
        """The gradient of the input, of which ``shapes`` holds the shape; ``None``, where there is no loop."""
        (shape,) = shapes
        given = dict(zip(names, values, strict=True))
        if not _are_last(given["dim"], len(shape)):
            return None
        kept = len(shape) - (len(given["dim"]) if isinstance(given["dim"], tuple) else 1)
        arrays = [given[name] for name in ("g", "x", "out") if name in given]
        back = _run(self.loops[1], math.prod(shape[:kept]), shape, *arrays)
        return None if back is None else [back]


def _are_last(dims: Any, ndim: int) -> bool:
    """Whether these are the last dimensions."""
    if not ndim:
        return False
    named = sorted(d % ndim for d in (dims if isinstance(dims, tuple) else (dims,)))
    return named == list(range(ndim - len(named), ndim))


def _run(loop: Kernel, rows: int, shape: tuple[int, ...], *arrays: Array) -> Array | None:
    dtype = arrays[0].dtype
    if not rows or dtype.char not in "fd" or any(a.dtype != dtype for a in arrays) or not usable():
        return None
    out = np.empty(shape, dtype)
    m = max(a.size for a in arrays) // rows
    loop(rows, m, dtype.type(0), *map(np.ascontiguousarray, arrays), out)
    return out
