"""The site of the tour: Sphinx makes it of the executed notebooks, the texts in ``docs`` and the docstrings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Container, Iterable
from pathlib import Path

__all__ = ["build"]

DOCS = Path(__file__).resolve().parent.parent / "docs"
WORK = ".sphinx"
"""The folder in that of the site where the sources of its pages are put together."""


def build(out: Path, notebooks: Iterable[Path], texts: Path = DOCS) -> tuple[bool, str]:
    """Build the site.

    Args:
        out: its folder; ``index.html`` is its first page.
        notebooks: the executed notebooks, in the folder ``notebooks`` in ``out``.
        texts: a folder with the other pages.

    Returns:
        Whether all went well, and what Sphinx has to say. Warnings are errors, but the site is there all the same.
    """
    source = out / WORK / "source"
    lessons = {path.stem: path for path in notebooks}
    (source / "lessons").mkdir(parents=True, exist_ok=True)
    for old in [*(source / "lessons").glob("*"), *(out / "lessons").glob("*")]:
        if old.stem not in lessons:
            old.unlink()
    for suffix in ("md", "rst"):
        for path in texts.glob(f"*.{suffix}"):
            _write(source / path.name, path.read_text("utf-8"))
    for path in lessons.values():
        _write(source / "lessons" / path.name, _linked(path.read_text("utf-8"), lessons))
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "--jobs", "auto"]
    # what has not changed is not read again, but all is written: each page lists all lessons
    command += ["--write-all", "--conf-dir", str(DOCS), "--doctree-dir", str(out / WORK / "doctrees")]
    done = subprocess.run(
        [*command, str(source), str(out)], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    return done.returncode == 0, done.stdout + done.stderr


def _write(path: Path, text: str) -> None:
    """Write a file, unless it says this already: by its date Sphinx sees whether it has changed."""
    if not path.is_file() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def _linked(notebook: str, lessons: Container[str]) -> str:
    """A notebook whose text links to another lesson where it names the script of one: `05_rare_samples.py`."""

    def link(name: re.Match[str]) -> str:
        return f"[{name[0]}]({name[1]}.ipynb)" if name[1] in lessons else name[0]

    content = json.loads(notebook)
    for cell in content["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = re.sub(r"`(\d\d_\w+)\.py`", link, "".join(cell["source"]))
    return json.dumps(content)
