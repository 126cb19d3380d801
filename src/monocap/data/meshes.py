"""Vertices of truth meshes: PLY (text or binary) and OBJ."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from monocap.errors import InputError
from monocap.types import Array

_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4"},
    **{"double": "f8", "float64": "f8"},
}
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}


def read_vertices(path: str | os.PathLike[str]) -> Array:
    """(V,3) vertices of a ``.ply`` or ``.obj`` file, in its unit and order. Raises InputError if there are none."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    raw = path.read_bytes()
    try:
        vertices = _obj(raw) if path.suffix.lower() == ".obj" else _ply(raw, path)
    except (ValueError, UnicodeDecodeError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged mesh ({error})") from error
    if not len(vertices) or not np.isfinite(vertices).all():
        raise InputError(f"{path}: {len(vertices)} vertices, or some that are not numbers")
    return vertices


def _obj(raw: bytes) -> Array:
    rows = [line.split()[1:4] for line in raw.decode("ascii", "replace").splitlines() if line.startswith("v ")]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def _ply(raw: bytes, path: Path) -> Array:
    end = raw.find(b"end_header")
    if not raw.startswith(b"ply") or end < 0:
        raise InputError(f"{path}: no PLY header; expected a PLY or OBJ mesh")
    body = raw.index(b"\n", end) + 1
    layout, count, fields = "", 0, []
    elements: list[str] = []
    for line in raw[:end].decode("ascii", "replace").splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            layout = words[1]
        elif words[:1] == ["element"]:
            elements.append(words[1])
            if words[1] == "vertex":
                count = int(words[2])
        elif words[:1] == ["property"] and elements[-1:] == ["vertex"]:
            if words[1] not in _TYPES:
                raise InputError(f"{path}: vertex property of type {words[1]!r}; expected numbers")
            fields.append((words[2], _TYPES[words[1]]))
    if elements[:1] != ["vertex"] or not {"x", "y", "z"} <= {name for name, _ in fields}:
        raise InputError(f"{path}: expected vertices with x, y, z first in the PLY file")
    if layout == "ascii":
        names = [name for name, _ in fields]
        rows = np.array([line.split()[: len(names)] for line in raw[body:].splitlines()[:count]], dtype=np.float64)
        if rows.shape != (count, len(names)):
            raise InputError(f"{path}: {len(rows)} of {count} vertices")
        return rows[:, [names.index(axis) for axis in "xyz"]]
    if layout not in _ORDERS:
        raise InputError(f"{path}: PLY format {layout!r}; expected ascii or binary")
    kind = np.dtype([(name, _ORDERS[layout] + code) for name, code in fields])
    if len(raw) - body < count * kind.itemsize:
        raise InputError(f"{path}: cut off; {count} vertices announced")
    table = np.frombuffer(raw, kind, count=count, offset=body)
    return np.stack([table[axis].astype(np.float64) for axis in "xyz"], axis=1)
