"""One person of a `Motion` as animation wants it: world frame, local rotations that run on, any time asked for.

Every writer takes its poses from here, so that all files agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from monocap import skeletons
from monocap.errors import InputError
from monocap.geometry.rotations import axis_angle_to_matrix, matrix_to_quaternion, slerp
from monocap.types import Array, Motion

GAP = 0.5
"""Seconds: a person who is not seen for longer is hidden; a shorter gap is bridged."""

MAX_FPS, MAX_FRAMES = 1000.0, 2_000_000
_EVEN = 0.1  # of a frame: times that stray less count as evenly spaced


class SkinnedBody(Protocol):
    """What an exporter asks of a body: see `monocap.bodies`. ``uv`` and ``uv_faces`` may be None."""

    @property
    def v_template(self) -> Any: ...
    @property
    def shapedirs(self) -> Any: ...
    @property
    def faces(self) -> Any: ...
    @property
    def parents(self) -> Any: ...
    @property
    def joint_names(self) -> Any: ...
    @property
    def lbs_weights(self) -> Any: ...
    @property
    def uv(self) -> Any: ...
    @property
    def uv_faces(self) -> Any: ...

    def rest_joints(self, betas: Any) -> Any: ...


@dataclass(frozen=True)
class PersonClip:
    """One person over K moments, J joints of the body.

    ``times`` (K,) s; ``seen`` (K,) bool; ``local`` (K,J,4) unit quaternions wxyz, each joint in its parent's frame,
    the pelvis in the world, of the same sign from moment to moment; ``pelvis`` (K,3) world, metres. ``rest_joints``
    (J,3) of the person's shape, metres, y up; ``parents`` (J,), -1 for the pelvis, which comes first.
    """

    track_id: int
    times: Array
    seen: Array
    local: Array
    pelvis: Array
    rest_joints: Array
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]

    @property
    def offsets(self) -> Array:
        """(J,3) metres from the parent, at rest; zero for the pelvis."""
        return self.rest_joints - self.rest_joints[np.maximum(self.parents, 0)]

    def at(self, times: Array) -> PersonClip:
        """The clip at other moments (M,): positions linear, rotations along the shortest arc, held beyond its ends."""
        times = np.asarray(times, np.float64)
        below, above, share = between(self.times, times)
        nearest = np.where(share < 0.5, below, above)
        pelvis = self.pelvis[below] + share[:, None] * (self.pelvis[above] - self.pelvis[below])
        local = _running_on(slerp(self.local[below], self.local[above], share[:, None]))
        return replace(self, times=times, seen=self.seen[nearest], local=local, pelvis=pelvis)


def present(motion: Motion) -> list[int]:
    """People who are seen in at least one frame."""
    return [p for p in range(motion.people) if np.asarray(motion.valid[p]).any()]


def person_clip(motion: Motion, person: int, body: SkinnedBody) -> PersonClip:
    """One person at all T frames of the motion.

    Frames that are not valid keep what the motion bridges them with; where that is not finite, they are interpolated
    between their neighbours.

    Raises InputError if motion and body do not fit each other, the person is never seen, times do not grow, or numbers
    of valid frames are not finite.
    """
    names = skeletons.get("smplx55").joint_names  # the order of a motion's poses, whatever joints its body has
    wanted = tuple(str(name) for name in body.joint_names)
    missing = [name for name in wanted if name not in names]
    if missing:
        raise InputError(
            f"a motion has no joint {', '.join(missing[:3])}, which this body has; use the body it was made with"
        )
    betas = np.asarray(motion.betas[person], np.float64)
    track, valid = int(motion.track_id[person]), np.asarray(motion.valid[person], bool)
    if len(betas) > np.shape(body.shapedirs)[-1]:
        raise InputError(
            f"{len(betas)} betas, but the body has {np.shape(body.shapedirs)[-1]}; use the body it was made with"
        )
    if not valid.any():
        raise InputError(f"person {track} is seen in no frame, so there is nothing to write")
    times = np.asarray(motion.time, np.float64)
    if not (np.diff(times) > 0).all() or not times[0] >= 0:
        raise InputError("motion.time must grow from frame to frame and not be negative; repair the times first")
    fields = ("global_orient", "body_pose", "jaw_pose", "left_eye_pose", "right_eye_pose")
    hands = ("left_hand_pose", "right_hand_pose")
    pose = np.concatenate([np.asarray(getattr(motion, f)[person], np.float64) for f in fields + hands], axis=-1)
    transl = np.asarray(motion.transl[person], np.float64)
    T_world_camera = np.asarray(motion.T_world_camera, np.float64)
    rows = [array.reshape(len(times), -1) for array in (pose, transl, T_world_camera)]
    finite = np.asarray(np.isfinite(np.concatenate(rows, axis=1)).all(axis=1))
    if not (finite[valid].all() and np.isfinite(betas).all()):
        raise InputError(f"person {track} has nan or infinity in frames that are marked valid")
    kept = np.flatnonzero(finite)
    rest_joints = np.asarray(body.rest_joints(betas), np.float64)
    turn, shift = T_world_camera[kept, :3, :3], T_world_camera[kept, :3, 3]
    order = skeletons.get("smplx55").joint_names  # of the angles, also where the body has fewer joints
    local = axis_angle_to_matrix(pose[kept].reshape(len(kept), -1, 3))[:, [order.index(name) for name in wanted]]
    local[:, 0] = turn @ local[:, 0]
    # the root turns about the rest pelvis, which is not the body's origin
    pelvis = np.einsum("kab,kb->ka", turn, rest_joints[0] + transl[kept]) + shift
    parents = tuple(int(i) for i in np.asarray(body.parents))
    quaternions = _running_on(matrix_to_quaternion(local))
    clip = PersonClip(track, times[kept], valid[kept], quaternions, pelvis, rest_joints, wanted, parents)
    return clip if len(kept) == len(times) else replace(clip.at(times), seen=valid)


def even_times(motion: Motion, fps: float | None = None) -> tuple[Array, float]:
    """Moments (M,) at a constant rate from the first frame to the last, and that rate.

    By default the motion's own frames, if they are evenly spaced but for a tenth of a frame (the rate is then theirs);
    else, or with ``fps``, moments so many times a second. Raises InputError for a rate or length out of range.
    """
    times = np.asarray(motion.time, np.float64)
    if fps is None and len(times) > 1:
        order = np.arange(len(times))
        for rate in (float(motion.fps), (len(times) - 1) / (times[-1] - times[0])):
            if 0 < rate <= MAX_FPS and (np.abs((times - times[0]) * rate - order) < _EVEN).all():
                return times, rate
    rate = float(motion.fps if fps is None else fps)
    if not 0 < rate <= MAX_FPS:
        raise InputError(f"{rate:g} frames per second; expected above 0 and at most {MAX_FPS:g}")
    count = int(np.floor((times[-1] - times[0]) * rate + 1e-6)) + 1
    if count > MAX_FRAMES:
        raise InputError(
            f"{rate:g} frames per second make {count} frames; at most {MAX_FRAMES} are written. Choose fewer"
        )
    return times[0] + np.arange(count) / rate, rate


def between(own: Array, times: Array) -> tuple[Array, Array, Array]:
    """Where moments (M,) fall among growing ones (K,): index below, index above, share (M,) of the way."""
    if len(own) == 1:
        nothing = np.zeros(len(times))
        return nothing.astype(np.intp), nothing.astype(np.intp), nothing
    above = np.clip(np.searchsorted(own, times, side="right"), 1, len(own) - 1)
    return above - 1, above, np.clip((times - own[above - 1]) / (own[above] - own[above - 1]), 0.0, 1.0)


def shown(clip: PersonClip) -> Array:
    """(K,) bool: is the person there? Seen, or in a gap of at most `GAP` seconds between two sightings."""
    visible = clip.seen.copy()
    seen = np.flatnonzero(clip.seen)
    for left, right in pairwise(seen):
        if clip.times[right] - clip.times[left] <= GAP:
            visible[left:right] = True
    return visible


def _running_on(quaternions: Array) -> Array:
    """(K,J,4) with signs so that each is the nearer of ±q to the one before."""
    turned = (quaternions[1:] * quaternions[:-1]).sum(axis=-1, keepdims=True) < 0
    out = quaternions.copy()
    out[1:] *= np.cumprod(np.where(turned, -1.0, 1.0), axis=0)
    return out
