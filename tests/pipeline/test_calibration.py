"""A calibrated camera from our JSON and from OpenCV's own files, and what is none."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from monocap.errors import InputError
from monocap.pipeline.calibration import read_camera
from monocap.pipeline.settings import CaptureSettings
from monocap.types import Camera

TRUE = Camera(900.0, 905.0, 322.0, 238.0, 640, 480)


@pytest.mark.parametrize("suffix", ["yml", "yaml", "xml", "json", "npz"])
@pytest.mark.parametrize("bent", [False, True])
def test_opencv_files(suffix: str, bent: bool, tmp_path: Path) -> None:
    path, lens = tmp_path / f"ü a.{suffix}", np.array([[0.1 * bent, 0, 0, 0, 0]])
    if suffix == "npz":
        np.savez(path, mtx=TRUE.K, dist=lens, image_size=[640, 480])
    else:
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
        for name, value in (("image_width", 640), ("image_height", 480)):
            storage.write(name, value)
        storage.write("camera_matrix", TRUE.K)
        storage.write("distortion_coefficients", lens)
        storage.release()
    assert read_camera(path) == (TRUE, bent)


def test_our_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for values in (
        {"fx": 900, "fy": 905, "cx": 322, "cy": 238, "width": 640, "height": 480},
        {"K": TRUE.K.tolist(), "width": 640, "height": 480},
        {"K": TRUE.K.ravel().tolist(), "image_size": [640, 480]},
    ):
        path.write_text(json.dumps(values))
        assert read_camera(path) == (TRUE, False)


@pytest.mark.parametrize(
    "text",
    [
        "", "hello", "{}", "[1]", "null", "[" * 5000, "%YAML:1.0\n---\n a: [", "<a>",
        '{"fx":NaN,"fy":1,"cx":1,"cy":1,"width":5,"height":5}', '{"fx":-1,"fy":1,"cx":1,"cy":1,"width":5,"height":5}',
        '{"K":[1,2],"width":5,"height":5}', '{"fx":"wide","fy":1,"cx":1,"cy":1,"width":5,"height":5}',
        '{"fx":9,"fy":9,"cx":2,"cy":2}', '{"fx":9,"fy":9,"cx":900,"cy":2,"width":5,"height":5}',
    ],
)  # fmt: skip
def test_no_camera_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError) as caught:
        read_camera(tmp_path / "a.json")
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)


def test_missing_or_much_too_long(tmp_path: Path) -> None:
    (tmp_path / "long.json").write_bytes(b" " * 2_000_000)
    for name in ("no.json", "long.json", "no.npz"):
        with pytest.raises(InputError):
            read_camera(tmp_path / name)


def test_it_follows_the_size_of_the_picture_but_not_its_shape() -> None:
    settings = CaptureSettings(intrinsics=TRUE)
    assert settings.camera(640, 480, 1234.0) == (TRUE, "given")
    double, _ = settings.camera(1280, 960)
    assert (double.fx, double.fy) == (1800, 1810)
    assert (double.cx, double.cy) == (644.5, 476.5)  # pixel centres: (322 + 0.5) · 2 - 0.5
    with pytest.raises(InputError, match="the same shape"):
        settings.camera(480, 640)
    with pytest.raises(InputError, match="at most one"):
        CaptureSettings(intrinsics=TRUE, fov=60)
