"""Focal lengths told by people: derivatives, what a step in ln f leaves, walks that tell it, a pose that does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monocap.bodies import BodyModel, load_body
from monocap.errors import InputError
from monocap.fitting import Fitter
from monocap.fitting.camera import recipe
from monocap.fitting.camera.scene import PEOPLE, SceneState
from monocap.fitting.camera.solver import Scene, _normal
from monocap.fitting.state import PoseState, landmark_points
from monocap.geometry import rotations
from monocap.geometry.cameras import project
from monocap.perception.field_of_view import CameraGuess, tilt_of, up_of
from monocap.types import Array, Camera, Track

TRUE = Camera(1500.0, 1500.0, 639.5, 359.5, 1280, 720)
FPS, STEP, STRIDE = 10.0, 5, 0.6  # frames and metres of one step
TILT = np.array([-0.15, 0.02])


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


def sagittal(body: BodyModel, frames: int) -> tuple[Array, Array]:
    """Hip and knee angles and places (T,) of somebody who walks with straight legs, one foot fixed at a time: each leg
    swings like a compass, so that the standing ankle stays where it is by construction."""
    rest = np.asarray(body.J_template)
    leg = float(np.linalg.norm(rest[8] - rest[2]))
    phase = np.arange(frames) / STEP
    inside = phase % 1.0
    angle = np.arcsin((0.5 - inside) * STRIDE / leg)  # of the standing leg, ahead of the body first
    left = np.floor(phase).astype(int) % 2 == 0
    return np.where(left, angle, -angle), phase * STRIDE


def walker(body: BodyModel, fitter: Fitter, frames: int, heading: float) -> tuple[Track, PoseState]:
    """Keypoints as the true camera sees them, and true hints: a walk on a floor, the camera looking down on it."""
    angle, way = sagittal(body, frames)
    pose = np.zeros((frames, 21, 3))
    for side, sign in ((0, 1.0), (1, -1.0)):
        pose[:, side, 0] = -sign * angle
        pose[:, 15 + side, 2] = -1.2 if side == 0 else 1.2
    up = up_of(*TILT)
    right = np.cross([0.0, 0.0, 1.0], up)
    right /= np.linalg.norm(right)
    world = np.stack([right, up, np.cross(right, up)], axis=1)  # y up to the camera
    turn = rotations.axis_angle_to_matrix(np.array([0.0, heading, 0.0]))
    leg = float(np.linalg.norm(body.J_template[8] - body.J_template[2]))
    place = np.stack([np.zeros(frames), leg * np.cos(angle), way], axis=1) @ turn.T
    place -= np.array([place[:, 0].mean(), 0.0, place[:, 2].mean()])
    transl = (place + np.array([0.0, -leg - 0.3, 0.0])) @ world.T + np.array([0.0, 0.1, 6.0])
    root = np.broadcast_to(world @ turn, (frames, 3, 3)).copy()
    state = PoseState(root, pose.reshape(frames, 63), transl, np.zeros(body.num_betas))
    points = landmark_points(fitter.skeleton, state)
    pixels = project(points, TRUE)
    hints = points - points[:, 23:25].mean(axis=1, keepdims=True)
    seen = np.concatenate([pixels, np.full((frames, 33, 1), 0.95)], axis=-1)
    return Track(0, "blazepose33", seen, hints, np.ones(frames, bool), np.ones(frames)), state


def guess_of(focal: float, sigma: float = 0.35) -> CameraGuess:
    return CameraGuess(focal, sigma, None, None, None, "typical lens")


def fitter_at(body: BodyModel, focal: float) -> Fitter:
    return Fitter(body, replace(TRUE, fx=focal, fy=focal))


def caught(body: BodyModel, monkeypatch: pytest.MonkeyPatch) -> tuple[Scene, SceneState]:
    """The scene of a short walk as the recipe makes it, at its start."""
    calls = []
    solve = recipe.solve_scene
    monkeypatch.setattr(recipe, "solve_scene", lambda *args: calls.append(args) or solve(args[0], args[1], args[2], 1))
    fitter = fitter_at(body, 1300.0)
    track, _ = walker(body, fitter, 30, 0.4)
    recipe.fit_camera(fitter, [track], np.arange(30) / FPS, guess_of(1300.0))
    return calls[0][0], calls[0][1]


def test_the_gradient_is_that_of_the_energy(body: BodyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, state = caught(body, monkeypatch)
    assert scene.stances, "feet that stand were found"
    rng = np.random.default_rng(0)
    state = replace(state, apparent=np.array([0.1]), tilt=state.tilt + 0.05)
    normal = _normal(scene, state)
    still = np.zeros((state.poses[0].frames, 63))
    for column in range(min(state.shared, PEOPLE + 2 + 6)):
        shared = np.zeros(state.shared)
        shared[column] = 1e-5
        ahead, behind = (_normal(scene, state.step((still,), sign * shared)).cost for sign in (1.0, -1.0))
        slope = (ahead - behind) / 2e-5
        assert slope == pytest.approx(normal.shared_gradient[column], rel=5e-3, abs=2e-3), column
    for column in rng.choice(63, 8, replace=False):
        delta = still.copy()
        delta[3, column] = 1e-5
        nothing = np.zeros(state.shared)
        ahead, behind = (_normal(scene, state.step((sign * delta,), nothing)).cost for sign in (1.0, -1.0))
        slope = (ahead - behind) / 2e-5
        assert slope == pytest.approx(normal.gradient[0][3, column], rel=5e-3, abs=2e-3), column


def test_distances_follow_the_focal_length(body: BodyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step in ln f alone hardly moves the picture: that is what the parametrisation is for."""
    scene, state = caught(body, monkeypatch)
    shared = np.zeros(state.shared)
    shared[0] = 0.2
    moved = state.step((np.zeros((state.poses[0].frames, 63)),), shared)
    one, other = (
        project(landmark_points(scene.people[0].skeleton, s.poses[0]), scene.K(s.log_focal)) for s in (state, moved)
    )
    assert moved.poses[0].transl[:, 2] == pytest.approx(np.exp(0.2) * state.poses[0].transl[:, 2])
    size = np.ptp(one[..., 1], axis=1).mean()
    assert np.abs(one - other).mean() < 0.02 * size


def test_a_walk_towards_the_camera_tells_the_focal_length(body: BodyModel) -> None:
    fitter = fitter_at(body, 1100.0)
    track, _ = walker(body, fitter, 40, np.pi)
    found = recipe.fit_camera(fitter, [track], np.arange(40) / FPS, guess_of(1100.0))
    assert found.told, found.words
    assert abs(np.log(found.camera.fx / TRUE.fx)) < 0.6 * abs(np.log(1100 / TRUE.fx)), found.words
    assert abs(found.pitch - TILT[0]) < np.deg2rad(4.0)
    assert found.log_sigma < 0.3
    assert "give or take" in found.words


def test_one_picture_of_one_person_does_not_tell_and_that_is_said(body: BodyModel) -> None:
    fitter = fitter_at(body, 1100.0)
    track, _ = walker(body, fitter, 1, 0.0)
    found = recipe.fit_camera(fitter, [track], np.zeros(1), guess_of(1100.0))
    assert not found.told
    assert found.camera == fitter.camera
    assert "cannot be told" in found.words
    assert "typical lens" in found.words


def test_a_sure_guess_is_kept(body: BodyModel) -> None:
    fitter = fitter_at(body, 1480.0)
    track, _ = walker(body, fitter, 30, np.pi)
    found = recipe.fit_camera(fitter, [track], np.arange(30) / FPS, guess_of(1480.0, 0.02))
    assert found.camera.fx == pytest.approx(1480.0, rel=0.04)


def test_what_cannot_be_fitted_is_refused(body: BodyModel) -> None:
    fitter = fitter_at(body, 1100.0)
    track, _ = walker(body, fitter, 3, 0.0)
    with pytest.raises(InputError, match="expected equal"):
        recipe.fit_camera(fitter, [track], np.arange(3) / FPS, guess_of(900.0))
    nobody = replace(track, valid=np.zeros(3, bool))
    with pytest.raises(InputError, match="nobody is seen"):
        recipe.fit_camera(fitter, [nobody], np.arange(3) / FPS, guess_of(1100.0))


def test_tilt_and_up_are_inverse() -> None:
    assert tilt_of(up_of(*TILT)) == pytest.approx(tuple(TILT))
