"""People are followed under ids that stay: through a crossing, a somersault, a gap, and never exchanged."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from monocap.errors import InputError
from monocap.media import open_media
from monocap.perception import BlazePose, PeopleDetector, PeopleTracker
from monocap.perception.sides import MAX_VOTES, keep_sides
from monocap.skeletons import get
from monocap.types import Frame, Keypoints

SKELETON = get("blazepose33")
HIPS = SKELETON.indices(("left_hip", "right_hip"))
Shared = Callable[[str], Path]


def frames(path: Path, start: int, stop: int, step: int = 1) -> list[Frame]:
    return list(islice(open_media(path), start, stop, step))


def hips(keypoints: Keypoints) -> np.ndarray:
    return keypoints.points2d[HIPS, :2].mean(0)


def test_ids_stay_while_two_people_pass(shared: Shared, detector: PeopleDetector, lite: BlazePose) -> None:
    # a man on a roof; from frame 60 a woman walks below him from right to left; he jumps off at 160, has landed at 200
    tracker = PeopleTracker(detector, lite)
    found = [tracker.step(frame) for frame in frames(shared("media/two_walkers.mp4"), 0, 212)]
    assert tracker.confirmed == {0, 1}
    man, woman = ([(i, hips(seen[k])) for i, seen in enumerate(found) if k in seen] for k in (0, 1))
    assert len(man) > 195
    assert len(woman) > 130
    for index, (x, y) in man:
        if index < 150:
            assert 560 < x < 840, f"frame {index}"
            assert y < 420, f"frame {index}"  # above the edge of the roof
        elif index > 195:
            assert x > 950, f"frame {index}"  # the woman is at x < 200 by then
    across = np.array([x for _, (x, _) in woman])
    assert all(y > 600 for _, (_, y) in woman)
    assert across[0] > 1300
    assert across[-1] < 200
    assert (np.diff(across) < 40).all()


def test_left_stays_left_against_the_light(shared: Shared, detector: PeopleDetector, lite: BlazePose) -> None:
    # he faces the camera, dark before the sky: the lite network alone sees a back every few frames
    shoulders = SKELETON.indices(("left_shoulder", "right_shoulder"))
    tracker = PeopleTracker(detector, lite)
    found = [tracker.step(frame)[0] for frame in frames(shared("media/two_walkers.mp4"), 0, 80)]
    apart = [np.subtract(*k.points2d[shoulders, 0]) for k in found]
    assert (np.array(apart) > 0).all()


def test_steady_on_an_exercise(shared: Shared, detector: PeopleDetector, lite: BlazePose) -> None:
    tracker = PeopleTracker(detector, lite)
    found = [tracker.step(frame) for frame in frames(shared("media/pose_squats.mp4"), 0, 30)]
    assert all(list(seen) == [0] and seen[0].score > 0.9 for seen in found)
    height = np.array([hips(seen[0])[1] for seen in found])
    assert np.ptp(height) > 120  # she squats
    ankles = SKELETON.indices(("left_ankle", "right_ankle"))
    feet = np.array([seen[0].points2d[ankles, :2] for seen in found])
    assert np.ptp(feet, axis=0).max() < 45  # and stands still meanwhile, 860 pixels tall


def test_empty_then_person_then_gap(shared: Shared, detector: PeopleDetector, lite: BlazePose) -> None:
    shots = frames(shared("media/pose_squats.mp4"), 0, 9)
    empty = np.full_like(shots[0].image, 190)
    tracker = PeopleTracker(detector, lite)
    assert tracker.step(empty) == {}
    before = [list(tracker.step(shot)) for shot in shots[:6]]
    gap = [tracker.step(empty) for _ in range(3)]
    after = [list(tracker.step(shot)) for shot in shots[6:]]
    assert before + after == [[0]] * 9
    assert gap == [{}] * 3


def test_others_at_the_same_place_get_ids_of_their_own(
    shared: Shared, detector: PeopleDetector, lite: BlazePose
) -> None:
    # one after the other comes to the same table; the first, a woman in grey, is not the men and women in black
    path = shared("media/walk_in_one_by_one.mp4")
    tracker = PeopleTracker(detector, lite)
    empty = np.full((432, 768, 3), 128, np.uint8)
    for start in (120, 300, 600):
        for shot in frames(path, start, start + 12, 2):
            tracker.step(shot)
        for _ in range(3):
            tracker.step(empty)
    assert tracker.confirmed == {0, 1, 2}
    again = [list(tracker.step(shot)) for shot in frames(path, 140, 152, 2)]
    assert again == [[0]] * 6


def test_people_can_be_forgotten(shared: Shared, detector: PeopleDetector, lite: BlazePose) -> None:
    shots = frames(shared("media/pose_squats.mp4"), 0, 6)
    tracker = PeopleTracker(detector, lite, forget_after=4)
    assert [list(tracker.step(shot)) for shot in shots] == [[0]] * 6
    for _ in range(5):
        tracker.step(np.full_like(shots[0].image, 190))
    assert list(tracker.step(shots[0])) == [1]


def test_going_on_from_a_state_gives_the_same(shared: Shared, detector: PeopleDetector, lite: BlazePose) -> None:
    """Frames around the crossing, interrupted at every tenth: not one bit differs."""
    shots = frames(shared("media/two_walkers.mp4"), 58, 100)
    tracker = PeopleTracker(detector, lite)
    whole = [tracker.step(shot) for shot in shots]
    interrupted = PeopleTracker(detector, lite)
    for index, shot in enumerate(shots):
        if index % 10 == 4:
            state = interrupted.state()
            assert all(value.dtype != object for value in state.values())
            interrupted = PeopleTracker(detector, lite)
            interrupted.restore(state)
        seen = interrupted.step(shot)
        assert seen.keys() == whole[index].keys()
        for identity, keypoints in seen.items():
            np.testing.assert_array_equal(keypoints.points2d, whole[index][identity].points2d)
            np.testing.assert_array_equal(keypoints.points3d, whole[index][identity].points3d)
    assert len(interrupted.people) == 2


def test_state_of_something_else_is_refused(detector: PeopleDetector, lite: BlazePose) -> None:
    tracker = PeopleTracker(detector, lite)
    with pytest.raises(InputError, match="confirmed"):
        tracker.restore({})
    state = tracker.state()
    with pytest.raises(InputError, match="looks"):
        tracker.restore(state | {"looks": np.zeros((0, 2, 8), np.float32)})


def test_masks_on_request(shared: Shared, detector: PeopleDetector, lite: BlazePose) -> None:
    (frame,) = frames(shared("media/pose_squats.mp4"), 0, 1)
    mask = PeopleTracker(detector, lite, want_mask=True).step(frame)[0].mask
    assert mask is not None
    assert 0.1 < (mask > 0.5).mean() < 0.25


@pytest.mark.parametrize("option", ["detect_every", "forget_after", "limit"])
def test_bad_options(option: str, detector: PeopleDetector, lite: BlazePose) -> None:
    with pytest.raises(InputError, match=f"{option} 0"):
        PeopleTracker(detector, lite, **{option: 0})  # type: ignore[arg-type]


def standing(rng: np.random.Generator) -> Keypoints:
    points = rng.normal(size=(33, 3)).astype(np.float32)
    points[:, 2] = 0.9
    for index, name in enumerate(SKELETON.joint_names):
        points[index, 0] = 100 if "left" in name else -100 if "right" in name else 0
    return Keypoints("blazepose33", points, rng.normal(size=(33, 3)).astype(np.float32), 1.0)


def test_exchanged_sides_are_put_right(rng: np.random.Generator) -> None:
    flip = list(SKELETON.flip)
    right = standing(rng)
    turned = right.points3d[flip] * [1, 1, -1]
    wrong = Keypoints("blazepose33", right.points2d[flip], turned.astype(np.float32), 1.0)
    kept, votes = keep_sides(wrong, right.points2d, 5)
    np.testing.assert_array_equal(kept.points2d, right.points2d)
    np.testing.assert_array_equal(kept.points3d, right.points3d)
    assert votes == 4
    assert keep_sides(right, right.points2d, MAX_VOTES) == (right, MAX_VOTES)
    # when the network insists, it is believed in the end
    for _ in range(5):
        kept, votes = keep_sides(wrong, right.points2d, votes)
    assert kept is wrong
