"""Which triangle does each pixel see, how far away, and where on it? The only rasteriser of the package.

Method: homogeneous edge functions (Olano and Greer, "Triangle Scan Conversion using 2D Homogeneous Coordinates",
1997). With h = K·v for each corner, the edge functions of a pixel p = (x, y, 1) are e_i = p · (h_j × h_k). Their
signs say whether the ray through the pixel's centre meets the triangle, e_i / Σe are the perspective-correct
barycentric coordinates and det / Σe is the depth. Triangles that cross the near plane therefore need no cutting:
clipping only bounds the pixels that are looked at, and each pixel's depth decides. Neighbouring triangles evaluate
the very same number (negated) on a shared edge, so closed meshes show no pin-holes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from monocap.errors import InputError
from monocap.types import Array, Camera

NEAR = 0.01
MAX_PIXELS = 1 << 28  # 268 megapixels: a buffer set of 5 GB; anything beyond is a mistake in the size


@dataclass(frozen=True)
class Buffers:
    """What the rasteriser saw, pixel by pixel; pixel (0, 0) is the centre of the first pixel.

    ``face`` (H,W) int32, index of the nearest triangle, -1 where there is none; ``depth`` (H,W) float32, z of the
    camera frame in metres, inf where there is none; ``barycentric`` (H,W,3) float32, perspective-correct weights of
    the triangle's corners, 0 where there is none.
    """

    face: Array
    depth: Array
    barycentric: Array

    @property
    def mask(self) -> Array:
        """(H,W) bool: True where a triangle is seen."""
        return self.face >= 0


def check_mesh(vertices: Any, faces: Any) -> tuple[Array, Array]:
    """Vertices (V,3) float64 and faces (F,3) int64, contiguous; InputError for other shapes or indices out of range."""
    vertices = np.ascontiguousarray(vertices, dtype=np.float64)
    faces = np.ascontiguousarray(faces, dtype=np.int64)
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise InputError(f"vertices have shape {vertices.shape}; expected (V, 3), one mesh in metres")
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise InputError(f"faces have shape {faces.shape}; expected (F, 3), triangles")
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise InputError(
            f"faces point at vertices {faces.min()}..{faces.max()}, but there are {len(vertices)}; "
            "pass the faces that belong to these vertices"
        )
    if not np.isfinite(vertices).all():
        raise InputError("vertices contain nan or infinity; leave out people that are not valid in this frame")
    return vertices, faces


def rasterise(vertices: Any, faces: Any, camera: Camera, *, near: float = NEAR, cull: bool = False) -> Buffers:
    """Rasterise triangles seen by a pinhole camera.

    ``vertices`` (V,3) metres, camera frame (x right, y down, z forward); ``faces`` (F,3). Nothing nearer than
    ``near`` metres is drawn. ``cull=True`` leaves out triangles whose back is seen (corners clockwise on the
    picture), which is quicker and changes nothing for closed meshes that the camera is outside of. Of triangles
    at the same depth the first one wins. For several meshes in one picture, see `monocap.render.draw`.

    Raises InputError for wrong shapes, faces out of range, values that are not finite, or an absurd picture size.
    """
    vertices, faces = check_mesh(vertices, faces)
    if camera.width < 1 or camera.height < 1 or camera.width * camera.height > MAX_PIXELS:
        raise InputError(
            f"picture of {camera.width} × {camera.height} pixels; expected 1 to {MAX_PIXELS} pixels in all"
        )
    if not (near > 0 and camera.fx > 0 and camera.fy > 0):
        raise InputError(f"near {near}, fx {camera.fx}, fy {camera.fy}; all three must be above 0")
    shape = (camera.height, camera.width)
    buffers = Buffers(
        np.full(shape, -1, np.int32), np.full(shape, np.inf, np.float32), np.zeros((*shape, 3), np.float32)
    )
    homogeneous = vertices @ camera.K.T
    _fill(homogeneous, faces, float(near), bool(cull), buffers.face, buffers.depth, buffers.barycentric)
    return buffers


@njit(cache=True, nogil=True, error_model="numpy")
def _near_box(h: Array, i: int, j: int, k: int, near: float) -> tuple[float, float, float, float]:
    """Box on the picture of the part of triangle i, j, k that lies beyond the near plane (not empty)."""
    low_x, low_y, high_x, high_y = np.inf, np.inf, -np.inf, -np.inf
    for a, b in ((i, j), (j, k), (k, i)):
        za, zb = h[a, 2], h[b, 2]
        if za >= near:
            x, y = h[a, 0] / za, h[a, 1] / za
            low_x, high_x = min(low_x, x), max(high_x, x)
            low_y, high_y = min(low_y, y), max(high_y, y)
        if (za >= near) != (zb >= near):
            t = (near - za) / (zb - za)
            x = (h[a, 0] + t * (h[b, 0] - h[a, 0])) / near
            y = (h[a, 1] + t * (h[b, 1] - h[a, 1])) / near
            low_x, high_x = min(low_x, x), max(high_x, x)
            low_y, high_y = min(low_y, y), max(high_y, y)
    return low_x, low_y, high_x, high_y


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(
    h: Array, faces: Array, near: float, cull: bool, face_out: Array, depth_out: Array, barycentric_out: Array
) -> None:
    height, width = face_out.shape
    count = len(h)
    screen = np.empty((count, 2))
    for v in range(count):
        z = h[v, 2]
        if z >= near:
            screen[v, 0] = h[v, 0] / z
            screen[v, 1] = h[v, 1] / z
    slack = 1e-6  # pixels; rounding of the box must never lose a pixel centre on a shared edge
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ahead = (h[i, 2] >= near) + (h[j, 2] >= near) + (h[k, 2] >= near)
        if ahead == 0:
            continue
        if ahead == 3:
            low_x = min(screen[i, 0], screen[j, 0], screen[k, 0])
            high_x = max(screen[i, 0], screen[j, 0], screen[k, 0])
            low_y = min(screen[i, 1], screen[j, 1], screen[k, 1])
            high_y = max(screen[i, 1], screen[j, 1], screen[k, 1])
        else:
            low_x, low_y, high_x, high_y = _near_box(h, i, j, k, near)
        x0 = int(np.ceil(max(low_x - slack, 0.0)))
        y0 = int(np.ceil(max(low_y - slack, 0.0)))
        x1 = int(np.floor(min(high_x + slack, width - 1.0)))
        y1 = int(np.floor(min(high_y + slack, height - 1.0)))
        if x0 > x1 or y0 > y1:
            continue
        # edge functions e0 = p·(h_j × h_k) and so on
        a0 = h[j, 1] * h[k, 2] - h[j, 2] * h[k, 1]
        b0 = h[j, 2] * h[k, 0] - h[j, 0] * h[k, 2]
        c0 = h[j, 0] * h[k, 1] - h[j, 1] * h[k, 0]
        det = h[i, 0] * a0 + h[i, 1] * b0 + h[i, 2] * c0
        if det == 0.0 or (cull and det > 0.0):  # no area; or seen from behind
            continue
        a1 = h[k, 1] * h[i, 2] - h[k, 2] * h[i, 1]
        b1 = h[k, 2] * h[i, 0] - h[k, 0] * h[i, 2]
        c1 = h[k, 0] * h[i, 1] - h[k, 1] * h[i, 0]
        a2 = h[i, 1] * h[j, 2] - h[i, 2] * h[j, 1]
        b2 = h[i, 2] * h[j, 0] - h[i, 0] * h[j, 2]
        c2 = h[i, 0] * h[j, 1] - h[i, 1] * h[j, 0]
        positive = det > 0.0
        for y in range(y0, y1 + 1):
            r0 = b0 * y + c0
            r1 = b1 * y + c1
            r2 = b2 * y + c2
            for x in range(x0, x1 + 1):
                e0 = a0 * x + r0
                e1 = a1 * x + r1
                e2 = a2 * x + r2
                if positive:
                    if e0 < 0.0 or e1 < 0.0 or e2 < 0.0:
                        continue
                elif e0 > 0.0 or e1 > 0.0 or e2 > 0.0:
                    continue
                total = e0 + e1 + e2
                if total == 0.0:
                    continue
                scale = 1.0 / total
                z = np.float32(det * scale)
                if z >= near and z < depth_out[y, x]:
                    depth_out[y, x] = z
                    face_out[y, x] = f
                    barycentric_out[y, x, 0] = e0 * scale
                    barycentric_out[y, x, 1] = e1 * scale
                    barycentric_out[y, x, 2] = e2 * scale


def interpolate(buffers: Buffers, faces: Any, values: Any) -> Array:
    """Values at the vertices carried to the pixels: ``values`` (V,C) → (H,W,C) float32, 0 where nothing is seen.

    ``faces`` (F,3) may index another list than the vertices (texture coordinates by their own faces, say).
    """
    values = np.ascontiguousarray(values, dtype=np.float32)
    faces = np.ascontiguousarray(faces, dtype=np.int64)
    if values.ndim != 2 or (len(faces) and faces.max() >= len(values)):
        raise InputError(f"values have shape {values.shape}; expected (V, C) with V above {int(faces.max())}")
    out = np.zeros((*buffers.face.shape, values.shape[1]), np.float32)
    _interpolate(buffers.face, buffers.barycentric, faces, values, out)
    return out


@njit(cache=True, nogil=True)
def _interpolate(face: Array, barycentric: Array, faces: Array, values: Array, out: Array) -> None:
    height, width = face.shape
    for y in range(height):
        for x in range(width):
            f = face[y, x]
            if f >= 0:
                for corner in range(3):
                    weight = barycentric[y, x, corner]
                    v = faces[f, corner]
                    for c in range(values.shape[1]):
                        out[y, x, c] += weight * values[v, c]
