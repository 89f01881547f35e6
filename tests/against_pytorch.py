"""What the comparisons with PyTorch share: a case is a call written out, run in both modules on the same arrays.

In a call, `m` is the module, `F` its `nn.functional`, and every other free name one of the inputs of the case. A file
that imports this one is skipped without PyTorch. TINYGRAD_RP_UNDER_TEST=torch runs the cases on PyTorch itself, which
they must all pass.
"""

import functools
import importlib
import math
import os

import numpy as np
import pytest
from scipy import special

ref = pytest.importorskip("torch")
UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
ref.set_num_threads(1)  # these tensors are small

# ---------------------------------------------------------------- inputs


class Draw:
    """What an input array is to be: its shape, and how its values are drawn."""

    def __init__(self, shape, make):
        self.shape, self.make = shape, make

    def __call__(self, rng, dtype):
        values = np.asarray(self.make(rng, self.shape))
        return values.astype(dtype) if values.dtype.kind == "f" else values


def between(low, high):
    return lambda *shape: Draw(shape, lambda rng, s: rng.uniform(low, high, s))


real = between(-2.0, 2.0)
positive = between(0.2, 3.0)
unit = between(-0.9, 0.9)
share = between(0.05, 0.95)
above_one = between(1.2, 3.0)


def far_from_zero(*shape):
    """Both signs, and at least 0.3 away from zero."""
    return Draw(shape, lambda rng, s: rng.choice([-1.0, 1.0], s) * rng.uniform(0.3, 2.5, s))


def off_integers(*shape):
    """At least 0.1 away from every integer and from every half."""
    return Draw(shape, lambda rng, s: rng.integers(-6, 6, s) / 2 + rng.uniform(0.1, 0.4, s))


def distinct(*shape):
    """No two values closer than 0.02, so that an order has no ties."""
    return Draw(shape, lambda rng, s: rng.permutation(np.linspace(-2, 2.2, math.prod(s) + 2)[1:-1]).reshape(s))


def solvable(*shape):
    """Square matrices far from a singular one."""
    return Draw(shape, lambda rng, s: rng.uniform(-1, 1, s) + 3 * np.eye(s[-1]))


def positive_definite(*shape):
    def make(rng, s):
        a = rng.uniform(-1, 1, s)
        return a @ np.swapaxes(a, -1, -2) + 2 * np.eye(s[-1])

    return Draw(shape, make)


def values(nested):
    """These values exactly; a list with integers or bools alone is a constant of that dtype."""
    return Draw(np.shape(nested), lambda rng, s: np.asarray(nested))


# ---------------------------------------------------------------- running

compiled = functools.cache(lambda call: compile(call, call, "eval"))


def run(module, call, inputs):
    return eval(compiled(call), {"m": module, "F": module.nn.functional, **inputs})


class Trigamma(ref.autograd.Function):
    """ψ′ by SciPy: PyTorch's own has only ten digits in float64 (its series ends early), and numbers like 1e32 at poles."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        a = x.detach().double().numpy()
        with np.errstate(all="ignore"):
            # Abramowitz and Stegun, 6.4.7
            mirrored = (np.pi / np.sin(np.pi * a)) ** 2 - special.polygamma(1, 1 - a)
            return ref.tensor(np.where(a < 0, mirrored, special.polygamma(1, a))).to(x.dtype)

    @staticmethod
    def backward(ctx, g):
        return g * ref.polygamma(2, ctx.saved_tensors[0])


class Digamma(ref.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return ref.digamma(x)

    @staticmethod
    def backward(ctx, g):
        return g * Trigamma.apply(ctx.saved_tensors[0])


class ExactTrigamma(ref.overrides.TorchFunctionMode):
    """Within it PyTorch's digamma and polygamma have the derivative, and the value, of `Trigamma`."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        if name == "digamma":
            return Digamma.apply(*args, *kwargs.values())
        if name == "polygamma":
            found = [*args, *kwargs.values()]
            n, x = sorted(found, key=lambda value: isinstance(value, ref.Tensor))
            if n in (0, 1) and isinstance(x, ref.Tensor):
                return (Digamma, Trigamma)[n].apply(x)
        return function(*args, **kwargs)


def run_exactly(module, call, inputs):
    """As `run`, where the numbers are compared."""
    if module is not ref:
        return run(module, call, inputs)
    with ExactTrigamma():
        return run(module, call, inputs)


def arrays_of(draws, dtype):
    rng = np.random.default_rng(7)
    return {name: draw(rng, dtype) for name, draw in draws.items()}


def leaves_of(module, arrays):
    """The arrays as tensors; those of floats require a gradient."""
    return {name: module.tensor(a, requires_grad=a.dtype.kind == "f") for name, a in arrays.items()}


def outputs_of(result):
    """The tensors in a result, however it is nested."""
    if isinstance(result, tuple | list):
        return [tensor for part in result for tensor in outputs_of(part)]
    return [result]


def requires_grad(output):
    return getattr(output, "requires_grad", False)


def array(tensor):
    return tensor.detach().numpy()


def dtype_name(tensor):
    return str(tensor.dtype).split(".")[-1]


def random_like(module, rng, tensor):
    return module.tensor(np.asarray(rng.uniform(0.5, 1.5, tuple(tensor.shape))).astype(dtype_name(tensor)))


def derivatives(module, outputs, leaves, power, order=2):
    """The first and second derivatives of a weighted sum of the outputs, each raised to a power.

    The power 2 gives linear operations a second derivative as well; the power 1 keeps infinite outputs apart.
    """
    leaves = [leaf for leaf in leaves if leaf.requires_grad]
    rng = np.random.default_rng(1)
    terms = [(out**power * random_like(module, rng, out)).sum() for out in outputs if requires_grad(out)]
    if not terms:
        return None, None
    first = module.autograd.grad(sum(terms), leaves, create_graph=order > 1, allow_unused=True)
    if order == 1:
        return first, None
    directions = [random_like(module, rng, leaf) for leaf in leaves]
    total = sum((g * d).sum() for g, d in zip(first, directions, strict=True) if g is not None)
    if not requires_grad(total):
        return first, [None] * len(leaves)
    return first, module.autograd.grad(total, leaves, allow_unused=True)


# ---------------------------------------------------------------- comparing


def assert_close(mine, theirs, tolerance, what):
    """The same shape, dtype and values; the tolerance is relative to the value, and to the largest of them."""
    assert (mine is None) == (theirs is None), f"{what}: {mine} and {theirs}"
    if theirs is None:
        return
    if not isinstance(theirs, ref.Tensor):
        assert type(mine) is type(theirs) and mine == theirs, f"{what}: {mine} and {theirs}"
        return
    assert tuple(mine.shape) == tuple(theirs.shape), f"{what}: shapes"
    assert dtype_name(mine) == dtype_name(theirs), f"{what}: dtypes"
    a, b = array(mine), array(theirs)
    if b.dtype.kind != "f":
        np.testing.assert_array_equal(a, b, err_msg=what)
        return
    finite = np.abs(b[np.isfinite(b)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale, err_msg=what)


def assert_all_close(mine, theirs, tolerance, what):
    assert len(mine) == len(theirs), f"{what}: how many"
    for number, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        assert_close(a, b, tolerance, f"{what} {number}")


def assert_gradients_close(mine, theirs, tolerance, what):
    """As above; where PyTorch gives none, because the derivative vanishes everywhere, zeros are right as well."""
    assert len(mine) == len(theirs)
    for number, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        if b is None and a is not None and not array(a).any():
            continue
        assert_close(a, b, tolerance, f"{what} {number}")


def zeros_for_none(module, gradients, leaves):
    """An undefined second derivative and one of zeros are the same number; engines differ in which they give."""
    return [
        module.zeros_like(leaf).detach() if g is None else g
        for g, leaf in zip(gradients, [leaf for leaf in leaves if leaf.requires_grad], strict=True)
    ]


# ---------------------------------------------------------------- exceptions

KINDS = (IndexError, TypeError, ValueError, RuntimeError)


def kind(error):
    """The class of Python's own that an exception of PyTorch's stands under."""
    return next((k for k in KINDS if isinstance(error, k)), type(error))


def attempt(function, *arguments):
    """What a function returns, or the exception that it raises."""
    try:
        return function(*arguments)
    except Exception as error:
        return error
