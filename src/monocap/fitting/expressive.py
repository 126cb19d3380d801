"""Hands and face put on a fitted body: fingers, wrists, head, jaw, eyes, expression.

The body's fit is the start and the prior; where a hand or the face was seen, its own fit turns wrist or head as far as
the joint's limits allow, the forearm taking its share of the wrist's twist. Where they are away, hands relax and the
face comes to rest within `FADE` seconds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from monocap.bodies import BodyModel
from monocap.fitting.face import fit_face
from monocap.fitting.hands import fit_hand, relaxed
from monocap.geometry.kinematics import forward_kinematics_numba
from monocap.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle, rotation_between
from monocap.geometry.twist import share_forearm_twist
from monocap.priors.fingers import finger_prior
from monocap.priors.limits import PoseLimits
from monocap.skeletons import get
from monocap.types import Array, BodyEstimate, BodyParams, Camera, Parts

FADE = 0.2  # s
_JOINTS = get("smplx55").joint_names
_BODY = 22
_BEYOND = 0.1  # rad past its limits that a wrist or head may be turned by its own evidence
_HALVINGS = 5
_REACH = 0.2  # rad that an arm is turned at most


@threadpool_limits.wrap(limits=1, user_api="blas")
def express(
    body: BodyModel,
    estimate: BodyEstimate,
    parts: Parts,
    camera: Camera,
    times: Array,
    *,
    hands: bool = True,
    face: bool = True,
    smooth: float = 1.0,
    every: int = 1,
) -> BodyEstimate:
    """``estimate`` (T frames at ``times`` s) with ``hands`` and ``face`` of ``parts``, as far as the body has them.

    Hands that were never seen are relaxed. ``smooth`` 1 = default, 0 = every frame alone. Parts that were looked at in
    every ``every``-th frame only lie between their looks in the others.
    """
    params, times = estimate.params, np.asarray(times, np.float64)
    betas = np.asarray(params.betas, np.float64)
    pose = np.array(params.body_pose, np.float64)
    changed: dict[str, Array] = {}
    if hands and body.kind.hands:
        world, joints = _posed(body, params, pose)
        for k, side in enumerate(("left", "right")):
            points = parts.hands[:, k]
            wrist = _JOINTS.index(f"{side}_wrist")
            elbow = world[:, int(body.parents[wrist])]
            fit = fit_hand(body, betas, side, points, joints[:, wrist], camera, times, smooth, elbow, every)
            there, nearest = presence(fit.seen, times)
            rest = finger_prior(side, relaxed(body, side)).mean
            changed[f"{side}_hand_pose"] = rest + there[:, None] * (fit.pose[nearest] - rest)
            pose = _reached(body, pose, world, joints, wrist, fit.wrist[nearest], there)
            world, joints = _posed(body, params, pose)
            pose = _turned(body, betas, pose, world, wrist, fit.turn[nearest], there)
    if face and "jaw" in body.joint_names and body.landmarks is not None:
        world, joints = _posed(body, params, pose)
        head = _JOINTS.index("head")
        fit = fit_face(body, betas, parts.face, parts.shapes, joints[:, head], world[:, head], camera, every)
        there, nearest = presence(fit.seen, times)
        for name, values in (
            *(("jaw_pose", fit.jaw), ("left_eye_pose", fit.left_eye), ("right_eye_pose", fit.right_eye)),
            ("expression", fit.expression),
        ):
            changed[name] = there[:, None] * values[nearest]
        pose = _turned(body, betas, pose, world, head, fit.turn[nearest], there)
    params = replace(params, body_pose=pose, **changed)
    joints = np.asarray(body.joints_only(**body.own(params.asdict())))
    return replace(estimate, params=params, joints=joints)


def presence(seen: NDArray[np.bool_], times: Array) -> tuple[Array, NDArray[np.int64]]:
    """(T,) how much of a part is there, 1 where it is seen, fading out over `FADE` s; and the nearest frame with it."""
    found = np.flatnonzero(seen)
    every = np.arange(len(seen))
    if not len(found):
        return np.zeros(len(seen)), every
    after = np.clip(np.searchsorted(found, every), 0, len(found) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(times[found[before]] - times) <= np.abs(times[found[after]] - times)
    nearest = np.where(seen, every, np.where(nearer, found[before], found[after]))
    away = np.abs(times[nearest] - times) / FADE
    rest = np.clip(1.0 - away, 0.0, 1.0)
    return rest * rest * (3 - 2 * rest), nearest


def _posed(body: BodyModel, params: BodyParams, pose: Array) -> tuple[Array, Array]:
    """World turns (T,22,3,3) and places (T,22,3) of the body's joints, camera frame."""
    local = np.concatenate([np.asarray(params.global_orient, np.float64), pose], axis=1).reshape(-1, _BODY, 3)
    rest = np.asarray(body.rest_joints(params.betas), np.float64)[:_BODY]
    parents = np.asarray(body.parents[:_BODY], np.int64)
    world, joints = forward_kinematics_numba(axis_angle_to_matrix(local), rest, parents)
    return np.asarray(world), np.asarray(joints) + np.asarray(params.transl)[:, None]


def _reached(
    body: BodyModel, pose: Array, world: Array, joints: Array, wrist: int, place: Array, share: Array
) -> Array:
    """``pose`` (T,63) with the arm turned about the shoulder, at most by `_REACH`, until the wrist is seen where the
    hand is: towards the camera's ray to ``place`` (T,3) m at the depth that the wrist has, as a picture tells no other;
    the arm's length stays."""
    elbow = int(body.parents[wrist])
    shoulder = int(body.parents[elbow])
    arm = joints[:, wrist] - joints[:, shoulder]
    target = place * (joints[:, wrist, 2:] / np.maximum(place[:, 2:], 1e-3))
    way = matrix_to_axis_angle(rotation_between(arm, target - joints[:, shoulder]))
    angle = np.linalg.norm(way, axis=1)
    way = way * (share * np.minimum(1.0, _REACH / np.maximum(angle, 1e-9)))[:, None]
    columns = slice(3 * shoulder - 3, 3 * shoulder)
    above = world[:, int(body.parents[shoulder])]
    turned = np.swapaxes(above, 1, 2) @ axis_angle_to_matrix(way) @ above @ axis_angle_to_matrix(pose[:, columns])
    out = pose.copy()
    out[:, columns] = matrix_to_axis_angle(turned)
    return out


def _turned(body: BodyModel, betas: Array, pose: Array, world: Array, joint: int, turn: Array, share: Array) -> Array:
    """``pose`` (T,63) with one joint turned towards ``turn`` (T,3,3), camera frame, by ``share`` (T,), as far as the
    limits of it and its parent allow once the forearm has taken its part of the twist."""
    limits, rest = PoseLimits.load(), body.rest_joints(betas)
    columns = slice(3 * joint - 3, 3 * joint)
    parent = int(body.parents[joint])
    local = np.swapaxes(world[:, parent], 1, 2) @ turn
    before = axis_angle_to_matrix(pose[:, columns])
    way = matrix_to_axis_angle(np.swapaxes(before, 1, 2) @ local)

    def at(part: Array) -> Array:
        out = pose.copy()
        out[:, columns] = matrix_to_axis_angle(before @ axis_angle_to_matrix(way * part[:, None]))
        return out

    def excess(part: Array) -> Array:
        return limits.excess(np.asarray(share_forearm_twist(at(part), rest)))[:, [joint - 1, parent - 1]].max(axis=1)

    allowed = np.maximum(excess(np.zeros(len(pose))), _BEYOND)
    low, high = np.zeros(len(pose)), np.array(share, np.float64)
    fine = excess(high) <= allowed
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        good = excess(middle) <= allowed
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    return at(np.where(fine, share, low))
