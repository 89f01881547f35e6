"""Adam."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_rp.optim.optimizer import Optimizer, decayed, need_range, update
from tinygrad_rp.tensor import Tensor

__all__ = ["Adam"]


def _adam(
    p: Any,
    g: Any,
    m: Any,
    v: Any,
    sign: Any,
    decay: Any,
    beta1: Any,
    rise: Any,
    beta2: Any,
    rise2: Any,
    step: Any,
    root: Any,
    eps: Any,
) -> tuple[Any, ...]:
    g = decayed(p, g, sign, decay)
    rising = g - m
    m = np.where(rise < 0.5, m + rise * rising, g - beta1 * rising)  # the one that is exact where β₁ is 1, or 0
    v = beta2 * v + rise2 * (g * g)
    return p - step * (m / (np.sqrt(v) / root + eps)), m, v


class Adam(Optimizer):
    """Adam (Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1).

    Args:
        params: the parameters, or groups of them.
        lr: the size of a step.
        betas: how much of the mean of gradients, and of their squares, is kept from step to step.
        eps: what is added to the root of the mean square.
        weight_decay: so many times the parameter is added to the gradient.
        maximize: go up, not down.

    Raises:
        ValueError: an option lies outside its range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        need_range("Adam", 0, lr=lr, eps=eps, weight_decay=weight_decay)
        for i, beta in enumerate(betas):
            if not 0 <= beta < 1:
                raise ValueError(f"Adam(): betas[{i}] must lie in [0, 1), and is {beta}")
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, options)

    def _change(self, p: Tensor, grad: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        if not state:
            state |= {"step": 0, "exp_avg": np.zeros_like(p._array), "exp_avg_sq": np.zeros_like(p._array)}
        state["step"] += 1
        beta1, beta2 = group["betas"]
        update(
            _adam,
            "Adam.step()",
            p,
            {"p": p._array, "g": grad, "m": state["exp_avg"], "v": state["exp_avg_sq"]},
            ("p", "m", "v"),
            {
                "sign": -1.0 if group["maximize"] else 1.0,
                "decay": group["weight_decay"],
                "beta1": beta1,
                "rise": 1 - beta1,
                "beta2": beta2,
                "rise2": 1 - beta2,
                "step": float(group["lr"]) / (1 - beta1 ** state["step"]),
                "root": math.sqrt(1 - beta2 ** state["step"]),
                "eps": group["eps"],
            },
        )
