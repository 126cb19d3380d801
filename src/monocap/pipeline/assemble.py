"""Estimates of people → `Motion`: full-length arrays, names, cameras, and a first world frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.types import Array, BodyEstimate, Camera, Motion, Track

_FEET = ("left_ankle", "right_ankle", "left_foot", "right_foot")
_SOLE = 0.05  # m: the ball of the foot is this far above the ground when it stands
_HAND = 45


def assemble(
    body: BodyModel,
    camera: Camera,
    fps: float,
    frame_index: NDArray[np.int64],
    times: Array,
    people: Sequence[tuple[Track, BodyEstimate]],
) -> Motion:
    """One `Motion` of P people over T frames (`frame_index`, `times` (T,) s); P = 0 is a valid, empty motion."""
    frames, count = len(frame_index), len(people)
    names = skeletons.get(people[0][0].skeleton if people else "blazepose33").joint_names
    betas = body.shapedirs.shape[2]
    joints = len(body.joint_names)

    def stack(values: list[Array], *shape: int) -> Array:
        return np.stack(values).astype(np.float64) if values else np.zeros((0, *shape))

    estimates = [estimate for _, estimate in people]
    posed = stack([e.joints for e in estimates], frames, joints, 3)
    valid = np.stack([e.valid for e in estimates]) if people else np.zeros((0, frames), dtype=bool)
    return Motion(
        fps=fps,
        frame_index=np.asarray(frame_index, dtype=np.int64),
        time=np.asarray(times, dtype=np.float64),
        image_size=np.array([camera.width, camera.height], dtype=np.int64),
        track_id=np.array([track.track_id for track, _ in people], dtype=np.int64),
        valid=valid,
        confidence=stack([e.confidence for e in estimates], frames),
        K=np.broadcast_to(camera.K, (frames, 3, 3)).copy(),
        T_world_camera=np.broadcast_to(world_from_camera(body, posed, valid), (frames, 4, 4)).copy(),
        betas=stack([e.params.betas for e in estimates], betas),
        global_orient=stack([e.params.global_orient for e in estimates], frames, 3),
        body_pose=stack([e.params.body_pose for e in estimates], frames, 63),
        jaw_pose=np.zeros((count, frames, 3)),
        left_eye_pose=np.zeros((count, frames, 3)),
        right_eye_pose=np.zeros((count, frames, 3)),
        left_hand_pose=np.zeros((count, frames, _HAND)),
        right_hand_pose=np.zeros((count, frames, _HAND)),
        expression=np.zeros((count, frames, body.exprdirs.shape[2])),
        transl=stack([e.params.transl for e in estimates], frames, 3),
        joints=posed,
        keypoints2d=stack([track.points2d for track, _ in people], frames, len(names), 3),
        joint_names=np.array(body.joint_names),
        keypoint_names=np.array(names),
        body_model=body.name,
    )


def world_from_camera(body: BodyModel, joints: Array, valid: NDArray[np.bool_]) -> Array:
    """(4,4) from camera to world for a level, still camera: y up, ground under the lowest feet, x and z the camera's.

    ``joints`` (P,T,J,3) camera frame. The lowest 5 % of foot heights stand on the ground, so that a single bad
    frame does not lift everybody.
    """
    transform = np.diag([1.0, -1.0, -1.0, 1.0])
    if valid.any():
        feet = [body.joint_names.index(name) for name in _FEET]
        heights = -joints[valid][:, feet, 1].min(axis=1)
        transform[1, 3] = _SOLE - np.percentile(heights, 5)
    return transform
