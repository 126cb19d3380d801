"""Captured faces in GLB files: ARKit's shapes as morph targets that move the skin as the body's own shapes do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from glb_reader import Glb
from judges import judge
from tiny_body import tiny_body, tiny_motion

from monocap.bodies import load_body
from monocap.bodies.arkit import arkit_shapes
from monocap.export import write_glb
from monocap.export.faces import vrm_presets
from monocap.export.vrma import write_vrma
from monocap.types import ARKIT, Motion


def speaking(rng: np.random.Generator) -> Motion:
    motion = tiny_motion(tiny_body(rng), rng, people=2, frames=5)
    return replace(motion, arkit=rng.uniform(0, 1, (2, 5, len(ARKIT))))


def test_weights_and_targets(rng: np.random.Generator, tmp_path: Path) -> None:
    body, motion = load_body("open"), speaking(rng)
    write_glb(tmp_path / "a.glb", motion, body)
    glb = Glb(tmp_path / "a.glb")
    shapes = arkit_shapes(body)
    mesh = glb.json["meshes"][0]
    assert mesh["extras"]["targetNames"] == list(ARKIT) == list(shapes.names)
    targets = [target["POSITION"] for target in mesh["primitives"][0]["targets"]]
    assert targets == [target["POSITION"] for target in glb.json["meshes"][1]["primitives"][0]["targets"]]
    triangles = glb.accessor(mesh["primitives"][0]["indices"]).reshape(-1, 3)
    for k in (ARKIT.index("jawOpen"), ARKIT.index("eyeBlinkLeft")):
        accessor = glb.json["accessors"][targets[k]]
        sparse = accessor["sparse"]
        views, dense = glb.json["bufferViews"], np.zeros((accessor["count"], 3), np.float32)

        def raw(view: dict[str, int], kind: type) -> np.ndarray:
            start = view.get("byteOffset", 0)
            return np.frombuffer(glb.binary[start : start + view["byteLength"]], kind)

        rows = raw(views[sparse["indices"]["bufferView"]], np.uint16)
        dense[rows] = raw(views[sparse["values"]["bufferView"]], np.float32).reshape(-1, 3)
        np.testing.assert_allclose(dense[triangles], shapes.dense()[k][body.faces], atol=1e-7)
        np.testing.assert_allclose([accessor["min"], accessor["max"]], [dense.min(0), dense.max(0)])
    animation = glb.json["animations"][0]
    moved = [c for c in animation["channels"] if c["target"]["path"] == "weights"]
    assert len(moved) == 2
    weights = glb.accessor(animation["samplers"][moved[0]["sampler"]]["output"]).reshape(-1, len(ARKIT))
    assert motion.arkit is not None
    np.testing.assert_allclose(weights, motion.arkit[0], atol=1e-6)


def test_jaw_and_eyes_do_not_move_twice(rng: np.random.Generator, tmp_path: Path) -> None:
    body, motion = load_body("open"), speaking(rng)
    write_glb(tmp_path / "a.glb", motion, body)
    glb = Glb(tmp_path / "a.glb")
    nodes = glb.json["nodes"]
    for channel in glb.json["animations"][0]["channels"]:
        if channel["target"]["path"] == "rotation" and nodes[channel["target"]["node"]]["name"] in ("jaw", "left_eye"):
            turns = glb.accessor(glb.json["animations"][0]["samplers"][channel["sampler"]]["output"])
            np.testing.assert_allclose(turns, np.tile([0, 0, 0, 1.0], (len(turns), 1)), atol=1e-7)


def test_without_weights_nothing_is_added(rng: np.random.Generator, tmp_path: Path) -> None:
    motion = replace(speaking(rng), arkit=None)
    write_glb(tmp_path / "a.glb", motion, load_body("open"))
    glb = Glb(tmp_path / "a.glb")
    assert (
        "targets" not in glb.json["meshes"][0]["primitives"][0] or not glb.json["meshes"][0]["primitives"][0]["targets"]
    )
    assert not glb.json["meshes"][0].get("weights")


def test_the_validator_finds_no_fault(rng: np.random.Generator, tmp_path: Path) -> None:
    motion = speaking(rng)
    write_glb(tmp_path / "a.glb", motion, load_body("open"))
    report = judge("glb", tmp_path / "a.glb", *motion.time)
    assert report["validator"]["errors"] == 0, report["validator"]["messages"]
    assert report["validator"]["warnings"] == 0, report["validator"]["messages"]


def test_vrm_animations_hold_expressions(rng: np.random.Generator, tmp_path: Path) -> None:
    motion = speaking(rng)
    assert motion.arkit is not None
    write_vrma(tmp_path / "a.vrma", motion, load_body("open"))
    glb = Glb(tmp_path / "a.vrma")
    told = glb.json["extensions"]["VRMC_vrm_animation"]["expressions"]
    assert list(told["custom"]) == list(ARKIT)
    wanted = {**{n: motion.arkit[0, :, k] for k, n in enumerate(ARKIT)}, **vrm_presets(motion.arkit[0])}
    animation = glb.json["animations"][0]
    outputs = {
        c["target"]["node"]: animation["samplers"][c["sampler"]]["output"]
        for c in animation["channels"]
        if c["target"]["path"] == "translation"
    }
    for name, entry in {**told["custom"], **told["preset"]}.items():
        at = glb.accessor(outputs[entry["node"]])
        np.testing.assert_allclose(at[:, 0], wanted[name], atol=1e-6)
        assert not at[:, 1:].any()
        assert entry["node"] in glb.json["scenes"][0]["nodes"]
    report = judge("glb", tmp_path / "a.vrma", *motion.time)
    assert report["validator"]["errors"] == 0, report["validator"]["messages"]


def test_presets_say_what_the_face_does() -> None:
    def face(**weights: float) -> dict[str, float]:
        row = np.zeros((1, len(ARKIT)))
        for name, value in weights.items():
            row[0, ARKIT.index(name)] = value
        return {name: float(value[0]) for name, value in vrm_presets(row).items() if value[0] > 0}

    assert face(eyeBlinkLeft=1.0) == {"blinkLeft": 1.0}
    assert set(face(jawOpen=0.6)) == {"aa"}
    assert face(jawOpen=0.5, mouthClose=0.5) == {}
    assert face(mouthSmileLeft=0.8, mouthSmileRight=0.8) == {"happy": 0.8}
