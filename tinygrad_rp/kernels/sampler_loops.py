"""The loops of the samplers, for large draws; `samplers` and `rejection` have their formulas."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from tinygrad_rp.kernels.compiler import Kernel, kernel
from tinygrad_rp.kernels.primitives import where
from tinygrad_rp.kernels.rejection import (
    FEW,
    MOST,
    binomial_attempt,
    boosted,
    gamma_attempt,
    log_boosted,
    next_of_binomial,
    none_of_binomial,
    poisson_attempt,
    von_mises_attempt,
)
from tinygrad_rp.kernels.samplers import FORMULAS, philox, scaled, uniform_float64, whole_of
from tinygrad_rp.kernels.vector_math import exp_float64

__all__ = [
    "FILL", "fill_binomial", "fill_coins", "fill_gamma", "fill_integers", "fill_keys", "fill_log_gamma", "fill_own_coins",
    "fill_poisson", "fill_von_mises",
]  # fmt: skip

_1, _6, _32, _LOW = (np.uint64(k) for k in (1, 6, 32, 0xFFFFFFFF))
_D0, _DH, _D1 = np.float64(0), np.float64(0.5), np.float64(1)


def _block(a: Any, b: Any, c: Any, d: Any) -> Any:
    """Stands, in the loops below, for the formula of a kind of number."""
    raise NotImplementedError


def _four(n: Any, first: Any, start: Any, k0: Any, k1: Any, stream: Any, kind: Any, out: Any) -> None:
    """Fill n groups of 64 blocks with the 4 numbers of each."""
    for g in range(n):
        low = np.uint64(start + first + g) << _6
        for j in range(64):
            at = low + np.uint64(j)
            w = philox(at & _LOW, at >> _32, np.uint64(stream), np.uint64(kind), np.uint64(k0), np.uint64(k1))
            x = _block(w[0], w[1], w[2], w[3])
            i = g * 256 + j
            out[i], out[i + 64], out[i + 128], out[i + 192] = x[0], x[1], x[2], x[3]


def _two(n: Any, first: Any, start: Any, k0: Any, k1: Any, stream: Any, kind: Any, out: Any) -> None:
    """Fill n groups of 64 blocks with the 2 numbers of each."""
    for g in range(n):
        low = np.uint64(start + first + g) << _6
        for j in range(64):
            at = low + np.uint64(j)
            w = philox(at & _LOW, at >> _32, np.uint64(stream), np.uint64(kind), np.uint64(k0), np.uint64(k1))
            x = _block(w[0], w[1], w[2], w[3])
            i = g * 128 + j
            out[i], out[i + 64] = x[0], x[1]


def _specialised(loop: Callable[..., None], made: Callable[..., Any]) -> Kernel:
    """The kernel of a loop, with this function for `_block`."""
    name = f"fill_{made.__name__.removeprefix('_')}"
    return Kernel(FunctionType(loop.__code__, {**globals(), "_block": made}, name), exact=True)


FILL = {key: _specialised(_four if formula.group == 256 else _two, formula.made) for key, formula in FORMULAS.items()}
"""For a formula and a dtype, the kernel that fills whole groups with their numbers."""


@kernel(whole=("p",), exact=True)
def fill_coins(
    n: Any, first: Any, start: Any, k0: Any, k1: Any, stream: Any, word: Any, p: Any, no: Any, yes: Any, out: Any
) -> None:
    chance = p[0]
    for g in range(n):
        low = np.uint64(start + first + g) << _6
        for j in range(64):
            at = low + np.uint64(j)
            w = philox(at & _LOW, at >> _32, np.uint64(stream), np.uint64(word), np.uint64(k0), np.uint64(k1))
            i = g * 128 + j
            out[i] = where(uniform_float64(w[0], w[1]) < chance, yes, no)
            out[i + 64] = where(uniform_float64(w[2], w[3]) < chance, yes, no)


@kernel(exact=True)
def fill_own_coins(
    n: Any, first: Any, start: Any, k0: Any, k1: Any, stream: Any, word: Any, p: Any, no: Any, yes: Any, out: Any
) -> None:
    for g in range(n):
        low = np.uint64(start + first + g) << _6
        for j in range(64):
            at = low + np.uint64(j)
            w = philox(at & _LOW, at >> _32, np.uint64(stream), np.uint64(word), np.uint64(k0), np.uint64(k1))
            i = g * 128 + j
            out[i] = where(uniform_float64(w[0], w[1]) < p[i], yes, no)
            out[i + 64] = where(uniform_float64(w[2], w[3]) < p[i + 64], yes, no)


@kernel(exact=True)
def fill_integers(
    n: Any,
    first: Any,
    start: Any,
    k0: Any,
    k1: Any,
    stream: Any,
    word: Any,
    least: Any,
    size: Any,
    spare: Any,
    out: Any,
) -> None:
    rejected = 0
    for i in range(n):
        at = np.uint64(start + first + i)
        w = philox(at & _LOW, at >> _32, np.uint64(stream), np.uint64(word), np.uint64(k0), np.uint64(k1))
        x = scaled(w[0], w[1], np.uint64(size))
        out[i] = np.int64(x[0] + np.uint64(least))
        rejected += x[1] < np.uint64(spare)
    if rejected:
        for i in range(n):
            at = np.uint64(start + first + i)
            attempt = np.uint64(word)
            w = philox(at & _LOW, at >> _32, np.uint64(stream), attempt, np.uint64(k0), np.uint64(k1))
            x = scaled(w[0], w[1], np.uint64(size))
            while x[1] < np.uint64(spare):
                attempt += _1
                w = philox(at & _LOW, at >> _32, np.uint64(stream), attempt, np.uint64(k0), np.uint64(k1))
                x = scaled(w[0], w[1], np.uint64(size))
            out[i] = np.int64(x[0] + np.uint64(least))


@kernel(exact=True)
def fill_keys(n: Any, first: Any, start: Any, k0: Any, k1: Any, stream: Any, word: Any, out: Any) -> None:
    for i in range(n):
        at = np.uint64(start + first + i)
        w = philox(at & _LOW, at >> _32, np.uint64(stream), np.uint64(word), np.uint64(k0), np.uint64(k1))
        out[i] = whole_of(w[0], w[1])


def _gamma(
    n: Any, first: Any, start: Any, k0: Any, k1: Any, stream: Any, word: Any, concentration: Any, out: Any
) -> None:
    """Fill with gamma numbers, or with what else is made of a candidate that was taken."""
    for i in range(n):
        at = np.uint64(start + first + i)
        low, high, s, k, m = at & _LOW, at >> _32, np.uint64(stream), np.uint64(k0), np.uint64(k1)
        alpha = concentration[i]
        shape = alpha + _D1 if alpha < _D1 else alpha
        attempt = np.uint64(word)
        taken = False
        value = _D0
        while not taken:
            attempt += _1
            w = philox(low, high, s, attempt, k, m)
            x = gamma_attempt(w[0], w[1], w[2], w[3], shape)
            value, taken = x[0], x[1]
        w = philox(low, high, s, np.uint64(word), k, m)
        out[i] = _block(value, w[0], w[1], alpha)


fill_gamma, fill_log_gamma = _specialised(_gamma, boosted), _specialised(_gamma, log_boosted)


@kernel(exact=True)
def fill_poisson(n: Any, first: Any, start: Any, k0: Any, k1: Any, stream: Any, word: Any, rate: Any, out: Any) -> None:
    for i in range(n):
        at = np.uint64(start + first + i)
        low, high, s, k, m = at & _LOW, at >> _32, np.uint64(stream), np.uint64(k0), np.uint64(k1)
        mean = rate[i]
        attempt = np.uint64(word)
        w = philox(low, high, s, attempt, k, m)
        if mean < FEW:
            u, p, count = uniform_float64(w[0], w[1]), exp_float64(-mean), _D0
            while u >= p and count < MOST:
                u -= p
                count += _D1
                p *= mean / count
            out[i] = count
        else:
            x = poisson_attempt(w[0], w[1], w[2], w[3], mean)
            while not x[1]:
                attempt += _1
                w = philox(low, high, s, attempt, k, m)
                x = poisson_attempt(w[0], w[1], w[2], w[3], mean)
            out[i] = x[0]


@kernel(exact=True)
def fill_binomial(
    n: Any,
    first: Any,
    start: Any,
    k0: Any,
    k1: Any,
    stream: Any,
    word: Any,
    count: Any,
    probs: Any,
    out: Any,
) -> None:
    for i in range(n):
        at = np.uint64(start + first + i)
        low, high, s, k, m = at & _LOW, at >> _32, np.uint64(stream), np.uint64(k0), np.uint64(k1)
        total, chance = count[i], probs[i]
        mirrored = chance > _DH
        if mirrored:
            chance = _D1 - chance
        value = _D0
        if total * chance < FEW:
            w = philox(low, high, s, np.uint64(word), k, m)
            u, p, most = uniform_float64(w[0], w[1]), none_of_binomial(total, chance), min(total, MOST)
            while u >= p and value < most:
                u -= p
                p = next_of_binomial(p, value, total, chance)
                value += _D1
        else:
            attempt = np.uint64(word)
            taken = False
            while not taken:
                w = philox(low, high, s, attempt, k, m)
                x = binomial_attempt(w[0], w[1], w[2], w[3], total, chance)
                value, taken = x[0], x[1]
                attempt += _1
        out[i] = total - value if mirrored else value


@kernel(exact=True)
def fill_von_mises(
    n: Any, first: Any, start: Any, k0: Any, k1: Any, stream: Any, word: Any, concentration: Any, out: Any
) -> None:
    for i in range(n):
        at = np.uint64(start + first + i)
        low, high, s, k, m = at & _LOW, at >> _32, np.uint64(stream), np.uint64(k0), np.uint64(k1)
        kappa = concentration[i]
        attempt = np.uint64(word)
        taken = False
        value = _D0
        while not taken:
            w = philox(low, high, s, attempt, k, m)
            x = von_mises_attempt(w[0], w[1], w[2], w[3], kappa)
            value, taken = x[0], x[1]
            attempt += _1
        out[i] = value
