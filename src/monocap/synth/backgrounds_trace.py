"""What does a ray of the camera see of a made-up place? Boxes, balls, a floor, walls and sky, textured and lit.

Frame: the camera at the origin, y up, z where it looks along the floor, x to its right, metres. One ray a pixel; the
pictures on the surfaces have levels for distance, so that nothing sparkles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numba import njit

from monocap.types import Array

TILE, LEVELS = 128, 6
FAR = 400.0
BOX, BALL, LEAFY = 0, 1, 2  # a leafy ball has a ragged outline


@dataclass(frozen=True, eq=False)
class Solids:
    """N things: ``kind`` (N,), ``centre`` (N,3), ``half`` (N,3) sizes, ``turn`` (N,2) cosine and sine about y,
    ``tile`` (N,) number of its picture, ``tint`` (N,3) linear, ``glow`` (N,) share of light of its own."""

    kind: Array
    centre: Array
    half: Array
    turn: Array
    tile: Array
    tint: Array
    glow: Array


@dataclass(frozen=True, eq=False)
class Hall:
    """The room's ``low`` and ``high`` corners (3,) (outdoors far away), turned by ``turn`` (2,); pictures
    ``tiles`` (3,) of walls, floor and ceiling, ``tints`` (3,3); ``open``: there is sky instead of walls and ceiling."""

    low: Array
    high: Array
    turn: Array
    tiles: Array
    tints: Array
    open: bool


@dataclass(frozen=True, eq=False)
class Light:
    """``sun`` (3,) towards it, ``sun_colour`` (3,), ``sky`` and ``ground`` (3,) linear; ``lamp`` (3,) place of a lamp
    and ``lamp_colour`` (3,) what it gives at one metre; ``haze`` (4,) colour and density per metre."""

    sun: Array
    sun_colour: Array
    sky: Array
    ground: Array
    lamp: Array
    lamp_colour: Array
    haze: Array


def levels(picture: Array) -> Array:
    """(LEVELS,TILE,TILE,3) uint8, the square roots of linear light, of a tile (TILE,TILE,3) uint8 sRGB; each level is
    twice as coarse."""
    linear = (picture.astype(np.float32) / 255) ** 2.2
    out: list[Any] = [linear]
    small: Any = linear
    for _ in range(LEVELS - 1):
        small = cv2.resize(small, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        out.append(cv2.resize(small, (TILE, TILE), interpolation=cv2.INTER_LINEAR))
    return np.round(255 * np.sqrt(np.stack(out))).astype(np.uint8)


@njit(cache=True, nogil=True, error_model="numpy")
def _meet(
    ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, kind: int, centre: Array, half: Array, turn: Array
) -> tuple[float, int]:
    """Distance along a ray to a solid, or FAR, and the side met (0 x, 1 y, 2 z)."""
    px, py, pz = ox - centre[0], oy - centre[1], oz - centre[2]
    c, s = turn[0], turn[1]
    ax, az = c * px - s * pz, s * px + c * pz
    bx, bz = c * dx - s * dz, s * dx + c * dz
    if kind != BOX:
        qx, qy, qz = ax / half[0], py / half[1], az / half[2]
        rx, ry, rz = bx / half[0], dy / half[1], bz / half[2]
        a = rx * rx + ry * ry + rz * rz
        b = qx * rx + qy * ry + qz * rz
        d = b * b - a * (qx * qx + qy * qy + qz * qz - 1.0)
        if d <= 0.0:
            return FAR, 0
        t = (-b - np.sqrt(d)) / a
        if kind == LEAFY:
            i = np.floor(7.0 * np.arctan2(qx + t * rx, qz + t * rz)) + 0.31 * centre[0]
            j = np.floor(9.0 * (qy + t * ry))
            ragged = np.sin(12.9898 * i + 78.233 * j) * 43758.5453
            if np.sqrt(d / a) < 0.8 * (ragged - np.floor(ragged)):
                return FAR, 0
        return (t, 3) if t > 1e-3 else (FAR, 0)
    near, far, side = -FAR, FAR, 0
    for k in range(3):
        p = ax if k == 0 else (py if k == 1 else az)
        v = bx if k == 0 else (dy if k == 1 else bz)
        if abs(v) < 1e-9:
            if abs(p) > half[k]:
                return FAR, 0
            continue
        t0, t1 = (-half[k] - p) / v, (half[k] - p) / v
        if t0 > t1:
            t0, t1 = t1, t0
        if t0 > near:
            near, side = t0, k
        if t1 < far:
            far = t1
    if near < far and near > 1e-3:
        return near, side
    return FAR, 0


@njit(cache=True, nogil=True)
def _texel(tiles: Array, tile: int, u: float, v: float, level: float, out: Array) -> None:
    """Bilinear, of the nearest level; u and v in tiles, repeating."""
    k = min(max(int(level + 0.5), 0), LEVELS - 1)
    x, y = (u - np.floor(u)) * TILE - 0.5, (v - np.floor(v)) * TILE - 0.5
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - x0, y - y0
    for c in range(3):
        out[c] = 0.0
    for j in range(2):
        for i in range(2):
            w = (fx if i else 1 - fx) * (fy if j else 1 - fy)
            yy, xx = (y0 + j) % TILE, (x0 + i) % TILE
            for c in range(3):
                root = tiles[tile, k, yy, xx, c] / 255.0
                out[c] += w * root * root


@njit(cache=True, nogil=True, error_model="numpy")
def trace(
    rays: Array, pixel: float, kind: Array, centre: Array, half: Array, turn: Array, tile: Array, tint: Array,
    glow: Array, low: Array, high: Array, hall_turn: Array, hall_tiles: Array, hall_tints: Array, outdoors: bool,
    tiles: Array, sizes: Array, sun: Array, sun_colour: Array, sky: Array, ground: Array, lamp: Array,
    lamp_colour: Array, haze: Array, sky_picture: Array,
) -> tuple[Array, Array]:  # fmt: skip
    """(N,3) linear light of ``rays`` (N,3), unit, and (N,) whether each sees the bare floor.

    ``pixel``: angle between neighbouring rays; ``tiles`` (M,LEVELS,TILE,TILE,3), ``sizes`` (M,) metres of each;
    ``sky_picture`` (R,C,3) linear, rows from the zenith to the horizon, columns all around.
    """
    count, things = len(rays), len(kind)
    light, floor = np.zeros((count, 3), np.float32), np.zeros(count, np.float32)
    albedo, normal, at = np.zeros(3), np.zeros(3), np.zeros(3)
    c0, s0 = hall_turn[0], hall_turn[1]
    # squares of each thing's distance and of the ball around it: most rays miss most things
    away, round_ = np.empty(things), np.empty(things)
    for n in range(things):
        away[n] = centre[n, 0] ** 2 + centre[n, 1] ** 2 + centre[n, 2] ** 2
        round_[n] = half[n, 0] ** 2 + half[n, 1] ** 2 + half[n, 2] ** 2
        if kind[n] != BOX:
            round_[n] = max(half[n, 0], half[n, 1], half[n, 2]) ** 2
    for r in range(count):
        dx, dy, dz = rays[r, 0], rays[r, 1], rays[r, 2]
        best, side, hit = FAR, 0, -1
        for n in range(things):
            b = dx * centre[n, 0] + dy * centre[n, 1] + dz * centre[n, 2]
            if away[n] - b * b > round_[n] or (b < 0 and away[n] > round_[n]):
                continue
            t, k = _meet(0.0, 0.0, 0.0, dx, dy, dz, kind[n], centre[n], half[n], turn[n])
            if t < best:
                best, side, hit = t, k, n
        # the hall around: where the ray leaves it
        wx, wz = c0 * dx - s0 * dz, s0 * dx + c0 * dz
        wall, plane = FAR, -1
        for k in range(3):
            v = wx if k == 0 else (dy if k == 1 else wz)
            if outdoors and not (k == 1 and v < 0):
                continue
            if abs(v) > 1e-9:
                t = (high[k] if v > 0 else low[k]) / v
                if 0 < t < wall:
                    wall, plane = t, k
        own = 0.0
        if hit < 0 and plane < 0:  # the sky
            turn_ = np.arctan2(dx, dz) / (2 * np.pi) + 0.5
            rows, columns = sky_picture.shape[0], sky_picture.shape[1]
            i = min(int((1.0 - max(dy, 0.0)) ** 1.5 * (rows - 1)), rows - 1)
            j = min(int(turn_ * columns), columns - 1)
            for c in range(3):
                light[r, c] = sky_picture[i, j, c]
            continue
        if wall < best:
            best, hit = wall, -1
            which = 0 if plane != 1 else (1 if dy < 0 else 2)
            x, y, z = wx * best, dy * best, wz * best
            slant = abs(wx if plane == 0 else (dy if plane == 1 else wz))
            number = hall_tiles[which]
            if plane == 1:
                u, v = x, z
            elif plane == 0:
                u, v = z, -y
            else:
                u, v = x, -y
            for c in range(3):
                normal[c] = 0.0
            if plane == 1:
                normal[1] = 1.0 if dy < 0 else -1.0
            elif plane == 0:
                sign = -1.0 if wx > 0 else 1.0
                normal[0], normal[2] = c0 * sign, -s0 * sign
            else:
                sign = -1.0 if wz > 0 else 1.0
                normal[0], normal[2] = s0 * sign, c0 * sign
            level = math.log2(max(best * pixel / max(slant, 0.08) * TILE / sizes[number], 1e-3))
            _texel(tiles, number, u / sizes[number], v / sizes[number], level, albedo)
            for c in range(3):
                albedo[c] *= hall_tints[which, c]
            if which == 1:
                floor[r] = 1.0
            if not outdoors:  # corners get less light
                gap = FAR
                for k in range(3):
                    if k != plane:
                        p = x if k == 0 else (y if k == 1 else z)
                        gap = min(gap, high[k] - p, p - low[k])
                shade = 1.0 - 0.4 * np.exp(-gap / 0.35)
                for c in range(3):
                    albedo[c] *= shade
        else:
            x, y, z = dx * best - centre[hit, 0], dy * best - centre[hit, 1], dz * best - centre[hit, 2]
            c1, s1 = turn[hit, 0], turn[hit, 1]
            lx, lz = c1 * x - s1 * z, s1 * x + c1 * z
            number = tile[hit]
            own = glow[hit]
            if side == 3:
                nx, ny, nz = lx / half[hit, 0] ** 2, y / half[hit, 1] ** 2, lz / half[hit, 2] ** 2
                length = np.sqrt(nx * nx + ny * ny + nz * nz)
                nx, ny, nz = nx / length, ny / length, nz / length
                u, v = np.arctan2(lx, lz) * half[hit, 0], -y
                slant = 0.5
            else:
                nx, ny, nz = 0.0, 0.0, 0.0
                if side == 0:
                    nx = 1.0 if lx > 0 else -1.0
                    u, v = lz + half[hit, 2], half[hit, 1] - y
                elif side == 1:
                    ny = 1.0 if y > 0 else -1.0
                    u, v = lx + half[hit, 0], lz + half[hit, 2]
                else:
                    nz = 1.0 if lz > 0 else -1.0
                    u, v = lx + half[hit, 0], half[hit, 1] - y
                slant = abs((c1 * dx - s1 * dz) * nx + dy * ny + (s1 * dx + c1 * dz) * nz)
            normal[0], normal[1], normal[2] = c1 * nx + s1 * nz, ny, -s1 * nx + c1 * nz
            size = sizes[number]
            if size < 0:  # the picture fills each side once
                du = 2 * half[hit, 2] if side == 0 else 2 * half[hit, 0]
                dv = 2 * half[hit, 2] if side == 1 else 2 * half[hit, 1]
                u, v, size = min(max(u / du, 0.004), 0.996), min(max(v / dv, 0.004), 0.996), dv
                level = math.log2(max(best * pixel / max(slant, 0.08) * TILE / size, 1e-3))
                _texel(tiles, number, u, v, level, albedo)
            else:
                level = math.log2(max(best * pixel / max(slant, 0.08) * TILE / size, 1e-3))
                _texel(tiles, number, u / size, v / size, level, albedo)
            for c in range(3):
                albedo[c] *= tint[hit, c]
            if not outdoors or side != 1:
                shade = 1.0 - 0.35 * np.exp(-(dy * best - low[1]) / 0.12)  # dark where it stands on the floor
                for c in range(3):
                    albedo[c] *= shade
        at[0], at[1], at[2] = dx * best, dy * best, dz * best
        for k in range(3):
            at[k] += 2e-3 * normal[k]
        bright = normal[0] * sun[0] + normal[1] * sun[1] + normal[2] * sun[2]
        if bright > 0 and sun_colour[0] > 0:
            for n in range(things):
                if n == hit and kind[n] == BOX:
                    continue
                px, py, pz = centre[n, 0] - at[0], centre[n, 1] - at[1], centre[n, 2] - at[2]
                b = sun[0] * px + sun[1] * py + sun[2] * pz
                square = px * px + py * py + pz * pz
                if square - b * b > round_[n] or (b < 0 and square > round_[n]):
                    continue
                t, _ = _meet(at[0], at[1], at[2], sun[0], sun[1], sun[2], kind[n], centre[n], half[n], turn[n])
                if t < FAR:
                    bright = 0.0
                    break
        contact = 1.0
        if floor[r] > 0:  # soft dark around what stands on the floor
            for n in range(things):
                if centre[n, 1] - half[n, 1] < low[1] + 0.25:
                    px, pz = at[0] - centre[n, 0], at[2] - centre[n, 2]
                    ax = abs(turn[n, 0] * px - turn[n, 1] * pz) - half[n, 0]
                    az = abs(turn[n, 1] * px + turn[n, 0] * pz) - half[n, 2]
                    apart = np.sqrt(max(ax, 0.0) ** 2 + max(az, 0.0) ** 2)
                    if apart < 0.6:
                        contact *= 1.0 - 0.45 * np.exp(-apart / 0.15)
        lx, ly, lz = lamp[0] - at[0], lamp[1] - at[1], lamp[2] - at[2]
        square = lx * lx + ly * ly + lz * lz + 0.3
        beam = max(normal[0] * lx + normal[1] * ly + normal[2] * lz, 0.0) / np.sqrt(square)
        rise = 0.5 + 0.5 * normal[1]
        fog = 1.0 - np.exp(-best * haze[3])
        for c in range(3):
            around = sky[c] * rise + ground[c] * (1 - rise)
            given = max(bright, 0.0) * sun_colour[c] + (around + beam * lamp_colour[c] / square) * contact
            value = albedo[c] * (given * (1 - own) + own)
            light[r, c] = value * (1 - fog) + haze[c] * fog
    return light, floor
