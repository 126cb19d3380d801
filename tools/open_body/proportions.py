"""Where are the joints, and how long are the bones? SMPL-X's 55 joints from MakeHuman's 163, set to anthropometry.

A joint is a fixed linear combination of MakeHuman bone heads, so that it stays linear in shape. Sources:

- hip centres: about 0.185 m apart. Seidel et al. (J. Biomech. 28, 1995) and Bell et al. (J. Biomech. 23, 1990) put
  the hip centre 14 % of the inter-ASIS distance medial to the ASIS: 0.72 × 0.25 m = 0.18 m. MakeHuman's are 0.21 m.
- knee: 0.285 of stature above ground (Drillis & Contini 1966, in Winter, Biomechanics and Motor Control of Human
  Movement).
- shin / thigh 0.98: what optical motion capture finds between joint centres (see the README).
- upper arm 0.275 m, forearm 0.252 m at 1.70 m: de Leva, J. Biomech. 29 (1996), shoulder, elbow and wrist joint centres
  give 0.162 and 0.154 of stature; Winter gives 0.186 (from the acromion) and 0.146. Close to de Leva's, the only ones
  between joint centres: longer arms would make the span exceed 1.05 of stature.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .population import Targets
from .sources import Rig

Array = NDArray[np.float64]

STATURE = 1.70  # m, mean of men and women
UPPER_ARM, FOREARM = 0.275, 0.252  # m
HIP_MEDIAL = 0.898  # of MakeHuman's distance between the hips
HIP_UP = 0.030  # of the thigh, upwards along it
KNEE_DOWN = 0.027  # of the shin, downwards along it

PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15]
PARENTS += [
    p for hand, wrist in ((25, 20), (40, 21)) for f in range(5) for p in (wrist, hand + 3 * f, hand + 3 * f + 1)
]

# SMPL-X finger order, with MakeHuman's finger numbers
FINGERS = {"index": 2, "middle": 3, "pinky": 5, "ring": 4, "thumb": 1}

Combination = dict[str, float]


def joint_names() -> list[str]:
    """The 55 SMPL-X joint names in order."""
    body = """pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot
        right_foot neck left_collar right_collar head left_shoulder right_shoulder left_elbow right_elbow left_wrist
        right_wrist jaw left_eye right_eye"""
    hands = [f"{side}_{finger}{k}" for side in ("left", "right") for finger in FINGERS for k in (1, 2, 3)]
    return body.split() + hands


def _side(s: str) -> dict[str, Combination]:
    other = {"L": "R", "R": "L"}[s]
    near, far = (1 + HIP_MEDIAL) / 2, (1 - HIP_MEDIAL) / 2
    hip = {f"upperleg01.{s}": near + HIP_UP, f"upperleg01.{other}": far, f"lowerleg01.{s}": -HIP_UP}
    side = {
        "hip": hip,
        "knee": {f"lowerleg01.{s}": 1 - KNEE_DOWN, f"foot.{s}": KNEE_DOWN},
        "ankle": {f"foot.{s}": 1.0},
        "foot": {f"toe{k}-1.{s}": 1 / 3 for k in (1, 2, 3)},
        "collar": {f"clavicle.{s}": 0.85, f"upperarm01.{s}": 0.15},
        "shoulder": {f"upperarm01.{s}": 1.0},
        "elbow": {f"lowerarm01.{s}": 1.0},
        "wrist": {f"wrist.{s}": 1.0},
        "eye": {f"eye.{s}": 1.0},
    }
    return side | {f"{name}{k}": {f"finger{f}-{k}.{s}": 1.0} for name, f in FINGERS.items() for k in (1, 2, 3)}


def combinations() -> list[Combination]:
    """For each SMPL-X joint: MakeHuman bone → share (shares sum to 1)."""
    hips = {"upperleg01.L": 0.5, "upperleg01.R": 0.5}
    table: dict[str, Combination] = {
        # SMPL's pelvis lies some 7–9 cm above the hip centres and its lowest spine joint 11 cm above that.
        "pelvis": {k: 0.2 * v for k, v in hips.items()} | {"spine04": 0.8},
        "spine1": {"spine03": 0.6, "spine02": 0.4},
        "spine2": {"spine02": 0.4, "spine01": 0.6},
        "spine3": {"spine01": 0.8, "neck01": 0.2},
        "neck": {"neck01": 1.0},
        "head": {"head": 1.0},
        "jaw": {"jaw": 1.0},
    }
    for prefix, s in (("left", "L"), ("right", "R")):
        table |= {f"{prefix}_{name}": value for name, value in _side(s).items()}
    return [table[name] for name in joint_names()]


def joint_matrices(rig: Rig) -> tuple[Array, Array]:
    """Two linear maps: (B,B) moves the bone heads of hips and knees to the anatomical centres, the points that the
    bones turn about; (55,B) gives SMPL-X's joints from bone heads moved so."""
    matrix, pivots = np.zeros((55, len(rig.names))), np.eye(len(rig.names))
    for row, (name, shares) in enumerate(zip(joint_names(), combinations(), strict=True)):
        part = name.partition("_")[2]
        if part in ("hip", "knee"):
            bone = rig.index(("upperleg01." if part == "hip" else "lowerleg01.") + name[0].upper())
            pivots[bone] = 0.0
            for other, share in shares.items():
                pivots[bone, rig.index(other)] = share
            matrix[row, bone] = 1.0
        else:
            for bone, share in shares.items():
                matrix[row, rig.index(bone)] = share
    return pivots, matrix


def arm_correction(targets: Targets, rig: Rig, mean: Array) -> Array:
    """(N,3) offset, metres, that gives the mean person (N,3) the arm lengths above (same for everyone)."""
    offset = np.zeros_like(mean)
    bones = [rig.index(n) for n in ("upperarm01.L", "lowerarm01.L", "wrist.L")]
    rows = [targets.local[f"measure-{part}-length-incr"] for part in ("upperarm", "lowerarm")]
    moves = [targets.offsets[row].reshape(-1, 3).astype(float) for row in rows]
    for _ in range(4):  # the two sliders act almost independently
        for part, (move, wanted) in enumerate(zip(moves, (UPPER_ARM, FOREARM), strict=True)):
            a, b = bones[part : part + 2]
            now = np.asarray(rig.heads @ (mean + offset))
            step = np.asarray(rig.heads @ move)
            bone = now[b] - now[a]
            length = np.linalg.norm(bone)
            slope = (step[b] - step[a]) @ bone / length
            offset = offset + (wanted - length) / slope * move
    return offset
