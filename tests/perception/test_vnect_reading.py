"""VNect's read-out and tracking, against maps that true joints make."""

from __future__ import annotations

import numpy as np
import pytest

from monocap.errors import InputError
from monocap.geometry import cameras
from monocap.perception.location_maps import JointMaps, average
from monocap.perception.roi import Roi
from monocap.perception.vnect import ROOT, SKELETON, VNect, square_of
from monocap.perception.vnect_tracker import VNectTracker
from monocap.skeletons.vnect import normalised
from truth_maps import CAMERA, LIGHT, TruthCrop, TruthDetector, TruthNetwork, picture

SIDE = 32


def standing(shift: tuple[float, float, float] = (0.0, 0.0, 4.0)) -> np.ndarray:
    """(21,3) m in the camera: a stick figure with arms and legs apart."""
    up = {
        "head_top": (0.0, -0.72, 0.0), "head": (0.0, -0.6, 0.0), "neck": (0.0, -0.48, 0.02), "spine": (0.0, -0.24, 0.0),
        "pelvis": (0.0, 0.0, 0.0),
        **{f"{side}_{part}": (sign * x, y, z) for side, sign in (("left", 1.0), ("right", -1.0)) for part, x, y, z in (
            ("shoulder", 0.18, -0.42, 0.0), ("elbow", 0.4, -0.35, 0.05), ("wrist", 0.6, -0.3, -0.1),
            ("hand", 0.68, -0.3, -0.12), ("hip", 0.1, 0.05, 0.0), ("knee", 0.15, 0.47, -0.05), ("ankle", 0.2, 0.88, 0),
            ("toe", 0.22, 0.92, -0.15))},
    }  # fmt: skip
    return np.array([up[name] for name in SKELETON.joint_names]) + shift


def gaussians(at: np.ndarray, places: np.ndarray | None = None, cells: int = SIDE) -> JointMaps:
    y, x = np.mgrid[:cells, :cells]
    heat = np.exp(-((x - at[:, :1, None]) ** 2 + (y - at[:, 1:, None]) ** 2) / 2)
    values = np.zeros((3, len(at), cells, cells)) if places is None else places.T[:, :, None, None] * np.ones_like(heat)
    return JointMaps(heat, values)


def test_peaks_are_exact_to_a_part_of_a_cell(rng: np.random.Generator) -> None:
    at = rng.uniform(2.0, SIDE - 3.0, (21, 2))
    cells, heights = gaussians(at).peaks()
    assert np.abs(cells - at).max() < 1e-3
    assert (heights > 0.75).all()
    assert (heights <= 1.0).all()


def test_peaks_at_the_rim_and_empty_maps_stay_in_the_map() -> None:
    at = np.array([[0.0, 31.0], [-0.4, 12.3], [31.4, 0.0]])
    cells, _ = gaussians(at).peaks()
    assert (cells >= 0).all()
    assert (cells <= SIDE - 1).all()
    assert np.abs(cells - at).max() < 0.5
    cells, heights = JointMaps(np.zeros((2, 8, 8)), np.zeros((3, 2, 8, 8))).peaks()
    assert np.isfinite(cells).all()
    assert (heights == 0).all()


def test_location_maps_are_read_linearly_between_cells(rng: np.random.Generator) -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    slope = rng.normal(size=(3, 21, 2))
    places = slope[..., :1, None] * x + slope[..., 1:, None] * y
    maps = JointMaps(np.zeros((21, SIDE, SIDE)), places)
    at = rng.uniform(0, SIDE - 1, (21, 2))
    assert np.abs(maps.at(at) - np.einsum("ajk,jk->ja", slope, at)).max() < 1e-9
    outside = maps.at(np.full((21, 2), 99.0))
    assert np.abs(outside - places[:, :, -1, -1].T).max() < 1e-9


def test_scales_are_averaged_as_maps() -> None:
    truth = np.array([[10.0, 20.0], [16.5, 9.25], [25.0, 25.0]])
    places = np.array([[0.1, 0.2, 0.3]] * 3)
    middle = (SIDE - 1) / 2
    smaller = gaussians(middle + (truth - middle) * 0.7, places)
    both = average([gaussians(truth, places), smaller], (1.0, 0.7))
    cells, _ = both.peaks()
    assert np.abs(cells - truth).max() < 0.12  # a narrower peak, widened by interpolation
    assert np.abs(both.at(cells) - places).max() < 1e-6
    # what lies beyond the larger look is what the smaller one said
    larger = gaussians(middle + (truth - middle) * 1.6, 5 * places)
    rim = average([gaussians(truth, places), larger], (1.0, 1.6)).at(np.zeros((3, 2)))
    assert np.abs(rim - places).max() < 1e-6
    with pytest.raises(InputError, match="looks at scales"):
        average([], ())


@pytest.mark.parametrize("rotation", [0.0, 0.4])
@pytest.mark.parametrize("scales", [(1.0,), (1.0, 0.7)])
def test_a_look_brings_joints_into_the_camera(rotation: float, scales: tuple[float, ...]) -> None:
    truth = standing((1.1, -0.2, 4.5))
    network = TruthNetwork(truth[None, None])
    pixels = np.asarray(cameras.project(truth, CAMERA))
    center, size = LIGHT.square(np.concatenate([pixels.min(axis=0), pixels.max(axis=0)]))
    (look,) = VNect(network, TruthCrop(), scales=scales).look(picture(0), [Roi(center, size * 1.2, rotation)], CAMERA)
    assert np.abs(look.points2d[:, :2] - pixels).max() < 0.015 * size
    assert np.abs(look.places() - normalised(truth)).max() < 1e-3
    assert np.abs(look.places(pixels) - normalised(truth)).max() < 1e-3
    assert np.abs(look.places()[ROOT]).max() == 0


def test_answers_of_other_shapes_and_bad_settings_are_told() -> None:
    network = TruthNetwork(standing()[None, None])
    square = Roi(np.array([640.0, 360.0]), 500.0)

    class Short:
        def run(self, names, given):
            return [one[:, :17] for one in network.run(names, given)]

    class Broken:
        def run(self, names, given):
            return [one * np.nan for one in network.run(names, given)]

    with pytest.raises(InputError, match="four times"):
        VNect(Short(), TruthCrop()).look(picture(0), [square], CAMERA)
    with pytest.raises(InputError, match="no numbers"):
        VNect(Broken(), TruthCrop()).look(picture(0), [square], CAMERA)
    with pytest.raises(InputError, match="axes"):
        VNect(network, TruthCrop(), axes="world")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="scales"):
        VNect(network, TruthCrop(), scales=(0.0,))
    assert VNect(network, TruthCrop()).look(picture(0), [], CAMERA) == []


def test_squares_stand_as_the_torso_does() -> None:
    points = np.column_stack([np.asarray(cameras.project(standing(), CAMERA)), np.ones(21)])
    upright = square_of(points, LIGHT, CAMERA)
    assert abs(upright.rotation) < 0.01
    middle = points[:, :2].mean(axis=0)
    turned = points.copy()
    c, s = np.cos(0.8), np.sin(0.8)
    turned[:, :2] = middle + (points[:, :2] - middle) @ np.array([[c, s], [-s, c]])
    leaning = square_of(turned, LIGHT, CAMERA)
    assert leaning.rotation == pytest.approx(upright.rotation + 0.8, abs=0.01)
    assert leaning.size == pytest.approx(upright.size, rel=0.02)
    assert square_of(turned, LIGHT, CAMERA, turn=False).rotation == 0.0
    with pytest.raises(InputError, match="joints are seen"):
        square_of(np.zeros((21, 3)), LIGHT, CAMERA)


def crossing(frames: int) -> np.ndarray:
    """(2,T,21,3): two people walk past each other, one nearer to the camera."""
    x = np.linspace(-1.6, 1.6, frames)
    return np.stack([[standing((a, 0.0, 4.0)) for a in x], [standing((-a, 0.0, 7.0)) for a in x]])


def test_one_person_needs_one_look_a_frame_and_few_detections() -> None:
    joints = np.stack([standing((0.02 * t, 0.0, 4.0)) for t in range(60)])[None]
    network = TruthNetwork(joints)
    detector = TruthDetector(network)
    tracker = VNectTracker(VNect(network, TruthCrop()), detector)
    seen = [tracker.step(picture(t), CAMERA) for t in range(60)]
    assert all(list(one) == [0] for one in seen)
    assert network.looks == 61
    assert detector.calls <= 3
    pixels = np.asarray(cameras.project(joints[0, -1], CAMERA))
    assert np.abs(seen[-1][0].points2d[:, :2] - pixels).max() < 8.0


def test_found_again_within_ten_frames_elsewhere_under_the_same_number() -> None:
    joints = np.stack([standing((0.03 * t - 1.2, 0.0, 4.0)) for t in range(80)])[None]
    hidden = np.zeros((1, 80), bool)
    hidden[0, 20:45] = True
    network = TruthNetwork(joints, hidden)
    tracker = VNectTracker(VNect(network, TruthCrop()), TruthDetector(network))
    seen = [tracker.step(picture(t), CAMERA) for t in range(80)]
    assert not any(seen[20:45]), "nobody is there"
    back = next(t for t in range(45, 80) if seen[t])
    assert back - 45 < 10
    assert list(seen[back]) == [0]
    assert all(list(one) == [0] for one in seen[back:])


def test_two_people_keep_their_numbers_and_a_third_is_left_out() -> None:
    joints = crossing(90)
    joints = np.concatenate([joints, np.broadcast_to(standing((3.2, 0.0, 9.0)), (1, 90, 21, 3))])
    network = TruthNetwork(joints)
    tracker = VNectTracker(VNect(network, TruthCrop()), TruthDetector(network), limit=2)
    first = last = {}
    for t in range(30):
        last = tracker.step(picture(t), CAMERA)
        first = first or {i: look.points2d[ROOT, 0] for i, look in last.items()}
        assert len(last) <= 2
    assert sorted(last) == [0, 1]
    roots = np.asarray(cameras.project(joints[:2, 29, ROOT], CAMERA))[:, 0]
    who = {i: int(np.argmin(np.abs(roots - look.points2d[ROOT, 0]))) for i, look in last.items()}
    began = np.asarray(cameras.project(joints[:2, 0, ROOT], CAMERA))[:, 0]
    assert who == {i: int(np.argmin(np.abs(began - x))) for i, x in first.items()}


def test_people_who_cross_keep_their_numbers() -> None:
    joints = crossing(90)
    network = TruthNetwork(joints)
    tracker = VNectTracker(VNect(network, TruthCrop()), TruthDetector(network), limit=2)
    seen = [tracker.step(picture(t), CAMERA) for t in range(90)]
    assert sorted(seen[-1]) == [0, 1]
    for t in (10, 80, 89):
        roots = np.asarray(cameras.project(joints[:, t, ROOT], CAMERA))[:, 0]
        assert {i: int(np.argmin(np.abs(roots - look.points2d[ROOT, 0]))) for i, look in seen[t].items()} == {
            0: 0,
            1: 1,
        }


def test_nobody_is_no_error_and_counts_are_checked() -> None:
    network = TruthNetwork(standing()[None, None], np.ones((1, 1), bool))
    tracker = VNectTracker(VNect(network, TruthCrop()), TruthDetector(network))
    assert tracker.step(picture(0), CAMERA) == {}
    with pytest.raises(InputError, match="limit"):
        VNectTracker(VNect(network, TruthCrop()), TruthDetector(network), limit=0)
