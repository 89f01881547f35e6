"""`Module`, the base of networks and of any computation with parameters, and `Parameter`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinygrad_rp.tensor import Tensor

__all__ = ["Module", "Parameter"]


class Parameter(Tensor):
    """A tensor that a `Module` counts among its parameters when it is assigned to an attribute. It requires grad.

    Args:
        data: the tensor whose memory it shares.
        requires_grad: whether operations on it are recorded.
    """

    __slots__ = ()

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        if not isinstance(data, Tensor):
            raise TypeError(f"Parameter() takes a tensor, not {type(data).__name__}")
        self._array = data._array
        self._node = None
        self._origin = None
        self.requires_grad = requires_grad

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class Module:
    """A computation with parameters: subclass it, assign parameters and modules in ``__init__``, and write ``forward``."""

    training: bool

    def __init__(self) -> None:
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_modules", {})
        object.__setattr__(self, "training", True)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation. To be written by the subclass."""
        raise NotImplementedError(f"{type(self).__name__} needs a method forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        for kind, members in ((Parameter, "_parameters"), (Module, "_modules")):
            registered = self.__dict__.get(members)
            if isinstance(value, kind):
                if registered is None:
                    raise AttributeError(
                        f"call super().__init__() in {type(self).__name__}.__init__() before assigning {name}"
                    )
                self.__dict__.pop(name, None)
                registered[name] = value
            elif registered is not None and name in registered:
                if value is not None and kind is Parameter:
                    raise TypeError(f"{name} is a parameter: assign a Parameter or None, not {type(value).__name__}")
                registered.pop(name)
        if not isinstance(value, Parameter | Module):
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for members in ("_parameters", "_modules"):
            registered = self.__dict__.get(members, {})
            if name in registered:
                return registered[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for members in ("_parameters", "_modules"):
            if name in self.__dict__.get(members, {}):
                del self.__dict__[members][name]
                return
        object.__delattr__(self, name)

    def children(self) -> Iterator[Module]:
        """The modules that are attributes of this one."""
        yield from dict.fromkeys(self._modules.values())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with their dotted names."""
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            stack.extend(
                (f"{path}.{name}" if path else name, child) for name, child in reversed(module._modules.items())
            )

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """All parameters, each once, with their dotted names."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, parameter in module._parameters.items():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield f"{path}.{name}" if path else name, parameter

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters; with ``set_to_none=False``, fill them with zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = parameter.grad.detach()
                parameter.grad.zero_()

    def train(self, mode: bool = True) -> Module:
        """Say of this module, and of all below it, that they are being trained."""
        for module in self.modules():
            object.__setattr__(module, "training", bool(mode))
        return self

    def eval(self) -> Module:
        """Say of this module, and of all below it, that they are being used."""
        return self.train(False)

    def __repr__(self) -> str:
        lines = [f"({name}): {module!r}".replace("\n", "\n  ") for name, module in self._modules.items()]
        return f"{type(self).__name__}(" + ("\n  " + "\n  ".join(lines) + "\n" if lines else "") + ")"
