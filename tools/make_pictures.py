"""Make the pictures of README and docs: ``make pictures``, or ``python tools/make_pictures.py bodies`` for those alone.

docs/images/demo.webp           the overlay and the avatar side by side, moving
docs/images/demo_overlay.jpg    input and overlay at the start, middle and end
docs/images/demo_avatar.jpg     the captured motion as a textured avatar, six moments in one world
docs/images/body_joints.jpg     the open body's joints by number: body, hand, face with landmarks and contour
docs/images/body_parameters.jpg what betas, expression, jaw, eyes and hands do
docs/images/open_body.jpg       is made by ``python -m tools.open_body.sheet``
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from monocap.bodies import BodyModel, load_body
from monocap.export import skin_texture
from monocap.geometry import transforms
from monocap.geometry.cameras import project
from monocap.media.pictures import read_picture, write_image
from monocap.media.readers import open_media
from monocap.pipeline.engine import CaptureEngine
from monocap.pipeline.outputs import overlay_frame
from monocap.pipeline.settings import CaptureSettings
from monocap.render import render_view
from monocap.render.views import look_at
from monocap.types import Array, Camera, Motion

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
MOMENTS = 6


def world_vertices(motion: Motion, body: BodyModel, person: int, frame: int) -> Array:
    """A person's posed vertices (V,3) in the world frame."""
    params = motion.params(person).asdict()
    one = {name: value if name == "betas" else value[frame] for name, value in params.items()}
    return transforms.apply(motion.T_world_camera[frame], np.asarray(body(**one).vertices, dtype=np.float64))


def avatar(
    vertices: list[Array], body: BodyModel, size: tuple[int, int], eye: Array, target: Array, fov: float = 0.36
) -> Array:
    """Textured bodies standing in one world."""
    skin = skin_texture(body)
    texture = None if skin is None else read_picture(skin).image
    count, uv_count = len(body.v_template), 0 if body.uv is None else len(body.uv)
    faces = np.concatenate([body.faces + i * count for i in range(len(vertices))])
    uv = None if body.uv is None else np.concatenate([body.uv] * len(vertices))
    uv_faces = (
        None if body.uv_faces is None else np.concatenate([body.uv_faces + i * uv_count for i in range(len(vertices))])
    )
    return render_view(
        np.concatenate(vertices), faces, eye=eye, target=target, fov=fov, size=size,
        uv=uv, uv_faces=uv_faces, texture=texture, ground=True,
    )  # fmt: skip


# ------------------------------------------------------------------ the body's joints and parameters
class View:
    """One rendered view of a body in its own rest frame, to write on."""

    def __init__(
        self,
        body: BodyModel,
        target: Array,
        distance: float,
        size: tuple[int, int],
        textured: bool = False,
        **parameters: Array,
    ) -> None:
        aim = np.asarray(target, dtype=np.float64)
        eye = aim + distance * np.array([0.0, 0.0, 1.0])
        mesh = np.asarray(body(**parameters).vertices, dtype=np.float64)
        fov = 0.3
        skin = read_picture(found).image if textured and (found := skin_texture(body)) is not None else None
        surface = {} if skin is None else {"uv": body.uv, "uv_faces": body.uv_faces, "texture": skin}
        picture = render_view(mesh, body.faces, eye=eye, target=aim, fov=fov, size=size, ground=False, **surface)
        self.image = Image.blend(Image.fromarray(picture), Image.new("RGB", size, "white"), 0.0 if textured else 0.35)
        self.draw = ImageDraw.Draw(self.image)
        focal = size[1] / 2 / np.tan(fov / 2)
        self.camera = Camera(focal, focal, (size[0] - 1) / 2, (size[1] - 1) / 2, *size)
        self.T_camera_world = look_at(eye, aim)

    def place(self, points: Array) -> list[tuple[float, float]]:
        """Pixels of points (n,3)."""
        seen = project(transforms.apply(self.T_camera_world, np.asarray(points, dtype=np.float64)), self.camera)
        return [(float(x), float(y)) for x, y in seen]

    def tree(self, joints: Array, parents: Sequence[int], shown: Sequence[int], size: int = 15) -> View:
        """Bones, and the number of every shown joint beside it."""
        at, font = self.place(joints), ImageFont.load_default(size)
        for j in shown:
            if parents[j] in shown:
                self.draw.line([at[parents[j]], at[j]], fill=(40, 90, 160), width=2)
        for j in shown:
            x, y = at[j]
            self.draw.ellipse([x - 3, y - 3, x + 3, y + 3], fill=(200, 40, 30))
            self.draw.text((x + 5, y - size), str(j), fill="black", font=font, stroke_width=2, stroke_fill="white")
        return self

    def dots(self, points: Array, colour: tuple[int, int, int]) -> View:
        for x, y in self.place(points):
            self.draw.ellipse([x - 2.5, y - 2.5, x + 2.5, y + 2.5], fill=colour)
        return self

    def title(self, text: str, size: int = 15) -> View:
        self.draw.text((6, 4), text, fill="black", font=ImageFont.load_default(size))
        return self


def bodies() -> None:
    """The open body's joints, and what its parameters do."""
    body = load_body("open")
    rest, parents = body.keypoints("smplx144"), [int(p) for p in body.parents]
    whole = View(body, np.array([0, -0.42, 0]), 6.3, (760, 800)).tree(rest, parents, range(22))
    whole.title("pelvis 0 … right_wrist 21 (SMPL: also 22, 23 in the hands)")
    hand = _turned(body).title("left hand 25 … 39 (right: 40 … 54)")
    face = View(body, rest[15] + [0, 0.04, 0.05], 1.0, (440, 400)).dots(rest[76:127], (200, 40, 30))
    face.dots(rest[127:144], (30, 120, 60)).tree(rest, parents, (15, 22, 23, 24), 13)
    face.title("jaw 22, eyes 23, 24; landmarks 76 … 126, contour 127 … 143")
    sheet = Image.new("RGB", (1200, 800), "white")
    for view, corner in ((whole, (0, 0)), (hand, (760, 0)), (face, (760, 400))):
        sheet.paste(view.image, corner)
    write_image(IMAGES / "body_joints.jpg", np.asarray(sheet), 88)

    rows: list[list[View]] = [[], [], []]
    middle, head = np.array([0, -0.42, 0]), rest[15] + [0, 0.04, 0.05]
    for i in range(4):
        for sign in (-2.5, 2.5):
            one = np.zeros(i + 1)
            one[i] = sign
            rows[0].append(View(body, middle, 7.5, (180, 220), betas=one).title(f"betas[{i}] = {sign:+}", 12))
            one = one * 0.8
            view = View(body, head, 0.9, (180, 200), True, expression=one)
            rows[1].append(view.title(f"expression[{i}] = {one[i]:+}", 12))
    looks: dict[str, dict[str, Array]] = {
        "jaw_pose[0] = +0.3": {"jaw_pose": np.array([0.3, 0, 0])},
        "jaw_pose[1] = +0.2": {"jaw_pose": np.array([0, 0.2, 0])},
        "eye poses[0] = +0.3": {f"{side}_eye_pose": np.array([0.3, 0, 0]) for side in ("left", "right")},
        "eye poses[1] = +0.5": {f"{side}_eye_pose": np.array([0, 0.5, 0]) for side in ("left", "right")},
    }
    rows[2] = [View(body, head, 0.9, (180, 200), textured=True, **look).title(text, 12) for text, look in looks.items()]
    bend = {"index": slice(0, 9), "middle": slice(9, 18), "thumb": slice(36, 45)}
    for text, part in {"left_hand_pose = 0": slice(0, 0), **{f"{k}1…3 z = -0.5": v for k, v in bend.items()}}.items():
        pose = np.zeros(45)
        pose[part][2::3] = -0.5
        rows[2].append(_turned(body, (180, 200), numbers=False, left_hand_pose=pose).title(text, 12))
    heights = [row[0].image.height for row in rows]
    sheet = Image.new("RGB", (8 * 180, sum(heights)), "white")
    for r, row in enumerate(rows):
        for c, view in enumerate(row):
            sheet.paste(view.image, (180 * c, sum(heights[:r])))
    write_image(IMAGES / "body_parameters.jpg", np.asarray(sheet), 88)
    for name in ("body_joints.jpg", "body_parameters.jpg"):
        print(f"docs/images/{name}: {(IMAGES / name).stat().st_size / 1e3:.0f} kB")


def _turned(body: BodyModel, size: tuple[int, int] = (440, 400), numbers: bool = True, **parameters: Array) -> View:
    """The left hand from above, its back towards us: the whole body is tipped forward."""
    tip = np.array([np.pi / 2, 0.0, 0.0])
    joints = body.joints_only(global_orient=tip, **parameters)
    flat = body.joints_only(global_orient=tip)
    view = View(body, flat[[20, *range(25, 40)]].mean(axis=0), 0.95, size, False, global_orient=tip, **parameters)
    return view.tree(joints, [int(p) for p in body.parents], (20, *range(25, 40)), 13) if numbers else view


def main() -> None:
    bodies()
    if sys.argv[1:] == ["bodies"]:
        return
    media = open_media(ROOT / "examples" / "demo.mp4")
    engine = CaptureEngine(CaptureSettings(preset="accurate"))
    motion, body = engine.capture(media), engine.body
    heights = transforms.apply(motion.T_world_camera[0], motion.joints[:, :, 0])[..., 1]
    walker = int(np.argmin(heights.mean(axis=1)))  # the other one is on the roof
    frames = [frame.image for frame in media]

    rows = []
    for index in np.linspace(0, motion.frames - 1, 3).astype(int):
        done = overlay_frame(frames[index], motion, body, int(index))
        x = motion.keypoints2d[walker, index, :, 0]
        left = int(np.clip(x.mean() - 320, 0, frames[0].shape[1] - 640))
        crop = np.s_[200:720, left : left + 640]
        rows.append(np.concatenate([frames[index][crop], done[crop]], axis=0))
    sheet = Image.fromarray(np.concatenate(rows, axis=1))
    write_image(IMAGES / "demo_overlay.jpg", np.asarray(sheet.resize((sheet.width // 2, sheet.height // 2))), 88)

    joints = transforms.apply(motion.T_world_camera, motion.joints[walker])
    middle = joints[:, 0].mean(axis=0)
    target = np.array([middle[0], 0.85, middle[2]])
    side = np.array([0.0, 0.5, 7.5])
    chosen = np.linspace(0, motion.frames - 1, MOMENTS).astype(int)
    picture = avatar(
        [world_vertices(motion, body, walker, int(i)) for i in chosen], body, (1280, 400), target + side, target
    )
    write_image(IMAGES / "demo_avatar.jpg", picture)

    film = []
    for index in range(0, motion.frames, 3):
        done = Image.fromarray(overlay_frame(frames[index], motion, body, index)[160:720, 240:1280]).resize((520, 280))
        view = avatar([world_vertices(motion, body, walker, index)], body, (360, 280), target + side, target, 0.42)
        film.append(Image.fromarray(np.concatenate([np.asarray(done), view], axis=1)))
    film[0].save(IMAGES / "demo.webp", save_all=True, append_images=film[1:], duration=100, loop=0, quality=60)
    for name in ("demo.webp", "demo_overlay.jpg", "demo_avatar.jpg"):
        print(f"docs/images/{name}: {(IMAGES / name).stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
