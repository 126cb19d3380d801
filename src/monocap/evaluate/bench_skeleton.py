"""How fast and how exact the kinematic fit (recipe ``skeleton``) is on a walk whose truth is known."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from monocap import metrics
from monocap.bodies import load_body
from monocap.evaluate.bench_fit import CAMERA, FPS, JUDGED, noisy_walk
from monocap.evaluate.stopwatch import Figures, race
from monocap.fitting.skeleton_fit import KinematicSkeleton, SkeletonFit, SkeletonPose, Weights
from monocap.geometry import cameras
from monocap.types import Array

FRAMES = 150
NOISE_PX, NOISE_M, DRIFT_M = 3.0, 0.03, 0.04  # pixels and joints err by frame; joints also slowly, over half a second


def bench_skeleton(repeats: int) -> Figures:
    """CPU-milliseconds per frame, one call a frame as in live capture; steps; errors in mm against the true joints, of
    the 3D joints that go in, of the fit with our weights and with the paper's."""
    body = load_body("open")
    _, _, truth = noisy_walk(body, FRAMES)
    skeleton = KinematicSkeleton.of_body(body)
    rng = np.random.default_rng(7)
    drift = np.asarray(lfilter([1.0], [1.0, -np.exp(-2.0 / FPS)], rng.normal(0, 1, truth.shape), axis=0))
    seen3d = truth - truth[:, :1] + rng.normal(0, NOISE_M, truth.shape) + DRIFT_M * drift / drift.std()
    seen3d -= seen3d[:, :1]
    seen2d = np.asarray(cameras.project(truth, CAMERA)) + rng.normal(0, NOISE_PX, (*truth.shape[:2], 2))
    sure = np.ones(JUDGED)

    def run(weights: Weights) -> list[SkeletonPose]:
        fit = SkeletonFit(skeleton, CAMERA.K, weights)
        return [fit.step(a, b, sure, 1.0 / FPS) for a, b in zip(seen3d, seen2d, strict=True)]

    wall, cpu = race({"fit": lambda: run(Weights())}, repeats, seconds=0.0)["fit"]
    figures: Figures = {
        "frames": FRAMES,
        "joints": JUDGED,
        "unknowns": int(skeleton.columns.max()) + 1,
        "repeats": repeats,
        "wall_ms_per_frame": round(1e3 * wall / FRAMES, 4),
        "cpu_ms_per_frame": round(1e3 * cpu / FRAMES, 4),
        "input_mpjpe_mm": _millimetres(metrics.mpjpe(seen3d, truth, root=0)),
    }
    for name, weights in (("ours", Weights()), ("paper", Weights.paper(FPS))):
        found = run(weights)
        joints = np.stack([frame.points for frame in found])
        figures |= {
            f"{name}_mpjpe_mm": _millimetres(metrics.mpjpe(joints, truth, root=0)),
            f"{name}_depth_error_mm": _millimetres(np.abs(joints[:, 0, 2] - truth[:, 0, 2])),
            f"{name}_accel_error_m_s2": round(float(metrics.accel_error(joints, truth, fps=FPS).mean()), 3),
            f"{name}_steps_per_frame": round(float(np.mean([len(frame.trace) - 1 for frame in found])), 2),
        }
    return figures


def _millimetres(values: Array) -> float:
    return round(1e3 * float(np.mean(values)), 2)
