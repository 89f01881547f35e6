"""Arrays of any size and layout: what a large one gives is what its pieces give, and what PyTorch gives.

A large array may be computed by other means than a small one (compiled loops, several cores, memory used again). Nothing of that
may show. Each case is a call on arrays of more than 60,000 elements; its value and gradients are compared with the same call on
a hundred elements at a time (from both ends and from the middle), and with PyTorch's where that is installed.
TINYGRAD_RP_UNDER_TEST=torch runs the file on PyTorch itself.

Tolerances, in float32 (eps = 1.2e-7) and float64 (2.2e-16). A value: 6 eps relative, of which 2 units in the last place (at most
2 eps) are allowed to each side, and the rest to formulas of two or three steps. A gradient: 30 eps relative, and 10 eps
absolute for derivatives such as 1 − tanh² that cancel. A sum: 16 eps of the sum of absolute values; pairwise or blocked
addition stays below log2(n) roundings, and adding one by one in float32 does not.
"""

import contextlib
import functools
import gc
import importlib
import itertools
import math
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
Normal = importlib.import_module(UNDER_TEST + ".distributions").Normal
F = torch.nn.functional
ours = pytest.mark.skipif(UNDER_TEST == "torch", reason="PyTorch has nothing of the kind")
try:
    ref = importlib.import_module("torch")
except ImportError:
    ref = None

ROOT = Path(__file__).resolve().parent.parent
N = 70_000
DTYPES = ("float32", "float64")


def eps(dtype):
    return float(np.finfo(dtype).eps)


# ---------------------------------------------------------------- inputs


def specials(dtype):
    """Where formulas break: NaN, ±inf, ±0, subnormals, the ends of the range, and what overflows in exp, cosh or a square."""
    info = np.finfo(dtype)
    values = [
        math.nan,
        math.inf,
        0.0,
        info.smallest_subnormal,
        1000 * info.smallest_subnormal,
        info.tiny,
        info.eps,
        0.5,
        1.0,
    ]
    values += [2.0, 20.0, 30.0, 88.0, 95.0, 104.5, 700.0, 720.0, 746.0, 1e6, 3e18, info.max]
    return np.array([*values, *(-v for v in values[1:])]).astype(dtype)


def sprinkled(values, which):
    """With special values in all parts: at both ends, in the middle, and at distances that no chunk or vector divides."""
    values = np.array(values)
    found = specials(values.dtype)
    if which == 0:
        found = np.tile(found, len(found))  # with the other way round below: every pair
    elif which == 1:
        found = np.repeat(found, len(found))
    else:
        found = np.roll(np.tile(found, len(found)), 7)
    size = values.size
    # every other one at the ends, so that an ordinary number is the first and the last
    places = np.unique(
        np.concatenate([np.arange(1, 90, 2), size - np.arange(2, 90, 2), size // 2 + np.arange(len(found) - 99)])
    )
    values[places] = np.resize(found, len(places))
    values[1009::1013] = np.resize(found, len(values[1009::1013]))
    return values


def uniform(low, high, size, dtype, seed=0):
    return np.random.default_rng(seed).uniform(low, high, size).astype(dtype)


# ---------------------------------------------------------------- running and comparing

compiled = functools.cache(lambda call: compile(call, call, "eval"))


def run(module, call, inputs):
    return eval(compiled(call), {"m": module, "F": module.nn.functional, "math": math, **inputs})


def leaves_of(module, arrays):
    return {name: module.tensor(a, requires_grad=a.dtype.kind == "f") for name, a in arrays.items()}


def value_and_gradients(module, call, arrays, weights=None):
    """The value of a call, and the gradients of its sum with these weights, as arrays."""
    leaves = leaves_of(module, arrays)
    out = run(module, call, leaves)
    wanted = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    if not out.requires_grad:
        return out.numpy(), {}
    if weights is None:
        weights = np.random.default_rng(9).uniform(0.5, 1.5, tuple(out.shape))
    cotangent = module.tensor(weights.astype(out.detach().numpy().dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # gradients that stop are not the matter here
        found = module.autograd.grad(out, list(wanted.values()), cotangent, allow_unused=True)
    zeros = {name: np.zeros_like(arrays[name]) for name in wanted}
    grads = {name: zeros[name] if g is None else g.numpy() for name, g in zip(wanted, found, strict=True)}
    return out.detach().numpy(), grads


def assert_close(mine, theirs, rtol, atol, what):
    assert mine.shape == theirs.shape, f"{what}: shapes {mine.shape} and {theirs.shape}"
    assert mine.dtype == theirs.dtype, f"{what}: dtypes {mine.dtype} and {theirs.dtype}"
    if mine.dtype.kind == "f":
        np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=atol, err_msg=what)
    else:
        np.testing.assert_array_equal(mine, theirs, err_msg=what)


# ---------------------------------------------------------------- every elementwise operation

# A call, and: where its inputs lie (low, high); how many times the usual tolerance it is allowed, with the reason; whether
# special values are put among the inputs.
ELEMENTWISE = {}


def case(call, low=-3.0, high=3.0, times=1.0, special=True, absolute=0.0):
    assert call not in ELEMENTWISE
    ELEMENTWISE[call] = (low, high, times, special, absolute)


for call in (
    "-x", "abs(x)", "m.exp(x)", "m.expm1(x)", "m.exp2(x)", "m.sin(x)", "m.cos(x)", "m.tan(x)", "m.tanh(x)", "m.sinh(x)",
    "m.cosh(x)",
    "m.sigmoid(x)", "m.atan(x)", "m.asinh(x)", "m.erf(x)", "m.relu(x)", "F.softplus(x)", "F.softplus(x, 2.0, 3.0)", "F.silu(x)",
    "F.elu(x)", "F.elu(x, 0.7)", "F.selu(x)", "F.leaky_relu(x, 0.2)", "F.logsigmoid(x)", "F.hardtanh(x)", "F.relu6(x)",
    "F.softsign(x)", "m.square(x)", "x ** 2", "x ** 3", "x ** -1", "2.5 ** x", "m.sign(x)", "m.floor(x)", "m.ceil(x)",
    "m.trunc(x)",
    "m.round(x)", "m.frac(x)", "m.clamp(x, -0.7, 0.9)", "m.clamp(x, min=0.1)", "x.clamp(max=0.1)",
    "m.nan_to_num(x, 7.0)", "m.isnan(x)",
    "m.isinf(x)", "m.isfinite(x)", "m.reciprocal(x)", "x + 1.5", "1.5 - x", "x * 2.5", "x / 2.5", "2.5 / x", "x > 0.5", "x * x",
):  # fmt: skip
    case(call)
for call in (
    "m.log(x)",
    "m.log1p(x)",
    "m.log2(x)",
    "m.log10(x)",
    "m.sqrt(x)",
    "m.rsqrt(x)",
    "x ** 0.5",
    "x ** -2.5",
    "x ** 1.75",
):
    case(call, 0.01, 5.0)
case("m.asin(x)", -1, 1)
case("m.acos(x)", -1, 1)
case("m.atanh(x)", -0.999, 0.999)
case("m.acosh(x)", 1, 5)
case("m.logit(x)", 0.001, 0.999, absolute=2.0)  # near ½ a difference of logarithms
case("m.erfinv(x)", -0.999, 0.999, times=4)  # the float32 of PyTorch has 8 wrong units at the ends
case("m.erfc(x)", times=4)  # in the tail e^(−x²), which multiplies the error of x²
case("m.lgamma(x)", 0.1, 20, absolute=8.0, special=False)  # zeros at 1 and 2
case("m.digamma(x)", 0.1, 20, absolute=8.0, special=False)  # a zero at 1.46
case("F.gelu(x)", absolute=8.0)  # 1 + erf(x/√2) cancels on the left
case("F.gelu(x, approximate='tanh')", absolute=2.0)
case("F.mish(x)", absolute=2.0)
case("F.tanhshrink(x)", absolute=2.0)  # x − tanh x cancels at 0

for call in (
    "x + y", "x - y", "x * y", "x / y", "m.maximum(x, y)", "m.minimum(x, y)", "m.atan2(x, y)", "m.hypot(x, y)",
    "m.add(x, y, alpha=2)", "m.where(x > y, x, y)", "m.where(m.isnan(x), y, x)", "x == y", "x <= y",
    "F.mse_loss(x, y, reduction='none')", "F.l1_loss(x, y, reduction='none')", "F.smooth_l1_loss(x, y, reduction='none')",
    "F.huber_loss(x, y, reduction='none', delta=0.8)", "m.div(x, y, rounding_mode='trunc')",
):  # fmt: skip
    case(call)
case("m.lerp(x, y, 0.25)", absolute=4.0)
case("m.logaddexp(x, y)", absolute=2.0)  # 0 where e^x + e^y = 1
case("m.logaddexp2(x, y)", absolute=2.0)
case("x ** y", 0.1, 4)
case("m.xlogy(x, y)", 0.1, 4, absolute=2.0)
case("m.fmod(x, y)", 0.3, 9)
case("m.remainder(x, y)", 0.3, 9)
case("m.div(x, y, rounding_mode='floor')", 0.3, 9)
case("F.binary_cross_entropy_with_logits(x, y.sigmoid(), reduction='none')", absolute=8.0)
case(
    "F.binary_cross_entropy_with_logits(x, y * 0.1 + 0.5, reduction='none', pos_weight=m.exp(y).detach())",
    special=False,
    absolute=8.0,
)
case("F.binary_cross_entropy(x, y, reduction='none')", 0.01, 0.99, special=False, absolute=2.0)
case("F.kl_div(x, y, reduction='none')", 0.1, 2, special=False, absolute=8.0)
case("F.poisson_nll_loss(x, y, reduction='none')", 0.1, 2, special=False, absolute=8.0)
case("F.gaussian_nll_loss(x, y, m.exp(x * y), reduction='none')", 0.1, 2, special=False, absolute=8.0)
for call in (
    "m.addcmul(x, y, z, value=0.5)",
    "m.lerp(x, y, z)",
    "x * y + z",
    "m.where(x > y, z, x)",
    "m.clamp(x, y, z)",
):
    case(call, absolute=4.0)
case("m.addcdiv(x, y, z, value=0.5)", 0.5, 3, absolute=4.0)
case("-((x - y) ** 2) / (2 * z ** 2) - m.log(z) - 0.5 * math.log(2 * math.pi)", 0.5, 3, special=False, absolute=16.0)


def inputs_of(call, dtype, size=N):
    low, high, _, special, _ = ELEMENTWISE[call]
    names = [name for name in "xyz" if name in compiled(call).co_names]
    arrays = {name: uniform(low, high, size, dtype, seed) for seed, name in enumerate(names)}
    if special:
        arrays = {name: sprinkled(a, which) for which, (name, a) in enumerate(arrays.items())}
    return arrays


# At the rim of the range PyTorch's vectorised code differs from its own scalar code (gelu(inf) is NaN, fmod by a subnormal
# is NaN,
# the gradients of hardtanh and elu at NaN are one thing or another), or a formula in another order overflows elsewhere.
# Only the pieces are compared there.
RIM = {
    "F.elu(x)", "F.elu(x, 0.7)", "F.selu(x)",
    "F.gelu(x)", "F.hardtanh(x)", "F.relu6(x)", "m.logit(x)", "m.fmod(x, y)", "m.remainder(x, y)", "m.atan2(x, y)",
    "m.hypot(x, y)",
    "m.add(x, y, alpha=2)", "m.lerp(x, y, 0.25)", "m.lerp(x, y, z)", "m.addcmul(x, y, z, value=0.5)",
    "m.addcdiv(x, y, z, value=0.5)", "F.binary_cross_entropy_with_logits(x, y.sigmoid(), reduction='none')",
}  # fmt: skip


def compared_with_pytorch(call, arrays):
    """Which elements are."""
    if call not in RIM:
        return np.ones(N, bool)
    with np.errstate(invalid="ignore"):
        return np.logical_and.reduce([(np.abs(a) > 1e-9) & (np.abs(a) < 90) for a in arrays.values()])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("call", ELEMENTWISE)
def test_a_large_array_gives_what_its_pieces_give_and_what_pytorch_gives(call, dtype):
    _, _, times, _, absolute = ELEMENTWISE[call]
    arrays = inputs_of(call, dtype)
    weights = uniform(0.5, 1.5, N, "float64", 9)
    value, grads = value_and_gradients(torch, call, arrays, weights)
    assert value.shape == (N,)
    unit = times * eps(dtype)
    usual = compared_with_pytorch(call, arrays)

    def compare(part, expected, what, least, trigamma=1.0):
        assert_close(value[part], expected[0], 6 * unit, absolute * unit + least, f"value, {what}")
        for name, g in grads.items():
            rtol, atol = 30 * unit * trigamma, (10 + 3 * absolute) * unit * trigamma
            assert_close(g[part], expected[1][name], rtol, atol, f"gradient of {name}, {what}")

    for start in (0, 37, N // 2 - 10, N - 100):
        part = np.arange(start, start + 100)
        if UNDER_TEST == "torch":
            part = part[usual[part]]
        pieces = value_and_gradients(torch, call, {n: a[part] for n, a in arrays.items()}, weights[part])
        compare(part, pieces, f"pieces at {start}", float(2 * np.finfo(dtype).smallest_subnormal))
        if value.dtype.kind == "f" and UNDER_TEST != "torch":  # PyTorch's log1p(−0) has two signs as well
            zero = pieces[0] == 0
            signs = np.signbit(value[part][zero]), np.signbit(pieces[0][zero])
            np.testing.assert_array_equal(*signs, err_msg=f"sign of zero, pieces at {start}")
    if ref is not None and UNDER_TEST != "torch":
        theirs = value_and_gradients(ref, call, arrays, weights)
        theirs = theirs[0][usual], {name: g[usual] for name, g in theirs[1].items()}
        # a subnormal result is 0 in its vectorised exp and the like; its trigamma has ten digits
        trigamma = 1e6 if call == "m.digamma(x)" and dtype == "float64" else 1.0
        compare(usual, theirs, "PyTorch", float(np.finfo(dtype).tiny), trigamma)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize(
    "call",
    ["x + y", "x * y", "x > y", "m.where(x == y, x, y)", "m.maximum(x, y)", "x / 2", "x * 0.5", "m.exp(x)",
     "m.sigmoid(x)", "x & y",
     "m.logical_not(x)", "x.sum()", "x.to(m.float32).mean()", "m.clamp(x, 1, 3)", "x // 3", "-x", "x ** 2"],
)  # fmt: skip
def test_large_arrays_of_integers_and_bools(call, dtype):
    if dtype == "bool" and call in ("m.clamp(x, 1, 3)", "x // 3", "-x", "x ** 2"):
        pytest.skip("not defined for bools")
    rng = np.random.default_rng(0)
    arrays = {name: rng.integers(0, 2 if dtype == "bool" else 100, N).astype(dtype) for name in "xy"}
    value, _ = value_and_gradients(torch, call, arrays)
    if value.shape:
        piece, _ = value_and_gradients(torch, call, {n: a[-100:] for n, a in arrays.items()})
        assert_close(value[-100:], piece, 6 * eps("float32"), 0, "pieces")
    else:
        wanted = arrays["x"].astype("float64")
        assert value == pytest.approx(wanted.mean() if "mean" in call else wanted.sum(), rel=1e-6)
    if ref is not None:
        theirs, _ = value_and_gradients(ref, call, arrays)
        assert_close(value, theirs, 6 * eps("float32"), 0, "PyTorch")


# ---------------------------------------------------------------- layouts and broadcasting

# The shapes of two leaves, and how they are looked at before the operation
LAYOUTS = {
    "matrices": ((257, 1031), (257, 1031), "x", "y"),
    "300,001 in a row": ((300_001,), (300_001,), "x", "y"),
    "both transposed": ((257, 1031), (257, 1031), "x.t()", "y.t()"),
    "one transposed": ((257, 1031), (1031, 257), "x.t()", "y"),
    "every second": ((140_001,), (70_001,), "x[::2]", "y"),
    "every second and every third": ((140_001,), (210_002,), "x[1::2]", "y[2::3]"),
    "every second column": ((300, 600), (300, 300), "x[:, ::2]", "y"),
    "reversed": ((70_000,), (70_000,), "x.flip(0)", "y"),
    "permuted": ((20, 50, 70), (70, 20, 50), "x.permute(2, 0, 1)", "y"),
    "a part with an offset": ((70_100,), (70_077,), "x[13:-10]", "y"),
    "columns in the middle": ((400, 300), (400, 200), "x[:, 50:250]", "y"),
    "a row": ((257, 1031), (1031,), "x", "y"),
    "a column": ((257, 1031), (257, 1), "x", "y"),
    "a column and a row": ((300, 1), (1, 301), "x", "y"),
    "a row first": ((301,), (300, 301), "x", "y"),
    "three and five times 40,000": ((3, 1, 40_000), (1, 5, 1), "x", "y"),
    "a plane between": ((30, 1, 70), (30, 50, 70), "x", "y"),
    "expanded": ((1, 300), (300, 300), "x.expand(300, 300)", "y"),
    "expanded and transposed": ((300,), (300, 400), "x.expand(400, 300).t()", "y"),
    "of no dimension": ((), (70_000,), "x", "y"),
    "with one of no dimension": ((300, 301), (), "x", "y"),
    "of one element": ((1, 1), (300, 301), "x", "y"),
    "empty beside 70,000": ((0, 70_000), (70_000,), "x", "y"),
    "of one row": ((1, 70_000), (70_000, ), "x", "y"),
    "with itself": ((257, 1031), (), "x", "x"),
    "with itself transposed": ((300, 300), (), "x", "x.t()"),
}  # fmt: skip
OF_TWO = {
    "{x} / {y}": lambda x, y: x / y,
    "m.atan2({x}, {y})": np.arctan2,
    "m.where({x} > {y}, {x}.exp(), {y})": lambda x, y: np.where(x > y, np.exp(x), y),
}
MIXED = ("float32 float32", "float64 float64", "float32 float64", "float64 float32", "float32 int64")


class Looked(np.ndarray):
    """An array with the names that tensors have for looking at it otherwise."""

    def t(self):
        return self.T

    def flip(self, dim):
        return np.flip(self, dim)

    def permute(self, *dims):
        return self.transpose(dims)

    def expand(self, *shape):
        return np.broadcast_to(self, shape, subok=True)


def sum_of_absolute_terms(call, looked, shape):
    """The largest sum of absolute values that a gradient of either operand is made of, from PyTorch's in float64."""
    whole = {name: np.broadcast_to(a, shape).copy() for name, a in zip("xy", looked, strict=True)}
    _, grads = value_and_gradients(ref, call.format(x="x", y="y"), whole)
    largest = 0.0
    for a, g in zip(looked, grads.values(), strict=True):
        lead = g.ndim - a.ndim
        over = (*range(lead), *(lead + d for d, n in enumerate(a.shape) if n == 1))
        largest += np.abs(g).sum(axis=over).max(initial=0)
    return float(largest)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("number, call", list(enumerate(OF_TWO)), ids=list(OF_TWO))
def test_a_layout_changes_nothing(number, call, layout):
    *shapes, x, y = LAYOUTS[layout]
    # all layouts and all operations meet all pairs of dtypes, without trying every combination
    dtypes = MIXED[(number + list(LAYOUTS).index(layout)) % len(MIXED)]
    rng = np.random.default_rng(1)
    arrays = {
        name: np.array(rng.choice([-1.0, 1.0], shape) * rng.uniform(1, 2.9, shape)).astype(dtype)
        for name, shape, dtype in zip("xy", shapes, dtypes.split(), strict=True)
        if name in x + y
    }
    written = call.format(x=x, y=y)
    value, grads = value_and_gradients(torch, written, arrays)
    looks = {name: a.astype("float64").view(Looked) for name, a in arrays.items()}
    looked = [np.asarray(eval(v, dict(looks))) for v in (x, y)]
    dimensional = [a for a in arrays.values() if a.ndim] if len({a.ndim == 0 for a in arrays.values()}) > 1 else []
    floats = [a.dtype for a in dimensional or arrays.values() if a.dtype.kind == "f"]
    dtype = max(floats or [np.dtype("float32")], key=lambda d: d.itemsize)
    assert value.dtype == dtype
    # a rounded difference or product goes through exp
    np.testing.assert_allclose(value, OF_TWO[call](*looked), rtol=12 * eps("float32" if "32" in dtypes else dtype))
    if ref is None:
        return
    exact = {n: a.astype("float64") if a.dtype.kind == "f" else a for n, a in arrays.items()}
    unit = eps("float32" if "float32" in dtypes else dtype)
    bound = sum_of_absolute_terms(call, looked, value.shape)
    for name, g in value_and_gradients(ref, written, exact)[1].items():
        assert grads[name].dtype == arrays[name].dtype
        np.testing.assert_allclose(grads[name], g, rtol=30 * unit, atol=16 * unit * bound, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("call", ["x * y", "m.exp(x)", "m.sqrt(x)", "x / y", "m.maximum(x, y)", "m.tanh(x)", "x ** 3"])
def test_a_cotangent_that_is_one_number_everywhere_or_transposed_is_taken_as_any_other(call, dtype):
    arrays = {name: uniform(0.5, 2, (257, 1031), dtype, seed) for seed, name in enumerate("xy")}
    arrays = {name: a for name, a in arrays.items() if name in compiled(call).co_names}
    leaves = leaves_of(torch, arrays)
    values = list(leaves.values())
    run(torch, call, leaves).sum().backward()
    ones = value_and_gradients(torch, call, arrays, np.ones((257, 1031)))[1]
    weights = uniform(0.5, 1.5, (1031, 257), dtype)
    turned = torch.autograd.grad(run(torch, call, leaves), values, torch.tensor(weights).t())
    straight = value_and_gradients(torch, call, arrays, weights.T.copy())[1]
    column = torch.tensor(weights[0]).reshape(257, 1).expand(257, 1031)
    repeated = torch.autograd.grad(run(torch, call, leaves), values, column)
    copied = value_and_gradients(torch, call, arrays, np.repeat(weights[0][:, None], 1031, 1))[1]
    for name, leaf, t, r in zip(leaves, values, turned, repeated, strict=True):
        np.testing.assert_allclose(leaf.grad.numpy(), ones[name], rtol=4 * eps(dtype))
        np.testing.assert_allclose(t.numpy(), straight[name], rtol=4 * eps(dtype))
        np.testing.assert_allclose(r.numpy(), copied[name], rtol=4 * eps(dtype))


# ---------------------------------------------------------------- second derivatives

TWICE = (
    "x * y", "x / y", "m.exp(x)", "m.tanh(x)", "m.sigmoid(x * y)", "m.log(x) * y", "x ** y", "m.sqrt(x) + y", "F.softplus(x)",
    "m.where(x > y, x * x * y, y ** 3)", "m.sin(x) * m.cos(y)", "m.softmax(x.reshape(7000, 10), 1)",
    "m.logsumexp(x.reshape(350, 200), 0)", "F.binary_cross_entropy_with_logits(x, y * 0.3, reduction='none')",
)  # fmt: skip


def second_derivatives(module, call, arrays):
    leaves = leaves_of(module, arrays)
    wanted = list(leaves.values())
    out = run(module, call, leaves)
    weights = np.random.default_rng(3).uniform(0.5, 1.5, tuple(out.shape)).astype(out.detach().numpy().dtype)
    first = module.autograd.grad(out, wanted, module.tensor(weights), create_graph=True)
    total = sum(
        (g * module.tensor(np.random.default_rng(4).uniform(0, 2, g.numel()).astype(weights.dtype))).sum()
        for g in first
    )
    second = module.autograd.grad(total, wanted, allow_unused=True)
    return [g.detach().numpy() for g in first] + [
        0 * a if g is None else g.numpy() for g, a in zip(second, arrays.values(), strict=True)
    ]


@pytest.mark.skipif(ref is None, reason="PyTorch gives the values")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("call", TWICE)
def test_second_derivatives_of_large_arrays(call, dtype):
    arrays = {
        name: uniform(0.5, 2, N, dtype, seed) for seed, name in enumerate("xy") if name in compiled(call).co_names
    }
    exact = second_derivatives(ref, call, {name: a.astype("float64") for name, a in arrays.items()})
    for number, (mine, g) in enumerate(zip(second_derivatives(torch, call, arrays), exact, strict=True)):
        scale = np.abs(g).max()
        np.testing.assert_allclose(mine, g, rtol=60 * eps(dtype), atol=60 * eps(dtype) * scale, err_msg=str(number))


# ---------------------------------------------------------------- reductions

# A call, and the sum of absolute values that its rounding is measured by, of the float64 values; None where that is the result
REDUCTIONS = {
    "x.sum({dim})": lambda x, d: np.abs(x).sum(d),
    "x.mean({dim})": lambda x, d: np.abs(x).mean(d),
    "x.var({dim})": lambda x, d: 6 * x.var(d).max(),  # sums of two roundings each, and a mean before
    "x.std({dim}, correction=0)": lambda x, d: 6 * x.std(d).max(),
    "m.logsumexp(x, {dim})": None,
    "m.amax(x, {dim})": None,
    "(x * x).sum({dim}, keepdim=True)": None,
    "m.linalg.vector_norm(x, dim={dim})": lambda x, d: 2 * np.linalg.norm(np.atleast_1d(x).reshape(-1)),
}
OF_ONE_DIM = {
    "m.softmax(x, {dim})": None,
    "m.log_softmax(x, {dim})": None,
    "x.softmax({dim}).log()": None,
    "m.softmax(x, {dim}) * x": None,
    "x.max({dim}).values": None,
    "x.min({dim})[0]": None,
    "m.cumsum(x, {dim})": lambda x, d: np.abs(x).sum(d).max(),
    "x - m.logsumexp(x, {dim}, keepdim=True)": None,
}
PLACES = [
    ((70_000,), 0), ((300_001,), -1), ((257, 1031), 1), ((257, 1031), 0), ((257, 1031), (0, 1)), ((3, 40_000), 1), ((3,
    40_000), 0),
    ((40_000, 3), -1), ((40_000, 3), 0), ((70_000, 1), 1), ((1, 70_000), 0), ((30, 50, 70), 1), ((30, 50, 70), (0, 2)),
    ((30, 50, 70), (1, 2)),
]  # fmt: skip


def reductions():
    for calls, places in ((REDUCTIONS, PLACES), (OF_ONE_DIM, [(s, d) for s, d in PLACES if not isinstance(d, tuple)])):
        for number, (call, terms) in enumerate(calls.items()):
            for place, (shape, dim) in enumerate(places):
                if shape.count(1) and "x.var" in call:
                    continue
                dtype = "float64" if (number + place) % 4 == 3 else "float32"
                yield pytest.param(
                    call.format(dim=dim), terms, shape, dim, dtype, id=f"{call.format(dim=dim)} {shape} {dtype}"
                )


@pytest.mark.skipif(ref is None, reason="PyTorch gives the values")
@pytest.mark.parametrize("call, terms, shape, dim, dtype", list(reductions()))
def test_reductions_of_large_arrays_are_those_of_float64(call, terms, shape, dim, dtype):
    x = np.random.default_rng(5).normal(0.5, 2, shape).astype(dtype)
    exact, gradients = value_and_gradients(ref, call, {"x": x.astype("float64")})
    for look, array in (("x", x), ("x.t()", np.ascontiguousarray(x.T))):
        if look != "x" and (x.ndim != 2 or shape[0] > 1000):
            continue
        value, grads = value_and_gradients(torch, re.sub(r"\bx\b", look, call), {"x": array})
        assert value.shape == exact.shape and value.dtype == dtype
        scale = terms(x.astype("float64"), dim) if terms else max(1.0, np.abs(exact).max())
        excess = np.abs(value - exact) - 16 * eps(dtype) * scale
        assert excess.max() <= 0, f"{look}: off by {np.abs(value - exact).max()}"
        g = grads["x"] if look == "x" else grads["x"].T
        largest = np.abs(gradients["x"]).max()
        np.testing.assert_allclose(
            g, gradients["x"], rtol=64 * eps(dtype), atol=64 * eps(dtype) * largest, err_msg=look
        )


EDGES = ("1e4 in each row", "-inf among them", "a row of -inf", "inf among them", "NaN among them", "all the same")


@pytest.mark.skipif(ref is None, reason="PyTorch gives the values")
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize(
    "call", ["m.softmax(x, {})", "m.log_softmax(x, {})", "m.logsumexp(x, {})", "m.amax(x, {})", "x.sum({})"]
)
@pytest.mark.parametrize("edge", EDGES)
def test_extreme_rows_are_reduced_as_in_pytorch(edge, call, dim):
    x = np.random.default_rng(5).normal(0, 2, (300, 257)).astype("float32")
    if edge == EDGES[0]:
        x[:, 5] = 1e4
        x[7] = -1e4
    elif edge == EDGES[5]:
        x[:] = 0.5
    else:
        value = {"-": -math.inf, "i": math.inf, "N": math.nan, "a": -math.inf}[edge[0]]
        x[11, :: 1 if edge == EDGES[2] else 9] = value
        x[:: 1 if edge == EDGES[2] else 9, 13] = value
    call = call.format(dim)
    value, grads = value_and_gradients(torch, call, {"x": x})
    theirs, wanted = value_and_gradients(ref, call, {"x": x})
    np.testing.assert_allclose(value, theirs, rtol=4e-6, atol=1e-4 if "sum(" in call and "log" not in call else 4e-6)
    if "amax" not in call:  # ties in max are shared among different elements
        np.testing.assert_allclose(grads["x"], wanted["x"], rtol=2e-5, atol=2e-5)


# ---------------------------------------------------------------- losses

LOSSES = [
    f"F.cross_entropy(x, i, {options})"
    for options in ("", "weight=w", "label_smoothing=0.1", "weight=w, label_smoothing=0.2, ignore_index=3", "ignore_index=3",
                    "reduction='sum'", "reduction='none'", "weight=w, reduction='sum', ignore_index=3",
                    "weight=w, reduction='none'")
] + [
    "F.cross_entropy(x, p)", "F.cross_entropy(x, p, weight=w, label_smoothing=0.1)", "F.cross_entropy(x, p, reduction='none')",
    "F.cross_entropy(x.reshape(8, 60, 300).transpose(1, 2), i.reshape(8, 60))", "F.cross_entropy(x[::2], i[::2])",
    "F.nll_loss(F.log_softmax(x, 1), i)", "F.nll_loss(F.log_softmax(x, 1), i, weight=w, ignore_index=3)",
    "F.nll_loss(x, i, reduction='sum')", "F.nll_loss(x, i, reduction='none')", "F.cross_entropy(x * 40, i)",
    "F.binary_cross_entropy(x.sigmoid(), p)", "F.binary_cross_entropy(x.sigmoid(), p, reduction='sum')",
    "F.binary_cross_entropy(x.sigmoid(), p, weight=w)", "F.binary_cross_entropy_with_logits(x, p)",
    "F.binary_cross_entropy_with_logits(x * 30, p, pos_weight=w)",
    "F.binary_cross_entropy_with_logits(x, p, weight=w, reduction='sum')",
    "F.mse_loss(x, p)", "F.kl_div(F.log_softmax(x, 1), p, reduction='batchmean')", "F.gaussian_nll_loss(x, p, p + 1)",
]  # fmt: skip


@pytest.mark.skipif(ref is None, reason="PyTorch gives the values")
@pytest.mark.parametrize("call", LOSSES)
def test_losses_of_large_batches(call):
    rng = np.random.default_rng(2)
    constants = {"i": rng.integers(0, 300, 480), "w": rng.uniform(0.5, 2, 300), "p": rng.dirichlet(np.ones(300), 480)}
    x = rng.normal(0, 2, (480, 300))
    for dtype in DTYPES:
        results = []
        for module, kind in ((torch, dtype), (ref, "float64")):
            fixed = {n: module.tensor(a.astype(kind) if a.dtype.kind == "f" else a) for n, a in constants.items()}
            leaf = module.tensor(x.astype(kind), requires_grad=True)
            out = run(module, call, {"x": leaf, **fixed})
            (g,) = module.autograd.grad((out * 1.5).sum(), leaf)
            results.append((out.detach().numpy(), g.numpy()))
        (value, g), (exact, wanted) = results
        assert value.shape == exact.shape and value.dtype == g.dtype == dtype
        # 144,000 inputs rounded to float32, of up to 8, times 40
        unit = eps(dtype) * (40 if "* " in call else 1)
        np.testing.assert_allclose(value, exact, rtol=32 * unit, atol=32 * unit)
        np.testing.assert_allclose(g, wanted, rtol=64 * unit, atol=16 * unit * np.abs(wanted).max())


def test_a_class_outside_the_range_is_refused_in_a_large_batch():
    x = torch.tensor(np.zeros((1000, 300), "float32"), requires_grad=True)
    for wrong in (300, -1):
        target = np.zeros(1000, "int64")
        target[777] = wrong
        with pytest.raises((IndexError, RuntimeError)):
            F.cross_entropy(x, torch.tensor(target))


# ---------------------------------------------------------------- sampling

LIMIT = 5.0  # standard errors: a false alarm in 1.7 million comparisons


def assert_mean(samples, mean, sd):
    z = (np.mean(samples, dtype="float64") - mean) / (sd / math.sqrt(samples.size))
    assert abs(z) < LIMIT, f"z = {z}"


@pytest.mark.skipif(ref is None, reason="PyTorch gives the values")
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_density_of_many_normal_samples(dtype):
    arrays = {
        "x": uniform(-3, 3, (300, 400), dtype),
        "y": uniform(-1, 1, 400, dtype, 1),
        "z": uniform(0.5, 2, (300, 1), dtype, 2),
    }
    results = []
    for module, normal in ((torch, Normal), (ref, ref.distributions.Normal)):
        leaves = leaves_of(module, arrays if module is torch else {n: a.astype("float64") for n, a in arrays.items()})
        out = normal(leaves["y"], leaves["z"]).log_prob(leaves["x"])
        results.append(
            [out.detach().numpy(), *(g.numpy() for g in module.autograd.grad(out.sum(), list(leaves.values())))]
        )
    for mine, exact in zip(*results, strict=True):
        np.testing.assert_allclose(
            mine, exact, rtol=16 * eps(dtype), atol=16 * eps(dtype) * max(30, np.abs(exact).max())
        )


def test_many_samples_of_normal_and_bernoulli():
    torch.manual_seed(11)
    mean = torch.tensor(uniform(-9, 9, (1, 400), "float32"), requires_grad=True)
    std = torch.tensor(uniform(0.5, 3, (300, 1), "float32"), requires_grad=True)
    y = torch.normal(mean, std)
    assert tuple(y.shape) == (300, 400)
    z = ((y - mean) / std).detach().numpy().astype("float64")
    assert_mean(z, 0, 1)
    assert_mean(z**2, 1, math.sqrt(2))
    assert_mean(z[:, :-1] * z[:, 1:], 0, 1)
    p = torch.tensor(uniform(0, 1, 120_000, "float32"), requires_grad=True)
    b = torch.bernoulli(p)
    drawn = b.detach().numpy()
    assert set(np.unique(drawn)) == {0.0, 1.0}
    shares = p.detach().numpy().astype("float64")
    assert_mean((drawn - shares) / np.sqrt(shares * (1 - shares) + 1e-3), 0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ((y * y).sum() + b.sum()).backward()
    assert not mean.grad.numpy().any() and not std.grad.numpy().any() and not p.grad.numpy().any()
    for bad in (1.5, -0.1, math.nan):
        wrong = np.full(120_000, 0.5, "float32")
        wrong[77_777] = bad
        with pytest.raises(RuntimeError):
            torch.bernoulli(torch.tensor(wrong))
    with pytest.raises(RuntimeError):
        torch.normal(0.0, torch.tensor(np.r_[np.ones(99_999), -1.0]))


@pytest.mark.parametrize("tau", [1.0, 0.3])
def test_gumbel_softmax_of_a_large_batch(tau):
    logits = np.log(np.array([0.1, 0.2, 0.3, 0.4])) + np.zeros((40_000, 1))
    weights = uniform(0.5, 1.5, (40_000, 4), "float64")
    x = torch.tensor(logits, requires_grad=True)
    torch.manual_seed(3)
    soft = F.gumbel_softmax(x, tau=tau)
    torch.manual_seed(3)
    hard = F.gumbel_softmax(x, tau=tau, hard=True)
    y = soft.detach().numpy()
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-12)
    np.testing.assert_array_equal(hard.detach().numpy(), np.eye(4)[y.argmax(1)])
    for category, p in enumerate((0.1, 0.2, 0.3, 0.4)):
        assert_mean(y.argmax(1) == category, p, math.sqrt(p * (1 - p)))
    wanted = y * (weights - (weights * y).sum(1, keepdims=True)) / tau  # the derivative of softmax
    for out in (soft, hard):
        (g,) = torch.autograd.grad((out * torch.tensor(weights)).sum(), x)
        np.testing.assert_allclose(g.numpy(), wanted, rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------- in-place changes, views, saved tensors


@pytest.mark.parametrize("dtype", DTYPES)
def test_changes_in_place_of_large_arrays_and_of_their_views(dtype):
    start = uniform(0.5, 2, (300, 400), dtype)
    x = torch.tensor(start, requires_grad=True)
    y = x * 2
    view, turned, kept = y[:, ::2], y.t(), y[:, 1::2].detach().clone()
    address = y.detach().numpy()
    y.mul_(3)
    view.mul_(4)
    turned[5].add_(1)
    y[7] = 0.25
    expected = start.astype(dtype) * 2 * 3
    expected[:, ::2] *= 4
    expected[:, 5] += 1
    expected[7] = 0.25
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=16 * eps(dtype))
    np.testing.assert_array_equal(view.detach().numpy(), y.detach().numpy()[:, ::2])
    np.testing.assert_array_equal(turned.detach().numpy(), y.detach().numpy().T)
    np.testing.assert_array_equal(address, y.detach().numpy())
    np.testing.assert_array_equal(kept.numpy(), start[:, 1::2] * 2)
    y.sum().backward()
    wanted = np.full_like(start, 6)
    wanted[:, ::2] *= 4
    wanted[7] = 0
    np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=64 * eps(dtype))
    np.testing.assert_array_equal(x.detach().numpy(), start)


CHANGED_AFTER_SAVING = {
    "the result of exp": lambda x: (lambda y: (y, y))(x.exp()),
    "the result of sigmoid": lambda x: (lambda y: (y, y))(x.sigmoid()),
    "a factor": lambda x: (lambda y: (y, y * y))(x * 1),
    "the input of log, through a view": lambda x: (lambda y: (y[10:], y.log()))(x * 1),
    "the result of softmax": lambda x: (lambda y: (y, y))(x.softmax(0)),
    "the input of a cross entropy with logits": lambda x: (
        lambda y: (y, F.binary_cross_entropy_with_logits(y, x.detach() / 2, reduction="none"))
    )(x * 1),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED_AFTER_SAVING)
def test_a_large_tensor_that_was_saved_and_changed_is_found_at_backward(name):
    x = torch.tensor(uniform(0.5, 1.5, N, "float32"), requires_grad=True)
    changed, out = CHANGED_AFTER_SAVING[name](x)
    changed.add_(1)
    with pytest.raises(RuntimeError, match=r"in-?place|modified|changed|overwritten"):
        out.sum().backward()
    assert x.grad is None


def test_an_operation_on_a_result_in_place_of_itself_reads_before_it_writes():
    start = uniform(0.5, 2, 300 * 300, "float32").reshape(300, 300)
    for change, wanted in (
        (lambda t: t.add_(t.t().clone()), start + start.T),
        (lambda t: t.mul_(t), start * start),
        (lambda t: t.sub_(t[0]), None),
    ):
        t = torch.tensor(start)
        if wanted is None:
            t.sub_(t[0].clone())
            wanted = start - start[0]
        else:
            change(t)
        np.testing.assert_allclose(t.numpy(), wanted, rtol=1e-6)


# ---------------------------------------------------------------- nobody's memory is used again while somebody looks at it


def test_hundreds_of_living_results_are_left_alone_by_what_comes_and_goes():
    """Whatever may hold memory: a tensor, an array of it, a view, a gradient, what a graph saved, a detached one."""
    shapes = ((70_000,), (300, 301), (100, 1000))
    dice = random.Random(4)
    alive = []  # what keeps it alive, the array to look at, a copy of it
    made = 0

    def keep(owner, array):
        alive.append((owner, array, np.array(array)))

    def make(number):
        nonlocal made
        made += 1
        x = torch.tensor(np.full(shapes[number % 3], 0.001 * number + 0.5, "float32"), requires_grad=True)
        y = (x * 2).exp()
        if number % 7 == 0:
            keep(y, y.detach().numpy())
        elif number % 7 == 1:  # an array, the tensor of which dies
            keep(None, y.detach().numpy())
        elif number % 7 == 2:  # a view, the base of which dies
            part = y.detach()[5:]
            keep(part, part.numpy())
        elif number % 7 == 3:
            (g,) = torch.autograd.grad(y.sum(), x)
            keep(None, g.numpy()[3:])
        elif number % 7 == 4:
            y.sum().backward(retain_graph=True)
            keep(x.grad, x.grad.numpy())
            keep(y, y.detach().numpy())
        elif number % 7 == 5:
            keep(memoryview(y.detach().numpy()), np.asarray(memoryview(y.detach().numpy())))
        else:
            softmax = torch.softmax(y.reshape(-1, 10), 1)
            keep(softmax.t(), softmax.detach().numpy().T)

    def check(entries):
        for _, array, copy in entries:
            np.testing.assert_array_equal(array, copy)

    for number in range(300):
        make(number)
        if number % 3 == 0 and len(alive) > 60:
            for _ in range(2):
                alive.pop(dice.randrange(len(alive)))
        if number % 11 == 0:
            place = dice.randrange(len(alive))
            owner, array, copy = alive[place]
            array[...] = number
            alive[place] = owner, array, np.full_like(copy, number)
        if number % 50 == 49:
            gc.collect()
            check(alive)
    check(alive)
    owned = sorted((a.__array_interface__["data"][0], a.nbytes) for _, a, _ in alive)
    # contiguous ones must not lie in one another
    assert all(a + size <= b for (a, size), (b, _) in itertools.pairwise(owned))


def test_what_a_graph_saved_is_as_it_was_when_backward_comes_late():
    xs = [torch.tensor(np.full(N, 0.1 * k, "float32"), requires_grad=True) for k in range(12)]
    ys = [(x.exp() * x.sin()).tanh() for x in xs]
    for _ in range(30):
        torch.tensor(np.ones(N, "float32")).mul(7).exp()
    for again in range(2):
        for x, y in zip(xs, ys, strict=True):
            (g,) = torch.autograd.grad(y.sum(), x, retain_graph=again == 0)
            v = x.detach().numpy().astype("float64")
            wanted = (1 - np.tanh(np.exp(v) * np.sin(v)) ** 2) * np.exp(v) * (np.sin(v) + np.cos(v))
            np.testing.assert_allclose(g.numpy(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("call", ["x * 1", "m.exp(x)", "x + 0", "m.relu(x)", "m.where(x > -9, x, x)", "x.clone()",
                                  "m.clamp(x, -99, 99)",
                                  "m.softmax(x, 0)", "x.sum(0, keepdim=True)", "x ** 1", "m.maximum(x, x)",
                                  "m.round(x)"])  # fmt: skip
def test_a_result_lies_in_memory_of_its_own(call):
    x = torch.tensor(uniform(0, 1, N, "float32"), requires_grad=True)
    first, second = run(torch, call, {"x": x}), run(torch, call, {"x": x})
    arrays = [t.detach().numpy() for t in (x, first, second)]
    arrays += [
        torch.autograd.grad(t.sum(), x, retain_graph=True, allow_unused=True)[0].numpy() for t in (first, second, first)
    ]
    cotangent = torch.tensor(np.ones(tuple(first.shape), "float32"))
    (passed,) = torch.autograd.grad(first, x, cotangent)
    if not (
        UNDER_TEST == "torch" and np.shares_memory(passed.numpy(), cotangent.numpy())
    ):  # there it hands back what it was given
        arrays += [passed.numpy(), cotangent.numpy()]
    for number, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[:number])


def test_a_step_of_training_many_times_over_uses_no_more_memory_than_a_few_times():
    resource = pytest.importorskip("resource")

    def step():
        y = (w * x).sigmoid()
        loss = ((y - x) ** 2).mean()
        (g,) = torch.autograd.grad(loss, w)
        with torch.no_grad():
            w.sub_(g * 0.1)

    x = torch.tensor(uniform(0, 1, 1_000_000, "float32"))
    w = torch.tensor(uniform(0, 1, 1_000_000, "float32", 1), requires_grad=True)
    for _ in range(10):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(60):
        step()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 60_000_000  # 15 arrays of these; a step makes ten


# ---------------------------------------------------------------- threads and processes


def work(seed):
    """Something of everything, as a list of arrays that must not depend on who computes it."""
    x = torch.tensor(uniform(0.5, 2, (300, 400), "float32", seed), requires_grad=True)
    y = torch.tensor(uniform(0.5, 2, 400, "float64", seed + 1), requires_grad=True)
    out = (x.exp() * y + x.sin()).tanh() + torch.log_softmax(x, 1) * y.sigmoid()
    loss = out.sum() + F.cross_entropy(x, torch.tensor(np.arange(300))) + (x / y).std()
    g = torch.autograd.grad(loss, [x, y])
    noise = torch.randn(70_000, generator=torch.Generator().manual_seed(seed))
    return [out.detach().numpy(), loss.detach().numpy(), *(t.numpy() for t in g), noise.numpy()]


def same(found, expected):
    # PyTorch divides a sum among more or fewer threads of its own
    rtol = 0 if UNDER_TEST != "torch" else 1e-6
    return all(np.allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max()) for a, b in zip(found, expected, strict=True))


def test_eight_threads_get_what_one_gets():
    expected = [work(seed) for seed in range(8)]
    wrong = []
    ready = threading.Barrier(8)

    def run_in_a_thread(seed):
        try:
            ready.wait(60)
            for turn in range(5):
                which = (seed + turn) % 8
                if not same(work(which), expected[which]):
                    wrong.append(which)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=run_in_a_thread, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def report_work(seed, queue):
    queue.put([a.tobytes() for a in work(seed)])


@ours
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_that_was_forked_from_one_that_had_computed_computes_the_same():
    expected = [a.tobytes() for a in work(3)]
    children = []
    for _ in range(3):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                signal.alarm(100)  # a child that waits for threads that it does not have must not wait for ever
                found = [a.tobytes() for a in work(3)]
                os.write(writing, b"same" if found == expected else b"other")
            os._exit(0)
        os.close(writing)
        children.append((child, reading))
    assert [a.tobytes() for a in work(3)] == expected, "while they compute, the parent does too"
    for child, reading in children:
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        assert answer == b"same"


@ours
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_multiprocessing_compute_the_same(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    expected = [a.tobytes() for a in work(3)]
    count = 3 if method == "fork" else 1  # one that is spawned imports all this file imports
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    workers = [context.Process(target=report_work, args=(3, queue), daemon=True) for _ in range(count)]
    for worker in workers:
        worker.start()
    answers = [queue.get(timeout=100) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert answers == [expected] * count


# ---------------------------------------------------------------- states are left as they were


def test_the_floating_point_state_of_numpy_is_left_as_it_was():
    values = np.tile(specials("float32"), 2000)
    for state in (
        {"all": "warn"},
        {"all": "ignore"},
        {"over": "raise", "under": "ignore", "divide": "print", "invalid": "print"},
    ):
        with np.errstate(**state), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before = np.geterr()
            with contextlib.suppress(FloatingPointError):
                x = torch.tensor(values, requires_grad=True)
                (x.exp() * x.log() / x).sum().backward()
                torch.softmax(x, 0)
            assert np.geterr() == before


def test_warnings_as_errors_and_an_exception_in_the_middle_leave_no_trace():
    values = np.tile(specials("float32"), 2000)
    expected = value_and_gradients(torch, "m.exp(x) * m.log(x)", {"x": values})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(Warning):
            value_and_gradients(torch, "m.exp(x) * m.log(x)", {"x": values})

    class Refused(Exception):
        pass

    def refuse(gradient):
        raise Refused

    x = torch.tensor(uniform(0.5, 2, N, "float32"), requires_grad=True)
    y = x.exp()
    handle = y.register_hook(refuse)
    out = (y * y).sum()
    for _ in range(3):
        with pytest.raises(Refused):
            out.backward(retain_graph=True)
    handle.remove()
    assert x.grad is None
    out.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp(2 * x.detach().numpy().astype("float64")), rtol=1e-6)
    for shape in ((3,), (2, N + 1)):
        with pytest.raises((RuntimeError, ValueError)):
            x * torch.tensor(np.ones(shape))
    for found, wanted in zip(value_and_gradients(torch, "m.exp(x) * m.log(x)", {"x": values}), expected, strict=True):
        np.testing.assert_equal(found, wanted)


# ---------------------------------------------------------------- what computes large arrays, and where it is kept

COMPUTE = """
import tinygrad_rp as tg
v = np.linspace(-3, 3, 200_000)
outputs = []
for dtype in ("float32", "float64"):
    x = tg.tensor(v.astype(dtype), requires_grad=True)
    y = tg.exp(x)
    (g,) = tg.autograd.grad(y, x, tg.tensor(np.cos(v).astype(dtype)))
    outputs += [y.detach().numpy(), g.numpy(), tg.tanh(x).detach().numpy()]
    outputs.append(tg.softmax(x.reshape(200, 1000), 1).detach().numpy())
exact = [np.exp(v), np.exp(v) * np.cos(v), np.tanh(v)]
exact.append(np.exp(v).reshape(200, 1000) / np.exp(v).reshape(200, 1000).sum(1, keepdims=True))
for out, wanted in zip(outputs, exact * 2, strict=True):
    tolerance = 12 * np.finfo(out.dtype).eps
    np.testing.assert_allclose(out, wanted, rtol=tolerance * 4, atol=tolerance * 1e-3)
"""
FIRST_LARGE = """
import tinygrad_rp as tg
v = np.linspace(-3, 3, 1_000_000).astype("float32")
np.testing.assert_allclose(tg.exp(tg.tensor(v)).numpy(), np.exp(v.astype("float64")), rtol=1e-6)
np.testing.assert_allclose(tg.log(tg.tensor(v + 4)).numpy(), np.log((v + 4).astype("float64")), rtol=2e-6, atol=1e-6)
np.testing.assert_allclose(tg.tanh(tg.tensor(v)).numpy(), np.tanh(v.astype("float64")), rtol=1e-6)
"""
WITHOUT_NUMBA = "sys.modules['numba'] = sys.modules['llvmlite'] = None\n"
SAY_WHAT_IS_LOADED = "print(sorted({'numba', 'llvmlite'} & {name.partition('.')[0] for name in sys.modules}))\n"


def start(code, **variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TINYGRAD_RP_", "NUMBA_"))}
    environment |= {"TINYGRAD_RP_" + name: str(value) for name, value in variables.items()}
    return subprocess.Popen(
        [sys.executable, "-c", "import os, sys\nimport numpy as np\n" + code],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment,
    )  # fmt: skip


def finish(process):
    """What it printed; whatever it raised is shown."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, f"exit status {process.returncode}\n{out}\n{err}"
    return out


def loaded(code, **variables):
    """Runs the code; which of Numba, which compiles, and llvmlite, which loads, were imported in the end."""
    return eval(finish(start(code + SAY_WHAT_IS_LOADED, **variables)).splitlines()[-1])


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache folder after one process, and what that had imported."""
    folder = tmp_path_factory.mktemp("kernels") / "made" / "here"
    return folder, loaded(FIRST_LARGE, CACHE_DIR=folder, KERNELS="numba")


@ours
@pytest.mark.parametrize("choice", ["numpy", "numba", "auto", None])
def test_each_choice_of_kernels_computes_the_same(choice, warm):
    loaded(COMPUTE, CACHE_DIR=warm[0], **({} if choice is None else {"KERNELS": choice}))


@ours
def test_numba_is_imported_where_it_is_asked_for_and_nothing_is_cached_and_never_with_numpy(warm, tmp_path):
    assert warm[1] == ["llvmlite", "numba"]
    assert loaded(FIRST_LARGE, CACHE_DIR=tmp_path / "new", KERNELS="numpy") == []
    assert not (tmp_path / "new").exists() or not list((tmp_path / "new").iterdir())


@ours
def test_small_work_imports_neither_numba_nor_llvmlite():
    code = "import tinygrad_rp as tg\nx = tg.randn(100, requires_grad=True)\n"
    code += "(x.exp() * x.sigmoid()).softmax(0).log().sum().backward()\n"
    assert loaded(code) == []
    assert loaded("import tinygrad_rp\n") == []


@ours
@pytest.mark.parametrize("wrong", ["fortran", "NUMPY ", "1"])
def test_an_unknown_choice_of_kernels_is_refused_by_name(wrong):
    process = start(FIRST_LARGE, KERNELS=wrong)
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    message = err.strip().splitlines()[-1]
    for part in ("TINYGRAD_RP_KERNELS", repr(wrong), "numpy", "numba", "auto"):
        assert part in message, f"{part} is not in {message}"
    assert "Error" in message.partition(":")[0]


@ours
@pytest.mark.parametrize("choice", ["auto", "numpy", None])
def test_without_numba_all_works(choice, tmp_path):
    chosen = {} if choice is None else {"KERNELS": choice}
    finish(
        start(WITHOUT_NUMBA + COMPUTE + "assert tg.randn(100_000).numel() == 100_000\n", CACHE_DIR=tmp_path, **chosen)
    )


@ours
def test_numba_asked_for_and_missing_is_an_import_error(tmp_path):
    code = "try:\n" + "".join(f"    {line}\n" for line in FIRST_LARGE.strip().splitlines())
    code += "except ImportError as error:\n    print('refused:', error)\n"
    said = finish(start(WITHOUT_NUMBA + code, CACHE_DIR=tmp_path, KERNELS="numba"))
    assert "refused:" in said and "numba" in said.lower() and "TINYGRAD_RP_KERNELS" in said


@ours
def test_a_second_process_does_not_compile_again(warm):
    folder, _ = warm
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    assert before, "the cache folder was made, and is used"
    for choice in ("numba", "auto"):
        assert "numba" not in loaded(FIRST_LARGE, CACHE_DIR=folder, KERNELS=choice)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()} == before


def unwritable_folders(tmp_path):
    (tmp_path / "file").write_text("")
    yield tmp_path / "file" / "cache"  # below a regular file
    yield tmp_path / "file"
    if Path("/proc/self/fdinfo").is_dir():
        yield "/proc/self/fdinfo"  # nobody can write there, root included
    if os.geteuid():
        sealed = tmp_path / "sealed"
        sealed.mkdir()
        sealed.chmod(0o500)
        yield sealed


@ours
def test_a_cache_folder_that_cannot_be_written_only_costs_time(tmp_path):
    for folder in unwritable_folders(tmp_path):
        finish(start(FIRST_LARGE, CACHE_DIR=folder, KERNELS="numba"))
    assert (tmp_path / "file").read_text() == ""


@ours
def test_two_processes_that_compile_at_once_leave_a_cache_that_works(tmp_path):
    both = [start(FIRST_LARGE, CACHE_DIR=tmp_path, KERNELS="numba") for _ in range(2)]
    for process in both:
        finish(process)
    assert loaded(FIRST_LARGE, CACHE_DIR=tmp_path, KERNELS="numba") == ["llvmlite"]


@ours
def test_damaged_files_in_the_cache_are_noticed_and_replaced(warm, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(warm[0], folder)
    dice = random.Random(1)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    assert files, "the cache folder is used"
    for number, file in enumerate(files):
        content = file.read_bytes()
        changed = bytearray(content)
        for place in range(len(content) // 3, len(content), 97):
            changed[place] ^= 0x5A
        damaged = [content[: len(content) // 2], dice.randbytes(len(content)), bytes(changed), b""]
        file.write_bytes(damaged[number % len(damaged)])
    assert loaded(FIRST_LARGE, CACHE_DIR=folder, KERNELS="numba") == ["llvmlite", "numba"]
    assert loaded(FIRST_LARGE, CACHE_DIR=folder, KERNELS="numba") == ["llvmlite"]
