"""MATLAB files: up to version 7 through scipy, 7.3 (HDF5) through the optional h5py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from monocap.errors import InputError, MissingDependencyError
from monocap.types import Array


def read_mat(path: str | os.PathLike[str], names: list[str] | None = None) -> dict[str, Any]:
    """Variables of a MATLAB file up to version 7: arrays, dictionaries for structures, lists for cells.

    Raises InputError if it is missing, damaged, or of version 7.3 (HDF5: see `read_hdf5`).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        content = loadmat(path, simplify_cells=True, variable_names=names)
    except NotImplementedError as error:
        raise InputError(f"{path}: MATLAB 7.3 where an older version was expected ({error})") from error
    except (MatReadError, ValueError, TypeError, OSError, EOFError, KeyError, IndexError, MemoryError) as error:
        raise InputError(f"{path}: not a readable MATLAB file ({error})") from error
    return {key: value for key, value in content.items() if not key.startswith("__")}


def as_list(value: Any) -> list[Any]:
    """A MATLAB array of structures or cells as a list: one alone is not wrapped there, none is an empty array."""
    if isinstance(value, np.ndarray):
        return list(value)
    return value if isinstance(value, list) else [value]


def read_hdf5(path: str | os.PathLike[str], names: list[str]) -> dict[str, Array]:
    """Numeric arrays of an HDF5 file (MATLAB 7.3), in the file's axis order, which is MATLAB's reversed.

    Raises MissingDependencyError without h5py, InputError if the file or an array is missing or damaged.
    """
    try:
        import h5py
    except ImportError:
        raise MissingDependencyError("h5py", "data") from None
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            missing = [name for name in names if not isinstance(file.get(name), h5py.Dataset)]
            if missing:
                raise InputError(f"{path}: lacks {', '.join(missing)}; it has {', '.join(file)}")
            return {name: np.asarray(file[name]) for name in names}
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a readable HDF5 file ({error})") from error
