"""Hands and faces of known bodies are found again from their points; wrists, arms and heads follow within limits."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from monocap.bodies import BodyModel, load_body
from monocap.bodies.arkit import arkit_shapes
from monocap.fitting.expressive import FADE, express, presence
from monocap.fitting.face import face_part, fit_face
from monocap.fitting.hands import Wrist, _mistaken, fit_hand, hand_part, relaxed
from monocap.fitting.parts import Part, baked
from monocap.fitting.smplifyx.state import Free
from monocap.geometry.rotations import axis_angle_to_matrix, geodesic_angle, rotation_between
from monocap.perception.parts import no_parts
from monocap.priors.fingers import finger_prior
from monocap.priors.limits import PoseLimits
from monocap.types import ARKIT, BodyEstimate, BodyParams, Camera, Parts

CAMERA = Camera(1200.0, 1200.0, 479.5, 359.5, 960, 720)
UPRIGHT = np.diag([1.0, -1.0, -1.0])


@cache
def body() -> BodyModel:
    return load_body("open")


def at_rest(side: str, frames: int) -> np.ndarray:
    """(T,45) relaxed hands."""
    hand = relaxed(body(), side)
    assert hand is not None
    return np.tile(hand, (frames, 1))


def seen(part: Part, state: Free) -> np.ndarray:
    """(N,K,6) points as the network gives them, metres as the crop sees them."""
    points = part.at(state, derivatives=False).points
    pixels = points[..., :2] / points[..., 2:] * CAMERA.fx + [CAMERA.cx, CAMERA.cy]
    metres = points - points.mean(axis=1, keepdims=True)
    middle = pixels.mean(axis=1)
    ray = np.column_stack([(middle - [CAMERA.cx, CAMERA.cy]) / CAMERA.fx, np.ones(len(points))])
    turned = rotation_between(np.broadcast_to([0.0, 0.0, 1.0], ray.shape), ray)
    return np.concatenate([pixels, np.ones((*pixels.shape[:2], 1)), metres @ turned], axis=-1)


def hands(side: str, count: int = 12) -> tuple[Part, Free, np.ndarray]:
    """A hand that opens and closes and turns, and where its wrist is."""
    rng = np.random.default_rng(2)
    part = hand_part(baked(body(), np.zeros(16)), side)
    state = part.rest(count)
    turns = np.linspace(0, 0.8, count)[:, None] * [0.0, 0.0, 1.0] + rng.normal(0, 0.5, 3)
    state.root[:] = axis_angle_to_matrix(turns) @ UPRIGHT
    closing = body().hand_data[f"{side}_hand_pose"][1][0]
    state.values[:, part.layout["pose"]] = np.sin(np.linspace(-1, 2, count))[:, None] * closing
    wrist = np.array([0.3, -0.1, 2.4]) + np.linspace(0, 0.1, count)[:, None] * [1.0, 0.0, 0.0]
    state.values[:, part.layout["transl"]] = part.place(wrist)
    return part, state, wrist


@pytest.mark.parametrize("part_name", ["left", "face"])
def test_derivatives_of_parts(part_name: str, rng: np.random.Generator) -> None:
    bare = baked(body(), rng.normal(0, 0.5, 16))
    part = face_part(bare) if part_name == "face" else hand_part(bare, part_name)
    state = part.rest(1)
    state.root[:] = axis_angle_to_matrix(rng.normal(0, 1, (1, 3)))
    state.values[:, 3:] = rng.normal(0, 0.2, state.values[:, 3:].shape)
    analytic = part.at(state).d_points
    assert analytic is not None
    for column in range(part.layout.size):
        delta = np.zeros((1, part.layout.size))
        delta[0, column] = 1e-5
        ahead, behind = (part.at(state.step(s * delta), derivatives=False).points for s in (1, -1))
        np.testing.assert_allclose(analytic[..., column], (ahead - behind) / 2e-5, atol=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_hand_is_found_again(side: str) -> None:
    part, state, wrist = hands(side)
    points = seen(part, state)
    times = np.arange(len(points)) / 30
    fit = fit_hand(body(), np.zeros(16), side, points, wrist + np.array([0.02, -0.02, 0.05]), CAMERA, times)
    assert fit.seen.all()
    assert np.degrees(geodesic_angle(fit.turn, state.root)).max() < 6
    again = part.rest(len(points))
    again.root[:] = state.root
    again.values[:, part.layout["pose"]] = fit.pose - finger_prior(side, relaxed(body(), side)).mean
    joints = [part.at(s, derivatives=False).posed.joints for s in (state, again)]
    apart = np.linalg.norm(joints[0] - joints[1], axis=-1)
    assert apart.mean() < 0.004
    assert np.abs(finger_prior(side).excess(fit.pose)).max() < 0.1


def test_a_hand_that_the_network_takes_for_the_other_one_is_turned_back() -> None:
    """Seen from its edge, with near and far exchanged in all of a video's frames but the first: the picture decides."""
    part, state, wrist = hands("left", 8)
    edge = axis_angle_to_matrix(np.array([1.35, 0.0, 0.0]))  # thumb up
    state.root[:] = UPRIGHT @ edge @ axis_angle_to_matrix(np.linspace(0, 0.3, 8)[:, None] * [0.0, 0.0, 1.0])
    forearm = np.tile(UPRIGHT @ edge, (8, 1, 1)) @ axis_angle_to_matrix(np.array([0.3, 0.1, -0.2]))
    points = seen(part, state)
    points[1:, :, 5] *= -1
    times = np.arange(8) / 30
    fit = fit_hand(body(), np.zeros(16), "left", points, wrist, CAMERA, times, forearm=forearm)
    assert np.degrees(geodesic_angle(fit.turn, state.root)).max() < 15


def test_the_course_of_a_mistake_seldom_changes() -> None:
    assert not _mistaken(np.full(12, 3.0)).any()
    all_but_one = np.where(np.arange(12) == 5, 4.0, -20.0)
    assert _mistaken(all_but_one).all()
    once = np.where(np.arange(12) == 5, -4.0, 20.0)
    assert not _mistaken(once).any()
    half = np.where(np.arange(12) < 6, -20.0, 20.0)
    assert (_mistaken(half) == (np.arange(12) < 6)).all()


def test_between_looks_parts_go_straight() -> None:
    """Every second frame was looked at: a hand that moves evenly is found in the others too, but not in long gaps."""
    part, state, wrist = hands("right", 13)
    points = seen(part, state)
    points[1::2, :, 2] = 0.0
    points[4, :, 2] = 0.0
    points[points[:, 0, 2] == 0] = 0.0
    times = np.arange(13) / 30
    fit = fit_hand(body(), np.zeros(16), "right", points, wrist, CAMERA, times, every=2)
    assert fit.seen.tolist() == [t not in (3, 4, 5) for t in range(13)]
    assert np.degrees(geodesic_angle(fit.turn, state.root))[fit.seen].max() < 6
    assert np.linalg.norm(fit.wrist[7] - (fit.wrist[6] + fit.wrist[8]) / 2) < 1e-9
    alone = fit_hand(body(), np.zeros(16), "right", points, wrist, CAMERA, times)
    assert alone.seen.tolist() == [t % 2 == 0 and t != 4 for t in range(13)]
    np.testing.assert_allclose(alone.pose[alone.seen], fit.pose[alone.seen], atol=1e-9)


def test_how_a_wrist_turns_has_its_derivative(rng: np.random.Generator) -> None:
    part = hand_part(baked(body(), np.zeros(16)), "right")
    state = part.rest(3)
    state.root[:] = axis_angle_to_matrix(rng.normal(0, 1, (3, 3)))
    turns = axis_angle_to_matrix(np.array([[0.3, 0.2, -0.4], [2.4, 0.1, 0.1], [0.2, -1.3, 0.3]]))
    term = Wrist(state.root @ np.swapaxes(turns, 1, 2), np.array([0.8, 0.3, 0.45]), np.array([2.0, 0.8, 1.5]))
    rows = term.rows(part.at(state))
    assert (rows.cost[1:] > 10).all()
    for k in range(3):
        delta = np.zeros((3, part.layout.size))
        delta[:, k] = 1e-6
        up, down = (term.rows(part.at(state.step(sign * delta))).residual for sign in (1, -1))
        np.testing.assert_allclose(rows.jacobian[..., k], (up - down) / 2e-6, atol=1e-5)


def test_hands_that_are_not_seen_relax() -> None:
    part, state, wrist = hands("left", 30)
    points = seen(part, state)
    points[:, :, 2] = 0.0
    fit = fit_hand(body(), np.zeros(16), "left", points, wrist, CAMERA, np.arange(30) / 30)
    assert not fit.seen.any()
    np.testing.assert_allclose(fit.pose, at_rest("left", 30), atol=1e-6)


def test_a_head_with_an_open_mouth_is_found_again() -> None:
    part = face_part(baked(body(), np.zeros(16)))
    state = part.rest(6)
    yaw = np.linspace(-0.4, 0.4, 6)
    state.root[:] = UPRIGHT @ axis_angle_to_matrix(yaw[:, None] * [0.1, 1.0, 0.0])
    head = np.tile([0.1, -0.2, 2.0], (6, 1))
    state.values[:, part.layout["transl"]] = part.place(head)
    jaw = np.linspace(0.0, 0.3, 6)
    state.values[:, part.layout["jaw_pose"].start] = jaw
    points = np.zeros((6, 53, 3))
    points[:, :51] = seen(part, state)[..., :3]
    shapes = np.zeros((6, 52))
    fit = fit_face(body(), np.zeros(16), points, shapes, head + 0.01, np.tile(UPRIGHT, (6, 1, 1)), CAMERA)
    assert np.degrees(geodesic_angle(fit.turn, state.root)).max() < 3
    assert np.degrees(np.abs(fit.jaw[:, 0] - jaw)).max() < 4
    assert np.abs(fit.expression).max() < 0.8


def test_weights_become_jaw_and_expression() -> None:
    """With hardly a point to go by, the face is that of the weights."""
    shapes = np.zeros((1, 52))
    shapes[0, ARKIT.index("jawOpen")] = 0.8
    shapes[0, ARKIT.index("mouthSmileLeft")] = 1.0
    points = np.zeros((1, 53, 3))
    points[0, 0] = (480, 300, 1e-6)
    fit = fit_face(body(), np.zeros(16), points, shapes, np.array([[0.0, 0, 2]]), UPRIGHT[None], CAMERA)
    weights = {"jawOpen": 0.8, "mouthSmileLeft": 1.0}
    expected = arkit_shapes(body()).parameters(weights)
    np.testing.assert_allclose(fit.jaw[0], expected["jaw_pose"], atol=1e-3)
    np.testing.assert_allclose(fit.expression[0], expected["expression"], atol=1e-2)


def test_presence_fades() -> None:
    times = np.arange(40) / 30
    there, nearest = presence((np.arange(40) >= 10) & (np.arange(40) < 20), times)
    assert (there[10:20] == 1).all()
    assert (there[times > times[19] + FADE] == 0).all()
    assert (np.diff(there[19:]) <= 0).all()
    assert (nearest[:10] == 10).all()
    assert (nearest[20:] == 19).all()


def standing(frames: int) -> BodyEstimate:
    pose = np.zeros((frames, 21, 3))
    pose[:, 15, 2], pose[:, 16, 2] = -1.1, 1.1  # arms down
    pose[:, 17, 1], pose[:, 18, 1] = -1.0, 1.0
    params = BodyParams(
        np.zeros(16),
        np.tile([np.pi, 0.0, 0.0], (frames, 1)),
        pose.reshape(frames, 63),
        np.tile([0.0, 0.0, 3.0], (frames, 1)),
    )
    joints = body().joints_only(**params.asdict())
    every = np.ones(frames)
    return BodyEstimate(params, joints, every > 0, every, every)


def parts_of(truth: BodyEstimate) -> Parts:
    """What the networks would see of a body: its left hand only."""
    frames = len(truth.valid)
    part = hand_part(baked(body(), np.zeros(16)), "left")
    names = list(body().joint_names)
    world = np.eye(3)[None].repeat(frames, 0)
    local = np.concatenate([truth.params.global_orient, truth.params.body_pose], axis=1).reshape(frames, 22, 3)
    chain, joint = [], names.index("left_wrist")
    while joint >= 0:
        chain.append(joint)
        joint = int(body().parents[joint])
    for joint in reversed(chain):
        world = world @ axis_angle_to_matrix(local[:, joint])
    state = part.rest(frames)
    state.root[:] = world
    state.values[:, part.layout["transl"]] = part.place(truth.joints[:, names.index("left_wrist")])
    parts = no_parts(frames)
    parts.hands[:, 0] = seen(part, state)
    return parts


def test_wrist_and_arm_follow_the_hand_and_the_rest_stays() -> None:
    truth = standing(5)
    turned = np.array(truth.params.body_pose)
    turned[:, 57:60] += [0.3, 0.0, 0.3]  # left wrist
    turned[:, 45:48] += [0.0, 0.06, 0.0]  # left shoulder
    params = BodyParams(truth.params.betas, truth.params.global_orient, turned, truth.params.transl)
    real = BodyEstimate(params, body().joints_only(**params.asdict()), truth.valid, truth.confidence, truth.residual_px)
    found = express(body(), truth, parts_of(real), CAMERA, np.arange(5) / 30)
    names = list(body().joint_names)

    def pixels(estimate: BodyEstimate) -> np.ndarray:
        at = np.asarray(estimate.joints)[:, [names.index("left_wrist"), names.index("left_middle1")]]
        return at[..., :2] / at[..., 2:] * CAMERA.fx

    before, after = (np.abs(pixels(e) - pixels(real)).max() for e in (truth, found))
    assert after < 0.35 * before
    other = [j for j in range(22) if names[j] not in ("left_wrist", "left_elbow", "left_shoulder")]
    np.testing.assert_allclose(np.asarray(found.joints)[:, other], np.asarray(truth.joints)[:, other], atol=1e-9)
    excess = PoseLimits.load().excess(np.asarray(found.params.body_pose))
    assert excess.max() <= max(PoseLimits.load().excess(np.asarray(truth.params.body_pose)).max(), 0.1) + 1e-6


def test_without_sightings_the_body_stays() -> None:
    truth = standing(4)
    found = express(body(), truth, no_parts(4), CAMERA, np.arange(4) / 30)
    np.testing.assert_allclose(found.params.body_pose, truth.params.body_pose, atol=1e-9)
    assert found.params.jaw_pose is not None
    assert not np.asarray(found.params.jaw_pose).any()
    np.testing.assert_allclose(np.asarray(found.params.right_hand_pose), at_rest("right", 4), atol=1e-6)
