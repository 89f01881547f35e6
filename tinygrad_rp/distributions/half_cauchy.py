"""The half-Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, as_noise, log_one_plus_square
from tinygrad_rp.ops.create import full_like, zeros_like
from tinygrad_rp.ops.elementwise import where
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["HalfCauchy"]


class HalfCauchy(Distribution):
    """The distribution of ``|z|``, z of the Cauchy distribution about 0.

    Args:
        scale: the median, positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    in_scipy = staticmethod(lambda stats, scale: stats.halfcauchy(scale=scale))

    scale: Tensor

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        self._begin({"scale": scale}, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        turned = 0.5 * np.pi * generator.uniform(shape, self._dtype).astype(np.float64)
        return as_noise(np.tan(turned).astype(self._dtype), "half_cauchy") * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._checked(value)
        density = math.log(2 / math.pi) - self.scale.log() - log_one_plus_square(value / self.scale)
        return where(value >= 0, density, -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        return (self._checked(value, "cdf") / self.scale).atan() * (2 / math.pi)

    def icdf(self, value: Tensor) -> Tensor:
        p = self._checked_probability(value)
        near, far = p.clamp(max=0.5), (1 - p).clamp(max=0.5)
        return self.scale * where(p < 0.5, (0.5 * math.pi * near).tan(), 1 / (0.5 * math.pi * far).tan())

    def entropy(self) -> Tensor:
        return self.scale.log() + math.log(2 * math.pi)

    @property
    def mean(self) -> Tensor:
        return full_like(self.scale, math.inf)

    @property
    def mode(self) -> Tensor:
        return zeros_like(self.scale)

    @property
    def variance(self) -> Tensor:
        return full_like(self.scale, math.inf)
