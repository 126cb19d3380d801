"""A network's guess under another lens, and tracks that hold nobody."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monocap.bodies import load_body
from monocap.fitting import FitOptions
from monocap.geometry import rotations
from monocap.geometry.cameras import look_rotation, project, ray_of
from monocap.perception import Lifter
from monocap.perception.field_of_view import typical
from monocap.pipeline.people_camera import camera_by_people, guess_under
from monocap.types import BodyGuess, Camera, Track

BEFORE = Camera(1152.0, 1152.0, 639.5, 359.5, 1280, 720)
AFTER = replace(BEFORE, fx=1800.0, fy=1800.0)


@pytest.fixture
def guess() -> BodyGuess:
    rng = np.random.default_rng(3)
    pelvis = np.array([[0.8, -0.2, 4.0], [0.0, 0.0, 0.0], [-1.0, 0.4, 5.0]])
    return BodyGuess(0.5 * rng.normal(size=(3, 66)), np.zeros((3, 10)), pelvis)


def test_a_guess_stays_in_its_place_in_the_picture_and_goes_farther(guess: BodyGuess) -> None:
    moved = guess_under(guess, BEFORE, AFTER)
    said = [0, 2]
    assert project(moved.pelvis[said], AFTER) == pytest.approx(project(guess.pelvis[said], BEFORE), abs=1e-6)
    assert moved.pelvis[said, 2] == pytest.approx(guess.pelvis[said, 2] * 1800 / 1152)
    assert (moved.pelvis[1] == 0).all(), "nothing was said there"
    assert (moved.pose[1] == guess.pose[1]).all()
    assert (moved.pose[:, 3:] == guess.pose[:, 3:]).all()


def test_a_guess_looks_the_same_along_its_ray(guess: BodyGuess) -> None:
    """What the network saw in its crop: the root seen along the ray to the pelvis."""
    moved = guess_under(guess, BEFORE, AFTER)
    seen = []
    for one, camera in ((guess, BEFORE), (moved, AFTER)):
        ray = ray_of(project(one.pelvis[[0, 2]], camera), camera)
        root = rotations.axis_angle_to_matrix(one.pose[[0, 2], :3])
        seen.append(np.swapaxes(look_rotation(ray), -1, -2) @ root)
    assert seen[1] == pytest.approx(seen[0], abs=1e-6)


def test_there_and_back(guess: BodyGuess) -> None:
    back = guess_under(guess_under(guess, BEFORE, AFTER), AFTER, BEFORE)
    assert back.pelvis == pytest.approx(guess.pelvis)
    assert rotations.axis_angle_to_matrix(back.pose[:, :3]) == pytest.approx(
        rotations.axis_angle_to_matrix(guess.pose[:, :3]), abs=1e-6
    )


def test_tracks_that_hold_nobody_tell_nothing() -> None:
    empty = Track(0, "blazepose33", np.zeros((1, 33, 3)), np.zeros((1, 33, 3)), np.zeros(1, bool), np.zeros(1))
    found = camera_by_people(
        load_body("open"), FitOptions(), Lifter(), [empty], np.zeros(1), BEFORE, typical(1280, 720)
    )
    assert found is None
