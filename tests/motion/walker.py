"""A person who walks exactly: feet planted while they stand, level soles, known contacts; before any camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.geometry import rotations, transforms
from monocap.motion.leg_ik import reach_ankles
from monocap.motion.legs import ANKLES, Legs
from monocap.types import Array, BodyEstimate, BodyParams, Camera, Track

FPS = 30.0
CAMERA = Camera(1000.0, 1000.0, 639.5, 359.5, 1280, 720)
STEP = 0.6  # s


@dataclass(frozen=True)
class Walk:
    """Parameters of T frames in a world with y up and the floor at 0, and which feet (T,2) are planted."""

    params: BodyParams
    planted: Array
    times: Array


def standing(body: BodyModel, frames: int) -> BodyParams:
    """Arms down, feet on the floor, facing +z."""
    pose = np.zeros((frames, 63))
    joint = body.joint_names.index
    pose[:, 3 * (joint("left_shoulder") - 1) + 2] = -1.2
    pose[:, 3 * (joint("right_shoulder") - 1) + 2] = 1.2
    betas = np.zeros(body.num_betas)
    transl = np.zeros((frames, 3))
    transl[:, 1] = -Legs.of(body, betas).soles[:, 1].min()
    return BodyParams(betas, np.zeros((frames, 3)), pose, transl)


def walk(body: BodyModel, frames: int = 90, speed: float = 1.0) -> Walk:
    """Along +z; each foot stands for a step and a fifth, then swings."""
    start = standing(body, frames)
    times = np.arange(frames) / FPS
    legs = Legs.of(body, start.betas)
    posed = legs.pose(start)
    wanted = posed.joints[:, list(ANKLES)].copy()
    planted = np.zeros((frames, 2), bool)
    length = speed * STEP
    for side in (0, 1):
        phase = times / (2 * STEP) + 0.5 * side
        cycle, share = np.floor(phase), phase % 1.0
        planted[:, side] = share < 0.6
        swing = np.clip((share - 0.6) / 0.4, 0.0, 1.0)
        eased = swing * swing * (3 - 2 * swing)
        wanted[:, side, 2] += 2 * length * (cycle + eased - 0.5 * side + 0.3)
        wanted[:, side, 1] += 0.1 * np.sin(np.pi * swing) ** 2
    shift = np.zeros((frames, 3))
    shift[:, 2] = speed * times
    shift[:, 1] = -0.11
    reached, missing = reach_ankles(posed, shift, wanted)
    assert np.abs(missing).max() < 0.01
    pose = start.body_pose.copy()
    for row, columns in enumerate(legs.pose_columns[:6], start=1):
        pose[:, columns] = rotations.matrix_to_axis_angle(reached.local[:, row])
    return Walk(BodyParams(start.betas, start.global_orient, pose, start.transl + shift), planted, times)


def camera_at(pitch: float, roll: float, height: float = 1.4, distance: float = 5.0, heading: float = 0.6) -> Array:
    """``T_camera_world`` of a camera that looks towards the origin; degrees, metres."""
    spin = rotations.axis_angle_to_matrix(np.array([0.0, heading, 0.0]))
    tilt = rotations.axis_angle_to_matrix(np.array([0.0, 0.0, np.deg2rad(roll)]))
    tilt = tilt @ rotations.axis_angle_to_matrix(np.array([np.deg2rad(pitch), 0.0, 0.0])) @ np.diag([1.0, -1.0, -1.0])
    away = np.array([0.0, height, distance])
    return transforms.compose(transforms.from_parts(tilt, -tilt @ away), transforms.from_parts(spin, np.zeros(3)))


def seen_by(body: BodyModel, params: BodyParams, T_camera_world: Array) -> BodyParams:
    """The same body in the camera frame."""
    pelvis = np.asarray(body.rest_joints(params.betas), np.float64)[0]
    orient, transl = transforms.move_body(T_camera_world, params.global_orient, params.transl, pelvis)
    return BodyParams(params.betas, orient, params.body_pose, transl)


def person(body: BodyModel, params: BodyParams, feet: bool = True) -> tuple[Track, BodyEstimate]:
    """What capture would hand on: a perfect fit, and a track whose feet lie in the picture or not."""
    joints = np.asarray(body.joints_only(**params.asdict()), np.float64)
    frames = len(joints)
    names = skeletons.get("blazepose33").joint_names
    points = np.zeros((frames, len(names), 3))
    points[..., :2] = [CAMERA.cx, CAMERA.cy]
    points[..., 2] = 0.9
    if not feet:
        points[:, 25:, 1] = CAMERA.height + 50.0
    found = np.ones(frames, bool)
    track = Track(0, "blazepose33", points, np.zeros_like(points), found, found.astype(float))
    return track, BodyEstimate(params, joints, found, found.astype(float), np.zeros(frames))


def tilt_error(T_world_camera: Array, T_camera_world: Array) -> float:
    """Angle between found and true up, degrees."""
    cosine = T_world_camera[1, :3] @ T_camera_world[:3, 1]
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
