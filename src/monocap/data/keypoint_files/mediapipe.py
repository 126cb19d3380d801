"""MediaPipe's landmarks as JSON: 33 of the body, 21 of each hand, 468 or 478 of the face, as shares of the picture.

There is no official file, only the objects that its programs print; their usual namings are read: a list of landmarks
``{x, y, z, visibility}``, or an object, or a list of objects (one per frame), with ``pose_landmarks``,
``left_hand_landmarks``, ``right_hand_landmarks``, ``face_landmarks`` (``poseLandmarks`` …, or ``landmarks``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monocap import skeletons
from monocap.data.keypoint_files.form import KeypointPicture, KeypointSet, cleaned, size_from, stacked
from monocap.errors import InputError
from monocap.types import Array

# iBUG's 68 points among the vertices of the face mesh. The contour: evenly spaced along the face's oval from the ear to
# the chin; the rest by anatomy. Symmetric on MediaPipe's canonical face.
FACE68 = (
    *(127, 234, 132, 58, 172, 136, 150, 176, 152, 400, 379, 365, 397, 288, 361, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
_PARTS = {  # part: names, numbers of points
    "pose": (("pose_landmarks", "poseLandmarks", "pose", "landmarks"), (33,)),
    "left": (("left_hand_landmarks", "leftHandLandmarks", "left_hand"), (21,)),
    "right": (("right_hand_landmarks", "rightHandLandmarks", "right_hand"), (21,)),
    "face": (("face_landmarks", "faceLandmarks", "face"), (468, 478)),
}
_FRAMES = ("frames", "results", "data")


def is_mediapipe(content: Any) -> bool:
    """Whether JSON holds landmarks ``{x, y, …}`` in one of the usual places."""
    return bool(_frames(content))


def _frames(content: Any) -> list[Any]:
    if isinstance(content, Mapping):
        for key in _FRAMES:
            if isinstance(content.get(key), list) and content[key]:
                return _frames(content[key])
        return [content] if any(_first(content, names) is not None for names, _ in _PARTS.values()) else []
    if not isinstance(content, list) or not content:
        return []
    if _is_landmark(content[0]):
        return [{"pose_landmarks": content}]
    if all(frame is None or isinstance(frame, Mapping) for frame in content):
        known = [frame for frame in content if isinstance(frame, Mapping) and _frames(frame)]
        return list(content) if known else []
    return []


def _is_landmark(value: Any) -> bool:
    return isinstance(value, Mapping) and "x" in value and "y" in value


def _first(frame: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The part's people: a list of lists of landmarks. None if the frame has no such field."""
    for name in names:
        value = frame.get(name)
        if isinstance(value, Mapping):  # protobuf's JSON wraps the list once more
            value = value.get("landmark", value.get("landmarks"))
        if isinstance(value, list):
            if value and _is_landmark(value[0]):
                return [value]
            if all(isinstance(person, list) for person in value):
                return value
            if all(isinstance(person, Mapping) for person in value):
                return [person.get("landmark", person.get("landmarks", [])) for person in value]
    return None


def read_mediapipe(content: Any, path: Path, size: tuple[int, int] | None) -> KeypointSet:
    """One file's content; ``size`` (w, h) px is needed unless the file tells it: landmarks are shares of the picture.

    With hands or a face the set is ``openpose135``, else ``blazepose33``. Raises InputError without a size, or for
    parts of other numbers of landmarks.
    """
    frames = _frames(content)
    outer = size_from(content) or next((own for frame in frames if (own := size_from(frame))), None)
    people = []
    for i, frame in enumerate(frames):
        own = size_from(frame) or outer or size
        where = f"{path}: frame {i}" if len(frames) > 1 else str(path)
        if own is None:
            raise InputError(
                f"{where}: MediaPipe's landmarks are shares of the picture, whose size is not in the file; "
                "add --images, or --size WIDTHxHEIGHT"
            )
        people.append((own, _people(frame or {}, own, where)))
    whole = any(set(person) - {"pose"} for _, found in people for person in found)
    target = "openpose135" if whole else "blazepose33"
    pictures = []
    for i, (own, found) in enumerate(people):
        points = stacked([_assemble(person, target) for person in found], len(skeletons.get(target)))
        pictures.append(KeypointPicture(f"{path.stem}_{i:06d}" if len(people) > 1 else path.stem, points, size=own))
    title = f"MediaPipe landmarks (33{', hands and face' if whole else ''})"
    return KeypointSet(title, target, tuple(pictures), (path,), video=True if len(pictures) > 1 else None)


def _people(frame: Mapping[str, Any], size: tuple[int, int], where: str) -> list[dict[str, Array]]:
    """Hands and face belong to the only person; MediaPipe does not say whose they are among several."""
    parts: dict[str, list[Array]] = {}
    for part, (names, counts) in _PARTS.items():
        found = [_pixels(person, size, f"{where}: {names[0]}") for person in _first(frame, names) or [] if person]
        for points in found:
            if len(points) not in counts:
                raise InputError(f"{where}: {names[0]} has {len(points)} landmarks; expected {counts[0]}")
        parts[part] = found
    count = max((len(found) for found in parts.values()), default=0)
    if count == 1:
        return [{part: found[0] for part, found in parts.items() if found}]
    return [{"pose": points} for points in parts["pose"]]


def _pixels(landmarks: Any, size: tuple[int, int], where: str) -> Array:
    if not isinstance(landmarks, list) or not all(_is_landmark(one) for one in landmarks):
        raise InputError(f"{where}: expected a list of objects with x and y")
    rows = np.full((len(landmarks), 3), np.nan)
    for i, one in enumerate(landmarks):
        sure = one.get("visibility")
        # hands and face tell no visibility; MediaPipe's shares count from the picture's edge, not the pixel's centre
        values = (one["x"], one["y"], 1.0 if sure is None else sure)
        if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
            rows[i] = values[0] * size[0] - 0.5, values[1] * size[1] - 0.5, values[2]
    return cleaned(rows)


def _assemble(person: Mapping[str, Array], target: str) -> Array:
    if target == "blazepose33":
        return person["pose"]
    out = np.zeros((len(skeletons.get(target)), 3))
    if "pose" in person:
        a, b = skeletons.mapping("blazepose33", target)
        out[b] = person["pose"][a]
    if "left" in person:
        out[25:46] = person["left"]
    if "right" in person:
        out[46:67] = person["right"]
    if "face" in person:
        face = person["face"][list(FACE68)]
        out[67:118], out[118:135] = face[17:], face[:17]
    return out
