"""What distributions share whose samples are ``loc + ε · scale``, with noise ε that has no parameters."""

from __future__ import annotations

from typing import Any

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["LocationScale"]


class LocationScale(Distribution):
    """A distribution that is moved and stretched.

    Args:
        loc: where it is, a tensor or a number.
        scale: how wide it is, positive; it broadcasts with ``loc``.
        validate_args: whether to check the parameters.

    Raises:
        ValueError: ``scale`` is not positive somewhere, a parameter is NaN or infinite, or the shapes do not broadcast.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support: Any = constraints.real
    has_rsample = True

    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self._begin({"loc": loc, "scale": scale}, validate_args=validate_args)

    def _noise(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """Noise of the distribution with ``loc`` 0 and ``scale`` 1."""
        raise NotImplementedError

    def _quantile(self, p: Tensor) -> Tensor:
        """The quantile of the distribution with ``loc`` 0 and ``scale`` 1."""
        raise NotImplementedError

    def _standard(self, value: Tensor) -> Tensor:
        return (value - self.loc) / self.scale

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return self.loc + self._noise(shape, generator) * self.scale

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * self._quantile(self._checked_probability(value))

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.stddev**2
