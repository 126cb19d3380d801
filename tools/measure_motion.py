"""What each step of `monocap.motion` changes, on motion capture seen by simulated cameras with exact truth.

    python tools/measure_motion.py --mocap FOLDER_OF_CMU_MOTION [--frames 150] [--rendered]

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

from measure_fit import perform
from monocap import metrics
from monocap.bodies import BodyModel, load_body
from monocap.data.mocap.retarget import Retargeted, retarget
from monocap.data.mocap.takes import find_takes, read_take
from monocap.fitting import Fitter
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.state import PoseState, Skeleton, landmark_points
from monocap.geometry import rotations, transforms
from monocap.metrics.motion import CONTACT_SPEED
from monocap.motion import settle
from monocap.motion.contacts import ContactRule, foot_contacts, sole_speed
from monocap.motion.filters import smooth_rotations, smooth_vectors
from monocap.motion.gaps import bridge_gaps
from monocap.motion.legs import Legs
from monocap.perception import Lifter
from monocap.skeletons.skeleton import LIMBS12
from monocap.types import Array, BodyEstimate, BodyParams, Camera, Track

# walks and runs (02, 07, 08, 16, 35, 38, 39), a jump, acrobatics, a dance, everyday work and play
TAKES = ("02_01", "07_01", "08_01", "16_15", "35_01", "38_01", "39_01", "35_28", "16_47", "02_04", "49_01", "13_29",
         "13_30", "14_14", "14_20", "05_01", "10_04")  # fmt: skip
GAPS = ("49_01", "13_29", "14_20", "13_30", "02_04", "35_28", "16_47", "02_01")
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


def score(body: BodyModel, scene: Scene, params: BodyParams, joints: Array, T_world_camera: Array) -> list[float]:
    """Skating mm/s, penetration and height of standing soles mm, MPJPE, PA-MPJPE, acceleration error mm, pixels."""
    limbs = [body.joint_names.index(name) for name in LIMBS12]
    hips = (LIMBS12.index("left_hip"), LIMBS12.index("right_hip"))
    stands = true_contact(body, scene)
    soles = transforms.apply(T_world_camera, Legs.of(body, params.betas).pose(params).points)
    estimate, truth = joints[:, limbs], scene.joints[:, limbs]
    skeleton = Skeleton.of(body, blazepose_landmarks(body))
    root = rotations.axis_angle_to_matrix(params.global_orient)
    marks = landmark_points(skeleton, PoseState(root, params.body_pose, params.transl, params.betas))
    pixels = marks[..., :2] / marks[..., 2:] * CAMERA.fx + [CAMERA.cx, CAMERA.cy]
    off = np.linalg.norm(pixels - scene.track.points2d[..., :2], axis=-1)[:, skeleton.landmarks.weight > 0]
    return [
        1e3 * float(metrics.foot_skate(soles, stands[1:] & stands[:-1], FPS)),
        1e3 * float(metrics.floor_penetration(soles).mean()),
        1e3 * float(np.abs(soles[..., 1][stands]).mean()),
        1e3 * float(metrics.mpjpe(estimate, truth, root=hips).mean()),
        1e3 * float(metrics.pa_mpjpe(estimate, truth).mean()),
        1e3 * float(metrics.accel_error(estimate, truth).mean()),
        float(np.sqrt((off**2).mean())),
    ]


def true_contact(body: BodyModel, scene: Scene) -> Array:
    """(T,4) bool: soles of the truth that are slow and low."""
    soles = transforms.apply(scene.T_world_camera, Legs.of(body, scene.truth.betas).pose(scene.truth).points)
    speed = np.linalg.norm(np.gradient(soles, scene.times, axis=0), axis=-1)
    return (speed < CONTACT_SPEED * 30.0) & (soles[..., 1] < LOW)


def tilt(T_world_camera: Array) -> Array:
    """Pitch and roll of a camera, degrees."""
    up = T_world_camera[1, :3]
    return np.degrees([np.arctan2(-up[2], -up[1]), np.arctan2(up[0], -up[1])])


def level_ground(body: BodyModel, fitted: BodyEstimate) -> Array:
    """``T_world_camera`` of a level camera over the lowest twentieth of the soles: what there is without evidence."""
    lowest = -Legs.of(body, fitted.params.betas).pose(fitted.params).points[..., 1].max(axis=1)
    return transforms.from_parts(np.diag([1.0, -1.0, -1.0]), np.array([0.0, -np.percentile(lowest, 5), 0.0]))


def report_steps(body: BodyModel, scenes: Sequence[Scene]) -> None:
    """What ground, locking and a further smoothing pass change."""
    rows: dict[str, list[list[float]]] = {}
    angles, spent = [], 0.0
    for scene in scenes:
        fitted, people = scene.fitted, [(scene.track, scene.fitted)]
        params, joints = fitted.params, np.asarray(fitted.joints)
        rows.setdefault("the truth", []).append(score(body, scene, scene.truth, scene.joints, scene.T_world_camera))
        rows.setdefault("fit, level camera", []).append(score(body, scene, params, joints, level_ground(body, fitted)))
        started = time.process_time()
        settled = settle(body, CAMERA, scene.times, people)
        spent += time.process_time() - started
        world, held = settled.ground.T_world_camera, settled.estimates[0]
        rows.setdefault("+ ground", []).append(score(body, scene, params, joints, world))
        rows.setdefault("+ feet held", []).append(score(body, scene, held.params, held.joints, world))
        for deviation in (0.02, 0.035, 0.05):
            smoothed = smooth(held.params, scene.times, deviation)
            posed = np.asarray(body.joints_only(**smoothed.asdict()))
            label = f"+ smoothed {1e3 * deviation:.0f} ms"
            rows.setdefault(label, []).append(score(body, scene, smoothed, posed, world))
        true = tilt(scene.T_world_camera)
        part = slice(len(scene.times) // 2, len(scene.times) // 2 + 1)
        still = settle(body, CAMERA, scene.times[:1], [(cut(scene.track, part), cut_fit(fitted, part))])
        angles.append([true, tilt(world) - true, tilt(still.ground.T_world_camera) - true])
    print(f"{'':20} skate mm/s  below mm  off floor mm  MPJPE mm  PA mm  accel mm/f²  px")
    for label, values in rows.items():
        a = np.mean(values, axis=0)
        print(f"{label:20} {a[0]:10.0f} {a[1]:9.1f} {a[2]:13.1f} {a[3]:9.1f} {a[4]:6.1f} {a[5]:12.2f} {a[6]:3.1f}")
    error = np.sqrt((np.array(angles) ** 2).mean(axis=0))
    for label, (pitch, roll) in zip(("level camera", "whole take", "one frame"), error, strict=True):
        print(f"tilt of the camera, root mean square error, {label}: pitch {pitch:.1f}°, roll {roll:.1f}°")
    frames = sum(len(scene.times) for scene in scenes)
    print(f"{1e3 * spent / frames:.2f} ms CPU per frame")


def report_contacts(body: BodyModel, scenes: Sequence[Scene]) -> None:
    """How many of the true contacts are found, with speed along the ray weighed and not."""
    stands = np.concatenate([true_contact(body, scene) for scene in scenes])
    for along in (0.25, 1.0):
        best = (0.0, 0.0)
        for slow in np.arange(0.2, 0.75, 0.05):
            found = []
            for scene in scenes:
                points = Legs.of(body, scene.fitted.params.betas).pose(scene.fitted.params).points
                everywhere = np.ones(points.shape[:2], bool)
                rule = ContactRule(slow=slow, fast=slow + 0.18)
                found.append(foot_contacts(sole_speed(points, scene.times, along), None, everywhere, scene.times, rule))
            right = np.concatenate(found)
            best = max(best, (2.0 * float((right & stands).sum()) / float(right.sum() + stands.sum()), float(slow)))
        print(f"contacts by speed alone, along the ray × {along}: F1 {100 * best[0]:.1f} % at {best[1]:.2f} m/s")
    settled = [settle(body, CAMERA, s.times, [(s.track, s.fitted)]).foot_contact[0] for s in scenes]
    right = np.concatenate(settled)
    print(f"contacts as stored: F1 {200.0 * (right & stands).sum() / (right.sum() + stands.sum()):.1f} %")


def report_gaps(body: BodyModel, scenes: Sequence[Scene]) -> None:
    """Gaps in the middle of long takes, bridged by the fit and by `motion.gaps`."""
    limbs = [body.joint_names.index(name) for name in LIMBS12]
    fitter = Fitter(body, CAMERA)
    print("gap frames           error mm  bow mm (most)  turned ° (most)  lowest sole mm")
    for length in (10, 30, 150):
        rows: dict[str, list[list[float]]] = {}
        for scene in scenes:
            frames = len(scene.times)
            if frames < length + 40:
                continue
            first = (frames - length) // 2
            gap = slice(first, first + length)
            fitted = fitter.video(hide(scene.track, gap), scene.times)
            legs, up = Legs.of(body, fitted.params.betas), scene.T_world_camera[1, :3]
            bridged, _ = bridge_gaps(legs, fitted.params, fitted.valid, scene.times, up)
            for label, params in (("fit", fitted.params), ("bridged", bridged)):
                joints = np.asarray(body.joints_only(**params.asdict()))
                path = joints[first - 1 : first + length + 1, 0]
                line = np.linspace(path[0], path[-1], len(path))
                root = rotations.axis_angle_to_matrix(params.global_orient[first - 1 : first + length + 1])
                soles = transforms.apply(scene.T_world_camera, legs.pose(params).points)[gap]
                rows.setdefault(label, []).append(
                    [
                        1e3 * float(np.linalg.norm((joints - scene.joints)[gap][:, limbs], axis=-1).mean()),
                        1e3 * float(np.linalg.norm(path - line, axis=-1).max()),
                        float(np.degrees(rotations.geodesic_angle(root[1:], root[:-1])).sum()),
                        1e3 * float(soles[..., 1].min()),
                    ]
                )
        for label, values in rows.items():
            a, most = np.mean(values, axis=0), np.max(values, axis=0)
            low = np.min(values, axis=0)[3]
            words = f"{a[0]:9.0f} {a[1]:7.0f} ({most[1]:.0f}) {a[2]:9.0f} ({most[2]:.0f}) {low:12.0f}"
            print(f"{length:4} {label:12} {len(values)} takes {words}")


def report_rendered(body: BodyModel, folder: Path) -> None:
    """Before and after on rendered takes: tools/measure_fit.py's, of whose truth the limb joints are known."""
    limbs = [body.joint_names.index(name) for name in LIMBS12]
    hips = (LIMBS12.index("left_hip"), LIMBS12.index("right_hip"))
    ankles = [LIMBS12.index("left_ankle"), LIMBS12.index("right_ankle")]
    rows = []
    for track, truth in perform(body, folder):
        times = np.arange(len(truth)) / FPS
        fitted = Fitter(body, CAMERA).video(track, times)
        held = settle(body, CAMERA, times, [(track, fitted)]).estimates[0]
        stands = metrics.foot_contact(truth[:, ankles], FPS)
        for estimate in (fitted, held):
            joints = np.asarray(estimate.joints)[:, limbs]
            rows.append(
                [
                    1e3 * float(metrics.foot_skate(joints[:, ankles], stands, FPS)),
                    1e3 * float(metrics.mpjpe(joints, truth, root=hips).mean()),
                    1e3 * float(metrics.pa_mpjpe(joints, truth).mean()),
                    1e3 * float(metrics.accel_error(joints, truth).mean()),
                ]
            )
    for label, values in (("fit", rows[0::2]), ("feet held", rows[1::2])):
        a = np.mean(values, axis=0)
        print(
            f"rendered, {label:10} ankles {a[0]:.0f} mm/s, MPJPE {a[1]:.1f}, PA {a[2]:.1f} mm, accel {a[3]:.2f} mm/f²"
        )


def hide(track: Track, gap: slice) -> Track:
    """The track with some frames unseen."""
    valid = np.array(track.valid)
    valid[gap] = False
    shown = valid[:, None, None]
    return replace(
        track,
        valid=valid,
        points2d=np.where(shown, track.points2d, 0.0),
        points3d=np.where(shown, track.points3d, 0.0),
        score=valid.astype(float),
    )


def cut(track: Track, part: slice) -> Track:
    """Some frames of a track."""
    names = ("points2d", "points3d", "valid", "score")
    return replace(track, **{name: getattr(track, name)[part] for name in names})


def cut_fit(fitted: BodyEstimate, part: slice) -> BodyEstimate:
    """Some frames of a fit."""
    params = {name: value if name == "betas" else value[part] for name, value in fitted.params.asdict().items()}
    names = ("joints", "valid", "confidence", "residual_px")
    return replace(fitted, params=BodyParams(**params), **{name: getattr(fitted, name)[part] for name in names})


def smooth(params: BodyParams, times: Array, deviation: float) -> BodyParams:
    """A zero-phase pass over root, pose and path."""
    pose = smooth_rotations(params.body_pose.reshape(len(times), 21, 3), times, deviation)
    return replace(
        params,
        global_orient=smooth_rotations(params.global_orient, times, deviation),
        body_pose=pose.reshape(len(times), 63),
        transl=smooth_vectors(params.transl, times, deviation),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="What each step of monocap.motion changes.")
    parser.add_argument("--mocap", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--rendered", action="store_true", help="rendered takes seen by the heavy network instead")
    arguments = parser.parse_args()
    body = load_body("open")
    if arguments.rendered:
        report_rendered(body, arguments.mocap)
        return
    scenes = stage(body, arguments.mocap, arguments.frames)
    report_steps(body, scenes)
    report_contacts(body, scenes)
    report_gaps(body, stage(body, arguments.mocap, 400, GAPS))


if __name__ == "__main__":
    main()
