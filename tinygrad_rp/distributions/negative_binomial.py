"""The negative binomial distribution: successes before a number of failures."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import offending
from tinygrad_rp.distributions.probabilities import OfTrials
from tinygrad_rp.ops.cumulative import beta_cdf_logit
from tinygrad_rp.ops.density import trials_log_prob, trials_log_prob_of_probs
from tinygrad_rp.ops.elementwise import clamp_min, floor, log1p, logical_and, where
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["NegativeBinomial"]


class NegativeBinomial(OfTrials):
    """How many independent trials, each with the probability ``probs``, succeed before ``total_count`` of them have failed.

    Args:
        total_count: how many failures, not negative; it need not be whole. A tensor or a number.
        probs: of success, in [0, 1); it broadcasts with ``total_count``.
        logits: ``log(probs / (1 − probs))``, in its place; −∞ stands for certain failure.
        validate_args: whether to check the parameters.

    Raises:
        ValueError: both or neither of ``probs`` and ``logits`` are given, a parameter does not fit its constraint, or the
            shapes do not broadcast.
    """

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer
    in_scipy = staticmethod(lambda stats, total_count, probs: stats.nbinom(total_count, 1 - probs))

    total_count: Tensor

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._begin_counted_trials(total_count, probs, logits, validate_args)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        fits = self._given._array < np.inf
        if not fits.all():
            raise ValueError(
                f"NegativeBinomial: logits must be less than inf, or no trial fails, but {offending(self._given, fits)}"
            )

    @property
    def _odds(self) -> Tensor:
        return self.probs / self._failure if self._by_probs else self._given.exp()

    @property
    def mean(self) -> Tensor:
        """``total_count · probs / (1 − probs)``."""
        return self.total_count * self._odds

    @property
    def mode(self) -> Tensor:
        """``⌊(total_count − 1) · probs / (1 − probs)⌋``, and at least 0."""
        return clamp_min(floor((self.total_count - 1) * self._odds), 0.0)

    @property
    def variance(self) -> Tensor:
        """``total_count · probs / (1 − probs)²``."""
        return self.mean / self._failure

    def _sample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """A Poisson number whose rate is a gamma number (Greenwood and Yule 1920)."""
        counts = np.broadcast_to(self.total_count._array.astype(np.float64), shape)
        success, failure = self._doubles
        rate = np.where(counts > 0, generator.gamma(np.where(counts > 0, counts, 1.0)) * (success / failure), 0.0)
        return wrap(np.asarray(generator.poisson(rate), self._dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        """``log(Γ(k + r) / k! Γ(r)) + k·log p + r·log(1 − p)``: a binomial number of trials, of which the last is a failure."""
        value = self._checked(value)
        log_prob = trials_log_prob_of_probs if self._by_probs else trials_log_prob
        share = log1p(value / where(value == 0, 1.0, self.total_count))
        return log_prob(value, self.total_count, self._given) - share

    def cdf(self, value: Tensor) -> Tensor:
        """The regularised incomplete beta function ``I_{1−p}(r, k + 1)`` (Abramowitz and Stegun, 26.5.26)."""
        value = floor(self._checked(value, "cdf"))
        inside = logical_and(value >= 0, self.total_count > 0)
        found = beta_cdf_logit(-self.logits, where(inside, self.total_count, 1.0), where(inside, value, 0.0) + 1)
        return where(inside, found, (value >= 0).to(self._dtype))
