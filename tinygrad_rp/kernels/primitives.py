"""The few steps that NumPy's arrays and compiled scalars write differently.

A formula made of these and of plain arithmetic lives two lives, with bitwise the same result: on arrays as it stands, and
compiled for one element of a loop, where `translation` puts the machine's own instruction in their place.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["bits", "by_dtype", "ceil", "copysign", "float_of", "floor", "rint", "sqrt", "trunc", "where"]


def by_dtype(narrow: Any, wide: Any) -> Any:
    """A function made of two: the one for float32 (or int32), the other for float64 (or int64), as the last argument is."""

    def chosen(*arguments: Any) -> Any:
        return (narrow if arguments[-1].dtype.itemsize == 4 else wide)(*arguments)

    chosen.__dict__["variants"] = (narrow, wide)
    return chosen


def where(condition: Any, a: Any, b: Any) -> Any:
    """``a`` where the condition holds, else ``b``. Compiled, a selection without a branch: both values are computed."""
    return np.where(condition, a, b)


def bits(x: Any) -> Any:
    """The bits of a float32 as an int32, of a float64 as an int64."""
    x = np.asarray(x)
    return x.view(np.int32 if x.dtype == np.float32 else np.int64)


def float_of(k: Any) -> Any:
    """The float32 that has the bits of an int32, the float64 that has those of an int64."""
    k = np.asarray(k)
    return k.view(np.float32 if k.dtype == np.int32 else np.float64)


# One machine instruction each, and exactly rounded


def sqrt(x: Any) -> Any:
    """The square root."""
    return np.sqrt(x)


def floor(x: Any) -> Any:
    """The next integer below."""
    return np.floor(x)


def ceil(x: Any) -> Any:
    """The next integer above."""
    return np.ceil(x)


def trunc(x: Any) -> Any:
    """The next integer towards zero."""
    return np.trunc(x)


def rint(x: Any) -> Any:
    """The nearest integer; of two, the even one."""
    return np.rint(x)


def copysign(x: Any, y: Any) -> Any:
    """x with the sign of y."""
    return np.copysign(x, y)
