"""Layers that convolve, and that do the transpose of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from tinygrad_rp.nn import functional, init
from tinygrad_rp.nn.module import Module, new_parameter
from tinygrad_rp.ops.convolution import per_dimension
from tinygrad_rp.tensor import Tensor

__all__ = ["Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d"]


class _Conv(Module):
    """What a convolution and its transpose share.

    Raises:
        NotImplementedError: another ``padding_mode`` than ``"zeros"``.
        RuntimeError: a size is not given as one number or as one a dimension.
        ValueError: ``groups`` does not divide the channels, or there is no such padding.
    """

    dimensions: ClassVar[int]
    transposed: ClassVar[bool] = False

    def _set_up(
        self,
        channels: tuple[int, int],
        sizes: dict[str, Any],
        padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if groups <= 0 or any(n % groups for n in channels):
            raise ValueError(f"{name}(): groups must be positive and divide the channels {channels}, and is {groups}")
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(
                f"{name}(): padding_mode must be 'zeros', 'reflect', 'replicate' or 'circular', not {padding_mode!r}"
            )
        if padding_mode != "zeros":
            raise NotImplementedError(f"{name}(): only padding_mode='zeros' is supported, not {padding_mode!r}")
        for argument, size in sizes.items():
            setattr(self, argument, per_dimension(name, argument, size, self.dimensions))
        if not isinstance(padding, str):
            padding = per_dimension(name, "padding", padding, self.dimensions)
        elif padding not in ("same", "valid"):
            raise ValueError(f"{name}(): padding must be 'same', 'valid' or integers, not {padding!r}")
        elif padding == "same" and set(self.stride) != {1}:
            raise ValueError(f"{name}(): padding='same' is for a stride of 1, and the stride is {self.stride}")
        self.in_channels, self.out_channels = channels
        self.padding, self.groups, self.padding_mode = padding, groups, padding_mode
        first, second = channels if self.transposed else channels[::-1]
        self.weight = new_parameter((first, second // groups, *self.kernel_size), device, dtype)
        self.register_parameter("bias", new_parameter((self.out_channels,), device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.begin(self.weight, self.bias)

    def extra_repr(self) -> str:
        zeros, ones = (0,) * self.dimensions, (1,) * self.dimensions
        usual = {"padding": zeros, "dilation": ones, "output_padding": zeros, "groups": 1}
        others = {name: getattr(self, name, value) for name, value in usual.items()}
        parts = [
            f"{self.in_channels}",
            f"{self.out_channels}",
            f"kernel_size={self.kernel_size}",
            f"stride={self.stride}",
        ]
        parts += [f"{name}={value}" for name, value in others.items() if value != usual[name]]
        return ", ".join([*parts, *(["bias=False"] if self.bias is None else [])])


class _ConvForward(_Conv):
    """Sums over windows of the input, one for each kernel: ``input ∗ weight + bias``.

    Both begin uniform, up to ``1 / √n`` either way, for sums over n numbers.

    Args:
        in_channels: of the input.
        out_channels: of the output, the number of kernels.
        kernel_size: of the window, one number or one a dimension.
        stride: from window to window.
        padding: how many zeros are put at both ends; ``"same"`` keeps the size of the input, ``"valid"`` is none.
        dilation: from element to element of a window.
        groups: into how many groups the channels and the kernels are divided, each convolved on its own.
        bias: whether there is one.
        padding_mode: must be ``"zeros"``.
        device: must be ``"cpu"``.
        dtype: of the parameters. Default: the default dtype.

    Raises:
        NotImplementedError: another ``padding_mode`` than ``"zeros"``.
        RuntimeError: a size is not given as one number or as one a dimension.
        ValueError: ``groups`` does not divide the channels, or there is no such padding.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        sizes = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
        self._set_up((in_channels, out_channels), sizes, padding, groups, bias, padding_mode, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        convolve = functional.conv1d if self.dimensions == 1 else functional.conv2d
        return convolve(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class _ConvTranspose(_Conv):
    """Each element of the input times the kernels, added up where windows of a convolution would lie.

    It turns the sizes of a convolution with the same arguments around. Both parameters begin uniform.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel_size: of the window, one number or one a dimension.
        stride: from window to window; how many times larger the output is than the input.
        padding: how many elements are cut off at both ends.
        output_padding: how much longer the output is at its end.
        groups: into how many groups the channels are divided, each spread on its own.
        bias: whether there is one.
        dilation: from element to element of a window.
        padding_mode: must be ``"zeros"``.
        device: must be ``"cpu"``.
        dtype: of the parameters. Default: the default dtype.

    Raises:
        RuntimeError: a size is not given as one number or as one a dimension.
        ValueError: ``groups`` does not divide the channels, or there is no such padding.
    """

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if isinstance(padding, str) or padding_mode != "zeros":
            raise ValueError(
                f"{type(self).__name__}(): padding must be integers, and padding_mode 'zeros', and they are {padding!r} and "
                f"{padding_mode!r}"
            )
        sizes = {
            "kernel_size": kernel_size,
            "stride": stride,
            "dilation": dilation,
            "output_padding": output_padding,
        }
        self._set_up((in_channels, out_channels), sizes, padding, groups, bias, padding_mode, device, dtype)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """
        Args:
            input: of shape (batch, channels, …), or without the batch.
            output_size: the lengths of the output, of which several have a convolution of the size of ``input``. Default: what
                ``output_padding`` says.

        Raises:
            ValueError: the output cannot have these lengths.
        """
        spread = functional.conv_transpose1d if self.dimensions == 1 else functional.conv_transpose2d
        more = self.output_padding if output_size is None else self._output_padding(input, tuple(output_size))
        return spread(input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation)

    def _output_padding(self, input: Tensor, wanted: tuple[int, ...]) -> tuple[int, ...]:
        if len(wanted) == input.ndim:
            wanted = wanted[-self.dimensions :]
        least = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                input.shape[-self.dimensions :], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        )
        most = tuple(n + s - 1 for n, s in zip(least, self.stride, strict=True))
        if len(wanted) != len(least) or any(not a <= n <= b for a, n, b in zip(least, wanted, most, strict=True)):
            raise ValueError(
                f"{type(self).__name__}: output_size must lie between {list(least)} and {list(most)} for an input of shape "
                f"{list(input.shape)}, and is {list(wanted)}"
            )
        return tuple(n - a for n, a in zip(wanted, least, strict=True))


class Conv1d(_ConvForward):
    __doc__ = _ConvForward.__doc__
    dimensions = 1


class Conv2d(_ConvForward):
    __doc__ = _ConvForward.__doc__
    dimensions = 2


class ConvTranspose1d(_ConvTranspose):
    __doc__ = _ConvTranspose.__doc__
    dimensions = 1


class ConvTranspose2d(_ConvTranspose):
    __doc__ = _ConvTranspose.__doc__
    dimensions = 2
