"""Every further operation gives PyTorch's values, dtypes, gradients, second derivatives and node names.

`test_operations_against_pytorch.py` holds the arithmetic, the basic shapes and indices; here is the rest, as
function and as method, with arguments by position and by PyTorch's keywords.
"""

import itertools

import numpy as np
import pytest
from against_pytorch import (
    Draw,
    above_one,
    array,
    arrays_of,
    assert_all_close,
    assert_close,
    assert_gradients_close,
    between,
    derivatives,
    distinct,
    dtype_name,
    far_from_zero,
    leaves_of,
    off_integers,
    outputs_of,
    positive,
    positive_definite,
    real,
    ref,
    requires_grad,
    run,
    run_exactly,
    share,
    solvable,
    torch,
    unit,
    values,
    zeros_for_none,
)

pytestmark = pytest.mark.filterwarnings("ignore")

CASES: dict[str, tuple[str, dict[str, Draw]]] = {}
MAY_REFUSE: dict[str, tuple[str, dict[str, Draw]]] = {}


def case(call, may_refuse=False, **draws):
    """One call on drawn inputs. What may be refused is beyond the promises: PyTorch's numbers, or an exception."""
    name = " ".join([call, *(f"{key}={draw.shape}".replace(" ", "") for key, draw in draws.items())])
    if len(name) > 100:  # pytest would make a number of it
        name = f"{name[:90]}... {len(CASES)}"
    assert name not in CASES and name not in MAY_REFUSE, name
    (MAY_REFUSE if may_refuse else CASES)[name] = (call, draws)


def cases(*calls, **draws):
    for call in calls:
        case(call, **draws)


SHAPES = [(), (3, 4), (2, 0)]

# ---------------------------------------------------------------- elementwise, one input

UNARY = {
    "exp2": real,
    "log2": positive,
    "log10": positive,
    "rsqrt": positive,
    "reciprocal": far_from_zero,
    "sign": far_from_zero,
    "tan": unit,
    "asin": unit,
    "acos": unit,
    "atan": real,
    "sinh": real,
    "cosh": real,
    "asinh": real,
    "acosh": above_one,
    "atanh": unit,
    "logit": share,
    "erf": real,
    "erfc": real,
    "erfinv": unit,
    "lgamma": off_integers,
    "digamma": off_integers,
    "floor": off_integers,
    "ceil": off_integers,
    "round": off_integers,
    "trunc": off_integers,
    "frac": off_integers,
    "nan_to_num": real,
}
for (name, domain), shape in itertools.product(UNARY.items(), SHAPES):
    case(f"m.{name}(x)", x=domain(*shape))
for name, domain in UNARY.items():
    cases(f"x.{name}()", f"m.{name}(input=x)", x=domain(2, 3))
for name in "neg exp log log1p expm1 sqrt square abs sin cos tanh sigmoid relu".split():
    case(f"m.{name}(input=x)", x=positive(2, 3))

FUNCTIONAL_UNARY = ["relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "logsigmoid", "sigmoid", "tanh"]
for name, shape in itertools.product(FUNCTIONAL_UNARY, SHAPES):
    case(f"F.{name}(x)", x=far_from_zero(*shape))
for name in FUNCTIONAL_UNARY:
    if name != "logsigmoid":  # PyTorch's takes its argument by position only
        case(f"F.{name}(input=x)", x=far_from_zero(2, 3))
cases(
    "F.leaky_relu(x, 0.2)",
    "F.leaky_relu(x, negative_slope=0.3)",
    "F.leaky_relu(x, negative_slope=0.0)",
    "F.elu(x, 0.5)",
    "F.elu(x, alpha=2.0)",
    "F.gelu(x, approximate='none')",
    "F.gelu(x, approximate='tanh')",
    "F.softplus(x, 2.0, 1.0)",
    "m.logit(x * 0.1 + 0.5, 1e-3)",
    "m.logit(x, eps=0.2)",
    "x.logit(eps=0.3)",
    "m.round(x, decimals=1)",
    "x.round(decimals=2)",
    "m.round(x, decimals=-1)",
    "m.round(x, decimals=0)",
    "m.clamp(input=x, min=-0.5, max=0.7)",
    "m.clamp(x, max=0.7)",
    "m.nan_to_num(x, 1.0, 2.0, 3.0)",
    "x.nan_to_num(nan=1.0, posinf=2.0, neginf=-2.0)",
    "+x * 1",
    "x.reciprocal().rsqrt().abs()",
    x=far_from_zero(3, 4),
)
cases(
    "F.gelu(x)",
    "F.gelu(x, approximate='tanh')",
    "F.silu(x)",
    "F.softplus(x)",
    "F.logsigmoid(x)",
    "F.elu(x)",
    "m.asinh(x)",
    "m.atan(x)",
    "m.expm1(-abs(x))",
    "m.log1p(abs(x))",
    "m.erf(x)",
    "m.sigmoid(x)",
    x=values([19.0, -19.0, 50.0, -50.0, 90.0, -90.0, 120.0, -120.0, 1e-3, -1e-3, 1e-9, -1e-20]),
)
# One value at a time, so that each is held to its own size.
for x in (0.5, 2.0, 5.0, 8.0, 20.0, -5.0):
    case(f"m.erfc(x) # {x}", x=values([x, x * 1.1]))
for x in (1e-3, 0.7, 1.0001, 1.9999, 2.0001, 9.9, 10.1, 150.0, 1e5, -0.3, -2.6, -10.4):
    cases(f"m.lgamma(x) # {x}", f"m.digamma(x) # {x}", x=values([x, x * 1.0001]))
case("m.erfinv(x)", x=values([1e-12, 0.1, 0.4999, 0.74, 0.76, 0.93, 0.95, -0.97]))
for x in (0.9999, 0.99999999):
    case(f"m.erfinv(x) # {x}", x=values([x, -x]))
for n, shape in itertools.product(range(5), [(), (2, 3), (0,)]):
    case(f"m.polygamma({n}, x)", x=positive(*shape))
for n in range(5):
    cases(f"x.polygamma({n})", f"m.polygamma(n={n}, input=x)", x=positive(4))
    case(f"m.polygamma({n}, x)  # large", x=values([0.01, 0.3, 1.0, 2.0, 9.5, 10.5, 40.0, 1e3]))

# ---------------------------------------------------------------- elementwise, two and three inputs

PAIRS = [
    ((), ()),
    ((), (2, 3)),
    ((2, 1), (1, 3)),
    ((1, 1, 1), (2,)),
    ((2, 0), (2, 1)),
]
BINARY = {
    "m.atan2(a, b)": far_from_zero,
    "m.xlogy(a, b)": positive,
    "m.logaddexp(a, b)": real,
    "m.remainder(a, b)": far_from_zero,
    "m.maximum(a, b)": real,
    "m.minimum(a, b)": real,
    "m.div(a, b, rounding_mode='floor')": far_from_zero,
    "m.div(a, b, rounding_mode='trunc')": far_from_zero,
    "m.div(a, b, rounding_mode=None)": far_from_zero,
    "m.add(a, b, alpha=2)": real,
    "m.sub(a, b, alpha=0.5)": real,
    "m.pow(a, b)": positive,
}
for (call, domain), (left, right) in itertools.product(BINARY.items(), PAIRS):
    case(call, a=domain(*left), b=domain(*right))
cases(
    "a.atan2(b)",
    "m.atan2(input=a, other=b)",
    "a.xlogy(b * b)",
    "m.xlogy(input=a, other=b * b)",
    "a.logaddexp(b)",
    "m.logaddexp(input=a, other=b)",
    "a.remainder(b)",
    "m.remainder(input=a, other=b)",
    "a % b",
    "a.maximum(b)",
    "m.maximum(input=a, other=b)",
    "a.minimum(b)",
    "m.minimum(input=a, other=b)",
    "a.max(b)",
    "a.min(b)",
    "a.add(b)",
    "a.add(b, alpha=3)",
    "m.add(input=a, other=b)",
    "m.add(input=a, other=b, alpha=2.5)",
    "a.sub(b)",
    "a.sub(other=b, alpha=2)",
    "m.sub(input=a, other=b)",
    "a.mul(b)",
    "m.mul(input=a, other=b)",
    "a.div(b)",
    "a.div(b, rounding_mode='floor')",
    "a.div(other=b, rounding_mode='trunc')",
    "m.div(input=a, other=b)",
    "(a * a).pow(exponent=b)",
    "m.pow(input=a * a, exponent=b)",
    "m.where(condition=a > b, input=a, other=b)",
    "a.where(a > 0, b)",
    "m.logaddexp(a, a)",
    "m.atan2(a, a * a + 1)",
    "m.xlogy(a, a * a)",
    a=far_from_zero(2, 3),
    b=far_from_zero(2, 3),
)
cases(
    "m.xlogy(x, 2.5)",
    "m.xlogy(2.5, x)",
    "x.xlogy(2.5)",
    "m.xlogy(x, 3)",
    "m.remainder(x, 0.7)",
    "m.remainder(x, -0.7)",
    "x.remainder(2)",
    "x % 0.7",
    "m.div(x, 0.7, rounding_mode='floor')",
    "m.div(x, 0.7, rounding_mode='trunc')",
    "x.div(2)",
    "m.add(x, 2, alpha=3)",
    "m.sub(x, 2.5, alpha=3)",
    "m.mul(x, 2)",
    "m.div(x, 4)",
    "x.pow(2.5)",
    "m.pow(x, 1.0)",
    "m.pow(2.5, x)",
    "m.pow(x, 0)",
    "m.add(x, True)",
    x=positive(2, 3),
)
case("m.where(a > 0, a, 0.0)", a=far_from_zero(2, 3))

for a, b, w in [((3,), (3,), (3,)), ((2, 3), (3,), ()), ((), (2, 1), (3,)), ((2, 0), (2, 1), (1,)), ((), (), ())]:
    cases(
        "m.lerp(a, b, w)",
        "m.addcmul(a, b, w)",
        "m.addcmul(a, b, w, value=0.5)",
        a=real(*a),
        b=real(*b),
        w=real(*w),
    )
cases(
    "a.lerp(b, 0.3)",
    "m.lerp(a, b, 0.7)",
    "m.lerp(input=a, end=b, weight=0.5)",
    "a.lerp(end=b, weight=-2)",
    "m.lerp(input=a, end=b, weight=w)",
    "a.lerp(b, w)",
    "a.addcmul(b, w)",
    "a.addcmul(b, w, value=-2)",
    "m.addcmul(input=a, tensor1=b, tensor2=w, value=2.5)",
    "m.addcmul(a, a, a)",
    "m.clamp(a, b - 2, w + 2)",
    "m.clamp(a, min=b)",
    "a.clamp(max=w)",
    "m.clamp(input=a, min=b, max=w)",
    a=real(2, 3),
    b=real(2, 3),
    w=real(2, 3),
)
case("m.clamp(x, b, w)", x=real(2, 3), b=between(-1, 0)(3), w=between(0, 1)(2, 1))
case("m.clamp(x, min=b)", x=real(4), b=real())
case("m.clamp(x, min=b)", x=real(2, 0), b=real(1))
case("x.masked_fill(m.tensor([[True], [False]]), 2.5)", x=real(2, 3))
case("m.masked_fill(x, x > 0, -1)", x=far_from_zero(2, 3))
case(
    "m.masked_fill(input=x, mask=x > 0, value=float('-inf')).softmax(-1)", x=values([[1.0, -1.0, -0.5], [-1.0, 2, -3]])
)
case("x.masked_fill(m.tensor([True, False, True]), v)", x=real(2, 3), v=real())
case("x.masked_fill(m.tensor([[True], [False]]), 2.5)", x=real(3))
case("x.masked_fill(m.tensor(True), 2.5)", x=real())
case("x.masked_fill(mask=m.tensor([[True], [False]]), value=2)", x=real(2, 0))

# ---------------------------------------------------------------- reductions and scans

DIMS = {
    (5,): [0, -1],
    (3, 4): [0, -1],
    (2, 3, 4): [1, -3],
    (): [0, -1],
    (3, 0): [0],
}
SEVERAL = {(3, 4): [(0, 1), (-1,)], (2, 3, 4): [(0, 2), (-1, 0), (0, 1, 2)]}

for shape, dims in DIMS.items():
    for dim, kept in itertools.product(dims, (False, True)):
        case(f"m.prod(x, dim={dim}, keepdim={kept})", x=far_from_zero(*shape))
        case(f"x.prod({dim}, {kept})", x=far_from_zero(*shape))
        case(f"m.norm(x, 2, {dim}, {kept})", x=real(*shape))
        case(f"m.logsumexp(input=x, dim={dim}, keepdim={kept})", x=real(*shape))
        if shape != (3, 0) or dim == 0:
            case(f"m.amax(x, {dim}, {kept})", x=distinct(*shape))
            case(f"x.amin(dim={dim}, keepdim={kept})", x=distinct(*shape))
        if shape not in ((), (3, 0)):
            case(f"m.std(x, {dim}, keepdim={kept})", x=distinct(*shape))
            case(f"m.std(x, dim={dim}, correction=0, keepdim={kept})", x=distinct(*shape))
for shape, dims in SEVERAL.items():
    for dim, kept in itertools.product(dims, (False, True)):
        cases(
            f"m.amax(x, dim={dim}, keepdim={kept})",
            f"x.amin({dim}, {kept})",
            f"m.std(x, dim={dim}, keepdim={kept})",
            f"x.std({dim}, correction=0, keepdim={kept})",
            f"m.var(x, {dim}, correction=2, keepdim={kept})",
            f"x.norm(2, dim={dim}, keepdim={kept})",
            f"m.norm(x, p=1, dim={dim}, keepdim={kept})",
            f"m.logsumexp(x, {dim}, {kept})",
            x=distinct(*shape),
        )
for shape in [(), (1,), (5,), (3, 4), (2, 3, 2)]:
    cases("m.prod(x)", "x.prod()", "m.norm(x)", "m.amax(x)", "x.amin()", "m.amax(x, dim=())", x=distinct(*shape))
    if shape not in ((), (1,)):
        cases("m.std(x)", "x.std(correction=0)", "m.std(x, unbiased=False)", "x.std(unbiased=True)", x=distinct(*shape))
cases("m.prod(x)", "m.norm(x)", "x.sum()", x=real(2, 0))
for p in ("2", "1", "0", "3", "0.5", "1.5", "-1", "float('inf')", "float('-inf')", "'fro'"):
    cases(f"m.norm(x, {p})", f"x.norm(p={p}, dim=1)", f"m.norm(x, dim=(0, 1), p={p})", x=distinct(3, 4))
cases(
    "m.norm(input=x, p=2, dim=0, keepdim=False)",
    "m.norm(x, dim=1)",
    "x.norm(dim=(0, 1))",
    "m.norm(x, dim=0, dtype=m.float64)",
    "m.sum(input=x, dim=0)",
    "x.sum(dim=(0, 1), dtype=m.float64)",
    "m.mean(input=x, dim=(0, 1), keepdim=True)",
    "x.mean(dtype=m.float64)",
    "m.var(input=x, dim=0, correction=1, keepdim=True)",
    "m.std(input=x, dim=None, correction=1)",
    "m.std(x, 1, unbiased=False)",
    "m.prod(input=x, dim=1)",
    "m.prod(x, dtype=m.float64)",
    "x.prod(1, dtype=m.float64)",
    "m.amax(input=x, dim=1)",
    "m.max(input=x, dim=1, keepdim=True)",
    "m.min(input=x, dim=0)",
    "x.max(-1, keepdim=True)",
    "x.min(dim=-1)",
    "m.softmax(input=x, dim=1)",
    "m.softmax(x, dim=1, dtype=m.float64)",
    "m.log_softmax(input=x, dim=0)",
    "F.softmax(input=x, dim=-1)",
    "F.log_softmax(input=x, dim=-1, dtype=m.float64)",
    x=distinct(3, 4),
)
for shape, dims in {(5,): [0], (3, 4): [0, -1], (2, 3, 2): [1], (): [0, -1], (2, 0): [0, 1], (1, 3): [0]}.items():
    for dim in dims:
        cases(
            f"m.cumsum(x, {dim})",
            f"x.cumsum(dim={dim})",
            f"m.cumprod(x, dim={dim})",
            f"x.cumprod({dim})",
            f"m.logcumsumexp(x, {dim})",
            f"x.logcumsumexp(dim={dim})",
            x=far_from_zero(*shape),
        )
cases(
    "m.cumsum(input=x, dim=0)",
    "m.cumprod(input=x, dim=1)",
    "m.logcumsumexp(input=x, dim=1)",
    "m.cumsum(x, 0, dtype=m.float64)",
    "x.cumprod(1, dtype=m.float64)",
    "m.logcumsumexp(x * 30, 1) / 30",  # at 300 PyTorch's second derivative in float32 is right to two digits alone
    x=far_from_zero(3, 4),
)

# ---------------------------------------------------------------- matrices

MULTIPLICATIONS = {
    "mm": ("mat2", [((2, 3), (3, 4)), ((1, 1), (1, 1)), ((2, 0), (0, 3)), ((0, 2), (2, 3))]),
    "bmm": ("mat2", [((5, 2, 3), (5, 3, 4)), ((1, 2, 3), (1, 3, 1)), ((0, 2, 3), (0, 3, 2)), ((2, 2, 0), (2, 0, 2))]),
    "mv": ("vec", [((2, 3), (3,)), ((2, 0), (0,)), ((0, 2), (2,))]),
    "dot": ("tensor", [((3,), (3,)), ((0,), (0,)), ((1,), (1,))]),
    "outer": ("vec2", [((3,), (4,)), ((1,), (2,)), ((0,), (2,))]),
    "matmul": ("other", [((2, 3), (3, 4)), ((2, 1, 2, 3), (4, 3, 1)), ((3,), (5, 3, 2)), ((2, 3, 4), (4,))]),
}
for name, (second, shapes) in MULTIPLICATIONS.items():
    for left, right in shapes:
        case(f"m.{name}(a, b)", a=real(*left), b=real(*right))
    case(f"a.{name}(b)", a=real(*shapes[0][0]), b=real(*shapes[0][1]))
    case(f"m.{name}(input=a, {second}=b)", a=real(*shapes[0][0]), b=real(*shapes[0][1]))
case("m.dot(a, a)", a=real(3))
case("m.outer(a, a)", a=real(3))
case("m.mm(a, a)", a=real(3, 3))

for equation, *shapes in [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ij->ji", (2, 3)),
    ("ba", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->j", (2, 3)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("i,i->", (3,), (3,)),
    ("i,j->ij", (3,), (2,)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 2)),
    ("bij,jk->bik", (2, 3, 4), (4, 2)),
    ("...ij,...jk->...ik", (2, 1, 2, 3), (4, 3, 2)),
    ("...i->...", (2, 3)),
    ("i...->...i", (2, 3, 4)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("ij,ij->ij", (2, 3), (2, 3)),
    ("i,ij,j->", (2,), (2, 3), (3,)),
    ("ij , jk -> ik", (2, 3), (3, 4)),
    ("bn,anm,bm->ba", (2, 3), (4, 3, 2), (2, 2)),
    ("Ij,jK->IK", (2, 3), (3, 4)),
    ("ij,jk->ik", (1, 3), (1, 4)),
    ("ij,ij->i", (2, 0), (2, 0)),
    ("iij->j", (2, 2, 3)),
    (",i->i", (), (3,)),
]:
    draws = dict(zip("xyz", map(lambda s: real(*s), shapes), strict=False))
    case(f"m.einsum({equation!r}, {', '.join(draws)})", **draws)
case("m.einsum('ij,jk->ik', [a, b])", a=real(2, 3), b=real(3, 4))
case("m.einsum('ij,kj->ik', a, a)", a=real(2, 3))

SQUARE = [(1, 1), (3, 3), (2, 3, 3), (2, 1, 2, 2), (0, 0), (0, 3, 3)]
for shape in SQUARE:
    case("m.linalg.cholesky(a)", a=positive_definite(*shape))
    cases("m.linalg.inv(a)", "m.linalg.det(a)", "m.linalg.slogdet(a)", a=solvable(*shape))
for call in ("m.linalg.cholesky(a, upper=True)", "m.linalg.cholesky(input=a, upper=False)"):
    case(call, a=positive_definite(2, 3, 3))
case("m.linalg.cholesky(a @ a.mT + m.eye(3, dtype=a.dtype))", a=real(3, 3))
cases(
    "m.linalg.inv(A=a)",
    "m.linalg.det(A=a)",
    "m.linalg.slogdet(A=a).logabsdet",
    "m.linalg.slogdet(-a).sign",
    "m.linalg.slogdet(-a)[1]",
    "m.linalg.det(-a)",
    "m.linalg.inv(a.mT)",
    a=solvable(3, 3),
)
for a, b in [
    ((3, 3), (3,)),
    ((3, 3), (3, 2)),
    ((2, 3, 3), (2, 3, 2)),
    ((2, 3, 3), (3, 2)),
    ((3, 3), (2, 3, 2)),
    ((2, 3, 3), (2, 3)),
    ((3, 3), (3, 0)),
    ((0, 0), (0, 2)),
    ((1, 1), (1,)),
]:
    case("m.linalg.solve(a, b)", a=solvable(*a), b=real(*b))
case("m.linalg.solve(A=a, B=b)", a=solvable(3, 3), b=real(3, 2))
case("m.linalg.solve(a, b, left=False)", a=solvable(3, 3), b=real(2, 3))
case("m.linalg.solve(a, b, left=False)", a=solvable(4, 3, 3), b=real(4, 2, 3))
for upper, left, unit_diagonal in itertools.product((False, True), repeat=3):
    arguments = f"upper={upper}, left={left}, unitriangular={unit_diagonal}"
    case(
        f"m.linalg.solve_triangular(a, b, {arguments})",
        a=solvable(3, 3),
        b=real(3, 2) if left else real(2, 3),
    )
case("m.linalg.solve_triangular(a, b, upper=True)", a=solvable(2, 3, 3), b=real(3, 1))
case("m.linalg.solve_triangular(a, b, upper=False)", a=solvable(3, 3), b=real(2, 3, 2))
case("m.linalg.solve_triangular(m.tril(a), B=b, upper=False)", a=solvable(3, 3), b=real(3, 2))
case("m.linalg.solve_triangular(input=a, B=b, upper=False)", a=solvable(0, 0), b=real(0, 2))

for shape, diagonal in itertools.product([(3, 3), (2, 4), (4, 2), (2, 3, 3), (0, 3)], (0, 1, -1, 5, -5)):
    cases(f"m.tril(x, {diagonal})", f"x.triu({diagonal})", x=real(*shape))
cases("m.tril(x)", "x.tril()", "m.triu(input=x, diagonal=1)", "m.tril(input=x, diagonal=-1)", x=real(3, 4))
for arguments in ("", "1", "-1", "offset=1, dim1=1, dim2=0", "0, -2, -1", "3", "-2"):
    cases(f"m.diagonal(x{', ' * bool(arguments)}{arguments})", f"x.diagonal({arguments})", x=real(2, 3))
for arguments in ("0, 0, 2", "offset=1, dim1=-1, dim2=0", "1, 1, 2"):
    case(f"m.diagonal(x, {arguments})", x=real(3, 4, 2))
case("m.diagonal(input=x, offset=-1)", x=real(3, 3))
for diagonal in (0, 1, -2):
    case(f"m.diag(x, {diagonal})", x=real(3))
    case(f"x.diag({diagonal})", x=real(3, 4))
cases("m.diag(x)", "m.diag(input=x, diagonal=1)", "m.trace(x)", "x.trace()", "m.trace(input=x)", x=real(3, 4))
case("m.trace(x)", x=real(0, 0))
case("m.diag(x)", x=real(0))

# ---------------------------------------------------------------- shapes

cases("x.mT", "x.mT @ x", "x.T", x=real(2, 3))
cases("x.mT", "x.mT @ x", x=real(2, 3, 4))
cases("m.broadcast_to(x, (2, 3))", "x.broadcast_to((4, 2, 3))", "m.broadcast_to(input=x, size=(2, 3))", x=real(3))
case("m.broadcast_to(x, (2, 3))", x=real())
case("m.broadcast_to(x, (4, -1, 3))", x=real(2, 1))
case("m.broadcast_to(x, (0, 3))", x=real(1, 3))
cases(
    "x.reshape(shape=(3, 2))",
    "m.reshape(input=x, shape=(-1,))",
    "m.transpose(input=x, dim0=0, dim1=1)",
    "x.transpose(dim0=-1, dim1=0)",
    "m.permute(input=x, dims=(1, 0))",
    "x.permute(dims=(1, 0))",
    "m.permute(x, (-1, -2))",
    "m.flatten(input=x, start_dim=0, end_dim=1)",
    "x.flatten(start_dim=-2)",
    "m.unsqueeze(input=x, dim=1)",
    "x.unsqueeze(dim=-3)",
    "m.squeeze(input=x, dim=0)",
    "x[None].squeeze(dim=0)",
    "x[:, None, :, None].squeeze((1, 3))",
    "m.cat(tensors=[x, 2 * x], dim=-1)",
    "m.stack(tensors=[x, 2 * x], dim=-2)",
    "x.expand(4, -1, -1)",
    x=real(2, 3),
)
for arguments in ("2", "[1, 3]", "[4]", "[0, 2, 2]", "3", "5", "(1, 1, 2)"):
    cases(f"m.split(x, {arguments})", f"x.split({arguments})", x=real(4, 3))
cases("m.split(x, 2, 1)", "m.split(tensor=x, split_size_or_sections=[1, 2], dim=-1)", "x.split(2, dim=1)", x=real(4, 3))
cases("x.split([2, 1], 1)[1]", "x.split(split_size=1, dim=-1)[2]", x=real(2, 3))
for chunks in (1, 2, 3, 4, 7):
    cases(f"m.chunk(x, {chunks})", f"x.chunk({chunks}, dim=1)", x=real(5, 4))
case("m.chunk(input=x, chunks=2, dim=-1)", x=real(2, 3))
cases("m.chunk(x, 3, 1)", "m.split(x, 2, 0)", x=real(2, 0))
cases(
    "m.flip(x, (0,))",
    "m.flip(x, [0, -1])",
    "m.flip(input=x, dims=(1,))",
    "x.flip(1)",
    "x.flip(0, 1)",
    "x.flip((0, 1))",
    "x.flip(dims=(0,))",
    "m.roll(x, 1)",
    "m.roll(x, -2, 0)",
    "m.roll(x, 5, 1)",
    "m.roll(x, (1, -1), (0, 1))",
    "m.roll(input=x, shifts=(1, 2), dims=(0, 0))",
    "x.roll(1)",
    "x.roll(1, -1)",
    "x.roll(shifts=3, dims=0)",
    "x.repeat(2, 1)",
    "x.repeat(2, 3)",
    "x.repeat((2, 1, 2))",
    "x.repeat(1, 0)",
    "x.repeat(3, 2, 1, 1)",
    "x.repeat(repeats=(2, 2))",
    x=real(2, 3),
)
cases("m.flip(x, ())", "m.roll(x, 1)", "x.repeat(3)", "x.repeat(())", "x.repeat(2, 2)", x=real())
cases("m.flip(x, (0,))", "m.roll(x, 1)", "m.roll(x, 1, 1)", "x.repeat(2, 2)", x=real(2, 0))

# ---------------------------------------------------------------- reading by index

cases(
    "m.gather(x, 1, m.tensor([[0, 3], [2, 1], [0, 0]]))",
    "m.gather(x, 0, m.tensor([[0, 2, 1, 1]]))",
    "x.gather(-1, m.tensor([[3], [2]]))",
    "x.gather(dim=0, index=m.tensor([[2, 1]]))",
    "m.gather(input=x, dim=1, index=m.tensor([[0, 0, 0, 0, 1]]))",
    "m.gather(x, 0, m.zeros(0, 4, dtype=m.int64))",
    "m.index_select(x, 0, m.tensor([2, 0, 2]))",
    "x.index_select(1, m.tensor([3]))",
    "m.index_select(input=x, dim=-1, index=m.tensor([], dtype=m.int64))",
    "m.index_select(x, 0, m.tensor(1))",
    "m.index_select(x, 0, m.tensor([1, 2], dtype=m.int32))",
    "m.take_along_dim(x, m.tensor([[0, 3], [2, 1], [0, 0]]), 1)",
    "x.take_along_dim(m.tensor([[2, 1, 0, 1]]), dim=0)",
    "m.take_along_dim(x, m.tensor([7, 2, 2]))",
    "m.take_along_dim(input=x, indices=m.tensor([[1], [2], [0]]), dim=-1)",
    "m.take_along_dim(x, m.argsort(x, 1), 1)",
    "m.scatter(x, 1, m.tensor([[0], [2], [1]]), 2.5)",
    "x.scatter(0, m.tensor([[2, 1, 0, 1]]), -1)",
    "m.scatter(input=x, dim=1, index=m.tensor([[1, 0]]), value=4)",
    "x[1:, m.tensor([0, 2])]",
    "x[m.tensor([True, False, True]), 1]",
    "x[m.tensor([True, False, True])][:, m.tensor([False, True, True, False])]",
    "x[m.tensor([True, False, True]), m.tensor([0, 2])]",
    "x[m.tensor([[0, 1], [1, 2]]), None]",
    "x[None, m.tensor([0, 2]), ..., None]",
    "x[..., m.tensor([0, 2, 2])]",
    "x[m.tensor([0, 2])[:, None], m.tensor([1, 3])]",
    "x[m.tensor([-1, -3]), m.tensor([-1, 0])]",
    "x[[0, 2], [1, 3]]",
    "x[[True, False, True]]",
    "x[m.tensor(2), m.tensor(0)]",
    "x[m.tensor([1, 0], dtype=m.int32)]",
    "x[True]",
    "x[False]",
    "x[m.tensor(True)]",
    "x[1:2, [0, 0, 1]]",
    "x[::2, ::3]",
    "x[[]]",
    "x[x.argmax(0), m.arange(4)]",
    x=distinct(3, 4),
)
cases(
    "x[m.tensor([0, 1]), :, m.tensor([1, 3])]",
    "x[:, m.tensor([0, 2]), m.tensor([1, 3])]",
    "x[:, m.tensor([[0], [2]]), m.tensor([1, 3])]",
    "x[m.tensor([1, 0]), 1]",
    "x[0, :, m.tensor([1, 3])]",
    "x[:, 0, m.tensor([1, 3])]",
    "x[m.tensor([1, 0]), ..., 2]",
    "x[m.tensor([1]), None, m.tensor([0, 2])]",
    "x[:, m.tensor([True, False, True])]",
    "x[m.tensor([[True, False, True], [False, True, False]])]",
    "x[m.tensor([[True, False, True], [False, True, False]]), 1:]",
    "x[..., m.tensor([True, False, True, True])]",
    "x[:, None, m.tensor([2, 2, 2]), ::2]",
    "x[-1, ..., -1]",
    "x[m.tensor([[0, 1], [1, 0]]), m.tensor([2, 0])]",
    "x[1, m.tensor([0, 1]), m.tensor([2, 3])]",
    "m.index_select(x, 1, m.tensor([2, 1, 1]))",
    "m.gather(x, 2, m.tensor([[[0, 3]], [[1, 1]]]))",
    "m.gather(x, 1, m.tensor([[[0, 2, 1]]]))",
    "m.take_along_dim(x, m.tensor([[[2], [0]]]), 1)",
    x=real(2, 3, 4),
)
cases(
    "m.gather(x, 0, m.tensor(0))",
    "m.gather(x, 0, m.tensor([0, 0]))",
    "m.index_select(x, 0, m.tensor([0]))",
    "x.scatter(0, m.tensor(0), 2.0)",
    "x[()] * 2",
    "x[None]",
    "x[...] * 2",
    "x[x > -9]",
    "x[None, ..., None]",
    x=real(),
)
cases(
    "m.scatter(x, 1, m.tensor([[0, 2], [2, 1], [1, 3]]), s)",
    "m.scatter(input=x, dim=0, index=m.tensor([[2, 1], [0, 0], [1, 2]]), src=s)",
    "x.scatter(-1, m.tensor([[3, 0], [1, 2], [0, 1]]), s)",
    "m.scatter_add(x, 1, m.tensor([[0, 0], [2, 1], [1, 1]]), s)",
    "x.scatter_add(0, m.tensor([[2, 2], [2, 1], [1, 1]]), s)",
    "m.scatter_add(input=x, dim=0, index=m.tensor([[0, 0], [0, 0], [0, 0]]), src=s)",
    # PyTorch has no gradient for a source larger than its index
    "m.scatter(x, 1, m.tensor([[0], [2], [1]]), s.detach())",
    "x.scatter_add(dim=0, index=m.tensor([[2, 2]]), src=s.detach())",
    "x.scatter_add(1, m.zeros(0, 2, dtype=m.int64), s.detach())",
    x=real(3, 4),
    s=real(3, 2),
)
case("m.scatter_add(x, 0, m.tensor([1, 1, 2, 1]), s)", x=real(3), s=real(4))
case("m.scatter_add(x, 0, m.tensor(0), s)", x=real(), s=real())

# ---------------------------------------------------------------- sorting

for shape, dim in [((5,), 0), ((3, 4), 0), ((3, 4), -1), ((2, 3, 4), 1), ((), 0), ((2, 0), 1), ((2, 0), 0)]:
    for descending in (False, True):
        cases(
            f"m.sort(x, {dim}, {descending})",
            f"x.sort(dim={dim}, descending={descending})",
            f"m.argsort(x, dim={dim}, descending={descending})",
            x=distinct(*shape),
        )
cases(
    "m.sort(x)",
    "x.sort()",
    "m.sort(input=x, dim=0).values",
    "x.sort(0)[0]",
    "m.sort(x, dim=1, descending=True).indices",
    "m.sort(x, stable=True, dim=0)",
    "m.argsort(x)",
    "x.argsort(0)",
    "m.argsort(input=x, dim=0, descending=True)",
    "m.argsort(x, dim=1, stable=True)",
    "m.topk(x, 2)",
    "m.topk(x, 3, 0)",
    "x.topk(1)",
    "x.topk(2, dim=-2, largest=False)",
    "m.topk(input=x, k=4, dim=1, largest=True, sorted=True)",
    "m.topk(x, 2).values",
    "x.topk(2).indices",
    "x.topk(0)",
    x=distinct(3, 4),
)
case("m.topk(x, 2, 1)", x=distinct(2, 3, 2))
case("m.topk(x, 1)", x=distinct())
case("m.topk(x, 0)", may_refuse=True, x=distinct())

# ---------------------------------------------------------------- nn.functional

for x, bias in itertools.product([(3,), (2, 3), (4, 2, 3), (0, 3)], (False, True)):
    case(f"F.linear(x, w{', b' * bias})", x=real(*x), w=real(5, 3), b=real(5))
case("F.linear(input=x, weight=w, bias=b)", x=real(2, 3), w=real(1, 3), b=real(1))
case("F.linear(x, w, None)", x=real(2, 3), w=real(1, 3))
case("F.linear(x, w)", x=real(2, 3), w=real(3))

for arguments in (
    "",
    ", b",
    ", b, 2",
    ", b, 1, 1",
    ", b, stride=2, padding=2",
    ", stride=3",
    ", padding=(1,)",
    ", None, (2,), (1,)",
    ", padding=3",
):
    case(f"F.conv1d(x, w{arguments})", x=real(2, 3, 7), w=real(4, 3, 3), b=real(4))
case("F.conv1d(x, w)", x=real(3, 7), w=real(4, 3, 3))
case("F.conv1d(input=x, weight=w, bias=b, stride=1, padding=0)", x=real(1, 1, 5), w=real(2, 1, 5), b=real(2))
case("F.conv1d(x, w)", x=real(1, 2, 4), w=real(2, 2, 1))
for arguments in (
    "",
    ", b",
    ", b, 2",
    ", b, (2, 1)",
    ", b, 1, 1",
    ", b, 1, (0, 2)",
    ", b, stride=(1, 3), padding=(2, 1)",
    ", stride=2, padding=1",
):
    case(f"F.conv2d(x, w{arguments})", x=real(2, 3, 5, 6), w=real(4, 3, 3, 2), b=real(4))
case("F.conv2d(x, w, b)", x=real(3, 5, 6), w=real(4, 3, 3, 2), b=real(4))
case("F.conv2d(input=x, weight=w, bias=b, stride=1, padding=1)", x=real(1, 1, 3, 3), w=real(1, 1, 3, 3), b=real(1))
case("F.conv2d(x, w)", x=real(0, 2, 4, 4), w=real(3, 2, 2, 2))
for arguments in (
    "padding='same'",
    "padding='valid'",
    "dilation=2",
    "b, 1, 1, 2",
    "stride=2, padding=1, dilation=2",
):
    case(f"F.conv1d(x, w, {arguments})", may_refuse=True, x=real(2, 3, 9), w=real(4, 3, 3), b=real(4))
    case(f"F.conv2d(x, w, {arguments})", may_refuse=True, x=real(2, 3, 7, 8), w=real(4, 3, 3, 2), b=real(4))
case("F.conv1d(x, w, b, 1, 0, 1, 2)", may_refuse=True, x=real(2, 4, 6), w=real(4, 2, 3), b=real(4))
case("F.conv2d(x, w, groups=4)", may_refuse=True, x=real(2, 4, 5, 5), w=real(8, 1, 3, 3))

for arguments in (
    "2",
    "(2, 3)",
    "3, 1",
    "3, stride=(2, 1)",
    "2, 2, 1",
    "kernel_size=3, stride=2, padding=1",
    "kernel_size=(3, 2), padding=(1, 0)",
    "1",
):
    for pool in ("max_pool2d", "avg_pool2d"):
        case(f"F.{pool}(x, {arguments})", x=distinct(2, 2, 5, 6))
for pool in ("max_pool2d", "avg_pool2d"):
    cases(f"F.{pool}(x, 2)", f"F.{pool}(input=x, kernel_size=2, stride=None)", x=distinct(2, 4, 5))
    cases(f"F.{pool}(x, 2, ceil_mode=True)", f"F.{pool}(x, 3, 2, 1, ceil_mode=True)", x=distinct(1, 2, 5, 6))
cases(
    "F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)",
    "F.avg_pool2d(x, 3, 2, 1, True, False)",
    "F.avg_pool2d(x, 2, divisor_override=3)",
    x=real(1, 2, 5, 6),
)
case("F.max_pool2d(x, 2, 1, 0, 2)", may_refuse=True, x=distinct(1, 2, 5, 6))
case("F.max_pool2d(x, 2, return_indices=True)", may_refuse=True, x=distinct(1, 2, 5, 6))

for shape, normalized in [
    ((4, 5), "(5,)"),
    ((4, 5), "[5]"),
    ((2, 3, 4), "(3, 4)"),
    ((2, 3, 4), "(4,)"),
    ((5,), "(5,)"),
]:
    last = shape[-1:] if normalized != "(3, 4)" else shape[-2:]
    case(f"F.layer_norm(x, {normalized})", x=real(*shape))
    case(f"F.layer_norm(x, {normalized}, w)", x=real(*shape), w=real(*last))
    case(f"F.layer_norm(x, {normalized}, w, b)", x=real(*shape), w=real(*last), b=real(*last))
    case(f"F.layer_norm(x, {normalized}, bias=b, eps=0.1)", x=real(*shape), b=real(*last))
case("F.layer_norm(input=x, normalized_shape=(3,), weight=w, bias=b, eps=1e-3)", x=real(0, 3), w=real(3), b=real(3))
cases(
    "F.embedding(m.tensor([0, 2, 2]), w)",
    "F.embedding(m.tensor([[0, 2], [4, 2]]), w)",
    "F.embedding(m.tensor(3), w)",
    "F.embedding(m.tensor([], dtype=m.int64), w)",
    "F.embedding(m.tensor([1, 2], dtype=m.int32), w)",
    "F.embedding(input=m.tensor([0, 2, 2]), weight=w, padding_idx=2)",
    "F.embedding(m.tensor([0, 2, 4]), w, -1)",
    w=real(5, 3),
)
case("F.embedding(m.tensor([0, 2, 2]), w, scale_grad_by_freq=True)", may_refuse=True, w=real(5, 3))
case("F.one_hot(m.tensor([[0, 2], [1, 1]]), num_classes=4) * x", x=real(4))

REDUCTIONS = ("mean", "sum", "none")
for loss, reduction in itertools.product(("mse_loss", "l1_loss", "smooth_l1_loss"), REDUCTIONS):
    for shape in [(), (3,), (2, 3)]:
        case(f"F.{loss}(a, b, reduction={reduction!r})", a=real(*shape), b=real(*shape))
    case(f"F.{loss}(input=a, target=b, reduction={reduction!r})", a=real(2, 1), b=real(2, 3))
for reduction in ("sum", "none"):
    for loss in ("mse_loss", "l1_loss", "smooth_l1_loss"):
        case(f"F.{loss}(a, b, reduction={reduction!r})", a=real(2, 0), b=real(2, 0))
for beta in (0.5, 3.0, 0.0):
    cases(
        f"F.smooth_l1_loss(a, b, beta={beta})",
        f"F.smooth_l1_loss(a, b, reduction='none', beta={beta})",
        a=real(9),
        b=real(9),
    )
cases("F.mse_loss(a, b)", "F.l1_loss(a, b)", "F.smooth_l1_loss(a, b)", a=real(3, 4), b=real(3, 4))
for reduction in REDUCTIONS:
    cases(
        f"F.binary_cross_entropy(p, t, reduction={reduction!r})",
        f"F.binary_cross_entropy(input=p, target=t.detach(), weight=2 * t[0].detach(), reduction={reduction!r})",
        p=share(2, 3),
        t=share(2, 3),
    )
    cases(
        f"F.binary_cross_entropy_with_logits(x, t, reduction={reduction!r})",
        f"F.binary_cross_entropy_with_logits(x, t, weight=m.tensor([0.5, 2.0, 1.5], dtype=x.dtype), reduction={reduction!r})",
        f"F.binary_cross_entropy_with_logits(x, t, pos_weight=m.tensor([0.5, 2.0, 1.5], dtype=x.dtype), reduction={reduction!r})",
        x=real(2, 3),
        t=share(2, 3),
    )
case("F.binary_cross_entropy(p, t)", p=share(), t=share())
case(
    "F.binary_cross_entropy_with_logits(x, t)", x=values([100.0, -100.0, 800.0, -800.0]), t=values([0.0, 1.0, 1.0, 0.0])
)
case("F.binary_cross_entropy_with_logits(input=x, target=m.tensor([1.0, 0.0], dtype=x.dtype))", x=real(2))

for reduction in REDUCTIONS:
    cases(
        f"F.nll_loss(x, m.tensor([0, 3, 1]), reduction={reduction!r})",
        f"F.nll_loss(x, m.tensor([0, 3, 1]), ignore_index=3, reduction={reduction!r})",
        f"F.cross_entropy(x, m.tensor([0, 3, 1]), reduction={reduction!r})",
        f"F.cross_entropy(x, m.tensor([0, -100, 1]), reduction={reduction!r})",
        f"F.cross_entropy(x, m.tensor([0, 3, 1]), ignore_index=1, label_smoothing=0.2, reduction={reduction!r})",
        f"F.cross_entropy(x, m.tensor([0, 3, 1]), label_smoothing=0.1, reduction={reduction!r})",
        x=real(3, 4),
    )
    cases(
        f"F.nll_loss(x, m.tensor([0, 3, 1]), w.detach(), reduction={reduction!r})",
        f"F.cross_entropy(x, m.tensor([0, 3, 1]), weight=w.detach(), reduction={reduction!r})",
        f"F.cross_entropy(x, m.tensor([0, 3, 1]), w.detach(), ignore_index=0, label_smoothing=0.3, reduction={reduction!r})",
        x=real(3, 4),
        w=positive(4),
    )
    cases(
        f"F.cross_entropy(x, t, reduction={reduction!r})",
        f"F.cross_entropy(x, t, label_smoothing=0.2, reduction={reduction!r})",
        f"F.cross_entropy(x, t, weight=w.detach(), reduction={reduction!r})",
        x=real(3, 4),
        t=share(3, 4),
        w=positive(4),
    )
    cases(
        f"F.cross_entropy(x, m.tensor([[0, 2, 1], [1, 1, 0]]), reduction={reduction!r})",
        f"F.nll_loss(x, m.tensor([[0, 2, 1], [1, 1, 0]]), reduction={reduction!r})",
        f"F.cross_entropy(x, m.tensor([[0, 2, 1], [1, -100, 0]]), label_smoothing=0.2, reduction={reduction!r})",
        x=real(2, 3, 3),
    )
    cases(
        f"F.cross_entropy(x, m.tensor([[[0, 2], [1, 1]]]), reduction={reduction!r})",
        f"F.nll_loss(x, m.tensor([[[0, 2], [1, 1]]]), reduction={reduction!r})",
        x=real(1, 3, 2, 2),
    )
    case(f"F.cross_entropy(x, t, reduction={reduction!r})", x=real(2, 3, 2), t=share(2, 3, 2))
    for log_target in (False, True):
        case(
            f"F.kl_div(x, t, log_target={log_target}, reduction={reduction!r})",
            x=between(-3, -0.1)(2, 3),
            t=share(2, 3),
        )
cases("F.cross_entropy(x, m.tensor(2))", "F.nll_loss(x, m.tensor(2))", x=real(4))
case("F.cross_entropy(input=x, target=t)", x=real(4), t=share(4))
cases("F.nll_loss(input=x, target=m.tensor([1, 0]), weight=None)", "F.cross_entropy(x, m.tensor([1, 0]))", x=real(2, 3))
case("F.kl_div(x, t, reduction='batchmean')", x=between(-3, -0.1)(2, 3), t=share(2, 3))
case("F.kl_div(input=x, target=t)", x=between(-3, -0.1)(3), t=share(3))
case("F.kl_div(x, t, reduction='sum')", x=between(-3, -0.1)(2, 1), t=share(3))
for reduction in REDUCTIONS:
    for full, eps in [(False, 1e-6), (True, 0.9)]:
        case(
            f"F.gaussian_nll_loss(x, t, v, full={full}, eps={eps}, reduction={reduction!r})",
            x=real(3, 2),
            t=real(3, 2),
            v=positive(3, 2),
        )
case("F.gaussian_nll_loss(input=x, target=t, var=v)", x=real(3, 2), t=real(3, 2), v=positive(3, 1))
case("F.gaussian_nll_loss(x, t, v)", x=real(3, 2), t=real(3, 2), v=positive(3))
case("F.gaussian_nll_loss(x, t, 2.0)", x=real(3, 2), t=real(3, 2))
cases(
    "F.dropout(x, 0.5, False)",
    "F.dropout(input=x, p=0.0)",
    "F.dropout(x, p=1.0)",
    "F.dropout(x, p=1.0, training=False)",
    x=real(3, 4),
)

# ---------------------------------------------------------------- running them

FIRST = {"float64": 1e-9, "float32": 2e-5}  # PyTorch's own error in the derivative of digamma is 5e-10
SECOND = {"float64": 1e-9, "float32": 5e-4}


def evaluate(module, call, arrays, view=lambda leaf: leaf, order=2):
    leaves = leaves_of(module, arrays)
    outputs = outputs_of(run_exactly(module, call, {name: view(leaf) for name, leaf in leaves.items()}))
    leaves = list(leaves.values())
    return outputs, leaves, *derivatives(module, outputs, leaves, power=2, order=order)


def assert_same(call, draws, dtype):
    arrays = arrays_of(draws, dtype)
    try:
        theirs, their_leaves, their_first, their_second = evaluate(ref, call, arrays)
    except RuntimeError:  # PyTorch has a few operations without a second derivative
        theirs, their_leaves, their_first, their_second = evaluate(ref, call, arrays, order=1)
    mine, my_leaves, my_first, my_second = evaluate(torch, call, arrays, order=1 if their_second is None else 2)
    assert_all_close(mine, theirs, FIRST[dtype], f"{dtype} output")
    assert [requires_grad(out) for out in mine] == [requires_grad(out) for out in theirs]
    if their_first is not None:
        assert_gradients_close(my_first, their_first, FIRST[dtype], f"{dtype} gradient of input")
    if their_second is not None:
        my_second = zeros_for_none(torch, my_second, my_leaves)
        their_second = zeros_for_none(ref, their_second, their_leaves)
        assert_all_close(my_second, their_second, SECOND[dtype], f"{dtype} second derivative of input")


def spread(array):
    """The array in a larger one, transposed and with gaps; `gathered` sees it there."""
    if array.dtype.kind != "f" or array.ndim == 0:
        return array
    return np.repeat(array.swapaxes(-1, -2) if array.ndim > 1 else array, 2, axis=-1)


def gathered(leaf):
    if not leaf.is_floating_point() or leaf.dim() == 0:
        return leaf
    return leaf[..., ::2].transpose(-1, -2) if leaf.dim() > 1 else leaf[::2]


def assert_same_out_of_order(call, draws):
    """Inputs that do not lie in order in memory give the same."""
    arrays = {key: spread(a) for key, a in arrays_of(draws, "float64").items()}
    try:
        theirs, _, their_first, _ = evaluate(ref, call, arrays, gathered, order=1)
    except RuntimeError:  # PyTorch itself refuses a few
        return
    mine, _, my_first, _ = evaluate(torch, call, arrays, gathered, order=1)
    assert_all_close(mine, theirs, FIRST["float64"], "out of order, output")
    if their_first is not None:
        assert_gradients_close(my_first, their_first, FIRST["float64"], "out of order, gradient of input")


@pytest.mark.parametrize("name", CASES)
def test_values_gradients_and_second_derivatives_are_pytorchs(name):
    call, draws = CASES[name]
    assert_same(call, draws, "float64")
    assert_same(call, draws, "float32")
    assert_same_out_of_order(call, draws)


@pytest.mark.parametrize("name", MAY_REFUSE)
def test_what_is_not_promised_is_pytorchs_or_refused(name):
    call, draws = MAY_REFUSE[name]
    try:
        run(torch, call, leaves_of(torch, arrays_of(draws, "float64")))
    except (RuntimeError, TypeError, ValueError):  # NotImplementedError is a RuntimeError
        return
    assert_same(call, draws, "float64")


def single_node(node):
    return all(below is None or "AccumulateGrad" in below.name() for below, _ in node.next_functions)


def name_of(node):
    return None if node is None else node.name().split("::")[-1]


def names_below(node):
    return [] if node is None else [name_of(below) for below, _ in node.next_functions if below is not None]


def of_one_node(call, draws):
    """Not a contraction, an index into a tensor without dimensions, or an argument that says what is said without it."""
    unnamed = ("einsum", "stable", "rounding_mode=None", "decimals=0")
    return any(draw.shape for draw in draws.values()) and not any(word in call for word in unnamed)


@pytest.mark.parametrize("name", [name for name, (call, draws) in CASES.items() if of_one_node(call, draws)])
def test_the_node_of_one_operation_bears_pytorchs_name_and_has_its_inputs(name):
    call, draws = CASES[name]
    arrays = arrays_of(draws, "float32")
    theirs, mine = (outputs_of(run(module, call, leaves_of(module, arrays))) for module in (ref, torch))
    compared = 0
    for a, b in zip(mine, theirs, strict=True):
        if requires_grad(b) and (b.grad_fn is None or single_node(b.grad_fn)):
            assert name_of(a.grad_fn) == OURS.get(call, name_of(b.grad_fn))
            if "dtype=" not in call and "alpha=" not in call:  # a cast or a factor before may be a node of its own
                assert names_below(a.grad_fn) == names_below(b.grad_fn)
            compared += 1
    if not compared:
        pytest.skip("no node, or several in PyTorch: how they are cut up is its own affair")


# One operation has one node here, where PyTorch names how the arguments came, or what it found to call for them.
OURS = {
    "m.div(a, b, rounding_mode=None)": "DivBackward0",
    "m.einsum('ij->ji', x)": "EinsumBackward0",
    "m.einsum('ba', x)": "EinsumBackward0",
    "m.einsum('i...->...i', x)": "EinsumBackward0",
}


# ---------------------------------------------------------------- derivatives of a higher order

# Not here: layer_norm and logcumsumexp, whose third derivatives in PyTorch are wrong and NaN.

SMOOTH = {
    "m.exp2(x)": real,
    "m.log2(x)": positive,
    "m.log10(x)": positive,
    "m.rsqrt(x)": positive,
    "m.tan(x)": unit,
    "m.asin(x)": unit,
    "m.acos(x)": unit,
    "m.atan(x)": real,
    "m.sinh(x)": real,
    "m.cosh(x)": real,
    "m.asinh(x)": real,
    "m.acosh(x)": above_one,
    "m.atanh(x)": unit,
    "m.logit(x)": share,
    "m.erf(x)": real,
    "m.erfc(x)": real,
    "m.erfinv(x)": unit,
    "m.lgamma(x)": positive,
    "m.digamma(x)": positive,
    "m.polygamma(1, x)": positive,
    "m.xlogy(x, x)": positive,
    "m.logaddexp(x, x * x)": real,
    "m.atan2(x, x * x + 1)": real,
    "F.gelu(x)": real,
    "F.gelu(x, approximate='tanh')": real,
    "F.silu(x)": real,
    "F.softplus(x)": real,
    "F.logsigmoid(x)": real,
    "F.elu(x)": far_from_zero,
    "m.prod(x)": far_from_zero,
    "m.norm(x)": far_from_zero,
    "m.std(x)": distinct,
    "m.cumprod(x, 0)": far_from_zero,
    "m.softmax(x, 0)": real,
    "m.lerp(x, x * x, x)": real,
    "m.einsum('i,i,j->j', x, x, x)": real,
    "m.linalg.det(m.outer(x, x) + 3 * m.diag(x * x + 1))": real,
    "m.linalg.inv(m.outer(x, x) + 3 * m.diag(x * x + 1))": real,
    "m.linalg.cholesky(m.outer(x, x) + 3 * m.diag(x * x + 1))": real,
    "m.linalg.solve(m.outer(x, x) + 3 * m.diag(x * x + 1), x)": real,
    "F.conv1d(x.reshape(1, 1, 4), x.reshape(1, 1, 4)[..., :2])": real,
    "F.mse_loss(x * x, x)": real,
    "F.binary_cross_entropy_with_logits(x, m.sigmoid(x))": real,
    "F.cross_entropy(m.outer(x, x), m.tensor([0, 3, 1, 1]))": real,
}


# The same in other words, for PyTorch alone: its third derivative of these is wrong. That of logcumsumexp is no number, and
# that of layer_norm takes the mean and the deviation, which the second derivative reads, for constants.
IN_OTHER_WORDS = {
    "m.logcumsumexp(x, 0)": "m.log(m.cumsum(m.exp(x), 0))",
    "F.layer_norm(x, (4,), x, x)": "(x - m.mean(x)) / m.sqrt(m.var(x, correction=0) + 1e-5) * x + x",
}


@pytest.mark.parametrize("call", SMOOTH)
def test_third_and_fourth_derivatives_are_pytorchs(call):
    x = SMOOTH[call](4)(np.random.default_rng(3), "float64")

    def towers(module):
        leaf = module.tensor(x, requires_grad=True)
        value = run_exactly(module, IN_OTHER_WORDS.get(call, call) if module is ref else call, {"x": leaf})
        grads = []
        for order in range(1, 5):
            weights = module.tensor(np.random.default_rng(order).uniform(0.5, 1.5, tuple(value.shape)))
            total = (value * weights).sum()
            if total.requires_grad:
                (value,) = module.autograd.grad(total, leaf, create_graph=True)
            else:  # the derivative before was a constant
                value = module.zeros_like(leaf).detach()
            grads.append(value)
        return grads

    for order, (mine, theirs) in enumerate(zip(towers(torch), towers(ref), strict=True), 1):
        assert_close(mine, theirs, 1e-8, f"derivative {order}")


# ---------------------------------------------------------------- results without a gradient

PLAIN = [
    *(f"m.{name}(x, y)" for name in ("eq", "ne", "lt", "le", "gt", "ge")),
    *(f"x.{name}(0.5)" for name in ("eq", "ne", "lt", "le", "gt", "ge")),
    *(f"m.{name}(input=x, other=y)" for name in ("eq", "lt", "ge")),
    *(f"m.logical_{name}(x, y)" for name in ("and", "or", "xor")),
    *(f"x.logical_{name}(other=x > 0.5)" for name in ("and", "or", "xor")),
    *(f"m.logical_{name}(i, k)" for name in ("and", "or", "xor")),
    "m.logical_not(x)",
    "i.logical_not()",
    "(x > 0) & (y > 0)",
    "(x > 0) | (y > 0)",
    "(x > 0) ^ (y > 0)",
    "~(x > 0)",
    "m.isnan(x)",
    "x.isnan()",
    "m.isnan(i)",
    "m.isfinite(x)",
    "x.isfinite()",
    "m.isfinite(i)",
    "m.isfinite(m.log(x - x))",
    "m.allclose(x, x)",
    "m.allclose(x, x + 1e-9)",
    "m.allclose(x, x + 0.1)",
    "m.allclose(x, x + 0.1, rtol=0.0, atol=0.2)",
    "m.allclose(input=x, other=x * 1.01, rtol=0.02, atol=0.0)",
    "x.allclose(x[:1])",
    "m.allclose(x / 0, x / 0)",
    "m.allclose(x * float('nan'), x * float('nan'))",
    "m.allclose(x * float('nan'), x * float('nan'), equal_nan=True)",
    "m.bincount(i)",
    "i.bincount()",
    "m.bincount(i, minlength=9)",
    "m.bincount(i, y[0])",
    "m.bincount(input=i, weights=y[0], minlength=6)",
    "m.bincount(i, k)",
    "m.bincount(m.tensor([], dtype=m.int64))",
    "m.bincount(m.tensor([], dtype=m.int64), minlength=2)",
    "m.remainder(2.5, y)",
    "m.remainder(i, 3)",
    "m.remainder(-i, 3)",
    "i % -3",
    "-i // 2",
    "x // 0.7",
    "x // y",
    "2.5 // y",
    "2.5 % y",
    "7 // (i + 1)",
    "m.div(-i, 3, rounding_mode='floor')",
    "m.div(-i, 3, rounding_mode='trunc')",
    "m.div(i, i + 1)",
    "m.floor(i)",
    "m.round(i)",
    "m.trunc(i)",
    "m.ceil(i)",
    "m.sign(i - 1)",
    "m.sign(x > 0)",
    "m.sign(m.tensor([0.0, -0.0, 3.0]))",
    "m.nan_to_num(i)",
    "m.cumsum(i, 0)",
    "m.cumprod(i + 1, 0)",
    "m.prod(i + 1)",
    "m.prod(x > -9, 0)",
    "m.cumsum(x > 0, 1)",
    "m.amax(i)",
    "m.amax(x > 0, 0)",
    "m.sort(i)",
    "m.topk(i, 2).values",
    "m.argsort(i, stable=True)",
    "m.flip(i, (0,))",
    "m.roll(i, 2)",
    "m.einsum('i,j->ij', i, k)",
    "m.outer(i, k)",
    "m.dot(i, k)",
    "m.trace(m.outer(i, k))",
    "m.diag(i)",
    "m.tril(m.outer(i, k) > 0)",
    "m.scatter_add(m.zeros(4, dtype=m.int64), 0, i, k)",
    "m.zeros(4).scatter(0, i, 1)",
    "m.masked_fill(i, i > 1, -5)",
    "m.lerp(m.tensor([1.0]), m.tensor([3.0]), 0.5)",
    "m.max(i, 0)",
    "m.logaddexp(m.tensor([1.0]), m.tensor([2.0]))",
    "F.one_hot(i, num_classes=5)",
    "F.relu(i - 1)",
    "m.where(i > 1, i, 0)",
    "m.clamp(i, 1, 2)",
    "m.maximum(i, k)",
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("call", PLAIN)
def test_results_without_a_gradient_are_pytorchs(call, dtype):
    arrays = arrays_of({"x": far_from_zero(3, 4), "y": far_from_zero(3, 4)}, dtype)
    arrays |= {"i": np.array([3, 0, 2, 3]), "k": np.array([2, 0, -1, 4])}
    mine, theirs = (
        outputs_of(run(module, call, {key: module.tensor(a) for key, a in arrays.items()})) for module in (torch, ref)
    )
    assert_all_close(mine, theirs, FIRST[dtype], "output")


NAMED = {
    "m.sort(x)": ("values", "indices"),
    "m.topk(x, 2)": ("values", "indices"),
    "m.max(x, 1)": ("values", "indices"),
    "x.min(0)": ("values", "indices"),
    "m.linalg.slogdet(x)": ("sign", "logabsdet"),
}


@pytest.mark.parametrize("call", NAMED)
def test_several_results_have_pytorchs_names(call):
    x = torch.tensor(solvable(3, 3)(np.random.default_rng(0), "float64"))
    result = run(torch, call, {"x": x})
    assert isinstance(result, tuple) and len(result) == 2
    for name, part in zip(NAMED[call], result, strict=True):
        assert getattr(result, name) is part


# ---------------------------------------------------------------- chance


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_lets_the_expected_share_through_and_scales_it(p):
    torch.manual_seed(0)
    x = torch.tensor(np.linspace(1, 2, 20_000), requires_grad=True)
    y = torch.nn.functional.dropout(x, p)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    kept = array(y) != 0
    assert abs(kept.mean() - (1 - p)) < 0.02
    np.testing.assert_allclose(array(y), np.where(kept, array(x) / (1 - p), 0.0), rtol=1e-12)
    np.testing.assert_allclose(array(gradient), np.where(kept, 1 / (1 - p), 0.0), rtol=1e-12)


def test_dropout_draws_anew_each_time_and_repeats_with_the_seed():
    x = torch.ones(100)

    def draw(seed):
        torch.manual_seed(seed)
        return [torch.nn.functional.dropout(x).tolist() for _ in range(2)]

    first, second = draw(0)
    assert first != second and draw(0) == [first, second] and draw(1) != [first, second]


def test_gumbel_softmax_gives_shares_whose_largest_falls_as_the_softmax_says():
    torch.manual_seed(0)
    logits = torch.tensor(np.log([0.1, 0.2, 0.7])).expand(20_000, 3)
    y = torch.nn.functional.gumbel_softmax(logits, tau=0.7)
    assert tuple(y.shape) == (20_000, 3) and dtype_name(y) == "float64"
    np.testing.assert_allclose(array(y).sum(1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(np.bincount(array(y).argmax(1)) / 20_000, [0.1, 0.2, 0.7], atol=0.02)


@pytest.mark.parametrize("dim", [0, -1])
def test_hard_gumbel_softmax_gives_one_hot_and_the_gradient_of_the_soft_one(dim):
    x = torch.tensor(np.random.default_rng(0).uniform(-1, 1, (3, 4)), requires_grad=True)
    weights = torch.tensor(np.random.default_rng(1).uniform(-1, 1, (3, 4)))

    def draw(hard):
        torch.manual_seed(5)
        y = torch.nn.functional.gumbel_softmax(x, tau=0.5, hard=hard, dim=dim)
        return y, torch.autograd.grad((y * weights).sum(), x)[0]

    (soft, soft_gradient), (hard, hard_gradient) = draw(False), draw(True)
    axis = dim % 2
    np.testing.assert_allclose(array(hard), array(soft) == array(soft).max(axis, keepdims=True), atol=1e-12)
    np.testing.assert_allclose(array(hard_gradient), array(soft_gradient), rtol=1e-10)
    jacobian_times_weights = (
        array(soft) * (array(weights) - (array(soft) * array(weights)).sum(axis, keepdims=True)) / 0.5
    )
    np.testing.assert_allclose(array(soft_gradient), jacobian_times_weights, rtol=1e-9, atol=1e-12)
