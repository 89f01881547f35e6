"""The base of the distributions: shapes, checks, and what a sample says of the gradient.

A distribution is one class in one file. It declares its parameters with their constraints, its support, and whether ``rsample``
is reparameterised, and gives the formulas; everything else follows from these facts: checking, broadcasting, ``expand``,
``repr``, what `Distribution.stops` says, and the tests. This is all of the exponential distribution, but for its docstrings::

    class Exponential(Distribution):
        arg_constraints = {"rate": constraints.positive}
        support = constraints.nonnegative
        has_rsample = True
        in_scipy = staticmethod(lambda stats, rate: stats.expon(scale=1 / rate))

        def __init__(self, rate, validate_args=None):
            self._begin({"rate": rate}, validate_args=validate_args)

        def _rsample(self, shape, generator):
            return noise("exponential", shape, self._dtype, generator) / self.rate

        def log_prob(self, value):
            return self.rate.log() - self.rate * self._checked(value)

        mean = property(lambda self: 1 / self.rate)
        …
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.engine import no_grad
from tinygrad_rp.graph import Source, Stop
from tinygrad_rp.ops.create import shape_of
from tinygrad_rp.ops.elementwise import where
from tinygrad_rp.random import Generator, source_of
from tinygrad_rp.tensor import Size, Tensor, get_default_dtype, tensor, wrap

__all__ = ["Distribution"]


class Parametrised:
    """What depends on tensors, of its own or of what it is made of: a distribution or a transform."""

    _aside: ClassVar[tuple[str, ...]] = ()
    """Attributes that only remember what was computed."""

    def _gradient_sources(self) -> dict[str, Tensor]:
        """The tensors on which it depends, by name."""
        found: dict[str, Tensor] = {}
        for key, value in vars(self).items():
            if key not in self._aside:
                found |= tensors_in(value, key.lstrip("_"))
        return found

    def _with(self, stand_ins: Mapping[int, Tensor]) -> Any:
        """The same with other tensors in place of some, here and in what it is made of.

        Args:
            stand_ins: by the id of the tensor that each stands for.
        """
        new = copy.copy(self)
        for key, value in vars(new).items():
            if key not in self._aside:
                setattr(new, key, _replaced(value, stand_ins))
        return new


def tensors_in(value: Any, name: str) -> dict[str, Tensor]:
    """The tensors on which a value depends, by names that begin with this one."""
    if isinstance(value, Tensor):
        return {name: value}
    if isinstance(value, Parametrised):
        return {f"{name}.{key}": t for key, t in value._gradient_sources().items()}
    found: dict[str, Tensor] = {}
    if isinstance(value, list):
        for i, part in enumerate(value):
            found |= tensors_in(part, f"{name}[{i}]")
    return found


def _replaced(value: Any, stand_ins: Mapping[int, Tensor]) -> Any:
    if isinstance(value, Tensor):
        return stand_ins.get(id(value), value)
    if isinstance(value, Parametrised):
        return value._with(stand_ins)
    return [_replaced(part, stand_ins) for part in value] if isinstance(value, list) else value


class Distribution(Parametrised):
    """A probability distribution over tensors, one for each element of ``batch_shape``.

    Args:
        batch_shape: how many distributions there are.
        event_shape: of one sample.
        validate_args: whether parameters and values are checked. Default: what `set_default_validate_args` said, at first True.
    """

    arg_constraints: Mapping[str, constraints.Constraint] = {}
    """The parameters by name, and where each must lie."""
    support: Any = None
    """The constraint that all samples fit."""
    has_rsample: Any = False
    """Whether ``rsample`` exists: a sample through which gradient reaches all parameters."""
    has_enumerate_support: Any = False
    """Whether `enumerate_support` can list all values."""
    may_be_infinite: ClassVar[tuple[str, ...]] = ()
    """Parameters that may be infinite; all others must be finite, by name."""
    remedies: ClassVar[tuple[str, ...]] = ()
    """What can be used where gradient is to pass a sample, beside what follows from the other facts: the relaxations."""
    in_scipy: ClassVar[Callable[..., Any] | None] = None
    """The same in SciPy's terms: a function of ``scipy.stats`` and the parameters (for readers, and for the tests)."""

    _validate_args: Any = True
    _event_broadcasts = False
    """Whether a value of length 1 stands for all parts of an event."""
    batch_shape: Size
    event_shape: Size

    def __init__(
        self, batch_shape: Sequence[int] = (), event_shape: Sequence[int] = (), validate_args: bool | None = None
    ) -> None:
        self.batch_shape, self.event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        # parameters that a subclass set as attributes before
        given = {key: vars(self).get(key) for key in self.arg_constraints}
        self._parameters: dict[str, Tensor] = {key: t for key, t in given.items() if isinstance(t, Tensor)}
        if self._validate_args and self._parameters:
            self._check_parameters()

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Say whether distributions check their arguments, unless they are told otherwise.

        Raises:
            ValueError: it is neither True nor False.
        """
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args(): value must be True or False, and is {value!r}")
        Distribution._validate_args = value

    # ------------------------------------------------------------------------------------------------------- parameters

    def _begin(self, given: dict[str, Any], *, event_shape: Any = None, validate_args: bool | None = None) -> None:
        """Take the parameters: make them tensors of one dtype, broadcast them, check them, and set them as attributes.

        Args:
            given: values by name. How many dimensions at the right belong to one distribution says the constraint of the name.
            event_shape: of one sample: a shape, or how many dimensions at the right of the first parameter. Default: none.
            validate_args: as for the class.

        Raises:
            ValueError: a parameter does not fit its constraint, or the shapes do not broadcast.
        """
        name = type(self).__name__
        tensors = as_tensors(name, given)
        dims = {key: self.arg_constraints[key].event_dim for key in tensors}
        for key, t in tensors.items():
            if t.ndim < dims[key]:
                raise ValueError(
                    f"{name}: {key} must have at least {dims[key]} dimension{'s' * (dims[key] > 1)}, and its shape is "
                    f"{list(t.shape)}"
                )
        shapes = {key: t._array.shape[: t.ndim - dims[key]] for key, t in tensors.items()}
        try:
            batch = np.broadcast_shapes(*shapes.values())
        except ValueError:
            shown = ", ".join(f"{key} has shape {list(t.shape)}" for key, t in tensors.items())
            raise ValueError(f"{name}: the parameters do not broadcast with each other: {shown}") from None
        for key, t in tensors.items():
            if shapes[key] != batch:
                tensors[key] = t.expand((*batch, *t._array.shape[t.ndim - dims[key] :]))
        if isinstance(event_shape, int):
            first = next(iter(tensors.values()))
            event_shape = first._array.shape[first.ndim - event_shape :]
        Distribution.__init__(self, batch, event_shape or (), validate_args)
        self._take(tensors)
        if self._validate_args:
            self._check_parameters()

    def _take(self, tensors: dict[str, Tensor]) -> None:
        """Set parameters as attributes, where the class has no property of that name."""
        self._parameters = tensors
        for key, t in tensors.items():
            if not isinstance(getattr(type(self), key, None), property):
                setattr(self, key, t)

    def _check_parameters(self) -> None:
        name = type(self).__name__
        for key, t in self._parameters.items():
            constraint = self.arg_constraints[key]
            known = constraint if not constraints.is_dependent(constraint) else constraints.real
            fits = known.check(t)._array
            if key not in self.may_be_infinite:
                finite = np.isfinite(t._array)
                inner = tuple(range(finite.ndim - constraint.event_dim, finite.ndim))
                if not finite.all():
                    infinite = np.isinf(t._array).any() and not np.isnan(t._array).any()
                    if infinite and fits.all():
                        raise ValueError(f"{name}: {key} must be finite, but {offending(t, finite.all(inner))}")
                    fits = fits & finite.all(inner)
            if not fits.all():
                raise ValueError(f"{name}: {key} must be {known}, but {offending(t, fits)}")

    def _with(self, stand_ins: Mapping[int, Tensor]) -> Any:
        """The same distribution with other tensors in place of some parameters, here and in those that it is made of.

        Args:
            stand_ins: by the id of the tensor that each stands for.
        """
        new = super()._with(stand_ins)
        new._take({key: stand_ins.get(id(t), t) for key, t in self._parameters.items()})
        return new

    @property
    def _dtype(self) -> np.dtype[Any]:
        """The dtype of the parameters, and so of the samples."""
        return next(iter(self._parameters.values())).dtype

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution with its batch expanded, without copying the parameters.

        Raises:
            RuntimeError: the batch shape does not expand to this one.
        """
        shape = tuple(batch_shape)
        new = object.__new__(type(self)) if _instance is None else _instance
        new.__dict__.update(self.__dict__)
        dims = len(self.batch_shape)
        tensors = {
            key: t.expand((*shape, *t._array.shape[dims:])) if t._array.shape[dims:] or t.ndim == dims else t
            for key, t in self._parameters.items()
        }
        new.batch_shape = Size(shape)
        new._take(tensors)
        return new

    def __repr__(self) -> str:
        def shown(t: Tensor) -> str:
            return f"{t if t.ndim else t.item()}" if t.numel() == 1 else f"{t.size()}"

        return f"{type(self).__name__}({', '.join(f'{key}: {shown(t)}' for key, t in self._parameters.items())})"

    # --------------------------------------------------------------------------------------------------------- sampling

    def sample(self, sample_shape: Sequence[int] = (), *, generator: Generator | None = None) -> Tensor:
        """A sample without history: a gradient that arrives at it goes no further. `stops` says why, and what to do.

        Args:
            sample_shape: how many samples, as a shape that is put in front of ``batch_shape``.
            generator: where the noise comes from.

        Returns:
            A tensor of shape ``sample_shape + batch_shape + event_shape``, which does not require grad.
        """
        shape = self._extended_shape(sample_shape)
        with no_grad():
            drawn = self._sample(shape, source_of(generator))
        return wrap(drawn._array, None, self._sources())

    def sample_n(self, n: int) -> Tensor:
        """``n`` samples: ``sample((n,))``."""
        return self.sample((n,))

    def rsample(self, sample_shape: Sequence[int] = (), *, generator: Generator | None = None) -> Tensor:
        """A reparameterised sample: noise, turned into a sample by a formula that a gradient passes.

        Args:
            sample_shape: how many samples, as a shape that is put in front of ``batch_shape``.
            generator: where the noise comes from.

        Returns:
            A tensor of shape ``sample_shape + batch_shape + event_shape``, connected to the parameters.

        Raises:
            NotImplementedError: there is no reparameterisation; the message says what to use instead.
        """
        if not self.has_rsample:
            raise NotImplementedError(
                f"{type(self).__name__} has no rsample(): {self._why_no_rsample()}. Instead: {'; or '.join(self._remedies())}"
            )
        return self._rsample(self._extended_shape(sample_shape), source_of(generator))

    def rsample_n(self, n: int) -> Tensor:
        """``n`` reparameterised samples: ``rsample((n,))``."""
        return self.rsample((n,))

    def _rsample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """A reparameterised sample of this (whole) shape."""
        if type(self).rsample is not Distribution.rsample:  # a subclass that is written as PyTorch's are
            return self.rsample(self._outer(shape))
        raise NotImplementedError(f"{type(self).__name__} has no rsample()")

    def _sample(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """A sample of this (whole) shape; nothing is recorded meanwhile."""
        if type(self).sample is not Distribution.sample:
            return self.sample(self._outer(shape))
        return self._rsample(shape, generator)

    def _outer(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the samples in a whole shape."""
        return shape[: len(shape) - len(self.batch_shape) - len(self.event_shape)]

    def _extended_shape(self, sample_shape: Any = ()) -> tuple[int, ...]:
        if isinstance(sample_shape, int):
            raise TypeError(
                f"{type(self).__name__}: sample_shape must be a tuple of integers, such as ({sample_shape},)"
            )
        given = shape_of("sample_shape", (tuple(sample_shape),), None)
        return given + tuple(self.batch_shape) + tuple(self.event_shape)

    # ------------------------------------------------------------------------------- where gradient goes, and where it stops

    @property
    def reparameterized(self) -> dict[str, bool]:
        """For each parameter, whether gradient reaches it through ``rsample``."""
        return dict.fromkeys(self._parameters or self.arg_constraints, bool(self.has_rsample))

    @property
    def stops(self) -> dict[str, Stop]:
        """For each parameter, why a sample drawn by ``sample()`` hands back no gradient to it, and what can be used instead."""
        return dict.fromkeys(self.reparameterized, self._stop())

    def _stop(self) -> Stop:
        name = type(self).__name__
        return Stop(
            "missing",
            f"{name}.sample() draws without recording how, so no gradient can come back through here.",
            tuple(self._remedies()),
        )

    def _remedies(self) -> list[str]:
        name = type(self).__name__
        passes = [key for key, value in self.reparameterized.items() if value]
        found = list(self.remedies)
        if passes:
            which = "the parameters" if all(self.reparameterized.values()) else f"{', '.join(passes)} (alone)"
            found.insert(0, f"{name}(…).rsample(), through which gradient reaches {which} (unbiased)")
        if self.has_enumerate_support:
            found.append("the sum over all values (exact): f(v) · log_prob(v).exp() for v of enumerate_support()")
        found.append("the score function (unbiased): backward through cost * log_prob(z)")
        return found

    def _gradient_sources(self) -> dict[str, Tensor]:
        """The tensors from which gradient would come, by name."""
        return self._parameters

    def _why_no_rsample(self) -> str:
        return "no formula with a gradient leads from its parameters to a sample"

    def _has_cdf(self) -> bool:
        """Whether there is a distribution function."""
        return type(self).cdf is not Distribution.cdf

    def _log_prob_anywhere(self, value: Tensor) -> Tensor:
        """`log_prob`, of a distribution of one dimension; −∞ where no sample can lie."""
        _, inside, near = self._placed(value)
        return where(inside, self._unchecked().log_prob(near), -np.inf)

    def _cdf_anywhere(self, value: Tensor) -> Tensor:
        """`cdf`, of a distribution of one dimension; 0 and 1 where no sample can lie."""
        beyond, inside, near = self._placed(value)
        return where(inside, self._unchecked().cdf(near), beyond)

    def _placed(self, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """0 where a value lies below the support, 1 where above; where it lies in it; and the value, moved into it."""
        support = constraints.real if self.support is None else self.support
        low, high = constraints.bounds(support)
        array = value._array
        array, low, high = np.broadcast_arrays(array, np.asarray(low, array.dtype), np.asarray(high, array.dtype))
        inside = np.asarray(support.check(wrap(array.copy()))._array)
        if inside.all():
            return wrap(np.zeros(inside.shape, array.dtype)), wrap(inside), value
        middle = np.where(
            np.isfinite(low),
            np.where(np.isfinite(high), (low + high) / 2, low + 1),
            np.where(np.isfinite(high), high - 1, 0),
        ).astype(array.dtype)
        place = wrap(inside)
        return wrap((array > low).astype(array.dtype)), place, where(place, value, wrap(middle))

    def _unchecked(self) -> Any:
        """The same, without checks."""
        quiet = copy.copy(self)
        quiet._validate_args = False
        return quiet

    def _sources(self, stop: Stop | None = None) -> tuple[Source, ...]:
        name = f"{type(self).__name__}.sample"
        cuts = tuple(
            Source("cut", name, stop or self._stop(), t._node)
            for t in self._gradient_sources().values()
            if t._node is not None
        )
        return cuts or (Source("noise", name),)

    # -------------------------------------------------------------------------------------- density, distribution, moments

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability, at ``value``, in nats.

        Args:
            value: of a shape that broadcasts with ``batch_shape + event_shape``.

        Raises:
            ValueError: it lies outside of the support, or has another shape, or is no tensor.
        """
        raise NotImplementedError(f"{type(self).__name__} has no log_prob()")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a sample of at most ``value``. Arguments and errors as for `log_prob`."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf()")

    def icdf(self, value: Tensor) -> Tensor:
        """The number below which a sample lies with the probability ``value``: the inverse of `cdf`.

        Raises:
            ValueError: it lies outside of [0, 1].
        """
        raise NotImplementedError(f"{type(self).__name__} has no icdf()")

    def entropy(self) -> Tensor:
        """The entropy, in nats, of shape ``batch_shape``."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy()")

    def perplexity(self) -> Tensor:
        """The exponential of the entropy."""
        return self.entropy().exp()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values that a sample can have, along a new first dimension.

        Args:
            expand: whether the values are repeated for the whole batch; otherwise the batch has dimensions of length 1.

        Raises:
            NotImplementedError: there are infinitely many.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot list its support")

    def _listed(self, values: Any, expand: bool) -> Tensor:
        """These values of one distribution, along a new first dimension, as `enumerate_support` returns them."""
        array = np.asarray(values, self._dtype)
        array = array.reshape(len(array), *(1,) * len(self.batch_shape), *array.shape[1:])
        if expand:
            array = np.broadcast_to(array, (len(array), *self.batch_shape, *self.event_shape)).copy()
        return wrap(array)

    @property
    def mean(self) -> Tensor:
        """The mean, of shape ``batch_shape + event_shape``."""
        raise NotImplementedError(f"{type(self).__name__} has no mean")

    @property
    def mode(self) -> Tensor:
        """The most probable value, of shape ``batch_shape + event_shape``."""
        raise NotImplementedError(f"{type(self).__name__} has no mode")

    @property
    def variance(self) -> Tensor:
        """The variance of each element, of shape ``batch_shape + event_shape``."""
        raise NotImplementedError(f"{type(self).__name__} has no variance")

    @property
    def stddev(self) -> Tensor:
        """The standard deviation of each element, of shape ``batch_shape + event_shape``."""
        return self.variance.sqrt()

    # ------------------------------------------------------------------------------------------------------- checked values

    def _checked(self, value: Tensor, method: str = "log_prob") -> Tensor:
        """``value``, if a sample can have it."""
        return self._validate_sample(value, method) if self._validate_args else value

    def _validate_sample(self, value: Tensor, method: str = "log_prob") -> Tensor:
        name = f"{type(self).__name__}.{method}()"
        if not isinstance(value, Tensor):
            raise ValueError(f"{name}: value must be a tensor, not {type(value).__name__}; make one with tensor(…)")
        shape, event = value._array.shape, tuple(self.event_shape)
        batch = tuple(self.batch_shape)
        inner = shape[len(shape) - len(event) :]
        if len(shape) < len(event) or any(
            n != m and not (self._event_broadcasts and 1 in (n, m)) for n, m in zip(inner, event, strict=False)
        ):
            raise ValueError(f"{name}: value must end in the event shape {list(event)}, and has shape {list(shape)}")
        outer = shape[: len(shape) - len(event)]
        if any(n != m and 1 not in (n, m) for n, m in zip(reversed(outer), reversed(batch), strict=False)):
            raise ValueError(
                f"{name}: value of shape {list(shape)} does not broadcast with batch_shape {list(batch)}"
                + (f" and event_shape {list(event)}" if event else "")
            )
        support = self.support
        if support is not None and not constraints.is_dependent(support):
            fits = support.check(value)._array
            if not fits.all():
                raise ValueError(f"{name}: value must be {support}, which is the support, but {offending(value, fits)}")
        return value

    def _checked_probability(self, value: Tensor) -> Tensor:
        """``value``, if it is one or more probabilities: the argument of `icdf`."""
        if not self._validate_args:
            return value
        name = f"{type(self).__name__}.icdf()"
        if not isinstance(value, Tensor):
            raise ValueError(f"{name}: value must be a tensor, not {type(value).__name__}; make one with tensor(…)")
        fits = constraints.unit_interval.check(value)._array
        if not fits.all():
            raise ValueError(f"{name}: value must be a probability, between 0 and 1, but {offending(value, fits)}")
        return value


def noise(kind: str, shape: tuple[int, ...], dtype: np.dtype[Any], generator: Generator) -> Tensor:
    """Numbers of a distribution without parameters, as a tensor that knows that it is noise.

    Args:
        kind: ``"normal"``, ``"uniform"``, ``"exponential"`` or ``"gumbel"``.
        shape: of the tensor.
        dtype: of its elements.
        generator: where they come from.
    """
    return as_noise(generator.draw(kind, shape, dtype), _NOISE[kind])


def within_unit(t: Tensor, *, one: bool = False) -> Tensor:
    """Numbers between 0 and 1; for those that were rounded to an end stands the number beside it, so that a logarithm may follow.

    Args:
        t: the numbers.
        one: whether 1 itself may stay.
    """
    limits = np.finfo(t.dtype)
    low, high = float(limits.tiny), 1.0 if one else 1.0 - float(limits.epsneg)
    array = t._array
    return t if ((array >= low) & (array <= high)).all() else t.clamp(low, high)


def exp_within_range(log: Tensor) -> Tensor:
    """The exponential; the least and the greatest number that can be held stand for those beyond, and their gradient is 0."""
    limits = np.finfo(log.dtype)
    # a little inside, since the exponential of a rounded logarithm may lie beyond
    low, high = math.log(limits.tiny) + 2e-5, math.log(limits.max) - 2e-5
    array = log._array
    return (log if ((array >= low) & (array <= high)).all() else log.clamp(low, high)).exp()


def as_noise(array: Any, name: str) -> Tensor:
    """An array that was drawn, as a tensor that says so."""
    return wrap(np.asarray(array), None, (Source("noise", name),))


def open_uniform(shape: tuple[int, ...], dtype: np.dtype[Any], generator: Generator) -> Tensor:
    """Uniform noise without 0 (and 1), of which a quantile may be taken: half a step stands for 0."""
    u = generator.uniform(shape, dtype)
    return as_noise(np.where(u == 0, dtype.type(2.0 ** (-25 if dtype.itemsize == 4 else -54)), u), "rand")


_NOISE = {"normal": "randn", "uniform": "rand", "exponential": "exponential", "gumbel": "gumbel"}


def sum_rightmost(value: Tensor, dims: int) -> Tensor:
    """The sum over the last ``dims`` dimensions."""
    return value.sum(tuple(range(-dims, 0))) if dims else value


def log_one_plus_square(x: Tensor) -> Tensor:
    """log(1 + x²), also where x² is more than can be held."""
    size = x.abs()
    near = (size.clamp(max=1.0) ** 2).log1p()
    far = 2 * size.clamp(min=1.0).log() + (size.clamp(min=1.0) ** -2).log1p()
    return where(size < 1, near, far)


def as_tensors(owner: str, given: dict[str, Any]) -> dict[str, Tensor]:
    """Values as tensors of one dtype: numbers take that of the tensors, or else the default one.

    Raises:
        ValueError: a value is neither a number nor a tensor, or a tensor does not hold floating-point numbers.
    """
    dtype = next((v.dtype for v in given.values() if isinstance(v, Tensor) and v.is_floating_point()), None)
    tensors = {}
    for key, value in given.items():
        if not isinstance(value, Tensor):
            if not isinstance(value, int | float | np.number) or isinstance(value, bool):
                raise ValueError(f"{owner}: {key} must be a tensor or a number, not {type(value).__name__}")
            value = tensor(float(value), dtype=dtype or get_default_dtype())
        elif not value.is_floating_point():
            value = value.to(dtype or get_default_dtype())
        tensors[key] = value
    return tensors


def need_order(owner: Distribution, low: Tensor, high: Tensor) -> None:
    """Raise, if the lower end of a range is not below the upper one."""
    missed = np.argwhere(~(low._array < high._array))
    if len(missed):
        place = tuple(missed[0].tolist())
        where_ = f" at {list(place)}" if place else ""
        raise ValueError(
            f"{type(owner).__name__}: low must be less than high, but they are {low._array[place]:g} and {high._array[place]:g}"
            f"{where_}"
        )


def offending(value: Tensor, fits: Any) -> str:
    """Which elements do not fit, for an error: the first, and how many there are."""
    array = value._array
    missed = np.argwhere(~np.asarray(fits))
    if not missed.size:  # without dimensions
        return f"it is {array.item() if array.size == 1 else array.tolist()}"
    place = tuple(missed[0].tolist())
    entry = array[place] if array.ndim >= len(place) else array
    style: Any = {"float_kind": "{:g}".format}
    shown = np.array2string(np.asarray(entry), threshold=12, separator=", ", formatter=style).replace("\n", "")
    more = f", and {len(missed) - 1} more do not fit" if len(missed) > 1 else ""
    return f"{list(place)} is {shown}{more}" if place else f"it is {shown}"
