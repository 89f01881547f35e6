r"""The graph that a backward pass walks: nodes, the edges between them, and the reasons why an edge carries nothing.

A worked example. After ::

    eps = torch.randn_like(std)
    z = eps * std + mu

``z.grad_fn`` is an ``AddBackward0``. Its ``next_functions`` are the ``MulBackward0`` of ``eps * std`` and the
``AccumulateGrad`` of the leaf ``mu``; the ``MulBackward0`` in turn has ``None`` for ``eps``, which needs no gradient, and
the ``AccumulateGrad`` of ``std``. Because ``eps`` was drawn as noise, the ``MulBackward0`` also remembers where the ``None``
comes from: ``sources[0]`` says ``noise, randn_like``.

What a picture may ask of a node is the *graph protocol*; PyTorch's nodes have its first five entries:

=================  =====================================================================================================
``next_functions``  pairs of (node, number of that node's output), one pair an input; ``(None, 0)`` where nothing is wired
``name()``          ``"MulBackward0"``
``variable``        the leaf tensor; only an ``AccumulateGrad`` has it
``node(g)``         what the node alone makes of a gradient; not an ``AccumulateGrad``
``_sequence_nr()``  when the node was created: later ones have higher numbers
``stops``           one entry an input: ``None``, or the `Stop` that says why the edge carries zeros or a surrogate
``sources``         one entry an input: ``None``, or the `Source`\ s that say where an input without an edge comes from
``saved``           a dictionary of the values that the node keeps for its backward pass; empty after they were freed
``shape, dtype``    of the node's output (of the first one, where it has several)
``value``           the output itself, as an array, where it is small; otherwise ``None``
=================  =====================================================================================================

Inside, an edge is stored as the thing it leads to: a `Node`, or an `Output` of a node with several outputs. Nothing refers
in a circle: a tensor holds its node, a node the nodes before it. So a graph is gone as soon as nobody holds its end, and a loop
over small graphs leaves nothing for the garbage collector.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from sys import getrefcount
from typing import Any, ClassVar, Literal

from numpy import array as array_copy
from numpy import asarray, copy, generic, ndarray

__all__ = ["AccumulateGrad", "Node", "Output", "Source", "Stop"]

SMALL = 16
"""Values of at most so many elements are kept on their node, to be shown; larger ones are not kept alive for it."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Why no gradient, or not the true one, passes along an edge.

    Args:
        kind: ``"zero"``, the edge is wired and zeros flow through it; ``"missing"``, the edge was never wired;
            ``"surrogate"``, a gradient flows, but not the derivative of what was computed.
        reason: one sentence that says why, for a reader who sees it for the first time.
        remedies: what can be used instead, each in a sentence or a line of code; may be empty.
        harmless: whether zeros are the truth, since the result does not depend on the input: nobody need be warned of that.
    """

    kind: Literal["zero", "missing", "surrogate"]
    reason: str
    remedies: tuple[str, ...] = ()
    harmless: bool = False


class Source:
    """Where the value of an input comes from that has no gradient edge.

    Args:
        kind: ``"noise"``, drawn by a random generator from a fixed distribution; ``"cut"``, computed from something that
            requires grad, by a step that was not recorded.
        name: what made it: ``"randn"``, ``"detach"``, ``"no_grad"``, ``"argmax"``, …
        stop: for a cut, why nothing is wired.
        cut_from: for a cut, the node or output that it was cut from. It is remembered weakly, so that a detached value does not
            keep a graph alive that nothing else needs.
    """

    __slots__ = ("_cut_from", "_node_class", "derived", "kind", "name", "stop", "value")

    def __init__(
        self, kind: Literal["noise", "cut"], name: str, stop: Stop | None = None, cut_from: Any = None
    ) -> None:
        self.kind = kind
        self.name = name
        self.stop = stop
        self.value: Any = None
        """The value itself, as an array, where the source is seen from a node: always if it is small, else while it lives."""
        self.derived = False
        """For noise: whether the value was computed from what was drawn, and is not the number drawn itself."""
        if cut_from is None:
            self._cut_from = self._node_class = None
        else:
            self._cut_from = weakref.ref(cut_from)
            self._node_class = type(cut_from.node if type(cut_from) is Output else cut_from)

    @property
    def origin(self) -> tuple[Node, int] | None:
        """The node, and number of its output, that the value was cut from; ``None`` when that graph is gone."""
        edge = self._cut_from() if self._cut_from is not None else None
        return None if edge is None else as_next_function(edge)

    @property
    def origin_name(self) -> str | None:
        """For a cut, the name of the node that it was cut from, also when that graph is gone."""
        return None if self._node_class is None else self._node_class.__name__

    def renamed(self, name: str, stop: Stop | None) -> Source:
        """The same source, under another name and with another reason."""
        other = Source(self.kind, name, stop)
        other._cut_from, other._node_class, other.value = self._cut_from, self._node_class, self.value
        other.derived = self.derived
        return other

    def __repr__(self) -> str:
        return f"Source(kind={self.kind!r}, name={self.name!r}" + (
            f", from {self.origin_name})" if self.origin_name else ")"
        )


@dataclass(slots=True, weakref_slot=True, eq=False)
class Notes:
    """What the backward pass must know of a node, or of one of its outputs, beyond the ordinary.

    Args:
        freed: what it saved was let go.
        retained: weak references to the tensors that asked for ``retain_grad``.
        hooks: on the gradient that arrives, by number: functions from gradient to gradient.
        before: on all gradients that arrive at a node, by number: functions from a list to a list.
        after: on what a node hands on, by number: functions of the pairs (edge, gradient) and of what had arrived, to pairs; of a
            leaf's node: functions of the leaf, once its gradient was added.
        line: the line that ran the forward operation, where anomaly mode noted it.
    """

    freed: bool = False
    retained: list[Any] = field(default_factory=list)
    hooks: dict[int, Callable[[Any], Any]] = field(default_factory=dict)
    before: dict[int, Callable[[Any], Any]] = field(default_factory=dict)
    after: dict[int, Callable[..., Any]] = field(default_factory=dict)
    line: str | None = None


FREED = Notes(freed=True)
"""Shared by all freed nodes of which nothing else is to be noted."""
NOTED = Notes()
"""Shared by nodes that declare a stop: the pass is to take note of them."""


class Node:
    """One recorded operation. ``run`` and ``replay`` are its backward rule, on arrays and on tensors.

    A subclass names in ``__slots__`` what it saves for its backward pass.
    """

    __slots__ = (
        "__weakref__",
        "dtype",
        "edges",
        "inputs",
        "notes",
        "order",
        "shape",
        "value",
    )

    pure: ClassVar[bool] = True
    """Whether the rule may be run again when it was interrupted; not so where a user wrote it."""
    outputs: ClassVar[int] = 1
    """How many outputs the operation has; the buffers of a node with several are lists."""
    declared_stops: ClassVar[tuple[Stop | None, ...] | None] = None
    """One entry an input, where the operation itself declares that an edge carries nothing; else ``None``."""

    edges: tuple[Any, ...]
    """What each input leads to: `Node`, `Output` or ``None``."""
    order: int
    """Number of creation, counted downwards: a node is always smaller than the nodes that it was computed from."""
    notes: Notes | None
    """What few nodes need; ``None`` for all others, which the backward pass then handles without a further look."""
    inputs: tuple[tuple[tuple[Source, ...], Any] | None, ...] | None
    """For inputs without an edge that are noise or were cut: the sources and the value, of a large one a weak reference; else
    ``None``."""
    shape: tuple[int, ...]
    dtype: Any
    value: Any

    def name(self) -> str:
        """The name of the node, as in PyTorch: ``"MulBackward0"``."""
        return type(self).__name__

    @property
    def operation(self) -> str:
        """The name of the operation that was recorded: ``"mul"``."""
        return type(self).__name__.partition("Backward")[0]

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """Pairs of (node, number of its output), one an input; ``(None, 0)`` where no edge is wired."""
        return tuple((None, 0) if edge is None else as_next_function(edge) for edge in self.edges)

    @property
    def stops(self) -> tuple[Stop | None, ...]:
        """One entry an input: why its edge carries zeros or a surrogate; ``None`` where it does not."""
        return self.declared_stops or (None,) * len(self.edges)

    @property
    def sources(self) -> tuple[tuple[Source, ...] | None, ...]:
        """One entry an input: where an input without an edge comes from; ``None`` for edges and plain constants."""
        if self.inputs is None:
            return (None,) * len(self.edges)
        return tuple(None if entry is None else _with_value(*entry) for entry in self.inputs)

    @property
    def saved(self) -> dict[str, Any]:
        """What the node keeps for its backward pass, by name; empty after it was freed."""
        return {}

    @property
    def freed(self) -> bool:
        """Whether what the node saved was let go, so that it cannot run again."""
        return self.notes is not None and self.notes.freed

    def mark_freed(self) -> None:
        """Say that what the node saved was let go."""
        if self.notes is None or self.notes is NOTED:
            self.notes = FREED
        else:
            self.notes.freed = True

    def own_notes(self) -> Notes:
        """The notes of this node, to be written to."""
        if self.notes is None or self.notes is FREED or self.notes is NOTED:
            self.notes = Notes(freed=self.notes is FREED)
        return self.notes

    def run(self, gradient: Any, edges: Sequence[Any] | None) -> Iterable[tuple[Any, Any]]:
        """Apply the backward rule.

        Args:
            gradient: what arrived, as an array; its shape and dtype may still be those of the sum that it came from.
            edges: the node's edges, with those blanked that need not be computed; ``None``: all of them.

        Returns:
            Pairs of edge and gradient, in the order of the edges. Those for inputs whose edge is ``None`` may be left out.
        """
        raise NotImplementedError

    def replay(self, gradient: Any, edges: Sequence[Any] | None) -> Iterable[tuple[Any, Any]]:
        """The same on tensors, recorded, so that the result can be differentiated again."""
        raise NotImplementedError

    def kept_for(self, edges: Sequence[Any] | None) -> Iterable[tuple[str, Any, Any]]:
        """What the backward rules of these edges (``None``: of all) read: name, array, and the edge of the input that it was."""
        return ()

    def keep_copy(self, array: Any) -> None:
        """Keep a copy where this array was saved, since the operation is about to write its result there."""

    def refuse_freed(self) -> None:
        """Raise, if what the rule needs was let go.

        Raises:
            RuntimeError: an earlier pass freed it.
        """
        if self.freed:
            raise RuntimeError(
                f"backward through {self.name()} a second time: what it saved for its gradient was freed by the first pass. "
                "Pass retain_graph=True to the first backward() (or to autograd.grad) if you need to walk the graph twice."
            )

    def live_outputs(self) -> list[Output]:
        """The outputs, of a node that has several, which a tensor or an edge still holds."""
        return []

    def free(self) -> None:
        """Let go of what was saved for the backward pass. A node that saved nothing may run again."""

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


def _with_value(sources: tuple[Source, ...], value: Any) -> tuple[Source, ...]:
    """The sources of one input, each with the value of the input: its cuts, or the noise where there are none."""
    if isinstance(value, weakref.ref):  # a large one is shown as long as it lives
        value = value()
    seen = []
    for source in [s for s in sources if s.kind == "cut"] or sources:
        source = source.renamed(source.name, source.stop)
        source.value = value
        seen.append(source)
    return tuple(seen)


class Output:
    """One output of a node that has several: what an edge to it leads to."""

    __slots__ = ("__weakref__", "dtype", "index", "node", "notes", "shape")

    def __init__(self, node: Node, index: int, shape: tuple[int, ...], dtype: Any) -> None:
        self.node = node
        self.index = index
        self.shape = shape
        self.dtype = dtype
        self.notes = Notes()

    def own_notes(self) -> Notes:
        """The notes of this output, to be written to."""
        return self.notes


class AccumulateGrad(Node):
    """The node of a leaf: where a gradient arrives, and is added to the leaf's ``grad``.

    A leaf holds its node, and the node only a weak reference to the leaf, so that the two do not keep each other alive. What a
    graph needs of a leaf (its array and its gradient) lies here; a leaf that the user let go is made anew when it is asked for.
    """

    __slots__ = ("array", "grad", "kind", "leaf", "parked")

    def __init__(self, leaf: Any) -> None:
        array = leaf._array
        self.edges = ()
        self.order = 0
        self.inputs = None
        self.notes = None
        self.array = array
        self.shape = array.shape
        self.dtype = array.dtype
        self.grad: Any = None
        """What was accumulated: an array, or, as soon as somebody looked at it, a tensor."""
        self.parked = False
        """Whether the leaf was told not to require grad since; it then gets none."""
        self.leaf = weakref.ref(leaf)
        self.kind = type(leaf)

    @property
    def variable(self) -> Any:
        """The leaf."""
        leaf = self.leaf()
        if leaf is None:
            leaf = self.kind._of_node(self)
            self.leaf = weakref.ref(leaf)
        return leaf

    def accumulate(self, gradient: Any, lent: dict[int, Any]) -> None:
        """Add ``gradient`` to ``grad``: in place where that changes nothing but this gradient, as PyTorch does.

        Args:
            gradient: an array, or a tensor where the pass was recorded.
            lent: arrays, by id, that somebody else holds; this gradient is one of them from now on.
        """
        if self.parked:
            return
        before = self.grad
        if before is None:
            if type(gradient) is ndarray:
                if id(gradient) in lent or (gradient.base is not None and not _has_its_base_alone(gradient)):
                    gradient = array_copy(gradient)
                else:
                    lent[id(gradient)] = gradient
            elif isinstance(gradient, generic) or gradient._node is None:
                gradient = array_copy(getattr(gradient, "_array", gradient))
            else:
                gradient = copy(gradient)  # recorded; others may hold this very tensor
            self.grad = gradient
            return
        held = before if type(before) is ndarray else before._array
        if before is not held and before._node is not None:
            if isinstance(gradient, ndarray | generic):
                self.grad = before._plus_constant(gradient)
            else:
                self.grad = before + gradient
        elif isinstance(gradient, ndarray | generic):
            # not where elements share memory, as those of an expanded tensor do
            if held.flags.writeable and 0 not in held.strides:
                held += gradient
                if before is not held:  # somebody has looked at it, and may have computed with it
                    mark_changed(held, "backward()")
            else:  # what the user put there is not to be written to
                self.grad = asarray(held + gradient)
        elif gradient._node is not None:
            self.grad = gradient + before
        else:
            self.grad = asarray(held + gradient._array)


def _has_its_base_alone(view: ndarray[Any, Any]) -> bool:
    """Whether a view shows all of an array that nobody else holds: the transposed result of a product, for example."""
    base = view.base
    # held by the view, by `base`, and by the call
    return type(base) is ndarray and base.base is None and base.size == view.size and getrefcount(base) == 3


def as_next_function(edge: Any) -> tuple[Node, int]:
    """The pair that ``next_functions`` shows for an edge."""
    return (edge.node, edge.index) if type(edge) is Output else (edge, 0)


next_order = itertools.count(0, -1).__next__
"""The next creation number. Counted downwards, so that a heap of (order, node) hands out the newest node first."""

# --------------------------------------------------------------------------------------------------- changes in place


class Change:
    """What is known of memory that was changed in place.

    No version is noted when a node saves an array: a node has a creation number, and a change takes the next one. So whatever was
    saved before the change can be told from what was saved after it, and operations that change nothing pay nothing.
    """

    __slots__ = ("by", "count", "line", "owner", "stamp")

    def __init__(self, owner: Any) -> None:
        self.count = 0
        self.stamp = 0
        """The creation number that the last change took."""
        self.by = ""
        """The operation that changed it last."""
        self.line: str | None = None
        """The line that ran it, where anomaly mode noted it."""
        key = id(owner)
        self.owner = weakref.ref(owner, lambda _: changes.pop(key, None))


changes: dict[int, Change] = {}
"""What was changed in place and still exists, by the id of what owns the memory: empty in a program that changes nothing."""


def address_of(array: ndarray[Any, Any]) -> int:
    """Where the first element of an array lies in memory, in bytes."""
    address: int = array.__array_interface__["data"][0]
    return address


def owner_of(array: ndarray[Any, Any]) -> ndarray[Any, Any]:
    """The array that owns the memory in which ``array`` lies: the same for all views of it."""
    while True:
        base = array.base
        if base is not None and not isinstance(base, ndarray):
            base = getattr(base, "base", None)  # what as_strided puts between
        if not isinstance(base, ndarray):
            return array
        array = base


def mark_changed(what: Any, by: str, line: str | None = None) -> None:
    """Note that the memory of an array, or the array of a leaf's node, was changed by the operation ``by``."""
    owner = owner_of(what) if isinstance(what, ndarray) else what
    change = changes.get(id(owner))
    if change is None:
        change = changes[id(owner)] = Change(owner)
    change.count += 1
    change.by = by
    change.line = line
    change.stamp = next_order()


def changed_since(array: Any, edge: Any, order: int) -> Change | None:
    """The last change of what a node saved, if it came after the node with that creation number."""
    change = changes.get(id(owner_of(array)))
    if change is not None and change.stamp < order:
        return change
    change = changes.get(id(edge))
    return change if change is not None and change.stamp < order else None
