"""The backward pass: which gradient goes where, in which order, and what is left behind when something fails.

The pass is iterative. A node's creation number says everything about the order: a node is always created after the
nodes that it was computed from, so taking the newest pending node from a heap means that every gradient that a node is
owed has arrived before it runs. No counting of dependencies is needed beforehand, a chain keeps the heap at one entry,
and a graph of a million nodes neither recurses nor slows down.

Nothing outside the pass changes until every rule has run: gradients of leaves are collected and only then written to
``leaf.grad``, and only then is what the nodes saved let go. An exception (in a rule, in a user's ``Function``, or a warning
that was turned into an error) leaves the graph and all gradients as they were.

A worked example: ``z = x * x; y = z + z`` and ``y.backward()``. The pass starts with the pair (AddBackward0, 1). Its rule
gives 1 and 1, both for the MulBackward0, where they are added up in a buffer: 2. The heap now holds that node alone; its
rule gives 2·x twice, both for the leaf x, added up: 4·x.

A gradient is an array in the ordinary pass and a tensor when the pass itself is recorded (``create_graph=True``); what is
written here holds for both, since NumPy's functions find their way back to our operations from a tensor.
"""

from __future__ import annotations

import functools
import inspect
import linecache
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush, heappushpop
from types import TracebackType
from typing import Any, TypeVar, cast

import numpy as np

from tinygrad_rp.graph import AccumulateGrad, Change, Node, Output, Stop, changed_since, changes, owner_of
from tinygrad_rp.kernels.choice import sum_over

__all__ = [
    "StoppedGradientWarning",
    "enable_grad",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]

F = TypeVar("F", bound=Callable[..., Any])


class _Mode(threading.local):
    enabled = True


mode = _Mode()
"""Whether operations are recorded, for each thread by itself."""
paused: list[None] = []
"""Empty as long as no thread has stopped recording and anomaly mode is off: looking here first costs an operation less than
asking for the thread's own mode."""


def is_grad_enabled() -> bool:
    """Whether operations of this thread are recorded now."""
    return mode.enabled


class set_grad_enabled:
    """Record operations, or not, in this thread: as a statement, in a ``with`` block, or on a function.

    Args:
        mode: whether to record.
    """

    def __init__(self, mode: bool) -> None:
        self._before = _switch(bool(mode))
        self._enabled = bool(mode)

    def __enter__(self) -> None:
        _switch(self._enabled)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _switch(self._before)

    def __call__(self, function: F) -> F:
        _switch(self._before)  # building the decorator is not yet entering it
        return _with_mode(self._enabled, function)


class _Switch:
    """``no_grad`` and ``enable_grad``: usable in a ``with`` block, nested too, and on a function, with or without ``()``."""

    _enabled: bool

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        self = super().__new__(cls)
        self._before = []
        return self if function is None else self(function)

    _before: list[bool]

    def __enter__(self) -> None:
        self._before.append(_switch(self._enabled))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _switch(self._before.pop())

    def __call__(self, function: F) -> F:
        return _with_mode(self._enabled, function)


class no_grad(_Switch):
    """Do not record operations of this thread: ``with no_grad(): …`` or ``@no_grad()``."""

    _enabled = False


class enable_grad(_Switch):
    """Record operations of this thread again, inside a `no_grad` block."""

    _enabled = True


def _switch(enabled: bool) -> bool:
    before, mode.enabled = mode.enabled, enabled
    if before and not enabled:
        paused.append(None)
    elif enabled and not before:
        paused.pop()
    return before


def _with_mode(enabled: bool, function: F) -> F:
    if inspect.isgeneratorfunction(function):
        raise TypeError(
            f"{function.__qualname__} is a generator function, which runs only later: put a `with` block inside it instead"
        )

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        before = _switch(enabled)
        try:
            return function(*args, **kwargs)
        finally:
            _switch(before)

    return cast(F, wrapped)


# ------------------------------------------------------------------------------------------------------- anomaly mode


class _Anomaly:
    enabled = False
    """Whether operations note the line that runs them. For all threads."""
    check_nan = True
    """Whether a pass then looks for NaN."""


anomaly = _Anomaly()


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on."""
    return anomaly.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode, if on, looks for NaN."""
    return anomaly.check_nan


def _switch_anomaly(enabled: bool, check_nan: bool) -> tuple[bool, bool]:
    before = (anomaly.enabled, anomaly.check_nan)
    if enabled and not anomaly.enabled:
        paused.append(None)
    elif anomaly.enabled and not enabled:
        paused.pop()
    anomaly.enabled, anomaly.check_nan = enabled, check_nan
    return before


class set_detect_anomaly:
    """Switch anomaly mode on or off: from here on, as a call; or for a ``with`` block. See `detect_anomaly`.

    Args:
        mode: on or off.
        check_nan: whether to look for NaN; otherwise only the lines are noted, for messages.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = _switch_anomaly(bool(mode), bool(check_nan))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        _switch_anomaly(*self._before)


class detect_anomaly:
    """Anomaly mode, as a ``with`` block or a decorator: a backward pass stops at the first NaN that a node hands on, and names
    the forward operation and the line that ran it. It slows every operation down: use it to find a mistake.

    Args:
        check_nan: whether to look for NaN; otherwise only the lines are noted, for messages.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = bool(check_nan)
        self._before: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self._before.append(_switch_anomaly(True, self._check_nan))

    def __exit__(self, *_: object) -> None:
        _switch_anomaly(*self._before.pop())

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with detect_anomaly(self._check_nan):
                return function(*args, **kwargs)

        return cast(F, wrapped)


def line_of_caller() -> str | None:
    """The user's line that is running, in anomaly mode; otherwise ``None``."""
    if not anomaly.enabled:
        return None
    frame = _caller()[0]
    path, number = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(path, number).strip()
    return f"{path}:{number}, in {frame.f_code.co_name}" + (f": {text}" if text else "")


def note_line(node: Node) -> None:
    """In anomaly mode, note the line that ran the operation of a new node."""
    line = line_of_caller()
    if line is not None:
        node.own_notes().line = line


def _refuse_nan(node: Node, pairs: Sequence[tuple[Any, Any]]) -> None:
    """Raise, if a node hands on a NaN."""
    for i, (_, g) in enumerate(pairs):
        if g is not None and np.isnan(getattr(g, "_array", g)).any():
            line = node.notes.line if node.notes is not None else None
            where = (
                f"The forward operation, {node.operation}(), ran at {line}."
                if line
                else f"The forward operation, {node.operation}(), ran outside anomaly mode; run it under detect_anomaly(), too."
            )
            raise RuntimeError(
                f"Function '{node.name()}' returned nan values in its {i}th output: the gradient of its input {i}, of shape "
                f"{list(g.shape)}. {where}"
            )


# --------------------------------------------------------------------------------------------------------------- the pass


def accumulate(roots: Sequence[tuple[Any, Any]], retain_graph: bool, create_graph: bool, inputs: Any = None) -> None:
    """Run backward from ``roots`` and add what arrives at each leaf to its ``grad``.

    Args:
        roots: pairs of edge (`Node` or `Output`) and gradient (an array, or a tensor when recorded). The array must be a view,
            so that no leaf keeps it as its own.
        retain_graph: keep what the nodes saved, so that the graph can be walked again.
        create_graph: record the pass itself.
        inputs: the tensors to accumulate into, by their edges; all leaves when ``None``.

    Raises:
        RuntimeError: a node on the way was freed by an earlier pass, or needs what was changed in place since.
    """
    if inputs is None and not create_graph:
        leaves, visited, found = _walk(roots, False, None, _NOTHING)
    else:
        needed = None if inputs is None else _paths_to(roots, inputs)
        leaves, visited, found = _walk_in_mode(roots, create_graph, needed, frozenset(inputs or ()))
        if inputs is not None:
            leaves = {leaf: g for leaf, g in leaves.items() if leaf in inputs}
    hooked = []
    if found is not None:
        hooked = [leaf for leaf in found.hooked if leaf in leaves]
        for leaf in hooked:
            if leaf.notes.before:
                leaves[leaf] = _before_running(leaf.notes, leaves[leaf])
        if found.stopped:
            _warn_of_starved_leaves(roots, visited, leaves)
    # What is added to a gradient that has a history is recorded, also inside a no_grad block; nothing else is
    mode_before = _switch(True) if paused and not mode.enabled else None
    _writing.acquire()  # two threads may add to the same leaf
    try:
        if found is not None:
            kept = {id(tensor) for tensor, _ in found.retained}
            _retain(found.retained)
            _retain([(inputs[edge], g) for edge, g in found.captured.items() if id(inputs[edge]) not in kept])
        lent: dict[int, Any] = {}
        for leaf, gradient in leaves.items():
            leaf.accumulate(gradient, lent)
    finally:
        _writing.release()
        if mode_before is not None:
            _switch(mode_before)
    if not retain_graph:
        for node in visited:
            node.free()
    for leaf in hooked:
        for hook in tuple(leaf.notes.after.values()):
            hook(leaf.variable)


def _retain(retained: list[tuple[Any, Any]]) -> None:
    for tensor, gradient in retained:
        tensor._retain(gradient)


_writing = threading.RLock()


class _Found:
    """What few passes come across.

    Args:
        stopped: whether a node that ran declares a stop.
        retained: pairs of tensor and gradient, for the tensors that retain theirs.
        captured: the gradients at the edges where they are to be kept.
        hooked: the leaves that have notes, in the order in which gradients reached them.
    """

    __slots__ = ("captured", "hooked", "retained", "stopped")

    def __init__(self) -> None:
        self.stopped = False
        self.retained: list[tuple[Any, Any]] = []
        self.captured: dict[Any, Any] = {}
        self.hooked: list[Any] = []


_Walked = tuple[dict[Any, Any], list[Node], _Found | None]  # see `_walk`


def _walk_in_mode(
    roots: Sequence[tuple[Any, Any]],
    create_graph: bool,
    needed: dict[Node, tuple[Any, ...]] | None,
    capture: frozenset[Any],
) -> _Walked:
    """As `_walk`; a pass that is to be recorded is recorded also inside a ``no_grad`` block."""
    before = _switch(create_graph or mode.enabled)
    try:
        return _walk(roots, create_graph, needed, capture)
    finally:
        _switch(before)


def gradients(
    roots: Sequence[tuple[Any, Any]], inputs: Sequence[Any], retain_graph: bool, create_graph: bool
) -> list[Any | None]:
    """Run backward from ``roots`` and return what arrives at each edge of ``inputs``; ``None`` where nothing does.

    No ``grad`` is touched, but of inner tensors that retain theirs. Arguments and errors as for `accumulate`.
    """
    arrived, visited, found = _walk_in_mode(roots, create_graph, _paths_to(roots, inputs), frozenset(inputs))
    if found is not None:
        arrived |= found.captured
        if found.stopped:
            _warn_of_starved_leaves(roots, visited, [edge for edge in inputs if edge in arrived])
    if not retain_graph:
        for node in visited:
            node.free()
    if found is not None:
        with _writing:
            _retain(found.retained)
    results = [arrived.get(edge) for edge in inputs]
    # Two inputs of an addition are handed one and the same array; what is returned belongs to the caller alone.
    return [g if g is None or create_graph else np.array(g) for g in results]


def reachable(roots: Sequence[tuple[Any, Any]], targets: Sequence[Any]) -> set[Any]:
    """Which of ``targets`` can be reached from ``roots``."""
    edges = {edge for edge, _ in roots}
    for node in _all_nodes(roots):
        edges.update(node.edges)
    return edges & set(targets)


_NOTHING: frozenset[Any] = frozenset()


class _Parts(list[Any]):
    """The gradients of a node's several outputs, of which some have not arrived; adding two adds part by part."""

    shape = dtype = None  # each part has been fitted to its output

    def __add__(self, other: Any) -> _Parts:
        return _Parts(a if b is None else b if a is None else a + b for a, b in zip(self, other, strict=True))


def _walk(
    roots: Sequence[tuple[Any, Any]],
    create_graph: bool,
    needed: dict[Node, tuple[Any, ...]] | None,
    capture: frozenset[Any],
) -> _Walked:
    """Run the rules of all nodes behind ``roots``, newest first.

    This loop is the hot one, and every node has a class of its own: so it asks nodes for as little as possible, and
    leaves to their own, compiled rules what those can do.

    Args:
        roots: as for `accumulate`.
        create_graph: whether to run the rules on tensors, recorded.
        needed: for each node to run, its edges with those to be skipped blanked; ``None`` where all nodes run.
        capture: edges at which the gradient is to be kept.

    Returns:
        The gradient of each leaf; the nodes that ran, in this order; and what else was come across, if anything was.
    """
    leaves: dict[Any, Any] = {}
    visited: list[Node] = []
    found: _Found | None = _Found() if capture else None
    watching = anomaly.enabled and anomaly.check_nan
    changed = changes
    # Mostly a single node waits for its turn. It and the sum of its gradients are held here; heap and buffers, made when there
    # is a second one, hold the others and theirs.
    waiting: Node | None = None
    total: Any = None
    heap: list[tuple[int, Node]] | None = None
    buffers: dict[Node, Any] | None = None
    pairs: Iterable[tuple[Any, Any]] = roots
    edge: Any
    while True:
        for edge, g in pairs:
            if g is None:
                continue
            kind = type(edge)
            if kind is AccumulateGrad:
                if g.shape != edge.shape or g.dtype is not edge.dtype:
                    g = fit(g, edge.shape, edge.dtype)
                leaves[edge] = leaves[edge] + g if edge in leaves else g
                continue
            if kind is Output:
                parts = _Parts([None] * edge.node.outputs)
                parts[edge.index] = fit(g, edge.shape, edge.dtype)
                edge, g = edge.node, parts
            if waiting is None and not heap:
                waiting = edge
                total = g
            elif edge is waiting:
                total = _fitted(total, edge) + _fitted(g, edge)
            elif buffers is None or heap is None:
                heap, buffers = [(edge.order, edge)], {edge: g}
            elif edge in buffers:
                buffers[edge] = _fitted(buffers[edge], edge) + _fitted(g, edge)
            else:
                buffers[edge] = g
                heappush(heap, (edge.order, edge))
        if heap and buffers is not None:
            if waiting is None:
                node = heappop(heap)[1]
            else:
                buffers[waiting] = total
                node = heappushpop(heap, (waiting.order, waiting))[1]
            total = buffers.pop(node)
        elif waiting is None:
            for leaf in leaves:
                if leaf.notes is not None:
                    found = found or _Found()
                    leaves[leaf] = _after_hooks(leaf, leaves[leaf], found.retained)
                    found.hooked.append(leaf)
            return leaves, visited, found
        else:
            node = waiting
        waiting = None
        edges = None
        notes = node.notes
        if notes is not None or needed is not None:  # most nodes pass by here
            if notes is not None:
                found = found or _Found()
                total = _after_hooks(node, _fitted(total, node), found.retained)
            if needed is not None:
                if capture and found is not None:
                    found.captured.update(
                        (point, g) for point, g in _points(node, _fitted(total, node)) if point in capture
                    )
                edges = needed.get(node)
                if edges is None:
                    pairs = ()
                    continue
            if notes is not None and found is not None:
                node.refuse_freed()
                found.stopped = found.stopped or node.declared_stops is not None
                if notes.before:
                    total = _before_running(notes, total)
        if changed:
            _check_unchanged(node, edges)
        try:
            pairs = node.replay(total, edges) if create_graph else node.run(total, edges)
        except (RuntimeWarning, FloatingPointError):
            if not node.pure:
                raise
            # the user has turned warnings into errors; a division by 0 in a rule of ours is none of them
            with np.errstate(all="ignore"):
                pairs = node.replay(total, edges) if create_graph else node.run(total, edges)
        if watching or notes is not None:
            pairs = _one_an_input(pairs, node.edges if edges is None else edges)
            if watching:
                _refuse_nan(node, pairs)
            for hook in tuple(notes.after.values()) if notes is not None else ():
                pairs = hook(pairs, total)
        visited.append(node)


def _one_an_input(pairs: Iterable[tuple[Any, Any]], edges: Sequence[Any]) -> list[tuple[Any, Any]]:
    """The pairs that a rule returned, with those for inputs without an edge, which it may leave out."""
    given = iter([pair for pair in pairs if pair[0] is not None])
    return [(None, None) if edge is None else next(given) for edge in edges]


def hand_on(node: Node, gradients: Sequence[Any]) -> list[Any]:
    """What one node hands on by itself, outside a pass: no hook runs, nothing is added anywhere and nothing is freed.

    Args:
        node: the node; not a leaf's.
        gradients: arrays, one an output; ``None`` where nothing arrives.

    Returns:
        One gradient an input, as an array in the input's shape and dtype; ``None`` where nothing is handed on.

    Raises:
        RuntimeError: what the node saved was freed, or changed in place since.
    """
    node.refuse_freed()
    if changes:
        _check_unchanged(node, None)
    total = _Parts(gradients) if node.outputs > 1 else fit(gradients[0], node.shape, node.dtype)
    with np.errstate(all="ignore"):
        pairs = _one_an_input(node.run(total, None), node.edges)
    return [None if edge is None or g is None else fit(g, edge.shape, edge.dtype) for edge, g in pairs]


def _after_hooks(node: Any, total: Any, retained: list[tuple[Any, Any]]) -> Any:
    """What arrived at a node, as the hooks of its outputs leave it, in the order in which they were registered."""
    if type(total) is _Parts:
        points = [output for output in node.live_outputs() if total[output.index] is not None]
    else:
        points = [node]
    for point in points:
        g = total[point.index] if type(total) is _Parts else total
        for hook in tuple(point.notes.hooks.values()):
            g = hook(g)
        if type(total) is _Parts:
            total[point.index] = g
        else:
            total = g
        for reference in point.notes.retained:
            tensor = reference()
            if tensor is not None:
                retained.append((tensor, g))
    return total


def _before_running(notes: Any, total: Any) -> Any:
    """What arrived at a node, as the hooks leave it that look at the node before it runs."""
    for hook in tuple(notes.before.values()):
        total = _Parts(hook(total)) if type(total) is _Parts else hook([total])[0]
    return total


def _check_unchanged(node: Node, edges: Sequence[Any] | None) -> None:
    """Raise, if something that the rules of a node are about to read was changed in place since the node saved it."""
    for name, array, edge in node.kept_for(edges):
        change = changed_since(array, edge, node.order)
        if change is not None:
            raise changed_error(node, name, array, change)


def changed_error(node: Node, name: str, array: Any, change: Change) -> RuntimeError:
    """The error that says which saved tensor was changed, by what, and what to do."""
    owner, frame = owner_of(array), _caller()[0]
    known = [*frame.f_locals.items(), *frame.f_globals.items()]
    tensors = [
        (variable, held) for variable, value in known if type(held := getattr(value, "_array", None)) is np.ndarray
    ]
    names = dict.fromkeys(variable for variable, held in tensors if owner_of(held) is owner)
    called = f" (in the memory of {', '.join(names)})" if names else ""
    ran = f"\n  {node.operation}() ran at {node.notes.line}" if node.notes is not None and node.notes.line else ""
    lines = f"{ran}\n  {change.by} ran at {change.line}" if change.line else ran
    return RuntimeError(
        f"{node.name()}, the gradient of {node.operation}(), needs its {name}, a tensor of shape {list(array.shape)}{called}, "
        f"which was changed in place by {change.by} after it had been saved: the gradient would be wrong. Change a clone() "
        "instead, or use the operation that makes a new tensor (of values that are filled in one by one, stack() a list), or "
        "call backward() before the change."
        + (lines or " Under autograd.detect_anomaly() this message names the lines.")
    )


def _caller() -> tuple[Any, int]:
    """The frame of the user's code that called this package, and how far away it is."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and (
        frame.f_code.co_filename.startswith(_PACKAGE) or frame.f_code.co_filename.startswith("<operation ")
    ):
        frame, depth = frame.f_back, depth + 1
    return frame, depth


_PACKAGE = os.path.dirname(__file__) + os.sep


def _fitted(g: Any, node: Any) -> Any:
    return g if type(g) is _Parts else fit(g, node.shape, node.dtype)


def _points(node: Node, total: Any) -> list[tuple[Any, Any]]:
    """The places at which a node's gradient arrives, with what arrived: the node itself, or its outputs."""
    if type(total) is not _Parts:
        return [(node, total)]
    return [(output, total[output.index]) for output in node.live_outputs() if total[output.index] is not None]


def fit(g: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Undo broadcasting and promotion: sum ``g`` down to ``shape``, and give it ``dtype``.

    Raises:
        RuntimeError: ``shape`` does not broadcast to the shape of ``g``.
    """
    if g.shape != shape:
        extra = len(g.shape) - len(shape)
        if extra < 0 or any(n not in (1, m) for n, m in zip(shape, g.shape[extra:], strict=True)):
            raise RuntimeError(f"a gradient of shape {list(g.shape)} arrived where the value has shape {list(shape)}")
        stretched = [i for i, n in enumerate(shape, extra) if n == 1 and g.shape[i] != 1]
        axes = (*range(extra), *stretched)
        g = sum_over(g, axes, True) if type(g) is np.ndarray else np.sum(g, axis=axes, keepdims=True)
        if extra:
            g = np.reshape(g, shape)
    if g.dtype == dtype:
        return g
    return g.astype(dtype) if isinstance(g, np.ndarray | np.generic) else g.to(dtype)


def _all_nodes(roots: Iterable[tuple[Any, Any]]) -> dict[Node, None]:
    """All nodes that can be reached from ``roots``."""
    found: dict[Node, None] = {}
    stack = [edge.node if type(edge) is Output else edge for edge, _ in roots]
    while stack:
        node = stack.pop()
        if node not in found:
            found[node] = None
            stack.extend(edge.node if type(edge) is Output else edge for edge in node.edges if edge is not None)
    return found


def _paths_to(roots: Iterable[tuple[Any, Any]], targets: Iterable[Any]) -> dict[Node, tuple[Any, ...]]:
    """For each node from which a target can be reached, its edges, with those that lead elsewhere blanked."""
    goals = set(targets)
    goal_nodes = {edge.node if type(edge) is Output else edge for edge in goals}
    needed: dict[Node, tuple[Any, ...]] = {}
    for node in sorted(
        _all_nodes(roots), key=lambda node: node.order, reverse=True
    ):  # oldest first: leaves before what uses them
        edges = tuple(
            edge if target in goal_nodes or target in needed else None
            for edge, target in ((e, e.node if type(e) is Output else e) for e in node.edges)
        )
        if any(edge is not None for edge in edges):
            needed[node] = edges
    return needed


# ------------------------------------------------------------------------------------------------------ stopped gradients


class StoppedGradientWarning(UserWarning):
    """A leaf got a gradient of zero because every way to it leads through a step that no gradient passes."""


def _warn_of_starved_leaves(roots: Iterable[tuple[Any, Any]], visited: list[Node], leaves: Iterable[Any]) -> None:
    """Warn of leaves that no live path reaches: what stopped, which leaf is starved, what to use instead."""
    alive: set[Any] = {edge.node if type(edge) is Output else edge for edge, _ in roots}
    blame: dict[Any, tuple[Node, Stop]] = {}
    for node in visited:  # in the order of the pass: everything that leads to a node stands before it
        for edge, stop in zip(node.edges, node.stops, strict=True):
            target = edge.node if type(edge) is Output else edge
            if node not in alive:
                if node in blame:
                    blame.setdefault(target, blame[node])
            elif stop is None or stop.kind != "zero":
                alive.add(target)
            elif not stop.harmless:
                blame.setdefault(target, (node, stop))
    starved: dict[tuple[str, Stop], list[Any]] = {}
    for leaf in leaves:
        if leaf not in alive and leaf in blame:
            node, stop = blame[leaf]
            starved.setdefault((node.name(), stop), []).append(leaf)
    for (name, stop), stopped in starved.items():
        frame, depth = _caller()
        known = [*frame.f_locals.items(), *frame.f_globals.items()]
        who = ", ".join(_name_of(target, known) for target in stopped)
        remedies = "".join(f"\n  - {remedy}" for remedy in stop.remedies)
        warnings.warn(
            f"backward() stops at {name}: the gradient of {who} is 0, and not because the cost does not depend on it. "
            f"{stop.reason}" + (f"\nInstead, you can use{remedies}" if remedies else ""),
            StoppedGradientWarning,
            stacklevel=depth,
        )


def _name_of(target: Any, known: Iterable[tuple[str, Any]]) -> str:
    """What the caller calls the tensor of an edge, or else what it is."""
    for name, value in known:
        if value is not None and getattr(value, "_node", None) is target:
            return name
    return f"{'a leaf' if type(target) is AccumulateGrad else 'an inner tensor'} of shape {list(target.shape)}"
