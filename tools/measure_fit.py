"""What each pose prior buys in the fit, on rendered motion capture with exact truth and on real pictures.

    python tools/measure_fit.py --mocap FOLDER_OF_CMU_MOTION [--pictures FOLDER_OF_REAL3D_DEV]

Videos: five CMU takes of 120 frames at 30 Hz, played by the open body (random shape, heading and tilt of the camera)
over a frame of examples/demo.mp4; keypoints by the heavy network. Mean PA-MPJPE and MPJPE over 12 limb joints, error of
their acceleration, error of the distance, CPU time of the fit; before that the keypoint network's own 3D and the lifter
alone, after it the fit with the camera that capture assumes when it knows none. The performers may have been seen by
the shipped priors and lifter.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from monocap import metrics, skeletons
from monocap.bodies import BodyModel, load_body
from monocap.data import open_dataset
from monocap.data.mocap.retarget import retarget
from monocap.data.mocap.takes import find_takes, read_take
from monocap.evaluate.capture_run import camera_of
from monocap.export import skin_texture
from monocap.fitting import FitOptions, Fitter
from monocap.fitting.recipes import PriorName
from monocap.geometry import rotations, transforms
from monocap.geometry.cameras import default_focal
from monocap.media.pictures import read_picture
from monocap.media.readers import open_media
from monocap.perception import BlazePose, Lifter, PeopleDetector, PeopleTracker, find_person_keypoints
from monocap.perception.cleaning import clean
from monocap.pipeline.settings import CaptureSettings
from monocap.render import Mesh, overlay
from monocap.skeletons.skeleton import LIMBS12
from monocap.types import Array, Camera, Track

TAKES = ("02_01", "05_01", "49_01", "13_30", "14_20")
CAMERA = Camera(1100.0, 1100.0, 639.5, 359.5, 1280, 720)
FRAMES = 120
EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "demo.mp4"


def perform(body: BodyModel, folder: Path) -> list[tuple[Track, Array]]:
    """Tracks, with the keypoint network's own 3D, and true limb joints (T,12,3), camera frame, of every take."""
    rng = np.random.default_rng(0)
    takes = {take.path.stem: take for take in reversed(find_takes(folder)) if take.path.suffix == ".amc"}
    background = next(iter(open_media(EXAMPLE))).image
    skin = skin_texture(body)
    texture = None if skin is None else read_picture(skin).image
    limbs = [body.joint_names.index(name) for name in LIMBS12]
    out = []
    for name in TAKES:
        motion = retarget(read_take(takes[name]), body)
        part = slice(0, min(FRAMES, motion.frames))
        heading, tilt = np.array([0.0, rng.uniform(0, 2 * np.pi), 0.0]), np.array([rng.uniform(-0.05, 0.2), 0.0, 0.0])
        turn = rotations.axis_angle_to_matrix(tilt) @ np.diag([1.0, -1.0, -1.0])
        turn = turn @ rotations.axis_angle_to_matrix(heading)
        betas = np.zeros(body.shapedirs.shape[2])
        betas[:4] = 0.7 * rng.normal(size=4)
        middle = motion.transl[part].mean(axis=0)
        T = transforms.from_parts(turn, np.array([0.0, 0.0, 4.5]))
        pelvis = np.asarray(body.rest_joints(betas))[0]
        orient, transl = transforms.move_body(
            T, motion.global_orient[part], motion.transl[part] - middle - pelvis, pelvis
        )
        posed = body(betas=betas, global_orient=orient, body_pose=motion.body_pose[part], transl=transl)
        tracker, seen = PeopleTracker(PeopleDetector(), BlazePose("heavy"), limit=1), []
        for vertices in posed.vertices:
            mesh = Mesh(vertices, body.faces, uv=body.uv, uv_faces=body.uv_faces, texture=texture)
            people = tracker.step(overlay(background, [mesh], CAMERA, 1.0))
            seen.append(next(iter(people.values()), None))
        found = np.array([one is not None for one in seen])
        points, guess = (
            np.stack([np.zeros((33, 3)) if one is None else getattr(one, name) for one in seen]).astype(np.float64)
            for name in ("points2d", "points3d")
        )
        out.append(
            (
                Track(0, "blazepose33", points, guess, found, found.astype(float)),
                posed.joints[:, limbs],
            )
        )
    return out


ERRORS = "PA-MPJPE {:.1f} MPJPE {:.1f} mm, acceleration {:.1f} mm/frame²"


def errors(joints: Array, truth: Array) -> tuple[float, float, float]:
    """PA-MPJPE, MPJPE (mm) and acceleration error (mm/frame²), all but the first relative to the mid-hips."""
    hips = [LIMBS12.index("left_hip"), LIMBS12.index("right_hip")]
    moved, still = (points - points[:, hips].mean(axis=1, keepdims=True) for points in (joints, truth))
    pa, plain = metrics.pa_mpjpe(joints, truth), metrics.mpjpe(joints, truth, root=tuple(hips))
    acceleration = metrics.accel_error(moved, still)
    return 1e3 * float(pa.mean()), 1e3 * float(plain.mean()), 1e3 * float(acceleration.mean())


def lift(track: Track, camera: Camera) -> Track:
    """The track cleaned, with the lifter's 3D in place of the keypoint network's: as capture does it."""
    cleaned = clean(track, np.arange(len(track.valid)) / 30)
    track = replace(cleaned.track, valid=track.valid & ~cleaned.blinks)
    return replace(track, points3d=Lifter().lift(track.points2d, camera, track.points3d))


def main() -> None:
    parser = argparse.ArgumentParser(description="What each pose prior buys in the fit.")
    parser.add_argument("--mocap", type=Path, required=True)
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    body = load_body("open")
    limbs = [body.joint_names.index(name) for name in LIMBS12]
    hips = (LIMBS12.index("left_hip"), LIMBS12.index("right_hip"))
    seen_limbs = skeletons.get("blazepose33").indices(LIMBS12)
    performed = perform(body, arguments.mocap)
    photos = []
    if arguments.pictures is not None:
        detector, network, lifter = PeopleDetector(), BlazePose("heavy"), Lifter()
        for sample in open_dataset(arguments.pictures):
            image = sample.read_image()
            keypoints = find_person_keypoints(image, detector=detector, blazepose=network)
            camera, _ = camera_of(sample, image.shape[1], image.shape[0], CaptureSettings())
            names = skeletons.get(str(sample.skeleton3d)).joint_names
            truth = np.asarray(sample.camera_joints())[[names.index(name) for name in LIMBS12]]
            if keypoints is not None:
                photos.append((lifter, keypoints, camera, truth))
    tracks = [(lift(track, CAMERA), truth) for track, truth in performed]
    for name, some in (("keypoint network's 3D", performed), ("lifter alone", tracks)):
        rows = [errors(track.points3d[:, seen_limbs], truth) for track, truth in some]
        print(f"{name}, videos: {ERRORS.format(*np.mean(rows, 0))}")
    for prior in get_args(PriorName):
        rows = []
        for track, truth in tracks if prior != "vposer" else []:
            started = time.process_time()
            fitted = Fitter(body, CAMERA, FitOptions(prior=prior)).video(track, np.arange(len(truth)) / 30)
            spent = 1e3 * (time.process_time() - started) / len(truth)
            joints = fitted.joints[:, limbs]
            depth = np.abs((joints - truth)[:, hips].mean(axis=1)[:, 2]).mean()
            rows.append([*errors(joints, truth), 1e3 * depth, spent])
        line = f"{prior:10}"
        if rows:
            line += f" videos: {ERRORS}, depth {{:.0f}} mm, {{:.1f}} ms/frame".format(*np.mean(rows, 0))
        still = []
        for lifter, keypoints, camera, truth in photos:
            lifted = lifter.lift(keypoints.points2d[None], camera, keypoints.points3d[None])[0]
            keypoints = type(keypoints)(keypoints.skeleton, keypoints.points2d, lifted, keypoints.score)
            joints = Fitter(body, camera, FitOptions(prior=prior)).photo(keypoints).joints[:, limbs]
            still.append([metrics.pa_mpjpe(joints, truth[None])[0], metrics.mpjpe(joints, truth[None], root=hips)[0]])
        if still:
            line += " photos: PA-MPJPE {:.1f} MPJPE {:.1f} mm".format(*1e3 * np.mean(still, 0))
        print(line, flush=True)
    focal = default_focal(CAMERA.width, CAMERA.height)
    assumed = Camera(focal, focal, CAMERA.cx, CAMERA.cy, CAMERA.width, CAMERA.height)
    rows = []
    for track, truth in performed:
        fitted = Fitter(body, assumed).video(lift(track, assumed), np.arange(len(truth)) / 30)
        rows.append(errors(fitted.joints[:, limbs], truth))
    print(f"camera assumed ({focal:.0f} px), videos: {ERRORS.format(*np.mean(rows, 0))}")


if __name__ == "__main__":
    main()
