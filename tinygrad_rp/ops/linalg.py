"""Linear algebra: the matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.operation import example, operation, public
from tinygrad_rp.tensor import Tensor

__all__ = ["bmm", "dot", "matmul", "mm", "mv"]


def _product(x: Any, y: Any) -> Any:
    if x.dtype != y.dtype:
        raise RuntimeError(f"matmul(): the tensors must have the same dtype, and these have {x.dtype} and {y.dtype}")
    if x.ndim == 0 or y.ndim == 0:
        raise RuntimeError("matmul(): both tensors must have at least one dimension")
    rows = y.shape[-2] if y.ndim > 1 else y.shape[0]
    if x.shape[-1] != rows:
        raise RuntimeError(
            f"matmul(): tensors of shape {list(x.shape)} and {list(y.shape)} do not fit: the first has "
            f"{x.shape[-1]} columns, and the second {rows} rows"
        )
    return np.matmul(x, y)


def _columns(g: Any, x_ndim: int, y_ndim: int) -> Any:
    """The gradient as the matrices that it would be if vectors were matrices of one row or column."""
    if y_ndim == 1:
        g = np.expand_dims(g, -1)
    return np.expand_dims(g, -2) if x_ndim == 1 else g


def _for_left(g: Any, x_shape: tuple[int, ...], y: Any) -> Any:
    g = _columns(g, len(x_shape), y.ndim)
    y = np.expand_dims(y, -1) if y.ndim == 1 else y
    product = np.matmul(g, np.swapaxes(y, -1, -2))
    return np.squeeze(product, -2) if len(x_shape) == 1 else product


def _for_right(g: Any, x: Any, y_shape: tuple[int, ...]) -> Any:
    g = _columns(g, x.ndim, len(y_shape))
    x = np.expand_dims(x, -2) if x.ndim == 1 else x
    product = np.matmul(np.swapaxes(x, -1, -2), g)
    return np.squeeze(product, -1) if len(y_shape) == 1 else product


def _declare(name: str, node: str, *shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> Any:
    return operation(
        name,
        _product,
        "x @ y",
        signature="input, other",
        inputs=2,
        x=_for_left,
        y=_for_right,
        node=node,
        title="matmul",
        method=False,
        examples=[example(*pair) for pair in shapes],
    )


_dot = _declare("dot", "DotBackward0", ((3,), (3,)))
_mv = _declare("mv", "MvBackward0", ((2, 3), (3,)))
_mm = _declare("mm", "MmBackward0", ((2, 3), (3, 4)), ((0, 3), (3, 2)))
_bmm = _declare(
    "bmm",
    "BmmBackward0",
    ((2, 3, 4), (2, 4, 2)),
    ((3, 4), (2, 4, 2)),
    ((3,), (2, 3, 2)),
    ((2, 2, 3), (3,)),
    ((3,), (3, 2)),
)


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product. Vectors are taken as a row on the left and a column on the right; leading dimensions broadcast.

    Args:
        input: of shape (…, n, m) or (m,).
        other: of shape (…, m, p) or (m,).

    Raises:
        RuntimeError: the shapes do not fit, or the dtypes differ.
    """
    pair = (getattr(input, "ndim", None), getattr(other, "ndim", None))
    if pair == (2, 2):
        return _mm(input, other)
    return _dot(input, other) if pair == (1, 1) else _mv(input, other) if pair == (2, 1) else _bmm(input, other)


def _checked(name: str, compute: Any, *ndims: int) -> Any:
    def product(input: Tensor, other: Tensor) -> Tensor:
        found = (input.ndim, other.ndim)
        if found != ndims:
            raise RuntimeError(
                f"{name}() takes tensors of {ndims[0]} and {ndims[1]} dimensions, not of {found[0]} and {found[1]}"
            )
        return compute(input, other)

    product.__name__ = product.__qualname__ = name
    product.__doc__ = f"The product of a tensor of {ndims[0]} dimensions and one of {ndims[1]}."
    return public(product)


mm = _checked("mm", _mm, 2, 2)
mv = _checked("mv", _mv, 2, 1)
dot = _checked("dot", _dot, 1, 1)
bmm = _checked("bmm", _bmm, 3, 3)
public(matmul, numpy=np.matmul)
public(matmul, name="__matmul__")
public(lambda self, other: matmul(other, self), name="__rmatmul__")
