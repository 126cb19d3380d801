"""How fast overlays are drawn: one body over a 1280 × 720 picture, posed and drawn as capture does it."""

from __future__ import annotations

import numpy as np

from monocap.bodies import load_body
from monocap.evaluate.stopwatch import Figures, milliseconds, race
from monocap.render import Mesh, overlay, person_colour
from monocap.types import Camera

CAMERA = Camera(1152.0, 1152.0, 639.5, 359.5, 1280, 720)
DISTANCE = 3.2  # m: the body fills most of the height


def bench_render(repeats: int) -> Figures:
    """Milliseconds per frame: posing the mesh, drawing it over the picture, and both."""
    body = load_body("open")
    rng = np.random.default_rng(3)
    picture = rng.integers(0, 255, (CAMERA.height, CAMERA.width, 3), dtype=np.uint8)
    parameters = {
        "global_orient": np.array([np.pi, 0.0, 0.0], np.float32),  # upright in front of the camera
        "body_pose": rng.normal(0, 0.15, 63).astype(np.float32),
        "transl": np.array([0.0, -0.2, DISTANCE], np.float32),
    }
    posed = Mesh(body(**parameters).vertices, body.faces, person_colour(0))

    def frame() -> np.ndarray:
        return overlay(picture, [Mesh(body(**parameters).vertices, body.faces, person_colour(0))], CAMERA)

    times = race(
        {"pose": lambda: body(**parameters), "draw": lambda: overlay(picture, [posed], CAMERA), "frame": frame}, repeats
    )
    covered = int((overlay(np.zeros_like(picture), [posed], CAMERA, 1.0).max(axis=-1) > 0).sum())
    figures: Figures = {"width": CAMERA.width, "height": CAMERA.height, "covered_pixels": covered, "repeats": repeats}
    return figures | milliseconds(times)
