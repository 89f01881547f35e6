"""Factories: tensors made of a shape rather than of other tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rp.ops.shape import sizes
from tinygrad_rp.tensor import Tensor, as_dtype, get_default_dtype, to_array, wrap

__all__ = ["arange", "empty", "eye", "full", "full_like", "linspace", "ones", "ones_like", "zeros", "zeros_like"]


def _made(array: Any, requires_grad: bool) -> Tensor:
    return wrap(array).requires_grad_(requires_grad)


def _dtype(dtype: Any) -> np.dtype[Any]:
    return get_default_dtype() if dtype is None else as_dtype(dtype)


def shape_of(name: str, given: tuple[Any, ...], size: Any) -> tuple[int, ...]:
    """The shape that a factory was given, as sequence, as integers, or as ``size=``.

    Raises:
        RuntimeError: a length is negative.
    """
    if size is not None and given:
        raise TypeError(f"{name}(): give the shape either by position or as size=, not both")
    shape = sizes(name, given if size is None else (size,) if isinstance(size, int) else tuple(size))
    if any(n < 0 for n in shape):
        raise RuntimeError(f"{name}(): a length cannot be negative, and the shape is {list(shape)}")
    return shape


def _filled(name: str, fill: Callable[..., Any], what: str) -> Callable[..., Tensor]:
    def factory(*shape: Any, size: Any = None, dtype: Any = None, requires_grad: bool = False) -> Tensor:
        return _made(fill(shape_of(name, shape, size), _dtype(dtype)), requires_grad)

    factory.__name__ = factory.__qualname__ = name
    factory.__doc__ = f"A tensor of {what}, of the given shape; float32 unless ``dtype`` says otherwise."
    return factory


zeros = _filled("zeros", np.zeros, "zeros")
ones = _filled("ones", np.ones, "ones")
empty = _filled("empty", np.zeros, "zeros (memory is never left undefined)")


def full(size: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of shape ``size`` in which every element is ``fill_value``; its dtype is that of the value."""
    value = to_array(fill_value, dtype)
    if value.ndim:
        raise TypeError(f"full(): fill_value must be one number, and has shape {list(value.shape)}")
    return _made(np.full(shape_of("full", (size,), None), value), requires_grad)


def _like(name: str, fill: Callable[..., Any], what: str) -> Callable[..., Tensor]:
    def factory(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
        return _made(fill(input._array.shape, input._array.dtype if dtype is None else as_dtype(dtype)), requires_grad)

    factory.__name__ = factory.__qualname__ = name
    factory.__doc__ = f"A tensor of {what}, with the shape and the dtype of ``input``."
    return factory


zeros_like = _like("zeros_like", np.zeros, "zeros")
ones_like = _like("ones_like", np.ones, "ones")


def full_like(input: Tensor, fill_value: float, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor in which every element is ``fill_value``, with the shape and the dtype of ``input``."""
    return _made(
        np.full(input._array.shape, to_array(fill_value, input._array.dtype if dtype is None else dtype)), requires_grad
    )


def arange(
    start: float, end: float | None = None, step: float = 1, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """The numbers from ``start`` (0, where only one is given) up to, and without, ``end``.

    Raises:
        RuntimeError: ``step`` is 0 or leads away from ``end``.
    """
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    if step == 0 or (end - start) * step < 0:
        raise RuntimeError(f"arange(): a step of {step} does not lead from {start} to {end}")
    if dtype is None and any(isinstance(v, float) for v in (start, end, step)):
        dtype = get_default_dtype()
    count = int(np.ceil((end - start) / step))
    return _made(
        (start + step * np.arange(count)).astype(np.int64 if dtype is None else as_dtype(dtype)), requires_grad
    )


def linspace(start: float, end: float, steps: int, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """``steps`` numbers from ``start`` to ``end``, both included, at equal distances."""
    if steps < 0:
        raise RuntimeError(f"linspace(): steps must not be negative, and is {steps}")
    wanted = _dtype(dtype)
    i = np.arange(steps).astype(wanted)
    step = wanted.type((end - start) / max(steps - 1, 1))
    # from both ends, so that both are met exactly
    return _made(np.where(i < steps / 2, start + step * i, end - step * (steps - 1 - i)).astype(wanted), requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """The identity matrix of ``n`` rows, and as many columns unless ``m`` says otherwise."""
    return _made(np.eye(n, m, dtype=_dtype(dtype)), requires_grad)


for _numpy_function, _function in ((np.zeros_like, zeros_like), (np.ones_like, ones_like)):
    Tensor._numpy_functions[_numpy_function] = _function
