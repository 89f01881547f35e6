"""Layers that draw noise: dropout, and the Gumbel-softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.graph import Source
from tinygrad_rp.ops.elementwise import add, div, mul, sub
from tinygrad_rp.ops.reduce import softmax
from tinygrad_rp.random import Generator, source_of
from tinygrad_rp.tensor import Tensor, wrap

__all__: list[str] = []

_DROPOUT = (Source("noise", "dropout"),)
_GUMBEL = (Source("noise", "gumbel_softmax"),)


def _need_tensor(name: str, argument: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}(): {argument} must be a tensor, not {type(value).__name__}")


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """``input`` with each element set to 0 with probability ``p``, and the others divided by ``1 − p``, so that the mean stays.

    Args:
        input: of any shape.
        p: the probability, in [0, 1].
        training: where it is False, ``input`` itself is returned.
        inplace: not supported.
        generator: where the noise comes from.

    Raises:
        NotImplementedError: ``inplace``.
        RuntimeError: the elements are not floating-point numbers.
        ValueError: ``p`` lies outside [0, 1].
    """
    _need_tensor("dropout", "input", input)
    if p < 0 or p > 1:
        raise ValueError(f"dropout(): p must lie in [0, 1], and is {p}")
    if p != p:
        raise RuntimeError("dropout(): p must lie in [0, 1], and is NaN")
    if inplace:
        raise NotImplementedError("dropout(): inplace=True is not supported; use the tensor that is returned")
    array = input._array
    if not training or p == 0 or array.size == 0:
        return input
    if array.dtype.kind != "f":
        raise RuntimeError(f"dropout(): input must hold floating-point numbers, not {array.dtype}; use float() before")
    if p == 1:
        return mul(input, wrap(np.zeros(array.shape, array.dtype)))
    kept = source_of(generator).draw("bernoulli", array.shape, array.dtype) >= p
    return mul(input, wrap(np.asarray(kept.astype(array.dtype) / array.dtype.type(1 - p)), None, _DROPOUT))


def gumbel_softmax(
    logits: Tensor,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """A sample of the Gumbel-softmax, ``softmax((logits + G) / tau)`` with Gumbel noise G (Jang, Gu and Poole, 2017, eq. 2).

    Args:
        logits: unnormalised log-probabilities of the categories along ``dim``.
        tau: the temperature; near 0 samples are almost one-hot.
        hard: return the one-hot sample, with the gradient of the soft one (straight-through).
        eps: is not used, as in PyTorch.
        dim: the dimension of the categories.
        generator: where the noise comes from.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: the logits are not floating-point numbers.
    """
    _need_tensor("gumbel_softmax", "logits", logits)
    array = logits._array
    if array.dtype.kind != "f":
        raise RuntimeError(
            f"gumbel_softmax(): logits must hold floating-point numbers, not {array.dtype}; use float() before"
        )
    bound = max(array.ndim, 1)
    if not -bound <= dim < bound:
        raise IndexError(f"gumbel_softmax(): dimension {dim} is out of range; it must lie in [{-bound}, {bound - 1}]")
    gumbels = wrap(source_of(generator).gumbel(array.shape, array.dtype), None, _GUMBEL)
    soft = softmax(div(add(logits, gumbels), tau), dim)
    if not hard:
        return soft
    # an axis of its own for a scalar, which has one category
    values = np.atleast_1d(soft._array)
    one_hot = np.zeros_like(values)
    np.put_along_axis(one_hot, np.expand_dims(values.argmax(dim), dim), 1.0, dim)
    return add(sub(wrap(one_hot.reshape(array.shape)), soft.detach()), soft)
