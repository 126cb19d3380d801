"""The pose corpus: who is in which split, what is dropped and why, balance, mirrors and recombination."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from motion_writers import bvh_text, wandering, write_amc, write_asf

from monocap.bodies import load_body
from monocap.cli import main
from monocap.data.mocap.balance import balancing_weights, near_duplicates, nearest_distance, pose_features
from monocap.data.mocap.corpus import CorpusOptions, build_corpus, corpus_limits
from monocap.data.mocap.widen import GROUPS, recombined
from monocap.data.pose_corpus import PoseCorpus, read_pose_corpus
from monocap.data.pose_statistics import train_statistics
from monocap.errors import InputError
from monocap.geometry import rotations
from monocap.media.pictures import read_picture
from monocap.priors.gaussian import PoseGaussian
from monocap.priors.gmm import PoseMixture
from monocap.priors.limits import PoseLimits, mirrored

OPTIONS = CorpusOptions(test=("05",), val=("06",), extreme=("88",), far=40.0)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Five performers, one take doubled under another folder, one broken file, a child, and a flickering take."""
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("motions")
    for subject in ("01", "02", "05", "06", "88"):
        frames = wandering(rng, 1200)
        write_asf(folder / "cmu" / subject / f"{subject}.asf")
        write_amc(folder / "cmu" / subject / f"{subject}_01.amc", frames)
        if subject == "01":
            write_asf(folder / "again" / "01.asf")
            write_amc(folder / "again" / "01_01.amc", frames)
    flicker = wandering(rng, 400)
    for number, frame in enumerate(flicker):
        frame["lhumerus"] = [150.0 * (number // 4 % 2), 0.0, 0.0]
    write_amc(folder / "cmu" / "02" / "02_02.amc", flicker)
    (folder / "5yr_old").mkdir()
    (folder / "5yr_old" / "run.bvh").write_text(bvh_text([{}] * 10))
    (folder / "cmu" / "01" / "01_02.bvh").write_text("HIERARCHY\nROOT Hips\n{\n")
    out = tmp_path_factory.mktemp("corpus")
    return out, build_corpus(folder, out, load_body("open"), OPTIONS)


def test_report_says_what_was_dropped_and_why(built: tuple[Path, dict]) -> None:
    out, report = built
    assert report == json.loads((out / "corpus.json").read_text()) | {"options": report["options"]}
    dropped = {clip["clip"]: clip["dropped"] for clip in report["clips"] if clip["dropped"]}
    assert dropped.pop("5yr_old/run").startswith("origin child")
    assert "line 3: ends without MOTION" in dropped.pop("cmu/01/01_02")
    assert dropped.pop("cmu/02/02_02") == "more than 50% of its frames jump or are anatomically impossible"
    assert dropped == {}
    assert report["clips_kept"] == 6
    assert report["minutes_kept"] == pytest.approx(6 * 10 / 60, abs=0.1)


def test_splits_hold_different_performers(built: tuple[Path, dict]) -> None:
    corpus = read_pose_corpus(built[0])
    who = {split: set(corpus.part(split).subject) for split in corpus.splits}
    assert who["train"] == {"01", "02"}
    assert who["val"] == {"06"}
    assert who["test"] == {"05"}
    assert "88" in who["extreme"]


def test_the_doubled_take_is_there_once(built: tuple[Path, dict]) -> None:
    corpus = read_pose_corpus(built[0])
    clips = {str(clip) for clip in corpus.clip}
    assert len(clips & {"again/01_01", "cmu/01/01_01"}) == 1
    captured = corpus.take(corpus.kind == "captured")
    apart = _closest(pose_features(captured.body_pose))
    assert apart.min() >= np.deg2rad(OPTIONS.duplicate) * 0.999


def _closest(features: np.ndarray) -> np.ndarray:
    squared = np.sum((features[:, None] - features) ** 2, axis=-1) if len(features) < 400 else None
    if squared is None:
        return np.array(
            [nearest_distance(features[i : i + 1], np.delete(features, i, 0))[0] for i in range(0, len(features), 7)]
        )
    np.fill_diagonal(squared, np.inf)
    return np.sqrt(squared.min(axis=1))


def test_mirror_images_and_recombined(built: tuple[Path, dict]) -> None:
    corpus = read_pose_corpus(built[0])
    test = corpus.part("test")
    np.testing.assert_allclose(
        mirrored(test.body_pose[test.kind == "captured"]), test.body_pose[test.kind == "mirrored"], atol=1e-6
    )
    assert set(test.kind) == {"captured", "mirrored"}
    train = corpus.part("train")
    real = np.count_nonzero(train.kind != "recombined")
    assert np.count_nonzero(train.kind == "recombined") == real
    assert set(train.subject[train.kind == "recombined"]) <= {"01", "02"}


def test_same_seed_same_corpus(built: tuple[Path, dict], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.bvh, \.amc"):
        build_corpus(tmp_path, tmp_path / "out", load_body("open"))
    report = train_statistics(built[0], tmp_path / "a", seed=3)
    train_statistics(built[0], tmp_path / "b", seed=3)
    for name in ("pose_limits", "pose_gaussian", "pose_mixture"):
        assert (tmp_path / "a" / f"{name}.npz").read_bytes() == (tmp_path / "b" / f"{name}.npz").read_bytes()
    limits = PoseLimits.load(tmp_path / "a" / "pose_limits.npz")
    assert PoseMixture.load(tmp_path / "a" / "pose_mixture.npz").means.shape == (8, 69)
    assert PoseGaussian.load(tmp_path / "a" / "pose_gaussian.npz").mean.shape == (63,)
    train: PoseCorpus = read_pose_corpus(built[0]).part("train")
    assert (limits.excess(train.body_pose) > 0).mean() < 0.01
    assert report["held_out"]["test"]["beyond_limits_percent"]["joints"] < 5


def test_near_duplicates_and_weights(rng: np.random.Generator) -> None:
    base = 0.4 * rng.normal(size=(40, 63))
    near = base[:10] + np.deg2rad(1.0) * rng.normal(size=(10, 63)) / np.sqrt(3)  # a degree per joint
    far = base[:10] + np.deg2rad(8.0) * rng.normal(size=(10, 63)) / np.sqrt(3)
    features = pose_features(np.concatenate([base, near, far]))
    assert list(np.flatnonzero(near_duplicates(features, np.deg2rad(3.0)))) == list(range(40, 50))
    distance = nearest_distance(features[40:50], features[:40])
    assert np.rad2deg(distance) == pytest.approx(1.0, abs=0.25)
    crowd = np.concatenate([base[:1].repeat(50, 0) + 0.01 * rng.normal(size=(50, 63)), base[1:]])
    weights = balancing_weights(pose_features(crowd))
    assert weights.mean() == pytest.approx(1.0)
    assert weights[50:].min() > 4 * weights[:50].max()


def test_recombined_limbs_are_those_of_the_sources(rng: np.random.Generator) -> None:
    poses = 0.3 * rng.normal(size=(200, 63))
    limits = corpus_limits(poses, margin=0.5)
    made, owner = recombined(poses, np.ones(200), 300, limits, rng)
    assert made.shape == (300, 63)
    assert limits.allows(made).all()
    assert sorted(i for group in GROUPS for i in group) == list(range(21))
    joints, source = made.reshape(-1, 21, 3), poses.reshape(-1, 21, 3)
    exact = np.array(
        [
            [np.any(np.all(np.abs(source[:, group] - pose[list(group)]) < 1e-6, axis=(1, 2))) for group in GROUPS]
            for pose in joints
        ]
    )
    assert 0.4 < exact.mean() < 0.6  # the other half are blends
    trunk = list(GROUPS[1])
    a = rotations.axis_angle_to_matrix(joints[:, trunk])
    b = rotations.axis_angle_to_matrix(source[owner][:, trunk])
    assert (rotations.geodesic_angle(a, b).max(axis=1) < 1e-5).mean() > 0.4


def test_commands(tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]) -> None:
    for subject in ("01", "05", "06"):
        write_asf(tmp_path / "in" / f"{subject}.asf")
        write_amc(tmp_path / "in" / f"{subject}_01.amc", wandering(rng, 900))
    out = tmp_path / "corpus"
    assert main(["data", "corpus", str(tmp_path / "in"), "-o", str(out), "--sheets", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["splits"]["train"]["captured"] > 50
    sheets = sorted((out / "sheets").glob("*.jpg"))
    assert [sheet.stem for sheet in sheets] == ["in-01_01", "in-06_01"]
    assert read_picture(sheets[0]).image.shape == (400, 900, 3)
    priors = tmp_path / "priors"
    assert main(["train", "prior", "statistics", "--data", str(out), "-o", str(priors)]) == 0
    assert "poses (captured and mirrored)" in capsys.readouterr().out
    assert PoseGaussian.load(priors / "pose_gaussian.npz").mean.shape == (63,)
    assert main(["data", "corpus", str(tmp_path / "nothing"), "-o", str(out)]) == 2
    assert "no such folder" in capsys.readouterr().err
