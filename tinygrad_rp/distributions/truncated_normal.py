"""The truncated normal distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, need_order, open_uniform
from tinygrad_rp.ops.cumulative import log_normal_mass, truncated_normal_cdf, truncated_normal_quantile
from tinygrad_rp.ops.density import normal_log_prob
from tinygrad_rp.ops.elementwise import logical_and, where
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["TruncatedNormal"]


class TruncatedNormal(Distribution):
    """The normal distribution N(loc, scale²), of which only numbers between ``low`` and ``high`` are kept.

    All is right far out in the tails too: ``TruncatedNormal(0, 1, 100, inf)``.

    Args:
        loc: the mean before truncation.
        scale: the standard deviation before truncation, positive.
        low: the lower end; may be −∞.
        high: the upper end, greater than ``low``; may be ∞.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "low": constraints.dependent(is_discrete=False, event_dim=0),
        "high": constraints.dependent(is_discrete=False, event_dim=0),
    }
    may_be_infinite = ("low", "high")
    has_rsample = True
    in_scipy = staticmethod(
        lambda stats, loc, scale, low, high: stats.truncnorm((low - loc) / scale, (high - loc) / scale, loc, scale)
    )

    loc: Tensor
    scale: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, loc: Any, scale: Any, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self._begin({"loc": loc, "scale": scale, "low": low, "high": high}, validate_args=validate_args)
        if self._validate_args:
            need_order(self, self.low, self.high)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        return constraints.interval(self.low, self.high)

    def _standard(self, value: Tensor) -> Tensor:
        return (value - self.loc) / self.scale

    def _ends(self) -> tuple[Tensor, Tensor]:
        return self._standard_end(self.low), self._standard_end(self.high)

    def _standard_end(self, end: Tensor) -> Tensor:
        infinite = np.isinf(end._array)
        if not infinite.any():
            return self._standard(end)
        # an infinite end moves with nothing
        mask = wrap(infinite)
        return where(mask, wrap(end._array), self._standard(where(mask, self.loc, end)))

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        u = open_uniform(shape, self._dtype, generator)
        return self.icdf(u)

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._checked(value)
        inside = logical_and(value >= self.low, value <= self.high)
        density = normal_log_prob(value, self.loc, self.scale) - log_normal_mass(*self._ends())
        return where(inside, density, -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        return truncated_normal_cdf(self._standard(self._checked(value, "cdf")), *self._ends())

    def icdf(self, value: Tensor) -> Tensor:
        z = truncated_normal_quantile(self._checked_probability(value), *self._ends())
        # rounding must not lead outside
        return (self.loc + self.scale * z).clamp(self.low.detach(), self.high.detach())

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance before scaling, by Gauss and Legendre's sum over the part that counts."""
        a, b = self._ends()
        lower, upper = a._array.astype(np.float64), b._array.astype(np.float64)
        peak = np.clip(0.0, lower, upper)
        # e⁻⁴⁰ of the peak is left at these ends
        width = np.sqrt(peak * peak + 80.0) - np.abs(peak)
        below = np.where(peak == upper, width, np.sqrt(80.0) + 0 * width)
        above = np.where(peak == lower, width, np.sqrt(80.0) + 0 * width)
        first = where(wrap(lower >= peak - below), a, wrap((peak - below).astype(self._dtype)))
        last = where(wrap(upper <= peak + above), b, wrap((peak + above).astype(self._dtype)))
        nodes, weights = (wrap(x.astype(self._dtype)) for x in np.polynomial.legendre.leggauss(64))
        middle, half = (first + last) / 2, (last - first) / 2
        t = middle.unsqueeze(-1) + half.unsqueeze(-1) * nodes
        c = wrap(peak.astype(self._dtype)).unsqueeze(-1)
        density = weights * (-0.5 * (t - c) * (t + c)).exp()
        share = density / density.sum(-1, True)
        away = (share * (t - c)).sum(-1)
        return c.squeeze(-1) + away, (share * (t - c - away.unsqueeze(-1)) ** 2).sum(-1)

    def entropy(self) -> Tensor:
        mean, variance = self._moments()
        return self.scale.log() + log_normal_mass(*self._ends()) + 0.5 * (math.log(2 * math.pi) + mean**2 + variance)

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * self._moments()[0]

    @property
    def mode(self) -> Tensor:
        return self.loc.clamp(self.low, self.high)

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * self._moments()[1]
