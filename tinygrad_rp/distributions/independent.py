"""Dimensions of a batch, taken as parts of one event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, sum_rightmost
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Independent"]


class Independent(Distribution):
    """A distribution whose last batch dimensions are taken as dimensions of one event: the parts are independent.

    Args:
        base_distribution: of the parts.
        reinterpreted_batch_ndims: how many batch dimensions become event dimensions.
        validate_args: whether to check values.

    Raises:
        ValueError: there are not so many batch dimensions.
    """

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        if not isinstance(base_distribution, Distribution):
            raise TypeError(
                f"Independent: base_distribution must be a Distribution, not {type(base_distribution).__name__}"
            )
        count = len(base_distribution.batch_shape)
        if not 0 <= reinterpreted_batch_ndims <= count:
            raise ValueError(
                f"Independent: reinterpreted_batch_ndims must be between 0 and {count}, the number of batch dimensions of "
                f"base_distribution, and is {reinterpreted_batch_ndims}"
            )
        shape = base_distribution.batch_shape + base_distribution.event_shape
        cut = count - reinterpreted_batch_ndims
        super().__init__(shape[:cut], shape[cut:], validate_args)
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    _event_broadcasts = True  # as in PyTorch

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return bool(self.base_dist.has_rsample)

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return self.reinterpreted_batch_ndims == 0 and bool(self.base_dist.has_enumerate_support)

    @constraints.dependent_property
    def support(self) -> Any:
        base = self.base_dist.support
        return constraints.independent(base, self.reinterpreted_batch_ndims) if self.reinterpreted_batch_ndims else base

    @property
    def reparameterized(self) -> dict[str, bool]:
        return self.base_dist.reparameterized

    @property
    def remedies(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.base_dist.remedies

    def _gradient_sources(self) -> dict[str, Tensor]:
        return self.base_dist._gradient_sources()

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Independent:
        inner = self.event_shape[: self.reinterpreted_batch_ndims]
        return Independent(
            self.base_dist.expand((*batch_shape, *inner)), self.reinterpreted_batch_ndims, self._validate_args
        )

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return self.base_dist._rsample(shape, generator)

    def _sample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return self.base_dist._sample(shape, generator)

    def log_prob(self, value: Tensor) -> Tensor:
        return sum_rightmost(self.base_dist.log_prob(self._checked(value)), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        if self.reinterpreted_batch_ndims:
            raise NotImplementedError("Independent cannot list its support: the parts have too many values together")
        return self.base_dist.enumerate_support(expand)

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"
