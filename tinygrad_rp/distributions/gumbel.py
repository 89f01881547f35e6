"""The Gumbel distribution."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_rp.distributions.distribution import noise
from tinygrad_rp.distributions.location_scale import LocationScale
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Gumbel"]


class Gumbel(LocationScale):
    """The Gumbel distribution, of the greatest of many numbers: of distribution function ``exp(−exp(−(x − loc)/scale))``.

    Args:
        loc: the mode.
        scale: positive.
        validate_args: whether to check the parameters.
    """

    in_scipy = staticmethod(lambda stats, loc, scale: stats.gumbel_r(loc, scale))

    def _noise(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return noise("gumbel", shape, self._dtype, generator)

    def log_prob(self, value: Tensor) -> Tensor:
        y = (self.loc - self._checked(value)) / self.scale
        return y - y.exp() - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        return (-((self.loc - self._checked(value, "cdf")) / self.scale).exp()).exp()

    def _quantile(self, p: Tensor) -> Tensor:
        return -(-p.log()).log()

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + np.euler_gamma)

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * np.euler_gamma

    @property
    def stddev(self) -> Tensor:
        return self.scale * (math.pi / math.sqrt(6))
