"""From a constraint to a transform of real numbers into the set that it describes, so that what is constrained can be optimised.

There are two registries. `biject_to` gives bijections, which have the logarithm of a determinant that Hamiltonian Monte Carlo and
variational inference need; `transform_to` gives transforms that need not be bijections, where each output moves mostly with its
own input, as optimisers like it::

    scale = transform_to(Normal.arg_constraints["scale"])(unconstrained)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.transforms import (
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    IndependentTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    SigmoidTransform,
    SoftmaxTransform,
    StickBreakingTransform,
    Transform,
    identity_transform,
)
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]

Factory = Callable[[Any], Transform]


class ConstraintRegistry:
    """Which function makes a transform for which kind of constraint."""

    def __init__(self) -> None:
        self._factories: dict[Any, Factory] = {}

    @overload
    def register(self, constraint: Any) -> Callable[[Factory], Factory]: ...
    @overload
    def register(self, constraint: Any, factory: Factory) -> Factory: ...
    def register(self, constraint: Any, factory: Factory | None = None) -> Any:
        """Say how to make a transform for a kind of constraint. Without ``factory`` it decorates one::

            @transform_to.register(MyConstraint)
            def my_transform(constraint):
                return MyTransform(constraint.bound)

        Args:
            constraint: a class of constraints, an instance that stands for its class, or a ready-made constraint such as
                ``constraints.positive``.
            factory: a function of a constraint of this kind.

        Returns:
            The factory.

        Raises:
            TypeError: ``constraint`` is neither a constraint nor a class of constraints.
        """
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        if isinstance(constraint, constraints.Constraint):
            constraint = constraints.kind_of(constraint)
        elif not isinstance(constraint, type) or not issubclass(constraint, constraints.Constraint):
            raise TypeError(
                f"register(): constraint must be a constraint or a class of constraints, not {constraint!r}"
            )
        self._factories[constraint] = factory
        return factory

    def __call__(self, constraint: constraints.Constraint) -> Transform:
        """The transform for a constraint.

        Raises:
            NotImplementedError: none is registered for constraints of this kind.
        """
        factory = None
        if isinstance(constraint, constraints.Constraint):
            factory = self._factories.get(constraints.kind_of(constraint))
        if factory is None:
            known = ", ".join(sorted(_name(kind) for kind in self._factories)) or "nothing yet"
            raise NotImplementedError(
                f"no transform is registered for {constraint!r}; there is one for: {known}. "
                "Register your own with register(…) of this registry"
            )
        return factory(constraint)


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind.__reduce__())


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _in_both(*kinds: Any) -> Callable[[Factory], Factory]:
    def register(factory: Factory) -> Factory:
        for kind in kinds:
            biject_to.register(kind, factory)
            transform_to.register(kind, factory)
        return factory

    return register


class _AffineInto(AffineTransform):
    """An affine transform into a set with bounds.

    What lies inside may be rounded onto a bound that does not belong to the set, or past one: exp(−50) + 2 is rounded to 2. It
    is moved to the next number inside. So each result is one of the two floats beside what the formula gave before rounding.

    Args:
        constraint: the set.
        loc: as for `AffineTransform`.
        scale: as for `AffineTransform`.
        event_dim: as for `AffineTransform`.
        cache_size: as for `Transform`.
    """

    def __init__(self, constraint: Any, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(loc, scale, event_dim, cache_size)
        self._constraint = constraint

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return type(self)(self._constraint, self.loc, self.scale, self._event_dim, cache_size)

    def _call(self, x: Tensor) -> Tensor:
        y = super()._call(x)
        array = y._array
        left_out = np.isfinite(array) & ~self._constraint.check(y)._array
        if not left_out.any():
            return y
        array = np.where(left_out, array, 0)
        inside = np.clip(array, self._end("lower_bound", np.inf, array), self._end("upper_bound", -np.inf, array))
        return y + wrap(np.where(left_out, inside - array, 0).astype(array.dtype))

    def _end(self, which: str, inwards: float, array: Any) -> Any:
        """The last number of the set on one side, in the dtype of an array; ``None`` where it has no bound there."""
        bound = getattr(self._constraint, which, None)
        if bound is None:
            return None
        end = np.asarray(bound._array if isinstance(bound, Tensor) else bound).astype(array.dtype)
        belongs = self._constraint.check(wrap(end))._array
        return np.where(belongs | ~np.isfinite(end), end, np.nextafter(end, array.dtype.type(inwards)))


@_in_both(constraints.real)
def _to_real(constraint: Any) -> Transform:
    return identity_transform


@biject_to.register(constraints.independent)
def _biject_to_independent(constraint: Any) -> Transform:
    return IndependentTransform(biject_to(constraint.base_constraint), constraint.reinterpreted_batch_ndims)


@transform_to.register(constraints.independent)
def _transform_to_independent(constraint: Any) -> Transform:
    return IndependentTransform(transform_to(constraint.base_constraint), constraint.reinterpreted_batch_ndims)


@_in_both(constraints.positive, constraints.nonnegative)
def _to_positive(constraint: Any) -> Transform:
    return ExpTransform()


@_in_both(constraints.greater_than, constraints.greater_than_eq)
def _to_greater_than(constraint: Any) -> Transform:
    return ComposeTransform([ExpTransform(), _AffineInto(constraint, constraint.lower_bound, 1)])


@_in_both(constraints.less_than)
def _to_less_than(constraint: Any) -> Transform:
    return ComposeTransform([ExpTransform(), _AffineInto(constraint, constraint.upper_bound, -1)])


@_in_both(constraints.unit_interval)
def _to_unit_interval(constraint: Any) -> Transform:
    return SigmoidTransform()


@_in_both(constraints.interval, constraints.half_open_interval)
def _to_interval(constraint: Any) -> Transform:
    lower, upper = constraint.lower_bound, constraint.upper_bound
    if not np.all(np.asarray(lower < upper)):
        raise ValueError(
            f"{type(constraint).__name__}: lower_bound must be less than upper_bound, and it is {constraint}"
        )
    numbers = isinstance(lower, int | float) and isinstance(upper, int | float)
    if numbers and (lower, upper) == (0, 1) and isinstance(constraint, constraints.interval):
        return SigmoidTransform()
    return ComposeTransform([SigmoidTransform(), _AffineInto(constraint, lower, upper - lower)])


@biject_to.register(constraints.simplex)
def _biject_to_simplex(constraint: Any) -> Transform:
    return StickBreakingTransform()


@transform_to.register(constraints.simplex)
def _transform_to_simplex(constraint: Any) -> Transform:
    return SoftmaxTransform()


@transform_to.register(constraints.lower_cholesky)
def _to_lower_cholesky(constraint: Any) -> Transform:
    return LowerCholeskyTransform()


@transform_to.register(constraints.positive_semidefinite)
@transform_to.register(constraints.positive_definite)
def _to_positive_definite(constraint: Any) -> Transform:
    return PositiveDefiniteTransform()
