"""The Laplace distribution."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, as_noise
from tinygrad_rp.ops.elementwise import where
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Laplace"]


class Laplace(Distribution):
    """The Laplace distribution, of density ``exp(−|x − loc|/scale) / (2·scale)``.

    Args:
        loc: the mean.
        scale: the mean distance from ``loc``, positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    in_scipy = staticmethod(lambda stats, loc, scale: stats.laplace(loc, scale))

    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self._begin({"loc": loc, "scale": scale}, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        size = generator.exponential(shape, self._dtype)
        right = generator.bernoulli(0.5, shape)
        return self.loc + as_noise(np.where(right, size, -size), "laplace") * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        return -(self._checked(value) - self.loc).abs() / self.scale - (2 * self.scale).log()

    def cdf(self, value: Tensor) -> Tensor:
        z = (self._checked(value, "cdf") - self.loc) / self.scale
        return where(z < 0, z.clamp(max=0).exp() / 2, 1 - (-z.clamp(min=0)).exp() / 2)

    def icdf(self, value: Tensor) -> Tensor:
        p = self._checked_probability(value)
        below = (2 * p.clamp(max=0.5)).log()
        above = (2 * (1 - p.clamp(min=0.5))).log()
        return self.loc + self.scale * where(p < 0.5, below, -above)

    def entropy(self) -> Tensor:
        return 1 + (2 * self.scale).log()

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return self.scale * 2**0.5

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale**2
