"""A person's motion as an AMASS file: what motion models, Blender's SMPL-X add-on and data tools read."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from monocap.export.person import between, even_times
from monocap.files import write_npz
from monocap.geometry.rotations import axis_angle_to_quaternion, quaternion_to_axis_angle, slerp
from monocap.types import Array, Motion


def write_amass(path: str | os.PathLike[str], motion: Motion, person: int = 0, *, fps: float | None = None) -> None:
    """Write `Motion.to_amass` of one person; AMASS knows one frame rate, so uneven times are resampled (as is ``fps``).

    Frames without finite numbers, where the person is not seen, are interpolated. Raises InputError as
    `Motion.to_amass` and `even_times` do.
    """
    data = motion.to_amass(person)
    times, rate = even_times(motion, fps)
    finite = np.isfinite(data["poses"]).all(axis=1) & np.isfinite(data["trans"]).all(axis=1)
    own = np.asarray(motion.time, np.float64)
    if not (finite.all() and np.array_equal(times, own)):
        data |= _resampled(data["poses"][finite], data["trans"][finite], own[finite], times)
    data |= {"mocap_frame_rate": np.array(rate), "mocap_time_length": np.array(len(times) / rate)}
    single = {key: data[key].astype(np.float32) for key in ("poses", "trans", "betas")}
    write_npz(path, data | single)


def _resampled(poses: Array, trans: Array, own: Array, times: Array) -> dict[str, Any]:
    below, above, share = between(own, times)
    turns = axis_angle_to_quaternion(poses.reshape(len(poses), -1, 3))
    turned = quaternion_to_axis_angle(slerp(turns[below], turns[above], share[:, None]))
    moved = trans[below] + share[:, None] * (trans[above] - trans[below])
    return {"poses": turned.reshape(len(times), -1), "trans": moved}
