"""Datasets and loaders, in PyTorch and here; and the order of shuffled batches."""

import collections
import math

import numpy as np
import pytest
from against_pytorch import ref, torch
from hypothesis import given, settings
from hypothesis import strategies as st

BOTH = pytest.mark.parametrize("m", [torch, ref] if torch is not ref else [ref], ids=lambda m: m.__name__)
ours = pytest.mark.skipif(torch is ref, reason="what only this package promises")
Point = collections.namedtuple("Point", "x y")


def plain(batch):
    """What a batch is made of, without the package's tensors."""
    if hasattr(batch, "dtype") and hasattr(batch, "tolist"):
        return str(batch.dtype).removeprefix("torch."), list(batch.shape), batch.tolist()
    if isinstance(batch, dict):
        return type(batch), {key: plain(part) for key, part in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch), [plain(part) for part in batch]
    return batch


def generator(m, seed):
    return m.Generator().manual_seed(seed)


# ----------------------------------------------------------------------------------------------------- against PyTorch


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 13),
    st.one_of(st.none(), st.integers(1, 15)),
    st.booleans(),
    st.sampled_from(["tensors", "list", "subset"]),
)
def test_batches_in_order_and_their_number_are_pytorchs(n, batch_size, drop_last, kind):
    results = []
    for m in (torch, ref):
        x = m.arange(2 * n).reshape(n, 2)
        dataset = {
            "tensors": lambda x=x, m=m: m.utils.data.TensorDataset(x, x[:, 0] * 1.5),
            "list": lambda x=x: [(x[i], i) for i in range(n)],
            "subset": lambda x=x, m=m: m.utils.data.Subset(m.utils.data.TensorDataset(x), list(range(n))[::-1]),
        }[kind]()
        try:
            loader = m.utils.data.DataLoader(dataset, batch_size=batch_size, drop_last=drop_last)
        except Exception as error:
            results.append(type(error))
        else:
            results.append((len(loader), len(list(loader)), [plain(batch) for batch in loader]))
    assert results[0] == results[1]


SAMPLES = [
    "[m.tensor([1.0, 2.0]), m.tensor([3.0, 4.0])]",
    "[np.array([1.0, 2.0]), np.array([3.0, 4.0])]",
    "[np.float32(1), np.float32(2)]",
    "[np.int16(1), np.int16(2)]",
    "[1, 2]",
    "[1.5, 2.5]",
    "[True, False]",
    "['a', 'b']",
    "[b'a', b'b']",
    "[(1, m.tensor(2.0)), (3, m.tensor(4.0))]",
    "[[1, 'a'], [2, 'b']]",
    "[{'x': m.tensor([1]), 'y': (1, 2.0)}, {'x': m.tensor([2]), 'y': (3, 4.0)}]",
    "[collections.OrderedDict(a=1), collections.OrderedDict(a=2)]",
    "[Point(1, m.tensor(2.0)), Point(3, m.tensor(4.0))]",
    "[(1, 2), (1, 2, 3)]",
    "[m.tensor([1.0]), m.tensor([1.0, 2.0])]",
    "[object(), object()]",
    "[{'a': 1}, {'b': 1}]",
    "[(), ()]",
    "[{1, 2}, {3, 4}]",
]


@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize("batch_size", [2, None])
def test_samples_are_put_together_as_pytorch_does(samples, batch_size):
    results = []
    for m in (torch, ref):
        dataset = eval(samples, {"m": m, "np": np, "collections": collections, "Point": Point})
        try:
            found = [plain(b) for b in m.utils.data.DataLoader(dataset, batch_size=batch_size)]
        except Exception as error:
            found = type(error)
        results.append(str(found) if "object" in samples else found)
    assert results[0] == results[1] or ("object" in samples and batch_size is None)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 20),
    st.lists(st.one_of(st.integers(-1, 12), st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.9])), max_size=4),
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_lengths_of_a_random_split_are_pytorchs(n, lengths):
    results = []
    for m in (torch, ref):
        try:
            parts = m.utils.data.random_split(list(range(n)), lengths, generator=generator(m, 1))
        except ValueError as error:
            results.append(type(error))
        else:
            assert sorted(i for part in parts for i in part) == list(range(n))
            results.append([len(part) for part in parts])
    assert results[0] == results[1]


@BOTH
@pytest.mark.parametrize(
    "options, error",
    [
        ({"batch_size": 0}, ValueError),
        ({"batch_size": -2}, ValueError),
        ({"batch_size": 1.5}, ValueError),
        ({"num_workers": -1}, ValueError),
        ({"sampler": [1, 2], "shuffle": True}, ValueError),
        ({"batch_sampler": [[1]], "batch_size": 2}, ValueError),
        ({"batch_sampler": [[1]], "shuffle": True}, ValueError),
        ({"batch_size": None, "drop_last": True}, ValueError),
        ({"unknown": 3}, TypeError),
    ],
)
def test_wrong_arguments_raise_pytorchs_kind_of_error(m, options, error):
    with pytest.raises(error):
        m.utils.data.DataLoader([1, 2, 3], **options)


@BOTH
def test_wrong_datasets_raise_pytorchs_kind_of_error(m):
    with pytest.raises(AssertionError):
        m.utils.data.TensorDataset(m.zeros(3), m.zeros(4))
    with pytest.raises(NotImplementedError):
        m.utils.data.Dataset()[0]
    with pytest.raises(IndexError):
        m.utils.data.TensorDataset(m.zeros(3))[3]


@BOTH
def test_samplers_say_the_order(m):
    data, loader = list(range(10)), m.utils.data.DataLoader
    assert [b.tolist() for b in loader(data, 2, sampler=[3, 1, 4, 1, 5])] == [[3, 1], [4, 1], [5]]
    assert len(loader(data, 2, sampler=[3, 1, 4, 1, 5])) == 3
    assert [b.tolist() for b in loader(data, batch_sampler=[[1], [2, 3, 4]])] == [[1], [2, 3, 4]]
    assert len(loader(data, batch_sampler=[[1], [2, 3, 4]])) == 2
    assert list(loader(data, batch_size=3, collate_fn=sum)) == [3, 12, 21, 9]


@BOTH
def test_samples_of_tensors_are_numbered_by_integers(m):
    data, loader = m.utils.data.TensorDataset(m.arange(4)), m.utils.data.DataLoader
    for numbers in ([3, -1], m.tensor([3, 3]), np.array([3, 3], np.int32), np.array([3, 3], np.uint8)):
        assert [part.tolist() for (part,) in loader(data, 2, sampler=numbers)] == [[3, 3]]
    for numbers, error in (([1.5, 2.5], (IndexError, TypeError)), ([True, False], RuntimeError), ([0, 4], IndexError)):
        with pytest.raises(error):
            next(iter(loader(data, 2, sampler=numbers)))
    with pytest.raises(IndexError):
        next(iter(loader(data, batch_sampler=[[]])))


@BOTH
def test_a_pass_does_not_disturb_another_one(m):
    loader = m.utils.data.DataLoader(list(range(4)), batch_size=2)
    assert [(a.tolist(), b.tolist()) for a, b in zip(loader, loader, strict=True)] == [
        ([0, 1], [0, 1]),
        ([2, 3], [2, 3]),
    ]


# ------------------------------------------------------------------------------------------------------------- shuffling


def order(loader):
    return [i for batch in loader for i in batch.tolist()]


@BOTH
def test_a_seed_gives_the_same_order_and_each_pass_another_one(m):
    data = list(range(50))
    a, b, c = (m.utils.data.DataLoader(data, 7, True, generator=generator(m, seed)) for seed in (5, 5, 6))
    first, second = order(a), order(a)
    assert sorted(first) == sorted(second) == data and first != second != data
    assert [order(b), order(b)] == [first, second] and order(c) != first
    m.manual_seed(8)
    expected = order(m.utils.data.DataLoader(data, shuffle=True))
    m.manual_seed(8)
    assert order(m.utils.data.DataLoader(data, shuffle=True)) == expected != data


@ours
def test_the_order_does_not_depend_on_other_random_numbers():
    data = torch.utils.data.TensorDataset(torch.arange(30))
    orders = []
    for draws in (0, 100):
        torch.manual_seed(8)
        torch.randn(draws)
        orders.append([b[0].tolist() for b in torch.utils.data.DataLoader(data, 4, shuffle=True)])
    assert orders[0] == orders[1]


@BOTH
def test_every_sample_is_equally_likely_at_every_place(m):
    # 2000 passes over 5 samples: how often each sample comes first is binomial; |z| < 5 in 25 tests fails once in 70,000 runs
    loader = m.utils.data.DataLoader(list(range(5)), 5, shuffle=True, generator=generator(m, 2))
    passes = 2000 if m is not ref else 300
    counts = np.zeros((5, 5))
    for _ in range(passes):
        for place, sample in enumerate(order(loader)):
            counts[place, sample] += 1
    assert (np.abs(counts - passes / 5) < 5 * math.sqrt(passes * 0.2 * 0.8)).all()


# ----------------------------------------------------------------------------------------------------------------- ours


@ours
def test_workers_are_refused_with_what_to_do():
    with pytest.raises(NotImplementedError, match="TensorDataset"):
        torch.utils.data.DataLoader([1], num_workers=2)
    with pytest.raises(TypeError, match="__len__"):
        torch.utils.data.DataLoader(iter([1, 2]))
    with pytest.raises(TypeError, match="generator"):
        torch.utils.data.DataLoader([1], generator=3)


@ours
def test_batches_of_tensors_are_taken_at_once_and_are_what_one_by_one_gives():
    class Slow(torch.utils.data.TensorDataset):
        pass

    x = torch.arange(12.0).reshape(6, 2).requires_grad_()
    y = torch.arange(6)
    batches = [
        list(torch.utils.data.DataLoader(kind(x, y), 4, shuffle=True, generator=generator(torch, 1)))
        for kind in (torch.utils.data.TensorDataset, Slow)
    ]
    assert [plain(b) for b in batches[0]] == [plain(b) for b in batches[1]]
    grads = [torch.autograd.grad((some[0][0] ** 2).sum(), x)[0].tolist() for some in batches]
    assert grads[0] == grads[1]


@ours
def test_a_network_learns_from_shuffled_batches():
    g = generator(torch, 0)
    x = torch.randn(256, 2, generator=g)
    y = (x @ torch.tensor([[2.0], [-1.0]])) + 0.5
    net = torch.nn.Linear(2, 1)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 32, shuffle=True, generator=g)
    for _ in range(20):
        for inputs, targets in loader:
            optimiser.zero_grad()
            torch.nn.MSELoss()(net(inputs), targets).backward()
            optimiser.step()
    np.testing.assert_allclose(net.weight.detach().numpy(), [[2.0, -1.0]], atol=1e-4)
    assert net.bias.item() == pytest.approx(0.5, abs=1e-4)
