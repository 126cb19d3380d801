"""Where does each joint lie, seen from the skin? Sparse weights that give every joint exactly, for every shape.

For each joint the weights are the smallest ones (near vertices preferred) that satisfy linear constraints: they sum to
one, give the joint of the template, and give its movement under every shape and expression component.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REACH = 1000  # vertices a joint may use
FARTHEST = 0.3  # metres
TOLERANCE = 6e-6  # metres


def regressor(
    template: Array, directions: Array, joints: Array, joint_directions: Array, pools: list[NDArray[np.int64]]
) -> Array:
    """(J,V) from template (V,3), directions (V,3,K), joints (J,3), joint_directions (J,3,K), metres.

    ``pools`` names, per joint, the vertices that may be used; the ``REACH`` nearest are, if nearer than ``FARTHEST``.
    """
    out = np.zeros((len(joints), len(template)))
    for j, pool in enumerate(pools):
        distance = np.linalg.norm(template[pool] - joints[j], axis=1)
        near = np.argsort(distance, kind="stable")[:REACH]
        near = near[distance[near] < FARTHEST]
        ids, distance = pool[near], distance[near]
        scale = np.exp(-0.5 * (distance / (distance[len(distance) // 2] + 1e-6)) ** 2) + 0.05
        arms = (template[ids] - joints[j])[..., None]
        rows = np.concatenate([arms, directions[ids] - joint_directions[j]], axis=-1).reshape(len(ids), -1).T
        system = np.concatenate([rows, np.full((1, len(ids)), 0.05)]) * scale
        wanted = np.zeros(len(system))
        wanted[-1] = 0.05
        left, values, right = np.linalg.svd(system, full_matrices=False)
        # Rounding of the stored directions is noise: drop as many small singular values as the tolerance allows.
        weights = np.zeros(len(ids))
        for smallest in values[0] * np.geomspace(1e-2, 1e-8, 25):
            used = values > smallest
            solution = right[used].T @ ((wanted @ left[:, used]) / values[used])
            weights = scale * solution / (scale * solution).sum()
            if np.abs(rows @ weights).max() < TOLERANCE:
                break
        out[j, ids] = weights
    return out


def error(weights: Array, template: Array, directions: Array, joints: Array, joint_directions: Array) -> float:
    """Largest deviation (m) of the regressed joints from the wanted ones, template and one-sigma components."""
    rest = np.abs(weights @ template - joints).max()
    moves = np.einsum("jv,vck->jck", weights, directions)
    return float(max(rest, np.abs(moves - joint_directions).max()))
