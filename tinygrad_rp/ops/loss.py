"""Losses that are one node: each with its own formula and derivatives, and the reduction with it.

The public functions are in `tinygrad_rp.nn.loss`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.operation import SAME, either, elementwise, example, operation
from tinygrad_rp.ops.elementwise import sigmoid
from tinygrad_rp.ops.index import put_along
from tinygrad_rp.tensor import Tensor

__all__: list[str] = []

UNIT = (0.0, 1.0)


def _reduced(values: Any, reduction: str) -> Any:
    if reduction == "none":
        return values
    total = np.add.reduce(values, axis=None)
    return total / values.size if reduction == "mean" else total


def _each(g: Any, shape: tuple[int, ...], reduction: str) -> Any:
    """The gradient of each element, of which the reduced value has one."""
    return g / math.prod(shape) if reduction == "mean" else g


def _bare(x: Any) -> Any:
    return x._array if isinstance(x, Tensor) else x


_PAIRS = [
    example((2, 3), (2, 3), reduction="mean"),
    example((3,), (3,), reduction="sum"),
    example((3,), (3,), reduction="none"),
    example((), (), reduction="mean"),
    example((0,), (0,), reduction="sum"),
]

# -------------------------------------------------------------------------------------------------------- of distances

mse = operation(
    "mse_loss",
    lambda x, y, reduction: _reduced((x - y) * (x - y), reduction),
    "(x − y)²",
    signature="input, target, reduction",
    inputs=2,
    x=lambda g, x, y, x_shape, reduction: _each(g, x_shape, reduction) * (2 * (x - y)),
    y=lambda g, x, y, x_shape, reduction: _each(g, x_shape, reduction) * (2 * (y - x)),
    kernel="pointwise",
    method=False,
    examples=_PAIRS,
)


def _rounded(x: Any, y: Any, width: float, inner: float) -> Any:
    """A parabola within the width, and lines beyond; ``inner`` is the curvature."""
    distance = np.abs(x - y)
    return np.where(distance < width, 0.5 * inner * distance * distance, inner * width * (distance - 0.5 * width))


def _slope(x: Any, y: Any, width: float, inner: float) -> Any:
    difference = x - y
    bare = _bare(difference)
    beyond = np.greater_equal(np.abs(bare), width)
    if isinstance(beyond, np.generic):  # of a tensor without dimensions; where() chooses by an array
        beyond = np.asarray(beyond)
    return np.where(beyond, (inner * width * np.sign(bare)).astype(bare.dtype), inner * difference)


def _declare_rounded(name: str, node: str, parameter: str, curvature: Any, formula: str) -> Any:
    return operation(
        name,
        lambda x, y, reduction, width: _reduced(_rounded(x, y, width, curvature(width)), reduction),
        formula,
        signature=f"input, target, reduction, {parameter}",
        inputs=2,
        x=lambda g, x, y, x_shape, reduction, width: (
            _each(g, x_shape, reduction) * _slope(x, y, width, curvature(width))
        ),
        y=lambda g, x, y, x_shape, reduction, width: (
            -_each(g, x_shape, reduction) * _slope(x, y, width, curvature(width))
        ),
        node=node,
        kernel="pointwise",
        method=False,
        kinks=f"|x − y| = {parameter}, in the second derivative",
        examples=[
            example((2, 3), (2, 3), reduction="mean", **{parameter: 1.0}),
            example((5,), (5,), reduction="sum", **{parameter: 0.5}),
            example((5,), (5,), reduction="none", **{parameter: 2.0}),
        ],
    )


smooth_l1 = _declare_rounded(
    "smooth_l1_loss",
    "SmoothL1LossBackward0",
    "beta",
    lambda width: 1 / width,
    "(x − y)² / 2β where |x − y| < β, else |x − y| − β/2",
)
# Huber (1964), "Robust estimation of a location parameter"
huber = _declare_rounded(
    "huber_loss",
    "HuberLossBackward0",
    "delta",
    lambda width: 1.0,
    "(x − y)² / 2 where |x − y| < δ, else δ·(|x − y| − δ/2)",
)

# ---------------------------------------------------------------------------------------------------- of probabilities


def _weighted(values: Any, weight: Any) -> Any:
    return values if weight is None else values * weight


# 10⁻¹² as a float32, in both dtypes: so PyTorch has it
_LEAST_DIVISOR = float(np.float32(1e-12))


def _entropy(x: Any, y: Any, weight: Any, reduction: str) -> Any:
    # a logarithm of 0 counts as −100, so that the loss stays finite
    values = (y - 1) * np.maximum(np.log1p(-x), -100) - y * np.maximum(np.log(x), -100)
    return _reduced(_weighted(values, weight), reduction)


_entropy_slope = elementwise(
    "binary_cross_entropy_slope",
    lambda x, y: (x - y) / np.maximum((1 - x) * x, _LEAST_DIVISOR),
    "(x − y) / x(1 − x)",
    # not that of the held divisor, but that of the loss itself, kept finite at 0 and 1, as PyTorch has it
    x=lambda g, x, y: g * ((x * x - 2 * x * y + y) / np.square((x + 1e-12) * (1 - x + 1e-12))),
    y=lambda g, x: -g / np.maximum((1 - x) * x, 1e-12),
    method=False,
    domain=UNIT,
    kinks="x = 0 and x = 1, where a divisor counts as 10⁻¹²",
)
binary_cross_entropy = operation(
    "binary_cross_entropy",
    lambda x, y, weight, reduction: _entropy(x, y, weight, reduction),
    "−w·(y·log x + (1 − y)·log(1 − x))",
    signature="input, target, weight, reduction",
    inputs=2,
    x=lambda g, x, y, x_shape, weight, reduction: (
        _weighted(_each(g, x_shape, reduction), weight) * either(_entropy_slope, x, y)
    ),
    y=lambda g, x, x_shape, weight, reduction: (
        _weighted(_each(g, x_shape, reduction), weight) * (np.log1p(-x) - np.log(x))
    ),
    kernel="pointwise",
    method=False,
    domain=UNIT,
    kinks="x = 0 and x = 1, where a logarithm counts as −100 and a divisor as 10⁻¹²",
    examples=[
        example((2, 3), (2, 3), weight=None, reduction="mean"),
        example((3,), (3,), weight=np.array([1.0, 2.0, 0.5]), reduction="none"),
        example((3,), (3,), weight=np.array(2.0), reduction="sum"),
    ],
)


def _softplus_of_minus(x: Any) -> Any:
    return np.maximum(-x, 0) + np.log1p(np.exp(-np.abs(x)))


def _logits_entropy(x: Any, y: Any, weight: Any, positive: Any, reduction: str) -> Any:
    part = _softplus_of_minus(x)
    values = _weighted((1 - y) * x + _weighted(part, _emphasis(y, positive)), weight)
    return _reduced(values.astype(y.dtype, copy=False), reduction)  # PyTorch's takes the dtype of the target


def _emphasis(y: Any, positive: Any) -> Any:
    return None if positive is None else (positive - 1) * y + 1


def _logits_back(g: Any, x: Any, y: Any, positive: Any) -> Any:
    if positive is None:
        return g * (either(sigmoid, x) - y)
    return g * ((positive * y + (1 - y)) * either(sigmoid, x) - positive * y)


binary_cross_entropy_with_logits = operation(
    "binary_cross_entropy_with_logits",
    _logits_entropy,
    "−w·(p·y·log σ(x) + (1 − y)·log(1 − σ(x)))",
    signature="input, target, weight, pos_weight, reduction",
    inputs=2,
    x=lambda g, x, y, x_shape, weight, positive, reduction: _logits_back(
        _weighted(_each(g, x_shape, reduction), weight), x, y, positive
    ),
    y=lambda g, x, x_shape, weight, positive, reduction: (
        _weighted(_each(g, x_shape, reduction), weight)
        * (-x if positive is None else (positive - 1) * _softplus_of_minus(x) - x)
    ),
    kernel="pointwise",
    method=False,
    examples=[
        example((2, 3), (2, 3), weight=None, pos_weight=None, reduction="mean"),
        example(
            (2, 3), (2, 3), weight=np.array([1.0, 2.0, 0.5]), pos_weight=np.array([2.0, 1.0, 3.0]), reduction="none"
        ),
        example((3,), (3,), weight=None, pos_weight=np.array(2.0), reduction="sum"),
    ],
)


# ---------------------------------------------------------------------------------------------------------- of classes


def _chosen(x: Any, indices: Any, weight: Any, ignored: Any, dim: int, reduction: str) -> Any:
    values = np.where(ignored, 0, -np.take_along_axis(x, indices, dim) * weight).astype(x.dtype)
    if reduction == "none":
        return np.squeeze(values, dim)
    total = np.add.reduce(values, axis=None)
    return total / np.add.reduce(weight, axis=None) if reduction == "mean" else total


def _chosen_back(
    g: Any, shape: tuple[int, ...], indices: Any, weight: Any, ignored: Any, dim: int, reduction: str
) -> Any:
    g = np.expand_dims(g, dim) if reduction == "none" else g
    share = weight / np.add.reduce(weight, axis=None) if reduction == "mean" else weight
    return either(put_along, np.where(ignored, 0.0, -g * share), indices, dim, shape)


def _declare_nll(name: str, node: str, *shapes: tuple[int, ...]) -> Any:
    def cases(shape: tuple[int, ...], dim: int, reduction: str) -> Any:
        one = tuple(1 if i == dim else n for i, n in enumerate(shape))
        count = math.prod(one)
        return example(
            shape,
            indices=(np.arange(count) % shape[dim]).reshape(one),
            weight=np.arange(1.0, count + 1).reshape(one) % 3,
            ignored=(np.arange(count) % 3 == 0).reshape(one) if count > 1 else np.zeros(one, np.bool_),
            dim=dim,
            reduction=reduction,
        )

    return operation(
        name,
        _chosen,
        "−w·x at the index of the class",
        signature="input, indices, weight, ignored, dim, reduction",
        inputs=1,
        x=lambda g, x_shape, indices, weight, ignored, dim, reduction: _chosen_back(
            g, x_shape, indices, weight, ignored, dim, reduction
        ),
        node=node,
        title="nll_loss",
        method=False,
        examples=[cases(s, min(len(s) - 1, 1), reduction) for s in shapes for reduction in ("mean", "sum", "none")],
    )


nll = _declare_nll("nll_loss", "NllLossBackward0", (4, 3), (3,))
nll_2d = _declare_nll("nll_loss_2d", "NllLoss2DBackward0", (2, 3, 2))

# -------------------------------------------------------------------------------------------------- parts of the others

at_least = operation(
    "at_least",
    lambda x, least: np.maximum(x, least),
    "x, raised to a least value; the gradient passes as if it had not been",
    signature="input, least",
    x=SAME,
    node="CloneBackward0",
    method=False,
    examples=[example((3,), least=-5.0)],
)
