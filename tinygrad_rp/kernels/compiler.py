"""Kernels: loops over the elements of large arrays, compiled by Numba when they are first needed, and kept on disk.

A kernel is a plain function of pointers and numbers, which goes through its items one by one::

    @kernel
    def scaled(n, x, factor, out):
        for i in range(n):
            out[i] = x[i] * factor

    scaled(n, x, factor, out)

The first call compiles it for the dtypes at hand (`translation`, the only module that imports Numba), keeps the object code in
the cache folder, and loads it (`machine`, the only one that imports llvmlite). From then on, in this process and in later ones,
the call costs some microseconds, and Numba is not imported. Where there are many items, they are shared out among threads; the
machine code runs without the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib
import importlib.metadata
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any, overload

import numpy as np
from numpy import ndarray

from tinygrad_rp.kernels import choice
from tinygrad_rp.kernels.memory import keep_freed_memory

__all__ = ["GRAIN", "Kernel", "kernel", "share"]

Array = ndarray[Any, Any]

GRAIN = 1 << 17
"""A thread gets at least so many elements: waking one takes as long as a simple kernel needs for these."""

# ------------------------------------------------------------------------------------------------------------- threads


_pool: Any = None
_workers_there = 0
_starting = threading.Lock()
_lock = threading.RLock()
"""Of who compiles, which takes long."""


keep_freed_memory()


def _workers() -> Any:
    """Threads beside the calling one; more of them, when more are asked for."""
    global _pool, _workers_there
    wanted = max(choice.threads - 1, 1)
    with _starting:
        if _pool is None or _workers_there < wanted:
            # imported here, since that fails where the interpreter is shutting down
            made = importlib.import_module("concurrent.futures.thread").ThreadPoolExecutor
            _pool, _workers_there = made(wanted, "tinygrad_rp"), wanted
        return _pool


def share(run: Callable[[int, int], None], n: int, parts: int) -> None:
    """Run ``run(start, stop)`` for all of ``range(n)``, in so many parts at once, but no more than there are threads."""
    parts = min(parts, choice.threads, n)
    bounds = [n * i // parts for i in range(parts + 1)]
    others = []
    for start, stop in itertools.pairwise(bounds[1:]):
        try:
            others.append(_workers().submit(run, start, stop))
        except RuntimeError as error:  # an interpreter that shuts down starts no threads
            if "shutdown" not in str(error):
                raise
            run(start, stop)
    try:
        run(0, bounds[1])
    finally:
        for other in others:
            other.result()


def _begin_anew() -> None:
    """In a forked child, in which the threads of its parent do not exist."""
    global _pool, _starting
    _pool, _starting = None, threading.Lock()
    _lock.release()


# A fork waits until no other thread compiles: the child would find LLVM and Numba locked for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _lock.acquire(), after_in_parent=lambda: _lock.release(), after_in_child=_begin_anew
    )

# -------------------------------------------------------------------------------------------------------------- kernels

_pointer_at = ctypes.c_void_p.from_address
# An array is, in memory, the head of a Python object and then the pointer to its data: NumPy's C interface fixes that.
_HEAD = object.__basicsize__
_probe = np.zeros(1)
_KNOWN_LAYOUT = _pointer_at(id(_probe) + _HEAD).value == _probe.ctypes.data


def _address(array: Array) -> int:
    """Where the data of an array begin: what ``array.ctypes.data`` says after five times the time."""
    return _pointer_at(id(array) + _HEAD).value if _KNOWN_LAYOUT else array.ctypes.data  # type: ignore[return-value]


class Kernel:
    """A loop that is compiled when it is first called, for each combination of dtypes anew.

    Args:
        function: the loop, over ``range(n)``, its first argument. Arrays are pointers to it: indexed, and nothing else.
        whole: the array arguments of which each thread needs all; of the others it gets the part of its items.
        source: the text of the function, where it was made; otherwise its file stands for it.
        reorders: whether sums in the loop itself, but not in functions that it calls, may be taken in any order.
        exact: whether elementary functions must give bitwise what they give on arrays, and so do without fused multiply-add.
    """

    def __init__(
        self,
        function: FunctionType,
        whole: tuple[str, ...] = (),
        source: str = "",
        *,
        reorders: bool = False,
        exact: bool = False,
    ) -> None:
        function.__dict__.update(reorders=reorders, exact=exact)
        names = function.__code__.co_varnames[1 : function.__code__.co_argcount]
        self.function = function
        self.name = function.__name__
        self.source = source
        self._counts = "first" in names
        self._shared = [name in whole for name in names if name != "first"]
        self._compiled: dict[tuple[Any, ...], Callable[..., None]] = {}

    def __call__(self, n: int, *arguments: Any) -> None:
        """Go through ``n`` items.

        Args:
            n: how many.
            arguments: contiguous arrays, each of a multiple of ``n`` elements where it is not needed whole, and numbers.
        """
        self.run(self.entry(arguments), n, arguments, max(a.size for a in arguments if type(a) is ndarray))

    def entry(self, arguments: Sequence[Any]) -> Callable[..., Any]:
        """The machine code for arguments of these kinds."""
        key = tuple([a.dtype.char if type(a) is ndarray else type(a) for a in arguments])
        return self._compiled.get(key) or self._prepare(key)

    def run(self, entry: Callable[..., Any], n: int, arguments: Sequence[Any], size: int) -> None:
        """Run machine code; ``size``, the number of elements, says whether it is worth more than one thread."""
        values = [_address(a) if type(a) is ndarray else a for a in arguments]
        first = (0,) if self._counts else ()
        parts = size // GRAIN
        if parts < 2 or choice.threads < 2 or n < 2:
            if n:
                entry(n, *first, *values)
            return
        steps = [
            a.nbytes // n if type(a) is ndarray and not shared else 0
            for a, shared in zip(arguments, self._shared, strict=True)
        ]

        def run(
            start: int, stop: int, _: Any = arguments
        ) -> None:  # which must outlive the parts, also where one is interrupted
            moved = [v + start * step if step else v for v, step in zip(values, steps, strict=True)]
            entry(stop - start, *((start,) if self._counts else ()), *moved)

        share(run, n, parts)

    def _prepare(self, key: tuple[Any, ...]) -> Callable[..., None]:
        """Machine code for arguments of these kinds: from the cache folder, or compiled."""
        with _lock:
            if key not in self._compiled:
                kinds = tuple(_kind_of(k) for k in key)
                if self._counts:
                    kinds = ("q", *kinds)
                name = f"{self.name}-{_digest(self.name, self.source, repr(kinds), repr(self.function.__dict__))}"
                made = _read(name)
                if made is None:
                    made = _compile(self.function, kinds)
                    _keep(name, made)
                self._compiled[key] = _load(made, kinds)
        return self._compiled[key]


@overload
def kernel(function: Callable[..., None]) -> Kernel: ...


@overload
def kernel(**options: Any) -> Callable[[Callable[..., None]], Kernel]: ...


def kernel(function: Any = None, **options: Any) -> Any:
    """Make a `Kernel` of a loop: ``@kernel``, or with options of it, ``@kernel(whole=("table",))``."""
    return Kernel(function, **options) if function else lambda function: Kernel(function, **options)


_NUMBERS = {int: "q", float: "d"}


def _kind_of(key: Any) -> str:
    """``"*f"`` for an array of float32, ``"q"`` for an integer, ``"d"`` and ``"f"`` for a number."""
    if isinstance(key, str):
        return f"*{key}"
    return _NUMBERS.get(key) or np.dtype(key).char


# ------------------------------------------------------------------------------------------- what is compiled is kept

_ARGUMENT = {"f": ctypes.c_float, "d": ctypes.c_double, "I": ctypes.c_uint32, "L": ctypes.c_uint64}
_loaded: list[Any] = []
_room = ctypes.create_string_buffer(64)
_nowhere = ctypes.addressof(_room)
_spent = 0.0
_told = False


def cache_folder() -> Path:
    """Where compiled kernels are kept."""
    named = os.environ.get("TINYGRAD_RP_CACHE_DIR")
    if named:
        return Path(named).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/.cache")
    return Path(home) / "tinygrad_rp"


def _machine() -> Any:
    return importlib.import_module("tinygrad_rp.kernels.machine")


_house = ""


def _digest(*parts: str) -> str:
    """What tells apart code that may differ: the kernel, the sources that it is made from, the compiler, the processor."""
    global _house
    if not _house:
        whole = hashlib.sha256()
        for path in sorted(Path(__file__).parent.glob("*.py")):
            whole.update(path.read_bytes())
        for part in (importlib.metadata.version("numba"), sys.platform, *_machine().processor()):
            whole.update(part.encode() + b"\0")
        _house = whole.hexdigest()
    return hashlib.sha256("\0".join((_house, *parts)).encode()).hexdigest()[:32]


def _read(name: str) -> tuple[str, bytes] | None:
    """The name of the entry and the object code, if they were kept, and are whole."""
    try:
        data = (cache_folder() / f"{name}.o").read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        return None
    symbol, _, code = data[32:].partition(b"\0")
    return symbol.decode(), code


def _keep(name: str, made: tuple[str, bytes]) -> None:
    """Write the file under another name first, since other processes may be reading or writing it."""
    global _told
    data = made[0].encode() + b"\0" + made[1]
    folder = cache_folder()
    kept = f"kept in {folder}"
    temporary: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # not of the module tempfile, whose files others could not read, with whom a folder may be shared
        temporary = folder / f"{name}.{os.urandom(8).hex()}"
        temporary.write_bytes(hashlib.sha256(data).digest() + data)
        os.replace(temporary, folder / f"{name}.o")
    except OSError as error:
        kept = f"not kept: {error}"
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    if _spent > 1 and not _told:
        _told = True
        print(f"tinygrad_rp: compiling kernels for large arrays ({_spent:.1f} s so far; {kept})", file=sys.stderr)


def _compile(function: FunctionType, kinds: Sequence[str]) -> tuple[str, bytes]:
    global _spent
    start = time.perf_counter()
    made: tuple[str, bytes] = importlib.import_module("tinygrad_rp.kernels.translation").translate(function, kinds)
    _spent += time.perf_counter() - start
    return made


def _load(made: tuple[str, bytes], kinds: Sequence[str]) -> Callable[..., None]:
    engine, address = _machine().load(*made)
    _loaded.append(engine)  # with it, the code would go
    types: list[Any] = [ctypes.c_void_p if kind[0] == "*" else _ARGUMENT.get(kind, ctypes.c_int64) for kind in kinds]
    # Numba's own convention: where to put a result and an exception, neither of which a kernel has, then the arguments
    function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, *types)(address)
    return functools.partial(function, _nowhere, _nowhere)
