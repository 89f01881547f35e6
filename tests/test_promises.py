"""What the engine promises whatever is computed: sums of gradients, no aliasing, no recursion, no garbage, edges."""

import gc
import importlib
import math
import os
import threading
import warnings
import weakref

import numpy as np
import pytest

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
ours = pytest.mark.skipif(UNDER_TEST == "torch", reason="we differ from PyTorch on purpose")

F = torch.nn.functional
nan, inf = float("nan"), float("inf")


def leaf(*values, dtype=None):
    return torch.tensor(list(values), dtype=dtype or torch.float64, requires_grad=True)


def gradient(function, *values, **kwargs):
    """The gradient of the sum of function at the values, as a list of floats."""
    x = leaf(*values, **kwargs)
    (g,) = torch.autograd.grad(function(x).sum(), x)
    return g.tolist()


def same(values, expected):
    np.testing.assert_array_equal(np.array(values, dtype=float), np.array(expected, dtype=float))
    return True


# ---------------------------------------------------------------- gradients add up


def test_gradients_of_several_backwards_accumulate():
    x = leaf(2.0)
    for count in (1, 2, 3):
        (x**3).backward()
        assert x.grad.tolist() == [12.0 * count]


def test_accumulation_adds_to_the_same_grad_object():
    x = leaf(2.0)
    (x * 3).backward()
    grad = x.grad
    (x * 5).backward()
    assert x.grad is grad and grad.tolist() == [8.0]


def test_a_tensor_used_twice_gets_both_gradients():
    assert gradient(lambda x: x * x, 3.0) == [6.0]
    assert gradient(lambda x: x + x, 3.0) == [2.0]
    assert gradient(lambda x: x - x, 3.0) == [0.0]
    assert gradient(lambda x: x / x, 3.0) == pytest.approx([0.0])
    assert gradient(lambda x: torch.stack([x, x, x]), 3.0) == [3.0]
    assert gradient(lambda x: torch.cat([x, 2 * x]), 3.0) == [3.0]


def test_a_diamond_sums_over_its_paths():
    x = leaf(2.0)
    y = x * 3
    left, right = y * y, y + 1
    (left * right).backward()
    # (3x)^2 (3x + 1) = 27 x^3 + 9 x^2, so the derivative is 81 x^2 + 18 x.
    assert x.grad.tolist() == [81 * 4 + 36.0]


def test_a_tower_of_diamonds_takes_linear_time():
    # 2^60 paths: an engine that walks paths instead of nodes never comes back.
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad.tolist() == [2.0**60]


def test_a_long_and_a_short_path_to_the_same_node_are_both_counted():
    x = leaf(1.0)
    base = x * 2
    long = base
    for _ in range(10):
        long = long * 1.5
    (base + long).backward()
    assert x.grad.item() == pytest.approx(2 + 2 * 1.5**10)


def test_a_subgraph_shared_by_two_roots_is_kept_by_retain_graph():
    x = leaf(2.0)
    shared = x.exp()
    first, second = shared * 2, shared * 3
    first.backward(retain_graph=True)
    second.backward()
    assert x.grad.item() == pytest.approx(5 * math.exp(2))


def test_retain_graph_gives_the_same_gradient_every_time():
    x = leaf(2.0)
    y = (x * x).exp()
    values = []
    for _ in range(3):
        x.grad = None
        y.backward(retain_graph=True)
        values.append(x.grad.item())
    assert values == [values[0]] * 3


def test_gradients_through_broadcasting_are_summed_over_what_was_repeated():
    for shape in ((), (1,), (3,), (2, 1), (1, 3), (2, 3), (1, 1), (4, 1, 1), (4, 2, 3)):
        x = torch.ones(shape, dtype=torch.float64, requires_grad=True)
        big = torch.ones(4, 2, 3, dtype=torch.float64)
        (x * big).sum().backward()
        assert x.grad.shape == x.shape
        assert same(x.grad.numpy(), np.full(shape, 24 / max(1, math.prod(shape))))


# ---------------------------------------------------------------- nothing is shared behind the user's back


def arrays_are_apart(*tensors):
    arrays = [t.detach().numpy() for t in tensors]
    return not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: x + y,
        lambda x, y: x - y,
        lambda x, y: torch.cat([x, y])[:3] + torch.cat([x, y])[3:],
        lambda x, y: (x + y) + (x + y),
        # PyTorch itself shares memory in these.
        pytest.param(lambda x, y: torch.stack([x, y]).sum(0), marks=ours),
        pytest.param(lambda x, y: x.reshape(3, 1).reshape(3) + y, marks=ours),
        pytest.param(lambda x, y: x.expand(3) + y.unsqueeze(0).squeeze(0), marks=ours),
        pytest.param(lambda x, y: x.reshape(1, 3).T.T[0] + y[:], marks=ours),
    ],
)
def test_gradients_of_two_leaves_and_the_one_passed_in_never_share_memory(function):
    x, y = leaf(1.0, 2.0, 3.0), leaf(4.0, 5.0, 6.0)
    passed = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    function(x, y).backward(passed)
    assert arrays_are_apart(x.grad, y.grad, passed, x, y)
    before = y.grad.tolist()
    x.grad.numpy()[:] = 1e6
    assert y.grad.tolist() == before and passed.tolist() == [1.0, 1.0, 1.0]


def test_the_gradient_passed_in_does_not_become_the_grad_of_a_leaf():
    x = leaf(1.0, 2.0)
    passed = torch.tensor([3.0, 4.0], dtype=torch.float64)
    x.backward(passed)
    (x * 1).backward(passed)
    assert x.grad is not passed
    assert passed.tolist() == [3.0, 4.0] and x.grad.tolist() == [6.0, 8.0]
    x.grad.numpy()[:] = 0
    assert passed.tolist() == [3.0, 4.0]


def test_accumulating_does_not_write_into_retained_gradients():
    x = leaf(1.0, 2.0)
    y = x * 1
    y.retain_grad()
    y.sum().backward()
    retained = y.grad.tolist()
    (x * 10).sum().backward()
    assert y.grad.tolist() == retained == [1.0, 1.0]
    assert x.grad.tolist() == [11.0, 11.0]


@ours
def test_gradients_returned_for_two_leaves_never_share_memory():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    passed = torch.ones(2, dtype=torch.float64)
    by_x, by_y = torch.autograd.grad(x + y, (x, y), passed)
    assert arrays_are_apart(by_x, by_y, passed)
    again, and_again = torch.autograd.grad(x + y, (x, x), passed)
    assert again.tolist() == and_again.tolist() == [1.0, 1.0]


def test_gradients_of_broadcast_sums_can_be_written_to():
    x = leaf(1.0, 2.0, 3.0)
    x.sum().backward()
    x.grad.numpy()[0] = 5.0
    assert x.grad.tolist() == [5.0, 1.0, 1.0]


def test_backward_does_not_change_the_values_of_the_graph():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    z = x * y
    w = (z.exp() / y).sum()
    before = [t.tolist() for t in (x, y, z, w)]
    w.backward()
    assert [t.tolist() for t in (x, y, z, w)] == before


def test_values_saved_for_backward_are_those_of_the_forward_pass():
    array = np.array([1.0, 2.0])
    x = torch.tensor(array, requires_grad=True)
    y = x * x
    array[:] = 100.0
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


# ---------------------------------------------------------------- size, memory, threads


def test_a_chain_of_200_000_nodes_neither_recurses_forward_backward_nor_when_freed():
    length = 200_000
    x = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    y = x
    for _ in range(length):
        y = y + 1e-5
    y.backward()
    assert x.grad.item() == 1.0
    assert y.item() == pytest.approx(3.0)
    del y
    assert (x * 2).item() == 2.0


def test_a_chain_of_200_000_nodes_is_freed_without_having_been_walked():
    x = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    y = x
    for _ in range(200_000):
        y = -y
    first = weakref.ref(y)
    del y
    assert first() is None
    (x * 3).backward()
    assert x.grad.item() == 3.0


def test_a_wide_graph_of_many_leaves():
    leaves = [torch.tensor(float(i), requires_grad=True) for i in range(2000)]
    torch.stack(leaves).square().sum().backward()
    assert [x.grad.item() for x in leaves] == [2.0 * i for i in range(2000)]


def one_graph(x):
    y = torch.stack([x * 2, x.exp()]).sum()
    z = torch.where(x > 0, y * x, x).sum() + x.max(0).values
    z.backward()
    x.grad = None


def unwalked_graph(x):
    (x * 2).exp().sum().log()


def graph_by_grad(x):
    (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    torch.autograd.grad(g.sum(), x)


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x**3
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx, grad):
        x, _ = ctx.saved_tensors
        return 3 * grad * x**2


def graph_with_a_function(x):
    Cube.apply(x).sum().backward()
    x.grad = None


def sampled_graph(x):
    y = torch.bernoulli(x.sigmoid()) + torch.normal(x, 1.0)
    (y * x + x.detach()).sum().backward()
    x.grad = None


@pytest.mark.parametrize(
    ("build", "count"),
    [
        (one_graph, 2000),
        (unwalked_graph, 4000),
        (graph_by_grad, 2000),
        (graph_with_a_function, 2000),
        (sampled_graph, 2000),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_small_graphs_leave_nothing_for_the_cycle_collector(build, count):
    x = leaf(0.5, 1.5)
    for _ in range(10):
        build(x)
    found = []
    for _ in range(2):  # what other threads of this process drop meanwhile is not there again
        gc.collect()
        gc.disable()
        try:
            for _ in range(count):
                build(x)
            found.append(gc.collect())
        finally:
            gc.enable()
    # One cycle a graph would be thousands of objects; what the interpreter itself leaves is far below a hundred.
    assert min(found) < 100


def test_20_000_graphs_in_a_loop_leave_no_objects_behind():
    x = leaf(0.5)
    for _ in range(10):
        (x * x).backward()
    gc.collect()
    before = len(gc.get_objects())
    gc.disable()
    try:
        for _ in range(20_000):
            (x * x).backward()
        after = len(gc.get_objects())
    finally:
        gc.enable()
    assert after - before < 100
    assert x.grad.item() == pytest.approx(20_010)


def test_results_and_their_nodes_die_with_the_last_reference():
    gc.disable()
    try:
        x = leaf(1.0)
        y = x * 2
        z = y.exp()
        result = weakref.ref(y)
        del y
        z.backward()
        del z
        assert result() is None
    finally:
        gc.enable()


def test_a_leaf_dies_although_its_gradient_was_computed():
    gc.disable()
    try:
        x = leaf(1.0)
        (x * x).backward()
        gone = weakref.ref(x)
        del x
        assert gone() is None
    finally:
        gc.enable()


def test_backward_frees_what_was_saved_although_the_root_lives():
    class Save(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            extra = x * 2
            saved.append(weakref.ref(extra))
            ctx.save_for_backward(extra)
            return x * 3

        @staticmethod
        def backward(ctx, grad):
            return grad * 3

    saved = []
    x = leaf(1.0)
    y = Save.apply(x) * 1
    y.backward()
    big = torch.ones(1000, dtype=torch.float64)
    array = weakref.ref(big)
    z = (x * big).sum()
    z.backward()
    del big
    gc.collect()
    assert array() is None
    assert z.item() == 1000.0 and y.item() == 3.0 and len(saved) == 1


def test_backward_in_threads_on_separate_graphs():
    results, failures = {}, []
    barrier = threading.Barrier(4)

    def work(number):
        try:
            x = torch.tensor(float(number + 1), dtype=torch.float64, requires_grad=True)
            barrier.wait(10)
            for _ in range(200):
                y = x
                for _ in range(5):
                    y = torch.sin(y) * x + y
                y.backward()
            results[number] = x.grad.item() / 200
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    for number, value in results.items():
        x = y = float(number + 1)
        dy = 1.0
        for _ in range(5):
            y, dy = math.sin(y) * x + y, math.cos(y) * dy * x + math.sin(y) + dy
        assert value == pytest.approx(dy, rel=1e-9)
    assert len(results) == 4


def test_threads_that_share_a_leaf_lose_no_gradient():
    x = leaf(1.0)

    def work():
        for _ in range(500):
            (x * 2).backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert x.grad.tolist() == [4000.0]


def test_a_backward_inside_a_functions_backward():
    class Inner(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.exp()

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            with torch.enable_grad():
                inner = x.detach().requires_grad_()
                (g,) = torch.autograd.grad(inner.exp().sum(), inner)
            return grad * g

    x = leaf(0.5)
    (Inner.apply(x * 2) * 3).backward()
    assert x.grad.item() == pytest.approx(6 * math.e)


# ---------------------------------------------------------------- kinks, ties and edges


def test_ties_in_the_maximum_of_all_share_the_gradient_evenly():
    assert gradient(lambda x: x.max(), 1.0, 3.0, 3.0) == [0.0, 0.5, 0.5]
    assert gradient(lambda x: torch.max(x), 3.0, 3.0, 3.0, 3.0) == [0.25] * 4
    assert gradient(lambda x: x.min(), 1.0, 1.0, 3.0) == [0.5, 0.5, 0.0]


def test_ties_in_the_maximum_over_a_dim_give_all_to_the_index_returned():
    for function in (torch.max, torch.min):
        x = torch.tensor([[2.0, 2.0, 2.0], [1.0, 1.0, 1.0]], requires_grad=True)
        values, indices = function(x, 1)
        assert values.tolist() == [2.0, 1.0] and indices.dtype == torch.int64
        values.sum().backward()
        assert x.grad.sum(1).tolist() == [1.0, 1.0]
        assert x.grad.numpy()[[0, 1], indices.numpy()].tolist() == [1.0, 1.0]


def test_max_over_a_dim_is_a_named_tuple():
    result = torch.tensor([[1.0, 5.0], [7.0, 2.0]]).max(dim=1)
    assert result.values.tolist() == [5.0, 7.0] and result.indices.tolist() == [1, 0]
    values, indices = result
    assert values is result[0] and indices is result[1]
    kept = torch.tensor([[1.0, 5.0]]).min(-1, keepdim=True)
    assert kept.values.tolist() == [[1.0]] and kept.indices.tolist() == [[0]]


def test_ties_between_two_tensors_share_the_gradient_evenly():
    for function in (torch.maximum, torch.minimum, torch.max, torch.min):
        a, b = leaf(1.0, 2.0), leaf(1.0, 5.0)
        function(a, b).sum().backward()
        assert a.grad.tolist()[0] == b.grad.tolist()[0] == 0.5
        assert a.grad.tolist()[1] + b.grad.tolist()[1] == 1.0


def test_kinks_at_zero_have_gradient_zero():
    assert gradient(torch.relu, 0.0, -0.0, 1.0, -1.0) == [0.0, 0.0, 1.0, 0.0]
    assert gradient(torch.abs, 0.0, -0.0, 2.0, -2.0) == [0.0, 0.0, 1.0, -1.0]


def test_clamp_passes_the_gradient_at_its_bounds():
    assert gradient(lambda x: x.clamp(0, 1), -1.0, 0.0, 0.5, 1.0, 2.0) == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert gradient(lambda x: x.clamp(min=0), -1.0, 0.0, 1.0) == [0.0, 1.0, 1.0]
    assert gradient(lambda x: torch.clamp(x, max=0), -1.0, 0.0, 1.0) == [1.0, 1.0, 0.0]
    assert torch.tensor([0.0, 3.0]).clamp(2, 1).tolist() == [1.0, 1.0]


def test_the_square_root_at_zero_has_an_infinite_slope():
    assert gradient(torch.sqrt, 0.0) == [inf]
    assert same(gradient(lambda x: torch.sqrt(x) * 0, 0.0), [nan])


def test_powers_at_zero():
    def both(base, exponent):
        b, e = leaf(base), leaf(exponent)
        y = b**e
        by_b, by_e = torch.autograd.grad(y, (b, e))
        return y.item(), by_b.item(), by_e.item()

    assert both(0.0, 0.0) == (1.0, 0.0, 0.0)
    assert both(0.0, 2.0) == (0.0, 0.0, 0.0)
    assert both(0.0, 1.0) == (0.0, 1.0, 0.0)
    assert both(0.0, 0.5)[1] == inf
    assert both(2.0, 0.0) == (1.0, 0.0, pytest.approx(math.log(2)))
    value, by_base, by_exponent = both(-2.0, 3.0)
    assert (value, by_base) == (-8.0, 12.0) and math.isnan(by_exponent)
    for exponent, expected in ((0, 0.0), (1, 1.0), (2, 0.0), (0.5, inf)):
        assert gradient(lambda x, e=exponent: x**e, 0.0) == [expected]
    assert gradient(lambda x: 0**x, 2.0) == [0.0]
    assert gradient(lambda x: 0**x, 0.0) == [0.0]


def test_the_power_zero_has_gradient_zero_even_at_nan_and_infinity():
    assert torch.tensor([nan, inf]).pow(0).tolist() == [1.0, 1.0]
    assert gradient(lambda x: x**0, nan, inf, 0.0) == [0.0, 0.0, 0.0]


def test_division_and_logarithm_at_zero():
    assert gradient(lambda x: 1 / x, 0.0) == [-inf]
    assert torch.log(torch.tensor([0.0])).tolist() == [-inf]
    assert gradient(torch.log, 0.0) == [inf]
    assert math.isnan(torch.log(torch.tensor(-1.0)).item())
    assert (torch.tensor([1.0, -1.0]) / 0).tolist() == [inf, -inf]
    assert math.isnan((torch.tensor(0.0) / 0).item())


def test_where_with_nan_in_the_branch_not_taken():
    x = leaf(1.0, 2.0)
    condition = torch.tensor([True, False])
    y = torch.where(condition, x, torch.tensor([nan, 5.0], dtype=torch.float64))
    assert y.tolist() == [1.0, 5.0]
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 0.0]
    bad = leaf(nan, nan)
    torch.where(torch.tensor([False, False]), bad, x).sum().backward()
    assert bad.grad.tolist() == [0.0, 0.0] and x.grad.tolist() == [2.0, 1.0]


def test_where_does_not_save_the_branch_not_taken_from_an_infinite_slope():
    # The known trap: 0 * inf is NaN, so the argument must be made safe before the function, not only its result.
    assert same(gradient(lambda x: torch.where(x > 0, torch.sqrt(x), torch.zeros_like(x)), 0.0, 4.0), [nan, 0.25])
    safe = gradient(
        lambda x: torch.where(x > 0, torch.sqrt(torch.where(x > 0, x, torch.ones_like(x))), torch.zeros_like(x)),
        0.0,
        4.0,
    )
    assert safe == [0.0, 0.25]


def test_nan_is_passed_on_by_functions_that_choose():
    x = torch.tensor([1.0, nan, 3.0])
    for value in (x.max(), x.min(), x.max(0).values, x.min(0).values):
        assert math.isnan(value.item())
    assert x.max(0).indices.item() == x.argmax().item() == x.argmin().item() == 1
    for y in (torch.relu(x), x.clamp(0, 2), torch.maximum(x, torch.zeros(3)), torch.minimum(torch.zeros(3), x)):
        assert math.isnan(y[1].item())


def test_large_and_small_arguments_do_not_overflow():
    assert torch.sigmoid(torch.tensor([-1000.0, 0.0, 1000.0])).tolist() == [0.0, 0.5, 1.0]
    assert gradient(torch.sigmoid, -1000.0, 0.0, 1000.0) == [0.0, 0.25, 0.0]
    assert F.softplus(leaf(-1000.0, 1000.0)).tolist() == [0.0, 1000.0]
    assert gradient(F.softplus, -1000.0, 0.0, 1000.0) == [0.0, 0.5, 1.0]
    assert F.softplus(leaf(-40.0)).item() == pytest.approx(math.exp(-40), rel=1e-12)
    assert torch.tanh(torch.tensor([-1000.0, 1000.0])).tolist() == [-1.0, 1.0]
    assert torch.log1p(leaf(1e-18)).item() == 1e-18 and torch.expm1(leaf(1e-18)).item() == 1e-18
    assert torch.softmax(torch.tensor([1000.0, 1000.0]), 0).tolist() == [0.5, 0.5]
    assert torch.log_softmax(torch.tensor([0.0, 1000.0]), 0).tolist() == [-1000.0, 0.0]
    assert torch.logsumexp(torch.tensor([1000.0, 1000.0]), 0).item() == pytest.approx(1000 + math.log(2))
    assert gradient(lambda x: torch.logsumexp(x, 0), 1000.0, 1000.0) == pytest.approx([0.5, 0.5])


def test_infinite_logits():
    x = torch.tensor([0.0, -inf, 0.0])
    assert torch.softmax(x, 0).tolist() == [0.5, 0.0, 0.5]
    assert torch.log_softmax(x, 0).tolist() == [pytest.approx(-math.log(2)), -inf, pytest.approx(-math.log(2))]
    assert torch.logsumexp(x, 0).item() == pytest.approx(math.log(2))
    assert torch.logsumexp(torch.tensor([-inf, -inf]), 0).item() == -inf
    assert torch.logsumexp(torch.tensor([inf, 0.0]), 0).item() == inf
    assert gradient(lambda x: torch.logsumexp(x, 0), 0.0, -inf) == [1.0, 0.0]
    assert same(torch.softmax(torch.tensor([-inf, -inf]), 0).tolist(), [nan, nan])


def test_numerics_are_as_silent_as_pytorchs():
    x = leaf(0.0, -1.0, 1e30, nan)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for y in (x.log(), x.sqrt(), x.exp(), 1 / x, x / 0, x**-1, x**0.5, x.log1p(), x.sigmoid(), x * inf, x @ x):
            y.sum().backward()
            x.grad = None
        y = torch.tensor([], dtype=torch.float64)
        assert math.isnan(y.mean().item())
        x.float()
        torch.tensor([1e300], dtype=torch.float64).float()
    assert math.isnan(x.sum().item())


# ---------------------------------------------------------------- 0-d, empty, negative dims, non-contiguous


def test_0d_tensors_go_through_everything():
    x = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    results = [
        x.sum(),
        x.mean(),
        x.max(),
        x.min(),
        x.sum(0),
        x.mean(-1),
        x.max(0).values,
        x.reshape(1).sum(),
        x.view(1, 1).sum(),
        x.flatten()[0],
        x.unsqueeze(0)[0],
        x.squeeze(),
        x.softmax(0) * x,
        x.logsumexp(0),
        torch.stack([x, x])[0],
        x[None][0],
        x[...],
        x.expand(3)[1],
        x.clamp(0, 5),
        torch.where(x > 0, x, x),
    ]
    for result in results:
        assert tuple(result.shape) == () and result.item() == 2.0
        (g,) = torch.autograd.grad(result, x, retain_graph=True)
        assert tuple(g.shape) == () and g.item() == 1.0
    assert torch.argmax(x).item() == 0


def test_empty_tensors_go_through_everything():
    x = torch.zeros(0, 3, dtype=torch.float64, requires_grad=True)
    results = [
        x + 1,
        x * x,
        x.exp(),
        x.relu(),
        x.sum(0),
        x.sum(1),
        x.sum(),
        x.T,
        x.reshape(3, 0),
        x.flatten(),
        x @ torch.ones(3, 2).double(),
        torch.ones(2, 0).double() @ x,
        torch.cat([x, x]),
        torch.stack([x, x]),
        x[:, 0],
        x[:0],
        x[x > 0],
        x.softmax(1),
        x.unsqueeze(1),
        x.expand(2, 0, 3),
        torch.where(x > 0, x, x),
        x.clamp(0, 1),
        x.max(1).values,
        torch.maximum(x, x),
        x.logsumexp(1),
        x.mean(1),
    ]
    for result in results:
        (g,) = torch.autograd.grad(result.sum(), x, retain_graph=True)
        assert tuple(g.shape) == (0, 3)
    assert torch.tensor([]).sum().item() == 0 and math.isnan(torch.tensor([]).mean().item())
    product = torch.ones(2, 0) @ torch.ones(0, 3)
    assert product.tolist() == [[0.0] * 3] * 2
    assert torch.cat([torch.tensor([]), torch.tensor([1.0])]).tolist() == [1.0]
    assert torch.logsumexp(torch.zeros(2, 0), 1).tolist() == [-inf, -inf]


def test_backward_through_an_empty_tensor_gives_an_empty_gradient():
    x = torch.zeros(0, requires_grad=True)
    (x * 2).sum().backward()
    assert tuple(x.grad.shape) == (0,)
    (x * 2).backward(torch.zeros(0))
    assert tuple(x.grad.shape) == (0,)


def test_negative_dims_count_from_the_end():
    x = torch.arange(24.0, dtype=torch.float64).reshape(2, 3, 4).requires_grad_()
    pairs = [
        (lambda d: x.sum(d), 0),
        (lambda d: x.mean(d), 1),
        (lambda d: x.var(d), 2),
        (lambda d: x.max(d).values, 1),
        (lambda d: x.softmax(d), 2),
        (lambda d: x.log_softmax(d), 0),
        (lambda d: x.logsumexp(d), 1),
        (lambda d: x.argmax(d), 2),
        (lambda d: torch.cat([x, x], d), 1),
        (lambda d: x.transpose(d, 0), 2),
        (lambda d: x[:, :1].squeeze(d), 1),
        (lambda d: x.sum((d, 0)), 1),
        (lambda d: x.flatten(d), 1),
    ]
    for function, dim in pairs:
        a, b = function(dim), function(dim - 3)
        assert a.shape == b.shape and a.tolist() == b.tolist()
    assert torch.stack([x, x], -1).shape == torch.stack([x, x], 3).shape == (2, 3, 4, 2)
    assert x.unsqueeze(-1).shape == (2, 3, 4, 1) and x.unsqueeze(-4).shape == (1, 2, 3, 4)
    assert x.permute(-1, 0, -2).shape == (4, 2, 3)


def test_arrays_that_are_not_contiguous_give_right_values_and_gradients():
    base = np.arange(24.0).reshape(4, 6)
    for array in (base.T, base[::2, 1::3], base[:, 2], np.broadcast_to(base[0], (3, 6)), np.asfortranarray(base)):
        x = torch.tensor(array, requires_grad=True)
        y = (x * x).reshape(-1)
        y.backward(torch.arange(float(array.size), dtype=torch.float64))
        weights = np.arange(float(array.size)).reshape(array.shape)
        assert same(x.grad.numpy(), 2 * array * weights)
    shared = torch.from_numpy(base.T).requires_grad_()
    (shared.exp().T @ shared).sum().backward()
    e = np.exp(base.T)
    np.testing.assert_allclose(shared.grad.numpy(), e * base.sum(0)[:, None] + e.sum(1, keepdims=True), rtol=1e-12)


def test_views_of_a_result_do_not_disturb_each_other():
    x = torch.arange(6.0, dtype=torch.float64).reshape(2, 3).requires_grad_()
    y = x * 1
    (y.T[0] * y[:, 1] + y.reshape(-1)[::3]).sum().backward()
    assert x.grad.tolist() == [[1.0 + 1.0, 0.0, 0.0], [1.0 + 4.0, 3.0, 0.0]]


def test_an_index_that_repeats_an_element_adds_its_gradients():
    assert gradient(lambda x: x[torch.tensor([0, 0, 2, 0])], 1.0, 2.0, 3.0) == [3.0, 0.0, 1.0]
    assert gradient(lambda x: x[[1, 1, -1]], 1.0, 2.0, 3.0) == [0.0, 2.0, 1.0]
    assert gradient(lambda x: x.expand(4, 3)[:, 1], 1.0, 2.0, 3.0) == [0.0, 4.0, 0.0]


def test_variance_of_a_constant_and_of_two_kinds():
    assert gradient(lambda x: x.var(), 2.0, 2.0, 2.0) == [0.0, 0.0, 0.0]
    x = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    assert x.var().item() == x.var(correction=1).item() == x.var(unbiased=True).item() == pytest.approx(7 / 3)
    assert x.var(correction=0).item() == x.var(unbiased=False).item() == pytest.approx(14 / 9)
    assert torch.var(x, 0, correction=0).item() == pytest.approx(14 / 9)
    assert tuple(torch.var(x.reshape(1, 3), dim=1, keepdim=True).shape) == (1, 1)


@ours
def test_a_failing_backward_leaves_the_grad_mode_and_the_next_backward_in_order():
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            raise ValueError("no")

    x = leaf(1.0)
    for create_graph in (False, True):
        with pytest.raises(ValueError, match="no"):
            torch.autograd.grad(Broken.apply(x) * x, x, create_graph=create_graph)
        assert torch.is_grad_enabled()
    (x * 2).backward()
    assert x.grad.tolist() == [2.0]
