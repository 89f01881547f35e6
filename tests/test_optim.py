"""Optimisers: the same steps as PyTorch's, on small arrays and on large ones."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rp as tg

OPTIONS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.3, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.7, "nesterov": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.6, 0.8), "eps": 1e-3, "weight_decay": 0.2}),
    ("Adam", {"lr": 0.05, "maximize": True}),
]
SMALL, LARGE = (3, 2), (150, 151)


def trained(torch, name, options, shape, dtype, steps=4):
    start = np.random.default_rng(7).standard_normal(shape).astype(dtype)
    w = torch.tensor(start, requires_grad=True)
    b = torch.tensor(start[0], requires_grad=True)
    optimizer = getattr(torch.optim, name)([{"params": [w]}, {"params": [b], "lr": 0.02}], **options)
    for i in range(steps):
        optimizer.zero_grad()
        ((w * (i + 1) - b) ** 2).mean().backward()
        optimizer.step()
    return w.detach().numpy(), b.detach().numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=lambda v: v if isinstance(v, str) else "-".join(v))
def test_steps_are_those_of_pytorch(name, options, shape, dtype):
    torch = pytest.importorskip("torch")
    ours, theirs = (trained(t, name, options, shape, dtype) for t in (tg, torch))
    # a few roundings a step
    tolerance = {"float32": 2e-6, "float64": 4e-15}[dtype]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_large_parameter_takes_the_steps_of_a_small_one(name):
    start = np.random.default_rng(3).standard_normal(40_000)
    moved = []
    for part in (start, start[:50]):
        w = tg.tensor(part, requires_grad=True)
        optimizer = getattr(tg.optim, name)([w], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (w**3).sum().backward()
            optimizer.step()
        moved.append(w.detach().numpy())
    np.testing.assert_allclose(moved[0][:50], moved[1], rtol=1e-14)
    assert np.all(moved[0] != start)


def test_adam_goes_on_from_its_state():
    def start():
        w = tg.tensor([1.0, -2.0], requires_grad=True)
        return w, tg.optim.Adam([w], lr=0.1)

    def step(w, optimizer):
        optimizer.zero_grad()
        (w**2).sum().backward()
        optimizer.step()

    w, optimizer = start()
    step(w, optimizer)
    other, resumed = start()
    resumed.load_state_dict(optimizer.state_dict())
    with tg.no_grad():
        other.copy_(w)
    step(w, optimizer)
    step(other, resumed)
    assert w.tolist() == other.tolist()
    assert list(optimizer.state_dict()["state"][0]) == ["step", "exp_avg", "exp_avg_sq"]


def test_a_closure_computes_the_loss_anew():
    w = tg.tensor([1.0], requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (w**2).sum()
        loss.backward()
        return loss

    with tg.no_grad():
        assert optimizer.step(closure).item() == 1.0
    assert w.item() == 0.0


def test_a_step_between_forward_and_backward_is_noticed():
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=0.5)
    loss = (w * w).sum()
    w.grad = tg.tensor([1.0, 1.0])
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"SGD\.step\(\)"):
        loss.backward()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda w: tg.optim.Adam(w), TypeError, "single tensor"),
        (lambda w: tg.optim.Adam([]), ValueError, "no parameters"),
        (lambda w: tg.optim.Adam([w * 2]), ValueError, "MulBackward0"),
        (lambda w: tg.optim.Adam([w, w]), ValueError, "twice"),
        (lambda w: tg.optim.Adam([1.0]), TypeError, "float"),
        (lambda w: tg.optim.Adam([w], lr=-1), ValueError, "lr must be at least 0, and is -1"),
        (lambda w: tg.optim.Adam([w], betas=(0.9, 1.0)), ValueError, r"betas\[1\]"),
        (lambda w: tg.optim.SGD([w], nesterov=True), ValueError, "nesterov"),
    ],
)
def test_what_cannot_be_optimised_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make(tg.tensor([1.0], requires_grad=True))
