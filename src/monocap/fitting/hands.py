"""Fingers and wrist from 21 points of a hand: in the picture, robustly, and in the network's metres as a hint.

The energy is SMPLify-X's for a part (`fitting.parts`), in standard deviations: reprojection, the points' shape,
a Gaussian over the fingers' angles, components that no hand moves by, the coupling of end joints, ranges, the place
where the body's wrist is, and how the forearm lets a hand turn. A hand that is seen from its edge looks like the other
one from the other side, and the network may take it for that: its depth is tried both ways, and so is a straight wrist.
Frames of a video are coupled by accelerations as those of bodies are (`smplifyx.video`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel
from monocap.fitting.parts import Coupled, Part, Ranges, baked
from monocap.fitting.smplifyx.solver import Descent, energy_of, minimise, step_bound
from monocap.fitting.smplifyx.state import At, Free
from monocap.fitting.smplifyx.terms import Damped, Index, Points3D, Quadratic, Reprojection, Term
from monocap.fitting.smplifyx.video import smoothed
from monocap.fitting.terms import Rows
from monocap.geometry.procrustes import rigid_alignment
from monocap.geometry.rotations import axis_angle_to_matrix, left_jacobian_so3, matrix_to_axis_angle, rotation_between
from monocap.priors.fingers import COUPLED, COUPLING, SHARE, finger_prior
from monocap.types import Array, Camera

_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_ORDER = ("index", "middle", "pinky", "ring", "thumb")  # SMPL-X's
_PALM = [0, 1, 5, 9, 13, 17]
_MIDDLE = 9
_PIXEL, _CUTOFF = 0.05, 5.0  # deviation of a point, of the way from wrist to middle knuckle; where errors stop to count
_SMALLEST = 1.0  # px of that deviation
_METRES, _ROBUST = 0.022, 0.08  # of the network's 3D
_PLACE, _DEPTH = 0.05, 0.15  # m that the body's wrist may be off across the line of sight and along it
_USED, _UNUSED = 24, 0.06  # components that hands use, and rad that they move by the others
_WRIST = (0.8, 0.25, 0.35)  # rad that hands turn against the forearm: along it, sideways, up and down
_REACH, _BEYOND = (2.0, 0.8, 1.5), 0.1  # rad that they turn at most, the forearm's own turn included; the hinge there
_TAKEN, _CHANGE = 2.5, 5.0  # nats: how rarely a hand is taken for the other one, and that this changes in a video
_ALONE = 4, 10  # iterations of each try and of the best, of a frame alone
_COUPLED = 2, 2, 4  # of a video's frames, and then of its windows
_CALM = 0.25  # of a body's smoothness: hands wave at 30 m/s²
_RUN = 8  # frames that a hand may be away within one run


@dataclass(frozen=True)
class HandFit:
    """``pose`` (T,45) rad, absolute; ``turn`` (T,3,3) and ``wrist`` (T,3) m of the hand in the camera's frame; ``seen``
    (T,) bool: elsewhere the pose is the relaxed hand's, and turn and wrist mean nothing."""

    pose: Array
    turn: Array
    wrist: Array
    seen: NDArray[np.bool_]


def hand_part(body: BodyModel, side: str) -> Part:
    """One hand of a `baked` body, with the 21 points in the keypoints' order."""
    joints = [f"{side}_wrist", *(f"{side}_{finger}{k}" for finger in _ORDER for k in (1, 2, 3))]
    points = [f"{side}_wrist", *(f"{side}_{finger}{k}" for finger in _FINGERS for k in (1, 2, 3, "_tip"))]
    prior = finger_prior(side, relaxed(body, side))
    mean = np.concatenate([np.zeros(3), prior.mean])
    return Part.cut(body, joints, points, {"pose": 15}, mean)


def relaxed(body: BodyModel, side: str) -> Array | None:
    """(45,) rad, the mean hand of a body that has one."""
    known = body.hand_data.get(f"{side}_hand_pose")
    return None if known is None else np.asarray(known[0], np.float64)


@dataclass(frozen=True)
class Wrist:
    """How far hands turn against ``forearm`` (N,3,3), camera frame: a Gaussian over the rotation vector in its axes
    with ``deviation`` (3,) rad, and a hinge beyond ``reach`` (3,) rad, where `_BEYOND` more cost ½."""

    forearm: Array
    deviation: Array
    reach: Array
    name: str = field(default="wrist", init=False)

    def rows(self, at: At) -> Rows:
        back = np.swapaxes(self.forearm, 1, 2)
        turn = matrix_to_axis_angle(back @ at.state.root)
        slope = np.linalg.inv(left_jacobian_so3(turn)) @ back
        past = turn - np.clip(turn, -self.reach, self.reach)
        residual = np.concatenate([turn / self.deviation, past / _BEYOND], axis=1)
        hinge = slope * (past != 0)[..., None] / _BEYOND
        jacobian = np.concatenate([slope / self.deviation[:, None], hinge], axis=1)
        return Rows(residual, jacobian, None, 0.5 * np.sum(residual**2, axis=1), at.columns["root"])

    def take(self, index: Index) -> Self:
        return replace(self, forearm=self.forearm[index])


def fit_hand(
    body: BodyModel,
    betas: Array,
    side: str,
    points: Array,
    wrist: Array,
    camera: Camera,
    times: Array,
    smooth: float = 1.0,
    forearm: Array | None = None,
) -> HandFit:
    """The "left" or "right" hand over T frames at ``times`` (T,) s of a body with ``betas``.

    ``points`` (T,21,6) as in `types.Parts`, confidence 0 where not seen; ``wrist`` (T,3) m and ``forearm`` (T,3,3), the
    turn of the elbow, are the body's, camera frame; without a forearm hands may turn any way. ``smooth`` 1 = default,
    0 = every frame alone.
    """
    part = hand_part(baked(body, betas), side)
    prior = finger_prior(side, relaxed(body, side))
    points, wrist = np.asarray(points, np.float64), np.asarray(wrist, np.float64)
    seen = points[:, :, 2].max(axis=1) > 0
    pose = np.repeat(prior.mean[None], len(points), axis=0)
    turn = np.repeat(np.eye(3)[None], len(points), axis=0)
    place = wrist.copy()
    if not seen.any():
        return HandFit(pose, turn, place, seen)
    rest = part.at(part.rest(1), derivatives=False).points[0]
    metres = _metres(points, seen, camera, float(np.linalg.norm(rest[_MIDDLE] - rest[0])))
    bound = step_bound(part.layout)
    for run in _runs(seen):
        here, some, home = seen[run], points[run], wrist[run]
        coupled = smooth > 0 and len(run) >= 3
        tries, more = _COUPLED[:2] if coupled else _ALONE
        arm = None if forearm is None else np.asarray(forearm, np.float64)[run]
        every = np.arange(len(run))

        def terms(
            index: NDArray[np.int64],
            deep: Array,
            some: Array = some,
            home: Array = home,
            arm: Array | None = arm,
        ) -> list[Term]:
            bent = None if arm is None else arm[index]
            return _terms(part, body, side, some[index], deep[index], home[index], bent, camera)

        ways = [metres[run], _other_way(metres[run], some, camera)]
        tried = []
        for deep in ways:
            start = _start(part, rest, deep, some, home, camera)
            tried.append(minimise(energy_of(part, terms(every, deep)), start, bound, tries, 1e-3))
        if arm is not None:
            start = _straight(_start(part, rest, ways[0], some, home, camera), arm)
            straight = minimise(energy_of(part, terms(every, ways[0])), start, bound, tries, 1e-3)
            tried[0] = _better(tried[0], straight)
        mistaken = _mistaken(tried[1].cost - tried[0].cost, here)
        deep = np.where(mistaken[:, None, None], ways[1], ways[0])
        state = tried[1].state.where(mistaken, tried[0].state)
        state = minimise(energy_of(part, terms(every, deep)), state, bound, more, 1e-3).state
        if coupled:
            state = _bridged(state, here)
            moments = np.asarray(times, np.float64)[run]
            state, _ = smoothed(part, state, moments, partial(terms, deep=deep), _CALM * smooth, _COUPLED[2])
        pose[run] = prior.mean + state.values[:, part.layout["pose"]]
        turn[run] = state.root
        place[run] = state.values[:, part.layout["transl"]] + part.tree.joints[0]
    return HandFit(pose, turn, place, seen)


def _terms(
    part: Part,
    body: BodyModel,
    side: str,
    points: Array,
    metres: Array,
    wrist: Array,
    forearm: Array | None,
    camera: Camera,
) -> list[Term]:
    prior = finger_prior(side, relaxed(body, side))
    count = len(points)
    size = np.linalg.norm(points[:, _MIDDLE, :2] - points[:, 0, :2], axis=1)
    spread = np.linalg.norm(np.ptp(points[..., :2], axis=1), axis=1)
    deviation = np.maximum(_PIXEL * np.maximum(size, 0.4 * spread), _SMALLEST)
    sure = points[..., 2]
    K = np.broadcast_to(camera.K, (count, 3, 3))
    layout = part.layout
    weight = np.zeros(layout.size)
    weight[layout["transl"]] = 1 / (np.sqrt(2.0) * np.array([_PLACE, _PLACE, _DEPTH]))
    centre = np.zeros((count, layout.size))
    centre[:, layout["transl"]] = part.place(wrist)
    terms: list[Term] = [
        Reprojection(points[..., :2], sure / (2 * deviation[:, None] ** 2), K, _CUTOFF * deviation),
        Points3D(part.points, metres, sure / (2 * _METRES**2), _ROBUST, relative=True),
        Quadratic("fingers", "pose", 1 / (np.sqrt(2.0) * prior.deviation)),
        Coupled(COUPLED, SHARE, COUPLING, prior.mean),
        Ranges(prior.lower, prior.upper, prior.mean),
        Damped("place", centre, weight),
    ]
    if forearm is not None:
        terms.append(Wrist(forearm, np.array(_WRIST), np.array(_REACH)))
    known = body.hand_data.get(f"{side}_hand_pose")
    if known is not None and len(known[1]) > _USED:
        unused = np.asarray(known[1], np.float64)[_USED:]
        terms.append(Quadratic("components", "pose", np.full(len(unused), 1 / (np.sqrt(2.0) * _UNUSED)), unused.T))
    return terms


def _metres(points: Array, seen: NDArray[np.bool_], camera: Camera, palm: float) -> Array:
    """The network's 3D (T,21,3), of the size of this body's hand and turned to the camera's axes.

    The network sees a crop as if the camera pointed at it; the hand is seen along the ray through its middle.
    """
    metres = points[..., 3:]
    own = np.linalg.norm(metres[seen, _MIDDLE] - metres[seen, 0], axis=1)
    ray = _ray(points, camera)
    turned = rotation_between(np.broadcast_to([0.0, 0.0, 1.0], ray.shape), ray)
    return metres @ np.swapaxes(turned, -1, -2) * (palm / max(float(np.median(own)), 1e-4))


def _ray(points: Array, camera: Camera) -> Array:
    """(T,3) unit directions to the middles of hands."""
    middle = points[..., :2].mean(axis=1)
    ray = np.stack([(middle[:, 0] - camera.cx) / camera.fx, (middle[:, 1] - camera.cy) / camera.fy], axis=1)
    ray = np.concatenate([ray, np.ones((len(ray), 1))], axis=1)
    return ray / np.linalg.norm(ray, axis=1, keepdims=True)


def _other_way(metres: Array, points: Array, camera: Camera) -> Array:
    """The other hand (T,21,3) that gives the same picture: near and far exchanged along the line of sight."""
    ray = _ray(points, camera)
    along = np.einsum("tkc,tc->tk", metres - metres.mean(axis=1, keepdims=True), ray)
    return metres - 2 * along[..., None] * ray[:, None]


def _mistaken(more: Array, seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(T,) where the network took the hand for the other one, which costs ``more`` (T,) nats than that it did not: the
    likeliest course of a video, in which that seldom is so and seldom changes."""
    cost = np.where(seen, more, 0.0) + _TAKEN
    total, kept = np.zeros(2), np.zeros((len(cost), 2), dtype=np.int64)
    for t, extra in enumerate(cost):
        stay, change = total, total[::-1] + _CHANGE
        kept[t] = np.where(change < stay, [1, 0], [0, 1])
        total = np.minimum(stay, change) + np.array([0.0, extra])
    out = np.zeros(len(cost), dtype=np.bool_)
    way = int(np.argmin(total))
    for t in reversed(range(len(cost))):
        out[t] = way == 1
        way = int(kept[t, way])
    return out


def _start(part: Part, rest: Array, metres: Array, points: Array, wrist: Array, camera: Camera) -> Free:
    """The relaxed hand, its palm laid on the network's, its wrist on the ray that it was seen on."""
    state = part.rest(len(points))
    palm = np.broadcast_to(rest[_PALM], (len(points), len(_PALM), 3))
    state.root[:] = rigid_alignment(palm, metres[:, _PALM]).rotation
    root = points[:, 0, :2]
    depth = np.maximum(wrist[:, 2], 0.1)
    place = np.stack(
        [(root[:, 0] - camera.cx) / camera.fx * depth, (root[:, 1] - camera.cy) / camera.fy * depth, depth], axis=1
    )
    place = np.where((points[:, 0, 2] > 0)[:, None], place, wrist)
    state.values[:, part.layout["transl"]] = part.place(place)
    return state


def _straight(start: Free, forearm: Array) -> Free:
    """The same start with the hand in line with its ``forearm`` (N,3,3): of how it is turned only the twist is kept."""
    twist = matrix_to_axis_angle(np.swapaxes(forearm, 1, 2) @ start.root) * [1.0, 0.0, 0.0]
    return Free(forearm @ axis_angle_to_matrix(twist), start.values)


def _better(one: Descent, other: Descent) -> Descent:
    """Sample by sample the one of less energy."""
    first = one.cost <= other.cost
    return replace(one, state=one.state.where(first, other.state), cost=np.minimum(one.cost, other.cost))


def _runs(seen: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Frames from the first to the last sighting, cut where the hand is away for long."""
    found = np.flatnonzero(seen)
    cuts = np.flatnonzero(np.diff(found) > _RUN + 1) + 1
    return [np.arange(part[0], part[-1] + 1) for part in np.split(found, cuts)]


def _bridged(state: Free, seen: NDArray[Any]) -> Free:
    """Frames in which the hand was away start as the last one in which it was there."""
    last = np.maximum.accumulate(np.where(seen, np.arange(len(seen)), 0))
    return state.take(last)
