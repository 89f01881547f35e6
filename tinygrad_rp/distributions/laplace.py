"""The Laplace distribution."""

from __future__ import annotations

import numpy as np

from tinygrad_rp.distributions.distribution import as_noise
from tinygrad_rp.distributions.location_scale import LocationScale
from tinygrad_rp.ops.elementwise import where
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Laplace"]


class Laplace(LocationScale):
    """The Laplace distribution, of density ``exp(−|x − loc|/scale) / (2·scale)``.

    Args:
        loc: the mean.
        scale: the mean distance from ``loc``, positive.
        validate_args: whether to check the parameters.
    """

    in_scipy = staticmethod(lambda stats, loc, scale: stats.laplace(loc, scale))

    def _noise(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        size = generator.exponential(shape, self._dtype)
        right = generator.bernoulli(0.5, shape)
        return as_noise(np.where(right, size, -size), "laplace")

    def log_prob(self, value: Tensor) -> Tensor:
        return -(self._checked(value) - self.loc).abs() / self.scale - (2 * self.scale).log()

    def cdf(self, value: Tensor) -> Tensor:
        z = self._standard(self._checked(value, "cdf"))
        return where(z < 0, z.clamp(max=0).exp() / 2, 1 - (-z.clamp(min=0)).exp() / 2)

    def _quantile(self, p: Tensor) -> Tensor:
        below = (2 * p.clamp(max=0.5)).log()
        above = (2 * (1 - p.clamp(min=0.5))).log()
        return where(p < 0.5, below, -above)

    def entropy(self) -> Tensor:
        return 1 + (2 * self.scale).log()

    @property
    def stddev(self) -> Tensor:
        return self.scale * 2**0.5
