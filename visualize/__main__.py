"""The command: run a script and show the graph of one of its variables.

::

    python -m visualize train.py:loss                       the graph as text
    python -m visualize train.py:loss -o graph.svg          as a picture (.svg, .png, .pdf, .dot, .gv)
    python -m visualize train.py:loss -o steps.html         as a page that goes through both passes step by step
    python -m visualize train.py:loss --explain mu          why the gradient of mu is what it is
    python -m visualize train.py:naive --compare pathwise   two graphs side by side

The script runs as ``python train.py`` would run it. What it prints goes where it always goes; of the command itself, only text
that was asked for goes to standard output, and all else to standard error. The status is 0; 1 where the script failed,
or what it gave to ``sys.exit``; 2 where something that the command was given is wrong.
"""

from __future__ import annotations

import argparse
import ast
import io
import os
import sys
import traceback
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from visualize import files
from visualize.comparing import compare
from visualize.drawing import SUFFIXES, THEMES, draw
from visualize.explaining import explain
from visualize.names import tensors_by_name
from visualize.player import play
from visualize.reading import read
from visualize.text import get_graph

__all__ = ["main"]

SHOWN = 12
"""So many tensors are listed where one was not found."""

OPTIONS = {
    "picture": {"to", "heat", "fold", "theme"},
    "text": {"to"},
    "player": set(),
    "explanation": set(),
    "comparison": {"theme"},
}
"""Which options go with what is asked for."""


class _Wrong(Exception):
    """Something that the command was given is wrong; the message says what, and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: what stands behind ``python -m visualize``.

    Returns:
        The status to exit with.

    Raises:
        SystemExit: the arguments cannot be understood, or the script exits with a status that is not 0.
    """
    asked = _parser().parse_args(arguments)
    folder = Path.cwd()  # the script may go to another
    try:
        _check(asked)
        script, _, variable = asked.target.rpartition(":")
        namespace = _run(Path(script))
        if namespace is None:
            return 1
        return _show(asked, variable, _Script(script, namespace), folder)
    except BrokenPipeError:  # who reads our text has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (_Wrong, OSError) as error:
        print(f"visualize: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m visualize",
        description="Run a script and show the graph of one of its variables: where its gradient goes, where it stops, and why.",
    )
    parser.add_argument(
        "target",
        metavar="SCRIPT:VARIABLE",
        help="the script, and the tensor in it: train.py:loss, train.py:model.loss, 'train.py:losses[0]'",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"the file to write: a picture ({', '.join(SUFFIXES)}), a page to step through (.html), or text (.txt). "
        "Without it, the text is printed",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--explain",
        metavar="NAME",
        nargs="?",
        const="",
        help="say why the gradient of the variable NAME is what it is; without NAME, of all leaves",
    )
    what.add_argument("--compare", metavar="OTHER", help="compare with another variable of the script")
    parser.add_argument("--to", metavar="NAME", help="show only what lies between the two variables")
    parser.add_argument(
        "--heat", action="store_true", default=None, help="draw edges as thick as the gradient is large"
    )
    parser.add_argument(
        "--fold",
        action=argparse.BooleanOptionalAction,
        help="draw what repeats in a large graph as one box, or all of it",
    )
    parser.add_argument("--theme", choices=THEMES, help="the colours of a picture")
    return parser


def _check(asked: argparse.Namespace) -> None:
    """Look at the arguments before the script runs, which may take long."""
    script = asked.target.rpartition(":")[0] if ":" in asked.target else asked.target
    if not Path(script).is_file():
        raise _Wrong(f"there is no script {script!r}. Write SCRIPT:VARIABLE, such as train.py:loss")
    if script == asked.target:
        raise _Wrong(f"which variable of {script}? Write {script}:VARIABLE, such as {script}:loss")
    suffix = Path(asked.output).suffix.lower() if asked.output else ".txt"
    if suffix not in (*SUFFIXES, ".html", ".txt"):
        raise _Wrong(
            f"cannot write {asked.output!r}: its suffix must be one of {', '.join(SUFFIXES)}, .html (to step through) or .txt"
        )
    if asked.output and not Path(asked.output).parent.is_dir():
        raise _Wrong(
            f"there is no folder {Path(asked.output).parent} to write {Path(asked.output).name} in; make it before"
        )
    if asked.explain is not None or asked.compare is not None:
        what = "explanation" if asked.explain is not None else "comparison"
        if suffix == ".html":
            raise _Wrong(f"a player (.html) shows one graph, and no {what}: write a picture, such as .svg, instead")
    else:
        what = {".html": "player", ".txt": "text"}.get(suffix, "picture")
    for option in ("to", "heat", "fold", "theme"):
        if getattr(asked, option) is not None and option not in OPTIONS[what]:
            fitting = " or ".join(f"a {each}" for each, options in OPTIONS.items() if option in options)
            raise _Wrong(f"--{option} does not go with {'an' if what[0] == 'e' else 'a'} {what}: it is for {fitting}")


# --------------------------------------------------------------------------------------------------------- the script


def _run(script: Path) -> dict[str, Any] | None:
    """Run a script as Python does; its variables, or ``None`` where it failed, which is shown as Python does."""
    path = script.resolve()
    with io.open_code(str(path)) as file:
        source = file.read()
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=str(path), __builtins__=__builtins__, __cached__=None)
    sys.modules["__main__"] = module
    sys.path.insert(0, str(path.parent))
    sys.argv = [str(script)]
    try:
        exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
    except BaseException as error:
        frames = error.__traceback__
        traceback.print_exception(error.with_traceback(frames and frames.tb_next))  # the first frame is this one
        return None
    return module.__dict__


class _Script:
    """The variables of a script that ran."""

    def __init__(self, path: str, namespace: Mapping[str, Any]) -> None:
        self.path, self.namespace = path, namespace
        self.names: dict[str, Any] = {}
        for name, value in namespace.items():
            if not name.startswith("_"):
                try:
                    self.names |= tensors_by_name({name: value})
                except TypeError:  # it holds no tensors
                    continue

    def tensor(self, variable: str) -> Any:
        """The value of ``loss``, ``model.loss`` or ``losses[0]``."""
        try:
            value = self.value(ast.parse(variable.strip(), mode="eval").body)
        except SyntaxError:
            raise _Wrong(
                f"{variable!r} is no variable: write a name, with attributes or indices, such as model.loss or losses[0]"
            ) from None
        except (AttributeError, LookupError, TypeError) as error:
            why = f"{type(error).__name__}: {error}" if not isinstance(error, _NoName) else "no such name"
            raise _Wrong(f"{self.path} has no {variable} ({why}). {self.known()}") from None
        if not hasattr(value, "requires_grad") and not hasattr(value, "next_functions"):
            raise _Wrong(f"{variable} of {self.path} is no tensor but of type {type(value).__name__}. {self.known()}")
        return value

    def value(self, expression: ast.expr) -> Any:
        match expression:
            case ast.Name(id=name):
                if name not in self.namespace:
                    raise _NoName(name)
                return self.namespace[name]
            case ast.Attribute(value=inner, attr=name):
                return getattr(self.value(inner), name)
            case ast.Subscript(value=inner, slice=index):
                try:
                    return self.value(inner)[ast.literal_eval(index)]
                except ValueError:
                    raise SyntaxError from None
            case _:
                raise SyntaxError

    def known(self) -> str:
        """What could have been asked for, in a sentence."""
        graphs = [name for name, t in self.names.items() if getattr(t, "grad_fn", None) is not None]
        if not graphs:
            return "It has no tensor with a graph: nothing was computed from a tensor with requires_grad=True"
        more = f" and {len(graphs) - SHOWN} more" if len(graphs) > SHOWN else ""
        return f"Its tensors with a graph: {', '.join(graphs[:SHOWN])}{more}"


class _NoName(LookupError):
    """The script has no variable of this name."""


# --------------------------------------------------------------------------------------------------- what is shown of it


def _show(asked: argparse.Namespace, variable: str, script: _Script, folder: Path) -> int:
    t = script.tensor(variable)
    other = script.tensor(asked.compare) if asked.compare is not None else None
    parameter = script.tensor(asked.explain) if asked.explain else None
    to = script.tensor(asked.to) if asked.to is not None else None
    names, output = script.names, asked.output and folder / asked.output
    options = {option: getattr(asked, option) for option in ("heat", "fold", "theme")}
    options = {option: value for option, value in options.items() if value is not None}
    is_text = not output or output.suffix.lower() == ".txt"
    shown: Any
    try:
        if to is not None and read(t, names).find(to) is None:
            raise ValueError(f"no way leads from it to {asked.to}, which --to names")
        counts = [len(read(t, names, to=to).nodes)]
        if asked.compare is not None:
            shown = compare(t, other, names, titles=(variable, asked.compare))
            counts.append(len(shown.b.graph.nodes))
        elif asked.explain is not None:
            shown = explain(t, parameter, names)
        elif is_text:
            shown = get_graph(t, names, to=to)
        elif output.suffix.lower() == ".html":
            shown = play(t, names)
        else:
            shown = draw(t, names, to=to, **options)
        if not output:
            print(shown, flush=True)
            return 0
        if is_text:
            files.write(output, f"{shown}\n".encode())
        elif asked.compare is not None or asked.explain is not None:
            shown.draw(**options).save(output)
        else:
            shown.save(output)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _Wrong(f"{variable} of {script.path}: {error}") from error
    print(f"{asked.output}: {' and '.join(map(str, counts))} node{'s' * (counts != [1])}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
