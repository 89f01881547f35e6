"""Which part of a program an operation belongs to: named by hand, or a module of a network.

A worked example::

    with scope("encoder") as encoder:
        h = torch.tanh(x @ w1)
    draw((h @ w2).sum(), scopes=[encoder])

What was computed inside the block is drawn in a box of that name. Nothing is noted while the block runs, but for two numbers:
engines count the operations that they record (``_sequence_nr``), and a scope is what was counted between its begin and
its end. So a program that uses no scopes pays nothing for them.
"""

from __future__ import annotations

import bisect
import itertools
import operator
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from visualize.reading import Graph

__all__ = ["Scope", "module_scopes", "place", "scope"]


@dataclass(slots=True)
class Scope:
    """A named part of a program.

    Args:
        name: what the box is called in the picture.
        spans: for each time that it ran, and each engine, the count of operations at begin and at end.
    """

    name: str
    spans: list[tuple[str, int, int]] = field(default_factory=list)

    def _begin(self) -> dict[str, int]:
        return _counts()

    def _end(self, begun: dict[str, int]) -> None:
        now = _counts()
        self.spans += [(engine, begun.get(engine, 0), now[engine]) for engine in now]


@contextmanager
def scope(name: str) -> Iterator[Scope]:
    """Name the operations of a ``with`` block.

    Args:
        name: what the box is called in the picture.

    Returns:
        The scope, for ``draw(…, scopes=[…])``. Used again, as in a loop, make a list of them; those of one name share a box.

    Raises:
        TypeError: ``name`` is no string.
    """
    if not isinstance(name, str):
        raise TypeError(f"scope() takes a name, not {type(name).__name__}")
    made = Scope(name)
    begun = made._begin()
    try:
        yield made
    finally:
        made._end(begun)


@contextmanager
def module_scopes(model: Any, name: str = "") -> Iterator[list[Scope]]:
    """Take each module of a network for a scope while it runs, in a ``with`` block.

    Args:
        model: a module; it needs ``named_modules()``, and ``register_forward_pre_hook`` and ``register_forward_hook``.
        name: what to put before the dotted names; by default the name of the class stands for the model itself.

    Returns:
        The scopes, for ``draw(…, scopes=…)``: complete when the block ends.

    Raises:
        TypeError: ``model`` is no module.
    """
    if not callable(getattr(model, "named_modules", None)):
        raise TypeError(f"module_scopes() takes a module, such as a torch.nn.Module, not {type(model).__name__}")
    scopes, handles = [], []
    for path, module in model.named_modules():
        # the dots are shown by frames inside frames
        own, kind = path.rpartition(".")[2], type(module).__name__
        made = Scope(f"{own}: {kind}" if own else name or kind)
        scopes.append(made)
        running: list[dict[str, int]] = []

        def enter(_module: Any, _args: Any, made: Scope = made, running: list[dict[str, int]] = running) -> None:
            running.append(made._begin())

        def leave(
            _module: Any, _args: Any, _out: Any, made: Scope = made, running: list[dict[str, int]] = running
        ) -> None:
            if running:
                made._end(running.pop())

        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield scopes
    finally:
        for handle in handles:
            handle.remove()


def place(graph: Graph, scopes: Sequence[Scope]) -> dict[int, tuple[int, ...]]:
    """For each operation that belongs to scopes, by number, these scopes, the outermost first, as places in ``scopes``."""
    size = [sum(end - begin for _, begin, end in each.spans) for each in scopes]
    # All begins and ends, of each engine, in the order of the count; between two of them, the same scopes are open.
    marks: dict[str, list[tuple[int, int, int]]] = {}
    for i, each in enumerate(scopes):
        for engine, begin, end in each.spans:
            marks.setdefault(engine, []).extend([(begin, 1, i), (end, -1, i)] if begin < end else [])
    starts: dict[str, list[int]] = {}
    open_from: dict[str, list[tuple[int, ...]]] = {}
    for engine, changes in marks.items():
        times = Counter[int]()
        starts[engine], open_from[engine] = [], []
        for count, group in itertools.groupby(sorted(changes), key=operator.itemgetter(0)):
            for _, change, i in group:
                times[i] += change
            times = +times  # without those that are closed
            starts[engine].append(count)
            open_from[engine].append(tuple(sorted(times, key=lambda i: (-size[i], i))))
    found = {}
    for node in graph.nodes:
        number = getattr(node.item, "_sequence_nr", None)
        if number is None or node.kind == "leaf":
            continue
        engine = _engine_of(node.item)
        place = bisect.bisect_right(starts.get(engine, []), number()) - 1
        if place >= 0 and open_from[engine][place]:
            found[node.number] = open_from[engine][place]
    return found


ENGINES = ("torch", "tinygrad_rp")


def _counts() -> dict[str, int]:
    """How many operations each engine that is loaded has recorded so far, in this thread."""
    counts = {}
    for engine in ENGINES:
        module = sys.modules.get(engine)
        count = getattr(getattr(module, "autograd", None), "_get_sequence_nr", None)
        if count is not None:
            counts[engine] = int(count())
    return counts


def _engine_of(item: Any) -> str:
    rooms = {kind.__module__.partition(".")[0] for kind in type(item).__mro__}
    return next((engine for engine in ENGINES if engine in rooms), ENGINES[0])  # PyTorch's own nodes are of no module
