"""From 2D keypoints to 3D: a small network that knows how bodies move and how the keypoint network errs.

It sees where the 33 landmarks lie in the picture, how sure they are, and the keypoint network's own guess at their
places in space, which carries what only the picture tells (front or back, which limb is nearer). It was trained on
motion capture seen by simulated cameras, and on renderings seen by the keypoint network itself (`monocap train
lifter`). The drawing of the network is `monocap.nets.lifter`; here it runs in numpy.
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

ARCH = "lifter-2"
SKELETON = skeletons.get("blazepose33")
USED = np.array([i for i, name in enumerate(SKELETON.joint_names) if not name.startswith("mouth")])  # 31 landmarks
FEATURES = 6 * len(USED) + 1
HIPS = SKELETON.indices(("left_hip", "right_hip"))
_EPS = 1e-5  # of the layer norms, torch's default


def in_front(offset: Array) -> tuple[Array, Array]:
    """Landmarks on a plane across the ray through the mid-hips, (T,33,2) in units of the plane's distance, and the
    rotations (T,3,3) that turn that ray into the optical axis; from ``offset`` (T,33,2), pixels off the principal
    point in focal lengths."""
    rays = np.concatenate([offset, np.ones((*offset.shape[:-1], 1))], axis=-1)
    forward = rays[:, HIPS].mean(axis=1)
    turn = rotation_between(forward, np.broadcast_to(np.array([0.0, 0.0, 1.0]), forward.shape))
    seen = (turn[:, None] @ rays[..., None])[..., 0]
    return seen[..., :2] / np.maximum(seen[..., 2:], 1e-3), turn


def features(flat: Array, confidence: Array, guess: Array, guessed: Array) -> Array:
    """(T,187) float32: what the network sees. ``flat`` (T,33,2) landmarks on a plane across the ray through the
    mid-hips (any unit), ``confidence`` (T,33) 0–1; ``guess`` (T,33,3) metres, of those frames with ``guessed`` (T,).
    Both relative to the mid-hips, the first scaled to unit root mean square."""
    centred = flat - flat[:, HIPS].mean(axis=1, keepdims=True)
    used = centred[:, USED]
    size = np.sqrt((used**2).sum(axis=-1).mean(axis=1))
    used = used / np.maximum(size, 1e-9)[:, None, None]
    told = (guess - guess[:, HIPS].mean(axis=1, keepdims=True))[:, USED] * 2.0 * guessed[:, None, None]
    count = len(flat)
    return np.concatenate(
        [used.reshape(count, -1), confidence[:, USED], told.reshape(count, -1), guessed[:, None]], axis=1
    ).astype(np.float32)


class Lifter:
    """The shipped network, or another of its kind from ``path``. Raises AssetError or InputError if unreadable."""

    def __init__(self, path: Path | None = None) -> None:
        self._arrays = _weights(locate("lifter") if path is None else path)
        self._blocks = sum(name.endswith("norm.weight") for name in self._arrays)

    def lift(self, points2d: Array, camera: Camera, points3d: Array | None = None) -> Array:
        """(T,33,3) metres, camera axes, relative to the mid-hips, from keypoints (T,33,3): px, px, confidence.

        ``points3d`` (T,33,3) m: the keypoint network's own guess as it came (seen along the ray through the region,
        not turned to the camera's axes); frames in which it is all zero, and None, count as not guessed. Mouth
        landmarks are given the nose's place. Frames are lifted on their own.
        """
        points2d = np.asarray(points2d, dtype=np.float64)
        flat, turn = in_front((points2d[..., :2] - [camera.cx, camera.cy]) / [camera.fx, camera.fy])
        guess = np.zeros((len(points2d), len(SKELETON), 3)) if points3d is None else np.asarray(points3d, np.float64)
        guessed = np.abs(guess).max(axis=(1, 2)) > 0
        lifted = np.zeros((len(points2d), len(SKELETON), 3))
        lifted[:, USED] = self._run(features(flat, np.clip(points2d[..., 2], 0.0, 1.0), guess, guessed))[..., :3]
        mouth = np.setdiff1d(np.arange(len(SKELETON)), USED)
        lifted[:, mouth] = lifted[:, [SKELETON.index("nose")]]
        return (np.swapaxes(turn, 1, 2)[:, None] @ lifted[..., None])[..., 0]

    def _run(self, x: Array) -> Array:
        """(T,31,4) metres and the logarithm of their error, from features (T,187)."""
        w = self._arrays
        h = x @ w["enter.weight"].T + w["enter.bias"]
        for i in range(self._blocks):
            mean, variance = h.mean(axis=1, keepdims=True), h.var(axis=1, keepdims=True)
            normed = (h - mean) / np.sqrt(variance + _EPS) * w[f"blocks.{i}.norm.weight"] + w[f"blocks.{i}.norm.bias"]
            inner = _gelu(normed @ w[f"blocks.{i}.up.weight"].T + w[f"blocks.{i}.up.bias"])
            h = h + inner @ w[f"blocks.{i}.down.weight"].T + w[f"blocks.{i}.down.bias"]
        return (_gelu(h) @ w["leave.weight"].T + w["leave.bias"]).reshape(len(x), len(USED), 4)


def _gelu(x: Array) -> Array:
    return 0.5 * x * (1.0 + erf(x / np.sqrt(2.0)))


@cache
def _weights(path: Path) -> dict[str, np.ndarray]:
    return read_tensors(path, ARCH).arrays
