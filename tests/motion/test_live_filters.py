"""The live filters: calmer where still, in units that do not depend on frame rate or picture size."""

from __future__ import annotations

import numpy as np
import pytest

from monocap.errors import InputError
from monocap.motion.live_filters import CROP, LiveSettings, OneEuroSettings, SteadyPoints, SteadyPose


def run(points: np.ndarray, fps: float, settings: OneEuroSettings, unit: float = 1.0) -> np.ndarray:
    steady, seen = SteadyPoints(settings), np.ones(points.shape[1], bool)
    return np.stack([steady(p, seen, t / fps, unit) for t, p in enumerate(points)])


def test_a_larger_picture_of_the_same_motion_is_filtered_alike(rng: np.random.Generator) -> None:
    points = np.cumsum(rng.normal(0, 2, (60, 21, 2)), axis=0) + 200
    once = run(points, 30, LiveSettings().image, unit=1.0)
    large = run(3 * points, 30, LiveSettings().image, unit=3.0)
    assert np.abs(large - 3 * once).max() < 1e-9


def test_still_joints_are_calmed_and_moving_ones_hardly_late(rng: np.random.Generator) -> None:
    settings = LiveSettings().location
    still = rng.normal(0, 0.01, (300, 21, 3))
    out = run(still, 30, settings)
    shaken = np.diff(out[30:], axis=0).std() / np.diff(still[30:], axis=0).std()
    assert shaken < 0.5
    moving = np.zeros((90, 21, 3))
    moving[:, :, 0] = 2.0 * np.arange(90)[:, None] / 30  # 2 m/s: 67 mm a frame
    assert np.abs(run(moving, 30, settings)[60:] - moving[60:]).max() < 0.03


def test_at_twice_the_frame_rate_the_lag_is_the_same_time() -> None:
    settings = LiveSettings().location

    def lag(fps: int) -> float:
        times = np.arange(4 * fps) / fps
        points = np.broadcast_to(times[:, None, None], (len(times), 1, 3)) * 0.3
        return float(np.abs(run(points, fps, settings)[-1] - points[-1]).max())

    assert lag(60) == pytest.approx(lag(30), rel=0.35)


def test_what_is_not_seen_stays() -> None:
    steady = SteadyPoints(LiveSettings().image)
    seen = np.array([True, False])
    steady(np.array([[10.0, 10.0], [20.0, 20.0]]), np.ones(2, bool), 0.0)
    out = steady(np.array([[11.0, 10.0], [500.0, 0.0]]), seen, 1 / 30)
    assert np.allclose(out[1], 20.0)
    assert out[0, 0] > 10.2


def test_poses_turn_the_short_way_and_settings_scale() -> None:
    steady = SteadyPose(LiveSettings())
    before = np.array([[0.0, np.pi - 0.05, 0.0]])
    after = np.array([[0.0, -np.pi + 0.05, 0.0]])
    steady(before, np.zeros(3), 0.0)
    pose, place = steady(after, np.ones(3), 1 / 30)
    assert np.linalg.norm(pose) > np.pi - 0.06
    assert (place > 0.5).all()
    calm = LiveSettings().slower(2.0)
    assert calm.image.least_cutoff == pytest.approx(0.85)
    assert calm.location.gain == pytest.approx(20.0)
    with pytest.raises(InputError, match="smoothing"):
        LiveSettings().slower(0.0)
    assert CROP == 368.0
