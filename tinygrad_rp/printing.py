"""How a tensor prints: as PyTorch prints it, so that what a tutorial shows is what appears."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

__all__ = ["format_tensor"]

PRECISION = 4
THRESHOLD = 1000
"""A tensor of more elements is shown by its edges only."""
EDGE = 3
WIDTH = 80


class _Format:
    """One format for all elements of a tensor, so that columns align."""

    def __init__(self, values: ndarray[Any, Any]) -> None:
        self.kind = values.dtype.kind
        self.style = "plain"
        self.width = 1
        flat = values.ravel()
        if self.kind == "f":
            shown = flat[np.isfinite(flat) & (flat != 0)].astype(np.float64)
            if shown.size:
                magnitude = np.abs(shown)
                low, high = float(magnitude.min()), float(magnitude.max())
                whole = bool(np.all(shown == np.ceil(shown)))
                if high > 1e8 or (high / low > 1000 if low > 0 else True) or (not whole and low < 1e-4):
                    self.style = "scientific"
                elif whole:
                    self.style = "whole"
                else:
                    self.style = "decimal"
            else:
                self.style = "whole"
            measured = flat[np.isfinite(flat) & (flat != 0)]  # zeros, nan and inf do not count
        else:
            measured = flat
        self.width = max((len(self.one(v)) for v in measured.tolist()), default=1)

    def one(self, value: Any) -> str:
        if self.kind == "f":
            if not math.isfinite(value):
                return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
            if self.style == "scientific":
                return f"{value:.{PRECISION}e}"
            if self.style == "whole":
                return f"{value:.0f}."
            return f"{value:.{PRECISION}f}"
        return str(value)

    def padded(self, value: Any) -> str:
        return self.one(value).rjust(self.width)


def _edges_of(array: ndarray[Any, Any]) -> ndarray[Any, Any]:
    """The elements that a summary shows."""
    for axis, n in enumerate(array.shape):
        if n > 2 * EDGE:
            array = np.take(array, [*range(EDGE), *range(n - EDGE, n)], axis=axis)
    return array


def _lines(array: ndarray[Any, Any], indent: int, summarise: bool, form: _Format) -> str:
    if array.ndim == 0:
        return form.padded(array.item())
    gap = summarise and len(array) > 2 * EDGE
    if array.ndim == 1:
        per_line = max(1, (WIDTH - indent) // (form.width + 2))
        if gap:
            items = [*map(form.padded, array[:EDGE].tolist()), " ...", *map(form.padded, array[-EDGE:].tolist())]
        else:
            items = [form.padded(v) for v in array.tolist()]
        rows = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(rows) + "]"
    if gap:
        parts = [
            *(_lines(a, indent + 1, summarise, form) for a in array[:EDGE]),
            "...",
            *(_lines(a, indent + 1, summarise, form) for a in array[-EDGE:]),
        ]
    else:
        parts = [_lines(a, indent + 1, summarise, form) for a in array]
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def format_tensor(array: ndarray[Any, Any], suffix: str, default: Any, prefix: str = "tensor(") -> str:
    """``tensor([42.], requires_grad=True)``.

    Args:
        array: the values.
        suffix: what stands behind them: ``"requires_grad=True"``, ``"grad_fn=<…>"`` or nothing.
        default: the default dtype, which is not shown (nor are int64 and bool).
        prefix: what stands before.
    """
    suffixes = [suffix] if suffix else []
    if array.dtype not in (default, np.dtype(np.int64), np.dtype(np.bool_)) or (
        array.size == 0 and array.dtype != default
    ):
        suffixes.insert(0, f"dtype=torch.{array.dtype}")
    if array.size == 0:
        if array.ndim != 1:
            suffixes.insert(0, f"size={tuple(array.shape)}")
        body = "[]"
    else:
        summarise = array.size > THRESHOLD
        body = _lines(array, len(prefix), summarise, _Format(_edges_of(array) if summarise else array))
    text = prefix + body
    last = len(text) - text.rfind("\n") + 1  # as PyTorch counts it
    for part in suffixes:
        if last + len(part) + 2 > WIDTH:
            text += ",\n" + " " * len(prefix) + part
            last = len(prefix) + len(part)
        else:
            text += ", " + part
            last += len(part) + 2
    return text + ")"
