"""What the fit is given: keypoints as targets with weights, hints as directions, a guess, and their units of error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monocap.errors import InputError
from monocap.fitting.landmarks import LandmarkModel
from monocap.fitting.state import PoseState
from monocap.types import Array, Camera

# How far keypoints err, in statures (measured, see docs/accuracy.md).
RELATIVE_DEVIATION = 0.02
REFERENCE_STATURE = 1.70


@dataclass(frozen=True)
class Observation:
    """T frames of one person: ``target`` (T,N,2) px, ``weight`` (T,N), ``hints`` (T,N,3) m; ``K`` (3,3).

    ``said``: what a regression network says, if one was asked, and ``trust`` (T,) 0–1 how far it is to be believed.
    """

    target: Array
    weight: Array
    hints: Array
    K: Array
    said: PoseState | None = None
    trust: Array | None = None

    @classmethod
    def of(cls, points2d: Array, points3d: Array, camera: Camera, marks: LandmarkModel) -> Observation:
        """From keypoints (T,N,3: px, px, confidence) and hints (T,N,3). Raises InputError for another N."""
        if points2d.shape[1:] != (len(marks.bone), 3):
            raise InputError(f"keypoints have shape {points2d.shape}; expected (T, {len(marks.bone)}, 3)")
        confidence = np.clip(np.nan_to_num(points2d[..., 2]), 0.0, 1.0)
        # Visibility helps only faintly as a weight: hidden points still carry what the network knows of bodies.
        weight = marks.weight * (0.15 + 0.85 * confidence) * (confidence > 0)
        return cls(
            np.nan_to_num(points2d[..., :2]).astype(np.float64),
            weight.astype(np.float64),
            np.nan_to_num(points3d).astype(np.float64),
            camera.K,
        )

    def take(self, index: NDArray[np.int64] | slice) -> Observation:
        said = None if self.said is None else self.said.take(index)
        trust = None if self.trust is None else self.trust[index]
        return Observation(self.target[index], self.weight[index], self.hints[index], self.K, said, trust)

    def deviation(self, state: PoseState) -> Array:
        """(T,) px: one standard deviation of a keypoint, from the person's size in the picture at this state."""
        focal = 0.5 * (self.K[0, 0] + self.K[1, 1])
        return RELATIVE_DEVIATION * REFERENCE_STATURE * focal / np.maximum(state.transl[:, 2], 0.3)

    def directions(self, pairs: NDArray[np.int64]) -> tuple[Array, Array]:
        """Unit hint directions (T,D,3) between keypoint ``pairs`` and their weights (T,D)."""
        a, b = pairs.T
        vector = self.hints[:, b] - self.hints[:, a]
        length = np.linalg.norm(vector, axis=-1, keepdims=True)
        weight = np.minimum(self.weight[:, a], self.weight[:, b]) * (length[..., 0] > 1e-3)
        return vector / np.maximum(length, 1e-9), weight
