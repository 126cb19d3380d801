"""What cleaning finds, and what it gets wrong: errors put into keypoints of motion capture whose truth is known.

    python tools/measure_cleaning.py --mocap FOLDER_OF_CMU_MOTION [--no-fit]
    python tools/measure_cleaning.py --seen FOLDER

Takes of CMU's motion at 30 Hz (walking, boxing, dancing, kicks, cartwheels, jumps; 150 frames each), seen by a camera
from random sides; keypoints with noise like the keypoint network's (white and slowly changing, 1 % of the stature
each). Into these: nothing; landmarks that jump away for one to three frames; blinks (another pose for one to three
frames); sides exchanged for 3 to 30 frames, of the whole body, the legs, the arms. Printed: how many were found, share
of the untouched that is taken for wrong, time, and PA-MPJPE and MPJPE of the fit over 12 limb joints before and after.

``--seen``: the network's own errors instead, on the clips of people that tools/render_keypoints.py wrote. Of clips in
which something is corrected: fit before and after; how far off what is corrected was and is. Then whether the lifter
ever takes depth the wrong way round: the angle by which limb bones err, and what it would be if always the best of
several hypotheses were taken (as lifted, upper, lower or both bones mirrored in depth, the keypoint network's 3D).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from measure_lifter import true_joints
from monocap import metrics
from monocap.bodies import BodyModel, load_body
from monocap.data.mocap.retarget import retarget
from monocap.data.mocap.takes import find_takes, read_take
from monocap.files import read_npz
from monocap.fitting import Fitter
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.state import PoseState, Skeleton, landmark_points
from monocap.geometry import rotations
from monocap.perception import Lifter, turn_to_camera
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


class Judge:
    """Fits tracks and says how far off they are."""

    def __init__(self) -> None:
        self.body, self.lifter = load_body("open"), Lifter()
        self.limbs = [self.body.joint_names.index(name) for name in LIMBS12]

    def errors(self, track: Track, camera: Camera, times: Array, truth: Array) -> Array:
        """PA-MPJPE and MPJPE, mm, of every frame in which the track is valid."""
        lifted = np.zeros(track.points3d.shape)
        found = track.valid
        lifted[found] = self.lifter.lift(track.points2d[found], camera, track.points3d[found])
        fitted = Fitter(self.body, camera).video(replace(track, points3d=lifted), times).joints[:, self.limbs]
        plain = metrics.mpjpe(fitted, truth, root=(LIMBS12.index("left_hip"), LIMBS12.index("right_hip")))
        return 1e3 * np.stack([metrics.pa_mpjpe(fitted, truth), plain], axis=-1)


def measure_injected(folder: Path, fit: bool) -> None:
    rng = np.random.default_rng(0)
    seen, judge = sights(folder, rng), Judge()
    for kind in KINDS:
        rows, before, after, spent, frames = [], [], [], 0.0, 0
        for track, truth in seen:
            times = np.arange(len(truth)) / FPS
            spoiled, touched = spoil(track, kind, rng)
            started = time.process_time()
            cleaned = clean(spoiled, times)
            spent, frames = spent + time.process_time() - started, frames + len(truth)
            sides = touched if touched.shape[1] == 2 else np.zeros((len(truth), 2), bool)
            points = touched if touched.shape[1] == 33 else np.zeros((len(truth), 33), bool)
            row = []
            for found, put in ((cleaned.rejected, points), (cleaned.exchanged, sides)):
                row += [(found & put).sum(), put.sum(), (found & ~put).sum(), (~put).sum()]
            rows.append(row)
            if fit:
                before.append(judge.errors(spoiled, CAMERA, times, truth).mean(axis=0))
                usable = replace(cleaned.track, valid=spoiled.valid & ~cleaned.blinks)
                after.append(judge.errors(usable, CAMERA, times, truth).mean(axis=0))
        found, of, false, clear, right, wrong, extra, rest = np.sum(rows, axis=0)
        line = f"{kind:8} landmarks found {found}/{of}, false {100 * false / clear:.2f} %; "
        line += f"sides found {right}/{wrong}, false {100 * extra / rest:.2f} %; {1e3 * spent / frames:.2f} ms/frame"
        if before:
            line += "; fit {:.1f} / {:.1f} mm".format(*np.mean(before, 0))
            line += " -> {:.1f} / {:.1f}".format(*np.mean(after, 0))
        print(line, flush=True)


def clips(folder: Path, body: BodyModel) -> Iterator[tuple[Track, Array, Camera, Array, Array]]:
    """Track, times, camera, true limb joints (T,12,3) and true landmarks (T,33,3) of every rendered clip."""
    for path in sorted(folder.glob("seen-*.npz")):
        shard = read_npz(path)
        for clip in np.unique(shard["clip"][shard["fps"] > 0]):
            part = {key: value[shard["clip"] == clip] for key, value in shard.items()}
            valid = (part["score"] >= 0.5) & (part["peak"] >= 0.3)
            if valid.sum() < 3:
                continue
            focal, cx, cy = (float(v) for v in part["camera"][0])
            points2d, points3d = part["points2d"].astype(np.float64), part["points3d"].astype(np.float64)
            track = Track(0, "blazepose33", points2d, points3d, valid, part["score"])
            times = np.arange(len(valid)) / float(part["fps"][0])
            yield track, times, Camera(focal, focal, cx, cy, 2000, 2000), true_joints(body, part), part["truth"]


def measure_seen(folder: Path) -> None:
    judge = Judge()
    frames, rejected, sides, fits, angles = 0, [], [], [], []
    for track, times, camera, joints, truth in clips(folder, judge.body):
        valid, cleaned = track.valid, clean(track, times)
        pixels = truth[..., :2] / truth[..., 2:] * camera.fx + [camera.cx, camera.cy]
        stature = 1.7 * camera.fx / truth[..., 2].mean(axis=1)[:, None]
        off = [np.linalg.norm(t.points2d[..., :2] - pixels, axis=-1) / stature for t in (track, cleaned.track)]
        frames += int(valid.sum())
        swapped = np.any(cleaned.exchanged, axis=1)
        lone = cleaned.rejected & ~np.expand_dims(swapped, 1)
        rejected += list(zip(*(o[lone] for o in off), strict=True))
        sides += list(zip(*(o[swapped][:, DISTAL].mean(axis=1) for o in off), strict=True))
        if swapped.any() or lone.any():
            usable = replace(cleaned.track, valid=valid & ~cleaned.blinks)
            fits += list(
                np.concatenate([judge.errors(t, camera, times, joints)[valid] for t in (track, usable)], axis=1)
            )
        angles += hypotheses(judge.lifter, cleaned.track, camera, truth)
    print(f"{frames} frames; clips with corrections: {len(fits)}, ", end="")
    print("fit {:.1f} / {:.1f} mm -> {:.1f} / {:.1f}".format(*np.mean(fits, axis=0)))
    for what, pairs in (("landmarks rejected", rejected), ("frames with sides exchanged", sides)):
        before, after = 100 * np.array(pairs).T
        print(f"{what}: {len(before)}, off {before.mean():.1f} -> {after.mean():.1f} % of the stature, ", end="")
        print(f"better by a percent {(after < before - 1).sum()}, worse {(after > before + 1).sum()}")
    lifted, best = np.array(angles).T
    print(f"limb bones err by {lifted.mean():.1f} degrees; best hypothesis {best.mean():.1f}, ", end="")
    print(f"better by 20 degrees or more in {100 * (best < lifted - 20).mean():.1f} %")


def hypotheses(lifter: Lifter, track: Track, camera: Camera, truth: Array) -> list[tuple[float, float]]:
    """Degrees by which the two bones of every limb err in every valid frame: as lifted, and of the best hypothesis."""
    points2d, points3d = track.points2d[track.valid], track.points3d[track.valid]
    truth = truth[track.valid].astype(np.float64)
    lifted, own = lifter.lift(points2d, camera, points3d), turn_to_camera(points3d, points2d, camera)
    ray = _unit(truth.mean(axis=1))[:, None]
    out = []
    for chain in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")):
        for side in ("left", "right"):
            limb = get("blazepose33").indices([f"{side}_{name}" for name in chain])
            bones, told, true = (_unit(np.diff(points[:, limb], axis=1)) for points in (lifted, own, truth))
            turned = bones - 2 * (bones * ray).sum(axis=-1, keepdims=True) * ray
            upper, lower = np.array([[[1.0], [0.0]], [[0.0], [1.0]]])
            ways = [bones, bones + upper * (turned - bones), bones + lower * (turned - bones), turned, told]
            cosine = (np.stack(ways) * true).sum(axis=-1)
            wrong = np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean(axis=-1)
            out += list(zip(wrong[0], wrong.min(axis=0), strict=True))
    return out


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(description="What cleaning finds and what it gets wrong.")
    parser.add_argument("--mocap", type=Path)
    parser.add_argument("--seen", type=Path)
    parser.add_argument("--no-fit", action="store_true", help="only count")
    given = parser.parse_args()
    if given.mocap is not None:
        measure_injected(given.mocap, not given.no_fit)
    if given.seen is not None:
        measure_seen(given.seen)


if __name__ == "__main__":
    main()
