"""Big graphs made small enough to be read: what repeats is drawn once, and what belongs together becomes one box.

A worked example. A network of fifty layers ``h = tanh(h @ w[i] + b[i])`` has 150 operations in a row, and 100 leaves. Read from
the loss, the operations between two places that every way passes are a *block*: here one of three operations. Fifty equal blocks
in a row are folded into one node, "50 × TanhBackward0, AddBackward0, MmBackward0", with their leaves inside.

What is never folded away: the result; leaves that are used outside, or by several repetitions (the one ``w`` of a recurrent
network stays to be seen, with an edge that says "× 50"); and that a gradient stops somewhere inside, which the box says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from visualize.reading import Edge, Graph, Node

__all__ = ["LIMIT", "fold"]

LIMIT = 100
"""A graph of at most so many nodes is drawn as it is."""
LONGEST = 8
"""The longest pattern, in blocks, that is looked for."""
LISTED = 6
"""So many operations of a box are listed in it."""
STUBS = ("leaf", "noise", "constant", "cut")


@dataclass(frozen=True, slots=True)
class _Group:
    """Operations that are to become a box.

    Args:
        numbers: which.
        title: what to call the box.
        times: how often a pattern is repeated here.
        pattern: the operations of the pattern, by their names.
    """

    numbers: list[int]
    title: str = ""
    times: int = 1
    pattern: tuple[str, ...] = ()


def fold(
    graph: Graph,
    *,
    limit: int = LIMIT,
    unfold: Iterable[int] = (),
    scopes: Mapping[int, tuple[str, ...]] | None = None,
) -> Graph:
    """Fold a graph until it has not many more than ``limit`` nodes.

    Args:
        graph: what was read.
        limit: how many nodes can be looked at; a graph that has no more is left as it is.
        unfold: numbers of nodes that are to be seen.
        scopes: for nodes that belong to scopes, by number, the names of these, the outermost first. Boxes are made of the
            innermost first.

    Returns:
        The graph with boxes: nodes of the kind ``"folded"``, whose ``members`` are the numbers of what lies inside, and whose
        own number is the lowest of these. So numbers have gaps; all that is not folded keeps its number.
    """
    seen = set(unfold)
    if len(graph.nodes) <= limit:
        return graph
    folded = graph
    for depth in range(max(map(len, (scopes or {}).values()), default=0), 1, -1):
        groups: dict[tuple[str, ...], list[int]] = {}
        for number, path in (scopes or {}).items():
            if len(path) >= depth:
                groups.setdefault(path[:depth], []).append(number)
        wanted = [_Group(numbers, path[-1]) for path, numbers in groups.items() if not seen & set(numbers)]
        folded = _contract(graph, wanted, seen)
        if len(folded.nodes) <= limit:
            return folded
    if scopes and len(folded.nodes) < len(graph.nodes):
        return folded if len(folded.nodes) <= 3 * limit else _by_pieces(graph, limit, seen)
    folded = _contract(graph, _repeats(graph, seen), seen)
    return folded if len(folded.nodes) <= 2 * limit else _by_pieces(graph, limit, seen)


# --------------------------------------------------------------------------------------------------------- what repeats


def _operations(graph: Graph) -> tuple[list[int], dict[int, list[int]]]:
    """The operations, ordered so that of several branches the short ones come first, and for each the operations it leads to.

    In this order, what lies between two places that all ways pass stands together.
    """
    heads = {
        node.number: [edge.head for edge in node.edges if graph.nodes[edge.head].kind not in STUBS]
        for node in graph.nodes
        if node.kind not in STUBS
    }
    height: dict[int, int] = {}
    for number in reversed(heads):  # numbers are topological
        height[number] = 1 + max((height[head] for head in heads[number]), default=0)
    finished: list[int] = []
    entered: set[int] = set()
    stack = [~next(iter(heads))] if heads else []  # a number that is still to be entered is stored as its complement
    while stack:
        item = stack.pop()
        if item >= 0:
            finished.append(item)
        elif ~item not in entered:
            entered.add(~item)
            # the highest is on top of the stack, so that it is finished first, and comes last
            stack += [~item, *(~head for head in sorted(heads[~item], key=height.__getitem__))]
    finished.reverse()
    return finished, heads


def _blocks(order: Sequence[int], heads: Mapping[int, list[int]]) -> list[list[int]]:
    """The operations between each two places that all ways pass."""
    at = {number: i for i, number in enumerate(order)}
    blocks: list[list[int]] = []
    farthest = 0
    for i, number in enumerate(order):
        if farthest <= i:
            blocks.append([])
        blocks[-1].append(number)
        farthest = max([farthest, *(at[head] for head in heads[number])])
    return blocks


def _repeats(graph: Graph, seen: set[int]) -> list[_Group]:
    """Runs of equal blocks."""
    order, heads = _operations(graph)
    blocks = _blocks(order, heads)
    signatures: list[Any] = [
        _signature(graph, block) if i and not seen & set(block) else object() for i, block in enumerate(blocks)
    ]
    known: dict[Any, int] = {}
    marks = [known.setdefault(signature, len(known)) for signature in signatures]
    runs = []
    i = 0
    while i < len(marks):
        period, times = max(
            ((p, _times(marks, i, p)) for p in range(1, LONGEST + 1)),
            key=lambda found: (found[0] * (found[1] - 1), -found[0]),
        )
        if times >= 3:
            numbers = [number for block in blocks[i : i + period * times] for number in block]
            pattern = tuple(graph.nodes[number].title for number in numbers[: len(numbers) // times])
            runs.append(_Group(numbers, f"{times} ×", times, pattern))
            i += period * times
        else:
            i += 1
    return runs


def _times(marks: Sequence[int], begin: int, period: int) -> int:
    """How many times a pattern stands in a row."""
    end = begin + period
    while end + period <= len(marks) and marks[end : end + period] == marks[begin : begin + period]:
        end += period
    return (end - begin) // period


def _signature(graph: Graph, block: Sequence[int]) -> Any:
    """What two blocks have in common that are drawn alike."""
    at = {number: i for i, number in enumerate(block)}
    parts = []
    for number in block:
        node = graph.nodes[number]
        ways = []
        for edge in node.edges:
            head = graph.nodes[edge.head]
            where = at.get(edge.head, "on") if head.kind not in STUBS else (head.kind, head.title)
            ways.append((edge.slot, edge.output, edge.kind, edge.label, edge.flow, where))
        parts.append((node.kind, node.title, bool(node.names), tuple(ways)))
    return tuple(parts)


# ----------------------------------------------------------------------------------------------------- what is left over


def _by_pieces(graph: Graph, limit: int, seen: set[int]) -> Graph:
    """Fold what does not repeat: neighbours in the order of the gradient go into boxes, and only the result, what was asked for,
    what is named and where a gradient stops stand by themselves."""
    order, _ = _operations(graph)
    special = {
        node.number
        for node in graph.nodes
        if node.names
        or node.kind in ("sampling", "flat")
        or any(edge.kind in ("missing", "surrogate") for edge in node.edges)
    }
    if len(special) > limit // 2:  # too many to be seen
        special = set()
    special |= {0} | seen
    size = max(2, -(-len(order) // (limit // 2)))
    groups: list[list[int]] = []
    for number in order:
        if number in special:
            groups.append([])
        elif not groups or len(groups[-1]) >= size:
            groups.append([number])
        else:
            groups[-1].append(number)
    return _contract(graph, [_Group(group) for group in groups], seen, leaves=limit // 2)


# ------------------------------------------------------------------------------------------------------------ the boxes


def _contract(graph: Graph, groups: Iterable[_Group], seen: Collection[int], leaves: int | None = None) -> Graph:
    """Make a box of each group of operations, with the leaves, noise and constants that are used there alone.

    Args:
        graph: what was read.
        groups: what goes into each box. A group that a way leaves and enters again is left as it is.
        seen: leaves, noise and constants, by number, that stay outside.
        leaves: so many leaves may be used by several boxes and be seen; if there are more, they are folded too.
    """
    wanted = [group for group in groups if len(group.numbers) > 1]
    while True:
        made = {min(group.numbers): group for group in wanted}
        box = {number: first for first, group in made.items() for number in group.numbers}
        circular = _on_a_circle(graph, box)
        if not circular:
            break
        wanted = [group for first, group in made.items() if first not in circular]
    users: dict[int, list[Edge]] = {}
    for edge in graph.edges:
        if graph.nodes[edge.head].kind in STUBS:
            users.setdefault(edge.head, []).append(edge)
    for number, edges in users.items():
        where = box.get(edges[0].tail)
        if number not in seen and where is not None and all(box.get(edge.tail) == where for edge in edges):
            shared = graph.nodes[number].kind == "leaf" and made[where].times > 1 and len(edges) > 1
            if not shared:  # by several repetitions
                box[number] = where
    if leaves is not None:
        shown = [
            node.number
            for node in graph.nodes
            if node.kind in STUBS and node.number not in box and node.number not in seen
        ]
        if len(shown) > leaves:
            box |= dict.fromkeys(shown, shown[0])
            made[shown[0]] = _Group(shown)
    members: dict[int, list[Node]] = {}
    for node in graph.nodes:
        if node.number in box:
            members.setdefault(box[node.number], []).append(node)
    nodes = []
    for node in graph.nodes:
        here = box.get(node.number, node.number)
        if node.number in box and node.number != here:
            continue
        inside = members.get(here, [node])
        ways = [edge for each in inside for edge in each.edges if box.get(edge.head, edge.head) != here]
        if node.number in box:
            nodes.append(_boxed(made[here], inside, here, _joined(ways, here, box)))
        else:
            nodes.append(replace(node, edges=[replace(edge, head=box.get(edge.head, edge.head)) for edge in ways]))
    return Graph(nodes, graph.output)


def _on_a_circle(graph: Graph, box: Mapping[int, int]) -> set[int]:
    """The boxes that a way leaves and enters again."""
    needs: Counter[int] = Counter()
    ways: dict[int, set[int]] = {}
    for edge in graph.edges:
        tail, head = box.get(edge.tail, edge.tail), box.get(edge.head, edge.head)
        if tail != head and head not in ways.setdefault(tail, set()):
            ways[tail].add(head)
            needs[head] += 1
    free = [n for n in {box.get(node.number, node.number) for node in graph.nodes} if not needs[n]]
    while free:
        for head in ways.pop(free.pop(), ()):
            needs[head] -= 1
            if not needs[head]:
                free.append(head)
    return set(box.values()) & {n for n, count in needs.items() if count > 0}


def _joined(ways: Iterable[Edge], tail: int, box: Mapping[int, int]) -> list[Edge]:
    """The edges out of a box, those of one kind to one place as one."""
    found: dict[tuple[Any, ...], Edge] = {}
    for edge in ways:
        head = box.get(edge.head, edge.head)
        key = (head, edge.kind, edge.flow, edge.label, edge.reason)
        if key in found:
            found[key].times += 1
            found[key].size = _larger(found[key].size, edge.size)
        else:
            found[key] = replace(edge, tail=tail, head=head, slot=len(found))
    return list(found.values())


def _larger(a: float | None, b: float | None) -> float | None:
    sizes = [x for x in (a, b) if x is not None]
    return next((x for x in sizes if x != x), max(sizes, default=None))  # NaN is what must not be lost


def _boxed(group: _Group, inside: list[Node], number: int, edges: list[Edge]) -> Node:
    operations = sum(node.kind not in STUBS for node in inside)
    leaves = [node for node in inside if node.kind == "leaf"]
    lines = [*group.pattern[:LISTED]]
    if len(group.pattern) > LISTED:
        lines.append(f"… {len(group.pattern) - LISTED} more")
    if not group.pattern and operations:
        lines.append(f"{operations} operations")
    if leaves:
        lines.append(f"{len(leaves)} {'leaf' if len(leaves) == 1 else 'leaves'} inside")
        for flow, what in (("zeros", "only zeros arrive at"), ("nothing", "no gradient arrives at")):
            starved = [leaf for leaf in leaves if leaf.receives == flow]
            if starved:
                lines.append(f"{what} {'all' if len(starved) == len(leaves) else len(starved)} of them")
    stops: dict[tuple[str, str], int] = {}
    for node in inside:
        for edge in node.edges:
            if edge.kind in ("zero", "missing", "surrogate") and not edge.harmless:
                key = (edge.kind, edge.reason or edge.label)
                stops[key] = stops.get(key, 0) + 1
    flows = ("nothing", "zeros", "gradient")
    return Node(
        number,
        "folded",
        group.title or f"{len(inside)} nodes",
        names=(),
        receives=max((node.receives for node in inside), key=flows.index),
        edges=edges,
        members=tuple(sorted(node.number for node in inside)),
        contents=tuple(lines),
        stops=tuple((kind, reason, count) for (kind, reason), count in stops.items()),
    )
