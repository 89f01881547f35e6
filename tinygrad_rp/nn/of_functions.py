"""Modules that each call one function of ``nn.functional``, with the arguments that they were made with.

Such a module is declared, as a dataclass is: by the function, and by the arguments with their defaults. This is all there is to
say about one::

    class ELU(OfFunction, of=functional.elu, shown="alpha"):
        \"\"\"``x`` where it is positive, else ``alpha (exp(x) − 1)``.\"\"\"

        alpha: float = 1.0
        inplace: bool = False

From it follow ``ELU(alpha=1.0, inplace=False)``, the attributes, ``forward``, which calls ``functional.elu(input, alpha=…)``, and
what is printed, ``ELU(alpha=1.0)``. A tensor among the arguments is a buffer.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, dataclass_transform

from tinygrad_rp.in_place import change, refuse_change
from tinygrad_rp.nn import functional
from tinygrad_rp.nn.loss import reduction_of
from tinygrad_rp.nn.module import Module
from tinygrad_rp.ops.shape import flatten, unflatten
from tinygrad_rp.tensor import Tensor

__all__ = [
    "CELU", "ELU", "GELU", "SELU", "AvgPool1d", "AvgPool2d", "BCELoss", "BCEWithLogitsLoss", "CosineSimilarity",
    "CrossEntropyLoss", "Dropout", "Flatten", "GaussianNLLLoss", "Hardtanh", "HuberLoss", "KLDivLoss", "L1Loss",
    "LeakyReLU", "LogSigmoid", "LogSoftmax", "MSELoss", "MaxPool1d", "MaxPool2d", "Mish", "NLLLoss", "PoissonNLLLoss",
    "ReLU", "ReLU6", "SiLU", "Sigmoid", "SmoothL1Loss", "Softmax", "Softplus", "Softsign", "Tanh", "Tanhshrink",
    "Unflatten",
]  # fmt: skip


@dataclass_transform()
class OfFunction(Module):
    """A module that calls a function. What it says when it is printed are the arguments that ``shown`` names."""

    function: ClassVar[Callable[..., Any]]
    arguments: ClassVar[tuple[str, ...]] = ()
    """Those that the function is called with by name."""
    shown: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, of: Callable[..., Any] | None = None, shown: str = "", kw_only: bool = False) -> None:
        super().__init_subclass__()
        if of is None:
            return  # a class of the user's, or one that others are to share
        cls.function, cls.shown = staticmethod(of), tuple(shown.split())
        fields = inspect.get_annotations(cls)
        kind = inspect.Parameter.KEYWORD_ONLY if kw_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = [
            inspect.Parameter(name, kind, default=vars(cls).get(name, inspect.Parameter.empty), annotation=annotation)
            for name, annotation in fields.items()
        ]
        for name in fields:
            if name in vars(cls):
                delattr(cls, name)
        buffers = {name for name, annotation in fields.items() if "Tensor" in str(annotation)}
        cls.arguments = tuple(name for name in fields if name not in ("inplace", "size_average", "reduce"))
        signature = inspect.Signature(parameters)

        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{cls.__name__}(): {error}") from None
            Module.__init__(self)
            bound.apply_defaults()
            for name, value in bound.arguments.items():
                if name in buffers:
                    self.register_buffer(name, value)
                else:
                    setattr(self, name, value)
            self._settle()

        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        __init__.__signature__ = inspect.Signature([own, *parameters])  # type: ignore[attr-defined]
        cls.__init__ = __init__  # type: ignore[method-assign]

    def _settle(self) -> None:
        """Check the arguments, or complete them."""

    def _passed(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.arguments}

    def forward(self, *inputs: Any, **named: Any) -> Any:
        if not getattr(self, "inplace", False):
            return self.function(*inputs, **named, **self._passed())
        (input,) = (*inputs, *named.values())
        refuse_change(input, f"{type(self).__name__}(inplace=True)")
        out = self.function(input, **self._passed())
        return input if out is input else change(input, out, f"{type(self).__name__}(inplace=True)")

    def extra_repr(self) -> str:
        parts = [f"{name}={getattr(self, name)!r}" for name in self.shown]
        if "inplace" not in self.shown and getattr(self, "inplace", False):
            parts.append("inplace=True")
        return ", ".join(parts)


# --------------------------------------------------------------------------------------------------------- activations


class CELU(OfFunction, of=functional.celu, shown="alpha"):
    """``x`` where it is positive, else ``alpha (exp(x / alpha) − 1)``."""

    alpha: float = 1.0
    inplace: bool = False


class ELU(OfFunction, of=functional.elu, shown="alpha"):
    """``x`` where it is positive, else ``alpha (exp(x) − 1)``."""

    alpha: float = 1.0
    inplace: bool = False


class GELU(OfFunction, of=functional.gelu, shown="approximate"):
    """``x Φ(x)``, with the distribution function of the standard normal distribution, or an approximation, ``"tanh"``."""

    approximate: str = "none"


class Hardtanh(OfFunction, of=functional.hardtanh, shown="min_val max_val"):
    """``x``, moved into [min_val, max_val].

    Raises:
        AssertionError: ``min_val`` is not less than ``max_val``.
    """

    min_val: float = -1.0
    max_val: float = 1.0
    inplace: bool = False

    def _settle(self) -> None:
        if not self.min_val < self.max_val:
            raise AssertionError(
                f"Hardtanh(): min_val must be less than max_val, and they are {self.min_val} and {self.max_val}"
            )


class LeakyReLU(OfFunction, of=functional.leaky_relu, shown="negative_slope"):
    """``x`` where it is positive, else ``negative_slope · x``."""

    negative_slope: float = 0.01
    inplace: bool = False


class LogSigmoid(OfFunction, of=functional.logsigmoid):
    """``log(1 / (1 + exp(−x)))``."""


class LogSoftmax(OfFunction, of=functional.log_softmax, shown="dim"):
    """``x − log Σ exp(x)`` along ``dim``."""

    dim: int | None = None


class Mish(OfFunction, of=functional.mish):
    """``x tanh(log(1 + exp(x)))``."""

    inplace: bool = False


class ReLU(OfFunction, of=functional.relu):
    """``max(x, 0)``."""

    inplace: bool = False


class ReLU6(OfFunction, of=functional.relu6):
    """``x``, moved into [0, 6]."""

    inplace: bool = False


class SELU(OfFunction, of=functional.selu):
    """The `ELU` scaled so that numbers keep mean 0 and variance 1 from layer to layer."""

    inplace: bool = False


class SiLU(OfFunction, of=functional.silu):
    """``x / (1 + exp(−x))``."""

    inplace: bool = False


class Sigmoid(OfFunction, of=functional.sigmoid):
    """``1 / (1 + exp(−x))``."""


class Softmax(OfFunction, of=functional.softmax, shown="dim"):
    """``exp(x) / Σ exp(x)`` along ``dim``."""

    dim: int | None = None


class Softplus(OfFunction, of=functional.softplus, shown="beta threshold"):
    """``log(1 + exp(beta · x)) / beta``; ``x`` itself where ``beta · x`` exceeds the threshold."""

    beta: float = 1.0
    threshold: float = 20.0


class Softsign(OfFunction, of=functional.softsign):
    """``x / (1 + |x|)``."""


class Tanh(OfFunction, of=functional.tanh):
    """The hyperbolic tangent."""


class Tanhshrink(OfFunction, of=functional.tanhshrink):
    """``x − tanh(x)``."""


# ------------------------------------------------------------------------------------------------- noise, shape, likeness


class Dropout(OfFunction, of=functional.dropout, shown="p inplace"):
    """In training each element is 0 with probability ``p``, and else divided by ``1 − p``. In evaluation nothing happens.

    Raises:
        ValueError: ``p`` lies outside [0, 1].
    """

    p: float = 0.5
    inplace: bool = False

    def _settle(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"Dropout(): p must lie in [0, 1], and is {self.p}")

    def _passed(self) -> dict[str, Any]:
        return {"p": self.p, "training": self.training}


class Flatten(OfFunction, of=flatten, shown="start_dim end_dim"):
    """The dimensions from ``start_dim`` to ``end_dim`` as one."""

    start_dim: int = 1
    end_dim: int = -1


class Unflatten(OfFunction, of=unflatten, shown="dim unflattened_size"):
    """The dimension ``dim`` as several, of the lengths ``unflattened_size``, one of which may be −1.

    Raises:
        TypeError: the lengths are no tuple or list of integers.
    """

    dim: int
    unflattened_size: tuple[int, ...]

    def _settle(self) -> None:
        sizes = self.unflattened_size
        if not isinstance(sizes, tuple | list) or not all(isinstance(n, int) for n in sizes):
            raise TypeError(f"Unflatten(): unflattened_size must be a tuple of integers, not {sizes!r}")

    def _passed(self) -> dict[str, Any]:
        return {"dim": self.dim, "sizes": self.unflattened_size}


class CosineSimilarity(OfFunction, of=functional.cosine_similarity):
    """The cosine of the angle between vectors along ``dim``."""

    dim: int = 1
    eps: float = 1e-8


# -------------------------------------------------------------------------------------------------------------- pooling


class _Pool(OfFunction):
    kernel_size: Any
    stride: Any

    def _settle(self) -> None:
        if self.stride is None:
            self.stride = self.kernel_size


class MaxPool1d(_Pool, of=functional.max_pool1d, shown="kernel_size stride padding dilation ceil_mode"):
    """The greatest element of each window; see ``functional.max_pool1d``."""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    return_indices: bool = False
    ceil_mode: bool = False


class MaxPool2d(_Pool, of=functional.max_pool2d, shown="kernel_size stride padding dilation ceil_mode"):
    """The greatest element of each window; see ``functional.max_pool2d``."""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    return_indices: bool = False
    ceil_mode: bool = False


class AvgPool1d(_Pool, of=functional.avg_pool1d, shown="kernel_size stride padding"):
    """The mean of each window; see ``functional.avg_pool1d``."""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    ceil_mode: bool = False
    count_include_pad: bool = True

    def _settle(self) -> None:
        super()._settle()
        for name in ("kernel_size", "stride", "padding"):
            size = getattr(self, name)
            setattr(self, name, tuple(size) if isinstance(size, tuple | list) else (size,))


class AvgPool2d(_Pool, of=functional.avg_pool2d, shown="kernel_size stride padding"):
    """The mean of each window; see ``functional.avg_pool2d``."""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None


# --------------------------------------------------------------------------------------------------------------- losses


class _Loss(OfFunction):
    """``size_average`` and ``reduce`` are the old spelling of ``reduction``, and warn."""

    reduction: str

    def _settle(self) -> None:
        old = [vars(self).pop(name, None) for name in ("size_average", "reduce")]
        if old != [None, None]:
            self.reduction = reduction_of(type(self).__name__, self.reduction, *old)


class L1Loss(_Loss, of=functional.l1_loss):
    """The mean of ``|input − target|``."""

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class MSELoss(_Loss, of=functional.mse_loss):
    """The mean of ``(input − target)²``."""

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class SmoothL1Loss(_Loss, of=functional.smooth_l1_loss):
    """The mean of ``|input − target| − beta/2``, rounded off by a parabola where the distance is below ``beta``."""

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"
    beta: float = 1.0


class HuberLoss(_Loss, of=functional.huber_loss):
    """The mean of a parabola where the distance is below ``delta``, and of lines beyond."""

    reduction: str = "mean"
    delta: float = 1.0


class BCELoss(_Loss, of=functional.binary_cross_entropy):
    """The binary cross-entropy of probabilities."""

    weight: Tensor | None = None
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class BCEWithLogitsLoss(_Loss, of=functional.binary_cross_entropy_with_logits):
    """The binary cross-entropy of logits."""

    weight: Tensor | None = None
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"
    pos_weight: Tensor | None = None


class KLDivLoss(_Loss, of=functional.kl_div):
    """The divergence of Kullback and Leibler of ``exp(input)`` from ``target``."""

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"
    log_target: bool = False


class NLLLoss(_Loss, of=functional.nll_loss):
    """The weighted mean of the negative log-probabilities of the classes that the target names."""

    weight: Tensor | None = None
    size_average: bool | None = None
    ignore_index: int = -100
    reduce: bool | None = None
    reduction: str = "mean"


class CrossEntropyLoss(_Loss, of=functional.cross_entropy):
    """The cross-entropy of ``softmax(input)`` and the classes that the target names, or their probabilities."""

    weight: Tensor | None = None
    size_average: bool | None = None
    ignore_index: int = -100
    reduce: bool | None = None
    reduction: str = "mean"
    label_smoothing: float = 0.0


class GaussianNLLLoss(_Loss, of=functional.gaussian_nll_loss, kw_only=True):
    """The negative log-likelihood of a normal distribution; called with ``(input, target, var)``."""

    full: bool = False
    eps: float = 1e-6
    reduction: str = "mean"


class PoissonNLLLoss(_Loss, of=functional.poisson_nll_loss):
    """The negative log-likelihood of a Poisson distribution."""

    log_input: bool = True
    full: bool = False
    size_average: bool | None = None
    eps: float = 1e-8
    reduce: bool | None = None
    reduction: str = "mean"
