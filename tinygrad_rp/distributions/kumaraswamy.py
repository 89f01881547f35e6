"""The Kumaraswamy distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, noise, within_unit
from tinygrad_rp.ops.elementwise import logical_and, where, xlogy
from tinygrad_rp.ops.special import digamma, lgamma
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Kumaraswamy"]


class Kumaraswamy(Distribution):
    """The Kumaraswamy distribution on (0, 1), of distribution function ``1 − (1 − x^a)^b``.

    Args:
        concentration1: a, positive.
        concentration0: b, positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True

    concentration1: Tensor
    concentration0: Tensor

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self._begin({"concentration1": concentration1, "concentration0": concentration0}, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        drawn = self._quantile(noise("exponential", shape, self._dtype, generator))
        return within_unit(drawn)

    def _quantile(self, depth: Tensor) -> Tensor:
        """That of p, of −log(1 − p)."""
        return (-(depth / -self.concentration0).expm1()) ** (1 / self.concentration1)

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._checked(value)
        a, b = self.concentration1, self.concentration0
        return a.log() + b.log() + xlogy(a - 1, value) + xlogy(b - 1, -xlogy(a, value).expm1())

    def cdf(self, value: Tensor) -> Tensor:
        power = (self.concentration1 * self._checked(value, "cdf").log()).exp()
        return -(self.concentration0 * (-power).log1p()).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        return self._quantile(-(-self._checked_probability(value)).log1p())

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        return (1 - 1 / b) + (1 - 1 / a) * (digamma(b + 1) + np.euler_gamma) - a.log() - b.log()

    def _log_moment(self, n: int) -> Tensor:
        """log E xⁿ = log b·B(1 + n/a, b) (P. Kumaraswamy, "A generalized probability density function", 1980)."""
        a, b = self.concentration1, self.concentration0
        return lgamma(1 + n / a) + lgamma(b + 1) - lgamma(1 + n / a + b)

    @property
    def mean(self) -> Tensor:
        return self._log_moment(1).exp()

    @property
    def mode(self) -> Tensor:
        """NaN where the density has no single peak: a < 1, b < 1, or both are 1."""
        a, b = self.concentration1, self.concentration0
        peaked = logical_and(logical_and(a >= 1, b >= 1), a * b > 1)
        share = where(peaked, (a - 1) / (a * b - 1), 0.5)
        return where(peaked, share ** (1 / a), math.nan)

    @property
    def variance(self) -> Tensor:
        first = self._log_moment(1)
        return (2 * first).exp() * (self._log_moment(2) - 2 * first).expm1()
