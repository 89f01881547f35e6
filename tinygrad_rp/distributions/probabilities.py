"""What distributions of outcomes share that can be given by probabilities or by logits: the two names for one parameter.

Whichever was given is the parameter, and stays as it was given; the other is computed from it. No probability is moved away
from 0 or 1: where an outcome is certain, or impossible, formulas are exact there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from tinygrad_rp.distributions import constraints
from tinygrad_rp.distributions.distribution import Distribution, offending
from tinygrad_rp.ops.density import deviance, deviance_of_log
from tinygrad_rp.ops.elementwise import log, logit, logsigmoid, sigmoid, where
from tinygrad_rp.ops.reduce import log_softmax, softmax
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Size, Tensor, wrap

__all__ = ["OfCategories", "OfTrials"]


def _the_given(owner: str, probs: Any, logits: Any) -> dict[str, Any]:
    """The one parameter that was given, by name."""
    if (probs is None) == (logits is None):
        found = "neither was given" if probs is None else "both were given"
        raise ValueError(f"{owner}: give either probs or logits; {found}")
    return {"probs": probs} if logits is None else {"logits": logits}


class _OfOutcomes(Distribution):
    may_be_infinite: ClassVar[tuple[str, ...]] = ("logits",)

    @property
    def _by_probs(self) -> bool:
        return "probs" in self._parameters

    @property
    def _given(self) -> Tensor:
        """The parameter itself."""
        return self._parameters["probs" if self._by_probs else "logits"]

    @property
    def param_shape(self) -> Size:
        """The shape of the probabilities, or of the logits."""
        return self._given.shape


class OfTrials(_OfOutcomes):
    """A distribution of independent trials that succeed or fail.

    Args of `_begin_trials`: ``probs``, of success, in [0, 1], or ``logits``, log(p / (1 − p)), which may be infinite.
    """

    arg_constraints: Mapping[str, constraints.Constraint] = {
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }

    def _begin_trials(self, probs: Any, logits: Any, validate_args: bool | None, **others: Any) -> None:
        self._begin(_the_given(type(self).__name__, probs, logits) | others, validate_args=validate_args)

    def _begin_counted_trials(self, total_count: Any, probs: Any, logits: Any, validate_args: bool | None) -> None:
        given = _the_given(type(self).__name__, probs, logits)
        (beside,) = given.values()
        if isinstance(beside, Tensor) and beside.is_floating_point() and isinstance(total_count, Tensor):
            total_count = total_count.to(beside.dtype)
        self._begin({"total_count": total_count, **given}, validate_args=validate_args)

    @property
    def probs(self) -> Tensor:
        """The probability of success."""
        return self._given if self._by_probs else sigmoid(self._given)

    @property
    def logits(self) -> Tensor:
        """``log(probs / (1 − probs))``."""
        return logit(self._given) if self._by_probs else self._given

    @property
    def _failure(self) -> Tensor:
        """The probability of failure, with all of its digits."""
        return 1 - self._given if self._by_probs else sigmoid(-self._given)

    @property
    def _log_failure(self) -> Tensor:
        return (-self._given).log1p() if self._by_probs else logsigmoid(-self._given)

    @property
    def _scores(self) -> Tensor:
        """The logits: ±∞ where a probability is 0 or 1, and then flat."""
        if not self._by_probs:
            return self._given
        p = self._given._array
        inside = (p > 0) & (p < 1)
        if inside.all():
            return logit(self._given)
        middle, ends = wrap(np.asarray(inside)), wrap(np.where(p > 0, np.inf, -np.inf).astype(p.dtype))
        return where(middle, logit(where(middle, self._given, 0.5)), ends)

    @property
    def _doubles(self) -> tuple[Any, Any]:
        """For sampling: the odds are the ratio of these two probabilities in float64."""
        given = self._given._array.astype(np.float64)
        if self._by_probs:
            return given, 1 - given
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-given)), 1 / (1 + np.exp(given))

    def _trial_divergence(self, other: OfTrials) -> Tensor:
        """KL of one trial: of two probabilities and their complements, the deviances, which are never negative."""
        p, q = self.probs, self._failure
        if not self._by_probs:  # an impossible outcome, of infinite slope by p, which then is flat by the logits
            p, q = _flat_at_zero(p), _flat_at_zero(q)
        if other._by_probs:
            return deviance(p, other._given) + deviance(q, 1 - other._given)
        return deviance_of_log(p, logsigmoid(other._given)) + deviance_of_log(q, logsigmoid(-other._given))


class OfCategories(_OfOutcomes):
    """A distribution of trials with one of several outcomes, numbered along the last dimension of its parameter.

    Args of `_begin_categories`: ``probs``, weights of the categories, not negative, which are divided by their sum; or
    ``logits``, logarithms of such weights, of which some may be −∞.
    """

    arg_constraints: Mapping[str, constraints.Constraint] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }

    def _begin_categories(
        self, probs: Any, logits: Any, validate_args: bool | None, *, events: int = 0, **others: Any
    ) -> None:
        given = _the_given(type(self).__name__, probs, logits)
        self._begin(given | others, event_shape=events, validate_args=validate_args)

    def _check_parameters(self) -> None:
        """Checked is what was given, so that the error can show it: weights that sum to any number."""
        name = type(self).__name__
        given: Any = self._given._array
        if self._by_probs:
            fits = (given >= 0) & (given < np.inf)
            if not fits.all():
                found = offending(self._given, fits)
                raise ValueError(f"{name}: probs must be weights, finite and at least 0, but {found}")
            total = given.sum(-1)
            fits = np.asarray((total > 0) & (total < np.inf))
            if not fits.all():
                found = offending(self._given, fits)
                raise ValueError(f"{name}: probs must have a positive, finite sum, to be divided by, but {found}")
            return
        fits = given < np.inf
        if not fits.all():
            raise ValueError(f"{name}: logits must be numbers, or −inf, but {offending(self._given, fits)}")
        fits = (given > -np.inf).any(-1)
        if not fits.all():
            raise ValueError(f"{name}: logits must not all be −inf, but {offending(self._given, fits)}")

    @property
    def probs(self) -> Tensor:
        """The probabilities; they sum to 1."""
        return self._given / self._given.sum(-1, True) if self._by_probs else softmax(self._given, -1)

    @property
    def logits(self) -> Tensor:
        """The logarithms of the probabilities."""
        return log(self.probs) if self._by_probs else log_softmax(self._given, -1)

    @property
    def _categories(self) -> int:
        return int(self._given._array.shape[-1])

    @property
    def _weights(self) -> Any:
        """For sampling: weights in float64, the greatest of which is 1."""
        given = self._given._array.astype(np.float64)
        greatest = given.max(-1, keepdims=True)
        return given / greatest if self._by_probs else np.exp(given - greatest)

    def _drawn(self, shape: tuple[int, ...], generator: Generator) -> Any:
        """Numbers of categories: samples of this shape, which ends in that of the batch."""
        rows = self._weights.reshape(-1, self._categories)
        count = int(np.prod(shape[: len(shape) - len(self.batch_shape)], dtype=np.int64))
        return np.ascontiguousarray(generator.categorical(rows, count).T).reshape(shape)

    @property
    def _scores(self) -> Tensor:
        """Logarithms of weights: −∞ where one is 0, and then flat, so that the others get their gradient."""
        if not self._by_probs:
            return self._given
        impossible = wrap(np.asarray(self._given._array == 0))
        return (
            where(impossible, -np.inf, log(where(impossible, 1.0, self._given)))
            if impossible.any()
            else log(self._given)
        )

    def _log_prob_of(self, index: Tensor) -> Tensor:
        """Of the categories with these numbers."""
        places = index.long()
        if places.numel() and places.min() < 0:  # which would count from the end
            least = places.min().item()
            raise IndexError(f"{type(self).__name__}.log_prob(): the number of a category is at least 0, not {least}")
        dims = max(places.ndim, len(self.batch_shape))
        places = places.reshape((1,) * (dims - places.ndim) + tuple(places.shape)).unsqueeze(-1)
        given = self._given if self._by_probs else log_softmax(self._given, -1)
        given = given.reshape((1,) * (dims - len(self.batch_shape)) + tuple(given.shape))
        chosen = given.take_along_dim(places, -1).squeeze(-1)
        return log(chosen) - log(self._given.sum(-1)) if self._by_probs else chosen

    def _category_divergence(self, other: OfCategories) -> Tensor:
        """KL of one trial: Σ p log(p / q), as the sum of deviances, which are never negative."""
        if self._by_probs:
            p, total = self._given, self._given.sum(-1)
        else:
            p, total = _flat_at_zero(softmax(self._given, -1)), None
        if other._by_probs:
            share = other._given.sum(-1) if total is None else other._given.sum(-1) / total
            each = deviance(p, other._given / share.unsqueeze(-1))
        else:
            log_q = log_softmax(other._given, -1)
            each = deviance_of_log(p, log_q if total is None else log_q + log(total).unsqueeze(-1))
        divergence = each.sum(-1)
        return divergence if total is None else divergence / total


def _flat_at_zero(p: Tensor) -> Tensor:
    return where(p == 0, 0.0, p)
