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
import itertools
import math
import os
import re
import shutil
import sys
import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import graphviz  # type: ignore[import-untyped]

from visualize.files import write
from visualize.folding import LIMIT
from visualize.folding import fold as _fold
from visualize.following import follow, was_freed
from visualize.formulas import formula
from visualize.names import Names, tensors_by_name
from visualize.reading import Edge, Graph, Node, between, ends_of, read_named
from visualize.scopes import Scope, place
from visualize.text import KINDS, Text, tree
from visualize.values import show, summary

__all__ = ["Drawing", "GraphvizNotFound", "draw"]

FONT = "Helvetica,Arial,sans-serif"
Theme = Literal["auto", "light", "dark"]
SUFFIXES = (".svg", ".png", ".pdf", ".dot", ".gv")
SMALL = 6
"""Values of at most so many elements are written out inside a node; of others, the shape is shown."""
REASON_WIDTH = 28
"""Characters a line of a reason on an edge."""
REASON_LINES = 5
"""A longer reason is cut short in the picture; the tooltip has all of it."""

# The colour of each role, on paper and on a dark page. Two roles never share a colour on paper, so that a dark page can tell
# by the colour what it is.
COLORS: dict[str, tuple[str, str]] = {
    "paper": ("#FFFFFF", "#17181A"),
    "ink": ("#222222", "#E8E8E4"),
    "grey": ("#636363", "#A9A9A4"),
    "pale": ("#B8B8B8", "#5C5F63"),
    "outline": ("#555555", "#8F9295"),
    "box": ("#F4F4F4", "#26282B"),
    "blue": ("#0072B2", "#62B6EE"),
    "leaf": ("#DCEBF7", "#12304A"),
    "vermilion": ("#C04A00", "#FF9A5C"),
    "stop": ("#FBE3D3", "#43240F"),
    "purple": ("#9C3D7A", "#E38CC2"),
    "yellow": ("#C7AA00", "#B79E00"),
    "noise": ("#FFF9D6", "#36310F"),
    "scope": ("#FAFAFA", "#1D1F21"),
    "heat1": ("#A8B6C8", "#5B6B80"),
    "heat2": ("#7C98C4", "#6689B8"),
    "heat3": ("#4E79B6", "#7FA9DC"),
    "heat4": ("#28589C", "#A9CBF2"),
    "heat5": ("#12386F", "#D6E8FF"),
}

INK, GREY, PALE, BLUE, VERMILION, PURPLE = (
    COLORS[role][0] for role in ("ink", "grey", "pale", "blue", "vermilion", "purple")
)


def _painted(style: Mapping[str, str]) -> dict[str, str]:
    """A style with the colours of its roles, on paper."""
    return {
        key: ":".join(COLORS[role][0] for role in value.split(":")) if key.endswith("color") else value
        for key, value in style.items()
    }


STOPPING = {"style": "filled", "fillcolor": "stop", "color": "vermilion", "penwidth": "1.8", "margin": "0,0"}
NODE_STYLE: dict[str, dict[str, str]] = {
    "operation": {"shape": "box", "style": "rounded,filled", "fillcolor": "box", "color": "outline"},
    "sampling": {"shape": "hexagon", **STOPPING},
    "flat": {"shape": "trapezium", **STOPPING},
    "leaf": {"shape": "box", "style": "filled", "fillcolor": "leaf", "color": "blue", "penwidth": "2.4"},
    "noise": {"shape": "ellipse", "style": "filled", "fillcolor": "noise", "color": "yellow"},
    "constant": {"shape": "plaintext", "width": "0.2", "height": "0.2", "margin": "0.04,0.04"},
    "cut": {"shape": "note", "style": "filled,dashed", "fillcolor": "paper", "color": "grey"},
    "folded": {"shape": "box3d", "style": "filled", "fillcolor": "box", "color": "outline", "margin": "0.2,0.1"},
}

EDGE_STYLE: dict[str, dict[str, str]] = {
    "live": {"color": "ink", "penwidth": "1.6", "arrowhead": "normal"},
    "zero": {"color": "vermilion", "penwidth": "1.4", "style": "dashed", "arrowhead": "onormal"},
    "missing": {"color": "grey", "penwidth": "1.6", "style": "dotted", "arrowhead": "tee"},
    "surrogate": {"color": "purple:paper:purple", "penwidth": "1.2", "arrowhead": "normal"},
    "noise": {"color": "grey", "penwidth": "0.8", "arrowhead": "none"},
    "constant": {"color": "grey", "penwidth": "0.8", "arrowhead": "none"},
    # Behind a stop, by what still comes along:
    "zeros": {"color": "vermilion", "penwidth": "1.0", "style": "dashed", "arrowhead": "onormal"},
    "nothing": {"color": "pale", "penwidth": "1.0", "style": "dotted", "arrowhead": "onormal"},
}
FAINT = {"color": "pale", "fontcolor": "grey", "fillcolor": "paper", "penwidth": "1"}
MARKED = {"color": "ink", "penwidth": "3", "peripheries": "2"}
NODE_STYLE, EDGE_STYLE = (
    {kind: _painted(style) for kind, style in styles.items()} for styles in (NODE_STYLE, EDGE_STYLE)
)
FAINT, MARKED = _painted(FAINT), _painted(MARKED)
THEMES = ("auto", "light", "dark")

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
        theme: ``"auto"``: an SVG is light or dark as the reader's page is, all else is light; or always ``"light"`` or
            ``"dark"``.
    """

    def __init__(self, source: str, text: Text, theme: Theme = "auto") -> None:
        if theme not in THEMES:
            raise ValueError(f"theme must be one of {', '.join(map(repr, THEMES))}, not {theme!r}")
        self.source = _darkened(source) if theme == "dark" else source
        self.text = text
        self.theme = theme

    def svg(self) -> str:
        """The picture as SVG.

        Raises:
            GraphvizNotFound: there is no Graphviz.
        """
        text = _render(self.source, "svg").decode()
        return _with_dark_colors(text) if self.theme == "auto" else text

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
        if suffix in (".dot", ".gv"):
            data = self.source.encode()
        else:
            data = self.svg().encode() if suffix == ".svg" else _render(self.source, suffix[1:])
        return write(path, data)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        bundle = {"text/plain": str(self.text)}
        with contextlib.suppress(GraphvizNotFound):
            bundle["image/svg+xml"] = self.svg()
        return bundle

    def _repr_svg_(self) -> str | None:
        return self._repr_mimebundle_().get("image/svg+xml")

    def __repr__(self) -> str:
        return "<Drawing: .save('graph.svg') writes it to a file, .source is its DOT text, .text shows it as text>"


def draw(
    t: Any,
    names: Names = None,
    *,
    to: Any = None,
    scopes: Scope | Sequence[Scope] = (),
    fold: bool | int = True,
    unfold: Any = (),
    heat: bool = False,
    theme: Theme = "auto",
    prefix: str = "",
) -> Drawing:
    """Draw the graph of ``t``: where its gradient goes, where it stops, and why.

    Args:
        t: a tensor, or a node such as ``y.grad_fn``; of this engine or of PyTorch.
        names: what to call leaves, inner tensors and noise: ``{"mu": mu, "z": z}``; a module, for its parameters;
            ``"variables"``, for the variables of the caller; or a list of these.
        to: a tensor or node, or a list of them: only what lies between ``t`` and these is drawn.
        scopes: a part of the program, or several, from `scope` or `module_scopes`: each is a frame around its operations.
        fold: whether a graph of more than 100 nodes is folded: what repeats, and scopes, become boxes; or a number of nodes
            to take the place of 100. ``False`` draws all, which takes long for thousands of nodes.
        unfold: what is to be seen nevertheless: numbers of nodes (a box names those inside it; `get_graph` shows them),
            or tensors.
        heat: whether to run the backward pass once more (without changing any ``grad``) and to write on each edge the norm
            of the gradient that goes along it; the thicker the line, the larger.
        theme: ``"auto"``: an SVG is light or dark as the reader's page is, all else is light; or ``"light"``, ``"dark"``.
        prefix: what the ids of nodes (``n0``) and edges (``e0_1``: input 1 of node 0) begin with, for a page with
            several pictures.

    Returns:
        The drawing. It is made at once: later changes of ``grad`` do not show in it.

    Raises:
        TypeError: ``t`` is neither a tensor nor a node, ``names`` is nothing that has names, or, for ``heat``, ``t`` is a node.
        ValueError: ``t`` is a tensor without any graph, no way leads from ``t`` to what ``to`` or ``unfold`` names, or
            ``theme``, ``fold`` or ``prefix`` is not one of those that there are.
        RuntimeError: for ``heat``: what nodes had saved was freed by an earlier backward pass, or a rule raised an error.
    """
    if not isinstance(fold, int) or (fold is not True and fold is not False and fold < 1):
        raise ValueError(f"fold must be True, False or a number of nodes from 1, not {fold!r}")
    scopes = [scopes] if isinstance(scopes, Scope) else scopes
    graph = read_named(t, tensors_by_name(names, sys._getframe(1)))
    if heat:
        _measure(graph, t)
    if to is not None:
        graph = between(graph, ends_of(graph, to))
    paths = {number: tuple(scopes[i].name for i in inside) for number, inside in place(graph, scopes).items()}
    visible = {_number(graph, each) for each in (unfold if isinstance(unfold, list | tuple | set) else [unfold])}
    if fold is not False:
        graph = _fold(graph, limit=LIMIT if fold is True else fold, unfold=visible, scopes=paths)
    return picture(graph, paths=paths, theme=theme, prefix=prefix)


def _number(graph: Graph, each: Any) -> int:
    """The number of a node, or of the node of a tensor."""
    if isinstance(each, int) and not isinstance(each, bool):
        if not 0 <= each < len(graph.nodes):
            raise ValueError(f"unfold: there is no node #{each}; the graph has the nodes #0 to #{len(graph.nodes) - 1}")
        return each
    node = graph.find(each)
    if node is None:
        raise ValueError(f"unfold must name numbers of nodes, or tensors in the graph, and {each!r:.60} is neither")
    return node.number


def _measure(graph: Graph, t: Any) -> None:
    """Note on each edge how large the gradient is that goes along it."""
    followed = follow(graph, t)
    if followed.failures:
        number, why = next(iter(followed.failures.items()))
        failed = f"#{number} {graph.nodes[number].title}"
        if not was_freed(why):
            raise RuntimeError(
                f"heat=True runs the backward pass once more, and {failed} does not say what it hands on: {why}"
            )
        raise RuntimeError(
            f"heat=True needs what the nodes saved, and {failed} has it no more: {why} Draw before backward(), or call "
            "backward(retain_graph=True)."
        )
    for edge in graph.edges:
        found = summary(followed.along(edge))
        if found is not None and edge.kind in ("live", "zero", "surrogate"):
            edge.size = math.nan if found.nans else math.inf if found.infinite else found.norm


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


Paths = Mapping[int, tuple[str, ...]]
"""For nodes that belong to scopes, by number, the names of these, the outermost first."""


def picture(
    graph: Graph, *, paths: Paths | None = None, theme: Theme = "auto", prefix: str = "", marks: Marks | None = None
) -> Drawing:
    """The picture of a graph that was read."""
    dot = frame([graph], prefix)
    body(dot, graph, paths=paths, prefix=prefix, marks=marks)
    return Drawing(str(dot.source), tree(graph), theme)


def frame(graphs: Sequence[Graph], prefix: str = "") -> graphviz.Digraph:
    """The paper that graphs are drawn on, with a legend of the lines that occur in them."""
    if not re.fullmatch(r"([A-Za-z_][\w.-]*)?", prefix, re.ASCII):
        raise ValueError(
            f"prefix must be a letter and then letters, digits, '-', '_' or '.', so that ids are valid; not {prefix!r}"
        )
    dot = graphviz.Digraph("gradient")
    dot.attr("graph", rankdir="TB", nodesep="0.4", ranksep="0.45", pad="0.2", bgcolor=COLORS["paper"][0], fontname=FONT)
    dot.attr("graph", label=_legend(graphs), labelloc="b", tooltip="gradient graph", id=f"{prefix}graph")
    dot.attr("node", fontname=FONT, fontsize="12", fontcolor=INK, margin="0.14,0.07")
    dot.attr("edge", fontname=FONT, fontsize="10", arrowsize="0.8")
    return dot


def body(
    dot: graphviz.Digraph, graph: Graph, *, paths: Paths | None = None, prefix: str = "", marks: Marks | None = None
) -> None:
    """Draw the nodes and edges of a graph on a paper, or on a part of it (``with dot.subgraph(…)``).

    Args:
        dot: what to draw on.
        graph: what to draw.
        paths: the frames that nodes stand in.
        prefix: what the names and ids of nodes (``n0``) and edges (``e0_1``: input 1 of node 0) begin with.
        marks: what to point out.
    """
    numbered = marks is not None  # where something is pointed out, words refer to the nodes by their numbers
    marks = marks or Marks()
    pale = {node.number for node in graph.nodes if node.receives == "nothing"}
    on_path = {number for way in graph.edges if (way.tail, way.slot) in marks.edges for number in (way.tail, way.head)}
    statements: dict[tuple[str, ...], list[tuple[str, dict[str, str]]]] = {}
    frames = _frames(graph, paths or {})
    for node in graph.nodes:
        remark = marks.nodes.get(node.number)
        beside = marks.others == "pale" and remark is None and node.number not in on_path
        faint = (node.number in pale and remark is None) or beside
        style = _node_style(node) | (FAINT if faint else {}) | (MARKED if remark is not None else {})
        attributes = {
            "label": _node_label(node, faint, remark, numbered),
            "id": f"{prefix}n{node.number}",
            "class": _node_class(node, marked=remark is not None),
            "tooltip": _plain(_node_tooltip(node)),
        }
        statements.setdefault(frames.get(node.number, ()), []).append((f"{prefix}n{node.number}", attributes | style))
    _write_nodes(dot, statements, prefix)
    hottest = max((e.size for e in graph.edges if e.size is not None and math.isfinite(e.size)), default=0.0)
    for name, edge in graph.edge_ids():
        thick = (edge.tail, edge.slot) in marks.edges
        faint = not thick and (edge.tail in pale or marks.others == "pale")
        style = EDGE_STYLE[_look(edge)] | (_heat(edge, hottest) if edge.size is not None else {})
        style = style | ({"color": PALE} if faint else {}) | ({"penwidth": "4"} if thick else {})
        label, tooltip = _edge_label(edge, faint), _plain(_edge_tooltip(edge))
        dot.edge(
            f"{prefix}n{edge.tail}",
            f"{prefix}n{edge.head}",
            id=f"{prefix}{name}",
            **{"class": f"edge-{edge.kind}" + _carries(edge)},
            tooltip=tooltip,
            **({"label": label, "labeltooltip": tooltip} if label else {}),
            **style,
        )


def _node_style(node: Node) -> dict[str, str]:
    style = NODE_STYLE[node.kind]
    return style | {"color": VERMILION, "fillcolor": COLORS["stop"][0]} if node.stops else style


def _node_class(node: Node, marked: bool) -> str:
    receives = {"gradient": "", "zeros": " starved", "nothing": " unreached"}[node.receives]
    return node.kind + receives + " marked" * marked


def _frames(graph: Graph, paths: Paths) -> dict[int, tuple[str, ...]]:
    """For each node, the frames that it stands in: a leaf, noise or a constant stands where all stand that use it."""
    frames: dict[int, tuple[str, ...]] = {}
    if not paths:
        return frames
    users: dict[int, list[int]] = {}
    for edge in graph.edges:
        users.setdefault(edge.head, []).append(edge.tail)
    for node in graph.nodes:  # users come before what they use
        if node.kind == "folded":
            frames[node.number] = _common(paths.get(n, ()) for n in node.members if n in paths)
            if frames[node.number][-1:] == (node.title,):
                frames[node.number] = frames[node.number][:-1]
        elif node.kind in ("leaf", "noise", "constant", "cut"):
            frames[node.number] = _common(frames.get(tail, ()) for tail in users.get(node.number, ()))
        else:
            frames[node.number] = paths.get(node.number, ())
    return frames


def _common(paths: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """What paths begin with in common."""
    columns = zip(*paths, strict=False)
    return tuple(column[0] for column in itertools.takewhile(lambda column: len(set(column)) == 1, columns))


def _write_nodes(
    dot: graphviz.Digraph, statements: Mapping[tuple[str, ...], list[tuple[str, dict[str, str]]]], prefix: str
) -> None:
    """Write the nodes, each into its frame, and each frame into the one around it."""
    for name, attributes in statements.get((), ()):
        dot.node(name, **attributes)
    inner: dict[tuple[str, ...], None] = {}
    for path in statements:
        inner |= dict.fromkeys(path[:depth] for depth in range(1, len(path) + 1))
    drawn: dict[tuple[str, ...], graphviz.Digraph] = {(): dot}
    numbers = {path: i for i, path in enumerate(inner)}
    for path in sorted(inner, key=len):
        part = drawn[path] = graphviz.Digraph(f"cluster_{prefix}{numbers[path]}")
        part.attr(label=f"<{_font(path[-1], bold=True, size=11, color=GREY)}>", labelloc="t", labeljust="l")
        part.attr(style="rounded,filled", color=PALE, fillcolor=COLORS["scope"][0], margin="12")
        part.attr(id=f"{prefix}s{numbers[path]}", tooltip=_plain(" / ".join(path)), **{"class": "scope"})
        for name, attributes in statements.get(path, ()):
            part.node(name, **attributes)
    for path in sorted(inner, key=len, reverse=True):
        drawn[path[:-1]].subgraph(drawn[path])


HEAT = [COLORS[f"heat{i}"][0] for i in range(1, 6)]
DECADES = 4.0
"""A gradient that is so many powers of ten smaller than the largest one has the thinnest line."""


def _heat(edge: Edge, hottest: float) -> dict[str, str]:
    """A line as thick as the gradient is large; what is 0 is dashed, what is not finite is drawn as a zigzag of dots."""
    size = edge.size or 0.0
    if not math.isfinite(size):
        return {"color": VERMILION, "penwidth": "5", "style": "dotted", "arrowhead": "normal"}
    if size == 0:
        return {"color": VERMILION, "penwidth": "1.4", "style": "dashed", "arrowhead": "onormal"}
    level = min(max(1 + math.log10(size / hottest) / DECADES, 0.0), 1.0) if hottest else 0.0
    style = {"penwidth": f"{0.8 + 5.2 * level:.2g}"}
    return style if edge.kind == "surrogate" else style | {"color": HEAT[min(int(level * len(HEAT)), len(HEAT) - 1)]}


def _carries(edge: Edge) -> str:
    return "" if edge.flow == "gradient" or edge.kind in ("noise", "constant") else f" carries-{edge.flow}"


def _look(edge: Edge) -> str:
    """Which line an edge gets: behind a stop, an edge that would be live shows what still comes along."""
    return edge.flow if edge.kind in ("live", "surrogate") and edge.flow != "gradient" else edge.kind


def _node_label(node: Node, faint: bool, remark: str | None = None, numbered: bool = False) -> str:
    names = ", ".join(node.names)
    value, statistics = ("", "") if node.value is None else _value_lines(node.value)
    if node.kind == "folded":
        return _folded_label(node, faint, remark)
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
    if numbered:
        lines.insert(0, _font(f"#{node.number}", size=9, color=GREY))
    lines += [_font(value)] if value else []
    lines += [_font(statistics, size=9)] if statistics else []
    if node.origin_name:
        lines.append(_font(f"from {node.origin_name}", size=10))
    lines += _gradient_lines(node)
    if node.hidden:
        lines.append(_font(f"{node.hidden} more input{'s' * (node.hidden > 1)}, not shown", size=9, color=GREY))
    lines += [_font(f"▲ {line}" if i == 0 else line, bold=True, size=11) for i, line in enumerate(_wrapped(remark))]
    return f"<{'<BR/>'.join(lines)}>"


def _folded_label(node: Node, faint: bool, remark: str | None) -> str:
    note = GREY if faint else VERMILION
    lines = [_font(node.title, bold=True, size=14), *(_font(line, size=11) for line in node.contents)]
    for kind, reason, times in node.stops:
        what = {"zero": "only zeros pass", "missing": "not wired", "surrogate": "surrogate"}[kind]
        lines.append(_font(f"{what}{f', {times} times' if times > 1 else ''}:", size=10, bold=True, color=note))
        lines += [_font(line, size=10, color=note) for line in textwrap.wrap(reason, REASON_WIDTH)[:REASON_LINES]]
    lines.append(_font(f"#{node.members[0]} … #{node.members[-1]}", size=9, color=GREY))
    lines += [_font(f"▲ {line}" if i == 0 else line, bold=True, size=11) for i, line in enumerate(_wrapped(remark))]
    return f"<{'<BR/>'.join(lines)}>"


def _wrapped(text: str | None) -> list[str]:
    return textwrap.wrap(text, REASON_WIDTH) if text else []


def _value_lines(value: Any) -> tuple[str, str]:
    """A small value; or the shape of a large one, and what is in it."""
    shape, _, statistics = show(value, limit=SMALL).partition(": ")
    return shape, statistics


def _gradient_lines(node: Node) -> list[str]:
    lines = []
    if node.gradient is not None:
        value, statistics = _value_lines(node.gradient)
        lines.append(_font(f"grad {value}", bold=True, color=BLUE))
        lines += [_font(statistics, size=9, color=BLUE)] if statistics else []
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
    if edge.size is not None and not (edge.size == 0 and lines):
        lines.append(_font(f"‖g‖ {edge.size:.3g}", bold=edge.size == 0 or not math.isfinite(edge.size)))
    if edge.times > 1:
        lines.append(_font(f"× {edge.times}", color=GREY))
    if edge.output:
        lines.append(_font(f"output {edge.output}", color=GREY))
    if not lines:
        return ""
    cells = "".join(f'<TR><TD ALIGN="LEFT">{line}</TD></TR>' for line in lines)
    gap = f'<TR><TD ROWSPAN="{len(lines) + 1}" WIDTH="8"></TD></TR>'  # between the line and its label
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{gap}{cells}</TABLE>>'


def _node_tooltip(node: Node) -> str:
    lines = [f"#{node.number} {node.title}"]
    found = formula(node.title, len(node.item.next_functions)) if node.item is not None else None
    if found is not None:
        lines.append(f"computes {found.value}")
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
        for node in graph.nodes:
            here = {same.get(_look(edge), _look(edge)) for edge in node.edges}
            looks |= here
            bright |= here if node.receives != "nothing" else set()
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
    if any(edge.size is not None for graph in graphs for edge in graph.edges):
        rows.append(_font("‖g‖   the norm of the gradient; the thicker the line, the larger", size=10, color=GREY))
    cells = "".join(f'<TR><TD ALIGN="LEFT">{row}</TD></TR>' for row in ["", *rows])
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{cells}</TABLE>>'


# ------------------------------------------------------------------------------------------------------------ dark pages

_COLOR = re.compile(r'(?<=color=")([#0-9A-F:]+)(?=")', re.IGNORECASE)
"""The colours in a DOT text. Quotes in the text of a user are escaped there, so that none is mistaken for a colour."""


def _darkened(source: str) -> str:
    """A DOT text in the colours of a dark page."""
    dark = dict(COLORS.values())
    return _COLOR.sub(lambda found: ":".join(dark.get(each.upper(), each) for each in found[1].split(":")), source)


def _with_dark_colors(svg: str) -> str:
    """An SVG that turns dark where the reader's page is: a rule for each colour, for this picture alone."""
    graph = re.search(r'<g id="([^"]*)" class="graph"', svg)
    if graph is None:
        return svg
    rules = "".join(
        f'[id="{html.unescape(graph[1])}"] [{attribute}="{light.lower()}"]{{{attribute}:{dark.lower()}}}'
        for light, dark in COLORS.values()
        for attribute in ("fill", "stroke")
        if f'{attribute}="{light.lower()}"' in svg
    )
    place = svg.index("<g id=")
    return f"{svg[:place]}<style>@media (prefers-color-scheme:dark){{{rules}}}</style>\n{svg[place:]}"


# ------------------------------------------------------------------------------------------------------------- escaping

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""What XML, and so an SVG, cannot hold."""


LONGEST = 1000
"""Characters of the longest text of the user's: the names of a thousand rows make more, and Graphviz reads 16,384 a label."""


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", text if len(text) <= LONGEST else f"{text[:LONGEST]} …")


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
    escaped: str = graphviz.nohtml(_clean(text).replace("&", "&amp;").replace("\\", 4 * "\\"))
    return escaped  # a str of its own kind, which says that it is no markup, even if it begins with <


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
