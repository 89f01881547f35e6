"""The Kullback-Leibler divergence: formulas by pair of classes, and an estimate by samples for the pairs that have none."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from tinygrad_rp.distributions.distribution import Distribution
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["kl_divergence", "register_kl"]

Formula = Callable[[Any, Any], Tensor]
F = TypeVar("F", bound=Formula)

_FORMULAS: dict[tuple[type, type], Formula] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[F], F]:
    """A decorator that registers a function of two distributions as their divergence::

        @register_kl(Normal, Normal)
        def _(p, q): ...

    It is used for subclasses too, unless there is a formula that is closer to both.

    Raises:
        TypeError: one of the two is no class of distributions.
    """
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not isinstance(kind, type) or not issubclass(kind, Distribution):
            raise TypeError(f"register_kl(): {name} must be a class of distributions, and is {kind!r}")

    def register(formula: F) -> F:
        _FORMULAS[type_p, type_q] = formula
        _formula_for.cache_clear()
        return formula

    return register


def _distance(pair: tuple[type, type], types: tuple[type, type], first: int) -> tuple[int, int]:
    """How far a pair of classes is above two others, one of the two first."""
    steps = tuple(kind.__mro__.index(above) for above, kind in zip(pair, types, strict=True))
    return steps[first], steps[1 - first]


@functools.lru_cache(maxsize=1024)
def _formula_for(type_p: type, type_q: type) -> Formula | None:
    """The formula of the closest pair of classes: closest for p and then for q, which has to be the same in the other order."""
    types = (type_p, type_q)
    fitting = [pair for pair in _FORMULAS if issubclass(type_p, pair[0]) and issubclass(type_q, pair[1])]
    if not fitting:
        return None
    by_p, by_q = (min(fitting, key=lambda pair: _distance(pair, types, first)) for first in (0, 1))
    found = _FORMULAS[by_p]
    if found is not _FORMULAS[by_q]:
        names = [f"{a.__name__}, {b.__name__}" for a, b in (by_p, by_q)]
        warnings.warn(
            f"kl_divergence({type_p.__name__}, {type_q.__name__}) is ambiguous: there are formulas for ({names[0]}) and for "
            f"({names[1]}), and the first is taken; register one for ({type_p.__name__}, {type_q.__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return found


def kl_divergence(
    p: Distribution, q: Distribution, *, num_samples: int | None = None, generator: Generator | None = None
) -> Tensor:
    """The divergence KL(p ‖ q), the mean of ``log p(z) − log q(z)`` over z ~ p, in nats (Kullback and Leibler 1951).

    Where a formula is registered it is used, and is exact. Where none is, ``num_samples`` asks for an estimate: the mean over
    so many samples of p. Both the number and its gradient are unbiased then: samples of a p with ``rsample`` are
    reparameterised, and for another p a term is added whose value is 0, and whose gradient is that of the score function
    (Williams 1992), each sample measured against the mean of the others.

    Args:
        p: the first distribution.
        q: the second, with a batch that broadcasts with that of the first.
        num_samples: for an estimate where there is no formula.
        generator: where the samples come from.

    Returns:
        A tensor of the shape of the batch.

    Raises:
        NotImplementedError: there is no formula for the two, and ``num_samples`` was not given.
        ValueError: ``num_samples`` is not positive; or a sample lies outside of the support of q, so that the divergence is
            infinite.
    """
    types: Any = (type(p), type(q))
    formula = _formula_for(*types)
    if formula is not None:
        try:
            return formula(p, q)
        except NotImplementedError:  # of the parts, or for these parameters
            if num_samples is None:
                raise
    if num_samples is None:
        raise NotImplementedError(
            f"kl_divergence(): there is no formula for {type(p).__name__} and {type(q).__name__}; num_samples=1000 "
            "asks for the mean of log p − log q over so many samples, and register_kl() adds a formula"
        )
    if num_samples < 1:
        raise ValueError(f"kl_divergence(): num_samples must be positive, and is {num_samples}")
    return _estimate(p, q, num_samples, generator)


def _estimate(p: Distribution, q: Distribution, n: int, generator: Generator | None) -> Tensor:
    discrete = bool(
        getattr(p.support, "is_discrete", False)
    )  # whose rsample, if there is one, is straight through: biased
    if p.has_rsample and not discrete and all(p.reparameterized.values()):
        z = p.rsample((n,), generator=generator)
        return (p.log_prob(z) - q.log_prob(z)).mean(0)
    z = p.sample((n,), generator=generator)
    log_p = p.log_prob(z)
    cost = log_p - q.log_prob(z)
    known = cost.detach()
    # the mean of the others does not depend on the sample, so that it changes no expectation: Mnih and Rezende 2016, section 2.5
    others = (known.sum(0) - known) / (n - 1) if n > 1 else 0.0
    return (cost + (known - others) * (log_p - log_p.detach())).mean(0)
