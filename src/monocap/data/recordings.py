"""A user's own measurements, to be labelled: 3D joints, 3D markers or 2D keypoints in time, from npz, JSON or CSV."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from monocap import skeletons
from monocap.data.catalog import open_dataset
from monocap.data.checks import valid_joints
from monocap.data.dataset import Dataset
from monocap.data.fields import plain_text, read_json, shaped, without_nulls
from monocap.errors import InputError
from monocap.files import read_npz
from monocap.types import Array

What = Literal["joints", "markers", "keypoints2d"]
Axes = Literal["z-up", "y-up", "camera"]
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
MARKER_SCHEMA = "monocap.markers/1"


@dataclass(frozen=True)
class Recording:
    """One person through T frames.

    ``points`` (T,N,3): metres, not numbers where not measured; for keypoints2d px, px, confidence. ``names`` (N,);
    ``skeleton`` is set when they are one's joints in its order. ``K`` (3,3) px for 2D. ``axes``: which way is up in 3D.
    """

    name: str
    what: What
    points: Array
    names: tuple[str, ...]
    skeleton: str = ""
    fps: float = 30.0
    axes: Axes = "z-up"
    K: Array | None = None


def read_recordings(
    path: str | os.PathLike[str],
    *,
    unit: str | None = None,
    axes: str | None = None,
    fps: float | None = None,
    skeleton: str | None = None,
) -> list[Recording]:
    """Recordings of a file (npz, JSON, CSV), a folder of npz and CSV, or a data set with 3D joints.

    npz and JSON hold one of ``joints`` (T,N,3), ``markers`` (T,N,3) or ``keypoints2d`` (T,N,3) with ``K`` (3,3);
    ``names`` (N) or ``skeleton``; optionally ``valid`` (T,N), ``fps``, ``unit`` (m, cm, mm), ``axes`` (z-up, y-up,
    camera). CSV has columns NAME_x, NAME_y, NAME_z (also NAME.X or NAME:X); an empty cell means not measured. Arguments
    overrule the file.

    Raises InputError naming the file and what is wrong with it.
    """
    path = Path(path)
    if unit is not None and unit not in UNITS:
        raise InputError(f"unit {unit!r}; expected m, cm or mm")
    if axes is not None and axes not in get_args(Axes):
        raise InputError(f"axes {axes!r}; expected {', '.join(get_args(Axes))}")
    forced = {"unit": unit, "axes": axes, "fps": fps, "skeleton": skeleton}
    if path.is_file() and path.name != "samples.json":
        return [_read_file(path, forced)]
    if path.is_dir() and not (path / "samples.json").exists():
        files = sorted(p for p in path.rglob("*") if p.suffix in (".npz", ".csv") and p.is_file())
        if files:
            return [_read_file(file, forced, file.relative_to(path).with_suffix("").as_posix()) for file in files]
    return of_dataset(open_dataset(path))


def _read_file(path: Path, forced: Mapping[str, Any], name: str | None = None) -> Recording:
    if path.suffix == ".npz":
        content: Mapping[str, Any] = read_npz(path)
    elif path.suffix == ".json":
        content = read_json(path)
    elif path.suffix == ".csv":
        content = _read_csv(path)
    else:
        raise InputError(f"{path}: expected .npz, .json or .csv")
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds a {type(content).__name__}; expected named arrays")
    what: What | None = next((w for w in get_args(What) if w in content), None)
    if what is None:
        raise InputError(f"{path}: lacks joints, markers or keypoints2d; it has {', '.join(content) or 'nothing'}")

    def setting(key: str, default: Any) -> Any:
        given = forced.get(key)
        return given if given is not None else content.get(key, default)

    points = _numbers(content[what], f"{path}: {what}")
    skeleton = plain_text(setting("skeleton", ""))
    if skeleton:
        names = skeletons.get(skeleton).joint_names
        if "names" in content:
            points, names = _ordered(points, [plain_text(n) for n in content["names"]], skeleton, path)
    else:
        names = tuple(plain_text(n) for n in content.get("names", ()))
    if len(names) != points.shape[1]:
        raise InputError(f"{path}: {len(names)} names for {points.shape[1]} points; expected names or a skeleton")
    if "valid" in content:
        valid = shaped(content["valid"], points.shape[:2], f"{path}: valid", bool)
        points = np.where(valid[..., None], points, 0.0 if what == "keypoints2d" else np.nan)
    unit, axes = plain_text(setting("unit", "m")), plain_text(setting("axes", "z-up"))
    if unit not in UNITS or axes not in get_args(Axes):
        raise InputError(f"{path}: unit {unit!r}, axes {axes!r}; expected m, cm or mm, and z-up, y-up or camera")
    K = None
    if what == "keypoints2d":
        if "K" not in content:
            raise InputError(f"{path}: keypoints2d without K; give the camera's (3, 3) intrinsics in pixels")
        K, axes = shaped(content["K"], (3, 3), f"{path}: K"), "camera"
    else:
        points = points * UNITS[unit]
        _plausible(points, path)
    if what != "markers" and not skeleton:
        skeleton, points, names = _guess(points, names, path, what)
    rate = float(np.ravel(setting("fps", 30.0))[0])
    if not 0 < rate <= 2000:
        raise InputError(f"{path}: fps {rate}; expected frames per second above 0")
    return Recording(name or path.stem, what, points, names, skeleton, rate, axes, K)  # type: ignore[arg-type]


def _numbers(value: Any, where: str) -> Array:
    if isinstance(value, list):  # JSON writes null where nothing was measured
        value = [without_nulls(frame) for frame in value]
    points = shaped(value, (None, None, 3), where)
    if not len(points) or not points.shape[1]:
        raise InputError(f"{where} has shape {points.shape}; expected at least one frame and one point")
    return points


def _plausible(points: Array, path: Path) -> None:
    """A body spans decimetres to a few metres in every frame: catches millimetres called metres."""
    spreads = [np.linalg.norm(np.ptp(f[np.isfinite(f).all(axis=1)], axis=0)) for f in points if _some(f)]
    spread = float(np.median(spreads)) if spreads else 0.0
    if not 0.2 < spread < 6.0:
        raise InputError(f"{path}: the points span {spread:.3g} m; is the unit right? (--unit mm, cm or m)")


def _some(frame: Array) -> bool:
    return int(np.isfinite(frame).all(axis=1).sum()) >= 2


def _ordered(points: Array, names: Sequence[str], skeleton: str, path: Path) -> tuple[Array, tuple[str, ...]]:
    known = skeletons.get(skeleton)
    order = known.indices(names)
    if len(names) != points.shape[1] or len(set(names)) != len(names):
        raise InputError(f"{path}: {len(names)} names for {points.shape[1]} points, or a name twice")
    out = np.full((len(points), len(known), 3), np.nan)
    out[:, order] = points
    return out, known.joint_names


def _guess(points: Array, names: tuple[str, ...], path: Path, what: str) -> tuple[str, Array, tuple[str, ...]]:
    """The smallest skeleton that has all these names."""
    fits = [s for s in skeletons.names() if set(names) <= set(skeletons.get(s).joint_names)]
    if not fits:
        raise InputError(
            f"{path}: {what} named {', '.join(names[:8])} …; expected names of one skeleton: "
            f"{', '.join(skeletons.names())}"
        )
    skeleton = min(fits, key=lambda s: len(skeletons.get(s)))
    ordered, known = _ordered(points, names, skeleton, path)
    return skeleton, np.nan_to_num(ordered) if what == "keypoints2d" else ordered, known


def _read_csv(path: Path) -> dict[str, Any]:
    with path.open(newline="", encoding="utf-8-sig") as handle:
        rows = list(csv.reader(handle))
    if len(rows) < 2:
        raise InputError(f"{path}: {len(rows)} rows; expected a line of column names and a row per frame")
    columns: dict[str, dict[str, int]] = {}
    for i, title in enumerate(rows[0]):
        name, axis = title.strip()[:-2], title.strip()[-1:].lower()
        if axis in ("x", "y", "z") and title.strip()[-2:-1] in ("_", ".", ":", " "):
            columns.setdefault(name, {})[axis] = i
    whole = {name: axes for name, axes in columns.items() if len(axes) == 3}
    if not whole:
        raise InputError(f"{path}: no columns NAME_x, NAME_y, NAME_z; it has {', '.join(rows[0][:6])}")
    points = np.full((len(rows) - 1, len(whole), 3), np.nan)
    for t, row in enumerate(rows[1:]):
        for n, axes in enumerate(whole.values()):
            for c, axis in enumerate("xyz"):
                cell = row[axes[axis]].strip() if axes[axis] < len(row) else ""
                if cell:
                    try:
                        points[t, n, c] = float(cell)
                    except ValueError:
                        raise InputError(f"{path}: row {t + 2}: {cell!r} is no number") from None
    names = list(whole)
    known = {joint for s in skeletons.names() for joint in skeletons.get(s).joint_names}
    return {"joints" if set(names) <= known else "markers": points, "names": names}


def of_dataset(dataset: Dataset) -> list[Recording]:
    """Every person of every sequence of a data set with 3D joints, frames in order, joints in the camera."""
    grouped: dict[tuple[str, str], list[Any]] = {}
    for index in range(len(dataset)):
        sample = dataset[index]
        if sample.joints3d is not None:
            grouped.setdefault((sample.sequence, sample.subject), []).append(sample)
    if not grouped:
        raise InputError(f"{dataset.name}: no 3D joints in it; nothing to label")
    several = len({subject for _, subject in grouped}) > 1
    recordings = []
    for (sequence, subject), samples in grouped.items():
        points = [np.where(valid_joints(s)[:, None], s.camera_joints(), np.nan) for s in samples]
        skeleton = samples[0].skeleton3d
        fps = samples[0].notes.get("fps") or 30.0
        name = "_".join(part for part in (sequence or dataset.name, subject if several else "") if part)
        recordings.append(
            Recording(
                name.replace("/", "_").replace("\\", "_"),
                "joints",
                np.stack(points),
                skeletons.get(skeleton).joint_names,
                skeleton,
                float(fps),
                "camera",
            )
        )
    return recordings


def read_markers(path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Attachments of markers by name (`fitting.point_sets.marker_points`): the shipped 41, or those of a JSON file.

    The file: ``{"schema": "monocap.markers/1", "distance": m, "markers": {name: where}}``.
    """
    if path is None:
        content = json.loads((resources.files("monocap.data") / "markers41.json").read_text(encoding="utf-8"))
    else:
        content = read_json(path)
    if not isinstance(content, Mapping) or content.get("schema") != MARKER_SCHEMA:
        raise InputError(f"{path}: expected a JSON object with schema {MARKER_SCHEMA!r}")
    markers = content.get("markers")
    if not isinstance(markers, Mapping) or not all(isinstance(where, Mapping) for where in markers.values()):
        raise InputError(f"{path}: markers is no object of attachments")
    distance = float(content.get("distance", 0.0))
    return {str(name): {"distance": distance, **where} for name, where in markers.items()}
