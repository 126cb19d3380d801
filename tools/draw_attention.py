"""Where each joint looks: ``python tools/draw_attention.py NETWORK.onnx PICTURE OUT.png [X0 Y0 X1 Y1]``.

NETWORK has an output called attention (`monocap.nets.smpler.looks.export_with_attention`); the numbers are the person's
box in pixels, by default the whole picture.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from monocap import skeletons
from monocap.files import replacing
from monocap.geometry.cameras import default_focal
from monocap.media.pictures import read_picture
from monocap.perception.roi import Roi
from monocap.pipeline.regress.networks import open_regressor
from monocap.render.attention import attention_sheet
from monocap.types import Camera


def main(network: str, picture: Path, out: Path, box: list[float]) -> None:
    image = read_picture(picture).image
    height, width = image.shape[:2]
    focal = default_focal(width, height)
    camera = Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
    regressor = open_regressor("smpler", network)
    center, size = regressor.crop.square(np.array(box or [0, 0, width, height], float))
    weights, crop = regressor.attention(image, Roi(center, size), camera)
    names = [*skeletons.get("smpl24").joint_names[: len(weights) - 2], "shape", "camera"]
    with replacing(out) as temporary:
        Image.fromarray(attention_sheet(crop, weights, names)).save(temporary, format="PNG")


if __name__ == "__main__":
    if len(sys.argv) not in (4, 8):
        sys.exit((__doc__ or "").splitlines()[0])
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), [float(number) for number in sys.argv[4:]])
