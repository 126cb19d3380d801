"""Converted weights are asked as ONNX files are: same names, same arrays, and capture's regressor takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from monocap import nets
from monocap.errors import InputError
from monocap.nets.inference import open_session
from monocap.nets.iterative import BodyOutput
from monocap.nets.network import Network, random_image
from monocap.perception.roi import Roi
from monocap.pipeline.regress.networks import open_regressor
from monocap.types import Camera


class Tiny(Network):
    """One linear map from the mean colour; its crop and size are SPIN's."""

    crop = "spin"

    def __init__(self, told: bool = False) -> None:
        super().__init__()
        self.told = told
        self.cam = nn.Linear(3, 3)

    def example(self, count: int) -> dict[str, Tensor]:
        given = {"image": random_image(count, 224, 224)}
        return given | ({"box_info": torch.randn(count, 3)} if self.told else {})

    def own_name(self, official: str) -> str | None:
        return official

    def forward(self, image: Tensor, box_info: Tensor | None = None) -> list[BodyOutput]:
        count = len(image)
        cam = self.cam(image.mean((2, 3))).abs() + (0 if box_info is None else box_info)
        rotmats = torch.eye(3).expand(count, 24, 3, 3)
        return [BodyOutput(rotmats, torch.zeros(count, 10), cam * 0), BodyOutput(rotmats, torch.zeros(count, 10), cam)]


class Deaf(Tiny):
    """Looks at features, not at pictures."""

    def example(self, count: int) -> dict[str, Tensor]:
        return {"features": torch.randn(count, 16, 8)}


@pytest.fixture(scope="module", autouse=True)
def _known() -> None:
    nets.register("tiny-for-tests", f"{__name__}:Tiny")
    nets.register("cliff-for-tests", f"{__name__}:Tiny", told=True)
    nets.register("deaf-for-tests", f"{__name__}:Deaf")


def saved(name: str, folder: Path) -> Path:
    path = folder / f"{name}.safetensors"
    nets.save(nets.build(name), path)
    return path


def test_the_last_stage_is_the_answer(tmp_path: Path) -> None:
    session = open_session(saved("tiny-for-tests", tmp_path))
    assert session.inputs == {"image": (1, 3, 224, 224)}
    image = np.random.default_rng(0).normal(size=(2, 3, 224, 224)).astype(np.float32)
    cam, rotmats = session.run(["cam", "rotmats"], {"image": image})
    assert rotmats.shape == (2, 24, 3, 3)
    assert cam.shape == (2, 3)
    assert (cam > 0).any(), "the first stage says nothing but zeros"
    with pytest.raises(InputError, match="attention"):
        session.run(["attention"], {"image": image})


def test_capture_takes_converted_weights(tmp_path: Path) -> None:
    regressor = open_regressor("hmr", saved("tiny-for-tests", tmp_path))
    assert (regressor.manner.box, regressor.manner.view, regressor.manner.shape) == ("", "crop", "smpl")
    image = np.full((120, 160, 3), 90, np.uint8)
    camera = Camera(150.0, 150.0, 79.5, 59.5, 160, 120)
    guess = regressor.estimate(image, [Roi(np.array([80.0, 60.0]), 90.0)], camera)
    assert guess.pelvis[0, 2] > 0
    told = open_regressor("hmr", saved("cliff-for-tests", tmp_path))
    assert (told.manner.box, told.manner.box_numbers, told.manner.view) == ("box_info", "cliff", "picture")


def test_networks_that_see_no_crop_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not answer to the crop"):
        open_regressor("hmr", saved("deaf-for-tests", tmp_path))
    with pytest.raises(InputError):
        open_regressor("hmr", tmp_path / "absent.safetensors")
