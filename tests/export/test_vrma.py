"""VRM animations: the humanoid moves as the motion says, its T-pose is one, and three-vrm plays it on an avatar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from glb_reader import Glb
from judges import judge
from tiny_body import TinyBody, tiny_body, tiny_motion, world_joints

from monocap.bodies import load_body
from monocap.errors import InputError
from monocap.export.vrma import BONES, write_vrma
from monocap.types import Array, Motion

# Source: VRMC_vrm-1.0, humanoid.md.
REQUIRED = {"hips", "spine", "head"} | {
    f"{side}{part}"
    for side in ("left", "right")
    for part in ("UpperLeg", "LowerLeg", "Foot", "UpperArm", "LowerArm", "Hand")
}


@pytest.fixture
def body(rng: np.random.Generator) -> TinyBody:
    return tiny_body(rng)


def bones(glb: Glb) -> dict[str, int]:
    extension = glb.json["extensions"]["VRMC_vrm_animation"]
    assert extension["specVersion"] == "1.0"
    return {bone: entry["node"] for bone, entry in extension["humanoid"]["humanBones"].items()}


def expected(motion: Motion, p: int, t: int) -> dict[str, Array]:
    joints = world_joints(motion, p, t)
    return {BONES[name]: joints[j] for j, name in enumerate(motion.joint_names) if name in BONES}


def test_bones_stand_where_the_motion_says(body: TinyBody, rng: np.random.Generator, tmp_path: Path) -> None:
    motion = tiny_motion(body, rng)
    write_vrma(tmp_path / "a.vrma", motion, body, 1)
    glb = Glb(tmp_path / "a.vrma")
    nodes = bones(glb)
    assert set(nodes) >= REQUIRED
    assert len(nodes) == 53
    assert not {"leftEye", "rightEye"} & set(nodes)
    for t in range(motion.frames):
        matrices = glb.node_matrices(motion.time[t])
        for bone, place in expected(motion, 1, t).items():
            assert np.abs(matrices[nodes[bone], :3, 3] - place).max() < 1e-4, (t, bone)
    moved = {(c["target"]["node"], c["target"]["path"]) for c in glb.json["animations"][0]["channels"]}
    assert moved == {(node, "rotation") for node in nodes.values()} | {(nodes["hips"], "translation")}
    assert len(glb.json["animations"]) == 1


def test_rest_is_vrms_t_pose_with_the_persons_bones(rng: np.random.Generator, tmp_path: Path) -> None:
    body = load_body("open")
    motion = tiny_motion(tiny_body(rng), rng, people=1)
    write_vrma(tmp_path / "a.vrma", motion, body)
    glb = Glb(tmp_path / "a.vrma")
    nodes = bones(glb)
    at = glb.node_matrices()
    assert all(np.array_equal(at[node, :3, :3], np.eye(3)) for node in nodes.values())

    def direction(a: str, b: str) -> Array:
        way = at[nodes[b], :3, 3] - at[nodes[a], :3, 3]
        return way / np.linalg.norm(way)

    for side, x in (("left", 1.0), ("right", -1.0)):
        for a, b in (("UpperArm", "LowerArm"), ("LowerArm", "Hand"), ("IndexProximal", "IndexIntermediate")):
            np.testing.assert_allclose(direction(side + a, side + b), (x, 0, 0), atol=1e-5)
        thumb = direction(f"{side}ThumbMetacarpal", f"{side}ThumbProximal")
        np.testing.assert_allclose(thumb, (x * np.sqrt(0.5), 0, np.sqrt(0.5)), atol=1e-5)
        np.testing.assert_allclose(direction(f"{side}UpperLeg", f"{side}Foot"), (0, -1, 0), atol=1e-5)
        assert 0.02 < at[nodes[f"{side}Foot"], 1, 3] < 0.15  # ankles as high as ankles are
    rest = body.rest_joints(motion.betas[0])
    arm = np.linalg.norm(rest[body.joint_names.index("left_elbow")] - rest[body.joint_names.index("left_shoulder")])
    drawn = at[nodes["leftLowerArm"], :3, 3] - at[nodes["leftUpperArm"], :3, 3]
    assert np.linalg.norm(drawn) == pytest.approx(float(arm), abs=1e-5)


def test_three_vrm_plays_it(
    body: TinyBody, rng: np.random.Generator, tmp_path: Path, shared: Callable[[str], Path]
) -> None:
    motion = tiny_motion(body, rng)
    write_vrma(tmp_path / "a.vrma", motion, body)
    report = judge("vrma", tmp_path / "a.vrma", shared("avatars/person_vrm1.vrm"), *motion.time)
    assert report["validator"]["errors"] == 0, report["validator"]["messages"]
    assert report["validator"]["warnings"] == 0, report["validator"]["messages"]
    hips = []
    for t, row in enumerate(report["times"]):
        for bone, place in expected(motion, 0, t).items():
            assert np.abs(np.array(row["bones"][bone]) - place).max() < 1e-3
        hips.append(row["avatar"]["hips"])
    path = np.stack([world_joints(motion, 0, t)[0] for t in range(motion.frames)])
    scale = np.linalg.norm(np.diff(hips, axis=0), axis=1) / np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert np.ptp(scale) < 1e-3 * scale.mean()  # the avatar's path is the person's, scaled by their heights


def test_gaps_rates_and_nobody(body: TinyBody, rng: np.random.Generator, tmp_path: Path) -> None:
    motion = tiny_motion(body, rng, frames=30)
    motion = replace(motion, time=np.arange(30) / 10.0)
    valid = np.ones((2, 30), bool)
    valid[0, 10:20] = False
    write_vrma(tmp_path / "a.vrma", replace(motion, valid=valid), body)
    glb = Glb(tmp_path / "a.vrma")
    keys = glb.accessor(glb.json["animations"][0]["samplers"][0]["input"])[:, 0]
    np.testing.assert_allclose(keys, motion.time[valid[0]], atol=1e-6)
    write_vrma(tmp_path / "b.vrma", motion, body, fps=30)
    glb = Glb(tmp_path / "b.vrma")
    keys = glb.accessor(glb.json["animations"][0]["samplers"][0]["input"])[:, 0]
    np.testing.assert_allclose(np.diff(keys), 1 / 30, atol=1e-6)
    with pytest.raises(InputError, match="seen in no frame"):
        write_vrma(tmp_path / "c.vrma", replace(motion, valid=np.zeros_like(valid)), body)
