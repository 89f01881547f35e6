"""Constraints: the sets in which parameters and samples lie, and how to check it.

A constraint says where elements are allowed (`Constraint.check`), how many dimensions at the right an element has
(``event_dim``), and whether its elements are isolated points (``is_discrete``). Its text is what errors quote: "Normal: scale
must be positive".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tinygrad_rp.tensor import Tensor, bool_, wrap

__all__ = [
    "Constraint",
    "boolean",
    "bounds",
    "dependent",
    "dependent_property",
    "greater_than",
    "greater_than_eq",
    "half_open_interval",
    "independent",
    "integer_interval",
    "interval",
    "is_dependent",
    "less_than",
    "lower_cholesky",
    "lower_triangular",
    "multinomial",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_definite",
    "positive_integer",
    "positive_semidefinite",
    "real",
    "real_vector",
    "simplex",
    "square",
    "symmetric",
    "unit_interval",
]


class Constraint:
    """A region in which a variable lies."""

    is_discrete: bool = False
    event_dim: int = 0

    def check(self, value: Tensor) -> Tensor:
        """For each element, of ``event_dim`` dimensions at the right, whether it lies in the region: a bool tensor."""
        raise NotImplementedError(f"{type(self).__name__} has no check()")

    def __repr__(self) -> str:
        return f"{type(self).__name__.lstrip('_')}()"


def _array(value: Any) -> Any:
    return value._array if isinstance(value, Tensor) else np.asarray(value)


def _bound(value: Any) -> Any:
    """A bound as it is compared: a number stays one, so that it is rounded to the dtype of what it is compared with."""
    return value if isinstance(value, int | float) else _array(value)


def _whole(x: Any) -> Any:
    with np.errstate(invalid="ignore"):  # ∞ is no whole number
        return x % 1 == 0


class _Elementwise(Constraint):
    """A constraint of numbers, given by a formula on arrays.

    Args:
        text: what a number must be: "positive".
        fits: for an array, where it is so.
        is_discrete: whether only isolated numbers fit.
    """

    def __init__(self, text: str, fits: Callable[[Any], Any], *, is_discrete: bool = False) -> None:
        self._text, self._fits, self.is_discrete = text, fits, is_discrete

    def check(self, value: Tensor) -> Tensor:
        return wrap(np.asarray(self._fits(value._array), bool_))

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"<constraint: {self._text}>"

    def __reduce__(self) -> str:
        """It is known by its identity: a copy is itself, and what is pickled is its name."""
        return next(name for name, value in globals().items() if value is self)


class _OfElements(_Elementwise):
    """A constraint of vectors or matrices, given by a formula on arrays that reduces the last dimensions."""

    def __init__(self, text: str, fits: Callable[[Any], Any], event_dim: int, *, is_discrete: bool = False) -> None:
        super().__init__(text, fits, is_discrete=is_discrete)
        self.event_dim = event_dim


class _Dependent(Constraint):
    """Stands for a constraint that depends on other values; it cannot be checked before they are known.

    Args:
        is_discrete: whether the constraint that it stands for is.
        event_dim: that of the constraint that it stands for.
    """

    def __init__(self, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, *, is_discrete: bool | None = None, event_dim: int | None = None) -> _Dependent:
        return _Dependent(
            is_discrete=self.is_discrete if is_discrete is None else is_discrete,
            event_dim=self.event_dim if event_dim is None else event_dim,
        )

    def check(self, value: Tensor) -> Tensor:
        raise ValueError("this constraint depends on parameters: ask a distribution for its own, d.support")


class dependent_property(property, _Dependent):
    """A property whose value is a constraint.

    On the class it stands for a dependent constraint::

        @constraints.dependent_property(is_discrete=False, event_dim=0)
        def support(self): ...
    """

    def __init__(
        self, function: Callable[[Any], Any] | None = None, *, is_discrete: bool = False, event_dim: int = 0
    ) -> None:
        super().__init__(function)
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, function: Callable[[Any], Any]) -> dependent_property:  # type: ignore[override]
        return dependent_property(function, is_discrete=self.is_discrete, event_dim=self.event_dim)


def is_dependent(constraint: Any) -> bool:
    """Whether a constraint depends on values that are not known yet."""
    return isinstance(constraint, _Dependent)


class independent(Constraint):
    """Several dimensions at the right of another constraint, taken as one element, which fits where all of its parts do.

    Args:
        base_constraint: of the parts.
        reinterpreted_batch_ndims: how many dimensions.

    Raises:
        ValueError: ``base_constraint`` is none, or ``reinterpreted_batch_ndims`` is negative or no whole number.
    """

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        if not isinstance(base_constraint, Constraint):
            raise ValueError(
                f"independent: base_constraint must be a constraint, not {type(base_constraint).__name__}: {base_constraint!r}"
            )
        if not isinstance(reinterpreted_batch_ndims, int) or reinterpreted_batch_ndims < 0:
            raise ValueError(
                "independent: reinterpreted_batch_ndims must be a whole number, at least 0, and is "
                f"{reinterpreted_batch_ndims!r}"
            )
        self.base_constraint, self.reinterpreted_batch_ndims = base_constraint, reinterpreted_batch_ndims

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value: Tensor) -> Tensor:
        fits = self.base_constraint.check(value)._array
        n = self.reinterpreted_batch_ndims
        if fits.ndim < n:
            raise ValueError(
                f"a value that is {self} has at least {self.event_dim} dimensions, and this has {value.ndim}"
            )
        return wrap(np.asarray(fits.all(tuple(range(fits.ndim - n, fits.ndim)))))

    def __str__(self) -> str:
        return f"{self.base_constraint}, in all of the last {self.reinterpreted_batch_ndims} dimensions"

    def __repr__(self) -> str:
        return f"Independent({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


# ------------------------------------------------------------------------------------------------- constraints with bounds


def _shown(bound: Any) -> str:
    array = _array(bound)
    return f"{array.item():g}" if array.size == 1 else f"a bound of shape {list(array.shape)}"


class _Bounded(Constraint):
    """A constraint given by bounds, which broadcast with what is checked."""

    text: ClassVar[str]

    def __init__(self, *bounds: Any) -> None:
        self._bounds = bounds

    def __str__(self) -> str:
        return self.text.format(*map(_shown, self._bounds))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(_shown, self._bounds))})"

    def _fits(self, value: Any, *bounds: Any) -> Any:
        raise NotImplementedError

    def check(self, value: Tensor) -> Tensor:
        return wrap(np.asarray(self._fits(value._array, *map(_bound, self._bounds)), bool_))


class greater_than(_Bounded):
    """Numbers above ``lower_bound``."""

    text = "greater than {}"

    def __init__(self, lower_bound: Any) -> None:
        super().__init__(lower_bound)
        self.lower_bound = lower_bound

    def _fits(self, value: Any, *bounds: Any) -> Any:
        return value > bounds[0]


class greater_than_eq(_Bounded):
    """Numbers of at least ``lower_bound``."""

    text = "at least {}"

    def __init__(self, lower_bound: Any) -> None:
        super().__init__(lower_bound)
        self.lower_bound = lower_bound

    def _fits(self, value: Any, *bounds: Any) -> Any:
        return value >= bounds[0]


class less_than(_Bounded):
    """Numbers below ``upper_bound``."""

    text = "less than {}"

    def __init__(self, upper_bound: Any) -> None:
        super().__init__(upper_bound)
        self.upper_bound = upper_bound

    def _fits(self, value: Any, *bounds: Any) -> Any:
        return value < bounds[0]


class _Range(_Bounded):
    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        super().__init__(lower_bound, upper_bound)
        self.lower_bound, self.upper_bound = lower_bound, upper_bound


class interval(_Range):
    """Numbers from ``lower_bound`` to ``upper_bound``, both included."""

    text = "between {} and {}"

    def _fits(self, value: Any, *bounds: Any) -> Any:
        return (bounds[0] <= value) & (value <= bounds[1])


class half_open_interval(_Range):
    """Numbers from ``lower_bound`` to below ``upper_bound``."""

    text = "at least {} and less than {}"

    def _fits(self, value: Any, *bounds: Any) -> Any:
        return (bounds[0] <= value) & (value < bounds[1])


class integer_interval(_Range):
    """Whole numbers from ``lower_bound`` to ``upper_bound``, both included."""

    text = "a whole number between {} and {}"
    is_discrete = True

    def _fits(self, value: Any, *bounds: Any) -> Any:
        return _whole(value) & (bounds[0] <= value) & (value <= bounds[1])


class multinomial(Constraint):
    """Vectors of counts, not negative, that sum to ``upper_bound``."""

    is_discrete = True
    event_dim = 1

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Tensor) -> Tensor:
        counts = value._array
        whole = ((counts >= 0) & _whole(counts)).all(-1)
        return wrap(np.asarray(whole & (counts.sum(-1) == _array(self.upper_bound))))

    def __str__(self) -> str:
        return f"counts that sum to {_shown(self.upper_bound)}"


# ------------------------------------------------------------------------------------------------------- ready-made ones


def kind_of(constraint: Constraint) -> Any:
    """What a constraint has in common with those of its kind: the class, and for a ready-made one itself."""
    return constraint if isinstance(constraint, _Elementwise) else type(constraint)


def _close_to_symmetric(x: Any) -> Any:
    return np.isclose(x, np.swapaxes(x, -1, -2), rtol=1e-5, atol=1e-6).all((-2, -1))


def _finite(x: Any) -> tuple[Any, Any]:
    """Which matrices are finite, and the matrices with zeros in the place of the others."""
    finite = np.isfinite(x).all((-2, -1), keepdims=True)
    return finite[..., 0, 0], np.where(finite, x, 0.0)


def _has_cholesky(x: Any) -> Any:
    """Whether each symmetric matrix has a Cholesky factor: the test whose outcome does not depend on how rows are scaled."""
    fits, x = _finite(x)
    x = np.where(fits[..., None, None], x, np.eye(x.shape[-1]))
    try:
        np.linalg.cholesky(x)
    except np.linalg.LinAlgError:
        if x.ndim > 2:
            return fits & np.asarray([_has_cholesky(matrix) for matrix in x])
        return np.zeros((), bool_)
    return fits


def _no_negative_eigenvalue(x: Any) -> Any:
    """Whether each symmetric matrix has none, but for what rounding makes of a zero."""
    fits, x = _finite(x)
    values = np.linalg.eigvalsh(x)
    slack = 10 * x.shape[-1] * np.finfo(values.dtype).eps * np.abs(values).max(-1, initial=0.0)
    return fits & (values.min(-1, initial=0.0) >= -slack)


def _square(x: Any) -> Any:
    return np.full(x.shape[:-2], x.ndim >= 2 and x.shape[-1] == x.shape[-2])


def _lower(x: Any) -> Any:
    return (np.tril(x) == x).all((-2, -1))


def _symmetric(x: Any) -> Any:
    return _square(x) if not _square(x).all() else _close_to_symmetric(x)


def _definite(x: Any) -> Any:
    return _symmetric(x) if not _symmetric(x).any() else _symmetric(x) & _has_cholesky(x)


def _semidefinite(x: Any) -> Any:
    return _symmetric(x) if not _symmetric(x).any() else _symmetric(x) & _no_negative_eigenvalue(x)


dependent = _Dependent()
boolean = _Elementwise("0 or 1", lambda x: (x == 0) | (x == 1), is_discrete=True)
nonnegative_integer = _Elementwise("a whole number, at least 0", lambda x: _whole(x) & (x >= 0), is_discrete=True)
positive_integer = _Elementwise("a whole number, at least 1", lambda x: _whole(x) & (x >= 1), is_discrete=True)
real = _Elementwise("a number", lambda x: x == x)
real_vector = independent(real, 1)
positive = _Elementwise("positive", lambda x: x > 0)
nonnegative = _Elementwise("at least 0", lambda x: x >= 0)
unit_interval = _Elementwise("between 0 and 1", lambda x: (x >= 0) & (x <= 1))
simplex = _OfElements(
    "a vector of numbers, at least 0, that sum to 1",
    lambda x: (x >= 0).all(-1) & (np.abs(x.sum(-1) - 1) < 1e-6),
    1,
)
one_hot = _OfElements(
    "one 1 among zeros", lambda x: ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1), 1, is_discrete=True
)
square = _OfElements("a square matrix", _square, 2)
lower_triangular = _OfElements("a lower triangular matrix", _lower, 2)
lower_cholesky = _OfElements(
    "a lower triangular matrix with a positive diagonal",
    lambda x: _lower(x) & (np.diagonal(x, axis1=-2, axis2=-1) > 0).all(-1),
    2,
)
symmetric = _OfElements("a symmetric matrix", _symmetric, 2)
positive_semidefinite = _OfElements("a symmetric matrix without negative eigenvalues", _semidefinite, 2)
positive_definite = _OfElements("a symmetric positive definite matrix", _definite, 2)


def bounds(constraint: Any) -> tuple[Any, Any]:
    """The lower and the upper end of a constraint of numbers: numbers or tensors, infinite where there is none."""
    low = getattr(constraint, "lower_bound", -np.inf)
    high = getattr(constraint, "upper_bound", np.inf)
    if constraint in (positive, nonnegative, nonnegative_integer):
        low = 0.0
    elif constraint is positive_integer:
        low = 1.0
    elif constraint in (unit_interval, boolean):
        low, high = 0.0, 1.0
    return _array(low), _array(high)
