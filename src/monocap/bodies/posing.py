"""Posing on compiled loops, forward and backward: what `BodyModel` calls for numpy and `TorchBody` on the CPU.

One batch axis of N bodies, S ≤ N shapes. Gradients are exact and cost about as much as posing itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monocap.bodies.kernels import (
    bones_adjoint,
    bones_batch,
    correct_one,
    rotate_adjoint,
    rotate_batch,
    skin_adjoint,
    skin_batch,
)
from monocap.geometry import kinematics
from monocap.geometry.kernels import adjoint_batch, fk_batch
from monocap.types import Array

_CHUNK = 64  # bodies whose rest meshes are held at a time: some megabytes, which a processor's cache can hold
_FEW = 3  # up to so many bodies, one pass over the correctives each beats a matrix product

Coefficients = tuple[Array, int]
"""Shape coefficients (S or 1, n), and which block of directions they scale the first n of: 0 betas, 1 expression."""


@dataclass(frozen=True)
class Tables:
    """A body's arrays as the loops want them: meshes flat, directions first; see `BodyModel` for their meaning.

    ``template`` (3V,), ``directions`` (B,3V) and (E,3V), ``correctives`` (9(J−1),3V) or None, in one dtype; ``rest``
    (3J,) and ``rest_directions`` (B,3J) and (E,3J) float64; ``tree`` (J,); skinning weights by rows: vertex v has
    ``joints[start[v]:start[v+1]]`` with ``values``.
    """

    template: Array
    directions: tuple[Array, Array]
    correctives: Array | None
    rest: Array
    rest_directions: tuple[Array, Array]
    tree: Array
    start: Array
    joints: Array
    values: Array

    @classmethod
    def of(
        cls, template: Array, directions: tuple[Array, Array], correctives: Array | None, rest: Array,
        rest_directions: Array, parents: Sequence[int], weights: Array, dtype: np.dtype,
    ) -> Tables:  # fmt: skip
        """From ``template`` (V,3), ``directions`` (B,V,3) and (E,V,3), ``correctives`` (P,V,3) or None, ``rest`` (J,3),
        ``rest_directions`` (B+E,J,3), dense ``weights`` (V,J); what is in the dtype and contiguous is not copied."""
        rows, columns = np.nonzero(weights)
        start = np.zeros(len(weights) + 1, dtype=np.int32)
        np.cumsum(np.bincount(rows, minlength=len(weights)), out=start[1:])

        def flat(array: Array, kind: np.dtype) -> Array:
            return np.ascontiguousarray(array, dtype=kind).reshape(len(array), math.prod(array.shape[1:]))

        double, betas = np.dtype(np.float64), len(directions[0])
        return cls(
            template=flat(template, dtype).reshape(-1),
            directions=(flat(directions[0], dtype), flat(directions[1], dtype)),
            correctives=None if correctives is None else flat(correctives, dtype),
            rest=flat(rest, double).reshape(-1),
            rest_directions=(flat(rest_directions[:betas], double), flat(rest_directions[betas:], double)),
            tree=np.array(parents, dtype=np.int64),
            start=start,
            joints=columns.astype(np.int32),
            values=np.ascontiguousarray(weights[rows, columns], dtype=dtype),
        )


@dataclass(frozen=True)
class Skeleton:
    """Posed trees, float64: ``pose`` (N,J,3), ``local`` and ``world`` (N,J,3,3), ``joints`` (N,J,3) before translation,
    ``rest`` (S,J,3); body n has the shape ``which[n]``."""

    pose: Array
    local: Array
    world: Array
    joints: Array
    rest: Array
    which: Array


@dataclass(frozen=True)
class Skin:
    """What the adjoint of skinning needs: ``shaped`` (N or 1,V,3) with correctives, ``bones`` (N,J,12)."""

    shaped: Array
    bones: Array


def rest_joints(tables: Tables, coefficients: Sequence[Coefficients]) -> Array:
    """(S,J,3) metres, float64."""
    return _linear(tables.rest, tables.rest_directions, coefficients, np.dtype(np.float64)).reshape(
        -1, len(tables.tree), 3
    )


def pose_skeleton(tables: Tables, pose: Array, coefficients: Sequence[Coefficients], which: Array) -> Skeleton:
    """Pose N trees: ``pose`` (N,J,3) rad; ``which`` (N,) the shape of each."""
    pose = np.array(pose, dtype=np.float64, order="C")  # a copy: gradients are taken where it was
    rest = rest_joints(tables, coefficients)
    local = np.empty((*pose.shape, 3))
    rotate_batch(pose, local)
    world, joints = np.empty_like(local), np.empty_like(pose)
    fk_batch(local, rest if len(rest) == 1 else rest[which], tables.tree, world, joints)
    return Skeleton(pose, local, world, joints, rest, which)


def skin(
    tables: Tables, skeleton: Skeleton, coefficients: Sequence[Coefficients], transl: Array, keep: bool = False
) -> tuple[Array, Skin | None]:
    """Vertices (N,V,3) metres in the tables' dtype; ``transl`` (N or 1,3). ``keep``: also what `adjoint` needs."""
    dtype, count, which = tables.template.dtype, len(skeleton.pose), skeleton.which
    bones = np.empty((*skeleton.pose.shape[:2], 12), dtype)
    bones_batch(skeleton.world, skeleton.joints, skeleton.rest, which, bones)
    shaped = _linear(tables.template, tables.directions, coefficients, dtype)
    transl = np.require(transl, dtype, ["C", "W"])
    out = np.empty((count, len(tables.template) // 3, 3), dtype)
    weights = tables.start, tables.joints, tables.values
    if tables.correctives is None and (len(shaped) == 1 or (keep and len(shaped) == count)):
        shaped = shaped.reshape(len(shaped), out.shape[1], 3)
        skin_batch(shaped, bones, transl, *weights, out)
        return out, Skin(shaped, bones) if keep else None
    kept = np.empty(out.shape, dtype) if keep else None
    for begin in range(0, count, _CHUNK):
        some = slice(begin, min(begin + _CHUNK, count))
        mesh = shaped[which[some]]  # a copy, which the correctives are added to
        if tables.correctives is not None:
            _correct(tables.correctives, skeleton.local[some], mesh)
        mesh = mesh.reshape(len(mesh), out.shape[1], 3)
        skin_batch(mesh, bones[some], transl[some] if len(transl) > 1 else transl, *weights, out[some])
        if kept is not None:
            kept[some] = mesh
    return out, None if kept is None else Skin(kept, bones)


@dataclass(frozen=True)
class Gradients:
    """Of a scalar, with respect to ``pose`` (N,J,3), and to all ``coefficients`` of each block, (S,B) and (S,E).

    None where not asked for."""

    pose: Array | None
    coefficients: Sequence[Array] | None


def adjoint(
    tables: Tables,
    skeleton: Skeleton,
    grad_joints: Array | None,
    grad_vertices: Array | None = None,
    state: Skin | None = None,
    shape: bool = True,
    pose: bool = True,
) -> Gradients:
    """Carry the gradients with respect to joints (N,J,3) and vertices (N,V,3) back to the parameters.

    ``state`` is what `skin` kept. ``shape``, ``pose``: which of them are wanted; each costs products of its own.
    """
    count, bones = skeleton.pose.shape[:2]
    which, rest = skeleton.which, skeleton.rest
    world = np.zeros((count, bones, 3, 3))
    joints = np.zeros((count, bones, 3)) if grad_joints is None else np.array(grad_joints, np.float64, order="C")
    by_rest = np.zeros_like(rest)
    shaped = feature = None
    if grad_vertices is not None and state is not None:
        dtype = tables.template.dtype
        grad_vertices = np.require(grad_vertices, dtype, ["C", "W"])
        shaped, by_bones = np.empty_like(grad_vertices), np.zeros_like(state.bones)
        weights = tables.start, tables.joints, tables.values
        skin_adjoint(state.shaped, state.bones, *weights, grad_vertices, shaped, by_bones)
        bones_adjoint(skeleton.world, rest, which, by_bones, world, joints, by_rest)
        shaped = shaped.reshape(count, len(tables.template))
        if tables.correctives is not None and pose:
            feature = (tables.correctives @ shaped.T).T if count == 1 else shaped @ tables.correctives.T
    local, by_tree = np.empty((count, bones, 3, 3)), np.zeros((count, bones, 3))
    whole = np.require(rest[which], requirements=["C", "W"])
    adjoint_batch(skeleton.local, whole, tables.tree, skeleton.world, world, joints, local, by_tree)
    by_pose = by_shape = None
    if pose:
        if feature is not None:
            local[:, 1:] += feature.reshape(count, bones - 1, 3, 3)
        by_pose = np.empty_like(skeleton.pose)
        rotate_adjoint(skeleton.pose, local, by_pose)
    if shape:
        by_rest = by_rest + _gathered(by_tree, which, len(rest))
        flat = by_rest.reshape(len(rest), 3 * bones)
        by_shape = [flat @ block.T for block in tables.rest_directions]
        if shaped is not None:
            mesh = _gathered(shaped, which, len(rest))
            by_shape = [part + mesh @ block.T for part, block in zip(by_shape, tables.directions, strict=True)]
    return Gradients(by_pose, by_shape)


def _gathered(values: Array, which: Array, shapes: int) -> Array:
    """Sum of ``values`` (N,…) over the bodies of each shape: (S,…)."""
    if shapes == len(values):
        return values
    if shapes == 1:
        return values.sum(axis=0, keepdims=True)
    out = np.zeros((shapes, *values.shape[1:]), values.dtype)
    np.add.at(out, which, values)
    return out


def _linear(
    base: Array, directions: tuple[Array, Array], coefficients: Sequence[Coefficients], dtype: np.dtype
) -> Array:
    """(S,M): base + coefficients · directions."""
    result = base[None]
    for values, block in coefficients:
        if values.shape[-1]:
            result = result + np.asarray(values, dtype=dtype) @ directions[block][: values.shape[-1]]
    return result


def _correct(correctives: Array, local: Array, mesh: Array) -> None:
    """Add the pose correctives of rotations (n,J,3,3) to flat meshes (n,3V)."""
    feature = local[:, 1:].reshape(len(local), -1).astype(mesh.dtype)
    feature -= np.tile(np.eye(3, dtype=mesh.dtype).ravel(), local.shape[1] - 1)
    if len(local) <= _FEW:
        for one, out in zip(feature, mesh, strict=True):
            correct_one(one, correctives, out)
        return
    used = np.flatnonzero(feature.any(axis=0))
    if len(used):  # hands at rest come last, and are left out
        mesh += feature[:, : used[-1] + 1] @ correctives[: used[-1] + 1]


def warmup() -> float:
    """Compile (or load from numba's cache) all that posing needs, float32 and float64; returns the seconds it took."""
    begin = time.perf_counter()
    kinematics.warmup()
    which = np.zeros(1, dtype=np.int64)
    for kind in (np.float32, np.float64):
        mesh, dirs, weights = np.zeros((2, 3)), np.zeros((1, 2, 3)), np.eye(2)
        tables = Tables.of(mesh, (dirs, dirs[:0]), np.ones((9, 2, 3)), mesh, dirs, (-1, 0), weights, np.dtype(kind))
        posed = pose_skeleton(tables, np.ones((1, 2, 3)), [], which)
        vertices, state = skin(tables, posed, [], np.zeros((1, 3)), keep=True)
        adjoint(tables, posed, posed.joints, vertices, state)
    return time.perf_counter() - begin
