"""Sources above the working size: results are those of the full size, whatever was worked on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monocap.cli import main
from monocap.media import open_media, write_image
from monocap.types import Camera, Motion

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "demo.mp4"


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "walk.png"
    write_image(path, next(iter(open_media(EXAMPLE))).image)
    return path


def test_results_do_not_depend_on_the_working_size(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["capture", str(photo), "--preset", "fast", "--people", "1", "--focal", "1100", "--formats", "npz"]
    assert main([*command, "-o", str(tmp_path / "full"), "--no-overlay"]) == 0
    monkeypatch.setattr("monocap.media.readers.WORKING_PIXELS", 1280 * 720 // 4)
    assert main([*command, "-o", str(tmp_path / "half")]) == 0
    full, half = (Motion.load(tmp_path / name / "walk.npz") for name in ("full", "half"))
    assert half.image_size.tolist() == [1280, 720]
    np.testing.assert_allclose(half.K, full.K, rtol=1e-6)
    assert half.people == full.people == 1
    height = np.ptp(full.keypoints2d[0, 0, :, 1])
    gap = np.linalg.norm(half.keypoints2d[0, 0, :, :2] - full.keypoints2d[0, 0, :, :2], axis=1)
    assert np.median(gap) < 0.02 * height
    assert np.abs(half.transl - full.transl).max() < 0.15 * full.transl[0, 0, 2]
    overlay = Image.open(tmp_path / "half" / "walk.overlay.png")
    assert overlay.size == (640, 360)
    drawn = np.abs(np.asarray(overlay).astype(int) - next(iter(open_media(photo))).image).sum(axis=2) > 60
    rows, columns = np.nonzero(drawn)
    seen = half.keypoints2d[0, 0, :, :2] / 2  # the body is drawn where the keypoints are
    assert seen[:, 0].min() - 20 < np.median(columns) < seen[:, 0].max() + 20
    assert seen[:, 1].min() - 20 < np.median(rows) < seen[:, 1].max() + 20
    warnings = json.loads((tmp_path / "half" / "walk.report.json").read_text())["warnings"]
    assert any("1280 × 720" in line for line in warnings)


def test_camera_and_motion_of_another_size_project_alike(rng: np.random.Generator) -> None:
    camera = Camera(900, 905, 320.5, 201.25, 640, 400)
    double = camera.resized(1280, 800)
    assert double.resized(640, 400) == camera
    points = rng.normal(size=(20, 3)) + np.array([0, 0, 5])
    small = points[:, :2] / points[:, 2:] * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    large = points[:, :2] / points[:, 2:] * [double.fx, double.fy] + [double.cx, double.cy]
    np.testing.assert_allclose(large + 0.5, (small + 0.5) * 2)  # edges of the picture, not pixel centres, are scaled
