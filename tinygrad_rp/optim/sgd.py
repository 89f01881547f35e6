"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_rp.optim.optimizer import Optimizer, decayed, need_range, update
from tinygrad_rp.tensor import Tensor

__all__ = ["SGD"]


def _plain(p: Any, g: Any, sign: Any, decay: Any, lr: Any) -> tuple[Any, ...]:
    return (p - lr * decayed(p, g, sign, decay),)


def _with_momentum(
    p: Any, g: Any, b: Any, sign: Any, decay: Any, momentum: Any, share: Any, ahead: Any, lr: Any
) -> tuple[Any, ...]:
    g = decayed(p, g, sign, decay)
    b = momentum * b + share * g
    # Nesterov's step looks ahead along the velocity
    return p - lr * np.where(ahead == 1, g + momentum * b, b), b


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for (Sutskever et al., "On the importance of initialization and momentum in deep
    learning", 2013).

    Args:
        params: the parameters, or groups of them.
        lr: the size of a step, in gradients.
        momentum: how much of the velocity is kept from step to step.
        dampening: how much less than the gradient is added to it.
        weight_decay: so many times the parameter is added to the gradient.
        nesterov: whether the step looks ahead along the velocity.
        maximize: go up, not down.

    Raises:
        ValueError: an option lies outside its range, or ``nesterov`` is asked for without momentum or with dampening.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        need_range("SGD", 0, lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("SGD(): nesterov needs a momentum, and no dampening")
        options = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def _change(self, p: Tensor, grad: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        numbers = {
            "sign": -1.0 if group["maximize"] else 1.0,
            "decay": group["weight_decay"],
            "lr": group["lr"],
        }
        arrays = {"p": p._array, "g": grad}
        if not group["momentum"]:
            update(_plain, "SGD.step()", p, arrays, ("p",), numbers)
            return
        first = "momentum_buffer" not in state  # the first velocity is the gradient itself
        if first:
            state["momentum_buffer"] = np.zeros_like(p._array)
        numbers |= {
            "momentum": group["momentum"],
            "share": 1.0 if first else 1 - group["dampening"],
            "ahead": float(group["nesterov"]),
        }
        update(_with_momentum, "SGD.step()", p, {**arrays, "b": state["momentum_buffer"]}, ("p", "b"), numbers)
