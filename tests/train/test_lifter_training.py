"""Training the lifter: on a folder of motion capture it goes down, resumes, and writes what capture reads."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training")
pytest.importorskip("lightning_fabric", reason="the training loop")

from monocap.errors import InputError
from monocap.perception import Lifter
from monocap.train.simulated_keypoints import SimulatedKeypoints
from monocap.train.tasks.lifter import LifterOptions, read_poses, train_lifter
from monocap.types import Camera

CAMERA = Camera(500.0, 500.0, 320.0, 240.0, 640, 480)


@pytest.fixture
def simulated() -> SimulatedKeypoints:
    rng = np.random.default_rng(1)
    up = np.tile([0.0, 1.0, 0.0], (40, 1))
    return SimulatedKeypoints(0.2 * rng.normal(size=(40, 63)), up, np.ones(40))


def test_simulated_people_stand_before_the_camera(simulated: SimulatedKeypoints) -> None:
    flat, confidence, points = simulated.draw(np.random.default_rng(0), 256)
    assert flat.shape == (256, 33, 2)
    assert np.isfinite(flat).all()
    assert 0.05 <= confidence.min() <= confidence.max() <= 1.0
    np.testing.assert_allclose(points[:, 23:25].mean(axis=1), 0.0, atol=1e-12)
    below = np.median(points[:, 27:29, 1])
    assert below > 0.5, "the camera's y points down, and so do most people's feet"
    near = np.linalg.norm(flat - points[..., :2], axis=-1)
    assert np.median(near) < 0.1, "seen roughly where they are"
    again = simulated.draw(np.random.default_rng(0), 256)[0]
    np.testing.assert_array_equal(flat, again)


def test_up_is_turned_up(simulated: SimulatedKeypoints) -> None:
    """Somebody whose pelvis lies on its back is seen lying."""
    lying = SimulatedKeypoints(np.zeros((4, 63)), np.tile([0.0, 0.0, 1.0], (4, 1)), np.ones(4))
    points = lying.draw(np.random.default_rng(3), 200)[2]
    standing = simulated.draw(np.random.default_rng(3), 200)[2]

    def extent(p: np.ndarray) -> float:
        return float(np.median(np.ptp(p[:, 11:29, 1], axis=1)))

    assert extent(points) < 0.7 * extent(standing)


@pytest.mark.slow
def test_training_goes_down_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulated: SimulatedKeypoints
) -> None:
    rng = np.random.default_rng(5)
    pose, up = 0.2 * rng.normal(size=(200, 63)), np.tile([0.0, 1.0, 0.0], (200, 1))
    held = np.arange(200) % 5 == 0
    monkeypatch.setattr("monocap.train.tasks.lifter.read_poses", lambda folder: (pose, up, held))
    monkeypatch.setattr("monocap.train.tasks.lifter.HELD_OUT", 200)
    seen: list[dict[str, float]] = []
    options = LifterOptions(tmp_path, tmp_path / "run", steps=80, batch=64, accelerator="cpu", threads=1, width=64)
    path, done = train_lifter(options, lambda step, steps, named: seen.append(named))
    measured = [named["held_out_mm"] for named in seen if "held_out_mm" in named]
    assert measured[-1] < 0.8 * measured[0]
    assert math.isfinite(done.metrics["held_out_mm"])
    assert Lifter(path).lift(np.zeros((1, 33, 3)), CAMERA).shape == (1, 33, 3)
    with pytest.raises(InputError, match="--resume"):
        train_lifter(options)


def test_a_folder_without_motion(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.bvh"):
        read_poses(tmp_path)
