"""Training the lifter: on a folder of motion capture it goes down, resumes, and writes what capture reads."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training")
pytest.importorskip("lightning_fabric", reason="the training loop")

from monocap.errors import InputError
from monocap.files import write_npz
from monocap.perception import Lifter
from monocap.train.seen_keypoints import SeenErrors, SeenKeypoints
from monocap.train.simulated_keypoints import SimulatedKeypoints
from monocap.train.tasks.lifter import LifterOptions, read_poses, train_lifter
from monocap.types import Camera

CAMERA = Camera(500.0, 500.0, 320.0, 240.0, 640, 480)


@pytest.fixture
def simulated() -> SimulatedKeypoints:
    rng = np.random.default_rng(1)
    up = np.tile([0.0, 1.0, 0.0], (40, 1))
    return SimulatedKeypoints(0.2 * rng.normal(size=(40, 63)), up, np.ones(40))


@pytest.fixture
def seen_folder(tmp_path: Path, simulated: SimulatedKeypoints) -> Path:
    """What tools/render_keypoints.py writes, of simulated people 4 m away, a little right of the picture's middle."""
    drawn = simulated.draw(np.random.default_rng(7), 80)
    truth = drawn.points + np.array([0.5, 0.1, 4.0])
    off = np.random.default_rng(8).normal(size=(80, 33, 2))
    pixels = truth[..., :2] / truth[..., 2:] * 500.0 + [320.0, 240.0] + off
    folder = tmp_path / "seen"
    write_npz(
        folder / "seen-000.npz",
        {
            "points2d": np.concatenate([pixels, drawn.confidence[..., None]], axis=-1).astype(np.float32),
            "points3d": (drawn.points * [1.0, 1.0, 0.7]).astype(np.float32),
            "truth": truth.astype(np.float32),
            "camera": np.tile([500.0, 320.0, 240.0], (80, 1)),
            "score": np.where(np.arange(80) < 76, 0.9, 0.1),
            "peak": np.full(80, 0.8),
            "clip": np.arange(80),
            "fps": np.zeros(80),
            "split": np.where(np.arange(80) % 4 == 0, "test", "train"),
            "variant": np.full(80, "heavy"),
        },
    )
    return folder


def test_seen_people_are_read_in_front_of_the_camera(seen_folder: Path) -> None:
    seen = SeenKeypoints.read(seen_folder)
    assert len(seen.clip) == 76, "those whom capture would lose are left out"
    assert seen.held.sum() == 19
    np.testing.assert_allclose(seen.distance, np.sqrt(0.5**2 + 0.1**2 + 4.0**2), rtol=0.02)
    np.testing.assert_allclose(seen.sight.points[:, 23:25].mean(axis=1), 0.0, atol=1e-6)
    near = np.linalg.norm(seen.sight.flat - seen.sight.points[..., :2], axis=-1)
    assert np.median(near) < 0.08, "seen roughly where they are, once turned to the line of sight"


def test_mirror_and_roll_leave_people_whole(seen_folder: Path) -> None:
    sight = SeenKeypoints.read(seen_folder).sight
    twice = sight.mirrored(np.ones(76, bool)).mirrored(np.ones(76, bool))
    np.testing.assert_allclose(twice.points, sight.points)
    np.testing.assert_allclose(twice.confidence, sight.confidence)
    once = sight.mirrored(np.arange(76) < 10)
    np.testing.assert_array_equal(once.flat[10:], sight.flat[10:])
    np.testing.assert_allclose(once.points[:10, 11], sight.points[:10, 12] * [-1, 1, 1])
    rolled = sight.rolled(np.full(76, np.pi / 2))
    np.testing.assert_allclose(rolled.points[..., 0], -sight.points[..., 1], atol=1e-12)
    np.testing.assert_allclose(rolled.flat[..., 0], -sight.flat[..., 1], atol=1e-12)


def test_errors_are_carried_over(seen_folder: Path) -> None:
    """Seen depth was 0.7 of the true one: so it is of whom the errors are put on, more or less."""
    seen = SeenKeypoints.read(seen_folder)
    points = seen.sight.points[:20]
    flat, confidence, guess = SeenErrors(seen).put_on(np.random.default_rng(0), points, points[..., :2])
    assert flat.shape == (20, 33, 2)
    assert confidence.shape == (20, 33)
    slope = (guess[..., 2] * points[..., 2]).sum() / (points[..., 2] ** 2).sum()
    assert 0.55 < slope < 0.95
    assert np.median(np.abs(flat - points[..., :2])) < 0.02


def test_a_folder_without_renderings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="render_keypoints"):
        SeenKeypoints.read(tmp_path)


def test_simulated_people_stand_before_the_camera(simulated: SimulatedKeypoints) -> None:
    drawn = simulated.draw(np.random.default_rng(0), 256)
    flat, confidence, points = drawn.flat, drawn.confidence, drawn.points
    assert flat.shape == (256, 33, 2)
    assert np.isfinite(flat).all()
    assert 0.05 <= confidence.min() <= confidence.max() <= 1.0
    np.testing.assert_allclose(points[:, 23:25].mean(axis=1), 0.0, atol=1e-12)
    below = np.median(points[:, 27:29, 1])
    assert below > 0.5, "the camera's y points down, and so do most people's feet"
    near = np.linalg.norm(flat - points[..., :2], axis=-1)
    assert np.median(near) < 0.1, "seen roughly where they are"
    assert not drawn.guessed.any(), "nobody's errors are known, so nobody's guess"
    again = simulated.draw(np.random.default_rng(0), 256).flat
    np.testing.assert_array_equal(flat, again)


def test_up_is_turned_up(simulated: SimulatedKeypoints) -> None:
    """Somebody whose pelvis lies on its back is seen lying."""
    lying = SimulatedKeypoints(np.zeros((4, 63)), np.tile([0.0, 0.0, 1.0], (4, 1)), np.ones(4))
    points = lying.draw(np.random.default_rng(3), 200).points
    standing = simulated.draw(np.random.default_rng(3), 200).points

    def extent(p: np.ndarray) -> float:
        return float(np.median(np.ptp(p[:, 11:29, 1], axis=1)))

    assert extent(points) < 0.7 * extent(standing)


@pytest.mark.slow
def test_training_goes_down_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen_folder: Path) -> None:
    rng = np.random.default_rng(5)
    pose, up = 0.2 * rng.normal(size=(200, 63)), np.tile([0.0, 1.0, 0.0], (200, 1))
    held = np.arange(200) % 5 == 0
    monkeypatch.setattr("monocap.train.tasks.lifter.read_poses", lambda folder: (pose, up, held))
    monkeypatch.setattr("monocap.train.tasks.lifter.HELD_OUT", 200)
    seen: list[dict[str, float]] = []
    options = LifterOptions(
        tmp_path, tmp_path / "run", seen_folder, steps=80, batch=64, accelerator="cpu", threads=1, width=64
    )
    path, done = train_lifter(options, lambda step, steps, named: seen.append(named))
    measured = [named["seen_mm"] for named in seen if "seen_mm" in named]
    assert measured[-1] < 0.8 * measured[0]
    assert math.isfinite(done.metrics["held_out_mm"])
    assert Lifter(path).lift(np.zeros((1, 33, 3)), CAMERA).shape == (1, 33, 3)
    with pytest.raises(InputError, match="--resume"):
        train_lifter(options)
    onward = replace(options, out=tmp_path / "onward", start=path, steps=4)
    assert train_lifter(onward)[1].metrics["seen_mm"] < measured[0], "it goes on from the weights"
    with pytest.raises(InputError, match="does not fit"):
        train_lifter(replace(onward, out=tmp_path / "other", width=32))


def test_a_folder_without_motion(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.bvh"):
        read_poses(tmp_path)
