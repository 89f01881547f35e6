"""Numbers of a varying cost: gamma and Poisson, by rejection. `samplers` says how they are counted.

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
    exponential_float64,
    log_of_split_float64,
    pays,
    philox_at,
    split_float64,
    turned_float64,
    uniform_float64,
    word_of,
)
from tinygrad_rp.kernels.vector_math import exp_float64

__all__ = ["FEW", "MOST", "boosted", "gamma", "gamma_attempt", "poisson", "poisson_attempt"]

Array = ndarray[Any, Any]

_FLOAT64 = np.dtype(np.float64)
_21, _LOW_11 = np.uint64(21), np.uint64(2**11 - 1)
_D0, _DH, _D1, _D2, _D53 = (np.float64(k) for k in (0, 0.5, 1, 2, 2.0**-53))
_D3, _D9, _D12 = np.float64(3), np.float64(9), np.float64(12)
_TINY = np.float64(2.0**-1022)
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


def gamma(concentration: Array, key: int, stream: int, start: int, dtype: Any = _FLOAT64) -> Array:
    """Numbers of the gamma distribution with scale 1, in float64, one for each concentration.

    By Marsaglia and Tsang, "A simple method for generating gamma variables" (2000). Attempt 0 has the number that lifts a
    concentration below 1, the others the candidates. What would be 0 is the least normal number, so that a logarithm may follow.

    Args:
        concentration: float64, positive, of one dimension.
        key: the seed, below 2⁶⁴.
        stream: below 2³².
        start: how many numbers come before.
        dtype: whose stream of numbers; they are float64 in any case.
    """
    word = word_of("gamma", dtype)
    n = len(concentration)
    if pays(n):
        out = np.empty(n)
        room("sampler_loops").fill_gamma(n, start, key & 0xFFFFFFFF, key >> 32, stream, word, concentration, out)
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
    return boosted(value, a, b, concentration)


FEW = np.float64(10)
_MANY = np.float64(2.0**20)
_D4, _D5, _D6, _D7, _D8, MOST = (np.float64(k) for k in (4, 5, 6, 7, 8, 100))
_HALF_LOG_2PI = np.float64(0.9189385332046727)
_STIRLING_3, _STIRLING_5, _STIRLING_7 = np.float64(1 / 360), np.float64(1 / 1260), np.float64(1 / 1680)


def _log_factorial(k: Any) -> Any:
    """log k! by Stirling's series at k + 8, where four terms of it suffice for 11 digits."""
    z = k + _D8
    product = (k + _D1) * (k + _D2) * (k + _D3) * (k + _D4) * (k + _D5) * (k + _D6)
    y = _D1 / (z * z)
    rest = (_D1 / _D12 - y * (_STIRLING_3 - y * (_STIRLING_5 - y * _STIRLING_7))) / z
    return (z - _DH) * _log_of(z) - z + _HALF_LOG_2PI + rest - _log_of(product * (k + _D7))


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
