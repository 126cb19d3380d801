"""A body in an empty room, seen from anywhere: thumbnails, documentation sheets, contact sheets for looking at."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numba import njit

from monocap.errors import InputError
from monocap.render.raster import check_mesh, rasterise
from monocap.render.shading import NEUTRAL, Light, Mesh, draw
from monocap.types import Array, Camera

BACKGROUND = (246, 247, 249)


def look_at(eye: Any, target: Any, up: Any = (0.0, 1.0, 0.0)) -> Array:
    """``T_camera_world`` (4,4) of a camera at ``eye`` (3,) looking at ``target`` (3,), world metres, y up."""
    eye, target, up = (np.asarray(v, float) for v in (eye, target, up))
    forward = target - eye
    right = np.cross(forward, up)
    if np.linalg.norm(right) < 1e-9 * max(np.linalg.norm(forward), 1e-9):
        raise InputError(f"a camera at {eye} cannot look at {target} with {up} up; move it or give another `up`")
    forward, right = forward / np.linalg.norm(forward), right / np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    T_camera_world = np.eye(4)
    T_camera_world[:3, :3], T_camera_world[:3, 3] = rotation, -rotation @ eye
    return T_camera_world


def render_view(
    vertices: Any,
    faces: Any,
    *,
    eye: Any = (0.0, 1.2, 4.0),
    target: Any = (0.0, 0.9, 0.0),
    fov: float = math.radians(32),
    size: tuple[int, int] = (480, 640),
    colour: tuple[float, float, float] = NEUTRAL,
    uv: Any = None,
    uv_faces: Any = None,
    texture: Any = None,
    ground: bool | float = True,
    background: tuple[int, int, int] = BACKGROUND,
) -> Array:
    """Picture (H,W,3) uint8 RGB of one mesh in the world frame (y up, metres) on a plain background.

    ``vertices`` (V,3), ``faces`` (F,3); ``eye`` and ``target`` (3,) world; ``fov`` vertical field of view, radians;
    ``size`` (width, height) pixels; texture arguments as in `Mesh`. ``ground``: a checker floor of half-metre
    squares with the body's shadow, at height 0 (True) or at the given height; False leaves it out.

    Raises InputError for meshes or views that cannot be drawn.
    """
    vertices, faces = check_mesh(vertices, faces)
    width, height = size
    if not 0 < fov < math.pi:
        raise InputError(f"fov {fov}; expected radians between 0 and pi")
    T_camera_world = look_at(eye, target)
    rotation, translation = T_camera_world[:3, :3], T_camera_world[:3, 3]
    focal = height / 2 / math.tan(fov / 2)
    camera = Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
    sun = np.array([-0.45, 1.0, 0.75])
    light = Light(tuple(rotation @ sun), tuple(rotation[:, 1]))
    canvas = np.empty((height, width, 3), np.float32)
    canvas[:] = background
    if ground is not False:
        level = 0.0 if ground is True else float(ground)
        flat = vertices - sun * ((vertices[:, 1:2] - level) / sun[1])
        flat[:, 1] = level
        shadow = rasterise(flat @ rotation.T + translation, faces, camera).mask.astype(np.float32)
        shadow = _soften(shadow, max(1, height // 320))
        _floor(canvas, rotation, np.asarray(eye, float), np.asarray(target, float), level, camera.K, shadow)
    body = Mesh(vertices @ rotation.T + translation, faces, colour, uv, uv_faces, texture)
    drawing = draw([body], camera, light=light, supersample=3)
    coverage = drawing.coverage[..., None]
    return np.round(canvas * (1 - coverage) + drawing.colour * coverage).astype(np.uint8)


def _soften(mask: Array, radius: int) -> Array:
    return cv2.GaussianBlur(mask, (0, 0), radius)


@njit(cache=True, nogil=True, error_model="numpy")
def _floor(canvas: Array, rotation: Array, eye: Array, target: Array, level: float, K: Array, shadow: Array) -> None:
    """Checker of half-metre squares where the pixel's ray meets the ground, fading out away from the target."""
    height, width = canvas.shape[:2]
    for y in range(height):
        for x in range(width):
            light_sum, weight_sum = 0.0, 0.0
            for s in range(9):
                px = (x + (s % 3 - 1) / 3.0 - K[0, 2]) / K[0, 0]
                py = (y + (s // 3 - 1) / 3.0 - K[1, 2]) / K[1, 1]
                dy = rotation[0, 1] * px + rotation[1, 1] * py + rotation[2, 1]
                t = (level - eye[1]) / dy
                if not t > 0:
                    continue
                wx = eye[0] + t * (rotation[0, 0] * px + rotation[1, 0] * py + rotation[2, 0])
                wz = eye[2] + t * (rotation[0, 2] * px + rotation[1, 2] * py + rotation[2, 2])
                distance = np.sqrt((wx - target[0]) ** 2 + (wz - target[2]) ** 2)
                fade = min(max((5.0 - distance) / 3.5, 0.0), 1.0)
                light_sum += fade * (0.93 if (int(np.floor(wx * 2)) + int(np.floor(wz * 2))) % 2 else 0.84)
                weight_sum += fade
            if weight_sum > 0:
                shade = light_sum / weight_sum * (1.0 - 0.35 * shadow[y, x])
                part = weight_sum / 9.0
                for c in range(3):
                    canvas[y, x, c] *= 1.0 - part + part * shade
