"""The base of the estimators: what they are asked, what they return, and what is checked before and after.

An estimator has one shape. Given a cost f, a distribution and a number of samples, it returns a tensor whose value is the
estimate of E f(z), and whose gradient is the estimate of the gradient of E f(z)::

    theta = tg.tensor(1.0, requires_grad=True)
    estimate = ScoreFunction()(lambda z: z**2, Normal(theta, 1.0), 1000)
    estimate.backward()  # theta.grad is about 2

One is one class in one file: its name, its bias, what it needs, and a formula. This is all of the pathwise one, but for what it
refuses::

    class Pathwise(Estimator):
        name = "pathwise"
        bias = "unbiased, where the cost is continuous in the sample"
        needs = ("rsample",)

        def _estimate(self, cost, distribution, num_samples, generator):
            return cost(distribution.rsample((num_samples,), generator=generator)).mean(0)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

from tinygrad_rp.distributions.distribution import Distribution, sum_rightmost
from tinygrad_rp.random import Generator
from tinygrad_rp.tensor import Tensor

__all__ = ["Estimator", "joint_log_prob"]

Cost = Callable[[Tensor], Tensor]


class Estimator:
    """An estimator of the mean of a cost over a distribution, and of its gradient."""

    name: str
    """What the field calls it."""
    bias: ClassVar[str]
    """``"unbiased"``, or where and why not: of the gradient, since the value is always unbiased."""
    needs: ClassVar[tuple[str, ...]]
    """The methods of the distribution without which there is no estimate."""
    higher_derivatives: ClassVar[bool]
    """Whether derivatives of the gradient estimate those of the true gradient, too, of any order."""

    least_samples: int = 1
    """How many samples it needs."""

    def __call__(
        self, cost: Cost, distribution: Distribution, num_samples: int = 1, *, generator: Generator | None = None
    ) -> Tensor:
        """Estimate the mean of a cost.

        Args:
            cost: of the samples, a tensor of shape ``(num_samples,) + batch_shape + event_shape``. It is called once, and
                returns one number for each sample and each distribution of the batch, of shape ``(num_samples,) + batch_shape``;
                or one for each sample, of shape ``(num_samples,)``, of all distributions of the batch together; or one for each
                of the first dimensions of the batch. A number must depend on no sample but its own. It may depend on parameters
                beside the sample, to which gradient goes as well.
            distribution: of the samples.
            num_samples: how many.
            generator: where the noise comes from.

        Returns:
            The mean over the samples, of the shape of the costs without its first dimension: exactly that number, with a history
            that is made for its gradient.

        Raises:
            TypeError: ``cost`` is no function, or returns no tensor of floating-point numbers; ``distribution`` is none;
                ``num_samples`` is no integer.
            NotImplementedError: the distribution lacks what the estimator needs; the message says what to use instead.
            ValueError: ``num_samples`` is too small, or the costs have another shape.
        """
        name = type(self).__name__
        if not callable(cost):
            raise TypeError(f"{name}: cost must be a function of the samples, not {type(cost).__name__}")
        if not isinstance(distribution, Distribution):
            raise TypeError(f"{name}: distribution must be a Distribution, not {type(distribution).__name__}")
        if not isinstance(num_samples, int) or isinstance(num_samples, bool):
            raise TypeError(f"{name}: num_samples must be an integer, not {type(num_samples).__name__}")
        if num_samples < self.least_samples:
            raise ValueError(f"{self} needs num_samples of {self.least_samples} or more, and it is {num_samples}")
        for method in self.needs:
            _need(name, distribution, method)
        return self._estimate(functools.partial(_costs, name, cost, distribution), distribution, num_samples, generator)

    def _estimate(
        self, cost: Cost, distribution: Distribution, num_samples: int, generator: Generator | None
    ) -> Tensor:
        """The formula; arguments as for `__call__`, and checked. What ``cost`` returns is checked, too."""
        raise NotImplementedError(f"{type(self).__name__} needs a method _estimate()")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def joint_log_prob(distribution: Distribution, log_prob: Tensor, costs: Tensor) -> Tensor:
    """One number for each of the costs: the log-probabilities of distributions that share a cost are added up."""
    return sum_rightmost(log_prob, len(distribution.batch_shape) - (costs.ndim - 1))


def _need(name: str, distribution: Distribution, method: str) -> None:
    fact = getattr(distribution, f"has_{method}", None)
    has = getattr(type(distribution), method) is not getattr(Distribution, method) if fact is None else bool(fact)
    if not has:
        stops = distribution.stops.values()
        remedies = dict.fromkeys(r for stop in stops for r in stop.remedies if method != "log_prob" or method not in r)
        more = f". Instead: {'; or '.join(remedies)}" if remedies else ""
        raise NotImplementedError(f"{name} needs {method}(), which {type(distribution).__name__} has not{more}")


def _costs(name: str, cost: Cost, distribution: Distribution, z: Tensor) -> Tensor:
    """The costs of samples, if there is one for each."""
    costs: Any = cost(z)
    if not isinstance(costs, Tensor):
        raise TypeError(f"{name}: cost must return a tensor, and returned {type(costs).__name__}")
    batch, shape = tuple(distribution.batch_shape), tuple(costs.shape)
    n = z.shape[0]
    fitting = [(n, *batch[:k]) for k in range(len(batch) + 1)]
    if shape not in fitting:
        raise ValueError(
            f"{name}: cost must return one number for each sample, of shape {' or '.join(str(list(s)) for s in fitting)}, and "
            f"returned shape {list(shape)} for samples of shape {list(z.shape)}: add up over the dimensions of an event, and "
            "take no mean over samples"
        )
    if not costs.is_floating_point():
        raise TypeError(
            f"{name}: cost must return floating-point numbers, not {costs.dtype}: convert them with float()"
        )
    return costs
