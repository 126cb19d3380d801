"""Hand components of the open body: a relaxed mean hand, movements that hands make, the same on both sides."""

import numpy as np
import pytest

from monocap.bodies import load_body

FINGERS = ("index", "middle", "pinky", "ring")  # SMPL-X's order; the thumb comes last
MIRROR = np.tile([1.0, -1.0, -1.0], 15)


@pytest.fixture(scope="module")
def hands():
    return load_body("open").hand_data


def bends(pose):
    """Degrees (5,3) that the joints of a left hand turn by."""
    return np.degrees(np.linalg.norm(pose.reshape(5, 3, 3), axis=-1))


def test_components_are_orthonormal_and_mirror_each_other(hands):
    (left_mean, left), (right_mean, right) = hands["left_hand_pose"], hands["right_hand_pose"]
    np.testing.assert_allclose(left @ left.T, np.eye(45), atol=1e-6)
    np.testing.assert_allclose(left * MIRROR, right, atol=1e-7)
    np.testing.assert_allclose(left_mean * MIRROR, right_mean, atol=1e-7)


def test_the_mean_hand_is_relaxed(hands):
    angles = bends(hands["left_hand_pose"][0])
    knuckle, middle, end = angles[:4].T
    assert (knuckle > 15).all()
    assert (middle > knuckle).all()
    np.testing.assert_allclose(end / middle, 2 / 3, atol=0.05)
    assert angles[2].sum() > angles[0].sum()  # pinky, index: the hand closes towards the little finger
    assert (angles < 55).all()


def test_the_first_component_closes_the_hand():
    body = load_body("open", num_pca_comps=6, flat_hand_mean=False)
    tips = [f"left_{finger}_tip" for finger in ("index", "middle", "ring", "pinky")]

    def reach(amount):
        points = body.keypoints([*tips, "left_wrist"], left_hand_pose=[amount, 0, 0, 0, 0, 0])
        return np.linalg.norm(points[:4] - points[4], axis=1)

    assert (reach(2.0) < 0.6 * reach(-1.5)).all()
    flat = load_body("open").keypoints([*tips, "left_wrist"])
    np.testing.assert_allclose(reach(-1.5), np.linalg.norm(flat[:4] - flat[4], axis=1), atol=0.02)


def test_fingers_bend_forward_without_twist(hands):
    """Every used component turns end joints of long fingers about the one axis they have."""
    mean, rows = hands["left_hand_pose"]
    assert np.abs(mean.reshape(5, 3, 3)[:4, 1:, :2]).max() < 1e-6
    assert np.abs(rows[:20].reshape(20, 5, 3, 3)[:, :4, 1:, :2]).max() < 1e-5


def test_few_components_make_a_fist(hands):
    """A fist (knuckle 70, middle 85, end 56 degrees) by six components is off by few degrees."""
    mean, rows = hands["left_hand_pose"]
    fist = mean.copy().reshape(5, 3, 3)
    fist[:4] = 0.0
    fist[:4, :, 2] = -np.radians([70.0, 85.0, 56.0])
    wanted = fist.reshape(45) - mean
    left = wanted - wanted @ rows[:6].T @ rows[:6]
    assert np.degrees(np.sqrt((left[:36] ** 2).sum() / 12)) < 6.0
