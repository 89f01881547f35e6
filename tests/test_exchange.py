"""What goes in and out: NumPy's functions and arrays, DLPack, PyTorch's tensors, copies and pickles."""

import copy
import gc
import importlib
import os
import pickle
import weakref

import numpy as np
import pytest

UNDER_TEST = os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp")
torch = importlib.import_module(UNDER_TEST)
ours = pytest.mark.skipif(UNDER_TEST == "torch", reason="we differ from PyTorch on purpose")
nn = torch.nn


def leaf(*values, dtype=None):
    return torch.tensor(list(values), dtype=dtype or torch.float64, requires_grad=True)


def plain(*values, dtype=None):
    return torch.tensor(list(values), dtype=dtype or torch.float64)


def near(actual, expected, rtol=1e-10):
    if isinstance(actual, torch.Tensor):
        actual = actual.detach().numpy()
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=1e-12)
    return True


def slope(function, array, eps=1e-6):
    """The gradient of the sum of function, by central differences."""
    result = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        ends = []
        for step in (eps, -eps):
            moved = array.copy()
            moved[place] += step
            ends.append(np.sum(function(moved)))
        result[place] = (ends[0] - ends[1]) / (2 * eps)
    return result


X = np.array([[0.5, 1.25, 0.75], [1.5, 0.25, 1.75]])

# ---------------------------------------------------------------- NumPy's functions

MUST = {
    "np.exp": lambda t: np.exp(t),
    "np.sum": lambda t: np.sum(t),
    "np.sum along an axis": lambda t: np.sum(t, axis=0),
    "np.sum with keepdims": lambda t: np.sum(t, axis=1, keepdims=True),
    "np.sum along two axes": lambda t: np.sum(t, axis=(0, 1)),
    "np.mean": lambda t: np.mean(t, axis=-1),
    "np.ones + t": lambda t: np.ones(3) + t,
    "t + np.ones": lambda t: t + np.ones(3),
    "t - np.ones": lambda t: t - np.ones((2, 1)),
    "np.ones * t": lambda t: np.arange(3.0) * t,
    "np.ones / t": lambda t: np.ones(3) / t,
    "t / np.ones": lambda t: t / np.full(3, 2.0),
    "t ** array": lambda t: t ** np.array([1.0, 2.0, 3.0]),
    "array ** t": lambda t: np.array([1.0, 2.0, 3.0]) ** t,
    "array of no dims": lambda t: np.array(3.0) * t,
    "np.float64 * t": lambda t: np.float64(2) * t,
    "t * np.float64": lambda t: t * np.float64(2),
    "np.float64 - t": lambda t: np.float64(2) - t,
    "np.float64 / t": lambda t: np.float64(2) / t,
    "np.float64 ** t": lambda t: np.float64(2) ** t,
    "np.int64 * t": lambda t: np.int64(3) * t,
    "array @ t": lambda t: np.arange(4.0).reshape(2, 2) @ t,
    "t @ array": lambda t: t @ np.arange(6.0).reshape(3, 2),
    "np.sqrt(t) * np.log(t)": lambda t: np.sqrt(t) * np.log(t),
    "np.add": lambda t: np.add(t, 1),
    "np.multiply": lambda t: np.multiply(2.0, t),
    "np.negative": lambda t: np.negative(t),
    "np.square": lambda t: np.square(t),
    "np.tanh": lambda t: np.tanh(t),
    "np.power": lambda t: np.power(t, 3),
}


@ours
@pytest.mark.parametrize("case", MUST)
def test_numpys_functions_of_a_tensor_stay_tensors_in_the_graph(case):
    function = MUST[case]
    t = torch.tensor(X, requires_grad=True)
    y = function(t)
    assert isinstance(y, torch.Tensor) and y.requires_grad and y.grad_fn is not None
    assert near(y, function(X))
    (g,) = torch.autograd.grad(y.sum(), t)
    assert near(g, slope(function, X), rtol=1e-6)


# NumPy gives some of these names another meaning, or another default, than PyTorch does: ddof, split, repeat, median, …
MAY = {
    "np.var": lambda t: np.var(t),
    "np.var with ddof": lambda t: np.var(t, ddof=1),
    "np.std": lambda t: np.std(t, axis=1),
    "np.median": lambda t: np.median(t),
    "np.repeat": lambda t: np.repeat(t, 2),
    "np.tile": lambda t: np.tile(t, 2),
    "np.split": lambda t: np.split(t, 3, axis=1)[1],
    "np.array_split": lambda t: np.array_split(t, 2, axis=1)[1],
    "np.max": lambda t: np.max(t),
    "np.max along an axis": lambda t: np.max(t, axis=1),
    "np.min": lambda t: np.min(t, axis=0),
    "np.prod": lambda t: np.prod(t),
    "np.cumsum of all": lambda t: np.cumsum(t),
    "np.cumsum": lambda t: np.cumsum(t, axis=1),
    "np.cumprod": lambda t: np.cumprod(t, axis=0),
    "np.dot": lambda t: np.dot(t, np.arange(3.0)),
    "np.dot of matrices": lambda t: np.dot(t, np.arange(6.0).reshape(3, 2)),
    "np.outer": lambda t: np.outer(t, t),
    "np.inner": lambda t: np.inner(t, t),
    "np.vdot": lambda t: np.vdot(t, t),
    "np.tensordot": lambda t: np.tensordot(t, t, axes=2),
    "np.matmul": lambda t: np.matmul(t, np.ones((3, 1))),
    "np.einsum": lambda t: np.einsum("ij,ij->i", t, t),
    "np.concatenate": lambda t: np.concatenate([t, t], axis=1),
    "np.stack": lambda t: np.stack([t, t * 2], axis=2),
    "np.hstack": lambda t: np.hstack([t, t]),
    "np.vstack": lambda t: np.vstack([t, t]),
    "np.where": lambda t: np.where(X > 1, t, 0.0),
    "np.clip": lambda t: np.clip(t, 0.3, 1.6),
    "np.abs": lambda t: np.abs(t),
    "np.maximum": lambda t: np.maximum(t, 0.9),
    "np.round": lambda t: np.round(t * 3 + 0.1) + t,
    "np.sort": lambda t: np.sort(t),
    "np.sort along an axis": lambda t: np.sort(t, axis=0),
    "np.flip": lambda t: np.flip(t),
    "np.roll": lambda t: np.roll(t, 1),
    "np.reshape": lambda t: np.reshape(t, (3, 2)),
    "np.ravel": lambda t: np.ravel(t),
    "np.squeeze": lambda t: np.squeeze(t),
    "np.expand_dims": lambda t: np.expand_dims(t, 1),
    "np.transpose": lambda t: np.transpose(t),
    "np.swapaxes": lambda t: np.swapaxes(t, 0, 1),
    "np.moveaxis": lambda t: np.moveaxis(t, 0, 1),
    "np.broadcast_to": lambda t: np.broadcast_to(t, (2, 2, 3)),
    "np.take": lambda t: np.take(t, [0, 4]),
    "np.diagonal": lambda t: np.diagonal(t),
    "np.diag": lambda t: np.diag(t),
    "np.trace": lambda t: np.trace(t),
    "np.tril": lambda t: np.tril(t),
    "np.triu": lambda t: np.triu(t, 1),
    "np.linalg.norm": lambda t: np.linalg.norm(t),
    "np.linalg.det": lambda t: np.linalg.det(t[:, :2]),
    "np.linalg.inv": lambda t: np.linalg.inv(t[:, :2]),
    "np.log1p": lambda t: np.log1p(t),
    "np.expm1": lambda t: np.expm1(t),
    "np.arctan2": lambda t: np.arctan2(t, 2.0),
    "np.logaddexp": lambda t: np.logaddexp(t, 1.0),
    "np.hypot": lambda t: np.hypot(t, 1.0),
    "np.sinc": lambda t: np.sinc(t),
    "np.nan_to_num": lambda t: np.nan_to_num(t),
    "np.average": lambda t: np.average(t, axis=1, weights=[1.0, 2.0, 3.0]),
    "np.diff": lambda t: np.diff(t),
    "np.pad": lambda t: np.pad(t, 1),
    "np.copy": lambda t: np.copy(t),
    "np.add.reduce": lambda t: np.add.reduce(t),
    "np.multiply.outer": lambda t: np.multiply.outer(t, np.ones(2)),
    "np.add.accumulate": lambda t: np.add.accumulate(t),
    "np.exp with where": lambda t: np.exp(t, where=X > 9),
    "np.sum with where": lambda t: np.sum(t, where=X > 1),
    "np.sum with initial": lambda t: np.sum(t, initial=5.0),
    "np.sum with dtype": lambda t: np.sum(t, dtype=np.float64),
    "np.apply_along_axis": lambda t: np.apply_along_axis(np.sum, 1, t),
    "np.array of tensors": lambda t: np.array([t[0], t[1]]),
}


@ours
@pytest.mark.parametrize("case", MAY)
def test_numpys_functions_give_numpys_value_in_the_graph_or_raise(case):
    function = MAY[case]
    t = torch.tensor(X, requires_grad=True)
    try:
        y = function(t)
    except (TypeError, RuntimeError, NotImplementedError, ValueError, AttributeError):
        return
    assert isinstance(y, torch.Tensor) and y.requires_grad
    assert near(y, function(X))
    (g,) = torch.autograd.grad(y.sum(), t)
    assert near(g, slope(function, X), rtol=1e-6)


@ours
def test_an_array_does_not_swallow_a_tensor_of_the_graph():
    t = leaf(1.0, 2.0)
    for write in (
        lambda a: np.add(a, t, out=a),
        lambda a: np.exp(t, out=a),
        lambda a: np.copyto(a, t),
        lambda a: a.__setitem__(slice(None), t),
        lambda a: np.add.at(a, [0, 1], t),
    ):
        array = np.ones(2)
        with pytest.raises((TypeError, RuntimeError, ValueError)):
            write(array)
        assert array.tolist() == [1.0, 1.0]
    array = alias = np.ones(2)
    try:
        array += t
    except (TypeError, RuntimeError):
        pass
    else:
        assert isinstance(array, torch.Tensor) and array.requires_grad
    assert alias.tolist() == [1.0, 1.0]


@ours
def test_numpy_of_a_tensor_without_gradient_is_a_tensor_too():
    t = plain(1.0, 2.0)
    for y in (np.exp(t), np.sum(t), np.ones(2) + t, t + np.ones(2), np.float64(2) * t, np.ones((2, 2)) @ t):
        assert isinstance(y, torch.Tensor) and not y.requires_grad and y.dtype == torch.float64
    assert isinstance(np.ones(2) < t, torch.Tensor) and (np.ones(2) < t).dtype == torch.bool
    assert (np.array([1, 2]) == t).tolist() == [True, True]


@ours
def test_an_array_widens_a_tensor_and_a_numpy_number_does_not():
    t = torch.tensor([1.0, 2.0], requires_grad=True)
    assert (np.float64(2) * t).dtype == (t * np.float64(2)).dtype == (t + np.int64(1)).dtype == torch.float32
    assert (np.ones(2) + t).dtype == (t + np.ones(2)).dtype == torch.float64
    assert (t + np.ones(2, dtype=np.float32)).dtype == (t + np.array([1, 2])).dtype == torch.float32
    (np.ones(2) * t).sum().backward()
    assert t.grad.dtype == torch.float32


# ---------------------------------------------------------------- arrays out


def test_a_tensor_of_the_graph_becomes_no_array():
    x = leaf(1.0, 2.0)
    for make in (
        lambda: np.asarray(x * 2),
        lambda: np.array([x[0], x[1]]),
        lambda: np.array(x, dtype=np.float32),
        lambda: np.zeros(2).__setitem__(slice(None), x),
        lambda: x.numpy(),
    ):
        with pytest.raises(RuntimeError, match="detach"):
            make()
    with torch.no_grad():
        assert np.asarray(x * 2).tolist() == [2.0, 4.0]


def test_an_array_of_a_tensor_is_its_memory_or_a_copy_as_asked():
    x = plain(1.0, 2.0)
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert not np.shares_memory(np.array(x, copy=True), x.numpy())
    assert np.array(x, dtype=np.int32).tolist() == [1, 2]
    for t in (x[::2], x.reshape(2, 1).T, torch.zeros(2, 3).T[1:], torch.ones(1).expand(4), torch.zeros(0, 3)):
        array = np.asarray(t)
        assert array.shape == tuple(t.shape) and array.tolist() == t.tolist()


def test_python_numbers_of_a_tensor():
    x = leaf(2.5)
    assert float(x) == 2.5 and int(x) == 2 and bool(x)
    assert [1, 2, 3][torch.tensor(1)] == 2 and list(range(torch.tensor(2))) == [0, 1]
    with pytest.raises(TypeError):
        [1, 2, 3][torch.tensor(1.0)]
    with pytest.raises(RuntimeError):
        bool(plain(1.0, 2.0))
    with pytest.raises(TypeError):
        len(torch.tensor(1.0))


# ---------------------------------------------------------------- arrays in


@pytest.mark.parametrize(
    "dtype",
    [np.float64, np.float32, np.int64, np.int32, np.int16, np.int8, np.uint8, np.bool_],
    ids=lambda d: d.__name__,
)
def test_from_numpy_shares_memory_both_ways_in_every_dtype(dtype):
    array = np.array([0, 1, 1], dtype=dtype)
    t = torch.from_numpy(array)
    assert t.dtype == getattr(torch, np.dtype(dtype).name) and tuple(t.shape) == (3,)
    array[0] = 1
    assert t.tolist() == [1, 1, 1]
    t[1] = 0
    assert array.tolist() == [1, 0, 1]
    assert np.shares_memory(t.numpy(), array)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.T,
        lambda a: a[::2],
        lambda a: a[1:, ::2],
        lambda a: a[1],
        lambda a: a[1, 1, ...],
        lambda a: a[:0],
        lambda a: np.asfortranarray(a),
    ],
)
def test_from_numpy_keeps_strides_of_every_kind(view):
    array = view(np.arange(12.0).reshape(3, 4))
    t = torch.from_numpy(array)
    assert tuple(t.shape) == array.shape and t.tolist() == array.tolist()
    t.add_(1)
    assert t.tolist() == array.tolist()
    if array.size:
        assert np.shares_memory(t.numpy(), array)
    t.requires_grad_()
    (t * t).sum().backward()
    assert near(t.grad, 2 * array)


def test_from_numpy_of_a_reversed_array_shares_or_is_refused():
    array = np.arange(3.0)
    try:
        t = torch.from_numpy(array[::-1])
    except ValueError:
        return
    assert t.tolist() == [2.0, 1.0, 0.0]
    array[0] = 7
    assert t.tolist() == [2.0, 1.0, 7.0]


@pytest.mark.parametrize(
    "value",
    [[1.0, 2.0], 3.0, np.float64(3), np.array(["a"]), np.array([None]), np.arange(3.0).astype(">f8"), (1, 2)],
    ids=str,
)
def test_from_numpy_refuses_what_it_cannot_share(value):
    with pytest.raises((TypeError, ValueError)):
        torch.from_numpy(value)


def test_an_array_that_repeats_its_memory_is_not_written_through():
    array = np.broadcast_to(np.ones(1), (3,))
    with pytest.raises((RuntimeError, ValueError)):
        torch.from_numpy(array).add_(torch.arange(3.0, dtype=torch.float64))
    assert array.tolist() == [1.0, 1.0, 1.0]


def test_as_tensor_shares_and_tensor_copies():
    array = np.zeros(2)
    shared, copied = torch.as_tensor(array), torch.tensor(array)
    array[0] = 5
    assert shared.tolist() == [5.0, 0.0] and copied.tolist() == [0.0, 0.0]
    assert torch.as_tensor(array, dtype=torch.float32).dtype == torch.float32


def test_memory_lives_as_long_as_one_of_both():
    array = np.arange(1000.0)
    gone = weakref.ref(array)
    t = torch.from_numpy(array)
    del array
    gc.collect()
    assert t[999].item() == 999.0
    out = t.numpy()
    del t
    gc.collect()
    assert out[999] == 999.0
    del out
    gc.collect()
    assert gone() is None


# ---------------------------------------------------------------- DLPack


def test_numpy_takes_a_tensor_by_dlpack_and_shares_its_memory():
    t = plain(1.0, 2.0, 3.0)
    array = np.from_dlpack(t)
    assert array.dtype == np.float64 and array.tolist() == [1.0, 2.0, 3.0] and np.shares_memory(array, t.numpy())
    t[0] = 7
    t.mul_(2)
    assert array.tolist() == [14.0, 4.0, 6.0]
    assert tuple(int(part) for part in t.__dlpack_device__()) == (1, 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.arange(12.0, dtype=torch.float64).reshape(3, 4).T,
        lambda: torch.arange(12.0, dtype=torch.float64).reshape(3, 4)[::2, 1:3],
        lambda: torch.tensor(3.0),
        lambda: torch.zeros(0, 3),
        lambda: torch.arange(3),
        lambda: torch.tensor([True, False]),
        lambda: torch.ones(1).expand(3),
        lambda: torch.tensor([1, 2], dtype=torch.uint8),
    ],
)
def test_dlpack_keeps_shape_strides_and_dtype_out_and_in(make):
    t = make()
    array = np.from_dlpack(t)
    assert array.shape == tuple(t.shape) and array.dtype == t.numpy().dtype and array.tolist() == t.tolist()
    back = torch.from_dlpack(array)
    assert back.shape == t.shape and back.dtype == t.dtype and back.tolist() == t.tolist()


def test_an_array_comes_in_by_dlpack_and_shares_its_memory():
    array = np.arange(3.0)
    t = torch.from_dlpack(array)
    assert isinstance(t, torch.Tensor) and t.is_leaf and not t.requires_grad
    t[0] = 7
    array[1] = 8
    assert array.tolist() == t.tolist() == [7.0, 8.0, 2.0]
    t.requires_grad_()
    (t * t).sum().backward()
    assert t.grad.tolist() == [14.0, 16.0, 4.0]


def test_a_tensor_comes_in_by_dlpack_and_shares_its_memory():
    t = plain(1.0, 2.0)
    other = torch.from_dlpack(t)
    other[0] = 5
    assert t.tolist() == [5.0, 2.0] and other is not t
    capsule = torch.from_dlpack(t.__dlpack__())
    assert capsule.tolist() == [5.0, 2.0]


def test_a_tensor_of_the_graph_does_not_go_out_by_dlpack():
    x = leaf(1.0, 2.0)
    for t in (x, x * 2, x[:1]):
        with pytest.raises((BufferError, RuntimeError), match="detach"):
            np.from_dlpack(t)
        with pytest.raises((BufferError, RuntimeError), match="detach"):
            torch.from_dlpack(t)
        assert np.from_dlpack(t.detach()).tolist() == t.tolist()


def test_what_speaks_no_dlpack_is_refused():
    for value in ([1.0], 3.0, "a"):
        with pytest.raises((TypeError, RuntimeError, AttributeError)):
            torch.from_dlpack(value)


def test_memory_taken_by_dlpack_lives_on():
    array = np.from_dlpack(torch.arange(1000.0))
    gc.collect()
    assert array[999] == 999.0
    source = np.arange(1000.0)
    gone = weakref.ref(source)
    t = torch.from_dlpack(source)
    del source
    gc.collect()
    assert t[999].item() == 999.0
    del t
    gc.collect()
    assert gone() is None


def test_tensors_of_pytorch_come_in_and_go_out():
    pytorch = pytest.importorskip("torch")
    theirs = pytorch.arange(6.0, dtype=pytorch.float64).reshape(2, 3)
    mine = torch.from_dlpack(theirs.T)
    assert isinstance(mine, torch.Tensor) and mine.tolist() == theirs.T.tolist() and mine.dtype == torch.float64
    mine[0, 0] = 50
    theirs[1, 2] = 70
    assert theirs[0, 0].item() == 50.0 and mine[2, 1].item() == 70.0
    back = pytorch.from_dlpack(mine)
    assert back.data_ptr() == theirs.data_ptr() and back.stride() == (1, 3)
    made = torch.ones(2, dtype=torch.float32)
    seen = pytorch.from_dlpack(made)
    seen.mul_(3)
    made[0] += 1
    assert made.tolist() == seen.tolist() == [4.0, 3.0] and seen.dtype == pytorch.float32
    with pytest.raises((BufferError, RuntimeError)):
        torch.from_dlpack(pytorch.ones(2, requires_grad=True))
    with pytest.raises((BufferError, RuntimeError)):
        pytorch.from_dlpack(leaf(1.0))


# ---------------------------------------------------------------- copies


class Tied(nn.Module):
    """Two layers that share their weight, and a table that shares it too."""

    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.ones(2, dtype=torch.float64))
        self.second = self.first
        self.table = {"again": self.first, "constant": torch.zeros(2)}

    def forward(self, x):
        return (x * self.first * self.second).sum()


def test_a_shallow_copy_shares_memory():
    x = leaf(1.0, 2.0)
    y = copy.copy(x)
    assert y is not x and y.is_leaf and y.requires_grad and y.tolist() == [1.0, 2.0]
    with torch.no_grad():
        y.mul_(3)
    assert x.tolist() == [3.0, 6.0]
    (y * y).sum().backward()
    assert y.grad.tolist() == [6.0, 12.0] and x.grad is None
    assert not copy.copy(plain(1.0)).requires_grad
    parameter = nn.Parameter(torch.ones(1))
    assert type(copy.copy(parameter)) is nn.Parameter


def test_a_deep_copy_of_a_leaf_has_values_and_grad_of_its_own():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    y = copy.deepcopy(x)
    assert y is not x and y.is_leaf and y.requires_grad and y.dtype == x.dtype
    assert y.grad.tolist() == [2.0, 4.0] and y.grad is not x.grad
    with torch.no_grad():
        y.add_(1)
    y.grad.zero_()
    assert x.tolist() == [1.0, 2.0] and x.grad.tolist() == [2.0, 4.0]
    (y * 3).sum().backward()
    assert y.grad.tolist() == [3.0, 3.0] and x.grad.tolist() == [2.0, 4.0]


def test_a_deep_copy_keeps_dtype_shape_and_whether_it_requires_grad():
    for t in (
        torch.tensor(3),
        torch.tensor([True, False]),
        torch.zeros(0, 3),
        torch.arange(6).reshape(2, 3).T,
        torch.ones(2, requires_grad=True),
        torch.tensor(1.5, dtype=torch.float64),
        torch.ones(1).expand(3),
    ):
        for made in (copy.deepcopy(t), copy.copy(t)):
            assert made.shape == t.shape and made.dtype == t.dtype and made.tolist() == t.tolist()
            assert made.requires_grad == t.requires_grad and made.is_leaf


def test_a_deep_copy_of_a_result_is_refused():
    y = leaf(1.0) * 2
    with pytest.raises(RuntimeError, match=r"lea(f|ves)|detach"):
        copy.deepcopy(y)
    with pytest.raises(RuntimeError):
        copy.deepcopy({"loss": y})
    assert copy.deepcopy(y.detach()).tolist() == [2.0]


def test_tensors_that_were_shared_stay_shared_in_a_deep_copy():
    x = leaf(1.0)
    made = copy.deepcopy({"a": x, "b": x, "c": [x, (x,)]})
    assert made["a"] is made["b"] is made["c"][0] is made["c"][1][0] and made["a"] is not x
    base = plain(1.0, 2.0)
    made = copy.deepcopy([base, base[:1], base.detach()])
    made[0][0] = 9
    assert made[1].tolist() == [9.0] and made[2].tolist() == [9.0, 2.0] and base.tolist() == [1.0, 2.0]


def test_a_deep_copy_of_a_parameter_is_a_parameter():
    p = nn.Parameter(torch.ones(2))
    made = copy.deepcopy(p)
    assert type(made) is nn.Parameter and made.requires_grad and made.is_leaf
    frozen = nn.Parameter(torch.ones(2), requires_grad=False)
    assert type(copy.deepcopy(frozen)) is nn.Parameter and not copy.deepcopy(frozen).requires_grad


def test_a_deep_copy_of_a_module_trains_by_itself():
    module = Tied()
    module(plain(1.0, 2.0)).backward()
    made = copy.deepcopy(module)
    assert made.first is made.second is made.table["again"] and made.first is not module.first
    assert len(list(made.parameters())) == 1
    made.zero_grad()
    made(plain(1.0, 2.0)).backward()
    assert made.first.grad.tolist() == [2.0, 4.0]
    with torch.no_grad():
        for p in made.parameters():
            p -= p.grad
    assert made.second.tolist() == [-1.0, -3.0] and module.first.tolist() == [1.0, 1.0]
    made.zero_grad()
    assert module.first.grad.tolist() == [2.0, 4.0]


def test_a_copy_belongs_to_no_graph():
    x = leaf(2.0)
    y = x * x
    made = copy.deepcopy(x)
    y.backward()
    assert made.grad is None and x.grad.tolist() == [4.0]
    (made * 3).backward()
    assert x.grad.tolist() == [4.0]


# ---------------------------------------------------------------- pickles


def again(value, protocol=pickle.DEFAULT_PROTOCOL):
    return pickle.loads(pickle.dumps(value, protocol))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_leaf_goes_through_pickle(protocol):
    x = leaf(1.0, 2.0)
    (x * 3).sum().backward()
    y = again(x, protocol)
    assert y.is_leaf and y.requires_grad and y.tolist() == [1.0, 2.0] and y.dtype == torch.float64
    (y * y).sum().backward()
    assert y.grad.tolist()[0] in (2.0, 5.0) and x.grad.tolist() == [3.0, 3.0]
    with torch.no_grad():
        y.add_(1)
    assert x.tolist() == [1.0, 2.0]


def test_what_a_pickle_keeps():
    for t in (
        torch.tensor(3),
        torch.tensor([True, False]),
        torch.zeros(0, 3),
        torch.arange(6).reshape(2, 3).T,
        torch.ones(2, dtype=torch.float32),
        torch.tensor(float("nan")),
        plain(1.0, 2.0)[1:],
        torch.ones(1).expand(3),
    ):
        made = again(t)
        assert made.shape == t.shape and made.dtype == t.dtype and not made.requires_grad
        np.testing.assert_array_equal(made.numpy(), t.numpy())
    assert again(torch.ones(2).shape) == torch.ones(2).shape and again(torch.float32) == torch.float32


def test_a_parameter_goes_through_pickle_as_a_parameter():
    for requires_grad in (True, False):
        made = again(nn.Parameter(torch.ones(2), requires_grad=requires_grad))
        assert type(made) is nn.Parameter and made.requires_grad == requires_grad and made.is_leaf


def test_tensors_that_were_shared_stay_shared_in_a_pickle():
    x = leaf(1.0)
    made = again({"a": x, "b": [x]})
    assert made["a"] is made["b"][0]


def test_a_module_goes_through_pickle():
    made = again(Tied())
    assert made.first is made.second is made.table["again"] and type(made.first) is nn.Parameter
    made(plain(1.0, 2.0)).backward()
    assert made.first.grad.tolist() == [2.0, 4.0]
    assert [p.tolist() for p in made.parameters()] == [[1.0, 1.0]]


def test_a_pickle_of_a_slice_can_be_changed():
    made = again(torch.zeros(100)[:3])
    made.add_(1)
    made[0] = 5
    assert made.tolist() == [5.0, 1.0, 1.0]
