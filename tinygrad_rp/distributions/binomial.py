"""The binomial distribution: how many of several trials succeed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.kl import register_kl
from tinygrad_rp.distributions.probabilities import OfTrials
from tinygrad_rp.ops.cumulative import beta_cdf_logit
from tinygrad_rp.ops.density import trials_log_prob, trials_log_prob_of_probs
from tinygrad_rp.ops.elementwise import clamp, exp, floor, logical_and, where
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["Binomial"]


class Binomial(OfTrials):
    """How many of ``total_count`` independent trials succeed, each with the probability ``probs``.

    Args:
        total_count: how many trials, a tensor or a number.
        probs: of success, in [0, 1]; it broadcasts with ``total_count``.
        logits: ``log(probs / (1 − probs))``, in its place; ±∞ stands for a certain outcome.
        validate_args: whether to check the parameters.

    Raises:
        ValueError: both or neither of ``probs`` and ``logits`` are given, a parameter does not fit its constraint, or the
            shapes do not broadcast.
    """

    arg_constraints = {"total_count": constraints.nonnegative_integer, **OfTrials.arg_constraints}
    has_enumerate_support = True
    remedies = (
        "relax its trials (biased): RelaxedBernoulli(temperature, probs).rsample((total_count,)).sum(0)",
        "straight through its trials (biased): BernoulliStraightThrough(probs).rsample((total_count,)).sum(0)",
    )
    in_scipy = staticmethod(lambda stats, total_count, probs: stats.binom(total_count, probs))

    total_count: Tensor

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._begin_counted_trials(total_count, probs, logits, validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """The whole numbers from 0 to ``total_count``."""
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        """``total_count · probs``."""
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        """``⌊(total_count + 1) · probs⌋``, and at most ``total_count``."""
        return clamp(floor((self.total_count + 1) * self.probs), max=self.total_count)

    @property
    def variance(self) -> Tensor:
        """``total_count · probs · (1 − probs)``."""
        return self.total_count * self.probs * self._failure

    def _sample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        counts, probs = (np.broadcast_to(a, shape) for a in (self.total_count._array, self._doubles[0]))
        return wrap(np.asarray(generator.binomial(counts, probs), self._dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        """``log(n! / k! (n − k)!) + k·log p + (n − k)·log(1 − p)``, by Loader's equation 3 (2000) where n is large."""
        log_prob = trials_log_prob_of_probs if self._by_probs else trials_log_prob
        return log_prob(self._checked(value), self.total_count - value, self._given)

    def cdf(self, value: Tensor) -> Tensor:
        """The regularised incomplete beta function ``I_{1−p}(n − k, k + 1)`` (Abramowitz and Stegun, 26.5.24)."""
        value = floor(self._checked(value, "cdf"))
        left = self.total_count - value
        inside = logical_and(left > 0, value >= 0)
        found = beta_cdf_logit(-self.logits, where(inside, left, 1.0), where(inside, value, 1.0) + 1)
        return where(inside, found, (left <= 0).to(self._dtype))

    def entropy(self) -> Tensor:
        """The sum of ``−P log P`` over all counts."""
        most = self.total_count._array.max(initial=0)
        counts = wrap(np.arange(most + 1, dtype=self._dtype).reshape(-1, *(1,) * len(self.batch_shape)))
        log_prob = trials_log_prob_of_probs if self._by_probs else trials_log_prob
        logs = log_prob(counts, self.total_count - counts, self._given)  # −∞ beyond the total
        return -(exp(logs) * where(logs == -np.inf, 0.0, logs)).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All counts. Arguments as for `Distribution.enumerate_support`.

        Raises:
            NotImplementedError: the elements of ``total_count`` differ.
        """
        counts = self.total_count._array
        if counts.size and counts.min() != counts.max():
            raise NotImplementedError(
                "Binomial.enumerate_support(): the counts differ within the batch, so there is no common support"
            )
        return self._listed(np.arange(counts.max(initial=0) + 1), expand)


@register_kl(Binomial, Binomial)
def _of_two(p: Binomial, q: Binomial) -> Tensor:
    if (p.total_count._array < q.total_count._array).any():
        raise NotImplementedError(
            "kl_divergence(): there is no formula for two binomial distributions of which the second has the greater total_count"
        )
    same = p.total_count == q.total_count
    # more trials than q allows for, unless none of them succeeds
    beyond = where(p.probs == 0, -q.log_prob(wrap(np.zeros((), q._dtype))), np.inf)
    return where(same, p.total_count * p._trial_divergence(q), beyond)
