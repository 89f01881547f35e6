"""Estimators: unbiased gradients of the known variances, of any order, and errors for what would be wrong.

Monte-Carlo tests are z-tests on fixed seeds: a bound of 4.5 standard errors fails by chance once in 150,000 times. Where many
independent estimates are needed at once, the parameter is a tensor of equal numbers, each with an estimate and a gradient of its
own.
"""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

import tinygrad_rp as tg
from tinygrad_rp import distributions as D
from tinygrad_rp import estimators
from tinygrad_rp.estimators import (
    Baseline,
    ConstantBaseline,
    Estimator,
    LeaveOneOut,
    MovingAverage,
    Pathwise,
    ScoreFunction,
)

MANY = 200_000
BOUND = 4.5

ALL = {
    "score function": lambda: ScoreFunction(),
    "constant": lambda: ScoreFunction(1.5),
    "moving average": lambda: ScoreFunction(MovingAverage()),
    "leave one out": lambda: ScoreFunction(LeaveOneOut()),
    "pathwise": lambda: Pathwise(),
}
SCORES = [name for name in ALL if name != "pathwise"]


def leaf(value, *shape):
    return tg.full(shape, float(value), dtype=tg.float64, requires_grad=True)


def seeded(seed=0):
    return tg.Generator().manual_seed(seed)


def gradients(estimator, cost, make, parameters, num_samples=1, many=MANY, seed=0):
    """Independent estimates, and gradients by each of the parameters."""
    leaves = [leaf(value, many) for value in parameters]
    estimate = estimator(cost, make(*leaves), num_samples, generator=seeded(seed))
    found = tg.autograd.grad(estimate.sum(), leaves)
    return estimate.detach().numpy(), *(g.numpy() for g in found)


def z_of_mean(x, truth):
    return (x.mean() - truth) / (x.std(ddof=1) / math.sqrt(x.size))


def z_of_variance(x, truth):
    away = (x - x.mean()) ** 2
    return (away.mean() - truth) / (away.std(ddof=1) / math.sqrt(x.size))


def assert_mean(x, mean):
    if x.std() < 1e-9 * abs(mean):  # all are the same
        np.testing.assert_allclose(x, mean, rtol=1e-9)
    else:
        assert abs(z_of_mean(x, mean)) < BOUND


def assert_moments(x, mean, variance):
    assert_mean(x, mean)
    assert abs(z_of_variance(x, variance)) < BOUND


# -------------------------------------------------------------------------------------------------- the closed forms


MU, SIGMA, K = 1.5, 0.8, 0.4
A = MU - K
GAUSSIAN = [  # (x − k)² for N(μ, σ²): the estimator, and the variance of one sample by μ and by σ
    (ScoreFunction(), A**4 / SIGMA**2 + 14 * A**2 + 15 * SIGMA**2, 2 * A**4 / SIGMA**2 + 60 * A**2 + 74 * SIGMA**2),
    (ScoreFunction(A**2 + 3 * SIGMA**2), 8 * A**2 + 6 * SIGMA**2, None),
    (ScoreFunction(A**2 + 5 * SIGMA**2), None, 40 * A**2 + 24 * SIGMA**2),
    (Pathwise(), 4 * SIGMA**2, 4 * A**2 + 8 * SIGMA**2),
]


@pytest.mark.parametrize(("estimator", "by_mu", "by_sigma"), GAUSSIAN, ids=lambda v: repr(v))
def test_gaussian_gradients_of_a_square_have_the_known_moments(estimator, by_mu, by_sigma):
    _, g, h = gradients(estimator, lambda x: (x - K) ** 2, D.Normal, (MU, SIGMA))
    for found, mean, variance in ((g, 2 * A, by_mu), (h, 2 * SIGMA, by_sigma)):
        if variance is None:
            assert_mean(found, mean)
        else:
            assert_moments(found, mean, variance)


def test_the_gaussian_of_the_notes_has_the_known_gradients_and_spreads():
    square, make = (lambda z: z**2), D.Normal
    _, by_mu, by_sigma = gradients(Pathwise(), square, make, (12.0, 42.0))
    assert_moments(by_mu, 24.0, 84.0**2)
    assert_moments(by_sigma, 84.0, 4 * 12.0**2 + 8 * 42.0**2)
    _, by_mu, _ = gradients(ScoreFunction(), square, make, (12.0, 42.0))
    assert_moments(by_mu, 24.0, 12.0**4 / 42.0**2 + 14 * 12.0**2 + 15 * 42.0**2)


@pytest.mark.parametrize(("estimator", "variance"), [(Pathwise(), 80.0), (ScoreFunction(), 488.0)], ids=repr)
def test_exponential_gradients_of_a_square_have_the_known_moments(estimator, variance):
    rate = 1.3
    _, g = gradients(estimator, lambda z: z**2, D.Exponential, (rate,), many=1_000_000)
    assert_moments(g, -4 / rate**3, variance / rate**6)


T = 0.45
DELTA = 1 - 2 * T


def bernoulli(theta):
    return D.Bernoulli(logits=theta)


@pytest.mark.parametrize("p", [0.5, 0.2])
def test_bernoulli_gradients_have_the_known_moments(p):
    theta, q = math.log(p / (1 - p)), 1 - p
    truth = DELTA * p * q

    def cost(b):
        return (b - T) ** 2

    _, one = gradients(ScoreFunction(), cost, bernoulli, (theta,))
    assert_moments(one, truth, p * q**2 * (1 - T) ** 4 + q * p**2 * T**4 - truth**2)
    _, two = gradients(ScoreFunction(LeaveOneOut()), cost, bernoulli, (theta,), num_samples=2)
    assert_moments(two, truth, DELTA**2 * p * q * (0.5 - p * q))


def test_where_the_cost_is_a_narrow_peak_the_score_function_has_the_lower_variance():
    x = np.linspace(-9, 11, 400_001)
    density = np.exp(-((x - 1) ** 2) / 2) / math.sqrt(2 * math.pi)

    def mean(values):
        return float((values * density).sum() * (x[1] - x[0]))

    def cost(z):
        return (-10 * z**2).exp()

    f = np.exp(-10 * x**2)
    truth = mean(f * (x - 1))
    for estimator, slopes, known in ((ScoreFunction(), f * (x - 1), 0.077), (Pathwise(), -20 * x * f, 0.942)):
        variance = mean(slopes**2) - truth**2
        assert round(variance, 3) == known
        _, g, _ = gradients(estimator, cost, D.Normal, (1.0, 1.0))
        assert_moments(g, truth, variance)


def test_straight_through_stands_in_the_same_shape_with_the_bias_that_it_declares():
    p = leaf(0.25)
    estimate = Pathwise()(lambda y: y**3, D.BernoulliStraightThrough(p), 100_000, generator=seeded())
    (g,) = tg.autograd.grad(estimate, p)
    assert g.item() == pytest.approx(0.75, abs=BOUND * 3 * math.sqrt(0.25 * 0.75 / 100_000))  # the truth is 1


# ------------------------------------------------------------------------------------------------ value and gradient


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
@pytest.mark.parametrize("name", ALL)
def test_the_value_is_exactly_the_mean_of_the_costs_each_time(name, dtype):
    estimator, seen = ALL[name](), []
    loc = tg.tensor([0.1, -2.0, 30.0], dtype=dtype, requires_grad=True)

    def cost(z):
        seen.append(z.exp() / 3 - 7)
        return seen[-1]

    for seed in range(3):
        estimate = estimator(cost, D.Normal(loc, 1.5), 7, generator=seeded(seed))
        assert estimate.dtype == dtype and estimate.shape == (3,)
        assert estimate.tolist() == seen[-1].mean(0).tolist()
    assert len(seen) == 3


@pytest.mark.parametrize("name", ALL)
def test_a_cost_of_another_dtype_keeps_it(name):
    loc = leaf(0.5)
    estimate = ALL[name]()(lambda z: (z**2).float(), D.Normal(loc, 1.0), 5, generator=seeded())
    assert estimate.dtype == tg.float32
    assert tg.autograd.grad(estimate, loc)[0].dtype == tg.float64


def test_the_gradient_of_the_score_function_is_the_sum_that_the_formula_says():
    mu, theta = leaf(0.7), leaf(2.0)
    for baseline, subtracted in ((None, lambda c: 0.0), (LeaveOneOut(), lambda c: (c.sum() - c) / (c.size - 1))):
        estimate = ScoreFunction(baseline)(lambda z: theta * z**2, D.Normal(mu, 1.5), 6, generator=seeded(3))
        z = D.Normal(mu, 1.5).sample((6,), generator=seeded(3)).numpy()
        cost, score = 2.0 * z**2, (z - 0.7) / 1.5**2
        by_mu, by_theta = tg.autograd.grad(estimate, [mu, theta])
        assert by_mu.item() == pytest.approx(((cost - subtracted(cost)) * score).mean(), rel=1e-13)
        assert by_theta.item() == pytest.approx((z**2).mean(), rel=1e-14)


def test_the_gradient_of_the_pathwise_estimator_is_that_of_the_mean():
    mu, sigma = leaf(0.7), leaf(1.5)
    estimate = Pathwise()(lambda z: z**3, D.Normal(mu, sigma), 6, generator=seeded(3))
    eps = (D.Normal(mu, sigma).sample((6,), generator=seeded(3)).numpy() - 0.7) / 1.5
    z = 0.7 + 1.5 * eps
    by_mu, by_sigma = tg.autograd.grad(estimate, [mu, sigma])
    assert by_mu.item() == pytest.approx((3 * z**2).mean(), rel=1e-13)
    assert by_sigma.item() == pytest.approx((3 * z**2 * eps).mean(), rel=1e-13)


@pytest.mark.parametrize("name", ALL)
def test_noise_comes_from_the_generator_alone(name):
    loc = leaf(0.5, 3)

    def draw(generator):
        return ALL[name]()(lambda z: z**2, D.Normal(loc, 1.0), 5, generator=generator).tolist()

    tg.manual_seed(1)
    first = draw(None)
    own = draw(seeded(2))
    assert draw(seeded(2)) == own != first
    tg.manual_seed(1)
    assert draw(None) == first


@pytest.mark.parametrize("name", ALL)
def test_a_cost_that_changes_the_sample_in_place_does_not_make_the_gradient_wrong(name):
    """The score is that of the sample as it was drawn, which is gone then."""

    def gradient(cost):
        loc = leaf(0.5, 3)
        ALL[name]()(cost, D.Normal(loc, 1.0), 5, generator=seeded()).sum().backward()
        return loc.grad.tolist()

    if name == "pathwise":
        assert gradient(lambda z: z.mul_(2.0) ** 2) == gradient(lambda z: (2.0 * z) ** 2)
    else:
        with pytest.raises(RuntimeError, match=r"NormalLogProbBackward0.* was changed in place by mul_\(\)"):
            gradient(lambda z: z.mul_(2.0) ** 2)


@pytest.mark.parametrize("name", ALL)
def test_an_estimate_without_grad_is_a_number(name):
    loc = leaf(0.5)
    with tg.no_grad():
        assert not ALL[name]()(lambda z: (z > 0).float(), D.Normal(loc, 1.0), 5).requires_grad
    assert not ALL[name]()(lambda z: z**2, D.Normal(0.5, 1.0), 5).requires_grad


# ---------------------------------------------------------------------------------------------- derivatives of any order


@pytest.mark.parametrize("name", ALL)
def test_derivatives_are_unbiased_up_to_the_third_also_by_the_parameters_of_the_cost(name):
    """E θz² = θ³ + θ for z ~ N(θ, 1): θ stands in the distribution and in the cost, and the derivatives mix."""
    theta = leaf(1.2, 40_000)
    estimator = ALL[name]()
    if name == "moving average":  # an average that is not 0
        estimator(lambda z: theta * z**2, D.Normal(theta, 1.0), 3, generator=seeded(9))
    found = estimator(lambda z: theta * z**2, D.Normal(theta, 1.0), 3, generator=seeded())
    assert_mean(found.detach().numpy(), 1.2**3 + 1.2)
    for truth in (3 * 1.2**2 + 1, 6 * 1.2, 6.0):
        (found,) = tg.autograd.grad(found.sum(), theta, create_graph=True)
        assert_mean(found.detach().numpy(), truth)


@pytest.mark.parametrize("name", SCORES)
def test_second_derivatives_by_the_logit_of_a_coin_are_unbiased(name):
    p = 0.2
    theta = leaf(math.log(p / (1 - p)), 40_000)
    estimate = ALL[name]()(lambda b: (b - T) ** 2, D.Bernoulli(logits=theta), 3, generator=seeded())
    (first,) = tg.autograd.grad(estimate.sum(), theta, create_graph=True)
    (second,) = tg.autograd.grad(first.sum(), theta)
    assert_mean(first.detach().numpy(), DELTA * p * (1 - p))
    assert_mean(second.numpy(), DELTA * p * (1 - p) * (1 - 2 * p))


def test_an_estimate_within_the_cost_of_another_has_the_gradient_of_both():
    """E (z + y)² for z ~ N(θ, 1) and then y ~ N(θz, 1): (1 + θ)²(θ² + 1) + 1."""
    theta = leaf(0.6, 40_000)

    def cost(z):
        inner = ScoreFunction()(lambda y: (z + y[0]).unsqueeze(0) ** 2, D.Normal(theta * z, 1.0), generator=seeded(1))
        return inner

    found = ScoreFunction()(cost, D.Normal(theta, 1.0), generator=seeded())
    polynomial = np.poly1d([1, 1]) ** 2 * np.poly1d([1, 0, 1]) + 1
    for order in range(3):
        assert_mean(found.detach().numpy(), polynomial.deriv(order)(0.6))
        (found,) = tg.autograd.grad(found.sum(), theta, create_graph=True)


# --------------------------------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("name", ALL)
def test_costs_may_be_of_each_distribution_of_some_or_of_all_together(name):
    loc = tg.tensor(np.linspace(-1, 1, 6).reshape(2, 3), requires_grad=True)
    squares = (loc.detach() ** 2 + 1).numpy()
    for cost, shape, truth in (
        (lambda z: z**2, (2, 3), squares),
        (lambda z: (z**2).sum(-1), (2,), squares.sum(-1)),
        (lambda z: (z**2).sum((-1, -2)), (), squares.sum()),
    ):
        estimate = ALL[name]()(cost, D.Normal(loc, 1.0), 50_000, generator=seeded())
        assert estimate.shape == shape
        np.testing.assert_allclose(estimate.detach().numpy(), truth, atol=0.15)
        (g,) = tg.autograd.grad(estimate.sum(), loc)
        np.testing.assert_allclose(g.numpy(), 2 * loc.detach().numpy(), atol=0.25)


@pytest.mark.parametrize("name", ALL)
def test_a_cost_that_joins_a_batch_has_unbiased_gradients(name):
    """(z₁·z₂)² for z ~ N(μ, 1), many times: the cost has no dimension for the pair."""
    mu = tg.tensor(np.tile([0.5, -0.7], (40_000, 1)), requires_grad=True)
    estimate = ALL[name]()(lambda z: z.prod(-1) ** 2, D.Normal(mu, 1.0), 3, generator=seeded())
    (g,) = tg.autograd.grad(estimate.sum(), mu)
    assert_mean(g.numpy()[:, 0], 2 * 0.5 * (0.7**2 + 1))
    assert_mean(g.numpy()[:, 1], -2 * 0.7 * (0.5**2 + 1))


@pytest.mark.parametrize("name", ALL)
def test_events_have_one_cost(name):
    mu = tg.tensor(np.tile([0.5, -0.7], (40_000, 1)), requires_grad=True)
    factor = tg.tensor([[1.0, 0.0], [0.6, 0.8]], dtype=tg.float64)
    for d in (D.MultivariateNormal(mu, scale_tril=factor), D.Independent(D.Normal(mu, 1.0), 1)):
        estimate = ALL[name]()(lambda z: (z**2).sum(-1), d, 2, generator=seeded())
        assert estimate.shape == (40_000,)
        (g,) = tg.autograd.grad(estimate.sum(), mu)
        assert_mean(g.numpy()[:, 0], 1.0)
        assert_mean(g.numpy()[:, 1], -1.4)


@pytest.mark.parametrize("name", SCORES)
def test_discrete_samples_and_mixtures_have_unbiased_gradients(name):
    many, costs = 40_000, np.array([1.0, -2.0, 5.0])
    logits = tg.tensor(np.tile([0.3, -0.2, 0.1], (many, 1)), requires_grad=True)
    p = np.exp([0.3, -0.2, 0.1]) / np.exp([0.3, -0.2, 0.1]).sum()
    truth = p * (costs - p @ costs)
    table = tg.tensor(costs)
    mixed = D.MixtureSameFamily(D.Categorical(logits=logits), D.Normal(tg.tensor(np.tile(costs, (many, 1))), 1.0))
    for d, cost in (
        (D.Categorical(logits=logits), lambda i: table[i.long()]),
        (D.OneHotCategorical(logits=logits), lambda x: (x * table).sum(-1)),
        (mixed, lambda z: z),
    ):
        estimate = ALL[name]()(cost, d, 2, generator=seeded())
        (g,) = tg.autograd.grad(estimate.sum(), logits)
        for k in range(3):
            assert_mean(g.numpy()[:, k], truth[k])


# -------------------------------------------------------------------------------------------------------------- baselines


def test_a_moving_average_subtracts_what_it_knew_before():
    average = MovingAverage(decay=0.75)
    assert average.value == 0.0
    mu, known = leaf(0.7), 0.0
    for seed in range(4):
        estimate = ScoreFunction(average)(lambda z: z**2, D.Normal(mu, 1.5), 3, generator=seeded(seed))
        z = D.Normal(mu, 1.5).sample((3,), generator=seeded(seed)).numpy()
        (g,) = tg.autograd.grad(estimate, mu)
        assert g.item() == pytest.approx(((z**2 - known) * (z - 0.7) / 1.5**2).mean(), rel=1e-12)
        known = (z**2).mean() if seed == 0 else 0.75 * known + 0.25 * (z**2).mean()
        assert average.value.item() == pytest.approx(known, rel=1e-14)
    average.reset()
    assert average.value == 0.0


def test_a_moving_average_without_memory_is_unbiased_since_it_does_not_know_the_present_sample():
    """With decay 0 and one sample, an average that knew the present one would subtract the cost itself: no gradient at all."""
    estimator = ScoreFunction(MovingAverage(decay=0.0))
    for seed in range(3):
        _, g, _ = gradients(estimator, lambda x: (x - K) ** 2, D.Normal, (MU, SIGMA), seed=seed)
        # at first nothing is subtracted, then the cost of another sample: it varies by 4a²σ² + 2σ⁴ around a² + σ²
        assert_moments(g, 2 * A, 12 * A**2 + 12 * SIGMA**2 if seed else GAUSSIAN[0][1])


def test_a_baseline_that_knew_the_present_sample_would_be_biased():
    class OfItself(Baseline):
        def of(self, costs):
            return costs.mean(0).detach()

    _, g, _ = gradients(ScoreFunction(OfItself()), lambda x: (x - K) ** 2, D.Normal, (MU, SIGMA), num_samples=2)
    assert abs(z_of_mean(g, 2 * A)) > 50
    assert_mean(g, 2 * A / 2)  # smaller by 1 − 1/n


def test_a_moving_average_is_one_for_each_distribution_of_the_batch():
    average = MovingAverage()
    loc = tg.tensor([0.0, 100.0], requires_grad=True)
    ScoreFunction(average)(lambda z: z, D.Normal(loc, 1.0), 1000, generator=seeded())
    np.testing.assert_allclose(average.value.numpy(), [0.0, 100.0], atol=0.2)


def test_costs_that_are_not_finite_do_not_move_an_average():
    average = MovingAverage(0.5)
    estimator, d = ScoreFunction(average), D.Normal(0.0, 1.0)
    costs = iter([[2.0, 2.0], [math.inf, 4.0], [math.nan, math.nan], [4.0, 4.0]])
    for expected in (2.0, 2.0, 2.0, 3.0):
        estimator(lambda z: tg.tensor(next(costs)), d, 2)
        assert average.value.item() == expected


def test_estimators_share_nothing():
    first, second = ScoreFunction(MovingAverage()), ScoreFunction(MovingAverage())
    first(lambda z: z**2, D.Normal(0.0, 1.0), 5)
    assert first.baseline.value.item() > 0.0 == second.baseline.value
    again = pickle.loads(pickle.dumps(first))
    assert again.baseline.value.item() == first.baseline.value.item()
    again.baseline.reset()
    assert first.baseline.value.item() > 0.0


def test_a_cost_that_raises_leaves_the_average_as_it_was():
    estimator = ScoreFunction(MovingAverage())
    estimator(lambda z: z**2, D.Normal(0.0, 1.0), 5)
    before = estimator.baseline.value.item()
    with pytest.raises(ZeroDivisionError):
        estimator(lambda z: 1 / 0, D.Normal(0.0, 1.0), 5)
    with pytest.raises(ValueError, match="shape"):
        estimator(lambda z: z.mean(), D.Normal(0.0, 1.0), 5)
    assert estimator.baseline.value.item() == before


def test_a_constant_baseline_may_differ_within_the_batch():
    theta = leaf(0.0, 2)
    estimator = ScoreFunction(tg.tensor([0.0, 100.0]))
    estimate = estimator(lambda z: z * 0 + 100.0, D.Normal(theta, 1.0), 50, generator=seeded())
    first, second = tg.autograd.grad(estimate.sum(), theta)[0].tolist()
    assert estimate.tolist() == [100.0, 100.0] and second == 0.0 != first


# ------------------------------------------------------------------------------------------------------- what they declare


CLASSES = [
    c for c in vars(estimators).values() if isinstance(c, type) and issubclass(c, Estimator) and c is not Estimator
]


@pytest.mark.parametrize("make", [*CLASSES, *ALL.values()])
def test_an_estimator_declares_its_facts(make):
    estimator = make()
    assert isinstance(estimator.name, str) and estimator.bias.startswith(("unbiased", "biased"))
    assert estimator.needs and set(estimator.needs) <= {"log_prob", "rsample", "enumerate_support"}
    assert isinstance(estimator.higher_derivatives, bool)
    assert eval(repr(estimator), vars(estimators)).name == estimator.name


@pytest.mark.parametrize("make", CLASSES)
def test_an_estimator_does_what_it_declares(make):
    """E z² for z ~ N(θ, 1), or a coin where values are listed: any estimator that is added is held to this."""
    estimator, theta, p = make(), leaf(0.4, 40_000), 1 / (1 + math.exp(-0.4))
    d, truths = D.Normal(theta, 1.0), [0.4**2 + 1, 0.8, 2.0]
    if "enumerate_support" in estimator.needs:
        d, truths = D.Bernoulli(logits=theta), [p, p * (1 - p), p * (1 - p) * (1 - 2 * p)]
    estimate = estimator(lambda z: z**2, d, 4, generator=seeded())
    assert_mean(estimate.detach().numpy(), truths[0])
    (first,) = tg.autograd.grad(estimate.sum(), theta, create_graph=estimator.higher_derivatives)
    assert_mean(first.detach().numpy(), truths[1])
    if estimator.higher_derivatives:
        (second,) = tg.autograd.grad(first.sum(), theta)
        assert_mean(second.numpy(), truths[2])


def test_an_estimator_is_added_by_its_facts_and_a_formula():
    class Enumerated(Estimator):
        name = "enumeration"
        bias = "unbiased"
        needs = ("enumerate_support",)
        higher_derivatives = True

        def _estimate(self, cost, distribution, num_samples, generator):
            values = distribution.enumerate_support()
            return (cost(values) * distribution.log_prob(values).exp()).sum(0)

    theta = leaf(0.0)
    estimate = Enumerated()(lambda b: (b - T) ** 2, D.Bernoulli(logits=theta))
    assert tg.autograd.grad(estimate, theta)[0].item() == pytest.approx(DELTA / 4)
    with pytest.raises(NotImplementedError, match=r"Enumerated needs enumerate_support\(\), which Normal has not"):
        Enumerated()(lambda b: b, D.Normal(theta, 1.0))


# ----------------------------------------------------------------------------------------------------------------- misuse


def normal():
    return D.Normal(tg.tensor([0.0, 1.0, 2.0], requires_grad=True), 1.0)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("cost", "d", "n", "error", "message"),
    [
        (3.0, normal, 2, TypeError, "cost must be a function of the samples, not float"),
        (lambda z: z, lambda: tg.ones(3), 2, TypeError, "distribution must be a Distribution, not Tensor"),
        (lambda z: z, normal, 2.0, TypeError, "num_samples must be an integer, not float"),
        (lambda z: z, normal, True, TypeError, "num_samples must be an integer, not bool"),
        (lambda z: z, normal, 0, ValueError, r"needs num_samples of [12] or more, and it is 0"),
        (lambda z: 3.0, normal, 2, TypeError, "cost must return a tensor, and returned float"),
        (lambda z: z.detach().numpy(), normal, 2, TypeError, "cost must return a tensor, and returned ndarray"),
        (lambda z: None, normal, 2, TypeError, "NoneType"),
        (lambda z: z > 0, normal, 2, TypeError, "cost must return floating-point numbers, not bool"),
        (lambda z: z.mean(), normal, 2, ValueError, r"of shape \[2\] or \[2, 3\], and returned shape \[\]"),
        (lambda z: z.mean(0), normal, 2, ValueError, r"returned shape \[3\] for samples of shape \[2, 3\]"),
        (lambda z: z.unsqueeze(-1), normal, 2, ValueError, r"returned shape \[2, 3, 1\]"),
        (lambda z: z[:, :1], normal, 2, ValueError, r"returned shape \[2, 1\]"),
        (
            lambda z: z,
            lambda: D.Independent(normal(), 1),
            2,
            ValueError,
            r"of shape \[2\], and returned shape \[2, 3\]",
        ),
    ],
)
def test_misuse_is_refused(name, cost, d, n, error, message):
    with pytest.raises(error, match=message):
        ALL[name]()(cost, d(), n)


def test_a_distribution_without_rsample_is_refused_with_the_remedies_of_its_stops():
    for d in (D.Bernoulli(leaf(0.3)), D.Categorical(logits=leaf(0.0, 3)), D.Poisson(leaf(2.0))):
        with pytest.raises(
            NotImplementedError, match=rf"Pathwise needs rsample\(\), which {type(d).__name__} has not"
        ) as e:
            Pathwise()(lambda z: z, d)
        for stop in d.stops.values():
            assert all(remedy in str(e.value) for remedy in stop.remedies)


def test_a_distribution_without_log_prob_is_refused():
    class Sampled(D.Distribution):
        has_rsample = True

        def __init__(self, loc):
            super().__init__(loc.shape)
            self.loc = loc

        def _rsample(self, shape, generator):
            return self.loc + tg.zeros(shape)

    with pytest.raises(NotImplementedError, match=r"ScoreFunction needs log_prob\(\), which Sampled has not"):
        ScoreFunction()(lambda z: z, Sampled(leaf(0.3)))
    assert Pathwise()(lambda z: z, Sampled(leaf(0.3)), 2).item() == pytest.approx(0.3)


def test_a_parameter_that_rsample_does_not_reach_is_refused_by_name():
    class HalfWay(D.Normal):
        reparameterized = {"loc": True, "scale": False}  # noqa: RUF012

        def _rsample(self, shape, generator):
            return self.loc + self.scale.detach() * tg.zeros(shape)

    with pytest.raises(NotImplementedError, match=r"no gradient reaches scale\. Instead: .*score function"):
        Pathwise()(lambda z: z, HalfWay(leaf(0.3), leaf(1.0)))
    assert Pathwise()(lambda z: z, HalfWay(leaf(0.5), 1.0)).item() == 0.5


@pytest.mark.parametrize("cost", [lambda z: (z > 0).float(), lambda z: z.detach() ** 2], ids=["step", "detached"])
def test_a_cost_that_no_gradient_passes_is_refused_by_the_pathwise_estimator(cost):
    with pytest.raises(ValueError, match=r"no gradient passes through cost.*Instead: ScoreFunction\(\)"):
        Pathwise()(cost, D.Normal(leaf(0.3), 1.0), 5)
    assert ScoreFunction()(cost, D.Normal(leaf(0.3), 1.0), 5).requires_grad


def test_leave_one_out_needs_two_samples():
    calls = []
    with pytest.raises(
        ValueError, match=r"ScoreFunction\(LeaveOneOut\(\)\) needs num_samples of 2 or more, and it is 1"
    ):
        ScoreFunction(LeaveOneOut())(calls.append, D.Normal(leaf(0.3), 1.0), 1)
    assert calls == []


@pytest.mark.parametrize(
    ("make", "named", "instead"),
    [
        (lambda t: D.Uniform(0.0, t), "high", "Pathwise"),
        (lambda t: D.Uniform(-t, t), "low, high", "Pathwise"),
        (lambda t: D.Pareto(t, 2.0), "scale", "Pathwise"),
        (lambda t: D.TruncatedNormal(0.0, 1.0, -1.0, t), "high", "Pathwise"),
        (lambda t: D.Independent(D.Uniform(0.0, tg.stack([t, t])), 1), "high", "Pathwise"),
        (
            lambda t: D.TransformedDistribution(D.Exponential(tg.ones(())), D.AffineTransform(t, 2.0)),
            "transforms[0].loc",
            "Pathwise",
        ),
        (
            lambda t: D.MixtureSameFamily(D.Categorical(tg.ones(2)), D.Uniform(0.0, tg.stack([t, 2 * t]))),
            "component.high",
            "Pathwise",
        ),
    ],
)
def test_samples_whose_range_moves_with_a_parameter_are_refused_by_the_score_function(make, named, instead):
    d = make(tg.tensor(1.5, requires_grad=True))
    with pytest.raises(ValueError) as error:
        ScoreFunction()(lambda z: z if not d.event_shape else z.sum(-1), d, 3)
    assert f"moves with {named}," in str(error.value) and f"Instead: {instead}" in str(error.value)
    with tg.no_grad():
        assert ScoreFunction()(lambda z: z if not d.event_shape else z.sum(-1), d, 3).shape == ()


def unit(t):
    return D.Uniform(0.0, tg.ones_like(t))


def through_infinity(t):
    return [D.SigmoidTransform().inv, D.AffineTransform(0.5, t), D.SigmoidTransform()]


PLACES = (np.arange(100_000) + 0.5) / 100_000
LOGIT = np.log(PLACES / (1 - PLACES))
SHARE = 1 / (1 + np.exp(-0.5 - 1.5 * LOGIT))


@pytest.mark.parametrize(
    ("make", "truth"),
    [
        (lambda t: D.TransformedDistribution(D.Exponential(tg.ones_like(t)), D.AffineTransform(0.0, t)), 1.0),
        (lambda t: D.TransformedDistribution(unit(t), [D.SigmoidTransform().inv, D.AffineTransform(t, 1.0)]), 1.0),
        (lambda t: D.TransformedDistribution(unit(t), through_infinity(t)), (SHARE * (1 - SHARE) * LOGIT).mean()),
        (lambda t: D.TransformedDistribution(D.Normal(t, 1.0), D.ExpTransform()), math.exp(1.5 + 0.5)),
        (lambda t: D.Gamma(t, 1.0), 1.0),
        (lambda t: D.TruncatedNormal(t, 1.0, 0.5, 2.5), None),
    ],
)  # fmt: skip
def test_samples_whose_range_stays_have_unbiased_gradients(make, truth):
    theta = leaf(1.5, 20_000)
    d = make(theta)
    if truth is None:
        truth = tg.autograd.grad(d.mean.sum(), theta)[0][0].item()
    estimate = ScoreFunction(LeaveOneOut())(lambda z: z, d, 2, generator=seeded())
    (g,) = tg.autograd.grad(estimate.sum(), theta)
    assert_mean(g.numpy(), truth)


def test_a_transform_that_remembers_its_input_does_not_cost_the_gradient():
    for cache_size in (0, 1):
        loc = leaf(0.3)
        d = D.TransformedDistribution(
            D.Normal(0.0, tg.ones((), dtype=tg.float64)), D.AffineTransform(loc, 2.0, cache_size=cache_size)
        )
        estimate = ScoreFunction()(lambda z: z**2, d, 50, generator=seeded())
        z = d.sample((50,), generator=seeded()).numpy()
        (g,) = tg.autograd.grad(estimate, loc)
        assert g.item() == pytest.approx((z**2 * (z - 0.3) / 4).mean(), rel=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ScoreFunction("mean"), TypeError, "value must be a number or a tensor, not str"),
        (lambda: ScoreFunction(True), TypeError, "not bool"),
        (lambda: ConstantBaseline(leaf(1.0)), ValueError, r"must not require grad.*detach\(\)"),
        (lambda: MovingAverage(1.0), ValueError, r"decay must lie in \[0, 1\), and is 1.0"),
        (lambda: MovingAverage(float("nan")), ValueError, "decay"),
        (
            lambda: ScoreFunction(tg.ones(4))(lambda z: z, normal(), 2),
            ValueError,
            r"value has shape \[4\], which does not broadcast with the costs of a sample, of shape \[3\]",
        ),
        (lambda: ScoreFunction(tg.ones(2, 3))(lambda z: z, normal(), 2), ValueError, r"value has shape \[2, 3\]"),
    ],
)
def test_baselines_refuse_what_would_be_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_moving_average_belongs_to_one_cost():
    estimator = ScoreFunction(MovingAverage())
    estimator(lambda z: z, normal(), 2)
    with pytest.raises(ValueError, match=r"shape \[\], and before they had \[3\].*reset\(\)"):
        estimator(lambda z: z.sum(-1), normal(), 2)
    estimator.baseline.reset()
    assert estimator(lambda z: z.sum(-1), normal(), 2).shape == ()
