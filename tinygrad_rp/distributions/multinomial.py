"""The multinomial distribution: how often each category comes up."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.probabilities import OfCategories
from tinygrad_rp.ops.density import (
    categorical_entropy,
    categorical_entropy_of_logits,
    multinomial_log_prob,
    multinomial_log_prob_of_logits,
    trials_log_prob_of_probs,
)
from tinygrad_rp.ops.elementwise import exp
from tinygrad_rp.ops.special import lgamma
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["Multinomial"]


class Multinomial(OfCategories):
    """How often each of K categories comes up in ``total_count`` independent trials.

    Args:
        total_count: how many trials, an integer.
        probs: weights of the categories along the last dimension, at least 0, which are divided by their sum.
        logits: logarithms of such weights, in their place; −∞ stands for an impossible category.
        validate_args: whether to check the parameters.

    Raises:
        NotImplementedError: ``total_count`` is no integer.
        ValueError: it is negative; both or neither of ``probs`` and ``logits`` are given, there is no dimension, a weight is
            negative or no finite number, or all of them are 0.
    """

    remedies = (
        "relax its trials (biased): RelaxedOneHotCategorical(temperature, probs).rsample((total_count,)).sum(0)",
        "straight through its trials (biased): OneHotCategoricalStraightThrough(probs).rsample((total_count,)).sum(0)",
    )

    total_count: int

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        if isinstance(total_count, bool) or not isinstance(total_count, int | np.integer):
            raise NotImplementedError(
                f"Multinomial: total_count must be an integer, the same for the whole batch, not {type(total_count).__name__}"
            )
        if total_count < 0:
            raise ValueError(f"Multinomial: total_count must not be negative, and is {total_count}")
        self.total_count = int(total_count)
        self._begin_categories(probs, logits, validate_args, events=1)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        """Counts that sum to ``total_count``."""
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Tensor:
        """``total_count · probs``."""
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        """``total_count · probs · (1 − probs)``."""
        return self.total_count * self.probs * (1 - self.probs)

    def _sample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """Category after category: binomial numbers of the trials that are left (Devroye 1986, XI.1.4)."""
        weights = np.broadcast_to(self._weights, shape)
        rest = np.cumsum(weights[..., ::-1], -1)[..., ::-1]  # of this category and those after it
        share = np.divide(weights, rest, out=np.zeros(shape), where=rest > 0)
        left = np.full(shape[:-1], float(self.total_count))
        counts = np.empty(shape, self._dtype)
        for category in range(self._categories):
            drawn = generator.binomial(left, np.minimum(share[..., category], 1.0))
            counts[..., category] = drawn
            left = left - drawn
        return wrap(counts)

    def log_prob(self, value: Tensor) -> Tensor:
        """``log(n! / ∏ kᵢ!) + Σ kᵢ·log pᵢ``, for counts kᵢ that sum to n."""
        counts = self._checked(value).to(self._dtype)
        return (multinomial_log_prob if self._by_probs else multinomial_log_prob_of_logits)(counts, self._given)

    def entropy(self) -> Tensor:
        """``n·H − log n! + Σᵢ E[log kᵢ!]``, H the entropy of one trial, and the mean taken over the binomial numbers kᵢ."""
        n = self.total_count
        one = (categorical_entropy if self._by_probs else categorical_entropy_of_logits)(self._given)
        shape = (-1, *(1,) * (len(self.batch_shape) + 1))
        counts = wrap(np.arange(2.0, n + 1, dtype=self._dtype).reshape(shape))  # 0! and 1! count for nothing
        chances = exp(trials_log_prob_of_probs(counts, n - counts, self.probs))
        total = wrap(np.asarray(n + 1, self._dtype))
        return n * one - lgamma(total) + (chances * lgamma(counts + 1)).sum((0, -1))
