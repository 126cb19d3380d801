"""A tiny data set whose truth is known: people of the open body, projected, in a folder with samples.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from monocap.bodies import load_body
from monocap.geometry.cameras import project
from monocap.media.pictures import write_image
from monocap.skeletons import LIMBS12, get
from monocap.types import Array, Camera

CAMERA = Camera(600.0, 600.0, 159.5, 119.5, 320, 240)


def people(rng: np.random.Generator, count: int) -> Array:
    """(count,55,3) joints of people who walk and wave, camera frame, metres."""
    body = load_body("open")
    pose = rng.normal(0, 0.08, (count, 21, 3))
    at = {name: i - 1 for i, name in enumerate(body.joint_names)}
    swing = np.sin(np.arange(count) * 0.3)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        pose[:, at[f"{side}_hip"], 0] = -0.5 + 0.3 * sign * swing
        pose[:, at[f"{side}_knee"], 0] = 0.9 - 0.3 * sign * swing
        pose[:, at[f"{side}_elbow"], 1] = -0.8 * sign
    turn = np.zeros((count, 3))
    turn[:, 0] = np.pi
    return body.joints_only(
        global_orient=turn, body_pose=pose.reshape(count, 63), transl=rng.normal([0, 0, 5.0], 0.1, (count, 3))
    )


def write_dataset(folder: Path, joints: Array, per_sequence: int = 6, **changes: object) -> Path:
    """Write grey pictures and ``samples.json`` with joints (n,55,3); ``changes`` replace fields of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / "grey.png", np.full((CAMERA.height, CAMERA.width, 3), 128, np.uint8))
    samples = []
    for i, pose in enumerate(joints):
        flat = project(pose, CAMERA)
        samples.append(
            {
                "image": "grey.png",
                "K": CAMERA.K.tolist(),
                "joints3d": pose.tolist(),
                "joints2d": np.column_stack([flat, np.ones(len(flat))]).tolist(),
                "sequence": f"walk{i // per_sequence}",
                "frame": i % per_sequence,
                "subject": "S9",
            }
        )
    content = {"schema": "monocap.samples/1", "name": "small", "licence": "made up", "skeleton": "smplx55"}
    (folder / "samples.json").write_text(json.dumps({**content, "samples": samples, **changes}), encoding="utf-8")
    return folder


def limbs(joints: Array) -> Array:
    """(…,12,3) the joints of protocol limbs-12."""
    return joints[..., get("smplx55").indices(LIMBS12), :]


def write_predictions(path: Path, **arrays: object) -> Path:
    np.savez(path, allow_pickle=False, **{key: np.asarray(value) for key, value in arrays.items()})
    return path
