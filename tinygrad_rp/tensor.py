"""The tensor: an array, where it came from, and the gradient that was accumulated for it. It knows no operation.

Operations are declared in `tinygrad_rp.ops`; declaring one gives `Tensor` its method and operator, and tells NumPy's
protocols (``np.exp(t)``, ``np.ones(3) + t``) where to go.
"""

from __future__ import annotations

import copy
import math
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy import ndarray

from tinygrad_rp import engine
from tinygrad_rp.graph import (
    SMALL,
    AccumulateGrad,
    Node,
    Output,
    Source,
    Stop,
    address_of,
    changes,
    mark_changed,
    owner_of,
)
from tinygrad_rp.printing import format_tensor

__all__ = [
    "Size",
    "Tensor",
    "as_tensor",
    "bool_",
    "float32",
    "float64",
    "from_dlpack",
    "from_numpy",
    "get_default_dtype",
    "int32",
    "int64",
    "is_tensor",
    "set_default_dtype",
    "tensor",
]

float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)
int8 = np.dtype(np.int8)
int16 = np.dtype(np.int16)
int32 = np.dtype(np.int32)
int64 = np.dtype(np.int64)
uint8 = np.dtype(np.uint8)
bool_ = np.dtype(np.bool_)

DTYPES = {dtype: dtype for dtype in (float32, float64, int8, int16, int32, int64, uint8, bool_)}
RANGES = {d: (int(np.iinfo(d.name).min), int(np.iinfo(d.name).max)) for d in (int8, int16, int32, int64, uint8)}
_default_dtype = float32

DETACH = Stop(
    "missing",
    "detach() hands on the value without its history, so no gradient can come back through here.",
    ("use the tensor itself instead of its detach(), if a gradient is wanted",),
)
COPIED = Stop(
    "missing",
    "tensor() copies values without their history, so no gradient can come back through here.",
    ("use stack() or cat() to put tensors together, and clone() to copy one",),
)
NO_GRAD = Stop(
    "missing",
    "This was computed under no_grad(), where operations are not recorded.",
    ("compute it outside no_grad(), if a gradient is wanted",),
)


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple that prints as PyTorch's does."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        return math.prod(self)

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return Size(part) if isinstance(index, slice) else part

    def __add__(self, other: Any) -> Any:
        return Size(super().__add__(other))

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"


class Tensor:
    """An array with a gradient. Make one with `tensor`, a factory such as `zeros`, or an operation.

    ``Tensor(data)`` makes a float32 tensor that copies ``data``, as in PyTorch; prefer `tensor`, which infers the dtype.
    """

    __slots__ = ("__weakref__", "_array", "_grad", "_node", "_origin", "_parked", "_root", "_views")

    _array: ndarray[Any, Any]
    _node: Any
    """Where the gradient of this tensor goes: the node that computed it, or the `Output` of a node with several; the
    `AccumulateGrad` of a leaf that requires grad; ``None`` where the tensor does not require grad."""
    _origin: tuple[Source, ...] | None
    """For a tensor without a node: the noise or the cuts that its value comes from."""
    _grad: Tensor | None
    """The gradient, where it does not lie in the `AccumulateGrad`: of a tensor that retains it, or that the user gave one. Unset
    until then."""

    _parked: AccumulateGrad
    """The `AccumulateGrad` of a leaf whose ``requires_grad`` was switched off, to be taken up again. Unset until then."""

    _root: Tensor
    """Of a view: the tensor, itself no view, in whose memory it lies. Unset otherwise."""

    _views: _Views
    """Of a tensor that has views: those of them that may still exist. Unset until there is one."""

    _numpy_functions: ClassVar[dict[Any, Callable[..., Any]]] = {}
    """Which operation stands for a NumPy function. Filled by the operations."""

    def __init__(self, data: Any = ()) -> None:
        if isinstance(data, int):
            raise TypeError("Tensor(n) makes no tensor of the number n: use tensor(n), or zeros(n) for n elements")
        self._array = tensor(data, dtype=float32)._array
        self._node = None
        self._origin = None

    # ------------------------------------------------------------------------------------------------- what it is

    @property
    def shape(self) -> Size:
        """The lengths of the dimensions."""
        return Size(self._array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements, as NumPy's dtype."""
        return self._array.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    @property
    def device(self) -> str:
        """Always ``"cpu"``."""
        return "cpu"

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded. It can be set on a leaf of floating-point numbers."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not self.is_leaf:
            if not value:
                raise RuntimeError(
                    "you can only change requires_grad of a leaf; this tensor was computed by "
                    f"{self.grad_fn.name()}. Use detach() for a tensor without history."
                )
        elif value and self._node is None:
            _check_differentiable(self._array.dtype)
            node = getattr(self, "_parked", None)
            if node is None:
                node = AccumulateGrad(self)
                node.grad = self.grad
            node.parked = False
            self._node = node
        elif not value and self._node is not None:
            self._parked, self._node = self._node, None
            self._parked.parked = True

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set ``requires_grad`` of this leaf, and return the tensor itself."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor was made by the user rather than by a recorded operation."""
        return self._node is None or type(self._node) is AccumulateGrad

    @property
    def grad_fn(self) -> Any:
        """The `Node` that computed this tensor, through which its gradient goes; ``None`` for a leaf."""
        node = self._node
        if type(node) is Output:
            return node.node
        return None if type(node) is AccumulateGrad else node

    @property
    def _base(self) -> Tensor | None:
        """Of a view, the tensor in whose memory it lies; otherwise ``None``."""
        return getattr(self, "_root", None)

    def _is_view(self) -> bool:
        """Whether an operation made this tensor as a view of another one."""
        return hasattr(self, "_root")

    @property
    def _version(self) -> int:
        """How often the memory of this tensor was changed in place, through it, a view of it, or what it is a view of."""
        change = changes.get(id(owner_of(self._array)))
        return 0 if change is None else change.count

    @property
    def output_nr(self) -> int:
        """Which output of its ``grad_fn`` this tensor is."""
        return self._node.index if type(self._node) is Output else 0

    @property
    def sources(self) -> tuple[Source, ...]:
        """For a tensor that does not require grad: the noise or the cuts that its value comes from, as far as they are known."""
        return self._origin or ()

    @property
    def grad(self) -> Tensor | None:
        """What ``backward`` accumulated; ``None`` before. Kept for leaves, and where ``retain_grad`` asked for it."""
        node = self._node
        leaf_node = getattr(self, "_parked", None) if node is None else node
        if type(leaf_node) is AccumulateGrad:
            grad = leaf_node.grad
            if type(grad) is ndarray:
                leaf_node.grad = grad = wrap(grad)
            return grad
        grad = getattr(self, "_grad", None)
        if grad is None and node is not None and not self.retains_grad:
            warnings.warn(
                "the .grad of a tensor that is not a leaf is not kept by backward(). Call .retain_grad() on it before, "
                "if you want its gradient.",
                UserWarning,
                stacklevel=2,
            )
        return grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad must be a tensor or None, not {type(value).__name__}")
            if value is self:
                raise RuntimeError("a tensor cannot be its own grad")
            if value._array.shape != self._array.shape:
                raise RuntimeError(
                    f"grad of shape {list(value._array.shape)} does not fit the tensor's shape {list(self._array.shape)}"
                )
            if value._array.dtype != self._array.dtype:
                raise RuntimeError(f"grad of dtype {value.dtype} does not fit the tensor's dtype {self.dtype}")
        node = self._node
        leaf_node = getattr(self, "_parked", None) if node is None else node
        if type(leaf_node) is AccumulateGrad:
            leaf_node.grad = value
        else:
            self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    @property
    def retains_grad(self) -> bool:
        """Whether this inner tensor keeps its gradient."""
        return not self.is_leaf and self._node.notes is not None and any(r() is self for r in self._node.notes.retained)

    def retain_grad(self) -> None:
        """Keep the gradient of this tensor in ``grad``, though it is not a leaf.

        Raises:
            RuntimeError: the tensor does not require grad.
        """
        if self._node is None:
            raise RuntimeError("can't retain_grad on a tensor that has requires_grad=False")
        if not self.is_leaf and not self.retains_grad:
            self._node.own_notes().retained.append(weakref.ref(self))

    @classmethod
    def _of_node(cls, node: AccumulateGrad) -> Tensor:
        """The leaf of a node, made anew after the user let it go."""
        made = _new(cls)
        made._array = node.array
        made._origin = None
        made._node = node
        return made

    def _retain(self, gradient: Any) -> None:
        """Add to the gradient that this inner tensor keeps."""
        new: Any = np.copy(gradient) if isinstance(gradient, Tensor) else wrap(np.array(gradient))
        before = getattr(self, "_grad", None)
        self._grad = new if before is None else before + new

    def _plus_constant(self, array: ndarray[Any, Any]) -> Tensor:
        """The sum with an array that needs no gradient: it has this tensor's history, which does not grow by it."""
        return wrap(np.asarray(self._array + array), self._node)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of one dimension."""
        return self.shape if dim is None else self._array.shape[dim]

    def dim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    nelement = numel

    def is_floating_point(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return self._array.dtype.kind == "f"

    def is_contiguous(self) -> bool:
        """Whether the elements lie in memory in row-major order."""
        return self._array.flags.c_contiguous

    # ------------------------------------------------------------------------------------------------- other forms

    def detach(self) -> Tensor:
        """The same value, in the same memory, without history."""
        made: Tensor = _new(Tensor)
        made._array = self._array
        made._node = None
        made._origin = self._origin if self._node is None else (Source("cut", "detach", DETACH, self._node),)
        return made

    def detach_(self) -> Tensor:
        """Cut this tensor itself off from its history, and return it.

        Raises:
            RuntimeError: it is a view, whose history is that of the tensor that it is a view of.
        """
        if self._is_view() or live_views(self):
            raise RuntimeError(
                "detach_(): a view, or a tensor that has views, cannot be detached in place, since they share their history: use "
                "detach()"
            )
        if self._node is not None and not self.is_leaf:
            self._origin = (Source("cut", "detach_", DETACH, self._node),)
            self._node = None
        elif self._node is not None:
            self.requires_grad = False
        return self

    @property
    def data(self) -> Tensor:
        """The same value, in the same memory, without history, as `detach` gives it."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data must be a tensor, not {type(value).__name__}")
        if value._array.dtype != self._array.dtype:
            raise RuntimeError(
                f"data of dtype {value.dtype} cannot take the place of {self.dtype}: make a new tensor, with to({value.dtype})"
            )
        if live_views(self) and not _same_memory(self, value):
            raise RuntimeError(
                "data cannot be replaced while views of this tensor exist: change it in place, by copy_()"
            )
        for leaf_node in (self._node, getattr(self, "_parked", None)):
            if type(leaf_node) is AccumulateGrad:
                mark_changed(leaf_node, "data =", engine.line_of_caller())
                leaf_node.array, leaf_node.shape = value._array, value._array.shape
        if self._is_view() and not _same_memory(self, value):
            views = self._root._views
            views[:] = [view for view in views if view() is not self]
            del self._root
        self._array = value._array

    def numpy(self) -> ndarray[Any, Any]:
        """The array itself; it shares memory with the tensor.

        Raises:
            RuntimeError: the tensor requires grad, and NumPy would lose its history.
        """
        if self._node is not None:
            raise RuntimeError(
                "can't call numpy() on a tensor that requires grad: its history would be lost. Use detach().numpy() instead."
            )
        return self._array

    def cpu(self) -> Tensor:
        """The tensor itself: all tensors are in main memory."""
        return self

    def item(self) -> Any:
        """The only element, as a Python number.

        Raises:
            RuntimeError: there are none or several.
        """
        if self._array.size != 1:
            raise RuntimeError(
                f"a tensor with {self._array.size} elements cannot be turned into one number: take one by its index, sum() or "
                "mean() them, or have them all by tolist()"
            )
        return self._array.item()

    def tolist(self) -> Any:
        """The elements, as nested lists of Python numbers (one number for a tensor without dimensions)."""
        return self._array.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> ndarray[Any, Any]:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(
                    f"an array of dtype {np.dtype(dtype)} cannot be had of a {self.dtype} tensor without a copy"
                )
            return array.astype(dtype)
        return array.copy() if copy else array

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        operation = self._numpy_functions.get(ufunc) if method == "__call__" else None
        if operation is None or kwargs:
            name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
            extra = f" with {', '.join(kwargs)}" if kwargs else ""
            raise TypeError(
                f"np.{name}{extra} has no operation on tensors. Use an operation of this package, or NumPy on t.detach().numpy()."
            )
        # NumPy hands on its scalars as arrays without dimensions; a scalar does not widen a tensor
        return operation(*(x.item() if isinstance(x, ndarray | np.generic) and x.ndim == 0 else x for x in inputs))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        operation = self._numpy_functions.get(function)
        if operation is None:
            raise TypeError(
                f"np.{function.__name__} has no operation on tensors. "
                "Use an operation of this package, or NumPy on t.detach().numpy()."
            )
        return operation(*args, **kwargs)

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len() of a tensor without dimensions")
        return len(self._array)

    def __iter__(self) -> Iterator[Tensor]:
        if self._array.ndim == 0:
            raise TypeError("iteration over a tensor without dimensions")
        return (self[i] for i in range(len(self._array)))

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise RuntimeError(
                f"the truth value of a tensor with {self._array.size} elements is ambiguous: use its sum(), max() or min()"
            )
        return bool(self._array.item())

    def __float__(self) -> float:
        return float(self._number())

    def __int__(self) -> int:
        return int(self._number())

    def _number(self) -> Any:
        if self._array.size != 1:
            raise ValueError(
                f"only a tensor of one element can be turned into a number, and this one has {self._array.size}"
            )
        return self._array.item()

    def __index__(self) -> int:
        if self._array.dtype.kind not in "iub" or self._array.size != 1:
            raise TypeError("only an integer tensor of one element can be used as an index")
        return int(self._array.item())

    def __contains__(self, element: Any) -> bool:
        value = element._array if isinstance(element, Tensor) else element
        return bool((self._array == value).any())

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        if self._node is None:
            suffix = ""
        else:
            suffix = "requires_grad=True" if self.is_leaf else f"grad_fn=<{self.grad_fn.name()}>"
        return format_tensor(self._array, suffix, default=_default_dtype)

    def __format__(self, spec: str) -> str:
        if self._array.ndim == 0:
            return format(self._array.item(), spec)
        if spec:
            raise TypeError(
                f"a tensor with dimensions cannot be formatted by {spec!r}: format its numbers, item() or tolist()"
            )
        return str(self)

    def __copy__(self) -> Tensor:
        """A leaf of the same memory, without a gradient."""
        self._check_leaf("copied by copy.copy()")
        return _rebuild(type(self), self._array, self.requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """A leaf of its own memory. Tensors that share memory, copied together, share it again."""
        self._check_leaf("deep-copied")
        array = self._array
        owner = owner_of(array)
        start = address_of(array) - address_of(owner)
        if (array.shape, array.strides, array.dtype, start) == (owner.shape, owner.strides, owner.dtype, 0):
            copied = memo.setdefault(id(owner), array.copy("K"))
        elif array.dtype == owner.dtype and (owner.flags.c_contiguous or owner.flags.f_contiguous):
            whole = memo.setdefault(id(owner), owner.copy("K"))
            copied = ndarray(array.shape, array.dtype, whole.ravel("K"), start, array.strides)
        else:
            copied = array.copy("K")
        made = _rebuild(type(self), copied, self.requires_grad)
        if type(self) is Tensor:  # PyTorch copies a Parameter without its gradient
            made.grad = copy.deepcopy(self.grad, memo)
        memo[id(self)] = made
        return made

    def __reduce__(self) -> Any:
        self._check_leaf("pickled")
        return _rebuild, (type(self), self._array, self.requires_grad)

    def _check_leaf(self, what: str) -> None:
        if not self.is_leaf:
            raise RuntimeError(
                f"only a leaf can be {what}: the graph of a tensor that was computed cannot. Use detach(), or clone() for a copy "
                "with its history."
            )

    def __dlpack__(self, **options: Any) -> Any:
        """The memory of this tensor, for another library, by the DLPack protocol.

        Raises:
            BufferError: the tensor requires grad, and its history would be lost.
        """
        if self._node is not None:
            raise BufferError("can't export a tensor that requires grad by DLPack: use detach() before")
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        """The device, by the DLPack protocol: main memory."""
        return self._array.__dlpack_device__()

    # --------------------------------------------------------------------------------------------------- backward

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> None:
        """Add the gradient of this tensor to the ``grad`` of the leaves that it was computed from.

        Args:
            gradient: the gradient with respect to this tensor, of its shape; 1 where it has a single element.
            retain_graph: keep what backward needs, to walk the graph again. Default: the value of ``create_graph``.
            create_graph: record the pass itself, for second derivatives.
            inputs: the leaves to accumulate into. Default: all.

        Raises:
            RuntimeError: the tensor does not require grad; it has several elements and no ``gradient`` is given; ``gradient``
                has another shape; or the graph was freed by an earlier pass. All gradients are then as before.
        """
        engine.accumulate(
            ((self._node, root_gradient(self, gradient, create_graph)),),
            create_graph if retain_graph is None else retain_graph,
            create_graph,
            None if inputs is None else _targets(inputs),
        )

    if TYPE_CHECKING:  # declared by the operations; these lines only tell type checkers

        def __getattr__(self, name: str) -> Any: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __pos__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]


_new = object.__new__


def wrap(
    array: ndarray[Any, Any], node: Node | Output | None = None, origin: tuple[Source, ...] | None = None
) -> Tensor:
    """A tensor of this very array, computed by ``node``; without one, a leaf that does not require grad."""
    made: Tensor = _new(Tensor)
    made._array = array
    made._node = node
    made._origin = origin
    return made


def leaf(kind: type[Tensor], array: ndarray[Any, Any]) -> Tensor:
    """A leaf that requires grad, of this very array."""
    made = _new(kind)
    made._array = array
    made._origin = None
    made._node = AccumulateGrad(made)
    return made


def _same_memory(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors of one dtype lie in the same place, element by element."""
    x, y = a._array, b._array
    return (x.shape, x.strides, address_of(x)) == (y.shape, y.strides, address_of(y))


class _Views(list["weakref.ref[Tensor]"]):
    """The views of a tensor. Those that are gone are swept out when there are twice as many as at the last time."""

    __slots__ = ("limit", "of_functions")

    def __init__(self) -> None:
        self.limit = 8
        self.of_functions: list[weakref.ref[Tensor]] = []
        """Those views that a `Function` of the user's returned, and the views of these: their history is the user's rule,
        which no new node can stand for."""


def live_views(root: Tensor) -> list[Tensor]:
    """The views of a tensor that still exist."""
    found = (view() for view in getattr(root, "_views", ()))
    return [view for view in found if view is not None]


def view_of(made: Tensor, of: Tensor, by_function: bool = False) -> None:
    """Note that a tensor is a view, if it lies in the memory of the tensor that it was made of.

    Args:
        made: what was made,
        of: what it was made of.
        by_function: whether a `Function` of the user's made it.
    """
    if owner_of(made._array) is not owner_of(of._array):
        return
    root: Tensor = getattr(of, "_root", of)
    made._root = root
    views = getattr(root, "_views", None)
    if views is None:
        views = root._views = _Views()
    views.append(weakref.ref(made))
    if by_function or (views.of_functions and any(view() is of for view in views.of_functions)):
        views.of_functions.append(weakref.ref(made))
    if len(views) > views.limit and _sweeping.acquire(blocking=False):
        try:
            for some in (views, views.of_functions):
                # one by one from the end, since other threads may append meanwhile
                for i in range(len(some) - 1, -1, -1):
                    if some[i]() is None:
                        del some[i]
            views.limit = 2 * len(views) + 8
        finally:
            _sweeping.release()


_sweeping = threading.Lock()


def remember(sources: tuple[Source, ...] | None, array: ndarray[Any, Any]) -> Any:
    """What a node keeps of an input without an edge: its sources, and its value, weakly where it is large."""
    return None if sources is None else (sources, array if array.size <= SMALL else weakref.ref(array))


def merge(*origins: tuple[Source, ...] | None) -> tuple[Source, ...] | None:
    """The sources of a value computed from several; a few suffice to explain it."""
    merged = tuple(dict.fromkeys(source for origin in origins if origin is not None for source in derived(origin)))
    return merged[:8] or None


derived_noise: dict[tuple[Source, ...], tuple[Source, ...]] = {}
"""What `derived` answered for noise: as many entries as functions that draw."""


def derived(origin: tuple[Source, ...]) -> tuple[Source, ...]:
    """The sources of a value that was computed from one that has these: noise is no longer the number that was drawn."""
    found = derived_noise.get(origin)
    if found is not None:
        return found
    if all(source.kind == "cut" or source.derived for source in origin):
        return origin
    made = []
    for source in origin:
        if source.kind == "noise" and not source.derived:
            source = source.renamed(source.name, source.stop)
            source.derived = True
        made.append(source)
    result = tuple(made)
    if all(source.kind == "noise" for source in origin) and len(origin) == 1:
        derived_noise[origin] = derived_noise[result] = result
    return result


def _targets(inputs: Tensor | Sequence[Tensor]) -> dict[Any, Tensor]:
    """The tensors that a pass is to accumulate into, by their edges."""
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if not tensors:
        raise RuntimeError("backward(): inputs must name at least one tensor; leave it out for all leaves")
    return dict(zip(_edges(tensors), tensors, strict=True))


def _edges(tensors: Sequence[Tensor]) -> list[Any]:
    edges = [t._node for t in tensors]
    for i, edge in enumerate(edges):
        if edge is None:
            raise RuntimeError(
                f"input {i} does not require grad: set requires_grad=True on it before computing what you differentiate"
            )
    return edges


_ones = {shape: np.broadcast_to(np.ones((), float32), shape) for shape in ((), (1,))}
"""What most passes start with. Read-only, since all passes share them."""


def root_gradient(output: Tensor, gradient: Any, create_graph: bool) -> Any:
    """The gradient that a pass starts with at ``output``: a view of an array, or a tensor when the pass is recorded."""
    array = output._array
    if output._node is None:
        sources = output._origin or ()
        stop = sources[0].stop if sources else None
        why = "" if stop is None else f" It comes from {sources[0].name}: {stop.reason}"
        if stop is not None and stop.remedies:
            why += f" Instead: {'; or '.join(stop.remedies)}."
        raise RuntimeError(
            f"this tensor does not require grad and has no grad_fn, so there is nothing to go backward through.{why} "
            "Set requires_grad=True on a leaf before you compute, and stay with tensors: item() and numpy() leave the graph. To "
            "differentiate a gradient, compute it with create_graph=True."
        )
    if gradient is None:
        if array.dtype is float32 and not create_graph:
            one = _ones.get(array.shape)
            if one is not None:
                return one
        if array.size != 1:
            raise RuntimeError(
                f"a gradient can be created implicitly only for a tensor of one element, and this one has shape "
                f"{list(array.shape)}: reduce it with sum() or mean(), or pass gradient=, a tensor of its shape"
            )
        if create_graph:
            return wrap(np.ones(array.shape, array.dtype))
        return np.ones(array.shape, array.dtype)[...]
    if not isinstance(gradient, Tensor):
        raise TypeError(f"gradient must be a tensor or None, not {type(gradient).__name__}")
    if gradient._array.shape != array.shape:
        raise RuntimeError(
            f"gradient has shape {list(gradient._array.shape)}, but the tensor to differentiate has shape {list(array.shape)}"
        )
    if gradient._array.dtype.kind != "f":
        raise RuntimeError(f"gradient must hold floating-point numbers, not {gradient.dtype}")
    return gradient if create_graph else gradient._array[...]


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of ``outputs`` with respect to ``inputs``, without touching any ``grad``.

    Args:
        outputs: what to differentiate.
        inputs: with respect to what; leaves or inner tensors.
        grad_outputs: one gradient an output, of its shape; ``None`` for an output of one element.
        retain_graph: keep what backward needs. Default: the value of ``create_graph``.
        create_graph: record the pass, so that the results can be differentiated again.
        allow_unused: return ``None`` for an input that ``outputs`` do not depend on, rather than raise.
        materialize_grads: return zeros for such an input.

    Returns:
        One gradient an input, of its shape.

    Raises:
        RuntimeError: an output or input does not require grad, an input is unused, or the graph was freed.
    """
    many = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if not wanted:
        raise ValueError("grad() needs at least one input")
    given: list[Any] = list(grad_outputs) if isinstance(grad_outputs, list | tuple) else [grad_outputs] * len(many)
    if len(given) != len(many):
        raise RuntimeError(f"{len(given)} grad_outputs were given for {len(many)} outputs")
    if materialize_grads and allow_unused is False:
        raise ValueError("materialize_grads=True needs allow_unused to be True or left out")
    edges = _edges(wanted)
    roots = [(t._node, root_gradient(t, g, create_graph)) for t, g in zip(many, given, strict=True)]
    retain = create_graph if retain_graph is None else retain_graph
    unused_is_fine = allow_unused or materialize_grads
    if not unused_is_fine:
        reached = engine.reachable(roots, edges)
        for i, edge in enumerate(edges):
            if edge not in reached:
                raise RuntimeError(
                    f"input {i} was not used in computing the outputs. Pass allow_unused=True to get None for it, if that is "
                    "what you expect."
                )
    found = engine.gradients(roots, edges, retain, create_graph)
    results: list[Tensor | None] = []
    for i, (t, g) in enumerate(zip(wanted, found, strict=True)):
        if g is None and not unused_is_fine:
            raise RuntimeError(
                f"no gradient reached input {i}: a Function on the way returned None. Pass allow_unused=True to get None for it."
            )
        if g is None:
            results.append(wrap(np.zeros_like(t._array)) if materialize_grads else None)
        else:
            results.append(g if isinstance(g, Tensor) else wrap(np.asarray(g)))
    return tuple(results)


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of the sum of ``tensors`` to the ``grad`` of their leaves, in one pass.

    Arguments and errors as for ``Tensor.backward``, with one gradient a tensor.
    """
    many = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    given: list[Any] = list(grad_tensors) if isinstance(grad_tensors, list | tuple) else [grad_tensors] * len(many)
    if len(given) != len(many):
        raise RuntimeError(f"{len(given)} grad_tensors were given for {len(many)} tensors")
    engine.accumulate(
        [(t._node, root_gradient(t, g, create_graph)) for t, g in zip(many, given, strict=True)],
        create_graph if retain_graph is None else retain_graph,
        create_graph,
        None if inputs is None else _targets(inputs),
    )


# ------------------------------------------------------------------------------------------------------ making tensors


def _rebuild(kind: type[Tensor], array: ndarray[Any, Any], requires_grad: bool) -> Tensor:
    if requires_grad:
        return leaf(kind, array)
    made = _new(kind)
    made._array = array
    made._node = None
    made._origin = None
    return made


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype that an argument names.

    Raises:
        TypeError: tensors cannot have it.
    """
    if isinstance(dtype, str):
        raise TypeError(f"dtype must be one of this package's, such as float32, and not the string {dtype!r}")
    if dtype is float:
        return float64
    found = DTYPES.get(np.dtype(dtype))
    if found is None:
        raise TypeError(f"dtype {np.dtype(dtype)} is not supported; use one of {', '.join(map(str, DTYPES))}")
    return found


def category(dtype: np.dtype[Any]) -> int:
    """The place of a dtype in the order that promotion goes by: bools, integers, floating-point numbers."""
    return {"b": 0, "i": 1, "u": 1, "f": 2}[dtype.kind]


def get_default_dtype() -> np.dtype[Any]:
    """The dtype of tensors made from Python floats."""
    return _default_dtype


def set_default_dtype(dtype: Any) -> None:
    """Make tensors from Python floats, and by factories, of this floating-point dtype."""
    global _default_dtype
    if as_dtype(dtype).kind != "f":
        raise TypeError(f"the default dtype must be float32 or float64, not {np.dtype(dtype)}")
    _default_dtype = as_dtype(dtype)


def _check_differentiable(dtype: np.dtype[Any]) -> None:
    if dtype.kind != "f":
        raise RuntimeError(
            f"only tensors of floating-point numbers can require gradients, and this one has dtype {dtype}. "
            "Write its numbers with a point (tensor([1.]) rather than tensor([1])), or pass dtype=float32."
        )


def refuse_overflow(name: str, values: Iterable[Any], dtype: np.dtype[Any], wraps: bool = False) -> None:
    """Raise, where a Python integer does not fit a dtype of integers.

    PyTorch does so in some operations; in others it computes modulo 2ⁿ, of which we say that it overflows.

    Args:
        name: what messages name.
        values: those that are no integers do not count.
        dtype: any.
        wraps: whether negative integers stand for positive ones in unsigned dtypes, as in PyTorch where they are written.

    Raises:
        RuntimeError: it does not fit.
    """
    if dtype not in RANGES:
        return
    least, greatest = RANGES[dtype]
    for value in values:
        if type(value) is int and not (-greatest if wraps and not least else least) <= value <= greatest:
            raise RuntimeError(
                f"{name}: {value} cannot be converted to {dtype} without overflow, which holds the integers in "
                f"[{least}, {greatest}]; convert the tensor with long() or float() before"
            )


def to_array(data: Any, dtype: Any = None) -> ndarray[Any, Any]:
    """A new or shared array of ``data``, with the dtype that PyTorch would give it."""
    if isinstance(data, Tensor):
        array = data._array
    elif isinstance(data, ndarray | np.generic):
        array = plain(np.asanyarray(data))
    else:
        try:
            array = np.array(_without_tensors(data))
        except ValueError as error:
            raise ValueError(f"the nested lists do not form a rectangular array: {error}") from None
        if array.dtype == object or array.dtype.kind in "USV":
            raise TypeError(f"cannot make a tensor of {type(data).__name__}: its elements are not all numbers")
        if dtype is not None and array.dtype.kind in "iu" and array.size:
            refuse_overflow("tensor()", (int(array.min()), int(array.max())), as_dtype(dtype), wraps=True)
        if dtype is None and (array.dtype == float64 or array.size == 0):
            held_as_double = _holds(data, np.float64)
            dtype = array.dtype if held_as_double else _default_dtype
    target = array.dtype if dtype is None else np.dtype(dtype)
    return array if target == array.dtype and target in DTYPES else array.astype(as_dtype(target))


def _without_tensors(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data._number()
    if isinstance(data, list | tuple):
        return [_without_tensors(x) for x in data]
    return data


def _holds(data: Any, kind: type) -> bool:
    """Whether nested lists hold NumPy values of float64 (a Python float, though a double, means the default dtype)."""
    if isinstance(data, list | tuple):
        return bool(data) and _holds(data[0], kind)
    return isinstance(data, ndarray | np.generic) and data.dtype == kind


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor that copies ``data``.

    Args:
        data: a number, nested lists of numbers, an array, or a tensor.
        dtype: of the elements. Default: float32 for Python floats, int64 for ints, bool for bools; an array keeps its own.
        requires_grad: whether operations on the tensor are recorded.

    Raises:
        RuntimeError: ``requires_grad`` is asked of integers or bools, or an integer does not fit the dtype.
        TypeError: the elements are not numbers, or the dtype is not supported.
        ValueError: nested lists of unequal lengths.
    """
    if dtype is None and type(data) is list and len(data) <= SMALL and set(map(type, data)) == {float}:
        array = np.array(data, _default_dtype)  # what a short list of floats costs matters in a loop
        return leaf(Tensor, array) if requires_grad else wrap(array)
    origin: tuple[Source, ...] | None = None
    if isinstance(data, Tensor) and data._node is not None:
        warnings.warn(
            "tensor(t) of a tensor that requires grad copies its value without its history; say t.detach().clone() if that is "
            "meant, or t.clone() to keep the history",
            UserWarning,
            stacklevel=2,
        )
        origin = (Source("cut", "tensor", COPIED, data._node),)
    elif isinstance(data, list | tuple):
        nodes = [x._node for x in data if isinstance(x, Tensor) and x._node is not None]
        origin = tuple(Source("cut", "tensor", COPIED, node) for node in nodes[:8]) or None
    array = to_array(data, dtype)
    if isinstance(data, ndarray | np.generic | Tensor) or array.base is not None:
        array = np.array(array)
    if not requires_grad:
        return wrap(array, None, origin)
    _check_differentiable(array.dtype)
    return leaf(Tensor, array)


def as_tensor(data: Any, *, dtype: Any = None) -> Tensor:
    """A tensor of ``data``, sharing its memory where it is an array of the right dtype; a tensor is returned as it is."""
    if isinstance(data, Tensor) and (dtype is None or as_dtype(dtype) == data.dtype):
        return data
    return wrap(to_array(data, dtype))


def from_numpy(array: ndarray[Any, Any]) -> Tensor:
    """A tensor that shares the memory of ``array``.

    Raises:
        TypeError: it is no array, or of a dtype that tensors do not have.
    """
    if not isinstance(array, ndarray):
        raise TypeError(f"expected a NumPy array, got {type(array).__name__}")
    if array.dtype not in DTYPES:
        raise TypeError(f"an array of dtype {array.dtype} cannot be shared; use one of {', '.join(map(str, DTYPES))}")
    if any(stride % array.itemsize for stride in array.strides):
        raise ValueError(
            f"from_numpy(): the strides {array.strides} of the array (a field of a packed structure?) are no multiples of the "
            f"element's {array.itemsize} bytes: copy() it before"
        )
    return wrap(plain(array))


def plain(array: ndarray[Any, Any]) -> ndarray[Any, Any]:
    """The same memory as an array of NumPy's own class: a subclass computes by rules of its own.

    Raises:
        TypeError: it is a masked array, whose mask would be lost.
    """
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError("a masked array has no tensor: fill it before, by filled()")
    return array.view(ndarray) if type(array) is not ndarray else array


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor that shares the memory of what another library exports by the DLPack protocol.

    Args:
        ext_tensor: an array or tensor in main memory that has ``__dlpack__``, or the capsule that this hands out.

    Raises:
        TypeError: it has no such method, or a dtype that tensors do not have.
    """
    if type(ext_tensor).__name__ == "PyCapsule":
        ext_tensor = _Capsule(ext_tensor)
    if not hasattr(ext_tensor, "__dlpack__"):
        raise TypeError(f"from_dlpack(): expected an object with __dlpack__, got {type(ext_tensor).__name__}")
    return from_numpy(np.from_dlpack(ext_tensor))


class _Capsule:
    """The capsule that a ``__dlpack__`` handed out, as the object that it came from."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # main memory


def is_tensor(value: Any) -> bool:
    """Whether ``value`` is a `Tensor`."""
    return isinstance(value, Tensor)
