"""The elementary functions of the kernels: within two units in the last place, right at the ends, compiled bitwise the same."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tinygrad_rp.kernels import choice, vector_math
from tinygrad_rp.kernels.compiler import Kernel

mpmath = pytest.importorskip("mpmath")

INF, NAN = np.inf, np.nan
# function → the largest errors in float32 and float64, from the table that the module shows
BOUNDS = {
    name: {np.float32: float(single), np.float64: float(double)}
    for name, single, double in re.findall(r"^(\w+) +([\d.]+) +([\d.]+)$", vector_math.__doc__, re.MULTILINE)
}
REFERENCE = {
    "exp": mpmath.exp,
    "exp2": lambda x: mpmath.mpf(2) ** x,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log2": lambda x: mpmath.log(x, 2),
    "log1p": mpmath.log1p,
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "sin": mpmath.sin,
    "cos": mpmath.cos,
}
IN_DOUBLE = {
    **{name: getattr(np, name) for name in ("exp", "exp2", "expm1", "log", "log2", "log1p", "tanh", "sin", "cos")},
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(0, x),
}
DOMAIN = {
    "log": (0, INF), "log2": (0, INF), "log1p": (-1, INF),
    "sin": (-vector_math.SINE_RANGE, vector_math.SINE_RANGE), "cos": (-vector_math.SINE_RANGE, vector_math.SINE_RANGE),
}  # fmt: skip
DTYPES = [np.float32, np.float64]


@pytest.fixture(autouse=True)
def silence():
    with np.errstate(all="ignore"):
        yield


def function_of(name, dtype):
    return getattr(vector_math, f"{name}_{np.dtype(dtype).name}")


def sample(name, dtype, count):
    """Numbers of all exponents, moderate ones, those around 1, and multiples of π/2, of the domain."""
    rng = np.random.default_rng(0)
    integer = np.dtype(f"i{np.dtype(dtype).itemsize}")
    limits = np.iinfo(integer)
    x = np.concatenate(
        [
            rng.integers(limits.min, limits.max, 2 * count, integer).view(dtype),
            rng.uniform(-110, 110, count).astype(dtype),
            rng.uniform(-750, 750, count // 2).astype(dtype),
            rng.uniform(-3, 3, 2 * count).astype(dtype),
            (rng.uniform(-3, 3, count) * 2.0 ** rng.integers(-30, 1, count)).astype(dtype),
            (1 + rng.uniform(-0.6, 0.6, count) * 2.0 ** rng.integers(-20, 1, count)).astype(dtype),
            (rng.integers(-600_000, 600_000, count) * (np.pi / 2)).astype(dtype),
        ]
    )
    low, high = DOMAIN.get(name, (-INF, INF))
    return x[np.isfinite(x) & (x > low) & (x < high)]


def error_of_float32(found, expected):
    """In units of the last place of the float32 next to ``expected``, a float64."""
    _, exponent = np.frexp(expected)
    unit = np.ldexp(1.0, np.maximum(exponent - 24, -149))
    over = np.abs(expected) >= 2.0**128 - 2.0**103  # what rounds to infinity
    return np.where(over, np.where(found == np.copysign(INF, expected), 0.0, INF), np.abs(found - expected) / unit)


def error_of_float64(found, expected):
    _, exponent = mpmath.frexp(expected)
    if exponent > 1024:
        return 0.0 if found == INF else INF
    unit = mpmath.mpf(2) ** max(exponent - 53, -1074)
    return float(abs(expected - mpmath.mpf(found)) / unit) if np.isfinite(found) else INF


def test_the_table_names_each_function_and_promises_two_units_at_most():
    assert list(BOUNDS) == [*REFERENCE, "sincos_2pi"]
    assert max(bound for bounds in BOUNDS.values() for bound in bounds.values()) <= 2.0


def compiled(name, dtype, exact):
    """The function as a loop over an array."""
    if not choice.usable():
        pytest.skip("Numba is not installed")
    targets = "one[i], two[i]" if name == "sincos_2pi" else "one[i]"
    source = f"def loop_{name}(n, x, one, two):\n    for i in range(n):\n        {targets} = f(x[i])\n"
    namespace = {"f": function_of(name, dtype)}
    exec(source, namespace)
    kernel = Kernel(namespace[f"loop_{name}"], source=source, exact=exact)

    def run(x):
        found = np.zeros((2, x.size), dtype)
        kernel(x.size, x, found[0], found[1])
        return tuple(found) if name == "sincos_2pi" else found[0]

    return run


def lives_of(name, dtype):
    """On arrays, and compiled with fused multiply-add."""
    return {"arrays": function_of(name, dtype), "compiled": compiled(name, dtype, exact=False)}


LIVES = ["arrays", "compiled"]


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("name", REFERENCE)
def test_errors_of_float32_are_those_of_the_table(name, life):
    x = sample(name, np.float32, 60_000)
    found = lives_of(name, np.float32)[life](x)
    assert found.dtype == np.float32
    worst = error_of_float32(found.astype(np.float64), IN_DOUBLE[name](x.astype(np.float64))).max()
    assert worst <= BOUNDS[name][np.float32]
    assert life == "compiled" or worst > BOUNDS[name][np.float32] / 2


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("name", REFERENCE)
def test_errors_of_float64_are_those_of_the_table(name, life):
    x = sample(name, np.float64, 400)
    x = x[np.abs(x) < 1e5] if name in ("exp", "exp2", "expm1", "sigmoid", "softplus", "tanh") else x
    found = lives_of(name, np.float64)[life](x)
    assert found.dtype == np.float64
    with mpmath.workdps(40):
        pairs = zip(found.tolist(), x.tolist(), strict=True)
        worst = max(error_of_float64(f, REFERENCE[name](mpmath.mpf(v))) for f, v in pairs)
    assert worst <= BOUNDS[name][np.float64]
    assert life == "compiled" or worst > BOUNDS[name][np.float64] / 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_sine_and_cosine_of_parts_of_a_turn(dtype):
    u = np.concatenate([np.arange(4096) / 4096, np.random.default_rng(1).random(4000)]).astype(dtype)
    u = u[u < 1]
    sine, cosine = function_of("sincos_2pi", dtype)(u)
    assert sine.dtype == cosine.dtype == dtype
    worst = 0.0
    with mpmath.workdps(40):
        for found, reference in ((sine, mpmath.sinpi), (cosine, mpmath.cospi)):
            expected = [reference(2 * mpmath.mpf(v)) for v in u.tolist()]
            if dtype == np.float32:
                errors = error_of_float32(found.astype(np.float64), np.array([float(e) for e in expected]))
                worst = max(worst, errors.max())
            else:
                worst = max(worst, *(error_of_float64(f, e) for f, e in zip(found.tolist(), expected, strict=True)))
    assert BOUNDS["sincos_2pi"][dtype] / 2 < worst <= BOUNDS["sincos_2pi"][dtype]
    quarters = np.array([0, 0.25, 0.5, 0.75], dtype)
    np.testing.assert_array_equal(function_of("sincos_2pi", dtype)(quarters), [[0, 1, 0, -1], [1, 0, -1, 0]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_sines_next_to_multiples_of_the_half_period_keep_their_digits(dtype):
    k = np.concatenate([np.arange(1, 600), np.arange(660_000, 660_600)])
    x = (k * (np.pi / 2)).astype(dtype)
    with mpmath.workdps(50):
        for name in ("sin", "cos"):
            found = function_of(name, dtype)(x).tolist()
            expected = [REFERENCE[name](mpmath.mpf(v)) for v in x.tolist()]
            assert max(abs(f / e - 1) for f, e in zip(found, expected, strict=True)) < 2 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", DTYPES)
def test_sines_of_what_is_too_large_are_announced_and_nan(dtype):
    x = np.array([1.0, vector_math.SINE_RANGE, -vector_math.SINE_RANGE, NAN], dtype)
    assert not vector_math.needs_care(x)
    for large in (np.nextafter(dtype(vector_math.SINE_RANGE), dtype(INF)), -np.finfo(dtype).max, INF):
        x[0] = large
        assert vector_math.needs_care(x)
        for name in ("sin", "cos"):
            assert np.isnan(function_of(name, dtype)(x)).tolist() == [True, False, False, True]


ENDS = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (1e30, INF), (-1e30, 0.0)],
    "exp2": [
        (0.0, 1.0),
        (-0.0, 1.0),
        (INF, INF),
        (-INF, 0.0),
        (10.0, 1024.0),
        (-3.0, 0.125),
        (1e30, INF),
        (-1e30, 0.0),
    ],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (1e30, INF), (-1e30, -1.0)],
    "log": [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (INF, INF), (-INF, NAN), (-1.0, NAN), (-1e-30, NAN)],
    "log2": [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (8.0, 3.0), (0.25, -2.0), (INF, INF), (-INF, NAN), (-1.0, NAN)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (INF, INF), (-INF, NAN), (-1.5, NAN)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (1e30, 1.0), (-1e30, -1.0)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (1e30, 1.0), (-1e30, 0.0)],
    "softplus": [(INF, INF), (-INF, 0.0), (1e30, 1e30), (-1e30, 0.0)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)],
    "cos": [(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN)],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ENDS)
def test_values_at_the_ends_are_exact(name, dtype):
    x, expected = np.array([*ENDS[name], (NAN, NAN)], dtype).T
    found = function_of(name, dtype)(x)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found)[found == 0], np.signbit(expected)[found == 0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_subnormal_numbers_are_numbers(dtype):
    tiny = np.finfo(dtype).smallest_subnormal * np.array([1, -1, 3, -1000], dtype)
    for name in ("expm1", "log1p", "tanh", "sin"):
        np.testing.assert_array_equal(function_of(name, dtype)(tiny), tiny)
    least = {np.float32: -149, np.float64: -1074}[dtype]
    powers = np.arange(least, least + 40).astype(dtype)
    np.testing.assert_array_equal(function_of("exp2", dtype)(powers), np.ldexp(dtype(1), powers.astype(int)))
    np.testing.assert_array_equal(function_of("log2", dtype)(np.ldexp(dtype(1), powers.astype(int))), powers)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*REFERENCE, "sincos_2pi"])
def test_compiled_loops_compute_bitwise_the_same(name, dtype):
    x = np.random.default_rng(2).random(10_000).astype(dtype)
    if name != "sincos_2pi":
        x = np.concatenate([sample(name, dtype, 10_000), -x, np.array([0.0, -0.0, INF, -INF, NAN], dtype)])
    found = compiled(name, dtype, exact=True)(x)
    expected = function_of(name, dtype)(x)
    pairs = zip(found, expected, strict=True) if name == "sincos_2pi" else [(found, expected)]
    for f, e in pairs:
        np.testing.assert_array_equal(np.isnan(f), np.isnan(e))
        assert f[~np.isnan(f)].tobytes() == e[~np.isnan(e)].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REFERENCE)
def test_special_numbers_are_the_same_in_both_lives(name, dtype):
    limits = np.finfo(dtype)
    x = [0.0, INF, NAN, limits.max, limits.tiny, limits.smallest_subnormal, limits.tiny / 4, 1.0, 88.7, 710.0, 1e4]
    x = np.array([*x, *(-v for v in x)], dtype)
    found, expected = compiled(name, dtype, exact=False)(x), function_of(name, dtype)(x)
    special = ~np.isfinite(expected) | (expected == 0)
    np.testing.assert_array_equal(found[special], expected[special])
    np.testing.assert_array_equal(np.signbit(found[special & (x == x)]), np.signbit(expected[special & (x == x)]))
    np.testing.assert_allclose(
        found[~special], expected[~special], rtol=4 * limits.eps, atol=2 * limits.smallest_subnormal
    )
