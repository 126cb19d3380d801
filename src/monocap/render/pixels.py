"""What one pixel shows: the truth at its centre, the shadow on the floor behind it, the light of what it sees.

Each question is one function of one pixel; the processor's loops are at the end, the GPU's in `cuda`.
"""

from __future__ import annotations

import math

import numpy as np

from monocap.render.compiled import loop, pixelwise
from monocap.render.folds import tilt
from monocap.render.lights import Lights, ambient, lit
from monocap.render.materials import EYES, HAIR, SKIN, diffuse, ggx, mirror, strand
from monocap.render.raster import EMPTY, depth_of, edge, face_of, locate
from monocap.render.stage import Stage
from monocap.render.textures import sample
from monocap.types import Array

FLOOR_REACH = 60.0  # metres; farther floor lies in no shadow
FLOOR_STEP = 4  # pixels between those where the floor asks how much sky it sees


@pixelwise
def turned_back(h: Array, i: int, j: int, k: int) -> bool:
    """Is a triangle seen from behind?"""
    a, b, c = edge(h, j, k)
    return h[i, 0] * a + h[i, 1] * b + h[i, 2] * c > 0.0


@pixelwise
def normal_at(stage: Stage, h: Array, f: int, b0: float, b1: float, b2: float) -> tuple[float, float, float]:
    """Smooth unit normal of a triangle's point on the side that is seen."""
    i, j, k = stage.faces[f, 0], stage.faces[f, 1], stage.faces[f, 2]
    normals = stage.normals
    nx = b0 * normals[i, 0] + b1 * normals[j, 0] + b2 * normals[k, 0]
    ny = b0 * normals[i, 1] + b1 * normals[j, 1] + b2 * normals[k, 1]
    nz = b0 * normals[i, 2] + b1 * normals[j, 2] + b2 * normals[k, 2]
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    if length < 1e-12:
        return 0.0, 0.0, -1.0
    if turned_back(h, i, j, k):
        length = -length
    return nx / length, ny / length, nz / length


@pixelwise
def truth_pixel(
    x: int,
    y: int,
    key: int,
    h: Array,
    view: Array,
    stage: Stage,
    depth: Array,
    normal: Array,
    person: Array,
    part: Array,
    surface: Array,
    motion: Array,
) -> None:
    """Write what is seen at a pixel's centre; ``motion`` is empty where nothing moves."""
    if key == EMPTY:
        return
    f = face_of(key)
    i, j, k = stage.faces[f, 0], stage.faces[f, 1], stage.faces[f, 2]
    b0, b1, b2 = locate(h, i, j, k, x, y)
    z = b0 * h[i, 2] + b1 * h[j, 2] + b2 * h[k, 2]
    depth[y, x] = z
    normal[y, x, 0], normal[y, x, 1], normal[y, x, 2] = normal_at(stage, h, f, b0, b1, b2)
    owner = stage.owner[f]
    surface[y, x] = owner
    person[y, x] = np.int16(stage.looks[owner, 7])
    part[y, x] = stage.part[f]
    if len(motion):
        v = stage.velocity
        vx = b0 * v[i, 0] + b1 * v[j, 0] + b2 * v[k, 0]
        vy = b0 * v[i, 1] + b1 * v[j, 1] + b2 * v[k, 1]
        vz = b0 * v[i, 2] + b1 * v[j, 2] + b2 * v[k, 2]
        motion[y, x, 0] = (view[0] * vx - (x - view[2]) * vz) / z
        motion[y, x, 1] = (view[1] * vy - (y - view[3]) * vz) / z


@pixelwise
def turn_of(x: int, y: int) -> float:
    """Radians by which a pixel turns its shadow taps: neighbours differ, so rings become a fine grain."""
    value = 52.9829189 * ((0.06711056 * x + 0.00583715 * y) % 1.0)
    return 6.283185307 * (value % 1.0)


@pixelwise
def on_floor(x: float, y: float, view: Array, plane: Array) -> float:
    """Depth z at which a pixel's ray meets the floor, -1 where it does not or farther away than shadows are cast."""
    slope = plane[0] * (x - view[2]) / view[0] + plane[1] * (y - view[3]) / view[1] + plane[2]
    if slope >= -1e-6:
        return -1.0
    z = -plane[3] / slope
    return z if z <= FLOOR_REACH else -1.0


@pixelwise
def floor_open(x: int, y: int, view: Array, lights: Lights, plane: Array, opened: Array) -> None:
    """Share of the sky's light that reaches the floor, for every `FLOOR_STEP`th pixel: it changes slowly."""
    px, py = float(x * FLOOR_STEP), float(y * FLOOR_STEP)
    z = on_floor(px, py, view, plane)
    opened[y, x] = 1.0
    if z > 0.0:
        rx, ry = (px - view[2]) / view[0], (py - view[3]) / view[1]
        opened[y, x] = ambient(lights, rx * z, ry * z, z, plane[0], plane[1], plane[2])[3]


@pixelwise
def floor_pixel(
    x: int, y: int, view: Array, lights: Lights, plane: Array, opened: Array, share: float, behind: Array
) -> None:
    """Darken a backdrop's pixel by what stands between the floor there and the light."""
    if share <= 0.0:
        return
    z = on_floor(x, y, view, plane)
    if z < 0.0:
        return
    px, py, pz = (x - view[2]) / view[0] * z, (y - view[3]) / view[1] * z, z
    u, v = x // FLOOR_STEP, y // FLOOR_STEP
    s, t = (x - u * FLOOR_STEP) / FLOOR_STEP, (y - v * FLOOR_STEP) / FLOOR_STEP
    free = (opened[v, u] * (1.0 - s) + opened[v, u + 1] * s) * (1.0 - t) + (
        opened[v + 1, u] * (1.0 - s) + opened[v + 1, u + 1] * s
    ) * t
    free = 0.08 + 0.92 * free
    full_r, full_g, full_b = lights.sky[0] + 1e-6, lights.sky[1] + 1e-6, lights.sky[2] + 1e-6
    red, green, blue = full_r * free, full_g * free, full_b * free
    turn = turn_of(x, y)
    for lamp in range(len(lights.lamps)):
        row = lights.lamps[lamp]
        cosine = plane[0] * row[0] + plane[1] * row[1] + plane[2] * row[2]
        if cosine <= 0.0:
            continue
        arrives = cosine * lit(lights, lamp, px, py, pz, plane[0], plane[1], plane[2], turn)
        red, green, blue = red + row[3] * arrives, green + row[4] * arrives, blue + row[5] * arrives
        full_r, full_g, full_b = full_r + row[3] * cosine, full_g + row[4] * cosine, full_b + row[5] * cosine
    behind[y, x, 0] *= 1.0 - share * (1.0 - min(red / full_r, 1.0))
    behind[y, x, 1] *= 1.0 - share * (1.0 - min(green / full_g, 1.0))
    behind[y, x, 2] *= 1.0 - share * (1.0 - min(blue / full_b, 1.0))


@pixelwise
def colour_at(
    stage: Stage, h: Array, f: int, owner: int, b0: float, b1: float, b2: float, x: float, y: float, pixel: float
) -> tuple[float, float, float]:
    """Linear RGB of a surface's point; the texture's level of detail is that of a pixel of ``pixel`` samples' width."""
    if stage.looks[owner, 6] == 0.0:
        return stage.looks[owner, 0], stage.looks[owner, 1], stage.looks[owner, 2]
    i, j, k = stage.faces[f, 0], stage.faces[f, 1], stage.faces[f, 2]
    p, q, r = stage.uv_faces[f, 0], stage.uv_faces[f, 1], stage.uv_faces[f, 2]
    uv = stage.uv
    u = b0 * uv[p, 0] + b1 * uv[q, 0] + b2 * uv[r, 0]
    v = b0 * uv[p, 1] + b1 * uv[q, 1] + b2 * uv[r, 1]
    # weights w_i = e_i / Σe change by (a_i − w_i Σa) / Σe per sample
    a0, d0, c0 = edge(h, j, k)
    a1, d1, c1 = edge(h, k, i)
    a2, d2, c2 = edge(h, i, j)
    total = (a0 * x + (d0 * y + c0)) + (a1 * x + (d1 * y + c1)) + (a2 * x + (d2 * y + c2))  # as `locate` has it
    a, d = a0 + a1 + a2, d0 + d1 + d2
    width, height = stage.atlas[owner, 0, 2], stage.atlas[owner, 0, 1]
    scale = pixel / total
    ux = scale * width * ((a0 - b0 * a) * uv[p, 0] + (a1 - b1 * a) * uv[q, 0] + (a2 - b2 * a) * uv[r, 0])
    vx = scale * height * ((a0 - b0 * a) * uv[p, 1] + (a1 - b1 * a) * uv[q, 1] + (a2 - b2 * a) * uv[r, 1])
    uy = scale * width * ((d0 - b0 * d) * uv[p, 0] + (d1 - b1 * d) * uv[q, 0] + (d2 - b2 * d) * uv[r, 0])
    vy = scale * height * ((d0 - b0 * d) * uv[p, 1] + (d1 - b1 * d) * uv[q, 1] + (d2 - b2 * d) * uv[r, 1])
    one, other = ux * ux + vx * vx, uy * uy + vy * vy
    # between the longer and the mean width: little blur where a surface is seen at a slant, and no sparkle
    level = 0.5 * math.log2(max(0.5 * max(one, other) + 0.25 * (one + other), 1e-9))
    return sample(stage.texels, stage.atlas, owner, u, v, level)


@pixelwise
def strand_at(stage: Stage, lights: Lights, f: int) -> tuple[float, float, float]:
    """Direction of hair on a triangle: that in which v of the texture grows, or downwards without a texture."""
    i, j, k = stage.faces[f, 0], stage.faces[f, 1], stage.faces[f, 2]
    p, q, r = stage.uv_faces[f, 0], stage.uv_faces[f, 1], stage.uv_faces[f, 2]
    uv, at = stage.uv, stage.vertices
    s1, s2 = uv[q, 0] - uv[p, 0], uv[r, 0] - uv[p, 0]
    tx = s1 * (at[k, 0] - at[i, 0]) - s2 * (at[j, 0] - at[i, 0])
    ty = s1 * (at[k, 1] - at[i, 1]) - s2 * (at[j, 1] - at[i, 1])
    tz = s1 * (at[k, 2] - at[i, 2]) - s2 * (at[j, 2] - at[i, 2])
    length = math.sqrt(tx * tx + ty * ty + tz * tz)
    if length < 1e-12:
        return lights.up[0], lights.up[1], lights.up[2]
    return tx / length, ty / length, tz / length


@pixelwise
def light_of(
    stage: Stage, h: Array, view: Array, lights: Lights, f: int, sx: int, sy: int, n: int, turn: float
) -> tuple[float, float, float]:
    """Linear RGB that comes from sample sx, sy (of n × n a pixel), where triangle f is seen."""
    i, j, k = stage.faces[f, 0], stage.faces[f, 1], stage.faces[f, 2]
    b0, b1, b2 = locate(h, i, j, k, sx, sy)
    owner = stage.owner[f]
    nx, ny, nz = normal_at(stage, h, f, b0, b1, b2)
    red, green, blue = colour_at(stage, h, f, owner, b0, b1, b2, sx, sy, n)
    gloss, roughness, kind = stage.looks[owner, 3], stage.looks[owner, 4], int(stage.looks[owner, 5])
    pz = b0 * h[i, 2] + b1 * h[j, 2] + b2 * h[k, 2]
    px = ((sx - 0.5 * (n - 1)) / n - view[2]) / view[0] * pz
    py = ((sy - 0.5 * (n - 1)) / n - view[3]) / view[1] * pz
    away = math.sqrt(px * px + py * py + pz * pz)
    ex, ey, ez = -px / away, -py / away, -pz / away
    if stage.looks[owner, 8] > 0.0:
        p, q, r = stage.uv_faces[f, 0], stage.uv_faces[f, 1], stage.uv_faces[f, 2]
        u = b0 * stage.uv[p, 0] + b1 * stage.uv[q, 0] + b2 * stage.uv[r, 0]
        v = b0 * stage.uv[p, 1] + b1 * stage.uv[q, 1] + b2 * stage.uv[r, 1]
        gx, gy, gz = tilt(
            stage.vertices, i, j, k, stage.uv, p, q, r, u, v,
            stage.looks[owner, 9], stage.looks[owner, 8], owner, pz / view[0],
        )  # fmt: skip
        nx, ny, nz = nx - gx, ny - gy, nz - gz
        length = math.sqrt(nx * nx + ny * ny + nz * nz)
        nx, ny, nz = nx / length, ny / length, nz / length
    facing = nx * ex + ny * ey + nz * ez
    if facing < 0.02:  # a smooth normal that looks past the outline: bend it back
        nx, ny, nz = nx + (0.02 - facing) * ex, ny + (0.02 - facing) * ey, nz + (0.02 - facing) * ez
        length = math.sqrt(nx * nx + ny * ny + nz * nz)
        nx, ny, nz = nx / length, ny / length, nz / length
        facing = max(nx * ex + ny * ey + nz * ez, 0.02)
    tx, ty, tz = 0.0, 0.0, 0.0
    if kind == HAIR:
        tx, ty, tz = strand_at(stage, lights, f)
    sky_r, sky_g, sky_b, free = ambient(lights, px, py, pz, nx, ny, nz)
    if kind == SKIN:  # dim light inside folds has been through skin
        sky_r *= 1.0 + 0.08 * (1.0 - free)
    out_r, out_g, out_b = red * sky_r, green * sky_g, blue * sky_b
    shine = 0.0
    for lamp in range(len(lights.lamps)):
        row = lights.lamps[lamp]
        cosine = nx * row[0] + ny * row[1] + nz * row[2]
        if cosine < -0.36:
            continue
        share = 1.0
        if cosine > -0.05:
            share = lit(lights, lamp, px, py, pz, nx, ny, nz, turn)
        dr, dg, db = diffuse(kind, cosine, share)
        out_r, out_g, out_b = out_r + red * row[3] * dr, out_g + green * row[4] * dg, out_b + blue * row[5] * db
        if share <= 0.0 or gloss <= 0.0:
            continue
        hx, hy, hz = ex + row[0], ey + row[1], ez + row[2]
        length = math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
        hx, hy, hz = hx / length, hy / length, hz / length
        if kind == HAIR:
            white, tinted = strand(tx * hx + ty * hy + tz * hz, gloss, roughness)
            lift = share * min(max(cosine + 0.25, 0.0), 1.0)
            out_r += row[3] * lift * (white + tinted * red)
            out_g += row[4] * lift * (white + tinted * green)
            out_b += row[5] * lift * (white + tinted * blue)
            continue
        shine = share * ggx(cosine, facing, nx * hx + ny * hy + nz * hz, ex * hx + ey * hy + ez * hz, gloss, roughness)
        out_r, out_g, out_b = out_r + row[3] * shine, out_g + row[4] * shine, out_b + row[5] * shine
    if gloss > 0.0 and kind != HAIR:
        rx, ry, rz = 2.0 * facing * nx - ex, 2.0 * facing * ny - ey, 2.0 * facing * nz - ez
        height = rx * lights.up[0] + ry * lights.up[1] + rz * lights.up[2]
        wide = 0.15 + roughness if kind != EYES else 0.15
        sky = min(max(0.5 + 0.5 * height / wide, 0.0), 1.0)
        mirrored = mirror(facing, gloss, roughness) * (0.3 + 0.7 * free)
        out_r += mirrored * (lights.sky[0] * sky + lights.ground[0] * (1.0 - sky))
        out_g += mirrored * (lights.sky[1] * sky + lights.ground[1] * (1.0 - sky))
        out_b += mirrored * (lights.sky[2] * sky + lights.ground[2] * (1.0 - sky))
    return out_r, out_g, out_b


@pixelwise
def shade_pixel(
    x: int,
    y: int,
    keys: Array,
    n: int,
    h: Array,
    view: Array,
    stage: Stage,
    lights: Lights,
    behind: Array,
    radiance: Array,
    coverage: Array,
) -> None:
    """Mix the light of a pixel's samples. Inside one surface a single sample stands for all of them."""
    covered, owner, first = 0, -1, 0
    nearest, farthest, mixed = np.inf, 0.0, False
    for s in range(n * n):
        key = keys[y * n + s // n, x * n + s % n]
        if key == EMPTY:
            continue
        z = depth_of(key)
        nearest, farthest = min(nearest, z), max(farthest, z)
        now = stage.owner[face_of(key)]
        if covered == 0:
            owner, first = now, s
        mixed = mixed or now != owner
        covered += 1
    coverage[y, x] = covered / (n * n)
    rest = 1.0 - covered / (n * n)
    red, green, blue = rest * behind[y, x, 0], rest * behind[y, x, 1], rest * behind[y, x, 2]
    if covered > 0:
        turn = turn_of(x, y)
        alone = not mixed and farthest < 1.015 * nearest
        weight = (covered if alone else 1.0) / (n * n)
        for s in range(first, n * n):
            sx, sy = x * n + s % n, y * n + s // n
            if keys[sy, sx] == EMPTY:
                continue
            r, g, b = light_of(stage, h, view, lights, face_of(keys[sy, sx]), sx, sy, n, turn)
            red, green, blue = red + weight * r, green + weight * g, blue + weight * b
            if alone:
                break
    radiance[y, x, 0], radiance[y, x, 1], radiance[y, x, 2] = red, green, blue


@loop
def truth_rows(
    keys: Array,
    h: Array,
    view: Array,
    stage: Stage,
    depth: Array,
    normal: Array,
    person: Array,
    part: Array,
    surface: Array,
    motion: Array,
) -> None:
    for y in range(keys.shape[0]):
        for x in range(keys.shape[1]):
            truth_pixel(x, y, keys[y, x], h, view, stage, depth, normal, person, part, surface, motion)


@loop
def floor_rows(view: Array, lights: Lights, plane: Array, mask: Array, opened: Array, behind: Array) -> None:
    for y in range(opened.shape[0]):
        for x in range(opened.shape[1]):
            floor_open(x, y, view, lights, plane, opened)
    for y in range(behind.shape[0]):
        for x in range(behind.shape[1]):
            floor_pixel(x, y, view, lights, plane, opened, mask[y, x], behind)


@loop
def shade_rows(
    keys: Array,
    n: int,
    h: Array,
    view: Array,
    stage: Stage,
    lights: Lights,
    behind: Array,
    radiance: Array,
    coverage: Array,
) -> None:
    for y in range(behind.shape[0]):
        for x in range(behind.shape[1]):
            shade_pixel(x, y, keys, n, h, view, stage, lights, behind, radiance, coverage)
