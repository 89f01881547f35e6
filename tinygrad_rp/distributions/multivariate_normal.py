"""The multivariate normal distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, noise
from tinygrad_rp.engine import is_grad_enabled
from tinygrad_rp.ops.linalg import cholesky, solve_triangular
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["MultivariateNormal"]


class MultivariateNormal(Distribution):
    """The normal distribution of vectors, N(loc, Σ).

    Args:
        loc: the mean, of shape (…, n).
        covariance_matrix: Σ, symmetric positive definite, of shape (…, n, n).
        precision_matrix: its inverse.
        scale_tril: its Cholesky factor L, lower triangular with a positive diagonal, Σ = LLᵀ. Of these three, one is given.
        validate_args: whether to check the parameters.

    Raises:
        ValueError: none or several of the three were given, one does not fit its constraint, or the shapes do not fit.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    loc: Tensor

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        matrices = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        given = {key: value for key, value in matrices.items() if value is not None}
        if len(given) != 1:
            raise ValueError(
                f"MultivariateNormal: give one of covariance_matrix, precision_matrix and scale_tril; "
                f"{', '.join(given) or 'none'} was given"
            )
        ((name, matrix),) = given.items()
        if isinstance(matrix, Tensor) and matrix.ndim >= 2 and isinstance(loc, Tensor) and loc.ndim >= 1:
            n = loc.shape[-1]
            if tuple(matrix.shape[-2:]) != (n, n):
                raise ValueError(
                    f"MultivariateNormal: {name} must have shape (…, {n}, {n}), as loc has shape {list(loc.shape)}, and it has "
                    f"shape {list(matrix.shape)}"
                )
        self._begin({"loc": loc, name: matrix}, event_shape=1, validate_args=validate_args)

    _aside = ("_factor",)
    _factor: tuple[Tensor, int] | None = None  # and the version of the matrix that it was made of

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key not in self._aside}

    def _take(self, tensors: dict[str, Tensor]) -> None:
        super()._take(tensors)
        self._factor = None

    @property
    def scale_tril(self) -> Tensor:
        """L, of shape (…, n, n)."""
        if "scale_tril" in self._parameters:
            return self._parameters["scale_tril"]
        (matrix,) = (t for key, t in self._parameters.items() if key != "loc")
        if self._factor is not None and self._factor[1] == matrix._version:
            return self._factor[0]
        if "covariance_matrix" in self._parameters:
            factor = cholesky(matrix)
        else:
            # P = L⁻ᵀL⁻¹: the factor of P with rows and columns in the other order is L⁻ᵀ in that order
            inverse = cholesky(matrix.flip((-2, -1))).flip((-2, -1)).mT
            factor = solve_triangular(inverse, wrap(np.eye(inverse.shape[-1], dtype=self._dtype)), upper=False)
        if is_grad_enabled():
            self._factor = factor, matrix._version
        return factor

    @property
    def covariance_matrix(self) -> Tensor:
        """Σ, of shape (…, n, n)."""
        if "covariance_matrix" in self._parameters:
            return self._parameters["covariance_matrix"]
        return self.scale_tril @ self.scale_tril.mT

    @property
    def precision_matrix(self) -> Tensor:
        """Σ⁻¹, of shape (…, n, n)."""
        if "precision_matrix" in self._parameters:
            return self._parameters["precision_matrix"]
        factor = self.scale_tril
        inverse = solve_triangular(factor, wrap(np.eye(factor.shape[-1], dtype=self._dtype)), upper=False)
        return inverse.mT @ inverse

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The diagonal of Σ."""
        if "covariance_matrix" in self._parameters:
            return self._parameters["covariance_matrix"].diagonal(0, -2, -1)
        return (self.scale_tril**2).sum(-1)

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """``loc + L ε`` with noise ε of standard normal numbers."""
        epsilon = noise("normal", (*shape, 1), self._dtype, generator)
        return self.loc + (self.scale_tril @ epsilon).squeeze(-1)

    def _half_log_det(self) -> Tensor:
        """½ log det Σ."""
        return self.scale_tril.diagonal(0, -2, -1).log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        away = self._checked(value) - self.loc
        n = self.event_shape[0]
        distance = mahalanobis(self.scale_tril, away)
        return -0.5 * (distance + n * math.log(2 * math.pi)) - self._half_log_det()

    def entropy(self) -> Tensor:
        return 0.5 * self.event_shape[0] * (1 + math.log(2 * math.pi)) + self._half_log_det()


def mahalanobis(factor: Tensor, away: Tensor) -> Tensor:
    """The square of ``L⁻¹ away``, for vectors ``away`` of shape (…, n), which broadcast with L of shape (…, n, n)."""
    n = factor.shape[-1]
    if factor.ndim == 2:  # one factor for all, which would be repeated for each
        columns = solve_triangular(factor, away.reshape(-1, n).mT, upper=False)
        return (columns**2).sum(0).reshape(away.shape[:-1])
    return (solve_triangular(factor, away.unsqueeze(-1), upper=False).squeeze(-1) ** 2).sum(-1)
