"""Where several people stand beside each other: some close enough to touch, none inside another."""

from __future__ import annotations

import numpy as np

from monocap.types import Array

# Capsules of a body, by SMPL-X's joints: from, to, radius in metres of the mean adult (a hand's breadth of clothes in).
_CAPSULES: tuple[tuple[int, int, float], ...] = (
    (0, 9, 0.17), (9, 12, 0.16), (12, 15, 0.10), (15, 15, 0.14),
    (1, 4, 0.10), (2, 5, 0.10), (4, 7, 0.08), (5, 8, 0.08), (7, 10, 0.07), (8, 11, 0.07),
    (16, 18, 0.07), (17, 19, 0.07), (18, 20, 0.06), (19, 21, 0.06), (20, 28, 0.06), (21, 43, 0.06),
)  # fmt: skip
_FROM = np.array([c[0] for c in _CAPSULES])
_TO = np.array([c[1] for c in _CAPSULES])
_RADIUS = np.array([c[2] for c in _CAPSULES])
_STEP = 0.06  # m of the search outwards
_FARTHEST = 6.0


def gap(joints: Array, others: Array) -> float:
    """Metres between the capsules of two bodies of ``joints`` (55,3) each; negative where they pass into another."""
    a, b, c, d = joints[_FROM], joints[_TO], others[_FROM], others[_TO]
    n, m = len(a), len(c)
    apart = segment_distance(
        np.repeat(a, m, axis=0), np.repeat(b, m, axis=0), np.tile(c, (n, 1)), np.tile(d, (n, 1))
    ).reshape(n, m)
    return float((apart - _RADIUS[:, None] - _RADIUS).min())


def segment_distance(a: Array, b: Array, c: Array, d: Array) -> Array:
    """(n,) least distance of the segments a–b and c–d, (n,3) each (Ericson, Real-Time Collision Detection, 5.1.9)."""
    u, v, w = b - a, d - c, a - c
    uu, vv, uv = (np.sum(x * y, axis=1) for x, y in ((u, u), (v, v), (u, v)))
    uw, vw = np.sum(u * w, axis=1), np.sum(v * w, axis=1)
    uu, vv = np.maximum(uu, 1e-12), np.maximum(vv, 1e-12)
    across = uu * vv - uv * uv
    s = np.where(across > 1e-12, np.clip((uv * vw - vv * uw) / np.maximum(across, 1e-12), 0.0, 1.0), 0.0)
    t = np.clip((uv * s + vw) / vv, 0.0, 1.0)
    s = np.clip((uv * t - uw) / uu, 0.0, 1.0)
    return np.linalg.norm(a + s[:, None] * u - c - t[:, None] * v, axis=1)


def arrange(rng: np.random.Generator, joints: list[Array]) -> list[Array]:
    """Moves (3,) along the floor, one for each body of ``joints`` (55,3), the first of which stays.

    Each next one stands beside one who is there already, in any direction, as near as a drawn gap allows: touching in a
    quarter of all cases, else up to two metres off.
    """
    placed = [joints[0]]
    moves = [np.zeros(3)]
    for body in joints[1:]:
        partner = placed[int(rng.integers(len(placed)))]
        angle = rng.uniform(-np.pi, np.pi)
        wanted = rng.uniform(0.0, 0.04) if rng.random() < 0.25 else rng.gamma(1.6, 0.35) + 0.04
        direction = np.array([np.sin(angle), 0.0, np.cos(angle)])
        start = partner[0] * [1.0, 0.0, 1.0]
        move = start + direction * _FARTHEST
        for reach in np.arange(0.15, _FARTHEST, _STEP):
            move = start + reach * direction
            if all(gap(body + move, other) >= wanted for other in placed):
                break
        placed.append(body + move)
        moves.append(move)
    return moves
