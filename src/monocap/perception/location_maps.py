"""VNect's read-out: from heatmaps and location maps of crops to joints in the picture and in space.

A joint's place is the highest cell of its heatmap, to a part of a cell by the parabolas through the logarithms beside
it, which are exact for a Gaussian. Where it lies beside the root is read from three maps at that place, bilinearly.
Source: Mehta et al., *VNect* (SIGGRAPH 2017). Several scales of one crop are averaged as maps, before reading; values
of location maps do not change with the scale, for they are of a person of one height.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from monocap.errors import InputError
from monocap.types import Array

_FLOOR = 1e-4  # of a heatmap: below it there is nothing to take a logarithm of


@dataclass(frozen=True)
class JointMaps:
    """Of one crop: ``heatmaps`` (J,h,w) 0–1, ``places`` (3,J,h,w) m beside the root; cells are in rows from the top.

    Raises InputError for shapes that do not fit, or values that are no numbers.
    """

    heatmaps: Array
    places: Array

    def __post_init__(self) -> None:
        shape = np.shape(self.heatmaps)
        if len(shape) != 3 or min(shape) < 1 or np.shape(self.places) != (3, *shape):
            raise InputError(f"maps of shapes {shape} and {np.shape(self.places)}; expected (J,h,w) and (3,J,h,w)")
        if not (np.isfinite(self.heatmaps).all() and np.isfinite(self.places).all()):
            raise InputError("maps hold values that are no numbers; is the network damaged?")

    def peaks(self) -> tuple[Array, Array]:
        """Cells (J,2) x, y, the first cell's centre being 0, and the heights (J,) 0–1 of the heatmaps there."""
        joints, height, width = self.heatmaps.shape
        flat = self.heatmaps.reshape(joints, -1)
        at = flat.argmax(axis=1)
        y, x = np.divmod(at, width)
        rows = np.arange(joints)
        top = flat[rows, at]
        cells = np.stack([x, y], axis=1).astype(np.float64)
        for axis, (place, size) in enumerate(((x, width), (y, height))):
            inner = (place > 0) & (place < size - 1) & (top > _FLOOR)
            step = (0, 1) if axis == 0 else (1, 0)
            before, after = (
                self.heatmaps[
                    rows, np.clip(y + sign * step[0], 0, height - 1), np.clip(x + sign * step[1], 0, width - 1)
                ]
                for sign in (-1, 1)
            )
            low, middle, high = (np.log(np.maximum(value, _FLOOR)) for value in (before, top, after))
            bend = low - 2.0 * middle + high
            shift = np.where(bend < -1e-6, 0.5 * (low - high) / np.minimum(bend, -1e-6), 0.0)
            cells[:, axis] += np.where(inner, np.clip(shift, -0.5, 0.5), 0.0)
        return cells, np.clip(top, 0.0, 1.0).astype(np.float64)

    def at(self, cells: Array) -> Array:
        """Places (J,3) m of the joints at ``cells`` (J,2), each in its own maps; beyond the rim that of the rim."""
        joints, height, width = self.heatmaps.shape
        cells = np.asarray(cells, np.float64)
        if cells.shape != (joints, 2):
            raise InputError(f"cells has shape {cells.shape}; expected ({joints}, 2)")
        at = np.clip(np.nan_to_num(cells), 0.0, [width - 1.0, height - 1.0])
        first = np.minimum(np.floor(at).astype(int), [max(width - 2, 0), max(height - 2, 0)])
        share = at - first
        rows, found = np.arange(joints), np.zeros((3, joints))
        for dy in (0, 1):
            for dx in (0, 1):
                weight = np.abs(1 - dx - share[:, 0]) * np.abs(1 - dy - share[:, 1])
                y, x = np.minimum(first[:, 1] + dy, height - 1), np.minimum(first[:, 0] + dx, width - 1)
                found += weight * self.places[:, rows, y, x]
        return found.T


def average(maps: list[JointMaps], scales: tuple[float, ...]) -> JointMaps:
    """The mean of looks at one crop in which the person appeared ``scales`` times as large, at the size of the first.

    What a look at a larger scale did not see is the mean of the others; at the rim that is what the network said there.
    Raises InputError for none, or scales that are not above 0.
    """
    if len(maps) != len(scales) or not maps or min(scales) <= 0:
        raise InputError(f"{len(maps)} looks at scales {scales}; expected as many, one or more, above 0")
    if len(maps) == 1 and scales[0] == 1.0:
        return maps[0]
    joints, height, width = maps[0].heatmaps.shape
    total, weight = np.zeros((4, joints, height, width)), np.zeros((height, width))
    for one, scale in zip(maps, scales, strict=True):
        down, seen_down = _zoom(height, scale)
        across, seen_across = _zoom(width, scale)
        seen = np.outer(seen_down, seen_across)
        stacked = np.concatenate([one.heatmaps[None], one.places])
        total += seen * (down @ stacked @ across.T)
        weight += seen
    total /= np.maximum(weight, 1e-9)
    return JointMaps(total[0], total[1:])


@cache
def _zoom(size: int, scale: float) -> tuple[Array, Array]:
    """(size,size) linear interpolation that brings cells seen at ``scale`` to scale 1 about the middle, and which of
    these cells (size,) were in view."""
    middle = (size - 1) / 2
    source = middle + (np.arange(size) - middle) * scale
    inside = (source >= -0.5) & (source <= size - 0.5)
    at = np.clip(source, 0, size - 1)
    first = np.minimum(np.floor(at).astype(int), max(size - 2, 0))
    matrix = np.zeros((size, size))
    rows = np.arange(size)
    matrix[rows, first] += 1 - (at - first)
    matrix[rows, np.minimum(first + 1, size - 1)] += at - first
    return matrix, inside.astype(np.float64)
