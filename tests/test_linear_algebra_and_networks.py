"""Linear algebra and networks, where neither finite differences at random inputs nor the registry's tests look."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import tinygrad_rp as tg
from tinygrad_rp.autograd import gradcheck, gradgradcheck
from tinygrad_rp.kernels import samplers
from tinygrad_rp.nn import functional as F

RNG = np.random.default_rng(0)


def leaf(*shape, low=-1.0, high=1.0):
    return tg.tensor(RNG.uniform(low, high, shape), requires_grad=True)


# ------------------------------------------------------------------------------------------------------------- einsum


@pytest.mark.parametrize(
    "equation, shapes",
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("...ij,...jk->...ik", [(2, 1, 2, 3), (4, 3, 2)]),
        ("bij,bjk", [(2, 2, 3), (2, 3, 4)]),
        ("iij,jk,kl->il", [(2, 2, 3), (3, 4), (4, 2)]),
        ("Ab,bA", [(2, 3), (3, 2)]),
        ("ij,k->", [(2, 3), (4,)]),
        ("ii", [(3, 3)]),
        ("ijij->ji", [(2, 3, 2, 3)]),
        (" i j -> j i ", [(2, 3)]),
        (",->", [(), ()]),
        ("ij,jk->ik", [(2, 0), (0, 3)]),
        ("a,a,a->a", [(3,), (3,), (3,)]),
    ],
)
def test_einsum_takes_the_equations_of_numpy_and_is_twice_differentiable(equation, shapes):
    tensors = [leaf(*s) for s in shapes]
    out = tg.einsum(equation, *tensors)
    np.testing.assert_allclose(
        out.detach().numpy(), np.einsum(equation, *(t.detach().numpy() for t in tensors)), atol=1e-14
    )
    assert gradcheck(lambda *ts: tg.einsum(equation, *ts), tensors)
    assert gradgradcheck(lambda *ts: tg.einsum(equation, *ts), tensors)


def test_einsum_broadcasts_a_length_of_one_and_sums_an_ellipsis_that_the_output_lacks():
    a, b = leaf(2, 1), leaf(3, 4)
    expected = a.detach().numpy().sum(1)[:, None] * b.detach().numpy().sum(0)
    np.testing.assert_allclose(tg.einsum("ij,jk->ik", a, b).detach().numpy(), expected)
    assert gradcheck(lambda a, b: tg.einsum("ij,jk->ik", a, b), [a, b])
    assert tg.einsum("...j->j", tg.ones(2, 3)).tolist() == [2.0, 2.0, 2.0]


def test_einsum_of_one_tensor_is_a_view_where_nothing_is_summed():
    x = tg.ones(3, 3)
    assert np.shares_memory(tg.einsum("ii->i", x).numpy(), x.numpy())
    assert tg.einsum("ij->ji", tg.ones(2, 3).int()).dtype == tg.int32
    assert tg.einsum("ij->i", tg.ones(2, 3).int()).dtype == tg.int64


@pytest.mark.parametrize(
    "equation, shapes, words",
    [
        ("ij,jk->il", [(2, 3), (3, 4)], "'l'"),
        ("ij->ii", [(2, 3)], "more than once"),
        ("ijk->i", [(2, 3)], "3 subscripts for operand 0"),
        ("ij,jk", [(2, 3)], "2 operands, and 1"),
        ("i1->i", [(2, 3)], "letters"),
        ("ij,jk->ik", [(2, 3), (2, 2)], "length 2 in operand 1"),
        ("ii->i", [(2, 3)], "repeated"),
    ],
)
def test_einsum_says_what_does_not_fit(equation, shapes, words):
    with pytest.raises(RuntimeError, match=words):
        tg.einsum(equation, *(tg.zeros(s) for s in shapes))


# ------------------------------------------------------------------------------------------------------ factorisations


def positive(a):
    return a @ a.mT + tg.eye(a.shape[-1], dtype=a.dtype)


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 3, 3), (0, 0)])
def test_cholesky_of_a_symmetric_matrix_is_twice_differentiable(shape, upper):
    a = leaf(*shape)
    factor = tg.linalg.cholesky(positive(a), upper=upper)
    product = factor.mT @ factor if upper else factor @ factor.mT
    np.testing.assert_allclose(product.detach().numpy(), positive(a).detach().numpy(), atol=1e-13)
    assert gradcheck(lambda a: tg.linalg.cholesky(positive(a), upper=upper), [a])
    assert gradgradcheck(lambda a: tg.linalg.cholesky(positive(a), upper=upper), [a])


def test_cholesky_reads_one_triangle_and_gives_both_the_same_gradient():
    a = tg.tensor([[4.0, 99.0], [2.0, 5.0]], dtype=tg.float64, requires_grad=True)
    factor = tg.linalg.cholesky(a)
    np.testing.assert_allclose(factor.detach().numpy(), [[2, 0], [1, 2]])
    (g,) = tg.autograd.grad(factor.sum(), a)
    np.testing.assert_array_equal(g.numpy(), g.numpy().T)


@pytest.mark.parametrize("upper, left, unitriangular", list(itertools.product([True, False], repeat=3)))
def test_a_triangular_solve_does_not_read_the_other_triangle(upper, left, unitriangular):
    a, b = leaf(3, 3, low=1.0, high=2.0), leaf(3, 3)
    solved = tg.linalg.solve_triangular(a, b, upper=upper, left=left, unitriangular=unitriangular).detach().numpy()
    full = np.triu(a.detach().numpy()) if upper else np.tril(a.detach().numpy())
    if unitriangular:
        np.fill_diagonal(full, 1)
    np.testing.assert_allclose(full @ solved if left else solved @ full, b.detach().numpy(), atol=1e-13)


def test_a_zero_on_the_diagonal_gives_inf_and_nan_as_a_division_does():
    a, b = tg.tensor([[1.0, 2.0], [0.0, 0.0]]), tg.ones(2, 1)
    assert math.isinf(tg.linalg.solve_triangular(a, b, upper=True)[1, 0].item())


@pytest.mark.parametrize(
    "call",
    [
        tg.linalg.inv,
        tg.inverse,
        lambda a: tg.linalg.solve(a, a),
        lambda a: tg.linalg.cholesky(-a),
        lambda a: tg.linalg.matrix_power(a, -1),
    ],
)
def test_a_matrix_without_an_inverse_or_a_factor_raises_linalgerror(call):
    with pytest.raises(tg.linalg.LinAlgError) as caught:
        call(tg.tensor([[1.0, 2.0], [2.0, 4.0]]))
    assert isinstance(caught.value, RuntimeError)


def test_cholesky_refuses_nan():
    with pytest.raises(tg.linalg.LinAlgError):
        tg.linalg.cholesky(tg.full((2, 2), math.nan))


def test_solve_takes_vectors_as_pytorch_decides_it():
    batch = tg.eye(2).expand(3, 2, 2)
    assert tg.linalg.solve(batch, tg.ones(3, 2)).shape == (3, 2)
    assert tg.linalg.solve(batch, tg.ones(2)).shape == (3, 2)
    assert tg.linalg.solve(batch, tg.ones(2, 5)).shape == (3, 2, 5)
    with pytest.raises(RuntimeError, match="left=False"):
        tg.linalg.solve(tg.eye(2), tg.ones(2), left=False)
    with pytest.raises(RuntimeError, match="do not fit the equation A X = B"):
        tg.linalg.solve(tg.eye(2), tg.ones(3))


@pytest.mark.parametrize("lower", [True, False])
def test_eigenvalues_and_vectors_of_a_symmetric_matrix_are_twice_differentiable(lower):
    a = leaf(2, 3, 3)

    def rebuilt(a):
        values, vectors = tg.linalg.eigh(positive(a), "L" if lower else "U")
        return values, (vectors * tg.exp(values).unsqueeze(-2)) @ vectors.mT  # whatever the signs of the vectors

    values, vectors = tg.linalg.eigh(positive(a).detach())
    np.testing.assert_allclose(
        (positive(a).detach() @ vectors).numpy(), (vectors * values.unsqueeze(-2)).numpy(), atol=1e-13
    )
    assert gradcheck(rebuilt, [a])
    assert gradgradcheck(rebuilt, [a])


def test_equal_eigenvalues_have_a_gradient_and_their_vectors_none():
    a = tg.eye(2, dtype=tg.float64).requires_grad_()
    values, vectors = tg.linalg.eigh(a)
    (g,) = tg.autograd.grad(values.sum(), a, retain_graph=True)
    np.testing.assert_array_equal(g.numpy(), np.eye(2))
    (g,) = tg.autograd.grad(vectors[0, 1], a)
    assert not np.isfinite(g.numpy()).all()


# -------------------------------------------------------------------------------------------------------- determinants


def minors(a):
    """Cofactors by their definition."""
    n = len(a)
    rest = [[i for i in range(n) if i != k] for k in range(n)]
    return np.array(
        [[(-1) ** (i + j) * np.linalg.det(a[np.ix_(rest[i], rest[j])]) for j in range(n)] for i in range(n)]
    )


SINGULAR = {
    "rank 2 of 3": np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]),
    "diagonal": np.diag([1.0, 2.0, 0.0]),
    "rank 1 of 3": np.outer([1.0, 2, 3], [1.0, -1, 2]),
    "zero": np.zeros((3, 3)),
    "rank 1 of 2": np.array([[1.0, 2], [2, 4]]),
    "regular": np.array([[2.0, 1, 0], [1, 3, 1], [0, 1, 4]]),
}


@pytest.mark.parametrize("name", SINGULAR)
def test_the_derivatives_of_det_are_right_at_singular_matrices_too(name):
    a = tg.tensor(SINGULAR[name], requires_grad=True)
    det = tg.linalg.det(a)
    for create_graph in (False, True):
        (g,) = tg.autograd.grad(det, a, retain_graph=True, create_graph=create_graph)
        np.testing.assert_allclose(g.detach().numpy(), minors(SINGULAR[name]), atol=1e-13)
    assert gradcheck(tg.det, [a])
    assert gradgradcheck(tg.det, [a])


def test_the_third_derivative_of_det_is_right_at_regular_matrices_and_raises_at_singular_ones():
    def second(a):
        (g,) = tg.autograd.grad(tg.det(a), a, create_graph=True)
        (h,) = tg.autograd.grad((g * g).sum(), a, create_graph=True)
        return h

    a = tg.tensor(SINGULAR["regular"], requires_grad=True)
    assert gradcheck(second, [a])
    b = tg.tensor(SINGULAR["diagonal"], requires_grad=True)
    with pytest.raises(tg.linalg.LinAlgError):
        tg.autograd.grad(second(b).sum(), b)


def test_slogdet_does_not_overflow_and_its_sign_stops_the_gradient():
    a = (tg.eye(300, dtype=tg.float64) * -100).requires_grad_()
    sign, logabsdet = tg.slogdet(a)
    assert sign.item() == 1 and logabsdet.item() == pytest.approx(300 * math.log(100))
    logabsdet.backward()
    np.testing.assert_allclose(a.grad.numpy(), np.eye(300) / -100)
    a.grad = None
    assert sign.requires_grad and tg.autograd.grad(sign, a, allow_unused=True, retain_graph=True) == (None,)
    sign.backward()  # PyTorch's gradient is undefined, rather than 0
    assert a.grad is None and sign.grad_fn.stops[0].kind == "zero"
    assert math.isnan(tg.logdet(-tg.eye(3)).item())


# ------------------------------------------------------------------------------------------------------- convolutions


def convolution_by_loops(x, w, b, stride, padding, dilation, groups):
    x = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in padding]])
    n, _, height, width = x.shape
    kernels, in_group, kh, kw = w.shape
    rows = (height - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    columns = (width - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    out = np.zeros((n, kernels, rows, columns))
    for o, i, j in np.ndindex(kernels, rows, columns):
        first = o // (kernels // groups) * in_group
        for c, k, m in np.ndindex(in_group, kh, kw):
            at = x[:, first + c, i * stride[0] + k * dilation[0], j * stride[1] + m * dilation[1]]
            out[:, o, i, j] += at * w[o, c, k, m]
    return out + b[:, None, None]


GEOMETRIES = [
    dict(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1),
    dict(stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
    dict(stride=(3, 2), padding=(0, 1), dilation=(2, 1), groups=4),
]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_convolution_is_the_sum_over_its_windows_and_differentiable_any_number_of_times(geometry):
    x, w, b = leaf(2, 4, 6, 5), leaf(4, 4 // geometry["groups"], 2, 2), leaf(4)

    def run(x, w, b):
        return F.conv2d(x, w, b, **geometry)

    expected = convolution_by_loops(*(t.detach().numpy() for t in (x, w, b)), **geometry)
    np.testing.assert_allclose(run(x, w, b).detach().numpy(), expected, atol=1e-13)
    assert gradcheck(run, [x, w, b])
    assert gradgradcheck(run, [x, w, b])

    def gradients(x, w):
        return tg.autograd.grad((run(x, w, b) ** 2).sum(), (x, w), create_graph=True)

    assert gradgradcheck(gradients, [leaf(1, 4, 4, 5), w])


def test_padding_same_keeps_the_size_also_where_the_kernel_is_even():
    x, w = leaf(1, 2, 5), leaf(3, 2, 2)
    with pytest.warns(UserWarning, match="same"):
        out = F.conv1d(x, w, padding="same")
    padded = F.conv1d(F.pad(x, (0, 1)), w)
    np.testing.assert_array_equal(out.detach().numpy(), padded.detach().numpy())


def test_one_node_stands_for_a_convolution():
    node = F.conv1d(leaf(2, 3, 5), leaf(4, 3, 2), leaf(4)).grad_fn
    assert node.name() == "ConvolutionBackward0"
    assert [type(edge).__name__ for edge, _ in node.next_functions] == ["AccumulateGrad"] * 3


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(weight=(4, 2, 2)), "is for 2 channels"),
        (dict(weight=(4, 3, 6)), "more than the padded input has"),
        (dict(bias=(3,)), "bias must have shape"),
        (dict(stride=0), "stride must be positive"),
        (dict(padding=-1), "padding must not be negative"),
        (dict(padding="some"), "'same', 'valid'"),
        (dict(groups=2), "is for 6 channels"),
    ],
)
def test_a_convolution_says_what_does_not_fit(change, words):
    shapes = {"weight": (4, 3, 2), "bias": (4,)} | {k: v for k, v in change.items() if k in ("weight", "bias")}
    others = {k: v for k, v in change.items() if k not in ("weight", "bias")}
    with pytest.raises(RuntimeError, match=words):
        F.conv1d(tg.zeros(2, 3, 5), tg.zeros(shapes["weight"]), tg.zeros(shapes["bias"]), **others)


# ------------------------------------------------------------------------------------------------------------- pooling


def test_max_pooling_takes_the_first_of_several_and_the_last_nan():
    x = tg.tensor([[[1.0, 1.0, math.nan, math.nan]]])
    values, indices = F.max_pool1d(x, 2, return_indices=True)
    assert values[0, 0, 0].item() == 1 and math.isnan(values[0, 0, 1].item())
    assert indices.tolist() == [[[0, 3]]]
    _, indices = F.max_pool2d(tg.full((1, 2, 2), -math.inf), 2, padding=1, return_indices=True)
    assert indices.tolist() == [[[0, 1], [2, 3]]]


def test_overlapping_windows_add_their_gradients_up():
    x = tg.tensor([[[0.0, 5.0, 1.0, 2.0]]], requires_grad=True)
    F.max_pool1d(x, 2, stride=1).sum().backward()
    assert x.grad.tolist() == [[[0.0, 2.0, 0.0, 1.0]]]


def test_average_pooling_counts_what_it_is_told_to_count():
    x = tg.ones(1, 1, 3)
    assert F.avg_pool1d(x, 2, padding=1, count_include_pad=True).tolist() == [[[0.5, 1.0]]]
    assert F.avg_pool1d(x, 2, padding=1, count_include_pad=False).tolist() == [[[1.0, 1.0]]]
    assert F.avg_pool1d(x, 2, ceil_mode=True).tolist() == [[[1.0, 1.0]]]
    assert F.avg_pool2d(tg.ones(1, 2, 2), 2, divisor_override=8).tolist() == [[[0.5]]]


# --------------------------------------------------------------------------------------------------------------- noise


class Always(tg.Generator):
    """A generator whose random words are all the same."""

    def __init__(self, word):
        super().__init__()
        self.word = word

    def gumbel(self, shape, dtype):
        words = np.full(shape, self.word, np.uint64)
        return samplers.gumbel_float32(words) if dtype == np.float32 else samplers.gumbel_float64(words, words)


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax_is_finite_at_both_ends_of_its_noise(dtype, hard):
    for word in (0, 2**32 - 1):
        logits = tg.tensor([1.0, 2.0, 0.0], dtype=dtype, requires_grad=True)
        sample = F.gumbel_softmax(logits, hard=hard, generator=Always(word))
        sample[0].backward()
        assert np.isfinite(sample.detach().numpy()).all() and np.isfinite(logits.grad.numpy()).all()
        assert logits.grad.numpy().any()


def test_a_hard_sample_of_the_gumbel_softmax_has_the_gradient_of_the_soft_one():
    logits = leaf(4, 3)
    weights = tg.tensor(RNG.standard_normal((4, 3)))
    gradients = []
    for hard in (False, True):
        sample = F.gumbel_softmax(logits, tau=0.7, hard=hard, generator=tg.Generator().manual_seed(5))
        gradients.append(tg.autograd.grad(sample, logits, weights)[0].numpy())
    np.testing.assert_allclose(*gradients)
    np.testing.assert_allclose(sample.detach().numpy().sum(1), 1)
    assert set(np.round(sample.detach().numpy(), 12).ravel()) == {0.0, 1.0}


def test_dropout_keeps_the_mean_and_remembers_that_its_mask_is_noise():
    x = tg.ones(10_000, requires_grad=True)
    out = F.dropout(x, 0.25, generator=tg.Generator().manual_seed(0))
    assert out.detach().numpy().mean() == pytest.approx(1, abs=0.02)
    assert set(out.tolist()) == {0.0, float(np.float32(1) / np.float32(0.75))}
    assert [s.name for sources in out.grad_fn.sources if sources for s in sources] == ["dropout"]
    assert F.dropout(x, 0.5, training=False) is x and F.dropout(x, 0.0) is x
    assert not F.dropout(x, 1.0).detach().numpy().any()


# -------------------------------------------------------------------------------------------------------------- losses


def test_binary_cross_entropy_is_finite_at_certainty_and_so_is_its_gradient():
    x = tg.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    loss = F.binary_cross_entropy(x, tg.tensor([0.0, 1.0, 1.0, 0.0]), reduction="none")
    assert loss.tolist() == [0.0, 0.0, 100.0, 100.0]
    loss.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [0, 0, -1e12, 1e12])


def test_logits_do_not_overflow_in_the_binary_cross_entropy():
    x = tg.tensor([-1000.0, 1000.0], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, tg.tensor([1.0, 0.0]), reduction="sum")
    loss.backward()
    assert loss.item() == 2000 and x.grad.tolist() == [-1.0, 1.0]


def test_an_ignored_target_takes_no_part_whatever_stands_there():
    x = tg.tensor([[math.nan, 1.0], [2.0, 3.0]], requires_grad=True)
    loss = F.nll_loss(x, tg.tensor([-100, 1]))
    loss.backward()
    assert loss.item() == -3 and x.grad.tolist() == [[0.0, 0.0], [0.0, -1.0]]
    y = leaf(2, 3)
    nothing = F.nll_loss(y, tg.tensor([-100, -100]))
    nothing.backward()
    assert math.isnan(nothing.item()) and not y.grad.numpy().any()


def test_cross_entropy_of_indices_is_that_of_their_one_hot_probabilities():
    x = leaf(4, 3, 2)
    target = tg.tensor(RNG.integers(0, 3, (4, 2)))
    probabilities = F.one_hot(target, 3).double().transpose(1, 2)
    for smoothing in (0.0, 0.2):
        of_indices = F.cross_entropy(x, target, label_smoothing=smoothing, reduction="none")
        of_probabilities = F.cross_entropy(x, probabilities, label_smoothing=smoothing, reduction="none")
        np.testing.assert_allclose(of_indices.detach().numpy(), of_probabilities.detach().numpy())
        assert gradcheck(lambda x, s=smoothing: F.cross_entropy(x, target, label_smoothing=s), [x])
        assert gradgradcheck(lambda x, s=smoothing: F.cross_entropy(x, target, label_smoothing=s), [x])


def test_a_variance_below_eps_counts_as_eps_and_keeps_its_gradient():
    var = tg.tensor([0.0, 1.0], dtype=tg.float64, requires_grad=True)
    zeros = tg.zeros(2, dtype=tg.float64)
    F.gaussian_nll_loss(zeros, zeros, var, eps=0.01, reduction="sum").backward()
    assert var.grad.tolist() == [50.0, 0.5]


@pytest.mark.parametrize(
    "call, kind",
    [
        (lambda: F.cross_entropy(tg.zeros(2, 3), tg.tensor([0, 3])), IndexError),
        (lambda: F.cross_entropy(tg.zeros(2, 3), tg.tensor([0])), ValueError),
        (lambda: F.nll_loss(tg.zeros(2, 3), tg.tensor([0.0, 1.0])), RuntimeError),
        (lambda: F.mse_loss(tg.zeros(2), tg.zeros(2), reduction="average"), ValueError),
        (lambda: F.binary_cross_entropy(tg.tensor([1.5]), tg.tensor([1.0])), RuntimeError),
        (lambda: F.embedding(tg.tensor([3]), tg.zeros(3, 2)), IndexError),
        (lambda: F.layer_norm(tg.zeros(2, 3), (2,)), RuntimeError),
        (lambda: F.dropout(tg.zeros(2), 1.5), ValueError),
        (lambda: F.max_pool2d(tg.zeros(1, 4, 4), 2, padding=2), RuntimeError),
        (lambda: F.pad(tg.zeros(2), (1,)), RuntimeError),
        (lambda: tg.linalg.inv(tg.eye(2).long()), RuntimeError),
        (lambda: tg.addmm(tg.zeros(3), tg.zeros(2, 3), tg.zeros(3, 4)), RuntimeError),
    ],
)  # fmt: skip
def test_errors_are_of_pytorchs_kinds(call, kind):
    with pytest.raises(kind):
        call()


def test_an_embedding_gives_no_gradient_to_the_row_of_padding():
    table = leaf(3, 2)
    F.embedding(tg.tensor([0, 2, 2]), table, padding_idx=-1).sum().backward()
    assert table.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    assert not np.shares_memory(F.embedding(tg.tensor(1), table).detach().numpy(), table.detach().numpy())


# --------------------------------------------------------------------------------------------------- norms and angles


@pytest.mark.parametrize("ord", ["fro", 1, -1, math.inf, -math.inf])
def test_norms_of_matrices_are_numpys(ord):
    w = leaf(2, 3, 4)
    expected = np.linalg.norm(w.detach().numpy(), ord, (0, 2))
    for found in (tg.linalg.matrix_norm(w, ord, (0, 2)), tg.linalg.norm(w, ord, (0, -1))):
        np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-14)
    assert tg.linalg.matrix_norm(w, ord, keepdim=True).shape == (2, 1, 1)
    assert gradcheck(lambda w: tg.linalg.matrix_norm(w, ord), [w])


def test_norms_without_singular_values_or_dimensions_are_refused():
    x = tg.ones(2, 3)
    assert tg.linalg.norm(tg.ones(2, 2, 1)).item() == tg.linalg.vector_norm(tg.ones(4)).item() == 2
    for ord in (2, -2, "nuc"):
        with pytest.raises(NotImplementedError, match="singular values"):
            tg.linalg.norm(x, ord)
    for wrong in (
        lambda: tg.linalg.norm(tg.ones(2, 2, 2), 1),
        lambda: tg.linalg.norm(tg.ones(2, 2, 2), 1, (0, 1, 2)),
        lambda: tg.linalg.norm(tg.ones(2), "fro"),
        lambda: tg.linalg.norm(x, 3),
        lambda: tg.linalg.matrix_norm(x, dim=(0, 0)),
        lambda: tg.linalg.matrix_norm(tg.ones(2)),
    ):
        with pytest.raises(RuntimeError, match="linalg"):
            wrong()


def test_normalize_gives_vectors_of_length_one_and_leaves_zeros():
    x = tg.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    np.testing.assert_allclose(F.normalize(x).detach().numpy(), [[0.6, 0.8], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(F.normalize(x[0], 1, 0).detach().numpy(), [3 / 7, 4 / 7], rtol=1e-6)
    assert gradcheck(lambda x: F.normalize(x, dim=(0, 1)), [leaf(2, 3)])


def test_cosine_similarity_is_that_of_the_angle_and_broadcasts():
    x, y = leaf(2, 3), leaf(3)
    a, b = x.detach().numpy(), y.detach().numpy()
    expected = a @ b / np.linalg.norm(a, axis=1) / np.linalg.norm(b)
    np.testing.assert_allclose(F.cosine_similarity(x, y).detach().numpy(), expected, rtol=1e-14)
    assert gradcheck(lambda x, y: F.cosine_similarity(x, y, dim=-1), [x, y])
    assert F.cosine_similarity(tg.zeros(2), tg.ones(2), dim=0).item() == 0
