"""The shipped body, exported: the skin of the file is the body's own skinning, and its picture is inside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from glb_reader import Glb
from tiny_body import tiny_body, tiny_motion

from monocap.bodies import load_body
from monocap.export import skin_texture, write_glb


def test_viewers_skin_the_open_body_as_monocap_does(rng: np.random.Generator, tmp_path: Path) -> None:
    body = load_body("open")
    motion = tiny_motion(tiny_body(rng), rng, people=1, frames=3)
    write_glb(tmp_path / "a.glb", motion, body)
    glb = Glb(tmp_path / "a.glb")
    for t in range(3):
        one = {k: v if k == "betas" else v[t] for k, v in motion.params(0).asdict().items()}
        posed = body(**one)
        T_world_camera = motion.T_world_camera[t]
        vertices = posed.vertices @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]
        joints = posed.joints @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]
        assert np.abs(glb.joints(0, motion.time[t]) - joints).max() < 1e-4
        primitive = glb.json["meshes"][0]["primitives"][0]
        triangles = glb.accessor(primitive["indices"]).reshape(-1, 3)
        drawn = glb.skinned(0, motion.time[t])
        assert np.abs(drawn[triangles] - vertices[body.faces]).max() < 1e-3
    skin = skin_texture(body)
    assert skin is not None
    assert skin.read_bytes() in glb.binary
    assert (tmp_path / "a.glb").stat().st_size < 2_000_000
