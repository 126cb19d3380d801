"""The pictures of docs/exports.md: the same moment in every format, each drawn by a program that is not monocap.

npm ci --prefix tools/judge
python tools/judge/pictures.py --avatar FILE.vrm        # any VRM avatar; needs Chromium
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import tyro
from PIL import Image, ImageDraw, ImageFont

from monocap.cli import main as monocap

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TIMES = ("0.6", "1.5", "2.4")
PANELS = (
    ("avatar.glb", "GLB in three.js"),
    ("motion_00.bvh", "BVH in three.js"),
    ("motion_00.vrma", "VRMA on an avatar, by three-vrm"),
)


def main(avatar: Annotated[Path, tyro.conf.arg(metavar="FILE.vrm")], images: Path = ROOT / "docs" / "images") -> None:
    """Capture examples/demo.mp4 in every format and photograph the files.

    Args:
        avatar: a VRM avatar that the animation is played on.
        images: folder for exports.jpg and view.jpg.
    """
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        formats = "npz,glb,bvh,vrma,html"
        if monocap(["capture", str(ROOT / "examples/demo.mp4"), "-o", temporary, "--formats", formats, "--no-overlay"]):
            raise SystemExit("the capture failed")
        rows = [photograph(out, name, avatar) for name, _ in PANELS]
        sheet = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)), "white")
        for number, (row, (_, label)) in enumerate(zip(rows, PANELS, strict=True)):
            ImageDraw.Draw(row).text((14, 10), label, "#22262b", ImageFont.load_default(22))
            sheet.paste(row, (0, number * row.height))
        sheet.save(images / "exports.jpg", quality=88)
        run("page.mjs", out / "view.html", out / "view.png", "size:1200x640", "seek:45")
        Image.open(out / "view.png").convert("RGB").save(images / "view.jpg", quality=88)


def photograph(out: Path, name: str, avatar: Path) -> Image.Image:
    """One file at three times, side by side, without the empty rim."""
    extra = ["--avatar", avatar.resolve()] if name.endswith(".vrma") else []
    run("look.mjs", out / name, out / "panel.png", *extra, *TIMES)
    picture = Image.open(out / "panel.png").convert("RGB")
    height = picture.height
    return picture.crop((0, round(0.12 * height), picture.width, round(0.86 * height)))


def run(script: str, *arguments: object) -> None:
    """Run a node script of this folder, its output with ours."""
    done = subprocess.run(["node", HERE / script, *map(str, arguments)], cwd=HERE, check=False, stdout=sys.stderr)
    if done.returncode:
        raise SystemExit(f"{script} failed")


if __name__ == "__main__":
    tyro.cli(main)
