"""Linear blend skinning over the few non-zero weights of each vertex, compiled."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numba import njit

from monocap.geometry import kinematics


@dataclass(frozen=True)
class SparseWeights:
    """Row-compressed skinning weights: vertex v has ``joints[start[v]:start[v+1]]`` with ``values`` that sum to 1."""

    start: np.ndarray
    joints: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, weights: np.ndarray) -> SparseWeights:
        """From dense weights (V,J)."""
        rows, columns = np.nonzero(weights)
        start = np.zeros(len(weights) + 1, dtype=np.int32)
        np.cumsum(np.bincount(rows, minlength=len(weights)), out=start[1:])
        return cls(start, columns.astype(np.int32), np.ascontiguousarray(weights[rows, columns]))


@njit(cache=True, nogil=True, error_model="numpy")
def skin_batch(shaped, world, joints, rest, transl, start, index, values, bones, out):
    """Pose N meshes: fills ``out`` (N,V,3) metres.

    ``shaped`` (N or 1,V,3) rest vertices, ``world`` (N,J,3,3), ``joints`` (N,J,3), ``rest`` (N or 1,J,3), ``transl``
    (N or 1,3); ``start``, ``index``, ``values`` as in `SparseWeights`; ``bones`` (J,12) is scratch.
    """
    for n in range(len(out)):
        s, r, t = n if len(shaped) > 1 else 0, n if len(rest) > 1 else 0, n if len(transl) > 1 else 0
        for j in range(len(bones)):
            for a in range(3):
                shift = joints[n, j, a]
                for b in range(3):
                    bones[j, 4 * a + b] = world[n, j, a, b]
                    shift -= world[n, j, a, b] * rest[r, j, b]
                bones[j, 4 * a + 3] = shift
        for v in range(shaped.shape[1]):
            x, y, z = shaped[s, v, 0], shaped[s, v, 1], shaped[s, v, 2]
            px, py, pz = transl[t, 0], transl[t, 1], transl[t, 2]
            for k in range(start[v], start[v + 1]):
                m, c = bones[index[k]], values[k]
                px += c * (m[0] * x + m[1] * y + m[2] * z + m[3])
                py += c * (m[4] * x + m[5] * y + m[6] * z + m[7])
                pz += c * (m[8] * x + m[9] * y + m[10] * z + m[11])
            out[n, v, 0], out[n, v, 1], out[n, v, 2] = px, py, pz


def warmup() -> float:
    """Compile (or load from numba's cache) all that posing needs, float32 and float64; returns the seconds it took."""
    begin = time.perf_counter()
    kinematics.warmup()
    weights = SparseWeights.of(np.eye(2))
    for dtype in (np.float32, np.float64):
        one, turn = np.zeros((1, 2, 3), dtype), np.eye(3, dtype=dtype)[None, None].repeat(2, 1)
        values = weights.values.astype(dtype)
        bones, out = np.empty((2, 12), dtype), np.empty((1, 2, 3), dtype)
        skin_batch(one, turn, one, one, one[:, 0], weights.start, weights.joints, values, bones, out)
    return time.perf_counter() - begin
