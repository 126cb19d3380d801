"""Files written whole or not at all, and ``.npz`` archives from strangers read without running anything."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from monocap.errors import InputError

MAX_NPZ_BYTES = 2 << 30  # unpacked; a full SMPL-X v1.1 file needs about 1 GB


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; rename it to ``path`` only if the block succeeds.

    The folder is made if it is absent. The suffix is kept, since encoders choose their format by it.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files private; outputs are ordinary files
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write ``arrays`` as a compressed ``.npz``; an object array is refused, since reading it needs pickle."""
    for key, value in arrays.items():
        if np.asarray(value).dtype.hasobject:
            raise InputError(f"array {key!r} has dtype object; expected numbers, booleans or text")
    with replacing(path) as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **arrays)


def read_npz(
    path: str | os.PathLike[str], keys: Collection[str] | None = None, max_bytes: int = MAX_NPZ_BYTES
) -> dict[str, np.ndarray]:
    """Read a ``.npz`` file without unpickling anything.

    ``keys`` limits what is unpacked (absent ones are simply not in the result). The declared unpacked size of
    what is read is checked against ``max_bytes`` before anything is allocated.

    Raises InputError if the file is missing, is no npz, is too large, or needs pickle.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
        wanted = [key for key in sizes if keys is None or key in keys]
        total = sum(sizes[key] for key in wanted)
        if total > max_bytes:
            raise InputError(f"{path}: {total / 1e6:.0f} MB unpacked, more than the allowed {max_bytes / 1e6:.0f} MB")
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in wanted}
    except InputError:
        raise
    except (zipfile.BadZipFile, ValueError, OSError, KeyError, EOFError) as error:
        raise InputError(f"{path}: not a readable npz archive ({error})") from error
