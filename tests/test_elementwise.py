"""The elementwise operations at kinks, bounds, signed zeros, infinities and NaN, and for every dtype, against PyTorch.

Inputs are grids of numbers at which something special happens, singly and in pairs.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import tinygrad_rp as tg
from tinygrad_rp.operation import OPERATIONS

pytestmark = pytest.mark.filterwarnings("ignore")

INF, NAN = math.inf, math.nan
MODERATE = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.0, -2.0, 2.5, -2.5, 3.7, -3.7, 0.001, 6.0, -6.0, 30.0, -30.0]
SPECIAL = [*MODERATE, 100.0, -100.0, 800.0, -800.0, 1e-30, 1e30, INF, -INF, NAN]

ONE = {
    name: lambda m, x, name=name: getattr(m, name)(x)
    for name in (
        "abs absolute acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh bitwise_not ceil celu cos "
        "cosh erf erfc erfinv exp exp2 expm1 fix floor frac isfinite isinf isnan isneginf isposinf log log10 log1p log2 "
        "logical_not logit nan_to_num neg negative positive reciprocal relu round rsqrt selu sigmoid sign sin sinh sqrt square "
        "tan tanh trunc"
    ).split()
}
ONE |= {
    f"F.{name}": lambda m, x, name=name: getattr(m.nn.functional, name)(x)
    for name in "celu elu gelu hardtanh leaky_relu logsigmoid mish relu6 selu silu softplus softsign tanhshrink".split()
}
ONE |= {
    "gelu tanh": lambda m, x: m.nn.functional.gelu(x, approximate="tanh"),
    "elu 2": lambda m, x: m.nn.functional.elu(x, alpha=2.0),
    "celu 2": lambda m, x: m.nn.functional.celu(x, alpha=2.0),
    "leaky_relu negative": lambda m, x: m.nn.functional.leaky_relu(x, -0.3),
    "hardtanh bounds": lambda m, x: m.nn.functional.hardtanh(x, -2, 1.5),
    "softplus at its threshold": lambda m, x: m.nn.functional.softplus(x, 2, 3),
    "round decimals": lambda m, x: m.round(x, decimals=2),
    "round tens": lambda m, x: x.round(decimals=-1),
    "clamp": lambda m, x: x.clamp(-0.5, 1.5),
    "clamp ints": lambda m, x: m.clamp(x, 0, 1),
    "clamp crossed": lambda m, x: x.clamp(2, 1),
    "clamp nan": lambda m, x: x.clamp(NAN, 1.0),
    "clamp_min": lambda m, x: x.clamp_min(0),
    "clamp_max": lambda m, x: m.clamp_max(x, 0.5),
    "remainder": lambda m, x: x % 2,
    "remainder negative": lambda m, x: x % -1.5,
    "remainder zero": lambda m, x: x % 0,
    "number remainder": lambda m, x: (-2.5 % x).detach(),
    "fmod": lambda m, x: m.fmod(x, -1.5),
    "floor division": lambda m, x: m.div(x, -1.5, rounding_mode="floor"),
    "floor division by zero": lambda m, x: m.div(x, 0.0, rounding_mode="floor"),
    "integer division by zero": lambda m, x: m.div(x, 0, rounding_mode="floor"),
    "trunc division": lambda m, x: x.div(0.3, rounding_mode="trunc"),
    "//": lambda m, x: (x // 2).detach(),
    "number //": lambda m, x: (-2.5 // x).detach(),
    "xlogy number first": lambda m, x: m.xlogy(2, x),
    "xlogy zero first": lambda m, x: m.xlogy(0, x),
    "xlogy number": lambda m, x: x.xlogy(2),
    "xlogy zero": lambda m, x: m.xlogy(x, 0),
    "xlogy negative": lambda m, x: m.xlogy(x, -1.0),
    "logit eps": lambda m, x: x.logit(0.1),
    "nan_to_num values": lambda m, x: m.nan_to_num(x, 1.5, 2.5, -3.0),
    "pow 0": lambda m, x: x**0,
    "pow 1/2": lambda m, x: x**0.5,
    "pow -1/2": lambda m, x: x**-0.5,
    "pow 3/2": lambda m, x: x**1.5,
    "pow 3": lambda m, x: x**3,
    "power of 0": lambda m, x: 0.0**x,
    "power of -2": lambda m, x: (-2.0) ** x,
    "number / x": lambda m, x: 1 / x,
    "x / 0": lambda m, x: x / 0,
    "add alpha": lambda m, x: m.add(x, x, alpha=2.5),
    "sub alpha": lambda m, x: m.sub(x, 1.5, alpha=2),
    "where": lambda m, x: m.where(x > 0, m.log(x), x),
}
TWO = {
    name: lambda m, x, y, name=name: getattr(m, name)(x, y)
    for name in (
        "add arctan2 atan2 bitwise_and bitwise_or bitwise_xor clamp_max clamp_min div eq fmod ge greater_equal hypot isclose le "
        "less_equal logaddexp logaddexp2 logical_and logical_or logical_xor maximum minimum mul not_equal pow remainder sub xlogy"
    ).split()
}
TWO |= {
    "div floor": lambda m, x, y: m.div(x, y, rounding_mode="floor"),
    "div trunc": lambda m, x, y: x.div(y, rounding_mode="trunc"),
    "floor_divide": lambda m, x, y: m.floor_divide(x, y).detach(),
    "lerp": lambda m, x, y: m.lerp(x, y, 0.3),
    "lerp near the end": lambda m, x, y: x.lerp(y, 0.8),
    "lerp tensor": lambda m, x, y: m.lerp(x, y, y),
    "addcmul": lambda m, x, y: m.addcmul(x, x, y, value=2),
    "addcdiv": lambda m, x, y: x.addcdiv(x, y, value=2),
    "clamp min": lambda m, x, y: m.clamp(x, y),
    "clamp max": lambda m, x, y: x.clamp(max=y),
    "clamp both": lambda m, x, y: m.clamp(x, y - 1, y + 1),
    "clamp crossing": lambda m, x, y: m.clamp(x, y, x * 0.5),
    "isclose nan": lambda m, x, y: m.isclose(x, y, rtol=0.5, equal_nan=True),
    "isclose exact": lambda m, x, y: m.isclose(x, y, rtol=0, atol=0),
}
# the difference of two large numbers in the second derivative: what is left are the last digits of either
ROUGH_SECOND = {"hypot", "addcdiv"}
INTEGERS = {
    "int64": [np.array([1, 2, -3, 0, 5, -7]), np.array([2, -1, 4, 3, -2, 2])],
    "int64 over zero": [np.array([1, 2]), np.array([0, 1])],
    "int64 and powers": [np.array([1, 2, -3]), np.array([2, 0, 3])],
    "uint8": [np.array([1, 2, 3], np.uint8), np.array([3, 1, 2], np.uint8)],
    "bool": [np.array([True, False]), np.array([True, True])],
    "bool and int64": [np.array([True, False]), np.array([3, 2])],
    "int64 and float32": [np.array([1, 2]), np.array([0.5, 1.5], np.float32)],
    "float32 and int64": [np.array([1, 2], np.float32), np.array([1, 3])],
    "float32 and float64": [np.array([1, 2], np.float32), np.array([1, 3.0])],
    "float32 and a float64 without dimensions": [np.array([1, 2], np.float32), np.array(1.5)],
    "uint8 and int8": [np.array([1, 2], np.uint8), np.array([1, 3], np.int8)],
}
# we raise where PyTorch computes something that is no power, or wraps around
REFUSED = {("pow", "int64"), ("xlogy negative", "uint8")}


def outcome(m, function, arrays, differentiate):
    """Value, dtype, node and derivatives; or the error."""
    tensors = [m.tensor(a) for a in arrays]
    if differentiate:
        for t in tensors:
            t.requires_grad_()
    try:
        out = function(m, *tensors)
    except Exception as error:
        return error
    node = out.grad_fn.name() if out.grad_fn is not None else None
    first, second = [], []
    if out.requires_grad:
        weights = m.tensor(np.linspace(0.5, 1.5, out.numel()).reshape(out.shape)).to(out.dtype).requires_grad_()
        first = m.autograd.grad(out, tensors, weights, create_graph=True, allow_unused=True)
        again = [g for g in first if g is not None and g.requires_grad]
        if again:
            starts = [m.tensor(np.linspace(1, 2, g.numel()).reshape(g.shape)).to(g.dtype) for g in again]
            second = m.autograd.grad(again, [*tensors, weights], starts, allow_unused=True)
    arrays = [[None if t is None else plain(t) for t in group] for group in (first, second)]
    return plain(out), tuple(out.shape), node, *arrays


def plain(t):
    t = t.detach()
    return t.numpy() if isinstance(t, tg.Tensor) else t.numpy(force=True)


def compare(name, function, arrays, differentiate, tolerance):
    torch = pytest.importorskip("torch")
    ours, theirs = outcome(tg, function, arrays, differentiate), outcome(torch, function, arrays, differentiate)
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        assert isinstance(ours, Exception) and isinstance(theirs, type(ours)), (ours, theirs)
        return
    assert ours[0].dtype == theirs[0].dtype and ours[1:3] == theirs[1:3]
    agree(ours[0], theirs[0], arrays, tolerance, name)
    for order, (a, b) in enumerate(zip(ours[3:], theirs[3:], strict=True), 1):
        assert [x is None for x in a] == [x is None for x in b], f"derivative {order}: unused where PyTorch's is not"
        if order == 2 and name in ROUGH_SECOND:
            continue
        for x, y in zip(a, b, strict=True):
            if y is not None:
                # where PyTorch's second derivative is lost in 0 · ∞, we may have it
                x = np.where(np.isnan(y), y, x) if order == 2 else x
                agree(x, y, arrays, 10 * tolerance, f"derivative {order} of {name}")


def agree(ours, theirs, arrays, tolerance, name):
    assert ours.shape == theirs.shape
    ok = np.isclose(ours, theirs, rtol=tolerance, atol=0.1 * tolerance, equal_nan=True) | (ours == theirs)
    places = np.flatnonzero(~ok)[:5]
    at = [tuple(float(np.broadcast_to(a, ours.shape).flat[i]) for a in arrays) for i in places]
    assert not places.size, f"{name} at {at}: {ours.flat[places]} and PyTorch {theirs.flat[places]}"


@pytest.mark.parametrize("name", ONE)
def test_one_input_at_special_numbers(name):
    compare(name, ONE[name], [np.array(SPECIAL)], True, 1e-13)


@pytest.mark.parametrize("name", TWO)
def test_two_inputs_at_special_numbers(name):
    x, y = zip(*itertools.product(SPECIAL, SPECIAL), strict=True)
    compare(name, TWO[name], [np.array(x), np.array(y)], True, 1e-13)


@pytest.mark.parametrize("name", ONE)
def test_one_input_in_float32(name):
    compare(name, ONE[name], [np.array(MODERATE, np.float32)], True, 5e-6 if "gelu" in name else 2e-6)


@pytest.mark.parametrize("name", TWO)
def test_two_inputs_in_float32(name):
    x, y = zip(*itertools.product(MODERATE[:14], MODERATE[:14]), strict=True)
    compare(name, TWO[name], [np.array(x, np.float32), np.array(y, np.float32)], True, 2e-6)


@pytest.mark.parametrize(
    "name, dtypes",
    [(n, d) for n in ONE for d in ("int64", "uint8", "bool") if (n, d) not in REFUSED and "power" not in n],
)
def test_one_input_of_integers_and_bools(name, dtypes):
    compare(name, ONE[name], INTEGERS[dtypes][:1], False, 2e-6)


@pytest.mark.parametrize("name, dtypes", [(n, d) for n in TWO for d in INTEGERS if (n, d) not in REFUSED])
def test_two_inputs_of_integers_and_of_mixed_dtypes(name, dtypes):
    compare(name, TWO[name], INTEGERS[dtypes], False, 2e-6)


@pytest.mark.parametrize("name", [name for name in TWO if name != "clamp crossing"])
@pytest.mark.parametrize("shapes", [((2, 1), (1, 3)), ((), (3,)), ((), ()), ((0, 2), (2,)), ((2,), (3,))])
def test_two_inputs_broadcast(name, shapes):
    rng = np.random.default_rng(0)
    compare(name, TWO[name], [rng.uniform(0.3, 2.0, shape) for shape in shapes], True, 1e-13)


def test_allclose_and_equal():
    x = tg.tensor([1.0, NAN, INF])
    assert tg.allclose(x, x, equal_nan=True) is True and tg.allclose(x, x) is False
    assert tg.equal(tg.tensor([1, 2]), tg.tensor([1.0, 2.0])) is True
    assert tg.equal(tg.tensor([1, 2]), tg.tensor([1])) is False and tg.equal(x, x) is False
    with pytest.raises(RuntimeError, match="dtypes must be the same, and input is int64, other is float32"):
        tg.allclose(tg.tensor([1]), tg.tensor([1.0]))
    with pytest.raises(RuntimeError, match="rtol must not be negative, and is -1"):
        tg.isclose(x, x, rtol=-1)


@pytest.mark.parametrize("function", [tg.floor, tg.ceil, tg.trunc, tg.round, tg.sign, lambda x: x // 2])
def test_a_flat_function_hands_back_zeros_and_says_why(function):
    x = tg.tensor([0.5, 2.5], requires_grad=True)
    with pytest.warns(tg.StoppedGradientWarning, match="flat wherever it is not jumping"):
        function(x).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "call, kind, message",
    [
        (
            lambda x: tg.div(x, 2, rounding_mode="up"),
            RuntimeError,
            "rounding_mode must be None, 'floor' or 'trunc', and is 'up'",
        ),
        (lambda x: tg.tensor([1]) // 0, RuntimeError, "integers cannot be divided by zero"),
        (lambda x: tg.tensor([1]) % 0, RuntimeError, r"remainder\(\): ZeroDivisionError"),
        (lambda x: tg.add(tg.tensor([1]), 1, alpha=0.5), RuntimeError, "alpha must be an integer for integer tensors"),
        (lambda x: tg.add(x, x, alpha=True), RuntimeError, "a bool alpha is supported for bool results alone"),
        (lambda x: tg.clamp(x, 1, tg.tensor(2.0)), TypeError, "min and max must both be tensors or both be numbers"),
        (lambda x: tg.lerp(x, x.to(tg.float64), 0.5), RuntimeError, "input is float32, end is float64"),
        (lambda x: tg.lerp(x, 1.0, 0.5), TypeError, "end must be a tensor, not float"),
        (lambda x: tg.addcdiv(x, tg.tensor([1]), tg.tensor([1])), RuntimeError, "tensor1 and tensor2 hold integers"),
        (lambda x: tg.nn.functional.gelu(x, approximate="erf"), RuntimeError, "approximate must be 'none' or 'tanh'"),
        (lambda x: tg.nn.functional.hardtanh(x, 1, -1), ValueError, "min_val must not be greater than max_val"),
        (lambda x: tg.nn.functional.silu(tg.tensor([1])), RuntimeError, "silu.. is defined for floating-point tensors"),
        (
            lambda x: tg.hypot(tg.tensor([1]), tg.tensor([1])),
            RuntimeError,
            "hypot.. is defined for floating-point tensors",
        ),
        (lambda x: x & 1, RuntimeError, "defined for bool and integer tensors, not for floating-point ones"),
        (lambda x: ~x, TypeError, "defined for bool and integer tensors, not for floating-point ones"),
    ],
)
def test_errors_say_what_was_given_and_what_is_expected(call, kind, message):
    with pytest.raises(kind, match=message):
        call(tg.tensor([1.0]))


def test_numpy_s_functions_stand_for_ours():
    x = tg.tensor([1.5, -2.5], requires_grad=True)
    assert np.round(x, 1).grad_fn.name() == "RoundBackward1" and np.rint(x).tolist() == [2.0, -2.0]
    assert np.mod(x, 2).tolist() == [1.5, 1.5] and (np.float64(7) % x).dtype == tg.float32
    assert np.arctan2(np.ones(2, np.float32), x).grad_fn.name() == "Atan2Backward0"
    assert np.clip(x, 0, 1).tolist() == [1.0, 0.0] and np.fix(x).tolist() == [1.0, -2.0]
    assert np.isnan(x).tolist() == [False, False] and np.allclose(x, x) is True


@pytest.mark.parametrize("op", [op for op in OPERATIONS.values() if op.broadcasts], ids=lambda op: op.name)
def test_the_output_of_an_elementwise_operation_has_memory_of_its_own(op):
    rng = np.random.default_rng(0)
    computed = 0
    for shape, dtype in itertools.product([(), (3,)], [np.float64, np.float32, np.int64, np.bool_]):
        arrays = [np.array(rng.uniform(0.1, 0.9, shape) + (op.name == "acosh")).astype(dtype) for _ in op.inputs]
        if op.name == "where":
            arrays[0] = np.ones(shape, np.bool_)
        try:
            out = op.function(*map(tg.from_numpy, arrays))
        except RuntimeError:
            continue  # not defined for this dtype
        computed += 1
        assert out.shape == shape and not any(np.shares_memory(out.numpy(), a) for a in arrays)
    assert computed


@pytest.mark.parametrize(
    "call",
    [
        lambda u: u + 300,
        lambda u: u * -1,
        lambda u: 300 - u,
        lambda u: u // 300,
        lambda u: u & 256,
        lambda u: u.clamp(0, 300),
        lambda u: u.add_(300),
        lambda u: u > -1,
        lambda u: tg.where(u > 1, u, 300),
        lambda u: u.int() + 2**31,
        lambda u: u.long() * 2**63,
        lambda u: u.fill_(300),
        lambda u: u.masked_fill(u > 1, 300),
        lambda u: u.index_fill(0, tg.tensor([0]), 300),
        lambda u: u.scatter(0, tg.tensor([0]), -256),
        lambda u: u.__setitem__(0, 300),
        lambda u: tg.full((2,), 300, dtype=tg.uint8),
        lambda u: tg.full_like(u, 300),
        lambda u: tg.tensor([[1, 300]], dtype=tg.uint8),
    ],
)
def test_an_integer_that_does_not_fit_the_dtype_is_refused_rather_than_wrapped(call):
    u = tg.tensor([1, 2], dtype=tg.uint8)
    with pytest.raises(RuntimeError, match="without overflow"):
        call(u)
    assert u.tolist() == [1, 2]


def test_integers_that_fit_or_meet_floating_point_numbers_are_as_in_pytorch():
    u = tg.tensor([1, 2], dtype=tg.uint8)
    assert (u - 1).tolist() == [0, 1] and (u + 255).tolist() == [0, 1] and (u + 300.0).tolist() == [301.0, 302.0]
    assert (u / 300).dtype == tg.float32 and (u.bool() + 300).tolist() == [301, 301]
    assert u.masked_fill(u > 1, -1).tolist() == tg.tensor([1, -1], dtype=tg.uint8).tolist() == [1, 255]
    with pytest.raises(OverflowError):
        tg.ones(2) + 10**400
