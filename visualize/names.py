"""What the user calls tensors: given by hand, by a module, or found among the variables of who asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

__all__ = ["Names", "tensors_by_name"]

Names = Any
"""A dictionary from name to tensor, a module, ``"variables"``, a list of these, or ``None``."""

VARIABLES = "variables"
DEEPEST = 3
"""How deep lists and dictionaries among the variables are looked into."""


def tensors_by_name(names: Names, caller: FrameType | None = None) -> dict[str, Any]:
    """Find the tensors that have names.

    Args:
        names: a dictionary from name to tensor (or module, list, tuple or dictionary of tensors); a module, whose parameters
            and buffers have names; ``"variables"``: what the caller's variables are called; or a list of these, of which
            the first that names a tensor wins.
        caller: the frame whose variables are meant.

    Returns:
        Tensors by name; ``"model.weight"`` or ``"h[0]"`` for what lies inside.

    Raises:
        TypeError: ``names`` is none of these.
    """
    if names is None:
        return {}
    if isinstance(names, list | tuple):
        found: dict[str, Any] = {}
        for each in names:
            found |= {name: t for name, t in tensors_by_name(each, caller).items() if name not in found}
        return found
    if isinstance(names, str) and names == VARIABLES:
        return _variables(caller)
    if _is_module(names):
        return dict(_inside("", names, 0))
    if isinstance(names, Mapping) and all(isinstance(name, str) for name in names):
        for name, value in names.items():
            if not (_is_tensor(value) or _is_module(value) or type(value) in (list, tuple, dict)):
                raise TypeError(
                    f"names[{name!r}] must be a tensor, or a module, list or dictionary of tensors, not {value!r:.80}"
                )
        return {inner: t for name, value in names.items() for inner, t in _inside(name, value, 0)}
    raise TypeError(
        'names must be a dictionary from name to tensor, such as {"mu": mu, "z": z}, a module, "variables" for the names of '
        f"your variables, or a list of these; not {names!r:.80}"
    )


def _variables(caller: FrameType | None) -> dict[str, Any]:
    if caller is None:
        return {}
    found: dict[str, Any] = {}
    for variables in (caller.f_locals, caller.f_globals):
        for name, value in list(variables.items()):
            if not name.startswith("_"):  # consoles keep their results under such names
                found |= {inner: t for inner, t in _inside(name, value, 0) if inner not in found}
    return found


def _inside(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Tensors, with their names, that a value is or holds."""
    if _is_tensor(value):
        yield name, value
    elif _is_module(value):
        for method in ("named_parameters", "named_buffers"):
            for inner, t in getattr(value, method, lambda: ())():
                yield f"{name}.{inner}" if name else inner, t
    elif depth < DEEPEST and type(value) in (list, tuple, dict) and len(value) <= 1000:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in items:
            yield from _inside(f"{name}[{key!r:.40}]", each, depth + 1)


def _is_tensor(value: Any) -> bool:
    return not isinstance(value, type) and _has(value, "grad_fn") and _has(value, "requires_grad")


def _is_module(value: Any) -> bool:
    return not isinstance(value, type) and _has(value, "named_parameters") and callable(value.named_parameters)


def _has(value: Any, attribute: str) -> bool:
    try:
        return hasattr(value, attribute)
    except Exception:  # some variables have a __getattr__ that raises what it likes, such as a KeyError
        return False
