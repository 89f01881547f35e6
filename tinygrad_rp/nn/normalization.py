"""Layers that bring numbers to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, ClassVar

from tinygrad_rp.nn import functional, init
from tinygrad_rp.nn.module import Module, new_parameter, new_zeros
from tinygrad_rp.tensor import Tensor, int64

__all__ = ["BatchNorm1d", "BatchNorm2d", "LayerNorm"]


class LayerNorm(Module):
    """``(input − mean) / √(var + eps) · weight + bias``, with mean and variance over the last dimensions.

    Args:
        normalized_shape: the lengths of the last dimensions, which are normalised together; or the last length alone.
        eps: added to the variance.
        elementwise_affine: whether there are a weight, which begins as ones, and a bias, as zeros.
        bias: whether there is a bias, where there is a weight.
        device: must be ``"cpu"``.
        dtype: of the parameters. Default: the default dtype.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = normalized_shape if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
        self.normalized_shape = tuple(map(index, shape))
        self.eps, self.elementwise_affine = eps, elementwise_affine
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            self.register_parameter(name, new_parameter(self.normalized_shape, device, dtype) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to ones and the bias to zeros."""
        _begin(self)

    def forward(self, input: Tensor) -> Tensor:
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class _BatchNorm(Module):
    """``(input − mean) / √(var + eps) · weight + bias``, with mean and variance of each channel.

    In training they are those of the batch, and the running ones come nearer to them: ``running_mean = (1 − momentum) ·
    running_mean + momentum · mean``, and the same with the unbiased variance. In evaluation the running ones are used.

    Args:
        num_features: the number of channels.
        eps: added to the variance.
        momentum: the share of a new batch in the running statistics; None for the plain mean of all batches.
        affine: whether there are a weight, which begins as ones, and a bias, as zeros.
        track_running_stats: whether there are running statistics; without them, those of the batch are always used.
        device: must be ``"cpu"``.
        dtype: of the parameters. Default: the default dtype.
        bias: whether there is a bias, where there is a weight.
    """

    dimensions: ClassVar[tuple[int, ...]]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, new_parameter((num_features,), device, dtype) if wanted else None)
        running = {
            "running_mean": new_zeros((num_features,), device, dtype),
            "running_var": new_zeros((num_features,), device, dtype),
            "num_batches_tracked": new_zeros((), device, int64),
        }
        for name, buffer in running.items():
            self.register_buffer(name, buffer if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the batches that there were."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Set the weight to ones and the bias to zeros, and forget the batches that there were."""
        self.reset_running_stats()
        _begin(self)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.dimensions:
            raise ValueError(
                f"{type(self).__name__}: input must have {' or '.join(map(str, self.dimensions))} dimensions, and its shape is "
                f"{list(input.shape)}"
            )
        own = self.running_mean is None and self.running_var is None
        tracks = self.training and self.track_running_stats and self.num_batches_tracked is not None
        momentum = 0.0 if self.momentum is None else self.momentum
        if tracks and self.momentum is None:
            momentum = 1 / (self.num_batches_tracked.item() + 1)
        used = not self.training or self.track_running_stats
        out = functional.batch_norm(
            input,
            self.running_mean if used else None,
            self.running_var if used else None,
            self.weight,
            self.bias,
            self.training or own,
            momentum,
            self.eps,
        )
        if tracks:
            self.num_batches_tracked.add_(1)
        return out

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    __doc__ = f"{_BatchNorm.__doc__}\n    The input has shape (batch, channels) or (batch, channels, length).\n    "
    dimensions = (2, 3)


class BatchNorm2d(_BatchNorm):
    __doc__ = f"{_BatchNorm.__doc__}\n    The input has shape (batch, channels, height, width).\n    "
    dimensions = (4,)


def _begin(layer: Module) -> None:
    if layer.weight is not None:
        init.ones_(layer.weight)
    if layer.bias is not None:
        init.zeros_(layer.bias)
