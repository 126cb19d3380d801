"""Bodies and skeletons drawn over the picture that they were captured from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numba import njit

from monocap.errors import InputError
from monocap.render.raster import NEAR
from monocap.render.shading import Light, Mesh, draw
from monocap.types import Array, Camera

# Told apart by people with every common kind of colour vision (Okabe and Ito 2008), body-sized areas first.
PERSON_COLOURS: tuple[tuple[float, float, float], ...] = (
    (0.34, 0.71, 0.91),
    (0.90, 0.62, 0.00),
    (0.00, 0.62, 0.45),
    (0.80, 0.47, 0.65),
    (0.94, 0.89, 0.26),
    (0.84, 0.37, 0.00),
    (0.00, 0.45, 0.70),
)


def person_colour(track_id: int) -> tuple[float, float, float]:
    """RGB 0–1 (sRGB) of a person: the same id has the same colour in every frame and file."""
    return PERSON_COLOURS[int(track_id) % len(PERSON_COLOURS)]


def overlay(
    image: Any, meshes: Sequence[Mesh], camera: Camera, alpha: float = 0.85, *, light: Light | None = None
) -> Array:
    """Shaded bodies over a picture, with soft edges; nearer bodies hide farther ones.

    ``image`` (H,W,3) uint8 RGB, the size of ``camera``; ``meshes`` in the camera frame, metres; ``alpha`` 0–1, how
    opaque the bodies are. Returns a new (H,W,3) uint8 RGB. Only the box around the bodies is worked on. Bodies are
    closed surfaces: triangles seen from behind are not drawn, so a body around the camera is not seen.

    Raises InputError when the sizes differ or the image is not RGB uint8.
    """
    image = _rgb(image)
    if image.shape[:2] != (camera.height, camera.width):
        raise InputError(
            f"image is {image.shape[1]} × {image.shape[0]} pixels, the camera {camera.width} × {camera.height}; "
            "use the camera of this picture"
        )
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha {alpha}; expected 0 (invisible) to 1 (opaque)")
    out = image.copy()
    box = _box(meshes, camera)
    if box is None:
        return out
    x0, y0, x1, y1 = box
    window = Camera(camera.fx, camera.fy, camera.cx - x0, camera.cy - y0, x1 - x0, y1 - y0)
    drawing = draw(meshes, window, light=light, cull=True)
    _blend(out[y0:y1, x0:x1], drawing.colour, drawing.coverage, float(alpha))
    return out


def _rgb(image: Any) -> Array:
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"image of shape {image.shape} {image.dtype}; expected (H, W, 3) uint8 RGB")
    return image


def _box(meshes: Sequence[Mesh], camera: Camera) -> tuple[int, int, int, int] | None:
    """Pixels x0, y0, x1, y1 (end exclusive) that the meshes can touch; all of them if one reaches the near plane."""
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for mesh in meshes:
        points = np.asarray(mesh.vertices, float)
        near = points[:, 2] < NEAR
        if near.all():
            continue
        if near.any():
            low, high = np.zeros(2), np.array([camera.width, camera.height], float)
            break
        xy = points[:, :2] / points[:, 2:] * (camera.fx, camera.fy) + (camera.cx, camera.cy)
        low, high = np.minimum(low, xy.min(axis=0)), np.maximum(high, xy.max(axis=0))
    size = (camera.width, camera.height)
    x0, y0 = (int(np.clip(np.floor(v), 0, s)) for v, s in zip(np.nan_to_num(low, posinf=1e9), size, strict=True))
    x1, y1 = (int(np.clip(np.ceil(v) + 1, 0, s)) for v, s in zip(np.nan_to_num(high, neginf=-1e9), size, strict=True))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


@njit(cache=True, nogil=True)
def _blend(image: Array, colour: Array, coverage: Array, alpha: float) -> None:
    height, width = coverage.shape
    for y in range(height):
        for x in range(width):
            a = coverage[y, x] * alpha
            if a > 0:
                for c in range(3):
                    image[y, x, c] = np.uint8(image[y, x, c] * (1 - a) + colour[y, x, c] * a + 0.5)


def draw_skeleton(
    image: Any,
    points2d: Any,
    parents: Sequence[int],
    *,
    colour: tuple[float, float, float] = PERSON_COLOURS[0],
    threshold: float = 0.3,
    thickness: int | None = None,
) -> Array:
    """A skeleton drawn over a picture with anti-aliased lines; returns a new (H,W,3) uint8 RGB.

    ``points2d`` (N,2) or (N,3): image pixels and, if given, confidence 0–1: points below ``threshold`` and those that
    are not finite are left out with their bones. ``parents`` (N): a bone goes from each point to its parent, -1 for
    none. ``thickness`` in pixels; by default it grows with the picture.
    """
    out = _rgb(image).copy()
    points = np.asarray(points2d, float)
    if points.ndim != 2 or points.shape[1] not in (2, 3) or len(points) != len(parents):
        raise InputError(f"points2d {points.shape} for {len(parents)} parents; expected (N, 2) or (N, 3), N parents")
    # far outside the picture nothing is seen, and OpenCV's integers would overflow
    seen = np.asarray(np.all(np.abs(points[:, :2]) < 1e5, axis=1) & np.all(np.isfinite(points), axis=1))
    if points.shape[1] == 3:
        seen &= points[:, 2] >= threshold
    thickness = thickness or max(1, round(max(out.shape[:2]) / 400))
    dark = tuple(int(130 * c) for c in colour)
    bright = tuple(int(255 * c) for c in colour)
    shift = 4  # sixteenths of a pixel
    fixed = np.round(np.where(seen[:, None], points[:, :2], 0) * (1 << shift)).astype(int)
    for tone, extra in ((dark, 2), (bright, 0)):
        for child, parent in enumerate(parents):
            if parent >= 0 and seen[child] and seen[parent]:
                a, b = (int(fixed[child, 0]), int(fixed[child, 1])), (int(fixed[parent, 0]), int(fixed[parent, 1]))
                cv2.line(out, a, b, tone, thickness + extra, cv2.LINE_AA, shift)
        for p in fixed[seen]:
            radius = ((2 * thickness + extra) << shift) // 2
            cv2.circle(out, (int(p[0]), int(p[1])), radius, tone, -1, cv2.LINE_AA, shift)
    return out
