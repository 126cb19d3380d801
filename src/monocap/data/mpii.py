"""MPII Human Pose: the official MATLAB structure, and the JSON of single people that most programs use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monocap import skeletons
from monocap.data.dataset import Collection, Part
from monocap.data.fields import array, read_json, records
from monocap.data.matlab import as_list, read_mat
from monocap.data.sample import DatasetInfo, Sample, box_of_points
from monocap.errors import InputError
from monocap.types import Array

INFO = DatasetInfo(
    name="mpii",
    licence="annotations BSD-2-Clause; pictures from videos, research use",
    source="http://human-pose.mpi-inf.mpg.de",
    skeleton="mpii16",
    description="2D only; coordinates in the files count from 1",
)


def read_mpii(annotations: str | os.PathLike[str], pictures: str | os.PathLike[str] | None = None) -> Collection:
    """``mpii_human_pose_v1_u12_1.mat`` or a ``train.json`` / ``valid.json`` / ``trainval.json`` of single people.

    ``pictures``: the folder ``images`` (by default beside the file or its folder). 16 joints in pixels from 0 (one is
    subtracted); confidence 1 where annotated, ``notes["visible"]`` as told. The box is that of the joints; people of
    the test set have none and get the square of ``scale`` × 200 px about ``objpos`` (``notes["box_margin"]``). Parts:
    train and test.
    """
    path = Path(annotations)
    root = Path(pictures) if pictures is not None else _pictures(path)
    samples = _from_json(path, root) if path.suffix == ".json" else _from_mat(path, root)
    grouped: dict[str, list[Sample]] = {}
    for sample in samples:
        grouped.setdefault(sample.sequence, []).append(sample)
    return Collection(INFO, [Part.of(name, part) for name, part in grouped.items()])


def _pictures(path: Path) -> Path:
    for folder in (path.parent, path.parent.parent):
        if (folder / "images").is_dir():
            return folder / "images"
    return path.parent / "images"


def _from_mat(path: Path, root: Path) -> list[Sample]:
    release = read_mat(path, ["RELEASE"]).get("RELEASE")
    if not isinstance(release, Mapping) or "annolist" not in release:
        raise InputError(f"{path}: lacks RELEASE.annolist; expected mpii_human_pose_v1_u12_1.mat")
    pictures, train = as_list(release["annolist"]), np.ravel(release.get("img_train", []))
    samples = []
    for number, entry in enumerate(pictures):
        split = "train" if number < len(train) and train[number] else "test"
        name = str(entry.get("image", {}).get("name", "")) if isinstance(entry, Mapping) else ""
        people = [p for p in as_list(entry.get("annorect", [])) if isinstance(p, Mapping)] if name else []
        for person, rectangle in enumerate(people):
            sample = _person(rectangle, root / Path(name).name, split, number, person)
            if sample is not None:
                samples.append(sample)
    return samples


def _person(rectangle: Mapping[str, Any], picture: Path, split: str, number: int, person: int) -> Sample | None:
    joints = np.zeros((16, 3))
    visible = np.full(16, np.nan)
    points = rectangle.get("annopoints")
    for point in as_list(points["point"]) if isinstance(points, Mapping) and "point" in points else []:
        joint, x, y = (_number(point.get(key)) for key in ("id", "x", "y"))
        if joint is None or x is None or y is None or not 0 <= joint < 16:
            raise InputError(f"{picture.name}, person {person}: a joint without id 0–15, x and y")
        joints[int(joint)] = x - 1, y - 1, 1.0
        told = _number(point.get("is_visible"))
        visible[int(joint)] = np.nan if told is None else told
    place = rectangle.get("objpos")
    scale, square = _number(rectangle.get("scale")), None
    x, y = (_number(place.get(key)) if isinstance(place, Mapping) else None for key in ("x", "y"))
    if x is not None and y is not None and scale is not None:
        square = np.array([x - 1, y - 1]), 200.0 * scale
    if not joints[:, 2].any() and square is None:
        return None  # a head rectangle without anything else: nobody to learn from
    corners = [_number(rectangle.get(key)) for key in ("x1", "y1", "x2", "y2")]
    head = [corner - 1 for corner in corners if corner is not None]
    return _sample(joints, visible, square, picture, split, number, str(person), head)


def _number(value: Any) -> float | None:
    """A number of a MATLAB structure, or None where the field is empty; flags are sometimes text."""
    found = np.ravel(np.asarray([] if value is None else value))
    try:
        return float(found[0]) if found.size == 1 else None
    except (TypeError, ValueError):
        return None


def _from_json(path: Path, root: Path) -> list[Sample]:
    samples = []
    for number, entry in enumerate(records(read_json(path), path)):
        where = f"{path}: person {number}"
        joints = np.zeros((16, 3))
        joints[:, :2] = array(entry, "joints", (16, 2), where) - 1
        # Missing joints are marked by visibility 0 and lie at -1 (or 0).
        joints[:, 2] = (array(entry, "joints_vis", (16,), where) > 0) & (joints[:, :2] > -1).all(axis=1)
        joints[joints[:, 2] == 0] = 0
        square = array(entry, "center", (2,), where) - 1, 200.0 * float(array(entry, "scale", (), where))
        name = Path(str(entry.get("image"))).name
        samples.append(_sample(joints, joints[:, 2].copy(), square, root / name, path.stem, number, "", []))
    return samples


def _sample(
    joints: Array,
    visible: Array,
    square: tuple[Array, float] | None,
    picture: Path,
    split: str,
    number: int,
    person: str,
    head: list[float],
) -> Sample:
    assert len(joints) == len(skeletons.get("mpii16"))
    center, size = box_of_points(joints[:, :2], joints[:, 2])
    notes: dict[str, Any] = {"visible": visible}
    if center is None and square is not None:
        center, size, notes["box_margin"] = square[0], np.full(2, square[1]), 1.0
    if square is not None:
        notes["objpos"], notes["scale"] = square[0], square[1] / 200.0
    if len(head) == 4:
        notes["head_box"] = np.array(head)
    return Sample(
        info=INFO,
        image=picture,
        box_center=center,
        box_size=size,
        joints2d=joints if joints[:, 2].any() else None,
        skeleton2d="mpii16" if joints[:, 2].any() else "",
        in_protocol=bool(joints[:, 2].any()),
        sequence=split,
        frame=number,
        subject=person,
        notes=notes,
    )
