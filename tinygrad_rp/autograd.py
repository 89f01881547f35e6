"""``torch.autograd``: the backward pass as functions, one's own operations, and the check of gradients."""

from tinygrad_rp.engine import enable_grad, no_grad, set_grad_enabled
from tinygrad_rp.function import Function
from tinygrad_rp.gradcheck import GradcheckError, gradcheck, gradgradcheck
from tinygrad_rp.tensor import backward, grad

__all__ = [
    "Function",
    "GradcheckError",
    "backward",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "no_grad",
    "set_grad_enabled",
]
