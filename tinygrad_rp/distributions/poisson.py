"""The Poisson distribution."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.bernoulli import Bernoulli
from tinygrad_rp.distributions.binomial import Binomial
from tinygrad_rp.distributions.distribution import Distribution
from tinygrad_rp.distributions.kl import register_kl
from tinygrad_rp.ops.cumulative import gammaincc
from tinygrad_rp.ops.density import deviance, poisson_log_prob
from tinygrad_rp.ops.elementwise import exp, floor, where
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["Poisson"]


class Poisson(Distribution):
    """The number of events that occur independently, ``rate`` of them on average.

    Args:
        rate: not negative, a tensor or a number.
        validate_args: whether to check the parameter.

    Raises:
        ValueError: the rate is negative, infinite or NaN somewhere.
    """

    arg_constraints = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer
    in_scipy = staticmethod(lambda stats, rate: stats.poisson(rate))

    rate: Tensor

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        self._begin({"rate": rate}, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """``rate``."""
        return self.rate

    @property
    def mode(self) -> Tensor:
        """``⌊rate⌋``."""
        return floor(self.rate)

    @property
    def variance(self) -> Tensor:
        """``rate``."""
        return self.rate

    def _sample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return wrap(generator.poisson(np.broadcast_to(self.rate._array, shape), self._dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        """``value · log rate − rate − log value!``, by Loader's equation 5 (2000) where the value is large."""
        return poisson_log_prob(self._checked(value), self.rate)

    def cdf(self, value: Tensor) -> Tensor:
        """The regularised upper incomplete gamma function ``Q(value + 1, rate)`` (Abramowitz and Stegun, 26.4.21)."""
        value = floor(self._checked(value, "cdf"))
        some = value > 0  # no event: e^−rate, which has a derivative at 0 too
        found = gammaincc(where(some, value, 1.0) + 1, self.rate)
        return where(some, found, where(value < 0, 0.0, exp(-self.rate)))


@register_kl(Poisson, Poisson)
def _of_two(p: Poisson, q: Poisson) -> Tensor:
    return deviance(p.rate, q.rate)


@register_kl(Bernoulli, Poisson)
def _of_bernoulli(p: Bernoulli, q: Poisson) -> Tensor:
    success, failure = p.probs, p._failure
    if not p._by_probs:  # flat where an outcome is impossible
        success, failure = (where(x == 0, 0.0, x) for x in (success, failure))
    return deviance(success, q.rate) + deviance(failure, 1.0)


@register_kl(Poisson, Bernoulli)
@register_kl(Poisson, Binomial)
def _of_bounded(p: Poisson, q: Bernoulli | Binomial) -> Tensor:
    """Infinite: any number is possible for p alone, unless it has no events at all."""
    return where(p.rate == 0, -q.log_prob(wrap(np.zeros((), p._dtype))), np.inf)
