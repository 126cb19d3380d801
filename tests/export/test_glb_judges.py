"""GLB files before judges that nobody here wrote: Khronos' validator, and three.js playing the animation."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from glb_reader import Glb
from tiny_body import tiny_body, tiny_motion

from monocap.export.glb import write_glb

JUDGE = Path(__file__).resolve().parents[2] / "tools" / "judge_glb"


def judge(path: Path, times: list[float]) -> dict[str, Any]:
    if not shutil.which("node") or not (JUDGE / "node_modules").is_dir():
        reason = "needs node, and `npm ci --prefix tools/judge_glb` once; in CI, MONOCAP_JUDGES=absent goes without"
        if os.environ.get("CI") and os.environ.get("MONOCAP_JUDGES") != "absent":
            pytest.fail(reason)
        pytest.skip(reason)
    command = ["node", "judge.mjs", str(path.resolve()), *map(str, times)]
    done = subprocess.run(command, cwd=JUDGE, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("people", "frames", "textured"), [(2, 7, True), (1, 1, False), (0, 3, False)])
def test_valid_and_played_as_captured(
    people: int, frames: int, textured: bool, rng: np.random.Generator, tmp_path: Path
) -> None:
    body = tiny_body(rng)
    motion = tiny_motion(body, rng, people=people, frames=frames)
    texture = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8) if textured else None
    write_glb(tmp_path / "a.glb", motion, body, texture=texture)
    report = judge(tmp_path / "a.glb", motion.time.tolist())
    assert report["validator"]["errors"] == 0, report["validator"]["messages"]
    assert report["validator"]["warnings"] == 0, report["validator"]["messages"]
    for t, played in enumerate(report["times"]):
        assert len(played["people"]) == people
        for p, person in enumerate(played["people"]):
            if motion.valid[p, t]:
                T_world_camera = motion.T_world_camera[t]
                expected = motion.joints[p, t] @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]
                assert np.abs(np.array(person["joints"]) - expected).max() < 1e-3
                skin = Glb(tmp_path / "a.glb").skinned(p, motion.time[t])
                np.testing.assert_allclose([person["low"], person["high"]], [skin.min(0), skin.max(0)], atol=1e-3)


def test_the_judge_finds_faults(rng: np.random.Generator, tmp_path: Path) -> None:
    body = tiny_body(rng)
    write_glb(tmp_path / "a.glb", tiny_motion(body, rng), body)
    assert judge(tmp_path / "a.glb", [])["validator"]["errors"] == 0
    raw = (tmp_path / "a.glb").read_bytes()
    assert raw.count(b'"skin":1') == 1
    (tmp_path / "b.glb").write_bytes(raw.replace(b'"skin":1', b'"skin":7'))
    report = judge(tmp_path / "b.glb", [])
    assert report["validator"]["errors"] > 0
    assert "three" in report
