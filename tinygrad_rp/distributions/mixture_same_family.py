"""Mixtures of distributions of one kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.categorical import Categorical
from tinygrad_rp.distributions.distribution import Distribution, as_noise
from tinygrad_rp.distributions.implicit import implicit
from tinygrad_rp.engine import no_grad
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """A mixture: first the number of a component is drawn, then a sample of that component.

    Where the components are continuous, of one dimension and have a `cdf`, samples are reparameterised implicitly: a sample moves
    as the quantile of the mixture does at which it lies, also with the weights (Figurnov, Mohamed and Mnih 2018, section 3).

    Args:
        mixture_distribution: a `Categorical` over the components.
        component_distribution: the components, along the last dimension of its batch.
        validate_args: whether to check values.

    Raises:
        ValueError: one of them is of another kind, or their shapes do not fit each other.
    """

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                f"MixtureSameFamily: mixture_distribution must be a Categorical, not {type(mixture_distribution).__name__}"
            )
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                f"MixtureSameFamily: component_distribution must be a Distribution, not {type(component_distribution).__name__}"
            )
        weights, batch = tuple(mixture_distribution.param_shape), tuple(component_distribution.batch_shape)
        if not batch or batch[-1] != weights[-1]:
            raise ValueError(
                f"MixtureSameFamily: the last batch dimension of component_distribution must be the number of categories, "
                f"{weights[-1]}, and its batch_shape is {list(batch)}"
            )
        pairs = zip(reversed(weights[:-1]), reversed(batch[:-1]), strict=False)
        if len(weights) > len(batch) or any(n not in (1, m) for n, m in pairs):
            raise ValueError(
                f"MixtureSameFamily: mixture_distribution of batch_shape {list(weights[:-1])} does not broadcast to that of "
                f"component_distribution, {list(batch)}, without its last dimension"
            )
        super().__init__(batch[:-1], component_distribution.event_shape, validate_args)
        self._mixture_distribution, self._component_distribution = mixture_distribution, component_distribution

    @property
    def mixture_distribution(self) -> Categorical:
        """That of the number of the component."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The components."""
        return self._component_distribution

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        component = self._component_distribution
        return not component.event_shape and not self.support.is_discrete and component._has_cdf()

    def _why_no_rsample(self) -> str:
        component = self._component_distribution
        if component.event_shape:
            return "its components are not of one dimension, so that a sample has no quantile to move with"
        if self.support.is_discrete:
            return "its components are discrete"
        return "its components have no cdf()"

    @property
    def remedies(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the components, and that the sum over components is exact in the weights."""
        own = (
            "the sum over the components (exact in the weights): weigh each one's cost by mixture_distribution.probs",
        )
        return own + tuple(f"for the components: {remedy}" for remedy in self._component_distribution.remedies)

    def _has_cdf(self) -> bool:
        return not self.event_shape and self._component_distribution._has_cdf()

    @constraints.dependent_property
    def support(self) -> Any:
        """That of the first component; where it depends on parameters, the range of all of them."""
        support = self._component_distribution.support
        if isinstance(support, constraints._Bounded):
            # along the last dimension of the batch lie the components
            pairs = zip(support._bounds, ("min",) if len(support._bounds) == 1 else ("min", "max"), strict=True)
            which = "max" if isinstance(support, constraints.less_than) else None
            ends = [
                getattr(b.detach(), f"a{which or side}")(-1) if isinstance(b, Tensor) and b.ndim else b
                for b, side in pairs
            ]
            return type(support)(*ends)
        return support

    def _gradient_sources(self) -> dict[str, Tensor]:
        parts = (("mixture", self._mixture_distribution), ("component", self._component_distribution))
        return {f"{name}.{key}": t for name, d in parts for key, t in d._gradient_sources().items()}

    @property
    def reparameterized(self) -> dict[str, bool]:
        return dict.fromkeys(self._gradient_sources(), self.has_rsample)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> MixtureSameFamily:
        shape, count = tuple(batch_shape), self._component_distribution.batch_shape[-1]
        return MixtureSameFamily(
            self._mixture_distribution.expand(shape),
            self._component_distribution.expand((*shape, count)),
            self._validate_args,
        )

    def _sample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        outer, event = shape[: len(shape) - len(self.event_shape)], tuple(self.event_shape)
        mixture = self._mixture_distribution.expand(self.batch_shape)
        number = mixture._sample(outer, generator)._array
        component = self._component_distribution
        drawn = component._sample((*outer, component.batch_shape[-1], *event), generator)._array
        place = number.reshape(*outer, 1, *(1,) * len(event))
        place = np.broadcast_to(place, (*outer, 1, *event))
        return wrap(np.take_along_axis(drawn, place, len(outer)).squeeze(len(outer)))

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        with no_grad():
            drawn = self._sample(shape, generator)
        return implicit(as_noise(drawn._array, "mixture"), self)

    def _beside(self, value: Tensor) -> Tensor:
        """``value`` with a dimension for the components."""
        return value.unsqueeze(-1 - len(self.event_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        value, component = self._beside(self._checked(value)), self._component_distribution
        # a value in the range of the mixture may lie outside of that of a component
        of_each = component.log_prob(value) if self.event_shape else component._log_prob_anywhere(value)
        scores = self._mixture_distribution._scores
        return (scores + of_each).logsumexp(-1) - scores.logsumexp(-1)

    def cdf(self, value: Tensor) -> Tensor:
        if self.event_shape:
            raise NotImplementedError("MixtureSameFamily.cdf() is there for components of one dimension")
        value = self._beside(self._checked(value, "cdf"))
        return (self._mixture_distribution.probs * self._component_distribution._cdf_anywhere(value)).sum(-1)

    def _weighted(self, values: Tensor) -> Tensor:
        dims = len(self.event_shape)
        weights = self._mixture_distribution.probs
        weights = weights.reshape((*weights.shape, *(1,) * dims))
        return (weights * values).sum(-1 - dims)

    @property
    def mean(self) -> Tensor:
        return self._weighted(self._component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        """The mean of the variances, and the variance of the means."""
        means = self._component_distribution.mean
        away = means - self.mean.unsqueeze(-1 - len(self.event_shape))
        return self._weighted(self._component_distribution.variance) + self._weighted(away**2)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self._mixture_distribution},\n  {self._component_distribution})"
