"""Sharing the twist of forearms: what must stay, and what must change."""

import numpy as np
import pytest

from monocap import skeletons
from monocap.errors import InputError
from monocap.geometry.kinematics import forward_kinematics
from monocap.geometry.rotations import axis_angle_to_matrix, geodesic_angle
from monocap.geometry.twist import share_forearm_twist, shared_twist, twist_angle

NAMES = skeletons.get("smplx55").joint_names
PARENTS = skeletons.get("smplx55").parents[:22]
ELBOW, WRIST = NAMES.index("left_elbow"), NAMES.index("left_wrist")
CHANGED = {NAMES.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("elbow", "wrist")}


def matrices(body_pose, root=None):
    pose = np.asarray(body_pose, np.float64).reshape(-1, 21, 3)
    root = np.zeros((len(pose), 1, 3)) if root is None else root
    return np.asarray(axis_angle_to_matrix(np.concatenate([root, pose], axis=1)))


@pytest.fixture
def rest(rng):
    """Any skeleton will do: the forearms need not lie along x."""
    return rng.normal(0.0, 0.3, (40, 22, 3))


def test_every_joint_and_both_hands_stay(rng, rest):
    pose = rng.normal(0.0, 1.2, (40, 63))
    shared = share_forearm_twist(pose, rest)
    turns, places = forward_kinematics(matrices(pose), rest, PARENTS)
    turned, placed = forward_kinematics(matrices(shared), rest, PARENTS)
    np.testing.assert_allclose(placed, places, atol=1e-12)
    others = [j for j in range(22) if j not in CHANGED]
    hands = [NAMES.index("left_wrist"), NAMES.index("right_wrist")]
    np.testing.assert_allclose(np.asarray(turned)[:, others + hands], np.asarray(turns)[:, others + hands], atol=1e-12)
    moved = geodesic_angle(turns, turned)[:, ELBOW]
    assert np.median(moved) > 0.1


def test_both_joints_end_up_with_half_of_the_twist(rng, rest):
    axis = rest[:, WRIST] - rest[:, ELBOW]
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    across = np.cross(axis, rng.normal(size=axis.shape))
    bend = np.asarray(axis_angle_to_matrix(across / np.linalg.norm(across, axis=1, keepdims=True) * 1.4))
    before = rng.uniform(-2.2, 2.2, (2, 40))
    upper = bend @ np.asarray(axis_angle_to_matrix(before[0][:, None] * axis))
    lower = np.asarray(axis_angle_to_matrix(before[1][:, None] * axis)) @ bend
    np.testing.assert_allclose(twist_angle(upper, axis), before[0], atol=1e-9)
    np.testing.assert_allclose(twist_angle(lower, axis), before[1], atol=1e-9)
    upper, lower = shared_twist(upper, lower, 3.0 * axis)
    np.testing.assert_allclose(twist_angle(upper, axis), before.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(twist_angle(lower, axis), before.mean(axis=0), atol=1e-9)
    for once, twice in zip((upper, lower), shared_twist(upper, lower, axis), strict=True):
        np.testing.assert_allclose(twice, once, atol=1e-12)


@pytest.mark.parametrize("axis", [(1.0, 0.0, 0.0), (0.6, -0.8, 0.0)])
def test_no_jump_where_a_wrist_turns_once_round(axis):
    """A step of a degree never turns the forearm by more than the fade's slope allows."""
    angles = np.radians(np.arange(-360.0, 361.0))
    lower = np.asarray(axis_angle_to_matrix(angles[:, None] * np.array(axis) + [0.0, 0.0, 0.2]))
    upper, _ = shared_twist(np.broadcast_to(np.eye(3), lower.shape), lower, np.array(axis))
    assert np.degrees(geodesic_angle(upper[1:], upper[:-1])).max() < 5.0
    assert np.degrees(geodesic_angle(upper, np.eye(3))).max() > 60.0


def test_no_jump_where_an_elbow_swings_beyond_what_it_can():
    def largest_step(degrees):
        angles = np.radians(np.arange(140.0, 220.0, degrees))
        upper = np.asarray(axis_angle_to_matrix(angles[:, None] * [0.0, 1.0, 0.0] + [0.3, 0.0, 0.0]))
        shared, _ = shared_twist(upper, np.broadcast_to(np.eye(3), upper.shape), np.array([1.0, 0.0, 0.0]))
        return np.degrees(geodesic_angle(shared[1:], shared[:-1])).max()

    assert largest_step(0.02) < 0.1 * largest_step(0.5)


def test_single_precision_and_leading_shapes(rng, rest):
    pose = rng.normal(0.0, 0.7, (3, 5, 63)).astype(np.float32)
    shared = share_forearm_twist(pose, rest[0])
    assert shared.dtype == np.float32
    assert shared.shape == (3, 5, 63)
    np.testing.assert_allclose(shared, share_forearm_twist(pose.astype(np.float64), rest[0]), atol=2e-5)


def test_torch_gives_the_same_and_a_gradient(rng, rest):
    torch = pytest.importorskip("torch")
    pose = torch.tensor(rng.normal(0.0, 0.7, (4, 63)), requires_grad=True)
    shared = share_forearm_twist(pose, torch.tensor(rest[:4]))
    np.testing.assert_allclose(
        shared.detach().numpy(), share_forearm_twist(pose.detach().numpy(), rest[:4]), atol=1e-12
    )
    shared.square().sum().backward()
    assert np.isfinite(pose.grad.numpy()).all()


def test_wrong_shapes_are_told(rest):
    with pytest.raises(InputError, match="body_pose"):
        share_forearm_twist(np.zeros(69), rest[0])
    with pytest.raises(InputError, match="rest_joints"):
        share_forearm_twist(np.zeros(63), rest[0, :20])
