"""The logistic distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.distributions.distribution import as_noise
from tinygrad_rp.distributions.location_scale import LocationScale
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Logistic"]


class Logistic(LocationScale):
    """The logistic distribution, of distribution function ``sigmoid((x − loc)/scale)``.

    Args:
        loc: the mean.
        scale: positive; the standard deviation is ``π·scale/√3``.
        validate_args: whether to check the parameters.
    """

    in_scipy = staticmethod(lambda stats, loc, scale: stats.logistic(loc, scale))

    def _noise(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return logistic_noise(shape, self._dtype, generator)

    def log_prob(self, value: Tensor) -> Tensor:
        size = (self._standard(self._checked(value))).abs()
        return -size - 2 * (-size).exp().log1p() - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        return self._standard(self._checked(value, "cdf")).sigmoid()

    def _quantile(self, p: Tensor) -> Tensor:
        return p.logit()

    def entropy(self) -> Tensor:
        return self.scale.log() + 2

    @property
    def stddev(self) -> Tensor:
        return self.scale * (math.pi / math.sqrt(3))


def logistic_noise(shape: tuple[int, ...], dtype: Any, generator: Generator) -> Tensor:
    """Numbers of the standard logistic distribution, always finite: the logit of e⁻ᴱ, of exponential numbers E."""
    return as_noise(-np.log(np.expm1(generator.exponential(shape, dtype))), "logistic")
