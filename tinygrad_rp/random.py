"""Random streams: a `Generator` hands out the numbers of a seed in a fixed order, however many are asked for at a time.

A number is a function of the seed, the stream and its place in it, and of nothing else (`tinygrad_rp.kernels.samplers`). Each
kind of number (uniform, normal, …), in float32 and in float64, is a stream of its own, and a generator remembers how far
each has been drawn::

    g = Generator().manual_seed(7)
    g.normal((10,), float32)               the first ten; then ten more: what (20,) would have given at once
    g.uniform((5,), float32)               changes nothing about the normal numbers
    g.at("normal", 1000, (10,), float32)   numbers 1000 to 1009, without drawing those before; g stays as it is

*State.* `Generator.get_state` says the seed and the places, in bytes; `Generator.set_state` goes back there. A generator can be
pickled and copied; the copy goes on with the same numbers, as does that of a forked process. Workers that are to differ
are given generators of their own:

*Forks.* ``g.fork()`` is a new generator, whose numbers are independent of those of g and of its other forks. Its seed and its
stream are words of Philox, at a counter that has the number of the fork; the same program makes the same forks.

Small requests are cut from a block that was drawn ahead, since a call of a sampler costs several hundred times what a small
operation does.
"""

from __future__ import annotations

import math
import operator
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy import ndarray

from tinygrad_rp.kernels import samplers
from tinygrad_rp.kernels.choice import room

__all__ = [
    "Generator",
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]

Array = ndarray[Any, Any]

BLOCK = 16384
_FLOAT32, _FLOAT64, _BOOL = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.bool_)
_MARK = int.from_bytes(b"philox 1", "little")
_END = 2**62  # of a stream
_CHUNK = 1 << 16
"""How many weights, or indices, of categories are looked at together."""
_FEW_ROWS, _MANY_OF_A_ROW = 8, 128
"""Up to so many rows, or with so many indices of each, it is quicker to go through them one by one."""
_SHARED = {"log_gamma": "gamma"}
"""Methods that draw numbers of a kind under another name."""
_NOTHING: Array = np.empty(0)

# One lock for all, held while a place moves. It is free in a forked child, since the parent forks while holding it.
_lock = threading.RLock()
# For small draws, where a `with` block costs as much as the rest. They acquire it inside the `try`: Ctrl-C may come right after
# the call, and the lock must not stay held then. Where Ctrl-C comes while they wait, an RLock refuses to be released.
_acquire, _release = _lock.acquire, _lock.release
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_acquire, after_in_parent=_release, after_in_child=_release)


class _Stream:
    """One kind of number of one dtype, in order."""

    __slots__ = ("_block", "_end", "_kind", "_start", "_used")

    _block: Array
    _end: int
    _start: int
    _used: int

    def __init__(self, kind: str, dtype: np.dtype[Any], key: int, stream: int, position: int) -> None:
        self._kind = (kind, dtype, key, stream)
        self._go_to(position)

    @property
    def position(self) -> int:
        """How many numbers have been drawn."""
        return self._start + self._used

    def take(self, n: int) -> Array:
        """The next ``n`` numbers, in an array of their own."""
        try:
            _acquire()
            start = self._used
            end = start + n
            if start <= end <= self._end:
                self._used = end
                return self._block[
                    start:end
                ].copy()  # a tensor that is changed in place is known by what owns its memory
            if 0 <= n < BLOCK // 2:
                return self._refill(n).copy()
        finally:
            _release()
        return samplers.numbers(*self._kind, self.skip(n), n)

    def one(self) -> float:
        """The next number."""
        try:
            _acquire()
            used = self._used
            if used < self._end:
                self._used = used + 1
                return self._block.item(used)
            return self._refill(1).item()
        finally:
            _release()

    def skip(self, n: int) -> int:
        """Pass over ``n`` numbers, and return the place of the first."""
        np.empty(
            n, self._kind[1]
        )  # what is negative, or more than there is memory for, is refused before the place moves
        with _lock:
            position = self.position
            self._go_to(position + n)
            return position

    def _go_to(self, position: int) -> None:
        self._start, self._used, self._end, self._block = position, 0, 0, _NOTHING

    def _refill(self, n: int) -> Array:
        """Draw ahead, more each time, and return the first ``n`` numbers, as a view."""
        position, group = self.position, samplers.group_of(*self._kind[:2])
        start = position - position % group
        size = max(min(4 * self._end, BLOCK), -(-(position + n - start) // group) * group)
        self._block = samplers.numbers(*self._kind, start, size)
        self._start, self._used, self._end = start, position + n - start, size
        return self._block[self._used - n : self._used]


class Generator:
    """A source of random numbers that can be seeded.

    A new one starts from a seed of its own; `manual_seed` chooses it.
    """

    device: ClassVar[str] = "cpu"
    as_state: ClassVar[Callable[[Array], Any]] = staticmethod(lambda state: state)
    """What `get_state` hands out: the tensors' room makes it a tensor."""

    def __init__(self, device: str = "cpu") -> None:
        if str(device) != "cpu":
            raise RuntimeError(f"Generator(device={device!r}): tensors are in main memory, so the only device is 'cpu'")
        self.seed()

    def _begin(self, key: int, stream: int = 0, forks: int = 0) -> Generator:
        self._key, self._stream, self._forks = key, stream, forks
        self._streams: dict[str, dict[np.dtype[Any], _Stream]] = {kind: {} for kind in samplers.KINDS}
        return self

    # ------------------------------------------------------------------------------------------------ seed and state

    def manual_seed(self, seed: int) -> Generator:
        """Start the streams of this seed from their beginning, and return the generator.

        Raises:
            RuntimeError: the seed is no integer.
            ValueError: it does not fit into 64 bits. (A negative seed stands for the same bits.)
        """
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise RuntimeError(f"manual_seed(): the seed must be an integer, not {type(seed).__name__}")
        if not -(2**63) <= seed < 2**64:
            raise ValueError(f"manual_seed(): the seed must fit into 64 bits, and is {seed}")
        return self._begin(int(seed) % 2**64)

    def seed(self) -> int:
        """Start from a seed that nobody can foresee, and return it."""
        self._begin(int.from_bytes(os.urandom(8), "little"))
        return self._key

    def initial_seed(self) -> int:
        """The seed, between 0 and 2⁶⁴; of a fork, the one that was made for it."""
        return self._key

    def get_state(self) -> Any:
        """All that the next numbers depend on, as a tensor of uint8."""
        return Generator.as_state(self._state())

    def _state(self) -> Array:
        with _lock:
            places = [stream.position if stream else 0 for stream in self._all_streams()]
            return np.array([_MARK, self._key, self._stream, self._forks, *places], "<u8").view(np.uint8)

    def _all_streams(self) -> Iterator[_Stream | None]:
        return (self._streams[kind].get(dtype) for kind in samplers.KINDS for dtype in (_FLOAT32, _FLOAT64))

    def set_state(self, new_state: Any) -> Generator:
        """Go on from a state that `get_state` handed out, of this generator or another, and return this one.

        Args:
            new_state: a tensor of uint8, or an array.

        Raises:
            RuntimeError: it is not a state. The generator is as before then.
            TypeError: it is no tensor of uint8.
        """
        state = np.asarray(new_state)
        if state.dtype != np.uint8 or isinstance(new_state, bytes | str | int | list):
            raise TypeError(
                f"set_state(): a state is a tensor of uint8, not {type(new_state).__name__} of {state.dtype}"
            )
        size = 8 * (4 + 2 * len(samplers.KINDS))
        if state.shape != (size,):
            raise RuntimeError(f"set_state(): a state has shape [{size}], and this has {list(state.shape)}")
        mark, key, stream, forks, *places = np.ascontiguousarray(state).view("<u8").tolist()
        if mark != _MARK or stream >= 2**32 or max(forks, *places) >= _END:
            raise RuntimeError("set_state(): these bytes are not a state that get_state() handed out")
        kinds = [(kind, dtype) for kind in samplers.KINDS for dtype in (_FLOAT32, _FLOAT64)]
        self._begin(key, stream, forks)
        for (kind, dtype), place in zip(kinds, places, strict=True):
            if place:
                self._streams[kind][dtype] = _Stream(kind, dtype, key, stream, place)
        return self

    def clone_state(self) -> Generator:
        """A generator that goes on with the same numbers as this one, and of which this one knows nothing."""
        return _restored(self._state())

    def __reduce__(self) -> Any:
        return _restored, (self._state(),)

    def fork(self) -> Generator:
        """A new generator, independent of this one and of its other forks. The numbers of this one stay what they are.

        The seed (64 bits) and the stream (32 bits) of fork n are the words of Philox under the seed of this one, at block n of
        the counters that its stream keeps for forks. That two of a million forks agree has a chance of 1 in 10¹⁷.
        """
        with _lock:
            number = self._forks
            self._forks += 1
        return Generator.__new__(Generator)._begin(*samplers.child(self._key, self._stream, number))

    def split(self, n: int) -> list[Generator]:
        """``n`` forks.

        Raises:
            ValueError: ``n`` is negative.
        """
        if n < 0:
            raise ValueError(f"split(): the number of generators must not be negative, and is {n}")
        return [self.fork() for _ in range(n)]

    def at(self, kind: str, start: int, *arguments: Any) -> Any:
        """What a method would give after ``start`` numbers of its kind, computed without them. The generator stays as it is.

        Args:
            kind: the name of the method: ``"uniform"``, ``"normal"``, ``"gamma"``, …
            start: how many numbers come before: elements drawn, or for a permutation elements that were permuted.
            arguments: of the method.

        Raises:
            TypeError: ``start`` is no integer.
            ValueError: there is no such kind, or ``start`` is negative.
        """
        start = operator.index(start)
        method, kind = kind, _SHARED.get(kind, kind)
        if kind not in samplers.KINDS or kind == "fork":
            kinds = ", ".join(k for k in (*samplers.KINDS, *_SHARED) if k != "fork")
            raise ValueError(f"at(): there is no kind of number {kind!r}; there are {kinds}")
        if not 0 <= start < _END:
            raise ValueError(f"at(): start must lie between 0 and 2⁶², and is {start}")
        other = Generator.__new__(Generator)._begin(self._key, self._stream)
        for dtype in (_FLOAT32, _FLOAT64):
            other._streams[kind][dtype] = _Stream(kind, dtype, self._key, self._stream, start)
        return getattr(other, method)(*arguments)

    # ---------------------------------------------------------------------------------------- numbers of a fixed cost

    def draw(self, kind: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Numbers of a kind that has no parameters, as the method of its name."""
        streams = self._streams[kind]
        stream = streams.get(dtype)
        if stream is None:
            stream = self._new_stream(kind, dtype)
        return stream.take(shape[0]) if len(shape) == 1 else stream.take(math.prod(shape)).reshape(shape)

    def _new_stream(self, kind: str, dtype: np.dtype[Any]) -> _Stream:
        dtype = np.dtype(dtype)
        if dtype not in (_FLOAT32, _FLOAT64):
            raise TypeError(f"Generator: numbers are drawn in float32 or float64, not in {dtype}")
        return self._streams[kind].setdefault(dtype, _Stream(kind, dtype, self._key, self._stream, 0))

    def _skip(self, kind: str, dtype: np.dtype[Any], n: int) -> tuple[int, int, int]:
        """The key, the stream and the place of the next ``n`` numbers."""
        stream = self._streams[kind].get(dtype)
        if stream is None:
            stream = self._new_stream(kind, dtype)
        return self._key, self._stream, stream.skip(n)

    def uniform(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Numbers of the uniform distribution on [0, 1): multiples of 2⁻²⁴ in float32, of 2⁻⁵³ in float64."""
        return self.draw("uniform", shape, dtype)

    def normal(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Numbers of the standard normal distribution (Box and Muller 1958), up to 6.7 in float32 and 8.6 in float64."""
        return self.draw("normal", shape, dtype)

    def exponential(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Numbers of the exponential distribution of rate 1, −log u. They are never 0."""
        return self.draw("exponential", shape, dtype)

    def gumbel(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Numbers of the standard Gumbel distribution, −log(−log u). They are always finite."""
        return self.draw("gumbel", shape, dtype)

    def bernoulli(self, p: Any, shape: tuple[int, ...] | None = None, dtype: Any = _BOOL) -> Array:
        """Bools that are true with probability ``p``, each of a uniform number of 53 bits.

        Args:
            p: a number, or an array that broadcasts to ``shape``.
            shape: that of ``p`` unless it is given.
            dtype: as which they are returned.
        """
        shape = np.shape(p) if shape is None else shape
        n = math.prod(shape)
        if not samplers.pays(n, 1024):
            return (self.draw("bernoulli", shape, _FLOAT64) < p).astype(dtype)
        chances = np.asarray(p)
        if chances.size == 1 or not any(chances.strides):
            chances = chances[(0,) * chances.ndim].reshape(1)
        else:
            chances = np.broadcast_to(chances, shape).reshape(-1)
        return samplers.coins(chances, *self._skip("bernoulli", _FLOAT64, n), n, dtype).reshape(shape)

    def coin(self, p: float) -> bool:
        """The next of `bernoulli`, alone."""
        stream = self._streams["bernoulli"].get(_FLOAT64)
        if stream is None:
            stream = self._new_stream("bernoulli", _FLOAT64)
        return stream.one() < p

    def categorical(self, weights: Array, n: int) -> Array:
        """For each row of weights, ``n`` indices, each with a probability in proportion to its weight.

        Args:
            weights: of shape (rows, categories), finite, not negative, and positive somewhere in each row.
            n: how many indices for each row.

        Returns:
            int64, of shape (rows, n).
        """
        u = self.draw("categorical", (len(weights), n), _FLOAT64)
        drawn = np.empty(u.shape, np.int64)
        size = max(1, _CHUNK // max(weights.shape[1], n))
        for start in range(0, len(weights), size):
            _categories(weights[start : start + size], u[start : start + size], drawn[start : start + size])
        return drawn

    def choice(self, weights: Array, n: int) -> Array:
        """As `categorical`, but none twice in a row: the first of exponential clocks (Efraimidis and Spirakis 2006).

        Args:
            weights: of shape (rows, categories), finite, not negative, and positive in at least ``n`` places of each row.
            n: how many indices for each row.

        Returns:
            int64, of shape (rows, n), in the order in which they were drawn.
        """
        clocks = self.draw("choice", weights.shape, _FLOAT64)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            clocks = np.where(weights > 0, clocks / weights, np.nan)  # NaN comes last, behind clocks that overflow
        return np.argsort(clocks, 1, kind="stable")[:, :n].astype(np.int64, copy=False)

    # -------------------------------------------------------------------------------------- numbers of a varying cost

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        """Integers ``low ≤ k < high``, all equally likely, in int64 (Lemire 2019)."""
        if not 0 < high - low < 2**64:
            raise ValueError(
                f"integers(): a range holds between 1 and 2⁶⁴ − 1 integers, and this one is from {low} to {high}"
            )
        n = math.prod(shape)
        return samplers.integers(low, high, *self._skip("integers", _FLOAT64, n), n).reshape(shape)

    def permutation(self, n: int) -> Array:
        """The integers 0 to ``n`` − 1 in random order, in int64."""
        return samplers.permutation(*self._skip("permutation", _FLOAT64, n), n)

    def gamma(self, concentration: Any, dtype: np.dtype[Any] = _FLOAT64) -> Array:
        """Numbers of the gamma distribution of scale 1, one for each concentration (Marsaglia and Tsang 2000).

        They are never 0: what is smaller becomes the least normal number of the dtype.

        Raises:
            ValueError: a concentration is not positive and finite; nothing has been drawn then.
        """
        return self._gamma("gamma", concentration, dtype, "tiny")

    def log_gamma(self, concentration: Any, dtype: np.dtype[Any] = _FLOAT64) -> Array:
        """The logarithms of the numbers that `gamma` would draw now, in whose stream they are.

        Of small concentrations, most numbers are too small for a float, and their logarithms are not. They are always finite.

        Raises:
            ValueError: a concentration is not positive and finite; nothing has been drawn then.
        """
        return self._gamma("log_gamma", concentration, dtype, "min")

    def _gamma(self, name: str, concentration: Any, dtype: np.dtype[Any], least: str) -> Array:
        given = np.asarray(concentration, _FLOAT64)
        if not ((given > 0) & (given < np.inf)).all():  # of NaN, no candidate would ever be taken
            raise ValueError(f"{name}(): concentrations must be positive and finite")
        place = self._skip("gamma", dtype, given.size)
        drawn = room("rejection").gamma(np.ravel(given), *place, dtype, name == "log_gamma")
        return np.maximum(drawn, getattr(np.finfo(dtype), least)).reshape(given.shape).astype(dtype, copy=False)

    def poisson(self, rate: Any, dtype: np.dtype[Any] = _FLOAT64) -> Array:
        """Numbers of the Poisson distribution, one for each rate (Hörmann 1993).

        Raises:
            ValueError: a rate is negative, infinite or NaN; nothing has been drawn then.
        """
        given = np.asarray(rate, _FLOAT64)
        if not ((given >= 0) & (given < np.inf)).all():
            raise ValueError("poisson(): rates must be finite and not negative")
        drawn = room("rejection").poisson(np.ravel(given), *self._skip("poisson", dtype, given.size), dtype)
        return drawn.reshape(given.shape).astype(dtype, copy=False)

    def binomial(self, total_count: Any, probs: Any, dtype: np.dtype[Any] = _FLOAT64) -> Array:
        """Numbers of the binomial distribution, how many of ``total_count`` trials succeed (Hörmann 1993).

        Args:
            total_count: whole numbers from 0 to 2⁵³.
            probs: of success, from 0 to 1; of a shape that broadcasts with that of ``total_count``.
            dtype: as which they are returned. float32 has no odd numbers above 2²⁴.

        Raises:
            ValueError: arguments are not such; nothing has been drawn then.
        """
        counts, chances = np.asarray(total_count), np.asarray(probs, _FLOAT64)
        if counts.dtype.kind not in "iu":  # integers are looked at as they are: float64 would round those above 2⁵³
            counts = counts.astype(_FLOAT64)
        if not ((counts >= 0) & (counts <= 2**53) & (np.floor(counts) == counts)).all():
            raise ValueError("binomial(): total_count must be whole numbers from 0 to 2⁵³")
        if not ((chances >= 0) & (chances <= 1)).all():
            raise ValueError("binomial(): probs must lie between 0 and 1")
        try:
            counts, chances = np.broadcast_arrays(counts, chances)
        except ValueError:
            raise ValueError(
                f"binomial(): total_count of shape {list(counts.shape)} and probs of shape {list(chances.shape)} do not broadcast"
            ) from None
        flat = (np.ravel(np.asarray(given, _FLOAT64)) for given in (counts, chances))
        drawn = room("rejection").binomial(*flat, *self._skip("binomial", dtype, counts.size), dtype)
        return drawn.reshape(counts.shape).astype(dtype, copy=False)

    def von_mises(self, concentration: Any, dtype: np.dtype[Any] = _FLOAT64) -> Array:
        """Angles of the von Mises distribution around 0, −π ≤ θ < π, one for each concentration (Best and Fisher 1979).

        Those of large concentrations, which are small, have all digits; a concentration of 0 gives uniform ones.

        Raises:
            ValueError: a concentration is negative, infinite or NaN; nothing has been drawn then.
        """
        given = np.asarray(concentration, _FLOAT64)
        if not ((given >= 0) & (given < np.inf)).all():
            raise ValueError("von_mises(): concentrations must be finite and not negative")
        drawn = room("rejection").von_mises(np.ravel(given), *self._skip("von_mises", dtype, given.size), dtype)
        most = np.nextafter(np.asarray(np.pi, dtype), np.asarray(0, dtype))  # float32's nearest number to π is above it
        return np.clip(drawn.astype(dtype, copy=False), -most, most).reshape(given.shape)


def _categories(weights: Array, u: Array, drawn: Array) -> None:
    """For some rows, write into ``drawn`` which category each uniform number falls into."""
    rows, categories = weights.shape
    bounds = np.cumsum(weights, 1, dtype=np.float64)
    at = u * bounds[:, -1:]
    # how many categories end below
    if rows <= _FEW_ROWS or at.shape[1] >= _MANY_OF_A_ROW:
        for row in range(rows):
            drawn[row] = np.searchsorted(bounds[row], at[row], side="right")
    else:  # all rows halve their bounds at once
        flat, begin = bounds.ravel(), np.arange(0, rows * categories, categories)[:, None]
        place = np.broadcast_to(begin, at.shape).copy()
        left = categories
        while left > 1:
            half = left // 2
            place += half * ~(flat[place + (half - 1)] > at)
            left -= half
        np.subtract(place + ~(flat[place] > at), begin, out=drawn)
    last = categories - 1 - (weights[:, ::-1] > 0).argmax(1)  # rounding must not reach a category of weight 0
    np.minimum(drawn, last[:, None], out=drawn)


def _restored(state: Array) -> Generator:
    return Generator.__new__(Generator).set_state(state)


default_generator = Generator()
"""The generator of everything random that is given none."""


def manual_seed(seed: int) -> Generator:
    """Start the default generator from this seed, and return it."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Start the default generator from a seed that nobody can foresee, and return the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """The state of the default generator, as a tensor of uint8; see `Generator.get_state`."""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Put the default generator into a state that `get_rng_state` handed out; see `Generator.set_state`."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True) -> Iterator[None]:
    """A context at whose end the default generator is put back into the state that it had before.

    Args:
        devices: is not used: all numbers come from one generator, in main memory.
        enabled: where it is False, the context does nothing.
    """
    if not enabled:
        yield
        return
    state = default_generator._state()
    try:
        yield
    finally:
        default_generator.set_state(state)


def source_of(generator: Generator | None) -> Generator:
    """The generator that an argument names: the default one where it names none.

    Raises:
        TypeError: it is no `Generator`.
    """
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise TypeError(
            f"generator must be a Generator or None, not {type(generator).__name__}: make one with Generator().manual_seed(…)"
        )
    return generator
