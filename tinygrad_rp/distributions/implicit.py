"""Implicit reparameterisation by a differentiable distribution function, of any distribution that has one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.distributions.distribution import Distribution
from tinygrad_rp.engine import enable_grad, is_grad_enabled
from tinygrad_rp.function import Function
from tinygrad_rp.ops.elementwise import where
from tinygrad_rp.tensor import Tensor, grad, wrap

__all__ = ["implicit"]


def implicit(drawn: Tensor, distribution: Distribution) -> Tensor:
    """A number that was drawn from a distribution of one dimension, connected to the parameters by its distribution function.

    The number z stays at its quantile: F(z(θ); θ) does not change, so dz/dθ = −(∂F/∂θ) / f (Figurnov, Mohamed and Mnih, "Implicit
    reparameterization gradients", 2018, equation 6). Derivatives of any order follow by differentiating this again.

    Args:
        drawn: samples.
        distribution: with a differentiable `cdf`, and a `log_prob`.
    """
    return ImplicitReparameterization.apply(drawn, distribution, *distribution._gradient_sources().values())


class ImplicitReparameterization(Function):
    @staticmethod
    def forward(ctx: Any, drawn: Tensor, distribution: Distribution, *parameters: Tensor) -> Tensor:
        out = drawn.clone()
        ctx.distribution, ctx.names = distribution, list(distribution._gradient_sources())
        ctx.save_for_backward(out, *parameters)
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        z, *parameters = ctx.saved_tensors
        recorded = is_grad_enabled()
        with enable_grad():
            # by the parameters alone: z depends on them too, but on the originals, not on these
            stand_ins = [p + 0.0 if p.requires_grad else p for p in parameters]
            d = ctx.distribution._with(dict(zip(map(id, parameters), stand_ins, strict=True)))
            wanted = [p for p in stand_ins if p.requires_grad]
            if not recorded:
                z = z.detach()
            density = d._log_prob_anywhere(z).exp()
            # a number that was rounded to where the density is infinite does not move
            held = wrap(np.isfinite(density._array) & (density._array > 0))
            weights = where(held, -g / where(held, density, 1.0), 0.0)
            found = iter(grad(d._cdf_anywhere(z), wanted, weights, create_graph=recorded, allow_unused=True))
        return (None, None, *(next(found) if p.requires_grad else None for p in stand_ins))
