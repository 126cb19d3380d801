"""Fingers and wrist from 21 points of a hand: in the picture, robustly, and in the network's metres as a hint.

The energy is SMPLify-X's for a part (`fitting.parts`), in standard deviations: reprojection, the points' shape,
a Gaussian over the fingers' angles, components that no hand moves by, the coupling of end joints, ranges, the place
where the body's wrist is, and how the forearm lets a hand turn. The network's 3D may be turned round altogether, or be
that of the other hand: its depth is tried both ways, hands are tried in line with the forearm, and where nothing fits,
with the fingers in reverse order.
Frames of a video are coupled by accelerations as those of bodies are (`smplifyx.video`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel
from monocap.fitting.parts import Coupled, Looks, Part, Ranges, baked
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
_EXCHANGED = [0, *(k for finger in range(4, -1, -1) for k in range(1 + 4 * finger, 5 + 4 * finger))]
_PIXEL, _CUTOFF = 0.05, 5.0  # deviation of a point, of the way from wrist to middle knuckle; where errors stop to count
_SMALLEST = 1.0  # px of that deviation
_TRUST = np.array([0.5, *[0.35] * 4, *[1.0] * 16])  # wrist and thumb are seen half as exactly as the long fingers
_METRES, _ROBUST = 0.022, 0.08  # of the network's 3D
_PLACE, _DEPTH = 0.05, 0.15  # m that the body's wrist may be off across the line of sight and along it
_USED, _UNUSED = 24, 0.06  # components that hands use, and rad that they move by the others
_WRIST = (0.8, 0.25, 0.35)  # rad that hands turn against the forearm: along it, sideways, up and down
_REACH, _BEYOND = (2.0, 0.8, 1.5), 0.1  # rad that they turn at most, the forearm's own turn included; the hinge there
_TAKEN, _CHANGE = 2.5, 5.0  # nats: how rarely a hand is taken for the other one, and that this changes in a video
_MISFIT, _NEVER = 40.0, 1e6  # nats of misfit from which fingers may be exchanged, and what stands for impossible
_TWISTS = (0.0, 1.2, -1.2)  # rad
_SEARCHED, _ALONE = 3, 10  # iterations from every start, and then of a frame alone
_KEYS, _FOLLOWED, _COUPLED = 6, 2, 4  # in a video every so-manieth look is searched; iterations of all, and of windows
_CALM = 0.25  # of a body's smoothness: hands wave at 30 m/s²
_RUN = 8  # frames that a hand may be away within one run


@dataclass(frozen=True)
class HandFit:
    """``pose`` (T,45) rad, absolute; ``turn`` (T,3,3) and ``wrist`` (T,3) m of the hand in the camera's frame; ``seen``
    (T,) bool, or known from looks before and after: elsewhere the pose is the relaxed hand's, and turn and wrist mean
    nothing."""

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
    every: int = 1,
) -> HandFit:
    """The "left" or "right" hand over T frames at ``times`` (T,) s of a body with ``betas``.

    ``points`` (T,21,6) as in `types.Parts`, confidence 0 where not seen; ``wrist`` (T,3) m and ``forearm`` (T,3,3), the
    turn of the elbow, are the body's, camera frame; without a forearm hands may turn any way. ``smooth`` 1 = default,
    0 = every frame alone. Frames in which the hand was seen are fitted; where every ``every``-th was looked at, those
    between lie between them.
    """
    hand = _Hand(body, betas, side, camera)
    points, wrist = np.asarray(points, np.float64), np.asarray(wrist, np.float64)
    seen = points[:, :, 2].max(axis=1) > 0
    pose = np.repeat(hand.prior.mean[None], len(points), axis=0)
    turn = np.repeat(np.eye(3)[None], len(points), axis=0)
    place = wrist.copy()
    if not seen.any():
        return HandFit(pose, turn, place, seen)
    metres = _metres(points, seen, camera, float(np.linalg.norm(hand.rest[_MIDDLE] - hand.rest[0])))
    for run in _runs(seen):
        arm = None if forearm is None else np.asarray(forearm, np.float64)[run]
        here = _Seen(points[run], metres[run], wrist[run], arm)
        coupled = smooth > 0 and len(run) >= 3
        here, state = hand.followed(here) if coupled else hand.understood(here)[:2]
        if not coupled:
            state = hand.solved(here, state, _ALONE).state
        else:
            moments = np.asarray(times, np.float64)[run]
            terms = partial(_terms_of, hand, here)
            state, _ = smoothed(hand.part, state, moments, terms, _CALM * smooth, _COUPLED)
        pose[run] = hand.prior.mean + state.values[:, hand.part.layout["pose"]]
        turn[run] = state.root
        place[run] = state.values[:, hand.part.layout["transl"]] + hand.part.tree.joints[0]
    looks = Looks.of(seen, every)
    return HandFit(looks.between(pose), looks.turned(turn), looks.between(place), looks.there)


@dataclass(frozen=True)
class _Seen:
    """What tells of a hand in N frames: ``points`` (N,21,≥3) px and confidence, ``metres`` (N,21,3), the body's
    ``wrist`` (N,3) and ``forearm`` (N,3,3) or None."""

    points: Array
    metres: Array
    wrist: Array
    forearm: Array | None

    def take(self, index: NDArray[np.int64]) -> _Seen:
        arm = None if self.forearm is None else self.forearm[index]
        return _Seen(self.points[index], self.metres[index], self.wrist[index], arm)

    def turned_over(self, camera: Camera) -> _Seen:
        """The other hand, which gives the same picture: near and far exchanged along the line of sight."""
        ray = _ray(self.points, camera)
        along = np.einsum("tkc,tc->tk", self.metres - self.metres.mean(axis=1, keepdims=True), ray)
        return replace(self, metres=self.metres - 2 * along[..., None] * ray[:, None])

    def exchanged(self) -> _Seen:
        """The other hand, whose thumb is this one's little finger."""
        return replace(self, points=self.points[:, _EXCHANGED], metres=self.metres[:, _EXCHANGED])

    def where(self, first: NDArray[np.bool_], other: _Seen) -> _Seen:
        """Itself in the ``first`` (N,) frames, elsewhere the ``other``."""
        first = first[:, None, None]
        points = np.where(first, self.points, other.points)
        return replace(self, points=points, metres=np.where(first, self.metres, other.metres))


class _Hand:
    """One hand of one person before one camera, and how it is solved."""

    def __init__(self, body: BodyModel, betas: Array, side: str, camera: Camera) -> None:
        self.part, self.camera = hand_part(baked(body, betas), side), camera
        self.prior = finger_prior(side, relaxed(body, side))
        self.rest = self.part.at(self.part.rest(1), derivatives=False).points[0]
        self._bound = step_bound(self.part.layout)
        known = body.hand_data.get(f"{side}_hand_pose")
        self._unused = None if known is None else np.asarray(known[1], np.float64)[_USED:]

    def solved(self, seen: _Seen, start: Free, iterations: int) -> Descent:
        return minimise(energy_of(self.part, self.terms(seen)), start, self._bound, iterations, 1e-3)

    def understood(self, told: _Seen) -> tuple[_Seen, Free, NDArray[np.bool_]]:
        """What the network ``told``, as it is likeliest meant, where some steps lead from there, and where fingers were
        exchanged for that to fit."""
        here, best = self._either(told, self.searched)
        swapped = np.zeros(len(best.cost), dtype=np.bool_)
        index = np.flatnonzero(best.cost > _MISFIT)
        if not len(index):
            return here, best.state, swapped
        again, other = self._either(told.take(index).exchanged(), self.searched)
        more = np.full(len(best.cost), _NEVER)
        more[index] = other.cost - best.cost[index]
        swapped = _mistaken(more)
        every = np.zeros(len(best.cost), dtype=np.int64)
        every[index] = np.arange(len(index))
        return here.where(~swapped, again.take(every)), other.state.take(every).where(swapped, best.state), swapped

    def followed(self, told: _Seen) -> tuple[_Seen, Free]:
        """The same in a video: in every `_KEYS`-th frame with care, in the others from there."""
        count = len(told.points)
        keys = np.arange(0, count, _KEYS)
        near = np.minimum((np.arange(count) + _KEYS // 2) // _KEYS, len(keys) - 1)
        _, state, swapped = self.understood(told.take(keys))
        told = told.where(~swapped[near], told.exchanged())
        root, values = state.root[near], self.start(told).values
        if told.forearm is not None:
            root = told.forearm @ np.swapaxes(told.forearm[keys[near]], 1, 2) @ root
        pose = self.part.layout["pose"]
        values[:, pose] = state.values[near, pose]
        here, best = self._either(told, lambda seen: self.solved(seen, Free(root, values), _FOLLOWED))
        return here, best.state

    def _either(self, told: _Seen, solve: Callable[[_Seen], Descent]) -> tuple[_Seen, Descent]:
        """As it was said, or near and far exchanged, which is rare: frame by frame the likelier of the two."""
        other = told.turned_over(self.camera)
        first, second = solve(told), solve(other)
        mistaken = _mistaken(second.cost - first.cost)
        cost = np.where(mistaken, second.cost, first.cost)
        return told.where(~mistaken, other), replace(first, state=second.state.where(mistaken, first.state), cost=cost)

    def searched(self, seen: _Seen) -> Descent:
        """Some steps from several starts: the palm as the network has it, which may be turned round, and the hand in
        line with the forearm, turned along it by `_TWISTS`; frame by frame the best."""
        palm = self.start(seen)
        starts = [palm]
        if seen.forearm is not None:
            starts += [Free(seen.forearm @ axis_angle_to_matrix(np.array([x, 0.0, 0.0])), palm.values) for x in _TWISTS]
        every = np.arange(len(seen.points))
        start = Free(np.concatenate([s.root for s in starts]), np.concatenate([s.values for s in starts]))
        found = self.solved(seen.take(np.tile(every, len(starts))), start, _SEARCHED)
        chosen = found.cost.reshape(len(starts), -1).argmin(axis=0) * len(every) + every
        return replace(found, state=found.state.take(chosen), cost=found.cost[chosen])

    def start(self, seen: _Seen) -> Free:
        """The relaxed hand, its palm laid on the network's, its wrist on the ray that it was seen on."""
        state, camera = self.part.rest(len(seen.points)), self.camera
        palm = np.broadcast_to(self.rest[_PALM], (len(seen.points), len(_PALM), 3))
        state.root[:] = rigid_alignment(palm, seen.metres[:, _PALM]).rotation
        root = (seen.points[:, 0, :2] - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
        depth = np.maximum(seen.wrist[:, 2:], 0.1)
        place = np.where(seen.points[:, 0, 2:3] > 0, np.concatenate([root * depth, depth], axis=1), seen.wrist)
        state.values[:, self.part.layout["transl"]] = self.part.place(place)
        return state

    def terms(self, seen: _Seen) -> list[Term]:
        points, layout, prior = seen.points, self.part.layout, self.prior
        count = len(points)
        size = np.linalg.norm(points[:, _MIDDLE, :2] - points[:, 0, :2], axis=1)
        spread = np.linalg.norm(np.ptp(points[..., :2], axis=1), axis=1)
        deviation = np.maximum(_PIXEL * np.maximum(size, 0.4 * spread), _SMALLEST)
        sure = points[..., 2] * _TRUST
        weight = np.zeros(layout.size)
        weight[layout["transl"]] = 1 / (np.sqrt(2.0) * np.array([_PLACE, _PLACE, _DEPTH]))
        centre = np.zeros((count, layout.size))
        centre[:, layout["transl"]] = self.part.place(seen.wrist)
        K = np.broadcast_to(self.camera.K, (count, 3, 3))
        terms: list[Term] = [
            Reprojection(points[..., :2], sure / (2 * deviation[:, None] ** 2), K, _CUTOFF * deviation),
            Points3D(self.part.points, seen.metres, sure / (2 * _METRES**2), _ROBUST, relative=True),
            Quadratic("fingers", "pose", 1 / (np.sqrt(2.0) * prior.deviation)),
            Coupled(COUPLED, SHARE, COUPLING, prior.mean),
            Ranges(prior.lower, prior.upper, prior.mean),
            Damped("place", centre, weight),
        ]
        if seen.forearm is not None:
            terms.append(Wrist(seen.forearm, np.array(_WRIST), np.array(_REACH)))
        if self._unused is not None and len(self._unused):
            rare = np.full(len(self._unused), 1 / (np.sqrt(2.0) * _UNUSED))
            terms.append(Quadratic("components", "pose", rare, self._unused.T))
        return terms


def _terms_of(hand: _Hand, seen: _Seen, index: NDArray[np.int64]) -> list[Term]:
    """The energy of some frames by number."""
    return hand.terms(seen.take(index))


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


def _mistaken(more: Array) -> NDArray[np.bool_]:
    """(T,) where the network took the hand for the other one, which costs ``more`` (T,) nats than that it did not: the
    likeliest course of a video, in which that seldom is so and seldom changes."""
    cost = more + _TAKEN
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


def _runs(seen: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Frames in which the hand was seen, cut where it was away for long."""
    found = np.flatnonzero(seen)
    return np.split(found, np.flatnonzero(np.diff(found) > _RUN + 1) + 1)
