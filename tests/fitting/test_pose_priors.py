"""Learned priors as terms of the fit: rows against finite differences, and a fit that they hold together."""

from __future__ import annotations

import numpy as np
import pytest
from test_derivatives import by_differences, random_state

from monocap.bodies import load_body
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.pose_priors import GaussianPull, LatentPull, LimitExcess, MixturePull
from monocap.fitting.recipes import FitOptions, Fitter
from monocap.fitting.solver import solve_frames
from monocap.fitting.state import PoseState, Skeleton, linearise
from monocap.fitting.terms import Term
from monocap.priors.gaussian import PoseGaussian
from monocap.priors.gmm import PoseMixture
from monocap.priors.limits import PoseLimits
from monocap.types import Camera


@pytest.fixture(scope="module")
def skeleton() -> Skeleton:
    body = load_body("open")
    return Skeleton.of(body, blazepose_landmarks(body))


def term(name: str) -> Term:
    if name == "latent":
        pytest.importorskip("safetensors", reason="VPoser's weights are a safetensors file")
        from monocap.assets import listing
        from monocap.priors.vposer import VPoserPrior

        if "vposer" not in {asset.name for asset in listing()}:
            pytest.skip("no VPoser ships yet")
        return LatentPull(VPoserPrior.load(), 0.7)
    return {
        "gaussian": GaussianPull(PoseGaussian.load(), 0.7),
        "mixture": MixturePull(PoseMixture.load(), 0.3),
        "limits": LimitExcess(PoseLimits.load()),
    }[name]


@pytest.mark.parametrize("name", ["gaussian", "mixture", "limits", "latent"])
def test_rows_by_pose(skeleton: Skeleton, rng: np.random.Generator, name: str) -> None:
    state = random_state(rng, 4, skeleton.joint_directions.shape[2])
    made = term(name)
    rows = made.rows(linearise(skeleton, state))
    expected = by_differences(lambda s: made.rows(linearise(skeleton, s)).residual, state)
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(rows.jacobian / scale, expected / scale, atol=1e-5)
    gradient = np.einsum("tr,trn->tn", rows.residual, rows.jacobian)
    by_cost = by_differences(lambda s: made.rows(linearise(skeleton, s)).cost, state)
    np.testing.assert_allclose(gradient, by_cost, atol=1e-5 * np.abs(by_cost).max())


def test_limits_bring_an_impossible_pose_back(skeleton: Skeleton) -> None:
    limits = PoseLimits.load()
    pose = np.zeros((1, 63))
    pose[0, 3 * 3], pose[0, 17 * 3 + 1] = -1.2, 1.5  # knee and elbow bent the wrong way
    assert (limits.excess(pose) > 0.5).sum() == 2
    state = PoseState(np.eye(3)[None], pose, np.array([[0.0, 0.0, 4.0]]), np.zeros(skeleton.joint_directions.shape[2]))
    solved = solve_frames(skeleton, state, [LimitExcess(limits)], 30).state
    assert limits.excess(solved.body_pose).max() < 0.01


def test_unknown_prior_is_named() -> None:
    with pytest.raises(ValueError, match="expected gaussian, anatomy, mixture or vposer"):
        Fitter(load_body("open"), Camera(500, 500, 320, 240, 640, 480), FitOptions(prior="magic"))  # type: ignore[arg-type]
