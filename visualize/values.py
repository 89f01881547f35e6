"""How a value is shown: four significant digits, or, where it is too large to be read, its shape and what is in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Summary", "array_of", "count", "show", "summary"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What there is to know of a large value.

    Args:
        shape: its shape.
        count: how many elements.
        mean: of the finite elements; likewise what follows. NaN where there is none.
        sd: their standard deviation.
        low: the smallest.
        high: the largest.
        norm: the root of the sum of squares.
        largest: the largest absolute value.
        zeros: how many elements are exactly 0.
        nans: how many are NaN.
        infinite: how many are infinite.
    """

    shape: tuple[int, ...]
    count: int
    mean: float
    sd: float
    low: float
    high: float
    norm: float
    largest: float
    zeros: int
    nans: int
    infinite: int

    @property
    def finite(self) -> bool:
        """Whether all elements are."""
        return not self.nans and not self.infinite

    @property
    def vanishes(self) -> bool:
        """Whether all elements are exactly 0."""
        return self.zeros == self.count

    def __str__(self) -> str:
        bad = [f"{n} {what}" for n, what in ((self.nans, "NaN"), (self.infinite, "infinite")) if n]
        if math.isnan(self.mean):
            said = []
        elif self.low == self.high:
            said = [f"{'all' if not bad else 'else'} {self.low:.4g}"]
        else:
            said = [f"{self.mean:.3g} ± {self.sd:.2g}", f"{self.low:.3g} … {self.high:.3g}"]
        return ", ".join([*said, *bad])


def array_of(value: Any) -> np.ndarray[Any, Any] | None:
    """The elements of an array, a tensor or a number, without copying where that can be; ``None`` where there are none to
    be had (of a sparse tensor, or one without memory)."""
    try:
        if hasattr(value, "detach"):
            value = value.detach()
            if hasattr(value, "cpu"):
                value = value.cpu()
            if str(value.dtype) in (
                "torch.bfloat16",
                "torch.float16",
            ):  # NumPy does not know the one, overflows in the other
                value = value.float()
            for lazily in ("resolve_conj", "resolve_neg"):  # PyTorch marks a conjugate, and computes it later
                value = getattr(value, lazily, lambda value=value: value)()
            value = value.numpy()
        array = np.asarray(value)
    except (AttributeError, RuntimeError, TypeError, ValueError, NotImplementedError):
        return None
    return array if array.dtype.kind in "fiubc" else None


def summary(value: Any) -> Summary | None:
    """Mean, spread, range and what is not finite; ``None`` for what has no elements that can be looked at."""
    array = array_of(value)
    if array is None:
        return None
    if array.dtype.kind == "c":
        array = np.abs(array)
    numbers = array.astype(np.float64, copy=False).ravel()
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        mean = sd = low = high = math.nan
        norm = largest = 0.0
    else:
        low, high = float(finite.min()), float(finite.max())
        largest = max(abs(low), abs(high))
        scaled = finite / largest if largest else finite  # squares of the largest numbers overflow
        mean, sd = float(scaled.mean()) * (largest or 1.0), float(scaled.std()) * (largest or 1.0)
        norm = float(np.sqrt(np.dot(scaled, scaled))) * (largest or 1.0)
    return Summary(
        shape=array.shape,
        count=array.size,
        mean=mean,
        sd=sd,
        low=low,
        high=high,
        norm=norm,
        largest=largest,
        zeros=int(array.size - np.count_nonzero(array)),
        nans=int(np.isnan(numbers).sum()),
        infinite=int(np.isinf(numbers).sum()),
    )


def count(value: Any) -> int:
    """How many elements a value has; 1 for a number."""
    numel = getattr(value, "numel", None)
    if callable(numel):
        return int(numel())
    size = getattr(value, "size", 1)
    return size if isinstance(size, int) else 1


def show(value: Any, limit: int = 8) -> str:
    """Show an array, a tensor or a number.

    Args:
        value: what to show.
        limit: a value of more elements is shown by its shape, and by mean ± standard deviation and range.

    Returns:
        ``"[12, 0.5312]"``, or ``"shape (64, 10): 0.02 ± 1.1, -3.1 … 2.9, 1 NaN"``; one line.
    """
    shape = getattr(value, "shape", None)
    try:
        n = count(value)
        if 0 < n <= limit:
            return _digits(value.tolist() if hasattr(value, "tolist") else value)
    except (RuntimeError, TypeError, ValueError, NotImplementedError):  # sparse or without data: no list of elements
        return f"shape {_tuple(shape)}" if shape is not None else type(value).__name__
    said = str(summary(value) or "") if n else ""
    return f"shape {_tuple(shape)}" + (f": {said}" if said else "")


def _tuple(shape: Any) -> str:
    return str(tuple(shape)) if shape is not None else "unknown"


def _digits(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_digits, value)) + "]"  # as deep as the array has dimensions
    return f"{value:.4g}" if isinstance(value, float | complex) else str(value)
