"""Bodies that a user added: official files converted once into one safe ``.npz`` each, in the user's data folder.

A converted file holds plain arrays, uncompressed and aligned, so that opening it maps them into memory instead of
reading them: pages come when they are used, and several processes share them.
"""

from __future__ import annotations

import io
import math
import os
import re
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_data_path

from monocap.bodies.keypoints import Landmarks
from monocap.bodies.kinds import KINDS
from monocap.bodies.model import BodyModel
from monocap.errors import InputError
from monocap.files import MAX_NPZ_BYTES, read_npy_header, replacing
from monocap.skeletons import get

SCHEMA = "monocap.body/1"
HOME = "MONOCAP_HOME"
"""Environment variable that names another data folder than the system's own."""

_ALIGNMENT = 64
_SHAPES: dict[str, tuple[str | int, ...]] = {
    "v_template": ("V", 3),
    "faces": ("F", 3),
    "shapedirs": ("B", "V", 3),
    "exprdirs": ("E", "V", 3),
    "posedirs": ("P", "V", 3),
    "parents": ("J",),
    "lbs_weights": ("V", "J"),
    "J_template": ("J", 3),
    "J_shapedirs": ("J", 3, "C"),
    "uv": ("U", 2),
    "uv_faces": ("F", 3),
    "extra_vertex_ids": ("X",),
    "hand_means": ("H", 45),
    "hand_components": ("H", "N", 45),
    "landmark_vertices": (51, 3),
    "landmark_weights": (51, 3),
    "contour_vertices": (79, 17, 3),
    "contour_weights": (79, 17, 3),
}
_OPTIONAL = {
    *("posedirs", "uv", "uv_faces", "hand_means", "hand_components"),
    *("landmark_vertices", "landmark_weights", "contour_vertices", "contour_weights"),
}
_INTEGERS = {"faces", "parents", "uv_faces", "extra_vertex_ids", "landmark_vertices", "contour_vertices"}
_FIRST = ("shapedirs", "exprdirs", "posedirs")  # stored with the last axis first, as posing reads them


def folder() -> Path:
    """Where added bodies lie: ``bodies`` in ``$MONOCAP_HOME``, or in the system's folder for a user's data."""
    home = os.environ.get(HOME)
    return (Path(home) if home else user_data_path("monocap", appauthor=False)) / "bodies"


def names() -> tuple[str, ...]:
    """Names of the bodies that were added."""
    return tuple(sorted(path.stem for path in folder().glob("*.npz") if not path.name.startswith(".")))


def find(body: str | os.PathLike[str]) -> Path:
    """The file of a name (in whatever case) or of a path. Raises InputError, listing the names, if there is none."""
    path = Path(body)
    if path.is_file():
        return path
    if path.suffix.lower() in (".npz", ".pkl") or len(path.parts) != 1:
        raise InputError(f"{path}: no such file")
    added = folder() / f"{str(path).lower()}.npz"
    if added.is_file():
        return added
    known = ", ".join(("open", *names()))
    raise InputError(
        f"no body {str(body)!r}; expected {known}, or a .npz or .pkl file of the SMPL family (monocap bodies add FILE)"
    )


def save_converted(model: BodyModel, path: str | os.PathLike[str]) -> None:
    """Write a body, whole or not at all."""
    arrays: dict[str, np.ndarray] = {
        "schema": np.array(SCHEMA),
        "name": np.array(model.name),
        "licence": np.array(model.licence),
        "v_template": model.v_template,
        "faces": model.faces.astype(np.int32),
        "parents": model.parents.astype(np.int64),
        "lbs_weights": model.lbs_weights,
        "J_template": model.J_template,
        "J_shapedirs": model.J_shapedirs,
        "extra_vertex_ids": np.array(list(model.extra_vertex_ids.values()), np.int64),
    }
    for key in _FIRST:
        if getattr(model, key) is not None:
            arrays[key] = np.moveaxis(getattr(model, key), -1, 0)
    if model.uv is not None and model.uv_faces is not None:
        arrays |= {"uv": model.uv, "uv_faces": model.uv_faces}
    hands = [model.hand_data[name] for name in model.kind.hands if name in model.hand_data]
    if hands and len(hands) == len(model.kind.hands):
        arrays["hand_means"] = np.stack([mean for mean, _ in hands])
        arrays["hand_components"] = np.stack([components for _, components in hands])
    for prefix, marks in (("landmark", model.landmarks), ("contour", model.contour)):
        if marks is not None:
            arrays |= {f"{prefix}_vertices": marks.vertices.astype(np.int32), f"{prefix}_weights": marks.weights}
    with replacing(path) as temporary:
        _write_aligned(temporary, arrays)


def _write_aligned(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """An ordinary uncompressed ``.npz`` whose arrays begin at multiples of 64 bytes: the headers of its members are
    padded, which their format allows."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for key, array in arrays.items():
            array = np.ascontiguousarray(array) if array.ndim else array
            plain = io.BytesIO()
            np.lib.format.write_array_header_1_0(plain, np.lib.format.header_data_from_array_1_0(array))
            text = plain.getvalue()[10:].rstrip()
            assert archive.fp is not None
            begin = archive.fp.tell() + 30 + len(f"{key}.npy")  # local header and name; no extra field
            padding = -(begin + 10 + len(text) + 1) % _ALIGNMENT
            header = text + b" " * padding + b"\n"
            content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + array.tobytes()
            archive.writestr(zipfile.ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0)), content)


def is_converted(path: Path) -> bool:
    """True for files that `save_converted` wrote."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("schema.npy") as member:
            return SCHEMA.encode("utf-32-le") in member.read(1 << 12)
    except Exception:  # no archive, no such member, damaged: not ours
        return False


def open_converted(path: Path) -> BodyModel:
    """A body as `save_converted` wrote it, its arrays mapped into memory. Raises InputError for a damaged file."""
    try:
        arrays = _map(path)
    except InputError:
        raise
    except Exception as error:  # zipfile and ast raise a dozen kinds on damaged files
        raise InputError(f"{path}: not a readable body ({error}); add it again: monocap bodies add") from error
    sizes: dict[str, int] = {}
    for key, pattern in _SHAPES.items():
        if key not in arrays:
            if key in _OPTIONAL:
                continue
            raise InputError(f"{path}: lacks {key}; add it again: monocap bodies add")
        shape = arrays[key].shape
        if len(shape) != len(pattern) or any(
            size != (sizes.setdefault(want, size) if isinstance(want, str) else want)
            for size, want in zip(shape, pattern, strict=True)
        ):
            raise InputError(f"{path}: {key} has shape {shape}; expected {pattern}")
        if arrays[key].dtype.kind != ("i" if key in _INTEGERS else "f"):
            raise InputError(f"{path}: {key} has dtype {arrays[key].dtype}; add it again: monocap bodies add")
    joints = sizes["J"]
    sound = (
        joints in KINDS
        and sizes.get("P", 9 * (joints - 1)) == 9 * (joints - 1)
        and sizes["C"] == sizes["B"] + sizes["E"]
        and sizes.get("H", len(KINDS[joints].hands)) == len(KINDS[joints].hands)
        and _inside(arrays["faces"], sizes["V"])
        and _inside(arrays["extra_vertex_ids"], sizes["V"])
        and ("uv" in arrays) == ("uv_faces" in arrays)
        and _inside(arrays.get("uv_faces"), sizes.get("U", 0))
        and all(_inside(arrays.get(f"{key}_vertices"), sizes["V"]) for key in ("landmark", "contour"))
        and all(0 <= p < i for i, p in enumerate(arrays["parents"].tolist()) if i)
    )
    if not sound:
        raise InputError(f"{path}: its arrays do not fit each other; add it again: monocap bodies add")
    kind = KINDS[joints]
    ids = arrays["extra_vertex_ids"].tolist()
    means, components = arrays.get("hand_means"), arrays.get("hand_components")
    first = {key: np.moveaxis(arrays[key], 0, -1) for key in _FIRST if key in arrays}
    return BodyModel(
        name=path.stem,
        v_template=arrays["v_template"],
        faces=arrays["faces"],
        shapedirs=first["shapedirs"],
        exprdirs=first["exprdirs"],
        posedirs=first.get("posedirs"),
        parents=arrays["parents"],
        joint_names=get(kind.skeleton).joint_names,
        lbs_weights=arrays["lbs_weights"],
        J_template=arrays["J_template"],
        J_shapedirs=arrays["J_shapedirs"],
        uv=arrays.get("uv"),
        uv_faces=arrays.get("uv_faces"),
        extra_vertex_ids=dict(zip(kind.extra_points, ids, strict=True)) if len(ids) == len(kind.extra_points) else {},
        hand_data={}
        if means is None or components is None
        else {name: (means[i], components[i]) for i, name in enumerate(kind.hands)},
        landmarks=_marks(arrays, "landmark"),
        contour=_marks(arrays, "contour"),
        licence=str(arrays["licence"]) if "licence" in arrays else kind.licence,
    )


def _inside(numbers: np.ndarray | None, limit: int) -> bool:
    return numbers is None or not numbers.size or bool(numbers.min() >= 0 and numbers.max() < limit)


def _marks(arrays: dict[str, np.ndarray], prefix: str) -> Landmarks | None:
    vertices, weights = arrays.get(f"{prefix}_vertices"), arrays.get(f"{prefix}_weights")
    return None if vertices is None or weights is None else Landmarks(vertices, weights)


def _map(path: Path) -> dict[str, np.ndarray]:
    whole: Any = np.memmap(path, dtype=np.uint8, mode="c")  # private: what is written never reaches the file
    raw = whole.view(np.ndarray)
    found: dict[str, np.ndarray] = {}
    with open(path, "rb") as handle, zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > MAX_NPZ_BYTES:
                raise ValueError(f"{info.filename} is packed")
            handle.seek(info.header_offset + 26)
            name, extra = struct.unpack("<HH", handle.read(4))
            begin = info.header_offset + 30 + name + extra
            handle.seek(begin)
            shape, fortran, dtype = read_npy_header(handle)
            start, size = handle.tell(), math.prod(shape) * dtype.itemsize
            if fortran or dtype.kind not in "fiuU" or start + size != begin + info.file_size or start + size > len(raw):
                raise ValueError(f"{info.filename} is damaged")
            found[info.filename.removesuffix(".npy")] = raw[start : start + size].view(dtype).reshape(shape)
    return found


def add(model: BodyModel, name: str | None = None, overwrite: bool = False) -> Path:
    """Convert a body into the data folder under ``name`` (its own, lowercase, by default); returns the file.

    Raises InputError for a name that is taken (unless ``overwrite``), or no file name.
    """
    name = (name or model.name).lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name) or name == "open" or name.endswith((".npz", ".pkl")):
        raise InputError(f"name {name!r}; expected letters, digits, '.', '-' and '_', and not 'open'")
    path = folder() / f"{name}.npz"
    if path.exists() and not overwrite:
        raise InputError(f"there is a body {name!r} already ({path}); choose another --name, or --overwrite")
    save_converted(replace(model, name=name), path)
    return path
