"""Shards: the same again from the same numbers, read by others, damage named, nothing silently missing."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from monocap.cli import main
from monocap.data import check, open_dataset
from monocap.data.synthetic import INDEX, decode, encode, read_shard
from monocap.errors import InputError
from monocap.evaluate import protocols
from monocap.evaluate.truth import gather
from monocap.synth import Sampler, ShardPlan, SynthSample, SynthSettings, read, stream, write_shards

SMALL = SynthSettings(seed=7, size=(64, 48), people=(1, 2), quality="fast")
FLAGS = ["--size", "64x48", "--people", "1-2", "--quality", "fast", "--seed", "7", "--per-shard", "2"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five samples in three shards. Copied by tests that damage them."""
    folder = tmp_path_factory.mktemp("synth")
    write_shards(ShardPlan(SMALL, 5, per_shard=2), folder, workers=0)
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    for file in made.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def _same(a: SynthSample, b: SynthSample) -> None:
    for name in ("image", "person", "part", "joints", "joints2d", "visibility", "box", "pixels", "K", "floor"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    for name, value in a.params.asdict().items():
        np.testing.assert_array_equal(value, getattr(b.params, name), err_msg=name)


def test_a_number_is_the_same_sample_in_any_order_and_process(made: Path) -> None:
    sampler = Sampler(settings=SMALL)
    backwards = {number: sampler.sample(number) for number in (4, 1, 0)}
    elsewhere = {sample.number: sample for sample in stream(SMALL, numbers=(1, 4), workers=1)}
    stored = {sample.number: sample for sample in read(made)}
    assert list(stored) == [0, 1, 2, 3, 4]
    for number, sample in backwards.items():
        _same(sample, stored[number])
    for number, sample in elsewhere.items():
        _same(sample, stored[number])
        assert json.dumps(sample.about) == json.dumps(backwards[number].about)


def test_seed_number_and_neighbours_matter() -> None:
    one, other = Sampler(settings=SMALL).sample(0), Sampler(settings=dataclasses.replace(SMALL, seed=8)).sample(0)
    assert not np.array_equal(one.params.body_pose, other.params.body_pose)
    # the concerns' streams are apart: more light or film moves no person, nor does the quality of the picture
    finer = Sampler(settings=dataclasses.replace(SMALL, quality="full")).sample(0)
    np.testing.assert_array_equal(one.params.body_pose, finer.params.body_pose)
    np.testing.assert_array_equal(one.person, finer.person)


def test_maps_survive_to_the_stated_precision() -> None:
    sample = Sampler(settings=SMALL).sample(3)
    again = decode(encode(sample))
    _same(sample, again)
    hit = np.isfinite(sample.depth)
    np.testing.assert_array_equal(np.isfinite(again.depth), hit)
    span = np.ptp(sample.depth[hit])
    np.testing.assert_allclose(again.depth[hit], sample.depth[hit], atol=span / 60_000 + 1e-5)
    np.testing.assert_allclose(again.normal, sample.normal, atol=0.5 / 127 + 1e-6)
    once, twice = encode(sample), encode(again)
    for name in ("image.png", "mask.png", "normal.png", "truth.npz"):
        assert once[name] == twice[name], name


def test_shards_do_not_depend_on_workers(made: Path, tmp_path: Path) -> None:
    write_shards(ShardPlan(SMALL, 5, per_shard=2), tmp_path, workers=2)
    for file in sorted(made.glob("*.tar")):
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # it leaves its files to the garbage collector
def test_webdataset_reads_them(made: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    files = [str(path) for path in sorted(made.glob("*.tar"))]
    rows = list(webdataset.WebDataset(files, shardshuffle=False, nodesplitter=None).decode("rgb8"))
    for row, sample in zip(rows, read(made), strict=True):
        assert row["__key__"] == sample.key
        np.testing.assert_array_equal(row["image.png"], sample.image)
        np.testing.assert_array_equal(row["mask.png"][..., 0].astype(int) - 1, sample.person)
        np.testing.assert_array_equal(row["truth.npz"]["joints"], sample.joints)
        assert row["about.json"]["number"] == sample.number
    gc.collect()


def test_damaged_and_missing_shards_are_named_and_made_again(
    made: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = sorted(copy.glob("*.tar"))
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 0x55
    first.write_bytes(content)
    second.write_bytes(second.read_bytes()[: second.stat().st_size // 2])
    third.unlink()
    with pytest.raises(InputError, match=second.name):
        list(read_shard(second))
    with pytest.raises(InputError, match=third.name):
        list(_only(copy, third))
    found = open_dataset(copy)
    assert found.name == "synth"
    assert {name for name, _ in found.unreadable} == {second.stem, third.stem}
    assert all("run the same monocap synth render again" in why for _, why in found.unreadable)
    assert main(["synth", "render", "-o", str(copy), "--count", "5", *FLAGS, "--workers", "0", "--json"]) == 0
    told = capsys.readouterr()
    summary = json.loads(told.out)
    assert set(summary["remade"]) == {first.name, second.name, third.name}
    assert all(name in told.err for name in summary["remade"])
    for file in sorted(made.glob("*.tar")):
        assert (copy / file.name).read_bytes() == file.read_bytes()


def _only(folder: Path, shard: Path) -> Iterator[SynthSample]:
    """Reading a folder whose index has this shard alone."""
    index = json.loads((folder / INDEX).read_text())
    index["shards"] = [entry for entry in index["shards"] if entry["file"] == shard.name]
    (folder / "only").mkdir()
    (folder / "only" / INDEX).write_text(json.dumps(index))
    return read(folder / "only")


def test_more_samples_keep_what_is_there(copy: Path) -> None:
    written = write_shards(ShardPlan(SMALL, 6, per_shard=2), copy, workers=0)
    assert written.kept == ["synth-00000000.tar", "synth-00000002.tar"]
    assert written.remade == [("synth-00000004.tar", "holds 1 samples, wanted are 2")]
    assert [sample.number for sample in read(copy)] == list(range(6))


def test_other_settings_are_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [*FLAGS, "--split", "test"]
    assert main(["synth", "render", "-o", str(copy), "--count", "5", *flags, "--workers", "0"]) == 2
    assert "split was train, now test" in capsys.readouterr().err


def test_a_killed_run_goes_on(made: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "monocap", "synth", "render", "-o", str(tmp_path), "--count", "400", *FLAGS]
    running = subprocess.Popen([*command, "--workers", "0"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "synth-00000000.tar").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    there = sorted(tmp_path.glob("synth-*.tar"))
    assert there
    assert main(["synth", "render", "-o", str(tmp_path), "--count", "5", *FLAGS, "--workers", "0"]) == 0
    assert not list(tmp_path.glob(".monocap-tmp-*"))
    for file in sorted(made.glob("*.tar")):
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()
    assert len(list(read(tmp_path))) == 5


def test_interruption_keeps_finished_shards(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "monocap", "synth", "render", "-o", str(tmp_path), "--count", "400", *FLAGS]
    running = subprocess.Popen([*command, "--workers", "0"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "synth-00000002.tar").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    assert b"Traceback" not in told
    assert not list(tmp_path.glob(".monocap-tmp-*"))
    assert [sample.number for sample in read(tmp_path, unfinished=True)][:2] == [0, 1]
    with pytest.raises(InputError, match="of 400 samples"):
        list(read(tmp_path))


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    def small_files() -> None:  # a file that grows beyond this is refused, as on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [sys.executable, "-m", "monocap", "synth", "render", "-o", str(tmp_path), "--count", "4", *FLAGS]
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", ""),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment = {name: value for name, value in environment.items() if value}
    done = subprocess.run(
        [*command, "--workers", "0"],
        capture_output=True,
        preexec_fn=small_files,
        env=environment,
        check=False,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("monocap:")]
    assert len(lines) == 1
    assert "File too large" in lines[0]
    assert "run the same command again" in lines[0]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.tar"))


def test_a_background_that_is_no_picture_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "backgrounds"
    folder.mkdir()
    (folder / "holiday.jpg").write_bytes(b"no picture at all")
    out = str(tmp_path / "out")
    flags = [*FLAGS, "--workers", "0", "--backgrounds", str(folder)]
    assert main(["synth", "render", "-o", out, "--count", "1", *flags]) == 2
    assert "holiday.jpg" in capsys.readouterr().err
    assert main(["synth", "render", "-o", out, "--count", "1", *FLAGS, "--backgrounds", str(tmp_path / "absent")]) == 2
    assert "absent" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--size", "7"], "expected 32 to 4096"),
        (["--size", "big"], "--size"),
        (["--people", "0-3"], "within 1-4"),
        (["--people", "some"], "--people"),
        (["--count", "0"], "count 0"),
        (["--seed", "-1"], "seed"),
        (["--start", "-5"], "start -5"),
        (["--corpus", "/nowhere/at/all"], "no such folder"),
    ],
)
def test_bad_flags_are_one_line(
    flags: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["synth", "render", "-o", str(tmp_path / "out"), *flags]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_people_become_samples_that_protocols_take(made: Path) -> None:
    dataset = open_dataset(made)
    assert len(dataset) == sum(len(sample.samples()) for sample in read(made))
    for one in dataset:
        assert check(one, decode=True) == []
        assert one.body == "open"
        assert one.params is not None
        assert one.params.body_pose.shape == (63,)
    for name in ("limbs-12", "coco-pck"):
        truth = gather(protocols.get(name), dataset, pictures=True)
        assert len(truth.samples) + truth.deselected + len(truth.problems) <= len(dataset)
        assert truth.poses.visible.any()


def test_sheets_are_written(made: Path, tmp_path: Path) -> None:
    from monocap.media.pictures import read_picture

    for drawn, columns in (("plain", 3), ("truth", 3), ("maps", 5)):
        path = tmp_path / f"{drawn}.jpg"
        assert main(["synth", "sheet", str(made), "-o", str(path), "--drawn", drawn]) == 0
        assert read_picture(path).image.shape[1] == columns * 224
    assert main(["synth", "sheet", str(tmp_path)]) == 2
