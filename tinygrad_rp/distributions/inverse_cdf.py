"""A distribution made of its quantile function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, open_uniform
from tinygrad_rp.engine import enable_grad, is_grad_enabled
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, get_default_dtype, grad

__all__ = ["InverseCDF"]


class InverseCDF(Distribution):
    """The distribution of ``icdf(u, **parameters)``, u uniform on (0, 1): any differentiable quantile function becomes a sampler.

    It is the oldest reparameterisation. A triangle on [0, 2·width], with its peak at ``width`` for example::

        def triangle(u, width):
            return width * where(u < 0.5, (2 * u).sqrt(), 2 - (2 * (1 - u)).sqrt())

        d = InverseCDF(triangle, width=torch.tensor(3.0, requires_grad=True))
        d.rsample((100,)).mean().backward()

    Args:
        icdf: the quantile function, of a tensor of probabilities and the parameters, element by element.
        cdf: its inverse, of a tensor of values and the parameters; for `cdf`, and for `log_prob`, which differentiates it.
        support: the constraint that all samples fit.
        validate_args: whether to check parameters and values.
        parameters: by name: tensors or numbers that broadcast.

    Raises:
        TypeError: ``icdf`` cannot be called.
        ValueError: a parameter is NaN or infinite, or they do not broadcast.
    """

    has_rsample = True

    def __init__(
        self,
        icdf: Callable[..., Tensor],
        *,
        cdf: Callable[..., Tensor] | None = None,
        support: constraints.Constraint = constraints.real,
        validate_args: bool | None = None,
        **parameters: Any,
    ) -> None:
        for name, function in (("icdf", icdf), ("cdf", cdf)):
            if not callable(function) and not (name == "cdf" and function is None):
                raise TypeError(f"InverseCDF: {name} must be a function, not {type(function).__name__}")
        self._icdf, self._cdf, self.support = icdf, cdf, support
        self.arg_constraints = dict.fromkeys(parameters, constraints.real)
        if parameters:
            self._begin(parameters, validate_args=validate_args)
        else:
            super().__init__(validate_args=validate_args)

    @property
    def _dtype(self) -> np.dtype[Any]:
        return super()._dtype if self._parameters else get_default_dtype()

    def _of(self, function: Callable[..., Tensor], value: Tensor) -> Tensor:
        out = function(value, **self._parameters)
        if not isinstance(out, Tensor):
            raise TypeError(f"InverseCDF: the function that was given returned {type(out).__name__}, and not a tensor")
        return out

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        drawn = self._of(self._icdf, open_uniform(shape, self._dtype, generator))
        if tuple(drawn.shape) != shape:
            raise ValueError(
                f"InverseCDF: icdf must work element by element, but of probabilities of shape {list(shape)} it made a tensor of "
                f"shape {list(drawn.shape)}"
            )
        return drawn

    def _has_cdf(self) -> bool:
        return self._cdf is not None

    def icdf(self, value: Tensor) -> Tensor:
        return self._of(self._icdf, self._checked_probability(value))

    def cdf(self, value: Tensor) -> Tensor:
        if self._cdf is None:
            raise NotImplementedError("InverseCDF.cdf() needs the inverse of icdf: InverseCDF(icdf, cdf=…)")
        return self._of(self._cdf, self._checked(value, "cdf"))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the derivative of `cdf`, which must have been given."""
        value = self._checked(value)
        if self._cdf is None:
            raise NotImplementedError("InverseCDF.log_prob() needs the inverse of icdf: InverseCDF(icdf, cdf=…)")
        recorded = is_grad_enabled()
        with enable_grad():
            shape = np.broadcast_shapes(tuple(value.shape), tuple(self.batch_shape))
            place = value.expand(shape) + 0.0 if value.requires_grad else value.expand(shape).detach().clone()
            if not place.requires_grad:
                place.requires_grad_()
            (density,) = grad(self.cdf(place).sum(), (place,), create_graph=recorded)
        return cast(Tensor, density).log()
