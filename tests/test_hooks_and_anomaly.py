"""Hooks on tensors and on nodes, and the search for the operation that made a NaN in backward."""

import gc
import importlib
import math
import os
import re
import warnings
import weakref

import numpy as np
import pytest

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
ours = pytest.mark.skipif(UNDER_TEST == "torch", reason="we differ from PyTorch on purpose")

nan, inf = float("nan"), float("inf")


def leaf(*values, dtype=None):
    return torch.tensor(list(values), dtype=dtype or torch.float64, requires_grad=True)


class Seen(list):
    """A hook that keeps the gradients it was called with, as lists, and returns what it was told."""

    def __init__(self, returns=lambda grad: None):
        self.returns = returns

    def __call__(self, grad):
        self.append(grad.tolist())
        return self.returns(grad)


# ---------------------------------------------------------------- hooks on tensors


def test_a_hook_on_a_leaf_sees_the_whole_gradient_once_a_pass():
    x, seen = leaf(1.0, 2.0), Seen()
    x.register_hook(seen)
    (x * 2 + x * 3 + (x * x)).sum().backward()
    assert seen == [[7.0, 9.0]] and x.grad.tolist() == [7.0, 9.0]
    (x * 10).sum().backward()
    # What came before stays in grad; the hook sees what this pass brings.
    assert seen == [[7.0, 9.0], [10.0, 10.0]] and x.grad.tolist() == [17.0, 19.0]


def test_a_hook_on_a_result_sees_the_sum_over_its_uses_once():
    x, seen = leaf(1.0), Seen()
    y = x * 2
    y.register_hook(seen)
    (y * 3 + y * 4 + y[0] * 5).backward()
    assert seen == [[12.0]] and x.grad.tolist() == [24.0]


def test_a_hook_may_replace_the_gradient():
    x, w = leaf(1.0), leaf(3.0)
    y = x * w
    y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    (y * 2).backward()
    assert x.grad.tolist() == [61.0] and w.grad.tolist() == [20.0]


def test_a_hook_that_returns_none_changes_nothing():
    x = leaf(1.0)
    x.register_hook(lambda g: None)
    (x * 2).backward()
    assert x.grad.tolist() == [2.0]


def test_hooks_run_in_order_and_each_sees_what_the_one_before_returned():
    x = leaf(1.0)
    y = x * 2
    first, second, third = Seen(lambda g: g * 10), Seen(), Seen(lambda g: g + 1)
    for hook in (first, second, third):
        y.register_hook(hook)
    (y * 3).backward()
    assert (first, second, third) == ([[3.0]], [[30.0]], [[30.0]]) and x.grad.tolist() == [62.0]


def test_a_hook_that_was_removed_is_not_called():
    x, seen, other = leaf(1.0), Seen(lambda g: g * 10), Seen()
    handle = x.register_hook(seen)
    x.register_hook(other)
    (x * 2).backward()
    handle.remove()
    handle.remove()
    (x * 2).backward()
    assert seen == [[2.0]] and other == [[20.0], [2.0]] and x.grad.tolist() == [22.0]


def test_a_handle_is_a_context_that_removes_its_hook():
    x, seen = leaf(1.0), Seen()
    with x.register_hook(seen):
        (x * 2).backward()
    (x * 2).backward()
    assert seen == [[2.0]]


def test_a_hook_may_remove_itself():
    x, seen = leaf(1.0), Seen()
    handles = []

    def once(grad):
        seen(grad)
        handles[0].remove()

    handles.append(x.register_hook(once))
    for _ in range(3):
        (x * 2).backward()
    assert seen == [[2.0]] and x.grad.tolist() == [6.0]


def test_one_hook_may_be_registered_twice():
    x, seen = leaf(1.0), Seen(lambda g: g * 2)
    first, _ = x.register_hook(seen), x.register_hook(seen)
    (x * 1).backward()
    first.remove()
    (x * 1).backward()
    assert seen == [[1.0], [2.0], [1.0]]


def test_a_hook_on_the_root_sees_the_gradient_passed_in():
    x, seen = leaf(1.0, 2.0), Seen(lambda g: g * 7)
    y = x * 2
    y.register_hook(seen)
    y.backward(torch.tensor([1.0, 10.0], dtype=torch.float64))
    assert seen == [[1.0, 10.0]] and x.grad.tolist() == [14.0, 140.0]


def test_a_hook_that_the_pass_does_not_reach_is_not_called():
    x, seen = leaf(1.0), Seen()
    beside = x * 2
    beside.register_hook(seen)
    (x * 3).backward()
    assert seen == []


def test_hooks_run_in_grad_too_and_shape_what_it_returns():
    x = leaf(1.0)
    y = x * 2
    by_x, by_y = Seen(lambda g: g * 10), Seen(lambda g: g * 7)
    x.register_hook(by_x)
    y.register_hook(by_y)
    z = y * 3
    (g,) = torch.autograd.grad(z, y, retain_graph=True)
    assert g.tolist() == [21.0] and by_y == [[3.0]] and by_x == []
    (g,) = torch.autograd.grad(z, x)
    assert g.tolist() == [420.0] and by_y == [[3.0]] * 2 and by_x == [[42.0]] and x.grad is None


def test_a_hook_may_change_its_argument_in_place():
    def double(grad):
        grad.mul_(2)

    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    z = x * 1
    z.register_hook(double)
    x.register_hook(lambda g: g.mul_(5))
    (z * torch.tensor([1.0, 10.0], dtype=torch.float64) + y * 0).sum().backward()
    assert x.grad.tolist() == [10.0, 100.0] and y.grad.tolist() == [0.0, 0.0]


def test_a_gradient_that_a_hook_keeps_does_not_change_later():
    kept = []
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    x.register_hook(lambda g: kept.append(g.clone()) or g)
    for _ in range(3):
        (x * y).sum().backward()
    assert [g.tolist() for g in kept] == [[3.0, 4.0]] * 3 and x.grad.tolist() == [9.0, 12.0]


def test_a_hook_on_one_of_several_outputs():
    x, seen = leaf(1.0, 2.0, 3.0), Seen(lambda g: g * 5)
    a, b, c = x.split(1)
    b.register_hook(seen)
    (a + b * 2 + c).backward()
    assert seen == [[2.0]] and x.grad.tolist() == [1.0, 10.0, 1.0]
    y = leaf(1.0, 4.0)
    values, _ = y.max(0)
    values.register_hook(lambda g: g * 3)
    values.backward()
    assert y.grad.tolist() == [0.0, 3.0]


def test_the_gradient_in_a_hook_is_recorded_where_the_pass_is():
    x, seen = leaf(2.0), []
    y = x * x * x
    y.register_hook(lambda g: seen.append((g.requires_grad, torch.is_grad_enabled())))
    (y * y).backward(retain_graph=True)
    (y * y).backward(create_graph=True)
    assert seen == [(False, False), (True, True)]


def test_a_hook_takes_part_in_a_recorded_pass():
    x = leaf(2.0)
    y = x * x
    y.register_hook(lambda g: g * x)
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    # 2x · x, and its derivative 4x.
    assert first.tolist() == [8.0] and torch.autograd.grad(first, x)[0].tolist() == [8.0]


def test_a_hook_may_run_a_backward_of_its_own():
    w = leaf(3.0)

    def inner(grad):
        with torch.enable_grad():
            (w * grad.item()).backward()

    x = leaf(1.0)
    y = x * 2
    y.register_hook(inner)
    (y * 5).backward()
    assert w.grad.tolist() == [5.0] and x.grad.tolist() == [10.0]


def test_a_retained_gradient_is_what_the_hooks_made_of_it():
    x = leaf(1.0)
    y = x * 2
    y.register_hook(lambda g: g * 2)
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    (y * 1).backward()
    assert y.grad.tolist() == [20.0] and x.grad.tolist() == [40.0]


def test_hooks_and_retained_gradients_stay_through_several_passes():
    x, seen = leaf(1.0), Seen()
    y = x * 2
    y.register_hook(seen)
    y.retain_grad()
    for count in (1, 2, 3):
        (y * 3).backward(retain_graph=True)
        assert len(seen) == count and y.grad.tolist() == [3.0 * count]


WRONG = {
    "another shape": (RuntimeError, lambda g: torch.ones(5, dtype=torch.float64)),
    "a sum": (RuntimeError, lambda g: g.sum()),
    "another dtype": (RuntimeError, lambda g: g.float()),
    "a number": (TypeError, lambda g: 5.0),
    "an array": (TypeError, lambda g: g.numpy()),
    "a tuple": (TypeError, lambda g: (g,)),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_hook_that_returns_something_else_is_refused(case):
    error, hook = WRONG[case]
    for place in (lambda x: x, lambda x: x * 2):
        x = leaf(1.0, 2.0)
        t = place(x)
        t.register_hook(hook)
        with pytest.raises(error):
            (t * 3).sum().backward()
        assert x.grad is None


def test_a_tensor_without_gradient_takes_no_hook():
    with pytest.raises(RuntimeError):
        torch.ones(2).register_hook(lambda g: g)
    with pytest.raises(RuntimeError):
        leaf(1.0).detach().register_hook(lambda g: g)


@ours
def test_a_hook_that_cannot_be_called_is_refused_at_once():
    with pytest.raises(TypeError, match="register_hook"):
        leaf(1.0).register_hook(5)


def broken(grad):
    raise ValueError("in the hook")


@pytest.mark.parametrize("place", ["leaf", "inner", "root"])
def test_an_exception_in_a_hook_leaves_gradients_and_graph_as_they_were(place):
    x, w = leaf(2.0), leaf(3.0)
    (x + w).backward()
    inner = x * w
    root = inner * inner
    handle = {"leaf": x, "inner": inner, "root": root}[place].register_hook(broken)
    with pytest.raises(ValueError, match="in the hook"):
        root.backward(retain_graph=True)
    with pytest.raises(ValueError, match="in the hook"):
        torch.autograd.grad(root, [x, w], retain_graph=True)
    assert torch.is_grad_enabled()
    if place != "leaf":
        assert x.grad.tolist() == [1.0] and w.grad.tolist() == [1.0]
    handle.remove()
    x.grad = w.grad = None
    root.backward()
    assert x.grad.tolist() == [36.0] and w.grad.tolist() == [24.0]


@ours
def test_an_exception_in_a_hook_of_one_leaf_changes_the_grad_of_none():
    leaves = [leaf(2.0), leaf(3.0), leaf(4.0)]
    handle = leaves[1].register_hook(broken)
    root = leaves[0] * leaves[1] * leaves[2]
    with pytest.raises(ValueError, match="in the hook"):
        root.backward()
    assert [x.grad for x in leaves] == [None, None, None]
    handle.remove()
    root.backward()
    assert [x.grad.item() for x in leaves] == [12.0, 8.0, 6.0]


# ---------------------------------------------------------------- after accumulation


def test_a_post_accumulate_hook_sees_the_leaf_with_its_grad():
    x, seen = leaf(1.0), []
    x.register_hook(lambda g: seen.append("hook"))
    handle = x.register_post_accumulate_grad_hook(lambda p: seen.append((p is x, p.grad.tolist())))
    (x * 2).backward()
    (x * 3).backward()
    assert seen == ["hook", (True, [2.0]), "hook", (True, [5.0])]
    torch.autograd.grad(x * 2, x)
    assert seen[4:] == ["hook"]
    handle.remove()
    (x * 2).backward()
    assert seen[5:] == ["hook"]


def test_a_post_accumulate_hook_may_take_a_step_and_clear_the_grad():
    x = leaf(1.0, 2.0)

    def step(p):
        with torch.no_grad():
            p -= 0.25 * p.grad
        p.grad = None

    x.register_post_accumulate_grad_hook(step)
    for _ in range(3):
        (x * x).sum().backward()
    assert x.tolist() == [0.125, 0.25] and x.grad is None


def test_post_accumulate_hooks_run_in_order():
    x, seen = leaf(1.0), []
    for name in "abc":
        x.register_post_accumulate_grad_hook(lambda p, name=name: seen.append(name))
    (x * 2 + x * 3).backward()
    assert seen == ["a", "b", "c"]


def test_post_accumulate_hooks_are_for_leaves():
    with pytest.raises(RuntimeError):
        (leaf(1.0) * 2).register_post_accumulate_grad_hook(lambda p: None)
    with pytest.raises(RuntimeError):
        torch.ones(1).register_post_accumulate_grad_hook(lambda p: None)


def test_an_exception_in_a_post_accumulate_hook_comes_through():
    x = leaf(1.0)
    handle = x.register_post_accumulate_grad_hook(broken)
    with pytest.raises(ValueError, match="in the hook"):
        (x * 2).backward()
    handle.remove()
    x.grad = None
    (x * 2).backward()
    assert x.grad.tolist() == [2.0]


# ---------------------------------------------------------------- hooks on nodes


def lists(gradients):
    return [None if g is None else g.tolist() for g in gradients]


def test_a_node_hook_sees_the_gradients_of_inputs_and_outputs():
    x, w, seen = leaf(2.0), leaf(5.0), []
    y = x * w
    y.grad_fn.register_hook(lambda into, out: seen.append((lists(into), lists(out))))
    (y * 3 + y * 4).backward()
    assert seen == [([[35.0], [14.0]], [[7.0]])] and x.grad.tolist() == [35.0]


def test_a_node_hook_has_none_for_what_needs_no_gradient():
    x, frozen, seen = leaf(2.0), torch.tensor([5.0], dtype=torch.float64), []
    y = frozen * x
    y.grad_fn.register_hook(lambda into, out: seen.append(lists(into)))
    y.backward()
    assert seen == [[None, [5.0]]]


def test_anomaly_mode_counts_the_inputs_that_need_no_gradient():
    x = leaf(2.0)
    with torch.autograd.detect_anomaly():
        y = torch.tensor([nan], dtype=torch.float64) * x
        with pytest.raises(RuntimeError, match="returned nan values in its 1th output"):
            y.backward()


def test_a_node_hook_may_replace_the_gradients_of_its_inputs():
    x, w = leaf(2.0), leaf(5.0)
    y = x * w
    y.grad_fn.register_hook(lambda into, out: tuple(g * 10 for g in into))
    y.grad_fn.register_hook(lambda into, out: (into[0] + 1, into[1]))
    y.backward()
    assert x.grad.tolist() == [51.0] and w.grad.tolist() == [20.0]


def test_a_node_prehook_may_replace_the_gradients_of_its_outputs():
    x, seen = leaf(0.5), []
    y = x.exp()
    y.grad_fn.register_prehook(lambda out: seen.append(lists(out)) or (out[0] * 100,))
    y.grad_fn.register_prehook(lambda out: seen.append(lists(out)))
    (y * 3).backward()
    assert seen == [[[3.0]], [[300.0]]] and x.grad.tolist() == [pytest.approx(300 * math.exp(0.5))]


def test_a_node_hook_that_was_removed_is_not_called():
    x, seen = leaf(0.5), []
    y = x.exp()
    handles = [
        y.grad_fn.register_hook(lambda into, out: seen.append("post")),
        y.grad_fn.register_prehook(lambda out: seen.append("pre")),
    ]
    y.backward(retain_graph=True)
    for handle in handles:
        handle.remove()
    y.backward()
    assert seen == ["pre", "post"]


def test_hooks_of_tensor_and_node_run_in_order():
    x, seen = leaf(1.0), []
    y = x * x
    y.grad_fn.register_prehook(lambda out: seen.append(("pre", *lists(out))))
    y.grad_fn.register_hook(lambda into, out: seen.append(("post", *lists(out))))
    y.register_hook(lambda g: seen.append(("tensor", g.tolist())) or g * 2)
    y.backward()
    assert seen == [("tensor", [1.0]), ("pre", [2.0]), ("post", [2.0])]


def test_hooks_on_a_node_of_several_outputs():
    class Both(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            return a * 2, b * 3

        @staticmethod
        def backward(ctx, by_a, by_b):
            return by_a * 2, by_b * 3

    a, b, seen = leaf(1.0), leaf(1.0), []
    p, q = Both.apply(a, b)
    p.grad_fn.register_hook(lambda into, out: seen.append((lists(into), lists(out))) or tuple(g * 10 for g in into))
    (p + q * 5).backward()
    assert seen == [([[2.0], [15.0]], [[1.0], [5.0]])]
    assert a.grad.tolist() == [20.0] and b.grad.tolist() == [150.0]


def test_the_node_of_a_leaf_takes_hooks():
    x, seen = leaf(1.0), []
    y = x.exp()
    node = y.grad_fn.next_functions[0][0]
    node.register_prehook(lambda out: seen.append(lists(out)))
    node.register_hook(lambda into, out: seen.append((lists(into), lists(out))))
    y.backward()
    assert seen == [[[pytest.approx(math.e)]], ([], [[pytest.approx(math.e)]])]


def test_a_node_hook_that_returns_something_else_is_refused():
    def backward_with(register):
        x = leaf(1.0)
        y = x * x
        register(y.grad_fn)
        y.backward()

    for hook in (lambda into, out: (into[0],), lambda into, out: ()):
        with pytest.raises(RuntimeError):
            backward_with(lambda node, hook=hook: node.register_hook(hook))
    for hook in (lambda into, out: 5, lambda into, out: into[0]):
        with pytest.raises(TypeError):
            backward_with(lambda node, hook=hook: node.register_hook(hook))
    with pytest.raises(RuntimeError):
        backward_with(lambda node: node.register_prehook(lambda out: ()))
    with pytest.raises(TypeError):
        backward_with(lambda node: node.register_prehook(lambda out: 5))


def test_an_exception_in_a_node_hook_leaves_the_graph_usable():
    x = leaf(2.0)
    y = x * x
    z = y * y
    for register in (y.grad_fn.register_hook, y.grad_fn.register_prehook):

        def fail(*gradients):
            raise ValueError("in the hook")

        handle = register(fail)
        with pytest.raises(ValueError, match="in the hook"):
            z.backward(retain_graph=True)
        handle.remove()
        assert x.grad is None
    z.backward()
    assert x.grad.tolist() == [32.0]


def test_hooks_die_with_their_tensor():
    class Hook:
        def __call__(self, grad):
            return None

    x = leaf(1.0)
    gc.disable()
    try:
        y = x * 2
        hook = Hook()
        gone = weakref.ref(hook)
        handle = y.register_hook(hook)
        del hook
        assert gone() is not None
        handle.remove()
        assert gone() is None
        hook = Hook()
        gone = weakref.ref(hook)
        y.register_hook(hook)
        del hook, y
        assert gone() is None
    finally:
        gc.enable()


# ---------------------------------------------------------------- anomaly mode


def nan_in_the_middle():
    """0 · inf in the backward of sqrt."""
    x = leaf(0.0, 1.0)
    y = x.sqrt() * 0
    y.sum().backward()
    return x.grad


def test_nan_in_backward_is_silent_without_anomaly_mode():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grad = nan_in_the_middle()
    assert math.isnan(grad[0].item()) and grad[1].item() == 0.0


@pytest.mark.filterwarnings("ignore")
def test_anomaly_mode_raises_and_names_the_node():
    with torch.autograd.detect_anomaly():
        with pytest.raises(RuntimeError, match="SqrtBackward"):
            nan_in_the_middle()
        with pytest.raises(RuntimeError, match="nan"):
            nan_in_the_middle()
    nan_in_the_middle()


@pytest.mark.filterwarnings("ignore")
def test_set_detect_anomaly_works_as_a_call_and_as_a_context():
    torch.autograd.set_detect_anomaly(True)
    try:
        with pytest.raises(RuntimeError, match="SqrtBackward"):
            nan_in_the_middle()
    finally:
        torch.autograd.set_detect_anomaly(False)
    nan_in_the_middle()
    with torch.autograd.set_detect_anomaly(True), pytest.raises(RuntimeError, match="SqrtBackward"):
        nan_in_the_middle()
    nan_in_the_middle()


@pytest.mark.filterwarnings("ignore")
def test_anomaly_modes_nest_and_are_undone_by_an_exception():
    with torch.autograd.detect_anomaly():
        with torch.autograd.set_detect_anomaly(False):
            nan_in_the_middle()
        with pytest.raises(RuntimeError, match="SqrtBackward"):
            nan_in_the_middle()
    with pytest.raises(KeyError), torch.autograd.detect_anomaly():
        raise KeyError
    nan_in_the_middle()


@pytest.mark.filterwarnings("ignore")
def test_anomaly_mode_need_not_check_for_nan():
    with torch.autograd.detect_anomaly(check_nan=False):
        assert math.isnan(nan_in_the_middle()[0].item())


@pytest.mark.filterwarnings("ignore")
def test_what_is_no_anomaly():
    with torch.autograd.detect_anomaly():
        x = leaf(0.0)
        x.log().sum().backward()
        assert x.grad.tolist() == [inf]
        x = leaf(-1.0, nan)
        (x.sqrt() + 1).sum()  # NaN in forward alone
        (x * 2 + x).sum().backward()
        assert x.grad.tolist() == [3.0, 3.0]
        empty = torch.zeros(0, dtype=torch.float64, requires_grad=True)
        empty.sqrt().sum().backward()
        x = leaf(1.0, 2.0)
        values, _ = (x * x).max(0)
        values.backward()
        assert x.grad.tolist() == [0.0, 4.0]
        # Nobody asked for the derivative that would be NaN.
        a, b = leaf(0.0), leaf(1.0)
        assert torch.autograd.grad((a.sqrt() * 0 + b * 2).sum(), b)[0].tolist() == [2.0]


@pytest.mark.filterwarnings("ignore")
def test_anomaly_mode_watches_every_way_back():
    with torch.autograd.detect_anomaly():
        x = leaf(0.0)
        with pytest.raises(RuntimeError, match="SqrtBackward"):
            torch.autograd.grad((x.sqrt() * 0).sum(), x)
        assert x.grad is None
        with pytest.raises(RuntimeError, match="MulBackward"):
            (leaf(1.0) * leaf(1.0)).backward(torch.tensor([nan], dtype=torch.float64))
        with pytest.raises(RuntimeError, match="MulBackward"):
            (x * torch.tensor([nan], dtype=torch.float64)).backward()
        y = leaf(1.0) * 2
        y.register_hook(lambda g: g * nan)
        with pytest.raises(RuntimeError, match="MulBackward"):
            (y + 1).backward()
        (first,) = torch.autograd.grad(x**1.5, x, create_graph=True)
        with pytest.raises(RuntimeError, match="Pow"):
            torch.autograd.grad((first * 0).sum(), x)


@pytest.mark.filterwarnings("ignore")
def test_anomaly_mode_names_a_function_of_ones_own():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            return grad * nan

    with torch.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="WrongBackward"):
        Wrong.apply(leaf(1.0)).backward()


@pytest.mark.filterwarnings("ignore")
def test_an_anomaly_leaves_gradients_and_graph_as_they_were():
    x, w = leaf(0.0), leaf(2.0)
    y = x.sqrt() * w
    with torch.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="SqrtBackward"):
        (y * 0).sum().backward(retain_graph=True)
    assert x.grad is None
    w.grad = None
    (y * 3).sum().backward()
    assert x.grad.tolist() == [inf] and w.grad.tolist() == [0.0]


@pytest.mark.filterwarnings("ignore")
def test_backward_in_anomaly_mode_of_a_graph_from_before():
    x = leaf(0.0, 1.0)
    y = x.sqrt() * 0
    with torch.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="SqrtBackward"):
        y.sum().backward()


@pytest.mark.filterwarnings("ignore")
def test_anomaly_mode_changes_no_numbers():
    def work():
        x = torch.tensor(np.linspace(0.1, 2.0, 6).reshape(2, 3), requires_grad=True)
        y = (x.exp() @ x.T).log().sum() + (x / x.sum(1, keepdim=True)).sqrt().sum()
        (first,) = torch.autograd.grad(y, x, create_graph=True)
        (second,) = torch.autograd.grad((first * x).sum(), x)
        return y.item(), first.tolist(), second.tolist()

    before = work()
    with torch.autograd.detect_anomaly():
        assert work() == before


def line_of(function):
    """The line of a function on which the operation that goes wrong stands."""
    return function.__code__.co_firstlineno + 2


def forward_of_sqrt():
    x = leaf(0.0, 1.0)
    bad = x.sqrt()
    return (bad * 0).sum()


def forward_of_division():
    x = leaf(0.0)
    bad = x / x
    return (bad * 1).sum()


def forward_of_pow():
    x = leaf(0.0)
    bad = x**0.5
    return (bad * 0).sum()


def forward_inside_a_function():
    x = leaf(0.0)
    bad = torch.sqrt(x)
    return torch.cat([bad * 0, bad * 0]).sum()


@ours
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("forward", "name"),
    [
        (forward_of_sqrt, "sqrt"),
        (forward_of_division, "div"),
        (forward_of_pow, "pow"),
        (forward_inside_a_function, "sqrt"),
    ],
)
def test_the_message_names_the_forward_operation_and_the_line_that_ran_it(forward, name):
    with torch.autograd.detect_anomaly():
        loss = forward()
        with pytest.raises(RuntimeError) as caught:
            loss.backward()
    message = str(caught.value)
    assert re.search(rf"\b{name}\b", message)
    assert os.path.basename(__file__) in message
    assert re.search(rf"(line |:){line_of(forward)}\b", message)


@ours
@pytest.mark.filterwarnings("ignore")
def test_the_message_says_what_to_do_where_the_line_is_not_known():
    loss = forward_of_sqrt()
    with torch.autograd.detect_anomaly(), pytest.raises(RuntimeError, match=r"detect_anomaly|anomaly mode"):
        loss.backward()


@ours
@pytest.mark.filterwarnings("ignore")
def test_the_lines_are_kept_with_the_graph_and_no_longer():
    with torch.autograd.detect_anomaly():

        class Big:
            pass

        def forward():
            big = Big()
            gone.append(weakref.ref(big))
            return (leaf(1.0).exp() * 2).sum()

        gone = []
        loss = forward()
        assert gone[0]() is None, "a graph keeps lines, and not the frames with all that is in them"
        loss.backward()
