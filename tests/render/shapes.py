"""Shapes that the drawing tests share."""

from __future__ import annotations

import numpy as np

from monocap.types import Array, Camera

CAMERA = Camera(60, 62, 31.3, 24.6, 64, 48)


def moved(vertices: Array, x: float, y: float, z: float) -> Array:
    return vertices + np.array([x, y, z])


def sphere(radius: float, rings: int) -> tuple[Array, Array]:
    """Closed sphere about the origin, corners counter-clockwise from outside; poles on the y axis."""
    tilt = np.linspace(0, np.pi, rings + 1)[1:-1]
    turn = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    t, p = np.meshgrid(tilt, turn, indexing="ij")
    ring = np.stack([np.sin(t) * np.cos(p), np.cos(t), -np.sin(t) * np.sin(p)], axis=-1).reshape(-1, 3)
    vertices = np.concatenate([ring, [[0, 1, 0], [0, -1, 0]]]) * radius
    i, j = np.meshgrid(np.arange(rings - 2), np.arange(2 * rings), indexing="ij")
    a, b = (i * 2 * rings + j).ravel(), (i * 2 * rings + (j + 1) % (2 * rings)).ravel()
    c, d = a + 2 * rings, b + 2 * rings
    k = np.arange(2 * rings)
    after = (k + 1) % (2 * rings)
    last = (rings - 2) * 2 * rings
    north = np.stack([np.full_like(k, len(ring)), k, after], -1)
    south = np.stack([np.full_like(k, len(ring) + 1), last + after, last + k], -1)
    return vertices, np.concatenate([np.stack([a, c, b], -1), np.stack([b, c, d], -1), north, south])
