"""Whom the keypoint file does not call anything is looked at; what it says stands."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest

from monocap import Motion, load_body
from monocap.cli import main
from monocap.data.keypoint_files import KeypointSet
from monocap.data.keypoint_files.form import KeypointPicture
from monocap.errors import InputError
from monocap.perception.gender import GenderEstimate, GenderNetwork
from monocap.pipeline.keypoint_fit.gender import GenderChoice, with_genders
from monocap.pipeline.keypoint_fit.settings import FitSettings
from monocap.pipeline.settings import CaptureSettings
from monocap.types import Array


class Redness(GenderNetwork):
    """Says female where the picture is red, and neutral of people near its left edge."""

    def __init__(self) -> None:
        pass

    def estimate(self, image: Array, keypoints: Array, skeleton: str = "blazepose33") -> GenderEstimate:
        assert skeleton == "coco17"
        if keypoints[:, 0].mean() < 5:
            return GenderEstimate(0.5, "neutral")
        return GenderEstimate(0.95, "female") if image[..., 0].mean() > 100 else GenderEstimate(0.05, "male")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, red in (("a", 200), ("b", 20)):
        image = np.zeros((40, 60, 3), np.uint8)
        image[..., 2] = red  # OpenCV's red
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    return tmp_path


def picture(
    name: str, image: Path | None, *, left: bool = False, gender: tuple[str | None, ...] = ()
) -> KeypointPicture:
    points = np.ones((2, 17, 3))
    points[:, :, :2] = 30.0
    points[1, :, 0] = 1.0 if left else 30.0
    return KeypointPicture(name, points, size=(60, 40), image=image, gender=gender)


def test_people_without_a_word_are_looked_at(folder: Path) -> None:
    pictures = (
        picture("a", folder / "a.png", gender=("male", None)),
        picture("b", folder / "b.png", left=True),
        picture("c", None),
        picture("d", folder / "broken.png"),
        picture("e", folder / "nowhere.png", gender=("male", "female")),
    )
    found = with_genders(KeypointSet("test", "coco17", pictures, (folder / "keypoints.json",)), Redness())
    assert [one.gender for one in found.pictures] == [
        ("male", "female"), ("male", "neutral"), (None, None), (None, None), ("male", "female"),
    ]  # fmt: skip
    assert len(found.notes) == 1
    assert "3 people looked at, 1 of them neutral" in found.notes[0]


def test_nobody_to_look_at_is_not_told(folder: Path) -> None:
    found = KeypointSet("test", "coco17", (picture("c", None),), (folder / "keypoints.json",), notes=("before",))
    assert with_genders(found, Redness()).notes == ("before",)


def write_network(path: Path) -> Path:
    """An ONNX file with the gender network's inputs and output: who is in a bright crop looks female."""
    onnx = pytest.importorskip("onnx", reason="writes a small network")
    from onnx import TensorProto, helper

    told = dict.fromkeys(("body", "both_body", "both_head"), "1.0") | {"body_bias": "0", "both_bias": "0"}
    given = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 96, 96]),
        helper.make_tensor_value_info("points", TensorProto.FLOAT, ["N", 17, 3]),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["bright"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Sub", ["bright", "middle"], ["off"]),
        helper.make_node("Mul", ["off", "strong"], ["female"]),
    ]
    numbers = [
        helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in (("middle", 0.3), ("strong", 40.0))
    ]
    said = [helper.make_tensor_value_info("female", TensorProto.FLOAT, ["N"])]
    model = helper.make_model(
        helper.make_graph(nodes, "toy", given, said, numbers), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    helper.set_model_props(model, {**told, "threshold": "0.9"})
    onnx.save(model, path)
    return path


def test_what_auto_can_and_cannot_do_is_one_line(folder: Path) -> None:
    official = CaptureSettings(body=str(folder))
    auto = FitSettings(common=official, gender="auto")
    unsaid = KeypointSet("test", "coco17", (picture("a", folder / "a.png"),), (folder / "keypoints.json",))
    said = replace(unsaid, pictures=(picture("a", folder / "a.png", gender=("male", "female")),))
    assert GenderChoice(auto).completed(said) == said
    assert GenderChoice(FitSettings(common=official)).completed(unsaid) == unsaid
    (note,) = GenderChoice(auto).completed(unsaid).notes
    assert "2 people, who stay neutral; give --gender-weights FILE" in note
    (note,) = GenderChoice(FitSettings(gender="auto")).completed(unsaid).notes
    assert "the body 'open' is the same for everybody" in note
    asked = replace(auto, gender_weights=write_network(folder / "gender.onnx"))
    (note,) = GenderChoice(asked).completed(replace(unsaid, pictures=(picture("a", None),))).notes
    assert "no pictures are at hand; give --images DIR" in note
    with pytest.raises(InputError, match=r"--gender-weights is for --gender auto; --gender is male"):
        FitSettings(common=official, gender="male", gender_weights=folder / "gender.onnx")
    with pytest.raises(InputError, match=r"absent\.onnx: no such file"):
        replace(auto, gender_weights=folder / "absent.onnx")


def test_fit_takes_the_body_of_the_gender_that_the_network_sees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the command line: a bright picture and a dark one of the same person, official bodies in a folder."""
    body = load_body("open")
    place = {"global_orient": np.array([[np.pi, 0.0, 0.0]]), "transl": np.array([[0.0, 0.2, 3.2]])}
    points = np.asarray(
        body.camera_keypoints("openpose25", body_pose=np.zeros((1, 63)), betas=np.zeros((1, 10)), **place), np.float64
    )
    pixels = points[..., :2] / points[..., 2:] * 700.0 + [319.5, 239.5]
    seen = np.concatenate([pixels, np.full((1, 25, 1), 0.9)], axis=-1)
    for folder in ("bodies", "img", "kp"):
        (tmp_path / folder).mkdir()
    with resources.as_file(resources.files("monocap.bodies") / "data" / "open.npz") as path:
        for gender in ("FEMALE", "MALE", "NEUTRAL"):
            shutil.copy(path, tmp_path / "bodies" / f"SMPLX_{gender}.npz")
    content = {"version": 1.3, "people": [{"pose_keypoints_2d": seen[0].ravel().tolist()}]}
    for name, light in (("bright", 200), ("dark", 20)):
        cv2.imwrite(str(tmp_path / "img" / f"{name}.png"), np.full((480, 640, 3), light, np.uint8))
        (tmp_path / "kp" / f"{name}_keypoints.json").write_text(json.dumps(content))
    network = write_network(tmp_path / "gender.onnx")
    argv = ["fit", "kp", "--images", "img", "-o", "out", "--body", "bodies", "--gender", "auto", "--no-overlay"]
    argv += ["--gender-weights", network.name, "--focal", "700", "--formats", "npz", "--recipe", "smplify"]
    argv = [str(tmp_path / word) if (tmp_path / word).exists() or word == "out" else word for word in argv]
    assert main(argv) == 0
    assert "2 people looked at, 0 of them neutral" in capsys.readouterr().err
    fitted = [Motion.load(tmp_path / "out" / f"{name}.npz").body_model for name in ("bright", "dark")]
    assert [name.rpartition("_")[2].removesuffix(".npz") for name in fitted] == ["FEMALE", "MALE"]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["settings"]["gender_weights"] == "gender.onnx"
    assert main([*argv, "--resume"]) == 0
    assert "complete already" in capsys.readouterr().err
