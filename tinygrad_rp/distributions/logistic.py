"""The logistic distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, as_noise
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Logistic"]


class Logistic(Distribution):
    """The logistic distribution, of distribution function ``sigmoid((x − loc)/scale)``.

    Args:
        loc: the mean.
        scale: positive; the standard deviation is ``π·scale/√3``.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    in_scipy = staticmethod(lambda stats, loc, scale: stats.logistic(loc, scale))

    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self._begin({"loc": loc, "scale": scale}, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return self.loc + logistic_noise(shape, self._dtype, generator) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        size = ((self._checked(value) - self.loc) / self.scale).abs()
        return -size - 2 * (-size).exp().log1p() - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        return ((self._checked(value, "cdf") - self.loc) / self.scale).sigmoid()

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * self._checked_probability(value).logit()

    def entropy(self) -> Tensor:
        return self.scale.log() + 2

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return self.scale * (math.pi / math.sqrt(3))

    @property
    def variance(self) -> Tensor:
        return self.stddev**2


def logistic_noise(shape: tuple[int, ...], dtype: Any, generator: Generator) -> Tensor:
    """Numbers of the standard logistic distribution, always finite: the logit of e⁻ᴱ, of exponential numbers E."""
    return as_noise(-np.log(np.expm1(generator.exponential(shape, dtype))), "logistic")
