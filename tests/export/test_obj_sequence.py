"""Folders of OBJ: the frames where the person is, the body's own mesh in the world, disk use bounded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_body import tiny_body, tiny_motion

from monocap.bodies import BodyModel, load_body
from monocap.errors import InputError
from monocap.export import obj_sequence
from monocap.export.obj_sequence import obj_every, write_obj_sequence
from monocap.types import Motion


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


@pytest.fixture
def motion(rng: np.random.Generator) -> Motion:
    return tiny_motion(tiny_body(rng), rng)


def vertices(path: Path) -> np.ndarray:
    rows = [line.split()[1:] for line in path.read_text().splitlines() if line.startswith("v ")]
    return np.array(rows, dtype=float)


def test_frames_are_the_posed_body_in_the_world(body: BodyModel, motion: Motion, tmp_path: Path) -> None:
    written = write_obj_sequence(tmp_path / "obj_04", motion, body, 1, every=2)
    assert [path.name for path in written] == ["frame_000000.obj", "frame_000004.obj", "frame_000006.obj"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["obj_04"]
    for path in written[:2]:
        t = int(path.stem[-6:])
        one = {k: v if k == "betas" else v[t] for k, v in motion.params(1).asdict().items()}
        T = motion.T_world_camera[t]
        np.testing.assert_allclose(vertices(path), body(**one).vertices @ T[:3, :3].T + T[:3, 3], atol=1e-5)
    again = write_obj_sequence(tmp_path / "obj_04", motion, body, 1, every=6)
    assert [p.name for p in sorted((tmp_path / "obj_04").iterdir())] == [p.name for p in again]


def test_disk_use_is_told_and_bounded(
    body: BodyModel, motion: Motion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, files, size = obj_every(motion, body, [0, 1])
    assert (step, files) == (1, 12)
    one = write_obj_sequence(tmp_path / "obj_01", motion, body, 0, every=6)
    assert sum(p.stat().st_size for p in one) * 6 == pytest.approx(size, rel=0.05)
    monkeypatch.setattr(obj_sequence, "MAX_BYTES", size // 3)
    assert obj_every(motion, body, [0, 1])[0] >= 3
    monkeypatch.setattr(obj_sequence, "_KEPT_FREE", 1 << 60)
    with pytest.raises(InputError, match="more than the disk has"):
        write_obj_sequence(tmp_path / "obj_09", motion, body, 0)


def test_a_folder_with_other_things_is_left_alone(body: BodyModel, motion: Motion, tmp_path: Path) -> None:
    (tmp_path / "obj_01").mkdir()
    (tmp_path / "obj_01" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="other things"):
        write_obj_sequence(tmp_path / "obj_01", motion, body, 0)
    assert (tmp_path / "obj_01" / "thesis.txt").read_text() == "mine"
    with pytest.raises(InputError, match="every 0"):
        write_obj_sequence(tmp_path / "x", replace(motion), body, 0, every=0)
