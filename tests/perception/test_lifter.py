"""The lifter on people whose truth is known, and its numpy form against torch's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monocap.assets.tensors import Tensors, read_tensors, write_tensors
from monocap.bodies import load_body
from monocap.errors import InputError
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.state import PoseState, Skeleton, landmark_points
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.perception import Lifter
from monocap.perception.lifter import ARCH, FEATURES, SKELETON, USED, features
from monocap.priors import anatomical_prior
from monocap.types import Array, Camera

CAMERA = Camera(1000.0, 1000.0, 639.5, 359.5, 1280, 720)


def people(place: Array, count: int = 24) -> tuple[Array, Array]:
    """Keypoints (T,33,3) and true landmarks (T,33,3), relative to the mid-hips, of people at ``place`` (3,) m."""
    body = load_body("open")
    skeleton = Skeleton.of(body, blazepose_landmarks(body))
    rng = np.random.default_rng(2)
    prior = anatomical_prior()
    pose = prior.mean + 0.6 * prior.deviation * rng.normal(size=(count, 21, 3))
    heading = np.zeros((count, 3))
    heading[:, 1] = np.linspace(0, 2 * np.pi, count, endpoint=False)
    root = np.diag([1.0, -1.0, -1.0]) @ axis_angle_to_matrix(heading)
    transl = np.broadcast_to(place, (count, 3))
    points = landmark_points(skeleton, PoseState(root, pose.reshape(count, 63), transl, np.zeros(16)))
    pixels = points[..., :2] / points[..., 2:] * CAMERA.fx + [CAMERA.cx, CAMERA.cy]
    keypoints = np.concatenate([pixels, np.ones((count, 33, 1))], axis=-1)
    return keypoints, points - points[:, 23:25].mean(axis=1, keepdims=True)


def error_mm(found: Array, truth: Array) -> Array:
    """(T,) mean distance over the landmarks that are used."""
    return 1e3 * np.linalg.norm((found - truth)[:, USED], axis=-1).mean(axis=1)


@pytest.mark.parametrize("place", [(0.0, 0.3, 4.0), (1.6, 0.3, 3.5), (-0.5, -0.4, 7.0)])
def test_people_are_put_into_space_from_every_side(place: tuple[float, float, float]) -> None:
    """Also off the picture's middle, where the ray to the person is slanted."""
    keypoints, truth = people(np.array(place))
    error = error_mm(Lifter().lift(keypoints, CAMERA), truth)
    assert np.median(error) < 75
    assert error.max() < 180
    flat = truth * [1.0, 1.0, 0.0]
    assert np.median(error) < 0.5 * np.median(error_mm(flat, truth)), "better than no depth at all"


def test_size_in_the_picture_does_not_matter() -> None:
    """Twice the focal length: the same person, twice as large."""
    keypoints, _ = people(np.array([0.4, 0.2, 4.0]), 5)
    longer = Camera(2000.0, 2000.0, CAMERA.cx, CAMERA.cy, CAMERA.width, CAMERA.height)
    larger = keypoints.copy()
    larger[..., :2] = (larger[..., :2] - [CAMERA.cx, CAMERA.cy]) * 2 + [CAMERA.cx, CAMERA.cy]
    np.testing.assert_allclose(Lifter().lift(larger, longer), Lifter().lift(keypoints, CAMERA), atol=1e-5)


def test_frames_that_were_not_seen_stay_finite() -> None:
    found = Lifter().lift(np.zeros((2, 33, 3)), CAMERA)
    assert found.shape == (2, 33, 3)
    assert np.isfinite(found).all()


def test_features_ignore_place_and_scale(rng: np.random.Generator) -> None:
    flat, confidence, guess = rng.normal(size=(4, 33, 2)), rng.random((4, 33)), rng.normal(size=(4, 33, 3))
    all_guessed = np.ones(4, dtype=bool)
    first = features(flat, confidence, guess, all_guessed)
    np.testing.assert_allclose(features(3.0 * flat + 5.0, confidence, guess + 1.0, all_guessed), first, atol=1e-5)
    assert first.shape == (4, FEATURES)


def test_what_was_not_guessed_does_not_matter(rng: np.random.Generator) -> None:
    flat, confidence, guess = rng.normal(size=(4, 33, 2)), rng.random((4, 33)), rng.normal(size=(4, 33, 3))
    some = np.array([True, False, True, False])
    blank = features(flat, confidence, np.where(some[:, None, None], guess, 0.0), some)
    np.testing.assert_array_equal(features(flat, confidence, guess, some), blank)


def test_the_networks_own_guess_is_of_use() -> None:
    """A guess at the depth (here the truth) is followed as far as it was right in training."""
    keypoints, truth = people(np.array([0.0, 0.3, 4.0]))
    without = error_mm(Lifter().lift(keypoints, CAMERA), truth)
    told = error_mm(Lifter().lift(keypoints, CAMERA, truth), truth)
    assert np.mean(told) < 0.92 * np.mean(without)
    assert np.percentile(told, 90) < np.percentile(without, 90)


def test_numpy_equals_torch(tmp_path: Path, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="the network's source form")
    from monocap.nets.lifter import LifterNet

    torch.manual_seed(0)
    net = LifterNet(FEATURES, len(USED), 64).eval()
    arrays = {name: value.numpy() for name, value in net.state_dict().items()}
    write_tensors(tmp_path / "lifter.safetensors", Tensors(arrays, {"name": ARCH}))
    x = rng.normal(size=(5, FEATURES)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(Lifter(tmp_path / "lifter.safetensors")._run(x), expected, atol=1e-5)


def test_another_network_is_refused(tmp_path: Path) -> None:
    write_tensors(tmp_path / "x.safetensors", Tensors({"a": np.zeros(3, np.float32)}, {"name": "vposer-v2"}))
    with pytest.raises(InputError, match="holds a 'vposer-v2' network; expected 'lifter-2'"):
        Lifter(tmp_path / "x.safetensors")


def test_the_shipped_file_says_how_it_was_made() -> None:
    from monocap.assets.manifest import locate

    recipe = read_tensors(locate("lifter"), ARCH).recipe
    assert recipe["held_out"]["held_out_mm"] < 130
    assert recipe["data"]["source"] == "mocap.cs.cmu.edu"
    assert len(SKELETON) == 33
