"""Sampling: noise without parameters, which a gradient passes by, and samples from distributions, at which it stops.

``randn``, ``rand``, ``randint`` and ``randperm`` have no parameters: their tensors are constants, and remember that they are
noise. ``normal``, ``bernoulli`` and ``poisson`` do have parameters, and PyTorch wires them: the node exists, and hands back
zeros. So it is here, and each such edge declares why (`Stop`), and what to do instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.graph import Source, Stop
from tinygrad_rp.in_place import change, refuse_change
from tinygrad_rp.operation import operation, public
from tinygrad_rp.ops.assign import OVERWRITTEN
from tinygrad_rp.ops.create import shape_of
from tinygrad_rp.random import Generator, default_generator, source_of
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
        drawn = wrap(
            (default_generator if generator is None else source_of(generator)).draw(kind, shape, dtype), None, origin
        )
        return drawn.requires_grad_() if requires_grad else drawn

    def noise_like(
        input: Tensor, *, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False
    ) -> Tensor:
        array = input._array
        dtype = array.dtype if dtype is None else as_dtype(dtype)
        if dtype is not float32:
            _check_floating(f"{name}_like", dtype)
        drawn = wrap(
            (default_generator if generator is None else source_of(generator)).draw(kind, array.shape, dtype),
            None,
            origin_like,
        )
        return drawn.requires_grad_() if requires_grad else drawn

    noise.__name__ = noise.__qualname__ = name
    noise.__doc__ = f"Noise: numbers of {what}, of the given shape."
    noise_like.__name__ = noise_like.__qualname__ = f"{name}_like"
    noise_like.__doc__ = f"Noise: numbers of {what}, with the shape and the dtype of ``input``."
    return noise, noise_like


def _check_floating(name: str, dtype: np.dtype[Any]) -> None:
    if dtype.kind != "f":
        raise NotImplementedError(f"{name}() draws floating-point numbers, not {dtype}")


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
    return wrap(source_of(generator).integers(low, high, shape).astype(dtype, copy=False), None, origin)


def randint(
    low: Any = 0,
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
    drawn = wrap(source_of(generator).permutation(int(n)).astype(dtype, copy=False), None, _RANDPERM)
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
            raise NotImplementedError(
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
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
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
        requires_grad: whether the tensor is a leaf of a graph, where both are numbers.

    Raises:
        NotImplementedError: a tensor does not hold floating-point numbers.
        RuntimeError: ``std`` is negative somewhere; nothing has been drawn then.
    """
    source = source_of(generator)
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        if size is not None:
            raise TypeError("normal(): size goes with a mean and a std that are numbers")
        if requires_grad:
            raise TypeError("normal(): requires_grad goes with a mean and a std that are numbers")
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
    drawn: Tensor = randn(*sizes_of(size), generator=generator, dtype=dtype) * std + mean
    return drawn.requires_grad_() if requires_grad else drawn


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
        raise NotImplementedError(f"bernoulli(): the probabilities must be floating-point numbers, not {x.dtype}")
    if x.size == 1:
        p = x.item()
        fits = 0 <= p <= 1
        if fits:
            drawn = np.empty(x.shape, x.dtype)
            drawn.fill(generator.coin(p))  # comparing arrays costs four times as much
            return drawn
    else:
        seen = x if any(x.strides) or not x.size else x[(0,) * x.ndim]  # one probability, expanded, is one
        fits = bool(np.min(seen, initial=0) >= 0 and np.max(seen, initial=1) <= 1)
        p = None if fits else x[~((x >= 0) & (x <= 1))][0]
    if not fits:
        raise RuntimeError(f"bernoulli(): a probability must lie in [0, 1], and one is {p}")
    return generator.bernoulli(x, dtype=x.dtype)


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
        NotImplementedError: the probabilities are not floating-point numbers.
        RuntimeError: a probability lies outside [0, 1]; nothing has been drawn then.
    """
    return _bernoulli(input, source_of(generator))


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
    greatest = rows.max(1, keepdims=True, initial=0.0)
    if (greatest == 0).any():
        raise RuntimeError("multinomial(): the weights of a row sum to 0, so there is nothing to draw")
    rows = np.ldexp(rows, -np.frexp(greatest)[1])  # sums of huge weights would overflow, those of tiny ones lose digits
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
    return _multinomial(input, num_samples, replacement, source_of(generator))


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
    return _poisson(input, source_of(generator))


# --------------------------------------------------------------------------------------- filling a tensor with numbers


def _fill(name: str, rule: Any, formula: str, parameters: str, node: str) -> Any:
    """The method that fills a tensor with what a rule draws."""
    return operation(
        f"fill_{name}",
        rule,
        formula,
        signature=f"input, {parameters}, generator",
        stops={"x": OVERWRITTEN},
        node=node,
        title=f"{name}_",
        method=False,
    )


def _filled(self: Tensor, name: str, node: Any, *arguments: Any) -> Tensor:
    out = node(self, *arguments)
    if out._node is None:
        out._origin = (Source("noise", name),)
    return change(self, out, f"{name}()")


def _need_floating(name: str, self: Tensor, error: type[Exception]) -> None:
    refuse_change(self, f"{name}()")
    if self._array.dtype.kind != "f":
        raise error(f"{name}() draws floating-point numbers, and the tensor holds {self._array.dtype}")


def _drawn_uniform(x: Any, low: float, high: float, generator: Generator) -> Any:
    type_ = x.dtype.type
    drawn = generator.uniform(x.shape, x.dtype) * type_(high - low) + type_(low)
    return np.where(
        drawn < high, drawn, type_(low)
    )  # what was rounded up to the upper end, which is not part of the range


def _drawn_geometric(x: Any, p: float, generator: Generator) -> Any:
    waited = np.maximum(np.ceil(generator.exponential(x.shape, float64) / -np.log1p(-p)), 1)
    if x.dtype.kind == "f":
        return waited.astype(x.dtype)
    # not np.clip: 2⁶³ − 1 is no float64, and 2⁶³ no int64
    greatest = _HELD[x.dtype][1]
    fits = waited < greatest
    return np.where(fits, np.where(fits, waited, 1).astype(x.dtype), x.dtype.type(greatest))


_fill_normal = _fill(
    "normal",
    lambda x, mean, std, generator: generator.normal(x.shape, x.dtype) * x.dtype.type(std) + x.dtype.type(mean),
    "z ~ N(mean, std²), whatever was there",
    "mean, std",
    "NormalBackward0",
)
_fill_uniform = _fill(
    "uniform", _drawn_uniform, "u ~ U[low, high), whatever was there", "low, high", "UniformBackward0"
)
_fill_exponential = _fill(
    "exponential",
    lambda x, rate, generator: generator.exponential(x.shape, x.dtype) / x.dtype.type(rate),
    "z ~ Exponential(rate), whatever was there",
    "rate",
    "ExponentialBackward0",
)
_fill_log_normal = _fill(
    "log_normal",
    lambda x, mean, std, generator: np.exp(generator.normal(x.shape, x.dtype) * x.dtype.type(std) + x.dtype.type(mean)),
    "log z ~ N(mean, std²), whatever was there",
    "mean, std",
    "LogNormalBackward0",
)
_fill_cauchy = _fill(
    "cauchy",
    lambda x, median, sigma, generator: (
        np.tan(np.pi * (generator.uniform(x.shape, float64) - 0.5)) * sigma + median
    ).astype(x.dtype),
    "z ~ Cauchy(median, sigma), whatever was there",
    "median, sigma",
    "CauchyBackward0",
)
_fill_geometric = _fill(
    "geometric", _drawn_geometric, "k ~ Geometric(p), from 1 on, whatever was there", "p", "GeometricBackward0"
)
_fill_bernoulli = _fill(
    "bernoulli",
    lambda x, p, generator: generator.bernoulli(p, x.shape, x.dtype),
    "y ~ Bernoulli(p), whatever was there",
    "p",
    "BernoulliBackward2",
)
_fill_bernoulli_of = operation(
    "fill_bernoulli_of",
    lambda x, p, generator: generator.bernoulli(p, x.shape, x.dtype),
    "y ~ Bernoulli(p), whatever was there",
    signature="input, p, generator",
    inputs=2,
    stops={"x": OVERWRITTEN, "p": BERNOULLI},
    node="BernoulliBackward1",
    title="bernoulli_",
    method=False,
)


def normal_(self: Tensor, mean: float = 0, std: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Fill this tensor with numbers of the normal distribution, and return it.

    Raises:
        NotImplementedError: it does not hold floating-point numbers.
        RuntimeError: ``std`` is negative.
    """
    _need_floating("normal_", self, NotImplementedError)
    if not std >= 0:
        raise RuntimeError(f"normal_(): std must not be negative (or NaN), and is {std}")
    return _filled(self, "normal_", _fill_normal, mean, std, source_of(generator))


def uniform_(self: Tensor, low: float = 0, to: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Fill this tensor with numbers of the uniform distribution on [low, to), and return it.

    Raises:
        NotImplementedError: it does not hold floating-point numbers.
        RuntimeError: ``low`` is greater than ``to``, or the dtype does not hold the range or its length.
    """
    _need_floating("uniform_", self, NotImplementedError)
    if not low <= to:
        raise RuntimeError(
            f"uniform_(): the lower end must not be greater than the upper one, and they are {low} and {to}"
        )
    greatest = float(np.finfo(self._array.dtype).max)
    if not (-greatest <= low and to <= greatest and to - low <= greatest):
        raise RuntimeError(
            f"uniform_(): the ends and the length of the range must not exceed {greatest} in {self._array.dtype}, and it is from "
            f"{low} to {to}"
        )
    return _filled(self, "uniform_", _fill_uniform, low, to, source_of(generator))


def exponential_(self: Tensor, lambd: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Fill this tensor with numbers of the exponential distribution of rate ``lambd``, and return it.

    Raises:
        RuntimeError: it does not hold floating-point numbers, or the rate is not positive.
    """
    _need_floating("exponential_", self, RuntimeError)
    if not lambd > 0:
        raise RuntimeError(f"exponential_(): lambd must be positive, and is {lambd}")
    return _filled(self, "exponential_", _fill_exponential, lambd, source_of(generator))


def log_normal_(self: Tensor, mean: float = 1, std: float = 2, *, generator: Generator | None = None) -> Tensor:
    """Fill this tensor with numbers whose logarithms are of the normal distribution, and return it.

    Raises:
        NotImplementedError: it does not hold floating-point numbers.
        RuntimeError: ``std`` is not positive.
    """
    _need_floating("log_normal_", self, NotImplementedError)
    if not std > 0:
        raise RuntimeError(f"log_normal_(): std must be positive, and is {std}")
    return _filled(self, "log_normal_", _fill_log_normal, mean, std, source_of(generator))


def cauchy_(self: Tensor, median: float = 0, sigma: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Fill this tensor with numbers of the Cauchy distribution, and return it.

    Raises:
        RuntimeError: it does not hold floating-point numbers, or ``sigma`` is not positive.
    """
    _need_floating("cauchy_", self, RuntimeError)
    if not sigma > 0:
        raise RuntimeError(f"cauchy_(): sigma must be positive, and is {sigma}")
    return _filled(self, "cauchy_", _fill_cauchy, median, sigma, source_of(generator))


def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fill this tensor with the numbers of the trials up to the first success, of probability ``p``, and return it.

    In a dtype of integers, greater numbers become the greatest that it holds.

    Raises:
        RuntimeError: ``p`` lies outside (0, 1).
    """
    refuse_change(self, "geometric_()")
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_(): p must lie in (0, 1), and is {p}")
    return _filled(self, "geometric_", _fill_geometric, p, source_of(generator))


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fill this tensor with 1, with probability ``p``, and else 0, and return it.

    Args:
        p: a number, or a tensor that broadcasts to the shape of this one.
        generator: where the numbers come from.

    Raises:
        NotImplementedError: the probabilities are not floating-point numbers.
        RuntimeError: a probability lies outside [0, 1], or the shapes do not fit.
    """
    refuse_change(self, "bernoulli_()")
    source = source_of(generator)
    if not isinstance(p, Tensor):
        if not 0 <= p <= 1:
            raise RuntimeError(f"bernoulli_(): p must lie in [0, 1], and is {p}")
        return _filled(self, "bernoulli_", _fill_bernoulli, p, source)
    given = p._array
    if given.dtype.kind != "f":
        raise NotImplementedError(f"bernoulli_(): probabilities must be floating-point numbers, and hold {given.dtype}")
    fits = (given >= 0) & (given <= 1)
    if not fits.all():
        raise RuntimeError(f"bernoulli_(): probabilities must lie in [0, 1], and one is {given[~fits].flat[0]}")
    try:
        np.broadcast_to(given, self._array.shape)
    except ValueError:
        raise RuntimeError(
            f"bernoulli_(): p of shape {list(given.shape)} does not broadcast to the shape {list(self.shape)} of the tensor"
        ) from None
    return _filled(self, "bernoulli_", _fill_bernoulli_of, p, source)


for _function in (
    bernoulli,
    bernoulli_,
    cauchy_,
    exponential_,
    geometric_,
    log_normal_,
    multinomial,
    normal_,
    poisson,
    uniform_,
):
    public(_function)
