"""Functions of networks, under the names that PyTorch gives them here."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from operator import index
from typing import Any

from tinygrad_rp.nn.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
from tinygrad_rp.ops import reduce
from tinygrad_rp.ops.convolution import constant_pad, conv1d, conv2d, conv_transpose1d, conv_transpose2d
from tinygrad_rp.ops.elementwise import (
    add,
    celu,
    clamp_min,
    div,
    elu,
    gelu,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    mul,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softplus,
    softsign,
    tanh,
    tanhshrink,
)
from tinygrad_rp.ops.index import one_hot
from tinygrad_rp.ops.linalg import addmm, matmul
from tinygrad_rp.ops.loss import at_least
from tinygrad_rp.ops.normalization import batch_norm, embedding, layer_norm
from tinygrad_rp.ops.pooling import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from tinygrad_rp.ops.shape import broadcast_tensors, reshape, t
from tinygrad_rp.ops.stochastic import dropout, gumbel_softmax
from tinygrad_rp.tensor import Tensor

__all__ = [
    "avg_pool1d", "avg_pool2d", "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits", "celu", "conv1d",
    "conv2d", "conv_transpose1d", "conv_transpose2d", "cosine_similarity", "cross_entropy", "dropout", "elu", "embedding",
    "gaussian_nll_loss", "gelu", "gumbel_softmax", "hardtanh", "huber_loss", "kl_div", "l1_loss", "layer_norm",
    "leaky_relu", "linear", "log_softmax", "logsigmoid", "max_pool1d", "max_pool2d", "mish", "mse_loss", "nll_loss",
    "normalize", "one_hot", "pad", "poisson_nll_loss", "relu", "relu6", "selu", "sigmoid", "silu", "smooth_l1_loss",
    "softmax", "softplus", "softsign", "tanh", "tanhshrink",
]  # fmt: skip


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias``.

    Args:
        input: of shape (…, in).
        weight: of shape (out, in), or (in,) without ``bias``.
        bias: of shape (out,), or one that broadcasts to (…, out).

    Raises:
        RuntimeError: the shapes do not fit, or the dtypes differ.
    """
    for name, value in (("input", input), ("weight", weight), ("bias", bias)):
        if not isinstance(value, Tensor) and not (name == "bias" and value is None):
            raise TypeError(f"linear(): {name} must be a tensor, not {type(value).__name__}")
    if input.ndim == 0 or weight.ndim not in (1, 2) or (weight.ndim == 1 and bias is not None):
        raise RuntimeError(
            "linear(): input must have at least one dimension and weight two (one is enough without a bias), and their shapes "
            f"are {list(input.shape)} and {list(weight.shape)}"
        )
    if input.shape[-1] != weight.shape[-1]:
        raise RuntimeError(
            "linear(): input and weight must agree in their last length, and their shapes are "
            f"{list(input.shape)} and {list(weight.shape)}"
        )
    if bias is None:
        return matmul(input, t(weight))
    if weight.ndim == 2 and bias.ndim and bias.shape[-1] not in (1, weight.shape[0]):
        raise RuntimeError(
            f"linear(): bias of shape {list(bias.shape)} does not broadcast to the {weight.shape[0]} rows of weight"
        )
    if input.ndim == 2:
        return addmm(bias, input, t(weight))
    if bias.ndim > input.ndim:
        raise RuntimeError(
            f"linear(): bias of shape {list(bias.shape)} has more dimensions than the result for an input of {list(input.shape)}"
        )
    if bias.ndim > 1:
        return add(matmul(input, t(weight)), bias)
    # the leading dimensions as one, so that the picture has one node for product and bias
    rows = reshape(input, (math.prod(input.shape[:-1]), input.shape[-1]))
    return reshape(addmm(bias, rows, t(weight)), (*input.shape[:-1], weight.shape[0]))


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """``input`` with a number put at its ends.

    Args:
        input: of any shape.
        pad: how many elements in front of and behind the last dimension, then the one before it, and so on; a negative number
            takes elements away.
        mode: ``"constant"``; PyTorch's others are not supported.
        value: the number. Default: 0.

    Raises:
        NotImplementedError: another mode.
        RuntimeError: ``pad`` is not made of pairs, has more of them than there are dimensions, or takes away too much.
    """
    if not isinstance(input, Tensor):
        raise TypeError(f"pad(): input must be a tensor, not {type(input).__name__}")
    if mode != "constant":
        raise NotImplementedError(f"pad(): mode must be 'constant', not {mode!r}")
    widths = list(map(index, pad))
    if len(widths) % 2 or len(widths) > 2 * input.ndim:
        raise RuntimeError(
            f"pad(): pad must hold a pair of integers for each of at most {input.ndim} dimensions, the last first, not {widths}"
        )
    pairs = [(0, 0)] * (input.ndim - len(widths) // 2)
    pairs += [(widths[i], widths[i + 1]) for i in range(len(widths) - 2, -1, -2)]
    for n, (before, behind) in zip(input.shape, pairs, strict=True):
        if n + before + behind < 0 or n + min(before, 0) + min(behind, 0) < 0:
            raise RuntimeError(f"pad(): {before} and {behind} take more away than the {n} elements of a dimension")
    return constant_pad(input, tuple(pairs), 0.0 if value is None else value)


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Tensor:
    """``input / max(‖input‖ₚ, eps)``, the norm taken along ``dim``.

    Args:
        input: floating-point numbers.
        p: of the norm; see ``linalg.vector_norm``.
        dim: one dimension or several.
        eps: the least divisor.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: the elements are no floating-point numbers.
    """
    return div(input, clamp_min(reduce.norm(input, p, dim, True), eps))


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along ``dim``: ``Σ x1·x2 / (max(‖x1‖, eps) · max(‖x2‖, eps))``.

    Args:
        x1: floating-point numbers.
        x2: the same; it broadcasts with ``x1``.
        dim: of the broadcast shape.
        eps: the least length that is divided by. The gradient passes as if it had not been raised.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: the shapes do not broadcast, or the elements are no floating-point numbers.
    """
    x1, x2 = broadcast_tensors(x1, x2)
    directions = (div(x, at_least(reduce.norm(x, 2, dim, True), eps)) for x in (x1, x2))
    return reduce.sum(mul(*directions), dim)


def _along_some_dim(compute: Callable[..., Tensor], formula: str) -> Callable[..., Tensor]:
    name = compute.__name__

    def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
        if dim is None:
            dim = 0 if input.ndim in (0, 1, 3) else 1
            warnings.warn(
                f"{name}(): give dim=; the choice of {dim} is a guess from old times", UserWarning, stacklevel=2
            )
        return compute(input, dim, dtype=dtype)

    softmax.__name__ = softmax.__qualname__ = name
    softmax.__doc__ = f"""``{formula}`` along ``dim``, without overflow.

    Args:
        input: of any shape.
        dim: the dimension; without it 0, or 1 where there are two or four dimensions, with a warning.
        dtype: convert to it before.
    """
    return softmax


softmax = _along_some_dim(reduce.softmax, "exp(input) / Σ exp(input)")
log_softmax = _along_some_dim(reduce.log_softmax, "input − log Σ exp(input)")
