"""Student's t distribution."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, exp_within_range, log_one_plus_square, noise
from tinygrad_rp.distributions.gamma import log_gamma_sample
from tinygrad_rp.ops.cumulative import log_beta, student_cdf, student_quantile
from tinygrad_rp.ops.elementwise import where
from tinygrad_rp.ops.special import digamma
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["StudentT"]


class StudentT(Distribution):
    """Student's t distribution: of ``loc + scale · ε/√(χ²/df)``, with ε standard normal and χ² chi-squared.

    Args:
        df: the degrees of freedom, positive.
        loc: the median.
        scale: positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    in_scipy = staticmethod(lambda stats, df, loc, scale: stats.t(df, loc, scale))

    df: Tensor
    loc: Tensor
    scale: Tensor

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self._begin({"df": df, "loc": loc, "scale": scale}, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        half = 0.5 * self.df
        normal = noise("normal", shape, self._dtype, generator)
        # the root of a ratio: far from the greatest number, so that normal numbers can be multiplied with it
        ratio = exp_within_range(half.log() - log_gamma_sample(half, shape, generator))
        return self.loc + self.scale * (normal * ratio.sqrt())

    def _standard(self, value: Tensor) -> Tensor:
        return (value - self.loc) / self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        df, y = self.df, self._standard(self._checked(value))
        norm = self.scale.log() + (0.5 * df.log() + log_beta(0.5 * df, 0.5))
        return -0.5 * (df + 1) * log_one_plus_square(y * df.rsqrt()) - norm

    def cdf(self, value: Tensor) -> Tensor:
        return student_cdf(self._standard(self._checked(value, "cdf")), self.df)

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * student_quantile(self._checked_probability(value), self.df)

    def entropy(self) -> Tensor:
        half, more = 0.5 * self.df, 0.5 * (self.df + 1)
        norm = 0.5 * self.df.log() + log_beta(half, 0.5)
        return self.scale.log() + more * (digamma(more) - digamma(half)) + norm

    @property
    def mean(self) -> Tensor:
        """NaN where ``df`` ≤ 1: there is none."""
        return where(self.df > 1, self.loc, math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Infinite where 1 < ``df`` ≤ 2, and NaN below: there is none."""
        finite = self.df > 2
        safe = where(finite, self.df, 3.0)
        return where(finite, self.scale**2 * (safe / (safe - 2)), where(self.df > 1, math.inf, math.nan))
