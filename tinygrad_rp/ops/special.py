"""Special functions: the error function and its inverse, and the gamma function's logarithm with its derivatives.

All are computed in float64 and rounded to the dtype of the input. But for `polygamma`, a formula computes all its cases for each
element, and chooses among them with ``np.where`` before it divides or takes a logarithm: so it can be compiled as it stands.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_rp.operation import POSITIVE, either, elementwise, public
from tinygrad_rp.tensor import Tensor

__all__ = ["digamma", "erf", "erfc", "erfinv", "lgamma", "polygamma"]  # the others are for distributions

Array = ndarray[Any, Any]

# The coefficients below are listed from the highest power down.


def _polynomial(x: Any, *coefficients: float) -> Any:
    """By Horner's rule; long ones as P(x²) + x·Q(x²), and so on, so that a processor need not wait for each step."""
    if len(coefficients) > 4:
        square = x * x
        return _polynomial(square, *coefficients[::-2][::-1]) + x * _polynomial(square, *coefficients[-2::-2][::-1])
    value = coefficients[0] * x + coefficients[1]
    for c in coefficients[2:]:
        value *= x
        value += c
    return value


def _in_double(formula: Callable[..., Any]) -> Callable[..., Any]:
    """A formula of float64 arrays, as one of arrays of any dtype."""

    def compute(x: Any, *parameters: Any) -> Any:
        with np.errstate(all="ignore"):
            out = formula(x.astype(np.float64, copy=False), *parameters)
            return out.astype(x.dtype) if x.dtype.kind == "f" else out

    return compute


# -------------------------------------------------------------------------------------------------- the error function

# W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969), 631-637: erf(x)/x in x² for
# |x| ≤ 0.46875, eˣ²·erfc(x) in x up to 4, and (1/√π − x·eˣ²·erfc(x))·x² in 1/x² beyond, here written from the lowest power
# of 1/x² down: as polynomials in x².
_ERF = (
    (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)  # fmt: skip
_ERFC = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1, 2.98635138197400131e2,
     8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
     3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
_ERFC_FAR = (
    (6.58749161529837803e-4, 1.60837851487422766e-2, 1.25781726111229246e-1, 3.60344899949804439e-1,
     3.05326634961232344e-1, 1.63153871373020978e-2),
    (2.33520497626869185e-3, 6.05183413124413191e-2, 5.27905102951428412e-1, 1.87295284992346725e0,
     2.56852019228982242e0, 1.0),
)  # fmt: skip
_SMALL_ERF = 0.46875


def _parts_of_erf(x: Any) -> tuple[Any, Any]:
    """erf x for |x| ≤ 0.46875, and erfc |x| for larger x."""
    size = np.minimum(np.abs(x), 30.0)  # where erfc is 0
    square = size * size
    near, far = size <= _SMALL_ERF, size > 4.0
    far_below = square * _polynomial(square, *_ERFC_FAR[1])
    above = np.where(
        far, far_below / math.sqrt(math.pi) - _polynomial(square, *_ERFC_FAR[0]), _polynomial(size, *_ERFC[0])
    )
    below = np.where(far, size * far_below, _polynomial(size, *_ERFC[1]))
    above = np.where(near, x * _polynomial(square, *_ERF[0]), above)
    ratio = above / np.where(near, _polynomial(square, *_ERF[1]), below)
    # What x² lost in rounding, found from the part of x with few bits, whose square is exact, would be missed in the exponent.
    # The exponential is taken in two halves, so that only the last product can fall among the denormals.
    short = np.floor(size * 16.0) / 16.0
    lost = (short * short - square) + (size - short) * (size + short)
    half = np.exp(-0.5 * square)
    return ratio, half * (half * (1.0 - lost) * ratio)


@_in_double
def _erf(x: Any) -> Any:
    near, rest = _parts_of_erf(x)
    return np.where(np.abs(x) <= _SMALL_ERF, near, np.copysign(1.0 - rest, x))


@_in_double
def _erfc(x: Any) -> Any:
    near, rest = _parts_of_erf(x)
    return np.where(np.abs(x) <= _SMALL_ERF, 1.0 - near, np.where(x > 0.0, rest, 2.0 - rest))


# M. J. Wichura, "Algorithm AS 241: The percentage points of the normal distribution", Appl. Statist. 37 (1988), 477-484, the
# routine of 16 digits. The quantile of p is √2·erfinv(2p − 1).
_QUANTILE_CENTRE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
     1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
     5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
)  # fmt: skip
_QUANTILE_TAIL = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
     3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0),
)  # fmt: skip
_QUANTILE_FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0),
)  # fmt: skip


@_in_double
def _erfinv(x: Any) -> Any:
    size = np.abs(x)
    depth = np.sqrt(-np.log(0.5 * (1.0 - size)))  # 1 − |x| is exact where this is used
    centre, tail = size <= 0.85, depth <= 5.0
    place = 0.180625 - 0.25 * x * x
    above, below = (
        np.where(
            centre, _polynomial(place, *c), np.where(tail, _polynomial(depth - 1.6, *t), _polynomial(depth - 5.0, *f))
        )
        for c, t, f in zip(_QUANTILE_CENTRE, _QUANTILE_TAIL, _QUANTILE_FAR, strict=True)
    )
    quantile = above / below
    outer = np.where(size == 1.0, np.inf, quantile * math.sqrt(0.5))
    return np.where(centre, x * quantile * math.sqrt(0.125), np.copysign(outer, x))


@_in_double
def _ndtr(x: Any) -> Any:
    near, rest = _parts_of_erf(x * -math.sqrt(0.5))
    return 0.5 * np.where(np.abs(x) <= _SMALL_ERF * math.sqrt(2.0), 1.0 - near, np.where(x < 0.0, rest, 2.0 - rest))


@_in_double
def _log_ndtr(x: Any) -> Any:
    # below −1, where Φ = ½·e^(−½x²)·(e^(z²)·erfc z) with z = −x/√2: the last factor is Cody's ratio, or 1/(z√π)·(1 − …) far out
    z = np.maximum(-x, 1.0) * math.sqrt(0.5)
    far = z > 26.0
    ratio, _ = _parts_of_erf(np.where(far, 26.0, z))
    inverse = 0.5 / (z * z)
    series = 1.0 - inverse * (
        1.0 - 3.0 * inverse * (1.0 - 5.0 * inverse * (1.0 - 7.0 * inverse * (1.0 - 9.0 * inverse)))
    )
    left = np.log(0.5 * np.where(far, series / (z * math.sqrt(math.pi)), ratio)) - 0.5 * x * x
    return np.where(x < -1.0, left, np.log1p(-_ndtr(np.maximum(-x, -1e9))))


def _lower_quantile(depth: Any) -> Any:
    """Minus the quantile of a probability p of at most 0.075, of √−log p."""
    tail = depth <= 5.0
    above, below = (
        np.where(tail, _polynomial(depth - 1.6, *t), _polynomial(depth - 5.0, *f))
        for t, f in zip(_QUANTILE_TAIL, _QUANTILE_FAR, strict=True)
    )
    return above / below


@_in_double
def _ndtri(p: Any) -> Any:
    middle = p - 0.5
    least = np.minimum(p, 1.0 - p)
    place = 0.180625 - middle * middle
    centre = middle * _polynomial(place, *_QUANTILE_CENTRE[0]) / _polynomial(place, *_QUANTILE_CENTRE[1])
    outer = np.where(least == 0.0, np.inf, _lower_quantile(np.sqrt(-np.log(np.where(least > 0.0, least, 0.5)))))
    out = np.where(np.abs(middle) <= 0.425, centre, np.copysign(outer, middle))
    return np.where((p >= 0.0) & (p <= 1.0), out, np.nan)


def _ndtri_of_log(log_p: Any) -> Any:
    """The quantile of a probability of at most ½ that is given by its logarithm, in float64: also where it would be 0."""
    depth = np.sqrt(-log_p)
    near = log_p > -2.6
    x = np.where(near, _ndtri(np.exp(np.where(near, log_p, -1.0))), -_lower_quantile(np.minimum(depth, 26.0)))
    x = np.where(depth > 26.0, -math.sqrt(2.0) * depth, x)
    for _ in range(4):  # Newton; log Φ is concave
        log_cdf = _log_ndtr(x)
        x = np.where(
            near | (log_p == -np.inf), x, x - (log_cdf - log_p) * np.exp(log_cdf + 0.5 * x * x + _HALF_LOG_TAU)
        )
    return x


_DENSITY = 2.0 / math.sqrt(math.pi)
_HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)

erf = elementwise(
    "erf",
    _erf,
    "2/√π · ∫₀ˣ e^(−t²) dt",
    signature="input",
    floating=True,
    x=lambda g, x: g * (_DENSITY * np.exp(-(x * x))),
)
erfc = elementwise(
    "erfc", _erfc, "1 − erf x", signature="input", floating=True, x=lambda g, x: g * (-_DENSITY * np.exp(-(x * x)))
)
erfinv = elementwise(
    "erfinv",
    _erfinv,
    "the y of which erf y = x",
    signature="input",
    floating=True,
    x=lambda g, out: g * (np.exp(out * out) / _DENSITY),
    domain=(-1.0, 1.0),
)
ndtr = elementwise(
    "ndtr",
    _ndtr,
    "Φ(x), the standard normal distribution's probability below x",
    signature="input",
    floating=True,
    method=False,
    x=lambda g, x: g * np.exp(-0.5 * (x * x) - _HALF_LOG_TAU),
)
log_ndtr = elementwise(
    "log_ndtr",
    _log_ndtr,
    "log Φ(x)",
    signature="input",
    floating=True,
    method=False,
    x=lambda g, x, out: g * np.exp(-0.5 * (x * x) - _HALF_LOG_TAU - out),
)
ndtri = elementwise(
    "ndtri",
    _ndtri,
    "Φ⁻¹(p), the x of which Φ(x) = p",
    signature="input",
    floating=True,
    method=False,
    x=lambda g, out: g * np.exp(0.5 * (out * out) + _HALF_LOG_TAU),
    domain=(0.0, 1.0),
)

# -------------------------------------------------------------------------------------------------- the gamma function

# B₂ⱼ, the Bernoulli numbers (Abramowitz and Stegun, table 23.2)
_BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330,
)  # fmt: skip


def _hurwitz(s: float, q: Array) -> Array:
    """The zeta function of Hurwitz, Σ (q + k)⁻ˢ over k ≥ 0, for s > 1 and q > 0.

    The sum up to where q + k is large, and from there the formula of Euler and Maclaurin (F. Johansson, "Rigorous
    high-precision computation of the Hurwitz zeta function and its derivatives", Numer. Algorithms 69 (2015), equation 5).
    """
    large = 10 + math.ceil(s)
    steps = np.ceil(np.clip(large - q, 0, large))
    a = q + steps
    term = a**-s
    total = a ** (1 - s) / (s - 1) + 0.5 * term
    factor = np.ones_like(a)  # s (s + 1) … (s + 2j − 2) / ((2j)! a^(2j−1))
    for j, b in enumerate(_BERNOULLI, 1):
        factor = factor * (s / a / 2 if j == 1 else (s + 2 * j - 3) * (s + 2 * j - 2) / ((2 * j - 1) * 2 * j) / a / a)
        total = total + b * factor * term
    for k in range(large - 1, -1, -1):  # the smallest first
        total = total + np.where(k < steps, (q + k) ** -s, 0.0)
    return np.where(np.isinf(q), 0.0, total)


@functools.cache
def _series_at_two() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The coefficients of log Γ(2 + z) = (1 − γ) z + Σ (ζ(k) − 1) (−z)ᵏ / k, and of its derivative (Abramowitz and Stegun,
    6.1.33). ζ(k) − 1 is the zeta function of Hurwitz at 2."""
    terms = [_hurwitz(float(k), np.array(2.0)).item() * (-1) ** k / k for k in range(2, 32)]
    coefficients = (*reversed(terms), 1.0 - np.euler_gamma, 0.0)
    powers = range(len(coefficients) - 1, 0, -1)
    return coefficients, tuple(c * k for c, k in zip(coefficients, powers, strict=False))


# of Stirling's series, in 1/x² (Abramowitz and Stegun, 6.1.41), and of its derivative (6.3.18)
_STIRLING = tuple(b / (2 * j * (2 * j - 1)) for j, b in reversed(list(enumerate(_BERNOULLI, 1))))
_STIRLING_SLOPE = (*(b / (2 * j) for j, b in reversed(list(enumerate(_BERNOULLI, 1)))), 0.0)


def _whole(x: Array) -> Any:
    return x == np.floor(x)


@_in_double
def _lgamma(x: Any) -> Any:
    # log Γ(a) for a = |x|: Stirling's series for a ≥ 10; or the series about 2, after Γ(a) = (a − 1) … (a − steps) Γ(a − steps),
    # or Γ(a) = Γ(a + 1) / a. For |x| < ½, it is that of Γ(x) = Γ(x + 2) / (x (x + 1)).
    a = np.abs(x)
    far, small = a >= 10.0, a < 0.5
    steps = np.minimum(np.maximum(np.rint(a) - 2.0, -1.0), 8.0)
    up = steps < 0.0
    product = np.where(steps >= 1.0, a - 1.0, 1.0)
    for k in range(2, 9):
        product = product * np.where(k <= steps, a - k, 1.0)
    log = np.log(np.where(small, a * (1.0 + x), np.where(far | up, a, product)))
    near = _polynomial(np.where(small, x, a - (2.0 + steps)), *_series_at_two()[0]) + np.where(up, -log, log)
    inverse = 1.0 / a
    stirling = (0.5 * math.log(2.0 * math.pi) - 0.5) + _polynomial(inverse * inverse, *_STIRLING) * inverse
    positive = np.where(far, (a - 0.5) * (log - 1.0) + stirling, near)
    # Γ(x) Γ(−x) = −π / (x sin πx) (Abramowitz and Stegun, 6.1.17)
    sine = np.abs(np.sin(math.pi * (a - np.rint(a))))
    out = np.where(x <= -0.5, np.log(math.pi / (sine * a)) - positive, positive)
    return np.where(((x < 0.0) & _whole(x)) | (a == np.inf), np.inf, out)


@_in_double
def _digamma(x: Any) -> Any:
    left = x < 0.5
    a = np.where(left, 1.0 - x, x)
    # ψ(a), for a ≥ ½: its series about 1 or 2, or about infinity, after ψ(a) = ψ(a + 1) − 1/a (6.3.5)
    up, near, far = a < 1.5, a < 2.5, a >= 10.0
    series = _polynomial(a - np.where(up, 1.0, 2.0), *_series_at_two()[1])
    above, below = a + (a + 1.0), a * (a + 1.0)  # Σ 1/(a + k) over k < 8, as one fraction
    for k in range(2, 8):
        above, below = above * (a + k) + below, below * (a + k)
    above, below = np.where(near, np.where(up, 1.0, 0.0), above), np.where(near, a, below)
    large = np.where(far, a, a + 8.0)
    inverse = 1.0 / large
    endless = np.log(large) - 0.5 * inverse - _polynomial(inverse * inverse, *_STIRLING_SLOPE)
    positive = np.where(near, series, endless) - np.where(far, 0.0, above / below)
    # ψ(x) = ψ(1 − x) − π cot πx (6.3.7)
    angle = math.pi * (x - np.rint(x))
    out = np.where(left, positive - math.pi * np.cos(angle) / np.sin(angle), positive)
    return np.where(x == 0.0, np.copysign(np.inf, -x), np.where(left & _whole(x), np.nan, out))


@_in_double
def _polygamma(x: Array, n: int) -> Array:
    """ψ⁽ⁿ⁾ for n ≥ 1: (−1)ⁿ⁺¹ n! ζ(n + 1, x) (Abramowitz and Stegun, 6.4.10)."""
    s = float(n + 1)
    sign = -1.0 if n % 2 == 0 else 1.0
    zeta = np.array(x)
    right = x > 0.0
    zeta[right] = _hurwitz(s, x[right])
    left = x < 0.0
    a = x[left]
    # Σ (a + k)⁻ˢ over k ≥ 0 is the sum over all integers k, in which a counts but for its whole part, less that over k < 0
    r = a - np.rint(a)
    zeta[left] = r**-s + _hurwitz(s, 1.0 + r) + sign * (_hurwitz(s, 1.0 - r) - _hurwitz(s, 1.0 - a))
    zeta[(x <= 0.0) & _whole(x)] = np.inf
    if n > 1:
        zeta[x == np.inf] = np.nan  # as PyTorch has it
    elif n == 1:
        zeta[x == -np.inf] = np.nan
    factorial = float(math.factorial(n)) if n <= 170 else np.inf
    return sign * factorial * zeta


lgamma: Callable[..., Tensor] = elementwise(
    "lgamma",
    _lgamma,
    "log |Γ(x)|",
    signature="input",
    floating=True,
    x=lambda g, x: g * either(digamma, x),
    domain=POSITIVE,
    kinks="x = 0, −1, −2, …, where it is ∞",
)
digamma: Callable[..., Tensor] = elementwise(
    "digamma",
    _digamma,
    "ψ(x), the derivative of log |Γ(x)|",
    signature="input",
    floating=True,
    x=lambda g, x: g * either(_derivative_of_digamma, x, 1),
    domain=POSITIVE,
    kinks="x = 0, −1, −2, …, which are poles",
)
_derivative_of_digamma: Callable[..., Tensor] = elementwise(
    "polygamma",
    lambda x, n: _polygamma(x, n) if n else _digamma(x),
    "ψ⁽ⁿ⁾(x), the n-th derivative of ψ(x)",
    signature="input, n=1",
    floating=True,
    x=lambda g, x, n: g * either(_derivative_of_digamma, x, n + 1),
    method=False,
    domain=POSITIVE,
    kinks="x = 0, −1, −2, …, which are poles",
)


def polygamma(n: int, input: Tensor) -> Tensor:
    """The derivative of order ``n`` of `digamma`, element by element.

    Args:
        n: a whole number; 0 for `digamma` itself.
        input: of any shape.

    Raises:
        RuntimeError: ``n`` is negative.
        TypeError: ``n`` is no integer.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise TypeError(f"polygamma(): n must be an integer, not {type(n).__name__}; the tensor is the second argument")
    order = int(n)
    if order < 0:
        raise RuntimeError(f"polygamma(): n must not be negative, and is {order}")
    return _derivative_of_digamma(input, order)


def _polygamma_of(self: Tensor, n: int) -> Tensor:
    return polygamma(n, self)


public(_polygamma_of, name="polygamma", in_place=True)
