"""Weights as safetensors files that say what they are: tensors, the architecture they belong to, and their recipe."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from monocap.assets.pieces import SUFFIX, index_of, read_pieces, remove_pieces, write_pieces
from monocap.errors import InputError
from monocap.files import replacing

SCHEMA = "monocap.weights/1"


@dataclass(frozen=True)
class Tensors:
    """``arrays`` by name; ``arch`` (``{"name": …, …}``) says which network they fill; ``recipe`` how they were made:
    data, seed, settings, versions and measured errors."""

    arrays: dict[str, np.ndarray]
    arch: dict[str, Any]
    recipe: dict[str, Any] = field(default_factory=dict)


def write_tensors(
    path: str | os.PathLike[str], tensors: Tensors, half: bool = False, piece_bytes: int | None = None
) -> None:
    """Write a safetensors file (whole or not at all).

    ``half`` stores float arrays of two or more axes as float16: half the size, and networks of the size of a pose
    prior lose less than a tenth of a millimetre. ``piece_bytes``: instead of one file, several of at most so many bytes
    and ``PATH.index.json`` (see `pieces`); they are read by the same ``path``.
    """
    path = Path(path)
    arrays = {}
    for name, value in tensors.arrays.items():
        value = np.asarray(value, order="C")  # not ascontiguousarray, which gives a number an axis
        arrays[name] = value.astype(np.float16) if half and value.ndim > 1 and value.dtype == np.float32 else value
    metadata = {"schema": SCHEMA, "arch": json.dumps(tensors.arch), "recipe": json.dumps(tensors.recipe)}
    if piece_bytes is not None:
        write_pieces(path, arrays, metadata, piece_bytes)
        return
    with replacing(path) as temporary:
        save_file(arrays, temporary, metadata)
    remove_pieces(path)


def read_tensors(path: str | os.PathLike[str], arch: str | None = None) -> Tensors:
    """Read what `write_tensors` wrote; float16 comes back as float32. Nothing in it is ever executed.

    Weights in pieces are read by the name they were written under, or by their index.

    ``arch`` is the architecture's name that the caller can use. Raises InputError for a missing or damaged file, one
    without our description, or another architecture.
    """
    path = Path(path)
    index = path if path.name.endswith(SUFFIX) else index_of(path)
    if not path.is_file() and not index.is_file():
        raise InputError(f"{path}: no such file")
    metadata: Mapping[str, str]
    try:
        if index.is_file() and (index == path or not path.is_file()):
            arrays, metadata = read_pieces(index)
        else:
            with safe_open(path, framework="numpy") as stored:
                metadata = stored.metadata() or {}
                arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - not a dict
    except InputError:
        raise
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error
    if metadata.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: schema {metadata.get('schema')!r}; expected {SCHEMA!r}, a file that monocap train or "
            "monocap weights convert wrote"
        )
    try:
        described, recipe = json.loads(metadata["arch"]), json.loads(metadata["recipe"])
        name = described["name"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: its description is damaged ({error})") from error
    if arch is not None and name != arch:
        raise InputError(f"{path}: holds a {name!r} network; expected {arch!r}")
    wide = {key: value.astype(np.float32) if value.dtype == np.float16 else value for key, value in arrays.items()}
    return Tensors(wide, described, recipe)
