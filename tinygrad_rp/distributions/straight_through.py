"""Straight-through samples of discrete distributions: the value is the sample itself, and the gradient that of the probabilities.

Y. Bengio, N. Léonard and A. Courville, "Estimating or propagating gradients through stochastic neurons for conditional
computation", 2013. The gradient is biased: it is that of another cost, in which the probabilities stand for the sample.
"""

from __future__ import annotations

from tinygrad_rp.distributions.bernoulli import Bernoulli
from tinygrad_rp.distributions.distribution import Distribution
from tinygrad_rp.distributions.one_hot_categorical import OneHotCategorical
from tinygrad_rp.graph import Stop
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["BernoulliStraightThrough", "OneHotCategoricalStraightThrough"]

_BESIDE = (
    "Straight-through, as intended: the sample itself has no gradient, and the edge beside it hands a biased one to the "
    "probabilities."
)


class _StraightThrough(Distribution):
    has_rsample = True

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """``sample + (probs − probs.detach())``: exactly the sample, with a live edge to the probabilities."""
        stop = Stop("missing", _BESIDE, tuple(self._remedies()[1:]))
        drawn = wrap(self._sample(shape, generator)._array, None, self._sources(stop))
        probs = self.mean
        return drawn + (probs - wrap(probs._array.copy()))

    def _remedies(self) -> list[str]:
        return [f"{type(self).__name__}(…).rsample(), straight through (biased)", *super()._remedies()[1:]]


class BernoulliStraightThrough(_StraightThrough, Bernoulli):
    """A `Bernoulli` whose ``rsample`` hands its gradient to the probability as it is. Arguments and errors as there."""

    remedies = Bernoulli.remedies[1:]


class OneHotCategoricalStraightThrough(_StraightThrough, OneHotCategorical):
    """A `OneHotCategorical` whose ``rsample`` hands its gradient to the probabilities as it is. Arguments and errors as there."""

    remedies = OneHotCategorical.remedies[1:]
