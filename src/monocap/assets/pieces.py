"""Weights in several safetensors files and an index that says what lies where, for places that limit a file's size.

The layout is the one that sharded checkpoints have elsewhere: ``NAME-00001-of-00003.safetensors`` … and
``NAME.safetensors.index.json`` with ``weight_map``. Beside it the index holds the sha256 of every piece, so that pieces
of two trainings are never mixed, and ``joined``: tensors too large for one piece, cut along their first axis.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from monocap.errors import InputError
from monocap.files import replacing

SUFFIX = ".index.json"
_MAX_INDEX_BYTES = 50_000_000
_LEAST_PIECE = 10_000
_HEADER = 1_000  # bytes of a file beside its tensors; and of every tensor beside its name and numbers
_ENTRY = 200


def index_of(path: Path) -> Path:
    """Where the index of the weights called ``path`` lies."""
    return path.with_name(path.name + SUFFIX)


def write_pieces(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str], piece_bytes: int
) -> list[Path]:
    """Write ``arrays`` (contiguous) in files of at most ``piece_bytes``, then their index; returns the pieces.

    Older weights of the same name, in pieces or not, are removed once the new ones are complete. Raises InputError if
    pieces are to be too small for a tensor's row.
    """
    if piece_bytes < _LEAST_PIECE:
        raise InputError(f"pieces of {piece_bytes} bytes; expected {_LEAST_PIECE} or more")
    stored, joined = _cut(arrays, piece_bytes)
    groups = _packed(stored, piece_bytes)
    weight_map: dict[str, str] = {}
    sums: dict[str, str] = {}
    for number, group in enumerate(groups, start=1):
        name = f"{path.stem}-{number:05d}-of-{len(groups):05d}{path.suffix}"
        content = save(group)
        with replacing(path.with_name(name)) as temporary:
            temporary.write_bytes(content)
        weight_map |= dict.fromkeys(group, name)
        sums[name] = hashlib.sha256(content).hexdigest()
    index = {
        "metadata": {**metadata, "total_size": sum(value.nbytes for value in stored.values())},
        "weight_map": weight_map,
        "joined": joined,
        "sha256": sums,
    }
    with replacing(index_of(path)) as temporary:
        temporary.write_text(json.dumps(index, indent=1), encoding="utf-8")
    path.unlink(missing_ok=True)
    _remove(path, keep=set(sums))
    return [path.with_name(name) for name in sums]


def remove_pieces(path: Path) -> None:
    """Remove the index and the pieces of the weights called ``path``, if there are any."""
    if index_of(path).exists():
        index_of(path).unlink()
        _remove(path, keep=set())


def read_pieces(index: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays by name and the description; nothing is executed.

    Raises InputError for a damaged index, and a piece that is missing, damaged or of other weights.
    """
    described = _read_index(index)
    stored: dict[str, np.ndarray] = {}
    for name, digest in described["sha256"].items():
        piece = index.with_name(name)
        if piece.name != name or not piece.is_file():
            raise InputError(f"{index}: its piece {name!r} is not beside it; copy all pieces and the index together")
        content = piece.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise InputError(f"{piece}: not the piece that {index.name} describes; copy all of them together again")
        stored |= load(content)
    missing = [name for name in described["weight_map"] if name not in stored]
    if missing:
        raise InputError(f"{index}: {missing[0]!r} is in none of its pieces")
    arrays = dict(stored)
    for name, cuts in described["joined"].items():
        arrays[name] = np.concatenate([arrays.pop(cut) for cut in cuts])
    return arrays, {key: value for key, value in described["metadata"].items() if isinstance(value, str)}


def _read_index(index: Path) -> dict[str, Any]:
    try:
        if index.stat().st_size > _MAX_INDEX_BYTES:
            raise ValueError(f"more than {_MAX_INDEX_BYTES} bytes")
        described = json.loads(index.read_text(encoding="utf-8"))
        tables = {name: dict(described[name]) for name in ("metadata", "weight_map", "joined", "sha256")}
        known = set(tables["weight_map"])
        if not all(isinstance(cuts, list) and set(cuts) <= known for cuts in tables["joined"].values()):
            raise ValueError("a cut tensor whose parts it does not list")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{index}: not a readable index of weights ({error})") from error
    return tables


def _cut(arrays: Mapping[str, np.ndarray], piece_bytes: int) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Tensors that fit a piece, and of which the others are made."""
    stored: dict[str, np.ndarray] = {}
    joined: dict[str, list[str]] = {}
    for name, value in arrays.items():
        room = piece_bytes - _HEADER - _ENTRY - len(name)
        if value.nbytes <= room:
            stored[name] = value
            continue
        rows = room // (value.nbytes // len(value))
        if not rows:
            raise InputError(f"pieces of {piece_bytes} bytes are too small for a row of {name}, {value.shape}")
        cuts = {f"{name}.from_row_{at}": value[at : at + rows] for at in range(0, len(value), rows)}
        joined[name] = list(cuts)
        stored |= cuts
    return stored, joined


def _packed(stored: Mapping[str, np.ndarray], piece_bytes: int) -> list[dict[str, np.ndarray]]:
    groups: list[dict[str, np.ndarray]] = [{}]
    filled = _HEADER
    for name, value in stored.items():
        size = value.nbytes + _ENTRY + len(name.encode())
        if filled + size > piece_bytes and groups[-1]:
            groups.append({})
            filled = _HEADER
        groups[-1][name] = value
        filled += size
    return groups


def _remove(path: Path, keep: set[str]) -> None:
    piece = re.compile(rf"{re.escape(path.stem)}-\d{{5}}-of-\d{{5}}{re.escape(path.suffix)}")
    for other in path.parent.iterdir():
        if piece.fullmatch(other.name) and other.name not in keep:
            other.unlink()
