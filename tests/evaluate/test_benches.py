"""Benchmarks: each runs, says what it measured, and its figures fit together."""

import json

import pytest

from monocap.cli import main
from monocap.errors import InputError
from monocap.evaluate.bench import BenchOptions, bench
from monocap.evaluate.stopwatch import race


def test_race_takes_medians_of_all():
    calls = {"a": 0, "b": 0}

    def count(name):
        calls[name] += 1

    found = race({"a": lambda: count("a"), "b": lambda: count("b")}, repeats=3, seconds=0.0)
    assert calls == {"a": 5, "b": 5}  # one to warm up, one to time a call, three rounds
    assert all(wall >= 0 and cpu >= 0 for wall, cpu in found.values())


@pytest.mark.parametrize("name", ["kinematics", "render", "fit", "collision", "skeleton"])
def test_one_flat_object(name, capsys):
    assert main(["bench", name, "--repeats", "1", "--json"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 1
    figures = json.loads(lines[0])
    assert all(isinstance(value, int | float | str) for value in figures.values())
    times = {key: value for key, value in figures.items() if "_ms" in key}
    assert times
    assert all(value > 0 for key, value in times.items() if "wall" in key)
    if name == "kinematics":
        assert figures["batch256_reference_difference_m"] < 1e-9
        assert figures["jacobian_difference_m_per_rad"] < 1e-6
    if name == "fit":
        assert figures["video_mpjpe_mm"] < 60
    if name == "collision":
        assert figures["pairs"] > figures["pairs_after_parts"] > 50
    if name == "skeleton":
        assert figures["ours_mpjpe_mm"] < 0.6 * figures["input_mpjpe_mm"]
    if name == "render":
        assert 20_000 < figures["covered_pixels"] < 400_000


def test_bodies_beside_smplx(monkeypatch):
    monkeypatch.setattr("monocap.evaluate.bench_bodies.BATCHES", (1,))
    figures = bench("bodies", BenchOptions(repeats=1))
    assert float(figures["smplx_sized_batch1_vertices_wall_ms"]) > 0
    pytest.importorskip("smplx", reason="the peer is not installed")
    pytest.importorskip("torch", reason="smplx runs on torch")
    assert float(figures["smplx_sized_batch1_smplx_difference_m"]) < 1e-5


def test_bad_names_and_repeats():
    with pytest.raises(InputError, match="no benchmark 'speed'"):
        bench("speed")
    with pytest.raises(InputError, match="--repeats is 0"):
        bench("fit", BenchOptions(repeats=0))
