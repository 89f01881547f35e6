"""The exponential distribution."""

from __future__ import annotations

from typing import Any

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, noise
from tinygrad_rp.ops.create import zeros_like
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Exponential"]


class Exponential(Distribution):
    """The exponential distribution, of density ``rate · e^(−rate·x)`` for x ≥ 0.

    Args:
        rate: one over the mean, positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    in_scipy = staticmethod(lambda stats, rate: stats.expon(scale=1 / rate))

    rate: Tensor

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        self._begin({"rate": rate}, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return noise("exponential", shape, self._dtype, generator) / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        return self.rate.log() - self.rate * self._checked(value)

    def cdf(self, value: Tensor) -> Tensor:
        return -(-self.rate * self._checked(value, "cdf")).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        return -(-self._checked_probability(value)).log1p() / self.rate

    def entropy(self) -> Tensor:
        return 1 - self.rate.log()

    @property
    def mean(self) -> Tensor:
        return 1 / self.rate

    @property
    def mode(self) -> Tensor:
        return zeros_like(self.rate)

    @property
    def stddev(self) -> Tensor:
        return 1 / self.rate

    @property
    def variance(self) -> Tensor:
        return self.rate**-2
