"""`save` and `load`: nested containers of tensors as a file that runs no code when it is read.

The file is a zip archive, of the members

- ``structure.json``: what was saved, with a reference where a tensor lies;
- one ``.npy`` file for each memory of numbers, which ``numpy.load(file, allow_pickle=False)`` reads as well.

A container is written as ``{kind: content}``, a tensor as the name of its member. This is ``save({"w": w, "n": 3}, f)``::

    structure.json  {"format": "tinygrad_rp", "version": 1,
                     "content": {"dict": [["w", {"tensor": 0}], ["n", 3]]},
                     "tensors": [{"kind": "Tensor", "requires_grad": false, "member": "w"}]}
    w.npy           the elements of w

Tensors that share memory name the same member, and say with offset and strides where in it they lie, so that they share memory
again. The archive has a checksum (CRC-32) for each member, which is verified when it is read.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import math
import os
import re
import stat
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np

from tinygrad_rp.graph import address_of, owner_of
from tinygrad_rp.nn.module import Parameter
from tinygrad_rp.tensor import DTYPES, Size, Tensor, wrap

__all__ = ["load", "save"]

_STRUCTURE = "structure.json"
_FORMAT, _VERSION = "tinygrad_rp", 1
_TENSORS: dict[str, type[Tensor]] = {"Tensor": Tensor, "Parameter": Parameter}
_SEQUENCES: dict[str, type] = {"list": list, "tuple": tuple, "Size": Size}
_MAPPINGS: dict[str, type] = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}
_CONTENTS: dict[str, Any] = {"tensor": int, "dtype": str, "float": str, "int": str}
"""The content of what is no container, whose content is a list."""
_SAFE_INTEGER = 2**53
"""Up to which every reader of JSON knows integers exactly."""


def _zip() -> Any:
    """The module zipfile, imported when a file is first written or read: it takes a tenth of the time of the whole package."""
    return importlib.import_module("zipfile")


# -------------------------------------------------------------------------------------------------------------- saving


class _Entry(NamedTuple):
    """A tensor that is to be written: its number, and where it lies in the object."""

    number: int
    tensor: Tensor
    where: str


class _Writer:
    """What is to be written: the description, and the arrays by the names of their members."""

    def __init__(self) -> None:
        self.members: dict[str, Any] = {}
        self._entries: dict[int, _Entry] = {}  # by the id of the tensor
        self._open: set[int] = set()  # the ids of the containers that the value lies in

    def described(self, obj: Any) -> dict[str, Any]:
        content = self._value(obj, "")
        return {"format": _FORMAT, "version": _VERSION, "content": content, "tensors": self._tensors()}

    def _value(self, value: Any, where: str) -> Any:
        kind = type(value)
        if value is None or kind is bool or kind is str:
            return value
        if kind is int:
            return value if abs(value) <= _SAFE_INTEGER else {"int": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, np.dtype) and value in DTYPES:
            return {"dtype": value.name}
        if kind in _TENSORS.values():
            return {"tensor": self._number(value, where)}
        if kind in _SEQUENCES.values() or kind in _MAPPINGS.values():
            if id(value) in self._open:
                raise ValueError(f"save(): {_named(where)} contains itself, and cannot be saved")
            self._open.add(id(value))
            if kind in _SEQUENCES.values():
                parts = [self._value(part, f"{where}[{i}]") for i, part in enumerate(value)]
            else:
                parts = [[self._key(key, where), self._value(part, f"{where}[{key!r}]")] for key, part in value.items()]
            self._open.discard(id(value))
            return {kind.__name__: parts}
        raise TypeError(
            f"save(): {_named(where)} is a {kind.__module__}.{kind.__qualname__}, and cannot be saved; {_ADVICE}"
        )

    def _key(self, key: Any, where: str) -> Any:
        if not _can_be_key(key):
            raise TypeError(
                f"save(): a key of {_named(where)} is {key!r}, of {type(key).__name__}; None, bools, numbers, strings, dtypes "
                "and tuples of them can be"
            )
        return self._value(key, where)

    def _number(self, tensor: Tensor, where: str) -> int:
        if not tensor.is_leaf:
            raise RuntimeError(
                f"save(): {_named(where)} was computed by {tensor.grad_fn.name()}, and a history can't be saved: save detach()"
            )
        return self._entries.setdefault(id(tensor), _Entry(len(self._entries), tensor, where)).number

    def _tensors(self) -> list[Any]:
        families: dict[int, list[_Entry]] = {}
        for entry in self._entries.values():
            families.setdefault(id(owner_of(entry.tensor._array)), []).append(entry)
        described: list[Any] = [None] * len(self._entries)
        for family in families.values():
            arrays = [entry.tensor._array for entry in family]
            alike = len({(address_of(a), a.shape, a.strides, a.dtype) for a in arrays}) == 1
            whole = alike and not _repeats(arrays[0])
            begin = 0 if whole else _begin(family)
            member = self._member(family[0].where, arrays[0] if whole else _span(arrays))
            for number, tensor, _ in family:
                described[number] = {
                    "kind": type(tensor).__name__,
                    "requires_grad": tensor.requires_grad,
                    "member": member,
                    **({} if whole else _place(tensor._array, begin)),
                }
        return described

    def _member(self, where: str, array: Any) -> str:
        """A name for an array: the keys that lead to its tensor, where they make a plain one; else a number."""
        name = "/".join(part.strip("'\"") for part in re.findall(r"\[(.*?)\]", where))
        if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)*", name, re.ASCII) or len(name) > 200 or name in self.members:
            name = f"array_{len(self.members)}"
            while name in self.members:
                name += "_"
        self.members[name] = array
        return name


_ADVICE = (
    "None, bools, numbers, strings, tensors, parameters, dtypes, and lists, tuples, dicts, OrderedDicts and Counters of them can "
    "be. Of a module or an optimiser save its state_dict(), of an array tensor() of it, of a number of NumPy's its item()"
)


def _named(where: str) -> str:
    return f"obj{where}" if where else "the object"


def _can_be_key(key: Any) -> bool:
    if type(key) is tuple:
        return all(map(_can_be_key, key))
    return key is None or type(key) in (bool, int, float, str) or (isinstance(key, np.dtype) and key in DTYPES)


def _repeats(array: Any) -> bool:
    """Whether several elements lie in one place."""
    return bool(array.size) and any(s == 0 and n > 1 for n, s in zip(array.shape, array.strides, strict=True))


def _reach(array: Any) -> tuple[int, int]:
    """The addresses of the first and the last element in memory."""
    steps = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
    start = address_of(array)
    return start + sum(min(step, 0) for step in steps), start + sum(max(step, 0) for step in steps)


def _begin(family: list[_Entry]) -> int:
    """The address of the first element of all.

    Raises:
        RuntimeError: their elements do not lie in one row.
    """
    arrays = [entry.tensor._array for entry in family]
    begin = min((_reach(a)[0] for a in arrays if a.size), default=0)
    if len({a.dtype for a in arrays}) > 1 or any((address_of(a) - begin) % a.itemsize for a in arrays if a.size):
        places = " and ".join(_named(entry.where) for entry in family)
        raise RuntimeError(
            f"save(): {places} share memory in which their elements are of different dtypes, or overlap: clone() one of them"
        )
    return begin


def _span(arrays: list[Any]) -> Any:
    """All memory between the first and the last element of some arrays of one owner, as a row of elements."""
    filled = [a for a in arrays if a.size]
    if not filled:
        return arrays[0].reshape(-1)
    lowest = min(filled, key=lambda a: _reach(a)[0])
    turned = lowest[tuple(slice(None, None, -1 if s < 0 else 1) for s in lowest.strides)]
    begin, end = _reach(lowest)[0], max(_reach(a)[1] for a in filled)
    size = lowest.itemsize
    return np.lib.stride_tricks.as_strided(turned, ((end - begin) // size + 1,), (size,), writeable=False)


def _place(array: Any, begin: int) -> dict[str, Any]:
    """Where an array lies in a row of elements that begins at an address."""
    size = array.itemsize
    offset = (address_of(array) - begin) // size if array.size else 0
    return {"offset": offset, "shape": array.shape, "strides": [s // size for s in array.strides]}


def save(obj: Any, f: Any) -> None:
    """Write an object to a file, which `load` reads.

    A file of that name is replaced when all has been written, and stays as it is if something goes wrong before.

    Args:
        obj: None, a bool, a number, a string, a tensor, a parameter, a dtype; or a list, a tuple, a dict, an OrderedDict or a
            Counter of such, nested. Tensors that share memory share it again when they are loaded. Gradients and hooks are not
            written.
        f: the path of a file, or a file that is open for writing bytes.

    Raises:
        OSError: the file cannot be written.
        RuntimeError: a tensor has a history, or tensors of different dtypes lie in the same memory.
        TypeError: something in the object cannot be saved; the message says where it lies.
        ValueError: a container contains itself, or the nesting is deeper than Python's recursion.
    """
    writer = _Writer()
    try:
        structure = json.dumps(writer.described(obj)).encode("ascii")
    except RecursionError:
        raise ValueError("save(): the containers are nested too deeply") from None
    if isinstance(f, str | os.PathLike):
        with _replacing(os.fspath(f)) as file:
            _write(file, structure, writer.members)
    elif hasattr(f, "write"):
        _write(f, structure, writer.members)
    else:
        raise TypeError(f"save(): f must be a path or a file that is open for writing bytes, not {type(f).__name__}")


def _write(file: Any, structure: bytes, members: dict[str, Any]) -> None:
    # the date of all members is that of ZipInfo, so that the same object gives the same bytes
    with _zip().ZipFile(file, "w") as archive:
        archive.writestr(_zip().ZipInfo(_STRUCTURE), structure)
        for name, array in members.items():
            with archive.open(_zip().ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


@contextlib.contextmanager
def _replacing(path: Any) -> Iterator[IO[bytes]]:
    """A file beside ``path`` that takes its place when all has been written, and is removed when not.

    Raises:
        OSError: ``path`` is no regular file, or cannot be written.
    """
    target = os.path.realpath(os.fsdecode(path))
    if not os.path.basename(path):
        raise IsADirectoryError(f"save(): {path!r} names a folder; name a file in it")
    mode = None
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(target).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(f"save(): {target} is a folder; name a file in it")
        if not stat.S_ISREG(mode):
            raise OSError(f"save(): {target} is no regular file; open it for writing, and pass the open file")
        if not os.access(target, os.W_OK):
            raise PermissionError(f"save(): {target} must not be written to")
    folder, name = os.path.split(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"save(): there is no folder {folder}")
    beside = os.path.join(folder, f".{name[:40]}.{os.urandom(8).hex()}.tmp")
    try:
        with open(beside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(beside, stat.S_IMODE(mode))
        os.replace(beside, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(beside)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Have the new name in a folder written to the disk, where the system can do so."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# ------------------------------------------------------------------------------------------------------------- loading


def load(f: Any, map_location: Any = None, *, weights_only: bool = True) -> Any:
    """Read what `save` wrote. No code runs, whatever is in the file.

    Args:
        f: the path of a file, or a file that is open for reading bytes.
        map_location: must be ``"cpu"``, where it is given.
        weights_only: accepted; nothing but data is ever read.

    Raises:
        OSError: the file cannot be read.
        RuntimeError: the file is damaged, or is none that `save` wrote; the message says what is wrong with it.
        TypeError: ``f`` is neither a path nor a file.
    """
    if map_location is not None and str(map_location) != "cpu":
        raise RuntimeError(
            f"load(): tensors are in main memory, so that map_location must be 'cpu', not {map_location!r}"
        )
    if isinstance(f, str | os.PathLike):
        with open(f, "rb") as file:
            return _read(file, os.fspath(f))
    if not hasattr(f, "read"):
        raise TypeError(f"load(): f must be a path or a file that is open for reading bytes, not {type(f).__name__}")
    data = f if hasattr(f, "seek") else io.BytesIO(f.read())
    return _read(data, getattr(f, "name", "the file"))


@contextlib.contextmanager
def _reading(name: Any) -> Iterator[None]:
    """Whatever goes wrong with the bytes of a file is said of the file."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise RuntimeError(
            f"load(): {name} is damaged, cut off, or no file that save() wrote: {type(error).__name__}: {error}"
        ) from error


def _read(file: Any, name: Any) -> Any:
    with _reading(name):
        archive = _zip().ZipFile(file)
    with archive:
        if _STRUCTURE not in archive.namelist():
            raise RuntimeError(
                f"load(): {name} was not written by save(): it is an archive without {_STRUCTURE}. What another program wrote is "
                "read there, and can be saved here"
            )
        with _reading(name):
            structure = json.loads(_stored(archive, _STRUCTURE).read())
            written_as = structure["format"], structure["version"]
        if written_as != (_FORMAT, _VERSION):
            raise RuntimeError(
                f"load(): {name} is written as {written_as[0]}, version {written_as[1]}; only {_FORMAT}, version {_VERSION}, "
                "can be read here"
            )
        with _reading(name):
            return _Reader(archive, structure["tensors"]).value(structure["content"])


def _stored(archive: Any, member: str) -> IO[bytes]:
    """A member, opened. Its checksum is verified when all of it has been read.

    Raises:
        ValueError: it is compressed, which `save` does not do, or said to be longer than what lies before the list of members.
    """
    info = archive.getinfo(member)
    if info.compress_type != _zip().ZIP_STORED:
        raise ValueError(f"{member} is compressed")
    if info.file_size > archive.start_dir:
        raise ValueError(f"{member} is said to be {info.file_size} bytes long, more than there are")
    return archive.open(member)


class _Reader:
    """Makes the content of a file anew."""

    def __init__(self, archive: Any, tensors: list[Any]) -> None:
        self._archive, self._described = archive, tensors
        self._arrays: dict[str, Any] = {}
        self._made: dict[int, Tensor] = {}

    def value(self, described: Any) -> Any:
        if not isinstance(described, dict):
            if described is not None and type(described) not in (bool, int, float, str):
                raise ValueError(f"a {type(described).__name__} stands where a value should")
            return described
        ((kind, content),) = described.items()
        if type(content) is not _CONTENTS.get(kind, list):
            raise ValueError(f"the content of a {kind} is of type {type(content).__name__}")
        if kind in _SEQUENCES:
            return _SEQUENCES[kind](map(self.value, content))
        if kind in _MAPPINGS:
            return _MAPPINGS[kind]({self.value(key): self.value(part) for key, part in content})
        if kind == "tensor":
            if content not in self._made:
                self._made[content] = self._tensor(**self._described[content])
            return self._made[content]
        if kind == "dtype":
            return DTYPES[np.dtype(content)]
        if kind == "float":
            return float(content)
        if kind == "int":
            return int(content, 16)
        raise ValueError(f"there is no kind of value {kind!r}")

    def _tensor(self, kind: str, requires_grad: bool, member: str, **place: Any) -> Tensor:
        if type(requires_grad) is not bool:
            raise ValueError(f"requires_grad of a tensor is {requires_grad!r}")
        array = self._array(f"{member}.npy")
        made = wrap(_within(array, **place) if place else array)
        if _TENSORS[kind] is Parameter:
            made = Parameter(made, False)
        return made.requires_grad_(requires_grad)

    def _array(self, member: str) -> Any:
        if member not in self._arrays:
            with _stored(self._archive, member) as file:
                if np.lib.format.read_magic(file) != (1, 0):
                    raise ValueError(f"{member} has another version of the format than 1.0")
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
                native = DTYPES[dtype.newbyteorder("=")]
                size = file.tell() + math.prod(shape) * dtype.itemsize
            # before there is an array of that size
            if size != self._archive.getinfo(member).file_size:
                raise ValueError(f"{member} should be {size} bytes long")
            with _stored(self._archive, member) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
            self._arrays[member] = array.astype(native, copy=False)
        return self._arrays[member]


def _within(memory: Any, offset: int, shape: list[int], strides: list[int]) -> Any:
    """An array that lies in a row of elements.

    Raises:
        ValueError: it would reach beyond.
    """
    if 0 in shape:
        return np.zeros(shape, memory.dtype)
    steps = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    first, last = offset + sum(min(step, 0) for step in steps), offset + sum(max(step, 0) for step in steps)
    if min(shape, default=1) < 0 or first < 0 or last >= memory.size:
        raise ValueError(f"a tensor of shape {shape} would reach beyond the memory that it lies in")
    size = memory.itemsize
    return np.ndarray(shape, memory.dtype, memory, offset * size, [s * size for s in strides])
