"""The score-function estimator, also called REINFORCE or the likelihood-ratio estimator."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution
from tinygrad_rp.distributions.independent import Independent
from tinygrad_rp.distributions.mixture_same_family import MixtureSameFamily
from tinygrad_rp.distributions.transformed_distribution import TransformedDistribution
from tinygrad_rp.engine import is_grad_enabled
from tinygrad_rp.estimators.baselines import Baseline, ConstantBaseline
from tinygrad_rp.estimators.estimator import Cost, Estimator, joint_log_prob
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, grad, wrap

__all__ = ["ScoreFunction"]


class ScoreFunction(Estimator):
    """The mean of costs, with the gradient ``(f(z) − b)·∇ log p(z) + ∇f(z)``, of which the last term is that of the cost's own
    parameters (Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", 1992).

    The sample may be of any kind, and the cost need not be differentiable in it. In the graph stands::

        f(z)·m + b·(1 − m)    with    m = exp(log p(z) − log p(z) held fast)

    m is exactly 1, so that the value is exactly the cost, and each derivative of m brings down a score: so derivatives of any
    order are unbiased, also mixed ones by parameters of the distribution and of the cost (Foerster et al., "DiCE: the infinitely
    differentiable Monte Carlo estimator", 2018, equation 5; with the baseline: Mao et al., "A baseline for any order gradient
    estimation in stochastic computation graphs", 2019).

    Args:
        baseline: what is subtracted from the costs that weigh the score: `LeaveOneOut`, `MovingAverage`, a number or a tensor of
            numbers; ``None`` for none.

    Beside what `Estimator` raises:

    Raises:
        TypeError: ``baseline`` is none of these.
        ValueError: ``num_samples`` is less than the baseline needs; or the range of the samples moves with a parameter that
            requires grad, as that of `Uniform` does: the mean of the score is not 0 then, and the estimate would be wrong.
    """

    bias: ClassVar[str] = "unbiased"
    needs: ClassVar[tuple[str, ...]] = ("log_prob",)
    higher_derivatives: ClassVar[bool] = True

    def __init__(self, baseline: Baseline | float | Tensor | None = None) -> None:
        if baseline is not None and not isinstance(baseline, Baseline):
            baseline = ConstantBaseline(baseline)
        self.baseline = baseline

    @property
    def name(self) -> str:  # type: ignore[override]
        """``"score function"``, and the baseline, if there is one."""
        return "score function" + (f", {self.baseline.name}" if self.baseline else "")

    @property
    def least_samples(self) -> int:  # type: ignore[override]
        """As many as the baseline needs."""
        return self.baseline.least_samples if self.baseline else 1

    def _estimate(
        self, cost: Cost, distribution: Distribution, num_samples: int, generator: Generator | None
    ) -> Tensor:
        if is_grad_enabled():
            _refuse_moving_ends(distribution)
        z = distribution.sample((num_samples,), generator=generator)
        log_prob = distribution.log_prob(z)  # before the cost: if that changes z in place, the pass says so
        costs = cost(z)
        log_prob = joint_log_prob(distribution, log_prob, costs)
        magic = (log_prob - wrap(log_prob._array)).exp().to(costs.dtype)
        weighed = costs * magic
        if self.baseline is not None:
            weighed = weighed + self.baseline.of(costs) * (1 - magic)
            self.baseline.update(costs)
        return weighed.mean(0)

    def __repr__(self) -> str:
        return f"ScoreFunction({self.baseline or ''})"


# --------------------------------------------------------------------------------------------------------- moving ranges


def _refuse_moving_ends(distribution: Distribution) -> None:
    """Raise, if samples end somewhere that moves with a parameter that requires grad."""
    sources = {key: t for key, t in distribution._gradient_sources().items() if t.requires_grad}
    moved: list[str] = []
    for end in _ends(distribution) if sources else ():
        if not end.requires_grad or not np.isfinite(end._array).all():
            continue
        slopes = grad(end.sum(), list(sources.values()), retain_graph=True, allow_unused=True)
        # NaN is 0 · ∞: the way leads through an infinite number, from which the end does not move
        moves = [slope is not None and bool(np.nan_to_num(slope._array).any()) for slope in slopes]
        moved += [key for key, moves_it in zip(sources, moves, strict=True) if moves_it]
    if moved:
        name = type(distribution).__name__
        instead = f"Pathwise(), or {moved[0]}.detach()" if distribution.has_rsample else f"{moved[0]}.detach()"
        raise ValueError(
            f"ScoreFunction: the range of {name}'s samples moves with {', '.join(dict.fromkeys(moved))}, so that the mean of the "
            f"score is not 0 and the gradient would be wrong. Instead: {instead}"
        )


def _ends(distribution: Distribution) -> list[Tensor]:
    """Where samples end, with its history."""
    if isinstance(distribution, Independent):
        return _ends(distribution.base_dist)
    if isinstance(distribution, MixtureSameFamily):
        return _ends(distribution.component_distribution)
    if isinstance(distribution, TransformedDistribution):
        ends = _ends(distribution.base_dist)
        for transform in distribution.transforms:
            ends = [transform(end) for end in ends]
        return ends
    support = distribution.support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    known = (getattr(support, "lower_bound", None), getattr(support, "upper_bound", None))
    shape = tuple(distribution.batch_shape + distribution.event_shape)
    found = []
    for live, fixed in zip(known, constraints.bounds(support), strict=True):
        if isinstance(live, Tensor):
            found.append(live)
        elif np.isfinite(fixed).all():
            found.append(wrap(np.full(shape, fixed, np.float64)))
    return found
