"""Samples of distributions have the distribution they claim, and the derivatives that their distribution fixes.

A sample z with distribution function F(z; a) moves with its parameter as dz/da = −(dF/da)/f when z is the inverse of F
at hidden noise; for any reparameterisation in one dimension that holds on average, given z. mpmath and SciPy say what
F is. Monte-Carlo tests are on fixed seeds; each says how often it would be false for other seeds.
"""

import importlib
import math
import os

import mpmath as mp
import numpy as np
import pytest
from distribution_cases import (
    CASES,
    COMPOSITES,
    DISCRETE,
    MANY_DIMENSIONAL,
    ONE_DIMENSIONAL,
    RELAXED,
    derivatives_by_mpmath,
    each,
    exactly,
    gamma_cdf,
    gradients,
    ours,
)
from scipy import special, stats

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
D = importlib.import_module(UNDER_TEST + ".distributions")

pytestmark = pytest.mark.filterwarnings("ignore")

N = 20_000
FALSE_ALARM = 1e-6  # of one Kolmogorov–Smirnov or chi-square test
LIMIT = 5.0  # standard errors: false for 6 seeds in ten million


def double(x, grad=False):
    return torch.tensor(np.asarray(x, dtype=float), requires_grad=grad)


def scalars(case, seed=7):
    return {name: float(a) for name, a in case.arrays(seed, ()).items()}


def many(value, grad=True, dtype=float, n=N):
    """A parameter for each sample, so that the gradient of a sum holds every sample's own."""
    return torch.tensor(np.full((n, *np.shape(value)), value, dtype=dtype), requires_grad=grad)


def assert_mean(x, mean, sd=None):
    """z-test of the mean of independent samples; their standard deviation is known or estimated."""
    x = np.asarray(x, dtype=float)
    assert np.isfinite(x).all()
    error = (x.std(0) if sd is None else sd) / math.sqrt(len(x))
    # some means are numerical derivatives, and some samples do not vary
    z = (x.mean(0) - mean) / (error + 1e-8 * np.maximum(np.abs(mean), 1))
    assert np.all(np.abs(z) < LIMIT), f"z = {z}"


def assert_distributed(x, cdf):
    p = stats.kstest(np.asarray(x, dtype=float).ravel(), cdf).pvalue
    assert p > FALSE_ALARM, f"Kolmogorov–Smirnov: p = {p}"


def assert_counted(x, masses):
    """Chi-square test of samples 0, 1, …; outcomes that are expected fewer than 10 times are put together."""
    x = np.asarray(x).astype(int).ravel()
    expected = x.size * np.append(masses, max(0.0, 1 - masses.sum()))
    counts = np.bincount(np.minimum(x, len(masses)), minlength=len(masses) + 1)
    assert not counts[expected == 0].any()
    rare = expected < 10
    counts, expected = (np.append(a[~rare], a[rare].sum()) for a in (counts, expected))
    keep = expected > 0
    p = stats.chi2(max(keep.sum() - 1, 1)).sf((((counts - expected) ** 2)[keep] / expected[keep]).sum())
    assert p > FALSE_ALARM, f"chi-square: p = {p}"


def drawn(d, shape, how):
    with torch.no_grad():
        return getattr(d, how)(shape).numpy()


def ways(d):
    return ["sample", "rsample"] if d.has_rsample else ["sample"]


# ---------------------------------------------------------------- distributions


@each(ONE_DIMENSIONAL)
def test_samples_have_scipys_distribution(case):
    for seed, parameters in ((0, 7), (1, 19)):
        torch.manual_seed(seed)
        params = scalars(case, parameters)
        truth = case.scipy(**params)
        d, _ = case.make({name: np.asarray(v) for name, v in params.items()})
        for how in ways(d):
            x = drawn(d, (N,), how)
            if case.name == "VonMises":  # wrapped into an interval of its own
                x = (x - params["loc"] + np.pi) % (2 * np.pi) - np.pi
                assert_distributed(x, stats.vonmises(params["concentration"]).cdf)
            else:
                assert_distributed(x, truth.cdf)


@each([c for c in ONE_DIMENSIONAL if c.name not in ("Cauchy", "HalfCauchy", "VonMises")])
def test_samples_in_float32_have_scipys_distribution_and_mean(case):
    torch.manual_seed(2)
    params = scalars(case, 23)
    truth = case.scipy(**params)
    d, _ = case.make({name: np.asarray(v, dtype=np.float32) for name, v in params.items()})
    for how in ways(d):
        x = drawn(d, (N // 10, 10), how)
        assert x.dtype == np.float32 and x.shape == (N // 10, 10)
        assert_distributed(x, truth.cdf)
        assert_mean(x.ravel(), truth.mean(), truth.std())


@each([c for c in DISCRETE if c.scipy])
def test_discrete_samples_have_scipys_masses(case):
    for seed in (7, 19):
        torch.manual_seed(seed)
        params = scalars(case, seed)
        truth = case.scipy(**params)
        d, _ = case.make({name: np.asarray(v) for name, v in params.items()})
        for how in ways(d):
            x = drawn(d, (N,), how)
            assert (x == np.floor(x)).all() and x.dtype == np.float64
            assert_counted(x, truth.pmf(np.arange(60)))
            assert_mean(x, truth.mean(), truth.std())


@pytest.mark.parametrize("size", [0.3, 12.0, 1e3, 1e6])
def test_counts_of_any_size_have_scipys_masses(size):
    torch.manual_seed(3)
    for d, truth in (
        (D.Poisson(double(size)), stats.poisson(size)),
        (D.Binomial(int(size) + 1, double(0.3)), stats.binom(int(size) + 1, 0.3)),
        (D.Binomial(int(size) + 1, double(0.97)), stats.binom(int(size) + 1, 0.97)),
        (D.NegativeBinomial(double(size), double(0.4)), stats.nbinom(size, 0.6)),
        (D.Geometric(double(1 / (1 + size))), stats.geom(1 / (1 + size), loc=-1)),
    ):
        x = drawn(d, (N,), "sample")
        assert_mean(x, truth.mean(), truth.std())
        # randomised, the probability integral transform of a count is uniform
        u = np.random.default_rng(0).uniform(size=N)
        assert_distributed(truth.cdf(x - 1) + u * truth.pmf(x), stats.uniform.cdf)


@pytest.mark.parametrize("name", ["Categorical", "OneHotCategorical", "OneHotCategoricalStraightThrough"])
@pytest.mark.parametrize("kind", ["probs", "logits"])
def test_categories_are_drawn_with_their_probabilities(name, kind):
    torch.manual_seed(4)
    weights = np.array([[0.2, 0.0, 0.5, 0.3], [0.05, 0.05, 0.1, 0.8]])
    given = weights * 3 if kind == "probs" else np.log(np.maximum(weights, 1e-300)) + 1.5
    d = getattr(D, name)(**{kind: double(given)})
    for how in ways(d):
        x = drawn(d, (N,), how)
        if name != "Categorical":
            assert (x.sum(-1) == 1).all() and set(np.unique(x)) == {0.0, 1.0}
            x = x.argmax(-1)
        assert x.shape == (N, 2)
        for row in (0, 1):
            assert_counted(x[:, row], weights[row])


def test_multinomial_counts_have_their_moments_and_sum():
    torch.manual_seed(5)
    p, n = np.array([0.1, 0.2, 0.7]), 9
    x = drawn(D.Multinomial(n, double(p)), (N,), "sample")
    assert (x.sum(-1) == n).all()
    for i in range(3):
        assert_counted(x[:, i], stats.binom(n, p[i]).pmf(np.arange(n + 1)))
    covariance = -n * p[0] * p[2]
    assert_mean((x[:, 0] - n * p[0]) * (x[:, 2] - n * p[2]), covariance)


@each([c for c in MANY_DIMENSIONAL if "Normal" in c.name])
def test_vectors_are_normal_with_their_covariance(case):
    torch.manual_seed(6)
    d, _ = case.make(case.arrays(7, (2,)))
    mean, covariance = d.mean.numpy(), d.covariance_matrix.numpy()
    for how in ways(d):
        x = drawn(d, (N,), how)
        for row in (0, 1):
            white = np.linalg.solve(np.linalg.cholesky(covariance[row]), (x[:, row] - mean[row]).T)
            for i in range(3):
                assert_distributed(white[i], stats.norm.cdf)
                for j in range(i):
                    assert_mean(white[i] * white[j], 0, 1)


def test_dirichlet_samples_are_beta_in_each_place():
    torch.manual_seed(7)
    for a in ([0.3, 2.0, 5.0], [0.05, 0.05, 0.4]):
        x = drawn(D.Dirichlet(double(a)), (N,), "rsample")
        np.testing.assert_allclose(x.sum(-1), 1, rtol=1e-12)
        total = sum(a)
        for i in range(3):
            inside = x[:, i][(x[:, i] > 1e-15) & (x[:, i] < 1 - 1e-15)]  # near 1 a double has too few digits
            low, high = stats.beta(a[i], total - a[i]).cdf([1e-15, 1 - 1e-15])
            share = high - low
            assert_mean((x[:, i] > 1e-15) & (x[:, i] < 1 - 1e-15), share, math.sqrt(share * (1 - share)))
            assert_distributed(
                inside,
                lambda t, i=i, a=a, low=low, high=high: (stats.beta(a[i], sum(a) - a[i]).cdf(t) - low) / (high - low),
            )
        assert_mean(x[:, 0] * x[:, 1], a[0] * a[1] / total / (total + 1))


@each(RELAXED)
def test_relaxed_samples_have_their_distribution(case):
    torch.manual_seed(8)
    d, tensors = case.make(case.arrays(7, ()))
    t = float(tensors["temperature"])
    x = drawn(d, (N,), "rsample")
    if case.name == "RelaxedBernoulli":
        # t logit(x) is logistic about the logit
        assert_distributed(t * special.logit(x) - d.logits.numpy(), stats.logistic.cdf)
    else:
        # t log(x_i / x_j) is logistic about the difference of the logits
        logits = d.logits.numpy()
        for i, j in ((0, 1), (1, 3), (2, 0)):
            assert_distributed(t * np.log(x[:, i] / x[:, j]) - (logits[i] - logits[j]), stats.logistic.cdf)
    assert (x >= 0).all() and (x <= 1).all()


@pytest.mark.parametrize("name", [c.name for c in COMPOSITES if c.name.startswith("Mixture")])
def test_mixtures_are_what_their_cdf_says(name):
    case = next(c for c in COMPOSITES if c.name == name)
    torch.manual_seed(9)
    d, tensors = case.make(case.arrays(7, ()))
    if case.event:
        x = drawn(d, (N,), "sample")
        assert_mean(x, d.mean.numpy(), d.stddev.numpy())
        return
    for how in ways(d):
        x = drawn(d, (N,), how)
        assert_mean(x, d.mean.numpy(), d.stddev.numpy())
        if "Poisson" in name:
            assert_counted(
                x, tensors["probs"].numpy() @ stats.poisson(tensors["rate"].numpy()[:, None]).pmf(np.arange(60))
            )
        else:
            assert_distributed(x, lambda t: d.cdf(double(t)).numpy())


@ours  # PyTorch fails to draw these
def test_a_mixture_with_the_same_weights_for_a_batch_can_be_sampled():
    torch.manual_seed(10)
    d = D.MixtureSameFamily(D.Categorical(double([0.3, 0.7])), D.Normal(double([[0.0, 5.0], [9.0, -2.0]]), 1.0))
    x = drawn(d, (N,), "sample")
    assert x.shape == (N, 2)
    assert_mean(x, d.mean.numpy(), d.stddev.numpy())


def test_transformed_samples_are_transformed():
    torch.manual_seed(11)
    d = D.TransformedDistribution(
        D.Normal(double(0.3), double(0.8)), [D.transforms.SigmoidTransform(), D.transforms.AffineTransform(1.0, -2.0)]
    )
    for how in ways(d):
        x = drawn(d, (N,), how)
        assert_distributed(special.logit((1 - x) / 2), stats.norm(0.3, 0.8).cdf)
        assert_distributed(x, lambda t: d.cdf(double(t)).numpy())


# ---------------------------------------------------------------- what a sample is


ALL = [*CASES, *COMPOSITES]


@each(ALL)
def test_a_sample_is_a_leaf_without_history_and_an_rsample_is_not(case):
    d, _ = case.make(case.arrays(batch=()), grad=True)
    x = d.sample((4,))
    assert not x.requires_grad and x.grad_fn is None and x.is_leaf
    assert np.isfinite(x.numpy()).all()
    if d.has_rsample:
        z = d.rsample((4,))
        assert z.requires_grad and z.grad_fn is not None and tuple(z.shape) == tuple(x.shape)
        with torch.no_grad():
            assert not d.rsample((4,)).requires_grad
    else:
        with pytest.raises(NotImplementedError):
            d.rsample()
    # what was drawn lies in the support, or log_prob refuses it
    assert np.isfinite(d.log_prob(x).detach().numpy()).all()


@ours
@each(ALL)
def test_a_distribution_says_which_parameters_its_rsample_carries_gradients_to(case):
    d, tensors = case.make(case.arrays(batch=()), grad=True)
    assert all(isinstance(name, str) and isinstance(value, bool) for name, value in d.reparameterized.items())
    if case.build:
        return
    gradient_of = {name for name, param in case.params.items() if param.grad}
    assert gradient_of <= set(d.reparameterized)
    assert d.has_rsample == any(d.reparameterized.values())
    for name in gradient_of:
        assert d.reparameterized[name] is d.has_rsample
    if d.has_rsample:
        weights = double(np.random.default_rng(0).uniform(0.5, 1.5, tuple(d.rsample().shape)))
        found = gradients(d.rsample(), tensors, weights)
        assert all(found[name].any() for name in gradient_of)


def test_has_rsample_is_pytorchs_or_says_that_there_is_more():
    expected = {c.name: not c.discrete or "StraightThrough" in c.name for c in CASES}
    for case in CASES:
        if UNDER_TEST == "torch" and (case.here_only or case.name == "VonMises"):
            continue
        assert case.make(case.arrays())[0].has_rsample is expected[case.name], case.name


@ours
@each(ALL)
def test_the_same_generator_gives_the_same_samples_and_leaves_the_default_stream_alone(case):
    d, _ = case.make(case.arrays(batch=()))
    for how in ways(d):
        torch.manual_seed(5)
        expected = torch.rand(3).tolist()
        generator = torch.Generator().manual_seed(1)
        torch.manual_seed(5)
        first = getattr(d, how)((6,), generator=generator).detach().numpy()
        second = getattr(d, how)((6,), generator=generator).detach().numpy()
        assert torch.rand(3).tolist() == expected
        again = getattr(d, how)((6,), generator=torch.Generator().manual_seed(1)).detach().numpy()
        np.testing.assert_array_equal(first, again)
        if not case.discrete:
            assert (first != second).any()


@each(ALL)
def test_the_same_seed_gives_the_same_samples(case):
    d, _ = case.make(case.arrays(batch=()))
    torch.manual_seed(5)
    first = d.sample((9,)).numpy()
    torch.manual_seed(5)
    np.testing.assert_array_equal(d.sample((9,)).numpy(), first)


def test_samples_of_a_batch_are_independent():
    torch.manual_seed(12)
    for d in (D.Normal(double([0.0, 0.0]), 1.0), D.Gamma(double([2.0, 2.0]), 1.0), D.Beta(double([2.0, 2.0]), 3.0)):
        x = drawn(d, (N,), "sample")
        white = (x - d.mean.numpy()) / d.stddev.numpy()
        assert_mean(white[:, 0] * white[:, 1], 0, 1)
        assert_mean(white[:-1, 0] * white[1:, 0], 0, 1)


# ---------------------------------------------------------------- gradients, sample by sample


EXACT = [c for c in ONE_DIMENSIONAL if c.pathwise == "exact"]


def rsampled(case, params, n, dtype=float, seed=0):
    torch.manual_seed(seed)
    d, tensors = case.make({name: np.full(n, v, dtype=dtype) for name, v in params.items()}, grad=True)
    z = d.rsample()
    return z.detach().numpy(), gradients(z, tensors)


@each(EXACT)
def test_each_sample_moves_as_the_inverse_of_its_distribution_function(case):
    # PyTorch's gamma derivative has about five digits, where its own series are in use
    here = UNDER_TEST != "torch" or case.name not in ("Gamma", "Chi2", "InverseGamma")
    for seed in (7, 19):
        params = scalars(case, seed)
        z, found = rsampled(case, params, 8)
        for i, x in enumerate(z):
            _, density, by_param = derivatives_by_mpmath(case.cdf, x, params)
            for name, gradient in found.items():
                expected = float(-by_param[name] / density)
                assert gradient[i] == pytest.approx(expected, rel=1e-8 if here else 1e-3, abs=1e-12), (
                    f"by {name}, z = {x}"
                )


def implicit_by_scipy(case, z, params, name):
    """−(dF/da)/f by five points in SciPy's cdf, on the smaller of both tails."""
    truth = case.scipy(**params)
    h = 1e-3 * max(abs(params[name]), 0.1)

    def share(t):
        moved = case.scipy(**{**params, name: t})
        return np.where(truth.cdf(z) < 0.5, moved.cdf(z), -moved.sf(z))

    a = params[name]
    return -(8 * (share(a + h) - share(a - h)) - (share(a + 2 * h) - share(a - 2 * h))) / (12 * h) / truth.pdf(z)


@pytest.mark.parametrize(
    "case",
    [
        # PyTorch's derivative of a beta sample has three digits
        pytest.param(c, id=c.id, marks=[ours] if c.name == "Beta" else [])
        for c in ONE_DIMENSIONAL
        if c.pathwise == "mean"
    ],
)
def test_samples_move_on_average_as_the_inverse_of_their_distribution_function(case):
    # whatever the hidden noise: the mean of (dz/da + F_a / f) g(z) is 0 for every g
    params = scalars(case, 7)
    z, found = rsampled(case, params, N)
    for name, gradient in found.items():
        difference = gradient - implicit_by_scipy(case, z, params, name)
        middle = case.scipy(**params).median()
        for g in (np.ones_like(z), np.sign(z - middle), np.tanh(z)):
            x = difference * g
            assert np.isfinite(x).all()
            # where the sample is the inverse itself, what is left is the error of the numerical derivative
            z_score = x.mean() / (x.std() / math.sqrt(N) + 1e-9)
            assert abs(z_score) < LIMIT, f"by {name}: {z_score}"


COSTS = {
    "z": lambda m, z: z,
    "z squared": lambda m, z: z * z,
    "log z": lambda m, z: m.log(z),
    "cos z": lambda m, z: m.cos(z),
}


def costs_of(case):
    if case.name in ("Cauchy", "HalfCauchy", "VonMises"):
        return ["cos z"]
    positive = case.scipy(**scalars(case)).support()[0] >= 0
    return ["z", "z squared", "log z"] if positive else ["z", "z squared", "cos z"]


@pytest.mark.parametrize(
    ("case", "cost"),
    [
        pytest.param(c, cost, id=f"{c.id}-{cost}", marks=[ours] if c.here_only or c.name == "VonMises" else [])
        for c in ONE_DIMENSIONAL
        for cost in costs_of(c)
    ],
)
def test_the_mean_gradient_is_that_of_the_expectation(case, cost):
    params = scalars(case, 7)
    torch.manual_seed(13)
    d, tensors = case.make({name: np.full(N, v) for name, v in params.items()}, grad=True)
    found = gradients(COSTS[cost](torch, d.rsample()), tensors)
    for name, gradient in found.items():
        assert_mean(gradient, slope_of_expectation(case, params, name, cost))


# shares between 0 and 1 and their weights, for the mean of a function of a quantile
SHARES = tuple((np.polynomial.legendre.leggauss(400) + np.array([[1.0], [0.0]])) / 2)


def slope_of_expectation(case, params, name, cost):
    """The derivative of E cost(z) by five points in SciPy's quadrature."""
    h = 1e-2 * max(abs(params[name]), 0.3)

    def expectation(t):
        truth = case.scipy(**{**params, name: t})
        if case.name == "VonMises":
            k, loc = ({**params, name: t}[key] for key in ("concentration", "loc"))
            return special.i1e(k) / special.i0e(k) * math.cos(loc)
        if cost == "z":
            return truth.mean()
        if cost == "z squared":
            return truth.mean() ** 2 + truth.var()
        if cost == "cos z" and "Cauchy" in case.name:
            scale = {**params, name: t}["scale"]
            if case.name == "HalfCauchy":
                return math.exp(-scale)
            return math.exp(-scale) * math.cos({**params, name: t}["loc"])
        u, w = SHARES
        return float(w @ COSTS[cost](np, truth.ppf(u)))

    a = params[name]
    return (8 * (expectation(a + h) - expectation(a - h)) - (expectation(a + 2 * h) - expectation(a - 2 * h))) / (
        12 * h
    )


# ---------------------------------------------------------------- gradients of vectors


@each([c for c in MANY_DIMENSIONAL if "Normal" in c.name])
def test_the_mean_gradient_of_normal_vectors(case):
    # E (w·z)² = (w·μ)² + w·Σ w
    params = case.arrays(7, ())
    torch.manual_seed(14)
    d, tensors = case.make({name: np.broadcast_to(a, (N, *a.shape)).copy() for name, a in params.items()}, grad=True)
    w = np.array([0.5, -1.0, 0.8])
    found = gradients((d.rsample() * double(w)).sum(-1) ** 2, tensors)
    assert_mean(found["loc"], 2 * (w @ params["loc"]) * w)
    if "scale_tril" in params:
        assert_mean(np.tril(found["scale_tril"]), np.tril(2 * np.outer(w, params["scale_tril"].T @ w)))
    if "cov_factor" in params:
        assert_mean(found["cov_factor"], 2 * np.outer(w, params["cov_factor"].T @ w))
        assert_mean(found["cov_diag"], w**2)
    # along a symmetric direction S: w·S w, and for the inverse −w·Σ S Σ w
    s = np.array([[0.5, 0.2, 0.0], [0.2, -0.3, 0.4], [0.0, 0.4, 0.1]])
    if "covariance_matrix" in params:
        assert_mean((found["covariance_matrix"] * s).sum((-1, -2)), w @ s @ w)
    if "precision_matrix" in params:
        v = np.linalg.solve(params["precision_matrix"], w)
        assert_mean((found["precision_matrix"] * s).sum((-1, -2)), -v @ s @ v)


def test_each_normal_vector_moves_with_its_triangle():
    torch.manual_seed(15)
    case = next(c for c in MANY_DIMENSIONAL if "scale_tril" in c.params)
    params = case.arrays(7, ())
    d, tensors = case.make(params, grad=True)
    z = d.rsample()
    noise = np.linalg.solve(params["scale_tril"], z.detach().numpy() - params["loc"])
    found = gradients(z, tensors, double([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(found["loc"], [1, 2, 3])
    np.testing.assert_allclose(np.tril(found["scale_tril"]), np.tril(np.outer([1, 2, 3], noise)), rtol=1e-9)


@pytest.mark.parametrize("concentration", [[0.3, 2.0, 5.0], [0.05, 0.08, 0.4], [30.0, 20.0, 400.0]])
def test_the_mean_gradient_of_dirichlet_samples(concentration):
    # E z_i = a_i / A; E log z_i = ψ(a_i) − ψ(A); E z_i² = a_i (a_i + 1) / A (A + 1)
    torch.manual_seed(16)
    a = np.asarray(concentration)
    total = a.sum()
    costs = [(lambda z: z, (np.eye(3) - a[:, None] / total) / total)]
    costs.append(
        (
            lambda z: z * z,
            np.diag((2 * a + 1) / total / (total + 1))
            - (a * (a + 1) * (2 * total + 1) / (total * (total + 1)) ** 2)[:, None],
        )
    )
    if a.min() > 0.2:
        costs.append((torch.log, np.diag(special.polygamma(1, a)) - special.polygamma(1, total)))
    for cost, expected in costs:
        for i in range(3):
            parameter = many(a)
            z = cost(D.Dirichlet(parameter).rsample())[:, i]
            (found,) = torch.autograd.grad(z.sum(), parameter)
            assert_mean(found.numpy(), expected[i])


@pytest.mark.parametrize("size", [1e-3, 0.1, 1.0, 1e3])
def test_the_places_of_a_dirichlet_sample_move_against_each_other(size):
    # they sum to one, and so do not move together
    torch.manual_seed(17)
    for dtype in (np.float32, np.float64):
        a = many(np.full(4, size), dtype=dtype, n=200)
        z = D.Dirichlet(a).rsample()
        total, scale = 0.0, 0.0
        for i in range(4):
            (found,) = torch.autograd.grad(z[:, i].sum(), a, retain_graph=True)
            total, scale = total + found.numpy(), scale + abs(found.numpy())
        # the rounding of a place near 1 is multiplied by the derivative of the logarithm of a gamma sample, about 1 / a²
        if UNDER_TEST != "torch" or size > 1e-2:
            assert (abs(total) <= 100 * np.finfo(dtype).eps * (scale + size**-2)).all()


@each(RELAXED)
def test_each_relaxed_sample_moves_with_logits_and_temperature(case):
    if "logits" not in case.params:
        pytest.skip("the probabilities reach it through the logits")
    torch.manual_seed(18)
    params = case.arrays(7, ())
    t = float(params["temperature"])
    d, tensors = case.make(params, grad=True)
    z = d.rsample()
    x = z.detach().numpy()
    if case.name == "RelaxedBernoulli":
        found = gradients(z, tensors)
        assert found["logits"] == pytest.approx(x * (1 - x) / t, rel=1e-8)
        assert found["temperature"] == pytest.approx(-x * (1 - x) * special.logit(x) / t, rel=1e-8)
    else:
        w = np.array([1.0, -2.0, 3.0, 0.5])
        found = gradients(z, tensors, double(w))
        np.testing.assert_allclose(found["logits"], x * (w - w @ x) / t, rtol=1e-8)
        # z is the softmax of (logits + noise) / t, whose logarithm is known up to a constant
        np.testing.assert_allclose(found["temperature"], -((x * (w - w @ x)) @ np.log(x)) / t, rtol=1e-8)


def test_straight_through_samples_carry_the_gradient_of_the_probabilities():
    torch.manual_seed(19)
    probs = double([0.2, 0.5, 0.3], True)
    z = D.OneHotCategoricalStraightThrough(probs=probs).rsample()
    assert sorted(z.tolist()) == pytest.approx([0.0, 0.0, 1.0])
    (found,) = torch.autograd.grad((z * double([1.0, 2.0, 4.0])).sum(), probs)
    # through the normalisation: w_i − w·p
    np.testing.assert_allclose(found.numpy(), np.array([1.0, 2.0, 4.0]) - (0.2 + 1.0 + 1.2), rtol=1e-12)
    logits = double([0.1, -0.4, 1.0], True)
    z = D.OneHotCategoricalStraightThrough(logits=logits).rsample()
    p = special.softmax([0.1, -0.4, 1.0])
    (found,) = torch.autograd.grad((z * double([1.0, 2.0, 4.0])).sum(), logits)
    w = np.array([1.0, 2.0, 4.0])
    np.testing.assert_allclose(found.numpy(), p * (w - w @ p), rtol=1e-12)


@ours
def test_straight_through_coins_carry_the_gradient_of_the_probability():
    torch.manual_seed(20)
    p = many(0.25)
    z = D.BernoulliStraightThrough(probs=p).rsample()
    assert set(z.tolist()) == {0.0, 1.0}
    (found,) = torch.autograd.grad((z * z).sum(), p)
    # y²: 2y a sample, and 2p on average, where the truth is 1
    np.testing.assert_array_equal(found.numpy(), 2 * z.detach().numpy())
    assert_mean(found.numpy(), 0.5)
    logit = many(-0.7, n=5)
    (found,) = torch.autograd.grad(D.BernoulliStraightThrough(logits=logit).rsample().sum(), logit)
    share = special.expit(-0.7)
    np.testing.assert_allclose(found.numpy(), share * (1 - share), rtol=1e-12)


# ---------------------------------------------------------------- implicit reparameterisation

CONCENTRATIONS = [1e-3, 1e-2, 0.1, 0.5, 1.0, 2.5, 10.0, 33.0, 100.0, 1e3, 1e4]


def gamma_slope(z, a):
    """dz/da = −(dF/da)/f of a standard gamma sample, by mpmath; the smaller tail keeps its digits."""
    z, a = exactly(z), exactly(a)
    density = mp.exp((a - 1) * mp.log(z) - z - mp.loggamma(a))
    return -mp.diff(lambda t: gamma_cdf(z, t), a) / density


@ours  # PyTorch's has errors up to 1e-3
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("a", CONCENTRATIONS)
def test_the_derivative_of_a_gamma_sample_by_its_concentration(a, dtype):
    torch.manual_seed(21)
    a = float(dtype(a))
    concentration = torch.tensor(np.full(300, a, dtype=dtype), requires_grad=True)
    z = D.Gamma(concentration, torch.ones(300, dtype=concentration.dtype)).rsample()
    (found,) = torch.autograd.grad(z.sum(), concentration)
    z, found = z.detach().numpy(), found.numpy()
    assert np.isfinite(z).all() and np.isfinite(found).all() and (found >= 0).all()
    smallest = np.finfo(dtype).tiny * 1e4  # below, a number has too few digits
    usable = np.flatnonzero((z > smallest) & (found > smallest))
    # the extremes are among those that are looked at
    usable = usable[np.argsort(z[usable])]
    chosen = {*usable[:3], *usable[-3:], *usable[:: max(1, len(usable) // 6)]}
    tolerance = 1e-4 if dtype == np.float32 else 1e-8
    for i in chosen:
        assert found[i] == pytest.approx(float(gamma_slope(z[i], a)), rel=tolerance), f"z = {z[i]}"
    assert len(chosen) > 5 or a < 0.05


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-3, 1e-2])
@ours  # PyTorch's has NaN, and samples of 0 outside of the support
def test_tiny_concentrations_give_no_nan(size, dtype):
    torch.manual_seed(22)
    for make, shape in (
        (lambda a: D.Gamma(a, torch.ones_like(a)), ()),
        (lambda a: D.Chi2(a), ()),
        (lambda a: D.Beta(a, a * 1), ()),
        (lambda a: D.Dirichlet(a), (3,)),
    ):
        a = many(np.full(shape, size), dtype=dtype, n=2000)
        d = make(a)
        z = d.rsample()
        weights = torch.tensor(np.random.default_rng(0).uniform(0.5, 1.5, tuple(z.shape)).astype(dtype))
        (found,) = torch.autograd.grad((z * weights).sum(), a)
        assert np.isfinite(z.detach().numpy()).all() and np.isfinite(found.numpy()).all(), type(d).__name__
        assert not np.isnan(d.log_prob(z.detach()).detach().numpy()).any()
        if shape:
            x = z.detach().numpy()
            np.testing.assert_allclose(x.sum(-1), 1, rtol=1e-5 if dtype == np.float32 else 1e-12)
            assert_mean(x, 1 / 3)
        elif "Beta" in type(d).__name__:
            assert_mean(z.detach().numpy(), 0.5)


@ours
@pytest.mark.parametrize("a", [0.05, 0.4, 3.0, 50.0])
def test_the_second_derivative_of_a_gamma_sample(a):
    torch.manual_seed(23)
    concentration = many(a, n=5)
    z = D.Gamma(concentration, torch.ones_like(concentration).detach()).rsample()
    (first,) = torch.autograd.grad(z.sum(), concentration, create_graph=True)
    assert first.requires_grad
    (second,) = torch.autograd.grad(first.sum(), concentration)
    for x, found in zip(z.tolist(), second.tolist(), strict=True):
        if not 1e-250 < x:
            continue
        # along the path of the sample: g_a + g g_z, where g(a, z) = dz/da
        by_a = mp.diff(lambda t, x=x: gamma_slope_mp(exactly(x), t), exactly(a))
        by_z = mp.diff(lambda t: gamma_slope_mp(t, exactly(a)), exactly(x))
        assert found == pytest.approx(float(by_a + gamma_slope_mp(exactly(x), exactly(a)) * by_z), rel=1e-6), f"z = {x}"


def gamma_slope_mp(z, a):
    with mp.extradps(20):
        h = mp.mpf(10) ** -15 * a
        # five points; the error is about 1e-60 of the fifth derivative
        f = [gamma_cdf(z, a + k * h) for k in (-2, -1, 1, 2)]
        by_a = (8 * (f[2] - f[1]) - (f[3] - f[0])) / (12 * h)
        return -by_a / mp.exp((a - 1) * mp.log(z) - z - mp.loggamma(a))


@ours
def test_second_derivatives_of_a_gamma_sample_by_rate_and_mixed():
    torch.manual_seed(24)
    concentration, rate = many(2.0, n=4), many(3.0, n=4)
    z = D.Gamma(concentration, rate).rsample()
    by_a, by_rate = torch.autograd.grad(z.sum(), (concentration, rate), create_graph=True)
    np.testing.assert_allclose(by_rate.detach().numpy(), -z.detach().numpy() / 3, rtol=1e-12)
    mixed, twice = torch.autograd.grad(by_rate.sum(), (concentration, rate))
    np.testing.assert_allclose(twice.numpy(), 2 * z.detach().numpy() / 9, rtol=1e-12)
    np.testing.assert_allclose(mixed.numpy(), -by_a.detach().numpy() / 3, rtol=1e-9)


@ours
@pytest.mark.parametrize(
    "make", [lambda a: D.Beta(a, a + 1), lambda a: D.StudentT(a + 5), lambda a: D.InverseGamma(a + 5, a)]
)
def test_the_mean_of_second_derivatives_is_that_of_the_expectation(make):
    # E z: a / (2 a + 1) for Beta(a, a + 1); E z = 0; a / (a + 4)
    torch.manual_seed(25)
    a = many(1.5)
    z = make(a).rsample()
    (first,) = torch.autograd.grad(z.sum(), a, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), a)
    name = type(make(a)).__name__
    expected = {"Beta": -4 / (2 * 1.5 + 1) ** 3, "StudentT": 0.0, "InverseGamma": -8 / (1.5 + 4) ** 3}[name]
    assert_mean(second.numpy(), expected)


def von_mises_slope(w, k):
    """dz/dκ of a von Mises sample about 0: the tail beyond |w|, of cos t − A, relative to the density at w."""
    w, k = exactly(w), exactly(k)
    ratio = mp.besseli(1, k) / mp.besseli(0, k)
    start = abs(w)
    places = [start + (mp.pi - start) * p for p in (0, *(mp.mpf(2) ** -j for j in (10, 8, 6, 4, 3, 2, 1)), 1)]
    slope = mp.quad(lambda t: (mp.cos(t) - ratio) * mp.exp(k * (mp.cos(t) - mp.cos(w))), places)
    return slope if w > 0 else -slope


@ours
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1e-3, 0.1, 1.0, 4.0, 10.0, 40.0, 300.0, 1e4])
def test_the_derivative_of_a_von_mises_sample(k, dtype):
    torch.manual_seed(26)
    k = float(dtype(k))
    concentration = torch.tensor(np.full(200, k, dtype=dtype), requires_grad=True)
    loc = torch.zeros(200, dtype=concentration.dtype, requires_grad=True)
    z = D.VonMises(loc, concentration).rsample()
    by_k, by_loc = torch.autograd.grad(z.sum(), (concentration, loc))
    z, by_k = z.detach().numpy(), by_k.numpy()
    assert np.isfinite(by_k).all() and (by_loc.numpy() == 1).all() and (abs(z) <= dtype(np.pi)).all()
    # near π the distance from it, and with it the derivative, has lost its digits
    usable = np.flatnonzero(abs(z) < 3.1)
    usable = usable[np.argsort(z[usable])]
    for i in {*usable[:2], *usable[-2:], *usable[::40]}:
        tolerance = 1e-4 if dtype == np.float32 else 1e-8
        assert by_k[i] == pytest.approx(float(von_mises_slope(z[i], k)), rel=tolerance), f"z = {z[i]}"


def mixture_share(x, weights, component, **params):
    return sum(w * component(x, **{name: p[i] for name, p in params.items()}) for i, w in enumerate(weights))


@ours
@pytest.mark.parametrize("family", ["Normal", "Gamma", "Logistic"])
def test_each_sample_of_a_mixture_moves_as_the_inverse_of_its_distribution_function(family):
    case = next(c for c in ONE_DIMENSIONAL if c.name == family)
    first, second = case.params
    logits = np.array([0.3, -0.5, 1.0])
    params = {first: np.array([0.6, 1.5, 4.0]), second: np.array([0.5, 1.0, 2.0])}
    torch.manual_seed(27)
    n = 6
    tensors = {name: many(p, n=n) for name, p in {"logits": logits, **params}.items()}
    d = D.MixtureSameFamily(
        D.Categorical(logits=tensors["logits"]), getattr(D, family)(tensors[first], tensors[second])
    )
    assert d.has_rsample is True
    z = d.rsample()
    found = gradients(z, tensors)
    exact = {name: [exactly(v) for v in p] for name, p in params.items()}
    exact_logits = [exactly(v) for v in logits]

    def share(x, logits=exact_logits, **moved):
        weights = [mp.exp(v) for v in logits]
        return mixture_share(x, [w / sum(weights) for w in weights], case.cdf, **{**exact, **moved})

    def replaced(values, k, t):
        return [t if i == k else v for i, v in enumerate(values)]

    for i, x in enumerate(z.tolist()):
        x = exactly(x)
        density = mp.diff(share, x)
        for k in range(3):
            by_logit = mp.diff(lambda t, k=k, x=x: share(x, replaced(exact_logits, k, t)), exact_logits[k])
            assert found["logits"][i, k] == pytest.approx(float(-by_logit / density), rel=1e-8, abs=1e-12)
            for name in params:
                by_param = mp.diff(
                    lambda t, k=k, x=x, name=name: share(x, **{name: replaced(exact[name], k, t)}), exact[name][k]
                )
                assert found[name][i, k] == pytest.approx(float(-by_param / density), rel=1e-8, abs=1e-12), name


@ours
def test_far_components_of_a_mixture_give_finite_gradients():
    torch.manual_seed(28)
    loc = many([-50.0, 50.0], n=200)
    logits = many([0.0, 0.0], n=200)
    z = D.MixtureSameFamily(D.Categorical(logits=logits), D.Normal(loc, 1.0)).rsample()
    by_loc, by_logits = torch.autograd.grad(z.sum(), (loc, logits))
    assert np.isfinite(by_loc.numpy()).all() and np.isfinite(by_logits.numpy()).all()
    own = (z.detach().numpy() > 0).astype(int)
    np.testing.assert_allclose(by_loc.numpy()[np.arange(200), own], 1, rtol=1e-6)


@ours
def test_a_mixture_of_vectors_or_counts_has_no_rsample():
    for case in COMPOSITES:
        if case.name in ("Mixture of vectors", "Mixture of Poissons"):
            d, _ = case.make(case.arrays())
            assert d.has_rsample is False
            with pytest.raises(NotImplementedError):
                d.rsample()
