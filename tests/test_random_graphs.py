"""Random expression graphs: broadcasting, reuse, views, several outputs; first and second derivatives.

A graph is drawn as numbers alone, so that the same graph can be built by any module that speaks PyTorch's names: by the one
under test, by PyTorch where it is installed, and by the one under test at shifted points for differences.
"""

import importlib
import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
try:
    pytorch = importlib.import_module("torch")
except ImportError:
    pytorch = None

SHAPES = [(), (1,), (3,), (2, 1), (1, 3), (2, 3), (4, 2, 3), (4, 1, 1), (0,), (0, 3), (2, 0)]


def numbers(shape, seed):
    """As many numbers between -2 and 2, all different and none special, as the shape has places."""
    return (2 * np.sin(1.7 * np.arange(float(math.prod(shape))) + 0.9 * seed + 0.3)).reshape(shape)


# ---------------------------------------------------------------- the operations, with guards that keep them smooth

UNARY = [
    lambda m, t: t.sin(),
    lambda m, t: t.cos(),
    lambda m, t: t.tanh(),
    lambda m, t: t.sigmoid(),
    lambda m, t: -t,
    lambda m, t: t.sin().exp(),
    lambda m, t: m.expm1(t.cos()),
    lambda m, t: (t * t + 1.1).log(),
    lambda m, t: (t * t).log1p(),
    lambda m, t: (t * t + 0.5).sqrt(),
    lambda m, t: (t * t + 1).reciprocal(),
    lambda m, t: t.sin() ** 3,
    lambda m, t: t.tanh().square(),
    lambda m, t: m.nn.functional.softplus(t),
    lambda m, t: 2 / (t * t + 1) - 1,
]

BINARY = [
    lambda m, a, b: a + b,
    lambda m, a, b: a - b * 0.5,
    lambda m, a, b: a.tanh() * b,
    lambda m, a, b: a / (b * b + 1),
    lambda m, a, b: (a * a + 0.5) ** b.tanh(),
    lambda m, a, b: m.where(m.tensor(np.indices((a + b).shape).sum(0) % 2 == 0), a, b),
    lambda m, a, b: a.sin() * a + b * b.cos(),
]


def dim_of(t, k):
    return k % (2 * t.ndim) - t.ndim  # of either sign


REDUCING = [
    lambda m, t, d: t.sum(d),
    lambda m, t, d: t.sum(d, keepdim=True) * 0.5,
    lambda m, t, d: t.sum(),
    lambda m, t, d: t.mean(d),
    lambda m, t, d: t.mean((d, t.ndim - 1)) if d % t.ndim != t.ndim - 1 else t.mean(),
    lambda m, t, d: t.logsumexp(d),
    lambda m, t, d: t.softmax(d),
    lambda m, t, d: m.log_softmax(t, d) * 0.3,
    lambda m, t, d: t.var(d, correction=0),
    lambda m, t, d: t.tanh().prod(d),
    lambda m, t, d: t.cumsum(d) * 0.5,
]

VIEWS = [
    lambda m, t, k: t.reshape(-1),
    lambda m, t, k: t.reshape(tuple(reversed(t.shape))),
    lambda m, t, k: t.unsqueeze(k % (t.ndim + 1)),
    lambda m, t, k: t.squeeze(),
    lambda m, t, k: t.transpose(0, -1) if t.ndim > 1 else t[None],
    lambda m, t, k: t.permute(*(np.roll(range(t.ndim), 1).tolist())) if t.ndim else t.view(1),
    lambda m, t, k: t[..., : 1 + k % 2] if t.ndim else t[...],
    lambda m, t, k: t[k % 2 :: 2] if t.ndim else t[None],
    lambda m, t, k: t[k % t.shape[0]] if t.ndim and t.shape[0] else t * 1,
    lambda m, t, k: t[[0, 0, -1]] if t.ndim and t.shape[0] else t * 1,
    lambda m, t, k: t[:, None] if t.ndim else t.reshape(1, 1),
    lambda m, t, k: t.expand(2, *t.shape),
    lambda m, t, k: m.broadcast_to(t, (1, *t.shape)),
    lambda m, t, k: t.flatten(),
    lambda m, t, k: t[m.tensor(np.indices(tuple(t.shape)).sum(0) % 2 == 0)] if t.ndim else t.clone(),
]

JOINING = [
    lambda m, a, b, k: m.stack([a, b], k % (a.ndim + 1)),
    lambda m, a, b, k: m.cat([a, b, a], k % a.ndim) if a.ndim else a + b,
    lambda m, a, b, k: a @ b.mT if a.ndim >= 2 else (a @ b if a.ndim else a * b),
    lambda m, a, b, k: m.stack([a.sin(), b])[k % 2],
]

LARGEST = 200  # elements, so that joining does not grow without end


def fits(a, b):
    try:
        return math.prod(np.broadcast_shapes(tuple(a.shape), tuple(b.shape))) <= LARGEST
    except ValueError:
        return False


def build(m, leaves, steps):
    """The nodes of a graph, leaves first, and those that nothing uses: its outputs."""
    nodes, used = list(leaves), set()
    for (kind, which), first, second in steps:
        able = [n for n, t in enumerate(nodes) if kind != "reduce" or (t.ndim and 0 not in tuple(t.shape))]
        i = able[first % len(able)] if able else first % len(nodes)
        a = nodes[i]
        if kind == "unary":
            made = UNARY[which](m, a)
        elif kind == "view":
            made = VIEWS[which](m, a, second)
        elif kind == "reduce":
            made = REDUCING[which](m, a, dim_of(a, second)) if able else a.sum() + 1
        else:
            alike = [n for n, b in enumerate(nodes) if (fits(a, b) if kind == "binary" else b.shape == a.shape)]
            j = alike[second % len(alike)]
            used.add(j)
            if kind == "binary":
                made = BINARY[which](m, a, nodes[j])
            else:
                made = JOINING[which % len(JOINING)](m, a, nodes[j], second)
        if math.prod(tuple(made.shape)) > LARGEST or made.ndim > 5:
            made = made.sum()
        used.add(i)
        nodes.append(made)
    return [node for n, node in enumerate(nodes) if n not in used and n >= len(leaves)]


TABLES = {"unary": UNARY, "binary": BINARY, "reduce": REDUCING, "view": VIEWS, "join": JOINING * 2}
OPERATIONS = [(kind, which) for kind, table in TABLES.items() for which in range(len(table))]
GRAPHS = st.tuples(
    st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3),
    st.lists(
        st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 30), st.integers(0, 30)),
        min_size=4,
        max_size=14,
    ),
)


def directions_of(shapes, seed):
    return [numbers(shape, seed + 10 * i) for i, shape in enumerate(shapes)]


def weigh(m, outputs):
    return sum((out * m.tensor(numbers(tuple(out.shape), 5.0 + i))).sum() for i, out in enumerate(outputs))


def derivatives(m, arrays, steps, along, second=True):
    """Outputs, gradients, and second derivatives along the directions, as arrays, computed by the module m."""
    leaves = [m.tensor(array, requires_grad=True) for array in arrays]
    outputs = build(m, leaves, steps)
    grads = m.autograd.grad(weigh(m, outputs), leaves, create_graph=second, allow_unused=True)
    grads = [m.zeros_like(x) if g is None else g for g, x in zip(grads, leaves, strict=True)]
    found = [np.zeros_like(array) for array in arrays]
    if second:
        product = sum((g * m.tensor(v)).sum() for g, v in zip(grads, along, strict=True))
        if product.requires_grad:
            parts = m.autograd.grad(product, leaves, allow_unused=True)
            found = [a if g is None else g.numpy() for a, g in zip(found, parts, strict=True)]
    return [out.detach().numpy() for out in outputs], [g.detach().numpy() for g in grads], found


def dot(left, right):
    return float(sum((a * b).sum() for a, b in zip(left, right, strict=True)))


def agree(actual, expected, rtol, atol=1e-9):
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape and np.all(np.isfinite(b))
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol * max(1.0, np.abs(b).max(initial=0)))
    return True


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(GRAPHS)
def test_first_and_second_derivatives_of_random_graphs(graph):
    shapes, steps = graph
    arrays = [numbers(shape, i) for i, shape in enumerate(shapes)]
    u, v = directions_of(shapes, 1.0), directions_of(shapes, 2.0)
    outputs, grads, second = derivatives(torch, arrays, steps, v)
    for g, array in zip(grads, arrays, strict=True):
        assert g.shape == array.shape and g.dtype == array.dtype

    def moved(step):
        return [a + step * d for a, d in zip(arrays, u, strict=True)]

    if pytorch is not None and pytorch is not torch:
        expected = derivatives(pytorch, arrays, steps, v)
        assert (
            agree(outputs, expected[0], 1e-10) and agree(grads, expected[1], 1e-8) and agree(second, expected[2], 1e-7)
        )
        return

    def value(step):
        with torch.no_grad():
            return weigh(torch, build(torch, [torch.tensor(a) for a in moved(step)], steps)).item()

    def slope(step):
        return dot(derivatives(torch, moved(step), steps, v, second=False)[1], v)

    eps = 1e-5
    scale = max(1.0, *(float(np.abs(g).max(initial=0)) for g in grads + second))
    assert dot(grads, u) == pytest.approx((value(eps) - value(-eps)) / (2 * eps), rel=1e-5, abs=1e-6 * scale)
    assert dot(second, u) == pytest.approx((slope(eps) - slope(-eps)) / (2 * eps), rel=1e-5, abs=1e-6 * scale)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(GRAPHS)
def test_backward_from_several_roots_accumulates_what_grad_returns(graph):
    shapes, steps = graph
    arrays = [numbers(shape, i) for i, shape in enumerate(shapes)]
    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    outputs = build(torch, leaves, steps)
    weights = [torch.tensor(numbers(tuple(out.shape), 5.0 + i)) for i, out in enumerate(outputs)]
    expected = torch.autograd.grad(outputs, leaves, weights, retain_graph=True, allow_unused=True)
    for count in (1, 2):
        torch.autograd.backward(outputs, weights, retain_graph=True)
        for x, g in zip(leaves, expected, strict=True):
            assert (x.grad is None) == (g is None)
            if g is not None:
                np.testing.assert_allclose(x.grad.numpy(), count * g.numpy(), rtol=1e-12, atol=1e-12)
    for x in leaves:
        x.grad = None
    # One root after the other gives the same sums.
    for out, weight in zip(outputs, weights, strict=True):
        out.backward(weight, retain_graph=True)
    for x, g in zip(leaves, expected, strict=True):
        if g is not None:
            np.testing.assert_allclose(x.grad.numpy(), g.numpy(), rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(GRAPHS)
def test_backward_leaves_values_and_a_second_pass_as_they_were(graph):
    shapes, steps = graph
    leaves = [torch.tensor(numbers(shape, i), requires_grad=True) for i, shape in enumerate(shapes)]
    outputs = build(torch, leaves, steps)
    before = [t.detach().numpy().copy() for t in (*leaves, *outputs)]
    loss = weigh(torch, outputs)
    first = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True)
    kept = [None if g is None else g.numpy().copy() for g in first]
    for g in first:
        if g is not None:
            g.detach().numpy()[...] = 1e6  # what was handed out is nobody else's
    again = torch.autograd.grad(loss, leaves, allow_unused=True)
    for a, b in zip(again, kept, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a.numpy(), b)
    for t, array in zip((*leaves, *outputs), before, strict=True):
        np.testing.assert_array_equal(t.detach().numpy(), array)
