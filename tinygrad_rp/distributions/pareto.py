"""The Pareto distribution."""

from __future__ import annotations

from typing import Any

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, exp_within_range, noise
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Pareto"]


class Pareto(Distribution):
    """The Pareto distribution, of density ``alpha · scale^alpha / x^(alpha + 1)`` for x ≥ scale.

    Args:
        scale: the least value, positive.
        alpha: the exponent of the tail, positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"scale": constraints.positive, "alpha": constraints.positive}
    has_rsample = True
    in_scipy = staticmethod(lambda stats, scale, alpha: stats.pareto(alpha, scale=scale))

    scale: Tensor
    alpha: Tensor

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self._begin({"scale": scale, "alpha": alpha}, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        return constraints.greater_than_eq(self.scale)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return exp_within_range(self.scale.log() + noise("exponential", shape, self._dtype, generator) / self.alpha)

    def log_prob(self, value: Tensor) -> Tensor:
        log = self._checked(value).log()
        return self.alpha.log() - log - self.alpha * (log - self.scale.log())

    def cdf(self, value: Tensor) -> Tensor:
        return -(self.alpha * (self.scale.log() - self._checked(value, "cdf").log())).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        return self.scale * (-(-self._checked_probability(value)).log1p() / self.alpha).exp()

    def entropy(self) -> Tensor:
        return (self.scale / self.alpha).log() + (1 + 1 / self.alpha)

    @property
    def mean(self) -> Tensor:
        """Infinite where ``alpha`` ≤ 1."""
        a = self.alpha.clamp(min=1)
        return a * self.scale / (a - 1)

    @property
    def mode(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        """Infinite where ``alpha`` ≤ 2."""
        a = self.alpha.clamp(min=2)
        return self.scale**2 * a / ((a - 1) ** 2 * (a - 2))
