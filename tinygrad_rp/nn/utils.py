"""What is done with all gradients, or all parameters, at once."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

import numpy as np

from tinygrad_rp.engine import no_grad
from tinygrad_rp.ops.reduce import vector_norm
from tinygrad_rp.ops.shape import cat, reshape
from tinygrad_rp.tensor import Tensor, wrap

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm", "parameters_to_vector",
    "vector_to_parameters",
]  # fmt: skip


def _all(name: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    found = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for i, parameter in enumerate(found):
        if not isinstance(parameter, Tensor):
            raise TypeError(f"{name}(): number {i} of the parameters must be a tensor, not {type(parameter).__name__}")
    return found


def _gradients(name: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in _all(name, parameters) if parameter.grad is not None]


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of some tensors, as if they were one vector; 0 where there are none.

    Args:
        tensors: one, or several.
        norm_type: the p of the norm; ``inf`` for the greatest absolute value.
        error_if_nonfinite: raise, rather than return a norm that is infinite or NaN.
        foreach: accepted; there is one way to compute it.

    Raises:
        RuntimeError: the norm is infinite or NaN, where this is asked for.
    """
    norm_type = float(norm_type)
    with no_grad():
        norms = [vector_norm(tensor, norm_type) for tensor in _all("get_total_norm", tensors)]
        if not norms:
            return wrap(np.zeros((), np.float32))
        total = vector_norm(cat([reshape(norm, 1) for norm in norms]), norm_type)
    if error_if_nonfinite and not np.isfinite(total._array):
        raise RuntimeError(
            f"the total norm of order {norm_type} of the gradients is {total.item()}, so they cannot be clipped; look for where "
            "they become so (autograd.detect_anomaly), or scale them anyway, with error_if_nonfinite=False"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Multiply the gradients of some parameters, in place, by ``max_norm / (total_norm + 10⁻⁶)``, where that is below 1.

    Args:
        parameters: one, or several.
        max_norm: the norm that the gradients are to have at most.
        total_norm: the norm that they have; see `get_total_norm`.
        foreach: accepted; there is one way to compute it.
    """
    with no_grad():
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for grad in _gradients("clip_grads_with_norm_", parameters):
            grad.mul_(factor.to(grad.dtype))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Make the gradients of some parameters shorter, in place and all by the same factor, so that their norm is at most
    ``max_norm``.

    Args:
        parameters: one, or several; those without a gradient do not count.
        max_norm: the norm of all gradients as one vector that is to be kept.
        norm_type: the p of the norm; ``inf`` for the greatest absolute value.
        error_if_nonfinite: raise, rather than scale by a norm that is infinite or NaN. The gradients are as before then.
        foreach: accepted; there is one way to compute it.

    Returns:
        The norm that the gradients had.

    Raises:
        RuntimeError: the norm is infinite or NaN, where this is asked for.
    """
    some = _all("clip_grad_norm_", parameters)
    total = get_total_norm(_gradients("clip_grad_norm_", some), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(some, max_norm, total)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Move each element of the gradients of some parameters into [−clip_value, clip_value], in place.

    Args:
        parameters: one, or several; those without a gradient do not count.
        clip_value: the greatest absolute value.
        foreach: accepted; there is one way to compute it.
    """
    clip_value = float(clip_value)
    with no_grad():
        for grad in _gradients("clip_grad_value_", parameters):
            grad.clamp_(-clip_value, clip_value)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of some parameters, one after the other, as one vector."""
    return cat([reshape(parameter, -1) for parameter in _all("parameters_to_vector", parameters)])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Give parameters the elements of a vector, one after the other. They share its memory then.

    Raises:
        RuntimeError: the vector has more or fewer elements than the parameters, or another dtype. Nothing is changed then.
        TypeError: it is no tensor.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters(): vec must be a tensor, not {type(vec).__name__}")
    some = _all("vector_to_parameters", parameters)
    ends = list(accumulate((parameter.numel() for parameter in some), initial=0))
    if vec.shape != (ends[-1],):
        raise RuntimeError(
            f"vector_to_parameters(): the parameters have {ends[-1]} elements, so that vec must have shape {[ends[-1]]}, and it "
            f"has {list(vec.shape)}"
        )
    for parameter in some:
        if parameter.dtype != vec.dtype:
            raise RuntimeError(
                f"vector_to_parameters(): vec has dtype {vec.dtype}, and a parameter {parameter.dtype}; convert vec by to()"
            )
    values = vec.detach()
    for parameter, begin, end in zip(some, ends, ends[1:], strict=False):
        parameter.data = values[begin:end].view(parameter.shape)
