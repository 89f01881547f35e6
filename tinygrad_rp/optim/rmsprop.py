"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from tinygrad_rp.optim.optimizer import Optimizer, Step, downhill, toward

__all__ = ["RMSprop"]


def _rmsprop(
    p: Any, g: Any, square_avg: Any, lr: Any, alpha: Any, rise: Any, eps: Any, momentum_buffer: Any = None,
    grad_avg: Any = None, momentum: Any = None, sign: Any = None, decay: Any = None,
) -> tuple[Any, ...]:  # fmt: skip
    g = downhill(p, g, sign, decay)
    square = alpha * square_avg + rise * g * g
    known, spread = [square], square
    if grad_avg is not None:
        mean = toward(grad_avg, g, rise, alpha)
        known, spread = [square, mean], square - mean * mean
    root = np.sqrt(spread) + eps
    if momentum_buffer is None:
        return p - lr * g / root, *known
    velocity = momentum * momentum_buffer + g / root
    return p - lr * velocity, *known, velocity


class RMSprop(Optimizer):
    """RMSprop (Hinton, Srivastava and Swersky, "Neural networks for machine learning", 2012, lecture 6e); centered: Graves,
    "Generating sequences with recurrent neural networks", 2013, equations 38 to 45.

    Args:
        params: the parameters, or groups of them.
        lr: the size of a step.
        alpha: how much of the mean of squared gradients is kept from step to step.
        eps: what is added to its root.
        weight_decay: so many times the parameter is added to the gradient.
        momentum: how much of the velocity is kept from step to step.
        centered: divide by the standard deviation of gradients, not by their root mean square.
        maximize: go up, not down.

    Raises:
        TypeError: an option is no number.
        ValueError: an option lies outside its range.
    """

    at_least_zero: ClassVar[tuple[str, ...]] = ("lr", "alpha", "eps", "weight_decay", "momentum")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered, "weight_decay": weight_decay,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def _step(self, group: dict[str, Any], count: float, known: dict[str, Any]) -> Step:
        alpha, momentum = group["alpha"], group["momentum"]
        memory = {"square_avg": 0.0}
        numbers = {"lr": group["lr"], "alpha": alpha, "rise": 1 - alpha, "eps": group["eps"]}
        if group["centered"]:
            memory["grad_avg"] = 0.0
        if momentum:
            memory["momentum_buffer"] = 0.0
            numbers["momentum"] = momentum
        return Step(_rmsprop, memory, numbers)
