"""Binomial and von Mises numbers, logarithms of gamma numbers, and categories of many rows: statistics, extremes, exactness.

As in `test_random_numbers`, a statistical test fails below ALARM = 1e-7, the rate of false alarms of each of about 300
comparisons on fixed seeds: right samplers fail somewhere for one choice of seeds in 30,000.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats
from test_random_numbers import (
    BOTH,
    FLOAT32,
    FLOAT64,
    N,
    assert_counts,
    assert_distribution,
    assert_mean,
    choose,
    seeded,
)

from tinygrad_rp.kernels import rejection, samplers

# ------------------------------------------------------------------------------------------------------------- binomial


@pytest.mark.parametrize("compiled", [False, True], ids=["arrays", "compiled"])
@pytest.mark.parametrize(
    "count, p",
    [
        (1, 0.3),
        (5, 0.5),
        (19, 0.5),
        (20, 0.5),  # the least count that is rejected
        (25, 0.4),
        (25, 0.6),
        (99, 0.1),
        (101, 0.1),
        (1000, 1e-3),
        (1000, 0.3),
        (1000, 0.999),
        (10**6, 2e-5),
        (10**9, 9.9e-9),
        (10**9, 3e-8),
        (10**9, 1 - 3e-8),
        (2**53, 1e-15),
        (2**53, 2e-15),
    ],
)
def test_binomial_numbers_have_their_distribution(count, p, compiled, monkeypatch):
    choose(monkeypatch, compiled)
    x = seeded(61).binomial(np.full(N, count), p)
    assert x.dtype == FLOAT64 and (x == np.floor(x)).all() and x.min() >= 0 and x.max() <= count
    if p > 0.5:  # SciPy's probabilities have more digits near 0
        x, p = count - x, 1 - p
    known = stats.binom(count, p) if count < 2**40 else stats.poisson(count * p)  # which differ by p, relatively
    most = int(known.isf(1e-9)) + 2
    assert x.max() < 2 * most
    probabilities = known.pmf(np.arange(most))
    assert_counts(
        np.bincount(np.minimum(x, most).astype(int), minlength=most + 1), [*probabilities, known.sf(most - 1)]
    )
    assert_mean(x, count * p, math.sqrt(count * p * (1 - p)))


@pytest.mark.parametrize("p", [1e-4, 0.2, 0.5, 0.7, 1 - 1e-4])
@pytest.mark.parametrize("count", [10**7, 10**9, 10**12, 2**53 - 1, 2**53])
def test_binomial_numbers_of_a_large_count_have_their_distribution(count, p):
    x = seeded(62).binomial(np.full(N, count), p)
    deviation = math.sqrt(count * p * (1 - p))
    if (
        deviation > 3e4
    ):  # the distance from a normal distribution is below 1/deviation, what the test resolves about 2/√N
        centre = math.floor(Fraction(p) * count)
        assert_distribution((x - centre) / deviation, stats.norm.cdf)
    elif count <= 10**9:
        spread_out = (x + seeded(63).uniform((N,), FLOAT64) - 1)[: N // 5]  # what is at most k counts as k, by and by
        cdf = stats.binom(count, p).cdf
        assert_distribution(
            spread_out, lambda v: cdf(np.floor(v)) + (v % 1) * (cdf(np.floor(v) + 1) - cdf(np.floor(v)))
        )
    assert_mean((x - count * p) ** 2 / deviation**2, 1, math.sqrt(2 + 1 / deviation**2))
    # of 53 bits of a count, the last is as often set as not
    if deviation > 1e3:
        assert_mean(x % 2, 0.5, 0.5)


@pytest.mark.parametrize(
    "count, p",
    [(20, 0.5), (40, 0.3), (1000, 0.01), (1000, 0.5)]
    + [(count, p) for count in (10**7, 10**9, 10**12, 2**53) for p in (1e-6, 0.01, 0.3, 0.5)],
)
def test_the_logarithm_of_a_binomial_probability_is_right(count, p):
    mp = pytest.importorskip("mpmath").mp
    mean, deviation = count * p, math.sqrt(count * p * (1 - p))
    k = np.unique(np.clip(np.round(mean + np.linspace(-9, 9, 37) * deviation), 0, count))
    k = np.union1d(k, [0, 1, 2, 15, 16, count // 2, count - 1, count])
    drawn = rejection._log_binomial(k, np.full(len(k), float(count)), np.full(len(k), mean), k - mean)
    with mp.workdps(50):
        chance, ways = mp.mpf(mean) / count, mp.loggamma(count + 1)
        exact = [
            float(
                ways
                - mp.loggamma(int(at) + 1)
                - mp.loggamma(count - int(at) + 1)
                + int(at) * mp.log(chance)
                + (count - int(at)) * mp.log1p(-chance)
            )
            for at in k
        ]
    np.testing.assert_allclose(drawn, exact, atol=2e-11, rtol=1e-13)


def test_the_hat_of_binomial_numbers_is_above_their_probabilities_and_the_quick_acceptance_below(monkeypatch):
    """What rejection takes for granted, over a grid of counts and chances. All candidates of a fine grid of words are tried."""
    rng = np.random.default_rng(0)
    distance = np.concatenate([np.geomspace(1e-6, 0.07, 600), np.linspace(0.07, 0.5, 2400)])
    words = np.concatenate([0.5 - distance, -(0.5 - distance)])
    for mean in (10, 10.01, 10.4, 11, 12.5, 14.9, 20, 50, 1e3, 1e5):
        for chance in (0.5, 0.41, 0.3, 0.1, 1e-3, 1e-7, *rng.uniform(0.01, 0.5, 4)):
            count = math.ceil(mean / chance)
            ratios = []
            # the bound to which −log v is compared is the logarithm of the ratio of probability and hat
            monkeypatch.setattr(rejection, "uniform_float64", lambda a, b: a)
            monkeypatch.setattr(rejection, "exponential_float64", lambda c, d, seen=ratios: _Compared(seen))
            v = np.ones_like(words)
            _, taken = rejection.binomial_attempt(
                words + 0.5, 0, v, 0, np.full(len(words), float(count)), np.full(len(words), chance)
            )
            (bound,) = ratios
            sd = math.sqrt(count * chance * (1 - chance))
            quick = 0.92 - 4.2 / (1.15 + 2.53 * sd)
            assert not taken.any()
            assert bound[0.5 - np.abs(words) >= 0.07].min() > math.log(quick)


class _Compared:
    """Stands for numbers, and keeps what their opposite is compared with."""

    def __init__(self, seen):
        self.seen = seen

    def __neg__(self):
        return self

    def __le__(self, bound):
        self.seen.append(bound)
        return bound > 0


def test_parameters_of_all_sizes_give_the_same_binomial_numbers_compiled_and_alone(monkeypatch):
    rng = np.random.default_rng(0)
    counts = np.floor(10 ** rng.uniform(-0.5, 15.95, 20_000))
    p = 10 ** rng.uniform(-14, 0, 20_000)
    p = np.where(rng.random(20_000) < 0.5, p, 1 - p)
    p[:3000] = rng.random(3000)
    drawn = []
    for compiled in (False, True):
        choose(monkeypatch, compiled)
        drawn.append(seeded(5).binomial(counts, p))
    assert drawn[0].tobytes() == drawn[1].tobytes()
    assert ((drawn[0] >= 0) & (drawn[0] <= counts) & (drawn[0] == np.floor(drawn[0]))).all()
    assert np.array_equal(seeded(5).at("binomial", 700, counts[700:720], p[700:720]), drawn[0][700:720])
    g = seeded(5)
    assert [g.binomial(n, q).item() for n, q in zip(counts[:60], p[:60], strict=True)] == drawn[0][:60].tolist()


def test_binomial_numbers_that_are_certain(monkeypatch):
    for compiled in (False, True):
        choose(monkeypatch, compiled)
        counts = np.array([0, 1, 30, 10**9, 2**53])
        assert not seeded(1).binomial(counts, 0.0).any() and not seeded(1).binomial(counts, 5e-324).any()
        assert np.array_equal(seeded(1).binomial(counts, 1.0), counts)
        assert not seeded(1).binomial(0, np.linspace(0, 1, 101)).any()


def test_binomial_arguments_broadcast():
    g = seeded(2)
    x = g.binomial(np.array([[5], [500]]), np.array([0.1, 0.5, 0.9], np.float32), FLOAT32)
    assert x.shape == (2, 3) and x.dtype == FLOAT32
    flat = seeded(2).binomial([5] * 3 + [500] * 3, np.tile(np.array([0.1, 0.5, 0.9], np.float32), 2), FLOAT32)
    assert np.array_equal(x.ravel(), flat)
    assert g.binomial(3, 0.5).shape == () and g.binomial(np.empty((0, 2)), 0.5).shape == (0, 2)
    assert g.binomial(np.array([True]), 1).tolist() == [1.0]


@pytest.mark.parametrize(
    "arguments, text",
    [
        ((-1, 0.5), "total_count must be whole numbers"),
        ((1.5, 0.5), "total_count must be whole numbers"),
        ((2**53 + 1, 0.5), "total_count must be whole numbers"),
        ((math.nan, 0.5), "total_count must be whole numbers"),
        ((1, -0.1), "probs must lie between 0 and 1"),
        ((1, math.nan), "probs must lie between 0 and 1"),
        (([1, 2], [0.1, 0.2, 0.3]), r"shape \[2\] and probs of shape \[3\] do not broadcast"),
    ],
)
def test_binomial_arguments_that_are_refused_are_named(arguments, text):
    with pytest.raises(ValueError, match=text):
        seeded(0).binomial(*arguments)


# ------------------------------------------------------------------------------------------------------------ von Mises


def _cdf_of_von_mises(concentration):
    if concentration == 0:
        return stats.uniform(-math.pi, 2 * math.pi).cdf
    # the distance of √κ·θ from the normal distribution is about 0.1/κ
    return stats.vonmises(concentration).cdf if concentration < 1e4 else stats.norm(0, concentration**-0.5).cdf


@pytest.mark.parametrize("concentration", [0, 5e-324, 1e-8, 1e-3, 0.3, 1, 4, 30, 1e3, 1e5, 1e8, 1e12, 1e200])
@BOTH
def test_von_mises_angles_have_their_distribution(concentration, dtype):
    x = seeded(71).von_mises(np.full(N, concentration), dtype)
    assert x.dtype == dtype and (x.astype(np.float64) >= -math.pi).all() and (x.astype(np.float64) < math.pi).all()
    if dtype == FLOAT64 or concentration < 1e15:
        scale = 1e100 if concentration == 1e200 else 1  # SciPy's scales are not that small
        assert_distribution(x * scale, stats.norm.cdf if scale > 1 else _cdf_of_von_mises(concentration))
        assert_mean(x > 0, 0.5, 0.5)
    else:
        assert not x.any()  # too small for float32


@pytest.mark.parametrize("concentration", [1.0, 1e4, 1e8, 1e15, 1e300])
def test_small_angles_are_not_quantised(concentration):
    x = np.abs(seeded(72).von_mises(np.full(N, concentration)))
    assert len(np.unique(x)) > N - 5 and x.min() > 0
    # all bits of the significand are fair among those that are small in their distribution
    small = x[x < 0.1 / math.sqrt(concentration)]
    last = np.frexp(small)[0] * 2.0**53
    for bit in range(8):
        assert_mean((last.astype(np.uint64) >> np.uint64(bit)) & np.uint64(1), 0.5, 0.5)


def test_angles_of_directions_have_all_digits():
    angle = np.concatenate([np.geomspace(1e-300, 1, 2000), np.linspace(0, math.pi / 2, 5001)])
    x, y = np.cos(angle), np.sin(angle)
    np.testing.assert_allclose(rejection._angle_of(x, y), np.arctan2(y, x), rtol=4e-16)
    np.testing.assert_allclose(rejection._angle_of(y, x), np.arctan2(x, y), rtol=4e-16)
    zero, one = np.zeros(1), np.ones(1)
    assert rejection._angle_of(zero, one).tolist() == [math.pi / 2] and not rejection._angle_of(one, zero).any()


def test_an_angle_is_what_best_and_fisher_make_of_the_same_uniform_numbers():
    """Their formulas as they stand, where they keep enough digits."""
    a, b, c, d = np.random.default_rng(0).integers(0, 2**32, (4, 10_000), np.uint64)
    for kappa in (0.5, 2.0, 10.0):
        theta, taken = rejection.von_mises_attempt(a, b, c, d, np.full(10_000, kappa))
        x, y = samplers.turned_float64(np.ones(10_000), a, b)
        phi = 2 * np.arctan2(y, np.abs(x))
        tau = 1 + math.sqrt(1 + 4 * kappa**2)
        rho = (tau - math.sqrt(2 * tau)) / (2 * kappa)
        r = (1 + rho**2) / (2 * rho)
        f = (1 + r * np.cos(phi)) / (r + np.cos(phi))
        np.testing.assert_allclose(theta, np.sign(phi) * np.arccos(np.clip(f, -1, 1)), atol=1e-7)
        excess = kappa * (r - f)
        margin = np.log(excess) + 1 - excess + samplers.exponential_float64(c, d)
        clear = np.abs(margin) > 1e-9
        assert clear.mean() > 0.99 and np.array_equal(taken[clear], margin[clear] >= 0)


def test_concentrations_from_zero_to_the_largest_give_the_same_angles_compiled_and_alone(monkeypatch):
    kappa = 10 ** np.random.default_rng(1).uniform(-320, 308, 20_000)
    kappa[:6] = [0, 5e-324, 2.0**30, np.nextafter(2.0**30, 2.0**31), np.finfo(np.float64).max, 1]
    drawn = []
    for compiled in (False, True):
        choose(monkeypatch, compiled)
        drawn.append(seeded(5).von_mises(kappa))
    assert drawn[0].tobytes() == drawn[1].tobytes() and np.isfinite(drawn[0]).all()
    g = seeded(5)
    assert [g.von_mises(k).item() for k in kappa[:60]] == drawn[0][:60].tolist()
    assert np.array_equal(seeded(5).at("von_mises", 900, kappa[900:950]), drawn[0][900:950])


# ------------------------------------------------------------------------------------------------------- log of gamma


@pytest.mark.parametrize("compiled", [False, True], ids=["arrays", "compiled"])
@BOTH
def test_logarithms_of_gamma_numbers_are_those_of_the_same_place(dtype, compiled, monkeypatch):
    choose(monkeypatch, compiled)
    alpha = np.exp(np.random.default_rng(2).uniform(-7, 20, 3000))
    g, h = seeded(81), seeded(81)
    logs, numbers = g.log_gamma(alpha, dtype), h.gamma(alpha, dtype)
    assert logs.dtype == dtype
    with np.errstate(under="ignore"):
        seen = np.maximum(np.exp(logs.astype(np.float64)), np.finfo(dtype).tiny)
    size = np.maximum(np.abs(logs), 1)
    assert (np.abs(seen / numbers - 1) < 4 * np.finfo(dtype).eps * size).all()
    assert np.array_equal(g.get_state().numpy(), h.get_state().numpy())
    assert np.array_equal(g.gamma(alpha, dtype), h.gamma(alpha, dtype))
    assert np.array_equal(g.at("log_gamma", 17, alpha[17:30], dtype), logs[17:30])
    assert np.array_equal(g.fork().log_gamma(alpha), h.fork().log_gamma(alpha))


@pytest.mark.parametrize("alpha", [1e-6, 1e-3, 0.2, 1, 30])
@BOTH
def test_logarithms_of_gamma_numbers_have_their_distribution(alpha, dtype):
    x = seeded(82).log_gamma(np.full(N, alpha), dtype)
    # below −40, where γ(α, x) is xᵅ / Γ(α + 1) to 17 digits
    low = lambda v: np.exp(alpha * v - math.lgamma(alpha + 1))  # noqa: E731
    assert_distribution(x, lambda v: np.where(v < -40, low(v), stats.gamma(alpha).cdf(np.exp(np.maximum(v, -40)))))
    if alpha == 1e-3:
        assert -20_000 < x.min() < -5000


def test_logarithms_of_gamma_numbers_of_the_least_concentrations_are_finite(monkeypatch):
    alpha = np.array([5e-324, 1e-310, 1e-307, 1e-300, 1e-100])
    drawn = []
    for compiled in (False, True):
        choose(monkeypatch, compiled)
        for dtype in (FLOAT32, FLOAT64):
            x = seeded(83).log_gamma(alpha, dtype)
            assert np.isfinite(x).all() and (x < -1e37).all()
            drawn.append(x)
    assert np.array_equal(drawn[0], drawn[2]) and np.array_equal(drawn[1], drawn[3])


@pytest.mark.parametrize("name", ["gamma", "log_gamma", "von_mises"])
def test_numbers_of_other_dtypes_are_refused_and_move_nothing(name):
    g = seeded(0)
    before = g.get_state().numpy()
    for wrong in (np.float16, np.int64):
        with pytest.raises(TypeError, match="float32 or float64"):
            getattr(g, name)(1.5, wrong)
        with pytest.raises(TypeError, match="float32 or float64"):
            g.binomial(3, 0.5, wrong)
    assert np.array_equal(g.get_state().numpy(), before)


# ------------------------------------------------------------------------------------------------- categories of many rows


def _categories_one_by_one(g, weights, n):
    """How many of a row's bounds are at or below the number, up to the last category that has a weight."""
    rows = []
    for row in weights:
        bounds = np.cumsum(row, dtype=np.float64)
        at = g.draw("categorical", (n,), FLOAT64) * bounds[-1]
        rows.append(np.minimum([(bounds <= v).sum() for v in at], np.flatnonzero(row > 0)[-1]))
    return np.array(rows).reshape(len(weights), n)


@pytest.mark.parametrize(
    "rows, categories, n",
    [
        (1, 1, 3),
        (3, 7, 5),
        (40, 1, 2),
        (40, 2, 3),
        (41, 13, 1),
        (30, 64, 4),
        (30, 65, 127),
        (20, 3, 128),
        (9, 30_000, 2),
        (50, 4, 0),
    ],
)
@BOTH
def test_categories_of_rows_are_those_of_a_search_one_by_one(rows, categories, n, dtype):
    rng = np.random.default_rng(rows)
    weights = (rng.random((rows, categories)) * (rng.random((rows, categories)) < 0.6)).astype(dtype)
    weights[np.arange(rows), rng.integers(0, categories, rows)] += dtype.type(0.5)
    expected = _categories_one_by_one(seeded(91), weights, n)
    for given in (weights, np.asfortranarray(weights)):
        drawn = seeded(91).categorical(given, n)
        assert drawn.dtype == np.int64 and np.array_equal(drawn, expected)
        assert n == 0 or (np.take_along_axis(weights, drawn, 1) > 0).all()


def test_a_number_on_a_bound_belongs_to_the_next_category_that_has_a_weight(monkeypatch):
    weights = np.tile([0.0, 1.0, 0.0, 0.0, 1.0, 0.0], (20, 1))
    for u, category in ((0.0, 1), (0.25, 1), (0.5, 4), (1 - 2.0**-53, 4), (1.0, 4)):  # 1: as if by rounding
        g = seeded(0)
        monkeypatch.setattr(g, "draw", lambda kind, shape, dtype, u=u: np.full(shape, u))
        for rows, n in ((20, 3), (2, 3), (20, 200)):
            assert (g.categorical(weights[:rows], n) == category).all()


def test_categories_of_many_rows_have_their_weights():
    weights = np.tile(np.arange(10.0), (N, 1))
    drawn = seeded(92).categorical(weights, 1)
    assert_counts(np.bincount(drawn.ravel(), minlength=10), np.arange(10) / 45)
