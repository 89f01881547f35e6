"""Schedules of learning rates: they set ``lr`` in the groups of an optimiser, step by step, to PyTorch's values.

After each epoch, or whatever is counted, call ``optimizer.step()`` and then ``scheduler.step()``. Most schedules multiply the
present rate by a factor, so that several of them can be chained. Such a one is declared by its factor alone::

    class ExponentialLR(_ByFactor):
        def __init__(self, optimizer, gamma, last_epoch=-1):
            self.gamma = gamma
            super().__init__(optimizer, last_epoch)

        def _factor(self, initial):
            return 1.0 if initial else self.gamma

A schedule of your own subclasses `LRScheduler` and has a ``get_lr()``.
"""

from __future__ import annotations

import copy
import math
import types
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Literal

from tinygrad_rp.optim.optimizer import Optimizer

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


class LRScheduler:
    """A schedule of the learning rates of an optimiser's groups. Making one sets the rates of epoch 0.

    Args:
        optimizer: whose rates they are. Its present rates are the initial ones, ``initial_lr`` in its groups, if none are there.
        last_epoch: the last epoch of a run that is taken up again; −1 for a new one.

    Raises:
        TypeError: ``optimizer`` is none.
        KeyError: a run is taken up again, and a group has no ``initial_lr``.
    """

    _apart: ClassVar[tuple[str, ...]] = ("optimizer",)
    """Attributes that are no part of the state."""
    _last_lr: list[float]

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = _checked(type(self).__name__, optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__}(): last_epoch is {last_epoch}, and param_groups[{i}] has no 'initial_lr': load the "
                    "state of the optimiser before, or leave last_epoch out for a new run"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._begin()

    def get_last_lr(self) -> list[float]:
        """The present learning rates, one a group."""
        return list(self._last_lr)

    def get_lr(self) -> list[float]:
        """What the next rates are computed by; to be written by a subclass. For the present rates, ask `get_last_lr`."""
        warnings.warn(
            f"{type(self).__name__}.get_lr() computes a step without taking it: use get_last_lr() for the present rates",
            UserWarning,
            stacklevel=2,
        )
        return self._rates(False)

    def step(self) -> None:
        """Go to the next epoch, and set its rates. If computing them raises, nothing has changed."""
        self._warn_of_order()
        self._advance(False)
        self._step_count += 1

    def _warn_of_order(self) -> None:
        optimizer = self.optimizer
        counted = type(optimizer).step is Optimizer.step  # a step of the user's own is not noticed
        if self._step_count == 1 and counted and not optimizer._has_stepped:
            warnings.warn(
                f"{type(self).__name__}.step() was called before optimizer.step(), so that the first rate is skipped: call "
                "optimizer.step() first",
                UserWarning,
                stacklevel=3,
            )

    def _begin(self) -> None:
        """Set the rates of the first epoch of this run."""
        self._step_count = 0
        self._advance(True)
        self._step_count = 1

    def _advance(self, initial: bool) -> None:
        """Go to the next epoch; ``initial``, to the first of this run, whose rates are already in the groups."""
        self._go(self.last_epoch + 1, initial)

    def _go(self, epoch: int, initial: bool) -> None:
        before, self.last_epoch = self.last_epoch, epoch
        try:
            own = type(self).get_lr is not LRScheduler.get_lr
            rates = self.get_lr() if own else self._rates(initial)
        except BaseException:
            self.last_epoch = before
            raise
        self._set(rates)

    def _restart(self) -> None:
        """Begin, at epoch 0, after another schedule."""
        self._go(0, False)

    def _rates(self, initial: bool) -> list[float]:
        """The rates of ``last_epoch``."""
        raise NotImplementedError(f"{type(self).__name__} needs a method get_lr()")

    def _set(self, rates: Sequence[float]) -> None:
        """Set the rates, and whatever else is scheduled."""
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = list(rates)

    def _bases(self) -> list[float]:
        """The initial rates."""
        if len(self.base_lrs) != len(self.optimizer.param_groups):
            raise ValueError(
                f"{type(self).__name__}.step(): the optimiser has {len(self.optimizer.param_groups)} groups, and had "
                f"{len(self.base_lrs)} when the schedule was made: make schedules after add_param_group()"
            )
        return self.base_lrs

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that the schedule knows, but for the optimiser."""
        return {key: copy.deepcopy(value) for key, value in vars(self).items() if key not in self._apart}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` returned. The rates themselves are the optimiser's, whose state is to be loaded as well.

        Raises:
            ValueError: it is that of another kind of schedule; nothing has changed then.
        """
        self._check_state(state_dict)
        self._take_state(state_dict)

    def _own(self) -> list[str]:
        return [key for key in vars(self) if key not in self._apart]

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        missing = [key for key in self._own() if key not in state_dict]
        if missing:
            raise ValueError(
                f"{type(self).__name__}.load_state_dict(): state_dict has no {', '.join(missing)}: it is that of another schedule"
            )

    def _take_state(self, state_dict: dict[str, Any]) -> None:
        vars(self).update({key: copy.deepcopy(state_dict[key]) for key in self._own()})


def _checked(name: str, optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{name}(): optimizer must be an Optimizer, not {type(optimizer).__name__}")
    return optimizer


def _for_each_group(name: str, option: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """One value a group: those given, or the one for all."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(
            f"{name}(): {option} must have one value for each of the {groups} groups, and has {len(value)}"
        )
    return list(value)


def _need_as_many(scheduler: LRScheduler, what: str, own: Sequence[Any], kept: Sequence[Any]) -> None:
    if len(kept) != len(own):
        raise ValueError(
            f"{type(scheduler).__name__}.load_state_dict(): state_dict is of {len(kept)} {what}, and here are {len(own)}"
        )


def _need(name: str, option: str, value: float, text: str, fits: bool) -> None:
    if not fits:
        raise ValueError(f"{name}(): {option} must be {text}, and is {value!r}")


# ------------------------------------------------------------------------------------------------ by a factor a step


class _ByFactor(LRScheduler):
    """A schedule that multiplies the rates of all groups by the same factor in each step."""

    def _factor(self, initial: bool) -> float:
        """From the rate of the epoch before to that of ``last_epoch``; ``initial``: from the initial rate, in a new run."""
        raise NotImplementedError

    def _rates(self, initial: bool) -> list[float]:
        factor = self._factor(initial)
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def _restart(self) -> None:
        self.last_epoch = 0
        factor = self._factor(True)
        self._set([base * factor for base in self._bases()])


class StepLR(_ByFactor):
    """The rate times ``gamma``, every ``step_size`` epochs.

    Args:
        optimizer: whose rates they are.
        step_size: in epochs.
        gamma: the factor.
        last_epoch: as for `LRScheduler`.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        _need("StepLR", "step_size", step_size, "positive", step_size > 0)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, initial: bool) -> float:
        return 1.0 if self.last_epoch == 0 or self.last_epoch % self.step_size else self.gamma


class MultiStepLR(_ByFactor):
    """The rate times ``gamma``, at each of some epochs.

    Args:
        optimizer: whose rates they are.
        milestones: the epochs; at one that is there twice, the factor counts twice.
        gamma: the factor.
        last_epoch: as for `LRScheduler`.
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, initial: bool) -> float:
        times = self.milestones[self.last_epoch]
        return self.gamma**times if times else 1.0


class ConstantLR(_ByFactor):
    """The rate times ``factor`` for some epochs, and then the rate.

    Args:
        optimizer: whose rates they are.
        factor: between 0 and 1.
        total_iters: how many epochs.
        last_epoch: as for `LRScheduler`.

    Raises:
        ValueError: ``factor`` lies elsewhere.
        ZeroDivisionError: by `step`, where a ``factor`` of 0 is to be taken back.
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        _need("ConstantLR", "factor", factor, "between 0 and 1", 0 <= factor <= 1)
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, initial: bool) -> float:
        if self.last_epoch == 0:
            return self.factor
        if self.last_epoch != self.total_iters:
            return 1.0
        if self.factor == 0:
            raise ZeroDivisionError(
                f"ConstantLR.step(): factor is 0, which cannot be taken back after total_iters, {self.total_iters}, epochs"
            )
        return 1.0 / self.factor


class LinearLR(_ByFactor):
    """The rate times a factor that goes from one number to another in equal steps.

    Args:
        optimizer: whose rates they are.
        start_factor: that of epoch 0, above 0 and at most 1.
        end_factor: that of epoch ``total_iters`` and after, between 0 and 1.
        total_iters: how many epochs it takes.
        last_epoch: as for `LRScheduler`.

    Raises:
        ValueError: a factor lies elsewhere.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        _need("LinearLR", "start_factor", start_factor, "above 0 and at most 1", 0 < start_factor <= 1)
        _need("LinearLR", "end_factor", end_factor, "between 0 and 1", 0 <= end_factor <= 1)
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, initial: bool) -> float:
        if self.last_epoch == 0:
            return self.start_factor
        if initial or self.last_epoch > self.total_iters:
            return 1.0
        rise = self.end_factor - self.start_factor
        return 1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)


class ExponentialLR(_ByFactor):
    """The rate times ``gamma``, every epoch.

    Args:
        optimizer: whose rates they are.
        gamma: the factor.
        last_epoch: as for `LRScheduler`.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, initial: bool) -> float:
        return 1.0 if initial else self.gamma


# ------------------------------------------------------------------------------------------------- by functions of the user's


class _ByFunctions(LRScheduler):
    _apart: ClassVar[tuple[str, ...]] = ("optimizer", "lr_lambdas")

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        name = type(self).__name__
        functions = _for_each_group(name, "lr_lambda", lr_lambda, _checked(name, optimizer))
        for function in functions:
            if not callable(function):
                raise TypeError(f"{name}(): lr_lambda must be a function of the epoch, not {type(function).__name__}")
        self.lr_lambdas = functions
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """As `LRScheduler.state_dict`; of a callable object its attributes, and of a function nothing."""
        kept = [
            None if isinstance(function, types.FunctionType) else copy.deepcopy(getattr(function, "__dict__", None))
            for function in self.lr_lambdas
        ]
        return {**super().state_dict(), "lr_lambdas": kept}

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        super()._check_state(state_dict)
        _need_as_many(self, "functions", self.lr_lambdas, state_dict.get("lr_lambdas", ()))

    def _take_state(self, state_dict: dict[str, Any]) -> None:
        super()._take_state(state_dict)
        for function, kept in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if kept is not None:
                vars(function).update(copy.deepcopy(kept))


class LambdaLR(_ByFunctions):
    """The initial rates, times a function of the epoch.

    Args:
        optimizer: whose rates they are.
        lr_lambda: a function of the epoch for all groups, or a list with one for each.
        last_epoch: as for `LRScheduler`.

    Raises:
        TypeError: one is no function.
        ValueError: there are not as many as groups.
    """

    def _rates(self, initial: bool) -> list[float]:
        return [base * f(self.last_epoch) for base, f in zip(self._bases(), self.lr_lambdas, strict=True)]


class MultiplicativeLR(_ByFunctions):
    """The rates of the epoch before, times a function of the epoch.

    Args:
        optimizer: whose rates they are.
        lr_lambda: a function of the epoch for all groups, or a list with one for each.
        last_epoch: as for `LRScheduler`.

    Raises:
        TypeError: one is no function.
        ValueError: there are not as many as groups.
    """

    def _rates(self, initial: bool) -> list[float]:
        groups = self.optimizer.param_groups
        if initial:
            return [group["lr"] for group in groups]
        return [group["lr"] * f(self.last_epoch) for group, f in zip(groups, self.lr_lambdas, strict=True)]


# ---------------------------------------------------------------------------------------------------------------- cosines


class CosineAnnealingLR(LRScheduler):
    """The rate down to ``eta_min`` along half a cosine, and up again along the other half (Loshchilov and Hutter, "SGDR:
    stochastic gradient descent with warm restarts", 2017, equation 5, without restarts).

    Args:
        optimizer: whose rates they are.
        T_max: half of the period, in epochs.
        eta_min: the least rate.
        last_epoch: as for `LRScheduler`.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        _need("CosineAnnealingLR", "T_max", T_max, "positive", T_max > 0)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def _rates(self, initial: bool) -> list[float]:
        present, low, epoch = [group["lr"] for group in self.optimizer.param_groups], self.eta_min, self.last_epoch
        if initial:
            return present
        if (epoch - 1 - self.T_max) % (
            2 * self.T_max
        ) == 0:  # the rate was the least one, of which no factor leads away
            rise = 1 - math.cos(math.pi / self.T_max)
            return [lr + (base - low) * rise / 2 for base, lr in zip(self._bases(), present, strict=True)]
        now, before = (1 + math.cos(math.pi * t / self.T_max) for t in (epoch, epoch - 1))
        return [now / before * (lr - low) + low for lr in present]

    def _restart(self) -> None:
        self.last_epoch = 0
        self._set([self.eta_min + (base - self.eta_min) for base in self._bases()])


class CosineAnnealingWarmRestarts(LRScheduler):
    """The rate down to ``eta_min`` along half a cosine, again and again (Loshchilov and Hutter, "SGDR: stochastic gradient
    descent with warm restarts", 2017, equation 5).

    Args:
        optimizer: whose rates they are.
        T_0: how many epochs until the first restart.
        T_mult: how many times longer each time is than the one before.
        eta_min: the least rate.
        last_epoch: as for `LRScheduler`.

    Raises:
        ValueError: ``T_0`` or ``T_mult`` is no positive integer, or ``eta_min`` no number.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        name = "CosineAnnealingWarmRestarts"
        _need(name, "T_0", T_0, "a positive integer", isinstance(T_0, int) and T_0 > 0)
        _need(name, "T_mult", T_mult, "a positive integer", isinstance(T_mult, int) and T_mult > 0)
        _need(name, "eta_min", eta_min, "a number", isinstance(eta_min, int | float))
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        self.T_i: float = T_0
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: float | None = None) -> None:
        """Go to the next epoch, or to any, as ``epoch + i / batches`` in the midst of one.

        Raises:
            ValueError: ``epoch`` is negative, or not finite.
        """
        if epoch is None:
            self._warn_of_order()
            self._advance(False)
            self._step_count += 1
            return
        if not 0 <= epoch < math.inf:
            raise ValueError(f"CosineAnnealingWarmRestarts.step(): epoch must be at least 0, and is {epoch}")
        self._bases()  # raises, if it must, before anything changes
        self._place(epoch)
        self._go(math.floor(epoch), False)

    def _advance(self, initial: bool) -> None:
        self._bases()
        if self.last_epoch < 0:
            self._place(0)
        else:
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        super()._advance(initial)

    def _place(self, epoch: float) -> None:
        """Say between which restarts an epoch lies."""
        if epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            n = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**n - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**n

    def _rates(self, initial: bool) -> list[float]:
        share = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [self.eta_min + (base - self.eta_min) * share / 2 for base in self._bases()]


# -------------------------------------------------------------------------------------------------------------- one cycle


def _along_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)


def _along_line(start: float, end: float, share: float) -> float:
    return (end - start) * share + start


class OneCycleLR(LRScheduler):
    """The rate up to ``max_lr`` and down to almost nothing, once, and the momentum down and up (Smith and Topin,
    "Super-convergence: very fast training of neural networks using large learning rates", 2018).

    Args:
        optimizer: whose rates they are.
        max_lr: the largest rate, or one a group.
        total_steps: how many steps the cycle has.
        epochs: or how many epochs,
        steps_per_epoch: and how many steps each has.
        pct_start: the share of the cycle in which the rate goes up, from 0 to 1, a float.
        anneal_strategy: along a cosine, ``"cos"``, or a line, ``"linear"``.
        cycle_momentum: whether momentum, or the first of ``betas``, is scheduled as well.
        base_momentum: the least momentum, or one a group.
        max_momentum: the largest momentum, or one a group.
        div_factor: the first rate is ``max_lr / div_factor``.
        final_div_factor: the last one is the first, divided by this.
        three_phase: go down to the first rate in the time that it took to go up, and then to the last one.
        last_epoch: as for `LRScheduler`.

    Raises:
        ValueError: the steps are not given, or not positive integers; an option lies outside its range; the optimiser has no
            momentum to be scheduled; or, by `step`, the cycle is over.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        name = "OneCycleLR"
        _checked(name, optimizer)
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueError(f"{name}(): give either total_steps, or epochs and steps_per_epoch")
        given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
        given = given if total_steps is None else {"total_steps": total_steps}
        self.total_steps = 1
        for option, value in given.items():
            if not isinstance(value, int) or value <= 0:
                raise ValueError(f"{name}(): {option} must be a positive integer, and is {value!r}")
            self.total_steps *= value
        fits = isinstance(pct_start, float) and 0 <= pct_start <= 1
        _need(name, "pct_start", pct_start, "a float between 0 and 1", fits)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"{name}(): anneal_strategy must be 'cos' or 'linear', and is {anneal_strategy!r}")
        top = pct_start * self.total_steps - 1
        if top == 0:
            raise ValueError(
                f"{name}(): pct_start · total_steps must not be 1, a rise within one step, and they are {pct_start} and "
                f"{self.total_steps}"
            )
        if cycle_momentum and not optimizer.defaults.keys() & {"momentum", "betas"}:
            raise ValueError(
                f"{name}(): {type(optimizer).__name__} has neither momentum nor betas to be scheduled: give cycle_momentum=False"
            )
        each = {
            option: _for_each_group(name, option, value, optimizer)
            for option, value in (
                ("max_lr", max_lr), ("base_momentum", base_momentum), ("max_momentum", max_momentum)
            )
        }  # fmt: skip

        self._anneal = anneal_strategy
        self.cycle_momentum = cycle_momentum
        self.use_beta1 = "betas" in optimizer.defaults
        last, falling = self.total_steps - 1, ("base_momentum", "max_momentum")
        # where a phase ends, and from where to where rate and momentum go in it, by their names in the groups
        self._phases: list[dict[str, Any]] = [{"end": top, "lr": ("initial_lr", "max_lr"), "momentum": falling[::-1]}]
        if three_phase:
            second = 2 * pct_start * self.total_steps - 2
            self._phases += [{"end": second, "lr": ("max_lr", "initial_lr"), "momentum": falling}]
            self._phases += [
                {"end": last, "lr": ("initial_lr", "min_lr"), "momentum": ("max_momentum", "max_momentum")}
            ]
        else:
            self._phases += [{"end": last, "lr": ("max_lr", "min_lr"), "momentum": falling}]
        if last_epoch == -1:
            for i, group in enumerate(optimizer.param_groups):
                first = each["max_lr"][i] / div_factor
                group |= {"initial_lr": first, "max_lr": each["max_lr"][i], "min_lr": first / final_div_factor}
                if cycle_momentum:
                    group |= {key: each[key][i] for key in ("max_momentum", "base_momentum")}
        super().__init__(optimizer, last_epoch)

    def _rates(self, initial: bool) -> list[float]:
        return self._between("lr")

    def _set(self, rates: Sequence[float]) -> None:
        momenta = self._between("momentum") if self.cycle_momentum else []
        super()._set(rates)
        for group, momentum in zip(self.optimizer.param_groups, momenta, strict=False):
            if self.use_beta1:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum

    def _between(self, what: str) -> list[float]:
        """The rates, or the momenta, of ``last_epoch``."""
        step, begin = self.last_epoch, 0.0
        if step > self.total_steps:
            raise ValueError(
                f"OneCycleLR.step(): the cycle of {self.total_steps} steps is over, and this is step {step}"
            )
        phase = self._phases[-1]
        for earlier in self._phases[:-1]:
            if step <= earlier["end"]:
                phase = earlier
                break
            begin = earlier["end"]
        share = (step - begin) / (phase["end"] - begin)
        course = _along_cosine if self._anneal == "cos" else _along_line
        start, end = phase[what]
        return [course(group[start], group[end], share) for group in self.optimizer.param_groups]


# ------------------------------------------------------------------------------------------------------ of other schedules


class _OfSchedulers(LRScheduler):
    _apart: ClassVar[tuple[str, ...]] = ("optimizer", "_schedulers")

    def _take(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        """The schedules, if they are of one optimiser."""
        name = type(self).__name__
        schedulers = list(schedulers)
        if not schedulers:
            raise ValueError(f"{name}(): schedulers must hold at least one, and is empty")
        for i, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(f"{name}(): schedulers[{i}] must be a schedule, not {type(scheduler).__name__}")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"{name}(): schedulers[{i}] is a ReduceLROnPlateau, whose step() needs metrics")
            optimizer = optimizer or scheduler.optimizer
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"{name}(): schedulers[{i}] schedules another optimiser")
        self._schedulers, self.optimizer = schedulers, schedulers[0].optimizer

    def state_dict(self) -> dict[str, Any]:
        """As `LRScheduler.state_dict`, with the states of the schedules."""
        return {**super().state_dict(), "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        super()._check_state(state_dict)
        kept = state_dict.get("_schedulers", ())
        _need_as_many(self, "schedules", self._schedulers, kept)
        for scheduler, part in zip(self._schedulers, kept, strict=True):
            scheduler._check_state(part)

    def _take_state(self, state_dict: dict[str, Any]) -> None:
        super()._take_state(state_dict)
        for scheduler, part in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler._take_state(part)


class SequentialLR(_OfSchedulers):
    """One schedule after another; each begins at its own epoch 0, with the initial rates.

    Args:
        optimizer: whose rates they are.
        schedulers: the schedules, all of this optimiser. Each may have no schedules inside.
        milestones: the epochs at which the second one begins, the third one, and so on.
        last_epoch: as for `LRScheduler`.

    Raises:
        TypeError: one is no schedule.
        ValueError: there are none, not one more than milestones, one is of another optimiser, or one cannot be restarted.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        self._take(schedulers, _checked("SequentialLR", optimizer))
        for i, scheduler in enumerate(self._schedulers):
            if isinstance(scheduler, _OfSchedulers):
                raise ValueError(
                    f"SequentialLR(): schedulers[{i}] is a {type(scheduler).__name__}, which cannot be restarted"
                )
        if len(milestones) != len(self._schedulers) - 1:
            raise ValueError(
                f"SequentialLR(): there must be one schedule more than milestones, and there are {len(self._schedulers)} and "
                f"{len(milestones)}"
            )
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        # making the schedules set the rates of each one's epoch 0: take that back
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for scheduler in self._schedulers:
            scheduler.last_epoch -= 1
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._begin()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:
        """Go to the next epoch, and set its rates."""
        epoch = self.last_epoch + 1
        i = bisect_right(self._milestones, epoch)
        scheduler = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == epoch:
            scheduler._restart()
        else:
            scheduler.step()
        self.last_epoch = epoch
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_OfSchedulers):
    """Several schedules at once: each multiplies the rates that the one before it has set.

    Args:
        schedulers: the schedules.
        optimizer: whose rates they are. Default: that of the first schedule.

    Raises:
        TypeError: one is no schedule.
        ValueError: there are none, or one is of another optimiser.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._take(schedulers, optimizer)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        """Let each schedule take a step."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


# ------------------------------------------------------------------------------------------------------------- by a measure


class ReduceLROnPlateau(LRScheduler):
    """The rate times ``factor``, when a measure has not become better for a while.

    Args:
        optimizer: whose rates they are.
        mode: whether less is better, ``"min"``, or more, ``"max"``.
        factor: below 1.
        patience: how many epochs without a better measure are let pass.
        threshold: by how much a measure must be better than the best to count.
        threshold_mode: as a share of the best, ``"rel"``, or as a difference, ``"abs"``.
        cooldown: for how many epochs after a reduction nothing is counted.
        min_lr: the least rate, or one a group.
        eps: a smaller reduction is left out.

    Raises:
        TypeError: ``optimizer`` is none.
        ValueError: an option has another value than it may, or there are not as many ``min_lr`` as groups.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        self.optimizer = _checked(name, optimizer)
        _need(name, "factor", factor, "below 1", factor < 1)
        for option, value, values in (
            ("mode", mode, ("min", "max")),
            ("threshold_mode", threshold_mode, ("rel", "abs")),
        ):
            if value not in values:
                raise ValueError(f"{name}(): {option} must be {values[0]!r} or {values[1]!r}, and is {value!r}")
        self.min_lrs = _for_each_group(name, "min_lr", min_lr, optimizer)
        self.default_min_lr = None if isinstance(min_lr, list | tuple) else min_lr
        self.mode, self.factor, self.patience, self.cooldown, self.eps = mode, factor, patience, cooldown, eps
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    @property
    def in_cooldown(self) -> bool:
        """Whether nothing is counted, so soon after a reduction."""
        return self.cooldown_counter > 0

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Go to the next epoch, and reduce the rates if the measure has not become better for too long.

        Args:
            metrics: the measure, a number or a tensor with one.
        """
        current = float(metrics)
        min_lrs = self._least_rates()
        self.last_epoch += 1
        better = self._is_better(current)
        if better:
            self.best = current
        self.num_bad_epochs = 0 if better else self.num_bad_epochs + 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, low in zip(self.optimizer.param_groups, min_lrs, strict=True):
                reduced = max(group["lr"] * self.factor, low)
                if group["lr"] - reduced > self.eps:
                    group["lr"] = reduced
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _least_rates(self) -> list[float]:
        groups = len(self.optimizer.param_groups)
        if len(self.min_lrs) != groups:
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"ReduceLROnPlateau.step(): the optimiser has {groups} groups, and min_lr was given for {len(self.min_lrs)}: "
                    "set min_lrs to one value a group"
                )
            self.min_lrs = [self.default_min_lr] * groups
        return self.min_lrs

    def _is_better(self, measure: float) -> bool:
        down = self.mode == "min"
        if self.threshold_mode == "rel":
            bar = self.best * (1.0 - self.threshold if down else self.threshold + 1.0)
        else:
            bar = self.best - self.threshold if down else self.best + self.threshold
        return measure < bar if down else measure > bar
