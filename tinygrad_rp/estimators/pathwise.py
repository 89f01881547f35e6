"""The pathwise estimator, also called reparameterisation."""

from __future__ import annotations

from typing import ClassVar

from tinygrad_rp.distributions.distribution import Distribution
from tinygrad_rp.estimators.estimator import Cost, Estimator
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Pathwise"]


class Pathwise(Estimator):
    """The mean of the costs of samples through which gradient passes, ``rsample`` (Kingma and Welling, "Auto-encoding
    variational Bayes", 2014, section 2.4; Mohamed, Rosca, Figurnov and Mnih, "Monte Carlo gradient estimation in machine
    learning", 2020, section 5).

    The gradient is unbiased where the cost is continuous in the sample, and differentiable but for kinks. Where the cost jumps,
    what comes of the jumps is missing. Where the gradient of ``rsample`` is not that of the sample, as with the distributions
    named StraightThrough, the estimate is biased as that gradient is. Second derivatives are right where the derivative of the
    cost is continuous, and so on for higher ones.

    Beside what `Estimator` raises:

    Raises:
        NotImplementedError: no gradient reaches one of the distribution's parameters that require grad through ``rsample``.
        ValueError: no gradient passes through the cost, although the samples require grad.
    """

    name = "pathwise"
    bias: ClassVar[str] = "unbiased, where the cost is continuous in the sample"
    needs: ClassVar[tuple[str, ...]] = ("rsample",)
    higher_derivatives: ClassVar[bool] = True

    def _estimate(
        self, cost: Cost, distribution: Distribution, num_samples: int, generator: Generator | None
    ) -> Tensor:
        reached = distribution.reparameterized
        missed = [
            key for key, t in distribution._gradient_sources().items() if t.requires_grad and not reached.get(key, True)
        ]
        if missed:
            raise NotImplementedError(
                f"Pathwise: through rsample() of {type(distribution).__name__} no gradient reaches {', '.join(missed)}. Instead: "
                + "; or ".join(distribution.stops[missed[0]].remedies)
            )
        z = distribution.rsample((num_samples,), generator=generator)
        costs = cost(z)
        if z.requires_grad and not costs.requires_grad:
            raise ValueError(
                "Pathwise: no gradient passes through cost, which is flat in the sample (a comparison, a whole number), or cut "
                "off by detach() or no_grad(). Instead: ScoreFunction(), which needs no gradient of the cost"
            )
        return costs.mean(0)
