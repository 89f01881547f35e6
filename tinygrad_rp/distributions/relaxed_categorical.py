"""Relaxations of the categorical distribution, through whose samples a gradient passes: the Concrete distribution.

C. Maddison, A. Mnih and Y. W. Teh, "The Concrete distribution: a continuous relaxation of discrete random variables", 2017;
E. Jang, S. Gu and B. Poole, "Categorical reparameterization with Gumbel-softmax", 2017.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import noise, offending
from tinygrad_rp.distributions.probabilities import OfCategories
from tinygrad_rp.ops.elementwise import log, where
from tinygrad_rp.ops.reduce import log_softmax, logsumexp, softmax
from tinygrad_rp.ops.special import lgamma
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, get_default_dtype, tensor, wrap

__all__ = ["ExpRelaxedCategorical", "RelaxedOneHotCategorical"]


class _Temperature(constraints.Constraint):
    """Positive numbers, one for all categories: of shape (…, 1)."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return wrap(np.asarray((value._array > 0).all(-1)))

    def __str__(self) -> str:
        return "positive"


class _Relaxed(OfCategories):
    arg_constraints = {**OfCategories.arg_constraints, "temperature": _Temperature()}
    has_rsample = True

    temperature: Tensor

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        name = type(self).__name__
        if isinstance(temperature, Tensor):
            shape = temperature.shape
            if shape and shape[-1] != 1:
                raise ValueError(
                    f"{name}: temperature must be a number, or have a last dimension of length 1, that of the categories, and "
                    f"has shape {list(shape)}; use unsqueeze(-1)"
                )
            temperature = temperature if shape else temperature.reshape(1)
        elif isinstance(temperature, int | float | np.number):
            given = probs if logits is None else logits
            floating = isinstance(given, Tensor) and given.is_floating_point()
            temperature = tensor([float(temperature)], dtype=given.dtype if floating else get_default_dtype())
        self._begin_categories(probs, logits, validate_args, events=1, temperature=temperature)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        given = self.temperature._array
        fits = np.asarray((given > 0) & (given < np.inf))
        if not fits.all():
            raise ValueError(
                f"{type(self).__name__}: temperature must be positive and finite, but {offending(self.temperature, fits)}"
            )

    def _noisy(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """``(logits + G) / temperature``, with Gumbel noise G, which is never infinite."""
        return (self._scores + noise("gumbel", shape, self._dtype, generator)) / self.temperature

    def _log_density(self, log_value: Tensor, gone: Any) -> Tensor:
        """That of the logarithms of a sample.

        Args:
            log_value: the logarithms; any finite number where an element is 0.
            gone: where elements are 0, an array.
        """
        possible = self._scores._array > -np.inf
        zeros = gone & possible
        # elements that are 0 outweigh the others
        heavy = wrap(possible & (zeros | ~zeros.any(-1, keepdims=True)))
        there, k = wrap(possible), wrap(np.asarray(possible.sum(-1), self._dtype))
        place = where(there, self._scores, 0.0) - self.temperature * where(there, log_value, 0.0)
        scale = lgamma(k) + (k - 1) * log(self.temperature.squeeze(-1))
        return scale + place.sum(-1) - k * logsumexp(where(heavy, place, -np.inf), -1)


class ExpRelaxedCategorical(_Relaxed):
    """The logarithms of a `RelaxedOneHotCategorical`.

    No element is rounded to 0 here, which makes it the form to compute with at low temperatures.

    Args:
        temperature: positive: a number, or a tensor whose last dimension, that of the categories, is 1.
        probs: weights of the categories along the last dimension, at least 0, which are divided by their sum.
        logits: logarithms of such weights, in their place; −∞ stands for an impossible category.
        validate_args: whether to check the parameters.

    Raises:
        ValueError: the temperature is not positive or has another shape, both or neither of ``probs`` and ``logits`` are given, a
            weight is negative or no finite number, or all of them are 0.
    """

    support = constraints.real_vector

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return log_softmax(self._noisy(shape, generator), -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """``log((K − 1)! τ^(K−1)) + Σᵢ sᵢ − K·log Σᵢ e^sᵢ``, sᵢ = logitsᵢ − τ·valueᵢ (Maddison et al. 2017, equation 24)."""
        value = self._checked(value)
        gone = np.zeros(np.broadcast_shapes(value._array.shape, self._given._array.shape), bool)
        return self._log_density(value, gone)


class RelaxedOneHotCategorical(_Relaxed):
    """A vector of K numbers, at least 0, that sum to 1: close to a `OneHotCategorical` at low temperatures.

    Args:
        temperature: positive: a number, or a tensor whose last dimension, that of the categories, is 1.
        probs: weights of the categories along the last dimension, at least 0, which are divided by their sum.
        logits: logarithms of such weights, in their place; −∞ stands for an impossible category.
        validate_args: whether to check the parameters.

    Raises:
        ValueError: the temperature is not positive or has another shape, both or neither of ``probs`` and ``logits`` are given, a
            weight is negative or no finite number, or all of them are 0.
    """

    support = constraints.simplex

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """``softmax((logits + G) / temperature)``, with Gumbel noise G.

        What was rounded to 0, but for impossible categories, is the least normal number, so that a logarithm may follow.
        """
        soft = softmax(self._noisy(shape, generator), -1)
        least = float(np.finfo(self._dtype).tiny)
        lost = (soft._array < least) & self._possible
        return where(wrap(lost), least, soft) if lost.any() else soft

    @property
    def _possible(self) -> Any:
        """Where the weight of a category is not 0."""
        return self._given._array > (0 if self._by_probs else -np.inf)

    def log_prob(self, value: Tensor) -> Tensor:
        """The density of the Concrete distribution (Maddison, Mnih and Teh 2017, equation 10).

        Where m elements are 0, it is the limit as they go there together: ∞ for
        m > (K − m)·temperature, −∞ if it is less. Impossible categories do not count: it is the density of the others, and −∞
        where one of them is not 0. `ExpRelaxedCategorical` has finite densities everywhere.
        """
        value = self._checked(value)
        array, possible = np.broadcast_arrays(value._array, self._possible)
        gone = array == 0
        zeros = gone & possible
        m, k = zeros.sum(-1), possible.sum(-1)
        rise = m - (k - m) * self.temperature._array[..., 0]
        limit = np.where((m == 0) | (rise == 0), 0.0, np.where(rise > 0, np.inf, -np.inf))
        limit = np.where((~gone & ~possible).any(-1), -np.inf, limit).astype(self._dtype)
        known = wrap(np.asarray(gone | ~possible))
        logs = log(where(known, 1.0, value))
        return self._log_density(logs, gone) - logs.sum(-1) + wrap(limit)
