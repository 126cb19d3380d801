"""Every Jacobian of the fit against finite differences, and the banded solve against a dense one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from monocap.bodies import load_body
from monocap.fitting import terms
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.smoothness import Smoothness
from monocap.fitting.solver import _fill_banded
from monocap.fitting.state import UNKNOWNS, Linearised, PoseState, Skeleton, landmark_points, linearise
from monocap.geometry import rotations
from monocap.priors import anatomical_prior

STEP = 1e-6


@pytest.fixture(scope="module")
def skeleton() -> Skeleton:
    body = load_body("open")
    return Skeleton.of(body, blazepose_landmarks(body))


def random_state(rng: np.random.Generator, frames: int, betas: int) -> PoseState:
    return PoseState(
        rotations.axis_angle_to_matrix(rng.normal(size=(frames, 3))),
        0.4 * rng.normal(size=(frames, 63)),
        np.array([0.1, 0.2, 4.0]) + 0.1 * rng.normal(size=(frames, 3)),
        0.5 * rng.normal(size=betas),
    )


def by_differences(function, state: PoseState) -> NDArray[np.float64]:
    """Derivative of ``function(state)`` (T,…) by each frame's own unknowns."""
    columns = []
    for i in range(UNKNOWNS):
        delta = np.zeros((state.frames, UNKNOWNS))
        delta[:, i] = STEP
        columns.append((function(state.step(delta)) - function(state.step(-delta))) / (2 * STEP))
    return np.stack(columns, axis=-1)


def test_points_and_joints_by_pose(skeleton: Skeleton, rng: np.random.Generator) -> None:
    state = random_state(rng, 3, skeleton.joint_directions.shape[2])
    at = linearise(skeleton, state)
    np.testing.assert_allclose(at.points, landmark_points(skeleton, state), atol=1e-12)
    np.testing.assert_allclose(at.d_points, by_differences(lambda s: linearise(skeleton, s).points, state), atol=1e-8)
    np.testing.assert_allclose(at.d_joints, by_differences(lambda s: linearise(skeleton, s).joints, state), atol=1e-8)


def test_points_by_betas(skeleton: Skeleton, rng: np.random.Generator) -> None:
    count = skeleton.joint_directions.shape[2]
    state = random_state(rng, 2, count)
    at = linearise(skeleton, state, with_betas=True)
    assert at.b_points is not None
    zero = np.zeros((2, UNKNOWNS))
    for b in range(count):
        step = STEP * np.eye(count)[b]
        up = linearise(skeleton, state.step(zero, step)).points
        down = linearise(skeleton, state.step(zero, -step)).points
        np.testing.assert_allclose(at.b_points[..., b], (up - down) / (2 * STEP), atol=1e-8)


def all_terms(skeleton: Skeleton, state: PoseState, rng: np.random.Generator) -> dict[str, terms.Term]:
    frames, marks = state.frames, len(skeleton.landmarks.bone)
    K = np.array([[900.0, 0, 320], [0, 910.0, 240], [0, 0, 1]])
    pairs = skeleton.landmarks.pairs
    prior = anatomical_prior()
    target = rng.uniform(0, 500, size=(frames, marks, 2))
    weight = rng.uniform(size=(frames, marks))
    direction = rng.normal(size=(frames, len(pairs), 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    return {
        # A cutoff far away makes the robust term quadratic, so that its rows are the plain derivative.
        "reprojection": terms.Reprojection(target, weight, K, np.full(frames, 5.0), 1e6),
        "directions": terms.Directions(direction, rng.uniform(size=(frames, len(pairs))), pairs, 0.3),
        "pull": terms.PosePull(prior, 0.7),
        "limits": terms.JointLimits(prior),
        "bending": terms.Bending(),
    }


@pytest.mark.parametrize("name", ["reprojection", "directions", "pull", "limits", "bending"])
def test_terms_by_pose(skeleton: Skeleton, rng: np.random.Generator, name: str) -> None:
    state = random_state(rng, 3, skeleton.joint_directions.shape[2])
    term = all_terms(skeleton, state, rng)[name]
    rows = term.rows(linearise(skeleton, state))
    expected = by_differences(lambda s: term.rows(linearise(skeleton, s)).residual, state)
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(rows.jacobian / scale, expected / scale, atol=1e-6)
    np.testing.assert_allclose(rows.cost, 0.5 * np.sum(rows.residual**2, axis=1), rtol=1e-6)


def test_robust_cost_has_the_gradient_of_its_rows(skeleton: Skeleton, rng: np.random.Generator) -> None:
    state = random_state(rng, 2, skeleton.joint_directions.shape[2])
    quadratic = all_terms(skeleton, state, rng)["reprojection"]
    assert isinstance(quadratic, terms.Reprojection)
    term = terms.Reprojection(quadratic.target, quadratic.weight, quadratic.K, np.full(2, 50.0), 2.0)
    rows = term.rows(linearise(skeleton, state))
    gradient = np.einsum("tr,trn->tn", rows.residual, rows.jacobian)
    expected = by_differences(lambda s: term.rows(linearise(skeleton, s)).cost, state)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_smoothness_gradient_and_uneven_times(skeleton: Skeleton, rng: np.random.Generator) -> None:
    state = random_state(rng, 6, skeleton.joint_directions.shape[2])
    smooth = Smoothness(np.array([0.0, 0.03, 0.07, 0.10, 0.20, 0.23]))
    coupling = smooth.normal(linearise(skeleton, state))
    for t in range(6):
        for i in (0, 5, 20, 40, 62):
            delta = np.zeros((6, UNKNOWNS))
            delta[t, i] = STEP
            up = smooth.normal(linearise(skeleton, state.step(delta))).cost
            down = smooth.normal(linearise(skeleton, state.step(-delta))).cost
            assert coupling.gradient[t, i] == pytest.approx((up - down) / (2 * STEP), rel=1e-3, abs=1e-2)


def test_steady_motion_costs_nothing(skeleton: Skeleton, rng: np.random.Generator) -> None:
    """Constant velocity has no acceleration, whatever the spacing of the frames."""
    times = np.array([0.0, 0.03, 0.07, 0.10, 0.20])
    one = random_state(rng, 1, skeleton.joint_directions.shape[2])
    still = one.take(np.zeros(5, dtype=np.int64))
    moving = PoseState(still.root, still.body_pose, still.transl + times[:, None] * [1.0, 0.5, -0.3], still.betas)
    assert Smoothness(times).normal(linearise(skeleton, moving)).cost == pytest.approx(0.0, abs=1e-12)


def test_banded_storage_equals_dense(skeleton: Skeleton, rng: np.random.Generator) -> None:
    frames = 5
    state = random_state(rng, frames, skeleton.joint_directions.shape[2])
    at: Linearised = linearise(skeleton, state)
    coupling = Smoothness(np.arange(frames) / 30).normal(at)
    n = UNKNOWNS
    dense = np.zeros((frames * n, frames * n))
    for t in range(frames):
        dense[t * n : (t + 1) * n, t * n : (t + 1) * n] = coupling.hessian[t]
        for gap, blocks in ((1, coupling.next), (2, coupling.after_next)):
            if t + gap < frames:
                dense[t * n : (t + 1) * n, (t + gap) * n : (t + gap + 1) * n] = blocks[t]
                dense[(t + gap) * n : (t + gap + 1) * n, t * n : (t + 1) * n] = blocks[t].T
    banded = np.zeros((3 * n, frames * n))
    _fill_banded(banded, coupling.hessian, coupling.next, coupling.after_next)
    for offset in range(3 * n):
        np.testing.assert_array_equal(banded[offset, : frames * n - offset], np.diag(dense, -offset))
    assert np.linalg.eigvalsh(dense).min() > -1e-6 * np.abs(dense).max()
