"""The von Mises distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, as_noise
from tinygrad_rp.ops.cumulative import standard_von_mises, von_mises_cdf, von_mises_cumulant, von_mises_quantile
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["VonMises"]


class VonMises(Distribution):
    """The von Mises distribution of angles, in radians, of density proportional to ``exp(concentration · cos(x − loc))``.

    Its samples are reparameterised implicitly (Figurnov, Mohamed and Mnih 2018): each moves as the quantile does at which it
    lies.

    Args:
        loc: the mean direction.
        concentration: how narrow it is, positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = True
    in_scipy = staticmethod(lambda stats, loc, concentration: stats.vonmises(concentration, loc))

    loc: Tensor
    concentration: Tensor

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self._begin({"loc": loc, "concentration": concentration}, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """Angles in [−π, π)."""
        k = np.broadcast_to(self.concentration._array, shape)
        drawn = as_noise(generator.von_mises(k, self._dtype), "von_mises")
        angle = self.loc + standard_von_mises(self.concentration, drawn)
        return _turned_back(angle)

    def log_prob(self, value: Tensor) -> Tensor:
        k, half = self.concentration, ((self._checked(value) - self.loc) / 2).sin()
        # κ cos x − log I₀(κ), which are both large where κ is
        return -2 * k * half * half - (von_mises_cumulant(k, 0) - k) - math.log(2 * math.pi)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability between ``loc − π`` and ``value``, where the circle is cut; whole turns do not count."""
        return von_mises_cdf(_turned_back(self._checked(value, "cdf") - self.loc), self.concentration)

    def _cdf_anywhere(self, value: Tensor) -> Tensor:
        """The probability between −π and ``value``, so that those of several `loc` can be added up."""
        here, start = _turned_back(value - self.loc), _turned_back(-math.pi - self.loc)
        around = wrap((here._array < start._array).astype(self._dtype))
        return von_mises_cdf(here, self.concentration) - von_mises_cdf(start, self.concentration) + around

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + von_mises_quantile(self._checked_probability(value), self.concentration)

    def entropy(self) -> Tensor:
        k = self.concentration
        return math.log(2 * math.pi) + (von_mises_cumulant(k, 0) - k) + k * (1 - von_mises_cumulant(k, 1))

    @property
    def mean(self) -> Tensor:
        """The mean direction."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The circular variance, ``1 − I₁(κ)/I₀(κ)``."""
        return 1 - von_mises_cumulant(self.concentration, 1)


def _turned_back(angle: Tensor) -> Tensor:
    """The angle less whole turns, in [−π, π); what lies there is left alone."""
    turns = np.floor((angle._array + np.pi) / (2 * np.pi))
    return angle - wrap(np.asarray(2 * np.pi * turns, angle.dtype)) if turns.any() else angle
