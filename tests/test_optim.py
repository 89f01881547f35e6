"""Optimisers: the same steps as PyTorch's, on small arrays and on large ones, in one run or taken up again."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tinygrad_rp as tg

CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.3, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.7, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.7, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.6, 0.8), "eps": 1e-3, "weight_decay": 0.2}),
    ("Adam", {"lr": 0.05, "maximize": True}),
    ("Adam", {"lr": 0.05, "betas": (0.3, 0.6), "amsgrad": True}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.2, "decoupled_weight_decay": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "maximize": True}),
    ("AdamW", {"lr": 0.05, "amsgrad": True, "betas": (0.3, 0.6)}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.7, "eps": 1e-3, "weight_decay": 0.2, "maximize": True}),
    ("RMSprop", {"momentum": 0.8}),
    ("RMSprop", {"centered": True, "alpha": 0.6}),
    ("RMSprop", {"centered": True, "alpha": 0.6, "momentum": 0.5, "weight_decay": 0.1}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1, "initial_accumulator_value": 0.3, "eps": 1e-3}),
    ("Adagrad", {"lr": 0.1, "maximize": True}),
]
NAMES = ["SGD", "Adagrad", "Adam", "AdamW", "RMSprop"]
SMALL, LARGE = (3, 2), (150, 151)
STEPS = 50


def shown(value):
    return value if isinstance(value, str) else "-".join(value)


def leaves(house, shape, dtype):
    """Three parameters: of the last one, no loss makes use."""
    start = np.random.default_rng(7).standard_normal(shape).astype(dtype)
    return [house.tensor(a, requires_grad=True) for a in (start, start[0], start[-1])]


def optimizer_of(house, name, options, params):
    w, b, idle = params
    return getattr(house.optim, name)([{"params": [w]}, {"params": [b, idle], "lr": 0.02}], **options)


def run(house, params, optimizer, epochs):
    """Noisy steps towards moving targets; `b` has no gradient in every third."""
    w, b, _ = params
    for i in epochs:
        noise = np.random.default_rng(i).standard_normal(tuple(w.shape)).astype(str(w.dtype).split(".")[-1])
        optimizer.zero_grad()
        loss = ((w - house.tensor(noise)) ** 2).sum()
        if i % 3:
            loss = loss + (b * house.tensor(noise[0])).sum()
        loss.backward()
        optimizer.step()


def numbers(params):
    return [p.detach().numpy().copy() for p in params]


def assert_same(ours, theirs, dtype):
    tolerance = {"float32": 1e-6, "float64": 1e-13}[dtype]  # the parameters are of the order of 1
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=shown)
def test_fifty_steps_are_those_of_pytorch_also_if_the_run_is_taken_up_again_in_the_middle(name, options, dtype):
    torch = pytest.importorskip("torch")
    results = []
    for house in (tg, torch):
        params = leaves(house, SMALL, dtype)
        optimizer = optimizer_of(house, name, options, params)
        run(house, params, optimizer, range(STEPS // 2))
        results.append(numbers(params))
        again = optimizer_of(house, name, {}, params)
        again.load_state_dict(optimizer.state_dict())
        run(house, params, again, range(STEPS // 2, STEPS))
        results.append(numbers(params))
    assert_same(results[0], results[2], dtype)
    assert_same(results[1], results[3], dtype)


@pytest.mark.parametrize(("name", "options"), CASES, ids=shown)
def test_large_parameters_take_the_steps_of_pytorch(name, options):
    torch = pytest.importorskip("torch")
    results = []
    for house in (tg, torch):
        params = leaves(house, LARGE, "float32")
        run(house, params, optimizer_of(house, name, options, params), range(6))
        results.append(numbers(params))
    assert_same(*results, "float32")


@pytest.mark.parametrize("name", NAMES)
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


# ------------------------------------------------------------------------------------------------------------- states


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=shown)
@pytest.mark.parametrize("steps", [0, 4])
def test_a_state_has_the_layout_and_the_numbers_of_pytorchs(name, options, dtype, steps):
    torch = pytest.importorskip("torch")
    states = []
    for house in (tg, torch):
        params = leaves(house, SMALL, dtype)
        optimizer = optimizer_of(house, name, options, params)
        run(house, params, optimizer, range(steps))
        states.append(optimizer.state_dict())
    ours, theirs = states
    assert list(ours) == list(theirs) == ["state", "param_groups"]
    assert sorted(ours["state"]) == sorted(theirs["state"])
    for number, known in theirs["state"].items():
        assert sorted(ours["state"][number]) == sorted(known)
        for key, value in known.items():
            mine = ours["state"][number][key]
            assert isinstance(mine, tg.Tensor) and str(mine.dtype) == str(value.dtype).split(".")[-1]
            assert_same([mine.numpy()], [value.numpy()], dtype)
    for mine, group in zip(ours["param_groups"], theirs["param_groups"], strict=True):
        # what PyTorch has beside, chooses among its implementations
        left_out = {"foreach", "fused", "capturable", "differentiable"}
        assert mine == {key: value for key, value in group.items() if key not in left_out}


@pytest.mark.parametrize(("name", "options"), CASES, ids=shown)
def test_a_run_of_pytorchs_is_taken_up(name, options):
    torch = pytest.importorskip("torch")
    theirs = leaves(torch, SMALL, "float64")
    optimizer = optimizer_of(torch, name, options, theirs)
    run(torch, theirs, optimizer, range(10))
    ours = [tg.tensor(p.detach().numpy(), requires_grad=True) for p in theirs]
    resumed = optimizer_of(tg, name, {}, ours)
    resumed.load_state_dict(optimizer.state_dict())
    run(torch, theirs, optimizer, range(10, 20))
    run(tg, ours, resumed, range(10, 20))
    assert_same(numbers(ours), numbers(theirs), "float64")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))])
@pytest.mark.parametrize(("name", "options"), CASES, ids=shown)
def test_a_run_goes_on_bitwise_from_its_state_which_is_a_copy(name, options, copied):
    params = leaves(tg, SMALL, "float32")
    optimizer = optimizer_of(tg, name, options, params)
    run(tg, params, optimizer, range(5))
    state = copied(optimizer.state_dict())
    others = [tg.tensor(p.detach().numpy(), requires_grad=True) for p in params]
    run(tg, params, optimizer, range(5, 9))
    for _ in range(2):  # what is loaded is copied as well
        resumed_params = [tg.tensor(p.detach().numpy(), requires_grad=True) for p in others]
        resumed = optimizer_of(tg, name, {}, resumed_params)
        resumed.load_state_dict(state)
        run(tg, resumed_params, resumed, range(5, 9))
        for a, b in zip(numbers(params), numbers(resumed_params), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_state_is_brought_to_the_dtype_of_the_parameter():
    p, q = (tg.tensor([1.0, 2.0], dtype=dtype, requires_grad=True) for dtype in (tg.float64, tg.float32))
    optimizer, narrow = tg.optim.Adam([p]), tg.optim.Adam([q])
    p.grad = tg.ones(2, dtype=tg.float64)
    optimizer.step()
    narrow.load_state_dict(optimizer.state_dict())
    assert {key: value.dtype for key, value in narrow.state[q].items()} == dict.fromkeys(
        ("step", "exp_avg", "exp_avg_sq"), tg.float32
    )


def spoilt(change):
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = tg.optim.Adam([w])
    w.grad = tg.ones(2)
    optimizer.step()
    state = optimizer.state_dict()
    change(state)
    return optimizer, state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s["param_groups"].append({"params": []}),
            r"groups of \[1, 0\] parameters, and this .* groups of \[1\]",
        ),
        (lambda s: s["param_groups"][0]["params"].append(1), r"groups of \[2\]"),
        (
            lambda s: s["state"][0].update(exp_avg=tg.ones(3)),
            r"exp_avg of parameter 0 has shape \[3\], and should have \[2\]",
        ),
        (lambda s: s["state"][0].update(step=tg.ones(1)), r"step of parameter 0 has shape \[1\], and should have \[\]"),
        (
            lambda s: s["state"].update({"0": s["state"].pop(0)}),
            r"remembers something of parameter '0', which is in no group",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_nothing_changes(change, message):
    optimizer, state = spoilt(change)
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert {k: v.tolist() for k, v in after["state"][0].items()} == {
        k: v.tolist() for k, v in before["state"][0].items()
    }


def test_options_that_a_state_does_not_name_are_the_default_ones():
    w = tg.tensor([1.0], requires_grad=True)
    optimizer = tg.optim.Adam([{"params": [w], "initial_lr": 3.0, "lr": 0.5}], eps=0.1)
    state = optimizer.state_dict()
    for key in ("lr", "initial_lr", "amsgrad"):
        del state["param_groups"][0][key]
    optimizer.load_state_dict(state)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["amsgrad"], group["eps"]) == (1e-3, False, 0.1)
    assert "initial_lr" not in group and group["params"][0] is w


def test_weights_decay_beside_the_step_of_adamw_also_from_a_state_of_adam_as_in_pytorch():
    torch = pytest.importorskip("torch")
    results = []
    for house in (tg, torch):
        params = leaves(house, SMALL, "float64")
        optimizer = optimizer_of(house, "Adam", {"weight_decay": 0.3}, params)
        run(house, params, optimizer, range(5))
        decoupled = optimizer_of(house, "AdamW", {}, params)
        decoupled.load_state_dict(optimizer.state_dict())
        run(house, params, decoupled, range(5, 10))
        results.append(numbers(params))
    assert_same(*results, "float64")


# --------------------------------------------------------------------------------------------------------------- steps


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


@pytest.mark.parametrize("name", NAMES)
def test_an_infinite_parameter_that_does_not_decay_stays_a_number(name):
    w = tg.tensor([np.inf, 1.0], requires_grad=True)
    w.grad = tg.ones(2)
    getattr(tg.optim, name)([w], weight_decay=0).step()
    assert w[0].item() == np.inf and w[1].item() < 1.0


def test_options_can_be_changed_in_the_midst_of_a_run():
    w = tg.tensor([1.0], dtype=tg.float64, requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=1.0)
    w.grad = tg.ones(1, dtype=tg.float64)
    optimizer.step()
    optimizer.param_groups[0].update(momentum=0.5, lr=0.1)
    optimizer.step()  # the first velocity
    optimizer.step()
    assert w.item() == pytest.approx(1.0 - 1.0 - 0.1 - 0.1 * 1.5, rel=1e-15)


def test_a_step_that_is_refused_leaves_the_state_as_it_was():
    array = np.ones(2, np.float32)
    w = tg.from_numpy(array).requires_grad_()
    optimizer = tg.optim.Adam([w])
    w.grad = tg.ones(2)
    optimizer.step()
    before = {key: value.tolist() for key, value in optimizer.state[w].items()}
    array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        optimizer.step()
    assert {key: value.tolist() for key, value in optimizer.state[w].items()} == before


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_of_a_new_shape_is_not_stepped_and_nothing_changes(name):
    w = tg.ones(1, 3, requires_grad=True)
    optimizer = getattr(tg.optim, name)([w], **({"momentum": 0.9} if name == "SGD" else {}), lr=0.1)
    w.grad = tg.ones(1, 3)
    optimizer.step()
    before = {key: value.tolist() for key, value in optimizer.state[w].items()}
    w.data = tg.ones(2, 3)
    with pytest.raises(
        RuntimeError, match=r"the gradient of a parameter has shape \[1, 3\], and the parameter now has \[2, 3\]"
    ):
        optimizer.step()
    w.grad = None
    w.sum().backward()
    with pytest.raises(RuntimeError, match=r"of a parameter has shape \[1, 3\], and the parameter now has \[2, 3\]"):
        optimizer.step()
    assert w.tolist() == tg.ones(2, 3).tolist()
    assert {key: value.tolist() for key, value in optimizer.state[w].items()} == before


def test_an_optimiser_of_ones_own_has_a_step_as_in_pytorch():
    class Sign(tg.optim.Optimizer):
        def __init__(self, params, lr=0.5):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            with tg.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        p.add_(p.grad.sign(), alpha=-group["lr"])

    w = tg.tensor([1.0, -1.0], requires_grad=True)
    (3 * w**2).sum().backward()
    Sign([w]).step()
    assert w.tolist() == [0.5, -0.5]


def test_an_optimiser_is_declared_by_a_formula_alone():
    class Sign(tg.optim.Optimizer):
        counts_steps = False

        def __init__(self, params, lr=0.5, maximize=False):
            super().__init__(params, {"lr": lr, "maximize": maximize})

        def _step(self, group, count, known):
            def formula(p, g, lr, sign=None):
                return (p - lr * np.sign(g) * (1 if sign is None else sign),)

            return tg.optim.optimizer.Step(formula, {}, {"lr": group["lr"]})

    for maximize, expected in ((False, 0.5), (True, 1.5)):
        w = tg.tensor([1.0], requires_grad=True)
        w.grad = tg.tensor([7.0])
        optimizer = Sign([w], maximize=maximize)
        optimizer.step()
        assert w.item() == expected and optimizer.state_dict()["state"] == {}


# -------------------------------------------------------------------------------------------------------------- misuse


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o, w: o.Adam(w), TypeError, "single tensor"),
        (lambda o, w: o.Adam([]), ValueError, "no parameters"),
        (lambda o, w: o.Adam([w * 2]), ValueError, "MulBackward0"),
        (lambda o, w: o.Adam([{"params": w}, {"params": [w]}]), ValueError, "twice"),
        (lambda o, w: o.Adam([1.0]), TypeError, "float"),
        (lambda o, w: o.Adam([{"params": {w}}]), TypeError, "make it a list"),
        (lambda o, w: o.Adam([w]).add_param_group([w]), TypeError, "must be a dictionary, not list"),
        (lambda o, w: o.Adam([w], lr=-1), ValueError, "lr must be at least 0, and is -1"),
        (lambda o, w: o.Adam([w], lr=float("nan")), ValueError, "lr must be at least 0, and is nan"),
        (lambda o, w: o.Adam([w], lr="fast"), TypeError, "lr must be a number, not str"),
        (lambda o, w: o.Adam([w], betas=(0.9, 1.0)), ValueError, r"betas\[1\] must lie in \[0, 1\), and is 1.0"),
        (lambda o, w: o.Adam([w], betas=(-0.1, 0.9)), ValueError, r"betas\[0\]"),
        (lambda o, w: o.Adam([w], eps=-1e-9), ValueError, "eps"),
        (lambda o, w: o.AdamW([w], weight_decay=-1), ValueError, r"AdamW\(\): weight_decay"),
        (lambda o, w: o.SGD([w], nesterov=True), ValueError, "nesterov needs a momentum"),
        (lambda o, w: o.SGD([w], nesterov=True, momentum=0.9, dampening=0.1), ValueError, "dampening 0.1"),
        (lambda o, w: o.SGD([w], momentum=-1), ValueError, "momentum"),
        (lambda o, w: o.RMSprop([w], alpha=-1), ValueError, "alpha"),
        (lambda o, w: o.RMSprop([w], momentum=-1), ValueError, "momentum"),
        (lambda o, w: o.Adagrad([w], lr_decay=-1), ValueError, "lr_decay"),
        (lambda o, w: o.Adagrad([w], initial_accumulator_value=-1), ValueError, "initial_accumulator_value"),
    ],
)
def test_what_cannot_be_optimised_is_refused_as_by_pytorch(make, error, message):
    torch = pytest.importorskip("torch")
    with pytest.raises(error, match=message):
        make(tg.optim, tg.tensor([1.0], requires_grad=True))
    with pytest.raises(error):
        make(torch.optim, torch.tensor([1.0], requires_grad=True))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda w: tg.optim.Adam([w, w]), ValueError, "twice"),
        (lambda w: tg.optim.Adam({w}), TypeError, "make it a list"),
        (
            lambda w: tg.optim.Adam([w], lr=tg.tensor(0.1)),
            TypeError,
            r"lr must be a number, not Tensor: give its item\(\)",
        ),
        (lambda w: tg.optim.Adam([w], betas=(0.9,)), ValueError, "pair"),
        (lambda w: tg.optim.SGD([{"params": w, "lr": -1}]), ValueError, "lr must be at least 0"),
        (lambda w: tg.optim.Adagrad([{"params": w, "initial_accumulator_value": 1}]), ValueError, "0 for all groups"),
        (lambda w: tg.optim.Optimizer([w], {}).load_state_dict({"state": {}}), KeyError, "param_groups"),
    ],
)
def test_what_pytorch_would_take_no_notice_of_or_does_otherwise_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make(tg.tensor([1.0], requires_grad=True))


def test_a_group_that_is_refused_is_not_added():
    w, v = (tg.tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = tg.optim.SGD([w], lr=0.1)
    with pytest.raises(ValueError, match="weight_decay"):
        optimizer.add_param_group({"params": v, "weight_decay": -1})
    assert len(optimizer.param_groups) == 1
    optimizer.add_param_group({"params": v, "lr": 0.2})
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2]


def test_an_optimiser_prints_as_pytorchs_does():
    torch = pytest.importorskip("torch")
    ours, theirs = (
        repr(house.optim.Adagrad([house.tensor([1.0], requires_grad=True)], lr=0.5)) for house in (tg, torch)
    )
    beside = ("foreach", "fused", "differentiable")
    assert ours.splitlines() == [line for line in theirs.splitlines() if line.split(":")[0].strip() not in beside]
