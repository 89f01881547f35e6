"""The normal distribution."""

from __future__ import annotations

import math

from tinygrad_rp.distributions.distribution import noise
from tinygrad_rp.distributions.location_scale import LocationScale
from tinygrad_rp.ops.density import normal_log_prob
from tinygrad_rp.ops.special import ndtr, ndtri
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Normal"]


class Normal(LocationScale):
    """The normal distribution N(loc, scale²).

    Args:
        loc: the mean, a tensor or a number.
        scale: the standard deviation, positive; it broadcasts with ``loc``.
        validate_args: whether to check the parameters.

    Raises:
        ValueError: ``scale`` is not positive somewhere, a parameter is NaN or infinite, or the shapes do not broadcast.
    """

    in_scipy = staticmethod(lambda stats, loc, scale: stats.norm(loc, scale))

    @property
    def stddev(self) -> Tensor:
        """``scale``."""
        return self.scale

    def _noise(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """ε ~ N(0, 1), of which a sample is ``loc + ε·scale`` (Kingma and Welling 2014, section 2.4)."""
        return noise("normal", shape, self._dtype, generator)

    def log_prob(self, value: Tensor) -> Tensor:
        """``−(value − loc)² / (2·scale²) − log scale − ½·log 2π``, element by element."""
        return normal_log_prob(self._checked(value), self.loc, self.scale)

    def cdf(self, value: Tensor) -> Tensor:
        """Φ((value − loc) / scale), with all digits in the lower tail too."""
        return ndtr(self._standard(self._checked(value, "cdf")))

    def _quantile(self, p: Tensor) -> Tensor:
        return ndtri(p)

    def entropy(self) -> Tensor:
        """``log scale + ½·log 2πe``."""
        return self.scale.log() + 0.5 * math.log(2 * math.pi * math.e)
