"""The picture of docs/exports.md that shows faces: a GLB's morph targets while they play, drawn by three.js.

npm ci --prefix tools/judge
python tools/judge/faces.py        # needs Chromium
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import tyro
from pictures import ROOT, run
from PIL import Image, ImageDraw, ImageFont

from monocap import skeletons
from monocap.bodies import load_body
from monocap.export import write_glb
from monocap.types import ARKIT, Motion

FPS, HOLD = 30.0, 1.0  # a face per second, held in its middle
FACES: tuple[tuple[str, dict[str, float]], ...] = (
    ("at rest", {}),
    ("jawOpen", {"jawOpen": 0.8}),
    ("eyeBlink", {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}),
    ("mouthSmile", {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9}),
    ("mouthPucker, browInnerUp", {"mouthPucker": 0.9, "browInnerUp": 0.9}),
)


def speaking() -> Motion:
    """Somebody who stands and makes each of `FACES` in turn."""
    frames = int(HOLD * FPS * len(FACES))
    times = np.arange(frames) / FPS
    share = np.sin(np.pi * (times % HOLD) / HOLD)
    weights = np.zeros((frames, len(ARKIT)))
    for t, time in enumerate(times):
        for name, weight in FACES[int(time / HOLD)][1].items():
            weights[t, ARKIT.index(name)] = share[t] * weight
    body = load_body("open")
    pose = np.zeros((frames, 21, 3))
    pose[:, 15, 2], pose[:, 16, 2] = -1.2, 1.2
    params = {
        "global_orient": np.tile([np.pi, 0.0, 0.0], (frames, 1)),
        "body_pose": pose.reshape(frames, 63),
        "transl": np.tile([0.0, 0.0, 3.0], (frames, 1)),
    }
    joints = np.asarray(body.joints_only(betas=np.zeros(16), **params))
    world = np.tile(np.diag([1.0, -1.0, -1.0, 1.0]), (frames, 1, 1))
    world[:, 1, 3] = 1.0
    rest = {name: np.zeros((1, frames, 3)) for name in ("jaw_pose", "left_eye_pose", "right_eye_pose")}
    hands = {name: np.tile(body.hand_data[name][0], (1, frames, 1)) for name in ("left_hand_pose", "right_hand_pose")}
    return Motion(
        fps=FPS,
        frame_index=np.arange(frames),
        time=times,
        image_size=np.array([640, 480]),
        track_id=np.zeros(1, np.int64),
        valid=np.ones((1, frames), bool),
        confidence=np.ones((1, frames)),
        K=np.tile(np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]), (frames, 1, 1)),
        T_world_camera=world,
        betas=np.zeros((1, 16)),
        expression=np.zeros((1, frames, 10)),
        joints=joints[None],
        keypoints2d=np.zeros((1, frames, 33, 3)),
        joint_names=np.array(body.joint_names),
        keypoint_names=np.array(skeletons.get("blazepose33").joint_names),
        arkit=weights[None],
        **cast(Any, {name: value[None] for name, value in params.items()} | rest | hands),
    )


def main(images: Path = ROOT / "docs" / "images") -> None:
    """Write a GLB of `FACES`, photograph it as it plays.

    Args:
        images: folder for exports_faces.jpg.
    """
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        write_glb(out / "faces.glb", speaking(), load_body("open"))
        panels = []
        for k, (name, _) in enumerate(FACES):
            run("look.mjs", out / "faces.glb", out / "face.png", "--head", (k + 0.5) * HOLD)
            panel = Image.open(out / "face.png").convert("RGB").crop((10, 60, 410, 500))
            ImageDraw.Draw(panel).text((14, 10), name, "#22262b", ImageFont.load_default(20))
            panels.append(panel)
        width, height = panels[0].size
        sheet = Image.new("RGB", (width * len(panels), height))
        for k, panel in enumerate(panels):
            sheet.paste(panel, (k * width, 0))
        sheet.resize((sheet.width * 7 // 10, height * 7 // 10)).save(images / "exports_faces.jpg", quality=86)


if __name__ == "__main__":
    tyro.cli(main)
