"""Distributions of outcomes: exact at certain and impossible ones, precise for large counts, and ways around their stops."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from scipy import integrate, stats

import tinygrad_rp as tg
from tinygrad_rp import distributions as D
from tinygrad_rp.autograd import gradcheck, gradgradcheck
from visualize import get_graph

INF = math.inf


def double(values, grad=False):
    return tg.tensor(values, dtype=tg.float64, requires_grad=grad)


def value_and_gradient(make, parameter, value):
    """The log-probability of a value, and its derivative by the parameter."""
    leaf = double(parameter, grad=True)
    out = make(leaf).log_prob(tg.tensor(value))
    out.sum().backward()
    return out.tolist(), leaf.grad.tolist()


# ---------------------------------------------------------------------------------------------- the sum of all probabilities

ALL = {
    "Bernoulli": (lambda p: D.Bernoulli(p), 2),
    "Bernoulli, logits": (lambda p: D.Bernoulli(logits=p.logit()), 2),
    "Binomial": (lambda p: D.Binomial(7, p), 8),
    "Binomial, logits": (lambda p: D.Binomial(7, logits=p.logit()), 8),
    "Geometric": (lambda p: D.Geometric(p), 400),
    "Geometric, logits": (lambda p: D.Geometric(logits=p.logit()), 400),
    "NegativeBinomial": (lambda p: D.NegativeBinomial(2.5, p), 1500),
    "NegativeBinomial, logits": (lambda p: D.NegativeBinomial(2.5, logits=p.logit()), 1500),
    "Poisson": (lambda p: D.Poisson(p * 40), 400),
}


@pytest.mark.parametrize("name", ALL)
def test_probabilities_sum_to_one_and_give_moments_cdf_and_entropy(name):
    make, count = ALL[name]
    d = make(double([0.1, 0.5, 0.93]))
    k = tg.arange(count, dtype=tg.float64).unsqueeze(-1)
    chances = d.log_prob(k).exp().numpy()
    np.testing.assert_allclose(chances.sum(0), 1, rtol=1e-12)
    numbers = k.numpy()
    mean = (chances * numbers).sum(0)
    np.testing.assert_allclose(d.mean.numpy(), mean, rtol=1e-10)
    np.testing.assert_allclose(d.variance.numpy(), (chances * (numbers - mean) ** 2).sum(0), rtol=1e-9)
    np.testing.assert_allclose(d.cdf(k).numpy(), np.cumsum(chances, 0), rtol=1e-11, atol=1e-13)
    if name.startswith(("B", "G")):
        logs = np.log(chances, out=np.zeros_like(chances), where=chances > 0)
        np.testing.assert_allclose(d.entropy().numpy(), -(chances * logs).sum(0), rtol=1e-10)


def test_multinomial_probabilities_sum_to_one_and_give_the_entropy():
    weights = double([[1.0, 2.0, 5.0], [0.0, 1.0, 1.0]])
    counts = np.array([(i, j, 4 - i - j) for i in range(5) for j in range(5 - i)], float)[:, None]
    for d in (D.Multinomial(4, weights), D.Multinomial(4, logits=weights.log())):
        logs = d.log_prob(double(counts)).numpy()
        chances = np.exp(logs)
        np.testing.assert_allclose(chances.sum(0), 1, rtol=1e-13)
        expected = -(chances * np.where(chances > 0, logs, 0)).sum(0)
        np.testing.assert_allclose(d.entropy().numpy(), expected, rtol=1e-12)
        np.testing.assert_allclose(d.mean.numpy(), (chances[..., None] * counts).sum(0), rtol=1e-12)


# --------------------------------------------------------------------------------------- certain and impossible outcomes


@pytest.mark.parametrize(
    ("make", "parameter", "value", "log_prob", "gradient"),
    [
        # by probabilities: the slope is 1/p, and −1/(1 − p) of the other outcome
        (lambda p: D.Bernoulli(p), [0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0], [0, -INF, -INF, 0], [-1, INF, -INF, 1]),
        (lambda p: D.Binomial(3, p), [0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 2.0, 3.0], [0, -INF, -INF, 0], [-3, INF, -INF, 3]),
        (lambda p: D.Geometric(p), [1.0, 1.0], [0.0, 2.0], [0, -INF], [1, -INF]),
        (lambda p: D.NegativeBinomial(2.0, p), [0.0, 0.0], [0.0, 1.0], [0, -INF], [-2, INF]),
        (lambda p: D.Poisson(p), [0.0, 0.0], [0.0, 1.0], [0, -INF], [-1, INF]),
        # by logits it is finite throughout: y − p
        (lambda v: D.Bernoulli(logits=v), [-INF, -INF, INF, INF], [0.0, 1.0, 0.0, 1.0], [0, -INF, -INF, 0], [0, 1, -1, 0]),
        (lambda v: D.Binomial(3, logits=v), [-INF, -INF, INF, INF], [0.0, 1.0, 2.0, 3.0], [0, -INF, -INF, 0], [0, 1, -1, 0]),
        (lambda v: D.Geometric(logits=v), [INF, INF], [0.0, 2.0], [0, -INF], [0, -2]),
        (lambda v: D.NegativeBinomial(2.0, logits=v), [-INF, -INF], [0.0, 1.0], [0, -INF], [0, 1]),
    ],
)  # fmt: skip
def test_certain_and_impossible_outcomes_are_exact(make, parameter, value, log_prob, gradient):
    assert value_and_gradient(make, parameter, value) == (log_prob, gradient)


def test_impossible_categories_are_exact_and_leave_the_others_their_gradient():
    weights = double([0.0, 1.0, 3.0], grad=True)
    d = D.Categorical(weights)
    assert d.log_prob(tg.tensor([0, 1])).tolist() == [-INF, math.log(0.25)]
    d.log_prob(tg.tensor(1)).backward()
    np.testing.assert_allclose(weights.grad.tolist(), [-0.25, 0.75, -0.25], rtol=1e-15)
    weights.grad = None
    d.log_prob(tg.tensor(0)).backward()
    assert weights.grad.tolist() == [INF, -0.25, -0.25]
    logits = double([-INF, 0.0, math.log(3)], grad=True)
    d = D.Categorical(logits=logits)
    assert d.log_prob(tg.tensor(0)).tolist() == -INF
    (d.log_prob(tg.tensor(0)) + d.entropy()).backward()
    assert np.isfinite(logits.grad.numpy()).all() and logits.grad[0].item() == 1
    assert D.Categorical(double([0.0, 0.3])).log_prob(tg.tensor(1)).item() == 0
    assert D.Categorical(double([0.0, 0.3])).entropy().item() == 0


def test_multinomial_counts_of_impossible_categories():
    for given, slope in (
        ({"probs": [0.0, 1.0, 3.0]}, [-0.5, 0.5, -1 / 6]),
        ({"logits": [-INF, 0.0, math.log(3)]}, [0, 0.5, -0.5]),
    ):
        ((name, numbers),) = given.items()
        leaf = double(numbers, grad=True)
        d = D.Multinomial(2, **{name: leaf})
        assert d.log_prob(double([1.0, 1.0, 0.0])).item() == -INF
        out = d.log_prob(double([0.0, 1.0, 1.0]))
        out.backward()
        assert out.item() == pytest.approx(math.log(2 * 3 / 16), rel=1e-15)
        np.testing.assert_allclose(leaf.grad.tolist(), slope, rtol=1e-14, atol=1e-16)


def test_samples_of_certain_outcomes_are_these():
    for d, expected in (
        (D.Bernoulli(tg.tensor([0.0, 1.0])), [0, 1]),
        (D.Bernoulli(logits=tg.tensor([-INF, INF])), [0, 1]),
        (D.Binomial(9, tg.tensor([0.0, 1.0])), [0, 9]),
        (D.Categorical(tg.tensor([[0.0, 2.0], [1.0, 0.0]])), [1, 0]),
        (D.OneHotCategorical(logits=tg.tensor([-INF, 3.0])), [0, 1]),
        (D.Multinomial(9, tg.tensor([0.0, 1.0, 0.0])), [0, 9, 0]),
        (D.Poisson(tg.zeros(2)), [0, 0]),
        (D.Geometric(tg.ones(2)), [0, 0]),
        (D.NegativeBinomial(tg.tensor([0.0, 3.0]), tg.tensor([0.5, 0.0])), [0, 0]),
    ):
        drawn = d.sample((50,))
        assert (drawn.numpy() == np.array(expected)).all(), d
        assert (d.log_prob(drawn).numpy() == 0).all()


# ---------------------------------------------------------------------------------------------------- tails, large counts


def exact_binomial(k, m, p):
    with mp.workdps(60):
        p = mp.mpf(p)
        ways = mp.loggamma(mp.mpf(k) + m + 1) - mp.loggamma(mp.mpf(k) + 1) - mp.loggamma(mp.mpf(m) + 1)
        return float(ways + k * mp.log(p) + m * mp.log1p(-p))


@pytest.mark.parametrize("n", [1, 7, 15, 16, 17, 40, 1000, 10**6, 10**9])
@pytest.mark.parametrize("p", [1e-300, 1e-9, 0.01, 0.5, 0.75, 1 - 1e-9])
def test_binomial_probabilities_keep_their_digits(n, p):
    spread = math.sqrt(n * p * (1 - p))
    places = {0, n, n // 2, *(int(min(max(n * p + s * spread, 0), n)) for s in (-8, -1, 0, 1, 8))}
    for k in places:
        expected = exact_binomial(k, n - k, p)
        found = D.Binomial(n, double(p)).log_prob(double(float(k))).item()
        assert found == pytest.approx(expected, rel=2e-13, abs=1e-13)
        if 1e-9 <= p <= 0.75:
            found = D.Binomial(n, logits=double(float(mp.log(p) - mp.log1p(-p)))).log_prob(double(float(k))).item()
            assert found == pytest.approx(expected, rel=1e-12, abs=1e-13 + 1e-15 * math.sqrt(n) * 20)


@pytest.mark.parametrize("rate", [1e-300, 1e-5, 0.3, 7.0, 15.9, 1e3, 1e6, 1e10])
def test_poisson_probabilities_keep_their_digits(rate):
    for k in {0.0, 1.0, 15.0, 16.0, 500.0, *(max(0.0, math.floor(rate + s * math.sqrt(rate))) for s in (-6, 0, 1, 6))}:
        with mp.workdps(60):
            expected = float(k * mp.log(mp.mpf(rate)) - mp.mpf(rate) - mp.loggamma(mp.mpf(k) + 1))
        assert D.Poisson(double(rate)).log_prob(double(k)).item() == pytest.approx(expected, rel=2e-13, abs=1e-13)


def test_in_float32_large_counts_are_as_precise_as_small_ones():
    expected = stats.poisson(1e6).logpmf(1_001_000)
    assert D.Poisson(tg.tensor(1e6)).log_prob(tg.tensor(1_001_000.0)).item() == pytest.approx(expected, rel=1e-6)
    counts = tg.tensor([400_000.0, 600_000.0])
    expected = stats.binom(10**6, 0.4).logpmf(400_000)
    found = D.Multinomial(10**6, tg.tensor([2.0, 3.0]).double()).log_prob(counts.double()).item()
    assert found == pytest.approx(expected, rel=1e-9)
    assert D.Binomial(10**6, tg.tensor(0.4)).log_prob(counts[0]).item() == pytest.approx(
        stats.binom(10**6, np.float32(0.4).item()).logpmf(400_000), rel=1e-6
    )


@pytest.mark.parametrize("r", [1e-3, 0.5, 2.0, 1e4])
@pytest.mark.parametrize("p", [1e-9, 0.3, 0.999])
def test_negative_binomial_probabilities_keep_their_digits(r, p):
    for k in (0, 1, 3, 20, 1000, 10**6):
        with mp.workdps(50):
            ways = mp.loggamma(mp.mpf(k) + r) - mp.loggamma(mp.mpf(k) + 1) - mp.loggamma(mp.mpf(r))
            expected = float(ways + k * mp.log(mp.mpf(p)) + r * mp.log1p(-mp.mpf(p)))
        found = D.NegativeBinomial(double(r), double(p)).log_prob(double(float(k))).item()
        assert found == pytest.approx(expected, rel=5e-12, abs=1e-12)


def test_logits_of_800_keep_their_slopes_and_tails():
    assert value_and_gradient(lambda v: D.Bernoulli(logits=v), [-800.0, 800.0], [1.0, 0.0]) == ([-800, -800], [1, -1])
    _, slope = value_and_gradient(lambda v: D.Bernoulli(logits=v), [-50.0, 50.0], [0.0, 1.0])
    np.testing.assert_allclose(slope, [-math.exp(-50), math.exp(-50)], rtol=1e-14)
    assert D.Bernoulli(logits=double(50.0)).entropy().item() == pytest.approx(51 * math.exp(-50), rel=1e-14)
    assert D.Binomial(5, logits=double(-800.0)).log_prob(double(2.0)).item() == pytest.approx(math.log(10) - 1600)
    assert D.Geometric(logits=double(-800.0)).log_prob(double(3.0)).item() == -800
    assert D.Categorical(logits=double([0.0, -800.0])).log_prob(tg.tensor(1)).item() == -800


# -------------------------------------------------------------------------------------------------------- derivatives

P, Q = [0.2, 0.5, 0.9], [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]


@pytest.mark.parametrize(
    "function",
    [
        lambda p: D.Bernoulli(p).log_prob(tg.tensor([0.0, 1.0, 1.0])),
        lambda p: D.Bernoulli(logits=p).entropy(),
        lambda p: D.Bernoulli(p).cdf(tg.tensor([0.0, 1.0, 0.0])),
        lambda p: D.Binomial(30, p).log_prob(tg.tensor([3.0, 30.0, 0.0])),
        lambda p: D.Binomial(30, logits=p).log_prob(tg.tensor([3.0, 30.0, 0.0])),
        lambda p: D.Binomial(5, p).entropy(),
        lambda p: D.Binomial(5, p).cdf(tg.tensor([2.0, 5.0, 0.0])),
        lambda p: D.Geometric(p).log_prob(tg.tensor([3.0, 0.0, 1.0])),
        lambda p: D.Geometric(p).cdf(tg.tensor([3.0, 0.0, 1.0])),
        lambda p: D.Geometric(logits=p).entropy(),
        lambda p: D.NegativeBinomial(p * 30, p).log_prob(tg.tensor([3.0, 0.0, 41.0])),
        lambda p: D.NegativeBinomial(p * 3, logits=p).cdf(tg.tensor([3.0, 0.0, 4.0])),
        lambda p: D.Poisson(p * 20).log_prob(tg.tensor([3.0, 0.0, 41.0])),
        lambda p: D.Poisson(p * 20).cdf(tg.tensor([3.0, 0.0, 41.0])),
    ],
)
def test_derivatives_agree_with_finite_differences(function):
    assert gradcheck(function, [double(P, grad=True)])
    assert gradgradcheck(function, [double(P, grad=True)], atol=1e-4)


@pytest.mark.parametrize(
    "function",
    [
        lambda q: D.Categorical(q).log_prob(tg.tensor([[2, 0], [1, 1]])),
        lambda q: D.Categorical(logits=q).log_prob(tg.tensor([2, 0])),
        lambda q: D.Categorical(q).entropy(),
        lambda q: D.Categorical(logits=q).entropy(),
        lambda q: D.OneHotCategorical(q).log_prob(tg.eye(3, dtype=tg.float64).unsqueeze(1)),
        lambda q: D.Multinomial(40, q).log_prob(double([[30.0, 0.0, 10.0], [1.0, 4.0, 35.0]])),
        lambda q: D.Multinomial(40, logits=q).log_prob(double([[30.0, 0.0, 10.0], [1.0, 4.0, 35.0]])),
        lambda q: D.Multinomial(4, q).entropy(),
        lambda q: D.RelaxedOneHotCategorical(q[:1, :1] + 0.5, q).log_prob(double([[0.1, 0.3, 0.6], [0.7, 0.2, 0.1]])),
        lambda q: D.ExpRelaxedCategorical(0.7, logits=q).log_prob(double([-1.0, -0.5, -3.0])),
        lambda q: D.RelaxedBernoulli(q[:1] + 0.5, logits=q).log_prob(1 - q),
        lambda q: D.LogitRelaxedBernoulli(q[:1] + 0.5, q).log_prob(1 - q),
    ],
)
def test_derivatives_by_categories_agree_with_finite_differences(function):
    assert gradcheck(function, [double(Q, grad=True)])
    assert gradgradcheck(function, [double(Q, grad=True)], atol=1e-4)


def test_the_count_has_a_gradient_too():
    n = double([20.0, 5.5], grad=True)
    options = {"validate_args": False}
    assert gradcheck(lambda n: D.Binomial(n, double([0.3, 0.7]), **options).log_prob(tg.tensor([4.0, 5.0])), [n])
    k = double([4.0, 0.5], grad=True)
    assert gradcheck(lambda k: D.Binomial(20, double(0.3), **options).log_prob(k), [k])
    assert gradcheck(lambda k: D.Poisson(double(0.3), **options).log_prob(k), [k])


# ------------------------------------------------------------------------------------------------------------- samples

# Each test of this part has a false alarm once in a million runs, if its seed were not fixed
ALARM = 1e-6


def chi_square(observed, chances, total):
    """Cells are merged from both ends, so that at least 20 are expected in each."""
    merged, seen, expected = [], 0, 0.0
    for o, c in zip(observed, chances, strict=True):
        seen, expected = seen + o, expected + c * total
        if expected >= 20:
            merged.append((seen, expected))
            seen, expected = 0, 0.0
    rest_seen, rest = total - sum(o for o, _ in merged), total - sum(e for _, e in merged)
    if rest > 20:
        merged.append((rest_seen, rest))
    else:
        o, e = merged.pop()
        merged.append((o + rest_seen, e + rest))
    o, e = np.array(merged).T
    return stats.chi2(len(o) - 1).sf(((o - e) ** 2 / e).sum())


SAMPLED = {
    "Bernoulli": (lambda: D.Bernoulli(double(0.3)), stats.bernoulli(0.3)),
    "Bernoulli, logits": (lambda: D.Bernoulli(logits=double(-2.0)), stats.bernoulli(1 / (1 + math.exp(2)))),
    "Binomial, small": (lambda: D.Binomial(6, double(0.3)), stats.binom(6, 0.3)),
    "Binomial, large": (lambda: D.Binomial(200, double(0.6)), stats.binom(200, 0.6)),
    "Geometric": (lambda: D.Geometric(double(0.2)), stats.geom(0.2, loc=-1)),
    "Geometric, likely": (lambda: D.Geometric(logits=double(2.0)), stats.geom(1 / (1 + math.exp(-2)), loc=-1)),
    "NegativeBinomial": (lambda: D.NegativeBinomial(2.5, double(0.7)), stats.nbinom(2.5, 0.3)),
    "NegativeBinomial, rare": (
        lambda: D.NegativeBinomial(0.2, logits=double(1.0)),
        stats.nbinom(0.2, 1 / (1 + math.e)),
    ),
    "Poisson, small": (lambda: D.Poisson(double(3.0)), stats.poisson(3)),
    "Poisson, large": (lambda: D.Poisson(double(300.0)), stats.poisson(300)),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_samples_are_as_frequent_as_probable(name):
    make, truth = SAMPLED[name]
    n = 40_000
    drawn = make().sample((n,), generator=tg.Generator().manual_seed(11)).numpy()
    most = int(drawn.max())
    assert chi_square(np.bincount(drawn.astype(int), minlength=most + 1), truth.pmf(np.arange(most + 1)), n) > ALARM


def test_samples_of_categories_are_as_frequent_as_probable():
    weights = double([[1.0, 2.0, 0.0, 5.0], [3.0, 1.0, 1.0, 1.0]])
    n, g = 40_000, tg.Generator().manual_seed(5)
    chances = (weights / weights.sum(-1, True)).numpy()
    for d in (D.Categorical(weights), D.Categorical(logits=weights.log() - 900)):
        drawn = d.sample((n,), generator=g)
        assert drawn.dtype == tg.int64 and drawn.shape == (n, 2)
        for row in range(2):
            assert chi_square(np.bincount(drawn.numpy()[:, row], minlength=4), chances[row], n) > ALARM
    hot = D.OneHotCategorical(weights).sample((n,), generator=g)
    counts = D.Multinomial(5, weights).sample((n,), generator=g)
    assert (hot.sum(-1) == 1).all() and (counts.sum(-1) == 5).all() and hot.dtype == counts.dtype == tg.float64
    for row in range(2):
        assert chi_square(hot.numpy()[:, row].sum(0), chances[row], n) > ALARM
        codes = counts.numpy()[:, row] @ [1, 6, 36, 0]
        cells = np.array([(i, j, k, 5 - i - j - k) for k in range(6) for j in range(6 - k) for i in range(6 - j - k)])
        observed = [(codes == cell @ [1, 6, 36, 0]).sum() for cell in cells]
        assert chi_square(observed, stats.multinomial(5, chances[row]).pmf(cells), n) > ALARM


@pytest.mark.parametrize("name", ["Bernoulli", "Binomial", "Geometric", "NegativeBinomial"])
def test_samples_have_the_dtype_of_the_parameters(name):
    arguments = (4,) if "inomial" in name else ()
    for dtype in (tg.float32, tg.float64):
        d = getattr(D, name)(*arguments, tg.tensor([0.25, 0.5], dtype=dtype))
        assert d.sample((3,)).dtype == dtype and d.sample((3,)).shape == (3, 2)
        assert d.mean.dtype == d.variance.dtype == dtype == d.log_prob(d.sample()).dtype


def test_batches_of_several_dimensions_keep_their_rows():
    logits = double(np.random.default_rng(0).normal(size=(2, 3, 4)))
    d = D.Categorical(logits=logits * 40)
    assert (d.sample((6, 5)) == d.mode).all()
    assert D.OneHotCategorical(logits=logits * 40).sample((5,)).argmax(-1).tolist() == [d.mode.tolist()] * 5
    value = d.sample((5,))
    assert d.log_prob(value).shape == (5, 2, 3)
    assert d.log_prob(tg.tensor([[0], [1]])).shape == (2, 3)
    assert d.expand((7, 2, 3)).sample((2,)).shape == (2, 7, 2, 3)
    assert D.Categorical(tg.ones(0, 3)).sample((4,)).shape == (4, 0)
    assert D.Binomial(tg.tensor([[3.0], [5.0]]), tg.tensor([0.1, 0.2, 0.3])).sample((4,)).shape == (4, 2, 3)


# ---------------------------------------------------------------------------------------------------------- relaxations


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("logits", [-1.5, 0.0, 4.0])
def test_the_relaxed_density_integrates_to_one(temperature, logits):
    d = D.LogitRelaxedBernoulli(temperature, logits=double(logits))
    mass, _ = integrate.quad(lambda v: math.exp(d.log_prob(double(v)).item()), -80, 80, points=[logits / temperature])
    assert mass == pytest.approx(1, abs=1e-7)
    relaxed = D.RelaxedBernoulli(temperature, logits=double(logits))
    v = double(np.linspace(-8, 8, 33))
    x = v.sigmoid()
    np.testing.assert_allclose(
        relaxed.log_prob(x).numpy(), (d.log_prob(v) - x.log() - (-x).log1p()).numpy(), rtol=1e-11, atol=1e-11
    )


def test_the_relaxed_categorical_density_integrates_to_one():
    # over the logarithms of two ratios, for which the simplex is the plane, by the trapezoidal rule
    step = 0.25
    v = np.arange(-50, 50, step)
    ratios = double(np.stack([*np.meshgrid(v, v), np.zeros((len(v), len(v)))], -1))
    logs = ratios.log_softmax(-1)
    for temperature in (0.8, 2.0):
        d = D.RelaxedOneHotCategorical(temperature, double([0.2, 0.3, 0.5]))
        density = (d.log_prob(logs.exp()) + logs.sum(-1)).exp()
        assert density.sum().item() * step**2 == pytest.approx(1, abs=1e-9)
        of_logs = D.ExpRelaxedCategorical(temperature, double([0.2, 0.3, 0.5])).log_prob(logs).exp()
        np.testing.assert_allclose(of_logs.numpy(), density.numpy(), rtol=1e-10)
    two = D.RelaxedOneHotCategorical(0.8, logits=double([0.4, 0.0]))
    x = double([0.1, 0.45, 0.999])
    np.testing.assert_allclose(
        two.log_prob(tg.stack([x, 1 - x], -1)).numpy(),
        D.RelaxedBernoulli(0.8, logits=double(0.4)).log_prob(x).numpy(),
        rtol=1e-12,
    )


def test_relaxed_log_prob_is_pytorchs():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    logits, x = rng.normal(size=(2, 3)), rng.uniform(0.02, 0.98, (5, 2, 3))
    theirs = torch.distributions.RelaxedBernoulli(torch.tensor(0.6, dtype=torch.float64), logits=torch.tensor(logits))
    ours = D.RelaxedBernoulli(double(0.6), logits=double(logits))
    np.testing.assert_allclose(ours.log_prob(double(x)).numpy(), theirs.log_prob(torch.tensor(x)).numpy(), rtol=1e-11)
    x = rng.dirichlet([1, 1, 1], (5, 2))
    for temperature in (0.6, [0.6]):
        t = torch.tensor(temperature, dtype=torch.float64)
        theirs = torch.distributions.RelaxedOneHotCategorical(t, logits=torch.tensor(logits))
        ours = D.RelaxedOneHotCategorical(double(temperature), logits=double(logits))
        assert ours.batch_shape == (2,) and ours.event_shape == (3,)
        np.testing.assert_allclose(
            ours.log_prob(double(x)).numpy(), theirs.log_prob(torch.tensor(x)).numpy(), rtol=1e-10
        )

    both = D.RelaxedOneHotCategorical(double([[0.6], [1.4]]), logits=double(logits)).log_prob(double(x))
    for row, temperature in enumerate((0.6, 1.4)):
        alone = D.RelaxedOneHotCategorical(temperature, logits=double(logits[row])).log_prob(double(x[:, row]))
        np.testing.assert_allclose(both[:, row].numpy(), alone.numpy(), rtol=1e-13)


@pytest.mark.parametrize(("temperature", "limit"), [(0.5, INF), (2.0, -INF)])
def test_a_relaxed_sample_that_was_rounded_has_the_limit_of_the_density(temperature, limit):
    d = D.RelaxedBernoulli(temperature, logits=double(0.7))
    assert d.log_prob(double([0.0, 1.0])).tolist() == [limit, limit]
    near = d.log_prob(double([1e-300]))
    assert math.copysign(1, near.item()) == math.copysign(1, limit) and abs(near.item()) > 300
    d = D.RelaxedOneHotCategorical(temperature, logits=double([0.7, 0.0]))
    assert d.log_prob(double([[0.0, 1.0], [1.0, 0.0]])).tolist() == [limit, limit]


def test_at_temperature_one_the_limit_is_finite():
    d = D.RelaxedBernoulli(1.0, logits=double(0.7))
    np.testing.assert_allclose(d.log_prob(double([0.0, 1.0])).numpy(), [-0.7, 0.7], rtol=1e-14)
    # three elements, two of which go to 0 at temperature 2: m = (K − m)·τ
    d = D.RelaxedOneHotCategorical(2.0, double([0.2, 0.3, 0.5]))
    found = d.log_prob(double([0.0, 0.0, 1.0])).item()
    assert found == pytest.approx(d.log_prob(double([1e-9, 1e-9, 1 - 2e-9])).item(), abs=1e-6)
    assert d.log_prob(double([0.0, 0.4, 0.6])).item() == -INF


def test_relaxed_samples_in_float32_never_have_a_nan_density():
    for temperature in (0.01, 0.5, 1.0, 3.0):
        for d in (
            D.RelaxedBernoulli(temperature, tg.tensor([0.0, 1e-30, 0.5, 1.0])),
            D.RelaxedOneHotCategorical(temperature, logits=tg.tensor([-INF, 0.0, 5.0, 60.0])),
            D.ExpRelaxedCategorical(temperature, tg.tensor([0.0, 1.0, 5.0, 6.0])),
        ):
            x = d.rsample((2000,), generator=tg.Generator().manual_seed(1))
            if isinstance(d, D.ExpRelaxedCategorical):
                x = tg.where(x == -INF, 0.0, x)
            assert not np.isnan(d.log_prob(x).numpy()).any(), (d, temperature)
            assert x.dtype == tg.float32


def test_gradient_reaches_logits_probabilities_and_temperature_through_relaxed_samples():
    torch_like = tg.Generator().manual_seed(3)
    for kind, base in ((D.RelaxedBernoulli, [0.3, 0.6, 0.1]), (D.RelaxedOneHotCategorical, [0.3, 0.6, 0.1])):
        for name in ("probs", "logits"):
            parameter, temperature = double(base, grad=True), double([0.7], grad=True)
            state = torch_like.get_state()

            def draw(parameter, temperature, kind=kind, name=name, state=state):
                g = tg.Generator().set_state(state)
                return kind(temperature, **{name: parameter}).rsample((4,), generator=g)

            assert gradcheck(draw, [parameter, temperature])
            d = kind(temperature, **{name: parameter})
            assert d.reparameterized == {name: True, "temperature": True}
            assert d.rsample().requires_grad and not d.sample().requires_grad
            text = get_graph(d.rsample())
            assert ("logistic" if kind is D.RelaxedBernoulli else "gumbel") in text


def test_impossible_outcomes_leave_relaxed_samples_their_gradient():
    for d, leaf in [
        (lambda p: D.RelaxedBernoulli(0.5, p), double([0.0, 0.4, 1.0], grad=True)),
        (lambda p: D.RelaxedOneHotCategorical(0.5, p), double([0.0, 0.4, 1.0], grad=True)),
        (lambda p: D.RelaxedOneHotCategorical(0.5, logits=p), double([-INF, 0.4, 1.0], grad=True)),
    ]:
        (d(leaf).rsample((3,)) * double([1.0, 2.0, 3.0])).sum().backward()
        assert np.isfinite(leaf.grad.numpy()).all() and leaf.grad[0] == 0 and leaf.grad[1] != 0


# ------------------------------------------------------------------------------------------------------ straight through


@pytest.mark.parametrize("kind", [D.BernoulliStraightThrough, D.OneHotCategoricalStraightThrough])
def test_a_straight_through_sample_is_the_sample_with_the_gradient_of_the_probabilities(kind):
    for name in ("probs", "logits"):
        leaf = double([0.2, 0.3, 0.5], grad=True)
        d = kind(**{name: leaf})
        z = d.rsample((50,))
        assert set(z.flatten().tolist()) == {0.0, 1.0}
        assert d.log_prob(z.detach()).shape == ((50, 3) if kind is D.BernoulliStraightThrough else (50,))
        weights = double(np.random.default_rng(0).normal(size=(50, 3)))
        (z * weights).sum().backward()
        found = leaf.grad.tolist()
        leaf.grad = None
        (d.probs * weights).sum().backward()
        np.testing.assert_allclose(found, leaf.grad.tolist(), rtol=1e-12)
        text = get_graph(d.rsample())
        assert "as intended" in text and f"{kind.__name__}.sample" in text


# ------------------------------------------------------------------------------------------------------ stops and errors


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda t: D.Bernoulli(t), ["BernoulliStraightThrough", "RelaxedBernoulli(temperature", "enumerate_support"]),
        (lambda t: D.Binomial(3, t), ["RelaxedBernoulli(temperature", "BernoulliStraightThrough", "enumerate_support"]),
        (
            lambda t: D.Categorical(t),
            ["RelaxedOneHotCategorical(", "OneHotCategoricalStraightThrough", "enumerate_support"],
        ),
        (
            lambda t: D.OneHotCategorical(t),
            ["OneHotCategoricalStraightThrough", "RelaxedOneHotCategorical(", "enumerate"],
        ),
        (lambda t: D.Multinomial(3, t), ["RelaxedOneHotCategorical(", "OneHotCategoricalStraightThrough"]),
        (lambda t: D.Poisson(t), []),
        (lambda t: D.Geometric(t), []),
        (lambda t: D.NegativeBinomial(3, t), []),
    ],
)
def test_a_sample_says_what_leads_around_its_stop(make, expected):
    d = make(double([0.2, 0.5], grad=True))
    stop = next(iter(d.stops.values()))
    assert stop.kind == "missing" and f"{type(d).__name__}.sample()" in stop.reason
    remedies = " / ".join(stop.remedies)
    assert all(text in remedies for text in [*expected, "log_prob"])
    with pytest.raises(NotImplementedError, match="log_prob"):
        d.rsample()
    z = d.sample().to(tg.float64) * double(2.0, grad=True)
    cut = next(s for sources in z.grad_fn.sources if sources for s in sources)
    assert cut.kind == "cut" and cut.stop.remedies == stop.remedies


def test_the_remedies_of_straight_through_do_not_call_themselves_unbiased():
    first, *others = D.BernoulliStraightThrough(0.5).stops["probs"].remedies
    assert first == "BernoulliStraightThrough(…).rsample(), straight through (biased)"
    assert not any("StraightThrough" in text for text in others)


def test_the_remedies_run():
    probs = double([0.2, 0.5, 0.3], grad=True)
    temperature, total_count = 0.5, 4
    scope = {**vars(D), "probs": probs, "temperature": temperature, "total_count": total_count}
    for d in (D.Bernoulli, D.Binomial, D.Categorical, D.OneHotCategorical, D.Multinomial):
        for remedy in d.remedies:
            code = remedy.partition(": ")[2].removesuffix(", a vector")
            assert eval(code, scope).requires_grad, remedy


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: D.Bernoulli(tg.tensor([0.5, 1.5])), r"Bernoulli: probs must be between 0 and 1, but \[1\] is 1.5"),
        (lambda: D.Bernoulli(logits=math.nan), "Bernoulli: logits must be a number, but it is nan"),
        (lambda: D.Bernoulli(), "Bernoulli: give either probs or logits; neither"),
        (lambda: D.Geometric(0.5, 0.5), "Geometric: give either probs or logits; both"),
        (lambda: D.Geometric(tg.tensor([0.5, 0.0])), r"Geometric: probs must be greater than 0.*\[1\] is 0"),
        (lambda: D.Geometric(logits=-INF), "Geometric: logits must be greater than -inf"),
        (lambda: D.NegativeBinomial(2, 1.0), "NegativeBinomial: probs must be at least 0 and less than 1, but it is 1"),
        (lambda: D.NegativeBinomial(2, logits=INF), "NegativeBinomial: logits must be less than inf"),
        (lambda: D.NegativeBinomial(-1.0, 0.5), "NegativeBinomial: total_count must be at least 0, but it is -1"),
        (lambda: D.Binomial(1.5, 0.5), "Binomial: total_count must be a whole number, at least 0, but it is 1.5"),
        (lambda: D.Binomial(tg.ones(2), tg.ones(3)), "Binomial: the parameters do not broadcast"),
        (lambda: D.Categorical(tg.tensor([0.5, -0.5])), r"Categorical: probs must be weights.*\[1\] is -0.5"),
        (lambda: D.Categorical(tg.tensor([[1.0, 1.0], [0.0, 0.0]])), r"Categorical: probs must have a positive.*\[1\]"),
        (lambda: D.Categorical(logits=tg.tensor([0.0, INF])), r"Categorical: logits must be numbers, or −inf, but \[1\]"),
        (lambda: D.Categorical(logits=tg.tensor([-INF, -INF])), "Categorical: logits must not all be −inf"),
        (lambda: D.Categorical(0.5), "Categorical: probs must have at least 1 dimension"),
        (lambda: D.Multinomial(-1, tg.ones(2)), "Multinomial: total_count must not be negative, and is -1"),
        (lambda: D.RelaxedBernoulli(0.0, 0.5), "RelaxedBernoulli: temperature must be positive, but it is 0"),
        (lambda: D.RelaxedOneHotCategorical(-1.0, tg.ones(2)), r"temperature must be positive and finite, but \[0\] is -1"),
        (lambda: D.RelaxedOneHotCategorical(tg.ones(2), tg.ones(2)), "temperature must be a number, or have a last dim"),
        (lambda: D.Poisson(-1.0), "Poisson: rate must be at least 0, but it is -1"),
        (lambda: D.Poisson(INF), "Poisson: rate must be finite, but it is inf"),
        (lambda: D.Poisson(1.0).log_prob(tg.tensor(1.5)), r"Poisson.log_prob\(\): value must be a whole number.* 1.5"),
        (lambda: D.Poisson(1.0).cdf(tg.tensor(-1.0)), r"Poisson.cdf\(\): value must be a whole number.* -1"),
        (lambda: D.Binomial(3, 0.5).log_prob(tg.tensor(4.0)), r"Binomial.log_prob\(\): value must be .* 3.* 4"),
        (lambda: D.Categorical(tg.ones(3)).log_prob(tg.tensor(3)), r"Categorical.log_prob\(\): value must be .* 2.* 3"),
        (lambda: D.Multinomial(3, tg.ones(2)).log_prob(tg.tensor([1.0, 1.0])), "counts that sum to 3"),
    ],
)  # fmt: skip
def test_errors_name_the_parameter_and_the_value(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_without_validation_values_outside_have_no_probability():
    options = {"validate_args": False}
    assert D.Binomial(3, 0.5, **options).log_prob(tg.tensor([-1.0, 4.0])).tolist() == [-INF, -INF]
    assert D.Poisson(2.0, **options).log_prob(tg.tensor(-1.0)).item() == -INF
    for d in (D.Binomial(3, 0.5, **options), D.Poisson(2.0, **options), D.Geometric(0.5, **options)):
        assert d.cdf(tg.tensor(-0.5)).item() == 0
        assert d.cdf(tg.tensor(1.7)).item() == d.cdf(tg.tensor(1.0)).item()
    assert D.Binomial(3, 0.5, **options).cdf(tg.tensor([3.0, 9.0])).tolist() == [1, 1]


def test_parameters_stay_as_they_were_given_and_the_other_name_is_computed():
    p = double([0.25, 1.0], grad=True)
    assert D.Bernoulli(p).probs is p and D.Bernoulli(logits=p).logits is p
    assert D.Bernoulli(p).logits.tolist() == [math.log(1 / 3), INF]
    assert D.Bernoulli(p).param_shape == (2,)
    weights = double([1.0, 3.0])
    np.testing.assert_allclose(D.Categorical(weights).probs.numpy(), [0.25, 0.75], rtol=1e-15)
    np.testing.assert_allclose(D.Categorical(logits=weights.log()).probs.numpy(), [0.25, 0.75], rtol=1e-15)
    np.testing.assert_allclose(D.Categorical(weights).logits.exp().numpy(), [0.25, 0.75], rtol=1e-15)


def test_sums_over_the_support_are_exact_expectations_with_their_gradient():
    for make, parameter in (
        (lambda p: D.Bernoulli(p), [0.2, 0.7]),
        (lambda p: D.Binomial(5, p), [0.2, 0.7]),
        (lambda p: D.Categorical(p), [[0.2, 0.8], [0.6, 0.4]]),
    ):
        leaf = double(parameter, grad=True)
        d = make(leaf)
        values = d.enumerate_support()
        assert values.shape[1:] == d.batch_shape
        (values**2 * d.log_prob(values).exp()).sum().backward()
        found = leaf.grad.numpy().copy()
        leaf.grad = None
        expected = (d.variance + d.mean**2).sum() if not isinstance(d, D.Categorical) else d.probs[:, 1].sum()
        expected.backward()
        np.testing.assert_allclose(found, leaf.grad.numpy(), rtol=1e-12, atol=1e-15)
