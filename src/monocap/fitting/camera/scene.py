"""The unknowns that people before one still camera share, and what ties them: the lens, the tilt, the ground, stances.

Focal length and distance trade off: a person twice as far before a lens twice as long looks almost the same. The state
therefore holds z / f of everybody: a step in ln f carries all distances along, and what is left of the projection is
perspective alone. What tells the focal length is that perspective, feet that stay where they stand while the body moves
on, one ground under everybody, and bodies upright on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monocap import skeletons
from monocap.fitting.state import TRANSL, UNKNOWNS, Linearised, PoseState, Skeleton
from monocap.fitting.terms import Rows, Term
from monocap.perception.field_of_view import up_of
from monocap.types import Array

DEPTH = TRANSL.stop - 1
FOCAL, PITCH, ROLL, LEVEL, PEOPLE = (
    0,
    1,
    2,
    3,
    4,
)  # places in the shared unknowns; then levels, foreshortenings, stances
_JOINT = {name: i for i, name in enumerate(skeletons.get("smplx55").joint_names)}
_MASS = ((_JOINT["pelvis"], 0.45), (_JOINT["spine3"], 0.55))  # near the centre of mass of whoever stands
_STANDS, _STANCE_CUTOFF = 0.04, 3.0  # m: error of a foot's place, most of it along the ray; where it stops to count
_ON_GROUND = 0.03  # m: how even floors are, and feet set on them
_INSTANT, _LASTING, _LEAN_CUTOFF = 0.21, 0.05, 2.5  # rad: balance, as in motion.ground
_MOST_TILT = 1.3  # rad
# Of ln f, as a single body's own perspective tells it: pose, hints and prior explain the same foreshortening, and
# follow whatever lens the hints were lifted under (docs/camera-fit.md).
_PERSPECTIVE = 0.8


@dataclass(frozen=True)
class Stance:
    """One foot of ``person`` stands through ``rows`` of the person's frames; ``points``: landmarks of its sole."""

    person: int
    rows: NDArray[np.int64]
    points: NDArray[np.int64]


@dataclass(frozen=True)
class Person:
    """``skeleton``; all energy ``terms`` but the reprojection; ``target`` (T,N,2) px and ``weight`` (T,N) of the
    keypoints, ``deviation`` (T,) px, ``cutoff``; ``feet``: landmarks of the left and the right sole; ``stands`` (T,)
    0–1: whether the feet are seen, so that balance tells of the tilt."""

    skeleton: Skeleton
    terms: tuple[Term, ...]
    target: Array
    weight: Array
    deviation: Array
    cutoff: float
    feet: tuple[NDArray[np.int64], NDArray[np.int64]]
    stands: Array


@dataclass(frozen=True)
class Prior:
    """What is known beforehand: ln f px and its deviation; pitch and roll and their deviations, rad; ``size``: relative
    deviation of people's statures. ``strength`` multiplies it all, as frames of a video err alike."""

    log_focal: float
    log_sigma: float
    tilt: Array
    tilt_sigma: Array
    size: float
    strength: float = 1.0


@dataclass(frozen=True)
class SceneState:
    """``poses`` of each person; ``log_focal``; ``tilt`` (2,) pitch and roll rad; ``level`` m of the ground along up and
    ``levels`` (P,) as each person's size has it; ``apparent`` (P,): how much larger ln f is by each body's own
    perspective; ``places`` (K,3) m of the stances. Camera frame."""

    poses: tuple[PoseState, ...]
    log_focal: float
    tilt: Array
    level: float
    levels: Array
    apparent: Array
    places: Array

    def step(self, deltas: tuple[Array, ...], shared: Array) -> SceneState:
        """Moved by ``deltas`` (T,63) of each person and the ``shared`` unknowns (C,); distances follow ln f."""
        factor = np.array([1.0, 1.0, np.exp(shared[FOCAL])])
        poses = tuple(
            replace(pose, transl=pose.transl * factor).step(delta)
            for pose, delta in zip(self.poses, deltas, strict=True)
        )
        people = len(self.poses)
        return SceneState(
            poses,
            self.log_focal + float(shared[FOCAL]),
            np.clip(self.tilt + shared[PITCH:LEVEL], -_MOST_TILT, _MOST_TILT),
            self.level + float(shared[LEVEL]),
            self.levels + shared[PEOPLE : PEOPLE + people],
            self.apparent + shared[PEOPLE + people : PEOPLE + 2 * people],
            self.places * factor + shared[PEOPLE + 2 * people :].reshape(-1, 3),
        )

    @property
    def shared(self) -> int:
        """C."""
        return PEOPLE + 2 * len(self.poses) + 3 * len(self.places)


@dataclass(frozen=True)
class SharedRows:
    """Rows (T,R) with Jacobians by the frames' unknowns (T,R,63) and by the shared ones (T,R,C); ``cost`` (T,)."""

    residual: Array
    jacobian: Array
    by_shared: Array
    cost: Array


def seen_rows(person: Person, at: Linearised, K: Array, apparent: float, column: int, shared: int) -> SharedRows:
    """Landmarks against keypoints, Geman–McClure per keypoint, under intrinsics ``K`` (3,3).

    Lens and distance are as ``apparent`` has them, e to that power larger; it is the shared unknown ``column``.
    """
    frames, count = person.weight.shape
    farther = np.exp(apparent)
    focal, middle = np.array([K[0, 0], K[1, 1]]) * farther, K[:2, 2]
    z = np.maximum(at.points[..., 2:] + (farther - 1.0) * at.state.transl[:, None, 2:], 0.05)
    ratio = focal * at.points[..., :2] / z
    error = (ratio + middle - person.target) / person.deviation[:, None, None]
    squared = np.sum(error**2, axis=-1)
    c2 = person.cutoff**2
    robust = c2 / (c2 + squared)
    scale = (np.sqrt(person.weight) * robust)[..., None]
    by_point = np.zeros((frames, count, 2, 3))
    by_point[..., 0, 0], by_point[..., 1, 1] = focal[0] / z[..., 0], focal[1] / z[..., 0]
    by_point[..., 2] = -ratio / z
    by_point *= (scale / person.deviation[:, None, None])[..., None]
    jacobian = (by_point @ at.d_points).reshape(frames, 2 * count, UNKNOWNS)
    jacobian[..., DEPTH] *= farther
    by_shared = np.zeros((frames, 2 * count, shared))
    explicit = (scale * ratio / person.deviation[:, None, None]).reshape(frames, -1)
    by_shared[..., FOCAL] = by_shared[..., column] = explicit + jacobian[..., DEPTH] * at.state.transl[:, 2:]
    return SharedRows(
        (scale * error).reshape(frames, -1),
        jacobian,
        by_shared,
        0.5 * np.sum(person.weight * squared * robust, axis=1),
    )


def own_rows(rows: Rows, at: Linearised, shared: int) -> SharedRows:
    """A term of one frame's pose: the lens touches it only through the distance."""
    frames, count = rows.residual.shape
    jacobian = rows.jacobian
    if rows.columns is not None:
        jacobian = np.zeros((frames, count, UNKNOWNS))
        jacobian[..., rows.columns] = rows.jacobian
    by_shared = np.zeros((frames, count, shared))
    by_shared[..., FOCAL] = jacobian[..., DEPTH] * at.state.transl[:, 2:]
    return SharedRows(rows.residual, jacobian, by_shared, rows.cost)


def upright_rows(person: Person, at: Linearised, tilt: Array, shared: int) -> SharedRows:
    """Centre of mass above the middle of the feet, on average over the frames; whoever leans far says nothing."""
    frames = at.state.frames
    feet = np.concatenate(person.feet)
    vector = sum(weight * at.joints[:, joint] for joint, weight in _MASS) - at.points[:, feet].mean(axis=1)
    slope = sum(weight * at.d_joints[:, joint] for joint, weight in _MASS) - at.d_points[:, feet].mean(axis=1)
    length = np.maximum(np.linalg.norm(vector, axis=1), 0.2)
    deviation = np.sqrt(_INSTANT**2 + frames * _LASTING**2)
    across, by_tilt = _across(tilt)
    error = vector @ across.T / length[:, None] / deviation
    squared = np.sum(error**2, axis=1)
    robust = _LEAN_CUTOFF**2 / (_LEAN_CUTOFF**2 + squared)
    trust = robust * np.sqrt(person.stands)
    scale = (trust / length / deviation)[:, None, None]
    by_shared = np.zeros((frames, 2, shared))
    by_shared[..., PITCH:LEVEL] = np.einsum("kac,tc->tak", by_tilt, vector) * scale
    return SharedRows(
        error * trust[:, None], (across @ slope) * scale, by_shared, 0.5 * person.stands * squared * robust
    )


def stance_rows(stances: tuple[Stance, ...], person: int, at: Linearised, state: SceneState) -> SharedRows:
    """Feet at the places where they stand: (T, 3·feet·…) rows, one triple per stance that a frame belongs to."""
    own = [(k, one) for k, one in enumerate(stances) if one.person == person]
    frames, shared = at.state.frames, state.shared
    first = PEOPLE + 2 * len(state.poses)
    residual, cost = np.zeros((frames, len(own), 3)), np.zeros(frames)
    jacobian = np.zeros((frames, len(own), 3, UNKNOWNS))
    by_shared = np.zeros((frames, len(own), 3, shared))
    for column, (k, one) in enumerate(own):
        rows = one.rows
        foot = at.points[rows][:, one.points].mean(axis=1)
        error = (foot - state.places[k]) / _STANDS
        squared = np.sum(error**2, axis=1)
        robust = _STANCE_CUTOFF**2 / (_STANCE_CUTOFF**2 + squared)
        residual[rows, column] = error * robust[:, None]
        cost[rows] += 0.5 * squared * robust
        scale = (robust / _STANDS)[:, None, None]
        jacobian[rows, column] = at.d_points[rows][:, one.points].mean(axis=1) * scale
        by_shared[rows, column, :, first + 3 * k : first + 3 * k + 3] = -np.eye(3) * scale
        by_shared[rows, column, 2, FOCAL] = (at.state.transl[rows, 2] - state.places[k, 2]) * scale[:, 0, 0]
    flat = frames, 3 * len(own)
    return SharedRows(residual.reshape(flat), jacobian.reshape(*flat, UNKNOWNS), by_shared.reshape(*flat, shared), cost)


def shared_rows(prior: Prior, stances: tuple[Stance, ...], state: SceneState) -> tuple[Array, Array]:
    """Residuals (R,), Jacobian (R,C) of what concerns the shared unknowns alone: priors, places on the ground."""
    people = len(state.poses)
    first, scale = PEOPLE + 2 * people, np.sqrt(prior.strength)
    residual: list[float] = [scale * (state.log_focal - prior.log_focal) / prior.log_sigma]
    rows = [_unit(state.shared, FOCAL, scale / prior.log_sigma)]
    for axis in range(2):
        residual.append(float(scale * (state.tilt[axis] - prior.tilt[axis]) / prior.tilt_sigma[axis]))
        rows.append(_unit(state.shared, PITCH + axis, scale / prior.tilt_sigma[axis]))
    tie = scale / (prior.size * max(abs(state.level), 0.3))
    for i in range(people):
        residual.append(tie * (state.levels[i] - state.level))
        rows.append(_unit(state.shared, PEOPLE + i, tie) - _unit(state.shared, LEVEL, tie))
        residual.append(scale * float(state.apparent[i]) / _PERSPECTIVE)
        rows.append(_unit(state.shared, PEOPLE + people + i, scale / _PERSPECTIVE))
    up, by_tilt = _up(state.tilt)
    for k, one in enumerate(stances):
        place = state.places[k]
        error = (up @ place - state.levels[one.person]) / _ON_GROUND
        robust = 9.0 / (9.0 + error**2)
        row = np.zeros(state.shared)
        row[first + 3 * k : first + 3 * k + 3] = up
        row[PITCH:LEVEL] = by_tilt @ place
        row[PEOPLE + one.person] = -1.0
        row[FOCAL] = up[2] * place[2]
        residual.append(float(error * robust))
        rows.append(row * robust / _ON_GROUND)
    return np.array(residual), np.stack(rows)


def shared_cost(prior: Prior, stances: tuple[Stance, ...], state: SceneState) -> float:
    """The energy whose rows `shared_rows` gives."""
    tie = prior.size * max(abs(state.level), 0.3)
    known = ((state.log_focal - prior.log_focal) / prior.log_sigma) ** 2
    known += float(np.sum(((state.tilt - prior.tilt) / prior.tilt_sigma) ** 2))
    known += float(np.sum((state.apparent / _PERSPECTIVE) ** 2))
    known += float(np.sum(((state.levels - state.level) / tie) ** 2))
    up, _ = _up(state.tilt)
    owner = [one.person for one in stances]
    squared = ((state.places @ up - state.levels[owner]) / _ON_GROUND) ** 2 if owner else np.zeros(0)
    return 0.5 * (prior.strength * known + float(np.sum(squared * 9.0 / (9.0 + squared))))


def _unit(size: int, place: int, value: float) -> Array:
    row = np.zeros(size)
    row[place] = value
    return row


def _up(tilt: Array) -> tuple[Array, Array]:
    """The world's up (3,) in the camera frame, and its derivatives (2,3) by pitch and roll."""
    step = 1e-5
    up = up_of(*tilt)
    return up, np.stack(
        [(up_of(*(tilt + step * axis)) - up_of(*(tilt - step * axis))) / (2 * step) for axis in np.eye(2)]
    )


def _across(tilt: Array) -> tuple[Array, Array]:
    """Two directions (2,3) level in the world, and their derivatives (2,2,3) by pitch and roll."""

    def level(tilt: Array) -> Array:
        up = up_of(*tilt)
        right = np.array([np.cos(tilt[1]), -np.sin(tilt[1]), 0.0])
        return np.stack([right, np.cross(right, up)])

    step = 1e-5
    slopes = [(level(tilt + step * axis) - level(tilt - step * axis)) / (2 * step) for axis in np.eye(2)]
    return level(tilt), np.stack(slopes)
