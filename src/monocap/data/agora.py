"""AGORA: the camera data frames (pandas pickles) with joints, read without pandas and without running them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from monocap.assets.pickles import Stub, read_pickle
from monocap.data.dataset import Collection, Part
from monocap.data.fields import shaped
from monocap.data.sample import DatasetInfo, Gender, Sample, box_of_points
from monocap.errors import InputError
from monocap.geometry.cameras import intrinsics
from monocap.types import Array

INFO = DatasetInfo(
    name="agora",
    licence="non-commercial research (registration)",
    source="https://agora.is.tue.mpg.de",
    skeleton="smplx76",
    description="rendered scans, 5 to 15 people per picture; joints in the camera",
)
_4K, _720 = (3840, 2160), (1280, 720)
_SENSOR = (36.0, 20.25)  # mm
_GENDERS: dict[str, Gender] = {"male": "male", "female": "female"}
# Focal length in mm by what is in the picture's name.
_LENSES = (("hdri", 50.0), ("cam00", 18.0), ("cam01", 18.0), ("cam02", 18.0), ("cam03", 18.0), ("ag2", 28.0))
_OTHER_LENS = 28.0


def read_agora(path: str | os.PathLike[str], pictures: str | os.PathLike[str] | None = None) -> Collection:
    """A ``*_withjv.pkl`` data frame or a folder of them; ``pictures``: the folder of the pictures (default: beside).

    One sample per person. Joints in the camera, metres, and in pixels of the picture used: 3840×2160, or 1280×720 where
    only those exist. SMPL-X frames give smplx76, SMPL's smpl24. ``in_protocol``: ``isValid`` (occlusion up to 90 %).
    Not read: the parameters of the fit files, which need the scans' placement and partly torch.
    """
    path = Path(path)
    files = [path] if path.is_file() else sorted(path.rglob("*.pkl"))
    if not files:
        raise InputError(f"{path}: no pkl data frames of AGORA")
    root = Path(pictures) if pictures is not None else (path.parent if path.is_file() else path)
    return Collection(INFO, [_part(file, root) for file in files])


def _part(file: Path, root: Path) -> Part:
    try:
        rows = _rows(file)
    except InputError as error:
        return Part(file.stem, 0, None, str(error))
    return Part(file.stem, len(rows), lambda: lambda index: _sample(file, root, *rows[index]))


def _rows(file: Path) -> list[tuple[dict[str, Any], int, int]]:
    frame = frame_columns(read_pickle(file, 4 << 30), str(file))
    needed = ("imgPath", "gt_joints_2d", "gt_joints_3d")
    missing = [key for key in needed if key not in frame]
    if missing:
        raise InputError(
            f"{file}: lacks {', '.join(missing)}; expected AGORA's data frame with joints (it has {', '.join(frame)})"
        )
    kept = {key: values for key, values in frame.items() if key != "gt_verts"}
    rows = []
    for number in range(len(kept["imgPath"])):
        row = {key: values[number] for key, values in kept.items()}
        rows += [(row, number, person) for person in range(len(row["gt_joints_3d"]))]
    return rows


def _sample(file: Path, root: Path, row: dict[str, Any], number: int, person: int) -> Sample:
    where = f"{file}: row {number}"
    name = str(row["imgPath"])
    picture, size = root / name, _4K
    small = root / name.replace(".png", "_1280x720.png")
    if not picture.is_file() and small.is_file():
        picture, size = small, _720
    joints = shaped(row["gt_joints_3d"][person], (None, 3), f"{where}: gt_joints_3d")
    points = shaped(row["gt_joints_2d"][person], (len(joints), 2), f"{where}: gt_joints_2d")
    skeleton, used = ("smplx76", 76) if len(joints) >= 76 else ("smpl24", 24)
    if len(joints) < used:
        raise InputError(f"{where}: {len(joints)} joints; expected 127 (SMPL-X) or 45 or 24 (SMPL)")
    points = points[:used] * (size[0] / _4K[0])
    inside = np.all((points >= 0) & (points < np.asarray(size)), axis=1)
    center, extent = box_of_points(points, inside)
    return Sample(
        info=INFO,
        image=picture,
        image_size=size,
        box_center=center,
        box_size=extent,
        K=_camera(name, size),
        joints3d=joints[:used],
        joints3d_valid=np.ones(used, dtype=bool),
        skeleton3d=skeleton,
        joints2d=np.concatenate([points, inside[:, None]], axis=1),
        skeleton2d=skeleton,
        gender=_GENDERS.get(str(_of(row, "gender", person)), "neutral"),
        in_protocol=bool(_of(row, "isValid", person, True)),
        sequence=file.stem,
        frame=number,
        subject=str(person),
        notes={key: _of(row, key, person) for key in ("kid", "occlusion", "age", "ethnicity") if key in row},
    )


def _of(row: dict[str, Any], key: str, person: int, default: Any = None) -> Any:
    values = row.get(key)
    return values[person] if isinstance(values, list | tuple | np.ndarray) and person < len(values) else default


def _camera(name: str, size: tuple[int, int]) -> Array:
    lens = next((focal for key, focal in _LENSES if key in name), _OTHER_LENS)
    return intrinsics(lens / _SENSOR[0] * size[0], lens / _SENSOR[1] * size[1], size[0] / 2, size[1] / 2)


def frame_columns(content: Any, where: str) -> dict[str, list[Any]]:
    """Columns of a pickled pandas data frame (any version from 1.0), from the stubs that `read_pickle` gives.

    Raises InputError if ``content`` is something else.
    """
    if not isinstance(content, Stub) or not content.kind.endswith(".DataFrame"):
        raise InputError(f"{where}: holds a {getattr(content, 'kind', type(content).__name__)}; expected a data frame")
    state = content.state if isinstance(content.state, dict) else {}
    manager = state.get("_mgr", state.get("_data"))
    if not isinstance(manager, Stub):
        raise InputError(f"{where}: a data frame of an unknown version")
    axes, blocks = _manager(manager, where)
    names = [str(name) for name in _index(axes[0], where)]
    columns: dict[str, list[Any]] = {}
    for values, places in blocks:
        for row, place in enumerate(_places(places, len(names))):
            columns[names[place]] = list(_values(values, where)[row])
    return columns


def _manager(manager: Stub, where: str) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """(axes, [(values, places)]) as pandas 1.0–1.2 store them in the state, later ones in the arguments."""
    state = manager.state
    if isinstance(state, tuple) and len(state) >= 4 and isinstance(state[3], dict):
        inner = next(iter(state[3].values()), {})
        return list(inner["axes"]), [(block["values"], block["mgr_locs"]) for block in inner["blocks"]]
    if len(manager.args) == 2:
        blocks = manager.args[0]
        return list(manager.args[1]), [(block.args[0], block.args[1]) for block in blocks]
    raise InputError(f"{where}: a data frame of an unknown version")


def _index(index: Any, where: str) -> list[Any]:
    if isinstance(index, Stub) and len(index.args) == 2 and isinstance(index.args[1], dict):  # _new_Index(cls, fields)
        fields = index.args[1]
        if "data" in fields:
            return list(_flat(fields["data"], where))
        return list(range(fields.get("start", 0), fields.get("stop", 0), fields.get("step", 1)))
    raise InputError(f"{where}: column names of a data frame of an unknown version")


def _flat(values: Any, where: str) -> Array:
    """An array, also out of the wrappers of newer pandas (string arrays)."""
    if isinstance(values, np.ndarray):
        return values
    if isinstance(values, Stub):
        held = values.state
        candidates = [*held] if isinstance(held, tuple) else [*held.values()] if isinstance(held, dict) else []
        for candidate in (*values.args, *candidates):
            if isinstance(candidate, np.ndarray | Stub):
                return _flat(candidate, where)
            if isinstance(candidate, dict) and isinstance(candidate.get("_ndarray"), np.ndarray):
                return candidate["_ndarray"]
    raise InputError(f"{where}: a column of an unknown kind")


def _values(values: Any, where: str) -> Array:
    found = _flat(values, where)
    return found if found.ndim == 2 else found[None]


def _places(places: Any, count: int) -> list[int]:
    if isinstance(places, slice):
        return list(range(count))[places]
    return [int(place) for place in np.ravel(places)]
