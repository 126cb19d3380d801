"""VNect's joints on a body: they move with it, its shape is found from its bones, bones keep their lengths."""

from __future__ import annotations

import numpy as np
import pytest

from monocap.bodies import BodyModel, load_body
from monocap.errors import InputError
from monocap.fitting.skeleton_fit import SkeletonFit
from monocap.fitting.smplifyx.energy import stature
from monocap.fitting.vnect_body import SKELETON, betas_of, bone_lengths, carried_skeleton, rest_points, retarget
from monocap.skeletons.vnect import on_body


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


def posed(body: BodyModel, betas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(21,3) m, camera frame."""
    points = body.keypoints(
        "smplx127",
        betas=betas,
        body_pose=rng.normal(0, 0.1, 63),
        global_orient=np.array([np.pi, 0.0, 0.1]),
        transl=np.array([0.2, 0.1, 4.0]),
    )
    return on_body() @ np.asarray(points, np.float64)


def test_the_carried_points_follow_the_body(body: BodyModel, rng: np.random.Generator) -> None:
    betas = np.zeros(body.num_betas)
    betas[:5] = rng.normal(size=5)
    truth = posed(body, betas, rng)
    K = np.array([[1000.0, 0, 640], [0, 1000.0, 360], [0, 0, 1]])
    pixels = truth[:, :2] / truth[:, 2:] * 1000 + [640, 360]
    root = SKELETON.index("pelvis")
    fit = SkeletonFit(carried_skeleton(body, betas), K, iterations=60, tolerance=1e-9)
    found = fit.step(truth - truth[root], pixels, np.ones(21), 1 / 30)
    assert np.linalg.norm(found.points - truth, axis=1).max() < 0.01  # the spine's and the hands' skin is not rigid


@pytest.mark.parametrize("factor", [1.0, 0.6])
def test_shape_from_bones_and_stature(body: BodyModel, rng: np.random.Generator, factor: float) -> None:
    tall, slope = stature(body)
    for _ in range(3):
        betas = np.zeros(body.num_betas)
        betas[:10] = rng.normal(size=10)
        height = float(tall + slope @ betas)
        lengths = bone_lengths(rest_points(body, betas))
        lengths[SKELETON.index("left_toe")] = np.nan
        found = betas_of(body, factor * lengths, height)
        assert tall + slope @ found == pytest.approx(height, abs=2e-3)
        away = np.abs(bone_lengths(rest_points(body, found)) - bone_lengths(rest_points(body, betas))).mean()
        alone = betas_of(body, height=height)
        without = np.abs(bone_lengths(rest_points(body, alone)) - bone_lengths(rest_points(body, betas))).mean()
        assert away < 0.003
        assert away < 0.5 * without


def test_nothing_known_is_the_mean_body(body: BodyModel) -> None:
    assert np.abs(betas_of(body)).max() == 0
    assert np.abs(betas_of(body, np.full(21, np.nan))).max() < 1e-9
    with pytest.raises(InputError, match="height"):
        betas_of(body, height=17.0)
    with pytest.raises(InputError, match="lengths"):
        betas_of(body, np.ones(22))


def test_bones_keep_directions_and_take_lengths(rng: np.random.Generator) -> None:
    points = rng.normal(size=(5, 21, 3))
    root = SKELETON.index("pelvis")
    points -= points[:, root : root + 1]
    lengths = rng.uniform(0.1, 0.5, 21)
    lengths[root] = 0.0
    moved = retarget(points, lengths)
    assert np.abs(bone_lengths(moved) - lengths).max() < 1e-12
    up = list(SKELETON.parents)
    ways = [(p - p[:, up])[:, [j for j in range(21) if j != root]] for p in (points, moved)]
    cosines = np.sum(ways[0] * ways[1], axis=-1) / np.prod([np.linalg.norm(w, axis=-1) for w in ways], axis=0)
    assert cosines.min() > 1 - 1e-9
    assert np.abs(retarget(points, bone_lengths(points)[0])[0] - points[0]).max() < 1e-12


def test_a_bone_without_direction_goes_on_as_its_parent() -> None:
    points = np.zeros((21, 3))
    points[SKELETON.index("left_hip")] = [0.1, 0.0, 0.0]
    points[SKELETON.index("left_knee")] = points[SKELETON.index("left_ankle")] = [0.1, 0.4, 0.0]
    lengths = np.full(21, 0.2)
    moved = retarget(points, lengths)
    assert np.isfinite(moved).all()
    assert np.allclose(moved[SKELETON.index("left_ankle")], [0.2, 0.4, 0.0])
    with pytest.raises(InputError, match="expected"):
        retarget(points[:20], lengths)
