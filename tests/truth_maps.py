"""A network that answers with the maps that true joints make, for squares of pictures that say which frame it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from monocap.data.crop_families import FAMILIES
from monocap.geometry import cameras
from monocap.geometry.crops import transform_points
from monocap.perception.people import PeopleDetector
from monocap.perception.vnect import SKELETON
from monocap.skeletons import get
from monocap.skeletons.vnect import normalised
from monocap.types import Array, Camera, Detections

CAMERA = Camera(1000.0, 1000.0, 639.5, 359.5, 1280, 720)
LIGHT = FAMILIES["light"]


def picture(frame: int, camera: Camera = CAMERA) -> Array:
    """(H,W,3) uint8, grey but for its number."""
    image = np.full((camera.height, camera.width, 3), 128, np.uint8)
    image[0, 0] = (frame >> 8, frame & 255, 0)
    return image


class TruthCrop:
    """The light family's squares; what is "seen" of one is the matrix that cuts it, and the frame's number."""

    name = "light"
    shape = LIGHT.shape
    square = staticmethod(LIGHT.square)
    matrix = staticmethod(LIGHT.matrix)

    def look(self, image: Array, matrix: Array) -> Array:
        return np.append(matrix[:2].ravel(), int(image[0, 0, 0]) * 256 + int(image[0, 0, 1]))

    def normalise(self, crop: Array) -> Array:
        return crop


class TruthNetwork:
    """``joints`` (P,T,21,3) m in the camera; ``hidden`` (P,T) who cannot be seen; ``noise_cells`` of the heatmaps'
    peaks, ``noise`` m of the location maps, drawn per frame and joint."""

    def __init__(
        self,
        joints: Array,
        hidden: Array | None = None,
        cells: int = 32,
        noise_cells: float = 0.0,
        noise: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.joints, self.cells = np.asarray(joints, np.float64), cells
        self.hidden = np.zeros(self.joints.shape[:2], bool) if hidden is None else hidden
        rng = np.random.default_rng(seed)
        self.moved = rng.normal(0, 1, (*self.joints.shape[:3], 2)) * noise_cells
        self.wrong = rng.normal(0, 1, self.joints.shape) * noise
        self.looks = 0

    def run(self, names: Sequence[str], given: dict[str, Array]) -> list[Any]:
        (crops,) = given.values()
        answers = [self._answer(crop[:6].reshape(2, 3), int(crop[6])) for crop in crops]
        self.looks += len(answers)
        stacked = np.stack(answers).astype(np.float32)
        return [stacked[:, k] for k in range(4)]

    def _answer(self, matrix: Array, frame: int) -> Array:
        found = np.zeros((4, len(SKELETON), self.cells, self.cells))
        side = LIGHT.resolution
        linear = np.linalg.inv(matrix[:, :2])
        center = linear @ (np.full(2, side / 2) - matrix[:, 2])
        roll = float(np.arctan2(matrix[0, 1], matrix[0, 0]))
        pixels = np.asarray(cameras.project(self.joints[:, frame], CAMERA))
        inside = transform_points(matrix, pixels) * (self.cells / side) + 0.5 * self.cells / side - 0.5
        away = np.linalg.norm(inside.mean(axis=1) - self.cells / 2, axis=1)
        away = np.where(self.hidden[:, frame], np.inf, away)
        who = int(np.argmin(away))
        if away[who] > self.cells / 3:
            return found
        y, x = np.mgrid[: self.cells, : self.cells]
        at = inside[who] + self.moved[who, frame]
        found[0] = np.exp(-((x - at[:, :1, None]) ** 2 + (y - at[:, 1:, None]) ** 2) / 2)
        turn = cameras.look_rotation(cameras.ray_of(center, CAMERA), roll)
        places = (normalised(self.joints[who, frame]) + self.wrong[who, frame]) @ np.asarray(turn)
        found[1:] = places.T[:, :, None, None]
        return found


class TruthDetector(PeopleDetector):
    """Boxes of everybody who is not hidden."""

    def __init__(self, network: TruthNetwork) -> None:
        self._truth, self.calls = network, 0

    def detect(self, image_rgb: Array, thorough: bool = False, quick: bool = False) -> Detections:
        self.calls += 1
        frame = int(image_rgb[0, 0, 0]) * 256 + int(image_rgb[0, 0, 1])
        seen = ~self._truth.hidden[:, frame]
        pixels = np.asarray(cameras.project(self._truth.joints[seen, frame], CAMERA)).reshape(-1, len(SKELETON), 2)
        boxes = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
        coco = np.zeros((len(pixels), 17, 3))
        for i, name in enumerate(get("coco17").joint_names):
            if name in SKELETON.joint_names:
                coco[:, i] = np.column_stack([pixels[:, SKELETON.index(name)], np.ones(len(pixels))])
        return Detections(boxes, np.full(len(boxes), 0.9), coco)
