"""Elementary functions as straight-line arithmetic, which runs on arrays and which LLVM turns into vector instructions.

A call of the C library in a loop keeps the loop from being vectorised. These functions consist of sums, products, quotients,
selections and shifts of bits alone. On NumPy's arrays, and in a loop compiled as exact, they compute bitwise the same; other
loops use fused multiply-add. There is one for each dtype, ``exp_float32`` and ``exp_float64``, whose argument and result are of
that dtype.

Results are correct at ±0 (with its sign), ±inf and NaN, among subnormal numbers, and where they overflow or vanish. The
largest errors seen over all exponents, in units in the last place, to which the tests hold them:

========== ======= =======
function   float32 float64
========== ======= =======
exp        0.95    0.90
exp2       1.00    1.00
expm1      1.75    1.65
log        0.85    0.80
log2       1.85    1.60
log1p      0.85    0.80
tanh       1.45    1.40
sigmoid    1.95    1.80
softplus   1.65    1.55
sin        1.50    1.40
cos        1.55    1.45
sincos_2pi 1.60    1.55
========== ======= =======

Sine and cosine hold for ``|x| ≤ SINE_RANGE`` and are NaN beyond it. A caller asks `needs_care` first, and leaves an array for
which it is true to NumPy.

The polynomials are minimax ones, computed for this module by Remez's exchange in 45 digits; the interval and the largest
error relative to the whole function stand next to them, the coefficients from the highest power down. The reductions of the
argument are described in J.-M. Muller, "Elementary Functions", 3rd edition (2016), chapter 11, and in W. J. Cody and
W. Waite, "Software Manual for the Elementary Functions" (1980).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rp.kernels.primitives import bits, by_dtype, float_of, where

__all__ = [
    "SINE_RANGE",
    "cos_float32", "cos_float64", "exp2_float32", "exp2_float64", "exp_float32", "exp_float64", "expm1_float32", "expm1_float64",
    "log1p_float32", "log1p_float64", "log2_float32", "log2_float64", "log_float32", "log_float64", "needs_care",
    "sigmoid_float32", "sigmoid_float64", "sin_float32", "sin_float64", "sincos_2pi_float32", "sincos_2pi_float64",
    "softplus_float32", "softplus_float64", "tanh_float32", "tanh_float64",
]  # fmt: skip

# ----------------------------------------------------------------------------------------------------------- constants


class _Constants(NamedTuple):
    """What the formulas need in one dtype. A plain 0.5 would make a float64 of a compiled float32."""

    zero: Any
    quarter: Any
    half: Any
    one: Any
    two: Any
    four: Any
    inf: Any
    nan: Any
    round: Any  # 1.5·2^digits: what is added to it loses its fraction, rounded to nearest; the sum's last bits are the integer
    power: Any  # round + bias: the last bits of the sum with k, moved to the exponent, are 2ᵏ
    round_bits: Any
    digits: Any  # of the significand after the point
    tiny: Any  # below, x is eˣ − 1, log(1 + x), sin x, tanh x
    normal: Any  # the least normal number
    lift: Any  # a power of two that makes subnormal numbers normal
    lift_digits: Any
    ln2: Any
    ln2_high: Any  # with so few digits that its products with exponents are exact
    ln2_low: Any
    inverse_ln2: Any
    two_pi: Any
    two_pi_low: Any  # what 2π has beyond its rounding
    exp_low: Any  # eˣ is 0 below, and inf above
    exp_high: Any
    expm1_low: Any  # eˣ − 1 is −1 below
    exp2_low: Any
    exp2_high: Any
    root_two: Any
    root_half_bits: Any
    tanh_one: Any  # tanh is 1 above
    tanh_near: Any
    exp: Any
    log: Any
    sin: Any
    cos: Any
    sin_2pi: Any
    cos_2pi: Any
    tanh: Any


def _constants(
    dtype: Any,
    integer: Any,
    *,
    digits: int,
    bias: int,
    ln2_high: float,
    ln2_low: float,
    two_pi_low: float,
    polynomials: dict[str, tuple[float, ...]],
    **limits: float,
) -> _Constants:
    shift = 1.5 * 2.0**digits
    floats = {
        "zero": 0.0, "quarter": 0.25, "half": 0.5, "one": 1.0, "two": 2.0, "four": 4.0, "inf": math.inf, "nan": math.nan,
        "round": shift, "power": shift + bias, "tiny": 2.0 ** -(digits + 3), "normal": 2.0 ** (1 - bias),
        "lift": 2.0 ** (digits + 2), "lift_digits": digits + 2, "ln2": math.log(2.0), "ln2_high": ln2_high,
        "ln2_low": ln2_low, "inverse_ln2": 1.0 / math.log(2.0), "root_two": math.sqrt(2.0),
        "two_pi": 2.0 * math.pi, "two_pi_low": two_pi_low, **limits,
    }  # fmt: skip
    return _Constants(
        digits=integer(digits),
        round_bits=dtype(shift).view(integer),
        root_half_bits=dtype(math.sqrt(0.5)).view(integer),
        **{name: dtype(value) for name, value in floats.items()},
        **{name: tuple(dtype(value) for value in values) for name, values in polynomials.items()},
    )


_FLOAT32 = _constants(
    np.float32,
    np.int32,
    digits=23,
    bias=127,
    ln2_high=0.69317626953125,
    ln2_low=-2.908897130469058e-05,
    two_pi_low=-1.748455600074497e-07,
    exp_low=-104.5,
    exp_high=89.0,
    expm1_low=-20.0,
    exp2_low=-152.0,
    exp2_high=129.0,
    tanh_one=12.0,
    tanh_near=0.55,
    polynomials={
        # (eʳ − 1 − r)/r² in r, |r| ≤ ½ log 2: 2^-32 of eʳ − 1
        "exp": (1.9845039e-4, 1.3941653e-3, 8.333393e-3, 4.1666348e-2, 1.6666666e-1, 5.0e-1),
        # 2(artanh s − s)/s³ in s², |s| ≤ 3 − √8: 2^-30 of 2 artanh s
        "log": (2.987308e-1, 3.9977497e-1, 6.6666776e-1),
        # (sin r − r)/r³ and (cos r − 1 + r²/2)/r⁴ in r², |r| ≤ 0.85: 2^-36 and 2^-32 of r and 1
        "sin": (2.711951e-6, -1.9838619e-4, 8.333327e-3, -1.6666667e-1),
        "cos": (2.4376814e-5, -1.3886805e-3, 4.1666634e-2),
        # (sin(2πr) − 2πr)/r³ and (cos 2πr − 1)/r² in r², |r| ≤ 1/8: 2^-28 and 2^-34 of 2πr and 1
        "sin_2pi": (-7.54534e1, 8.159394e1, -4.1341675e1),
        "cos_2pi": (5.924596e1, -8.544374e1, 6.493932e1, -1.9739208e1),
        # (tanh x − x)/x³ in x², |x| ≤ 0.55: 2^-30 of tanh x
        "tanh": (-6.2734894e-3, 2.107118e-2, -5.3852197e-2, 1.3332585e-1, -3.3333316e-1),
    },
)

_FLOAT64 = _constants(
    np.float64,
    np.int64,
    digits=52,
    bias=1023,
    ln2_high=0.6931471805601177,
    ln2_low=-1.7239444525614835e-13,
    two_pi_low=2.4492935982947064e-16,
    exp_low=-746.0,
    exp_high=710.0,
    expm1_low=-40.0,
    exp2_low=-1077.0,
    exp2_high=1025.0,
    tanh_one=24.0,
    tanh_near=0.55,
    polynomials={
        # as above, sin and cos for |r| ≤ π/4; the errors are 2^-55, 2^-59, 2^-58, 2^-64, 2^-58, 2^-64, 2^-55
        "exp": (
            2.505380677412062e-8, 2.76274026121172e-7, 2.7557411089981608e-6, 2.4801501986556288e-5, 1.9841269711575463e-4,
            1.3888888934152984e-3, 8.33333333339415e-3, 4.166666666656942e-2, 1.6666666666666582e-1, 5.000000000000006e-1,
        ),
        "log": (
            1.4797510284251167e-1, 1.531390297011785e-1, 1.818356975142326e-1, 2.222219847575243e-1, 2.857142874326482e-1,
            3.9999999999411084e-1, 6.666666666666735e-1,
        ),
        "sin": (
            1.589678572311053e-10, -2.5050757949377995e-8, 2.7557313690895385e-6, -1.9841269829804975e-4, 8.33333333332241e-3,
            -1.6666666666666632e-1,
        ),
        "cos": (
            -1.1359641382385643e-11, 2.0875723154227796e-9, -2.755731435149691e-7, 2.480158728947944e-5,
            -1.388888888887412e-3, 4.16666666666666e-2,
        ),
        "sin_2pi": (
            3.7813663288400114, -1.5093829319318402e1, 4.2058685506702396e1, -7.670585970878435e1, 8.160524927596823e1,
            -4.134170224039968e1,
        ),
        "cos_2pi": (
            -1.697020057833542, 7.903101637035911, -2.6426251140415918e1, 6.024464133161163e1, -8.545681720654005e1,
            6.493939402266801e1, -1.9739208802178716e1,
        ),
        "tanh": (
            5.1010143618544e-5, -2.1028619705867394e-4, 5.791272116966869e-4, -1.4532134880159225e-3, 3.591719042826032e-3,
            -8.863194423565387e-3, 2.1869485968838507e-2, -5.396825387583002e-2, 1.3333333333168199e-1, -3.333333333333231e-1,
        ),
    },
)  # fmt: skip


def _horner(x: Any, coefficients: Any) -> Any:
    value = coefficients[0]
    for i in range(1, len(coefficients)):
        value = value * x + coefficients[i]
    return value


def _polynomial(x: Any, coefficients: Any) -> Any:
    """Its even and its odd powers apart: two short chains of sums and products, which the processor works on at once."""
    square = x * x
    first = _horner(square, coefficients[0::2])
    second = _horner(square, coefficients[1::2])
    if len(coefficients) % 2:
        return first + second * x
    return first * x + second


# -------------------------------------------------------------------------------------------- exponential and its kin


def _power_of_two(k: Any, c: Any) -> Any:
    """2ᵏ for a whole k for which that is a normal number."""
    return float_of(np.left_shift(bits(k + c.power), c.digits))


def _reduced(x: Any, c: Any) -> Any:
    """k, r and a rest below its last place, of x = k·log 2 + r + rest with whole k and |r| ≤ ½ log 2."""
    k = (x * c.inverse_ln2 + c.round) - c.round
    high = x - k * c.ln2_high
    low = k * c.ln2_low
    r = high - low
    return k, r, (high - r) - low


def _expm1_near(r: Any, rest: Any, c: Any) -> Any:
    """e^(r + rest) − 1."""
    return r + (r * r * _polynomial(r, c.exp) + rest)


def _scaled(y: Any, k: Any, c: Any) -> Any:
    """y·2ᵏ, in two steps, since 2ᵏ itself may be no number: only the second one can round."""
    first = (k * c.half + c.round) - c.round
    return y * _power_of_two(first, c) * _power_of_two(k - first, c)


def _exp(x: Any, c: Any) -> Any:
    x = where(x > c.exp_high, c.exp_high, x)
    x = where(x < c.exp_low, c.exp_low, x)
    k, r, rest = _reduced(x, c)
    return _scaled(c.one + _expm1_near(r, rest, c), k, c)


def _exp2(x: Any, c: Any) -> Any:
    x = where(x > c.exp2_high, c.exp2_high, x)
    x = where(x < c.exp2_low, c.exp2_low, x)
    k = (x + c.round) - c.round
    return _scaled(c.one + _expm1_near((x - k) * c.ln2, c.zero, c), k, c)


def _expm1(x: Any, c: Any) -> Any:
    y = where(x > c.exp_high, c.exp_high, x)
    y = where(y < c.expm1_low, c.expm1_low, y)
    k, r, rest = _reduced(y, c)
    half = _power_of_two(k - c.one, c)
    y = half * _expm1_near(r, rest, c) + (half - c.half)
    return where(np.abs(x) < c.tiny, x, y + y)


def _tanh(x: Any, c: Any) -> Any:
    size = np.abs(x)
    k, r, rest = _reduced(where(size > c.tanh_one, c.tanh_one, size) * c.two, c)
    e = (c.one + _expm1_near(r, rest, c)) * _power_of_two(k, c)
    far = c.one - c.two / (e + c.one)  # 1 − 2/(e²ˣ + 1)
    z = x * x
    near = x + x * z * _polynomial(z, c.tanh)
    y = where(size < c.tanh_near, near, where(x < c.zero, -far, far))
    return where(size < c.tiny, x, y)


def _sigmoid(x: Any, c: Any) -> Any:
    e = _exp(-np.abs(x), c)
    total = c.one + e
    lost = e - (total - c.one)
    y = where(x < c.zero, e, c.one) / total
    # dividing by total + lost instead lowers y by the part lost/total, and 1/total is y or 1 − y
    return y - y * (lost * where(x < c.zero, c.one - y, y))


def _softplus(x: Any, c: Any) -> Any:
    # max(x, 0) + log(1 + e), e ≤ 1: of `_log1p`, the two cases that remain
    e = _exp(-np.abs(x), c)
    u = c.one + e
    near = u < c.root_two
    rest = where(near, c.zero, (e - (u - c.one)) / u)
    y = _log_near(where(near, e, c.half * u - c.one), where(near, c.zero, c.one), rest, c)
    return where(x > c.zero, x, c.zero) + where(e < c.tiny, e, y)


# -------------------------------------------------------------------------------------------------------- logarithms


def _split(x: Any, c: Any) -> Any:
    """m and k of a positive normal number x = m·2ᵏ with √½ ≤ m < √2."""
    k = np.right_shift(np.subtract(bits(x), c.root_half_bits), c.digits)
    m = float_of(np.subtract(bits(x), np.left_shift(k, c.digits)))
    return m, float_of(np.add(c.round_bits, k)) - c.round


def _log_near(f: Any, k: Any, rest: Any, c: Any) -> Any:
    """log(1 + f) + k·log 2 + rest, for √½ ≤ 1 + f < √2.

    With s = f/(2 + f), log(1 + f) is 2 artanh s = 2s + s³·P(s²), and 2s is f − f²/2 + s·f²/2, whose first term is exact and
    the largest by far (as in K. C. Ng's logarithm for the C library of BSD, 1993).
    """
    s = f / (c.two + f)
    z = s * s
    square = c.half * f * f
    low = s * (square + z * _polynomial(z, c.log)) + (k * c.ln2_low + rest)
    return k * c.ln2_high - ((square - low) - f)


def _log_ends(x: Any, y: Any, c: Any) -> Any:
    """y, the logarithm of a positive finite x; and what it is of the others."""
    return where(x > c.zero, where(x < c.inf, y, x), where(x == c.zero, -c.inf, c.nan))


def _log(x: Any, c: Any) -> Any:
    subnormal = x < c.normal
    m, k = _split(where(subnormal, x * c.lift, x), c)
    return _log_ends(x, _log_near(m - c.one, k - where(subnormal, c.lift_digits, c.zero), c.zero, c), c)


def _log2(x: Any, c: Any) -> Any:
    subnormal = x < c.normal
    m, k = _split(where(subnormal, x * c.lift, x), c)
    y = _log_near(m - c.one, c.zero, c.zero, c) * c.inverse_ln2 + (k - where(subnormal, c.lift_digits, c.zero))
    return _log_ends(x, y, c)


def _log1p(x: Any, c: Any) -> Any:
    u = c.one + x
    lost = where(np.abs(x) < c.one, x - (u - c.one), c.one - (u - x))
    m, k = _split(u, c)
    near = k == c.zero
    y = _log_near(where(near, x, m - c.one), k, where(near, c.zero, lost / u), c)
    return where(np.abs(x) < c.tiny, x, where(u < c.inf, _log_ends(u, y, c), x))


# ---------------------------------------------------------------------------------------------------- sine and cosine

SINE_RANGE = 2.0**20
"""The largest ``|x|`` of which `sin_float32` and its kin know the place in the period."""

_RANGE_FLOAT32 = np.float32(SINE_RANGE)
_RANGE_FLOAT64 = np.float64(SINE_RANGE)
_TWO_OVER_PI_FLOAT32 = np.float32(2.0 / math.pi)
_TWO_OVER_PI = np.float64(2.0 / math.pi)
_ROUND = np.float64(1.5 * 2.0**52)
# The sum of these is π/2 to 156 bits. The products of the first three with k < 2^20 are exact.
_HALF_PI = (
    np.float64(float.fromhex("0x1.921fb544p+0")),
    np.float64(float.fromhex("0x1.0b4611a6p-34")),
    np.float64(float.fromhex("0x1.3198a2ep-69")),
    np.float64(float.fromhex("0x1.b839a252049c1p-104")),
)
_HALF_PI_REST = np.float64(float.fromhex("0x1.0b4611a626331p-34"))


def needs_care(x: Any) -> bool:
    """Whether some of ``x`` are too large for the sines and cosines of this module, which are then NaN."""
    return bool((np.abs(x) > SINE_RANGE).any())


def _quadrant_float32(x: Any) -> Any:
    """r and k of x = r + k·π/2, k as the last bits of an integer. In float64, float32's digits cancel and enough remain."""
    shifted = x * _TWO_OVER_PI_FLOAT32 + _FLOAT32.round
    k = np.float64(shifted - _FLOAT32.round)
    r = (np.float64(x) - k * _HALF_PI[0]) - k * _HALF_PI_REST
    return np.float32(r), bits(shifted)


def _quadrant_float64(x: Any) -> Any:
    """r and k of x = r + k·π/2, k as the last bits of an integer.

    Near a multiple of π/2 the first subtractions are exact, and the digits of the later products come up; elsewhere, what
    each subtraction lost is put back.
    """
    shifted = x * _TWO_OVER_PI + _ROUND
    k = shifted - _ROUND
    a = x - k * _HALF_PI[0]
    second = k * _HALF_PI[1]
    b = a - second
    third = k * _HALF_PI[2]
    r = b - third
    lost = ((a - b) - second) + ((b - r) - third)
    return r + (lost - k * _HALF_PI[3]), bits(shifted)


def _sin_near(r: Any, c: Any) -> Any:
    z = r * r
    return r + r * z * _polynomial(z, c.sin)


def _cos_near(r: Any, c: Any) -> Any:
    z = r * r
    halved = c.half * z
    first = c.one - halved
    return first + (((c.one - first) - halved) + z * z * _polynomial(z, c.cos))


def _sin(x: Any, r: Any, k: Any, limit: Any, c: Any) -> Any:
    y = where((k & 1) == 0, _sin_near(r, c), _cos_near(r, c))
    y = where((k & 2) == 0, y, -y)
    return where(np.abs(x) < c.tiny, x, where(np.abs(x) <= limit, y, c.nan))


def _cos(x: Any, r: Any, k: Any, limit: Any, c: Any) -> Any:
    y = where((k & 1) == 0, _cos_near(r, c), _sin_near(r, c))
    y = where(((k + 1) & 2) == 0, y, -y)
    return where(np.abs(x) <= limit, y, c.nan)


def _sincos_2pi(u: Any, c: Any) -> Any:
    shifted = u * c.four + c.round
    r = u - (shifted - c.round) * c.quarter
    k = bits(shifted)
    z = r * r
    sine = r * c.two_pi + r * (c.two_pi_low + z * _polynomial(z, c.sin_2pi))
    cosine = c.one + z * _polynomial(z, c.cos_2pi)
    even = (k & 1) == 0
    first = where(even, sine, cosine)
    second = where(even, cosine, sine)
    return where((k & 2) == 0, first, -first), where(((k + 1) & 2) == 0, second, -second)


# ------------------------------------------------------------------------------------------------ the two of each kind


def exp_float32(x: Any) -> Any:
    """eˣ."""
    return _exp(x, _FLOAT32)


def exp_float64(x: Any) -> Any:
    """eˣ."""
    return _exp(x, _FLOAT64)


def exp2_float32(x: Any) -> Any:
    """2ˣ."""
    return _exp2(x, _FLOAT32)


def exp2_float64(x: Any) -> Any:
    """2ˣ."""
    return _exp2(x, _FLOAT64)


def expm1_float32(x: Any) -> Any:
    """eˣ − 1."""
    return _expm1(x, _FLOAT32)


def expm1_float64(x: Any) -> Any:
    """eˣ − 1."""
    return _expm1(x, _FLOAT64)


def tanh_float32(x: Any) -> Any:
    """tanh x."""
    return _tanh(x, _FLOAT32)


def tanh_float64(x: Any) -> Any:
    """tanh x."""
    return _tanh(x, _FLOAT64)


def sigmoid_float32(x: Any) -> Any:
    """1/(1 + e⁻ˣ)."""
    return _sigmoid(x, _FLOAT32)


def sigmoid_float64(x: Any) -> Any:
    """1/(1 + e⁻ˣ)."""
    return _sigmoid(x, _FLOAT64)


def softplus_float32(x: Any) -> Any:
    """log(1 + eˣ)."""
    return _softplus(x, _FLOAT32)


def softplus_float64(x: Any) -> Any:
    """log(1 + eˣ)."""
    return _softplus(x, _FLOAT64)


def log_float32(x: Any) -> Any:
    """log x."""
    return _log(x, _FLOAT32)


def log_float64(x: Any) -> Any:
    """log x."""
    return _log(x, _FLOAT64)


def log2_float32(x: Any) -> Any:
    """The logarithm of x to the base 2."""
    return _log2(x, _FLOAT32)


def log2_float64(x: Any) -> Any:
    """The logarithm of x to the base 2."""
    return _log2(x, _FLOAT64)


def log1p_float32(x: Any) -> Any:
    """log(1 + x)."""
    return _log1p(x, _FLOAT32)


def log1p_float64(x: Any) -> Any:
    """log(1 + x)."""
    return _log1p(x, _FLOAT64)


def sin_float32(x: Any) -> Any:
    """sin x, for ``|x| ≤ SINE_RANGE``; NaN beyond."""
    r, k = _quadrant_float32(x)
    return _sin(x, r, k, _RANGE_FLOAT32, _FLOAT32)


def sin_float64(x: Any) -> Any:
    """sin x, for ``|x| ≤ SINE_RANGE``; NaN beyond."""
    r, k = _quadrant_float64(x)
    return _sin(x, r, k, _RANGE_FLOAT64, _FLOAT64)


def cos_float32(x: Any) -> Any:
    """cos x, for ``|x| ≤ SINE_RANGE``; NaN beyond."""
    r, k = _quadrant_float32(x)
    return _cos(x, r, k, _RANGE_FLOAT32, _FLOAT32)


def cos_float64(x: Any) -> Any:
    """cos x, for ``|x| ≤ SINE_RANGE``; NaN beyond."""
    r, k = _quadrant_float64(x)
    return _cos(x, r, k, _RANGE_FLOAT64, _FLOAT64)


def sincos_2pi_float32(u: Any) -> Any:
    """The sine and the cosine of 2πu, for 0 ≤ u < 1."""
    return _sincos_2pi(u, _FLOAT32)


def sincos_2pi_float64(u: Any) -> Any:
    """The sine and the cosine of 2πu, for 0 ≤ u < 1."""
    return _sincos_2pi(u, _FLOAT64)


exp = by_dtype(exp_float32, exp_float64)
log = by_dtype(log_float32, log_float64)
