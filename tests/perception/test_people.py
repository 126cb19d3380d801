"""People are found once each, in the right place, and nobody in an empty room."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from monocap.errors import InputError
from monocap.perception import PeopleDetector
from monocap.perception.people import by_prominence, same_person
from monocap.types import Detections


def iou(a: np.ndarray, b: np.ndarray) -> float:
    overlap = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(overlap / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - overlap))


# boxes drawn by hand: the outlines as far as they are in the picture
PEOPLE = {
    "pose.jpg": [(243, 235, 758, 645)],
    "messi5.jpg": [(70, 62, 455, 335)],
    "yoga.jpg": [(200, 10, 850, 560)],
    "basketball1.png": [(32, 78, 162, 478), (432, 22, 635, 479)],
}


@pytest.mark.parametrize("name", PEOPLE)
def test_everybody_is_found_once(name: str, picture: Callable[[str], np.ndarray], detector: PeopleDetector) -> None:
    found = detector.detect(picture(name), thorough=True)
    assert len(found.scores) == len(PEOPLE[name])
    for box in PEOPLE[name]:
        assert max(iou(np.array(box, float), b) for b in found.boxes) > 0.75
    assert found.keypoints.shape == (len(found.scores), 17, 3)
    assert (np.diff(found.scores) <= 0).all()


def test_overlapping_people_stay_apart(picture: Callable[[str], np.ndarray], detector: PeopleDetector) -> None:
    found = detector.detect(picture("three_people.jpg"))
    # noses, read off the picture
    noses = np.array([[190, 150], [385, 462], [872, 152]])
    for nose in noses:
        assert np.linalg.norm(found.keypoints[:, 0, :2] - nose, axis=1).min() < 30
    assert len(found.scores) == 3
    assert not any(same_person(found.keypoints[0], k) for k in found.keypoints[1:])


def test_small_people_in_a_large_picture(picture: Callable[[str], np.ndarray], detector: PeopleDetector) -> None:
    person = cv2.resize(picture("pose.jpg")[200:667, 200:800], (150, 117), interpolation=cv2.INTER_AREA)
    scene = np.full((1080, 1920, 3), person[2, 2], np.uint8)
    scene[700:817, 300:450] = person
    found = detector.detect(scene, thorough=True)
    assert len(found.scores) == 1
    assert iou(found.boxes[0], np.array([310, 708, 440, 812.0])) > 0.6


def test_nobody(detector: PeopleDetector, rng: np.random.Generator) -> None:
    for image in (np.zeros((480, 640, 3), np.uint8), rng.integers(0, 255, (360, 640, 3), dtype=np.uint8)):
        found = detector.detect(image, thorough=True)
        assert found.boxes.shape == (0, 4)
        assert found.keypoints.shape == (0, 17, 3)
        assert len(by_prominence(found, 640, 480).scores) == 0


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 900, 3), (700, 3, 3)])
def test_strange_shapes_are_looked_at(shape: tuple[int, int, int], detector: PeopleDetector) -> None:
    assert len(detector.detect(np.full(shape, 90, np.uint8)).scores) == 0


def test_subject_is_large_central_and_sure() -> None:
    boxes = np.array([[0, 0, 30, 60], [250, 100, 400, 450], [580, 100, 640, 400.0]])
    found = Detections(boxes, np.array([0.8, 0.7, 0.7]), np.zeros((3, 17, 3)))
    np.testing.assert_array_equal(by_prominence(found, 640, 480).boxes[0], found.boxes[1])


def test_bad_input(detector: PeopleDetector) -> None:
    with pytest.raises(InputError, match="RGB picture"):
        detector.detect(np.zeros((480, 640), np.uint8))
    with pytest.raises(InputError, match="min_score"):
        PeopleDetector(min_score=2)
