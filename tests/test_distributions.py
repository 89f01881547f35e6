"""Tests made from what each distribution declares: its parameters with their constraints, its support, and its form in SciPy.

A class that is exported by `tinygrad_rp.distributions` and declares these is tested here without a further word. Samples are
compared by Kolmogorov and Smirnov's test, or chi-squared, at 1e-6; means by z-tests at 4.9 standard errors (1e-6, two-sided); all
seeds are fixed. So of about 300 comparisons, one set of seeds in 3,000 would fail by chance.
"""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from scipy import stats

import tinygrad_rp as tg
from tinygrad_rp import distributions as D
from tinygrad_rp.autograd import grad, gradcheck, gradgradcheck
from tinygrad_rp.distributions import constraints
from visualize import get_graph

N, ALPHA, LIMIT = 20_000, 1e-6, 4.9
CLASSES = [d for name in D.__all__ if inspect.isclass(d := getattr(D, name)) and issubclass(d, D.Distribution)]
# Those that are made of other distributions, or of a function: no parameters of their own to be drawn
WRAPPERS = [D.Distribution, D.Independent, D.InverseCDF, D.MixtureSameFamily, D.TransformedDistribution]
DECLARED = [d for d in CLASSES if d not in WRAPPERS]
IN_SCIPY = [d for d in DECLARED if d.in_scipy is not None]
RNG = np.random.default_rng(0)


def value_for(name: str, constraint, rng, shape):
    """A random parameter that fits."""
    if name in ("low", "high"):
        return rng.uniform(0.5, 2.0, shape) * (1 if name == "high" else -1)
    if name == "total_count":
        return rng.integers(2, 9, shape).astype(float)
    if name == "temperature":
        return 0.7 * np.ones(shape if constraint.event_dim == 0 else ())
    if name == "df2":
        return rng.uniform(9.0, 12.0, shape)  # so that the mean and the variance of F exist, and that of the square
    if name == "rate":
        return rng.uniform(0.5, 3.0, shape)
    if name in ("df", "alpha"):
        return rng.uniform(5.0, 9.0, shape)
    kind = str(constraint)
    if constraint is constraints.positive or "positive" == kind:
        return rng.uniform(2.5, 4.0, shape) if name == "concentration" else rng.uniform(0.4, 1.9, shape)
    if constraint is constraints.unit_interval or (name == "probs" and constraint.event_dim == 0):
        return rng.uniform(0.1, 0.9, shape)
    if constraint is constraints.simplex:
        return rng.dirichlet(np.ones(4), shape)
    if constraint is constraints.positive_definite:
        a = rng.standard_normal((*shape, 3, 3))
        return a @ np.swapaxes(a, -1, -2) + np.eye(3)
    if constraint.event_dim == 2:
        return rng.standard_normal((*shape, 3, 2))
    if constraint.event_dim == 1:
        return np.abs(rng.standard_normal((*shape, 3))) + 0.5
    return rng.uniform(-1.5, 1.5, shape)


def parameters(family, shape=(), seed=1, only=None):
    """Random parameters of a distribution, one of several names for the same."""
    rng = np.random.default_rng(seed)
    skipped = {"precision_matrix", "scale_tril"} | ({"logits"} if "probs" in family.arg_constraints else set())
    names = [
        n for n in inspect.signature(family.__init__).parameters if n in family.arg_constraints or n == "temperature"
    ]
    names = [n for n in names if n not in skipped]
    if family is D.Multinomial:
        return {"total_count": 5, "probs": rng.dirichlet(np.ones(4), shape)}
    return {n: value_for(n, family.arg_constraints.get(n, constraints.positive), rng, shape) for n in names}


def made(family, values, dtype=tg.float64, requires_grad=False, **options):
    tensors = {
        n: v if isinstance(v, int) else tg.tensor(v, dtype=dtype, requires_grad=requires_grad and n != "total_count")
        for n, v in values.items()
    }
    return family(**tensors, **options), {
        n: t for n, t in tensors.items() if isinstance(t, tg.Tensor) and t.requires_grad
    }


def frozen(family, values):
    return family.in_scipy(stats, **values)


def has_icdf(family) -> bool:
    return family.icdf is not D.Distribution.icdf


def is_discrete(family) -> bool:
    return bool(family.support.is_discrete)


def each(families):
    return pytest.mark.parametrize("family", families, ids=lambda d: d.__name__)


def z_test(samples, mean):
    error = samples.std(0) / math.sqrt(len(samples))
    np.testing.assert_array_less(np.abs(samples.mean(0) - mean), LIMIT * error + 1e-12)


# ---------------------------------------------------------------------------------------------------------- what is declared


@each(DECLARED)
def test_a_distribution_declares_its_facts(family):
    d, _ = made(family, parameters(family))
    assert all(isinstance(c, constraints.Constraint) for c in family.arg_constraints.values())
    assert isinstance(d.support, constraints.Constraint)
    assert set(d.reparameterized) <= set(family.arg_constraints) | {"temperature"}
    assert family.__doc__
    assert type(d).__name__ in repr(d)


def test_most_distributions_of_one_dimension_have_a_form_in_scipy():
    plain = [d for d in DECLARED if not made(d, parameters(d))[0].event_shape]
    without = {d.__name__ for d in plain if d.in_scipy is None}
    assert without <= {
        "BernoulliStraightThrough",
        "ContinuousBernoulli",
        "Kumaraswamy",
        "LogitRelaxedBernoulli",
        "RelaxedBernoulli",
        "Categorical",
    }


# -------------------------------------------------------------------------------------------------------- against SciPy


@each(IN_SCIPY)
def test_densities_and_moments_are_scipys(family):
    values = parameters(family, (3,))
    d, _ = made(family, values)
    theirs = frozen(family, values)
    q = np.array([1e-6, 0.02, 0.3, 0.5, 0.9, 0.999])[:, None]
    x = theirs.ppf(q)
    log_density = theirs.logpmf(x) if is_discrete(family) else theirs.logpdf(x)
    np.testing.assert_allclose(d.log_prob(tg.tensor(x)).numpy(), log_density, rtol=1e-9, atol=1e-12)
    if family is not D.VonMises:  # whose mean and variance are those of directions
        np.testing.assert_allclose(d.mean.numpy(), theirs.mean(), rtol=1e-9)
        if np.isfinite(theirs.var()).all():  # SciPy has NaN for what is infinite
            np.testing.assert_allclose(d.variance.numpy(), theirs.var(), rtol=1e-9)
    try:
        entropy = d.entropy().numpy()
    except NotImplementedError:
        return
    np.testing.assert_allclose(
        entropy, [frozen(family, {n: v[i] for n, v in values.items()}).entropy() for i in range(3)], rtol=1e-7
    )


@each([d for d in IN_SCIPY if d.cdf is not D.Distribution.cdf])
def test_distribution_functions_are_scipys(family):
    values = parameters(family, (3,))
    d, _ = made(family, values)
    theirs = frozen(family, values)
    # further out SciPy's own digits end; see test_cumulative.py and test_distribution_numbers.py for the tails
    q = np.array([1e-3, 0.02, 0.2, 0.5, 0.8, 0.99])[:, None] * np.ones(3)
    x = theirs.ppf(q)
    np.testing.assert_allclose(d.cdf(tg.tensor(x)).numpy(), theirs.cdf(x), rtol=1e-9)
    if not is_discrete(family):
        np.testing.assert_allclose(d.icdf(tg.tensor(q)).numpy(), x, rtol=1e-9, atol=1e-12)


# -------------------------------------------------------------------------------------------------------------- derivatives


@each([d for d in DECLARED if d not in (D.Multinomial, D.OneHotCategoricalStraightThrough, D.BernoulliStraightThrough)])
def test_gradients_of_densities_agree_with_finite_differences(family):
    values = parameters(family, (2,))
    d, tensors = made(family, values, requires_grad=True, validate_args=False)  # differences leave a simplex
    tg.manual_seed(3)
    value = d.sample()
    fixed = {n: tg.tensor(v) for n, v in values.items() if n not in tensors}

    def density(*given):
        return family(**dict(zip(tensors, given, strict=True)), **fixed, validate_args=False).log_prob(value)

    if family is D.MultivariateNormal:  # not symmetric any more
        return
    assert gradcheck(density, list(tensors.values()))
    assert gradgradcheck(density, list(tensors.values()), atol=1e-4)


@each([d for d in DECLARED if d.cdf is not D.Distribution.cdf])
def test_gradients_of_distribution_functions_agree_with_finite_differences(family):
    values = parameters(family, (2,))
    d, tensors = made(family, values, requires_grad=True)
    fixed = {n: tg.tensor(v) for n, v in values.items() if n not in tensors}
    tg.manual_seed(4)
    value = d.sample()

    def probability(*given):
        return family(**dict(zip(tensors, given, strict=True)), **fixed, validate_args=False).cdf(value)

    assert gradcheck(probability, list(tensors.values()))


# A sample of these is made of several numbers: it does not lie where one quantile is
OF_SEVERAL_NUMBERS = {"Beta", "StudentT", "FisherSnedecor", "Dirichlet"}


@each(
    [
        d
        for d in DECLARED
        if d.has_rsample is True and d.icdf is not D.Distribution.icdf and d.__name__ not in OF_SEVERAL_NUMBERS
    ]
)
def test_each_sample_moves_as_the_quantile_at_which_it_lies(family):
    d, tensors = made(family, parameters(family, (4,)), requires_grad=True)
    tg.manual_seed(5)
    z = d.rsample()
    place = z.detach()
    if family is D.VonMises:  # on the circle cut opposite to its mean
        place = place + 2 * math.pi * ((d.loc.detach() - place) / (2 * math.pi)).round()
    level = d.cdf(place).detach()
    weights = tg.tensor([1.0, 0.5, -2.0, 0.3], dtype=tg.float64)
    found = grad(z, list(tensors.values()), weights)
    wanted = grad(d.icdf(level), list(tensors.values()), weights)
    for name, a, b in zip(tensors, found, wanted, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-7, atol=1e-10, err_msg=name)


# The gradient of E z and of E z², through the samples, against that of the moments
@each([d for d in IN_SCIPY if d.has_rsample is True and d not in (D.Cauchy, D.HalfCauchy, D.VonMises)])
def test_the_mean_gradient_through_samples_is_that_of_the_moments(family):
    values = parameters(family)
    d, tensors = made(family, values, requires_grad=True)
    each_own, copies = made(family, {n: np.full(N, v) for n, v in values.items()}, requires_grad=True)
    tg.manual_seed(6)
    z = each_own.rsample()
    for cost, truth in ((z.sum(), d.mean), ((z**2).sum(), d.variance + d.mean**2)):
        found = grad(cost, list(copies.values()), retain_graph=True)
        wanted = grad(truth, list(tensors.values()), materialize_grads=True)
        for a, b in zip(found, wanted, strict=True):
            z_test(a.numpy(), b.numpy())


# ------------------------------------------------------------------------------------------------------------------ samples


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64], ids=str)
@each(IN_SCIPY)
def test_samples_have_the_distribution(family, dtype):
    values = {n: float(np.float32(v)) for n, v in parameters(family).items()}
    d, _ = made(family, values, dtype)
    z = d.sample((N,), generator=tg.Generator().manual_seed(7))
    assert z.dtype == (tg.int64 if family is D.Categorical else dtype)
    z, theirs = z.numpy().astype(float), frozen(family, values)
    if is_discrete(family):
        cuts = np.unique(theirs.ppf(np.linspace(0.002, 0.998, 40)))
        edges = np.concatenate([[-np.inf], cuts, [np.inf]])
        expected = np.diff(np.concatenate([[0.0], theirs.cdf(cuts), [1.0]])) * N
        seen = np.histogram(z, np.concatenate([[-1.0], cuts + 0.5, [np.inf]]))[0]
        keep = expected > 5
        assert len(edges) - 1 == len(expected)
        seen = np.append(seen[keep], seen[~keep].sum())
        expected = np.append(expected[keep], max(expected[~keep].sum(), 1e-9))
        pooled = expected > 1e-6
        assert (
            stats.chisquare(seen[pooled], expected[pooled] * seen[pooled].sum() / expected[pooled].sum()).pvalue > ALPHA
        )
    else:
        assert stats.kstest(z, theirs.cdf).pvalue > ALPHA


@each(DECLARED)
def test_sample_and_rsample_are_the_same_numbers_and_moments_fit(family):
    d, _ = made(family, parameters(family, (2,)))
    drawn = d.sample((N,), generator=tg.Generator().manual_seed(8))
    assert tuple(drawn.shape) == (N, *d.batch_shape, *d.event_shape)
    if d.has_rsample:
        again = d.rsample((N,), generator=tg.Generator().manual_seed(8))
        np.testing.assert_array_equal(drawn.numpy(), again.numpy())
    assert (d.support.check(drawn)).all()
    try:
        mean, variance = d.mean.numpy(), d.variance.numpy()
    except NotImplementedError:
        return
    if np.isfinite(mean).all() and np.isfinite(variance).all() and family not in (D.VonMises, D.Categorical):
        z_test(drawn.numpy().astype(float), mean)


@each(DECLARED)
def test_shapes_of_batch_event_and_sample(family):
    for shape in ((), (3,), (2, 1)):
        values = parameters(family, shape)
        d, _ = made(family, values)
        assert tuple(d.batch_shape) == shape
        for sample_shape in ((), (4,), (2, 3)):
            z = d.sample(sample_shape)
            assert tuple(z.shape) == (*sample_shape, *shape, *d.event_shape)
            assert tuple(d.log_prob(z).shape) == (*sample_shape, *shape)
        e = d.expand((5, *(3 if n == 1 else n for n in shape)))
        assert tuple(e.batch_shape) == (5, *(3 if n == 1 else n for n in shape))
        assert tuple(e.sample((2,)).shape) == (2, *e.batch_shape, *d.event_shape)
        assert tuple(e.log_prob(e.sample()).shape) == tuple(e.batch_shape)


# ------------------------------------------------------------------------------------------------------------------- graphs


@each(DECLARED)
def test_sample_is_a_leaf_and_says_what_to_use_instead(family):
    d, _ = made(family, parameters(family), requires_grad=True)
    z = d.sample()
    assert z.grad_fn is None and not z.requires_grad
    assert set(d.stops) == set(d.reparameterized)
    for name, stop in d.stops.items():
        assert stop.kind == "missing" and stop.reason.startswith(f"{family.__name__}.sample()")
        text = " ".join(stop.remedies)
        assert "score function" in text
        assert ("rsample(" in text) == bool(d.reparameterized[name] or family.remedies)
        assert ("enumerate_support" in text) == bool(d.has_enumerate_support)
    fed = tg.tensor(1.0, dtype=tg.float64, requires_grad=True)
    node = (z.to(tg.float64) * fed).sum().grad_fn.next_functions[0][0]
    sources = [s for entry in node.sources if entry for s in entry]
    assert sources and all(s.kind == "cut" and s.name == f"{family.__name__}.sample" for s in sources)
    assert all(s.stop.remedies == tuple(d.stops[next(iter(d.stops))].remedies) for s in sources)


@each(DECLARED)
def test_rsample_shows_its_noise_beside_the_path_to_every_parameter_or_says_why_not(family):
    d, tensors = made(family, parameters(family), requires_grad=True)
    if not d.has_rsample:
        with pytest.raises(NotImplementedError, match=f"{family.__name__} has no rsample.*score function"):
            d.rsample()
        return
    z = d.rsample()
    text = str(get_graph(z, names=tensors))
    assert "noise from" in text or "BernoulliStraightThrough" in repr(d) or "StraightThrough" in family.__name__
    for name, g in zip(
        tensors, grad(z.sum(), list(tensors.values()), materialize_grads=True, retain_graph=True), strict=True
    ):
        assert name in text and np.isfinite(g.numpy()).all()


# ------------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1.0], ids=str)
@each(DECLARED)
def test_bad_parameters_are_refused_by_name_and_value(family, bad):
    good = parameters(family, (2,))
    for name, value in good.items():
        constraint = family.arg_constraints.get(name, constraints.positive)
        fits_anyway = bad == -1.0 and (str(constraint) == "a number" or name in ("low", "high", "loc", "cov_factor"))
        if family.__name__ == "MultivariateNormal" and name == "covariance_matrix" and bad == -1.0:
            fits_anyway = True  # one element of it
        if fits_anyway or (name in family.may_be_infinite and math.isinf(bad)) or isinstance(value, int):
            continue
        spoilt = np.array(value)
        spoilt.reshape(-1)[-1] = bad
        with pytest.raises(ValueError, match=family.__name__) as caught:
            made(family, good | {name: spoilt})
        assert name in str(caught.value) and str(bad).removesuffix(".0") in str(caught.value).lower()


@each([d for d in DECLARED if d is not D.Multinomial])
def test_wrong_types_and_shapes_of_parameters_are_refused(family):
    good = parameters(family, (2,))
    first = next(iter(good))
    if len(good) > 1:
        with pytest.raises(ValueError, match=family.__name__):
            made(family, good | {first: np.repeat(good[first], 2, 0)[:3]})
    with pytest.raises((ValueError, TypeError), match=first):
        family(**{n: tg.tensor(v) for n, v in good.items()} | {first: "text"})


@each(DECLARED)
def test_values_outside_of_the_support_are_refused(family):
    d, _ = made(family, parameters(family, (2,)))
    value = d.sample().to(tg.float64)
    spoilt = value.numpy().copy()
    spoilt.reshape(-1)[0] = np.nan
    with pytest.raises(ValueError, match=rf"{family.__name__}.log_prob\(\): value must be .* is \[? *nan"):
        d.log_prob(tg.tensor(spoilt))
    if d.support is not constraints.real and "a number" not in str(d.support):
        spoilt.reshape(-1)[0] = -77.5
        with pytest.raises(ValueError, match=r"-77\.5"):
            d.log_prob(tg.tensor(spoilt))
    with pytest.raises(ValueError, match="tensor"):
        d.log_prob(0.5)
    wrong = np.stack([np.ones((*d.batch_shape, *d.event_shape))] * 3, -1 - len(d.event_shape))
    with pytest.raises(ValueError, match="shape"):
        d.log_prob(tg.tensor(wrong))
    if has_icdf(family):
        with pytest.raises(ValueError, match=r"icdf\(\): value must be a probability.*1.5"):
            d.icdf(tg.tensor([0.5, 1.5]))


def test_checks_can_be_switched_off_for_one_and_for_all():
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1
    try:
        D.Distribution.set_default_validate_args(False)
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match="scale"):
        D.Normal(0.0, -1.0)
    with pytest.raises(ValueError, match="value"):
        D.Distribution.set_default_validate_args("no")


def test_a_distribution_of_ones_own_needs_no_more_than_its_facts_and_formulas():
    class Triangle(D.Distribution):
        arg_constraints = {"width": constraints.positive}  # noqa: RUF012
        support = constraints.nonnegative
        has_rsample = True

        def __init__(self, width, validate_args=None):
            self._begin({"width": width}, validate_args=validate_args)

        def _rsample(self, shape, generator):
            return self.width * (1 - tg.rand(shape, dtype=self._dtype, generator=generator).sqrt())

    width = tg.tensor([2.0, 3.0], requires_grad=True)
    d = Triangle(width)
    assert d.expand((4, 2)).rsample((5,)).shape == (5, 4, 2)
    assert d.stops["width"].remedies[0].startswith("Triangle(…).rsample()")
    with pytest.raises(ValueError, match=r"Triangle: width must be positive, but \[0\] is -1"):
        Triangle(tg.tensor([-1.0]))
