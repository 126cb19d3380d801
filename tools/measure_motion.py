"""What each step of `monocap.motion` changes, on motion capture seen by simulated cameras with exact truth.

    python tools/measure_motion.py --mocap FOLDER_OF_CMU_MOTION [--frames 150]

CMU takes, played by the open body before random still cameras (0.5 to 2.2 m high, pitched and rolled), are projected to
keypoints with errors that last (1.2 % of the body's height, correlated over 0.3 s, and a third as much from frame to
frame), lifted and fitted as in capture. Nothing is rendered, no keypoint network runs. The performers may have been
seen by the lifter and the pose prior.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from monocap import metrics
from monocap.bodies import BodyModel, load_body
from monocap.data.mocap.retarget import Retargeted, retarget
from monocap.data.mocap.takes import find_takes, read_take
from monocap.fitting import Fitter
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.state import PoseState, Skeleton, landmark_points
from monocap.geometry import rotations, transforms
from monocap.motion.legs import Legs
from monocap.perception import Lifter
from monocap.skeletons.skeleton import LIMBS12
from monocap.types import Array, BodyEstimate, BodyParams, Camera, Track

# walks, a run, a jump, kicks, sitting down, cartwheel-like and acrobatic moves, everyday work
TAKES = ("02_01", "07_01", "08_01", "16_15", "35_01", "38_01", "39_01", "35_28", "16_47", "02_04", "49_01", "13_29",
         "13_30", "14_14", "14_20", "05_01", "10_04")  # fmt: skip
WALKS = ("02_01", "07_01", "08_01", "16_15", "35_01", "38_01", "39_01")
CAMERA = Camera(1100.0, 1100.0, 639.5, 359.5, 1280, 720)
FPS = 30.0
LOW = 0.06  # m: a true foot is on the ground when it is slower than 0.3 m/s and lower than this


@dataclass(frozen=True)
class Scene:
    """One take before one camera: the fit, and the truth in the same camera frame."""

    name: str
    times: Array
    track: Track
    fitted: BodyEstimate
    truth: BodyParams
    joints: Array
    T_world_camera: Array


def stage(body: BodyModel, folder: Path, frames: int, names: Sequence[str] = TAKES, seed: int = 0) -> list[Scene]:
    """Every take before its camera, seen and fitted."""
    takes = {take.path.stem: take for take in reversed(find_takes(folder)) if take.path.suffix == ".amc"}
    lifter, fitter = Lifter(), Fitter(body, CAMERA)
    scenes = []
    for number, name in enumerate(names):
        rng = np.random.default_rng([seed, number])
        played = retarget(read_take(takes[name]), body)
        truth, camera = place(body, played, frames, rng)
        count = len(truth.transl)
        track = watch(body, truth, rng)
        track = replace(track, points3d=lifter.lift(track.points2d, CAMERA))
        times = np.arange(count) / FPS
        fitted = fitter.video(track, times)
        joints = np.asarray(body.joints_only(**truth.asdict()))
        scenes.append(Scene(name, times, track, fitted, truth, joints, camera))
    return scenes


def place(body: BodyModel, played: Retargeted, frames: int, rng: np.random.Generator) -> tuple[BodyParams, Array]:
    """The middle of a take before a random camera: true parameters (T,) in its frame, and ``T_world_camera``."""
    first = max(0, (played.frames - frames) // 2)
    part = slice(first, first + frames)
    betas = np.zeros(body.num_betas)
    betas[:4] = 0.7 * rng.normal(size=4)
    pelvis = np.asarray(body.rest_joints(betas), np.float64)[0]
    world = BodyParams(betas, played.global_orient[part], played.body_pose[part], played.transl[part])
    lowest = np.percentile(Legs.of(body, betas).pose(world).points[..., 1].min(axis=1), 5)
    middle = np.array([world.transl[:, 0].mean(), lowest, world.transl[:, 2].mean()])
    heading = np.array([0.0, rng.uniform(0, 2 * np.pi), 0.0])
    turned = transforms.from_parts(rotations.axis_angle_to_matrix(heading), np.zeros(3))
    orient, transl = transforms.move_body(turned, world.global_orient, world.transl - middle, pelvis)
    height, distance = rng.uniform(0.5, 2.2), rng.uniform(4.5, 6.5)
    pitch = np.arctan2(height - 0.9, distance) + np.deg2rad(4.0) * rng.normal()
    roll = np.deg2rad(2.0) * rng.normal()
    lean = rotations.axis_angle_to_matrix(np.array([0.0, 0.0, roll]))
    tilt = lean @ rotations.axis_angle_to_matrix(np.array([pitch, 0.0, 0.0]))
    upright = tilt @ np.diag([1.0, -1.0, -1.0])
    T_camera_world = transforms.from_parts(upright, -upright @ np.array([0.0, height, distance]))
    orient, transl = transforms.move_body(T_camera_world, orient, transl, pelvis)
    return BodyParams(betas, orient, world.body_pose, transl), transforms.invert(T_camera_world)


def watch(body: BodyModel, truth: BodyParams, rng: np.random.Generator) -> Track:
    """Keypoints of the true body with errors as a network makes them."""
    skeleton = Skeleton.of(body, blazepose_landmarks(body))
    root = rotations.axis_angle_to_matrix(truth.global_orient)
    points = landmark_points(skeleton, PoseState(root, truth.body_pose, truth.transl, truth.betas))
    seen = points[..., :2] / points[..., 2:] * CAMERA.fx + [CAMERA.cx, CAMERA.cy]
    size = 0.012 * 1.7 * CAMERA.fx / points[:, 23:25, 2].mean(axis=1)[:, None, None]
    lasting = np.empty_like(seen)
    keep = np.exp(-1.0 / (0.3 * FPS))
    lasting[0] = rng.normal(size=seen.shape[1:])
    for frame in range(1, len(seen)):
        lasting[frame] = keep * lasting[frame - 1] + np.sqrt(1 - keep**2) * rng.normal(size=seen.shape[1:])
    noisy = seen + size / np.sqrt(2) * (lasting + rng.normal(size=seen.shape) / 3)
    points2d = np.concatenate([noisy, np.full((*noisy.shape[:2], 1), 0.9)], axis=-1)
    found = np.ones(len(seen), bool)
    return Track(0, "blazepose33", points2d, np.zeros_like(points), found, found.astype(float))
