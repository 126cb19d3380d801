"""BlazePose: landmarks where the person is, turned as the person is, and told from the camera's point of view."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monocap.errors import InputError
from monocap.perception import BlazePose, Roi, turn_to_camera
from monocap.perception.blazepose import refine
from monocap.perception.roi import from_alignment, from_detection
from monocap.skeletons import get
from monocap.types import Camera

SKELETON = get("blazepose33")
POSE_ROI = Roi(np.array([491.0, 470.0]), 650.0, 0.05)  # the person of pose.jpg
# his outline, drawn by hand
OUTLINE = [(248, 296), (330, 302), (448, 313), (466, 300), (458, 262), (485, 238), (518, 262), (514, 298), (545, 306)]
OUTLINE += [(650, 308), (754, 304), (752, 312), (650, 325), (552, 337), (537, 430), (572, 486), (593, 520), (739, 628)]
OUTLINE += [(709, 636), (690, 617), (545, 525), (481, 501), (410, 505), (370, 516), (363, 630), (306, 632), (331, 613)]
OUTLINE += [(340, 486), (366, 468), (448, 456), (460, 426), (448, 340), (330, 322), (250, 304)]
Pictures = Callable[[str], np.ndarray]


def test_landmarks_of_a_photograph(picture: Pictures, heavy: BlazePose) -> None:
    result = heavy.estimate(picture("pose.jpg"), POSE_ROI)
    # read off the picture by eye
    seen = {
        "nose": (461, 284),
        "left_shoulder": (544, 320),
        "right_shoulder": (453, 326),
        "left_wrist": (699, 312),
        "right_wrist": (299, 307),
        "left_knee": (608, 547),
        "right_knee": (357, 490),
        "left_ankle": (702, 612),
        "right_ankle": (350, 607),
    }
    points = result.keypoints.points2d[SKELETON.indices(seen)]
    np.testing.assert_allclose(points[:, :2], list(seen.values()), atol=12)
    assert (points[:, 2] > 0.8).all()
    assert result.keypoints.score > 0.99
    assert result.peak > 0.85
    # the region that it asks for next is the one it was given, so nothing drifts
    assert np.linalg.norm(result.next_roi.center - POSE_ROI.center) < 0.03 * POSE_ROI.size
    assert result.next_roi.size == pytest.approx(POSE_ROI.size, rel=0.08)


def test_in_a_mirror_left_stays_left(picture: Pictures, heavy: BlazePose) -> None:
    """A second opinion, not another person: what the network says of the mirror image is mirrored back."""
    image = picture("pose.jpg")
    plain = heavy.estimate(image, POSE_ROI, want_mask=True)
    turned = heavy.estimate(image, POSE_ROI, want_mask=True, mirrored=True)
    off = np.linalg.norm(turned.keypoints.points2d[11:, :2] - plain.keypoints.points2d[11:, :2], axis=1)
    assert 0.0 < np.median(off) < 0.02 * POSE_ROI.size
    assert np.linalg.norm(turned.keypoints.points3d - plain.keypoints.points3d, axis=1).mean() < 0.12
    assert np.linalg.norm(turned.next_roi.center - plain.next_roi.center) < 0.03 * POSE_ROI.size
    assert plain.keypoints.mask is not None
    assert turned.keypoints.mask is not None
    assert np.abs(plain.keypoints.mask - turned.keypoints.mask).mean() < 0.02
    # of the mirrored picture the mirrored look sees the same pixels as the plain look of the picture
    width = image.shape[1]
    beyond = Roi(np.array([width - 1 - POSE_ROI.center[0], POSE_ROI.center[1]]), POSE_ROI.size, -POSE_ROI.rotation)
    again = heavy.estimate(np.ascontiguousarray(image[:, ::-1]), beyond, mirrored=True).keypoints
    flip = np.array(SKELETON.flip)
    np.testing.assert_allclose(width - 1 - again.points2d[flip, 0], plain.keypoints.points2d[:, 0], atol=1.5)
    np.testing.assert_allclose(again.points3d[flip] * [-1, 1, 1], plain.keypoints.points3d, atol=0.02)


def test_metres_are_plausible(picture: Pictures, heavy: BlazePose) -> None:
    points = heavy.estimate(picture("pose.jpg"), POSE_ROI).keypoints.points3d
    at = {name: points[SKELETON.index(name)] for name in SKELETON.joint_names}
    for side in ("left", "right"):
        assert 0.3 < np.linalg.norm(at[f"{side}_hip"] - at[f"{side}_knee"]) < 0.5
        assert 0.18 < np.linalg.norm(at[f"{side}_elbow"] - at[f"{side}_wrist"]) < 0.32
    np.testing.assert_allclose((at["left_hip"] + at["right_hip"]) / 2, 0, atol=0.03)
    assert at["left_wrist"][0] > at["right_wrist"][0] + 0.9  # facing the camera, arms spread: left is right
    assert at["nose"][1] < -0.3  # y down
    assert at["nose"][2] < at["left_ear"][2]  # z forward: the nose is nearer than the ears


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turning_the_picture_turns_the_landmarks(quarters: int, picture: Pictures, lite: BlazePose) -> None:
    image = picture("pose.jpg")
    upright = lite.estimate(image, POSE_ROI).keypoints
    turned = np.ascontiguousarray(np.rot90(image, -quarters))
    middle, middle_turned = ((np.array(i.shape[1::-1]) - 1) / 2 for i in (image, turned))
    angle = quarters * np.pi / 2  # clockwise
    R = np.round([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    roi = Roi(middle_turned + R @ (POSE_ROI.center - middle), POSE_ROI.size, POSE_ROI.rotation + angle)
    result = lite.estimate(turned, roi).keypoints
    expected = middle_turned + (upright.points2d[:, :2] - middle) @ R.T
    # the crops agree to a hundredth of a pixel; what the network makes of it, to a fraction of one of its own (2.5)
    difference = result.points2d[:, :2] - expected
    assert np.abs(difference).max() < 3
    np.testing.assert_allclose(np.median(difference, axis=0), 0, atol=0.25)
    np.testing.assert_allclose(result.points3d[:, :2], upright.points3d[:, :2] @ R.T, atol=0.01)
    np.testing.assert_allclose(result.points3d[:, 2], upright.points3d[:, 2], atol=0.01)


def test_mirroring_exchanges_the_sides(picture: Pictures, heavy: BlazePose) -> None:
    image = picture("pose.jpg")
    width = image.shape[1]
    plain = heavy.estimate(image, POSE_ROI).keypoints.points2d
    roi = Roi(np.array([width - 1 - POSE_ROI.center[0], POSE_ROI.center[1]]), POSE_ROI.size, -POSE_ROI.rotation)
    mirrored = heavy.estimate(np.ascontiguousarray(image[:, ::-1]), roi).keypoints.points2d[list(SKELETON.flip)]
    difference = (width - 1 - mirrored[:, 0]) - plain[:, 0]
    assert np.abs(difference).max() < 12
    # the two need not agree exactly, but a half-pixel mistake of convention would shift all of them alike:
    # half a pixel of the network's input is 1.3 of the picture, twice that between the two
    assert abs(np.median(difference)) < 1.3


def test_mask_covers_the_person(picture: Pictures, lite: BlazePose) -> None:
    image = picture("pose.jpg")
    mask = lite.estimate(image, POSE_ROI, want_mask=True).keypoints.mask
    assert mask is not None
    assert mask.shape == image.shape[:2]
    assert mask.dtype == np.float32
    assert 0 <= mask.min() <= mask.max() <= 1
    truth = cv2.fillPoly(np.zeros(image.shape[:2], np.uint8), [np.array(OUTLINE)], (1,)).astype(bool)
    inside = mask > 0.5
    assert (inside & truth).sum() / (inside | truth).sum() > 0.8
    assert lite.estimate(image, POSE_ROI).keypoints.mask is None


def test_nobody_there(lite: BlazePose) -> None:
    result = lite.estimate(np.full((300, 400, 3), 120, np.uint8), Roi(np.array([200.0, 150.0]), 300.0))
    assert result.keypoints.score < 0.5
    assert result.peak < 0.3


def test_region_far_outside_is_no_crash(lite: BlazePose) -> None:
    result = lite.estimate(np.zeros((30, 40, 3), np.uint8), Roi(np.array([-5000.0, 900.0]), 20.0, 3.0))
    assert result.keypoints.score < 0.5
    assert np.isfinite(result.keypoints.points2d).all()


def test_refinement_follows_the_heatmap() -> None:
    rows, columns = np.indices((64, 64))
    heat = np.zeros((64, 64, 3))
    heat[..., 0] = 0.9 * np.exp(-((columns - 20.4) ** 2 + (rows - 30.7) ** 2) / 2)
    heat[..., 1] = 0.4 * np.exp(-((columns - 20.4) ** 2 + (rows - 30.7) ** 2) / 2)  # too faint to count
    heat[..., 2] = heat[..., 0]
    points = np.array([[82.0, 124.0], [82.0, 124.0], [250.0, 10.0]])  # the third is far from its peak
    refined = refine(points, heat)
    np.testing.assert_allclose(refined[0], [4 * 20.4, 4 * 30.7], atol=0.6)
    np.testing.assert_array_equal(refined[1:], points[1:])


@given(st.floats(0, 1280), st.floats(0, 720))
def test_turn_to_camera_undoes_the_slant(x: float, y: float) -> None:
    camera = Camera(900.0, 950.0, 640.0, 360.0, 1280, 720)
    points2d = np.tile([x, y, 1.0], (33, 1))
    axis = np.zeros((33, 3))
    axis[:, 2] = 1.0  # straight ahead in the crop is along the ray in the camera
    ray = np.array([(x - 640) / 900, (y - 360) / 950, 1])
    np.testing.assert_allclose(turn_to_camera(axis, points2d, camera)[0], ray / np.linalg.norm(ray), atol=1e-12)
    turned = turn_to_camera(np.eye(33, 3), points2d, camera)[:3]
    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turned) == pytest.approx(1)
    batch = turn_to_camera(np.stack([axis, axis]), np.stack([points2d, points2d]), camera)
    assert batch.shape == (2, 33, 3)


def test_regions() -> None:
    lying = from_alignment(np.array([100.0, 100.0]), np.array([140.0, 100.0]))  # head to the right
    assert lying.rotation == pytest.approx(np.pi / 2)
    assert lying.size == pytest.approx(2 * 40 * 1.25)
    keypoints = np.zeros((17, 3))
    coco = get("coco17")
    keypoints[coco.indices(("left_hip", "right_hip"))] = [[110, 200, 0.9], [90, 200, 0.9]]
    keypoints[coco.indices(("left_shoulder", "right_shoulder"))] = [[110, 150, 0.9], [90, 150, 0.9]]
    keypoints[coco.indices(("left_ankle", "right_ankle"))] = [[110, 290, 0.9], [90, 290, 0.9]]
    box = np.array([80.0, 120, 120, 300])
    standing = from_detection(box, keypoints)
    np.testing.assert_allclose(standing.center, [100, 200])
    assert standing.rotation == pytest.approx(0)
    assert 180 < standing.size < 280
    unseen = from_detection(box, keypoints * [1, 1, 0])
    np.testing.assert_allclose(unseen.center, [100, 210])
    assert unseen.size == pytest.approx(1.25 * 180)
    with pytest.raises(InputError, match="positive size"):
        Roi(np.array([0.0, 0.0]), 0.0)


def test_unknown_variant() -> None:
    with pytest.raises(InputError, match="'lite' or 'heavy'"):
        BlazePose("full")  # type: ignore[arg-type]
