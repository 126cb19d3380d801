"""Where each keypoint of a detector lies on the body: landmarks are points on the skin or in the flesh, not joints.

A landmark hangs rigidly on one bone. Its rest position is a joint or a vertex of the body plus an offset in the
rest frame, hence linear in ``betas``. BlazePose's offsets are measured on renderings of the open body with
known truth (heavy network, both sides together): ``python tools/calibrate_landmarks.py``. Its hips lie 2 cm in
front of the hip centres and 1.5 cm above, its ears well inside the head's outline, its knees and ankles 2 cm
above the joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.types import Array

# keypoint: (bone it hangs on, joint or vertex name it starts from, offset x y z for the left side, weight).
# Weights: how far the network's idea of the point can be trusted, relative to a wrist.
_BLAZEPOSE_LEFT: dict[str, tuple[str, str, tuple[float, float, float], float]] = {
    "eye_inner": ("head", "left_eye", (-0.016, 0.003, 0.008), 0.5),
    "eye": ("head", "left_eye", (-0.007, 0.003, 0.002), 0.5),
    "eye_outer": ("head", "left_eye", (0.002, 0.003, -0.003), 0.5),
    "ear": ("head", "lear", (-0.029, 0.005, 0.016), 0.6),
    "shoulder": ("left_collar", "left_shoulder", (-0.015, 0.010, -0.006), 1.0),
    "elbow": ("left_shoulder", "left_elbow", (-0.011, -0.001, 0.001), 1.0),
    "wrist": ("left_elbow", "left_wrist", (0.004, -0.001, 0.004), 1.0),
    "pinky": ("left_wrist", "left_pinky1", (-0.010, 0.002, 0.027), 0.35),
    "index": ("left_wrist", "left_index1", (-0.016, 0.004, -0.018), 0.35),
    "thumb": ("left_wrist", "left_thumb2", (0.002, 0.006, -0.024), 0.25),
    "hip": ("pelvis", "left_hip", (-0.004, 0.015, 0.023), 1.0),
    "knee": ("left_hip", "left_knee", (-0.001, 0.022, 0.002), 1.0),
    "ankle": ("left_knee", "left_ankle", (0.006, 0.025, 0.003), 1.0),
    "heel": ("left_ankle", "LHeel", (-0.002, 0.010, 0.017), 0.6),
    "foot_index": ("left_ankle", "LBigToe", (0.023, 0.006, -0.026), 0.6),
}
_BLAZEPOSE_MIDDLE: dict[str, tuple[str, str, tuple[float, float, float], float]] = {
    "nose": ("head", "nose", (0.0, 0.010, -0.015), 0.6),
}

# Bones between keypoints whose directions the network's 3D hints may tell.
BLAZEPOSE_DIRECTIONS = (
    ("left_hip", "right_hip"),
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "left_shoulder"),
    ("right_hip", "right_shoulder"),
    *(
        (f"{side}_{a}", f"{side}_{b}")
        for side in ("left", "right")
        for a, b in (
            ("shoulder", "elbow"),
            ("elbow", "wrist"),
            ("hip", "knee"),
            ("knee", "ankle"),
            ("heel", "foot_index"),
        )
    ),
    ("left_ear", "right_ear"),
)


@dataclass(frozen=True)
class LandmarkModel:
    """N landmarks of one body: ``bone`` (N,) joint indices, ``rest`` (N,3) m and ``directions`` (N,3,B) m per beta.

    ``weight`` (N,): zero where the body has no such point. ``pairs`` (D,2): keypoints whose direction hints may tell.
    """

    keypoint_names: tuple[str, ...]
    bone: NDArray[np.int64]
    rest: Array
    directions: Array
    weight: Array
    pairs: NDArray[np.int64]


def blazepose_landmarks(body: BodyModel) -> LandmarkModel:
    """BlazePose's 33 keypoints on an SMPL-X shaped body."""
    names = skeletons.get("blazepose33").joint_names
    joint_index = {name: i for i, name in enumerate(body.joint_names)}
    count, betas = len(names), body.shapedirs.shape[2]
    bone = np.zeros(count, dtype=np.int64)
    rest = np.zeros((count, 3))
    directions = np.zeros((count, 3, betas))
    weight = np.zeros(count)
    for i, name in enumerate(names):
        entry = _entry(name)
        if entry is None:
            continue
        bone_name, anchor, offset, weight[i] = entry
        bone[i] = joint_index[bone_name]
        if anchor in joint_index:
            j = joint_index[anchor]
            rest[i], directions[i] = body.J_template[j], body.J_shapedirs[j, :, :betas]
        else:
            v = _vertex(body, anchor)
            rest[i], directions[i] = body.v_template[v], body.shapedirs[v]
        rest[i] += offset
    index = {name: i for i, name in enumerate(names)}
    pairs = np.array([(index[a], index[b]) for a, b in BLAZEPOSE_DIRECTIONS])
    return LandmarkModel(names, bone, rest, directions, weight, pairs)


def _vertex(body: BodyModel, name: str) -> int:
    """A named vertex; where a body has no eyeballs (SMPL-H), the one on the eye stands for its centre."""
    name = {"left_eye": "leye", "right_eye": "reye"}.get(name, name)
    if name not in body.extra_vertex_ids:
        raise InputError(f"body {body.name!r} has no {name}; expected the official mesh, whose points are known")
    return body.extra_vertex_ids[name]


def _entry(name: str) -> tuple[str, str, tuple[float, float, float], float] | None:
    if name in _BLAZEPOSE_MIDDLE:
        return _BLAZEPOSE_MIDDLE[name]
    side, _, part = name.partition("_")
    if part not in _BLAZEPOSE_LEFT:
        return None
    bone, anchor, (x, y, z), weight = _BLAZEPOSE_LEFT[part]
    if side == "left":
        return bone, anchor, (x, y, z), weight
    swapped = {"lear": "rear", "LHeel": "RHeel", "LBigToe": "RBigToe"}
    return bone.replace("left_", "right_"), swapped.get(anchor, anchor.replace("left_", "right_")), (-x, y, z), weight
