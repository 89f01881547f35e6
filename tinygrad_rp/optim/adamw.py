"""AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_rp.optim.adam import Adam

__all__ = ["AdamW"]


class AdamW(Adam):
    """Adam whose weights decay beside the step, and not by way of the gradient (Loshchilov and Hutter, "Decoupled weight decay
    regularization", 2019, algorithm 2).

    Args:
        params: the parameters, or groups of them.
        lr: the size of a step.
        betas: how much of the mean of gradients, and of their squares, is kept from step to step.
        eps: what is added to the root of the mean square.
        weight_decay: the share of a parameter that it loses in a step, over ``lr``.
        amsgrad: divide by the root of the largest mean square so far.
        maximize: go up, not down.

    Raises:
        TypeError: an option is no number.
        ValueError: an option lies outside its range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As `Optimizer.load_state_dict`; weights go on to decay beside the step, whatever the state says, as in PyTorch."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
