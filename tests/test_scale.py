"""Graphs of a million nodes, a hundred thousand small graphs, and several threads: no recursion, no growth, no lost update."""

import contextlib
import gc
import importlib
import math
import os
import sys
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)


def leaf(*values, dtype=None):
    return torch.tensor(list(values), dtype=dtype or torch.float64, requires_grad=True)


@contextlib.contextmanager
def collector_off():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# ---------------------------------------------------------------- a million nodes


def test_a_chain_of_a_million_nodes_forward_backward_and_freeing():
    with collector_off():
        x = leaf(0.5)
        before = sys.getallocatedblocks()
        y = x
        for _ in range(1_000_000):
            y = -y
        first = weakref.ref(y)
        y.backward()
        assert x.grad.item() == 1.0
        x.grad = None
        del y
        assert first() is None
        assert sys.getallocatedblocks() - before < 10_000
    (x * 2).backward()
    assert x.grad.tolist() == [2.0]


def test_a_long_chain_that_saves_its_values_gives_them_back():
    def chain(length):
        y = x
        for _ in range(length):
            y = y * 1.0 + y.sin() * 0.0
        return y

    x = leaf(0.5)
    chain(10).backward()
    with collector_off():
        before = sys.getallocatedblocks()
        y = chain(15_000)
        y.backward()
        # Backward has let go of what was saved although the root lives; the next chain is freed unwalked.
        del y
        y = chain(15_000)
        del y
        assert sys.getallocatedblocks() - before < 10_000
    assert x.grad.item() == pytest.approx(2.0)


def test_a_long_chain_in_a_thread_with_a_small_stack():
    found = []

    def work():
        x = leaf(1.0)
        y = x
        for _ in range(50_000):
            y = y + 1e-5
        y.backward()
        del y
        found.append(x.grad.item())

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(120)
    finally:
        threading.stack_size(before)
    assert found == [1.0]


def test_a_long_chain_of_changes_in_place():
    with collector_off():
        x = leaf(1.0, 2.0)
        before = sys.getallocatedblocks()
        y = x * 1
        for _ in range(30_000):
            y.add_(0.5)
        y[0] = 3
        view = y[1:]
        for _ in range(1_000):
            view.mul_(1.0)
        (y * 2).sum().backward()
        assert y.tolist() == [3.0, 15_002.0] and x.grad.tolist() == [0.0, 2.0]
        gone = weakref.ref(y), weakref.ref(view)
        del y, view
        assert gone[0]() is None and gone[1]() is None
        assert sys.getallocatedblocks() - before < 10_000


def test_a_long_chain_of_recorded_gradients():
    x = leaf(0.3)
    y = x
    for _ in range(5_000):
        y = y * 1.0001
    (g,) = torch.autograd.grad((y * y).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    factor = 1.0001**5000
    assert g.item() == pytest.approx(2 * 0.3 * factor**2) and h.item() == pytest.approx(2 * factor**2)


def test_a_chain_of_functions_of_ones_own_and_of_several_outputs():
    class Rotate(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            return -b, a * 1

        @staticmethod
        def backward(ctx, by_a, by_b):
            return by_b, -by_a

    with collector_off():
        a, b = leaf(1.0), leaf(2.0)
        p, q = a, b
        for _ in range(20_000):
            p, q = Rotate.apply(p, q)
        (p * 3 + q * 5).backward()
        assert (p.item(), q.item()) == (1.0, 2.0) and (a.grad.item(), b.grad.item()) == (3.0, 5.0)
        gone = weakref.ref(p)
        del p, q
        assert gone() is None


def test_a_leaf_that_is_used_many_thousand_times():
    x = leaf(2.0)
    total = torch.zeros(1, dtype=torch.float64)
    for _ in range(30_000):
        total = total + x
    total.backward()
    assert x.grad.tolist() == [30_000.0]
    x.grad = None
    torch.cat([x] * 4_000).sum().backward()
    assert x.grad.tolist() == [4_000.0]


def test_a_ladder_of_diamonds_is_walked_once_a_node():
    calls = []
    x = leaf(1.0)
    y = x
    for _ in range(200):
        y = y * 0.5 + y * 0.5
    y.register_hook(lambda g: calls.append(1))
    x.register_hook(lambda g: calls.append(1))
    y.backward()
    assert len(calls) == 2 and x.grad.tolist() == [1.0]


def test_an_exception_deep_in_a_chain_leaves_nothing_behind():
    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            raise ValueError("deep down")

    x, w = leaf(1.0), leaf(3.0)
    y = Fails.apply(x * 1)
    for _ in range(20_000):
        y = y + w * 0
    gone = weakref.ref(y)
    with collector_off():
        try:
            y.backward()
        except ValueError as error:
            assert str(error) == "deep down"
        else:
            pytest.fail("the exception was lost")
        del y
        assert gone() is None
    assert torch.is_grad_enabled() and x.grad is None
    w.grad = None
    (x * w).backward()
    assert x.grad.tolist() == [3.0] and w.grad.tolist() == [1.0]


# ---------------------------------------------------------------- a hundred thousand graphs


def test_a_hundred_thousand_graphs_leave_no_growth():
    x = leaf(0.5)
    for _ in range(100):
        (x * x).backward()
    with collector_off():
        x.grad = None
        before = sys.getallocatedblocks()
        for _ in range(100_000):
            (x * x).backward()
        cycles = gc.collect()  # which empties the free lists too
        assert cycles < 100 and sys.getallocatedblocks() - before < 500
    assert x.grad.item() == pytest.approx(100_000)


def changed_in_place(x, w):
    y = x * 2
    y.add_(1).mul_(w)
    y[0] = 3
    y.sum().backward()


def step_on_the_leaf(x, w):
    (x * w).sum().backward()
    with torch.no_grad():
        x -= 1e-6 * x.grad
        x.clamp_(0.1, 0.9)
    x.grad.zero_()


def views_changed(x, w):
    y = x * 1
    view, other = y[:1], y.reshape(2, 1)
    view *= 2
    other[1] += w
    y.exp_()
    (view.sum() + other.sum() + y.sum()).backward()


def views_alive_without_backward(x, w):
    y = torch.zeros(2, dtype=torch.float64)
    view = y[1:]
    y[:1] = w
    assert view.requires_grad and view.grad_fn is not None
    view.add_(w)
    assert y.requires_grad and view.requires_grad and y.detach()._version == 2


def filled_by_rows(x, w):
    out = torch.zeros(3, 2, dtype=torch.float64)
    for i in range(3):
        out[i] = x * (i + 1)
    out.sum().backward()


def hooks_on_results(x, w):
    y = x * w
    y.retain_grad()
    y.register_hook(lambda g: g * 2)
    y.grad_fn.register_hook(lambda into, out: None)
    y.grad_fn.register_prehook(lambda out: None)
    z = y.exp()
    z.register_hook(lambda g, x=x: None)
    z.sum().backward()


def hooks_on_leaves(x, w):
    handles = [x.register_hook(lambda g: g * 2), x.register_post_accumulate_grad_hook(lambda p: None)]
    (x * w).sum().backward()
    for handle in handles:
        handle.remove()


def hooks_never_called(x, w):
    y = (x * w).exp()
    y.register_hook(lambda g: None)
    y.grad_fn.register_hook(lambda into, out: None)


def second_derivatives(x, w):
    (g,) = torch.autograd.grad((x**3 * w).sum(), x, create_graph=True)
    torch.autograd.grad(g.sum(), x)


def functional_derivatives(x, w):
    torch.autograd.functional.vjp(lambda t: (t * w).exp(), x, torch.ones(2, dtype=torch.float64))


def refused(x, w):
    y = x.exp()
    y.add_(1)
    try:
        y.sum().backward()
    except RuntimeError:
        return
    raise AssertionError("a value that backward needs was changed")


def failing_hooks(x, w):
    def fail(grad):
        raise ValueError

    y = x * w
    y.register_hook(fail)
    try:
        (y * 2).sum().backward()
    except ValueError:
        return
    raise AssertionError("the exception was lost")


class InPlace(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx, grad):
        return grad * 2 + 0 * ctx.saved_tensors[0]


def functions_in_place(x, w):
    InPlace.apply(x * w).sum().backward()


def to_numpy_and_back(x, w):
    y = torch.from_numpy((x * w).detach().numpy())
    y.add_(1)
    (torch.as_tensor(np.ones(2)) * y * x).sum().backward()


LOOPS = [
    changed_in_place, step_on_the_leaf, views_changed, views_alive_without_backward, filled_by_rows, hooks_on_results,
    hooks_on_leaves, hooks_never_called, second_derivatives, functional_derivatives, refused, failing_hooks,
    functions_in_place, to_numpy_and_back,
]  # fmt: skip


@pytest.mark.parametrize("build", LOOPS, ids=lambda f: f.__name__)
def test_a_loop_leaves_no_objects_no_memory_and_no_cycles(build):
    x, w = leaf(0.5, 0.25), leaf(0.7)
    for _ in range(50):
        build(x, w)
    x.grad = w.grad = None
    build(x, w)
    with collector_off():
        before = sys.getallocatedblocks()
        for _ in range(1_000):
            build(x, w)
        cycles = gc.collect()
        grown = sys.getallocatedblocks() - before
    assert grown < 300, f"{grown} blocks more after 1000 rounds"
    assert cycles < 100, f"{cycles} objects that only the collector of cycles could free"
    tracemalloc.start()
    try:
        for _ in range(50):
            build(x, w)
        gc.collect()
        start, _ = tracemalloc.get_traced_memory()
        for _ in range(400):
            build(x, w)
        gc.collect()  # which empties the free lists
        end, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert end - start < 400 * 80, f"{end - start} bytes more after 400 rounds"


def test_large_values_are_freed_as_soon_as_backward_is_done():
    size = 100_000
    x = torch.ones(size, dtype=torch.float64, requires_grad=True)

    def step():
        y = (x * 2).sin().cos()
        y.sum().backward()

    step()  # kernels are loaded or compiled once
    tracemalloc.start()
    try:
        for _ in range(20):
            step()
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # At no time more than a few rounds' arrays; at the end the gradient alone.
    assert peak < 15 * 8 * size and now < 2 * 8 * size


# ---------------------------------------------------------------- threads


def in_threads(work, count=4):
    failures = []
    barrier = threading.Barrier(count)

    def run(number):
        try:
            barrier.wait(30)
            work(number)
        except BaseException as error:
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    finally:
        sys.setswitchinterval(interval)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)


def test_threads_with_graphs_of_their_own_do_not_meet():
    results = {}

    def work(number):
        x = leaf(0.1 * (number + 1), 0.2)
        for _ in range(100):
            y = x * 2
            y[0] += 1
            y.register_hook(lambda g: g * 3)
            y.T.mul_(x)
            with torch.no_grad():
                x + 1
            y.exp().sum().backward()
        results[number] = x.grad.numpy() / 100

    in_threads(work)
    for number in range(4):
        a = 0.1 * (number + 1)
        # The hook stands before the last change, and so is on the way of y alone: exp((2a + 1) a), exp(2b²).
        by_factor = (2 * a + 1) * math.exp((2 * a + 1) * a), 2 * 0.2 * math.exp(0.08)
        by_y = 2 * a * math.exp((2 * a + 1) * a), 2 * 0.2 * math.exp(0.08)
        expected = [f + 3 * y for f, y in zip(by_factor, by_y, strict=True)]
        np.testing.assert_allclose(results[number], expected, rtol=1e-9)


def test_threads_that_share_leaves_lose_no_update():
    w, b = leaf(1.0, 2.0), leaf(0.5)
    rounds = 150

    def work(number):
        for _ in range(rounds):
            y = w * (number + 1) + b
            y[0] *= 2
            y.sum().backward()

    in_threads(work)
    total = rounds * (1 + 2 + 3 + 4)
    assert w.grad.tolist() == [2.0 * total, 1.0 * total] and b.grad.tolist() == [3.0 * rounds * 4]


def test_threads_that_share_a_leaf_in_long_graphs_lose_no_update():
    w = torch.ones(1000, dtype=torch.float64, requires_grad=True)

    def work(number):
        for _ in range(20):
            y = w
            for _ in range(20):
                y = y * 1.0 + w * 0.0
            y.sum().backward()

    in_threads(work)
    assert w.grad.tolist() == [80.0] * 1000


def test_threads_may_walk_one_graph_that_is_kept():
    x = leaf(0.5, 1.5)
    shared = (x * x).exp()
    loss = (shared * shared).sum()
    expected = 4 * np.array([0.5, 1.5]) * np.exp(2 * np.square([0.5, 1.5]))
    found = []

    def work(number):
        for _ in range(50):
            found.append(torch.autograd.grad(loss, x, retain_graph=True)[0].numpy())

    in_threads(work)
    assert len(found) == 200
    for g in found:
        np.testing.assert_allclose(g, expected, rtol=1e-12)
    assert x.grad is None


def test_threads_that_share_a_subgraph_add_up():
    x = leaf(1.0)
    shared = x.exp()

    def work(number):
        for _ in range(50):
            (shared * (number + 1)).backward(retain_graph=True)

    in_threads(work)
    assert x.grad.item() == pytest.approx(50 * 10 * math.e)


def test_hooks_of_a_shared_leaf_are_called_once_a_pass():
    x, calls, steps = leaf(1.0), [], []
    x.register_hook(lambda g: calls.append(g.item()))
    x.register_post_accumulate_grad_hook(lambda p: steps.append(1))

    def work(number):
        for _ in range(100):
            (x * (number + 1)).backward()

    in_threads(work)
    assert len(calls) == len(steps) == 400 and sorted(calls) == sorted([1.0, 2.0, 3.0, 4.0] * 100)
    assert x.grad.tolist() == [1000.0]


def test_an_exception_in_one_thread_does_not_reach_the_others():
    def work(number):
        for _ in range(50):
            x = leaf(1.0)
            y = x * 2
            if number % 2:

                def fail(grad):
                    raise ValueError("mine")

                y.register_hook(fail)
                with pytest.raises(ValueError, match="mine"):
                    y.backward()
                assert x.grad is None
            else:
                y.backward()
                assert x.grad.tolist() == [2.0]
            assert torch.is_grad_enabled()

    in_threads(work)


def test_a_graph_built_in_one_thread_is_walked_in_another():
    x = leaf(0.5)
    built = []
    in_threads(lambda number: built.append((x * x).exp() * (number + 1)))
    in_threads(lambda number: built[number].backward())
    assert x.grad.item() == pytest.approx(10 * math.exp(0.25))
