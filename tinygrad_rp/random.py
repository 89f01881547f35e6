"""Random streams: a `Generator` hands out the numbers of a seed in a fixed order, however many are asked for at a time.

Each kind of number (uniform or normal, float32 or float64) is a stream of its own, drawn from the counter-based generator
Philox with the kind as part of its key. So ``randn(10)`` twice gives what ``randn(20)`` gives, and drawing uniforms in between
changes nothing. Small requests are cut from a block that was drawn ahead, since the call of NumPy's generator costs several
times what a small operation does.
"""

from __future__ import annotations

import math
import os
import threading
from typing import Any

import numpy as np
from numpy import ndarray

__all__ = ["Generator", "default_generator", "manual_seed"]

BLOCK = 1024
_KINDS = ("uniform", "normal")


class _Stream:
    """One kind of number of one dtype, in order."""

    def __init__(self, seed: int, kind: str, dtype: np.dtype[Any]) -> None:
        key = np.random.SeedSequence(seed, spawn_key=(_KINDS.index(kind), dtype.itemsize))
        source = np.random.Generator(np.random.Philox(key))
        self._draw = source.random if kind == "uniform" else source.standard_normal
        self._dtype = dtype
        self._block: ndarray[Any, Any] = np.empty(0, dtype)
        self._used = 0
        self._lock = threading.Lock()

    def take(self, n: int) -> ndarray[Any, Any]:
        """The next ``n`` numbers, in an array of their own."""
        lock = self._lock
        lock.acquire()  # a `with` block costs as much as the rest
        try:
            start = self._used
            end = start + n
            block = self._block
            if end <= len(block):
                self._used = end
                return block[start:end].copy()  # a tensor that is changed in place is known by what owns its memory
            rest = block[start:]
            missing = n - len(rest)
            if missing >= BLOCK:
                fresh = self._draw(missing, dtype=self._dtype)  # type: ignore[arg-type]
                self._block, self._used = np.empty(0, self._dtype), 0
                return np.concatenate([rest, fresh]) if len(rest) else fresh
            self._block, self._used = self._draw(BLOCK, dtype=self._dtype), missing  # type: ignore[arg-type]
            return np.concatenate([rest, self._block[:missing]])
        finally:
            lock.release()


class Generator:
    """A source of random numbers that can be seeded.

    A new one starts from a seed of its own; `manual_seed` chooses it.
    """

    def __init__(self, device: str = "cpu") -> None:
        if str(device) != "cpu":
            raise RuntimeError(f"Generator(device={device!r}): tensors are in main memory, so the only device is 'cpu'")
        self.seed()

    def manual_seed(self, seed: int) -> Generator:
        """Start the streams of this seed from their beginning, and return the generator."""
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise TypeError(f"manual_seed(): the seed must be an integer, not {type(seed).__name__}")
        self._seed = int(seed)
        self._streams: dict[str, dict[np.dtype[Any], _Stream]] = {kind: {} for kind in _KINDS}
        return self

    def seed(self) -> int:
        """Start from a seed that nobody can foresee, and return it."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 1)
        return self._seed

    def initial_seed(self) -> int:
        """The seed."""
        return self._seed

    def uniform(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> ndarray[Any, Any]:
        """Numbers of the uniform distribution on [0, 1), of the given shape and floating-point dtype."""
        return self.draw("uniform", shape, dtype)

    def normal(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> ndarray[Any, Any]:
        """Numbers of the standard normal distribution, of the given shape and floating-point dtype."""
        return self.draw("normal", shape, dtype)

    def draw(self, kind: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> ndarray[Any, Any]:
        """Numbers of a kind, ``"uniform"`` or ``"normal"``."""
        streams = self._streams[kind]
        stream = streams.get(dtype)
        if stream is None:
            # a negative seed stands for the same 64 bits, as in PyTorch
            stream = streams.setdefault(dtype, _Stream(self._seed % 2**64, kind, dtype))
        return stream.take(shape[0]) if len(shape) == 1 else stream.take(math.prod(shape)).reshape(shape)


default_generator = Generator()
"""The generator of everything random that is given none."""


def manual_seed(seed: int) -> Generator:
    """Start the default generator from this seed, and return it."""
    return default_generator.manual_seed(seed)
