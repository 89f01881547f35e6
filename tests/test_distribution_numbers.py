"""The numbers of distributions against SciPy and mpmath: tails, parameters at the ends of their range, derivatives.

What PyTorch gives inaccurately, or not at all, is marked `ours`; everything else here holds for it too.
"""

import importlib
import itertools
import math
import os

import mpmath as mp
import numpy as np
import pytest
from distribution_cases import CASES, DISCRETE, ONE_DIMENSIONAL, derivatives_by_mpmath, each, exactly, gradients, ours
from scipy import special, stats

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
D = importlib.import_module(UNDER_TEST + ".distributions")

pytestmark = pytest.mark.filterwarnings("ignore")
inf = math.inf
WITH_CDF = [c for c in ONE_DIMENSIONAL if c.cdf]
ON_GAMMA = (
    "Gamma",
    "Chi2",
    "InverseGamma",
    "Beta",
    "StudentT",
    "FisherSnedecor",
)  # PyTorch lacks cdf, icdf, or gradients


def double(x, grad=False):
    return torch.tensor(np.asarray(x, dtype=float), requires_grad=grad)


def number(x):
    return float(x.detach().numpy())


def scalars(case, seed=7):
    return {name: float(a) for name, a in case.arrays(seed, ()).items()}


def made(case, params, grad=False):
    return case.make({name: np.asarray(value) for name, value in params.items()}, grad=grad)


def slope(function, at):
    """The derivative by five points; the error is about 1e-10 of the scale of the function."""
    h = 1e-3 * max(abs(at), 0.1)
    return (8 * (function(at + h) - function(at - h)) - (function(at + 2 * h) - function(at - 2 * h))) / (12 * h)


def lacking(names):
    """The cases as parameters, with a mark on those that PyTorch lacks."""
    marks = {c.id: [ours] if c.here_only or c.name in names else [] for c in WITH_CDF}
    return pytest.mark.parametrize("case", [pytest.param(c, id=c.id, marks=marks[c.id]) for c in WITH_CDF])


# ---------------------------------------------------------------- cdf and its inverse


def check_cdf(case, params, x):
    d, tensors = made(case, params, grad=True)
    value = double(x, grad=True)
    y = d.cdf(value)
    expected, density, by_param = derivatives_by_mpmath(case.cdf, x, params)
    assert number(y) == pytest.approx(float(expected), rel=1e-9, abs=1e-300)
    found = gradients(y, {**tensors, "value": value})
    assert found.pop("value") == pytest.approx(float(density), rel=1e-9, abs=1e-300)
    for name, gradient in found.items():
        assert gradient == pytest.approx(float(by_param[name]), rel=1e-8, abs=1e-300), f"by {name}"


@lacking(ON_GAMMA)
@pytest.mark.parametrize("share", [0.1, 0.4, 0.9])
def test_cdf_and_its_gradient(case, share):
    params = scalars(case, 11)
    check_cdf(case, params, float(case.scipy(**params).ppf(share)))


@ours
@pytest.mark.parametrize("case", WITH_CDF, ids=lambda c: c.id)
@pytest.mark.parametrize("share", [1e-40, 1e-12, 0.999])
def test_cdf_and_its_gradient_in_the_tails(case, share):
    params = scalars(case, 11)
    x = float(case.scipy(**params).ppf(share)) or 1e-40
    if case.name in ("Uniform", "TruncatedNormal", "Pareto") and share < 1e-9:
        x = float(np.nextafter(x, inf)) + 1e-9  # at the end of the support, where x has too few digits
        d, _ = made(case, params)
        exact = float(case.cdf(exactly(x), **{name: exactly(value) for name, value in params.items()}))
        assert number(d.cdf(double(x))) == pytest.approx(exact, rel=1e-6)
        return
    check_cdf(case, params, x)


@ours
@pytest.mark.parametrize(
    ("make", "x", "exact"),
    [
        (lambda: D.Normal(double(0.0), double(1.0)), -30.0, lambda: mp.ncdf(-30)),
        (lambda: D.Normal(double(0.0), double(1.0)), -8.0, lambda: mp.ncdf(-8)),
        (lambda: D.LogNormal(double(0.0), double(1.0)), 1e-9, lambda: mp.ncdf(mp.log(exactly(1e-9)))),
        (lambda: D.Laplace(double(0.0), double(1.0)), -600.0, lambda: mp.exp(-600) / 2),
        (lambda: D.Logistic(double(0.0), double(1.0)), -600.0, lambda: 1 / (1 + mp.exp(600))),
        (lambda: D.Gumbel(double(0.0), double(1.0)), -6.0, lambda: mp.exp(-mp.exp(6))),
        (lambda: D.Cauchy(double(0.0), double(1.0)), -1e12, lambda: mp.atan2(1, exactly(1e12)) / mp.pi),
        (lambda: D.HalfCauchy(double(1.0)), 1e-20, lambda: 2 * mp.atan(exactly(1e-20)) / mp.pi),
        (lambda: D.HalfNormal(double(1.0)), 1e-20, lambda: mp.erf(exactly(1e-20) / mp.sqrt(2))),
        (lambda: D.Exponential(double(1.0)), 1e-20, lambda: -mp.expm1(-exactly(1e-20))),
        (lambda: D.Weibull(double(1.0), double(2.0)), 1e-12, lambda: -mp.expm1(-(exactly(1e-12) ** 2))),
        (lambda: D.StudentT(double(3.0)), -1e9, lambda: stats.t(3).cdf(-1e9)),
        (lambda: D.StudentT(double(1e4)), -9.0, lambda: stats.t(1e4).cdf(-9.0)),
        (
            lambda: D.Gamma(double(1e-3), double(1.0)),
            1e-30,
            lambda: mp.gammainc(exactly(1e-3), 0, exactly(1e-30), True),
        ),
        (lambda: D.Gamma(double(1e4), double(1.0)), 9.5e3, lambda: mp.gammainc(10**4, 0, 9500, regularized=True)),
        (lambda: D.Beta(double(1e3), double(1e3)), 0.4, lambda: mp.betainc(1000, 1000, 0, exactly(0.4), True)),
        (lambda: D.Beta(double(0.01), double(30.0)), 1e-20, lambda: stats.beta(0.01, 30).cdf(1e-20)),
        (lambda: D.FisherSnedecor(double(3.0), double(4.0)), 1e-12, lambda: stats.f(3, 4).cdf(1e-12)),
    ],
)
def test_cdf_far_out(make, x, exact):
    assert number(make().cdf(double(x))) == pytest.approx(float(exact()), rel=1e-9, abs=0)


@pytest.mark.parametrize("case", [*each([c for c in WITH_CDF if c.name not in ON_GAMMA]).args[1]])
def test_cdf_is_zero_and_one_at_the_ends(case):
    d, _ = made(case, scalars(case))
    low, high = case.scipy(**scalars(case)).support()
    low, high = np.clip((low, high), 1e-300 if low == 0 else -1e300, 1e300)
    low, high = low + 1e-14 * abs(low), high - 1e-14 * abs(high)
    if UNDER_TEST == "torch" and case.name in ("Kumaraswamy", "Gumbel"):
        pytest.skip("PyTorch gives NaN, or refuses")
    assert number(d.cdf(double(low))) == pytest.approx(0, abs=1e-12)
    assert number(d.cdf(double(high))) == pytest.approx(1, abs=1e-12)


@lacking(ON_GAMMA)
@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
def test_icdf_and_its_gradient(case, share):
    check_icdf(case, share)


@ours
@pytest.mark.parametrize("case", WITH_CDF, ids=lambda c: c.id)
@pytest.mark.parametrize("share", [1e-15, 0.999])
def test_icdf_and_its_gradient_in_the_tails(case, share):
    check_icdf(case, share)


def check_icdf(case, share):
    params = scalars(case, 13)
    d, tensors = made(case, params, grad=True)
    u = double(share, grad=True)
    z = d.icdf(u)
    reached, density, by_param = derivatives_by_mpmath(case.cdf, number(z), params)
    # the error of z, seen through the cdf; one unit in the last place of z moves the cdf by f z eps
    error = abs(float((reached - exactly(share)) / density))
    assert error <= 1e-9 * abs(number(z)), f"icdf {number(z)}, off by {error}"
    edge = share < 1e-9 and case.name in ("Uniform", "TruncatedNormal", "Pareto")
    found = gradients(z, {**tensors, "value": u})
    assert found.pop("value") == pytest.approx(float(1 / density), rel=1e-8)
    for name, gradient in found.items():
        # at the end of the support z has lost the digits of its distance from it
        assert gradient == pytest.approx(float(-by_param[name] / density), rel=1e-8, abs=1e-8 if edge else 1e-14), (
            f"by {name}"
        )


@ours
@pytest.mark.parametrize("case", [c for c in WITH_CDF if c.name in ON_GAMMA], ids=lambda c: c.id)
def test_icdf_inverts_cdf_from_tiny_to_large_concentrations(case):
    for size in (0.05, 1.0, 1e3):
        params = {name: (size if name not in ("loc",) else 0.5) for name in case.params}
        d, _ = made(case, params)
        for share in (0.01, 0.5, 0.99):
            z = number(d.icdf(double(share)))
            if 1e-290 < z < 1 - 1e-6 or 1 < z < 1e290:
                assert number(d.cdf(double(z))) == pytest.approx(share, rel=1e-8), params


# ---------------------------------------------------------------- densities


@each([c for c in ONE_DIMENSIONAL if c.name != "VonMises"])
def test_log_prob_against_scipy(case):
    params = scalars(case, 5)
    truth = case.scipy(**params)
    d, _ = made(case, params)
    for share in (1e-6, 0.01, 0.3, 0.8, 0.999):
        x = float(truth.ppf(share))
        if case.name in ("Pareto", "Uniform", "TruncatedNormal"):
            x = max(x, float(truth.ppf(1e-3)))
        assert number(d.log_prob(double(x))) == pytest.approx(truth.logpdf(x), rel=1e-9, abs=1e-12)


@each([c for c in ONE_DIMENSIONAL if c.name not in ("VonMises", "Uniform")])
def test_the_gradient_of_log_prob_against_mpmath(case):
    params = scalars(case, 5)
    x = float(case.scipy(**params).ppf(0.35))
    d, tensors = made(case, params, grad=True)
    value = double(x, grad=True)
    found = gradients(d.log_prob(value), {**tensors, "value": value})
    truth = {name: exactly(v) for name, v in params.items()}

    def log_density(at, **moved):
        return mp.log(mp.diff(lambda t: case.cdf(t, **{**truth, **moved}), at))

    assert found.pop("value") == pytest.approx(float(mp.diff(log_density, exactly(x))), rel=1e-9, abs=1e-12)
    for name, gradient in found.items():
        expected = float(mp.diff(lambda t, name=name: log_density(exactly(x), **{name: t}), truth[name]))
        assert gradient == pytest.approx(expected, rel=1e-9, abs=1e-12), f"by {name}"


FAR = {
    "Normal": (30.0, -1e3, 1e6),
    "LogNormal": (1e-30, 1e30),
    "Exponential": (1e-30, 700.0, 1e6),
    "Weibull": (1e-10, 30.0),
    "Gumbel": (-6.0, 50.0, 1e4),
    "Laplace": (-300.0, 300.0),
    "Logistic": (-800.0, 800.0, 1e5),
    "Cauchy": (-1e12, 1e12),
    "HalfNormal": (1e-20, 40.0),
    "HalfCauchy": (1e-20, 1e12),
    "Pareto": (1e3, 1e30),
    "Kumaraswamy": (1e-12, 0.999),  # PyTorch: -inf
    "Gamma": (1e-30, 500.0),
    "Chi2": (1e-30, 500.0),
    "InverseGamma": (0.02, 1e12),
    "Beta": (1e-30, 1e-3, 0.999999),
    "StudentT": (-1e6, 1e9),
    "FisherSnedecor": (1e-20, 1e9),
    "TruncatedNormal": (-1.49, 1.49),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, id=c.id, marks=[ours] if c.here_only or c.name == "Kumaraswamy" else [])
        for c in WITH_CDF
        if c.name in FAR
    ],
)
def test_log_prob_and_its_gradient_far_out(case):
    params = scalars(case, 5)
    for x in FAR[case.name]:
        d, tensors = made(case, params, grad=True)
        value = double(x, grad=True)
        y = d.log_prob(value)
        assert number(y) == pytest.approx(case.scipy(**params).logpdf(x), rel=1e-9)
        found = gradients(y, {**tensors, "value": value})
        found.pop("value")
        for name, gradient in found.items():
            expected = slope(lambda t, name=name, x=x: case.scipy(**{**params, name: t}).logpdf(x), params[name])
            assert gradient == pytest.approx(expected, rel=1e-6, abs=1e-7 * max(1, abs(number(y)))), f"by {name}"


@ours  # PyTorch's logarithm of the Bessel function has seven digits
@pytest.mark.parametrize("concentration", [1e-3, 0.3, 2.0, 3.75, 10.0, 700.0, 1e4, 1e8])
def test_log_prob_of_von_mises_and_its_gradient(concentration):
    for x in (0.5, 1.2, -2.0, 9.0):
        loc, k, value = double(0.5, True), double(concentration, True), double(x, True)
        y = D.VonMises(loc, k).log_prob(value)
        w = x - 0.5
        # cos w - 1 without cancellation
        expected = -2 * concentration * math.sin(w / 2) ** 2 - math.log(2 * math.pi * special.i0e(concentration))
        assert number(y) == pytest.approx(expected, rel=1e-9)
        by_loc, by_k, by_value = torch.autograd.grad(y, (loc, k, value))
        assert number(by_loc) == -number(by_value) == pytest.approx(concentration * math.sin(w), rel=1e-9)
        ratio = float(mp.besseli(1, exactly(concentration)) / mp.besseli(0, exactly(concentration)))
        assert number(by_k) == pytest.approx(math.cos(w) - ratio, rel=1e-9, abs=1e-12)


@ours
@pytest.mark.parametrize("concentration", [1e-3, 0.3, 2.0, 10.0, 700.0])
def test_variance_and_mean_of_von_mises(concentration):
    k = double(concentration, True)
    d = D.VonMises(double(0.5), k)
    k_exact = exactly(concentration)

    def variance(t):
        return 1 - mp.besseli(1, t) / mp.besseli(0, t)

    assert number(d.mean) == number(d.mode) == 0.5
    assert number(d.variance) == pytest.approx(float(variance(k_exact)), rel=1e-9)
    (slope_found,) = torch.autograd.grad(d.variance, k)
    assert number(slope_found) == pytest.approx(float(mp.diff(variance, k_exact)), rel=1e-8)


@ours  # within (0.499, 0.501) PyTorch's is a series of two terms
@pytest.mark.parametrize("probs", [0.5, 0.5 + 1e-9, 0.49995, 0.4993, 0.501, 0.52])
def test_continuous_bernoulli_near_one_half(probs):
    p = double(probs, True)
    d = D.ContinuousBernoulli(probs=p)

    def log_constant(t):
        return mp.log(2) if t == mp.mpf(1) / 2 else mp.log(2 * mp.atanh(1 - 2 * t) / (1 - 2 * t))

    def mean(t):
        return mp.mpf(1) / 2 if t == mp.mpf(1) / 2 else t / (2 * t - 1) + 1 / (2 * mp.atanh(1 - 2 * t))

    exact = exactly(probs)
    y = d.log_prob(double(0.3))
    assert number(y) == pytest.approx(
        float(log_constant(exact) + 0.3 * mp.log(exact) + 0.7 * mp.log(1 - exact)), rel=1e-9
    )
    assert number(d.mean) == pytest.approx(float(mean(exact)), rel=1e-9)
    with mp.workdps(80):
        variance = mp.quad(
            lambda x: (x - mean(exact)) ** 2 * mp.exp(log_constant(exact)) * exact**x * (1 - exact) ** (1 - x), [0, 1]
        )
    assert number(d.variance) == pytest.approx(float(variance), rel=1e-9)
    # the derivative of log C(p) is (E x − p) over −p (1 − p): the score has mean zero
    (by_p,) = torch.autograd.grad(y, p)
    assert number(by_p) == pytest.approx(float((exactly(0.3) - mean(exact)) / (exact * (1 - exact))), rel=1e-8)
    assert number(d.cdf(double(0.3))) == pytest.approx(float(continuous_bernoulli_share(exact, exactly(0.3))), rel=1e-9)
    assert number(d.icdf(d.cdf(double(0.3)))) == pytest.approx(0.3, rel=1e-9)


def continuous_bernoulli_share(p, x):
    logit = mp.log(p / (1 - p))
    return mp.expm1(logit * x) / mp.expm1(logit) if logit else x


# ---------------------------------------------------------------- moments


def moments(truth):
    return {"mean": truth.mean(), "variance": truth.var(), "stddev": truth.std(), "entropy": truth.entropy()}


NO_MOMENTS = ("Cauchy", "HalfCauchy")
NO_ENTROPY_THERE = ("FisherSnedecor", "VonMises")


@each([c for c in ONE_DIMENSIONAL if c.name not in (*NO_MOMENTS, "VonMises")])
@pytest.mark.parametrize("what", ["mean", "variance", "stddev", "entropy"])
def test_moments_and_entropy_against_scipy(case, what):
    if UNDER_TEST == "torch" and what == "entropy" and case.name in NO_ENTROPY_THERE:
        pytest.skip("PyTorch has none")
    params = scalars(case, 3)
    d, tensors = made(case, params, grad=True)
    y = d.entropy() if what == "entropy" else getattr(d, what)
    numeric = case.name == "ContinuousBernoulli"  # by quadrature
    expected = moments(case.scipy(**params))[what]
    assert number(y) == pytest.approx(expected, rel=1e-7 if numeric else 1e-9, abs=1e-12)
    for name, gradient in gradients(y, tensors).items():
        by_scipy = slope(lambda t, name=name: moments(case.scipy(**{**params, name: t}))[what], params[name])
        assert gradient == pytest.approx(by_scipy, rel=1e-5 if numeric else 1e-6, abs=1e-7), f"by {name}"


@pytest.mark.parametrize(
    "case",
    [
        # PyTorch gives NaN for Kumaraswamy, and for Weibull and others where the density is largest at an end
        pytest.param(c, id=c.id, marks=[ours] if c.here_only or c.name == "Kumaraswamy" else [])
        for c in ONE_DIMENSIONAL
        if c.name not in ("Uniform", "ContinuousBernoulli", "VonMises")
    ],
)
@pytest.mark.parametrize("seed", [3, 4, 5, 6])
def test_the_density_is_nowhere_larger_than_at_the_mode(case, seed):
    params = scalars(case, seed)
    truth = case.scipy(**params)
    d, _ = made(case, params)
    mode = number(d.mode)
    around = truth.ppf(np.linspace(0.001, 0.999, 1999))
    densest = truth.pdf(around).argmax()
    if math.isnan(mode):  # as in PyTorch, where the density is largest at an end
        assert densest in (0, 1998)
        return
    spread = np.ptp(truth.ppf([0.25, 0.75]))
    assert abs(mode - around[densest]) <= 2 * np.gradient(around)[densest] + 1e-2 * spread


@each([c for c in DISCRETE if c.scipy])
@pytest.mark.parametrize("what", ["mean", "variance", "stddev"])
def test_moments_of_discrete_ones_against_scipy(case, what):
    params = scalars(case, 3)
    d, _ = made(case, params)
    assert number(getattr(d, what)) == pytest.approx(moments(case.scipy(**params))[what], rel=1e-9)


@pytest.mark.parametrize(
    ("make", "mean", "variance"),
    [
        (lambda: D.Cauchy(double(0.0), 1.0), math.nan, inf),
        (lambda: D.HalfCauchy(double(1.0)), inf, inf),
        (lambda: D.Pareto(1.0, double(0.9)), inf, inf),
        (lambda: D.Pareto(1.0, double(1.5)), 3.0, inf),
        (lambda: D.StudentT(double(0.9)), math.nan, math.nan),
        (lambda: D.StudentT(double(1.5)), 0.0, inf),
        (lambda: D.InverseGamma(double(0.9), 1.0), inf, inf),
        (lambda: D.InverseGamma(double(1.5), 1.0), 2.0, inf),
        (lambda: D.FisherSnedecor(double(3.0), double(1.5)), math.nan, math.nan),
        (lambda: D.FisherSnedecor(double(3.0), double(3.0)), 3.0, math.nan),
    ],
)
def test_moments_that_do_not_exist(make, mean, variance):
    d = make()
    assert number(d.mean) == pytest.approx(mean, nan_ok=True)
    assert number(d.variance) == pytest.approx(variance, nan_ok=True)


@ours
@pytest.mark.parametrize(
    ("loc", "scale", "low", "high"),
    [
        (0.0, 1.0, -inf, inf),
        (0.0, 1.0, 0.0, inf),
        (0.5, 2.0, -inf, 1.0),
        (0.0, 1.0, 8.0, inf),
        (0.0, 1.0, -inf, -12.0),
        (0.0, 1.0, 30.0, 31.0),
        (0.0, 1.0, -31.0, -30.0),
        (1.0, 3.0, 0.999, 1.001),
        (0.0, 1e3, -1.0, 2.0),
    ],
)
def test_truncated_normal_with_open_ends_and_in_tails(loc, scale, low, high):
    arguments = {"loc": loc, "scale": scale, "low": low, "high": high}
    d = D.TruncatedNormal(*(double(a) for a in arguments.values()))
    m, s, a, b = (exactly(value) for value in arguments.values())
    nearest = min(max(m, a), b)
    # the mass lies within 40 scales of the place in [low, high] that is nearest to loc; weights are relative to that place
    start, end = max(a, nearest - 40 * s), min(b, nearest + 40 * s)
    places = sorted({start, end, *(p for p in (nearest - s, nearest, nearest + s) if start < p < end)})
    places = sorted({p + (q - p) * k / 8 for p, q in itertools.pairwise(places) for k in range(9)})

    def log_weight(x):
        return (((nearest - m) / s) ** 2 - ((x - m) / s) ** 2) / 2

    def integral(function):
        return mp.quad(lambda x: function(x) * mp.exp(log_weight(x)), places)

    mass = integral(lambda x: 1)
    mean = integral(lambda x: x) / mass
    variance = integral(lambda x: (x - mean) ** 2) / mass
    assert number(d.mean) == pytest.approx(float(mean), rel=1e-9, abs=1e-12)
    assert number(d.variance) == pytest.approx(float(variance), rel=1e-7)
    assert number(d.mode) == float(nearest)
    x = float(mean)
    log_density = log_weight(exactly(x)) - mp.log(mass)
    assert number(d.log_prob(double(x))) == pytest.approx(float(log_density), rel=1e-9, abs=1e-12)
    for share in (0.001, 0.5, 0.999):
        z = number(d.icdf(double(share)))
        assert low <= z <= high and number(d.cdf(double(z))) == pytest.approx(share, rel=1e-7)
    with torch.no_grad():
        drawn = d.sample((200,)).numpy()
    assert np.isfinite(drawn).all() and (drawn >= low).all() and (drawn <= high).all()


@ours
def test_log_prob_and_moments_at_the_ends_of_the_range_of_concentrations():
    for size in (1e-3, 1e-2, 1e2, 1e4):
        for make, truth in (
            (lambda s: D.Gamma(double(s), double(2.0)), stats.gamma(size, scale=0.5)),
            (lambda s: D.Chi2(double(s)), stats.chi2(size)),
            (lambda s: D.Beta(double(s), double(2 * s)), stats.beta(size, 2 * size)),
        ):
            d = make(size)
            for x in (float(truth.ppf(0.5)), float(truth.ppf(0.9))):
                if 1e-290 < x < 1 - 1e-9 or x > 1:
                    assert number(d.log_prob(double(x))) == pytest.approx(truth.logpdf(x), rel=1e-9)
            assert number(d.mean) == pytest.approx(truth.mean(), rel=1e-9)
            assert number(d.variance) == pytest.approx(truth.var(), rel=1e-9)
    for size in (1e-3, 1e-2, 1e2, 1e4):
        a = exactly(size)
        exact = a + mp.loggamma(a) + (1 - a) * mp.digamma(a)
        assert number(D.Gamma(double(size), double(1.0)).entropy()) == pytest.approx(float(exact), rel=1e-9)


# ---------------------------------------------------------------- discrete ones


@each([c for c in DISCRETE if c.scipy])
def test_log_prob_of_discrete_ones_against_scipy(case):
    params = scalars(case, 5)
    truth = case.scipy(**params)
    d, _ = made(case, params)
    top = {"Bernoulli": 1, "BernoulliStraightThrough": 1, "Binomial": int(params.get("total_count", 0))}
    for x in range(1 + top.get(case.name, 40)):
        assert number(d.log_prob(double(x))) == pytest.approx(float(truth.logpmf(x)), rel=1e-9, abs=1e-12)


@each([c for c in DISCRETE if c.scipy])
def test_the_masses_sum_to_one(case):
    d, _ = made(case, scalars(case, 5))
    support = d.enumerate_support() if d.has_enumerate_support else double(np.arange(400))
    assert np.exp(d.log_prob(support).numpy()).sum() == pytest.approx(1, rel=1e-12)


def test_the_masses_of_a_multinomial_sum_to_one():
    probs = np.array([0.2, 0.3, 0.5])
    counts = np.array([[a, b, 6 - a - b] for a in range(7) for b in range(7 - a)], dtype=float)
    d = D.Multinomial(6, double(probs))
    np.testing.assert_allclose(
        d.log_prob(double(counts)).numpy(), stats.multinomial(6, probs).logpmf(counts), rtol=1e-9
    )
    np.testing.assert_allclose(d.mean.numpy(), 6 * probs, rtol=1e-12)


def test_the_entropy_of_a_multinomial_is_scipys():
    # PyTorch computes one of its terms in float32
    probs = np.array([0.2, 0.3, 0.5])
    tolerance = 1e-7 if UNDER_TEST == "torch" else 1e-9
    assert number(D.Multinomial(6, double(probs)).entropy()) == pytest.approx(
        stats.multinomial(6, probs).entropy(), rel=tolerance
    )


@ours
@each([c for c in DISCRETE if c.scipy])
def test_cdf_of_discrete_ones_against_scipy(case):
    params = scalars(case, 5)
    truth = case.scipy(**params)
    d, _ = made(case, params)
    top = {"Bernoulli": 1, "BernoulliStraightThrough": 1, "Binomial": int(params.get("total_count", 0))}
    for x in range(1 + top.get(case.name, 15)):
        assert number(d.cdf(double(x))) == pytest.approx(float(truth.cdf(x)), rel=1e-9)


@ours  # PyTorch clamps the probabilities
@pytest.mark.parametrize(
    ("make", "impossible", "certain"),
    [
        (lambda: D.Bernoulli(double(0.0)), 1.0, 0.0),
        (lambda: D.Bernoulli(double(1.0)), 0.0, 1.0),
        (lambda: D.BernoulliStraightThrough(double(1.0)), 0.0, 1.0),
        (lambda: D.Binomial(3, double(0.0)), 1.0, 0.0),
        (lambda: D.Binomial(3, double(1.0)), 2.0, 3.0),
        (lambda: D.Categorical(double([0.0, 1.0])), 0.0, 1.0),
        (lambda: D.Categorical(logits=double([-inf, 2.0])), 0.0, 1.0),
        (lambda: D.OneHotCategorical(double([0.0, 1.0])), [1.0, 0.0], [0.0, 1.0]),
        (lambda: D.Multinomial(2, double([0.0, 1.0])), [1.0, 1.0], [0.0, 2.0]),
        (lambda: D.Poisson(double(0.0)), 1.0, 0.0),
        (lambda: D.Geometric(double(1.0)), 1.0, 0.0),
        (lambda: D.NegativeBinomial(double(3.0), double(0.0)), 1.0, 0.0),
    ],
)
def test_impossible_and_certain_outcomes_are_exact(make, impossible, certain):
    d = make()
    assert number(d.log_prob(double(impossible))) == -inf
    assert number(d.log_prob(double(certain))) == 0.0
    if type(d).__name__ not in ("Poisson", "NegativeBinomial", "Multinomial"):
        assert number(d.entropy()) == 0.0
    assert (d.sample((50,)).numpy() == np.asarray(certain)).all()


def test_tiny_probabilities_keep_their_digits():
    p = 1e-12
    assert number(D.Bernoulli(double(p)).log_prob(double(1.0))) == pytest.approx(math.log(p), rel=1e-12)
    assert number(D.Bernoulli(double(p)).log_prob(double(0.0))) == pytest.approx(math.log1p(-p), rel=1e-3)
    assert number(D.Bernoulli(logits=double(-80.0)).log_prob(double(0.0))) == pytest.approx(-math.exp(-80), rel=1e-12)
    assert number(D.Bernoulli(logits=double(80.0)).log_prob(double(0.0))) == pytest.approx(-80, rel=1e-12)
    assert number(D.Categorical(logits=double([0.0, 1e4])).log_prob(double(0.0))) == pytest.approx(-1e4)


# ---------------------------------------------------------------- divergences

FINITE = {
    "Normal": ["Normal", "Laplace", "Gumbel"],
    "Gumbel": ["Gumbel", "Normal"],
    "Laplace": ["Laplace", "Normal"],
    "Exponential": ["Exponential", "Gamma", "Gumbel", "Normal"],
    "Gamma": ["Exponential", "Gamma", "Gumbel", "Normal"],
    "Beta": ["Beta", "ContinuousBernoulli", "Exponential", "Gamma", "Normal"],
    "Uniform": ["Beta", "ContinuousBernoulli", "Exponential", "Gamma", "Gumbel", "Normal"],
    "Pareto": ["Exponential", "Gamma", "Normal", "Pareto"],
    "Cauchy": ["Cauchy"],
    "HalfNormal": ["HalfNormal"],
    "ContinuousBernoulli": ["ContinuousBernoulli", "Exponential", "Normal"],
}
BY_NAME = {c.name: c for c in reversed(ONE_DIMENSIONAL)}


def two(p, q, p_seed=21, q_seed=22):
    """Parameters for the two, such that the support of p lies within that of q."""
    p_params, q_params = scalars(BY_NAME[p], p_seed), scalars(BY_NAME[q], q_seed)
    if p == "Uniform":
        p_params = {"low": 0.2, "high": 0.85}
    if q == "Pareto":
        q_params["scale"] = p_params["scale"] * 0.6
    return p_params, q_params


def by_quadrature(p, q, p_params, q_params):
    light = p in ("Normal", "Gumbel", "Laplace")  # farther out SciPy's density is 0
    p, q = BY_NAME[p].scipy(**p_params), BY_NAME[q].scipy(**q_params)
    ends = {"lb": p.ppf(1e-14), "ub": p.isf(1e-14), "points": [p.median()]} if light else {}
    return p.expect(lambda x: p.logpdf(x) - q.logpdf(x), epsabs=1e-11, epsrel=1e-10, limit=500, **ends)


@pytest.mark.parametrize(("p", "q"), [(p, q) for p, others in FINITE.items() for q in others])
def test_kl_divergence_is_what_quadrature_says(p, q):
    p_params, q_params = two(p, q)
    found = D.kl_divergence(made(BY_NAME[p], p_params)[0], made(BY_NAME[q], q_params)[0])
    assert number(found) == pytest.approx(by_quadrature(p, q, p_params, q_params), rel=1e-6)


@each(
    [
        c
        for c in CASES
        if c.name in {*FINITE, "Bernoulli", "Poisson", "Binomial", "Categorical", "Geometric", "Dirichlet"}
    ]
)
def test_kl_divergence_of_a_distribution_from_itself_is_zero(case):
    p, _ = case.make(case.arrays())
    q, _ = case.make(case.arrays())
    np.testing.assert_allclose(D.kl_divergence(p, q).numpy(), 0, atol=1e-12)


@ours
@pytest.mark.parametrize(
    ("make", "probs", "expected"),
    [
        (lambda p, q: (D.Bernoulli(double(p)), D.Bernoulli(double(q))), (0.0, 0.4), -math.log(0.6)),
        (lambda p, q: (D.Bernoulli(double(p)), D.Bernoulli(double(q))), (1.0, 0.4), -math.log(0.4)),
        (lambda p, q: (D.Bernoulli(double(p)), D.Bernoulli(double(q))), (0.4, 0.0), inf),
        (lambda p, q: (D.Categorical(double(p)), D.Categorical(double(q))), ([0, 1.0], [0.5, 0.5]), math.log(2)),
        (lambda p, q: (D.Categorical(double(p)), D.Categorical(double(q))), ([0.5, 0.5], [0, 1.0]), inf),
    ],
)
def test_kl_divergence_with_certain_outcomes(make, probs, expected):
    assert number(D.kl_divergence(*make(*probs))) == pytest.approx(expected)


@ours
@pytest.mark.parametrize(("p", "q"), [("StudentT", "Normal"), ("Logistic", "Normal"), ("Weibull", "Gamma")])
def test_kl_divergence_by_samples_when_asked_for(p, q):
    p_params, q_params = two(p, q)
    with_p, with_q = made(BY_NAME[p], p_params)[0], made(BY_NAME[q], q_params)[0]
    with pytest.raises(NotImplementedError, match="num_samples"):
        D.kl_divergence(with_p, with_q)
    torch.manual_seed(0)
    n = 20_000
    found = number(D.kl_divergence(with_p, with_q, num_samples=n))
    exact = by_quadrature(p, q, p_params, q_params)
    truth_p, truth_q = BY_NAME[p].scipy(**p_params), BY_NAME[q].scipy(**q_params)
    second = truth_p.expect(lambda x: (truth_p.logpdf(x) - truth_q.logpdf(x)) ** 2, limit=500)
    # 5 standard errors: false for 6 seeds in ten million
    assert abs(found - exact) < 5 * math.sqrt((second - exact**2) / n)
    assert found != exact


def test_kl_divergence_can_be_taught_and_takes_the_closest_pair():
    class Mine(D.Normal):
        pass

    p, q = Mine(double(0.0), double(1.0)), D.Normal(double(1.0), double(1.0))
    assert number(D.kl_divergence(p, q)) == pytest.approx(0.5)

    @D.register_kl(Mine, D.Normal)
    def taught(p, q):
        return p.loc + 42.0

    assert number(D.kl_divergence(p, q)) == 42.0
    assert number(D.kl_divergence(q, p)) == pytest.approx(0.5)


@ours
def test_kl_divergence_cannot_be_taught_for_what_is_no_distribution():
    with pytest.raises(TypeError):
        D.register_kl(int, D.Normal)
