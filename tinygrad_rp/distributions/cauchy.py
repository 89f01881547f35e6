"""The Cauchy distribution."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_rp.distributions.distribution import as_noise, log_one_plus_square
from tinygrad_rp.distributions.location_scale import LocationScale
from tinygrad_rp.ops.create import full_like, ones_like
from tinygrad_rp.ops.elementwise import atan2, where
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Cauchy"]


class Cauchy(LocationScale):
    """The Cauchy distribution, which has neither mean nor variance: of density ``scale / (π (scale² + (x − loc)²))``.

    Args:
        loc: the median.
        scale: half of the width at half of the height, positive.
        validate_args: whether to check the parameters.
    """

    in_scipy = staticmethod(lambda stats, loc, scale: stats.cauchy(loc, scale))

    def _noise(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        turned = np.pi * (generator.uniform(shape, self._dtype).astype(np.float64) - 0.5)
        return as_noise(np.tan(turned).astype(self._dtype), "cauchy")

    def log_prob(self, value: Tensor) -> Tensor:
        z = self._standard(self._checked(value))
        return -math.log(math.pi) - self.scale.log() - log_one_plus_square(z)

    def cdf(self, value: Tensor) -> Tensor:
        z = self._standard(self._checked(value, "cdf"))
        return atan2(ones_like(z), -z) / math.pi  # with all digits in the lower tail too

    def _quantile(self, p: Tensor) -> Tensor:
        """``tan(π(p − ½))``, with all digits where p is small or 1 − p is."""
        size = 1 / (math.pi * where(p < 0.5, p, 1 - p)).tan()
        return where(p < 0.5, -size, size)

    def entropy(self) -> Tensor:
        return self.scale.log() + math.log(4 * math.pi)

    @property
    def mean(self) -> Tensor:
        """NaN: there is none."""
        return full_like(self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        return full_like(self.loc, math.inf)
