"""What a tensor shows of itself, how tensors are made, and the graph that is recorded behind them."""

import importlib
import os
import re
import threading
import warnings

import numpy as np
import pytest

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
ours = pytest.mark.skipif(UNDER_TEST == "torch", reason="we differ from PyTorch on purpose")

nan, inf = float("nan"), float("inf")


def leaf(*values, dtype=None):
    return torch.tensor(list(values), dtype=dtype or torch.float32, requires_grad=True)


# ---------------------------------------------------------------- what a tensor prints

REPRS = {
    "a leaf": (lambda: torch.tensor([42.0], requires_grad=True), "tensor([42.], requires_grad=True)"),
    "a result": (lambda: leaf(3.0) ** 2, "tensor([9.], grad_fn=<PowBackward0>)"),
    "a product": (lambda: leaf(3.0) * 2, "tensor([6.], grad_fn=<MulBackward0>)"),
    "a 0-d result": (lambda: torch.ones(3, 4, requires_grad=True).sum(), "tensor(12., grad_fn=<SumBackward0>)"),
    "a 2-d result": (lambda: leaf(1.0, 2.0).reshape(1, 2) * 3, "tensor([[3., 6.]], grad_fn=<MulBackward0>)"),
    "a detached tensor": (lambda: torch.ones(2, requires_grad=True).detach(), "tensor([1., 1.])"),
    "0-d float": (lambda: torch.tensor(3.5), "tensor(3.5000)"),
    "0-d whole float": (lambda: torch.tensor(2.0, requires_grad=True), "tensor(2., requires_grad=True)"),
    "0-d int": (lambda: torch.tensor(3), "tensor(3)"),
    "0-d bool": (lambda: torch.tensor(True), "tensor(True)"),
    "0-d nan": (lambda: torch.tensor(nan), "tensor(nan)"),
    "0-d float64": (lambda: torch.tensor(2.0, dtype=torch.float64), "tensor(2., dtype=torch.float64)"),
    "0-d int32": (lambda: torch.tensor(7, dtype=torch.int32), "tensor(7, dtype=torch.int32)"),
    "0-d small": (lambda: torch.tensor(1e-10), "tensor(1.0000e-10)"),
    "0-d large": (lambda: torch.tensor(1e20), "tensor(1.0000e+20)"),
    "0-d large whole": (lambda: torch.tensor(123456789.0), "tensor(1.2346e+08)"),
    "ints": (lambda: torch.tensor([1, 2, 3]), "tensor([1, 2, 3])"),
    "ints of several widths": (lambda: torch.tensor([1, -20, 300]), "tensor([  1, -20, 300])"),
    "int32": (lambda: torch.tensor([1, 2], dtype=torch.int32), "tensor([1, 2], dtype=torch.int32)"),
    "bools": (lambda: torch.tensor([True, False]), "tensor([ True, False])"),
    "a comparison": (lambda: torch.tensor([1.0, 2.0]) > 1.5, "tensor([False,  True])"),
    "bools 2-d": (
        lambda: torch.tensor([[True, False], [False, False]]),
        "tensor([[ True, False],\n        [False, False]])",
    ),
    "empty": (lambda: torch.tensor([]), "tensor([])"),
    "empty int64": (lambda: torch.tensor([], dtype=torch.int64), "tensor([], dtype=torch.int64)"),
    "empty leaf": (lambda: torch.tensor([], requires_grad=True), "tensor([], requires_grad=True)"),
    "empty 2-d": (lambda: torch.zeros(0, 3), "tensor([], size=(0, 3))"),
    "empty 2-d float64": (
        lambda: torch.zeros(2, 0, dtype=torch.float64),
        "tensor([], size=(2, 0), dtype=torch.float64)",
    ),
    "float64": (
        lambda: torch.tensor([1.5, 2.25], dtype=torch.float64),
        "tensor([1.5000, 2.2500], dtype=torch.float64)",
    ),
    "float64 leaf": (
        lambda: torch.tensor([1.5, 2.25], dtype=torch.float64, requires_grad=True),
        "tensor([1.5000, 2.2500], dtype=torch.float64, requires_grad=True)",
    ),
    "2-d": (lambda: torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "tensor([[1., 2.],\n        [3., 4.]])"),
    "2-d aligned": (
        lambda: torch.tensor([[1.0, -2.5], [300.0, 4.0]]),
        "tensor([[  1.0000,  -2.5000],\n        [300.0000,   4.0000]])",
    ),
    "2-d ints aligned": (
        lambda: torch.tensor([[1, 200], [-3, 4]]),
        "tensor([[  1, 200],\n        [ -3,   4]])",
    ),
    "3-d": (
        lambda: torch.zeros(2, 2, 2),
        "tensor([[[0., 0.],\n         [0., 0.]],\n\n        [[0., 0.],\n         [0., 0.]]])",
    ),
    "4-d": (lambda: torch.zeros(1, 2, 1, 2), "tensor([[[[0., 0.]],\n\n         [[0., 0.]]]])"),
    "eye": (lambda: torch.eye(3), "tensor([[1., 0., 0.],\n        [0., 1., 0.],\n        [0., 0., 1.]])"),
    "four digits": (lambda: torch.tensor([257.3424]), "tensor([257.3424])"),
    "float32 digits": (lambda: torch.tensor([12345.678]), "tensor([12345.6777])"),
    "tenths": (lambda: torch.tensor([0.1, 0.2, 0.3]), "tensor([0.1000, 0.2000, 0.3000])"),
    "nearly one": (lambda: torch.tensor([1.00001]), "tensor([1.0000])"),
    "rounded": (lambda: torch.tensor([0.1234567, 100.0]), "tensor([  0.1235, 100.0000])"),
    "signs": (lambda: torch.tensor([-1.0, 1.0]), "tensor([-1.,  1.])"),
    "minus zero": (lambda: torch.tensor([-0.0, 0.0]), "tensor([-0., 0.])"),
    "scientific, small": (lambda: torch.tensor([1e-5, 1.0]), "tensor([1.0000e-05, 1.0000e+00])"),
    "scientific, smallish": (lambda: torch.tensor([0.00012345, 0.5]), "tensor([1.2345e-04, 5.0000e-01])"),
    "scientific, large": (lambda: torch.tensor([1e10, 1.0]), "tensor([1.0000e+10, 1.0000e+00])"),
    "scientific, wide": (lambda: torch.tensor([1000.5, 0.001]), "tensor([1.0005e+03, 1.0000e-03])"),
    "scientific, wide whole": (lambda: torch.tensor([1.0, 1001.0]), "tensor([1.0000e+00, 1.0010e+03])"),
    "scientific, power of two": (lambda: torch.tensor([2.0**40]), "tensor([1.0995e+12])"),
    "scientific, three digits of exponent": (
        lambda: torch.tensor([1e300, 1.0], dtype=torch.float64),
        "tensor([1.0000e+300,  1.0000e+00], dtype=torch.float64)",
    ),
    "nan and whole": (lambda: torch.tensor([nan, 1.0]), "tensor([nan, 1.])"),
    "inf and whole": (lambda: torch.tensor([inf, -inf, 2.0]), "tensor([inf, -inf, 2.])"),
    "inf and fraction": (lambda: torch.tensor([inf, 1.5]), "tensor([   inf, 1.5000])"),
    "nan and inf, 2-d": (
        lambda: torch.tensor([[nan, 1.25], [inf, -3.0]]),
        "tensor([[    nan,  1.2500],\n        [    inf, -3.0000]])",
    ),
    "a leaf with nan": (
        lambda: torch.tensor([1.5, nan], requires_grad=True),
        "tensor([1.5000,    nan], requires_grad=True)",
    ),
    "lines are broken": (
        lambda: torch.arange(30.0),
        "tensor([ 0.,  1.,  2.,  3.,  4.,  5.,  6.,  7.,  8.,  9., 10., 11., 12., 13.,\n"
        "        14., 15., 16., 17., 18., 19., 20., 21., 22., 23., 24., 25., 26., 27.,\n"
        "        28., 29.])",
    ),
    "the suffix fits": (
        lambda: torch.ones(20, requires_grad=True),
        "tensor([1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1.,\n"
        "        1., 1.], requires_grad=True)",
    ),
    "the suffix does not fit": (
        lambda: torch.ones(14, requires_grad=True),
        "tensor([1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1.],\n       requires_grad=True)",
    ),
    "a long result": (
        lambda: torch.ones(3, 4, requires_grad=True).exp(),
        "tensor([[2.7183, 2.7183, 2.7183, 2.7183],\n"
        "        [2.7183, 2.7183, 2.7183, 2.7183],\n"
        "        [2.7183, 2.7183, 2.7183, 2.7183]], grad_fn=<ExpBackward0>)",
    ),
    "summarised floats": (
        lambda: torch.ones(1001, requires_grad=True),
        "tensor([1., 1., 1.,  ..., 1., 1., 1.], requires_grad=True)",
    ),
    "summarised ints": (lambda: torch.arange(1001), "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    "summarised aligned": (
        lambda: torch.arange(1001.0),
        "tensor([   0.,    1.,    2.,  ...,  998.,  999., 1000.])",
    ),
    "summarised rows and columns": (
        lambda: torch.zeros(40, 40),
        "tensor([[0., 0., 0.,  ..., 0., 0., 0.],\n"
        "        [0., 0., 0.,  ..., 0., 0., 0.],\n"
        "        [0., 0., 0.,  ..., 0., 0., 0.],\n"
        "        ...,\n"
        "        [0., 0., 0.,  ..., 0., 0., 0.],\n"
        "        [0., 0., 0.,  ..., 0., 0., 0.],\n"
        "        [0., 0., 0.,  ..., 0., 0., 0.]])",
    ),
    "summarised columns": (
        lambda: torch.arange(2000).reshape(2, 1000),
        "tensor([[   0,    1,    2,  ...,  997,  998,  999],\n        [1000, 1001, 1002,  ..., 1997, 1998, 1999]])",
    ),
    "a parameter": (
        lambda: torch.nn.Parameter(torch.tensor([1.0, 2.0])),
        "Parameter containing:\ntensor([1., 2.], requires_grad=True)",
    ),
    "a shape": (lambda: torch.zeros(2, 3).shape, "torch.Size([2, 3])"),
    "a 0-d shape": (lambda: torch.tensor(1.0).shape, "torch.Size([])"),
}


@pytest.mark.parametrize("case", REPRS)
def test_repr_is_pytorchs_to_the_letter(case):
    make, expected = REPRS[case]
    assert repr(make()) == expected
    assert str(make()) == expected


def test_format_without_a_specification_prints_the_number_of_a_0d_tensor():
    assert f"{torch.tensor(2.5)}" == "2.5"
    assert f"{torch.tensor(2.5):.2f}" == "2.50"
    assert f"{torch.tensor([2.5])}" == "tensor([2.5000])"


# ---------------------------------------------------------------- making tensors


def test_the_default_dtypes_are_those_of_pytorch():
    assert torch.tensor(1.0).dtype == torch.float32
    assert torch.tensor([1, 2]).dtype == torch.int64
    assert torch.tensor([1, 2.5]).dtype == torch.float32
    assert torch.tensor([True]).dtype == torch.bool
    assert torch.tensor([]).dtype == torch.float32
    assert torch.tensor(np.array([1.0])).dtype == torch.float64
    assert torch.tensor(np.array([1.0], dtype=np.float32)).dtype == torch.float32
    assert torch.tensor(np.array([1])).dtype == torch.int64
    assert torch.tensor(np.float64(1.0)).dtype == torch.float64
    assert torch.zeros(1).dtype == torch.ones(1).dtype == torch.eye(2).dtype == torch.float32
    assert torch.arange(3).dtype == torch.int64
    assert torch.arange(3.0).dtype == torch.linspace(0, 1, 3).dtype == torch.float32
    assert torch.full((2,), 7).dtype == torch.int64
    assert torch.full((2,), 7.0).dtype == torch.float32
    assert torch.full((2,), True).dtype == torch.bool


def test_dtype_names_have_their_synonyms():
    assert torch.float is torch.float32 or torch.float == torch.float32
    assert torch.double == torch.float64
    assert torch.long == torch.int64
    assert torch.float32 != torch.float64


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: torch.zeros(2, 3), np.zeros((2, 3))),
        (lambda: torch.zeros((2, 3)), np.zeros((2, 3))),
        (lambda: torch.zeros([2]), np.zeros(2)),
        (lambda: torch.zeros(()), np.zeros(())),
        (lambda: torch.ones(2, 1), np.ones((2, 1))),
        (lambda: torch.ones(1), np.ones(1)),
        (lambda: torch.full((2, 2), 3.5), np.full((2, 2), 3.5)),
        (lambda: torch.arange(2, 11, 3), np.array([2, 5, 8])),
        (lambda: torch.arange(1, 0, -0.25), np.array([1, 0.75, 0.5, 0.25])),
        (lambda: torch.arange(0), np.array([], dtype=np.int64)),
        (lambda: torch.linspace(-1, 1, 5), np.array([-1, -0.5, 0, 0.5, 1])),
        (lambda: torch.linspace(3, 9, 1), np.array([3.0])),
        (lambda: torch.eye(2), np.eye(2)),
        (lambda: torch.eye(2, 3), np.eye(2, 3)),
        (lambda: torch.zeros_like(torch.ones(2, 3)), np.zeros((2, 3))),
        (lambda: torch.ones_like(torch.zeros(3)), np.ones(3)),
        (lambda: torch.full_like(torch.zeros(2), 4.0), np.full(2, 4.0)),
        (lambda: torch.tensor([[1, 2], [3, 4]]), np.array([[1, 2], [3, 4]])),
        (lambda: torch.tensor(((1.0, 2.0),)), np.array([[1.0, 2.0]])),
        (lambda: torch.as_tensor([1.0, 2.0]), np.array([1.0, 2.0])),
        (lambda: torch.from_numpy(np.arange(6.0).reshape(2, 3).T), np.arange(6.0).reshape(2, 3).T),
        (lambda: torch.tensor(np.arange(12.0).reshape(3, 4)[::2, 1::2]), np.arange(12.0).reshape(3, 4)[::2, 1::2]),
    ],
)
def test_a_factory_gives_the_values_and_the_shape(make, expected):
    made = make()
    assert tuple(made.shape) == expected.shape
    np.testing.assert_array_equal(made.numpy(), expected)


def test_factories_take_dtype_and_requires_grad():
    for make in (
        lambda **kw: torch.zeros(2, **kw),
        lambda **kw: torch.ones(2, **kw),
        lambda **kw: torch.full((2,), 3.0, **kw),
        lambda **kw: torch.arange(2.0, **kw),
        lambda **kw: torch.linspace(0, 1, 2, **kw),
        lambda **kw: torch.eye(2, **kw),
        lambda **kw: torch.zeros_like(torch.ones(2), **kw),
        lambda **kw: torch.ones_like(torch.ones(2), **kw),
        lambda **kw: torch.full_like(torch.ones(2), 3.0, **kw),
        lambda **kw: torch.tensor([1.0, 2.0], **kw),
    ):
        assert not make().requires_grad
        made = make(dtype=torch.float64, requires_grad=True)
        assert made.dtype == torch.float64 and made.requires_grad and made.is_leaf and made.grad_fn is None


def test_like_factories_keep_the_dtype_and_do_not_record():
    x = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    for made in (torch.zeros_like(x), torch.ones_like(x), torch.full_like(x, 2.0)):
        assert made.dtype == torch.float64 and tuple(made.shape) == (2, 3)
        assert not made.requires_grad and made.grad_fn is None
    assert torch.zeros_like(torch.tensor([1, 2])).dtype == torch.int64


def test_tensor_copies_and_from_numpy_shares_memory():
    array = np.array([1.0, 2.0])
    copied, shared, as_shared = torch.tensor(array), torch.from_numpy(array), torch.as_tensor(array)
    array[0] = 7.0
    assert copied.tolist() == [1.0, 2.0]
    assert shared.tolist() == as_shared.tolist() == [7.0, 2.0]
    assert shared.dtype == torch.float64


def test_numpy_shares_memory_with_the_tensor():
    x = torch.zeros(3)
    x.numpy()[1] = 5.0
    assert x.tolist() == [0.0, 5.0, 0.0]


def test_as_tensor_returns_a_tensor_unchanged_and_converts_when_asked():
    x = leaf(1.0)
    assert torch.as_tensor(x) is x
    assert torch.as_tensor([1, 2], dtype=torch.float64).dtype == torch.float64


# ---------------------------------------------------------------- what a tensor tells


def test_shape_size_dim_and_numel_agree():
    x = torch.zeros(2, 3, 4)
    assert tuple(x.shape) == tuple(x.size()) == (2, 3, 4)
    assert x.shape == (2, 3, 4)
    assert isinstance(x.shape, tuple)
    assert x.size(0) == 2 and x.size(-1) == 4 and x.shape[1] == 3
    assert x.dim() == x.ndim == 3 and x.numel() == 24
    assert x.shape.numel() == 24
    scalar = torch.tensor(1.0)
    assert tuple(scalar.shape) == () and scalar.dim() == 0 and scalar.numel() == 1
    assert torch.zeros(2, 0).numel() == 0
    assert len(x) == 2


def test_item_and_tolist_give_python_values():
    assert torch.tensor([[2.5]]).item() == 2.5 and type(torch.tensor(2.5).item()) is float
    assert type(torch.tensor(2).item()) is int and type(torch.tensor(True).item()) is bool
    assert torch.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert type(torch.tensor([1.5]).tolist()[0]) is float
    assert torch.tensor(3.0).tolist() == 3.0
    assert torch.zeros(2, 0).tolist() == [[], []]
    assert leaf(1.0, 2.0).tolist() == [1.0, 2.0]
    assert leaf(4.0).item() == 4.0


def test_python_conversions_of_one_element():
    assert float(torch.tensor([2.5])) == 2.5 and int(torch.tensor(2.9)) == 2
    assert bool(torch.tensor([1.0])) is True and bool(torch.tensor(0)) is False
    assert [10, 20, 30][torch.tensor(2)] == 30


def test_a_tensor_iterates_over_its_first_dimension_and_keeps_the_graph():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    rows = list(x)
    assert [row.tolist() for row in rows] == [[1.0, 2.0], [3.0, 4.0]]
    (rows[1] * 10).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0], [10.0, 10.0]]


def test_tensors_hash_and_compare_by_identity_in_sets_and_dictionaries():
    a, b = torch.tensor([1.0]), torch.tensor([1.0])
    assert len({a, b, a}) == 2
    assert {a: "a", b: "b"}[b] == "b"


@pytest.mark.parametrize(
    ("method", "dtype"),
    [("float", "float32"), ("double", "float64"), ("long", "int64"), ("int", "int32"), ("bool", "bool")],
)
def test_conversion_methods_give_their_dtype(method, dtype):
    x = torch.tensor([0.0, 1.7, -2.9])
    converted = getattr(x, method)()
    assert converted.dtype == getattr(torch, dtype)
    expected = np.array([0.0, 1.7, -2.9], dtype=np.float32).astype(dtype)
    np.testing.assert_array_equal(converted.numpy(), expected)
    assert x.to(getattr(torch, dtype)).dtype == converted.dtype


def test_conversion_to_the_same_dtype_returns_the_tensor_itself():
    x = leaf(1.0)
    assert x.float() is x and x.to(torch.float32) is x
    assert x.cpu() is x
    assert x.double() is not x


def test_gradient_flows_through_a_conversion_and_returns_in_the_leafs_dtype():
    x = leaf(1.5, 2.5)
    y = x.double()
    assert y.dtype == torch.float64 and y.requires_grad
    (y * y).sum().backward()
    assert x.grad.dtype == torch.float32 and x.grad.tolist() == [3.0, 5.0]


def test_conversion_to_an_integer_or_bool_carries_no_gradient():
    x = leaf(1.5)
    for y in (x.long(), x.int(), x.bool()):
        assert not y.requires_grad and y.grad_fn is None


# ---------------------------------------------------------------- leaves, grad and detaching


def test_leaves_and_results_are_told_apart():
    x = leaf(1.0)
    y = x * 2
    constant = torch.tensor([1.0])
    assert x.is_leaf and x.requires_grad and x.grad_fn is None and x.grad is None
    assert not y.is_leaf and y.requires_grad and y.grad_fn is not None
    assert constant.is_leaf and not constant.requires_grad and constant.grad_fn is None
    assert (constant * 2).is_leaf and (constant * 2).grad_fn is None


def test_requires_grad_can_be_set_after_the_fact():
    x = torch.tensor([1.0, 2.0])
    assert x.requires_grad_() is x and x.requires_grad
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    assert not x.requires_grad_(False).requires_grad
    x.requires_grad = True
    assert x.requires_grad


def test_requires_grad_is_contagious_and_nothing_else_is_recorded():
    x, constant = leaf(1.0), torch.tensor([2.0])
    assert (x + constant).requires_grad
    assert (constant + x).requires_grad
    assert not (constant + constant).requires_grad


def test_detach_shares_values_and_cuts_the_graph():
    x = leaf(1.0, 2.0)
    y = (x * 3).detach()
    assert not y.requires_grad and y.grad_fn is None and y.is_leaf
    detached = x.detach()
    assert detached is not x
    detached.numpy()[0] = 9.0
    assert x.tolist() == [9.0, 2.0]


def test_detach_in_the_middle_stops_the_gradient_on_that_path_only():
    x = leaf(3.0)
    y = x.detach() * x
    y.backward()
    assert x.grad.tolist() == [3.0]


def test_grad_of_a_result_is_none_until_retained():
    x = leaf(2.0)
    y = x * 3
    z = y * y
    z.backward()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert y.grad is None
    y = x * 3
    y.retain_grad()
    (y * y).backward()
    assert y.grad.tolist() == [12.0]


def test_retain_grad_on_a_leaf_changes_nothing():
    x = leaf(2.0)
    x.retain_grad()
    (x * x).backward()
    assert x.grad.tolist() == [4.0]


def test_retain_grad_of_the_root_gives_the_gradient_passed_in():
    x = leaf(2.0)
    y = x * 3
    y.retain_grad()
    y.backward(torch.tensor([5.0]))
    assert y.grad.tolist() == [5.0] and x.grad.tolist() == [15.0]


def test_retained_gradient_is_the_sum_over_all_uses():
    x = leaf(2.0)
    y = x * 3
    y.retain_grad()
    (y * y + 4 * y).backward()
    assert y.grad.tolist() == [16.0]


def test_grad_can_be_reset_and_assigned():
    x = leaf(2.0)
    (x * x).backward()
    assert x.grad.tolist() == [4.0]
    x.grad = None
    assert x.grad is None
    x.grad = torch.tensor([100.0])
    (x * x).backward()
    assert x.grad.tolist() == [104.0]


def test_grad_has_the_leafs_dtype_and_shape_and_does_not_require_grad():
    for dtype in (torch.float32, torch.float64):
        x = torch.ones(2, 3, dtype=dtype, requires_grad=True)
        (x * 2.0).sum().backward()
        assert x.grad.dtype == dtype and x.grad.shape == x.shape
        assert not x.grad.requires_grad and x.grad.is_leaf and x.grad.grad_fn is None


# ---------------------------------------------------------------- backward and grad


def test_backward_of_a_one_element_tensor_of_any_shape_needs_no_gradient():
    for shape in ((), (1,), (1, 1)):
        x = torch.full(shape, 3.0, requires_grad=True)
        assert (x * x).backward() is None
        assert x.grad.item() == 6.0 and tuple(x.grad.shape) == shape


def test_backward_takes_a_gradient_of_the_shape_of_the_tensor():
    x = leaf(1.0, 2.0, 3.0)
    (x * x).backward(torch.tensor([1.0, 10.0, 100.0]))
    assert x.grad.tolist() == [2.0, 40.0, 600.0]
    x.grad = None
    (x * x).backward(gradient=torch.ones(3))
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_backward_on_a_leaf_gives_it_the_gradient_itself():
    x = torch.tensor(3.0, requires_grad=True)
    x.backward()
    assert x.grad.item() == 1.0
    x.backward(torch.tensor(2.0))
    assert x.grad.item() == 3.0


def test_grad_returns_a_tuple_and_leaves_grad_alone():
    x, y = leaf(2.0), leaf(5.0)
    z = x * x * y
    result = torch.autograd.grad(z, (x, y))
    assert isinstance(result, tuple)
    assert [g.tolist() for g in result] == [[20.0], [4.0]]
    assert x.grad is None and y.grad is None


def test_grad_takes_one_tensor_or_a_sequence_on_both_sides():
    x = leaf(2.0)
    (by_one,) = torch.autograd.grad(x * 3, x)
    (by_list,) = torch.autograd.grad([x * 3, x * x], [x])
    assert by_one.tolist() == [3.0] and by_list.tolist() == [7.0]


def test_grad_outputs_weight_the_outputs():
    x = leaf(1.0, 2.0)
    weights = torch.tensor([1.0, 10.0])
    (g,) = torch.autograd.grad(x * x, x, grad_outputs=weights)
    assert g.tolist() == [2.0, 40.0]
    (g,) = torch.autograd.grad([x * x, x.sum()], x, grad_outputs=[weights, None])
    assert g.tolist() == [3.0, 41.0]


def test_grad_with_respect_to_a_result_in_the_middle():
    x = leaf(2.0)
    y = x * 3
    z = y * y
    (by_y,) = torch.autograd.grad(z, y, retain_graph=True)
    (by_x,) = torch.autograd.grad(z, x)
    assert by_y.tolist() == [12.0] and by_x.tolist() == [36.0]


def test_grad_with_respect_to_both_a_result_and_its_leaf():
    x = leaf(2.0)
    y = x * 3
    by_y, by_x = torch.autograd.grad(y * y + x, (y, x))
    assert by_y.tolist() == [12.0] and by_x.tolist() == [37.0]


def test_grad_of_a_tensor_with_respect_to_itself_is_one():
    x = leaf(2.0)
    y = x * 3
    assert torch.autograd.grad(y, y)[0].tolist() == [1.0]
    assert torch.autograd.grad(x, x)[0].tolist() == [1.0]


def test_grad_gives_none_for_an_unused_input_when_allowed():
    x, unused = leaf(2.0), leaf(1.0)
    g, nothing = torch.autograd.grad(x * x, (x, unused), allow_unused=True)
    assert g.tolist() == [4.0] and nothing is None


def test_create_graph_gives_derivatives_of_every_order():
    x = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    y = x**4
    values = []
    for _ in range(5):
        (y,) = torch.autograd.grad(y, x, create_graph=True)
        values.append(y.item())
        if not y.requires_grad:
            break
    assert values[:4] == pytest.approx([32.0, 48.0, 48.0, 24.0])


def test_backward_with_create_graph_records_the_gradient():
    x = leaf(3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (x**3).backward(create_graph=True)
    g = x.grad
    assert g.requires_grad and g.tolist() == [27.0]
    (second,) = torch.autograd.grad(g, x)
    assert second.tolist() == [18.0]
    x.grad = None


def test_gradient_does_not_require_grad_without_create_graph():
    x = leaf(3.0)
    (g,) = torch.autograd.grad(x**3, x)
    assert not g.requires_grad and g.grad_fn is None


def test_create_graph_keeps_the_graph_and_so_does_retain_graph():
    x = leaf(3.0)
    y = x**3
    torch.autograd.grad(y, x, create_graph=True)
    torch.autograd.grad(y, x, retain_graph=True)
    (g,) = torch.autograd.grad(y, x)
    assert g.tolist() == [27.0]


def test_a_gradient_penalty_can_be_trained_on():
    w = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([0.3, 0.7], dtype=torch.float64, requires_grad=True)
    y = torch.tanh((w * x).sum())
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    ((g * g).sum()).backward()
    s = np.tanh(0.3 - 1.4)
    d = 1 - s**2
    w_, x_ = np.array([1.0, -2.0]), np.array([0.3, 0.7])
    # |g|^2 = d^2 |w|^2, with d = 1 - tanh(w.x)^2 and d' = -2 tanh d.
    expected = 2 * w_ * d**2 + 2 * d * (-2 * s * d) * x_ * (w_ @ w_)
    np.testing.assert_allclose(w.grad.numpy(), expected, rtol=1e-12)


# ---------------------------------------------------------------- the graph that is recorded


def name(node):
    """PyTorch writes its leaf node's name with a C++ namespace before it."""
    return node.name().split("::")[-1]


def test_next_functions_are_pairs_of_node_and_output_number():
    x, y = leaf(1.0), leaf(2.0)
    z = (x * y) + 1.0
    assert name(z.grad_fn) == "AddBackward0"
    (first, number), (second, second_number) = z.grad_fn.next_functions
    assert name(first) == "MulBackward0" and number == 0
    assert second is None and second_number == 0
    assert [name(node) for node, _ in first.next_functions] == ["AccumulateGrad", "AccumulateGrad"]
    assert isinstance(z.grad_fn.next_functions, tuple)
    assert isinstance(z.grad_fn.next_functions[0], tuple)


def test_an_input_that_does_not_require_grad_has_none_for_its_node():
    x, constant = leaf(1.0), torch.tensor([3.0])
    assert [node is None for node, _ in (constant * x).grad_fn.next_functions] == [True, False]
    assert [node is None for node, _ in (x * constant).grad_fn.next_functions] == [False, True]


def test_a_leafs_node_knows_its_variable_and_ends_the_graph():
    x = leaf(1.0)
    ((node, _),) = (-x).grad_fn.next_functions
    assert node.variable is x
    assert node.next_functions == ()
    assert node
    assert getattr((-x).grad_fn, "variable", None) is None


def test_a_leaf_used_twice_has_one_node():
    x = leaf(1.0)
    (first, _), (second, _) = (x * x).grad_fn.next_functions
    assert first is second
    y = x * 2
    (left, _), (right, _) = (y + y).grad_fn.next_functions
    assert left is right and left is y.grad_fn


def test_grad_fn_is_the_same_object_each_time_it_is_asked_for():
    y = leaf(1.0) * 2
    assert y.grad_fn is y.grad_fn
    z = y + 1
    assert z.grad_fn.next_functions[0][0] is y.grad_fn


NAMES = {
    "AddBackward0": lambda x: x + x,
    "SubBackward0": lambda x: x - 1,
    "MulBackward0": lambda x: x * 2,
    "DivBackward0": lambda x: x / 2,
    "NegBackward0": lambda x: -x,
    "PowBackward0": lambda x: x**2,
    "PowBackward1": lambda x: x**x,
    "ExpBackward0": lambda x: x.exp(),
    "LogBackward0": lambda x: x.log(),
    "Log1PBackward0": lambda x: x.log1p(),
    "SqrtBackward0": lambda x: x.sqrt(),
    "AbsBackward0": lambda x: x.abs(),
    "SinBackward0": lambda x: x.sin(),
    "CosBackward0": lambda x: x.cos(),
    "TanhBackward0": lambda x: x.tanh(),
    "SigmoidBackward0": lambda x: x.sigmoid(),
    "ReluBackward0": lambda x: x.relu(),
    "SumBackward0": lambda x: x.sum(),
    "MeanBackward0": lambda x: x.mean(),
    "WhereBackward0": lambda x: torch.where(x > 0, x, x),
    "StackBackward0": lambda x: torch.stack([x, x]),
    "CatBackward0": lambda x: torch.cat([x, x]),
    "UnsqueezeBackward0": lambda x: x.unsqueeze(0),
    "ExpandBackward0": lambda x: x.expand(3, 2),
    "SoftmaxBackward0": lambda x: x.softmax(0),
    "LogSoftmaxBackward0": lambda x: x.log_softmax(0),
}


@pytest.mark.parametrize("expected", NAMES)
def test_nodes_bear_pytorchs_names(expected):
    node = NAMES[expected](leaf(0.5, 1.5)).grad_fn
    assert node.name() == expected
    assert re.fullmatch(rf"<{expected} object at 0x[0-9a-f]+>", repr(node))


def test_a_leafs_node_prints_as_pytorchs():
    ((node, _),) = (-leaf(1.0)).grad_fn.next_functions
    assert re.fullmatch(r"<AccumulateGrad object at 0x[0-9a-f]+>", repr(node))


def test_a_walk_from_the_root_reaches_every_leaf():
    a, b, c = leaf(1.0), leaf(2.0), leaf(3.0)
    root = ((a * b).exp() + (b / c).sin()).grad_fn
    seen, stack, leaves = set(), [root], []
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.append(node.variable)
        stack.extend(below for below, _ in node.next_functions)
    assert {id(tensor) for tensor in leaves} == {id(a), id(b), id(c)}
    assert len(seen) == 8


# ---------------------------------------------------------------- grad modes


def test_no_grad_records_nothing_and_is_undone_on_leaving():
    x = leaf(1.0)
    with torch.no_grad():
        assert not torch.is_grad_enabled()
        y = x * 2
        assert not y.requires_grad and y.grad_fn is None and y.is_leaf
    assert torch.is_grad_enabled()
    assert (x * 2).requires_grad


def test_no_grad_is_undone_when_an_exception_leaves_it():
    with pytest.raises(ZeroDivisionError), torch.no_grad():
        _ = 1 / 0
    assert torch.is_grad_enabled()


def test_grad_modes_nest():
    x = leaf(1.0)
    with torch.no_grad():
        with torch.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
        with torch.set_grad_enabled(True):
            assert (x * 2).requires_grad
        assert not torch.is_grad_enabled()
    with torch.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert torch.is_grad_enabled()


def test_set_grad_enabled_works_as_a_plain_call():
    try:
        torch.set_grad_enabled(False)
        assert not torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(True)
    assert torch.is_grad_enabled()


def test_grad_modes_work_as_decorators():
    x = leaf(1.0)

    @torch.no_grad()
    def without(value, *, factor):
        """Say what it does."""
        return value * factor

    @torch.enable_grad()
    def with_graph(value):
        return value * 2

    assert not without(x, factor=3).requires_grad and without(x, factor=3).tolist() == [3.0]
    assert without.__name__ == "without" and without.__doc__ == "Say what it does."
    with torch.no_grad():
        assert with_graph(x).requires_grad
    assert torch.is_grad_enabled()


def test_a_decorated_function_may_call_itself():
    @torch.no_grad()
    def depth(n):
        assert not torch.is_grad_enabled()
        return 0 if n == 0 else 1 + depth(n - 1)

    assert depth(5) == 5 and torch.is_grad_enabled()


def test_one_context_object_can_be_entered_again():
    guard = torch.no_grad()
    for _ in range(2):
        with guard:
            assert not torch.is_grad_enabled()
        assert torch.is_grad_enabled()


def test_a_leaf_made_under_no_grad_may_still_require_grad():
    with torch.no_grad():
        x = leaf(2.0)
    assert x.requires_grad
    (x * x).backward()
    assert x.grad.tolist() == [4.0]


def test_backward_works_under_no_grad():
    x = leaf(2.0)
    y = x * x
    with torch.no_grad():
        y.backward()
    assert x.grad.tolist() == [4.0]


def test_no_grad_holds_in_its_own_thread_only():
    x = leaf(2.0)
    inside, leave = threading.Event(), threading.Event()
    seen = []

    def worker():
        seen.append(torch.is_grad_enabled())
        with torch.no_grad():
            inside.set()
            leave.wait(10)
            seen.append((x * 2).requires_grad)

    with torch.no_grad():
        thread = threading.Thread(target=worker)
        thread.start()
        assert inside.wait(10)
    assert torch.is_grad_enabled() and (x * 2).requires_grad
    leave.set()
    thread.join(10)
    assert seen == [True, False]


# ---------------------------------------------------------------- in place and copying, outside the graph


def test_a_leaf_can_be_updated_under_no_grad_by_replacing_its_values():
    w = leaf(1.0, 2.0)
    ((w - 5) ** 2).sum().backward()
    with torch.no_grad():
        new = w - 0.5 * w.grad
    w = new.requires_grad_()
    assert w.tolist() == [5.0, 5.0] and w.is_leaf


def test_clone_copies_values_and_keeps_the_graph():
    x = leaf(1.0, 2.0)
    y = x.clone()
    assert y.grad_fn is not None and y.tolist() == [1.0, 2.0]
    y.detach().numpy()[0] = 9.0
    assert x.tolist() == [1.0, 2.0]
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


# ---------------------------------------------------------------- NumPy


def test_asarray_of_a_plain_tensor_is_its_array():
    array = np.asarray(torch.tensor([[1.0, 2.0]]))
    assert type(array) is np.ndarray and array.dtype == np.float32 and array.tolist() == [[1.0, 2.0]]
    assert np.array(torch.tensor([1, 2])).dtype == np.int64
    assert np.asarray(torch.tensor([1.0]), dtype=np.float64).dtype == np.float64


def test_asarray_of_a_tensor_that_requires_grad_raises():
    with pytest.raises(RuntimeError, match="detach"):
        np.asarray(leaf(1.0))
    with pytest.raises(RuntimeError, match="detach"):
        np.array(leaf(1.0))
    assert np.asarray(leaf(1.0).detach()).tolist() == [1.0]


def test_numpy_scalars_are_taken_as_numbers():
    x = leaf(1.0, 2.0)
    y = x * np.float64(3.0) + np.float32(1.0) - np.int64(2)
    y.sum().backward()
    assert y.tolist() == [2.0, 5.0] and y.dtype == torch.float32
    assert x.grad.tolist() == [3.0, 3.0]


def numpy_matmul(t):
    return np.ones((1, 2)) @ t


@ours
@pytest.mark.parametrize(
    ("apply", "values", "slopes"),
    [
        (lambda t: np.exp(t), np.exp, np.exp),
        (lambda t: np.log(t), np.log, lambda x: 1 / x),
        (lambda t: np.sqrt(t), np.sqrt, lambda x: 0.5 / np.sqrt(x)),
        (lambda t: np.sin(t), np.sin, np.cos),
        (lambda t: np.tanh(t), np.tanh, lambda x: 1 - np.tanh(x) ** 2),
        (lambda t: np.ones(2) + t, lambda x: 1 + x, np.ones_like),
        (lambda t: np.ones(2) - t, lambda x: 1 - x, lambda x: -np.ones_like(x)),
        (lambda t: np.array([2.0, 3.0]) * t, lambda x: np.array([2.0, 3.0]) * x, lambda x: np.array([2.0, 3.0])),
        (lambda t: np.ones(2) / t, lambda x: 1 / x, lambda x: -1 / x**2),
        (lambda t: t + np.ones(2), lambda x: 1 + x, np.ones_like),
        (lambda t: np.float64(2) * t, lambda x: 2 * x, lambda x: 2 * np.ones_like(x)),
        (lambda t: np.float64(2) / t, lambda x: 2 / x, lambda x: -2 / x**2),
        (lambda t: np.multiply(t, t), lambda x: x * x, lambda x: 2 * x),
        (lambda t: np.maximum(t, 1.0), lambda x: np.maximum(x, 1), lambda x: (x > 1).astype(float)),
        (numpy_matmul, lambda x: x.sum(keepdims=True), np.ones_like),
    ],
)
def test_numpy_functions_and_operators_keep_the_graph(apply, values, slopes):
    x = np.array([0.5, 2.5])
    t = torch.tensor(x, requires_grad=True)
    y = apply(t)
    assert isinstance(y, torch.Tensor) and y.requires_grad and y.grad_fn is not None
    np.testing.assert_allclose(y.detach().numpy(), values(x), rtol=1e-12)
    y.sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), slopes(x), rtol=1e-12)


@ours
@pytest.mark.parametrize("function", [np.sum, np.mean, np.transpose])
def test_numpy_array_functions_keep_the_graph(function):
    x = np.arange(6.0).reshape(2, 3)
    t = torch.tensor(x, requires_grad=True)
    y = function(t)
    assert isinstance(y, torch.Tensor) and y.requires_grad
    np.testing.assert_allclose(y.detach().numpy(), function(x))


@ours
def test_a_numpy_comparison_with_a_tensor_gives_a_tensor_without_graph():
    y = np.array([1.0, 2.0]) < leaf(1.5, 1.5)
    assert isinstance(y, torch.Tensor) and y.dtype == torch.bool and y.tolist() == [True, False]
    assert not y.requires_grad
