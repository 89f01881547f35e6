"""From a loop in Python to object code, by Numba: the only module that imports it.

Numba types and optimises the loop; its LLVM text is then emitted as object code that can be kept and loaded without Numba. Helper
functions that the loop calls, found among its globals, are compiled with it.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from types import CodeType, FunctionType
from typing import Any

import numba
import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, lower_builtin, overload, type_callable

from tinygrad_rp.kernels import machine, primitives, vector_math

__all__ = ["translate"]

# Numba's options: division by zero as NumPy has it, the interpreter's lock let go, and no wrapper for callers in Python.
# Functions are put where they are called, without which a loop is not vectorised.
OPTIONS: dict[str, Any] = {
    "error_model": "numpy", "nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True,
}  # fmt: skip

# A loop over six arrays is vectorised only if LLVM may check at its start that each pair is apart.
llvm.set_option("", "-runtime-memory-check-threshold=64")
# A call that is not inlined, however long the function, keeps a loop from being vectorised.
llvm.set_option("", "-inline-threshold=10000")

_TYPES = {
    "f": types.float32, "d": types.float64, "?": types.uint8, "b": types.int8, "B": types.uint8, "h": types.int16,
    "i": types.int32, "I": types.uint32, "l": types.int64, "q": types.int64, "L": types.uint64, "Q": types.uint64,
}  # fmt: skip

_pointer: Any = types.CPointer

# ------------------------------------------------------------------------------------------ the primitives, compiled


@overload(primitives.where, strict=False)
def _where(condition: Any, a: Any, b: Any) -> Any:
    return lambda condition, a, b: a if condition else b


@overload(primitives.bits, strict=False)
def _bits(x: Any) -> Any:
    if x == types.float32:
        return lambda x: np.float32(x).view(np.int32)
    return (lambda x: np.float64(x).view(np.int64)) if x == types.float64 else None


@overload(primitives.float_of, strict=False)
def _float_of(k: Any) -> Any:
    if k == types.int32:
        return lambda k: np.int32(k).view(np.float32)
    return (lambda k: np.int64(k).view(np.float64)) if k == types.int64 else None


@intrinsic  # type: ignore[arg-type]
def _load(context: Any, pointer: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.gep(arguments[0], [arguments[1]]))

    return pointer.dtype(pointer, types.intp), generate


def _instruction(name: str) -> Any:
    """What generates the instruction of a function that LLVM knows."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        function = ir.FunctionType(kind, [kind] * len(arguments))
        return builder.call(builder.module.declare_intrinsic(f"llvm.{name}", [kind], function), arguments)

    return generate


def _of_one(name: str) -> Any:
    @intrinsic  # type: ignore[arg-type]
    def call(context: Any, x: Any) -> Any:
        return x(x), _instruction(name)

    return lambda x: lambda x: call(x)  # type: ignore[call-arg]


@intrinsic  # type: ignore[arg-type]
def _copysign(context: Any, x: Any, y: Any) -> Any:
    return x(x, y), _instruction("copysign")


for _name in ("sqrt", "floor", "ceil", "trunc", "rint"):
    overload(getattr(primitives, _name), strict=False)(_of_one(_name))
overload(primitives.copysign, strict=False)(lambda x, y: lambda x, y: _copysign(x, y))  # type: ignore[call-arg]


# An element of a pointer is read as it is: an array's index would first be looked at for its sign, which stops the vectoriser.


@overload(operator.getitem, strict=False)
def _get(pointer: Any, index: Any) -> Any:
    if isinstance(pointer, types.CPointer):
        return lambda pointer, index: _load(pointer, index)  # type: ignore[call-arg]
    return None


@type_callable(operator.setitem)
def _type_of_set(context: Any) -> Any:
    def typed(pointer: Any, index: Any, value: Any) -> Any:
        return types.none if isinstance(pointer, types.CPointer) and isinstance(index, types.Integer) else None

    return typed


@lower_builtin(operator.setitem, types.CPointer, types.Integer, types.Any)  # type: ignore[no-untyped-call, untyped-decorator]
def _set(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    pointer, index, value = signature.args
    where = builder.gep(arguments[0], [context.cast(builder, arguments[1], index, types.intp)])
    builder.store(context.cast(builder, arguments[2], value, pointer.dtype), where)
    # The loop that writes may use vectors of 512 bits, where the processor has them. Of some, LLVM thinks that they do not pay,
    # but they make elementary functions a third faster. llvmlite knows attributes without values alone, and prints this as it
    # stands.
    set.add(builder.function.attributes, '"prefer-vector-width"="512"')
    return context.get_dummy_value()


# --------------------------------------------------------------------------------------------------------- translation

_made: dict[tuple[FunctionType, bool], Any] = {}


def translate(function: FunctionType, kinds: Sequence[str]) -> tuple[str, bytes]:
    """Compile a loop for arguments of these kinds: the name of its entry, and the object code.

    Args:
        function: of the number of items, and of pointers and numbers.
        kinds: of these: ``"*f"`` is a pointer to float32, ``"d"`` a float64.
    """
    arguments = (types.int64, *(_pointer(_TYPES[k[1]]) if k[0] == "*" else _TYPES[k] for k in kinds))
    dispatcher = _jitted(function, getattr(function, "exact", False))
    dispatcher.compile(arguments)
    entry = dispatcher.overloads[arguments].fndesc.llvm_func_name
    return entry, machine.emit(dispatcher.inspect_llvm(arguments))


def _jitted(function: FunctionType, exact: bool) -> Any:
    """The function compiled by Numba, and with it those of ours that it calls."""
    if (function, exact) not in _made:
        used = {name: function.__globals__[name] for name in _names(function.__code__) if name in function.__globals__}
        for value in used.values():
            if hasattr(value, "variants"):
                _chosen_by_dtype(value)
        seen = {name: _jitted(value, exact) if _is_ours(value) else value for name, value in used.items()}
        copy = FunctionType(function.__code__, seen, function.__name__, function.__defaults__)
        flags = set()
        if getattr(function, "reorders", False):  # sums may be taken in another order, where a loop says so
            flags.add("reassoc")
        if (
            not exact and function.__module__ == vector_math.__name__
        ):  # a·b + c rounded once, in elementary functions alone
            flags.add("contract")
        _made[function, exact] = numba.njit(fastmath=flags or False, **OPTIONS)(copy)
    return _made[function, exact]


def _chosen_by_dtype(function: Any) -> None:
    """Tell Numba of a function that is made of two."""
    if function not in _overloaded:
        _overloaded.add(function)
        narrow, wide = (_jitted(variant, False) for variant in function.variants)
        if function.variants[0].__code__.co_argcount == 1:

            def one(x: Any) -> Any:
                made = narrow if x.bitwidth == 32 else wide
                return lambda x: made(x)

            overload(function, strict=False)(one)
        else:

            def two(x: Any, like: Any) -> Any:
                made = narrow if like.bitwidth == 32 else wide
                return lambda x, like: made(x, like)

            overload(function, strict=False)(two)


_overloaded: set[Any] = set()


def _names(code: CodeType) -> set[str]:
    inner = [_names(c) for c in code.co_consts if isinstance(c, CodeType)]
    return set(code.co_names).union(*inner)


def _is_ours(value: Any) -> bool:
    own = isinstance(value, FunctionType) and value.__module__.startswith("tinygrad_rp.")
    return own and value.__module__ != primitives.__name__
