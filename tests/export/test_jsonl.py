"""JSON lines read back with nothing but json."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_body import tiny_body, tiny_motion, world_joints

from monocap.errors import InputError
from monocap.export.jsonl import write_jsonl


def test_every_number_comes_back(rng: np.random.Generator, tmp_path: Path) -> None:
    motion = tiny_motion(tiny_body(rng), rng)
    write_jsonl(tmp_path / "a.jsonl", motion)
    header, *frames = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()]
    assert header["schema"] == "monocap.motion.jsonl/1"
    assert header["joint_names"] == list(motion.joint_names)
    assert [person["track_id"] for person in header["people"]] == [1, 4]
    np.testing.assert_allclose([person["betas"] for person in header["people"]], motion.betas, atol=1e-5)
    assert header["frames"] == len(frames) == 7
    for t, row in enumerate(frames):
        assert row["time"] == pytest.approx(motion.time[t], abs=1e-6)
        np.testing.assert_allclose(row["T_world_camera"], motion.T_world_camera[t], atol=1e-6)
        seen = np.flatnonzero(motion.valid[:, t]).tolist()
        assert [person["track_id"] for person in row["people"]] == motion.track_id[seen].tolist()
        for p, person in zip(seen, row["people"], strict=True):
            for name in ("global_orient", "body_pose", "right_hand_pose", "transl", "joints"):
                np.testing.assert_allclose(person[name], getattr(motion, name)[p, t], atol=1e-5)
            np.testing.assert_allclose(person["joints_world"], world_joints(motion, p, t), atol=1e-5)


def test_one_person_nobody_and_nan(rng: np.random.Generator, tmp_path: Path) -> None:
    motion = tiny_motion(tiny_body(rng), rng)
    write_jsonl(tmp_path / "a.jsonl", motion, [1])
    header, *frames = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [person["track_id"] for person in header["people"]] == [4]
    assert [len(row["people"]) for row in frames] == [1, 1, 0, 0, 1, 1, 1]
    write_jsonl(tmp_path / "b.jsonl", tiny_motion(tiny_body(rng), rng, people=0))
    assert len((tmp_path / "b.jsonl").read_text().splitlines()) == 8
    transl = motion.transl.copy()
    transl[0, 3] = np.nan
    with pytest.raises(InputError, match="frame 3 has nan"):
        write_jsonl(tmp_path / "c.jsonl", replace(motion, transl=transl))
    assert not (tmp_path / "c.jsonl").exists()
