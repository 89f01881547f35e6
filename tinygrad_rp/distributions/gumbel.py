"""The Gumbel distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, noise
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Gumbel"]


class Gumbel(Distribution):
    """The Gumbel distribution, of the greatest of many numbers: of distribution function ``exp(−exp(−(x − loc)/scale))``.

    Args:
        loc: the mode.
        scale: positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    in_scipy = staticmethod(lambda stats, loc, scale: stats.gumbel_r(loc, scale))

    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self._begin({"loc": loc, "scale": scale}, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return self.loc + noise("gumbel", shape, self._dtype, generator) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        y = (self.loc - self._checked(value)) / self.scale
        return y - y.exp() - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        return (-((self.loc - self._checked(value, "cdf")) / self.scale).exp()).exp()

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc - self.scale * (-self._checked_probability(value).log()).log()

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + np.euler_gamma)

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * np.euler_gamma

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return self.scale * (math.pi / math.sqrt(6))

    @property
    def variance(self) -> Tensor:
        return self.stddev**2
