"""What is kept of a run, as JSON, and how it is shown: in the terminal, and in the README."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.measure import Seconds
from benchmarks.peers import HIPS, JAX, MICROGRAD, NUMPY, OURS, PYTORCH, THREADS, versions
from benchmarks.row import BETTER, Goal, Row

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULTS = Path(__file__).parent / "results"

Results = dict[str, Any]

# What decides how many threads are used, and which kernels
VARIABLES = re.compile(r"(OMP|OPENBLAS|MKL|NUMBA|XLA|JAX|TORCH|TINYGRAD_RP)_\w+")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu() -> str:
    """The name of the processor."""
    try:
        names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def header(modules: Mapping[str, ModuleType]) -> Results:
    """Where and with what a run was measured."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cpu": cpu(), "cores": cores(), "system": platform.platform()},
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": versions(dict(modules)),
        "threads": {
            PYTORCH: THREADS,
            "environment": {k: v for k, v in sorted(os.environ.items()) if VARIABLES.fullmatch(k)},
        },
    }


def kept(seconds: Seconds) -> Seconds:
    """The seconds of a row, rounded to what a clock can say."""
    return {
        part: {name: [float(f"{t:.4g}") for t in times] for name, times in candidates.items()}
        for part, candidates in seconds.items()
    }


def write(results: Results, path: Path) -> None:
    """Keep the results, the rounds of a candidate on one line."""
    text = json.dumps(results, indent=1, ensure_ascii=False)
    text = re.sub(r"\[\s+([^\[\]{}\"]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", "utf-8")


def read(path: Path) -> Results:
    """The results that were kept in a file."""
    return json.loads(path.read_text("utf-8"))


def usual_path() -> Path:
    """The file for a full run on this machine."""
    words = re.sub(r"\((R|TM)\)|CPU|Processor|@", " ", cpu()).split()
    return RESULTS / ("-".join([*words, str(cores()), "cores"]).lower() + ".json")


# ---------------------------------------------------------------- figures


def ratio(seconds: Mapping[str, Sequence[float]], of: Sequence[str]) -> float | None:
    """The median over the rounds of our time divided by the least of theirs, or None where none of them took part."""
    return Goal(limit=1.0, of=tuple(of)).figure(seconds)


def duration(seconds: float) -> str:
    """A time with its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def verdict(goal: Goal, seconds: Mapping[str, Sequence[float]]) -> str:
    """Whether a goal was reached, and with which figure."""
    figure = goal.figure(seconds)
    if figure is None:
        return f"{goal}: nobody to compare with"
    unit = " s" if goal.difference or not goal.of else ""
    return f"{goal}: {figure:.3g}{unit}, {'met' if figure <= goal.limit else 'missed'}"


COLUMNS = (PYTORCH, JAX, HIPS, MICROGRAD, NUMPY)


def table(rows: Iterable[Row], results: Results) -> str:
    """The results as a table in Markdown, which can be read in a terminal as well."""
    cells = [
        ["work", "our time", *(f"/ {name}" for name in COLUMNS), "/ better of PyTorch, JAX", "goal"],
    ]
    measured = [(row, part, seconds) for row in rows for part, seconds in results["rows"].get(row.name, {}).items()]
    for row, part, seconds in measured:
        ours = duration(statistics.median(seconds[OURS]) / row.count)
        figures = [ratio(seconds, [name]) for name in COLUMNS] + [ratio(seconds, BETTER)]
        cells.append(
            [
                f"{row.title}: {part}" if part else row.title,
                f"{ours} {row.unit}".strip(),
                *("" if figure is None else f"{figure:.{2 if figure >= 0.1 else 3}f}" for figure in figures),
                "; ".join(verdict(goal, seconds) for goal in row.goals if goal.part in (None, part)),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in cells
    )


def where(results: Results) -> str:
    """A sentence on where and with what was measured."""
    machine, versions = results["machine"], results["versions"]
    others = ", ".join(f"{name} {number}" for name, number in versions.items() if name != OURS)
    text = f"Measured on {results['date']} on {machine['cores']} cores of {machine['cpu']}, with {results['python']}, {others}"
    return f"{text}; PyTorch is set to {results['threads'][PYTORCH]} threads." if PYTORCH in versions else f"{text}."


# ---------------------------------------------------------------- the README

START = re.compile(r"<!-- benchmarks: (\S+) -->\n")
END = "<!-- end of benchmarks -->"


def section(path: Path, rows: Iterable[Row]) -> str:
    """The part of the README that shows a file of results, with its marks."""
    results = read(path)
    name = path.resolve().relative_to(ROOT).as_posix()
    text = f"<!-- benchmarks: {name} -->\n{where(results)}\n\n{table(rows, results)}\n{END}"
    return re.sub(" +\\|", " |", re.sub("-{3,} \\|", "--- |", text))


def shown() -> tuple[Path, str]:
    """The file that the README shows, and the part between the marks, with them."""
    text = README.read_text("utf-8")
    start = START.search(text)
    if start is None or END not in text:
        raise ValueError(
            f"{README} must hold the marks <!-- benchmarks: FILE --> and {END}, between which the table goes"
        )
    return ROOT / start[1], text[start.start() : text.index(END) + len(END)]


def write_readme(path: Path, rows: Iterable[Row]) -> None:
    """Show a file of results in the README."""
    _, old = shown()
    README.write_text(README.read_text("utf-8").replace(old, section(path, rows)), "utf-8")
