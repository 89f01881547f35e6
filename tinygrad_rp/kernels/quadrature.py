"""The sums behind derivatives of the gamma distribution function, for large arrays; `ops.cumulative` has the formula."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.kernels.compiler import kernel
from tinygrad_rp.kernels.primitives import sqrt, where
from tinygrad_rp.kernels.vector_math import exp_float64, expm1_float64, log_float64

__all__ = ["gamma_sums"]

_0, _1, _2, _6, _INFINITE = (np.float64(k) for k in (0, 1, 2, 6, np.inf))
_FEW, _LOW, _CLEAR, _RISE = np.float64(0.1), np.float64(-5), np.float64(39), np.float64(1.5)


@kernel(whole=("x", "w", "y", "u"))
def gamma_sums(
    n: Any,
    v: Any,
    a: Any,
    psi: Any,
    fallen: Any,
    many: Any,
    few: Any,
    x: Any,
    w: Any,
    y: Any,
    u: Any,
    z: Any,
    sign: Any,
    reach: Any,
    slope: Any,
    out: Any,
) -> None:
    """∫ (v − ψ ± s) · exp(±a·s − z·(e^±s − 1)) ds, times the sign; some numbers at a time, so that vectors go along them.

    ``z`` to ``slope`` are room for what is computed on the way: e^v, and of `ops.cumulative._gamma_side`, side, end and tail.
    """
    for start in range(0, n, 64):
        stop = min(start + 64, n)
        for i in range(start, stop):
            e = exp_float64(v[i])
            rises = (e > a[i]) & (a[i] * (log_float64(a[i]) - v[i] - _1) + e > _RISE)
            upper = rises | ((a[i] < _FEW) & (v[i] > _LOW))
            gap = a[i] - e
            far = (gap + sqrt(gap * gap + _2 * fallen * e)) / e
            end = where(_6 - v[i] > _1, _6 - v[i], _1) + a[i]
            s = where(upper, where(far < end, far, end), (fallen + e) / a[i])
            side = where(upper, _1, -_1)
            for _ in range(6):
                grown = expm1_float64(side * s)
                fall = e * grown - side * a[i] * s - fallen
                steep = side * (e * (grown + _1) - a[i])
                s = s - where(fall > _0, fall / steep, _0)
            clear = where(v[i] + _CLEAR > _0, v[i] + _CLEAR, _0)
            z[i], sign[i], out[i] = e, side, _0
            reach[i] = where(upper, s, where(s < clear, s, clear))
            slope[i] = where(upper, _INFINITE, a[i])
        for j in range(many):
            for i in range(start, stop):
                s = sign[i] * (x[j] * reach[i])
                out[i] += w[j] * (v[i] - psi[i] + s) * exp_float64(a[i] * s - z[i] * expm1_float64(s))
        for i in range(start, stop):
            out[i] *= reach[i]
        for j in range(few):
            for i in range(start, stop):
                s = -(reach[i] + y[j] / slope[i])
                term = u[j] / slope[i] * (v[i] - psi[i] + s) * exp_float64(y[j] + a[i] * s - z[i] * expm1_float64(s))
                out[i] += where(slope[i] < _INFINITE, term, _0)
        for i in range(start, stop):
            out[i] *= -sign[i]
