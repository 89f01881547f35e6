"""The log-normal distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, exp_within_range, noise
from tinygrad_rp.distributions.normal import Normal
from tinygrad_rp.ops.density import normal_log_prob
from tinygrad_rp.ops.special import ndtr, ndtri
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["LogNormal"]


class LogNormal(Distribution):
    """The distribution of numbers whose logarithm is of the normal distribution N(loc, scale²).

    Args:
        loc: the mean of the logarithm.
        scale: the standard deviation of the logarithm, positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.positive
    has_rsample = True
    in_scipy = staticmethod(lambda stats, loc, scale: stats.lognorm(scale, scale=np.exp(loc)))

    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self._begin({"loc": loc, "scale": scale}, validate_args=validate_args)

    @property
    def base_dist(self) -> Normal:
        """The distribution of the logarithm."""
        return Normal(self.loc, self.scale, validate_args=False)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return exp_within_range(self.loc + noise("normal", shape, self._dtype, generator) * self.scale)

    def log_prob(self, value: Tensor) -> Tensor:
        log = self._checked(value).log()
        return normal_log_prob(log, self.loc, self.scale) - log

    def cdf(self, value: Tensor) -> Tensor:
        return ndtr((self._checked(value, "cdf").log() - self.loc) / self.scale)

    def icdf(self, value: Tensor) -> Tensor:
        return (self.loc + self.scale * ndtri(self._checked_probability(value))).exp()

    def entropy(self) -> Tensor:
        return self.loc + self.scale.log() + 0.5 * math.log(2 * math.pi * math.e)

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def mode(self) -> Tensor:
        return (self.loc - self.scale**2).exp()

    @property
    def variance(self) -> Tensor:
        square = self.scale**2
        return square.expm1() * (2 * self.loc + square).exp()
