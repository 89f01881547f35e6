"""Where distributions meet each other, infinities, rounding and the user's own classes."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
from scipy import stats

import tinygrad_rp as tg
from tinygrad_rp import distributions as D
from tinygrad_rp.autograd import grad, gradcheck
from tinygrad_rp.distributions import constraints
from visualize import get_graph

N = 40_000


def double(x, requires_grad=False):
    return tg.tensor(np.asarray(x, float), requires_grad=requires_grad)


# ------------------------------------------------------------------------------------------------------------------ mixtures


def shifted(shift, validate=None):
    base = D.Exponential(double([1.0, 1.0]), validate_args=validate)
    return D.TransformedDistribution(base, [D.AffineTransform(shift, 1.0)])


def mixture_cdf(cases, weights, x):
    return sum(w * case.cdf(x) for w, case in zip(weights, cases, strict=True))


@pytest.mark.parametrize("validate", [None, False])
@pytest.mark.parametrize(
    "make, parts",
    [
        (
            lambda v: D.Pareto(double([1.0, 5.0]), double([1.5, 2.5]), validate_args=v),
            [stats.pareto(1.5), stats.pareto(2.5, scale=5)],
        ),
        (
            lambda v: D.Uniform(double([0.0, 2.0]), double([3.0, 4.0]), validate_args=v),
            [stats.uniform(0, 3), stats.uniform(2, 2)],
        ),
        (lambda v: shifted(double([0.0, 5.0]), v), [stats.expon(0), stats.expon(5)]),
    ],
    ids=["Pareto", "Uniform", "shifted Exponential"],
)
def test_components_count_nothing_where_they_cannot_lie(make, parts, validate):
    weights = np.array([0.3, 0.7])
    m = D.MixtureSameFamily(D.Categorical(probs=double(weights)), make(validate), validate_args=validate)
    x = np.array([1.2, 2.5, 3.5, 6.0])
    if make(validate).support is not constraints.real and isinstance(m.support, constraints.interval):
        x = x[x <= 4]
    density = sum(w * part.pdf(x) for w, part in zip(weights, parts, strict=True))
    np.testing.assert_allclose(m.log_prob(double(x)).exp().numpy(), density, rtol=1e-12)
    np.testing.assert_allclose(m.cdf(double(x)).numpy(), mixture_cdf(parts, weights, x), rtol=1e-12)


def test_samples_of_a_mixture_of_ranges_that_differ_move_with_its_quantiles():
    logits = double([0.1, 0.4], True)
    scale = double([1.0, 5.0], True)
    m = D.MixtureSameFamily(D.Categorical(logits=logits), D.Pareto(scale, double([1.5, 2.5])))
    tg.manual_seed(0)
    z = m.rsample((200,))

    def quantiles(logits, scale, level):
        low, high = np.ones_like(level), np.full_like(level, 1e9)
        d = D.MixtureSameFamily(D.Categorical(logits=double(logits)), D.Pareto(double(scale), double([1.5, 2.5])))
        for _ in range(200):
            middle = (low + high) / 2
            above = d.cdf(double(middle)).numpy() > level
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return low

    level = m.cdf(z).detach().numpy()
    by_logits, by_scale = grad(z.sum(), (logits, scale))
    for given, found in ((0, by_logits), (1, by_scale)):
        for i in range(2):
            steps = []
            for h in (1e-6, -1e-6):
                values = [logits.detach().numpy().copy(), scale.detach().numpy().copy()]
                values[given][i] += h
                steps.append(quantiles(*values, level).sum())
            assert found[i].item() == pytest.approx((steps[0] - steps[1]) / 2e-6, rel=1e-4)


def test_gradient_of_a_mixture_reaches_parameters_inside_transforms():
    w = double(2.0, True)
    for transforms in (
        [D.AffineTransform(0.0, w)],
        [D.ComposeTransform([D.AffineTransform(0.0, w)])],
        [D.AffineTransform(0.0, 1 / w).inv],
    ):
        base = D.Normal(double([-1.0, 1.5]), double([1.0, 1.0]))
        component = D.TransformedDistribution(base, transforms)
        assert any("transforms[0]" in name for name in component.reparameterized)
        assert all(s.kind == "cut" for s in component.sample()._origin)
        m = D.MixtureSameFamily(D.Categorical(logits=double([0.0, 0.0])), component)
        tg.manual_seed(1)
        z = m.rsample((50,))
        (found,) = grad(z.sum(), w, retain_graph=True)
        # of a mixture that is only stretched, a sample moves in proportion to itself
        assert found.item() == pytest.approx(z.sum().item() / 2, rel=1e-10)


def test_second_derivatives_through_a_mixture_of_one_are_those_of_its_component():
    rate = double([2.0], True)
    m = D.MixtureSameFamily(D.Categorical(logits=double([0.0])), D.Exponential(rate))
    tg.manual_seed(2)
    z = m.rsample()
    (first,) = grad(z, rate, create_graph=True)
    (second,) = grad(first.sum(), rate)
    assert first.item() == pytest.approx(-z.item() / 2, rel=1e-12)
    assert second.item() == pytest.approx(2 * z.item() / 4, rel=1e-12)


def test_a_mixture_of_von_mises_distributions_moves_with_a_cdf_that_its_samples_have():
    logits = double([0.2, -0.4], True)
    m = D.MixtureSameFamily(D.Categorical(logits=logits), D.VonMises(double([2.9, -0.5]), double([4.0, 2.0])))
    tg.manual_seed(3)
    z = m.sample((N,))
    assert stats.kstest(m.cdf(z).detach().numpy(), "uniform").pvalue > 1e-6
    # E cos z is the mean of those of the components: z-test at 5 standard errors of its gradient by the logits
    each = logits.detach().expand(N, 2).clone().requires_grad_()
    components = D.VonMises(double([2.9, -0.5]), double([4.0, 2.0])).expand((N, 2))
    many = D.MixtureSameFamily(D.Categorical(logits=each), components)
    (found,) = grad(many.rsample().cos().sum(), each)
    means = np.cos([2.9, -0.5]) * [1 - D.VonMises(0.0, double(k)).variance.item() for k in (4.0, 2.0)]
    p = np.exp(logits.detach().numpy()) / np.exp(logits.detach().numpy()).sum()
    wanted = p * (means - (p * means).sum())
    np.testing.assert_array_less(np.abs(found.numpy().mean(0) - wanted), 5 * found.numpy().std(0) / math.sqrt(N))


def test_weights_of_zero_have_a_finite_gradient():
    p = double([1.0, 0.0], True)
    D.MixtureSameFamily(D.Categorical(probs=p), D.Normal(double([0.0, 1.0]), 1.0)).log_prob(double(0.3)).backward()
    assert np.isfinite(p.grad.numpy()).all()


def test_a_mixture_says_why_it_has_no_rsample_and_what_fits():
    d = D.Independent(D.Normal(tg.zeros(2, 3), 1.0), 1)
    with pytest.raises(NotImplementedError, match=r"not of one dimension.*sum over the components"):
        D.MixtureSameFamily(D.Categorical(logits=tg.zeros(2)), d).rsample()
    with pytest.raises(NotImplementedError, match=r"discrete.*BernoulliStraightThrough"):
        D.MixtureSameFamily(D.Categorical(logits=tg.zeros(2)), D.Bernoulli(tg.tensor([0.1, 0.2]))).rsample()
    without = D.InverseCDF(lambda u, rate: -(-u).log1p() / rate, rate=tg.ones(2))
    assert not D.MixtureSameFamily(D.Categorical(logits=tg.zeros(2)), without).has_rsample
    with pytest.raises(ValueError, match="broadcast"):
        D.MixtureSameFamily(D.Categorical(logits=tg.zeros(3, 4, 2)), D.Normal(tg.zeros(4, 2), 1.0))


# ------------------------------------------------------------------------------------------------------ rounding, infinities


def test_open_ends_of_a_truncated_normal_leave_no_nan_in_gradients():
    for low, high in ((0.0, math.inf), (-math.inf, 1.0), (-math.inf, math.inf)):
        for value in (lambda d: d.log_prob(double(0.5)), lambda d: d.cdf(double(0.5)), lambda d: d.icdf(double(0.3)),
                      lambda d: d.mean, lambda d: d.variance, lambda d: d.entropy()):  # fmt: skip
            assert gradcheck(
                lambda loc, scale, value=value, low=low, high=high: value(D.TruncatedNormal(loc, scale, low, high)),
                [double(0.2, True), double(1.3, True)],
            )


@pytest.mark.parametrize(
    "make",
    [
        lambda t: D.Beta(t * 0.01, t * 0.01),
        lambda t: D.Dirichlet(t.reshape(1).expand(4) * 0.01),
        lambda t: D.Weibull(t, t * 0.02),
        lambda t: D.LogNormal(t, t * 60.0),
        lambda t: D.Pareto(t, t * 0.01),
        lambda t: D.Kumaraswamy(t * 0.01, t * 0.01),
        lambda t: D.InverseGamma(t * 0.001, t),
        lambda t: D.FisherSnedecor(t * 0.001, t * 0.001),
        lambda t: D.StudentT(t * 0.01, t, t),
        lambda t: D.RelaxedBernoulli(t * 0.05, logits=t),
        lambda t: D.RelaxedOneHotCategorical(t * 0.05, logits=t * tg.tensor([0.0, 1.0, 2.0])),
        lambda t: D.TransformedDistribution(D.Normal(t * 0, t * 20), [D.SigmoidTransform()]),
    ],
)
def test_samples_at_the_ends_of_float32_stay_in_the_support_with_finite_gradients(make):
    t = tg.tensor(1.0, requires_grad=True)
    d = make(t)
    tg.manual_seed(4)
    z = d.rsample((2000,))
    assert np.isfinite(z.detach().numpy()).all()
    assert np.isfinite(d.log_prob(z.detach()).detach().numpy()).all()
    (g,) = grad(z.sum() * 1e-38, t)
    assert np.isfinite(g.numpy()).all()


def test_large_parameters_in_float32_keep_the_digits_of_derivatives():
    def slope(function, x):
        x = tg.tensor(x, requires_grad=True)
        return grad(function(x), x)[0].item()

    assert slope(D.Gamma(1e6, 1e6).cdf, 1.0) == pytest.approx(stats.gamma(1e6, scale=1e-6).pdf(1.0), rel=1e-5)
    assert slope(D.StudentT(1e8).cdf, 0.5) == pytest.approx(stats.norm.pdf(0.5), rel=1e-5)
    assert slope(D.Beta(1e5, 1e5).icdf, 0.5) == pytest.approx(1 / stats.beta(1e5, 1e5).pdf(0.5), rel=1e-5)
    assert D.StudentT(1e6).log_prob(tg.tensor(0.0)).item() == pytest.approx(stats.t(1e6).logpdf(0), rel=1e-6)


def test_far_out_and_at_the_ends_distribution_functions_have_gradients():
    x = tg.tensor(1e4, requires_grad=True)
    D.Weibull(1.0, 10.0).cdf(x).backward()
    assert x.grad.item() == 0
    assert D.Gamma(double(30.0), double(1.0)).cdf(double(1e300)).item() == 1
    assert D.InverseGamma(double(30.0), double(1.0)).cdf(double(1e-300)).item() == 0
    zero = double(0.0, True)
    D.Gamma(double(1.0), double(2.0)).cdf(zero).backward()
    assert zero.grad.item() == pytest.approx(2.0)
    a = tg.tensor(0.3, requires_grad=True)
    D.Gamma(a, 1.0).cdf(tg.tensor(0.0)).backward()
    assert a.grad.item() == 0


# ---------------------------------------------------------------------------------------------------------- shapes, objects


@pytest.mark.parametrize(
    "d, value",
    [
        (D.MultivariateNormal(tg.zeros(3), tg.eye(3)), tg.zeros(1)),
        (D.Dirichlet(tg.ones(3)), tg.ones(1)),
        (D.OneHotCategorical(tg.ones(3)), tg.ones(1)),
    ],
    ids=["MultivariateNormal", "Dirichlet", "OneHotCategorical"],
)
def test_a_value_with_one_part_does_not_stand_for_all(d, value):
    with pytest.raises(ValueError, match=r"event shape \[3\], and has shape \[1\]"):
        d.log_prob(value)


def test_a_covariance_that_was_changed_is_factored_anew():
    c = double(np.eye(2), True)
    d = D.MultivariateNormal(double([0.0, 0.0]), covariance_matrix=c)
    before = d.entropy().item()
    with tg.no_grad():
        c.mul_(100.0)
    assert d.entropy().item() == pytest.approx(before + 2 * math.log(10))
    for same in (pickle.loads(pickle.dumps(d)), copy.deepcopy(d)):
        assert same.entropy().item() == d.entropy().item()


def test_the_number_of_a_category_does_not_count_from_the_end():
    with pytest.raises(IndexError, match="at least 0, not -1"):
        D.Categorical(probs=tg.tensor([0.5, 0.5]), validate_args=False).log_prob(tg.tensor(-1))


def test_an_impossible_category_stays_at_0_in_relaxed_samples():
    d = D.RelaxedOneHotCategorical(0.05, probs=tg.tensor([0.5, 0.0, 0.5]))
    z = d.rsample((500,))
    assert (z[:, 1] == 0).all() and (z[:, 0] > 0).all() and np.isfinite(d.log_prob(z).numpy()).all()


def test_the_von_mises_cdf_is_that_of_its_samples_wherever_its_mean_lies():
    d = D.VonMises(double(3.0), double(4.0))
    u = d.cdf(d.sample((N,), generator=tg.Generator().manual_seed(5))).numpy()
    assert stats.kstest(u, "uniform").pvalue > 1e-6


def test_a_subclass_as_pytorch_documents_it_works():
    class Shifted(D.Distribution):
        arg_constraints = {"shift": constraints.positive}  # noqa: RUF012
        support = constraints.real
        has_rsample = True

        def __init__(self, shift):
            self.shift = shift
            super().__init__(shift.shape)

        def rsample(self, sample_shape=()):
            return self.shift + tg.randn(*sample_shape, *self.batch_shape)

    d = Shifted(tg.ones(2))
    assert d.sample((3,)).shape == (3, 2)
    assert D.Independent(d, 1).rsample((3,)).shape == (3, 2)
    assert D.TransformedDistribution(d, [D.ExpTransform()]).rsample((3,)).shape == (3, 2)
    assert "shift" in repr(d)
    with pytest.raises(ValueError, match="Shifted: shift must be positive"):
        Shifted(-tg.ones(2))


def test_a_discrete_base_keeps_its_probabilities_under_a_transform():
    d = D.TransformedDistribution(D.Bernoulli(double(0.3)), [D.AffineTransform(0.0, 2.0)])
    assert d.log_prob(double(2.0)).exp().item() == pytest.approx(0.3)
    assert d.stops["probs"].remedies[0].startswith("for base_dist: straight through")


# ----------------------------------------------------------------------------------------------------------------- messages


def test_backward_from_a_sample_says_what_to_use():
    with pytest.raises(RuntimeError, match=r"Normal\.sample\(\) draws .*Instead: Normal\(…\)\.rsample\(\)"):
        D.Normal(tg.tensor(0.3, requires_grad=True), 1.0).sample().backward()


def test_pictures_of_samples_that_are_right_call_nothing_in_them_a_mistake():
    p, k = tg.tensor([0.3], requires_grad=True), tg.tensor([2.0], requires_grad=True)
    text = str(get_graph(D.BernoulliStraightThrough(p).rsample()))
    assert "as intended" in text and "detach" not in text and "BernoulliStraightThrough(…)" not in text
    text = str(get_graph(D.VonMises(k, k).rsample((20,))))
    assert "why" not in text and "noise from von_mises" in text
    assert "why" not in str(get_graph(D.RelaxedBernoulli(0.5, p).rsample()))


def test_a_number_of_samples_must_be_a_shape():
    with pytest.raises(TypeError, match=r"sample_shape must be a tuple of integers, such as \(3,\)"):
        D.Normal(0.0, 1.0).sample(3)
    with pytest.raises(ValueError, match="transforms must be a Transform or a list of them, not function"):
        D.TransformedDistribution(D.Normal(0.0, 1.0), lambda x: x)
