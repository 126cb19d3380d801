"""Read pickles of strangers as data, without running anything: numbers, text, containers and numpy arrays.

A pickle is a program for a small machine that may call any function by name. This reader knows a handful of names
(numpy's own), implements what they do itself, and turns the classes of a few libraries into inert `Stub` objects
that hold what was stored; every other name is refused before anything is built. The program is scanned beforehand
for sizes that would exhaust the memory.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monocap.errors import InputError

MAX_PICKLE_BYTES = 1 << 30
MAX_CONTENT_BYTES = 2 << 30
"""What all arrays and copies that a pickle asks for may take together: one block of bytes can be asked for often."""
MAX_OPERATIONS = 5_000_000
MAX_TUPLE_DEPTH = 100  # hashing nested tuples recurses in C, where no limit stops it
INERT_MODULES = ("chumpy", "scipy.sparse", "pandas")
"""Packages whose objects are read as `Stub`: never imported, nothing of them is called."""

_REFUSED_OPCODES = {"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER"}
_PUT_OPCODES = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GET_OPCODES = {"GET", "BINGET", "LONG_BINGET"}
_BUILDS_ON = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "FROZENSET"}


@dataclass(eq=False)
class Stub:
    """An object of a library that was not imported: its class (``module.name``), constructor arguments and state."""

    kind: str
    args: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, item: Any) -> None:
        self.items.append(item)

    def extend(self, items: list[Any]) -> None:
        self.items.extend(items)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items.append((key, value))


def read_pickle(path: str | os.PathLike[str], max_bytes: int = MAX_PICKLE_BYTES) -> Any:
    """The content of a pickle file; Python 2's text is read as latin-1, arrays are numpy's.

    Raises InputError if the file is missing, too large, damaged, or needs anything that is not on the list.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    size = path.stat().st_size
    if size > max_bytes:
        raise InputError(f"{path}: {size / 1e6:.0f} MB, more than the allowed {max_bytes / 1e6:.0f} MB")
    return loads(path.read_bytes(), str(path))


def loads(data: bytes, name: str = "pickle") -> Any:
    """As `read_pickle`, of bytes in memory; ``name`` is used in messages."""
    try:
        _scan(data, name)
        budget = _Budget(name)
        return _Resolver(budget).resolve(_Unpickler(io.BytesIO(data), budget).load())
    except InputError:
        raise
    except Exception as error:  # whatever a damaged program makes of numpy, dict or int
        raise InputError(f"{name}: not a readable pickle ({type(error).__name__}: {error})") from error


class _Budget:
    """Counts what is copied while reading, and stops at the limit."""

    def __init__(self, name: str) -> None:
        self.name, self.left = name, MAX_CONTENT_BYTES

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise InputError(f"{self.name}: the pickle asks for more than {MAX_CONTENT_BYTES >> 30} GB; refused")

    def watch(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """``call``, charged for the size of what it is given, since it may copy that."""

        def watched(*args: Any) -> Any:
            self.spend(sum(8 * len(a) if hasattr(a, "__len__") else 8 for a in args))
            return call(*args)

        return watched


def _scan(data: bytes, name: str) -> None:
    """Go through the program without running it, so that running it ends, and within the memory.

    Lengths must lie inside the file (pickletools sees to it), memo numbers must be used up, steps are counted, and
    how deep tuples nest is followed over stack and memo.
    """
    stack: list[int] = []  # how deep each object nests in tuples; -1 is a mark
    memo: dict[int, int] = {}
    for operations, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(data))):
        if opcode.name in _REFUSED_OPCODES:
            raise InputError(f"{name}: the pickle uses {opcode.name}, which data files do not need; refused")
        if operations > MAX_OPERATIONS:
            raise InputError(f"{name}: the pickle has more than {MAX_OPERATIONS} steps; refused")
        if opcode.name in _PUT_OPCODES:
            number = argument if isinstance(argument, int) else len(memo)  # MEMOIZE counts
            if number > 4 * operations + 64:
                raise InputError(f"{name}: the pickle numbers an object {number} after {operations} steps; refused")
            memo[number] = stack[-1]
        elif opcode.name in _GET_OPCODES:
            stack.append(memo[argument if isinstance(argument, int) else -1])
        elif opcode.name == "MARK":
            stack.append(-1)
        elif opcode.name == "DUP":
            stack.append(stack[-1])
        else:
            taken: list[int] = []
            below = opcode.stack_before
            if pickletools.markobject in below:
                while (item := stack.pop()) >= 0:
                    taken.append(item)
                below = below[: below.index(pickletools.markobject)]
            taken += [stack.pop() for _ in below]
            depth = 0
            if opcode.name in _BUILDS_ON:
                depth = 1 + max(taken, default=0)
                if depth > MAX_TUPLE_DEPTH:
                    raise InputError(f"{name}: the pickle nests tuples more than {MAX_TUPLE_DEPTH} deep; refused")
            elif len(opcode.stack_after) == 1 and taken:  # APPEND, SETITEMS, BUILD … leave the object they change
                depth = taken[-1]
            stack += [depth] * len(opcode.stack_after)


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, budget: _Budget) -> None:
        super().__init__(stream, encoding="latin1")
        self._name, self._budget = budget.name, budget
        self._stubs: dict[str, type] = {}

    def find_class(self, module: str, name: str) -> Any:
        known = _KNOWN.get((_canonical(module), name))
        if known is not None:
            return known if isinstance(known, type) else self._budget.watch(known)
        if any(module == inert or module.startswith(f"{inert}.") for inert in INERT_MODULES) and "." not in name:
            kind = f"{module}.{name}"
            if kind not in self._stubs:
                self._stubs[kind] = _stub_class(kind)
            return self._stubs[kind]
        raise InputError(
            f"{self._name}: the pickle wants to call {module}.{name}, which is no plain data; refused, since it could "
            "run any program. Get the file from its official source, or convert it to npz where you trust it"
        )


def _canonical(module: str) -> str:
    """numpy renamed its core, Python 3 its built-ins."""
    module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
    return module.replace("numpy._core", "numpy.core", 1)


def _stub_class(kind: str) -> type:
    """A class that only remembers: safe for NEWOBJ, REDUCE and BUILD alike."""

    class Kind(Stub):
        def __new__(cls, *args: Any, **_: Any) -> Any:
            return object.__new__(cls)

        def __init__(self, *args: Any) -> None:
            super().__init__(kind, args)

        def __reduce__(self) -> Any:
            raise pickle.PicklingError("a stub holds what was read and is not written again")

    Kind.kind = kind  # NEWOBJ makes the object without calling __init__
    Kind.args, Kind.state, Kind.items = (), None, []
    return Kind


# ------------------------------------------------------------------ numpy, done by hand
class _Dtype:
    """numpy.dtype of plain kinds: no objects inside structures, no sub-arrays, nothing with a hidden state."""

    def __init__(self, text: Any = None, *_: Any) -> None:
        if isinstance(text, bytes):
            text = text.decode("latin1")
        if not isinstance(text, str):
            raise InputError("a dtype in the pickle is no text; refused")
        try:
            dtype = np.dtype(text)
        except TypeError as error:
            raise InputError(f"dtype {text!r} in the pickle is unknown") from error
        if dtype.kind not in "biufcSUO":
            raise InputError(f"dtype {text!r} in the pickle; expected numbers, text or objects")
        self.dtype = dtype

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise InputError("a structured dtype in the pickle; expected plain numbers, text or objects")
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order in ("<", ">") and self.dtype.kind not in "SO":
            self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """numpy.ndarray between its making (empty) and its state; becomes an array when everything is read."""

    def __init__(self, *_: Any) -> None:
        self.state: tuple[Any, ...] | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise InputError("the state of an array in the pickle is damaged")
        self.state = state[-4:]


def _frombuffer(buffer: Any, dtype: Any, shape: Any, order: Any = "C", *_: Any) -> _Array:
    array = _Array()
    array.state = (shape, dtype, order == "F", bytes(buffer))
    return array


def _scalar(dtype: Any, raw: Any = b"") -> Any:
    kind = _dtype(dtype)
    if kind.hasobject:
        raise InputError("an object scalar in the pickle; refused")
    return np.frombuffer(_raw(raw), dtype=kind, count=1)[0]


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise InputError("the pickle encodes text in a way that data files do not need; refused")
    return text.encode("latin1")


def _reconstructor(cls: Any, *_: Any) -> Any:
    if not (isinstance(cls, type) and issubclass(cls, Stub)):
        raise InputError("the pickle rebuilds an object that is no plain data; refused")
    return object.__new__(cls)


def _bytes(*args: Any) -> bytes:
    if args and not isinstance(args[0], bytes | bytearray | list | tuple):  # bytes(10**12) would fill the memory
        raise InputError("bytes of a number in the pickle; refused")
    return bytes(*args[:1])


def _slice(*args: Any) -> slice:
    return slice(*args)


def _ordered(*args: Any) -> OrderedDict[Any, Any]:
    return OrderedDict(*args)


def _set(items: Any = ()) -> set[Any]:
    return set(items) if isinstance(items, list | tuple) else set()


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): _ordered,
    ("copyreg", "_reconstructor"): _reconstructor,
    ("builtins", "object"): object,
    ("builtins", "bytes"): _bytes,
    ("builtins", "bytearray"): _bytes,
    ("builtins", "slice"): _slice,
    ("builtins", "set"): _set,
    ("builtins", "frozenset"): _set,
    ("builtins", "complex"): complex,
}


def _dtype(value: Any) -> np.dtype[Any]:
    if not isinstance(value, _Dtype):
        raise InputError("an array in the pickle has no readable dtype")
    return value.dtype


def _raw(value: Any) -> bytes:
    if isinstance(value, str):  # Python 2's str
        return value.encode("latin1")
    if not isinstance(value, bytes | bytearray):
        raise InputError("an array in the pickle has no readable content")
    return bytes(value)


class _Resolver:
    """Replaces unfinished arrays by numpy's everywhere, each object once."""

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self._done: dict[int, Any] = {}
        self._kept: list[Any] = []  # ids stay unique while the objects live

    def resolve(self, value: Any) -> Any:
        if id(value) in self._done:
            return self._done[id(value)]
        if not isinstance(value, list | dict | tuple | Stub | _Array | _Dtype):
            return value
        self._kept.append(value)
        if isinstance(value, _Dtype):
            return value.dtype
        if isinstance(value, _Array):
            result = self._done[id(value)] = self._array(value)
            return result
        if isinstance(value, tuple):
            result = self._done[id(value)] = tuple(self.resolve(item) for item in value)
            return result
        self._done[id(value)] = value
        if isinstance(value, list):
            value[:] = [self.resolve(item) for item in value]
        elif isinstance(value, dict):
            for key in list(value):
                value[key] = self.resolve(value[key])
        else:
            value.args = tuple(self.resolve(item) for item in value.args)
            value.state, value.items = self.resolve(value.state), [self.resolve(item) for item in value.items]
        return value

    def _array(self, array: _Array) -> np.ndarray:
        if array.state is None:
            raise InputError("an array in the pickle has no content")
        shape, dtype, fortran, raw = array.state
        shape = (shape,) if isinstance(shape, int) else shape
        if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise InputError("an array in the pickle has a damaged shape")
        kind, count = _dtype(dtype), 1
        for n in shape:
            count *= n
        if kind.hasobject:
            if not isinstance(raw, list) or len(raw) != count:
                raise InputError(f"an object array of shape {shape} in the pickle has other content")
            self._budget.spend(8 * count)
            flat = np.empty(count, dtype=object)
            for i, item in enumerate(raw):
                flat[i] = self.resolve(item)
        else:
            self._budget.spend(len(raw) if hasattr(raw, "__len__") else 0)
            content = _raw(raw)
            if len(content) != count * kind.itemsize:
                raise InputError(f"an array of shape {shape} in the pickle has {len(content)} bytes of content")
            flat = np.frombuffer(content, dtype=kind).astype(kind.newbyteorder("="))
        return flat.reshape(shape, order="F" if fortran else "C")
