"""The F distribution of Fisher and Snedecor."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, exp_within_range
from tinygrad_rp.distributions.gamma import log_gamma_sample
from tinygrad_rp.ops.cumulative import beta_cdf_logit, beta_quantile_logit, log_beta
from tinygrad_rp.ops.elementwise import where
from tinygrad_rp.ops.special import digamma
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["FisherSnedecor"]


class FisherSnedecor(Distribution):
    """The F distribution: of ``(χ₁²/df1) / (χ₂²/df2)``, two chi-squared numbers of these degrees of freedom.

    Args:
        df1: of the numerator, positive.
        df2: of the denominator, positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"df1": constraints.positive, "df2": constraints.positive}
    support = constraints.positive
    has_rsample = True
    in_scipy = staticmethod(lambda stats, df1, df2: stats.f(df1, df2))

    df1: Tensor
    df2: Tensor

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self._begin({"df1": df1, "df2": df2}, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        log = log_gamma_sample(self.df1 / 2, shape, generator) - log_gamma_sample(self.df2 / 2, shape, generator)
        return exp_within_range(log + (self.df2.log() - self.df1.log()))

    def log_prob(self, value: Tensor) -> Tensor:
        a, b, value = self.df1 / 2, self.df2 / 2, self._checked(value)
        ratio = self.df1 / self.df2
        return a * ratio.log() + (a - 1) * value.log() - (a + b) * (ratio * value).log1p() - log_beta(a, b)

    def cdf(self, value: Tensor) -> Tensor:
        logit = self._checked(value, "cdf").log() + (self.df1.log() - self.df2.log())
        return beta_cdf_logit(logit, self.df1 / 2, self.df2 / 2)

    def icdf(self, value: Tensor) -> Tensor:
        logit = beta_quantile_logit(self._checked_probability(value), self.df1 / 2, self.df2 / 2)
        return (logit + (self.df2.log() - self.df1.log())).exp()

    @property
    def mean(self) -> Tensor:
        """NaN where ``df2`` ≤ 2."""
        safe = where(self.df2 > 2, self.df2, 3.0)
        return where(self.df2 > 2, safe / (safe - 2), math.nan)

    @property
    def mode(self) -> Tensor:
        """NaN where ``df1`` ≤ 2."""
        peak = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return where(self.df1 > 2, peak, math.nan)

    @property
    def variance(self) -> Tensor:
        """NaN where ``df2`` ≤ 4."""
        safe = where(self.df2 > 4, self.df2, 5.0)
        spread = 2 * safe**2 * (self.df1 + safe - 2) / (self.df1 * (safe - 2) ** 2 * (safe - 4))
        return where(self.df2 > 4, spread, math.nan)

    def entropy(self) -> Tensor:
        a, b = self.df1 / 2, self.df2 / 2
        return (
            log_beta(a, b)
            + (self.df2.log() - self.df1.log())
            + (1 - a) * digamma(a)
            - (1 + b) * digamma(b)
            + (a + b) * digamma(a + b)
        )
