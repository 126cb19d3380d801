"""Draw the open body for looking at: ``python -m tools.open_body.sheet`` writes docs/images/open_body.jpg."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from monocap.bodies import load_body
from monocap.files import replacing
from monocap.render import render_view

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "src/monocap/bodies/data"
OUT = ROOT / "docs/images/open_body.jpg"
FINGERS = ("index", "middle", "pinky", "ring")

# Degrees, axis-angle, by SMPL-X joint name; the right side mirrors the left (x, -y, -z) where only the left is given.
Pose = dict[str, tuple[float, float, float]]
DOWN: Pose = {"left_shoulder": (0, 0, -68), "left_collar": (0, 0, -6)}
WALK: Pose = {
    "left_hip": (-28, 0, 0), "left_knee": (8, 0, 0), "right_hip": (14, 0, 0), "right_knee": (34, 0, 0),
    "left_shoulder": (28, -8, -70), "right_shoulder": (-26, 8, 70), "left_elbow": (0, -22, 0),
}  # fmt: skip
SIT: Pose = {
    "left_hip": (-88, 0, 4), "left_knee": (88, 0, 0), "left_shoulder": (0, -32, -62), "left_elbow": (0, -58, 0),
}  # fmt: skip
UP: Pose = {"left_shoulder": (0, 0, 68), "left_collar": (0, 0, 16)}
CROUCH: Pose = {
    "pelvis": (22, 0, 0), "left_hip": (-115, 0, 16), "left_knee": (132, 0, 0), "left_ankle": (-32, 0, 0),
    "spine1": (12, 0, 0), "spine2": (12, 0, 0), "left_shoulder": (0, -64, -34), "left_elbow": (0, -52, 0),
    "neck": (-18, 0, 0),
}  # fmt: skip
FIST: Pose = {f"left_{f}{k}": (0.0, 0.0, -float(a)) for f in FINGERS for k, a in ((1, 65), (2, 80), (3, 50))} | {
    "left_thumb1": (20.0, 25.0, -15.0),
    "left_thumb2": (0.0, 35.0, 0.0),
    "left_thumb3": (0.0, 30.0, 0.0),
}


def full_pose(names: list[str], pose: Pose) -> NDArray[np.float64]:
    """(55,3) radians; a right joint that is not given mirrors the left one."""
    out = np.zeros((55, 3))
    for k, name in enumerate(names):
        twin = name.replace("right_", "left_")
        if name in pose:
            out[k] = pose[name]
        elif twin in pose:
            out[k] = np.array(pose[twin]) * [1.0, -1.0, -1.0]
    return np.radians(out)


class Studio:
    """The body, its texture and one camera height for all pictures."""

    def __init__(self, folder: Path = DATA) -> None:
        self.body = load_body(folder / "open.npz")
        with np.load(folder / "open.npz") as data:
            self.uv, self.uv_faces = data["vt"], data["ft"]
        texture = cv2.imread(str(folder / "open_skin.jpg"))
        assert texture is not None
        self.texture = np.ascontiguousarray(texture[..., ::-1])
        self.names = [str(n) for n in self.body.joint_names]

    def picture(
        self,
        pose: Pose,
        yaw: float = 0.0,
        size: tuple[int, int] = (240, 380),
        betas: tuple[float, ...] = (),
        expression: tuple[float, ...] = (),
        close: str = "",
        plain: bool = False,
        width: float = 2.05,
    ) -> NDArray[np.uint8]:
        """One view from ``yaw`` degrees; ``close`` names a joint to look at; ``width`` metres fill the height."""
        rot = full_pose(self.names, pose)
        wide = np.zeros(16)
        wide[: len(betas)] = betas
        face = np.zeros(10)
        face[: len(expression)] = expression
        out = self.body(
            betas=wide, expression=face, global_orient=rot[0], body_pose=rot[1:22].reshape(-1), jaw_pose=rot[22],
            left_eye_pose=rot[23], right_eye_pose=rot[24], left_hand_pose=rot[25:40].reshape(-1),
            right_hand_pose=rot[40:55].reshape(-1),
        )  # fmt: skip
        vertices = np.asarray(out.vertices, float)
        floor = vertices[:, 1].min()
        target = np.array([0.0, floor + 0.93, 0.0])
        if close:
            target = np.asarray(out.joints, float)[self.names.index(close)]
        fov = math.radians(22.0)
        distance = width / 2 / math.tan(fov / 2)
        angle = math.radians(yaw)
        eye = target + distance * np.array([math.sin(angle), 0.06 if not close else 0.0, math.cos(angle)])
        skin = {} if plain else {"uv": self.uv, "uv_faces": self.uv_faces, "texture": self.texture}
        ground = False if close else float(floor)
        return render_view(vertices, self.body.faces, eye=eye, target=target, fov=fov, size=size, ground=ground, **skin)


def sheet(studio: Studio) -> NDArray[np.uint8]:
    """The whole sheet (H,W,3) RGB: rest pose, poses, shapes, details."""
    wide = (420, 380)
    top = [studio.picture({}, yaw, wide if yaw != 90 else (240, 380)) for yaw in (0, 90, 180)]
    top.append(studio.picture({}, 0, (360, 380), close="head", width=0.36))
    views = ((DOWN, 0), (WALK, 55), (SIT, 50), (UP, 0), (CROUCH, 40), (CROUCH, 140))
    rows = [top, [studio.picture(pose, yaw) for pose, yaw in views]]
    rows.append([studio.picture(DOWN, 20, betas=(0.0,) * k + (s,), plain=True) for k in range(3) for s in (-2.0, 2.0)])
    rows.append([
        studio.picture({}, 0, (240, 300), close="left_middle1", width=0.3),
        studio.picture(FIST, 0, (240, 300), close="left_middle1", width=0.3),
        studio.picture({"jaw": (18, 0, 0)}, 0, (240, 300), close="head", width=0.34),
        studio.picture({}, 20, (240, 300), close="head", width=0.34, expression=(2.5,)),
        studio.picture(UP, 0, (240, 300), close="left_shoulder", width=0.6, plain=True),
        studio.picture(SIT, 70, (240, 300), close="left_hip", width=0.7, plain=True),
    ])  # fmt: skip
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of open.npz and open_skin.jpg")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    picture = sheet(Studio(options.data))
    with replacing(options.out) as temporary:
        cv2.imwrite(str(temporary), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f"{options.out}: {picture.shape[1]}×{picture.shape[0]}, {options.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
