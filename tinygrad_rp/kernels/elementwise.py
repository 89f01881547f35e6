"""Elementwise rules, compiled from their one declaration.

A rule is called once with symbols in place of arrays, and so writes down what it computes. Of that a loop is made, which reads
each element once, and writes each result once, without arrays in between. The derivatives of several inputs share one loop,
and what they compute in common. For the derivatives of a product the loop is ::

    def mul_backward_x_y(n, g_in, y_in, x_in, out0, out1):
        for i in range(n):
            g = g_in[i]
            y = y_in[i]
            x = x_in[i]
            v3 = g * y
            v4 = g * x
            out0[i] = v3
            out1[i] = v4

An input of one element is read once; its gradient is the sum of the loop's results, which are not written at all. Sums are
taken in blocks of a fixed length, and over the blocks in float64, so that they do not depend on the number of threads. Inputs
that broadcast, or whose rows lie apart, are read row by row. What does not lie in rows at all is left to NumPy, as are rules
that ask for the values of their arguments.
"""

from __future__ import annotations

import functools
import linecache
import math
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_rp.kernels import primitives, vector_math
from tinygrad_rp.kernels.choice import MODE, usable
from tinygrad_rp.kernels.compiler import GRAIN, Kernel, share

__all__ = ["Elementwise", "NotTraceable", "Update"]

Array = ndarray[Any, Any]

BLOCK = 1024
"""So many elements are summed in the dtype itself."""
LEAST_ROW = 8
"""Shorter rows go to NumPy."""
MANY_ROWS = 1 << 12
"""Where more of them begin is not kept for the next time: it takes memory, and little time beside the loop."""
MANY, MANY_VALUES = 64, 8
"""An operation has so many loops; where a rule asks for the value of a parameter, so many for it. The rest is left to NumPy."""
MANY_SHAPES = 1024
"""For so many shapes an operation remembers how they are gone through."""

BOOL, FLOAT, DOUBLE = np.dtype(np.bool_), np.dtype(np.float32), np.dtype(np.float64)


class NotTraceable(TypeError):
    """The rule needs to know the values of its arguments, or uses what has no compiled form."""


# -------------------------------------------------------------------------------------------------------------- symbols

# NumPy's functions as expressions; {0} and {1} are operands of one floating-point dtype. NaN is passed on, and of
# equal numbers the second taken, as NumPy does.
_ARITHMETIC = {
    np.add: "{0} + {1}",
    np.subtract: "{0} - {1}",
    np.multiply: "{0} * {1}",
    np.true_divide: "{0} / {1}",
    np.negative: "-{0}",
    np.positive: "{0}",
    np.absolute: "abs({0})",
    np.sqrt: "sqrt({0})",
    np.square: "{0} * {0}",
    np.maximum: "where(({0} > {1}) | ({0} != {0}), {0}, {1})",
    np.minimum: "where(({0} < {1}) | ({0} != {0}), {0}, {1})",
    np.floor: "floor({0})",
    np.ceil: "ceil({0})",
    np.trunc: "trunc({0})",
    np.rint: "rint({0})",
    np.copysign: "copysign({0}, {1})",
}
_COMPARISONS = {
    np.less: "{0} < {1}",
    np.less_equal: "{0} <= {1}",
    np.greater: "{0} > {1}",
    np.greater_equal: "{0} >= {1}",
    np.equal: "{0} == {1}",
    np.not_equal: "{0} != {1}",
    np.isnan: "{0} != {0}",
    np.isinf: "abs({0}) == inf",
    np.isfinite: "abs({0}) < inf",
}
_LOGIC = {
    np.logical_and: "{0} & {1}",
    np.bitwise_and: "{0} & {1}",
    np.logical_or: "{0} | {1}",
    np.bitwise_or: "{0} | {1}",
    np.logical_not: "{0} == False",
    np.invert: "{0} == False",
}


class _Program:
    """What a rule computes: one line a step, and no step twice."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        """Of the operands; Python's numbers among themselves take it."""
        self.lines: list[str] = []
        self.known: dict[str, str] = {}
        self.constants: dict[str, Any] = {}
        self.ufuncs: list[tuple[np.ufunc, tuple[Any, ...]]] = []
        """NumPy's functions that were called, with their operands."""

    def step(self, text: str, dtype: np.dtype[Any], weak: bool = False) -> Symbol:
        name = self.known.get(text)
        if name is None:
            name = self.known[text] = f"v{len(self.lines)}"
            self.lines.append(f"{name} = {text}")
        return Symbol(self, name, dtype, weak)

    def constant(self, value: Any, dtype: np.dtype[Any], weak: bool = False) -> Symbol:
        with np.errstate(all="ignore"):
            number = dtype.type(value)
        name = f"c{number.tobytes().hex()}_{dtype.char.replace('?', 'b')}"
        self.constants[name] = number
        return Symbol(self, name, dtype, weak)


class Symbol:
    """One element of an array, as a rule meets it when it is written down.

    A ``weak`` one stands for a Python number: among themselves they are computed with in float64, as Python does (1 − w keeps its
    digits for w near 1), and take the dtype of what they then meet.
    """

    __slots__ = ("dtype", "name", "program", "weak")

    @property
    def size(self) -> Any:
        """The number of elements, of which only the sum can make use."""
        return SIZE

    def __init__(self, program: _Program, name: str, dtype: np.dtype[Any], weak: bool = False) -> None:
        self.program = program
        self.name = name
        self.dtype = dtype
        self.weak = weak

    def __bool__(self) -> bool:
        raise NotTraceable("the rule asks for a value")

    __float__ = __int__ = __len__ = __iter__ = __index__ = __bool__  # type: ignore[assignment]

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise NotTraceable("the rule asks for an array")

    def astype(self, dtype: Any, copy: bool = True) -> Symbol:
        """The same in another dtype."""
        dtype = np.dtype(dtype)
        if dtype == self.dtype:
            return Symbol(self.program, self.name, dtype)
        if dtype not in (FLOAT, DOUBLE):
            raise NotTraceable(f"the rule converts to {dtype}")
        return self.program.step(f"{dtype.name}({self.name})", dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **options: Any) -> Any:
        if ufunc is np.add and method == "reduce" and options == {"axis": None}:
            return Total(self)
        if method != "__call__" or options:
            raise NotTraceable(f"the rule uses {ufunc.__name__} in a way that is not element by element")
        program = self.program
        program.ufuncs.append((ufunc, operands))
        if ufunc is np.power:
            return _power(*operands)
        if ufunc in _LOGIC:
            found = [_symbol(program, value, BOOL) for value in operands]
            if any(s.dtype != BOOL for s in found):
                raise NotTraceable("logic of numbers")
            return program.step(_LOGIC[ufunc].format(*(s.name for s in found)), BOOL)
        if ufunc in _FORMULAS:
            return _FORMULAS[ufunc](*operands)
        dtype, weak = _common(program, operands)
        names = [_symbol(program, value, dtype).astype(dtype).name for value in operands]
        if ufunc in _ARITHMETIC:
            return program.step(_ARITHMETIC[ufunc].format(*names), dtype, weak)
        if ufunc in _COMPARISONS:
            return program.step(_COMPARISONS[ufunc].format(*names), BOOL)
        if hasattr(vector_math, f"{ufunc.__name__}_{dtype.name}"):
            return program.step(f"{ufunc.__name__}_{dtype.name}({', '.join(names)})", dtype, weak)
        raise NotTraceable(f"{ufunc.__name__} has no compiled form")

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        if function is np.where and len(arguments) == 3 and not options:
            condition, a, b = arguments
            condition = _symbol(self.program, condition, BOOL)
            dtype, weak = _common(self.program, (a, b))
            a, b = (_symbol(self.program, value, dtype).astype(dtype) for value in (a, b))
            if condition.dtype != BOOL:
                raise NotTraceable("a condition of numbers")
            return self.program.step(f"where({condition.name}, {a.name}, {b.name})", dtype, weak)
        if function in (np.zeros_like, np.ones_like, np.full_like):
            value = arguments[1] if function is np.full_like else function is np.ones_like
            return self.program.constant(value, self.dtype, self.weak)
        raise NotTraceable(f"{function.__name__} has no compiled form")


SIZE = object()
"""Stands for the number of elements of an array."""


class Total:
    """The sum of all elements, as a rule meets it, or their mean."""

    def __init__(self, each: Symbol, mean: bool = False) -> None:
        self.each = each
        self.mean = mean

    def __truediv__(self, other: Any) -> Total:
        if other is not SIZE:
            raise NotTraceable("the rule goes on with a sum")
        return Total(self.each, True)


def _operator(ufunc: Any) -> tuple[Any, Any]:
    if ufunc.nin == 1:
        return (lambda self: ufunc(self)), None
    return (lambda self, other: ufunc(self, other)), (lambda self, other: ufunc(other, self))


_OPERATORS: dict[str, Any] = {
    "neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert, "add": np.add, "sub": np.subtract,
    "mul": np.multiply, "truediv": np.true_divide, "pow": np.power, "and": np.bitwise_and, "or": np.bitwise_or,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip
for _name, _ufunc in _OPERATORS.items():
    _straight, _reflected = _operator(_ufunc)
    setattr(Symbol, f"__{_name}__", _straight)
    if _reflected:
        setattr(Symbol, f"__r{_name}__", _reflected)


def _common(program: _Program, operands: Sequence[Any]) -> tuple[np.dtype[Any], bool]:
    """The floating-point dtype in which NumPy computes with these, and whether the result is weak.

    Python's numbers and bools take the dtype of the others.
    """
    typed = [v for v in operands if isinstance(v, Symbol | np.generic | ndarray) and v.dtype != BOOL]
    dtypes = [v.dtype for v in typed if not (isinstance(v, Symbol) and v.weak)]
    if any(dtype not in (FLOAT, DOUBLE) for dtype in dtypes):
        raise NotTraceable("operands that are no floating-point numbers")
    if typed and not dtypes:
        return DOUBLE, True
    return (DOUBLE if DOUBLE in dtypes else FLOAT if dtypes else program.dtype), False


def _symbol(program: _Program, value: Any, dtype: np.dtype[Any]) -> Symbol:
    if isinstance(value, Symbol):
        return value
    if isinstance(value, ndarray) and value.ndim:
        raise NotTraceable("the rule uses an array of its own")
    return program.constant(value, dtype)


def _power(x: Any, exponent: Any) -> Any:
    if not isinstance(exponent, Symbol):
        number = float(exponent)
        for value, formula in _POWERS.items():
            if number == value:
                return formula(x)
    raise NotTraceable("a power has no compiled form")


# as NumPy's own operator has them
_POWERS: dict[float, Callable[[Any], Any]] = {
    1.0: np.positive, 2.0: np.square, 0.5: np.sqrt, -1.0: lambda x: 1 / x, 0.0: np.ones_like,
}  # fmt: skip


def _log_add_exp(x: Any, y: Any) -> Any:
    """log(eˣ + eʸ), where x = y also for infinities."""
    distance = x - y
    return np.where(x == y, x + math.log(2), np.maximum(x, y) + np.log1p(np.exp(-np.abs(distance))))


# NumPy's functions as formulas of others
_FORMULAS: dict[np.ufunc, Callable[..., Any]] = {
    np.reciprocal: lambda x: 1 / x,
    np.sign: lambda x: np.where(x > 0, 1, np.where(x < 0, -1, np.where(x == 0, 0, x))),
    np.logaddexp: _log_add_exp,
    np.fabs: np.absolute,
}

# ---------------------------------------------------------------------------------------------------------------- loops

_NAMES: dict[str, Any] = {name: getattr(m, name) for m in (vector_math, primitives) for name in m.__all__}
_NAMES |= {"np": np, "inf": math.inf, "float32": np.float32, "float64": np.float64}


class _Loop:
    """One compiled loop of one layout, and what it writes."""

    def __init__(
        self,
        name: str,
        rules: Sequence[Callable[[dict[str, Any]], Any]],
        operands: Sequence[tuple[str, np.dtype[Any], str]],
        summed: Sequence[bool],
        fixed: dict[str, Any],
        rows: bool = False,
        into: Sequence[str] = (),
        numbers: Sequence[str] = (),
    ) -> None:
        """Write down the rules.

        Args:
            name: of the loop.
            rules: of symbols by name.
            operands: name, dtype, and ``"each"`` or ``"one"``, as there is a value for each element or one for all (of the row).
            summed: for each rule, whether only the sum of its results is wanted.
            fixed: parameters with their values.
            rows: whether the operands' rows lie apart.
            into: the operands that the results are written into, one a rule; none, where they are new arrays.
            numbers: the operands that are Python numbers.
        """
        program = _Program(next(dtype for x, dtype, _ in operands if dtype != BOOL and x not in numbers))
        inputs: dict[str, Any] = dict(fixed)
        for operand, dtype, _ in operands:
            symbol = Symbol(program, f"{operand}_", dtype, operand in numbers)
            inputs[operand] = program.step(f"{operand}_ != 0", BOOL) if dtype == BOOL else symbol
            if operand.endswith("_shape"):
                inputs[operand] = (symbol,)
        self.names = {x for x, _, _ in operands}
        self.numbers = set(numbers)
        self.dtype = program.dtype
        self.dtypes: list[np.dtype[Any]] = []
        results = []
        summed = list(summed)
        self.means: list[bool] = []
        for i, rule in enumerate(rules):
            result = rule(inputs)
            self.means.append(isinstance(result, Total) and result.mean)
            if isinstance(result, Total):
                summed[i], result = True, result.each
            if not isinstance(result, Symbol):
                result = program.constant(result, program.dtype)
            if result.weak:
                result = result.astype(program.dtype)
            self.dtypes.append(result.dtype)
            results.append(result.name)
        if rows and any(summed):
            raise NotTraceable("a sum over rows that lie apart")
        self.summed = summed
        self.sums = [i for i, total in enumerate(summed) if total]
        self.entry: Any = None
        """The machine code, once there is some."""
        self.shared = _single(program, [x for x, _, _ in operands], results, summed, rows or bool(into))
        name = name.replace(" ", "_")
        text = _loop_text(name, program.lines, operands, results, self.dtypes, summed, rows, into)
        filename = f"<kernel {name}>"
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        namespace = {"__name__": __name__, **_NAMES, **program.constants}
        exec(compile(text, filename, "exec"), namespace)
        loop: FunctionType = namespace[name]
        constants = "".join(sorted(program.constants))
        whole = tuple(loop.__code__.co_varnames) if rows or any(summed) else _ones(operands)
        # NaN where a compiled sine does not reach; NumPy's does
        self.reaches_all = not any("sin_" in line or "cos_" in line for line in program.lines)
        self.kernel = Kernel(loop, whole, text + constants, reorders=any(summed))

    def run(self, arrays: list[Array], layout: _Layout, shapes: Sequence[Any]) -> list[Any] | None:
        """The results of the rules, of which sums have these ``shapes``; ``None``, where NumPy must be asked."""
        size = layout.size
        if self.shared is not None:
            if size < 2 * GRAIN or layout.order != "C":
                return None
            return [_by_numpy(*self.shared, arrays, layout, self.dtypes[0])]
        shape, order = layout.shape, layout.order
        if self.sums:
            n = -(-size // BLOCK)
            outs = [
                np.empty(n) if total else np.empty(shape, dtype, order)
                for total, dtype in zip(self.summed, self.dtypes, strict=True)
            ]
            arguments = [size, *arrays, *outs]
        else:
            outs = [np.empty(shape, dtype, order) for dtype in self.dtypes]
            n, arguments = size, [*arrays, *outs]
            if layout.columns:
                n, arguments = size // layout.columns, [layout.columns, *arrays, *layout.at, *outs]
        if self.entry is None:
            self.entry = self.kernel.entry(arguments)
        self.kernel.run(self.entry, n, arguments, size)
        if not self.reaches_all and any(np.isnan(out).any() for out in outs):
            return None
        for i in self.sums:
            value = np.add.reduce(outs[i]) / (size if self.means[i] else 1)
            outs[i] = np.asarray(value, self.dtypes[i]).reshape(shapes[i] or ())
        return outs


def _single(
    program: _Program, names: list[str], results: list[str], summed: Sequence[bool], apart: bool
) -> tuple[np.ufunc, list[Any]] | None:
    """Where a rule is one function of NumPy's: this, and which operands it takes; numbers stand for themselves."""
    if (
        MODE == "numba"
        or apart
        or any(summed)
        or len(results) != 1
        or len(program.lines) != 1
        or len(program.ufuncs) != 1
    ):
        return None
    ufunc, operands = program.ufuncs[0]
    places = {f"{name}_": i for i, name in enumerate(names)}
    taken = [places.get(v.name) if isinstance(v, Symbol) else np.asarray(v, program.dtype) for v in operands]
    return None if any(place is None for place in taken) else (ufunc, taken)


def _by_numpy(
    ufunc: np.ufunc, operands: list[Any], arrays: list[Array], layout: _Layout, dtype: np.dtype[Any]
) -> Array:
    """A single function of NumPy's, shared out among threads: its own loops are as good as compiled ones."""
    out = np.empty(layout.shape, dtype)
    given = [arrays[v] if type(v) is int else v for v in operands]
    flat = [v.reshape(-1) if v.shape == layout.shape and any(v.strides) else v[(0,) * v.ndim] for v in given]
    results = out.reshape(-1)

    def run(start: int, stop: int) -> None:
        with np.errstate(all="ignore"):
            ufunc(*[v[start:stop] if v.ndim else v for v in flat], out=results[start:stop])

    share(run, layout.size, layout.size // GRAIN)
    return out


def _ones(operands: Sequence[tuple[str, np.dtype[Any], str]]) -> tuple[str, ...]:
    return tuple(f"{name}_in" for name, _, layout in operands if layout == "one")


def _loop_text(
    name: str,
    lines: Sequence[str],
    operands: Sequence[tuple[str, np.dtype[Any], str]],
    results: Sequence[str],
    dtypes: Sequence[np.dtype[Any]],
    summed: Sequence[bool],
    rows: bool,
    into: Sequence[str],
) -> str:
    """The source of a loop."""
    outs = [f"{operand}_in" for operand in into] or [f"out{i}" for i in range(len(results))]
    values = [f"np.uint8({r})" if d == BOOL else r for r, d in zip(results, dtypes, strict=True)]
    names = [operand for operand, _, _ in operands]
    given = [f"{operand}_in" for operand in names]
    each = [operand for operand, _, layout in operands if layout == "each"]
    one = [operand for operand, _, layout in operands if layout == "one"]
    if any(summed):
        # what is summed may be added up in any order; what is computed may not, and so is a function of its own
        body = [f"def {name}_of({', '.join(f'{operand}_' for operand in names)}):", *(f"    {line}" for line in lines)]
        body += [f"    return ({', '.join(values)},)", ""]
        loop = [f"def {name}(n, first, size, {', '.join(given + outs)}):"]
        loop += [f"    {operand}_ = {operand}_in[0]" for operand in one]
        loop += ["    for b in range(n):", f"        start = (first + b) * {BLOCK}"]
        loop += [f"        stop = min(start + {BLOCK}, size)"]
        loop += [f"        s{i} = {d.name}(0)" for i, (s, d) in enumerate(zip(summed, dtypes, strict=True)) if s]
        loop += ["        for i in range(start, stop):"]
        loop += [f"            {operand}_ = {operand}_in[i]" for operand in each]
        parts = ", ".join(f"r{i}" for i in range(len(outs)))
        loop += [f"            ({parts},) = {name}_of({', '.join(f'{operand}_' for operand in names)})"]
        loop += [f"            s{i} += r{i}" if s else f"            {outs[i]}[i] = r{i}" for i, s in enumerate(summed)]
        loop += [f"        {outs[i]}[first + b] = s{i}" for i, s in enumerate(summed) if s]
        return "\n".join([*body, *loop]) + "\n"
    if rows:
        at = [f"{operand}_at" for operand in names]
        loop = [f"def {name}(n, first, columns, {', '.join([*given, *at, *outs])}):", "    for r in range(n):"]
        loop += [f"        {operand}_ = {operand}_in[{operand}_at[first + r]]" for operand in one]
        loop += [f"        {operand}_r = {operand}_at[first + r]" for operand in each]
        loop += ["        place = (first + r) * columns", "        for i in range(columns):"]
        inner = [f"{operand}_ = {operand}_in[{operand}_r + i]" for operand in each]
        place = "place + i"
    else:
        loop = [
            f"def {name}(n, {', '.join(given + outs[len(into) :])}):",
            *(f"    {operand}_ = {operand}_in[0]" for operand in one),
        ]
        loop += ["    for i in range(n):"]
        inner = [f"{operand}_ = {operand}_in[i]" for operand in each]
        place = "i"
    inner += [*lines, *(f"{out}[{place}] = {value}" for out, value in zip(outs, values, strict=True))]
    return "\n".join([*loop, *(" " * (12 if rows else 8) + line for line in inner)]) + "\n"


# -------------------------------------------------------------------------------------------------------------- layouts


class _Layout:
    """How the operands of a loop lie in memory: which have a value for each element, and which one for all."""

    __slots__ = ("at", "columns", "kinds", "order", "shape", "size")

    def __init__(self, shape: tuple[int, ...], kinds: tuple[str, ...], order: str = "C") -> None:
        self.shape = shape
        self.size = math.prod(shape)
        self.kinds = kinds
        self.order: Any = order
        self.columns = 0
        """The length of a row, where rows lie apart."""
        self.at: tuple[Array, ...] = ()
        """Of each operand, where each row begins, in elements."""


def _layout_of(arrays: Sequence[Array]) -> _Layout | None:
    """How these arrays lie, broadcast to one shape; ``None``, where that is not in rows."""
    shape = arrays[0].shape
    if any(a.shape != shape for a in arrays[1:]):
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
    kinds = []
    for a in arrays:
        if a.size == 1 or not any(a.strides):
            kinds.append("one")
        elif a.shape == shape and a.flags.c_contiguous:
            kinds.append("each")
        else:
            break
    else:
        return _Layout(shape, tuple(kinds))
    wide = [a for a in arrays if a.size != 1]
    if all(a.shape == shape and a.flags.f_contiguous for a in wide):
        return _Layout(shape, tuple("one" if a.size == 1 else "each" for a in arrays), "F")
    items = tuple(a.itemsize for a in arrays)
    strides = tuple(np.broadcast_to(a, shape).strides for a in arrays)
    return (_rows if math.prod(shape[:-1]) > MANY_ROWS else _known_rows)(shape, strides, items)


def _rows(shape: tuple[int, ...], strides: tuple[tuple[int, ...], ...], items: tuple[int, ...]) -> _Layout | None:
    """The layout in rows of arrays with these strides."""
    dims = [d for d, length in enumerate(shape) if length != 1]
    for own, item in zip(strides, items, strict=True):
        steps = [abs(own[d]) for d in dims if own[d]]
        # NumPy's result would lie as its operands do
        if any(step % item for step in steps) or steps != sorted(steps, reverse=True):
            return None
    inner = dims.pop()
    columns = shape[inner]
    if any(own[inner] not in (0, item) for own, item in zip(strides, items, strict=True)):
        return None
    while dims and all(own[dims[-1]] == own[inner] * columns for own in strides):
        columns *= shape[dims.pop()]
    if columns < LEAST_ROW:
        return None
    layout = _Layout(shape, tuple("each" if own[inner] else "one" for own in strides))
    layout.columns = columns
    at = []
    for own, item in zip(strides, items, strict=True):
        begin = np.zeros(1, np.int64)
        for d in dims:
            begin = np.add.outer(begin, np.arange(shape[d]) * (own[d] // item)).reshape(-1)
        at.append(begin)
    layout.at = tuple(at)
    return layout


_known_rows = functools.lru_cache(256)(_rows)


# --------------------------------------------------------------------------------------------------------------- running


class Elementwise:
    """The compiled forms of an operation: of its formula, and of its derivatives, several at once.

    Args:
        name: of the operation.
        forward: its formula.
        names: what the formula takes.
        inputs: those of them that are inputs; the others are parameters.
        derivatives: for each differentiable input, its rule.
    """

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        names: tuple[str, ...],
        inputs: tuple[str, ...],
        derivatives: dict[str, Callable[..., Any]],
    ) -> None:
        self.name = name
        self.formula = forward
        self.names = names
        self.arrays = {*inputs, "g", "out"}
        self.derivatives = derivatives
        self._plans: dict[Any, tuple[_Loop, _Layout] | None] = {}
        """For what arguments look like: the loop, and how they lie in memory; ``None`` where NumPy is asked."""
        self._loops: dict[Any, _Loop | None] = {}
        self._asks: set[Any] = set()
        """Rules that ask for the value of a parameter."""

    def forward(self, *arguments: Any) -> Any:
        """The result, by a compiled loop where there is one, else by NumPy."""
        found = self._run((), self.names, arguments, (None,))
        return self.formula(*arguments) if found is None else found[0]

    def backward(
        self, wanted: tuple[str, ...], names: tuple[str, ...], values: Sequence[Any], shapes: tuple[Any, ...]
    ) -> list[Any] | None:
        """The gradients of some inputs, in one loop; ``None``, where there is none.

        Args:
            wanted: the inputs.
            names: what their derivatives need.
            values: of these.
            shapes: of each input: where it has one element, its gradient is summed up.
        """
        return self._run(wanted, names, values, shapes)

    def _run(
        self, wanted: tuple[str, ...], names: tuple[str, ...], values: Sequence[Any], shapes: tuple[Any, ...]
    ) -> list[Any] | None:
        arrays = self.arrays
        key: list[Any] = [wanted, shapes]
        for name, value in zip(names, values, strict=True):
            if type(value) is ndarray:
                key.append((value.shape, value.strides, value.dtype.num))
            else:
                key.append(type(value) if type(value) is float or name in arrays else (type(value), repr(value)))
        look = tuple(key)
        asked = wanted in self._asks
        if asked:
            look = (*look, *(repr(value) for value in values if type(value) is float))
        try:
            plan = self._plans[look]
        except KeyError:
            if len(self._plans) > MANY_SHAPES:
                self._plans.clear()
            plan = self._plans[look] = self._plan(wanted, dict(zip(names, values, strict=True)), shapes)
            rows = len(plan[1].at[0]) if plan is not None and plan[1].at else 0
            if rows > MANY_ROWS or (not asked and wanted in self._asks):  # the rule asks, as it has just turned out
                del self._plans[look]
        if plan is None:
            return None
        loop, layout = plan
        dtype = loop.dtype
        operands = []
        for name, value in zip(names, values, strict=True):
            if type(value) is ndarray:
                operands.append(value)
            elif name in loop.names:
                number = math.prod(value) if name.endswith("_shape") else value
                operands.append(np.asarray(number, DOUBLE if name in loop.numbers else dtype))
        return loop.run(operands, layout, shapes)

    def _plan(
        self, wanted: tuple[str, ...], given: dict[str, Any], shapes: tuple[Any, ...]
    ) -> tuple[_Loop, _Layout] | None:
        """The loop for such arguments, and their layout; ``None`` where they have none."""
        dtype = next((v.dtype for v in given.values() if type(v) is ndarray and v.dtype != BOOL), None)
        if dtype is not FLOAT and dtype is not DOUBLE:
            return None
        by_value = wanted in self._asks
        operands: dict[str, Array] = {}
        fixed: dict[str, Any] = {}
        numbers: list[str] = []
        for name, value in given.items():
            if type(value) is ndarray:
                if value.dtype is not dtype and value.dtype != BOOL:
                    return None
                operands[name] = value
            elif name.endswith("_shape") or (type(value) is float and name not in self.arrays and not by_value):
                operands[name] = np.empty((), DOUBLE)  # a number for all; of a shape, how many elements it has
                numbers.append(name)
            elif name in self.arrays:
                operands[name] = np.empty((), dtype)
            else:
                fixed[name] = value
        layout = _layout_of(list(operands.values()))
        if layout is None or not usable():
            return None
        summed = tuple([s is not None and not layout.columns and math.prod(s) == 1 for s in shapes])
        kinds = tuple([(x, a.dtype, kind) for (x, a), kind in zip(operands.items(), layout.kinds, strict=True)])
        loop = self._loop(wanted, kinds, layout.columns > 0, summed, fixed, tuple(numbers))
        if loop is None and not by_value and any(type(value) is float for value in given.values()):
            self._asks.add(wanted)
            return self._plan(wanted, given, shapes)
        return None if loop is None else (loop, layout)

    def _loop(
        self,
        wanted: tuple[str, ...],
        kinds: Any,
        rows: bool,
        summed: tuple[bool, ...],
        fixed: dict[str, Any],
        numbers: tuple[str, ...],
    ) -> _Loop | None:
        """The loop for operands of these kinds; ``None`` where the rule has none, or has had too many."""
        key = (wanted, kinds, numbers, rows, summed, repr(fixed))
        if key not in self._loops:
            made = [known for known, loop in self._loops.items() if loop is not None]
            if len(made) > MANY or (wanted in self._asks and len([k for k in made if k[0] == wanted]) >= MANY_VALUES):
                return None
            if len(self._loops) > 2 * MANY:  # what cannot be compiled is found out again
                self._loops = {known: self._loops[known] for known in made}
            rules: list[Callable[[dict[str, Any]], Any]]
            if wanted:
                rules = [functools.partial(_of_rule, self.derivatives[x]) for x in wanted]
            else:
                rules = [lambda known: self.formula(*(known[x] for x in self.names))]
            name = "_".join((self.name, "backward" if wanted else "forward", *wanted))
            try:
                self._loops[key] = _Loop(name, rules, kinds, summed, fixed, rows, numbers=numbers)
            except NotTraceable:
                self._loops[key] = None
        return self._loops[key]


def _of_rule(rule: Callable[..., Any], known: dict[str, Any]) -> Any:
    code = rule.__code__
    return rule(*(known[name] for name in code.co_varnames[: code.co_argcount]))


class Update:
    """A formula whose results are written into some of its arrays, all of one shape and dtype: a step of an optimiser.

    Args:
        formula: of arrays and numbers; returns a tuple.
        into: the names of the arrays that the results are written into.
    """

    def __init__(self, formula: Callable[..., tuple[Any, ...]], into: tuple[str, ...]) -> None:
        self.formula = formula
        self.into = into
        self._loops: dict[Any, _Loop] = {}

    def __call__(self, arrays: dict[str, Array], numbers: dict[str, float]) -> None:
        """Run the formula on contiguous arrays."""
        dtype = arrays[self.into[0]].dtype
        operands = arrays | {name: np.asarray(value, dtype) for name, value in numbers.items()}
        key = (dtype, *operands)
        loop = self._loops.get(key)
        if loop is None:
            kinds = [(name, dtype, "each" if name in arrays else "one") for name in operands]
            rules = [functools.partial(self._result, i) for i in range(len(self.into))]
            loop = _Loop(self.formula.__name__.strip("_"), rules, kinds, [False] * len(rules), {}, into=self.into)
            self._loops[key] = loop
        loop.kernel(arrays[self.into[0]].size, *operands.values())

    def _result(self, i: int, known: dict[str, Any]) -> Any:
        return self.formula(**known)[i]
