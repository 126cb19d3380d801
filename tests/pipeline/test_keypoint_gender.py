"""Whom the keypoint file does not call anything is looked at; what it says stands."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from monocap.data.keypoint_files import KeypointSet
from monocap.data.keypoint_files.form import KeypointPicture
from monocap.perception.gender import GenderEstimate, GenderNetwork
from monocap.pipeline.keypoint_fit.gender import with_genders
from monocap.types import Array


class Redness(GenderNetwork):
    """Says female where the picture is red, and neutral of people near its left edge."""

    def __init__(self) -> None:
        pass

    def estimate(self, image: Array, keypoints: Array, skeleton: str = "blazepose33") -> GenderEstimate:
        assert skeleton == "coco17"
        if keypoints[:, 0].mean() < 5:
            return GenderEstimate(0.5, "neutral")
        return GenderEstimate(0.95, "female") if image[..., 0].mean() > 100 else GenderEstimate(0.05, "male")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, red in (("a", 200), ("b", 20)):
        image = np.zeros((40, 60, 3), np.uint8)
        image[..., 2] = red  # OpenCV's red
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    return tmp_path


def picture(
    name: str, image: Path | None, *, left: bool = False, gender: tuple[str | None, ...] = ()
) -> KeypointPicture:
    points = np.ones((2, 17, 3))
    points[:, :, :2] = 30.0
    points[1, :, 0] = 1.0 if left else 30.0
    return KeypointPicture(name, points, size=(60, 40), image=image, gender=gender)


def test_people_without_a_word_are_looked_at(folder: Path) -> None:
    pictures = (
        picture("a", folder / "a.png", gender=("male", None)),
        picture("b", folder / "b.png", left=True),
        picture("c", None),
        picture("d", folder / "broken.png"),
        picture("e", folder / "nowhere.png", gender=("male", "female")),
    )
    found = with_genders(KeypointSet("test", "coco17", pictures, (folder / "keypoints.json",)), Redness())
    assert [one.gender for one in found.pictures] == [
        ("male", "female"), ("male", "neutral"), (None, None), (None, None), ("male", "female"),
    ]  # fmt: skip
    assert len(found.notes) == 1
    assert "3 people looked at, 1 of them neutral" in found.notes[0]


def test_nobody_to_look_at_is_not_told(folder: Path) -> None:
    found = KeypointSet("test", "coco17", (picture("c", None),), (folder / "keypoints.json",), notes=("before",))
    assert with_genders(found, Redness()).notes == ("before",)
