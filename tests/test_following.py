"""A gradient that is followed node by node, tensors that are found by name, and parts of graphs; in both engines."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_rp
from visualize.following import follow
from visualize.names import tensors_by_name
from visualize.reading import read
from visualize.text import get_graph


@pytest.fixture(params=["tinygrad_rp", "torch"])
def torch(request):
    return pytest.importorskip(request.param)


def arrays(torch, followed, graph):
    return {node.names[0]: followed.at(node).numpy() for node in graph.nodes if node.kind == "leaf" and node.names}


def check(torch, y, leaves):
    """What was followed is what backward() then puts into grad."""
    graph = read(y, leaves)
    followed = follow(graph, y)
    assert followed.failures == {}
    found = arrays(torch, followed, graph)
    assert all(leaf.grad is None for leaf in leaves.values())  # nothing was touched
    y.sum().backward()
    for name, leaf in leaves.items():
        np.testing.assert_allclose(found[name], leaf.grad.numpy(), rtol=1e-6)


def test_broadcasting_and_shared_leaves(torch):
    x = torch.tensor([[1.0, -2.0]], requires_grad=True)
    w = torch.ones(3, 1, requires_grad=True)
    check(torch, torch.relu(x * w) * w + x, {"x": x, "w": w})


def test_networks(torch):
    x = torch.randn(5, 4)
    w, b = torch.randn(3, 4, requires_grad=True), torch.randn(3, requires_grad=True)
    h = torch.nn.functional.linear(x, w, b)
    check(torch, torch.logsumexp(torch.tanh(h), 1), {"w": w, "b": b})


def test_a_function_of_the_users_with_several_outputs_of_which_one_is_used(torch):
    class Both(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, k, b):
            ctx.save_for_backward(a, b)
            return a * b, a + b

        @staticmethod
        def backward(ctx, g, h):
            a, b = ctx.saved_tensors
            return g * b + h, None, g * a + h

    a = torch.tensor([1.0, 2.0], requires_grad=True)
    b = torch.tensor([3.0, 4.0], requires_grad=True)
    check(torch, Both.apply(a, 3, b)[1] * 2, {"a": a, "b": b})


def test_indices_views_and_several_outputs(torch):
    x = torch.arange(6.0).reshape(2, 3).requires_grad_()
    first, second = torch.unbind(x * 2)
    check(torch, first[1:] * second[:-1] + x[0, 0], {"x": x})


def test_a_gradient_to_begin_with(torch):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    graph = read(y)
    followed = follow(graph, y, torch.tensor([1.0, 10.0]))
    np.testing.assert_array_equal(followed.at(graph.find(x)).numpy(), [2.0, 40.0])


def test_only_what_is_wired_hands_something_on(torch):
    p = torch.tensor([0.25], requires_grad=True)
    y = torch.bernoulli(p) * p.detach()
    graph = read(y)
    followed = follow(graph, y)
    zero = next(edge for edge in graph.edges if edge.kind == "zero")
    np.testing.assert_array_equal(followed.along(zero).numpy(), [0.0])
    assert [followed.along(edge) for edge in graph.edges if edge.kind == "missing"] in ([], [None])


def test_nodes_whose_values_were_freed_are_named_and_the_rest_is_followed(torch):
    x = torch.tensor([2.0], requires_grad=True)
    y = x.exp() + x
    graph = read(y)
    y.backward()
    followed = follow(graph, y)
    (number,) = followed.failures
    assert graph.nodes[number].title == "ExpBackward0"
    assert "freed" in followed.failures[number] or "second time" in followed.failures[number]
    np.testing.assert_array_equal(followed.at(graph.find(x)).numpy(), [1.0])  # by the way that is left
    np.testing.assert_allclose(x.grad.numpy(), [1 + np.exp(2.0)], rtol=1e-6)


def test_a_node_is_no_tensor_to_begin_with(torch):
    y = torch.tensor([2.0], requires_grad=True) * 2
    with pytest.raises(TypeError, match="takes a tensor"):
        follow(read(y), y.grad_fn)


# ------------------------------------------------------------------------------------------- a node that is called alone


def test_a_node_says_what_it_alone_hands_on(torch):
    x = torch.tensor([3.0], requires_grad=True)
    y = x * 2
    z = y.exp()
    assert z.grad_fn(torch.ones(1)).item() == pytest.approx(np.exp(6.0))
    handed = y.grad_fn(torch.ones(1))
    assert isinstance(handed, tuple) == (len(y.grad_fn.next_functions) > 1)
    assert x.grad is None


def test_a_later_node_has_a_higher_sequence_number(torch):
    x = torch.ones(2, requires_grad=True)
    before = torch.autograd._get_sequence_nr()
    y = x * 2
    z = y + 1
    after = torch.autograd._get_sequence_nr()
    assert before <= y.grad_fn._sequence_nr() < z.grad_fn._sequence_nr() < after


def test_a_node_is_called_with_one_tensor_an_output_and_never_a_leafs_node():
    x = tinygrad_rp.tensor([3.0], requires_grad=True)
    node = (x * 2).exp().grad_fn
    for wrong in ((), (None,), (1.0,), (tinygrad_rp.ones(1), tinygrad_rp.ones(1))):
        with pytest.raises(TypeError, match="1 output and takes a tensor"):
            node(*wrong)
    with pytest.raises(RuntimeError, match="shape"):
        node(tinygrad_rp.ones(2, 2))
    leaf = node.next_functions[0][0].next_functions[0][0]
    with pytest.raises(RuntimeError, match="hands nothing on"):
        leaf(tinygrad_rp.ones(1))


def test_a_node_that_saved_what_was_changed_since_refuses_when_it_is_called():
    x = tinygrad_rp.tensor([3.0], requires_grad=True)
    y = x.exp()
    node = y.grad_fn
    y += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        node(tinygrad_rp.ones(1))


# ------------------------------------------------------------------------------------------------------------- the names


def module(**parameters):
    return SimpleNamespace(named_parameters=parameters.items)


def test_names_are_found_among_the_callers_variables(torch):
    weights = [torch.ones(1, requires_grad=True), torch.ones(2, requires_grad=True)]
    loss = weights[0] * weights[1].sum()
    text = get_graph(loss, "variables")
    assert "loss = [2]" in text
    assert "leaf weights[0] = [1]" in text
    assert "leaf weights[1] = [1, 1]" in text


def test_names_of_a_modules_parameters(torch):
    bias = torch.ones(3, requires_grad=True)
    assert "leaf layer.bias = [1, 1, 1]" in get_graph(bias * 2, module(**{"layer.bias": bias}))
    assert "leaf net.layer.bias" in get_graph(bias * 2, {"net": module(**{"layer.bias": bias})})
    several = [module(**{"layer.bias": bias}), "variables"]
    assert "leaf layer.bias, bias" in get_graph(bias * 2, several)


def test_what_has_no_names_is_an_error_that_says_what_has():
    for wrong in (3, "mu", {"x": 1.0}, {1: tinygrad_rp.ones(1)}):
        with pytest.raises(TypeError, match="names"):
            tensors_by_name(wrong)


# -------------------------------------------------------------------------------------------------------- parts of graphs


def test_only_what_lies_between_two_tensors_is_read(torch):
    x = torch.tensor([1.0], requires_grad=True)
    w = torch.tensor([3.0], requires_grad=True)
    z = x * 2
    y = (z * w).exp() + w.sin()
    graph = read(y, {"z": z}, to=z)
    assert [node.title for node in graph.nodes] == ["AddBackward0", "ExpBackward0", "MulBackward0", "MulBackward0"]
    assert [node.hidden for node in graph.nodes][:3] == [1, 0, 1]
    assert graph.nodes[3].hidden >= 1  # x, and, where it is known, the 2
    assert graph.nodes[-1].names == ("z",)
    assert [(edge.tail, edge.head) for edge in graph.edges] == [(0, 1), (1, 2), (2, 3)]
    both = read(y, to=[z, w])
    assert sum(node.kind == "leaf" for node in both.nodes) == 1
    assert "not shown: 1 more input" in get_graph(y, to=z)


def test_the_end_of_a_part_must_be_a_tensor_of_the_graph(torch):
    x = torch.tensor([1.0], requires_grad=True)
    y = x * 2
    with pytest.raises(ValueError, match="no way leads to to: it is not in the graph"):
        read(y, to=torch.ones(1, requires_grad=True))
    with pytest.raises(TypeError, match="to must be a tensor"):
        read(y, to=3)


def test_a_rule_that_writes_to_grad_is_not_run():
    torch = pytest.importorskip("torch")
    linear, x = torch.nn.Linear(2, 2), torch.ones(1, 2, requires_grad=True)
    y = pytest.importorskip("torch.utils.checkpoint").checkpoint(linear, x, use_reentrant=True).sum()
    failures = follow(read(y), y).failures
    assert list(failures) == [1] and "use_reentrant=False" in failures[1]
    assert linear.weight.grad is None


def test_variables_that_raise_when_asked_for_an_attribute_are_passed_over(torch):
    class Settings(dict):
        __getattr__ = dict.__getitem__  # raises a KeyError where hasattr() expects an AttributeError

    settings = Settings(rate=0.1)
    x = torch.tensor([1.0], requires_grad=True)
    graph = read(x * settings.rate, "variables")
    assert graph.find(x).names == ("x",)
