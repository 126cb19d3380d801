"""COCO 2017 person keypoints, and COCO-WholeBody: one JSON per split, pictures in ``train2017`` and ``val2017``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monocap.data.dataset import Collection, Part
from monocap.data.fields import array, read_json, records
from monocap.data.sample import DatasetInfo, Sample
from monocap.errors import InputError
from monocap.types import Array

INFO = DatasetInfo(
    name="coco",
    licence="annotations CC-BY-4.0; pictures under their Flickr licences",
    source="https://cocodataset.org/#download",
    skeleton="coco17",
    description="2D only; person boxes from the annotators",
)
WHOLEBODY = DatasetInfo(
    name="coco-wholebody",
    licence="annotations for non-commercial research; pictures under their Flickr licences",
    source="https://github.com/jin-s13/COCO-WholeBody",
    skeleton="coco133",
    description="2D only; COCO's people with feet, face and hands",
)
_WHOLE = (("foot_kpts", 6), ("face_kpts", 68), ("lefthand_kpts", 21), ("righthand_kpts", 21))


def read_coco(annotations: str | os.PathLike[str], pictures: str | os.PathLike[str] | None = None) -> Collection:
    """``person_keypoints_SPLIT.json`` or ``coco_wholebody_SPLIT_v1.0.json``; ``pictures``: the folder of that split.

    By default the pictures are sought in ``../SPLIT``, the layout of the download. One sample per annotated person;
    confidence is 1 for every labelled point (v > 0), ``notes["visibility"]`` keeps 0, 1 (hidden) and 2 (seen); crowds
    and people without a labelled point have ``in_protocol`` False. Boxes are the annotators', pixels.
    """
    path = Path(annotations)
    content = read_json(path)
    if not isinstance(content, Mapping) or "annotations" not in content or "images" not in content:
        raise InputError(f"{path}: lacks images and annotations; expected COCO's person keypoints")
    split = next((name for name in ("train2017", "val2017") if name[:3] in path.stem), "")
    root = Path(pictures) if pictures is not None else path.parent.parent / split
    images = {image["id"]: image for image in records(content["images"], path) if "id" in image}
    people = records(content["annotations"], path)
    whole = any("face_kpts" in person for person in people[:1])
    samples = [_sample(person, images, root, path, whole) for person in people]
    return Collection(WHOLEBODY if whole else INFO, [Part.of(split or path.stem, samples)])


def _sample(
    person: Mapping[str, Any], images: Mapping[Any, Mapping[str, Any]], root: Path, path: Path, whole: bool
) -> Sample:
    where = f"{path}: annotation {person.get('id')}"
    image = images.get(person.get("image_id"))
    if image is None:
        raise InputError(f"{where}: its picture {person.get('image_id')} is not in images")
    points = _triples(person, "keypoints", 17, where)
    if whole:
        points = np.concatenate([points, *(_triples(person, key, count, where) for key, count in _WHOLE)])
    box = array(person, "bbox", (4,), where)
    crowd = bool(person.get("iscrowd", 0))
    return Sample(
        info=WHOLEBODY if whole else INFO,
        image=root / Path(str(image["file_name"])).name,
        image_size=(int(image["width"]), int(image["height"])),
        box_center=box[:2] + box[2:] / 2,
        box_size=box[2:],
        joints2d=np.concatenate([points[:, :2], points[:, 2:] > 0], axis=1),
        skeleton2d="coco133" if whole else "coco17",
        in_protocol=not crowd and bool((points[:, 2] > 0).any()),
        sequence=root.name if root.name in ("train2017", "val2017") else path.stem,
        frame=int(image["id"]) if str(image["id"]).isdigit() else 0,
        subject=str(person.get("id", "")),
        notes={"visibility": points[:, 2], "iscrowd": crowd, "area": person.get("area")},
    )


def _triples(person: Mapping[str, Any], key: str, count: int, where: str) -> Array:
    return array(person, key, (3 * count,), where).reshape(count, 3)
