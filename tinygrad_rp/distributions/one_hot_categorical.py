"""The categorical distribution of vectors: one 1, at a category, among zeros."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.kl import register_kl
from tinygrad_rp.distributions.probabilities import OfCategories
from tinygrad_rp.ops.density import categorical_entropy, categorical_entropy_of_logits
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["OneHotCategorical"]


class OneHotCategorical(OfCategories):
    """A vector with a 1 at one of K categories, and zeros.

    Args:
        probs: weights of the categories along the last dimension, at least 0, which are divided by their sum.
        logits: logarithms of such weights, in their place; −∞ stands for an impossible category.
        validate_args: whether to check the parameters.

    Raises:
        ValueError: both or neither are given, there is no dimension, a weight is negative or no finite number, or all are 0.
    """

    support = constraints.one_hot
    has_enumerate_support = True
    remedies: ClassVar[tuple[str, ...]] = (
        "straight through (biased): OneHotCategoricalStraightThrough(probs).rsample()",
        "relax it (biased, less so at a low temperature): RelaxedOneHotCategorical(temperature, probs).rsample()",
    )

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._begin_categories(probs, logits, validate_args, events=1)

    @property
    def mean(self) -> Tensor:
        """``probs``."""
        return self.probs

    @property
    def mode(self) -> Tensor:
        """The most probable vector, and the first of several such."""
        return wrap(self._hot(self._given._array.argmax(-1)))

    @property
    def variance(self) -> Tensor:
        """``probs · (1 − probs)``."""
        return self.probs * (1 - self.probs)

    def _hot(self, index: Any) -> Any:
        return (index[..., None] == np.arange(self._categories)).astype(self._dtype)

    def _sample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return wrap(self._hot(self._drawn(shape[:-1], generator)))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of the category at which ``value`` has its 1."""
        return self._log_prob_of(self._checked(value).argmax(-1))

    def entropy(self) -> Tensor:
        """``−Σ p·log p``."""
        return (categorical_entropy if self._by_probs else categorical_entropy_of_logits)(self._given)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All vectors. Arguments as for `Distribution.enumerate_support`."""
        return self._listed(np.eye(self._categories), expand)


@register_kl(OneHotCategorical, OneHotCategorical)
def _of_two(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return p._category_divergence(q)
