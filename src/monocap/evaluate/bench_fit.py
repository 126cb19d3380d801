"""How fast and how exact the fit is on a motion whose truth is known: the open body walks on the spot, waves, turns."""

from __future__ import annotations

import numpy as np

from monocap import metrics
from monocap.bodies import BodyModel, load_body
from monocap.evaluate.stopwatch import Figures, race
from monocap.fitting import Fitter
from monocap.fitting.state import PoseState, linearise
from monocap.geometry import kinematics, rotations
from monocap.types import Array, Camera, Keypoints, Track

CAMERA = Camera(1000.0, 1000.0, 479.5, 359.5, 960, 720)
FRAMES, FPS = 120, 30.0
NOISE_PX, NOISE_HINT = 3.0, 0.03  # about 1 % of the person; hints of networks err by centimetres
JUDGED = 22  # body joints without jaw, eyes and fingers


def bench_fit(repeats: int) -> Figures:
    """Milliseconds per frame of the video recipe (120 frames) and per photo; errors in mm against the true joints."""
    body = load_body("open")
    figures: Figures = {"frames": FRAMES, "repeats": repeats, "compile_s": round(kinematics.warmup(), 3)}
    fitter = Fitter(body, CAMERA)
    track, times, truth = noisy_walk(body, FRAMES)
    photo = Keypoints(track.skeleton, track.points2d[0], track.points3d[0], 1.0)
    rivals = {"video": lambda: fitter.video(track, times), "photo": lambda: fitter.photo(photo)}
    measured = race(rivals, repeats, seconds=0.0)
    for name, per, unit in (("video", FRAMES, "frame"), ("photo", 1, "photo")):
        wall, cpu = measured[name]
        figures[f"{name}_wall_ms_per_{unit}"] = round(1e3 * wall / per, 4)
        figures[f"{name}_cpu_ms_per_{unit}"] = round(1e3 * cpu / per, 4)
    found, still = fitter.video(track, times).joints[:, :JUDGED], fitter.photo(photo).joints[:, :JUDGED]
    figures["video_mpjpe_mm"] = round(1e3 * float(metrics.mpjpe(found, truth, root=0).mean()), 3)
    figures["video_pa_mpjpe_mm"] = round(1e3 * float(metrics.pa_mpjpe(found, truth).mean()), 3)
    figures["video_accel_error_m_s2"] = round(float(metrics.accel_error(found, truth, fps=FPS).mean()), 4)
    figures["photo_pa_mpjpe_mm"] = round(1e3 * float(metrics.pa_mpjpe(still, truth[:1]).mean()), 3)
    return figures


def noisy_walk(body: BodyModel, frames: int) -> tuple[Track, Array, Array]:
    """A track of noisy keypoints, its times (T,) s, and the true joints (T,22,3) m, camera frame."""
    fitter, rng = Fitter(body, CAMERA), np.random.default_rng(4)
    times = np.arange(frames) / FPS
    swing = np.sin(2 * np.pi * times)
    pose = np.zeros((frames, 21, 3))
    at = {name: i - 1 for i, name in enumerate(body.joint_names)}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        pose[:, at[f"{side}_hip"], 0] = -0.4 + 0.4 * sign * swing
        pose[:, at[f"{side}_knee"], 0] = 0.6 - 0.4 * sign * swing
        pose[:, at[f"{side}_shoulder"], 2] = -sign * (0.9 - 0.3 * swing)
        pose[:, at[f"{side}_elbow"], 1] = -0.8 * sign
    turn = np.zeros((frames, 3))
    turn[:, 1] = 0.4 + 0.5 * np.sin(np.pi * times)
    root = np.diag([1.0, -1.0, -1.0]) @ rotations.axis_angle_to_matrix(turn)
    transl = np.stack([0.3 * np.sin(2 * times), np.full(frames, 0.1), 4.0 + 0.2 * np.cos(2 * times)], axis=1)
    state = PoseState(root, pose.reshape(frames, 63), transl, np.zeros(body.num_betas))
    seen = linearise(fitter.skeleton, state)
    pixels = CAMERA.fx * seen.points[..., :2] / seen.points[..., 2:] + [CAMERA.cx, CAMERA.cy]
    pixels += rng.normal(0, NOISE_PX, pixels.shape)
    hints = seen.points - seen.points[:, 23:25].mean(axis=1, keepdims=True)
    hints += rng.normal(0, NOISE_HINT, hints.shape)
    points2d = np.concatenate([pixels, np.ones((*pixels.shape[:2], 1))], axis=-1)
    sure = np.ones(frames)
    return Track(0, "blazepose33", points2d, hints, sure.astype(bool), sure), times, seen.joints[:, :JUDGED]
