"""The uniform distribution."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, need_order, noise
from tinygrad_rp.ops.create import full_like
from tinygrad_rp.ops.elementwise import logical_and, where
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Uniform"]


class Uniform(Distribution):
    """The uniform distribution on [low, high).

    Args:
        low: the lower end.
        high: the upper end, greater than ``low``.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {
        "low": constraints.dependent(is_discrete=False, event_dim=0),
        "high": constraints.dependent(is_discrete=False, event_dim=0),
    }
    has_rsample = True
    in_scipy = staticmethod(lambda stats, low, high: stats.uniform(low, high - low))

    low: Tensor
    high: Tensor

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self._begin({"low": low, "high": high}, validate_args=validate_args)
        if self._validate_args:
            need_order(self, self.low, self.high)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        return constraints.interval(self.low, self.high)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return self.low + noise("uniform", shape, self._dtype, generator) * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._checked(value)
        # the upper end is not part of the range
        inside = logical_and(value >= self.low, value < self.high)
        return where(inside, -(self.high - self.low).log(), -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        return ((self._checked(value, "cdf") - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Tensor) -> Tensor:
        return self.low + self._checked_probability(value) * (self.high - self.low)

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def mode(self) -> Tensor:
        """NaN: all values are equally likely."""
        return full_like(self.low, math.nan)

    @property
    def stddev(self) -> Tensor:
        return (self.high - self.low) / 12**0.5

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low) ** 2 / 12
