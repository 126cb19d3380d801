"""The wrong camera: true bodies fit their 2D under the right one only; thresholds and the study follow from that."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from monocap.bodies import load_body
from monocap.cli import main
from monocap.data.dataset import Collection, Part
from monocap.data.sample import DatasetInfo, Sample
from monocap.data.tals_thresholds import read_tals_thresholds
from monocap.errors import InputError
from monocap.evaluate import camera_bias, tals
from monocap.evaluate.camera_bias import BiasOptions, pck, study, summary
from monocap.evaluate.camera_bias_report import write_bias_report
from monocap.evaluate.tals import TalsOptions, derive
from monocap.evaluate.wrong_camera import (
    POINTS,
    ROOT,
    Fits,
    Seen,
    best_camera,
    pelvis_camera,
    seen,
    straightened,
    under,
)
from monocap.geometry.cameras import project
from monocap.priors.gaussian import PoseGaussian
from monocap.types import Array, BodyParams

INFO = DatasetInfo("made", "CC0", "here", "smplx127")
SKELETON = "smplx127"


def sample(number: int, focal: float = 900.0, distance: float = 3.0, aside: float = 0.0) -> Sample:
    """A standing person in an everyday pose, ``distance`` m ahead and ``aside`` m to the right."""
    rng = np.random.default_rng(number)
    body, prior = load_body("open"), PoseGaussian.load()
    pose = prior.mean + 0.7 * np.linalg.cholesky(prior.covariance) @ rng.standard_normal(63)
    params = BodyParams(
        betas=0.5 * rng.standard_normal(10),
        global_orient=np.array([np.pi, 0.0, 0.0]) + rng.normal(0, 0.1, 3),
        body_pose=pose,
        transl=np.array([aside, 0.3, distance]),
    )
    joints = np.asarray(body.keypoints(SKELETON, **params.asdict()), np.float64)
    K = np.array([[focal, 0, 639.5], [0, focal, 359.5], [0, 0, 1.0]])
    flat = project(joints, K)
    low, high = flat.min(axis=0), flat.max(axis=0)
    return Sample(
        info=INFO, image_size=(1280, 720), box_center=(low + high) / 2, box_size=high - low, K=K, joints3d=joints,
        joints3d_valid=np.ones(len(joints), bool), skeleton3d=SKELETON, params=params, body="open", frame=number,
    )  # fmt: skip


def looked_at(one: Sample) -> Seen:
    found = seen(one)
    assert found is not None
    return found


def error(one: Seen, body: Array, camera: Array) -> float:
    return float(np.nanmean(np.linalg.norm(under(body, camera) - one.flat, axis=1)[one.known]))


@pytest.fixture(scope="module")
def fits() -> Fits:
    return Fits(load_body("open"))


def test_points_lie_in_the_crop_where_they_are_projected() -> None:
    one = looked_at(sample(0))
    assert one.known.all()
    assert np.abs(one.flat).max() < 0.55
    # the tight box of a standing body fills the crop's height
    assert np.ptp(one.flat[:, 1]) > 0.8
    assert one.focal == pytest.approx(900 / 1280)


def test_best_camera_is_best_and_exact_for_a_camera_of_its_own_kind() -> None:
    one = looked_at(sample(1))
    body = one.points - one.points[ROOT]
    true = np.array([0.8, 0.1, -0.05])
    assert best_camera(body, under(body, true), one.known) == pytest.approx(true, abs=1e-4)
    best = best_camera(body, one.flat, one.known)
    at_best = np.square(under(body, best) - one.flat).sum()
    for step in 0.003 * np.concatenate([np.eye(3), -np.eye(3)]):
        assert np.square(under(body, best + step) - one.flat).sum() > at_best
    assert error(one, body, best) <= error(one, body, pelvis_camera(one)) + 1e-9


def test_the_error_grows_with_nearness_and_with_looking_aside() -> None:
    def best_error(straight: bool, **where: float) -> float:
        one = looked_at(sample(2, **where))
        body = straightened(one) if straight else one.points - one.points[ROOT]
        return error(one, body, best_camera(body, one.flat, one.known))

    near, far = best_error(False, distance=2.6, focal=500.0), best_error(False, distance=12.0, focal=2300.0)
    assert near > 3 * far
    aside = best_error(False, distance=4.0, focal=600.0, aside=2.5)
    assert aside > 2 * best_error(True, distance=4.0, focal=600.0, aside=2.5), "seen straight, most of it goes"


def test_pelvis_camera_puts_the_pelvis_on_its_pixel() -> None:
    one = looked_at(sample(3, aside=0.8))
    flat = under(one.points - one.points[ROOT], pelvis_camera(one))
    assert flat[ROOT] == pytest.approx(one.flat[ROOT], abs=1e-4)


def test_under_the_true_camera_a_fit_stays_and_under_the_wrong_one_it_drifts(fits: Fits) -> None:
    given = sample(4, focal=600.0, distance=2.5)
    one = looked_at(given)
    (right,) = fits.right(given, one, [1e-6])
    (wrong,) = fits.wrong(given, one, [1e-6])
    assert 1000 * right.joints.mean() < 12
    assert np.nanmax(right.flat) < 0.002
    assert wrong.joints.mean() > 3 * right.joints.mean()
    assert 1000 * wrong.joints.mean() > 25


def dataset(count: int = 20) -> Collection:
    rng = np.random.default_rng(5)
    where = [(rng.uniform(600, 2000), rng.uniform(2.5, 6), rng.uniform(-1, 1)) for _ in range(count)]
    made = [sample(i, f, d, a) for i, (f, d, a) in enumerate(where)]
    return Collection(INFO, [Part("all", count, lambda: made.__getitem__)])


@pytest.fixture(scope="module")
def data() -> Collection:
    return dataset()


def test_study_and_its_report(data: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_bias, "open_data", lambda path: data)
    monkeypatch.setattr(camera_bias, "STRENGTHS", (10.0, 0.1))
    options = BiasOptions(Path("made"), tmp_path, fitted=6)
    bias = study(options)
    report = summary(options, bias)
    assert report["people"] == 20
    first = {name: row["pck"][0] for name, row in report["cameras"].items()}
    assert first["pelvis"] <= first["best"] <= 1
    assert report["cameras"]["straight"]["mean_error"] < report["cameras"]["best"]["mean_error"]
    assert sum(row["people"] for row in report["by"]["distance (m)"]) == 20
    wrong, right = report["fading"]["wrong"][-1], report["fading"]["right"][-1]
    assert wrong["mpjpe_mm"] > right["mpjpe_mm"]
    assert right["pck"][0] >= wrong["pck"][0]
    written, warnings = write_bias_report(tmp_path, bias, report)
    assert not warnings
    assert {path.name for path in written} >= {"report.json", "report.md", "pck.png", "people.png"}
    assert json.loads((tmp_path / "report.json").read_text())["people"] == 20
    text = (tmp_path / "report.md").read_text()
    assert "| true bodies under HMR 2.0b's cameras, BEDLAM | 0.66 | 0.86 |" in text
    assert "![people](people.png)" in text


def test_thresholds_are_means_and_come_back_from_their_file(
    data: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tals, "open_data", lambda path: data)
    thresholds, report = derive(TalsOptions(Path("made"), tmp_path))
    squares = []
    for i in range(len(data)):
        one = looked_at(data[i])
        body = one.points - one.points[ROOT]
        off = under(body, best_camera(body, one.flat, one.known)) - one.flat
        squares.append(np.where(one.known, np.square(off).sum(axis=1), np.nan))
    expected = np.nanmean(squares, axis=0)
    assert [thresholds.points[name] for name in POINTS] == pytest.approx(expected)
    assert 0 < thresholds.rotations["left_knee"] < np.pi
    assert report["mpjpe_mm"]["wrong"] > report["mpjpe_mm"]["right"]
    assert main(["evaluate", "tals", "--data", "made", "-o", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["people"] == 20
    back = read_tals_thresholds(tmp_path / "tals.json")
    assert back.points == pytest.approx(dict(thresholds.points), rel=1e-4)
    assert back.about["people"] == 20


def test_data_without_cameras_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = Collection(INFO, [Part("all", 1, lambda: lambda index: Sample(info=INFO))])
    for module, call in ((tals, derive), (camera_bias, study)):
        monkeypatch.setattr(module, "open_data", lambda path: bare)
        options = TalsOptions(None) if module is tals else BiasOptions(None)
        with pytest.raises(InputError, match="0 people with 3D joints, intrinsics and a box"):
            call(options)  # type: ignore[arg-type]


def test_pck_counts_what_is_seen() -> None:
    off = np.array([[[0.04, 0.0], [0.0, 0.06], [np.nan, np.nan]]])
    assert pck(off, 0.05) == pytest.approx(0.5)
