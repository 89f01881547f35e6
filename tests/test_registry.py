"""Tests made from the registry: every declared operation, on its smooth domain, against finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_rp as tg
from tinygrad_rp.autograd import gradcheck, gradgradcheck
from tinygrad_rp.operation import OPERATIONS, Example

DIFFERENTIABLE = [op for op in OPERATIONS.values() if op.node is not None and not op.stops]
STOPPED = [op for op in OPERATIONS.values() if op.node is not None and op.stops]
SHAPES = {
    1: [((),), ((3,),), ((2, 3),), ((0,),)],
    2: [((), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2,)), ((0, 3), (3,))],
    3: [((3,), (3,), (3,)), ((2, 1), (3,), ())],
}


def draw(rng, shape, interval):
    low, high = (max(interval[0], -2.0), min(interval[1], 2.0))
    margin = 0.05 * (high - low)
    return rng.uniform(low + margin, high - margin, shape)


def inputs_of(op, shapes, seed=0):
    rng = np.random.default_rng(seed)
    intervals = op.domain if len(op.domain) == len(shapes) else op.domain * len(shapes)
    return [
        tg.tensor(draw(rng, shape, interval), requires_grad=True)
        for shape, interval in zip(shapes, intervals, strict=False)
    ]


def cases(ops):
    for op in ops:
        if op.broadcasts:
            examples = [Example(shapes) for shapes in SHAPES[len(op.inputs)]]
        else:
            assert op.examples, f"{op.name} declares no example to be tested on"
            examples = op.examples
        for example in examples:
            shapes = "×".join("·".join(map(str, s)) or "()" for s in example.shapes)
            yield pytest.param(op, example, id=f"{op.name} {shapes} {example.parameters or ''}")


def call(op, example):
    def run(*tensors):
        if op.name in ("cat", "stack"):
            return op.function(tensors, **example.parameters)
        if op.name == "where":
            condition = tg.tensor(np.random.default_rng(1).random(np.broadcast_shapes(*example.shapes)) < 0.5)
            return op.function(condition, *tensors[1:])
        return op.function(*tensors, **example.parameters)

    return run


@pytest.mark.parametrize("op, example", list(cases(DIFFERENTIABLE)))
def test_first_and_second_derivatives_agree_with_finite_differences(op, example):
    tensors = inputs_of(op, example.shapes)
    if op.name == "where":
        tensors[0] = tensors[0].detach()
    run = call(op, example)
    assert gradcheck(run, tensors)
    assert gradgradcheck(run, tensors, atol=1e-4)


@pytest.mark.parametrize("op, example", list(cases(DIFFERENTIABLE)))
def test_backward_on_arrays_gives_what_backward_on_tensors_gives(op, example):
    tensors = inputs_of(op, example.shapes, seed=3)
    leaves = tensors[1:] if op.name == "where" else tensors
    out = call(op, example)(*tensors)
    weights = tg.tensor(np.random.default_rng(4).standard_normal(out.shape))
    on_arrays = tg.autograd.grad(out, leaves, weights, retain_graph=True)
    on_tensors = tg.autograd.grad(out, leaves, weights, create_graph=True)
    for leaf, a, t in zip(leaves, on_arrays, on_tensors, strict=True):
        assert a.shape == t.shape == leaf.shape and a.dtype == t.dtype == leaf.dtype
        np.testing.assert_array_equal(a.numpy(), t.detach().numpy())


@pytest.mark.parametrize(
    "op", [op for op in DIFFERENTIABLE if op.broadcasts and op.name != "where"], ids=lambda op: op.name
)
def test_a_float32_operation_stays_in_float32_forward_and_backward(op):
    tensors = [t.detach().float().requires_grad_() for t in inputs_of(op, SHAPES[len(op.inputs)][1])]
    out = op.function(*tensors)
    assert out.dtype == tg.float32
    for g in tg.autograd.grad(out.sum(), tensors):
        assert g.dtype == tg.float32


@pytest.mark.parametrize("op", STOPPED, ids=lambda op: op.name)
def test_an_operation_that_stops_gradients_says_why_and_what_to_do(op):
    for stop in op.stops.values():
        assert stop.kind == "zero" and stop.reason.endswith(".") and stop.remedies


def test_the_operations_without_a_gradient_say_why_where_they_take_numbers():
    silent = [
        op.name for op in OPERATIONS.values() if op.node is None and op.name != "one_hot" and not all(op.stops.values())
    ]
    assert silent == []


def test_an_operation_is_declared_once_and_all_follows_from_it():
    from tinygrad_rp.operation import elementwise
    from tinygrad_rp.tensor import Tensor

    try:
        cube = elementwise("cube_of_test", np.cbrt, "∛x", x=lambda g, out: g / (3 * out * out), domain=(0.0, math.inf))
        x = tg.tensor([8.0, 27.0], requires_grad=True, dtype=tg.float64)
        assert cube(x).tolist() == pytest.approx([2.0, 3.0])
        assert x.cube_of_test().grad_fn.name() == "CubeOfTestBackward0"
        assert np.cbrt(x).grad_fn is not None
        assert gradcheck(cube, [x]) and gradgradcheck(cube, [x])
        assert cube(x).grad_fn.saved.keys() == {"result"}
    finally:
        OPERATIONS.pop("cube_of_test", None)
        Tensor._numpy_functions.pop(np.cbrt, None)
        if hasattr(Tensor, "cube_of_test"):
            del Tensor.cube_of_test


def test_a_wrong_derivative_is_found():
    class Wrong(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * x

        @staticmethod
        def backward(ctx, g):
            return g * 3

    x = tg.tensor([1.0, 2.0], dtype=tg.float64, requires_grad=True)
    with pytest.raises(
        tg.autograd.GradcheckError, match=r"input 0\[0\] is 3 by backward and (2|2\.0+\d*|1\.9+\d*) by central"
    ):
        gradcheck(Wrong.apply, [x])
    assert gradcheck(Wrong.apply, [x], raise_exception=False) is False
