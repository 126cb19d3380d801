"""Locked feet stay, bodies stay whole, and the picture stays what it was."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from walker import CAMERA, FPS, Walk, camera_at, person, seen_by, walk

from monocap import metrics
from monocap.bodies import BodyModel
from monocap.geometry import rotations
from monocap.motion import settle
from monocap.motion.foot_lock import LockRule, lock_feet
from monocap.motion.leg_ik import reach_ankles
from monocap.motion.legs import ANKLES, HIPS, KNEES, Legs
from monocap.priors.limits import PoseLimits
from monocap.types import Array, BodyParams


def disturbed(body: BodyModel, truth: Walk, rng: np.random.Generator) -> BodyParams:
    """The walk as a fit sees it: errors that last, most of them in depth, and in the legs."""
    params = seen_by(body, truth.params, camera_at(6, 0))
    noise = gaussian_filter1d(rng.normal(size=(len(truth.times), 66)), 0.2 * FPS, axis=0)
    noise /= noise.std(axis=0)
    legs = np.zeros(63)
    legs[Legs.of(body, params.betas).pose_columns[:6].ravel()] = 0.03
    ray = params.transl / np.linalg.norm(params.transl, axis=1, keepdims=True)
    transl = params.transl + 0.05 * noise[:, :1] * ray + 0.003 * noise[:, :3]
    return BodyParams(params.betas, params.global_orient, params.body_pose + legs * noise[:, 3:], transl)


def pixels(joints: Array) -> Array:
    return joints[..., :2] / joints[..., 2:] * CAMERA.fx


def test_feet_stay_and_nothing_else_suffers(body: BodyModel, rng: np.random.Generator) -> None:
    truth = walk(body)
    noisy = disturbed(body, truth, rng)
    true_joints = np.asarray(body.joints_only(**seen_by(body, truth.params, camera_at(6, 0)).asdict()))
    found = settle(body, CAMERA, truth.times, [person(body, noisy)])
    before, after = person(body, noisy)[1], found.estimates[0]
    standing = truth.planted.repeat(2, axis=1)
    inner = standing[1:] & standing[:-1]
    legs = Legs.of(body, noisy.betas)
    slid, slides = (metrics.foot_skate(legs.pose(e.params).points, inner, FPS) for e in (before, after))
    assert slid > 0.15
    assert slides < 0.4 * slid
    np.testing.assert_allclose(after.joints, body.joints_only(**after.params.asdict()), atol=1e-9)
    error = [metrics.mpjpe(e.joints[:, :22], true_joints[:, :22]).mean() for e in (before, after)]
    assert error[1] < error[0]
    jerks = [metrics.accel_error(e.joints[:, :22], true_joints[:, :22]).mean() for e in (before, after)]
    assert jerks[1] < 1.05 * jerks[0]
    assert np.linalg.norm(pixels(after.joints) - pixels(before.joints), axis=-1).mean() < 4.0
    limits = PoseLimits.load()
    assert (limits.excess(after.params.body_pose) <= limits.excess(before.params.body_pose) + 0.03).all()
    upper = [j for j in range(21) if j not in (0, 1, 3, 4, 6, 7)]
    np.testing.assert_array_equal(
        after.params.body_pose.reshape(-1, 21, 3)[:, upper], before.params.body_pose.reshape(-1, 21, 3)[:, upper]
    )


def test_a_foot_that_really_slides_is_not_dragged_back(body: BodyModel) -> None:
    """Even where a contact is claimed, no foot leaves its place by more than the bounds."""
    truth = walk(body, 60)
    params = seen_by(body, truth.params, camera_at(0, 0, heading=1.57))
    ground = settle(body, CAMERA, truth.times, [person(body, params)]).ground
    rule = LockRule()
    everywhere = np.ones((60, 4), bool)
    locked = lock_feet(Legs.of(body, params.betas), params, everywhere, truth.times, ground.up, ground.level, rule)
    legs = Legs.of(body, params.betas)
    moved = legs.pose(locked).points - legs.pose(params).points
    points = legs.pose(params).points
    ray = points / np.linalg.norm(points, axis=-1, keepdims=True)
    along = np.sum(moved * ray, axis=-1)
    across = np.linalg.norm(moved - along[..., None] * ray, axis=-1)
    assert across.max() < rule.across + 0.02
    assert np.abs(along).max() < rule.along + 0.02


def test_without_contact_nothing_changes(body: BodyModel) -> None:
    params = seen_by(body, walk(body, 20).params, camera_at(0, 0))
    none = np.zeros((20, 4), bool)
    up = np.array([0.0, -1.0, 0.0])
    assert lock_feet(Legs.of(body, params.betas), params, none, np.arange(20) / FPS, up, -1.4) is params


def test_ankles_go_where_they_are_wanted(body: BodyModel, rng: np.random.Generator) -> None:
    """Bones keep their lengths, feet their rotation, knees their side; what is out of reach is said."""
    params = walk(body, 40).params
    posed = Legs.of(body, params.betas).pose(params)
    wanted = posed.joints[:, list(ANKLES)] + 0.03 * rng.normal(size=(40, 2, 3)) + [0.0, 0.05, 0.0]
    reached, missing = reach_ankles(posed, np.zeros((40, 3)), wanted)
    close = np.linalg.norm(missing, axis=-1) < 1e-6
    assert close.mean() > 0.8
    np.testing.assert_allclose(reached.joints[:, list(ANKLES)][close], wanted[close], atol=1e-6)
    for upper, lower in ((HIPS, KNEES), (KNEES, ANKLES)):
        length = [
            np.linalg.norm(p.joints[:, list(lower)] - p.joints[:, list(upper)], axis=-1) for p in (posed, reached)
        ]
        np.testing.assert_allclose(length[0], length[1], atol=1e-9)
    np.testing.assert_allclose(reached.world[:, 5:], posed.world[:, 5:], atol=1e-9)
    chained = reached.world[:, [0, 0, 1, 2, 3, 4, 5, 6]] @ reached.local[:, 1:]
    np.testing.assert_allclose(chained, reached.world[:, 1:], atol=1e-9)
    assert np.degrees(rotations.geodesic_angle(posed.world[:, 1:3], reached.world[:, 1:3])).max() < 40.0

    far, short = reach_ankles(posed, np.zeros((40, 3)), posed.joints[:, list(ANKLES)] - [0.0, 0.5, 0.0])
    assert np.linalg.norm(short, axis=-1).min() > 0.2
    assert np.isfinite(far.local).all()


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_frames_are_left_alone(body: BodyModel, count: int) -> None:
    params = seen_by(body, walk(body, count).params, camera_at(0, 0))
    found = settle(body, CAMERA, np.arange(count) / FPS, [person(body, params)])
    np.testing.assert_array_equal(found.estimates[0].params.transl, params.transl)
    np.testing.assert_array_equal(found.estimates[0].params.body_pose, params.body_pose)
