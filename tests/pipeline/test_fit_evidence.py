"""Scans, masks and depth maps of pictures: found by name, checked, and of use to the fit."""

import json

import numpy as np
import pytest

from monocap import Motion, load_body
from monocap.cli import main
from monocap.errors import InputError
from monocap.media.pictures import write_image
from monocap.pipeline.keypoint_fit.evidence import Evidence
from monocap.priors.gmm import PoseMixture

SIZE, FOCAL = (640, 480), 700.0


def test_files_by_the_pictures_names(tmp_path, rng):
    for name in ("scans", "masks", "depths"):
        (tmp_path / name).mkdir()
    points = rng.normal(0, 1, (300, 3))
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in points * 1000]
    (tmp_path / "scans" / "01_scan.obj").write_text("\n".join(lines))
    np.savez(tmp_path / "scans" / "02_img.npz", points=points * 1000)
    mask = np.zeros((480, 640, 3), np.uint8)
    mask[100:200, 50:90] = 255
    write_image(tmp_path / "masks" / "02_img.png", mask)
    np.savez(tmp_path / "depths" / "01_img.npz", depth=np.full((480, 640), 2.0))
    evidence = Evidence(tmp_path / "scans", tmp_path / "masks", tmp_path / "depths", "mm")
    found = evidence.of(["01_img", "02_img"], [SIZE, SIZE])
    np.testing.assert_allclose(found["scans"][0], points, atol=1e-6)
    np.testing.assert_allclose(found["scans"][1], points)
    assert found["masks"][0] is None
    np.testing.assert_array_equal(found["masks"][1], mask[..., 0] > 0)
    assert found["depths"][0].shape == (480, 640)
    assert found["depths"][1] is None
    assert len(evidence.files) == 4


@pytest.mark.parametrize(
    ("what", "content", "told"),
    [
        ("scan", {"points": np.zeros((9, 3))}, "at least 50"),
        ("scan", {"x": np.zeros((90, 3))}, "lacks points"),
        ("depth", {"depth": np.zeros((5, 5))}, "480, 640"),
        ("mask", {"mask": np.zeros(7)}, "shape"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, what, content, told):
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(InputError, match=told) as error:
        Evidence(**{what: tmp_path / "a.npz"}).of(["a"], [SIZE])
    assert "a.npz" in str(error.value)


def test_absent_evidence(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Evidence(scan=tmp_path / "absent")
    np.savez(tmp_path / "b.npz", depth=np.zeros((480, 640)))
    with pytest.raises(InputError, match="called as the pictures"):
        Evidence(depth=tmp_path).of(["a"], [SIZE])


def test_a_scan_tells_the_shape(tmp_path):
    body = load_body("open").with_betas(10)
    given = {
        "body_pose": PoseMixture.load().mean[:63],
        "global_orient": np.array([3.0, 0.3, 0.0]),
        "transl": np.array([0.1, 0.2, 3.2]),
        "betas": np.array([1.5, -1.5, 1.0, 0, 0, 0, 0, 0, 0, 0]),
    }
    vertices = np.asarray(body(**given).vertices, np.float64)
    points = np.asarray(body.keypoints("openpose25", **given), np.float64)
    pixels = points[:, :2] / points[:, 2:] * FOCAL + [319.5, 239.5]
    rows = np.column_stack([pixels, np.full(25, 0.9)])
    (tmp_path / "a.json").write_text(json.dumps({"people": [{"pose_keypoints_2d": rows.ravel().tolist()}]}))
    np.savez(tmp_path / "a.npz", points=vertices[::3])
    errors = []
    for k, extra in enumerate(([], ["--scan", str(tmp_path / "a.npz")])):
        out = tmp_path / f"out{k}"
        options = ["--size", "640x480", "--focal", str(FOCAL), "--formats", "npz", "-o", str(out)]
        assert main(["fit", str(tmp_path / "a.json"), *options, *extra]) == 0
        motion = Motion.load(out / "a.npz")
        params = {name: value if name == "betas" else value[0] for name, value in motion.params(0).asdict().items()}
        params["betas"] = params["betas"][:10]
        errors.append(np.linalg.norm(np.asarray(body(**params).vertices) - vertices, axis=1).mean())
    assert errors[1] < 0.02
    assert errors[1] < 0.5 * errors[0]
    report = json.loads((tmp_path / "out1" / "report.json").read_text())
    assert "scan" in report["fits"][0]["people"][0]["energies"]
    assert report["settings"]["evidence"]["scan"] == "a.npz"
