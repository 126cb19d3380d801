"""Where a body's weight is: the centre of mass of posed joints, and over what it stands.

Whoever stands or walks keeps the centre of mass above the feet, on average over time. That says where up is more
exactly than any part of the body does: trunks lean, legs bend (docs/motion.md has the measurement).
"""

from __future__ import annotations

import numpy as np

from monocap.types import Array

# Share of the body's mass, from joint, to joint, how far along: de Leva 1996, men and women averaged; the trunk's
# centre lies between mid-hips and neck.
_LIMBS = (
    (0.1447, "hip", "knee", 0.39),
    (0.0457, "knee", "ankle", 0.44),
    (0.0133, "ankle", "foot", 0.6),
    (0.0263, "shoulder", "elbow", 0.58),
    (0.0150, "elbow", "wrist", 0.46),
    (0.0058, "wrist", "wrist", 0.0),
)
_HEAD = 0.0681
_TRUNK_CENTRE = 0.45


def centre_of_mass(joints: Array, joint_names: tuple[str, ...]) -> Array:
    """(…,3) metres, from joints (…,J,3) of any skeleton with SMPL's names."""
    weights = np.zeros(len(joint_names))
    at = joint_names.index
    for share, start, end, along in _LIMBS:
        for side in ("left", "right"):
            weights[at(f"{side}_{start}")] += share * (1.0 - along)
            weights[at(f"{side}_{end}")] += share * along
    weights[at("head")] += _HEAD
    trunk = 1.0 - weights.sum()
    weights[at("neck")] += trunk * _TRUNK_CENTRE
    for side in ("left", "right"):
        weights[at(f"{side}_hip")] += 0.5 * trunk * (1.0 - _TRUNK_CENTRE)
    return np.einsum("...ji,j->...i", np.asarray(joints, np.float64), weights)
