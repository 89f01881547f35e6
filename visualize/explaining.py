"""Why a gradient is zero, missing, NaN or tiny: the way, the place where it stops, the reason, and what to do instead.

A worked example. For ``loss = (torch.relu(x) * w).sum()`` at x = [-2, -1] and w = [1, 2], ``print(explain(loss, x))`` says::

    The gradient of x is 0, in all 2 elements.
    why:      It becomes 0 at #2 ReluBackward0: what arrived is [1, 2], and what it hands on
              to #3 x is [0, 0], for max(x, 0) at x = [-2, -1]. Below 0, relu is flat: its
              derivative is 0.
    way:      #0 SumBackward0 (loss) → #1 MulBackward0 → [#2 ReluBackward0] → #3 x
    instead:  leaky_relu, elu or gelu, which have a gradient below 0 as well
              …

An answer is found backwards. The gradient is followed from the loss with its numbers (`visualize.following`). Then, from the
parameter up, each gradient that is 0 is traced to where it came from, until something that was not 0 had arrived: there it
became 0. It is the same for NaN. A gradient that is missing was stopped at the first edge that is not wired.
"""

from __future__ import annotations

import html
import itertools
import math
import sys
import textwrap
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, overload

import numpy as np

from visualize.drawing import Drawing, Marks, Theme, picture
from visualize.folding import fold
from visualize.following import NOT_ASKED, WIRED, Pass, follow, hand_on, was_freed
from visualize.formulas import formula
from visualize.names import Names, tensors_by_name
from visualize.reading import Edge, Graph, Node, declared, read_named
from visualize.remedies import (
    ANOMALY,
    BETTER_TOGETHER,
    CANCELLING,
    DOUBLE_WHERE,
    FACTOR,
    GROWING,
    LARGER,
    NOT_FINITE,
    SHRINKING,
    SMALLER,
    SORTING,
    STATIONARY,
    ZERO,
)
from visualize.values import array_of, show

__all__ = ["Explanation", "Explanations", "Verdict", "explain"]

Verdict = Literal["flows", "zero", "none", "nan", "infinite", "tiny", "huge", "unknown"]
"""``flows``: a gradient arrives, and some of it is not 0. ``zero``: one arrives, and all of it is exactly 0. ``none``: nothing
arrives, and ``backward()`` leaves ``.grad`` as it is. ``nan``, ``infinite``: some of it is NaN, or infinite. ``tiny``,
``huge``: its largest element is out of all proportion to the largest at the loss. ``unknown``: it cannot be said any more,
since ``backward()`` freed what it takes."""

WIDTH = 88
LINES = 25
"""No answer is longer."""
ROWS = 10
"""So many leaves are listed; of more, those that no gradient reaches come first."""
FEW = 3
"""So many ways, places and contributions are named; of others there is only the count."""

_MARKS = {"live": "→", "zero": "─0→", "surrogate": "─≈→", "missing": "─x→", "noise": "─·→", "constant": "─·→"}


def explain(
    loss: Any, parameter: Any = None, names: Names = None, *, gradient: Any = None, tiny: float = 1e-6
) -> Explanation | Explanations:
    """Say in words why a gradient is what it is: zero, None, NaN, tiny, or alive.

    The pass is followed here once more, with its numbers. Nothing is changed by it, and hooks do not run; a checkpoint runs
    its part of the forward pass again, once for each value that it needs. Ask before ``backward()``, or call
    ``backward(retain_graph=True)``: what a pass freed, nobody can follow.

    Args:
        loss: a tensor, of this engine or of PyTorch. Where it has several elements, the pass begins with ones, as if its
            sum was meant.
        parameter: the tensor whose gradient is asked about, a leaf or not; by default, every leaf.
        names: what to call tensors; by default, what the caller's variables are called. A dictionary from name to tensor, a
            module, ``"variables"``, or a list of these.
        gradient: what the pass begins with, a tensor in the shape of ``loss``; ones by default.
        tiny: a gradient whose largest element is less than ``tiny`` times the largest at the loss is called tiny; one that
            is more than ``1 / tiny`` times that, huge.

    Returns:
        The answer; for all leaves, the sequence of answers. Both print as text, and a notebook shows the picture as well.

    Raises:
        TypeError: ``loss``, ``parameter`` or ``gradient`` is no tensor, or ``names`` is nothing that has names.
        ValueError: ``loss`` has no graph, ``gradient`` does not have its shape, or ``tiny`` is not between 0 and 1.
    """
    _check(loss, parameter, gradient, tiny)
    found = tensors_by_name("variables" if names is None else names, sys._getframe(1))
    if parameter is not None and all(t is not parameter for t in found.values()):
        found["parameter"] = parameter
    search = _Search(loss, found, gradient, tiny)
    if parameter is not None:
        return search.answer(parameter)
    answers = [search.answer_for(node, 0) for node in search.graph.nodes if node.kind == "leaf"]
    inside = {id(node.value) for node in search.graph.nodes}
    outside = {
        name: t
        for name, t in found.items()
        if _is_of_engine(t, loss) and t.requires_grad and t.grad_fn is None and id(t) not in inside
    }
    if names is not None:  # who names tensors asks about them
        answers += [search.outside(t, name) for name, t in outside.items()]
        outside = {}
    return Explanations(answers, search.graph, (*search.notes(), *search.hooks()), tuple(outside))


def _check(loss: Any, parameter: Any, gradient: Any, tiny: float) -> None:
    for what, t in (("loss", loss), ("parameter", parameter), ("gradient", gradient)):
        if t is None and what != "loss":
            continue
        if not hasattr(t, "requires_grad") or not hasattr(t, "detach") or isinstance(t, type):
            advice = "; leave it out to have every leaf explained" if what == "parameter" else ""
            raise TypeError(f"explain() takes a tensor as {what}, not {type(t).__name__}{advice}")
        if not _is_of_engine(t, loss):
            kinds = " and ".join(f"{type(each).__module__}.{type(each).__name__}" for each in (loss, t))
            raise TypeError(f"loss and {what} must be tensors of the same engine, not {kinds}")
    if gradient is not None and tuple(gradient.shape) != tuple(loss.shape):
        raise ValueError(
            f"gradient must have the shape of loss, {tuple(loss.shape)}, but its shape is {tuple(gradient.shape)}"
        )
    if not 0 < tiny < 1:
        raise ValueError(f"tiny must lie between 0 and 1, such as 1e-6, but is {tiny!r}")


def _is_of_engine(t: Any, other: Any) -> bool:
    return isinstance(t, next((kind for kind in type(other).__mro__ if kind.__name__ == "Tensor"), object))


# ----------------------------------------------------------------------------------------------------------- the answers


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer for one tensor. ``print`` shows it, and a notebook shows it with the picture. It keeps the graph alive.

    Args:
        verdict: in a word, what its gradient is; see `Verdict`.
        parameter: what the tensor is called.
        reason: why, in a sentence or a few.
        remedies: what can be done about it; empty where nothing needs to be.
        place: the node where the gradient stops or turns, by its number: where an edge is to blame, the node that it leaves
            from. ``None`` where it neither stops nor turns, or where nothing can be known of the place.
        path: the nodes from the loss to the tensor by which the reason was found, by their numbers; empty where there is no
            way.
        gradient: what arrives; ``None`` for nothing.
        notes: what else is worth knowing.
        graph: the graph of the loss, in which the numbers count.
    """

    verdict: Verdict
    parameter: str
    reason: str
    remedies: tuple[str, ...] = ()
    place: int | None = None
    path: tuple[int, ...] = ()
    gradient: Any = None
    notes: tuple[str, ...] = ()
    graph: Graph | None = field(default=None, repr=False)
    _headline: str = field(default="", repr=False)
    _brief: str = field(default="", repr=False)
    _way: tuple[Edge, ...] = field(default=(), repr=False)
    _zeros: frozenset[tuple[int, int]] = field(default=frozenset(), repr=False)
    _remarks: Mapping[int, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        lines = [*textwrap.wrap(self._headline, WIDTH), *_labelled("why", [self.reason])]
        if self._way:
            assert self.graph is not None
            lines += _labelled("way", [_way(self.graph, self._way, self.place)])
        lines += _labelled("instead", self.remedies)
        lines += _labelled("note", self.notes)
        return "\n".join(lines if len(lines) <= LINES else [*lines[: LINES - 1], "          …"])

    def __repr__(self) -> str:
        return str(self)

    def draw(self, *, theme: Theme = "auto", prefix: str = "") -> Drawing:
        """The graph as a picture: the way thick, the place framed with a remark, the rest pale; folded where it is large.

        Args:
            theme: as for `draw`.
            prefix: what the ids of nodes and edges begin with, for a page with several pictures.
        """
        assert self.graph is not None
        graph = fold(_with_zeros(self.graph, self._zeros), unfold=self._remarks)
        marks = Marks(nodes=self._remarks, edges=_along(graph, self._way), others="pale")
        return picture(graph, theme=theme, prefix=prefix, marks=marks)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return _bundle(str(self), self.draw())


class Explanations(Sequence[Explanation]):
    """The answers for all leaves of a graph: a sequence of `Explanation`. ``print`` shows a table, and what to do.

    Args:
        answers: the answers.
        graph: the graph of the loss.
        notes: what is worth knowing of the whole.
        outside: the names of tensors that require grad and do not occur in the graph.
    """

    def __init__(
        self, answers: Iterable[Explanation], graph: Graph, notes: tuple[str, ...] = (), outside: tuple[str, ...] = ()
    ) -> None:
        self.answers = tuple(answers)
        self.graph = graph
        self.notes = notes
        self.outside = outside

    @overload
    def __getitem__(self, index: int) -> Explanation: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Explanation, ...]: ...
    def __getitem__(self, index: int | slice) -> Explanation | tuple[Explanation, ...]:
        return self.answers[index]

    def __len__(self) -> int:
        return len(self.answers)

    def __str__(self) -> str:
        shown = self.answers
        if len(shown) > ROWS:
            shown = tuple(sorted(shown, key=lambda each: each.verdict == "flows")[:ROWS])  # sorted keeps the order
        rows = [("leaf", "verdict", "gradient", "why")]
        rows += [(each.parameter, each.verdict, _short(each.gradient), each._brief) for each in shown]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = []
        for row in rows:
            left = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
            lines.append(
                textwrap.shorten(row[3], max(WIDTH - len(left) - 2, 24), placeholder=" …").join([left + "  ", ""])
            )
        if len(self) > len(shown):
            verdicts = [each.verdict for each in self.answers if all(each is not other for other in shown)]
            said = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
            lines.append(f"… and {len(verdicts)} more: {said}")
        lines = [line.rstrip() for line in lines]
        for names, remedies in self._to_do():
            lines += ["", *textwrap.wrap(f"for {names}:", WIDTH)]
            for remedy in remedies[:2]:
                lines += textwrap.wrap(remedy, WIDTH, initial_indent="    ", subsequent_indent="      ")
        if self.outside:
            names = _listed(list(self.outside), 8)
            lines += ["", *textwrap.wrap(f"Not in this graph, but require grad: {names}.", WIDTH)]
        for note in self.notes:
            lines += ["", *textwrap.wrap(note, WIDTH)]
        return "\n".join(lines if len(lines) <= LINES else [*lines[: LINES - 1], "…"])

    def _to_do(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What to do, once for all leaves for which it is the same."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for each in self.answers:
            if each.verdict != "flows" and each.remedies:
                groups.setdefault(each.remedies, []).append(each.parameter)
        for remedies, names in groups.items():
            yield _listed(names, 6), remedies

    def __repr__(self) -> str:
        return str(self)

    def draw(self, *, theme: Theme = "auto", prefix: str = "") -> Drawing:
        """The graph as a picture: the places where gradients stop or turn are framed, each with a remark; folded where it is
        large.

        Args:
            theme: as for `draw`.
            prefix: what the ids of nodes and edges begin with, for a page with several pictures.
        """
        remarks: dict[int, str] = {}
        for each in self.answers:
            remarks |= {number: text for number, text in each._remarks.items() if number not in remarks}
        zeros = frozenset(edge for each in self.answers for edge in each._zeros)
        graph = fold(_with_zeros(self.graph, zeros), unfold=remarks)
        return picture(graph, theme=theme, prefix=prefix, marks=Marks(nodes=remarks))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return _bundle(str(self), self.draw())


def _with_zeros(graph: Graph, zeros: frozenset[tuple[int, int]]) -> Graph:
    """A graph to be drawn, in which edges that would be live show that it was zeros that went along them."""
    nodes = []
    for node in graph.nodes:
        edges = [replace(e, flow="zeros") if (e.tail, e.slot) in zeros and e.kind == "live" else e for e in node.edges]
        nodes.append(replace(node, edges=edges))
    return Graph(nodes, graph.output)


def _along(graph: Graph, way: Sequence[Edge]) -> frozenset[tuple[int, int]]:
    """The edges of a graph, which may be folded, that a way goes along."""
    box = {number: node.number for node in graph.nodes for number in node.members}
    exact = {(edge.tail, edge.slot) for edge in way}
    joined = {(box.get(edge.tail, edge.tail), box.get(edge.head, edge.head), edge.kind) for edge in way}
    return frozenset(
        (edge.tail, edge.slot)
        for edge in graph.edges
        if (
            (edge.tail, edge.head, edge.kind) in joined
            if edge.tail in box or edge.head in box
            else (edge.tail, edge.slot) in exact
        )
    )


def _bundle(text: str, drawing: Drawing) -> dict[str, str]:
    """Text and picture together: a notebook shows one format alone, so that both are put into the page."""
    bundle = drawing._repr_mimebundle_()
    svg = bundle.get("image/svg+xml", "")
    page = f"<pre>{html.escape(text)}</pre>{svg[svg.find('<svg') :] if '<svg' in svg else ''}"
    return bundle | {"text/plain": text, "text/html": page}


def _labelled(label: str, texts: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for text in texts:
        lines += textwrap.wrap(text, WIDTH - 10, break_long_words=False, break_on_hyphens=False)
    return [f"{f'{label}:' if i == 0 else '':<10}{line}" for i, line in enumerate(lines)]


def _listed(parts: Sequence[str], limit: int) -> str:
    said = ", ".join(parts[:limit])
    return said + (f" and {len(parts) - limit} more" if len(parts) > limit else "")


def _short(gradient: Any) -> str:
    if gradient is None:
        return "–"
    said = show(gradient, limit=4)
    size = _size(gradient)
    if said.startswith("shape") and size is not None:
        return f"{tuple(gradient.shape)}: {_largest(size)}"
    return said


def _largest(size: _Size) -> str:
    bad = [f"{n} {what}" for n, what in ((size.nans, "NaN"), (size.infinite, "infinite")) if n]
    return ", ".join(bad) if bad else "all 0" if size.vanishes else f"at most {size.largest:.3g}"


def _way(graph: Graph, edges: Sequence[Edge], place: int | None) -> str:
    """The way in one line; of a long one, its begin, its end, and what lies around the place."""
    numbers = [edges[0].tail, *(edge.head for edge in edges)]
    middle = numbers.index(place) if place in numbers else 0
    kept = {i for i in range(len(numbers)) if i < 3 or i >= len(numbers) - 3 or abs(i - middle) <= 1}
    if len(numbers) - len(kept) < 3:
        kept = set(range(len(numbers)))
    said, left_out = "", 0
    for i, number in enumerate(numbers):
        if i not in kept:
            left_out += 1
            continue
        if left_out:
            said, left_out = f"{said} → … {left_out} more …", 0
        said += f" {_MARKS[edges[i - 1].kind]} " if i else ""
        called = _called(graph.nodes[number])
        said += f"[{called}]" if number == place else called
    return said


def _called(node: Node) -> str:
    """What a node is called in a sentence: number, and the user's name or the operation's."""
    name = node.names[0] if node.names else ""
    if node.kind == "leaf":
        return f"#{node.number} {name or 'leaf'}"
    if node.kind == "cut":
        return f"#{node.number} {node.origin_name or name or 'cut'}"
    return f"#{node.number} {node.title}" + (f" ({name})" if name else "")


# ------------------------------------------------------------------------------------------------------------ the search


@dataclass(frozen=True, slots=True)
class _Size:
    """As much of `visualize.values.summary` as a search asks of every gradient."""

    count: int
    zeros: int
    nans: int
    infinite: int
    largest: float
    """The largest absolute value; infinite where one is NaN or infinite."""

    @property
    def finite(self) -> bool:
        return self.largest < math.inf

    @property
    def vanishes(self) -> bool:
        return 0 < self.count == self.zeros


def _size(value: Any) -> _Size | None:
    array = array_of(value)
    if array is None and hasattr(value, "to_dense"):
        array = array_of(value.to_dense())
    if array is None:
        return None
    if not array.size:
        return _Size(0, 0, 0, 0, 0.0)
    largest = float(np.abs(array).max())
    zeros = int(array.size - np.count_nonzero(array))
    if math.isfinite(largest):
        return _Size(array.size, zeros, 0, 0, largest)
    return _Size(array.size, zeros, int(np.isnan(array).sum()), int(np.isinf(array).sum()), math.inf)


def _is_zero(size: _Size | None) -> bool:
    return size is not None and size.vanishes


def _is_bad(size: _Size | None) -> bool:
    return size is not None and not size.finite


@dataclass(frozen=True, slots=True)
class _Turn:
    """Where a gradient became 0, or NaN.

    Args:
        number: the node.
        output: at which of its outputs.
        edge: the edge along which it handed on what was 0 or NaN; ``None`` where it became so before: as the sum of what
            arrived, or as what the pass began with.
        onward: the edges from there to the parameter.
        way: the edges from the loss to the parameter, by this node.
    """

    number: int
    output: int
    edge: Edge | None
    onward: tuple[Edge, ...]
    way: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True)
class _Step:
    """By how much a gradient shrank (or grew, of one that is huge) at a node.

    Args:
        change: the logarithm of the factor, negative for the worse.
        number: the node.
        edge: what it handed on; ``None`` where it is the sum of what arrived there that is smaller, or greater.
    """

    change: float
    number: int
    edge: Edge | None = None


class _Search:
    """One graph, and the pass that was followed through it."""

    def __init__(self, loss: Any, names: Mapping[str, Any], gradient: Any, tiny: float) -> None:
        self.loss, self.tiny, self.names = loss, tiny, names
        self.graph = _read(loss, names)
        self.passing: Pass = follow(self.graph, loss, gradient)
        self.begin = self.passing.arrived[0][self.graph.output]
        self.given = gradient is not None
        self.loss_name = next((name for name, t in names.items() if t is loss and name != "parameter"), "the loss")
        self.incoming: list[list[Edge]] = [[] for _ in self.graph.nodes]
        for edge in self.graph.edges:
            self.incoming[edge.head].append(edge)
        self.surrogates = [edge for edge in self.graph.edges if edge.kind == "surrogate"]
        self.stopping = [edge for edge in self.graph.edges if edge.kind in ("missing", "zero") and not edge.harmless]
        self.hooked = _hooked(self.graph, names)
        self._handed: dict[tuple[int, int], _Size | None] = {}
        self._arrived: dict[tuple[int, int], _Size | None] = {}
        self._main: dict[tuple[int, int | None], Edge | None] = {}

    # what the numbers are

    def handed(self, edge: Edge) -> _Size | None:
        """The size of what went along an edge."""
        key = edge.tail, edge.slot
        if key not in self._handed:
            self._handed[key] = _size(self.passing.along(edge))
        return self._handed[key]

    def arrived(self, number: int, output: int) -> _Size | None:
        """The size of what arrived at an output of a node."""
        key = number, output
        if key not in self._arrived:
            self._arrived[key] = _size(self.passing.arrived[number].get(output))
        return self._arrived[key]

    def main_output(self, number: int) -> int:
        """The output of a node at which most arrived."""
        there = self.passing.arrived[number]
        if len(there) < 2:
            return next(iter(there), 0)
        return max(there, key=lambda output: size.largest if (size := self.arrived(number, output)) else 0.0)

    def largest(self, number: int) -> float:
        """The largest element of all that arrived at a node, or 0."""
        size = self.arrived(number, self.main_output(number))
        return size.largest if size else 0.0

    def contributions(self, number: int, output: int) -> list[Edge]:
        """The edges along which something came to an output of a node."""
        edges = self.incoming[number]
        return [edge for edge in edges if edge.output == output and self.passing.along(edge) is not None]

    # ways

    def main_way(self, number: int, output: int | None = None) -> tuple[Edge, ...]:
        """The way by which most of a node's gradient came: at each meeting, that of the largest contribution."""
        edges: list[Edge] = []
        while number and (edge := self.main_edge(number, output)) is not None:
            edges.append(edge)
            number, output = edge.tail, None
        return tuple(reversed(edges))

    def main_edge(self, number: int, output: int | None) -> Edge | None:
        """The edge that brought most to an output of a node, by default the one at which most arrived."""
        key = number, output
        if key not in self._main:  # every leaf is asked about, and the ways to all of them begin alike
            candidates = self.contributions(number, self.main_output(number) if output is None else output)
            self._main[key] = max(
                candidates, key=lambda edge: size.largest if (size := self.handed(edge)) else 0.0, default=None
            )
        return self._main[key]

    def leading_to(self, number: int, kinds: Iterable[str] | None = None) -> set[int]:
        """The nodes from which a way leads to a node, by edges of some kinds, and the node itself."""
        seen, stack = {number}, [number]
        while stack:
            for edge in self.incoming[stack.pop()]:
                if edge.tail not in seen and (kinds is None or edge.kind in kinds):
                    seen.add(edge.tail)
                    stack.append(edge.tail)
        return seen

    def onward(self, number: int, end: int, leading: set[int]) -> tuple[Edge, ...]:
        """The shortest way from a node to another."""
        came_by: dict[int, Edge | None] = {number: None}
        queue = deque([number])
        while queue and end not in came_by:
            for edge in self.graph.nodes[queue.popleft()].edges:
                if edge.head in leading and edge.head not in came_by:
                    came_by[edge.head] = edge
                    queue.append(edge.head)
        edges: list[Edge] = []
        while (edge := came_by.get(end)) is not None:  # type: ignore[assignment]
            edges.append(edge)
            end = edge.tail
        return tuple(reversed(edges))

    def turns(self, number: int, output: int, is_so: Callable[[_Size | None], bool], *, all_of: bool) -> list[_Turn]:
        """Where a gradient became what it is at a node: 0, or not finite.

        Args:
            number: the node.
            output: which output.
            is_so: whether a gradient is.
            all_of: whether a sum is so only if all its parts are: it is with 0; with NaN, one part is enough.
        """
        follows: dict[tuple[int, int], Edge | None] = {(number, output): None}
        stack, found = [(number, output)], dict[int, _Turn]()

        def turned(where: int, edge: Edge | None, here: tuple[int, int]) -> None:
            onward, output = [edge] if edge is not None else [], here[1]
            while (step := follows[here]) is not None:
                onward.append(step)
                here = step.head, step.output
            found.setdefault(where, _Turn(where, output, edge, tuple(onward)))

        while stack:
            here = stack.pop()
            edges = self.contributions(*here)
            parts = [edge for edge in edges if is_so(self.handed(edge))]
            if not parts or (all_of and len(parts) < len(edges)):
                turned(here[0], None, here)
                continue
            for edge in parts:
                there = self.passing.arrived[edge.tail]
                outputs = [output for output in there if is_so(self.arrived(edge.tail, output))]
                if not outputs or (all_of and len(outputs) < len(there)):
                    turned(edge.tail, edge, here)
                    continue
                for output in outputs:
                    if (edge.tail, output) not in follows:
                        follows[edge.tail, output] = edge
                        stack.append((edge.tail, output))
        ordered = sorted(found.values(), key=lambda turn: turn.number)
        return [self.with_way(turn) for turn in ordered[: FEW + 1]] + ordered[FEW + 1 :]

    def with_way(self, turn: _Turn) -> _Turn:
        return _Turn(turn.number, turn.output, turn.edge, turn.onward, self.main_way(turn.number) + turn.onward)

    # answers

    def notes(self) -> tuple[str, ...]:
        size = _size(self.loss)
        if self.given or size is None or size.count == 1:
            return ()
        return (
            f"{self.loss_name} has {size.count} elements: the pass begins with ones, as if {self._sum()} was meant.",
        )

    def hooks(self, number: int | None = None) -> Iterator[str]:
        """What there is to say of hooks on the ways to a node; by default, of all."""
        ahead = self.leading_to(number, WIRED) if number is not None and self.hooked else None
        hooked = [_called(self.graph.nodes[n]) for n in self.hooked if ahead is None or n in ahead]
        if hooked:
            yield f"There are hooks at {_listed(hooked, FEW)}. They do not run here, and may change the gradient on its way."

    def _sum(self) -> str:
        return "its sum" if " " in self.loss_name else f"{self.loss_name}.sum()"

    def name_of(self, t: Any) -> str:
        return next((name for name, each in self.names.items() if each is t), "parameter")

    def answer(self, t: Any) -> Explanation:
        """The answer for a tensor."""
        node = self.graph.find(t)
        if node is None or node.kind not in ("operation", "sampling", "flat", "leaf"):
            return self.outside(t, self.name_of(t))
        output = int(getattr(t, "output_nr", 0) or 0) if t.grad_fn is not None else 0
        return self.answer_for(node, output, self.name_of(t), t)

    def answer_for(self, node: Node, output: int, name: str = "", t: Any = None) -> Explanation:
        """The answer for an output of a node that is in the graph; ``t``, its tensor, may be unknown for what is no leaf."""
        if node.kind == "leaf":
            t = node.value
        if not name or name == "parameter":
            name = node.names[0] if node.names else f"leaf #{node.number}"
        g = self.passing.at(node, output)
        size = self.arrived(node.number, output)
        make = _Answer(self, node, output, name, t, g, size)
        if node.number == 0 and output == self.graph.output:
            return make.loss()
        if node.kind == "leaf" and t.requires_grad is False:
            return make.frozen()
        if self.passing.failures:
            failed = self.leading_to(node.number, WIRED) & self.passing.failures.keys()
            if failed:
                return make.unknown(min(failed))
        if g is None:
            return make.none()
        if size is None:
            return make.flows()
        if size.vanishes:
            return make.zero()
        if not size.finite:
            return make.not_finite()
        begin = _size(self.begin)
        start = begin.largest if begin else 1.0
        if size.count and size.largest < self.tiny * start:
            return make.out_of_proportion("tiny", start)
        if start and size.largest > start / self.tiny:
            return make.out_of_proportion("huge", start)
        return make.flows()

    def outside(self, t: Any, name: str) -> Explanation:
        """The answer for a tensor that is not in the graph, or only as a number."""
        loss = self.loss_name
        if not t.requires_grad:
            reason = f"{name}.requires_grad is False: what is computed from {name} is not recorded."
            whole = any(kind in str(t.dtype) for kind in ("int", "bool"))
            cast = (
                f"a floating-point dtype for {name}, since integers and bools carry no gradient; then " if whole else ""
            )
            remedy = f"{cast}{name}.requires_grad_() before {loss} is computed, if a gradient is wanted"
            return self._no_way(name, reason, (remedy,), brief="requires_grad is False")
        if t.grad_fn is not None:
            leaves = {id(n.value) for n in read_named(t, {}).nodes if n.kind == "leaf"}
            shared = [_plain_name(n) for n in self.graph.nodes if n.kind == "leaf" and id(n.value) in leaves]
            reason = f"{_start(loss)} was not computed from {name}, which {t.grad_fn.name()} made."
            if shared:
                reason += f" Both were computed from {_listed(shared, FEW)}, each by its own way."
            remedies = (
                f"compute {loss} from {name} itself, after {name} was made",
                f"update a parameter in place, under no_grad(): {name} = {name} - … makes a new tensor, which is no leaf",
            )
            return self._no_way(name, reason, remedies, brief="not used by the loss")
        lent = [n for n in self.graph.nodes if n.kind == "constant" and name in n.names]
        if lent:
            edge = self.incoming[lent[0].number][0]
            way = (*self.main_way(edge.tail), edge)
            reason = (
                f"{_called(self.graph.nodes[edge.tail])} uses the numbers in the memory of {name} as a constant. "
                f"{name}.detach(), {name}.data, and a view made under no_grad() leave the graph so: the same numbers, "
                "without a way back."
            )
            brief = f"detached: a constant in #{edge.tail}"
            return self._no_way(name, reason, (f"use {name} itself there",), edge.tail, way, brief)
        traced = any(hasattr(node.item, "sources") for node in self.graph.nodes)
        gone = [
            edge for edge in self.graph.edges if edge.kind == "missing" and self.graph.nodes[edge.head].kind == "cut"
        ]
        if gone:
            edge = gone[0]
            cut = self.graph.nodes[edge.head]
            way = (*self.main_way(edge.tail), edge)
            reason = (
                f"No way leads to {name} in the graph. But {_called(self.graph.nodes[edge.tail])} was given a value that "
                f"{edge.label} cut off from {cut.origin_name or 'its history'}, and what that was computed from is "
                f"forgotten: {name} may lie behind it. {edge.reason}"
            )
            brief = f"perhaps cut by {edge.label} before #{edge.tail}"
            return self._no_way(name, reason, edge.remedies, edge.tail, way, brief)
        reason = (
            f"No way leads from {loss} to {name}: it was computed without {name}, or from a mere copy of its numbers. "
            + ("" if traced else "PyTorch keeps no record of what cuts a tensor off, so the graph cannot say which. ")
            + "The usual causes are listed below."
        )
        causes = [
            f"{name} was not used at all, or was made anew after {loss} was computed",
            f"numbers were taken out and put back: {name}.item(), {name}.numpy(), {name}.tolist()",
        ]
        if not traced:
            causes += [
                f"{name}.detach(), {name}.data, torch.tensor({name}), or a block under no_grad()",
                "a step without derivative: argmax, a comparison such as x > 0, a cast to integers",
                "sample() of a distribution: rsample() hands a gradient on, where there is one",
            ]
        return self._no_way(name, reason, tuple(causes), brief="no way from the loss")

    def _no_way(
        self,
        name: str,
        reason: str,
        remedies: tuple[str, ...],
        place: int | None = None,
        way: tuple[Edge, ...] = (),
        brief: str = "",
    ) -> Explanation:
        return Explanation(
            verdict="none",
            parameter=name,
            reason=reason,
            remedies=remedies,
            place=place,
            path=_numbers(way),
            notes=self.notes(),
            graph=self.graph,
            _headline=f"No gradient reaches {name}: backward() leaves {name}.grad as it is.",
            _brief=brief,
            _way=way,
            _remarks={} if place is None else {place: f"#{place}: no gradient goes to {name}"},
        )


def _read(loss: Any, names: Mapping[str, Any]) -> Graph:
    try:
        graph = read_named(loss, names)
    except ValueError:
        graph = None
    root = graph.nodes[0] if graph is not None else None
    if graph is not None and root is not None and root.kind in ("operation", "sampling", "flat", "leaf"):
        return graph
    said = "loss has no graph to explain: it has no grad_fn and does not require grad, and its backward() raises an error. "
    cuts = [edge for edge in root.edges if edge.kind == "missing"] if root is not None else []
    if cuts:
        said += f"It was cut off by {cuts[0].label}: {cuts[0].reason}"
        said += "".join(f" Instead: {remedy}." for remedy in cuts[0].remedies[:1])
    else:
        said += (
            "Either nothing that it was computed from requires grad, or it was computed under no_grad(), or detached. Set "
            "requires_grad=True on what you want a gradient for before you compute with it."
        )
    raise ValueError(said)


def _hooked(graph: Graph, names: Mapping[str, Any]) -> list[int]:
    """The operations at which hooks may change a gradient, as far as can be seen: PyTorch tells it of known tensors alone."""
    tensors = {id(t.grad_fn) for t in names.values() if t.grad_fn is not None and getattr(t, "_backward_hooks", None)}
    return [
        node.number
        for node in graph.nodes
        if node.kind != "leaf"
        and (
            id(node.item) in tensors
            or node.title == "BackwardHookFunctionBackward"  # of a module's full backward hooks
            or getattr(declared(node.item, "notes"), "hooks", None)
        )
    ]


def _numbers(way: Sequence[Edge]) -> tuple[int, ...]:
    return (way[0].tail, *(edge.head for edge in way)) if way else ()


def _plain_name(node: Node) -> str:
    return node.names[0] if node.names else f"leaf #{node.number}"


def _start(sentence: str) -> str:
    """With a capital letter, but for names of variables."""
    return sentence[:1].upper() + sentence[1:] if " " in sentence else sentence


# ------------------------------------------------------------------------------------------------------- one answer made


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer for an output of a node of the graph, in the making."""

    search: _Search
    node: Node
    output: int
    name: str
    t: Any
    g: Any
    size: _Size | None

    def _made(
        self,
        verdict: Verdict,
        headline: str,
        reason: str,
        *,
        remedies: Iterable[str] = (),
        place: int | None = None,
        way: tuple[Edge, ...] = (),
        notes: Iterable[str] = (),
        brief: str = "",
        remarks: Mapping[int, str] | None = None,
    ) -> Explanation:
        return Explanation(
            verdict=verdict,
            parameter=self.name,
            reason=reason,
            remedies=tuple(dict.fromkeys(remedies))[:5],
            place=place,
            path=_numbers(way) or (0,) * (self.node.number == 0),
            gradient=self.g,
            notes=(*list(notes)[:FEW], *self._about_grad(verdict), *self.search.notes()),
            graph=self.search.graph,
            _headline=headline,
            _brief=brief or reason,
            _way=way,
            _zeros=frozenset(
                (e.tail, e.slot) for e in itertools.takewhile(lambda e: _is_zero(self.search.handed(e)), reversed(way))
            ),
            _remarks={number: f"#{number}: {text}" for number, text in (remarks or {}).items()},
        )

    @property
    def _grad(self) -> str:
        return "its .grad" if "#" in self.name else f"{self.name}.grad"

    def _about_grad(self, verdict: Verdict) -> Iterator[str]:
        """What ``.grad`` holds, where that is not what the answer makes one expect."""
        name, grad, t = self.name, self._grad, self.t
        if self.node.kind != "leaf":
            if (
                getattr(t, "retains_grad", False) is not True
                and verdict not in ("none", "unknown")
                and self.node.number
            ):
                yield (
                    f"{name} is no leaf, and {name}.grad stays None. To have it kept, call {name}.retain_grad() before "
                    "backward(). A parameter that is to be trained has to be a leaf."
                )
        elif verdict == "none":
            if t.grad is not None:
                yield f"{_start(grad)} holds {show(t.grad)}, which came from another pass, or was put there by hand."
        elif verdict == "unknown":
            held = (
                "is None"
                if t.grad is None
                else f"holds {show(t.grad)}: the sum of all passes since it was last cleared"
            )
            yield f"{_start(grad)} {held}."
        elif t.grad is None:
            yield f"{_start(grad)} is None as yet: no backward() ran since, or zero_grad() cleared it."
        yield from self.search.hooks(self.node.number)
        hooks = getattr(t, "_backward_hooks", None) or getattr(getattr(self.node.item, "notes", None), "hooks", None)
        if hooks and self.node.kind == "leaf":
            yield f"{name} has hooks, which do not run here: they may change what backward() puts into {grad}."

    def loss(self) -> Explanation:
        reason = "It is the tensor itself that the pass begins with, " + (
            "and this is what it was given." if self.search.given else "and it begins with 1."
        )
        return self._made("flows", f"The gradient of {self.name} is {show(self.g)}.", reason, brief="the loss itself")

    def frozen(self) -> Explanation:
        name = self.name
        said = "" if self.g is None else f" What arrives there is {show(self.g)}."
        reason = f"{name}.requires_grad was set to False after {self.search.loss_name} was computed from it.{said}"
        return self._made(
            "none",
            f"No gradient is put into {self._grad}: {name} is frozen.",
            reason,
            remedies=(f"{name}.requires_grad_(), if it is to be trained",),
            way=self.search.main_way(self.node.number, self.output),
            brief="requires_grad is False",
        )

    # unknown

    def unknown(self, failed: int) -> Explanation:
        search, name = self.search, self.name
        graph = search.graph
        message = " ".join(search.passing.failures[failed].split())
        place = _called(graph.nodes[failed])
        freed, not_asked = was_freed(message), NOT_ASKED.get(graph.nodes[failed].title)
        if not_asked is not None:
            why = f"{place} was not asked what it hands on: {not_asked}"
        elif freed:
            why = f"What {place} had saved for its gradient was freed by backward(), so the pass cannot be followed through it."
        else:
            said = textwrap.shorten(message, 200, placeholder=" …")
            why = f"{place} raises an error when it is asked what it hands on, and so does backward(): {said}"
        remedies = [
            f"call explain() before backward(), or backward(retain_graph=True); or compute {search.loss_name} anew"
        ] * freed
        leading = search.leading_to(self.node.number, WIRED)
        way = (*search.main_way(failed), *search.onward(failed, self.node.number, leading))
        stopped = [edge for edge in self._stopped(leading, by_wires=True) if edge.kind == "zero"]
        held = _size(getattr(self.t, "grad", None) if self.node.kind == "leaf" else None)
        if self.node.receives == "zeros" and stopped and (held is None or held.vanishes or not held.count):
            edge = stopped[0]
            place_of = graph.nodes[edge.tail]
            way = self._by(edge, leading)
            return self._made(
                "zero",
                f"Only zeros can reach {name}.",
                f"By its wires alone: {_called(place_of)} hands back zeros. {edge.reason} ({why})",
                remedies=edge.remedies,
                place=edge.tail,
                way=way,
                brief=f"only zeros pass #{edge.tail} {place_of.title}",
                remarks={edge.tail: "hands back zeros"},
            )
        wires = "By the wires, a gradient can reach it." if self.node.receives == "gradient" else ""
        return self._made(
            "unknown",
            f"What gradient reaches {name} cannot be said{' any more' * freed}.",
            f"{why} {wires}".strip(),
            remedies=remedies,
            place=failed,
            way=way,
            brief=f"#{failed} {'was freed by backward()' if freed else 'was not asked' if not_asked else 'raises an error'}",
            remarks={failed: "freed by backward()" if freed else "not asked" if not_asked else "raises an error"},
        )

    # none

    def _stopped(self, leading: set[int], *, by_wires: bool = False) -> list[Edge]:
        """The edges that stop a gradient on the ways to this node, and to whose begin one comes."""
        search, nodes = self.search, self.search.graph.nodes
        return [
            edge
            for edge in search.stopping
            if edge.head in leading
            and (nodes[edge.tail].receives == "gradient" if by_wires else search.largest(edge.tail) > 0)
        ]

    def _by(self, edge: Edge, leading: set[int]) -> tuple[Edge, ...]:
        """The way from the loss to this node that takes an edge."""
        search = self.search
        return (*search.main_way(edge.tail), edge, *search.onward(edge.head, self.node.number, leading))

    def none(self) -> Explanation:
        search, name, graph = self.search, self.name, self.search.graph
        leading = search.leading_to(self.node.number)
        missing = [
            edge
            for edge in graph.edges
            if edge.kind == "missing" and edge.head in leading and search.passing.arrived[edge.tail]
        ]
        silent = [
            edge
            for edge in graph.edges
            if edge.kind in WIRED
            and edge.head in leading
            and search.passing.arrived[edge.tail]
            and search.passing.along(edge) is None
        ]
        edges = missing + silent
        if not edges:
            reason = f"{_start(search.loss_name)} was not computed from this output of {_called(self.node)}."
            return self._made("none", f"No gradient reaches {name}.", reason, brief="not used by the loss")
        edge = edges[0]
        at = _called(graph.nodes[edge.tail])
        if edge in silent:
            reason = f"{at} hands on nothing, None, to this input: its backward says so."
            remedies: tuple[str, ...] = ("a gradient from that backward(), if one is wanted",)
            brief = f"#{edge.tail} {graph.nodes[edge.tail].title} hands on None"
        else:
            what = edge.label or "a step that was not recorded"
            reason = f"Before {at} the way is cut" if edge.label else at
            reason += f": {edge.reason}" if edge.reason.startswith(edge.label) else f", by {what}: {edge.reason}"
            remedies = edge.remedies
            brief = f"cut by {what} before #{edge.tail} {graph.nodes[edge.tail].title}"
        others = list(dict.fromkeys(_called(graph.nodes[e.tail]) for e in edges[1:] if e.tail != edge.tail))
        if others:
            reason += f" The other ways are cut as well, before {_listed(others, FEW)}."
        headline = f"No gradient reaches {name}: backward() leaves {self._grad} as it is."
        return self._made(
            "none",
            headline,
            reason,
            remedies=remedies,
            place=edge.tail,
            way=self._by(edge, leading),
            brief=brief,
            remarks={edge.tail: f"cut here: {edge.label or 'None is handed on'}"},
        )

    # zero

    def zero(self) -> Explanation:
        search, size = self.search, self.size
        assert size is not None
        turns = search.turns(self.node.number, self.output, _is_zero, all_of=True)
        besides = "By another way: "
        leading = search.leading_to(self.node.number, WIRED)
        if self.node.receives == "zeros" and not any(t.edge is not None and t.edge.kind == "zero" for t in turns):
            # The numbers became 0 before, but the wires would let no other through.
            edges = [edge for edge in self._stopped(leading, by_wires=True) if edge.kind == "zero"]
            stops = [_Turn(e.tail, 0, e, (), self._by(e, leading)) for e in edges[:FEW]]
            turns, besides = stops + turns, "The numbers are 0 even before: "
        elif self.node.receives != "zeros":
            turns.sort(key=lambda t: t.edge is not None and t.edge.kind == "zero")  # first the ways that could be alive
        first = turns[0]
        reason, remedies, brief = self._why_zero(first)
        notes = []
        nodes = search.graph.nodes
        alike = [turn for turn in turns[1:] if turn.edge and _base(nodes[turn.number]) == _base(nodes[first.number])]
        if alike:
            notes.append(
                f"By other ways, the same happens at {_listed([_called(nodes[t.number]) for t in alike], FEW)}."
            )
        others = [turn for turn in turns[1:] if all(turn is not each for each in alike)]
        for turn in others[: FEW - 1]:
            said, more, _ = self._why_zero(turn)
            notes.append(besides + said[:1].lower() + said[1:])
            remedies += more[:1]
        if len(others) >= FEW:
            notes.append(f"There are {len(others) - FEW + 1} more places where a part of it becomes 0.")
        remarks = {turn.number: self._remark(turn, "0") for turn in turns[: FEW + 1]}
        shape = f"in all {size.count} elements" if size.count > 1 else "exactly"
        place, way = self._place(first)
        if place != first.number:
            remarks[place] = "the other elements get 0"
        return self._made(
            "zero",
            f"The gradient of {self.name} is 0, {shape}.",
            reason,
            remedies=remedies,
            place=place,
            way=way,
            notes=notes,
            brief=brief,
            remarks=remarks,
        )

    def _place(self, turn: _Turn) -> tuple[int, tuple[Edge, ...]]:
        """The node to point at: what merely sorts elements is not to blame, but who left this one out."""
        if turn.edge is not None and _base(self.search.graph.nodes[turn.number]) in SORTING:
            maker = self._maker(turn.way)
            if maker is not None and maker < turn.number:
                return maker, turn.way
        return turn.number, turn.way

    def _maker(self, way: Sequence[Edge]) -> int | None:
        """The last node on a way that handed on zeros where none had arrived."""
        for edge in reversed(way):
            arrived = [self.search.arrived(edge.tail, output) for output in self.search.passing.arrived[edge.tail]]
            handed = self.search.handed(edge)
            if handed and handed.zeros and not handed.vanishes and all(size and not size.zeros for size in arrived):
                return edge.tail
        return None

    def _remark(self, turn: _Turn, what: str) -> str:
        if turn.edge is None:
            return f"what arrives adds up to {what}"
        if turn.edge.kind == "zero":
            return "hands back zeros"
        before = self._at_node(turn.number, limit=4)
        return f"{before} becomes {show(self.search.passing.along(turn.edge), limit=4)}"

    def _at_node(self, number: int, limit: int = 8) -> str:
        there = self.search.passing.arrived[number]
        return show(there[self.search.main_output(number)], limit=limit)

    def _brought(self, edges: Sequence[Edge]) -> str:
        passing, nodes = self.search.passing, self.search.graph.nodes
        return _listed([f"{show(passing.along(e), limit=4)} from {_called(nodes[e.tail])}" for e in edges], FEW)

    def _why_zero(self, turn: _Turn) -> tuple[str, tuple[str, ...], str]:
        """The reason, what to do, and the reason in few words."""
        search, graph = self.search, self.search.graph
        node, edge = graph.nodes[turn.number], turn.edge
        at = _called(node)
        title = f"#{node.number} {node.title}" if node.kind != "leaf" else f"#{node.number}"
        if edge is None:
            parts = search.contributions(turn.number, turn.output)
            if not parts:
                return "The pass began with zeros: gradient= holds nothing else.", (), "the pass began with zeros"
            reason = f"At {at} the contributions of {len(parts)} ways cancel: {self._brought(parts)}."
            return reason, (STATIONARY,), f"{len(parts)} contributions cancel at {title}"
        if edge.kind == "zero":
            if edge.harmless:
                return f"{at}: {edge.reason}", (), f"written over at {title}"
            return f"{at} hands back zeros. {edge.reason}", edge.remedies, f"only zeros pass {title}"
        handed = search.passing.along(edge)
        to = _called(graph.nodes[edge.head])
        at_values = "" if _base(node) in SORTING else _at_values(graph, node, edge.slot)
        said = (
            f"It becomes 0 at {at}: what arrived is {self._at_node(node.number)}, and what it hands on to {to} is "
            f"{show(handed)}{f', for {at_values}' if at_values else ''}."
        )
        how = self._how_zero(node, edge)
        base = _base(node)
        why, remedies = ZERO.get(base, ("", ()))
        if how == "user":
            return f"{said} Its backward() says so.", (), f"backward() of {title} hands back 0"
        if how == "flat":
            if why == FACTOR and (factor := self._factor_of_zero(node, edge)):
                why = f"The other factor, {factor}, is 0, and it is the derivative."
            return f"{said} {why or 'Its derivative is 0 there.'}", remedies, f"derivative 0 at {title}"
        if how == "underflow":
            dtype = str(getattr(handed, "dtype", "its dtype")).removeprefix("torch.")
            said += f" The product is smaller than the smallest number that {dtype} holds, and was rounded to 0: it underflowed."
            return said, ("float64, or factors of a more ordinary size",), f"underflows at {title}"
        if how == "cancels":
            why = CANCELLING.get(base, "The parts that it adds up cancel.")
            return f"{said} {why}", (STATIONARY,), f"parts cancel at {title}"
        maker = self._maker(turn.way) if base in SORTING else None
        if maker is not None and maker < node.number:
            other = graph.nodes[maker]
            said += f" The zeros that arrived there come from {_called(other)}"
            value = _at_values(graph, other, 0)
            said += f", {value}" if value and _base(other) not in SORTING else ""
            said += ": of what it was given, it used other elements only."
            why, remedies = ZERO.get(_base(other), ("", remedies))
            return said, remedies, f"not used by #{maker} {other.title}"
        why = why or "Where a gradient arrived, its derivative is 0."
        return f"{said} {why}", remedies, f"derivative 0 at {title}"

    def _how_zero(self, node: Node, edge: Edge) -> Literal["flat", "underflow", "cancels", "elsewhere", "user"]:
        """Why something became 0, found out by asking the node again, about other gradients."""
        there = self.search.passing.arrived[node.number]
        if not _may_be_asked(node):
            return "user"
        # Irregular numbers: a sum of ones may cancel by chance, that of square roots does not.
        probe = self._asked(node, edge, {output: _irregular(g) for output, g in there.items()})
        if _is_zero(_size(probe)):
            return "flat"
        g = next(iter(there.values()))
        arrived, derivative, asked = array_of(g), array_of(probe), array_of(_irregular(g))
        if arrived is None or derivative is None or asked is None:
            return "elsewhere"
        if len(there) == 1 and arrived.shape == derivative.shape:
            product = np.abs(arrived.astype(np.float64)) * np.abs(derivative / asked).astype(np.float64)
            if not product.any():
                return "elsewhere"
            # array_of turns the numbers of half precision into others; and a cast hands on another dtype than arrived
            least = 6.1e-5 if str(probe.dtype) == "torch.float16" else np.finfo(derivative.dtype).tiny
            return "underflow" if product.max() < least else "cancels"
        positive = self._asked(node, edge, {output: each.abs() for output, each in there.items()})
        return "elsewhere" if _is_zero(_size(positive)) else "cancels"

    def _factor_of_zero(self, node: Node, edge: Edge) -> str:
        """What the other factor of a product is called, where it was computed."""
        heads = [self.search.graph.nodes[e.head] for e in node.edges if e.slot != edge.slot]
        return _called(heads[0]) if len(heads) == 1 and heads[0].kind not in ("constant", "noise") else ""

    def _asked(self, node: Node, edge: Edge, gradients: dict[int, Any]) -> Any:
        handed = hand_on(node, gradients, self.search.begin)
        return handed[edge.slot] if edge.slot < len(handed) else None

    # NaN and infinity

    def not_finite(self) -> Explanation:
        search, graph, size = self.search, self.search.graph, self.size
        assert size is not None
        turns = search.turns(self.node.number, self.output, _is_bad, all_of=False)
        first = turns[0]
        verdict: Verdict = "nan" if size.nans else "infinite"
        what = "NaN" if size.nans else "infinite"
        reason, remedies, brief, remarks = self._why_not_finite(first)
        origin = search.arrived(first.number, first.output) if first.edge is None else search.handed(first.edge)
        if size.nans and origin is not None and not origin.nans:
            # Infinity came first, and NaN of it later.
            makers = [e.tail for e in first.onward if (handed := search.handed(e)) is not None and handed.nans]
            maker = graph.nodes[makers[0]] if makers else self.node
            reason += f" Of infinity, {_called(maker)} makes NaN: 0 · ∞ and ∞ − ∞ are NaN."
        if any(_base(graph.nodes[edge.tail]) == "Where" for edge in first.way) and "0 · ∞" in reason:
            remedies = (DOUBLE_WHERE, *remedies)
        remedies += (ANOMALY,) * (verdict == "nan")
        others = [_called(graph.nodes[turn.number]) for turn in turns[1:]]
        notes = [f"It begins at {_listed(others, FEW)} as well."] if others else []
        count = f" in {size.nans or size.infinite} of {size.count} elements" if size.count > 1 else ""
        return self._made(
            verdict,
            f"The gradient of {self.name} is {what}{count}: {show(self.g)}.",
            reason,
            remedies=remedies,
            place=first.number,
            way=first.way,
            notes=notes,
            brief=brief,
            remarks=remarks,
        )

    def _why_not_finite(self, turn: _Turn) -> tuple[str, tuple[str, ...], str, dict[int, str]]:
        search, graph = self.search, self.search.graph
        node, edge = graph.nodes[turn.number], turn.edge
        at = _called(node)
        title = f"#{node.number} {node.title}"
        if edge is None:
            parts = search.contributions(turn.number, turn.output)
            if not parts:
                reason = f"The pass began with {show(search.begin)}: gradient= is not finite."
                return reason, (), "the pass began so", {0: "begins here"}
            reason = f"At {at} finite contributions add up to infinity: {self._brought(parts)}."
            return reason, SMALLER, f"overflows at {title}", {turn.number: "the sum overflows"}
        handed, size = search.passing.along(edge), search.handed(edge)
        what = "NaN" if size is not None and size.nans else "infinity"
        at_values = _at_values(graph, node, edge.slot)
        reason = (
            f"Up to {at} the gradient is finite: what arrived there is {self._at_node(node.number)}. What it hands on is "
            f"{show(handed)}{f', for {at_values}' if at_values else ''}."
        )
        remarks = {turn.number: self._remark(turn, what)}
        remedies: tuple[str, ...] = NOT_FINITE.get(_base(node), ())
        heads = {_base(graph.nodes[e.head]) for e in node.edges}
        for (outer, inner), better in BETTER_TOGETHER.items():
            if _base(node) == outer and inner in heads:
                remedies = (better, *remedies)
        origin = self._first_bad_value(node)
        if origin is not None and origin is not node:
            value = _size(origin.value)
            kind = "NaN" if value is not None and value.nans else "infinite"
            reason += f" The forward values are {kind} already: first in {_called(origin)} = {show(origin.value)}"
            origin_values = _at_values(graph, origin, None)
            reason += f", which is {origin_values}." if origin_values else "."
            remarks[origin.number] = f"the value is {kind}"
            return (
                reason,
                (*NOT_FINITE.get(_base(origin), ()), *remedies),
                f"forward value {kind} at #{origin.number} {origin.title}",
                remarks,
            )
        return f"{reason} {self._how_not_finite(node, edge)}".strip(), remedies, f"{what} begins at {title}", remarks

    def _how_not_finite(self, node: Node, edge: Edge) -> str:
        there = self.search.passing.arrived[node.number]
        if not _may_be_asked(node) or len(there) != 1:
            return ""
        g = next(iter(there.values()))
        arrived = array_of(g)
        derivative = array_of(self._asked(node, edge, {output: g.clone().fill_(1) for output, g in there.items()}))
        handed = array_of(self.search.passing.along(edge))
        if (
            arrived is None
            or derivative is None
            or handed is None
            or not arrived.shape == derivative.shape == handed.shape
        ):
            return ""
        bad = ~np.isfinite(handed)
        if np.isnan(derivative[bad]).any() and (arrived[bad] != 0).any():
            return "Its derivative is NaN there."
        if (np.isinf(derivative) & (arrived == 0) & bad).any():
            return "Its derivative is infinite there, and 0 · ∞ is NaN."
        if np.isinf(derivative[bad]).any():
            return "Its derivative is infinite there."
        return (
            "The product is larger than the largest number of its dtype: it overflowed."
            if np.isinf(handed).any()
            else ""
        )

    def _first_bad_value(self, node: Node) -> Node | None:
        """The first value, in the order of the computation and as far as values are known, that was not finite, of those behind
        a node that saved such a value; ``None`` where it saved none."""
        nodes = self.search.graph.nodes
        if not any(_is_bad(_size(value)) for value in node.saved.values() if _shown(value)):
            return None
        seen, stack, worst = {node.number}, [node.number], None
        while stack:
            here = nodes[stack.pop()]
            if here.value is not None and _is_bad(_size(here.value)) and (worst is None or here.number > worst.number):
                worst = here  # numbers are topological: nothing that it was computed from has a smaller one
            for edge in here.edges:
                if edge.head not in seen:
                    seen.add(edge.head)
                    stack.append(edge.head)
        return worst

    # tiny and huge

    def out_of_proportion(self, verdict: Literal["tiny", "huge"], start: float) -> Explanation:
        search, graph, size = self.search, self.search.graph, self.size
        assert size is not None
        way = search.main_way(self.node.number, self.output)
        sign = 1 if verdict == "tiny" else -1
        groups: dict[Any, list[_Step]] = {}
        for edge in way:
            handed, before, there = (
                search.handed(edge),
                search.largest(edge.tail),
                search.arrived(edge.head, edge.output),
            )
            if handed and there and handed.largest and there.largest and before:
                step = _Step(sign * math.log(handed.largest / before), edge.tail, edge)
                groups.setdefault(graph.nodes[edge.tail].title, []).append(step)
                if there.largest != handed.largest:
                    groups[edge.head] = [_Step(sign * math.log(there.largest / handed.largest), edge.head)]
        ordered = sorted(groups.values(), key=lambda group: sum(step.change for step in group))
        chosen = [group for group in ordered if sum(step.change for step in group) < -0.01][:FEW]
        worst = [min(group, key=lambda step: step.change) for group in chosen]
        said = [self._factor(group, step, sign) for group, step in zip(chosen, worst, strict=True)]
        verb = "shrinks" if verdict == "tiny" else "grows"
        reason = f"On its way it {verb} from {start:.3g} to {size.largest:.3g}"
        reason += f", most of all at {'; at '.join(said)}." if said else ", a little at each step."
        place = worst[0].number if worst else None
        bases = [_base(graph.nodes[step.number]) for step in worst if step.edge is not None]
        table, general = (SHRINKING, LARGER) if verdict == "tiny" else (GROWING, SMALLER)
        remedies = [remedy for base in bases for remedy in table.get(base, ())[:2]] or list(general)
        amount = f"{size.largest:.3g}"
        headline = f"The gradient of {self.name} is {verdict}: at most {amount}, where it began with {start:.3g}."
        remarks = {
            step.number: f"×{math.exp(sign * step.change):.3g}" + (f", one of {len(group)}" if len(group) > 1 else "")
            for group, step in zip(chosen, worst, strict=True)
        }
        brief = f"{verb} most at {said[0]}" if said else ""
        return self._made(
            verdict, headline, reason, remedies=remedies, place=place, way=way, brief=brief, remarks=remarks
        )

    def _factor(self, group: list[_Step], worst: _Step, sign: int) -> str:
        graph = self.search.graph
        node, factor = graph.nodes[worst.number], math.exp(sign * worst.change)
        if worst.edge is None:
            return f"{_called(node)}, where ways meet and {'nearly cancel' if sign > 0 else 'add up'}, ×{factor:.3g}"
        if len(group) == 1:
            values = _at_values(graph, node, worst.edge.slot)
            return f"{_called(node)}, ×{factor:.3g}" + (f" ({values})" if values else "")
        mean = math.exp(sign * sum(step.change for step in group) / len(group))
        most = f", most at #{worst.number}, ×{factor:.3g}" if abs(math.log(mean / factor)) > 0.05 else ""
        return f"{len(group)} {node.title}, about ×{mean:.3g} each{most}"

    # alive

    def flows(self) -> Explanation:
        search, graph, size = self.search, self.search.graph, self.size
        parts = search.contributions(self.node.number, self.output)
        alive = [edge for edge in parts if not _is_zero(search.handed(edge))]
        if len(alive) == 1:
            reason = f"It comes from {_called(graph.nodes[alive[0].tail])}."
        else:
            reason = f"It is the sum of what {len(alive)} ways bring: {self._brought(alive)}."
        way = search.main_way(self.node.number, self.output)
        leading = search.leading_to(self.node.number) if search.surrogates or search.stopping else set()
        notes = []
        remarks: dict[int, str] = {}
        place = None
        surrogates = [
            edge
            for edge in search.surrogates
            if edge.head in leading and not _is_zero(search.handed(edge)) and search.handed(edge)
        ]
        for edge in surrogates[:2]:
            reason += (
                f" It passed {_called(graph.nodes[edge.tail])}, whose gradient is a surrogate: what arrives is not the "
                f"derivative of what was computed. {edge.reason}"
            )
            remarks[edge.tail] = "a surrogate gradient"
            place = edge.tail if place is None else place
        if surrogates and all(edge is not surrogates[0] for edge in way):
            way = self._by(surrogates[0], leading)
        brief = "by a surrogate, not the derivative" if surrogates else ""
        if size is not None and size.zeros:
            maker = self._maker(way)
            notes.append(
                f"{size.zeros} of its {size.count} elements {'are' if size.zeros > 1 else 'is'} 0"
                + (f": zeros begin at {_called(graph.nodes[maker])}." if maker is not None else ".")
            )
            brief = brief or f"{size.zeros} of {size.count} elements are 0"
        stopped = list({edge.tail: edge for edge in self._stopped(leading)}.values())
        for edge in stopped[: FEW - 1]:
            what = (
                f"is cut before {_called(graph.nodes[edge.tail])}, by {edge.label}"
                if edge.kind == "missing"
                else (f"is stopped at {_called(graph.nodes[edge.tail])}")
            )
            notes.append(f"The gradient comes by the live way. Another one {what}: {edge.reason}")
            remarks[edge.tail] = "another way stops here"
        if stopped:
            brief = brief or f"by the live way; another stops at #{stopped[0].tail}"
        if not brief:
            brief = (
                f"{len(alive)} ways add up"
                if len(alive) > 1
                else f"from #{alive[0].tail} {graph.nodes[alive[0].tail].title}"
                if alive
                else ""
            )
        headline = f"A gradient reaches {self.name}: {show(self.g)}."
        return self._made("flows", headline, reason, place=place, way=way, notes=notes, brief=brief, remarks=remarks)


def _base(node: Node) -> str:
    return node.title.partition("Backward")[0]


def _may_be_asked(node: Node) -> bool:
    """Whether a node's rule may run again: not so where a user wrote it, who may have counted on one call."""
    return callable(node.item) and getattr(node.item, "pure", True) is True


def _irregular(g: Any) -> Any:
    ones = g.detach().clone().fill_(1)
    return (ones.reshape(-1).cumsum(0) ** 0.5).reshape(tuple(ones.shape))


def _at_values(graph: Graph, node: Node, slot: int | None) -> str:
    """What a node computed, and at which values, as far as they are known: ``max(x, 0) at x = [-2, -1]``.

    Args:
        graph: the graph.
        node: an operation.
        slot: the input whose derivative matters: only what that depends on is shown; ``None``: all.
    """
    pairs = getattr(node.item, "next_functions", None) or ()
    entry = formula(node.title, len(pairs))
    if entry is None:
        saved = [
            f"{name} = {show(node.saved[name])}"
            for name in ("input", "other", "result")
            if _shown(node.saved.get(name))
        ]
        return f"saved {', '.join(saved[:2])}" if saved else ""
    used = set(entry.inputs)
    of_result = False
    rule = entry.rules.get(entry.inputs[slot]) if slot is not None and slot < len(entry.inputs) else None
    if rule is not None:
        words = set("".join(c if c.isalnum() or c == "_" else " " for c in rule).split())
        of_result = "out" in words
        used = words & used if words & used else set(entry.inputs) if of_result else set()
    known = []
    for i, name in enumerate(entry.inputs):
        value = _input(graph, node, i)
        if name in used and _shown(value):
            known.append(f"{name} = {show(value)}")
    if not known and used and _shown(node.value):
        return f"{entry.value} = {show(node.value)}"
    return entry.value + (f" at {', '.join(known[:2])}" if known else "")


def _input(graph: Graph, node: Node, slot: int) -> Any:
    """The value of an input, where it is known."""
    saved = node.saved.get("input" if slot == 0 else "other")
    if _shown(saved):
        return saved
    for edge in node.edges:
        if edge.slot == slot and edge.kind != "missing" and edge.output == 0:
            return graph.nodes[edge.head].value
    return None


def _shown(value: Any) -> bool:
    return value is not None and array_of(value) is not None
