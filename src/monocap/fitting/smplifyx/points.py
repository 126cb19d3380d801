"""Keypoints of a posed body and how they move: joints, single vertices, landmarks of the face and its contour.

A point on the skin is a weighted sum of vertices, each a weighted sum over bones. Summed up beforehand that is one
*carrier* per bone and point: mass m = Σ w, rest moment x = Σ w v (linear in shape, and in the pose correctives where a
body has them), and the posed point is Σ_k W_k (x_k − m_k J_k) + m_k p_k, with W, p the posed bones and J the rest
joints. So no vertex is skinned, whatever the mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sin, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from monocap.bodies import BodyModel
from monocap.bodies.keypoints import contour_joint, contour_row_of
from monocap.geometry.kernels import betas_kernel, fk_kernel
from monocap.types import Array


@dataclass(frozen=True)
class Carriers:
    """C carriers of P points, sorted by point: ``begin`` (P+1,) their ranges; ``bone`` (C,), ``mass`` (C,), ``moment``
    (C,3) m, ``directions`` (C,3,S) m per coefficient [betas; expression], ``correctives`` (C,3,9(J−1)) or None."""

    begin: NDArray[np.int64]
    bone: NDArray[np.int64]
    mass: Array
    moment: Array
    directions: Array
    correctives: Array | None

    @classmethod
    def of(cls, body: BodyModel, points: Sequence[tuple[NDArray[np.int64], Array]], joints: Sequence[int]) -> Carriers:
        """Of ``joints`` (numbers), followed by ``points``, each given by its vertices and their weights."""
        betas = body.num_betas
        begin, bone, mass, moment, directions, correctives = [0], [], [], [], [], []
        for joint in joints:
            bone.append(joint)
            mass.append(1.0)
            moment.append(body.J_template[joint])
            directions.append(body.J_shapedirs[joint])
            if body.posedirs is not None:
                correctives.append(np.zeros((3, body.posedirs.shape[2])))
            begin.append(len(bone))
        for ids, weights in points:
            shares = weights[:, None] * body.lbs_weights[ids]  # (n,J)
            for k in np.flatnonzero(shares.any(axis=0)):
                share = shares[:, k].astype(np.float64)
                bone.append(int(k))
                mass.append(share.sum())
                moment.append(share @ body.v_template[ids])
                both = np.concatenate([body.shapedirs[ids][..., :betas], body.exprdirs[ids]], axis=2)
                directions.append(np.tensordot(share, both, 1))
                if body.posedirs is not None:
                    correctives.append(np.tensordot(share, body.posedirs[ids], 1))
            begin.append(len(bone))
        shapes = body.num_betas + body.num_expressions
        return cls(
            np.array(begin, dtype=np.int64),
            np.array(bone, dtype=np.int64),
            np.array(mass, dtype=np.float64),
            np.array(moment, dtype=np.float64).reshape(-1, 3),
            np.array(directions, dtype=np.float64).reshape(len(bone), 3, shapes),
            np.array(correctives, dtype=np.float64) if body.posedirs is not None else None,
        )


@dataclass(frozen=True)
class PointModel:
    """The K points of a named set on one body; points of the contour are chosen anew for every turn of the head.

    ``carriers``: first those of the K points in order (none for contour points), then 79 × c of the contour.
    ``contour`` (c,) places of the contour among the K points; the turn of the joint ``head`` as the camera sees it
    chooses them.
    """

    names: tuple[str, ...]
    carriers: Carriers
    contour: NDArray[np.int64]
    head: int

    @classmethod
    def of(cls, body: BodyModel, which: str | Sequence[str]) -> PointModel:
        """Raises InputError for points that this body does not have."""
        chosen = body.selection(which)
        joints = len(body.parents)
        empty = np.zeros(0, dtype=np.int64), np.zeros(0)
        parts: list[Carriers] = []
        for row in chosen.mix:
            held = np.flatnonzero(row[:joints])
            used = np.flatnonzero(row[joints:])
            if len(held):
                parts.append(Carriers.of(body, [], [int(held[0])]))
            else:
                parts.append(
                    Carriers.of(body, [(chosen.vertices[used], row[joints + used]) if len(used) else empty], [])
                )
        for corners, weights in zip(chosen.corners, chosen.weights, strict=True):
            parts.append(
                Carriers.of(body, [(chosen.vertices[c], w) for c, w in zip(corners, weights, strict=True)], [])
            )
        return cls(chosen.names, _joined(parts), chosen.contour, contour_joint(body, True))

    @classmethod
    def of_vertices(cls, body: BodyModel, ids: NDArray[np.int64], shift: float = 0.0) -> PointModel:
        """Single vertices ``ids`` (n,), or points ``shift`` m outside of them, along the normals at rest."""
        one = np.ones(1)
        carriers = Carriers.of(body, [(np.array([v]), one) for v in ids], [])
        if shift:
            owner = np.repeat(np.arange(len(ids)), np.diff(carriers.begin))
            outward = shift * rest_normals(body)[ids]
            carriers = replace(carriers, moment=carriers.moment + carriers.mass[:, None] * outward[owner])
        names = tuple(f"vertex {v}" for v in ids)
        return cls(names, carriers, np.zeros(0, dtype=np.int64), contour_joint(body, True))

    def ranges(self, world: Array) -> NDArray[np.int64]:
        """(N,K,2) which carriers make each point, for posed bones ``world`` (N,J,3,3)."""
        begin = self.carriers.begin
        count = len(self.names)
        still = np.stack([begin[:count], begin[1 : count + 1]], axis=1)
        out = np.repeat(still[None], len(world), axis=0)
        if len(self.contour):
            row = contour_row_of(world[:, self.head], camera=True)
            first = count + row[:, None] * len(self.contour) + np.arange(len(self.contour))
            out[:, self.contour, 0], out[:, self.contour, 1] = begin[first], begin[first + 1]
        return out


def rest_normals(body: BodyModel) -> Array:
    """(V,3) unit normals of the template, outward."""
    corners = body.v_template[body.faces].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    out = np.zeros(body.v_template.shape)
    for corner in range(3):
        np.add.at(out, body.faces[:, corner], normal)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def spread_vertices(body: BodyModel, count: int) -> NDArray[np.int64]:
    """(count,) vertices spread evenly over the skin at rest: each the farthest from those before it."""
    points = body.v_template.astype(np.float64)
    chosen = [int(np.argmax(points[:, 1]))]
    apart = np.full(len(points), np.inf)
    while len(chosen) < min(count, len(points)):
        apart = np.minimum(apart, np.sum((points - points[chosen[-1]]) ** 2, axis=1))
        chosen.append(int(np.argmax(apart)))
    return np.array(chosen, dtype=np.int64)


def _joined(parts: Sequence[Carriers]) -> Carriers:
    begin = np.concatenate([[0], *(part.begin[1:] - part.begin[:-1] for part in parts)]).cumsum()
    fixed = [part.correctives for part in parts if part.correctives is not None and len(part.correctives)]
    return Carriers(
        begin.astype(np.int64),
        np.concatenate([part.bone for part in parts]),
        np.concatenate([part.mass for part in parts]),
        np.concatenate([part.moment for part in parts]),
        np.concatenate([part.directions for part in parts]),
        np.concatenate(fixed) if fixed else None,
    )


@dataclass(frozen=True)
class Posed:
    """N posed bodies: ``points`` (N,K,3) and ``joints`` (N,J,3) m before translation, ``world`` (N,J,3,3) bones.

    With derivatives: ``rotations`` (N,K,3,J,3) m/rad of δ in R_i ← exp(δ_i) R_i, ``shapes`` (N,K,3,S).
    """

    points: Array
    joints: Array
    world: Array
    rotations: Array | None = None
    shapes: Array | None = None


@dataclass(frozen=True)
class Tree:
    """Of a body: ``parents`` (J,), rest ``joints`` (J,3) m and ``directions`` (J,3,S) per [betas; expression]."""

    parents: NDArray[np.int64]
    joints: Array
    directions: Array

    @classmethod
    def of(cls, body: BodyModel) -> Tree:
        return cls(
            np.asarray(body.parents, dtype=np.int64).copy(),
            np.asarray(body.J_template, dtype=np.float64).copy(),
            np.ascontiguousarray(body.J_shapedirs, dtype=np.float64),
        )


def pose_points(tree: Tree, model: PointModel, local: Array, shape: Array, derivatives: bool = True) -> Posed:
    """Points at local rotations (N,J,3,3) and shapes (N,S) = [betas; expression]; camera frame, before translation."""
    count, bones = local.shape[:2]
    local = np.ascontiguousarray(local)
    carriers = model.carriers
    rest = tree.joints + (shape @ tree.directions.reshape(3 * bones, shape.shape[1]).T).reshape(count, bones, 3)
    flat = carriers.directions.reshape(3 * len(carriers.bone), shape.shape[1])
    moment = carriers.moment + (shape @ flat.T).reshape(count, -1, 3)
    if carriers.correctives is not None:
        feature = (local[:, 1:] - np.eye(3)).reshape(count, -1)
        moment += (feature @ carriers.correctives.reshape(-1, feature.shape[1]).T).reshape(count, -1, 3)
    world, joints = np.empty_like(local), np.empty((count, bones, 3))
    for n in range(count):
        fk_kernel(local[n], rest[n], tree.parents, world[n], joints[n])
    ranges = model.ranges(world)
    points = np.empty((count, len(model.names), 3))
    if not derivatives:
        _place_batch(rest, world, joints, ranges, carriers.bone, carriers.mass, moment, points)
        return Posed(points, joints, world)
    rotations = np.empty((count, len(model.names), 3, bones, 3))
    shapes = np.empty((count, len(model.names), 3, shape.shape[1]))
    _move_batch(
        *(tree.parents, rest, world, joints, tree.directions, ranges),
        *(carriers.bone, carriers.mass, moment, carriers.directions, points, rotations, shapes),
    )
    if carriers.correctives is not None:
        _correct_batch(local, world, ranges, carriers.bone, carriers.correctives, rotations)
    return Posed(points, joints, world, rotations, shapes)


@njit(cache=True, nogil=True, error_model="numpy")
def turn_batch(pose, local, left):
    """Axis-angle ``pose`` (N,J,3) → fills ``local`` (N,J,3,3) with its rotations and ``left`` with the left Jacobians
    of SO(3), δ = left · d(axis-angle), as `geometry.rotations` has them."""
    for n in range(pose.shape[0]):
        for j in range(pose.shape[1]):
            x, y, z = pose[n, j, 0], pose[n, j, 1], pose[n, j, 2]
            square = x * x + y * y + z * z
            if square < 1e-3:  # series: the next terms are below 1e-15
                s = 1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0))
                c = 0.5 - square / 24.0 * (1.0 - square / 30.0 * (1.0 - square / 56.0))
                d = 1.0 / 6.0 - square / 120.0 * (1.0 - square / 42.0 * (1.0 - square / 72.0))
            else:
                angle = sqrt(square)
                half = sin(0.5 * angle)
                s, c = sin(angle) / angle, 2.0 * half * half / square
                d = (1.0 - s) / square
            # I + s K + c K² and I + c K + d K², K² = r rᵀ − |r|² I
            for out, a, b in ((local[n, j], s, c), (left[n, j], c, d)):
                out[0, 0], out[1, 1], out[2, 2] = (
                    1.0 - b * (y * y + z * z),
                    1.0 - b * (x * x + z * z),
                    1.0 - b * (x * x + y * y),
                )
                out[0, 1], out[1, 0] = b * x * y - a * z, b * x * y + a * z
                out[0, 2], out[2, 0] = b * x * z + a * y, b * x * z - a * y
                out[1, 2], out[2, 1] = b * y * z - a * x, b * y * z + a * x


@njit(cache=True, nogil=True, error_model="numpy")
def _place_batch(rest, world, joints, ranges, bone, mass, moment, points):
    for n in range(len(points)):
        for i in range(points.shape[1]):
            points[n, i] = 0.0
            for c in range(ranges[n, i, 0], ranges[n, i, 1]):
                k, m = bone[c], mass[c]
                x = moment[n, c, 0] - m * rest[n, k, 0]
                y = moment[n, c, 1] - m * rest[n, k, 1]
                z = moment[n, c, 2] - m * rest[n, k, 2]
                for a in range(3):
                    w = world[n, k, a]
                    points[n, i, a] += m * joints[n, k, a] + w[0] * x + w[1] * y + w[2] * z


@njit(cache=True, nogil=True, error_model="numpy")
def _move_batch(
    parents, rest, world, joints, joint_dirs, ranges, bone, mass, moment, dirs, points, rotations, shapes
):  # fmt: skip
    """Places and derivatives. ``below`` (J,4): mass and moment of what the bone and those under it carry."""
    bones, size = len(parents), joint_dirs.shape[2]
    moved = joint_dirs.copy()
    none_i, none_f, none_o = parents[:0], joint_dirs[:0], joint_dirs[:0].copy()
    below = [(0.0, 0.0, 0.0, 0.0)] * bones
    for n in range(len(points)):
        betas_kernel(parents, world[n], joint_dirs, none_i, none_f, moved, none_o)
        for i in range(points.shape[1]):
            px, py, pz = 0.0, 0.0, 0.0
            out = rotations[n, i]
            by_shape = shapes[n, i]
            out[:] = 0.0
            by_shape[:] = 0.0
            for k in range(bones):
                below[k] = (0.0, 0.0, 0.0, 0.0)
            for c in range(ranges[n, i, 0], ranges[n, i, 1]):
                k, m, w = bone[c], mass[c], world[n, bone[c]]
                x = moment[n, c, 0] - m * rest[n, k, 0]
                y = moment[n, c, 1] - m * rest[n, k, 1]
                z = moment[n, c, 2] - m * rest[n, k, 2]
                qx = m * joints[n, k, 0] + w[0, 0] * x + w[0, 1] * y + w[0, 2] * z
                qy = m * joints[n, k, 1] + w[1, 0] * x + w[1, 1] * y + w[1, 2] * z
                qz = m * joints[n, k, 2] + w[2, 0] * x + w[2, 1] * y + w[2, 2] * z
                px, py, pz = px + qx, py + qy, pz + qz
                for s in range(size):
                    x = dirs[c, 0, s] - m * joint_dirs[k, 0, s]
                    y = dirs[c, 1, s] - m * joint_dirs[k, 1, s]
                    z = dirs[c, 2, s] - m * joint_dirs[k, 2, s]
                    by_shape[0, s] += m * moved[k, 0, s] + w[0, 0] * x + w[0, 1] * y + w[0, 2] * z
                    by_shape[1, s] += m * moved[k, 1, s] + w[1, 0] * x + w[1, 1] * y + w[1, 2] * z
                    by_shape[2, s] += m * moved[k, 2, s] + w[2, 0] * x + w[2, 1] * y + w[2, 2] * z
                while k >= 0:
                    b = below[k]
                    below[k] = (b[0] + m, b[1] + qx, b[2] + qy, b[3] + qz)
                    k = parents[k]
            points[n, i, 0], points[n, i, 1], points[n, i, 2] = px, py, pz
            for k in range(bones):
                m, sx, sy, sz = below[k]
                if m == 0.0 and sx == 0.0 and sy == 0.0 and sz == 0.0:
                    continue
                x, y, z = sx - m * joints[n, k, 0], sy - m * joints[n, k, 1], sz - m * joints[n, k, 2]
                p = parents[k]
                for a in range(3):
                    if p < 0:
                        u, v, w0 = 1.0 * (a == 0), 1.0 * (a == 1), 1.0 * (a == 2)
                    else:
                        u, v, w0 = world[n, p, 0, a], world[n, p, 1, a], world[n, p, 2, a]
                    out[0, k, a] = v * z - w0 * y
                    out[1, k, a] = w0 * x - u * z
                    out[2, k, a] = u * y - v * x


@njit(cache=True, nogil=True, error_model="numpy")
def _correct_batch(local, world, ranges, bone, correctives, rotations):
    """Add what the pose correctives move: d(R − I) = [δ]ₓ R."""
    bones, size = local.shape[1], correctives.shape[2]
    by_feature = local[0, 0, 0, 0] * correctives[0]
    for n in range(len(rotations)):
        for i in range(rotations.shape[1]):
            by_feature[:] = 0.0
            some = False
            for c in range(ranges[n, i, 0], ranges[n, i, 1]):
                w = world[n, bone[c]]
                some = True
                for f in range(size):
                    x, y, z = correctives[c, 0, f], correctives[c, 1, f], correctives[c, 2, f]
                    for a in range(3):
                        by_feature[a, f] += w[a, 0] * x + w[a, 1] * y + w[a, 2] * z
            if not some:
                continue
            for j in range(1, bones):
                r = local[n, j]
                for a in range(3):
                    g = by_feature[a, 9 * (j - 1) : 9 * j]
                    x, y, z = 0.0, 0.0, 0.0
                    for b in range(3):
                        x += g[6 + b] * r[1, b] - g[3 + b] * r[2, b]
                        y += g[b] * r[2, b] - g[6 + b] * r[0, b]
                        z += g[3 + b] * r[0, b] - g[b] * r[1, b]
                    rotations[n, i, a, j, 0] += x
                    rotations[n, i, a, j, 1] += y
                    rotations[n, i, a, j, 2] += z
