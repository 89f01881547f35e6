"""The normal distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_rp.distributions.distribution import Distribution, as_parameters
from tinygrad_rp.ops.create import shape_of
from tinygrad_rp.ops.density import normal_log_prob
from tinygrad_rp.ops.sample import randn
from tinygrad_rp.tensor import Size, Tensor

__all__ = ["Normal"]


class Normal(Distribution):
    """The normal distribution N(loc, scale²).

    Args:
        loc: the mean, a tensor or a number.
        scale: the standard deviation, positive; it broadcasts with ``loc``.
        validate_args: whether to check the parameters.

    Raises:
        ValueError: ``scale`` is not positive, or ``loc`` is NaN, somewhere; the shapes do not broadcast.
    """

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = as_parameters(loc, scale)
        self.batch_shape = Size(self.loc._array.shape)
        self.event_shape = Size()
        if validate_args is None or validate_args:
            for name, t, fits, rule in (
                ("loc", self.loc, self.loc._array == self.loc._array, "a real number"),
                ("scale", self.scale, self.scale._array > 0, "positive"),
            ):
                if not fits.all():
                    raise ValueError(f"Normal: {name} must be {rule} everywhere, and is {t.detach()}")

    @property
    def mean(self) -> Tensor:
        """The mean, ``loc``."""
        return self.loc

    @property
    def stddev(self) -> Tensor:
        """The standard deviation, ``scale``."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """``scale²``."""
        return self.scale**2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """``loc + ε·scale`` with noise ε ~ N(0, 1) (Kingma and Welling 2014, section 2.4).

        Args:
            sample_shape: how many samples, as a shape that is put in front of ``batch_shape``.

        Returns:
            A sample of shape ``sample_shape + batch_shape``, connected to ``loc`` and ``scale``.
        """
        shape = shape_of("rsample", (tuple(sample_shape),), None) + tuple(self.batch_shape)
        return self.loc + randn(shape, dtype=self.loc.dtype) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        """``−(value − loc)² / (2·scale²) − log scale − ½·log 2π``, element by element."""
        return normal_log_prob(value, self.loc, self.scale)

    def __repr__(self) -> str:
        if self.batch_shape:
            return f"Normal(loc: {self.loc}, scale: {self.scale})"
        return f"Normal(loc: {self.loc.item()}, scale: {self.scale.item()})"
