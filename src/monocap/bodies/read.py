"""Body files as plain arrays, checked: official ``.npz`` and ``.pkl`` of every kind, told apart by their content.

Nothing in a file is executed. Pickles are read by `assets.pickles`, which knows chumpy's and scipy's objects as data.
Shapes are compared before the content of an ``.npz`` is read.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monocap.assets.pickles import Stub, loads, read_pickle
from monocap.bodies.kinds import KINDS
from monocap.errors import InputError
from monocap.files import MAX_NPZ_BYTES, npz_shapes, read_npy_header, read_npz

NEEDED = ("v_template", "f", "shapedirs", "weights", "kintree_table", "J_regressor")
OPTIONAL = (
    *("posedirs", "vt", "ft", "licence"),
    *("hands_meanl", "hands_meanr", "hands_componentsl", "hands_componentsr", "hands_mean", "hands_components"),
    *("lmk_faces_idx", "lmk_bary_coords", "dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords"),
)
MAX_VERTICES, MAX_COLUMNS = 200_000, 1000
_LARGEST = 1e6  # metres, weights and radians stay below


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of an official body file by their names in it; zero ``posedirs`` are left out.

    Raises InputError, saying what is wrong, for anything that is not a sound body of the SMPL family.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with open(path, "rb") as handle:
        zipped = handle.read(2) == b"PK"
    if zipped:
        shapes = npz_shapes(path, (*NEEDED, *OPTIONAL))
        if not shapes:
            _refuse_bundle(path)
        _check(path, shapes)
        keys = set(NEEDED) | set(OPTIONAL) - ({"posedirs"} if is_zero(path, "posedirs") else set())
        arrays = read_npz(path, keys=keys)
    else:
        arrays = _from_pickle(path)
    _check(path, {key: value.shape for key, value in arrays.items()})
    _check_content(path, arrays)
    return arrays


def _refuse_bundle(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        inside = [name for name in archive.namelist() if name.lower().endswith((".pkl", ".npz"))]
    if inside:
        raise InputError(f"{path}: an archive of {', '.join(inside[:4])}; unpack it and pass the file that you want")


def _check(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """All shapes agree with each other and with one of the kinds."""
    missing = [key for key in NEEDED if key not in shapes]
    if missing:
        raise InputError(
            f"{path}: lacks {', '.join(missing)}; expected a body file of SMPL, SMPL-H, SMPL-X, MANO or FLAME"
        )
    joints = shapes["weights"][-1] if len(shapes["weights"]) == 2 else 0
    if joints not in KINDS:
        kinds = ", ".join(f"{count} ({kind.title})" for count, kind in sorted(KINDS.items()))
        raise InputError(f"{path}: {joints} joints; expected {kinds}")
    vertices = shapes["v_template"][0] if len(shapes["v_template"]) == 2 else 0
    if not 0 < vertices <= MAX_VERTICES:
        raise InputError(f"{path}: v_template has shape {shapes['v_template']}; expected (V, 3), V ≤ {MAX_VERTICES}")
    columns = shapes["shapedirs"][-1] if len(shapes["shapedirs"]) == 3 else 0
    if columns > MAX_COLUMNS:
        raise InputError(f"{path}: shapedirs has {columns} columns; expected up to {MAX_COLUMNS}")
    faces = shapes["f"][0] if len(shapes["f"]) == 2 else 0
    if faces > 4 * MAX_VERTICES:
        raise InputError(f"{path}: {faces} triangles; expected up to {4 * MAX_VERTICES}")
    expected: dict[str, tuple[int, ...]] = {
        **{"v_template": (vertices, 3), "weights": (vertices, joints), "kintree_table": (2, joints), "f": (faces, 3)},
        **{"J_regressor": (joints, vertices), "shapedirs": (vertices, 3, columns)},
        "posedirs": (vertices, 3, 9 * (joints - 1)),
        **dict.fromkeys(("hands_meanl", "hands_meanr", "hands_mean"), (45,)),
        **{"lmk_faces_idx": (51,), "lmk_bary_coords": (51, 3), "ft": (faces, 3)},
        **{"dynamic_lmk_faces_idx": (79, 17), "dynamic_lmk_bary_coords": (79, 17, 3)},
    }
    for key, shape in expected.items():
        if key in shapes and shapes[key] != shape:
            raise InputError(f"{path}: {key} has shape {shapes[key]}; expected {shape}")
    for key, width in (("hands_componentsl", 45), ("hands_componentsr", 45), ("hands_components", 45), ("vt", 2)):
        size = shapes.get(key, (1, width))
        if len(size) != 2 or size[1] != width or size[0] > 4 * MAX_VERTICES:
            raise InputError(f"{path}: {key} has shape {size}; expected (n, {width})")


def _check_content(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    for key, value in arrays.items():
        if key == "licence":
            continue
        if value.dtype.kind not in "fiu":
            raise InputError(f"{path}: {key} has dtype {value.dtype}; expected numbers")
        if value.dtype.kind == "f" and value.size and not _is_sound(value):
            raise InputError(f"{path}: {key} holds numbers that are not finite, or far too large")
    vertices, faces = len(arrays["v_template"]), len(arrays["f"])
    limits = {"f": vertices, "lmk_faces_idx": faces, "dynamic_lmk_faces_idx": faces, "ft": len(arrays.get("vt", ()))}
    for key, limit in limits.items():
        value = arrays.get(key)
        if value is not None and value.size and not (value.min() >= 0 and value.max() < limit):
            raise InputError(f"{path}: {key} names {int(value.max())} of {limit}")
    joints = arrays["weights"].shape[1]
    parents = arrays["kintree_table"][0][1:].astype(np.float64)
    if not all(0 <= parent < child for child, parent in enumerate(parents.tolist(), start=1)):
        raise InputError(f"{path}: kintree_table is no tree of {joints} joints with parents first")
    sums = arrays["weights"].sum(axis=1, dtype=np.float64)
    if arrays["weights"].min() < -1e-3 or np.abs(sums - 1).max() > 0.05:
        raise InputError(f"{path}: skinning weights do not sum to 1")


def _is_sound(value: np.ndarray) -> bool:
    if value.dtype == np.float16:  # none is large; comparing them is slow
        return bool(np.isfinite(value).all())
    return float(value.min()) > -_LARGEST and float(value.max()) < _LARGEST  # False for nan too


# ------------------------------------------------------------------ pickles
def _from_pickle(path: Path) -> dict[str, np.ndarray]:
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: a pickle of {type(content).__name__}; expected a dictionary of arrays")
    wanted = set(NEEDED) | set(OPTIONAL)
    arrays = {key: plain(value, f"{path}: {key}") for key, value in content.items() if key in wanted}
    posedirs = arrays.get("posedirs")
    if posedirs is not None and posedirs.dtype.kind == "f" and not posedirs.any():
        del arrays["posedirs"]
    return arrays


def plain(value: Any, what: str, depth: int = 0) -> np.ndarray:
    """What a pickle held as an array: numpy's own, chumpy's (its value, or a selection of another's) or a sparse matrix
    of scipy, made dense. Raises InputError for anything else; ``what`` is used in messages."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value
    if isinstance(value, (list, tuple, int, float)):
        try:
            array = np.asarray(value)
        except (ValueError, OverflowError) as error:
            raise InputError(f"{what} is no array ({error})") from error
        if array.dtype.kind in "fiu":
            return array
    if isinstance(value, Stub) and isinstance(value.state, dict) and depth < 8:
        state = value.state
        if value.kind.startswith("chumpy"):
            if "x" in state:
                return plain(state["x"], what, depth + 1)
            if "a" in state and "idxs" in state:  # a selection: numbers into the flattened other
                return _selected(state, what, depth)
        if value.kind.startswith("scipy.sparse") and state.get("format", "csc") in ("csc", "csr"):
            return _dense(state, "csc" if "csc" in value.kind else "csr", what)
    kind = value.kind if isinstance(value, Stub) else type(value).__name__
    raise InputError(f"{what} is {kind}; expected an array of numbers")


def _selected(state: Mapping[str, Any], what: str, depth: int) -> np.ndarray:
    flat = plain(state["a"], what, depth + 1).reshape(-1)
    numbers = plain(state["idxs"], what, depth + 1)
    if numbers.dtype.kind not in "iu" or (numbers.size and not (numbers.min() >= 0 and numbers.max() < len(flat))):
        raise InputError(f"{what} selects entries that are not there")
    chosen = flat[numbers.reshape(-1)]
    shape = state.get("preferred_shape")
    shape = numbers.shape if shape is None else tuple(plain(shape, what, depth + 1).reshape(-1).tolist())
    if np.prod(shape, dtype=np.float64) != chosen.size:
        raise InputError(f"{what} has {chosen.size} entries for shape {shape}")
    return chosen.reshape(shape)


def _dense(state: Mapping[str, Any], kind: str, what: str) -> np.ndarray:
    data, indices, starts = (plain(state.get(key), what).reshape(-1) for key in ("data", "indices", "indptr"))
    shape = state.get("_shape", state.get("shape"))
    if not (isinstance(shape, tuple) and len(shape) == 2 and all(isinstance(n, int | np.integer) for n in shape)):
        raise InputError(f"{what} has no shape")
    rows, columns = (int(n) for n in shape)
    major, minor = (columns, rows) if kind == "csc" else (rows, columns)
    if not (0 < rows <= MAX_VERTICES and 0 < columns <= MAX_VERTICES and rows * columns * 8 <= MAX_NPZ_BYTES):
        raise InputError(f"{what} has shape {shape}, which is too large")
    sound = (
        all(part.dtype.kind in "iu" for part in (indices, starts))
        and len(starts) == major + 1
        and len(data) == len(indices) == starts[-1]
        and starts[0] == 0
        and (np.diff(starts.astype(np.int64)) >= 0).all()
        and (not len(indices) or (indices.min() >= 0 and indices.max() < minor))
    )
    if not sound:
        raise InputError(f"{what} is a damaged sparse matrix")
    owner = np.repeat(np.arange(major), np.diff(starts.astype(np.int64)))
    out = np.zeros((rows, columns), data.dtype)
    np.add.at(out, (indices, owner) if kind == "csc" else (owner, indices), data)
    return out


# ------------------------------------------------------------------ what comes in files of its own
def read_mean_hands(left: str | os.PathLike[str], right: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The mean and components of both hands from MANO's files, under the names they have in SMPL-H's."""
    found: dict[str, np.ndarray] = {}
    for path, side in ((Path(left), "l"), (Path(right), "r")):
        arrays = read_arrays(path)
        if "hands_mean" not in arrays or "hands_components" not in arrays:
            raise InputError(f"{path}: has no hands_mean and hands_components; expected MANO_LEFT or MANO_RIGHT")
        found[f"hands_mean{side}"], found[f"hands_components{side}"] = arrays["hands_mean"], arrays["hands_components"]
    return found


def read_flame_landmarks(path: Path) -> dict[str, np.ndarray]:
    """FLAME's landmarks from the files beside it, ``flame_static_embedding.pkl`` and ``flame_dynamic_embedding.npy``,
    under the names they have in SMPL-X's; empty where there are none."""
    found: dict[str, np.ndarray] = {}
    static, dynamic = path.with_name("flame_static_embedding.pkl"), path.with_name("flame_dynamic_embedding.npy")
    for file, prefix in ((static, ""), (dynamic, "dynamic_")):
        if not file.is_file():
            continue
        content = read_pickle(file) if prefix == "" else _object_npy(file)
        if not isinstance(content, dict) or "lmk_face_idx" not in content or "lmk_b_coords" not in content:
            raise InputError(f"{file}: expected lmk_face_idx and lmk_b_coords")
        faces, weights = (plain(content[key], f"{file}: {key}") for key in ("lmk_face_idx", "lmk_b_coords"))
        found[f"{prefix}lmk_faces_idx"], found[f"{prefix}lmk_bary_coords"] = faces.astype(np.int64), weights
    return found


def _object_npy(path: Path) -> Any:
    """The one Python object of an ``.npy`` file, read as data."""
    raw = path.read_bytes() if path.stat().st_size < 1 << 26 else b""
    stream = io.BytesIO(raw)
    try:
        shape, _, dtype = read_npy_header(stream)
    except Exception as error:
        raise InputError(f"{path}: not a readable npy file ({error})") from error
    if shape != () or not dtype.hasobject:
        raise InputError(f"{path}: an array {shape} of {dtype}; expected one dictionary")
    content = loads(raw[stream.tell() :], str(path))
    return content.item() if isinstance(content, np.ndarray) and content.shape == () else content


def read_kid_template(path: str | os.PathLike[str]) -> np.ndarray:
    """SMIL's template (V,3) from an ``.npy`` file."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a readable npy file ({error})") from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind != "f":
        raise InputError(f"{path}: expected a template of shape (V, 3)")
    return array


def is_zero(path: Path, key: str) -> bool:
    """True if array ``key`` holds only zero bytes, told from the archive's checksum without unpacking it."""
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(f"{key}.npy")
            if info.compress_size * 200 > info.file_size:  # zeros shrink a thousandfold
                return False
            if info.file_size > MAX_NPZ_BYTES:
                return False
            with archive.open(info) as member:
                read_npy_header(member)
                header_size = member.tell()
            with archive.open(info) as member:
                checksum = zlib.crc32(member.read(header_size))
    except Exception:  # damaged in any way: reading it will say how
        return False
    left, block = info.file_size - header_size, bytes(1 << 20)
    while left > 0:
        checksum = zlib.crc32(block[: min(left, len(block))], checksum)
        left -= len(block)
    return checksum == info.CRC
