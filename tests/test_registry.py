"""Tests made from the registry: every declared operation, on its smooth domain, against finite differences."""

from __future__ import annotations

import ast
import math

import numpy as np
import pytest

import tinygrad_rp as tg
from tinygrad_rp.autograd import gradcheck, gradgradcheck
from tinygrad_rp.operation import OPERATIONS, Example

DIFFERENTIABLE = [op for op in OPERATIONS.values() if op.node is not None and not op.stops and not op.drawn]
DRAWN = [op for op in OPERATIONS.values() if op.drawn]
STOPPED = [op for op in OPERATIONS.values() if op.node is not None and op.stops]
SHAPES = {
    1: [((),), ((3,),), ((2, 3),), ((0,),)],
    2: [((), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2,)), ((0, 3), (3,))],
    3: [((3,), (3,), (3,)), ((2, 1), (3,), ())],
    4: [((3,), (3,), (3,), (3,)), ((2, 1), (3,), (), (1, 3))],
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


# ------------------------------------------------------------------------------------------------- the same against PyTorch


def assigned(torch, x, values, basic, rest, accumulate):
    out = x.clone()
    place = out if basic is None else out[basic]
    if rest is None:
        place.copy_(place + values if accumulate else values)
    elif accumulate:
        place.index_put_(rest, values, accumulate=True)
    else:
        place[rest] = values
    return out


def gathered(torch, x, indices, dim, keepdim=True):
    taken = torch.gather(x, dim, indices)
    return taken if keepdim or x.ndim == 0 else taken.squeeze(dim)


# How PyTorch computes what an operation declares, where that is not the function of the same name with the same arguments
PEERS = {
    "alias": lambda torch, x, index: x[index],
    # PyTorch's own celu takes 1/α in float32, which costs its gradient half of the digits
    "celu": lambda torch, x, alpha: torch.where(x > 0, x, alpha * torch.expm1(x / alpha)),
    "clamp": lambda torch, x, low, high: torch.clamp(*torch.broadcast_tensors(x, low, high)),
    "clamp_max_alone": lambda torch, x, high: torch.clamp(x, max=high),
    "clamp_max_number": lambda torch, x, min, max: torch.clamp_max(x, max),
    "clamp_min_number": lambda torch, x, min, max: torch.clamp_min(x, min),
    "number_xlogy": lambda torch, y, input: torch.xlogy(input, y),
    "slogdet": lambda torch, x: torch.linalg.slogdet(x).logabsdet,
    "solve": lambda torch, a, b, left, vector: torch.linalg.solve(a, b, left=left),
    "cat": lambda torch, *tensors, dim: torch.cat(tensors, dim),
    "constant_pad": lambda torch, x, widths, value: torch.nn.functional.pad(
        x, [n for pair in reversed(widths) for n in pair], value=value
    ),
    "cummax": gathered,
    "cummin": gathered,
    "diag_embed": lambda torch, x, shape, offset, dim1, dim2: torch.diagonal_scatter(
        torch.zeros(shape, dtype=x.dtype), x, offset, dim1, dim2
    ),
    "diagonal_copy": lambda torch, x, offset, dim1, dim2: torch.diagonal(x, offset, dim1, dim2),
    "einsum_of_one": lambda torch, x, subscripts, output: torch.einsum(f"{subscripts}->{output}", x),
    "einsum_of_two": lambda torch, x, y, left, right, output: torch.einsum(f"{left},{right}->{output}", x, y),
    "elu": lambda torch, x, alpha, scale: scale * torch.nn.functional.elu(x, alpha),
    "embedding": lambda torch, x, indices, padding_idx: torch.nn.functional.embedding(
        indices, x, None if padding_idx < 0 else padding_idx
    ),
    "expand": lambda torch, x, shape: x.expand(shape),
    "index": lambda torch, x, index: x[index],
    "index_add": lambda torch, x, y, dim, index, alpha: torch.index_add(x, dim, index, y, alpha=alpha),
    "index_none": lambda torch, x, index: x[index],
    "index_put": assigned,
    "masked_fill_tensor": lambda torch, x, value, mask: torch.masked_fill(x, mask, value),
    "max_dim": gathered,
    "min_dim": gathered,
    "narrow": lambda torch, x, index: x[index],
    "native_layer_norm": lambda torch, x, w, b, dims, eps: torch.nn.functional.layer_norm(
        x, [x.shape[d] for d in dims], w, b, eps
    ),
    "polygamma": lambda torch, x, n: torch.polygamma(n, x),
    "gelu_tanh": lambda torch, x: torch.nn.functional.gelu(x, approximate="tanh"),
    "pow_of_number": lambda torch, x, base: torch.pow(base, x),
    "repeat": lambda torch, x, repeats: x.repeat(repeats),
    "scatter": lambda torch, x, y, index, dim: torch.scatter(x, dim, index, y),
    "scatter_add": lambda torch, x, y, index, dim: torch.scatter_add(x, dim, index, y),
    "scatter_number": lambda torch, x, index, dim, value: torch.scatter(x, dim, index, value),
    "select": lambda torch, x, index: x[index],
    "select_dim": lambda torch, x, index: x[index],
    "slice": lambda torch, x, index: x[index],
    "sort": gathered,
    "sort_stable": gathered,
    "split": lambda torch, x, index: x[index],
    "split_with_sizes": lambda torch, x, index: x[index],
    "squeeze": lambda torch, x, dim: torch.squeeze(x),
    "stack": lambda torch, *tensors, dim: torch.stack(tensors, dim),
    "take_along": gathered,
    "to_copy": lambda torch, x, dtype: x.to(torch.float64),
    "topk": gathered,
    "unbind": lambda torch, x, index: x[index],
    "vector_norm": lambda torch, x, ord, dim, keepdim: torch.linalg.vector_norm(x, ord, dim, keepdim),
    "where": lambda torch, x, y, condition: torch.where(condition, x, y),
}
# What is declared takes what the public function prepares of its arguments; that function is compared with PyTorch's in
# test_more_operations_against_pytorch.py
PREPARED = {
    "avg_pool2d", "binary_cross_entropy_with_logits", "convolution", "convolution_bare", "eigh", "max_pool2d", "max_unpool2d",
    "nll_loss", "nll_loss_2d", "polygamma",  # the last in test_special_functions.py: PyTorch's is right to 5e-10 only
}  # fmt: skip
# Of several values put at one place the last one stands, and it alone gets the gradient; PyTorch's documentation of scatter calls
# its own gradient, which goes to all of them, incorrect
LAST_ONE_STANDS = {"index_put", "scatter"}


def in_pytorch(torch, op):
    """PyTorch's form of an operation; `None` for those that only serve as derivatives of others, which it does not show."""
    if op.name in PEERS:
        return lambda *args, **kwargs: PEERS[op.name](torch, *args, **kwargs)
    home, _, name = op.title.rpartition(".")
    for place in (torch.linalg,) if home else (torch, torch.nn.functional, torch.Tensor):
        found = getattr(place, name, None)
        if found is not None:
            return found
    return None


@pytest.mark.parametrize("op, example", list(cases([op for op in DIFFERENTIABLE if op.name not in PREPARED])))
def test_value_and_gradient_are_pytorchs(op, example):
    torch = pytest.importorskip("torch")
    theirs = in_pytorch(torch, op)
    if theirs is None:
        pytest.skip("not an operation of PyTorch's surface")

    def as_torch(value):
        if isinstance(value, tuple):
            return tuple(map(as_torch, value))
        return torch.tensor(value) if isinstance(value, np.ndarray) else value

    tensors = inputs_of(op, example.shapes, seed=5)
    leaves = tensors[1:] if op.name == "where" else tensors
    peers = [torch.tensor(t.detach().numpy(), requires_grad=True) for t in leaves]
    given = dict(
        part.split("=") for part in op.signature.replace(" ", "").split(",") if "=" in part and not example.parameters
    )
    parameters = {name: as_torch(value) for name, value in example.parameters.items()}
    parameters |= {name: ast.literal_eval(value) for name, value in given.items()}
    if op.name == "where":
        parameters["condition"] = torch.tensor(
            np.random.default_rng(1).random(np.broadcast_shapes(*example.shapes)) < 0.5
        )
    out, expected = call(op, example)(*tensors), theirs(*peers, **parameters)
    assert tuple(out.shape) == tuple(expected.shape)
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    weights = np.random.default_rng(6).standard_normal(tuple(out.shape))
    ours = tg.autograd.grad(out, leaves, tg.tensor(weights), materialize_grads=True)
    wanted = torch.autograd.grad(expected, peers, torch.tensor(weights), materialize_grads=True)
    for i, (a, b) in enumerate(zip(ours, wanted, strict=True)):
        if i == 1 and op.name in LAST_ONE_STANDS:
            b = torch.where(torch.tensor(a.numpy()) == 0, 0.0, b)
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("op, example", list(cases(DIFFERENTIABLE)))
def test_only_a_view_shares_memory_with_what_it_was_computed_from(op, example):
    tensors = inputs_of(op, example.shapes)
    if op.name == "where":
        tensors[0] = tensors[0].detach()
    out = call(op, example)(*tensors)
    shared = [t for t in tensors if np.shares_memory(out.detach().numpy(), t.detach().numpy())]
    assert out.numel() == 0 or out._is_view() == bool(shared)
    assert all(out._base is t for t in shared)


# ----------------------------------------------------------------------------------------------------------------------------


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
        assert stop.kind == "zero" and stop.reason.endswith(".") and bool(stop.remedies) != stop.harmless


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
