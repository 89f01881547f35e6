"""How a value is shown: four significant digits, and a shape where it is too large to be read."""

from __future__ import annotations

from typing import Any

__all__ = ["count", "show"]


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
        limit: a value of more elements is shown by its shape.

    Returns:
        ``"[12, 0.5312]"``, or ``"shape (64, 10)"``; one line.
    """
    shape = getattr(value, "shape", None)
    try:
        n = count(value)
        if 0 < n <= limit:
            return _digits(value.tolist() if hasattr(value, "tolist") else value)
        return f"shape {_tuple(shape)}"
    except (RuntimeError, TypeError, ValueError, NotImplementedError):  # sparse or without data: no list of elements
        return f"shape {_tuple(shape)}" if shape is not None else type(value).__name__


def _tuple(shape: Any) -> str:
    return str(tuple(shape)) if shape is not None else "unknown"


def _digits(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_digits, value)) + "]"  # as deep as the array has dimensions
    return f"{value:.4g}" if isinstance(value, float | complex) else str(value)
