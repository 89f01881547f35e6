"""A distribution of samples of another, transformed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, sum_rightmost, tensors_in, within_unit
from tinygrad_rp.distributions.independent import Independent
from tinygrad_rp.distributions.transforms import ComposeTransform, Transform
from tinygrad_rp.ops.elementwise import where
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["TransformedDistribution"]


class TransformedDistribution(Distribution):
    """The distribution of what invertible transforms make of samples of another distribution.

    Its density is that of the base, divided by the volume that the transforms make of a unit::

        log p(y) = log p(x) − log |det dy/dx|

    Args:
        base_distribution: of x.
        transforms: one transform, or a list of them, of which the first is applied first.
        validate_args: whether to check values.

    Raises:
        ValueError: something else than transforms was given, or the base has fewer dimensions than the transforms need.
    """

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(transforms, Transform | list | tuple):
            raise ValueError(
                f"TransformedDistribution: transforms must be a Transform or a list of them, not {type(transforms).__name__}"
            )
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        for i, t in enumerate(self.transforms):
            if not isinstance(t, Transform):
                raise ValueError(
                    f"TransformedDistribution: transforms must be a Transform or a list of them, and element {i} is "
                    f"{type(t).__name__}"
                )
        base = base_distribution
        shape = tuple(base.batch_shape + base.event_shape)
        transform = ComposeTransform(self.transforms)
        needed = transform.domain.event_dim
        if len(shape) < needed:
            raise ValueError(
                f"TransformedDistribution: the transforms need at least {needed} dimensions, and base_distribution has shape "
                f"{list(shape)}"
            )
        forward = tuple(transform.forward_shape(shape))
        expanded = tuple(transform.inverse_shape(forward))
        if expanded != shape:
            base = base.expand(expanded[: len(expanded) - len(base.event_shape)])
        if needed > len(base.event_shape):
            base = Independent(base, needed - len(base.event_shape))
        self.base_dist = base
        dims = transform.codomain.event_dim + max(len(base.event_shape) - needed, 0)
        cut = len(forward) - dims
        super().__init__(forward[:cut], forward[cut:], validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return bool(self.base_dist.has_rsample)

    @constraints.dependent_property
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        last = self.transforms[-1].codomain
        more = len(self.event_shape) - last.event_dim
        return constraints.independent(last, more) if more > 0 else last

    def _gradient_sources(self) -> dict[str, Tensor]:
        return self.base_dist._gradient_sources() | tensors_in(self.transforms, "transforms")

    @property
    def remedies(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the base, to which the transforms can be applied."""
        return tuple(f"for base_dist: {remedy}" for remedy in self.base_dist.remedies)

    def _has_cdf(self) -> bool:
        return self.base_dist._has_cdf() and not self.event_shape and all(t.bijective for t in self.transforms)

    @property
    def reparameterized(self) -> dict[str, bool]:
        inner = self.base_dist.reparameterized
        return inner | {key: self.has_rsample for key in self._gradient_sources() if key.startswith("transforms[")}

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> TransformedDistribution:
        shape = ComposeTransform(self.transforms).inverse_shape((*batch_shape, *self.event_shape))
        base = self.base_dist.expand(shape[: len(shape) - len(self.base_dist.event_shape)])
        return TransformedDistribution(base, self.transforms, self._validate_args)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return self._transformed(self.base_dist._rsample, shape, generator)

    def _sample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return self._transformed(self.base_dist._sample, shape, generator)

    def _transformed(self, draw: Callable[..., Tensor], shape: tuple[int, ...], generator: Generator) -> Tensor:
        outer = shape[: len(shape) - len(self.batch_shape) - len(self.event_shape)]
        value = draw((*outer, *self.base_dist.batch_shape, *self.base_dist.event_shape), generator)
        for t in self.transforms:
            value = t(value)
        if self.transforms and self.transforms[-1].codomain is constraints.unit_interval:
            return within_unit(value)
        return value

    def log_prob(self, value: Tensor) -> Tensor:
        x, volume = self._undone(self._checked(value))
        return sum_rightmost(self.base_dist.log_prob(x), self._inner_dims()) + volume

    def _inner_dims(self) -> int:
        """How many event dimensions there are at the base, beside those of its own."""
        dims = len(self.event_shape)
        for t in self.transforms:
            dims += t.domain.event_dim - t.codomain.event_dim
        return dims - len(self.base_dist.event_shape)

    def _undone(self, y: Tensor) -> tuple[Tensor, Any]:
        """The sample of the base, and the logarithm of what a unit of volume is divided by."""
        dims, total = len(self.event_shape), cast(Any, 0.0)
        for t in reversed(self.transforms):
            x = t.inv(y)
            dims += t.domain.event_dim - t.codomain.event_dim
            if not self.base_dist.support.is_discrete:  # of which not the density, but the probability is wanted
                total = total - sum_rightmost(t.log_abs_det_jacobian(x, y), dims - t.domain.event_dim)
            y = x
        return y, total

    def _log_prob_anywhere(self, value: Tensor) -> Tensor:
        _, inside, near = self._placed(value)
        x, volume = self._undone(near)
        return where(inside, self.base_dist._log_prob_anywhere(x) + volume, -np.inf)

    def _cdf_anywhere(self, value: Tensor) -> Tensor:
        beyond, inside, near = self._placed(value)
        x, _ = self._undone(near)
        found = self._in_order(self.base_dist._cdf_anywhere(x))
        return where(inside, found, beyond)

    def _in_order(self, p: Tensor) -> Tensor:
        """A probability, or its complement where the transforms turn the order round."""
        sign: Any = 1
        for t in self.transforms:
            sign = sign * t.sign
        return where(sign > 0, p, 1 - p) if isinstance(sign, Tensor) else p if sign > 0 else 1 - p

    def cdf(self, value: Tensor) -> Tensor:
        """That of the base at the inverse; or its complement, where the transforms turn the order round."""
        value = self._checked(value, "cdf")
        for t in reversed(self.transforms):
            value = t.inv(value)
        return self._in_order(self.base_dist.cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        value = self.base_dist.icdf(self._in_order(self._checked_probability(value)))
        for t in self.transforms:
            value = t(value)
        return value

    def __repr__(self) -> str:
        return f"TransformedDistribution({self.base_dist}, {self.transforms})"
