"""The Weibull distribution."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, as_noise, exp_within_range
from tinygrad_rp.ops.elementwise import where
from tinygrad_rp.ops.special import lgamma
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Weibull"]


class Weibull(Distribution):
    """The Weibull distribution, of distribution function ``1 − exp(−(x/scale)^concentration)``.

    Args:
        scale: positive.
        concentration: the exponent, positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive
    has_rsample = True
    in_scipy = staticmethod(lambda stats, scale, concentration: stats.weibull_min(concentration, scale=scale))

    scale: Tensor
    concentration: Tensor

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self._begin({"scale": scale, "concentration": concentration}, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        log = as_noise(np.log(generator.exponential(shape, self._dtype)), "log_exponential")
        return exp_within_range(self.scale.log() + log / self.concentration)

    def log_prob(self, value: Tensor) -> Tensor:
        k = self.concentration
        log = self._checked(value).log() - self.scale.log()
        return k.log() - self.scale.log() + (k - 1) * log - (k * log).exp()

    def cdf(self, value: Tensor) -> Tensor:
        log = self.concentration * (self._checked(value, "cdf").log() - self.scale.log())
        return -(-log.clamp(max=30.0).exp()).expm1()  # above, e^(−e³⁰) is 0

    def icdf(self, value: Tensor) -> Tensor:
        return self.scale * (-(-self._checked_probability(value)).log1p()) ** (1 / self.concentration)

    def entropy(self) -> Tensor:
        inverse = 1 / self.concentration
        return np.euler_gamma * (1 - inverse) + (self.scale * inverse).log() + 1

    @property
    def mean(self) -> Tensor:
        return self.scale * lgamma(1 + 1 / self.concentration).exp()

    @property
    def mode(self) -> Tensor:
        k = self.concentration
        inner = ((k.clamp(min=1) - 1) / k) ** (1 / k)
        return self.scale * where(k > 1, inner, 0.0)

    @property
    def variance(self) -> Tensor:
        log = lgamma(1 + 1 / self.concentration)
        # Γ(1 + 2/k) − Γ(1 + 1/k)², which are nearly equal where k is large
        return self.scale**2 * (2 * log).exp() * (lgamma(1 + 2 / self.concentration) - 2 * log).expm1()
