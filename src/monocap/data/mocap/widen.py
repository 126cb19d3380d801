"""More poses from the captured ones: limbs of different people put together, and blends between two limbs."""

from __future__ import annotations

import numpy as np

from monocap.geometry import rotations
from monocap.priors.limits import JOINTS, PoseLimits
from monocap.types import Array

# Legs stay a pair: two legs of different steps rarely stand.
GROUPS: tuple[tuple[int, ...], ...] = tuple(
    tuple(i for i, name in enumerate(JOINTS) if any(name.endswith(part) for part in parts))
    for parts in (
        ("hip", "knee", "ankle", "foot"),
        ("spine1", "spine2", "spine3", "neck", "head"),
        ("left_collar", "left_shoulder", "left_elbow", "left_wrist"),
        ("right_collar", "right_shoulder", "right_elbow", "right_wrist"),
    )
)
BLENDED = 0.5  # share of groups that are blends of two


def recombined(
    poses: Array, weights: Array, count: int, limits: PoseLimits, rng: np.random.Generator
) -> tuple[Array, Array]:
    """(count,63) new poses within ``limits`` from ``poses`` (N,63) drawn by ``weights`` (N,), and (count,) whose trunk.

    Legs, trunk and each arm come from different poses; half of them are blends of two (each rotation by the
    shorter way, by an even random share).
    """
    chance = weights / weights.sum()
    made = np.empty((0, 63))
    owners = np.empty(0, dtype=np.int64)
    while len(made) < count:
        need = count - len(made)
        fresh = np.empty((need, 21, 3))
        owner = np.empty(need, dtype=np.int64)
        for index, group in enumerate(GROUPS):
            first, second = rng.choice(len(poses), (2, need), p=chance)
            a = rotations.axis_angle_to_matrix(poses[first].reshape(-1, 21, 3)[:, group].astype(np.float64))
            b = rotations.axis_angle_to_matrix(poses[second].reshape(-1, 21, 3)[:, group].astype(np.float64))
            share = rng.uniform(0, 1, need) * (rng.uniform(0, 1, need) < BLENDED)
            turn = rotations.matrix_to_axis_angle(np.swapaxes(a, -1, -2) @ b) * share[:, None, None]
            fresh[:, group] = rotations.matrix_to_axis_angle(a @ rotations.axis_angle_to_matrix(turn))
            if index == 1:
                owner = first
        flat = fresh.reshape(need, 63)
        good = limits.allows(flat)
        made, owners = np.concatenate([made, flat[good]]), np.concatenate([owners, owner[good]])
    return made, owners
