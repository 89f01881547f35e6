"""Relaxations of the Bernoulli distribution, through whose samples a gradient passes: the binary Concrete distribution.

C. Maddison, A. Mnih and Y. W. Teh, "The Concrete distribution: a continuous relaxation of discrete random variables", 2017;
E. Jang, S. Gu and B. Poole, "Categorical reparameterization with Gumbel-softmax", 2017.
"""

from __future__ import annotations

from typing import Any

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import within_unit
from tinygrad_rp.distributions.logistic import logistic_noise
from tinygrad_rp.distributions.probabilities import OfTrials
from tinygrad_rp.ops.density import relaxed_bernoulli_log_prob
from tinygrad_rp.ops.elementwise import log, logsigmoid, sigmoid
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["LogitRelaxedBernoulli", "RelaxedBernoulli"]


class _Relaxed(OfTrials):
    arg_constraints = {**OfTrials.arg_constraints, "temperature": constraints.positive}
    has_rsample = True

    temperature: Tensor

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._begin_trials(probs, logits, validate_args, temperature=temperature)

    def _noisy(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """``(logits + L) / temperature``, with logistic noise L, which is never infinite."""
        return (self._scores + logistic_noise(shape, self._dtype, generator)) / self.temperature


class LogitRelaxedBernoulli(_Relaxed):
    """The logarithm of the odds of a `RelaxedBernoulli`: a logistic number around ``logits / temperature``.

    Nothing is rounded here to a certain outcome, which makes it the form to compute with at low temperatures.

    Args:
        temperature: positive, a tensor or a number.
        probs: the probability of 1, in [0, 1].
        logits: ``log(probs / (1 − probs))``, in its place.
        validate_args: whether to check the parameters.

    Raises:
        ValueError: the temperature is not positive, both or neither of ``probs`` and ``logits`` are given, a probability lies
            outside of [0, 1], or the shapes do not broadcast.
    """

    support = constraints.real

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return self._noisy(shape, generator)

    def log_prob(self, value: Tensor) -> Tensor:
        """``log τ + d − 2·log(1 + e^d)``, d = logits − τ·value (Maddison, Mnih and Teh 2017, equation 25)."""
        place = self._scores - self._checked(value) * self.temperature
        return log(self.temperature) + logsigmoid(place) + logsigmoid(-place)


class RelaxedBernoulli(_Relaxed):
    """A number between 0 and 1, close to one of them at low temperatures, and to 1 with the probability ``probs``.

    Args:
        temperature: positive, a tensor or a number.
        probs: the probability of 1, in [0, 1].
        logits: ``log(probs / (1 − probs))``, in its place; ±∞ stands for a certain outcome.
        validate_args: whether to check the parameters.

    Raises:
        ValueError: the temperature is not positive, both or neither of ``probs`` and ``logits`` are given, a probability lies
            outside of [0, 1], or the shapes do not broadcast.
    """

    support = constraints.unit_interval

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """``sigmoid((logits + L) / temperature)``, with logistic noise L; what is 0 or 1 for the dtype is the number beside."""
        return within_unit(sigmoid(self._noisy(shape, generator)))

    def log_prob(self, value: Tensor) -> Tensor:
        """The density of the binary Concrete distribution (Maddison, Mnih and Teh 2017, equation 26).

        At 0 and 1, to which a sample may be rounded, it is the limit of the density: ∞ at temperatures below 1, −∞ above, finite
        at 1. A certain outcome has ∞, and all else −∞. `LogitRelaxedBernoulli` has finite ones everywhere.
        """
        return relaxed_bernoulli_log_prob(self._checked(value), self.temperature, self._scores)
