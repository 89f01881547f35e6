"""At kinks, poles, ties, infinities and on empty arrays every operation gives what PyTorch gives.

A case is a call and the exact values of its inputs. Outputs and gradients must agree to the last NaN, and second
derivatives wherever the inputs and PyTorch's second derivatives are finite. Where PyTorch raises, so must we.
"""

import numpy as np
import pytest
from against_pytorch import (
    UNDER_TEST,
    array,
    arrays_of,
    assert_all_close,
    attempt,
    derivatives,
    kind,
    leaves_of,
    outputs_of,
    ref,
    requires_grad,
    run,
    run_exactly,
    torch,
    values,
    zeros_for_none,
)

pytestmark = pytest.mark.filterwarnings("ignore")

inf, nan = float("inf"), float("nan")
CASES = {}


def at(*calls, **inputs):
    """These calls at these values; inputs of whole numbers or truth values alone are constants."""
    for call in calls:
        shown = {key: f"{value}".replace(" ", "") for key, value in inputs.items()}
        name = " ".join([call, *(f"{key}={text if len(text) < 80 else text[:20]}" for key, text in shown.items())])
        assert name not in CASES, name
        CASES[name] = (call, {key: values(value) for key, value in inputs.items()})


def names(template, functions):
    return [template.format(function) for function in functions.split()]


# ---------------------------------------------------------------- ties

TIES = [[1.0, 1.0, 0.0], [0.0, 2.0, 2.0], [3.0, 3.0, 3.0]]
at(
    *names("m.{}(x)", "max min amax amin"),
    *names("m.{}(x, 0)", "max min amax amin"),
    *names("m.{}(x, -1)", "max min amax amin argmax argmin"),
    *names("m.{}(x, (0, 1))", "amax amin"),
    *names("m.{}(x, x.detach())", "maximum minimum"),
    *names("m.{}(x, x)", "maximum minimum max min"),
    *names("m.{}(x, 1, keepdim=True)", "amax amin"),
    "m.sort(x, stable=True)",
    "m.sort(x, stable=True, descending=True, dim=1)",
    "m.sort(x, dim=0, stable=True, descending=True)",
    "m.argsort(x, stable=True)",
    "m.argsort(x, stable=True, descending=True)",
    "m.sort(x.detach()).values",
    "m.topk(x.detach(), 2).values",
    "m.topk(x.detach(), 2, largest=False).values",
    "m.norm(x, float('inf'))",
    "m.norm(x, float('inf'), 1)",
    "m.norm(x, float('-inf'), 0)",
    "m.logsumexp(x, 1)",
    x=TIES,
)
at("m.max(x)", "m.amax(x)", "m.max(x, 0)", "m.sort(x, stable=True)", x=[nan, 1.0, nan])
at("m.min(x)", "m.amin(x)", "m.min(x, 0)", "m.amax(x)", "m.max(x)", x=[2.0, nan, 2.0])
at("m.maximum(a, b)", "m.minimum(a, b)", "m.max(a, b)", a=[1.0, nan, 2.0, nan, -0.0], b=[1.0, 1.0, nan, nan, 0.0])
at("m.maximum(a, b)", "m.minimum(a, b)", a=1.0, b=[1.0, 2.0, 0.0])
at(
    "F.max_pool2d(x, 2)",
    "F.max_pool2d(x, 2, 1)",
    "F.max_pool2d(x, 2, 2, 1)",
    x=[[[1.0, 1.0, 2.0, 0.0], [1.0, 1.0, 0.0, 2.0], [5.0, 4.0, -1.0, -1.0], [4.0, 5.0, -1.0, -1.0]]],
)
at("F.max_pool2d(x, 2)", x=[[[-inf, -inf, nan, 1.0], [-inf, -inf, 2.0, nan]]])
at("F.max_pool2d(x, 2, 1, 1)", "F.avg_pool2d(x, 2, 1, 1)", x=[[[-1.0, -2.0], [-3.0, inf]]])

# ---------------------------------------------------------------- kinks of elementwise functions

OF_ONE = [
    *names("m.{}(x)", "relu abs sign square sqrt rsqrt reciprocal exp exp2 expm1 log log2 log10 log1p"),
    *names("m.{}(x)", "sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sigmoid"),
    *names("m.{}(x)", "erf erfc erfinv floor ceil round trunc frac nan_to_num isnan isfinite neg"),
    *names("F.{}(x)", "relu leaky_relu elu gelu silu softplus logsigmoid"),
    "F.gelu(x, approximate='tanh')",
    "F.leaky_relu(x, 0.0)",
    "F.leaky_relu(x, -0.5)",
    "F.elu(x, 0.0)",
    "m.nan_to_num(x, 1.5)",
    "m.nan_to_num(x, nan=0.0, posinf=9.0, neginf=-9.0)",
    "m.clamp(x, -1, 1)",
    "m.clamp(x, 0, 0)",
    "m.clamp(x, min=0.0)",
    "m.clamp(x, max=0)",
    "m.clamp(x, 2, 1)",
    "x * m.log(x)",
    "m.xlogy(x, x)",
    "m.xlogy(x, x.detach())",
    "m.xlogy(x.detach(), x)",
    "m.xlogy(0.0, x)",
    "m.xlogy(x, 0.0)",
    "m.xlogy(x, -1.0)",
    "m.xlogy(x, float('nan'))",
    "m.where(x > 0, m.sqrt(x), 0.0)",
    "m.where(x > 0, m.log(x), x)",
    "m.where(x > 0, 1 / x, m.zeros_like(x))",
    "m.masked_fill(m.log(x), x <= 0, 0.0)",
    "m.masked_fill(x, x == x, 3.0)",
    "x / x",
    "0 * x",
    "0.0 / x",
    "x - x",
    "x * x.detach()",
]
at(*OF_ONE, x=[0.0, -0.0, 1.0, -1.0])
at(*OF_ONE, x=[nan, inf, -inf])
LOGITS = ["m.logit(x)", "m.logit(x, eps=0.1)", "m.logit(x, eps=0.0)"]
# PyTorch's slope at -0.0 is -inf or inf, and with eps that of NaN 0 or NaN, as the length of the array has it.
at(*LOGITS, x=[0.0, 1.0, -1.0])
at("m.logit(x)", x=[nan, inf, -inf])
at(*LOGITS[1:], x=[inf, -inf])
for power in (0, 1, 2, 3, -1, -2, 0.5, 1.5, -0.5, 1.0, 2.0, inf, -inf, nan):
    number = str(power) if np.isfinite(power) else f"float('{power}')"
    at(f"m.pow(x, {number})", x=[0.0, -0.0, 1.0, -1.0, 2.0, -2.0])
    at(f"m.pow(x, {number})", x=[nan, inf, -inf])
for base in (0.0, 1.0, -1.0, 2.0, -2.0, 0, 1, 2):
    at(f"m.pow({base}, y)", y=[0.0, -0.0, 1.0, 2.0, 3.0, 0.5, -1.0, -0.5])
    at(f"m.pow({base}, y)", y=[nan, inf, -inf])
OF_TWO = [
    "m.pow(x, y)",
    "m.atan2(x, y)",
    "m.xlogy(x, y)",
    "m.logaddexp(x, y)",
    "m.remainder(x, y)",
    "m.div(x, y)",
    "m.div(x, y, rounding_mode='floor')",
    "m.div(x, y, rounding_mode='trunc')",
    "m.maximum(x, y)",
    "m.minimum(x, y)",
    "m.where(x > y, x, y)",
    "m.lerp(x, y, 0.5)",
    "m.eq(x, y)",
    "m.lt(x, y)",
    "m.ge(x, y)",
    "m.ne(x, y)",
    "m.logical_and(x, y)",
    "m.logical_xor(x, y)",
    "m.sub(x, y, alpha=0)",
]
for left, right in (
    ([0.0, -0.0, 1.0, -2.0, 2.5], [0.0, -0.0, 1.0, -1.0, 2.0, -0.5, 3.0]),
    ([0.0, 1.0, -2.0, inf, -inf, nan], [-0.0, 1.0, -1.0, 0.5, inf, -inf, nan]),
):
    every_left, every_right = (side.ravel().tolist() for side in np.meshgrid(left, right))
    at(*OF_TWO, x=every_left, y=every_right)
at(
    "m.clamp(x, a, b)",
    x=[0.0, 1.0, 2.0, 0.5, 3.0, -3.0],
    a=[0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    b=[2.0, 1.0, 2.0, 0.0, 1.0, 1.0],
)
at(
    "m.clamp(x, a, b)",
    x=[0.0, 2.0, 1.0, 1.5, nan, 0.0, 0.0],
    a=[1.0, 2.0, 1.0, 3.0, 0.0, nan, 0.0],
    b=[1.0, 2.0, -1.0, 1.0, 1.0, 1.0, nan],
)
at("m.clamp(x, min=a)", "m.clamp(x, max=a)", x=[0.0, 1.0, nan, -0.0], a=[0.0, 1.0, 0.0, nan])
at("m.clamp(x, -1.0, float('nan'))", "m.clamp(x, float('-inf'), float('inf'))", x=[0.0, -1.0, inf])
at(
    "m.remainder(x, y)",
    "m.div(x, y, rounding_mode='floor')",
    "m.div(x, y, rounding_mode='trunc')",
    "m.div(x, y)",
    x=[5.0, -5.0, 5.0, -5.0, 6.0, -6.0, 0.3, -0.3, 1e-3],
    y=[3.0, 3.0, -3.0, -3.0, 3.0, 3.0, 0.1, 0.1, -1e10],
)
at(
    "m.remainder(x, y)",
    "m.div(x, y, rounding_mode='floor')",
    "m.div(x, y, rounding_mode='trunc')",
    x=[5, -5, 5, -5, 6, -6],
    y=[3, 3, -3, -3, 3, -3],
)
at(
    "x // y",
    "x % y",
    "m.div(x, 0, rounding_mode='floor')",
    "m.div(x, 0, rounding_mode='trunc')",
    "m.remainder(x, 0)",
    "x / 0",
    "x / y",
    "x / 0.0",
    "m.div(x, 0.0, rounding_mode='floor')",
    x=[5, -5, 0],
    y=[0, 0, 0],
)
at(
    *names("m.{}(x)", "round floor ceil trunc frac"),
    "m.round(x, decimals=1)",
    "m.round(x / 10, decimals=1)",
    "m.round(x * 10, decimals=-1)",
    x=[0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999999999999994, 1e16 + 2, -0.3],
)
at("m.round(x, decimals=-1)", "m.round(x)", "m.floor(x)", x=[15, 25, -15])
at(
    *names("m.{}(x)", "asin acos atanh erfinv"),
    x=[1.0, -1.0, 1.5, -1.5, 1 - 1e-9],
)
at(*names("m.{}(x)", "acosh log sqrt lgamma digamma logit"), x=[1.0, 0.0, 0.5, 2.0, -0.5])
at("m.lgamma(x)", "m.digamma(x)", "m.polygamma(0, x)", "m.polygamma(1, x)", x=[0.0, -0.0, -1.5, 1.0, 2.0, inf, nan])
at("m.lgamma(x.detach())", "m.digamma(x.detach())", x=[-1.0, -2.0, -inf])
at("m.polygamma(2, x)", "m.polygamma(3, x)", x=[0.0, 1.0, 2.0])
at(
    *names("m.{}(x)", "exp expm1 sinh cosh exp2 sigmoid tanh"),
    "F.softplus(x)",
    "F.silu(x)",
    "F.elu(x)",
    x=[800.0, -800.0, 1100.0, -1100.0],
)
at("F.softplus(x, 2.0, 4.0)", "F.softplus(x, beta=1.0, threshold=2.0)", x=[2.0, 1.9999, 2.0001, -2.0])
at("m.lerp(a, b, w)", a=[1.0, 1.0, 1.0, 0.1, inf], b=[3.0, 3.0, 3.0, 0.7, 1.0], w=[0.0, 0.5, 1.0, 1.0, 0.4])
at("m.addcmul(a, b, w)", a=[1.0, inf, 0.0], b=[0.0, 0.0, inf], w=[inf, 1.0, 0.0])
at("m.logaddexp(a, b)", a=[1000.0, -1000.0, 0.0], b=[999.0, -1001.0, -800.0])
at("m.sign(x)", "m.abs(x)", x=[-3, 0, 4])
at("m.sign(x)", "m.logical_not(x)", x=[True, False])

# ---------------------------------------------------------------- reductions and scans

for zeros in (
    [2.0, 0.0, 3.0],
    [0.0, 0.0, 3.0],
    [0.0, 0.0, 0.0],
    [0.0],
    [2.0, -1.0, 0.0],
):
    at("m.prod(x)", "m.prod(x, 0)", "m.cumprod(x, 0)", "m.prod(x, 0, keepdim=True)", x=zeros)
at(
    "m.prod(x, 1)",
    "m.prod(x, 0)",
    "m.prod(x)",
    "m.cumprod(x, 0)",
    "m.cumprod(x, 1)",
    x=[[1.0, 0.0, 2.0], [0.0, 0.0, 4.0], [3.0, 2.0, 5.0]],
)
at("m.prod(x)", "m.cumprod(x, 0)", x=0.0)
at("m.prod(x)", "m.prod(x, 0)", x=[1.0, nan, 0.0])
at("m.prod(x.detach())", "m.cumprod(x.detach(), 0)", x=[2.0, inf, 0.0, 1.0])
for p in ("2", "1", "0", "3", "1.5", "0.5", "float('inf')", "float('-inf')", "'fro'"):
    at(f"m.norm(x, {p})", f"m.norm(x, {p}, dim=0)", x=[0.0, 0.0, 0.0])
    at(f"m.norm(x, {p}, dim=1)", x=[[0.0, 0.0], [0.0, 3.0], [-4.0, 3.0]])
for p in (1, 2, inf):
    at(f"m.norm(x, float('{p}'), dim=1)", x=[[inf, 1.0], [nan, 1.0], [-inf, inf]])
at("m.norm(x)", "m.norm(x, 1)", x=0.0)
at("m.norm(x)", "m.std(x, correction=0)", x=[1e200, 1e200])
at("m.var(x)", "m.std(x)", "m.var(x, correction=0)", "m.std(x, unbiased=False)", "m.std(x, correction=2)", x=[3.0])
at("m.var(x, 1)", "m.std(x, 1, keepdim=True)", "m.std(x, 1, correction=0)", x=[[3.0], [4.0]])
at(
    "m.var(x)",
    "m.std(x)",
    "m.std(x, correction=0)",
    "m.std(x, 0)",
    "m.var(x, correction=3)",
    "m.var(x, correction=5)",
    x=[2.0, 2.0, 2.0],
)
at("m.var(x)", "m.std(x)", "m.std(x, 0, correction=0)", x=3.0)
at("m.std(x, 1)", "F.layer_norm(x, (3,))", x=[[2.0, 2.0, 2.0], [1.0, 2.0, 3.0]])
for infinite in ([-inf, -inf], [inf, inf], [inf, -inf], [inf, 1.0], [-inf, 1.0], [nan, 1.0], [1000.0, -1000.0]):
    at(
        *names("m.{}(x, 0)", "logsumexp softmax log_softmax logcumsumexp cumsum"),
        *names("m.{}(x)", "sum mean var std amax amin max min prod"),
        "m.logaddexp(x[0], x[1])",
        "m.norm(x)",
        "m.sort(x, stable=True)",
        x=infinite,
    )
at("m.logcumsumexp(x, 0)", x=[-inf, -inf, 0.0, -inf, 1.0, inf])
at("m.logcumsumexp(x, 0)", x=[700.0, 1000.0, -1000.0, 1000.0])
at(
    "m.sort(x, stable=True)",
    "m.sort(x, descending=True, stable=True)",
    "m.argsort(x, stable=True)",
    "m.topk(x, 3).values",
    "m.topk(x, 2, largest=False).values",
    x=[1.0, nan, -inf, inf, 0.5],
)
at(
    "m.sort(x, stable=True)",
    "m.topk(x, 1)",
    "m.cumsum(x, 0)",
    "m.amax(x)",
    "m.logcumsumexp(x, -1)",
    "m.flip(x, ())",
    x=2.0,
)

EMPTY = {
    "one dimension": [],
    "columns": [[], []],
}
for inputs in EMPTY.values():
    at(
        *names("m.{}(x)", "sum mean prod norm std var max min amax amin argmax argmin sort argsort flatten"),
        *names("m.{}(x, 0)", "sum mean prod std var max min amax amin argmax logsumexp softmax log_softmax norm"),
        *names("m.{}(x, 0)", "cumsum cumprod logcumsumexp sort argsort"),
        *names("m.{}(x, -1)", "sum mean prod std var max min amax amin argmin logsumexp softmax sort"),
        *names("m.norm(x, {})", "1 2 3 float('inf') float('-inf') -1"),
        *names("m.{}(x, -1, keepdim=True)", "sum prod mean amax logsumexp"),
        "m.amax(x, ())",
        "m.topk(x, 0)",
        "m.topk(x, 1)",
        "m.cat([x, x])",
        "m.stack([x, x])",
        "m.split(x, 1)",
        "m.chunk(x, 2, -1)",
        "m.roll(x, 1, 0)",
        "m.flip(x, (0,))",
        "x.repeat(2, 2)",
        "m.where(x > 0, x, x)",
        "m.clamp(x, 0, 1)",
        "x[x > 0]",
        "x[..., 0:0]",
        "m.einsum('...i,...i->...', x, x)",
        "F.mse_loss(x, x * 2)",
        "F.l1_loss(x, x * 2, reduction='sum')",
        "F.smooth_l1_loss(x, x)",
        "F.dropout(x, 0.5)",
        x=np.zeros(np.shape(inputs)).tolist(),
    )
at("m.dot(x, x)", "m.outer(x, x)", "m.diag(x)", "m.bincount(x.long())", "m.linalg.det(x.reshape(0, 0))", x=[])
at("m.linalg.slogdet(x.reshape(0, 0))", "m.linalg.inv(x.reshape(0, 0))", "m.linalg.cholesky(x.reshape(0, 0))", x=[])
at(
    "F.cross_entropy(x.reshape(0, 3), m.zeros(0, dtype=m.int64))",
    "F.nll_loss(x.reshape(0, 3), m.zeros(0, dtype=m.int64))",
    x=[],
)
at(
    "F.nll_loss(x.reshape(0, 3), m.zeros(0, dtype=m.int64), reduction='sum')",
    "F.kl_div(x, x)",
    "F.binary_cross_entropy(x, x)",
    x=[],
)
at("F.binary_cross_entropy_with_logits(x, x.detach())", "F.linear(x.reshape(0, 2), m.ones(3, 2, dtype=x.dtype))", x=[])

# ---------------------------------------------------------------- matrices

SINGULAR = [[1.0, 2.0], [2.0, 4.0]]
at("m.linalg.slogdet(x)[1].detach()", "m.linalg.slogdet(x.detach())", x=SINGULAR)
at("m.linalg.inv(x)", "m.linalg.solve(x, x)", "m.linalg.cholesky(x)", x=[[0.0, 0.0], [0.0, 0.0]])
at("m.linalg.det(x).detach()", x=[[0.0, 0.0], [0.0, 0.0]])
at("m.linalg.inv(x)", "m.linalg.solve(x, x[0])", x=[[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]])
at("m.linalg.det(x)", "m.linalg.slogdet(x)", "m.linalg.inv(x)", x=[[0.0, 1.0], [1.0, 0.0]])
at("m.linalg.det(x)", "m.linalg.slogdet(x)", x=[[[0.0, 2.0], [1.0, 0.0]], [[3.0, 0.0], [0.0, 1.0]]])
at("m.linalg.cholesky(x)", x=[[1.0, 2.0], [2.0, 1.0]])
at("m.linalg.cholesky(x)", "m.linalg.cholesky(x, upper=True)", x=[[4.0, 99.0], [2.0, 5.0]])
at("m.linalg.solve_triangular(a, b, upper=True)", a=[[2.0, 1.0], [99.0, 4.0]], b=[[1.0], [2.0]])
at("m.linalg.solve_triangular(a, b, upper=True).detach()", a=[[2.0, 1.0], [0.0, 0.0]], b=[[1.0], [2.0]])
at("m.linalg.solve_triangular(a, b, upper=False, unitriangular=True)", a=[[99.0, 1.0], [3.0, 0.0]], b=[[1.0], [2.0]])
at(
    "m.tril(x, 9)",
    "m.tril(x, -9)",
    "m.triu(x, 9)",
    "m.triu(x, -9)",
    "m.diagonal(x, 3)",
    "m.diagonal(x, -2)",
    "m.diagonal(x, 9)",
    x=[[1.0, nan, inf], [4.0, 5.0, 6.0]],
)

# ---------------------------------------------------------------- indices

VECTOR = [1.0, 2.0, 3.0, 4.0, 5.0]
at(
    "x[5]",
    "x[-6]",
    "x[-5]",
    "x[5:]",
    "x[-99:99]",
    "x[3:1]",
    "x[m.tensor([5])]",
    "x[m.tensor([-6])]",
    "x[m.tensor([-5, 4])]",
    "x[0, 0]",
    "x[::-1]",
    "x[m.tensor([True, False])]",
    "x[m.tensor([0.5])]",
    "x[1.0]",
    "x[None, 0]",
    "x[0][None]",
    "x[0][...]",
    "x[0][0]",
    "x[0][m.tensor(True)]",
    "x[0][m.tensor(False)]",
    "x[m.tensor([[0, 0], [4, 4]])]",
    "x[m.tensor([2, 2, 2])]",
    "x[True, m.tensor([1, 2])]",
    "x[m.tensor(2):]",
    "x[: m.tensor(2)]",
    "x.take_along_dim(m.tensor([2, 2, 0]), 0)",
    "m.gather(x, 0, m.tensor([2, 2, 2, 0]))",
    "m.gather(x, 0, m.tensor([], dtype=m.int64))",
    "m.gather(x, 0, m.tensor([5]))",
    "m.gather(x, 0, m.tensor([-1]))",
    "m.gather(x, 0, m.tensor([[1]]))",
    "m.index_select(x, 0, m.tensor([4, 4]))",
    "m.index_select(x, 0, m.tensor([5]))",
    "m.index_select(x, 0, m.tensor([-1]))",
    "m.index_select(x, 0, m.tensor([[0]]))",
    "m.scatter(x, 0, m.tensor([5]), 1.0)",
    "m.scatter(x, 0, m.tensor([-1]), 1.0)",
    "m.scatter(x, 0, m.tensor([1, 1, 1]), 7.0)",
    "m.scatter_add(x, 0, m.tensor([5]), x)",
    "m.scatter_add(x, 0, m.tensor([0, 0, 0, 4, 4]), x)",
    "m.scatter_add(x, 0, m.tensor([1, 1]), m.tensor([2.0, 3.0], dtype=x.dtype))",
    "m.topk(x, 5)",
    "m.topk(x, 6)",
    "m.topk(x, -1)",
    "m.split(x, 2)",
    "m.split(x, 9)",
    "m.split(x, [2, 0, 3])",
    "m.split(x, [2, 2])",
    "m.split(x, 0)",
    "m.split(x, -1)",
    "m.chunk(x, 9)",
    "m.chunk(x, 3)",
    "m.chunk(x, 0)",
    "m.roll(x, 13)",
    "m.roll(x, -13, 0)",
    "m.roll(x, (1, 2), 0)",
    "m.roll(x, (1, 2), (0, 0))",
    "m.flip(x, (0, 0))",
    "x.repeat(0)",
    "x.repeat()",
    "x.repeat(2, 3)",
    "x.repeat(-1)",
    "m.diag(x, 7)[0]",
    "m.broadcast_to(x, (5,))",
    "m.einsum('i->', x)",
    "m.einsum('i,i', x, x)",
    "m.einsum('...,...', x, x)",
    "m.einsum('a...a->...', m.outer(x, x))",
    "m.cat([x, x[:0]])",
    "m.cat([x, m.zeros(0)])",
    "m.masked_fill(x, m.tensor(True), 1)",
    "m.masked_fill(x, m.zeros(5, dtype=m.bool), 1)",
    x=VECTOR,
)
at(
    "x[m.tensor([0]), m.tensor([9])]",
    "x[2]",
    "x[:, 2]",
    "x[0, 0, 0]",
    "x[m.tensor([0, 1]), m.tensor([0, 1, 1])]",
    x=[[1.0, 2.0], [3.0, 4.0]],
)
at(
    "x[m.tensor([[True], [False]])]",
    "x[m.tensor([[True, False]])]",
    "x[m.tensor([True, False, True])]",
    x=[[1.0, 2.0], [3.0, 4.0]],
)
at(
    "x[0]",
    "x.squeeze()",
    "x[-1]",
    "x[m.tensor([0])]",
    "x[0:1]",
    "x[x > 9]",
    "x.sum()",
    x=[2.0],
)
at(
    "x[()]",
    "x[0]",
    "x[None]",
    "x[..., None]",
    "x[m.tensor(True)]",
    "x[m.tensor([0])]",
    "x[:]",
    "x.flatten()",
    "x.reshape(1)",
    x=2.0,
)
at("m.bincount(x)", "m.bincount(x, minlength=0)", "m.bincount(x, minlength=-1)", x=[0, 3, 3])
at("m.bincount(x)", "F.one_hot(x)", "F.one_hot(x, 2)", x=[0, -1, 3])
at("m.bincount(x, w.detach())", x=[1, 1, 4], w=[0.5, 0.25, nan])
at("m.bincount(x, w)", "m.bincount(x.float())", "m.bincount(x[None])", x=[1, 1, 4], w=[0.5, 0.25])
at(
    "F.embedding(m.tensor([1, 1, 0]), w, padding_idx=1)",
    "F.embedding(m.tensor([1, 0]), w, padding_idx=-2)",
    "F.embedding(m.tensor([2]), w)",
    "F.embedding(m.tensor([-1]), w)",
    w=[[1.0, 2.0], [3.0, nan]],
)

# ---------------------------------------------------------------- losses

at(
    *names("F.binary_cross_entropy(p, t, reduction='{}')", "mean sum none"),
    "F.binary_cross_entropy(p, t.detach(), reduction='none')",
    p=[0.0, 1.0, 0.0, 1.0, 0.5, 1e-30],
    t=[0.0, 1.0, 1.0, 0.0, 0.0, 1.0],
)
at("F.binary_cross_entropy(p, t)", p=[1.5], t=[1.0])
at("F.binary_cross_entropy(p, t)", p=[-0.1], t=[1.0])
at("F.binary_cross_entropy(p, t)", p=[nan], t=[1.0])
at(
    "F.binary_cross_entropy_with_logits(p, t, reduction='none')",
    p=[0.0, inf, -inf, 0.0, nan],
    t=[0.5, 1.0, 1.0, 0.0, 0.0],
)
for reduction in ("mean", "sum", "none"):
    at(
        f"F.l1_loss(a, b, reduction={reduction!r})",
        f"F.smooth_l1_loss(a, b, reduction={reduction!r})",
        f"F.smooth_l1_loss(a, b, reduction={reduction!r}, beta=0.0)",
        f"F.smooth_l1_loss(a, b, reduction={reduction!r}, beta=2.0)",
        f"F.mse_loss(a, b, reduction={reduction!r})",
        a=[1.0, 2.0, 3.0, 0.0, -1.0],
        b=[1.0, 1.0, 1.0, 1.0, 1.0],
    )
    at(
        f"F.cross_entropy(x, m.tensor([-100, -100]), reduction={reduction!r})",
        f"F.cross_entropy(x, m.tensor([1, -100]), label_smoothing=0.5, reduction={reduction!r})",
        f"F.cross_entropy(x, m.tensor([1, 0]), label_smoothing=1.0, reduction={reduction!r})",
        f"F.cross_entropy(x, m.tensor([1, 2]), ignore_index=2, label_smoothing=0.0, reduction={reduction!r})",
        f"F.cross_entropy(x, m.tensor([-100, -100]), label_smoothing=0.1, reduction={reduction!r})",
        f"F.nll_loss(x, m.tensor([-100, -100]), reduction={reduction!r})",
        f"F.nll_loss(x, m.tensor([1, 1]), ignore_index=1, reduction={reduction!r})",
        f"F.nll_loss(x, m.tensor([1, 2]), weight=m.tensor([1.0, 0.0, 0.0], dtype=x.dtype), reduction={reduction!r})",
        f"F.cross_entropy(x, m.tensor([1, 2]), weight=m.tensor([1.0, 0.0, 2.0], dtype=x.dtype), reduction={reduction!r})",
        x=[[1.0, 1.0, 1.0], [0.5, -1.0, 3.0]],
    )
    at(f"F.cross_entropy(x, m.tensor([0, 1]), reduction={reduction!r})", x=[[inf, 0.0], [-inf, 0.0]])
    at(f"F.cross_entropy(x, m.tensor([0, 1]), reduction={reduction!r})", x=[[-inf, 0.0], [1000.0, -1000.0]])
    at(f"F.cross_entropy(x, t, reduction={reduction!r})", x=[[-inf, 0.0], [1.0, 2.0]], t=[[0.0, 1.0], [0.0, 0.0]])
    at(f"F.kl_div(x, t, reduction={reduction!r})", x=[-1.0, -2.0, -inf], t=[0.0, 0.5, 0.0])
    at(f"F.kl_div(x, t, reduction={reduction!r}, log_target=True)", x=[-1.0, -2.0], t=[-1.0, -50.0])
    at(
        f"F.gaussian_nll_loss(x, t, v, reduction={reduction!r})",
        x=[1.0, 2.0, 3.0],
        t=[1.0, 1.0, 3.0],
        v=[1.0, 0.0, 1e-9],
    )
at("F.kl_div(x, t)", "F.kl_div(x, t, reduction='sum')", x=[-1.0], t=[-0.5])
at("F.gaussian_nll_loss(x, t, v)", x=[1.0], t=[1.0], v=[-1.0])
at("F.cross_entropy(x, m.tensor([0, 3]))", "F.nll_loss(x, m.tensor([-1, 0]))", x=[[1.0, 2.0, 0.0], [1.0, 2.0, 0.0]])
at("F.layer_norm(x, (1,))", x=[[1.0], [2.0]])
at("F.avg_pool2d(x, 2, 2)", "F.max_pool2d(x, 1)", x=[[[1.0]]])

# ---------------------------------------------------------------- running them


def evaluate(module, call, arrays, order):
    """The outputs, and the derivatives of their weighted sum."""
    leaves = leaves_of(module, arrays)
    outputs = outputs_of(run_exactly(module, call, leaves))
    return outputs, list(leaves.values()), *derivatives(module, outputs, list(leaves.values()), 1, order)


def forward(module, call, arrays):
    return outputs_of(run(module, call, leaves_of(module, arrays)))


ours = pytest.mark.skipif(UNDER_TEST == "torch", reason="PyTorch differs here, as the test says")
GELU = "F.gelu(x) x=[nan,inf,-inf]"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_at_the_edge_are_pytorchs(name, dtype):
    if (name, dtype) == (GELU, "float32"):
        pytest.skip("PyTorch's is no number; a test of its own holds it to float64")
    call, draws = CASES[name]
    arrays = arrays_of(draws, dtype)
    outputs = attempt(forward, ref, call, arrays)
    if isinstance(outputs, Exception):
        with pytest.raises(kind(outputs)):
            forward(torch, call, arrays)
        return
    smooth = dtype == "float64" and all(np.isfinite(a).all() for a in arrays.values())
    theirs = attempt(evaluate, ref, call, arrays, 2 if smooth else 1)
    if isinstance(theirs, Exception):  # PyTorch has no second derivative for a few
        theirs = evaluate(ref, call, arrays, 1)
    order = 1 if theirs[3] is None else 2
    mine = evaluate(torch, call, arrays, order)
    tolerance = 1e-10 if dtype == "float64" else 2e-5
    assert_all_close(mine[0], theirs[0], tolerance, "output")
    assert [requires_grad(out) for out in mine[0]] == [requires_grad(out) for out in theirs[0]]
    if theirs[2] is not None:
        assert_all_close(mine[2], theirs[2], tolerance, "gradient of input")
    if theirs[3] is not None:
        second = (zeros_for_none(module, part[3], part[1]) for module, part in ((torch, mine), (ref, theirs)))
        for number, (a, b) in enumerate(zip(*second, strict=True)):
            finite = np.isfinite(array(b))
            what = f"second derivative of input {number}"
            np.testing.assert_allclose(array(a)[finite], array(b)[finite], rtol=1e-9, atol=1e-9, err_msg=what)


@ours
def test_of_two_values_scattered_to_one_place_the_last_stands_and_it_alone_gets_the_gradient():
    # PyTorch's documentation leaves open which one stands, and calls its gradient, of both, incorrect.
    source = torch.tensor([7.0, 8.0, 9.0], requires_grad=True)
    y = torch.zeros(2).scatter(0, torch.tensor([1, 1, 0]), source)
    assert y.tolist() == [9.0, 8.0]
    (gradient,) = torch.autograd.grad((y * torch.tensor([2.0, 3.0])).sum(), source)
    assert gradient.tolist() == [0.0, 3.0, 2.0]


@ours
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("create_graph", [False, True])
def test_the_gradient_of_det_at_a_singular_matrix_is_the_adjugate(dtype, create_graph):
    # PyTorch gives it with create_graph=True, and otherwise what solving with a singular matrix gives.
    found = []
    for module in (torch, ref):
        x = module.tensor(np.array(SINGULAR, dtype), requires_grad=True)
        recorded = create_graph or module is ref
        found += module.autograd.grad(module.linalg.det(x), x, create_graph=recorded)
    assert_all_close(found[:1], found[1:], 1e-10 if dtype == "float64" else 2e-5, "gradient")
    np.testing.assert_allclose(array(found[0]), [[4.0, -2.0], [-2.0, 1.0]], rtol=1e-6)


@ours
def test_gelu_of_infinities_in_float32_is_that_in_float64():
    # PyTorch's own in float32 is no number at infinity.
    found = []
    for module, dtype in ((torch, "float32"), (ref, "float64")):
        x = module.tensor(np.array([nan, inf, -inf], dtype), requires_grad=True)
        y = module.nn.functional.gelu(x)
        found.append([array(y), *map(array, module.autograd.grad(y.sum(), x))])
    for mine, theirs in zip(*found, strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_array_equal(mine, theirs)
