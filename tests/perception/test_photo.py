"""Photographs: whoever is in them is found, whichever way up."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from monocap.errors import InputError
from monocap.perception import BlazePose, PeopleDetector, find_people_keypoints, find_person_keypoints
from monocap.perception.roi import from_shoulders
from monocap.skeletons import get

SKELETON = get("blazepose33")
# read off the pictures by eye
SEEN = {
    "yoga.jpg": {"nose": (325, 122), "left_shoulder": (456, 185), "left_ankle": (720, 430), "right_ankle": (215, 490)},
    "messi5.jpg": {"nose": (245, 113), "left_wrist": (346, 163), "right_wrist": (103, 103), "left_ankle": (416, 265)},
    "pose.jpg": {"nose": (461, 284), "left_wrist": (699, 312), "right_ankle": (350, 607), "left_ankle": (703, 613)},
}


@pytest.mark.parametrize("name", SEEN)
@pytest.mark.parametrize("upside_down", [False, True])
def test_person_is_found_either_way_up(
    name: str, upside_down: bool, picture: Callable[[str], np.ndarray], detector: PeopleDetector, heavy: BlazePose
) -> None:
    image = picture(name)
    shown = np.ascontiguousarray(image[::-1, ::-1]) if upside_down else image
    keypoints = find_person_keypoints(shown, detector=detector, blazepose=heavy, jittered=1)
    assert keypoints is not None
    points = keypoints.points2d[SKELETON.indices(SEEN[name]), :2]
    if upside_down:
        points = np.array(image.shape[1::-1]) - 1 - points
    np.testing.assert_allclose(points, list(SEEN[name].values()), atol=0.025 * image.shape[1])


def test_fast_preset_and_mask(picture: Callable[[str], np.ndarray], detector: PeopleDetector) -> None:
    image = picture("pose.jpg")
    keypoints = find_person_keypoints(image, "fast", detector=detector, want_mask=True, threads=1)
    assert keypoints is not None
    assert keypoints.mask is not None
    sure = keypoints.points2d[keypoints.points2d[:, 2] > 0.8, :2].round().astype(int)
    assert (keypoints.mask[sure[:, 1], sure[:, 0]] > 0.5).mean() > 0.8  # landmarks lie on the person


def test_averaging_moves_landmarks_only_a_little(
    picture: Callable[[str], np.ndarray], detector: PeopleDetector, lite: BlazePose
) -> None:
    image = picture("pose.jpg")
    one, five = (find_person_keypoints(image, detector=detector, blazepose=lite, jittered=crops) for crops in (1, 5))
    assert one is not None
    assert five is not None
    moved = np.linalg.norm(one.points2d[:, :2] - five.points2d[:, :2], axis=1)
    assert 0 < moved.max() < 15


def test_group_turned_over_is_found_by_turning(
    picture: Callable[[str], np.ndarray], detector: PeopleDetector, lite: BlazePose
) -> None:
    image = np.ascontiguousarray(picture("three_people.jpg")[::-1, ::-1])
    assert not len(detector.detect(image, thorough=True).scores)  # else this tests nothing
    keypoints = find_person_keypoints(image, detector=detector, blazepose=lite)
    assert keypoints is not None
    noses = np.array(image.shape[1::-1]) - 1 - np.array([[190, 150], [385, 462], [872, 152]])
    assert np.linalg.norm(noses - keypoints.points2d[SKELETON.index("nose"), :2], axis=1).min() < 30


def test_everybody_whichever_way_up(
    picture: Callable[[str], np.ndarray], detector: PeopleDetector, lite: BlazePose
) -> None:
    """One upright, one upside down, one lying in the same picture; the first of fewer is the first of all."""
    person = cv2.resize(picture("pose.jpg")[180:680, 200:800], (360, 300), interpolation=cv2.INTER_AREA)
    scene = np.full((620, 740, 3), person[2, 2], np.uint8)
    scene[:300, :360] = person
    scene[310:610, :360] = np.rot90(person, 2)
    scene[150:510, 420:720] = np.rot90(person)
    found = find_people_keypoints(scene, detector=detector, blazepose=lite, jittered=1)
    assert len(found) == 3
    heads = np.array([k.points2d[SKELETON.index("nose"), :2] - k.points2d[23:25, :2].mean(0) for k in found])
    ways = {(int(np.sign(round(x / 60))), int(np.sign(round(y / 60)))) for x, y in heads}
    assert ways == {(0, -1), (0, 1), (-1, 0)}
    first = find_people_keypoints(scene, detector=detector, blazepose=lite, jittered=1, most=1)
    np.testing.assert_array_equal(first[0].points2d, found[0].points2d)


def test_people_cut_off_above_the_hips(
    picture: Callable[[str], np.ndarray], detector: PeopleDetector, heavy: BlazePose
) -> None:
    """The man in front sits, and the picture ends at his chest: shoulders are right and hips below the picture."""
    found = find_people_keypoints(picture("three_people.jpg"), detector=detector, blazepose=heavy, jittered=1)
    assert len(found) == 3
    noses = np.array([k.points2d[SKELETON.index("nose"), :2] for k in found])
    points = found[int(np.linalg.norm(noses - (385, 462), axis=1).argmin())].points2d
    shoulders = points[SKELETON.indices(("left_shoulder", "right_shoulder")), :2]
    np.testing.assert_allclose(shoulders, [(560, 635), (195, 635)], atol=35)
    assert points[SKELETON.indices(("left_hip", "right_hip")), 1].min() > 830


def test_region_of_shoulders_alone() -> None:
    points = np.zeros((17, 3))
    points[[0, 5, 6]] = [(100, 100, 0.9), (140, 160, 0.9), (60, 160, 0.9)]
    region = from_shoulders(points)
    assert region is not None
    np.testing.assert_allclose(region.center, (100, 220))
    assert region.rotation == pytest.approx(0.0)
    head_down = from_shoulders(points * [1, -1, 1])
    assert head_down is not None
    assert abs(head_down.rotation) == pytest.approx(np.pi)
    points[11] = (120, 300, 0.9)
    assert from_shoulders(points) is None


def test_the_only_person_is_tiny(
    picture: Callable[[str], np.ndarray], detector: PeopleDetector, lite: BlazePose
) -> None:
    person = cv2.resize(picture("pose.jpg")[180:680, 200:800], (66, 55), interpolation=cv2.INTER_AREA)
    scene = np.full((1000, 1500, 3), person[2, 2], np.uint8)
    scene[700:755, 1200:1266] = person
    (found,) = find_people_keypoints(scene, detector=detector, blazepose=lite, jittered=1)
    assert ((found.points2d[:, :2] > (1195, 695)) & (found.points2d[:, :2] < (1271, 760))).all()


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_blank_picture_has_nobody(shade: int, detector: PeopleDetector, lite: BlazePose) -> None:
    image = np.full((360, 480, 3), shade, np.uint8)
    assert find_person_keypoints(image, detector=detector, blazepose=lite) is None


def test_bad_input() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="preset 'best'"):
        find_person_keypoints(image, "best")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="1 to 5"):
        find_person_keypoints(image, jittered=9)
    with pytest.raises(InputError, match="at least 1 person"):
        find_people_keypoints(image, most=0)
    with pytest.raises(InputError, match="RGB picture"):
        find_person_keypoints(image.astype(float))
