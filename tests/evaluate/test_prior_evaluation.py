"""``monocap evaluate prior``: its measures on cases with a known answer, and the whole on a small corpus."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from monocap import skeletons
from monocap.bodies import load_body
from monocap.cli import main
from monocap.errors import InputError
from monocap.evaluate.prior import (
    PriorEvaluationOptions,
    area_under_curve,
    body_errors,
    evaluate_prior,
    limb_swapped,
    principal_components,
)
from monocap.evaluate.prior_report import prior_markdown, samples_sheet, write_prior_report
from monocap.files import write_npz
from monocap.priors.gaussian import PoseGaussian
from monocap.priors.limits import PoseLimits

NAMES = skeletons.get("smplx55").joint_names[1:22]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Poses drawn from the shipped Gaussian: human enough to be told from spoilt ones."""
    folder, rng = tmp_path_factory.mktemp("poses"), np.random.default_rng(8)
    for split, count in (("train", 300), ("test", 160), ("extreme", 150)):
        pose = PoseGaussian.load().sample(count, rng) * (1.2 if split == "extreme" else 1.0)
        text = {name: np.full(count, split) for name in ("subject", "clip", "split")}
        arrays = {"body_pose": pose.astype(np.float32), "kind": np.full(count, "captured"), **text}
        write_npz(folder / f"{split}-00.npz", arrays)
    return folder


def test_area_under_curve(rng: np.random.Generator) -> None:
    assert area_under_curve(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1.0
    assert area_under_curve(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 0.0
    real, spoilt = rng.integers(0, 6, 40).astype(float), rng.integers(2, 8, 30).astype(float)
    pairs = spoilt[:, None] - real[None]
    assert area_under_curve(real, spoilt) == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))


def test_principal_components_are_exact_where_they_suffice(rng: np.random.Generator) -> None:
    pose = rng.normal(size=(100, 5)) @ rng.normal(size=(5, 63)) + 0.3
    np.testing.assert_allclose(principal_components(pose, 5)(pose), pose, atol=1e-10)
    worse = np.abs(principal_components(pose, 3)(pose) - pose).mean()
    assert worse > 0.1


def test_body_errors_are_distances_of_joints() -> None:
    body, pose = load_body("open"), np.zeros((1, 63))
    bent = pose.reshape(1, 21, 3).copy()
    bent[0, NAMES.index("left_elbow"), 1] = -np.pi / 2
    joints, skin = body_errors(body, pose, bent.reshape(1, 63))
    elbow, wrist = (list(body.joint_names).index(f"left_{name}") for name in ("elbow", "wrist"))
    forearm = np.linalg.norm(body.J_template[wrist] - body.J_template[elbow])
    assert joints[0] == pytest.approx(np.sqrt(2) * forearm / 21, rel=0.02)  # only the wrist moves, across a right angle
    assert 0 < skin[0] < np.sqrt(2) * 2 * forearm
    assert body_errors(body, bent.reshape(1, 63), bent.reshape(1, 63))[0].max() == 0


def test_limb_swapped_poses_are_of_other_peoples_limbs(rng: np.random.Generator) -> None:
    pose = rng.normal(0, 0.3, (50, 63))
    spoilt = limb_swapped(pose, rng).reshape(50, 21, 3)
    changed = (spoilt != pose.reshape(50, 21, 3)).any(-1)
    assert not changed[:, [NAMES.index(name) for name in ("spine1", "neck", "head")]].any()
    assert set(changed.sum(1)) <= {4, 8, 0}  # an arm and a leg; a permutation may hit the pose itself
    assert changed.sum(1).mean() > 7
    left, right = NAMES.index("left_knee"), NAMES.index("right_knee")
    for i in np.flatnonzero(changed[:, left])[:5]:
        source = pose.reshape(50, 21, 3)[:, right] * [1, -1, -1]
        assert np.abs(source - spoilt[i, left]).sum(axis=1).min() < 1e-12


def test_whole_evaluation(corpus: Path, tmp_path: Path) -> None:
    options = PriorEvaluationOptions(corpus, tmp_path, samples=60, poses=140)
    done = evaluate_prior(options)
    report = done.report
    assert report["poses"] == {"learned": 300, "test": 140, "extreme": 140}
    for split in ("test", "extreme"):
        for model in ("VPoser", "PCA 32", "tokenizer"):
            mean = 1000 * done.errors[split][model].mean()
            assert report["reconstruction"][split][model]["joint_mm"] == pytest.approx(mean)
    test, extreme = (report["reconstruction"][name]["VPoser"]["joint_mm"] for name in ("test", "extreme"))
    assert 0 < test < extreme
    rows = report["separation"]
    assert rows["over-rotated"]["L2"] > 0.8
    assert rows["random within limits"]["limits"] <= 0.5  # nothing random within the limits is beyond them
    assert rows["random within limits"]["VPoser"] > 0.9
    made = done.samples["VPoser"]
    share = (PoseLimits.load().excess(made) > 0).mean()
    assert report["samples"]["VPoser"]["joints"] == pytest.approx(float(share))
    assert done.code_counts.sum() == 140 * 40
    written, _ = write_prior_report(tmp_path, done, sheet=2)
    assert {path.name for path in written} >= {"report.json", "report.md", "samples_vposer.jpg", "samples_gmm.jpg"}
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(json.dumps(report))
    page = prior_markdown(report, [])
    assert f"| VPoser | {test:.1f} |" in page
    assert "--data " + corpus.name in page
    assert str(corpus.parent) not in page


def test_sheet_shows_a_body_in_every_tile() -> None:
    sheet = samples_sheet(np.zeros((3, 63)), columns=2)
    assert sheet.shape == (400, 300, 3)
    assert (sheet[200:, 150:] == 255).all()  # the fourth place stays empty
    for tile in (sheet[:200, :150], sheet[:200, 150:], sheet[200:, :150]):
        assert 0.02 < (tile.max(axis=2) < 160).mean() < 0.4


def test_bad_input(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "prior"]) == 2
    assert "--data" in capsys.readouterr().err
    assert main(["evaluate", "prior", "--data", str(tmp_path)]) == 2
    assert "no .npz shards" in capsys.readouterr().err
    with pytest.raises(InputError, match="poses is 3"):
        evaluate_prior(PriorEvaluationOptions(corpus, poses=3))
    few = {"body_pose": np.zeros((5, 63)), **{n: np.full(5, "train") for n in ("subject", "clip", "split")}}
    write_npz(tmp_path / "train-00.npz", few)
    with pytest.raises(InputError, match="5 poses captured"):
        evaluate_prior(PriorEvaluationOptions(tmp_path))
