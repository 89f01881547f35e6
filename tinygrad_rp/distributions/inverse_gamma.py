"""The inverse gamma distribution."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, exp_within_range
from tinygrad_rp.distributions.gamma import log_gamma_sample
from tinygrad_rp.ops.cumulative import gamma_quantile, gammaincc
from tinygrad_rp.ops.elementwise import where, xlogy
from tinygrad_rp.ops.special import digamma, lgamma
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["InverseGamma"]


class InverseGamma(Distribution):
    """The distribution of ``1/z``, z of the gamma distribution of this concentration and rate.

    Args:
        concentration: the shape, positive.
        rate: the scale of ``1/z``, positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.positive
    has_rsample = True
    in_scipy = staticmethod(lambda stats, concentration, rate: stats.invgamma(concentration, scale=rate))

    concentration: Tensor
    rate: Tensor

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self._begin({"concentration": concentration, "rate": rate}, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return exp_within_range(self.rate.log() - log_gamma_sample(self.concentration, shape, generator))

    def log_prob(self, value: Tensor) -> Tensor:
        a, value = self.concentration, self._checked(value)
        return xlogy(a, self.rate) - (a + 1) * value.log() - self.rate / value - lgamma(a)

    def cdf(self, value: Tensor) -> Tensor:
        return gammaincc(self.concentration, self.rate / self._checked(value, "cdf"))

    def icdf(self, value: Tensor) -> Tensor:
        return self.rate * (-gamma_quantile(self._checked_probability(value), self.concentration, True)).exp()

    def entropy(self) -> Tensor:
        a = self.concentration
        return a + self.rate.log() + lgamma(a) - (1 + a) * digamma(a)

    @property
    def mean(self) -> Tensor:
        """Infinite where ``concentration`` ≤ 1."""
        a = self.concentration
        return where(a > 1, self.rate / where(a > 1, a - 1, 1.0), math.inf)

    @property
    def mode(self) -> Tensor:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Tensor:
        """Infinite where ``concentration`` ≤ 2."""
        a = self.concentration
        safe = where(a > 2, a, 3.0)
        return where(a > 2, self.rate**2 / ((safe - 1) ** 2 * (safe - 2)), math.inf)
