"""A motion as JSON lines: text that any language reads, one frame after the other, without loading the whole.

Line 1 is a header, each further line a frame; docs/exports.md describes every key. Written frame by frame, so that long
motions need no memory.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from monocap.errors import InputError
from monocap.files import replacing
from monocap.types import Array, Motion

SCHEMA = "monocap.motion.jsonl/1"
_DIGITS = 5  # 0.01 mm, 0.0006°
_POSES = (
    *("global_orient", "body_pose", "jaw_pose", "left_eye_pose", "right_eye_pose", "left_hand_pose", "right_hand_pose"),
    *("transl", "expression"),
)


def write_jsonl(path: str | os.PathLike[str], motion: Motion, people: list[int] | None = None) -> None:
    """Write a motion, or only the people of these indices, as JSON lines.

    A frame lists who is seen in it (``valid``); parameters are in the camera frame as in the npz, joints in camera and
    world. Raises InputError if numbers of valid frames are not finite.
    """
    chosen = range(motion.people) if people is None else people
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(_line(_header(motion, chosen)))
        for t in range(motion.frames):
            file.write(_line(_frame(motion, chosen, t)))


def _header(motion: Motion, people: Any) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "body_model": motion.body_model,
        "fps": float(motion.fps),
        "frames": motion.frames,
        "image_size": [int(v) for v in motion.image_size],
        "joint_names": [str(name) for name in motion.joint_names],
        "keypoint_names": [str(name) for name in motion.keypoint_names],
        "people": [{"track_id": int(motion.track_id[p]), "betas": _numbers(motion.betas[p])} for p in people],
    }


def _frame(motion: Motion, people: Any, t: int) -> dict[str, Any]:
    T_world_camera = np.asarray(motion.T_world_camera[t], np.float64)
    row: dict[str, Any] = {
        "frame": int(motion.frame_index[t]),
        "time": round(float(motion.time[t]), 6),
        "K": _numbers(motion.K[t]),
        "T_world_camera": _numbers(T_world_camera, 7),
        "people": [],
    }
    for p in people:
        if motion.valid[p, t]:
            joints = np.asarray(motion.joints[p, t], np.float64)
            one = {"track_id": int(motion.track_id[p]), "confidence": round(float(motion.confidence[p, t]), 4)}
            one |= {name: _numbers(getattr(motion, name)[p, t]) for name in _POSES}
            one["joints"] = _numbers(joints)
            one["joints_world"] = _numbers(joints @ T_world_camera[:3, :3].T + T_world_camera[:3, 3])
            one["keypoints2d"] = _numbers(motion.keypoints2d[p, t], 3)
            if motion.foot_contact is not None:
                one["foot_contact"] = np.asarray(motion.foot_contact[p, t], bool).tolist()
            row["people"].append(one)
    return row


def _numbers(array: Array, digits: int = _DIGITS) -> list[Any]:
    return np.round(np.asarray(array, np.float64), digits).tolist()


def _line(value: dict[str, Any]) -> str:
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n"
    except ValueError:
        raise InputError(f"frame {value.get('frame')} has nan or infinity, which JSON cannot hold; repair it") from None
