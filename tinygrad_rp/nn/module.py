"""`Module`, the base of networks and of any computation with parameters, and `Parameter`.

A module keeps what is assigned to it in three places: ``_parameters``, ``_buffers`` (tensors that belong to its state and are
not trained) and ``_modules``. Everything else is an ordinary attribute. What is asked of all modules below goes over
`Module.named_modules`; the dotted names are the path of attributes::

    net = Sequential(Linear(2, 3), ReLU(), Linear(3, 1))
    net.named_modules()     ""  "0"  "1"  "2"
    net.state_dict()        "0.weight"  "0.bias"  "2.weight"  "2.bias"
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from tinygrad_rp.engine import no_grad
from tinygrad_rp.graph import AccumulateGrad
from tinygrad_rp.hooks import RemovableHandle
from tinygrad_rp.in_place import refuse_change
from tinygrad_rp.ops.create import zeros
from tinygrad_rp.tensor import Tensor, as_dtype, float32, float64, live_views, wrap

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


def new_zeros(shape: Sequence[int], device: Any, dtype: Any) -> Tensor:
    """Zeros, where a layer was told to have its tensors.

    Raises:
        RuntimeError: another device than ``"cpu"`` is asked for, or a length is negative.
    """
    if device is not None and str(device) != "cpu":
        raise RuntimeError(f"device={device!r}: tensors are in main memory, so the only device is 'cpu'")
    return zeros(tuple(shape), dtype=dtype)


def new_parameter(shape: Sequence[int], device: Any, dtype: Any) -> Parameter:
    """A parameter of a layer, of zeros until the layer draws it; errors as for `new_zeros`."""
    return Parameter(new_zeros(shape, device, dtype))


class _IncompatibleKeys(NamedTuple):
    """What `Module.load_state_dict` returns: where the names of the state and those of the module differ."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if self.missing_keys or self.unexpected_keys:
            return f"{type(self).__name__}(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"
        return "<All keys matched successfully>"


class Module:
    """A computation with parameters: subclass it, assign parameters and modules in ``__init__``, and write ``forward``."""

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers_set: set[str]
    _forward_hooks: dict[int, tuple[Callable[..., Any], bool]]
    _forward_pre_hooks: dict[int, tuple[Callable[..., Any], bool]]

    def __init__(self) -> None:
        for name in ("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks"):
            object.__setattr__(self, name, {})
        object.__setattr__(self, "_non_persistent_buffers_set", set())
        object.__setattr__(self, "training", True)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation. To be written by the subclass."""
        raise NotImplementedError(f"{type(self).__name__} needs a method forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._forward_pre_hooks and not self._forward_hooks:
            return self.forward(*args, **kwargs)
        for hook, with_kwargs in tuple(self._forward_pre_hooks.values()):
            new = hook(self, args, kwargs) if with_kwargs else hook(self, args)
            if new is not None and with_kwargs:
                if not isinstance(new, tuple) or len(new) != 2:
                    raise RuntimeError(
                        f"a forward pre-hook with kwargs of {type(self).__name__} must return a pair of new args and kwargs, or "
                        f"None, and returned {type(new).__name__}"
                    )
                args, kwargs = new
            elif new is not None:
                args = new if isinstance(new, tuple) else (new,)
        output = self.forward(*args, **kwargs)
        for hook, with_kwargs in tuple(self._forward_hooks.values()):
            new = hook(self, args, kwargs, output) if with_kwargs else hook(self, args, output)
            output = output if new is None else new
        return output

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` each time before ``forward``; what it returns, unless None, takes the place of ``args``.

        Args:
            hook: may return a tuple of arguments, or a single one that is no tuple.
            prepend: run it before the hooks that are there, rather than after them.
            with_kwargs: call ``hook(module, args, kwargs)``, which may return a pair of both.

        Returns:
            A handle; its ``remove()`` takes the hook away.
        """
        return self._register("_forward_pre_hooks", hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` each time after ``forward``; what it returns, unless None, takes the place of
        ``output``.

        Args:
            hook: the function.
            prepend: run it before the hooks that are there, rather than after them.
            with_kwargs: call ``hook(module, args, kwargs, output)``.

        Returns:
            A handle; its ``remove()`` takes the hook away.
        """
        return self._register("_forward_hooks", hook, prepend, with_kwargs)

    def _register(self, place: str, hook: Callable[..., Any], prepend: bool, with_kwargs: bool) -> RemovableHandle:
        if not callable(hook):
            raise TypeError(f"a hook must be a function, not {type(hook).__name__}")
        owner: Any = self
        handle = RemovableHandle(owner, place, (hook, with_kwargs))
        if prepend:
            hooks = getattr(self, place)
            last = hooks.pop(handle.id)
            others = dict(hooks)
            hooks.clear()
            hooks.update({handle.id: last, **others})
        return handle

    # -------------------------------------------------------------------------------------------------- registration

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        place = next((p for p in _PLACES if isinstance(value, p.taken) or name in own.get(p.name, ())), None)
        if place is None:
            object.__setattr__(self, name, value)
            return
        if place.name not in own:
            raise AttributeError(f"call super().__init__() in {type(self).__name__}.__init__() before assigning {name}")
        if value is not None and not isinstance(value, place.allowed):
            raise TypeError(f"{name} is a {place.what}: assign one or None, not {type(value).__name__}")
        for other in _PLACES:
            if other is not place:
                own[other.name].pop(name, None)
        own.pop(name, None)
        if place.what != "buffer":
            self._non_persistent_buffers_set.discard(name)
        if place.what == "parameter":
            self.register_parameter(name, value)
        else:
            own[place.name][name] = value

    def __getattr__(self, name: str) -> Any:
        for place in _PLACES:
            registered = self.__dict__.get(place.name, {})
            if name in registered:
                return registered[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for place in _PLACES:
            if name in self.__dict__.get(place.name, ()):
                del self.__dict__[place.name][name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> Iterable[str]:
        names = {*super().__dir__(), *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in names if not name[:1].isdigit())

    def _check_name(self, what: str, name: Any, known: Any) -> None:
        """
        Raises:
            AttributeError: the module is not made yet.
            KeyError: the name is empty, has a dot, or is that of another attribute.
            TypeError: it is no string.
        """
        if "_parameters" not in self.__dict__:
            raise AttributeError(
                f"call super().__init__() in {type(self).__name__}.__init__() before registering a {what}"
            )
        if not isinstance(name, str):
            raise TypeError(f"the name of a {what} must be a string, not {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f"the name of a {what} must not be empty and must not contain '.', and is {name!r}")
        if name not in known and hasattr(self, name):
            raise KeyError(f"{type(self).__name__} has an attribute {name!r} already")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name; None keeps the name, and stands for no parameter.

        Raises:
            AttributeError, KeyError, TypeError: as for `register_buffer`.
        """
        self._check_name("parameter", name, self.__dict__.get("_parameters", ()))
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"parameter {name} must be a Parameter or None, not {type(param).__name__}")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the module and is no parameter, such as a running mean.

        Args:
            name: of the attribute.
            tensor: None keeps the name, and stands for no buffer.
            persistent: whether it is part of the module's ``state_dict``.

        Raises:
            AttributeError: ``super().__init__()`` was not called.
            KeyError: the name is empty, has a dot, or is that of another attribute.
            TypeError: the name is no string, or the value of the wrong type.
        """
        self._check_name("buffer", name, self.__dict__.get("_buffers", ()))
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"buffer {name} must be a tensor or None, not {type(tensor).__name__}")
        self._buffers[name] = tensor
        (self._non_persistent_buffers_set.discard if persistent else self._non_persistent_buffers_set.add)(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a module under a name; None keeps the name, and stands for no module.

        Raises:
            AttributeError, KeyError, TypeError: as for `register_buffer`.
        """
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"module {name} must be a Module or None, not {type(module).__name__}")
        self._check_name("module", name, self.__dict__.get("_modules", ()))
        self._modules[name] = module

    def add_module(self, name: str, module: Module | None) -> None:
        """As `register_module`."""
        self.register_module(name, module)

    # --------------------------------------------------------------------------------------------------- what there is

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with their dotted names.

        Args:
            memo: modules to leave out; those that are found are added to it.
            prefix: the name of this module.
            remove_duplicate: whether a module that can be reached in two ways is named once.
        """
        seen = set() if memo is None else memo
        if self in seen:
            return
        if remove_duplicate:
            seen.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(seen, _join(prefix, name), remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes of this one, each once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules that are attributes of this one, each once."""
        return (module for _, module in self.named_children())

    def _named_members(
        self, place: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        seen: set[int] = set()
        for path, module in modules:
            for name, member in module.__dict__[place].items():
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield _join(path, name), member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters, with their dotted names.

        Args:
            prefix: put before the names.
            recurse: whether those of the modules below are among them.
            remove_duplicate: whether a parameter that has two names is named once.
        """
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers, with their dotted names; arguments as for `named_parameters`."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name; the module itself for ``""``.

        Raises:
            AttributeError: there is none.
        """
        module = self
        for name in target.split(".") if target else ():
            found = getattr(module, name, None)
            if not isinstance(found, Module):
                what = "no attribute" if found is None else f"a {type(found).__name__}, and no module,"
                raise AttributeError(
                    f"get_submodule({target!r}): {type(module).__name__} has {what} of the name {name!r}"
                )
            module = found
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name.

        Raises:
            AttributeError: there is none.
        """
        return self._get("parameter", "_parameters", target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a dotted name.

        Raises:
            AttributeError: there is none.
        """
        return self._get("buffer", "_buffers", target)

    def _get(self, what: str, place: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        found = module.__dict__[place].get(name)
        if found is None:
            raise AttributeError(f"get_{what}({target!r}): {type(module).__name__} has no {what} {name!r}")
        return found

    # ------------------------------------------------------------------------------------------------------- the state

    def state_dict(
        self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> MutableMapping[str, Any]:
        """Parameters and persistent buffers, here and below, by their dotted names.

        Args:
            destination: the mapping to put them into. Default: a new ``OrderedDict``.
            prefix: put before the names.
            keep_vars: give the parameters themselves, rather than tensors without history that share their memory.
        """
        into: MutableMapping[str, Any] = OrderedDict() if destination is None else destination
        for name, tensor in self._named_state(prefix):
            into[name] = tensor if keep_vars else tensor.detach()
        return into

    def _named_state(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """What belongs to the state, under all names that it has."""
        for name, tensor in (*self._parameters.items(), *self._buffers.items()):
            if tensor is not None and name not in self._non_persistent_buffers_set:
                yield prefix + name, tensor
        for name, module in self._modules.items():
            if module is not None:
                yield from module._named_state(f"{prefix}{name}.")

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> _IncompatibleKeys:
        """Copy a state into the parameters and buffers, here and below.

        Args:
            state_dict: tensors by their dotted names, as `state_dict` gives them.
            strict: whether the names must be those of this module, all of them and no others.

        Returns:
            The names that were missing, and those that nothing here has.

        Raises:
            RuntimeError: names differ and ``strict``, a shape differs, or a value is no tensor. Nothing is changed then.
            TypeError: ``state_dict`` is no mapping.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"load_state_dict(): state_dict must be a mapping, not {type(state_dict).__name__}")
        own = dict(self._named_state())
        missing = [key for key in own if key not in state_dict]
        unexpected = [key for key in state_dict if key not in own]
        errors = []
        for problem, keys in (("Missing", missing), ("Unexpected", unexpected)):
            if strict and keys:
                errors.append(f"{problem} key(s) in state_dict: " + ", ".join(f'"{key}"' for key in keys) + ".")
        with no_grad():
            for key, tensor in own.items():
                if key in state_dict:
                    errors += _obstacles(key, tensor, state_dict[key])
            if errors:
                name = type(self).__name__
                raise RuntimeError(f"Error(s) in loading state_dict for {name}:\n\t" + "\n\t".join(errors))
            for key, tensor in own.items():
                if key in state_dict:
                    tensor.copy_(state_dict[key])
        return _IncompatibleKeys(missing, unexpected)

    # -------------------------------------------------------------------------------------- changing all that lies below

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` with each module below, then with this one, and return it."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self, *target: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False) -> Self:
        """Give the parameters and buffers of floating-point numbers another dtype, and return the module.

        The parameters stay the same objects, so that an optimiser goes on with them.

        Args:
            target: a dtype, or a tensor that has it; before it, or alone, a device.
            dtype: the same by name.
            device: must be ``"cpu"``.
            non_blocking: accepted; nothing is waited for.

        Raises:
            RuntimeError: another device is asked for; or a view of a parameter exists, which cannot follow.
            TypeError: the dtype is not of floating-point numbers.
        """
        for what in (*target, device):
            if isinstance(what, Tensor):
                dtype = what.dtype
            elif isinstance(what, str):
                if what != "cpu":
                    raise RuntimeError(f"to({what!r}): tensors are in main memory, so the only device is 'cpu'")
            elif what is not None and not isinstance(what, bool):
                dtype = what
        wanted = None if dtype is None else as_dtype(dtype)
        if wanted is None:
            return self
        if wanted.kind != "f":
            raise TypeError(f"to(): the parameters of a module hold floating-point numbers, and {wanted} does not")
        modules = list(self.modules())
        for module in modules:
            for name, parameter in module._parameters.items():
                if parameter is not None and live_views(parameter) and parameter.dtype != wanted:
                    raise RuntimeError(
                        f"to(): {name} of {type(module).__name__} cannot get the dtype {wanted} while views of it exist; let go "
                        "of them, or convert a copy of the module"
                    )
        for module in modules:
            for parameter in module._parameters.values():
                if parameter is not None and parameter.dtype.kind == "f":
                    _convert(parameter, wanted)
            for name, buffer in module._buffers.items():
                if buffer is not None and buffer.dtype.kind == "f":
                    module._buffers[name] = buffer.to(wanted)
        return self

    def double(self) -> Self:
        """As ``to(float64)``."""
        return self.to(float64)

    def float(self) -> Self:
        """As ``to(float32)``."""
        return self.to(float32)

    def cpu(self) -> Self:
        """The module itself: all tensors are in main memory."""
        return self

    def train(self, mode: bool = True) -> Self:
        """Say of this module, and of all below it, that they are being trained, and return it.

        Raises:
            ValueError: ``mode`` is no bool.
        """
        if not isinstance(mode, bool):
            raise ValueError(f"train(): mode must be a bool, not {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Say of this module, and of all below it, that they are being used, and return it."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether operations on all parameters are recorded, and return the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters; with ``set_to_none=False``, fill them with zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = parameter.grad.detach()
                parameter.grad.zero_()

    # -------------------------------------------------------------------------------------------------------- printing

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands between the brackets when the module is printed, before its parts. To be written by the subclass."""
        return ""

    def __repr__(self) -> str:
        own = self.extra_repr()
        lines = own.split("\n") if own else []
        parts = [f"({name}): {indented(repr(module))}" for name, module in self._modules.items()]
        return printed(self._get_name(), lines, parts)


class _Place(NamedTuple):
    """Where a module keeps what is registered with it."""

    name: str
    what: str
    taken: Any
    """The values that an assignment puts there of itself."""
    allowed: Any
    """Those that may take the place of one that is there."""


_PLACES = (
    _Place("_parameters", "parameter", Parameter, Parameter),
    _Place("_modules", "module", Module, Module),
    _Place("_buffers", "buffer", (), Tensor),
)
"""In the order in which an assignment looks there."""


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def printed(name: str, lines: list[str], parts: list[str]) -> str:
    """A module as it prints: on one line, where it has one line to say and no parts."""
    if not parts and len(lines) <= 1:
        return f"{name}({''.join(lines)})"
    return f"{name}(\n  " + "\n  ".join([*lines, *parts]) + "\n)"


def _obstacles(key: str, own: Tensor, new: Any) -> Iterator[str]:
    """What keeps a value of a state from being copied into its place."""
    if not isinstance(new, Tensor):
        yield f'"{key}" must be a tensor, and is a {type(new).__name__}.'
    elif new.shape != own.shape:
        yield f"size mismatch for {key}: the state has shape {new.shape}, and the module {own.shape}."
    else:
        try:
            refuse_change(own, "load_state_dict()")
        except RuntimeError as error:
            yield f'"{key}" cannot be copied to: {error}'


def _convert(leaf: Tensor, dtype: np.dtype[Any]) -> None:
    """Give a leaf elements of another dtype, and its gradient too. The leaf and its node stay the same objects; what graphs have
    saved of it stays what it was."""
    if leaf.dtype == dtype:
        return
    array = leaf._array.astype(dtype)
    grad = leaf.grad
    for node in (leaf._node, getattr(leaf, "_parked", None)):
        if type(node) is AccumulateGrad:
            node.array, node.dtype = array, array.dtype
    leaf._array = array
    leaf.grad = None if grad is None else wrap(grad._array.astype(dtype))
