"""What a user waits for in a new process: the import, and the first operation on a large array.

Each run is a process of its own. The imports are timed from outside, so that the start of Python is in all of them. The first
operation, the sum of exp of 10⁶ elements with its gradient, is timed inside: from before the import of NumPy to the end, and
the operation alone. The row without a cache gives each process an empty folder for compiled kernels, the other one a folder
that an earlier process filled; JAX, which keeps compiled functions too, is treated alike.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.measure import fresh_process
from benchmarks.peers import JAX, NUMPY, OURS, PYTORCH, THREADS
from benchmarks.row import Goal, Maker, Row, Work


def importing(module: str) -> Maker:
    """The import of a module."""
    return lambda _, size: Work(lambda: fresh_process(f"import {module}"), lambda: ())


# `before` is the moment before the operation; each prints the sum and the sum of the gradient beside the two times
TIMED = """
import time
start = time.perf_counter()
import numpy
{body}
end = time.perf_counter()
print(end - start, end - before, value.item(), gradient.sum().item())
"""
TENSORS = """
import {module} as torch
x = torch.full(({n},), 0.5, requires_grad=True)
before = time.perf_counter()
value = x.exp().sum()
value.backward()
gradient = x.grad
"""
JITTED = """
import jax
x = jax.numpy.full(({n},), 0.5)
before = time.perf_counter()
value, gradient = jax.block_until_ready(jax.jit(jax.value_and_grad(lambda x: jax.numpy.exp(x).sum()))(x))
"""
ARRAYS = """
x = numpy.full({n}, 0.5, numpy.float32)
before = time.perf_counter()
gradient = numpy.exp(x)
value = gradient.sum()
"""
TWO_THREADS = f"import torch\ntorch.set_num_threads({THREADS})"


def caches(folder: str) -> dict[str, str]:
    """Where compiled code is to be kept: ours, and JAX's, which by default keeps only what took a second."""
    return {
        "TINYGRAD_RP_CACHE_DIR": f"{folder}/tinygrad_rp",
        "JAX_COMPILATION_CACHE_DIR": f"{folder}/jax",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def first_call(body: str, warm: bool, **names: str) -> Maker:
    """The first operation of a process.

    Args:
        body: the code, up to the sum and the gradient.
        warm: all processes share one folder for compiled code; otherwise each has an empty one.
        names: to be filled into the code.
    """

    def make(_: Any, n: int) -> Work:
        code = TIMED.format(body=body.format(n=n, **names))

        def numbers_with(folder: str) -> list[float]:
            return list(map(float, fresh_process(code, caches(folder)).split()))

        def numbers_without() -> list[float]:
            with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
                return numbers_with(folder)

        numbers: Callable[[], list[float]] = numbers_without
        if warm:
            shared = tempfile.mkdtemp(prefix="benchmarks-")
            numbers = partial(numbers_with, shared)
            weakref.finalize(numbers, shutil.rmtree, shared, ignore_errors=True)
        return Work(lambda: numbers()[:2], lambda: numbers()[2:])

    return make


def candidates(warm: bool) -> dict[str, Maker]:
    """Who computes the first operation."""
    return {
        OURS: first_call(TENSORS, warm, module="tinygrad_rp"),
        PYTORCH: first_call(TWO_THREADS + TENSORS, warm, module="torch"),
        JAX: first_call(JITTED, warm),
        NUMPY: first_call(ARRAYS, warm),
    }


PARTS = ("with the imports", "alone")

ROWS = (
    Row(
        name="import",
        title="import, in a fresh process",
        measures="From the start of Python to its end.",
        size=None,
        tiny=None,
        unit="",
        candidates={
            OURS: importing("tinygrad_rp"),
            PYTORCH: importing("torch"),
            JAX: importing("jax"),
            NUMPY: importing("numpy"),
        },
        goals=(Goal(limit=0.1, of=(NUMPY,), difference=True),),
        fresh=True,
    ),
    Row(
        name="first-warm",
        title="first large operation, kernels cached on disk",
        measures="The sum of exp of 10⁶ elements and its gradient, first thing in a process.",
        size=10**6,
        tiny=1000,
        unit="",
        parts=PARTS,
        candidates=candidates(warm=True),
        goals=(Goal(limit=0.7, of=(), part="with the imports"),),
        fresh=True,
    ),
    Row(
        name="first-cold",
        title="first large operation, nothing cached",
        measures="The same, with an empty folder for compiled kernels.",
        size=10**6,
        tiny=1000,
        unit="",
        parts=PARTS,
        candidates=candidates(warm=False),
        fresh=True,
        long=True,
    ),
)
