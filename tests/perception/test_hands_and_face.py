"""Hands hang on their own wrists, faces are where heads are, and what is not there is not found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from monocap.errors import InputError
from monocap.perception import BlazePose, PeopleDetector, find_people_keypoints
from monocap.perception.hands import HandFollower, HandNetwork, aim, region_of
from monocap.perception.parts import PartsFinder
from monocap.skeletons import get
from monocap.types import ARKIT, Keypoints

BODY = get("blazepose33")
Pictures = Callable[[str], np.ndarray]


@pytest.fixture(scope="module")
def finder() -> PartsFinder:
    return PartsFinder(threads=1)


def person(picture: np.ndarray, detector: PeopleDetector, lite: BlazePose) -> Keypoints:
    return find_people_keypoints(picture, most=1, detector=detector, blazepose=lite, jittered=1)[0]


def test_region_turns_and_moves_with_the_hand(rng: np.random.Generator) -> None:
    points = rng.uniform(0, 50, (21, 2)) + np.linspace(0, 80, 21)[:, None] * [0.2, -1.0]
    before = region_of(points)
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    after = region_of(2 * points @ turn.T + [30, 40])
    np.testing.assert_allclose(after.center, 2 * turn @ before.center + [30, 40])
    assert after.size == pytest.approx(2 * before.size)
    assert after.rotation == pytest.approx(before.rotation + angle)


def test_no_hand_is_looked_for_without_a_wrist() -> None:
    body = np.zeros((33, 3))
    assert aim(body, "left") is None
    body[:] = (100, 100, 0.9)
    assert aim(body, "left") is None, "a body of no size has no hands"


def test_hands_and_a_laughing_face(
    picture: Pictures, detector: PeopleDetector, lite: BlazePose, finder: PartsFinder
) -> None:
    image = picture("yoga.jpg")
    body = person(image, detector, lite)
    finder.forget()
    parts = finder.step(image, {3: body})[3]
    for k, side in enumerate(("left", "right")):
        wrist = body.points2d[BODY.index(f"{side}_wrist"), :2]
        forearm = np.linalg.norm(wrist - body.points2d[BODY.index(f"{side}_elbow"), :2])
        assert parts.hands[k, 0, 2] > 0.5
        assert np.linalg.norm(parts.hands[k, 0, :2] - wrist) < 0.4 * forearm
    eyes = parts.face[[19, 28], :2].mean(axis=0)  # outer corners
    true = body.points2d[[BODY.index("left_eye"), BODY.index("right_eye")], :2].mean(axis=0)
    assert np.linalg.norm(eyes - true) < 15
    smile = [parts.shapes[ARKIT.index(f"mouthSmile{side}")] for side in ("Left", "Right")]
    assert min(smile) > 0.5
    assert parts.shapes[ARKIT.index("tongueOut")] == 0


def test_sides_are_the_wrists(picture: Pictures, detector: PeopleDetector, lite: BlazePose) -> None:
    """Where the body's sides are exchanged, so are the hands: the network has no say in it."""
    image = picture("yoga.jpg")
    body = person(image, detector, lite).points2d
    network = HandNetwork(1)
    straight = HandFollower(network).step(image, body)
    exchanged = HandFollower(network).step(image, body[np.array(BODY.flip)])
    np.testing.assert_allclose(exchanged[::-1, :, :2], straight[..., :2], atol=1e-3)


def test_nothing_in_an_empty_picture(
    picture: Pictures, detector: PeopleDetector, lite: BlazePose, finder: PartsFinder
) -> None:
    image = picture("yoga.jpg")
    body = person(image, detector, lite)
    finder.forget()
    parts = finder.step(np.full_like(image, 127), {0: body})[0]
    assert not parts.hands.any()
    assert not parts.face.any()
    assert not parts.shapes.any()


def test_going_on_from_a_state_changes_nothing(
    picture: Pictures, detector: PeopleDetector, lite: BlazePose, finder: PartsFinder
) -> None:
    image = picture("yoga.jpg")
    body = person(image, detector, lite)
    finder.forget()
    finder.step(image, {0: body, 5: body})
    state = {name: array.copy() for name, array in finder.state().items()}
    expected = finder.step(image, {0: body, 5: body})
    finder.forget()
    finder.restore(state)
    again = finder.step(image, {0: body, 5: body})
    for i in (0, 5):
        for name in ("hands", "face", "shapes"):
            np.testing.assert_array_equal(getattr(again[i], name), getattr(expected[i], name))
    with pytest.raises(InputError, match="regions"):
        finder.restore({"ids": np.zeros(2, np.int64), "regions": np.zeros((1, 3))})
