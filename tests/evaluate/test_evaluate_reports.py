"""Reports and the command: bad samples are named and counted, files are whole, plots only with their library."""

import json
import sys

import numpy as np
import pytest
from small_dataset import limbs, write_dataset, write_predictions

from monocap.cli import main
from monocap.errors import InputError
from monocap.evaluate.program import EvaluateOptions, evaluate, open_data
from monocap.evaluate.scoring import Scene, runs


@pytest.fixture
def damaged(tmp_path, walkers):
    """18 samples of which four are bad in four ways."""
    folder = write_dataset(tmp_path / "bad", walkers)
    content = json.loads((folder / "samples.json").read_text())
    samples = content["samples"]
    samples[1]["image"] = "absent.png"
    samples[3]["joints3d"][5][1] = None
    samples[3]["joints3d_valid"] = [True] * 55
    samples[5]["joints3d"] = (1000 * np.array(samples[5]["joints3d"])).tolist()
    samples[7]["box"] = [900, 900, 950, 980]
    samples[7]["image_size"] = [320, 240]
    (folder / "samples.json").write_text(json.dumps(content))
    return folder


def test_bad_samples_are_named_and_counted(damaged, walkers, tmp_path):
    path = write_predictions(tmp_path / "p.npz", joints=limbs(walkers))
    done = evaluate(EvaluateOptions(str(path), "limbs-12", damaged, tmp_path / "out", gallery=0))
    data = done.report["data"]
    assert data["read"] == 18
    assert data["compared"] == 15  # predictions need no pictures: the missing one does not matter
    assert data["skipped"] == 3
    assert set(data["problems"]) == {"nan", "units", "box"}
    page = (tmp_path / "out" / "report.md").read_text()
    for name in ("walk0/000003", "walk0/000005", "walk1/000001"):
        assert name in page
    assert "15 of 18 samples compared, 3 skipped" in page
    # the rows of the file still belong to the right samples
    assert done.report["rows"][0]["metrics"]["mpjpe"]["mean"] == pytest.approx(0, abs=1e-3)


def test_strict_stops_at_the_first(damaged, walkers, tmp_path):
    path = write_predictions(tmp_path / "p.npz", joints=limbs(walkers))
    with pytest.raises(InputError, match="walk0/000003"):
        evaluate(EvaluateOptions(str(path), "limbs-12", damaged, tmp_path / "out", strict=True))
    assert not (tmp_path / "out").exists()


def test_only_the_protocols_subjects(dataset, walkers, tmp_path):
    content = json.loads((dataset / "samples.json").read_text())
    for sample in content["samples"][:6]:
        sample["subject"] = "S1"
    names = content["skeleton"]
    assert names == "smplx55"
    folder = tmp_path / "subjects"
    folder.mkdir()
    (folder / "samples.json").write_text(json.dumps(content))
    wanted = {"root": "pelvis", "thorax": "neck"}
    from monocap.evaluate import protocols
    from monocap.skeletons import get

    protocol = protocols.get("h36m-p1")
    known = [n for n in protocol.joints if wanted.get(n, n) in get("smplx55").joint_names and n != "head"]
    assert len(known) == 13
    path = write_predictions(tmp_path / "p.npz", joints=limbs(walkers), joint_names=known[:12])
    with pytest.raises(InputError, match="needs, with joint_names"):
        evaluate(EvaluateOptions(str(path), "h36m-p1", folder, tmp_path / "out"))
    full = np.concatenate([limbs(walkers), limbs(walkers)[:, :2]], axis=1)
    joint_names = [*protocol.joints]
    order = [
        *(limb_index(n) for n in joint_names[:12]),
        *(0, 1),  # whatever: the truth has neither Human3.6M's thorax nor its head
    ]
    path = write_predictions(tmp_path / "q.npz", joints=full[:, order], joint_names=joint_names)
    report = evaluate(EvaluateOptions(str(path), "h36m-p1", folder, tmp_path / "out")).report
    assert report["data"]["not_of_protocol"] == 6
    assert report["data"]["compared"] == 12
    assert any("no head" in note for note in report["data"]["notes"])
    assert report["rows"][0]["metrics"]["mpjpe"]["mean"] == pytest.approx(0, abs=1e-3)


def limb_index(name):
    from monocap.skeletons import LIMBS12

    return LIMBS12.index(name)


def test_command_line(dataset, walkers, tmp_path, capsys):
    rng = np.random.default_rng(3)
    guess = limbs(walkers) + rng.normal(0, 0.03, (18, 12, 3))
    path = write_predictions(tmp_path / "mine.npz", joints=guess, label="my method")
    out = tmp_path / "out"
    argv = ["evaluate", str(path), "--protocol", "limbs-12", "--data", str(dataset), "-o", str(out), "--json"]
    assert main(argv) == 0
    printed = json.loads(capsys.readouterr().out)
    written = json.loads((out / "report.json").read_text())
    assert printed == written
    row = written["rows"][0]
    assert row["label"] == "my method"
    low, high = row["metrics"]["mpjpe"]["mean_95"]
    assert 30 < low < row["metrics"]["mpjpe"]["mean"] < high < 60
    assert len(written["samples"]) == 18
    page = (out / "report.md").read_text()
    assert "my method" in page
    assert str(tmp_path) not in page
    assert str(tmp_path) not in (out / "report.json").read_text()
    assert (out / "worst.jpg").stat().st_size > 5000
    assert main(["evaluate", "protocols"]) == 0
    assert "3dpw-j14" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "absent.npz"], "no such file"),
        (["evaluate", "capture", "--protocol", "nonsense"], "no protocol"),
        (["evaluate", "capture", "--protocol", "emdb2-world"], "motions in the world|no sample is left"),
        (["evaluate", "capture", "--limit", "0"], "--limit"),
    ],
)
def test_bad_usage_is_one_line(words, message, dataset, capsys, tmp_path):
    assert main([*words, "--data", str(dataset), "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    import re

    assert re.search(message, error[0])


def test_without_data_it_says_what_to_pass(monkeypatch):
    monkeypatch.delenv("MONOCAP_SHARED", raising=False)
    with pytest.raises(InputError, match="--data FOLDER"):
        open_data(None)


def test_plots(dataset, walkers, tmp_path, monkeypatch):
    path = write_predictions(tmp_path / "p.npz", joints=limbs(walkers) + 0.01)
    options = EvaluateOptions(str(path), "limbs-12", dataset, tmp_path / "out", gallery=0)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = evaluate(options)
    assert any("monocap[evaluate]" in warning for warning in done.warnings)
    assert {p.name for p in done.written} == {"report.json", "report.md"}
    monkeypatch.undo()
    pytest.importorskip("matplotlib", reason="plots of reports")
    done = evaluate(options)
    assert done.warnings == []
    assert {p.name for p in done.written} == {
        "report.json", "report.md", "by_joint.png", "by_sequence.png", "spread.png"
    }  # fmt: skip
    assert all(p.stat().st_size > 3000 for p in done.written if p.suffix == ".png")


def test_runs_in_time():
    sequence = np.array(["a"] * 6 + ["b"] * 3)
    frame = np.array([4, 0, 2, 6, 14, 16, 1, 1, 3])
    nothing = np.zeros((9, 4))
    found = runs(Scene(sequence, frame, nothing, nothing, nothing[:, 0]))
    assert [run.tolist() for run in found] == [[1, 2, 0, 3], [4, 5]]
