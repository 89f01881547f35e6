"""The multivariate normal distribution of a covariance of low rank."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, noise
from tinygrad_rp.distributions.multivariate_normal import mahalanobis
from tinygrad_rp.ops.linalg import cholesky, solve_triangular
from tinygrad_rp.ops.shape import diag_embed
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["LowRankMultivariateNormal"]


class LowRankMultivariateNormal(Distribution):
    """The normal distribution of vectors N(loc, WWᵀ + D), of a factor W with few columns and a diagonal D.

    Densities take time in proportion to n·m², by the formulas of Woodbury and Sylvester.

    Args:
        loc: the mean, of shape (…, n).
        cov_factor: W, of shape (…, n, m).
        cov_diag: the diagonal of D, positive, of shape (…, n).
        validate_args: whether to check the parameters.

    Raises:
        ValueError: the diagonal is not positive, or the shapes do not fit.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    loc: Tensor
    cov_factor: Tensor
    cov_diag: Tensor

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        given = {"loc": loc, "cov_factor": cov_factor, "cov_diag": cov_diag}
        if all(isinstance(t, Tensor) for t in given.values()) and loc.ndim >= 1:
            n = loc.shape[-1]
            if cov_factor.ndim < 2 or cov_factor.shape[-2] != n:
                raise ValueError(
                    f"LowRankMultivariateNormal: cov_factor must have shape (…, {n}, m), and has {list(cov_factor.shape)}"
                )
            if cov_diag.ndim < 1 or cov_diag.shape[-1] != n:
                raise ValueError(
                    f"LowRankMultivariateNormal: cov_diag must have shape (…, {n}), and has {list(cov_diag.shape)}"
                )
        self._begin(given, event_shape=1, validate_args=validate_args)

    def _capacitance_tril(self) -> Tensor:
        """The Cholesky factor of I + Wᵀ D⁻¹ W."""
        scaled = self.cov_factor / self.cov_diag.unsqueeze(-1)
        eye = wrap(np.eye(self.cov_factor.shape[-1], dtype=self._dtype))
        return cholesky(self.cov_factor.mT @ scaled + eye)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The diagonal of the covariance."""
        return (self.cov_factor**2).sum(-1) + self.cov_diag

    @property
    def covariance_matrix(self) -> Tensor:
        """WWᵀ + D, of shape (…, n, n)."""
        return self.cov_factor @ self.cov_factor.mT + diag_embed(self.cov_diag)

    @property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance, of shape (…, n, n)."""
        return cholesky(self.covariance_matrix)

    @property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance, of shape (…, n, n)."""
        scaled = self.cov_factor.mT / self.cov_diag.unsqueeze(-2)
        inner = solve_triangular(self._capacitance_tril(), scaled, upper=False)
        return diag_embed(1 / self.cov_diag) - inner.mT @ inner

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """``loc + W ε + √D η`` with noise ε and η of standard normal numbers."""
        epsilon = noise("normal", (*shape[:-1], self.cov_factor.shape[-1], 1), self._dtype, generator)
        eta = noise("normal", shape, self._dtype, generator)
        return self.loc + (self.cov_factor @ epsilon).squeeze(-1) + self.cov_diag.sqrt() * eta

    def _half_log_det(self, capacitance: Tensor) -> Tensor:
        return capacitance.diagonal(0, -2, -1).log().sum(-1) + 0.5 * self.cov_diag.log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        away = self._checked(value) - self.loc
        capacitance = self._capacitance_tril()
        scaled = away / self.cov_diag
        inner = (self.cov_factor.mT @ scaled.unsqueeze(-1)).squeeze(-1)
        distance = (away * scaled).sum(-1) - mahalanobis(capacitance, inner)
        n = self.event_shape[0]
        return -0.5 * (distance + n * math.log(2 * math.pi)) - self._half_log_det(capacitance)

    def entropy(self) -> Tensor:
        return 0.5 * self.event_shape[0] * (1 + math.log(2 * math.pi)) + self._half_log_det(self._capacitance_tril())
