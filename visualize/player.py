"""A player: one page on which a computation runs forward, and its gradient backward, step by step.

A worked example. For ``y = w * x``, with w = 3 (a leaf) and x = 2 (a constant), `steps` tells::

    forward   #1 w              a leaf, 3
    forward   #2 constant       2
    forward   #0 MulBackward0   x · y, of 3 and 2: 6
    backward  #0 MulBackward0   the pass begins with 1; to w: 1 × local derivative 2 = 2
    backward  #1 w              2 arrives, and is added to w.grad
    end                         what the pass adds to each leaf

A step is data: a heading, and blocks of sentences and of rows (what it is, its value). What a block says is decided here; the
page, `player.html`, and `Player.text` only lay it out. The page is one file without anything from elsewhere: the template, the
picture as SVG, and the steps as JSON.

Where do local derivatives come from? A backward rule is linear in the gradient that arrives. So a small node is asked what it
makes of (1, 0, …), (0, 1, …) and so on, and these are the rows of its Jacobian. A rule of the user's is not asked again: it
may do other things as well.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from visualize import files
from visualize.drawing import GraphvizNotFound, picture
from visualize.following import WIRED, Pass, follow, was_freed
from visualize.formulas import Formula, formula
from visualize.names import Names, tensors_by_name
from visualize.reading import Edge, Graph, Node, declared, read_named
from visualize.text import KINDS, Text, tree
from visualize.values import array_of, count, show

__all__ = ["Player", "play"]

LARGEST = 1500
"""Nodes of the largest graph that is played."""
SMALL = 8
"""Local derivatives are computed where neither the output nor the input has more elements."""
LISTED = 12
"""So many ways are listed by which a gradient arrives."""
ROOM = 20
"""Characters of the longest value that is written beside an edge."""

Matrix = list[list[str]]
Rows = list[tuple[str, str | Matrix]]


@dataclass(slots=True)
class Block:
    """A part of what is said about a step.

    Args:
        title: what it is about: ``"Goes in"``; for a way on from the node, where it leads.
        text: sentences.
        rows: pairs of what it is and its value.
        look: for a way on from the node, the kind of its edge; ``"gone"`` where numbers are gone.
        remedies: what can be done instead.
    """

    title: str = ""
    text: str = ""
    rows: Rows = field(default_factory=list)
    look: str = ""
    remedies: tuple[str, ...] = ()


@dataclass(slots=True)
class Step:
    """One step.

    Args:
        phase: forward, backward, or the end.
        node: the number of the node; ``None`` at the end.
        title: the name of the node.
        about: what kind of node it is, and what the user calls it.
        formula: what it computes.
        blocks: what is said.
        arriving: ids of the edges along which something comes in, forward or backward, each with its value where that is
            short enough to be written beside the edge.
        leaving: backward, the same of the edges along which a gradient goes on, be it zeros.
        stopped: backward, ids of the edges at which the gradient stops.
    """

    phase: Literal["forward", "backward", "end"]
    node: int | None
    title: str
    about: str = ""
    formula: str = ""
    blocks: list[Block] = field(default_factory=list)
    arriving: dict[str, str] = field(default_factory=dict)
    leaving: dict[str, str] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)


class Player:
    """A graph to be stepped through. A notebook shows it; `save` writes it to a file that a browser opens.

    Args:
        html: the page.
        text: the same steps as text.
    """

    def __init__(self, html: str, text: Text) -> None:
        self.html = html
        self.text = text

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to a file, as a whole or not at all. It needs nothing but a browser: no network, no other file.

        Args:
            path: the file, which ends in ``.html``.

        Returns:
            The path of the file.

        Raises:
            ValueError: it has another suffix.
            FileNotFoundError: the folder is not there.
        """
        path = Path(path)
        if path.suffix.lower() != ".html":
            raise ValueError(f"cannot save a player to {str(path)!r}: its suffix must be .html")
        return files.write(path, self.html.encode())

    def _repr_html_(self) -> str:
        # A frame of its own: neither page can touch the other, and the ids of several players do not meet.
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" sandbox="allow-scripts" title="Player of a gradient" '
            'style="width: 100%; height: clamp(30rem, 85vh, 46rem); border: 1px solid #8888; border-radius: 6px"></iframe>'
        )

    def __repr__(self) -> str:
        return "<Player: .save('gradient.html') writes it to a file that a browser opens, .text has the steps as text>"


def play(t: Any, names: Names = None, *, gradient: Any = None, title: str = "") -> Player:
    """Make a page on which the graph of ``t`` runs step by step: its values forward, and its gradient backward.

    Nothing changes: no ``grad`` is written and nothing is freed. But the backward rules run once more, those of a
    ``Function`` of yours too.

    Args:
        t: a tensor, of this engine or of PyTorch.
        names: what to call leaves, inner tensors and noise: ``{"mu": mu, "z": z}``; a module, for its parameters;
            ``"variables"``, for the variables of the caller; or a list of these.
        gradient: what the backward pass begins with, in the shape of ``t``; ones by default.
        title: what stands over the page.

    Returns:
        The player. It is made at once: later changes of values or of ``grad`` do not show in it.

    Raises:
        TypeError: ``t`` is not a tensor, ``gradient`` is not one like ``t``, or ``names`` is nothing that has names.
        ValueError: ``t`` is a tensor without any graph, or its graph has more than 1,500 nodes, or ``gradient`` has
            another shape than ``t``.
    """
    if hasattr(t, "next_functions"):
        raise TypeError(
            f"t must be a tensor, not the node {type(t).__name__}: the pass begins with a tensor's shape. Give y rather than "
            "y.grad_fn"
        )
    graph = read_named(t, tensors_by_name(names, sys._getframe(1)))
    if len(graph.nodes) > LARGEST:
        raise ValueError(
            f"the graph of t has {len(graph.nodes):,} nodes, and a player shows at most {LARGEST:,}: nobody steps through more. "
            "Play a smaller case (fewer layers, fewer steps of the loop) or an inner tensor that lies nearer to the leaves; "
            "draw(t) folds large graphs"
        )
    told = steps(graph, t, _checked(gradient, t))
    title = title or f"The gradient of {', '.join(graph.nodes[0].names) or graph.nodes[0].title}, step by step"
    notices = list(_notices(graph, t, gradient, told))
    try:
        shown = _inline(picture(graph).svg())
    except GraphvizNotFound:
        shown = _tree(graph)
        notices.append(
            "There is no picture, since Graphviz was not found; the graph is shown as text. To see it drawn, install Graphviz: "
            'pip install "tinygrad_rp[graphviz]", or apt install graphviz, or brew install graphviz.'
        )
    return Player(_page(title, notices, shown, told), _text(title, notices, told))


def _checked(gradient: Any, t: Any) -> Any:
    if gradient is None:
        return None
    like = t.detach()
    if not isinstance(gradient, type(like)):
        raise TypeError(f"gradient must be a {type(like).__name__} as t is, not {type(gradient).__name__}")
    if tuple(gradient.shape) != tuple(t.shape):
        raise ValueError(
            f"gradient must have the shape of t, {tuple(t.shape)}, not {tuple(gradient.shape)}: it says for each "
            "element of t how much it counts"
        )
    return gradient.detach().to(t.dtype)


# ------------------------------------------------------------------------------------------------------------ the steps


def steps(graph: Graph, t: Any, gradient: Any = None) -> list[Step]:
    """All steps: forward from the leaves to the result, backward from the result to the leaves, and the end.

    Args:
        graph: what was read of ``t``; the whole, not a part.
        t: the tensor.
        gradient: what the backward pass begins with; ones by default.
    """
    story = _Story(graph, t, follow(graph, t, gradient), given=gradient is not None)
    forward = [story.forward(node) for node in _forward_order(graph)]
    backward = [story.backward(node) for node in graph.nodes if node.kind not in ("noise", "constant")]
    return [*forward, *backward, story.end()]


def _forward_order(graph: Graph) -> list[Node]:
    """Inputs before what is made from them, from left to right: as an expression is evaluated."""
    done: set[int] = set()
    order: list[Node] = []
    stack = [(graph.nodes[0], iter(graph.nodes[0].edges))]
    while stack:
        node, edges = stack[-1]
        edge = next(edges, None)
        if edge is None:
            order.append(node)
            stack.pop()
        elif edge.head not in done:
            done.add(edge.head)
            stack.append((graph.nodes[edge.head], iter(graph.nodes[edge.head].edges)))
    return order


class _Story:
    """Tells the steps of a graph. The backward steps must be told in the order of the nodes, since sums grow on the way."""

    def __init__(self, graph: Graph, t: Any, followed: Pass, given: bool) -> None:
        self.graph = graph
        self.t = t
        self.followed = followed
        self.given = given
        self.ids = {id(edge): name for name, edge in graph.edge_ids()}
        """The ids of edges in the picture, by the id of the edge."""
        self.into: list[list[Edge]] = [[] for _ in graph.nodes]
        self.unknown: set[int] = set()
        """Nodes at which not everything that arrives is known: it came through a node whose numbers are gone."""
        self.sums: dict[tuple[int, int], Any] = {}
        """What has arrived so far, by node and output."""
        for node in graph.nodes:
            lost = node.number in self.unknown or node.number in followed.failures
            for edge in node.edges:
                self.into[edge.head].append(edge)
                if lost and edge.kind in WIRED and edge.flow == "gradient":
                    self.unknown.add(edge.head)

    # ------------------------------------------------------------------------------------------------------- forward

    def forward(self, node: Node) -> Step:
        step = self._begin("forward", node)
        if node.kind in _ORIGINS:
            step.blocks.append(Block(text=_ORIGINS[node.kind].format(made=_made(node))))
            step.blocks.append(Block("Value", rows=[(_name(node) or "value", _value(node))]))
            return step
        text = {"sampling": _RANDOM, "flat": _FLAT}.get(node.kind, "")
        step.blocks.append(Block("Goes in", rows=self._inputs(node)))
        step.blocks.append(Block("Comes out", text, [(_name(node) or "result", _value(node))]))
        step.arriving = {self.ids[id(edge)]: _beside(_output_of(edge, self.graph)) for edge in node.edges}
        return step

    def _inputs(self, node: Node) -> Rows:
        known = _formula(node)
        rows: Rows = []
        for slot in range(_count_inputs(node)):
            edges = [edge for edge in node.edges if edge.slot == slot]
            rows.append((_input(known, slot), "; ".join(map(self._comes_in, edges)) or _NOT_KEPT))
        return rows + [(name, str(value)) for name, value in node.saved.items() if _is_parameter(name, value, known)]

    def _comes_in(self, edge: Edge) -> str:
        node = self.graph.nodes[edge.head]
        if edge.output:
            return f"output {edge.output} of {_called(node)}"  # what is known of the value is that of output 0
        said = f"{_called(node)} = {_value(node)}"
        if edge.kind in ("noise", "constant"):
            return said + (f", {_made(node)}" if node.names else "") + ", needs no gradient"
        cut = edge.kind == "missing" and node.kind != "cut"
        return said + (f", cut off by {edge.label or 'a step'}" if cut else "")

    # ------------------------------------------------------------------------------------------------------ backward

    def backward(self, node: Node) -> Step:
        step = self._begin("backward", node)
        step.blocks.append(self._arrives(node))
        step.arriving = {self.ids[id(edge)]: self._along(edge) for edge in self._ways_in(node)}
        if node.kind == "leaf":
            step.blocks.append(self._leaf(node))
            return step
        if self._nothing_arrives(node):
            return step
        failure = self.followed.failures.get(node.number)
        known, jacobians = _formula(node), self._jacobians(node) if failure is None else {}
        rows = self._inputs(node)
        if rows:
            step.blocks.append(Block("Went in, forward", rows=[*rows, ("out", _value(node))]))
        if failure is not None:
            step.blocks.append(self._gone(failure))
        told: list[Edge] = []
        for edge in node.edges:
            if edge.kind in ("noise", "constant"):
                continue
            step.blocks.append(self._way(edge, known, jacobians.get(edge.slot), told))
            told.append(edge)
            if edge.kind in ("zero", "missing"):
                step.stopped.append(self.ids[id(edge)])
            if self._carries(edge):
                step.leaving[self.ids[id(edge)]] = self._along(edge)
        return step

    def _ways_in(self, node: Node) -> list[Edge]:
        return [edge for edge in self.into[node.number] if self._carries(edge)]

    def _carries(self, edge: Edge) -> bool:
        """Whether something comes along an edge, be it zeros."""
        return edge.kind in WIRED and (self.followed.along(edge) is not None or edge.flow == "zeros")

    def _along(self, edge: Edge) -> str:
        """What comes along an edge, as it is written beside it."""
        if edge.flow == "zeros" or _vanishes(self.followed.along(edge)):
            return "0"
        lost = edge.tail in self.unknown or edge.tail in self.followed.failures
        return "?" if lost else _beside(self.followed.along(edge))

    def _nothing_arrives(self, node: Node) -> bool:
        return not (
            self.followed.arrived[node.number]
            or node.number in self.unknown
            or node.receives == "zeros"
            or not node.number
        )

    def _arrives(self, node: Node) -> Block:
        if not node.number:
            return self._begins(node)
        if node.number in self.unknown:
            return Block(
                "Arrives", "What arrives here is not known, since the numbers of a node before are gone.", look="gone"
            )
        arrived = self.followed.arrived[node.number]
        if self._nothing_arrives(node):
            rows: Rows = [(self._from(edge), self._why_nothing(edge)) for edge in self.into[node.number][:LISTED]]
            return Block("Nothing arrives", "The gradient never comes to this node, and nothing goes on from it.", rows)
        if not arrived:
            return Block("Arrives", "Only zeros can arrive here: the gradient stopped before.", [("arrives", "0")])
        ways = [edge for edge in self._ways_in(node) if self.followed.along(edge) is not None]
        rows = [(self._from(edge), _shown(self.followed.along(edge))) for edge in ways[:LISTED]]
        if len(ways) > LISTED:
            rows.append((f"and {len(ways) - LISTED} more", "…"))
        text = ""
        if len(ways) > 1 or len(arrived) > 1:
            text = f"{len(ways)} gradients arrive, and are added: {_name(node) or 'this value'} acts on the result by each way."
            rows += [(f"sum{_of_output(node, output)}", _shown(arrived[output])) for output in sorted(arrived)]
        return Block("Arrives", text, rows)

    def _begins(self, node: Node) -> Block:
        begin = self.followed.at(node, self.graph.output)
        if self.given:
            text = "The backward pass begins here, with the gradient that was given to play()."
        elif count(self.t) == 1:
            text = "The backward pass begins here, with 1: the derivative of the result by itself."
        else:
            text = (
                f"The backward pass begins here. The result has {count(self.t)} elements, so it begins with ones, as if their "
                "sum were the result. backward() alone would ask you for a gradient."
            )
        return Block("Begins", text, [("gradient", _shown(begin))])

    def _from(self, edge: Edge) -> str:
        return f"from {_called(self.graph.nodes[edge.tail])}" + (f", to output {edge.output}" if edge.output else "")

    def _why_nothing(self, edge: Edge) -> str:
        if edge.kind == "missing":
            return f"not wired: {_reason(edge)}"
        if self._nothing_arrives(self.graph.nodes[edge.tail]):
            return "nothing arrived there either"
        return "hands on nothing"

    def _leaf(self, node: Node) -> Block:
        name = _grad(node)
        before = None if node.gradient is None else _shown(node.gradient)
        if node.number in self.unknown:
            return Block(f"Added to {name}", "How much is not known.")
        if self._nothing_arrives(node):
            return Block(name, f"{name} stays {'None' if before is None else before}.")
        added = self.followed.at(node)
        goes = "0" if added is None else _shown(added)
        stop = " It is 0 because the gradient stopped on the way, at a zero edge." if node.receives == "zeros" else ""
        if before is None:
            text = f"A leaf keeps what arrives: backward() writes it to {name}, which was None.{stop}"
            return Block(f"Added to {name}", text, [(name, goes)])
        text = f"A leaf keeps what arrives: backward() adds it to {name}, which held a gradient when the player was made.{stop}"
        rows: Rows = [("held", before), ("is added", goes)]
        if added is not None:
            rows.append(("will be", _shown(node.gradient + added)))
        return Block(f"Added to {name}", text, rows)

    def _gone(self, failure: str) -> Block:
        if was_freed(failure):
            text = "What this node had saved for its rule was freed by an earlier backward(). So what it hands on is not known."
            return Block("The numbers are gone", text, look="gone", remedies=_instead_of_freeing(self.graph))
        return Block("This node cannot say what it hands on", failure, look="gone")

    def _way(
        self, edge: Edge, known: Formula | None, jacobian: np.ndarray[Any, Any] | None, told: Sequence[Edge]
    ) -> Block:
        """What goes on along one edge."""
        head, tail, slot = self.graph.nodes[edge.head], self.graph.nodes[edge.tail], _input(known, edge.slot)
        block = Block(f"To {_called(head)}" + (f", output {edge.output}" if edge.output else "") + f", from {slot}")
        block.look = "zeros" if edge.kind == "live" and edge.flow == "zeros" else edge.kind
        if edge.kind != "live":
            same = next((e for e in told if (e.kind, e.label, e.reason) == (edge.kind, edge.label, edge.reason)), None)
            block.text = f"Why: as for {_called(self.graph.nodes[same.head])}." if same else _reason(edge)
            block.remedies = () if same else edge.remedies
        unknown = tail.number in self.unknown or tail.number in self.followed.failures
        arrived = "not known" if tail.number in self.unknown else self._summed_up(tail)
        if edge.kind == "missing":
            block.rows += [("arrives", arrived), ("goes on", "nothing")]
            return block
        passed = self.followed.along(edge)
        if edge.kind == "zero":
            block.rows += [("arrives", arrived), ("goes on", "0, whatever arrives")]
        elif unknown:
            block.rows.append(("goes on", "0" if edge.flow == "zeros" else "not known"))
        elif passed is None:
            block.rows.append(("goes on", "nothing: the rule handed on None" if edge.flow == "gradient" else "0"))
        else:
            if edge.kind == "live" and known is not None and slot in known.rules:
                block.rows.append(("rule", f"{known.rules[slot]}, where g is what arrived"))
            block.rows += self._product(tail, jacobian, passed)
            if edge.kind == "live" and _vanishes(passed) and not _vanishes(self.followed.at(tail)):
                block.text = "The local derivative is 0 at these very numbers, so 0 goes on."
        if passed is not None and not unknown:
            block.rows.append(("added", self._added(edge, head, passed)))
        return block

    def _summed_up(self, node: Node) -> str:
        arrived = self.followed.arrived[node.number]
        return _shown(next(iter(arrived.values()))) if len(arrived) == 1 else "0" if not arrived else "see above"

    def _product(self, node: Node, jacobian: np.ndarray[Any, Any] | None, passed: Any) -> Rows:
        """The local derivative, and that times what arrived."""
        result = _shown(passed)
        if jacobian is None:
            return [("goes on", result)]
        ((_, g),) = self.followed.arrived[node.number].items()
        rows, columns = jacobian.shape
        arrived, shape, out_shape = _shown(g), tuple(passed.shape), tuple(g.shape)
        if rows == columns and not np.any(jacobian - np.diag(np.diag(jacobian))):
            local = show((np.diag(jacobian) + 0.0).reshape(shape))
            note = ", element by element" if rows > 1 else ""
            return [("local derivative", local), ("times what arrived", f"{arrived} × {local} = {result}{note}")]
        if rows == 1:
            local = show((jacobian[0] + 0.0).reshape(shape))
            return [("local derivative", local), ("times what arrived", f"{arrived} × {local} = {result}")]
        if columns == 1:
            local = show((jacobian[:, 0] + 0.0).reshape(out_shape))
            return [
                ("local derivative", local),
                (
                    "times what arrived",
                    f"sum of {arrived} × {local} = {result}, since one input acts on {rows} elements",
                ),
            ]
        matrix = [[f"{each + 0.0:.4g}" for each in row] for row in jacobian]
        return [
            ("local derivative", matrix),
            ("", "One row an element of the output, one column an element of the input."),
            ("times what arrived", f"{arrived} · matrix = {result}"),
        ]

    def _added(self, edge: Edge, head: Node, passed: Any) -> str:
        """Where a gradient is added; and, where several ways meet, the sum as it grows."""
        key = (edge.head, edge.output)
        before = self.sums.get(key)
        self.sums[key] = passed if before is None else before + passed
        place = f"to {_grad(head)}" if head.kind == "leaf" else f"to what arrives at {_called(head)}"
        if edge.head in self.unknown:
            return f"{place}, where other ways meet whose numbers are gone"
        if before is not None:
            return f"{place}: so far {_shown(before)}, now + {_shown(passed)} = {_shown(self.sums[key])}"
        later = sum(e is not edge and e.output == edge.output for e in self._ways_in(head))
        if later:
            return f"{place}, where {later} more way{'s meet' if later > 1 else ' meets'} it"
        return place if head.kind == "leaf" else f"{place}; no other way leads there"

    def _jacobians(self, node: Node) -> dict[int, np.ndarray[Any, Any]]:
        """The local derivatives of a small node by its inputs, by slot: one row an element of the output."""
        arrived = self.followed.arrived[node.number]
        if len(arrived) != 1 or not callable(node.item) or not getattr(node.item, "pure", True):
            return {}  # nothing, or several gradients, arrived, or the rule is the user's
        ((output, g),) = arrived.items()
        small = [
            edge
            for edge in node.edges
            if edge.kind == "live" and (passed := self.followed.along(edge)) is not None and _is_small(passed)
        ]
        if not small or not _is_small(g):
            return {}
        # The node by itself, with stand-ins for what its edges lead to
        alone = Graph(
            [replace(node, number=0, edges=[replace(e, tail=0, head=i) for i, e in enumerate(small, 1)])], output
        )
        alone.nodes += [replace(self.graph.nodes[e.head], number=i, edges=[]) for i, e in enumerate(small, 1)]
        rows: dict[int, list[Any]] = {edge.slot: [] for edge in small}
        for place in np.ndindex(tuple(g.shape)):
            unit = g.detach().clone().fill_(0)
            unit[place] = 1
            asked = follow(alone, g, unit)
            for edge in small:
                row = array_of(asked.passed.get((0, edge.slot)))
                if row is None:
                    return {}
                rows[edge.slot].append(row.ravel())
        return {
            edge.slot: jacobian
            for edge in small
            if _explains(jacobian := np.stack(rows[edge.slot]), g, self.followed.along(edge))
        }

    # ------------------------------------------------------------------------------------------------------- the end

    def end(self) -> Step:
        rows: Rows = []
        for node in self.graph.nodes:
            if node.kind != "leaf":
                continue
            added = self.followed.at(node)
            if node.number in self.unknown:
                said = "not known"
            elif self._nothing_arrives(node):
                said = "nothing"
            else:
                said = ("0" if added is None else _shown(added)) + (
                    ", by zero edges alone" if node.receives == "zeros" else ""
                )
            rows.append((_grad(node), said))
        text = (
            "The pass is over. This is what backward() adds to the leaves."
            if rows
            else "The pass is over. There is no leaf to keep a gradient."
        )
        return Step("end", None, "The end", blocks=[Block("Gradients", text, rows)])

    def _begin(self, phase: Literal["forward", "backward"], node: Node) -> Step:
        known = _formula(node)
        kind = _made(node) if node.kind in ("noise", "cut") else KINDS.get(node.kind, "operation")
        if node.kind in _ORIGINS:
            return Step(phase, node.number, _name(node) or kind, kind if node.names else "")
        parts = [kind, *([f"its output is {_name(node)}"] if node.names else [])]
        return Step(phase, node.number, node.title, ", ".join(parts), known.value if known is not None else "")


# ------------------------------------------------------------------------------------------------- what things are called

_ORIGINS = {
    "leaf": "A leaf: a tensor that was made with requires_grad=True, not computed. The gradient is wanted for it.",
    "noise": "Random numbers ({made}). They depend on no parameter, so they need no gradient.",
    "constant": "A constant. Nobody wants a gradient for it, so none is computed.",
    "cut": "A value with its history cut off ({made}). It goes on as a constant would: no gradient can pass.",
}
_RANDOM = (
    "A random draw: the inputs say from which distribution. The number itself is chance, so no derivative leads back."
)
_FLAT = "A flat step: if an input moves a little, the result does not move at all, almost everywhere."
_NOT_KEPT = "nothing is wired here: a constant, a value without history, or an input that was left out"


def _made(node: Node) -> str:
    return f"{KINDS[node.kind]} {node.title}".strip() if node.kind != "constant" else "constant"


def _name(node: Node) -> str:
    return ", ".join(node.names)


def _called(node: Node) -> str:
    name = _name(node)
    what = _made(node) if node.kind in ("noise", "constant", "cut") else "leaf" if node.kind == "leaf" else node.title
    return f"#{node.number} {name or what}"


def _grad(leaf: Node) -> str:
    return f"{_name(leaf)}.grad" if len(leaf.names) == 1 else f"the .grad of {_called(leaf)}"


def _of_output(node: Node, output: int) -> str:
    return f" for output {output}" if output or (declared(node.item, "outputs") or 1) > 1 else ""


def _reason(edge: Edge) -> str:
    reason = edge.reason or "it was not recorded."
    label = "" if not edge.label or reason.startswith(edge.label) else f"{edge.label}: "
    return ("This is not the derivative of what was computed. " if edge.kind == "surrogate" else "") + label + reason


def _value(node: Node) -> str:
    if node.value is not None:
        return show(node.value, limit=SMALL)
    return f"shape {node.shape}, numbers not kept" if node.shape is not None else "not kept"


def _output_of(edge: Edge, graph: Graph) -> Any:
    """The value that goes into an operation along an edge, where it is known."""
    return None if edge.output else graph.nodes[edge.head].value


def _beside(value: Any) -> str:
    """A value as it is written beside an edge: nothing, where it would take too much room."""
    text = "" if value is None else _shown(value)
    return text if len(text) <= ROOM else ""


def _shown(g: Any) -> str:
    """A gradient, without the sign of zeros, which says nothing here."""
    array = array_of(g)
    return show(g if array is None else array + array.dtype.type(0), limit=SMALL)


def _count_inputs(node: Node) -> int:
    return len(getattr(node.item, "next_functions", ())) or 1 + max((edge.slot for edge in node.edges), default=-1)


def _input(known: Formula | None, slot: int) -> str:
    return known.inputs[slot] if known is not None else f"input {slot}"


def _formula(node: Node) -> Formula | None:
    known = formula(node.title, _count_inputs(node)) if node.item is not None else None
    # PyTorch's x + alpha · y is a node of the same name as x + y
    scaled = known is not None and "α" not in known.value and node.saved.get("alpha", 1) != 1
    return None if scaled else known


def _is_parameter(name: str, value: Any, known: Formula | None) -> bool:
    """Whether something that a node saved is a number that it was called with, and not an input."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 2**62:
        return False  # PyTorch keeps a dimension of -1 as 2**64 - 1
    inputs = {"input", "other", "result", *(known.inputs if known is not None else ())}
    return name not in inputs and not (name == "alpha" and value == 1 and "α" not in (known.value if known else ""))


def _is_small(g: Any) -> bool:
    array = array_of(g)
    return array is not None and 0 < array.size <= SMALL and array.dtype.kind == "f"


def _vanishes(g: Any) -> bool:
    array = array_of(g)
    return array is not None and array.size > 0 and not array.any()


def _explains(jacobian: np.ndarray[Any, Any], g: Any, passed: Any) -> bool:
    """Whether a Jacobian gives what was handed on. Not so where a rule is not linear, or has infinite numbers in it."""
    arrived, handed = array_of(g), array_of(passed)
    if arrived is None or handed is None or not np.isfinite(jacobian).all():
        return False
    off = np.abs(arrived.ravel() @ jacobian - handed.ravel())
    return bool(
        (off <= 1e-3 * (np.abs(arrived.ravel()) @ np.abs(jacobian))).all()
    )  # summands may cancel but for rounding


def _instead_of_freeing(graph: Graph) -> tuple[str, ...]:
    name = next(iter(graph.nodes[0].names), "y")
    return (
        f"call play({name}, …) before {name}.backward()",
        f"or keep what was saved: {name}.backward(retain_graph=True)",
    )


# ------------------------------------------------------------------------------------------------------------- the page


def _notices(graph: Graph, t: Any, gradient: Any, told: Sequence[Step]) -> Iterator[str]:
    gone = [step for step in told for block in step.blocks if block.title == "The numbers are gone"]
    if gone:
        nodes = ", ".join(f"#{step.node} {step.title}" for step in gone[:3]) + " and others" * (len(gone) > 3)
        remedies = ", ".join(_instead_of_freeing(graph))
        yield (
            f"Numbers are gone: an earlier backward() freed what {nodes} had saved. All steps are here, but the gradients from "
            f"there on are not known. To see them, {remedies}."
        )
    if count(t) != 1 and gradient is None:
        yield f"The result has {count(t)} elements: the backward pass begins with ones, as if their sum were the result."
    if not getattr(t, "requires_grad", True):
        yield "The result has no history of its own, so that backward() would raise an error."


def _text(title: str, notices: Sequence[str], told: Sequence[Step]) -> Text:
    """The steps as text."""
    lines = [title, *notices]
    for i, step in enumerate(told, 1):
        heading = step.title if step.node is None else f"{step.phase}: #{step.node} {step.title}"
        lines += ["", ", ".join(part for part in (f"{i}. {heading}", step.about) if part)]
        lines += [f"   {step.formula}"] * bool(step.formula)
        for block in step.blocks:
            lines += [f"   {each}" for each in (block.title and f"{block.title}:", block.text) if each]
            for label, value in block.rows:
                said = value if isinstance(value, str) else "; ".join(" ".join(row) for row in value)
                lines.append(f"     {label}: {said}" if label else f"     {said}")
            lines += [f"     instead: {remedy}" for remedy in block.remedies]
    return Text("\n".join(_one_line(line) for line in lines))


def _one_line(text: str) -> str:
    """Text that may hold a user's line breaks, in one line, as far to the right as it was."""
    return text[: len(text) - len(text.lstrip(" "))] + " ".join(text.split())


def _page(title: str, notices: Sequence[str], shown: str, told: Sequence[Step]) -> str:
    template, script_hash = _template()
    data = json.dumps({"notices": notices, "steps": [_as_json(step) for step in told]}, separators=(",", ":"))
    parts = {
        "title": html.escape(title.encode("utf-8", "replace").decode()),  # half a surrogate pair cannot be written
        "script_hash": script_hash,
        "picture": shown,
        "data": data.replace("<", "\\u003c"),  # so that nothing in it ends the element
    }
    # in one go, so that what stands for one part is not looked for in another
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


@functools.cache
def _template() -> tuple[str, str]:
    """The template, and the hash of its script, which alone may run on the page."""
    template = Path(__file__).with_suffix(".html").read_text("utf-8")
    script = template.partition("<script>")[2].partition("</script>")[0]
    return template, base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _as_json(step: Step) -> dict[str, Any]:
    data = _filled(step, Step.__slots__)
    data["blocks"] = [_filled(block, Block.__slots__) for block in step.blocks]
    return data


def _filled(item: Any, names: Iterable[str]) -> dict[str, Any]:
    """The fields that say something: a large graph has thousands that do not."""
    return {name: value for name in names if (value := getattr(item, name)) not in ("", None, [], {}, ())}


def _inline(svg: str) -> str:
    """An SVG as a part of a page: without what only a file begins with."""
    return svg[svg.index("<svg") :]


_HEADING = re.compile(r"(?:[│ ]*[├└](?:───|─≈─|─0─|─x─|╌╌╌|─·─) )?#(\d+) (?!.*, (?:see there|continued below)$)")
"""The line of the text tree that stands for a node, where it is told for the first time."""


def _tree(graph: Graph) -> str:
    """The graph as text, one element a node, with the ids that nodes have in the picture."""
    lines, seen = [], set[str]()
    for line in tree(graph).encode("utf-8", "replace").decode().split("\n"):
        found = _HEADING.match(line)
        if found is not None and found[1] not in seen:
            seen.add(found[1])
            lines.append(f'<span id="n{found[1]}" class="node">{html.escape(line)}</span>')
        else:
            lines.append(html.escape(line))
    return '<pre class="tree">' + "\n".join(lines) + "</pre>"
