"""DeepMimic motions: JSON with 44 numbers a frame for a 15-joint character whose skeleton the file does not hold.

A frame is its duration (s), the root's position (m) and rotation, then rotations of chest, neck, and right and left
hip, knee, ankle, shoulder, elbow: quaternions wxyz, knees and elbows one angle about z. Axes: x forward, y up, z to the
right. Layout and skeleton: Peng et al., *DeepMimic* (2018), humanoid3d character.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from monocap.data.mocap.clip import MocapClip, check_size, read_lines
from monocap.errors import InputError
from monocap.geometry import rotations

# name: (parent, offset m, numbers per frame)
_TREE: dict[str, tuple[str, tuple[float, float, float], int]] = {
    "root": ("", (0, 0, 0), 4),
    "chest": ("root", (0, 0.236151, 0), 4),
    "neck": ("chest", (0, 0.223894, 0), 4),
    "right_hip": ("root", (0, 0, 0.084887), 4),
    "right_knee": ("right_hip", (0, -0.421546, 0), 1),
    "right_ankle": ("right_knee", (0, -0.40987, 0), 4),
    "right_shoulder": ("chest", (-0.02405, 0.2435, 0.18311), 4),
    "right_elbow": ("right_shoulder", (0, -0.274788, 0), 1),
    "left_hip": ("root", (0, 0, -0.084887), 4),
    "left_knee": ("left_hip", (0, -0.421546, 0), 1),
    "left_ankle": ("left_knee", (0, -0.40987, 0), 4),
    "left_shoulder": ("chest", (-0.02405, 0.2435, -0.18311), 4),
    "left_elbow": ("left_shoulder", (0, -0.274788, 0), 1),
    # Not moved by the file, for the directions of forearms and feet.
    "right_wrist": ("right_elbow", (0, -0.258947, 0), 0),
    "left_wrist": ("left_elbow", (0, -0.258947, 0), 0),
    "right_toe": ("right_ankle", (0.12, -0.04, 0), 0),
    "left_toe": ("left_ankle", (0.12, -0.04, 0), 0),
}
_WIDTH = 4 + sum(count for _, _, count in _TREE.values())


def read_deepmimic(path: str | os.PathLike[str]) -> MocapClip:
    """Read one motion. Raises InputError if it is no such file, of another character, empty, or not finite."""
    text = "\n".join(read_lines(path, 64 << 20))
    try:
        frames = json.loads(text)["Frames"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        line = getattr(error, "lineno", 1)
        raise InputError(f"{path}, line {line}: not a whole DeepMimic motion ({error}); get the file again") from error
    if not isinstance(frames, list):
        raise InputError(f"{path}, line 1: 'Frames' is no list; get the file again")
    check_size(str(path), len(frames), len(_TREE))
    widths = {len(frame) if isinstance(frame, list) else 0 for frame in frames}
    if widths != {_WIDTH}:
        raise InputError(
            f"{path}: frames of {sorted(widths)} numbers; expected {_WIDTH}, those of the humanoid3d character"
        )
    try:
        values = np.array(frames, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: a frame holds something that is no number; get the file again") from error
    duration = float(np.median(values[:, 0]))
    if not np.isfinite(values).all() or not 1e-4 <= duration <= 1.0:
        raise InputError(f"{path}: NaN, infinity, or frames of {duration} s; get the file again")
    names = tuple(_TREE)
    local = np.broadcast_to(np.eye(3), (len(values), len(names), 3, 3)).copy()
    column = 4
    for joint, (_, _, count) in enumerate(_TREE.values()):
        part = values[:, column : column + count]
        column += count
        if count == 4:
            local[:, joint] = rotations.quaternion_to_matrix(part)
        elif count == 1:
            local[:, joint] = rotations.axis_angle_to_matrix(part * np.array([0.0, 0.0, 1.0]))
    parents = tuple(names.index(parent) if parent else -1 for parent, _, _ in _TREE.values())
    offsets = np.array([offset for _, offset, _ in _TREE.values()], dtype=np.float64)
    return MocapClip(Path(path).stem, "deepmimic", names, parents, offsets, local, values[:, 1:4], 1.0 / duration)
