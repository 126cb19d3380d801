"""The GPU's kernels in numba's simulator: the same pictures as the processor's loops."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from monocap.errors import InputError
from monocap.render import Backdrop, Scene, Surface, photograph
from monocap.types import Camera

_COMPARE = """
import numpy as np
from shapes import moved, sphere
from monocap.render import Backdrop, Lamp, Scene, Surface, photograph
from monocap.types import Camera

rng = np.random.default_rng(1)
vertices, faces = sphere(0.5, 5)
hair = rng.integers(0, 256, (8, 8, 4), dtype=np.uint8)
uv = rng.uniform(0, 1, (len(vertices), 2))
velocity = np.full(vertices.shape, 0.01, np.float32)
surfaces = (
    Surface(moved(vertices, -0.2, 0, 2), faces, person=0, part=np.arange(len(faces)), kind="skin"),
    Surface(moved(vertices, 0.4, 0.2, 2.2), faces, uv=uv, texture=hair, kind="hair", two_sided=True, person=1),
    Surface(moved(vertices, 0.45, -0.3, 0.3), faces, uv=uv, texture=hair[..., :3].copy(), kind="cloth"),
)
camera = Camera(14, 14, 7.5, 5.5, 16, 12)
backdrop = Backdrop(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), (0, -1, 0, 0.6))
scene = Scene(camera, surfaces, backdrop, (Lamp((-0.4, -0.8, -0.4), size=0.1),), velocity=(velocity, None, velocity))
here, there = photograph(scene), photograph(scene, device="cuda")
for name in ("person", "part", "surface"):
    np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
for name in ("depth", "normal", "motion", "coverage", "behind", "radiance"):
    np.testing.assert_allclose(getattr(here, name), getattr(there, name), rtol=1e-4, atol=1e-4, err_msg=name)
assert len(np.unique(here.surface)) == 4 and np.ptp(here.radiance) > 0.2
print("same")
"""


def test_the_same_picture_as_the_processor() -> None:
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-c", _COMPARE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "same"


def test_a_device_that_is_not_there_is_named() -> None:
    import numpy as np
    from numba import cuda

    scene = Scene(Camera(9, 9, 4, 4, 8, 8), (), Backdrop(np.zeros((8, 8, 3), np.uint8)))
    with pytest.raises(InputError, match="expected cpu or cuda"):
        photograph(scene, device="tpu")  # type: ignore[arg-type]
    if cuda.is_available():
        pytest.skip("there is a GPU here")
    surface = Surface(np.eye(3) + np.array([0, 0, 2]), [[0, 1, 2]])
    with pytest.raises(InputError, match="no NVIDIA GPU"):
        photograph(Scene(scene.camera, (surface,), scene.backdrop), device="cuda")
