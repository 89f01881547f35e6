"""Changing a tensor in place: what is refused, what is written, and where the history goes.

``x.mul_(y)`` computes ``x * y`` as ever, recorded, writes the result into the memory of ``x``, and gives ``x`` the node
of the result. Two things remain to be seen to.

*What was saved before.* A node that saved the memory of ``x`` would now compute with other numbers. The change takes a
creation number (`graph.mark_changed`), and the backward pass refuses to run the rule of an older node that reads this
memory.

*Views.* With ``v = x[0]``, a change of ``v`` changes ``x``, and the other way round. When ``v.mul_(y)`` is recorded,
``x`` gets a node ``CopySlices``, whose inputs are the old ``x`` and the product: a gradient goes to the old ``x`` but for
the part that was overwritten, and to the product from that part. Then every view of ``x``, ``v`` among them, gets a new
node ``AsStridedBackward0`` that reads it out of the new ``x``. Which element of a view is which element of ``x`` follows
from where both lie in memory (`Region`), whatever views led from one to the other::

    x = zeros(2, 3);  v = x[0];  v.mul_(y)        v ── AsStridedBackward0 ── CopySlices ─┬─ (the old x)
                                                                              └─ x       └─ MulBackward0 ── …
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinygrad_rp.engine import fit, line_of_caller, mode, note_line
from tinygrad_rp.graph import SMALL, AccumulateGrad, Node, Output, Source, Stop, address_of, mark_changed, next_order
from tinygrad_rp.tensor import Tensor, category, live_views, merge, wrap

__all__ = ["change", "move_history", "refuse_change", "refuse_family", "refuse_overlap", "refuse_record"]

# ---------------------------------------------------------------------------------------------------- what is refused


def refuse_change(tensor: Tensor, name: str) -> None:
    """Raise, if a tensor must not be changed in place.

    Raises:
        RuntimeError: as for `refuse_record` and `refuse_overlap`.
    """
    refuse_record(tensor, name)
    refuse_overlap(tensor, name)


def refuse_record(tensor: Tensor, name: str) -> None:
    """Raise, if a change of a tensor would have to be recorded, and cannot be.

    Raises:
        RuntimeError: operations are recorded, and it is a leaf that requires grad or a view of one, or a view made under
            ``no_grad``.
    """
    if not mode.enabled:
        return
    root = getattr(tensor, "_root", None)
    if type(tensor._node) is AccumulateGrad or (root is not None and type(root._node) is AccumulateGrad):
        what = (
            "a leaf that requires grad"
            if type(tensor._node) is AccumulateGrad
            else "a view of a leaf that requires grad"
        )
        raise RuntimeError(
            f"{name}: {what} was to be changed in place, which would cut it off from its gradient. Change parameters under "
            "no_grad(), or compute a new tensor"
        )
    if root is not None and root._node is not None and tensor._node is None:
        raise RuntimeError(
            f"{name}: this view was made under no_grad(), so its history does not lead to the tensor that it is a view of. "
            "Make the view where operations are recorded, or change it under no_grad()"
        )


def refuse_overlap(tensor: Tensor, name: str) -> None:
    """Raise, if the memory of a tensor must not be written to.

    Raises:
        RuntimeError: several of its elements lie in one place, or the memory is read-only.
    """
    array = tensor._array
    if 0 in array.strides and array.size > 1:
        if any(stride == 0 and n > 1 for stride, n in zip(array.strides, array.shape, strict=True)):
            raise RuntimeError(
                f"{name}: several elements of this tensor of shape {list(array.shape)} lie in one place in memory (it was "
                "expanded): clone() it before you change it in place"
            )
    if not array.flags.writeable:
        raise RuntimeError(f"{name}: the tensor shares memory with a read-only array: clone() it before you change it")


def refuse_result(tensor: Tensor, out: Any, name: str) -> None:
    """Raise, if a result cannot be written into a tensor.

    Raises:
        RuntimeError: it has another shape, or a dtype that cannot be cast to the tensor's.
    """
    array = tensor._array
    if out.shape != array.shape:
        raise RuntimeError(
            f"{name}: the result has shape {list(out.shape)}, and cannot be written into a tensor of shape {list(array.shape)}"
        )
    if category(out.dtype) > category(array.dtype):
        raise RuntimeError(
            f"{name}: the result has dtype {out.dtype} and can't be cast to {array.dtype}, the dtype of the tensor"
        )


def refuse_family(tensor: Tensor, name: str) -> None:
    """Raise, if a recorded change would leave another tensor of the same memory with a wrong history.

    Raises:
        RuntimeError: a view of the same tensor was made a leaf that requires grad, or was returned by a `Function`.
    """
    root = getattr(tensor, "_root", tensor)
    views = getattr(root, "_views", None)
    if views is None:
        return
    if any(type(view._node) is AccumulateGrad for view in live_views(root)):
        raise RuntimeError(
            f"{name}: the change would reach a view of the same memory that is a leaf and requires grad. Change a clone() instead"
        )
    if any(view() is not None for view in views.of_functions):
        raise RuntimeError(
            f"{name}: the change would reach a view that a Function of yours returned, and its backward() would be lost. Let its "
            "forward() return a clone(), or change a clone() of the tensor"
        )


# ------------------------------------------------------------------------------------------------------- what is done


def change(tensor: Tensor, out: Tensor, name: str) -> Tensor:
    """Write the result of an operation into a tensor, and give it the result's history.

    Args:
        tensor: what `refuse_change` let pass.
        out: of the tensor's shape; nobody else holds it.
        name: of the operation, as messages name it.

    Returns:
        The tensor.

    Raises:
        RuntimeError: the shape or the dtype does not fit, or a view of the same memory could not follow; all is then as before.
    """
    refuse_result(tensor, out._array, name)
    recorded = mode.enabled and (tensor._node is not None or out._node is not None)
    if recorded and tensor._array.dtype.kind != "f":
        out, recorded = wrap(out._array, None, cut_off(out)), False
    if recorded:
        refuse_family(tensor, name)
    node = out._node.node if type(out._node) is Output else out._node
    if node is not None and node is not tensor._node:
        node.keep_copy(tensor._array)
    if recorded and out._array.dtype != tensor._array.dtype:
        out = out.to(tensor._array.dtype)
    write(tensor, out._array, name)
    if recorded:
        move_history(tensor, out)
    elif tensor._node is None:
        tensor._origin = out._origin
        if tensor._base is not None and tensor._base._node is None:
            tensor._base._origin = merge(tensor._base._origin, out._origin)
    return tensor


TAKEN_AS_INTEGERS = Stop(
    "missing", "The value was written into a tensor of integers or bools, which carry no gradient."
)


def cut_off(out: Tensor) -> tuple[Source, ...] | None:
    """Where a value comes from that was written where no gradient can come back from."""
    return out._origin if out._node is None else (Source("cut", "in place", TAKEN_AS_INTEGERS, out._node),)


def write(tensor: Tensor, values: Any, name: str) -> None:
    """Write into the memory of a tensor, and note that it was changed."""
    _keep_value(tensor._node)
    root = getattr(tensor, "_root", tensor)
    if root is not tensor:
        _keep_value(root._node)
    for view in live_views(root):
        _keep_value(view._node)
    tensor._array[...] = values
    mark_changed(tensor._array, name, line_of_caller())


def _keep_value(node: Any) -> None:
    """Give a node that is shown with its value a copy of it, since the memory is about to be changed."""
    if node is not None and type(node) not in (Output, AccumulateGrad) and node.value is not None:
        node.value = np.array(node.value)


def move_history(tensor: Tensor, out: Tensor) -> None:
    """Give a tensor that was changed in place the history of its new value ``out``; its views, or what it is a view of, too."""
    root = tensor._base
    if root is None:
        root, before = tensor, tensor._node
        tensor._node = out._node
        _move_retained(tensor, before)
    else:
        before = root._node
        region = Region.of(root._array, tensor._array)
        root._node = _node(CopySlices, (before, out._node), root._array, region)
        _move_retained(root, before)
    root._origin = None
    for view in live_views(root):
        if view is tensor or before is None or view._node is not None:  # not what was made under no_grad()
            old = view._node
            region = Region.of(root._array, view._array)
            view._node = _node(AsStridedBackward0, (root._node,), view._array, region)
            view._origin = None
            _move_retained(view, old)


def _move_retained(tensor: Tensor, old: Any) -> None:
    """A tensor that asked for its gradient gets that of its new value."""
    if old is None or type(old) is AccumulateGrad or old.notes is None or tensor._node is None:
        return
    if any(reference() is tensor for reference in old.notes.retained):
        old.notes.retained[:] = [reference for reference in old.notes.retained if reference() is not tensor]
        tensor._node.own_notes().retained.append(weakref.ref(tensor))


# ------------------------------------------------------------------------------------------------------------ regions


@dataclass(frozen=True, slots=True)
class Region:
    """Where a view lies in the tensor that it is a view of. Strides and offset in bytes, as NumPy has them."""

    base_shape: tuple[int, ...]
    base_strides: tuple[int, ...]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    """From the first element of the base to the first of the view."""
    itemsize: int

    @staticmethod
    def of(base: Any, view: Any) -> Region:
        """The region of two arrays that lie in the same memory."""
        start = address_of(view) - address_of(base)
        return Region(base.shape, base.strides, view.shape, view.strides, start, base.itemsize)

    def positions(self) -> Any:
        """For each element of the view, its number among the elements of the base, counted row by row."""
        size = int(np.prod(self.base_shape))
        if size == 0 or 0 in self.shape:
            return np.zeros(self.shape, np.int64)
        # A memory of numbers, laid out as that of the base is, in which each place holds the number of its element
        steps = tuple(stride // self.itemsize for stride in self.base_strides)
        lowest = sum(step * (n - 1) for step, n in zip(steps, self.base_shape, strict=True) if step < 0)
        highest = sum(step * (n - 1) for step, n in zip(steps, self.base_shape, strict=True) if step > 0)
        memory = np.zeros(highest - lowest + 1, np.int64)
        width = memory.itemsize
        base = as_strided(memory[-lowest:], self.base_shape, tuple(step * width for step in steps))
        base[...] = np.arange(size).reshape(self.base_shape)
        view_strides = tuple(stride // self.itemsize * width for stride in self.strides)
        return np.array(as_strided(memory[self.offset // self.itemsize - lowest :], self.shape, view_strides))

    def mask(self) -> Any:
        """Which elements of the base the view covers."""
        covered = np.zeros(int(np.prod(self.base_shape)), bool)
        covered[self.positions().reshape(-1)] = True
        return covered.reshape(self.base_shape)


def _node(kind: type[_RegionNode], edges: tuple[Any, ...], array: Any, region: Region) -> Any:
    node = kind()
    node.edges = edges
    node.order = next_order()
    node.notes = None
    node.inputs = None
    node.shape = array.shape
    node.dtype = array.dtype
    node.value = np.array(array) if array.size <= SMALL else None
    node.region = region
    note_line(node)
    return node


def _recorded(kind: type[_RegionNode], out: Any, tensor: Tensor, region: Region) -> Tensor:
    """The tensor of an array that was computed from ``tensor`` in a recorded pass."""
    record = mode.enabled and tensor._node is not None
    return wrap(out, _node(kind, (tensor._node,), out, region) if record else None)


def read(g: Any, region: Region) -> Any:
    """The elements of ``g``, which has the shape of the base, that the view covers."""
    if isinstance(g, Tensor):
        return _recorded(AsStridedBackward0, read(g._array, region), g, region)
    return np.asarray(np.reshape(g, (-1,))[region.positions()])


def put(g: Any, region: Region) -> Any:
    """Zeros in the shape of the base, to which ``g``, which has the shape of the view, is added where the view lies."""
    if isinstance(g, Tensor):
        return _recorded(PutStridedBackward0, put(g._array, region), g, region)
    out = np.zeros(int(np.prod(region.base_shape)), g.dtype)
    np.add.at(out, region.positions(), g)
    return out.reshape(region.base_shape)


class _RegionNode(Node):
    """A node whose rule is a question of which element lies where."""

    __slots__ = ("region",)
    region: Region

    def rule(self, g: Any, edges: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
        raise NotImplementedError

    def run(self, gradient: Any, edges: Sequence[Any] | None) -> Iterable[tuple[Any, Any]]:
        return self.rule(fit(gradient, self.shape, self.dtype), self.edges if edges is None else edges)

    replay = run


class AsStridedBackward0(_RegionNode):
    """A view, read out of a tensor that was changed in place."""

    __slots__ = ()

    def rule(self, g: Any, edges: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
        return [(edges[0], put(g, self.region))]


class PutStridedBackward0(_RegionNode):
    """The gradient of such a view, put where the view lies."""

    __slots__ = ()

    def rule(self, g: Any, edges: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
        return [(edges[0], read(g, self.region))]


class CopySlices(_RegionNode):
    """A tensor of which a view was changed in place: its inputs are the tensor as it was, and the view's new value."""

    __slots__ = ()

    def rule(self, g: Any, edges: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
        before, value = edges
        return [
            (before, None if before is None else np.where(self.region.mask(), 0.0, g)),
            (value, None if value is None else read(g, self.region)),
        ]
