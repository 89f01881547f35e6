"""A lesson becomes a notebook: jupytext reads the script, nbclient runs it in a kernel of its own."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jupytext  # type: ignore[import-untyped]
import nbformat
import numpy as np
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

__all__ = ["LIMIT", "kept", "read", "run", "traceback_of"]

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "tutorials"
DATA = HERE / "data"
"""What lessons read, if there is anything."""
LIMIT = 300
"""Seconds after which a lesson is given up."""
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def read(path: Path) -> Any:
    """The notebook of a script, not yet run."""
    notebook = jupytext.read(path, fmt="py:percent")
    # the identifiers of cells are drawn at random otherwise, and the site would change with each run
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL})  # type: ignore[no-untyped-call]
    return notebook


def run(path: Path, limit: float = LIMIT, ran: Callable[[], None] = lambda: None) -> Any:
    """Run a lesson until its end, or until a cell fails.

    Args:
        path: the script.
        limit: seconds after which it is given up.
        ran: called each time that a cell of code has run.

    Returns:
        The notebook, with outputs. Its metadata ``tour`` say of the run: ``script``, the ``key`` of what it depends on,
        ``seconds`` and ``failure``, which is empty unless it failed.
    """
    notebook = read(path)
    begin = time.monotonic()
    running: list[Any] = []
    client = NotebookClient(
        notebook,
        timeout_func=lambda cell: max(1, round(begin + limit - time.monotonic())),
        shell_timeout_interval=1,
        shutdown_kernel="immediate",
        extra_arguments=["--log-level=ERROR"],
        kernel_name=KERNEL["name"],
        resources={"metadata": {"path": str(path.resolve().parent)}},
        on_cell_start=lambda cell, cell_index: running.append(cell),
        on_cell_executed=lambda cell, cell_index, execute_reply: ran(),
    )
    failure = ""
    try:
        with tempfile.TemporaryDirectory() as settings:  # of IPython: not the user's own
            client.execute(env=_environment() | {"IPYTHONDIR": settings})
    except CellExecutionError as error:
        failure = f"{error.ename}: {error.evalue}"
    except CellTimeoutError:
        failure = _fail(running[-1], "TimeoutError", f"the lesson was given up after {limit:g} seconds")
    except DeadKernelError:
        failure = _fail(running[-1], "DeadKernelError", "this cell ended the process that ran the lesson")
    script = path.resolve()
    notebook.metadata["tour"] = {
        "script": str(script.relative_to(ROOT) if script.is_relative_to(ROOT) else script),
        "key": key(path),
        "seconds": time.monotonic() - begin,
        "failure": failure,
    }
    return notebook


def _environment() -> dict[str, str]:
    """Where the kernel finds the engine and what the lessons share, wherever a lesson lies."""
    places = [str(HERE), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, places)),
        "MATPLOTLIBRC": str(HERE / "matplotlibrc"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def _fail(cell: Any, name: str, words: str) -> str:
    """Note under a cell why it did not end, as if it had raised an error."""
    said = f"{name}: {words}"
    cell.outputs.append(nbformat.v4.new_output("error", ename=name, evalue=words, traceback=[said]))  # type: ignore[no-untyped-call]
    return said


def traceback_of(notebook: Any) -> str:
    """What Python said of the failure of a lesson, without colours."""
    errors = (out for cell in notebook.cells for out in cell.get("outputs", ()) if out.output_type == "error")
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(line for error in errors for line in error.traceback))


# ----------------------------------------------------------------------------------------------- what need not run again


def key(path: Path) -> str:
    """A hash of all that the outputs of a lesson depend on."""
    return hashlib.sha256(path.read_bytes() + _key_of_the_packages()).hexdigest()


@functools.cache
def _key_of_the_packages() -> bytes:
    parts = [platform.python_version(), np.__version__]
    for folder in (ROOT / "tinygrad_rp", ROOT / "visualize"):
        parts += [p.read_text("utf-8") for p in sorted(folder.rglob("*")) if p.suffix in (".py", ".html", ".json")]
    parts += [(HERE / name).read_text("utf-8") for name in ("lesson.py", "running.py", "matplotlibrc")]
    return "\0".join(parts).encode() + b"\0".join(p.read_bytes() for p in sorted(DATA.rglob("*")) if p.is_file())


def kept(path: Path, notebook: Path) -> Any:
    """The notebook of an earlier run of a lesson that did not fail, where nothing has changed since; else ``None``."""
    if not notebook.is_file():
        return None
    earlier = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    told = earlier.metadata.get("tour", {})
    return earlier if told.get("key") == key(path) and not told["failure"] else None
