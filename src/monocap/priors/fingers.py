"""How far fingers turn, how they usually are, and which of their turns go together.

Ranges of active movement and the coupling of end and middle joints are those that the open body's components were made
with (tools/open_body/hands.py; Constraint Study for a Hand Exoskeleton, Journal of Robotics 2013, 910961; Lin, Wu and
Huang 2000). Angles are SMPL-X's: axis-angle of each joint, palm down, left fingers along +x; bending is about −z
for the left hand. The right hand is its mirror image. Deviations are a choice: wide where fingers bend.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from monocap.errors import InputError
from monocap.types import Array

JOINTS = 15
_D = math.pi / 180.0
_LONG = ((36, 10), (40, 5), (40, 4))  # degrees: usual deviation of bending and of the other axes, knuckle to end
_KNUCKLE, _MIDDLE, _END = (-90, 25), (-110, 5), (-85, 8)  # about z, left hand
_SIDEWAYS, _ALONG = 25, 8  # about y and x, of a knuckle
_THUMB_MEAN = ((0.26, 0.03, -0.12), (0.10, 0.17, -0.07), (0.15, 0.26, -0.11))
_THUMB_DEVIATION = (18, 18, 16)
_LOOSE = (45, 30, 40)  # degrees to each side of the mean that a thumb's joint may turn about any axis
COUPLED = tuple((9 * finger + 5, 9 * finger + 8) for finger in range(4))
"""Columns of bending of the middle and the end joint of long fingers; the end joint bends by `SHARE` of the middle."""
SHARE, COUPLING = 2.0 / 3.0, 0.2


@dataclass(frozen=True)
class FingerPrior:
    """For one hand, all (45,) radians: ``mean``, ``deviation``, ``lower`` and ``upper``."""

    mean: Array
    deviation: Array
    lower: Array
    upper: Array

    def excess(self, pose: Array) -> Array:
        """By how much (…,45) angles are beyond their ranges, signed; 0 inside."""
        pose = np.asarray(pose, dtype=np.float64)
        return np.maximum(pose - self.upper, 0.0) + np.minimum(pose - self.lower, 0.0)


def finger_prior(side: str, mean: Array | None = None) -> FingerPrior:
    """Of the "left" or "right" hand; ``mean`` (45,) absolute angles of a relaxed hand, or None for our own.

    Raises InputError for another side.
    """
    if side not in ("left", "right"):
        raise InputError(f"side is {side!r}; expected left or right")
    usual, deviation = np.zeros((JOINTS, 3)), np.zeros((JOINTS, 3))
    lower, upper = np.zeros((JOINTS, 3)), np.zeros((JOINTS, 3))
    for finger in range(4):
        first = 3 * finger
        for k, ((bend, cross), reach) in enumerate(zip(_LONG, (_KNUCKLE, _MIDDLE, _END), strict=True)):
            usual[first + k, 2] = (-30.0, -40.0, -27.0)[k] * _D
            deviation[first + k] = np.array([min(cross, 4), cross, bend]) * _D
            across = (_ALONG, _SIDEWAYS) if k == 0 else (4, 6)
            lower[first + k] = np.array([-across[0], -across[1], reach[0]]) * _D
            upper[first + k] = np.array([across[0], across[1], reach[1]]) * _D
    usual[12:] = _THUMB_MEAN
    deviation[12:] = np.array(_THUMB_DEVIATION)[:, None] * _D
    lower[12:] = usual[12:] - np.array(_LOOSE)[:, None] * _D
    upper[12:] = usual[12:] + np.array(_LOOSE)[:, None] * _D
    if side == "right":
        flip = np.array([1.0, -1.0, -1.0])
        usual, lower, upper = (
            usual * flip,
            np.minimum(lower * flip, upper * flip),
            np.maximum(lower * flip, upper * flip),
        )
    middle = usual.reshape(-1) if mean is None else np.asarray(mean, np.float64).reshape(-1)
    return FingerPrior(middle, deviation.reshape(-1), lower.reshape(-1), upper.reshape(-1))
