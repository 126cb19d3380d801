"""What colour is each pixel? Smooth normals, one key light over a hemisphere, texture or plain colour, soft edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit

from monocap.errors import InputError
from monocap.render.raster import (
    EMPTY,
    NEAR,
    Buffers,
    check_mesh,
    depth_of,
    face_of,
    interpolate,
    locate,
    visibility,
)
from monocap.render.textures import LINEAR, SRGB, linear
from monocap.types import Array, Camera

NEUTRAL = (0.74, 0.76, 0.80)


@dataclass(frozen=True)
class Mesh:
    """One body to be drawn.

    ``vertices`` (V,3) metres, camera frame; ``faces`` (F,3), corners counter-clockwise seen from outside. With a
    ``texture`` (H,W,3) uint8 RGB, ``uv`` (Vt,2) and ``uv_faces`` (F,3) say where on it each corner lies (0–1, v
    upwards as in OBJ files; outside 0–1 it repeats); without one the mesh has the plain ``colour`` (RGB 0–1, sRGB).
    """

    vertices: Any
    faces: Any
    colour: tuple[float, float, float] = NEUTRAL
    uv: Any = None
    uv_faces: Any = None
    texture: Any = None


@dataclass(frozen=True)
class Light:
    """A distant key light over a hemisphere of sky and ground light.

    ``towards`` and ``up`` are directions in the camera frame (pointing at the light, and at the sky); ``key``,
    ``sky`` and ``ground`` are linear intensities: a white surface that faces key and sky shows key + sky.
    """

    towards: tuple[float, float, float] = (-0.6, -0.75, -0.45)
    up: tuple[float, float, float] = (0.0, -1.0, 0.0)
    key: float = 0.82
    sky: float = 0.3
    ground: float = 0.12


@dataclass(frozen=True)
class Drawing:
    """A rendered picture: ``colour`` (H,W,3) uint8 sRGB, ``coverage`` (H,W) float32 0–1 (how much of the pixel the
    meshes fill), ``mesh`` (H,W) int32 index of the nearest mesh at the pixel's first covered sample, -1 for none.
    ``colour`` is that of the covered part alone, not darkened by what lies behind."""

    colour: Array
    coverage: Array
    mesh: Array


@dataclass(frozen=True)
class _Scene:
    """Several meshes as one list of triangles, in the form that the kernels read."""

    vertices: Array
    faces: Array
    first_face: Array
    normals: Array
    uv: Array
    uv_faces: Array
    texels: Array
    atlas: Array  # (M,3): first texel, height, width; width 0 for plain colour
    colours: Array


def vertex_normals(vertices: Any, faces: Any) -> Array:
    """Unit normals (V,3) float32, area-weighted means over the triangles at each vertex, pointing out of the mesh.

    ``vertices`` (V,3), ``faces`` (F,3) counter-clockwise seen from outside. Vertices without a triangle get 0.
    """
    vertices, faces = check_mesh(vertices, faces)
    return compiled_vertex_normals(vertices, faces)


@njit(cache=True, nogil=True)
def compiled_vertex_normals(vertices: Array, faces: Array) -> Array:
    total = np.zeros((len(vertices), 3))
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = (vertices[j, 0] - vertices[i, 0], vertices[j, 1] - vertices[i, 1], vertices[j, 2] - vertices[i, 2])
        bx, by, bz = (vertices[k, 0] - vertices[i, 0], vertices[k, 1] - vertices[i, 1], vertices[k, 2] - vertices[i, 2])
        nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for v in (i, j, k):
            total[v, 0] += nx
            total[v, 1] += ny
            total[v, 2] += nz
    out = np.zeros((len(vertices), 3), np.float32)
    for v in range(len(vertices)):
        length = np.sqrt(total[v, 0] ** 2 + total[v, 1] ** 2 + total[v, 2] ** 2)
        if length > 0.0:
            for c in range(3):
                out[v, c] = total[v, c] / length
    return out


def normal_map(buffers: Buffers, vertices: Any, faces: Any) -> Array:
    """Smooth unit normals per pixel (H,W,3) float32, frame of ``vertices``; 0 where nothing is seen."""
    smooth = interpolate(buffers, faces, vertex_normals(vertices, faces))
    length = np.linalg.norm(smooth, axis=-1, keepdims=True)
    return np.divide(smooth, length, out=np.zeros_like(smooth), where=length > 0)


def draw(
    meshes: Sequence[Mesh],
    camera: Camera,
    *,
    light: Light | None = None,
    supersample: int = 2,
    near: float = NEAR,
    cull: bool = False,
) -> Drawing:
    """Draw meshes with a pinhole camera, the nearest in front, with soft edges (``supersample``² samples a pixel).

    Inside a surface one sample is shaded per pixel; where the samples of a pixel disagree (outlines, an arm before
    the chest) all are shaded and averaged. ``cull`` leaves out triangles seen from behind: the same picture of closed
    meshes in half the time. Raises InputError as `monocap.render.raster.rasterise` does.
    """
    light = light or Light()
    n = int(supersample)
    shape = (camera.height, camera.width)
    drawing = Drawing(np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.float32), np.full(shape, -1, np.int32))
    if not meshes:
        return drawing
    if not 1 <= n <= 8:
        raise InputError(f"supersample {supersample}; expected 1 to 8 samples along a pixel's side")
    scene = _scene(meshes)
    offset = (n - 1) / 2  # the centre of an n × n block of samples is the centre of the pixel
    cx, cy = camera.cx * n + offset, camera.cy * n + offset
    fine = Camera(camera.fx * n, camera.fy * n, cx, cy, camera.width * n, camera.height * n)
    keys, homogeneous = visibility(scene.vertices, scene.faces, fine, near=near, cull=cull)
    _resolve(
        n,
        keys,
        homogeneous,
        scene.faces,
        scene.first_face,
        scene.normals,
        scene.uv,
        scene.uv_faces,
        scene.texels,
        scene.atlas,
        scene.colours,
        _rig(light),
        np.array([fine.fx, fine.fy, fine.cx, fine.cy]),
        LINEAR,
        SRGB,
        drawing.colour,
        drawing.coverage,
        drawing.mesh,
    )
    return drawing


def _rig(light: Light) -> Array:
    towards, up = np.asarray(light.towards, float), np.asarray(light.up, float)
    if not (np.linalg.norm(towards) > 0 and np.linalg.norm(up) > 0):
        raise InputError("a light needs directions `towards` and `up` that are not zero")
    rows = [towards / np.linalg.norm(towards), up / np.linalg.norm(up), [light.key, light.sky, light.ground]]
    return np.array(rows, np.float32)


def _scene(meshes: Sequence[Mesh]) -> _Scene:
    checked = []
    for mesh in meshes:
        vertices, faces = check_mesh(mesh.vertices, mesh.faces)
        checked.append(replace(mesh, vertices=vertices, faces=faces))
    vertex_start = np.cumsum([0, *[len(m.vertices) for m in checked]])
    uv, uv_faces, texels, atlas, uv_start = [], [], [], [], 0
    known: dict[int, tuple[int, int, int]] = {}
    texel_count = 0
    for m in checked:
        if m.texture is None:
            uv_faces.append(np.zeros((len(m.faces), 3), np.int64))
            atlas.append((0, 0, 0))
            continue
        texture = np.asarray(m.texture)
        if texture.ndim != 3 or texture.shape[2] != 3 or texture.dtype != np.uint8:
            raise InputError(f"texture of shape {texture.shape} {texture.dtype}; expected (H, W, 3) uint8 RGB")
        if m.uv is None:
            raise InputError("a mesh with a texture needs uv (Vt, 2), and uv_faces (F, 3) where they differ from faces")
        u = np.asarray(m.uv, np.float32)
        uf = np.asarray(m.faces if m.uv_faces is None else m.uv_faces, np.int64)
        if u.ndim != 2 or u.shape[1] != 2 or uf.shape != m.faces.shape or (len(uf) and uf.max() >= len(u)):
            raise InputError(f"uv {u.shape} and uv_faces {uf.shape} do not fit faces {m.faces.shape}")
        if id(m.texture) not in known:
            known[id(m.texture)] = (texel_count, texture.shape[0], texture.shape[1])
            texel_count += texture.shape[0] * texture.shape[1]
            texels.append(np.ascontiguousarray(texture).reshape(-1, 3))
        atlas.append(known[id(m.texture)])
        uv.append(u)
        uv_faces.append(uf + uv_start)
        uv_start += len(u)
    return _Scene(
        vertices=_stack([m.vertices for m in checked]),
        faces=_stack([m.faces + start for m, start in zip(checked, vertex_start, strict=False)]),
        first_face=np.cumsum([0, *[len(m.faces) for m in checked]]),
        normals=_stack([compiled_vertex_normals(m.vertices, m.faces) for m in checked]),
        uv=_stack(uv) if uv else np.zeros((1, 2), np.float32),
        uv_faces=_stack(uv_faces),
        texels=_stack(texels) if texels else np.zeros((1, 3), np.uint8),
        atlas=np.array(atlas, np.int64),
        colours=_linear_colours([m.colour for m in checked]),
    )


def _stack(arrays: list[Array]) -> Array:
    """One array; a single large texture is not copied for every frame."""
    return np.ascontiguousarray(arrays[0]) if len(arrays) == 1 else np.concatenate(arrays)


def _linear_colours(colours: Sequence[Sequence[float]]) -> Array:
    srgb = np.asarray(colours, np.float64)
    if srgb.shape != (len(colours), 3) or srgb.min() < 0 or srgb.max() > 1:
        raise InputError(f"colours {colours}; expected red, green, blue in 0–1 for each mesh")
    return linear(srgb)


@njit(cache=True, nogil=True, error_model="numpy")
def _shade(
    f: int,
    mesh: int,
    b0: Any,  # float32
    b1: Any,
    b2: Any,
    ray_x: float,
    ray_y: float,
    faces: Array,
    normals: Array,
    uv: Array,
    uv_faces: Array,
    texels: Array,
    atlas: Array,
    colours: Array,
    rig: Array,
    to_linear: Array,
) -> tuple[float, float, float]:
    """Linear RGB of one sample."""
    i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
    nx = b0 * normals[i, 0] + b1 * normals[j, 0] + b2 * normals[k, 0]
    ny = b0 * normals[i, 1] + b1 * normals[j, 1] + b2 * normals[k, 1]
    nz = b0 * normals[i, 2] + b1 * normals[j, 2] + b2 * normals[k, 2]
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    if length > 0.0:
        nx, ny, nz = nx / length, ny / length, nz / length
    if nx * ray_x + ny * ray_y + nz > 0.2:  # clearly the inside of the surface: light it as if it were turned round
        nx, ny, nz = -nx, -ny, -nz
    key = nx * rig[0, 0] + ny * rig[0, 1] + nz * rig[0, 2]
    key = max(key, 0.0) * rig[2, 0]
    sky = 0.5 + 0.5 * (nx * rig[1, 0] + ny * rig[1, 1] + nz * rig[1, 2])
    intensity = key + rig[2, 1] * sky + rig[2, 2] * (1.0 - sky)
    width = atlas[mesh, 2]
    if width == 0:
        return colours[mesh, 0] * intensity, colours[mesh, 1] * intensity, colours[mesh, 2] * intensity
    first, height = atlas[mesh, 0], atlas[mesh, 1]
    i, j, k = uv_faces[f, 0], uv_faces[f, 1], uv_faces[f, 2]
    u = b0 * uv[i, 0] + b1 * uv[j, 0] + b2 * uv[k, 0]
    v = b0 * uv[i, 1] + b1 * uv[j, 1] + b2 * uv[k, 1]
    tx = (u - np.floor(u)) * width - 0.5
    ty = (1.0 - (v - np.floor(v))) * height - 0.5
    x0, y0 = int(np.floor(tx)), int(np.floor(ty))
    fx, fy = tx - x0, ty - y0
    xa, xb = max(x0, 0), min(x0 + 1, width - 1)
    ya, yb = first + max(y0, 0) * width, first + min(y0 + 1, height - 1) * width
    w00, w01, w10, w11 = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    red = (
        w00 * to_linear[texels[ya + xa, 0]]
        + w01 * to_linear[texels[ya + xb, 0]]
        + w10 * to_linear[texels[yb + xa, 0]]
        + w11 * to_linear[texels[yb + xb, 0]]
    )
    green = (
        w00 * to_linear[texels[ya + xa, 1]]
        + w01 * to_linear[texels[ya + xb, 1]]
        + w10 * to_linear[texels[yb + xa, 1]]
        + w11 * to_linear[texels[yb + xb, 1]]
    )
    blue = (
        w00 * to_linear[texels[ya + xa, 2]]
        + w01 * to_linear[texels[ya + xb, 2]]
        + w10 * to_linear[texels[yb + xa, 2]]
        + w11 * to_linear[texels[yb + xb, 2]]
    )
    return red * intensity, green * intensity, blue * intensity


@njit(cache=True, nogil=True, error_model="numpy")
def _resolve(
    n: int,
    keys: Array,
    homogeneous: Array,
    faces: Array,
    first_face: Array,
    normals: Array,
    uv: Array,
    uv_faces: Array,
    texels: Array,
    atlas: Array,
    colours: Array,
    rig: Array,
    camera: Array,
    to_linear: Array,
    srgb: Array,
    colour_out: Array,
    coverage_out: Array,
    mesh_out: Array,
) -> None:
    height, width = coverage_out.shape
    for y in range(height):
        for x in range(width):
            covered = 0
            nearest, farthest = np.inf, 0.0
            for dy in range(n):
                for dx in range(n):
                    key = keys[y * n + dy, x * n + dx]
                    if key != EMPTY:
                        covered += 1
                        z = depth_of(key)
                        nearest, farthest = min(nearest, z), max(farthest, z)
            if covered == 0:
                continue
            # one sample stands for all of them where they see one surface
            shaded = covered if (covered < n * n or farthest > 1.02 * nearest) else 1
            red, green, blue, done = 0.0, 0.0, 0.0, 0
            for s in range(n * n):
                sy, sx = y * n + s // n, x * n + s % n
                if keys[sy, sx] == EMPTY:
                    continue
                f = face_of(keys[sy, sx])
                mesh = 0
                while f >= first_face[mesh + 1]:
                    mesh += 1
                if done == 0:
                    mesh_out[y, x] = mesh
                b0, b1, b2 = locate(homogeneous, faces[f, 0], faces[f, 1], faces[f, 2], sx, sy)
                r, g, b = _shade(
                    f,
                    mesh,
                    np.float32(b0),
                    np.float32(b1),
                    np.float32(b2),
                    (sx - camera[2]) / camera[0],
                    (sy - camera[3]) / camera[1],
                    faces,
                    normals,
                    uv,
                    uv_faces,
                    texels,
                    atlas,
                    colours,
                    rig,
                    to_linear,
                )
                red, green, blue = red + r, green + g, blue + b
                done += 1
                if done == shaded:
                    break
            coverage_out[y, x] = covered / (n * n)
            colour_out[y, x, 0] = np.uint8(srgb[min(int(red / done * 4095 + 0.5), 4095)] + 0.5)
            colour_out[y, x, 1] = np.uint8(srgb[min(int(green / done * 4095 + 0.5), 4095)] + 0.5)
            colour_out[y, x, 2] = np.uint8(srgb[min(int(blue / done * 4095 + 0.5), 4095)] + 0.5)
