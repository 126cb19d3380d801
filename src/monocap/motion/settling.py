"""From bodies in the camera to people on the ground: the one call that capture makes, and what it composes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.motion.balance import centre_of_mass
from monocap.motion.contacts import feet_seen, foot_contacts, sole_speed
from monocap.motion.foot_lock import lock_feet
from monocap.motion.gaps import bridge_gaps
from monocap.motion.ground import SHARED, Footing, Ground, estimate_ground
from monocap.motion.legs import ANKLES, CONTACT_POINTS, HIPS, Legs
from monocap.types import Array, BodyEstimate, BodyParams, Camera, Track

_CHUNK = 1000  # frames posed at once, so that memory stays flat
_MENDED = 0.05  # m: feet of a person whose own level is off the common ground are drawn no farther towards it
# Joints that may be the lowest of a body that does not stand, and how thick the body is there.
_LYING = {"pelvis": 0.1, "spine3": 0.1, "head": 0.1, "left_elbow": 0.04, "right_elbow": 0.04, "left_wrist": 0.03,
          "right_wrist": 0.03, "left_middle3": 0.03, "right_middle3": 0.03, "left_knee": 0.05,
          "right_knee": 0.05}  # fmt: skip


@dataclass(frozen=True)
class Settled:
    """``ground`` of the still camera; the ``estimates`` with feet held, in the order given; ``foot_contact`` (P,T,4)
    bool in the order of `CONTACT_POINTS`."""

    ground: Ground
    estimates: list[BodyEstimate]
    foot_contact: NDArray[np.bool_]


def settle(
    body: BodyModel,
    camera: Camera,
    times: Array,
    people: Sequence[tuple[Track, BodyEstimate]],
    hold_feet: bool = True,
) -> Settled:
    """Find the ground under ``people`` before a still ``camera``, bridge long gaps, find where feet rest, hold them.

    ``times`` (T,) s. Where a person is seen only legs and pelvis move, by what a camera can hardly see (`foot_lock`);
    ``hold_feet`` False leaves seen frames as they are, and a photo is never changed.
    """
    legs = [Legs.of(body, estimate.params.betas) for _, estimate in people]
    points, possible, footings = [], [], []
    for (track, estimate), leg in zip(people, legs, strict=True):
        seen = feet_seen(track, skeletons.get(track.skeleton).joint_names, camera)
        possible.append(np.repeat(seen & np.asarray(estimate.valid, bool)[:, None], 2, axis=1))
        points.append(_soles(leg, estimate.params))
        footings.append(_footing(body, leg, estimate, points[-1], possible[-1], times))
    ground = estimate_ground(footings)
    contacts, settled = np.zeros((len(people), len(times), len(CONTACT_POINTS)), bool), []
    for i, (_, estimate) in enumerate(people):
        params, changed = bridge_gaps(legs[i], estimate.params, estimate.valid, times, ground.up)
        if changed.any():
            estimate = _with_params(body, estimate, params, changed)
            points[i][changed] = _soles(legs[i], _frames(params, np.flatnonzero(changed)))
        level = float(ground.levels[i])
        height = points[i] @ ground.up - level
        above = np.minimum(np.abs(height), _above_support(footings[i], ground.up))
        contacts[i] = foot_contacts(sole_speed(points[i], times), above, possible[i], times)
        if hold_feet and contacts[i].any() and len(times) > 2:
            off = ground.level - level  # on another floor, or misjudged in size
            drawn = level + (float(np.clip(off, -_MENDED, _MENDED)) if abs(off) < SHARED else 0.0)
            estimate = _held(body, legs[i], estimate, contacts[i], times, ground.up, drawn)
        settled.append(estimate)
    return Settled(ground, settled, contacts)


def _above_support(footing: Footing, up: Array) -> Array:
    """Height (T,4) m of the soles above whatever the person stands on just then: the lowest sole of half a second
    before and after. A roof, a chair or a stair is a floor too, if the body is above it."""
    height = footing.points @ up
    lowest = np.where(footing.valid, height.min(axis=1), np.inf)
    steps = np.diff(footing.times)
    window = 1 + 2 * int(0.5 / max(float(np.median(steps)), 1e-3)) if len(steps) else 1
    support = minimum_filter1d(lowest, window, mode="nearest")
    standing = (footing.mass @ up)[:, None] > height + 0.45 * footing.leg
    return np.where(standing, height - support[:, None], np.inf)


def _footing(
    body: BodyModel, legs: Legs, estimate: BodyEstimate, points: Array, possible: NDArray[np.bool_], times: Array
) -> Footing:
    joints = np.asarray(estimate.joints)
    at = body.joint_names.index
    ankles = joints[:, [at("left_ankle"), at("right_ankle")]]
    hips = joints[:, [at("left_hip"), at("right_hip")]]
    rest = np.linalg.norm(legs.rest[list(ANKLES)] - legs.rest[list(HIPS)], axis=1)
    stretch = (np.linalg.norm(ankles - hips, axis=-1) / rest).max(axis=1)
    return Footing(
        points=points,
        contact=foot_contacts(sole_speed(points, times), None, possible, times),
        mass=centre_of_mass(joints, body.joint_names),
        straight=np.clip((stretch - 0.75) / 0.15, 0.0, 1.0),
        lowest=np.concatenate([points, joints[:, [at(name) for name in _LYING]]], axis=1),
        thickness=np.concatenate([np.zeros(points.shape[1]), list(_LYING.values())]),
        leg=legs.length,
        valid=np.asarray(estimate.valid, bool),
        times=np.asarray(times, np.float64),
    )


def _soles(legs: Legs, params: BodyParams) -> Array:
    """(T,4,3) sole points, posed in pieces."""
    frames = len(params.transl)
    pieces = [legs.pose(_frames(params, slice(k, k + _CHUNK))).points for k in range(0, frames, _CHUNK)]
    return np.concatenate(pieces) if pieces else np.zeros((0, 4, 3))


def _held(
    body: BodyModel,
    legs: Legs,
    estimate: BodyEstimate,
    contact: NDArray[np.bool_],
    times: Array,
    up: Array,
    level: float,
) -> BodyEstimate:
    """The estimate with its feet held between first and last sighting; before and after the pose is kept."""
    found = np.flatnonzero(estimate.valid)
    first, last = int(found[0]), int(found[-1])
    inner = slice(first, last + 1)
    held = lock_feet(legs, _frames(estimate.params, inner), contact[inner], times[inner], up, level)
    params = _frames(held, np.clip(np.arange(len(times)), first, last) - first)
    return _with_params(body, estimate, params, np.ones(len(times), bool))


def _with_params(
    body: BodyModel, estimate: BodyEstimate, params: BodyParams, changed: NDArray[np.bool_]
) -> BodyEstimate:
    """The estimate with new parameters, its joints posed again where they ``changed`` (T,)."""
    joints = np.array(estimate.joints, np.float64)
    rows = np.flatnonzero(changed)
    for k in range(0, len(rows), _CHUNK):
        part = rows[k : k + _CHUNK]
        joints[part] = body.joints_only(**_frames(params, part).asdict())
    return replace(estimate, params=params, joints=joints)


def _frames(params: BodyParams, index: slice | NDArray[np.int64]) -> BodyParams:
    """Some of the frames; betas are shared."""
    return replace(params, **{name: value[index] for name, value in params.asdict().items() if name != "betas"})
