"""The square of a picture that the landmark network looks at, and where to look next.

As in MediaPipe's pose graph: centred at the mid-hips, a quarter larger than the circle around the whole body, turned so
that the torso stands upright. The network saw people that way in training and is at its best when shown them so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monocap.errors import InputError
from monocap.media.crops import square_matrix
from monocap.skeletons import get

Array = NDArray[Any]

MARGIN = 1.25  # MediaPipe's: side of the square over the diameter of the body's circle
_MIN_KEYPOINT = 0.15  # MoveNet score above which a keypoint counts
_HEAD_AND_FEET = 1.05  # COCO ends at eyes and ankles; the circle goes on to crown and toes
_HIPS_BELOW, _BODY = 0.75, 3.6  # hips below the shoulders, and side of the region, over the shoulders' width
_SLACK = 1.1  # the network's own circle may exceed its farthest landmark by this much


@dataclass(frozen=True)
class Roi:
    """A square of the picture: ``center`` (2,) and side ``size`` in pixels, ``rotation`` in radians, clockwise."""

    center: Array
    size: float
    rotation: float = 0.0

    def __post_init__(self) -> None:
        center = np.asarray(self.center, float)
        if center.shape != (2,) or not np.isfinite([*center, self.size, self.rotation]).all() or self.size <= 0:
            raise InputError(
                f"a region needs a centre (2,), a positive size and a rotation; got {self.center}, {self.size}, "
                f"{self.rotation}"
            )
        object.__setattr__(self, "center", center)

    def matrix(self, out_size: int) -> Array:
        """(2,3) matrix, picture to an upright crop of ``out_size²`` pixels."""
        return square_matrix(self.center, self.size, self.rotation, out_size)

    def scaled(self, factor: float) -> Roi:
        """The same place, ``factor`` times as large."""
        return replace(self, size=self.size * factor)

    def turned(self, angle: float) -> Roi:
        """The same square, turned clockwise by ``angle`` radians."""
        return replace(self, rotation=self.rotation + angle)

    def shifted(self, x: float, y: float) -> Roi:
        """Moved by fractions of its side along the picture's axes."""
        return replace(self, center=self.center + self.size * np.array([x, y]))


def upright(vector: Array) -> float:
    """Rotation (radians, clockwise) of a region in which ``vector`` (2,), hips to shoulders, points up."""
    return float(np.arctan2(vector[0], -vector[1]))


def from_alignment(hips: Array, rim: Array, landmarks: Array | None = None) -> Roi:
    """The region that the network's two alignment points ask for: mid-hips, and the top of the body's circle.

    All in picture pixels. ``landmarks`` (N,2) bound the circle: on bent and half-visible people the network draws it
    ever larger from one frame to the next, and the person shrinks in the crop.
    """
    vector = np.asarray(rim, float) - hips
    radius = float(np.linalg.norm(vector))
    if landmarks is not None:
        radius = min(radius, _SLACK * float(np.linalg.norm(np.asarray(landmarks, float) - hips, axis=1).max()))
    return Roi(np.asarray(hips, float), max(2 * MARGIN * radius, 1.0), upright(vector))


def from_detection(box: Array, keypoints: Array) -> Roi:
    """The region of a detected person: ``box`` (4,) x0, y0, x1, y1 and ``keypoints`` (17,3) COCO, pixels and scores.

    With the hips or the torso unseen, the box decides.
    """
    coco = get("coco17")
    keypoints, box = np.asarray(keypoints, float), np.asarray(box, float)
    seen = keypoints[:, 2] > _MIN_KEYPOINT
    hips, shoulders = coco.indices(("left_hip", "right_hip")), coco.indices(("left_shoulder", "right_shoulder"))
    corners = box[[[0, 1], [2, 1], [0, 3], [2, 3]]]
    if not (seen[hips].any() and seen[shoulders].any()):
        return from_box(box)
    center = _mean(keypoints, hips)
    torso = _mean(keypoints, shoulders) - center
    reach = np.linalg.norm(keypoints[seen, :2] - center, axis=1).max() * _HEAD_AND_FEET
    reach = min(max(reach, 1.2 * float(np.linalg.norm(torso))), float(np.linalg.norm(corners - center, axis=1).max()))
    return Roi(center, max(2 * MARGIN * reach, 1.0), upright(torso))


def from_shoulders(keypoints: Array) -> Roi | None:
    """The region of somebody cut off above the hips, from ``keypoints`` (17,3) COCO; None if that is not the case.

    A box around what is seen shows the network a torso without hips where it expects a whole body; centred where the
    hips would be, outside of the picture as it may, it is at its best again.
    """
    coco = get("coco17")
    keypoints = np.asarray(keypoints, float)
    seen = keypoints[:, 2] > _MIN_KEYPOINT
    left, right = keypoints[coco.indices(("left_shoulder", "right_shoulder"))]
    head = coco.indices(("nose", "left_eye", "right_eye"))
    if seen[coco.indices(("left_hip", "right_hip"))].any() or min(left[2], right[2]) <= _MIN_KEYPOINT:
        return None
    across = right[:2] - left[:2]
    width, middle = float(np.linalg.norm(across)), (left[:2] + right[:2]) / 2
    if width < 1 or not seen[head].any():
        return None
    down = np.array([-across[1], across[0]]) / width
    down = down if down @ (middle - _mean(keypoints, head)) > 0 else -down
    return Roi(middle + _HIPS_BELOW * width * down, _BODY * width, upright(-down))


def from_box(box: Array) -> Roi:
    """An upright region around a box (4,) x0, y0, x1, y1."""
    box = np.asarray(box, float)
    return Roi((box[:2] + box[2:]) / 2, max(MARGIN * float((box[2:] - box[:2]).max()), 1.0))


def _mean(keypoints: Array, rows: Array) -> Array:
    weights = np.maximum(keypoints[rows, 2], 1e-6)
    return weights @ keypoints[rows, :2] / weights.sum()
