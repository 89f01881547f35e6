"""Distributions from which parameters begin. Each function fills a tensor in place, records nothing, and returns it.

*fan_in* is how many numbers each output of a layer is a sum of, *fan_out* the same for the gradient: for a weight of shape
``(out, in, *kernel)`` they are ``in · elements of the kernel`` and ``out · elements of the kernel``.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tinygrad_rp.engine import no_grad
from tinygrad_rp.ops.cumulative import truncated_normal_quantile
from tinygrad_rp.random import Generator, source_of
from tinygrad_rp.tensor import Tensor, float64, wrap

__all__ = [
    "calculate_gain", "constant_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_", "orthogonal_",
    "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip

_GAINS = {
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d", "sigmoid"), 1.0),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), 1.0),
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much the weights before an activation are to be larger, so that numbers keep their size from layer to layer.

    Args:
        nonlinearity: the name of the function, as in ``nn.functional``.
        param: of ``"leaky_relu"``, the negative slope. Default: 0.01.

    Raises:
        ValueError: the function is unknown, or the slope is no number.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise ValueError(f"calculate_gain(): param must be the negative slope, a number, not {slope!r}")
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        names = ", ".join((*_GAINS, "leaky_relu"))
        raise ValueError(f"calculate_gain(): nonlinearity must be one of {names}, not {nonlinearity!r}")
    return _GAINS[nonlinearity]


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """fan_in and fan_out.

    Raises:
        ValueError: there are fewer than two dimensions.
    """
    if tensor.ndim < 2:
        raise ValueError(
            f"{name}(): the tensor must have at least two dimensions, of the outputs and the inputs, and its shape is "
            f"{list(tensor.shape)}"
        )
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def _need_floats(name: str, tensor: Tensor) -> None:
    if tensor.dtype.kind != "f":
        raise NotImplementedError(f"{name}() is for floating-point tensors, not for {tensor.dtype}")


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Numbers of the uniform distribution on [a, b)."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Numbers of the normal distribution."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Numbers of the normal distribution, of those between a and b.

    Raises:
        ValueError: ``std`` is not positive, or a is not less than b.
    """
    if not std > 0 or not a < b:
        raise ValueError(f"trunc_normal_(): std must be positive, and a less than b, and they are {std}, {a} and {b}")
    _need_floats("trunc_normal_", tensor)
    u = np.maximum(source_of(generator).uniform(tensor.shape, float64), 2.0**-54)  # at 0 lies a, which may be infinite
    z = truncated_normal_quantile(wrap(u), *(wrap(np.asarray((end - mean) / std)) for end in (a, b)))
    with no_grad():
        return tensor.copy_((mean + std * z).clamp(a, b))  # rounding must not lead outside


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One number everywhere."""
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix, as far as it reaches.

    Raises:
        ValueError: the tensor is no matrix.
    """
    if tensor.ndim != 2:
        raise ValueError(f"eye_(): the tensor must have two dimensions, and its shape is {list(tensor.shape)}")
    with no_grad():
        return tensor.copy_(wrap(np.eye(*tensor.shape, dtype=tensor.dtype)))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform numbers of variance ``2 gain² / (fan_in + fan_out)`` (Glorot and Bengio, 2010).

    Raises:
        ValueError: there are fewer than two dimensions.
    """
    bound = math.sqrt(3) * gain * math.sqrt(2 / sum(_fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal numbers of variance ``2 gain² / (fan_in + fan_out)`` (Glorot and Bengio, 2010).

    Raises:
        ValueError: there are fewer than two dimensions.
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans("xavier_normal_", tensor))), generator)


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float | None:
    """``gain / √fan``; ``None`` where there is nothing to fill."""
    if 0 in tensor.shape:
        warnings.warn(f"{name}(): the tensor has no elements, and stays as it is", UserWarning, stacklevel=3)
        return None
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{name}(): mode must be 'fan_in' or 'fan_out', not {mode!r}")
    fan = _fans(name, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform numbers of variance ``gain² / fan`` (He, Zhang, Ren and Sun, 2015).

    Args:
        tensor: of at least two dimensions.
        a: the negative slope of ``"leaky_relu"``, of which 0 is that of ``"relu"``.
        mode: ``"fan_in"`` keeps the size of numbers on the way forward, ``"fan_out"`` that of gradients on the way back.
        nonlinearity: the activation that follows; see `calculate_gain`.
        generator: where the numbers come from.

    Raises:
        ValueError: there are fewer than two dimensions, or no such mode or activation.
    """
    std = _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return tensor if std is None else uniform_(tensor, -math.sqrt(3) * std, math.sqrt(3) * std, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers of variance ``gain² / fan``; arguments and errors as for `kaiming_uniform_`."""
    std = _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return tensor if std is None else normal_(tensor, 0.0, std, generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """``gain`` times a matrix with orthonormal rows or columns, whichever are fewer, all such matrices being equally likely.

    It is the Q of a matrix of normal numbers, with the signs that make the diagonal of R positive (Mezzadri, 2007, "How to
    generate random matrices from the classical compact groups"). All dimensions but the first count as one.

    Raises:
        ValueError: there are fewer than two dimensions.
    """
    if tensor.ndim < 2:
        raise ValueError(
            f"orthogonal_(): the tensor must have at least two dimensions, and its shape is {list(tensor.shape)}"
        )
    _need_floats("orthogonal_", tensor)
    if not tensor.numel():
        return tensor
    rows = tensor.shape[0]
    noise = source_of(generator).normal((rows, tensor.numel() // rows), float64)
    q, r = np.linalg.qr(noise if noise.shape[0] >= noise.shape[1] else noise.T)
    q = q * np.sign(np.diagonal(r))
    q = q if q.shape == noise.shape else q.T
    with no_grad():
        return tensor.copy_(wrap(gain * q.reshape(tensor.shape)))


def begin(weight: Tensor, bias: Any) -> None:
    """The weight and the bias of a linear layer or a convolution, as they begin: uniform, up to ``1 / √fan_in`` either way."""
    kaiming_uniform_(weight, math.sqrt(5))
    fan_in, _ = _fans("begin", weight)
    if bias is not None:
        bound = 1 / math.sqrt(fan_in) if fan_in else 0
        uniform_(bias, -bound, bound)
