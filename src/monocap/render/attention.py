"""Where each joint looks: attention over a crop, one tile per token."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from monocap.errors import InputError
from monocap.types import Array

_HEAT = np.array([1.0, 0.55, 0.0])  # orange: seen against skin, grass and sky alike
_DIM = 0.45


def attention_sheet(
    crop: Array,
    attention: Array,
    names: Sequence[str],
    points: Array | None = None,
    columns: int = 8,
    side: int = 160,
) -> Array:
    """Tiles (…,…,3) uint8 of ``crop`` (h,w,3) uint8 in grey, brighter and orange where a token looks.

    ``attention`` (T,s,s), not negative, with a name for each. Brightness is the root of attention over the tile's
    largest, or over eight times its mean: a token that looks everywhere alike is dim everywhere.
    ``points`` (J,2), −1…1 across the crop, marks the first J tokens' joints by a dot. ``columns`` of ``side`` pixels.
    Raises InputError for shapes that do not fit or attention that is negative or not finite.
    """
    crop, attention = np.asarray(crop), np.asarray(attention, np.float32)
    if crop.ndim != 3 or crop.shape[2] != 3 or crop.dtype != np.uint8:
        raise InputError(f"crop of shape {crop.shape}, {crop.dtype}; expected (h, w, 3) uint8")
    if attention.ndim != 3 or len(attention) != len(names):
        raise InputError(f"attention of shape {attention.shape} for {len(names)} names; expected ({len(names)}, s, s)")
    if not (np.isfinite(attention).all() and (attention >= 0).all()):
        raise InputError("attention is negative or not finite; expected weights")
    if points is not None and (np.ndim(points) != 2 or np.shape(points)[1] != 2 or len(points) > len(names)):
        raise InputError(f"points of shape {np.shape(points)}; expected at most ({len(names)}, 2)")
    grey = cv2.cvtColor(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    tiles = [_tile(grey, weights, name) for weights, name in zip(attention, names, strict=True)]
    for tile, point in zip(tiles, () if points is None else np.asarray(points), strict=False):
        place = np.clip((point + 1) / 2 * side, -side, 2 * side).round().astype(int).tolist()
        cv2.circle(tile, place, 3, (0, 0, 0), -1, cv2.LINE_AA)
        cv2.circle(tile, place, 2, (255, 255, 255), -1, cv2.LINE_AA)
    columns = min(columns, len(tiles))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    return np.concatenate([np.concatenate(tiles[k : k + columns], axis=1) for k in range(0, len(tiles), columns)])


def _tile(grey: Array, weights: Array, name: str) -> Array:
    side = len(grey)
    full = max(float(weights.max()), 8 * float(weights.mean()), 1e-12)
    heat = cv2.resize(np.sqrt(weights / full), (side, side), interpolation=cv2.INTER_LINEAR)
    light = (_DIM * grey[..., None] / 255) * (1 - heat[..., None])
    lit = heat[..., None] * _HEAT * (0.35 + 0.65 * grey[..., None] / 255)
    tile = np.ascontiguousarray((255 * np.clip(light + lit, 0, 1)).astype(np.uint8))
    for thickness, colour in ((3, (0, 0, 0)), (1, (255, 255, 255))):
        cv2.putText(
            tile, name.replace("_", " "), (4, side - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, thickness, cv2.LINE_AA
        )
    return tile
