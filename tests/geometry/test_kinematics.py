"""Forward kinematics and its Jacobians: reference, compiled twins, finite differences and torch agree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from monocap.errors import InputError
from monocap.geometry import kinematics, rotations
from monocap.skeletons import get

PARENTS = get("smplx55").parents


def random_tree(rng, *lead, parents=PARENTS):
    n = len(parents)
    local = Rotation.from_rotvec(rng.normal(0, 0.7, (int(np.prod(lead)) * n, 3))).as_matrix().reshape(*lead, n, 3, 3)
    return local, rng.normal(0, 0.3, (*lead, n, 3))


def by_hand(local, rest, parents):
    """The definition, as 4×4 matrices down each chain."""
    joints, world = np.zeros_like(rest), np.zeros_like(local)
    for i in range(len(parents)):
        chain, k = [], i
        while k >= 0:
            chain.append(k)
            k = parents[k]
        matrix = np.eye(4)
        for k in reversed(chain):
            step = np.eye(4)
            step[:3, :3] = local[k]
            step[:3, 3] = rest[k] - (rest[parents[k]] if parents[k] >= 0 else 0)
            matrix = matrix @ step
        joints[i], world[i] = matrix[:3, 3], matrix[:3, :3]
    return world, joints


def test_reference_and_compiled_twin_equal_the_definition(rng):
    local, rest = random_tree(rng, 4)
    for function in (kinematics.forward_kinematics, kinematics.forward_kinematics_numba):
        world, joints = function(local, rest, PARENTS)
        for n in range(4):
            want = by_hand(local[n], rest[n], PARENTS)
            np.testing.assert_allclose(world[n], want[0], atol=1e-12)
            np.testing.assert_allclose(joints[n], want[1], atol=1e-12)


@pytest.mark.parametrize("function", [kinematics.forward_kinematics, kinematics.forward_kinematics_numba])
@pytest.mark.parametrize(("poses", "shapes"), [((), ()), ((5,), ()), ((2, 5), (2, 1)), ((), (3,))])
def test_leading_shapes_broadcast_and_dtype_stays(rng, function, poses, shapes):
    local, _ = random_tree(rng, *poses)
    _, rest = random_tree(rng, *shapes)
    lead = np.broadcast_shapes(poses, shapes)
    full = np.broadcast_to(local, (*lead, 55, 3, 3)), np.broadcast_to(rest, (*lead, 55, 3))
    want = kinematics.forward_kinematics(*full, PARENTS)
    for got, expected in zip(function(local, rest, PARENTS), want, strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, atol=1e-12)
    world, joints = function(local.astype(np.float32), rest.astype(np.float32), PARENTS)
    assert world.dtype == joints.dtype == np.float32


def test_jacobian_equals_central_differences(rng):
    local, rest = random_tree(rng, 2)
    carriers = rng.integers(0, 55, 20)
    points, joint_dirs, point_dirs = (
        rng.normal(0, 0.3, (2, 20, 3)),
        rng.normal(size=(55, 3, 4)),
        rng.normal(size=(20, 3, 4)),
    )
    result = kinematics.points_jacobian(
        local, rest, PARENTS, carriers, points, joint_dirs=joint_dirs, point_dirs=point_dirs
    )
    h = 1e-6

    def posed(local, rest, points):
        world, joints = kinematics.forward_kinematics(local, rest, PARENTS)
        return joints[:, carriers] + (world[:, carriers] @ (points - rest[:, carriers])[..., None])[..., 0]

    np.testing.assert_allclose(result.points, posed(local, rest, points), atol=1e-12)
    for j in range(55):
        for c in range(3):
            turn = rotations.axis_angle_to_matrix(h * np.eye(3)[c])
            two = []
            for step in (turn, turn.T):
                moved = local.copy()
                moved[:, j] = step @ moved[:, j]
                two.append(posed(moved, rest, points))
            np.testing.assert_allclose(result.rotations[..., j, c], (two[0] - two[1]) / (2 * h), atol=1e-8)
    for b in range(4):
        two = [posed(local, rest + s * h * joint_dirs[..., b], points + s * h * point_dirs[..., b]) for s in (1, -1)]
        assert result.betas is not None
        np.testing.assert_allclose(result.betas[..., b], (two[0] - two[1]) / (2 * h), atol=1e-7)


def test_jacobian_of_joints_themselves_and_reused_memory(rng):
    local, rest = random_tree(rng)
    every = np.arange(55)
    first = kinematics.points_jacobian(local, rest, PARENTS, every, rest)
    np.testing.assert_allclose(first.points, first.joints, atol=1e-12)
    assert np.abs(first.rotations[every, :, every]).max() < 1e-12  # a joint's own rotation does not move it
    before = first.rotations.copy()
    other, _ = random_tree(rng)
    kinematics.points_jacobian(other, rest, PARENTS, every, rest, out=first)
    assert np.abs(first.rotations - before).max() > 0.1
    again = kinematics.points_jacobian(local, rest, PARENTS, every, rest, out=first)
    assert again is first
    np.testing.assert_array_equal(again.rotations, before)


def test_chain_to_axis_angle_equals_differences(rng):
    vectors, rest = rng.normal(0, 0.8, (55, 3)), rng.normal(0, 0.3, (55, 3))
    local = rotations.axis_angle_to_matrix(vectors)
    jacobian = kinematics.points_jacobian(local, rest, PARENTS, np.arange(55), rest)
    chained = kinematics.chain_to_axis_angle(jacobian.rotations, vectors)
    h = 1e-6
    for j in (0, 3, 12, 18, 40):
        for c in range(3):
            two = []
            for sign in (1, -1):
                moved = vectors.copy()
                moved[j, c] += sign * h
                two.append(kinematics.forward_kinematics(rotations.axis_angle_to_matrix(moved), rest, PARENTS)[1])
            np.testing.assert_allclose(chained[:, :, j, c], (two[0] - two[1]) / (2 * h), atol=1e-8)
    in_place = kinematics.chain_to_axis_angle(jacobian.rotations, vectors, out=jacobian.rotations)
    np.testing.assert_array_equal(in_place, chained)


@st.composite
def trees(draw):
    n = draw(st.integers(1, 12))
    return (-1, *(draw(st.integers(0, i - 1)) for i in range(1, n)))


@settings(max_examples=40, deadline=None)
@given(trees(), st.integers(0, 2**32 - 1))
def test_any_tree_keeps_its_bones_and_turns_as_a_whole(parents, seed):
    rng = np.random.default_rng(seed)
    local, rest = random_tree(rng, parents=parents)
    world, joints = kinematics.forward_kinematics_numba(local, rest, parents)
    np.testing.assert_allclose(joints, kinematics.forward_kinematics(local, rest, parents)[1], atol=1e-12)
    for i, p in enumerate(parents[1:], start=1):
        assert np.linalg.norm(joints[i] - joints[p]) == pytest.approx(np.linalg.norm(rest[i] - rest[p]))
    turn = Rotation.from_rotvec(rng.normal(size=3)).as_matrix()
    local[0] = turn @ local[0]
    turned_world, turned = kinematics.forward_kinematics_numba(local, rest, parents)
    np.testing.assert_allclose(turned - rest[0], (joints - rest[0]) @ turn.T, atol=1e-12)
    np.testing.assert_allclose(turned_world, turn @ world, atol=1e-12)


def test_bad_trees_and_shapes_are_refused(rng):
    local, rest = random_tree(rng)
    with pytest.raises(InputError, match="-1 first"):
        kinematics.forward_kinematics(local[:3], rest[:3], (-1, 2, 0))
    with pytest.raises(InputError, match="rest_joints"):
        kinematics.forward_kinematics(local, rest[:5], PARENTS)
    with pytest.raises(InputError, match="do not broadcast"):
        kinematics.forward_kinematics_numba(np.stack([local] * 2), np.stack([rest] * 3), PARENTS)
    with pytest.raises(InputError, match="point_joints"):
        kinematics.points_jacobian(local, rest, PARENTS, [55], rest[:1])
    with pytest.raises(InputError, match="together"):
        kinematics.points_jacobian(local, rest, PARENTS, [5], rest[:1], joint_dirs=np.zeros((55, 3, 1)))


def test_warmup_reports_seconds():
    assert kinematics.warmup() > 0
    assert kinematics.warmup() < 0.5
