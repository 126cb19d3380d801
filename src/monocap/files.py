"""Files written whole or not at all, and ``.npz`` archives from strangers read without running anything."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from monocap.errors import InputError, MonocapError

TEMPORARY = ".monocap-tmp-"  # then the process's number: `pipeline.lock` clears away those of killed ones
MAX_NPZ_BYTES = 2 << 30  # unpacked; a full SMPL-X v1.1 file needs about 1 GB


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; rename it to ``path`` only if the block succeeds.

    The folder is made if it is absent. The suffix is kept, since encoders choose their format by it.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f"{TEMPORARY}{os.getpid()}-"
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files private; outputs are ordinary files
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


RESUMABLE = (
    "what was complete is kept, nothing half-written. Make room or choose another folder with -o, then go on with "
    "--resume"
)


@contextlib.contextmanager
def filling(folder: Path, remedy: str = RESUMABLE) -> Iterator[None]:
    """A full disk, or a folder that cannot be written, while ``folder`` is filled: one line with what to do."""
    try:
        yield
    except OSError as error:
        if isinstance(error, MonocapError):
            raise
        own = error.filename is None or TEMPORARY in str(error.filename)
        place = folder if own else error.filename
        raise InputError(f"{place}: {error.strerror or error}; {remedy}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], compress: bool = True) -> None:
    """Write ``arrays`` as an ``.npz``; an object array is refused, since reading it needs pickle."""
    for key, value in arrays.items():
        if np.asarray(value).dtype.hasobject:
            raise InputError(f"array {key!r} has dtype object; expected numbers, booleans or text")
    with replacing(path) as temporary, open(temporary, "wb") as handle:
        (np.savez_compressed if compress else np.savez)(handle, allow_pickle=False, **arrays)


def read_npz(
    path: str | os.PathLike[str], keys: Collection[str] | None = None, max_bytes: int = MAX_NPZ_BYTES
) -> dict[str, np.ndarray]:
    """Read a ``.npz`` file without unpickling anything.

    ``keys`` limits what is unpacked (absent ones are simply not in the result). The sizes that the archive and every
    array's own header declare are compared with each other and with ``max_bytes`` before anything is allocated.

    Raises InputError if the file is missing, is no npz, is too large, or needs pickle.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with open(path, "rb") as stream:
            return read_npz_stream(stream, str(path), keys, max_bytes)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def read_npz_stream(
    stream: IO[bytes], name: str, keys: Collection[str] | None = None, max_bytes: int = MAX_NPZ_BYTES
) -> dict[str, np.ndarray]:
    """`read_npz` of an open file or bytes in memory, called ``name`` in messages."""
    try:
        with zipfile.ZipFile(stream) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            wanted = [key for key in members if keys is None or key in keys]
            total = sum(members[key].file_size for key in wanted)
            if total > max_bytes:
                raise InputError(
                    f"{name}: {total / 1e6:.0f} MB unpacked, more than the allowed {max_bytes / 1e6:.0f} MB"
                )
            return {key: _read_member(archive, members[key]) for key in wanted}
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib and ast raise a dozen kinds on damaged files
        raise InputError(f"{name}: not a readable npz archive ({error})") from error


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # what numpy writes; others may bomb
        raise ValueError(f"{info.filename}: packed by method {info.compress_type}")
    with archive.open(info) as member:
        shape, fortran, dtype = read_npy_header(member)
        if dtype.hasobject:
            raise ValueError(f"{info.filename} holds Python objects, which only pickle could read")
        count = math.prod(shape)
        left = info.file_size - member.tell()
        if count * dtype.itemsize != left:
            raise ValueError(f"{info.filename} declares {count * dtype.itemsize} bytes and has {left}")
        content = bytearray(left)
        filled = 0
        while filled < left and (block := member.read(min(left - filled, 1 << 24))):
            content[filled : filled + len(block)] = block
            filled += len(block)
        if filled != left or member.read(1):  # the last read also compares the checksum
            raise ValueError(f"{info.filename} is cut short")
    flat = np.frombuffer(content, dtype=dtype, count=count) if left else np.zeros(count, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def npz_shapes(path: str | os.PathLike[str], keys: Collection[str] | None = None) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays in an ``.npz`` file (of ``keys`` only) from their headers, without unpacking them.

    Raises InputError if it is none.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                key = info.filename.removesuffix(".npy")
                if keys is None or key in keys:
                    with archive.open(info) as member:
                        shapes[key] = read_npy_header(member)[0]
    except Exception as error:  # zipfile, zlib and ast raise a dozen kinds on damaged files
        raise InputError(f"{path}: not a readable npz archive ({error})") from error
    return shapes


def read_npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype at the start of an ``.npy`` stream; afterwards the stream stands at the data."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"npy version {version}; expected 1.0 or 2.0")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(stream)
