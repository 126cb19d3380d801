"""Contact sheets of synthetic pictures: as they are, with the truth drawn over them, or with all their maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from monocap import skeletons
from monocap.data.synthetic import OUTSIDE, VISIBLE, SynthSample
from monocap.render.overlays import person_colour
from monocap.types import Array

Drawn = Literal["plain", "truth", "maps"]

_BODY = skeletons.get("smplx55")
_EDGES = [(a, b) for a, b in _BODY.edges if a < 22 and b < 22]
_FAINT = 0.35  # of what is drawn where a joint is hidden


def contact_sheet(samples: Sequence[SynthSample], columns: int = 8, drawn: Drawn = "plain", side: int = 224) -> Array:
    """(H,W,3) uint8: the samples in rows, each fitted into ``side`` pixels; with maps, five pictures for each:
    picture, truth over it, depth, normals, parts."""
    tiles: list[Array] = []
    for sample in samples:
        if drawn == "maps":
            tiles += [_fit(picture, side) for picture in maps(sample)]
        else:
            tiles.append(_fit(sample.image if drawn == "plain" else with_truth(sample), side))
    columns = max(1, min(columns, len(tiles)))
    if drawn == "maps":
        columns = max(5, columns - columns % 5)
    empty = np.full((side, side, 3), 255, np.uint8)
    tiles += [empty] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows)


def with_truth(sample: SynthSample) -> Array:
    """(H,W,3) the picture with outlines of the person masks and bones; hidden joints faint, visible ones ringed."""
    scale = max(1, round(448 / max(sample.image.shape[:2])))
    image = cv2.resize(sample.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    for p in range(sample.people):
        colour = tuple(int(255 * c) for c in person_colour(p))
        mask = cv2.resize((sample.person == p).astype(np.uint8), None, fx=scale, fy=scale, interpolation=0)
        outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, outlines, -1, colour, 1)
        points = (sample.joints2d[p] + 0.5) * scale - 0.5
        states = sample.visibility[p]
        ahead = sample.joints[p][:, 2] > 0.05
        faint = image.copy()
        for a, b in _EDGES:
            if ahead[a] and ahead[b]:
                both = states[a] == VISIBLE and states[b] == VISIBLE
                cv2.line(image if both else faint, _pixel(points[a]), _pixel(points[b]), colour, 2, cv2.LINE_AA)
        for i in range(22):
            if states[i] != OUTSIDE:
                target = image if states[i] == VISIBLE else faint
                cv2.circle(target, _pixel(points[i]), 4, (255, 255, 255), 1, cv2.LINE_AA)
        image = cv2.addWeighted(faint, _FAINT, image, 1 - _FAINT, 0)
    return np.asarray(image)


def maps(sample: SynthSample) -> list[Array]:
    """Picture, truth over it, depth (near is light), normals, parts: five pictures (H,W,3) uint8."""
    hit = np.isfinite(sample.depth)
    depth = np.zeros(hit.shape)
    if hit.any():
        inverse = 1.0 / sample.depth[hit]
        depth[hit] = 0.2 + 0.8 * (inverse - inverse.min()) / max(float(np.ptp(inverse)), 1e-6)
    grey = np.repeat((255 * depth).astype(np.uint8)[..., None], 3, axis=2)
    normal = np.where(hit[..., None], 127.5 + 127.5 * sample.normal * [1, -1, -1], 0).astype(np.uint8)
    hue = ((sample.part.astype(int) * 47) % 180).astype(np.uint8)
    parts = np.stack([hue, np.full_like(hue, 170), np.full_like(hue, 235)], axis=-1)
    part = np.where((sample.part >= 0)[..., None], cv2.cvtColor(parts, cv2.COLOR_HSV2RGB), 30).astype(np.uint8)
    return [sample.image, with_truth(sample), grey, normal, part]


def _pixel(point: Array) -> tuple[int, int]:
    x, y = np.clip(np.nan_to_num(point), -20_000, 20_000)
    return round(float(x)), round(float(y))


def _fit(image: Array, side: int) -> Array:
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = image if size == (width, height) else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    out = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    out[top : top + size[1], left : left + size[0]] = small
    return out
