"""Sampling: noise without parameters, which a gradient passes by, and samples from distributions, at which it stops.

``randn``, ``rand``, ``randint`` and ``randperm`` have no parameters: their tensors are constants, and remember that they are
noise. ``normal``, ``bernoulli`` and ``poisson`` do have parameters, and PyTorch wires them: the node exists, and hands back
zeros. So it is here, and each such edge declares why (`Stop`), and what to do instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.graph import Source, Stop
from tinygrad_rp.operation import operation, public
from tinygrad_rp.ops.create import shape_of
from tinygrad_rp.random import Generator, default_generator
from tinygrad_rp.tensor import RANGES, Tensor, as_dtype, bool_, float32, float64, get_default_dtype, int64, wrap

__all__ = [
    "bernoulli",
    "multinomial",
    "normal",
    "poisson",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
]

Generator.as_state = staticmethod(wrap)

# ---------------------------------------------------------------------------------------------------------------- noise


def _noise(kind: str, what: str) -> tuple[Any, Any]:
    name = "rand" if kind == "uniform" else "randn"
    origin = (Source("noise", name),)
    origin_like = (Source("noise", f"{name}_like"),)

    def noise(
        *shape: Any,
        size: Any = None,
        generator: Generator | None = None,
        dtype: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:
        if dtype is None:
            dtype = get_default_dtype()
        else:
            dtype = as_dtype(dtype)
            _check_floating(name, dtype)
        if len(shape) != 1 or shape[0].__class__ is not int or shape[0] < 0:
            shape = shape_of(name, shape, size)
        drawn = wrap((generator or default_generator).draw(kind, shape, dtype), None, origin)
        return drawn.requires_grad_() if requires_grad else drawn

    def noise_like(
        input: Tensor, *, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False
    ) -> Tensor:
        array = input._array
        dtype = array.dtype if dtype is None else as_dtype(dtype)
        if dtype is not float32:
            _check_floating(f"{name}_like", dtype)
        drawn = wrap((generator or default_generator).draw(kind, array.shape, dtype), None, origin_like)
        return drawn.requires_grad_() if requires_grad else drawn

    noise.__name__ = noise.__qualname__ = name
    noise.__doc__ = f"Noise: numbers of {what}, of the given shape."
    noise_like.__name__ = noise_like.__qualname__ = f"{name}_like"
    noise_like.__doc__ = f"Noise: numbers of {what}, with the shape and the dtype of ``input``."
    return noise, noise_like


def _check_floating(name: str, dtype: np.dtype[Any]) -> None:
    if dtype.kind != "f":
        raise RuntimeError(f"{name}() draws floating-point numbers, not {dtype}")


rand, rand_like = _noise("uniform", "the uniform distribution on [0, 1)")
randn, randn_like = _noise("normal", "the standard normal distribution")


# ---------------------------------------------------------------------------------------------------- random integers

_RANDINT = (Source("noise", "randint"),)
_RANDINT_LIKE = (Source("noise", "randint_like"),)
_RANDPERM = (Source("noise", "randperm"),)
# the integers that a dtype holds without gaps
_HELD: dict[np.dtype[Any], tuple[int, int]] = {
    **RANGES,
    bool_: (0, 1),
    float32: (-(2**24), 2**24),
    float64: (-(2**53), 2**53),
}


def _bounds(name: str, low: Any, high: Any, dtype: np.dtype[Any]) -> tuple[int, int]:
    """The range of `randint`, checked."""
    if high is None:
        low, high = 0, low
    for argument, value in (("low", low), ("high", high)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"{name}(): {argument} must be an integer, not {type(value).__name__}")
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{name}(): {argument} must fit into 64 bits, and is {value}")
    if low >= high:
        raise RuntimeError(f"{name}(): low must be less than high, and they are {low} and {high}")
    least, greatest = _HELD[dtype]
    if low < least or high - 1 > greatest:
        raise RuntimeError(
            f"{name}(): {dtype} holds the integers from {least} to {greatest}, and those from {low} to {high - 1} were asked for"
        )
    return int(low), int(high)


def _integers(
    name: str, low: Any, high: Any, shape: tuple[int, ...], dtype: Any, generator: Any, origin: Any
) -> Tensor:
    low, high = _bounds(name, low, high, dtype)
    return wrap((generator or default_generator).integers(low, high, shape).astype(dtype, copy=False), None, origin)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Noise: integers ``low ≤ k < high``, all equally likely. ``randint(high, size)`` starts at 0.

    Args:
        low: the least.
        high: one more than the greatest.
        size: the shape.
        generator: where the numbers come from.
        dtype: int64, unless it is given.
        requires_grad: whether the tensor is a leaf of a graph; its dtype must be a floating-point one.

    Raises:
        RuntimeError: ``low`` is not less than ``high``, or the dtype does not hold all of the range.
        TypeError: a bound is no integer, or there is no size.
        ValueError: a bound does not fit into 64 bits.
    """
    if size is None and isinstance(high, tuple | list):
        high, size = None, high
    if size is None or isinstance(size, int):
        raise TypeError(f"randint(): size, the shape, must be a tuple of integers, and is {size}")
    dtype = int64 if dtype is None else as_dtype(dtype)
    drawn = _integers("randint", low, high, shape_of("randint", (), size), dtype, generator, _RANDINT)
    return drawn.requires_grad_() if requires_grad else drawn


def randint_like(
    input: Tensor,
    low: int,
    high: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Noise: integers as of `randint`, with the shape and the dtype of ``input``. Errors as for `randint`."""
    array = input._array
    dtype = array.dtype if dtype is None else as_dtype(dtype)
    drawn = _integers("randint_like", low, high, array.shape, dtype, generator, _RANDINT_LIKE)
    return drawn.requires_grad_() if requires_grad else drawn


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Noise: the integers 0 to ``n`` − 1 in random order, of which all orders are equally likely.

    Args:
        n: how many.
        generator: where the numbers come from.
        dtype: int64, unless it is given.
        requires_grad: whether the tensor is a leaf of a graph; its dtype must be a floating-point one.

    Raises:
        RuntimeError: ``n`` is negative, or the dtype does not hold all integers below.
        TypeError: ``n`` is no integer.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise TypeError(f"randperm(): n must be an integer, not {type(n).__name__}")
    if n < 0:
        raise RuntimeError(f"randperm(): n must not be negative, and is {n}")
    dtype = int64 if dtype is None else as_dtype(dtype)
    if dtype is bool_:
        raise NotImplementedError("randperm() is not defined for bool")
    if n - 1 > _HELD[dtype][1]:
        raise RuntimeError(f"randperm(): {dtype} holds integers up to {_HELD[dtype][1]}, and n is {n}")
    drawn = wrap((generator or default_generator).permutation(int(n)).astype(dtype, copy=False), None, _RANDPERM)
    return drawn.requires_grad_() if requires_grad else drawn


# -------------------------------------------------------------------------------------------------- the normal distribution

NORMAL = Stop(
    "zero",
    "normal() draws its value: no formula leads from mean and std to the number drawn, so zeros go back to them.",
    (
        "reparameterise: mean + std * torch.randn_like(std), which is Normal(mean, std).rsample() of the distributions",
        "where the cost is not differentiable, the score function: backward through cost * Normal(mean, std).log_prob(z)",
    ),
)


def _drawn_normal(mean: Any, std: Any, generator: Generator) -> Any:
    for name, value in (("mean", mean), ("std", std)):
        if isinstance(value, np.ndarray) and value.dtype.kind != "f":
            raise RuntimeError(
                f"normal(): {name} must hold floating-point numbers, not {value.dtype}; use float() before"
            )
    low = std.min(initial=np.inf) if isinstance(std, np.ndarray) else std
    if not low >= 0:
        raise RuntimeError(f"normal(): std must not be negative (or NaN), and its least element is {low}")
    first = mean if isinstance(mean, np.ndarray) else std
    if isinstance(mean, np.ndarray) and isinstance(std, np.ndarray) and mean.dtype != std.dtype:
        raise RuntimeError(f"normal(): mean and std must have the same dtype, and have {mean.dtype} and {std.dtype}")
    shape = np.broadcast_shapes(np.shape(mean), np.shape(std))
    return generator.normal(shape, first.dtype) * std + mean


def _normal_node(digit: int, mean: bool, std: bool) -> Any:
    inputs = [name for name, is_input in (("mean", mean), ("std", std)) if is_input]
    forward = {
        "mean std": lambda mean, std, generator: _drawn_normal(mean, std, generator),
        "mean": lambda mean, std, generator: _drawn_normal(mean, std, generator),
        "std": lambda std, mean, generator: _drawn_normal(mean, std, generator),
    }[" ".join(inputs)]
    others = [name for name in ("mean", "std") if name not in inputs]
    return operation(
        "normal" if digit == 3 else f"normal_{digit}",
        forward,
        "z ~ N(mean, std²)",
        signature=", ".join([*inputs, *others, "generator"]),
        inputs=len(inputs),
        stops={name: NORMAL for name in inputs},
        node=f"NormalBackward{digit}",
        title="normal",
        method=False,
    )


_normal_of_both = _normal_node(3, True, True)
_normal_of_mean = _normal_node(1, True, False)
_normal_of_std = _normal_node(2, False, True)


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: Any = None
) -> Tensor:
    """A sample of the normal distribution.

    Its node hands back zeros to ``mean`` and ``std`` (see its ``stops``); ``backward`` warns of it. Reparameterise for a
    gradient: ``mean + std * randn_like(std)``.

    Args:
        mean: a tensor or a number.
        std: the standard deviation, a tensor that broadcasts with ``mean``, or a number.
        size: the shape, where both are numbers.
        generator: where the numbers come from.
        dtype: of the result, where both are numbers.

    Raises:
        RuntimeError: ``std`` is negative somewhere; nothing has been drawn then.
    """
    source = generator or default_generator
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        if size is not None:
            raise TypeError("normal(): size goes with a mean and a std that are numbers")
        if dtype is not None:
            raise TypeError(
                "normal(): dtype goes with a mean and a std that are numbers; a sample has that of its tensors"
            )
        if not isinstance(std, Tensor):
            return _normal_of_mean(mean, std, source)
        if not isinstance(mean, Tensor):
            return _normal_of_std(std, mean, source)
        return _normal_of_both(mean, std, source)
    if size is None:
        raise TypeError("normal(): give size=, the shape, where mean and std are numbers")
    if not std >= 0:
        raise RuntimeError(f"normal(): std must not be negative (or NaN), and is {std}")
    return randn(*sizes_of(size), generator=generator, dtype=dtype) * std + mean


def sizes_of(size: Any) -> tuple[int, ...]:
    """The shape that ``size=`` names."""
    return shape_of("normal", (), size)


# ----------------------------------------------------------------------------------------------- discrete distributions

BERNOULLI = Stop(
    "zero",
    "bernoulli() draws 0 or 1: as p changes, the value stays or jumps, so zeros go back to p.",
    (
        "straight-through (biased): p + (bernoulli(p) - p).detach()",
        "relax it (biased, less so at a low temperature): the Gumbel-softmax, a sigmoid of noisy logits",
        "the score function (unbiased): backward through cost * (y * log(p) + (1 - y) * log(1 - p))",
    ),
)


def _drawn_bernoulli(x: Any, generator: Generator) -> Any:
    if x.dtype.kind != "f":
        raise RuntimeError(f"bernoulli(): the probabilities must be floating-point numbers, not {x.dtype}")
    if x.size == 1:
        p = x.item()
        fits = 0 <= p <= 1
        if fits:
            drawn = np.empty(x.shape, x.dtype)
            drawn.fill(generator.coin(p))  # comparing arrays costs four times as much
            return drawn
    else:
        fits = bool(((x >= 0) & (x <= 1)).all())
        p = None if fits else x[~((x >= 0) & (x <= 1))][0]
    if not fits:
        raise RuntimeError(f"bernoulli(): a probability must lie in [0, 1], and one is {p}")
    return generator.bernoulli(x).astype(x.dtype)


_bernoulli = operation(
    "bernoulli",
    _drawn_bernoulli,
    "y ~ Bernoulli(p)",
    signature="input, generator",
    stops={"x": BERNOULLI},
    method=False,
)


def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """A sample of the Bernoulli distribution, 1 with probability ``input`` and else 0, element by element.

    Its node hands back zeros to the probabilities (see its ``stops``); ``backward`` warns of it.

    Args:
        input: the probabilities, in [0, 1].
        generator: where the numbers come from.

    Raises:
        RuntimeError: a probability lies outside [0, 1]; nothing has been drawn then.
    """
    return _bernoulli(input, generator or default_generator)


MULTINOMIAL = Stop(
    "missing",
    "multinomial() draws the number of a category, an integer: no gradient is wired.",
    (
        "relax it (biased): softmax((logits + gumbel) / temperature), the Gumbel-softmax",
        "the score function (unbiased): backward through cost * log(p)[index]",
    ),
)


def _drawn_multinomial(x: Any, num_samples: int, replacement: bool, generator: Generator) -> Any:
    if x.dtype.kind != "f":
        raise RuntimeError(f"multinomial(): the weights must be floating-point numbers, not {x.dtype}")
    if x.ndim not in (1, 2):
        raise RuntimeError(
            f"multinomial(): the weights must have one or two dimensions, and have shape {list(x.shape)}"
        )
    if not np.isfinite(x).all() or (x < 0).any():
        raise RuntimeError("multinomial(): the weights must be finite and not negative")
    rows = np.atleast_2d(x).astype(np.float64)
    if (rows.sum(1) <= 0).any():
        raise RuntimeError("multinomial(): the weights of a row sum to 0, so there is nothing to draw")
    if num_samples <= 0:
        raise RuntimeError(f"multinomial(): num_samples must be positive, and is {num_samples}")
    if not replacement and ((rows > 0).sum(1) < num_samples).any():
        raise RuntimeError(
            f"multinomial(): cannot draw {num_samples} different categories where fewer have a positive weight; "
            "pass replacement=True, or ask for fewer"
        )
    drawn = (generator.categorical if replacement else generator.choice)(rows, num_samples)
    return drawn.reshape((*x.shape[:-1], num_samples))


_multinomial = operation(
    "multinomial",
    _drawn_multinomial,
    "indices ~ Categorical(weights / Σ weights)",
    signature="input, num_samples, replacement, generator",
    stops={"x": MULTINOMIAL},
    differentiable=False,
    method=False,
)


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices of categories, drawn with probabilities in proportion to the weights.

    Args:
        input: the weights, of shape (categories,) or (rows, categories); they need not sum to 1.
        num_samples: how many to draw for each row.
        replacement: whether a category can be drawn again.
        generator: where the numbers come from.

    Returns:
        int64 indices of shape (num_samples,) or (rows, num_samples).

    Raises:
        RuntimeError: a weight is negative or not finite, a row sums to 0, or there are too few categories.
    """
    return _multinomial(input, num_samples, replacement, generator or default_generator)


POISSON = Stop(
    "zero",
    "poisson() draws a count: as the rate changes, the value stays or jumps, so zeros go back to the rate.",
    ("the score function (unbiased): backward through cost * (y * log(rate) - rate)",),
)


def _drawn_poisson(x: Any, generator: Generator) -> Any:
    if x.dtype.kind != "f":
        raise NotImplementedError(f"poisson(): the rates must be floating-point numbers, not {x.dtype}")
    fits = (x >= 0) & (x < np.inf)
    if not fits.all():
        raise RuntimeError(f"poisson(): a rate must be finite and not negative, and one is {x[~fits].flat[0]}")
    return generator.poisson(x, x.dtype)


_poisson = operation(
    "poisson",
    _drawn_poisson,
    "y ~ Poisson(rate)",
    signature="input, generator",
    stops={"x": POISSON},
    method=False,
)


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """A sample of the Poisson distribution with the rate ``input``, element by element.

    Its node hands back zeros to the rates (see its ``stops``); ``backward`` warns of it.

    Args:
        input: the rates, finite and not negative.
        generator: where the numbers come from.

    Raises:
        NotImplementedError: the rates are not floating-point numbers.
        RuntimeError: a rate is negative, infinite or NaN; nothing has been drawn then.
    """
    return _poisson(input, generator or default_generator)


for _function in (bernoulli, multinomial, poisson):
    public(_function)
