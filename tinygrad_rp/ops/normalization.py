"""Normalisation over the last dimensions or over the batch, and rows of a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import numpy as np

from tinygrad_rp.in_place import write
from tinygrad_rp.kernels.choice import sum_over
from tinygrad_rp.operation import either, example, operation
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["layer_norm"]


def _mean(x: Any, dims: tuple[int, ...]) -> Any:
    return sum_over(x, dims, True) / math.prod(x.shape[d] for d in dims)


def _scale(x: Any, dims: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """The deviations from the mean, and what they are divided by."""
    deviation = x - _mean(x, dims)
    return deviation, np.sqrt(_mean(deviation * deviation, dims) + eps)


def _normalised(x: Any, dims: tuple[int, ...], eps: float) -> Any:
    deviation, scale = _scale(x, dims, eps)
    return deviation / scale


def _normalised_back(g: Any, x: Any, w: Any, dims: tuple[int, ...], eps: float) -> Any:
    deviation, scale = _scale(x, dims, eps)
    g, z = g * w, deviation / scale
    return (g - _mean(g, dims) - z * _mean(g * z, dims)) / scale


_layer_norm = operation(
    "native_layer_norm",
    lambda x, w, b, dims, eps: _normalised(x, dims, eps) * w + b,
    "(x − mean) / √(var + ε) · w + b",
    signature="input, weight, bias, dims, eps",
    inputs=3,
    # Ba, Kiros and Hinton (2016), "Layer normalization", eq. 4
    x=lambda g, x, w, dims, eps: _normalised_back(g, x, w, dims, eps),
    w=lambda g, x, dims, eps: g * _normalised(x, dims, eps),
    b=lambda g: g,
    title="layer_norm",
    method=False,
    examples=[
        example((2, 3), (3,), (3,), dims=(-1,), eps=1e-5),
        example((2, 3, 2), (3, 2), (3, 2), dims=(-2, -1), eps=1e-3),
        example((0, 3), (3,), (3,), dims=(-1,), eps=1e-5),
    ],
)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """``(input − mean) / √(var + eps) · weight + bias``, with mean and variance over the last dimensions.

    Args:
        input: of shape ``(…, *normalized_shape)``.
        normalized_shape: the lengths of the last dimensions, which are normalised together.
        weight: of shape ``normalized_shape``; 1 where it is None.
        bias: of shape ``normalized_shape``; 0 where it is None.
        eps: added to the variance.

    Raises:
        RuntimeError: the shapes or dtypes do not fit.
    """
    if not isinstance(input, Tensor):
        raise TypeError(f"layer_norm(): input must be a tensor, not {type(input).__name__}")
    if not isinstance(normalized_shape, list | tuple):
        raise TypeError(f"layer_norm(): normalized_shape must be a tuple of integers, not {normalized_shape!r}")
    shape = tuple(map(index, normalized_shape))
    if not shape or input.shape[-len(shape) :] != shape:
        raise RuntimeError(
            f"layer_norm(): the input, of shape {list(input.shape)}, must end in normalized_shape={list(shape)}, which must have "
            "at least one dimension"
        )
    if input.dtype.kind != "f":
        raise NotImplementedError(f"layer_norm() is for floating-point tensors, not {input.dtype}; use float() before")
    for name, value in (("weight", weight), ("bias", bias)):
        if value is None:
            continue
        if not isinstance(value, Tensor):
            raise TypeError(f"layer_norm(): {name} must be a tensor or None, not {type(value).__name__}")
        if value.shape != shape:
            raise RuntimeError(f"layer_norm(): {name} must have shape {list(shape)}, and has {list(value.shape)}")
        if value.dtype != input.dtype:
            raise RuntimeError(f"layer_norm(): {name} must have the input's dtype {input.dtype}, not {value.dtype}")
    return _layer_norm(
        input,
        wrap(np.ones(shape, input.dtype)) if weight is None else weight,
        wrap(np.zeros(shape, input.dtype)) if bias is None else bias,
        tuple(range(-len(shape), 0)),
        float(eps),
    )


# ----------------------------------------------------------------------------------------------------------- the batch


def _others(x: Any) -> tuple[int, ...]:
    """All dimensions but that of the channels, the second."""
    return (0, *range(2, len(x.shape)))


def _by_channel(values: Any, x: Any) -> Any:
    """One number a channel, in a shape that broadcasts to that of x."""
    return np.reshape(values, (-1,) + (1,) * (len(x.shape) - 2))


def _standardised(x: Any, mean: Any, var: Any, eps: float) -> Any:
    """By the mean and the variance of each channel: those that are given, or else its own."""
    if mean is None:
        return _normalised(x, _others(x), eps)
    return (x - _by_channel(mean, x)) / np.sqrt(_by_channel(var, x) + eps)


def _standardised_back(g: Any, x: Any, w: Any, mean: Any, var: Any, eps: float) -> Any:
    if mean is None:
        return _normalised_back(g, x, _by_channel(w, x), _others(x), eps)
    return g * _by_channel(w, x) / np.sqrt(_by_channel(var, x) + eps)


_CHANNELS = {"mean": None, "var": None, "eps": 1e-5}
_GIVEN = {"mean": np.array([0.5, -1.0, 0.0]), "var": np.array([2.0, 0.5, 0.0]), "eps": 1e-3}

_batch_norm = operation(
    "batch_normalization",
    lambda x, w, b, mean, var, eps: _standardised(x, mean, var, eps) * _by_channel(w, x) + _by_channel(b, x),
    "(x − mean) / √(var + ε) · w + b of each channel",
    signature="input, weight, bias, mean, var, eps",
    inputs=3,
    # Ioffe and Szegedy (2015), "Batch normalization", section 3
    x=lambda g, x, w, mean, var, eps: _standardised_back(g, x, w, mean, var, eps),
    w=lambda g, x, mean, var, eps: sum_over(g * _standardised(x, mean, var, eps), _others(x), False),
    b=lambda g: sum_over(g, _others(g), False),
    node="NativeBatchNormBackward0",
    method=False,
    examples=[
        example((4, 3), (3,), (3,), **_CHANNELS),
        example((2, 3, 2, 2), (3,), (3,), **_CHANNELS),
        example((4, 3), (3,), (3,), **_GIVEN),
        example((2, 3, 2), (3,), (3,), **_GIVEN),
    ],
)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``(input − mean) / √(var + eps) · weight + bias``, with mean and variance of each channel.

    Args:
        input: of shape (batch, channels, …).
        running_mean: of shape (channels,). In training it is changed in place, to ``(1 − momentum) · running_mean + momentum ·
            mean``; otherwise it is the mean.
        running_var: the same of the variance, of which the running one is the unbiased estimate, with n − 1.
        weight: of shape (channels,); 1 where it is None.
        bias: of shape (channels,); 0 where it is None.
        training: whether mean and variance are those of ``input``, over all dimensions but the second.
        momentum: the share of the new number in a running one.
        eps: added to the variance.

    Raises:
        NotImplementedError: the input holds no floating-point numbers.
        RuntimeError: shapes or dtypes do not fit, or there are no running statistics where ``training`` is False.
        ValueError: in training, there is only one number a channel, which has no variance, or ``eps`` is not positive.
    """
    name = "batch_norm"
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): input must be a tensor, not {type(input).__name__}")
    if input.ndim < 2:
        raise RuntimeError(
            f"{name}(): input must have at least two dimensions, those of the batch and the channels, and its shape is "
            f"{list(input.shape)}"
        )
    if input.dtype.kind != "f":
        raise NotImplementedError(f"{name}() is for floating-point tensors, not {input.dtype}; use float() before")
    channels = input.shape[1]
    given = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for argument, value in given.items():
        if value is None:
            if not training and argument.startswith("running"):
                raise RuntimeError(f"{name}(): {argument} must be given where training is False")
            continue
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}(): {argument} must be a tensor or None, not {type(value).__name__}")
        if value.shape != (channels,):
            raise RuntimeError(f"{name}(): {argument} must have shape {[channels]}, and has {list(value.shape)}")
        if value.dtype != input.dtype:
            raise RuntimeError(f"{name}(): {argument} must have the input's dtype {input.dtype}, not {value.dtype}")
    if any(running is not None and running.requires_grad for running in (running_mean, running_var)):
        raise RuntimeError(f"{name}() has no derivative by running_mean or running_var; detach() them")
    if training:
        if not eps > 0:
            raise ValueError(f"{name}(): in training eps must be positive, and is {eps}")
        if input.numel() <= channels:
            raise ValueError(
                f"{name}(): in training there must be more than one value a channel, and the input has shape {list(input.shape)}"
            )
    out: Tensor = _batch_norm(
        input,
        wrap(np.ones(channels, input.dtype)) if weight is None else weight,
        wrap(np.zeros(channels, input.dtype)) if bias is None else bias,
        None if training or running_mean is None else running_mean._array,
        None if training or running_var is None else running_var._array,
        float(eps),
    )
    if training:
        _run_along(input._array, running_mean, running_var, momentum)
    return out


def _run_along(x: Any, running_mean: Tensor | None, running_var: Tensor | None, momentum: float) -> None:
    """Bring the running statistics nearer to those of x."""
    dims = _others(x)
    mean = _mean(x, dims)
    if running_mean is not None:
        _approach(running_mean, mean.reshape(-1), momentum)
    if running_var is not None:
        squares = sum_over((x - mean) ** 2, dims, False)
        _approach(running_var, squares / (x.size // x.shape[1] - 1), momentum)


def _approach(running: Tensor, new: Any, momentum: float) -> None:
    write(running, (1 - momentum) * running._array + momentum * new, "batch_norm()")


# ----------------------------------------------------------------------------------------------------------- embedding


def _put_rows(x: Any, indices: Any, padding: int, rows: int) -> Any:
    out = np.zeros((rows, x.shape[-1]), x.dtype)
    np.add.at(out, indices, x)
    if padding >= 0:
        out[padding] = 0
    return out


def _rows_but(x: Any, indices: Any, padding: int) -> Any:
    rows = x[indices]
    if padding >= 0:
        rows[indices == padding] = 0
    return rows


_embedding = operation(
    "embedding",
    lambda x, indices, padding: x[indices],
    "rows of a table",
    signature="weight, indices, padding_idx",
    inputs=1,
    x=lambda g, x_shape, indices, padding: either(_embedding_dense, g, indices, padding, x_shape[0]),
    method=False,
    examples=[
        example((3, 2), indices=np.array([[0, 2], [2, 2]]), padding_idx=-1),
        example((3, 2), indices=np.array(1), padding_idx=-1),
        example((3, 2), indices=np.zeros(0, np.int64), padding_idx=-1),
    ],
)
_embedding_dense: Callable[..., Tensor] = operation(
    "embedding_dense",
    _put_rows,
    "a table to whose rows x was added, but for the row of padding",
    signature="input, indices, padding_idx, rows",
    x=lambda g, indices, padding: either(_embedding_rows, g, indices, padding),
    node="EmbeddingDenseBackwardBackward0",
    method=False,
    examples=[example((2, 2, 2), indices=np.array([[0, 2], [2, 1]]), padding_idx=1, rows=3)],
)
_embedding_rows: Callable[..., Tensor] = operation(
    "embedding_rows",
    _rows_but,
    "rows of a table, zeros for the row of padding",
    signature="weight, indices, padding_idx",
    x=lambda g, x_shape, indices, padding: either(_embedding_dense, g, indices, padding, x_shape[0]),
    node="EmbeddingBackward0",
    method=False,
    examples=[example((3, 2), indices=np.array([[0, 2], [2, 1]]), padding_idx=1)],
)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of ``weight`` at the given indices, of shape ``(*input.shape, columns)``.

    Args:
        input: indices of rows, int64 or int32.
        weight: the table, of shape (rows, columns).
        padding_idx: the row to which no gradient goes; a negative one is counted from the end.
        max_norm: not supported, nor are ``norm_type``, ``scale_grad_by_freq`` and ``sparse``.

    Raises:
        AssertionError: ``padding_idx`` is none of the rows.
        IndexError: an index is none of the rows.
        NotImplementedError: an argument is not supported.
        RuntimeError: the indices are no integers, or ``weight`` has not two dimensions.
    """
    for name, value in (("input", input), ("weight", weight)):
        if not isinstance(value, Tensor):
            raise TypeError(f"embedding(): {name} must be a tensor, not {type(value).__name__}")
    if max_norm is not None or scale_grad_by_freq or sparse:
        raise NotImplementedError(
            "embedding(): max_norm (it changes weight in place), scale_grad_by_freq and sparse are not supported; leave them out"
        )
    if weight.ndim != 2:
        raise RuntimeError(f"embedding(): weight must have two dimensions, and its shape is {list(weight.shape)}")
    rows = weight.shape[0]
    padding = -1
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise AssertionError(f"embedding(): padding_idx must be one of the {rows} rows, and is {padding_idx}")
        padding = padding_idx % rows
    indices = input._array
    if indices.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"embedding(): input must hold int64 or int32 indices, not {indices.dtype}")
    if indices.size and not (0 <= indices.min() and indices.max() < rows):
        raise IndexError(
            f"embedding(): the indices must lie in [0, {rows - 1}], and reach from {indices.min()} to {indices.max()}"
        )
    return _embedding(weight, indices, padding)
