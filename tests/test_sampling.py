"""Samples have the distribution they claim, and say where the gradient stops.

A Monte-Carlo test here is a z-test on a fixed seed against a value known by hand. LIMIT = 4.5 standard errors gives
a false alarm for 7 seeds in a million and comparison (two-sided, normal).
"""

import gc
import importlib
import math
import os
import warnings
import weakref

import numpy as np
import pytest

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
Normal = importlib.import_module(UNDER_TEST + ".distributions").Normal
ours = pytest.mark.skipif(UNDER_TEST == "torch", reason="we differ from PyTorch on purpose")
silent = pytest.mark.filterwarnings("ignore::UserWarning")

LIMIT = 4.5
N = 100_000


def leaf(*values, dtype=None):
    return torch.tensor(list(values), dtype=dtype or torch.float32, requires_grad=True)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def assert_mean(samples, mean, sd):
    """z-test of the mean of independent samples whose standard deviation is known."""
    samples = np.asarray(samples, dtype=float).ravel()
    assert np.all(np.isfinite(samples))
    z = (samples.mean() - mean) / (sd / math.sqrt(samples.size))
    assert abs(z) < LIMIT, f"z = {z:.2f}"


def assert_standard_normal(x):
    """z-tests of the first four moments and of three quantiles; the variances of x^2, x^3, x^4 are 2, 15, 96."""
    x = np.asarray(x, dtype=float).ravel()
    assert_mean(x, 0, 1)
    assert_mean(x**2, 1, math.sqrt(2))
    assert_mean(x**3, 0, math.sqrt(15))
    assert_mean(x**4, 3, math.sqrt(96))
    for quantile, below in ((-1.2815515655446004, 0.1), (0.6744897501960817, 0.75), (2.3263478740408408, 0.99)):
        assert_mean(x < quantile, below, math.sqrt(below * (1 - below)))


def assert_uncorrelated(x):
    """z-tests of the products of neighbours at lags 1, 2 and 7 of standardised samples: each has variance 1."""
    x = np.asarray(x, dtype=float).ravel()
    for lag in (1, 2, 7):
        assert_mean(x[:-lag] * x[lag:], 0, 1)


# ---------------------------------------------------------------- seeds and generators

DRAWS = {
    "rand": lambda **kw: torch.rand(5, **kw),
    "randn": lambda **kw: torch.randn(5, **kw),
    "normal": lambda **kw: torch.normal(torch.zeros(5), torch.ones(5), **kw),
    "normal with a size": lambda **kw: torch.normal(0.0, 1.0, (5,), **kw),
    "bernoulli": lambda **kw: torch.bernoulli(torch.full((64,), 0.5), **kw),
    "multinomial": lambda **kw: torch.multinomial(torch.ones(64), 32, True, **kw),
    "multinomial without replacement": lambda **kw: torch.multinomial(torch.ones(64), 32, **kw),
}


@pytest.mark.parametrize("kind", DRAWS)
def test_the_same_seed_gives_the_same_draws_and_another_seed_others(kind):
    draw = DRAWS[kind]
    torch.manual_seed(7)
    first, second = draw().tolist(), draw().tolist()
    torch.manual_seed(7)
    assert draw().tolist() == first and draw().tolist() == second
    assert first != second
    torch.manual_seed(8)
    assert draw().tolist() != first


@pytest.mark.parametrize("kind", DRAWS)
def test_a_generator_has_its_own_stream(kind):
    draw = DRAWS[kind]
    torch.manual_seed(7)
    expected = draw().tolist()
    generator = torch.Generator()
    generator.manual_seed(123)
    mine = draw(generator=generator).tolist()
    torch.manual_seed(7)
    draw(generator=generator)
    assert draw().tolist() == expected, "drawing from a generator leaves the default stream alone"
    generator.manual_seed(123)
    torch.manual_seed(9)
    assert draw(generator=generator).tolist() == mine, "the default seed leaves a generator alone"


def test_manual_seed_returns_a_generator():
    assert isinstance(torch.manual_seed(3), torch.Generator)
    generator = torch.Generator()
    assert generator.manual_seed(3) is generator


def test_like_functions_follow_the_seed():
    x = torch.zeros(3)
    torch.manual_seed(1)
    first = torch.randn_like(x).tolist(), torch.rand_like(x).tolist()
    torch.manual_seed(1)
    assert (torch.randn_like(x).tolist(), torch.rand_like(x).tolist()) == first


def test_two_generators_with_different_seeds_are_uncorrelated():
    x, y = torch.randn(N, generator=seeded(0)).numpy(), torch.randn(N, generator=seeded(1)).numpy()
    assert_mean(x.astype(float) * y, 0, 1)


@ours
@pytest.mark.parametrize("draw", ["rand", "randn"])
def test_numbers_drawn_one_by_one_are_those_drawn_as_an_array(draw):
    draw = getattr(torch, draw)
    generator = seeded(5)
    singly = [draw(1, generator=generator).item() for _ in range(9)]
    assert singly == draw(9, generator=seeded(5)).tolist()
    generator = seeded(5)
    assert draw(4, generator=generator).tolist() + draw(5, generator=generator).tolist() == singly


# ---------------------------------------------------------------- rand and randn


def test_rand_is_uniform_on_the_half_open_unit_interval():
    x = torch.rand(N, generator=seeded(0)).numpy().astype(float)
    assert x.min() >= 0 and x.max() < 1
    assert_mean(x, 1 / 2, math.sqrt(1 / 12))
    assert_mean(x**2, 1 / 3, math.sqrt(4 / 45))
    for edge in (0.01, 0.25, 0.9):
        assert_mean(x < edge, edge, math.sqrt(edge * (1 - edge)))
    assert_uncorrelated((x - 0.5) * math.sqrt(12))


def test_rand_fills_its_bins_evenly():
    counts = np.bincount((torch.rand(N, generator=seeded(1)).numpy() * 100).astype(int), minlength=100)
    chi2 = ((counts - N / 100) ** 2 / (N / 100)).sum()
    # Chi-square with 99 degrees of freedom: mean 99, standard deviation 14.07; 35 to 185 is beyond 1 in 100,000.
    assert len(counts) == 100 and 35 < chi2 < 185


def test_randn_is_standard_normal():
    x = torch.randn(N, generator=seeded(0)).numpy()
    assert_standard_normal(x)
    assert_uncorrelated(x)


def test_randn_in_small_draws_is_standard_normal():
    generator = seeded(2)
    x = np.array([torch.randn(1, generator=generator).item() for _ in range(5000)])
    assert_standard_normal(x)
    assert_uncorrelated(x)


def test_random_factories_have_the_shape_and_dtype_asked_for():
    for make in (torch.rand, torch.randn):
        assert tuple(make(2, 3).shape) == tuple(make((2, 3)).shape) == (2, 3)
        assert tuple(make(()).shape) == () and tuple(make(0).shape) == (0,)
        assert make(2).dtype == torch.float32 and make(2, dtype=torch.float64).dtype == torch.float64
        assert not make(2).requires_grad
        made = make(2, requires_grad=True)
        assert made.requires_grad and made.is_leaf
    x = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    for like in (torch.rand_like, torch.randn_like):
        made = like(x)
        assert tuple(made.shape) == (2, 3) and made.dtype == torch.float64
        assert not made.requires_grad and made.grad_fn is None


def test_float64_samples_use_more_bits_than_float32_has():
    for make in (torch.rand, torch.randn):
        x = make(1000, dtype=torch.float64, generator=seeded(3)).numpy()
        assert np.mean(x == x.astype(np.float32)) < 0.05


# ---------------------------------------------------------------- normal


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: torch.normal(torch.full((N,), -3.0), torch.full((N,), 0.5), generator=g),
        lambda g: torch.normal(torch.full((N,), -3.0), 0.5, generator=g),
        lambda g: torch.normal(-3.0, torch.full((N,), 0.5), generator=g),
        lambda g: torch.normal(-3.0, 0.5, (N,), generator=g),
        lambda g: torch.normal(-3.0, 0.5, size=(N // 10, 10), generator=g),
        lambda g: torch.normal(torch.full((N // 10, 1), -3.0), torch.full((10,), 0.5), generator=g),
    ],
)
def test_normal_has_the_mean_and_standard_deviation_asked_for(draw):
    x = draw(seeded(11)).numpy()
    assert x.size == N
    assert_standard_normal((x.astype(float) + 3) / 0.5)


def test_normal_has_a_different_mean_and_spread_at_each_place():
    mean = torch.tensor([0.0, 100.0, -5.0]).expand(20_000, 3)
    x = torch.normal(mean, torch.tensor([1.0, 10.0, 0.1]), generator=seeded(0)).numpy().astype(float)
    assert x.shape == (20_000, 3)
    for column, (mean, std) in enumerate(((0, 1), (100, 10), (-5, 0.1))):
        assert_mean(x[:, column], mean, std)
        assert_mean((x[:, column] - mean) ** 2, std**2, math.sqrt(2) * std**2)


def test_normal_with_std_zero_is_its_mean():
    assert torch.normal(torch.tensor([1.0, 2.0]), 0.0).tolist() == [1.0, 2.0]
    assert torch.normal(torch.tensor([1.0, 2.0]), torch.zeros(2)).tolist() == [1.0, 2.0]


def test_the_standard_deviation_of_normal_is_one_when_it_is_left_out():
    assert_standard_normal(torch.normal(torch.zeros(N), generator=seeded(4)).numpy())


def test_normal_keeps_the_dtype_of_its_parameters():
    for dtype in (torch.float32, torch.float64):
        one = torch.ones(2, dtype=dtype)
        assert torch.normal(one, one).dtype == torch.normal(one, 2.0).dtype == torch.normal(0.0, one).dtype == dtype
    assert torch.normal(0.0, 1.0, (2,)).dtype == torch.float32


# ---------------------------------------------------------------- bernoulli and multinomial


@pytest.mark.parametrize("p", [0.001, 0.25, 0.5, 0.9])
def test_bernoulli_is_one_with_its_probability(p):
    y = torch.bernoulli(torch.full((N,), p, dtype=torch.float64), generator=seeded(0)).numpy()
    assert set(np.unique(y)) == {0.0, 1.0}
    assert_mean(y, p, math.sqrt(p * (1 - p)))
    assert_uncorrelated((y - p) / math.sqrt(p * (1 - p)))


def test_bernoulli_is_certain_at_zero_and_one():
    p = torch.tensor([0.0, 1.0]).expand(10_000, 2)
    y = torch.bernoulli(p).numpy()
    assert not y[:, 0].any() and y[:, 1].all()


def test_bernoulli_keeps_shape_and_dtype():
    p = torch.full((2, 3), 0.5, dtype=torch.float64)
    assert tuple(torch.bernoulli(p).shape) == (2, 3) and torch.bernoulli(p).dtype == torch.float64
    assert torch.bernoulli(torch.tensor(0.5)).dtype == torch.float32
    assert tuple(torch.bernoulli(torch.zeros(0)).shape) == (0,)


def test_multinomial_with_replacement_draws_with_the_weights_given():
    weights = np.array([1.0, 0.0, 3.0, 6.0])
    x = torch.multinomial(torch.tensor(weights), N, replacement=True, generator=seeded(0))
    assert x.dtype == torch.int64 and tuple(x.shape) == (N,)
    for index, p in enumerate(weights / weights.sum()):
        if p == 0:
            assert not np.any(x.numpy() == index)
        else:
            assert_mean(x.numpy() == index, p, math.sqrt(p * (1 - p)))


def test_multinomial_draws_each_row_with_its_own_weights():
    weights = torch.tensor([[1.0, 1.0, 2.0], [0.0, 9.0, 1.0]])
    x = torch.multinomial(weights, 20_000, True, generator=seeded(1))
    assert tuple(x.shape) == (2, 20_000)
    for row, probabilities in enumerate(((0.25, 0.25, 0.5), (0.0, 0.9, 0.1))):
        for index, p in enumerate(probabilities):
            hits = x.numpy()[row] == index
            if p == 0:
                assert not hits.any()
            else:
                assert_mean(hits, p, math.sqrt(p * (1 - p)))


def test_multinomial_without_replacement_draws_nothing_twice_and_in_the_right_order():
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    rows = 20_000
    x = torch.multinomial(torch.tensor(weights).expand(rows, 4), 3, generator=seeded(2)).numpy()
    assert x.shape == (rows, 3)
    assert all(len(set(row)) == 3 for row in x[:2000].tolist())
    p = weights / weights.sum()
    for i in range(4):
        assert_mean(x[:, 0] == i, p[i], math.sqrt(p[i] * (1 - p[i])))
        for j in range(4):
            if i != j:
                both = p[i] * p[j] / (1 - p[i])
                assert_mean((x[:, 0] == i) & (x[:, 1] == j), both, math.sqrt(both * (1 - both)))


def test_multinomial_draws_one_by_default_without_replacement_all_of_them():
    assert torch.multinomial(torch.tensor([0.0, 5.0, 0.0]), 1).tolist() == [1]
    assert sorted(torch.multinomial(torch.ones(5), 5).tolist()) == [0, 1, 2, 3, 4]


# ---------------------------------------------------------------- where the gradient stops


def draws_that_stop():
    return {
        "normal, both": lambda x: torch.normal(x, x.abs() + 1),
        "normal, mean": lambda x: torch.normal(x, 2.0),
        "normal, std": lambda x: torch.normal(0.0, x),
        "bernoulli": lambda x: torch.bernoulli(x),
    }


@silent
@pytest.mark.parametrize("kind", draws_that_stop())
def test_a_sampling_node_is_wired_and_hands_back_zeros(kind):
    x = leaf(0.25, 0.5, 0.75)
    y = draws_that_stop()[kind](x)
    assert y.requires_grad and not y.is_leaf
    (y * y).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.0, 0.0, 0.0] and x.grad.shape == x.shape


@silent
def test_the_zeros_of_a_sampling_node_have_the_shape_of_each_parameter():
    mean = torch.zeros(2, 1, dtype=torch.float64, requires_grad=True)
    std = torch.ones(3, dtype=torch.float64, requires_grad=True)
    y = torch.normal(mean, std)
    assert tuple(y.shape) == (2, 3)
    by_mean, by_std = torch.autograd.grad(y.sum(), (mean, std))
    assert tuple(by_mean.shape) == (2, 1) and tuple(by_std.shape) == (3,)
    assert not by_mean.numpy().any() and not by_std.numpy().any()
    assert by_mean.dtype == by_std.dtype == torch.float64


def test_sampling_nodes_bear_pytorchs_names_up_to_their_number():
    mu, std = leaf(0.5), leaf(0.5)
    assert torch.normal(mu, std).grad_fn.name().rstrip("0123456789") == "NormalBackward"
    assert torch.bernoulli(mu).grad_fn.name() == "BernoulliBackward0"
    assert [node.variable for node, _ in torch.normal(mu, std).grad_fn.next_functions] == [mu, std]


def test_samples_of_constants_and_of_multinomial_have_no_graph():
    constant = torch.tensor([0.5])
    for y in (
        torch.normal(constant, constant),
        torch.normal(0.0, 1.0, (2,)),
        torch.bernoulli(constant),
        torch.multinomial(leaf(0.5, 0.5), 1),
        torch.randn_like(leaf(1.0)),
        torch.rand_like(leaf(1.0)),
    ):
        assert not y.requires_grad and y.grad_fn is None
    with torch.no_grad():
        assert torch.normal(leaf(1.0), leaf(1.0)).grad_fn is None


@silent
def test_a_live_path_beside_a_sample_keeps_its_gradient():
    x = leaf(0.25)
    y = torch.bernoulli(x) + 3 * x
    y.backward()
    assert x.grad.tolist() == [3.0]


def stopped(warned):
    return [w for w in warned if issubclass(w.category, torch.StoppedGradientWarning)]


@ours
def test_the_warning_is_a_user_warning():
    assert issubclass(torch.StoppedGradientWarning, UserWarning)


@ours
@pytest.mark.parametrize("kind", ["normal, mean", "normal, std", "bernoulli"])
def test_backward_that_starves_a_leaf_warns_once(kind):
    x = leaf(0.25)
    y = draws_that_stop()[kind](x) ** 2
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        y.backward()
    assert len(stopped(warned)) == 1 and len(warned) == 1
    assert kind.split(",")[0] in str(warned[0].message).lower()
    assert x.grad.tolist() == [0.0]


@ours
def test_two_starved_leaves_are_both_spoken_of():
    mu, std = leaf(1.0), leaf(2.0, 3.0)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        torch.normal(mu, std).sum().backward()
    assert 1 <= len(stopped(warned)) <= 2
    assert mu.grad.tolist() == [0.0] and std.grad.tolist() == [0.0, 0.0]


@ours
def test_the_warning_points_at_the_line_that_called_backward():
    y = torch.bernoulli(leaf(0.25))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        y.backward()
    assert os.path.basename(stopped(warned)[0].filename) == os.path.basename(__file__)


@ours
def test_no_warning_when_the_leaf_is_also_reached_by_a_live_path():
    x, mu = leaf(0.25), leaf(1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (torch.bernoulli(x) * x).backward()
        y = torch.normal(mu, 1.0)
        ((y - mu) ** 2).backward()
    assert x.grad is not None and mu.grad is not None


@ours
def test_no_warning_for_a_live_path_found_later_or_deeper_in_the_graph():
    x = leaf(0.25)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for meet in (lambda z: torch.bernoulli(x) + z, lambda z: z.exp() * torch.normal(x, 1.0)):
            z = x
            for _ in range(20):
                z = z * 1.0
            meet(z).backward()
    assert x.grad.item() != 0


@ours
def test_only_the_starved_leaf_is_spoken_of():
    starved, fed = leaf(0.25, 0.5), leaf(1.0, 2.0)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        (torch.bernoulli(starved) * fed).sum().backward()
    assert len(stopped(warned)) == 1
    assert starved.grad.tolist() == [0.0, 0.0] and fed.grad is not None


@ours
def test_a_live_path_with_a_gradient_of_zero_is_still_a_live_path():
    x = leaf(0.25)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (torch.bernoulli(x) + (x - 0.25) ** 2).backward()
    assert x.grad.tolist() == [0.0]


@ours
def test_no_warning_where_nothing_is_sampled():
    x = leaf(1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (x * 0).backward()
        (x.detach() * 2 + x).backward()
        ((x + torch.randn_like(x)) ** 2).backward()
    assert x.grad is not None


@ours
def test_the_warning_as_an_error_leaves_every_grad_as_it_was():
    starved, fed, before = leaf(0.25), leaf(1.0), leaf(2.0)
    (before * 3).backward()
    y = torch.bernoulli(starved) * fed + before
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(torch.StoppedGradientWarning):
            y.backward(retain_graph=True)
    assert starved.grad is None and fed.grad is None and before.grad.tolist() == [3.0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y.backward()
    assert starved.grad.tolist() == [0.0] and before.grad.tolist() == [4.0]


@ours
def test_the_warning_can_be_silenced_by_its_class():
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", torch.StoppedGradientWarning)
        torch.bernoulli(leaf(0.25)).backward()
    assert warned == []


# ---------------------------------------------------------------- stops and sources of a node


def entries(per_input):
    """The entries that are there: an input has one, several or None."""
    found = []
    for value in per_input:
        found.extend(value if isinstance(value, tuple) else [] if value is None else [value])
    return found


@ours
@pytest.mark.parametrize("kind", draws_that_stop())
def test_a_sampling_node_declares_its_stop(kind):
    node = draws_that_stop()[kind](leaf(0.25)).grad_fn
    stops = entries(node.stops)
    assert stops
    for stop in stops:
        assert stop.kind == "zero"
        assert isinstance(stop.reason, str) and stop.reason
        assert len(stop.remedies) > 0 and all(isinstance(remedy, str) and remedy for remedy in stop.remedies)


@ours
def test_an_ordinary_node_declares_no_stop():
    x = leaf(0.25)
    for y in (x * 2, x.exp(), x.sum(), x @ x):
        assert entries(y.grad_fn.stops) == []


@ours
@pytest.mark.parametrize("draw", ["randn", "rand", "randn_like", "rand_like"])
def test_a_node_knows_that_an_input_is_noise(draw):
    x = leaf(0.25, 0.5)
    noise = getattr(torch, draw)(x if draw.endswith("_like") else (2,))
    sources = entries((x * noise).grad_fn.sources)
    assert [source.kind for source in sources] == ["noise"]


CUTS = {
    "detach": lambda x: x.detach(),
    "detach of a result": lambda x: (x * 2).detach(),
    "argmax": lambda x: x.argmax(),
    "comparison": lambda x: x > 0.3,
}


@ours
@pytest.mark.parametrize("kind", CUTS)
def test_a_node_knows_that_an_input_was_cut_off_and_by_what(kind):
    x = leaf(0.25, 0.5)
    cut = CUTS[kind](x)
    assert not cut.requires_grad
    source, *_ = entries((x * cut).grad_fn.sources)
    assert source.kind == "cut" and isinstance(source.name, str) and source.name
    assert source.stop.kind == "missing" and source.stop.reason
    if kind in ("detach", "argmax"):
        assert kind in source.name.lower()


@ours
def test_a_node_knows_that_an_input_was_computed_under_no_grad():
    x = leaf(0.25)
    with torch.no_grad():
        cut = x * 2
    source, *_ = entries((x + cut).grad_fn.sources)
    assert source.kind == "cut" and source.stop.kind == "missing"


@ours
def test_plain_constants_are_neither_noise_nor_cut():
    x = leaf(0.25)
    for y in (x * 2, x + torch.tensor([1.0]), x * x):
        assert all(source.kind not in ("noise", "cut") for source in entries(y.grad_fn.sources))


@ours
def test_a_source_does_not_keep_the_dead_graph_alive():
    x = leaf(1.0)
    y = x * 2
    node = weakref.ref(y.grad_fn)
    z = x + y.detach()
    del y
    gc.collect()
    assert node() is None
    assert entries(z.grad_fn.sources)


# ---------------------------------------------------------------- Normal


def test_normal_distribution_knows_its_parameters_and_moments():
    d = Normal(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0]))
    assert d.loc.tolist() == d.mean.tolist() == [1.0, -2.0]
    assert d.scale.tolist() == d.stddev.tolist() == [0.5, 3.0]
    assert d.variance.tolist() == [0.25, 9.0]
    assert d.has_rsample is True and Normal.has_rsample is True


def test_normal_distribution_takes_numbers_and_broadcasts_tensors():
    assert tuple(Normal(0.0, 1.0).rsample().shape) == ()
    assert tuple(Normal(0.0, 1.0).rsample((2, 3)).shape) == (2, 3)
    d = Normal(torch.zeros(2, 1), torch.ones(3))
    assert tuple(d.mean.shape) == tuple(d.stddev.shape) == (2, 3)
    assert tuple(d.rsample().shape) == (2, 3)
    assert tuple(d.sample((4,)).shape) == (4, 2, 3)
    assert tuple(Normal(torch.zeros(2), 1.0).rsample(torch.zeros(5, 1).shape).shape) == (5, 1, 2)
    assert Normal(torch.zeros(2, dtype=torch.float64), 1.0).rsample().dtype == torch.float64


def test_log_prob_of_normal_is_the_formula():
    d = Normal(torch.tensor(1.5, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64))
    x = torch.tensor([1.5, 0.0, 4.0], dtype=torch.float64)
    expected = -0.5 * ((x.numpy() - 1.5) / 0.5) ** 2 - math.log(0.5) - 0.5 * math.log(2 * math.pi)
    np.testing.assert_allclose(d.log_prob(x).numpy(), expected, rtol=1e-14)


def test_log_prob_of_normal_has_the_score_as_its_gradient():
    mu, std = leaf(1.5, dtype=torch.float64), leaf(0.5, dtype=torch.float64)
    x = leaf(2.0, dtype=torch.float64)
    Normal(mu, std).log_prob(x).backward()
    assert mu.grad.item() == pytest.approx(0.5 / 0.25)
    assert std.grad.item() == pytest.approx(0.25 / 0.125 - 1 / 0.5)
    assert x.grad.item() == pytest.approx(-0.5 / 0.25)


def test_samples_of_the_normal_distribution_are_normal():
    torch.manual_seed(0)
    d = Normal(torch.tensor(2.0), torch.tensor(3.0))
    for x in (d.sample((N,)), d.rsample((N,))):
        assert_standard_normal((x.numpy().astype(float) - 2) / 3)


def test_rsample_of_normal_carries_the_pathwise_gradient():
    mu, std = leaf(12.0, dtype=torch.float64), leaf(42.0, dtype=torch.float64)
    z = Normal(mu, std).rsample()
    assert z.requires_grad
    by_mu, by_std = torch.autograd.grad(z, (mu, std))
    assert by_mu.tolist() == [1.0]
    assert by_std.item() == pytest.approx((z.item() - 12) / 42)


def test_sample_of_normal_is_cut_off_and_leaves_grad_none():
    mu, std = leaf(12.0), leaf(42.0)
    z = Normal(mu, std).sample()
    assert not z.requires_grad and z.grad_fn is None
    fed = leaf(1.0)
    (z * fed).sum().backward()
    assert mu.grad is None and std.grad is None and fed.grad is not None


def test_the_pathwise_gradient_estimates_24_and_84():
    # z ~ N(12, 42^2), cost z^2: one sample has standard deviation 84 and 121.2.
    torch.manual_seed(0)
    mu = torch.tensor(12.0, dtype=torch.float64, requires_grad=True).expand(N)
    std = torch.tensor(42.0, dtype=torch.float64, requires_grad=True).expand(N)
    by_mu, by_std = torch.autograd.grad((Normal(mu, std).rsample() ** 2).sum(), (mu, std))
    assert_mean(by_mu.numpy(), 24, 84)
    assert_mean(by_std.numpy(), 84, math.sqrt(4 * 144 + 8 * 42**2))


def test_the_score_function_estimates_24_with_more_variance():
    # The same cost by log_prob: the standard deviation of one sample is sqrt(28487.8) for mu.
    torch.manual_seed(1)
    mu = torch.full((N,), 12.0, dtype=torch.float64, requires_grad=True)
    d = Normal(mu, 42.0)
    z = d.sample()
    (by_mu,) = torch.autograd.grad((d.log_prob(z) * z**2).sum(), mu)
    a, s = 12.0, 42.0
    assert_mean(by_mu.numpy(), 24, math.sqrt(a**4 / s**2 + 14 * a**2 + 15 * s**2))


@ours
def test_a_node_knows_that_its_input_is_a_sample_without_a_path():
    mu, fed = leaf(12.0), leaf(1.0)
    z = Normal(mu, 1.0).sample()
    source, *_ = entries((z * fed).grad_fn.sources)
    assert source.kind in ("cut", "noise") and source.name
