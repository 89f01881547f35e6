"""Gradients against finite differences: the check that needs no second derivation by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_rp.engine import enable_grad
from tinygrad_rp.tensor import Tensor, grad, wrap

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A gradient differs from its finite difference."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Check the gradients of ``func`` against central differences, (f(x + eps) − f(x − eps)) / 2·eps, for each element.

    Args:
        func: takes ``inputs`` and returns a tensor or several. It must be deterministic: seed its noise inside.
        inputs: tensors, of which those that require grad are checked, in float64; other values are passed on.
        eps: the step.
        atol: how far the values may lie apart, plus
        rtol: this fraction of the difference quotient.
        raise_exception: raise where they differ, rather than return False.

    Returns:
        True, where all agree.

    Raises:
        GradcheckError: a gradient differs; the message names the input, the index and both values.
        ValueError: no input requires grad, or one of those that do is not float64: in float32 a difference quotient has
            about three digits, and says little.
    """
    arguments = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    checked = [i for i, x in enumerate(arguments) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError("gradcheck(): no input requires grad, so there is nothing to check")
    for i in checked:
        if arguments[i].dtype != np.float64:
            raise ValueError(
                f"gradcheck(): input {i} has dtype {arguments[i].dtype}; make it float64 "
                "(tensor(…, dtype=float64)), since finite differences in float32 have about three digits"
            )
    with enable_grad():
        # inputs of the check's own: moving an element then changes nothing of the caller's
        own = [
            wrap(np.array(x._array)).requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x for x in arguments
        ]
        try:
            first = _outputs(func, own)
            if not first:
                raise ValueError("gradcheck(): func returned no floating-point tensor, so there is nothing to check")
            second = _outputs(func, own)
            for a, b in zip(first, second, strict=True):
                if not np.array_equal(a._array, b._array, equal_nan=True):
                    raise GradcheckError(
                        "func gave two different results so differences say nothing; call manual_seed() in it"
                    )
            for o in range(len(first)):
                _check_output(func, own, checked, o, eps, atol, rtol)
        except GradcheckError:
            if raise_exception:
                raise
            return False
    return True


def _outputs(func: Callable[..., Any], arguments: Sequence[Any]) -> list[Tensor]:
    result = func(*arguments)
    outputs = [result] if isinstance(result, Tensor) else list(result)
    return [out for out in outputs if isinstance(out, Tensor) and out.is_floating_point()]


def _check_output(
    func: Callable[..., Any], arguments: list[Any], checked: list[int], o: int, eps: float, atol: float, rtol: float
) -> None:
    """Compare the Jacobian of output ``o``, row by row from backward, column by column from differences."""
    numeric = {i: [] for i in checked}  # type: dict[int, list[Any]]
    for i in checked:
        values = arguments[i]._array
        for index in np.ndindex(values.shape):
            before = values[index]
            values[index] = before + eps
            above = np.array(_outputs(func, arguments)[o]._array)
            values[index] = before - eps
            below = np.array(_outputs(func, arguments)[o]._array)
            values[index] = before
            numeric[i].append((above - below) / (2 * eps))
    out = _outputs(func, arguments)[o]
    inputs = [arguments[i] for i in checked]
    for position in np.ndindex(out._array.shape):
        one = np.zeros_like(out._array)
        one[position] = 1
        found: Sequence[Tensor | None] = [None] * len(inputs)
        if out.requires_grad:
            found = grad(out, inputs, wrap(one), retain_graph=True, allow_unused=True)
        for i, g in zip(checked, found, strict=True):
            indices = list(np.ndindex(arguments[i]._array.shape))
            for index, column in zip(indices, numeric[i], strict=True):
                analytic = 0.0 if g is None else float(g._array[index])
                expected = float(column[position])
                if not (abs(analytic - expected) <= atol + rtol * abs(expected)):
                    raise GradcheckError(
                        f"the gradient of output {o}{_at(position)} with respect to input {i}{_at(index)} is {analytic:.10g} by "
                        f"backward and {expected:.10g} by central differences (step {eps:g}); they differ by "
                        f"{abs(analytic - expected):.3g}, and {atol + rtol * abs(expected):.3g} is allowed"
                    )


def _at(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Check the second derivatives: the gradient of ``func``, computed with ``create_graph=True``, goes through `gradcheck`.

    Args:
        grad_outputs: the gradients that the backward pass starts with, one an output. Default: drawn from N(0, 1).
        func, inputs, eps, atol, rtol, raise_exception: as for `gradcheck`, whose errors it raises.
    """
    arguments = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    checked = [i for i, x in enumerate(arguments) if isinstance(x, Tensor) and x.requires_grad]
    outputs = _outputs(func, arguments)
    if grad_outputs is None:
        draw = np.random.default_rng(0)
        starts = [wrap(draw.standard_normal(out._array.shape).astype(out.dtype)) for out in outputs]
    else:
        starts = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    count = len(arguments)

    def gradient(*everything: Any) -> list[Tensor]:
        args, given = everything[:count], everything[count:]
        results = _outputs(func, args)
        live = [(out, g) for out, g in zip(results, given, strict=True) if out.requires_grad]
        wanted = [args[i] for i in checked]
        if not live:
            return [wrap(np.zeros_like(x._array)) for x in wanted]
        found = grad(
            [out for out, _ in live],
            wanted,
            [g for _, g in live],
            create_graph=True,
            materialize_grads=True,
            allow_unused=True,
        )
        return [g for g in found if g is not None]

    varied = [wrap(np.array(g._array)).requires_grad_() for g in starts]
    return gradcheck(gradient, [*arguments, *varied], eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)
