"""A plain folder: pictures, and optionally ``samples.json`` in the small schema of docs/data.md."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import numpy as np

from monocap import skeletons
from monocap.data.dataset import Collection, Part
from monocap.data.fields import array, read_json, records, shaped, without_nulls
from monocap.data.sample import BodyKind, DatasetInfo, Gender, Sample, box_of_corners, box_of_points
from monocap.errors import InputError
from monocap.types import Array, BodyParams

SCHEMA = "monocap.samples/1"
FILE = "samples.json"
_PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
_UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_FRAMES = ("camera", "world", "root")


def read_folder(path: str | os.PathLike[str]) -> Collection:
    """A folder with ``samples.json`` (or that file itself, under any name), or a folder with nothing but pictures.

    Pictures without annotations become samples without truth, one sequence per folder. Raises InputError for a file of
    another schema or with fields of the wrong kind, and for a folder without pictures.
    """
    path = Path(path)
    annotations = path / FILE if path.is_dir() else path
    if annotations.is_file():
        return _annotated(annotations)
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder")
    pictures = sorted(p for p in path.rglob("*") if p.suffix.lower() in _PICTURES and p.is_file())
    if not pictures:
        raise InputError(f"{path}: neither {FILE} nor pictures in it")
    info = DatasetInfo(path.name or "folder", "not stated", "a folder of pictures", "")
    grouped: dict[str, list[Sample]] = {}
    for picture in pictures:
        sequence = picture.parent.relative_to(path).as_posix().strip(".") or path.name
        group = grouped.setdefault(sequence, [])
        group.append(Sample(info, picture, sequence=sequence, frame=len(group)))
    return Collection(info, [Part.of(sequence, samples) for sequence, samples in grouped.items()])


def _annotated(path: Path) -> Collection:
    content = read_json(path)
    schema = content.get("schema") if isinstance(content, Mapping) else None
    if schema != SCHEMA:
        raise InputError(f"{path}: schema {schema!r}; expected {SCHEMA!r} (docs/data.md describes it)")
    skeleton = str(content.get("skeleton", ""))
    if skeleton not in skeletons.names():
        raise InputError(f"{path}: skeleton {skeleton!r}; expected one of {', '.join(skeletons.names())}")
    unit = str(content.get("unit", "m"))
    if unit not in _UNITS:
        raise InputError(f"{path}: unit {unit!r}; expected m, cm or mm")
    frame = str(content.get("frame_of_reference", "camera"))
    if frame not in _FRAMES:
        raise InputError(f"{path}: frame_of_reference {frame!r}; expected {', '.join(_FRAMES)}")
    info = DatasetInfo(
        str(content.get("name", path.parent.name)),
        str(content.get("licence", "not stated")),
        str(content.get("source", "not stated")),
        skeleton,
    )
    order = _order(content.get("joint_names"), skeleton, path)
    grouped: dict[str, list[Sample]] = {}
    for number, entry in enumerate(records(content.get("samples"), path)):
        sample = _sample(entry, info, path, number, order, _UNITS[unit], frame)
        grouped.setdefault(sample.sequence, []).append(sample)
    return Collection(info, [Part.of(sequence, samples) for sequence, samples in grouped.items()])


def _order(names: Any, skeleton: str, path: Path) -> Array:
    """Where each of the file's joints belongs in the skeleton; by default they are in its order."""
    known = skeletons.get(skeleton)
    if names is None:
        return np.arange(len(known))
    order = known.indices([str(name) for name in names])
    if len(set(order.tolist())) != len(order):
        raise InputError(f"{path}: joint_names holds a name twice")
    return order


def _sample(
    entry: Mapping[str, Any], info: DatasetInfo, path: Path, number: int, order: Array, scale: float, frame: str
) -> Sample:
    where = f"{path}: sample {number}"
    count = len(skeletons.get(info.skeleton))
    joints3d = valid = joints2d = None
    if entry.get("joints3d") is not None:
        given = scale * shaped(without_nulls(entry["joints3d"]), (len(order), 3), f"{where}: joints3d")
        marked = np.isfinite(given).all(axis=1)
        if "joints3d_valid" in entry:  # what is said to be valid and is no number is a problem for `check`
            marked = array(entry, "joints3d_valid", (len(order),), where, bool)
        joints3d, valid = np.zeros((count, 3)), np.zeros(count, dtype=bool)
        joints3d[order], valid[order] = given, marked
    if entry.get("joints2d") is not None:
        joints2d = np.zeros((count, 3))
        joints2d[order] = shaped(without_nulls(entry["joints2d"]), (len(order), 3), f"{where}: joints2d")
    if entry.get("box") is not None:
        center, size = box_of_corners(shaped(entry["box"], (4,), f"{where}: box"))
    elif joints2d is not None:
        center, size = box_of_points(joints2d[:, :2], joints2d[:, 2])
    else:
        center, size = None, None
    image_size = shaped(entry["image_size"], (2,), f"{where}: image_size", int) if "image_size" in entry else None
    gender, body = str(entry.get("gender", "neutral")), entry.get("body")
    if gender not in get_args(Gender):
        raise InputError(f"{where}: gender {gender!r}; expected neutral, female or male")
    if body is not None and body not in get_args(BodyKind):
        raise InputError(f"{where}: body {body!r}; expected {', '.join(get_args(BodyKind))}")
    return Sample(
        info=info,
        image=path.parent / str(entry["image"]) if entry.get("image") else None,
        image_size=None if image_size is None else (int(image_size[0]), int(image_size[1])),
        box_center=center,
        box_size=size,
        K=array(entry, "K", (3, 3), where) if "K" in entry else None,
        T_camera_world=array(entry, "T_camera_world", (4, 4), where) if "T_camera_world" in entry else None,
        joints3d=joints3d,
        joints3d_valid=valid,
        skeleton3d=info.skeleton if joints3d is not None else "",
        frame_of_reference=frame,  # type: ignore[arg-type]  # checked by the caller
        joints2d=joints2d,
        skeleton2d=info.skeleton if joints2d is not None else "",
        params=_params(entry.get("params"), where),
        body=body,
        gender=gender,  # type: ignore[arg-type]  # checked above
        params_frame="world" if frame == "world" else "camera",
        sequence=str(entry.get("sequence", "")),
        frame=int(entry.get("frame", number)),
        subject=str(entry.get("subject", "")),
        notes=dict(entry.get("notes", {})),
    )


def _params(entry: Any, where: str) -> BodyParams | None:
    if entry is None:
        return None
    if not isinstance(entry, Mapping):
        raise InputError(f"{where}: params is {type(entry).__name__}; expected an object of named arrays")
    known = {f.name for f in fields(BodyParams)}
    unknown = set(entry) - known
    if unknown:
        raise InputError(f"{where}: params {', '.join(sorted(unknown))} unknown; there are {', '.join(sorted(known))}")
    arrays = {name: shaped(value, (None,), f"{where}: params {name}") for name, value in entry.items()}
    for name in ("betas", "global_orient", "body_pose", "transl"):
        if name not in arrays:
            raise InputError(f"{where}: params lacks {name}")
    return BodyParams(**arrays)
