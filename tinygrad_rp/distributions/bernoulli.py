"""The Bernoulli distribution: 1 or 0."""

from __future__ import annotations

from typing import Any, ClassVar

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.kl import register_kl
from tinygrad_rp.distributions.probabilities import OfTrials
from tinygrad_rp.ops.density import (
    bernoulli_entropy,
    bernoulli_entropy_of_probs,
    bernoulli_kl,
    bernoulli_log_prob,
    bernoulli_log_prob_of_probs,
)
from tinygrad_rp.ops.elementwise import where
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["Bernoulli"]


class Bernoulli(OfTrials):
    """1 with the probability ``probs``, and else 0.

    Args:
        probs: in [0, 1], a tensor or a number.
        logits: ``log(probs / (1 − probs))``, in its place; ±∞ stands for a certain outcome.
        validate_args: whether to check the parameters.

    Raises:
        ValueError: both or neither are given, a probability lies outside of [0, 1], or a logit is NaN.
    """

    support = constraints.boolean
    has_enumerate_support = True
    remedies: ClassVar[tuple[str, ...]] = (
        "straight through (biased): BernoulliStraightThrough(probs).rsample()",
        "relax it (biased, less so at a low temperature): RelaxedBernoulli(temperature, probs).rsample()",
    )
    in_scipy = staticmethod(lambda stats, probs: stats.bernoulli(probs))

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._begin_trials(probs, logits, validate_args)

    @property
    def mean(self) -> Tensor:
        """``probs``."""
        return self.probs

    @property
    def mode(self) -> Tensor:
        """The more probable of 0 and 1; NaN where they are equally so."""
        given, middle = self._given, 0.5 if self._by_probs else 0.0
        return where(given == middle, float("nan"), (given > middle).to(self._dtype))

    @property
    def variance(self) -> Tensor:
        """``probs · (1 − probs)``."""
        return self.probs * self._failure

    def _sample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return wrap(generator.bernoulli(self._doubles[0], shape, self._dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        """``log probs`` at 1, and ``log(1 − probs)`` at 0."""
        log_prob = bernoulli_log_prob_of_probs if self._by_probs else bernoulli_log_prob
        return log_prob(self._checked(value), self._given)

    def cdf(self, value: Tensor) -> Tensor:
        """``1 − probs`` at 0, and 1 at 1."""
        value = self._checked(value, "cdf")
        return where(value < 0, 0.0, where(value < 1, self._failure, 1.0))

    def entropy(self) -> Tensor:
        """``−p·log p − (1 − p)·log(1 − p)``, p the probability."""
        return (bernoulli_entropy_of_probs if self._by_probs else bernoulli_entropy)(self._given)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0 and 1. Arguments as for `Distribution.enumerate_support`."""
        return self._listed([0.0, 1.0], expand)


@register_kl(Bernoulli, Bernoulli)
def _of_two(p: Bernoulli, q: Bernoulli) -> Tensor:
    if not p._by_probs and not q._by_probs:
        return bernoulli_kl(p._given, q._given)
    return p._trial_divergence(q)
