"""The Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, as_noise, log_one_plus_square
from tinygrad_rp.ops.create import full_like, ones_like
from tinygrad_rp.ops.elementwise import atan2, where
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Cauchy"]


class Cauchy(Distribution):
    """The Cauchy distribution, which has neither mean nor variance: of density ``scale / (π (scale² + (x − loc)²))``.

    Args:
        loc: the median.
        scale: half of the width at half of the height, positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    in_scipy = staticmethod(lambda stats, loc, scale: stats.cauchy(loc, scale))

    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self._begin({"loc": loc, "scale": scale}, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return self.loc + cauchy_noise(shape, self._dtype, generator) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        z = (self._checked(value) - self.loc) / self.scale
        return -math.log(math.pi) - self.scale.log() - log_one_plus_square(z)

    def cdf(self, value: Tensor) -> Tensor:
        z = (self._checked(value, "cdf") - self.loc) / self.scale
        return atan2(ones_like(z), -z) / math.pi  # with all digits in the lower tail too

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * cauchy_quantile(self._checked_probability(value))

    def entropy(self) -> Tensor:
        return self.scale.log() + math.log(4 * math.pi)

    @property
    def mean(self) -> Tensor:
        """NaN: there is none."""
        return full_like(self.loc, math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return full_like(self.loc, math.inf)


def cauchy_noise(shape: tuple[int, ...], dtype: Any, generator: Generator) -> Tensor:
    """Numbers of the standard Cauchy distribution."""
    turned = np.pi * (generator.uniform(shape, dtype).astype(np.float64) - 0.5)
    return as_noise(np.tan(turned).astype(dtype), "cauchy")


def cauchy_quantile(p: Tensor) -> Tensor:
    """``tan(π(p − ½))``, with all digits where p is small or 1 − p is."""
    size = 1 / (math.pi * where(p < 0.5, p, 1 - p)).tan()
    return where(p < 0.5, -size, size)
