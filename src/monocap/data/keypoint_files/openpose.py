"""OpenPose's JSON, a file per picture: body (BODY_25, BODY_25B, COCO's 18), hands, face; also what copies it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monocap import skeletons
from monocap.data.fields import read_json
from monocap.data.keypoint_files.form import KeypointPicture, KeypointSet, natural, points_of, size_from, stacked
from monocap.errors import InputError
from monocap.types import Array

MAX_FILE_BYTES = 64 << 20
_BODIES = {25: "openpose25", 18: "openpose18"}
_WHOLE = "openpose135"
_GENDERS = ("male", "female", "neutral")
_VIDEO_NAME = re.compile(r"(.*)_([0-9]{12})_keypoints")  # how OpenPose calls the frames of a video


def is_openpose(content: Any) -> bool:
    """Whether JSON is OpenPose's, or in its form (AlphaPose writes it too)."""
    return isinstance(content, Mapping) and isinstance(content.get("people", content.get("bodies")), list)


def read_openpose(files: Sequence[Path], skeleton: str | None = None) -> KeypointSet:
    """Files of one folder in natural order. ``skeleton`` overrules what the body is taken for (25 points can be two).

    With hands or a face the set is ``openpose135``, else the body's own. A file without people is a picture without
    people. Raises InputError naming the file and what is wrong in it.
    """
    files = sorted(files, key=lambda path: natural(path.name))
    people = [_people(path) for path in files]
    body = skeleton or _body([person for _, found in people for person in found], files[0])
    whole = any(part is not None for _, found in people for person in found for part in person["parts"])
    target = _WHOLE if whole else body
    pictures = []
    for path, (content, found) in zip(files, people, strict=True):
        points = [_assemble(person, body, target, path) for person in found]
        pictures.append(
            KeypointPicture(
                name=_stem(path),
                points=stacked(points, len(skeletons.get(target))),
                identity=tuple(person["identity"] for person in found),
                gender=tuple(person["gender"] for person in found),
                size=size_from(content),
            )
        )
    frames = [_VIDEO_NAME.fullmatch(path.stem) for path in files]
    video = len(files) > 1 and all(frames) and len({match[1] for match in frames if match}) == 1
    title = {"openpose25": "BODY_25", "openpose25b": "BODY_25B", "openpose18": "COCO"}.get(body, body)
    kind = f"OpenPose JSON ({title}{', hands and face' if whole else ''})"
    return KeypointSet(kind, target, tuple(pictures), tuple(files), video=True if video else None)


def _stem(path: Path) -> str:
    return path.stem.removesuffix("_keypoints")


def _people(path: Path) -> tuple[Any, list[dict[str, Any]]]:
    content = read_json(path, MAX_FILE_BYTES)
    if not is_openpose(content):
        raise InputError(f'{path}: no OpenPose JSON; expected an object with a list "people"')
    found = []
    for i, entry in enumerate(content.get("people", content.get("bodies"))):
        where = f"{path}: people[{i}]"
        if not isinstance(entry, Mapping):
            raise InputError(f"{where} is {type(entry).__name__}; expected an object with pose_keypoints_2d")
        body = next((entry[k] for k in ("pose_keypoints_2d", "pose_keypoints", "joints") if entry.get(k)), None)
        body = np.zeros((0, 3)) if body is None else points_of(body, f"{where}: pose_keypoints_2d")
        parts = [_part(entry, key, counts, where) for key, counts in _PARTS]
        if len(body) == 0 and all(part is None for part in parts):
            continue
        identity = entry.get("person_id")
        identity = identity[0] if isinstance(identity, list) and identity else identity
        gender = entry.get("gender_gt") or entry.get("gender_pd")
        found.append(
            {
                "body": body,
                "parts": parts,
                "identity": identity if type(identity) is int and identity >= 0 else None,  # OpenPose writes -1
                "gender": gender if gender in _GENDERS else None,
            }
        )
    return content, found


_PARTS = (
    ("hand_left_keypoints_2d", (21,)),
    ("hand_right_keypoints_2d", (21,)),
    ("face_keypoints_2d", (70, 68)),
)


def _part(entry: Mapping[str, Any], key: str, counts: tuple[int, ...], where: str) -> Array | None:
    value = entry.get(key) or entry.get(key.removesuffix("_2d"))
    if not value:
        return None
    points = points_of(value, f"{where}: {key}")
    if len(points) not in counts:
        raise InputError(f"{where}: {key} has {len(points)} points; expected {' or '.join(map(str, counts))}")
    return points if (points[:, 2] > 0).any() else None


def _body(people: Sequence[Mapping[str, Any]], path: Path) -> str:
    counts = sorted({len(person["body"]) for person in people if len(person["body"])})
    if not counts:
        return "openpose25"
    if len(counts) > 1:
        raise InputError(f"{path} and beside it: bodies of {' and '.join(map(str, counts))} points; expected one kind")
    if counts[0] not in _BODIES:
        raise InputError(
            f"{path}: bodies of {counts[0]} points; expected 25 (BODY_25 or BODY_25B) or 18 (COCO), or name the "
            "order with --skeleton"
        )
    if counts[0] != 25:
        return _BODIES[counts[0]]
    rows = np.stack([person["body"] for person in people if len(person["body"])])
    return min(("openpose25", "openpose25b"), key=lambda name: _spread(rows, name))


def _spread(points: Array, name: str) -> float:
    """How long a skeleton's bones come out, as a share of the people's size: small for the order that is meant."""
    a, b = np.array(skeletons.get(name).edges).T
    both = (points[:, a, 2] > 0) & (points[:, b, 2] > 0)
    seen = np.where(points[..., 2:] > 0, points[..., :2], np.nan)
    with np.errstate(all="ignore"):
        size = np.array([np.ptp(p[np.isfinite(p[:, 0])], axis=0).max(initial=1.0) for p in seen])
    length = np.linalg.norm(points[:, a, :2] - points[:, b, :2], axis=-1) / np.maximum(size, 1.0)[:, None]
    return float(length[both].mean()) if both.any() else 0.0


def _assemble(person: Mapping[str, Any], body: str, target: str, path: Path) -> Array:
    points = person["body"]
    if len(points) not in (0, len(skeletons.get(body))):
        raise InputError(f"{path}: a body of {len(points)} points; {body} has {len(skeletons.get(body))}")
    if target == body:
        return points
    out = np.zeros((len(skeletons.get(target)), 3))
    if len(points):
        a, b = skeletons.mapping(body, target)
        out[b] = points[a]
    left, right, face = person["parts"]
    if left is not None:
        out[25:46] = left
    if right is not None:
        out[46:67] = right
    if face is not None:  # brows to lips first, then the contour; the pupils (68, 69) are no points of the 68
        out[67:118], out[118:135] = face[17:68], face[:17]
    return out
