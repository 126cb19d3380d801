"""Limbs of the open body keep their volume at deep bends, and their skin does not tear."""

import numpy as np
import pytest

from monocap.bodies import load_body
from monocap.geometry.twist import share_forearm_twist

# Pose of both sides (left given), degrees; cm³ that both together may lose or gain; longest edge over rest.
BENDS = {
    "elbow": ({"left_elbow": (0, -130, 0)}, 220, 2.2),
    "knee": ({"left_knee": (130, 0, 0)}, 500, 2.2),
    "hip": ({"left_hip": (-110, 0, 0)}, 1700, 6.5),
    "arm down": ({"left_shoulder": (0, 0, -75)}, 300, 3.2),
    "arm up": ({"left_shoulder": (0, 0, 65), "left_collar": (0, 0, 15)}, 300, 3.2),
}


@pytest.fixture(scope="module")
def body():
    return load_body("open")


def both_sides(body, turns):
    pose = np.zeros((21, 3))
    for name, degrees in turns.items():
        pose[body.joint_names.index(name) - 1] = degrees
        pose[body.joint_names.index(name.replace("left", "right")) - 1] = np.array(degrees) * [1, -1, -1]
    return np.radians(pose).reshape(63)


def volume(body, vertices):
    a, b, c = np.moveaxis(np.asarray(vertices, np.float64)[body.faces], 1, 0)
    return 1e6 * np.einsum("fc,fc->", a, np.cross(b, c)) / 6.0


def stretch(body, vertices):
    first, second = np.concatenate([body.faces[:, [0, 1]], body.faces[:, [1, 2]], body.faces[:, [2, 0]]]).T
    rest = np.linalg.norm(body.v_template[first] - body.v_template[second], axis=1)
    return np.linalg.norm(vertices[first] - vertices[second], axis=1) / np.maximum(rest, 1e-3)


@pytest.mark.parametrize("name", BENDS)
def test_a_deep_bend_keeps_the_volume_and_tears_nothing(body, name):
    turns, allowed, longest = BENDS[name]
    posed = np.asarray(body(body_pose=both_sides(body, turns)).vertices, np.float64)
    assert abs(volume(body, posed) - volume(body, body.v_template)) < allowed
    assert stretch(body, posed).max() < longest
    assert np.quantile(stretch(body, posed), 0.999) < 2.5


def thinnest(body, vertices):
    """Smallest radius of the left forearm from elbow to wrist over the same at rest, by slices of 1 cm."""
    first, last = (body.J_template[body.joint_names.index(f"left_{name}")] for name in ("elbow", "wrist"))
    length = np.linalg.norm(last - first)
    axis = (last - first) / length

    def radius(points):
        return np.linalg.norm(np.cross(points - first, axis), axis=1)

    along = (body.v_template - first) @ axis
    arm = (body.v_template[:, 0] > 0.3) & (body.v_template[:, 1] > 0.0)
    slices = [arm & (np.abs(along - at) < 0.01) for at in np.arange(-0.03, length + 0.03, 0.01)]
    return min(radius(vertices[ids]).mean() / radius(body.v_template[ids]).mean() for ids in slices)


def test_a_turned_palm_keeps_the_forearm_when_elbow_and_wrist_share_it(body):
    turned = both_sides(body, {"left_wrist": (-150, 0, 0)})
    shared = share_forearm_twist(turned, body.rest_joints())
    collapsed, kept = (thinnest(body, np.asarray(body(body_pose=pose).vertices)) for pose in (turned, shared))
    assert collapsed < 0.4
    assert kept > 0.75


def test_both_sides_have_the_same_weights(body):
    from importlib import resources

    from monocap.files import read_npz

    with resources.as_file(resources.files("monocap.bodies") / "data" / "open.npz") as path:
        mirror = read_npz(path, ["vertex_mirror"])["vertex_mirror"]
    names = body.joint_names
    twin = [names.index(name.replace("left", "#").replace("right", "left").replace("#", "right")) for name in names]
    np.testing.assert_allclose(body.lbs_weights[mirror][:, twin], body.lbs_weights, atol=1e-6)
