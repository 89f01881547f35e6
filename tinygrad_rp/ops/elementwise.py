"""Operations element by element: arithmetic, powers, exponentials, trigonometry, activations, comparisons."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from tinygrad_rp.graph import Stop
from tinygrad_rp.operation import POSITIVE, SAME, either, elementwise, example, operation, public
from tinygrad_rp.tensor import Tensor, bool_, wrap

__all__ = [
    "abs", "absolute", "add", "clamp", "clip", "cos", "div", "divide", "eq", "exp", "expm1", "ge", "greater", "gt", "le",
    "less", "log", "log1p", "logical_and", "logical_not", "logical_or", "lt", "maximum", "minimum", "mul", "multiply", "ne",
    "neg", "negative", "pow", "reciprocal", "relu", "rsub", "sigmoid", "sin", "softplus", "sqrt", "square", "sub", "subtract",
    "tanh", "true_divide", "where",
]  # fmt: skip

# ----------------------------------------------------------------------------------------------------------- arithmetic

_add = elementwise("add", np.add, "x + y", x=SAME, y=SAME, operator="add", bools=True, method=False)


def _minus(x: Any, y: Any) -> Any:
    try:
        check = x.dtype is not y.dtype or x.dtype is bool_
    except AttributeError:
        check = True
    if check:
        for value in (x, y):
            if isinstance(value, bool) or getattr(value, "dtype", None) == np.bool_:
                raise RuntimeError(
                    "subtraction with bools is not defined; use logical_not() or ~ to invert, or convert with int() before"
                )
    return np.subtract(x, y)


_sub = elementwise("sub", _minus, "x − y", x=SAME, y=lambda g: -g, operator="sub", numpy=np.subtract, method=False)
rsub = elementwise("rsub", lambda x, y: _minus(y, x), "y − x", x=lambda g: -g, y=SAME, node="RsubBackward1")
mul = elementwise("mul", np.multiply, "x · y", x=lambda g, y: g * y, y=lambda g, x: g * x, operator="mul", bools=True)
div = elementwise(
    "div",
    np.true_divide,
    "x / y",
    x=lambda g, y: g / y,
    y=lambda g, x, y: -g * (x / (y * y)),
    floating=True,
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


def add(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """``input + alpha · other``."""
    return _add(input, other if alpha == 1 else other * alpha)


def sub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """``input − alpha · other``."""
    return _sub(input, other if alpha == 1 else other * alpha)


def _reflected_div(self: Tensor, other: Any) -> Tensor:
    return mul(reciprocal(self), other)


public(add, in_place=True)
public(sub, in_place=True)
public(rsub, name="__rsub__")
public(div, name="__truediv__", in_place=True)
public(_reflected_div, name="__rtruediv__")
public(lambda self: self, name="__pos__")

# --------------------------------------------------------------------------------------------------------------- powers

_pow_number = elementwise(
    "pow_number",
    lambda x, exponent: x**exponent,
    "xⁿ, for a number n",
    title="pow",
    signature="input, exponent=2",
    # x + x is 2x exactly, and what most people differentiate
    x=lambda g, x, exponent: (
        g * (x + x) if exponent == 2 else np.zeros_like(g) if exponent == 0 else g * (exponent * x ** (exponent - 1))
    ),
    node="PowBackward0",
    method=False,
    domain=POSITIVE,
)


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
    x=lambda g, x, out, base: np.where((x >= 0) & (base == 0), 0.0, g * (out * _log_of(base))),
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
    if kind is float or kind is int or kind is bool:
        if kind is int and exponent < 0 and isinstance(input, Tensor) and input._array.dtype.kind in "iu":
            raise RuntimeError(
                "pow(): integers to negative integer powers are not integers; convert with float() before"
            )
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


def square(input: Tensor) -> Tensor:
    """``input²``."""
    return pow(input, 2)


public(square, numpy=np.square, in_place=True)
# x, wired to y as well by an edge that carries zeros: so that flat functions of y can be differentiated again, to 0
_wired = operation(
    "wired", lambda x, y: x, "x", signature="input, other", inputs=2, x=SAME, y=lambda g: np.zeros_like(g), method=False,
    examples=[example((3,), (3,))],
)  # fmt: skip


def _flat(value: Any, y: Any) -> Any:
    return _wired(value, y) if isinstance(y, Tensor) else value


abs = elementwise(
    "abs",
    np.absolute,
    "|x|",
    x=lambda g, x: g * _flat(_sign(x), x),
    operator="abs",
    kinks="x = 0, where the derivative is taken as 0",
)
absolute = abs


def _sign(x: Any) -> Any:
    """The sign, as a constant; 0 at NaN."""
    if isinstance(x, Tensor):
        return wrap(_sign(x._array))
    return np.where(x > 0, 1, np.where(x < 0, -1, 0)).astype(x.dtype)


# ------------------------------------------------------------------------------------------ exponentials and logarithms

exp = elementwise("exp", np.exp, "eˣ", x=lambda g, out: g * out, floating=True)
expm1 = elementwise("expm1", np.expm1, "eˣ − 1", x=lambda g, out: g * (out + 1), floating=True)
log = elementwise("log", np.log, "log x", x=lambda g, x: g / x, floating=True, domain=POSITIVE)
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
tanh = elementwise("tanh", np.tanh, "tanh x", x=lambda g, out: g * (1 - out * out), floating=True)

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
relu = elementwise(
    "relu",
    lambda x: np.maximum(x, 0),
    "max(x, 0)",
    x=lambda g, out: _flat(np.where(out <= 0, 0.0, g), out),
    kinks="x = 0, where the derivative is taken as 0",
)
_softplus = elementwise(
    "softplus",
    lambda x, beta, threshold: np.where(
        x * beta > threshold, x, (np.maximum(x * beta, 0) + np.log1p(np.exp(-np.abs(x * beta)))) / beta
    ),
    "log(1 + e^βx) / β; x itself where βx exceeds the threshold",
    signature="input, beta=1.0, threshold=20.0",
    x=lambda g, x, beta, threshold: np.where(x * beta > threshold, g, g * either(sigmoid, x * beta)),
    floating=True,
    method=False,
)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta · input)) / beta``, and ``input`` itself where ``beta · input`` exceeds ``threshold``."""
    return _softplus(input, float(beta), float(threshold))


# ------------------------------------------------------------------------------------------------------ choice, extremes


def _where(condition: Any, x: Any, y: Any) -> Any:
    if getattr(condition, "dtype", None) != np.bool_:
        raise RuntimeError(f"where(): condition must be a bool tensor, not {getattr(condition, 'dtype', condition)}")
    return np.where(condition, x, y)


where = elementwise(
    "where",
    _where,
    "x where the condition holds, else y",
    signature="condition, input, other",
    x=lambda g, condition: np.where(condition, g, 0.0),
    y=lambda g, condition: np.where(condition, 0.0, g),
    numpy=np.where,
    condition="condition",
    bools=True,
    method=False,
)
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


_clamp = elementwise(
    "clamp",
    _hold,
    "x, held between min and max",
    signature="input, min=0.0, max=1.0",
    x=lambda g, x, min, max: np.where(_within(x, min, max), g, 0.0),
    node="ClampBackward1",
    method=False,
    kinks="x at a bound, where the derivative is taken as 1",
)


def clamp(input: Tensor, min: float | None = None, max: float | None = None) -> Tensor:
    """``input``, held between ``min`` and ``max``; each is a number, or ``None`` for no bound.

    Raises:
        RuntimeError: both bounds are ``None``.
        TypeError: a bound is no number.
    """
    if min is None and max is None:
        raise RuntimeError("clamp(): at least one of min and max must be given")
    for name, bound in (("min", min), ("max", max)):
        if not isinstance(bound, builtins.int | float | None):
            raise TypeError(
                f"clamp(): {name} must be a number or None, not {type(bound).__name__}; use maximum() and minimum()"
            )
    return _clamp(input, min, max)


clip = clamp
public(clamp, numpy=np.clip, in_place=True)
public(clamp, name="clip")
public(lambda self, condition, other: where(condition, self, other), name="where")

# ---------------------------------------------------------------------------------------------------------- comparisons

FLAT = Stop(
    "missing",
    "a comparison is a step: flat wherever it is not jumping, so that its derivative is 0 and no gradient is wired.",
    (
        "use a smooth step, sigmoid((x - y) / temperature)",
        "use a straight-through estimator, with a backward of your own",
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


def _logic(name: str, ufunc: np.ufunc, formula: str) -> Any:
    stops = {x: FLAT for x in ("x", "y")[: ufunc.nin]}
    return elementwise(name, ufunc, formula, stops=stops, differentiable=False)


logical_and = _logic("logical_and", np.logical_and, "x and y")
logical_or = _logic("logical_or", np.logical_or, "x or y")
logical_not = _logic("logical_not", np.logical_not, "not x")


def _bitwise(name: str, ufunc: np.ufunc) -> Any:
    def apply(self: Tensor, other: Any) -> Tensor:
        for value in (self, other):
            kind = (
                value.dtype.kind if isinstance(value, Tensor | np.ndarray) else "b" if isinstance(value, bool) else "i"
            )
            if kind == "f" or isinstance(value, float):
                raise RuntimeError(f"{name} is defined for bool and integer tensors, not for floating-point ones")
        return compute(self, other)

    compute = elementwise(
        f"bitwise_{name}", ufunc, f"x {name} y, bit by bit", stops={"x": FLAT, "y": FLAT}, differentiable=False
    )
    public(apply, name=f"__{name}__")
    public(apply, name=f"__r{name}__")
    return compute


bitwise_and, bitwise_or, bitwise_xor = (
    _bitwise("and", np.bitwise_and),
    _bitwise("or", np.bitwise_or),
    _bitwise("xor", np.bitwise_xor),
)


def _invert(self: Tensor) -> Tensor:
    if self._array.dtype.kind == "f":
        raise RuntimeError("~ is defined for bool and integer tensors, not for floating-point ones")
    return logical_not(self) if self._array.dtype == np.bool_ else -self - 1


public(_invert, name="__invert__")
greater, less = gt, lt
multiply, subtract, negative, divide, true_divide = mul, sub, neg, div, div
