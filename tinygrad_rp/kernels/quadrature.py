"""The sums behind derivatives of the gamma distribution function, for large arrays; `ops.cumulative` has the formula."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.kernels.compiler import kernel
from tinygrad_rp.kernels.primitives import where
from tinygrad_rp.kernels.vector_math import exp_float64, expm1_float64

__all__ = ["gamma_sums"]

_0, _INFINITE = np.float64(0), np.float64(np.inf)


@kernel(whole=("x", "w", "y", "u"))
def gamma_sums(
    n: Any, b: Any, a: Any, z: Any, sign: Any, reach: Any, slope: Any, x: Any, w: Any, y: Any, u: Any, out: Any
) -> None:
    """∫ (b ± s) · exp(±a·s − z·(e^±s − 1)) ds, some numbers at a time, so that a processor's vectors go along them."""
    for start in range(0, n, 64):
        stop = min(start + 64, n)
        for i in range(start, stop):
            out[i] = _0
        for j in range(64):
            for i in range(start, stop):
                s = sign[i] * (x[j] * reach[i])
                out[i] += w[j] * (b[i] + s) * exp_float64(a[i] * s - z[i] * expm1_float64(s))
        for i in range(start, stop):
            out[i] *= reach[i]
        for j in range(12):
            for i in range(start, stop):
                s = -(reach[i] + y[j] / slope[i])
                term = u[j] / slope[i] * (b[i] + s) * exp_float64(y[j] + a[i] * s - z[i] * expm1_float64(s))
                out[i] += where(slope[i] < _INFINITE, term, _0)
