"""What hides the light: shadow maps of the lamps, and height maps that say how much of the sky a point sees.

A lamp is distant, so its shadow map is what a far camera in its direction sees (`raster.fill` once more). Looked up
with a penumbra that grows with the distance to what casts the shadow (percentage-closer soft shadows, Fernando 2005),
against the plane of the receiver, so that surfaces do not speckle themselves. Ambient light comes from `WAYS`
directions, each with a coarse map of the highest surface along it: under arms, between legs and around feet it is dim.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from monocap.errors import InputError
from monocap.render.compiled import loop, pixelwise
from monocap.render.raster import EMPTY, Cutouts, depth_of, empty_keys
from monocap.render.scene import Lamp
from monocap.types import Array

AWAY = 300.0  # metres from the scene to a lamp's camera
WAYS = 12  # directions of ambient light
CELLS = 64  # of a height map along a side
GOLDEN = 2.399963229728653  # radians: points turned on by it fill a disc evenly
_COS, _SIN = math.cos(GOLDEN), math.sin(GOLDEN)
SEARCH_TAPS, SHADOW_TAPS = 8, 14


class Lights(NamedTuple):
    """Light as the kernels read it; directions in the camera frame, metres.

    ``lamps`` (L,8): direction, linear RGB, tangent of the half-angle, number of its shadow map or -1; ``depth``
    (M,R,R) from the lamp's camera; ``frames`` (M,3,3) rows right, down, towards the lamp; ``views`` (M,7): middle
    (3), focal length, principal point x and y, metres per texel; ``ways`` (D,3,3) rows right, down, direction;
    ``heights`` (D,Q,Q) of the highest surface along each; ``cells`` (4,): middle, metres per cell; ``sky``, ``ground``
    linear RGB; ``up``; ``tones`` (D,3): ambient RGB from each direction.
    """

    lamps: Array
    depth: Array
    frames: Array
    views: Array
    ways: Array
    heights: Array
    cells: Array
    sky: Array
    ground: Array
    up: Array
    tones: Array


def basis(direction: Array) -> Array:
    """(…,3,3) rows right, down, direction: right-handed frames about unit vectors (…,3)."""
    x, y, z = np.moveaxis(np.asarray(direction), -1, 0)
    # without a case for any direction but -z (Duff and others, "Building an Orthonormal Basis, Revisited", 2017)
    sign = np.where(z >= 0, 1.0, -1.0)
    a = -1.0 / (sign + z)
    b = x * y * a
    right = np.stack([1 + sign * x * x * a, sign * b, -sign * x], axis=-1)
    down = np.stack([b, sign + y * y * a, -y], axis=-1)
    return np.stack([right, down, np.asarray(direction)], axis=-2)


def _sphere(count: int, up: Array) -> Array:
    """Evenly spread unit vectors (count,3) around ``up``."""
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = GOLDEN * np.arange(count)
    flat = np.sqrt(1 - height**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=-1) @ basis(up)


def unit(direction: Sequence[float] | Array, name: str) -> Array:
    """A direction of length 1. Raises InputError for one that is zero or not finite."""
    vector = np.asarray(direction, float)
    if vector.shape != (3,) or not np.isfinite(vector).all() or not np.linalg.norm(vector) > 0:
        raise InputError(f"{name} is {direction}; expected a direction of three numbers, not all 0")
    return vector / np.linalg.norm(vector)


def build_lights(
    fill: Any,
    lamps: Sequence[Lamp],
    sky: Array,
    ground: Array,
    up: Array,
    vertices: Array,
    faces: Array,
    traits: Array,
    cutouts: Cutouts,
    seen: Array,
    resolution: int,
    shadows: bool,
) -> Lights:
    """Lamps and maps for a scene. ``fill``: `raster.fill`, or its like on a GPU; ``vertices`` (V,3), ``faces`` (F,3):
    everything that casts shadows; ``seen`` (N,3): points of the picture that may receive them, which the maps are
    aimed at. ``shadows=False``: no maps at all."""
    rows, frames, views, maps = [], [], [], []
    used = vertices if shadows and len(faces) and len(seen) else np.zeros((0, 3))
    for lamp in lamps:
        towards = unit(lamp.towards, "a lamp's direction `towards`")
        number = -1
        if lamp.shadows and len(used):
            frame = basis(towards)
            window = _window(used @ frame[:2].T, seen @ frame[:2].T)
            if window is not None:
                middle = window[0] @ frame[:2] + np.dot(frame[2], used.mean(axis=0)) * frame[2]
                focal = (resolution / 2 - 1) * AWAY / window[1]
                maps.append(_depths(fill, vertices, faces, traits, cutouts, frame, middle, focal, resolution))
                number = len(frames)
                frames.append(frame)
                views.append([*middle, focal, (resolution - 1) / 2, (resolution - 1) / 2, AWAY / focal])
        rows.append([*towards, *lamp.colour, np.tan(min(max(lamp.size, 0.0), 1.2)), number])
    ways = basis(_sphere(WAYS, up))
    height = 0.5 + 0.5 * ways[:, 2] @ up
    tones = height[:, None] * sky + (1 - height[:, None]) * ground
    heights, cells = np.zeros((0, 1, 1), np.float32), np.zeros(4)
    if len(used):
        low, high = (
            np.maximum(used.min(axis=0), seen.min(axis=0) - 1),
            np.minimum(used.max(axis=0), seen.max(axis=0) + 1),
        )
        half = max(float(np.linalg.norm(high - low)) / 2, 0.1)
        cells = np.array([*(low + high) / 2, 2 * half / (CELLS - 2)])
        heights = np.full((WAYS, CELLS, CELLS), -1e9, np.float32)
        _splat(vertices, faces, ways.astype(np.float32), cells.astype(np.float32), heights)
    return Lights(
        np.array(rows, np.float32).reshape(-1, 8),
        np.array(maps, np.float32).reshape(-1, resolution, resolution),
        np.array(frames, np.float32).reshape(-1, 3, 3),
        np.array(views, np.float32).reshape(-1, 7),
        ways.astype(np.float32),
        heights,
        cells.astype(np.float32),
        sky.astype(np.float32),
        ground.astype(np.float32),
        up.astype(np.float32),
        tones.astype(np.float32),
    )


def _window(casters: Array, seen: Array) -> tuple[Array, float] | None:
    """Middle (2,) and half-width of what both cast and receive, in the plane across the light; None: nothing does."""
    low = np.maximum(casters.min(axis=0), seen.min(axis=0) - 0.05)
    high = np.minimum(casters.max(axis=0), seen.max(axis=0) + 0.05)
    if (low >= high).any():
        return None
    return (low + high) / 2, float((high - low).max()) / 2 * 1.02 + 0.01


def _depths(
    fill: Any,
    vertices: Array,
    faces: Array,
    traits: Array,
    cutouts: Cutouts,
    frame: Array,
    middle: Array,
    focal: float,
    resolution: int,
) -> Array:
    """(R,R) float32 metres from a lamp's camera to the nearest surface; far beyond everything where there is none."""
    local = (vertices - middle) @ frame.T
    z = AWAY - local[:, 2]
    centre = (resolution - 1) / 2
    h = np.stack([focal * local[:, 0] + centre * z, focal * local[:, 1] + centre * z, z], axis=1)
    keys = empty_keys(resolution, resolution)
    fill(h, faces, traits, cutouts, AWAY / 2, False, keys)
    out = np.empty((resolution, resolution), np.float32)
    _to_depth(keys, out)
    return out


@loop
def _to_depth(keys: Array, out: Array) -> None:
    for y in range(keys.shape[0]):
        for x in range(keys.shape[1]):
            out[y, x] = 2 * AWAY if keys[y, x] == EMPTY else depth_of(keys[y, x])


@loop
def _splat(vertices: Array, faces: Array, ways: Array, cells: Array, heights: Array) -> None:
    """Points of every triangle, about a cell apart, raise the height maps; of finely meshed parts only some."""
    step = cells[3]
    owed = 1.0
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = (vertices[i, 0] - cells[0], vertices[i, 1] - cells[1], vertices[i, 2] - cells[2])
        bx, by, bz = (vertices[j, 0] - vertices[i, 0], vertices[j, 1] - vertices[i, 1], vertices[j, 2] - vertices[i, 2])
        cx, cy, cz = (vertices[k, 0] - vertices[i, 0], vertices[k, 1] - vertices[i, 1], vertices[k, 2] - vertices[i, 2])
        nx, ny, nz = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
        owed += min(np.sqrt(nx * nx + ny * ny + nz * nz) / (step * step), 1.0) * 1.6 + 0.02
        if owed < 1.0:
            continue
        owed = max(owed - 1.0, 0.0) if owed < 3.0 else 0.0
        longest = max(
            bx * bx + by * by + bz * bz,
            cx * cx + cy * cy + cz * cz,
            (bx - cx) ** 2 + (by - cy) ** 2 + (bz - cz) ** 2,
        )
        parts = min(int(np.sqrt(longest) / step) + 1, 2 * CELLS)
        for s in range(parts):
            for t in range(parts - s):
                u, v = (s + 1.0 / 3.0) / parts, (t + 1.0 / 3.0) / parts
                x, y, z = ax + u * bx + v * cx, ay + u * by + v * cy, az + u * bz + v * cz
                for d in range(len(ways)):
                    px = (ways[d, 0, 0] * x + ways[d, 0, 1] * y + ways[d, 0, 2] * z) / step + 0.5 * CELLS - 0.5
                    py = (ways[d, 1, 0] * x + ways[d, 1, 1] * y + ways[d, 1, 2] * z) / step + 0.5 * CELLS - 0.5
                    if px < 0.0 or py < 0.0 or px >= CELLS - 1.0 or py >= CELLS - 1.0:
                        continue
                    height = np.float32(ways[d, 2, 0] * x + ways[d, 2, 1] * y + ways[d, 2, 2] * z)
                    ix, iy = int(px), int(py)
                    for oy in range(2):
                        for ox in range(2):
                            if heights[d, iy + oy, ix + ox] < height:
                                heights[d, iy + oy, ix + ox] = height


@pixelwise
def ambient(
    lights: Lights, px: float, py: float, pz: float, nx: float, ny: float, nz: float
) -> tuple[float, float, float, float]:
    """Linear RGB that a white surface at p with normal n gets from sky and ground, and the open share 0–1 of them."""
    up = lights.up
    sky = 0.5 + 0.5 * (nx * up[0] + ny * up[1] + nz * up[2])
    red = lights.sky[0] * sky + lights.ground[0] * (1.0 - sky)
    green = lights.sky[1] * sky + lights.ground[1] * (1.0 - sky)
    blue = lights.sky[2] * sky + lights.ground[2] * (1.0 - sky)
    if len(lights.heights) == 0:
        return red, green, blue, 1.0
    step = lights.cells[3]
    out = 0.6 * step + 0.004
    x, y, z = px + out * nx - lights.cells[0], py + out * ny - lights.cells[1], pz + out * nz - lights.cells[2]
    reach = 0.5 * step * CELLS
    if abs(x) > 2.5 * reach or abs(y) > 2.5 * reach or abs(z) > 2.5 * reach:
        return red, green, blue, 1.0
    total, free = 1e-9, 0.0
    ways = lights.ways
    full_r, full_g, full_b, got_r, got_g, got_b = 1e-9, 1e-9, 1e-9, 0.0, 0.0, 0.0
    for d in range(len(ways)):
        facing = nx * ways[d, 2, 0] + ny * ways[d, 2, 1] + nz * ways[d, 2, 2]
        if facing <= 0.02:
            continue
        total += facing
        full_r += facing * lights.tones[d, 0]
        full_g += facing * lights.tones[d, 1]
        full_b += facing * lights.tones[d, 2]
        open_share = 1.0
        u = (ways[d, 0, 0] * x + ways[d, 0, 1] * y + ways[d, 0, 2] * z) / step + 0.5 * CELLS - 0.5
        v = (ways[d, 1, 0] * x + ways[d, 1, 1] * y + ways[d, 1, 2] * z) / step + 0.5 * CELLS - 0.5
        if u >= 0.0 and v >= 0.0 and u < CELLS - 1.0 and v < CELLS - 1.0:
            height = ways[d, 2, 0] * x + ways[d, 2, 1] * y + ways[d, 2, 2] * z
            slope = math.sqrt(max(1.0 - facing * facing, 0.0)) / max(facing, 0.3)
            bias = step * (0.25 + 0.9 * slope)
            iu, iv = int(u), int(v)
            fu, fv = u - iu, v - iv
            soft = 1.0 / step
            a = min(max((lights.heights[d, iv, iu] - height - bias) * soft, 0.0), 1.0)
            b = min(max((lights.heights[d, iv, iu + 1] - height - bias) * soft, 0.0), 1.0)
            c = min(max((lights.heights[d, iv + 1, iu] - height - bias) * soft, 0.0), 1.0)
            e = min(max((lights.heights[d, iv + 1, iu + 1] - height - bias) * soft, 0.0), 1.0)
            open_share = 1.0 - ((a * (1.0 - fu) + b * fu) * (1.0 - fv) + (c * (1.0 - fu) + e * fu) * fv)
        free += facing * open_share
        got_r += facing * open_share * lights.tones[d, 0]
        got_g += facing * open_share * lights.tones[d, 1]
        got_b += facing * open_share * lights.tones[d, 2]
    # what is hidden by a person still throws back some light
    return (
        red * (0.12 + 0.88 * got_r / full_r),
        green * (0.10 + 0.90 * got_g / full_g),
        blue * (0.09 + 0.91 * got_b / full_b),
        free / total,
    )


@pixelwise
def lit(
    lights: Lights, lamp: int, px: float, py: float, pz: float, nx: float, ny: float, nz: float, turn: float
) -> float:
    """Share 0–1 of a lamp that reaches p on a surface with normal n; ``turn``: radians that the taps are turned by."""
    m = int(lights.lamps[lamp, 7])
    if m < 0:
        return 1.0
    frame, view, depth = lights.frames[m], lights.views[m], lights.depth[m]
    texel, size = view[6], depth.shape[0]
    out = 1.2 * texel + 0.002
    x, y, z = px + out * nx - view[0], py + out * ny - view[1], pz + out * nz - view[2]
    away = AWAY - (frame[2, 0] * x + frame[2, 1] * y + frame[2, 2] * z)
    u = view[3] * (frame[0, 0] * x + frame[0, 1] * y + frame[0, 2] * z) / away + view[4]
    v = view[3] * (frame[1, 0] * x + frame[1, 1] * y + frame[1, 2] * z) / away + view[5]
    if u < -1.0 or v < -1.0 or u > size or v > size:
        return 1.0
    # the receiver's own plane: metres farther from the lamp per texel right and down
    facing = max(nx * frame[2, 0] + ny * frame[2, 1] + nz * frame[2, 2], 0.2)
    across = texel * (nx * frame[0, 0] + ny * frame[0, 1] + nz * frame[0, 2]) / facing
    along = texel * (nx * frame[1, 0] + ny * frame[1, 1] + nz * frame[1, 2]) / facing
    bias = 0.003 + 0.5 * texel
    tangent = lights.lamps[lamp, 6]
    radius = min(max(1.2 * tangent / texel, 1.5), 0.25 * size)
    blockers, behind = 0, 0.0
    cosine, sine = math.cos(turn), math.sin(turn)
    for tap in range(SEARCH_TAPS):
        r = radius * math.sqrt((tap + 0.5) / SEARCH_TAPS)
        ox, oy = r * cosine, r * sine
        cosine, sine = cosine * _COS - sine * _SIN, sine * _COS + cosine * _SIN
        iu, iv = int(u + ox + 0.5), int(v + oy + 0.5)
        if 0 <= iu < size and 0 <= iv < size:
            gap = away + across * ox + along * oy - depth[iv, iu]
            if gap > bias:
                blockers += 1
                behind += gap
    if blockers == 0:
        return 1.0
    radius = min(max(tangent * behind / blockers / texel, 0.9), 0.25 * size)
    hidden = 0.0
    for tap in range(SHADOW_TAPS):
        r = radius * math.sqrt((tap + 0.5) / SHADOW_TAPS)
        ox, oy = r * cosine, r * sine
        cosine, sine = cosine * _COS - sine * _SIN, sine * _COS + cosine * _SIN
        iu, iv = int(u + ox + 0.5), int(v + oy + 0.5)
        if 0 <= iu < size and 0 <= iv < size:
            gap = away + across * ox + along * oy - depth[iv, iu]
            hidden += min(max((gap - bias) / bias, 0.0), 1.0)
    return 1.0 - hidden / SHADOW_TAPS
