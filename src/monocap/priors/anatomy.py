"""Joint limits and a resting pose from anatomy: per axis of SMPL-X's 21 body joints, radians.

Axes are those of the T-pose (x to the body's left, y up, z forward), the rotation being the axis-angle vector
of ``body_pose``. Signs on the left side: knee flexion +x, hip flexion −x, elbow flexion −y, lowering the
arm −z. The right side is the mirror image (x kept, y and z negated).

Ranges: American Academy of Orthopaedic Surgeons, *Joint Motion: Method of Measuring and Recording* (1965),
widened by about 15° since an axis-angle component is not a clinical angle; the trunk's range is shared among
spine1–3, the shoulder's elevation between collar and shoulder (one third, two thirds: Inman 1944).
Means and deviations describe everyday standing, walking and sitting; they are weak by design.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monocap import skeletons
from monocap.types import Array

# joint: (lower x, y, z), (upper x, y, z), mean, standard deviation. Left side and middle; the right is mirrored.
_TABLE: dict[str, tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], tuple[float, ...]]] = {
    "left_hip": ((-2.4, -1.0, -0.7), (0.7, 1.0, 1.0), (-0.30, 0.05, 0.05), (0.60, 0.25, 0.20)),
    "left_knee": ((-0.05, -0.35, -0.25), (2.7, 0.35, 0.25), (0.45, 0.00, 0.00), (0.65, 0.12, 0.10)),
    "left_ankle": ((-0.75, -0.55, -0.50), (0.95, 0.55, 0.50), (0.00, 0.00, 0.00), (0.25, 0.18, 0.12)),
    "left_foot": ((-0.8, -0.2, -0.2), (0.5, 0.2, 0.2), (0.00, 0.00, 0.00), (0.15, 0.05, 0.05)),
    "spine1": ((-0.30, -0.35, -0.35), (0.75, 0.35, 0.35), (0.08, 0.00, 0.00), (0.16, 0.09, 0.08)),
    "spine2": ((-0.25, -0.35, -0.30), (0.55, 0.35, 0.30), (0.04, 0.00, 0.00), (0.10, 0.10, 0.08)),
    "spine3": ((-0.25, -0.35, -0.30), (0.45, 0.35, 0.30), (0.00, 0.00, 0.00), (0.08, 0.08, 0.07)),
    "neck": ((-0.70, -0.80, -0.60), (0.75, 0.80, 0.60), (0.05, 0.00, 0.00), (0.22, 0.20, 0.14)),
    "head": ((-0.60, -0.80, -0.50), (0.60, 0.80, 0.50), (0.05, 0.00, 0.00), (0.18, 0.20, 0.12)),
    "left_collar": ((-0.30, -0.55, -0.35), (0.30, 0.45, 0.75), (0.00, -0.05, -0.05), (0.08, 0.14, 0.14)),
    "left_shoulder": ((-1.60, -2.30, -1.75), (1.60, 1.10, 1.60), (0.10, -0.30, -0.95), (0.45, 0.45, 0.50)),
    "left_elbow": ((-1.30, -2.75, -0.60), (1.30, 0.08, 0.60), (-0.05, -0.60, 0.05), (0.35, 0.60, 0.25)),
    "left_wrist": ((-0.90, -0.70, -1.30), (0.90, 0.70, 1.30), (0.00, 0.00, 0.00), (0.25, 0.20, 0.25)),
}

_MIRROR = np.array([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class PosePrior:
    """Independent limits and Gaussians over ``body_pose``: ``lower, upper, mean, deviation`` (21,3) radians."""

    lower: Array
    upper: Array
    mean: Array
    deviation: Array


def anatomical_prior() -> PosePrior:
    """The table above for all 21 body joints of SMPL-X, in their order."""
    rows = []
    for name in skeletons.get("smplx55").joint_names[1:22]:
        if name.startswith("right_"):
            lower, upper, mean, deviation = (np.array(v) for v in _TABLE[name.replace("right_", "left_")])
            mirrored = np.sort(np.stack([lower * _MIRROR, upper * _MIRROR]), axis=0)
            rows.append((mirrored[0], mirrored[1], mean * _MIRROR, deviation))
        else:
            rows.append(tuple(np.array(v) for v in _TABLE[name]))
    lower, upper, mean, deviation = (np.stack(column) for column in zip(*rows, strict=True))
    return PosePrior(lower, upper, mean, deviation)
