"""Where parts meet: who owns memory, the state of leaves, threads, what a message and a picture say."""

from __future__ import annotations

import copy
import math
import sys
import threading
import warnings

import numpy as np
import pytest

import tinygrad_rp as tg
from tinygrad_rp import autograd
from tinygrad_rp.distributions import Normal
from visualize import get_graph, read


def leaf(*values, dtype=tg.float64):
    return tg.tensor(list(values), dtype=dtype, requires_grad=True)


# ------------------------------------------------------------------------------------------------- memory and ownership


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
def test_the_one_that_a_pass_starts_from_cannot_be_overwritten(dtype):
    x = leaf(2.0, dtype=dtype)
    (g,) = autograd.grad(x + 1, x, create_graph=True)
    g.detach().numpy()[...] = 5

    class Scribble(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            kept = g.numpy().copy()
            g.numpy()[...] = 7
            return tg.tensor(kept)

    Scribble.apply(x).backward()
    w = leaf(3.0, dtype=dtype)
    (w * 1).backward()
    assert x.grad.item() == 1.0 and w.grad.item() == 1.0


def test_a_gradient_that_a_backward_kept_does_not_change_later():
    kept = []

    class Keep(autograd.Function):
        @staticmethod
        def forward(ctx, a):
            return a * 1

        @staticmethod
        def backward(ctx, g):
            kept.append(g)
            return g

    a, x = leaf(1.0, 2.0), leaf(3.0, 4.0)
    for _ in range(3):
        ((Keep.apply(a) + x) * 2).sum().backward()
    assert [g.tolist() for g in kept] == [[2.0, 2.0]] * 3
    assert x.grad.tolist() == a.grad.tolist() == [6.0, 6.0]


def test_an_expanded_grad_is_replaced_rather_than_written_to():
    x = leaf(1.0, 2.0)
    x.grad = tg.tensor(1.0, dtype=tg.float64).expand(2)
    y = leaf(5.0, 6.0)
    (x * y).sum().backward()
    assert x.grad.tolist() == [6.0, 7.0] and y.grad.tolist() == [1.0, 2.0]


def test_a_function_that_returns_and_saves_its_input_has_the_right_second_derivative():
    class SaveInput(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * x * x

    x = leaf(2.0)
    (first,) = autograd.grad(SaveInput.apply(x), x, create_graph=True)
    (second,) = autograd.grad(first, x)
    assert (first.item(), second.item()) == (4.0, 4.0)


# ---------------------------------------------------------------------------------------------------- the state of leaves


def test_a_leaf_that_is_frozen_and_thawed_gets_the_gradient_of_the_graph_before():
    d = leaf(2.0)
    loss = d * 5
    d.requires_grad_(False)
    assert not (d * 1).requires_grad
    d.requires_grad_(True)
    loss.backward()
    assert d.grad.item() == 5.0


def test_a_leaf_that_is_frozen_gets_no_gradient_and_keeps_the_one_it_had():
    d = leaf(2.0)
    d.grad = tg.tensor([1.0], dtype=tg.float64)
    loss = d * 3
    d.requires_grad_(False)
    loss.backward()
    assert d.grad.item() == 1.0


def test_backward_can_be_told_to_accumulate_into_inner_tensors():
    x = leaf(1.0)
    z = x * 3
    (z**2).backward(inputs=[z])
    assert x.grad is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert z.grad.item() == 6.0
    with pytest.raises(RuntimeError, match="at least one"):
        (x * 2).backward(inputs=[])


def test_a_recorded_pass_is_recorded_inside_no_grad():
    x = leaf(2.0)
    y = x**3
    with tg.no_grad():
        (g,) = autograd.grad(y, x, create_graph=True)
    (second,) = autograd.grad(g, x)
    assert second.item() == 12.0


def test_plain_passes_after_a_recorded_one_leave_no_growing_graph():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    for _ in range(3):
        (x**3).backward()
    assert x.grad.item() == 4 * 12.0
    assert x.grad.grad_fn.name() == "CloneBackward0"  # the history of the recorded pass alone


def test_a_parameter_that_was_let_go_comes_back_as_a_parameter():
    node = (tg.nn.Parameter(tg.ones(2)) * 2).grad_fn.next_functions[0][0]
    assert isinstance(node.variable, tg.nn.Parameter)


def test_flat_functions_can_be_differentiated_twice():
    for function in (tg.relu, tg.abs):
        x = leaf(-1.0, 2.0)
        (g,) = autograd.grad(function(x).sum(), x, create_graph=True)
        assert autograd.grad(g.sum(), x)[0].tolist() == [0.0, 0.0]


# ----------------------------------------------------------------------------------------------------------------- threads


@pytest.fixture
def hasty_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(work, n=4):
    errors = []

    def run():
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_threads_that_share_a_leaf_lose_no_gradient(hasty_switching):
    for _ in range(100):
        x = leaf(1.0)
        in_threads(lambda x=x: (x * 2).backward())
        assert x.grad.item() == 8.0


def test_threads_may_call_an_operation_for_the_first_time_together(hasty_switching):
    from tinygrad_rp.operation import OPERATIONS, elementwise

    for i in range(20):
        name = f"twice_of_test_{i}"
        try:
            twice = elementwise(name, lambda x: x * 2, "2x", x=lambda g: g * 2)
            x = leaf(1.0)
            in_threads(lambda twice=twice, x=x: twice(x).backward())
            assert x.grad.item() == 8.0
        finally:
            OPERATIONS.pop(name, None)
            delattr(tg.Tensor, name)


# -------------------------------------------------------------------------------------------------------------- arguments


def test_a_scalar_of_numpy_does_not_widen_a_tensor():
    x = tg.tensor(12.0, requires_grad=True)
    for y in (
        x * np.sqrt(2),
        np.float64(2) * x,
        x ** np.float64(2),
        x.clamp(min=np.float64(0.5)),
        np.sqrt(2) + x.view(1),
    ):
        assert y.dtype == tg.float32


T = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
REFUSED = {
    "a bool as dim": (TypeError, lambda: T.sum(True)),
    "a float as dim": (TypeError, lambda: T.sum(1.7)),
    "keepdim without dim": (TypeError, lambda: T.max(keepdim=True)),
    "softmax over everything": (TypeError, lambda: tg.softmax(T, None)),
    "softmax over two": (TypeError, lambda: tg.softmax(T, (0, 1))),
    "two shapes": (TypeError, lambda: tg.zeros(2, size=(3,))),
    "a bool as length": (TypeError, lambda: tg.zeros(True)),
    "dtype beside tensors": (TypeError, lambda: tg.normal(T, T, dtype=tg.float64)),
    "mixed dtypes of normal": (RuntimeError, lambda: tg.normal(T, T.double())),
    "integer std": (RuntimeError, lambda: tg.normal(0.0, tg.tensor([1]))),
    "Tensor of a number": (TypeError, lambda: tg.Tensor(3)),
    "uint8 index": (IndexError, lambda: T[tg.tensor([0, 1], dtype=tg.uint8)]),
    "nested lists as index": (IndexError, lambda: T[[[0, 1], [1, 0]]]),
    "cat along None": (TypeError, lambda: np.concatenate([T, T], axis=None)),
    "nothing to check": (ValueError, lambda: autograd.gradcheck(lambda x: x > 0, [leaf(1.0)])),
    "data that is no tensor": (TypeError, lambda: setattr(T, "data", 1.0)),
    "a Function that is called": (RuntimeError, lambda: autograd.Function()),
    "names that are no dictionary": (TypeError, lambda: get_graph(leaf(1.0) * 2, ["x"])),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(case):
    error, call = REFUSED[case]
    with pytest.raises(error):
        call()


NAMED = {
    "sum(): ": lambda: tg.ones(3).sum(dim=1),
    "mean(): ": lambda: tg.ones(3).mean(dim=1),
    "max(): ": lambda: tg.ones(3).max(dim=1),
    "pow(): ": lambda: tg.tensor([2]) ** tg.tensor([-1]),
    "pow(): integers": lambda: 2 ** tg.tensor([-1]),
    "matmul(): tensors of shape [2, 3] and [2, 3] do not fit: the first has 3 columns, and the second 2 rows": (
        lambda: tg.ones(2, 3) @ tg.ones(2, 3)
    ),
}


@pytest.mark.parametrize("words", NAMED)
def test_an_error_names_the_function_that_was_called(words):
    with pytest.raises((RuntimeError, IndexError)) as caught:
        NAMED[words]()
    assert str(caught.value).startswith(words)


def test_the_grad_of_a_frozen_leaf_is_one_tensor():
    d = leaf(2.0)
    (d * 3).backward()
    d.requires_grad_(False)
    assert d.grad is d.grad and d.grad.item() == 3.0
    d.grad = None
    assert d.requires_grad_().grad is None


def test_an_empty_list_picks_nothing():
    assert T[[]].shape == (0, 2)


def test_numpy_max_and_min_give_values():
    x = tg.tensor([[1.0, 5.0], [4.0, 2.0]], requires_grad=True)
    assert np.max(x, axis=0).tolist() == [4.0, 5.0] and np.min(x, axis=1).tolist() == [1.0, 2.0]
    assert np.max(x).grad_fn is not None


# ------------------------------------------------------------------------------------------- what a reader is told


def stopped(work):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    return [str(w.message) for w in caught if issubclass(w.category, tg.StoppedGradientWarning)]


def test_the_warning_names_the_callers_variables_and_no_others():
    mu, nothing = leaf(1.0), None
    (message,) = stopped(lambda: tg.normal(mu, 1.0).backward() or nothing)
    assert "the gradient of mu is 0" in message
    (message,) = stopped(lambda: tg.normal(leaf(1.0), 1.0).backward())
    assert "a leaf of shape [1]" in message and "nothing" not in message


def test_a_gradient_for_an_inner_tensor_that_is_starved_warns_too():
    mu = tg.exp(leaf(0.0))
    z = tg.normal(mu, 1.0)
    assert len(stopped(lambda: autograd.grad(z, mu))) == 1


def test_noise_is_told_from_what_was_computed_from_it():
    eps, x = tg.rand(1), leaf(1.0, dtype=tg.float32)
    (drawn,) = (x * eps).grad_fn.sources[1]
    (computed,) = (x * tg.log(eps)).grad_fn.sources[1]
    assert (drawn.kind, drawn.name, drawn.derived) == ("noise", "rand", False)
    assert (computed.kind, computed.name, computed.derived) == ("noise", "rand", True)
    assert "computed from rand" in str(get_graph(x * tg.log(eps)))


def kinds_of(forward):
    class Made(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return forward(x)

        @staticmethod
        def backward(ctx, g):
            return g

    return [None if stop is None else stop.kind for stop in Made.apply(leaf(0.25, 0.5)).grad_fn.stops]


def test_a_surrogate_is_found_where_the_forward_samples_or_compares_and_nowhere_else():
    assert kinds_of(lambda p: tg.bernoulli(p)) == ["surrogate"]
    assert kinds_of(lambda p: (p > 0.3).double()) == ["surrogate"]
    assert kinds_of(lambda p: Normal(p, 1.0).sample()) == ["surrogate"]
    assert kinds_of(lambda p: tg.where(p > 0, p, 0.0)) == [None]
    assert kinds_of(lambda p: p.detach() * 2) == [None]


def test_an_index_that_was_drawn_says_so_when_there_is_no_way_back():
    p = leaf(0.25, 0.75)
    drawn = tg.tensor([1.0, 2.0])[tg.multinomial(p, 1)]
    with pytest.raises(RuntimeError, match="multinomial"):
        drawn.backward()


def test_tensor_of_a_tensor_says_that_it_cuts():
    w = leaf(1.0)
    with pytest.warns(UserWarning, match="without its history"):
        copied = tg.tensor(w * 2)
    assert [source.name for source in copied.sources] == ["tensor"]
    assert [source.name for source in tg.tensor([w[0], w[0]]).sources] == ["tensor", "tensor"]


def test_leaves_that_the_caller_let_go_are_drawn_each_by_itself():
    for _ in range(20):
        graph = read(leaf(3.0) * leaf(4.0) + leaf(5.0))
        values = sorted(node.value.item() for node in graph.nodes if node.kind == "leaf")
        assert values == [3.0, 4.0, 5.0]


# -------------------------------------------------------------------------------------------------- in place, views and hooks


def test_a_leaf_that_is_itself_a_view_is_not_changed_in_place():
    x = tg.arange(6.0).view(2, 3).requires_grad_()
    with pytest.raises(RuntimeError, match="leaf"):
        x -= 0.1
    base = tg.ones(4)
    part = base[:2].requires_grad_()
    with pytest.raises(RuntimeError, match="leaf"):
        base.mul_(leaf(2.0).float())
    assert base.tolist() == [1.0] * 4 and part.is_leaf


def test_what_squeeze_hands_back_unchanged_is_a_view():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    y.squeeze(0).mul_(2)
    y.sum().backward()
    assert x.grad.tolist() == [2.0] * 3
    with pytest.raises(RuntimeError, match="leaf"):
        x.squeeze(0).mul_(2)


def test_a_recorded_pass_gives_each_leaf_a_gradient_of_its_own():
    a, b = leaf(1.0, 1.0), leaf(0.0, 0.0)
    y = a + b
    y.retain_grad()
    (y**2).sum().backward(create_graph=True)
    for g in (a.grad, b.grad):
        g.data.mul_(0.5)
    assert a.grad.tolist() == b.grad.tolist() == [1.0, 1.0] and y.grad.tolist() == [2.0, 2.0]
    assert a.grad.requires_grad


class Reversed(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, g):
        return -g


def test_a_change_that_would_lose_the_rule_of_a_function_is_refused():
    for change in (lambda h, y: h.mul_(2), lambda h, y: y.mul_(2), lambda h, y: y[:1].mul_(2)):
        h = leaf(1.0, 2.0) * 1
        y = Reversed.apply(h)
        with pytest.raises(RuntimeError, match="Function"):
            change(h, y)
        assert h.tolist() == [1.0, 2.0]


def test_a_memory_map_is_memory_like_any_other(tmp_path):
    w = tg.ones(4, requires_grad=True)
    x = tg.from_numpy(np.memmap(tmp_path / "numbers", np.float32, "w+", shape=4))
    y = x * w
    x[:2].add_(1)
    with pytest.raises(RuntimeError, match="in place"):
        y.sum().backward()
    x[0] = w[0]
    assert x.requires_grad


def test_a_subclass_of_numpys_array_does_not_bring_its_own_rules():
    x = tg.from_numpy(np.matrix([[1.0, 2.0], [3.0, 4.0]]))
    assert (x**2).tolist() == [[1.0, 4.0], [9.0, 16.0]] and x[0].shape == (2,)
    for make in (tg.tensor, tg.from_numpy, lambda a: tg.ones(2) + a):
        with pytest.raises(TypeError, match="masked"):
            make(np.ma.array([1.0, 2.0], mask=[True, False]))


def test_integers_that_take_a_value_carry_no_gradient():
    w = tg.ones(1, requires_grad=True)
    for write in (lambda x: x.__setitem__(0, w[0]), lambda x: x.copy_(w)):
        x = tg.zeros(3, dtype=tg.int64)
        write(x)
        assert not x.requires_grad and x[0].item() == 1
        assert "integers" in x.sources[0].stop.reason.lower()


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**10, -(10**10)])
def test_a_number_that_does_not_fit_an_integer_tensor_is_refused(value):
    x = tg.zeros(2, dtype=tg.int32)
    for write in (lambda: x.__setitem__(0, value), lambda: x.fill_(value)):
        with pytest.raises(RuntimeError, match="overflow"):
            write()
    assert x.tolist() == [0, 0]


def test_a_function_that_changes_its_input_has_no_jacobian():
    for compute in (autograd.functional.jacobian, autograd.functional.vjp):
        with pytest.raises(RuntimeError, match="in place"):
            compute(lambda x: x.mul_(2).sum(), leaf(1.0, 2.0), create_graph=True)


def test_the_hook_of_a_node_sees_gradients_of_the_shapes_and_dtypes_of_its_inputs():
    m, x = leaf(*range(8)).detach().reshape(2, 4).requires_grad_(), tg.ones(4, requires_grad=True)
    seen = []
    z = m * x
    z.grad_fn.register_hook(lambda into, out: seen.extend((g.shape, g.dtype) for g in into))
    z.sum().backward()
    assert seen == [((2, 4), tg.float64), ((4,), tg.float32)]


def test_a_hook_before_a_node_changes_nothing_but_what_the_node_is_handed():
    x = leaf(2.0)
    y = x * 3
    y.retain_grad()
    y.grad_fn.register_prehook(lambda out: (out[0] * 10,))
    assert autograd.grad((y * 3).sum(), y, retain_graph=True)[0].tolist() == [3.0]
    y.grad = None
    (y * 3).sum().backward()
    assert y.grad.tolist() == [3.0] and x.grad.tolist() == [90.0]


def test_a_retained_gradient_is_kept_whichever_way_it_arrives():
    for run in (
        lambda x, y: y.sum().backward(inputs=[y]),
        lambda x, y: autograd.grad(y.sum(), x),
        lambda x, y: autograd.grad(y.sum(), y),
    ):
        x = leaf(1.0)
        y = x * 2
        y.retain_grad()
        run(x, y)
        assert y.grad.tolist() == [1.0]
    x = leaf(1.0).requires_grad_(False)
    x.mul_(leaf(3.0))
    x.retain_grad()
    x.sum().backward()
    assert x.grad.tolist() == [1.0]


def test_a_wider_result_in_place_keeps_the_dtype_of_value_and_gradient():
    y = tg.ones(2, requires_grad=True) * 1
    y.mul_(tg.tensor([2.0, 3.0], dtype=tg.float64))
    assert y.dtype == tg.float32 and autograd.grad(y.sum(), y)[0].dtype == tg.float32


def test_deep_copies_of_parts_of_one_memory_are_right():
    whole = np.array([1 + 10j, 2 + 20j])
    parts = copy.deepcopy([tg.from_numpy(whole.real), tg.from_numpy(whole.imag)])
    assert [p.tolist() for p in parts] == [[1.0, 2.0], [10.0, 20.0]]


def test_fields_of_a_packed_structure_are_refused():
    with pytest.raises(ValueError, match="strides"):
        tg.from_numpy(np.zeros(3, [("a", "f4"), ("b", "i1")])["a"])


def test_a_tensor_that_has_views_is_neither_detached_in_place_nor_given_other_data():
    x = leaf(1.0, 2.0) * 1
    v = x[:1]
    for change in (x.detach_, lambda: setattr(x, "data", tg.zeros(2, dtype=tg.float64))):
        with pytest.raises(RuntimeError, match="views"):
            change()
    x.data = x.data[:]  # the same memory
    x.mul_(3)
    assert v.tolist() == [3.0] and v.grad_fn.name() == "AsStridedBackward0"


def test_a_part_of_an_expanded_tensor_that_does_not_overlap_can_be_written():
    x = tg.zeros(2)
    x.expand(3, 2)[0][0] = 5
    assert x.tolist() == [5.0, 0.0]
    with pytest.raises(RuntimeError, match="expanded"):
        x.expand(3, 2)[:, 0] = 1
