"""Fingers' ranges: the right hand mirrors the left, and what the open body's components make is human."""

import numpy as np
import pytest

from monocap.bodies import load_body
from monocap.errors import InputError
from monocap.priors.fingers import finger_prior

MIRROR = np.tile([1.0, -1.0, -1.0], 15)


def test_right_mirrors_left() -> None:
    left, right = finger_prior("left"), finger_prior("right")
    np.testing.assert_allclose(left.mean * MIRROR, right.mean)
    pose = np.random.default_rng(0).normal(0, 1, (20, 45))
    np.testing.assert_allclose(left.excess(pose) * MIRROR, right.excess(pose * MIRROR))
    assert (right.lower <= right.upper).all()


def test_open_hands_are_within_ranges_and_broken_fingers_are_not() -> None:
    mean, components = load_body("open").hand_data["left_hand_pose"]
    prior = finger_prior("left", mean)
    assert not prior.excess(prior.mean).any()
    rng = np.random.default_rng(1)
    hands = (
        mean
        + np.clip(rng.normal(0, 0.5, (200, 6)), -1, 1)
        * [0.9, 0.5, 0.4, 0.3, 0.2, 0.2]
        @ np.diag(np.ones(6))
        @ components[:6]
    )
    assert np.abs(prior.excess(hands)).max(axis=1).mean() < 0.1
    backward = prior.mean.copy()
    backward[5] = 1.0  # the middle joint of the index finger, bent to the back of the hand
    assert prior.excess(backward)[5] == pytest.approx(1.0 - prior.upper[5])


def test_another_side_is_refused() -> None:
    with pytest.raises(InputError, match="left or right"):
        finger_prior("middle")
