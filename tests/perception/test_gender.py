"""The gender network's squares, what it is told, and how its answers become words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monocap.errors import AssetError, InputError
from monocap.geometry.crops import transform_points
from monocap.media.crops import warp
from monocap.perception.gender import (
    INPUT,
    LEAST_FACE,
    GenderEstimate,
    GenderNetwork,
    body_square,
    coco_points,
    head_square,
    told_points,
)
from monocap.skeletons import get
from monocap.types import Array

onnx = pytest.importorskip("onnx", reason="writes a small network")

COCO = get("coco17")
# a standing person 170 px high, facing the camera; x, y of COCO's points
STANDING = {
    "nose": (100, 30), "left_eye": (104, 26), "right_eye": (96, 26), "left_ear": (110, 28), "right_ear": (90, 28),
    "left_shoulder": (120, 55), "right_shoulder": (80, 55), "left_elbow": (126, 85), "right_elbow": (74, 85),
    "left_wrist": (128, 112), "right_wrist": (72, 112), "left_hip": (112, 110), "right_hip": (88, 110),
    "left_knee": (112, 150), "right_knee": (88, 150), "left_ankle": (112, 190), "right_ankle": (88, 190),
}  # fmt: skip


@pytest.fixture
def person() -> Array:
    points = [(*STANDING[name], 0.9) for name in COCO.joint_names]
    return np.array(points, float)


def brightness_network(path: Path, **numbers: str) -> Path:
    """An ONNX file that answers the mean red minus the mean blue, ten-fold: so that crops can be told apart."""
    from onnx import TensorProto, helper

    told = {
        "body": "1.0", "body_bias": "0.0", "both_body": "1.0", "both_head": "0.5", "both_bias": "0.25",
        "threshold": "0.9",
    } | numbers  # fmt: skip
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 32, 32])
    points = helper.make_tensor_value_info("points", TensorProto.FLOAT, ["N", 17, 3])
    female = helper.make_tensor_value_info("female", TensorProto.FLOAT, ["N"])
    weight = helper.make_tensor("w", TensorProto.FLOAT, [3, 1], [10.0, 0.0, -10.0])
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["column"]),
        helper.make_node("ReduceSum", ["column", "last"], ["said"], keepdims=0),
        helper.make_node("ReduceMax", ["points"], ["most"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["most", "zero"], ["nothing"]),
        helper.make_node("Add", ["said", "nothing"], ["female"]),
    ]
    last = helper.make_tensor("last", TensorProto.INT64, [1], [1])
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])
    graph = helper.make_graph(nodes, "test", [image, points], [female], [weight, last, zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {name: value for name, value in told.items() if value})
    onnx.save(model, path)
    return path


@pytest.fixture
def network(tmp_path: Path) -> GenderNetwork:
    return GenderNetwork(brightness_network(tmp_path / "network.onnx"), threads=1)


def test_body_square_holds_all_seen_points_upright(person: Array) -> None:
    square = body_square(person)
    assert square is not None
    crop = transform_points(square.matrix(INPUT), person[:, :2])
    assert (crop > 0).all()
    assert (crop < INPUT - 1).all()
    assert abs(square.rotation) < 0.05


def test_squares_turn_with_the_person(person: Array) -> None:
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])  # a quarter, clockwise as seen
    lying = person.copy()
    lying[:, :2] = (person[:, :2] - 100) @ turn.T + 100
    for square_of in (body_square, lambda points: (head_square(points) or [None])[0]):
        straight, turned = square_of(person), square_of(lying)
        assert straight is not None
        assert turned is not None
        assert turned.size == pytest.approx(straight.size)
        assert turned.rotation - straight.rotation == pytest.approx(np.pi / 2)
        np.testing.assert_allclose(told_points(lying, turned), told_points(person, straight), atol=1e-5)


def test_told_points_are_where_the_crop_shows_them(person: Array) -> None:
    image = np.zeros((240, 240, 3), np.uint8)
    x, y = (int(v) for v in person[COCO.index("left_wrist"), :2])
    image[y - 2 : y + 3, x - 2 : x + 3] = 255
    square = body_square(person)
    assert square is not None
    crop = warp(image, square.matrix(INPUT), INPUT, INPUT)[..., 0].astype(float)
    rows, columns = np.mgrid[:INPUT, :INPUT]
    seen = np.array([(columns * crop).sum(), (rows * crop).sum()]) / crop.sum()
    told = told_points(person, square)[COCO.index("left_wrist")]
    np.testing.assert_allclose((told[:2] + 1) * INPUT / 2 - 0.5, seen, atol=0.3)


def test_unseen_points_count_for_nothing(person: Array) -> None:
    strange = person.copy()
    strange[COCO.index("left_ankle")] = (5000.0, 5000.0, 0.1)
    without = person.copy()
    without[COCO.index("left_ankle"), 2] = 0.0
    a, b = body_square(strange), body_square(without)
    assert a is not None
    assert b is not None
    np.testing.assert_array_equal(a.matrix(INPUT), b.matrix(INPUT))
    assert not told_points(strange, a)[COCO.index("left_ankle")].any()


def test_no_face_from_behind_and_none_of_nobody(person: Array) -> None:
    behind = person.copy()
    behind[COCO.index("nose"), 2] = 0.2
    assert head_square(behind) is None
    assert head_square(person) is not None
    nobody = person.copy()
    nobody[:, 2] = 0.1
    assert body_square(nobody) is None


@pytest.mark.parametrize("skeleton", ["blazepose33", "openpose25", "coco17"])
def test_points_go_by_name(person: Array, skeleton: str) -> None:
    names = get(skeleton).joint_names
    given = np.zeros((len(names), 3))
    for i, name in enumerate(names):
        if name in STANDING:
            given[i] = (*STANDING[name], 0.9)
    np.testing.assert_array_equal(coco_points(given, skeleton), person)


def test_another_count_of_keypoints_is_told(person: Array) -> None:
    with pytest.raises(InputError, match=r"\(17, 3\).*\(33, 3\)"):
        coco_points(person, "blazepose33")


def test_the_head_is_looked_at_where_the_face_is_large(network: GenderNetwork, person: Array) -> None:
    image = np.full((1000, 1000, 3), 128, np.uint8)
    image[:, :, 0] += 20
    image[:, :, 2] -= 20
    small = network.estimate(image, person, "coco17")
    large = person.copy()
    large[:, :2] *= 4
    found = head_square(large)
    assert found is not None
    assert found[1] >= LEAST_FACE
    both = network.estimate(image, large, "coco17")
    assert (small.face, both.face) == (False, True)
    answer = 10 * 40 / 255
    assert small.probability == pytest.approx(1 / (1 + np.exp(-answer)), abs=0.01)
    assert both.probability == pytest.approx(1 / (1 + np.exp(-(1.5 * answer + 0.25))), abs=0.01)


def test_below_the_threshold_it_is_neutral(network: GenderNetwork) -> None:
    odds = np.log(0.9 / 0.1)
    said = [network.judge(x).said for x in (odds + 0.01, odds - 0.01, 0.0, -odds + 0.01, -odds - 0.01)]
    assert said == ["female", "neutral", "neutral", "neutral", "male"]


def test_nobody_seen_is_neutral(network: GenderNetwork, person: Array) -> None:
    person[:, 2] = 0.0
    assert network.estimate(np.zeros((50, 50, 3), np.uint8), person, "coco17") == GenderEstimate(0.5, "neutral")


def test_pictures_of_one_person_together(network: GenderNetwork) -> None:
    sure, unsure, against = (network.judge(x) for x in (5.0, 1.0, -5.0))
    assert network.together([sure, unsure]).probability == pytest.approx(1 / (1 + np.exp(-3.0)))
    assert network.together([sure, against]).said == "neutral"
    assert network.together([]) == GenderEstimate(0.5, "neutral")


@pytest.mark.parametrize(("numbers", "said"), [({"threshold": ""}, "lacks"), ({"threshold": "0.2"}, "no sense")])
def test_another_network_is_refused(tmp_path: Path, numbers: dict[str, str], said: str) -> None:
    with pytest.raises(AssetError, match=said):
        GenderNetwork(brightness_network(tmp_path / "other.onnx", **numbers))


def test_a_network_without_heads_looks_once(tmp_path: Path, person: Array) -> None:
    network = GenderNetwork(brightness_network(tmp_path / "network.onnx", both_head="0.0"), threads=1)
    person[:, :2] *= 4
    assert not network.estimate(np.full((1000, 1000, 3), 128, np.uint8), person, "coco17").face
