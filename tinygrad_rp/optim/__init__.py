"""Optimisers: they change parameters by their gradients, in place; and schedules of learning rates."""

from tinygrad_rp.optim import lr_scheduler
from tinygrad_rp.optim.adagrad import Adagrad
from tinygrad_rp.optim.adam import Adam
from tinygrad_rp.optim.adamw import AdamW
from tinygrad_rp.optim.optimizer import Optimizer
from tinygrad_rp.optim.rmsprop import RMSprop
from tinygrad_rp.optim.sgd import SGD

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]
