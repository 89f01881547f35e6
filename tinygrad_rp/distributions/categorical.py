"""The categorical distribution: the number of one of several categories."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.kl import register_kl
from tinygrad_rp.distributions.probabilities import OfCategories
from tinygrad_rp.ops.density import categorical_entropy, categorical_entropy_of_logits
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, int64, wrap

__all__ = ["Categorical"]


class Categorical(OfCategories):
    """The number of a category, 0 to K − 1, as int64.

    Args:
        probs: weights of the categories along the last dimension, at least 0, which are divided by their sum.
        logits: logarithms of such weights, in their place; −∞ stands for an impossible category.
        validate_args: whether to check the parameters.

    Raises:
        ValueError: both or neither are given, there is no dimension, a weight is negative or no finite number, or all are 0.
    """

    has_enumerate_support = True
    remedies: ClassVar[tuple[str, ...]] = (
        "relax it (biased, less so at a low temperature): RelaxedOneHotCategorical(temperature, probs).rsample(), a vector",
        "straight through (biased): OneHotCategoricalStraightThrough(probs).rsample(), a vector",
    )

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._begin_categories(probs, logits, validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """The whole numbers from 0 to K − 1."""
        return constraints.integer_interval(0, self._categories - 1)

    @property
    def mean(self) -> Tensor:
        """NaN: the numbers of categories are names."""
        return wrap(np.full(tuple(self.batch_shape), np.nan, self._dtype))

    @property
    def mode(self) -> Tensor:
        """The most probable category, and the first of several such."""
        return self._given.argmax(-1)

    @property
    def variance(self) -> Tensor:
        """NaN, as `mean`."""
        return self.mean

    def _sample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return wrap(self._drawn(shape, generator))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of the category with the number ``value``."""
        return self._log_prob_of(self._checked(value))

    def entropy(self) -> Tensor:
        """``−Σ p·log p``."""
        return (categorical_entropy if self._by_probs else categorical_entropy_of_logits)(self._given)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All numbers. Arguments as for `Distribution.enumerate_support`."""
        return self._listed(np.arange(self._categories), expand).to(int64)


@register_kl(Categorical, Categorical)
def _of_two(p: Categorical, q: Categorical) -> Tensor:
    return p._category_divergence(q)
