"""Which node of one graph is which of another one.

A worked example, of the naive Gaussian ``z = torch.normal(mu, std)`` beside the reparameterised ``z = eps * std + mu``, both
with the cost ``z**2``. The leaves are the same tensors, so they are counterparts; so are, from the root, the two PowBackward0.
Below them NormalBackward3 is no counterpart of AddBackward0, and nothing behind the one is of the kind of something behind
the other: these, and MulBackward0, have none.

Nodes are matched in this order, and a later step takes back nothing: the same objects; the same names; unnamed leaves whose
value is found once in either graph; sub-graphs that are alike down to their leaves; then from the root down, slot by slot,
where a step that is there in one graph alone is passed over; then from counterparts up to what uses them. Noise and
constants follow the operations that they go into. An operation is known by its title without the number at the end, which
tells overloads apart.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from visualize.following import WIRED
from visualize.reading import Edge, Graph, Node
from visualize.values import array_of

__all__ = ["attached", "by_slot", "match", "onward", "wired"]

REACH = 24
"""How many nodes are looked at for a counterpart, where one graph has steps that the other has not."""


def match(a: Graph, b: Graph, known_a: Collection[str] = (), known_b: Collection[str] = ()) -> dict[int, int]:
    """Find the counterparts.

    Args:
        a: the one graph.
        b: the other.
        known_a: all names that were given for ``a``, those of tensors elsewhere, too.
        known_b: likewise for ``b``.

    Returns:
        For each node of ``a`` that has a counterpart, by number, the number of that. No node is there twice.
    """
    return _Matching(a, b, frozenset(known_a), frozenset(known_b)).there[0]


def onward(node: Node) -> list[Edge]:
    """The edges of a node that lead to other steps or leaves, wired or not."""
    return [edge for edge in node.edges if edge.kind not in ("noise", "constant")]


def attached(node: Node) -> list[Edge]:
    """The edges of a node to noise and constants."""
    return [edge for edge in node.edges if edge.kind in ("noise", "constant")]


def by_slot(edges: Iterable[Edge]) -> dict[tuple[int, int], Edge]:
    """Edges by the input that they belong to; of an input of several sources, counted."""
    found: dict[tuple[int, int], Edge] = {}
    for edge in edges:
        again = 0
        while (edge.slot, again) in found:
            again += 1
        found[edge.slot, again] = edge
    return found


def wired(graph: Graph) -> list[bool]:
    """For each node, whether the backward pass comes by."""
    reached = [False] * len(graph.nodes)
    reached[0] = True
    for edge in graph.edges:
        if reached[edge.tail] and edge.kind in WIRED:
            reached[edge.head] = True
    return reached


def _sort(node: Node) -> tuple[str, str]:
    """What nodes have in common that can be counterparts: they are leaves, or steps of one name."""
    if node.kind in ("leaf", "noise", "constant"):
        return node.kind, ""
    return ("cut" if node.kind == "cut" else "operation"), node.title.rstrip("0123456789")


class _Matching:
    def __init__(self, a: Graph, b: Graph, known_a: frozenset[str], known_b: frozenset[str]) -> None:
        self.graphs, self.known = (a, b), (known_a, known_b)
        self.nodes = (a.nodes, b.nodes)
        self.sorts = ([_sort(node) for node in a.nodes], [_sort(node) for node in b.nodes])
        self.there: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.new: deque[tuple[int, int]] = deque()
        """Counterparts whose surroundings are still to be looked at."""
        self.by_identity()
        self.by_name()
        self.by_value()
        self.by_sub_graph(wired(a), wired(b))
        self.by_sub_graph([True] * len(a.nodes), [True] * len(b.nodes))
        self.by_place()
        self.attach()

    def pair(self, i: int, j: int) -> None:
        self.there[0][i], self.there[1][j] = j, i
        self.new.append((i, j))

    def are_free(self, i: int, j: int) -> bool:
        return i not in self.there[0] and j not in self.there[1]

    def fit(self, i: int, j: int) -> bool:
        """Whether two nodes can be counterparts, for all that is known of them alone."""
        if self.sorts[0][i] != self.sorts[1][j]:
            return False
        x, y = self.nodes[0][i], self.nodes[1][j]
        if x.kind != "leaf":
            return True
        # Leaves of different names can be the same parameter of two models, but not two variables of one program.
        strange = self.known[1].isdisjoint(x.names) and self.known[0].isdisjoint(y.names)
        return x.shape == y.shape and (strange or not set(x.names).isdisjoint(y.names))

    def by_identity(self) -> None:
        """The same step, leaf or noise in both graphs."""

        def identity(node: Node) -> Any:
            return node.value if node.kind in ("leaf", "noise") else node.item

        theirs = {id(identity(node)): node for node in self.nodes[1] if identity(node) is not None}
        for x in self.nodes[0]:
            y = theirs.get(id(identity(x)))
            if y is not None and y.kind == x.kind and self.are_free(x.number, y.number):
                self.pair(x.number, y.number)

    def by_name(self) -> None:
        """Nodes of one name, and of one sort."""
        theirs = {name: node.number for node in reversed(self.nodes[1]) for name in node.names}
        for node in self.nodes[0]:
            for j in (theirs[name] for name in node.names if name in theirs):
                if self.are_free(node.number, j) and self.sorts[0][node.number] == self.sorts[1][j]:
                    self.pair(node.number, j)

    def by_value(self) -> None:
        """Leaves of one value, where it is there only once in each graph."""
        found: tuple[dict[Any, list[int]], dict[Any, list[int]]] = (defaultdict(list), defaultdict(list))
        for side, nodes in enumerate(self.nodes):
            for node in nodes:
                array = array_of(node.value) if node.kind == "leaf" and node.number not in self.there[side] else None
                if array is not None:
                    found[side][array.shape, array.tobytes()].append(node.number)
        for value, mine in found[0].items():
            theirs = found[1].get(value, [])
            if len(mine) == len(theirs) == 1 and self.fit(mine[0], theirs[0]):
                self.pair(mine[0], theirs[0])

    def by_sub_graph(self, among: list[bool], among_theirs: list[bool]) -> None:
        """Sub-graphs that are alike down to their leaves, the largest first, where both graphs have equally many."""
        prints = self.fingerprints()
        places: tuple[dict[int, list[int]], dict[int, list[int]]] = (defaultdict(list), defaultdict(list))
        for side, wanted in enumerate((among, among_theirs)):
            for node in self.nodes[side]:
                if wanted[node.number] and node.number not in self.there[side] and onward(node):
                    places[side][prints[side][node.number]].append(node.number)
        for alike in dict.fromkeys(prints[0]):
            mine = [i for i in places[0].get(alike, ()) if i not in self.there[0]]
            theirs = [j for j in places[1].get(alike, ()) if j not in self.there[1]]
            for i, j in zip(mine, theirs, strict=True) if len(mine) == len(theirs) else ():
                self.pair_alike(i, j)

    def fingerprints(self) -> tuple[list[int], list[int]]:
        """A number for each node, the same for all nodes behind which the same is wired."""
        known: dict[Any, int] = {}
        prints: tuple[list[int], list[int]] = ([0] * len(self.nodes[0]), [0] * len(self.nodes[1]))
        for side, made in enumerate(prints):
            for node in reversed(self.nodes[side]):
                behind: Any = tuple((e.slot, e.output, made[e.head]) for e in node.edges if e.kind in WIRED)
                if node.kind == "leaf":
                    # counterparts are known by the number that they have in the first graph
                    first = node.number if side == 0 else self.there[1].get(node.number)
                    behind = ("leaf", first) if node.number in self.there[side] else ("shape", node.shape)
                made[node.number] = known.setdefault((self.sorts[side][node.number], behind), len(known))
        return prints

    def pair_alike(self, i: int, j: int) -> None:
        """Pair two nodes behind which the same is wired, and all that is behind them."""
        stack = [(i, j)]
        while stack:
            i, j = stack.pop()
            if self.are_free(i, j) and self.fit(i, j):
                self.pair(i, j)
                heads = (
                    [e.head for e in node.edges if e.kind in WIRED] for node in (self.nodes[0][i], self.nodes[1][j])
                )
                stack += reversed(list(zip(*heads, strict=True)))

    def by_place(self) -> None:
        """From the root down, and from counterparts to their inputs; where that ends, to what uses them."""
        users: tuple[dict[int, list[Edge]], dict[int, list[Edge]]] = (defaultdict(list), defaultdict(list))
        for side, graph in enumerate(self.graphs):
            for edge in graph.edges:
                users[side][edge.head].append(edge)
        self.meet(0, 0)
        upward: deque[tuple[int, int]] = deque()
        while self.new or upward:
            if self.new:
                i, j = self.new.popleft()
                upward.append((i, j))
                mine = self.inputs(0, i)
                theirs = self.inputs(1, j, like=mine)
                for place in (place for place in mine if place in theirs):
                    self.meet(mine[place], theirs[place])
            else:
                self.look_up(users, *upward.popleft())

    def meet(self, i: int, j: int) -> None:
        """Two nodes stand in the same place: they are counterparts, or something behind them may be."""
        if self.are_free(i, j):
            self.pair(i, j) if self.fit(i, j) else self.pass_over(i, j)

    def inputs(self, side: int, number: int, like: Collection[Any] = ()) -> dict[Any, int]:
        """Where the inputs of a node lead, by slot; in order, where they are as many as those of the other, at other slots."""
        found = {place: edge.head for place, edge in by_slot(onward(self.nodes[side][number])).items()}
        if len(like) == len(found):
            return dict(zip(like, found.values(), strict=True))
        return found

    def pass_over(self, i: int, j: int) -> None:
        """Look behind two nodes that are no counterparts for nodes that are, the nearest first."""
        found: tuple[int, int] | None = (i, j)
        while found is not None:
            mine, theirs = self.reach(0, i), self.reach(1, j)
            nearest = {self.sorts[1][y]: (d, y) for d, y in reversed(list(enumerate(theirs)))}
            candidates = sorted(
                (d + nearest[sort][0], d, x, nearest[sort][1])
                for d, x in enumerate(mine)
                if (sort := self.sorts[0][x]) in nearest
            )
            found = next(((x, y) for _, _, x, y in candidates if self.are_supported(x, y)), None)
            if found is not None:
                self.pair(*found)

    def reach(self, side: int, start: int) -> list[int]:
        """The nearest steps from a node on that have no counterpart yet, the node itself first."""
        near = [start] * (start not in self.there[side])
        seen, waiting = {start}, deque(near)
        while waiting and len(near) < REACH:
            for edge in onward(self.nodes[side][waiting.popleft()]):
                k = edge.head
                if k not in seen and k not in self.there[side] and self.sorts[side][k][0] == "operation":
                    near.append(k)
                    waiting.append(k)
                seen.add(k)
        return near

    def are_supported(self, i: int, j: int) -> bool:
        """Whether at least half of the inputs of two nodes are counterparts, or can be, one step that was put in passed over."""
        mine = self.inputs(0, i)
        theirs = self.inputs(1, j, like=mine)
        agreeing = sum(self.can_meet(mine[place], theirs[place]) for place in mine if place in theirs)
        return 2 * agreeing >= max(len(mine), len(theirs), 1)

    def can_meet(self, i: int, j: int) -> bool:
        near = [(i, j)]
        near += [(i, k) for k in self.inputs(1, j).values()] if j not in self.there[1] else []
        near += [(k, j) for k in self.inputs(0, i).values()] if i not in self.there[0] else []
        return any(self.there[0].get(x) == y or (self.are_free(x, y) and self.fit(x, y)) for x, y in near)

    def look_up(self, users: Sequence[dict[int, list[Edge]]], i: int, j: int) -> None:
        """Pair what uses two counterparts at the same slot, where it is as many in the one graph as in the other."""
        waiting: tuple[dict[Any, list[int]], dict[Any, list[int]]] = (defaultdict(list), defaultdict(list))
        for side, number in enumerate((i, j)):
            for edge in users[side].get(number, ()):
                if edge.tail not in self.there[side] and edge.kind in WIRED:
                    waiting[side][edge.slot, self.sorts[side][edge.tail]].append(edge.tail)
        for place, mine in waiting[0].items():
            theirs = waiting[1].get(place, [])
            for x, y in zip(mine, theirs, strict=True) if len(mine) == len(theirs) else ():
                if self.are_free(x, y) and self.are_supported(x, y):
                    self.pair(x, y)

    def attach(self) -> None:
        """Noise and constants follow what they go into."""
        for i, j in sorted(self.there[0].items()):
            theirs = by_slot(attached(self.nodes[1][j]))
            for place, edge in by_slot(attached(self.nodes[0][i])).items():
                if place in theirs and self.are_free(edge.head, theirs[place].head):
                    self.pair(edge.head, theirs[place].head)
