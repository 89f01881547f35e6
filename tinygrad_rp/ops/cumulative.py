r"""Distribution functions of the gamma, beta and von Mises distributions, with all derivatives, also by their parameters.

They are what implicit reparameterisation needs (Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients", 2018,
equation 6): a sample z with F(z; θ) = u moves with θ as dz/dθ = −(∂F/∂θ) / f, in whatever way it was drawn; f is the density.

*One formula for all.* Each is an exponential family, f(v; θ) = exp(Σ θ·T(v) − A(θ)), in a variable v in which its density is one
hump: v = log z for the gamma distribution, the logit of z for the beta, the angle for the von Mises. What is computed is not F,
which loses its digits in the tails, but its derivatives in units of the density at v, integrals over one side of v::

    H_n(v) = ∂ⁿF/∂θⁿ / f(v) = ∫ exp(θ·T(t) − θ·T(v)) q_n(t) dt    over t < v; for n > 0, also over t > v with the other sign

with q_n = (∂ⁿf/∂θⁿ) / f, a polynomial in T − A′, A″, A‴, … (the complete Bell polynomials). H_0 is F/f on the lower side and
(1 − F)/f on the upper one. So dz/dθ is −H_1. And the derivative of H_n by θ is H_{n+1} − H_n·q_1, the one by v is
q_n − H_n·∂log f/∂v: every order follows.

*The integrals* are sums: of 64 terms (Gauss and Legendre), up to where the integrand has fallen to e⁻⁴⁰, or is from there on
nothing but an exponential times a polynomial; and of 12 terms (Gauss and Laguerre) beyond, which are then exact. The side is the
one on which the density falls, or rises by a factor of no more than e^1.5, so that little cancels. By test against mpmath,
relative errors are below 1e-9 for parameters between 1e-3 and 1e4, and for the gamma distribution below 1e-10.

All is computed in float64 and rounded to the dtype of the inputs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_rp.kernels.choice import LARGE, room, usable
from tinygrad_rp.operation import POSITIVE, REAL, either, example, operation
from tinygrad_rp.ops.elementwise import sigmoid
from tinygrad_rp.ops.special import (
    _HALF_LOG_TAU,
    _derivative_of_digamma,
    _digamma,
    _erf,
    _hurwitz,
    _lgamma,
    _log_ndtr,
    _ndtri,
    _ndtri_of_log,
    _polygamma,
    digamma,
)
from tinygrad_rp.tensor import Tensor

__all__: list[str] = []

Array = ndarray[Any, Any]

FALLEN = 40.0
"""Where the exponent has fallen by so much, the rest of an integral is below the rounding of the result."""
RISE = 1.5
CHUNK = 4096
"""So many elements at a time, each with 76 terms: 2.5 MB an array."""
_ANGLE = (-math.pi, math.pi)
_UNIT = (0.0, 1.0)


_function: Any = functools.partial(operation, promote=True, floating=True, method=False)
"""An operation on arrays of any dtype that broadcast."""
_drawn: Any = functools.partial(operation, inputs=2, promote=True, method=False, drawn=True)
"""A number that was drawn, as a function of the parameter."""


@functools.cache
def _nodes(many: int = 64, few: int = 12) -> tuple[Array, Array, Array, Array]:
    """Places and weights for ∫₀¹ f(s) ds and ∫₀^∞ e⁻ˢ f(s) ds, as columns."""
    x, w = np.polynomial.legendre.leggauss(many)
    y, u = np.polynomial.laguerre.laggauss(few)
    return 0.5 * (x[:, None] + 1.0), 0.5 * w[:, None], y[:, None], u[:, None]


def _xlogy(x: Array, y: Array) -> Array:
    return np.where(x == 0.0, 0.0, x * np.log(y))


def _log_sigmoid(v: Any) -> Any:
    return np.minimum(v, 0.0) - np.log1p(np.exp(-np.abs(v)))


def _in_chunks(formula: Callable[..., Any], *arguments: Any) -> Array:
    """A formula of float64 vectors on arrays of any dtype and shape that broadcast; some elements at a time."""
    floats = [a for a in arguments if isinstance(a, ndarray) and a.dtype.kind == "f"]
    dtype = np.result_type(*floats) if floats else np.float64
    given = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in arguments))
    flat = [np.ravel(a) for a in given]
    out = np.empty(given[0].size)
    with np.errstate(all="ignore"):
        for start in range(0, out.size, CHUNK):
            out[start : start + CHUNK] = formula(*(a[start : start + CHUNK] for a in flat))
        return out.reshape(given[0].shape).astype(dtype)


def _bell(order: tuple[int, ...], cumulants: Callable[[tuple[int, ...]], Any], known: dict[Any, Any]) -> Any:
    """q of this order: (∂ⁿ exp g) / exp g, of the derivatives of g.

    Args:
        order: how often by each parameter.
        cumulants: of an order, that derivative of g.
        known: what was computed of lower orders.
    """
    if not any(order):
        return 1.0
    if order not in known:
        which = next(i for i, n in enumerate(order) if n)
        below = tuple(n - (i == which) for i, n in enumerate(order))
        total = 0.0
        for taken in np.ndindex(*(n + 1 for n in below)):
            rest = tuple(n - k for n, k in zip(below, taken, strict=True))
            ways = math.prod(map(math.comb, below, taken))
            raised = tuple(k + (i == which) for i, k in enumerate(taken))
            total = total + ways * cumulants(raised) * _bell(rest, cumulants, known)
        known[order] = total
    return known[order]


# ---------------------------------------------------------------------------------------------------------------- gamma


def _gamma_side(v: Array, a: Array, n: int) -> tuple[Array, Array, Array]:
    """Whether the upper side of v is taken, how far the sum goes, and the slope of the exponential beyond."""
    z = np.exp(v)
    upper = (z > a) & (a * (np.log(a) - v - 1.0) + z > RISE)
    if n:  # at small a, almost all of the lower side is so far away that the terms are large, and cancel
        upper = upper | ((a < 0.1) & (v > -5.0))
    # The exponent falls convexly, and Newton's steps come down to where it is −40 from beyond.
    start = np.minimum((a - z + np.sqrt((z - a) ** 2 + 2 * FALLEN * z)) / z, np.maximum(6.0 - v, 1.0) + a)
    s = np.where(upper, start, (FALLEN + z) / a)
    for _ in range(6):
        fallen = np.where(upper, z * np.expm1(s) - a * s, a * s + z * np.expm1(-s)) - FALLEN
        slope = np.where(upper, z * np.exp(s) - a, a - z * np.exp(-s))
        s = s - np.where(fallen > 0, fallen / slope, 0.0)
    # where z·e⁻ˢ no longer counts, what is left of the lower side is e^(−as) times a polynomial
    return upper, np.where(upper, s, np.minimum(s, np.maximum(v + 39.0, 0.0))), np.where(upper, np.inf, a)


def _held(v: Array, a: Array) -> Array:
    """Without infinities, so that a product with the density, which is 0 there, is 0; above 10⁶(1 + a) there is nothing."""
    return np.clip(v, -1e30, np.log(1e6 * (1.0 + a)))


def _gamma_integral(v: Array, a: Array, n: int) -> tuple[Array, Array]:
    """The integral of q_n over one side of v, relative to the density at v; and whether it is the upper side."""
    v = _held(v, a)
    upper, reach, slope = _gamma_side(v, a, n)
    z, sign = np.exp(v), np.where(upper, 1.0, -1.0)
    psi = [_digamma(a), *(_polygamma(a, k) for k in range(1, n))]

    def part(s: Array) -> Array:
        def cumulant(order: tuple[int, ...]) -> Any:
            return v + sign * s - psi[0] if order[0] == 1 else -psi[order[0] - 1]

        return _bell((n,), cumulant, {}) * np.exp(sign * a * s - z * np.expm1(sign * s))

    return _sides(part, reach, slope), upper


def _sides(part: Callable[[Array], Array], reach: Array, slope: Array) -> Array:
    """∫ part(s) ds from 0 to ``reach``, and from there on, where it is e^(−slope·s) times a polynomial."""
    x, w, y, u = _nodes()
    out = reach * np.sum(w * part(x * reach), 0)
    tail = np.isfinite(slope)
    if tail.any():
        slope = np.where(tail, slope, 1.0)
        s = reach + y / slope
        out = out + np.where(tail, np.sum(u * np.exp(y) * part(s), 0) / slope, 0.0)
    return out


def _gamma_mass(v: Array, a: Array) -> tuple[Array, Array, Array]:
    """The logarithm of the probability of one side of v; that probability over the density; whether it is the upper side."""
    ratio, upper = _gamma_integral(v, a, 0)
    return a * v - np.exp(v) - _lgamma(a) + np.log(ratio), ratio, upper


def _gamma_cdf(a: Array, x: Array, wanted_upper: bool) -> Array:
    log_mass, _, upper = _gamma_mass(_held(np.log(x), a), a)
    out = np.where(upper == wanted_upper, np.exp(log_mass), -np.expm1(log_mass))
    out = np.where(x == 0.0, float(wanted_upper), np.where(x == np.inf, float(not wanted_upper), out))
    return np.where((a > 0) & (a < np.inf) & (x >= 0), out, np.nan)


def _gamma_slope(v: Any, a: Any, n: int) -> Array:
    if n == 1 and max(np.size(v), np.size(a)) > LARGE and usable():
        return _large_gamma_slope(v, a)

    def slope(v: Array, a: Array) -> Array:
        out, upper = _gamma_integral(v, a, n)
        return np.where(upper, -out, out)

    return _in_chunks(slope, v, a)


def _large_gamma_slope(v: Array, a: Array) -> Array:
    """The first derivative, whose sums are compiled: those of all numbers that are drawn."""
    dtype = np.result_type(*(x for x in (v, a) if isinstance(x, ndarray)))
    with np.errstate(all="ignore"):
        given = np.broadcast_arrays(np.asarray(v, np.float64), np.asarray(a, np.float64))
        v, a = (np.ascontiguousarray(x).reshape(-1) for x in given)
        v, out = _held(v, a), np.empty(v.shape)
        # in float32, 8 digits are enough
        many, few, fallen = (64, 12, FALLEN) if dtype == np.float64 else (24, 6, 20.0)
        nodes = (np.ascontiguousarray(x[:, 0]) for x in _nodes(many, few))
        spare = (np.empty(v.shape) for _ in range(4))
        room("quadrature").gamma_sums(v.size, v, a, _digamma(a), fallen, many, few, *nodes, *spare, out)
        return out.reshape(given[0].shape).astype(dtype)


def _quantile(mass: Callable[..., Any], start: Array, p: Array, above: bool, *parameters: Array) -> Array:
    """The v with F(v) = p, or 1 − F(v) = p: Newton's method for log F below the median, and for log(1 − F) above it.

    Both are concave, so that it comes from one side, after at most one step too far.
    """
    v, low = start, (p <= 0.5) ^ above
    target = np.where(p <= 0.5, np.log(p), np.log1p(-p))
    for _ in range(100):
        log_side, ratio, upper = mass(v, *parameters)
        same = upper != low
        distance = np.where(same, log_side, np.log(-np.expm1(log_side))) - target
        # the derivative of log F is f/F; of the other side, f/(1 − F)
        step = distance * ratio * np.where(same, 1.0, np.expm1(-log_side))
        step = np.where(low, -step, step)
        step = np.clip(np.where(np.isfinite(step), step, 0.0), -3.0 - 0.5 * np.abs(v), 3.0 + 0.5 * np.abs(v))
        v = v + step
        if (np.abs(step) <= 1e-12 * (1.0 + np.abs(v))).all():  # what is left is about its square
            break
    end = np.where((p == 1) ^ above, np.inf, -np.inf)
    return np.where((p > 0) & (p < 1), v, np.where((p == 0) | (p == 1), end, np.nan))


def _gamma_quantile(p: Array, a: Array, above: bool) -> Array:
    # Wilson and Hilferty (1931) for the body, p ≈ zᵃ/Γ(a + 1) for the lower tail
    cube = 1.0 - 1.0 / (9.0 * a) + (-1.0 if above else 1.0) * _ndtri(p) / (3.0 * np.sqrt(a))
    tail = ((np.log1p(-p) if above else np.log(p)) + _lgamma(a + 1.0)) / a
    start = np.where((a >= 0.5) & (cube > 0.2), np.log(a) + 3.0 * np.log(np.maximum(cube, 0.2)), np.minimum(tail, 3.0))
    return _quantile(_gamma_mass, np.where(np.isfinite(start), start, 0.0), p, above, a)


def _gamma_score(v: Any, a: Any, n: int) -> Any:
    """q_n."""

    def cumulant(order: tuple[int, ...]) -> Any:
        return v - either(digamma, a) if order[0] == 1 else -either(_derivative_of_digamma, a, order[0] - 1)

    return _bell((n,), cumulant, {})


gamma_slope: Callable[..., Tensor] = _function(
    "gamma_slope",
    lambda v, a, n: _gamma_slope(v, a, n),
    "∂ⁿF/∂aⁿ / f at v = log z, of a gamma distribution of concentration a",
    signature="log_value, concentration, n=1",
    v=lambda g, v, a, n, out: g * (_gamma_score(v, a, n) - out * (a - np.exp(v))),
    a=lambda g, v, a, n, out: g * (either(gamma_slope, v, a, n + 1) - out * (v - either(digamma, a))),
    domain=(REAL, POSITIVE),
)
gamma_density: Callable[..., Tensor] = _function(
    "gamma_density",
    lambda v, a: _in_chunks(lambda v, a: np.exp(a * v - np.exp(v) - _lgamma(a)), v, a),
    "the density of v = log z, of a gamma distribution of concentration a",
    signature="log_value, concentration",
    v=lambda g, v, a, out: g * (out * (a - np.exp(v))),
    a=lambda g, v, a, out: g * (out * (v - either(digamma, a))),
    domain=(REAL, POSITIVE),
)
gamma_density_of_value: Callable[..., Tensor] = _function(
    "gamma_density_of_value",
    lambda a, x: _in_chunks(lambda a, x: np.exp(_xlogy(a - 1.0, x) - x - _lgamma(a)), a, x),
    "the density of x, of a gamma distribution of concentration a",
    signature="concentration, value",
    a=lambda g, a, x, out: g * (out * (np.log(x) - either(digamma, a))),
    x=lambda g, a, x, out: g * (out * ((a - 1) / x - 1)),
    domain=(POSITIVE, POSITIVE),
)


def _incomplete_gamma(name: str, above: bool) -> Callable[..., Tensor]:
    sign = -1.0 if above else 1.0
    made: Callable[..., Tensor] = _function(
        name,
        lambda a, x: _in_chunks(lambda a, x: _gamma_cdf(a, x, above), a, x),
        f"the probability {'above' if above else 'below'} x of a gamma distribution of concentration a",
        signature="input, other",
        a=lambda g, a, x: g * (sign * either(gamma_density, np.log(x), a) * either(gamma_slope, np.log(x), a, 1)),
        x=lambda g, a, x: g * (sign * either(gamma_density_of_value, a, x)),
        domain=(POSITIVE, POSITIVE),
    )
    return made


gammainc, gammaincc = _incomplete_gamma("gammainc", False), _incomplete_gamma("gammaincc", True)
gamma_quantile = _function(
    "gamma_quantile",
    lambda p, a, above: _in_chunks(lambda p, a: _gamma_quantile(p, a, above), p, a),
    "log z, of the z below which (or above which) a number of a gamma distribution of concentration a lies with probability p",
    signature="input, concentration, above=False",
    p=lambda g, a, above, out: g * ((-1.0 if above else 1.0) / either(gamma_density, out, a)),
    a=lambda g, a, out: g * -either(gamma_slope, out, a, 1),
    domain=(_UNIT, POSITIVE),
)
standard_gamma = _drawn(
    "standard_gamma",
    lambda a, z: np.array(z),
    "a number z that was drawn from the gamma distribution of concentration a, as a function of a",
    signature="concentration, drawn",
    a=lambda g, a, out: g * (-out * either(gamma_slope, np.log(out), a, 1)),
)


def _shares_slope(g: Any, out: Any) -> Any:
    """That of the softmax, which does not change when a number is taken from all of g: here the one of the greatest share. Where
    that is nearly 1, the usual formula, ``out · (g − Σ g·out)``, loses the digits of the others."""
    greatest = (out == np.max(out, -1, keepdims=True)) * 1.0
    g = g - np.sum(g * greatest, -1, keepdims=True) / np.sum(greatest, -1, keepdims=True)
    return out * (g - np.sum(g * out, -1, keepdims=True))


shares = operation(
    "shares",
    lambda v: (lambda e: e / e.sum(-1, keepdims=True))(np.exp(v - v.max(-1, keepdims=True))),
    "the softmax of v along the last dimension, with a gradient that is right where one share is nearly 1",
    method=False,
    v=_shares_slope,
    examples=[example((4,)), example((2, 3))],
)
standard_log_gamma = _drawn(
    "standard_log_gamma",
    lambda a, v: np.array(v),
    "the logarithm of a number that was drawn from the gamma distribution of concentration a, as a function of a",
    signature="concentration, drawn",
    a=lambda g, a, out: g * -either(gamma_slope, out, a, 1),
)

# ----------------------------------------------------------------------------------------------------------------- beta


def _beta_reach(v: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """How far the sum over the lower side of the logit v goes; and the rise of the density on that side."""
    both = a + b
    p, q = np.exp(_log_sigmoid(v)), np.exp(_log_sigmoid(-v))
    peak = np.log(a) - np.log(b)
    rise = np.where(
        v > peak, a * (_log_sigmoid(peak) - _log_sigmoid(v)) + b * (_log_sigmoid(-peak) - _log_sigmoid(-v)), 0.0
    )
    s = (FALLEN - both * _log_sigmoid(-v)) / a
    for _ in range(8):
        e = np.exp(-s)
        fallen = a * s + both * np.log(q + p * e) - FALLEN
        slope = a - both * (p * e / (q + p * e))
        s = s - np.where((fallen > 0) & (slope > 0), fallen / slope, 0.0)
    # where (a + b)·e^(v − s) no longer counts, what is left is e^(−as) times a polynomial
    return np.minimum(s, np.maximum(v + np.log1p(both) + 39.0, 0.0)), rise


def _beta_integral(v: Array, a: Array, b: Array, n: int, m: int) -> tuple[Array, Array]:
    """As `_gamma_integral`, for derivatives n times by a and m times by b."""
    v = np.clip(v, -1e30, 1e30)
    # the upper side of v is the lower one of −v, with a and b exchanged
    upper = v > 0.0
    rise = np.where(upper, _beta_reach(-v, b, a)[1], _beta_reach(v, a, b)[1])
    upper = upper ^ (rise > RISE)
    v, a, b = np.where(upper, -v, v), np.where(upper, b, a), np.where(upper, a, b)
    reach, _ = _beta_reach(v, a, b)
    left, right, p, both = _log_sigmoid(v), _log_sigmoid(-v), np.exp(_log_sigmoid(v)), a + b
    q = np.exp(right)
    highest = max(n + m, 1)

    def polygammas(x: Array) -> list[Array]:
        return [_digamma(x), *(_polygamma(x, k) for k in range(1, highest))]

    of_a, of_b, of_both = (polygammas(x) if n + m else [] for x in (a, b, both))

    def part(s: Array) -> Array:
        gone = np.expm1(-s)
        # log((1 − t)/(1 − z)), of z the sigmoid of v and t that of v − s
        share = p * gone
        grown = -np.where(share > -0.5, np.log1p(np.maximum(share, -0.5)), np.log(q + p * (1.0 + gone)))

        def cumulant(order: tuple[int, ...]) -> Any:
            i, j = order  # by the parameter of the lower side, and by the other
            k = i + j - 1
            if i + j == 1:
                return (left - s + grown - of_a[0] if i else right + grown - of_b[0]) + of_both[0]
            return of_both[k] - (of_a[k] if not j else of_b[k] if not i else 0.0)

        weight = np.exp(both * grown - a * s)
        if not n + m:
            return weight
        straight, crossed = _bell((n, m), cumulant, {}), None
        if upper.any():
            crossed = _bell((m, n), cumulant, {}) if n != m else straight
        return weight * (straight if crossed is None else np.where(upper, crossed, straight))

    return _sides(part, reach, a), upper


def _log_beta(a: Array, b: Array) -> Array:
    return _lgamma(a) + _lgamma(b) - _lgamma(a + b)


def _beta_mass(v: Array, a: Array, b: Array) -> tuple[Array, Array, Array]:
    ratio, upper = _beta_integral(v, a, b, 0, 0)
    return a * _log_sigmoid(v) + b * _log_sigmoid(-v) - _log_beta(a, b) + np.log(ratio), ratio, upper


def _beta_cdf(v: Array, a: Array, b: Array) -> Array:
    log_mass, _, upper = _beta_mass(v, a, b)
    inside = np.where(upper, -np.expm1(log_mass), np.exp(log_mass))
    out = np.where(v == np.inf, 1.0, np.where(v == -np.inf, 0.0, inside))
    return np.where((a > 0) & (b > 0) & (a < np.inf) & (b < np.inf) & (v == v), out, np.nan)


def _beta_slope(v: Array, a: Array, b: Array, n: int, m: int) -> Array:
    out, upper = _beta_integral(v, a, b, n, m)
    return np.where(upper, -out, out)


def _beta_quantile(p: Array, a: Array, b: Array) -> Array:
    start = _digamma(a) - _digamma(b)
    width = np.sqrt(_polygamma(a, 1) + _polygamma(b, 1))
    start = np.where(np.minimum(a, b) > 0.5, start + width * np.clip(_ndtri(p), -5.0, 5.0), start)
    return _quantile(_beta_mass, start, p, False, a, b)


def _log_sigmoid_of(v: Any) -> Any:
    """On tensors too."""
    return np.minimum(v, 0.0) - np.log1p(np.exp(-np.abs(v)))


def _beta_cumulants(v: Any, a: Any, b: Any) -> Callable[[tuple[int, ...]], Any]:
    def cumulant(order: tuple[int, ...]) -> Any:
        i, j = order
        if i + j == 1:
            own = _log_sigmoid_of(v) - either(digamma, a) if i else _log_sigmoid_of(-v) - either(digamma, b)
            return own + either(digamma, a + b)
        shared = either(_derivative_of_digamma, a + b, i + j - 1)
        if i and j:
            return shared
        return shared - either(_derivative_of_digamma, a if i else b, i + j - 1)

    return cumulant


beta_slope: Callable[..., Tensor] = _function(
    "beta_slope",
    lambda v, a, b, n, m: _in_chunks(lambda v, a, b: _beta_slope(v, a, b, n, m), v, a, b),
    "∂ⁿ⁺ᵐF/∂aⁿ∂bᵐ / f at the logit v, of a beta distribution of concentrations a and b",
    signature="logit, concentration1, concentration0, n=1, m=0",
    v=lambda g, v, a, b, n, m, out: (
        g * (_bell((n, m), _beta_cumulants(v, a, b), {}) - out * (a * either(sigmoid, -v) - b * either(sigmoid, v)))
    ),
    a=lambda g, v, a, b, n, m, out: (
        g * (either(beta_slope, v, a, b, n + 1, m) - out * _beta_cumulants(v, a, b)((1, 0)))
    ),
    b=lambda g, v, a, b, n, m, out: (
        g * (either(beta_slope, v, a, b, n, m + 1) - out * _beta_cumulants(v, a, b)((0, 1)))
    ),
    domain=(REAL, POSITIVE, POSITIVE),
)
log_beta = _function(
    "log_beta",
    lambda a, b: _in_chunks(_log_beta, a, b),
    "log (Γ(a) Γ(b) / Γ(a + b))",
    signature="input, other",
    a=lambda g, a, b: g * (either(digamma, a) - either(digamma, a + b)),
    b=lambda g, a, b: g * (either(digamma, b) - either(digamma, a + b)),
    domain=POSITIVE,
)
beta_density: Callable[..., Tensor] = _function(
    "beta_density",
    lambda v, a, b: _in_chunks(
        lambda v, a, b: np.exp(a * _log_sigmoid(v) + b * _log_sigmoid(-v) - _log_beta(a, b)), v, a, b
    ),
    "the density of the logit v, of a beta distribution of concentrations a and b",
    signature="logit, concentration1, concentration0",
    v=lambda g, v, a, b, out: g * (out * (a * either(sigmoid, -v) - b * either(sigmoid, v))),
    a=lambda g, v, a, b, out: g * (out * _beta_cumulants(v, a, b)((1, 0))),
    b=lambda g, v, a, b, out: g * (out * _beta_cumulants(v, a, b)((0, 1))),
    domain=(REAL, POSITIVE, POSITIVE),
)
beta_cdf_logit = _function(
    "beta_cdf_logit",
    lambda v, a, b: _in_chunks(_beta_cdf, v, a, b),
    "the probability below sigmoid(v) of a beta distribution of concentrations a and b",
    signature="logit, concentration1, concentration0",
    v=lambda g, v, a, b: g * either(beta_density, v, a, b),
    a=lambda g, v, a, b: g * (either(beta_density, v, a, b) * either(beta_slope, v, a, b, 1, 0)),
    b=lambda g, v, a, b: g * (either(beta_density, v, a, b) * either(beta_slope, v, a, b, 0, 1)),
    domain=(REAL, POSITIVE, POSITIVE),
)
beta_quantile_logit = _function(
    "beta_quantile_logit",
    lambda p, a, b: _in_chunks(_beta_quantile, p, a, b),
    "the logit of the quantile of p of a beta distribution of concentrations a and b",
    signature="input, concentration1, concentration0",
    p=lambda g, a, b, out: g / either(beta_density, out, a, b),
    a=lambda g, a, b, out: g * -either(beta_slope, out, a, b, 1, 0),
    b=lambda g, a, b, out: g * -either(beta_slope, out, a, b, 0, 1),
    domain=(_UNIT, POSITIVE, POSITIVE),
)

# ------------------------------------------------------------------------------------------------------------ von Mises


def _versine(x: Any) -> Any:
    """1 − cos x."""
    half = np.sin(0.5 * x)
    return 2.0 * half * half


def _half_circle(k: Array) -> tuple[Array, Array]:
    """For k, half angles and weights w·e^(−k(1 − cos t)) of ∫ over 0 ≤ t ≤ π."""
    reach = np.where(k > 0.5 * FALLEN, 2.0 * np.arcsin(np.sqrt(np.minimum(0.5 * FALLEN / k, 1.0))), math.pi)
    x, w, _, _ = _nodes()
    t = x * reach
    return t, w * reach * np.exp(-k * _versine(t))


def _von_mises_cumulant(k: Array, n: int) -> Array:
    """The n-th derivative of log I₀: from the moments of 1 − cos t, which is small where k is large."""
    t, w = _half_circle(k)
    total = w.sum(0)
    if n == 0:
        return k + np.log(total / math.pi)
    c = _versine(t)
    moments = [(w * c**j).sum(0) / total for j in range(n + 1)]
    cumulants = [np.zeros_like(k)]
    for j in range(1, n + 1):
        cumulants.append(moments[j] - sum(math.comb(j - 1, i - 1) * cumulants[i] * moments[j - i] for i in range(1, j)))
    return 1.0 - cumulants[1] if n == 1 else (-1.0) ** n * cumulants[n]


def _von_mises_integral(x: Array, k: Array, n: int) -> tuple[Array, Array]:
    """As `_gamma_integral`; the circle is cut at ±π."""
    upper = x > 0.0
    x = -np.abs(x)
    end = _versine(x) + FALLEN / k
    reach = np.where(end < 2.0, x + 2.0 * np.arcsin(np.sqrt(np.minimum(0.5 * end, 1.0))), x + math.pi)
    shift = 1.0 - _von_mises_cumulant(k, 1)
    higher = [_von_mises_cumulant(k, j) for j in range(2, n + 1)]

    def part(s: Array) -> Array:
        def cumulant(order: tuple[int, ...]) -> Any:
            return shift - _versine(x - s) if order[0] == 1 else -higher[order[0] - 2]

        return _bell((n,), cumulant, {}) * np.exp(2.0 * k * np.sin(x - 0.5 * s) * np.sin(0.5 * s))

    return _sides(part, np.maximum(reach, 0.0), np.full_like(x, np.inf)), upper


def _von_mises_mass(x: Array, k: Array) -> tuple[Array, Array, Array]:
    ratio, upper = _von_mises_integral(x, k, 0)
    return np.log(ratio) - k * _versine(x) - np.log(2.0 * _half_circle(k)[1].sum(0)), ratio, upper


def _von_mises_cdf(x: Array, k: Array) -> Array:
    inside = np.clip(x, *_ANGLE)
    log_mass, _, upper = _von_mises_mass(inside, k)
    inside = np.where(upper, -np.expm1(log_mass), np.exp(log_mass))
    out = np.where(x >= math.pi, 1.0, np.where(x <= -math.pi, 0.0, inside))
    return np.where((k > 0) & (k < np.inf) & (x == x), out, np.nan)


def _von_mises_slope(x: Array, k: Array, n: int) -> Array:
    out, upper = _von_mises_integral(x, k, n)
    return np.where(upper, -out, out)


def _von_mises_quantile(p: Array, k: Array) -> Array:
    """Newton's method, halving the bracket where that leaves it; of the lower half, by symmetry."""
    least = np.minimum(p, 1.0 - p)
    low, high = np.full_like(p, -math.pi), np.zeros_like(p)
    x = np.maximum(_ndtri(least) / np.sqrt(k), 2.0 * math.pi * (least - 0.5))
    for _ in range(100):
        log_side, ratio, _ = _von_mises_mass(x, k)
        distance = log_side - np.log(least)
        low, high = np.where(distance < 0, np.maximum(low, x), low), np.where(distance > 0, np.minimum(high, x), high)
        step = -distance * ratio
        new = np.where((x + step > low) & (x + step < high), x + step, 0.5 * (low + high))
        new = np.where(distance == 0, x, new)
        done = np.abs(new - x) <= 1e-12 * np.abs(new)
        x = new
        if done.all():
            break
    out = np.where(p <= 0.5, x, -x)
    return np.where(
        p == 0.5, 0.0, np.where((p > 0) & (p < 1), out, np.where(p == 0, -math.pi, np.where(p == 1, math.pi, np.nan)))
    )


def _von_mises_score(x: Any, k: Any, n: int) -> Any:
    def cumulant(order: tuple[int, ...]) -> Any:
        if order[0] == 1:
            return np.cos(x) - either(von_mises_cumulant, k, 1)
        return -either(von_mises_cumulant, k, order[0])

    return _bell((n,), cumulant, {})


von_mises_cumulant: Callable[..., Tensor] = _function(
    "von_mises_cumulant",
    lambda k, n: _in_chunks(lambda k: _von_mises_cumulant(k, n), k),
    "the n-th derivative of log I₀(k), I₀ the modified Bessel function of order 0",
    signature="concentration, n=0",
    k=lambda g, k, n: g * either(von_mises_cumulant, k, n + 1),
    domain=POSITIVE,
)
von_mises_slope: Callable[..., Tensor] = _function(
    "von_mises_slope",
    lambda x, k, n: _in_chunks(lambda x, k: _von_mises_slope(x, k, n), x, k),
    "∂ⁿF/∂kⁿ / f at x, of a von Mises distribution of concentration k about 0",
    signature="value, concentration, n=1",
    x=lambda g, x, k, n, out: g * (_von_mises_score(x, k, n) + out * (k * np.sin(x))),
    k=lambda g, x, k, n, out: g * (either(von_mises_slope, x, k, n + 1) - out * _von_mises_score(x, k, 1)),
    domain=(_ANGLE, POSITIVE),
)
von_mises_density: Callable[..., Tensor] = _function(
    "von_mises_density",
    lambda x, k: _in_chunks(lambda x, k: np.exp(-k * _versine(x)) / (2.0 * _half_circle(k)[1].sum(0)), x, k),
    "the density of x, of a von Mises distribution of concentration k about 0",
    signature="value, concentration",
    x=lambda g, x, k, out: g * (out * (-k * np.sin(x))),
    k=lambda g, x, k, out: g * (out * _von_mises_score(x, k, 1)),
    domain=(_ANGLE, POSITIVE),
)
von_mises_cdf = _function(
    "von_mises_cdf",
    lambda x, k: _in_chunks(_von_mises_cdf, x, k),
    "the probability between −π and x of a von Mises distribution of concentration k about 0",
    signature="value, concentration",
    x=lambda g, x, k: g * either(von_mises_density, x, k),
    k=lambda g, x, k: g * (either(von_mises_density, x, k) * either(von_mises_slope, x, k, 1)),
    domain=(_ANGLE, POSITIVE),
)
von_mises_quantile = _function(
    "von_mises_quantile",
    lambda p, k: _in_chunks(_von_mises_quantile, p, k),
    "the quantile of p of a von Mises distribution of concentration k about 0, cut at ±π",
    signature="input, concentration",
    p=lambda g, k, out: g / either(von_mises_density, out, k),
    k=lambda g, k, out: g * -either(von_mises_slope, out, k, 1),
    domain=(_UNIT, POSITIVE),
)
standard_von_mises = _drawn(
    "standard_von_mises",
    lambda k, x: np.array(x),
    "an angle x that was drawn from the von Mises distribution of concentration k about 0, as a function of k",
    signature="concentration, drawn",
    k=lambda g, k, out: g * -either(von_mises_slope, out, k, 1),
)

# ------------------------------------------------------------------------------------------------------------ Student's t


def _student_density(y: Array, df: Array) -> Array:
    """Without y², which could overflow."""
    log_ratio = np.log(np.maximum(np.abs(y), 1e-150)) - 0.5 * np.log(df)
    log_one_plus = np.maximum(2.0 * log_ratio, 0.0) + np.log1p(np.exp(-2.0 * np.abs(log_ratio)))
    half = np.full_like(df, 0.5)
    return np.exp(-0.5 * (df + 1.0) * log_one_plus - 0.5 * np.log(df) - _log_beta(0.5 * df, half))


def _student_logit(y: Any, df: Any) -> Any:
    """The logit of df / (df + y²), which is of the beta distribution of concentrations ½df and ½."""
    return np.log(df) - 2.0 * np.log(np.maximum(np.abs(y), 1e-150))


def _student_cdf(y: Array, df: Array) -> Array:
    tail = 0.5 * _beta_cdf(_student_logit(y, df), 0.5 * df, np.full_like(df, 0.5))
    return np.where(y > 0, 1.0 - tail, tail)


def _student_slope(y: Any, df: Any) -> Any:
    """∂F/∂df, by the logit and by ½df."""
    v, a = _student_logit(y, df), 0.5 * df
    half = 0.0 * a + 0.5
    inner = either(beta_density, v, a, half) * (1.0 / df + 0.5 * either(beta_slope, v, a, half, 1, 0))
    return -0.5 * np.sign(y) * inner


def _student_score(y: Any, df: Any) -> Any:
    """∂log f/∂df."""
    square = y * y
    gap = either(digamma, 0.5 * (df + 1)) - either(digamma, 0.5 * df)
    return 0.5 * (gap - np.log1p(square / df) + (square - 1) / (df + square))


def _student_quantile(p: Array, df: Array) -> Array:
    v = _beta_quantile(2.0 * np.minimum(p, 1.0 - p), 0.5 * df, np.full_like(df, 0.5))
    return np.copysign(np.sqrt(df) * np.exp(-0.5 * v), p - 0.5)


student_density: Callable[..., Tensor] = _function(
    "student_density",
    lambda y, df: _in_chunks(_student_density, y, df),
    "the density of y, of Student's t distribution",
    signature="value, df",
    y=lambda g, y, df, out: g * (out * (-(df + 1) * y / (df + y * y))),
    df=lambda g, y, df, out: g * (out * _student_score(y, df)),
    domain=(REAL, POSITIVE),
)
student_cdf = _function(
    "student_cdf",
    lambda y, df: _in_chunks(_student_cdf, y, df),
    "the probability below y of Student's t distribution",
    signature="value, df",
    y=lambda g, y, df: g * either(student_density, y, df),
    df=lambda g, y, df: g * _student_slope(y, df),
    domain=(REAL, POSITIVE),
)
student_quantile = _function(
    "student_quantile",
    lambda p, df: _in_chunks(_student_quantile, p, df),
    "the quantile of p of Student's t distribution",
    signature="input, df",
    p=lambda g, df, out: g / either(student_density, out, df),
    df=lambda g, df, out: g * (-_student_slope(out, df) / either(student_density, out, df)),
    domain=(_UNIT, POSITIVE),
)

# ------------------------------------------------------------------------------------- the exponential tilt of the uniform


@functools.cache
def _tilt_series() -> tuple[float, ...]:
    """B₂ₖ / (2k)! for k ≥ 1, by the zeta function (Abramowitz and Stegun, 23.1.18)."""
    zeta = [_hurwitz(2.0 * k, np.array(1.0)).item() for k in range(1, 25)]
    return tuple((-1.0) ** (k + 1) * 2.0 * z / (2.0 * math.pi) ** (2 * k) for k, z in enumerate(zeta, 1))


def _tilt_cumulant(x: Array, n: int) -> Array:
    """The n-th derivative of K(x) = log((eˣ − 1) / x)."""
    size = np.abs(x)
    # K(x) = x/2 + Σ B₂ₖ x²ᵏ / (2k (2k)!) up to 2, where 24 terms are below 1e-24 of the first
    near = np.minimum(size, 2.0)
    series = np.full_like(x, 0.5 if n == 1 else 0.0) + (0.5 * near if n == 0 else 0.0)
    for k, c in reversed(list(enumerate(_tilt_series(), 1))):
        if 2 * k >= n:
            series = series + c / (2 * k) * math.perm(2 * k, n) * near ** (2 * k - n)
    far = np.maximum(size, 2.0)
    if n == 0:
        closed = far + np.log(-np.expm1(-far)) - np.log(far)
    else:
        # the first derivative of log(eˣ − 1) is 1 + w, the others are polynomials in w = 1/(eˣ − 1), as w′ = −w − w²
        w = 1.0 / np.expm1(far)
        polynomial = {1: 1.0}
        for _ in range(n - 1):
            step: dict[int, float] = {}
            for power, c in polynomial.items():
                step[power] = step.get(power, 0.0) - power * c
                step[power + 1] = step.get(power + 1, 0.0) - power * c
            polynomial = step
        closed = np.full_like(x, 1.0 if n == 1 else 0.0)
        for power, c in polynomial.items():
            closed = closed + c * w**power
        closed = closed + (-1.0) ** n * math.factorial(n - 1) / far**n
    value = np.where(size <= 2.0, series, closed)
    # K(−x) = K(x) − x
    if n == 0:
        return np.where(x < 0, value - size, value)
    if n == 1:
        return np.where(x < 0, 1.0 - value, value)
    return np.where(x < 0, (-1.0) ** n * value, value)


def _tilt_quantile(p: Array, x: Array) -> Array:
    """log(1 + p (eˣ − 1)) / x, by what keeps the digits of p, or those of 1 − p."""
    small = np.abs(x) < 1e-5
    tilt = np.where(small, 1.0, x)
    grown = p * np.expm1(np.minimum(tilt, 700.0))
    near = np.log1p(np.where(np.abs(grown) < 0.5, grown, 0.0)) / tilt
    right = 1.0 + np.log(p + (1.0 - p) * np.exp(-np.maximum(tilt, 0.0))) / tilt
    left = np.log((1.0 - p) + p * np.exp(np.minimum(tilt, 0.0))) / tilt
    out = np.where(np.abs(grown) < 0.5, near, np.where(tilt > 0, right, np.minimum(left, 1.0)))
    series = p * (1.0 + 0.5 * x * (1.0 - p) * (1.0 + x * (1.0 - 2.0 * p) / 3.0))
    return np.where(small, series, out)


tilt_cumulant: Callable[..., Tensor] = _function(
    "tilt_cumulant",
    lambda x, n: _in_chunks(lambda x: _tilt_cumulant(x, n), x),
    "the n-th derivative of log((eˣ − 1) / x), the cumulants of the density eˣᵗ on 0 < t < 1",
    signature="input, n=0",
    x=lambda g, x, n: g * either(tilt_cumulant, x, n + 1),
)
tilt_quantile = _function(
    "tilt_quantile",
    lambda p, x: _in_chunks(_tilt_quantile, p, x),
    "the quantile of p of the density proportional to eˣᵗ on 0 < t < 1",
    signature="input, tilt",
    p=lambda g, x, out: g * np.exp(either(tilt_cumulant, x, 0) - x * out),
    x=lambda g, p, x, out: (
        g
        * -(p * (out * either(tilt_cumulant, x * out, 1) - either(tilt_cumulant, x, 1)))
        * np.exp(either(tilt_cumulant, x, 0) - x * out)
    ),
    domain=(_UNIT, REAL),
)

# --------------------------------------------------------------------------------------------- the truncated normal


def _log_normal_mass(low: Array, high: Array) -> Array:
    """log(Φ(high) − Φ(low)): on one side of 0, by an integral from the end that is nearer to it."""
    across = (low < 0) & (high > 0)
    start = np.where(low >= 0, low, -high)
    start = np.where(across | ~np.isfinite(start), 0.0, start)
    reach = np.minimum(high - low, np.sqrt(start * start + 2.0 * FALLEN) - start)
    tail = _sides(lambda s: np.exp(-s * (start + 0.5 * s)), np.where(across, 1.0, reach), np.full_like(start, np.inf))
    one_side = np.log(tail) - 0.5 * start * start - _HALF_LOG_TAU
    both = np.log(0.5 * (_erf(high * math.sqrt(0.5)) - _erf(low * math.sqrt(0.5))))
    return np.where(high > low, np.where(across, both, one_side), np.where(high == low, -np.inf, np.nan))


def _truncated_quantile(p: Array, low: Array, high: Array) -> Array:
    # mirrored so that the tail that is counted is the lower one
    mirrored = low + high > 0
    p, a, b = np.where(mirrored, 1.0 - p, p), np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    # Φ(x) = (1 − p) Φ(a) + p Φ(b), in logarithms, of which the second is not small
    log_cdf = np.logaddexp(np.log1p(-p) + _log_ndtr(a), np.log(p) + _log_ndtr(b))
    below = log_cdf < -math.log(2.0)
    x = np.where(below, _ndtri_of_log(np.where(below, log_cdf, -1.0)), 0.0)
    # above the median, by 1 − Φ(x) = (1 − p) (1 − Φ(a)) + p (1 − Φ(b))
    log_rest = np.logaddexp(np.log1p(-p) + _log_ndtr(-a), np.log(p) + _log_ndtr(-b))
    x = np.where(below, x, -_ndtri_of_log(np.minimum(log_rest, -math.log(2.0))))
    x = np.clip(x, a, b)
    return np.where(mirrored, -x, x)


def _truncated_cdf(x: Array, low: Array, high: Array) -> Array:
    inside = np.clip(x, low, high)
    return np.exp(_log_normal_mass(low, inside) - _log_normal_mass(low, high))


def _normal_over(x: Any, log_mass: Any) -> Any:
    return np.exp(-0.5 * (x * x) - _HALF_LOG_TAU - log_mass)


log_normal_mass = _function(
    "log_normal_mass",
    lambda low, high: _in_chunks(_log_normal_mass, low, high),
    "log(Φ(high) − Φ(low))",
    signature="low, high",
    low=lambda g, low, out: g * -_normal_over(low, out),
    high=lambda g, high, out: g * _normal_over(high, out),
    domain=((-math.inf, -0.5), (0.0, math.inf)),
    kinks="low ≥ high, where it is −∞ or NaN",
)
truncated_normal_cdf = _function(
    "truncated_normal_cdf",
    lambda x, low, high: _in_chunks(_truncated_cdf, x, low, high),
    "the probability below x of the standard normal distribution between low and high",
    signature="value, low, high",
    x=lambda g, x, low, high: g * _normal_over(x, either(log_normal_mass, low, high)),
    low=lambda g, low, high, out: g * (_normal_over(low, either(log_normal_mass, low, high)) * (out - 1)),
    high=lambda g, low, high, out: g * (_normal_over(high, either(log_normal_mass, low, high)) * -out),
    domain=((-0.5, 0.5), (-math.inf, -0.75), (0.75, math.inf)),
    kinks="x outside of low … high",
)
truncated_normal_quantile = _function(
    "truncated_normal_quantile",
    lambda p, low, high: _in_chunks(_truncated_quantile, p, low, high),
    "the quantile of p of the standard normal distribution between low and high",
    signature="input, low, high",
    p=lambda g, low, high, out: g / _normal_over(out, either(log_normal_mass, low, high)),
    low=lambda g, p, low, out: g * ((1 - p) * np.exp(0.5 * (out - low) * (out + low))),
    high=lambda g, p, high, out: g * (p * np.exp(0.5 * (out - high) * (out + high))),
    domain=(_UNIT, (-math.inf, -0.5), (0.0, math.inf)),
)
