"""How interpenetration changes with a body's joints: vertices by joints, only for vertices that take part.

A skinned vertex is v = Σ wₖ xₖ, where xₖ is the point carried by bone k. A turn of joint j about an axis a moves all xₖ
below j: dv = a × Σ wₖ (xₖ − x_j), summed over the bones from j on: one cross product per joint above the vertex.
Pose correctives move vertices by millimetres; their derivative is left out (the open body has none).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from monocap.bodies import BodyModel
from monocap.fitting.collision.collider import OFFICIAL_SIGMA, PAPER_EXPONENT, Collider
from monocap.geometry import kinematics
from monocap.types import Array


@dataclass(frozen=True)
class Normal:
    """Σ r² / 2 at one pose, its ``gradient`` (J,3) and Gauss–Newton ``hessian`` (3J,3J) by turns δ of the joints.

    δ turns a joint in its parent's frame, R ← exp(δ) R, radians (`kinematics.PointsJacobian`). Translation and betas
    do not appear: moving a body changes nothing, and its shape is not for collisions to decide.
    """

    cost: float
    gradient: Array
    hessian: Array


@dataclass(frozen=True, eq=False)
class SkinCollider:
    """A body's mesh at one shape: ``rest`` (V,3), ``rest_joints`` (J,3) m; ``start``, ``index``, ``weights``: skin."""

    body: BodyModel
    collider: Collider
    rest: Array
    rest_joints: Array
    start: NDArray[np.int32]
    index: NDArray[np.int32]
    weights: Array

    @classmethod
    def of(cls, body: BodyModel, betas: Array | None = None, collider: Collider | None = None) -> SkinCollider:
        """``betas`` (≤B,); ``collider`` None: the body's usual one."""
        rest = np.asarray(body.v_template, np.float64)
        joints = np.asarray(body.J_template, np.float64)
        if betas is not None and len(betas):
            rest = rest + body.shapedirs[..., : len(betas)] @ np.asarray(betas, np.float64)
            joints = joints + body.J_shapedirs[..., : len(betas)] @ np.asarray(betas, np.float64)
        tables = body.tables(np.dtype(np.float32))
        skin = tables.start, tables.joints, tables.values.astype(np.float64)
        return cls(body, collider or Collider.of(body), np.ascontiguousarray(rest), joints, *skin)

    def vertices(self, local: Array, pairs: NDArray[np.int64] | None = None) -> Array:
        """Posed mesh (V,3) m, before translation; ``local`` (J,3,3) rotations. With ``pairs`` only theirs, others 0."""
        world, joints = self._posed(local)
        ids = np.arange(len(self.rest)) if pairs is None else self._corners(pairs)
        points = np.zeros_like(self.rest)
        _skin(ids, self.rest, self.rest_joints, world, joints, self.start, self.index, self.weights, points)
        return points

    def pairs(self, local: Array) -> NDArray[np.int64]:
        """Triangles (P,2) that meet in the pose ``local`` (J,3,3)."""
        return self.collider.pairs(self.vertices(local))

    def cost(
        self, local: Array, pairs: NDArray[np.int64], exponent: float = PAPER_EXPONENT, sigma: float = OFFICIAL_SIGMA
    ) -> float:
        """Half the penalty of ``pairs``."""
        return 0.5 * self.collider.penalty(self.vertices(local, pairs), pairs, exponent, sigma)[0]

    def normal(
        self, local: Array, pairs: NDArray[np.int64], exponent: float = PAPER_EXPONENT, sigma: float = OFFICIAL_SIGMA
    ) -> Normal:
        """Half the penalty of ``pairs`` and its derivatives at ``local`` (J,3,3)."""
        world, joints = self._posed(local)
        ids, count = self._corners(pairs), len(joints)
        points, moves = np.zeros_like(self.rest), np.zeros((len(ids), 3, count, 3))
        parents = np.asarray(self.body.parents, dtype=np.int64)
        _skin(ids, self.rest, self.rest_joints, world, joints, self.start, self.index, self.weights, points)
        _moves(ids, self.rest, self.rest_joints, parents, world, joints, self.start, self.index, self.weights, moves)
        value, corners, slope = self.collider.residuals(points, pairs, exponent, sigma)
        gradient, hessian = np.zeros(3 * count), np.zeros((3 * count, 3 * count))
        place = np.searchsorted(ids, corners)
        _accumulate(value, place, slope, moves.reshape(len(ids), 3, 3 * count), gradient, hessian)
        hessian += np.tril(hessian, -1).T
        return Normal(0.5 * float(value @ value), gradient.reshape(count, 3), hessian)

    def _posed(self, local: Array) -> tuple[Array, Array]:
        return kinematics.forward_kinematics_numba(np.asarray(local, np.float64), self.rest_joints, self.body.parents)

    def _corners(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.unique(self.collider.faces[pairs])


@njit(cache=True, nogil=True, error_model="numpy")
def _carried(v, k, rest, rest_joints, world, joints, a):
    """Coordinate ``a`` of vertex v as bone k carries it."""
    total = joints[k, a]
    for b in range(3):
        total += world[k, a, b] * (rest[v, b] - rest_joints[k, b])
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _skin(ids, rest, rest_joints, world, joints, start, index, weights, points):
    """Fills rows ``ids`` of ``points`` (V,3)."""
    for v in ids:
        for a in range(3):
            total = 0.0
            for s in range(start[v], start[v + 1]):
                total += weights[s] * _carried(v, index[s], rest, rest_joints, world, joints, a)
            points[v, a] = total


@njit(cache=True, nogil=True, error_model="numpy")
def _moves(ids, rest, rest_joints, parents, world, joints, start, index, weights, moves):
    """Fills ``moves`` (n,3,J,3), zero before: metres per radian of each joint's δ."""
    count = len(parents)
    mass, arm = np.empty(count), np.empty((count, 3))
    for i in range(len(ids)):
        v = ids[i]
        for j in range(count):
            mass[j] = 0.0
        for s in range(start[v], start[v + 1]):
            j = index[s]
            while j >= 0:
                if mass[j] == 0.0:
                    for a in range(3):
                        arm[j, a] = 0.0
                mass[j] += weights[s]
                for a in range(3):
                    arm[j, a] += weights[s] * (
                        _carried(v, index[s], rest, rest_joints, world, joints, a) - joints[j, a]
                    )
                j = parents[j]
        for j in range(count):
            if mass[j] == 0.0:
                continue
            p, x, y, z = parents[j], arm[j, 0], arm[j, 1], arm[j, 2]
            for c in range(3):
                if p < 0:
                    a, b, d = 1.0 * (c == 0), 1.0 * (c == 1), 1.0 * (c == 2)
                else:
                    a, b, d = world[p, 0, c], world[p, 1, c], world[p, 2, c]
                moves[i, 0, j, c], moves[i, 1, j, c], moves[i, 2, j, c] = b * z - d * y, d * x - a * z, a * y - b * x


@njit(cache=True, nogil=True, error_model="numpy")
def _accumulate(value, place, slope, moves, gradient, hessian):
    """Adds Jᵀr and the lower half of JᵀJ; rows of J: ``slope`` (R,4,3) times ``moves`` of vertices ``place`` (R,4)."""
    size = len(gradient)
    row, used = np.empty(size), np.empty(size, np.int64)
    for r in range(len(value)):
        n = 0
        for c in range(size):
            total = 0.0
            for k in range(4):
                m = place[r, k]
                for a in range(3):
                    total += slope[r, k, a] * moves[m, a, c]
            if total != 0.0:
                row[n], used[n] = total, c
                n += 1
        for i in range(n):
            gradient[used[i]] += value[r] * row[i]
            for j in range(i + 1):
                hessian[used[i], used[j]] += row[i] * row[j]
