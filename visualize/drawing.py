"""A graph as a picture: nodes told apart by shape and colour, edges by the style of their line.

The gradient travels from the top to the bottom, and so do the arrows. The picture can be read without colours: the line
(solid, dashed, dotted, double) and its arrow head say what an edge carries, and the shape of a node what it is, which
is also written in it. Colours follow the palette of Okabe and Ito, which colour-blind readers can tell apart.

The DOT text can always be had. To turn it into a picture takes Graphviz: its program ``dot``, or the package
pygraphviz, whose wheels carry Graphviz inside.
"""

from __future__ import annotations

import contextlib
import html
import importlib
import os
import re
import shutil
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import graphviz  # type: ignore[import-untyped]

from visualize.names import Names, tensors_by_name
from visualize.reading import Edge, Graph, Node, between, ends_of, read_named
from visualize.text import KINDS, Text, tree
from visualize.values import show

__all__ = ["Drawing", "GraphvizNotFound", "draw"]

FONT = "Helvetica,Arial,sans-serif"
SUFFIXES = (".svg", ".png", ".pdf", ".dot", ".gv")
SMALL = 6
"""Values of at most so many elements are written out inside a node; of others, the shape is shown."""
REASON_WIDTH = 28
"""Characters a line of a reason on an edge."""
REASON_LINES = 5
"""A longer reason is cut short in the picture; the tooltip has all of it."""

INK, GREY, PALE = "#222222", "#767676", "#B8B8B8"
BLUE, VERMILION, PURPLE, YELLOW = "#0072B2", "#C04A00", "#9C3D7A", "#E0C200"

STOPPING = {"style": "filled", "fillcolor": "#FBE3D3", "color": VERMILION, "penwidth": "1.8", "margin": "0,0"}
NODE_STYLE: dict[str, dict[str, str]] = {
    "operation": {"shape": "box", "style": "rounded,filled", "fillcolor": "#F4F4F4", "color": "#555555"},
    "sampling": {"shape": "hexagon", **STOPPING},
    "flat": {"shape": "trapezium", **STOPPING},
    "leaf": {"shape": "box", "style": "filled", "fillcolor": "#DCEBF7", "color": BLUE, "penwidth": "2.4"},
    "noise": {"shape": "ellipse", "style": "filled", "fillcolor": "#FFF9D6", "color": YELLOW},
    "constant": {"shape": "plaintext", "width": "0.2", "height": "0.2", "margin": "0.04,0.04"},
    "cut": {"shape": "note", "style": "filled,dashed", "fillcolor": "#FFFFFF", "color": GREY},
}

EDGE_STYLE: dict[str, dict[str, str]] = {
    "live": {"color": INK, "penwidth": "1.6", "arrowhead": "normal"},
    "zero": {"color": VERMILION, "penwidth": "1.4", "style": "dashed", "arrowhead": "onormal"},
    "missing": {"color": GREY, "penwidth": "1.6", "style": "dotted", "arrowhead": "tee"},
    "surrogate": {"color": f"{PURPLE}:white:{PURPLE}", "penwidth": "1.2", "arrowhead": "normal"},
    "noise": {"color": GREY, "penwidth": "0.8", "arrowhead": "none"},
    "constant": {"color": GREY, "penwidth": "0.8", "arrowhead": "none"},
    # Behind a stop, by what still comes along:
    "zeros": {"color": VERMILION, "penwidth": "1.0", "style": "dashed", "arrowhead": "onormal"},
    "nothing": {"color": PALE, "penwidth": "1.0", "style": "dotted", "arrowhead": "onormal"},
}

LEGEND = {
    "live": "the gradient flows",
    "surrogate": "a gradient flows, but not the derivative of what was computed",
    "zero": "wired, but only zeros flow",
    "missing": "never wired: no gradient",
    "nothing": "no gradient comes this way, it stopped before",
    "noise": "needs no gradient",
}

LINES = {"live": "━━▶", "surrogate": "══▶", "zero": "╍╍▷", "missing": "┅┅┫", "nothing": "┄┄▷", "noise": "───"}
"""The lines of the legend, drawn in text."""


class GraphvizNotFound(RuntimeError):
    """A picture was asked for, and there is no Graphviz to lay it out."""

    def __init__(self) -> None:
        super().__init__(
            "Graphviz is needed to turn the graph into a picture, and neither its program `dot` nor the package "
            "pygraphviz was found. Install either:\n"
            '  pip install "tinygrad_rp[graphviz]"    (brings Graphviz along)\n'
            "  apt install graphviz    or    brew install graphviz\n"
            "The DOT text is there without it, as .source, and save() writes it to a file that ends in .dot; "
            "get_graph() shows the graph as text."
        )


class Drawing:
    """The picture of a graph. A notebook shows it; `save` writes it to a file.

    Args:
        source: the DOT text.
        text: the same graph as text, shown where there is no Graphviz.
    """

    def __init__(self, source: str, text: Text) -> None:
        self.source = source
        self.text = text

    def svg(self) -> str:
        """The picture as SVG.

        Raises:
            GraphvizNotFound: there is no Graphviz.
        """
        return _render(self.source, "svg").decode()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file, as a whole or not at all.

        Args:
            path: the file; its suffix says in which format: ``.svg``, ``.png``, ``.pdf``, or ``.dot`` or ``.gv`` for
                the DOT text, which needs no Graphviz.

        Returns:
            The path of the file.

        Raises:
            ValueError: the suffix is none of these.
            GraphvizNotFound: there is no Graphviz.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            raise ValueError(f"cannot save a drawing to {str(path)!r}: its suffix must be one of {', '.join(SUFFIXES)}")
        data = self.source.encode() if suffix in (".dot", ".gv") else _render(self.source, suffix[1:])
        if not path.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {path.parent} to save {path.name} in; make it before")
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)  # mkstemp lets only the owner read
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise
        return path

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        bundle = {"text/plain": str(self.text)}
        with contextlib.suppress(GraphvizNotFound):
            bundle["image/svg+xml"] = self.svg()
        return bundle

    def _repr_svg_(self) -> str | None:
        return self._repr_mimebundle_().get("image/svg+xml")

    def __repr__(self) -> str:
        return "<Drawing: .save('graph.svg') writes it to a file, .source is its DOT text, .text shows it as text>"


def draw(t: Any, names: Names = None, *, to: Any = None, prefix: str = "") -> Drawing:
    """Draw the graph of ``t``: where its gradient goes, where it stops, and why.

    Args:
        t: a tensor, or a node such as ``y.grad_fn``; of this engine or of PyTorch.
        names: what to call leaves, inner tensors and noise: ``{"mu": mu, "z": z}``; a module, for its parameters;
            ``"variables"``, for the variables of the caller; or a list of these.
        to: a tensor or node, or a list of them: only what lies between ``t`` and these is drawn.
        prefix: what the ids of nodes (``n0``) and edges (``e0_1``: input 1 of node 0) begin with, for a page with
            several pictures.

    Returns:
        The drawing. It is made at once: later changes of ``grad`` do not show in it.

    Raises:
        TypeError: ``t`` is neither a tensor nor a node, or ``names`` is nothing that has names.
        ValueError: ``t`` is a tensor without any graph, or no way leads from ``t`` to what ``to`` names.
    """
    graph = read_named(t, tensors_by_name(names, sys._getframe(1)))
    if to is not None:
        graph = between(graph, ends_of(graph, to))
    return picture(graph, prefix=prefix)


# -------------------------------------------------------------------------------------------------------------- the DOT


@dataclass(frozen=True, slots=True)
class Marks:
    """What to point out in a picture.

    Args:
        nodes: for some nodes, by number, a remark that is written under them, in a frame that stands out.
        edges: the edges of a path, by ``tail`` and ``slot``: drawn thick.
        others: what becomes of all that is not marked: ``"pale"`` or ``"plain"``.
    """

    nodes: Mapping[int, str] = field(default_factory=dict)
    edges: frozenset[tuple[int, int]] = frozenset()
    others: Literal["pale", "plain"] = "plain"


def picture(graph: Graph, *, prefix: str = "", marks: Marks | None = None) -> Drawing:
    """The picture of a graph that was read."""
    dot = frame([graph], prefix)
    body(dot, graph, prefix=prefix, marks=marks)
    return Drawing(str(dot.source), tree(graph))


def frame(graphs: Sequence[Graph], prefix: str = "") -> graphviz.Digraph:
    """The paper that graphs are drawn on, with a legend of the lines that occur in them."""
    dot = graphviz.Digraph("gradient")
    dot.attr("graph", rankdir="TB", nodesep="0.4", ranksep="0.45", pad="0.2", bgcolor="white", fontname=FONT)
    dot.attr("graph", label=_legend(graphs), labelloc="b", tooltip="gradient graph", id=f"{prefix}graph")
    dot.attr("node", fontname=FONT, fontsize="12", fontcolor=INK, margin="0.14,0.07")
    dot.attr("edge", fontname=FONT, fontsize="10", arrowsize="0.8")
    return dot


def body(dot: graphviz.Digraph, graph: Graph, *, prefix: str = "", marks: Marks | None = None) -> None:
    """Draw the nodes and edges of a graph on a paper, or on a part of it (``with dot.subgraph(…)``).

    Args:
        dot: what to draw on.
        graph: what to draw.
        prefix: what the names and ids of nodes (``n0``) and edges (``e0_1``: input 1 of node 0) begin with.
        marks: what to point out.
    """
    pale = {node.number for node in graph.nodes if node.receives == "nothing"}
    for node in graph.nodes:
        faint = node.number in pale
        style = NODE_STYLE[node.kind]
        if faint:
            style = style | {"color": PALE, "fontcolor": GREY, "fillcolor": "#FFFFFF", "penwidth": "1"}
        dot.node(
            f"{prefix}n{node.number}",
            label=_node_label(node, faint),
            id=f"{prefix}n{node.number}",
            **{"class": node.kind + {"gradient": "", "zeros": " starved", "nothing": " unreached"}[node.receives]},
            tooltip=_plain(_node_tooltip(node)),
            **style,
        )
    seen: dict[tuple[int, int], int] = {}
    for edge in graph.edges:
        # An input with several sources has several edges; they carry a further number.
        again = seen.get((edge.tail, edge.slot), 0)
        seen[edge.tail, edge.slot] = again + 1
        faint = edge.tail in pale
        style = EDGE_STYLE[_look(edge)] | ({"color": PALE} if faint else {})
        label, tooltip = _edge_label(edge, faint), _plain(_edge_tooltip(edge))
        dot.edge(
            f"{prefix}n{edge.tail}",
            f"{prefix}n{edge.head}",
            id=f"{prefix}e{edge.tail}_{edge.slot}" + (f"_{again}" if again else ""),
            **{"class": f"edge-{edge.kind}" + _carries(edge)},
            tooltip=tooltip,
            **({"label": label, "labeltooltip": tooltip} if label else {}),
            **style,
        )


def _carries(edge: Edge) -> str:
    return "" if edge.flow == "gradient" or edge.kind in ("noise", "constant") else f" carries-{edge.flow}"


def _look(edge: Edge) -> str:
    """Which line an edge gets: behind a stop, an edge that would be live shows what still comes along."""
    return edge.flow if edge.kind in ("live", "surrogate") and edge.flow != "gradient" else edge.kind


def _node_label(node: Node, faint: bool) -> str:
    names = ", ".join(node.names)
    value = "" if node.value is None else show(node.value, limit=SMALL)
    note = GREY if faint else VERMILION
    if node.kind == "leaf":
        lines = [_font(names or "leaf", bold=True, size=15), _font("leaf" if names else node.title, size=9, color=GREY)]
    elif node.kind in ("noise", "constant", "cut"):
        lines = [_font(names, bold=True)] if names else []
        if node.kind != "constant":
            lines.append(_font(f"{KINDS[node.kind]} {node.title}".strip(), size=10))
    else:
        lines = [_font(node.title, bold=True)]
        if node.kind != "operation":
            lines.append(_font(KINDS[node.kind], size=9, color=note))
        value = f"{names} = {value}" if names and value else names or value
    if value:
        lines.append(_font(value))
    if node.origin_name:
        lines.append(_font(f"from {node.origin_name}", size=10))
    return f"<{'<BR/>'.join(lines + _gradient_lines(node))}>"


def _gradient_lines(node: Node) -> list[str]:
    lines = []
    if node.gradient is not None:
        lines.append(_font(f"grad {show(node.gradient, limit=SMALL)}", bold=True, color=BLUE))
    elif node.kind == "leaf" and node.receives != "nothing":
        lines.append(_font("grad: none yet", size=10, color=GREY))
    if node.kind == "leaf" and node.receives != "gradient":
        text = "only zeros arrive" if node.receives == "zeros" else "no gradient arrives"
        lines.append(_font(text, size=10, bold=True, color=VERMILION))
    return lines


def _edge_label(edge: Edge, faint: bool) -> str:
    lines = []
    if edge.kind in ("zero", "missing", "surrogate"):
        head = {"zero": "0", "missing": edge.label or "not wired", "surrogate": "surrogate"}[edge.kind]
        color = GREY if faint else {"zero": VERMILION, "missing": "#555555", "surrogate": PURPLE}[edge.kind]
        reason = textwrap.wrap(edge.reason, REASON_WIDTH)
        if len(reason) > REASON_LINES:
            reason = [*reason[: REASON_LINES - 1], f"{reason[REASON_LINES - 1]} …"]
        lines = [_font(head, bold=True, size=12, color=color), *(_font(line, color=color) for line in reason)]
    elif edge.kind == "live" and edge.flow == "zeros":
        lines = [_font("0", bold=True, size=12, color=VERMILION)]
    if edge.output:
        lines.append(_font(f"output {edge.output}", color=GREY))
    if not lines:
        return ""
    cells = "".join(f'<TR><TD ALIGN="LEFT">{line}</TD></TR>' for line in lines)
    gap = f'<TR><TD ROWSPAN="{len(lines) + 1}" WIDTH="8"></TD></TR>'  # between the line and its label
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{gap}{cells}</TABLE>>'


def _node_tooltip(node: Node) -> str:
    lines = [f"#{node.number} {node.title}"]
    if node.names:
        lines.append(", ".join(node.names))
    if node.shape is not None:
        lines.append(f"shape {node.shape}" + (f", {node.dtype}" if node.dtype is not None else ""))
    lines += [f"saved {name}: {show(value)}" for name, value in node.saved.items() if value is not None]
    return "\n".join(lines)


def _edge_tooltip(edge: Edge) -> str:
    lines = [f"#{edge.tail}, input {edge.slot}, to #{edge.head}" + (f", output {edge.output}" if edge.output else "")]
    lines += [edge.reason] if edge.reason else []
    lines += [f"instead: {remedy}" for remedy in edge.remedies]
    return "\n".join(lines)


def _legend(graphs: Sequence[Graph]) -> str:
    """What the lines of these very graphs mean."""
    same = {"constant": "noise", "zeros": "zero"}
    looks, bright = set(), set()
    for graph in graphs:
        for edge in graph.edges:
            look = same.get(_look(edge), _look(edge))
            looks.add(look)
            if graph.nodes[edge.tail].receives != "nothing":
                bright.add(look)
    if not looks:
        return ""
    rows = []
    if looks - {"noise"}:
        direction = "Arrows go the way of the gradient: from the result, at the top, to the leaves."
        rows.append(_font(direction, size=10, color=GREY))
    for look, meaning in LEGEND.items():
        if look in looks:
            # As in the picture, where everything behind a missing edge is grey.
            color = EDGE_STYLE[look]["color"].split(":")[0] if look in bright else GREY
            rows.append(_font(LINES[look], size=10, color=color) + _font(f"   {meaning}", size=10, color=GREY))
    cells = "".join(f'<TR><TD ALIGN="LEFT">{row}</TD></TR>' for row in ["", *rows])
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{cells}</TABLE>>'


# ------------------------------------------------------------------------------------------------------------- escaping

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""What XML, and so an SVG, cannot hold."""


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", text)


def _font(text: str, *, bold: bool = False, size: int = 0, color: str = "") -> str:
    r"""Text of a user in an HTML-like label, where Graphviz reads tags, entities and, in what they leave, ``\N``."""
    escaped = html.escape(_clean(text)).replace("\\", "\\\\")
    escaped = "<BR/>".join(escaped.splitlines()) or " "
    if bold:
        escaped = f"<B>{escaped}</B>"
    attributes = (f' POINT-SIZE="{size}"' if size else "") + (f' COLOR="{color}"' if color else "")
    return f"<FONT{attributes}>{escaped}</FONT>" if attributes else escaped


def _plain(text: str) -> str:
    r"""Text of a user in a tooltip, where Graphviz reads ``&amp;``, then ``\n``, then ``\N``; both halve ``\\``."""
    return str(graphviz.nohtml(_clean(text).replace("&", "&amp;").replace("\\", 4 * "\\")))


# ------------------------------------------------------------------------------------------------------------ rendering


def _render(source: str, form: str) -> bytes:
    if form == "png":
        source = source.replace("{", "{\n\tgraph [dpi=144]", 1)  # twice as fine as a screen of old
    if shutil.which("dot") is not None:
        return bytes(graphviz.Source(source).pipe(format=form))
    try:
        pygraphviz = importlib.import_module("pygraphviz")
    except ImportError:
        raise GraphvizNotFound from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Graphviz says there which fonts it replaced
        return bytes(pygraphviz.AGraph(string=source).draw(format=form, prog="dot"))
