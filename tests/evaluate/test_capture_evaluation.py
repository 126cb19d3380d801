"""Our capture on real pictures with truth: one command, every picture reported, before and after the fit."""

import json
from pathlib import Path

import numpy as np
import pytest

from monocap.cli import main


@pytest.mark.slow
def test_real_pictures_in_one_command(shared, tmp_path, monkeypatch, capsys):
    data = shared("reference/real3d_dev")
    monkeypatch.setenv("MONOCAP_SHARED", str(data.parents[1]))
    out = tmp_path / "out"
    assert main(["evaluate", "capture", "--protocol", "limbs-12", "-o", str(out), "--gallery", "4"]) == 0
    report = json.loads((out / "report.json").read_text())
    before, after = report["rows"]
    assert report["data"]["compared"] == report["data"]["read"] == len(report["samples"]) == 8
    assert before["found"] == after["found"] == 8
    values = [sample["values"][before["label"]]["pa_mpjpe"] for sample in report["samples"]]
    # The network alone was measured with another search for the person: 87 87 110 59 72 119 145 289 mm.
    np.testing.assert_allclose(np.median(values), 98.5, atol=15)
    assert 40 < after["metrics"]["pa_mpjpe"]["median"] < 85
    assert after["metrics"]["pa_mpjpe"]["mean"] < 0.85 * before["metrics"]["pa_mpjpe"]["mean"]
    page = (out / "report.md").read_text()
    assert all(sample["picture"] in page for sample in report["samples"])
    assert (out / "worst.jpg").stat().st_size > 20_000
    assert "after the fit" in capsys.readouterr().out


def test_a_picture_that_is_damaged_is_named(shared, tmp_path):
    """Three pictures of which one is cut off: the other two are judged."""
    source = shared("reference/real3d_dev")
    entries = json.loads((source / "annotations.json").read_text())[:2]
    (tmp_path / "data").mkdir()
    for entry in entries:
        (tmp_path / "data" / entry["image"]).write_bytes((source / entry["image"]).read_bytes())
    cut = dict(entries[0], image="S1_cut.jpg")
    (tmp_path / "data" / cut["image"]).write_bytes((source / entries[0]["image"]).read_bytes()[:3000])
    (tmp_path / "data" / "annotations.json").write_text(json.dumps([*entries, cut]))
    argv = ["evaluate", "capture", "--data", str(tmp_path / "data"), "--preset", "fast", "-o", str(tmp_path / "out")]
    assert main([*argv, "--gallery", "0", "--camera", "default"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["data"]["compared"] == 2
    assert "--camera default" in report["command"]
    assert any("intrinsics were not used" in note for note in report["rows"][1]["notes"])
    assert report["data"]["problems"] == {"bad-picture": 1}
    assert main([*argv, "--strict"]) == 2


@pytest.mark.slow
def test_what_a_network_says_and_what_it_does_for_the_fit(shared, tmp_path, monkeypatch, capsys):
    """One command each: the network alone, and as the start of the fit; the fit is better than a network that knows
    nothing."""
    pytest.importorskip("onnx")
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "pipeline"))
    from toy_regressor import write_toy

    source = shared("reference/real3d_dev")
    entries = json.loads((source / "annotations.json").read_text())[:1]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / entries[0]["image"]).write_bytes((source / entries[0]["image"]).read_bytes())
    (tmp_path / "data" / "annotations.json").write_text(json.dumps(entries))
    toy = str(write_toy(tmp_path / "toy.onnx"))
    common = ["--data", str(tmp_path / "data"), "--preset", "fast", "--gallery", "0", "--weights", toy]
    assert main(["evaluate", "regress", *common, "--engine", "hmr", "-o", str(tmp_path / "said")]) == 0
    assert main(["evaluate", "capture", *common, "--engine", "smpler", "-o", str(tmp_path / "both")]) == 0
    said, both = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("said", "both"))
    assert [row["label"] for row in said["rows"]] == ["keypoint network, before the fit", "hmr, nothing fitted"]
    assert [row["label"] for row in both["rows"]][1:] == ["smpler, nothing fitted", "after the fit"]
    alone, fitted = (row["metrics"]["pa_mpjpe"]["mean"] for row in both["rows"][1:])
    assert alone == pytest.approx(said["rows"][1]["metrics"]["pa_mpjpe"]["mean"], rel=1e-6)
    assert fitted < 0.7 * alone
    assert "--engine smpler --weights toy.onnx" in both["command"]
    capsys.readouterr()
    assert main(["evaluate", "capture", *common, "-o", str(tmp_path / "none")]) == 2
    assert "give an engine" in capsys.readouterr().err
