"""Hooks: functions of the user's that a backward pass calls with the gradient that arrives somewhere, and that may replace it.

A hook is kept in the notes of the node (or of the node's output) at which the gradient arrives, under a number, in the
form in which the pass calls it: on arrays in an ordinary pass, on tensors in a recorded one. The user's function always
sees tensors.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_rp.engine import fit, hand_on, no_grad
from tinygrad_rp.graph import AccumulateGrad, Node, Notes, next_order
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["RemovableHandle"]

_number = itertools.count()


class RemovableHandle:
    """What registering a hook returns: ``remove()`` takes the hook away again, also at the end of a ``with`` block."""

    def __init__(self, notes: Notes, place: str, hook: Any) -> None:
        hooks = getattr(notes, place)
        # a module that was unpickled brings hooks with the numbers of another process
        self.id = next(number for number in _number if number not in hooks)
        self._notes = weakref.ref(notes)  # a handle that is kept keeps no graph alive
        self._place = place
        hooks[self.id] = hook

    def remove(self) -> None:
        """Take the hook away; a second time changes nothing."""
        notes = self._notes()
        if notes is not None:
            getattr(notes, self._place).pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def _shown(gradient: Any) -> Any:
    """A gradient as the user sees it: a tensor of its own, so that changing it changes nothing else."""
    return gradient if gradient is None or isinstance(gradient, Tensor) else wrap(np.array(gradient))


def _handed_back(what: str, new: Any, old: Any) -> Any:
    """What a hook returned instead of ``old``, checked."""
    if new is None or old is None:
        if new is not old:
            raise RuntimeError(f"{what} returned {'None for' if new is None else 'a gradient for'} a place that has "
                               f"{'one' if new is None else 'none'}")  # fmt: skip
        return new
    if not isinstance(new, Tensor):
        raise TypeError(
            f"{what} returned {type(new).__name__}; it must return a tensor, or None to leave the gradient as it is"
        )
    if new._array.shape != old._array.shape:
        raise RuntimeError(
            f"{what} returned a gradient of shape {list(new.shape)}, where one of {list(old.shape)} arrived"
        )
    if new._array.dtype != old._array.dtype:
        raise RuntimeError(f"{what} returned a gradient of dtype {new.dtype}, where one of {old.dtype} arrived")
    return new


def _call(hook: Callable[..., Any], recorded: bool, *given: Any) -> Any:
    if recorded:
        return hook(*given)
    with no_grad():
        return hook(*given)


def _name(hook: Any) -> str:
    return f"the hook {getattr(hook, '__qualname__', type(hook).__name__)}()"


def _on_gradient(hook: Callable[[Tensor], Any]) -> Callable[[Any], Any]:
    """A tensor's hook, as the pass calls it."""

    def adapted(gradient: Any) -> Any:
        recorded = isinstance(gradient, Tensor)
        seen = _shown(gradient)
        returned = _call(hook, recorded, seen)
        new = seen if returned is None else _handed_back(_name(hook), returned, seen)
        return new if recorded else new._array[...]

    return adapted


def _on_arriving(hook: Callable[[tuple[Any, ...]], Any]) -> Callable[[list[Any]], list[Any]]:
    """A node's hook on all that arrives, as the pass calls it."""

    def adapted(gradients: list[Any]) -> list[Any]:
        recorded = any(isinstance(g, Tensor) for g in gradients)
        seen = tuple(map(_shown, gradients))
        new = _several(hook, _call(hook, recorded, seen), seen)
        return [g if recorded or g is None else g._array[...] for g in new]

    return adapted


def _on_leaving(hook: Callable[[tuple[Any, ...], tuple[Any, ...]], Any]) -> Callable[..., Any]:
    """A node's hook on what it hands on, as the pass calls it."""

    def adapted(pairs: Any, arrived: Any) -> Any:
        pairs = [(edge, None if g is None else fit(g, edge.shape, edge.dtype)) for edge, g in pairs]
        outputs = arrived if isinstance(arrived, list) else [arrived]
        recorded = any(isinstance(g, Tensor) for g in outputs)
        seen = tuple(_shown(g) for _, g in pairs)
        new = _several(hook, _call(hook, recorded, seen, tuple(map(_shown, outputs))), seen)
        return [(edge, g if recorded or g is None else g._array[...]) for (edge, _), g in zip(pairs, new, strict=True)]

    return adapted


def _several(hook: Any, returned: Any, seen: Sequence[Any]) -> Sequence[Any]:
    if returned is None:
        return seen
    if not isinstance(returned, tuple):
        raise TypeError(
            f"{_name(hook)} returned {type(returned).__name__}; it must return a tuple of gradients, or None"
        )
    if len(returned) != len(seen):
        raise RuntimeError(f"{_name(hook)} returned {len(returned)} gradients, where there are {len(seen)}")
    return [_handed_back(_name(hook), new, old) for new, old in zip(returned, seen, strict=True)]


def _check_callable(name: str, hook: Any) -> None:
    if not callable(hook):
        raise TypeError(f"{name}() takes a function, not {type(hook).__name__}")


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Call ``hook`` with the gradient of this tensor, each time that a pass has computed it; what it returns, unless ``None``,
    takes the gradient's place.

    Returns:
        A handle; its ``remove()`` takes the hook away.

    Raises:
        RuntimeError: the tensor does not require grad.
    """
    _check_callable("register_hook", hook)
    if self._node is None:
        raise RuntimeError("register_hook(): this tensor does not require grad, so no gradient will arrive at it")
    return RemovableHandle(self._node.own_notes(), "hooks", _on_gradient(hook))


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], None]) -> RemovableHandle:
    """Call ``hook`` with this leaf, each time that ``backward`` has added to its ``grad``.

    Raises:
        RuntimeError: the tensor is no leaf that requires grad.
    """
    _check_callable("register_post_accumulate_grad_hook", hook)
    if type(self._node) is not AccumulateGrad:
        raise RuntimeError(
            "register_post_accumulate_grad_hook(): only a leaf that requires grad accumulates a gradient"
        )

    def adapted(leaf: Tensor) -> None:
        with no_grad():
            hook(leaf)

    return RemovableHandle(self._node.own_notes(), "after", adapted)


def _node_hook(self: Node, hook: Callable[[tuple[Any, ...], tuple[Any, ...]], Any]) -> RemovableHandle:
    """Call ``hook(grad_inputs, grad_outputs)`` each time that this node has run: with what it hands on, one gradient an input,
    and with what had arrived, one an output. A tuple that it returns takes the place of the first.

    A leaf's node hands nothing on: its hook gets an empty tuple, and the gradient that was added.
    """
    _check_callable("register_hook", hook)
    if isinstance(self, AccumulateGrad):

        def added(leaf: Tensor) -> None:
            _call(hook, False, (), (leaf.grad,))

        return RemovableHandle(self.own_notes(), "after", added)
    return RemovableHandle(self.own_notes(), "after", _on_leaving(hook))


def _node_prehook(self: Node, hook: Callable[[tuple[Any, ...]], Any]) -> RemovableHandle:
    """Call ``hook(grad_outputs)`` each time that this node is about to run; a tuple that it returns takes their place."""
    _check_callable("register_prehook", hook)
    return RemovableHandle(self.own_notes(), "before", _on_arriving(hook))


def _node_call(self: Node, *grad_outputs: Tensor | None) -> Any:
    """What this node alone makes of a gradient, as in PyTorch: ``y.grad_fn(g)``. Nothing is recorded, no hook runs, no ``grad``
    changes, and nothing is freed.

    Args:
        grad_outputs: the gradients of its outputs, one each; ``None`` where there is none.

    Returns:
        The gradients of its inputs, ``None`` where there is none; without a tuple where there is one input.

    Raises:
        TypeError: not one gradient for each output, or something that is no tensor.
        RuntimeError: what the node saved was freed or changed since; a shape does not fit; or it is a leaf's node.
    """
    if isinstance(self, AccumulateGrad):
        raise RuntimeError("a leaf's node hands nothing on; backward() is what adds to the leaf's grad")
    wrong = [g for g in grad_outputs if g is not None and not isinstance(g, Tensor)]
    if wrong or len(grad_outputs) != self.outputs or all(g is None for g in grad_outputs):
        given = f", one of them {type(wrong[0]).__name__}" if wrong else ""
        raise TypeError(
            f"{self.name()} has {self.outputs} output{'s' * (self.outputs > 1)} and takes a tensor for each, or None where no "
            f"gradient arrives (but not for all); there were {len(grad_outputs)}{given}"
        )
    shapes = {output.index: output.shape for output in self.live_outputs()} if self.outputs > 1 else {0: self.shape}
    for i, g in enumerate(grad_outputs):
        if g is not None and g._array.shape != shapes.get(i, g._array.shape):
            raise RuntimeError(
                f"{self.name()} got a gradient of shape {list(g._array.shape)} for its output {i}, of shape {list(shapes[i])}"
            )
    results = hand_on(self, [None if g is None else np.array(g._array) for g in grad_outputs])
    handed = tuple(None if g is None else wrap(np.array(g)) for g in results)
    return handed[0] if len(handed) == 1 else handed


def _sequence_number(self: Node) -> int:
    """When the node was created: later ones have higher numbers. A leaf's node has 0."""
    return -self.order


def next_sequence_number() -> int:
    """A number that is higher than those of all nodes so far, and not higher than those of all later ones."""
    return -next_order()


Tensor.register_hook = register_hook  # type: ignore[attr-defined]
Tensor.register_post_accumulate_grad_hook = register_post_accumulate_grad_hook  # type: ignore[attr-defined]
Node.register_hook = _node_hook  # type: ignore[attr-defined]
Node.register_prehook = _node_prehook  # type: ignore[attr-defined]
Node.__call__ = _node_call  # type: ignore[method-assign, assignment]
Node._sequence_nr = _sequence_number  # type: ignore[attr-defined]
