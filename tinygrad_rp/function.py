"""``Function``: an operation whose forward and backward a user writes, for gradients that no formula gives.

The straight-through estimator of a Bernoulli variable, for example::

    class StraightThrough(Function):
        @staticmethod
        def forward(ctx, p):
            return bernoulli(p)

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    y = StraightThrough.apply(p)

``forward`` runs without being recorded; ``apply`` then adds one node, whose rule is ``backward``. What they share is the ``ctx``.

Where ``forward`` itself goes through a step that no gradient passes (a sample, a comparison), what ``backward`` hands on cannot
be the derivative of what was computed. The edge then says so: its `Stop` has the kind ``"surrogate"``.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from numpy import array, zeros

from tinygrad_rp.engine import changed_error, enable_grad, fit, mode, no_grad, note_line
from tinygrad_rp.graph import SMALL, Node, Notes, Output, Stop, changed_since, changes, next_order
from tinygrad_rp.in_place import move_history, refuse_change, refuse_family
from tinygrad_rp.tensor import DETACH, NO_GRAD, Tensor, merge, remember, view_of, wrap

__all__ = ["Function", "FunctionCtx", "FunctionNode"]


class FunctionCtx:
    """What ``forward`` and ``backward`` of a `Function` share. It takes any attribute: ``ctx.factor = 2``."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        """For each argument of ``apply``, whether its gradient is asked for."""
        self._saved: tuple[Any, ...] = ()
        self._not_differentiable: tuple[Tensor, ...] = ()
        self._dirty: tuple[Tensor, ...] = ()
        self._materialize = True
        self._node: weakref.ref[FunctionNode] | None = None  # the node holds the ctx

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors, inputs or outputs of ``forward``, for ``backward``, where they are ``saved_tensors``."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(
                    f"save_for_backward() keeps tensors, not {type(t).__name__}; anything else can be an attribute: ctx.name = …"
                )
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors given to ``save_for_backward``.

        Raises:
            RuntimeError: a backward pass freed them.
        """
        node = self._node() if self._node is not None else None
        if node is None:
            return self._saved
        if node.freed:
            raise RuntimeError(
                f"the saved tensors of {node.name()} were freed by a backward pass. Pass retain_graph=True to keep them."
            )
        for i, entry in enumerate(self._saved if changes else ()):
            array = getattr(entry, "_array", entry)
            change = None if array is None else changed_since(array, getattr(entry, "_node", None), node.order)
            if change is not None:
                raise changed_error(node, f"saved_tensors[{i}]", array, change)
        return tuple(node.unpack(entry) if isinstance(entry, _SavedOutput) else entry for entry in self._saved)

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say of outputs of ``forward`` that they carry no gradient."""
        self._not_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether ``backward`` is given zeros (the default) or ``None`` for an output that no gradient reached."""
        self._materialize = value

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say of arguments of ``forward`` that it changed them in place. It must return them, too."""
        self._dirty = tensors


class FunctionNode(Node):
    """The node of a `Function`."""

    __slots__ = ("_arguments", "_layout", "_outputs", "_positions", "_surrogate", "ctx")
    pure = False
    function: ClassVar[type[Function]]

    def __init__(self, ctx: FunctionCtx) -> None:
        self.ctx = ctx
        self.edges = ()
        self.notes = Notes()
        self.inputs = None
        self.value = None
        self._positions: tuple[int, ...] = ()
        """Which of the arguments are tensors; they have the edges."""
        self._arguments = 0
        self._surrogate: tuple[Stop | None, ...] | None = None
        self._outputs: list[weakref.ref[Output] | None] = []
        self._layout: list[tuple[tuple[int, ...], Any]] = []

    def __getattr__(self, name: str) -> Any:
        if name == "ctx":
            raise AttributeError(name)
        return getattr(self.ctx, name)  # in PyTorch node and ctx are one

    @property
    def outputs(self) -> int:  # type: ignore[override]
        """How many outputs the forward had."""
        return len(self._layout) if self._outputs else 1

    @property
    def declared_stops(self) -> tuple[Stop | None, ...] | None:  # type: ignore[override]
        return self._surrogate

    def live_outputs(self) -> list[Output]:
        found = [reference() for reference in self._outputs if reference is not None]
        return [output for output in found if output is not None]

    @property
    def saved(self) -> dict[str, Any]:
        if self.freed:
            return {}
        return {f"saved_{i}": entry._array for i, entry in enumerate(self.ctx._saved) if entry is not None}

    def unpack(self, entry: _SavedOutput) -> Tensor:
        """A saved output as a tensor that knows where it came from."""
        if not self._outputs:
            return wrap(entry._array, self)
        reference = self._outputs[entry.index]
        return wrap(entry._array, None if reference is None else reference() or self._output(entry.index))

    def _output(self, index: int) -> Output:
        output = Output(self, index, *self._layout[index])
        self._outputs[index] = weakref.ref(output)
        return output

    def run(self, gradient: Any, edges: Sequence[Any] | None) -> list[tuple[Any, Any]]:
        with no_grad():
            # as views, since the user's backward may have returned what somebody else holds
            pairs = self._backward(gradient, edges)
            return [(edge, None if g is None else g._array[...]) for edge, g in pairs]

    def replay(self, gradient: Any, edges: Sequence[Any] | None) -> list[tuple[Any, Any]]:
        with enable_grad():
            return self._backward(gradient, edges)

    def _backward(self, gradient: Any, edges: Sequence[Any] | None) -> list[tuple[Any, Tensor | None]]:
        if edges is None:
            edges = self.edges
        if not isinstance(gradient, list):
            gradient = fit(gradient, self.shape, self.dtype)
        arriving = gradient if isinstance(gradient, list) else [gradient]
        given = []
        for g, (shape, dtype) in zip(arriving, self._layout, strict=True):
            if g is None and self.ctx._materialize:
                g = zeros(shape, dtype)
            given.append(g if g is None or isinstance(g, Tensor) else wrap(array(g)))
        name = f"{self.function.__name__}.backward()"
        returned = self.function.backward(self.ctx, *given)
        if not isinstance(returned, tuple):
            returned = (returned,)
        for i, g in enumerate(returned[: self._arguments]):
            if g is not None and i not in self._positions:
                raise RuntimeError(f"{name} returned a gradient for argument {i}, which is no tensor; it must be None")
        extra = returned[self._arguments :]
        if len(returned) < self._arguments or any(g is not None for g in extra):
            raise RuntimeError(
                f"{name} returned {len(returned)} gradients, but forward() took {self._arguments} arguments: it must return one "
                "for each, with None for those that need none"
            )
        results: list[tuple[Any, Tensor | None]] = []
        for position, edge in zip(self._positions, edges, strict=True):
            g = returned[position]
            if edge is None or g is None:
                results.append((edge, None))
                continue
            if not isinstance(g, Tensor):
                raise TypeError(
                    f"{name} returned {type(g).__name__} as gradient {position}; it must be a tensor or None"
                )
            shape = edge.shape
            if not _reduces_to(g._array.shape, shape):
                raise RuntimeError(
                    f"{name} returned a gradient of shape {list(g._array.shape)} for input {position}, of shape {list(shape)}"
                )
            results.append((edge, g))
        return results

    def free(self) -> None:
        if self.ctx._saved:
            self.ctx._saved = ()
            self.mark_freed()


class _SavedOutput:
    """A saved tensor that is an output of the node itself: kept as an array, or node and tensor would hold each other."""

    def __init__(self, index: int, array: Any) -> None:
        self.index = index
        self._array = array


def _among(tensor: Any, tensors: Iterable[Any]) -> bool:
    """Whether this very tensor is one of them; == would compare elements."""
    return any(tensor is t for t in tensors)


def _reduces_to(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    if len(shape) < len(target):
        return False
    return all(n in (1, m) for n, m in zip(reversed(target), reversed(shape), strict=False))


class Function:
    """An operation of the user's own: static methods ``forward(ctx, *args)`` and ``backward(ctx, *grad_outputs)``.

    ``forward`` returns a tensor or a tuple of tensors. ``backward`` gets one gradient an output and returns one gradient an
    argument of ``forward``, with ``None`` for arguments that need none. Call it by ``apply``.
    """

    _node: ClassVar[type[FunctionNode]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._node = type(
            f"{cls.__name__}Backward", (FunctionNode,), {"__slots__": (), "function": cls, "__module__": cls.__module__}
        )

    def __init__(self) -> None:
        name = type(self).__name__
        raise RuntimeError(f"a Function is not made, but applied: {name}.apply(…) instead of {name}()(…)")

    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs. To be written by the user."""
        raise NotImplementedError("a Function needs a static method forward(ctx, *args)")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Compute the gradients of the inputs. To be written by the user."""
        raise NotImplementedError("a Function needs a static method backward(ctx, *grad_outputs) to be differentiated")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward``, and record one node for it.

        Returns:
            What ``forward`` returned, connected to the graph.

        Raises:
            TypeError: ``forward`` returned something else than tensors.
        """
        if cls is Function:
            raise RuntimeError("apply() is called on a subclass of Function that has a forward() and a backward()")
        if kwargs:
            raise TypeError(f"{cls.__name__}.apply() takes no keyword arguments; pass {', '.join(kwargs)} by position")
        if hasattr(cls, "setup_context"):
            raise NotImplementedError(
                f"{cls.__name__}.setup_context() is not supported: write forward(ctx, *args) and keep things in ctx there"
            )
        edges = [arg._node if isinstance(arg, Tensor) else None for arg in args]
        ctx = FunctionCtx(tuple(edge is not None for edge in edges))
        with no_grad():
            returned = cls.forward(ctx, *args)
        outputs = list(returned) if isinstance(returned, tuple) else [returned]
        for i, out in enumerate(outputs):
            if not isinstance(out, Tensor) and not (out is None and isinstance(returned, tuple)):
                raise TypeError(f"{cls.__name__}.forward() must return tensors; output {i} is {type(out).__name__}")
        for t in ctx._dirty:
            if not _among(t, args) or not _among(t, outputs):
                raise RuntimeError(
                    f"{cls.__name__}.forward() marked a tensor as dirty that is not both an argument and returned: what is "
                    "changed in place must be handed on, so that later operations see its new history"
                )
            refuse_change(t, f"{cls.__name__}.apply()")
            refuse_family(t, f"{cls.__name__}.apply()")
        origins = [out._origin if isinstance(out, Tensor) and out._node is None else None for out in outputs]
        if not mode.enabled or not any(ctx.needs_input_grad):
            fresh = [
                wrap(out._array, None, origin)
                if isinstance(out, Tensor) and _among(out, args) and mode.enabled and not _among(out, ctx._dirty)
                else out
                for out, origin in zip(outputs, origins, strict=True)
            ]
            return tuple(fresh) if isinstance(returned, tuple) else fresh[0]

        node = cls._node(ctx)
        ctx._node = weakref.ref(node)
        node._positions = tuple(i for i, arg in enumerate(args) if isinstance(arg, Tensor))
        node._arguments = len(args)
        node.edges = tuple(edges[i] for i in node._positions)
        node.order = next_order()
        node._layout = [((), None) if out is None else (out._array.shape, out._array.dtype) for out in outputs]
        node.shape, node.dtype = node._layout[0]
        first = outputs[0]
        node.value = first._array if first is not None and first._array.size <= SMALL else None
        given = [(None if edges[i] is not None else args[i]._origin, args[i]._array) for i in node._positions]
        node.inputs = tuple(remember(*entry) for entry in given) if any(sources for sources, _ in given) else None
        node._surrogate = _surrogates(node.edges, merge(*origins))
        ctx._saved = tuple(
            t
            if t is None or (_among(t, args) and not _among(t, ctx._dirty))
            else next((_SavedOutput(i, t._array) for i, out in enumerate(outputs) if t is out), t)
            for t in ctx._saved
        )
        skipped, ctx._not_differentiable = ctx._not_differentiable, ()
        several = len(outputs) > 1
        if several:
            node._outputs = [None] * len(outputs)
        results: list[Any] = []
        for i, (out, origin) in enumerate(zip(outputs, origins, strict=True)):
            if out is None:
                results.append(None)
                continue
            flat = _among(out, skipped) or out._array.dtype.kind != "f"
            made = wrap(out._array, None, origin) if flat else wrap(out._array, node._output(i) if several else node)
            if _among(out, ctx._dirty):
                move_history(out, made)
                made = out
            elif _among(out, args) or out._is_view():
                view_of(made, out, by_function=True)
            results.append(made)
        ctx._dirty = ()
        note_line(node)
        return tuple(results) if isinstance(returned, tuple) else results[0]


def _surrogates(edges: tuple[Any, ...], origins: tuple[Any, ...] | None) -> tuple[Stop | None, ...] | None:
    """What to say of the edges of a Function whose forward went through a step that no gradient passes."""
    steps = []
    for source in origins or ():
        if source.kind == "cut" and source.stop not in (NO_GRAD, DETACH):
            steps.append(source.name)
    if not steps:
        return None
    passed = " and ".join(dict.fromkeys(f"{step}()" for step in steps))
    stop = Stop(
        "surrogate",
        f"forward() goes through {passed}, which no gradient passes: backward() hands on a stand-in, which can be biased.",
    )
    return tuple(None if edge is None else stop for edge in edges)
