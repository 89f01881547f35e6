"""Bad input raises PyTorch's exception class, and changes nothing: no gradient is touched by a call that failed."""

import importlib
import os

import numpy as np
import pytest

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
Normal = importlib.import_module(UNDER_TEST + ".distributions").Normal
ours = pytest.mark.skipif(UNDER_TEST == "torch", reason="we differ from PyTorch on purpose")

F = torch.nn.functional
nan = float("nan")


def leaf(*values, dtype=None):
    return torch.tensor(list(values), dtype=dtype or torch.float32, requires_grad=True)


def ones(*shape):
    return torch.ones(*shape)


BAD_CALLS = {
    # making tensors
    "ragged list": (ValueError, lambda: torch.tensor([[1.0, 2.0], [3.0]])),
    "tensor of a string": (TypeError, lambda: torch.tensor("abc")),
    "tensor of strings": ((TypeError, ValueError), lambda: torch.tensor(["a", "b"])),
    "tensor of an object array": (TypeError, lambda: torch.tensor(np.array([object()]))),
    "from_numpy of a list": (TypeError, lambda: torch.from_numpy([1.0])),
    "integers with requires_grad": (RuntimeError, lambda: torch.tensor([1, 2], requires_grad=True)),
    "bools with requires_grad": (RuntimeError, lambda: torch.tensor([True], requires_grad=True)),
    "arange with requires_grad": (RuntimeError, lambda: torch.arange(3, requires_grad=True)),
    "requires_grad_ on integers": (RuntimeError, lambda: torch.tensor([1]).requires_grad_()),
    "negative size": (RuntimeError, lambda: torch.zeros(-1)),
    "size of strings": (TypeError, lambda: torch.zeros("a")),
    "arange away from its end": (RuntimeError, lambda: torch.arange(5, 1)),
    "arange with step zero": (RuntimeError, lambda: torch.arange(0, 1, 0)),
    "negative number of steps": (RuntimeError, lambda: torch.linspace(0, 1, -1)),
    "unknown dtype": (TypeError, lambda: torch.zeros(2, dtype="float32")),
    "seed that is not a number": ((TypeError, ValueError, RuntimeError), lambda: torch.manual_seed("abc")),
    # shapes that do not fit
    "adding shapes that do not broadcast": (RuntimeError, lambda: ones(2) + ones(3)),
    "multiplying shapes that do not broadcast": (RuntimeError, lambda: ones(2, 3) * ones(2)),
    "comparing shapes that do not broadcast": (RuntimeError, lambda: ones(2) < ones(3)),
    "maximum of shapes that do not broadcast": (RuntimeError, lambda: torch.maximum(ones(2), ones(3))),
    "where with shapes that do not broadcast": (RuntimeError, lambda: torch.where(ones(2) > 0, ones(3), ones(1))),
    "dot of different lengths": (RuntimeError, lambda: ones(2) @ ones(3)),
    "matrix times vector of another length": (RuntimeError, lambda: ones(2, 3) @ ones(2)),
    "matrices that do not fit": (RuntimeError, lambda: ones(2, 3) @ ones(2, 3)),
    "batches that do not broadcast": (RuntimeError, lambda: ones(2, 3, 3) @ ones(4, 3, 3)),
    "matmul with a 0-d tensor": (RuntimeError, lambda: torch.matmul(ones(3), torch.tensor(1.0))),
    "matmul of different dtypes": (RuntimeError, lambda: ones(2, 2) @ ones(2, 2).double()),
    "matmul with a number": (TypeError, lambda: ones(2, 2) @ 3.0),
    "reshape to another number of elements": (RuntimeError, lambda: ones(6).reshape(4)),
    "reshape with two free sizes": (RuntimeError, lambda: ones(6).reshape(-1, -1)),
    "view to another number of elements": (RuntimeError, lambda: ones(6).view(5)),
    "reshape with a free size that does not divide": (RuntimeError, lambda: ones(6).reshape(-1, 4)),
    "expand of a size that is not one": (RuntimeError, lambda: ones(2).expand(3)),
    "expand to fewer dimensions": (RuntimeError, lambda: ones(2, 3).expand(3)),
    "stack of different shapes": (RuntimeError, lambda: torch.stack([ones(2), ones(3)])),
    "stack of nothing": (RuntimeError, lambda: torch.stack([])),
    "cat of different shapes": (RuntimeError, lambda: torch.cat([ones(2, 2), ones(3, 3)])),
    "cat of different numbers of dimensions": (RuntimeError, lambda: torch.cat([ones(2, 2), ones(2)])),
    "cat of nothing": ((RuntimeError, ValueError), lambda: torch.cat([])),
    "t of three dimensions": (RuntimeError, lambda: ones(2, 2, 2).t()),
    "permute with a dim left out": (RuntimeError, lambda: ones(2, 3).permute(0)),
    "permute with a dim twice": (RuntimeError, lambda: ones(2, 3).permute(0, 0)),
    # dimensions that are not there
    "sum over an unknown dim": (IndexError, lambda: ones(2).sum(1)),
    "sum over an unknown negative dim": (IndexError, lambda: ones(2).sum(-2)),
    "sum over a dim twice": (RuntimeError, lambda: ones(2, 3).sum((0, 0))),
    "mean over an unknown dim": (IndexError, lambda: ones(2).mean(3)),
    "var over an unknown dim": (IndexError, lambda: ones(2).var(2)),
    "max over an unknown dim": (IndexError, lambda: ones(2).max(1)),
    "argmax over an unknown dim": (IndexError, lambda: ones(2).argmax(1)),
    "softmax over an unknown dim": (IndexError, lambda: ones(2).softmax(1)),
    "logsumexp over an unknown dim": (IndexError, lambda: torch.logsumexp(ones(2), 1)),
    "transpose of an unknown dim": (IndexError, lambda: ones(2).transpose(0, 1)),
    "permute of an unknown dim": (IndexError, lambda: ones(2, 3).permute(0, 2)),
    "unsqueeze too far": (IndexError, lambda: ones(2).unsqueeze(3)),
    "squeeze of an unknown dim": (IndexError, lambda: ones(2).squeeze(1)),
    "flatten of an unknown dim": (IndexError, lambda: ones(2, 3).flatten(2)),
    "stack along an unknown dim": (IndexError, lambda: torch.stack([ones(2)], 3)),
    "cat along an unknown dim": (IndexError, lambda: torch.cat([ones(2)], 1)),
    "size of an unknown dim": (IndexError, lambda: ones(2).size(1)),
    # indexing
    "index out of range": (IndexError, lambda: ones(2)[2]),
    "negative index out of range": (IndexError, lambda: ones(2)[-3]),
    "too many indices": (IndexError, lambda: ones(2)[0, 0]),
    "index into 0-d": (IndexError, lambda: torch.tensor(1.0)[0]),
    "tensor of indices out of range": (IndexError, lambda: ones(2)[torch.tensor([0, 2])]),
    "mask of another shape": (IndexError, lambda: ones(2)[torch.tensor([True, False, True])]),
    "index of floats": (IndexError, lambda: ones(2)[torch.tensor([0.0])]),
    "index by a string": ((IndexError, TypeError), lambda: ones(2)["a"]),
    "length of 0-d": (TypeError, lambda: len(torch.tensor(1.0))),
    "iterating over 0-d": (TypeError, lambda: list(torch.tensor(1.0))),
    # values that do not fit
    "item of many elements": (RuntimeError, lambda: ones(2).item()),
    "item of no element": (RuntimeError, lambda: torch.tensor([]).item()),
    "bool of many elements": (RuntimeError, lambda: bool(ones(2))),
    "bool of no element": (RuntimeError, lambda: bool(torch.tensor([]))),
    "float of many elements": (ValueError, lambda: float(ones(2))),
    "max of nothing": (RuntimeError, lambda: torch.tensor([]).max()),
    "max over an empty dim": (IndexError, lambda: torch.zeros(2, 0).max(1)),
    "argmax of nothing": (IndexError, lambda: torch.tensor([]).argmax()),
    "mean of integers": (RuntimeError, lambda: torch.tensor([1, 2]).mean()),
    "var of integers": (RuntimeError, lambda: torch.tensor([1, 2]).var()),
    "clamp without bounds": (RuntimeError, lambda: ones(2).clamp()),
    "integer to a negative power": (RuntimeError, lambda: torch.tensor([2]) ** -1),
    "minus a bool tensor": (RuntimeError, lambda: -torch.tensor([True])),
    "difference of bool tensors": (RuntimeError, lambda: torch.tensor([True]) - torch.tensor([True])),
    "where with numbers for a condition": (RuntimeError, lambda: torch.where(ones(2), ones(2), ones(2))),
    "one_hot of a negative number": (RuntimeError, lambda: F.one_hot(torch.tensor([-1]), 3)),
    "one_hot with too few classes": (RuntimeError, lambda: F.one_hot(torch.tensor([3]), 3)),
    "one_hot of floats": (RuntimeError, lambda: F.one_hot(torch.tensor([1.0]), 3)),
    "adding a string": (TypeError, lambda: ones(2) + "a"),
    "adding None": (TypeError, lambda: ones(2) + None),
    "None times a tensor": (TypeError, lambda: None * ones(2)),
    "exp of a string": (TypeError, lambda: torch.exp("a")),
    "exp of a number": (TypeError, lambda: torch.exp(1.0)),
    "exp with two arguments": (TypeError, lambda: torch.exp(ones(1), ones(1), ones(1))),
    "an unknown argument": (TypeError, lambda: torch.sum(ones(2), dimension=0)),
    "an unknown method": (AttributeError, lambda: ones(2).no_such_method()),
    "an unknown function": (AttributeError, lambda: torch.no_such_function),
    # sampling
    "probability above one": (RuntimeError, lambda: torch.bernoulli(torch.tensor([0.5, 1.5]))),
    "probability below zero": (RuntimeError, lambda: torch.bernoulli(torch.tensor([-0.1]))),
    "probability that is NaN": (RuntimeError, lambda: torch.bernoulli(torch.tensor([nan]))),
    "probability that is an integer": (
        (RuntimeError, NotImplementedError),
        lambda: torch.bernoulli(torch.tensor([1])),
    ),
    "negative std": (RuntimeError, lambda: torch.normal(0.0, torch.tensor([-1.0]))),
    "negative std in one place": (RuntimeError, lambda: torch.normal(ones(2), torch.tensor([1.0, -1.0]))),
    "negative std as a number": (RuntimeError, lambda: torch.normal(ones(2), -1.0)),
    "negative std as a number, with a size": (RuntimeError, lambda: torch.normal(0.0, -1.0, (2,))),
    "mean and std that do not broadcast": (RuntimeError, lambda: torch.normal(ones(2), ones(3))),
    "normal of two numbers without a size": (TypeError, lambda: torch.normal(0.0, 1.0)),
    "negative weight": (RuntimeError, lambda: torch.multinomial(torch.tensor([1.0, -1.0]), 1)),
    "weight that is NaN": (RuntimeError, lambda: torch.multinomial(torch.tensor([1.0, nan]), 1)),
    "weight that is infinite": (RuntimeError, lambda: torch.multinomial(torch.tensor([1.0, float("inf")]), 1)),
    "weights without a sum": (RuntimeError, lambda: torch.multinomial(torch.tensor([0.0, 0.0]), 1)),
    "more draws than categories": (RuntimeError, lambda: torch.multinomial(ones(3), 4)),
    "no draws": (RuntimeError, lambda: torch.multinomial(ones(3), 0)),
    "weights in three dimensions": (RuntimeError, lambda: torch.multinomial(ones(2, 2, 2), 1)),
    "integer weights": (RuntimeError, lambda: torch.multinomial(torch.tensor([1, 2]), 1)),
    "Normal with a negative scale": (ValueError, lambda: Normal(0.0, -1.0)),
    "Normal with a scale of zero": (ValueError, lambda: Normal(0.0, torch.tensor([1.0, 0.0]))),
    "Normal with a scale that is NaN": (ValueError, lambda: Normal(0.0, nan)),
    "Normal with a location that is NaN": (ValueError, lambda: Normal(torch.tensor([nan]), 1.0)),
    "Normal with parameters that do not broadcast": ((RuntimeError, ValueError), lambda: Normal(ones(2), ones(3))),
    # gradients
    "numpy of a tensor that requires grad": (RuntimeError, lambda: leaf(1.0).numpy()),
    "numpy of a result": (RuntimeError, lambda: (leaf(1.0) * 2).numpy()),
    "backward without requires_grad": (RuntimeError, lambda: ones(1).backward()),
    "backward under no_grad's result": (RuntimeError, lambda: (leaf(1.0) > 0).backward()),
    "backward on many elements": (RuntimeError, lambda: (leaf(1.0, 2.0) * 2).backward()),
    "backward on no element": (RuntimeError, lambda: (leaf() * 2).backward()),
    "retain_grad without requires_grad": (RuntimeError, lambda: ones(1).retain_grad()),
    "grad of many elements": (RuntimeError, lambda: torch.autograd.grad(*[leaf(1.0, 2.0)] * 2)),
    "grad of a constant": (RuntimeError, lambda: torch.autograd.grad(ones(1), leaf(1.0))),
    "grad for a constant": (RuntimeError, lambda: torch.autograd.grad(leaf(1.0) * 2, ones(1))),
    "grad for an unused input": (RuntimeError, lambda: torch.autograd.grad(leaf(1.0) * 2, leaf(1.0))),
    "grad for nothing": ((RuntimeError, ValueError), lambda: torch.autograd.grad(leaf(1.0) * 2, [])),
    "requires_grad off on a result": (RuntimeError, lambda: (leaf(1.0) * 2).requires_grad_(False)),
    "a grad of another shape": (RuntimeError, lambda: setattr(leaf(1.0, 2.0), "grad", ones(3))),
    "a grad of another dtype": (RuntimeError, lambda: setattr(leaf(1.0), "grad", ones(1).double())),
    "a grad that is no tensor": (TypeError, lambda: setattr(leaf(1.0), "grad", 3.0)),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_input_raises_pytorchs_exception(case):
    exception, call = BAD_CALLS[case]
    with pytest.raises(exception) as caught:
        call()
    expected = exception if isinstance(exception, tuple) else (exception,)
    # A subclass of RuntimeError such as NotImplementedError or RecursionError would be an accident.
    assert caught.type in expected or caught.type.__module__ != "builtins"
    assert str(caught.value).strip()


# ---------------------------------------------------------------- nothing is changed by a call that failed


@pytest.fixture
def leaves():
    """Two leaves that already have a gradient."""
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (x * 10 + y * 20).sum().backward()
    return x, y


def assert_untouched(leaves, grads=None):
    x, y = leaves
    assert x.grad.tolist() == [10.0, 10.0] and y.grad.tolist() == [20.0, 20.0]
    assert x.tolist() == [1.0, 2.0] and y.tolist() == [3.0, 4.0]
    assert torch.is_grad_enabled()


def test_backward_on_many_elements_without_a_gradient_changes_nothing(leaves):
    x, y = leaves
    z = x * y
    with pytest.raises(RuntimeError):
        z.backward()
    assert_untouched(leaves)
    z.sum().backward()
    assert x.grad.tolist() == [13.0, 14.0]


@pytest.mark.parametrize("shape", [(3,), (1,), (), (2, 1), (1, 2)])
def test_a_gradient_of_another_shape_changes_nothing(shape, leaves):
    x, y = leaves
    z = x * y
    with pytest.raises(RuntimeError):
        z.backward(torch.ones(shape))
    assert_untouched(leaves)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(z, x, grad_outputs=torch.ones(shape))
    z.backward(torch.ones(2))
    assert y.grad.tolist() == [21.0, 22.0]


def test_a_gradient_that_is_no_tensor_changes_nothing(leaves):
    x, y = leaves
    with pytest.raises(TypeError):
        (x * y).backward([1.0, 1.0])
    assert_untouched(leaves)


def test_a_wrong_number_of_grad_outputs_changes_nothing(leaves):
    x, y = leaves
    with pytest.raises(RuntimeError):
        torch.autograd.grad([x * y, x], [x], grad_outputs=[torch.ones(2)])
    assert_untouched(leaves)


def test_second_backward_through_a_freed_graph_changes_nothing(leaves):
    x, y = leaves
    z = (x * y).sum()
    z.backward()
    x.grad, y.grad = torch.full((2,), 10.0), torch.full((2,), 20.0)
    with pytest.raises(RuntimeError, match="retain_graph"):
        z.backward()
    assert_untouched(leaves)
    with pytest.raises(RuntimeError, match="retain_graph"):
        torch.autograd.grad(z, x)
    assert_untouched(leaves)


def test_grad_frees_the_graph_too(leaves):
    x, y = leaves
    z = (x * y).sum()
    torch.autograd.grad(z, x)
    with pytest.raises(RuntimeError):
        z.backward()
    assert_untouched(leaves)


def test_backward_through_a_graph_that_shares_a_freed_part_raises():
    x, y = leaf(2.0), leaf(5.0)
    shared = x * x
    (shared * 3).backward()
    assert x.grad.tolist() == [12.0]
    with pytest.raises(RuntimeError):
        (shared * y).backward()
    assert x.grad.tolist() == [12.0]


@ours
def test_backward_through_a_graph_that_shares_a_freed_part_accumulates_nothing_anywhere():
    # PyTorch has given y its gradient by the time that it meets the freed node.
    x, y = leaf(2.0), leaf(5.0)
    shared = x * x
    (shared * 3).backward()
    other = shared * y + y
    with pytest.raises(RuntimeError):
        other.backward()
    assert x.grad.tolist() == [12.0] and y.grad is None


def test_an_unused_input_changes_nothing_and_names_allow_unused(leaves):
    x, y = leaves
    with pytest.raises(RuntimeError, match="allow_unused"):
        torch.autograd.grad((x * 2).sum(), [x, y])
    assert_untouched(leaves)


def test_a_failed_operation_leaves_no_trace_in_the_graph(leaves):
    x, y = leaves
    z = x * y
    for bad in (lambda: z + torch.ones(3), lambda: z @ torch.ones(3), lambda: z[5], lambda: z.sum(4)):
        with pytest.raises((RuntimeError, IndexError)):
            bad()
    z.sum().backward()
    assert x.grad.tolist() == [13.0, 14.0] and y.grad.tolist() == [21.0, 22.0]


def test_bad_draws_leave_the_stream_where_it_was():
    torch.manual_seed(3)
    expected = torch.rand(3).tolist()
    torch.manual_seed(3)
    with pytest.raises(RuntimeError):
        torch.normal(0.0, torch.tensor([-1.0]))
    with pytest.raises(RuntimeError):
        torch.multinomial(torch.tensor([1.0, -1.0]), 1)
    assert torch.rand(3).tolist() == expected


# ---------------------------------------------------------------- Function


class Times2(torch.autograd.Function):
    """A function whose backward returns what the test asks for."""

    returns = None

    @staticmethod
    def forward(ctx, a, b):
        return a * 2 + b

    @staticmethod
    def backward(ctx, grad):
        return Times2.returns(grad)


@pytest.mark.parametrize(
    "returns",
    [
        lambda grad: grad,
        lambda grad: (grad,),
        lambda grad: (grad, grad, grad),
        lambda grad: (),
    ],
    ids=["one", "one in a tuple", "three", "none"],
)
def test_a_function_that_returns_a_wrong_number_of_gradients_changes_nothing(returns, leaves):
    x, y = leaves
    Times2.returns = staticmethod(returns)
    with pytest.raises(RuntimeError, match="gradient"):
        Times2.apply(x, y).sum().backward()
    assert_untouched(leaves)


def test_a_function_that_returns_a_gradient_of_a_wrong_shape_changes_nothing(leaves):
    x, y = leaves
    Times2.returns = staticmethod(lambda grad: (torch.ones(3), grad))
    with pytest.raises(RuntimeError, match="shape"):
        Times2.apply(x, y).sum().backward()
    assert_untouched(leaves)


def test_a_function_that_returns_no_tensor_changes_nothing(leaves):
    x, y = leaves
    Times2.returns = staticmethod(lambda grad: ("a", grad))
    with pytest.raises((TypeError, RuntimeError)):
        Times2.apply(x, y).sum().backward()
    assert_untouched(leaves)


def test_a_function_that_returns_a_gradient_for_a_number_is_refused():
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            return x * factor

        @staticmethod
        def backward(ctx, grad):
            return grad * 2, grad

    x = leaf(1.0)
    with pytest.raises(RuntimeError):
        Scale.apply(x, 2.0).backward()
    assert x.grad is None


def test_an_exception_in_a_functions_forward_reaches_the_caller_and_restores_the_grad_mode(leaves):
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            raise KeyError("forward")

        @staticmethod
        def backward(ctx, grad):
            return grad

    with pytest.raises(KeyError, match="forward"):
        Broken.apply(leaves[0])
    assert_untouched(leaves)


def test_an_exception_in_a_functions_backward_reaches_the_caller_and_changes_nothing(leaves):
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            raise KeyError("backward")

    x, y = leaves
    with pytest.raises(KeyError, match="backward"):
        (Broken.apply(x * y) * 2).sum().backward()
    assert_untouched(leaves)


@ours
def test_an_exception_in_a_functions_backward_leaves_grads_untouched_that_pytorch_has_added_to(leaves):
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            raise KeyError("backward")

    x, y = leaves
    early = Broken.apply(x)
    z = early.exp() * y + x * y
    with pytest.raises(KeyError):
        z.sum().backward()
    assert_untouched(leaves)


@ours
def test_an_exception_in_a_functions_backward_leaves_retained_grads_untouched():
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            raise KeyError("backward")

    x = leaf(1.0)
    y = Broken.apply(x)
    z = y * 3
    z.retain_grad()
    with pytest.raises(KeyError):
        (z * 2).backward()
    assert z.grad is None and x.grad is None


def test_a_function_without_backward_raises_when_it_is_needed():
    class Forward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    x = leaf(1.0)
    y = Forward.apply(x)
    assert y.tolist() == [2.0]
    with pytest.raises((NotImplementedError, RuntimeError)):
        y.backward()
    assert x.grad is None


# ---------------------------------------------------------------- in place


def in_place():
    def add(x):
        x += 1

    def subtract(x):
        x -= torch.ones(2)

    def multiply(x):
        x *= 2

    def divide(x):
        x /= 2

    return [add, subtract, multiply, divide]


@pytest.mark.parametrize("operator", in_place(), ids=lambda f: f.__name__)
def test_an_in_place_operator_on_a_leaf_that_requires_grad_raises(operator, leaves):
    x, _ = leaves
    with pytest.raises(RuntimeError):
        operator(x)
    assert_untouched(leaves)


def test_rebinding_by_an_in_place_operator_does_not_lose_the_leaf_in_silence():
    # `w -= lr * w.grad` outside no_grad is the classic mistake: it must not make w a result without a word.
    w = leaf(1.0)
    (w * w).backward()
    before = w
    with pytest.raises(RuntimeError):
        w -= 0.1 * w.grad
    assert w is before and w.is_leaf and w.tolist() == [1.0]


@ours
def test_messages_name_the_shapes_that_do_not_fit():
    for call in (lambda: ones(2, 3) + ones(2, 4), lambda: ones(2, 3) @ ones(2, 4)):
        with pytest.raises(RuntimeError) as caught:
            call()
        message = str(caught.value)
        assert "3" in message and "4" in message


@ours
def test_the_message_for_an_impossible_probability_names_the_value():
    with pytest.raises(RuntimeError, match=r"1\.5"):
        torch.bernoulli(torch.tensor([0.5, 1.5]))
