"""From 2D keypoints to 3D: a small network that knows how bodies move, instead of the keypoint network's own guess.

It sees only where the 33 landmarks lie in the picture and how sure they are, and was trained on motion capture seen by
simulated cameras with simulated errors (`monocap train lifter`). The drawing of the network is `monocap.nets.lifter`;
here it runs in numpy.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from scipy.special import erf

from monocap import skeletons
from monocap.assets.manifest import locate
from monocap.assets.tensors import read_tensors
from monocap.geometry.rotations import rotation_between
from monocap.types import Array, Camera

ARCH = "lifter-1"
SKELETON = skeletons.get("blazepose33")
USED = np.array([i for i, name in enumerate(SKELETON.joint_names) if not name.startswith("mouth")])  # 31 landmarks
FEATURES, OUTPUTS = 3 * len(USED), 3 * len(USED)
_HIPS = SKELETON.indices(("left_hip", "right_hip"))
_EPS = 1e-5  # of the layer norms, torch's default


def features(flat: Array, confidence: Array) -> Array:
    """(T,93) float32: what the network sees. ``flat`` (T,33,2) landmarks on a plane across the ray through the
    mid-hips (any unit), ``confidence`` (T,33) 0–1. Relative to the mid-hips and scaled to unit root mean square."""
    centred = flat - flat[:, _HIPS].mean(axis=1, keepdims=True)
    used = centred[:, USED]
    size = np.sqrt((used**2).sum(axis=-1).mean(axis=1))
    used = used / np.maximum(size, 1e-9)[:, None, None]
    return np.concatenate([used.reshape(len(flat), -1), confidence[:, USED]], axis=1).astype(np.float32)


class Lifter:
    """The shipped network, or another of its kind from ``path``. Raises AssetError or InputError if unreadable."""

    def __init__(self, path: Path | None = None) -> None:
        self._arrays = _weights(locate("lifter") if path is None else path)
        self._blocks = sum(name.endswith("norm.weight") for name in self._arrays)

    def lift(self, points2d: Array, camera: Camera) -> Array:
        """(T,33,3) metres, camera axes, relative to the mid-hips, from keypoints (T,33,3): px, px, confidence.

        Mouth landmarks are given the nose's place. Frames are lifted on their own.
        """
        points2d = np.asarray(points2d, dtype=np.float64)
        offset = (points2d[..., :2] - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
        rays = np.concatenate([offset, np.ones((*offset.shape[:-1], 1))], axis=-1)
        forward = rays[:, _HIPS].mean(axis=1)
        turn = rotation_between(forward, np.broadcast_to(np.array([0.0, 0.0, 1.0]), forward.shape))
        seen = (turn[:, None] @ rays[..., None])[..., 0]
        flat = seen[..., :2] / np.maximum(seen[..., 2:], 1e-3)
        lifted = np.empty((len(points2d), len(SKELETON), 3))
        lifted[:] = 0.0
        lifted[:, USED] = self._run(features(flat, np.clip(points2d[..., 2], 0.0, 1.0)))
        mouth = np.setdiff1d(np.arange(len(SKELETON)), USED)
        lifted[:, mouth] = lifted[:, [SKELETON.index("nose")]]
        return (np.swapaxes(turn, 1, 2)[:, None] @ lifted[..., None])[..., 0]

    def _run(self, x: Array) -> Array:
        """(T,31,3) metres from features (T,93)."""
        w = self._arrays
        h = x @ w["enter.weight"].T + w["enter.bias"]
        for i in range(self._blocks):
            mean, variance = h.mean(axis=1, keepdims=True), h.var(axis=1, keepdims=True)
            normed = (h - mean) / np.sqrt(variance + _EPS) * w[f"blocks.{i}.norm.weight"] + w[f"blocks.{i}.norm.bias"]
            inner = _gelu(normed @ w[f"blocks.{i}.up.weight"].T + w[f"blocks.{i}.up.bias"])
            h = h + inner @ w[f"blocks.{i}.down.weight"].T + w[f"blocks.{i}.down.bias"]
        return (_gelu(h) @ w["leave.weight"].T + w["leave.bias"]).reshape(len(x), len(USED), 3)


def _gelu(x: Array) -> Array:
    return 0.5 * x * (1.0 + erf(x / np.sqrt(2.0)))


@cache
def _weights(path: Path) -> dict[str, np.ndarray]:
    return read_tensors(path, ARCH).arrays
