"""Weights out of a ``.caffemodel`` file, read as the protocol buffer that it is: no Caffe, nothing that runs.

Only what holds weights is looked at: a net's layers, their names and blobs, a blob's shape and single-precision data
(fields 100, 1, 7, 7 and 5 of Caffe's ``caffe.proto``; 2, 4, 6 of layers of its first version).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np

from monocap.errors import InputError

MAX_BYTES = 1 << 30
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LAYERS = {100: (1, 7), 2: (4, 6)}  # field of the net: fields of a layer's name and blobs
_SHAPE, _DATA = 7, 5
_LEGACY = (1, 2, 3, 4)  # a blob's num, channels, height, width


def read_caffemodel(path: str | os.PathLike[str]) -> dict[str, list[np.ndarray]]:
    """The blobs of each layer that has some, float32, by the layer's name.

    Raises InputError for a file that is missing, too large, damaged or without weights.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: {path.stat().st_size / 1e6:.0f} MB; a caffemodel has at most {MAX_BYTES >> 20} MB")
    try:
        found: dict[str, list[np.ndarray]] = {}
        for number, value in _fields(memoryview(path.read_bytes())):
            if number in _LAYERS and isinstance(value, memoryview):
                name, blobs = _layer(value, *_LAYERS[number])
                if blobs:
                    found[name] = blobs
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable caffemodel ({error})") from error
    if not found:
        raise InputError(f"{path}: no layer with weights in it; expected a .caffemodel (not a .prototxt)")
    return found


def _layer(data: memoryview, name_field: int, blob_field: int) -> tuple[str, list[np.ndarray]]:
    name, blobs = "", []
    for number, value in _fields(data):
        if isinstance(value, memoryview):
            if number == name_field:
                name = bytes(value).decode()
            elif number == blob_field:
                blobs.append(_blob(value))
    return name, blobs


def _blob(data: memoryview) -> np.ndarray:
    shape: list[int] = []
    legacy = [0, 0, 0, 0]
    parts: list[np.ndarray] = []
    for number, value in _fields(data):
        if number == _SHAPE and isinstance(value, memoryview):
            for dim, size in _fields(value):
                if dim == 1:
                    shape += [size] if isinstance(size, int) else _varints(size)
        elif number == _DATA and isinstance(value, memoryview):
            parts.append(np.frombuffer(value, "<f4"))
        elif number in _LEGACY and isinstance(value, int):
            legacy[number - 1] = value
    if not shape and any(legacy):
        shape = legacy
    flat = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if prod(shape) != len(flat):
        raise ValueError(f"a blob of shape {shape} holds {len(flat)} numbers")
    return flat.astype(np.float32).reshape(shape)


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values of one message: whole numbers, or bytes (single-precision numbers as their four)."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"a field of kind {kind}")
        if size > len(data) - at:
            raise ValueError("it ends in the middle of a field")
        yield number, data[at : at + size]
        at += size


def _varints(data: memoryview) -> list[int]:
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")
