"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from tinygrad_rp.optim.optimizer import Optimizer, Step, downhill

__all__ = ["Adagrad"]


def _adagrad(
    p: Any, g: Any, sum: Any, rate: Any, eps: Any, sign: Any = None, decay: Any = None
) -> tuple[Any, ...]:  # fmt: skip
    g = downhill(p, g, sign, decay)
    sum = sum + g * g
    return p - rate * g / (np.sqrt(sum) + eps), sum


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization", 2011).

    Args:
        params: the parameters, or groups of them.
        lr: the size of the first step.
        lr_decay: step t is smaller by ``1 + (t − 1)·lr_decay``.
        weight_decay: so many times the parameter is added to the gradient.
        initial_accumulator_value: where the sums of squared gradients begin, in all groups.
        eps: what is added to the root of a sum.
        maximize: go up, not down.

    Raises:
        TypeError: an option is no number.
        ValueError: an option lies outside its range, or ``initial_accumulator_value`` differs between groups.
    """

    at_least_zero: ClassVar[tuple[str, ...]] = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        options = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)
        for group in self.param_groups:  # here, as in PyTorch, the state is there before the first step
            for p in group["params"]:
                self.state[p] = self._blank(p, self._step(group, 1.0, {}).memory)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As `Optimizer.add_param_group`, with the same ``initial_accumulator_value`` (PyTorch takes no notice of another)."""
        common = self.defaults["initial_accumulator_value"]
        own = param_group.get("initial_accumulator_value", common) if isinstance(param_group, dict) else common
        if own != common:
            raise ValueError(
                f"Adagrad(): initial_accumulator_value is {common} for all groups, and cannot be {own} in one"
            )
        super().add_param_group(param_group)

    def _step(self, group: dict[str, Any], count: float, known: dict[str, Any]) -> Step:
        rate = group["lr"] / (1 + (count - 1) * group["lr_decay"])
        memory = {"sum": group["initial_accumulator_value"]}
        return Step(_adagrad, memory, {"rate": rate, "eps": group["eps"]})
