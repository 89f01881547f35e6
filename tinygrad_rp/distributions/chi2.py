"""The chi-squared distribution."""

from __future__ import annotations

from typing import Any

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.gamma import Gamma
from tinygrad_rp.ops.create import full_like
from tinygrad_rp.tensor import Tensor

__all__ = ["Chi2"]


class Chi2(Gamma):
    """The chi-squared distribution, of the sum of ``df`` squares of standard normal numbers.

    Args:
        df: the degrees of freedom, positive.
        validate_args: whether to check the parameters.
    """

    arg_constraints = {"df": constraints.positive}
    in_scipy = staticmethod(lambda stats, df: stats.chi2(df))  # type: ignore[assignment]

    df: Tensor

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        self._begin({"df": df}, validate_args=validate_args)

    @property
    def concentration(self) -> Tensor:  # type: ignore[override]
        """That of the gamma distribution: ``df / 2``."""
        return 0.5 * self.df

    @property
    def rate(self) -> Tensor:  # type: ignore[override]
        """That of the gamma distribution: ½."""
        return full_like(self.df, 0.5)
