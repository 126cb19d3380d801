"""Where people are in a picture: MoveNet MultiPose at a few scales, merged.

The network was trained on people of about 60 to 300 pixels in its input. It misses smaller ones and cuts larger ones
in two, so a picture is looked at in the usual size first and, where that leaves doubt, smaller, larger or in tiles.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monocap.assets.sessions import session
from monocap.errors import InputError
from monocap.media.crops import check_image, invert, letterbox_matrix, transform_points, warp
from monocap.skeletons import get
from monocap.types import Detections

Array = NDArray[Any]

_USUAL, _SMALL, _LARGE = 384, 256, 768  # long side of the network's input, pixels
_STEP = 32  # the network halves five times
_SURE = 0.45  # a detection of this score needs no second look
_BIG = 0.8  # of the picture's height or width: people of this size are cut in two now and then
_SEEN = 0.2  # keypoint score above which a keypoint takes part in comparisons
_NEAR = 0.12  # of the person's size: two keypoints closer than this are the same
_HEAD = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_SAME_HEAD = 0.04  # of the person's size
_ECHO, _SAME_BOX = 0.6, 0.6  # a detection of less than this part of the score in nearly the same box is no person
_TILE_OVERLAP = 0.25


class PeopleDetector:
    """Finds people: boxes, scores and COCO-17 keypoints.

    ``min_score`` 0–1: people below it are dropped (empty rooms give up to about 0.12, clearly visible people 0.5–0.85).
    """

    def __init__(self, threads: int | None = None, min_score: float = 0.2) -> None:
        if not 0 <= min_score <= 1:
            raise InputError(f"min_score is {min_score}; expected a number from 0 to 1")
        self.min_score = min_score
        self._session = session("movenet_multipose", threads)

    def detect(self, image_rgb: Array, thorough: bool = False, quick: bool = False) -> Detections:
        """People in ``image_rgb`` (H,W,3) uint8, best first; possibly none.

        One run of the network where that settles it (20–35 ms on one CPU core), up to three otherwise. ``thorough``
        always looks at all scales, and at four overlapping quarters of large pictures: for photographs, small
        people and many of them (0.2–0.4 s). ``quick`` never looks twice: to see where known people are now.
        """
        image = check_image(image_rgb)
        height, width = image.shape[:2]
        found = self._look(image, _USUAL)
        if quick and not thorough:
            found = merge([found])
        elif thorough or not self._settled(found, width, height):
            found = merge([found, self._look(image, _SMALL)])
            if thorough or (max(width, height) > _LARGE and not (found.scores >= self.min_score).any()):
                found = merge([found, self._look(image, _LARGE)])
        if thorough and max(width, height) > _LARGE:
            found = merge([found, *self._tiles(image)])
        kept = found.scores >= self.min_score
        return Detections(found.boxes[kept], found.scores[kept], found.keypoints[kept])

    def detect_small(self, image_rgb: Array) -> Detections:
        """People too small for `detect`, down to about 40 pixels in 1500: four overlapping quarters, each enlarged."""
        found = merge(self._tiles(check_image(image_rgb), _LARGE))
        kept = found.scores >= self.min_score
        return Detections(found.boxes[kept], found.scores[kept], found.keypoints[kept])

    def _settled(self, found: Detections, width: int, height: int) -> bool:
        people = found.scores >= self.min_score
        if not people.any() or found.scores[people].min() < _SURE:
            return False
        sides = found.boxes[people, 2:] - found.boxes[people, :2]
        return bool((sides < _BIG * np.array([width, height])).all())

    def _look(self, image: Array, long_side: int) -> Detections:
        """One run on the whole of ``image``, its long side scaled to ``long_side``."""
        height, width = image.shape[:2]
        scale = long_side / max(width, height)
        in_width, in_height = (max(_STEP, math.ceil(side * scale / _STEP) * _STEP) for side in (width, height))
        matrix = letterbox_matrix(width, height, in_width, in_height)
        crop = warp(image, matrix, in_width, in_height)
        rows = np.asarray(self._session.run(["people"], {"image": crop[None]})[0], float)[0]
        rows = rows[np.argsort(-rows[:, 55], kind="stable")]
        size, back = np.array([in_width, in_height]), invert(matrix)
        points = rows[:, :51].reshape(-1, 17, 3)
        keypoints = np.dstack([transform_points(back, points[:, :, 1::-1] * size - 0.5), points[:, :, 2]])
        low, high = (transform_points(back, rows[:, [i + 1, i]] * size - 0.5) for i in (51, 53))
        limit = np.array([width, height]) - 0.5
        boxes = np.hstack([np.clip(low, -0.5, limit), np.clip(high, -0.5, limit)])
        solid = (boxes[:, 2:] - boxes[:, :2]).min(1) > 1
        return Detections(boxes[solid], rows[solid, 55], keypoints[solid])

    def _tiles(self, image: Array, long_side: int = _USUAL) -> list[Detections]:
        """Runs on four overlapping quarters, scaled to ``long_side``; people that one cuts are left to others."""
        height, width = image.shape[:2]
        tile_w, tile_h = (math.ceil(side * (0.5 + _TILE_OVERLAP / 2)) for side in (width, height))
        parts = []
        for x, y in ((0, 0), (width - tile_w, 0), (0, height - tile_h), (width - tile_w, height - tile_h)):
            part = self._look(np.ascontiguousarray(image[y : y + tile_h, x : x + tile_w]), long_side)
            edge = 0.01 * max(tile_w, tile_h)
            cut = (part.boxes[:, 0] < edge) & (x > 0) | (part.boxes[:, 2] > tile_w - edge) & (x + tile_w < width)
            cut |= (part.boxes[:, 1] < edge) & (y > 0) | (part.boxes[:, 3] > tile_h - edge) & (y + tile_h < height)
            boxes = part.boxes[~cut] + [x, y, x, y]
            parts.append(Detections(boxes, part.scores[~cut], part.keypoints[~cut] + [x, y, 0]))
        return parts


def prominence(boxes: Array, sureness: Array, width: int, height: int) -> Array:
    """How much a picture is of each person: large, central, sure. ``boxes`` (…,4) pixels, ``sureness`` (…) 0–1."""
    sides = (boxes[..., 2:] - boxes[..., :2]) / (width, height)
    middle = (boxes[..., :2] + boxes[..., 2:]) / (2 * width, 2 * height) - 0.5
    central = 1 - np.minimum(np.linalg.norm(middle, axis=-1), 0.7)
    return sureness * np.sqrt(sides.prod(-1)) * central


def by_prominence(found: Detections, width: int, height: int) -> Detections:
    """The same people, the subject of the picture first."""
    order = np.argsort(-prominence(found.boxes, found.scores, width, height), kind="stable")
    return Detections(found.boxes[order], found.scores[order], found.keypoints[order])


def same_person(first: Array, second: Array) -> bool:
    """Whether two sets of COCO keypoints (17,3) of one picture are the same person seen twice.

    The same if half of the keypoints that both see agree, or if their heads coincide: two people's heads never do,
    while the lower body of somebody half in the picture is guessed differently each time.
    """
    both = (first[:, 2] > _SEEN) & (second[:, 2] > _SEEN)
    if both.sum() < 3:
        return False
    size = max(np.ptp(p[p[:, 2] > _SEEN, :2], axis=0).max() for p in (first, second))
    apart = np.linalg.norm(first[:, :2] - second[:, :2], axis=1)
    if (apart[both] < _NEAR * size).mean() >= 0.5:
        return True
    head = get("coco17").indices(_HEAD)
    head = head[both[head]]
    return len(head) >= 2 and bool(apart[head].max() < _SAME_HEAD * size)


def overlap(first: Array, second: Array) -> float:
    """Intersection over union of two boxes (4,)."""
    inner = np.clip(np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2]), 0, None).prod()
    return float(inner / ((first[2:] - first[:2]).prod() + (second[2:] - second[:2]).prod() - inner))


def merge(found: list[Detections]) -> Detections:
    """All detections, best first, each person once (non-maximum suppression by keypoints).

    Boxes tell little: a child in a parent's arms lies inside the parent's box. Only a far weaker detection in nearly
    the same box is taken for an echo.
    """
    boxes, scores, keypoints = (
        np.concatenate([getattr(f, k) for f in found]) for k in ("boxes", "scores", "keypoints")
    )
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        echo = (scores[i] < _ECHO * scores[j] and overlap(boxes[i], boxes[j]) > _SAME_BOX for j in kept)
        if not any(echo) and not any(same_person(keypoints[i], keypoints[j]) for j in kept):
            kept.append(int(i))
    return Detections(boxes[kept], scores[kept], keypoints[kept])
