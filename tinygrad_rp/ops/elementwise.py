"""Operations element by element: arithmetic, powers, exponentials, trigonometry, activations, comparisons."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from operator import index
from typing import Any

import numpy as np

from tinygrad_rp.graph import Stop
from tinygrad_rp.operation import POSITIVE, SAME, either, elementwise, example, operation, public, result_dtype
from tinygrad_rp.ops.index import nonzero
from tinygrad_rp.ops.special import erfc
from tinygrad_rp.tensor import Tensor, bool_, wrap

__all__ = [
    "abs", "absolute", "acos", "acosh", "add", "addcdiv", "addcmul", "allclose", "arccos", "arccosh", "arcsin", "arcsinh",
    "arctan", "arctan2", "arctanh", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and", "bitwise_not", "bitwise_or",
    "bitwise_xor", "ceil", "celu", "clamp", "clamp_max", "clamp_min", "clip", "cos", "cosh", "div", "divide", "eq", "equal",
    "exp", "exp2", "expm1", "fix", "floor", "floor_divide", "fmod", "frac", "ge", "greater", "greater_equal", "gt", "hypot",
    "isclose", "isfinite", "isinf", "isnan", "isneginf", "isposinf", "le", "lerp", "less", "less_equal", "log", "log1p",
    "log2", "log10", "logaddexp", "logaddexp2", "logical_and", "logical_not", "logical_or", "logical_xor", "logit", "lt",
    "maximum", "minimum", "mul", "multiply", "nan_to_num", "ne", "neg", "negative", "not_equal", "positive", "pow",
    "reciprocal", "relu", "remainder", "round", "rsqrt", "rsub", "selu", "sigmoid", "sign", "sin", "sinh", "softplus", "sqrt",
    "square", "sub", "subtract", "tan", "tanh", "true_divide", "trunc", "where", "xlogy",
]  # fmt: skip

# ------------------------------------------------------------------------------------------------------- flat functions

# x, wired to y as well by an edge that carries zeros: so that flat functions of y can be differentiated again, to 0
_wired = operation(
    "wired", lambda x, y: np.array(x), "x", signature="input, other", inputs=2, x=SAME, y=lambda g: np.zeros_like(g),
    method=False, examples=[example((3,), (3,))],
)  # fmt: skip


def _flat(value: Any, *inputs: Any) -> Any:
    """A value that is flat in the given inputs: wired to those that are tensors."""
    for y in inputs:
        value = _wired(value, y) if isinstance(y, Tensor) else value
    return value


def _constant(function: Callable[..., Any], *inputs: Any) -> Any:
    """A function in a rule, computed on the bare arrays."""
    if not any(isinstance(x, Tensor) for x in inputs):
        return function(*inputs)
    return wrap(np.asarray(function(*(x._array if isinstance(x, Tensor) else x for x in inputs))))


def _step(function: Callable[..., Any], *inputs: Any) -> Any:
    """A function, flat but for its jumps, in a rule: a constant, wired to those inputs that are tensors."""
    return _flat(_constant(function, *inputs), *inputs)


def _kind(*values: Any) -> str:
    """The highest kind among arrays and numbers: ``"f"``, ``"i"`` or ``"b"``."""
    kinds = {v.dtype.kind if hasattr(v, "dtype") else np.asarray(v).dtype.kind for v in values}
    return "f" if "f" in kinds else "i" if kinds - {"b"} else "b"


def _need_floats(name: str, x: Any) -> None:
    if x.dtype.kind != "f":
        raise RuntimeError(
            f"{name}() is defined for floating-point tensors, and this one holds {x.dtype}; use float() before"
        )


def _need_equal_dtypes(name: str, **arrays: Any) -> None:
    if len({a.dtype for a in arrays.values()}) > 1:
        found = ", ".join(f"{argument} is {a.dtype}" for argument, a in arrays.items())
        raise RuntimeError(f"{name}(): the dtypes must be the same, and {found}; convert with to() before")


# ----------------------------------------------------------------------------------------------------------- arithmetic

_add = elementwise("add", np.add, "x + y", x=SAME, y=SAME, operator="add", bools=True, method=False)


def _refuse_bools(*operands: Any) -> None:
    for value in operands:
        if isinstance(value, bool) or getattr(value, "dtype", None) == np.bool_:
            raise RuntimeError(
                "subtraction with bools is not defined; use logical_not() or ~ to invert, or convert with int() before"
            )


def _minus(x: Any, y: Any) -> Any:
    try:
        check = x.dtype is not y.dtype or x.dtype is bool_
    except AttributeError:
        check = True
    if check:
        _refuse_bools(x, y)
    return np.subtract(x, y)


def _minus_scaled(x: Any, y: Any, alpha: float) -> Any:
    _refuse_bools(x, y)
    return np.subtract(x, alpha * y)


_sub = elementwise("sub", _minus, "x − y", x=SAME, y=lambda g: -g, operator="sub", numpy=np.subtract, method=False)
rsub = elementwise("rsub", lambda x, y: _minus(y, x), "y − x", x=lambda g: -g, y=SAME, node="RsubBackward1")
mul = elementwise("mul", np.multiply, "x · y", x=lambda g, y: g * y, y=lambda g, x: g * x, operator="mul", bools=True)
_div = elementwise(
    "div",
    np.true_divide,
    "x / y",
    x=lambda g, y: g / y,
    y=lambda g, x, y: -g * ((x / y) / y),  # y² might overflow
    floating=True,
    method=False,
    domain=((-np.inf, np.inf), POSITIVE),
    kinks="y = 0",
)
neg = elementwise("neg", np.negative, "−x", x=lambda g: -g, operator="neg")
reciprocal = elementwise(
    "reciprocal",
    lambda x: np.reciprocal(x) if x.dtype.kind == "f" else 1 / x,  # NumPy's of an integer is an integer
    "1 / x",
    x=lambda g, out: -g * (out * out),
    floating=True,
    numpy=np.reciprocal,
    domain=POSITIVE,
    kinks="x = 0",
)


_add_scaled = elementwise(
    "add_scaled",
    lambda x, y, alpha: x + alpha * y,
    "x + αy",
    signature="input, other, alpha=2",
    x=SAME,
    y=lambda g, alpha: g * alpha,
    title="add",
    node="AddBackward0",
    method=False,
)
_sub_scaled = elementwise(
    "sub_scaled",
    _minus_scaled,
    "x − αy",
    signature="input, other, alpha=2",
    x=SAME,
    y=lambda g, alpha: -g * alpha,
    title="sub",
    node="SubBackward0",
    method=False,
)


def _check_alpha(name: str, alpha: Any, *operands: Any) -> str:
    """The kind of the result."""
    if not isinstance(alpha, builtins.bool | int | float | np.generic):
        raise TypeError(f"{name}(): alpha must be a number, not {type(alpha).__name__}; use input + alpha * other")
    kind = _kind(*(x._array if isinstance(x, Tensor) else x for x in operands))
    if kind != "f" and isinstance(alpha, float | np.floating):
        raise RuntimeError(f"{name}(): alpha must be an integer for integer tensors, and is {alpha}")
    if kind != "b" and isinstance(alpha, builtins.bool | np.bool_):
        raise RuntimeError(f"{name}(): a bool alpha is supported for bool results alone; write it as 0 or 1")
    return kind


def add(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """``input + alpha · other``.

    Raises:
        RuntimeError: ``alpha`` is a float and the result would hold integers, or it is a bool and the result would not.
    """
    if type(alpha) is int and alpha == 1:
        return _add(input, other)
    if _check_alpha("add", alpha, input, other) == "b":
        alpha = builtins.bool(alpha)
        return _add(input, mul(other, alpha) if isinstance(other, Tensor | np.ndarray) else other and alpha)
    return _add_scaled(input, other, alpha)


def sub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """``input − alpha · other``.

    Raises:
        RuntimeError: ``alpha`` is a float and the result would hold integers, or it is a bool; or an operand holds bools.
    """
    if type(alpha) is int and alpha == 1:
        return _sub(input, other)
    _check_alpha("sub", alpha, input, other)
    return _sub_scaled(input, other, alpha)


def _reflected_div(self: Tensor, other: Any) -> Tensor:
    return mul(reciprocal(self), other)


def positive(input: Tensor) -> Tensor:
    """The tensor itself.

    Raises:
        RuntimeError: it holds bools.
    """
    if input._array.dtype == bool_:
        raise RuntimeError("positive() is not defined for bool tensors; convert with int() before")
    return input


# ------------------------------------------------------------------------------------- division with rounding, remainders


def _check_divisor(name: str, x: Any, y: Any) -> None:
    if _kind(x, y) != "f" and not np.all(y):
        raise RuntimeError(f"{name}(): ZeroDivisionError: other holds a zero, and integers cannot be divided by zero")


def _rounded_quotient(x: Any, y: Any, rounding_mode: str) -> Any:
    _check_divisor("div", x, y)
    if rounding_mode == "floor":
        return np.floor_divide(x, y)
    if _kind(x, y) == "f":
        return np.trunc(np.true_divide(x, y))
    quotient = np.floor_divide(x, y)
    return quotient + ((quotient < 0) & (quotient * y != x))


OF_A_SAMPLE = "of a random x (unbiased): the score function, cost.detach() * distribution.log_prob(x)"
"""What is left where a step is to be differentiated in the mean over what was drawn before it."""

STAIRS = Stop(
    "zero",
    "Rounding makes stairs of a line: flat wherever it is not jumping, so that zeros go back.",
    (
        "straight-through (biased): x + (round(x) - x).detach()",
        "do without the rounding while the gradient is computed",
        OF_A_SAMPLE,
    ),
)
_div_rounded = elementwise(
    "div_rounded",
    _rounded_quotient,
    "x / y, rounded down (floor) or towards zero (trunc)",
    signature="input, other, rounding_mode='floor'",
    stops={"x": STAIRS, "y": STAIRS},
    title="div",
    node="DivBackward2",
    method=False,
)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """``input / other``, element by element.

    Args:
        input: the dividend, a tensor or a number.
        other: the divisor, a tensor or a number.
        rounding_mode: ``None`` for the true quotient; ``"floor"`` rounds it down, ``"trunc"`` towards zero, and integers
            then stay integers. Zeros go back through a rounded quotient.

    Raises:
        RuntimeError: there is no such mode, or integers are divided by zero with rounding.
        TypeError: the mode is no string.
    """
    if rounding_mode is None:
        return _div(input, other)
    if not isinstance(rounding_mode, str):
        raise TypeError(f"div(): rounding_mode must be None, 'floor' or 'trunc', not {rounding_mode!r}")
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(f"div(): rounding_mode must be None, 'floor' or 'trunc', and is {rounding_mode!r}")
    return _div_rounded(input, other, rounding_mode)


def floor_divide(input: Any, other: Any) -> Tensor:
    """``input / other``, rounded down: ``div`` with ``rounding_mode="floor"``, whose errors it raises."""
    return _div_rounded(input, other, "floor")


def _remainder(name: str, ufunc: np.ufunc, quotient: Callable[..., Any], formula: str) -> Any:
    """A remainder, once for a tensor and once for a number as the divisor, which PyTorch's nodes tell apart."""

    def forward(x: Any, y: Any) -> Any:
        _check_divisor(name, x, y)
        return ufunc(x, y)

    node = f"{name.capitalize()}Backward"
    of_tensor = elementwise(
        name,
        forward,
        formula,
        x=SAME,
        y=lambda g, x, y: g * -_step(quotient, x, y),
        node=f"{node}1",
        numpy=ufunc,
        method=False,
        domain=((-np.inf, np.inf), POSITIVE),
        kinks="x a multiple of y, where it jumps",
    )
    of_number = elementwise(
        f"{name}_number",
        forward,
        f"{formula}, for a number y",
        x=SAME,
        signature="input, other=0.7",
        title=name,
        node=f"{node}0",
        method=False,
        kinks="x a multiple of y, where it jumps",
    )

    def remainder(input: Any, other: Any) -> Tensor:
        tensors = isinstance(other, Tensor | np.ndarray) or not isinstance(input, Tensor)
        return of_tensor(input, other) if tensors else of_number(input, other)

    remainder.__name__ = remainder.__qualname__ = name
    sign = "divisor" if name == "remainder" else "dividend"
    remainder.__doc__ = (
        f"The remainder of ``input / other``, with the sign of the {sign}.\n\n"
        "    Raises:\n        RuntimeError: integers are divided by zero."
    )
    return public(remainder, numpy=ufunc, in_place=True)


remainder = _remainder("remainder", np.remainder, np.floor_divide, "x − y ⌊x / y⌋")
fmod = _remainder("fmod", np.fmod, lambda x, y: np.trunc(np.true_divide(x, y)), "x − y trunc(x / y)")

public(add, in_place=True)
public(sub, in_place=True)
public(rsub, name="__rsub__")
public(div, in_place=True)
public(_div, name="__truediv__", in_place=True)
public(_reflected_div, name="__rtruediv__")
public(floor_divide, numpy=np.floor_divide, in_place=True)
public(floor_divide, name="__floordiv__", in_place=True)
public(lambda self, other: floor_divide(other, self), name="__rfloordiv__")
public(remainder, name="__mod__", in_place=True)
public(lambda self, other: remainder(other, self), name="__rmod__")
public(positive, numpy=np.positive)
public(positive, name="__pos__")

# ------------------------------------------------------------------------------------------------------------- rounding


def _towards(ufunc: np.ufunc) -> Any:
    def rounded(x: Any) -> Any:
        return ufunc(x) if x.dtype.kind == "f" else np.array(x)  # integers are round already

    return rounded


floor = elementwise("floor", _towards(np.floor), "⌊x⌋", stops={"x": STAIRS}, numpy=np.floor)
ceil = elementwise("ceil", _towards(np.ceil), "⌈x⌉", stops={"x": STAIRS}, numpy=np.ceil)
trunc = elementwise(
    "trunc", _towards(np.trunc), "x, rounded towards zero", stops={"x": STAIRS}, numpy=(np.trunc, np.fix)
)
_round = elementwise(
    "round", _towards(np.rint), "x, rounded to the nearest integer, and halves to even", stops={"x": STAIRS}, method=False,
)  # fmt: skip


def _rounded_to(x: Any, decimals: int) -> Any:
    _need_floats("round", x)
    scale = 10.0 ** builtins.abs(decimals)
    return np.rint(x * scale) / scale if decimals >= 0 else np.rint(x / scale) * scale


_round_to = elementwise(
    "round_decimals",
    _rounded_to,
    "x, rounded to a number of decimals",
    signature="input, decimals=1",
    stops={"x": STAIRS},
    title="round",
    node="RoundBackward1",
    method=False,
)


def round(input: Tensor, *, decimals: int | None = None) -> Tensor:
    """``input``, rounded to the nearest number with ``decimals`` decimals (tens, hundreds, … if negative); halves to even.

    Without ``decimals`` the nearest integer, also of integers.

    Raises:
        RuntimeError: ``decimals`` is given for integers.
    """
    if decimals is not None and not isinstance(decimals, int | np.integer):
        raise TypeError(f"round(): decimals must be an integer, not {decimals!r}")
    return _round(input) if decimals is None else _round_to(input, index(decimals))


def _fraction(x: Any) -> Any:
    _need_floats("frac", x)
    return x - np.trunc(x)


frac = elementwise(
    "frac",
    _fraction,
    "x − trunc(x), which has the sign of x",
    x=SAME,
    kinks="integers other than 0, where it jumps",
)
public(round, in_place=True)
for _numpy_function in (np.round, np.rint):
    Tensor._numpy_functions[_numpy_function] = lambda a, decimals=0: round(a, decimals=decimals or None)

# --------------------------------------------------------------------------------------------------------------- powers

_pow_number = elementwise(
    "pow_number",
    lambda x, exponent: _inverse_root(x) if exponent == -0.5 else x**exponent,
    "xⁿ, for a number n",
    title="pow",
    signature="input, exponent=2",
    # x + x is 2x exactly, and what most people differentiate
    x=lambda g, x, exponent: (
        g * (x + x)
        if exponent == 2
        else np.zeros_like(g)
        if exponent == 0
        else g * (exponent * (_inverse_root(x) if exponent == 0.5 else x ** (exponent - 1)))
    ),
    node="PowBackward0",
    method=False,
    domain=POSITIVE,
)


def _inverse_root(x: Any) -> Any:
    """x^(−½) as 1/√x, as PyTorch has it, which differs at −0 and −∞."""
    return 1 / np.sqrt(x) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x**-0.5


def _power(x: Any, y: Any) -> Any:
    try:
        return x**y
    except ValueError as error:
        if "negative integer powers" in str(error):
            raise RuntimeError(
                "pow(): integers to negative powers are not integers; convert with float() before"
            ) from None
        raise


_pow = elementwise(
    "pow",
    lambda x, y: _power(x, y),
    "xʸ",
    x=lambda g, x, y: np.where(y == 0, 0.0, g * (y * x ** (y - 1))),
    # the limit of xʸ·log x, as x falls to 0 with y > 0, is 0
    y=lambda g, x, y, out: g * np.where((x == 0) & (y >= 0), 0.0, out * np.log(np.where((x == 0) & (y >= 0), 1.0, x))),
    signature="input, exponent",
    node="PowBackward1",
    method=False,
    domain=(POSITIVE, (-np.inf, np.inf)),
)
_pow_of_number = elementwise(
    "pow_of_number",
    lambda x, base: _power(base, x),
    "aˣ, for a number a",
    title="pow",
    signature="exponent, base=2",
    x=lambda g, x, out, base: g * np.where((x >= 0) & (base == 0), 0.0, out * _log_of(base)),
    node="PowBackward2",
    method=False,
)


def _log_of(base: float) -> float:
    return math.log(base) if base > 0 else -math.inf if base == 0 else math.nan


def pow(input: Any, exponent: Any) -> Tensor:
    """``input`` to the power ``exponent``; one of them may be a number.

    Raises:
        RuntimeError: integers to a negative power, which are no integers.
    """
    kind = type(exponent)
    if kind is float or (kind is int and exponent >= 0):
        return _pow_number(input, exponent)
    if kind is int or kind is bool:
        if kind is int and isinstance(input, Tensor) and input._array.dtype.kind in "iu":
            raise RuntimeError(
                f"pow(): integers to the negative power {exponent} are not integers; convert with float() before"
            )
        if kind is bool and isinstance(input, Tensor) and input._array.dtype == bool_:
            return bitwise_or(input, not exponent)
        return _pow_number(input, exponent)
    if isinstance(exponent, np.generic):
        return pow(input, exponent.item())
    if not isinstance(exponent, Tensor | np.ndarray):
        return _pow_number(input, exponent)
    if not isinstance(input, Tensor | np.ndarray):
        return _pow_of_number(exponent, input)
    return _pow(input, exponent)


def _reflected_pow(self: Tensor, other: Any) -> Tensor:
    return pow(other, self)


public(pow, numpy=np.power, in_place=True)
public(pow, name="__pow__", in_place=True)
public(_reflected_pow, name="__rpow__")

sqrt = elementwise("sqrt", np.sqrt, "√x", x=lambda g, out: g / (2 * out), floating=True, domain=POSITIVE)


rsqrt = elementwise(
    "rsqrt",
    lambda x: 1 / np.sqrt(x),
    "1 / √x",
    x=lambda g, out: -0.5 * g * (out * out * out),
    floating=True,
    domain=POSITIVE,
)


def square(input: Tensor) -> Tensor:
    """``input²``."""
    return pow(input, 2)


public(square, numpy=np.square, in_place=True)


def _sign(x: Any) -> Any:
    """The sign; 0 at NaN."""
    return np.where(x > 0, 1, np.where(x < 0, -1, 0)).astype(x.dtype)


abs = elementwise(
    "abs",
    np.absolute,
    "|x|",
    x=lambda g, x: g * _step(_sign, x),
    operator="abs",
    kinks="x = 0, where the derivative is taken as 0",
)


sign = elementwise(
    "sign",
    _sign,
    "1, 0 or −1, as x is positive, zero or negative; 0 at NaN",
    stops={
        "x": Stop(
            "zero",
            "The sign is a step: flat wherever it is not jumping, so that zeros go back.",
            (
                "use a smooth step, tanh(x / temperature)",
                "straight-through (biased): x + (sign(x) - x).detach()",
                OF_A_SAMPLE,
            ),
        )
    },
    bools=True,
    numpy=np.sign,
)

# ------------------------------------------------------------------------------------------ exponentials and logarithms

exp = elementwise("exp", np.exp, "eˣ", x=lambda g, out: g * out, floating=True)
exp2 = elementwise("exp2", np.exp2, "2ˣ", x=lambda g, out: g * (out * math.log(2)), floating=True)
expm1 = elementwise("expm1", np.expm1, "eˣ − 1", x=lambda g, out: g * (out + 1), floating=True)
log = elementwise("log", np.log, "log x", x=lambda g, x: g / x, floating=True, domain=POSITIVE)
log2 = elementwise("log2", np.log2, "log₂ x", x=lambda g, x: g / (x * math.log(2)), floating=True, domain=POSITIVE)
log10 = elementwise("log10", np.log10, "log₁₀ x", x=lambda g, x: g / (x * math.log(10)), floating=True, domain=POSITIVE)
log1p = elementwise(
    "log1p",
    np.log1p,
    "log(1 + x)",
    x=lambda g, x: g / (x + 1),
    floating=True,
    domain=(-1.0, np.inf),
    node="Log1PBackward0",
)

# --------------------------------------------------------------------------------------------------------- trigonometry

sin = elementwise("sin", np.sin, "sin x", x=lambda g, x: g * np.cos(x), floating=True)
cos = elementwise("cos", np.cos, "cos x", x=lambda g, x: g * -np.sin(x), floating=True)
tan = elementwise("tan", np.tan, "tan x", x=lambda g, out: g * (1 + out * out), floating=True, domain=(-1.5, 1.5))
asin = elementwise(
    "asin", np.arcsin, "arcsin x", x=lambda g, x: g * either(rsqrt, 1 - x * x), floating=True, domain=(-1.0, 1.0)
)
acos = elementwise(
    "acos", np.arccos, "arccos x", x=lambda g, x: g * -either(rsqrt, 1 - x * x), floating=True, domain=(-1.0, 1.0)
)
atan = elementwise("atan", np.arctan, "arctan x", x=lambda g, x: g / (x * x + 1), floating=True)


def _over_square(x: Any, y: Any) -> Any:
    """1 / (x² + y²), and 0 at the origin."""
    square = x * x + y * y
    return np.where(square == 0, 0.0, 1 / square)


atan2 = elementwise(
    "atan2",
    np.arctan2,
    "the angle of the point (y, x), seen from the axis of y",
    x=lambda g, x, y: g * (y * _over_square(x, y)),
    y=lambda g, x, y: g * (-x * _over_square(x, y)),
    floating=True,
    domain=((-np.inf, np.inf), POSITIVE),
    kinks="x = y = 0, where the derivative is taken as 0, and x = 0 with y < 0, where it jumps by 2π",
)
sinh = elementwise("sinh", np.sinh, "sinh x", x=lambda g, x: g * np.cosh(x), floating=True)
cosh = elementwise("cosh", np.cosh, "cosh x", x=lambda g, x: g * np.sinh(x), floating=True)
tanh = elementwise("tanh", np.tanh, "tanh x", x=lambda g, out: g * (1 - out * out), floating=True)
asinh = elementwise("asinh", np.arcsinh, "arsinh x", x=lambda g, x: g * either(rsqrt, x * x + 1), floating=True)
acosh = elementwise(
    "acosh", np.arccosh, "arcosh x", x=lambda g, x: g * either(rsqrt, x * x - 1), floating=True, domain=(1.0, np.inf)
)
atanh = elementwise("atanh", np.arctanh, "artanh x", x=lambda g, x: g / (1 - x * x), floating=True, domain=(-1.0, 1.0))


def _on_floats(name: str, ufunc: np.ufunc) -> Any:
    def forward(x: Any, y: Any) -> Any:
        if _kind(x, y) != "f":
            raise RuntimeError(f"{name}() is defined for floating-point tensors; use float() before")
        return ufunc(x, y)

    return forward


hypot = elementwise(
    "hypot",
    _on_floats("hypot", np.hypot),
    "√(x² + y²)",
    numpy=np.hypot,
    x=lambda g, x, out: g * (x / out),
    y=lambda g, y, out: g * (y / out),
    kinks="x = y = 0",
)

# ---------------------------------------------------------------------------------------------------------- activations


def _sigmoid(x: Any) -> Any:
    small = np.exp(-np.abs(x))  # cannot overflow
    return np.where(x >= 0, 1, small) / (1 + small)


sigmoid = elementwise(
    "sigmoid",
    _sigmoid,
    "1 / (1 + e⁻ˣ)",
    x=lambda g, out: g * (out * (1 - out)),
    floating=True,
)


def _log_odds(x: Any, eps: float | None) -> Any:
    if eps is not None:
        x = np.minimum(np.maximum(x, eps), 1 - eps)
    return np.log(x / (1 - x))


_logit = elementwise(
    "logit",
    _log_odds,
    "log(x / (1 − x)), x held between ε and 1 − ε",
    signature="input, eps=None",
    x=lambda g, x, eps: np.where(
        _within(x, 0.0 if eps is None else eps, 1.0 if eps is None else 1 - eps),
        g / (x * (1 - x)),
        np.nan if eps is None else 0.0,
    ),
    floating=True,
    method=False,
    domain=(0.0, 1.0),
)


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """``log(input / (1 − input))``, the opposite of `sigmoid`.

    Args:
        input: probabilities; NaN where they are none.
        eps: hold the input between ``eps`` and ``1 − eps`` before. The derivative is 0 where that changes it.
    """
    return _logit(input, eps)


public(logit, in_place=True)


def _rectified(x: Any) -> Any:
    if x.dtype == bool_:
        raise RuntimeError("relu() is not defined for bool tensors; convert with int() or float() before")
    return np.maximum(x, 0)


relu = elementwise(
    "relu",
    _rectified,
    "max(x, 0)",
    x=lambda g, out: _flat(np.where(out <= 0, 0.0, g), out),
    kinks="x = 0, where the derivative is taken as 0",
)


def _activation(name: str, forward: Any, formula: str, **options: Any) -> Any:
    """An operation of networks: no method, and for floating-point numbers alone."""
    return elementwise(name, forward, formula, method=False, **options)


def _leak(x: Any, negative_slope: float) -> Any:
    _need_floats("leaky_relu", x)
    return np.where(x > 0, x, x * negative_slope)


_leaky_relu = _activation(
    "leaky_relu",
    _leak,
    "x where x > 0, else αx",
    signature="input, negative_slope=0.01",
    x=lambda g, x, negative_slope: _flat(np.where(x > 0, g, g * negative_slope), x),
    kinks="x = 0, where the derivative is taken as α",
)


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """``input`` where it is positive, else ``negative_slope · input``.

    Raises:
        RuntimeError: the elements are integers or bools.
    """
    return _leaky_relu(input, float(negative_slope))


def _bent(x: Any, alpha: float, scale: float) -> Any:
    _need_floats("elu", x)
    return np.where(x > 0, x * scale, np.expm1(np.minimum(x, 0)) * (alpha * scale))


_elu = _activation(
    "elu",
    _bent,
    "λx where x > 0, else λα(eˣ − 1)",
    signature="input, alpha=1.3, scale=1.1",
    # the exponential is taken where it counts alone: elsewhere it might overflow, and ∞ · 0 is no number
    x=lambda g, x, alpha, scale: np.where(x <= 0, g * (np.exp(np.where(x < 0, x, 0.0)) * (alpha * scale)), g * scale),
    kinks="x = 0, where the derivative is taken as λα",
)


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """``input`` where it is positive, else ``alpha · (exp(input) − 1)``.

    Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by exponential linear units", 2016.

    Raises:
        RuntimeError: the elements are integers or bools.
    """
    return _elu(input, float(alpha), 1.0)


def selu(input: Tensor) -> Tensor:
    """`elu` with the scale and ``alpha`` that keep mean 0 and variance 1 from layer to layer.

    Klambauer et al., "Self-normalizing neural networks", 2017, equation 14.

    Raises:
        RuntimeError: the elements are integers or bools.
    """
    return _elu(input, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


def _celu_of(x: Any, alpha: float) -> Any:
    _need_floats("celu", x)
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0) / alpha) * alpha)


_celu = _activation(
    "celu",
    _celu_of,
    "x where x > 0, else α(e^(x/α) − 1)",
    signature="input, alpha=1.3",
    x=lambda g, x, alpha: np.where(x <= 0, g * np.exp(np.where(x < 0, x, 0.0) / alpha), g),
    kinks="x = 0 in the second derivative",
)


def celu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """``input`` where it is positive, else ``alpha · (exp(input / alpha) − 1)``, which has no kink.

    J. T. Barron, "Continuously differentiable exponential linear units", 2017.

    Raises:
        RuntimeError: ``alpha`` is 0, or the elements are integers or bools.
    """
    if alpha == 0:
        raise RuntimeError("celu(): ZeroDivisionError: alpha must not be 0")
    return _celu(input, float(alpha))


_ROOT_HALF = math.sqrt(0.5)
_DENSITY = 1 / math.sqrt(2 * math.pi)
_GELU_SCALE, _GELU_CUBE = math.sqrt(2 / math.pi), 0.044715


def _gelu_of(x: Any) -> Any:
    _need_floats("gelu", x)
    return x * (0.5 * either(erfc, x * -_ROOT_HALF))


def _gelu_by_tanh(x: Any) -> Any:
    _need_floats("gelu", x)
    return 0.5 * x * (1 + np.tanh(_GELU_SCALE * (x + _GELU_CUBE * (x * x * x))))


def _gelu_by_tanh_slope(g: Any, x: Any) -> Any:
    t = np.tanh(_GELU_SCALE * (x + _GELU_CUBE * (x * x * x)))
    inner = _GELU_SCALE * (1 + 3 * _GELU_CUBE * (x * x))
    return g * (0.5 * (1 + t) + 0.5 * x * ((1 - t * t) * inner))


_gelu = _activation(
    "gelu",
    _gelu_of,
    "xΦ(x), Φ the distribution function of the normal distribution",
    x=lambda g, x: g * (0.5 * either(erfc, x * -_ROOT_HALF) + x * (_DENSITY * np.exp(-0.5 * (x * x)))),
)
_gelu_tanh = _activation(
    "gelu_tanh",
    _gelu_by_tanh,
    "x/2 · (1 + tanh(√(2/π)(x + 0.044715x³)))",
    x=_gelu_by_tanh_slope,
    title="gelu",
    node="GeluBackward0",
)


def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """``input`` times the probability that a standard normal number lies below it.

    Hendrycks, Gimpel, "Gaussian error linear units", 2016.

    Args:
        input: of any shape.
        approximate: ``"none"``, or ``"tanh"`` for the approximation of section 2 by a hyperbolic tangent.

    Raises:
        RuntimeError: there is no such approximation, or the elements are integers or bools.
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"gelu(): approximate must be 'none' or 'tanh', and is {approximate!r}")
    return _gelu(input) if approximate == "none" else _gelu_tanh(input)


def _silu_of(x: Any) -> Any:
    _need_floats("silu", x)
    return x / (1 + np.exp(-x))


silu = _activation(
    "silu",
    _silu_of,
    "xσ(x), σ the sigmoid",
    x=lambda g, x: g * (either(sigmoid, x) * (1 + x * (1 - either(sigmoid, x)))),
)


def _log_sigmoid(x: Any) -> Any:
    _need_floats("logsigmoid", x)
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


logsigmoid = _activation(
    "logsigmoid",
    _log_sigmoid,
    "log σ(x), σ the sigmoid",
    x=lambda g, x: g * either(sigmoid, -x),
    node="LogSigmoidBackward0",
)


def _mish_of(x: Any) -> Any:
    _need_floats("mish", x)
    return x * np.tanh(np.logaddexp(x, x.dtype.type(0)))


def _mish_slope(g: Any, x: Any) -> Any:
    t = np.tanh(np.logaddexp(x, 0.0))
    return g * (t + x * (either(sigmoid, x) * (1 - t * t)))


mish = _activation("mish", _mish_of, "x tanh(log(1 + eˣ))", x=_mish_slope)


def _hard(x: Any, min_val: float, max_val: float) -> Any:
    if x.dtype == bool_:
        raise RuntimeError("hardtanh() is not defined for bool tensors; convert with int() or float() before")
    if x.dtype.kind == "u" and min_val < 0:
        raise RuntimeError(f"hardtanh(): min_val must not be negative for {x.dtype}, and is {min_val}")
    return np.minimum(np.maximum(x, x.dtype.type(min_val)), x.dtype.type(max_val))


_hardtanh = operation(
    "hardtanh",
    _hard,
    "x, held between two bounds",
    signature="input, min_val=-1.0, max_val=1.0",
    x=lambda g, x, min_val, max_val: _flat(np.where((x <= min_val) | (x >= max_val), 0.0, g), x),
    method=False,
    kinks="x at a bound, where the derivative is taken as 0",
    examples=[example((3, 4)), example(()), example((0,)), example((5,), min_val=-0.5, max_val=1.5)],
)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """``input``, held between ``min_val`` and ``max_val``; the derivative at the bounds is 0, unlike that of `clamp`.

    Raises:
        ValueError: ``min_val`` is greater than ``max_val``.
        RuntimeError: the elements are bools.
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh(): min_val must not be greater than max_val, and they are {min_val} and {max_val}")
    return _hardtanh(input, min_val, max_val)


def relu6(input: Tensor) -> Tensor:
    """``input``, held between 0 and 6."""
    return hardtanh(input, 0.0, 6.0)


def softsign(input: Tensor) -> Tensor:
    """``input / (1 + |input|)``."""
    return input / (abs(input) + 1)


def tanhshrink(input: Tensor) -> Tensor:
    """``input − tanh(input)``."""
    return input - tanh(input)


def _soft(x: Any, beta: float, threshold: float) -> Any:
    _need_floats("softplus", x)
    scaled = x * beta
    return np.where(scaled > threshold, x, (np.maximum(scaled, 0) + np.log1p(np.exp(-np.abs(scaled)))) / beta)


_softplus = _activation(
    "softplus",
    _soft,
    "log(1 + e^βx) / β; x itself where βx exceeds the threshold",
    signature="input, beta=1.0, threshold=20.0",
    x=lambda g, x, beta, threshold: np.where(
        x * beta > threshold, g, g * either(sigmoid, np.where(x * beta >= threshold, threshold, x * beta))
    ),
)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta · input)) / beta``, and ``input`` itself where ``beta · input`` exceeds ``threshold``.

    Raises:
        RuntimeError: the elements are integers or bools.
    """
    return _softplus(input, float(beta), float(threshold))


# ------------------------------------------------------------------------------------- products and sums with a logarithm


def _times_log(x: Any, y: Any) -> Any:
    if not isinstance(y, np.ndarray):
        y = np.asarray(y, x.dtype if x.dtype.kind == "f" else np.float64)
    zero = (x == 0) & (y == y)
    # with 1.0, so that NumPy does not take the logarithm of small integers in half precision
    return np.where(zero, 0, x * np.log(np.where(zero, 1.0, y)))


def _times_log_slope(g: Any, x: Any, y: Any) -> Any:
    flat = (x == 0) & (y <= 0)
    # a gradient of 0 stays 0 where the logarithm is no number
    return np.where(flat, 0.0, either(_xlogy, g, np.where(flat, 1.0, y)))


def _xlogy_of(name: str, node: str, signature: str, **options: Any) -> Any:
    return elementwise(
        name,
        _times_log,
        "x log y, and 0 where x = 0",
        signature=signature,
        floating=True,
        title="xlogy",
        node=node,
        method=False,
        domain=((-np.inf, np.inf), POSITIVE),
        **options,
    )


_xlogy: Callable[..., Tensor] = _xlogy_of(
    "xlogy", "XlogyBackward0", "input, other", x=_times_log_slope, y=lambda g, x, y: g * x / y
)
_xlogy_number: Callable[..., Tensor] = _xlogy_of(
    "xlogy_number",
    "XlogyBackward2",
    "input, other=0.7",
    x=lambda g, x, y: np.where((x == 0) & (not y > 0), 0.0, either(_xlogy_number, g, y)),
)
_number_xlogy = elementwise(
    "number_xlogy",
    lambda x, number: _times_log(number, x),
    "a log x, for a number a, and 0 where a = 0",
    signature="other, input=0.7",
    x=lambda g, x, number: g * number / x,
    floating=True,
    title="xlogy",
    node="XlogyBackward1",
    method=False,
    domain=POSITIVE,
)


def xlogy(input: Any, other: Any) -> Tensor:
    """``input · log(other)``, and 0 where ``input`` is 0, unless ``other`` is NaN. One of the two may be a number."""
    if isinstance(input, Tensor) and not isinstance(other, Tensor | np.ndarray):
        return _xlogy_number(input, other)
    if isinstance(other, Tensor) and not isinstance(input, Tensor | np.ndarray):
        return _number_xlogy(other, input)
    return _xlogy(input, other)


public(xlogy, in_place=True)
logaddexp = elementwise(
    "logaddexp",
    _on_floats("logaddexp", np.logaddexp),
    "log(eˣ + eʸ)",
    x=lambda g, x, y: g * either(sigmoid, x - y),
    y=lambda g, x, y: g * either(sigmoid, y - x),
    numpy=np.logaddexp,
    node="LogaddexpBackward0",
)
logaddexp2 = elementwise(
    "logaddexp2",
    _on_floats("logaddexp2", np.logaddexp2),
    "log₂(2ˣ + 2ʸ)",
    x=lambda g, x, y: g * either(sigmoid, (x - y) * math.log(2)),
    y=lambda g, x, y: g * either(sigmoid, (y - x) * math.log(2)),
    numpy=np.logaddexp2,
    node="Logaddexp2Backward0",
)

# ---------------------------------------------------------------------------------------------------------- combinations


def _between(x: Any, y: Any, w: Any) -> Any:
    _need_floats("lerp", x)
    _need_equal_dtypes("lerp", input=x, end=y, **({"weight": w} if isinstance(w, np.ndarray) else {}))
    return np.where(np.abs(w) < 0.5, x + w * (y - x), y - (y - x) * (1 - w))


_lerp = elementwise(
    "lerp",
    _between,
    "x + w(y − x)",
    signature="input, end, weight",
    x=lambda g, w: g * (1 - w),
    y=lambda g, w: g * w,
    w=lambda g, x, y: g * (y - x),
    node="LerpBackward1",
    method=False,
)
_lerp_number = elementwise(
    "lerp_number",
    lambda x, y, w: _between(x, y, w),
    "x + w(y − x), for a number w",
    signature="input, end, weight=0.3",
    x=lambda g, w: g * (1 - w),
    y=lambda g, w: g * w,
    title="lerp",
    node="LerpBackward0",
    method=False,
)


def _need_tensors(name: str, **values: Any) -> None:
    for argument, value in values.items():
        if not isinstance(value, Tensor | np.ndarray):
            raise TypeError(
                f"{name}(): {argument} must be a tensor, not {type(value).__name__}; make one with tensor(…)"
            )


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """``input + weight · (end − input)``: from ``input`` at weight 0 to ``end`` at weight 1.

    Args:
        input, end: of shapes that broadcast, and of one dtype.
        weight: a number, or a tensor of the same dtype; one without dimensions may have another.

    Raises:
        RuntimeError: the dtypes differ, or the elements are integers or bools.
        TypeError: ``weight`` is neither a number nor a tensor.
    """
    _need_tensors("lerp", input=input, end=end)
    if not isinstance(weight, Tensor | np.ndarray | int | float | np.generic):
        raise TypeError(f"lerp(): weight must be a number or a tensor, not {type(weight).__name__}")
    if isinstance(weight, Tensor) and not weight.ndim and isinstance(input, Tensor) and isinstance(end, Tensor):
        # a weight without dimensions may have another dtype, which counts as that of any such operand
        dtype = result_dtype([input._array, end._array, weight._array])
        _need_equal_dtypes("lerp", input=input._array, end=end._array)
        input, end, weight = input.to(dtype), end.to(dtype), weight.to(dtype)
    return (_lerp if isinstance(weight, Tensor | np.ndarray) else _lerp_number)(input, end, weight)


def _check_value(name: str, value: Any, *arrays: Any) -> None:
    kind = _kind(*arrays)
    if kind == "b":
        raise RuntimeError(f"{name}() is not defined for bool tensors; convert with int() or float() before")
    if isinstance(value, float) and kind != "f":
        raise RuntimeError(f"{name}(): value must be an integer for integer tensors, and is {value}")


def _product_added(x: Any, y: Any, z: Any, factor: float) -> Any:
    _check_value("addcmul", factor, x, y, z)
    return x + factor * y * z


def _quotient_added(x: Any, y: Any, z: Any, factor: float) -> Any:
    if _kind(y, z) != "f":
        raise RuntimeError("addcdiv(): tensor1 and tensor2 hold integers; use input + value * (tensor1 / tensor2)")
    return x + factor * y / z


_addcmul = elementwise(
    "addcmul",
    _product_added,
    "x + vyz",
    signature="input, tensor1, tensor2, value=1",
    x=SAME,
    y=lambda g, z, factor: g * (z * factor),
    z=lambda g, y, factor: g * (y * factor),
    method=False,
)
_addcdiv = elementwise(
    "addcdiv",
    _quotient_added,
    "x + vy / z",
    signature="input, tensor1, tensor2, value=1",
    x=SAME,
    y=lambda g, z, factor: g * (factor / z),
    z=lambda g, y, z, factor: -g * (factor * y / z / z),
    method=False,
    domain=((-np.inf, np.inf), (-np.inf, np.inf), POSITIVE),
)


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """``input + value · tensor1 · tensor2``; their shapes broadcast.

    Raises:
        RuntimeError: ``value`` is a float and the tensors hold integers, or all hold bools.
    """
    _need_tensors("addcmul", input=input, tensor1=tensor1, tensor2=tensor2)
    return _addcmul(input, tensor1, tensor2, value)


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """``input + value · tensor1 / tensor2``; their shapes broadcast.

    Raises:
        RuntimeError: ``tensor1`` and ``tensor2`` both hold integers.
    """
    _need_tensors("addcdiv", input=input, tensor1=tensor1, tensor2=tensor2)
    return _addcdiv(input, tensor1, tensor2, value)


public(lerp, in_place=True)
public(addcmul, in_place=True)
public(addcdiv, in_place=True)

# ------------------------------------------------------------------------------------------------------ choice, extremes


def _where(condition: Any, x: Any, y: Any) -> Any:
    if getattr(condition, "dtype", None) != np.bool_:
        raise RuntimeError(f"where(): condition must be a bool tensor, not {getattr(condition, 'dtype', condition)}")
    return np.where(condition, x, y)


_chosen = elementwise(
    "where",
    _where,
    "x where the condition holds, else y",
    signature="condition, input, other",
    x=lambda g, condition: np.where(condition, g, 0.0),
    y=lambda g, condition: np.where(condition, 0.0, g),
    condition="condition",
    bools=True,
    method=False,
)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """``input`` where the condition holds, else ``other``; of a condition alone, the indices where it is not 0.

    Args:
        condition: bools; alone, numbers too.
        input: a tensor or a number; all three broadcast.
        other: the same.

    Returns:
        A tensor; of a condition alone, what ``nonzero(condition, as_tuple=True)`` returns.

    Raises:
        RuntimeError: the condition does not hold bools, or the shapes do not broadcast.
    """
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    return _chosen(condition, input, other)


Tensor._numpy_functions[np.where] = where
maximum = elementwise(
    "maximum",
    np.maximum,
    "the greater of x and y",
    bools=True,
    # a tie is shared evenly
    x=lambda g, x, y: np.where(x == y, g / 2, np.where(x < y, 0.0, g)),
    y=lambda g, x, y: np.where(x == y, g / 2, np.where(x > y, 0.0, g)),
    kinks="x = y, where each gets half",
)
minimum = elementwise(
    "minimum",
    np.minimum,
    "the lesser of x and y",
    bools=True,
    x=lambda g, x, y: np.where(x == y, g / 2, np.where(x > y, 0.0, g)),
    y=lambda g, x, y: np.where(x == y, g / 2, np.where(x < y, 0.0, g)),
    kinks="x = y, where each gets half",
)


def _hold(x: Any, min: float | None, max: float | None) -> Any:
    if min is not None:
        x = np.maximum(x, min)
    return x if max is None else np.minimum(x, max)


def _within(x: Any, min: float | None, max: float | None) -> Any:
    inside = x == x  # not at NaN
    if min is not None:
        inside = inside & (x >= min)
    return inside if max is None else inside & (x <= max)


def _clamp_number(name: str, node: str, signature: str) -> Any:
    return elementwise(
        name,
        _hold,
        "x, held between two numbers",
        signature=signature,
        x=lambda g, x, min, max: np.where(_within(x, min, max), g, 0.0),
        title=name.removesuffix("_number"),
        node=node,
        method=False,
        kinks="x at a bound, where the derivative is taken as 1",
    )


_clamp = _clamp_number("clamp_number", "ClampBackward1", "input, min=0.0, max=1.0")
_clamp_min_number = _clamp_number("clamp_min_number", "ClampMinBackward0", "input, min=0.1, max=None")
_clamp_max_number = _clamp_number("clamp_max_number", "ClampMaxBackward0", "input, min=None, max=0.1")
_clamp_tensors = elementwise(
    "clamp",
    lambda x, min, max: np.minimum(np.maximum(x, min), max),
    "x, held between min and max",
    signature="input, min, max",
    x=lambda g, x, min, max: np.where((x >= min) & (x <= max), g, 0.0),
    min=lambda g, x, min, max: np.where((min < max) & (x < min), g, 0.0),
    max=lambda g, x, min, max: np.where((x > max) | (max < min), g, 0.0),
    method=False,
    kinks="x at a bound, where x gets it all",
)


def _clamp_one(name: str, ufunc: np.ufunc, inside: np.ufunc, outside: np.ufunc, formula: str) -> tuple[Any, Any]:
    """One bound, a tensor: as ``clamp`` records it, and as ``clamp_min`` and ``clamp_max`` do."""
    made = (
        elementwise(
            own_name,
            ufunc,
            formula,
            signature=f"input, {name.removeprefix('clamp_')}",
            x=lambda g, x, y: np.where(inside(x, y), g, 0.0),
            y=lambda g, x, y: np.where(outside(x, y), g, 0.0),
            bools=True,
            title=title,
            node=node,
            method=False,
            numpy=(),
            kinks="x at the bound, where x gets it all",
        )
        for own_name, title, node in (
            (f"{name}_alone", "clamp", "ClampBackward0"),
            (name, name, f"Clamp{name.removeprefix('clamp_').capitalize()}Backward1"),
        )
    )
    return tuple(made)  # type: ignore[return-value]


_clamp_above, _clamp_min = _clamp_one("clamp_min", np.maximum, np.greater_equal, np.less, "x, but not below min")
_clamp_below, _clamp_max = _clamp_one("clamp_max", np.minimum, np.less_equal, np.greater, "x, but not above max")


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """``input``, held between ``min`` and ``max``; where they cross, it is ``max``.

    Args:
        input: of any shape.
        min, max: numbers, or tensors that broadcast, or ``None`` for no bound. A tensor gets the gradient where it is the
            result; at a bound it goes to ``input``.

    Raises:
        RuntimeError: both bounds are ``None``.
        TypeError: one bound is a tensor and the other a number, or neither.
    """
    if min is None and max is None:
        raise RuntimeError("clamp(): at least one of min and max must be given")
    bounds = {name: bound for name, bound in (("min", min), ("max", max)) if bound is not None}
    tensors = [isinstance(bound, Tensor | np.ndarray) for bound in bounds.values()]
    if not any(tensors):
        for name, bound in bounds.items():
            _check_bound("clamp", name, bound)
        return _clamp(input, min, max)
    if not builtins.all(tensors):
        raise TypeError("clamp(): min and max must both be tensors or both be numbers; make a tensor with tensor(…)")
    if max is None:
        return _clamp_above(input, min)
    return _clamp_below(input, max) if min is None else _clamp_tensors(input, min, max)


def _check_bound(function: str, name: str, bound: Any) -> None:
    if not isinstance(bound, builtins.int | float | np.generic):
        raise TypeError(f"{function}(): {name} must be a number or a tensor, not {type(bound).__name__}")


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """``input``, but not below ``min``, a number or a tensor. As `clamp`."""
    if isinstance(min, Tensor | np.ndarray):
        return _clamp_min(input, min)
    _check_bound("clamp_min", "min", min)
    return _clamp_min_number(input, min, None)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """``input``, but not above ``max``, a number or a tensor. As `clamp`."""
    if isinstance(max, Tensor | np.ndarray):
        return _clamp_max(input, max)
    _check_bound("clamp_max", "max", max)
    return _clamp_max_number(input, None, max)


clip = clamp
public(clamp, numpy=np.clip, in_place=True)
public(clamp, name="clip", in_place=True)
public(clamp_min, in_place=True)
public(clamp_max, in_place=True)

_nan_to_num = operation(
    "nan_to_num",
    lambda x, nan, posinf, neginf: (
        np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf) if x.dtype.kind == "f" else np.array(x)
    ),
    "x, with numbers in the place of NaN and ±∞",
    signature="input, nan, posinf, neginf",
    x=lambda g, x: g * np.isfinite(x),
    method=False,
    examples=[example(shape, nan=0.0, posinf=None, neginf=None) for shape in ((), (3,), (2, 3), (0,))],
)


def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """``input``, with ``nan`` (0) in the place of NaN, and ``posinf`` and ``neginf`` (the greatest and the least number of the
    dtype) in the place of the infinities. The derivative there is 0."""
    return _nan_to_num(input, 0.0 if nan is None else nan, posinf, neginf)


public(nan_to_num, in_place=True)
public(lambda self, condition, other: where(condition, self, other), name="where")

# ---------------------------------------------------------------------------------------------------------- comparisons

FLAT = Stop(
    "missing",
    "A comparison is a step: flat wherever it is not jumping, so that its derivative is 0 and no gradient is wired.",
    (
        "use a smooth step, sigmoid((x - y) / temperature)",
        "use a straight-through estimator, with a backward of your own",
        OF_A_SAMPLE,
    ),
)


def _comparison(name: str, ufunc: np.ufunc, sign: str) -> Any:
    operator = None if name in ("eq", "ne") else name
    return elementwise(
        name, ufunc, f"x {sign} y", stops={"x": FLAT, "y": FLAT}, operator=operator, differentiable=False
    )


lt = _comparison("lt", np.less, "<")
le = _comparison("le", np.less_equal, "≤")
gt = _comparison("gt", np.greater, ">")
ge = _comparison("ge", np.greater_equal, "≥")
eq = _comparison("eq", np.equal, "=")
ne = _comparison("ne", np.not_equal, "≠")


def _comparable(value: Any) -> bool:
    return isinstance(value, Tensor | np.ndarray | np.generic | int | float)


public(lambda self, other: eq(self, other) if _comparable(other) else NotImplemented, name="__eq__")
public(lambda self, other: ne(self, other) if _comparable(other) else NotImplemented, name="__ne__")


TEST = Stop(
    "missing",
    "Whether a number is finite does not change as it moves, but for jumps, so that no gradient is wired.",
    ("choose by it: where(isfinite(x), x, 0) hands the gradient to the x that are kept",),
)


def _test(name: str, forward: Any, formula: str, numpy: Any) -> Any:
    return elementwise(name, forward, formula, stops={"x": TEST}, differentiable=False, numpy=numpy)


isnan = _test("isnan", np.isnan, "whether x is NaN", np.isnan)
isinf = _test("isinf", np.isinf, "whether x is ∞ or −∞", np.isinf)
isfinite = _test("isfinite", np.isfinite, "whether x is neither NaN nor infinite", np.isfinite)
isposinf = _test("isposinf", lambda x: x == np.inf, "whether x is ∞", np.isposinf)
isneginf = _test("isneginf", lambda x: x == -np.inf, "whether x is −∞", np.isneginf)


def _close(x: Any, y: Any, rtol: float, atol: float, equal_nan: bool) -> Any:
    _need_equal_dtypes("isclose", input=x, other=y)
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if not tolerance >= 0:
            raise RuntimeError(f"isclose(): {name} must not be negative, and is {tolerance}")
    close = x == y
    if equal_nan and x.dtype.kind == "f":
        close = close | ((x != x) & (y != y))
    if x.dtype == bool_:
        x, y = x.astype(np.int64), y.astype(np.int64)
    distance = np.abs(x - y)
    return close | (np.isfinite(distance) & (distance <= atol + np.abs(rtol * y)))


isclose = operation(
    "isclose",
    _close,
    "whether |x − y| ≤ atol + rtol·|y|",
    signature="input, other, rtol=1e-05, atol=1e-08, equal_nan=False",
    inputs=2,
    stops={"x": FLAT, "y": FLAT},
    differentiable=False,
)


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all elements are close: ``|input − other| ≤ atol + rtol · |other|``, or equal, or both NaN if ``equal_nan``.

    Raises:
        RuntimeError: the dtypes differ, the shapes do not broadcast, or a tolerance is negative.
    """
    if isinstance(input, Tensor) and isinstance(other, Tensor):
        _need_equal_dtypes("allclose", input=input._array, other=other._array)
        try:
            np.broadcast_shapes(input.shape, other.shape)
        except ValueError:
            raise RuntimeError(
                f"allclose(): tensors of shape {list(input.shape)} and {list(other.shape)} do not broadcast"
            ) from None
    return builtins.bool(isclose(input, other, rtol, atol, equal_nan)._array.all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether the shapes agree, and all elements are equal.

    Raises:
        TypeError: one of the two is no tensor.
    """
    for name, value in (("input", input), ("other", other)):
        if not isinstance(value, Tensor):
            raise TypeError(f"equal(): {name} must be a tensor, not {type(value).__name__}; make one with tensor(…)")
    return np.array_equal(input._array, other._array)


public(isclose, numpy=np.isclose)
public(allclose, numpy=np.allclose)
public(equal)


def _logic(name: str, ufunc: np.ufunc, formula: str) -> Any:
    stops = {x: FLAT for x in ("x", "y")[: ufunc.nin]}
    return elementwise(name, ufunc, formula, stops=stops, differentiable=False)


logical_and = _logic("logical_and", np.logical_and, "x and y")
logical_or = _logic("logical_or", np.logical_or, "x or y")
logical_xor = _logic("logical_xor", np.logical_xor, "either x or y, not both")
logical_not = _logic("logical_not", np.logical_not, "not x")


def _bitwise(name: str, ufunc: np.ufunc) -> Any:
    def forward(x: Any, y: Any) -> Any:
        if _kind(x, y) == "f":
            raise RuntimeError(f"bitwise_{name}() is defined for bool and integer tensors, not for floating-point ones")
        return ufunc(x, y)

    compute = elementwise(
        f"bitwise_{name}",
        forward,
        f"x {name} y, bit by bit",
        stops={"x": FLAT, "y": FLAT},
        differentiable=False,
        numpy=ufunc,
    )
    public(compute, name=f"__{name}__", in_place=True)
    public(compute, name=f"__r{name}__")
    return compute


bitwise_and = _bitwise("and", np.bitwise_and)
bitwise_or = _bitwise("or", np.bitwise_or)
bitwise_xor = _bitwise("xor", np.bitwise_xor)


def _inverted(x: Any) -> Any:
    if x.dtype.kind == "f":
        raise RuntimeError("bitwise_not() (~) is defined for bool and integer tensors, not for floating-point ones")
    return np.invert(x)


bitwise_not = elementwise(
    "bitwise_not", _inverted, "not x, bit by bit", stops={"x": FLAT}, differentiable=False, numpy=np.invert
)


def _invert(self: Tensor) -> Tensor:
    if self._array.dtype.kind == "f":
        raise TypeError("bitwise_not() (~) is defined for bool and integer tensors, not for floating-point ones")
    return bitwise_not(self)


public(_invert, name="__invert__")

# --------------------------------------------------------------------------------------------------------- other names

absolute, negative, multiply, subtract, divide, true_divide, fix = abs, neg, mul, sub, div, _div, trunc
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh = acos, acosh, asin, asinh, atan, atan2, atanh
for _name in (
    "absolute", "negative", "multiply", "subtract", "divide", "true_divide", "fix", "greater", "greater_equal", "less",
    "less_equal", "not_equal", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh",
):  # fmt: skip
    public(globals()[_name], name=_name, in_place=True)
