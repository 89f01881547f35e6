"""The special functions: dense grids against SciPy, the ends of their ranges, and PyTorch's values at poles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

import tinygrad_rp as tg
from tinygrad_rp.autograd import gradcheck, gradgradcheck

EXACT = 4e-15  # relative, in float64: a few units in the last place
INF, NAN = math.inf, math.nan


def compute(function, x):
    return function(tg.tensor(np.asarray(x, np.float64))).numpy()


def relative_error(found, expected):
    with np.errstate(all="ignore"):
        return np.where(found == expected, 0.0, np.abs(found - expected) / np.abs(expected))


def powers(low, high, count=4001):
    return 10.0 ** np.linspace(low, high, count)


def erfc_by_erfcx(x):
    """SciPy's erfc loses digits in the tail, where x² is rounded in its exponent; here x² = hi² + (x − hi)(x + hi)."""
    hi = x.astype(np.float32).astype(np.float64)
    return special.erfcx(x) * np.exp(-hi * hi) * np.exp(-(x - hi) * (x + hi))


AWAY_FROM_POLES = -np.linspace(0.0, 30.0, 30001)
AWAY_FROM_POLES = AWAY_FROM_POLES[np.abs(AWAY_FROM_POLES - np.rint(AWAY_FROM_POLES)) > 0.05]


@pytest.mark.parametrize(
    "function, reference, x",
    [
        pytest.param(tg.erf, special.erf, np.linspace(-7, 7, 100_001), id="erf"),
        pytest.param(tg.erf, special.erf, powers(-307, 1), id="erf of small numbers"),
        pytest.param(tg.erfc, special.erfc, np.linspace(-7, 1, 100_001), id="erfc"),
        pytest.param(tg.erfc, erfc_by_erfcx, np.linspace(0.5, 26.5, 100_001), id="erfc in its tail"),
        pytest.param(tg.erfinv, special.erfinv, np.linspace(-1, 1, 100_001)[1:-1], id="erfinv"),
        pytest.param(tg.erfinv, special.erfinv, powers(-307, -0.1), id="erfinv of small numbers"),
        pytest.param(tg.erfinv, special.erfinv, 1.0 - powers(-15.9, -0.1), id="erfinv near 1"),
        pytest.param(tg.lgamma, special.gammaln, powers(-307, -0.1), id="lgamma of small numbers"),
        pytest.param(tg.lgamma, special.gammaln, np.linspace(0.05, 0.7, 20_001), id="lgamma below 1"),
        pytest.param(tg.lgamma, special.gammaln, np.linspace(1.25, 1.75, 20_001), id="lgamma between 1 and 2"),
        pytest.param(tg.lgamma, special.gammaln, np.linspace(2.05, 40, 100_001), id="lgamma"),
        pytest.param(tg.lgamma, special.gammaln, powers(1, 305), id="lgamma of large numbers"),
        pytest.param(tg.digamma, special.digamma, powers(-307, -0.1), id="digamma of small numbers"),
        pytest.param(tg.digamma, special.digamma, np.linspace(0.05, 1.2, 20_001), id="digamma below its zero"),
        pytest.param(tg.digamma, special.digamma, np.linspace(1.8, 60, 100_001), id="digamma"),
        pytest.param(tg.digamma, special.digamma, powers(1, 307), id="digamma of large numbers"),
    ],
)
def test_it_agrees_with_scipy_to_a_few_units_in_the_last_place(function, reference, x):
    found = compute(function, x)
    error = relative_error(found, reference(x))
    worst = int(np.argmax(error))
    assert error[worst] < EXACT, f"{function.__name__}({x[worst]!r}) is {found[worst]!r}"


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 20])
def test_polygamma_agrees_with_scipy_for_positive_numbers(n):
    x = np.concatenate([np.linspace(0.01, 80, 20_001), powers(-290 / (n + 1), 290 / (n + 1))])
    with np.errstate(over="ignore"):  # SciPy computes a sign, n! and a zeta function, and one product overflows
        expected = special.polygamma(n, x)
    error = relative_error(compute(lambda t: tg.polygamma(n, t), x), expected)
    assert error.max() < EXACT


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_polygamma_of_negative_numbers_obeys_its_recurrence(n):
    x = AWAY_FROM_POLES
    k = np.arange(31.0)
    steps = (x[:, None] + k) ** -(n + 1.0)
    sign = (-1) ** (n + 1) * math.factorial(n)
    expected = special.polygamma(n, x + 31) + sign * np.array([math.fsum(row) for row in steps])
    scale = math.factorial(n) * np.abs(steps).max(axis=1)
    assert (np.abs(compute(lambda t: tg.polygamma(n, t), x) - expected) / scale).max() < EXACT


@pytest.mark.parametrize("function, reference", [(tg.lgamma, special.gammaln), (tg.digamma, special.digamma)])
def test_the_gamma_family_agrees_with_scipy_for_negative_numbers(function, reference):
    expected = reference(AWAY_FROM_POLES)
    error = np.abs(compute(function, AWAY_FROM_POLES) - expected) / np.maximum(np.abs(expected), 1.0)
    assert error.max() < 4 * EXACT  # they have zeros between the poles


def test_lgamma_keeps_its_digits_near_its_zeros():
    h = np.concatenate([-powers(-12, -5), powers(-12, -5)])
    h = (1.0 + h) - 1.0
    gamma = np.euler_gamma
    at_one = h * (-gamma + h * (special.zeta(2) / 2 - h * special.zeta(3) / 3))
    assert relative_error(compute(tg.lgamma, 1.0 + h), at_one).max() < EXACT
    h = (2.0 + h) - 2.0
    h = h[h != 0]
    at_two = h * (1 - gamma + h * ((special.zeta(2) - 1) / 2 - h * (special.zeta(3) - 1) / 3))
    assert relative_error(compute(tg.lgamma, 2.0 + h), at_two).max() < EXACT


def test_digamma_keeps_its_digits_near_its_poles():
    h = 2.0**-30
    n = np.arange(1.0, 60.0)
    assert relative_error(compute(tg.digamma, -n + h), -1 / h + special.digamma(n + 1)).max() < EXACT


def test_erfc_is_right_among_the_denormals():
    x = np.linspace(26.55, 27.3, 2001)
    mpmath = pytest.importorskip("mpmath")
    expected = np.array([float(mpmath.erfc(mpmath.mpf(v))) for v in x])
    found = compute(tg.erfc, x)
    assert found.min() == 0.0 and 0.0 < expected[expected > 0].min() < 1e-320
    assert (np.abs(found - expected) <= 1e-323 + EXACT * expected).all()


@pytest.mark.parametrize("name", ["erf", "erfc", "erfinv", "lgamma", "digamma", "polygamma"])
def test_random_arguments_agree_with_arithmetic_of_fifty_digits(name):
    mpmath = pytest.importorskip("mpmath")
    rng = np.random.default_rng(0)
    function = (lambda t: tg.polygamma(3, t)) if name == "polygamma" else getattr(tg, name)
    reference = {
        "lgamma": lambda v: mpmath.log(abs(mpmath.gamma(v))),
        "polygamma": lambda v: mpmath.polygamma(3, v),
    }.get(name) or getattr(mpmath, name)
    low, high = {"erf": (-6, 6), "erfc": (-6, 26), "erfinv": (-1, 1)}.get(name, (-12, 40))
    x = rng.uniform(low, high, 400)
    with mpmath.workdps(50):
        expected = np.array([float(reference(mpmath.mpf(v))) for v in x])
    error = np.abs(compute(function, x) - expected) / np.abs(expected)
    away = np.abs(expected) > (0.5 if name in ("lgamma", "digamma") else 0.0)
    assert error[away].max() < EXACT


@pytest.mark.parametrize(
    "function, x, expected",
    [
        (tg.erf, [0.0, -0.0, INF, -INF, NAN], [0.0, -0.0, 1.0, -1.0, NAN]),
        (tg.erfc, [0.0, INF, -INF, NAN, 30.0, 1e300], [1.0, 0.0, 2.0, NAN, 0.0, 0.0]),
        (tg.erfinv, [0.0, -0.0, 1.0, -1.0, 1.5, -INF, NAN, 5e-324], [0.0, -0.0, INF, -INF, NAN, NAN, NAN, 5e-324]),
        (tg.lgamma, [0.0, -0.0, -1.0, -7.0, INF, -INF, NAN, 1.0, 2.0], [INF, INF, INF, INF, INF, INF, NAN, 0.0, 0.0]),
        (tg.digamma, [0.0, -0.0, -1.0, -7.0, INF, -INF, NAN], [-INF, INF, NAN, NAN, INF, NAN, NAN]),
        (lambda t: tg.polygamma(1, t), [0.0, -0.0, -3.0, INF, -INF, NAN], [INF, INF, INF, 0.0, NAN, NAN]),
        (lambda t: tg.polygamma(2, t), [0.0, -0.0, -3.0, INF, -INF, NAN], [-INF, -INF, -INF, NAN, -INF, NAN]),
        (lambda t: tg.polygamma(3, t), [0.0, -0.0, -3.0, INF, -INF, NAN], [INF, INF, INF, NAN, INF, NAN]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_and_poles_are_pytorch_s(function, x, expected, dtype):
    if dtype == np.float32:
        x, expected = zip(*((v, e) for v, e in zip(x, expected, strict=True) if 0 == v or abs(v) > 1e-300), strict=True)
    with np.errstate(over="ignore"):
        found = function(tg.tensor(np.array(x, dtype))).numpy()
    np.testing.assert_array_equal(found, np.array(expected, dtype))
    np.testing.assert_array_equal(np.signbit(found)[found == 0], np.signbit(np.array(expected))[found == 0])


@pytest.mark.parametrize("name", ["erf", "erfc", "erfinv", "lgamma", "digamma"])
def test_float32_is_float64_rounded_and_integers_become_floats(name):
    function = getattr(tg, name)
    x = np.linspace(0.01, 0.99, 99, dtype=np.float32).reshape(3, 33)[:, ::-2]
    found = function(tg.tensor(x))
    assert found.dtype == tg.float32 and found.shape == x.shape
    np.testing.assert_array_equal(found.numpy(), compute(function, x.astype(np.float64)).astype(np.float32))
    assert function(tg.tensor([0, 1])).dtype == tg.float32
    assert function(tg.tensor(0.5)).shape == ()
    assert function(tg.tensor(np.zeros((0, 3)))).shape == (0, 3)


@pytest.mark.parametrize(
    "function, points",
    [
        (tg.erf, [-3.0, -0.4, 0.2, 1.3]),
        (tg.erfc, [-3.0, -0.4, 0.2, 1.3, 4.5]),
        (tg.erfinv, [-0.95, -0.3, 0.1, 0.8]),
        (tg.lgamma, [-3.4, -0.3, 0.3, 1.0, 2.0, 14.0]),
        (tg.digamma, [-3.4, -0.3, 0.3, 1.46, 14.0]),
        (lambda x: x.polygamma(0), [-3.4, 0.3, 14.0]),
        (lambda x: x.polygamma(2), [-3.4, -0.6, 0.6, 14.0]),
    ],
)
def test_first_second_and_third_derivatives_agree_with_differences(function, points):
    x = tg.tensor(points, dtype=tg.float64, requires_grad=True)
    assert gradcheck(function, [x])
    assert gradgradcheck(function, [x], atol=1e-4)

    def slope(t):
        return tg.autograd.grad(function(t).sum(), t, create_graph=True)[0]

    assert gradgradcheck(slope, [x], atol=1e-3)


def test_polygamma_refuses_orders_that_are_none():
    x = tg.tensor([1.0])
    with pytest.raises(RuntimeError, match=r"n must not be negative, and is -1"):
        tg.polygamma(-1, x)
    with pytest.raises(TypeError, match=r"n must be an integer, not float"):
        tg.polygamma(1.0, x)
