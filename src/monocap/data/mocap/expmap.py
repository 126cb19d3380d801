"""Comma-separated exponential maps: the CMU motions of the motion-prediction papers, 117 numbers a frame.

Three for the root's position, then 38 rotation vectors (root first), of a fixed CMU skeleton that the papers'
code holds and the files do not. They rotate row vectors, so the rotation of column vectors is exp(−r).
Layout and skeleton: Li et al., *Convolutional Sequence to Sequence Model for Human Dynamics* (CVPR 2018).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from monocap.data.mocap.asf_amc import INCH
from monocap.data.mocap.clip import MocapClip, check_size, numbers, read_lines
from monocap.geometry import rotations

FPS = 120.0
METRES_PER_UNIT = INCH / 0.45

# name: (parent, offset). The skeleton of one CMU performer; the rest pose has the legs spread by 20°, arms in a T.
_TREE: dict[str, tuple[str, tuple[float, float, float]]] = {
    "Hips": ("", (0, 0, 0)),
    "LHipJoint": ("Hips", (0, 0, 0)),
    "LeftHip": ("LHipJoint", (1.65674, -1.80282, 0.62477)),
    "LeftKnee": ("LeftHip", (2.59720, -7.13576, 0)),
    "LeftAnkle": ("LeftKnee", (2.49236, -6.84770, 0)),
    "LeftToe": ("LeftAnkle", (0.19704, -0.54136, 2.14581)),
    "LeftToeEnd": ("LeftToe", (0, 0, 1.11249)),
    "RHipJoint": ("Hips", (0, 0, 0)),
    "RightHip": ("RHipJoint", (-1.61070, -1.80282, 0.62476)),
    "RightKnee": ("RightHip", (-2.59502, -7.12977, 0)),
    "RightAnkle": ("RightKnee", (-2.46780, -6.78024, 0)),
    "RightToe": ("RightAnkle", (-0.23024, -0.63258, 2.13368)),
    "RightToeEnd": ("RightToe", (0, 0, 1.11569)),
    "LowerBack": ("Hips", (0, 0, 0)),
    "Chest": ("LowerBack", (0.01961, 2.05450, -0.14112)),
    "Chest2": ("Chest", (0.01021, 2.06436, -0.05921)),
    "LowerNeck": ("Chest2", (0, 0, 0)),
    "Neck": ("LowerNeck", (0.00713, 1.56711, 0.14968)),
    "Head": ("Neck", (0.03429, 1.56041, -0.10006)),
    "HeadEnd": ("Head", (0.01305, 1.62560, -0.05265)),
    "LeftCollar": ("Chest2", (0, 0, 0)),
    "LeftShoulder": ("LeftCollar", (3.54205, 0.90436, -0.17364)),
    "LeftElbow": ("LeftShoulder", (4.86513, 0, 0)),
    "LeftWrist": ("LeftElbow", (3.35554, 0, 0)),
    "LeftHand": ("LeftWrist", (0, 0, 0)),
    "LeftFingers": ("LeftHand", (0.66117, 0, 0)),
    "LeftFingersEnd": ("LeftFingers", (0.53306, 0, 0)),
    "LeftThumb": ("LeftWrist", (0, 0, 0)),
    "LeftThumbEnd": ("LeftThumb", (0.54120, 0, 0.54120)),
    "RightCollar": ("Chest2", (0, 0, 0)),
    "RightShoulder": ("RightCollar", (-3.49802, 0.75994, -0.32616)),
    "RightElbow": ("RightShoulder", (-5.02649, 0, 0)),
    "RightWrist": ("RightElbow", (-3.36431, 0, 0)),
    "RightHand": ("RightWrist", (0, 0, 0)),
    "RightFingers": ("RightHand", (-0.73041, 0, 0)),
    "RightFingersEnd": ("RightFingers", (-0.58887, 0, 0)),
    "RightThumb": ("RightWrist", (0, 0, 0)),
    "RightThumbEnd": ("RightThumb", (-0.59786, 0, 0.59786)),
}
_WIDTH = 3 * (1 + len(_TREE))


def read_expmap(path: str | os.PathLike[str], fps: float = FPS) -> MocapClip:
    """Read one sequence; the first line, a T-pose that the published files begin with, is left out.

    Raises InputError with file, line and remedy: lines that have not 117 finite numbers, or no frames.
    """
    where, lines = str(path), read_lines(path)
    rows = [(i, line) for i, line in enumerate(lines, start=1) if line.strip()]
    check_size(where, len(rows) - 1, len(_TREE))
    values = np.empty((len(rows), _WIDTH))
    for row, (number, line) in enumerate(rows):
        values[row] = numbers(line.split(","), where, number, _WIDTH)
    values = values[1:]
    names = tuple(_TREE)
    parents = tuple(names.index(parent) if parent else -1 for parent, _ in _TREE.values())
    offsets = np.array([offset for _, offset in _TREE.values()], dtype=np.float64)
    local = rotations.axis_angle_to_matrix(-values[:, 3:].reshape(len(values), -1, 3))
    clip = MocapClip(
        f"{Path(path).parent.name}-{Path(path).stem}", "expmap", names, parents, offsets, local, values[:, :3], fps
    )
    return clip.scaled(METRES_PER_UNIT)
