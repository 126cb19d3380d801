"""A scene as a camera sees it, with what is exactly true of every pixel."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import cv2
import numpy as np

from monocap.errors import InputError
from monocap.render.lights import Lights, build_lights, unit
from monocap.render.pixels import FLOOR_REACH, FLOOR_STEP, floor_rows, shade_rows, truth_rows
from monocap.render.raster import NEAR, check_picture, empty_keys, fill
from monocap.render.scene import Backdrop, Scene, Shot
from monocap.render.stage import Stage, build_stage
from monocap.render.textures import LINEAR, SRGB
from monocap.types import Array, Camera

MAX_SAMPLES = 4


class Loops(NamedTuple):
    """The loops over triangles and pixels, of the processor or of a GPU; arguments as in `raster` and `pixels`."""

    fill: Any
    truth_rows: Any
    floor_rows: Any
    shade_rows: Any


_PROCESSOR = Loops(fill, truth_rows, floor_rows, shade_rows)


def photograph(
    scene: Scene, *, supersample: int = 2, shadows: bool = True, device: Literal["cpu", "cuda"] = "cpu"
) -> Shot:
    """Take a picture of ``scene`` and say what is seen at the centre of each pixel.

    ``supersample``² (1 to 4, squared) samples per pixel soften outlines and decide how finely hair is cut out; colours
    are mixed in linear light. ``shadows=False`` leaves out cast shadows and the dimming of hidden places: quicker. The
    true maps do not depend on either. ``device="cuda"`` runs the same kernels on an NVIDIA GPU (extra ``cuda``).
    Raises InputError, with the surface's number, for what cannot be drawn, and where there is no such device.
    """
    loops = _loops(device)
    camera, n = scene.camera, int(supersample)
    if not 1 <= n <= MAX_SAMPLES:
        raise InputError(f"supersample {supersample}; expected 1 to {MAX_SAMPLES} samples along a pixel's side")
    stage = build_stage(scene)
    check_picture(camera, NEAR, len(stage.faces))
    view = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
    behind = _backdrop(scene.backdrop, camera)
    floor = _floor(scene.backdrop, camera)
    fine = finer(camera, n)
    h, keys = _see(loops, stage, fine, n > 1)
    truth = _truth(loops, stage, view, *((h, keys) if n == 1 else _see(loops, stage, camera, False)))
    lights = _lights(loops, scene, stage, truth["depth"], view, floor, shadows)
    if floor is not None and len(lights.heights):
        opened = np.empty((camera.height // FLOOR_STEP + 2, camera.width // FLOOR_STEP + 2), np.float32)
        loops.floor_rows(view, lights, *floor, opened, behind)
    radiance, coverage = np.empty_like(behind), np.empty(behind.shape[:2], np.float32)
    loops.shade_rows(keys, n, h, view, stage, lights, behind, radiance, coverage)
    return Shot(image=to_srgb(radiance), **truth, radiance=radiance, behind=behind, coverage=coverage)


def _loops(device: str) -> Loops:
    if device == "cpu":
        return _PROCESSOR
    if device != "cuda":
        raise InputError(f"device {device!r}; expected cpu or cuda")
    from monocap.render import cuda  # only here: it looks for a GPU

    cuda.check_available()
    return Loops(cuda.fill, cuda.truth_rows, cuda.floor_rows, cuda.shade_rows)


def finer(camera: Camera, n: int) -> Camera:
    """The camera of a picture with n × n samples per pixel: the middle of a block is the centre of the pixel."""
    offset = (n - 1) / 2
    cx, cy = camera.cx * n + offset, camera.cy * n + offset
    return Camera(camera.fx * n, camera.fy * n, cx, cy, camera.width * n, camera.height * n)


def to_srgb(radiance: Array) -> Array:
    """Linear light (…,3), clipped at 1, as sRGB bytes."""
    return _BYTES[np.clip(radiance * 4095 + 0.5, 0, 4095).astype(np.uint16)]


_BYTES = (SRGB + 0.5).astype(np.uint8)


def _backdrop(backdrop: Backdrop, camera: Camera) -> Array:
    """(H,W,3) float32 linear."""
    image = np.asarray(backdrop.image)
    if image.shape != (camera.height, camera.width, 3) or image.dtype != np.uint8:
        raise InputError(
            f"backdrop of shape {image.shape} {image.dtype}; expected {(camera.height, camera.width, 3)} uint8 RGB, "
            "the camera's size"
        )
    return np.asarray(cv2.LUT(np.ascontiguousarray(image), LINEAR))


def _floor(backdrop: Backdrop, camera: Camera) -> tuple[Array, Array] | None:
    """Plane (4,) with its normal towards the camera, and mask (H,W) float32 0–1."""
    if backdrop.floor is None:
        return None
    plane = np.asarray(backdrop.floor, float)
    if plane.shape != (4,) or not np.isfinite(plane).all() or not np.linalg.norm(plane[:3]) > 0:
        raise InputError(f"floor {backdrop.floor}; expected a plane of four numbers, n·x + d = 0")
    plane = plane / np.linalg.norm(plane[:3])
    plane = plane if plane[3] >= 0 else -plane
    shape = (camera.height, camera.width)
    if backdrop.floor_mask is None:
        return plane, np.ones(shape, np.float32)
    mask = np.asarray(backdrop.floor_mask)
    if mask.shape != shape:
        raise InputError(f"floor_mask of shape {mask.shape}; expected {shape}, the camera's size")
    return plane, np.ascontiguousarray(mask, np.float32)


def _see(loops: Loops, stage: Stage, camera: Camera, dither: bool) -> tuple[Array, Array]:
    """Homogeneous vertices (V,3) and the key (H,W) of what each sample sees."""
    h = stage.vertices @ camera.K.T
    keys = empty_keys(camera.height, camera.width)
    loops.fill(h, stage.faces, stage.traits, stage.cutouts, NEAR, dither, keys)
    return h, keys


def _truth(loops: Loops, stage: Stage, view: Array, h: Array, keys: Array) -> dict[str, Any]:
    """The true maps of `Shot` by name."""
    shape = keys.shape
    moving = len(stage.velocity) > 0
    maps: dict[str, Any] = {
        "depth": np.full(shape, np.inf, np.float32),
        "normal": np.zeros((*shape, 3), np.float32),
        "person": np.full(shape, -1, np.int16),
        "part": np.full(shape, -1, np.int16),
        "surface": np.full(shape, -1, np.int16),
        "motion": np.zeros((*shape, 2) if moving else (0, 0, 2), np.float32),
    }
    loops.truth_rows(keys, h, view, stage, *maps.values())
    return maps if moving else maps | {"motion": None}


def _lights(
    loops: Loops,
    scene: Scene,
    stage: Stage,
    depth: Array,
    view: Array,
    floor: tuple[Array, Array] | None,
    shadows: bool,
) -> Lights:
    """The shadow maps are aimed at points of the picture that may receive shadows, and follow its resolution."""
    camera = scene.camera
    step = max(1, min(camera.width, camera.height) // 32)
    y, x = (np.append(np.arange(0, size, step), size - 1) for size in (camera.height, camera.width))
    rays = np.ones((len(y), len(x), 3))
    rays[..., 0] = ((x - view[2]) / view[0])[None, :]
    rays[..., 1] = ((y - view[3]) / view[1])[:, None]
    z = depth[np.ix_(y, x)].astype(float)
    if floor is not None:
        with np.errstate(divide="ignore"):
            hit = -floor[0][3] / (rays @ floor[0][:3])
        z = np.where(np.isfinite(z), z, np.where((hit > 0) & (hit < FLOOR_REACH), hit, np.inf))
    there = np.isfinite(z)
    seen = rays[there] * z[there][:, None]
    resolution = int(np.clip(1.6 * max(camera.width, camera.height), 256, 1024))
    sky, ground = (_light(colour, name) for colour, name in ((scene.sky, "sky"), (scene.ground, "ground")))
    return build_lights(
        loops.fill,
        scene.lamps,
        sky,
        ground,
        unit(scene.up, "up"),
        stage.vertices,
        stage.faces,
        stage.traits,
        stage.cutouts,
        seen,
        resolution,
        shadows,
    )


def _light(colour: Any, name: str) -> Array:
    value = np.asarray(colour, float)
    if value.shape != (3,) or not (np.isfinite(value).all() and value.min() >= 0):
        raise InputError(f"{name} is {colour}; expected linear red, green, blue of 0 or more")
    return value
