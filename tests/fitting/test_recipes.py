"""The recipes on people whose truth is known: the open body posed, projected, and found again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from monocap.bodies import BodyModel, load_body
from monocap.errors import InputError
from monocap.fitting import FitOptions, Fitter
from monocap.fitting.initialise import hinge_rotation, translation_from_keypoints
from monocap.fitting.state import PoseState, linearise
from monocap.geometry import rotations
from monocap.types import Camera, Keypoints, Track

CAMERA = Camera(1000.0, 1000.0, 479.5, 359.5, 960, 720)
FLIP = np.diag([1.0, -1.0, -1.0])  # upright in front of the camera, facing it


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


@dataclass(frozen=True)
class Truth:
    joints: NDArray[np.float64]
    points2d: NDArray[np.float64]
    hints: NDArray[np.float64]
    times: NDArray[np.float64]


def perform(body: BodyModel, frames: int, fps: float = 30.0, turn: float = 0.4) -> Truth:
    """Somebody who walks on the spot, waves and turns; the seen points are the true landmarks."""
    fitter = Fitter(body, CAMERA)
    times = np.arange(frames) / fps
    pose = np.zeros((frames, 21, 3))
    phase = 2 * np.pi * times
    index = {name: i - 1 for i, name in enumerate(body.joint_names)}
    pose[:, index["left_hip"], 0] = -0.4 + 0.4 * np.sin(phase)
    pose[:, index["right_hip"], 0] = -0.4 - 0.4 * np.sin(phase)
    pose[:, index["left_knee"], 0] = 0.6 - 0.4 * np.sin(phase)
    pose[:, index["right_knee"], 0] = 0.6 + 0.4 * np.sin(phase)
    pose[:, index["left_shoulder"], 2] = -0.9 + 0.3 * np.sin(phase)
    pose[:, index["right_shoulder"], 2] = 0.5 + 0.2 * np.cos(phase)
    pose[:, index["left_elbow"], 1] = -0.8
    pose[:, index["right_elbow"], 1] = 0.9 + 0.3 * np.sin(phase)
    yaw = np.zeros((frames, 3))
    yaw[:, 1] = turn + 0.3 * np.sin(0.5 * phase)
    root = FLIP @ rotations.axis_angle_to_matrix(yaw)
    transl = np.stack([0.3 * np.sin(0.3 * phase), np.full(frames, 0.1), 4.0 + 0.2 * np.cos(0.3 * phase)], axis=1)
    betas = np.zeros(body.shapedirs.shape[2])
    at = linearise(fitter.skeleton, PoseState(root, pose.reshape(frames, 63), transl, betas))
    pixels = at.points[..., :2] / at.points[..., 2:] * 1000.0 + [CAMERA.cx, CAMERA.cy]
    points2d = np.concatenate([pixels, np.ones((*pixels.shape[:2], 1))], axis=-1)
    hips = at.points[:, 23:25].mean(axis=1, keepdims=True)
    return Truth(at.joints, points2d, at.points - hips, times)


def track_of(truth: Truth, valid: NDArray[np.bool_] | None = None) -> Track:
    valid = np.ones(len(truth.times), bool) if valid is None else valid
    return Track(3, "blazepose33", truth.points2d, truth.hints, valid, np.ones(len(valid)))


def error_mm(found: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Mean distance of the joints that keypoints see (no toes), root-relative."""
    use = [i for i in range(22) if i not in (10, 11)]
    a, b = found[..., use, :], truth[..., use, :]
    return float(np.linalg.norm((a - a[..., :1, :]) - (b - b[..., :1, :]), axis=-1).mean() * 1e3)


@pytest.mark.parametrize("turn", [0.0, 1.5, 3.1])
def test_photo_finds_the_pose_from_any_side(body: BodyModel, turn: float) -> None:
    truth = perform(body, 1, turn=turn)
    keypoints = Keypoints("blazepose33", truth.points2d[0], truth.hints[0], 1.0)
    estimate = Fitter(body, CAMERA).photo(keypoints)
    assert error_mm(estimate.joints[0], truth.joints[0]) < 45
    assert estimate.residual_px[0] < 6
    assert abs(estimate.joints[0, 0, 2] - truth.joints[0, 0, 2]) < 0.25


def test_video_beats_its_noise(body: BodyModel, rng: np.random.Generator) -> None:
    truth = perform(body, 90)
    noisy = truth.points2d.copy()
    noisy[..., :2] += 4.0 * rng.normal(size=noisy[..., :2].shape)
    track = Track(0, "blazepose33", noisy, truth.hints, np.ones(90, bool), np.ones(90))
    smooth = Fitter(body, CAMERA).video(track, truth.times)
    rough = Fitter(body, CAMERA, FitOptions(smooth=0.0)).video(track, truth.times)
    assert error_mm(smooth.joints, truth.joints[:, :22]) < 45

    def jitter(joints: NDArray[np.float64]) -> float:
        return float(np.linalg.norm(np.diff(joints[:, :22], 2, axis=0), axis=-1).mean())

    assert jitter(smooth.joints) < 0.4 * jitter(rough.joints)
    assert jitter(smooth.joints) < 1.5 * jitter(truth.joints) + 1e-3


def test_gaps_are_bridged_and_marked(body: BodyModel) -> None:
    truth = perform(body, 60)
    valid = np.ones(60, bool)
    valid[:5] = valid[20:30] = valid[55:] = False
    estimate = Fitter(body, CAMERA).video(track_of(truth, valid), truth.times)
    np.testing.assert_array_equal(estimate.valid, valid)
    assert estimate.joints.shape == (60, 55, 3)
    assert np.all(estimate.confidence[~valid] == 0)
    steps = np.linalg.norm(np.diff(estimate.joints[:, :22], axis=0), axis=-1).max(axis=1)
    assert steps[:4].max() == pytest.approx(0.0, abs=1e-9), "held before the first sighting"
    assert steps.max() < 0.1, "no jump at the gap's edges"
    assert error_mm(estimate.joints[20:30], truth.joints[20:30]) < 150


def test_gaps_are_bridged_without_smoothing(body: BodyModel) -> None:
    """Nothing is seen in a gap: with smoothing off it is interpolated too, not left to the pose prior."""
    truth = perform(body, 60)
    valid = np.ones(60, bool)
    valid[20:30] = False
    joints = Fitter(body, CAMERA, FitOptions(smooth=0.0)).video(track_of(truth, valid), truth.times).joints[:, :22]
    steps = np.linalg.norm(np.diff(joints, axis=0), axis=-1).max(axis=1)
    assert steps.max() < 0.1
    assert np.allclose(np.diff(joints[20:30, 0], 2, axis=0), 0.0, atol=1e-6), (
        "the pelvis goes straight from edge to edge"
    )


def test_long_tracks_are_solved_in_runs(body: BodyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """No batch is longer than a window, smoothing or not: memory does not grow with the video."""
    from monocap.fitting import recipes

    monkeypatch.setattr(recipes, "WINDOW", 40)
    sizes: list[int] = []
    solve = recipes.solve_frames

    def counted(skeleton: Any, state: PoseState, *rest: Any) -> Any:
        sizes.append(state.frames)
        return solve(skeleton, state, *rest)

    monkeypatch.setattr(recipes, "solve_frames", counted)
    truth = perform(body, 100)
    Fitter(body, CAMERA, FitOptions(smooth=0.0)).video(track_of(truth), truth.times)
    assert max(sizes) <= 40


@pytest.mark.slow
def test_windows_leave_no_seam(body: BodyModel) -> None:
    truth = perform(body, 620)
    estimate = Fitter(body, CAMERA).video(track_of(truth), truth.times)
    speed = np.linalg.norm(np.diff(estimate.joints[:, :22] - truth.joints, axis=0), axis=-1).max(axis=1)
    for seam in (270, 300, 540, 570):
        assert speed[seam - 3 : seam + 3].max() < 1.5 * np.percentile(speed, 98) + 2e-3
    assert error_mm(estimate.joints, truth.joints) < 40


def test_height_sets_the_scale(body: BodyModel) -> None:
    truth = perform(body, 1)
    keypoints = Keypoints("blazepose33", truth.points2d[0], truth.hints[0], 1.0)
    depths = [
        Fitter(body, CAMERA, FitOptions(height=height)).photo(keypoints).params.transl[0, 2] for height in (1.6, 1.9)
    ]
    assert depths[1] / depths[0] == pytest.approx(1.9 / 1.6, rel=0.06)


def test_one_frame_video_and_nobody(body: BodyModel) -> None:
    truth = perform(body, 1)
    estimate = Fitter(body, CAMERA).video(track_of(truth), truth.times)
    assert estimate.joints.shape == (1, 55, 3)
    with pytest.raises(InputError, match="no frame in which the person was found"):
        Fitter(body, CAMERA).video(track_of(truth, np.zeros(1, bool)), truth.times)


def test_translation_is_exact_for_exact_points(rng: np.random.Generator) -> None:
    points = rng.normal(size=(4, 12, 3)) * 0.5
    transl = np.array([[0.2, -0.3, 3.0], [1.0, 0.0, 5.0], [0.0, 0.0, 2.0], [-2.0, 1.0, 9.0]])
    posed = points + transl[:, None]
    pixels = posed[..., :2] / posed[..., 2:] * 1000.0 + [CAMERA.cx, CAMERA.cy]
    found = translation_from_keypoints(points, pixels, np.ones((4, 12)), CAMERA.K)
    np.testing.assert_allclose(found, transl, atol=1e-3)


def test_hinge_rotation_turns_both_segments(rng: np.random.Generator) -> None:
    truth = rotations.axis_angle_to_matrix(rng.normal(size=(20, 3)))
    upper_rest, hinge = np.array([0.0, -1.0, 0.0]), np.array([1.0, 0.0, 0.0])
    lower_rest = rotations.axis_angle_to_matrix(np.array([1.1, 0.0, 0.0])) @ upper_rest  # a knee bent by 63°
    found = hinge_rotation(truth @ upper_rest, truth @ lower_rest, upper_rest, hinge)
    np.testing.assert_allclose(found, truth, atol=1e-9)


@pytest.mark.parametrize("options", [{"height": 17.0}, {"height": -1.0}, {"smooth": -0.5}, {"smooth": float("nan")}])
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"expected"):
        FitOptions(**options)


def test_wrong_keypoint_count(body: BodyModel) -> None:
    with pytest.raises(InputError, match=r"expected \(T, 33, 3\)"):
        Fitter(body, CAMERA).photo(Keypoints("coco17", np.zeros((17, 3)), np.zeros((17, 3)), 1.0))
