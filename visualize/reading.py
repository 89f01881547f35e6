"""One reading of a graph, from which both the text and the drawing are made.

A worked example. For ``y = (mu + 1) * mu``, `read` finds three nodes and four edges::

    #0 MulBackward0     edges to #1 and #2
    #1 AddBackward0     edge to #2
    #2 AccumulateGrad   the leaf mu, which both lead to and which is there once

Numbers are topological: every edge leads from a lower number to a higher one, as the gradient does, and inputs are
numbered from left to right. So the same graph gets the same numbers, whenever and wherever it is built.

What is asked of a node: ``next_functions`` and ``name()``, and on a leaf's node ``variable``; PyTorch's nodes have
these. Where present, also ``stops``, ``sources``, ``saved``, ``shape``, ``dtype`` and ``value``. PyTorch says nothing
about stops, so its operations that hand back zeros are known here by name; what its nodes saved it calls ``_saved_…``,
and values are found there.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from visualize.names import Names, tensors_by_name

__all__ = ["Edge", "EdgeKind", "Flow", "Graph", "Node", "NodeKind", "read"]

NodeKind = Literal["operation", "sampling", "flat", "leaf", "noise", "cut", "constant", "folded"]
"""``sampling`` and ``flat`` are operations that stop a gradient: a random draw, and a step that is flat almost
everywhere. ``cut`` is a value that was computed by a step that was not recorded, and whose history is gone. ``folded`` is a
box that stands for several nodes; only `visualize.folding` makes some."""

EdgeKind = Literal["live", "zero", "missing", "surrogate", "noise", "constant"]

Flow = Literal["gradient", "zeros", "nothing"]
"""What comes along an edge when the gradient travels from the root."""

_FLOWS: tuple[Flow, ...] = ("nothing", "zeros", "gradient")
_CAPACITY: dict[EdgeKind, int] = {"live": 2, "surrogate": 2, "zero": 1, "missing": 0, "noise": 0, "constant": 0}
"""The most that an edge lets pass, as an index of ``_FLOWS``."""


@dataclass(slots=True)
class Edge:
    """A way from a node to what one of its inputs was computed by.

    Args:
        tail: number of the node that the gradient comes from.
        head: number of the node that it goes to.
        slot: which input of ``tail`` it is.
        output: which output of ``head`` that input was.
        kind: ``"live"``; ``"zero"``, wired, but zeros flow; ``"missing"``, never wired; ``"surrogate"``, a gradient
            flows, but not the derivative of what was computed; ``"noise"`` or ``"constant"``, an input that needs no
            gradient.
        label: for a missing edge, the step that was not recorded: ``"detach"``.
        reason: why no gradient, or not the true one, passes; empty where it does.
        remedies: what can be used instead.
        flow: what comes along this edge from the root.
        harmless: of a zero edge, whether the result does not depend on that input at all, since it was written over.
        times: for how many edges it stands, out of a folded box.
        size: the norm of the gradient that went along it, where a pass was followed; of the largest, of several.
    """

    tail: int
    head: int
    slot: int
    output: int = 0
    kind: EdgeKind = "live"
    label: str = ""
    reason: str = ""
    remedies: tuple[str, ...] = ()
    flow: Flow = "gradient"
    harmless: bool = False
    times: int = 1
    size: float | None = None


@dataclass(slots=True)
class Node:
    """An operation, a leaf, or the origin of an input that needs no gradient.

    Args:
        number: its topological number; the root has 0.
        kind: what it is.
        title: the name of the operation, or what made the noise or the cut.
        names: what the user calls its output; empty where no name was given.
        value: its value (an array, a tensor or a number) where it is known.
        shape: the shape of the value, where it is known.
        dtype: the type of the elements, where it is known.
        gradient: what ``backward`` left in ``grad``; ``None`` before.
        saved: what the node keeps for its backward pass, by name.
        origin_name: for a cut whose history is gone, the name of the node that it was cut from.
        receives: the most that arrives here when the gradient travels from the root; for noise and constants, what
            arrives at the operations that use them.
        edges: the ways on from here, one for each input that leads somewhere.
        hidden: how many ways on from here were left out, where only a part of the graph was asked for.
        item: the engine's own node, for an operation and for a leaf; ``None`` otherwise.
        members: of a folded box, the numbers of the nodes inside.
        contents: of a folded box, lines that say what is inside.
        stops: of a folded box, the stops inside: kind, reason, how often.
    """

    number: int
    kind: NodeKind
    title: str
    names: tuple[str, ...] = ()
    value: Any = None
    shape: tuple[int, ...] | None = None
    dtype: Any = None
    gradient: Any = None
    saved: Mapping[str, Any] = field(default_factory=dict)
    origin_name: str | None = None
    receives: Flow = "nothing"
    edges: list[Edge] = field(default_factory=list)
    hidden: int = 0
    item: Any = field(default=None, repr=False, compare=False)
    members: tuple[int, ...] = ()
    contents: tuple[str, ...] = ()
    stops: tuple[tuple[str, str, int], ...] = ()


@dataclass(slots=True)
class Graph:
    """A graph that was read: its nodes in topological order, the root first.

    Args:
        nodes: the nodes, by number.
        output: which output of the root node the graph was asked for.
    """

    nodes: list[Node]
    output: int = 0

    @property
    def edges(self) -> Iterator[Edge]:
        """All edges, by the number of the node that they leave from, and then by input."""
        return (edge for node in self.nodes for edge in node.edges)

    def edge_ids(self) -> Iterator[tuple[str, Edge]]:
        """All edges, each with its id in pictures: ``"e0_1"`` for input 1 of node 0. An input with several sources has
        several edges, and all but the first carry a further number."""
        seen: dict[tuple[int, int], int] = {}
        for edge in self.edges:
            again = seen.get((edge.tail, edge.slot), 0)
            seen[edge.tail, edge.slot] = again + 1
            yield f"e{edge.tail}_{edge.slot}" + (f"_{again}" if again else ""), edge

    def find(self, t: Any) -> Node | None:
        """The node of a tensor, or of an engine's own node such as ``y.grad_fn``; ``None`` where it is not in the graph."""
        return _find(t, {key: node for node in self.nodes for key in (id(node.item), id(node.value))})

    def __repr__(self) -> str:
        return f"<Graph of {len(self.nodes)} nodes and {sum(1 for _ in self.edges)} edges>"


# ---------------------------------------------------------------------------------------- what PyTorch does not declare


@dataclass(frozen=True, slots=True)
class _KnownStop:
    kind: EdgeKind
    reason: str
    remedies: tuple[str, ...] = ()
    harmless: bool = False


SAMPLERS = frozenset(
    "bernoulli binomial categorical cauchy exponential gamma geometric lognormal multinomial normal poisson rand "
    "randint random randperm uniform".split()
)
"""Operations that draw at random, by their name without ``Backward0``, in lower case and without underscores."""

_SAMPLE = "A random draw is not a differentiable function of its parameters."
_OVERWRITTEN = "New values were written over the old ones, which no longer matter."
_FLAT = "The step is flat almost everywhere: its derivative is 0."
_COMPARISON = "A comparison is flat almost everywhere: its derivative is 0."
_STRAIGHT_THROUGH = "straight-through: x + (step(x) - x).detach(), which is not the true derivative"
_SCORE_FUNCTION = "score function: f(y).detach() * log_prob(y), which is unbiased"

_NORMAL = _KnownStop(
    "zero", _SAMPLE, ("reparameterise: eps = torch.randn_like(std); z = eps * std + mu", _SCORE_FUNCTION)
)
_DISCRETE_DRAW = _KnownStop("zero", _SAMPLE, (_SCORE_FUNCTION, "straight-through: p + (y - p).detach(), biased"))
_WRITTEN_OVER = _KnownStop("zero", _OVERWRITTEN, harmless=True)
_FLAT_STEP = _KnownStop("zero", _FLAT, (_STRAIGHT_THROUGH,))
_COMPARED = _KnownStop("zero", _COMPARISON, (_STRAIGHT_THROUGH,))
_NO_RULE = _KnownStop("missing", "This operation has no derivative rule: backward() raises an error here.")

_KNOWN_STOPS: dict[str, tuple[_KnownStop | None, ...]] = {
    "BernoulliBackward0": (_DISCRETE_DRAW,),
    "BernoulliBackward1": (_WRITTEN_OVER, _DISCRETE_DRAW),
    "NormalBackward1": (_NORMAL,),
    "NormalBackward2": (_NORMAL,),
    "NormalBackward3": (_NORMAL, _NORMAL),
    "CeilBackward0": (_FLAT_STEP,),
    "CopyBackwards": (_WRITTEN_OVER, None),
    "FillBackward0": (_WRITTEN_OVER,),
    "FillBackward1": (_WRITTEN_OVER, None),
    "FillBackward2": (_WRITTEN_OVER,),
    "FloorBackward0": (_FLAT_STEP,),
    "NotImplemented": (_NO_RULE,),
    "RoundBackward0": (_FLAT_STEP,),
    "RoundBackward1": (_FLAT_STEP,),
    "SgnBackward0": (_FLAT_STEP,),
    "SignBackward0": (_FLAT_STEP,),
    "TruncBackward0": (_FLAT_STEP,),
    "ZeroBackward0": (_WRITTEN_OVER,),
    # Parameters of these are numbers; only the tensor that is written over has an edge.
    **dict.fromkeys(
        "BernoulliBackward2 CauchyBackward0 ExponentialBackward0 GeometricBackward0 LogNormalBackward0 NormalBackward0 "
        "RandomBackward0 RandomBackward1 RandomBackward2 UniformBackward0".split(),
        (_WRITTEN_OVER,),
    ),
    # Comparisons are recorded only where they are made in place.
    **{f"{name}Backward{i}": (_COMPARED,) * 2 for name in ("Eq", "Ge", "Gt", "Le", "Lt", "Ne") for i in (0, 1)},
}
"""Which inputs PyTorch gives zeros, by the name of the node. The last entry holds for all further inputs."""

_KNOWN_FAMILIES = {**dict.fromkeys(("Binomial", "Multinomial", "Poisson"), _DISCRETE_DRAW), "Normal": _NORMAL}
"""The same for every number behind ``Backward``, where the numbers differ between versions."""


def _stops_by_name(node: Any, name: str, count: int) -> tuple[_KnownStop | None, ...]:
    """The stops of a node that declares none itself."""
    known = _KNOWN_STOPS.get(name, ())
    base = _base(name)
    if not known and base in _KNOWN_FAMILIES:
        known = (_KNOWN_FAMILIES[base],)
    if base == "Div" and getattr(node, "_saved_rounding_mode", None):  # torch.div(a, b, rounding_mode="floor")
        known = (_FLAT_STEP,)
    if not known:
        return (None,) * count
    return tuple(known[min(i, len(known) - 1)] for i in range(count))


def _base(name: str) -> str:
    return re.sub(r"Backward\d*$", "", name)


# ----------------------------------------------------------------------------------------------------- reading one node


@dataclass(slots=True)
class _Leaf:
    """Stands in for the node of a leaf that is itself the root: a leaf has no ``grad_fn`` to begin from."""

    variable: Any
    next_functions: tuple[()] = ()

    def name(self) -> str:
        return "AccumulateGrad"


@dataclass(slots=True)
class _Stub:
    """What an input without an edge comes from: noise, a cut, a constant."""

    kind: NodeKind
    title: str
    value: Any
    origin_name: str | None = None
    sources: tuple[Any, ...] = ()
    """For the root only: the sources of a tensor that has neither ``grad_fn`` nor ``requires_grad``."""


def read(t: Any, names: Names = None, *, to: Any = None) -> Graph:
    """Read the graph of ``t``.

    Args:
        t: a tensor, or a node such as ``y.grad_fn``.
        names: what to call leaves, inner tensors and noise: ``{"mu": mu, "z": z}``; a module, for its parameters;
            ``"variables"``, for the variables of the caller; or a list of these. An inner tensor that is named also shows
            its value, and its gradient if it retains one.
        to: a tensor or node, or a list of them: only what lies between ``t`` and these is read.

    Returns:
        The nodes and edges, numbered in the order in which the gradient travels.

    Raises:
        TypeError: ``t`` is neither a tensor nor a node, or ``names`` is nothing that has names.
        ValueError: ``t`` is a tensor without any graph, or no way leads from ``t`` to what ``to`` names.
    """
    graph = read_named(t, tensors_by_name(names, sys._getframe(1)))
    return graph if to is None else between(graph, ends_of(graph, to))


def read_named(t: Any, names: Mapping[str, Any]) -> Graph:
    """Read the whole graph of ``t``, where the names are found already."""
    root = _root(t)
    found: dict[int, Node] = {}
    # Nodes may be made when somebody looks, so each is held until the walk is over: only then is its id its own.
    alive: list[Any] = [root]
    finished: list[int] = []
    # One entry, a node to enter, or, once it was entered, its key: everything behind it on the stack is then done.
    stack: list[Any] = [root]
    while stack:
        item = stack.pop()
        if isinstance(item, int):
            finished.append(item)
            continue
        alive.append(_variable(item))  # so may leaves be that the user let go
        key = _key(item)
        if key in found:
            continue
        found[key], targets = _open(item)
        alive.extend(targets)
        alive.extend(map(_variable, targets))
        for edge, target in zip(found[key].edges, targets, strict=True):
            edge.head = _key(target)  # its number follows when all are known
        stack.append(key)
        stack.extend(targets)  # the last input is walked first: numbers are counted from the end

    finished.reverse()
    nodes = [found[key] for key in finished]
    numbers = {key: number for number, key in enumerate(finished)}
    for number, node in enumerate(nodes):
        node.number = number
        for edge in node.edges:
            edge.tail, edge.head = number, numbers[edge.head]
    _name(t, names, found)
    _take_saved_values(nodes)
    _let_flow(nodes)
    return Graph(nodes, output=int(getattr(t, "output_nr", 0) or 0))


def ends_of(graph: Graph, to: Any) -> list[Node]:
    """The nodes of the tensors, or of the nodes, that ``to`` names: one, or a list."""
    ends = []
    for i, t in enumerate(to if isinstance(to, list | tuple) else [to]):
        if not hasattr(t, "requires_grad") and not hasattr(t, "next_functions"):
            raise TypeError(f"to must be a tensor, a node, or a list of them, not {type(t).__name__}")
        node = graph.find(t)
        if node is None:
            which = f"to[{i}]" if isinstance(to, list | tuple) else "to"
            raise ValueError(f"no way leads to {which}: it is not in the graph")
        ends.append(node)
    return ends


def between(graph: Graph, ends: list[Node]) -> Graph:
    """The part of a graph that lies on the ways to some of its nodes, numbered anew, with the noise and the constants that go in
    there directly. The nodes are the same objects, so that the graph itself is used up."""
    nodes, last = graph.nodes, {end.number for end in ends}
    leads = [False] * len(nodes)
    for node in reversed(nodes):
        leads[node.number] = node.number in last or any(leads[edge.head] for edge in node.edges)
    kept = set()
    for node in nodes:
        if leads[node.number]:
            kept.add(node.number)
            goes_on = any(leads[edge.head] for edge in node.edges)
            onward = [e for e in node.edges if leads[e.head] or nodes[e.head].kind in ("noise", "constant")]
            node.hidden, node.edges = len(node.edges) - len(onward) * goes_on, onward * goes_on
            kept.update(edge.head for edge in node.edges)
    left = [node for node in nodes if node.number in kept]
    numbers = {node.number: number for number, node in enumerate(left)}
    for node in left:
        node.number = numbers[node.number]
        for edge in node.edges:
            edge.tail, edge.head = numbers[edge.tail], numbers[edge.head]
    return Graph(left, graph.output)


def _root(t: Any) -> Any:
    node = getattr(t, "grad_fn", None)
    if node is not None:
        return node
    if getattr(t, "requires_grad", None) is True and not hasattr(t, "next_functions"):
        return _Leaf(t)
    if hasattr(t, "next_functions"):
        return t
    if not hasattr(t, "requires_grad"):
        raise TypeError(f"expected a tensor, or a node such as y.grad_fn, not {type(t).__name__}")
    sources = tuple(getattr(t, "sources", None) or ())
    if not sources:
        raise ValueError(
            "this tensor has no graph: it has no grad_fn and does not require grad. Set requires_grad=True on what you "
            "want a gradient for before you compute with it"
        )
    cuts = tuple(s for s in sources if s.kind == "cut")
    first = (cuts or sources)[0]
    return _Stub(first.kind, first.name, t, first.origin_name, cuts)


def _key(item: Any) -> int:
    """What tells one node from another: for a leaf its variable, for noise its value, otherwise the node itself."""
    if isinstance(item, _Stub):
        return id(item.value if item.kind in ("noise", "cut") and item.value is not None else item)
    variable = _variable(item)
    return id(item if variable is None else variable)


def _variable(item: Any) -> Any:
    variable = declared(item, "variable")
    return None if variable is None or item.next_functions else variable


def declared(item: Any, what: str) -> Any:
    """What an engine's node says of itself, or ``None``. In PyTorch the node of a user's Function is also the ``ctx`` in which
    the user keeps things, ``ctx.shape`` perhaps, which say nothing of the node."""
    return None if is_ctx(item) else getattr(item, what, None)


def is_ctx(item: Any) -> bool:
    return hasattr(type(item), "needs_input_grad")


def _open(item: Any) -> tuple[Node, list[Any]]:
    """The reading of one node, and what its edges lead to."""
    if isinstance(item, _Stub):
        node = Node(-1, item.kind, item.title, value=item.value, origin_name=item.origin_name)
        node.shape, node.dtype = _shape(item.value), getattr(item.value, "dtype", None)
        ways = [_by_source(source, slot) for slot, source in enumerate(item.sources)]
    elif (variable := _variable(item)) is not None:
        node = Node(-1, "leaf", _title(item), value=variable, gradient=variable.grad, item=item)
        node.shape, node.dtype = _shape(variable), getattr(variable, "dtype", None)
        ways = []
    else:
        node = Node(-1, "operation", _title(item), value=declared(item, "value"), item=item)
        node.shape, node.dtype = _output(item)
        node.saved = _saved(item)
        ways = list(_ways(item, node))
        if any(edge.kind == "zero" and not edge.harmless for edge, _ in ways):
            sampler = _base(node.title).replace("_", "").lower() in SAMPLERS
            node.kind = "sampling" if sampler else "flat"
    node.edges = [edge for edge, _ in ways]
    return node, [target for _, target in ways]


def _ways(item: Any, node: Node) -> Iterator[tuple[Edge, Any]]:
    """The edges of an operation, each with what it leads to."""
    pairs = item.next_functions
    stops = declared(item, "stops") or _stops_by_name(item, node.title, len(pairs))
    sources: Any = declared(item, "sources") or (None,) * len(pairs)
    for slot, (target, output) in enumerate(pairs):
        stop, source = stops[slot], sources[slot]
        if target is not None:
            edge = Edge(-1, -1, slot, output)
            if stop is not None:
                edge.kind, edge.reason, edge.remedies = stop.kind, stop.reason, tuple(stop.remedies)
                edge.harmless = getattr(stop, "harmless", False)
            yield edge, target
        elif source is not None:
            # A value may come from several: what no_grad computed from two parameters was cut from both.
            for each in source if isinstance(source, tuple) else (source,):
                yield _by_source(each, slot)
        elif len(pairs) == 2 and (constant := _constant(item, node.saved, slot)) is not None:
            yield Edge(-1, -1, slot, kind="constant"), _Stub("constant", "constant", constant)


def _by_source(source: Any, slot: int) -> tuple[Edge, Any]:
    """The edge for an input that is not wired, and what it leads to."""
    if source.kind == "noise":
        title = f"{'computed' if getattr(source, 'derived', False) else 'noise'} from {source.name}"
        return Edge(-1, -1, slot, kind="noise"), _Stub("noise", title, source.value)
    edge = Edge(-1, -1, slot, kind="missing", label=source.name)
    if source.stop is not None:
        edge.reason, edge.remedies = source.stop.reason, tuple(source.stop.remedies)
    origin = source.origin  # remembered weakly: asked once, and held from here on
    if origin is None:
        return edge, _Stub("cut", source.name, source.value, source.origin_name)
    target, edge.output = origin
    return edge, target


def _title(item: Any) -> str:
    return str(type(item).name(item)).removeprefix("torch::autograd::")


def _shape(value: Any) -> tuple[int, ...] | None:
    shape = getattr(value, "shape", None)
    return None if shape is None else tuple(shape)


def _saved(item: Any) -> dict[str, Any]:
    """What a node keeps, by name; of PyTorch's nodes without what is ``None`` and what is no longer to be had."""
    saved = declared(item, "saved")
    if isinstance(saved, Mapping):
        return dict(saved)
    if is_ctx(item):
        return {}
    kept = {}
    for attribute, name in _saved_names(item.__class__):
        try:
            if _is_packed(getattr(item, f"_raw{attribute}", None)):
                continue
            value = getattr(item, attribute)
        except (RuntimeError, AttributeError):  # freed by a backward pass, or changed in place
            continue
        if value is not None:
            # a negative dimension comes out of PyTorch as an unsigned number
            kept[name] = value - 2**64 if type(value) is int and value >= 2**63 else value
    return kept


def _is_packed(raw: Any) -> bool:
    """Whether a saved tensor is to be unpacked by a function of the user's: a checkpoint would run its part of the forward pass
    once more for each of them."""
    return any(
        getattr(each, "unpack_hook", None) is not None for each in (raw if isinstance(raw, tuple | list) else (raw,))
    )


@functools.cache
def _saved_names(kind: Any) -> tuple[tuple[str, str], ...]:
    """Attributes of a PyTorch node that hold what it saved, each with what to call it; what only describes is left out."""
    names = [name for name in dir(kind) if name.startswith("_saved_") and "_sym_" not in name]
    return tuple((name, {"self": "input"}.get(short := name.removeprefix("_saved_"), short)) for name in names)


def _constant(item: Any, saved: Mapping[str, Any], slot: int) -> Any:
    """The value of an input that needs no gradient, where an operation of two inputs saved it."""
    return saved.get("input" if slot == 0 else "other")


def _output(item: Any) -> tuple[tuple[int, ...] | None, Any]:
    """Shape and dtype of the first output of an operation; PyTorch's nodes keep them elsewhere."""
    if declared(item, "shape") is not None:
        return _shape(item), declared(item, "dtype")
    outputs: Any = getattr(item, "_input_metadata", None) or ()
    first = next(iter(outputs), None)
    return _shape(first), getattr(first, "dtype", None)


# ---------------------------------------------------------------------------------------------------- reading the whole


def _find(t: Any, found: Mapping[int, Node]) -> Node | None:
    """The node of a tensor of the user's, or of a node, among those that were read, by their keys."""
    if hasattr(t, "next_functions"):
        return found.get(_key(t))
    if not hasattr(t, "requires_grad"):
        return None
    function = getattr(t, "grad_fn", None)
    keys = [id(function)] if function is not None else [id(t), _id_of_array(t)]
    return next((found[key] for key in keys if key in found), None)


def _name(root: Any, names: Mapping[str, Any], found: Mapping[int, Node]) -> None:
    """Give nodes the names of the user's tensors, and the values that only these tensors know."""
    # A tensor that PyTorch saved comes back as another object, but in the same memory.
    lent = {memory: n for n in found.values() if n.kind == "constant" and (memory := _memory(n.value)) is not None}
    for name, t in [*names.items(), (None, root)]:
        if hasattr(t, "next_functions"):
            continue
        function = getattr(t, "grad_fn", None)
        node = _find(t, found) or lent.get(_memory(t) or ())
        if node is None:
            continue
        output = getattr(t, "output_nr", 0) if function is not None else 0
        if name is not None:
            node.names += (f"{name} (output {output})" if output else str(name),)
        if function is not None and output == 0:
            if node.value is None:
                node.value = t
            if getattr(t, "retains_grad", False) is True:  # otherwise, to ask an inner tensor for its grad warns
                node.gradient = t.grad


_BY_SLOT = {"input": 0, "other": 1}


def _take_saved_values(nodes: list[Node]) -> None:
    """Give operations the values that they or their users saved, where the engine says none: PyTorch's do not."""
    for node in nodes:
        if node.kind in ("noise", "constant", "cut"):
            continue
        if node.value is None and _fits(node.saved.get("result"), node):
            node.value = node.saved["result"]
        for name, slot in _BY_SLOT.items():
            value = node.saved.get(name)
            for edge in node.edges if value is not None else ():
                head = nodes[edge.head]
                if edge.slot == slot and edge.output == 0 and head.value is None and _fits(value, head):
                    head.value = value


def _fits(value: Any, node: Node) -> bool:
    return node.shape is not None and _shape(value) == node.shape and getattr(value, "dtype", None) == node.dtype


def _id_of_array(t: Any) -> int:
    """The id of the array of a tensor without history: noise is known by it. 0 is nobody's."""
    if getattr(t, "requires_grad", True) is not False:
        return 0
    try:
        return id(t.numpy())
    except (AttributeError, RuntimeError, TypeError):
        return 0


def _memory(t: Any) -> tuple[Any, ...] | None:
    """Where PyTorch keeps the elements of a tensor, and which of them it shows."""
    try:
        place = t.data_ptr()  # 0 where there is none: of an empty tensor, or of a meta tensor
        return (place, _shape(t), t.stride(), t.dtype) if place else None
    except (AttributeError, RuntimeError, TypeError):  # of a sparse tensor, for example
        return None


def _let_flow(nodes: list[Node]) -> None:
    """Follow the gradient from the root: what comes along each edge, and what arrives at each node."""
    arrived = [0] * len(nodes)
    arrived[0] = 2
    for node in nodes:
        node.receives = _FLOWS[arrived[node.number]]
        for edge in node.edges:
            flow = min(arrived[node.number], _CAPACITY[edge.kind])
            edge.flow = _FLOWS[flow]
            attached = edge.kind in ("noise", "constant")
            arrived[edge.head] = max(arrived[edge.head], arrived[node.number] if attached else flow)
