"""The Dirichlet distribution."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, within_unit
from tinygrad_rp.distributions.gamma import log_gamma_sample
from tinygrad_rp.ops.cumulative import shares
from tinygrad_rp.ops.elementwise import where, xlogy
from tinygrad_rp.ops.special import digamma, lgamma
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["Dirichlet"]


class Dirichlet(Distribution):
    """The Dirichlet distribution over vectors of shares that sum to 1.

    A sample is the softmax of logarithms of gamma numbers, through which gradient passes as it does through those; also at
    concentrations so small that the numbers themselves could not be held.

    Args:
        concentration: positive, of shape (…, k).
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True

    concentration: Tensor

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        self._begin({"concentration": concentration}, event_shape=1, validate_args=validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        logs = log_gamma_sample(self.concentration, shape, generator)
        return within_unit(shares(logs), one=True)

    def log_prob(self, value: Tensor) -> Tensor:
        a = self.concentration
        return xlogy(a - 1, self._checked(value)).sum(-1) - self._log_normalizer()

    def _log_normalizer(self) -> Tensor:
        return lgamma(self.concentration).sum(-1) - lgamma(self.concentration.sum(-1))

    def entropy(self) -> Tensor:
        a, total = self.concentration, self.concentration.sum(-1)
        k = a.shape[-1]
        return self._log_normalizer() + (total - k) * digamma(total) - ((a - 1) * digamma(a)).sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Tensor:
        """Where all concentrations are below 1, there is a peak at each corner, and this is the first; NaN where all are 1."""
        above = (self.concentration - 1).clamp(min=0)
        corner = (self.concentration < 1).all(-1, True)
        first = np.zeros(self.concentration.shape, self._dtype)
        first[..., 0] = 1
        return where(corner, wrap(first), above / where(corner, 1.0, above.sum(-1, True)))

    @property
    def variance(self) -> Tensor:
        a, total = self.concentration, self.concentration.sum(-1, True)
        return a * (total - a) / (total**2 * (total + 1))
