"""Textures as the kernels read them: linear light, in levels of detail that halve, all in one list of texels."""

from __future__ import annotations

import math
import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from monocap.errors import InputError
from monocap.render.compiled import pixelwise
from monocap.types import Array

LEVELS = 12
FULL = 65535.0  # the texels' 1.0

_grid = np.arange(256) / 255
LINEAR = np.where(_grid <= 0.04045, _grid / 12.92, ((_grid + 0.055) / 1.055) ** 2.4).astype(np.float32)
_fine = np.arange(4096) / 4095
SRGB = np.where(_fine <= 0.0031308, _fine * 12.92, 1.055 * _fine ** (1 / 2.4) - 0.055).astype(np.float32) * 255
"""sRGB bytes (256) to linear light, and linear light in 4095ths (4096) to sRGB 0–255."""


def linear(srgb: Any) -> Array:
    """sRGB 0–1 of any shape to linear light, float32."""
    srgb = np.asarray(srgb, np.float64)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


@dataclass(frozen=True)
class Atlas:
    """``texels`` (N,4) uint16 linear RGB and opacity; ``table`` (S,LEVELS,3) int32: first texel, height, width of
    each level of a surface's texture (height 0: no texture); beyond the coarsest level it is repeated."""

    texels: Array
    table: Array


def check_texture(texture: Any) -> Array:
    """(H,W,3 or 4) uint8, contiguous; InputError for anything else."""
    texture = np.ascontiguousarray(texture)
    if texture.ndim != 3 or texture.shape[2] not in (3, 4) or texture.dtype != np.uint8 or not texture.size:
        raise InputError(
            f"texture of shape {texture.shape} {texture.dtype}; expected (H, W, 3) uint8 RGB or (H, W, 4) with opacity"
        )
    return texture


def build_atlas(textures: Sequence[Array | None], coarsest: Sequence[int]) -> Atlas:
    """All textures of a scene with their levels of detail; a texture used twice is kept once.

    ``coarsest``: for each texture the finest level that is needed at all (0: every texel); finer ones are left out.
    """
    table = np.zeros((len(textures), LEVELS, 3), np.int32)
    need: dict[int, int] = {}
    for texture, level in zip(textures, coarsest, strict=True):
        if texture is not None:
            need[id(texture)] = min(level, need.get(id(texture), LEVELS))
    known: dict[int, Array] = {}
    parts: list[Array] = []
    count = 0
    for s, texture in enumerate(textures):
        if texture is None:
            continue
        if id(texture) not in known:
            most = int(np.log2(max(1, min(texture.shape[:2]) // 4)))  # at least 4 texels stay along a side
            rows = np.zeros((LEVELS, 3), np.int32)
            for number, level in enumerate(_levels(texture, 1 << max(0, min(need[id(texture)], most)))):
                rows[number:] = count, *level.shape[:2]  # the last one stands for all that would be coarser
                parts.append(level.reshape(-1, 4))
                count += len(parts[-1])
            known[id(texture)] = rows
        table[s] = known[id(texture)]
    return Atlas(np.concatenate(parts) if parts else np.zeros((1, 4), np.uint16), table)


_kept: OrderedDict[tuple[int, int], tuple[weakref.ref[Array], list[Array]]] = OrderedDict()
_MOST_KEPT = 96
_keeping = threading.Lock()


def _levels(texture: Array, factor: int) -> list[Array]:
    """The texture reduced by ``factor``, and half by half down to one texel. Of read-only textures, which cannot
    change between pictures, the levels are kept for as long as the texture lives."""
    if texture.flags.writeable:
        return _made(texture, factor)
    key = (id(texture), factor)
    with _keeping:
        found = _kept.get(key)
        if found is not None and found[0]() is texture:
            _kept.move_to_end(key)
            return found[1]
    levels = _made(texture, factor)
    with _keeping:
        _kept[key] = weakref.ref(texture), levels
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return levels


def _made(texture: Array, factor: int) -> list[Array]:
    levels = [_reduce(texture, factor, LINEAR)]
    while len(levels) < LEVELS and levels[-1].shape[:2] != (1, 1):
        levels.append(_halve(levels[-1]))
    return levels


@njit(cache=True, nogil=True, error_model="numpy")
def _reduce(texture: Array, factor: int, to_linear: Array) -> Array:
    """Blocks of ``factor`` × ``factor`` texels averaged in linear light, weighted by opacity; (h,w,4) uint16."""
    rows, columns, channels = texture.shape
    out = np.empty((max(rows // factor, 1), max(columns // factor, 1), 4), np.uint16)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            red, green, blue, weight = 0.0, 0.0, 0.0, 0.0
            for v in range(y * factor, (y + 1) * factor):
                for u in range(x * factor, (x + 1) * factor):
                    alpha = 1.0 if channels == 3 else texture[v, u, 3] / 255.0 + 1e-6
                    red += alpha * to_linear[texture[v, u, 0]]
                    green += alpha * to_linear[texture[v, u, 1]]
                    blue += alpha * to_linear[texture[v, u, 2]]
                    weight += alpha
            out[y, x, 0] = np.uint16(red / weight * FULL + 0.5)
            out[y, x, 1] = np.uint16(green / weight * FULL + 0.5)
            out[y, x, 2] = np.uint16(blue / weight * FULL + 0.5)
            out[y, x, 3] = np.uint16(min(weight / (factor * factor), 1.0) * FULL + 0.5)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _halve(level: Array) -> Array:
    """The next coarser level: half as high and wide, at least 1."""
    rows, columns = level.shape[0], level.shape[1]
    out = np.empty((max(rows // 2, 1), max(columns // 2, 1), 4), np.uint16)
    for y in range(out.shape[0]):
        ya, yb = min(2 * y, rows - 1), min(2 * y + 1, rows - 1)
        for x in range(out.shape[1]):
            xa, xb = min(2 * x, columns - 1), min(2 * x + 1, columns - 1)
            weight = 4e-6
            red, green, blue = 0.0, 0.0, 0.0
            for v in (ya, yb):
                for u in (xa, xb):
                    alpha = level[v, u, 3] / FULL + 1e-6
                    red += alpha * level[v, u, 0]
                    green += alpha * level[v, u, 1]
                    blue += alpha * level[v, u, 2]
                    weight += alpha - 1e-6
            out[y, x, 0] = np.uint16(red / weight + 0.5)
            out[y, x, 1] = np.uint16(green / weight + 0.5)
            out[y, x, 2] = np.uint16(blue / weight + 0.5)
            out[y, x, 3] = np.uint16(min(weight / 4.0, 1.0) * FULL + 0.5)
    return out


@pixelwise
def corners(row: Array, u: float, v: float) -> tuple[int, int, int, int, float, float]:
    """The four texels around u, v (repeating; v upwards) on one level, and how far between them."""
    height, width = row[1], row[2]
    x = (u - math.floor(u)) * width - 0.5
    y = (1.0 - (v - math.floor(v))) * height - 0.5
    x0, y0 = int(math.floor(x)), int(math.floor(y))  # noqa: RUF046 - on a GPU math.floor gives a float
    xa, xb = max(x0, 0), min(x0 + 1, width - 1)
    ya, yb = row[0] + max(y0, 0) * width, row[0] + min(y0 + 1, height - 1) * width
    return ya + xa, ya + xb, yb + xa, yb + xb, x - x0, y - y0


@pixelwise
def opacity(texels: Array, atlas: Array, surface: int, u: float, v: float, level: float) -> float:
    """Opacity 0–1 of a surface's texture at u, v, on the level nearest to ``level``."""
    a, b, c, d, s, t = corners(atlas[surface, min(max(int(level + 0.5), 0), LEVELS - 1)], u, v)
    top = texels[a, 3] * (1.0 - s) + texels[b, 3] * s
    bottom = texels[c, 3] * (1.0 - s) + texels[d, 3] * s
    return (top * (1.0 - t) + bottom * t) / FULL


@pixelwise
def _bilinear(texels: Array, row: Array, u: float, v: float) -> tuple[float, float, float]:
    a, b, c, d, s, t = corners(row, u, v)
    wa, wb, wc, wd = (1.0 - s) * (1.0 - t), s * (1.0 - t), (1.0 - s) * t, s * t
    return (
        wa * texels[a, 0] + wb * texels[b, 0] + wc * texels[c, 0] + wd * texels[d, 0],
        wa * texels[a, 1] + wb * texels[b, 1] + wc * texels[c, 1] + wd * texels[d, 1],
        wa * texels[a, 2] + wb * texels[b, 2] + wc * texels[c, 2] + wd * texels[d, 2],
    )


@pixelwise
def sample(texels: Array, atlas: Array, surface: int, u: float, v: float, level: float) -> tuple[float, float, float]:
    """Linear RGB of a surface's texture at u, v between the two levels around ``level`` (trilinear)."""
    level = min(level, LEVELS - 1.001) if level > 0.0 else 0.0  # also where it is no number
    below = int(level)
    share = (level - below) / FULL
    r, g, b = _bilinear(texels, atlas[surface, below], u, v)
    if share <= 0.0:
        return r / FULL, g / FULL, b / FULL
    p, q, s = _bilinear(texels, atlas[surface, below + 1], u, v)
    rest = 1.0 / FULL - share
    return r * rest + p * share, g * rest + q * share, b * rest + s * share
