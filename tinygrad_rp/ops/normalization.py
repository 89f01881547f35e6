"""Normalisation over the last dimensions, and rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import numpy as np

from tinygrad_rp.operation import either, example, operation
from tinygrad_rp.tensor import Tensor, wrap

__all__ = ["layer_norm"]


def _scale(x: Any, dims: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """The deviations from the mean, and what they are divided by."""
    deviation = x - np.mean(x, axis=dims, keepdims=True)
    return deviation, np.sqrt(np.mean(deviation * deviation, axis=dims, keepdims=True) + eps)


def _normalised(x: Any, dims: tuple[int, ...], eps: float) -> Any:
    deviation, scale = _scale(x, dims, eps)
    return deviation / scale


def _normalised_back(g: Any, x: Any, w: Any, dims: tuple[int, ...], eps: float) -> Any:
    deviation, scale = _scale(x, dims, eps)
    g, z = g * w, deviation / scale
    return (g - np.mean(g, axis=dims, keepdims=True) - z * np.mean(g * z, axis=dims, keepdims=True)) / scale


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
        input: of shape (…, *normalized_shape).
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
    """The rows of ``weight`` at the given indices, of shape (*input.shape, columns).

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
