"""A graph as a tree of text, from the result down to the leaves: the way the gradient travels.

A worked example, of ``z = torch.normal(mu, std); z2 = z**2``::

    #0 <PowBackward0>  z2 = [1104]
    └─── #1 <NormalBackward0>  random draw, z = [33.23]
         ├─0─ #2 <AccumulateGrad>  leaf mu = [12]
         │      stops here: A random draw is not a differentiable function of its parameters.
         │      instead: reparameterise: eps = torch.randn_like(std); z = eps * std + mu
         │      gradient: [0], and only zeros can arrive
         …

    ───  a gradient flows
    ─0─  wired, but only zeros flow

It is as deep as the graph only up to a point; what lies deeper is continued below (``DEPTH``).
"""

from __future__ import annotations

import sys
import textwrap
from collections import deque
from collections.abc import Mapping
from typing import Any

from visualize.names import Names, tensors_by_name
from visualize.reading import Edge, Graph, Node, between, ends_of, read_named
from visualize.values import show

__all__ = ["Text", "get_graph", "heading", "tree"]

DEPTH = 24
"""A subtree that is deeper is continued below, at the left: lines as long as the graph is deep cannot be read, and
would take memory that is quadratic in the depth."""

LEGEND = {
    "───": "a gradient flows",
    "─≈─": "a gradient flows, but not the derivative of what was computed",
    "─0─": "wired, but only zeros flow",
    "─x─": "not wired: no gradient flows",
    "╌╌╌": "no gradient comes this way: it stopped before",
    "─·─": "needs no gradient",
}

KINDS = {
    "sampling": "random draw",
    "flat": "flat step",
    "leaf": "leaf",
    "noise": "",
    "constant": "constant",
    "cut": "cut off by",
    "folded": "folded",
}


class Text(str):
    """A string that a console and a notebook show as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def get_graph(t: Any, names: Names = None, *, to: Any = None) -> Text:
    """Show the graph of ``t`` as text: where its gradient goes, where it stops, and why.

    Args:
        t: a tensor, or a node such as ``y.grad_fn``; of this engine or of PyTorch.
        names: what to call leaves, inner tensors and noise: ``{"mu": mu, "z": z}``; a module, for its parameters;
            ``"variables"``, for the variables of the caller; or a list of these.
        to: a tensor or node, or a list of them: only what lies between ``t`` and these is shown.

    Returns:
        A tree, one node a line, with what is known about it. It prints, and a console or notebook shows it as it is.

    Raises:
        TypeError: ``t`` is neither a tensor nor a node, or ``names`` is nothing that has names.
        ValueError: ``t`` is a tensor without any graph, or no way leads from ``t`` to what ``to`` names.
    """
    graph = read_named(t, tensors_by_name(names, sys._getframe(1)))
    return tree(graph if to is None else between(graph, ends_of(graph, to)))


def tree(graph: Graph) -> Text:
    """The text of a graph that was read."""
    nodes = {node.number: node for node in graph.nodes}  # a graph that was folded has gaps in its numbers
    lines: list[str] = []
    marks: set[str] = set()
    shown: set[int] = set()
    begin_at = deque([0])
    while begin_at:
        number = begin_at.popleft()
        if lines:
            lines += ["", f"continued from #{number} above:"]
        # One entry for each line to come: a node, the edge to it, what stands before it, and what below; and its depth.
        stack: list[tuple[Node, Edge | None, str, str, int]] = [(nodes[number], None, "", "", 0)]
        while stack:
            node, edge, first, below, depth = stack.pop()
            if edge is not None:
                marks.add(_mark(edge))
            again = node.number in shown
            deep = not again and depth == DEPTH and bool(node.edges)
            shown.add(node.number)
            suffix = ", see there" if again else ", continued below" if deep else ""
            lines.append(first + heading(node, edge) + suffix)
            details = _why(nodes, edge) + ([] if again or deep else _gradient(node) + _left_out(node))
            children = [] if again or deep else node.edges
            lines += [f"{below}{'│ ' if children else '  '} {detail}" for detail in details]
            if deep:
                shown.discard(node.number)
                begin_at.append(node.number)
            for i in reversed(range(len(children))):
                last = i == len(children) - 1
                start = below + ("└" if last else "├") + _mark(children[i]) + " "
                beside = below + ("     " if last else "│    ")
                stack.append((nodes[children[i].head], children[i], start, beside, depth + 1))
    if marks - {"───"}:
        lines += ["", *(f"{mark}  {meaning}" for mark, meaning in LEGEND.items() if mark in marks)]
    return Text("\n".join(lines))


def heading(node: Node, edge: Edge | None = None) -> str:
    """One line that says what a node is: number, operation, kind, name and value."""
    if node.kind == "folded":
        return f"#{node.number} … #{node.members[-1]} folded: {'; '.join((node.title, *node.contents))}"
    if node.kind in ("noise", "constant", "cut"):
        title = node.title if node.kind != "constant" else ""
        parts = [f"#{node.number} " + f"{KINDS[node.kind]} {title}".strip()]
    else:
        parts = [f"#{node.number} <{_line(node.title)}>"]
    if edge is not None and edge.output:
        parts[0] += f" output {edge.output}"
    said = [KINDS[node.kind]] if node.kind in ("sampling", "flat", "leaf") else []
    names = ", ".join(_line(name) for name in node.names)
    if edge is not None and edge.output:
        pass  # name, value and shape are those of output 0
    elif node.value is not None:
        value = show(node.value)
        said.append(f"{names} = {value}" if names else f"value {value}" if not value.startswith("shape") else value)
    else:
        said += [names] if names else []
        said += [f"shape {node.shape}"] if node.shape is not None else []
    if node.kind == "leaf" and names:
        said[:2] = [" ".join(said[:2])]
    if node.kind == "cut" and node.origin_name:
        said.append(f"from {node.origin_name}")
    return "  ".join([*parts, *([", ".join(said)] if said else [])])


def _line(text: str) -> str:
    """Text of a user in one line."""
    return " ".join(text.split())


def _mark(edge: Edge) -> str:
    if edge.kind in ("noise", "constant"):
        return "─·─"
    if edge.kind == "missing":
        return "─x─"
    return {"gradient": "─≈─" if edge.kind == "surrogate" else "───", "zeros": "─0─", "nothing": "╌╌╌"}[edge.flow]


def _why(nodes: Mapping[int, Node], edge: Edge | None) -> list[str]:
    if edge is None or not (edge.reason or edge.kind == "missing"):
        return []
    for earlier in nodes[edge.tail].edges:
        if earlier is edge:
            break
        if (earlier.kind, earlier.label, earlier.reason) == (edge.kind, edge.label, edge.reason):
            return [f"why: as for #{earlier.head}"]
    label = "" if edge.reason.startswith(edge.label) else f"{_line(edge.label)}: "
    lines = [f"why: {label}{_line(edge.reason)}", *(f"instead: {_line(remedy)}" for remedy in edge.remedies)]
    return [
        part for line in lines for part in textwrap.wrap(line, 84, subsequent_indent="     ", break_long_words=False)
    ]


def _gradient(node: Node) -> list[str]:
    if node.gradient is None and node.kind != "leaf":
        return []
    text = "none yet" if node.gradient is None else show(node.gradient)
    if node.kind == "leaf" and node.receives == "nothing":
        text = f"{'none' if node.gradient is None else text}, and nothing arrives from here"
    elif node.kind == "leaf" and node.receives == "zeros":
        text += ", and only zeros can arrive from here"
    return [f"gradient: {text}"]


def _left_out(node: Node) -> list[str]:
    return [f"not shown: {node.hidden} more input{'s' * (node.hidden > 1)}"] if node.hidden else []
