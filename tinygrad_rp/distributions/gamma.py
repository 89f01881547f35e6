"""The gamma distribution."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, as_noise
from tinygrad_rp.ops.cumulative import gamma_quantile, gammainc, standard_gamma, standard_log_gamma
from tinygrad_rp.ops.elementwise import xlogy
from tinygrad_rp.ops.special import digamma, lgamma
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Gamma"]


class Gamma(Distribution):
    """The gamma distribution, of density proportional to ``x^(concentration − 1) · e^(−rate·x)`` for x > 0.

    Its samples are reparameterised implicitly (Figurnov, Mohamed and Mnih 2018): each moves as the quantile does at which it
    lies. Derivatives of any order exist.

    Args:
        concentration: the shape, positive.
        rate: one over the scale, positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    in_scipy = staticmethod(lambda stats, concentration, rate: stats.gamma(concentration, scale=1 / rate))

    concentration: Tensor
    rate: Tensor

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self._begin({"concentration": concentration, "rate": rate}, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return gamma_sample(self.concentration, shape, generator) / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        a, value = self.concentration, self._checked(value)
        return xlogy(a, self.rate) + xlogy(a - 1, value) - self.rate * value - lgamma(a)

    def cdf(self, value: Tensor) -> Tensor:
        return gammainc(self.concentration, self.rate * self._checked(value, "cdf"))

    def icdf(self, value: Tensor) -> Tensor:
        return gamma_quantile(self._checked_probability(value), self.concentration).exp() / self.rate

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - self.rate.log() + lgamma(a) + (1 - a) * digamma(a)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate**2


def gamma_sample(concentration: Tensor, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Numbers of the gamma distribution of scale 1, connected to their concentrations; never 0."""
    a = np.broadcast_to(concentration._array, shape)
    return standard_gamma(concentration, as_noise(generator.gamma(a, concentration.dtype), "gamma"))


def log_gamma_sample(concentration: Tensor, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """The logarithms of such numbers, which are right also where the numbers are too small to be held."""
    a = np.broadcast_to(concentration._array, shape)
    drawn = as_noise(generator.log_gamma(a, concentration.dtype), "log_gamma")
    return standard_log_gamma(concentration, drawn)
