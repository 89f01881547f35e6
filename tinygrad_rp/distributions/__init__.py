"""Probability distributions: samples, and log-densities to learn from them."""

from tinygrad_rp.distributions.distribution import Distribution
from tinygrad_rp.distributions.normal import Normal

__all__ = ["Distribution", "Normal"]
