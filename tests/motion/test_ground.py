"""Up and floor are found from people who walk and stand, and from nobody else."""

from __future__ import annotations

import numpy as np
import pytest
from walker import CAMERA, FPS, camera_at, person, seen_by, standing, tilt_error, walk

from monocap.bodies import BodyModel
from monocap.geometry import rotations, transforms
from monocap.motion import settle
from monocap.motion.legs import Legs
from monocap.types import Array, BodyEstimate, BodyParams, Track


def turned(params: BodyParams, axis_angle: tuple[float, float, float], up: float) -> BodyParams:
    """The whole body turned in the world about its pelvis and lifted by ``up`` m."""
    spin = rotations.axis_angle_to_matrix(np.array(axis_angle))
    orient = rotations.matrix_to_axis_angle(spin @ rotations.axis_angle_to_matrix(params.global_orient))
    return BodyParams(params.betas, orient, params.body_pose, params.transl + np.array([0.0, up, 0.0]))


def settled_world(body: BodyModel, people: list[tuple[Track, BodyEstimate]], frames: int) -> Array:
    return settle(body, CAMERA, np.arange(frames) / FPS, people).ground.T_world_camera


@pytest.mark.parametrize(("pitch", "roll", "height"), [(0, 0, 1.4), (10, 3, 1.8), (-8, -2, 0.5), (25, 0, 2.8)])
def test_a_walk_tells_tilt_and_height_of_the_camera(body: BodyModel, pitch: float, roll: float, height: float) -> None:
    T = camera_at(pitch, roll, height)
    found = settled_world(body, [person(body, seen_by(body, walk(body).params, T))], 90)
    assert tilt_error(found, T) < 2.0
    assert abs(found[1, 3] - height) < 0.1
    np.testing.assert_allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(found[:3, :3]) > 0


def test_errors_in_depth_do_little_harm(body: BodyModel, rng: np.random.Generator) -> None:
    T = camera_at(12, 0, 1.8)
    params = seen_by(body, walk(body).params, T)
    ray = params.transl / np.linalg.norm(params.transl, axis=1, keepdims=True)
    wobble = 0.1 * np.sin(2 * np.pi * np.arange(90)[:, None] / FPS + rng.uniform(0, 6))
    wrong = BodyParams(params.betas, params.global_orient, params.body_pose, params.transl + wobble * ray)
    assert tilt_error(settled_world(body, [person(body, wrong)], 90), T) < 3.0


def test_everybody_stands_on_the_same_ground(body: BodyModel) -> None:
    near, far = turned(standing(body, 30), (0, 1, 0), 0.0), walk(body, 30).params
    near.transl[:, 0] += 0.8
    far.transl[:, 2] -= 2.0
    turns = camera_at(9, 0, 1.6), camera_at(9, 0, 1.6, heading=2.0)  # the same up and height
    people = [person(body, seen_by(body, p, T)) for p, T in zip((near, far), turns, strict=True)]
    found = settle(body, CAMERA, np.arange(30) / FPS, people)
    assert found.ground.seen
    for estimate, contact in zip(found.estimates, found.foot_contact, strict=True):
        legs = Legs.of(body, estimate.params.betas)
        soles = transforms.apply(found.ground.T_world_camera, legs.pose(estimate.params).points)
        assert contact.any()
        assert np.abs(soles[contact][:, 1]).max() < 0.03


@pytest.mark.parametrize(
    "pose", [(np.pi / 2, 0.0, 0.0), (0.0, 0.0, np.pi / 2), (np.pi, 0.0, 0.0)], ids=["on the back", "side", "head"]
)
def test_who_lies_or_stands_on_the_head_does_not_turn_the_world(
    body: BodyModel, pose: tuple[float, float, float]
) -> None:
    """Neither alone, where the camera stays level, nor beside somebody who walks."""
    T = camera_at(0, 0, 1.2)
    lying = person(body, seen_by(body, turned(standing(body, 60), pose, 0.2), T))
    assert tilt_error(settled_world(body, [lying], 60), T) < 1.0
    tilted = camera_at(12, 0, 1.7)
    walker = person(body, seen_by(body, walk(body, 60).params, tilted))
    lying = person(body, seen_by(body, turned(standing(body, 60), pose, 0.2), tilted))
    assert tilt_error(settled_world(body, [walker, lying], 60), tilted) < 2.5


def test_a_lying_body_lies_on_the_ground(body: BodyModel) -> None:
    T = camera_at(0, 0, 1.2)
    params = seen_by(body, turned(standing(body, 10), (-np.pi / 2, 0.0, 0.0), 0.0), T)
    found = settled_world(body, [person(body, params)], 10)
    vertices = transforms.apply(found, np.asarray(body(**params.asdict()).vertices, np.float64)[0])
    assert abs(vertices[:, 1].min()) < 0.1


def test_one_photo_hardly_tilts_the_camera(body: BodyModel) -> None:
    """A pose of one moment need not be in balance: somebody leaning by 25° tilts the world by a few degrees."""
    T = camera_at(0, 0, 1.2)
    leaning = turned(standing(body, 1), (np.deg2rad(25.0), 0.0, 0.0), 0.0)
    assert tilt_error(settled_world(body, [person(body, seen_by(body, leaning, T))], 1), T) < 8.0


def test_half_a_body_leaves_the_camera_level_and_stands(body: BodyModel) -> None:
    T = camera_at(15, 4, 1.2)
    params = seen_by(body, walk(body, 30).params, T)
    found = settle(body, CAMERA, np.arange(30) / FPS, [person(body, params, feet=False)])
    np.testing.assert_allclose(found.ground.up, [0.0, -1.0, 0.0], atol=1e-12)
    assert not found.ground.seen
    assert not found.foot_contact.any()
    soles = transforms.apply(found.ground.T_world_camera, Legs.of(body, params.betas).pose(params).points)
    assert abs(np.percentile(soles[..., 1].min(axis=1), 5)) < 0.02
    np.testing.assert_array_equal(found.estimates[0].params.body_pose, params.body_pose)


def test_a_jump_does_not_move_the_ground(body: BodyModel) -> None:
    T = camera_at(5, 0, 1.4)
    calm, jumping = standing(body, 90), standing(body, 90)
    jumping.transl[30:60, 1] += 0.5 * np.sin(np.linspace(0, np.pi, 30)) ** 2
    times = np.arange(90) / FPS
    still, found = (settle(body, CAMERA, times, [person(body, seen_by(body, p, T))]) for p in (calm, jumping))
    assert tilt_error(found.ground.T_world_camera, T) < 3.0
    assert abs(found.ground.level - still.ground.level) < 0.05
    assert found.foot_contact[0, :25].all()
    assert not found.foot_contact[0, 38:52].any()


def test_a_roof_is_a_floor_too(body: BodyModel) -> None:
    """One person on the ground, one a storey higher: the ground is where most stand, both have contacts."""
    T = camera_at(0, 0, 1.4)
    low, high = walk(body, 60).params, turned(standing(body, 60), (0, 0, 0), 1.5)
    found = settle(body, CAMERA, np.arange(60) / FPS, [person(body, seen_by(body, p, T)) for p in (low, low, high)])
    assert tilt_error(found.ground.T_world_camera, T) < 2.0
    assert abs(found.ground.T_world_camera[1, 3] - 1.4) < 0.1
    assert found.foot_contact[2].all()
    drift = np.linalg.norm(found.estimates[2].joints - person(body, seen_by(body, high, T))[1].joints, axis=-1)
    assert drift.max() < 0.05, "who stands on a roof is not pulled down"


def test_nobody_leaves_a_level_camera() -> None:
    found = settle(None, CAMERA, np.zeros(3), [])  # type: ignore[arg-type]  # no body is asked for
    np.testing.assert_allclose(found.ground.T_world_camera, np.diag([1.0, -1.0, -1.0, 1.0]))
    assert found.foot_contact.shape == (0, 3, 4)
