"""Write the table of all operations from their declarations: ``python docs/operations.py``.

It is written twice: for readers, to docs/operations.md, and for pictures, to visualize/formulas.json, where formulas are
found by the name of the node, which is PyTorch's too. What stands in the table is what runs: a derivative is shown as the
expression in the source that computes it.
"""

from __future__ import annotations

import ast
import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

from tinygrad_rp.graph import Stop
from tinygrad_rp.operation import OPERATIONS, SAME, Operation, argument_names

TARGET = Path(__file__).with_suffix(".md")
FORMULAS = Path(__file__).parent.parent / "visualize" / "formulas.json"
HEAD = """# All declared operations

Written by `python docs/operations.py` from the declarations in `tinygrad_rp/ops`; a test keeps it up to date.

A public function stands on one of these or on several (`cross_entropy` on `log_softmax` and `nll_loss`), and prepares their
arguments; a few serve only as derivatives of others (`put_at`, `cofactor`), and cannot be called by their name.

The *derivative* is the expression that the backward pass runs, with `g` for the gradient that arrives, `out` for the
result and `x_shape` for the shape of `x`; `x`, `y` and so on are the inputs in their order. Where an input was broadcast,
the engine sums the result down to its shape. *Smooth* says where the operation can be differentiated as often as you like
(the tests draw their numbers from there), and at which points it cannot. *Stops* says for which inputs no gradient
passes: along a `zero` edge zeros flow, a `missing` edge is not there; the numbers lead to the reasons at the end.
"""


@functools.cache
def functions_of(path: str) -> list[ast.Lambda | ast.FunctionDef]:
    tree = ast.parse(Path(path).read_text("utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Lambda | ast.FunctionDef)]


def definition(rule: Callable[..., Any]) -> ast.Lambda | ast.FunctionDef:
    """Where a rule is written: of several lambdas that begin in one line, the one that its code came from."""
    code: CodeType = rule.__code__
    begin = min(
        (line, column)
        for line, _, column, _ in code.co_positions()
        if line and column and (line, column) > (code.co_firstlineno, 0)
    )
    found = [
        node
        for node in functions_of(code.co_filename)
        if node.lineno == code.co_firstlineno and [a.arg for a in node.args.args] == list(argument_names(rule))
    ]
    return min(
        found, key=lambda node: abs(_body(node).col_offset - begin[1]) + 1000 * abs(_body(node).lineno - begin[0])
    )


def _body(node: ast.Lambda | ast.FunctionDef) -> ast.expr | ast.stmt:
    return node.body if isinstance(node, ast.Lambda) else node.body[0]


def shown(rule: Callable[..., Any]) -> str:
    """A rule as an expression."""
    if rule is SAME:
        return "g"
    node = definition(rule)
    if isinstance(node, ast.Lambda):
        return ast.unparse(node.body)
    last = node.body[-1]
    if len(node.body) == 1 and isinstance(last, ast.Return) and last.value is not None:
        return ast.unparse(last.value)
    return f"{node.name}({', '.join(argument_names(rule))})"


def code(text: str) -> str:
    return f"`{' '.join(text.split())}`".replace("|", "\\|")


def number(x: float) -> str:
    return "∞" if x == math.inf else "−∞" if x == -math.inf else f"{x:g}"


def smooth(op: Operation) -> str:
    if op.node is None or (op.stops and not op.derivatives):
        return ""
    intervals = [
        f"{x} in ({number(low)}, {number(high)})"
        for x, (low, high) in zip(op.inputs, op.domain, strict=False)
        if (low, high) != (-math.inf, math.inf)
    ]
    parts = [", ".join(intervals) or "everywhere"] + ([f"but for {op.kinks}"] if op.kinks else [])
    return ", ".join(parts).replace("|", "\\|")


def row(op: Operation, reasons: list[Stop]) -> str:
    parameters = argument_names(op.forward)[len(op.inputs) :] if op.source else ()
    call = f"{op.title}({', '.join((*op.inputs, *parameters))})"
    node = f"<br>{op.node.__name__}" if op.node is not None else ""
    derivatives = "<br>".join(f"{x}: {code(shown(rule))}" for x, rule in op.derivatives.items())
    stopped: dict[str, list[str]] = {}
    for x, stop in op.stops.items():
        if stop not in reasons:
            reasons.append(stop)
        stopped.setdefault(f"{stop.kind} ({reasons.index(stop) + 1})", []).append(x)
    stops = "<br>".join(f"{', '.join(names)}: {kind}" for kind, names in stopped.items())
    cells = (f"{code(call)}{node}", op.formula.replace("|", "\\|"), derivatives, smooth(op), stops)
    return "| " + " | ".join(cells) + " |"


def table() -> str:
    families: dict[str, list[Operation]] = {}
    for op in OPERATIONS.values():
        families.setdefault(op.family, []).append(op)
    lines, reasons = [HEAD], list[Stop]()
    for family in sorted(families):
        lines += [f"## {family}", "", "| operation | value | derivative | smooth | stops |", "|---|---|---|---|---|"]
        lines += [*(row(op, reasons) for op in families[family]), ""]
    lines += ["## Why no gradient passes", ""]
    for i, stop in enumerate(reasons, 1):
        lines += [f"{i}. {stop.reason}"]
        lines += [f"   - instead: {remedy}" for remedy in stop.remedies]
    return "\n".join(lines) + "\n"


def formulas() -> str:
    """The formulas of the operations that have a node, by the name of the node; one entry for each number of inputs."""
    found: dict[str, list[dict[str, Any]]] = {}
    for op in OPERATIONS.values():
        if op.node is None:
            continue
        derivatives = {x: " ".join(shown(rule).split()) for x, rule in op.derivatives.items()}
        entry = {"inputs": op.inputs, "value": op.formula, "derivatives": derivatives}
        entries = found.setdefault(op.node.__name__, [])
        if all(len(each["inputs"]) != len(op.inputs) for each in entries):
            entries.append(entry)
    lines = [f"{json.dumps(name)}: {json.dumps(found[name], ensure_ascii=False)}" for name in sorted(found)]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    TARGET.write_text(table(), "utf-8")
    FORMULAS.write_text(formulas(), "utf-8")
    print(f"{len(OPERATIONS)} operations written to {TARGET}")
