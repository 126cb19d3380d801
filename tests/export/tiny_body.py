"""A small body with SMPL-X's tree and two people who move in front of a tilted, moving camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from monocap import skeletons
from monocap.geometry.kinematics import forward_kinematics
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.types import Motion

SMPLX = skeletons.get("smplx55")
JOINTS = SMPLX.joint_names
PARENTS = np.asarray(SMPLX.parents)


@dataclass
class TinyBody:
    """Every joint carries a little octahedron; the skin between neighbours is shared. Fields as `monocap.bodies`."""

    v_template: Any
    shapedirs: Any
    faces: Any
    lbs_weights: Any
    uv: Any
    uv_faces: Any
    J_template: Any
    J_shapedirs: Any
    parents: Any = None
    joint_names: tuple[str, ...] = JOINTS
    texture: Any = None

    def __post_init__(self) -> None:
        self.parents = PARENTS

    def rest_joints(self, betas: Any) -> Any:
        return self.J_template + self.J_shapedirs[..., : len(betas)] @ betas


def tiny_body(rng: np.random.Generator) -> TinyBody:
    joints = np.zeros((55, 3))
    joints[0] = (0.01, -0.35, 0.02)  # as in SMPL-X: the pelvis is not the origin
    for j in range(1, 55):
        joints[j] = joints[PARENTS[j]] + rng.normal(0, 0.08, 3) + (0.0, 0.05, 0.0)
    J_shapedirs = rng.normal(0, 0.01, (55, 3, 10))
    star = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0], [0, 0, -1]], float)
    side = np.array([[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]])
    vertices = (joints[:, None] + 0.04 * star).reshape(-1, 3)
    faces = np.concatenate([side + 6 * j for j in range(55)])
    weights = np.zeros((55, 6, 55))
    for j in range(55):
        weights[j, :, j] = 0.6
        for k, share in zip(rng.choice(55, 5, replace=False), (0.15, 0.1, 0.08, 0.05, 0.02), strict=True):
            weights[j, :, k] += share  # up to six influences: more than a glTF vertex holds
    uv = rng.random((40, 2))
    uv_faces = rng.integers(0, 40, faces.shape)
    return TinyBody(
        vertices,
        np.repeat(J_shapedirs, 6, axis=0),
        faces,
        weights.reshape(-1, 55),
        uv,
        uv_faces,
        joints,
        J_shapedirs,
    )


def tiny_motion(body: TinyBody, rng: np.random.Generator, people: int = 2, frames: int = 7) -> Motion:
    """Random but smooth poses with full turns, uneven times, a gap in the second person, a camera that moves."""
    T = frames
    swing = np.linspace(0, 1, T)[:, None]
    pose = rng.normal(0, 0.6, (people, 1, 165)) + rng.normal(0, 0.5, (people, 1, 165)) * swing
    pose[..., :3] = np.array([np.pi - 0.05, 0.0, 0.3]) + swing * np.array([0.1, 4.0, 0.0])  # through more than π
    betas = rng.normal(0, 1.5, (people, 10))
    transl = rng.normal(0, 0.5, (people, T, 3)) + np.array([0, 0, 4])
    rest = np.stack([body.rest_joints(b) for b in betas]) if people else np.zeros((0, 55, 3))
    local = axis_angle_to_matrix(pose.reshape(people, T, 55, 3))
    if people:
        _, joints = forward_kinematics(local, np.broadcast_to(rest[:, None], (people, T, 55, 3)), PARENTS)
        joints = joints + transl[:, :, None]
    else:
        joints = np.zeros((0, T, 55, 3))
    T_world_camera = np.tile(np.eye(4), (T, 1, 1))
    lean = np.stack([0.2 + 0 * swing[:, 0], 0.3 * swing[:, 0], 0 * swing[:, 0]], -1)
    T_world_camera[:, :3, :3] = axis_angle_to_matrix(lean) @ np.diag([1.0, -1.0, -1.0])
    T_world_camera[:, :3, 3] = (0.1, 1.4, 0.2) + swing * 0.3
    valid = np.ones((people, T), bool)
    if people > 1 and T > 4:
        valid[1, 2:4] = False
    return Motion(
        fps=25.0,
        frame_index=np.arange(T),
        time=np.cumsum(np.r_[0.0, 0.02 + 0.05 * rng.random(T - 1)]),
        image_size=np.array([640, 480]),
        track_id=np.arange(people) * 3 + 1,
        valid=valid,
        confidence=np.ones((people, T)),
        K=np.tile(np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]), (T, 1, 1)),
        T_world_camera=T_world_camera,
        betas=betas,
        global_orient=pose[..., :3],
        body_pose=pose[..., 3:66],
        jaw_pose=pose[..., 66:69],
        left_eye_pose=pose[..., 69:72],
        right_eye_pose=pose[..., 72:75],
        left_hand_pose=pose[..., 75:120],
        right_hand_pose=pose[..., 120:165],
        expression=np.zeros((people, T, 10)),
        transl=transl,
        joints=joints,
        keypoints2d=np.zeros((people, T, 4, 3)),
        joint_names=np.array(JOINTS),
        keypoint_names=np.array(["a", "b", "c", "d"]),
    )


def world_joints(motion: Motion, p: int, t: int) -> Any:
    """Joints (55,3) of one person in one frame, world frame, straight from the motion."""
    T_world_camera = motion.T_world_camera[t]
    return motion.joints[p, t] @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]
