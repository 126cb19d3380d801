"""Draw what the open body brings beside its mesh: ``python -m tools.open_body.gallery``.

Writes docs/images/open_body_people.jpg (named shapes and skins) and open_body_hands_faces.jpg (hand components, ARKit
shapes).
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monocap.bodies import BodyModel, load_body
from monocap.bodies.arkit import arkit_shapes
from monocap.bodies.shapes import named_shape
from monocap.export import skin_names, skin_texture
from monocap.files import replacing
from monocap.render import render_view

from .hands import components
from .sheet import ROOT

Picture = NDArray[np.uint8]
IMAGES = ROOT / "docs/images"
SHAPES = {
    "female": "young_asian_female",
    "male": "middleage_caucasian_male",
    "neutral": "default",
    "child": "young_caucasian_female",
}
FACES = (
    *({"eyeBlinkLeft": 1.0}, {"jawOpen": 1.0}, {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0}, {"mouthPucker": 1.0}),
    *({"cheekPuff": 1.0}, {"browInnerUp": 1.0}, {"browDownLeft": 1.0, "browDownRight": 1.0}, {"mouthFunnel": 1.0}),
    *({"noseSneerLeft": 1.0, "noseSneerRight": 1.0}, {"eyeWideLeft": 1.0, "eyeWideRight": 1.0}),
)


def texture(body: BodyModel, skin: str) -> Picture:
    path = skin_texture(body, skin)
    assert path is not None
    return np.asarray(Image.open(path))


def drawn(
    body: BodyModel, vertices: NDArray, target: NDArray, off: tuple[float, float, float], degrees: float,
    size: tuple[int, int], label: str, skin: str | None, ground: bool = False,
) -> Picture:  # fmt: skip
    """The mesh from ``target + off`` with a label in the corner."""
    painted = {} if skin is None else {"uv": body.uv, "uv_faces": body.uv_faces, "texture": texture(body, skin)}
    picture = render_view(
        vertices, body.faces, eye=target + np.array(off), target=target, fov=math.radians(degrees), size=size,
        ground=ground, **painted,
    ).copy()  # fmt: skip
    cv2.putText(picture, label, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (60, 60, 66), 1, cv2.LINE_AA)
    return picture


def people() -> Picture:
    body = load_body("open")
    down = np.zeros(63)
    down[3 * 15 + 2], down[3 * 16 + 2] = -1.15, 1.15
    row = []
    for name, skin in SHAPES.items():
        vertices = np.asarray(body(betas=named_shape(body, name), body_pose=down).vertices, np.float64)
        vertices[:, 1] -= vertices[:, 1].min()
        target = np.array([0.0, 0.9, 0.0])
        row.append(drawn(body, vertices, target, (1.0, 0.2, 4.6), 24, (315, 460), name, skin, ground=True))
    rest = body.v_template.astype(np.float64)
    nose = rest[body.extra_vertex_ids["nose"]] + [0.0, 0.035, -0.05]
    heads = [drawn(body, rest, nose, (0.3, 0.02, 0.85), 17, (252, 270), name, name) for name in skin_names()]
    heads.append(drawn(body, rest, nose, (0.75, 0.1, -0.5), 17, (252, 270), "", "young_caucasian_female"))
    rows = [np.concatenate(heads[i : i + 5], axis=1) for i in (0, 5)]
    return np.concatenate([np.concatenate(row, axis=1), *rows])


def hands_and_faces() -> Picture:
    body = load_body("open", num_pca_comps=6, flat_hand_mean=False)
    _, _, variance = components()
    rows: list[Picture] = []
    for amount in (-2.0, 2.0):
        row = []
        for k in range(6):
            hand = np.zeros(6)
            hand[k] = amount * np.sqrt(variance[k])
            out = body(left_hand_pose=hand)
            middle = np.asarray(out.joints)[body.joint_names.index("left_middle1")] + [0.01, -0.02, 0.0]
            vertices = np.asarray(out.vertices, np.float64)
            label = f"component {k + 1}: {amount:+.0f} deviations"
            row.append(drawn(body, vertices, middle, (0.3, 0.2, 0.6), 17, (210, 190), label, None))
        rows.append(np.concatenate(row, axis=1))
    whole = load_body("open")
    shapes = arkit_shapes(whole)
    nose = whole.v_template[whole.extra_vertex_ids["nose"]] + [0.0, 0.01, -0.05]
    faces = [
        drawn(whole, shapes.on(whole, face).v_template.astype(np.float64), nose, (0.2, 0.02, 0.88), 15, (252, 252),
              next(iter(face)).removesuffix("Left") + ("" if len(face) == 1 else " both"), "young_asian_female")
        for face in FACES
    ]  # fmt: skip
    rows += [np.concatenate(faces[i : i + 5], axis=1) for i in (0, 5)]
    return np.concatenate(rows)


def main() -> None:
    for name, picture in (("open_body_people", people()), ("open_body_hands_faces", hands_and_faces())):
        path = IMAGES / f"{name}.jpg"
        with replacing(path) as temporary:
            cv2.imwrite(str(temporary), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 84])
        print(f"{path.name}: {picture.shape[1]}×{picture.shape[0]}, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
