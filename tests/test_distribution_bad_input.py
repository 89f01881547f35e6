"""What a distribution refuses: parameters and samples that are out of range, with the reason in the message.

Each parameter of each distribution gets each of its bad values, at one place among good ones. Under PyTorch the same
values are tried as far as it refuses them; the messages are ours.
"""

import importlib
import math
import os
import re

import numpy as np
import pytest
from distribution_cases import CASES, COMPOSITES, each, ours

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
D = importlib.import_module(UNDER_TEST + ".distributions")

pytestmark = pytest.mark.filterwarnings("ignore")
inf, nan = math.inf, math.nan


def shown(value):
    """How a bad value may be written in a message."""
    return re.escape(f"{value:g}") if math.isfinite(value) else str(value)


def spoilt(case, name, bad):
    """Parameters for three distributions, of which the last has a bad value."""
    arrays = case.arrays(batch=(3,))
    arrays[name] = arrays[name].copy()
    if arrays[name].ndim == 0:
        arrays[name] = np.asarray(bad)
    else:
        arrays[name][(2, *(0 for _ in case.params[name].event))] = bad
    return arrays


def bad_parameters():
    for case in CASES:
        for name, param in case.params.items():
            for bad in (*param.bad, *param.bad_here):
                marks = [ours] if case.here_only or bad in param.bad_here else []
                yield pytest.param(case, name, bad, id=f"{case.id}-{name}={bad}", marks=marks)


@pytest.mark.parametrize(("case", "name", "bad"), bad_parameters())
def test_a_bad_parameter_is_refused(case, name, bad):
    arrays = spoilt(case, name, bad)
    with pytest.raises(ValueError) as caught:
        case.make(arrays)
    if UNDER_TEST != "torch":
        message = str(caught.value)
        assert case.name in message
        assert name in message or {"low", "high"} & set(message.split()), message
        # probabilities are normalised, matrices and ends judged as a whole: there the value may be shown otherwise
        if abs(bad) != 99 and (not case.params[name].event or math.isnan(bad)):
            assert re.search(shown(bad), message), message


@ours  # some of PyTorch's contain another distribution, which goes on validating
@pytest.mark.parametrize(("case", "name", "bad"), bad_parameters())
def test_a_bad_parameter_is_taken_when_validation_is_off(case, name, bad):
    if "matrix" in name or name == "total_count":
        pytest.skip("a matrix is decomposed at once")
    case.make(spoilt(case, name, bad), validate_args=False)


@each([c for c in CASES if c.outside])
@pytest.mark.parametrize("which", range(4))
def test_a_sample_outside_of_the_support_is_refused(case, which):
    if which >= len(case.outside):
        pytest.skip("there are fewer")
    bad = case.outside[which]
    value = case.values((3,))
    value[(2, *(0 for _ in case.event))] = bad
    d, _ = case.make(case.arrays(batch=(3,)))
    with pytest.raises(ValueError) as caught:
        d.log_prob(torch.tensor(value))
    if UNDER_TEST != "torch":
        message = str(caught.value)
        assert case.name in message and "value" in message and "support" in message
        if not case.event or math.isnan(bad):
            assert re.search(shown(bad), message), message
    if not case.discrete and (UNDER_TEST != "torch" or case.name != "RelaxedBernoulli"):
        loose, _ = case.make(case.arrays(batch=(3,)), validate_args=False)
        loose.log_prob(torch.tensor(value))


@each([c for c in CASES if not c.discrete and not c.event and c.name not in ("VonMises", "RelaxedBernoulli")])
def test_the_cdf_refuses_a_nan_and_icdf_gives_no_number_for_it(case):
    d, _ = case.make(case.arrays(batch=()))
    if UNDER_TEST == "torch" and case.name in ("Beta", "StudentT", "FisherSnedecor"):
        pytest.skip("PyTorch has no cdf of it")
    with pytest.raises(ValueError):
        d.cdf(torch.tensor(nan, dtype=torch.float64))


@ours
@pytest.mark.parametrize("share", [-0.25, 1.25])
@each([c for c in CASES if not c.discrete and not c.event and c.name not in ("VonMises", "RelaxedBernoulli")])
def test_icdf_refuses_what_is_no_probability(case, share):
    d, _ = case.make(case.arrays(batch=()))
    with pytest.raises(ValueError, match=re.escape(f"{share}")):
        d.icdf(torch.tensor(share, dtype=torch.float64))


@pytest.mark.parametrize("name", ["covariance_matrix", "precision_matrix"])
@pytest.mark.parametrize(
    "matrix",
    [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, -1.0]]],
    ids=str,
)
def test_a_covariance_that_is_not_positive_definite_is_refused(name, matrix):
    with pytest.raises(ValueError, match=name) as caught:
        D.MultivariateNormal(torch.zeros(2), **{name: torch.tensor(matrix)})
    if UNDER_TEST != "torch":
        assert "MultivariateNormal" in str(caught.value) and "positive" in str(caught.value)


@pytest.mark.parametrize(
    "matrix", [[[1.0, 1.0], [0.0, 1.0]], [[1.0, 0.0], [2.0, -1.0]], [[0.0, 0.0], [2.0, 1.0]]], ids=str
)
def test_a_scale_that_is_no_triangle_with_a_positive_diagonal_is_refused(matrix):
    with pytest.raises(ValueError, match="scale_tril"):
        D.MultivariateNormal(torch.zeros(2), scale_tril=torch.tensor(matrix))


@ours  # PyTorch builds it, and fails later or never
def test_a_covariance_of_another_size_is_refused():
    with pytest.raises((ValueError, RuntimeError)):
        D.MultivariateNormal(torch.zeros(2), torch.eye(3))


@ours
@each([c for c in CASES if not c.event])
@pytest.mark.parametrize("wrong", ["text", None, [0.5], 1j, np.nan], ids=str)
def test_a_parameter_of_a_wrong_type_is_refused(case, wrong):
    for name in case.params:
        # None is "not given", and for what may be given in another way its absence is the error
        arguments = {**{n: torch.tensor(a) for n, a in case.arrays(batch=()).items()}, name: wrong}
        with pytest.raises((ValueError, TypeError)) as caught:
            getattr(D, case.name)(**case.fixed, **arguments)
        if wrong is not None:
            assert name in str(caught.value) and case.name in str(caught.value), str(caught.value)


@ours
@pytest.mark.parametrize("share", [float("nan"), inf])
def test_a_bad_number_is_named_like_a_bad_tensor(share):
    with pytest.raises(ValueError, match=rf"Normal.*scale.*{share}"):
        D.Normal(0.0, share)
    with pytest.raises(ValueError, match=rf"Bernoulli.*probs.*{share}"):
        D.Bernoulli(probs=share)


@ours
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: D.TruncatedNormal(0.0, 1.0, 2.0, 1.0), ("TruncatedNormal", "low", "high", "1")),
        (lambda: D.TruncatedNormal(0.0, 1.0, 1.0, 1.0), ("TruncatedNormal", "low", "high", "1")),
        (lambda: D.TruncatedNormal(0.0, 1.0, nan, 1.0), ("TruncatedNormal", "low", "nan")),
        (lambda: D.Uniform(2.0, 1.0), ("Uniform", "low", "high", "1")),
        (lambda: D.Uniform(0.0, inf), ("Uniform", "high", "inf")),
        (lambda: D.Uniform(-inf, 0.0), ("Uniform", "low", "inf")),
        (lambda: D.Categorical(torch.zeros(3)), ("Categorical", "probs")),
        (lambda: D.Categorical(logits=torch.tensor([inf, 0.0])), ("Categorical", "logits", "inf")),
        (lambda: D.Categorical(logits=torch.tensor([-inf, -inf])), ("Categorical", "logits", "inf")),
        (lambda: D.RelaxedBernoulli(torch.tensor(0.0), torch.tensor(0.5)), ("RelaxedBernoulli", "temperature", "0")),
        (lambda: D.RelaxedOneHotCategorical(-1.5, torch.ones(2)), ("RelaxedOneHotCategorical", "temperature", "-1.5")),
        (
            lambda: D.LowRankMultivariateNormal(torch.zeros(2), torch.ones(2, 1), torch.tensor([1.0, -1.5])),
            ("cov_diag", "-1.5"),
        ),
    ],
)
def test_the_message_names_distribution_parameter_and_value(make, words):
    with pytest.raises(ValueError) as caught:
        make()
    assert all(word in str(caught.value) for word in words), str(caught.value)


@ours
def test_the_message_shows_the_bad_values_and_not_thousands_of_good_ones():
    scale = torch.ones(10_000)
    scale[1234] = -3.25
    with pytest.raises(ValueError, match=r"-3\.25") as caught:
        D.Normal(torch.zeros(10_000), scale)
    assert len(str(caught.value)) < 600


@ours
def test_open_ends_and_impossible_categories_are_no_errors():
    D.TruncatedNormal(0.0, 1.0, -inf, inf)
    D.Categorical(logits=torch.tensor([-inf, 0.0]))
    D.OneHotCategorical(logits=torch.tensor([-inf, 0.0]))
    D.Bernoulli(logits=torch.tensor([-inf, inf]))


# ---------------------------------------------------------------- switching validation


def test_validation_is_on_unless_it_is_switched_off():
    before = D.Distribution._validate_args
    try:
        D.Distribution.set_default_validate_args(False)
        D.Normal(0.0, -1.0)
        with pytest.raises(ValueError):
            D.Normal(0.0, -1.0, validate_args=True)
        D.Distribution.set_default_validate_args(True)
        with pytest.raises(ValueError):
            D.Normal(0.0, -1.0)
        D.Normal(0.0, -1.0, validate_args=False)
    finally:
        D.Distribution.set_default_validate_args(before)


@each([*CASES, *COMPOSITES])
def test_expanding_keeps_whether_samples_are_validated(case):
    for validate in (True, False):
        d, _ = case.make(case.arrays(batch=(3,)), validate_args=validate)
        value = np.full((3, *case.event), nan)
        for wide in (d, d.expand((2, 3))):
            if validate:
                with pytest.raises(ValueError):
                    wide.log_prob(torch.tensor(value))
            elif not case.discrete and not case.build and (UNDER_TEST != "torch" or case.name != "RelaxedBernoulli"):
                wide.log_prob(torch.tensor(value))


@each(CASES)
def test_a_distribution_is_printed_with_its_name(case):
    d, _ = case.make(case.arrays())
    assert repr(d).startswith(case.name + "(")


@pytest.mark.parametrize("shape", [(-1,), (2, -3)], ids=str)
def test_negative_sample_shapes_are_refused(shape):
    with pytest.raises((RuntimeError, ValueError)):
        D.Normal(0.0, 1.0).sample(shape)
    with pytest.raises((RuntimeError, ValueError)):
        D.Gamma(1.0, 1.0).rsample(shape)


def test_empty_batches_and_samples_have_their_shapes():
    d = D.Normal(torch.zeros(0, 2), torch.ones(2))
    assert tuple(d.sample((3,)).shape) == (3, 0, 2) == tuple(d.log_prob(d.sample((3,))).shape)
    assert tuple(D.Gamma(torch.ones(2), 1.0).rsample((0,)).shape) == (0, 2)
    assert tuple(D.Dirichlet(torch.ones(4)).rsample((0,)).shape) == (0, 4)


@ours  # PyTorch refuses to draw no index
def test_no_categories_can_be_drawn():
    assert tuple(D.Categorical(torch.ones(4)).sample((0, 3)).shape) == (0, 3)
