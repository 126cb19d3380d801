"""The unknowns of a fit, and the posed skeleton with its derivatives at one value of them.

Per frame 63 numbers: a rotation vector δ applied from the left to the root's rotation (so that no chart breaks at
180°), the axis-angle vectors of 19 body joints (feet stay as they are: toes are seen too badly), and the
translation. ``betas`` are shared by all frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel
from monocap.fitting.landmarks import LandmarkModel
from monocap.geometry import kinematics, rotations
from monocap.types import Array

BODY_JOINTS = 22
FREE_JOINTS = tuple(j for j in range(1, BODY_JOINTS) if j not in (10, 11))
FREE_POSE = np.array([3 * (j - 1) + axis for j in FREE_JOINTS for axis in range(3)])  # columns of body_pose (63)
ROOT, POSE = slice(0, 3), slice(3, 3 + len(FREE_POSE))
TRANSL = slice(POSE.stop, POSE.stop + 3)
UNKNOWNS = TRANSL.stop


@dataclass(frozen=True)
class PoseState:
    """Poses of T frames: ``root`` (T,3,3) rotation, ``body_pose`` (T,63) rad, ``transl`` (T,3) m; ``betas`` (B,)."""

    root: Array
    body_pose: Array
    transl: Array
    betas: Array

    @property
    def frames(self) -> int:
        return len(self.root)

    def step(self, delta: Array, betas: Array | None = None) -> PoseState:
        """The state moved by ``delta`` (T,63) in the order ROOT, POSE, TRANSL, and optionally by ``betas`` (B,)."""
        pose = self.body_pose.copy()
        pose[:, FREE_POSE] += delta[:, POSE]
        return PoseState(
            rotations.axis_angle_to_matrix(delta[:, ROOT]) @ self.root,
            pose,
            self.transl + delta[:, TRANSL],
            self.betas if betas is None else self.betas + betas,
        )

    def take(self, index: NDArray[np.int64] | slice | NDArray[np.bool_]) -> PoseState:
        """Some of the frames."""
        return replace(self, root=self.root[index], body_pose=self.body_pose[index], transl=self.transl[index])

    def where(self, keep: NDArray[np.bool_], other: PoseState) -> PoseState:
        """Frame by frame this state where ``keep`` (T,), else ``other``; betas of this one."""
        return replace(
            self,
            root=np.where(keep[:, None, None], self.root, other.root),
            body_pose=np.where(keep[:, None], self.body_pose, other.body_pose),
            transl=np.where(keep[:, None], self.transl, other.transl),
        )

    @property
    def local_rotations(self) -> Array:
        """(T,22,3,3) rotations of the root and the 21 body joints, each in its parent's frame."""
        pose = rotations.axis_angle_to_matrix(self.body_pose.reshape(-1, 21, 3))
        return np.concatenate([self.root[:, None], pose], axis=1)


@dataclass(frozen=True)
class Skeleton:
    """What of a body the fit needs: 22 joints and the landmarks, linear in ``betas``."""

    parents: NDArray[np.int64]
    joints: Array  # (22,3)
    joint_directions: Array  # (22,3,B)
    landmarks: LandmarkModel

    @classmethod
    def of(cls, body: BodyModel, landmarks: LandmarkModel) -> Skeleton:
        betas = body.shapedirs.shape[2]
        return cls(
            np.asarray(body.parents[:BODY_JOINTS], dtype=np.int64),
            np.asarray(body.J_template[:BODY_JOINTS], dtype=np.float64),
            np.asarray(body.J_shapedirs[:BODY_JOINTS, :, :betas], dtype=np.float64),
            landmarks,
        )


@dataclass(frozen=True)
class Linearised:
    """The posed skeleton at one state and its derivatives; camera frame, metres.

    ``joints`` (T,22,3), ``points`` (T,N,3) landmarks; ``d_joints`` (T,22,3,63), ``d_points`` (T,N,3,63); with
    respect to betas, if asked for: ``b_points`` (T,N,3,B).
    """

    state: PoseState
    joints: Array
    points: Array
    d_joints: Array
    d_points: Array
    b_points: Array | None


def landmark_points(skeleton: Skeleton, state: PoseState) -> Array:
    """(T,N,3) landmarks at one state, camera frame, metres: as in `linearise`, without derivatives."""
    marks = skeleton.landmarks
    rest_joints = skeleton.joints + skeleton.joint_directions @ state.betas
    rest_marks = marks.rest + marks.directions @ state.betas
    world, joints = kinematics.forward_kinematics_numba(state.local_rotations, rest_joints, skeleton.parents)
    local = rest_marks - rest_joints[marks.bone]
    return (world[:, marks.bone] @ local[..., None])[..., 0] + joints[:, marks.bone] + state.transl[:, None]


def linearise(skeleton: Skeleton, state: PoseState, with_betas: bool = False) -> Linearised:
    """Pose the skeleton and differentiate it analytically (`geometry.kinematics`)."""
    marks = skeleton.landmarks
    rest_joints = skeleton.joints + skeleton.joint_directions @ state.betas
    rest_marks = marks.rest + marks.directions @ state.betas
    # A joint does not move with its own rotation, so both joints and landmarks are points on bones.
    bones = np.concatenate([np.arange(BODY_JOINTS), marks.bone])
    directions = skeleton.joint_directions if with_betas else None
    point_directions = np.concatenate([directions, marks.directions]) if directions is not None else None
    posed = kinematics.points_jacobian(
        state.local_rotations,
        rest_joints,
        skeleton.parents,
        bones,
        np.concatenate([rest_joints, rest_marks]),
        joint_dirs=directions,
        point_dirs=point_directions,
    )
    body = posed.rotations[:, :, :, 1:]
    body = kinematics.chain_to_axis_angle(body, state.body_pose.reshape(-1, BODY_JOINTS - 1, 3))
    frames, count = state.frames, len(bones)
    jacobian = np.empty((frames, count, 3, UNKNOWNS))
    jacobian[..., ROOT] = posed.rotations[:, :, :, 0]
    jacobian[..., POSE] = body.reshape(frames, count, 3, -1)[..., FREE_POSE]
    jacobian[..., TRANSL] = np.eye(3)
    points = posed.points + state.transl[:, None]
    return Linearised(
        state,
        points[:, :BODY_JOINTS],
        points[:, BODY_JOINTS:],
        jacobian[:, :BODY_JOINTS],
        jacobian[:, BODY_JOINTS:],
        None if posed.betas is None else posed.betas[:, BODY_JOINTS:],
    )
