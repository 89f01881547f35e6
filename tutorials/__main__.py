"""The tour: run every lesson, and write one page of them. ``python -m tutorials`` from the checkout.

Each lesson is a file ``NN_name.py`` beside this one; adding a lesson is adding a file. Each runs in a process of its
own. One that fails is shown on the page with its failure, the others run all the same, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tutorials.cells import split
from tutorials.lesson import PICTURES

try:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from tutorials.page import Lesson, render
except ModuleNotFoundError as missing:
    sys.exit(
        f'the tour needs the package {missing.name}: pip install "tinygrad_rp[tour]" (a lesson by itself does not)'
    )

HERE = Path(__file__).resolve().parent
TIMEOUT = 300
"""Seconds after which a lesson is given up."""


def lessons() -> list[Path]:
    """The scripts of the lessons, in order."""
    return sorted(HERE.glob("[0-9][0-9]_*.py"))


def run(path: Path, out: Path) -> Lesson:
    """Run one lesson in a process of its own, with its pictures in ``out/pictures``."""
    begin = time.perf_counter()
    environment = os.environ | {PICTURES: "pictures", "PYTHONIOENCODING": "utf-8"}
    failure = ""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results.jsonl")
        command = [sys.executable, str(HERE / "cells.py"), str(path.resolve()), str(results)]
        try:
            done = subprocess.run(
                command,
                cwd=out,
                env=environment,
                timeout=TIMEOUT,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
            )
            failure = f"The process ended with status {done.returncode}.\n{done.stderr}" if done.returncode else ""
        except subprocess.TimeoutExpired:
            failure = f"The lesson was given up after {TIMEOUT} seconds."
        lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    ran = [json.loads(line) for line in lines]
    if any(result["failed"] for result in ran):
        failure = ""  # the cell says it better
    return Lesson(path, split(path.read_text(encoding="utf-8")), ran, time.perf_counter() - begin, failure)


def main(arguments: list[str] | None = None) -> int:
    """Run the tour.

    Returns:
        0, or 1 where a lesson failed.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tutorials", description="Run the lessons and write a page of them."
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/tour"), help="where the page goes (default: build/tour)"
    )
    parser.add_argument("lessons", nargs="*", type=Path, help="scripts to run (default: all numbered lessons)")
    options = parser.parse_args(arguments)
    out: Path = options.out.resolve()
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    paths: list[Path] = options.lessons or lessons()
    for path in paths:
        if not path.is_file():
            parser.error(f"there is no lesson {path}")

    console = Console()
    ran = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(paths))
        for path in paths:
            progress.update(task, description=path.stem)
            lesson = run(path, out)
            ran.append(lesson)
            progress.advance(task)
            state = "FAILED" if lesson.failed else "ok"
            drawn = sum(len(result["pictures"]) for result in lesson.results)
            line = f"{state:6}  {path.stem:32}  {lesson.seconds:5.1f} s  {drawn} pictures"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            for result in lesson.results:
                if result["failed"]:
                    console.print(result["output"].rstrip(), markup=False, highlight=False, soft_wrap=True)
            if lesson.failure:
                console.print(lesson.failure.rstrip(), markup=False, highlight=False, soft_wrap=True)

    page = out / "index.html"
    page.write_text(render(ran, out), encoding="utf-8")
    console.print(f"the page of the tour: {page}", markup=False, highlight=False, soft_wrap=True)
    failed = [lesson.path.name for lesson in ran if lesson.failed]
    if failed:
        console.print(f"failed: {', '.join(failed)}", markup=False, highlight=False, soft_wrap=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
