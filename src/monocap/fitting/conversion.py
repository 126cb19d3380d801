"""Parameters of one body as parameters of another: SMPL, SMPL-H, SMPL-X and the open body into each other.

Both bodies know the same joints by name. Shape first: the target's betas by linear least squares on bone lengths and
rest joints. Then pose, all frames at once: a few Gauss-Newton steps that bring the joints onto the source's, while
every bone keeps the source's turn in the world as far as its place leaves it free, so that twist, hands, feet and head
follow. Expression is not carried over, since its directions mean other things in every body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.geometry.kinematics import points_jacobian
from monocap.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from monocap.types import Array

_STEPS = 6
_PLACE, _TURN = 0.002, 0.25  # m and rad: one standard deviation of a joint's place and of a bone's turn
_BONE, _REST, _SHAPE = 0.002, 0.02, 1.0  # m, m, and of betas
_BETAS = 16  # official files have up to 300, of which the later ones say nothing about bones
_CHUNK = 64  # frames solved together


@dataclass(frozen=True)
class Conversion:
    """``parameters`` of the target by name, (T,·) and betas (B,); ``joint_names`` that both bodies have, and how far
    they are apart, ``errors`` (T,n) metres."""

    parameters: dict[str, Array]
    joint_names: tuple[str, ...]
    errors: Array

    def report(self) -> dict[str, float | str]:
        """Mean, 95th percentile and maximum of the joint errors in mm, and the joint with the largest mean."""
        millimetres = 1e3 * self.errors
        if not millimetres.size:
            return {"frames": 0}
        by_joint = millimetres.mean(axis=0)
        worst = int(np.argmax(by_joint))
        return {
            "frames": len(millimetres),
            "joints": len(self.joint_names),
            "mean_mm": round(float(millimetres.mean()), 3),
            "p95_mm": round(float(np.percentile(millimetres, 95)), 3),
            "max_mm": round(float(millimetres.max()), 3),
            "worst_joint": self.joint_names[worst],
            "worst_joint_mean_mm": round(float(by_joint[worst]), 3),
        }


@threadpool_limits.wrap(limits=1, user_api="blas")
def convert(source: BodyModel, target: BodyModel, parameters: Mapping[str, Array]) -> Conversion:
    """``parameters`` of ``source`` over T frames, (T,·) with one ``betas`` (B,), as those of ``target``.

    What the target has no joints for is lost (SMPL has no fingers); what the source has none for stays at rest. Hand
    poses of the result are absolute angles. Raises InputError unless both are whole bodies.
    """
    for body in (source, target):
        if body.joint_names[:22] != source.joint_names[:22] or "pelvis" not in body.joint_names:
            raise InputError(f"{body.name!r} ({body.kind.title}) is no whole body; expected SMPL, SMPL-H or SMPL-X")
    target = target.with_hands()
    names = tuple(name for name in target.joint_names if name in source.joint_names)
    ours = np.array([target.joint_names.index(name) for name in names])
    theirs = np.array([source.joint_names.index(name) for name in names])
    given = {name: np.asarray(value, dtype=np.float64) for name, value in parameters.items() if value is not None}
    if given.get("betas", np.zeros(1)).ndim != 1:
        raise InputError(f"betas have shape {given['betas'].shape}; expected one shape (B,)")
    pose = source.full_pose(**given).astype(np.float64)
    if pose.ndim != 3:
        raise InputError(f"parameters have leading shape {pose.shape[:-2]}; expected (T,)")
    places = np.asarray(source.joints_only(**given), dtype=np.float64)[:, theirs]
    rest = np.asarray(source.rest_joints(given.get("betas")), dtype=np.float64)
    betas = fit_shape(rest[theirs], target, ours)
    turns = np.empty((len(pose), len(target.parents), 3, 3))
    shifts = np.empty((len(pose), 3))
    for begin in range(0, len(pose), _CHUNK):
        some = slice(begin, begin + _CHUNK)
        solved = _solve_pose(source, target, betas, pose[some], places[some], ours)
        turns[some], shifts[some] = solved
    angles = matrix_to_axis_angle(turns)
    found: dict[str, Array] = {"betas": betas, "transl": shifts}
    first = 0
    for name, count in target.kind.parts:
        found[name] = angles[:, first : first + count].reshape(len(pose), 3 * count)
        first += count
    errors = np.linalg.norm(target.joints_only(**found)[:, ours] - places, axis=-1)
    return Conversion(found, names, errors)


def fit_shape(rest: Array, target: BodyModel, joints: Array) -> Array:
    """Betas (up to 16) of ``target`` whose rest ``joints`` (n,) lie as ``rest`` (n,3) m does: lengths of bones, which
    posing cannot change, above all, then places relative to each other."""
    count = min(target.num_betas, _BETAS)
    template = np.asarray(target.J_template, dtype=np.float64)[joints]
    directions = np.asarray(target.J_shapedirs, dtype=np.float64)[joints, :, :count]
    number = {int(j): i for i, j in enumerate(joints)}
    bones = [(i, number[p]) for j, i in number.items() if (p := int(target.parents[j])) in number]
    ends, starts = np.array(bones).T
    wanted = np.linalg.norm(rest[ends] - rest[starts], axis=1)
    placed = (directions - directions.mean(axis=0)).reshape(-1, count) / _REST
    betas = np.zeros(count)
    for _ in range(5):  # lengths are not quite linear
        now = template + directions @ betas
        bone = now[ends] - now[starts]
        length = np.linalg.norm(bone, axis=1)
        by_length = np.einsum("bc,bck->bk", bone / length[:, None], directions[ends] - directions[starts]) / _BONE
        off = (now - now.mean(axis=0)) - (rest - rest.mean(axis=0))
        rows = np.concatenate([by_length, placed, np.eye(count) / _SHAPE])
        right = np.concatenate([(wanted - length) / _BONE, -off.ravel() / _REST, -betas / _SHAPE])
        betas = betas + np.linalg.lstsq(rows, right, rcond=None)[0]
    return betas


def _solve_pose(
    source: BodyModel, target: BodyModel, betas: Array, pose: Array, places: Array, ours: Array
) -> tuple[Array, Array]:
    """Local rotations (t,J,3,3) and translations (t,3) that put joints ``ours`` on ``places`` (t,n,3)."""
    rest = np.asarray(target.rest_joints(betas), dtype=np.float64)
    parents = [int(p) for p in target.parents]
    frames, count = len(pose), len(parents)
    local = np.broadcast_to(np.eye(3), (frames, count, 3, 3)).copy()
    given = axis_angle_to_matrix(pose)
    for i, name in enumerate(target.joint_names):
        if name in source.joint_names:
            local[:, i] = given[:, source.joint_names.index(name)]
    above = np.zeros((count, count), dtype=bool)  # above[i, k]: turning k turns i
    for i in range(count):
        above[i] = above[parents[i]] if i else False
        above[i, i] = True
    wanted = None
    shift = np.zeros((frames, 3))
    size = 3 * count
    for _ in range(_STEPS):
        at = points_jacobian(local, rest, parents, ours, rest[ours])
        world = at.world_rotmats
        if wanted is None:
            wanted = world  # the source's turns, carried by the target's tree
            shift = places[:, 0] - at.points[:, 0]
        off = at.points + shift[:, None] - places
        turned = matrix_to_axis_angle(world @ np.swapaxes(wanted, -1, -2))
        # exp(δ) R_k turns everything below k by W_parent(k) δ in the world
        frame = np.concatenate([np.broadcast_to(np.eye(3), (frames, 1, 3, 3)), world[:, parents[1:]]], axis=1)
        normal = np.zeros((frames, size + 3, size + 3))
        by_place = np.concatenate(
            [at.rotations.reshape(frames, -1, size), np.tile(np.eye(3), (len(ours), 1))[None].repeat(frames, 0)], axis=2
        )
        normal += np.swapaxes(by_place, 1, 2) @ by_place / _PLACE**2
        right = -(np.swapaxes(by_place, 1, 2) @ off.reshape(frames, -1, 1))[..., 0] / _PLACE**2
        by_turn = np.where(above[None, :, None, :, None], frame.transpose(0, 2, 1, 3)[:, None], 0.0)
        by_turn = by_turn.reshape(frames, size, size)
        normal[:, :size, :size] += np.swapaxes(by_turn, 1, 2) @ by_turn / _TURN**2
        right[:, :size] -= (np.swapaxes(by_turn, 1, 2) @ turned.reshape(frames, -1, 1))[..., 0] / _TURN**2
        step = np.linalg.solve(normal + 1e-6 * np.eye(size + 3), right[..., None])[..., 0]
        turn = step[:, :size].reshape(frames, count, 3)
        longest = np.linalg.norm(turn, axis=-1, keepdims=True)
        turn = turn * np.minimum(1.0, 0.5 / np.maximum(longest, 1e-12))  # a step that the linear model can answer for
        local, shift = axis_angle_to_matrix(turn) @ local, shift + step[:, size:]
        if np.abs(step).max(initial=0.0) < 1e-5:
            break
    return local, shift
