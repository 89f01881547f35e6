"""NumPy or Numba: the choice, in one place.

Small arrays go to NumPy, large ones to kernels. Three environment variables, read when the package is imported, say otherwise:

==========================  ============================================================================================
``TINYGRAD_RP_KERNELS``      ``auto`` (from a size on), ``numpy`` (never) or ``numba`` (always)
``TINYGRAD_RP_NUM_THREADS``  how many threads share a large operation. Default: the processors that this process may use
``TINYGRAD_RP_CACHE_DIR``    where compiled kernels are kept. Default: ``tinygrad_rp`` in the user's folder of caches
==========================  ============================================================================================
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import re
import sys
from typing import Any

import numpy as np
from numpy import ndarray

__all__ = ["LARGE", "MODE", "get_num_threads", "room", "set_num_threads", "sum_over", "usable"]

MODES = ("auto", "numba", "numpy")
MODE = os.environ.get("TINYGRAD_RP_KERNELS") or "auto"
if MODE not in MODES:
    raise ValueError(f"the environment variable TINYGRAD_RP_KERNELS must be one of {', '.join(MODES)}, and is {MODE!r}")

LARGE = {"auto": 1 << 14, "numba": 0, "numpy": sys.maxsize}[MODE]
"""Arrays of more elements go to a kernel, where there is one."""
MANY = 1 << 14
"""Of more elements, sums lose digits that matter."""

_usable: bool | None = None


def usable() -> bool:
    """Whether kernels can be compiled here.

    Raises:
        ImportError: ``TINYGRAD_RP_KERNELS`` asks for them, and Numba is not installed, or does not compile.
    """
    global _usable
    if _usable is None:
        obstacle = _obstacle()
        if obstacle and MODE == "numba":
            raise ImportError(
                f"the environment variable TINYGRAD_RP_KERNELS is 'numba', and {obstacle}, or unset the variable"
            )
        _usable = not obstacle
    return _usable


def _obstacle() -> str:
    """Why Numba would not compile, and what to do; known without importing it, which takes long."""
    if not (_is_installed("numba") and _is_installed("llvmlite")):
        return "Numba is not installed: install it (pip install numba)"
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "NUMBA_DISABLE_JIT keeps Numba from compiling: unset that one"
    metadata = importlib.import_module("importlib.metadata")  # half as long to import as all of this package
    try:
        needed = metadata.requires("numba") or ()
    except metadata.PackageNotFoundError:  # it lies there without having been installed
        return ""
    for requirement in needed:
        bound = re.match(r"numpy\b[^;]*<\s*(\d+)\.(\d+)", requirement)
        if bound and tuple(map(int, np.__version__.split(".")[:2])) >= tuple(map(int, bound.groups())):
            return f"Numba needs {requirement}, and NumPy is {np.__version__}: bring them together"
    return ""


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # ValueError: sys.modules says that there is none
        return False


def room(name: str) -> Any:
    """A module of this room, imported when it is first needed: what compiles is not needed for small arrays."""
    return importlib.import_module(f"tinygrad_rp.kernels.{name}")


def _chosen_threads() -> int:
    asked = os.environ.get("TINYGRAD_RP_NUM_THREADS")
    if not asked:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not asked.isdigit() or not int(asked):
        raise ValueError(
            f"the environment variable TINYGRAD_RP_NUM_THREADS must be a positive integer, and is {asked!r}"
        )
    return int(asked)


threads = _chosen_threads()


def get_num_threads() -> int:
    """How many threads share a large operation. Results do not depend on it."""
    return threads


def set_num_threads(number: int) -> None:
    """Share large operations among so many threads.

    Raises:
        RuntimeError: it is not positive.
        TypeError: it is no integer.
    """
    global threads
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"set_num_threads(): the number must be an integer, not {type(number).__name__}")
    if number < 1:
        raise RuntimeError(f"set_num_threads(): the number must be positive, and is {number}")
    threads = number


def sum_over(x: Any, axes: Any, keepdims: Any) -> Any:
    """NumPy's sum over some dimensions (``None``: all), without its loss of digits; of a tensor, `sum`.

    Along the last dimension in memory NumPy adds up pair by pair, and over others one by one: a float32 sum over 10⁷ rows is
    wrong in its second digit then.
    """
    if type(x) is ndarray and x.size > MANY and axes is not None and x.dtype.char in "fd":
        given = axes if isinstance(axes, tuple) else (axes,)
        named = {a % x.ndim for a in given if -x.ndim <= a < x.ndim}
        if 0 < len(named) < x.ndim and len(named) == len(given):  # otherwise NumPy refuses them
            found = room("reductions").column_sums(x, tuple(named), keepdims) if x.size > LARGE and usable() else None
            if found is not None:
                return found
            last = named == set(range(x.ndim - len(named), x.ndim)) and x.flags.c_contiguous
            if x.dtype.char == "f" and not last and math.prod(x.shape[d] for d in named) > 1024:
                return np.add.reduce(x, axis=axes, dtype=np.float64, keepdims=keepdims).astype(np.float32)
    if not isinstance(x, ndarray | np.generic):
        return np.sum(x, axis=axes, keepdims=keepdims)
    return np.add.reduce(x, axis=axes, keepdims=keepdims)
