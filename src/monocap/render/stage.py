"""A scene checked and laid out in flat lists, as the kernels read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from monocap.errors import InputError
from monocap.render.materials import KINDS, highlight
from monocap.render.raster import CUTOUT, MAX_FACES, NEAR, TWO_SIDED, Cutouts, check_mesh
from monocap.render.scene import Scene, Surface
from monocap.render.shading import compiled_vertex_normals
from monocap.render.textures import build_atlas, check_texture, linear
from monocap.types import Array

MAX_SURFACES = 1 << 14


class Stage(NamedTuple):
    """All surfaces as one list of triangles. ``vertices`` (V,3) float64 and ``faces`` (F,3), ``traits`` (F,) as in
    `raster.fill`; ``owner`` (F,) surface of each; ``part`` (F,) joint; ``normals`` (V,3); ``velocity`` (V,3) m per
    exposure; ``uv`` (U,2), ``uv_faces`` (F,3), ``atlas`` and ``texels`` as in `textures`; ``looks`` (S,10): linear RGB,
    gloss, roughness, kind, textured, person, strength of folds, metres per unit of uv."""

    vertices: Array
    faces: Array
    traits: Array
    owner: Array
    part: Array
    normals: Array
    velocity: Array
    uv: Array
    uv_faces: Array
    atlas: Array
    texels: Array
    looks: Array

    @property
    def cutouts(self) -> Cutouts:
        return Cutouts(self.uv, self.uv_faces, self.owner, self.atlas, self.texels)


def build_stage(scene: Scene) -> Stage:
    """Raises InputError, naming the surface by its number, for meshes, textures or labels that cannot be drawn."""
    if len(scene.surfaces) > MAX_SURFACES:
        raise InputError(f"{len(scene.surfaces)} surfaces; expected at most {MAX_SURFACES}")
    if scene.velocity and len(scene.velocity) != len(scene.surfaces):
        raise InputError(
            f"{len(scene.velocity)} velocities for {len(scene.surfaces)} surfaces; give one each (None where still)"
        )
    parts: list[_Part] = []
    for s, surface in enumerate(scene.surfaces):
        try:
            parts.append(_part(surface, scene.velocity[s] if scene.velocity else None))
        except InputError as error:
            raise InputError(f"surface {s} ({surface.kind}): {error}") from error
    if sum(len(p.faces) for p in parts) >= MAX_FACES:
        raise InputError(f"{sum(len(p.faces) for p in parts)} triangles; expected fewer than {MAX_FACES}")
    vertex_start = np.cumsum([0, *[len(p.vertices) for p in parts]])
    uv_start = np.cumsum([0, *[len(p.uv) for p in parts]])
    focal = max(scene.camera.fx, scene.camera.fy)
    levels = [0 if p.texture is None else _finest(p.vertices, p.faces, p.uv, p.uv_faces, p.texture.shape, focal)
              for p in parts]  # fmt: skip
    atlas = build_atlas([p.texture for p in parts], levels)
    return Stage(
        _stack([p.vertices for p in parts], (0, 3), np.float64),
        _stack([p.faces + start for p, start in zip(parts, vertex_start, strict=False)], (0, 3), np.int32),
        _stack([np.full(len(p.faces), p.traits, np.uint8) for p in parts], (0,), np.uint8),
        np.repeat(np.arange(len(parts), dtype=np.int16), [len(p.faces) for p in parts]),
        _stack([p.part for p in parts], (0,), np.int16),
        _stack([p.normals for p in parts], (0, 3), np.float32),
        _stack([p.velocity for p in parts], (0, 3), np.float32) if scene.velocity else np.zeros((0, 3), np.float32),
        _stack([p.uv for p in parts], (0, 2), np.float32),
        _stack([p.uv_faces + start for p, start in zip(parts, uv_start, strict=False)], (0, 3), np.int32),
        atlas.table,
        atlas.texels,
        np.array([p.looks for p in parts], np.float32).reshape(-1, 10),
    )


class _Part(NamedTuple):
    vertices: Array
    faces: Array
    traits: int
    part: Array
    normals: Array
    velocity: Array
    uv: Array
    uv_faces: Array
    texture: Any
    looks: tuple[float, ...]


_NO_UV = np.zeros((1, 2), np.float32)


def _part(surface: Surface, velocity: Any) -> _Part:
    if surface.kind not in KINDS:
        raise InputError(f"kind {surface.kind!r}; expected one of {', '.join(KINDS)}")
    vertices, faces = check_mesh(surface.vertices, surface.faces)
    colour = np.asarray(surface.colour, float)
    if colour.shape != (3,) or not (colour.min() >= 0 and colour.max() <= 1):
        raise InputError(f"colour {surface.colour}; expected red, green, blue in 0–1")
    normals = _checked(surface.normals, vertices.shape, np.float32, "normals")
    if normals is None:
        normals = compiled_vertex_normals(vertices, faces)
    moved = _checked(velocity, vertices.shape, np.float32, "velocity")
    part = _checked(surface.part, (len(faces),), np.int16, "part")
    traits, texture, uv, uv_faces = TWO_SIDED if surface.two_sided else 0, None, _NO_UV, np.zeros(faces.shape, np.int32)
    if surface.texture is not None:
        texture = check_texture(surface.texture)
        if surface.uv is None:
            raise InputError("a texture needs uv (Vt, 2), and uv_faces (F, 3) where they differ from faces")
        traits |= CUTOUT if texture.shape[2] == 4 else 0
    if surface.uv is not None:
        uv = np.ascontiguousarray(surface.uv, np.float32)
        given = surface.faces if surface.uv_faces is None else surface.uv_faces
        uv_faces = np.ascontiguousarray(given, np.int32)
        if uv.ndim != 2 or uv.shape[1] != 2 or uv_faces.shape != faces.shape or not np.isfinite(uv).all():
            raise InputError(f"uv {uv.shape} and uv_faces {uv_faces.shape} do not fit faces {faces.shape}")
        if len(uv_faces) and not 0 <= uv_faces.min() <= uv_faces.max() < len(uv):
            raise InputError(f"uv_faces point at {uv_faces.min()}..{uv_faces.max()}, but there are {len(uv)} uv")
    gloss, roughness = highlight(surface)
    if not 0 <= surface.folds <= 1:
        raise InputError(f"folds {surface.folds}; expected 0 to 1")
    folded = surface.kind == "cloth" and surface.folds > 0 and surface.uv is not None and len(faces) > 0
    metres = _metres(vertices, faces, uv, uv_faces) if folded else 0.0
    looks = (*linear(colour), gloss, roughness, KINDS[surface.kind], texture is not None, surface.person,
             surface.folds if metres > 0 else 0.0, metres)  # fmt: skip
    return _Part(
        vertices,
        faces.astype(np.int32),
        traits,
        np.full(len(faces), -1, np.int16) if part is None else part,
        normals,
        np.zeros(vertices.shape, np.float32) if moved is None else moved,
        uv,
        uv_faces,
        texture,
        looks,
    )


def _checked(values: Any, shape: tuple[int, ...], kind: type, name: str) -> Array | None:
    if values is None:
        return None
    out = np.ascontiguousarray(values, kind)
    if out.shape != shape or (kind is np.float32 and not np.isfinite(out).all()):
        raise InputError(f"{name} of shape {out.shape}; expected {shape}, finite")
    return out


def _stack(arrays: Sequence[Array], shape: tuple[int, ...], kind: type) -> Array:
    if not arrays:
        return np.zeros(shape, kind)
    return np.ascontiguousarray(arrays[0] if len(arrays) == 1 else np.concatenate(arrays), kind)


@njit(cache=True, nogil=True, error_model="numpy")
def _texel_share(vertices: Array, faces: Array, uv: Array, uv_faces: Array, focal: float) -> Array:
    """Of up to 256 triangles before the camera: area on the texture (0–1) over area in square pixels."""
    out = np.full(256, np.inf)
    count = 0
    for n in range(256):
        f = n * len(faces) // 256
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        z = min(vertices[i, 2], vertices[j, 2], vertices[k, 2])
        if z < NEAR:
            continue
        bx, by, bz = (vertices[j, 0] - vertices[i, 0], vertices[j, 1] - vertices[i, 1], vertices[j, 2] - vertices[i, 2])
        cx, cy, cz = (vertices[k, 0] - vertices[i, 0], vertices[k, 1] - vertices[i, 1], vertices[k, 2] - vertices[i, 2])
        nx, ny, nz = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
        pixels = np.sqrt(nx * nx + ny * ny + nz * nz) * (focal / z) ** 2
        i, j, k = uv_faces[f, 0], uv_faces[f, 1], uv_faces[f, 2]
        texels = abs((uv[j, 0] - uv[i, 0]) * (uv[k, 1] - uv[i, 1]) - (uv[k, 0] - uv[i, 0]) * (uv[j, 1] - uv[i, 1]))
        if pixels > 0.0:
            out[count] = texels / pixels
            count += 1
    return out[:count]


def _metres(vertices: Array, faces: Array, uv: Array, uv_faces: Array) -> float:
    """Metres on a surface per unit of its texture coordinates, the median of some triangles; 0 where there is none."""
    some = np.linspace(0, len(faces) - 1, min(len(faces), 64)).astype(int)
    a, b, c = (vertices[faces[some, corner]] for corner in range(3))
    p, q, r = (uv[uv_faces[some, corner]].astype(float) for corner in range(3))
    on_surface = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    on_texture = np.abs((q - p)[:, 0] * (r - p)[:, 1] - (r - p)[:, 0] * (q - p)[:, 1])
    good = on_texture > 1e-12
    return float(np.sqrt(np.median(on_surface[good] / on_texture[good]))) if good.any() else 0.0


def _finest(vertices: Array, faces: Array, uv: Array, uv_faces: Array, shape: tuple[int, ...], focal: float) -> int:
    """Finest level of detail that any triangle can need: finer ones are not even built."""
    if not len(faces):
        return 0
    shares = _texel_share(vertices, faces, uv, uv_faces, float(focal))
    if not len(shares):
        return 0
    dense = float(np.quantile(shares, 0.05)) * shape[0] * shape[1]
    return max(0, int(0.5 * np.log2(max(dense, 1e-9))))
