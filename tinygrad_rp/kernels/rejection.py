"""Numbers of a varying cost: gamma, Poisson, binomial and von Mises, by rejection. `samplers` says how they are counted.

A candidate and whether it is taken is a formula that lives two lives, on arrays of those numbers that are not settled yet, and in
the loops of `sampler_loops`. All is computed in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_rp.kernels.choice import room
from tinygrad_rp.kernels.primitives import where
from tinygrad_rp.kernels.samplers import (
    artanh_rest,
    exponential_float64,
    log_of_split_float64,
    pays,
    philox_at,
    split_float64,
    turned_float64,
    uniform_float64,
    word_of,
)
from tinygrad_rp.kernels.vector_math import exp_float64, log1p_float64

__all__ = [
    "FEW", "MOST", "binomial", "binomial_attempt", "boosted", "gamma", "gamma_attempt", "log_boosted", "next_of_binomial",
    "none_of_binomial", "poisson", "poisson_attempt", "von_mises", "von_mises_attempt",
]  # fmt: skip

Array = ndarray[Any, Any]

_FLOAT64 = np.dtype(np.float64)
_21, _LOW_11 = np.uint64(21), np.uint64(2**11 - 1)
_D0, _DH, _D1, _D2, _D53 = (np.float64(k) for k in (0, 0.5, 1, 2, 2.0**-53))
_D3, _D9, _D12 = np.float64(3), np.float64(9), np.float64(12)
_TINY, _HUGE = np.float64(2.0**-1022), np.float64(2.0**1023)
_HALF_WAY = np.uint64(2**31)


def _log_of(x: Any) -> Any:
    """The logarithm of positive normal numbers."""
    e, f = split_float64(x)
    return log_of_split_float64(e, f)


def gamma_attempt(a: Any, b: Any, c: Any, d: Any, shape: Any) -> tuple[Any, Any]:
    """A number that may be of the gamma distribution, and whether it is to be taken (Marsaglia and Tsang 2000, section 3).

    53 bits of the words are the radius of a normal number, 43 its direction, 32 the uniform number that decides.
    """
    third = shape - _D1 / _D3
    x, _ = turned_float64(np.sqrt(_D2 * exponential_float64(a, b)), c, (b & _LOW_11) << _21)
    t = _D1 + x / np.sqrt(_D9 * third)
    v = where(t > _D0, t * t * t, _D1)
    # log u < …, with −log u
    bound = third * (v - _D1 - _log_of(v)) - _DH * x * x
    return third * v, (t > _D0) & (exponential_float64(d, _HALF_WAY) > bound)


def boosted(value: Any, a: Any, b: Any, concentration: Any) -> Any:
    """A gamma number of a concentration below 1 of one of concentration + 1: times u to the power 1/concentration (section 6)."""
    small = exp_float64(_log_of(value) - exponential_float64(a, b) / concentration)
    value = where(concentration < _D1, small, value)
    return where(value < _TINY, _TINY, value)


def log_boosted(value: Any, a: Any, b: Any, concentration: Any) -> Any:
    """The logarithm of what `boosted` makes of a number, also where that would be too small for a float."""
    u = exponential_float64(a, b)
    least = where(concentration < _D1, concentration, _D1)
    far = u > least * _HUGE  # u / concentration would be infinite, or nearly so
    lost = where(far, _HUGE, u / where(far, _D1, least))
    return _log_of(value) - where(concentration < _D1, lost, _D0)


def gamma(concentration: Array, key: int, stream: int, start: int, dtype: Any = _FLOAT64, log: bool = False) -> Array:
    """Numbers of the gamma distribution with scale 1, in float64, one for each concentration.

    By Marsaglia and Tsang, "A simple method for generating gamma variables" (2000). Attempt 0 has the number that lifts a
    concentration below 1, the others the candidates. What would be 0 is the least normal number, so that a logarithm may follow.

    Args:
        concentration: float64, positive, of one dimension.
        key: the seed, below 2⁶⁴.
        stream: below 2³².
        start: how many numbers come before.
        dtype: whose stream of numbers; they are float64 in any case.
        log: whether their logarithms are wanted, of which none is too small for a float.
    """
    word = word_of("gamma", dtype)
    n = len(concentration)
    if pays(n):
        out = np.empty(n)
        loops = room("sampler_loops")
        fill = loops.fill_log_gamma if log else loops.fill_gamma
        fill(n, start, key & 0xFFFFFFFF, key >> 32, stream, word, concentration, out)
        return out
    at = np.arange(start, start + n, dtype=np.uint64)
    shape = np.where(concentration < 1, concentration + 1, concentration)
    value = np.empty(n)
    left, attempt = np.arange(n), word
    while len(left):
        attempt += 1
        value[left], taken = gamma_attempt(*philox_at(at[left], key, stream, attempt), shape[left])
        left = left[~taken]
    a, b, _, _ = philox_at(at, key, stream, word)
    return (log_boosted if log else boosted)(value, a, b, concentration)


FEW = np.float64(10)
_MANY = np.float64(2.0**20)
_D4, _D5, _D6, _D7, _D8, MOST = (np.float64(k) for k in (4, 5, 6, 7, 8, 100))
_HALF_LOG_2PI = np.float64(0.9189385332046727)
_STIRLING_3, _STIRLING_5, _STIRLING_7 = np.float64(1 / 360), np.float64(1 / 1260), np.float64(1 / 1680)


def _stirling(z: Any) -> Any:
    """log z! − (z + ½) log z + z − ½ log 2π, by four terms of Stirling's series: 11 digits of log z! from 8 on, 14 from 16 on."""
    y = _D1 / (z * z)
    return (_D1 / _D12 - y * (_STIRLING_3 - y * (_STIRLING_5 - y * _STIRLING_7))) / z


def _log_factorial(k: Any) -> Any:
    """log k! by Stirling's series at k + 8."""
    z = k + _D8
    product = (k + _D1) * (k + _D2) * (k + _D3) * (k + _D4) * (k + _D5) * (k + _D6)
    return (z - _DH) * _log_of(z) - z + _HALF_LOG_2PI + _stirling(z) - _log_of(product * (k + _D7))


def _log_poisson(k: Any, rate: Any) -> Any:
    """The logarithm of the probability of k ≥ 0, at a rate of at least 10 to which k is near."""
    few = rate < _MANY
    near = k * _log_of(rate) - rate - _log_factorial(where(few, k, _D0))
    # of large rates, terms that cancel are taken together: k = rate · (1 + d)
    d = where(few, _D0, (k - rate) / rate)
    z = where(few, _D1, k)
    far = rate * (d - (_D1 + d) * log_of_split_float64(_D0, d)) - _DH * _log_of(z) - _HALF_LOG_2PI - _D1 / (_D12 * z)
    return where(few, near, far)


def poisson_attempt(a: Any, b: Any, c: Any, d: Any, rate: Any) -> tuple[Any, Any]:
    """A number that may be of the Poisson distribution at a rate of at least 10, and whether it is to be taken.

    W. Hörmann, "The transformed rejection method for generating Poisson random variables" (1993), algorithm PTRS.
    """
    u = uniform_float64(a, b) - _DH
    v = uniform_float64(c, d)
    width = np.float64(0.931) + np.float64(2.53) * np.sqrt(rate)
    slope = np.float64(-0.059) + np.float64(0.02483) * width
    inverse_alpha = np.float64(1.1239) + np.float64(1.1328) / (width - np.float64(3.4))
    quick = np.float64(0.9277) - np.float64(3.6224) / (width - _D2)
    distance = _DH - np.abs(u)
    distance = where(distance < _D53, _D53, distance)
    k = np.floor((_D2 * slope / distance + width) * u + rate + np.float64(0.43))
    sure = (distance >= np.float64(0.07)) & (v <= quick)
    never = (k < _D0) | ((distance < np.float64(0.013)) & (v > distance))
    never = never | (np.abs(k - rate) > np.float64(0.25) * rate + np.float64(1e4))  # the probability is below 1e-300
    bound = _log_poisson(where(never, rate, k), rate) - _log_of(inverse_alpha / (slope / (distance * distance) + width))
    return k, sure | (~never & (-exponential_float64(c, d) <= bound))


def poisson(rate: Array, key: int, stream: int, start: int, dtype: Any = _FLOAT64) -> Array:
    """Numbers of the Poisson distribution, in float64, one for each rate.

    Below a rate of 10 by subtracting one probability after the other from one uniform number (sequential search, L. Devroye,
    "Non-uniform random variate generation", 1986, section X.3.3), else by rejection.

    Args:
        rate: float64, finite, not negative, of one dimension.
        key: the seed, below 2⁶⁴.
        stream: below 2³².
        start: how many numbers come before.
        dtype: whose stream of numbers; they are float64 in any case.
    """
    attempt = word_of("poisson", dtype)
    n = len(rate)
    if pays(n):
        out = np.empty(n)
        room("sampler_loops").fill_poisson(n, start, key & 0xFFFFFFFF, key >> 32, stream, attempt, rate, out)
        return out
    at = np.arange(start, start + n, dtype=np.uint64)
    value = np.zeros(n)
    words = philox_at(at, key, stream, attempt)
    few = np.flatnonzero(rate < FEW)
    mean = rate[few]
    u, p, count = uniform_float64(words[0][few], words[1][few]), exp_float64(-mean), 0
    while len(few) and count <= MOST:
        more = (u >= p) & (count < MOST)
        value[few[~more]] = count
        few, mean, u, p = few[more], mean[more], u[more], p[more]
        u = u - p
        count += 1
        p = p * (mean / count)
    left = np.flatnonzero(rate >= FEW)
    words = tuple(w[left] for w in words)
    while len(left):
        value[left], taken = poisson_attempt(*words, rate[left])
        left = left[~taken]
        attempt += 1
        words = philox_at(at[left], key, stream, attempt)
    return value


_D16 = np.float64(16)
_NEAR = np.float64(0.0289)  # 0.17², just below the square up to which `artanh_rest` holds


def _log_factorial_beyond_power(k: Any) -> Any:
    """log(k! · eᵏ / kᵏ) − ½ log 2π of whole k ≥ 0: what is left of log k! without the terms that cancel in a binomial."""
    few = k < _D16
    z = where(few, k + _D8, k)
    log = _log_of(z)
    product = (k + _D1) * (k + _D2) * (k + _D3) * (k + _D4) * (k + _D5) * (k + _D6) * (k + _D7) * (k + _D8)
    moved = z * log - _D8 - _log_of(product) - k * _log_of(where(k < _D1, _D1, k))
    return _DH * log + _stirling(z) + where(few, moved, _D0)


def _deviance(k: Any, mean: Any, difference: Any) -> Any:
    """k log(k / mean) + mean − k, where k − mean is known better than its terms.

    Near 1, the ratio is (1 + s) / (1 − s), and the whole a sum of terms of one sign (C. Loader, "Fast and accurate computation of
    binomial probabilities", 2000).
    """
    s = difference / (k + mean)
    near = s * s <= _NEAR
    z = where(near, s * s, _D0)
    ratio = where(k < _D1, _D1, k / mean)
    return where(near, s * (difference + k * artanh_rest(z)), k * _log_of(ratio) - difference)


def _log_binomial(k: Any, count: Any, mean: Any, difference: Any) -> Any:
    """The logarithm of the probability of k of ``count``, where ``mean`` ≥ 10 are expected, and k − mean is known (Loader 2000).

    Each term is of the size of the result, or of that of log(count): at a count of 2⁵³ the difference of log-factorials would
    have no digit after the point.
    """
    missing = count - k
    powers = _deviance(k, mean, difference) + _deviance(missing, count - mean, -difference)
    ways = _log_factorial_beyond_power(k) + _log_factorial_beyond_power(missing)
    return _DH * _log_of(count) + _stirling(count) - ways - powers - _HALF_LOG_2PI


def binomial_attempt(a: Any, b: Any, c: Any, d: Any, count: Any, chance: Any) -> tuple[Any, Any]:
    """A number that may be of the binomial distribution, and whether it is to be taken; chance ≤ ½, count · chance ≥ 10.

    W. Hörmann, "The generation of binomial random variates" (1993), algorithm BTRS, of which two things are written
    otherwise. For the probability of the mode, which scales the hat, stands 1 / √(2π · count · chance · (1 − chance)), as in the
    same author's PTRS; a test holds the hat to be above all probabilities, and the quick acceptance to be below. And the
    candidate is counted from the floor of the mean, so that it keeps its digits where the mean has no bits for a fraction.
    """
    u = uniform_float64(a, b) - _DH
    v = uniform_float64(c, d)
    mean = count * chance
    centre = np.floor(mean)
    part = mean - centre
    width = np.float64(1.15) + np.float64(2.53) * np.sqrt(mean * (_D1 - chance))
    slope = np.float64(-0.0873) + np.float64(0.0248) * width + np.float64(0.01) * chance
    hat = np.float64(2.83) + np.float64(5.1) / width
    quick = np.float64(0.92) - np.float64(4.2) / width
    distance = _DH - np.abs(u)
    distance = where(distance < _D53, _D53, distance)
    step = np.floor((_D2 * slope / distance + width) * u + part + _DH)
    sure = (distance >= np.float64(0.07)) & (v <= quick)
    never = (step < -centre) | (step > count - centre)
    step = where(never, _D0, step)
    k = centre + step
    bound = _log_binomial(k, count, mean, step - part) + _HALF_LOG_2PI
    bound = bound - _log_of(hat / (slope / (distance * distance) + width))
    return k, sure | (~never & (-exponential_float64(c, d) <= bound))


def none_of_binomial(count: Any, chance: Any) -> Any:
    """The probability of 0."""
    return exp_float64(count * log1p_float64(-chance))


def next_of_binomial(p: Any, k: Any, count: Any, chance: Any) -> Any:
    """The probability of k + 1, of that of k."""
    return p * ((count - k) / (k + _D1) * (chance / (_D1 - chance)))


def binomial(count: Array, probs: Array, key: int, stream: int, start: int, dtype: Any = _FLOAT64) -> Array:
    """Numbers of the binomial distribution, in float64, one for each count and probability.

    Where fewer than 10 are expected, of the likelier outcome's opposite, by subtracting one probability after the other from one
    uniform number, as for Poisson; else by rejection.

    Args:
        count: float64, whole numbers from 0 to 2⁵³, of one dimension.
        probs: float64, from 0 to 1, as many.
        key: the seed, below 2⁶⁴.
        stream: below 2³².
        start: how many numbers come before.
        dtype: whose stream of numbers; they are float64 in any case.
    """
    attempt = word_of("binomial", dtype)
    n = len(count)
    if pays(n):
        out = np.empty(n)
        room("sampler_loops").fill_binomial(n, start, key & 0xFFFFFFFF, key >> 32, stream, attempt, count, probs, out)
        return out
    chance = np.where(probs > _DH, _D1 - probs, probs)
    at = np.arange(start, start + n, dtype=np.uint64)
    value = np.zeros(n)
    words = philox_at(at, key, stream, attempt)
    search = count * chance < FEW
    few = np.flatnonzero(search)
    total, part, k = count[few], chance[few], 0
    most = np.minimum(total, MOST)
    u, p = uniform_float64(words[0][few], words[1][few]), none_of_binomial(total, part)
    while len(few):
        more = (u >= p) & (k < most)
        value[few[~more]] = k
        few, total, part, most, u, p = few[more], total[more], part[more], most[more], u[more], p[more]
        u = u - p
        p = next_of_binomial(p, np.float64(k), total, part)
        k += 1
    left = np.flatnonzero(~search)
    words = tuple(w[left] for w in words)
    while len(left):
        value[left], taken = binomial_attempt(*words, count[left], chance[left])
        left = left[~taken]
        attempt += 1
        words = philox_at(at[left], key, stream, attempt)
    return np.where(probs > _DH, count - value, value)


_FAR = np.float64(2.0**30)
_QUARTER_PI = np.float64(0.7853981633974483)
_TAN_EIGHTH = np.float64(0.4142135623730951)  # of π/8
# (arctan t / t − 1) / t² of t², up to there: 7e-18
_DA0, _DA1, _DA2, _DA3, _DA4, _DA5, _DA6, _DA7, _DA8, _DA9, _DA10 = (
    np.float64(c)
    for c in (
        -0.3333333333333333, 0.1999999999999552, -0.14285714284666542, 0.11111111015256361, -0.09090904578123903,
        0.07692183190826087, -0.06664511447381948, 0.0585814891280221, -0.0508544973794026, 0.03923165829558719,
        -0.01917688711906226,
    )
)  # fmt: skip


def _angle_of(x: Any, y: Any) -> Any:
    """The angle between 0 and ½π of a direction x ≥ 0, y ≥ 0; of a small one, all digits."""
    flat, steep = y < _TAN_EIGHTH * x, x < _TAN_EIGHTH * y
    # by how much the direction is turned from 0, π/4 or π/2
    t = where(flat, y, where(steep, -x, y - x)) / where(flat, x, where(steep, y, x + y))
    z = t * t
    p = ((((_DA10 * z + _DA9) * z + _DA8) * z + _DA7) * z + _DA6) * z + _DA5
    p = ((((p * z + _DA4) * z + _DA3) * z + _DA2) * z + _DA1) * z + _DA0
    return where(flat, _D0, where(steep, _D2 * _QUARTER_PI, _QUARTER_PI)) + (t + t * (z * p))


def von_mises_attempt(a: Any, b: Any, c: Any, d: Any, concentration: Any) -> tuple[Any, Any]:
    """An angle that may be of the von Mises distribution around 0, and whether it is to be taken.

    By rejection from a wrapped Cauchy distribution (D. J. Best and N. I. Fisher, "Efficient simulation of the von Mises
    distribution", 1979). With their τ = 1 + √(1 + 4κ²), r = τ / 2κ and z = cos φ of a uniform angle φ, the candidate is the θ of
    cos θ = (1 + rz) / (r + z), taken where log(c / u) + 1 − c ≥ 0 for c = κ(r − cos θ). In that form r is infinite at κ = 0, and
    cos θ has no digits for small angles. But (r + 1) / (r − 1) = 2κ + √(1 + 4κ²), with whose root h

        tan ½θ = tan ½φ / h    and    c = ½(1 + 1/h²) + 2κ sin² ½θ,

    where nothing cancels, or is infinite. 62 bits of the words are the angle φ, 53 the number u.
    """
    x, y = turned_float64(_D1, a, b)
    x = np.abs(x)
    far = concentration > _FAR  # where 1 is nothing next to 4κ², which may be too large for a float
    near = where(far, _D0, concentration)
    root = np.sqrt(concentration)
    h = where(far, _D2 * root, np.sqrt(_D2 * near + np.sqrt(_D1 + _D4 * near * near)))
    inverse = _D1 / h
    y = y * inverse
    scaled = root * y
    excess = _DH * (_D1 + inverse * inverse) + _D2 * (scaled * scaled) / (x * x + y * y)
    angle = _D2 * _angle_of(x, np.abs(y))
    return where(y < _D0, -angle, angle), -exponential_float64(c, d) <= _log_of(excess) + _D1 - excess


def von_mises(concentration: Array, key: int, stream: int, start: int, dtype: Any = _FLOAT64) -> Array:
    """Angles of the von Mises distribution around 0, in float64, one for each concentration, from −π to π.

    Args:
        concentration: float64, finite, not negative, of one dimension.
        key: the seed, below 2⁶⁴.
        stream: below 2³².
        start: how many numbers come before.
        dtype: whose stream of numbers; they are float64 in any case.
    """
    attempt = word_of("von_mises", dtype)
    n = len(concentration)
    if pays(n):
        out = np.empty(n)
        fill = room("sampler_loops").fill_von_mises
        fill(n, start, key & 0xFFFFFFFF, key >> 32, stream, attempt, concentration, out)
        return out
    at = np.arange(start, start + n, dtype=np.uint64)
    value = np.empty(n)
    left = np.arange(n)
    while len(left):
        words = philox_at(at[left], key, stream, attempt)
        value[left], taken = von_mises_attempt(*words, concentration[left])
        left = left[~taken]
        attempt += 1
    return value
