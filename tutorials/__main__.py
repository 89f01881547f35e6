"""The tour: run every lesson, and build a site of them. ``python -m tutorials`` from the checkout.

Each lesson is a file ``NN_name.py`` beside this one; adding a lesson is adding a file. Each runs in a kernel of its own.
One that fails is shown on the site with its failure, the others run all the same, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

try:
    import nbformat
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from tutorials import building, running
except ModuleNotFoundError as missing:
    sys.exit(
        f'the tour needs the package {missing.name}: pip install "tinygrad_rp[tour]" (a lesson by itself does not)'
    )

AT_ONCE = 2
"""How many lessons run at the same time."""


def lessons() -> list[Path]:
    """The scripts of the lessons, in order."""
    return sorted(running.HERE.glob("[0-9][0-9]_*.py"))


def save(notebook: Any, out: Path, name: str) -> Path:
    """Write a notebook into the folder of the site, with what it needs beside it."""
    folder = out / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    for needed in ("lesson.py", "matplotlibrc"):
        shutil.copy2(running.HERE / needed, folder)
    if running.DATA.is_dir():
        shutil.copytree(running.DATA, folder / "data", dirs_exist_ok=True)
    nbformat.write(notebook, folder / f"{name}.ipynb")  # type: ignore[no-untyped-call]
    return folder / f"{name}.ipynb"


def options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tutorials", description="Run the lessons and build a site of them."
    )
    parser.add_argument("lessons", nargs="*", type=Path, help="scripts to run (default: all numbered lessons)")
    parser.add_argument(
        "--out", type=Path, default=Path("build/tour"), help="the folder of the site (default: build/tour)"
    )
    parser.add_argument("--no-site", action="store_true", help="run the lessons, and build no site of them")
    parser.add_argument(
        "--force", action="store_true", help="run also the lessons that have not changed since they ran"
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=running.LIMIT,
        metavar="SECONDS",
        help=f"after so many seconds, a lesson is given up (default: {running.LIMIT})",
    )
    found = parser.parse_args(arguments)
    found.lessons = found.lessons or lessons()
    for path in found.lessons:
        if not path.is_file():
            parser.error(f"there is no lesson {path}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the tour.

    Returns:
        0, or 1 where a lesson failed or the site could not be built without a warning.
    """
    asked = options(arguments)
    out = asked.out.resolve()
    console = Console(soft_wrap=True, highlight=False, markup=False)
    notebooks = {path: out / "notebooks" / f"{path.stem}.ipynb" for path in asked.lessons}

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    failed = []
    with (
        Progress(*columns, console=console, transient=True) as progress,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        whole = progress.add_task("lessons", total=len(notebooks))

        def run(path: Path) -> Any:
            earlier = None if asked.force else running.kept(path, notebooks[path])
            if earlier is not None:
                return earlier, "as before"
            cells = sum(cell.cell_type == "code" for cell in running.read(path).cells)
            task = progress.add_task(path.stem, total=cells)
            notebook = running.run(path, asked.limit, lambda: progress.advance(task))
            save(notebook, out, path.stem)
            progress.remove_task(task)
            return notebook, "FAILED" if notebook.metadata["tour"]["failure"] else "ok"

        started = {pool.submit(run, path): path for path in notebooks}
        try:
            for done in as_completed(started):
                path = started[done]
                notebook, state = done.result()
                progress.advance(whole)
                console.print(f"{state:9}  {path.stem:32}  {notebook.metadata['tour']['seconds']:5.1f} s")
                if state == "FAILED":
                    failed.append(path.name)
                    console.print(running.traceback_of(notebook))
        except KeyboardInterrupt:
            progress.stop()
            os._exit(130)  # at once: the pool would wait for its lessons, whose kernels end when this process has ended

    built = True
    if not asked.no_site:
        with console.status("building the site"):
            built, said = building.build(out, notebooks.values())
        if not built:
            console.print(f"Sphinx, of the site:\n{said}")
        console.print(f"the tour: {out / 'index.html'}")
    if failed:
        console.print(f"failed: {', '.join(sorted(failed))}")
    return 0 if built and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
