"""Softmax and cross entropy of many classes: the loss of given logits, and its gradient.

Ours and PyTorch's code is one function, ``nn.functional.cross_entropy``; JAX has value and gradient jitted, HIPS autograd the
formula in NumPy's functions, NumPy value and gradient by hand. In float32; the logits are drawn once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers import HIPS, JAX, NUMPY, OURS, PYTORCH
from benchmarks.row import SEED, Row, Work


def data(shape: tuple[int, int]) -> tuple[Any, Any]:
    """Logits of a shape (batch, classes), and labels."""
    rng = np.random.default_rng(SEED)
    return rng.standard_normal(shape, dtype=np.float32), rng.integers(0, shape[1], shape[0])


def cross_entropy(torch: Any, shape: tuple[int, int]) -> Work:
    """On tensors."""
    logits, labels = map(torch.tensor, data(shape))
    logits.requires_grad_()

    def run() -> Any:
        logits.grad = None
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        return loss, logits.grad

    return Work(run)


def cross_entropy_of_jax(jax: Any, shape: tuple[int, int]) -> Work:
    """Jitted."""
    logits, labels = map(jax.numpy.asarray, data(shape))

    def loss(logits: Any, labels: Any) -> Any:
        return -jax.numpy.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()

    step = jax.jit(jax.value_and_grad(loss))
    return Work(lambda: jax.block_until_ready(step(logits, labels)))


def cross_entropy_of_hips(autograd: Any, shape: tuple[int, int]) -> Work:
    """In NumPy's functions."""
    logits, labels = data(shape)
    anp = autograd.numpy

    def loss(logits: Any) -> Any:
        shifted = logits - anp.max(logits, axis=1, keepdims=True)
        log_p = shifted - anp.log(anp.sum(anp.exp(shifted), axis=1, keepdims=True))
        return -anp.mean(log_p[anp.arange(len(labels)), labels])

    step = autograd.value_and_grad(loss)
    return Work(lambda: step(logits))


def cross_entropy_by_hand(np: Any, shape: tuple[int, int]) -> Work:
    """The gradient is (softmax − one hot) / batch."""
    logits, labels = data(shape)
    rows = np.arange(len(labels))

    def run() -> Any:
        shifted = logits - logits.max(1, keepdims=True)
        p = np.exp(shifted)
        total = p.sum(1, keepdims=True)
        loss = np.mean(np.log(total[:, 0]) - shifted[rows, labels])
        p /= total
        p[rows, labels] -= 1
        p /= len(labels)
        return loss, p

    return Work(run)


ROWS = (
    Row(
        name="cross-entropy",
        title="softmax and cross entropy, 128 × 1000",
        measures="The loss of logits in memory, and its gradient.",
        size=(128, 1000),
        tiny=(4, 7),
        unit="",
        candidates={
            OURS: cross_entropy,
            PYTORCH: cross_entropy,
            JAX: cross_entropy_of_jax,
            HIPS: cross_entropy_of_hips,
            NUMPY: cross_entropy_by_hand,
        },
    ),
)
