"""The anatomical prior: mirror-symmetric, mean inside the limits, limits that mean what they say."""

from __future__ import annotations

import numpy as np

from monocap import skeletons
from monocap.bodies import load_body
from monocap.priors import anatomical_prior


def test_symmetric_and_consistent() -> None:
    prior = anatomical_prior()
    flip = np.array(skeletons.get("smplx55").flip[1:22]) - 1
    mirror = np.array([1.0, -1.0, -1.0])
    np.testing.assert_allclose(prior.mean[flip] * mirror, prior.mean)
    np.testing.assert_allclose(prior.deviation[flip], prior.deviation)
    mirrored = np.sort(np.stack([prior.lower[flip] * mirror, prior.upper[flip] * mirror]), axis=0)
    np.testing.assert_allclose(mirrored[0], prior.lower)
    np.testing.assert_allclose(mirrored[1], prior.upper)
    assert np.all(prior.lower <= prior.mean)
    assert np.all(prior.mean <= prior.upper)
    assert np.all(prior.deviation > 0)


def test_signs_bend_the_right_way() -> None:
    """Knees fold backwards, hips swing forwards, elbows bend forwards, arms hang: seen on the body itself."""
    body = load_body("open")
    index = {name: i for i, name in enumerate(body.joint_names)}
    prior = anatomical_prior()

    def moved(joint: str, axis: int, angle: float, watch: str) -> np.ndarray:
        pose = np.zeros((21, 3))
        pose[index[joint] - 1, axis] = angle
        assert prior.lower[index[joint] - 1, axis] <= angle <= prior.upper[index[joint] - 1, axis]
        rest = body.joints_only(body_pose=np.zeros(63))
        return np.asarray(body.joints_only(body_pose=pose.reshape(63)) - rest)[index[watch]]

    for side, sign in (("left", 1.0), ("right", -1.0)):
        assert moved(f"{side}_knee", 0, 2.0, f"{side}_ankle")[2] < -0.3
        assert moved(f"{side}_hip", 0, -1.5, f"{side}_knee")[2] > 0.3
        assert moved(f"{side}_elbow", 1, -2.0 * sign, f"{side}_wrist")[2] > 0.15
        assert moved(f"{side}_shoulder", 2, -1.3 * sign, f"{side}_wrist")[1] < -0.3
    mean = body.joints_only(body_pose=prior.mean.reshape(63))
    assert np.asarray(mean)[index["left_wrist"], 1] < np.asarray(mean)[index["left_shoulder"], 1] - 0.3
