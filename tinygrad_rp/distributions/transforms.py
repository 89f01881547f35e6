"""Transforms: maps of tensors that know their inverse, and by how much they stretch.

A transform says where its inputs and outputs lie (``domain``, ``codomain``), how to go there and back, and the logarithm of the
absolute value of the determinant of its Jacobian, which is what a density needs when its variable is transformed.

*Numbers are what the formula says, rounded.* Nothing is held away from the ends of a codomain: `SigmoidTransform` of 40 is the
float nearest to the truth, which is 1, and from there the way back leads to ∞. Logarithms of determinants are computed from the
input, where nothing is lost yet, and so keep their digits where the output has none left. A cache brings back inputs exactly
(`Transform`).
"""

from __future__ import annotations

import functools
import math
import operator
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, Parametrised, sum_rightmost
from tinygrad_rp.engine import is_grad_enabled
from tinygrad_rp.ops.create import full, zeros, zeros_like
from tinygrad_rp.ops.elementwise import logsigmoid, where, xlogy
from tinygrad_rp.ops.linalg import cholesky
from tinygrad_rp.ops.shape import cat
from tinygrad_rp.tensor import Size, Tensor, get_default_dtype, tensor, wrap

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "ComposeTransform",
    "CumulativeDistributionTransform",
    "ExpTransform",
    "IndependentTransform",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StickBreakingTransform",
    "TanhTransform",
    "Transform",
    "identity_transform",
]


class Transform(Parametrised):
    """A map of tensors with an inverse, for which a subclass gives ``_call`` and ``_inverse``, and ``log_abs_det_jacobian``.

    With a cache, the inverse of the very tensor that was returned last is the very tensor that it was computed from, and the
    other way round. So nothing is lost where the inverse has few digits left. A pair is forgotten once either of the two, or a
    tensor that the transform holds, is changed in place; and one that was computed under ``no_grad()`` is not used where
    operations are recorded and one of these tensors requires grad, since no gradient would pass.

    Args:
        cache_size: how many pairs are kept, 0 or 1.

    Raises:
        ValueError: ``cache_size`` is neither 0 nor 1.
    """

    bijective: Any = False
    """Whether each element of the codomain comes from one element of the domain."""
    domain: Any
    """The constraint that inputs fit."""
    codomain: Any
    """The constraint that outputs fit."""

    _aside = ("_known", "_made_inverse")
    _cache_size = 0
    _known: tuple[Tensor, Tensor, list[tuple[Tensor, int]], bool] | None = None  # x, y, stamps, recorded
    _made_inverse: weakref.ref[Transform] | None = None  # weakly: the inverse holds this transform

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError(f"{type(self).__name__}: cache_size must be 0 or 1, and is {cache_size!r}")
        self._cache_size = cache_size

    def __getstate__(self) -> dict[str, Any]:
        """A copy has the same parameters, an inverse of its own, and remembers no tensors."""
        return {key: value for key, value in vars(self).items() if key not in self._aside}

    @property
    def event_dim(self) -> int:
        """How many dimensions at the right are transformed together.

        Raises:
            ValueError: there are more or less of them afterwards.
        """
        before, after = self.domain.event_dim, self.codomain.event_dim
        if before != after:
            raise ValueError(
                f"{type(self).__name__} has no event_dim: {before} of its input and {after} of its output; "
                "ask for domain.event_dim or codomain.event_dim"
            )
        return int(before)

    @property
    def inv(self) -> Transform:
        """The inverse, whose own ``inv`` is this very transform."""
        made = None if self._made_inverse is None else self._made_inverse()
        if made is None:
            made = self._make_inverse()
            self._made_inverse = weakref.ref(made)
        return made

    def _make_inverse(self) -> Transform:
        return _InverseTransform(self)

    @property
    def sign(self) -> Any:
        """1 if the transform of numbers increases, −1 if it decreases: a number or a tensor.

        Raises:
            NotImplementedError: it does neither, or does not work number by number.
        """
        raise NotImplementedError(f"{type(self).__name__} has no sign: it neither increases nor decreases")

    def with_cache(self, cache_size: int = 1) -> Any:
        """The same transform with a cache of this size: itself, or a new one.

        Raises:
            NotImplementedError: a subclass has arguments of its own, and does not say how to make another one.
        """
        if self._cache_size == cache_size:
            return self
        if type(self).__init__ is Transform.__init__:
            return type(self)(cache_size=cache_size)
        raise NotImplementedError(f"{type(self).__name__} takes arguments of its own, so it needs its own with_cache()")

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    # -------------------------------------------------------------------------------------------------- there and back

    def __call__(self, x: Tensor) -> Tensor:
        """The transformed tensor."""
        y = self._recalled(x, 0)
        if y is None:
            y = self._call(x)
            self._remember(x, y)
        return y

    def _inv_call(self, y: Tensor) -> Tensor:
        """The tensor that is transformed to ``y``."""
        x = self._recalled(y, 1)
        if x is None:
            x = self._inverse(y)
            self._remember(x, y)
        return x

    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no _call(), and so only goes from outputs to inputs")

    def _inverse(self, y: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no _inverse(), and so only goes from inputs to outputs")

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The logarithm of the absolute value of the determinant of the Jacobian.

        Args:
            x: the input.
            y: the output for it.

        Returns:
            One number for each event: a tensor without the dimensions at the right that are transformed together.

        Raises:
            NotImplementedError: there is no such determinant.
        """
        raise NotImplementedError(f"{type(self).__name__} has no log_abs_det_jacobian()")

    def forward_shape(self, shape: Sequence[int]) -> Size:
        """The shape of the output for an input of this shape.

        Raises:
            ValueError: an input cannot have this shape.
        """
        return Size(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Size:
        """The shape of the input for an output of this shape.

        Raises:
            ValueError: an output cannot have this shape.
        """
        return Size(shape)

    # -------------------------------------------------------------------------------------------------------- the cache

    def _stamps(self, *pair: Tensor) -> list[tuple[Tensor, int]]:
        return [(t, t._version) for t in (*pair, *self._gradient_sources().values())]

    def _remember(self, x: Tensor, y: Tensor) -> None:
        if self._cache_size:
            self._known = x, y, self._stamps(x, y), is_grad_enabled()

    def _recalled(self, given: Tensor, place: int) -> Tensor | None:
        """The other one of the remembered pair, if ``given`` is the one at ``place``, and nothing has changed since."""
        known = self._known
        if known is None or known[place] is not given:
            return None
        x, y, before, recorded = known
        now = self._stamps(x, y)
        if len(now) != len(before) or any(a is not b or m != n for (a, m), (b, n) in zip(now, before, strict=True)):
            return None
        if not recorded and is_grad_enabled() and any(t.requires_grad for t, _ in now):
            return None
        return x if place else y


class _InverseTransform(Transform):
    """The inverse of a transform. It holds the transform, which knows it weakly: no circle."""

    def __init__(self, transform: Transform) -> None:
        super().__init__(transform._cache_size)
        self._transform = transform

    domain = constraints.dependent_property(lambda self: self._transform.codomain)
    codomain = constraints.dependent_property(lambda self: self._transform.domain)
    bijective = property(lambda self: self._transform.bijective)
    sign = property(lambda self: self._transform.sign)

    @property
    def inv(self) -> Transform:
        return self._transform

    def with_cache(self, cache_size: int = 1) -> Transform:
        made: Transform = self._transform.with_cache(cache_size)
        return made.inv

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _InverseTransform) and self._transform == other._transform

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._transform!r})"

    def __call__(self, x: Tensor) -> Tensor:
        return self._transform._inv_call(x)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -self._transform.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Sequence[int]) -> Size:
        return self._transform.inverse_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Size:
        return self._transform.forward_shape(shape)


# ---------------------------------------------------------------------------------------------------- transforms of transforms


class ComposeTransform(Transform):
    """Several transforms, one after the other.

    Args:
        parts: the transforms, the first one first. Without any, nothing is changed.
        cache_size: of the parts, which do the caching.

    Raises:
        ValueError: a part is no transform, or ``cache_size`` is neither 0 nor 1.
    """

    _forward: ComposeTransform | None = None  # of an inverse: what it is the inverse of

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        for i, part in enumerate(parts):
            if not isinstance(part, Transform):
                raise ValueError(f"ComposeTransform: parts[{i}] must be a transform, not {type(part).__name__}")
        self.parts: list[Transform] = [part.with_cache(cache_size) for part in parts] if cache_size else list(parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComposeTransform) and self.parts == other.parts

    @constraints.dependent_property
    def domain(self) -> constraints.Constraint:
        """That of the first part, with as many dimensions taken together as any part takes together."""
        if not self.parts:
            return constraints.real
        dims = self.parts[-1].codomain.event_dim
        for part in reversed(self.parts):
            before, after = part.domain.event_dim, part.codomain.event_dim
            dims = max(dims + before - after, before)
        return _together(self.parts[0].domain, dims)

    @constraints.dependent_property
    def codomain(self) -> constraints.Constraint:
        """That of the last part, with as many dimensions taken together as any part takes together."""
        if not self.parts:
            return constraints.real
        dims = self.parts[0].domain.event_dim
        for part in self.parts:
            before, after = part.domain.event_dim, part.codomain.event_dim
            dims = max(dims + after - before, after)
        return _together(self.parts[-1].codomain, dims)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        """Whether all parts are."""
        return all(part.bijective for part in self.parts)

    @property
    def sign(self) -> Any:
        """The product of those of the parts."""
        return math.prod((part.sign for part in self.parts), start=1)

    @property
    def inv(self) -> Transform:
        return super().inv if self._forward is None else self._forward

    def _make_inverse(self) -> ComposeTransform:
        made = ComposeTransform([part.inv for part in reversed(self.parts)])
        made._forward = self
        return made

    def with_cache(self, cache_size: int = 1) -> ComposeTransform:
        if self._cache_size == cache_size:
            return self
        return ComposeTransform([part.with_cache(cache_size) for part in self.parts], cache_size)

    def __call__(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        if not self.parts:
            return zeros_like(x)
        terms = []
        dims = self.domain.event_dim
        for i, part in enumerate(self.parts):
            after = y if i == len(self.parts) - 1 else part(x)
            terms.append(sum_rightmost(part.log_abs_det_jacobian(x, after), dims - part.domain.event_dim))
            dims += part.codomain.event_dim - part.domain.event_dim
            x = after
        return functools.reduce(operator.add, terms)

    def forward_shape(self, shape: Sequence[int]) -> Size:
        for part in self.parts:
            shape = part.forward_shape(shape)
        return Size(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Size:
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return Size(shape)

    def __repr__(self) -> str:
        return f"ComposeTransform([{', '.join(map(repr, self.parts))}])"


def _together(constraint: constraints.Constraint, dims: int) -> constraints.Constraint:
    """A constraint of elements that have ``dims`` dimensions, at least as many as it has."""
    more = dims - constraint.event_dim
    return constraints.independent(constraint, more) if more else constraint


identity_transform = ComposeTransform([])
"""The transform that changes nothing."""


class IndependentTransform(Transform):
    """Another transform, of which several dimensions at the right are taken together: their logarithms of determinants are added.

    Args:
        base_transform: the other transform.
        reinterpreted_batch_ndims: how many dimensions, beside those that it takes together itself.
        cache_size: as for `Transform`.

    Raises:
        ValueError: an argument is of another kind, or negative.
    """

    def __init__(self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        if not isinstance(base_transform, Transform):
            raise ValueError(
                f"IndependentTransform: base_transform must be a transform, not {type(base_transform).__name__}"
            )
        self.base_transform: Transform = base_transform.with_cache(cache_size)
        self.reinterpreted_batch_ndims = _count(self, "reinterpreted_batch_ndims", reinterpreted_batch_ndims)

    def with_cache(self, cache_size: int = 1) -> IndependentTransform:
        if self._cache_size == cache_size:
            return self
        return IndependentTransform(self.base_transform, self.reinterpreted_batch_ndims, cache_size)

    @constraints.dependent_property
    def domain(self) -> constraints.Constraint:
        return constraints.independent(self.base_transform.domain, self.reinterpreted_batch_ndims)

    @constraints.dependent_property
    def codomain(self) -> constraints.Constraint:
        return constraints.independent(self.base_transform.codomain, self.reinterpreted_batch_ndims)

    bijective = property(lambda self: self.base_transform.bijective)
    sign = property(lambda self: self.base_transform.sign)

    def _call(self, x: Tensor) -> Tensor:
        _need_dims(self, "input", x.shape, self.domain.event_dim)
        return self.base_transform(x)

    def _inverse(self, y: Tensor) -> Tensor:
        _need_dims(self, "output", y.shape, self.codomain.event_dim)
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return sum_rightmost(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Sequence[int]) -> Size:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Size:
        return self.base_transform.inverse_shape(shape)

    def __repr__(self) -> str:
        return f"IndependentTransform({self.base_transform!r}, {self.reinterpreted_batch_ndims})"


class ReshapeTransform(Transform):
    """The dimensions at the right in another shape, with the same elements.

    Args:
        in_shape: of an event before.
        out_shape: of an event afterwards.
        cache_size: as for `Transform`.

    Raises:
        ValueError: the shapes have different numbers of elements.
    """

    bijective = True

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.in_shape, self.out_shape = Size(in_shape), Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ValueError(
                f"ReshapeTransform: in_shape and out_shape must have the same number of elements, but {list(in_shape)} "
                f"has {self.in_shape.numel()} and {list(out_shape)} has {self.out_shape.numel()}"
            )

    @constraints.dependent_property
    def domain(self) -> constraints.Constraint:
        return constraints.independent(constraints.real, len(self.in_shape))

    @constraints.dependent_property
    def codomain(self) -> constraints.Constraint:
        return constraints.independent(constraints.real, len(self.out_shape))

    def with_cache(self, cache_size: int = 1) -> ReshapeTransform:
        return self if self._cache_size == cache_size else ReshapeTransform(self.in_shape, self.out_shape, cache_size)

    def _call(self, x: Tensor) -> Tensor:
        return x.reshape(self.forward_shape(x.shape))

    def _inverse(self, y: Tensor) -> Tensor:
        return y.reshape(self.inverse_shape(y.shape))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return zeros(_outer(self, "in_shape", x.shape, self.in_shape), dtype=x.dtype)

    def forward_shape(self, shape: Sequence[int]) -> Size:
        return Size((*_outer(self, "in_shape", shape, self.in_shape), *self.out_shape))

    def inverse_shape(self, shape: Sequence[int]) -> Size:
        return Size((*_outer(self, "out_shape", shape, self.out_shape), *self.in_shape))


def _outer(owner: Transform, argument: str, shape: Sequence[int], event: Size) -> tuple[int, ...]:
    """The dimensions of a shape before those of the event with which it has to end."""
    cut = len(shape) - len(event)
    if cut < 0 or tuple(shape[cut:]) != tuple(event):
        raise ValueError(
            f"{type(owner).__name__}: the shape must end in {argument}, which is {list(event)}, and is {list(shape)}"
        )
    return tuple(shape[:cut])


def _need_dims(owner: Transform, what: str, shape: Sequence[int], dims: int) -> None:
    if len(shape) < dims:
        raise ValueError(
            f"{type(owner).__name__}: the {what} must have at least {dims} dimension{'s' * (dims > 1)}, "
            f"and has shape {list(shape)}"
        )


def _count(owner: Transform, argument: str, value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{type(owner).__name__}: {argument} must be a whole number, at least 0, and is {value!r}")
    return value


def _number_or_tensor(owner: Transform, argument: str, value: Any) -> Any:
    if not isinstance(value, Tensor | int | float | np.number):
        raise ValueError(f"{type(owner).__name__}: {argument} must be a tensor or a number, not {type(value).__name__}")
    return value


def _equal(a: Any, b: Any) -> bool:
    """Whether two parameters, tensors or numbers, are the same everywhere; they may broadcast."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return bool((a == b).all())
    return bool(a == b)


def _need_inverse(owner: Transform, argument: str, value: Any) -> None:
    """Refuse to undo what maps all numbers to one."""
    array = value._array if isinstance(value, Tensor) else np.asarray(value)
    if not array.all():
        where_ = f"[{', '.join(map(str, np.argwhere(array == 0)[0]))}] is 0" if array.ndim else "it is 0"
        raise ValueError(
            f"{type(owner).__name__}: {argument} must not be 0 where the inverse is asked for, but {where_}"
        )


# -------------------------------------------------------------------------------------------------------- number by number


class _Increasing(Transform):
    """A bijective transform of numbers without parameters. All of a class are equal."""

    bijective = True
    sign = 1  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self))


class ExpTransform(_Increasing):
    """``y = exp(x)``."""

    domain = constraints.real
    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return x.exp()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x


class SigmoidTransform(_Increasing):
    """``y = 1 / (1 + exp(−x))``."""

    domain = constraints.real
    codomain = constraints.unit_interval

    def _call(self, x: Tensor) -> Tensor:
        return x.sigmoid()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``log σ(x) + log σ(−x)``."""
        return logsigmoid(x) + logsigmoid(-x)


class SoftplusTransform(_Increasing):
    """``y = log(1 + exp(x))``."""

    domain = constraints.real
    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return -logsigmoid(-x)

    def _inverse(self, y: Tensor) -> Tensor:
        return (-(-y).expm1()).log() + y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return logsigmoid(x)


class TanhTransform(_Increasing):
    """``y = tanh(x)``, which keeps more digits than an affine transform of a `SigmoidTransform`."""

    domain = constraints.real
    codomain = constraints.interval(-1.0, 1.0)

    def _call(self, x: Tensor) -> Tensor:
        return x.tanh()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``log(1 − tanh² x)``, written with exp(−2x), so that it does not lose its digits with those of ``1 − y²``."""
        return 2 * (math.log(2) - x + logsigmoid(2 * x))


class PowerTransform(Transform):
    """``y = xᵖ``, for positive numbers.

    Args:
        exponent: p, a tensor or a number. With 0 it is not bijective.
        cache_size: as for `Transform`.

    Raises:
        ValueError: ``exponent`` is neither a tensor nor a number; or the inverse is asked for, and it is 0 somewhere.
    """

    domain = constraints.positive
    codomain = constraints.positive

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        exponent = _number_or_tensor(self, "exponent", exponent)
        self.exponent = exponent if isinstance(exponent, Tensor) else tensor(float(exponent))

    def with_cache(self, cache_size: int = 1) -> PowerTransform:
        return self if self._cache_size == cache_size else PowerTransform(self.exponent, cache_size)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        """Whether no exponent is 0."""
        return bool(self.exponent._array.all())

    @property
    def sign(self) -> Tensor:
        """That of the exponent."""
        return self.exponent.sign()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PowerTransform) and _equal(self.exponent, other.exponent)

    def _call(self, x: Tensor) -> Tensor:
        return x.pow(self.exponent)

    def _inverse(self, y: Tensor) -> Tensor:
        _need_inverse(self, "exponent", self.exponent)
        # in the dtype of the result: a reciprocal in float32 would not be the inverse of a power of float64
        return y.pow(1 / self.exponent.to(np.result_type(self.exponent.dtype, y.dtype)))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``log |p| + (p − 1)·log x``, which neither overflows nor underflows with y."""
        return self.exponent.abs().log() + xlogy(self.exponent - 1, x)

    def forward_shape(self, shape: Sequence[int]) -> Size:
        return _broadcast(self, shape, exponent=self.exponent)

    inverse_shape = forward_shape


class AffineTransform(Transform):
    """``y = loc + scale · x``, element by element.

    Args:
        loc: a tensor or a number.
        scale: a tensor or a number. With 0 it is not bijective.
        event_dim: how many dimensions at the right are taken together.
        cache_size: as for `Transform`.

    Raises:
        ValueError: an argument is of another kind, or ``event_dim`` is negative; or the inverse is asked for, and ``scale`` is 0
            somewhere.
    """

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale = _number_or_tensor(self, "loc", loc), _number_or_tensor(self, "scale", scale)
        self._event_dim = _count(self, "event_dim", event_dim)

    @property
    def event_dim(self) -> int:
        return self._event_dim

    @constraints.dependent_property
    def domain(self) -> constraints.Constraint:
        return _together(constraints.real, self._event_dim)

    codomain = domain

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        """Whether no scale is 0."""
        return bool((self.scale != 0).all()) if isinstance(self.scale, Tensor) else bool(self.scale != 0)

    @property
    def sign(self) -> Any:
        """That of the scale: a tensor if it is one."""
        return self.scale.sign() if isinstance(self.scale, Tensor) else int(self.scale > 0) - int(self.scale < 0)

    def with_cache(self, cache_size: int = 1) -> Any:
        return self if self._cache_size == cache_size else type(self)(self.loc, self.scale, self._event_dim, cache_size)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AffineTransform) and _equal(self.loc, other.loc) and _equal(self.scale, other.scale)

    def _call(self, x: Tensor) -> Tensor:
        return self.loc + self.scale * x  # type: ignore[no-any-return]

    def _inverse(self, y: Tensor) -> Tensor:
        _need_inverse(self, "scale", self.scale)
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``log |scale|``, summed over the dimensions that are taken together; −∞ for a tensor that is 0.

        Raises:
            ValueError: ``scale`` is the number 0, or ``x`` has less than ``event_dim`` dimensions.
        """
        _need_dims(self, "input", x.shape, self._event_dim)
        if isinstance(self.scale, Tensor):
            logs = self.scale.abs().log().expand(_broadcast(self, x.shape, scale=self.scale))
        else:
            if self.scale == 0:
                raise ValueError("AffineTransform.log_abs_det_jacobian(): scale must not be 0, and is 0")
            logs = full(
                x.shape, math.log(abs(self.scale)), dtype=x.dtype if x.is_floating_point() else get_default_dtype()
            )
        return sum_rightmost(logs, self._event_dim)

    def forward_shape(self, shape: Sequence[int]) -> Size:
        return _broadcast(self, shape, loc=self.loc, scale=self.scale)

    inverse_shape = forward_shape


def _broadcast(owner: Transform, shape: Sequence[int], **parameters: Any) -> Size:
    """What a shape and those of parameters broadcast to.

    Raises:
        RuntimeError: they do not broadcast.
    """
    shapes = {name: value._array.shape for name, value in parameters.items() if isinstance(value, Tensor)}
    try:
        return Size(np.broadcast_shapes(tuple(shape), *shapes.values()))
    except ValueError:
        shown = " and ".join(f"that of {name}, {list(s)}" for name, s in shapes.items())
        raise RuntimeError(f"{type(owner).__name__}: the shape {list(shape)} does not broadcast with {shown}") from None


class AbsTransform(Transform):
    """``y = |x|``, which is not bijective; its inverse is the positive one of the two."""

    domain = constraints.real
    codomain = constraints.positive

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AbsTransform)

    def _call(self, x: Tensor) -> Tensor:
        return x.abs()

    def _inverse(self, y: Tensor) -> Tensor:
        return y


class CumulativeDistributionTransform(Transform):
    """The distribution function of a distribution of numbers, which makes its samples uniform.

    Args:
        distribution: with ``cdf``, ``icdf`` (for the inverse) and ``log_prob``.
        cache_size: as for `Transform`.
    """

    bijective = True
    codomain = constraints.unit_interval
    sign = 1  # type: ignore[assignment]

    def __init__(self, distribution: Distribution, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution

    @constraints.dependent_property
    def domain(self) -> constraints.Constraint:
        """The support of the distribution."""
        support: constraints.Constraint = self.distribution.support
        return support

    def _call(self, x: Tensor) -> Tensor:
        return self.distribution.cdf(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self.distribution.log_prob(x)

    def with_cache(self, cache_size: int = 1) -> CumulativeDistributionTransform:
        return (
            self if self._cache_size == cache_size else CumulativeDistributionTransform(self.distribution, cache_size)
        )


# ----------------------------------------------------------------------------------------------------- vectors and matrices


class SoftmaxTransform(Transform):
    """Vectors to the simplex, ``y = exp(x) / Σ exp(x)``: not bijective, since what is added to all elements goes unseen."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SoftmaxTransform)

    def _call(self, x: Tensor) -> Tensor:
        self.forward_shape(x.shape)
        return x.softmax(-1)

    def _inverse(self, y: Tensor) -> Tensor:
        self.inverse_shape(y.shape)
        return y.log()

    def forward_shape(self, shape: Sequence[int]) -> Size:
        _need_dims(self, "input", shape, 1)
        return Size(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Size:
        _need_dims(self, "output", shape, 1)
        return Size(shape)


class StickBreakingTransform(Transform):
    """Vectors to the simplex of one more dimension, and back.

    A stick of length 1 is broken n times. The k-th piece is the share σ(xₖ − log(n − k + 1)) of what is left, and the last one
    all that remains; so x = 0 gives n + 1 equal pieces. All is computed from logarithms, of which none loses its digits.
    """

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StickBreakingTransform)

    def _call(self, x: Tensor) -> Tensor:
        self.forward_shape(x.shape)
        shifted = x - wrap(np.log(_counts_down(x.shape[-1], x.dtype)))
        nothing = zeros((*x.shape[:-1], 1), dtype=x.dtype)
        left = cat([nothing, logsigmoid(-shifted).cumsum(-1)], -1)
        return (cat([logsigmoid(shifted), nothing], -1) + left).exp()

    def _inverse(self, y: Tensor) -> Tensor:
        self.inverse_shape(y.shape)
        pieces = y[..., :-1]
        left = 1 - pieces.cumsum(-1)
        # where little is left, the difference has few digits: there, the sum of the pieces to come
        to_come = y[..., 1:].flip(-1).cumsum(-1).flip(-1)
        left = where(left > float(np.cbrt(np.finfo(y.dtype).eps)), left, to_come)
        return pieces.log() - left.log() + wrap(np.log(_counts_down(y.shape[-1] - 1, y.dtype)))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Of the first n pieces: Σ log σ + (n − k + 1)·log(1 − σ), since each break shortens all pieces after it."""
        count = _counts_down(x.shape[-1], x.dtype)
        shifted = x - wrap(np.log(count))
        return (logsigmoid(shifted) + logsigmoid(-shifted) * wrap(count)).sum(-1)

    def forward_shape(self, shape: Sequence[int]) -> Size:
        _need_dims(self, "input", shape, 1)
        return Size((*shape[:-1], shape[-1] + 1))

    def inverse_shape(self, shape: Sequence[int]) -> Size:
        _need_dims(self, "output", shape, 1)
        return Size((*shape[:-1], shape[-1] - 1))


def _counts_down(n: int, dtype: Any) -> Any:
    """n, n − 1, …, 1."""
    return np.arange(n, 0, -1).astype(dtype)


class LowerCholeskyTransform(Transform):
    """Square matrices to lower triangular ones: the exponential of the diagonal, which is positive, and what is below it."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LowerCholeskyTransform)

    def _call(self, x: Tensor) -> Tensor:
        _need_dims(self, "input", x.shape, 2)
        return x.tril(-1) + x.diagonal(0, -2, -1).exp().diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        _need_dims(self, "output", y.shape, 2)
        return y.tril(-1) + y.diagonal(0, -2, -1).log().diag_embed()


class PositiveDefiniteTransform(Transform):
    """Square matrices to symmetric positive definite ones, ``L·Lᵀ`` with the L of `LowerCholeskyTransform`."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PositiveDefiniteTransform)

    def _call(self, x: Tensor) -> Tensor:
        lower = LowerCholeskyTransform()(x)
        return lower @ lower.mT

    def _inverse(self, y: Tensor) -> Tensor:
        return LowerCholeskyTransform().inv(cholesky(y))
