"""Modules that hold modules, or parameters, in order or by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from operator import index
from typing import Any, Self

from tinygrad_rp.nn.module import Module, Parameter, indented, printed
from tinygrad_rp.tensor import Tensor

__all__ = ["ModuleDict", "ModuleList", "ParameterList", "Sequential"]


def _place(where: Any, length: int) -> int:
    """An index, counted from the beginning.

    Raises:
        IndexError: it is out of range.
    """
    i = index(where)
    if not -length <= i < length:
        raise IndexError(f"index {i} is out of range: there are {length}")
    return i % length


def _register_all(owner: Module, modules: Mapping[str, Module]) -> None:
    """Register modules by their names: all, or if one cannot be, none."""
    before = dict(owner._modules)
    try:
        for name, module in modules.items():
            owner.register_module(name, module)
    except Exception:
        owner._modules.clear()
        owner._modules.update(before)
        raise


class _Numbered(Module):
    """Modules in order, under their numbers. `Sequential` may give them other names."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, where: Any) -> Any:
        if isinstance(where, slice):
            return self._part(OrderedDict(list(self._modules.items())[where]))
        return self._modules[self._key(where)]

    def _part(self, modules: OrderedDict[str, Any]) -> Any:
        """A new one, of some of these modules."""
        kind: Any = type(self)
        return kind(modules.values())

    def _key(self, where: Any) -> str:
        return list(self._modules)[_place(where, len(self))]

    def __setitem__(self, where: int, module: Module) -> None:
        setattr(self, self._key(where), module)

    def __delitem__(self, where: Any) -> None:
        keys = list(self._modules)[where] if isinstance(where, slice) else [self._key(where)]
        for key in keys:
            del self._modules[key]
        self._number(list(self._modules.values()))

    def _number(self, modules: list[Any]) -> None:
        """Have these modules, under their numbers."""
        self._modules.clear()
        self._modules.update({str(i): module for i, module in enumerate(modules)})

    def append(self, module: Module) -> Self:
        """Add a module at the end, under its number, and return this one.

        Raises:
            KeyError: another one has that number as its name, as in a part of a Sequential, which keeps its names (PyTorch
                replaces it).
            TypeError: it is no module.
        """
        return self.extend([module])

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end, and return this one. If one cannot be added, none is; errors as for `append`."""
        if not isinstance(modules, Iterable):
            raise TypeError(f"extend() takes modules to go through, not {type(modules).__name__}")
        added = {str(len(self) + i): module for i, module in enumerate(modules)}
        taken = [name for name in added if name in self._modules]
        if taken:
            raise KeyError(
                f"a module of this {type(self).__name__} is named {taken[0]!r} already, so none can be added under that number; "
                "number them anew, by making a new one of them"
            )
        _register_all(self, added)
        return self

    def insert(self, where: int, module: Module) -> Self:
        """Put a module in front of the one with that index, and return this one.

        Raises:
            AssertionError: it is no module.
            IndexError: the index is out of range.
        """
        if not isinstance(module, Module):
            raise AssertionError(f"insert() takes a Module, not {type(module).__name__}")
        n = len(self)
        if not -n <= where <= n:
            raise IndexError(f"index {where} is out of range: there are {n}")
        modules = list(self._modules.values())
        modules.insert(where + n if where < 0 else where, module)
        self._number(modules)
        return self

    def pop(self, where: Any) -> Any:
        """Take out, and return, the module with that index."""
        module = self[where]
        del self[where]
        return module


class Sequential(_Numbered):
    """Modules one after the other: each gets what the one before it returned.

    Args:
        args: modules; or one ``OrderedDict`` of modules by their names.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        given = (
            args[0] if len(args) == 1 and isinstance(args[0], OrderedDict) else {str(i): m for i, m in enumerate(args)}
        )
        for name, module in given.items():
            self.register_module(name, module)

    def _part(self, modules: OrderedDict[str, Any]) -> Any:
        return type(self)(modules)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input

    def __add__(self, other: Any) -> Sequential:
        _need_sequential(other)
        return Sequential(*self, *other)

    def __iadd__(self, other: Any) -> Any:
        _need_sequential(other)
        return self.extend(other)

    def __mul__(self, times: int) -> Sequential:
        return Sequential(*list(self) * _need_times(times))

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Any:
        return self.extend(list(self) * (_need_times(times) - 1))


def _need_sequential(other: Any) -> None:
    if not isinstance(other, Sequential):
        raise ValueError(f"only a Sequential can be added to a Sequential, not {type(other).__name__}")


def _need_times(times: Any) -> int:
    if not isinstance(times, int):
        raise TypeError(f"a Sequential can be multiplied by an integer, not by {type(times).__name__}")
    if times <= 0:
        raise ValueError(f"a Sequential can be multiplied by a positive integer, not by {times}")
    return times


class ModuleList(_Numbered):
    """A list of modules, all of whose parameters count.

    Args:
        modules: to begin with.
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> Any:
        return self.extend(other)

    def __repr__(self) -> str:
        # modules in a row that print alike, as one line
        runs: list[tuple[int, int, str]] = []
        for i, text in enumerate(map(repr, self)):
            if runs and runs[-1][2] == text:
                runs[-1] = (runs[-1][0], i, text)
            else:
                runs.append((i, i, text))
        parts = [
            indented(f"({first}): {text}" if first == last else f"({first}-{last}): {last - first + 1} x {text}")
            for first, last, text in runs
        ]
        return printed(self._get_name(), [], parts)


class ModuleDict(Module):
    """A dictionary of modules, all of whose parameters count.

    Args:
        modules: to begin with: a mapping, or pairs of a name and a module.
    """

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.register_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> ValuesView[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> ItemsView[str, Any]:
        """Pairs of a name and a module."""
        return self._modules.items()

    def clear(self) -> None:
        """Take out all modules."""
        self._modules.clear()

    def pop(self, key: str) -> Any:
        """Take out, and return, the module of that name."""
        return self._modules.pop(key)

    def update(self, modules: Any) -> None:
        """Add modules, or put them in the place of those that have their names.

        Args:
            modules: a mapping, or pairs of a name and a module.

        Raises:
            TypeError: it cannot be gone through, or holds something else.
            ValueError: it does not hold pairs.
        """
        if not isinstance(modules, Iterable):
            raise TypeError(f"update() takes a mapping or pairs, not {type(modules).__name__}")
        _register_all(self, dict(modules.items() if isinstance(modules, Mapping | ModuleDict) else modules))


class ParameterList(Module):
    """A list of parameters, which count as those of the module that has the list. Other objects may lie among them.

    Args:
        values: to begin with; tensors are made parameters.
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, where: Any) -> Any:
        if isinstance(where, slice):
            return type(self)([self[i] for i in range(len(self))[where]])
        return getattr(self, str(_place(where, len(self))))

    def __setitem__(self, where: int, value: Any) -> None:
        made = Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value
        setattr(self, str(_place(where, len(self))), made)

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def append(self, value: Any) -> Self:
        """Add one at the end, and return the list."""
        self._size += 1
        try:
            self[-1] = value
        except Exception:
            self._size -= 1
            raise
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add several at the end, and return the list.

        Raises:
            TypeError: ``values`` cannot be gone through, or is a tensor.
        """
        if not isinstance(values, Iterable) or isinstance(values, Tensor):
            raise TypeError(f"extend() takes a list of parameters, not {type(values).__name__}")
        for value in list(values):
            self.append(value)
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("a ParameterList holds parameters, and cannot be called")

    def extra_repr(self) -> str:
        lines = []
        for i, value in enumerate(self):
            kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
            size = "x".join(map(str, value.shape)) if isinstance(value, Tensor) else ""
            what = f"{kind} containing: [torch.{value.dtype} of size {size}]" if isinstance(value, Tensor) else ""
            lines.append(f"  ({i}): {what or f'Object of type: {type(value).__name__}'}")
        return "\n".join(lines)
