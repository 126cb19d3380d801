"""What a network says of a body, in the fit: its derivative, what it decides, and that a wrong one is not believed."""

from __future__ import annotations

import numpy as np
import pytest

from monocap.bodies import BodyModel, load_body
from monocap.errors import InputError
from monocap.fitting import Fitter
from monocap.fitting.guess import GuessPull, guessed_hints, guessed_state
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.state import UNKNOWNS, PoseState, Skeleton, landmark_points, linearise
from monocap.geometry import cameras, rotations
from monocap.types import Array, BodyGuess, Camera, Keypoints, Track

CAMERA = Camera(900.0, 900.0, 319.5, 239.5, 640, 480)
STEP = 1e-6


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


@pytest.fixture(scope="module")
def skeleton(body: BodyModel) -> Skeleton:
    return Skeleton.of(body, blazepose_landmarks(body))


def random_guess(rng: np.random.Generator, frames: int) -> BodyGuess:
    pose = 0.4 * rng.normal(size=(frames, 66))
    pose[:, :3] = [np.pi - 0.2, 0.1, 0.1]
    return BodyGuess(pose, rng.normal(size=(frames, 10)), np.tile([0.1, 0.2, 4.0], (frames, 1)))


def test_a_guess_as_state_poses_the_body_that_was_said(body: BodyModel, skeleton: Skeleton) -> None:
    guess = random_guess(np.random.default_rng(0), 3)
    state = guessed_state(skeleton, guess)
    betas = np.append(guess.betas.mean(axis=0), np.zeros(body.num_betas - 10))
    np.testing.assert_allclose(state.betas, betas)
    joints = body.joints_only(
        betas=betas, global_orient=guess.pose[:, :3], body_pose=guess.pose[:, 3:], transl=state.transl
    )
    np.testing.assert_allclose(joints[:, 0], guess.pelvis, atol=1e-7)
    np.testing.assert_allclose(linearise(skeleton, state).joints, joints[:, :22], atol=1e-6)
    hints = guessed_hints(skeleton, state)
    np.testing.assert_allclose(hints[:, 23:25].mean(axis=1), 0, atol=1e-12)
    with pytest.raises(InputError, match="expected"):
        guessed_state(skeleton, BodyGuess(guess.pose[:, :60], guess.betas, guess.pelvis))


def test_the_pull_by_the_unknowns(skeleton: Skeleton) -> None:
    rng = np.random.default_rng(1)
    said = guessed_state(skeleton, random_guess(rng, 2))
    state = guessed_state(skeleton, random_guess(rng, 2))
    pull = GuessPull(said.root, said.body_pose, np.array([1.0, 0.3]), 0.5)
    rows = pull.rows(linearise(skeleton, state))
    for i in range(UNKNOWNS):
        delta = np.zeros((2, UNKNOWNS))
        delta[:, i] = STEP
        up, down = (pull.rows(linearise(skeleton, state.step(sign * delta))).residual for sign in (1, -1))
        np.testing.assert_allclose(rows.jacobian[..., i], (up - down) / (2 * STEP), atol=1e-7)
    np.testing.assert_allclose(rows.cost, 0.5 * np.sum(rows.residual**2, axis=1))
    assert pull.rows(linearise(skeleton, said)).cost == pytest.approx([0, 0])


def seen(skeleton: Skeleton, guess: BodyGuess) -> tuple[Array, Array]:
    """(T,33,3) keypoints, and depthless hints, of the people of a guess: only the picture, nothing of depth."""
    state = guessed_state(skeleton, guess)
    points = landmark_points(skeleton, state)
    flat = np.concatenate([cameras.project(points, CAMERA), np.ones((*points.shape[:2], 1))], axis=-1)
    return flat, guessed_hints(skeleton, state) * [1.0, 1.0, 0.0]


def error(body: BodyModel, skeleton: Skeleton, found: Array, guess: BodyGuess) -> float:
    """mm, mean over limbs, relative to the pelvis."""
    true = linearise(skeleton, guessed_state(skeleton, guess)).joints
    found = np.asarray(found)[:, :22]
    limbs = [body.joint_names.index(f"{s}_{n}") for s in ("left", "right") for n in ("knee", "ankle", "elbow", "wrist")]
    off = (found - found[:, :1] - true + true[:, :1])[:, limbs]
    return float(1000 * np.linalg.norm(off, axis=-1).mean())


def lunge(frames: int = 1) -> BodyGuess:
    """An arm straight at the camera and one back, a knee towards it: what a flat picture hardly tells."""
    pose = np.zeros((frames, 22, 3))
    pose[:, 0] = [np.pi, 0.0, 0.0]
    pose[:, 16] = [0.0, -1.2, -0.3]
    pose[:, 17] = [0.0, -0.9, 0.3]
    pose[:, 1] = [-1.0, 0.0, 0.0]
    pose[:, 4] = [1.2, 0.0, 0.0]
    return BodyGuess(pose.reshape(frames, 66), np.zeros((frames, 10)), np.tile([0.1, 0.0, 4.0], (frames, 1)))


def test_a_true_guess_tells_depth_that_the_picture_does_not(body: BodyModel, skeleton: Skeleton) -> None:
    guess = lunge()
    flat, hints = seen(skeleton, guess)
    keypoints = Keypoints("blazepose33", flat[0], hints[0], 1.0)
    fitter = Fitter(body, CAMERA)
    alone = error(body, skeleton, fitter.photo(keypoints).joints, guess)
    told = error(body, skeleton, fitter.photo(keypoints, guess).joints, guess)
    assert told < 0.6 * alone


def test_a_guess_that_does_not_look_like_the_keypoints_is_hardly_believed(body: BodyModel, skeleton: Skeleton) -> None:
    guess = lunge()
    flat, _ = seen(skeleton, guess)
    keypoints = Keypoints("blazepose33", flat[0], guessed_hints(skeleton, guessed_state(skeleton, guess))[0], 1.0)
    fitter = Fitter(body, CAMERA)
    alone = error(body, skeleton, fitter.photo(keypoints).joints, guess)
    handstand = BodyGuess(np.zeros((1, 66)), guess.betas, guess.pelvis)  # feet up, arms level
    wrong = error(body, skeleton, fitter.photo(keypoints, handstand).joints, guess)
    assert wrong < alone + 10
    said = fitter._with_guess  # how far it is believed
    from monocap.fitting.observation import Observation
    from monocap.fitting.recipes import PHOTO

    observed = Observation.of(flat, flat * 0.0, CAMERA, skeleton.landmarks)
    right, nonsense = (said(observed, g, PHOTO).trust for g in (guess, handstand))
    assert right is not None
    assert nonsense is not None
    assert right[0] > 0.95
    assert nonsense[0] < 0.2


def test_unsure_keypoints_contradict_less(skeleton: Skeleton) -> None:
    from monocap.fitting.guess import trust_in
    from monocap.fitting.observation import Observation

    guess = lunge()
    flat, hints = seen(skeleton, guess)
    other = BodyGuess(guess.pose.copy(), guess.betas, guess.pelvis)
    other.pose[0, 3 * 16 : 3 * 16 + 3] = [0.0, -0.3, -0.6]  # the left arm elsewhere
    said, trusts = guessed_state(skeleton, other), []
    for confidence in (1.0, 0.6):
        unsure = np.concatenate([flat[..., :2], np.full((*flat.shape[:2], 1), confidence)], axis=-1)
        observed = Observation.of(unsure, hints, CAMERA, skeleton.landmarks)
        trusts.append(float(trust_in(skeleton, said, other, observed)[0]))
    assert trusts[0] < 0.6
    assert trusts[1] > trusts[0] + 0.2


def test_video_takes_guesses_where_there_are_some(body: BodyModel, skeleton: Skeleton) -> None:
    frames = 8
    guess = lunge(frames)
    flat, hints = seen(skeleton, guess)
    some = BodyGuess(guess.pose.copy(), guess.betas, guess.pelvis.copy())
    some.pose[3:5] = 0
    some.pelvis[3:5] = 0  # nothing was said there
    valid = np.ones(frames, bool)
    track = Track(0, "blazepose33", flat, hints, valid, np.ones(frames), guess=some)
    fitter, times = Fitter(body, CAMERA), np.arange(frames) / 30
    told = error(body, skeleton, fitter.video(track, times).joints, guess)
    alone = error(
        body, skeleton, fitter.video(Track(0, "blazepose33", flat, hints, valid, np.ones(frames)), times).joints, guess
    )
    assert told < 0.7 * alone


def test_as_guessed_is_what_was_said_and_bridges_gaps(body: BodyModel, skeleton: Skeleton) -> None:
    guess = lunge(5)
    flat, hints = seen(skeleton, guess)
    valid = np.array([True, True, False, True, True])
    pelvis = guess.pelvis + np.arange(5)[:, None] * [0.1, 0.0, 0.0]
    hole = BodyGuess(guess.pose * valid[:, None], guess.betas, pelvis * valid[:, None])
    track = Track(0, "blazepose33", flat * valid[:, None, None], hints, valid, np.ones(5), guess=hole)
    estimate = Fitter(body, CAMERA).as_guessed(track)
    np.testing.assert_allclose(estimate.joints[:, 0], pelvis, atol=1e-6)
    np.testing.assert_allclose(estimate.params.body_pose, guess.pose[:, 3:], atol=1e-9)
    assert estimate.confidence[0] > 0.9, "it lies on its keypoints"
    assert estimate.confidence[2] == 0
    assert estimate.residual_px[0] < 1e-3
    with pytest.raises(InputError, match="guess"):
        Fitter(body, CAMERA).as_guessed(Track(0, "blazepose33", flat, hints, valid, np.ones(5)))


def test_rotation_vectors_of_any_branch_are_near_their_rotation(skeleton: Skeleton) -> None:
    """The pull measures turns, not numbers: 2π more is the same."""
    state = guessed_state(skeleton, lunge())
    vector = state.body_pose.reshape(21, 3)[15]
    length = np.linalg.norm(vector)
    other = state.body_pose.copy().reshape(1, 21, 3)
    other[0, 15] = vector * (length - 2 * np.pi) / length
    assert np.allclose(rotations.axis_angle_to_matrix(other[0, 15]), rotations.axis_angle_to_matrix(vector), atol=1e-9)
    pull = GuessPull(state.root, other.reshape(1, 63), np.ones(1), 0.5)
    at = linearise(skeleton, PoseState(state.root, state.body_pose, state.transl, state.betas))
    assert pull.rows(at).cost == pytest.approx([0], abs=1e-12)
