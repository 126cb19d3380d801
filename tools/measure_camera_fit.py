"""How well people tell the focal length (`fitting.camera`), on motion capture before cameras that are known.

    python tools/measure_camera_fit.py --mocap FOLDER_OF_CMU_MOTION [--takes 02_01,07_01] [--scenes N] [--lines]

Keypoints are projected, with errors of the size that the keypoint network makes: some stay through a take, some come
and go; the 3D hints are the shipped lifter's. Cameras: 24 to 85 mm equivalent, 3 to 12 m away, tilted by up to 30°
where that keeps them above the ground. A photo is one frame of a take, a group three people on one floor, a video three
seconds. ``--lines`` gives the fit a guess as straight lines would: 15 % off in focal length, 3° in tilt.

Printed per kind: median error of the focal length before and after, of the distance before and after, how many were
told, and what share of the errors lies within the stated deviation.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from monocap.bodies import BodyModel, load_body
from monocap.data.mocap.retarget import Retargeted, retarget
from monocap.data.mocap.takes import find_takes, read_take
from monocap.fitting import Fitter
from monocap.fitting.camera.recipe import fit_camera
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.state import PoseState, Skeleton, landmark_points
from monocap.geometry import rotations, transforms
from monocap.perception.field_of_view import CameraGuess, typical, up_of
from monocap.perception.lifter import Lifter
from monocap.types import Array, Camera, Track

Kind = Literal["photo", "group", "video"]
WIDTH, HEIGHT, FRAMES, FPS = 1280, 720, 90, 30.0
LASTING, PASSING = 0.010, 0.010  # m on the body: errors of keypoints that stay, and that come and go
LINES, LINES_TILT = 0.15, np.deg2rad(3.0)


@dataclass(frozen=True)
class Staged:
    """``tracks`` under a true ``camera``, tilted so; ``depth`` (P,T) m of the pelvis."""

    camera: Camera
    tilt: Array
    tracks: list[Track]
    depth: Array


def stage(rng: np.random.Generator, body: BodyModel, takes: list[Retargeted], kind: Kind) -> Staged | None:
    """One scene, or None if somebody would be out of the picture or hardly to be seen."""
    focal = WIDTH * math.exp(rng.uniform(math.log(24), math.log(85))) / 36
    camera = Camera(focal, focal, (WIDTH - 1) / 2, (HEIGHT - 1) / 2, WIDTH, HEIGHT)
    distance = math.exp(rng.uniform(math.log(3), math.log(12)))
    tilt = np.array([np.deg2rad(rng.uniform(-30, 30)), np.deg2rad(rng.normal(0, 2))])
    up = up_of(*tilt)
    if 0.95 - distance * up[2] < 0.1:
        return None
    people, frames = 3 if kind == "group" else 1, FRAMES if kind == "video" else 1
    right = np.cross([0.0, 0.0, 1.0], up)
    right /= np.linalg.norm(right)
    turn = np.stack([right, up, np.cross(right, up)], axis=1)  # world with y up to the camera
    skeleton = Skeleton.of(body, blazepose_landmarks(body))
    pelvis = np.asarray(body.rest_joints(np.zeros(body.num_betas)))[0]
    tracks, depths, floor = [], [], np.zeros(3)
    for person in range(people):
        motion = takes[rng.integers(len(takes))]
        begin = int(rng.integers(max(motion.frames - frames, 0) + 1))
        part = slice(begin, begin + frames)
        count = len(motion.transl[part])
        betas = np.zeros(body.num_betas)
        betas[:4] = 0.7 * rng.normal(size=4)
        heading = rotations.axis_angle_to_matrix(np.array([0.0, rng.uniform(0, 2 * np.pi), 0.0]))
        middle = motion.transl[part].mean(axis=0) * [1, 0, 1] + pelvis * [1, 0, 1]
        aside = rng.uniform(-0.25, 0.25, 2) * [WIDTH, HEIGHT] / focal * [1.0, 0.4]
        ahead = np.array([aside[0], aside[1], 1.0]) * distance * (math.exp(rng.uniform(-0.35, 0.35)) if person else 1.0)
        if person == 0:
            floor = ahead - 0.95 * up
        else:  # on the floor of the first
            ahead = ahead * ((up @ floor) / (up @ (ahead - 0.95 * up))) if up @ ahead < 0 else ahead
            ahead += up * (up @ floor - up @ (ahead - 0.95 * up))
        T = transforms.from_parts(turn @ heading, ahead - 0.95 * up - turn @ heading @ middle)
        orient, transl = transforms.move_body(T, motion.global_orient[part], motion.transl[part], pelvis)
        state = PoseState(rotations.axis_angle_to_matrix(orient), motion.body_pose[part], transl, betas)
        points = landmark_points(skeleton, state)
        if points[..., 2].min() < 1.0:
            return None
        flat = points[..., :2] / points[..., 2:] * focal
        height = np.ptp(flat[..., 1], axis=1).mean()
        inside = (np.abs(flat) < [WIDTH / 2, HEIGHT / 2]).all(axis=-1).mean()
        if not (height > 0.2 * HEIGHT and inside > 0.9):
            return None
        per_metre = (focal / points[..., 2].mean(axis=1))[:, None, None]
        noise = LASTING * rng.normal(size=(1, 33, 2)) + PASSING * rng.normal(size=(count, 33, 2))
        pixels = flat + noise * per_metre + [camera.cx, camera.cy]
        seen = np.concatenate([pixels, np.full((count, 33, 1), 0.9)], axis=-1)
        tracks.append(
            Track(person, "blazepose33", seen, np.zeros((count, 33, 3)), np.ones(count, bool), np.ones(count))
        )
        depths.append((pelvis + transl)[:, 2])
    return Staged(camera, tilt, tracks, np.array(depths))


def measure(
    body: BodyModel, lifter: Lifter, scene: Staged, guess: CameraGuess
) -> tuple[float, float, float, float, bool, float]:
    """Errors of ln f before and after, relative errors of distance before and after, whether told, its deviation."""
    times = np.arange(scene.depth.shape[1]) / FPS

    def fitter(focal: float) -> tuple[Fitter, list[Track]]:
        camera = replace(scene.camera, fx=focal, fy=focal)
        tracks = [replace(track, points3d=lifter.lift(track.points2d, camera)) for track in scene.tracks]
        return Fitter(body, camera), tracks

    def depth(focal: float) -> float:
        one, tracks = fitter(focal)
        rows = np.unique(np.linspace(0, len(times) - 1, 5).astype(int))
        found = [one.frames_alone(track, rows)[1].transl[:, 2] + one.skeleton.joints[0, 2] for track in tracks]
        return float(np.median(np.abs(np.array(found) / scene.depth[:, rows] - 1)))

    one, tracks = fitter(guess.focal)
    found = fit_camera(one, tracks, times, guess)
    off = [math.log(focal / scene.camera.fx) for focal in (guess.focal, found.camera.fx)]
    before = depth(guess.focal)
    return off[0], off[1], before, depth(found.camera.fx) if found.told else before, found.told, found.log_sigma


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mocap", type=Path, required=True)
    parser.add_argument("--takes", default="02_01,07_01,08_01,35_01,05_01,14_20")
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--kinds", default="photo,group,video")
    parser.add_argument("--lines", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    body, lifter = load_body("open"), Lifter()
    wanted = args.takes.split(",")
    files = {take.path.stem: take for take in reversed(find_takes(args.mocap)) if take.path.suffix == ".amc"}
    takes = [retarget(read_take(files[name]), body, fps=FPS) for name in wanted if name in files]
    for kind in args.kinds.split(","):
        rng = np.random.default_rng(1)
        rows, spent = [], time.process_time()
        while len(rows) < args.scenes:
            if (scene := stage(rng, body, takes, kind)) is None:
                continue
            guess = typical(WIDTH, HEIGHT)
            if args.lines:
                focal, tilt = (
                    scene.camera.fx * math.exp(LINES * rng.normal()),
                    scene.tilt + LINES_TILT * rng.normal(size=2),
                )
                guess = CameraGuess(focal, LINES, float(tilt[0]), float(tilt[1]), LINES_TILT, "lines")
            rows.append(measure(body, lifter, scene, guess))
            if args.verbose:
                print(
                    kind,
                    scene.camera.fx.__round__(),
                    *(f"{value:.3f}" for value in rows[-1]),
                    np.rad2deg(scene.tilt).round(1),
                    scene.depth.mean().round(1),
                    flush=True,
                )
        table = np.array(rows, float)
        told = table[:, 4] > 0
        percent = 100 * np.median(np.abs(np.expm1(table[:, :2])), axis=0)
        within = np.mean(np.abs(table[told, 1]) < table[told, 5]) if told.any() else math.nan
        print(
            f"{kind}: focal {percent[0]:.1f} → {percent[1]:.1f} %, distance {100 * np.median(table[:, 2]):.1f} → "
            f"{100 * np.median(table[:, 3]):.1f} %, told {told.sum()} of {len(told)}, "
            f"{100 * within:.0f} % of those within one deviation, {(time.process_time() - spent) / len(rows):.1f} CPU s"
        )


if __name__ == "__main__":
    main()
