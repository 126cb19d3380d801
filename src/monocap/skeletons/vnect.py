"""What VNect's 21 joints are on a body, and the person of normalised height that its location maps speak of.

Source: Mehta et al., *VNect* (SIGGRAPH 2017), whose targets are root-relative and scaled to one height, so that a map's
value does not depend on who stands there; the height is measured from knee to neck along the body, which hats and feet
out of view leave alone.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from monocap.errors import InputError
from monocap.skeletons.skeleton import get
from monocap.types import Array

NAME = "vnect21"
KNEE_NECK = 0.92
"""m: neck to spine to pelvis, and the mean of both thighs, of the person of normalised height (1.73 m tall as the open
body)."""

_BODY = "smplx127"
_ON_BODY: dict[str, dict[str, float]] = {
    # MPI-INF-3DHP's spine lies half-way between pelvis and neck; its hands end at the knuckles, its toes at their tips
    "spine": {"spine2": 1.0},
    # no landmark is at the crown: where it lies from the others of the head (6 mm, at most 21, over 200 open bodies)
    "head_top": {"head": -1.665, "nose": -1.835, "left_ear": 0.912, "right_ear": 0.912, "left_eye": 1.338,
                 "right_eye": 1.338},
    **{f"{side}_hand": {f"{side}_middle1": 1.0} for side in ("left", "right")},
    **{f"{side}_toe": {f"{side}_big_toe": 1.0} for side in ("left", "right")},
}  # fmt: skip


@cache
def on_body() -> np.ndarray:
    """(21,127): the joints as sums over the points of a body (skeleton ``smplx127``), rows adding up to 1."""
    joints, points = get(NAME), get(_BODY)
    mix = np.zeros((len(joints), len(points)))
    for row, name in zip(mix, joints.joint_names, strict=True):
        for point, weight in _ON_BODY.get(name, {name: 1.0}).items():
            row[points.index(point)] = weight
    mix.setflags(write=False)
    return mix


def knee_neck(joints: Array) -> Array:
    """(…) m: length from knee to neck along the body, of joints (…,21,3). Raises InputError for other shapes."""
    if np.shape(joints)[-2:] != (len(get(NAME)), 3):
        raise InputError(f"joints of shape {np.shape(joints)}; expected (…,21,3), in the order of {NAME!r}")

    def bone(a: str, b: str) -> Array:
        return np.linalg.norm(joints[..., get(NAME).index(a), :] - joints[..., get(NAME).index(b), :], axis=-1)

    thighs = [bone(f"{side}_hip", f"{side}_knee") for side in ("left", "right")]
    return bone("neck", "spine") + bone("spine", "pelvis") + (thighs[0] + thighs[1]) / 2


def normalised(joints: Array) -> Array:
    """(…,21,3) m about the pelvis, of joints (…,21,3) brought to `KNEE_NECK`."""
    length = knee_neck(joints)[..., None, None]
    root = get(NAME).index("pelvis")
    return (joints - joints[..., root : root + 1, :]) * (KNEE_NECK / length)
