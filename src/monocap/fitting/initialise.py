"""A first pose in closed form from the keypoint network's 3D hints, so that the solver starts near the answer."""

from __future__ import annotations

import numpy as np

from monocap import skeletons
from monocap.fitting.state import PoseState, Skeleton, landmark_points
from monocap.geometry import procrustes, rotations
from monocap.priors import PosePrior
from monocap.types import Array

_JOINT = {name: i for i, name in enumerate(skeletons.get("smplx55").joint_names)}
_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def hinge_rotation(upper: Array, lower: Array, rest_upper: Array, rest_hinge: Array) -> Array:
    """Rotation (…,3,3) of an upper arm or thigh from the directions of both its segments.

    ``rest_upper`` goes to ``upper`` (…,3); the twist follows from the bend: the hinge axis is normal to both segments.
    Where the limb is almost straight the twist fades to that of the shortest arc.
    """
    swing = rotations.rotation_between(np.broadcast_to(rest_upper, upper.shape), upper)
    straight = swing @ rest_hinge
    normal = np.cross(upper, lower)
    sine = np.linalg.norm(normal, axis=-1, keepdims=True)
    trust = np.clip((sine - 0.2) / 0.3, 0.0, 1.0)
    hinge = trust * normal / np.maximum(sine, 1e-9) + (1 - trust) * straight
    hinge -= np.sum(hinge * upper, axis=-1, keepdims=True) * upper
    length = np.linalg.norm(hinge, axis=-1, keepdims=True)
    hinge = np.where(length > 1e-3, hinge / np.maximum(length, 1e-9), straight)
    posed = np.stack([upper, hinge, np.cross(upper, hinge)], axis=-1)
    rest_hinge = rest_hinge - (rest_hinge @ rest_upper) * rest_upper
    rest_hinge = rest_hinge / np.linalg.norm(rest_hinge)
    rest = np.stack([rest_upper, rest_hinge, np.cross(rest_upper, rest_hinge)], axis=-1)
    return posed @ rest.T


def pose_from_hints(skeleton: Skeleton, prior: PosePrior, hints: Array, betas: Array) -> tuple[Array, Array]:
    """Root rotation (T,3,3) and ``body_pose`` (T,63) whose limbs point as the hints (T,N,3; camera axes, m) do."""
    names = skeleton.landmarks.keypoint_names
    at = {name: hints[:, i] for i, name in enumerate(names)}
    rest_joints = skeleton.joints + skeleton.joint_directions @ betas
    rest_torso = np.stack([rest_joints[_JOINT[name]] for name in _TORSO])
    posed_torso = np.stack([at[name] for name in _TORSO], axis=1)
    root = procrustes.rigid_alignment(np.broadcast_to(rest_torso, posed_torso.shape), posed_torso).rotation
    pose = np.broadcast_to(prior.mean, (len(hints), 21, 3)).copy()
    for name in ("neck", "head", "spine1", "spine2", "spine3", "left_collar", "right_collar"):
        pose[:, _JOINT[name] - 1] = 0.0
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for chain, hinge in (
            (("shoulder", "elbow", "wrist"), np.array([0.0, -sign, 0.0])),
            (("hip", "knee", "ankle"), np.array([1.0, 0.0, 0.0])),
        ):
            first, second, third = (f"{side}_{part}" for part in chain)
            upper, lower = _unit(at[second] - at[first]), _unit(at[third] - at[second])
            rest_upper = _unit(rest_joints[_JOINT[second]] - rest_joints[_JOINT[first]])
            rest_lower = _unit(rest_joints[_JOINT[third]] - rest_joints[_JOINT[second]])
            inverse = np.swapaxes(root, 1, 2)
            local = hinge_rotation(
                (inverse @ upper[..., None])[..., 0], (inverse @ lower[..., None])[..., 0], rest_upper, hinge
            )
            inverse = np.swapaxes(local, 1, 2) @ inverse
            bend = rotations.rotation_between(
                np.broadcast_to(rest_lower, lower.shape), (inverse @ lower[..., None])[..., 0]
            )
            pose[:, _JOINT[first] - 1] = rotations.matrix_to_axis_angle(local)
            pose[:, _JOINT[second] - 1] = rotations.matrix_to_axis_angle(bend)
    pose = np.clip(pose, prior.lower, prior.upper)
    return root, pose.reshape(len(hints), 63)


def translation_from_keypoints(points: Array, keypoints: Array, weight: Array, K: Array) -> Array:
    """Translation (T,3) that best projects ``points`` (T,N,3) m onto ``keypoints`` (T,N,2) px: linear least squares.

    ``K`` (3,3) or (T,3,3) px.
    Collinearity x − c = f X / Z is linear in the translation once multiplied by Z; weights (T,N) are confidences.
    The depth is kept in front of the camera.
    """
    fx, fy = K[..., 0, 0, None], K[..., 1, 1, None]
    u, v = keypoints[..., 0] - K[..., 0, 2, None], keypoints[..., 1] - K[..., 1, 2, None]
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    zero = np.zeros_like(u)
    rows = np.concatenate([np.stack([zero + fx, zero, -u], axis=-1), np.stack([zero, zero + fy, -v], axis=-1)], axis=1)
    right = np.concatenate([u * z - fx * x, v * z - fy * y], axis=1)
    w = np.concatenate([weight, weight], axis=1)[..., None]
    normal = np.swapaxes(rows, 1, 2) @ (w * rows)
    normal += 1e-10 * np.eye(3) * np.maximum(np.trace(normal, axis1=1, axis2=2), 1e-9)[:, None, None]
    transl = np.linalg.solve(normal, np.swapaxes(rows, 1, 2) @ (w[..., 0] * right)[..., None])[..., 0]
    transl[:, 2] = np.maximum(transl[:, 2], 0.3 - z.min(axis=1))
    return transl


def initial_state(
    skeleton: Skeleton,
    prior: PosePrior,
    keypoints: Array,
    weight: Array,
    hints: Array,
    K: Array,
    betas: Array,
) -> PoseState:
    """The closed-form start: pose from ``hints`` (T,N,3), then translation from ``keypoints`` (T,N,2) px."""
    root, pose = pose_from_hints(skeleton, prior, hints, betas)
    points = landmark_points(skeleton, PoseState(root, pose, np.zeros((len(hints), 3)), betas))
    transl = translation_from_keypoints(points, keypoints, weight, K)
    return PoseState(root, pose, transl, betas)


def _unit(vector: Array) -> Array:
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)
