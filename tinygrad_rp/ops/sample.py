"""Sampling: noise without parameters, which a gradient passes by, and samples from distributions, at which it stops.

``randn`` and ``rand`` have no parameters: their tensors are constants, and remember that they are noise. ``normal`` and
``bernoulli`` do have parameters, and PyTorch wires them: the node exists, and hands back zeros. So it is here, and
each such edge declares why (`Stop`), and what to do instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_rp.graph import Source, Stop
from tinygrad_rp.operation import operation, public
from tinygrad_rp.ops.create import shape_of
from tinygrad_rp.random import Generator, default_generator
from tinygrad_rp.tensor import Tensor, as_dtype, float32, get_default_dtype, wrap

__all__ = ["bernoulli", "multinomial", "normal", "rand", "rand_like", "randn", "randn_like"]

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
            drawn = generator.draw("uniform", x.shape, x.dtype)
            drawn.fill(drawn.item() < p)  # the number drawn is this sample's own; a comparison costs four times as much
            return drawn
    else:
        fits = bool(((x >= 0) & (x <= 1)).all())
        p = None if fits else x[~((x >= 0) & (x <= 1))][0]
    if not fits:
        raise RuntimeError(f"bernoulli(): a probability must lie in [0, 1], and one is {p}")
    return (generator.uniform(x.shape, x.dtype) < x).astype(x.dtype)


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
    if replacement:
        # the number of category boundaries below a uniform; the last boundary is exactly the total
        bounds = np.cumsum(rows, 1)
        u = generator.uniform((len(rows), num_samples), np.dtype(np.float64)) * bounds[:, -1:]
        drawn = np.stack([np.searchsorted(b, v, side="right") for b, v in zip(bounds, u, strict=True)])
        last = rows.shape[1] - 1 - (rows[:, ::-1] > 0).argmax(1)  # rounding must not reach a category of weight 0
        drawn = np.minimum(drawn, last[:, None])
    else:
        if ((rows > 0).sum(1) < num_samples).any():
            raise RuntimeError(
                f"multinomial(): cannot draw {num_samples} different categories where fewer have a positive weight; "
                "pass replacement=True, or ask for fewer"
            )
        # the n smallest of exponential clocks that run at the rates of the weights (Efraimidis and Spirakis, 2006)
        u = generator.uniform(rows.shape, np.dtype(np.float64))
        with np.errstate(divide="ignore"):
            clocks = np.where(rows > 0, -np.log1p(-u) / rows, np.inf)
        drawn = np.argsort(clocks, 1, kind="stable")[:, :num_samples]
    return drawn.astype(np.int64).reshape((*x.shape[:-1], num_samples))


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


for _function in (bernoulli, multinomial):
    public(_function)
