"""Standard normal numbers, in float32.

Ours and PyTorch's code is one function. JAX has split and draw jitted, with its default generator, Threefry, which is faster on
CPUs than its others; NumPy uses its default generator, PCG64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers import JAX, NUMPY, OURS, PYTORCH
from benchmarks.row import SEED, Goal, Row, Work


def moments(sample: Any) -> tuple[float, float]:
    """The mean, and the mean square."""
    array = np.asarray(sample)
    return float(array.mean()), float(np.mean(array**2))


def randn(torch: Any, n: int) -> Work:
    """On tensors."""
    torch.manual_seed(SEED)
    return Work(lambda: torch.randn(n), lambda: moments(torch.randn(n)))


def randn_of_jax(jax: Any, n: int) -> Work:
    """Jitted, with a key that is split in each call."""

    @jax.jit
    def step(key: Any) -> Any:
        key, now = jax.random.split(key)
        return key, jax.random.normal(now, (n,))

    key = jax.random.key(SEED)

    def run() -> Any:
        nonlocal key
        key, sample = jax.block_until_ready(step(key))
        return sample

    return Work(run, lambda: moments(run()))


def randn_of_numpy(np: Any, n: int) -> Work:
    """NumPy's default generator."""
    rng = np.random.default_rng(SEED)

    def run() -> Any:
        return rng.standard_normal(n, dtype=np.float32)

    return Work(run, lambda: moments(run()))


ROWS = tuple(
    Row(
        name=f"randn-1e{len(str(n)) - 1}",
        title=f"randn, {power} numbers",
        measures="Drawing the numbers into a new array.",
        size=n,
        tiny=4000,
        unit="",
        candidates={OURS: randn, PYTORCH: randn, JAX: randn_of_jax, NUMPY: randn_of_numpy},
        goals=(Goal(limit=0.5),) if n == 10**7 else (),
        long=n == 10**7,
        expects=((0.0, 1.0), (1.0, 2**0.5)),
    )
    for n, power in {10**6: "10⁶", 10**7: "10⁷"}.items()
)
