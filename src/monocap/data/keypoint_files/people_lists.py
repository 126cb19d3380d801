"""Files with people of many pictures: COCO's annotations and results, COCO-WholeBody's, AlphaPose's, MMPose's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monocap import skeletons
from monocap.data.fields import records
from monocap.data.keypoint_files.form import KeypointPicture, KeypointSet, natural, points_of, size_from, stacked
from monocap.errors import InputError
from monocap.types import Array

ORDERS = {
    **{17: "coco17", 26: "halpe26", 133: "coco133", 136: "halpe136", 33: "blazepose33"},
    **{18: "openpose18", 25: "openpose25", 16: "mpii16", 14: "lsp14"},
}
"""The order that a number of points stands for in such files."""
_WHOLE = (("foot_kpts", 6), ("face_kpts", 68), ("lefthand_kpts", 21), ("righthand_kpts", 21))


def is_people_list(content: Any) -> bool:
    """Whether JSON is a list of people with ``keypoints``, COCO's annotations, or MMPose's ``instance_info``."""
    if isinstance(content, Mapping):
        return isinstance(content.get("annotations"), list) or isinstance(content.get("instance_info"), list)
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, Mapping) and ("keypoints" in first or isinstance(first.get("instances"), list))


def read_people_list(content: Any, path: Path, skeleton: str | None = None) -> KeypointSet:
    """One file's content; ``skeleton`` overrules the order that the number of points tells.

    In COCO's annotations crowds are left out, and points that are labelled (v > 0) count as sure. Raises InputError
    naming the person and what is wrong.
    """
    if isinstance(content, Mapping) and "instance_info" in content:
        return _mmpose(content["instance_info"], content.get("meta_info"), path, skeleton)
    if isinstance(content, list) and content and "instances" in content[0]:
        return _mmpose(content, None, path, skeleton)
    if isinstance(content, list) and content and "image_id" not in content[0] and "keypoint_scores" in content[0]:
        return _mmpose([{"frame_id": None, "instances": content}], None, path, skeleton)
    images: dict[Any, Mapping[str, Any]] = {}
    annotations = content
    if isinstance(content, Mapping):
        told = records(content.get("images", []), path)
        images = {image["id"]: image for image in told if isinstance(image.get("id"), (int, str))}
        annotations = [a for a in records(content["annotations"], path) if not a.get("iscrowd")]
    people = records(annotations, path)
    rows: dict[Any, list[tuple[Array, int | None]]] = {identity: [] for identity in images}
    for i, person in enumerate(people):
        where = f"{path}: {'annotations' if images else 'entry'}[{i}]"
        if not isinstance(person.get("image_id"), (int, str)):
            raise InputError(f"{where} lacks image_id, a number or name that says whose picture it is")
        identity = person.get("idx", person.get("track_id"))
        points = _points(person, where, labelled=bool(images))
        if (points[:, 2] > 0).any() or not images:
            key = person["image_id"]
            rows.setdefault(key, []).append((points, identity if type(identity) is int else None))
    counts = {len(points) for found in rows.values() for points, _ in found}
    order = _order(counts, skeleton, path)
    named = any(isinstance(key, str) for key in rows)
    kind = "COCO annotations" if images else "AlphaPose results" if named else "COCO results"
    pictures = [_picture(key, found, images.get(key), order) for key, found in rows.items()]
    pictures.sort(key=lambda picture: natural(picture.name))
    return KeypointSet(f"{kind} ({order})", order, tuple(pictures), (path,))


def _points(person: Mapping[str, Any], where: str, labelled: bool) -> Array:
    if "keypoints" not in person:
        raise InputError(f"{where} lacks keypoints; it has {', '.join(map(str, list(person)[:8])) or 'nothing'}")
    parts = [points_of(person["keypoints"], f"{where}: keypoints", person.get("keypoint_scores"))]
    if len(parts[0]) == 17 and all(key in person for key, _ in _WHOLE):  # COCO-WholeBody keeps its parts apart
        for key, count in _WHOLE:
            part = points_of(person[key], f"{where}: {key}")
            if len(part) != count:
                raise InputError(f"{where}: {key} has {len(part)} points; expected {count}")
            parts.append(part)
    points = np.concatenate(parts)
    if labelled:
        points[:, 2] = points[:, 2] > 0
    return points


def _order(counts: Iterable[int], skeleton: str | None, path: Path) -> str:
    counts = sorted(counts)
    if skeleton is not None:
        if any(count != len(skeletons.get(skeleton)) for count in counts):
            raise InputError(f"{path}: {counts} points a person; {skeleton} has {len(skeletons.get(skeleton))}")
        return skeleton
    if not counts:
        return "coco17"
    if len(counts) > 1 or counts[0] not in ORDERS:
        known = ", ".join(f"{count} ({name})" for count, name in ORDERS.items())
        raise InputError(
            f"{path}: {' and '.join(map(str, counts))} points a person; expected {known}, or name the order with "
            "--skeleton"
        )
    return ORDERS[counts[0]]


def _picture(
    key: Any, found: Sequence[tuple[Array, int | None]], image: Mapping[str, Any] | None, order: str
) -> KeypointPicture:
    name = str(image["file_name"]) if image is not None and "file_name" in image else str(key)
    return KeypointPicture(
        name=Path(name).stem if "." in name else name,
        points=stacked([points for points, _ in found], len(skeletons.get(order))),
        identity=tuple(identity for _, identity in found),
        size=size_from(image),
    )


def _mmpose(frames: Any, meta: Any, path: Path, skeleton: str | None) -> KeypointSet:
    """A video's frames by ``frame_id``, or one picture's people."""
    rows = []
    for i, frame in enumerate(records(frames, path)):
        people = records(frame.get("instances", []), f"{path}: instance_info[{i}]")
        points = [_points(person, f"{path}: frame {i}, person {k}", False) for k, person in enumerate(people)]
        identities = [person.get("track_id", person.get("instance_id")) for person in people]
        rows.append((frame.get("frame_id"), points, identities))
    order = _order({len(points) for _, people, _ in rows for points in people}, skeleton, path)
    video = all(type(number) is int for number, _, _ in rows) and len(rows) > 1
    pictures = tuple(
        KeypointPicture(
            name=f"{number:06d}" if type(number) is int else path.stem,
            points=stacked(points, len(skeletons.get(order))),
            identity=tuple(k if type(k) is int else None for k in identities),
            size=size_from(meta),
        )
        for number, points, identities in rows
    )
    return KeypointSet(f"MMPose predictions ({order})", order, pictures, (path,), video=video or None)
