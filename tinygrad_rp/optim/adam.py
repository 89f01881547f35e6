"""Adam."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from tinygrad_rp.optim.optimizer import Optimizer, Step, downhill, need_range, toward

__all__ = ["Adam"]


def _adam(
    p: Any, g: Any, exp_avg: Any, exp_avg_sq: Any, beta1: Any, rise1: Any, beta2: Any, rise2: Any, step: Any, root: Any,
    eps: Any, max_exp_avg_sq: Any = None, keep: Any = None, sign: Any = None, decay: Any = None,
) -> tuple[Any, ...]:  # fmt: skip
    g = downhill(p, g, sign, decay)
    mean = toward(exp_avg, g, rise1, beta1)
    square = beta2 * exp_avg_sq + rise2 * g * g
    known = (square,) if max_exp_avg_sq is None else (square, np.maximum(max_exp_avg_sq, square))
    if keep is not None:
        p = keep * p
    return p - step * mean / (np.sqrt(known[-1]) / root + eps), mean, *known


class Adam(Optimizer):
    """Adam (Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1).

    Args:
        params: the parameters, or groups of them.
        lr: the size of a step.
        betas: how much of the mean of gradients, and of their squares, is kept from step to step.
        eps: what is added to the root of the mean square.
        weight_decay: so many times the parameter is added to the gradient.
        amsgrad: divide by the root of the largest mean square so far (Reddi, Kale and Kumar, "On the convergence of Adam and
            beyond", 2018, algorithm 2).
        maximize: go up, not down.
        decoupled_weight_decay: let the weights decay beside the step, not by way of the gradient, as `AdamW` does.

    Raises:
        TypeError: an option is no number.
        ValueError: an option lies outside its range.
    """

    at_least_zero: ClassVar[tuple[str, ...]] = ("lr", "eps", "weight_decay")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        options = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }  # fmt: skip
        super().__init__(params, options)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        name, betas = type(self).__name__, group["betas"]
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ValueError(f"{name}(): betas must be a pair of numbers, and is {betas!r}")
        for i, beta in enumerate(betas):
            need_range(name, **{f"betas[{i}]": beta})
            if not beta < 1:
                raise ValueError(f"{name}(): betas[{i}] must lie in [0, 1), and is {beta}")

    def _step(self, group: dict[str, Any], count: float, known: dict[str, Any]) -> Step:
        beta1, beta2 = group["betas"]
        lr = float(group["lr"])
        numbers = {
            "beta1": beta1,
            "rise1": 1 - beta1,
            "beta2": beta2,
            "rise2": 1 - beta2,
            "step": lr / (1 - beta1**count),
            "root": math.sqrt(1 - beta2**count),
            "eps": group["eps"],
        }
        if group["decoupled_weight_decay"] and group["weight_decay"]:
            numbers["keep"] = 1 - lr * group["weight_decay"]
        memory = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
        return Step(_adam, memory | ({"max_exp_avg_sq": 0.0} if group["amsgrad"] else {}), numbers)
