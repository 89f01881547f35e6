"""Random numbers as functions of a counter: Philox, and what is made of its words.

Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.3) mixes a
counter of four 32-bit words with a key of two, and hands out four words that look like noise. Nothing is remembered from one
counter to the next, so that any number can be computed alone. The four words of the counter are::

    0, 1   the number of the block
    2      the number of the stream, which forked generators have of their own
    3      the kind of number and its dtype, and where a sampler may reject, the attempt: (2 · kind + dtype) · 2²⁴ + attempt

*Numbers of a fixed cost* (uniform, normal, exponential, Gumbel) take one word each in float32, and two in float64. 64 blocks
are a group. Within a group, a loop over its blocks writes the first numbers of all blocks next to each other, then the second
ones, and so on, which is what a processor's vectors need::

    number i of float32:  word (i % 256) // 64 of block 64 · (i // 256) + i % 64
    number i of float64:  words 2w and 2w + 1, with w = (i % 128) // 64, of block 64 · (i // 128) + i % 64

(of a normal pair, the first is the cosine's and the second the sine's, from the same words). *Numbers of a varying cost*
(integers of a range, gamma, Poisson, binomial, von Mises): number i has block i, once for each attempt, so that the attempts of
one number move no other.

A formula is written once, and lives two lives (`primitives`): on arrays of blocks for small draws, and compiled for large
ones (`sampler_loops`), with bitwise the same numbers. Words are held in uint64, which has room for the product of two of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from tinygrad_rp.kernels.choice import LARGE, MODE, room, usable
from tinygrad_rp.kernels.primitives import bits, float_of, where

__all__ = ["FIXED", "FORMULAS", "KINDS", "child", "group_of", "integers", "numbers", "permutation", "philox"]

Array = ndarray[Any, Any]

# ------------------------------------------------------------------------------------------------------------- Philox

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> tuple[Any, Any, Any, Any]:
    """The four words that a counter of four words and a key of two give; all of them uint64 below 2³²."""
    for _ in range(10):
        p, q = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (q >> _32) ^ c1 ^ k0, q & _LOW, (p >> _32) ^ c3 ^ k1, p & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


# ----------------------------------------------------------------------- logarithm, sine and cosine of random integers
# Functions of integers rather than of floats: an integer says exactly how far it is from the upper end, where a float has no
# digits left, and a turn is divided by shifting bits. The polynomials interpolate at Chebyshev's nodes; comments give the
# relative error of what they stand for.

_1, _2, _11, _21, _30, _31 = (np.uint64(k) for k in (1, 2, 11, 21, 30, 31))
_LOW_21 = np.uint64(2**21 - 1)
_NEAR_1 = np.uint64(0xB504F334)  # ½√2 · 2³²

_F0, _FH, _F1, _F2 = (np.float32(k) for k in (0, 0.5, 1, 2))
_F24, _F32 = np.float32(2.0**-24), np.float32(2.0**-32)
_F_ROOT, _F_SHIFT = np.int32(0x3F3504F3), np.int32(23)  # the bits of ½√2; the width of a mantissa
_F_LN2, _F_LN2_REST = np.float32(0.693359375), np.float32(-2.1219444e-4)
# (log(1 + f) − f + ½f²) / f³ for ½√2 ≤ 1 + f ≤ √2: 2e-8
_FL0, _FL1, _FL2, _FL3 = (np.float32(c) for c in (0.33333331, -0.25000307, 0.20001045, -0.16641282))
_FL4, _FL5, _FL6, _FL7 = (np.float32(c) for c in (0.14214496, -0.12998183, 0.12622319, -0.079027437))
# sin(½π·y) / y and (cos(½π·y) − 1) / y², of y² ≤ ¼: 3e-9, 3e-10
_FS0, _FS1, _FS2, _FS3 = (np.float32(c) for c in (1.57079632, -0.64596348, 0.079680218, -0.0046021492))
_FC0, _FC1, _FC2, _FC3 = (np.float32(c) for c in (-1.23370055, 0.25366941, -0.020861528, 9.0673990e-4))

_D0, _DH, _D1, _D2 = (np.float64(k) for k in (0, 0.5, 1, 2))
_DP21, _D32, _D53, _D62 = (np.float64(2.0**k) for k in (21, -32, -53, -62))
_D_ROOT, _D_SHIFT = np.int64(0x3FE6A09E667F3BCD), np.int64(52)
_D_LN2, _D_LN2_REST = np.float64(0.6931471803691238), np.float64(1.9082149292705877e-10)
# (log((1 + s) / (1 − s)) − 2s) / s³ with s = f / (2 + f), of s²: 4e-18
_DL0, _DL1, _DL2, _DL3, _DL4, _DL5, _DL6 = (
    np.float64(c)
    for c in (
        0.666666666666667, 0.39999999999899505, 0.28571428625975487, 0.2222221113479508, 0.18182889125261723,
        0.15331721600556042, 0.14616449685043406,
    )
)  # fmt: skip
# as for float32: 3e-18, 2e-19
_DS0, _DS1, _DS2, _DS3, _DS4, _DS5, _DS6 = (
    np.float64(c)
    for c in (
        1.5707963267948966, -0.6459640975062443, 0.07969262624604301, -0.004681754132340976, 0.0001604411507421909,
        -3.59864335298231e-06, 5.633933781537854e-08,
    )
)  # fmt: skip
_DC0, _DC1, _DC2, _DC3, _DC4, _DC5, _DC6 = (
    np.float64(c)
    for c in (
        -1.2337005501361697, 0.2536695079010478, -0.020863480763340773, 0.0009192602745468447, -2.5202039028029178e-05,
        4.710678405505227e-07, -6.329396344967424e-09,
    )
)  # fmt: skip


def split_float32(x: Any) -> tuple[Any, Any]:
    """``e, f`` of a positive x = 2ᵉ·(1 + f) with ½√2 ≤ 1 + f < √2."""
    i = bits(x)
    e = np.int32(np.int32(i - _F_ROOT) >> _F_SHIFT)
    return np.float32(e), float_of(np.int32(i - np.int32(e << _F_SHIFT))) - _F1


def log_of_split_float32(e: Any, f: Any) -> Any:
    """e·log 2 + log(1 + f)."""
    p = ((((((_FL7 * f + _FL6) * f + _FL5) * f + _FL4) * f + _FL3) * f + _FL2) * f + _FL1) * f + _FL0
    return e * _F_LN2 + (f + (e * _F_LN2_REST + f * f * (f * p - _FH)))


def exponential_float32(w: Any) -> Any:
    """−log u of u = (w + ½) / 2³²: between 2⁻³³ and 22.9, with all digits at both ends."""
    near = w > _NEAR_1
    v = (np.float32(np.uint32(where(near, _LOW - w, w))) + _FH) * _F32  # u, and 1 − u where that is small
    e, f = split_float32(v)
    return -log_of_split_float32(where(near, _F0, e), where(near, -v, f))


def gumbel_float32(w: Any) -> Any:
    e, f = split_float32(exponential_float32(w))
    return -log_of_split_float32(e, f)


def uniform_float32(w: Any) -> Any:
    return np.float32(np.int32(w >> np.uint64(8))) * _F24


def turned_float32(r: Any, w: Any) -> tuple[Any, Any]:
    """The point at distance r in the direction w: 30 bits are an angle of up to ±45°, one bit mirrors it, one turns it round."""
    y = np.float32(np.int32(w << _2)) * _F32
    t = y * y
    s = y * (((_FS3 * t + _FS2) * t + _FS1) * t + _FS0)
    c = (((_FC3 * t + _FC2) * t + _FC1) * t + _FC0) * t + _F1
    r = where((w >> _31) != 0, -r, r)
    mirrored = ((w >> _30) & _1) != 0
    return r * where(mirrored, s, c), r * where(mirrored, c, s)


def normal_float32(a: Any, b: Any) -> tuple[Any, Any]:
    """Two independent normal numbers of two words (Box and Muller 1958)."""
    return turned_float32(np.sqrt(_F2 * exponential_float32(a)), b)


def split_float64(x: Any) -> tuple[Any, Any]:
    i = bits(x)
    e = (i - _D_ROOT) >> _D_SHIFT
    return np.float64(np.int32(e)), float_of(i - (e << _D_SHIFT)) - _D1


def artanh_rest(z: Any) -> Any:
    """(2 artanh s − 2s) / s of s² = z, up to s = 3 − √8."""
    return z * ((((((_DL6 * z + _DL5) * z + _DL4) * z + _DL3) * z + _DL2) * z + _DL1) * z + _DL0)


def log_of_split_float64(e: Any, f: Any) -> Any:
    s = f / (_D2 + f)
    r = artanh_rest(s * s)
    return e * _D_LN2 + (f - (s * (f - r) - e * _D_LN2_REST))


def exponential_float64(a: Any, b: Any) -> Any:
    """−log u of u = (k + ½) / 2⁵³, where k is a and the upper 21 bits of b: between 2⁻⁵⁴ and 37.5."""
    near = a > _NEAR_1
    high = np.uint32(where(near, _LOW - a, a))
    low = np.uint32(where(near, _LOW_21 - (b >> _11), b >> _11))
    v = (np.float64(high) * _DP21 + np.float64(low) + _DH) * _D53
    e, f = split_float64(v)
    return -log_of_split_float64(where(near, _D0, e), where(near, -v, f))


def gumbel_float64(a: Any, b: Any) -> Any:
    e, f = split_float64(exponential_float64(a, b))
    return -log_of_split_float64(e, f)


def uniform_float64(a: Any, b: Any) -> Any:
    return (np.float64(np.uint32(a)) * _DP21 + np.float64(np.uint32(b >> _11))) * _D53


def turned_float64(r: Any, a: Any, b: Any) -> tuple[Any, Any]:
    y = np.float64(np.int32(a << _2)) * _D32 + np.float64(np.uint32(b)) * _D62
    t = y * y
    s = y * ((((((_DS6 * t + _DS5) * t + _DS4) * t + _DS3) * t + _DS2) * t + _DS1) * t + _DS0)
    c = ((((((_DC6 * t + _DC5) * t + _DC4) * t + _DC3) * t + _DC2) * t + _DC1) * t + _DC0) * t + _D1
    r = where((a >> _31) != 0, -r, r)
    mirrored = ((a >> _30) & _1) != 0
    return r * where(mirrored, s, c), r * where(mirrored, c, s)


def _normals_float64(a: Any, b: Any, c: Any, d: Any) -> tuple[Any, ...]:
    """Two independent normal numbers."""
    return turned_float64(np.sqrt(_D2 * exponential_float64(a, b)), c, d)


# ---------------------------------------------------------------------------------------------- what a block is made into


def _uniforms_float32(a: Any, b: Any, c: Any, d: Any) -> tuple[Any, ...]:
    return uniform_float32(a), uniform_float32(b), uniform_float32(c), uniform_float32(d)


def _uniforms_float64(a: Any, b: Any, c: Any, d: Any) -> tuple[Any, ...]:
    return uniform_float64(a, b), uniform_float64(c, d)


def _normals_float32(a: Any, b: Any, c: Any, d: Any) -> tuple[Any, ...]:
    x, y = normal_float32(a, b)
    z, w = normal_float32(c, d)
    return x, y, z, w


def _exponentials_float32(a: Any, b: Any, c: Any, d: Any) -> tuple[Any, ...]:
    return exponential_float32(a), exponential_float32(b), exponential_float32(c), exponential_float32(d)


def _exponentials_float64(a: Any, b: Any, c: Any, d: Any) -> tuple[Any, ...]:
    return exponential_float64(a, b), exponential_float64(c, d)


def _gumbels_float32(a: Any, b: Any, c: Any, d: Any) -> tuple[Any, ...]:
    return gumbel_float32(a), gumbel_float32(b), gumbel_float32(c), gumbel_float32(d)


def _gumbels_float64(a: Any, b: Any, c: Any, d: Any) -> tuple[Any, ...]:
    return gumbel_float64(a, b), gumbel_float64(c, d)


class _Formula(NamedTuple):
    """What a block is made into, for arrays and compiled."""

    made: Callable[..., tuple[Any, ...]]
    group: int
    """How many numbers 64 blocks give."""


_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
FORMULAS = {
    ("uniform", _FLOAT32): _Formula(_uniforms_float32, 256),
    ("uniform", _FLOAT64): _Formula(_uniforms_float64, 128),
    ("normal", _FLOAT32): _Formula(_normals_float32, 256),
    ("normal", _FLOAT64): _Formula(_normals_float64, 128),
    ("exponential", _FLOAT32): _Formula(_exponentials_float32, 256),
    ("exponential", _FLOAT64): _Formula(_exponentials_float64, 128),
    ("gumbel", _FLOAT32): _Formula(_gumbels_float32, 256),
    ("gumbel", _FLOAT64): _Formula(_gumbels_float64, 128),
}

# ------------------------------------------------------------------------------------------------- numbers of a fixed cost

FIXED = {
    "uniform": "uniform",
    "normal": "normal",
    "exponential": "exponential",
    "gumbel": "gumbel",
    "bernoulli": "uniform",
    "categorical": "uniform",
    "choice": "exponential",
}
"""The kinds of number of a fixed cost, and how their numbers are made: a Bernoulli sample compares a uniform number with its
probability, and one without replacement (choice) takes the first of exponential clocks."""
KINDS = (
    "uniform", "normal", "exponential", "gumbel", "bernoulli", "categorical", "choice", "permutation", "integers", "gamma",
    "poisson", "fork", "binomial", "von_mises",
)  # fmt: skip
"""All kinds; the place of a kind here is part of its counter, so that new ones go to the end."""


def word_of(kind: str, dtype: Any = _FLOAT32) -> int:
    """Of the counter's words, the one that says the kind and the dtype, at attempt 0."""
    return (2 * KINDS.index(kind) + (dtype == _FLOAT64)) << 24


def pays(n: int, least: int = 1) -> bool:
    """Whether to compile: from where it pays on, and from ``least`` numbers on once the process has loaded what it takes, or has
    spent about as much time without as loading it takes."""
    ready = MODE == "auto" and n >= least and (_MACHINE in sys.modules or _spent > MANY)
    return (n > LARGE or ready) and usable()


MANY = 1 << 20
CALL = 1 << 11
"""A call of NumPy's form takes as long as so many numbers."""
_spent = 0
"""How many numbers NumPy was made to compute, calls included."""
_MACHINE = "tinygrad_rp.kernels.machine"
_CHUNK = 4096


def philox_at(at: Any, key: int, stream: int, word: Any) -> tuple[Any, Any, Any, Any]:
    """The words of blocks, given by their numbers in an array of uint64."""
    global _spent
    _spent += 4 * at.size + CALL
    low, high = np.uint64(key & 0xFFFFFFFF), np.uint64(key >> 32)
    return philox(at & _LOW, at >> _32, np.uint64(stream), np.uint64(word), low, high)


def group_of(kind: str, dtype: Any) -> int:
    """How many numbers are made at a time: the least that a draw costs."""
    return FORMULAS[FIXED[kind], dtype].group


def numbers(kind: str, dtype: Any, key: int, stream: int, start: int, n: int) -> Array:
    """The numbers ``start`` to ``start + n`` of a kind of `FIXED` and a dtype.

    Args:
        kind: one of `FIXED`.
        dtype: float32 or float64.
        key: the seed, below 2⁶⁴.
        stream: below 2³².
        start: how many numbers come before.
        n: how many there are to be.
    """
    made, group = FORMULAS[FIXED[kind], dtype]
    word = word_of(kind, dtype)
    if not pays(n, 1024):
        begin, end = start // group, -(-(start + n) // group)
        blocks = np.arange(begin * 64, end * 64, dtype=np.uint64)
        parts = []
        for i in range(0, len(blocks), _CHUNK):
            x = made(*philox_at(blocks[i : i + _CHUNK], key, stream, word))
            parts.append(np.concatenate([part.reshape(-1, 1, 64) for part in x], 1).reshape(-1))
        drawn = np.concatenate(parts) if parts else np.empty(0, dtype)
        return drawn[start - begin * group :][:n].copy()

    run = room("sampler_loops").FILL[FIXED[kind], dtype]

    def fill(first: int, out: Array) -> None:
        run(len(out) // group, first, key & 0xFFFFFFFF, key >> 32, stream, word, out)

    # whole groups are written where they belong; of those that are cut, a part is copied
    out = np.empty(n, dtype)
    begin, end = -(-start // group), (start + n) // group
    cut: Array = np.empty(group, dtype)
    head = min(begin * group - start, n)
    if head:
        fill(begin - 1, cut)
        out[:head] = cut[group - (begin * group - start) :][:head]
    if end > begin:
        fill(begin, out[head : head + (end - begin) * group])
    if end >= begin and (tail := start + n - end * group):
        fill(end, cut)
        out[n - tail :] = cut[:tail]
    return out


def coins(p: Array, key: int, stream: int, start: int, n: int, dtype: Any) -> Array:
    """Where numbers of the kind ``"bernoulli"`` are below ``p``, as 1 and 0 of a dtype.

    Args:
        p: float64 or float32, one for all or ``n`` of them.
        key: the seed.
        stream: below 2³².
        start: how many numbers come before.
        n: how many there are to be.
        dtype: of the result.
    """

    if not pays(n, 1024) or dtype.kind != "f":
        return (numbers("bernoulli", _FLOAT64, key, stream, start, n) < p).astype(dtype)
    group = group_of("bernoulli", _FLOAT64)
    begin, end = start // group, -(-(start + n) // group)
    before, whole = start - begin * group, (end - begin) * group
    if p.size > 1 and whole > n:  # whole groups are made; what is cut off of them is thrown away
        p = np.pad(p, (before, whole - n - before))
    out = np.empty(whole, dtype)
    loops = room("sampler_loops")
    loop = loops.fill_coins if p.size == 1 else loops.fill_own_coins
    word = word_of("bernoulli", _FLOAT64)
    loop(end - begin, begin, key & 0xFFFFFFFF, key >> 32, stream, word, p, dtype.type(0), dtype.type(1), out)
    return out if whole == n else out[before : before + n].copy()


# ------------------------------------------------------------------------------------------------- integers of a range


def whole_of(a: Any, b: Any) -> Any:
    """64 bits of two words."""
    return (a << _32) | b


def scaled(a: Any, b: Any, size: Any) -> tuple[Any, Any]:
    """The product of the 64 bits of two words with ``size``: its upper 64 bits, and its lower ones."""
    high, low = size >> _32, size & _LOW
    p = b * low
    q = b * high
    middle = (p >> _32) + (q & _LOW) + a * low
    return a * high + (q >> _32) + (middle >> _32), (middle << _32) | (p & _LOW)


def _signed(k: int) -> int:
    """The int64 with the bits of a uint64."""
    return k - 2**64 if k >= 2**63 else k


def integers(low: int, high: int, key: int, stream: int, start: int, n: int) -> Array:
    """Integers ``low ≤ k < high``, all equally likely, in int64.

    By D. Lemire, "Fast random integer generation in an interval" (2019).

    Of 64 random bits times the size of the range, the upper 64 bits are the integer; where the lower ones fall below 2⁶⁴ modulo
    the size, another attempt is made, without which some integers would be more likely than others.
    """
    size, word = high - low, word_of("integers")
    spare = 2**64 % size
    if pays(n):
        out: Array = np.empty(n, np.int64)
        room("sampler_loops").fill_integers(
            n, start, key & 0xFFFFFFFF, key >> 32, stream, word, low, _signed(size), _signed(spare), out
        )
        return out
    at = np.arange(start, start + n, dtype=np.uint64)
    a, b, _, _ = philox_at(at, key, stream, word)
    drawn, rest = scaled(a, b, np.uint64(size))
    left = np.flatnonzero(rest < np.uint64(spare))
    while len(left):
        word += 1
        a, b, _, _ = philox_at(at[left], key, stream, word)
        drawn[left], rest = scaled(a, b, np.uint64(size))
        left = left[rest < np.uint64(spare)]
    return (drawn + np.uint64(low % 2**64)).astype(np.int64)


def permutation(key: int, stream: int, start: int, n: int) -> Array:
    """The numbers 0 to n − 1 in an order of which all are equally likely, in int64: they are sorted by random keys of 64 bits.

    Where two keys are equal, all get further 64 bits.
    """
    orders: list[Array] = []
    while True:
        keys = _random_keys(len(orders), key, stream, start, n)
        orders.insert(0, keys)
        order = np.argsort(keys, kind="stable") if len(orders) == 1 else np.lexsort(orders)
        same = np.ones(max(n - 1, 0), bool)
        for keys in orders:
            placed = keys[order]
            same &= placed[1:] == placed[:-1]
        if not same.any():
            return order.astype(np.int64, copy=False)


def _random_keys(attempt: int, key: int, stream: int, start: int, n: int) -> Array:
    word = word_of("permutation") + attempt
    if pays(n):
        out: Array = np.empty(n, np.uint64)
        room("sampler_loops").fill_keys(n, start, key & 0xFFFFFFFF, key >> 32, stream, word, out)
        return out
    a, b, _, _ = philox_at(np.arange(start, start + n, dtype=np.uint64), key, stream, word)
    return whole_of(a, b)


def child(key: int, stream: int, number: int) -> tuple[int, int]:
    """The key and the stream of a forked generator: the words of Philox at a block of the kind "fork"."""
    a, b, c, _ = philox_at(np.array([number], np.uint64), key, stream, word_of("fork"))
    return int(a[0]) | int(b[0]) << 32, int(c[0])
