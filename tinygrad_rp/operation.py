"""The registry of operations: what an operation declares, and all that follows from a declaration.

An operation is declared once, with its forward formula and the derivative of each input side by side::

    mul = elementwise(
        "mul", np.multiply, "x · y",
        x=lambda g, y: g * y,
        y=lambda g, x: g * x,
        operator="mul",
    )

The *names* of a derivative's arguments say what it needs: ``g``, the gradient of the output; ``out``, the output; an input
(``x``, ``y``); ``x_shape`` or ``x_strides``; or a parameter of the operation. So the node of a product saves ``y`` for the
derivative by ``x`` and ``x`` for the derivative by ``y``, each only where that derivative will be asked for, and the node of a
sum saves nothing.

From the declaration follow: the function, the method and the operator of `Tensor`, where NumPy's own function goes when it
meets a tensor, the node class with its named slots, the promotion of dtypes, and the tests against finite differences.

The function and the two rules of the node (``run`` on arrays, ``replay`` on tensors) are written out as source text and
compiled, as ``dataclasses`` does it, because on small arrays every layer costs as much as the arithmetic. For ``mul`` the
text is, in short::

    def mul(input, other):
        if isinstance(input, Tensor):
            x = input._array
            …                                      # e_x: where the gradient of x goes; None if nowhere
        out = forward(x, y)
        …                                          # the result is a tensor of `out`
        if e_x is None and e_y is None: return result
        node = MulBackward0 with edges (e_x, e_y), x and y in its slots
        …

    def run(self, g, edges):
        …
        e_x, e_y = self.edges
        if e_x is None: return ((e_y, d_y(g, self.x)),)
        if e_y is None: return ((e_x, d_x(g, self.y)),)
        return ((e_x, d_x(g, self.y)), (e_y, d_y(g, self.x)))

``OPERATIONS["mul"].source`` is the whole text. It is compiled when the operation is called for the first time, and the rules
when a gradient first passes, so that importing the package compiles nothing of it.
"""

from __future__ import annotations

import functools
import itertools
import linecache
import math
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import index
from types import CodeType
from typing import Any, ClassVar

import numpy as np
from numpy import ndarray

from tinygrad_rp.engine import fit, mode, note_line, paused
from tinygrad_rp.graph import FREED, NOTED, SMALL, Node, Source, Stop, next_order
from tinygrad_rp.in_place import change, refuse_change
from tinygrad_rp.kernels.choice import LARGE, room
from tinygrad_rp.tensor import (
    DTYPES,
    NO_GRAD,
    Tensor,
    bool_,
    category,
    derived,
    derived_noise,
    float32,
    get_default_dtype,
    int64,
    merge,
    plain,
    refuse_overflow,
    remember,
    view_of,
    wrap,
)

__all__ = ["OPERATIONS", "Example", "Operation", "OperationNode", "elementwise", "example", "operation", "public"]

Array = ndarray[Any, Any]
Rule = Callable[..., Any]
OF_ARRAY = ("_shape", "_strides")
"""What a derivative may ask of an input without keeping it."""
REAL = (-math.inf, math.inf)
POSITIVE = (0.0, math.inf)


def SAME(g: Any) -> Any:
    """The derivative of an input that is handed on unchanged, as of a sum. The engine undoes broadcasting and conversion."""
    return g


@dataclass(frozen=True)
class Example:
    """Arguments on which the generated tests try an operation.

    Args:
        shapes: one shape an input.
        parameters: the other arguments.
    """

    shapes: tuple[tuple[int, ...], ...]
    parameters: dict[str, Any] = field(default_factory=dict)


def example(*shapes: tuple[int, ...], **parameters: Any) -> Example:
    """An `Example`: ``example((3, 4), dim=0)``."""
    return Example(shapes, parameters)


@dataclass(frozen=True)
class Operation:
    """What was declared of an operation, and what was made of it."""

    name: str
    title: str
    """The public function that it stands behind."""
    family: str
    """The file of `tinygrad_rp.ops` that declares it."""
    formula: str
    forward: Rule
    derivatives: dict[str, Rule]
    inputs: tuple[str, ...]
    """The inputs, as the rules name them: ``("x", "y")``."""
    signature: str
    stops: dict[str, Stop]
    domain: tuple[tuple[float, float], ...]
    """For each input, the open interval in which the operation is smooth (but for the kinks, isolated points)."""
    kinks: str
    examples: tuple[Example, ...]
    broadcasts: bool
    """Whether it works element by element, so that its inputs broadcast."""
    kernel: str
    """What is compiled for large arrays: ``"pointwise"``, a loop made of its rules; the name of a loop along rows; or nothing."""
    drawn: bool
    """Whether the value was drawn, so that the derivatives are not those of the formula."""
    node: type[OperationNode] | None
    """``None`` where the output carries no gradient."""
    function: Callable[..., Tensor]
    source: str


OPERATIONS: dict[str, Operation] = {}
"""All operations, by name, in the order of their declaration."""


class OperationNode(Node):
    """The node of a declared operation. What it saved lies in slots named as its rules name it."""

    __slots__ = ()
    inputs_by_name: dict[str, int]
    public_names: dict[str, str]
    saves: tuple[str, ...]
    read_by: ClassVar[dict[str, tuple[int, ...]]] = {}
    """For each value that may be saved and hold arrays, the inputs whose derivatives read it."""
    operation = ""
    declared_name = ""
    """The name of the operation in ``OPERATIONS``."""
    declared_rules: tuple[tuple[str, ...], dict[str, Rule], dict[str, Stop]]

    def run(self, gradient: Any, edges: Sequence[Any] | None) -> Iterable[tuple[Any, Any]]:
        _compile_rules(type(self))
        return self.run(gradient, edges)

    def replay(self, gradient: Any, edges: Sequence[Any] | None) -> Iterable[tuple[Any, Any]]:
        _compile_rules(type(self))
        return self.replay(gradient, edges)

    def free(self) -> None:
        _compile_rules(type(self))
        self.free()

    @property
    def saved(self) -> dict[str, Any]:
        if self.freed:
            return {}
        values = {self.public_names[name]: getattr(self, name) for name in self.saves}
        return {name: value for name, value in values.items() if value is not None}

    def kept_for(self, edges: Sequence[Any] | None) -> Iterable[tuple[str, Any, Any]]:
        wanted = self.edges if edges is None else edges
        for name, users in self.read_by.items():
            if any(wanted[user] is not None for user in users):
                value = getattr(self, name)
                place = self.inputs_by_name.get(name)
                for array in value if type(value) is tuple else (value,):  # an index holds several
                    if type(array) is ndarray:
                        yield self.public_names[name], array, None if place is None else self.edges[place]

    def keep_copy(self, array: Any) -> None:
        for name in self.saves:
            if getattr(self, name) is array:
                setattr(self, name, array.copy())

    def as_tensor(self, name: str) -> Any:
        """A saved value as a tensor that knows where it came from, so that the rules can be recorded."""
        value = getattr(self, name)
        if name == "out":
            return wrap(value, self)
        if type(value) is not ndarray or name not in self.inputs_by_name:
            return value
        return wrap(value, self.edges[self.inputs_by_name[name]])


# --------------------------------------------------------------------------------------------------- promotion of dtypes


def result_dtype(values: Sequence[Any]) -> np.dtype[Any]:
    """The dtype in which PyTorch computes with these operands.

    The highest category wins (bool, integer, floating point); within it tensors with dimensions count before tensors without,
    and both before Python numbers, which stand for the default dtype.
    """
    best: np.dtype[Any] | None = None
    dtypes: tuple[list[np.dtype[Any]], ...] = ([], [], [])
    for value in values:
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, ndarray):
            dtypes[0 if value.ndim else 1].append(value.dtype)
        elif isinstance(value, bool):
            dtypes[2].append(bool_)
        elif isinstance(value, int):
            dtypes[2].append(int64)
        elif isinstance(value, float):
            dtypes[2].append(get_default_dtype())
    for group in dtypes:
        if group:
            joined = functools.reduce(_join, group)
            if best is None or category(joined) > category(best):
                best = joined
    return best or get_default_dtype()


def _join(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    if category(a) != category(b):
        return a if category(a) > category(b) else b
    return np.promote_types(a, b)


def settle(
    name: str, forward: Rule, arguments: tuple[Any, ...], operands: Sequence[Any], out: Any, floating: bool, bools: bool
) -> Array:
    """The output with PyTorch's dtype. Called where NumPy's is not float32 at once, which is right in any case.

    Args:
        name: of the operation.
        forward: its formula.
        arguments: of the formula.
        operands: those of the arguments whose dtypes count.
        out: what NumPy made of them; ``None`` where it made nothing.
        floating: whether integers are turned into floating-point numbers first (``exp``, true division).
        bools: whether the operation is defined for bools.

    Raises:
        RuntimeError: it is not, or a Python integer does not fit the dtype.
        TypeError: no argument is a tensor.
    """
    if not any(isinstance(a, ndarray) for a in arguments):
        raise TypeError(
            f"{name}() needs a tensor among its arguments, got {', '.join(type(a).__name__ for a in operands)}"
        )
    dtype = result_dtype(operands)
    if floating and dtype.kind != "f":
        dtype = get_default_dtype()
    if dtype == bool_ and not bools:
        raise RuntimeError(f"{name}() is not defined for bool tensors; convert with int() or float() before")
    if dtype.kind in "iu":
        refuse_overflow(f"{name}()", operands, dtype)
    if out is None or any(isinstance(v, ndarray | np.generic) and v.dtype != dtype for v in operands):
        chosen = {id(v) for v in operands}
        arguments = tuple(
            v.astype(dtype) if id(v) in chosen and isinstance(v, ndarray | np.generic) else v for v in arguments
        )
        out = forward(*arguments)
    elif not any(isinstance(v, ndarray | np.generic) for v in operands):
        out = np.asarray(out, dtype)
    return np.asarray(out)


# ------------------------------------------------------------------------------------------------ arguments and errors


_numbers: dict[float, Array] = {}


def admit(name: str, argument: str, value: Any, beside: Any) -> Any:
    """An operand that is no tensor: a Python number or an array.

    A number beside a float32 tensor is made an array without dimensions, once: NumPy takes twice as long for a Python number.

    Raises:
        TypeError: it is neither.
    """
    kind = type(value)
    if (kind is float or kind is int) and isinstance(beside, Tensor) and beside._array.dtype is float32:
        found = _numbers.get(value)
        if found is not None:
            return found
        if value == 0 or len(_numbers) > 1000:  # 0 and −0 would share a place
            return value
        with np.errstate(over="ignore"):
            found = _numbers[value] = np.asarray(value, np.float32)
        found.flags.writeable = False
        return found
    if isinstance(value, np.generic):
        return admit(name, argument, value.item(), beside)  # a scalar of NumPy's does not widen a tensor
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, ndarray):
        if value.dtype not in DTYPES:
            raise TypeError(f"{name}(): {argument} is an array of dtype {value.dtype}, which tensors do not have")
        return plain(value)
    raise TypeError(f"{name}(): {argument} must be a tensor or a number, not {kind_of(value)}")


def kind_of(value: Any) -> str:
    """What a value is; where it is another library's tensor, the library too."""
    kind = type(value)
    return f"{kind.__module__}.{kind.__name__}" if "Tensor" in kind.__name__ else kind.__name__


def need_array(name: str, argument: str, value: Any) -> Any:
    """An operand that is no tensor, but must be an array."""
    return admit(name, argument, value, None) if isinstance(value, ndarray) else need_tensor(name, argument, value)


def need_tensor(name: str, argument: str, value: Any) -> Any:
    """Raise, because this argument can only be a tensor."""
    raise TypeError(f"{name}(): {argument} must be a tensor, not {kind_of(value)}; make one with tensor(…)")


def rescue(
    error: Exception,
    name: str,
    forward: Rule,
    arguments: tuple[Any, ...],
    operands: Sequence[Any] | None,
    floating: bool,
    bools: bool,
) -> Array:
    """The output where NumPy refuses and PyTorch computes, or the error that PyTorch raises.

    NumPy refuses some dtypes (``sigmoid`` of bools), and numbers such as log(0) where the user has turned warnings into errors.
    """
    if isinstance(error, RuntimeWarning | FloatingPointError):
        with np.errstate(all="ignore"):
            out = forward(*arguments)
            return (
                np.asarray(out)
                if operands is None
                else settle(name, forward, arguments, operands, out, floating, bools)
            )
    if isinstance(error, OverflowError):
        dtype = result_dtype(operands) if operands else arguments[0].dtype
        refuse_overflow(f"{name}()", operands or arguments, dtype)
        raise error  # an integer too large even for a floating-point number, of which PyTorch's error is the same
    if isinstance(error, TypeError | AttributeError) and operands is not None:
        try:
            return settle(name, forward, arguments, operands, None, floating, bools)
        except TypeError as second:
            if type(error) is AttributeError:
                raise second from None
            dtypes = " and ".join(str(v.dtype) for v in operands if hasattr(v, "dtype"))
            raise RuntimeError(f"{name}() is not defined for {dtypes}: {error}") from None
    raise explain(name, error, arguments) from None


def explain(name: str, error: Exception, values: tuple[Any, ...]) -> Exception:
    """NumPy's error of shapes as the error that PyTorch raises, with the shapes named."""
    if isinstance(error, np.exceptions.AxisError) and error.axis is not None and error.ndim is not None:
        n = max(error.ndim, 1)
        return IndexError(f"{name}(): dimension {error.axis} is out of range; it must lie in [{-n}, {n - 1}]")
    if isinstance(error, IndexError):
        return IndexError(f"{name}(): {error}")
    if isinstance(error, TypeError):
        return error
    found = [v.shape for v in values if isinstance(v, ndarray)]
    if "broadcast" in str(error) and found:
        for dim in range(-1, -max(map(len, found)) - 1, -1):
            lengths = {shape[dim] for shape in found if len(shape) >= -dim} - {1}
            if len(lengths) > 1:
                return RuntimeError(
                    f"{name}(): tensors of shape {' and '.join(str(list(shape)) for shape in found)} do not broadcast: dimension "
                    f"{dim} has the lengths {' and '.join(map(str, sorted(lengths)))}, which must be equal, or one of them 1"
                )
    shapes = " and ".join(str(list(v.shape)) for v in values if isinstance(v, ndarray))
    return RuntimeError(f"{name}(): inputs of shape {shapes} do not fit: {error}")


def cut_by(
    name: str, edges: tuple[Any, ...], origins: tuple[Any, ...], stops: tuple[Stop | None, ...], recorded: bool
) -> Any:
    """Where a value comes from that was computed without a graph: the inputs that require grad, and their own sources.

    Args:
        name: of the operation.
        edges: of its inputs; ``None`` where one does not require grad.
        origins: of the inputs without an edge.
        stops: what the operation itself declares for its inputs.
        recorded: whether operations are being recorded (then it is the operation that cuts, and not ``no_grad``).
    """
    sources = []
    for edge, stop in zip(edges, stops, strict=True):
        if edge is not None:
            step = name if stop is not None or recorded else "no_grad"
            sources.append(Source("cut", step, _missing(stop or NO_GRAD), edge))
    return merge(tuple(sources), *origins)


def cut_again(name: str, origins: tuple[Any, ...] | None, stops: tuple[Stop | None, ...]) -> Any:
    """The sources of a value that was cut before, and now goes through a step that no gradient passes either."""
    before = next((s for s in origins or () if s.kind == "cut"), None)
    stop = next((s for s in stops if s is not None), None)
    if before is None or stop is None:
        return origins
    return merge((before.renamed(name, _missing(stop)),), origins)


@functools.cache
def _missing(stop: Stop) -> Stop:
    return replace(stop, kind="missing")


# -------------------------------------------------------------------------------------------------------- declaration


def either(function: Callable[..., Tensor], first: Any, *rest: Any) -> Any:
    """Another operation, used in a rule: recorded when the rule runs on tensors, its bare formula on arrays."""
    return function(first, *rest) if isinstance(first, Tensor) else OPERATIONS[function.__name__].forward(first, *rest)


def public(
    function: Callable[..., Any], *, name: str | None = None, numpy: Any = (), in_place: bool = False
) -> Callable[..., Any]:
    """Make a function, written with operations, a method of `Tensor` too, and the stand-in of NumPy's own.

    Args:
        function: takes the tensor first.
        name: of the method. Default: that of the function.
        numpy: NumPy's function, or functions, that it stands for.
        in_place: whether there is a method ``name_`` too (of an operator ``__name__``: ``__iname__``), which writes the result
            into the tensor.
    """
    name = name or function.__name__
    setattr(Tensor, name, function)
    if in_place:
        called = f"__i{name[2:]}" if name.startswith("__") else f"{name}_"
        setattr(Tensor, called, changing(f"{function.__name__.strip('_')}_", function))
    for numpy_function in numpy if isinstance(numpy, tuple) else (numpy,):
        Tensor._numpy_functions[numpy_function] = function
    return function


def changing(name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The method that runs an operation on a tensor and writes the result into it."""
    called = f"{name}()"

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        refuse_change(self, called)
        # without recording, the tensor stays what it is, and nothing need be known of where the result comes from
        out = function(self if mode.enabled else wrap(self._array), *args, **kwargs)
        if mode.enabled and self._node is not None and out._node is None:
            raise RuntimeError(
                f"{called}: the result carries no gradient, but the tensor requires grad: make a new tensor, or detach() this one"
            )
        return change(self, out, called)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"``{name.removesuffix('_')}()``, written into this tensor, which is returned."
    return method


def elementwise(
    name: str,
    forward: Rule,
    formula: str,
    *,
    signature: str | None = None,
    floating: bool = False,
    operator: str | None = None,
    **options: Any,
) -> Callable[..., Tensor]:
    """Declare an operation that works element by element: its inputs broadcast, and Python numbers are welcome.

    Args:
        name: of the function and of the method.
        forward: the formula, in NumPy: a ufunc, or a function whose arguments name the inputs.
        formula: the same for a reader.
        signature: the public arguments. Default: ``input``, or ``input, other``, as PyTorch names them.
        floating: whether integers are turned into floating-point numbers first.
        operator: the Python operator; ``"mul"`` stands for ``__mul__`` and ``__rmul__``.
        options: as for `operation`, among them the derivatives.
    """
    inputs = argument_names(forward)
    if signature is None:
        signature = ", ".join(("input", "other", "third")[: len(inputs)])
    return operation(
        name,
        forward,
        formula,
        signature=signature,
        promote=True,
        kernel="pointwise",
        floating=floating,
        operator=operator,
        **options,
    )


def argument_names(rule: Rule) -> tuple[str, ...]:
    """How a rule names its arguments; those of a ufunc are ``x`` and ``y``."""
    if isinstance(rule, np.ufunc):
        return ("x", "y")[: rule.nin]
    code: CodeType = rule.__code__
    return code.co_varnames[: code.co_argcount]


def operation(
    name: str,
    forward: Rule,
    formula: str,
    *,
    signature: str = "input",
    inputs: int | None = None,
    promote: bool = False,
    floating: bool = False,
    bools: bool = False,
    operator: str | None = None,
    numpy: Any = None,
    method: bool = True,
    title: str | None = None,
    condition: str | None = None,
    node: str | None = None,
    view: bool = False,
    kernel: str = "",
    differentiable: bool = True,
    drawn: bool = False,
    stops: dict[str, Stop] | None = None,
    domain: Sequence[tuple[float, float]] | tuple[float, float] = REAL,
    kinks: str = "",
    examples: Sequence[Example] = (),
    **derivatives: Rule,
) -> Callable[..., Tensor]:
    """Declare an operation.

    Args:
        name: of the function and of the method.
        forward: the formula, in NumPy. Its arguments are the inputs, then the parameters.
        formula: the same for a reader.
        signature: the public arguments, inputs first, with defaults.
        inputs: how many of the arguments are tensors. Default: those before the first with a default or a ``*``.
        promote: whether the dtypes of the inputs are brought together as PyTorch does, Python numbers included.
        floating: whether integers are turned into floating-point numbers first.
        bools: whether it is defined for bools, where ``floating`` does not make numbers of them.
        operator: the Python operator.
        numpy: NumPy's function, or functions, that this operation stands for. Default: ``forward``, where it is a ufunc.
        method: whether `Tensor` gets a method of this name.
        title: how messages and sources name it, where several operations stand behind one public function.
        condition: the input that only chooses among the others: its dtype does not count, nor where it comes from.
        node: the name of the node. Default: as PyTorch would name it.
        view: whether the output can lie in the memory of the first input. The output of other operations must not.
        kernel: what is compiled for large arrays: ``"pointwise"``, a loop made of the rules, which work element by element, or
            return the sum or the mean of what does; or the name of a loop in `tinygrad_rp.kernels.reductions`.
        differentiable: whether the output has a node; otherwise ``stops`` says for each input why not.
        drawn: whether the value was drawn, and the derivatives are those of the quantile function at that value (implicit
            reparameterisation): differences of the formula say nothing of them.
        stops: for an input, why no gradient passes.
        domain: for each input, or for all, the interval in which the operation is smooth.
        kinks: isolated points at which it is not, for a reader.
        examples: shapes and parameters for the generated tests; not needed where it works element by element.
        derivatives: for each differentiable input, its gradient as a function of what its arguments name.

    Returns:
        The function.
    """
    names = argument_names(forward)
    arguments = [part.strip() for part in signature.split(",")]
    plain = [a.partition("=")[0] for a in arguments if a != "*"]
    if inputs is None:
        first = next((i for i, a in enumerate(arguments) if a == "*" or "=" in a), len(arguments))
        inputs = first if promote else min(first, 1)
    if len(plain) != len(names):
        raise ValueError(f"{name}: the signature names {len(plain)} arguments, the formula takes {len(names)}")
    public_of = dict(zip(names, plain, strict=True)) | {"out": "result"}
    tensors = names[:inputs]
    stops = stops or {}
    unknown = (set(derivatives) | set(stops)) - set(tensors)
    if unknown:
        raise TypeError(f"{name}: no input is called {', '.join(sorted(unknown))}; the inputs are {', '.join(tensors)}")

    needed_by: dict[str, list[str]] = {}
    for x, rule in derivatives.items():
        for argument in argument_names(rule):
            if argument != "g":
                needed_by.setdefault(argument, []).append(x)
    allowed = {*names, "out", *(f"{x}_{of}" for x in tensors for of in ("shape", "strides"))} - set(Node.__slots__)
    if not set(needed_by) <= allowed:
        raise TypeError(f"{name}: a derivative asks for {', '.join(sorted(set(needed_by) - allowed))}")

    node_class = None
    if differentiable:
        node_name = node or "".join(part.capitalize() for part in name.split("_")) + "Backward0"
        node_class = _make_node(node_name, name, title or name, tensors, derivatives, stops, needed_by, public_of)
    text = _function_text(
        arguments, names, tensors, needed_by, promote, bool(kernel), condition, view, differentiable, bool(stops)
    )
    namespace = {
        "__name__": "tinygrad_rp.ops.compiled",
        "forward": forward,
        "compiled": lambda *arguments: _kernels_of(name).forward(*arguments),
        "NAME": title or name,
        "NodeClass": node_class,
        "STOPS": tuple(stops.get(x) for x in tensors),
        "FLOATING": floating,
        "BOOLS": floating or bools or not differentiable,
        **_SHARED,
    }
    function: Any = _compile_at_first_call(text, arguments, namespace, name)
    function.__doc__ = formula
    OPERATIONS[name] = Operation(
        name=name,
        title=title or name,
        family=_declaring_file(),
        formula=formula,
        forward=forward,
        derivatives=derivatives,
        inputs=tensors,
        signature=signature,
        stops=stops,
        domain=tuple(domain) if isinstance(domain[0], tuple) else (domain,) * inputs,  # type: ignore[arg-type]
        kinks=kinks,
        examples=tuple(examples),
        broadcasts=promote,
        kernel=kernel,
        drawn=drawn,
        node=node_class,
        function=function,
        source=text,
    )
    if method:
        setattr(Tensor, name, function)
        if promote:
            setattr(Tensor, f"{name}_", changing(f"{name}_", function))
    if operator:
        setattr(Tensor, f"__{operator}__", function)
        if inputs == 2 and differentiable:
            setattr(Tensor, f"__r{operator}__", lambda self, other: function(other, self))
            setattr(Tensor, f"__i{operator}__", changing(f"{operator}_", function))
    if numpy is None:
        numpy = forward if isinstance(forward, np.ufunc) else ()
    for numpy_function in numpy if isinstance(numpy, tuple) else (numpy,):
        Tensor._numpy_functions[numpy_function] = function
    return function


def _declaring_file() -> str:
    """The name of the file whose declaration is running."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"] == __name__:
        frame = frame.f_back
    return frame.f_globals["__name__"].rpartition(".")[2]


def _make_node(
    node_name: str,
    name: str,
    title: str,
    tensors: tuple[str, ...],
    derivatives: dict[str, Rule],
    stops: dict[str, Stop],
    needed_by: dict[str, list[str]],
    public_of: dict[str, str],
) -> type[OperationNode]:
    """The node class, with slots for what it saves."""
    saves = tuple(needed_by)
    declared = tuple(stops.get(x) for x in tensors)
    read_by = {s: tuple(map(tensors.index, users)) for s, users in needed_by.items() if not s.endswith(OF_ARRAY)}
    return type(
        node_name,
        (OperationNode,),
        {
            "__slots__": saves,
            "operation": title,
            "declared_name": name,
            "__module__": "tinygrad_rp.ops",
            "saves": saves,
            "read_by": read_by,
            "public_names": {s: public_of.get(s, s) for s in saves},
            "inputs_by_name": {x: i for i, x in enumerate(tensors)},
            "declared_rules": (tensors, derivatives, stops),
            "declared_stops": declared if any(declared) else None,
        },
    )


def _compile_rules(node_class: type[OperationNode]) -> None:
    """Give a node class its two rules, and its way of freeing what they need."""
    tensors, derivatives, stops = node_class.declared_rules
    edges = ", ".join(f"e_{x}" for x in tensors) + ("," if len(tensors) == 1 else "")
    lines = []
    for rule, how in (("run", "self.{}"), ("replay", 'self.as_tensor("{}")')):
        pairs = {}
        for x in tensors:
            if x in derivatives:
                wanted = ", ".join("g" if a == "g" else how.format(a) for a in argument_names(derivatives[x]))
                gradient = "g" if derivatives[x] is SAME else f"d_{x}({wanted})"
            else:
                gradient = "zeros_like(g)" if x in stops else "None"
            pairs[x] = f"(e_{x}, {gradient})"
        lines += [
            f"def {rule}(self, g, edges):",
            "    if g.shape != self.shape or g.dtype is not self.dtype: g = fit(g, self.shape, self.dtype)",
            f"    {edges} = self.edges if edges is None else edges",
        ]
        declared = OPERATIONS[node_class.declared_name]
        if rule == "run" and declared.kernel:
            # a small value is kept, so that its size is known; of a sum, it is that of what was saved that counts
            large = "self.value is None and g.size > LARGE" if declared.broadcasts else "saves_large(self)"
            lines += [
                f"    if {large}:",
                f"        pairs = compiled(self, g, ({edges.rstrip(',')},))",
                "        if pairs is not None: return pairs",
            ]
        if len(tensors) == 2:
            x, y = tensors
            lines += [
                f"    if e_{x} is None: return ({pairs[y]},)",
                f"    if e_{y} is None: return ({pairs[x]},)",
            ]
        if len(tensors) > 2:
            pairs = {x: f"(None, None) if e_{x} is None else {pair}" for x, pair in pairs.items()}
        lines += [f"    return ({', '.join(pairs.values())},)"]
    arrays = [s for s in node_class.saves if s in tensors or s == "out"]
    lines += ["def free(self):"]
    for s in arrays:
        lines += [
            f"    if type(self.{s}) is ndarray:",
            f"        self.{s} = None",
            "        if self.notes is None: self.notes = FREED",
            "        else: self.mark_freed()",
        ]
    lines += ["    return None"]
    namespace: dict[str, Any] = {f"d_{x}": rule for x, rule in derivatives.items()}
    namespace |= {"zeros_like": np.zeros_like, "ndarray": ndarray, "fit": fit, "FREED": FREED}
    namespace |= {"LARGE": LARGE, "compiled": _compiled_pairs, "saves_large": _saves_large}
    namespace["__name__"] = "tinygrad_rp.ops.compiled"
    exec(_compiled("\n".join(lines)), namespace)
    for rule in ("run", "replay", "free"):
        setattr(node_class, rule, _own_code(namespace[rule], rule))


@functools.cache
def _kernels_of(name: str) -> Any:
    """The compiled forms of an operation, for large arrays."""
    declared = OPERATIONS[name]
    names = argument_names(declared.forward)
    if declared.kernel == "pointwise":
        return room("elementwise").Elementwise(name, declared.forward, names, declared.inputs, declared.derivatives)
    return room("reductions").AlongRows(declared.kernel, declared.forward, names)


@functools.cache
def _needed(node_class: type[OperationNode], places: tuple[int, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of these inputs, and of what their derivatives ask for."""
    tensors, derivatives, _ = node_class.declared_rules
    wanted = tuple(tensors[i] for i in places)
    return wanted, tuple(dict.fromkeys(a for x in wanted for a in argument_names(derivatives[x])))


def _saves_large(node: OperationNode) -> bool:
    saved = [getattr(node, name) for name in node.saves]
    return any(type(value) is ndarray and value.size > LARGE for value in saved)


def _compiled_pairs(node: OperationNode, g: Array, edges: tuple[Any, ...]) -> Iterable[tuple[Any, Any]] | None:
    """What the rules of a large node hand on, computed in one loop; ``None`` where there is no such loop."""
    tensors, derivatives, stops = node.declared_rules
    places = tuple(
        i
        for i, (x, edge) in enumerate(zip(tensors, edges, strict=True))
        if edge is not None and x in derivatives and (derivatives[x] is not SAME or math.prod(edge.shape) == 1)
    )
    if not places:
        return None
    wanted, names = _needed(type(node), places)  # type: ignore[arg-type]
    values = [g if name == "g" else getattr(node, name) for name in names]
    shapes = tuple([edges[i].shape for i in places])
    found = _kernels_of(node.declared_name).backward(wanted, names, values, shapes)
    if found is None:
        return None
    gradients = dict(zip(wanted, found, strict=True))
    return [
        (edge, gradients.get(x, g if x in derivatives else np.zeros_like(g) if x in stops else None))
        if edge is not None
        else (None, None)
        for x, edge in zip(tensors, edges, strict=True)
    ]


_SHARED = {
    "LARGE": LARGE,
    "Tensor": Tensor,
    "ndarray": ndarray,
    "float32": float32,
    "NOTED": NOTED,
    "mode": mode,
    "paused": paused,
    "note_line": note_line,
    "view_of": view_of,
    "new": object.__new__,
    "next_order": next_order,
    "settle": settle,
    "admit": admit,
    "need_array": need_array,
    "need_tensor": need_tensor,
    "rescue": rescue,
    "derived": derived,
    "known": derived_noise.get,
    "merge": merge,
    "ref": weakref.ref,
    "cut_again": cut_again,
    "cut_by": cut_by,
    "asarray": np.asarray,
}


def _function_text(
    arguments: list[str],
    names: tuple[str, ...],
    tensors: tuple[str, ...],
    needed_by: dict[str, list[str]],
    promote: bool,
    compiles: bool,
    condition: str | None,
    view: bool,
    differentiable: bool,
    stopped: bool,
) -> str:
    """The source text of the function that runs an operation and records it."""
    plain = [a.partition("=")[0] for a in arguments if a != "*"]
    lines = [f"def operation({', '.join(arguments)}):"]
    if compiles:
        lines.append("    run = forward")
    for i, (x, public_name) in enumerate(zip(tensors, plain, strict=False)):
        admitted = f"{'need_tensor' if len(tensors) == 1 else 'need_array'}(NAME, {public_name!r}, {public_name})"
        if promote and len(tensors) > 1:
            beside = plain[1 - i] if len(tensors) == 2 else None
            admitted = f"admit(NAME, {public_name!r}, {public_name}, {beside})"
        lines += [
            f"    if isinstance({public_name}, Tensor):",
            f"        e_{x} = {public_name}._node",
            f"        o_{x} = {public_name}._origin if e_{x} is None else None",
            f"        {x} = {public_name}._array",
            *([f"        if {x}.size > LARGE: run = compiled"] if compiles else []),
            "    else:",
            f"        {x} = {admitted}",
            f"        e_{x} = o_{x} = None",
        ]
    for x, public_name in zip(names[len(tensors) :], plain[len(tensors) :], strict=True):
        if x != public_name:
            lines.append(f"    {x} = {public_name}")
    call = ", ".join(names)
    operands = ", ".join(x for x in names if x != condition) + ","
    lines += [
        "    try:",
        f"        out = {'run' if compiles else 'forward'}({call})",
        "        dtype = out.dtype",
        "        shape = out.shape",
        "        if not shape: out = asarray(out)",
    ]
    if promote:
        lines += [
            "        if dtype is not float32:",
            f"            out = settle(NAME, forward, ({call},), ({operands}), out, FLOATING, BOOLS)",
            "            dtype = out.dtype",
        ]
    lines += [
        "    except (ValueError, TypeError, AttributeError, OverflowError, RuntimeWarning, FloatingPointError) as error:",
        f"        out = rescue(error, NAME, forward, ({call},), {f'({operands})' if promote else None}, FLOATING, BOOLS)",
        "        dtype = out.dtype",
        "        shape = out.shape",
        "    result = new(Tensor)",
        "    result._array = out",
    ]
    if view:
        lines.append(f"    if out.base is not None or out is {names[0]}: view_of(result, {plain[0]})")
    no_edges = " and ".join(f"e_{x} is None" for x in tensors)
    no_origins = " and ".join(f"o_{x} is None" for x in tensors)
    edges = "(" + ", ".join(f"e_{x}" for x in tensors) + ",)"
    origins = ", ".join("None" if x == condition else f"o_{x}" for x in tensors)
    merged = f"merge({origins})" if len(tensors) > 1 else f"known({origins}) or derived({origins})"
    merged = f"None if {no_origins} else ({merged})"
    lines += [
        f"    if {no_edges}:",
        "        result._node = None",
        f"        result._origin = {f'cut_again(NAME, {merged}, STOPS)' if stopped else merged}",
        "        return result",
    ]
    unrecorded = f"result._origin = cut_by(NAME, {edges}, ({origins},), STOPS, "
    if not differentiable:
        return "\n".join([*lines, "    result._node = None", f"    {unrecorded}True)", "    return result"])
    lines += [
        "    if paused and not mode.enabled:",
        "        result._node = None",
        f"        {unrecorded}False)",
        "        return result",
        "    result._origin = None",
        "    result._node = node = NodeClass()",
        f"    node.edges = {edges}",
        "    node.order = next_order()",
        "    node.shape = shape",
        "    node.dtype = dtype",
        f"    node.value = out if out.size <= {SMALL} else None",
        f"    node.notes = {'NOTED' if stopped else 'None'}",
    ]
    kept = ", ".join(f"None if o_{x} is None else (o_{x}, {x} if {x}.size <= {SMALL} else ref({x}))" for x in tensors)
    lines.append("    node.inputs = " + (f"None if {no_origins} else ({kept},)" if len(tensors) > 1 else "None"))
    for s, users in needed_by.items():
        value = s.replace("_shape", ".shape").replace("_strides", ".strides") if s.endswith(OF_ARRAY) else s
        asked = " or ".join(f"e_{u} is not None" for u in users)
        everyone = len(users) == len(tensors) or len(tensors) == 1 or s not in (*tensors, "out")
        lines.append(f"    node.{s} = {value}" if everyone else f"    node.{s} = {value} if {asked} else None")
    return "\n".join([*lines, "    if paused: note_line(node)", "    return result"])


def _at(g: Any, place: Any) -> Any:
    return g[place]


def variadic(
    name: str,
    forward: Rule,
    formula: str,
    *,
    places: Callable[[Sequence[tuple[int, ...]], Any], Iterable[Any]],
    signature: str,
    empty: type[Exception] = RuntimeError,
    numpy: Any = (),
    examples: Sequence[Example] = (),
) -> Callable[..., Tensor]:
    """Declare an operation on a list of tensors that puts them side by side, such as ``cat``.

    Args:
        name: of the function.
        forward: the formula: of the list of arrays and one parameter.
        formula: the same for a reader.
        places: the index of the output at which each input lies, as a function of their shapes and the parameter. The gradient of
            an input is that of the output there.
        signature: the public arguments: the list, and the parameter, an integer, with its default.
        empty: the exception that an empty list raises.
        numpy: NumPy's function that this operation stands for.
        examples: for the generated tests.
    """
    argument, _, rest = signature.partition(",")
    parameter, _, default = rest.strip().partition("=")

    shown_as = {"parameter": parameter, "shapes": "shapes"}

    class VariadicNode(OperationNode):
        __slots__ = ("parameter", "shapes")
        parameter: Any
        shapes: tuple[tuple[int, ...], ...]
        operation = name
        saves = ("parameter", "shapes")
        public_names = shown_as

        def run(self, gradient: Any, edges: Sequence[Any] | None) -> Iterable[tuple[Any, Any]]:
            gradient = fit(gradient, self.shape, self.dtype)
            wanted = self.edges if edges is None else edges
            return [
                (edge, None if edge is None else _at(gradient, place))
                for edge, place in zip(wanted, places(self.shapes, self.parameter), strict=True)
            ]

        replay = run
        free = Node.free  # it saves shapes alone

    VariadicNode.__name__ = VariadicNode.__qualname__ = name.capitalize() + "Backward0"

    def function(tensors: Any, *values: Any, **named: Any) -> Tensor:
        value = values[0] if values else named.pop(parameter, named.pop("axis", int(default)))
        if named or len(values) > 1:
            raise TypeError(f"{name}() takes {signature}; it was also given {', '.join(named) or values[1:]}")
        if not isinstance(value, int | np.integer | Tensor):
            raise TypeError(f"{name}(): {parameter} must be an integer, not {type(value).__name__}")
        if not isinstance(tensors, tuple | list):
            raise TypeError(f"{name}(): {argument} must be a tuple or list of tensors, not {type(tensors).__name__}")
        value = index(value)
        for i, t in enumerate(tensors):
            if not isinstance(t, Tensor):
                need_tensor(name, f"{argument}[{i}]", t)
        if not tensors:
            raise empty(f"{name}(): {argument} must hold at least one tensor")
        arrays = [t._array for t in tensors]
        dtype = functools.reduce(_join, [a.dtype for a in arrays])
        try:
            out = forward([a if a.dtype == dtype else a.astype(dtype) for a in arrays], value)
        except (ValueError, TypeError) as error:
            raise explain(name, error, tuple(arrays)) from None
        edges = tuple(t._node for t in tensors)
        origins = tuple(t._origin if edge is None else None for t, edge in zip(tensors, edges, strict=True))
        if not mode.enabled or not any(edge is not None for edge in edges):
            return wrap(out, None, cut_by(name, edges, origins, (None,) * len(edges), False))
        node = object.__new__(VariadicNode)
        node.edges, node.order, node.notes = edges, next_order(), None
        node.shape, node.dtype, node.value = out.shape, out.dtype, out if out.size <= SMALL else None
        node.inputs = tuple(map(remember, origins, arrays)) if any(origins) else None
        node.shapes, node.parameter = tuple(a.shape for a in arrays), value
        if paused:
            note_line(node)
        return wrap(out, node)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = formula
    OPERATIONS[name] = Operation(
        name=name,
        title=name,
        family=_declaring_file(),
        formula=formula,
        forward=forward,
        derivatives={argument: _at},
        inputs=(argument,),
        signature=signature,
        stops={},
        domain=(REAL,),
        kinks="",
        examples=tuple(examples),
        broadcasts=False,
        kernel="",
        drawn=False,
        node=VariadicNode,
        function=function,
        source="",
    )
    Tensor._numpy_functions[numpy] = function
    return function


_text_number = itertools.count()


@functools.cache
def _compiled(text: str) -> CodeType:
    """Many operations share their text, which is compiled once. Tracebacks and ``inspect.getsource`` find it."""
    filename = f"<operation {next(_text_number)}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    return compile(text, filename, "exec")


def _own_code(function: Any, name: str) -> Any:
    """The function with a code object of its own: the interpreter tunes each code object to the types that it meets, and one
    shared by several operations would be tuned to none."""
    function.__code__ = function.__code__.replace(co_name=name, co_qualname=name)
    function.__name__ = function.__qualname__ = name
    return function


_compiling = threading.Lock()


def _compile_at_first_call(text: str, arguments: list[str], namespace: dict[str, Any], name: str) -> Callable[..., Any]:
    """A function that compiles its text when it is called for the first time, and from then on is what it says."""

    def first_call(*args: Any, **kwargs: Any) -> Any:
        with _compiling:
            exec(_compiled(text), namespace)
            function.__code__ = _own_code(namespace.pop("operation"), name).__code__
        return function(*args, **kwargs)

    names = [a.partition("=")[0] for a in arguments]
    star = names.index("*") if "*" in names else len(names)
    handed_on = [*names[:star], *(f"{n}={n}" for n in names[star + 1 :])]
    namespace["first_call"] = first_call
    exec(_compiled(f"def operation({', '.join(arguments)}): return first_call({', '.join(handed_on)})"), namespace)
    function: Any = _own_code(namespace.pop("operation"), name)
    function.__module__ = "tinygrad_rp"
    return function
