"""Folds that a garment's mesh is too coarse for: a height over its texture coordinates that tilts the normals."""

from __future__ import annotations

import math

from monocap.render.compiled import pixelwise
from monocap.types import Array

LONG, SHORT = 0.11, 0.045  # metres between folds: two sizes
HEIGHT = 0.9  # of a fold at full strength, as a share of its width


@pixelwise
def _corner(x: int, y: int, seed: int) -> float:
    """0–1 for a corner of the grid, the same everywhere (a 32-bit mix)."""
    value = (x * 374761393 + y * 668265263 + seed * 974634777) & 0xFFFFFFFF
    value = ((value ^ (value >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((value ^ (value >> 16)) & 0xFFFF) / 65535.0


@pixelwise
def _noise(x: float, y: float, seed: int) -> float:
    """Smooth noise 0–1 with one hill per unit."""
    fx, fy = math.floor(x), math.floor(y)
    ix, iy = int(fx), int(fy)
    s, t = x - fx, y - fy
    s, t = s * s * (3.0 - 2.0 * s), t * t * (3.0 - 2.0 * t)
    top = _corner(ix, iy, seed) * (1.0 - s) + _corner(ix + 1, iy, seed) * s
    bottom = _corner(ix, iy + 1, seed) * (1.0 - s) + _corner(ix + 1, iy + 1, seed) * s
    return top * (1.0 - t) + bottom * t


@pixelwise
def _height(x: float, y: float, seed: int, fine: float) -> float:
    """Metres; ridges along the cloth, bent by slow noise. ``fine`` 0–1: how much of the small folds is wanted."""
    bend = 1.6 * LONG * _noise(1.3 * x / LONG, 0.7 * y / LONG, seed + 7)
    a = 2.0 * _noise((x + bend) / LONG, 0.45 * (y - bend) / LONG, seed) - 1.0
    b = 2.0 * _noise((x - bend) / SHORT, 0.5 * (y + x + bend) / SHORT, seed + 3) - 1.0
    return HEIGHT * (
        LONG * (1.0 - math.sqrt(a * a + 0.02)) * 0.6 + SHORT * (1.0 - math.sqrt(b * b + 0.03)) * 0.5 * fine
    )


@pixelwise
def tilt(
    vertices: Array,
    i: int,
    j: int,
    k: int,
    uv: Array,
    p: int,
    q: int,
    r: int,
    u: float,
    v: float,
    metres: float,
    strength: float,
    seed: int,
    pixel: float,
) -> tuple[float, float, float]:
    """What to take from a unit normal at u, v of triangle i, j, k (texture corners p, q, r).

    ``metres`` per unit of texture coordinates; ``pixel`` metres across: folds smaller than a few pixels are left out.
    """
    s1, t1 = uv[q, 0] - uv[p, 0], uv[q, 1] - uv[p, 1]
    s2, t2 = uv[r, 0] - uv[p, 0], uv[r, 1] - uv[p, 1]
    det = s1 * t2 - s2 * t1
    if abs(det) < 1e-12:
        return 0.0, 0.0, 0.0
    ax, ay, az = vertices[j, 0] - vertices[i, 0], vertices[j, 1] - vertices[i, 1], vertices[j, 2] - vertices[i, 2]
    bx, by, bz = vertices[k, 0] - vertices[i, 0], vertices[k, 1] - vertices[i, 1], vertices[k, 2] - vertices[i, 2]
    # directions in which u and v grow
    ux, uy, uz = (t2 * ax - t1 * bx) / det, (t2 * ay - t1 * by) / det, (t2 * az - t1 * bz) / det
    vx, vy, vz = (s1 * bx - s2 * ax) / det, (s1 * by - s2 * ay) / det, (s1 * bz - s2 * az) / det
    across = math.sqrt(ux * ux + uy * uy + uz * uz) + 1e-9
    along = math.sqrt(vx * vx + vy * vy + vz * vz) + 1e-9
    fine = min(max(SHORT / (3.0 * pixel) - 0.5, 0.0), 1.0)
    strength *= min(max(LONG / (3.0 * pixel) - 0.5, 0.0), 1.0)
    x, y = u * metres, v * metres
    step = 0.004
    here = _height(x, y, seed, fine)
    du = strength * (_height(x + step, y, seed, fine) - here) / step / across
    dv = strength * (_height(x, y + step, seed, fine) - here) / step / along
    return du * ux + dv * vx, du * uy + dv * vy, du * uz + dv * vz
