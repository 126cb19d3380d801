"""One subject is followed: through a crossing and a somersault, after a gap, and never exchanged for another."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from monocap.errors import InputError
from monocap.media import open_media
from monocap.perception import BlazePose, PeopleDetector, PersonTracker
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


def test_subject_is_kept_while_another_passes(shared: Shared, detector: PeopleDetector, lite: BlazePose) -> None:
    # the man on the roof is alone at first; from frame 40 a woman walks below him from right to left; he jumps off
    # at 160 and has landed at 200
    tracker = PersonTracker(detector, lite)
    found = [tracker.step(frame) for frame in frames(shared("media/two_walkers.mp4"), 0, 212)]
    assert sum(k is not None for k in found) > 195
    for index, keypoints in enumerate(found):
        if keypoints is None:
            continue
        x, y = hips(keypoints)
        if index < 150:
            assert 560 < x < 840, f"frame {index}"
            assert y < 420, f"frame {index}"  # above the edge of the roof; the woman's hips are below 650
        elif index > 195:
            assert x > 950, f"frame {index}"  # the woman is at x < 200 by then
    assert found[-1] is not None


def test_left_stays_left_against_the_light(shared: Shared, detector: PeopleDetector, lite: BlazePose) -> None:
    # he faces the camera, dark before the sky: the lite network alone sees a back every few frames
    shoulders = SKELETON.indices(("left_shoulder", "right_shoulder"))
    tracker = PersonTracker(detector, lite)
    found = [tracker.step(frame) for frame in frames(shared("media/two_walkers.mp4"), 0, 80)]
    apart = [np.subtract(*k.points2d[shoulders, 0]) for k in found if k is not None]
    assert len(apart) == 80
    assert (np.array(apart) > 0).all()


def test_steady_on_an_exercise(shared: Shared, detector: PeopleDetector, lite: BlazePose) -> None:
    tracker = PersonTracker(detector, lite)
    found = [tracker.step(frame) for frame in frames(shared("media/pose_squats.mp4"), 0, 30)]
    assert all(k is not None and k.score > 0.9 for k in found)
    height = np.array([hips(k)[1] for k in found if k is not None])
    assert np.ptp(height) > 120  # she squats
    ankles = SKELETON.indices(("left_ankle", "right_ankle"))
    feet = np.array([k.points2d[ankles, :2] for k in found if k is not None])
    assert np.ptp(feet, axis=0).max() < 45  # and stands still meanwhile, 860 pixels tall


def test_empty_then_person_then_gap(shared: Shared, detector: PeopleDetector, lite: BlazePose) -> None:
    shots = frames(shared("media/pose_squats.mp4"), 0, 6)
    empty = np.full_like(shots[0].image, 190)
    tracker = PersonTracker(detector, lite)
    assert tracker.step(empty) is None
    before = [tracker.step(shot) for shot in shots[:3]]
    gap = [tracker.step(empty) for _ in range(4)]
    after = [tracker.step(shot) for shot in shots[3:]]
    assert all(k is not None for k in before + after)
    assert gap == [None] * 4


def test_somebody_else_is_not_the_subject(shared: Shared, detector: PeopleDetector, lite: BlazePose) -> None:
    # the subject leaves; others come to the same table one by one
    path = shared("media/walk_in_one_by_one.mp4")
    tracker = PersonTracker(detector, lite)
    subject = [tracker.step(frame) for frame in frames(path, 100, 196, 8)]
    assert sum(k is not None for k in subject) >= 11
    for _ in range(3):
        tracker.step(np.full((432, 768, 3), 128, np.uint8))
    others = [tracker.step(frame) for frame in frames(path, 225, 460, 20)]
    assert others == [None] * len(others)


def test_subject_can_be_forgotten(shared: Shared, detector: PeopleDetector, lite: BlazePose) -> None:
    path = shared("media/walk_in_one_by_one.mp4")
    first, second = frames(path, 120, 121)[0], frames(path, 300, 301)[0]
    empty = np.full_like(first.image, 128)
    tracker = PersonTracker(detector, lite, forget_after=8)
    assert tracker.step(first) is not None
    assert [tracker.step(image) for image in (empty, empty, empty, empty, empty, second, second, empty)] == [None] * 8
    assert tracker.step(second) is not None


def test_masks_on_request(shared: Shared, detector: PeopleDetector, lite: BlazePose) -> None:
    (frame,) = frames(shared("media/pose_squats.mp4"), 0, 1)
    keypoints = PersonTracker(detector, lite, want_mask=True).step(frame)
    assert keypoints is not None
    assert keypoints.mask is not None
    assert 0.1 < (keypoints.mask > 0.5).mean() < 0.25


def test_bad_options(detector: PeopleDetector, lite: BlazePose) -> None:
    with pytest.raises(InputError, match="detect_every"):
        PersonTracker(detector, lite, detect_every=0)


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
