"""Modules: a computation together with its parameters."""

from tinygrad_rp.nn import functional
from tinygrad_rp.nn.module import Module, Parameter

__all__ = ["Module", "Parameter", "functional"]
