"""Does somebody look like a woman or a man? Chooses between gendered bodies where a user asks for that; off by default.

As in SMPLify-X (Pavlakos et al. 2019, section 3.5) a ResNet-18 sees the person's crop and keypoints; what it is not
sure of is neutral. Here it sees the head a second time where the face is large enough. It was trained on rendered
people only (``monocap.train.tasks.gender``), and says how somebody looks in one picture, not who they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime

from monocap import skeletons
from monocap.assets.sessions import open_network, session
from monocap.errors import AssetError, InputError
from monocap.geometry.crops import transform_points
from monocap.media.crops import check_image, warp
from monocap.perception.roi import Roi, upright
from monocap.types import Array

Said = Literal["female", "male", "neutral"]
SHIPPED = "gender"  # its name in the manifest, once one is good enough to ship

INPUT = 96  # px, side of a crop; a network in a file says its own
SKELETON = "coco17"  # whose points the network is told
LEAST_FACE = 40.0  # px, height of a face from which the head is looked at, too
CALIBRATION = ("body", "body_bias", "both_body", "both_head", "both_bias", "threshold")
"""Numbers in the network's metadata: the log-odds that somebody looks female are body · b + body_bias of the body's
answer b, or both_body · b + both_head · h + both_bias with the head's answer h (both_head 0: no
second look); below ``threshold`` it is neutral."""

SEEN = 0.3  # confidence from which a keypoint counts
_FRONT = 0.5  # confidence of the nose from which a face is seen
_FEWEST = 4  # keypoints that show enough of somebody
_MARGIN = 1.3  # side of the body's square over the longer side of its keypoints' box
_HEAD = 2.4  # side of the head's square over the face's height
_SMALLEST = 16.0  # px; less shows nothing
_COCO = skeletons.get(SKELETON)
_NOSE, _LEFT_EAR, _RIGHT_EAR = (_COCO.index(name) for name in ("nose", "left_ear", "right_ear"))
_SHOULDERS = _COCO.indices(("left_shoulder", "right_shoulder"))
_HIPS = _COCO.indices(("left_hip", "right_hip"))


@dataclass(frozen=True)
class GenderEstimate:
    """``probability`` 0–1 that somebody looks female; what is ``said``, neutral where that is not sure enough;
    ``face``: whether the head was looked at on its own."""

    probability: float
    said: Said
    face: bool = False


def coco_points(keypoints: Array, skeleton: str) -> Array:
    """(17,3) the points of COCO, px and confidence, of (N,3) keypoints of ``skeleton``; 0 where it lacks one.

    Raises InputError for keypoints of another shape.
    """
    points = np.asarray(keypoints, float)
    count = len(skeletons.get(skeleton))
    if points.shape != (count, 3):
        raise InputError(f"keypoints have shape {points.shape}; expected ({count}, 3) of {skeleton}")
    found = np.zeros((len(_COCO), 3))
    if skeleton == SKELETON:
        return np.where(np.isfinite(points).all(axis=1, keepdims=True), points, 0.0)
    given, wanted = skeletons.mapping(skeleton, SKELETON)
    found[wanted] = points[given]
    return np.where(np.isfinite(found).all(axis=1, keepdims=True), found, 0.0)


def body_square(points: Array) -> Roi | None:
    """The square around somebody with COCO's ``points`` (17,3), torso upright; None where too little is seen."""
    points = np.asarray(points, float)
    seen = points[:, 2] > SEEN
    if seen.sum() < _FEWEST:
        return None
    turn = 0.0
    if seen[_SHOULDERS].any() and seen[_HIPS].any():
        turn = upright(_mean(points, _SHOULDERS) - _mean(points, _HIPS))
    c, s = np.cos(turn), np.sin(turn)
    back = np.array([[c, -s], [s, c]])
    own = points[seen, :2] @ back
    low, high = own.min(axis=0), own.max(axis=0)
    side = _MARGIN * float((high - low).max())
    return None if side < _SMALLEST else Roi(back @ ((low + high) / 2), side, turn)


def head_square(points: Array) -> tuple[Roi, float] | None:
    """The square around the head and the height of the face, px; None where no face is turned to the camera."""
    points = np.asarray(points, float)
    nose, left, right = points[[_NOSE, _LEFT_EAR, _RIGHT_EAR]]
    if nose[2] < _FRONT or max(left[2], right[2]) <= SEEN:
        return None
    ears = (left + right)[:2] / 2
    # A face is about as high as 1.25 times the way from ear to ear, which is seen from ahead, and 1.6 times that from
    # the ears to the nose, seen from the side.
    face = max(1.25 * float(np.linalg.norm((left - right)[:2])), 1.6 * float(np.linalg.norm(nose[:2] - ears)))
    if face * _HEAD < _SMALLEST:
        return None
    turn = 0.0
    if (points[_SHOULDERS, 2] > SEEN).all():
        turn = upright(ears - _mean(points, _SHOULDERS))
    return Roi((ears + nose[:2]) / 2, _HEAD * face, turn), face


def told_points(points: Array, square: Roi) -> Array:
    """(17,3) what the network is told: COCO's ``points`` (17,3), −1…1 across the square, and confidence; zero where
    they are not seen."""
    points = np.asarray(points, float)
    unit = transform_points(square.matrix(INPUT), points[:, :2])
    unit = np.clip((2 * unit + 1) / INPUT - 1, -4.0, 4.0)
    told = np.column_stack([unit, np.clip(points[:, 2], 0.0, 1.0)])
    return np.where(points[:, 2:] > SEEN, told, 0.0).astype(np.float32)


class GenderNetwork:
    """The shipped network ``gender``, or another of its kind from the file ``path``.

    Raises AssetError where the file is missing, damaged, or another network.
    """

    def __init__(self, path: Path | None = None, threads: int | None = None) -> None:
        self._session = session(SHIPPED, threads) if path is None else open_network(path, threads)
        self.calibration = _calibration(self._session, path)
        self.side = int(self._session.get_inputs()[0].shape[-1])

    def estimate(self, image: Array, keypoints: Array, skeleton: str = "blazepose33") -> GenderEstimate:
        """How somebody in ``image`` (H,W,3) uint8 RGB with ``keypoints`` (N,3) of ``skeleton``, px and confidence,
        looks; neutral with probability 0.5 where too little of them is seen.

        Raises InputError for a picture or keypoints of another form.
        """
        check_image(image)
        points = coco_points(keypoints, skeleton)
        square = body_square(points)
        if square is None:
            return GenderEstimate(0.5, "neutral")
        looks = [square]
        head = head_square(points)
        if head is not None and head[1] >= LEAST_FACE and self.calibration["both_head"] > 0:
            looks.append(head[0])
        crops = np.stack([warp(image, look.matrix(self.side), self.side, self.side) for look in looks])
        answers = self.run(crops, np.stack([told_points(points, look) for look in looks]))
        return self.judge(float(answers[0]), float(answers[1]) if len(looks) > 1 else None)

    def run(self, crops: Array, points: Array) -> Array:
        """(N,) answers, not calibrated, on crops (N,side,side,3) uint8 RGB and what is told of them (N,17,3)."""
        image = np.ascontiguousarray(np.moveaxis(crops, -1, 1), np.float32) / 255
        found = self._session.run(["female"], {"image": image, "points": np.asarray(points, np.float32)})
        return np.asarray(found[0], np.float64)

    def judge(self, body: float, head: float | None = None) -> GenderEstimate:
        """What follows from the answer on the body, and on the head where its face is large enough."""
        c = self.calibration
        odds = c["body"] * body + c["body_bias"]
        if head is not None:
            odds = c["both_body"] * body + c["both_head"] * head + c["both_bias"]
        return self._said(odds, head is not None)

    def together(self, estimates: Sequence[GenderEstimate]) -> GenderEstimate:
        """One estimate of a person from those of several pictures: the mean of the log-odds, for what is misleading in
        one picture mostly is so in the next."""
        if not estimates:
            return GenderEstimate(0.5, "neutral")
        p = np.clip([one.probability for one in estimates], 1e-6, 1 - 1e-6)
        return self._said(float(np.log(p / (1 - p)).mean()), any(one.face for one in estimates))

    def _said(self, odds: float, face: bool) -> GenderEstimate:
        probability = 0.5 * (1 + float(np.tanh(0.5 * odds)))
        said: Said = "neutral"
        if max(probability, 1 - probability) >= self.calibration["threshold"]:
            said = "female" if probability > 0.5 else "male"
        return GenderEstimate(probability, said, face)


def _calibration(network: onnxruntime.InferenceSession, path: Path | None) -> dict[str, float]:
    told = network.get_modelmeta().custom_metadata_map
    try:
        numbers = {name: float(told[name]) for name in CALIBRATION}
    except (KeyError, ValueError) as error:
        raise AssetError(
            f"{path or 'gender'}: lacks the calibration ({error}); expected a network of monocap train gender"
        ) from error
    if not np.isfinite(list(numbers.values())).all() or not 0.5 <= numbers["threshold"] <= 1:
        raise AssetError(f"{path or 'gender'}: calibration {numbers} makes no sense; train it again")
    return numbers


def _mean(points: Array, rows: Array) -> Array:
    weights = np.maximum(points[rows, 2], 1e-6) * (points[rows, 2] > SEEN) + 1e-9
    return weights @ points[rows, :2] / weights.sum()
