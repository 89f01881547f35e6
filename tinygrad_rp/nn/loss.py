"""Losses, under the names that PyTorch gives them in ``nn.functional``.

``reduction`` is ``"mean"``, ``"sum"`` or ``"none"`` throughout. ``size_average`` and ``reduce`` are its old spelling, and warn.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tinygrad_rp.operation import result_dtype
from tinygrad_rp.ops import loss
from tinygrad_rp.ops.elementwise import abs as absolute
from tinygrad_rp.ops.elementwise import div, exp, log, mul, neg, square, sub, where, xlogy
from tinygrad_rp.ops.reduce import log_softmax, mean
from tinygrad_rp.ops.reduce import sum as total
from tinygrad_rp.ops.shape import broadcast_to, reshape, unsqueeze
from tinygrad_rp.tensor import Tensor, wrap

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "gaussian_nll_loss", "huber_loss", "kl_div",
    "l1_loss", "mse_loss", "nll_loss", "poisson_nll_loss", "smooth_l1_loss",
]  # fmt: skip


def reduction_of(name: str, reduction: str, size_average: bool | None, reduce: bool | None, others: str = "") -> str:
    """
    Raises:
        ValueError: there is no such reduction.
    """
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
        warnings.warn(
            f"{name}(): size_average and reduce are old names; write reduction={reduction!r}", UserWarning, stacklevel=3
        )
    if reduction not in ("mean", "sum", "none", others or "mean"):
        raise ValueError(f"{name}(): reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    return reduction


def _reduced(values: Tensor, reduction: str) -> Tensor:
    return mean(values) if reduction == "mean" else total(values) if reduction == "sum" else values


def _need_tensors(name: str, **arguments: Any) -> None:
    for argument, value in arguments.items():
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name}(): {argument} must be a tensor, not {type(value).__name__}; make one with tensor(…)"
            )


def _need_floats(name: str, *tensors: Tensor) -> None:
    for tensor in tensors:
        if tensor.dtype.kind != "f":
            raise NotImplementedError(f"{name}() is for floating-point tensors, not {tensor.dtype}; use float() before")


def _matched(name: str, input: Tensor, target: Tensor, one_dtype: bool = True) -> tuple[Tensor, Tensor]:
    """Both in one shape, and in one dtype.

    Raises:
        RuntimeError: they do not broadcast.
    """
    _need_tensors(name, input=input, target=target)
    if input.shape != target.shape:
        warnings.warn(
            f"{name}(): input and target have different shapes, {list(input.shape)} and {list(target.shape)}; broadcasting them "
            "is seldom what is meant",
            UserWarning,
            stacklevel=3,
        )
        try:
            shape = np.broadcast_shapes(input.shape, target.shape)
        except ValueError:
            raise RuntimeError(
                f"{name}(): input and target of shape {list(input.shape)} and {list(target.shape)} do not broadcast"
            ) from None
        input = input if input.shape == shape else broadcast_to(input, shape)
        target = target if target.shape == shape else broadcast_to(target, shape)
    if one_dtype:
        dtype = result_dtype([input._array, target._array])
        input, target = input.to(dtype), target.to(dtype)
    return input, target


def _weighted(name: str, values: Tensor, weight: Tensor, reduction: str, normalise: bool) -> Tensor:
    """
    Raises:
        ValueError: the weight has another shape.
    """
    _need_tensors(name, weight=weight)
    if weight.shape != values.shape:
        raise ValueError(
            f"{name}(): weight must have the input's shape {list(values.shape)}, and has {list(weight.shape)}"
        )
    values = mul(values, weight)
    if reduction == "mean" and normalise:
        return div(total(values), total(weight))
    return _reduced(values, reduction)


# ----------------------------------------------------------------------------------------------------------- distances


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The mean of ``(input − target)²``; with ``weight``, of that shape, the weighted mean.

    Raises:
        NotImplementedError: neither holds floating-point numbers.
        RuntimeError: the shapes do not broadcast.
        ValueError: there is no such reduction, or ``weight`` has another shape.
    """
    reduction = reduction_of("mse_loss", reduction, size_average, reduce)
    input, target = _matched("mse_loss", input, target)
    if weight is not None:
        return _weighted("mse_loss", square(sub(input, target)), weight, reduction, True)
    _need_floats("mse_loss", input)
    return loss.mse(input, target, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The mean of ``|input − target|``; with ``weight``, of that shape, the weighted mean. Errors as for `mse_loss`."""
    reduction = reduction_of("l1_loss", reduction, size_average, reduce)
    input, target = _matched("l1_loss", input, target, one_dtype=False)
    distance = absolute(sub(input, target))
    return _reduced(distance, reduction) if weight is None else _weighted("l1_loss", distance, weight, reduction, True)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """The mean of ``|input − target| − beta/2``, rounded off by a parabola where the distance is below ``beta``.

    Raises:
        NotImplementedError: neither holds floating-point numbers.
        RuntimeError: ``beta`` is negative, or the shapes do not broadcast.
        ValueError: there is no such reduction.
    """
    reduction = reduction_of("smooth_l1_loss", reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss(): beta must not be negative, and is {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    input, target = _matched("smooth_l1_loss", input, target)
    _need_floats("smooth_l1_loss", input)
    return loss.smooth_l1(input, target, reduction, float(beta))


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """The mean of a parabola where the distance is below ``delta``, and of lines beyond (Huber, 1964).

    Args:
        input: of any shape.
        target: of the same shape.
        reduction: how the elements are put together.
        delta: where the parabola ends.
        weight: of the same shape; multiplies the elements before the reduction.

    Raises:
        NotImplementedError: neither holds floating-point numbers.
        RuntimeError: ``delta`` is not positive, or the shapes do not broadcast.
        ValueError: there is no such reduction, or ``weight`` has another shape.
    """
    reduction = reduction_of("huber_loss", reduction, None, None)
    input, target = _matched("huber_loss", input, target)
    _need_floats("huber_loss", input)
    if delta <= 0:
        raise RuntimeError(f"huber_loss(): delta must be positive, and is {delta}")
    if weight is None:
        return loss.huber(input, target, reduction, float(delta))
    return _weighted("huber_loss", loss.huber(input, target, "none", float(delta)), weight, reduction, False)


# ------------------------------------------------------------------------------------------------------- probabilities


def _constant(name: str, argument: str, weight: Tensor | None, shape: tuple[int, ...], dtype: Any) -> Any:
    """A weight as an array.

    Raises:
        RuntimeError: it requires grad, has another dtype, or does not broadcast to the input.
    """
    if weight is None:
        return None
    _need_tensors(name, **{argument: weight})
    if weight.requires_grad:
        raise RuntimeError(f"{name}() has no derivative by {argument}; detach() it")
    try:
        fits = np.broadcast_shapes(weight.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"{name}(): {argument} of shape {list(weight.shape)} does not broadcast to the input's shape {list(shape)}"
        )
    return weight._array.astype(dtype, copy=False)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean of ``−(target · log(input) + (1 − target) · log(1 − input))``; a logarithm of 0 counts as −100.

    Args:
        input: probabilities, in [0, 1].
        target: probabilities, of the same shape and dtype.
        weight: multiplies the elements; it broadcasts to their shape.
        size_average: see ``reduction``.
        reduce: see ``reduction``.
        reduction: how the elements are put together.

    Raises:
        RuntimeError: a probability lies outside [0, 1], the dtypes differ, or ``weight`` requires grad or does not broadcast.
        ValueError: the shapes differ, or there is no such reduction.
    """
    name = "binary_cross_entropy"
    reduction = reduction_of(name, reduction, size_average, reduce)
    _need_tensors(name, input=input, target=target)
    if input.shape != target.shape:
        raise ValueError(
            f"{name}(): input and target must have the same shape, and have {list(input.shape)} and {list(target.shape)}"
        )
    if input.dtype != target.dtype:
        raise RuntimeError(f"{name}(): input and target must have the same dtype, not {input.dtype} and {target.dtype}")
    _need_floats(name, input)
    for argument, array in (("input", input._array), ("target", target._array)):
        if not ((array >= 0) & (array <= 1)).all():
            raise RuntimeError(
                f"{name}(): all elements of {argument} must be probabilities, in [0, 1]"
                + ("; for logits there is binary_cross_entropy_with_logits()" if argument == "input" else "")
            )
    factor = _constant(name, "weight", weight, input.shape, input.dtype)
    return loss.binary_cross_entropy(input, target, factor, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """The binary cross-entropy of ``sigmoid(input)``, computed so that no logarithm of 0 arises.

    Args:
        input: logits.
        target: probabilities, of the same shape. The result has its dtype.
        weight: multiplies the elements; it broadcasts to their shape.
        size_average: see ``reduction``.
        reduce: see ``reduction``.
        reduction: how the elements are put together.
        pos_weight: multiplies the part of the positive class; it broadcasts to the shape.

    Raises:
        RuntimeError: the elements are no floating-point numbers, or a weight requires grad or does not broadcast.
        ValueError: the shapes differ, or there is no such reduction.
    """
    name = "binary_cross_entropy_with_logits"
    reduction = reduction_of(name, reduction, size_average, reduce)
    _need_tensors(name, input=input, target=target)
    if input.shape != target.shape:
        raise ValueError(
            f"{name}(): input and target must have the same shape, and have {list(input.shape)} and {list(target.shape)}"
        )
    _need_floats(name, input, target)
    factor = _constant(name, "weight", weight, input.shape, input.dtype)
    positive = _constant(name, "pos_weight", pos_weight, input.shape, input.dtype)
    return loss.binary_cross_entropy_with_logits(input, target, factor, positive, reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The divergence of Kullback and Leibler, ``target · (log(target) − input)``: how far ``target`` lies from ``exp(input)``.

    Args:
        input: log-probabilities.
        target: probabilities; it broadcasts with ``input``.
        size_average: see ``reduction``.
        reduce: see ``reduction``.
        reduction: how the elements are put together; ``"batchmean"``, the sum divided by the length of the first dimension, is
            the divergence as it is defined, ``"mean"`` a fraction of it.
        log_target: whether ``target`` holds log-probabilities too.

    Raises:
        RuntimeError: the elements are integers, or the shapes do not broadcast.
        ValueError: there is no such reduction.
    """
    reduction = reduction_of("kl_div", reduction, size_average, reduce, "batchmean")
    _need_tensors("kl_div", input=input, target=target)
    if input.dtype.kind != "f" or target.dtype.kind != "f":
        raise RuntimeError(f"kl_div() is for floating-point tensors, not {input.dtype} and {target.dtype}")
    if reduction == "mean":
        warnings.warn(
            "kl_div(): reduction='mean' divides by the number of all elements; 'batchmean' gives the divergence as it is defined",
            UserWarning,
            stacklevel=2,
        )
    try:
        np.broadcast_shapes(input.shape, target.shape)
    except ValueError:
        raise RuntimeError(
            f"kl_div(): input and target of shape {list(input.shape)} and {list(target.shape)} do not broadcast"
        ) from None
    values = mul(exp(target), sub(target, input)) if log_target else sub(xlogy(target, target), mul(target, input))
    if reduction == "batchmean":
        return div(total(values), input.shape[0]) if input.ndim else total(values)
    return _reduced(values, reduction)


# ------------------------------------------------------------------------------------------------------------- classes


def _class_weight(name: str, weight: Tensor | None, classes: int, dtype: Any) -> Any:
    """
    Raises:
        RuntimeError: it requires grad, or its shape or dtype does not fit.
    """
    if weight is None:
        return None
    _need_tensors(name, weight=weight)
    if weight.shape != (classes,):
        raise RuntimeError(
            f"{name}(): weight must hold one number for each of {classes} classes, not {list(weight.shape)}"
        )
    if weight.dtype != dtype:
        raise RuntimeError(f"{name}(): weight must have the input's dtype {dtype}, not {weight.dtype}")
    if weight.requires_grad:
        raise RuntimeError(f"{name}() has no derivative by weight; detach() it")
    return weight._array


def _targets(name: str, input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int) -> Any:
    """Indices, weights, what is ignored, and the dimension of the classes; the first three with length 1 there.

    Raises:
        IndexError: a target is none of the classes.
        RuntimeError: shapes or dtypes do not fit.
        ValueError: the batch sizes differ.
    """
    _need_tensors(name, input=input, target=target)
    shape, found = input.shape, target.shape
    if not shape:
        raise ValueError(f"{name}(): input must have at least one dimension, that of the classes")
    dim = 0 if len(shape) == 1 else 1
    if dim and found[:1] != shape[:1]:
        raise ValueError(
            f"{name}(): input and target have batch sizes {shape[0]} and {list(found[:1])}, which must agree"
        )
    if target.dtype != np.int64 and (target.dtype != np.uint8 or len(shape) > 2):
        raise RuntimeError(f"{name}(): target must hold int64 indices of classes, not {target.dtype}")
    if not dim and found not in ((), (1,)):
        raise ValueError(f"{name}(): for one input the target must be one index, and has shape {list(found)}")
    if dim and found != (shape[0], *shape[2:]):
        raise RuntimeError(f"{name}(): target must have shape {[shape[0], *shape[2:]]}, and has {list(found)}")
    _need_floats(name, input)
    factors = _class_weight(name, weight, shape[dim], input.dtype)
    indices = (
        np.reshape(target._array.astype(np.int64), (1,))
        if not dim
        else np.expand_dims(target._array.astype(np.int64), 1)
    )
    ignored = indices == ignore_index
    wrong = indices[~ignored & ((indices < 0) | (indices >= shape[dim]))]
    if wrong.size:
        raise IndexError(f"{name}(): target {wrong[0]} is none of {shape[dim]} classes")
    indices = np.where(ignored, 0, indices)
    chosen = np.ones(indices.shape, input.dtype) if factors is None else factors[indices]
    return indices, np.where(ignored, 0, chosen).astype(input.dtype), ignored, dim


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The weighted mean of the negative log-probabilities of the classes that ``target`` names.

    Args:
        input: log-probabilities, of shape (classes,), (batch, classes) or (batch, classes, d1, …).
        target: indices of classes, of the shape of ``input`` without the dimension of the classes.
        weight: of each class, of shape (classes,).
        size_average: see ``reduction``.
        ignore_index: the index of targets that do not count.
        reduce: see ``reduction``.
        reduction: how the elements are put together.

    Raises:
        IndexError: a target is none of the classes.
        RuntimeError: shapes or dtypes do not fit, or ``weight`` requires grad.
        ValueError: the batch sizes differ, or there is no such reduction.
    """
    reduction = reduction_of("nll_loss", reduction, size_average, reduce)
    indices, factors, ignored, dim = _targets("nll_loss", input, target, weight, ignore_index)
    compute = loss.nll if input.ndim <= 2 else loss.nll_2d
    return compute(input, indices, factors, ignored, dim, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross-entropy of ``softmax(input)`` and the classes that ``target`` names, or their probabilities.

    Args:
        input: logits, of shape (classes,), (batch, classes) or (batch, classes, d1, …).
        target: indices of classes, of the shape of ``input`` without the dimension of the classes; or probabilities of its shape.
        weight: of each class, of shape (classes,).
        size_average: see ``reduction``.
        ignore_index: the index of targets that do not count.
        reduce: see ``reduction``.
        reduction: how the elements are put together.
        label_smoothing: how much of each target is spread evenly over all classes, in [0, 1].

    Raises:
        IndexError: a target is none of the classes.
        RuntimeError: shapes or dtypes do not fit, or ``label_smoothing`` lies outside [0, 1].
        ValueError: the batch sizes differ, or there is no such reduction.
    """
    name = "cross_entropy"
    reduction = reduction_of(name, reduction, size_average, reduce)
    _need_tensors(name, input=input, target=target)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"{name}(): label_smoothing must lie in [0, 1], and is {label_smoothing}")
    if input.shape == target.shape:
        return _cross_entropy_of_probabilities(input, target, weight, ignore_index, reduction, label_smoothing)
    indices, factors, ignored, dim = _targets(name, input, target, weight, ignore_index)
    logs = log_softmax(input, dim)
    hard = (loss.nll if input.ndim <= 2 else loss.nll_2d)(logs, indices, factors, ignored, dim, reduction)
    if not label_smoothing:
        return hard
    classes = input.shape[dim]
    per_class = _class_weight(name, weight, classes, input.dtype)
    shares = logs if per_class is None else mul(logs, per_class.reshape(-1, *(1,) * (input.ndim - dim - 1)))
    smooth = where(wrap(np.asarray(np.squeeze(ignored, dim))), 0.0, neg(total(shares, dim)))
    if reduction != "none":
        smooth = total(smooth)
    if reduction == "mean":
        smooth = div(smooth, wrap(np.asarray(factors.sum())))
    return mul(hard, 1 - label_smoothing) + mul(smooth, label_smoothing / classes)


def _cross_entropy_of_probabilities(
    input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, label_smoothing: float
) -> Tensor:
    name = "cross_entropy"
    if target.dtype.kind != "f":
        raise RuntimeError(
            f"{name}(): a target of the input's shape holds probabilities, floating-point numbers, not {target.dtype}"
        )
    if ignore_index >= 0:
        raise RuntimeError(f"{name}(): ignore_index is for targets that are indices, and these are probabilities")
    _need_floats(name, input)
    dim = 0 if input.ndim == 1 else 1
    classes = input.shape[dim]
    if weight is not None and weight.shape != (classes,):
        raise RuntimeError(
            f"{name}(): weight must hold one number for each of {classes} classes, not {list(weight.shape)}"
        )
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    values = mul(log_softmax(input, dim), target)
    if weight is not None:
        values = mul(values, reshape(weight, -1, *(1,) * (input.ndim - dim - 1)))
    if reduction == "none":
        return neg(total(values, dim))
    summed = neg(total(values))
    return div(summed, input.numel() / classes) if reduction == "mean" else summed


# ----------------------------------------------------------------------------------------------- negative likelihoods


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The mean of ``½ (log(var) + (input − target)² / var)``, the negative log-likelihood of a normal distribution.

    Args:
        input: the means.
        target: what was observed; it broadcasts with ``input``.
        var: the variances, of the shape of ``input``, of that without the last dimension, or with 1 there; or a float for all.
        full: add the constant ``½ log 2π``.
        eps: a variance below it counts as this much; its gradient is as if it were not raised.
        reduction: how the elements are put together.

    Raises:
        TypeError: ``var`` is neither a tensor nor a float.
        ValueError: a variance is negative, ``var`` has another shape, or there is no such reduction.
    """
    name = "gaussian_nll_loss"
    _need_tensors(name, input=input, target=target)
    if isinstance(var, float):
        if var < 0:
            raise ValueError(f"{name}(): var must not be negative, and is {var}")
        var = wrap(np.full(input.shape, var, input.dtype))
    _need_tensors(name, var=var)
    if (var._array < 0).any():
        raise ValueError(f"{name}(): var must not be negative, and its least element is {var._array.min()}")
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = unsqueeze(var, -1)
        elif input.shape[:-1] != var.shape[:-1] or var.shape[-1] != 1:
            raise ValueError(
                f"{name}(): var must have the input's shape {list(input.shape)}, that without the last dimension, or with 1 "
                f"there, and has {list(var.shape)}"
            )
    reduction = reduction_of(name, reduction, None, None)
    var = loss.at_least(var, float(eps))
    values = mul(log(var) + square(sub(input, target)) / var, 0.5)
    return _reduced(values + 0.5 * math.log(2 * math.pi) if full else values, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean of ``exp(input) − target · input``, the negative log-likelihood of a Poisson distribution.

    Args:
        input: the logarithms of the rates; the rates themselves where not ``log_input``.
        target: the counts.
        log_input: whether ``input`` holds logarithms.
        full: add Stirling's approximation of ``log(target!)`` where ``target`` exceeds 1.
        size_average: see ``reduction``.
        eps: added to rates before their logarithm is taken.
        reduce: see ``reduction``.
        reduction: how the elements are put together.

    Raises:
        ValueError: there is no such reduction.
    """
    reduction = reduction_of("poisson_nll_loss", reduction, size_average, reduce)
    _need_tensors("poisson_nll_loss", input=input, target=target)
    values = sub(exp(input), mul(target, input)) if log_input else sub(input, mul(target, log(input + eps)))
    if full:
        large = wrap(np.asarray(target._array > 1))
        stirling = sub(mul(target, log(target)), target) + mul(log(mul(target, 2 * math.pi)), 0.5)
        values = values + where(large, stirling, 0.0)
    return _reduced(values, reduction)
