"""Functions of networks, under the names that PyTorch gives them here."""

from tinygrad_rp.ops.elementwise import relu, sigmoid, softplus, tanh
from tinygrad_rp.ops.index import one_hot
from tinygrad_rp.ops.reduce import log_softmax, softmax

__all__ = ["log_softmax", "one_hot", "relu", "sigmoid", "softmax", "softplus", "tanh"]
