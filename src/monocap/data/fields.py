"""Reading annotation files of strangers: JSON, and fields of a certain shape, with messages that name them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monocap.errors import InputError
from monocap.types import Array

MAX_JSON_BYTES = 1 << 30  # COCO-WholeBody's training file has about 0.6 GB


def read_json(path: str | os.PathLike[str], max_bytes: int = MAX_JSON_BYTES) -> Any:
    """The content of a JSON file. Raises InputError if it is missing, too large or no JSON."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size > max_bytes:
        raise InputError(f"{path}: {path.stat().st_size / 1e6:.0f} MB, more than the allowed {max_bytes / 1e6:.0f} MB")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: damaged JSON ({error})") from error


def records(content: Any, path: str | os.PathLike[str]) -> list[Mapping[str, Any]]:
    """``content`` if it is a list of objects. Raises InputError otherwise."""
    if not isinstance(content, list) or not all(isinstance(entry, Mapping) for entry in content):
        raise InputError(f"{path}: expected a JSON list of objects, found {type(content).__name__}")
    return content


def array(
    entry: Mapping[str, Any], key: str, shape: tuple[int | None, ...], where: str, dtype: Any = np.float64
) -> Array:
    """Numbers of field ``key`` as an array of ``shape`` (None: any size). Raises InputError if absent or otherwise."""
    if key not in entry:
        raise InputError(f"{where}: lacks {key}; it has {', '.join(map(str, list(entry)[:30])) or 'nothing'}")
    return shaped(entry[key], shape, f"{where}: {key}", dtype)


def shaped(value: Any, shape: tuple[int | None, ...], where: str, dtype: Any = np.float64) -> Array:
    """``value`` as an array of ``shape`` (None: any size). Raises InputError if it is not."""
    try:
        found = np.asarray(value, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where} is no array of numbers of shape {_named(shape)} ({error})") from error
    fits = found.ndim == len(shape) and all(want in (None, size) for size, want in zip(found.shape, shape, strict=True))
    if not fits:
        raise InputError(f"{where} has shape {found.shape}; expected {_named(shape)}")
    return found


def without_nulls(points: Any, width: int = 3) -> Any:
    """NaN for JSON's null in a list of points: one that is null, or whose coordinates are; anything else unchanged."""
    if not isinstance(points, list):
        return points
    rows = [[np.nan] * width if point is None else point for point in points]
    return [[np.nan if v is None else v for v in row] if isinstance(row, list) else row for row in rows]


def text(entry: Mapping[str, Any], key: str, where: str) -> str:
    """Field ``key`` if it is text. Raises InputError otherwise."""
    value = entry.get(key)
    if not isinstance(value, str):
        raise InputError(f"{where}: {key} is {type(value).__name__}; expected text")
    return value


def _named(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("n" if size is None else str(size) for size in shape) + ")"


def plain_text(value: Any) -> str:
    """Text of a zero-dimensional array, bytes or str: how npz files hold names."""
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
