"""The loops of the reparameterisation note, one sample a backward pass, against PyTorch and micrograd.

    python -m benchmarks.note_loops [--rounds 15] [--samples 1000]

The candidates take turns within a round, so that a change of the machine's pace meets them alike; a row shows the median over
the rounds of the time for one sample, and the median of the ratios within a round. Importing the package is timed against
importing NumPy, in fresh processes, in turns as well.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tinygrad_rp

Loop = Callable[[int], float]


def gaussian(torch: Any, n: int) -> float:
    """The reparameterised Gaussian: the mean gradient with respect to mu."""
    mu = torch.tensor([12.0], requires_grad=True)
    std = torch.tensor([42.0], requires_grad=True)

    def reparametrize(mu: Any, std: Any) -> Any:
        eps = torch.randn_like(std)
        return eps * std + mu

    mu_grads, std_grads = [], []
    for _ in range(n):
        mu.grad = None
        std.grad = None
        z = reparametrize(mu, std)
        z2 = z**2
        z2.backward(retain_graph=True)
        mu_grads.append(mu.grad.detach().cpu().numpy())
        std_grads.append(std.grad.detach().cpu().numpy())
    return float(sum(mu_grads)[0] / n)


def straight_through(torch: Any, n: int) -> float:
    """The Bernoulli variable with a straight-through gradient."""
    p = torch.tensor([0.25], requires_grad=True)
    grads = []
    for _ in range(n):
        p.grad = None
        y = torch.bernoulli(p)
        y = p + (y - p).detach()
        y2 = y**2
        y2.backward()
        grads.append(p.grad.detach().cpu().numpy())
    return float(sum(grads)[0] / n)


def gumbel(torch: Any, n: int) -> float:
    """The Gumbel-softmax relaxation at temperature 0.1."""

    def reparametrize(p: Any, temperature: float = 0.1) -> Any:
        g = -torch.log(-torch.log(torch.rand(1)))
        h = -torch.log(-torch.log(torch.rand(1)))
        e = torch.exp(((torch.log1p(-p) + h) - (torch.log(p) + g)) / temperature)
        return 1 / (1 + e)

    grads = []
    for _ in range(n):
        p = torch.tensor([0.25], requires_grad=True)
        y = reparametrize(p)
        y = y**2
        y.backward()
        grads.append(p.grad.detach().cpu().numpy())
    return float(sum(grads)[0] / n)


def gaussian_of_micrograd(value: Any, n: int) -> float:
    """The Gaussian loop on micrograd's scalars, whose noise is the standard library's."""
    mu, std = value(12.0), value(42.0)
    mu_grads, std_grads = [], []
    for _ in range(n):
        mu.grad = 0
        std.grad = 0
        z = random.gauss(0, 1) * std + mu
        z2 = z**2
        z2.backward()
        mu_grads.append(mu.grad)
        std_grads.append(std.grad)
    return sum(mu_grads) / n


def candidates() -> dict[str, dict[str, Loop]]:
    """For each loop, who can run it here; ourselves first."""
    found: dict[str, dict[str, Loop]] = {}
    for loop in (gaussian, straight_through, gumbel):
        found[loop.__name__] = {"tinygrad_rp": lambda n, loop=loop: loop(tinygrad_rp, n)}  # type: ignore[misc]
    try:
        import torch

        torch.set_num_threads(2)
        for loop in (gaussian, straight_through, gumbel):
            found[loop.__name__]["PyTorch"] = lambda n, loop=loop: loop(torch, n)  # type: ignore[misc]
    except ImportError:
        print("PyTorch is not installed here, and is left out")
    try:
        from micrograd.engine import Value

        found["gaussian"]["micrograd"] = lambda n: gaussian_of_micrograd(Value, n)
    except ImportError:
        print("micrograd is not installed here, and is left out")
    return found


def seconds(run: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(loops: dict[str, Loop], rounds: int, n: int) -> dict[str, dict[str, float]]:
    """Time the candidates in turns: microseconds a sample, and our time divided by theirs."""
    for loop in loops.values():
        loop(max(n // 10, 1))
    times: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            times[name].append(seconds(lambda loop=loop: loop(n)) / n)  # type: ignore[misc]
    ours = times["tinygrad_rp"]
    return {
        name: {
            "microseconds": 1e6 * statistics.median(theirs),
            "ratio": statistics.median(a / b for a, b in zip(ours, theirs, strict=True)),
        }
        for name, theirs in times.items()
    }


def import_times(rounds: int) -> dict[str, float]:
    """Seconds to import NumPy, and this package, in fresh processes; the median of the differences within a round.

    The first import, which compiles the modules to bytecode files, is not counted.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run(statement: str) -> None:
        subprocess.run([sys.executable, "-c", statement], check=True, env=environment)

    run("import tinygrad_rp")
    numpy, ours = [], []
    for _ in range(rounds):
        for statement, times in (("import numpy", numpy), ("import tinygrad_rp", ours)):
            times.append(seconds(lambda s=statement: run(s)))  # type: ignore[misc]
    return {
        "numpy": statistics.median(numpy),
        "tinygrad_rp": statistics.median(ours),
        "more": statistics.median(b - a for a, b in zip(numpy, ours, strict=True)),
    }


def main() -> None:
    """Run the comparison, print it, and keep it in ``build/benchmarks/note_loops.json``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--samples", type=int, default=1000, help="samples, each with a backward pass, in one round")
    arguments = parser.parse_args()
    results: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
    }
    print(f"{'loop':<20}{'who':<14}{'µs a sample':>12}{'ours / theirs':>16}")
    for name, loops in candidates().items():
        results[name] = compare(loops, arguments.rounds, arguments.samples)
        for who, row in results[name].items():
            ratio = "" if who == "tinygrad_rp" else f"{row['ratio']:.3f}"
            print(f"{name:<20}{who:<14}{row['microseconds']:>12.2f}{ratio:>16}")
    results["import"] = import_times(arguments.rounds)
    times = results["import"]
    print(
        f"\nimport numpy {times['numpy']:.3f} s, import tinygrad_rp {times['tinygrad_rp']:.3f} s: {times['more']:.3f} s more"
    )
    kept = Path("build/benchmarks/note_loops.json")
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(results, indent=2) + "\n")
    print(f"kept in {kept}")


if __name__ == "__main__":
    main()
