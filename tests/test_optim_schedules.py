"""Schedules of learning rates: PyTorch's values, to the last digit, in one run or taken up again."""

from __future__ import annotations

import copy
import functools
import math
import pickle
import warnings

import pytest

import tinygrad_rp as tg

EPOCHS = 36


class Shrinking:
    """A function of the epoch that has a state."""

    def __init__(self):
        self.rate = 0.5

    def __call__(self, epoch):
        return self.rate ** (epoch / 10)


# each makes a schedule of the module's for an optimiser
CASES = {
    "step": lambda s, o: s.StepLR(o, 5),
    "step, other factor": lambda s, o: s.StepLR(o, step_size=3, gamma=0.7),
    "milestones": lambda s, o: s.MultiStepLR(o, [4, 9, 9, 20], gamma=0.5),
    "a milestone at the start": lambda s, o: s.MultiStepLR(o, (0, 3)),
    "constant": lambda s, o: s.ConstantLR(o),
    "constant, other factor": lambda s, o: s.ConstantLR(o, factor=0.2, total_iters=7),
    "linear": lambda s, o: s.LinearLR(o),
    "linear, falling": lambda s, o: s.LinearLR(o, start_factor=0.9, end_factor=0.1, total_iters=11),
    "linear, to 0": lambda s, o: s.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=6),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.83),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 7),
    "cosine, other least rate": lambda s, o: s.CosineAnnealingLR(o, T_max=10, eta_min=0.003),
    "cosine, of one epoch": lambda s, o: s.CosineAnnealingLR(o, T_max=1, eta_min=0.003),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 6),
    "restarts, longer and longer": lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2, eta_min=0.001),
    "one cycle": lambda s, o: s.OneCycleLR(o, 0.4, total_steps=EPOCHS),
    "one cycle, by epochs, linear": lambda s, o: s.OneCycleLR(
        o, [0.4, 0.2], epochs=9, steps_per_epoch=5, anneal_strategy="linear", pct_start=0.25, div_factor=10
    ),
    "one cycle, three phases": lambda s, o: s.OneCycleLR(
        o, 0.4, total_steps=40, three_phase=True, base_momentum=[0.7, 0.6], max_momentum=0.9, final_div_factor=100.0
    ),
    "one cycle, no momentum": lambda s, o: s.OneCycleLR(o, 0.4, total_steps=50, cycle_momentum=False),
    "one cycle, no rise": lambda s, o: s.OneCycleLR(o, 0.4, total_steps=50, pct_start=0.0),
    "a function": lambda s, o: s.LambdaLR(o, lambda epoch: 0.95**epoch),
    "functions": lambda s, o: s.LambdaLR(o, [lambda epoch: 1 / (1 + epoch), Shrinking()]),
    "a factor by a function": lambda s, o: s.MultiplicativeLR(o, lambda epoch: 1 - 1 / (2 + epoch)),
    "factors by functions": lambda s, o: s.MultiplicativeLR(o, [lambda epoch: 0.9, Shrinking()]),
    "chained": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 3), s.ExponentialLR(o, 0.9)]),
    "chained with cosine": lambda s, o: s.ChainedScheduler(
        [s.LinearLR(o, 0.5, 1.0, 4), s.CosineAnnealingLR(o, 20), s.StepLR(o, 8)], o
    ),
    "in a row: warm-up, then cosine": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=6), s.CosineAnnealingLR(o, 20, 0.002)], milestones=[6]
    ),
    "three in a row": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 4), s.ExponentialLR(o, 0.9), s.MultiStepLR(o, [2, 5])], milestones=[4, 14]
    ),
    "restarts in a row": lambda s, o: s.SequentialLR(
        o, [s.CosineAnnealingWarmRestarts(o, 3), s.CosineAnnealingWarmRestarts(o, 4, 2)], milestones=[8]
    ),
    "functions in a row": lambda s, o: s.SequentialLR(
        o,
        [s.LambdaLR(o, lambda e: 1 / (1 + e)), s.MultiplicativeLR(o, lambda e: 0.9), s.StepLR(o, 3), s.LinearLR(o)],
        milestones=[5, 12, 20],
    ),
    "a milestone at the start of a row": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 4), s.ExponentialLR(o, 0.9)], milestones=[0]
    ),
    "a row in a chain": lambda s, o: s.ChainedScheduler(
        [s.SequentialLR(o, [s.ConstantLR(o, 0.5, 4), s.StepLR(o, 5)], milestones=[7]), s.ExponentialLR(o, 0.98)]
    ),
}


def optimizer_of(house, name="SGD"):
    params = [house.tensor([1.0], requires_grad=True) for _ in range(2)]
    options = {"momentum": 0.5} if name == "SGD" else {}
    return getattr(house.optim, name)([{"params": [params[0]]}, {"params": [params[1]], "lr": 0.03}], lr=0.1, **options)


def settings(optimizer):
    keys = ("lr", "initial_lr", "momentum", "betas", "max_lr", "min_lr")
    return [{key: group[key] for key in keys if key in group} for group in optimizer.param_groups]


def run(optimizer, scheduler, epochs):
    """After each epoch, all that a schedule sets."""
    seen = []
    for _ in range(epochs):
        optimizer.step()
        scheduler.step()
        seen.append((scheduler.get_last_lr(), scheduler.last_epoch if hasattr(scheduler, "last_epoch") else None))
        seen.append(settings(optimizer))
    return seen


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("error")
def test_rates_are_those_of_pytorch_to_the_last_digit(case, name):
    torch = pytest.importorskip("torch")
    found = []
    for house in (tg, torch):
        optimizer = optimizer_of(house, name)
        scheduler = CASES[case](house.optim.lr_scheduler, optimizer)
        found.append([(scheduler.get_last_lr(), settings(optimizer)), *run(optimizer, scheduler, EPOCHS)])
    assert found[0] == found[1]
    assert any(rates != found[0][0][1] for rates in found[0][2::2])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))])
@pytest.mark.parametrize("case", CASES)
def test_a_run_goes_on_from_its_states(case, copied):
    optimizer = optimizer_of(tg)
    scheduler = CASES[case](tg.optim.lr_scheduler, optimizer)
    run(optimizer, scheduler, 13)
    states = copied((optimizer.state_dict(), scheduler.state_dict()))
    expected = run(optimizer, scheduler, EPOCHS - 13)
    for _ in range(2):  # what is loaded is copied
        optimizer = optimizer_of(tg)
        scheduler = CASES[case](tg.optim.lr_scheduler, optimizer)
        optimizer.load_state_dict(states[0])
        scheduler.load_state_dict(states[1])
        assert run(optimizer, scheduler, EPOCHS - 13) == expected


class FromTheMiddle:
    """The schedules of a module, which begin after an epoch."""

    def __init__(self, module, last_epoch):
        self.module, self.last_epoch = module, last_epoch

    def __getattr__(self, name):
        return functools.partial(getattr(self.module, name), last_epoch=self.last_epoch)


@pytest.mark.parametrize("case", [case for case in CASES if "chain" not in case and "row" not in case])
@pytest.mark.parametrize("last", [3, 4, 7])
def test_a_schedule_that_begins_in_the_middle_is_that_of_pytorch(case, last):
    torch = pytest.importorskip("torch")
    found = []
    for house in (tg, torch):
        optimizer, module = optimizer_of(house), house.optim.lr_scheduler
        run(optimizer, CASES[case](module, optimizer), last)
        scheduler = CASES[case](FromTheMiddle(module, last), optimizer)
        assert scheduler.last_epoch == last + 1
        found.append([settings(optimizer), *run(optimizer, scheduler, 12)])
    assert found[0] == found[1]


PLATEAUS = [
    {"patience": 2},
    {"patience": 1, "factor": 0.5, "threshold": 0.3},
    {"patience": 0, "factor": 0.5, "threshold": 0.05, "threshold_mode": "abs", "cooldown": 2},
    {"mode": "max", "patience": 1, "threshold": 0.1},
    {"mode": "max", "patience": 1, "threshold": 0.1, "threshold_mode": "abs", "min_lr": [1e-3, 5e-3]},
    {"patience": 0, "factor": 0.9, "eps": 5e-3},
    {"patience": 0, "min_lr": 1e-3},
]
MEASURES = [3.0, 2.0, 1.9, 1.95, float("nan"), 1.9, 1.2, 1.19, 1.5, 1.4, 1.3, 1.25, 0.7, 0.71, 0.72, 0.73, 0.4, 2.0] * 2


@pytest.mark.parametrize("options", PLATEAUS)
def test_rates_fall_on_a_plateau_as_in_pytorch_also_from_a_state(options):
    torch = pytest.importorskip("torch")
    found = []
    for house in (tg, torch):
        optimizer = optimizer_of(house)
        scheduler = house.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        seen = [scheduler.get_last_lr()]
        for epoch, measure in enumerate(MEASURES):
            if epoch == 11:
                state = scheduler.state_dict()
                scheduler = house.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
                scheduler.load_state_dict(state)
            scheduler.step(house.tensor(measure) if epoch % 2 else measure)
            seen.append((scheduler.get_last_lr(), scheduler.num_bad_epochs, scheduler.in_cooldown, scheduler.best))
        found.append(seen)
    assert found[0] == found[1]
    assert found[0][-1][0] != found[0][0]


@pytest.mark.parametrize("options", [{"T_0": 5}, {"T_0": 3, "T_mult": 2}, {"T_0": 2, "T_mult": 3, "eta_min": 0.01}])
def test_restarts_can_be_stepped_within_an_epoch(options):
    torch = pytest.importorskip("torch")
    found = []
    for house in (tg, torch):
        optimizer = optimizer_of(house)
        scheduler = house.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, **options)
        optimizer.step()
        seen = []
        for batch in range(60):
            scheduler.step(batch / 4)
            seen.append((scheduler.get_last_lr(), scheduler.last_epoch))
        for _ in range(9):
            scheduler.step()
            seen.append((scheduler.get_last_lr(), scheduler.last_epoch))
        found.append(seen)
    assert found[0] == found[1]


def test_a_state_of_pytorchs_is_taken_up():
    torch = pytest.importorskip("torch")
    found = []
    theirs = optimizer_of(torch)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 10)
    run(theirs, scheduler, 5)
    ours = optimizer_of(tg)
    resumed = tg.optim.lr_scheduler.CosineAnnealingLR(ours, 3)
    ours.load_state_dict(theirs.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    found = run(theirs, scheduler, 9), run(ours, resumed, 9)
    assert found[0] == found[1]


def test_a_schedule_of_ones_own_has_a_get_lr_as_in_pytorch():
    torch = pytest.importorskip("torch")
    found = []
    for house in (tg, torch):

        class Root(house.optim.lr_scheduler.LRScheduler):
            def get_lr(self):
                return [base / (1 + self.last_epoch) ** 0.5 for base in self.base_lrs]

        optimizer = optimizer_of(house)
        found.append(run(optimizer, Root(optimizer), 5))
    assert found[0] == found[1]


def test_rates_that_were_handed_out_are_a_copy():
    scheduler = tg.optim.lr_scheduler.StepLR(optimizer_of(tg), 2)
    scheduler.get_last_lr()[0] = 7.0
    assert scheduler.get_last_lr() == [0.1, 0.03]


# --------------------------------------------------------------------------------------------------------------- misuse

s = tg.optim.lr_scheduler


@pytest.mark.parametrize("case", [case for case in CASES if "row" not in case and "chain" not in case])
def test_a_schedule_that_steps_before_its_optimiser_warns_at_the_users_line(case):
    scheduler = CASES[case](s, optimizer_of(tg))
    with pytest.warns(UserWarning, match=r"step\(\) was called before optimizer\.step\(\)") as caught:
        scheduler.step()
    assert [w.filename for w in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()


def test_asking_for_a_step_without_taking_it_warns():
    scheduler = s.ExponentialLR(optimizer_of(tg), 0.5)
    with pytest.warns(UserWarning, match=r"use get_last_lr\(\)"):
        assert scheduler.get_lr() == [0.05, 0.015]
    assert scheduler.get_last_lr() == [0.1, 0.03]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda s, o: s.StepLR([1.0], 5), TypeError, "optimizer must be an Optimizer, not list"),
        (
            lambda s, o: s.LambdaLR(o, [lambda e: 1.0]),
            ValueError,
            "lr_lambda must have one value for each of the 2 groups",
        ),
        (lambda s, o: s.MultiplicativeLR(o, 0.9), TypeError, "lr_lambda must be a function of the epoch, not float"),
        (lambda s, o: s.ConstantLR(o, factor=1.5), ValueError, "factor must be between 0 and 1, and is 1.5"),
        (lambda s, o: s.LinearLR(o, start_factor=0), ValueError, "start_factor must be above 0 and at most 1"),
        (lambda s, o: s.LinearLR(o, end_factor=-1), ValueError, "end_factor"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 0), ValueError, "T_0 must be a positive integer, and is 0"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, 1.5), ValueError, "T_mult"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, eta_min="0"), ValueError, "eta_min"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 2).step(-1), ValueError, "epoch must be at least 0"),
        (lambda s, o: s.OneCycleLR(o, 0.1), ValueError, "give either total_steps, or epochs and steps_per_epoch"),
        (lambda s, o: s.OneCycleLR(o, 0.1, epochs=3), ValueError, "steps_per_epoch"),
        (
            lambda s, o: s.OneCycleLR(o, 0.1, total_steps=0),
            ValueError,
            "total_steps must be a positive integer, and is 0",
        ),
        (lambda s, o: s.OneCycleLR(o, 0.1, epochs=2.5, steps_per_epoch=3), ValueError, "epochs"),
        (lambda s, o: s.OneCycleLR(o, 0.1, 9, pct_start=2.0), ValueError, "pct_start must be a float between 0 and 1"),
        (lambda s, o: s.OneCycleLR(o, 0.1, 9, anneal_strategy="log"), ValueError, "anneal_strategy"),
        (lambda s, o: s.OneCycleLR(o, [0.1], 9), ValueError, "max_lr must have one value for each of the 2 groups"),
        (lambda s, o: s.OneCycleLR(o, 0.1, 9, max_momentum=[0.9]), ValueError, "max_momentum"),
        (lambda s, o: s.SequentialLR(o, [], []), ValueError, "at least one"),
        (lambda s, o: s.SequentialLR(o, [s.StepLR(o, 2)], [3]), ValueError, "one schedule more than milestones"),
        (lambda s, o: s.SequentialLR(o, [0.5], []), TypeError, r"schedulers\[0\] must be a schedule, not float"),
        (lambda s, o: s.SequentialLR(o, [s.ReduceLROnPlateau(o)], []), ValueError, "needs metrics"),
        (lambda s, o: s.ChainedScheduler([]), ValueError, "at least one"),
        (lambda s, o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]), ValueError, "ReduceLROnPlateau"),
        (lambda s, o: s.ChainedScheduler([s.StepLR(o, 2)], copy.deepcopy(o)), ValueError, "another optimiser"),
        (lambda s, o: s.ReduceLROnPlateau(o, mode="up"), ValueError, "mode must be 'min' or 'max', and is 'up'"),
        (lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="up"), ValueError, "threshold_mode"),
        (lambda s, o: s.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor must be below 1, and is 1.0"),
        (lambda s, o: s.ReduceLROnPlateau(o, min_lr=[0.1]), ValueError, "min_lr"),
        (lambda s, o: s.ReduceLROnPlateau([0.1]), TypeError, "optimizer must be an Optimizer"),
        (lambda s, o: s.StepLR(o, 3, last_epoch=2), KeyError, "initial_lr"),
    ],
)
def test_misuse_is_refused_as_by_pytorch_and_leaves_the_rates_as_they_were(make, error, message):
    torch = pytest.importorskip("torch")
    optimizer = optimizer_of(tg)
    with pytest.raises(error, match=message):
        make(s, optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.03]
    assert not any("max_lr" in group for group in optimizer.param_groups)
    with pytest.raises(error):
        make(torch.optim.lr_scheduler, optimizer_of(torch))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: s.StepLR(o, 0), ValueError, "step_size must be positive, and is 0"),
        (lambda o: s.CosineAnnealingLR(o, 0), ValueError, "T_max must be positive"),
        (lambda o: s.OneCycleLR(o, 0.1, 10, pct_start=0.1), ValueError, "pct_start · total_steps must not be 1"),
        (lambda o: s.LambdaLR(o, 0.5), TypeError, "lr_lambda must be a function"),
        (
            lambda o: s.SequentialLR(o, [s.ChainedScheduler([s.StepLR(o, 2)])], []),
            ValueError,
            r"schedulers\[0\] is a ChainedScheduler, which cannot be restarted",
        ),
        (
            lambda o: s.OneCycleLR(tg.optim.Adagrad([tg.ones(1)]), 0.1, 9),
            ValueError,
            "Adagrad has neither momentum nor betas",
        ),
    ],
)
def test_what_pytorch_would_fail_at_later_is_refused_at_once(make, error, message):
    with pytest.raises(error, match=message):
        make(optimizer_of(tg))


def test_a_cycle_that_is_over_is_not_stepped_on_and_nothing_changes():
    optimizer = optimizer_of(tg)
    scheduler = s.OneCycleLR(optimizer, 0.4, total_steps=9)
    run(optimizer, scheduler, 9)
    before = (scheduler.state_dict(), settings(optimizer))
    with pytest.raises(ValueError, match="the cycle of 9 steps is over, and this is step 10"):
        scheduler.step()
    assert (scheduler.state_dict(), settings(optimizer)) == before


def test_a_function_that_raises_changes_nothing():
    optimizer = optimizer_of(tg)
    scheduler = s.LambdaLR(optimizer, lambda epoch: 1 / (3 - epoch))
    run(optimizer, scheduler, 2)
    before = (scheduler.state_dict(), settings(optimizer))
    with pytest.raises(ZeroDivisionError):
        scheduler.step()
    assert (scheduler.state_dict(), settings(optimizer)) == before


def test_a_factor_of_zero_cannot_be_taken_back():
    optimizer = optimizer_of(tg)
    scheduler = s.ConstantLR(optimizer, factor=0, total_iters=2)
    run(optimizer, scheduler, 1)
    with pytest.raises(ZeroDivisionError, match="factor is 0"):
        scheduler.step()


def test_groups_that_were_added_later_are_refused_by_schedules_that_need_their_first_rate():
    optimizer = optimizer_of(tg)
    scheduler, plateau = s.LambdaLR(optimizer, lambda epoch: 0.5), s.ReduceLROnPlateau(optimizer, min_lr=[0.1, 0.1])
    optimizer.add_param_group({"params": tg.ones(1)})
    optimizer.step()
    with pytest.raises(ValueError, match="the optimiser has 3 groups, and had 2"):
        scheduler.step()
    with pytest.raises(RuntimeError, match="3 groups, and min_lr was given for 2"):
        plateau.step(1.0)


@pytest.mark.parametrize(
    ("make", "other", "message"),
    [
        (lambda o: s.StepLR(o, 2), lambda o: s.CosineAnnealingLR(o, 2), "no step_size, gamma"),
        (
            lambda o: s.ChainedScheduler([s.StepLR(o, 2), s.StepLR(o, 3)]),
            lambda o: s.ChainedScheduler([s.StepLR(o, 4), s.ExponentialLR(o, 0.9)]),
            "StepLR.load_state_dict.*no step_size",
        ),
        (
            lambda o: s.ChainedScheduler([s.StepLR(o, 2), s.StepLR(o, 3)]),
            lambda o: s.ChainedScheduler([s.StepLR(o, 4)]),
            "of 1 schedules, and here are 2",
        ),
    ],
)
def test_the_state_of_another_kind_of_schedule_is_refused_and_nothing_changes(make, other, message):
    scheduler = make(optimizer_of(tg))
    before = scheduler.state_dict()
    with pytest.raises(ValueError, match=message):
        scheduler.load_state_dict(other(optimizer_of(tg)).state_dict())
    assert scheduler.state_dict() == before


@pytest.mark.parametrize("step", [lambda schedule: schedule.step(), lambda schedule: schedule.step(2.5)])
def test_warm_restarts_that_cannot_go_on_stay_where_they_are(step):
    optimizer = optimizer_of(tg)
    schedule = s.CosineAnnealingWarmRestarts(optimizer, 3)
    before = schedule.state_dict()
    with pytest.raises(ValueError, match="epoch must be at least 0"):
        schedule.step(float("nan"))
    optimizer.add_param_group({"params": tg.ones(1)})
    optimizer.step()
    with pytest.raises(ValueError, match="the optimiser has 3 groups, and had 2"):
        step(schedule)
    assert schedule.state_dict() == before


@pytest.mark.parametrize("case", CASES)
def test_the_state_of_a_schedule_can_be_saved(case, tmp_path):
    schedule = CASES[case](s, optimizer_of(tg))
    tg.save(schedule.state_dict(), tmp_path / "state")
    state = tg.load(tmp_path / "state")
    assert state == schedule.state_dict()
    schedule.load_state_dict(state)


def test_a_builtin_function_of_the_epoch_has_no_state():
    schedule = s.LambdaLR(optimizer_of(tg), math.cos)
    assert schedule.state_dict()["lr_lambdas"] == [None, None]
    schedule.load_state_dict(schedule.state_dict())
