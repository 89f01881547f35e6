"""Derivatives of functions: Jacobians, Hessians, and their products with vectors.

A pass backward gives a product of a vector with the Jacobian, ``vᵀ·J``. All else is made of that: the Jacobian row by
row, with the unit vectors; the Hessian as the Jacobian of the gradient; and ``J·v`` by going backward twice, since
``vᵀ·J`` is linear in ``v`` and its derivative with respect to ``v``, applied to a vector, is ``J`` times that vector (J.
Townsend, "A new trick for calculating Jacobian vector products", 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_rp.engine import enable_grad
from tinygrad_rp.ops.shape import reshape, stack
from tinygrad_rp.tensor import Tensor, grad, wrap

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = Tensor | Sequence[Tensor]
Function = Callable[..., Any]


def _many(name: str, what: str, tensors: Any) -> tuple[bool, tuple[Tensor, ...]]:
    """Whether several tensors were given, and the tensors."""
    several = isinstance(tensors, tuple)
    found = tuple(tensors) if several else (tensors,)
    for i, t in enumerate(found):
        if not isinstance(t, Tensor):
            place = f"{what}[{i}]" if several else what
            raise TypeError(
                f"{name}(): {place} must be a tensor{'' if several else ' or a tuple of them'}, not {type(t).__name__}"
            )
    return several, found


def _own(inputs: Sequence[Tensor], create_graph: bool) -> tuple[Tensor, ...]:
    """The inputs as tensors of this computation's own, connected to the caller's where its result is to be."""
    return tuple(
        x.clone() if create_graph and x.requires_grad else wrap(np.array(x._array)).requires_grad_() for x in inputs
    )


def _run(name: str, func: Function, inputs: tuple[Tensor, ...]) -> tuple[bool, tuple[Tensor, ...]]:
    before = [x._node for x in inputs]
    several, outputs = _many(name, "what func returned", func(*inputs))
    for i, (x, node) in enumerate(zip(inputs, before, strict=True)):
        if x._node is not node:
            raise RuntimeError(f"{name}(): func changed its input {i} in place, so that there is nothing to differentiate by; "
                               "let it change a clone()")  # fmt: skip
    return several, outputs


def _vectors(name: str, v: Any, like: tuple[Tensor, ...], what: str, create_graph: bool) -> tuple[Tensor, ...]:
    """The vectors, checked; without any, 1 for a tensor of one element."""
    if v is None:
        if len(like) != 1 or like[0]._array.size != 1:
            shapes = ", ".join(str(list(t.shape)) for t in like)
            raise RuntimeError(
                f"{name}(): v can be left out only for one {what} of one element, and the shapes are {shapes}"
            )
        return (wrap(np.ones_like(like[0]._array)),)
    _, given = _many(name, "v", v)
    if len(given) != len(like):
        raise RuntimeError(f"{name}(): v holds {len(given)} tensors, and there are {len(like)} {what}s")
    for i, (a, b) in enumerate(zip(given, like, strict=True)):
        if a._array.shape != b._array.shape:
            raise RuntimeError(f"{name}(): v[{i}] has shape {list(a.shape)}, and {what} {i} has shape {list(b.shape)}")
    return given if create_graph else tuple(t.detach() for t in given)


def _gradients(
    name: str,
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    vectors: Sequence[Tensor | None] | None,
    create_graph: bool,
    strict: bool,
) -> list[Tensor]:
    """``vᵀ·J``, with zeros for inputs that the outputs do not depend on."""
    vectors = [None] * len(outputs) if vectors is None else vectors
    live = [(out, v) for out, v in zip(outputs, vectors, strict=True) if out.requires_grad]
    found: Sequence[Tensor | None] = [None] * len(inputs)
    if live:
        found = grad(
            [out for out, _ in live],
            inputs,
            [v for _, v in live],
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
        )
    results = []
    for i, (g, x) in enumerate(zip(found, inputs, strict=True)):
        if g is None and strict:
            raise RuntimeError(
                f"{name}(): the output does not depend on input {i}; with strict=False its derivative is given as zeros"
            )
        if strict and create_graph and g is not None and not g.requires_grad:
            raise RuntimeError(
                f"{name}(): the derivative with respect to input {i} does not depend on the inputs, so it cannot be "
                "differentiated again; with strict=False it is given as a constant"
            )
        results.append(wrap(np.zeros_like(x._array)) if g is None else g)
    return results


def _handed_out(tensors: Sequence[Tensor], several: bool, create_graph: bool) -> Any:
    """Results in the form of the inputs that they belong to."""
    given = tuple(t if create_graph else t.detach() for t in tensors)
    return given if several else given[0]


def jacobian(
    func: Function,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian of ``func`` at ``inputs``.

    Args:
        func: takes the inputs and returns a tensor or several.
        inputs: a tensor, or several, of floating-point numbers.
        create_graph: record the computation, so that the result can be differentiated.
        strict: raise where an output does not depend on an input, rather than give zeros.
        vectorize: accepted, and of no effect.
        strategy: only ``"reverse-mode"``.

    Returns:
        A tensor of the output's shape followed by the input's. With several inputs a tuple of these, one an input; with
        several outputs a tuple of what each output has.

    Raises:
        RuntimeError: ``strict``, and an output does not depend on an input.
        TypeError: an input or output is no tensor.
    """
    if strategy != "reverse-mode":
        raise NotImplementedError(f"jacobian(): strategy must be 'reverse-mode', not {strategy!r}")
    several, given = _many("jacobian", "inputs", inputs)
    with enable_grad():
        own = _own(given, create_graph)
        many_outputs, outputs = _run("jacobian", func, own)
        result = []
        for out in outputs:
            if strict and not out.requires_grad:
                raise RuntimeError(
                    "jacobian(): an output does not depend on the inputs; with strict=False it has zeros"
                )
            flat = reshape(out, -1)
            rows = [_gradients("jacobian", [flat[j]], own, None, create_graph, strict) for j in range(flat.numel())]
            blocks = [
                reshape(stack([row[i] for row in rows]), (*out.shape, *x.shape))
                if rows
                else wrap(np.zeros((*out.shape, *x.shape), out.dtype))
                for i, x in enumerate(own)
            ]
            result.append(_handed_out(blocks, several, create_graph))
    return tuple(result) if many_outputs else result[0]


def _scalar(name: str, func: Function) -> Function:
    """``func``, checked to return one number."""

    def checked(*inputs: Tensor) -> Tensor:
        several, outputs = _run(name, func, inputs)
        if several or outputs[0]._array.size != 1:
            shapes = ", ".join(str(list(t.shape)) for t in outputs)
            raise RuntimeError(f"{name}(): func must return one tensor of one element, and returned shapes {shapes}")
        return reshape(outputs[0], ())

    return checked


def hessian(
    func: Function,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The Hessian at ``inputs`` of ``func``, which returns one number.

    Args:
        func, inputs, create_graph, strict, vectorize: as for `jacobian`.
        outer_jacobian_strategy: only ``"reverse-mode"``.

    Returns:
        A tensor of the input's shape, twice over. With several inputs a tuple of tuples of blocks, one row an input.

    Raises:
        RuntimeError: ``func`` returns something else than one number; or as for `jacobian`.
    """
    several, given = _many("hessian", "inputs", inputs)
    number = _scalar("hessian", func)

    def gradient(*own: Tensor) -> Any:
        out = number(*own)
        return tuple(_gradients("hessian", [out], own, None, True, strict))

    blocks = jacobian(gradient, given, create_graph, strict, vectorize, outer_jacobian_strategy)
    return blocks if several else blocks[0][0]


def vjp(func: Function, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The product ``vᵀ·J`` of vectors with the Jacobian of ``func`` at ``inputs``.

    Args:
        func, inputs, create_graph, strict: as for `jacobian`.
        v: one tensor an output, of its shape; may be left out for one output of one element.

    Returns:
        What ``func`` returned, and one product an input, of its shape.

    Raises:
        RuntimeError: ``v`` does not fit the outputs; or as for `jacobian`.
    """
    several, given = _many("vjp", "inputs", inputs)
    with enable_grad():
        own = _own(given, create_graph)
        many_outputs, outputs = _run("vjp", func, own)
        vectors = _vectors("vjp", v, outputs, "output", create_graph)
        products = _gradients("vjp", outputs, own, vectors, create_graph, strict)
    return _handed_out(outputs, many_outputs, create_graph), _handed_out(products, several, create_graph)


def jvp(func: Function, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The product ``J·v`` of the Jacobian of ``func`` at ``inputs`` with vectors.

    Args:
        func, inputs, create_graph, strict: as for `jacobian`.
        v: one tensor an input, of its shape; may be left out for one input of one element.

    Returns:
        What ``func`` returned, and one product an output, of its shape.

    Raises:
        RuntimeError: ``v`` does not fit the inputs; or as for `jacobian`.
    """
    _, given = _many("jvp", "inputs", inputs)
    with enable_grad():
        own = _own(given, create_graph)
        vectors = _vectors("jvp", v, own, "input", create_graph)
        many_outputs, outputs = _run("jvp", func, own)
        dummies = tuple(wrap(np.zeros_like(out._array)).requires_grad_() for out in outputs)
        products = _gradients("jvp", outputs, own, dummies, True, strict)
        live = [(p, u) for p, u in zip(products, vectors, strict=True) if p.requires_grad]
        forward = _gradients("jvp", [p for p, _ in live], dummies, [u for _, u in live], create_graph, strict)
    return _handed_out(outputs, many_outputs, create_graph), _handed_out(forward, many_outputs, create_graph)


def vhp(func: Function, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The product ``vᵀ·H`` of vectors with the Hessian at ``inputs`` of ``func``, which returns one number.

    Args:
        func, inputs, create_graph, strict: as for `hessian`.
        v: one tensor an input, of its shape; may be left out for one input of one element.

    Returns:
        What ``func`` returned, and one product an input, of its shape.

    Raises:
        RuntimeError: ``v`` does not fit the inputs; or as for `hessian`.
    """
    several, given = _many("vhp", "inputs", inputs)
    with enable_grad():
        own = _own(given, create_graph)
        vectors = _vectors("vhp", v, own, "input", create_graph)
        out = _scalar("vhp", func)(*own)
        first = _gradients("vhp", [out], own, None, True, strict)
        products = _gradients("vhp", first, own, vectors, create_graph, strict)
    return _handed_out([out], False, create_graph), _handed_out(products, several, create_graph)


def hvp(func: Function, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The product ``H·v`` of the Hessian with vectors: the same as `vhp`, since the Hessian is symmetric.

    Arguments, results and errors as for `vhp`.
    """
    return vhp(func, inputs, v, create_graph, strict)
