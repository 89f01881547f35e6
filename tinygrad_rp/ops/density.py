"""Log-densities, entropies and divergences of distributions, each one operation: one node, and one loop over large arrays.

All are in nats, and their arguments broadcast; those of several categories take them along the last dimension, and the others
work element by element. What is made of counts is computed in float64, and rounded to the dtype of the inputs.

Where a distribution can be given by probabilities or by logits there is a form for each, which is exact at its own edges: for
probabilities of 0 and 1, and for infinite logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rp.operation import POSITIVE, REAL, either, elementwise, example, operation
from tinygrad_rp.ops.elementwise import sigmoid
from tinygrad_rp.ops.reduce import log_softmax, softmax
from tinygrad_rp.ops.special import _STIRLING, _STIRLING_SLOPE, _derivative_of_digamma, _lgamma, _polynomial, digamma
from tinygrad_rp.tensor import Tensor

__all__: list[str] = []

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
_UNIT = (0.0, 1.0)


def _in_double(formula: Callable[..., Any], *arguments: Any) -> Any:
    """A formula of float64 arrays, of arrays of any dtype."""
    arrays = [a for a in arguments if hasattr(a, "astype")]
    dtypes = [a.dtype for a in arrays if a.dtype.kind == "f" and not getattr(a, "weak", False)]
    with np.errstate(all="ignore"):
        out = formula(*(a.astype(np.float64, copy=False) if hasattr(a, "astype") else a for a in arguments))
        return out.astype(np.result_type(*dtypes), copy=False) if dtypes else out


_ATANH = tuple(1 / n for n in range(19, 1, -2))
"""The coefficients of (artanh v − v) / v³ in v²."""


def _deviance(x: Any, mean: Any, log_mean: Any) -> Any:
    """x log(x / m) + m − x ≥ 0, which is small where x is close to m, without cancellation (C. Loader, "Fast and accurate
    computation of binomial probabilities", 2000, section 3): with v = (x − m) / (x + m), the logarithm is 2 artanh v."""
    distance = x - mean
    near = np.abs(distance) < 0.1 * (x + mean)
    v = np.where(near, distance / np.where(near, x + mean, 1.0), 0.0)
    close = v * (distance + 2.0 * x * (v * v) * _polynomial(v * v, *_ATANH))
    far = x * (np.log(np.where(x == 0.0, 1.0, x)) - np.where(x == 0.0, 0.0, log_mean)) + (mean - x)
    return np.where(near, close, far)


def _excess(ratio: Any, log_ratio: Any) -> Any:
    """r − 1 − log r ≥ 0, without cancellation: the deviance of 1 from r."""
    near = np.abs(ratio - 1) < 0.2
    v = np.where(near, (1 - ratio) / (1 + ratio), 0)
    close = v * ((1 - ratio) + 2 * (v * v) * _polynomial(v * v, *_ATANH))
    return np.where(near, close, (ratio - 1) - log_ratio)


# ------------------------------------------------------------------------------------------------ the normal distribution


def _standard(x: Any, mean: Any, std: Any) -> Any:
    return (x - mean) / std


def _normal(x: Any, mean: Any, std: Any) -> Any:
    z = _standard(x, mean, std)
    return -0.5 * (z * z) - np.log(std) - _HALF_LOG_TAU


normal_log_prob = elementwise(
    "normal_log_prob",
    _normal,
    "−(x − μ)² / 2σ² − log σ − ½ log 2π",
    signature="value, loc, scale",
    x=lambda g, x, mean, std: -g * (_standard(x, mean, std) / std),
    mean=lambda g, x, mean, std: g * (_standard(x, mean, std) / std),
    std=lambda g, x, mean, std: g * ((_standard(x, mean, std) * _standard(x, mean, std) - 1) / std),
    floating=True,
    method=False,
    domain=(REAL, REAL, POSITIVE),
)


def _normal_divergence(m1: Any, s1: Any, m2: Any, s2: Any) -> Any:
    distance, width = (m1 - m2) / s2, s1 / s2
    return 0.5 * (distance * distance + _excess(width * width, 2 * np.log(width)))


def _ratio(m1: Any, s1: Any, m2: Any, s2: Any) -> Any:
    """The mean of (x − μ₂)² / σ₂² under the first distribution."""
    distance, width = (m1 - m2) / s2, s1 / s2
    return distance * distance + width * width


# Kullback and Leibler, "On information and sufficiency", 1951; for the standard normal distribution as the second: Kingma and
# Welling, "Auto-encoding variational Bayes", 2014, appendix B
normal_kl = elementwise(
    "normal_kl",
    _normal_divergence,
    "log(σ₂ / σ₁) + (σ₁² + (μ₁ − μ₂)²) / 2σ₂² − ½",
    signature="loc1, scale1, loc2, scale2",
    m1=lambda g, m1, m2, s2: g * ((m1 - m2) / s2 / s2),
    s1=lambda g, s1, s2: g * (s1 / s2 / s2 - 1 / s1),
    m2=lambda g, m1, m2, s2: g * ((m2 - m1) / s2 / s2),
    s2=lambda g, m1, s1, m2, s2: g * ((1 - _ratio(m1, s1, m2, s2)) / s2),
    floating=True,
    method=False,
    domain=(REAL, POSITIVE, REAL, POSITIVE),
)

# ---------------------------------------------------------------------------------------------- deviances and factorials


def _both_zero(x: Any, mean: Any) -> Any:
    return (x == 0) & (mean == 0)


deviance: Callable[..., Tensor] = elementwise(
    "deviance",
    lambda x, m: _in_double(lambda x, m: _deviance(x, m, np.log(m)), x, m),
    "x log(x / m) + m − x, and m where x = 0",
    signature="input, mean",
    x=lambda g, x, m: g * np.where(_both_zero(x, m), 0.0, np.log(x) - np.log(np.where(_both_zero(x, m), 1.0, m))),
    m=lambda g, x, m: g * np.where(_both_zero(x, m), 1.0, (m - x) / np.where(_both_zero(x, m), 1.0, m)),
    floating=True,
    method=False,
    domain=POSITIVE,
)
deviance_of_log: Callable[..., Tensor] = elementwise(
    "deviance_of_log",
    lambda x, v: _in_double(lambda x, v: _deviance(x, np.exp(v), v), x, v),
    "x log(x / m) + m − x, of the logarithm of m",
    signature="input, log_mean",
    x=lambda g, x, v: g * np.where((x == 0) & (v == -np.inf), 0.0, np.log(x) - v),
    v=lambda g, x, v: g * (np.exp(v) - x),
    floating=True,
    method=False,
    domain=(POSITIVE, REAL),
)


def _above_tangent(x: Any, a: Any) -> Any:
    # Γ(x) = Γ(x + 10) / x (x + 1) … (x + 9), and from there Stirling's series: of each part the same excess, and none negative
    total = 0.0
    for k in range(10):
        total = total + _excess((x + k) / (a + k), np.log((x + k) / (a + k)))
    x, a = x + 10.0, a + 10.0
    u, v = 1.0 / x, 1.0 / a
    rest = u * _polynomial(u * u, *_STIRLING) - v * _polynomial(v * v, *_STIRLING)
    slope = _polynomial(v * v, *_STIRLING_SLOPE)
    ratio = x / a
    return total + _deviance(x, a, np.log(a)) + 0.5 * _excess(ratio, np.log(ratio)) + (rest + (x - a) * slope)


lgamma_above_tangent: Callable[..., Tensor] = elementwise(
    "lgamma_above_tangent",
    lambda x, a: _in_double(_above_tangent, x, a),
    "log Γ(x) − log Γ(a) − (x − a) ψ(a)",
    signature="input, at",
    x=lambda g, x, a: g * (either(digamma, x) - either(digamma, a)),
    a=lambda g, x, a: g * ((a - x) * either(_derivative_of_digamma, a, 1)),
    floating=True,
    method=False,
    domain=(POSITIVE, POSITIVE),
)

_FEW = 16.0
"""Below so many, log-factorials are small enough to be subtracted from each other."""


def _stirling_error(k: Any) -> Any:
    """log k! − (k + ½) log k + k − ½ log 2π, for k > 0: Stirling's series (Abramowitz and Stegun, 6.1.41)."""
    few = k < _FEW
    inverse = 1.0 / np.where(few, _FEW, k)
    small = np.where(few & (k > 0.0), k, 1.0)
    exact = _lgamma(small + 1.0) - (small + 0.5) * np.log(small) + small - _HALF_LOG_TAU
    return np.where(few, exact, inverse * _polynomial(inverse * inverse, *_STIRLING))


def _poisson(k: Any, rate: Any, log_rate: Any) -> Any:
    """k log λ − λ − log k!, for k ≥ 0. Large counts by Loader's equation 5: no terms that cancel."""
    many = np.where(k < _FEW, _FEW, k)
    close = -_deviance(many, rate, log_rate) - _stirling_error(many) - 0.5 * np.log(many) - _HALF_LOG_TAU
    few = np.where(k < _FEW, k, 0.0)
    plain = np.where(few == 0.0, 0.0, few * log_rate) - rate - _lgamma(few + 1.0)
    return np.where(k < 0.0, -np.inf, np.where(k < _FEW, plain, close))


poisson_log_prob: Callable[..., Tensor] = elementwise(
    "poisson_log_prob",
    lambda k, rate: _in_double(lambda k, rate: _poisson(k, rate, np.log(rate)), k, rate),
    "k log λ − λ − log k!",
    signature="value, rate",
    k=lambda g, k, rate: g * (np.log(rate) - either(digamma, k + 1)),
    rate=lambda g, k, rate: g * np.where(k == 0, -1.0, (k - rate) / np.where(k == 0, 1.0, rate)),
    floating=True,
    method=False,
    domain=(POSITIVE, POSITIVE),
)

# --------------------------------------------------------------------------------------------------- success and failure


def _softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _times(count: Any, log: Any) -> Any:
    """The product, and 0 where the count is 0: what never happens costs nothing, however improbable it is."""
    return np.where(count == 0, 0.0, count * np.where(count == 0, 0.0, log))


def _over(count: Any, p: Any) -> Any:
    return np.where(count == 0, 0.0, count / np.where(count == 0, 1.0, p))


def _of_logits(formula: Callable[..., Any]) -> Callable[..., Any]:
    """A formula of p, 1 − p and their logarithms, as one of logits."""

    def of_logits(a: Any, b: Any, logits: Any) -> Any:
        log_p, log_q = -_softplus(-logits), -_softplus(logits)
        return formula(a, b, np.exp(log_p), np.exp(log_q), log_p, log_q)

    return of_logits


def _of_probs(formula: Callable[..., Any]) -> Callable[..., Any]:
    def of_probs(a: Any, b: Any, p: Any) -> Any:
        return formula(a, b, p, 1 - p, np.log(p), np.log1p(-p))

    return of_probs


def _sequence(a: Any, b: Any, p: Any, q: Any, log_p: Any, log_q: Any) -> Any:
    """The log-probability of one sequence of independent trials, a of which succeed and b fail."""
    return _times(a, log_p) + _times(b, log_q)


def _number(a: Any, b: Any, p: Any, q: Any, log_p: Any, log_q: Any) -> Any:
    """The same of all such sequences together. Many trials by Loader's equation 3."""
    n = a + b
    few = n < _FEW
    some, others = np.where(few, 0.0, a), np.where(few, 0.0, b)
    k, m = np.where(some > 0.0, some, 1.0), np.where(others > 0.0, others, 1.0)
    total = np.where(few, 1.0, n)
    log_n = np.log(total)
    close = (
        (_stirling_error(total) - _stirling_error(k) - _stirling_error(m))
        - (_deviance(k, total * p, log_n + log_p) + _deviance(m, total * q, log_n + log_q))
        - (0.5 * np.log(k) + 0.5 * np.log(m) - 0.5 * log_n + _HALF_LOG_TAU)
    )
    single = _sequence(a, b, p, q, log_p, log_q)
    a_few, b_few = np.where(few, a, 0.0), np.where(few, b, 0.0)
    ways = _lgamma(a_few + b_few + 1.0) - _lgamma(a_few + 1.0) - _lgamma(b_few + 1.0)
    out = np.where(few, ways + single, np.where((a == 0.0) | (b == 0.0), single, close))
    return np.where((a < 0.0) | (b < 0.0), -np.inf, out)


def _trial_slope(a: Any, b: Any, logits: Any) -> Any:
    return a * either(sigmoid, -logits) - b * either(sigmoid, logits)


def _trial_slope_of_probs(a: Any, b: Any, p: Any) -> Any:
    return _over(a, p) - _over(b, 1 - p)


bernoulli_log_prob = elementwise(
    "bernoulli_log_prob",
    lambda y, logits: _of_logits(_sequence)(y, 1 - y, logits),
    "y·log p + (1 − y)·log(1 − p), p the sigmoid of the logits",
    signature="value, logits",
    y=lambda g, logits: g * logits,
    logits=lambda g, y, logits: g * _trial_slope(y, 1 - y, logits),
    floating=True,
    method=False,
)
bernoulli_log_prob_of_probs = elementwise(
    "bernoulli_log_prob_of_probs",
    lambda y, p: _of_probs(_sequence)(y, 1 - y, p),
    "y·log p + (1 − y)·log(1 − p)",
    signature="value, probs",
    y=lambda g, p: g * (np.log(p) - np.log1p(-p)),
    p=lambda g, y, p: g * _trial_slope_of_probs(y, 1 - y, p),
    floating=True,
    method=False,
    domain=(REAL, _UNIT),
)
geometric_log_prob = elementwise(
    "geometric_log_prob",
    lambda k, logits: _of_logits(_sequence)(1.0, k, logits),
    "log p + k·log(1 − p), p the sigmoid of the logits",
    signature="value, logits",
    k=lambda g, logits: -g * _softplus(logits),
    logits=lambda g, k, logits: g * _trial_slope(1, k, logits),
    floating=True,
    method=False,
)
geometric_log_prob_of_probs = elementwise(
    "geometric_log_prob_of_probs",
    lambda k, p: _of_probs(_sequence)(1.0, k, p),
    "log p + k·log(1 − p)",
    signature="value, probs",
    k=lambda g, p: g * np.log1p(-p),
    p=lambda g, k, p: g * (1 / p - _over(k, 1 - p)),
    floating=True,
    method=False,
    domain=(REAL, _UNIT),
)
trials_log_prob: Callable[..., Tensor] = elementwise(
    "trials_log_prob",
    lambda a, b, logits: _in_double(_of_logits(_number), a, b, logits),
    "log((a + b)! / a! b!) + a·log p + b·log(1 − p), p the sigmoid of the logits",
    signature="successes, failures, logits",
    a=lambda g, a, b, logits: g * (either(digamma, a + b + 1) - either(digamma, a + 1) - _softplus(-logits)),
    b=lambda g, a, b, logits: g * (either(digamma, a + b + 1) - either(digamma, b + 1) - _softplus(logits)),
    logits=lambda g, a, b, logits: g * _trial_slope(a, b, logits),
    floating=True,
    method=False,
    domain=(POSITIVE, POSITIVE, REAL),
)
trials_log_prob_of_probs: Callable[..., Tensor] = elementwise(
    "trials_log_prob_of_probs",
    lambda a, b, p: _in_double(_of_probs(_number), a, b, p),
    "log((a + b)! / a! b!) + a·log p + b·log(1 − p)",
    signature="successes, failures, probs",
    a=lambda g, a, b, p: g * (either(digamma, a + b + 1) - either(digamma, a + 1) + np.log(p)),
    b=lambda g, a, b, p: g * (either(digamma, a + b + 1) - either(digamma, b + 1) + np.log1p(-p)),
    p=lambda g, a, b, p: g * _trial_slope_of_probs(a, b, p),
    floating=True,
    method=False,
    domain=(POSITIVE, POSITIVE, _UNIT),
)


def _varied(x: Any) -> Any:
    """p·(1 − p), of logits."""
    return either(sigmoid, x) * either(sigmoid, -x)


bernoulli_entropy = elementwise(
    "bernoulli_entropy",
    lambda x: _times(either(sigmoid, x), _softplus(-x)) + _times(either(sigmoid, -x), _softplus(x)),
    "−p·log p − (1 − p)·log(1 − p), p the sigmoid of the logits",
    signature="input",
    x=lambda g, x: -g * np.where(_varied(x) == 0, 0.0, np.where(_varied(x) == 0, 0.0, x) * _varied(x)),
    floating=True,
    method=False,
)
bernoulli_entropy_of_probs = elementwise(
    "bernoulli_entropy_of_probs",
    lambda p: -_times(p, np.log(p)) - _times(1 - p, np.log1p(-p)),
    "−p·log p − (1 − p)·log(1 − p)",
    signature="input",
    p=lambda g, p: g * (np.log1p(-p) - np.log(p)),
    floating=True,
    method=False,
    domain=_UNIT,
)


def _bernoulli_divergence(a: Any, b: Any) -> Any:
    ours, theirs = (-_softplus(-a), -_softplus(a)), (-_softplus(-b), -_softplus(b))
    return _deviance(np.exp(ours[0]), np.exp(theirs[0]), theirs[0]) + _deviance(
        np.exp(ours[1]), np.exp(theirs[1]), theirs[1]
    )


bernoulli_kl = elementwise(
    "bernoulli_kl",
    lambda a, b: _in_double(_bernoulli_divergence, a, b),
    "p·log(p / q) + (1 − p)·log((1 − p) / (1 − q)), of the logits of p and q",
    signature="logits1, logits2",
    a=lambda g, a, b: g * np.where(_varied(a) == 0, 0.0, np.where(_varied(a) == 0, 0.0, a - b) * _varied(a)),
    b=lambda g, a, b: g * (either(sigmoid, b) - either(sigmoid, a)),
    floating=True,
    method=False,
)


def _relaxed(x: Any, temperature: Any, logits: Any) -> Any:
    log_x, log_y = np.log(x), np.log1p(-x)
    place = logits - temperature * (log_x - log_y)
    low = x <= 0.5
    ending, other = np.where(low, log_x, log_y), np.where(low, log_y, log_x)
    sign = np.where(low, -1.0, 1.0)
    out = (
        np.log(temperature)
        + sign * logits
        + _times(temperature - 1.0, ending)
        - (temperature + 1.0) * other
        - 2.0 * _softplus(sign * place)
    )
    certain = np.where(x == np.where(logits > 0.0, 1.0, 0.0), np.inf, -np.inf)
    return np.where(np.abs(logits) == np.inf, certain, out)


def _relaxed_tilt(x: Any, temperature: Any, logits: Any) -> Any:
    return np.tanh(0.5 * (logits - temperature * (np.log(x) - np.log1p(-x))))


# C. Maddison, A. Mnih and Y. W. Teh, "The Concrete distribution", 2017, equation 26, divided by the greatest of its terms: so
# that at x = 0 and 1, to which samples may be rounded, it is the limit: ∞ for τ < 1, −∞ for τ > 1
relaxed_bernoulli_log_prob = elementwise(
    "relaxed_bernoulli_log_prob",
    lambda x, t, logits: _in_double(_relaxed, x, t, logits),
    "log(τ α x^(−τ−1) (1 − x)^(−τ−1) / (α x^(−τ) + (1 − x)^(−τ))²), α = e^logits",
    signature="value, temperature, logits",
    x=lambda g, x, t, logits: g * ((t * _relaxed_tilt(x, t, logits) - 1 + 2 * x) / (x * (1 - x))),
    t=lambda g, x, t, logits: g * (1 / t + (np.log(x) - np.log1p(-x)) * _relaxed_tilt(x, t, logits)),
    logits=lambda g, x, t, logits: -g * _relaxed_tilt(x, t, logits),
    floating=True,
    method=False,
    domain=(_UNIT, POSITIVE, REAL),
)

# ------------------------------------------------------------------------------------------------------------- categories


def _all_counts(counts: Any, log_p: Any) -> Any:
    """As counts of Poisson distributions of rates n·p, given that they sum to n: no terms that cancel."""
    n = counts.sum(-1, keepdims=True)
    each = _poisson(counts, n * np.exp(log_p), np.log(n) + log_p)
    return each.sum(-1) - _poisson(n, n, np.log(n))[..., 0]


def _total(x: Any) -> Any:
    return np.sum(x, axis=-1, keepdims=True)


def _count_slope(g: Any, counts: Any, log_p: Any) -> Any:
    return g[..., None] * (log_p + either(digamma, _total(counts) + 1) - either(digamma, counts + 1))


_ROWS = [example((4,), (4,)), example((2, 3), (3,)), example((3,), (2, 3))]

multinomial_log_prob = operation(
    "multinomial_log_prob",
    lambda x, w: _in_double(lambda x, w: _all_counts(x, np.log(w) - np.log(_total(w))), x, w),
    "log(n! / ∏xᵢ!) + Σ xᵢ log(wᵢ / Σw)",
    signature="counts, weights",
    inputs=2,
    x=lambda g, x, w: _count_slope(g, x, np.log(w) - np.log(_total(w))),
    w=lambda g, x, w: g[..., None] * (_over(x, w) - _total(x) / _total(w)),
    method=False,
    domain=POSITIVE,
    examples=_ROWS,
)
multinomial_log_prob_of_logits = operation(
    "multinomial_log_prob_of_logits",
    lambda x, logits: _in_double(lambda x, v: _all_counts(x, either(log_softmax, v, -1)), x, logits),
    "log(n! / ∏xᵢ!) + Σ xᵢ log pᵢ, p the softmax of the logits",
    signature="counts, logits",
    inputs=2,
    x=lambda g, x, logits: _count_slope(g, x, either(log_softmax, logits, -1)),
    logits=lambda g, x, logits: g[..., None] * (x - _total(x) * either(softmax, logits, -1)),
    method=False,
    domain=(POSITIVE, REAL),
    examples=_ROWS,
)
categorical_entropy = operation(
    "categorical_entropy",
    lambda w: _in_double(lambda w: -_times(w / _total(w), np.log(w / _total(w))).sum(-1), w),
    "−Σ p log p, p = w / Σw",
    signature="input",
    w=lambda g, w, out: -(g[..., None] * ((np.log(w / _total(w)) + out[..., None]) / _total(w))),
    method=False,
    domain=POSITIVE,
    examples=[example((4,)), example((2, 3))],
)


def _log_p_if_possible(logits: Any) -> Any:
    impossible = either(softmax, logits, -1) == 0
    return np.where(impossible, 0.0, either(log_softmax, logits, -1))


categorical_entropy_of_logits = operation(
    "categorical_entropy_of_logits",
    lambda x: _in_double(lambda x: -(either(softmax, x, -1) * _log_p_if_possible(x)).sum(-1), x),
    "−Σ p log p, p the softmax of the logits",
    signature="input",
    x=lambda g, x, out: -(g[..., None] * (either(softmax, x, -1) * (_log_p_if_possible(x) + out[..., None]))),
    method=False,
    examples=[example((4,)), example((2, 3))],
)
