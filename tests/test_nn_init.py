"""Where parameters begin, and what is done with all of them at once, in PyTorch and here.

Moments of random numbers are z-tests on a fixed seed: |z| < 5 fails a right distribution once in two million runs.
"""

import math
import warnings

import numpy as np
import pytest
from against_pytorch import ref, torch
from hypothesis import given, settings
from hypothesis import strategies as st

BOTH = pytest.mark.parametrize("m", [torch, ref] if torch is not ref else [ref], ids=lambda m: m.__name__)
ours = pytest.mark.skipif(torch is ref, reason="what only this package promises")
init = torch.nn.init


def seeded(m, seed=0):
    return m.Generator().manual_seed(seed)


def assert_moments(values, mean, variance, kurtosis):
    """The first two moments are those of a distribution; its kurtosis, E(x − μ)⁴/σ⁴, says how far the variance may be off."""
    x = np.asarray(values, np.float64).ravel()
    n = x.size
    assert abs((x.mean() - mean) / math.sqrt(variance / n)) < 5
    assert abs((((x - mean) ** 2).mean() / variance - 1) / math.sqrt((kurtosis - 1) / n)) < 5


UNIFORM, NORMAL = 1.8, 3.0
SHAPE = (60, 50, 3, 2)
FAN_IN, FAN_OUT = 300, 360


@BOTH
@pytest.mark.parametrize(
    "call, variance, kurtosis",
    [
        ("init.uniform_(w, -1.0, 3.0, generator=g)", 16 / 12, UNIFORM),
        ("init.normal_(w, 1.0, 2.0, generator=g)", 4.0, NORMAL),
        ("init.xavier_uniform_(w, gain=2.0, generator=g)", 4 * 2 / (FAN_IN + FAN_OUT), UNIFORM),
        ("init.xavier_normal_(w, generator=g)", 2 / (FAN_IN + FAN_OUT), NORMAL),
        ("init.kaiming_uniform_(w, generator=g)", 2 / FAN_IN, UNIFORM),
        ("init.kaiming_uniform_(w, a=math.sqrt(5), generator=g)", 1 / (3 * FAN_IN), UNIFORM),
        ("init.kaiming_normal_(w, mode='fan_out', nonlinearity='relu', generator=g)", 2 / FAN_OUT, NORMAL),
        ("init.kaiming_normal_(w, nonlinearity='tanh', generator=g)", (5 / 3) ** 2 / FAN_IN, NORMAL),
    ],
)
def test_random_parameters_have_the_moments_of_their_distribution(m, call, variance, kurtosis):
    w = m.nn.Parameter(m.zeros(SHAPE))
    assert eval(call, {"init": m.nn.init, "w": w, "g": seeded(m), "math": math}) is w and w.requires_grad and w.is_leaf
    mean = 1.0 if "1.0, " in call else 0.0
    assert_moments(w.detach().numpy(), mean, variance, kurtosis)
    if kurtosis == UNIFORM:
        bound = math.sqrt(3 * variance)
        far = np.abs(w.detach().numpy() - mean).max()
        assert 0.999 * bound < far <= np.nextafter(np.float32(bound), np.float32(9))


@BOTH
@pytest.mark.filterwarnings("ignore:mean is more than 2 std:UserWarning")
@pytest.mark.parametrize(
    "mean, std, a, b", [(0.0, 1.0, -2.0, 2.0), (1.0, 2.0, 1.5, 3.0), (0.0, 1.0, 4.0, 6.0), (0.5, 0.1, -9, 9)]
)
def test_truncated_normal_numbers_have_the_moments_of_their_distribution_and_stay_inside(m, mean, std, a, b):
    w = m.nn.init.trunc_normal_(m.zeros(100, 100), mean, std, a, b, generator=seeded(m)).numpy()
    assert w.min() >= np.float32(a) and w.max() <= np.float32(b)
    x = np.linspace(max(a, mean - 9 * std), min(b, mean + 9 * std), 20001)
    share = np.exp(-0.5 * ((x - mean) / std) ** 2)
    share /= share.sum()
    mu = (share * x).sum()
    variance, fourth = (float((share * (x - mu) ** power).sum()) for power in (2, 4))
    assert_moments(w, mu, variance, fourth / variance**2)


@ours
def test_truncated_normal_numbers_reach_into_the_farthest_tail():
    w = init.trunc_normal_(torch.zeros(1000), 0.0, 1.0, 50.0, math.inf, generator=seeded(torch))
    excess = w.double() - 50  # of which the density is nearly that of an exponential distribution of rate 50
    assert 0 <= excess.min().item() and abs(excess.mean().item() * 50 - 1) < 5 / math.sqrt(1000)


@BOTH
def test_a_seed_gives_the_same_parameters(m):
    for fill in (
        m.nn.init.uniform_, m.nn.init.normal_, m.nn.init.trunc_normal_, m.nn.init.xavier_uniform_, m.nn.init.xavier_normal_,
        m.nn.init.kaiming_uniform_, m.nn.init.kaiming_normal_, m.nn.init.orthogonal_,
    ):  # fmt: skip
        a, b, c = (fill(m.zeros(4, 5), generator=seeded(m, seed)).tolist() for seed in (1, 1, 2))
        assert a == b != c
        m.manual_seed(5)
        d = fill(m.zeros(4, 5)).tolist()
        m.manual_seed(5)
        assert fill(m.zeros(4, 5)).tolist() == d


@BOTH
def test_constants_and_the_identity(m):
    assert m.nn.init.constant_(m.zeros(2), 3.5).tolist() == [3.5, 3.5]
    assert m.nn.init.ones_(m.zeros(2)).tolist() == [1, 1] and m.nn.init.zeros_(m.ones(2)).tolist() == [0, 0]
    assert m.nn.init.eye_(m.ones(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]


@BOTH
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (4, 2, 3), (7, 1, 2, 2)])
def test_orthogonal_parameters_have_orthonormal_rows_or_columns(m, shape):
    w = m.nn.init.orthogonal_(m.zeros(shape).double(), gain=2.0, generator=seeded(m)).numpy().reshape(shape[0], -1) / 2
    few = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(few, np.eye(len(few)), atol=1e-12)


@BOTH
def test_orthogonal_matrices_are_all_equally_likely(m):
    # the trace of an orthogonal matrix of two rows has mean 0 and variance 1, with a mean fourth power of 3
    g = seeded(m)
    traces = [m.nn.init.orthogonal_(m.zeros(2, 2), generator=g).numpy().trace() for _ in range(2000)]
    assert_moments(traces, 0.0, 1.0, 3.0)


NAMES = ["linear", "conv1d", "conv2d", "conv3d", "conv_transpose2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]


def test_gains_are_pytorchs():
    for name in NAMES:
        assert init.calculate_gain(name) == pytest.approx(ref.nn.init.calculate_gain(name), rel=1e-15)
    assert init.calculate_gain("leaky_relu", 0.3) == ref.nn.init.calculate_gain("leaky_relu", 0.3)


@BOTH
def test_wrong_arguments_raise_pytorchs_kind_of_error(m):
    i, flat, square = m.nn.init, m.zeros(3), m.zeros(3, 3)
    for call in (
        lambda: i.calculate_gain("other"),
        lambda: i.calculate_gain("leaky_relu", "x"),
        lambda: i.calculate_gain("leaky_relu", True),
        lambda: i.xavier_uniform_(flat),
        lambda: i.xavier_normal_(flat),
        lambda: i.kaiming_uniform_(flat),
        lambda: i.kaiming_normal_(square, mode="other"),
        lambda: i.kaiming_normal_(square, nonlinearity="other"),
        lambda: i.eye_(flat),
        lambda: i.orthogonal_(flat),
    ):
        with pytest.raises(ValueError):
            call()
    with pytest.warns(UserWarning):
        i.kaiming_uniform_(m.zeros(0, 3))
    assert not flat.any() and not square.any()


@ours
def test_integers_and_empty_intervals_are_refused():
    for fill in (init.trunc_normal_, init.orthogonal_):
        with pytest.raises(NotImplementedError):
            fill(torch.zeros(2, 2, dtype=torch.int64))
    for wrong in ({"std": 0.0}, {"a": 2.0}, {"std": math.nan}):
        with pytest.raises(ValueError):
            init.trunc_normal_(torch.zeros(2), **wrong)


# ------------------------------------------------------------------------------------------------------ layers as they begin


@BOTH
@pytest.mark.parametrize(
    "call, bound",
    [
        ("nn.Linear(100, 300)", 0.1),
        ("nn.Conv1d(10, 300, 5)", 1 / math.sqrt(50)),
        ("nn.Conv2d(20, 60, (5, 4), groups=2)", 1 / math.sqrt(200)),
        ("nn.ConvTranspose2d(40, 20, 5)", 1 / math.sqrt(500)),
    ],
)
def test_weight_and_bias_of_a_layer_begin_uniform_up_to_one_over_the_root_of_their_sums(m, call, bound):
    m.manual_seed(11)
    layer = eval(call, {"nn": m.nn})
    for p in (layer.weight, layer.bias):
        x = p.detach().numpy()
        assert np.abs(x).max() <= np.nextafter(np.float32(bound), np.float32(1))
        assert_moments(x, 0.0, bound**2 / 3, UNIFORM)
    assert layer.weight.dtype == m.float32
    before = layer.weight.tolist()
    layer.reset_parameters()
    assert layer.weight.tolist() != before
    m.manual_seed(11)
    assert eval(call, {"nn": m.nn}).weight.tolist() == before


@BOTH
def test_an_embedding_begins_with_standard_normal_numbers(m):
    m.manual_seed(3)
    assert_moments(m.nn.Embedding(100, 100).weight.detach().numpy(), 0.0, 1.0, NORMAL)


@BOTH
def test_the_dtype_of_a_layer_can_be_chosen(m):
    for call in ("Linear(2, 3, ", "Conv2d(1, 1, 2, ", "Embedding(2, 3, ", "LayerNorm(3, ", "BatchNorm1d(3, "):
        layer = eval(f"nn.{call}dtype=m.float64)", {"nn": m.nn, "m": m})
        assert {p.dtype for p in layer.parameters()} == {m.float64}
    assert m.nn.BatchNorm1d(3, dtype=m.float64).running_mean.dtype == m.float64


@BOTH
def test_a_layer_without_inputs_has_a_bias_of_zeros(m):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert m.nn.Linear(0, 2).bias.tolist() == [0.0, 0.0]


# ------------------------------------------------------------------------------------------------------------- nn.utils


def with_gradients(m, *grads):
    parameters = []
    for grad in grads:
        p = m.nn.Parameter(m.zeros(np.shape(grad or 0)))
        p.grad = None if grad is None else m.tensor(grad)
        parameters.append(p)
    return parameters


lists = st.lists(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=4), min_size=0, max_size=4)


@settings(max_examples=80, deadline=None)
@given(lists, st.floats(0, 10), st.sampled_from([1.0, 2.0, 3.5, math.inf, 0.5]))
def test_clipping_by_norm_is_pytorchs(grads, max_norm, norm_type):
    results = []
    for m in (torch, ref):
        parameters = with_gradients(m, *grads, None)
        total = m.nn.utils.clip_grad_norm_(parameters, max_norm, norm_type)
        results.append([total.tolist(), *(p.grad.tolist() for p in parameters[:-1])])
        assert parameters[-1].grad is None
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-30)


@BOTH
def test_gradients_that_are_not_finite_are_left_alone_where_this_is_asked_for(m):
    for bad in (math.inf, math.nan):
        parameters = with_gradients(m, [1.0, bad], [2.0])
        with pytest.raises(RuntimeError):
            m.nn.utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
        assert parameters[1].grad.tolist() == [2.0]
        total = m.nn.utils.clip_grad_norm_(parameters, 1.0)
        assert not np.isfinite(total.item())
        np.testing.assert_array_equal(parameters[1].grad.numpy(), [0.0 if bad == math.inf else math.nan])


@BOTH
def test_clipping_by_value_moves_each_element_inside(m):
    parameters = with_gradients(m, [-3.0, 0.5, 2.0], None)
    m.nn.utils.clip_grad_value_(parameters, 1)
    assert parameters[0].grad.tolist() == [-1.0, 0.5, 1.0]
    m.nn.utils.clip_grad_value_(parameters[0], 0.25)
    assert parameters[0].grad.tolist() == [-0.25, 0.25, 0.25]


@BOTH
def test_norm_and_scaling_can_be_had_apart(m):
    parameters = with_gradients(m, [3.0], [4.0])
    total = m.nn.utils.get_total_norm([p.grad for p in parameters])
    assert total.item() == 5 and m.nn.utils.get_total_norm([]).item() == 0
    m.nn.utils.clip_grads_with_norm_(parameters, 1.0, total)
    np.testing.assert_allclose([p.grad.item() for p in parameters], [0.6, 0.8], rtol=1e-6)


@BOTH
def test_parameters_become_a_vector_and_come_back(m):
    layer = m.nn.Linear(2, 3)
    vector = m.nn.utils.parameters_to_vector(layer.parameters())
    assert tuple(vector.shape) == (9,) and vector.requires_grad
    (vector**2).sum().backward()
    np.testing.assert_allclose(layer.bias.grad.numpy(), 2 * layer.bias.detach().numpy())
    weight = layer.weight
    m.nn.utils.vector_to_parameters(m.arange(9.0), layer.parameters())
    assert layer.weight is weight and weight.tolist() == [[0, 1], [2, 3], [4, 5]] and layer.bias.tolist() == [6, 7, 8]
    assert weight.requires_grad and weight.is_leaf
    with pytest.raises(RuntimeError):
        m.nn.utils.vector_to_parameters(m.zeros(8), layer.parameters())
    with pytest.raises(TypeError):
        m.nn.utils.vector_to_parameters([1.0] * 9, layer.parameters())


@ours
def test_a_vector_of_another_length_or_dtype_is_refused_and_changes_nothing():
    layer = torch.nn.Linear(1, 1)
    before = [p.tolist() for p in layer.parameters()]
    for vector in (torch.zeros(3), torch.zeros(1), torch.zeros(2).double(), torch.zeros(2, 1)):
        with pytest.raises(RuntimeError):
            torch.nn.utils.vector_to_parameters(vector, layer.parameters())
    assert [p.tolist() for p in layer.parameters()] == before
