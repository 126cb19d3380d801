"""What a regression network says of a body, as a start of the fit, as hints, and as a weak pull."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monocap.errors import InputError
from monocap.fitting.initialise import translation_from_keypoints
from monocap.fitting.observation import Observation
from monocap.fitting.state import FREE_JOINTS, POSE, ROOT, UNKNOWNS, Linearised, PoseState, Skeleton, landmark_points
from monocap.fitting.terms import Rows
from monocap.geometry import rotations
from monocap.types import Array, BodyGuess

_FAR, _BORNE_OUT = 10.0, 1.4  # standard deviations of a keypoint: no farther counts; a mean so large halves the trust
_SURE, _UNSURE = 0.8, 30.0  # mean weight of sure keypoints; what is missing to it, times this, is allowed more
_FREE = np.array([joint - 1 for joint in FREE_JOINTS])  # of the 21 body joints


def guessed_state(skeleton: Skeleton, guess: BodyGuess) -> PoseState:
    """A guess (T,…) as a state: the mean of the betas said, as many as the body has, the pelvis where it is said.

    Raises InputError for a guess of other shapes.
    """
    frames = len(guess.pelvis)
    if np.shape(guess.pose) != (frames, 66) or np.shape(guess.betas)[:1] != (frames,) or frames == 0:
        raise InputError(f"a guess of pose {np.shape(guess.pose)}, pelvis {np.shape(guess.pelvis)}; expected (T, 66)")
    count = skeleton.joint_directions.shape[2]
    said = np.any(np.asarray(guess.pelvis) != 0, axis=1)
    told = np.asarray(guess.betas, np.float64)[said if said.any() else slice(None)].mean(axis=0)[:count]
    betas = np.concatenate([told, np.zeros(count - len(told))])
    pelvis = skeleton.joints[0] + skeleton.joint_directions[0] @ betas
    pose = np.asarray(guess.pose, np.float64)
    root = rotations.axis_angle_to_matrix(pose[:, :3])
    return PoseState(root, pose[:, 3:], np.asarray(guess.pelvis, np.float64) - pelvis, betas)


def guessed_hints(skeleton: Skeleton, state: PoseState) -> Array:
    """(T,N,3) m landmarks of a state relative to their mid-hips, camera axes: hints like those of the lifter."""
    points = landmark_points(skeleton, state)
    names = skeleton.landmarks.keypoint_names
    hips = points[:, [names.index("left_hip"), names.index("right_hip")]].mean(axis=1, keepdims=True)
    return points - hips


def trust_in(skeleton: Skeleton, said: PoseState, guess: BodyGuess, seen: Observation) -> Array:
    """(T,) 0–1: how far a guess is to be believed: it must look like the keypoints; 0 where nothing was said.

    What counts is its shape in the picture, not where and how large: those the keypoints tell better. Keypoints that
    are unsure themselves contradict less.
    """
    state = PoseState(said.root, said.body_pose, np.zeros_like(said.transl), said.betas)
    points = landmark_points(skeleton, state)
    transl = translation_from_keypoints(points, seen.target, seen.weight, seen.K)
    points = points + transl[:, None]
    flat = points[..., :2] / np.maximum(points[..., 2:], 0.05) * seen.K[[0, 1], [0, 1]] + seen.K[:2, 2]
    off = (
        np.linalg.norm(flat - seen.target, axis=-1)
        / seen.deviation(PoseState(said.root, said.body_pose, transl, said.betas))[:, None]
    )
    error = np.sum(seen.weight * np.minimum(off, _FAR), axis=1) / np.maximum(seen.weight.sum(axis=1), 1e-9)
    sure = seen.weight.sum(axis=1) / max(float(skeleton.landmarks.weight.sum()), 1e-9)
    allowed = _BORNE_OUT + _UNSURE * np.maximum(_SURE - sure, 0.0)
    return np.where(np.any(guess.pelvis != 0, axis=1), 1.0 / (1.0 + (error / allowed) ** 4), 0.0)


@dataclass(frozen=True)
class GuessPull:
    """½ Σ (angle between joint and guess / ``deviation``)² over the root and the free joints: ``root`` (T,3,3),
    ``body_pose`` (T,63); ``strength`` (T,), 0 where nothing was said; ``deviation`` rad."""

    root: Array
    body_pose: Array
    strength: Array
    deviation: float

    def rows(self, at: Linearised) -> Rows:
        frames = at.state.frames
        scale = np.sqrt(self.strength)[:, None] / self.deviation
        # log(R Gᵀ) grows by J_l⁻¹ of a turn applied from the left; of an axis-angle vector θ that turn is J_l(θ) dθ
        off_root = rotations.matrix_to_axis_angle(at.state.root @ np.swapaxes(self.root, 1, 2))
        by_root = np.linalg.inv(rotations.left_jacobian_so3(off_root))
        vectors = at.state.body_pose.reshape(frames, 21, 3)[:, _FREE]
        guess = rotations.axis_angle_to_matrix(self.body_pose.reshape(frames, 21, 3)[:, _FREE])
        off = rotations.matrix_to_axis_angle(rotations.axis_angle_to_matrix(vectors) @ np.swapaxes(guess, -1, -2))
        by_joint = np.linalg.inv(rotations.left_jacobian_so3(off)) @ rotations.left_jacobian_so3(vectors)
        count = len(_FREE)
        residual = np.concatenate([off_root[:, None], off], axis=1).reshape(frames, -1) * scale
        jacobian = np.zeros((frames, 3 + 3 * count, UNKNOWNS))
        jacobian[:, :3, ROOT] = by_root
        joints = np.zeros((frames, count, 3, count, 3))
        joints[:, range(count), :, range(count)] = np.moveaxis(by_joint, 1, 0)
        jacobian[:, 3:, POSE] = joints.reshape(frames, 3 * count, 3 * count)
        return Rows(residual, jacobian * scale[..., None], None, 0.5 * np.sum(residual**2, axis=1))
