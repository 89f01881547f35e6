"""The base of the distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tinygrad_rp.engine import no_grad
from tinygrad_rp.graph import Stop
from tinygrad_rp.tensor import Size, Tensor, get_default_dtype, tensor

__all__ = ["Distribution"]


class Distribution:
    """A probability distribution over tensors, one for each element of ``batch_shape``."""

    has_rsample: ClassVar[bool] = False
    """Whether ``rsample`` exists: a sample through which gradient reaches the parameters."""

    batch_shape: Size

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """A reparameterised sample: noise, turned into a sample by a formula that a gradient passes."""
        raise NotImplementedError(f"{type(self).__name__} has no reparameterised sample; use sample() and log_prob()")

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """A sample without history: a gradient that arrives at it goes no further.

        Args:
            sample_shape: how many samples, as a shape that is put in front of ``batch_shape``.
        """
        with no_grad():
            drawn = self.rsample(sample_shape)
        name = f"{type(self).__name__}.sample"
        stop = Stop(
            "missing",
            f"{name}() draws without recording how, so no gradient can come back through here.",
            (
                f"{type(self).__name__}(…).rsample(), through which gradient reaches the parameters",
                "the score function: backward through cost * log_prob(z)",
            ),
        )
        if drawn._origin is not None:
            drawn._origin = tuple(s.renamed(name, stop) if s.kind == "cut" else s for s in drawn._origin)
        return drawn

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or probability, at ``value``."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob()")


def as_parameters(*values: Any) -> list[Tensor]:
    """Parameters as tensors of one dtype that broadcast with each other; numbers are turned into tensors."""
    given = [v for v in values if isinstance(v, Tensor)]
    dtype = given[0].dtype if given and given[0].is_floating_point() else get_default_dtype()
    tensors = [v if isinstance(v, Tensor) else tensor(v, dtype=dtype) for v in values]
    try:
        shape = np.broadcast_shapes(*(t._array.shape for t in tensors))
    except ValueError:
        shapes = " and ".join(str(list(t.shape)) for t in tensors)
        raise ValueError(f"the parameters have shapes {shapes}, which do not broadcast with each other") from None
    return [t if t._array.shape == shape else t.expand(shape) for t in tensors]
