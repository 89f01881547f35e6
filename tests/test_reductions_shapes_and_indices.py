"""Reductions, scans, shapes, indices and orders as PyTorch has them: values, errors, ties, views, and what is kept apart."""

import importlib
import os
import time

import numpy as np
import pytest

import tinygrad_rp as tg
from tinygrad_rp.autograd import gradcheck, gradgradcheck
from tinygrad_rp.ops.reduce import vector_norm

try:
    ref = importlib.import_module("torch")
except ImportError:
    ref = None
torch = importlib.import_module(os.environ.get("TINYGRAD_RP_UNDER_TEST", "tinygrad_rp"))
compared = pytest.mark.skipif(ref is None, reason="PyTorch is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")

nan, inf = float("nan"), float("inf")

# Expressions of a 3×4 matrix x, a vector v, a scalar s, an empty matrix e and a mask, in module m: same value or kind of error.
VALUES = """
x.gather(0, m.tensor([[5]]))
x.gather(0, m.tensor([[-1]]))
x.gather(0, m.tensor([[1]], dtype=m.int32))
x.gather(0, m.tensor([[1.]]))
x.gather(0, m.tensor([1]))
x.gather(0, m.tensor([[1]*5]))
x.gather(5, m.tensor([[1]]))
x.gather(0, m.tensor([], dtype=m.int64))
s.gather(0, m.tensor([0, 0]))
v.gather(0, m.tensor(3))
x.scatter(0, m.tensor([[5]]), x)
x.scatter(0, m.tensor([[-1]]), x)
x.scatter(0, m.tensor([[1, 1]]), x[:, :1])
x.scatter(0, m.tensor([[1, 1]]), 1.5)
x.long().scatter(0, m.tensor([[1, 1]]), 1.5)
x.scatter(0, m.tensor([[1, 1]]), m.tensor(1.5))
x.scatter(0, m.tensor([[1, 1]]), x.double())
x.scatter(0, m.tensor([[1, 1]]), x.long())
x.scatter_add(0, m.tensor([[1, 1]]), x.double())
x.scatter_add(0, m.tensor([[9, 1]]), x)
x.index_select(0, m.tensor([5]))
x.index_select(0, m.tensor([-1]))
x.index_select(0, m.tensor([[1]]))
x.index_select(0, m.tensor(1))
x.index_select(0, m.tensor([1], dtype=m.int32))
x.index_select(0, m.tensor([1.]))
x.index_select(3, m.tensor([1]))
s.index_select(0, m.tensor([0]))
x.index_add(0, m.tensor([0, 5]), x[:2])
x.index_add(0, m.tensor([0, -1]), x[:2])
x.index_add(0, m.tensor([0, 1]), x[:1])
x.index_add(0, m.tensor([0, 1]), x[:2].double())
x.index_add(0, m.tensor([0, 1]), x[:2], alpha=2)
x.index_add(0, m.tensor(1), x[0])
x.index_fill(0, m.tensor([0]), 2)
x.index_fill(0, m.tensor([-1]), 2)
x.index_fill(0, m.tensor([7]), 2)
x.masked_fill(m.tensor([True, False, True, False]), 1)
x.masked_fill(m.tensor([1, 0, 1, 0]), 1)
x.masked_fill(mask, m.tensor([1.]))
x.masked_fill(mask, m.tensor(1., dtype=m.float64))
x.long().masked_fill(mask, 1.5)
x.long().masked_fill(mask, m.tensor(1.5))
s.masked_fill(m.tensor([True, False]), 1)
x.masked_fill(m.tensor([True, False]), 1)
m.masked_fill(x, mask, True)
x.masked_select(m.tensor([True, False, True, False]))
x.masked_select(m.tensor([1, 0, 1, 0]))
s.masked_select(m.tensor([True, True]))
s.masked_select(m.tensor(True))
x.take(m.tensor([13]))
x.take(m.tensor([-1]))
x.take(m.tensor([-13]))
x.take(m.tensor([[0, 1]]))
x.take(m.tensor([1], dtype=m.int32))
m.nonzero(x > 9)
m.nonzero(x > 9, as_tuple=True)
s.nonzero()
s.nonzero(as_tuple=True)
x.index_put((m.tensor([5]),), m.tensor(1.))
x.index_put((m.tensor([-1]),), m.tensor(1.))
x.index_put((m.tensor([0]),), m.tensor([1., 2.]))
x.index_put((m.tensor([0]),), m.tensor(1., dtype=m.float64))
x.index_put((m.tensor([0]),), 1.)
x.index_put((m.tensor([0, 0]),), m.tensor([[1.], [2.]]), accumulate=True)
x.index_put((m.tensor([0, 1]), m.tensor([0, 1])), m.tensor([[1., 3]]))
x.sort(5)
m.tensor([1., nan, 0., inf, -inf]).sort()
m.tensor([1., nan, 0., inf, -inf]).sort(descending=True)
m.tensor([1, 0, 1, 0]).sort(descending=True)
m.tensor([True, False, True]).sort()
s.sort()
e.sort(0)
m.tensor([1., nan, 0., inf, -inf]).topk(2)
m.tensor([1., nan, 0., inf, -inf]).topk(5, largest=False)
v.topk(6)
v.topk(-1)
s.topk(1)
v.topk(0)
e.topk(1, 0)
m.tensor([True, False]).topk(1)
m.argsort(v, descending=True)
s.argsort()
m.bincount(m.tensor([0, 3, 1, 1]))
m.bincount(m.tensor([0, 3, 1, 1]), minlength=6)
m.bincount(m.tensor([0, -1]))
m.bincount(m.tensor([[0]]))
m.bincount(m.tensor([0.]))
m.bincount(m.tensor([0, 1]), m.tensor([1., 2.]))
m.bincount(m.tensor([0, 1]), m.tensor([1., 2.]).double())
m.bincount(m.tensor([0, 1]), m.tensor([1, 2]))
m.bincount(m.tensor([0, 1]), m.tensor([1]))
m.bincount(m.tensor([], dtype=m.int64))
m.bincount(m.tensor([], dtype=m.int64), minlength=2)
m.bincount(m.tensor([0]), minlength=-1)
m.bincount(m.tensor(1))
m.nn.functional.one_hot(m.tensor([0, 1]), 1)
m.nn.functional.one_hot(m.tensor([0, 1], dtype=m.int32))
m.nn.functional.one_hot(m.tensor([-1]))
m.nn.functional.one_hot(m.tensor([0]), -2)
m.nn.functional.one_hot(m.tensor([], dtype=m.int64), 3)
m.nn.functional.one_hot(m.tensor([], dtype=m.int64))
m.nn.functional.one_hot(m.tensor(1), 3)
x[5]
x[0, 0, 0]
x[m.tensor([5])]
x[0, 7]
x[1.5]
x["a"]
x[True]
s[0]
s[...]
s[None]
x[m.tensor([True, False])]
x[m.tensor([1], dtype=m.uint8)]
x[m.tensor([1], dtype=m.int32)]
x[m.tensor([1.])]
x[::-1]
x[[0, 1]]
x[m.tensor([0, 1]), m.tensor([0, 1, 2])]
x.take_along_dim(m.tensor([[1]]), 0)
x.take_along_dim(m.tensor([[-1]]), 0)
x.take_along_dim(m.tensor([1, 3]))
x.take_along_dim(m.tensor([1]), 0)
x.prod()
m.prod(x, (0, 1))
x.prod(1, True)
x.long().prod()
m.tensor([True, False]).prod()
m.tensor([1, 2], dtype=m.uint8).prod()
e.prod(0)
m.zeros(0).prod()
x.prod(dtype=m.float64)
x.prod(5)
x.amax()
x.amax(())
x.amax((0, 1), True)
e.amax()
e.amax(0)
e.amax(1)
x.amax((0, 0))
x.long().amax(0)
m.tensor([True]).amax(0)
m.tensor([1., nan]).amax()
s.amax(0)
x.norm(2, 0, True)
x.norm("fro", (0, 1))
x.norm("fro")
x.norm("x")
x.norm(0)
x.norm(3)
x.norm(-inf)
x.norm(dim=())
x.norm(2., dtype=m.float64)
x.long().norm()
m.zeros(0).norm()
m.zeros(0).norm(inf)
m.zeros(0).norm(-inf)
m.zeros(0).norm(-1)
m.zeros(0).norm(0)
e.norm(inf, 0)
e.norm(inf, 1)
m.tensor([1., nan]).nansum()
m.tensor([[1., nan], [nan, nan]]).nansum(1)
m.tensor([[1., nan], [nan, nan]]).nanmean(1)
m.tensor([1, 2]).nansum()
m.tensor([1, 2]).nanmean()
m.tensor([True]).nansum()
x.any()
x.any(0)
x.any((0, 1), True)
x.all(())
x.any(())
x.all(1, keepdim=True)
m.tensor([1], dtype=m.uint8).any()
m.tensor([nan]).all()
e.any()
e.all(0)
x.any(5)
x.count_nonzero()
x.count_nonzero(0)
x.count_nonzero((0, 1))
x.count_nonzero(())
s.count_nonzero(0)
m.sum(x, (0, 0))
x.sum(5)
x.sum(1.5)
x.sum([0, -1])
x.sum("a")
x.sum(dtype=m.int64)
m.tensor([1.5, 1.5]).sum(dtype=m.int64)
m.tensor([True, True]).sum()
m.tensor([1, 2], dtype=m.uint8).sum()
m.tensor([1, 2], dtype=m.int32).sum(0)
m.tensor([1, 2]).mean()
m.tensor([1, 2]).mean(dtype=m.float32)
x.mean(dtype=m.int64)
e.mean()
e.mean(0)
e.sum()
s.sum(0)
s.sum((0,))
s.mean(0)
s.var()
s.var(correction=0)
s.var(0)
s.std()
e.var(0)
e.var(1)
x.var(correction=3)
x.var(0, correction=3)
x.var(0, correction=5)
x.var(0, correction=1.5)
x.var(0, correction=-1)
x.var(0, unbiased=False, correction=1)
x.var(0, False)
x.var((0,), False)
x.var((0,), False, True)
x.var(False)
x.var(0, True)
x.std(0, correction=5)
x.long().var()
x.var(())
x.std([])
x.var(5)
x.max(5)
x.max(0, True)
x.max(dim=0, keepdim=True)
x.max(keepdim=True)
e.max()
e.max(0)
e.max(1)
x.max((0, 1))
s.max(0)
s.max()
m.tensor([True, False]).max()
m.tensor([True, False]).max(0)
m.tensor([1., nan, 2.]).max()
m.tensor([1., nan, 2.]).max(0)
m.tensor([1., 2., 2.]).max(0)
m.tensor([1., 1., 2.]).min(0)
x.argmax()
x.argmax(0)
x.argmax(None, True)
x.argmax(5)
e.argmax()
e.argmax(0)
e.argmax(1)
s.argmax()
s.argmax(0)
s.argmax(1)
m.tensor([1., nan, 2.]).argmax()
m.tensor([1., nan, 2.]).argmin()
m.tensor([True, False]).argmax()
m.tensor([True, True]).argmax()
m.tensor([2, 2]).argmax()
x.softmax(5)
x.softmax(None)
x.softmax()
m.softmax(x, (0, 1))
m.tensor([-inf, -inf]).softmax(0)
m.tensor([inf, 1.]).softmax(0)
m.tensor([inf, 1.]).log_softmax(0)
m.tensor([-inf, 1.]).log_softmax(0)
m.tensor([-inf, -inf]).log_softmax(0)
m.tensor([nan, 1.]).softmax(0)
m.tensor([1, 2]).softmax(0)
m.tensor([True]).softmax(0)
m.tensor([1, 2]).softmax(0, dtype=m.float64)
m.tensor([1, 2]).softmax(0, dtype=m.int64)
e.softmax(0)
e.softmax(1)
s.softmax(0)
s.log_softmax(-1)
s.softmax(1)
m.tensor([-inf, -inf]).logsumexp(0)
m.tensor([inf, -inf]).logsumexp(0)
m.tensor([inf, inf]).logsumexp(0)
m.tensor([1, 2]).logsumexp(0)
e.logsumexp(0)
e.logsumexp(1)
s.logsumexp(0)
x.logsumexp((0, 1))
x.logsumexp(())
x.logsumexp(None)
x.logsumexp(5)
x.cumsum(0)
x.cumsum()
x.cumsum(5)
m.tensor([True, True]).cumsum(0)
m.tensor([1, 2], dtype=m.int32).cumsum(0)
m.tensor([1, 2], dtype=m.uint8).cumprod(0)
x.cumsum(0, dtype=m.float64)
s.cumsum(0)
s.cumprod(-1)
e.cumprod(0)
m.tensor([1, 2]).logcumsumexp(0)
m.tensor([-inf, -inf, 1.]).logcumsumexp(0)
m.tensor([inf, 1.]).logcumsumexp(0)
s.logcumsumexp(0)
m.tensor([1., nan, 2., nan]).cummax(0)
m.tensor([1., 1., 0.]).cummax(0)
m.tensor([1., 1., 0.]).cummin(0)
m.tensor([True, False]).cummax(0)
s.cummax(0)
e.cummax(0)
x.split(2)
x.split(0)
x.split(-1)
x.split([1, 1])
x.split([1, 2, 0])
x.split([-1, 4])
x.split(2, 5)
m.split(x, 2, dim=1)
s.split(1)
e.split(2)
e.split(0)
x.split(2.5)
x.split(10)
x.chunk(2)
x.chunk(5, 1)
x.chunk(0)
s.chunk(1)
e.chunk(3)
x.tensor_split(2)
x.tensor_split([1, 2], 1)
x.tensor_split(5)
x.tensor_split(0)
x.tensor_split([-1])
x.tensor_split([2, 1])
s.tensor_split(1)
x.unbind(1)
s.unbind()
e.unbind()
x.narrow(0, 1, 2)
x.narrow(0, -1, 1)
x.narrow(0, 1, 3)
x.narrow(0, 3, 0)
x.narrow(0, 0, -1)
x.narrow(0, -4, 1)
s.narrow(0, 0, 1)
x.narrow(5, 0, 1)
x.select(0, 5)
x.select(0, -1)
x.select(5, 0)
s.select(0, 0)
x.flip(0, 1)
x.flip([0])
x.flip(())
x.flip(5)
x.flip(0, 0)
s.flip(0)
s.flip(())
x.flip()
v.fliplr()
v.flipud()
s.flipud()
x.roll(1)
x.roll(1, 0)
x.roll((1, 2), (0, 1))
x.roll((1, 2))
x.roll((1, 2), 0)
x.roll(1, 5)
x.roll((1, 1), (0, 0))
s.roll(1)
s.roll(1, 0)
e.roll(1, 0)
e.roll(1)
x.roll((), ())
x.repeat(2)
x.repeat(2, 1)
x.repeat(2, 1, 0)
x.repeat((2, 1))
s.repeat(2)
s.repeat()
x.repeat(-1, 1)
x.repeat()
m.tile(x, (2,))
s.tile()
s.tile(2, 2)
x.tile(())
x.tile(2)
x.repeat_interleave(2)
x.repeat_interleave(2, 0)
x.repeat_interleave(m.tensor([1, 2, 0]), 0)
x.repeat_interleave(m.tensor([1, 2]), 0)
x.repeat_interleave(m.tensor([2]), 0)
x.repeat_interleave(m.tensor(2), 0)
x.repeat_interleave(0)
x.repeat_interleave(-1)
s.repeat_interleave(2)
x.repeat_interleave(m.tensor([1.]), 0)
m.repeat_interleave(m.tensor([1, 2]))
x.tril()
v.tril()
s.triu()
x.tril(1)
m.triu(x, diagonal=-1)
e.tril()
mask.tril()
m.tensor([[nan, nan], [nan, nan]]).tril()
x.diagonal()
x.diagonal(1)
x.diagonal(9)
x.diagonal(-9)
x.diagonal(0, 0, 0)
x.diagonal(0, 0, 5)
v.diagonal()
s.diagonal()
x.diag(1)
v.diag(1)
v[:2].diag(-1)
s.diag()
m.zeros(2, 2, 2).diag()
v[:2].diag_embed(1)
m.diag_embed(x[:2, :2], 0, 0, 2)
m.diag_embed(s)
x.trace()
v.trace()
e.trace()
m.tensor([[1, 2], [3, 4]], dtype=m.int32).trace()
m.tensor([[True, True], [True, True]]).trace()
x.transpose(0, 5)
s.transpose(0, 0)
s.transpose(0, -1)
s.transpose(0, 1)
v.transpose(0, 1)
v.mT
s.mT
s.T
m.zeros(2, 2, 2).T
m.zeros(2, 2, 2).t()
x.movedim(0, 5)
x.movedim((0, 1), (1, 0)).shape
x.movedim((0, 1), (1, 1))
x.movedim((0, 0), (1, 0))
x.movedim((0, 1), 1)
s.movedim(0, 0)
x.permute(0)
x.permute(0, 0)
x.permute(0, 5)
x.permute(1, -2).shape
s.permute()
s.permute(())
x.unflatten(1, (2, -1)).shape
x.unflatten(1, (3, 2))
x.unflatten(5, (2, 2))
x.unflatten(1, ())
x.unflatten(1, (-1, -1))
x.unflatten(1, [2, 2]).shape
x.unflatten(1, 2, 2)
s.unflatten(0, (1,))
e.unflatten(0, (0, -1))
e.unflatten(0, (2, 0)).shape
s.ravel()
m.hstack([s, s])
m.hstack([x, v])
m.hstack([])
m.hstack([v, v]).shape
m.vstack([v, v]).shape
m.vstack([s, s]).shape
m.vstack([v, x[:, :3]])
m.broadcast_tensors(x, v)
m.broadcast_tensors(x, s)[1].shape
m.broadcast_tensors([x, s])[1].shape
m.broadcast_tensors()
m.meshgrid(v, v[:2], indexing="xy")[0].shape
m.meshgrid([v, s], indexing="ij")[0].shape
m.meshgrid(v, x, indexing="ij")
m.meshgrid(v, v, indexing="q")
m.meshgrid(v, v.double(), indexing="ij")
m.meshgrid(v, v[:2])[0].shape
x.expand(2)
x.expand(2, 4)
x.expand(3, -1).shape
x.expand(-1, 3, 4)
x.expand(2, -1, -1).shape
x.expand()
s.expand().shape
s.expand(0).shape
x.expand(-2, 4)
v.expand(2, -1).shape
x.view(13)
x.view(-1, -1)
x.view(-2, 6)
x.view(5, -1)
e.view(-1)
e.view(-1, 3).shape
e.view(0, -1)
e.reshape(-1, 0)
x.T.view(12)
x.view((3, 4)).shape
x.view()
x.view(2., 6)
s.view(1, 1).shape
x.reshape(3, 4.)
x.reshape()
s.reshape(()).shape
x.reshape(m.Size([12])).shape
x.flatten(0, 5)
x.flatten(1, 0)
s.flatten()
e.flatten()
x.squeeze(5)
x[:1].squeeze((0, 1)).shape
x.squeeze((0, 0))
s.squeeze(0)
s.squeeze().shape
x.unsqueeze(5)
x.unsqueeze(-4)
s.unsqueeze(-1).shape
s.unsqueeze(1)
m.cat([x, v])
m.cat([x, s])
m.cat([s, s])
m.cat([x, x.T])
m.cat([x, x], 5)
m.cat([x, x.long()]).dtype
m.cat([m.zeros(0), x]).shape
m.cat([m.zeros(0), x], 1).shape
m.cat([m.zeros(0), m.zeros(0)], 1).shape
m.cat([m.zeros(0), m.zeros(0)], 0).shape
m.cat([m.zeros(0, 3), x], 1).shape
m.cat((x, x), dim=-1).shape
m.cat([x, x], axis=1).shape
m.cat([x, 2])
m.stack([x, v])
m.stack([])
m.stack([x, x], 5)
m.stack([s, s], 1)
m.stack([x, x.double()]).dtype
m.cat(tensors=[x, x], dim=0).shape
x.swapdims(0, 1).shape
x.view_as(m.zeros(12)).shape
x.expand_as(m.zeros(2, 3, 4)).shape
x.broadcast_to(2, 3, 4)
x.broadcast_to((2, 3, 4)).shape
x.to(m.int64).dtype
x.to("cpu").shape
x.to(dtype=m.float64).dtype
x.clone().shape
""".strip().split("\n")


def names_of(m):
    return {
        "m": m,
        "nan": nan,
        "inf": inf,
        "x": m.arange(12.0).reshape(3, 4),
        "v": m.arange(5.0),
        "s": m.tensor(3.0),
        "e": m.zeros(0, 3),
        "mask": m.tensor([[True] * 4] * 3),
    }


def outcome(source, m):
    try:
        return eval(source, names_of(m))
    except Exception as error:
        return error


def assert_same(mine, theirs):
    if isinstance(theirs, ref.Tensor):
        assert str(mine.dtype) == str(theirs.dtype).removeprefix("torch.")
        assert tuple(mine.shape) == tuple(theirs.shape)
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-6)
    elif isinstance(theirs, tuple) and not isinstance(theirs, ref.Size):
        assert len(mine) == len(theirs)
        for a, b in zip(mine, theirs, strict=True):
            assert_same(a, b)
    else:
        assert str(mine).removeprefix("torch.") == str(theirs).removeprefix("torch.")


@compared
@pytest.mark.parametrize("source", VALUES)
def test_values_and_kinds_of_errors_are_pytorchs(source):
    mine, theirs = outcome(source, torch), outcome(source, ref)
    if isinstance(theirs, Exception):
        assert isinstance(mine, type(theirs)), f"{mine!r} instead of {theirs!r}"
    else:
        assert not isinstance(mine, Exception), repr(mine)
        assert_same(mine, theirs)


# Expressions of a matrix a: node, gradient and second derivative.
GRADIENTS = """
a.prod()
a.prod(1)
a.prod(0, keepdim=True)
a.cumprod(1)
a.cumprod(0)
a.amax(1)
a.amin((0, 1))
a.max()
a.norm()
a.norm(1, 1)
a.norm(inf)
a.norm(-inf, 0)
a.norm(3)
a.norm(0.5, 1)
a.norm(-1)
a.std(1)
a.var((0, 1), correction=1.5)
a.nansum(0)
a.nanmean(1)
a.cumsum(0)
a.logsumexp(1)
a.softmax(1)
a.cummax(1)[0]
a.cummin(0)[0]
a.sort(1)[0]
a.sort(0, descending=True)[0]
a.split(2)[0]
a.split([1, 2])[1]
a.chunk(2, 1)[1]
a.tensor_split(2)[1]
a.unbind(-1)[1]
a.narrow(0, 1, 2)
a.select(1, -1)
a.flip(0, 1)
a.fliplr()
a.flipud()
a.roll(5)
a.roll((1, -2), (0, 1))
a.repeat(2, 1, 2)
a.tile(2)
a.repeat_interleave(2)
a.repeat_interleave(2, 1)
a.repeat_interleave(m.tensor([1, 0, 2]), 0)
a.tril()
a.triu(1)
a.diagonal(-1, 1, 0)
a.diag()
a[0].diag(-1)
a.diag_embed(1, 0, 2)
a.trace()
a.swapaxes(0, 1)
a.movedim(0, 1)
a.unflatten(1, (2, 2))
a.T.ravel()
m.hstack([a, a])
m.vstack([a, a[0]])
m.broadcast_tensors(a, a[:1])[1]
m.meshgrid(a[0], a[:, 0], indexing="xy")[1]
a.T.reshape(-1)
a.gather(0, m.tensor([[0, 1, 2], [2, 2, 0]]))
a.gather(1, m.tensor([[0, 1, 2, 3, 3, 3]]))
a.scatter(0, m.tensor([[0, 1, 2, 0]]), a[:1] * a[1:2])
a.scatter(1, m.tensor([[0], [1]]), 2.5)
a.scatter_add(0, m.tensor([[0, 0, 2, 1]]), a[:1] * a[1:2])
a.index_select(1, m.tensor([3, 0, 3]))
a.index_add(0, m.tensor([2, 0, 2]), a * a, alpha=-1.5)
a.index_fill(1, m.tensor([-1]), 2)
a.masked_fill(a > 0, 7.0)
a.masked_fill(a > 0, a[0, 0])
a[0].masked_fill(a > 0, 1)
a[0].masked_select(a > 0)
a.take(m.tensor([[0, 5], [-1, 5]]))
a.index_put((m.tensor([2, 0]),), a[:2] * a[:2])
a.index_put((m.tensor([2, 2]),), a[:2] * a[:2], accumulate=True)
a.index_put((a > 0,), a[0, 0])
a.take_along_dim(a.argsort(1), 1)
a[0, 1]
a[...]
a[:, None]
a[1:, 0]
a[0, :, None]
a[m.tensor([0, 2])]
a[1:, m.tensor([0, 0, 3])]
a[True]
""".strip().split("\n")
MATRICES = {
    "plain": np.array([[0.5, -0.9, -1.8, -1.9], [1.3, 1.7, 0.4, 0.9], [0.2, 1.4, 1.3, -2.0]]),
    "one zero a row": np.array([[0.5, 0.0, -1.8, -1.9], [0.0, 1.7, 0.4, 0.9], [0.2, 1.4, 1.3, 0.0]]),
    "zeros": np.array([[0.0, 0.0, -1.8, -1.9], [1.3, 1.7, 0.0, 0.9], [0.0, 0.0, 0.0, 0.0]]),
    "ties": np.array([[2.0, 2.0, 1.0, 0.5], [0.5, 5.0, 5.0, 5.0], [1.0, 1.0, 1.0, 1.0]]),
}


def derivatives(source, m, matrix):
    a = m.tensor(matrix, requires_grad=True)
    out = eval(source, {"m": m, "a": a, "inf": inf})
    rng = np.random.default_rng(1)
    weights = m.tensor(rng.uniform(0.5, 1.5, tuple(out.shape)))
    (first,) = m.autograd.grad((out * out * weights).sum(), a, create_graph=True)
    direction = m.tensor(rng.uniform(0.5, 1.5, matrix.shape))
    second = None
    if first.requires_grad:
        (second,) = m.autograd.grad((first * direction).sum(), a, allow_unused=True)
    second = np.zeros_like(matrix) if second is None else second.numpy()
    return out.grad_fn.name(), first.detach().numpy(), second


@compared
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("source", GRADIENTS)
def test_nodes_gradients_and_second_derivatives_are_pytorchs(source, matrix):
    mine, theirs = (derivatives(source, m, MATRICES[matrix]) for m in (torch, ref))
    assert mine[0] == theirs[0]
    np.testing.assert_allclose(mine[1], theirs[1], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(mine[2], theirs[2], rtol=1e-11, atol=1e-11)


@compared
@pytest.mark.parametrize(
    "source", [*GRADIENTS, "a.sum(())", "a[:1].amax(0)", "a[:1].sum(0)", "a.repeat(1, 1)", "a.flip(())"]
)
def test_what_pytorch_gives_as_a_view_shares_memory_and_nothing_else_does(source):
    shared = []
    for m in (torch, ref):
        a = m.tensor(MATRICES["plain"])
        shared.append(np.shares_memory(a.numpy(), eval(source, {"m": m, "a": a, "inf": inf}).numpy()))
    assert shared[0] == shared[1]


SCALAR = ["a.sum(0)", "a.prod(0)", "a.amax()", "a.norm(1)", "a.max(0)[0]", "a.sort()[0]", "a.topk(1)[0]", "a.cumsum(0)",
          "a.flip(0)", "a.roll(1)", "a.repeat(1)", "a.gather(0, m.tensor(0))", "a.index_select(0, m.tensor([0]))",
          "a.take(m.tensor(0))", "a.masked_select(m.tensor(True))", "a.scatter(0, m.tensor(0), 2.0)"]  # fmt: skip


@pytest.mark.parametrize("source", SCALAR)
def test_of_a_tensor_without_dimensions_nothing_but_views_shares_memory(source):
    a = tg.tensor(3.0)
    assert not np.shares_memory(a.numpy(), eval(source, {"m": tg, "a": a}).numpy())


def test_an_index_names_a_view_also_of_a_single_element():
    x, v = tg.zeros(2, 3), tg.zeros(4)
    x[1, 2].numpy()[...] = 5
    v[3].numpy()[...] = 6
    x.diagonal().numpy()[...] = 7
    x.expand(1, 2, 3).numpy()[0, 1, 0] = 8
    assert x.tolist() == [[7, 0, 0], [8, 7, 5]] and v.tolist() == [0, 0, 0, 6]


@pytest.mark.parametrize(
    "index, words",
    [
        ((5,), "index 5 is out of range for dimension 0, which has length 3"),
        ((0, -9), "index -9 is out of range for dimension 1, which has length 4"),
        ((0, 0, 0), "too many indices: 3 for a tensor of 2 dimensions"),
        ((slice(None), tg.tensor([1, 7])), "index 7 is out of range for dimension 1, which has length 4"),
        ((tg.tensor([True, False]),), "a mask of shape [2] does not fit"),
        ((tg.tensor([0, 1]), tg.tensor([0, 1, 2])), "shape [2] and [3] do not broadcast"),
    ],
)
def test_an_index_that_names_nothing_is_explained(index, words):
    x = tg.zeros(3, 4)
    with pytest.raises(IndexError) as raised:
        x[index]
    assert words in str(raised.value)
    with pytest.raises(IndexError) as raised:
        x.index_put(index, tg.tensor(1.0))
    assert words in str(raised.value)


def test_of_several_values_put_at_one_place_the_last_stands_and_gets_the_gradient():
    x = tg.zeros(3, dtype=tg.float64, requires_grad=True)
    values = tg.tensor([1.0, 2.0, 3.0], dtype=tg.float64, requires_grad=True)
    where = tg.tensor([1, 1, 0])
    for put in (
        lambda x, v: x.index_put((where,), v),
        lambda x, v: x.scatter(0, where, v),
    ):
        out = put(x, values)
        assert out.tolist() == [3, 2, 0]
        gx, gv = tg.autograd.grad(out.sum(), [x, values])
        assert gx.tolist() == [0, 0, 1] and gv.tolist() == [0, 1, 1]
        assert gradcheck(put, [x, values]) and gradgradcheck(put, [x, values])


def test_index_put_takes_every_index_that_reading_takes():
    x = tg.zeros(2, 3, 4, dtype=tg.float64, requires_grad=True)
    for index in (
        (0,), (..., 1), (slice(None), None, 2), (0, slice(None), tg.tensor([1, 3])), (tg.tensor([[True, False, True]] * 2),),
        (slice(0, 1), tg.tensor([0, 2]), slice(1, None)), (1, 2, 3), (True,),
    ):  # fmt: skip
        values = tg.tensor(np.random.default_rng(0).standard_normal(x[index].shape), requires_grad=True)
        for accumulate in (False, True):

            def put(x, v, i=index, a=accumulate):
                return x.index_put(i, v, accumulate=a)

            out = put(x, values).detach()
            assert np.array_equal(out[index].numpy(), values.detach().numpy())
            assert out.sum().item() == pytest.approx(values.sum().item())
            assert gradcheck(put, [x, values])


def test_an_index_that_is_changed_afterwards_is_noticed():
    for read in (
        lambda x, i: x[i],
        lambda x, i: x.gather(0, i),
        lambda x, i: x.index_select(0, i),
        lambda x, i: x.take(i),
        lambda x, i: x.index_put((i,), x[:1] * 2),
        lambda x, i: x.sort().values[i],
    ):
        x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        i = tg.tensor([2])
        out = read(x, i)
        i.zero_()
        with pytest.raises(RuntimeError, match="in place by zero_"):
            tg.autograd.grad(out.sum(), x)


def test_changing_the_indices_that_an_order_returned_is_noticed():
    for f in (lambda x: x.sort(), lambda x: x.topk(2), lambda x: x.max(0), lambda x: x.cummax(0)):
        x = tg.tensor([1.0, 3.0, 2.0], requires_grad=True)
        values, indices = f(x)
        indices.zero_()
        with pytest.raises(RuntimeError, match="in place by zero_"):
            tg.autograd.grad(values.sum(), x)


@pytest.mark.parametrize("zeros", [[], [1], [0, 3], [0, 1, 2, 3]])
def test_products_can_be_differentiated_any_number_of_times_at_zeros(zeros):
    values = np.array([1.5, -0.5, 2.0, 0.75])
    values[zeros] = 0
    x = tg.tensor(values, requires_grad=True)
    for f in (tg.prod, lambda x: x.prod(0), lambda x: x.cumprod(0)):
        assert gradcheck(f, [x]) and gradgradcheck(f, [x])
    total, expected = x.prod(), 1.0
    for i in range(4):  # of x₀x₁x₂x₃, by x₀, x₁, x₂ and x₃ in turn
        total = tg.autograd.grad(total, x, create_graph=True)[0][i]
        expected = np.prod(values[i + 1 :])
        assert total.item() == pytest.approx(expected)


def test_logcumsumexp_neither_overflows_nor_loses_its_gradient():
    x = tg.tensor([-800.0, 900.0, 900.0, 1000.0], dtype=tg.float64, requires_grad=True)
    out = x.logcumsumexp(0)
    np.testing.assert_allclose(out.detach().numpy(), [-800, 900, 900 + np.log(2), 1000])
    (g,) = tg.autograd.grad(out.sum(), x)
    np.testing.assert_allclose(g.numpy(), [1, 1.5, 0.5, 1])


def test_chosen_values_and_their_indices_agree_where_elements_tie():
    x = tg.tensor([[2.0, 5.0, 5.0, 1.0], [3.0, 3.0, 3.0, 3.0]], requires_grad=True)
    for found in (x.topk(3), x.topk(2, largest=False), x.sort(descending=True), x.max(1, keepdim=True)):
        assert np.array_equal(
            np.take_along_axis(x.detach().numpy(), found.indices.numpy(), 1), found.values.detach().numpy()
        )
        (g,) = tg.autograd.grad(found.values.sum(), x)
        assert np.array_equal(g.numpy(), _named(found.indices, x))


def _named(indices, x):
    named = np.zeros(x.shape)
    np.put_along_axis(named, indices.numpy(), 1, 1)
    return named


def test_weights_of_a_count_get_their_gradient():
    weights = tg.tensor([1.0, 2.0, 4.0], requires_grad=True)
    counted = tg.bincount(tg.tensor([0, 2, 0]), weights, minlength=4)
    assert counted.tolist() == [5, 0, 2, 0]
    assert tg.autograd.grad(counted[0], weights)[0].tolist() == [1, 0, 1]


def test_vector_norm_refuses_what_it_has_no_value_for():
    with pytest.raises(TypeError, match="ord must be a number"):
        vector_norm(tg.ones(2), "fro")
    with pytest.raises(RuntimeError, match="without loss"):
        vector_norm(tg.ones(2, dtype=tg.float64), dtype=tg.float32)
    with pytest.raises(RuntimeError, match="nothing to reduce"):
        vector_norm(tg.zeros(0), -1)
    with pytest.raises(NotImplementedError, match="singular"):
        tg.norm(tg.ones(2, 2), "nuc")


def test_numpys_scans_and_reductions_stay_in_the_graph():
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    for f in (np.cumsum, np.cumprod):
        assert np.allclose(f(x).detach().numpy(), f(x.detach().numpy()))
        assert np.allclose(f(x, 1).detach().numpy(), f(x.detach().numpy(), 1)) and f(x, 0).requires_grad
    assert (
        np.prod(x).item() == 24 and np.flip(x).tolist() == [[4, 3], [2, 1]] and np.tril(x).tolist() == [[1, 0], [3, 4]]
    )
    assert np.any(x, axis=0).tolist() == [True, True] and np.all(x).item() is True


def test_shapes_can_be_given_by_name():
    x = tg.arange(6.0).reshape(2, 3)
    for named, given in [
        (x.reshape(shape=(3, 2)), x.reshape(3, 2)),
        (x.view(size=(3, 2)), x.view(3, 2)),
        (x.expand(size=(4, -1, 3)), x.expand(4, -1, 3)),
        (x.broadcast_to(size=(4, 2, 3)), x.broadcast_to((4, 2, 3))),
        (tg.broadcast_to(x, size=(4, 2, 3)), x.broadcast_to(4, 2, 3)),
        (x.permute(dims=(1, 0)), x.permute(1, 0)),
        (x.flip(dims=[1]), x.flip(1)),
        (x.repeat(repeats=(2, 1)), x.repeat(2, 1)),
        (tg.tile(x, dims=(2,)), x.tile(2)),
    ]:
        assert named.tolist() == given.tolist()
    for wrong in (
        lambda: x.reshape(6, shape=(6,)),
        lambda: x.flip(dims=1),
        lambda: x.permute(),
        lambda: x.view(shape=(6,)),
        lambda: tg.mm(x, x.T, mat2=x.T),
        lambda: tg.mm(x, other=x.T),
        lambda: tg.mm(x),
    ):
        with pytest.raises(TypeError):
            wrong()


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("index", [0, [0], [0, 0]])
def test_gather_and_scatter_take_a_tensor_without_dimensions_as_a_vector(shape, index):
    x, i = tg.full(shape, 3.0, requires_grad=True), tg.tensor(index)
    source = tg.tensor(np.arange(2.0, 2.0 + i.numel()).reshape(i.shape), dtype=tg.float32, requires_grad=True)
    assert x.gather(0, i).tolist() == tg.full(i.shape, 3.0).tolist()
    assert tg.autograd.grad(x.gather(0, i).sum(), x)[0].tolist() == tg.full(shape, float(i.numel())).tolist()
    for out, value, g in (
        (x.scatter(0, i, source), source.max(), 0.0),
        (x.scatter_add(0, i, source), 3 + source.sum(), 1.0),
    ):
        assert out.shape == shape and out.sum().item() == value.item()
        assert type(out.grad_fn).__name__.startswith("Scatter")
        assert tg.autograd.grad(out.sum(), x)[0].sum().item() == g


def test_where_of_a_condition_alone_gives_the_indices():
    x = tg.tensor([[0.0, 2.0], [3.0, 0.0]])
    rows, columns = tg.where(x)
    assert rows.tolist() == [0, 1] and columns.tolist() == [1, 0]
    assert tg.where(tg.tensor(True))[0].tolist() == [0]
    with pytest.raises(TypeError):
        tg.where(x > 0, x)


def test_empty_vectors_among_the_pieces_of_cat_get_empty_gradients():
    pieces = [tg.ones(s, requires_grad=True) for s in [(0,), (2, 2, 3), (0,), (2, 0, 3), (2, 1, 3)]]
    out = tg.cat(pieces, dim=-2)
    weights = tg.arange(18.0).reshape(2, 3, 3)
    first = tg.autograd.grad((out * out * weights).sum(), pieces, create_graph=True)
    assert [g.shape for g in first] == [p.shape for p in pieces]
    assert first[4].tolist() == (2 * weights[:, 2:]).tolist()
    second = tg.autograd.grad(sum(g.sum() for g in first), pieces)
    assert [g.shape for g in second] == [p.shape for p in pieces] and second[1].tolist() == (
        2 * weights[:, :2]
    ).tolist()


def test_going_back_through_cat_takes_time_in_proportion_to_the_number_of_pieces():
    def seconds(n):
        pieces = [tg.ones(1, requires_grad=True) for _ in range(n)]
        total = tg.cat(pieces).sum()
        start = time.perf_counter()
        total.backward()
        return time.perf_counter() - start

    small, large = (min(seconds(n) for _ in range(3)) for n in (2_000, 16_000))
    assert large < 32 * small  # 8 times as many pieces; it was 64 times as long


@pytest.mark.parametrize("join", [tg.cat, tg.stack])
def test_joining_needs_a_list_of_tensors_and_an_integer(join):
    x = tg.ones(2)
    for wrong in (x, 3, {1: x}, iter([x]), [x, 2]):
        with pytest.raises(TypeError, match=join.__name__):
            join(wrong)
    for dim in ("a", 1.0, None):
        with pytest.raises(TypeError, match=r"dim must be an integer"):
            join([x, x], dim)
    with pytest.raises(ValueError if join is tg.cat else RuntimeError, match="at least one"):
        join([])
    with pytest.raises(IndexError):
        join([x], dim=3)
