"""Hands hang on their own wrists, faces are where heads are, and what is not there is not found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from monocap.errors import InputError
from monocap.perception import BlazePose, PeopleDetector, find_people_keypoints
from monocap.perception.face import FaceFollower, FaceNetwork, linked_lids
from monocap.perception.hands import HandFollower, HandNetwork, HandResult, aim, region_of
from monocap.perception.parts import PartsFinder, bridged, no_parts
from monocap.perception.roi import Roi
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
    """Where the body's sides are exchanged, so are the hands; the network, which sees the other hand, is not asked
    where they are, but its depth is turned round: the palm that was seen is the back of the other hand."""
    image = picture("yoga.jpg")
    body = person(image, detector, lite).points2d
    network = HandNetwork(1)
    straight = HandFollower(network).step(image, body)
    exchanged = HandFollower(network).step(image, body[np.array(BODY.flip)])
    size = np.ptp(straight[..., :2], axis=1).max()
    for mine, others in zip(straight, exchanged[::-1], strict=True):
        assert np.linalg.norm(mine[:, :2] - others[:, :2], axis=1).mean() < 0.05 * size
        assert np.corrcoef(mine[:, 5], others[:, 5])[0, 1] < -0.7


class Scripted:
    """A hand network that says what it was told, look by look, and remembers where it looked."""

    def __init__(self, *answers: tuple[float, float, tuple[float, float]]) -> None:
        self.answers, self.regions = list(answers), []

    def estimate(self, image_rgb: np.ndarray, roi: Roi, mirrored: bool = False) -> HandResult:
        score, right, root = self.answers[min(len(self.regions), len(self.answers) - 1)]
        self.regions.append(roi)
        points = np.zeros((21, 6), np.float32)
        points[:, :2] = root + np.linspace(0, 60, 21)[:, None] * [0.1, -1.0]
        points[:, 2], points[:, 5] = score, np.linspace(-0.05, 0.05, 21)
        return HandResult(points, score, right, roi, region_of(points))


def raised_right_hand(left_wrist: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """Keypoints in which the right wrist is at (200, 200), the left one unseen unless it is given."""
    body = np.zeros((33, 3))
    for name, at in {"elbow": (200, 300), "wrist": (200, 200), "index": (205, 165), "pinky": (195, 165)}.items():
        body[BODY.index(f"right_{name}")] = (*at, 0.9)
    body[BODY.index("left_wrist")] = left_wrist
    return body


BLANK = np.zeros((400, 400, 3), np.uint8)


def test_a_hand_taken_for_the_other_one_is_looked_at_again_and_then_seen_from_behind() -> None:
    agreed = Scripted((0.9, 0.9, (200, 200)))
    found = HandFollower(agreed).step(BLANK, raised_right_hand())[1]  # type: ignore[arg-type]
    assert len(agreed.regions) == 5, "two looks, one in the mirror, two at a tilt"
    assert found[-1, 5] > 0
    doubted = Scripted((0.9, 0.1, (200, 200)), (0.9, 0.1, (200, 200)), (0.8, 0.9, (200, 200)))
    found = HandFollower(doubted).step(BLANK, raised_right_hand())[1]  # type: ignore[arg-type]
    assert len(doubted.regions) == 6
    assert doubted.regions[2].size < doubted.regions[1].size
    assert found[0, 2] == pytest.approx(0.8), "the look that agrees is believed"
    assert found[-1, 5] > 0
    stubborn = Scripted((0.9, 0.1, (200, 200)))
    follower = HandFollower(stubborn)  # type: ignore[arg-type]
    found = follower.step(BLANK, raised_right_hand())[1]
    assert found[-1, 5] < 0, "the same outline from behind"
    looks = len(stubborn.regions)
    follower.step(BLANK, raised_right_hand())
    assert len(stubborn.regions) == looks + 1, "more looks are in vain"


def test_only_fast_hands_are_looked_at_in_every_frame() -> None:
    for way, hasty in ((2.0, ()), (40.0, ("right",))):
        hand = Scripted((0.9, 0.9, (200, 200)))
        follower, body = HandFollower(hand), raised_right_hand()  # type: ignore[arg-type]
        for t in range(2):
            body[:, 0] += way * t
            hand.answers = [(0.9, 0.9, (200 + way * t, 200.0))]
            assert follower.step(BLANK, body)[1].any()
        assert follower.hasty(body) == hasty
        follower.restore(follower.state())
        assert follower.hasty(body) == hasty, "the pace is in the state"
    hand = Scripted((0.9, 0.9, (200, 200)))
    follower, body = HandFollower(hand), raised_right_hand()  # type: ignore[arg-type]
    follower.step(BLANK, body)
    assert not follower.step(BLANK, body, ()).any(), "nobody looked"
    assert follower.hasty(body) == ()
    body[BODY.index("right_wrist"), 0] += 40
    assert follower.hasty(body) == (), "40 px in two frames are no haste"
    body[BODY.index("right_wrist"), 0] += 90
    assert follower.hasty(body) == ("right",), "a wrist that sets off is"


def test_looks_that_see_the_same_are_averaged_and_others_are_not() -> None:
    """Two looks at first, one in a mirror, two at a tilt, of which the last sees something else."""
    hand = Scripted(*((0.9, 0.9, (x, 200)) for x in (200, 200, 204, 206, 280)))
    found = HandFollower(hand).step(BLANK, raised_right_hand())[1]  # type: ignore[arg-type]
    assert found[0, 0] == pytest.approx((2 * 202 + 206) / 3)
    brief = Scripted((0.9, 0.9, (200, 200)))
    HandFollower(brief, care="brief").step(BLANK, raised_right_hand())  # type: ignore[arg-type]
    assert len(brief.regions) == 1


def test_what_is_seen_in_a_mirror_is_turned_back(picture: Pictures, detector: PeopleDetector, lite: BlazePose) -> None:
    image = picture("yoga.jpg")
    network, body = HandNetwork(1), person(image, detector, lite).points2d
    aimed = aim(body, "right")
    assert aimed is not None
    straight = network.estimate(image, network.estimate(image, aimed.roi).next_roi)
    mirrored = network.estimate(image, straight.next_roi, mirrored=True)
    size = np.ptp(straight.points[:, :2], axis=0).max()
    assert np.linalg.norm((straight.points - mirrored.points)[:, :2], axis=1).mean() < 0.06 * size
    assert np.linalg.norm((straight.points - mirrored.points)[:, 3:], axis=1).mean() < 0.02
    assert abs(straight.right - mirrored.right) < 0.4


def test_a_hand_on_the_other_wrist_is_not_this_ones() -> None:
    far = Scripted((0.9, 0.9, (225, 200)))
    assert HandFollower(far).step(BLANK, raised_right_hand())[1].any()  # type: ignore[arg-type]
    assert not HandFollower(far).step(BLANK, raised_right_hand((230, 200, 0.9)))[1].any()  # type: ignore[arg-type]


def test_points_beyond_the_edge_and_hands_outside_of_the_picture(picture: Pictures, lite: BlazePose) -> None:
    image = picture("yoga.jpg")
    network = HandNetwork(1)
    points = network.estimate(image, Roi(np.array([0.0, 300.0]), 200.0)).points
    outside = points[:, 0] < -0.5
    assert outside.any()
    assert not outside.all()
    assert points[outside, 2].max() < 0.5 * points[~outside, 2].min()
    nobody = Scripted((0.9, 0.9, (200, 200)))
    assert not HandFollower(nobody).step(BLANK[:150], raised_right_hand()).any()  # type: ignore[arg-type]
    assert not nobody.regions, "what lies outside is not looked for"


def test_in_a_hurry_hands_and_face_take_turns(
    picture: Pictures, detector: PeopleDetector, lite: BlazePose, finder: PartsFinder
) -> None:
    image = picture("yoga.jpg")
    body = person(image, detector, lite)
    finder.forget(every=2)
    seen = [finder.step(image, {0: body})[0] for _ in range(3)]
    assert [(bool(one.hands.any()), bool(one.face.any())) for one in seen] == [
        (True, True),
        (False, True),
        (True, False),
    ]
    finder.restore(finder.state())
    later = finder.step(image, {0: body})[0]
    assert later.face.any(), "the turn is kept"
    assert not later.hands.any()
    newcomer = finder.step(image, {0: body, 1: body})[1]
    assert newcomer.hands.any(), "newcomers are looked at at once"
    assert newcomer.face.any()


def test_gaps_between_looks_are_bridged_and_no_others() -> None:
    parts = no_parts(9)
    for t in (0, 2, 5, 7):
        parts.hands[t, 0, :, :2], parts.hands[t, 0, :, 2] = 10 * t, 0.8
        parts.face[t, :, 2], parts.shapes[t] = 0.9, 0.1 * t
    valid = np.ones(9, bool)
    valid[6] = False
    filled = bridged(parts, valid, 2)
    assert filled.hands[1, 0, :, :2] == pytest.approx(10)
    assert filled.hands[1, 0, :, 2] == pytest.approx(0.4), "half as sure as what was seen"
    assert filled.shapes[1] == pytest.approx(0.1)
    for t in (3, 4, 6, 8):
        assert not filled.hands[t].any()
        assert not filled.face[t].any()
    assert not filled.hands[:, 1].any()
    np.testing.assert_array_equal(bridged(parts, valid, 1).hands, parts.hands)


def test_a_face_that_is_away_is_looked_for_less_often_and_found_again(
    picture: Pictures, detector: PeopleDetector, lite: BlazePose, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = picture("yoga.jpg")
    body = person(image, detector, lite).points2d
    network = FaceNetwork(1)
    looks = []
    estimate = network.estimate
    monkeypatch.setattr(network, "estimate", lambda *given, **named: looks.append(1) or estimate(*given, **named))
    follower = FaceFollower(network)
    for _ in range(12):
        assert not follower.step(np.full_like(image, 127), body)[0].any()
    assert 7 <= len(looks) <= 18, "seven frames, and two of the next five"
    resumed = FaceFollower(network)
    resumed.restore(follower.state())
    assert resumed.step(image, body)[0].any(), "the twelfth frame is one in which it is looked for"
    assert not resumed.state()[5]


def test_the_far_eye_of_a_turned_head_shuts_with_the_near_one() -> None:
    left, right = ARKIT.index("eyeBlinkLeft"), ARKIT.index("eyeBlinkRight")
    shapes = np.zeros(52, np.float32)
    shapes[left], shapes[right], shapes[ARKIT.index("jawOpen")] = 0.1, 0.7, 0.4

    def head(yaw: float) -> np.ndarray:
        """A mesh whose right eye, at the picture's left, is nearer for a positive turn."""
        mesh = np.zeros((478, 3))
        mesh[263] = 50 * np.cos(yaw), 0, 50 * np.sin(yaw)
        return mesh

    for yaw, expected in ((0.0, 0.1), (0.4, 0.1), (0.6, 0.4), (0.9, 0.7), (-0.9, 0.1)):
        linked = linked_lids(shapes, head(yaw))
        assert linked[left] == pytest.approx(expected), yaw
        assert linked[right] == pytest.approx(0.7), "the near eye is what it is, and a far one that is shut stays shut"
        assert linked[ARKIT.index("jawOpen")] == pytest.approx(0.4)


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
