"""A lesson as a list of cells, and a run of it that keeps what each cell printed and drew.

A lesson is a script in the percent form: a line ``# %%`` begins a cell of code, ``# %% [markdown]`` one of text, as
comments. Run as a program, this module runs one lesson, cell by cell, in one namespace, as a notebook would::

    python cells.py 01_gaussian.py results.jsonl

and writes one line of JSON for each cell as soon as it has run, so that nothing is lost if a later one ends the
process.
"""

from __future__ import annotations

import contextlib
import io
import json
import linecache
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["Cell", "run", "split"]

MARKER = re.compile(r"# %%(?P<rest>.*)")


@dataclass
class Cell:
    """A piece of a lesson: markdown, or code together with the number of its first line in the file, from 1."""

    kind: Literal["markdown", "code"]
    text: str
    line: int


def split(source: str) -> list[Cell]:
    """The cells of a lesson, in order; empty ones are left out."""
    cells = []
    kind: Literal["markdown", "code"] = "code"
    first, lines = 1, list[str]()
    for number, line in enumerate([*source.split("\n"), "# %%"], start=1):
        marker = MARKER.fullmatch(line)
        if marker is None:
            lines.append(line)
            continue
        if kind == "markdown":
            # the comment sign and one space go; what is indented further stays so
            lines = [re.sub(r"^# ?", "", each) for each in lines]
        while lines and not lines[0].strip():
            del lines[0]
            first += 1
        if any(each.strip() for each in lines):
            cells.append(Cell(kind, "\n".join(lines).rstrip(), first))
        kind = "markdown" if "[markdown]" in marker["rest"] else "code"
        first, lines = number + 1, []
    return cells


def run(path: Path, results: Path) -> bool:
    """Run the code cells of a lesson until one fails.

    Args:
        path: the lesson.
        results: where to write, for each code cell that ran, a line of JSON with ``output`` (what it printed, errors
            included), ``pictures`` (pairs of file name and the same as text) and ``failed``.

    Returns:
        Whether all cells ran without an error.
    """
    path = path.resolve()
    names: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
    with results.open("w", encoding="utf-8") as file:
        for cell in split(path.read_text(encoding="utf-8")):
            if cell.kind == "markdown":
                continue
            lesson = sys.modules.get("lesson")  # the lesson itself imports it, in its first cell
            before = len(lesson.shown) if lesson else 0
            printed = io.StringIO()
            failed = False
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                try:
                    # empty lines in front, so that a traceback names the line of the file
                    exec(compile("\n" * (cell.line - 1) + cell.text, str(path), "exec", dont_inherit=True), names)
                except (Exception, SystemExit) as error:
                    failed = True
                    linecache.checkcache(str(path))
                    error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next  # not this function
                    traceback.print_exception(error)
            lesson = sys.modules.get("lesson")
            pictures = [(each.path.name, each.text) for each in lesson.shown[before:]] if lesson else []
            file.write(json.dumps({"output": printed.getvalue(), "pictures": pictures, "failed": failed}) + "\n")
            file.flush()
            if failed:
                return False
    return True


if __name__ == "__main__":
    # the lessons' helpers lie here, wherever the lesson itself lies
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(0 if run(Path(sys.argv[1]), Path(sys.argv[2])) else 1)
