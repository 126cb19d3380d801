"""Where is up, and where is the floor, for a camera that stands still: told by the people who walk and stand there.

Two kinds of evidence, joined with the prior that cameras are held roughly level:

- *balance*: whoever stands or walks has the centre of mass above the feet, on average over time;
- *places*: all places where somebody's foot stood lie in one plane. One camera knows them well across the line of
  sight and badly along it, and each person's distance up to a common factor (their size is assumed).

Unknown are two angles of the up direction and the plane's distance; the estimate is robust, so that a sitting,
lying, leaning or upside-down person says nothing rather than something wrong. The camera of a photo with one person
stays nearly level: a pose held for an instant need not be in balance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monocap.geometry import rotations, transforms
from monocap.motion.contacts import runs
from monocap.types import Array

LEVEL = np.array([0.0, -1.0, 0.0])  # up of a level camera, camera frame
PITCH, ROLL = np.deg2rad(8.0), np.deg2rad(3.0)  # how level cameras are held
_INSTANT, _LASTING, _RATE = np.deg2rad(12.0), np.deg2rad(2.0), 8.0  # balance: error of a moment, of a long take
_UPRIGHT = np.deg2rad(40.0)  # farther from up nobody stands
_ACROSS, _ALONG = 0.02, 0.07  # m: error of a place across and along the line of sight
_SIZE = 0.04  # relative error of a person's distance
_ABOVE = 0.3  # m: who stands has the centre of mass at least this far above the feet
_SPREAD, SHARED = 0.08, 0.2  # m: one person's stances on a floor, several people's (whose sizes err) on the same one
_ROUNDS = 6


@dataclass(frozen=True)
class Footing:
    """What one person's T frames say of the ground; camera frame, metres.

    ``points`` (T,4,3) of the soles, ``contact`` (T,4) where they rest, ``mass`` (T,3) the centre of mass,
    ``straight`` (T,) 0–1: does the person stand on an extended leg? ``lowest`` (T,L,3) points any of which may be the
    lowest of the body, ``thickness`` (L,) m of the body below them; ``leg`` m from hip to sole; ``valid`` (T,);
    ``times`` (T,) s.
    """

    points: Array
    contact: NDArray[np.bool_]
    mass: Array
    straight: Array
    lowest: Array
    thickness: Array
    leg: float
    valid: NDArray[np.bool_]
    times: Array


@dataclass(frozen=True)
class Ground:
    """``up`` (3,) unit, camera frame; the ground is where up · x = ``level`` m; ``levels`` (P,) the same for each
    person by their own feet. ``deviation`` (2,) rad: how sure pitch and roll are. ``seen``: from contacts, or guessed.
    """

    up: Array
    level: float
    levels: Array
    deviation: Array
    seen: bool

    @property
    def T_world_camera(self) -> Array:  # noqa: N802 - the name in the file
        """(4,4): y up, ground at y = 0; x and z as near the camera's as can be, the camera above the origin."""
        turn = rotations.rotation_between(self.up, LEVEL)
        return transforms.from_parts(np.diag([1.0, -1.0, -1.0]) @ turn, np.array([0.0, -self.level, 0.0]))


def estimate_ground(people: Sequence[Footing]) -> Ground:
    """The ground under all ``people``; without any, a level camera 0 m above it."""
    angles, deviation = np.zeros(2), np.array([PITCH, ROLL])
    for _ in range(_ROUNDS):
        prior = np.array([PITCH, ROLL]) ** -2.0
        normal, right = np.diag(prior), -prior * angles
        for hessian, gradient in (*_balance(people, angles), _places(people, angles)):
            normal, right = normal + hessian, right + gradient
        angles = np.clip(angles + np.linalg.solve(normal, right), -0.7, 0.7)
        deviation = np.sqrt(np.diag(np.linalg.inv(normal)))
    up = _up(angles)
    levels, weights = np.zeros(len(people)), np.zeros(len(people))
    for i, person in enumerate(people):
        levels[i], weights[i] = _level(person, up)
    seen = bool((weights > 0).any())
    counted = weights > 0 if seen else np.ones(len(people), bool)
    level = _mode(levels[counted], np.maximum(weights[counted], 1.0), SHARED) if len(people) else 0.0
    return Ground(up, level, levels, deviation, seen)


def _up(angles: Array) -> Array:
    """Up in the camera frame: pitch > 0 looks down, roll > 0 turns the picture's content clockwise."""
    pitch, roll = angles
    return np.array([np.sin(roll) * np.cos(pitch), -np.cos(roll) * np.cos(pitch), -np.sin(pitch)])


def _up_derivative(angles: Array) -> Array:
    """(3,2) by pitch and roll."""
    pitch, roll = angles
    return np.array(
        [
            [-np.sin(roll) * np.sin(pitch), np.cos(roll) * np.cos(pitch)],
            [np.cos(roll) * np.sin(pitch), np.sin(roll) * np.cos(pitch)],
            [-np.cos(pitch), 0.0],
        ]
    )


def _balance(people: Sequence[Footing], angles: Array) -> list[tuple[Array, Array]]:
    """Normal equations (2,2), (2,) of every person's mean support → mass direction."""
    out = []
    up, slope = _up(angles), _up_derivative(angles)
    for person in people:
        resting = _resting(person, up) & person.valid[:, None]
        count = resting.sum(axis=1)
        support = np.sum(person.points * resting[..., None], axis=1) / np.maximum(count, 1)[:, None]
        rise = person.mass - support
        length = np.linalg.norm(rise, axis=1)
        upright = rise @ up > np.cos(_UPRIGHT) * length
        weight = person.straight * (count > 0) * upright
        total = weight.sum()
        if total < 0.5:
            continue
        mean = weight @ rise / total
        mean /= np.linalg.norm(mean)
        seconds = _seconds(person.times, weight)
        deviation = np.sqrt(_INSTANT**2 / (1.0 + _RATE * seconds) + _LASTING**2) / np.sqrt(min(total, 1.0))
        residual = mean - up
        robust = 1.0 / (1.0 + residual @ residual / np.deg2rad(15.0) ** 2)
        strength = robust / deviation**2
        out.append((strength * slope.T @ slope, strength * slope.T @ residual))
    return out


def _places(people: Sequence[Footing], angles: Array) -> tuple[Array, Array]:
    """Normal equations of "all places lie in one plane", its distance and each person's offset from it solved for."""
    up, slope = _up(angles), _up_derivative(angles)
    places, owner = [], []
    for i, person in enumerate(people):
        found = _stances(person, up)
        places.append(found)
        owner.append(np.full(len(found), i))
    place = np.concatenate(places) if places else np.zeros((0, 3))
    if len(place) < 2:
        return np.zeros((2, 2)), np.zeros(2)
    who = np.concatenate(owner)
    ray = place / np.linalg.norm(place, axis=1, keepdims=True)
    variance = _ACROSS**2 + (ray @ up) ** 2 * _ALONG**2
    height = place @ up
    columns = np.zeros((len(place), 3 + len(people)))
    columns[:, :2] = place @ slope
    columns[:, 2] = -1.0
    columns[np.arange(len(place)), 3 + who] = -1.0
    counts = np.bincount(who, minlength=len(people)).astype(np.float64)
    own = np.array([np.median(height[who == i]) if counts[i] else 0.0 for i in range(len(people))])
    start = _mode(own[counts > 0], counts[counts > 0], SHARED)
    # People's own levels differ by the error of their size; somebody on a roof, who differs by more, tells nothing of
    # where the others' floor lies. The plane's distance is free.
    deviation = _SIZE * np.maximum(np.abs(own), 0.3)
    tie = deviation**-2.0 / (1.0 + ((own - start) / (2.0 * deviation)) ** 2) ** 2
    prior = np.concatenate([[0.0, 0.0, 1e-6], np.maximum(tie, 1e-6)])
    weight = 1.0 / variance
    for _ in range(4):
        normal = columns.T @ (weight[:, None] * columns) + np.diag(prior) + 1e-9 * np.eye(len(prior))
        gradient = -columns.T @ (weight * (height - start))
        # angles are held here: what is left at them says how much each place is to be believed
        inner = np.linalg.solve(normal[2:, 2:], gradient[2:])
        residual = height - start + columns[:, 2:] @ inner
        weight = 1.0 / variance / (1.0 + residual**2 / (9.0 * variance))
    normal = columns.T @ (weight[:, None] * columns) + np.diag(prior) + 1e-9 * np.eye(len(prior))
    gradient = -columns.T @ (weight * (height - start))
    mixed = np.linalg.solve(normal[2:, 2:], np.column_stack([normal[2:, :2], gradient[2:]]))
    return normal[:2, :2] - normal[:2, 2:] @ mixed[:, :2], gradient[:2] - normal[:2, 2:] @ mixed[:, 2]


def _resting(person: Footing, up: Array) -> NDArray[np.bool_]:
    """(T,4) contacts as low as the person's lowest sole, give or take what a tilted camera makes of it, and under the
    body: the feet of a handstand rest on nothing."""
    height = person.points @ up
    lowest = height.min(axis=1, keepdims=True)
    return person.contact & (height < lowest + 0.12) & ((person.mass @ up)[:, None] > height + _ABOVE)


def _stances(person: Footing, up: Array) -> Array:
    """(N,3) middle of every stance, long ones counted again each second (a pose drifts over seconds).

    One place per foot: how heel and ball lie to each other tells of the ankle, not of the floor.
    """
    resting = _resting(person, up)
    found = []
    for foot in (slice(0, 2), slice(2, 4)):
        middle = person.points[:, foot].mean(axis=1)
        for start, stop in runs(resting[:, foot][:, 0] & resting[:, foot][:, 1]):
            pieces = 1 + int(person.times[stop - 1] - person.times[start])
            found += [part.mean(axis=0) for part in np.array_split(middle[start:stop], pieces)]
    return np.array(found).reshape(-1, 3)


def _level(person: Footing, up: Array) -> tuple[float, float]:
    """Height of the ground along ``up`` by one person's feet, and how many frames say so.

    The height at which the feet rest most of the time: a jump onto a box, or a few bad frames, move it little. Feet
    that never rest in sight: the lowest points of the body, of which the lowest twentieth stand on the ground.
    """
    if not person.valid.any():
        return 0.0, 0.0
    resting = _resting(person, up) & person.valid[:, None]
    stands = resting.any(axis=1)
    if not stands.any():
        return float(np.percentile((person.lowest[person.valid] @ up - person.thickness).min(axis=1), 5)), 0.0
    height = np.where(resting, person.points @ up, np.inf).min(axis=1)[stands]
    return _mode(height, np.ones(len(height)), _SPREAD), float(len(height))


def _mode(values: Array, weights: Array, width: float) -> float:
    """Where weighted values (N,) lie densest, as the mean of those within ``width`` of it."""
    # candidates at quantiles: the work stays linear in the length of a video
    candidates = np.unique(np.quantile(values, np.linspace(0.0, 1.0, 101), method="nearest"))
    near = np.exp(-(((candidates[:, None] - values) / (0.5 * width)) ** 2)) @ weights
    peak = candidates[int(np.argmax(near))]
    close = np.abs(values - peak) <= width
    return float(np.average(values[close], weights=weights[close]))


def _seconds(times: Array, weight: Array) -> float:
    if len(times) < 2:
        return 0.0
    return float(np.median(np.diff(times)) * (weight.sum() - 1.0)) if weight.sum() > 1 else 0.0
