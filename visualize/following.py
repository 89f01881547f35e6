"""The gradient, followed with its numbers: what arrives at each node, and what goes along each edge.

A picture of the wires alone cannot say where a gradient becomes 0, NaN or tiny on a live path. So the pass is run here once
more, node by node: a node is asked what it makes of a gradient (``node(g)``, in PyTorch and in the engine), and nothing else
happens: no ``grad`` changes, nothing is freed, no hook runs.

A worked example. For ``y = relu(x) * 3`` at x = -1::

    follow(read(y), y)     arrived[0] = {0: 1}            # MulBackward0 begins with 1
                           passed[0, 0] = 3               # … and hands on 3
                           passed[1, 0] = 0               # ReluBackward0 turns 3 into 0: here it stopped
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from visualize.reading import Edge, Graph, Node, declared

__all__ = ["Pass", "follow", "hand_on", "was_freed"]

WIRED = ("live", "zero", "surrogate")
"""The kinds of edges that a node hands something to."""

NOT_ASKED = {
    "CheckpointFunctionBackward": "checkpoint(…, use_reentrant=True) runs backward() inside, which would write to the .grad of "
    "parameters. With use_reentrant=False, the pass can be followed."
}
"""Nodes whose rule is not run, since it changes what is not its own, and why, by name."""


@dataclass(slots=True)
class Pass:
    """A backward pass that was followed.

    Args:
        arrived: for each node, by number, what arrived at it in all: gradients by output. Empty where nothing did.
        passed: what went along an edge, by its ``tail`` and ``slot``. An edge that is missing here carried nothing.
        failures: the nodes, by number, that could not say what they hand on, with the reason: what they had saved was
            freed by an earlier backward pass, for example. Nothing is known of what lies behind them alone.
    """

    arrived: list[dict[int, Any]]
    passed: dict[tuple[int, int], Any] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)

    def along(self, edge: Edge) -> Any:
        """What went along an edge; ``None`` for nothing."""
        return self.passed.get((edge.tail, edge.slot)) if edge.kind in WIRED else None

    def at(self, node: Node, output: int = 0) -> Any:
        """What arrived at a node (at its first output, or at another one); ``None`` for nothing."""
        return self.arrived[node.number].get(output)


def follow(graph: Graph, t: Any, gradient: Any = None) -> Pass:
    """Follow the gradient of ``t`` through its graph.

    Args:
        graph: what `read` made of ``t``; the whole, not a part.
        t: the tensor.
        gradient: what the pass begins with, in the shape of ``t``; ones by default, as if the sum of ``t`` was meant.

    Returns:
        What arrived where. A node that fails (its saved values were freed) does not end the pass.

    Raises:
        TypeError: ``t`` is a node: its value is needed to begin with.
    """
    if not hasattr(t, "detach"):
        raise TypeError(f"to follow a gradient takes a tensor to begin with, not {type(t).__name__}")
    begin = t.detach().clone().fill_(1) if gradient is None else gradient
    result = Pass([{} for _ in graph.nodes])
    result.arrived[0][graph.output] = begin
    for node in graph.nodes:
        arrived = result.arrived[node.number]
        if not arrived or node.kind == "leaf" or not any(edge.kind in WIRED for edge in node.edges):
            continue
        try:
            handed = hand_on(node, arrived, begin)
        except Exception as error:  # a rule of the user's may raise what it likes
            result.failures[node.number] = str(error) or type(error).__name__
            continue
        for edge in node.edges:
            g = handed[edge.slot] if edge.kind in WIRED and edge.slot < len(handed) else None
            if g is None:
                continue
            g = _fitted(g, graph.nodes[edge.head], edge.output)
            result.passed[edge.tail, edge.slot] = g
            there = result.arrived[edge.head]
            there[edge.output] = there[edge.output] + g if edge.output in there else g
    return result


def was_freed(failure: str) -> bool:
    """Whether a node failed since an earlier backward pass had freed what it saved, by the message."""
    return "freed" in failure or "second time" in failure


def hand_on(node: Node, arrived: dict[int, Any], like: Any) -> Sequence[Any]:
    """What a node makes of gradients.

    Args:
        node: an operation.
        arrived: gradients, by output.
        like: a tensor of the same engine.

    Returns:
        One gradient an input; ``None`` where there is none.

    Raises:
        Exception: whatever the rule raises; RuntimeError where what it needs was freed, or changed in place since, or where
            the rule would change more than it hands on.
    """
    if node.title in NOT_ASKED:
        raise RuntimeError(NOT_ASKED[node.title])
    item = node.item
    outputs: Sequence[Any] = getattr(item, "_input_metadata", None) or ()
    count = declared(item, "outputs") or len(outputs) or max(arrived) + 1
    gradients = [arrived.get(i) for i in range(count)]
    if callable(item):
        handed = item(*gradients)
        handed = handed if isinstance(handed, tuple | list) else (handed,)
    else:
        # The node of a Function in PyTorch; its backward expects zeros where no gradient arrives.
        filled = [
            like.new_zeros(tuple(outputs[i].shape), dtype=outputs[i].dtype) if g is None and i < len(outputs) else g
            for i, g in enumerate(gradients)
        ]
        handed = item.apply(*filled)
        handed = handed if isinstance(handed, tuple | list) else (handed,)
        needs = getattr(item, "needs_input_grad", None)
        wired = [target is not None for target, _ in item.next_functions]
        if needs is not None and len(handed) >= len(needs) != len(wired):
            # It has one gradient an argument, and the edges are one a tensor.
            given = iter([g for g, need in zip(handed, needs, strict=False) if need])
            handed = [next(given, None) if is_wired else None for is_wired in wired]
    return [g.detach() if hasattr(g, "detach") else g for g in handed]


def _fitted(g: Any, head: Node, output: int) -> Any:
    """A gradient in the shape of what it belongs to: PyTorch's nodes leave it to their engine to sum what was broadcast."""
    shape: Any = None
    if head.kind == "leaf":
        shape = head.shape
    else:
        outputs: Sequence[Any] = getattr(head.item, "_input_metadata", None) or ()
        shape = tuple(outputs[output].shape) if output < len(outputs) else None
    if shape is None or tuple(g.shape) == shape or not hasattr(g, "sum_to_size"):
        return g
    return g.sum_to_size(shape)
