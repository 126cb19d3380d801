"""The kinematic fit: its minimum is scipy's, its energy falls, it follows a walk, and it holds what it cannot see."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from monocap import skeletons
from monocap.bodies import load_body
from monocap.errors import InputError
from monocap.fitting.skeleton_fit import KinematicSkeleton, SkeletonFit, Weights
from monocap.geometry import cameras, kinematics, rotations

K = np.array([[1100.0, 0, 640], [0, 1050, 360], [0, 0, 1]])


@pytest.fixture(scope="module")
def skeleton():
    return KinematicSkeleton.of_body(load_body("open"))


def posed(skeleton, root, angles, position):
    """Points (P,3) by the library's own kinematics, not by the fit's."""
    local = rotations.axis_angle_to_matrix(angles)
    local[0] = root
    rest = skeleton.rest_joints - skeleton.rest_joints[0]
    world, joints = kinematics.forward_kinematics_numba(local, rest, skeleton.parents)
    offsets = skeleton.rest_points - skeleton.rest_joints[skeleton.carriers]
    return joints[skeleton.carriers] + (world[skeleton.carriers] @ offsets[..., None])[..., 0] + position


def residuals(skeleton, weights, root, angles, position, seen3d, seen2d, trust, past, steps):
    """All rows of the energy, written out plainly."""
    points = posed(skeleton, root, angles, position)
    rows = [
        np.sqrt(weights.ik * trust)[:, None] * (points - position - seen3d),
        np.sqrt(weights.proj * trust)[:, None] * (cameras.project(points, K) - seen2d),
        np.sqrt(weights.limit) * (np.maximum(angles - skeleton.upper, 0) - np.maximum(skeleton.lower - angles, 0))[1:],
    ]
    if steps[0] > 0:
        rows.append(np.sqrt(weights.depth) * (points - past[0])[:, 2:] / steps[0])
        if steps[1] > 0:
            change = (points - past[0]) / steps[0] - (past[0] - past[1]) / steps[1]
            rows.append(np.sqrt(weights.smooth) * 2 * change / (steps[0] + steps[1]))
    return np.concatenate([np.ravel(row) for row in rows])


def by_scipy(skeleton, weights, start, *seen):
    root, angles, position = start
    columns = skeleton.columns
    joint, axis = np.nonzero(columns >= 6)

    def rows(x):
        moved = angles.copy()
        moved[joint, axis] += x[columns[joint, axis]]
        return residuals(
            skeleton, weights, rotations.axis_angle_to_matrix(x[:3]) @ root, moved, position + x[3:6], *seen
        )  # fmt: skip

    found = least_squares(rows, np.zeros(max(columns.max() + 1, 6)), method="trf", ftol=1e-15, xtol=1e-15, gtol=1e-12)
    return 2 * found.cost


def problem(skeleton, rng, frames):
    """A start, what is seen, and the past, all noisy."""
    count, points = len(skeleton.parents), len(skeleton.carriers)
    angles = np.where(skeleton.free, rng.normal(0, 0.4, (count, 3)), 0.0)
    angles[0] = 0
    root = rotations.axis_angle_to_matrix(rng.normal(0, 1.5, 3))
    position = np.array([*rng.normal(0, 0.4, 2), rng.uniform(2.5, 6.0)])
    truth = posed(skeleton, root, angles, position)
    seen3d = truth - position + rng.normal(0, 0.03, (points, 3))
    seen2d = cameras.project(truth, K) + rng.normal(0, 3, (points, 2))
    trust = rng.uniform(0.2, 1.0, points)
    past = truth + np.array([1, 2])[:, None, None] * rng.normal(0, 0.02, 3) + rng.normal(0, 0.005, (2, points, 3))
    steps = np.array([0.033, 0.041]) * (np.arange(2) < frames)
    near = (
        rotations.axis_angle_to_matrix(rng.normal(0, 0.1, 3)) @ root,
        np.where(skeleton.columns >= 6, angles + rng.normal(0, 0.1, (count, 3)), 0.0),
        position + rng.normal(0, 0.1, 3),
    )
    return near, (seen3d, seen2d, trust, past, steps)


def random_tree(rng):
    count = int(rng.integers(3, 6))
    parents = [-1, *(int(rng.integers(0, j)) for j in range(1, count))]
    limits = {j: (rng.uniform(-0.6, -0.1, 3), rng.uniform(0.1, 0.6, 3)) for j in range(1, count) if rng.random() < 0.5}
    free = rng.random((count, 3)) < 0.8
    return KinematicSkeleton.of_tree(parents, rng.normal(0, 0.3, (count, 3)), limits, free)


def compare(skeleton, rng, frames):
    weights = Weights()
    start, seen = problem(skeleton, rng, frames)
    fit = SkeletonFit(skeleton, K, weights, iterations=300, tolerance=1e-13)
    fit._past = seen[3]
    found, _ = fit._solve(start, *seen[:3], seen[4])
    assert np.sum(residuals(skeleton, weights, *start, *seen) ** 2) == pytest.approx(found.trace[0], rel=1e-9)
    assert sum(found.energies.values()) == pytest.approx(found.energy, rel=1e-12)
    assert (np.diff(found.trace) < 0).all()
    return found.energy, by_scipy(skeleton, weights, start, *seen)


def test_minimum_is_that_of_scipy_on_random_trees():
    rng = np.random.default_rng(3)
    energies = np.array([compare(random_tree(rng), rng, k % 3) for k in range(100)])
    ratio = energies[:, 0] / energies[:, 1]
    np.testing.assert_allclose(ratio, 1.0, atol=1e-6)


def test_minimum_is_that_of_scipy_on_the_body(skeleton):
    rng = np.random.default_rng(4)
    for frames in (0, 2):
        ours, theirs = compare(skeleton, rng, frames)
        assert ours == pytest.approx(theirs, rel=1e-6)


def walk(skeleton, frames, fps=30.0):
    """A true motion (T,P,3): arms and legs swing, the root moves and turns."""
    out = []
    for t in np.arange(frames) / fps:
        swing = np.sin(2 * np.pi * t)
        angles = np.zeros((22, 3))
        for sign, hip, knee, shoulder, elbow in ((1.0, 1, 4, 16, 18), (-1.0, 2, 5, 17, 19)):
            angles[hip, 0], angles[knee, 0] = -0.3 + 0.4 * sign * swing, 0.6 - 0.4 * sign * swing
            angles[shoulder, 2], angles[elbow, 1] = -sign * (0.9 - 0.3 * swing), -0.8 * sign
        turn = np.diag([1.0, -1.0, -1.0]) @ rotations.axis_angle_to_matrix(np.array([0.0, 0.4 + t, 0.0]))
        position = np.array([0.3 * np.sin(t), 0.1, 4.0 + 0.2 * np.cos(t)])
        out.append(posed(skeleton, turn, angles, position))
    return np.array(out)


def test_follows_a_walk_better_than_what_it_sees(skeleton, rng):
    truth = walk(skeleton, 60)
    pixels = cameras.project(truth, K)
    fit = SkeletonFit(skeleton, K)
    seen3d = truth - truth[:, :1] + rng.normal(0, 0.03, truth.shape)
    found = [
        fit.step(p3, p2, np.ones(22), 1 / 30)
        for p3, p2 in zip(seen3d, pixels + rng.normal(0, 2, pixels.shape), strict=True)
    ]
    points = np.array([f.points for f in found])
    error = np.linalg.norm((points - points[:, :1]) - (truth - truth[:, :1]), axis=-1).mean()
    assert error < 0.6 * np.linalg.norm(seen3d - (truth - truth[:, :1]), axis=-1).mean()
    assert np.linalg.norm(points - truth, axis=-1).mean() < 0.12  # depth too
    bones = np.linalg.norm(points[:, 1:] - points[:, list(skeleton.parents[1:])], axis=-1)
    np.testing.assert_allclose(bones, np.tile(bones[0], (60, 1)), atol=1e-9)  # lengths stay
    assert all((np.diff(f.trace) < 0).all() for f in found)


def test_first_frame_needs_no_guess(skeleton, rng):
    """Exact points of any pose within the limits, from a skeleton at rest: found to the millimetre."""
    for _ in range(10):
        angles = rng.uniform(np.maximum(skeleton.lower, -1.2), np.minimum(skeleton.upper, 1.2)) * 0.8
        angles[0] = 0
        position = np.array([0.2, -0.1, rng.uniform(2.5, 8.0)])
        truth = posed(skeleton, rotations.axis_angle_to_matrix(rng.normal(0, 1.5, 3)), angles, position)
        fit = SkeletonFit(skeleton, K, iterations=60, tolerance=1e-10)
        found = fit.step(truth - position, cameras.project(truth, K), np.ones(22), 0.0)
        assert np.linalg.norm(found.points - truth, axis=-1).max() < 2e-3


def test_what_is_not_seen_goes_on(skeleton):
    truth = walk(skeleton, 20)
    pixels = cameras.project(truth, K)
    fit = SkeletonFit(skeleton, K)
    last = [fit.step(truth[t] - truth[t, 0], pixels[t], np.ones(22), 1 / 30) for t in range(12)][-1]
    hidden = np.full((22, 2), np.nan)
    blind = [fit.step(truth[t] - truth[t, 0], hidden, np.ones(22), 1 / 30) for t in range(12, 16)]
    assert all(np.isfinite(found.pose).all() for found in blind)
    assert np.linalg.norm(blind[-1].position - last.position) < 0.3
    back = fit.step(truth[16] - truth[16, 0], pixels[16], np.ones(22), 1 / 30)
    assert np.linalg.norm(back.points - truth[16], axis=-1).mean() < 0.15


def test_a_jump_is_caught_up_with(skeleton):
    """Another person in the next frame, turned round: the last pose is no start."""
    truth = walk(skeleton, 2)
    other = truth[1] @ rotations.axis_angle_to_matrix(np.array([0.0, 3.0, 0.0])).T
    other += [0.0, 0.0, 8.0]
    fit = SkeletonFit(skeleton, K, Weights(smooth=1e-9, depth=1e-9))
    fit.step(truth[0] - truth[0, 0], cameras.project(truth[0], K), np.ones(22), 1 / 30)
    found = fit.step(other - other[0], cameras.project(other, K), np.ones(22), 1 / 30)
    assert np.linalg.norm(found.points - other, axis=-1).mean() < 0.05


def test_tables_come_in_their_own_order(rng):
    table = skeletons.get("vnect21")
    rest = rng.normal(0, 0.3, (21, 3))
    vnect = KinematicSkeleton.of_table("vnect21", rest)
    assert vnect.parents[0] == -1
    assert all(p < j for j, p in enumerate(vnect.parents))
    truth = rest - rest[14] + [0.1, 0.2, 4.0]
    found = SkeletonFit(vnect, K).step(truth - truth[14], cameras.project(truth, K), np.ones(21), 0.0)
    np.testing.assert_allclose(found.points, truth, atol=1e-6)
    np.testing.assert_allclose(found.joints[vnect.carriers], truth, atol=1e-6)
    assert table.joint_names[vnect.order[0]] == "pelvis"


def test_paper_weights_are_in_its_units():
    paper = Weights.paper(30.0)
    assert paper.ik * 0.001**2 == pytest.approx(1.0)  # one per square millimetre
    assert paper.depth * (0.001 * 30) ** 2 == pytest.approx(0.11)  # a millimetre per frame
    assert paper.smooth * (0.001 * 900) ** 2 == pytest.approx(0.07)


def test_bad_input_for_the_skeleton(skeleton):
    with pytest.raises(InputError, match="one root"):
        KinematicSkeleton.of_tree([-1, -1], np.zeros((2, 3)))
    with pytest.raises(InputError, match="circle"):
        KinematicSkeleton.of_tree([-1, 2, 1], np.zeros((3, 3)))
    with pytest.raises(InputError, match="rest_joints"):
        KinematicSkeleton.of_table("vnect21", np.zeros((20, 3)))
    with pytest.raises(InputError, match="skew"):
        SkeletonFit(skeleton, K + np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0]]))
    fit = SkeletonFit(skeleton, K)
    with pytest.raises(InputError, match="3 or more"):
        fit.step(np.zeros((22, 3)), np.zeros((22, 2)), np.zeros(22), 0.0)
    with pytest.raises(InputError, match=r"points2d has shape \(21, 2\)"):
        fit.step(np.zeros((22, 3)), np.zeros((21, 2)), np.ones(22), 0.0)
    truth = walk(skeleton, 1)[0]
    fit.step(truth - truth[0], cameras.project(truth, K), np.ones(22), 0.0)
    with pytest.raises(InputError, match="dt is 0"):
        fit.step(truth - truth[0], cameras.project(truth, K), np.ones(22), 0.0)
