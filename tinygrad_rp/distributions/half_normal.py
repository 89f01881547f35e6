"""The half-normal distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, as_noise
from tinygrad_rp.ops.create import zeros_like
from tinygrad_rp.ops.density import normal_log_prob
from tinygrad_rp.ops.elementwise import where
from tinygrad_rp.ops.special import erf, erfinv
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["HalfNormal"]


class HalfNormal(Distribution):
    """The distribution of ``|z|``, z ~ N(0, scale²).

    Args:
        scale: the standard deviation of z, positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    in_scipy = staticmethod(lambda stats, scale: stats.halfnorm(scale=scale))

    scale: Tensor

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        self._begin({"scale": scale}, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return as_noise(np.abs(generator.normal(shape, self._dtype)), "half_normal") * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._checked(value)
        return where(value >= 0, normal_log_prob(value, 0.0, self.scale) + math.log(2), -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        return erf(self._checked(value, "cdf") / (self.scale * math.sqrt(2)))

    def icdf(self, value: Tensor) -> Tensor:
        return self.scale * math.sqrt(2) * erfinv(self._checked_probability(value))

    def entropy(self) -> Tensor:
        return self.scale.log() + 0.5 * math.log(math.pi * math.e / 2)

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def mode(self) -> Tensor:
        return zeros_like(self.scale)

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * (1 - 2 / math.pi)
