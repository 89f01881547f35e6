"""Modules: a computation together with its parameters."""

# ruff: noqa: F403

from tinygrad_rp.nn import container, conv, functional, init, linear, normalization, of_functions, utils
from tinygrad_rp.nn.container import *
from tinygrad_rp.nn.conv import *
from tinygrad_rp.nn.linear import *
from tinygrad_rp.nn.module import Module, Parameter
from tinygrad_rp.nn.normalization import *
from tinygrad_rp.nn.of_functions import *

__all__ = ["Module", "Parameter", "functional", "init", "utils"]
__all__ += container.__all__
__all__ += conv.__all__
__all__ += linear.__all__
__all__ += normalization.__all__
__all__ += of_functions.__all__
