"""Where the joints of a posed tree are, and how points fixed to them move with pose and shape.

`forward_kinematics` is the reference, in the array API. Beside it stand compiled twins for numpy: the same map,
its adjoint (for gradients), and the analytic Jacobian of posed points, which is what the fitters solve with.

Notation: local rotations R_i, rest joints J_i (rest pose, model frame, metres), parent p. World rotation and
position of joint i are W_i = W_p R_i and x_i = x_p + W_p (J_i − J_p); the root stays at J_0 (smplx's own
convention, so that a translation is added to everything afterwards). Parents come before their children.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from monocap.errors import InputError
from monocap.geometry.arrays import Array, apply_matrix, floats
from monocap.geometry.kernels import adjoint_batch, betas_batch, chain_batch, fk_batch, points_batch
from monocap.geometry.rotations import left_jacobian_so3


@lru_cache(maxsize=64)
def tree_levels(parents: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Joint indices by depth. Raises InputError unless one root comes first and parents before children."""
    if not parents or parents[0] != -1 or any(not 0 <= p < i for i, p in enumerate(parents) if i):
        raise InputError(f"parents {parents}: expected -1 first, then for every joint an earlier one")
    depth = [0] * len(parents)
    for i, p in enumerate(parents[1:], start=1):
        depth[i] = depth[p] + 1
    return tuple(tuple(i for i, d in enumerate(depth) if d == level) for level in range(max(depth) + 1))


def _checked(parents: Sequence[int] | Array) -> tuple[int, ...]:
    tree = tuple(int(p) for p in parents)
    tree_levels(tree)
    return tree


def _lead(*pairs: tuple[Any, int]) -> tuple[int, ...]:
    shapes = [tuple(a.shape)[: a.ndim - trailing] for a, trailing in pairs]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise InputError(f"leading shapes {shapes} do not broadcast together") from None


def forward_kinematics(local_rotmats: Array, rest_joints: Array, parents: Sequence[int] | Array) -> tuple[Array, Array]:
    """World rotations (…,J,3,3) and joint positions (…,J,3) of a posed tree.

    ``local_rotmats`` (…,J,3,3) turn each joint in its parent's frame; ``rest_joints`` (…,J,3) metres; leading
    shapes broadcast. ``parents`` (J,), -1 for the root, which comes first.

    Raises InputError for wrong shapes or a tree out of order. Source: Loper et al., SMPL (2015), eq. 3–4.
    """
    tree = _checked(parents)
    n = len(tree)
    xp, local, rest = floats(("local_rotmats", local_rotmats, (n, 3, 3)), ("rest_joints", rest_joints, (n, 3)))
    if local.shape[:-3] != rest.shape[:-2]:  # a broadcast would write this call's batch size into a traced graph
        lead = _lead((local, 3), (rest, 2))
        local, rest = xp.broadcast_to(local, (*lead, n, 3, 3)), xp.broadcast_to(rest, (*lead, n, 3))
    world: list[Any] = [None] * n
    joints: list[Any] = [None] * n
    world[0], joints[0] = local[..., 0, :, :], rest[..., 0, :]
    for level in tree_levels(tree)[1:]:
        ups = [tree[i] for i in level]
        above = xp.stack([world[p] for p in ups], axis=-3)
        own = xp.stack([local[..., i, :, :] for i in level], axis=-3)
        bone = xp.stack([rest[..., i, :] - rest[..., p, :] for i, p in zip(level, ups, strict=True)], axis=-2)
        turned, step = above @ own, apply_matrix(above, bone)
        for k, (i, p) in enumerate(zip(level, ups, strict=True)):
            world[i] = turned[..., k, :, :]
            joints[i] = joints[p] + step[..., k, :]
    return xp.stack(world, axis=-3), xp.stack(joints, axis=-2)


def _flat(array: Any, trailing: int, lead: tuple[int, ...] | None = None) -> np.ndarray:
    """Leading axes merged into one, float64, contiguous; of size 1 where nothing varies along them.

    Always writable: numba compiles a second version of each kernel for read-only arrays.
    """
    array = np.asarray(array, dtype=np.float64)
    core = array.shape[array.ndim - trailing :]
    own = array.shape[: array.ndim - trailing]
    if lead is not None and int(np.prod(own)) != 1:
        array = np.broadcast_to(array, (*lead, *core))
    return np.require(array.reshape(-1, *core), requirements=["C", "W"])


def forward_kinematics_numba(
    local_rotmats: Array, rest_joints: Array, parents: Sequence[int] | Array
) -> tuple[np.ndarray, np.ndarray]:
    """`forward_kinematics` for numpy arrays, compiled; computes in float64 and returns the inputs' dtype."""
    tree = np.array(_checked(parents), dtype=np.int64)
    n = len(tree)
    _, local, rest = floats(("local_rotmats", local_rotmats, (n, 3, 3)), ("rest_joints", rest_joints, (n, 3)))
    lead, dtype = _lead((local, 3), (rest, 2)), np.result_type(local, rest)
    flat = _flat(np.broadcast_to(local, (*lead, n, 3, 3)), 3)
    world, joints = np.empty_like(flat), np.empty(flat.shape[:-1])
    fk_batch(flat, _flat(rest, 2, lead), tree, world, joints)
    return (
        world.reshape(*lead, n, 3, 3).astype(dtype, copy=False),
        joints.reshape(*lead, n, 3).astype(dtype, copy=False),
    )


def forward_kinematics_adjoint(
    local_rotmats: Array,
    rest_joints: Array,
    parents: Sequence[int] | Array,
    world_rotmats: Array,
    grad_world: Array,
    grad_joints: Array,
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients with respect to ``local_rotmats`` (N,J,3,3) and ``rest_joints`` (N,J,3) of a scalar whose
    gradients with respect to the two results of `forward_kinematics` are given; numpy, float64, one batch axis.

    Matrices are treated as free 3×3 matrices, as automatic differentiation does.
    """
    tree = np.array(_checked(parents), dtype=np.int64)
    local, rest, world = (np.require(a, np.float64, ["C", "W"]) for a in (local_rotmats, rest_joints, world_rotmats))
    grad_local, grad_rest = np.empty_like(local), np.zeros_like(rest)
    used = np.array(grad_world, dtype=np.float64, order="C"), np.array(grad_joints, dtype=np.float64, order="C")
    adjoint_batch(local, rest, tree, world, *used, grad_local, grad_rest)
    return grad_local, grad_rest


@dataclass(frozen=True)
class PointsJacobian:
    """Posed points and how they move; float64, model frame (add the translation; its Jacobian is the identity).

    ``points`` (…,P,3) metres; ``rotations`` (…,P,3,J,3) metres per radian of δ in R_i ← exp(δ_i) R_i (a turn in
    the parent's frame); ``betas`` (…,P,3,B) and ``joint_betas`` (…,J,3,B) metres per unit of shape, or None;
    ``world_rotmats`` (…,J,3,3) and ``joints`` (…,J,3) as from `forward_kinematics`.
    """

    points: np.ndarray
    rotations: np.ndarray
    world_rotmats: np.ndarray
    joints: np.ndarray
    betas: np.ndarray | None = None
    joint_betas: np.ndarray | None = None


def points_jacobian(
    local_rotmats: Array,
    rest_joints: Array,
    parents: Sequence[int] | Array,
    point_joints: Array,
    rest_points: Array,
    *,
    joint_dirs: Array | None = None,
    point_dirs: Array | None = None,
    out: PointsJacobian | None = None,
) -> PointsJacobian:
    """Analytic Jacobian of P points, each rigidly fixed to one joint.

    ``local_rotmats`` (…,J,3,3); ``rest_joints`` (…,J,3) and ``rest_points`` (…,P,3) metres in the rest pose, for
    the current shape; ``point_joints`` (P,) the joint that carries each point. A joint itself is the point with
    its own index and rest position. ``joint_dirs`` (J,3,B) and ``point_dirs`` (P,3,B), given together, are the
    derivatives of rest joints and rest points with respect to shape, and ask for the shape blocks. ``out``, an
    earlier result of the same shapes, is written over instead of allocating.

    Serial, without the GIL. Raises InputError for shapes that disagree.
    """
    tree = np.array(_checked(parents), dtype=np.int64)
    n = len(tree)
    _, local, rest, rest_points = floats(
        ("local_rotmats", local_rotmats, (n, 3, 3)),
        ("rest_joints", rest_joints, (n, 3)),
        ("rest_points", rest_points, (None, 3)),
    )
    carriers = np.require(point_joints, np.int64, ["C", "W"])
    count = rest_points.shape[-2]
    if carriers.shape != (count,) or (count and not (carriers.min() >= 0 and carriers.max() < n)):
        raise InputError(f"point_joints has shape {carriers.shape}; expected ({count},) with entries in 0…{n - 1}")
    if (joint_dirs is None) != (point_dirs is None):
        raise InputError("joint_dirs and point_dirs are given together or not at all")
    lead = _lead((local, 3), (rest, 2), (rest_points, 2))
    local = _flat(np.broadcast_to(local, (*lead, n, 3, 3)), 3)
    size = 0 if joint_dirs is None else np.shape(joint_dirs)[-1]
    if out is None:
        out = PointsJacobian(
            points=np.empty((*lead, count, 3)),
            rotations=np.empty((*lead, count, 3, n, 3)),
            world_rotmats=np.empty((*lead, n, 3, 3)),
            joints=np.empty((*lead, n, 3)),
            betas=np.empty((*lead, count, 3, size)) if size else None,
            joint_betas=np.empty((*lead, n, 3, size)) if size else None,
        )
    elif out.rotations.shape != (*lead, count, 3, n, 3):
        raise InputError(f"out has rotations of shape {out.rotations.shape}; expected {(*lead, count, 3, n, 3)}")
    world, joints = out.world_rotmats.reshape(-1, n, 3, 3), out.joints.reshape(-1, n, 3)
    points_batch(
        *(local, _flat(rest, 2, lead), tree, carriers, _flat(rest_points, 2, lead), world, joints),
        *(out.points.reshape(-1, count, 3), out.rotations.reshape(-1, count, 3, n, 3)),
    )
    if size:
        joint_dirs, point_dirs = (np.require(a, np.float64, ["C", "W"]) for a in (joint_dirs, point_dirs))
        if joint_dirs.shape != (n, 3, size) or point_dirs.shape != (count, 3, size):
            raise InputError(
                f"joint_dirs {joint_dirs.shape} and point_dirs {point_dirs.shape}; "
                f"expected ({n}, 3, {size}) and ({count}, 3, {size})"
            )
        if out.betas is None or out.joint_betas is None or out.betas.shape[-1] != size:
            raise InputError(f"out has no shape blocks for {size} directions; let it be made anew")
        blocks = out.joint_betas.reshape(-1, n, 3, size), out.betas.reshape(-1, count, 3, size)
        betas_batch(tree, world, joint_dirs, carriers, point_dirs, *blocks)
    return out


def chain_to_axis_angle(rotations: np.ndarray, axis_angle: Array, out: np.ndarray | None = None) -> np.ndarray:
    """Jacobian (…,P,3,J,3) with respect to δ turned into one with respect to axis-angle vectors (…,J,3).

    δ = J_l(r) dr, so each block is multiplied by the left Jacobian. ``out`` may be ``rotations`` itself.
    """
    axis_angle = np.asarray(axis_angle, dtype=np.float64)
    *lead, points, _, joints, _ = rotations.shape
    if axis_angle.shape != (*lead, joints, 3):
        raise InputError(f"axis_angle has shape {axis_angle.shape}; expected {(*lead, joints, 3)}")
    if out is None:
        out = np.empty(rotations.shape)
    elif out.shape != rotations.shape or not out.flags.c_contiguous:
        raise InputError(f"out has shape {out.shape}; expected {rotations.shape}, contiguous")
    shape = (-1, points, 3, joints, 3)
    chain_batch(
        np.require(rotations, requirements=["C", "W"]).reshape(shape),
        left_jacobian_so3(axis_angle).reshape(-1, joints, 3, 3),
        out.reshape(shape),
    )
    return out


def warmup() -> float:
    """Compile (or load from numba's cache) every kernel here; returns the seconds it took."""
    start = time.perf_counter()
    local, rest, dirs = np.eye(3)[None].repeat(2, 0), np.zeros((2, 3)), np.zeros((2, 3, 1))
    world, _ = forward_kinematics_numba(local, rest, (-1, 0))
    forward_kinematics_adjoint(local[None], rest[None], (-1, 0), world[None], local[None], rest[None])
    result = points_jacobian(local, rest, (-1, 0), [0, 1], rest, joint_dirs=dirs, point_dirs=dirs)
    chain_to_axis_angle(result.rotations, rest)
    return time.perf_counter() - start
