"""Every operation gives the dtype that PyTorch gives, and refuses what PyTorch refuses, with an exception of that kind.

Operands of all dtypes meet in pairs, tensors and Python's numbers; wrong calls raise PyTorch's class of exception with
words of our own, which name the function or the argument and show what was wrong.
"""

import re

import numpy as np
import pytest
from against_pytorch import UNDER_TEST, array, attempt, dtype_name, kind, outputs_of, ref, run, torch

pytestmark = pytest.mark.filterwarnings("ignore")

# ---------------------------------------------------------------- dtypes

OPERANDS = {
    "float32": lambda m: m.tensor([1.0, 2.5]),
    "float64": lambda m: m.tensor([1.5, 2.5], dtype=m.float64),
    "int64": lambda m: m.tensor([1, 3]),
    "int32": lambda m: m.tensor([1, 2], dtype=m.int32),
    "uint8": lambda m: m.tensor([2, 1], dtype=m.uint8),
    "bool": lambda m: m.tensor([True, True]),
    "0-d float32": lambda m: m.tensor(2.5),
    "0-d float64": lambda m: m.tensor(1.5, dtype=m.float64),
    "0-d int64": lambda m: m.tensor(2),
    "0-d bool": lambda m: m.tensor(True),
    "a float": lambda m: 2.5,
    "an int": lambda m: 3,
    "a bool": lambda m: True,
}
NUMBERS = ("a float", "an int", "a bool")
TENSORS = [name for name in OPERANDS if name not in NUMBERS]

OF_TWO = [
    "m.add(a, b, alpha=2)",
    "m.sub(a, b, alpha=2)",
    "m.add(a, b, alpha=0.5)",
    "m.sub(a, b)",
    "m.mul(a, b)",
    "m.div(a, b)",
    "m.div(a, b, rounding_mode='floor')",
    "m.div(a, b, rounding_mode='trunc')",
    "m.pow(a, b)",
    "m.remainder(a, b)",
    "m.atan2(a, b)",
    "m.xlogy(a, b)",
    "m.logaddexp(a, b)",
    "m.minimum(a, b)",
    "m.eq(a, b)",
    "m.lt(a, b)",
    "m.ge(a, b)",
    "m.ne(a, b)",
    "m.logical_and(a, b)",
    "m.logical_xor(a, b)",
    "a % b",
    "a // b",
    "a < b",
    "m.where(m.tensor([True, False]), a, b)",
    "m.lerp(a, b, 0.5)",
    "m.lerp(a, a, b)",
    "m.addcmul(a, b, b)",
    "m.addcmul(a, a, b, value=2)",
    "m.clamp(a, min=b)",
    "m.masked_fill(a, m.tensor([True, False]), b)",
    "m.scatter(a, 0, m.tensor([0]), b)",
    "m.scatter_add(a, 0, m.tensor([0, 1]), b)",
    "m.outer(a, b)",
    "m.dot(a, b)",
    "m.mm(a[:, None], b[None])",
    "m.einsum('i,i->i', a, b)",
    "m.cat([a, b])",
    "m.bincount(a, b)",
    "F.mse_loss(a, b)",
    "F.l1_loss(a, b)",
    "F.smooth_l1_loss(a, b)",
    "F.linear(a, b[None])",
    "F.kl_div(a, b)",
    "m.linalg.solve(a[:, None] * a + m.eye(2, dtype=a.dtype), b)",
]
OF_ONE = [
    *(
        f"m.{name}(a)"
        for name in (
            *"exp2 log2 log10 rsqrt reciprocal sign tan asin atan sinh cosh asinh acosh atanh logit".split(),
            *"erf erfc erfinv lgamma digamma floor ceil round trunc frac neg square nan_to_num isnan isfinite".split(),
            *"logical_not std prod amax amin norm argsort sort diag".split(),
        )
    ),
    *(
        f"m.{name}(a, 0)"
        for name in "cumsum cumprod logcumsumexp logsumexp softmax log_softmax prod std mean amax".split()
    ),
    "m.polygamma(1, a)",
    "m.flip(a, (0,))",
    "m.roll(a, 1)",
    "m.topk(a, 1)",
    "m.trace(m.outer(a, a))",
    "m.tril(a[None])",
    "a.repeat(2)",
    "m.norm(a, 1)",
    "m.norm(a, 2, 0)",
    "m.norm(a, dtype=m.float64)",
    "m.sum(a, dtype=m.float32)",
    "m.sum(a, dtype=m.int64)",
    "m.prod(a, dtype=m.float64)",
    "m.cumsum(a, 0, dtype=m.int32)",
    "m.cumprod(a, 0, dtype=m.float64)",
    "m.mean(a, dtype=m.float64)",
    "m.softmax(a, 0, dtype=m.float32)",
    "m.clamp(a, 0, 2)",
    "m.clamp(a, 0.5, 2)",
    "m.clamp(a, min=True)",
    "m.where(m.tensor([True, False]), a, 0)",
    "m.where(m.tensor([True, False]), 0.5, a)",
    "m.round(a, decimals=1)",
    "F.one_hot(a, 4)",
    "m.bincount(a)",
    "m.arange(4)[a]",
    "m.gather(m.arange(4), 0, a)",
    "m.index_select(m.arange(4), 0, a)",
    "m.take_along_dim(m.arange(4), a, 0)",
    "F.embedding(a, m.ones(4, 2))",
    "m.linalg.det(a[:, None] * a + m.eye(2, dtype=a.dtype))",  # without eye it is singular, and det a rounding error
    "m.linalg.inv(a[:, None] * a + m.eye(2, dtype=a.dtype))",
    "m.linalg.cholesky(a[:, None] * a + m.eye(2, dtype=a.dtype))",
    "a ** 2",
    "a ** 0.5",
    "a ** -1",
    "2 ** a",
    "2.5 ** a",
    "-a",
    "~a",
    "abs(a)",
    "a & a",
    "a | 1",
    "a ^ True",
    *(f"F.{name}(a)" for name in "relu leaky_relu elu gelu silu softplus logsigmoid".split()),
    "F.leaky_relu(a, 2)",
    "F.dropout(a, 0.5, False)",
    "F.layer_norm(a, (2,))",
    "F.cross_entropy(a, m.tensor(1))",
    "F.nll_loss(a, m.tensor(0))",
    "F.cross_entropy(m.ones(2, 4), a)",
]


def difference(mine, theirs):
    """What differs between two outcomes, in words; None where they agree."""
    if isinstance(theirs, Exception):
        if "not implemented for 'Bool'" in str(theirs):  # a kernel not written; a number is harmless
            return None
        if isinstance(mine, kind(theirs)):
            return None
        return f"PyTorch raises {type(theirs).__name__}: {str(theirs)[:80]}; this gives {mine!r}"
    if isinstance(mine, Exception):
        return f"PyTorch gives {theirs!r}, this raises {mine!r}"
    for a, b in zip(outputs_of(mine), outputs_of(theirs), strict=True):
        if (dtype_name(a), tuple(a.shape)) != (dtype_name(b), tuple(b.shape)):
            return f"PyTorch gives {b!r}, this gives {a!r}"
        if not np.allclose(array(a), array(b), rtol=1e-5, equal_nan=True):
            return f"PyTorch gives {b!r}, this gives {a!r}"
    return None


def assert_none(differences):
    lines = [f"{operands}: {what}" for operands, what in differences.items() if what]
    assert not lines, "\n".join(lines)


def outcomes(call, **operands):
    return [
        attempt(
            lambda module: run(module, call, {key: OPERANDS[name](module) for key, name in operands.items()}), module
        )
        for module in (torch, ref)
    ]


@pytest.mark.parametrize("call", OF_TWO)
def test_two_dtypes_give_pytorchs(call):
    found = {}
    for left in OPERANDS:
        for right in OPERANDS:
            if left in NUMBERS and right in NUMBERS:
                continue
            mine, theirs = outcomes(call, a=left, b=right)
            if isinstance(theirs, TypeError | AttributeError) and (left in NUMBERS or right in NUMBERS):
                continue  # PyTorch takes tensors only here; a number is harmless.
            found[left, right] = difference(mine, theirs)
    assert_none(found)


@pytest.mark.parametrize("call", OF_ONE)
def test_one_dtype_gives_pytorchs(call):
    found = {operand: difference(*outcomes(call, a=operand)) for operand in TENSORS}
    assert_none(found)


MIXED = [
    "m.atan2(a, b)",
    "m.xlogy(a, b)",
    "m.logaddexp(a, b)",
    "m.remainder(a, b)",
    "m.div(a, b, rounding_mode='floor')",
    "m.add(a, b, alpha=2)",
    "m.minimum(a, b)",
    "m.addcmul(a, b, b)",
    "m.clamp(a, min=b)",
    "m.where(a > 0, a, b)",
    "m.pow(a, b)",
    "F.mse_loss(a, b)",
    "F.l1_loss(a, b)",
    "F.smooth_l1_loss(a, b)",
    "m.stack([a.sum(), b.sum()])",
    "a.double() * b",
]


@pytest.mark.parametrize("call", MIXED)
def test_gradients_of_mixed_dtypes_have_the_dtype_and_shape_of_their_input(call):
    floats = ["float32", "float64", "0-d float32", "0-d float64"]
    found = {}
    for left in floats:
        for right in floats:

            def gradients(module, left=left, right=right):
                leaves = [OPERANDS[name](module).requires_grad_() for name in (left, right)]
                value = run(module, call, dict(zip("ab", leaves, strict=True))).sum()
                return [value.detach(), *module.autograd.grad(value, leaves)]

            found[left, right] = difference(attempt(gradients, torch), attempt(gradients, ref))
    assert_none(found)


# ---------------------------------------------------------------- errors

INPUTS = {
    "x": lambda m: m.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
    "v": lambda m: m.tensor([1.0, 2.0, 3.0]),
    "s": lambda m: m.tensor(1.0),
    "i": lambda m: m.tensor([0, 1, 2]),
    "q": lambda m: m.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, 1.0], [0.0, 1.0, 4.0]]),
    "t": lambda m: m.ones(2, 3, 4),
    "image": lambda m: m.ones(2, 3, 5, 5),
}

# A call that PyTorch refuses; a word that our message must hold, and what it must show (patterns).
REFUSED = {
    # elementwise
    "m.div(x, v, rounding_mode='down')": ("rounding_mode|div", "down"),
    "x.div(2, rounding_mode=1)": ("rounding_mode|div", "1"),
    "m.add(x, m.ones(2))": ("add", "2, 3"),
    "m.add(x, v, alpha='a')": ("alpha|add", "a|str"),
    "m.atan2(x, m.ones(4))": ("atan2", "4"),
    "m.xlogy(x, m.ones(4))": ("xlogy", "4"),
    "m.logaddexp(x, m.ones(4))": ("logaddexp", "4"),
    "m.remainder(x, m.ones(4))": ("remainder", "4"),
    "m.lerp(x, m.ones(4), 0.5)": ("lerp", "4"),
    "m.lerp(x, x, 'a')": ("lerp|weight", "a|str"),
    "m.lerp(x, x.double(), 0.5)": ("lerp|end", "float64|double"),
    "m.addcmul(x, m.ones(4), x)": ("addcmul", "4"),
    "m.clamp(x)": ("clamp", "min|max"),
    "m.clamp(x, 'a')": ("clamp", "a|str"),
    "m.clamp(x, m.ones(4))": ("clamp", "4"),
    "m.where(x, x, x)": ("where|condition", "float32"),
    "m.where(x > 0, x, m.ones(4))": ("where", "4"),
    "m.masked_fill(x, x, 0)": ("mask", "float32"),
    "m.masked_fill(x, m.ones(4) > 0, 0)": ("mask", "4"),
    "m.masked_fill(x, x > 0, v)": ("masked_fill|value", "3|dim"),
    "m.masked_fill(i, i > 0, 'a')": ("masked_fill|value", "a|str"),
    "m.polygamma(-1, x)": ("polygamma|n", "-1"),
    "m.polygamma(1.5, x)": ("polygamma|n", "1.5|float"),
    "m.polygamma(x, 1)": ("polygamma|n", "Tensor|int"),
    "m.exp('a')": ("exp", "a|str"),
    "m.erf([1.0])": ("erf", "list"),
    "m.round(x, decimals='a')": ("round|decimals", "a|str"),
    "m.sub(x, x > 0)": ("sub", "bool"),
    "-(x > 0)": ("neg|bool", "bool"),
    "~x": ("~|invert|not", "float32|float"),
    "x & x": ("and|&", "float32|float"),
    "m.pow(i, -1)": ("pow", "-1"),
    "F.gelu(x, approximate='erf')": ("approximate|gelu", "erf"),
    "F.elu(i)": ("elu", "int64"),
    "F.silu(i)": ("silu", "int64"),
    "F.softplus(i)": ("softplus", "int64"),
    # reductions and scans
    "m.prod(x, 2)": ("prod|dim", "2"),
    "m.prod(x, (0, 1))": ("prod|dim", "0, 1|tuple"),
    "m.amax(x, 2)": ("amax|dim", "2"),
    "m.amax(x, (0, 0))": ("amax|dim", "0"),
    "m.amin(x, 'a')": ("amin|dim", "a|str"),
    "m.std(x, -3)": ("std|dim", "-3"),
    "m.std(i)": ("std", "int64"),
    "m.var(i)": ("var", "int64"),
    "m.mean(i)": ("mean", "int64"),
    "m.norm(i)": ("norm", "int64"),
    "m.norm(x, 2, 5)": ("norm|dim", "5"),
    "m.norm(x, 'abc')": ("norm|p", "abc"),
    "m.logsumexp(x)": ("logsumexp", "dim"),
    "m.logsumexp(x, 4)": ("logsumexp|dim", "4"),
    "m.softmax(x, 2)": ("softmax|dim", "2"),
    "m.softmax(i, 0)": ("softmax", "int64"),
    "m.cumsum(x)": ("cumsum", "dim"),
    "m.cumsum(x, 2)": ("cumsum|dim", "2"),
    "m.cumprod(x, -3)": ("cumprod|dim", "-3"),
    "m.logcumsumexp(x, 2)": ("logcumsumexp|dim", "2"),
    "m.logcumsumexp(i, 0)": ("logcumsumexp", "int64"),
    "m.max(x, 2)": ("max|dim", "2"),
    "m.amax(x, dims=0)": ("amax", "dims"),
    # shapes
    "m.broadcast_to(x, (2, 4))": ("broadcast_to|expand|size", "2, 4"),
    "m.broadcast_to(x, (3,))": ("broadcast_to|expand|size", "3"),
    "m.split(x, 'a')": ("split", "a|str"),
    "m.split(x, -1)": ("split", "-1"),
    "m.split(x, [1, 2])": ("split", "1, 2|3"),
    "m.split(x, 1, 2)": ("split|dim", "2"),
    "m.chunk(x, 0)": ("chunk", "0"),
    "m.chunk(x, 2, 5)": ("chunk|dim", "5"),
    "m.chunk(s, 2)": ("chunk", "0|dim"),
    "m.flip(x, (2,))": ("flip|dim", "2"),
    "m.flip(x, (0, -2))": ("flip|dim", "0|-2"),
    "m.roll(x, (1, 2), 0)": ("roll", "2|1"),
    "m.roll(x, 1, 3)": ("roll|dim", "3"),
    "x.repeat(2)": ("repeat", "2"),
    "x.repeat(-1, 1)": ("repeat", "-1"),
    "x.repeat('a')": ("repeat", "a|str"),
    "m.tril(v)": ("tril", "1|3"),
    "m.triu(s)": ("triu", "0|dim"),
    "m.tril(x, 'a')": ("tril|diagonal", "a|str"),
    "m.diagonal(v)": ("diagonal|dim", "1"),
    "m.diagonal(x, 0, 1, 1)": ("diagonal|dim", "1"),
    "m.diagonal(x, 0, 0, 2)": ("diagonal|dim", "2"),
    "m.diag(t)": ("diag", "3|2, 3, 4"),
    "m.trace(v)": ("trace", "3|1"),
    "m.trace(t)": ("trace", "3|2, 3, 4"),
    "v.mT": ("mT", "1|3"),
    "m.transpose(x, 0, 2)": ("transpose|dim", "2"),
    "m.permute(x, (0, 2))": ("permute|dim", "2"),
    "m.flatten(x, 1, 0)": ("flatten|start_dim", "1|0"),
    "m.unsqueeze(x, 4)": ("unsqueeze|dim", "4"),
    "m.stack([x, v])": ("stack", "3"),
    "m.cat([x, t])": ("cat", "3|2"),
    "m.cat([x, x], 2)": ("cat|dim", "2"),
    "m.cat(x)": ("cat", "Tensor|tensor"),
    # indices
    "x[2]": ("index", "2"),
    "x[:, m.tensor([3])]": ("index", "3"),
    "x[0, 0, 0]": ("ind", "2|3"),
    "x[m.tensor([0.5])]": ("ind", "float32"),
    "x[m.tensor([0, 1]), m.tensor([0, 1, 2])]": ("ind", "2|3"),
    "x[m.tensor([True, False, True])]": ("mask", "3"),
    "v[::-1]": ("step", "-1"),
    "m.gather(x, 0, i)": ("gather|index", "3|1"),
    "m.gather(x, 1, m.tensor([[3]]))": ("gather|index", "3"),
    "m.gather(x, 1, m.tensor([[0.5]]))": ("gather|index", "float32"),
    "m.gather(x, 2, m.tensor([[0]]))": ("gather|dim", "2"),
    "m.gather(x, 0, m.zeros(2, 4, dtype=m.int64))": ("gather|index", "4"),
    "m.scatter(x, 0, m.tensor([[2]]), 1.0)": ("scatter|index", "2"),
    "m.scatter(x, 0, m.tensor([[0, 0]]), m.ones(1, 1))": ("scatter|src|index", "1, 2|1, 1"),
    "m.scatter(x, 0, m.tensor([[0]]), m.ones(1, 1).double())": ("scatter|src", "float64"),
    "m.scatter_add(x, 0, m.tensor([[5]]), x)": ("scatter_add|index", "5"),
    "m.scatter_add(x, 0, m.tensor([[0]]), i)": ("scatter_add|src", "int64|1"),
    "m.scatter_add(x, 0, m.tensor([[0]]), 1.0)": ("scatter_add|src", "float|1.0"),
    "m.index_select(x, 0, m.tensor([2]))": ("index", "2"),
    "m.index_select(x, 2, m.tensor([0]))": ("index_select|dim", "2"),
    "m.index_select(x, 0, m.tensor([[0]]))": ("index", "1, 1|2"),
    "m.index_select(x, 0, v)": ("index", "float32"),
    "m.take_along_dim(x, i, 0)": ("take_along_dim|indices", "1|3"),
    "m.take_along_dim(x, v, 0)": ("take_along_dim|indices", "float32"),
    "m.bincount(v)": ("bincount", "float32"),
    "m.bincount(-i)": ("bincount|negative", "-2|negative"),
    "m.bincount(i, m.ones(2))": ("bincount|weights", "2"),
    "m.bincount(i, minlength=-1)": ("bincount|minlength", "-1"),
    "F.one_hot(v)": ("one_hot", "float32"),
    "F.one_hot(i, 2)": ("one_hot|num_classes", "2"),
    "F.one_hot(-i)": ("one_hot|negative", "-2|negative"),
    # sorting
    "m.sort(x, 2)": ("sort|dim", "2"),
    "m.argsort(x, -3)": ("sort|dim", "-3"),
    "m.topk(x, 4)": ("topk|k", "4"),
    "m.topk(x, -1)": ("topk|k", "-1"),
    "m.topk(x, 1, 2)": ("topk|dim", "2"),
    "m.topk(x, 1.5)": ("topk|k", "1.5|float"),
    "m.topk(x)": ("topk", "k"),
    # matrices
    "m.mm(x, x)": ("mm", "2, 3"),
    "m.mm(x, v)": ("mm", "3"),
    "m.mm(t, t)": ("mm", "3|2, 3, 4"),
    "m.bmm(t, t)": ("bmm", "2, 3, 4"),
    "m.bmm(x, x)": ("bmm", "2|3"),
    "m.mv(x, m.ones(2))": ("mv", "2"),
    "m.mv(v, v)": ("mv", "1|3"),
    "m.dot(v, m.ones(2))": ("dot", "2"),
    "m.dot(x, x)": ("dot", "2"),
    "m.dot(v, v.double())": ("dot", "float64"),
    "m.dot(v, i)": ("dot", "int64"),
    "m.outer(x, v)": ("outer", "2"),
    "m.matmul(s, x)": ("matmul", "0|\\(\\)"),
    "m.einsum('ij,jk', x)": ("einsum|operand", "1|2"),
    "m.einsum('ij', x, x)": ("einsum|operand", "1|2"),
    "m.einsum('ijk', x)": ("einsum|subscript", "3|2"),
    "m.einsum('ij,jk', x, x)": ("einsum", "2|3"),
    "m.einsum('ij->k', x)": ("einsum|subscript", "k"),
    "m.einsum('ij->ii', x)": ("einsum|subscript", "i"),
    "m.einsum('ii', x)": ("einsum|subscript", "2|3"),
    "m.einsum('i1', x)": ("einsum|subscript", "1"),
    "m.einsum('ij->j->i', x)": ("einsum|equation|subscript", "->"),
    "m.einsum('...i...', x)": ("einsum|ellipsis|\\.\\.\\.", "\\.\\.\\."),
    "m.linalg.inv(x)": ("inv", "2, 3"),
    "m.linalg.inv(v)": ("inv", "3|1"),
    "m.linalg.inv(m.ones(2, 2))": ("inv", "singular"),
    "m.linalg.inv(m.ones(2, 2).long())": ("inv", "int64"),
    "m.linalg.det(x)": ("det", "2, 3"),
    "m.linalg.det(i)": ("det", "3|1|int64"),
    "m.linalg.slogdet(x)": ("slogdet", "2, 3"),
    "m.linalg.cholesky(x)": ("cholesky", "2, 3"),
    "m.linalg.cholesky(-q)": ("cholesky", "positive"),
    "m.linalg.solve(q, m.ones(2))": ("solve", "2"),
    "m.linalg.solve(x, v)": ("solve", "2, 3"),
    "m.linalg.solve(m.ones(3, 3), v)": ("solve", "singular"),
    "m.linalg.solve(q, v.double())": ("solve", "float64"),
    "m.linalg.solve(q, s)": ("solve", "0|\\(\\)"),
    "m.linalg.solve_triangular(q, q)": ("solve_triangular", "upper"),
    "m.linalg.solve_triangular(q, v, upper=True)": ("solve_triangular", "3|1"),
    "m.linalg.solve_triangular(x, q, upper=True)": ("solve_triangular", "2, 3"),
    "m.linalg.solve_triangular(q, x, upper=True)": ("solve_triangular", "2, 3"),
    # nn.functional
    "F.linear(x, m.ones(4, 2))": ("linear|weight", "4, 2|2"),
    "F.linear(x, m.ones(4, 3), m.ones(3))": ("linear|bias", "3"),
    "F.conv2d(image, m.ones(4, 2, 3, 3))": ("conv2d|channels|weight", "2|3"),
    "F.conv2d(image, m.ones(4, 3, 6, 6))": ("conv2d|kernel|weight", "6"),
    "F.conv2d(image, m.ones(4, 3, 3))": ("conv2d|weight", "3"),
    "F.conv2d(image, m.ones(4, 3, 3, 3), m.ones(3))": ("conv2d|bias", "3"),
    "F.conv2d(image, m.ones(4, 3, 3, 3), stride=0)": ("conv2d|stride", "0"),
    "F.conv2d(image, m.ones(4, 3, 3, 3), padding=-1)": ("conv2d|padding", "-1"),
    "F.conv2d(image, m.ones(4, 3, 3, 3), stride=(1, 1, 1))": ("conv2d|stride", "1, 1, 1|3"),
    "F.conv2d(image, m.ones(4, 3, 3, 3).double())": ("conv2d|dtype|weight", "float64"),
    "F.conv1d(x, m.ones(4, 3, 2))": ("conv1d|channels|weight", "3|2"),
    "F.conv1d(v, m.ones(4, 3, 2))": ("conv1d|input", "3|1"),
    "F.conv1d(x, m.ones(1, 2, 4))": ("conv1d|kernel|weight", "4"),
    "F.max_pool2d(image, 6)": ("max_pool2d|kernel_size", "6|5"),
    "F.max_pool2d(image, 0)": ("max_pool2d|kernel_size", "0"),
    "F.max_pool2d(image, 2, 0)": ("max_pool2d|stride", "0"),
    "F.max_pool2d(image, 2, 2, 2)": ("max_pool2d|padding", "2"),
    "F.max_pool2d(x, 2)": ("max_pool2d|input", "2"),
    "F.max_pool2d(image, (1, 2, 3))": ("max_pool2d|kernel_size", "1, 2, 3|3"),
    "F.avg_pool2d(image, 6)": ("avg_pool2d|kernel_size", "6|5"),
    "F.avg_pool2d(image, 2, 2, 2)": ("avg_pool2d|padding", "2"),
    "F.avg_pool2d(image, 2, divisor_override=0)": ("avg_pool2d|divisor_override", "0"),
    "F.dropout(x, 1.5)": ("dropout|p", "1.5"),
    "F.dropout(x, -0.1)": ("dropout|p", "-0.1"),
    "F.layer_norm(x, (2,))": ("layer_norm|normalized_shape", "2"),
    "F.layer_norm(x, ())": ("layer_norm|normalized_shape", "\\(\\)|0"),
    "F.layer_norm(x, (3,), m.ones(2))": ("layer_norm|weight", "2"),
    "F.layer_norm(x, (3,), bias=m.ones(2))": ("layer_norm|bias", "2"),
    "F.embedding(v, x)": ("embedding|input", "float32"),
    "F.embedding(i, x)": ("embedding|index|input", "2"),
    "F.embedding(-i, x)": ("embedding|index|input", "-2|-1"),
    "F.mse_loss(x, m.ones(4))": ("mse_loss|target", "4"),
    "F.mse_loss(x, x, reduction='average')": ("reduction", "average"),
    "F.l1_loss(x, x, reduction='average')": ("reduction", "average"),
    "F.l1_loss(x, m.ones(4))": ("l1_loss|target", "4"),
    "F.smooth_l1_loss(x, x, beta=-1.0)": ("beta", "-1"),
    "F.smooth_l1_loss(x, x, reduction=2)": ("reduction", "2"),
    "F.binary_cross_entropy(x, x)": ("binary_cross_entropy|input", "between|6|0"),
    "F.binary_cross_entropy(x / 9, v / 9)": ("binary_cross_entropy|target", "2, 3|3"),
    "F.binary_cross_entropy(x / 9, x / 9, reduction='average')": ("reduction", "average"),
    "F.binary_cross_entropy_with_logits(x, v)": ("binary_cross_entropy|target", "2, 3|3"),
    "F.binary_cross_entropy_with_logits(x, x, pos_weight=m.ones(4))": ("pos_weight|weight", "4"),
    "F.cross_entropy(x, m.tensor([0, 3]))": ("cross_entropy|target|class", "3"),
    "F.cross_entropy(x, m.tensor([0, -1]))": ("cross_entropy|target|class", "-1"),
    "F.cross_entropy(x, i)": ("cross_entropy|target|batch", "2|3"),
    "F.cross_entropy(x, m.tensor([[0], [1]]))": ("cross_entropy|target", "2, 1|1"),
    "F.cross_entropy(x, m.ones(2, 4))": ("cross_entropy|target", "4"),
    "F.cross_entropy(x, m.tensor([0, 1]), weight=m.ones(2))": ("cross_entropy|weight", "2"),
    "F.cross_entropy(x, m.tensor([0, 1]), reduction='average')": ("reduction", "average"),
    "F.cross_entropy(x, m.tensor([0, 1]), label_smoothing=1.5)": ("label_smoothing", "1.5"),
    "F.nll_loss(x, m.tensor([0, 3]))": ("nll_loss|target", "3"),
    "F.nll_loss(x, i)": ("nll_loss|target|batch", "2|3"),
    "F.nll_loss(x, m.tensor([0.0, 1.0]))": ("nll_loss|target", "float32"),
    "F.nll_loss(x, m.tensor([0, 1]), weight=m.ones(2))": ("nll_loss|weight", "2"),
    "F.nll_loss(x, m.tensor([0, 1]), reduction='average')": ("reduction", "average"),
    "F.kl_div(x, m.ones(4))": ("kl_div|target", "4"),
    "F.kl_div(x, x, reduction='average')": ("reduction", "average"),
    "F.gaussian_nll_loss(x, x, -x)": ("gaussian_nll_loss|var", "negative|-"),
    "F.gaussian_nll_loss(x, x, m.ones(4))": ("gaussian_nll_loss|var", "4"),
    "F.gaussian_nll_loss(x, x, x, reduction='average')": ("reduction", "average"),
    "F.gumbel_softmax(x, dim=2)": ("gumbel_softmax|softmax|dim", "2"),
    "m.allclose(x, m.ones(4))": ("allclose", "4"),
    "m.allclose(x, x.double())": ("allclose", "float64"),
    "m.logical_and(x, m.ones(4))": ("logical_and", "4"),
    "m.eq(x, m.ones(4))": ("eq", "4"),
}


@pytest.mark.parametrize("call", REFUSED)
def test_wrong_calls_raise_pytorchs_kind_of_exception_in_better_words(call):
    theirs = attempt(run, ref, call, {name: make(ref) for name, make in INPUTS.items()})
    assert isinstance(theirs, Exception), "PyTorch takes this call"
    with pytest.raises(kind(theirs)) as caught:
        run(torch, call, {name: make(torch) for name, make in INPUTS.items()})
    if UNDER_TEST != "torch":
        word, shown = REFUSED[call]
        assert re.search(word, str(caught.value)), f"names neither function nor argument: {caught.value}"
        assert re.search(shown, str(caught.value)), f"does not show what was wrong: {caught.value}"
