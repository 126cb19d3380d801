"""A synthetic video: one person in one place, whose true points are where the picture shows them."""

from __future__ import annotations

import numpy as np
import pytest

from monocap.bodies import load_body
from monocap.errors import InputError
from monocap.geometry.cameras import project
from monocap.synth.clips import SyntheticClip

FRAMES = 3


def made(seed: int = 3) -> SyntheticClip:
    pose = np.zeros((FRAMES, 63))
    pose[:, 47], pose[:, 50] = -1.1, 1.1  # arms hang
    pose[1:, 0] = -0.5  # a leg is lifted
    place = np.stack([np.linspace(0.0, 0.8, FRAMES), np.full(FRAMES, 5.0), np.zeros(FRAMES)], axis=1)
    return SyntheticClip(load_body("open"), pose, np.zeros((FRAMES, 3)), place, seed, size=(192, 108))


def test_truth_lies_on_the_person_who_stands_on_the_floor() -> None:
    clip = made()
    frames = list(clip)
    assert len(frames) == len(clip) == FRAMES
    empty = np.median([frame.image.astype(float) for frame in frames], axis=0)
    for frame in (frames[0], frames[-1]):
        pixels = np.asarray(project(frame.points[:22], clip.camera))
        assert ((pixels > 0) & (pixels < [192, 108])).all()
        differs = np.abs(frame.image.astype(float) - empty).mean(axis=2) > 12.0
        x, y = np.rint(pixels[[0, 3, 6, 9]]).astype(int).T  # the trunk
        assert differs[y, x].mean() >= 0.75
        height = frame.points @ clip.floor[:3] + clip.floor[3]
        assert -0.05 < height.min() < 0.12
    moved = frames[-1].points[0] - frames[0].points[0]
    assert np.linalg.norm(moved) == pytest.approx(0.8, abs=1e-3)
    again = next(iter(made()))
    assert np.array_equal(again.image, frames[0].image)
    assert np.array_equal(again.points, frames[0].points)


def test_arrays_that_do_not_fit_are_told() -> None:
    with pytest.raises(InputError, match="expected"):
        SyntheticClip(load_body("open"), np.zeros((3, 60)), np.zeros((3, 3)), np.zeros((3, 3)), 0)
    with pytest.raises(InputError, match="expected"):
        SyntheticClip(load_body("open"), np.zeros((3, 63)), np.zeros((2, 3)), np.zeros((3, 3)), 0)
