"""Two graphs side by side: which leaves receive a gradient in the one and not in the other, and where the computations part.

A worked example, of the naive Gaussian ``z = torch.normal(mu, std)`` beside the reparameterised ``z = eps * std + mu``, both
with the cost ``z**2``. `visualize.matching` finds the counterparts; what has none, and where counterparts differ, is said::

    mu: zeros arrive in naive, a gradient in reparameterised ([-58.14])
    std: zeros arrive in naive, a gradient in reparameterised ([56.85])
    only in naive: NormalBackward3 #1 (random draw, z)
    only in reparameterised: AddBackward0 #1 (z)
    …

PyTorch keeps no record of noise, of cuts and of surrogates. Beside a graph that does, these are
therefore told apart from the differences.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

import graphviz  # type: ignore[import-untyped]
import numpy as np

from visualize.drawing import INK, PALE, Drawing, Marks, Theme, body, frame
from visualize.folding import fold
from visualize.following import WIRED, follow
from visualize.matching import by_slot, match, onward, wired
from visualize.names import Names, tensors_by_name
from visualize.reading import Edge, Graph, Node, read_named
from visualize.text import KINDS, LEGEND, Text, tree
from visualize.values import array_of, count, show

__all__ = ["Comparison", "compare"]

RELATIVE, ABSOLUTE = 1e-5, 1e-6
"""Up to these parts of each element, and of the largest one, values are the same: float32 leaves that after a few sums."""
SMALL = 6
"""Values of at most so many elements are written out in a sentence; so many names are listed in one."""
SINGLY = 12
"""So many sentences of one kind; how many more there are is counted."""
COLUMN = 74
"""Characters in a column of the text."""

ARRIVES = {"gradient": "a gradient", "zeros": "zeros", "nothing": "nothing"}


def compare(a: Any, b: Any, names: Names = None, *, titles: tuple[str, str] = ("a", "b")) -> Comparison:
    """Compare two graphs: a naive loop and its reparameterisation, say, or one code in this engine and in PyTorch.

    The backward rules run once more to say what arrives at the leaves, those of a ``Function`` of yours too; no ``grad`` changes.

    Args:
        a: a tensor, or a node such as ``y.grad_fn``; of this engine or of PyTorch.
        b: the other one; its engine may be another.
        names: what to call leaves, inner tensors and noise: ``{"mu": mu, "z": z}``; a module, for its parameters;
            ``"variables"``, for the variables of the caller; or a list of these. A tuple of two holds names for each graph.
        titles: what to call the two.

    Returns:
        What differs: as sentences, as text, and as a picture.

    Raises:
        TypeError: ``a`` or ``b`` is neither a tensor nor a node, ``names`` is nothing that has names, or ``titles`` are not
            two strings.
        ValueError: ``a`` or ``b`` is a tensor without any graph, or the titles are the same.
    """
    if not isinstance(titles, tuple | list) or [type(title) for title in titles] != [str, str]:
        raise TypeError(f"titles must be two strings, what to call a and b, not {titles!r:.80}")
    if titles[0] == titles[1] or not all(title.strip() for title in titles):
        raise ValueError(f"titles must tell a and b apart, which {titles[0]!r} and {titles[1]!r} do not")
    caller = sys._getframe(1)
    both = names if isinstance(names, tuple) and len(names) == 2 else (names, names)
    sides = []
    for which, t, title, each in zip("ab", (a, b), titles, both, strict=True):
        found = tensors_by_name(each, caller)
        try:
            graph = read_named(t, found)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{which}: {error}") from None
        sides.append(Side(" ".join(title.split()), graph, frozenset(found), _arrivals(graph, t)))
    return _Comparing(*sides).result()


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two graphs that were compared. It prints as text, and a notebook shows it as a picture. It keeps both alive, to draw them.

    Args:
        a: the one.
        b: the other.
        pairs: the numbers of nodes that are each other's counterparts.
        differences: what differs, in sentences; what arrives at the leaves comes first.
        remarks: what only one of the two engines keeps a record of, and is therefore not counted as a difference.
        summary: what it comes to.
    """

    a: Side
    b: Side
    pairs: tuple[tuple[int, int], ...]
    differences: tuple[str, ...]
    remarks: tuple[str, ...]
    summary: str

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    @cached_property
    def text(self) -> Text:
        """The summary, both trees, and what differs."""
        lines = [*textwrap.wrap(self.summary, 2 * COLUMN), "", *_trees(self.a, self.b, dict(self.pairs))]
        for title, sentences in (("Differences", self.differences), ("Not counted", self.remarks)):
            lines += ["", f"{title}:"] if sentences else []
            for sentence in sentences:
                lines += textwrap.wrap(f"- {sentence}", 2 * COLUMN, subsequent_indent="  ", break_long_words=False)
        return Text("\n".join(lines))

    def __str__(self) -> str:
        return str(self.text)

    __repr__ = __str__

    def draw(self, *, theme: Theme = "auto", prefix: str = "") -> Drawing:
        """Draw both graphs in one picture, each in a box, with frames around what differs. What is the same is folded, where
        a graph is large.

        Args:
            theme: ``"auto"``: an SVG is light or dark as the reader's page is, all else is light; or ``"light"``, ``"dark"``.
            prefix: what the ids of nodes (``a-n0``, ``b-n0``) and edges (``a-e0_1``) begin with, for a page with several
                pictures.
        """
        sides = {"a": self.a, "b": self.b}
        graphs = {
            letter: fold(side.graph, unfold={*side.remarks, *(tail for tail, _ in side.odd)})
            for letter, side in sides.items()
        }
        dot = frame(list(graphs.values()), prefix)
        for letter, side in sides.items():
            with dot.subgraph(name=f"cluster_{prefix}{letter}") as box:
                title = graphviz.escape(side.title)
                box.attr(label=title, tooltip=title, labelloc="t", labeljust="l", fontsize="16", fontcolor=INK)
                box.attr(id=f"{prefix}{letter}", color=PALE, style="rounded", margin="24")
                marks = Marks({n: "; ".join(said) for n, said in side.remarks.items()}, frozenset(side.odd))
                body(box, graphs[letter], prefix=f"{prefix}{letter}-", marks=marks)
        return Drawing(str(dot.source), self.text, theme)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file; see `Drawing.save`."""
        return self.draw().save(path)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self.draw()._repr_mimebundle_(include, exclude)


@dataclass(slots=True)
class Side:
    """One of two graphs that are compared.

    Args:
        title: what to call it.
        graph: the graph.
        known: all names that were given for it.
        arrivals: for leaves, by number, the gradient that arrives; ``None`` where it could not be followed to the end.
        remarks: how a node differs from its counterpart, by number, for the picture.
        odd: the edges that differ, by ``tail`` and ``slot``.
    """

    title: str
    graph: Graph
    known: frozenset[str]
    arrivals: dict[int, Any] | None
    remarks: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    odd: set[tuple[int, int]] = field(default_factory=set)

    @property
    def keeps_record(self) -> bool:
        """Whether its steps say where inputs without an edge come from. PyTorch's do not."""
        items = [node.item for node in self.graph.nodes if node.item is not None and node.kind != "leaf"]
        return not items or any(hasattr(item, "sources") for item in items)


def _arrivals(graph: Graph, t: Any) -> dict[int, Any] | None:
    """What arrives at the leaves; ``None`` for a node, which has no value to begin with, and where a rule failed."""
    if not hasattr(t, "detach"):
        return None
    followed = follow(graph, t)
    if followed.failures:
        return None
    return {node.number: followed.at(node) for node in graph.nodes if node.kind == "leaf"}


# --------------------------------------------------------------------------------------------------- what is different


class _Comparing:
    """What differs between two graphs, as it is found."""

    def __init__(self, a: Side, b: Side) -> None:
        self.sides, self.titles, self.nodes = (a, b), (a.title, b.title), (a.graph.nodes, b.graph.nodes)
        self.pairs = match(a.graph, b.graph, a.known, b.known)
        self.there = (self.pairs, {j: i for i, j in self.pairs.items()})
        self.forgetful = None if a.keeps_record == b.keeps_record else int(a.keeps_record)
        """Which of the two keeps no record of noise and cuts, where the other does."""
        self.arriving: dict[tuple[str, str], list[str]] = defaultdict(list)
        """Names of leaves, by what arrives here and there."""
        self.alone: tuple[list[Node], list[Node]] = ([], [])
        self.drawn = False
        """Whether values differ because they were drawn at random."""
        self.alike: list[str] = []
        """Leaves at which the same gradient arrives."""
        self.said: dict[str, list[str]] = {key: [] for key in ("leaves", "edges", "steps", "values", "gradients")}
        self.following = 0
        """How many values without a name differ since something before them does."""
        self.unrecorded: dict[str, None] = {}
        """What only one engine keeps a record of, in order."""

    def result(self) -> Comparison:
        untold = (self.find_alone(0), self.find_alone(1))
        changed: set[int] = set()
        for x in reversed(self.nodes[0]):
            j = self.pairs.get(x.number)
            if j is None:
                changed.update({x.number} - untold[0])
                continue
            y = self.nodes[1][j]
            # each is asked, for each may have something to say
            unlike = [self.compare_edges(x, y), self.compare_steps(x, y)]
            before = any(unlike) or any(edge.head in changed for edge in x.edges)
            if self.compare_values(x, y, before) or before:
                changed.add(x.number)
            if x.kind == "leaf":
                self.compare_arrivals(x, y)
            if x.gradient is not y.gradient and _agree(x.gradient, y.gradient) is False:
                self.say("gradients", f"grad of {self.name_both(x, y)}: {self.two(x.gradient, y.gradient)}")
        for sentences in self.said.values():
            sentences.reverse()  # into the order of the numbers
        for names in [*self.arriving.values(), self.alike]:
            names.reverse()
        pairs = tuple(sorted(self.pairs.items()))
        return Comparison(*self.sides, pairs, tuple(self.differences()), self.remarks(), self.summary())

    def find_alone(self, side: int) -> set[int]:
        """Find the nodes without a counterpart; those of them are returned that the other engine may have and not show."""
        passed, untold = wired(self.sides[side].graph), set()
        users = {e.head: e.tail for e in self.sides[side].graph.edges if e.kind == "constant"}
        for node in self.nodes[side]:
            if node.number in self.there[side]:
                continue
            if self.forgetful == 1 - side and not passed[node.number]:
                untold.add(node.number)
                if node.kind != "constant":
                    self.unrecorded[_name(node)] = None
            elif node.kind == "constant" and (not node.names or users.get(node.number) in self.there[side]):
                untold.add(node.number)  # an engine shows only those that it saved
            else:
                self.alone[side].append(node)
                self.sides[side].remarks[node.number].append("only here")
        return untold

    # ---------------------------------------------------------------------------------------------- two counterparts

    def compare_arrivals(self, x: Node, y: Node) -> None:
        name = self.name_both(x, y)
        here, there = (
            side.arrivals and side.arrivals.get(n.number) for side, n in zip(self.sides, (x, y), strict=True)
        )
        if x.receives != y.receives:
            numbers = [
                f" ({show(g)})" if n.receives == "gradient" and g is not None and count(g) <= SMALL else ""
                for n, g in ((x, here), (y, there))
            ]
            self.say(
                "leaves",
                f"{name}: {_arriving(x)} in {self.titles[0]}{numbers[0]}, {ARRIVES[y.receives]} in {self.titles[1]}{numbers[1]}",
            )
            self.arriving[x.receives, y.receives].append(name)
            self.mark(x, y, "", ARRIVES[x.receives], ARRIVES[y.receives])
        elif _agree(here, there) is False:
            self.say("gradients", f"gradient that arrives at {name}: {self.two(here, there)}")
            self.mark(x, y, "gradient", *(show(g) for g in (here, there) if count(g) <= SMALL))
        elif x.receives == "gradient" and _agree(here, there):
            self.alike.append(name)

    def compare_edges(self, x: Node, y: Node) -> bool:
        """Compare where two counterparts lead; whether that differs."""
        mine, theirs = by_slot(onward(x)), by_slot(onward(y))
        if len(mine) == len(theirs):
            theirs = dict(zip(mine, theirs.values(), strict=True))
        found = []
        for place in sorted(mine.keys() | theirs.keys(), reverse=True):
            if place in mine and place in theirs:
                found.append(self.compare_edge(x, y, mine[place], theirs[place]))
            else:
                side, edge = (0, mine[place]) if place in mine else (1, theirs[place])
                found.append(self.is_told_alone(x, y, side, edge))
        return any(found)

    def compare_edge(self, x: Node, y: Node, e: Edge, f: Edge) -> bool:
        heads = (self.nodes[0][e.head], self.nodes[1][f.head])
        if self.pairs.get(e.head) == f.head:
            if (e.kind, e.output) == (f.kind, f.output):
                return False
            way = f"edge from {self.name_both(x, y)} to {self.name_both(*heads)}"
            if e.output != f.output:
                sentence = f"{way} is from output {e.output} in {self.titles[0]}, {f.output} in {self.titles[1]}"
            elif self.forgetful is not None and {e.kind, f.kind} == {"live", "surrogate"}:
                self.unrecorded[f"{way} is a surrogate"] = None
                return False
            else:
                sentence = f"{way} is {_kind(e)} in {self.titles[0]}, {_kind(f)} in {self.titles[1]}"
        elif e.head in self.there[0] and f.head in self.there[1]:
            leads = [f"{_name(head)} in {self.titles[side]}" for side, head in enumerate(heads)]
            sentence = f"input {e.slot} of {self.name_both(x, y)} is {', '.join(leads)}"
        else:
            return True  # a node that is there in one graph alone is told already
        self.say("edges", sentence)
        self.sides[0].odd.add((e.tail, e.slot))
        self.sides[1].odd.add((f.tail, f.slot))
        return True

    def is_told_alone(self, x: Node, y: Node, side: int, edge: Edge) -> bool:
        """Whether an edge without a counterpart is a difference."""
        way = f"edge from {self.name_both(x, y)} to {_name(self.nodes[side][edge.head])}"
        if self.forgetful == 1 - side and edge.kind not in WIRED:
            if edge.head in self.there[side]:
                self.unrecorded[f"{way} is cut by {edge.label or 'a step that is not recorded'}"] = None
            return False
        if edge.head in self.there[side]:  # otherwise the node that it leads to is told already
            self.say(
                "edges", f"{way} is {_kind(edge)} in {self.titles[side]}, and not there in {self.titles[1 - side]}"
            )
            self.sides[side].odd.add((edge.tail, edge.slot))
        return True

    def compare_steps(self, x: Node, y: Node) -> bool:
        """Compare what two counterparts are, apart from their values; whether that differs."""
        found = []
        if x.shape != y.shape and x.shape is not None and y.shape is not None:
            found.append(("shape", str(x.shape), str(y.shape)))
        # Engines keep the 2 of x * 2 in types of their own, and what a step keeps of its settings in other words.
        is_alike = self.forgetful is None
        has_types = x.dtype is not None and y.dtype is not None  # by "is", since NumPy takes None for float64
        if has_types and x.dtype is not y.dtype and (is_alike or "constant" not in (x.kind, y.kind)):
            found.append(("dtype", str(x.dtype).rpartition(".")[2], str(y.dtype).rpartition(".")[2]))
        if is_alike and x.kind not in ("leaf", "noise", "constant"):
            kept = [key for key in sorted(x.saved) if _is_plain(x.saved[key]) and _is_plain(y.saved.get(key))]
            found += [(key, *_told_apart(x.saved[key], y.saved[key])) for key in kept]
        if {x.kind, y.kind} == {"noise", "constant"}:
            if is_alike:
                found.append(("origin", _name(x), _name(y)))
            else:
                self.unrecorded[_name(x) if x.kind == "noise" else _name(y)] = None
        found = [(what, here, there) for what, here, there in found if here != there]
        for what, here, there in reversed(found):
            self.say(
                "steps", f"{what} of {self.name_both(x, y)}: {here} in {self.titles[0]}, {there} in {self.titles[1]}"
            )
            self.mark(x, y, what, here, there)
        return bool(found)

    def compare_values(self, x: Node, y: Node, before: bool) -> bool:
        """Compare the values of two counterparts; whether they differ. What follows from a difference before is told only of
        what has a name, and of the result."""
        is_reshaped = x.shape != y.shape and None not in (x.shape, y.shape)
        if is_reshaped or _agree(x.value, y.value) is not False:
            return False
        if not before:
            self.drawn |= not {x.kind, y.kind}.isdisjoint(("noise", "sampling"))
            self.mark(x, y, "value")
        if not before or x.number == 0 or x.names or y.names:
            is_result = x.number == y.number == 0 and not set(x.names) & set(y.names)
            name = "the result" if is_result else self.name_both(x, y)
            self.say("values", f"value of {name}: {self.two(x.value, y.value)}")
        else:
            self.following += 1
        return True

    def say(self, what: str, sentence: str) -> None:
        self.said[what].append(sentence)

    def mark(self, x: Node, y: Node, what: str, *values: str) -> None:
        """Note for the picture in what two counterparts differ, and, where they are given, by which values here and there."""
        for side, node, shown in ((0, x, values), (1, y, values[::-1])):
            remark = f"{what} {shown[0]} here, {shown[1]} there".lstrip() if shown else f"another {what} there"
            self.sides[side].remarks[node.number].append(remark)

    # -------------------------------------------------------------------------------------------------- in sentences

    def name_both(self, x: Node, y: Node) -> str:
        """A node and its counterpart, in a sentence."""
        shared = [name for name in x.names if name in y.names]
        if shared:
            return _line(", ".join(shared))
        if x.names or y.names:
            return " / ".join(_line(", ".join(node.names)) for node in (x, y) if node.names)
        return _name(x) + (f" (#{y.number} in {self.titles[1]})" if x.number != y.number else "")

    def two(self, x: Any, y: Any) -> str:
        """Two values that differ, in a sentence."""
        mine, theirs = array_of(x), array_of(y)
        is_close = mine is not None and (mine.size > SMALL or show(x) == show(y))
        if mine is not None and theirs is not None and mine.shape == theirs.shape and is_close:
            with np.errstate(all="ignore"):
                apart = np.abs(np.subtract(mine, theirs, dtype=complex))
            apart = apart[np.isfinite(apart)]
            if apart.size and apart.max():
                return f"up to {apart.max():.3g} apart"
        return f"{show(x)} in {self.titles[0]}, {show(y)} in {self.titles[1]}"

    def differences(self) -> Iterator[str]:
        """All that differs, in sentences."""
        yield from self.said["leaves"]
        for side in (0, 1):
            yield from self.alone_in(side)
        for what in ("edges", "steps", "values"):
            yield from _at_most(self.said[what], what)
        if self.following:
            yield f"values of {self.following} more node{'s' * (self.following > 1)}, which follow from what is said above"
        yield from _at_most(self.said["gradients"], "gradients")

    def alone_in(self, side: int) -> Iterator[str]:
        nodes = self.alone[side]
        many = Counter(node.title for node in nodes if node.kind != "leaf")
        told = set()
        for node in nodes:
            if len(nodes) <= SINGLY or many[node.title] <= 1:
                arrives = f", where {_arriving(node)}" if node.kind == "leaf" else ""
                yield f"only in {self.titles[side]}: {_name(node)}{arrives}"
            elif node.title not in told:
                told.add(node.title)
                last = max(n.number for n in nodes if n.title == node.title)
                yield (
                    f"only in {self.titles[side]}: {many[node.title]} × {_line(node.title)}, #{node.number} … #{last}"
                )

    def remarks(self) -> tuple[str, ...]:
        if self.forgetful is None or not self.unrecorded:
            return ()
        keeper, told = self.titles[1 - self.forgetful], "; ".join(_at_most(list(self.unrecorded), "of these"))
        return (f"known of {keeper} alone, since PyTorch keeps no record of noise, cuts and surrogates: {told}",)

    def summary(self) -> str:
        """What it comes to, in a few sentences."""
        a, b = self.titles
        said = []
        for (here, there), names in self.arriving.items():
            verb = "arrive" if here == "zeros" else "arrives"
            said.append(f"At {_listed(names)}, {ARRIVES[here]} {verb} in {a}, {ARRIVES[there]} in {b}.")
        if self.alike:
            said.append(f"At {_listed(self.alike)}, the same gradient arrives in both.")
        shared = sum(self.nodes[0][i].kind not in ("noise", "constant") for i in self.pairs)
        parts = [
            f"Only in {title}: {_listed([f'{n} × {what}' if n > 1 else what for what, n in kinds.items()])}."
            for title, nodes in zip(self.titles, self.alone, strict=True)
            if (kinds := Counter(_name(node, short=True) for node in nodes))
        ]
        if edges := len(self.said["edges"]):
            parts.append(f"{edges} edges differ." if edges > 1 else "One edge differs.")
        if steps := len(self.said["steps"]):
            parts.append(
                f"{steps} shapes, dtypes or settings differ." if steps > 1 else "One shape, dtype or setting differs."
            )
        if parts:
            said += [*parts, f"Both have the other {shared} nodes." if shared else "They have nothing in common."]
        else:
            said.append(f"{a} and {b} are the same computation, of {shared} nodes.")
        if self.said["values"] or self.said["gradients"]:
            what = [each for each in ("values", "gradients") if self.said[each]]
            said.append(
                f"Their {' and '.join(what)} differ" + (": numbers were drawn at random." if self.drawn else ".")
            )
        elif not parts:
            said.append("All values that are known in both agree.")
        return " ".join(said)


def _line(text: str) -> str:
    return " ".join(text.split())


def _name(node: Node, short: bool = False) -> str:
    """A node, in a sentence; in short, only what it is."""
    names, title = _line(", ".join(node.names)), _line(node.title)
    said = [names] if names else []
    if node.kind == "leaf":
        return f"leaf {names or f'#{node.number}'}"
    if node.kind == "constant":
        return f"constant {names}" if short else f"constant #{node.number}" + (f" ({names})" if names else "")
    if node.kind in ("noise", "cut"):
        title = f"a cut by {title}" if short and node.kind == "cut" else f"{KINDS[node.kind]} {title}".strip()
    elif node.kind != "operation":
        said.insert(0, KINDS[node.kind])
    elif any(edge.kind == "surrogate" for edge in node.edges):
        said.insert(0, "hands on a surrogate")
    return title if short else f"{title} #{node.number}" + (f" ({', '.join(said)})" if said else "")


def _kind(edge: Edge) -> str:
    return "a surrogate" if edge.kind == "surrogate" else edge.kind


def _arriving(node: Node) -> str:
    return f"{ARRIVES[node.receives]} arrive{'s' * (node.receives != 'zeros')}"


def _listed(names: list[str]) -> str:
    if len(names) > SMALL:
        names = [*names[: SMALL - 1], f"{len(names) - SMALL + 1} more"]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _at_most(sentences: list[str], what: str) -> Iterator[str]:
    yield from sentences[:SINGLY]
    if len(sentences) > SINGLY:
        yield f"{len(sentences) - SINGLY} more {what}"


def _is_plain(value: Any) -> bool:
    """Whether what a node keeps is a number or a word, or several, and no tensor."""
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | complex | str)


def _told_apart(x: Any, y: Any) -> tuple[str, str]:
    """Two settings as text: in short, where that shows that they differ."""
    here, there = show(x), show(y)
    return (str(x), str(y)) if here == there and x != y else (here, there)


def _agree(x: Any, y: Any) -> bool | None:
    """Whether two values are the same up to rounding; ``None`` where one of them is not known."""
    mine, theirs = (None if value is None else array_of(value) for value in (x, y))
    if mine is None or theirs is None:
        return None
    if mine.shape != theirs.shape:
        return False
    if mine.size == 1:  # NumPy takes its time, and a long loop over one number has many values
        one, other = mine.item(), theirs.item()
        return bool(one == other or abs(one - other) <= RELATIVE * abs(other) or (one != one and other != other))
    with np.errstate(all="ignore"):
        largest = float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0))
        return bool(np.allclose(mine, theirs, rtol=RELATIVE, atol=ABSOLUTE * largest, equal_nan=True))


# ---------------------------------------------------------------------------------------------------------- side by side

_HEADING = re.compile(r"[│├└─≈0x·╌ ]*#(\d+) ")
"""A line of a tree with which what is said of a node begins."""


@dataclass(slots=True)
class _Block:
    """What a tree says of a node: a heading, and lines below it; or, without a number, a line between."""

    number: int | None
    lines: list[str]


def _trees(a: Side, b: Side, pairs: dict[int, int]) -> list[str]:
    """Both trees, side by side where they are narrow enough, and what their lines mean."""
    sides, counterparts = (a, b), (pairs, {j: i for i, j in pairs.items()})
    trees = [str(tree(side.graph)).split("\n") for side in sides]
    meanings = [f"{mark}  {meaning}" for mark, meaning in LEGEND.items()]
    legend = [line for line in meanings if any(line in lines for lines in trees)]
    trees = ["\n".join(line for line in lines if line not in meanings).rstrip().split("\n") for lines in trees]
    odd = [{*side.remarks, *(e.head for e in side.graph.edges if (e.tail, e.slot) in side.odd)} for side in sides]
    used = set()

    def mark(side: int, block: _Block | None) -> str:
        if block is None or block.number not in odd[side]:
            return ""
        used.add("≠" if block.number in counterparts[side] else "<>"[side])
        return "≠" if block.number in counterparts[side] else "<>"[side]

    columns = [_blocks(lines, COLUMN) for lines in trees]
    width = max([len(line) for blocks in columns for block in blocks for line in block.lines])
    if width > COLUMN:
        found = []
        for side, lines in enumerate(trees):
            found += [f"{sides[side].title}:", ""]
            for block in _blocks(lines):
                found += [f"{mark(side, block):1} {line}".rstrip() for line in block.lines[:1]]
                found += [f"  {line}".rstrip() for line in block.lines[1:]]
            found.append("")
    else:
        width = max([len(line) for block in columns[0] for line in block.lines] + [len(a.title)])
        rows = [(a.title, "", b.title), ("─" * len(a.title), "", "─" * len(b.title))]
        for mine, theirs in _aligned(*columns, pairs=pairs):
            sign = mark(0, mine) or mark(1, theirs)
            for left, right in zip_longest(mine.lines if mine else (), theirs.lines if theirs else (), fillvalue=""):
                rows.append((left, sign, right))
                sign = ""
        found = [*(f"{left:<{width}}  {sign:1}  {right}".rstrip() for left, sign, right in rows), ""]
    means = {"≠": "differs", "<": f"only in {a.title}", ">": f"only in {b.title}"}
    legend += [f"{sign:<3}  {meaning}" for sign, meaning in means.items() if sign in used]
    return found + legend if legend else found[:-1]


def _blocks(lines: Iterable[str], width: int | None = None) -> list[_Block]:
    """The lines of a tree, node by node; what stands below a heading is wrapped anew."""
    found: list[_Block] = []
    for line in lines:
        heading = _HEADING.match(line)
        if heading:
            found.append(_Block(int(heading[1]), [line]))
        elif not line or line.startswith("continued from"):
            found.append(_Block(None, [line]))
        else:
            found[-1].lines.append(line)
    for block in found:
        if width is not None and any(len(line) > width for line in block.lines[1:]):
            block.lines[1:] = _narrower(block.lines[1:], width)
    return found


def _narrower(lines: list[str], width: int) -> list[str]:
    """Lines below a heading, wrapped to another width. They all begin with the same lines of the tree."""
    begin = lines[0][: len(lines[0]) - len(lines[0].lstrip("│ "))]
    said: list[str] = []
    for line in (line.removeprefix(begin) for line in lines):
        if said and line.startswith("     "):  # it goes on with the one before
            said[-1] += f" {line.strip()}"
        else:
            said.append(line)
    room = max(width - len(begin), 20)
    wrapped = (textwrap.wrap(line, room, subsequent_indent="     ", break_long_words=False) for line in said)
    return [begin + part for parts in wrapped for part in parts]


def _aligned(
    mine: Sequence[_Block], theirs: Sequence[_Block], *, pairs: dict[int, int]
) -> Iterator[tuple[_Block | None, _Block | None]]:
    """Rows of blocks, in which counterparts stand side by side as far as their order allows."""
    places = {key: k for k, key in enumerate(_occurrences(theirs)) if key is not None}
    meetings = [
        (k, places[pairs[key[0]], key[1]])
        for k, key in enumerate(_occurrences(mine))
        if key is not None and (pairs.get(key[0]), key[1]) in places
    ]
    k = m = 0
    for i, j in [*_longest_rise(meetings), (len(mine), len(theirs))]:
        yield from ((block, None) for block in mine[k:i])
        yield from ((None, block) for block in theirs[m:j])
        if i < len(mine):
            yield mine[i], theirs[j]
        k, m = i + 1, j + 1


def _occurrences(blocks: Iterable[_Block]) -> Iterator[tuple[int, int] | None]:
    """For each block, the number of its node and how often this was there before: trees come back to a node that is shared."""
    seen: Counter[int] = Counter()
    for block in blocks:
        if block.number is None:
            yield None
        else:
            yield block.number, seen[block.number]
            seen[block.number] += 1


def _longest_rise(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of pairs whose first numbers rise, as many as possible whose second numbers rise, too."""
    ends: list[int] = []
    last: list[int] = []
    before = []
    for k, (_, j) in enumerate(pairs):
        place = bisect_left(ends, j)
        before.append(last[place - 1] if place else -1)
        ends[place : place + 1], last[place : place + 1] = [j], [k]
    found = []
    k = last[-1] if last else -1
    while k >= 0:
        found.append(pairs[k])
        k = before[k]
    return found[::-1]
