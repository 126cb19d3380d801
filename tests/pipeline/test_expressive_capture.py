"""Capture with hands and face: what was seen is in the motion, survives saving, and resizes with the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from monocap.media import open_media
from monocap.media.pictures import read_picture
from monocap.media.writers import VideoWriter
from monocap.pipeline.cast import cast_of
from monocap.pipeline.engine import CaptureEngine, looks_every
from monocap.pipeline.settings import CaptureSettings
from monocap.pipeline.sightings import Sightings
from monocap.types import ARKIT, Keypoints, Motion, Parts


def test_a_photo_with_hands_and_a_laughing_face(shared: Callable[[str], Path], tmp_path: Path) -> None:
    engine = CaptureEngine(CaptureSettings(preset="fast", people="largest", hands=True, face=True))
    motion = engine.capture(open_media(shared("media/yoga.jpg")))
    assert motion.people == 1
    assert motion.hand_keypoints2d is not None
    assert motion.face_keypoints2d is not None
    assert motion.arkit is not None
    assert (motion.hand_keypoints2d[0, 0, :, :, 2] > 0.5).all()
    assert motion.arkit[0, 0, ARKIT.index("mouthSmileLeft")] > 0.5
    assert np.abs(motion.expression[0, 0]).max() > 0.3
    # joints are those of these poses: fingers lie where the network sees them
    names = list(motion.joint_names)
    K = motion.K[0]
    for k, side in enumerate(("left", "right")):
        joints = motion.joints[0, 0, [names.index(f"{side}_{finger}1") for finger in ("index", "middle", "ring")]]
        pixels = joints[:, :2] / joints[:, 2:] * K[[0, 1], [0, 1]] + K[:2, 2]
        seen = motion.hand_keypoints2d[0, 0, k, [5, 9, 13], :2]
        size = np.ptp(motion.hand_keypoints2d[0, 0, k, :, :2], axis=0).max()
        assert np.linalg.norm(pixels - seen, axis=1).max() < 0.25 * size
    motion.save(tmp_path / "a.npz")
    again = Motion.load(tmp_path / "a.npz")
    assert again.arkit is not None
    np.testing.assert_allclose(again.arkit, motion.arkit, atol=1e-6)
    width, height = (int(v) for v in motion.image_size)
    twice = motion.resized(2 * width, 2 * height)
    assert twice.face_keypoints2d is not None
    np.testing.assert_allclose(twice.face_keypoints2d[..., :2], 2 * motion.face_keypoints2d[..., :2] + 0.5)


@pytest.mark.parametrize("preset", ["fast", "balanced"])
def test_a_video_whose_hands_and_face_are_looked_at_by_turns(
    shared: Callable[[str], Path], tmp_path: Path, preset: Literal["fast", "balanced"]
) -> None:
    """A photo that drifts past a still camera: hands and face are there in every frame, and go with it."""
    image, way, frames = read_picture(shared("media/yoga.jpg")).image, 3, 8
    with VideoWriter(tmp_path / "drift.mp4", 30.0, (880, 640)) as writer:
        for t in range(frames):
            writer.write(np.ascontiguousarray(image[:, way * t : way * t + 880]))
    engine = CaptureEngine(CaptureSettings(preset=preset, people="largest", hands=True, face=True))
    assert engine.parts is not None
    looked = {"hands": 0, "face": 0}
    step = engine.parts.step

    def counted(image_rgb: np.ndarray, seen: Mapping[int, Keypoints]) -> dict[int, Parts]:
        found = step(image_rgb, seen)
        for one in found.values():
            looked["hands"] += int(one.hands.any())
            looked["face"] += int(one.face.any())
        return found

    engine.parts.step = counted
    motion = engine.capture(open_media(tmp_path / "drift.mp4"))
    assert motion.valid.all()
    assert looked["hands"] <= frames // 2 + 1, "every second frame, and the first"
    assert looked["face"] <= frames // 2 + 1
    assert motion.hand_keypoints2d is not None
    assert motion.face_keypoints2d is not None
    assert motion.arkit is not None
    between = slice(0, frames - 1)  # the last look at hands is in the last frame but one
    for points in (motion.hand_keypoints2d[0, between], motion.face_keypoints2d[0, between]):
        assert (points[..., 2] > 0.3).all()
        size = np.ptp(points[..., :2], axis=-2).max()
        moved = np.diff(points[..., :2], axis=0).mean(axis=-2)
        assert np.abs(moved - [-way, 0]).max() < 0.06 * size
    assert motion.arkit[0, between, ARKIT.index("mouthSmileLeft")].min() > 0.5
    for name in ("left_hand_pose", "right_hand_pose", "jaw_pose"):
        steps = np.abs(np.diff(getattr(motion, name)[0], axis=0))
        assert steps.max() < 0.15, "nothing jumps from look to look"


def test_looks_by_turns_keep_the_rate_of_looks() -> None:
    assert [looks_every("balanced", fps) for fps in (10, 15, 24, 30, 60, 240)] == [1, 1, 2, 2, 4, 4]
    assert looks_every("accurate", 60) == 1


def test_sightings_keep_parts_through_a_checkpoint() -> None:
    rng = np.random.default_rng(0)
    sightings = Sightings("blazepose33", parts=True)
    for t in range(8):
        body = Keypoints("blazepose33", np.full((33, 3), 0.9) + rng.uniform(0, 99, (33, 1)), np.zeros((33, 3)), 0.9)
        parts = Parts(np.full((2, 21, 6), t), np.full((53, 3), t), np.full(52, t))
        sightings.add(t / 30, {4: body}, {4: np.ones((3, 8))}, {4: parts})
    again = Sightings("blazepose33", parts=True)
    again.restore(sightings.state())
    for one in (sightings, again):
        (track,) = cast_of(one, [4], 100, 100).tracks
        assert track.parts is not None
        np.testing.assert_array_equal(track.parts.hands[:, 0, 0, 0], np.arange(8))
        np.testing.assert_array_equal(track.parts.shapes[:, 51], np.arange(8))
