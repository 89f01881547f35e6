"""`Optimizer`, the base of optimisers, and how a step is written into parameters."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinygrad_rp.engine import enable_grad, line_of_caller
from tinygrad_rp.graph import mark_changed
from tinygrad_rp.kernels.choice import LARGE, room, usable
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["Optimizer", "decayed", "need_range", "update"]


class Optimizer:
    """An optimiser of some parameters, in groups that may have options of their own.

    Args:
        params: leaves that require grad; or dictionaries, each with its ``params`` and with options that differ from the default.
        defaults: the options.

    Raises:
        TypeError: ``params`` is a tensor, or holds something that is none.
        ValueError: there are no parameters, one is no leaf, or one is in two groups.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, Tensor):
            raise TypeError(f"{name}(): params must be a list of tensors, or of groups of them, and is a single tensor")
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        """For each parameter, what the optimiser remembers."""
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError(f"{name}(): there are no parameters")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take on more parameters, with options of their own."""
        name = type(self).__name__
        given = param_group["params"]
        tensors = [given] if isinstance(given, Tensor) else list(given)
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for p in tensors:
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}(): params must hold tensors, and one is a {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError(f"{name}(): a parameter must be a leaf, and one was computed by {p.grad_fn.name()}")
            if id(p) in known:
                raise ValueError(f"{name}(): a parameter is there twice")
            known.add(id(p))
        self.param_groups.append({**self.defaults, **param_group, "params": tensors})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters; with ``set_to_none=False``, fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = p.grad.detach()
                    p.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change all parameters that have a gradient.

        Args:
            closure: computes the loss and its gradients anew, before.

        Returns:
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                grad = p.grad
                if grad is not None:
                    self._change(p, grad._array, group, self.state.setdefault(p, {}))
        return loss

    def _change(self, p: Tensor, grad: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Change one parameter."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """What the optimiser remembers, and its options; parameters are numbered in the order of the groups."""
        numbers: dict[int, int] = {}
        for group in self.param_groups:
            for p in group["params"]:
                numbers[id(p)] = len(numbers)
        state = {numbers[id(p)]: {k: _out(v) for k, v in known.items()} for p, known in self.state.items() if known}
        groups = [{**group, "params": [numbers[id(p)] for p in group["params"]]} for group in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` returned.

        Raises:
            ValueError: the groups are not as many, or not as large, as this optimiser's.
        """
        groups = copy.deepcopy(state_dict["param_groups"])
        if [len(g["params"]) for g in groups] != [len(g["params"]) for g in self.param_groups]:
            raise ValueError(
                "load_state_dict(): the groups of parameters are not as many, or not as large, as those here"
            )
        own = [p for group in self.param_groups for p in group["params"]]
        numbers = [number for group in groups for number in group["params"]]
        state = state_dict["state"]
        self.state = {
            p: {k: _in(v) for k, v in state[number].items()}
            for number, p in zip(numbers, own, strict=True)
            if number in state
        }
        for group, new in zip(self.param_groups, groups, strict=True):
            group.update({**new, "params": group["params"]})

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {i}", *(f"    {k}: {v}" for k, v in sorted(group.items()) if k != "params")]
        return "\n".join([*lines, ")"])


def _out(value: Any) -> Any:
    return wrap(value.copy()) if isinstance(value, np.ndarray) else value


def _in(value: Any) -> Any:
    return np.array(value._array) if isinstance(value, Tensor) else value


def need_range(name: str, low: float, **options: Any) -> None:
    """Raise, where an option is less than it may be, or no number."""
    for option, value in options.items():
        if not value >= low:
            raise ValueError(f"{name}(): {option} must be at least {low}, and is {value}")


def decayed(p: Any, g: Any, sign: Any, decay: Any) -> Any:
    """The gradient to follow down, the decay of the weights included: in the step of a formula for `update`."""
    g = sign * g
    return np.where(decay == 0, g, g + decay * p)  # 0 · ∞ is no number, and a parameter may be infinite


def update(
    formula: Callable[..., tuple[Any, ...]],
    name: str,
    parameter: Tensor,
    arrays: dict[str, Any],
    into: tuple[str, ...],
    numbers: dict[str, float],
) -> None:
    """Run the formula of a step, and write its results into the parameter and into what the optimiser remembers.

    Args:
        formula: of arrays and numbers; returns the new values of ``into``.
        name: of the step, as messages name it.
        parameter: whose array is among those of ``into``.
        arrays: of the parameter's shape.
        into: the names of those that change.
        numbers: the other arguments.
    """
    numbers = {x: float(value) for x, value in numbers.items()}  # a scalar of NumPy's has a dtype, which would count
    whole = all(a.flags.c_contiguous and a.dtype == parameter._array.dtype for a in arrays.values())
    whole = whole and all(arrays[target].flags.writeable for target in into)  # else NumPy refuses
    if parameter._array.size > LARGE and whole and usable():
        _loop_of(formula, into)(arrays, numbers)
    else:
        with np.errstate(all="ignore"):
            for target, value in zip(into, formula(**arrays, **numbers), strict=True):
                arrays[target][...] = value
    mark_changed(parameter._array, name, line_of_caller())


@functools.cache
def _loop_of(formula: Callable[..., tuple[Any, ...]], into: tuple[str, ...]) -> Any:
    return room("elementwise").Update(formula, into)
