"""Khronos' validator on 200 random motions: 0 to 5 people, gaps (some without numbers), single frames, uneven times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from glb_reader import Glb
from judges import judge, need_node
from tiny_body import tiny_body, tiny_motion

from monocap.bodies import load_body
from monocap.export.glb import write_glb
from monocap.export.person import present
from monocap.export.vrma import write_vrma
from monocap.types import Motion

MOTIONS, WITH_THE_OPEN_BODY = 200, 3


def random_motions(rng: np.random.Generator) -> Iterator[Motion]:
    """Endless motions of `tiny_motion`, thinned out."""
    body = tiny_body(rng)
    while True:
        people, frames = int(rng.integers(0, 6)), int(rng.choice([1, 1, 2, 3, 8, 30]))
        motion = tiny_motion(body, rng, people=people, frames=frames)
        valid = rng.random((people, frames)) < rng.choice([0.0, 0.3, 0.8, 1.0])
        transl = np.where(valid[..., None] | (rng.random() < 0.5), motion.transl, np.nan)
        time = rng.choice([0.0, 2.0]) + np.cumsum(rng.uniform(0.002, 1.0, frames))
        yield replace(motion, valid=valid, transl=transl, time=time)


@pytest.mark.slow
def test_the_validator_finds_no_error(rng: np.random.Generator, tmp_path: Path) -> None:
    need_node()
    body, whole = tiny_body(rng), load_body("open")
    files, people = [], 0
    for number, motion in zip(range(MOTIONS), random_motions(rng), strict=False):
        files.append(tmp_path / f"{number}.glb")
        write_glb(files[-1], motion, whole if number < WITH_THE_OPEN_BODY else body)
        for p in present(motion)[:1]:
            files.append(tmp_path / f"{number}.vrma")
            write_vrma(files[-1], motion, body, p)
        people += len(present(motion))
    assert people > MOTIONS
    told = judge("validate", *files)["files"]
    assert len(told) == len(files)
    for one in told:
        assert one["errors"] == one["warnings"] == 0, (one["file"], one["messages"])


def test_joints_of_random_motions(rng: np.random.Generator, tmp_path: Path) -> None:
    body = tiny_body(rng)
    checked = 0
    for motion, _ in zip(random_motions(rng), range(15), strict=False):
        rest = [body.rest_joints(betas)[0] for betas in motion.betas]
        write_glb(tmp_path / "a.glb", motion, body)
        glb = Glb(tmp_path / "a.glb")
        for skin, p in enumerate(present(motion)):
            for t in np.flatnonzero(motion.valid[p]).tolist():
                at = 0.0 if motion.valid[p].sum() == 1 and motion.frames == 1 else motion.time[t]
                T = motion.T_world_camera[t]
                pelvis = T[:3, :3] @ (rest[p] + motion.transl[p, t]) + T[:3, 3]
                np.testing.assert_allclose(glb.joints(skin, at)[0], pelvis, atol=1e-4)
                checked += 1
    assert checked > 40
