"""What cleaning finds, and what it gets wrong: errors put into keypoints of motion capture whose truth is known.

    python tools/measure_cleaning.py --mocap FOLDER_OF_CMU_MOTION

Takes of CMU's motion at 30 Hz (walking, boxing, dancing, kicks, cartwheels, jumps; 150 frames each), seen by a camera
from random sides; keypoints with noise like the keypoint network's (white and slowly changing, 1 % of the stature
each). Into these: nothing; landmarks that jump away for one to three frames; blinks (another pose for one to three
frames); sides exchanged for 3 to 30 frames, of the whole body, the legs, the arms. Printed: how many were found, share
of the untouched that is taken for wrong, time, and PA-MPJPE and MPJPE of the fit over 12 limb joints before and after.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from monocap import metrics
from monocap.bodies import load_body
from monocap.data.mocap.retarget import retarget
from monocap.data.mocap.takes import find_takes, read_take
from monocap.fitting import Fitter
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.state import PoseState, Skeleton, landmark_points
from monocap.geometry import rotations
from monocap.perception import Lifter
from monocap.perception.cleaning import clean
from monocap.perception.exchanges import exchange
from monocap.skeletons import LIMBS12, get
from monocap.types import Array, Camera, Track

TAKES = ("02_01", "02_05", "05_13", "10_04", "13_30", "14_20", "16_31", "35_28", "49_01", "90_02")
CAMERA = Camera(1100.0, 1100.0, 639.5, 359.5, 1280, 720)
FRAMES, FPS = 150, 30.0
KINDS = ("nothing", "jumps", "blinks", "body", "legs", "arms")
DISTAL = get("blazepose33").indices(get("blazepose33").joint_names[11:])


def sights(folder: Path, rng: np.random.Generator) -> list[tuple[Track, Array]]:
    """Tracks with noise and true limb joints (T,12,3), camera frame, of every take that is there."""
    body = load_body("open")
    skeleton = Skeleton.of(body, blazepose_landmarks(body))
    limbs = [body.joint_names.index(name) for name in LIMBS12]
    takes = {take.path.stem: take for take in find_takes(folder) if take.path.suffix == ".amc"}
    out = []
    for name in TAKES:
        if name not in takes:
            continue
        motion = retarget(read_take(takes[name]), body, fps=FPS)
        first = max(motion.frames - FRAMES, 0) // 2
        part = slice(first, first + FRAMES)
        heading, tilt = np.array([0.0, rng.uniform(0, 2 * np.pi), 0.0]), np.array([rng.uniform(-0.05, 0.3), 0.0, 0.0])
        turn = rotations.axis_angle_to_matrix(tilt) @ np.diag([1.0, -1.0, -1.0])
        turn = turn @ rotations.axis_angle_to_matrix(heading)
        root = turn @ rotations.axis_angle_to_matrix(motion.global_orient[part])
        pelvis = np.asarray(body.rest_joints(np.zeros(body.shapedirs.shape[2])))[0]
        transl = (motion.transl[part] - motion.transl[part].mean(axis=0)) @ turn.T + [0.0, 0.0, 5.0] - pelvis
        state = PoseState(root, motion.body_pose[part], transl, np.zeros(body.shapedirs.shape[2]))
        points = landmark_points(skeleton, state)
        posed = body.joints_only(
            betas=state.betas,
            global_orient=rotations.matrix_to_axis_angle(root),
            body_pose=state.body_pose,
            transl=transl,
        )
        frames = len(points)
        pixels = points[..., :2] / points[..., 2:] * CAMERA.fx + [CAMERA.cx, CAMERA.cy]
        stature = 1.7 * CAMERA.fx / points[..., 2].mean()
        pixels = pixels + 0.01 * stature * (rng.normal(size=pixels.shape) + _slow(rng, pixels.shape))
        sure = 1 - 0.25 * np.abs(rng.normal(size=(frames, 33, 1)))
        guess = points - points[:, 23:25].mean(axis=1, keepdims=True) + 0.06 * _slow(rng, points.shape)
        track = Track(
            0,
            "blazepose33",
            np.concatenate([pixels, np.clip(sure, 0.05, 1)], axis=-1),
            guess,
            np.ones(frames, bool),
            np.ones(frames),
        )
        out.append((track, np.asarray(posed)[:, limbs]))
    return out


def _slow(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Noise of unit deviation that changes within a third of a second."""
    noise = gaussian_filter1d(rng.normal(size=shape), 5.0, axis=0)
    return noise / noise.std()


def spoil(track: Track, kind: str, rng: np.random.Generator) -> tuple[Track, Array]:
    """The track with errors of one kind, and which landmarks (T,33), frames (T,), or sides (T,2) were touched."""
    points, guess = np.array(track.points2d), np.array(track.points3d)
    frames = len(points)
    stature = 1.7 * CAMERA.fx / 5.0
    touched = np.zeros((frames, 33), bool)
    if kind == "jumps":
        for t, i in zip(*np.nonzero(rng.random((frames, 33)) < 0.01), strict=True):
            if i not in DISTAL:
                continue
            run, angle = slice(t, t + rng.integers(1, 4)), rng.uniform(0, 2 * np.pi)
            points[run, i, :2] += stature * rng.uniform(0.15, 0.6) * np.array([np.cos(angle), np.sin(angle)])
            touched[run, i] = True
    elif kind == "blinks":
        for t in np.flatnonzero(rng.random(frames) < 0.03):
            run, other = slice(t, t + rng.integers(1, 4)), int(rng.integers(frames))
            pose, middle = points[other] * 1.0, points[t, 23:25, :2].mean(axis=0)
            pose[:, :2] += middle - pose[23:25, :2].mean(axis=0)
            pose[:, 0] = 2 * middle[0] - pose[:, 0]
            points[run], guess[run] = pose, guess[other] * [-1, 1, 1]
        touched = np.linalg.norm((points - track.points2d)[..., :2], axis=-1) > 0.1 * stature
    elif kind in ("body", "legs", "arms"):
        sides = np.zeros((frames, 2), bool)
        for t in range(int(rng.integers(10, 40)), frames, 50):
            sides[t : t + rng.integers(3, 31)] |= [kind != "legs", kind != "arms"]
        points, guess = exchange(points, guess, sides)
        return replace(track, points2d=points, points3d=guess), sides
    return replace(track, points2d=points, points3d=guess), touched


def main() -> None:
    parser = argparse.ArgumentParser(description="What cleaning finds and what it gets wrong.")
    parser.add_argument("--mocap", type=Path, required=True)
    parser.add_argument("--no-fit", action="store_true", help="only count")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    seen = sights(given.mocap, rng)
    lifter, fitter = Lifter(), Fitter(load_body("open"), CAMERA)
    hips = (LIMBS12.index("left_hip"), LIMBS12.index("right_hip"))

    def errors(track: Track, usable: Array, truth: Array) -> tuple[float, float]:
        lifted = replace(track, points3d=lifter.lift(track.points2d, CAMERA, track.points3d), valid=usable)
        joints = fitter.video(lifted, np.arange(len(truth)) / FPS).joints[
            :, [fitter.body.joint_names.index(n) for n in LIMBS12]
        ]
        return 1e3 * float(metrics.pa_mpjpe(joints, truth).mean()), 1e3 * float(
            metrics.mpjpe(joints, truth, root=hips).mean()
        )

    for kind in KINDS:
        rows, before, after, spent, frames = [], [], [], 0.0, 0
        for track, truth in seen:
            spoiled, touched = spoil(track, kind, rng)
            started = time.process_time()
            cleaned = clean(spoiled, np.arange(len(truth)) / FPS)
            spent, frames = spent + time.process_time() - started, frames + len(truth)
            sides = touched if touched.shape[1] == 2 else np.zeros((len(truth), 2), bool)
            points = touched if touched.shape[1] == 33 else np.zeros((len(truth), 33), bool)
            rows.append(
                [
                    (cleaned.rejected & points).sum(),
                    points.sum(),
                    (cleaned.rejected & ~points).sum(),
                    (~points).sum(),
                    (cleaned.exchanged & sides).sum(),
                    sides.sum(),
                    (cleaned.exchanged & ~sides).sum(),
                    (~sides).sum(),
                ]
            )
            if not given.no_fit:
                before.append(errors(spoiled, spoiled.valid, truth))
                after.append(errors(cleaned.track, spoiled.valid & ~cleaned.blinks, truth))
        found, of, false, clear, right, wrong, extra, rest = np.sum(rows, axis=0)
        line = f"{kind:8} landmarks found {found}/{of}, false {100 * false / clear:.2f} %; "
        line += f"sides found {right}/{wrong}, false {100 * extra / rest:.2f} %; {1e3 * spent / frames:.2f} ms/frame"
        if before:
            line += "; fit {:.1f} / {:.1f} mm".format(*np.mean(before, 0))
            line += " -> {:.1f} / {:.1f}".format(*np.mean(after, 0))
        print(line, flush=True)


if __name__ == "__main__":
    main()
