"""The geometric distribution: failures before the first success."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import offending
from tinygrad_rp.distributions.kl import register_kl
from tinygrad_rp.distributions.probabilities import OfTrials
from tinygrad_rp.ops.density import (
    bernoulli_entropy,
    bernoulli_entropy_of_probs,
    geometric_log_prob,
    geometric_log_prob_of_probs,
)
from tinygrad_rp.ops.elementwise import expm1, floor, where
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, float64, wrap

__all__ = ["Geometric"]


class Geometric(OfTrials):
    """How many independent trials fail before the first success, which has the probability ``probs`` in each.

    Args:
        probs: of success, in (0, 1], a tensor or a number.
        logits: ``log(probs / (1 − probs))``, in its place; ∞ stands for certain success.
        validate_args: whether to check the parameters.

    Raises:
        ValueError: both or neither are given, or a probability is 0 or lies outside of [0, 1].
    """

    support = constraints.nonnegative_integer
    in_scipy = staticmethod(lambda stats, probs: stats.geom(probs, loc=-1))

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._begin_trials(probs, logits, validate_args)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        name, least = ("probs", 0) if self._by_probs else ("logits", -np.inf)
        fits = self._given._array > least
        if not fits.all():
            raise ValueError(
                f"Geometric: {name} must be greater than {least}, or no trial succeeds, but {offending(self._given, fits)}"
            )

    @property
    def _odds_of_failure(self) -> Tensor:
        return self._failure / self.probs if self._by_probs else (-self._given).exp()

    @property
    def mean(self) -> Tensor:
        """``(1 − probs) / probs``."""
        return self._odds_of_failure

    @property
    def mode(self) -> Tensor:
        """0."""
        return wrap(np.zeros_like(self._given._array))

    @property
    def variance(self) -> Tensor:
        """``(1 − probs) / probs²``."""
        return self._odds_of_failure / self.probs

    def _sample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """The whole part of an exponential number of rate ``−log(1 − probs)`` (Devroye 1986, X.2.1)."""
        waited = generator.exponential(shape, float64) / -self._log_failure._array.astype(float64)
        return wrap(np.asarray(np.floor(waited), self._dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        """``log probs + value · log(1 − probs)``."""
        log_prob = geometric_log_prob_of_probs if self._by_probs else geometric_log_prob
        return log_prob(self._checked(value), self._given)

    def cdf(self, value: Tensor) -> Tensor:
        """``1 − (1 − probs)^(value + 1)``."""
        value = floor(self._checked(value, "cdf"))
        inside = value >= 0
        return where(inside, -expm1((where(inside, value, 0.0) + 1) * self._log_failure), 0.0)

    def entropy(self) -> Tensor:
        """That of a trial, for each trial: ``(−p·log p − (1 − p)·log(1 − p)) / p``."""
        return (bernoulli_entropy_of_probs if self._by_probs else bernoulli_entropy)(self._given) / self.probs


@register_kl(Geometric, Geometric)
def _of_two(p: Geometric, q: Geometric) -> Tensor:
    return p._trial_divergence(q) / p.probs
