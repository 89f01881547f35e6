"""Log-densities and divergences of distributions, each one operation: one node, and one loop over large arrays.

All are in nats, element by element, and their arguments broadcast.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_rp.operation import POSITIVE, REAL, either, elementwise
from tinygrad_rp.ops.elementwise import sigmoid

__all__: list[str] = []

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def _standard(x: Any, mean: Any, std: Any) -> Any:
    return (x - mean) / std


def _normal(x: Any, mean: Any, std: Any) -> Any:
    z = _standard(x, mean, std)
    return -0.5 * (z * z) - np.log(std) - _HALF_LOG_TAU


normal_log_prob = elementwise(
    "normal_log_prob",
    _normal,
    "−(x − μ)² / 2σ² − log σ − ½ log 2π",
    signature="value, loc, scale",
    x=lambda g, x, mean, std: -g * (_standard(x, mean, std) / std),
    mean=lambda g, x, mean, std: g * (_standard(x, mean, std) / std),
    std=lambda g, x, mean, std: g * ((_standard(x, mean, std) * _standard(x, mean, std) - 1) / std),
    floating=True,
    method=False,
    domain=(REAL, REAL, POSITIVE),
)


def _ratio(m1: Any, s1: Any, m2: Any, s2: Any) -> Any:
    """The mean of (x − μ₂)² / σ₂² under the first distribution."""
    distance, width = (m1 - m2) / s2, s1 / s2
    return distance * distance + width * width


# Kullback and Leibler, "On information and sufficiency", 1951; for the standard normal distribution as the second: Kingma and
# Welling, "Auto-encoding variational Bayes", 2014, appendix B
normal_kl = elementwise(
    "normal_kl",
    lambda m1, s1, m2, s2: 0.5 * (_ratio(m1, s1, m2, s2) - 1) + (np.log(s2) - np.log(s1)),
    "log(σ₂ / σ₁) + (σ₁² + (μ₁ − μ₂)²) / 2σ₂² − ½",
    signature="loc1, scale1, loc2, scale2",
    m1=lambda g, m1, m2, s2: g * ((m1 - m2) / s2 / s2),
    s1=lambda g, s1, s2: g * (s1 / s2 / s2 - 1 / s1),
    m2=lambda g, m1, m2, s2: g * ((m2 - m1) / s2 / s2),
    s2=lambda g, m1, s1, m2, s2: g * ((1 - _ratio(m1, s1, m2, s2)) / s2),
    floating=True,
    method=False,
    domain=(REAL, POSITIVE, REAL, POSITIVE),
)


def _softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


bernoulli_log_prob = elementwise(
    "bernoulli_log_prob",
    lambda y, logits: y * logits - _softplus(logits),
    "y·log p + (1 − y)·log(1 − p), p the sigmoid of the logits",
    signature="value, logits",
    y=lambda g, logits: g * logits,
    logits=lambda g, y, logits: g * (y - either(sigmoid, logits)),
    floating=True,
    method=False,
)
bernoulli_kl = elementwise(
    "bernoulli_kl",
    lambda a, b: either(sigmoid, a) * (a - b) - _softplus(a) + _softplus(b),
    "p·log(p / q) + (1 − p)·log((1 − p) / (1 − q)), of the logits of p and q",
    signature="logits1, logits2",
    a=lambda g, a, b: g * ((a - b) * (either(sigmoid, a) * (1 - either(sigmoid, a)))),
    b=lambda g, a, b: g * (either(sigmoid, b) - either(sigmoid, a)),
    floating=True,
    method=False,
)
