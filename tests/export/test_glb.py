"""GLB files against the motion they were written from, read by an independent reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from glb_reader import Glb
from tiny_body import PARENTS, TinyBody, tiny_body, tiny_motion, world_joints

from monocap.errors import InputError, MediaError
from monocap.export.glb import write_glb
from monocap.geometry.kinematics import forward_kinematics
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.types import Motion


@pytest.fixture
def body(rng: np.random.Generator) -> TinyBody:
    return tiny_body(rng)


def test_joint_nodes_stand_where_the_motion_says(body: TinyBody, rng: np.random.Generator, tmp_path: Path) -> None:
    motion = tiny_motion(body, rng)
    write_glb(tmp_path / "a.glb", motion, body)
    glb = Glb(tmp_path / "a.glb")
    for p in range(2):
        for t in np.flatnonzero(motion.valid[p]).tolist():
            error = np.abs(glb.joints(p, motion.time[t]) - world_joints(motion, p, t)).max()
            assert error < 1e-4, (p, t, error)
        first = int(np.flatnonzero(motion.valid[p])[0])
        assert np.abs(glb.joints(p) - world_joints(motion, p, first)).max() < 1e-4  # the nodes' own pose


def test_skin_follows_linear_blend_skinning_of_the_kept_weights(
    body: TinyBody, rng: np.random.Generator, tmp_path: Path
) -> None:
    motion = tiny_motion(body, rng)
    write_glb(tmp_path / "a.glb", motion, body)
    glb = Glb(tmp_path / "a.glb")
    p, t = 1, 5
    rest = body.v_template + body.shapedirs @ motion.betas[p]
    rest_joints = body.rest_joints(motion.betas[p])
    hands = (motion.left_hand_pose, motion.right_hand_pose)
    face = (motion.jaw_pose, motion.left_eye_pose, motion.right_eye_pose)
    pose = np.concatenate([a[p, t] for a in (motion.global_orient, motion.body_pose, *face, *hands)]).reshape(55, 3)
    turns, joints = forward_kinematics(axis_angle_to_matrix(pose), rest_joints, PARENTS)
    weights = body.lbs_weights * (body.lbs_weights >= np.sort(body.lbs_weights, axis=1)[:, [-4]])
    weights /= weights.sum(axis=1, keepdims=True)
    moved = np.einsum("jab,vjb->vja", turns, rest[:, None] - rest_joints) + joints
    camera = np.einsum("vj,vja->va", weights, moved) + motion.transl[p, t]
    world = camera @ motion.T_world_camera[t, :3, :3].T + motion.T_world_camera[t, :3, 3]
    drawn = glb.skinned(p, motion.time[t])
    distance = np.linalg.norm(drawn[:, None] - world[None], axis=-1).min(axis=1)
    assert distance.max() < 1e-4
    assert len(drawn) > len(world)  # seams of the uv map repeat vertices


def test_every_triangle_keeps_its_place_uv_and_normal(body: TinyBody, rng: np.random.Generator, tmp_path: Path) -> None:
    motion = replace(tiny_motion(body, rng), betas=np.zeros((2, 10)))
    write_glb(tmp_path / "a.glb", motion, body)
    glb = Glb(tmp_path / "a.glb")
    primitive = glb.json["meshes"][0]["primitives"][0]
    read = {name: glb.accessor(index) for name, index in primitive["attributes"].items()}
    triangles = glb.accessor(primitive["indices"]).reshape(-1, 3)
    np.testing.assert_allclose(read["POSITION"][triangles], body.v_template[body.faces], atol=1e-6)
    expected = body.uv[body.uv_faces] * (1, -1) + (0, 1)  # glTF counts v downwards
    np.testing.assert_allclose(read["TEXCOORD_0"][triangles], expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(read["NORMAL"], axis=1), 1, atol=1e-6)
    outward = np.cross(*(np.diff(body.v_template[body.faces], axis=1)[:, i] for i in (0, 1)))
    assert (np.einsum("fa,fca->fc", outward, read["NORMAL"][triangles]) > 0).mean() > 0.95
    np.testing.assert_allclose(read["WEIGHTS_0"].sum(axis=1), 1, atol=1e-6)
    assert (read["JOINTS_0"][read["WEIGHTS_0"] == 0] == 0).all()


def test_names_times_and_hemispheres(body: TinyBody, rng: np.random.Generator, tmp_path: Path) -> None:
    motion = tiny_motion(body, rng)
    write_glb(tmp_path / "a.glb", motion, body)
    glb = Glb(tmp_path / "a.glb")
    nodes = glb.json["nodes"]
    roots = [nodes[i]["name"] for i in glb.json["scenes"][0]["nodes"]]
    assert roots == ["person_01", "person_01_body", "person_04", "person_04_body"]
    for skin in glb.json["skins"]:
        assert [nodes[j]["name"] for j in skin["joints"]] == list(motion.joint_names)
        assert [c["target"]["path"] for c in glb.json["animations"][0]["channels"]].count("rotation") == 110
        channels = [c for c in glb.json["animations"][0]["channels"] if c["target"]["node"] in skin["joints"]]
        assert {c["target"]["node"] for c in channels} == set(skin["joints"])
        for channel in channels:
            sampler = glb.json["animations"][0]["samplers"][channel["sampler"]]
            keys = glb.accessor(sampler["input"])[:, 0]
            np.testing.assert_allclose(keys, motion.time, atol=1e-6)  # a gap this short is bridged
            values = glb.accessor(sampler["output"])
            if channel["target"]["path"] == "rotation":
                assert (np.einsum("ka,ka->k", values[1:], values[:-1]) >= 0).all()
                np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-6)
    assert glb.json["asset"]["generator"].startswith("monocap")


def test_a_photo_is_posed_without_playing(body: TinyBody, rng: np.random.Generator, tmp_path: Path) -> None:
    motion = replace(tiny_motion(body, rng, people=1, frames=1), time=np.array([3.5]))
    write_glb(tmp_path / "a.glb", motion, body)
    glb = Glb(tmp_path / "a.glb")
    assert np.abs(glb.joints(0) - world_joints(motion, 0, 0)).max() < 1e-4
    assert np.abs(glb.joints(0, 0.0) - world_joints(motion, 0, 0)).max() < 1e-4


@pytest.mark.parametrize("how", ["no one", "never valid"])
def test_nobody_is_an_empty_scene(body: TinyBody, rng: np.random.Generator, tmp_path: Path, how: str) -> None:
    motion = tiny_motion(body, rng, people=0 if how == "no one" else 2)
    write_glb(tmp_path / "a.glb", replace(motion, valid=np.zeros_like(motion.valid)), body)
    glb = Glb(tmp_path / "a.glb")
    assert glb.json["scenes"][0].get("nodes") is None
    assert not any(glb.json.get(key) for key in ("nodes", "meshes", "skins", "animations", "buffers", "bufferViews"))


def test_texture_is_embedded_unchanged_and_shared(body: TinyBody, rng: np.random.Generator, tmp_path: Path) -> None:
    jpeg = cv2.imencode(".jpg", rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))[1].tobytes()
    (tmp_path / "skin.jpg").write_bytes(jpeg)
    motion = tiny_motion(body, rng)
    write_glb(tmp_path / "a.glb", motion, body, texture=tmp_path / "skin.jpg")
    glb = Glb(tmp_path / "a.glb")
    view = glb.json["bufferViews"][glb.json["images"][0]["bufferView"]]
    assert glb.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]] == jpeg
    assert len(glb.json["images"]) == len(glb.json["materials"]) == 1
    write_glb(tmp_path / "b.glb", motion, body)
    assert len(Glb(tmp_path / "b.glb").json["materials"]) == 2  # plain: a colour for each person


def test_a_body_without_uv(body: TinyBody, rng: np.random.Generator, tmp_path: Path) -> None:
    plain = replace(body, uv=None, uv_faces=None)
    write_glb(tmp_path / "a.glb", tiny_motion(body, rng), plain)
    attributes = Glb(tmp_path / "a.glb").json["meshes"][0]["primitives"][0]["attributes"]
    assert "TEXCOORD_0" not in attributes
    assert Glb(tmp_path / "a.glb").json_count(attributes["POSITION"]) == 55 * 6


def test_what_does_not_fit_is_refused_and_leaves_no_file(
    body: TinyBody, rng: np.random.Generator, tmp_path: Path
) -> None:
    motion = tiny_motion(body, rng)
    transl = motion.transl.copy()
    transl[0, 2, 1] = np.nan
    wrong: list[tuple[Motion, Any, Any, type[Exception]]] = [
        (replace(motion, transl=transl), body, None, InputError),
        (replace(motion, time=motion.time[::-1].copy()), body, None, InputError),
        (motion, replace(body, joint_names=(*body.joint_names[:-1], "tail")), None, InputError),
        (motion, replace(body, shapedirs=body.shapedirs[..., :4]), None, InputError),
        (motion, replace(body, lbs_weights=body.lbs_weights * 0), None, InputError),
        (motion, body, b"GIF89a", InputError),
        (motion, body, tmp_path / "none.jpg", MediaError),
    ]
    for bad_motion, bad_body, texture, error in wrong:
        with pytest.raises(error):
            write_glb(tmp_path / "a.glb", bad_motion, bad_body, texture=texture)
    assert list(tmp_path.iterdir()) == []
