"""Kernels for large arrays where they are easily got wrong: parameters, layouts, odd optimiser states, threads, forks, exits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tinygrad_rp as tg
from tinygrad_rp import operation
from tinygrad_rp.optim import SGD, Adam, Optimizer

MANY = 20_000
ROOT = Path(__file__).parent.parent


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def run(script: str, **environment: str) -> str:
    known = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", script], env=known, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("size", [5, MANY])
def test_a_weight_near_one_keeps_its_digits_in_the_gradient(size: int) -> None:
    x, y = (tg.tensor(numbers(size, seed=i), requires_grad=True) for i in range(2))
    tg.lerp(x, y, 0.99999).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.float32(1 - 0.99999), rtol=1e-6)


@pytest.mark.parametrize("size", [5, MANY])
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, None])
def test_infinite_parameters_and_gradients_are_stepped_as_in_pytorch(size: int, options: Any) -> None:
    p, g = numbers(size), numbers(size, seed=1)
    p[0], p[1] = np.inf, -np.inf
    if options is not None:
        g[2] = np.inf
    results = []
    for house, sgd, adam in ((tg, SGD, Adam), (torch, torch.optim.SGD, torch.optim.Adam)):
        parameter = house.tensor(p, requires_grad=True)
        parameter.grad = house.tensor(g)
        optimizer = adam([parameter], lr=0.1) if options is None else sgd([parameter], lr=0.1, **options)
        optimizer.step()
        results.append(parameter.detach().numpy())
    np.testing.assert_allclose(*results, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("size", [5, MANY])
@pytest.mark.parametrize("betas", [(0.0, 0.0), (0.3, 0.9), (0.9, 0.999)])
@pytest.mark.parametrize("lr", [1, np.float32(0.05)])
def test_adam_forgets_large_gradients_as_in_pytorch_and_takes_any_number_as_its_rate(
    size: int, betas: Any, lr: Any
) -> None:
    results = []
    for house, adam in ((tg, Adam), (torch, torch.optim.Adam)):
        parameter = house.zeros(size, requires_grad=True)
        optimizer = adam([parameter], lr=lr if house is tg else float(lr), betas=betas)
        for i, scale in enumerate((1e6, 1e-3, 1e-3)):
            parameter.grad = house.tensor(numbers(size, seed=i) * np.float32(scale))
            optimizer.step()
        results.append(parameter.detach().numpy())
    np.testing.assert_allclose(*results, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("make", [SGD, Adam])
@pytest.mark.parametrize("size", [5, MANY])
def test_a_step_does_not_write_into_memory_that_is_read_only(size: int, make: type[Optimizer]) -> None:
    data = numbers(size)
    data.flags.writeable = False
    parameter = tg.from_numpy(data).requires_grad_(True)
    parameter.grad = tg.ones(size)
    with pytest.raises(ValueError, match="read-only"):
        make([parameter]).step()  # type: ignore[call-arg]


@pytest.mark.parametrize("shape", [(2, 3), (100, 200)])
@pytest.mark.parametrize("name", ["sum", "std", "norm", "nansum", "mean"])
def test_a_dimension_named_twice_is_refused_at_any_size(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(RuntimeError):
        getattr(tg, name)(tg.tensor(numbers(*shape)), dim=(0, 0))


def test_single_numbers_are_reduced_also_where_all_arrays_go_to_kernels() -> None:
    script = (
        "import tinygrad_rp as tg; s = tg.tensor(1.5, requires_grad=True)\n"
        "for f in (tg.sum, tg.mean, tg.logsumexp, tg.softmax, tg.log_softmax): print(f(s, 0).item(), end=' ')\n"
        "tg.softmax(s, -1).backward(); print(s.grad.item())"
    )
    assert run(script, TINYGRAD_RP_KERNELS="numba") == "1.5 1.5 1.5 1.0 0.0 0.0\n"


@pytest.mark.parametrize("warm", ["", "f()"])
def test_an_interpreter_that_shuts_down_still_computes(warm: str) -> None:
    script = (
        "import atexit, threading, time, tinygrad_rp as tg\n"
        "def f(): return (tg.ones(1_000_000) * 2).sum().item()\n"
        "def late(): time.sleep(0.5); print(f())\n"
        f"{warm}\n"
        "atexit.register(lambda: print(f()))\n"
        "threading.Thread(target=late).start()"
    )
    assert run(script, TINYGRAD_RP_NUM_THREADS="4") == "2000000.0\n2000000.0\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_forked_while_another_thread_compiles_can_compile(tmp_path: Path) -> None:
    script = (
        "import os, threading, time, tinygrad_rp as tg; from tinygrad_rp.kernels import compiler\n"
        "x = tg.ones(20_000)\n"
        "thread = threading.Thread(target=lambda: x.sigmoid()); thread.start()\n"
        "while not compiler._house: time.sleep(0.001)\n"  # what is hashed first, at the beginning of a compilation
        "if os.fork() == 0: print((x + 1).sum().item(), flush=True); os._exit(0)\n"
        "print('status', os.wait()[1]); thread.join()"
    )
    assert run(script, TINYGRAD_RP_CACHE_DIR=str(tmp_path)) == "40000.0\nstatus 0\n"


@pytest.mark.skipif(os.name != "posix", reason="files have other permissions here")
def test_others_may_read_the_cache_as_far_as_the_user_lets_them(tmp_path: Path) -> None:
    run(
        "import os; os.umask(0o022); import tinygrad_rp as tg; tg.ones(20_000).sigmoid()",
        TINYGRAD_RP_CACHE_DIR=str(tmp_path),
    )
    files = list(tmp_path.iterdir())
    assert files
    assert {file.stat().st_mode & 0o777 for file in files} == {0o644}


def test_where_the_rows_of_many_rows_begin_is_not_kept() -> None:
    elementwise = pytest.importorskip("tinygrad_rp.kernels.elementwise")
    before = elementwise._known_rows.cache_info().currsize
    x, y = numbers(30_000, 16), numbers(16, seed=1)
    np.testing.assert_array_equal((tg.tensor(x) * tg.tensor(y)).numpy(), x * y)
    assert elementwise._known_rows.cache_info().currsize == before
    kept = operation._kernels_of("mul")._plans.values()
    assert not [plan for plan in kept if plan is not None and plan[1].at and len(plan[1].at[0]) > elementwise.MANY_ROWS]


@pytest.mark.parametrize(
    "obstacle", ["import os; os.environ['NUMBA_DISABLE_JIT'] = '1'", "numpy.__version__ = '9.9.9'"]
)
def test_where_numba_would_not_compile_numpy_computes_or_the_obstacle_is_named(obstacle: str, tmp_path: Path) -> None:
    script = (
        f"import numpy; {obstacle}\n"
        "import tinygrad_rp as tg; x = tg.ones(200, 200, requires_grad=True)\n"
        "(x * x + tg.softmax(x, -1) + tg.randn(200, 200)).sum().backward(); tg.optim.Adam([x]).step(); print(x.grad[0, 0].item())"
    )
    assert run(script, TINYGRAD_RP_CACHE_DIR=str(tmp_path)) == "2.0\n"
    asked = f"try:\n    exec({script!r})\nexcept ImportError as error: print(error)"
    message = run(asked, TINYGRAD_RP_CACHE_DIR=str(tmp_path), TINYGRAD_RP_KERNELS="numba")
    assert "TINYGRAD_RP_KERNELS" in message
    assert ("NUMBA_DISABLE_JIT" if "JIT" in obstacle else "9.9.9") in message


SUMS = """
import tinygrad_rp as tg
x = tg.full((300_000, 3), 0.1)
b = tg.zeros(3, requires_grad=True)
((b + x) * x).mean().backward()
for found in (x.mean(0), x[::2].mean(0), x.t().sum(1) / 300_000, b.grad * 3):
    assert (found - 0.1).abs().max() < 1e-6, found
"""


@pytest.mark.parametrize("kernels", ["auto", "numpy"])
def test_sums_over_many_rows_keep_their_digits_with_and_without_kernels(kernels: str) -> None:
    run(SUMS, TINYGRAD_RP_KERNELS=kernels)


@pytest.mark.parametrize("dim", [2, -3, (0, 2), (0, 0)])
def test_a_dimension_that_is_not_there_is_refused_of_large_arrays_too(dim: object) -> None:
    with pytest.raises((IndexError, RuntimeError)):
        tg.ones(10_000, 3).sum(dim)


def test_a_generator_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="must be a Generator or None, not int"):
        tg.randn(3, generator=5)
