"""The normal distribution."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, noise
from tinygrad_rp.ops.density import normal_log_prob
from tinygrad_rp.ops.special import ndtr, ndtri
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Normal"]


class Normal(Distribution):
    """The normal distribution N(loc, scale²).

    Args:
        loc: the mean, a tensor or a number.
        scale: the standard deviation, positive; it broadcasts with ``loc``.
        validate_args: whether to check the parameters.

    Raises:
        ValueError: ``scale`` is not positive somewhere, a parameter is NaN or infinite, or the shapes do not broadcast.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    in_scipy = staticmethod(lambda stats, loc, scale: stats.norm(loc, scale))

    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self._begin({"loc": loc, "scale": scale}, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """``loc``."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """``loc``."""
        return self.loc

    @property
    def stddev(self) -> Tensor:
        """``scale``."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """``scale²``."""
        return self.scale**2

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """``loc + ε·scale`` with noise ε ~ N(0, 1) (Kingma and Welling 2014, section 2.4)."""
        return self.loc + noise("normal", shape, self._dtype, generator) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        """``−(value − loc)² / (2·scale²) − log scale − ½·log 2π``, element by element."""
        return normal_log_prob(self._checked(value), self.loc, self.scale)

    def cdf(self, value: Tensor) -> Tensor:
        """Φ((value − loc) / scale), with all digits in the lower tail too."""
        return ndtr((self._checked(value, "cdf") - self.loc) / self.scale)

    def icdf(self, value: Tensor) -> Tensor:
        """``loc + scale · Φ⁻¹(value)``."""
        return self.loc + self.scale * ndtri(self._checked_probability(value))

    def entropy(self) -> Tensor:
        """``log scale + ½·log 2πe``."""
        return self.scale.log() + 0.5 * math.log(2 * math.pi * math.e)
