"""`Optimizer`, the base of optimisers, and how a step is written into parameters.

An optimiser is one class in one file. It declares its options and, for a step, a formula on arrays, what it remembers of each
parameter, and the numbers that its options come to; everything else follows: groups, counting, states, and a compiled loop for
large parameters. This is how Adagrad is declared::

    def _adagrad(p, g, sum, rate, eps, sign=None, decay=None):
        g = downhill(p, g, sign, decay)
        sum = sum + g * g
        return p - rate * g / (np.sqrt(sum) + eps), sum

    class Adagrad(Optimizer):
        at_least_zero = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

        def _step(self, group, count, known):
            rate = group["lr"] / (1 + (count - 1) * group["lr_decay"])
            memory = {"sum": group["initial_accumulator_value"]}
            return Step(_adagrad, memory, {"rate": rate, "eps": group["eps"]})
"""

from __future__ import annotations

import copy
import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tinygrad_rp.engine import enable_grad, line_of_caller
from tinygrad_rp.graph import mark_changed
from tinygrad_rp.kernels.choice import LARGE, room, usable
from tinygrad_rp.tensor import Tensor, get_default_dtype, wrap

__all__ = ["Optimizer", "Step", "downhill", "need_range", "toward"]


class Step(NamedTuple):
    """What a step of one parameter computes."""

    formula: Callable[..., tuple[Any, ...]]
    """Of the parameter ``p``, its gradient ``g``, what is remembered, and numbers; returns the new parameter, then what is to be
    remembered. It is run on arrays, and written down as a loop, so that it may ask whether an argument is None, but not for its
    value. ``sign`` and ``decay`` are for `downhill`."""
    memory: Mapping[str, float] = {}
    """The arrays that are remembered, with what fills them before the first step."""
    numbers: Mapping[str, float] = {}
    """The other arguments."""


class Optimizer:
    """An optimiser of some parameters, in groups that may have options of their own.

    Args:
        params: leaves that require grad; or dictionaries, each with its ``params`` and with options that differ from the default.
        defaults: the options.

    Raises:
        TypeError: ``params`` is a tensor or a set, or holds something that is no tensor; or an option is no number.
        ValueError: there are no parameters, one is no leaf, or one is there twice; or an option lies outside its range.
    """

    at_least_zero: ClassVar[tuple[str, ...]] = ()
    """Options that must be numbers, and not negative."""
    counts_steps: ClassVar[bool] = True
    """Whether the state of a parameter says how many steps it took."""

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, Tensor):
            raise TypeError(f"{name}(): params must be a list of tensors, or of groups of them, and is a single tensor")
        self._check(defaults)
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        """For each parameter, what the optimiser remembers, as tensors."""
        self.param_groups: list[dict[str, Any]] = []
        self._has_stepped = False
        groups = list(_in_order(name, params))
        if not groups:
            raise ValueError(f"{name}(): there are no parameters")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take on more parameters, with options of their own. Errors as for the class."""
        name = type(self).__name__
        if not isinstance(param_group, dict):
            raise TypeError(f"{name}(): param_group must be a dictionary, not {type(param_group).__name__}")
        given = param_group["params"]
        tensors = [given] if isinstance(given, Tensor) else list(_in_order(name, given))
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for p in tensors:
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}(): params must hold tensors, and one is a {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError(f"{name}(): a parameter must be a leaf, and one was computed by {p.grad_fn.name()}")
            if id(p) in known:
                raise ValueError(f"{name}(): a parameter is there twice")
            known.add(id(p))
        group = {**self.defaults, **param_group, "params": tensors}
        self._check(group)
        self.param_groups.append(group)

    def _check(self, group: dict[str, Any]) -> None:
        """Raise, where an option does not fit."""
        need_range(type(self).__name__, **{option: group[option] for option in self.at_least_zero})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters; with ``set_to_none=False``, fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = p.grad.detach()
                    p.grad.zero_()

    # ------------------------------------------------------------------------------------------------------------ a step

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
                    self._change(p, grad._array, group)
        self._has_stepped = True
        return loss

    def _step(self, group: dict[str, Any], count: float, known: dict[str, Any]) -> Step:
        """What to compute: the declaration of an optimiser.

        Args:
            group: the options.
            count: of this step, from 1, where steps are counted.
            known: what is remembered of the parameter; nothing before its first step.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method _step(), or a step() of its own")

    def _change(self, p: Tensor, grad: Any, group: dict[str, Any]) -> None:
        """Change one parameter."""
        known = self.state.get(p, {})
        count = float(known["step"]._array) + 1 if "step" in known else 1.0
        formula, memory, numbers = self._step(group, count, known)
        if group.get("maximize"):
            numbers = {**numbers, "sign": -1.0}
        if group.get("weight_decay") and not group.get("decoupled_weight_decay"):
            numbers = {**numbers, "decay": group["weight_decay"]}
        needed = ("step", *memory) if self.counts_steps else tuple(memory)
        found = known if all(key in known for key in needed) else {**self._blank(p, memory), **known}
        arrays = {"p": p._array, "g": grad, **{name: found[name]._array for name in memory}}
        _write(formula, f"{type(self).__name__}.step()", p, arrays, ("p", *memory), numbers)
        if found is not known:
            self.state[p] = found
        if self.counts_steps:
            found["step"]._array[...] = count

    def _blank(self, p: Tensor, memory: Mapping[str, float]) -> dict[str, Any]:
        """The state of a parameter before its first step."""
        count = {"step": wrap(np.zeros((), get_default_dtype()))} if self.counts_steps else {}
        return count | {name: wrap(np.full_like(p._array, value)) for name, value in memory.items()}

    # ------------------------------------------------------------------------------------------------------------- states

    def state_dict(self) -> dict[str, Any]:
        """What the optimiser remembers, as ``state``, and its options, as ``param_groups``: copies, in PyTorch's layout.

        Parameters are numbered in the order of the groups.
        """
        numbers: dict[int, int] = {}
        for group in self.param_groups:
            for p in group["params"]:
                numbers[id(p)] = len(numbers)
        state = {numbers[id(p)]: copy.deepcopy(known) for p, known in self.state.items() if known}
        groups = [
            {**copy.deepcopy({key: value for key, value in group.items() if key != "params"}),
             "params": [numbers[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]  # fmt: skip
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a copy of what `state_dict` returned, here or in PyTorch. What it does not say of options is the default.

        Raises:
            ValueError: the groups are not as many, or not as large, as this optimiser's, or what is remembered is of a parameter
                in no group, or of another shape; nothing has changed then.
        """
        name = type(self).__name__
        groups = [
            {key: copy.deepcopy(value) if key != "params" else list(value) for key, value in group.items()}
            for group in state_dict["param_groups"]
        ]
        sizes = [[len(g["params"]) for g in gs] for gs in (groups, self.param_groups)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"{name}.load_state_dict(): state_dict has groups of {sizes[0]} parameters, and this optimiser has groups of "
                f"{sizes[1]}"
            )
        own = [p for group in self.param_groups for p in group["params"]]
        numbers = [number for group in groups for number in group["params"]]
        unknown = [number for number in state_dict["state"] if number not in numbers]
        if unknown:
            raise ValueError(
                f"{name}.load_state_dict(): state_dict remembers something of parameter {unknown[0]!r}, which is in no group"
            )
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for number, p in zip(numbers, own, strict=True):
            remembered = {k: v for k, v in state_dict["state"].get(number, {}).items() if v is not None}
            for key, value in remembered.items():
                state[p][key] = _taken_up(f"{name}.load_state_dict(): {key} of parameter {number}", key, value, p)
        self.state = state
        for group, new in zip(self.param_groups, groups, strict=True):
            params = group["params"]
            group.clear()
            group.update({**self.defaults, **new, "params": params})

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {i}", *(f"    {k}: {v}" for k, v in sorted(group.items()) if k != "params")]
        return "\n".join([*lines, ")"])


def _in_order(name: str, params: Any) -> Any:
    if isinstance(params, set | frozenset):
        raise TypeError(f"{name}(): params is a set, whose order differs from run to run: make it a list")
    return params


def _taken_up(what: str, key: str, value: Any, p: Tensor) -> Any:
    """A copy of what was remembered of a parameter, in its dtype; tensors may be of another house."""
    counted = key == "step"
    if not hasattr(value, "__array__") and not (counted and isinstance(value, Real)):
        return copy.deepcopy(value)
    array = np.asarray(value.detach() if hasattr(value, "detach") else value)
    if array.shape != (() if counted else p._array.shape):
        raise ValueError(
            f"{what} has shape {list(array.shape)}, and should have {[] if counted else list(p._array.shape)}"
        )
    return wrap(array.astype(get_default_dtype() if counted else p._array.dtype))


def need_range(name: str, **options: Any) -> None:
    """Raise, where an option is negative or NaN, or no number."""
    for option, value in options.items():
        if not isinstance(value, Real):
            more = ": give its item()" if isinstance(value, Tensor) else ""
            raise TypeError(f"{name}(): {option} must be a number, not {type(value).__name__}{more}")
        if not float(value) >= 0:
            raise ValueError(f"{name}(): {option} must be at least 0, and is {value}")


# -------------------------------------------------------------------------------------------------------- parts of formulas


def downhill(p: Any, g: Any, sign: Any, decay: Any) -> Any:
    """The gradient to follow down: with a sign where the way is up, and with the decay of the weights where there is one."""
    if sign is not None:
        g = sign * g
    return g if decay is None else g + decay * p  # 0 · ∞ is no number, and a parameter may be infinite


def toward(mean: Any, g: Any, rise: Any, keep: Any) -> Any:
    """The running mean ``keep·mean + rise·g``, by the one form of two that is exact where ``keep`` is 1, or 0."""
    away = g - mean
    return np.where(rise < 0.5, mean + rise * away, g - keep * away)


# ------------------------------------------------------------------------------------------------------ how it is written


def _write(
    formula: Callable[..., tuple[Any, ...]],
    name: str,
    parameter: Tensor,
    arrays: dict[str, Any],
    into: tuple[str, ...],
    numbers: Mapping[str, float],
) -> None:
    """Run the formula of a step, and write its results into the parameter and into what the optimiser remembers.

    Args:
        formula: of arrays and numbers; returns the new values of ``into``.
        name: of the step, as messages name it.
        parameter: whose array is among those of ``into``.
        arrays: of the parameter's shape.
        into: the names of those that change.
        numbers: the other arguments.

    Raises:
        RuntimeError: an array has another shape, since the parameter was given a new one; nothing has changed then.
    """
    shape = parameter._array.shape
    for what, array in arrays.items():
        if array.shape != shape:
            raise RuntimeError(
                f"{name}: {'the gradient' if what == 'g' else what} of a parameter has shape {list(array.shape)}, and the "
                f"parameter now has {list(shape)}: after a change of shape forget the gradient, and make a new optimiser"
            )
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
