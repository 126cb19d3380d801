"""Make the pictures of docs/fit.md from the example video: ``python tools/fit_pictures.py``.

Frames of ``examples/demo.mp4`` are written as PNG with OpenPose's JSON beside them (our detector's keypoints, renamed
by meaning), `monocap fit` fits them, and docs/images/fit.jpg shows both; docs/images/fit_convergence.png is its plot.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np

from monocap import skeletons
from monocap.cli import main as monocap
from monocap.media.pictures import read_picture, write_image
from monocap.media.readers import open_media
from monocap.perception import find_people_keypoints
from monocap.types import Array

ROOT = Path(__file__).resolve().parents[1]
MOMENTS = (10, 45, 80)
CROP = slice(0, 720), slice(320, 960)  # what is shown of 1280 × 720


def write_openpose(path: Path, people: list[Array]) -> None:
    """One picture's people, each (33,3) of BlazePose, as BODY_25."""
    a, b = skeletons.mapping("blazepose33", "openpose25")
    rows = []
    for points in people:
        row = np.zeros((25, 3))
        row[b] = points[a]
        rows.append({"person_id": [-1], "pose_keypoints_2d": np.round(row.ravel(), 3).tolist()})
    path.write_text(json.dumps({"version": 1.3, "people": rows}))


def drawn(image: Array, path: Path) -> Array:
    """The picture with the keypoints of a file."""
    out = image.copy()
    tree = skeletons.get("openpose25")
    for person in json.loads(path.read_text())["people"]:
        points = np.reshape(person["pose_keypoints_2d"], (25, 3))
        for a, b in tree.edges:
            if points[[a, b], 2].min() > 0:
                ends = [tuple(int(v) for v in points[i, :2]) for i in (a, b)]
                cv2.line(out, ends[0], ends[1], (255, 200, 0), 3, cv2.LINE_AA)
        for x, y, sure in points:
            if sure > 0:
                cv2.circle(out, (int(x), int(y)), 5, (220, 40, 40), -1, cv2.LINE_AA)
    return out


def main() -> None:
    frames = [frame.image for frame in open_media(ROOT / "examples" / "demo.mp4")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "keypoints").mkdir()
        (folder / "pictures").mkdir()
        for moment in MOMENTS:
            found = find_people_keypoints(frames[moment])
            write_openpose(folder / "keypoints" / f"{moment:03d}_keypoints.json", [one.points2d for one in found])
            write_image(folder / "pictures" / f"{moment:03d}.png", frames[moment])
        arguments = [str(folder / "keypoints"), "--images", str(folder / "pictures"), "-o", str(folder / "out")]
        if monocap(["fit", *arguments, "--formats", "npz", "--plot"]):
            raise SystemExit("the fit failed")
        upper = [drawn(frames[m], folder / "keypoints" / f"{m:03d}_keypoints.json")[CROP] for m in MOMENTS]
        lower = [read_picture(folder / "out" / f"{m:03d}.overlay.png").image[CROP] for m in MOMENTS]
        sheet = np.concatenate([np.concatenate(row, axis=1) for row in (upper, lower)], axis=0)
        small = cv2.resize(sheet, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        write_image(ROOT / "docs" / "images" / "fit.jpg", small, quality=88)
        shutil.copyfile(folder / "out" / "convergence.png", ROOT / "docs" / "images" / "fit_convergence.png")


if __name__ == "__main__":
    main()
