"""Official torch checkpoints read without running anything: tensors and plain containers, the rest inert."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import torch
from torch import _utils as tensor_builders

from monocap.assets.pickles import Stub
from monocap.errors import InputError

_TENSOR_MODULES = ("torch", "torch.storage")
_REBUILD = ("_rebuild_tensor_v2", "_rebuild_parameter")


def read_checkpoint(path: str | os.PathLike[str]) -> Any:
    """The content of a ``.pt``, ``.pth`` or ``.ckpt`` file, tensors on the processor.

    Files with tensors only are read by torch's own weights-only reader. Others (configuration objects of yacs,
    Lightning or numpy beside the tensors) by one that rebuilds tensors and turns every other class into an inert
    object that calls nothing. Raises InputError for a file that is missing or cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    mapped = zipfile.is_zipfile(path)  # what is not asked for, such as optimisers' states, is then never read
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError:
        pass  # more than tensors in it
    except (RuntimeError, ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable torch checkpoint ({error})") from error
    reader = ModuleType("monocap.nets.checkpoints.reader")  # what torch expects in the place of `pickle`
    vars(reader).update(Unpickler=_Unpickler, load=lambda stream, **_: _Unpickler(stream).load())
    try:
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=reader, mmap=mapped)
    except Exception as error:  # whatever a stranger's file makes the reader stumble over
        raise InputError(f"{path}: not a readable torch checkpoint ({error})") from error


class _Unpickler(pickle.Unpickler):
    """Knows how tensors are put together, and no other callable."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in _REBUILD:
            return getattr(tensor_builders, name)
        if module in _TENSOR_MODULES:
            kind = getattr(torch.storage if module == "torch.storage" else torch, name, None)
            if isinstance(kind, torch.dtype) or name in ("Size", "TypedStorage", "UntypedStorage"):
                return kind
            if isinstance(kind, type) and name.endswith("Storage"):
                return kind
        return type(name, (_Inert,), {"of": f"{module}.{name}"})


class _Inert(Stub):
    """Takes whatever a pickle does to an object, and does nothing."""

    of = ""

    def __new__(cls, *args: Any, **_: Any) -> Self:  # pickles may make objects without calling __init__
        self = super().__new__(cls)
        Stub.__init__(self, cls.of, args)
        return self

    def __init__(self, *args: Any, **_: Any) -> None: ...

    def __call__(self, *args: Any, **_: Any) -> _Inert:
        return self


def state_dict_of(content: Any, *names: str) -> dict[str, torch.Tensor]:
    """The tensors by name, from the content itself or from its entry ``names[0]``, ``names[1]`` …

    Raises InputError if there are none.
    """
    tables = [content[name] for name in names if isinstance(content, dict) and isinstance(content.get(name), dict)]
    for table in (*tables, content):
        if isinstance(table, dict):
            tensors = {str(key): value for key, value in table.items() if isinstance(value, torch.Tensor)}
            if tensors:
                return tensors
    raise InputError(f"no tensors by name in it; expected a state dict, alone or under {', '.join(names)}")
