"""The continuous Bernoulli distribution."""

from __future__ import annotations

from typing import Any

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import offending, open_uniform
from tinygrad_rp.distributions.probabilities import OfTrials
from tinygrad_rp.ops.cumulative import tilt_cumulant, tilt_quantile
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(OfTrials):
    """The continuous Bernoulli distribution on [0, 1], of density proportional to ``p^x · (1 − p)^(1 − x)``.

    With λ = log(p/(1 − p)) that is e^(λx − K(λ)), K(λ) = log((e^λ − 1)/λ), which is smooth at λ = 0: no case near p = ½ is apart
    (Loaiza-Ganem and Cunningham, "The continuous Bernoulli: fixing a pervasive error in variational autoencoders", 2019).

    Args:
        probs: p, in (0, 1).
        logits: λ, finite; given instead of ``probs``.
        lims: is not used: PyTorch switches to a series for probabilities between these.
        validate_args: whether to check the parameters.
    """

    support = constraints.unit_interval
    has_rsample = True
    may_be_infinite = ()

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._begin_trials(probs, logits, validate_args)
        if self._validate_args and "probs" in self._parameters:
            given = self._parameters["probs"]
            fits = (given._array > 0) & (given._array < 1)
            if not fits.all():
                raise ValueError(
                    f"ContinuousBernoulli: probs must be greater than 0 and less than 1, but {offending(given, fits)}"
                )

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return tilt_quantile(open_uniform(shape, self._dtype, generator), self.logits)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.logits * self._checked(value) - tilt_cumulant(self.logits, 0)

    def cdf(self, value: Tensor) -> Tensor:
        value, tilt = self._checked(value, "cdf"), self.logits
        return value * (tilt_cumulant(tilt * value, 0) - tilt_cumulant(tilt, 0)).exp()

    def icdf(self, value: Tensor) -> Tensor:
        return tilt_quantile(self._checked_probability(value), self.logits)

    def entropy(self) -> Tensor:
        return tilt_cumulant(self.logits, 0) - self.logits * tilt_cumulant(self.logits, 1)

    @property
    def mean(self) -> Tensor:
        return tilt_cumulant(self.logits, 1)

    @property
    def variance(self) -> Tensor:
        return tilt_cumulant(self.logits, 2)
