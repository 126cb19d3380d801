"""Which joint moves which skin? 163 MakeHuman bones merged into 55 joints, smoothed, at most four per vertex."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .proportions import FINGERS, joint_names
from .sources import Rig
from .tpose import smoother

Array = NDArray[np.float64]

INFLUENCES = 4
SMOOTHING = 8  # averaging steps: about the reach of a fold of skin at hips and shoulders
# Half-widths (m) of the blends along the spine. SMPL's spine joints sit elsewhere than MakeHuman's bones, so the
# torso is shared out by height instead.
SPINE_BLEND = {"spine1": 0.085, "spine2": 0.07, "spine3": 0.055}
LIMBS = {
    r"clavicle|shoulder01": "collar",
    r"upperarm0\d": "shoulder",
    r"lowerarm0\d": "elbow",
    r"wrist|metacarpal\d": "wrist",
    r"upperleg0\d": "hip",
    r"lowerleg0\d": "knee",
    r"foot": "ankle",
    r"toe\d-\d": "foot",
}


def _joint_of_bone(rig: Rig, bone: str) -> str:
    name, _, s = bone.partition(".")
    side = {"L": "left_", "R": "right_"}.get(s, "")
    for pattern, joint in LIMBS.items():
        if re.fullmatch(pattern, name):
            return side + joint
    if match := re.fullmatch(r"finger(\d)-(\d)", name):
        finger = {v: k for k, v in FINGERS.items()}[int(match[1])]
        return f"{side}{finger}{match[2]}"
    if name.startswith("neck"):
        return "neck"
    if name.startswith(("spine", "pelvis", "root", "breast")):
        return "torso"
    chain = [bone]
    while rig.parents[rig.index(chain[-1])] >= 0:
        chain.append(rig.names[rig.parents[rig.index(chain[-1])]])
    return "jaw" if "jaw" in chain else "head"


def _smoothstep(x: Array) -> Array:
    t = np.clip((x + 1.0) / 2.0, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def merge(rig: Rig, bones: Array, vertices: Array, joints: Array) -> Array:
    """(V,55) weights from MakeHuman's (V,B), by the T-posed template (V,3) and its joints (55,3), metres."""
    names = joint_names()
    out = np.zeros((len(bones), 55))
    torso = np.zeros(len(bones))
    for b, bone in enumerate(rig.names):
        joint = _joint_of_bone(rig, bone)
        if joint == "torso":
            torso += bones[:, b]
        else:
            out[:, names.index(joint)] += bones[:, b]
    torso = _girdle(out, torso, vertices, joints)
    below = np.ones(len(bones))  # the share that lies above the joints seen so far
    chain = ["pelvis", "spine1", "spine2", "spine3"]
    for lower, upper in pairwise(chain):
        height = joints[names.index(upper), 1]
        above = _smoothstep((vertices[:, 1] - height) / SPINE_BLEND[upper])
        out[:, names.index(lower)] += torso * below * (1.0 - above)
        below = below * above
    out[:, names.index("spine3")] += torso * below
    return out


def _girdle(out: Array, torso: Array, vertices: Array, joints: Array) -> Array:
    """Shoulder girdle: the flank does not follow a raised arm, the shoulder's skin follows the collar.

    Changes ``out``; returns the torso's weights (V,) after the exchange.
    """
    names = joint_names()
    for side, sign in (("left", 1.0), ("right", -1.0)):
        arm, collar = names.index(f"{side}_shoulder"), names.index(f"{side}_collar")
        across, up = (sign * vertices[:, 0]) - abs(joints[arm, 0]), vertices[:, 1] - joints[arm, 1]
        flank = out[:, arm] * (1.0 - _smoothstep((up + 0.135) / 0.065)) * (across < 0.08)
        out[:, arm] -= flank
        torso = torso + flank
        cap = 0.55 * torso * _smoothstep((across + 0.06) / 0.06) * _smoothstep((up + 0.08) / 0.06)
        out[:, collar] += cap
        torso = torso - cap
    return torso


def finish(weights: Array, faces: NDArray[np.int64], rigid: dict[str, NDArray[np.int64]]) -> Array:
    """Smooth over the skin, make parts in ``rigid`` (joint → vertices) follow one joint, keep the four largest."""
    names = joint_names()
    out = np.asarray(smoother(faces, len(weights), SMOOTHING) @ weights)
    toes = [names.index("left_foot"), names.index("right_foot")]
    feet = weights[:, toes + [t - 3 for t in toes]].sum(1) > 0.5  # toes bend over the width of the ball of the foot
    out[feet] = (smoother(faces, len(weights), 12) @ out)[feet]
    # Nothing of a finger may hang on its neighbour: those weights are as made by hand.
    fingers = weights[:, 25:].sum(1) > 0.02
    out[fingers] = 0.5 * weights[fingers] + 0.5 * (smoother(faces, len(weights), 1) @ weights)[fingers]
    for joint, ids in rigid.items():
        out[ids] = 0.0
        out[ids, names.index(joint)] = 1.0
    smallest = np.argsort(out, axis=1)[:, :-INFLUENCES]
    np.put_along_axis(out, smallest, 0.0, axis=1)
    out[out < 0.004] = 0.0
    return out / np.sum(out, axis=1, keepdims=True)
