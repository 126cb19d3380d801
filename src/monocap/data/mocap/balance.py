"""How alike two poses are, near-duplicates, and weights that let rare poses count.

The distance of two poses is the root mean square, over the 21 body joints, of the angle between their local rotations
(measured on matrices, where it is Euclidean: |A − B|² = 8 sin²(θ/2)).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monocap.geometry import rotations
from monocap.types import Array

_PROJECTED = 40  # distances in the leading principal directions only fall short, so they sort out most pairs
_BLOCK = 2048


def pose_features(body_pose: Array) -> Array:
    """(N,189) float32 of poses (N,63): Euclidean distance = root mean square joint angle (rad), for small angles."""
    local = rotations.axis_angle_to_matrix(np.asarray(body_pose, dtype=np.float64).reshape(-1, 21, 3))
    return (local.reshape(len(local), -1) / np.sqrt(2 * 21)).astype(np.float32)


class _Projection:
    def __init__(self, features: Array) -> None:
        sample = features[:: max(1, len(features) // 20000)]
        self.mean = sample.mean(axis=0)
        _, _, directions = np.linalg.svd(sample - self.mean, full_matrices=False)
        self.directions = directions[:_PROJECTED].T

    def __call__(self, features: Array) -> Array:
        return (features - self.mean) @ self.directions


def nearest_distance(features: Array, among: Array) -> Array:
    """(N,) distance (rad) of each of ``features`` (N,189) to the nearest of ``among`` (M,189); infinite if M = 0."""
    nearest = np.full(len(features), np.inf)
    for start in range(0, len(features), _BLOCK):
        part = features[start : start + _BLOCK]
        for other in range(0, len(among), 4 * _BLOCK):
            squared = _squared(part, among[other : other + 4 * _BLOCK]).min(axis=1)
            nearest[start : start + _BLOCK] = np.minimum(nearest[start : start + _BLOCK], squared)
    return np.sqrt(nearest)


def near_duplicates(features: Array, radius: float) -> NDArray[np.bool_]:
    """(N,) poses that are nearer than ``radius`` rad to an earlier pose that stays: greedy, in the given order."""
    project = _Projection(features)
    short = project(features)
    limit = radius * radius
    kept_short, kept = np.empty_like(short), np.empty(len(features), dtype=np.int64)
    count = 0
    duplicate = np.zeros(len(features), dtype=bool)
    for start in range(0, len(features), 512):
        stop = min(start + 512, len(features))
        rows = np.arange(start, stop)
        close = np.zeros(len(rows), dtype=bool)
        for other in range(0, count, 8 * _BLOCK):
            end = min(other + 8 * _BLOCK, count)
            i, j = np.nonzero(_squared(short[rows], kept_short[other:end]) < limit)
            exact = np.sum((features[rows[i]] - features[kept[other + j]]) ** 2, axis=1) < limit
            close[i[exact]] = True
        inner = _squared(features[rows], features[rows]) < limit
        for k in range(len(rows)):
            if not close[k]:
                close[k + 1 :] |= inner[k, k + 1 :]
        duplicate[rows] = close
        fresh = rows[~close]
        kept[count : count + len(fresh)], kept_short[count : count + len(fresh)] = fresh, short[fresh]
        count += len(fresh)
    return duplicate


def balancing_weights(features: Array, radius: float = np.deg2rad(12.0), cap: float = 5.0) -> Array:
    """(N,) weights of mean 1: one over the square root of how many poses lie within ``radius`` rad, capped.

    The square root is a compromise between counting frames (walking rules) and poses (noise rules).
    """
    short = _Projection(features)(features)
    near = np.zeros(len(features))
    for start in range(0, len(short), _BLOCK):
        for other in range(0, len(short), 4 * _BLOCK):
            squared = _squared(short[start : start + _BLOCK], short[other : other + 4 * _BLOCK])
            near[start : start + _BLOCK] += np.count_nonzero(squared < radius * radius, axis=1)
    weight = 1.0 / np.sqrt(np.maximum(near, 1.0))
    weight = np.clip(weight / weight.mean(), 1.0 / cap, cap)
    return weight / weight.mean()


def _squared(a: Array, b: Array) -> Array:
    return np.maximum(np.sum(a * a, axis=1)[:, None] + np.sum(b * b, axis=1) - 2.0 * (a @ b.T), 0.0)
