"""Functions whose backward is written by hand, modules and parameters, and the check of gradients by differences."""

import importlib
import os
import re

import numpy as np
import pytest

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
ours = pytest.mark.skipif(UNDER_TEST == "torch", reason="we differ from PyTorch on purpose")

nn = torch.nn
Function = torch.autograd.Function


def leaf(*values, dtype=None):
    return torch.tensor(list(values), dtype=dtype or torch.float64, requires_grad=True)


class Square(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 2 * x * grad


class ScaledProduct(Function):
    """Two tensors and a number in, one tensor out."""

    @staticmethod
    def forward(ctx, a, b, scale):
        ctx.save_for_backward(a, b)
        ctx.scale = scale
        return a * b * scale

    @staticmethod
    def backward(ctx, grad):
        a, b = ctx.saved_tensors
        return grad * b * ctx.scale, grad * a * ctx.scale, None


class SumAndDifference(Function):
    @staticmethod
    def forward(ctx, a, b):
        return a + b, a - b

    @staticmethod
    def backward(ctx, by_sum, by_difference):
        return by_sum + by_difference, by_sum - by_difference


# ---------------------------------------------------------------- Function


def test_a_function_uses_its_own_backward():
    x = leaf(3.0, -1.0)
    y = Square.apply(x)
    assert y.tolist() == [9.0, 1.0] and y.requires_grad and not y.is_leaf
    y.backward(torch.tensor([1.0, 10.0], dtype=torch.float64))
    assert x.grad.tolist() == [6.0, -20.0]


def test_a_functions_backward_need_not_be_the_derivative():
    class RoundStraightThrough(Function):
        @staticmethod
        def forward(ctx, x):
            return torch.tensor(np.round(x.detach().numpy()))

        @staticmethod
        def backward(ctx, grad):
            return grad

    x = leaf(0.2, 1.7)
    y = RoundStraightThrough.apply(x)
    assert y.tolist() == [0.0, 2.0]
    (y * y).sum().backward()
    assert x.grad.tolist() == [0.0, 4.0]


def test_a_functions_node_is_named_after_its_class():
    x = leaf(3.0)
    y = Square.apply(x)
    assert y.grad_fn.name() == "SquareBackward"
    assert repr(y) == "tensor([9.], dtype=torch.float64, grad_fn=<SquareBackward>)"
    assert re.fullmatch(r"<.*SquareBackward object at 0x[0-9a-f]+>", repr(y.grad_fn))
    ((node, number),) = y.grad_fn.next_functions
    assert node.variable is x and number == 0


def test_several_inputs_get_their_gradients_in_order_and_numbers_get_none():
    a, b = leaf(2.0), leaf(5.0)
    ScaledProduct.apply(a, b, 10.0).backward()
    assert a.grad.tolist() == [50.0] and b.grad.tolist() == [20.0]


def test_an_input_that_does_not_require_grad_gets_no_gradient():
    a, b = leaf(2.0), torch.tensor([5.0], dtype=torch.float64)
    y = ScaledProduct.apply(a, b, 10.0)
    y.backward()
    assert a.grad.tolist() == [50.0] and b.grad is None


def test_the_same_tensor_may_be_given_twice():
    a = leaf(3.0)
    ScaledProduct.apply(a, a, 1.0).backward()
    assert a.grad.tolist() == [6.0]


def test_several_outputs_share_one_node():
    a, b = leaf(2.0), leaf(5.0)
    total, difference = SumAndDifference.apply(a, b)
    assert total.tolist() == [7.0] and difference.tolist() == [-3.0]
    assert total.grad_fn is difference.grad_fn
    product = total * difference
    assert [number for _, number in product.grad_fn.next_functions] == [0, 1]
    product.backward()
    assert a.grad.tolist() == [4.0] and b.grad.tolist() == [-10.0]  # the product is a^2 - b^2


def test_an_output_that_is_not_used_brings_zeros_to_backward():
    seen = []

    class Both(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x.sum()

        @staticmethod
        def backward(ctx, first, second):
            seen.extend([first, second])
            return first * 2 + second

    x = leaf(1.0, 2.0)
    doubled, total = Both.apply(x)
    doubled.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    assert seen[1].tolist() == 0.0 and seen[1].shape == total.shape and seen[1].dtype == torch.float64


def test_without_materialised_grads_an_unused_output_brings_none():
    seen = []

    class Both(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, first, second):
            seen.append(second)
            return first * 2

    x = leaf(1.0)
    Both.apply(x)[0].backward()
    assert seen == [None] and x.grad.tolist() == [2.0]


def test_each_output_may_be_used_alone():
    for index, expected in ((0, (1.0, 1.0)), (1, (1.0, -1.0))):
        a, b = leaf(2.0), leaf(5.0)
        SumAndDifference.apply(a, b)[index].backward()
        assert (a.grad.item(), b.grad.item()) == expected


def test_needs_input_grad_says_which_inputs_require_grad():
    seen = []

    class Watch(Function):
        @staticmethod
        def forward(ctx, a, b, number):
            seen.append(tuple(ctx.needs_input_grad))
            return a * b

        @staticmethod
        def backward(ctx, grad):
            seen.append(tuple(ctx.needs_input_grad))
            return grad, None, None

    Watch.apply(leaf(1.0), torch.tensor([2.0], dtype=torch.float64), 3).backward()
    assert seen == [(True, False, False)] * 2


def test_an_output_marked_non_differentiable_does_not_require_grad():
    class SortedWithOrder(Function):
        @staticmethod
        def forward(ctx, x):
            order = np.argsort(x.detach().numpy())
            index = torch.tensor(order)
            ctx.mark_non_differentiable(index)
            ctx.order = order
            return torch.tensor(x.detach().numpy()[order]), index

        @staticmethod
        def backward(ctx, grad, _):
            back = np.empty_like(grad.detach().numpy())
            back[ctx.order] = grad.detach().numpy()
            return torch.tensor(back)

    x = leaf(3.0, 1.0, 2.0)
    values, index = SortedWithOrder.apply(x)
    assert values.tolist() == [1.0, 2.0, 3.0] and index.tolist() == [1, 2, 0]
    assert values.requires_grad and not index.requires_grad and index.grad_fn is None
    values.backward(torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64))
    assert x.grad.tolist() == [100.0, 1.0, 10.0]


def test_forward_runs_without_grad_and_backward_only_with_create_graph():
    modes = []

    class Watch(Function):
        @staticmethod
        def forward(ctx, x):
            modes.append(torch.is_grad_enabled())
            y = x * 2
            assert not y.requires_grad
            return y

        @staticmethod
        def backward(ctx, grad):
            modes.append(torch.is_grad_enabled())
            return grad * 2

    x = leaf(1.0)
    torch.autograd.grad(Watch.apply(x), x)
    torch.autograd.grad(Watch.apply(x), x, create_graph=True)
    assert modes == [False, False, False, True]
    assert torch.is_grad_enabled()


def test_a_function_differentiates_twice_when_its_backward_is_made_of_operations():
    x = leaf(3.0)
    (g,) = torch.autograd.grad(Square.apply(x) ** 2, x, create_graph=True)
    (second,) = torch.autograd.grad(g, x, create_graph=True)
    (third,) = torch.autograd.grad(second, x)
    assert (g.item(), second.item(), third.item()) == pytest.approx((4 * 27.0, 12 * 9.0, 24 * 3.0))


def test_double_backward_reaches_every_input_of_a_function():
    a, b = leaf(2.0), leaf(5.0)
    y = ScaledProduct.apply(a, b, 10.0)
    (by_a,) = torch.autograd.grad(y, a, create_graph=True)
    (mixed,) = torch.autograd.grad(by_a, b)
    assert mixed.tolist() == [10.0]


def test_double_backward_through_a_saved_output():
    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            y = torch.exp(x)
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, grad):
            (y,) = ctx.saved_tensors
            return grad * y

    x = leaf(0.7)
    (g,) = torch.autograd.grad(Exp.apply(x), x, create_graph=True)
    (second,) = torch.autograd.grad(g, x, create_graph=True)
    (third,) = torch.autograd.grad(second, x)
    assert (g.item(), second.item(), third.item()) == pytest.approx((np.exp(0.7),) * 3)


def test_a_function_records_nothing_without_grad_or_without_need():
    with torch.no_grad():
        assert not Square.apply(leaf(3.0)).requires_grad
    y = Square.apply(torch.tensor([3.0]))
    assert not y.requires_grad and y.grad_fn is None and y.tolist() == [9.0]


def test_a_function_may_return_none_for_a_tensor():
    class Blocked(Function):
        @staticmethod
        def forward(ctx, a, b):
            return a + b

        @staticmethod
        def backward(ctx, grad):
            return None, grad

    a, b = leaf(1.0), leaf(2.0)
    Blocked.apply(a, b).backward()
    assert a.grad is None and b.grad.tolist() == [1.0]


def test_nones_too_many_at_the_end_are_ignored():
    class Generous(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            return grad * 2, None, None

    x = leaf(1.0)
    Generous.apply(x).backward()
    assert x.grad.tolist() == [2.0]


def test_a_function_that_returns_its_input_gives_a_new_tensor():
    class Identity(Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, grad):
            return grad * 7

    x = leaf(1.0)
    y = Identity.apply(x)
    assert y is not x and x.is_leaf and x.grad_fn is None and not y.is_leaf
    y.backward()
    assert x.grad.tolist() == [7.0]


def test_a_gradient_in_another_dtype_is_converted_to_that_of_the_input():
    class Careless(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            return grad.double() * 2

    x = leaf(1.0, dtype=torch.float32)
    Careless.apply(x).backward()
    assert x.grad.dtype == torch.float32 and x.grad.tolist() == [2.0]


def test_functions_chain_with_operations_and_with_themselves():
    x = leaf(1.5)
    y = Square.apply(Square.apply(x) + 1) * x
    y.backward()
    assert x.grad.item() == pytest.approx((1.5**2 + 1) ** 2 + 1.5 * 2 * (1.5**2 + 1) * 3)


def test_a_function_with_a_number_and_a_none_and_a_string_among_its_inputs():
    class Choose(Function):
        @staticmethod
        def forward(ctx, mode, x, nothing, power=2):
            ctx.save_for_backward(x)
            ctx.power = power
            assert mode == "power" and nothing is None
            return x**power

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return None, grad * ctx.power * x ** (ctx.power - 1), None, None

    x = leaf(2.0)
    Choose.apply("power", x, None, 3).backward()
    assert x.grad.tolist() == [12.0]


CTX_NAMES = """order number index count shape dtype value data grad grads args inputs outputs edges saved
    function graph walk run next previous parents children result out freed x y""".split()


@pytest.mark.parametrize("attribute", CTX_NAMES)
def test_ctx_keeps_an_attribute_of_any_ordinary_name(attribute):
    class Scale(Function):
        @staticmethod
        def forward(ctx, x, factor):
            setattr(ctx, attribute, factor)
            ctx.save_for_backward(x)
            return x * factor

        @staticmethod
        def backward(ctx, grad):
            (_,) = ctx.saved_tensors
            kept.append(getattr(ctx, attribute))
            return grad * kept[-1], None

    kept = []
    x = leaf(3.0)
    y = Scale.apply(Scale.apply(x * 2, 5.0) + 1, 7.0)
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    y.backward()
    assert kept == [7.0, 5.0, 7.0, 5.0] and first.tolist() == x.grad.tolist() == [70.0]


def test_saved_tensors_of_a_freed_graph_are_gone():
    x = leaf(2.0)
    y = Square.apply(x)
    y.backward()
    with pytest.raises(RuntimeError):
        y.backward()
    assert x.grad.tolist() == [4.0]


# ---------------------------------------------------------------- Module and Parameter


class Affine(nn.Module):
    def __init__(self, weight, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))
        self.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float64))
        self.note = "not a parameter"
        self.constant = torch.tensor([1.0])

    def forward(self, x, *, scale=1.0):
        return (x * self.weight + self.bias) * scale


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Affine([2.0], [0.5])
        self.temperature = nn.Parameter(torch.tensor(3.0, dtype=torch.float64))
        self.second = Affine([-1.0], [4.0])

    def forward(self, x):
        return self.second(self.first(x)) / self.temperature


def test_a_parameter_is_a_leaf_tensor_that_requires_grad():
    p = nn.Parameter(torch.tensor([1.0, 2.0]))
    assert isinstance(p, torch.Tensor) and isinstance(p, nn.Parameter)
    assert p.requires_grad and p.is_leaf and p.tolist() == [1.0, 2.0]
    (p * p).sum().backward()
    assert p.grad.tolist() == [2.0, 4.0]
    assert not isinstance(p * 2, nn.Parameter)
    assert not nn.Parameter(torch.tensor([1.0]), requires_grad=False).requires_grad


def test_calling_a_module_calls_forward_with_all_its_arguments():
    affine = Affine([2.0], [1.0])
    x = torch.tensor([3.0], dtype=torch.float64)
    assert affine(x).tolist() == [7.0]
    assert affine(x, scale=10.0).tolist() == [70.0]


def test_parameters_are_those_of_the_module_and_then_of_its_parts():
    module = Stack()
    names = [name for name, _ in module.named_parameters()]
    assert names == ["temperature", "first.weight", "first.bias", "second.weight", "second.bias"]
    parameters = list(module.parameters())
    assert [p.item() for p in parameters] == [3.0, 2.0, 0.5, -1.0, 4.0]
    assert all(a is b for a, (_, b) in zip(parameters, module.named_parameters(), strict=True))
    assert parameters[0] is module.temperature


def test_a_shared_parameter_is_listed_once():
    module = Stack()
    module.second.weight = module.first.weight
    names = [name for name, _ in module.named_parameters()]
    assert names == ["temperature", "first.weight", "first.bias", "second.bias"]


def test_a_module_without_parameters_has_none():
    assert list(nn.Module().parameters()) == []


def test_gradients_reach_all_parameters_and_zero_grad_clears_them():
    module = Stack()
    x = torch.tensor([10.0], dtype=torch.float64)
    module(x).sum().backward()
    by_name = {name: p.grad.item() for name, p in module.named_parameters()}
    assert by_name == pytest.approx(
        {
            "temperature": (20.5 - 4.0) / 9,
            "first.weight": -10 / 3,
            "first.bias": -1 / 3,
            "second.weight": 20.5 / 3,
            "second.bias": 1 / 3,
        }
    )
    module.zero_grad()
    assert all(p.grad is None for p in module.parameters())


def test_train_and_eval_reach_all_parts_and_return_the_module():
    module = Stack()
    assert module.training and module.first.training
    assert module.eval() is module
    assert not module.training and not module.first.training and not module.second.training
    assert module.train() is module
    assert module.training and module.second.training
    assert not module.train(False).first.training


def test_a_replaced_parameter_takes_the_place_of_the_old_one():
    module = Affine([2.0], [1.0])
    new = nn.Parameter(torch.tensor([5.0], dtype=torch.float64))
    module.weight = new
    assert dict(module.named_parameters())["weight"] is new and module.weight is new
    assert [name for name, _ in module.named_parameters()] == ["weight", "bias"]


def test_a_module_without_forward_says_so():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError):
        Empty()(torch.tensor(1.0))


def test_a_parameter_before_the_modules_init_is_refused():
    class Hasty(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(torch.tensor([1.0]))

    with pytest.raises(AttributeError):
        Hasty()


def test_an_attribute_that_is_missing_raises_attribute_error():
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = Affine([1.0], [1.0]).nothing_here


def test_a_module_learns_a_line_by_gradient_descent():
    x = torch.linspace(-1, 1, 21, dtype=torch.float64)
    target = 3.0 * x - 2.0
    module = Affine([0.0], [0.0])
    for _ in range(200):
        module.zero_grad()
        ((module(x) - target) ** 2).mean().backward()
        with torch.no_grad():
            module.weight = nn.Parameter(module.weight - 0.5 * module.weight.grad)
            module.bias = nn.Parameter(module.bias - 0.3 * module.bias.grad)
    assert module.weight.item() == pytest.approx(3.0, abs=1e-6)
    assert module.bias.item() == pytest.approx(-2.0, abs=1e-6)


# ---------------------------------------------------------------- gradcheck


class WrongSine(Function):
    """A derivative with the wrong sign."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.sin(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return -grad * torch.cos(x)


class WrongSecondDerivative(Function):
    """The first derivative is right, but its graph is cut, so the second one is lost."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 3 * x.detach() * x


def test_gradcheck_accepts_a_right_derivative():
    x, y = leaf(0.3, -1.2), leaf(2.0, 0.5)
    assert torch.autograd.gradcheck(lambda a: torch.sin(a) * a, (x,)) is True
    assert torch.autograd.gradcheck(lambda a, b: (a * b).exp() / b, (x, y)) is True
    assert torch.autograd.gradcheck(lambda a: torch.sin(a) * a, x) is True
    assert torch.autograd.gradcheck(Square.apply, (x,), eps=1e-6, atol=1e-6, rtol=1e-4, raise_exception=False) is True


def test_gradcheck_accepts_several_outputs_and_inputs_without_grad():
    x, constant = leaf(0.3, -1.2), torch.tensor([2.0, 3.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda a, b: (a * b, a.sum()), (x, constant))
    assert torch.autograd.gradcheck(lambda a, n: a**n, (x, 3))


def test_gradcheck_leaves_grad_alone():
    x = leaf(0.3, -1.2)
    torch.autograd.gradcheck(torch.sin, (x,))
    assert x.grad is None and x.tolist() == [0.3, -1.2]


def test_gradcheck_refuses_a_wrong_derivative():
    x = leaf(0.3, -1.2)
    with pytest.raises(RuntimeError):
        torch.autograd.gradcheck(WrongSine.apply, (x,))
    assert torch.autograd.gradcheck(WrongSine.apply, (x,), raise_exception=False) is False


def test_gradcheck_tolerances_are_used():
    x = leaf(0.3)

    class SlightlyOff(Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            return 2.01 * grad

    assert not torch.autograd.gradcheck(SlightlyOff.apply, (x,), raise_exception=False)
    assert torch.autograd.gradcheck(SlightlyOff.apply, (x,), atol=0.1)
    assert torch.autograd.gradcheck(SlightlyOff.apply, (x,), atol=0.0, rtol=0.1)


def test_gradgradcheck_accepts_right_second_derivatives():
    x, y = leaf(0.3, -1.2), leaf(2.0, 0.5)
    assert torch.autograd.gradgradcheck(lambda a, b: torch.sin(a) * b**3, (x, y)) is True
    assert torch.autograd.gradgradcheck(Square.apply, (x,)) is True


def test_gradgradcheck_refuses_wrong_second_derivatives_that_gradcheck_cannot_see():
    x = leaf(0.3, -1.2)
    assert torch.autograd.gradcheck(WrongSecondDerivative.apply, (x,))
    with pytest.raises(RuntimeError):
        torch.autograd.gradgradcheck(WrongSecondDerivative.apply, (x,))
    assert torch.autograd.gradgradcheck(WrongSecondDerivative.apply, (x,), raise_exception=False) is False


@ours
def test_the_message_of_gradcheck_names_input_index_and_both_values():
    class WrongAtOnePlace(Function):
        @staticmethod
        def forward(ctx, a, b):
            return a + b

        @staticmethod
        def backward(ctx, grad):
            return grad, grad * torch.tensor([1.0, 1.0, 4.0], dtype=torch.float64)

    a, b = leaf(0.1, 0.2, 0.3), leaf(0.4, 0.5, 0.6)
    with pytest.raises(RuntimeError) as caught:
        torch.autograd.gradcheck(WrongAtOnePlace.apply, (a, b))
    message = str(caught.value)
    numbers = [float(number) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?|-?\d+", message)]
    assert 1 in numbers, "the number of the input"
    assert 2 in numbers, "the index in it"
    assert any(abs(number - 4.0) < 1e-3 for number in numbers), "what backward gave"
    assert any(abs(number - 1.0) < 1e-3 and number != 1 for number in numbers) or numbers.count(1) >= 2, (
        "the difference"
    )
