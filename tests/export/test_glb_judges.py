"""GLB files before judges that nobody here wrote: Khronos' validator, and three.js playing the animation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from glb_reader import Glb
from judges import judge
from tiny_body import tiny_body, tiny_motion, world_joints

from monocap.export.glb import write_glb


@pytest.mark.parametrize(("people", "frames", "textured"), [(2, 7, True), (1, 1, False), (0, 3, False)])
def test_valid_and_played_as_captured(
    people: int, frames: int, textured: bool, rng: np.random.Generator, tmp_path: Path
) -> None:
    body = tiny_body(rng)
    motion = tiny_motion(body, rng, people=people, frames=frames)
    texture = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8) if textured else None
    write_glb(tmp_path / "a.glb", motion, body, texture=texture)
    report = judge("glb", tmp_path / "a.glb", *motion.time)
    assert report["validator"]["errors"] == 0, report["validator"]["messages"]
    assert report["validator"]["warnings"] == 0, report["validator"]["messages"]
    for t, played in enumerate(report["times"]):
        assert len(played["people"]) == people
        for p, person in enumerate(played["people"]):
            if motion.valid[p, t]:
                assert np.abs(np.array(person["joints"]) - world_joints(motion, p, t)).max() < 1e-3
                skin = Glb(tmp_path / "a.glb").skinned(p, motion.time[t])
                np.testing.assert_allclose([person["low"], person["high"]], [skin.min(0), skin.max(0)], atol=1e-3)


def test_who_is_away_is_not_shown(rng: np.random.Generator, tmp_path: Path) -> None:
    body = tiny_body(rng)
    motion = tiny_motion(body, rng, frames=40)
    motion = replace(motion, time=np.arange(40) / 10.0)
    valid = np.ones((2, 40), bool)
    valid[0, :5] = valid[0, 20:30] = valid[0, 36:] = False
    valid[0, 10:13] = False  # 0.4 s between two sightings: bridged
    valid[1, 20:25] = False  # 0.6 s
    write_glb(tmp_path / "a.glb", replace(motion, valid=valid), body)
    report = judge("glb", tmp_path / "a.glb", *motion.time)
    assert report["validator"]["errors"] == 0, report["validator"]["messages"]
    seen = np.array([[person["visible"] for person in played["people"]] for played in report["times"]]).T
    valid[0, 10:13] = True
    np.testing.assert_array_equal(seen, valid)
    for t in np.flatnonzero(valid[0]).tolist():
        joints = report["times"][t]["people"][0]["joints"]
        assert np.abs(np.array(joints) - world_joints(motion, 0, t)).max() < 1e-3
    away = report["times"][25]["people"][0]
    assert np.ptp([away["low"], away["high"]], axis=0).max() < 1e-3  # a point: nothing to be seen


def test_the_judge_finds_faults(rng: np.random.Generator, tmp_path: Path) -> None:
    body = tiny_body(rng)
    write_glb(tmp_path / "a.glb", tiny_motion(body, rng), body)
    assert judge("glb", tmp_path / "a.glb")["validator"]["errors"] == 0
    raw = (tmp_path / "a.glb").read_bytes()
    assert raw.count(b'"skin":1') == 1
    (tmp_path / "b.glb").write_bytes(raw.replace(b'"skin":1', b'"skin":7'))
    report = judge("glb", tmp_path / "b.glb")
    assert report["validator"]["errors"] > 0
    assert "three" in report
