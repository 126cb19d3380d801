"""Cleaning of a video's keypoints: honest motion stays as it is, errors that were put in are found and put right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monocap.bodies import load_body
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.state import PoseState, Skeleton, landmark_points
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.perception.cleaning import clean, statures
from monocap.perception.exchanges import exchange
from monocap.pipeline.clock import silent
from monocap.pipeline.engine import CaptureEngine
from monocap.skeletons import LIMBS12, get
from monocap.types import Array, Camera, Track

CAMERA = Camera(1000.0, 1000.0, 639.5, 359.5, 1280, 720)
STATURE = 1.7 * 1000 / 4.5  # px
NAMES = get("blazepose33")
LIMBS = NAMES.indices(LIMBS12)


def walker(times: Array, turn: Array | float = 0.6, kick: bool = False) -> Track:
    """Somebody who strides at one spot, at ``times`` s, heading ``turn`` rad, with the network's noise; ``kick``: the
    right leg swings up and back once, at 11 rad/s and 220 rad/s²."""
    body = load_body("open")
    skeleton = Skeleton.of(body, blazepose_landmarks(body))
    rng = np.random.default_rng(4)
    count = len(times)
    swing = np.sin(2 * np.pi * 0.9 * times)
    pose = np.zeros((count, 21, 3))
    pose[:, 0, 0], pose[:, 1, 0] = -0.5 * swing, 0.5 * swing  # thighs
    pose[:, 3, 0], pose[:, 4, 0] = 0.5 + 0.4 * swing, 0.5 - 0.4 * swing  # shins
    pose[:, 15, 2], pose[:, 16, 2] = -1.2, 1.2  # upper arms, down
    pose[:, 15, 1], pose[:, 16, 1] = -0.5 * swing, -0.5 * swing
    if kick:
        pose[:, 1, 0] -= 1.6 * np.exp(-(((times - times[count // 2]) / 0.12) ** 2))
    heading = np.zeros((count, 3))
    heading[:, 1] = turn
    root = np.diag([1.0, -1.0, -1.0]) @ axis_angle_to_matrix(heading)
    state = PoseState(root, pose.reshape(count, 63), np.tile([0.0, 0.2, 4.5], (count, 1)), np.zeros(16))
    points = landmark_points(skeleton, state)
    pixels = points[..., :2] / points[..., 2:] * CAMERA.fx + [CAMERA.cx, CAMERA.cy]
    pixels += 0.007 * STATURE * rng.normal(size=pixels.shape)
    guess = points - points[:, 23:25].mean(axis=1, keepdims=True)
    points2d = np.concatenate([pixels, rng.uniform(0.6, 1.0, (count, 33, 1))], axis=-1)
    return Track(0, "blazepose33", points2d, guess, np.ones(count, bool), np.ones(count))


def untouched(track: Track, times: Array) -> bool:
    cleaned = clean(track, times)
    assert np.array_equal(cleaned.track.valid, track.valid)
    same = np.array_equal(cleaned.track.points2d, track.points2d)
    assert same == (not cleaned.rejected.any() and not cleaned.exchanged.any())
    return same and np.array_equal(cleaned.track.points3d, track.points3d)


@pytest.mark.parametrize("fps", [5.0, 30.0, 120.0])
@pytest.mark.parametrize("turn", [0.0, 0.6, 1.6, 3.1])
def test_honest_motion_stays(fps: float, turn: float) -> None:
    times = np.arange(60) / fps
    assert untouched(walker(times, turn), times)


def test_a_kick_and_a_turn_stay() -> None:
    times = np.arange(60) / 30
    for turn in (0.0, 0.8, 1.6):
        assert untouched(walker(times, turn, kick=True), times)
    assert untouched(walker(times, 2 * np.pi * times / 2), times), "once round in two seconds"


def test_uneven_times_gaps_and_single_frames() -> None:
    times = np.cumsum(np.random.default_rng(0).choice([0.01, 0.033, 0.05, 0.2], 60))
    assert untouched(walker(times), times)
    track = walker(np.arange(60) / 30)
    for part in (slice(0, 1), slice(0, 2), slice(0, 3)):
        few = replace(track, **{k: getattr(track, k)[part] for k in ("points2d", "points3d", "valid", "score")})
        assert untouched(few, np.arange(60)[part] / 30)
    lost = np.zeros(60, bool)
    lost[[0, 1, 20, 21, 22, 40, 59]] = True
    zeroed = {k: np.where(lost[:, None, None], 0.0, getattr(track, k)) for k in ("points2d", "points3d")}
    assert untouched(replace(track, valid=~lost, **zeroed), np.arange(60) / 30)
    assert untouched(replace(track, valid=np.zeros(60, bool)), np.arange(60) / 30)


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("name", ["left_wrist", "right_ankle", "left_knee", "right_hip"])
def test_a_landmark_that_jumps_away_is_put_back(name: str, length: int) -> None:
    times = np.arange(60) / 30
    track, which = walker(times), NAMES.index(name)
    points = np.array(track.points2d)
    run = slice(30, 30 + length)
    points[run, which, :2] += 0.35 * STATURE * np.array([0.6, -0.8])
    cleaned = clean(replace(track, points2d=points), times)
    expected = np.zeros((60, 33), bool)
    expected[run, which] = True
    assert np.array_equal(cleaned.rejected, expected)
    assert (cleaned.track.points2d[run, which, 2] == 0).all(), "no confidence in what was not seen"
    off = np.linalg.norm((cleaned.track.points2d - track.points2d)[run, which, :2], axis=-1)
    assert off.max() < 0.05 * STATURE
    kept = ~expected
    assert np.array_equal(cleaned.track.points2d[kept], track.points2d[kept])


def test_blinks_are_rejected_as_a_whole_and_frames_stay_valid() -> None:
    times = np.arange(60) / 30
    track = walker(times)
    points = np.array(track.points2d)
    middle = points[:, 23:25, :2].mean(axis=1, keepdims=True)
    turned = (points[..., :2] - middle)[..., ::-1] + middle  # lying instead of standing
    blink = np.isin(np.arange(60), [12, 30, 31, 45, 46, 47])
    points[blink, :, :2] = turned[blink]
    cleaned = clean(replace(track, points2d=points), times)
    assert np.array_equal(cleaned.blinks, blink)
    assert cleaned.rejected[blink].all()
    assert not cleaned.rejected[~blink].any()
    assert cleaned.track.valid.all()
    off = np.linalg.norm((cleaned.track.points2d - track.points2d)[blink][..., :2], axis=-1)
    assert off.max() < 0.1 * STATURE


@pytest.mark.parametrize("parts", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("turn", [0.0, 3.1])
def test_sides_that_are_exchanged_for_a_while_are_put_right(parts: tuple[bool, bool], turn: float) -> None:
    times = np.arange(90) / 30
    track = walker(times, turn)
    sides = np.zeros((90, 2), bool)
    for run in (slice(20, 21), slice(35, 50), slice(80, 90)):
        sides[run] = parts
    points2d, points3d = exchange(track.points2d, track.points3d, sides)
    cleaned = clean(replace(track, points2d=points2d, points3d=points3d), times)
    assert np.array_equal(cleaned.exchanged, sides)
    np.testing.assert_array_equal(cleaned.track.points2d, track.points2d)
    np.testing.assert_array_equal(cleaned.track.points3d, track.points3d)


def test_a_cut_is_no_error() -> None:
    """Another picture of the same person: from another side, at another place."""
    times = np.arange(80) / 30
    track, other = walker(times, 0.3), walker(times, 2.9)
    points = np.array(track.points2d)
    points[40:] = other.points2d[40:] + np.array([180.0, -60.0, 0.0])
    cleaned = clean(replace(track, points2d=points), times)
    assert not cleaned.exchanged.any()
    assert not cleaned.blinks.any()
    assert not cleaned.rejected[:37].any()
    assert not cleaned.rejected[43:].any()
    assert cleaned.rejected.sum() <= 20, "what hardly moved may be bridged for a frame or two"


def test_stature_in_the_picture() -> None:
    times = np.arange(60) / 30
    assert statures(walker(times).points2d, times) == pytest.approx(STATURE, rel=0.12)


def test_capture_fits_the_cleaned_track_and_keeps_what_was_detected() -> None:
    times = np.arange(40) / 30
    track = walker(times, 2.6)
    sides = np.zeros((40, 2), bool)
    sides[15:25, 1] = True
    points2d, points3d = exchange(track.points2d, track.points3d, sides)
    points2d[30, :, 0] = 2 * points2d[30, 23:25, 0].mean() - points2d[30, :, 1] + points2d[30, 23:25, 1].mean()
    spoiled = replace(track, points2d=points2d, points3d=points3d)
    engine = CaptureEngine()
    (_, wanted), (kept, found) = (engine._fit_track(one, CAMERA, times, silent) for one in (track, spoiled))
    assert np.array_equal(kept.points2d, points2d)
    assert found.valid.all()
    off = np.linalg.norm(found.joints - wanted.joints, axis=-1)[:, :22]
    assert off.max() < 0.1
    assert off.mean() < 0.01
