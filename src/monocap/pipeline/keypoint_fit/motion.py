"""What was fitted to the people of a picture or video → `Motion`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.export.person import between
from monocap.fitting.smplifyx.result import Fitted
from monocap.geometry.rotations import axis_angle_to_quaternion, quaternion_to_axis_angle, slerp
from monocap.pipeline.assemble import assemble
from monocap.types import Array, BodyEstimate, BodyParams, Camera, Motion, Track

_CHUNK = 1000  # frames posed at once, so that memory stays flat
_LINEAR = ("transl", "expression")
_OFF = 0.1  # of the person's size: a mean misfit at which a fit deserves half the keypoints' confidence


@dataclass(frozen=True)
class FittedPerson:
    """``fitted`` has a row for each of ``frames`` (n,) of the ``track``, ascending."""

    track: Track
    frames: NDArray[np.int64]
    fitted: Fitted


def motion_of(
    body: BodyModel, camera: Camera, fps: float, times: Array, people: Sequence[FittedPerson], skeleton: str
) -> Motion:
    """One `Motion` over T frames at ``times`` (T,) s: the fitted parameters as they are, gaps bridged and marked.

    Frames that were not fitted are not ``valid``; ``skeleton`` is that of the keypoints, also where nobody is.
    """
    estimates = [(person.track, _estimate(body, person, len(times))) for person in people]
    motion = assemble(body, camera, fps, np.arange(len(times)), times, estimates, hold_feet=False)
    if not people:
        names = np.array(skeletons.get(skeleton).joint_names)
        return replace(motion, keypoint_names=names, keypoints2d=np.zeros((0, len(times), len(names), 3)))
    poses = np.array(motion.body_pose)
    for p, (_, estimate) in enumerate(estimates):  # as fitted: codes, energies and angles belong together
        poses[p, estimate.valid] = estimate.params.body_pose[estimate.valid]
    return replace(motion, body_pose=poses)


def _estimate(body: BodyModel, person: FittedPerson, count: int) -> BodyEstimate:
    fitted, track = person.fitted, person.track
    good = np.flatnonzero(fitted.found)
    valid = np.zeros(count, bool)
    valid[person.frames[good]] = True
    params = _rested(body, count) if not len(good) else _spread(fitted, good, person.frames[good], count)
    params = replace(params, betas=np.pad(params.betas, (0, body.num_betas - len(params.betas))))
    joints = np.concatenate([_joints(body, params, slice(k, k + _CHUNK)) for k in range(0, count, _CHUNK)])
    residual, confidence = np.zeros(count), np.zeros(count)
    residual[person.frames[good]] = np.nan_to_num(fitted.residual_px[good])
    for t in np.flatnonzero(valid):
        points = track.points2d[t]
        seen = points[points[:, 2] > 0, :2]
        size = float(np.ptp(seen, axis=0).max()) if len(seen) else 1.0
        confidence[t] = track.score[t] / (1.0 + (residual[t] / (_OFF * max(size, 1.0))) ** 2)
    return BodyEstimate(params, joints, valid, confidence, residual)


def _spread(fitted: Fitted, rows: Array, frames: Array, count: int) -> BodyParams:
    """Parameters for all frames: between two that were fitted along the shortest way, beyond them as the nearest."""
    below, above, share = between(frames.astype(np.float64), np.arange(count, dtype=np.float64))
    values = {}
    for name, value in fitted.params.asdict().items():
        value = np.asarray(value, np.float64)
        if name == "betas":
            values[name] = value[rows].mean(axis=0)  # shared, or a single picture's
            continue
        start, end = value[rows][below], value[rows][above]
        if name in _LINEAR or len(rows) == count:
            values[name] = start + share[:, None] * (end - start)
            continue
        a, b = (axis_angle_to_quaternion(v.reshape(count, -1, 3)) for v in (start, end))
        turned = quaternion_to_axis_angle(slerp(a, b, np.broadcast_to(share[:, None], a.shape[:2])))
        # angles that were fitted are kept to the last digit: beyond half a turn they would come back as others
        values[name] = np.where((share == 0)[:, None], start, np.asarray(turned).reshape(count, -1))
    return BodyParams(**values)


def _rested(body: BodyModel, count: int) -> BodyParams:
    """Somebody of whom too little was seen: the mean body at rest, three metres away, never valid."""
    params = BodyParams(
        betas=np.zeros(body.num_betas),
        global_orient=np.tile([np.pi, 0.0, 0.0], (count, 1)),
        body_pose=np.zeros((count, 63)),
        transl=np.tile([0.0, 0.0, 3.0], (count, 1)),
    )
    return params


def _joints(body: BodyModel, params: BodyParams, part: slice) -> Array:
    given = {name: value if name == "betas" else value[part] for name, value in params.asdict().items()}
    return np.asarray(body.joints_only(**body.own(given)), np.float64)
