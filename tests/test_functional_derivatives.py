"""autograd.functional: Jacobians, Hessians and their products with vectors; derivatives of any order by nesting grad."""

import importlib
import math
import os

import numpy as np
import pytest

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
functional = torch.autograd.functional


def plain(*values, dtype=None):
    return torch.tensor(list(values), dtype=dtype or torch.float64)


def leaf(*values):
    return plain(*values).requires_grad_()


def near(actual, expected, rtol=1e-10, atol=1e-12):
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=rtol, atol=atol)
    return True


def shapes(result):
    return tuple(shapes(part) for part in result) if isinstance(result, tuple) else tuple(result.shape)


A, B = (1.0, 2.0), (3.0, 5.0, 7.0)


def a():
    return plain(*A)


def b():
    return plain(*B)


def cubes(x):
    return (x**3).sum()


# ---------------------------------------------------------------- jacobian

SHAPES = {
    "one to one": (lambda x: x.exp(), (2,), (2, 2)),
    "one to a number": (lambda x: x.sum(), (2,), (2,)),
    "one to a matrix": (lambda x: x[:, None] * b(), (2,), (2, 3, 2)),
    "a matrix to a vector": (lambda x: x.sum(0), (2, 3), (3, 2, 3)),
    "a number to a number": (lambda x: x * 2, (), ()),
    "a number to a vector": (lambda x: x * b(), (), (3,)),
    "one element": (lambda x: x * 2, (1,), (1, 1)),
    "to a tuple of one": (lambda x: (x * 2,), (2,), ((2, 2),)),
    "to a tuple": (lambda x: (x * 2, x.sum(), x[None]), (2,), ((2, 2), (2,), (1, 2, 2))),
}


@pytest.mark.parametrize("case", SHAPES)
def test_the_jacobian_has_the_shape_of_output_and_input(case):
    function, shape, expected = SHAPES[case]
    x = torch.ones(shape, dtype=torch.float64)
    assert shapes(functional.jacobian(function, x)) == expected


def test_the_jacobian_of_a_tuple_of_inputs_is_a_tuple():
    assert shapes(functional.jacobian(lambda x: x * 2, (a(),))) == ((2, 2),)
    assert shapes(functional.jacobian(lambda x, y: x.sum() * y, (a(), b()))) == ((3, 2), (3, 3))
    both = functional.jacobian(lambda x, y: (x * 2, x.sum() * y), (a(), b()))
    assert shapes(both) == (((2, 2), (2, 3)), ((3, 2), (3, 3)))
    assert near(both[0][0], 2 * np.eye(2)) and near(both[0][1], np.zeros((2, 3)))
    assert near(both[1][0], np.outer(B, [1, 1])) and near(both[1][1], 3 * np.eye(3))


def test_jacobians_have_the_values_of_closed_forms():
    assert near(functional.jacobian(torch.exp, a()), np.diag(np.exp(A)))
    m = torch.arange(6.0, dtype=torch.float64).reshape(3, 2)
    assert near(functional.jacobian(lambda x: m @ x, a()), m.numpy())
    s = np.exp(B - np.max(B)) / np.exp(B - np.max(B)).sum()
    assert near(functional.jacobian(lambda x: torch.softmax(x, 0), b()), np.diag(s) - np.outer(s, s))
    assert near(functional.jacobian(lambda x: torch.outer(x, x), a()), [[[2, 0], [2, 1]], [[2, 1], [0, 4]]])
    r, t = 2.0, 0.5
    polar = functional.jacobian(lambda p: torch.stack([p[0] * p[1].cos(), p[0] * p[1].sin()]), plain(r, t))
    assert near(polar, [[math.cos(t), -r * math.sin(t)], [math.sin(t), r * math.cos(t)]])


def test_the_jacobian_of_a_matrix_function():
    x = torch.arange(1.0, 5.0, dtype=torch.float64).reshape(2, 2)
    found = functional.jacobian(lambda x: x @ x, x)
    eye, array = np.eye(2), x.numpy()
    assert near(found, np.einsum("ik,jl->ijkl", eye, array.T) + np.einsum("ik,jl->ijkl", array, eye))


def test_a_jacobian_leaves_inputs_and_grad_alone():
    x = leaf(*A)
    found = functional.jacobian(lambda x: x**3, x)
    assert not found.requires_grad and x.grad is None and x.requires_grad and x.is_leaf
    assert near(found, np.diag([3.0, 12.0]))
    y = a()
    functional.jacobian(lambda x: x**3, y)
    assert not y.requires_grad and y.grad is None


def test_a_jacobian_with_create_graph_can_be_differentiated():
    x = leaf(*A)
    found = functional.jacobian(lambda x: x**3, x, create_graph=True)
    assert found.requires_grad
    (g,) = torch.autograd.grad(found.sum(), x)
    assert near(g, [6.0, 12.0])
    outer = leaf(2.0)
    (g,) = torch.autograd.grad(functional.jacobian(lambda x: x**2 * outer, a(), create_graph=True).sum(), outer)
    assert near(g, [6.0])


def test_the_function_may_be_called_under_no_grad_and_takes_its_own_way():
    with torch.no_grad():
        assert near(functional.jacobian(lambda x: x**2, a()), np.diag([2.0, 4.0]))
        assert not torch.is_grad_enabled()

    def detour(x):
        y = x * 1
        y[0] = 5
        y.mul_(3)
        return torch.cat([y, x.detach()])

    assert near(functional.jacobian(detour, a()), [[0, 0], [0, 3], [0, 0], [0, 0]])


def test_outputs_that_do_not_depend_on_an_input_have_zeros():
    by_x, by_y = functional.jacobian(lambda x, y: x * 2, (a(), b()))
    assert near(by_x, 2 * np.eye(2)) and near(by_y, np.zeros((2, 3)))
    assert near(functional.jacobian(lambda x: torch.ones(3), a()), np.zeros((3, 2)))
    assert near(functional.jacobian(lambda x: x.detach(), a()), np.zeros((2, 2)))


def test_the_dtype_of_a_jacobian():
    assert functional.jacobian(lambda x: x * 2, plain(*A, dtype=torch.float32)).dtype == torch.float32
    assert functional.jacobian(lambda x: x.float() * 2, a()).dtype == torch.float64


def test_jacobians_may_be_asked_for_all_at_once():
    assert near(functional.jacobian(lambda x: x**2, a(), vectorize=True), np.diag([2.0, 4.0]))


# ---------------------------------------------------------------- hessian


def test_hessians_have_the_shapes_of_the_inputs_twice():
    assert shapes(functional.hessian(cubes, a())) == (2, 2)
    assert shapes(functional.hessian(cubes, (a(),))) == (((2, 2),),)
    assert shapes(functional.hessian(cubes, torch.ones(2, 3, dtype=torch.float64))) == (2, 3, 2, 3)
    assert shapes(functional.hessian(cubes, torch.tensor(2.0, dtype=torch.float64))) == ()
    assert shapes(functional.hessian(lambda x: cubes(x)[None], a())) == (2, 2)
    found = functional.hessian(lambda x, y: cubes(x) * y.sum(), (a(), b()))
    assert shapes(found) == (((2, 2), (2, 3)), ((3, 2), (3, 3)))


def test_hessians_have_the_values_of_closed_forms():
    assert near(functional.hessian(cubes, a()), np.diag([6.0, 12.0]))
    m = np.arange(9.0).reshape(3, 3)
    assert near(functional.hessian(lambda x: x @ (torch.tensor(m) @ x), b()), m + m.T)
    (xx, xy), (yx, yy) = functional.hessian(lambda x, y: cubes(x) * y.sum(), (a(), b()))
    assert near(xx, 15 * np.diag([6.0, 12.0])) and near(yy, np.zeros((3, 3)))
    assert near(xy, np.outer([3.0, 12.0], [1, 1, 1])) and near(yx, xy.numpy().T)
    s = np.exp(B - np.max(B)) / np.exp(B - np.max(B)).sum()
    assert near(functional.hessian(lambda x: x.logsumexp(0), b()), np.diag(s) - np.outer(s, s))
    assert near(functional.hessian(lambda x: x.prod(), b()), [[0, 7, 5], [7, 0, 3], [5, 3, 0]])
    # Rosenbrock's function at (1, 1): 2 + 800 x² …
    found = functional.hessian(lambda p: (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2, plain(1.0, 1.0))
    assert near(found, [[802.0, -400.0], [-400.0, 200.0]])


def test_the_hessian_of_a_linear_function_is_zero():
    assert near(functional.hessian(lambda x: x.sum() * 2, a()), np.zeros((2, 2)))
    assert near(functional.hessian(lambda x: torch.ones(()), a()), np.zeros((2, 2)))


def test_a_hessian_with_create_graph_can_be_differentiated():
    x = leaf(*A)
    found = functional.hessian(lambda x: (x**4).sum(), x, create_graph=True)
    (g,) = torch.autograd.grad(found.sum(), x)
    assert near(g, [24.0, 48.0])
    assert not functional.hessian(cubes, x).requires_grad and x.grad is None


def test_newtons_method_by_the_hessian():
    x = plain(-1.2, 1.0)
    for _ in range(8):

        def f(p):
            return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2

        h, g = functional.hessian(f, x).numpy(), functional.jacobian(f, x).numpy()
        x = x - torch.tensor(np.linalg.solve(h, g))
    assert near(x, [1.0, 1.0])


# ---------------------------------------------------------------- products with vectors


def test_jvp_and_vjp_return_the_output_and_the_product():
    m = np.arange(1.0, 7.0).reshape(3, 2)

    def f(x):
        return torch.tensor(m) @ (x**2)

    slope = m * (2 * np.array(A))
    value = m @ np.square(A)
    out, forward = functional.jvp(f, a(), plain(1.0, 10.0))
    assert near(out, value) and near(forward, slope @ [1.0, 10.0])
    out, back = functional.vjp(f, a(), b())
    assert near(out, value) and near(back, np.array(B) @ slope)
    assert not out.requires_grad and not forward.requires_grad and not back.requires_grad


def test_products_of_functions_with_several_inputs_and_outputs():
    def f(x, y):
        return x**2, y * x.sum()

    out, product = functional.jvp(f, (a(), b()), (plain(1.0, 10.0), b()))
    assert near(out[0], [1.0, 4.0]) and near(out[1], 3 * np.array(B))
    assert near(product[0], [2.0, 40.0]) and near(product[1], 14 * np.array(B))
    out, product = functional.vjp(f, (a(), b()), (plain(1.0, 10.0), b()))
    assert near(product[0], [2.0 + 83, 40.0 + 83]) and near(product[1], 3 * np.array(B))


def test_products_keep_the_form_of_the_inputs_and_of_the_outputs():
    out, product = functional.jvp(lambda x: x**2, (a(),), (a(),))
    assert isinstance(out, torch.Tensor) and isinstance(product, torch.Tensor)
    out, product = functional.jvp(lambda x: (x**2,), a(), a())
    assert isinstance(out, tuple) and isinstance(product, tuple)
    out, product = functional.vjp(lambda x: x**2, (a(),), a())
    assert isinstance(out, torch.Tensor) and isinstance(product, tuple) and near(product[0], [2.0, 8.0])
    out, product = functional.vjp(lambda x: (x**2,), a(), (a(),))
    assert isinstance(out, tuple) and isinstance(product, torch.Tensor)


def test_the_vector_may_be_left_out_where_there_is_one_element():
    out, product = functional.jvp(lambda x: x**2, plain(3.0))
    assert near(out, [9.0]) and near(product, [6.0])
    out, product = functional.jvp(lambda x: x**2, torch.tensor(3.0))
    assert shapes((out, product)) == ((), ()) and product.item() == 6.0
    out, product = functional.vjp(cubes, a())
    assert out.item() == 9.0 and near(product, [3.0, 12.0])
    for call in (
        lambda: functional.jvp(lambda x: x**2, a()),
        lambda: functional.vjp(lambda x: x**2, a()),
        lambda: functional.hvp(cubes, a()),
        lambda: functional.vhp(cubes, a()),
    ):
        with pytest.raises(RuntimeError):
            call()


def test_hvp_and_vhp_are_the_hessian_times_a_vector():
    m = np.arange(9.0).reshape(3, 3)

    def f(x):
        return (x @ (torch.tensor(m) @ x)) * x.sum()

    v = [1.0, -2.0, 0.5]
    h = functional.hessian(f, b()).numpy()
    for product_of in (functional.hvp, functional.vhp):
        out, product = product_of(f, b(), plain(*v))
        assert near(out, f(b()).item()) and near(product, h @ v)
        assert not out.requires_grad and not product.requires_grad


def test_hvp_and_vhp_of_several_inputs():
    def f(x, y):
        return cubes(x) * y.sum()

    for product_of in (functional.hvp, functional.vhp):
        out, (by_x, by_y) = product_of(f, (a(), b()), (plain(1.0, 10.0), b()))
        assert out.item() == 135.0
        assert near(by_x, [15 * 6.0 + 3 * 15, 15 * 120.0 + 12 * 15]) and near(by_y, [123.0] * 3)
        _, (by_x, by_y) = product_of(lambda x, y: cubes(x), (a(), b()), (a(), b()))
        assert near(by_x, [6.0, 24.0]) and near(by_y, [0.0] * 3)
        _, product = product_of(lambda x: x.sum(), a(), a())
        assert near(product, [0.0, 0.0])


def test_products_with_create_graph_can_be_differentiated():
    x, v = leaf(*A), plain(1.0, 10.0)
    for product_of, function, expected in (
        (functional.jvp, lambda x: x**3, [6.0, 120.0]),
        (functional.vjp, lambda x: x**3, [6.0, 120.0]),
        (functional.hvp, cubes, [6.0, 60.0]),
        (functional.vhp, cubes, [6.0, 60.0]),
    ):
        out, product = product_of(function, x, v, create_graph=True)
        assert out.requires_grad and product.requires_grad
        assert near(torch.autograd.grad(product.sum(), x)[0], expected) and x.grad is None


def test_products_of_what_does_not_depend_are_zero():
    for product_of, v in ((functional.jvp, a()), (functional.vjp, plain(1.0, 1.0, 1.0))):
        out, product = product_of(lambda x: torch.ones(3, dtype=torch.float64), a(), v)
        assert near(out, [1.0] * 3) and near(product, np.zeros(3 if product_of is functional.jvp else 2))
    _, (by_x, by_y) = functional.vjp(lambda x, y: x**2, (a(), b()), a())
    assert near(by_x, [2.0, 8.0]) and near(by_y, [0.0] * 3)
    _, product = functional.jvp(lambda x, y: x**2, (a(), b()), (a(), b()))
    assert near(product, [2.0, 8.0])


# ---------------------------------------------------------------- strict, and what is refused


STRICT = {
    "jacobian of a constant": lambda: functional.jacobian(lambda x: torch.ones(2), a(), strict=True),
    "jacobian of what was cut": lambda: functional.jacobian(lambda x: x.detach() * 2, a(), strict=True),
    "jacobian of another leaf": lambda: functional.jacobian(lambda x: leaf(1.0) * 2, a(), strict=True),
    "jacobian by an unused input": lambda: functional.jacobian(lambda x, y: x * 2, (a(), b()), strict=True),
    "jacobian of one of two outputs": lambda: functional.jacobian(
        lambda x, y: (x.sum() * y, x * 2), (a(), b()), strict=True
    ),
    "jacobian that is constant": lambda: functional.jacobian(lambda x: x * 2, a(), strict=True, create_graph=True),
    "jvp of a constant": lambda: functional.jvp(lambda x: torch.ones(2), a(), a(), strict=True),
    "jvp by an unused input": lambda: functional.jvp(lambda x, y: x**2, (a(), b()), (a(), b()), strict=True),
    "vjp of a constant": lambda: functional.vjp(lambda x: torch.ones(2), a(), a(), strict=True),
    "vjp by an unused input": lambda: functional.vjp(lambda x, y: x**2, (a(), b()), a(), strict=True),
    "hessian of a linear function": lambda: functional.hessian(lambda x: x.sum() * 2, a(), strict=True),
    "hvp of a linear function": lambda: functional.hvp(lambda x: x.sum(), a(), a(), strict=True),
    "vhp of a linear function": lambda: functional.vhp(lambda x: x.sum(), a(), a(), strict=True),
}


@pytest.mark.parametrize("case", STRICT)
def test_strict_refuses_what_does_not_depend(case):
    with pytest.raises(RuntimeError, match=r"strict|independent"):
        STRICT[case]()


def test_strict_gives_the_same_where_all_depends():
    assert near(functional.jacobian(lambda x: x**2, a(), strict=True), np.diag([2.0, 4.0]))
    assert near(functional.jacobian(lambda x: x * 2, a(), strict=True), 2 * np.eye(2))
    assert near(functional.hessian(cubes, a(), strict=True), np.diag([6.0, 12.0]))
    assert near(functional.jvp(lambda x: x * 2, a(), a(), strict=True)[1], [2.0, 4.0])
    assert near(functional.vjp(lambda x: x * 2, a(), a(), strict=True)[1], [2.0, 4.0])
    assert near(functional.hvp(cubes, a(), a(), strict=True)[1], [6.0, 24.0])


REFUSED = {
    "a list of inputs": (TypeError, lambda: functional.jacobian(lambda x, y: x, [a(), b()])),
    "a number as input": (TypeError, lambda: functional.jacobian(lambda x: x, 2.0)),
    "a number as output": (TypeError, lambda: functional.jacobian(lambda x: 2.0, a())),
    "a list as output": (TypeError, lambda: functional.jacobian(lambda x: [x * 2], a())),
    "integers": (RuntimeError, lambda: functional.jacobian(lambda x: x * 2.0, torch.tensor([1, 2]))),
    "a vector as output of hessian": (RuntimeError, lambda: functional.hessian(lambda x: x**3, a())),
    "a tuple as output of hessian": (RuntimeError, lambda: functional.hessian(lambda x: (cubes(x),), a())),
    "a vector as output of hvp": (RuntimeError, lambda: functional.hvp(lambda x: x**3, a(), a())),
    "a vector as output of vhp": (RuntimeError, lambda: functional.vhp(lambda x: x**3, a(), a())),
    "v of another shape in jvp": (RuntimeError, lambda: functional.jvp(lambda x: x**2, a(), b())),
    "v of another shape in vjp": (RuntimeError, lambda: functional.vjp(lambda x: x**2, a(), b())),
    "v of another shape in hvp": (RuntimeError, lambda: functional.hvp(cubes, a(), b())),
    "too few v": (RuntimeError, lambda: functional.jvp(lambda x, y: x, (a(), b()), (a(),))),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case):
    error, call = REFUSED[case]
    with pytest.raises(error):
        call()


# ---------------------------------------------------------------- any order, by nesting grad


def derivatives(function, at, order):
    """The value and the derivatives of a function of one number, up to the order."""
    x = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    y = function(x)
    found = [y.item()]
    for _ in range(order):
        if not y.requires_grad:  # a constant, for which grad would raise
            return [*found, 0.0]
        (y,) = torch.autograd.grad(y, x, create_graph=True)
        found.append(y.item())
    return found


E, S, C, L = math.exp(0.7), math.sin(0.7), math.cos(0.7), math.log(0.7)
T = math.tanh(0.7)
Q = 1 / (1 + math.exp(-0.7))

CLOSED = {
    "exp": (torch.exp, [E] * 5),
    "sin": (torch.sin, [S, C, -S, -C, S]),
    "cos": (torch.cos, [C, -S, -C, S, C]),
    "log": (torch.log, [L, 1 / 0.7, -1 / 0.7**2, 2 / 0.7**3, -6 / 0.7**4]),
    "reciprocal": (lambda x: 1 / x, [0.7**-1, -(0.7**-2), 2 * 0.7**-3, -6 * 0.7**-4, 24 * 0.7**-5]),
    "sqrt": (torch.sqrt, [0.7**0.5, 0.5 * 0.7**-0.5, -0.25 * 0.7**-1.5, 0.375 * 0.7**-2.5, -0.9375 * 0.7**-3.5]),
    "x ** 4": (lambda x: x**4, [0.7**4, 4 * 0.7**3, 12 * 0.7**2, 24 * 0.7, 24.0]),
    "x * x * x": (lambda x: x * x * x, [0.7**3, 3 * 0.7**2, 6 * 0.7, 6.0, 0.0]),
    "tanh": (
        torch.tanh,
        [T, 1 - T**2, -2 * T * (1 - T**2), (1 - T**2) * (6 * T**2 - 2), (1 - T**2) * (16 * T - 24 * T**3)],
    ),
    "sigmoid": (
        torch.sigmoid,
        [Q, Q * (1 - Q), Q * (1 - Q) * (1 - 2 * Q), Q * (1 - Q) * (1 - 6 * Q + 6 * Q**2)],
    ),
    "exp(x²)": (
        lambda x: (x * x).exp(),
        [f * math.exp(0.49) for f in (1, 1.4, 2 + 4 * 0.49, 12 * 0.7 + 8 * 0.343)],
    ),
    "x sin x": (lambda x: x * x.sin(), [0.7 * S, S + 0.7 * C, 2 * C - 0.7 * S, -3 * S - 0.7 * C]),
    "x ** x": (
        lambda x: x**x,
        [0.7**0.7, 0.7**0.7 * (1 + L), 0.7**0.7 * ((1 + L) ** 2 + 1 / 0.7)],
    ),
}


@pytest.mark.parametrize("case", CLOSED)
def test_derivatives_of_higher_order_have_their_closed_forms(case):
    function, expected = CLOSED[case]
    assert derivatives(function, 0.7, len(expected) - 1) == pytest.approx(expected, rel=1e-10, abs=1e-10)


def test_a_polynomial_vanishes_after_its_degree():
    found = derivatives(lambda x: 2 * x**3 - x**2 + 5, 1.5, 4)
    assert found == pytest.approx([2 * 3.375 - 2.25 + 5, 6 * 2.25 - 3, 12 * 1.5 - 2, 12.0, 0.0])


def test_the_eighth_derivative():
    assert derivatives(torch.exp, 0.3, 8) == pytest.approx([math.exp(0.3)] * 9)
    assert derivatives(lambda x: x.sin() * x.exp(), 0.3, 8)[8] == pytest.approx(16 * math.sin(0.3) * math.exp(0.3))


def test_mixed_third_derivatives_do_not_depend_on_the_order():
    x, y = leaf(0.6), leaf(1.2)

    def by(t, *order):
        for wanted in order:
            (t,) = torch.autograd.grad(t, wanted, create_graph=True)
        return t.item()

    z = (x * y).sin() * y.exp()
    found = [by(z, *order) for order in ((x, y, y), (y, x, y), (y, y, x))]
    a, b = 0.6, 1.2
    s, c = math.sin(a * b), math.cos(a * b)
    # ∂³/∂x∂y² of sin(xy) eʸ
    expected = math.exp(b) * ((2 + b) * c - 2 * a * (1 + b) * s - a * a * b * c)
    assert found == pytest.approx([expected] * 3)


def test_a_hessian_by_hand_agrees_with_that_of_functional():
    x = leaf(*B)

    def f(x):
        return (x.exp() / x).sum() * x.prod().log()

    (g,) = torch.autograd.grad(f(x), x, create_graph=True)
    rows = [torch.autograd.grad(part, x, retain_graph=True)[0].tolist() for part in g]
    assert near(functional.hessian(f, x), rows) and near(functional.jacobian(f, x), g.tolist())
    third = functional.jacobian(lambda x: functional.hessian(f, x, create_graph=True), x)
    assert third.shape == (3, 3, 3)
    for axes in ((1, 0, 2), (0, 2, 1), (2, 1, 0)):
        assert near(third, third.numpy().transpose(axes), rtol=1e-8)


def test_a_step_of_descent_can_be_differentiated():
    rate = leaf(0.1)
    w = leaf(3.0)
    v = w
    for _ in range(3):
        (g,) = torch.autograd.grad((v**2).sum(), v, create_graph=True)
        v = v - rate * g
    v.sum().backward()
    # After three steps v = w (1 - 2 rate)³.
    assert near(v, [3 * 0.8**3]) and near(rate.grad, [3 * 3 * 0.8**2 * -2]) and near(w.grad, [0.8**3])
