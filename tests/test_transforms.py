"""Transforms lead there and back, know by how much they stretch, and land where a constraint says."""

import copy
import gc
import importlib
import math
import os
import pickle
import weakref

import numpy as np
import pytest
from mpmath import mp, mpf

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
T = importlib.import_module(UNDER_TEST + ".distributions.transforms")
C = importlib.import_module(UNDER_TEST + ".distributions.constraints")
R = importlib.import_module(UNDER_TEST + ".distributions.constraint_registry")
D = importlib.import_module(UNDER_TEST + ".distributions")
ours = pytest.mark.skipif(UNDER_TEST == "torch", reason="we differ from PyTorch on purpose")

inf, nan = math.inf, math.nan


def t64(values, requires_grad=False):
    return torch.tensor(np.asarray(values, np.float64).tolist(), dtype=torch.float64, requires_grad=requires_grad)


def numbers(t):
    return np.asarray(t.detach().numpy())


def close(found, expected, rtol=1e-12, atol=0.0):
    np.testing.assert_allclose(numbers(found), np.asarray(expected), rtol=rtol, atol=atol)


def rng():
    return np.random.default_rng(7)


# each: how to make it of a module's transforms and tensors, and inputs for it
REAL = rng().normal(size=(4, 3)) * 2
POSITIVE = np.exp(rng().normal(size=(4, 3)))
VECTORS = rng().normal(size=(5, 3))
MATRICES = rng().normal(size=(2, 3, 3))
TRANSFORMS = {
    "abs": (lambda T, t: T.AbsTransform(), POSITIVE),
    "affine": (lambda T, t: T.AffineTransform(3.0, -0.7), REAL),
    "affine of tensors": (lambda T, t: T.AffineTransform(t([1.0, -2.0, 0.5]), t([2.0, -0.3, 1.5])), REAL),
    "affine of vectors": (lambda T, t: T.AffineTransform(t([1.0, -2.0, 0.5]), t([2.0, -0.3, 1.5]), 1), REAL),
    "affine of matrices": (lambda T, t: T.AffineTransform(0.5, 1.7, event_dim=2), REAL),
    "exp": (lambda T, t: T.ExpTransform(), REAL),
    "power": (lambda T, t: T.PowerTransform(t(2.5)), POSITIVE),
    "powers": (lambda T, t: T.PowerTransform(t([0.3, -1.5, 4.0])), POSITIVE),
    "sigmoid": (lambda T, t: T.SigmoidTransform(), REAL),
    "softplus": (lambda T, t: T.SoftplusTransform(), REAL),
    "tanh": (lambda T, t: T.TanhTransform(), REAL),
    "identity": (lambda T, t: T.identity_transform, REAL),
    "composition": (lambda T, t: T.ComposeTransform([T.AffineTransform(0.1, 0.8), T.TanhTransform(), T.ExpTransform()]), REAL),
    "composition of vectors": (
        lambda T, t: T.ComposeTransform([T.AffineTransform(0.1, 0.8), T.StickBreakingTransform()]),
        VECTORS,
    ),
    "independent": (lambda T, t: T.IndependentTransform(T.ExpTransform(), 1), REAL),
    "reshape": (lambda T, t: T.ReshapeTransform((4, 3), (2, 6)), rng().normal(size=(2, 4, 3))),
    "softmax": (lambda T, t: T.SoftmaxTransform(), VECTORS),
    "stick-breaking": (lambda T, t: T.StickBreakingTransform(), VECTORS),
    "lower Cholesky": (lambda T, t: T.LowerCholeskyTransform(), MATRICES),
    "positive definite": (lambda T, t: T.PositiveDefiniteTransform(), MATRICES),
    "distribution function": (
        lambda T, t: T.CumulativeDistributionTransform(_normal(T)(t(0.5), t(2.0))),
        REAL,
    ),
}  # fmt: skip


def _normal(T):
    return importlib.import_module(T.__name__.rpartition(".")[0]).Normal


def made(name):
    make, x = TRANSFORMS[name]
    return make(T, t64), t64(x, requires_grad=True)


def stretches(transform, x, y):
    """Whether it has the logarithm of a determinant."""
    try:
        return transform.log_abs_det_jacobian(x, y)
    except NotImplementedError:
        return None


# --------------------------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("name", TRANSFORMS)
def test_there_and_back(name):
    transform, x = made(name)
    y = transform(x)
    back = transform.inv(y)
    close(transform(back), numbers(y), 1e-10, 1e-13)
    if transform.bijective:
        close(back, numbers(x), 1e-10, 1e-13)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_inverse_is_a_transform_the_other_way_round(name):
    transform, x = made(name)
    inverse = transform.inv
    assert inverse.inv is transform and transform.inv is inverse
    assert inverse.bijective == transform.bijective
    assert inverse.domain.event_dim == transform.codomain.event_dim
    assert inverse.codomain.event_dim == transform.domain.event_dim
    y = transform(x)
    stretch = stretches(transform, x, y)
    if stretch is not None:
        close(inverse.log_abs_det_jacobian(y, x), -numbers(stretch))
    with_cache = transform.inv.with_cache(1)
    close(with_cache(y), numbers(transform.inv(y)))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_inputs_and_outputs_fit_domain_and_codomain(name):
    transform, x = made(name)
    y = transform(x)
    for constraint, value in ((transform.domain, x), (transform.codomain, y)):
        fits = constraint.check(value.detach())
        assert tuple(fits.shape) == tuple(value.shape[: value.dim() - constraint.event_dim])
        assert bool(fits.all())


@pytest.mark.parametrize("name", TRANSFORMS)
def test_shapes_are_known_before(name):
    transform, x = made(name)
    y = transform(x)
    assert transform.forward_shape(x.shape) == y.shape
    assert transform.inverse_shape(y.shape) == x.shape
    assert transform.inv.forward_shape(y.shape) == x.shape
    assert transform.inv.inverse_shape(x.shape) == y.shape
    stretch = stretches(transform, x, y)
    if stretch is not None:
        assert tuple(stretch.shape) == tuple(x.shape[: x.dim() - transform.domain.event_dim])


def flat_jacobians(function, inputs):
    """The Jacobian of each event, as matrices."""
    jacobian = torch.autograd.functional.jacobian
    return [numbers(jacobian(lambda e: function(e).reshape(-1), e)).reshape(-1, e.numel()) for e in inputs]


@pytest.mark.parametrize("name", [n for n in TRANSFORMS if n not in ("affine of tensors", "powers")])
def test_the_stretch_is_the_determinant_of_the_jacobian(name):
    """Of a simplex, the first n of n + 1 elements are the coordinates."""
    transform, x = made(name)
    stretch = stretches(transform, x, transform(x))
    if stretch is None:
        pytest.skip("it has none")
    x = x.detach()
    events = x.reshape((-1, *x.shape[x.dim() - transform.domain.event_dim :]))
    simplex = transform.codomain is C.simplex
    function = (lambda e: transform(e)[..., :-1]) if simplex else transform
    found = flat_jacobians(function, [events[i] for i in range(len(events))])
    close(stretch.reshape(-1), [np.linalg.slogdet(j)[1] for j in found], 1e-9, 1e-12)


def test_the_stretch_of_elementwise_parameters_is_the_derivative():
    for name in ("affine of tensors", "powers"):
        transform, x = made(name)
        y = transform(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        close(transform.log_abs_det_jacobian(x, y), np.log(np.abs(numbers(slope))), 1e-11, 1e-13)
        assert np.all(np.sign(numbers(slope)) == numbers(transform.sign))


def test_signs():
    assert (
        T.ExpTransform().sign == T.TanhTransform().sign == T.SigmoidTransform().sign == T.SoftplusTransform().sign == 1
    )
    assert (
        T.AffineTransform(0, -2).sign == -1 and T.AffineTransform(0, 2).sign == 1 and T.AffineTransform(1, 0).sign == 0
    )
    assert T.AffineTransform(0, t64([1.0, -1.0, 0.0])).sign.tolist() == [1, -1, 0]
    assert T.PowerTransform(t64([2.0, -2.0])).sign.tolist() == [1, -1]
    assert T.ComposeTransform([T.AffineTransform(0, -2), T.ExpTransform(), T.AffineTransform(0, -2)]).sign == 1
    assert T.IndependentTransform(T.AffineTransform(0, -2), 1).sign == T.AffineTransform(0, -2).inv.sign == -1
    for transform in (T.AbsTransform(), T.SoftmaxTransform(), T.StickBreakingTransform(), T.LowerCholeskyTransform()):
        with pytest.raises(NotImplementedError):
            transform.sign  # noqa: B018


def test_which_are_bijective():
    assert T.identity_transform.bijective and T.ExpTransform().bijective and T.AffineTransform(0.0, 1.0).bijective
    for transform in (
        T.AbsTransform(),
        T.SoftmaxTransform(),
        T.LowerCholeskyTransform(),
        T.PositiveDefiniteTransform(),
    ):
        assert not transform.bijective and not transform.inv.bijective
        assert not T.ComposeTransform([T.ExpTransform(), transform]).bijective
        assert not T.IndependentTransform(transform, 1).bijective


@pytest.mark.parametrize("name", TRANSFORMS)
def test_float32_stays_float32(name):
    make, x = TRANSFORMS[name]
    x = torch.tensor(x.tolist(), dtype=torch.float32)
    transform = make(T, lambda values: torch.tensor(values, dtype=torch.float32))
    y = transform(x)
    assert y.dtype == transform.inv(y).dtype == torch.float32
    close(transform(transform.inv(y)), numbers(y), 2e-4, 2e-5)
    stretch = stretches(transform, x, y)
    assert stretch is None or stretch.dtype == torch.float32


def test_numbers_as_parameters_do_not_widen_float32():
    x = torch.tensor([0.5, 2.0])
    for transform in (T.AffineTransform(1, 2), T.AffineTransform(0.1, 0.3), T.PowerTransform(3), T.PowerTransform(0.1)):
        y = transform(x)
        assert y.dtype == transform.inv(y).dtype == transform.log_abs_det_jacobian(x, y).dtype == torch.float32


# --------------------------------------------------------------------------------------------------------------- gradients


def symmetric(transform):
    return "PositiveDefinite" in type(transform).__name__


@pytest.mark.parametrize("name", TRANSFORMS)
def test_gradients_of_first_and_second_order(name):
    gradcheck, gradgradcheck = torch.autograd.gradcheck, torch.autograd.gradgradcheck
    transform, x = made(name)
    x = x.detach()[:1].requires_grad_() if "reshape" not in name else x
    assert gradcheck(transform, (x,)) and gradgradcheck(transform, (x,))
    y = transform(x).detach()
    if not symmetric(transform):
        y.requires_grad_()
        assert gradcheck(transform.inv, (y,)) and gradgradcheck(transform.inv, (y,))
    if stretches(transform, x, y) is not None:

        def stretch(x):
            return transform.log_abs_det_jacobian(x, transform(x)) + 0 * x.sum()

        assert gradcheck(stretch, (x,)) and gradgradcheck(stretch, (x,))


def test_gradients_reach_the_parameters():
    loc, scale, exponent = (t64(v, requires_grad=True) for v in (0.5, [1.5, -2.0], [0.3, 2.0]))
    x = t64([[0.7, 1.2], [2.0, 0.1]])

    def there_and_stretch(loc, scale, exponent):
        transform = T.ComposeTransform([T.PowerTransform(exponent), T.AffineTransform(loc, scale)])
        return transform(x), transform.log_abs_det_jacobian(x, transform(x))

    def back(loc, scale, exponent):
        transform = T.ComposeTransform([T.AffineTransform(loc, scale), T.ExpTransform(), T.PowerTransform(exponent)])
        return transform.inv(x)

    for function in (there_and_stretch, back):
        assert torch.autograd.gradcheck(function, (loc, scale, exponent))
        assert torch.autograd.gradgradcheck(function, (loc, scale, exponent))


# ----------------------------------------------------------------------------------------------------------- against PyTorch

TAILS = np.array([-300.0, -80.0, -36.0, -19.0, -5.0, -1e-3, 0.3, 1e-8, 4.0, 12.0, 18.0, 30.0])
AGAINST = {
    **{name: x for name, (_, x) in TRANSFORMS.items()},
    "affine": TAILS,
    "exp": TAILS,
    "sigmoid": TAILS,
    "softplus": TAILS,
    "tanh": TAILS[2:-2],
    "power": np.exp(TAILS[2:]),
    "stick-breaking": rng().normal(size=(50, 6)) * 3,
    "softmax": rng().normal(size=(50, 6)) * 30,
}


@ours
@pytest.mark.parametrize("name", AGAINST)
def test_against_pytorch(name):
    """Value, inverse and stretch, and their gradients.

    PyTorch's softplus takes log(1 + eˣ) as x from x = 20 on: its slope is off by 2e-9 there.
    """
    reference = pytest.importorskip("torch")
    distributions = importlib.import_module("torch.distributions.transforms")

    def run(module, T):
        def tensor(values):
            return module.tensor(values, dtype=module.float64)

        def weights(like, start):
            return tensor(np.cos(start + np.arange(like.numel())).reshape(tuple(like.shape)).tolist())

        transform = TRANSFORMS[name][0](T, tensor)
        x = tensor(AGAINST[name].tolist()).requires_grad_()
        y = transform(x)
        yield "value", y
        yield "gradient", module.autograd.grad((y * weights(y, 0)).sum(), x)[0]
        y = y.detach().requires_grad_()
        back = transform.inv(y)
        yield "inverse", back
        if not symmetric(transform):  # the gradient of a factor says nothing of the part that is not read
            yield "gradient of the inverse", module.autograd.grad((back * weights(back, 1)).sum(), y)[0]
        y = transform(x)
        stretch = stretches(transform, x, y)
        if stretch is not None:
            yield "stretch", stretch
            yield "gradient of the stretch", module.autograd.grad((stretch + 0 * x.sum()).sum(), x)[0]

    with np.errstate(all="ignore"):
        for (what, found), (_, expected) in zip(run(torch, T), run(reference, distributions), strict=True):
            found, expected = numbers(found), numbers(expected).copy()
            if "inverse" in what:  # where it is lost, PyTorch's is that of the number at which it holds the output
                expected[~np.isfinite(found) | (np.abs(found) > 1e15)] = 0
                found = np.where(~np.isfinite(found) | (np.abs(found) > 1e15), 0, found)
            np.testing.assert_allclose(found, expected, 1e-9, 1e-13, err_msg=what)


# -------------------------------------------------------------------------------------------------------- digits in the tails

FAR = [-700.0, -90.0, -40.0, -21.0, -1.0, 1e-3, 1.0, 15.0, 21.0, 40.0, 90.0, 700.0]


def exactly(function, values):
    with mp.workdps(700):
        return np.array([float(function(mpf(float(v)))) for v in values])


@ours
def test_no_digit_is_lost_in_the_tails():
    x = t64(FAR)
    one_plus = lambda v: mp.log(1 + mp.exp(v))  # noqa: E731
    sigmoid, tanh, softplus = T.SigmoidTransform(), T.TanhTransform(), T.SoftplusTransform()
    close(sigmoid(x), exactly(lambda v: 1 / (1 + mp.exp(-v)), FAR), 1e-15)
    close(sigmoid.log_abs_det_jacobian(x, sigmoid(x)), exactly(lambda v: -one_plus(v) - one_plus(-v), FAR), 1e-15)
    close(softplus(x), exactly(one_plus, FAR), 1e-15)
    close(softplus.log_abs_det_jacobian(x, softplus(x)), exactly(lambda v: -one_plus(-v), FAR), 1e-15)
    close(softplus.inv(softplus(x)), FAR, 1e-13)
    close(tanh.log_abs_det_jacobian(x, tanh(x)), exactly(lambda v: mp.log(1 - mp.tanh(v) ** 2), FAR), 1e-13, 1e-15)
    close(sigmoid.inv(sigmoid(x[:5])), FAR[:5], 1e-15)
    power = T.PowerTransform(t64(200.0))
    x = t64([1e-5, 1e5])  # whose powers are 0 and ∞
    close(power.log_abs_det_jacobian(x, power(x)), exactly(lambda v: mp.log(200) + 199 * mp.log(v), [1e-5, 1e5]), 1e-15)


@ours
def test_no_output_is_held_away_from_the_end():
    assert T.SigmoidTransform()(t64([-800.0, -740.0, 40.0])).tolist() == [0.0, math.exp(-740), 1.0]
    assert T.SigmoidTransform().inv(t64([0.0, 1.0])).tolist() == [-inf, inf]
    assert T.TanhTransform().inv(t64([-1.0, 1.0])).tolist() == [-inf, inf]
    assert torch.allclose(T.SigmoidTransform().inv(t64([5e-324])), t64([math.log(5e-324)]))


@ours
def test_a_stick_broken_near_its_end_keeps_its_digits():
    transform = T.StickBreakingTransform()
    for x in ([60.0, 2.0, -3.0], [-600.0, 600.0, 1.0], [30.0, 30.0, 30.0], [-30.0, -30.0, -30.0]):
        with mp.workdps(700):
            left, pieces, stretch = mpf(1), [], mpf(0)
            for k, v in enumerate(x):
                share = 1 / (1 + mp.exp(mp.log(len(x) - k) - mpf(v)))
                pieces.append(share * left)
                stretch += mp.log(left * share * (1 - share))
                left *= 1 - share
            expected, stretch = np.array([float(p) for p in [*pieces, left]]), float(stretch)
        y = transform(t64(x))
        close(y, expected, 1e-12)
        close(transform.log_abs_det_jacobian(t64(x), y), stretch, 1e-14)
        if x[0] < 700 and x[1] < 100:
            close(transform.inv(y), x, 1e-9)


def test_equal_pieces_come_from_zeros():
    close(T.StickBreakingTransform()(t64(np.zeros(4))), np.full(5, 0.2), 1e-15)
    close(T.StickBreakingTransform().inv(t64(np.full(5, 0.2))), np.zeros(4), atol=1e-14)
    assert T.StickBreakingTransform()(t64(np.zeros((2, 0)))).tolist() == [[1.0], [1.0]]


# ------------------------------------------------------------------------------------------------------------- event dims


def test_dimensions_that_are_taken_together():
    assert T.AffineTransform(0.0, 1.0).event_dim == 0
    assert T.AffineTransform(0.0, 1.0, event_dim=2).event_dim == 2
    assert T.AffineTransform(0.0, 1.0, event_dim=2).domain.event_dim == 2
    assert T.ExpTransform().event_dim == T.ExpTransform().inv.event_dim == T.identity_transform.event_dim == 0
    assert T.StickBreakingTransform().event_dim == 1 and T.LowerCholeskyTransform().event_dim == 2
    assert T.IndependentTransform(T.StickBreakingTransform(), 1).event_dim == 2
    composed = T.ComposeTransform([T.ExpTransform(), T.SoftmaxTransform(), T.ExpTransform()])
    assert composed.domain.event_dim == composed.codomain.event_dim == 1
    reshape = T.ReshapeTransform((6,), (2, 3))
    assert (reshape.domain.event_dim, reshape.codomain.event_dim) == (1, 2)
    with pytest.raises(ValueError, match=r"domain\.event_dim"):
        reshape.event_dim  # noqa: B018
    composed = T.ComposeTransform([T.ReshapeTransform((6,), (2, 3)), T.ReshapeTransform((3,), (3, 1))])
    assert (composed.domain.event_dim, composed.codomain.event_dim) == (1, 3)
    composed = T.ComposeTransform([T.ReshapeTransform((2, 3), (6,)), T.IndependentTransform(T.ExpTransform(), 3)])
    assert (composed.domain.event_dim, composed.codomain.event_dim) == (4, 3)


def test_the_stretch_of_parts_is_summed_over_what_the_whole_takes_together():
    x = t64(rng().normal(size=(2, 5, 3)))
    parts = [T.AffineTransform(1.0, 3.0), T.StickBreakingTransform(), T.IndependentTransform(T.ExpTransform(), 2)]
    composed = T.ComposeTransform(parts)
    assert composed.domain.event_dim == 2
    first, second = parts[0](x), parts[1](parts[0](x))
    expected = (
        numbers(parts[0].log_abs_det_jacobian(x, first)).sum((-1, -2))
        + numbers(parts[1].log_abs_det_jacobian(first, second)).sum(-1)
        + numbers(parts[2].log_abs_det_jacobian(second, parts[2](second)))
    )
    close(composed.log_abs_det_jacobian(x, composed(x)), expected, 1e-12)


@ours
def test_a_scale_that_is_one_tensor_stretches_every_dimension():
    """PyTorch takes log |scale| once, however many dimensions are taken together."""
    x = t64(np.zeros((2, 5)))
    for scale in (3.0, t64(3.0), t64([3.0]), t64([3.0] * 5)):
        transform = T.AffineTransform(0.0, scale, event_dim=1)
        close(transform.log_abs_det_jacobian(x, transform(x)), [5 * math.log(3)] * 2)


# ----------------------------------------------------------------------------------------------------------------- equality


def test_equality():
    plain = [
        T.ExpTransform, T.SigmoidTransform, T.TanhTransform, T.SoftplusTransform, T.AbsTransform, T.SoftmaxTransform,
        T.StickBreakingTransform, T.LowerCholeskyTransform, T.PositiveDefiniteTransform,
    ]  # fmt: skip
    for a in plain:
        for b in plain:
            assert (a() == b()) is (a is b) and (a() != b()) is (a is not b)
            assert (a().inv == b().inv) is (a is b)
        assert a() == a(cache_size=1) and a() != a().inv and a() != 3
    assert T.AffineTransform(1, 2) == T.AffineTransform(1.0, 2.0) == T.AffineTransform(t64(1.0), t64([2.0, 2.0]))
    assert T.AffineTransform(1, 2) != T.AffineTransform(1, 3) and T.AffineTransform(1, 2) != T.AffineTransform(2, 2)
    assert T.AffineTransform(1, t64([2.0, 2.0])) != T.AffineTransform(1, t64([2.0, 3.0]))
    assert T.AffineTransform(1, 2).inv == T.AffineTransform(1, 2).inv != T.AffineTransform(1, 2)
    assert T.PowerTransform(2) == T.PowerTransform(t64([2.0, 2.0])) != T.PowerTransform(3)
    assert T.PowerTransform(2) != T.ExpTransform() and T.AffineTransform(0, 1) != T.identity_transform
    assert T.ComposeTransform([]) == T.identity_transform
    assert T.ComposeTransform([T.ExpTransform()]) == T.ComposeTransform([T.ExpTransform()]) != T.ExpTransform()
    assert T.ComposeTransform([T.ExpTransform()]) != T.ComposeTransform([T.ExpTransform(), T.ExpTransform()])
    assert T.ComposeTransform([T.ExpTransform()]).inv == T.ComposeTransform([T.ExpTransform().inv])
    reshape = T.ReshapeTransform((2,), (2,))
    assert reshape == reshape and reshape != T.ReshapeTransform((2,), (2,))


# ------------------------------------------------------------------------------------------------------------------ caching

CACHED = [name for name in TRANSFORMS if name not in ("identity",)]


@pytest.mark.parametrize("name", CACHED)
def test_a_cache_of_one_gives_back_the_very_tensor(name):
    transform, x = made(name)
    assert transform.with_cache(0) is transform
    cached = transform.with_cache()
    assert cached is not transform and cached.with_cache(1) is cached
    x = x.detach()
    y = cached(x)
    assert cached(x) is y and cached.inv(y) is x
    close(y, numbers(transform(x)), 0)
    again = y * 1
    back = cached.inv(again)
    assert back is not x and cached.inv(again) is back and cached(back) is again
    assert transform.inv(transform(x)) is not x or isinstance(transform, T.AbsTransform)


def test_a_cache_brings_back_what_the_output_has_lost():
    x = t64([50.0])
    cached = T.TanhTransform(cache_size=1)
    assert cached.inv(cached(x)) is x
    cached = T.ComposeTransform([T.TanhTransform(), T.AffineTransform(0.0, 2.0)], cache_size=1)
    assert cached.inv(cached(x)) is x
    cached = T.IndependentTransform(T.TanhTransform(), 1, cache_size=1)
    assert cached.inv(cached(x)) is x


@ours
def test_a_cache_forgets_what_was_changed_in_place():
    scale = t64(2.0)
    cached = T.AffineTransform(0.0, scale, cache_size=1)
    x = t64([1.0])
    y = cached(x)
    y += 1
    assert cached.inv(y).tolist() == [1.5]
    y = cached(x)
    x += 1
    assert cached(x).tolist() == [4.0]
    cached(x)
    scale *= 2
    assert cached(x).tolist() == [8.0]
    nested = T.IndependentTransform(cached, 1, cache_size=1)
    assert nested(x).tolist() == [8.0]
    scale *= 2
    assert nested(x).tolist() == [16.0]


@ours
def test_a_cache_does_not_swallow_gradients():
    """What was computed under no_grad() has no history; PyTorch hands it out all the same."""
    scale = t64(2.0, requires_grad=True)
    cached = T.AffineTransform(0.0, scale, cache_size=1)
    x = t64([3.0])
    with torch.no_grad():
        y = cached(x)
        assert cached.inv(y) is x
    (gradient,) = torch.autograd.grad(cached.inv(y).sum(), scale)
    assert gradient.item() == -1.5
    (gradient,) = torch.autograd.grad(cached(x).sum(), scale)
    assert gradient.item() == 3.0
    cached, x = T.TanhTransform(cache_size=1), t64([50.0])  # nothing here could get a gradient
    with torch.no_grad():
        y = cached(x)
    assert cached.inv(y) is x


@ours
@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_go_without_the_garbage_collector(name):
    gc.disable()
    try:
        transform, x = made(name)
        transform = transform.with_cache(1)
        y = transform(x)
        inverse = transform.inv
        inverse(y)
        gone = [weakref.ref(inverse), weakref.ref(transform), weakref.ref(y)]
        del transform, inverse, x, y
        assert [reference() for reference in gone] == [None] * 3
    finally:
        gc.enable()


@ours
@pytest.mark.parametrize("name", TRANSFORMS)
def test_copies_and_pickles(name):
    transform, x = made(name)
    transform = transform.with_cache(1)
    x = x.detach()
    y, inverse = transform(x), transform.inv
    for again in (copy.copy(transform), copy.deepcopy(transform), pickle.loads(pickle.dumps(transform))):
        close(again(x), numbers(y), 0)
        assert again.inv.inv is again and again.inv is not inverse
    for again in (copy.deepcopy(inverse), pickle.loads(pickle.dumps(inverse))):
        close(again(y), numbers(transform.with_cache(0).inv(y)), 0)


# ------------------------------------------------------------------------------------------------------------------- errors


class Doubling(T.Transform):
    """A user's own transform."""

    domain = codomain = C.real
    bijective = True

    def _call(self, x):
        return 2 * x

    def _inverse(self, y):
        return y / 2


class Shifting(Doubling):
    def __init__(self, by, cache_size=0):
        super().__init__(cache_size)
        self.by = by


def test_a_transform_of_ones_own():
    x = t64([1.0, 2.0])
    transform = Doubling()
    assert transform(x).tolist() == [2, 4] and transform.inv(x).tolist() == [0.5, 1]
    assert type(transform.with_cache(1)) is Doubling and transform.with_cache(1) != transform
    cached = transform.with_cache(1)
    assert cached.inv(cached(x)) is x
    assert transform.event_dim == 0 and transform.forward_shape((2,)) == (2,)
    for ask in (
        lambda: transform.log_abs_det_jacobian(x, x),
        lambda: transform.sign,
        lambda: Shifting(1).with_cache(1),
        lambda: T.Transform()(x),
        lambda: T.Transform().inv(x),
    ):
        with pytest.raises(NotImplementedError):
            ask()


def test_texts():
    assert (
        repr(T.ExpTransform()) == "ExpTransform()" and repr(T.ExpTransform().inv) == "_InverseTransform(ExpTransform())"
    )
    assert repr(T.IndependentTransform(T.ExpTransform(), 2)) == "IndependentTransform(ExpTransform(), 2)"
    assert "ExpTransform()" in repr(T.ComposeTransform([T.ExpTransform()]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: T.ExpTransform(cache_size=2),
        lambda: T.ReshapeTransform((2, 3), (5,)),
        lambda: T.ReshapeTransform((2, 3), (6,)).forward_shape((3,)),
        lambda: T.ReshapeTransform((2, 3), (6,)).forward_shape((4, 3, 2)),
        lambda: T.ReshapeTransform((2, 3), (6,)).inverse_shape((4, 5)),
        lambda: T.IndependentTransform(T.ExpTransform(), 2)(t64([1.0])),
        lambda: T.IndependentTransform(T.ExpTransform(), 2).inv(t64([1.0])),
        lambda: T.SoftmaxTransform().forward_shape(()),
        lambda: T.SoftmaxTransform().inverse_shape(()),
        lambda: T.StickBreakingTransform().forward_shape(()),
        lambda: T.StickBreakingTransform().inverse_shape(()),
        lambda: T.AffineTransform(1.0, 0).log_abs_det_jacobian(t64([1.0]), t64([1.0])),
    ],
)
def test_wrong_arguments_raise_value_errors(make):
    with pytest.raises(ValueError):
        make()


@ours
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: T.ExpTransform(cache_size=2), "ExpTransform: cache_size must be 0 or 1, and is 2"),
        (lambda: T.AffineTransform([1.0], 2.0), "AffineTransform: loc must be a tensor or a number, not list"),
        (lambda: T.AffineTransform(1.0, None), "AffineTransform: scale must be a tensor or a number, not NoneType"),
        (lambda: T.AffineTransform(1.0, 1.0, event_dim=-1), "event_dim must be a whole number, at least 0, and is -1"),
        (lambda: T.AffineTransform(1.0, 0.0).inv(t64([1.0])), "scale must not be 0 where the inverse is asked for, but it is 0"),
        (lambda: T.AffineTransform(1.0, t64([1.0, 0.0])).inv(t64([1.0])), r"scale must not be 0 .* but \[1\] is 0"),
        (lambda: T.AffineTransform(1.0, 0).log_abs_det_jacobian(t64([1.0]), t64([1.0])), "scale must not be 0, and is 0"),
        (lambda: T.AffineTransform(1.0, 2.0, 1).log_abs_det_jacobian(t64(1.0), t64(3.0)), "at least 1 dimension, and has shape"),
        (lambda: T.PowerTransform("2"), "PowerTransform: exponent must be a tensor or a number, not str"),
        (lambda: T.PowerTransform(0).inv(t64([1.0])), "exponent must not be 0 where the inverse is asked for"),
        (lambda: T.ComposeTransform([T.ExpTransform(), abs]), r"ComposeTransform: parts\[1\] must be a transform"),
        (lambda: T.IndependentTransform(abs, 1), "IndependentTransform: base_transform must be a transform"),
        (lambda: T.IndependentTransform(T.ExpTransform(), -1), "reinterpreted_batch_ndims must be .* and is -1"),
        (lambda: T.ReshapeTransform((2, 3), (5,)), r"in_shape and out_shape .* but \[2, 3\] has 6 and \[5\] has 5"),
        (lambda: T.ReshapeTransform((2, 3), (6,))(t64(np.zeros((3, 2)))), r"end in in_shape, which is \[2, 3\], and is \[3, 2\]"),
        (lambda: T.ReshapeTransform((2, 3), (6,)).inv(t64(np.zeros(5))), r"end in out_shape, which is \[6\], and is \[5\]"),
        (lambda: T.StickBreakingTransform()(t64(1.0)), r"StickBreakingTransform: the input must have at least 1 dimension"),
        (lambda: T.SoftmaxTransform().inv(t64(1.0)), "SoftmaxTransform: the output must have at least 1 dimension"),
        (lambda: T.LowerCholeskyTransform()(t64([1.0])), "LowerCholeskyTransform: the input must have at least 2 dimensions"),
        (lambda: R.biject_to(C.interval(2.0, 1.0)), "interval: lower_bound must be less than upper_bound"),
        (lambda: C.independent(3, 1), "independent: base_constraint must be a constraint, not int"),
        (lambda: C.independent(C.real, -1), "reinterpreted_batch_ndims must be a whole number, at least 0, and is -1"),
    ],
)  # fmt: skip
def test_errors_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_shapes_that_do_not_broadcast():
    with pytest.raises(RuntimeError):
        T.AffineTransform(t64([1.0, 2.0]), 1.0).forward_shape((3,))
    assert T.AffineTransform(t64([[1.0], [2.0]]), 1.0).forward_shape((3,)) == (2, 3)
    assert T.PowerTransform(t64([1.0, 2.0])).inverse_shape((4, 1)) == (4, 2)


@ours
def test_a_constant_map_is_no_bijection():
    for scale in (0, 0.0, t64(0.0), t64([1.0, 0.0])):
        assert not T.AffineTransform(1.0, scale).bijective and not T.AffineTransform(1.0, scale).inv.bijective
    assert not T.PowerTransform(0).bijective and T.PowerTransform(-1).bijective
    assert T.AffineTransform(1.0, t64([0.0])).log_abs_det_jacobian(t64([3.0]), t64([1.0])).tolist() == [-inf]
    x = t64([2.0])
    assert T.PowerTransform(0).log_abs_det_jacobian(x, T.PowerTransform(0)(x)).tolist() == [-inf]
    assert T.PowerTransform(1).log_abs_det_jacobian(t64([0.0]), t64([0.0])).tolist() == [0.0]  # as of the identity


@ours
def test_a_power_given_as_a_number_has_an_exact_inverse():
    """PyTorch takes the reciprocal of the exponent in float32."""
    x = t64([1e-3, 7.0, 1e6])
    close(T.PowerTransform(3).inv(T.PowerTransform(3)(x)), numbers(x), 1e-14)


# ------------------------------------------------------------------------------------------------ from constraints to transforms


BOUNDED = {
    "greater_than": lambda C, t: C.greater_than(t([2.0, -1e8, 0.1])),
    "greater_than a number": lambda C, t: C.greater_than(0.1),
    "greater_than_eq": lambda C, t: C.greater_than_eq(t([2.0, -1e8, 0.1])),
    "less_than": lambda C, t: C.less_than(t([2.0, -1e8, 0.1])),
    "less_than a number": lambda C, t: C.less_than(-0.3),
    "interval": lambda C, t: C.interval(t([0.1, -1e6, -3.0]), t([0.7, 1.0, -2.9])),
    "interval of numbers": lambda C, t: C.interval(0.1, 0.7),
    "half_open_interval": lambda C, t: C.half_open_interval(t([0.1, -1e6, -3.0]), t([0.7, 1.0, -2.9])),
    "half_open_interval of numbers": lambda C, t: C.half_open_interval(2.0, 5.0),
    "half_open_interval of 0 and 1": lambda C, t: C.half_open_interval(0.0, 1.0),
}
TO_FIT = {
    "real": lambda C, t: C.real,
    "real_vector": lambda C, t: C.real_vector,
    "positive": lambda C, t: C.positive,
    "nonnegative": lambda C, t: C.nonnegative,
    "unit_interval": lambda C, t: C.unit_interval,
    "simplex": lambda C, t: C.simplex,
    "independent": lambda C, t: C.independent(C.positive, 1),
    "independent of simplices": lambda C, t: C.independent(C.simplex, 1),
    **BOUNDED,
}
MATRIX = {name: lambda C, t, name=name: getattr(C, name) for name in ("lower_cholesky", "positive_definite")}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
@pytest.mark.parametrize("name", TO_FIT)
def test_reals_land_in_their_constraint(name, registry, dtype):
    """However large they are, as long as the exponential does not underflow to 0."""
    dtype = getattr(torch, dtype)
    constraint = TO_FIT[name](C, lambda v: torch.tensor(v, dtype=dtype))
    transform = getattr(R, registry)(constraint)
    if UNDER_TEST == "torch" and name in BOUNDED:
        pytest.skip("PyTorch rounds some onto the bound")
    far = 80 if dtype == torch.float32 else 700
    for size in (1, 10, far):
        x = rng().uniform(-size, size, (200, 4, 3))
        x = torch.tensor(x.tolist(), dtype=dtype)
        y = transform(x)
        assert y.dtype == dtype
        assert bool(constraint.check(y).all())
        assert bool(transform.codomain.check(y).all())
        assert transform.codomain.event_dim == constraint.event_dim or "interval" in name


@ours
@pytest.mark.parametrize("name", BOUNDED)
def test_what_is_rounded_out_of_a_set_is_moved_by_less_than_a_unit_in_the_last_place(name):
    for dtype in (torch.float32, torch.float64):
        constraint = BOUNDED[name](C, lambda v, dtype=dtype: torch.tensor(v, dtype=dtype))
        transform = R.transform_to(constraint)
        first, last = transform.parts
        x = torch.tensor(np.linspace(-700, 700, 2001).reshape(-1, 1).tolist(), dtype=dtype, requires_grad=True)
        plain = last.loc + last.scale * first(x)
        found = transform(x)
        a, b = (numbers(y)[np.isfinite(numbers(plain))] for y in (found, plain))
        assert np.all(np.abs(a - b) <= np.spacing(np.maximum(np.abs(a), np.abs(b))))
        wanted, expected = (torch.autograd.grad(y[np.isfinite(numbers(y))].sum(), x)[0] for y in (found, plain))
        np.testing.assert_array_equal(numbers(wanted), numbers(expected))
        cached = transform.with_cache(1)
        y = cached(x)
        assert cached.inv(y) is x and bool(constraint.check(y.detach()).all())


@pytest.mark.parametrize("name", MATRIX)
def test_matrices_land_in_their_constraint(name):
    constraint = MATRIX[name](C, t64)
    transform = R.transform_to(constraint)
    for size in (0.1, 1.0, 3.0):
        y = transform(t64(rng().normal(size=(50, 3, 3)) * size))
        assert constraint.check(y).tolist() == [True] * 50
    assert R.transform_to(C.lower_cholesky)(t64(np.full((2, 2), -700.0))).diagonal().tolist() == [math.exp(-700)] * 2


def test_which_transform_is_for_which_constraint():
    for registry in (R.biject_to, R.transform_to):
        assert registry(C.real) is T.identity_transform
        if UNDER_TEST != "torch":  # where a bound of 0 is added
            assert registry(C.positive) == registry(C.nonnegative) == T.ExpTransform()
        assert (
            registry(C.unit_interval)
            == registry(C.interval(0, 1))
            == registry(C.interval(0.0, 1.0))
            == T.SigmoidTransform()
        )
        above = T.ComposeTransform([T.ExpTransform(), T.AffineTransform(2.0, 1)])
        assert registry(C.greater_than(2.0)) == registry(C.greater_than_eq(2.0)) == above
        assert registry(C.less_than(2.0)) == T.ComposeTransform([T.ExpTransform(), T.AffineTransform(2.0, -1)])
        within = T.ComposeTransform([T.SigmoidTransform(), T.AffineTransform(1.0, 3.0)])
        assert registry(C.interval(1.0, 4.0)) == registry(C.half_open_interval(1.0, 4.0)) == within
        independent = registry(C.independent(C.positive, 2))
        assert type(independent) is T.IndependentTransform and independent.base_transform == registry(C.positive)
        assert independent.reinterpreted_batch_ndims == 2
    assert R.biject_to(C.simplex) == T.StickBreakingTransform() and R.transform_to(C.simplex) == T.SoftmaxTransform()
    assert R.biject_to(C.simplex).bijective and not R.transform_to(C.simplex).bijective
    assert R.transform_to(C.lower_cholesky) == T.LowerCholeskyTransform()
    for constraint in (C.positive_definite, C.positive_semidefinite):
        assert R.transform_to(constraint) == T.PositiveDefiniteTransform()


def test_bounds_that_learn_get_gradients():
    low, high = t64(1.0, requires_grad=True), t64(4.0, requires_grad=True)
    x = t64([0.3, -1.0], requires_grad=True)

    def into(x, low, high):
        return R.biject_to(C.interval(low, high))(x)

    assert torch.autograd.gradcheck(into, (x, low, high))


class Even(C.Constraint):
    def check(self, value):
        return value % 2 == 0


def test_registering_a_constraint_of_ones_own():
    registry = R.ConstraintRegistry()

    @registry.register(Even)
    def doubled(constraint):
        assert isinstance(constraint, Even)
        return Doubling()

    assert type(registry(Even())) is Doubling and doubled(Even()).bijective
    other = R.ConstraintRegistry()
    assert other.register(Even(), doubled) is doubled  # an instance stands for its class
    assert type(other(Even())) is Doubling
    other.register(C.positive, lambda constraint: T.SoftplusTransform())
    assert other(C.positive) == T.SoftplusTransform() != R.biject_to(C.positive)
    other.register(C.less_than(3), lambda constraint: T.AffineTransform(constraint.upper_bound, -1))
    assert other(C.less_than(5)).loc == 5
    for wrong in (3, int, "positive"):
        with pytest.raises(TypeError):
            registry.register(wrong, doubled)


def test_a_constraint_that_nobody_registered():
    for registry in (R.biject_to, R.transform_to):
        for constraint in (C.boolean, C.dependent, C.nonnegative_integer, Even()):
            with pytest.raises(NotImplementedError):
                registry(constraint)


@ours
def test_the_error_says_what_is_registered():
    with pytest.raises(
        NotImplementedError, match=r"<constraint: 0 or 1>; there is one for: .*half_open_interval.* positive.*simplex"
    ):
        R.transform_to(C.boolean)
    with pytest.raises(NotImplementedError, match="for <constraint: positive>; there is one for: nothing yet"):
        R.ConstraintRegistry()(C.positive)
    with pytest.raises(NotImplementedError):
        R.biject_to(C.positive_definite)  # for which there is no bijection
    with pytest.raises(NotImplementedError):
        R.biject_to("positive")


# --------------------------------------------------------------------------------------------------------------- constraints

VALUES = [-inf, -2.0, -1.0, -0.5, -0.0, 0.0, 5e-324, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 1e300, inf, nan]
SIMPLICES = [
    [0.2, 0.3, 0.5],
    [0.2, 0.3, 0.6],
    [-0.1, 0.6, 0.5],
    [1.0, 0.0, 0.0],
    [nan, 0.5, 0.5],
    [0.2, 0.3, 0.5 + 1e-8],
]
SQUARES = [
    [[2.0, 0.5], [0.5, 1.0]], [[1.0, 0.0], [3.0, 2.0]], [[1.0, 0.0], [3.0, -2.0]], [[1.0, 2.0], [2.0, 1.0]],
    [[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [nan, 1.0]], [[1.0, 0.0], [0.0, 1e-30]], [[-1.0, 0.0], [0.0, -1.0]],
]  # fmt: skip
CHECKS = {
    **{
        name: (lambda C, t, name=name: getattr(C, name), VALUES)
        for name in (
            "boolean", "nonnegative_integer", "positive_integer", "real", "positive", "nonnegative", "unit_interval",
        )
    },
    "greater_than": (lambda C, t: C.greater_than(0.5), VALUES),
    "greater_than_eq": (lambda C, t: C.greater_than_eq(0.5), VALUES),
    "less_than": (lambda C, t: C.less_than(t([[0.5], [2.0]])), VALUES),
    "interval": (lambda C, t: C.interval(t([[0.5], [-1.0]]), 2.0), VALUES),
    "half_open_interval": (lambda C, t: C.half_open_interval(-1.0, 2.0), VALUES),
    "integer_interval": (lambda C, t: C.integer_interval(-1, 2), VALUES),
    "real_vector": (lambda C, t: C.real_vector, [[1.0, -inf], [nan, 1.0]]),
    "independent": (lambda C, t: C.independent(C.positive, 2), [[[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [nan, 4.0]]]),
    "simplex": (lambda C, t: C.simplex, SIMPLICES),
    "one_hot": (lambda C, t: C.one_hot, [[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.5, 0.5], [nan, 1.0]]),
    **{
        name: (lambda C, t, name=name: getattr(C, name), [matrix])
        for name in ("square", "lower_triangular", "lower_cholesky", "symmetric", "positive_semidefinite", "positive_definite")
        for matrix in [SQUARES]
    },
}  # fmt: skip


@ours
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CHECKS)
def test_checks_as_pytorch_does(name, dtype):
    reference = pytest.importorskip("torch")
    theirs = importlib.import_module("torch.distributions.constraints")
    make, values = CHECKS[name]
    if np.shape(values)[:1] == (1,):  # PyTorch judges a batch of matrices by its symmetric ones: so one by one
        values = [[m] for m in values[0] if "definite" not in name or not np.isnan(m).any()]
    else:
        values = [values]
    for value in values:

        def run(module, C, value=value):
            tensor = lambda v: module.tensor(v, dtype=getattr(module, dtype))  # noqa: E731
            constraint = make(C, tensor)
            return constraint.event_dim, constraint.is_discrete, constraint.check(tensor(value)).tolist()

        assert run(torch, C) == run(reference, theirs)


def test_a_bound_that_is_a_number_is_rounded_as_what_is_compared_with_it():
    x = torch.tensor([0.1], dtype=torch.float32)
    assert C.interval(0.0, 0.1).check(x).tolist() == [True]
    assert C.greater_than(0.1).check(x).tolist() == [False]
    assert C.greater_than_eq(0.1).check(x).tolist() == [True]


@ours
def test_checks_of_batches_of_matrices_go_one_by_one():
    batch = t64(SQUARES)
    for name in ("positive_definite", "positive_semidefinite", "symmetric", "lower_cholesky"):
        constraint = getattr(C, name)
        assert constraint.check(batch).tolist() == [constraint.check(m).item() for m in batch]
    assert C.positive_definite.check(batch).tolist() == [True, False, False, False, False, False, True, False]
    assert C.positive_semidefinite.check(batch).tolist() == [True, False, False, False, True, False, True, False]
    assert (
        C.positive_semidefinite.check(t64(np.ones((3, 3)))).item()
        and not C.positive_definite.check(t64(np.ones((3, 3)))).item()
    )
    assert not C.positive_semidefinite.check(t64([[1.0, 0.0], [0.0, -1e-9]])).item()
    for name in ("positive_definite", "positive_semidefinite", "symmetric", "square", "lower_cholesky"):
        assert tuple(getattr(C, name).check(torch.zeros(0, 2, 2)).shape) == (0,)
        assert tuple(getattr(C, name).check(torch.zeros(4, 0, 0)).shape) == (4,)
    assert not C.positive_definite.check(t64(np.ones((2, 3)))).item()


@ours
def test_a_multinomial_is_a_vector_of_counts_that_sum_to_the_total():
    """PyTorch takes what is less than the total as well, and fractions."""
    counts = t64([[1.0, 2.0], [1.0, 1.0], [1.5, 1.5], [-1.0, 4.0], [nan, 3.0], [0.0, 3.0]])
    assert C.multinomial(3).check(counts).tolist() == [True, False, False, False, False, True]


@ours
def test_a_ready_made_constraint_stays_itself():
    for name in ("positive", "simplex", "boolean", "positive_definite"):
        constraint = getattr(C, name)
        assert (
            copy.copy(constraint) is copy.deepcopy(constraint) is pickle.loads(pickle.dumps(constraint)) is constraint
        )
    assert R.biject_to(copy.deepcopy(C.independent(C.positive, 1))).base_transform == T.ExpTransform()
