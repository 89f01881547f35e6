"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from tinygrad_rp.optim.optimizer import Optimizer, Step, downhill

__all__ = ["SGD"]


def _sgd(
    p: Any, g: Any, lr: Any, momentum_buffer: Any = None, momentum: Any = None, share: Any = None, ahead: Any = None,
    sign: Any = None, decay: Any = None,
) -> tuple[Any, ...]:  # fmt: skip
    g = downhill(p, g, sign, decay)
    if momentum_buffer is None:
        return (p - lr * g,)
    velocity = momentum * momentum_buffer + share * g
    # Nesterov's step looks ahead along the velocity
    return p - lr * (velocity if ahead is None else g + ahead * velocity), velocity


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for (Sutskever et al., "On the importance of initialization and momentum in deep
    learning", 2013).

    Args:
        params: the parameters, or groups of them.
        lr: the size of a step, in gradients.
        momentum: how much of the velocity is kept from step to step.
        dampening: how much less than the gradient is added to it, from the second step on.
        weight_decay: so many times the parameter is added to the gradient.
        nesterov: whether the step looks ahead along the velocity.
        maximize: go up, not down.

    Raises:
        ValueError: an option lies outside its range, or ``nesterov`` is asked for without momentum or with dampening.
    """

    at_least_zero: ClassVar[tuple[str, ...]] = ("lr", "momentum", "weight_decay")
    counts_steps: ClassVar[bool] = False

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
        options = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                f"SGD(): nesterov needs a momentum above 0 and no dampening, and momentum is {group['momentum']}, dampening "
                f"{group['dampening']}"
            )

    def _step(self, group: dict[str, Any], count: float, known: dict[str, Any]) -> Step:
        momentum = group["momentum"]
        if not momentum:
            return Step(_sgd, {}, {"lr": group["lr"]})
        # the first velocity is the gradient itself
        share = 1 - group["dampening"] if "momentum_buffer" in known else 1.0
        numbers = {"lr": group["lr"], "momentum": momentum, "share": share}
        return Step(_sgd, {"momentum_buffer": 0.0}, numbers | ({"ahead": momentum} if group["nesterov"] else {}))
