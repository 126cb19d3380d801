"""Bridged gaps: from pose to pose without flying, spinning or sinking; what was seen is not touched."""

from __future__ import annotations

import numpy as np
import pytest
from walker import FPS, camera_at, seen_by, standing, walk

from monocap.bodies import BodyModel
from monocap.geometry import rotations
from monocap.motion.gaps import bridge_gaps
from monocap.motion.legs import Legs
from monocap.types import BodyParams

UP = camera_at(5, 0)[:3, 1]


def with_gap(body: BodyModel, frames: int, gap: slice) -> tuple[BodyParams, np.ndarray]:
    """A walk whose hidden frames hold rubbish."""
    params = seen_by(body, walk(body, frames).params, camera_at(5, 0))
    valid = np.ones(frames, bool)
    valid[gap] = False
    params.transl[gap] += 2.0
    params.global_orient[gap] *= -1.0
    params.body_pose[gap] += 1.0
    return params, valid


@pytest.mark.parametrize("length", [15, 30, 150])
def test_a_gap_is_crossed_on_a_short_way(body: BodyModel, length: int) -> None:
    gap = slice(40, 40 + length)
    params, valid = with_gap(body, length + 80, gap)
    times = np.arange(length + 80) / FPS
    legs = Legs.of(body, params.betas)
    bridged, changed = bridge_gaps(legs, params, valid, times, UP)
    np.testing.assert_array_equal(changed, ~valid)
    for name in ("transl", "global_orient", "body_pose"):
        np.testing.assert_array_equal(getattr(bridged, name)[valid], getattr(params, name)[valid])
    path = bridged.transl[39 : 41 + length]
    line = np.linspace(path[0], path[-1], len(path))
    assert np.linalg.norm(path - line, axis=-1).max() < 0.12 * np.linalg.norm(path[-1] - path[0]) + 0.05
    speed = np.linalg.norm(np.diff(path, axis=0), axis=-1) * FPS
    mean = np.linalg.norm(path[-1] - path[0]) * FPS / (length + 1)
    assert speed.max() < 2.2 * max(mean, 0.5)
    root = rotations.axis_angle_to_matrix(bridged.global_orient[39 : 41 + length])
    turned = np.asarray(rotations.geodesic_angle(root[1:], root[:-1])).sum()
    assert turned < float(rotations.geodesic_angle(root[0], root[-1])) + 0.3
    lowest = (legs.pose(bridged).points @ UP).min(axis=1)
    assert np.ptp(lowest[39 : 41 + length]) < np.ptp(lowest[valid]) + 0.01, "neither sinks nor floats"


def test_speed_is_continuous_at_the_ends(body: BodyModel) -> None:
    params, valid = with_gap(body, 110, slice(40, 70))
    times = np.arange(110) / FPS
    bridged, _ = bridge_gaps(Legs.of(body, params.betas), params, valid, times, UP)
    acceleration = np.linalg.norm(np.diff(bridged.transl, 2, axis=0), axis=-1) * FPS**2
    assert acceleration[36:74].max() < 15.0


def test_turns_take_the_short_way_round(body: BodyModel) -> None:
    params = standing(body, 90)
    params.global_orient[60:, 1] = 2.0 * np.pi - 0.5  # the same as -0.5
    valid = np.ones(90, bool)
    valid[30:60] = False
    bridged, _ = bridge_gaps(Legs.of(body, params.betas), params, valid, np.arange(90) / FPS, np.array([0.0, 1.0, 0.0]))
    root = np.asarray(rotations.axis_angle_to_matrix(bridged.global_orient))
    assert np.asarray(rotations.geodesic_angle(root[1:], root[:-1])).sum() < 0.55


def test_short_gaps_and_open_ends_are_left_alone(body: BodyModel) -> None:
    params, _ = with_gap(body, 60, slice(0, 0))
    legs, times = Legs.of(body, params.betas), np.arange(60) / FPS
    for hidden in (slice(20, 25), slice(0, 20), slice(40, 60), slice(0, 60)):
        valid = np.ones(60, bool)
        valid[hidden] = False
        bridged, changed = bridge_gaps(legs, params, valid, times, UP)
        assert bridged is params
        assert not changed.any()


def test_a_single_sighting_between_gaps_is_enough(body: BodyModel) -> None:
    params, valid = with_gap(body, 90, slice(10, 40))
    valid[41:80] = False
    bridged, _ = bridge_gaps(Legs.of(body, params.betas), params, valid, np.arange(90) / FPS, UP)
    assert np.isfinite(bridged.body_pose).all()
    np.testing.assert_array_equal(bridged.transl[40], params.transl[40])
