"""Regression networks at run time: a network that says what is true must lead to the true joints in the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from monocap.bodies import BodyModel, load_body
from monocap.data.augmentation import Change
from monocap.data.crop_families import crop_family
from monocap.data.sample import DatasetInfo, Sample, box_of_points
from monocap.data.synthetic import SKELETON, VISIBLE
from monocap.data.training_view import training_view
from monocap.errors import InputError
from monocap.geometry import cameras, rotations
from monocap.perception.regressor import BodyRegressor, Manner, body_square
from monocap.perception.roi import Roi
from monocap.train.feature_cache import crop_and_truth
from monocap.types import Array, BodyGuess, BodyParams, Camera

CAMERA = Camera(900.0, 900.0, 333.0, 261.0, 640, 480)  # its principal point is not in the middle
LIGHT = crop_family("light")


class Oracle:
    """Stands in for an ONNX session: answers what it is told to, and keeps what it was asked."""

    def __init__(self, rotmats: Array, betas: Array, cam: Array) -> None:
        self.answers = {"rotmats": rotmats, "betas": betas, "cam": cam}
        self.asked: dict[str, Array] = {}

    def run(self, names: Sequence[str], given: dict[str, Array]) -> list[Any]:
        self.asked = given
        return [self.answers[name] for name in names]


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


@pytest.fixture(scope="module")
def person(body: BodyModel) -> Sample:
    """Somebody off the middle of a noisy picture, with all that is true of them."""
    rng = np.random.default_rng(3)
    params = BodyParams(
        betas=np.concatenate([rng.normal(0, 1, 10), np.zeros(body.num_betas - 10)]),
        global_orient=np.array([2.9, 0.2, 0.4]),
        body_pose=rng.normal(0, 0.25, 63),
        transl=np.array([-0.5, 0.25, 3.6]),
    )
    parameters: dict[str, Any] = params.asdict()
    joints = np.asarray(body.keypoints(SKELETON, **parameters))
    flat = cameras.project(joints, CAMERA)
    center, size = box_of_points(flat)
    return Sample(
        info=DatasetInfo("own", "none", "none", SKELETON),
        image=rng.integers(0, 256, (CAMERA.height, CAMERA.width, 3), dtype=np.uint8),
        box_center=center,
        box_size=size,
        K=CAMERA.K,
        joints3d=joints,
        joints3d_valid=np.ones(len(joints), bool),
        skeleton3d=SKELETON,
        joints2d=np.column_stack([flat, np.ones(len(flat))]),
        skeleton2d=SKELETON,
        params=params,
        body="open",
        notes={"visibility": np.full(len(joints), VISIBLE, np.uint8)},
    )


def oracle_of(truth: dict[str, Any]) -> Oracle:
    """Says what the training's truth of a crop is, in the numbers of the networks' contract."""
    pose = np.concatenate([truth["global_orient"], truth["body_pose"]]).reshape(22, 3)
    pelvis = truth["joints"][0]
    cam = cameras.full_to_crop_weak(pelvis, truth["center"], truth["size"], np.zeros(2), truth["focal"])
    return Oracle(rotations.axis_angle_to_matrix(pose)[None], truth["betas"][None], cam[None])


def posed(body: BodyModel, guess: BodyGuess, row: int = 0) -> Array:
    """(55,3) joints of a guess, camera frame."""
    betas = np.concatenate([guess.betas[row], np.zeros(body.num_betas - 10)])
    transl = guess.pelvis[row] - body.rest_joints(betas)[0]
    pose = guess.pose[row]
    return np.asarray(body.joints_only(betas=betas, global_orient=pose[:3], body_pose=pose[3:], transl=transl))


@pytest.mark.parametrize(
    "change", [Change(), Change(rotation=0.6), Change(rotation=-2.2, shift=(0.1, -0.05), scale=1.2)]
)
def test_what_is_true_of_the_crop_is_true_in_the_picture(body: BodyModel, person: Sample, change: Change) -> None:
    view = training_view(person, LIGHT, change)
    _, truth = crop_and_truth(person, change)
    oracle = oracle_of(truth)
    square = Roi(view.center, view.size, change.rotation)
    guess = BodyRegressor(oracle, LIGHT).estimate(person.read_image(), [square], CAMERA)
    joints = posed(body, guess)
    assert person.joints3d is not None
    np.testing.assert_allclose(joints, person.joints3d[:55], atol=1e-6)
    assert np.abs(cameras.project(joints, CAMERA) - person.joints2d[:55, :2]).max() < 1e-3  # type: ignore[index]
    # it was asked with the very pixels and numbers that the training's features and truth are made of
    np.testing.assert_array_equal(oracle.asked["crop"][0], LIGHT.normalise(view.crop))
    told = np.append(truth["center"], truth["size"]) / truth["focal"]
    np.testing.assert_allclose(oracle.asked["box"][0], told, atol=1e-6)


def test_a_body_that_is_not_drawn_about_its_pelvis(person: Sample) -> None:
    """As SMPL's: what the camera tells is the body's origin; the pelvis is off it as the crop is turned."""
    change = Change(rotation=0.6)
    view = training_view(person, LIGHT, change)
    square = Roi(view.center, view.size, change.rotation)
    off = (0.01, -0.2, 0.03)
    own, other = (
        BodyRegressor(oracle_of(crop_and_truth(person, change)[1]), LIGHT, manner).estimate(
            person.read_image(), [square], CAMERA
        )
        for manner in (Manner(), Manner(pelvis=off))
    )
    back = rotations.axis_angle_to_matrix(np.array([0.0, 0.0, change.rotation]))
    np.testing.assert_allclose((other.pelvis - own.pelvis)[0], back @ off, atol=1e-9)
    np.testing.assert_array_equal(other.pose, own.pose)


def test_several_people_are_asked_about_at_once(body: BodyModel, person: Sample) -> None:
    squares, oracles = [], []
    for rotation in np.linspace(-1, 1, 5):
        change = Change(rotation=float(rotation))
        view = training_view(person, LIGHT, change)
        squares.append(Roi(view.center, view.size, change.rotation))
        oracles.append(oracle_of(crop_and_truth(person, change)[1]))
    together = Oracle(*(np.concatenate([o.answers[n] for o in oracles]) for n in ("rotmats", "betas", "cam")))
    guess = BodyRegressor(together, LIGHT).estimate(person.read_image(), squares, CAMERA)
    for row in range(5):
        np.testing.assert_allclose(posed(body, guess, row), person.joints3d[:55], atol=1e-6)  # type: ignore[index]


def test_a_network_that_knows_only_its_crop_is_looked_at_along_its_ray(body: BodyModel) -> None:
    """Somebody in the middle of a crop far off the axis, upright towards that camera: the root turns with the ray."""
    square = Roi(np.array([60.0, 300.0]), 200.0)
    facing = np.diag([1.0, -1.0, -1.0])
    rotmats = np.broadcast_to(np.eye(3), (1, 24, 3, 3)).copy()
    rotmats[0, 0] = facing
    oracle = Oracle(rotmats, np.zeros((1, 10)), np.array([[0.9, 0.0, 0.0]]))
    network = BodyRegressor(oracle, crop_family("spin"), Manner("image", "", view="crop"))
    guess = network.estimate(np.zeros((480, 640, 3), np.uint8), [square], CAMERA)
    assert set(oracle.asked) == {"image"}
    assert oracle.asked["image"].shape == (1, 3, 224, 224)
    ray = cameras.ray_of(square.center, CAMERA)
    root = rotations.axis_angle_to_matrix(guess.pose[0, :3])
    np.testing.assert_allclose(root @ facing.T @ [0.0, 0.0, 1.0], ray, atol=1e-9)
    np.testing.assert_allclose(cameras.project(guess.pelvis, CAMERA)[0], square.center, atol=1e-6)


def test_a_second_look_in_a_mirror_is_turned_back(body: BodyModel, person: Sample) -> None:
    """A network that says the truth of picture and mirror image is right; and two that differ are averaged."""
    change = Change(rotation=0.5)
    view = training_view(person, LIGHT, change)
    first = oracle_of(crop_and_truth(person, change)[1]).answers
    # of the mirror image: the box there, seen through a crop that turns the other way
    flipped = crop_and_truth(person, Change(flip=True, rotation=-0.5))[1]
    second = oracle_of(flipped).answers
    np.testing.assert_allclose(flipped["size"], view.size, rtol=1e-9)

    class Both:
        """The first time what is true of the picture, then of its mirror image."""

        def __init__(self) -> None:
            self.said, self.asked = [first, second], []

        def run(self, names: Sequence[str], given: dict[str, Array]) -> list[Any]:
            self.asked.append(given)
            return [self.said[len(self.asked) - 1][name] for name in names]

    network, square = Both(), Roi(view.center, view.size, change.rotation)
    guess = BodyRegressor(network, LIGHT).estimate_twice(person.read_image(), [square], CAMERA)
    np.testing.assert_allclose(posed(body, guess), person.joints3d[:55], atol=1e-5)  # type: ignore[index]
    told = np.append(flipped["center"], flipped["size"]) / flipped["focal"]
    np.testing.assert_allclose(network.asked[1]["box"][0], told, atol=1e-6)


def test_the_square_from_landmarks_is_that_of_the_training(body: BodyModel, person: Sample) -> None:
    """Near the square round what of the mesh lies in the picture; turned upright, all of that is still in it."""
    from monocap.fitting.landmarks import blazepose_landmarks
    from monocap.fitting.state import PoseState, Skeleton, landmark_points

    assert person.params is not None
    p = person.params
    marks = Skeleton.of(body, blazepose_landmarks(body))
    root = rotations.axis_angle_to_matrix(p.global_orient)[None]
    points = landmark_points(marks, PoseState(root, p.body_pose[None], p.transl[None], p.betas))[0]
    flat = np.column_stack([cameras.project(points, CAMERA), np.ones(33)])
    mesh = cameras.project(np.asarray(body(**p.asdict()).vertices, np.float64), CAMERA)
    mesh = np.clip(mesh, -0.5, [CAMERA.width - 0.5, CAMERA.height - 0.5])
    center, size = LIGHT.square(np.concatenate([mesh.min(axis=0), mesh.max(axis=0)]))
    square = body_square(flat, LIGHT, CAMERA)
    assert square.rotation == 0
    assert abs(square.size / size - 1) < 0.06
    assert np.linalg.norm(square.center - center) < 0.04 * size
    turned = body_square(flat, LIGHT, CAMERA, upright_from=0.0)
    at = np.column_stack([flat[:, :2], np.ones(33)]) @ LIGHT.matrix(turned.center, turned.size, turned.rotation).T
    within = ((flat[:, :2] > 0) & (flat[:, :2] < [CAMERA.width, CAMERA.height])).all(axis=1)
    assert within.sum() > 20
    assert ((at[within, :2] > 0) & (at[within, :2] < 256)).all()
    hips, shoulders = at[23:25, :2].mean(axis=0), at[11:13, :2].mean(axis=0)
    assert abs(hips[0] - shoulders[0]) < 1e-6, "the torso stands"
    assert shoulders[1] < hips[1]


def test_wrong_answers_are_told() -> None:
    nobody = np.zeros((64, 64, 3), np.uint8)
    square = Roi(np.array([32.0, 32.0]), 40.0)
    camera = Camera(60.0, 60.0, 31.5, 31.5, 64, 64)
    rotmats, betas, cam = np.broadcast_to(np.eye(3), (1, 22, 3, 3)), np.zeros((1, 10)), np.ones((1, 3))
    for answers in ((rotmats[:, :5], betas, cam), (rotmats, betas[:, :4], cam), (rotmats, betas, cam * np.nan)):
        with pytest.raises(InputError, match="the network answers"):
            BodyRegressor(Oracle(*answers), LIGHT).estimate(nobody, [square], camera)
    with pytest.raises(InputError, match="attention"):
        BodyRegressor(Oracle(rotmats, betas, cam), LIGHT).attention(nobody, square, camera)
    empty = BodyRegressor(Oracle(rotmats, betas, cam), LIGHT).estimate(nobody, [], camera)
    assert (empty.pose.shape, empty.betas.shape, empty.pelvis.shape) == ((0, 66), (0, 10), (0, 3))
