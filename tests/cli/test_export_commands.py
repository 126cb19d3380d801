"""``monocap export`` and ``monocap view``: the files that were asked for, or one line that says why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_body import tiny_body, tiny_motion

from monocap.cli import main
from monocap.data.mocap.bvh import read_bvh


@pytest.fixture
def folder(rng: np.random.Generator, tmp_path: Path) -> Path:
    motion = tiny_motion(tiny_body(rng), rng)
    motion.save(tmp_path / "two.npz")
    replace(motion, valid=motion.valid & np.array([[True], [False]])).save(tmp_path / "one.npz")
    replace(motion, valid=np.zeros_like(motion.valid)).save(tmp_path / "nobody.npz")
    replace(motion, body_model="SMPLX_NEUTRAL").save(tmp_path / "official.npz")
    replace(motion, body_model="../secret.npz").save(tmp_path / "stranger.npz")
    return tmp_path


def export(folder: Path, name: str, to: str, out: str, *more: str) -> int:
    return main(["export", str(folder / f"{name}.npz"), "--to", to, "-o", str(folder / "out" / out), *more])


def made(folder: Path) -> list[str]:
    out = folder / "out"
    return sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) if out.exists() else []


def test_every_format_is_written(folder: Path) -> None:
    for to, out in (("glb", "a.glb"), ("json", "a.jsonl"), ("bvh", "a.bvh"), ("vrma", "a.vrma"), ("amass", "a.npz")):
        assert export(folder, "two", to, out) == 0
    assert export(folder, "two", "obj", "a.obj", "--every", "6") == 0
    each = [f"a_{n}.{suffix}" for n in ("01", "04") for suffix in ("bvh", "npz", "vrma")]
    meshes = [f"a/obj_{n}/frame_00000{t}.obj" for n in ("01", "04") for t in (0, 6)]
    assert made(folder) == sorted(["a.glb", "a.jsonl", *each, *meshes])


def test_one_person_is_one_file(folder: Path) -> None:
    assert export(folder, "one", "bvh", "a.bvh", "--fps", "50") == 0
    assert export(folder, "two", "vrma", "b.vrma", "--person", "4") == 0
    assert made(folder) == ["a.bvh", "b.vrma"]
    assert read_bvh(folder / "out" / "a.bvh").fps == pytest.approx(50)


@pytest.mark.parametrize(
    ("name", "to", "more", "line"),
    [
        ("two", "fbx", [], "FBX is not written"),
        ("two", "usd", [], "expected one of glb, bvh"),
        ("two", "bvh", ["--person", "2"], "there is no person 2 in this motion; it has 1, 4"),
        ("two", "json", ["--fps", "10"], "json holds the motion's own frames"),
        ("two", "glb", ["--every", "2"], "only OBJ sequences"),
        ("two", "bvh", ["--fps", "-1"], "frames per second"),
        ("nobody", "bvh", [], "nobody is seen"),
        ("official", "glb", [], "give its file with --body"),
        ("stranger", "glb", [], "give its file with --body"),
        ("absent", "glb", [], "no such file"),
    ],
)
def test_what_cannot_be_is_one_line(
    folder: Path, name: str, to: str, more: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(folder, name, to, "a.x", *more) == 2
    told = capsys.readouterr().err.strip()
    assert line in told
    assert "\n" not in told
    assert made(folder) == []


def test_formats_without_a_body_need_none(folder: Path) -> None:
    assert export(folder, "official", "amass", "a.npz", "--person", "1") == 0
    assert export(folder, "official", "json", "a.jsonl") == 0
    assert export(folder, "official", "bvh", "a.bvh", "--body", "open", "--person", "1") == 0


def test_nobody_is_an_empty_file_where_that_can_be(folder: Path) -> None:
    assert export(folder, "nobody", "glb", "a.glb") == 0
    assert export(folder, "nobody", "json", "a.jsonl") == 0
    assert main(["view", str(folder / "nobody.npz"), "-o", str(folder / "out" / "a.html")]) == 0
    assert made(folder) == ["a.glb", "a.html", "a.jsonl"]
    assert main(["view", str(folder / "two.npz")]) == 0
    assert (folder / "two.html").is_file()
