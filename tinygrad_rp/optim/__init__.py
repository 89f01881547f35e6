"""Optimisers: they change parameters by their gradients, in place."""

from tinygrad_rp.optim.adam import Adam
from tinygrad_rp.optim.optimizer import Optimizer
from tinygrad_rp.optim.sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer"]
