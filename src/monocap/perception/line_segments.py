"""Straight line segments of a picture, as walls, doors, floors and furniture have them: M-LSD, longest first."""

from __future__ import annotations

import cv2
import numpy as np

from monocap.assets.sessions import session
from monocap.types import Array

SIDE = 512  # the network's; the picture is squeezed to it
LEAST = 0.1  # score of a line that is kept
SHORTEST = 0.04  # of the longer side
MOST = 200


def line_segments(image: Array, ignore: Array | None = None, threads: int | None = None) -> Array:
    """(N,4) x0, y0, x1, y1 in pixels of ``image`` (H,W,3) uint8 RGB, at most 200, longest first.

    ``ignore`` (K,4) boxes x0, y0, x1, y1 px, of people: segments whose middle lies in one are left out. The network is
    M-LSD (Gu et al. 2022), which knows edges of rooms from folds and grass; OpenCV's LSD finds both alike.
    """
    height, width = image.shape[:2]
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    four = np.dstack([small.astype(np.float32), np.ones((SIDE, SIDE), np.float32)])[None]
    offsets, scores = (
        np.asarray(value)[0] for value in session("line_segments", threads).run(["offsets", "scores"], {"image": four})
    )
    rows, columns = np.nonzero(scores[..., 0] > LEAST)
    ends = 2.0 * (np.stack([columns, rows, columns, rows], axis=1) + offsets[rows, columns].astype(np.float64))
    # the centre of the first pixel is 0 before and after
    lines = (ends + 0.5) * np.tile([width / SIDE, height / SIDE], 2) - 0.5
    length = np.hypot(lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1])
    keep = (
        np.isfinite(lines).all(axis=1) & (length >= SHORTEST * max(height, width)) & ~_on_border(lines, width, height)
    )
    if ignore is not None and len(ignore):
        middle = (lines[:, None, :2] + lines[:, None, 2:]) / 2
        keep &= ~((middle >= ignore[None, :, :2]) & (middle <= ignore[None, :, 2:])).all(axis=2).any(axis=1)
    return lines[keep][np.argsort(-length[keep], kind="stable")[:MOST]]


def _on_border(lines: Array, width: int, height: int) -> Array:
    """Segments that run along the picture's edge: bars and frames say nothing of the place."""
    near = 0.01 * max(width, height)
    x, y = lines[:, [0, 2]], lines[:, [1, 3]]
    sides = [x < near, x > width - 1 - near, y < near, y > height - 1 - near]
    return np.any([side.all(axis=1) for side in sides], axis=0)
