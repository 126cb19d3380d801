"""Make the README's pictures from the video in examples/: ``make pictures``.

docs/images/demo.webp           the overlay and the avatar side by side, moving
docs/images/demo_overlay.jpg    input and overlay at the start, middle and end
docs/images/demo_avatar.jpg     the captured motion as a textured avatar, six moments in one world
docs/images/open_body.jpg       is made by ``python -m tools.open_body.sheet``
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from monocap.bodies import BodyModel, load_body
from monocap.export import skin_texture
from monocap.geometry import transforms
from monocap.media.pictures import read_picture, write_image
from monocap.media.readers import open_media
from monocap.pipeline.engine import CaptureEngine
from monocap.pipeline.outputs import overlay_frame
from monocap.pipeline.settings import CaptureSettings
from monocap.render import render_view
from monocap.types import Array, Motion

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
MOMENTS = 6


def world_vertices(motion: Motion, body: BodyModel, frame: int) -> Array:
    """The first person's posed vertices (V,3) in the world frame."""
    params = motion.params(0).asdict()
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


def main() -> None:
    media = open_media(ROOT / "examples" / "demo.mp4")
    engine = CaptureEngine(CaptureSettings(preset="accurate"))
    motion, body = engine.capture(media), engine.body
    assert motion.people == 1
    body = load_body("open")
    frames = [frame.image for frame in media]

    rows = []
    for index in np.linspace(0, motion.frames - 1, 3).astype(int):
        done = overlay_frame(frames[index], motion, body, int(index))
        x = motion.keypoints2d[0, index, :, 0]
        left = int(np.clip(x.mean() - 320, 0, frames[0].shape[1] - 640))
        crop = np.s_[200:720, left : left + 640]
        rows.append(np.concatenate([frames[index][crop], done[crop]], axis=0))
    sheet = Image.fromarray(np.concatenate(rows, axis=1))
    write_image(IMAGES / "demo_overlay.jpg", np.asarray(sheet.resize((sheet.width // 2, sheet.height // 2))), 88)

    joints = transforms.apply(motion.T_world_camera, motion.joints[0])
    middle = joints[:, 0].mean(axis=0)
    target = np.array([middle[0], 0.85, middle[2]])
    side = np.array([0.0, 0.5, 7.5])
    chosen = np.linspace(0, motion.frames - 1, MOMENTS).astype(int)
    picture = avatar([world_vertices(motion, body, int(i)) for i in chosen], body, (1280, 400), target + side, target)
    write_image(IMAGES / "demo_avatar.jpg", picture)

    film = []
    for index in range(0, motion.frames, 3):
        done = Image.fromarray(overlay_frame(frames[index], motion, body, index)[160:720, 240:1280]).resize((520, 280))
        view = avatar([world_vertices(motion, body, index)], body, (360, 280), target + side, target, 0.42)
        film.append(Image.fromarray(np.concatenate([np.asarray(done), view], axis=1)))
    film[0].save(IMAGES / "demo.webp", save_all=True, append_images=film[1:], duration=100, loop=0, quality=60)
    for name in ("demo.webp", "demo_overlay.jpg", "demo_avatar.jpg"):
        print(f"docs/images/{name}: {(IMAGES / name).stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
