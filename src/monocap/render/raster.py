"""Which triangle does each pixel see, how far away, and where on it? The only rasteriser of the package.

Method: homogeneous edge functions (Olano and Greer, "Triangle Scan Conversion using 2D Homogeneous Coordinates",
1997). With h = K·v for each corner, the edge functions of a pixel p = (x, y, 1) are e_i = p · (h_j × h_k). Their
signs say whether the ray through the pixel's centre meets the triangle, e_i / Σe are the perspective-correct
barycentric coordinates and det / Σe is the depth. Triangles that cross the near plane therefore need no cutting:
clipping only bounds the pixels that are looked at, and each pixel's depth decides. Neighbouring triangles evaluate
the very same number (negated) on a shared edge, so closed meshes show no pin-holes. What is kept of a pixel is one
number (`key_of`), depth above triangle; where on the triangle it lies is worked out again by who needs it (`locate`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from monocap.errors import InputError
from monocap.render.compiled import loop, pixelwise
from monocap.render.textures import LEVELS, opacity
from monocap.types import Array, Camera

NEAR = 0.01
MAX_PIXELS = 1 << 28  # 268 megapixels: a buffer set of 5 GB; anything beyond is a mistake in the size


# A pixel's nearest triangle as one number: its depth in steps of 2^-24 m above, its index in the low 24 bits. The
# smallest key wins, so triangles may come in any order, also at the same time (an atomic minimum on a GPU).
FACE_BITS = 24
MAX_FACES = 1 << FACE_BITS
STEPS = float(1 << 24)
FARTHEST = 32767.0  # metres; beyond it only the order of the triangles decides
EMPTY = np.iinfo(np.int64).max
TWO_SIDED, CUTOUT = 1, 2  # traits of a triangle: seen from behind too; holes where its texture is transparent


class Cutouts(NamedTuple):
    """Where triangles have holes: texture coordinates, who owns a triangle, and the textures (see `textures`)."""

    uv: Array
    uv_faces: Array
    owner: Array
    atlas: Array
    texels: Array


NO_CUTOUTS = Cutouts(
    np.zeros((1, 2), np.float32),
    np.zeros((0, 3), np.int32),
    np.zeros(0, np.int16),
    np.zeros((0, LEVELS, 3), np.int32),
    np.zeros((1, 4), np.uint16),
)


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
    keys, homogeneous = visibility(vertices, faces, camera, near=near, cull=cull)
    return unpack(keys, homogeneous, np.asarray(faces))


def visibility(
    vertices: Any, faces: Any, camera: Camera, *, near: float = NEAR, cull: bool = False
) -> tuple[Array, Array]:
    """As `rasterise`, but only which triangle each pixel sees: keys (H,W) int64 (`face_of`, `depth_of`, `EMPTY`), and
    the homogeneous vertices (V,3) that `locate` needs to say where on it."""
    vertices, faces = check_mesh(vertices, faces)
    check_picture(camera, near, len(faces))
    homogeneous = vertices @ camera.K.T
    keys = empty_keys(camera.height, camera.width)
    traits = np.full(len(faces), 0 if cull else TWO_SIDED, np.uint8)
    fill(homogeneous, faces, traits, NO_CUTOUTS, float(near), False, keys)
    return keys, homogeneous


def check_picture(camera: Camera, near: float, face_count: int) -> None:
    """InputError for a picture that cannot be rasterised."""
    if camera.width < 1 or camera.height < 1 or camera.width * camera.height > MAX_PIXELS:
        raise InputError(
            f"picture of {camera.width} × {camera.height} pixels; expected 1 to {MAX_PIXELS} pixels in all"
        )
    if not (near > 0 and camera.fx > 0 and camera.fy > 0):
        raise InputError(f"near {near}, fx {camera.fx}, fy {camera.fy}; all three must be above 0")
    if face_count >= MAX_FACES:
        raise InputError(f"{face_count} triangles; expected fewer than {MAX_FACES} in one picture")


def empty_keys(height: int, width: int) -> Array:
    """(H,W) int64 for `fill`: nothing seen yet."""
    return np.full((height, width), EMPTY, np.int64)


@pixelwise
def key_of(z: float, f: int) -> Any:
    return (np.int64(min(z, FARTHEST) * STEPS) << FACE_BITS) | np.int64(f)


@pixelwise
def face_of(key: Any) -> Any:
    return key & (MAX_FACES - 1)


@pixelwise
def depth_of(key: Any) -> float:
    """Metres, to 2^-24 m."""
    return (key >> FACE_BITS) / STEPS


@pixelwise
def _near_box(h: Array, i: int, j: int, k: int, near: float) -> tuple[float, float, float, float]:
    """Box on the picture of the part of triangle i, j, k that lies beyond the near plane (not empty)."""
    low_x, low_y, high_x, high_y = np.inf, np.inf, -np.inf, -np.inf
    for side in range(3):
        a, b = i, j
        if side == 1:
            a, b = j, k
        elif side == 2:
            a, b = k, i
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


@pixelwise
def box(
    h: Array, screen: Array, i: int, j: int, k: int, near: float, width: int, height: int
) -> tuple[int, int, int, int]:
    """Pixels x0, y0, x1, y1 (inclusive) whose centres triangle i, j, k may cover; x0 > x1 or y0 > y1: none."""
    ahead = (h[i, 2] >= near) + (h[j, 2] >= near) + (h[k, 2] >= near)
    if ahead == 0:
        return 1, 1, 0, 0
    if ahead == 3:
        low_x = min(screen[i, 0], screen[j, 0], screen[k, 0])
        high_x = max(screen[i, 0], screen[j, 0], screen[k, 0])
        low_y = min(screen[i, 1], screen[j, 1], screen[k, 1])
        high_y = max(screen[i, 1], screen[j, 1], screen[k, 1])
    else:
        low_x, low_y, high_x, high_y = _near_box(h, i, j, k, near)
    slack = 1e-6  # pixels; rounding of the box must never lose a pixel centre on a shared edge
    # int: on a GPU math.floor gives a float
    x0 = int(math.ceil(min(max(low_x - slack, 0.0), float(width))))  # noqa: RUF046
    y0 = int(math.ceil(min(max(low_y - slack, 0.0), float(height))))  # noqa: RUF046
    x1 = int(math.floor(max(min(high_x + slack, width - 1.0), -1.0)))  # noqa: RUF046
    y1 = int(math.floor(max(min(high_y + slack, height - 1.0), -1.0)))  # noqa: RUF046
    return x0, y0, x1, y1


@pixelwise
def edge(h: Array, j: int, k: int) -> tuple[float, float, float]:
    """a, b, c of the edge function a·x + b·y + c of the side from corner j to corner k."""
    return (
        h[j, 1] * h[k, 2] - h[j, 2] * h[k, 1],
        h[j, 2] * h[k, 0] - h[j, 0] * h[k, 2],
        h[j, 0] * h[k, 1] - h[j, 1] * h[k, 0],
    )


@pixelwise
def locate(h: Array, i: int, j: int, k: int, x: float, y: float) -> tuple[float, float, float]:
    """Perspective-correct weights of corners i, j, k at picture point x, y (where the triangle is seen)."""
    a0, b0, c0 = edge(h, j, k)
    a1, b1, c1 = edge(h, k, i)
    a2, b2, c2 = edge(h, i, j)
    e0 = a0 * x + (b0 * y + c0)
    e1 = a1 * x + (b1 * y + c1)
    e2 = a2 * x + (b2 * y + c2)
    scale = 1.0 / (e0 + e1 + e2)
    return e0 * scale, e1 * scale, e2 * scale


@pixelwise
def cover(e0: float, e1: float, e2: float, det: float, near: float) -> float:
    """Depth of a triangle at a pixel from its edge functions there; -1 where it does not cover the pixel."""
    if det > 0.0:
        if e0 < 0.0 or e1 < 0.0 or e2 < 0.0:
            return -1.0
    elif e0 > 0.0 or e1 > 0.0 or e2 > 0.0:
        return -1.0
    total = e0 + e1 + e2
    if total == 0.0:
        return -1.0
    z = det * (1.0 / total)
    return z if z >= near else -1.0


@pixelwise
def solid(
    cutouts: Cutouts, h: Array, faces: Array, f: int, b0: float, b1: float, b2: float, x: int, y: int, dither: bool
) -> bool:
    """Is a cut-out triangle there at a sample? ``dither``: the share of a pixel's 2 × 2 samples follows opacity."""
    i, j, k = cutouts.uv_faces[f, 0], cutouts.uv_faces[f, 1], cutouts.uv_faces[f, 2]
    uv = cutouts.uv
    u = b0 * uv[i, 0] + b1 * uv[j, 0] + b2 * uv[k, 0]
    v = b0 * uv[i, 1] + b1 * uv[j, 1] + b2 * uv[k, 1]
    surface = cutouts.owner[f]
    # one level of detail for the triangle: its area on the texture over that on the picture
    on_texture = abs((uv[j, 0] - uv[i, 0]) * (uv[k, 1] - uv[i, 1]) - (uv[k, 0] - uv[i, 0]) * (uv[j, 1] - uv[i, 1])) * (
        cutouts.atlas[surface, 0, 1] * cutouts.atlas[surface, 0, 2]
    )
    p, q, r = faces[f, 0], faces[f, 1], faces[f, 2]
    ax, ay = h[q, 0] / h[q, 2] - h[p, 0] / h[p, 2], h[q, 1] / h[q, 2] - h[p, 1] / h[p, 2]
    bx, by = h[r, 0] / h[r, 2] - h[p, 0] / h[p, 2], h[r, 1] / h[r, 2] - h[p, 1] / h[p, 2]
    on_picture = max(abs(ax * by - ay * bx), 1e-9)
    level = 0.5 * math.log2(max(on_texture / on_picture, 1e-9))
    threshold = 0.5
    if dither:
        threshold = 0.125 + 0.25 * ((2 * (x & 1) + 3 * (y & 1)) & 3)
    return opacity(cutouts.texels, cutouts.atlas, surface, u, v, level) >= threshold


@pixelwise
def project(h: Array, near: float, screen: Array, v: int) -> None:
    z = h[v, 2]
    if z >= near:
        screen[v, 0] = h[v, 0] / z
        screen[v, 1] = h[v, 1] / z


def fill(h: Array, faces: Array, traits: Array, cutouts: Cutouts, near: float, dither: bool, keys: Array) -> None:
    """Lower ``keys`` (H,W) to the nearest triangle at each sample: the processor's loop; `cuda` has the other."""
    _fill(h, np.empty((len(h), 2)), faces, traits, cutouts, near, dither, keys)


@loop
def _fill(
    h: Array, screen: Array, faces: Array, traits: Array, cutouts: Cutouts, near: float, dither: bool, keys: Array
) -> None:
    height, width = keys.shape
    for v in range(len(h)):
        project(h, near, screen, v)
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, y0, x1, y1 = box(h, screen, i, j, k, near, width, height)
        if x0 > x1 or y0 > y1:
            continue
        a0, b0, c0 = edge(h, j, k)
        det = h[i, 0] * a0 + h[i, 1] * b0 + h[i, 2] * c0
        if det == 0.0 or (det > 0.0 and not traits[f] & TWO_SIDED):  # no area; or seen from behind
            continue
        a1, b1, c1 = edge(h, k, i)
        a2, b2, c2 = edge(h, i, j)
        for y in range(y0, y1 + 1):
            r0, r1, r2 = b0 * y + c0, b1 * y + c1, b2 * y + c2
            for x in range(x0, x1 + 1):
                e0, e1, e2 = a0 * x + r0, a1 * x + r1, a2 * x + r2
                z = cover(e0, e1, e2, det, near)
                if z < 0.0:
                    continue
                key = key_of(z, f)
                if key >= keys[y, x]:
                    continue
                if traits[f] & CUTOUT:
                    scale = 1.0 / (e0 + e1 + e2)
                    if not solid(cutouts, h, faces, f, e0 * scale, e1 * scale, e2 * scale, x, y, dither):
                        continue
                keys[y, x] = key


def unpack(keys: Array, homogeneous: Array, faces: Array) -> Buffers:
    """What the keys say, as maps."""
    buffers = Buffers(
        np.full(keys.shape, -1, np.int32),
        np.full(keys.shape, np.inf, np.float32),
        np.zeros((*keys.shape, 3), np.float32),
    )
    _unpack(keys, homogeneous, faces, buffers.face, buffers.depth, buffers.barycentric)
    return buffers


@loop
def _unpack(keys: Array, h: Array, faces: Array, face: Array, depth: Array, barycentric: Array) -> None:
    for y in range(keys.shape[0]):
        for x in range(keys.shape[1]):
            if keys[y, x] != EMPTY:
                f = face_of(keys[y, x])
                i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
                a, b, c = locate(h, i, j, k, x, y)
                face[y, x] = f
                depth[y, x] = a * h[i, 2] + b * h[j, 2] + c * h[k, 2]
                barycentric[y, x, 0], barycentric[y, x, 1], barycentric[y, x, 2] = a, b, c


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
