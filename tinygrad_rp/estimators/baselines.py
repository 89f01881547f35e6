"""Baselines: what is subtracted from costs before they weigh the score, which changes the variance of the gradient, not its mean.

The mean of the score is 0, and so is that of any number times the score, if the number does not depend on the sample. A baseline
that depends on it makes the estimate biased.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["Baseline", "ConstantBaseline", "LeaveOneOut", "MovingAverage"]


class Baseline:
    """What is subtracted from costs."""

    name: str
    least_samples: int = 1
    """How many samples it needs."""

    def of(self, costs: Tensor) -> Any:
        """The baseline of each cost: a number, or a tensor that broadcasts with the costs.

        Args:
            costs: samples first.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method of()")

    def update(self, costs: Tensor) -> None:
        """Learn of the costs of an estimate, after it was made."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ConstantBaseline(Baseline):
    """The same number for all costs.

    Args:
        value: a number, or a tensor of numbers, one for each distribution of the batch, that does not require grad.

    Raises:
        TypeError: ``value`` is neither.
        ValueError: it requires grad.
    """

    name = "constant baseline"

    def __init__(self, value: float | Tensor) -> None:
        if not isinstance(value, int | float | np.number | Tensor) or isinstance(value, bool):
            raise TypeError(f"ConstantBaseline: value must be a number or a tensor, not {type(value).__name__}")
        if isinstance(value, Tensor) and value.requires_grad:
            raise ValueError(
                "ConstantBaseline: value must not require grad, since none would reach it: give its detach()"
            )
        self.value = value

    def of(self, costs: Tensor) -> Any:
        """``value``.

        Raises:
            ValueError: it does not broadcast with the costs of a sample.
        """
        if isinstance(self.value, Tensor):
            shape, fits = self.value._array.shape, costs._array.shape[1:]
            pairs = zip(reversed(shape), reversed(fits), strict=False)
            if len(shape) > len(fits) or any(n not in (1, m) for n, m in pairs):
                raise ValueError(
                    f"ConstantBaseline: value has shape {list(shape)}, which does not broadcast with the costs of a sample, of "
                    f"shape {list(fits)}"
                )
            return self.value.to(costs.dtype)
        return float(self.value)

    def __repr__(self) -> str:
        return f"ConstantBaseline({self.value})"


class MovingAverage(Baseline):
    """A moving average of the costs of earlier estimates, one for each distribution of the batch.

    It knows nothing of the present samples: an estimate is made with the average of those before it, and the average moves
    after. So one object belongs to one cost. It moves with each estimate, also under ``no_grad()``.

    Args:
        decay: how much of the average is kept from estimate to estimate, in [0, 1).

    Raises:
        ValueError: ``decay`` lies elsewhere.
    """

    name = "moving-average baseline"

    def __init__(self, decay: float = 0.9) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"MovingAverage: decay must lie in [0, 1), and is {decay}")
        self.decay = decay
        self._average: Any = None

    @property
    def value(self) -> Any:
        """The average: 0 before the first estimate, then a tensor, which is the mean cost of the first one after that."""
        return 0.0 if self._average is None else wrap(self._average.copy())

    def reset(self) -> None:
        """Forget all estimates."""
        self._average = None

    def of(self, costs: Tensor) -> Any:
        """The average.

        Raises:
            ValueError: the costs before were of another shape.
        """
        shape = costs._array.shape[1:]
        if self._average is not None and self._average.shape != shape:
            raise ValueError(
                f"MovingAverage: the costs of a sample have shape {list(shape)}, and before they had "
                f"{list(self._average.shape)}: use an object for each cost, or reset() this one"
            )
        value = self.value
        return value.to(costs.dtype) if isinstance(value, Tensor) else value

    def update(self, costs: Tensor) -> None:
        """Move the average. Costs that are not finite do not move it, since it would not come back."""
        mean = np.asarray(costs._array.mean(0, dtype=np.float64))
        before = self._average
        moved = mean if before is None else self.decay * before + (1 - self.decay) * mean
        self._average = np.where(np.isfinite(mean), moved, 0.0 if before is None else before)

    def __repr__(self) -> str:
        return f"MovingAverage(decay={self.decay})"


class LeaveOneOut(Baseline):
    """For each cost the mean of the others of the same estimate, of which its sample knows nothing (Mnih and Rezende,
    "Variational inference for Monte Carlo objectives", 2016, section 2.5; Kool, van Hoof and Welling, "Buy 4 REINFORCE samples,
    get a baseline for free!", 2019). It needs 2 samples or more.
    """

    name = "leave-one-out baseline"
    least_samples = 2

    def of(self, costs: Tensor) -> Any:
        """The means of the others."""
        return (costs.sum(0) - costs) / (costs.shape[0] - 1)
