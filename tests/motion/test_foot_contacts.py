"""Contacts begin and end where feet do, whatever the camera cannot see."""

from __future__ import annotations

import numpy as np
import pytest
from walker import CAMERA, FPS, camera_at, person, seen_by, walk

from monocap.bodies import BodyModel
from monocap.motion.contacts import feet_seen, foot_contacts, runs, sole_speed
from monocap.motion.legs import Legs
from monocap.types import Array


def f1(found: Array, true: Array) -> float:
    return 2 * float((found & true).sum()) / float(found.sum() + true.sum())


@pytest.mark.parametrize("drift", [0.0, 0.4])
def test_planted_feet_are_found(body: BodyModel, drift: float) -> None:
    """Also when the fit slides along the line of sight by 0.4 m/s."""
    truth = walk(body)
    params = seen_by(body, truth.params, camera_at(5, 0))
    points = Legs.of(body, params.betas).pose(params).points
    ray = points / np.linalg.norm(points, axis=-1, keepdims=True)
    points = points + drift * truth.times[:, None, None] * ray
    everywhere = np.ones(points.shape[:2], bool)
    found = foot_contacts(sole_speed(points, truth.times), None, everywhere, truth.times)
    assert f1(found, truth.planted.repeat(2, axis=1)) > 0.92


def test_speed_across_the_view_counts_whole_and_along_it_a_quarter() -> None:
    times = np.array([0.0, 0.1, 0.3, 0.4])  # uneven
    along = np.array([0.0, 0.0, 4.0]) + times[:, None, None] * np.array([0.0, 0.0, 1.0])
    across = np.array([0.0, 0.0, 4.0]) + times[:, None, None] * np.array([0.001, 0.0, 0.0])
    np.testing.assert_allclose(sole_speed(along, times), 0.25, rtol=1e-6)
    np.testing.assert_allclose(sole_speed(across, times), 0.001, rtol=1e-4)


def test_hysteresis_does_not_flicker_and_short_touches_are_none() -> None:
    times = np.arange(30) / FPS
    speed = np.full((30, 1), 1.0)
    speed[5:20, 0] = np.where(np.arange(15) % 2 == 0, 0.1, 0.4)  # above the entry threshold every other frame
    speed[25, 0] = 0.1
    found = foot_contacts(speed, None, np.ones((30, 1), bool), times)
    assert runs(found[:, 0]) == [(5, 20)]


def test_a_still_foot_in_the_air_does_not_stand() -> None:
    times = np.arange(10) / FPS
    still = np.zeros((10, 2))
    height = np.array([[0.02, 0.5]] * 10)
    found = foot_contacts(still, height, np.ones((10, 2), bool), times)
    assert found[:, 0].all()
    assert not found[:, 1].any()


def test_what_is_not_seen_does_not_stand(body: BodyModel) -> None:
    params = walk(body, 10).params
    track, _ = person(body, seen_by(body, params, camera_at(0, 0)), feet=False)
    names = tuple(f"x{i}" for i in range(33))
    assert not feet_seen(track, names, CAMERA).any(), "a skeleton without feet"
    possible = np.zeros((10, 4), bool)
    assert not foot_contacts(np.zeros((10, 4)), None, possible, np.arange(10) / FPS).any()
