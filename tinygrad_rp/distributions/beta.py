"""The beta distribution."""

from __future__ import annotations

from typing import Any

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, within_unit
from tinygrad_rp.distributions.gamma import log_gamma_sample
from tinygrad_rp.ops.cumulative import beta_cdf_logit, beta_quantile_logit, log_beta
from tinygrad_rp.ops.elementwise import logical_and, logsigmoid, where, xlogy
from tinygrad_rp.ops.special import digamma
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Beta"]


class Beta(Distribution):
    """The beta distribution on [0, 1], of density proportional to ``x^(concentration1 − 1) · (1 − x)^(concentration0 − 1)``.

    A sample is ``G₁/(G₁ + G₀)`` of two gamma numbers, taken in logarithms; gradient passes as it does through those.

    Args:
        concentration1: positive.
        concentration0: positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True
    in_scipy = staticmethod(lambda stats, concentration1, concentration0: stats.beta(concentration1, concentration0))

    concentration1: Tensor
    concentration0: Tensor

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self._begin({"concentration1": concentration1, "concentration0": concentration0}, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        logit = log_gamma_sample(self.concentration1, shape, generator) - log_gamma_sample(
            self.concentration0, shape, generator
        )
        # as an exponential, sigmoid(x) has a gradient with all digits where it is nearly 1
        return within_unit(logsigmoid(logit).exp())

    def _log_normalizer(self) -> Tensor:
        return log_beta(self.concentration1, self.concentration0)

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._checked(value)
        return (
            xlogy(self.concentration1 - 1, value) + xlogy(self.concentration0 - 1, 1 - value) - self._log_normalizer()
        )

    def cdf(self, value: Tensor) -> Tensor:
        return beta_cdf_logit(self._checked(value, "cdf").logit(), self.concentration1, self.concentration0)

    def icdf(self, value: Tensor) -> Tensor:
        p = self._checked_probability(value)
        return beta_quantile_logit(p, self.concentration1, self.concentration0).sigmoid()

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        return self._log_normalizer() - (a - 1) * digamma(a) - (b - 1) * digamma(b) + (a + b - 2) * digamma(a + b)

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        """Of two peaks, at 0 and 1, the one at 1; NaN where both concentrations are 1."""
        a, b = self.concentration1, self.concentration0
        above, below = (a - 1).clamp(min=0), (b - 1).clamp(min=0)
        peaks = logical_and(a < 1, b < 1)
        return where(peaks, 1.0, above / where(peaks, 1.0, above + below))

    @property
    def variance(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        total = a + b
        return a * b / (total**2 * (total + 1))
