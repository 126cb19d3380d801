"""The face: 478 points with the irises, and the weights of ARKit's face shapes, in a region that the head tells.

The networks are MediaPipe's face landmarks (Kartynnik et al. 2019; Grishchenko et al. 2020) and blendshapes, see the
manifest. The body's eyes, ears and mouth say where the first look goes, the face's own points where the next does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monocap.assets.sessions import session
from monocap.media.crops import check_image, invert, transform_points, warp
from monocap.perception.roi import Roi
from monocap.skeletons import get
from monocap.types import ARKIT, FACE_POINTS

Array = NDArray[Any]

INPUT, POINTS = 256, 478
_BODY = get("blazepose33")
_MARGIN = 1.5  # MediaPipe's: side of the region over that of the box around all points
_HEAD = ("left_eye", "right_eye", "left_ear", "right_ear", "nose", "mouth_left", "mouth_right")
_HOPE = 0.001  # presence in the first look from which there is a second: a face too small in it scores little
_SEEN = 0.85  # presence from which there is a face; the back of a head reaches 0.7
_OFTEN, _RETRY = 6, 3  # a face that was not found is looked for again in so many frames, then in every third
_UNSURE = 0.3  # confidence of the body's nose below which none is looked for
_SMALLEST = 12.0  # px, side of a head that shows a face
_RIGHT_EYE, _LEFT_EYE = 33, 263  # outer corners
_TURNED = (0.45, 0.75)  # rad: from where on, and from where on altogether, the far eye's lids follow the near eye's
_BLINKS = tuple(ARKIT.index(f"eyeBlink{side}") for side in ("Left", "Right"))
# iBUG's 51 inner points (brows, nose, eyes, lips; the person's right side first) among MediaPipe's.
IBUG51 = (
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(168, 197, 5, 4, 98, 97, 2, 326, 327),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)
IRISES = (468, 473)  # right, left
# The points that the blendshape network was trained on (MediaPipe, face_blendshapes_graph.cc).
_SHAPE_POINTS = (
    *(0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80),
    *(81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153),
    *(154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249),
    *(251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314),
    *(317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382),
    *(384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, *range(466, 467), *range(468, 478)),
)


@dataclass(frozen=True)
class FaceResult:
    """``mesh`` (478,3) px, depth in the same unit; ``points`` (53,3): iBUG's 51, then right and left iris, px and
    confidence; ``shapes`` (52,) weights 0–1 by `types.ARKIT`; ``score`` 0–1; ``next_roi`` where the face is."""

    mesh: Array
    points: Array
    shapes: Array
    score: float
    next_roi: Roi


class FaceNetwork:
    """Both networks for one face in one region."""

    def __init__(self, threads: int | None = None) -> None:
        self._landmarks = session("face_landmarks", threads)
        self._shapes = session("face_blendshapes", threads)

    def estimate(self, image_rgb: Array, roi: Roi, shapes: bool = True) -> FaceResult:
        """The face in ``roi`` of ``image_rgb`` (H,W,3) uint8. Points come whether there is one or not; see ``score``.
        Without ``shapes`` their weights are zero."""
        matrix = roi.matrix(INPUT)
        crop = warp(check_image(image_rgb), matrix, INPUT, INPUT)
        found = self._landmarks.run(["landmarks", "presence"], {"image": (crop.astype(np.float32) / 255)[None]})
        landmarks, presence = (np.asarray(value, float) for value in found)
        raw = landmarks.reshape(POINTS, 3)
        mesh = np.column_stack([transform_points(invert(matrix), raw[:, :2] - 0.5), raw[:, 2] * roi.size / INPUT])
        score = float(0.5 * (1 + np.tanh(0.5 * presence.item())))
        weights = np.zeros(len(ARKIT), np.float32)
        if shapes:
            chosen = mesh[list(_SHAPE_POINTS), :2].astype(np.float32)[None]
            weights[: len(ARKIT) - 1] = np.asarray(self._shapes.run(None, {"landmarks": chosen})[0])[1:]
            weights = linked_lids(weights, mesh)
        points = np.column_stack([mesh[[*IBUG51, *IRISES], :2], np.full(FACE_POINTS, score)])
        return FaceResult(mesh, points.astype(np.float32), weights, score, region_of(mesh))


def linked_lids(shapes: Array, mesh: Array) -> Array:
    """``shapes`` (52,) in which the eye that a turned head, of ``mesh`` (478,3) px, hardly shows shuts as the near one.

    Its lids are some pixels on the outline, and the network takes them for open ones. People blink with both.
    """
    across = np.asarray(mesh, float)[_LEFT_EYE] - np.asarray(mesh, float)[_RIGHT_EYE]
    yaw = float(np.arctan2(across[2], np.linalg.norm(across[:2])))
    far, near = _BLINKS if yaw > 0 else _BLINKS[::-1]
    share = np.clip((abs(yaw) - _TURNED[0]) / (_TURNED[1] - _TURNED[0]), 0.0, 1.0)
    out = np.array(shapes)
    out[far] += share * max(0.0, float(out[near] - out[far]))
    return out


def region_of(mesh: Array) -> Roi:
    """Where a face with ``mesh`` (478,≥2) px is, eyes level."""
    points = np.asarray(mesh, float)[:, :2]
    across = points[_LEFT_EYE] - points[_RIGHT_EYE]
    turn = float(np.arctan2(across[1], across[0]))
    c, s = np.cos(turn), np.sin(turn)
    back = np.array([[c, -s], [s, c]])
    own = points @ back
    low, high = own.min(axis=0), own.max(axis=0)
    return Roi(back @ ((low + high) / 2), max(_MARGIN * float((high - low).max()), 1.0), turn)


def aim(body: Array) -> Roi | None:
    """Where the body's keypoints (33,3) px say that the face is; None where the head is not seen or too small."""
    points = np.asarray([body[_BODY.index(name)] for name in _HEAD], float)
    left_eye, right_eye, left_ear, right_ear, nose, *mouth = points
    if nose[2] < _UNSURE:
        return None
    eyes, lips = (left_eye + right_eye)[:2] / 2, (mouth[0] + mouth[1])[:2] / 2
    down = float(np.linalg.norm(lips - eyes))
    ears = float(np.linalg.norm((left_ear - right_ear)[:2]))
    size = max(2.5 * down, 1.05 * ears)
    if size < _SMALLEST:
        return None
    axis = lips - eyes if down > 1e-6 else np.array([0.0, 1.0])
    return Roi((eyes + lips) / 2, _MARGIN * size, float(np.arctan2(-axis[0], axis[1])))


class FaceFollower:
    """The face of one person through a video; for a photo, a new one per person."""

    def __init__(self, network: FaceNetwork) -> None:
        self._network = network
        self._last: Roi | None = None
        self._away = 0  # frames since it was not found

    def step(self, image_rgb: Array, body: Array) -> tuple[Array, Array]:
        """Points (53,3) and weights (52,) as in `FaceResult` in the next frame, where the body's keypoints are ``body``
        (33,3); zero where no face is seen."""
        waits = self._away > _OFTEN and self._away % _RETRY > 0
        aimed = None if waits else aim(body)
        found = None
        if aimed is not None and self._last is not None and _on(self._last, aimed):
            found = self._network.estimate(image_rgb, self._last)
        if aimed is not None and (found is None or not _fits(found, aimed)):
            first = self._network.estimate(image_rgb, aimed, shapes=False)
            found = self._network.estimate(image_rgb, first.next_roi) if first.score > _HOPE else None
        if aimed is None or found is None or not _fits(found, aimed):
            self._last = None
            self._away += 1
            return np.zeros((FACE_POINTS, 3), np.float32), np.zeros(len(ARKIT), np.float32)
        self._last, self._away = found.next_roi, 0
        return found.points, found.shapes

    def state(self) -> Array:
        """(6,): centre, side and rotation of the region, whether there is one, for how many frames there was none."""
        roi = self._last
        return np.array([0, 0, 0, 0, 0.0, self._away] if roi is None else [*roi.center, roi.size, roi.rotation, 1.0, 0])

    def restore(self, state: Array) -> None:
        """Go on from a `state`."""
        self._last = Roi(np.asarray(state[:2], float), float(state[2]), float(state[3])) if state[4] else None
        self._away = int(state[5])


def _on(roi: Roi, aimed: Roi) -> bool:
    return float(np.linalg.norm(roi.center - aimed.center)) < 0.5 * aimed.size


def _fits(found: FaceResult, aimed: Roi) -> bool:
    """There is a face, where the head is, and of its size."""
    return found.score >= _SEEN and _on(found.next_roi, aimed) and 0.4 < found.next_roi.size / aimed.size < 2.5
