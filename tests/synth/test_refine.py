"""Synthetic pictures made more like real ones: statistics move, people do not; a network's mistakes are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from monocap.data.synthetic import SynthSample
from monocap.errors import AssetError, InputError
from monocap.media.pictures import write_image
from monocap.synth.refine import Likeness, NetworkRefiner, Recheck, inverse_depth, refine
from monocap.synth.sampler import Sampler, SynthSettings
from monocap.types import BodyParams

SIDE = 96


def made(image: Any) -> SynthSample:
    """A sample without people: what refiners look at is picture and depth."""
    height, width = image.shape[:2]
    depth = np.full((height, width), np.inf, np.float32)
    depth[20:60, 30:50] = 2.0
    depth[25:40, 30:50] = 4.0
    nobody = np.full((height, width), -1, np.int16)
    zero = np.zeros
    params = BodyParams(zero((0, 16)), zero((0, 3)), zero((0, 63)), zero((0, 3)))
    images = (image, depth, zero((height, width, 3), np.float32), nobody, nobody)
    return SynthSample(
        *images, params, zero((0, 127, 3)), zero((0, 127, 2)), zero((0, 127), np.uint8), zero((0, 4)),
        zero(0, np.int32), np.eye(3), np.eye(4), zero(4), {"number": 3, "seed": 1},
    )  # fmt: skip


@pytest.fixture
def picture(rng: np.random.Generator) -> Any:
    coarse = rng.integers(60, 200, (6, 6, 3)).astype(np.uint8)
    return cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def photographs(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Warm, dark, grainy pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for k in range(4):
        base = cv2.resize(rng.integers(0, 120, (9, 9, 3)).astype(np.float32), (160, 120)) * [1.3, 0.9, 0.5]
        grainy = np.clip(base + 18 * rng.normal(size=base.shape), 0, 255).astype(np.uint8)
        write_image(folder / f"{k}.png", grainy)
    return folder


def test_statistics_move_towards_the_photographs(photographs: Path, picture: Any, rng: np.random.Generator) -> None:
    like = Likeness.of(photographs, SIDE, strength=1.0)
    refined = like(made(picture), rng)
    assert refined.shape == picture.shape
    assert refined.dtype == np.uint8
    target = like.colours[:, 0].mean(axis=0)
    before, after = (cv2.cvtColor(v, cv2.COLOR_RGB2LAB).mean(axis=(0, 1)) for v in (picture, refined))
    assert np.linalg.norm(after - target) < 0.4 * np.linalg.norm(before - target)

    def grain(image: Any) -> float:
        return float(np.std(image.astype(float) - cv2.GaussianBlur(image, (0, 0), 2.0).astype(float)))

    assert grain(refined) > 1.1 * grain(picture) * refined.std() / picture.std() * 0.9
    nothing = Likeness.of(photographs, SIDE, strength=0.0)(made(picture), rng)
    assert np.abs(nothing.astype(int) - picture).max() <= 3  # CIELAB in bytes and back


def test_edges_stay_where_they_are(photographs: Path, rng: np.random.Generator) -> None:
    picture = np.full((SIDE, SIDE, 3), 60, np.uint8)
    picture[30:70, 40:60] = 200
    refined = Likeness.of(photographs, SIDE)(made(picture), rng).astype(float).mean(axis=2)
    across = np.abs(np.diff(refined[40:60], axis=1)).mean(axis=0)
    assert set(np.argsort(across)[-2:]) == {39, 59}


def test_refining_is_repeatable_and_told(photographs: Path, picture: Any) -> None:
    like = Likeness.of(photographs, SIDE)
    first, again = (refine(made(picture), [like]) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    assert first.about["refined"] is True
    assert not np.array_equal(first.image, picture)


def test_inverse_depth_is_nearest_one_and_nothing_zero(picture: Any) -> None:
    near = inverse_depth(made(picture).depth)
    assert near[50, 40] == 1.0
    assert near[30, 40] == pytest.approx(0.5)
    assert near[0, 0] == 0.0


def test_folders_without_pictures_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures"):
        Likeness.of(tmp_path)
    with pytest.raises(InputError, match="strength is 2"):
        Likeness.of(tmp_path, strength=2.0)


def network(path: Path, shift: float, channels: int = 1) -> Path:
    """out = image + shift · depth, as an ONNX file."""
    onnx = pytest.importorskip("onnx", reason="makes the network of this test")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    inputs = [
        helper.make_tensor_value_info("picture", kind, [1, 3, "h", "w"]),
        helper.make_tensor_value_info("depth", kind, [1, channels, "h", "w"]),
    ]
    output = helper.make_tensor_value_info("out", kind, [1, 3, "h", "w"])
    nodes = [
        helper.make_node("Mul", ["depth", "k"], ["scaled"]),
        helper.make_node("Add", ["picture", "scaled"], ["out"]),
    ]
    constant = helper.make_tensor("k", kind, [1], [shift])
    graph = helper.make_graph(nodes, "shift", inputs, [output], [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, str(path))
    return path


def test_a_network_sees_picture_and_depth(tmp_path: Path, picture: Any, rng: np.random.Generator) -> None:
    same = NetworkRefiner(network(tmp_path / "same.onnx", 0.0), 1)(made(picture), rng)
    np.testing.assert_array_equal(same, picture)
    brighter = NetworkRefiner(network(tmp_path / "brighter.onnx", 0.2), 1)(made(picture), rng).astype(int)
    assert (brighter[45:58, 32:48] >= picture[45:58, 32:48]).all()
    assert (brighter[45:58, 32:48] - picture[45:58, 32:48]).mean() > 15  # 0.1 of 255 where nearest
    np.testing.assert_array_equal(brighter[:15], picture[:15])


def test_other_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(AssetError, match="cannot load"):
        NetworkRefiner(tmp_path / "text.onnx")
    with pytest.raises(AssetError, match="no such file"):
        NetworkRefiner(tmp_path / "absent.onnx")
    with pytest.raises(InputError, match="expected two float ones"):
        NetworkRefiner(network(tmp_path / "three.onnx", 0.0, channels=3))


def test_pictures_whose_people_moved_are_refused(picture: Any) -> None:
    sample = made(picture)
    kept = refine(sample, [lambda s, rng: 255 - s.image], recheck=lambda s, image: False)  # type: ignore[arg-type]
    np.testing.assert_array_equal(kept.image, picture)
    assert kept.about["refined"] is False


def test_recheck_tells_a_person_who_moved(shared: Any) -> None:
    from monocap.media.pictures import read_picture
    from monocap.perception import BlazePose, Roi
    from monocap.skeletons import get

    photo = read_picture(shared("media/pose.jpg")).image
    height, width = photo.shape[:2]
    roi = Roi(np.array([width / 2, height / 2]), max(height, width))
    found = BlazePose("lite", 1).estimate(photo, roi)
    assert found.keypoints.score > 0.5
    points = np.zeros((127, 2))
    names, known = get("smplx127").joint_names, get("blazepose33").joint_names
    for row, name in enumerate(names):
        if name in known:
            points[row] = found.keypoints.points2d[known.index(name), :2]
    some = points[points.any(axis=1)]
    points[~points.any(axis=1)] = some.mean(axis=0)
    box = np.concatenate([some.min(axis=0) - 10, some.max(axis=0) + 10])[None]
    sample = replace(
        made(photo), person=np.zeros((height, width), np.int16), joints=np.ones((1, 127, 3)), joints2d=points[None],
        visibility=np.full((1, 127), 4, np.uint8), box=box, pixels=np.array([90_000], np.int32),
        params=BodyParams(np.zeros((1, 16)), np.zeros((1, 3)), np.zeros((1, 63)), np.zeros((1, 3))),
    )  # fmt: skip
    check = Recheck(threads=1)
    assert check(sample, cv2.GaussianBlur(photo, (0, 0), 1.0))
    assert not check(sample, np.roll(photo, width // 6, axis=1))


def test_a_sampler_refines_what_it_makes(photographs: Path, tmp_path: Path) -> None:
    settings = SynthSettings(size=(64, 64), people=(1, 1), quality="fast")
    plain, like = (Sampler(settings=replace(settings, like=folder)).sample(7) for folder in (None, photographs))
    np.testing.assert_array_equal(plain.joints, like.joints)
    assert like.about["refined"] in (True, False)
    assert "refined" not in plain.about
    assert np.array_equal(plain.image, like.image) != like.about["refined"]
    with pytest.raises(InputError, match=r"--refine: .*no such file"):
        SynthSettings(refine=tmp_path / "absent.onnx")
