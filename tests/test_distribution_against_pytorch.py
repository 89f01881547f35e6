"""Distributions give PyTorch's numbers, gradients, shapes and kinds of errors.

The real PyTorch is the reference; without it this file is skipped. Both get the same parameters, in float64, with
shapes that broadcast. What PyTorch raises NotImplementedError for is not compared here. Its known inaccuracies (tails,
probabilities at the ends) are not either: `test_distribution_numbers.py` has SciPy and mpmath for them.
"""

import importlib
import os

import numpy as np
import pytest

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
D = importlib.import_module(UNDER_TEST + ".distributions")
ref = pytest.importorskip("torch")

from against_pytorch import ExactTrigamma, attempt, dtype_name, kind  # noqa: E402
from distribution_cases import CASES, COMPOSITES, each, ours  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
KNOWN_TO_PYTORCH = [c for c in [*CASES, *COMPOSITES] if not c.here_only]
MOMENTS = ("mean", "variance", "stddev", "mode", "entropy")
TOLERANCE = {"rtol": 1e-9, "atol": 1e-12}


def read(distribution, what):
    found = getattr(distribution, what)
    return found() if callable(found) else found


def numbers_of(module, case, compute, seed=7, batch=None):
    """What `compute` gives for the case in a module, and its derivatives with respect to parameters and value."""
    distribution, tensors = case.make(case.arrays(seed, batch), module, module.distributions, grad=True)
    value = module.tensor(case.values((4, 2, 3), seed + 1), requires_grad=not case.discrete)
    result = compute(distribution, value)
    leaves = {**tensors, "value": value}
    wanted = {name: t for name, t in leaves.items() if getattr(t, "requires_grad", False)}
    weights = module.tensor(np.random.default_rng(0).uniform(0.5, 1.5, tuple(result.shape)))
    if not result.requires_grad:
        return result, {name: 0.0 for name in wanted}
    found = module.autograd.grad((result * weights).sum(), list(wanted.values()), allow_unused=True)
    return result, {name: 0.0 if g is None else g.detach().numpy() for name, g in zip(wanted, found, strict=True)}


def assert_same(case, compute, **options):
    with ExactTrigamma():
        try:
            expected, by_expected = numbers_of(ref, case, compute, **options)
        except (NotImplementedError, RuntimeError) as error:
            # such as the derivative of the incomplete gamma function by its first argument
            assert isinstance(error, NotImplementedError) or "not implemented" in str(error)
            pytest.skip("PyTorch has none, or no derivative of it")
        found, by_found = numbers_of(torch, case, compute, **options)
    assert tuple(found.shape) == tuple(expected.shape) and dtype_name(found) == dtype_name(expected)
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), **TOLERANCE)
    assert by_found.keys() == by_expected.keys()
    for name, gradient in by_expected.items():
        np.testing.assert_allclose(by_found[name], gradient, rtol=1e-9, atol=1e-11, err_msg=f"by {name}")


# PyTorch's logarithm of the Bessel function has seven digits
PRECISE = [c for c in KNOWN_TO_PYTORCH if c.name != "VonMises"]


@each(PRECISE)
def test_log_prob_is_pytorchs(case):
    for seed in (7, 17):
        assert_same(case, lambda d, value: d.log_prob(value), seed=seed)


@each(PRECISE)
def test_log_prob_of_batches_without_dimensions_is_pytorchs(case):
    assert_same(case, lambda d, value: d.log_prob(value), batch=())


@each(PRECISE)
@pytest.mark.parametrize("what", MOMENTS)
def test_moments_and_entropy_are_pytorchs(case, what):
    if (what, case.name) == ("entropy", "Multinomial"):
        pytest.skip("PyTorch computes one of its terms in float32")
    if what == "mode" and case.name in ("Uniform", "Weibull", "Kumaraswamy"):
        pytest.skip("PyTorch's is NaN, or has a gradient of NaN")
    assert_same(case, lambda d, value: read(d, what))


@each([c for c in KNOWN_TO_PYTORCH if not c.event])
def test_cdf_is_pytorchs(case):
    assert_same(case, lambda d, value: d.cdf(value))


@each([c for c in KNOWN_TO_PYTORCH if not c.event and not c.discrete])
def test_icdf_is_pytorchs(case):
    def icdf(d, value):
        module = ref if isinstance(value, ref.Tensor) else torch
        share = np.random.default_rng(3).uniform(0.05, 0.95, tuple(value.shape))
        return d.icdf(module.tensor(share) + 0 * value)

    assert_same(case, icdf)


@each([c for c in KNOWN_TO_PYTORCH if c.discrete])
@pytest.mark.parametrize("expand", [True, False])
def test_enumerate_support_is_pytorchs(case, expand):
    # a binomial with several counts has no common support: both refuse
    arrays = case.arrays(batch=(2, 3))
    mine, theirs = (case.make(arrays, m, m.distributions)[0] for m in (torch, ref))
    expected = attempt(lambda: theirs.enumerate_support(expand=expand))
    if isinstance(expected, Exception):
        with pytest.raises(kind(expected)):
            mine.enumerate_support(expand=expand)
        return
    found = mine.enumerate_support(expand=expand)
    assert mine.has_enumerate_support is True
    assert tuple(found.shape) == tuple(expected.shape)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_enumerate_support_of_a_binomial_counts_up_to_its_total():
    expected = ref.distributions.Binomial(3, ref.tensor([0.2, 0.5])).enumerate_support()
    assert D.Binomial(3, torch.tensor([0.2, 0.5])).enumerate_support().tolist() == expected.tolist()


# ---------------------------------------------------------------- shapes


def shapes_of(module, case, batch):
    d, _ = case.make(case.arrays(batch=batch), module, module.distributions)
    full = (2, 3) if batch is None else batch
    found = {"batch": d.batch_shape, "event": d.event_shape}
    for sample_shape in ((), (4,), (2, 3)):
        x = d.sample(sample_shape)
        found[f"sample {sample_shape}"] = x.shape
        found[f"log_prob {sample_shape}"] = d.log_prob(x).shape
        if d.has_rsample:
            found[f"rsample {sample_shape}"] = d.rsample(sample_shape).shape
    for shape in ((), (1,), (3,), (5, 1, 1), (4, *full)):
        value = module.tensor(case.values(shape))
        found[f"log_prob of {shape}"] = attempt(lambda value=value: d.log_prob(value).shape)
    for shape in ((*full,), (5, *full), (2, 4, *full), (7,)):
        e = attempt(d.expand, shape)
        found[f"expand {shape}"] = e
        if not isinstance(e, Exception):
            found[f"expand {shape}"] = (e.batch_shape, e.event_shape, type(e).__name__, e.sample((2,)).shape)
            found[f"moments {shape}"] = [attempt(lambda e=e, what=what: read(e, what).shape) for what in MOMENTS]
    found["moments"] = [attempt(lambda what=what: read(d, what).shape) for what in MOMENTS]
    return found


def comparable(found):
    """Shapes as tuples, and errors as their kinds."""
    if isinstance(found, Exception):
        return kind(found).__name__
    return tuple(comparable(part) for part in found) if isinstance(found, list | tuple) else found


# PyTorch fails to sample from a mixture whose weights have fewer dimensions than its components
@each([c for c in KNOWN_TO_PYTORCH if "same weights" not in c.name])
@pytest.mark.parametrize("batch", [(), (3,), None], ids=str)
def test_shapes_are_pytorchs(case, batch):
    mine, theirs = shapes_of(torch, case, batch), shapes_of(ref, case, batch)
    for key, expected in theirs.items():
        expected, found = comparable(expected), comparable(mine[key])
        if "moments" in key:  # there may be more of them here
            found = tuple(e if isinstance(e, str) else f for f, e in zip(found, expected, strict=True))
        assert found == expected, key


@each(KNOWN_TO_PYTORCH)
def test_an_expanded_distribution_gives_the_numbers_of_the_original(case):
    d, _ = case.make(case.arrays(batch=(3,)))
    value = torch.tensor(case.values((5, 3)))
    np.testing.assert_allclose(
        d.expand((5, 3)).log_prob(value).numpy(), d.log_prob(value).numpy(), rtol=1e-12, atol=1e-12
    )


@each([c for c in CASES if len(c.params) == 1 or (not c.event and c.name != "RelaxedBernoulli")])
def test_numbers_instead_of_tensors_give_scalars_of_the_default_dtype(case):
    arrays = case.arrays(batch=())
    if case.event or any(p.event for p in case.params.values()):
        pytest.skip("needs a vector")
    d = getattr(D, case.name)(**{name: float(a) for name, a in arrays.items()})
    assert tuple(d.batch_shape) == tuple(d.sample().shape) == ()
    assert d.sample((2,)).dtype == torch.float32 == d.log_prob(torch.tensor(float(case.values()))).dtype


@each([c for c in KNOWN_TO_PYTORCH if not c.build])
def test_the_support_holds_what_pytorchs_holds(case):
    arrays = case.arrays(batch=())
    mine, theirs = (case.make(arrays, m, m.distributions)[0] for m in (torch, ref))
    rng = np.random.default_rng(0)
    spoilt = case.values((40,))
    spoilt[:20] += rng.choice([-3.0, -0.5, 0.0, 1.0, 60.0, np.nan], spoilt[:20].shape)
    expected = theirs.support.check(ref.tensor(spoilt))
    found = mine.support.check(torch.tensor(spoilt))
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
    assert bool(mine.support.is_discrete) == bool(theirs.support.is_discrete)
    assert mine.support.event_dim == theirs.support.event_dim


BROKEN = {
    "shapes that do not broadcast": lambda m, D: D.Normal(m.zeros(2), m.ones(3)),
    "shapes that do not broadcast, three": lambda m, D: D.StudentT(m.ones(2), m.ones(3), m.ones(1)),
    "a mean that is no vector": lambda m, D: D.MultivariateNormal(m.tensor(0.0), m.eye(1)),
    "a covariance that is no matrix": lambda m, D: D.MultivariateNormal(m.zeros(2), m.ones(2)),
    "two covariances": lambda m, D: D.MultivariateNormal(m.zeros(2), m.eye(2), m.eye(2)),
    "no covariance": lambda m, D: D.MultivariateNormal(m.zeros(2)),
    "a factor that is no matrix": lambda m, D: D.LowRankMultivariateNormal(m.zeros(2), m.ones(2), m.ones(2)),
    "a factor of another size": lambda m, D: D.LowRankMultivariateNormal(m.zeros(2), m.ones(3, 1), m.ones(2)),
    "a diagonal of another size": lambda m, D: D.LowRankMultivariateNormal(m.zeros(2), m.ones(2, 1), m.ones(3)),
    "probabilities without dimensions": lambda m, D: D.Categorical(m.tensor(0.5)),
    "logits without dimensions": lambda m, D: D.Categorical(logits=m.tensor(0.5)),
    "probabilities and logits": lambda m, D: D.Bernoulli(m.tensor(0.5), m.tensor(0.5)),
    "neither": lambda m, D: D.Bernoulli(),
    "neither, categorical": lambda m, D: D.Categorical(),
    "both, categorical": lambda m, D: D.OneHotCategorical(m.ones(2), m.ones(2)),
    "neither, binomial": lambda m, D: D.Binomial(3),
    "neither, multinomial": lambda m, D: D.Multinomial(3),
    "neither, geometric": lambda m, D: D.Geometric(),
    "neither, negative binomial": lambda m, D: D.NegativeBinomial(3),
    "neither, relaxed": lambda m, D: D.RelaxedBernoulli(m.tensor(1.0)),
    "a concentration without dimensions": lambda m, D: D.Dirichlet(m.tensor(1.0)),
    "several counts": lambda m, D: D.Multinomial(m.tensor([3, 4]), m.ones(2)),
    "low above high": lambda m, D: D.Uniform(m.tensor([0.0, 2.0]), m.tensor([1.0, 1.0])),
    "low equal to high": lambda m, D: D.Uniform(1.0, 1.0),
    "a value that is no tensor": lambda m, D: D.Normal(0.0, 1.0).log_prob(0.5),
    "a value of another event": lambda m, D: D.Dirichlet(m.ones(3)).log_prob(m.tensor([0.5, 0.5])),
    "a value of another batch": lambda m, D: D.Normal(m.zeros(3), 1.0).log_prob(m.zeros(2)),
    "a value without the event": lambda m, D: D.MultivariateNormal(m.zeros(2), m.eye(2)).log_prob(m.tensor(0.0)),
    "a vector off the simplex": lambda m, D: D.Dirichlet(m.ones(2)).log_prob(m.tensor([0.5, 0.6])),
    "counts with too large a sum": lambda m, D: D.Multinomial(3, m.ones(2)).log_prob(m.tensor([3.0, 1.0])),
    "two hot": lambda m, D: D.OneHotCategorical(m.ones(3)).log_prob(m.tensor([1.0, 1.0, 0.0])),
    "expanding to another size": lambda m, D: D.Normal(m.zeros(3), 1.0).expand((2,)),
    "expanding to fewer dimensions": lambda m, D: D.Normal(m.zeros(2, 3), 1.0).expand((3,)),
    "an Independent of too many dimensions": lambda m, D: D.Independent(D.Normal(m.zeros(3), 1.0), 2),
    "a mixture by no Categorical": lambda m, D: D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(m.zeros(2), 1.0)),
    "a mixture of no distribution": lambda m, D: D.MixtureSameFamily(D.Categorical(m.ones(2)), m.ones(2)),
    "a mixture of another number": lambda m, D: D.MixtureSameFamily(
        D.Categorical(m.ones(2)), D.Normal(m.zeros(3), 1.0)
    ),
    "a mixture of another batch": lambda m, D: D.MixtureSameFamily(
        D.Categorical(m.ones(2, 3)), D.Normal(m.zeros(4, 3), 1.0)
    ),
    "a transform that is none": lambda m, D: D.TransformedDistribution(D.Normal(0.0, 1.0), [abs]),
    "the cdf of vectors": lambda m, D: D.Dirichlet(m.ones(2)).cdf(m.tensor([0.5, 0.5])),
    "an unknown pair": lambda m, D: D.kl_divergence(D.Poisson(1.0), D.Normal(0.0, 1.0)),
    "rsample of a discrete one": lambda m, D: D.Bernoulli(0.5).rsample(),
    "rsample of an integer": lambda m, D: D.Poisson(1.0).rsample(),
    "the support of a Poisson": lambda m, D: D.Poisson(1.0).enumerate_support(),
    "a default that is neither": lambda m, D: D.Distribution.set_default_validate_args("maybe"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_pytorch_refuses_is_refused_with_its_kind_of_error(what):
    theirs = attempt(BROKEN[what], ref, ref.distributions)
    assert isinstance(theirs, Exception), "PyTorch refuses it"
    mine = attempt(BROKEN[what], torch, D)
    assert isinstance(mine, Exception)
    assert isinstance(mine, ValueError | type(theirs) | kind(theirs)), f"{mine!r}, where PyTorch has {theirs!r}"
    # PyTorch has errors without a message; here each has one
    assert str(mine) or torch is ref


# ---------------------------------------------------------------- divergences

NAMED = {}
for one in CASES:
    NAMED.setdefault(one.name, one)


def pairs():
    """Every pair in PyTorch's registry of which both have a case, infinite ones included."""
    registry = ref.distributions.kl._KL_REGISTRY
    names = sorted((p.__name__, q.__name__) for p, q in registry)
    return [(p, q) for p, q in names if p in NAMED and q in NAMED]


def divergence(module, p_name, p_arrays, q_name, q_arrays, grad=True):
    p, by_p = NAMED[p_name].make(p_arrays, module, module.distributions, grad=grad)
    q, by_q = NAMED[q_name].make(q_arrays, module, module.distributions, grad=grad)
    result = module.distributions.kl_divergence(p, q)
    leaves = {**{"p." + n: t for n, t in by_p.items()}, **{"q." + n: t for n, t in by_q.items()}}
    leaves = {name: t for name, t in leaves.items() if t.requires_grad}
    if not result.requires_grad:
        return result, {name: 0.0 for name in leaves}
    weights = module.tensor(np.random.default_rng(0).uniform(0.5, 1.5, tuple(result.shape)))
    # where the divergence is infinite a gradient is a matter of taste
    finite = module.tensor(np.where(np.isfinite(result.detach().numpy()), 1.0, 0.0)) * weights
    total = module.where(finite > 0, result, module.zeros_like(result)) * finite
    found = module.autograd.grad(total.sum(), list(leaves.values()), allow_unused=True)
    return result, {n: 0.0 if g is None else g.detach().numpy() for n, g in zip(leaves, found, strict=True)}


def arrays_for(p, q, seed):
    batch = (2, 3) if NAMED[p].event else None  # PyTorch fails to broadcast some pairs of multivariate ones
    p_arrays, q_arrays = NAMED[p].arrays(seed, batch), NAMED[q].arrays(seed + 1, batch)
    if p == q == "Binomial":  # with other counts it is infinite, or PyTorch refuses
        q_arrays["total_count"] = p_arrays["total_count"]
    if p == "Uniform" and q in ("Beta", "ContinuousBernoulli", "Exponential", "Gamma", "Pareto") and seed != 7:
        p_arrays = {"low": p_arrays["low"] / 10 + 0.4, "high": p_arrays["high"] / 10 + 0.5}  # within their supports
    if (p, q, seed) == ("Uniform", "Pareto", 17):
        p_arrays = {name: a + 1 for name, a in p_arrays.items()}
    if p == q == "Uniform" and seed == 17:
        q_arrays = {"low": q_arrays["low"] - 3, "high": q_arrays["high"] + 3}
    return p_arrays, q_arrays


@pytest.mark.parametrize("seed", [7, 17])
@pytest.mark.parametrize(("p", "q"), pairs())
def test_kl_divergence_is_pytorchs(p, q, seed):
    p_arrays, q_arrays = arrays_for(p, q, seed)
    with ExactTrigamma():
        expected, by_expected = divergence(ref, p, p_arrays, q, q_arrays)
        found, by_found = divergence(torch, p, p_arrays, q, q_arrays)
    assert tuple(found.shape) == tuple(expected.shape)
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), **TOLERANCE)
    if np.isfinite(expected.detach().numpy()).all():
        for name, gradient in by_expected.items():
            np.testing.assert_allclose(by_found[name], gradient, rtol=1e-9, atol=1e-11, err_msg=f"by {name}")


def independents(m, D, p, q):
    p, q = (D.Normal(m.tensor(a), m.tensor(abs(a) + 0.5)) for a in (p, q))
    return D.Independent(p, 1), D.Independent(q, 1)


def logarithms(m, D, p, q):
    return D.LogNormal(m.tensor(p), m.tensor(abs(p) + 0.5)), D.LogNormal(m.tensor(q), m.tensor(abs(q) + 0.5))


def transformed(m, D, p, q):
    t = [D.transforms.AffineTransform(1.0, 2.0)]
    return tuple(D.TransformedDistribution(D.Normal(m.tensor(a), 1.0), t) for a in (p, q))


@pytest.mark.parametrize("make", [independents, logarithms, transformed])
def test_kl_divergence_looks_into_what_is_wrapped(make):
    p, q = np.random.default_rng(0).normal(size=(2, 3, 4))
    expected = ref.distributions.kl_divergence(*make(ref, ref.distributions, p, q))
    found = D.kl_divergence(*make(torch, D, p, q))
    assert tuple(found.shape) == tuple(expected.shape)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), **TOLERANCE)


@pytest.mark.parametrize(
    "make",
    [
        lambda m, D: (D.Independent(D.Normal(m.zeros(2, 3), 1.0), 1), D.Independent(D.Normal(m.zeros(2, 3), 1.0), 2)),
        lambda m, D: (
            D.LogNormal(0.0, 1.0),
            D.TransformedDistribution(D.Normal(0.0, 1.0), D.transforms.TanhTransform()),
        ),
        lambda m, D: (D.VonMises(0.0, 1.0), D.VonMises(1.0, 1.0)),
        lambda m, D: (D.Normal(0.0, 1.0), D.Poisson(1.0)),
    ],
)
def test_kl_divergence_of_an_unknown_pair_is_not_implemented(make):
    with pytest.raises(NotImplementedError):
        ref.distributions.kl_divergence(*make(ref, ref.distributions))
    if UNDER_TEST == "tinygrad_rp":
        p, q = make(torch, D)
        with pytest.raises(NotImplementedError, match=type(p).__name__):
            D.kl_divergence(p, q)


@ours
def test_the_registry_knows_every_pair_of_pytorchs():
    missing = []
    for p, q in pairs():
        with_p, with_q = NAMED[p].make(NAMED[p].arrays())[0], NAMED[q].make(NAMED[q].arrays())[0]
        if isinstance(attempt(D.kl_divergence, with_p, with_q), NotImplementedError):
            missing.append((p, q))
    assert not missing
