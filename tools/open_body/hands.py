"""How do fingers move together? An orthonormal basis of 45 hand-pose directions, the most common movements first.

SMPL-X files carry principal components of scanned hands. Ours are written down from what is known of grasping
(Santello, Flanders and Soechting, J. Neurosci. 18, 1998: closing all fingers, then bending the knuckles against the
middle joints, spreading, the thumb): no data, no licence, and the leading ones are useful on their own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .proportions import FINGERS

Array = NDArray[np.float64]

# Rest hand: palm down, left fingers along +x. Bending turns about -z, spreading about y.
BEND, SPREAD, TWIST = np.array([0.0, 0.0, -1.0]), np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])
LONG = [name for name in FINGERS if name != "thumb"]
FAN = {"index": -1.0, "middle": -0.3, "ring": 0.4, "pinky": 1.0}


def _pose(entries: dict[tuple[str, int], Array]) -> Array:
    order = list(FINGERS)
    pose = np.zeros((15, 3))
    for (finger, joint), rotation in entries.items():
        pose[3 * order.index(finger) + joint - 1] = rotation
    return pose.reshape(45)


def _movements() -> list[Array]:
    closing = {(f, k): BEND * (1.0 if k < 3 else 0.7) for f in LONG for k in (1, 2, 3)}
    thumb_bend = np.array([0.6, 0.5, -0.6])
    closing |= {("thumb", 1): 0.3 * thumb_bend, ("thumb", 2): 0.4 * SPREAD, ("thumb", 3): 0.5 * SPREAD}
    moves = [
        closing,
        {(f, k): BEND * (1.0 if k == 1 else -0.7) for f in LONG for k in (1, 2, 3)},
        {(f, 1): SPREAD * FAN[f] for f in LONG},
        {("thumb", 1): thumb_bend, ("thumb", 2): 0.3 * SPREAD},
        {("thumb", 2): SPREAD, ("thumb", 3): SPREAD},
        {(f, k): BEND * s for f, s in zip(LONG, (1.0, 0.4, -0.8, -0.6), strict=True) for k in (1, 2, 3)},
        {("thumb", 1): BEND},
    ]
    moves += [{(f, k): BEND for k in (1, 2, 3)} for f in LONG]
    moves += [{(f, 1): SPREAD} for f in LONG]
    return [_pose(m) for m in moves]


def components() -> tuple[Array, Array]:
    """(45,45) for the left and for the right hand: orthonormal rows, axis-angle, the right one mirrored."""
    rows = np.concatenate([np.array(_movements()), np.eye(45)])
    found: list[Array] = []
    for row in rows:
        rest = row - sum((row @ f) * f for f in found) if found else row
        if np.linalg.norm(rest) > 1e-6 and len(found) < 45:
            found.append(rest / np.linalg.norm(rest))
    left = np.array(found)
    return left, (left.reshape(45, 15, 3) * np.array([1.0, -1.0, -1.0])).reshape(45, 45)
