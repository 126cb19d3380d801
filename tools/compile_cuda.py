"""Compile the renderer's GPU kernels to PTX without a GPU: what can be checked of them on any machine.

    pip install 'monocap[cuda]'
    python tools/compile_cuda.py [--capability 8.0]

Prints the size of each kernel's PTX and how many operations on doubles it has; fails where one does not compile. That
the kernels give the processor's pictures is tested in numba's simulator (tests/render/test_cuda.py); how fast they are
can only be said on a GPU.
"""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import typeof, types
from numba.cuda import dispatcher
from numba.cuda.compiler import compile_ptx

from monocap.render import Backdrop, Scene, Surface, cuda
from monocap.render.lights import build_lights
from monocap.render.raster import fill
from monocap.render.stage import build_stage
from monocap.types import Camera

_PLANE = np.array([0.0, -1.0, 0.0, 1.0])


def kernels() -> dict[str, tuple[Any, ...]]:
    """Arguments of each kernel, as `photograph` gives them."""
    camera = Camera(10, 10, 3.5, 3.5, 8, 8)
    surface = Surface(np.eye(3) + np.array([0, 0, 2]), [[0, 1, 2]])
    stage = build_stage(Scene(camera, (surface,), Backdrop(np.zeros((8, 8, 3), np.uint8))))
    white, up, seen = np.ones(3), np.array([0.0, -1.0, 0.0]), np.ones((1, 3))
    lights = build_lights(
        fill, (), white, white, up, stage.vertices, stage.faces, stage.traits, stage.cutouts, seen, 256, True
    )
    h, view, keys = stage.vertices, np.zeros(4), np.zeros((8, 8), np.int64)
    flat, deep, whole = np.zeros((8, 8), np.float32), np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.int16)
    motion, screen = np.zeros((8, 8, 2), np.float32), np.zeros((3, 2))
    near, n, dither = types.float64, types.int64, types.boolean
    return {
        "_project": (typeof((h, screen)), near),
        "_fill": (typeof((h, screen, stage.faces, stage.traits, stage.cutouts, keys)), near, dither),
        "_truth": (typeof((keys, h, view, stage, flat, deep, whole, whole, whole, motion)),),
        "_open": (typeof((view, lights, _PLANE, flat)),),
        "_floor": (typeof((view, lights, _PLANE, flat, flat, deep)),),
        "_shade": (typeof((keys, h, view, stage, lights, deep, deep, flat)), n),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--capability", default="8.0", help="of the GPU to compile for (8.0: A100, 9.0: H100)")
    major, minor = (int(part) for part in parser.parse_args().capability.split("."))
    # functions called by a kernel ask the GPU that is there what it can do; there is none
    device = SimpleNamespace(compute_capability=(major, minor))
    setattr(dispatcher, "get_current_device", lambda: device)  # noqa: B010 - no part of its public face
    for name, signature in kernels().items():
        ptx, _ = compile_ptx(getattr(cuda, name).py_func, signature, cc=(major, minor))
        print(f"{name[1:]:8} {len(ptx) / 1024:6.0f} kB, {ptx.count('.f64')} with doubles")


if __name__ == "__main__":
    main()
