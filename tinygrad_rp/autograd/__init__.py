"""``torch.autograd``: the backward pass as functions, one's own operations, and the check of gradients."""

from tinygrad_rp.autograd import functional
from tinygrad_rp.engine import (
    detect_anomaly,
    enable_grad,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    no_grad,
    set_detect_anomaly,
    set_grad_enabled,
)
from tinygrad_rp.function import Function
from tinygrad_rp.gradcheck import GradcheckError, gradcheck, gradgradcheck
from tinygrad_rp.hooks import RemovableHandle
from tinygrad_rp.hooks import next_sequence_number as _get_sequence_nr  # noqa: F401 - PyTorch's name
from tinygrad_rp.tensor import backward, grad

__all__ = [
    "Function",
    "GradcheckError",
    "RemovableHandle",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]
