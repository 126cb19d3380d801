"""PoseTrack 2018 / 2021: one JSON per video in the manner of COCO, with track ids."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monocap import skeletons
from monocap.data.dataset import Collection, Part
from monocap.data.fields import array, read_json, records, shaped
from monocap.data.sample import DatasetInfo, Sample, box_of_points
from monocap.errors import InputError
from monocap.types import Array

INFO = DatasetInfo(
    name="posetrack",
    licence="non-commercial research",
    source="https://posetrack.net",
    skeleton="posetrack17",
    description="2D only; people with identities through videos; ears are never annotated",
)


def read_posetrack(annotations: str | os.PathLike[str], pictures: str | os.PathLike[str] | None = None) -> Collection:
    """A video's JSON or a folder of them (``…/annotations/val``); ``pictures``: what ``file_name`` is under.

    By default the folder above ``annotations``. One sample per annotated person and frame, ``subject`` is the track id.
    The joint order is read from the file's ``categories``. A damaged file is reported in ``unreadable``.
    """
    path = Path(annotations)
    files = [path] if path.is_file() else sorted(path.rglob("*.json"))
    if not files:
        raise InputError(f"{path}: no JSON files; expected PoseTrack's annotations")
    above = next((p.parent for p in (files[0], *files[0].parents) if p.name == "annotations"), files[0].parent)
    root = Path(pictures) if pictures is not None else above
    parts = []
    for file in files:
        try:
            parts.append(Part.of(file.stem, _samples(file, root)))
        except InputError as error:
            parts.append(Part(file.stem, 0, None, str(error)))
    return Collection(INFO, parts)


def _samples(file: Path, root: Path) -> list[Sample]:
    content = read_json(file)
    if not isinstance(content, Mapping) or not all(key in content for key in ("images", "annotations")):
        raise InputError(f"{file}: lacks images or annotations; expected a PoseTrack video")
    images = {image.get("id"): image for image in records(content["images"], file)}
    order = _order(content, file)
    return [_sample(person, images, order, root, file) for person in records(content["annotations"], file)]


def _order(content: Mapping[str, Any], file: Path) -> Array:
    for category in records(content.get("categories", []), file):
        names = category.get("keypoints")
        if names:
            return skeletons.get("posetrack17").indices([str(name) for name in names])
    return np.arange(17)


def _sample(
    person: Mapping[str, Any], images: Mapping[Any, Mapping[str, Any]], order: Array, root: Path, file: Path
) -> Sample:
    where = f"{file}: annotation {person.get('id')}"
    image = images.get(person.get("image_id"))
    if image is None:
        raise InputError(f"{where}: its picture {person.get('image_id')} is not in images")
    given = array(person, "keypoints", (3 * len(order),), where).reshape(-1, 3)
    points = np.zeros((17, 3))
    points[order] = np.concatenate([given[:, :2], given[:, 2:] > 0], axis=1)
    box = np.ravel(person.get("bbox", []))
    if box.size == 4:
        box = shaped(box, (4,), f"{where}: bbox")
        center, size = box[:2] + box[2:] / 2, box[2:]
    else:
        center, size = box_of_points(points[:, :2], points[:, 2])
    return Sample(
        info=INFO,
        image=root / str(image.get("file_name", "")),
        box_center=center,
        box_size=size,
        joints2d=points,
        skeleton2d="posetrack17",
        in_protocol=bool(points[:, 2].any()),
        sequence=file.stem,
        frame=int(image.get("frame_id", image.get("id", 0))) % 10000,
        subject=str(person.get("track_id", "")),
        notes={"bbox_head": person.get("bbox_head"), "is_labeled": image.get("is_labeled")},
    )
