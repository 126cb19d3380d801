"""Feet that stay where they stand.

In every contact the sole point is held at one place of the world: the mean of where the fit saw it, drawn to the
ground. What that takes is mostly along the line of sight, where one camera sees badly, so the picture hardly changes:
each correction is bounded across the line of sight and along it, and a contact that needs more is cut in two or
dropped. Corrections fade in and out; what both feet ask for moves the pelvis, slowly, and the legs do the rest
(`leg_ik`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from monocap.geometry import rotations
from monocap.motion.contacts import runs
from monocap.motion.leg_ik import reach_ankles
from monocap.motion.legs import ANKLES, HIPS, KNEES, Legs, PosedLegs
from monocap.priors.limits import PoseLimits
from monocap.types import Array, BodyParams

_CHUNK = 1000  # frames checked at once
_BEYOND = 0.02  # rad: so much more beyond a joint's limits is not yet a damage


@dataclass(frozen=True)
class LockRule:
    """``across`` and ``along`` (m): the most a foot may be moved across and along the line of sight.

    ``ease_out`` and ``ease_in`` (s): how long a lock fades outside and inside its contact. ``follow`` and ``soften``
    (s): standard deviations over time of the pelvis' slow correction, and of the feet's own. ``shortest`` (s): a
    contact cut shorter is dropped. ``drawn`` (m): standard deviations across, along, and of the height, in which a
    place is drawn to the ground, if it is within ``elsewhere`` (m) of it.
    """

    across: float = 0.04
    along: float = 0.25
    ease_out: float = 0.3
    ease_in: float = 0.15
    follow: float = 0.3
    soften: float = 0.035
    shortest: float = 0.1
    drawn: tuple[float, float, float] = (0.004, 0.05, 0.02)
    elsewhere: float = 0.15


def lock_feet(
    legs: Legs,
    params: BodyParams,
    contact: NDArray[np.bool_],
    times: Array,
    up: Array,
    level: float,
    rule: LockRule | None = None,
) -> BodyParams:
    """Parameters of T frames (camera frame) with the feet held where ``contact`` (T,4) says; the camera stands still.

    The ground is where ``up`` (3,) · x = ``level`` m. Without contact the parameters come back unchanged.
    """
    rule = rule or LockRule()
    if not contact.any() or len(times) < 2:
        return params
    posed = legs.pose(params)
    step = max(float(np.median(np.diff(times))), 1e-3)
    offset, weight = np.zeros((len(times), 2, 3)), np.zeros((len(times), 2))
    for foot in (0, 1):
        columns = (2 * foot, 2 * foot + 1)
        offset[:, foot], weight[:, foot] = _foot_offset(posed, contact, columns, times, step, up, level, rule)
    if not weight.any():
        return params
    shift = _slow(offset, weight, rule.follow / step)
    apart = weight[..., None] * (offset - shift[:, None])  # what is left for the legs
    apart = gaussian_filter1d(apart, rule.soften / step, axis=0, mode="nearest")
    ankles = posed.joints[:, list(ANKLES)]
    reached, missing = reach_ankles(posed, shift, ankles + shift[:, None] + apart)
    short = weight[..., None] * missing
    if np.abs(short).max() > 1e-3:  # a leg is too short: the pelvis comes nearer
        pull = short[np.arange(len(short)), np.linalg.norm(short, axis=-1).argmax(axis=1)]
        pull = gaussian_filter1d(pull, 0.07 / step, axis=0, mode="nearest")
        shift, apart = shift + pull, apart - weight[..., None] * pull[:, None]
        reached, _ = reach_ankles(posed, shift, ankles + shift[:, None] + apart)
    locked = _with_legs(legs, params, reached, shift, weight)
    possible = _human(params, locked, step)
    if not possible.all():
        reached, _ = reach_ankles(posed, shift, ankles + shift[:, None] + possible[:, None, None] * apart)
        locked = _with_legs(legs, params, reached, shift, weight)
    return locked


def _human(before: BodyParams, after: BodyParams, step: float) -> Array:
    """(T,) 1, falling to 0 around frames in which a joint has come farther beyond its limits than it was."""
    limits = PoseLimits.load()
    worse = np.concatenate(
        [
            (limits.excess(after.body_pose[k : k + _CHUNK]) > limits.excess(before.body_pose[k : k + _CHUNK]) + _BEYOND)
            .any(axis=1)
            for k in range(0, len(after.body_pose), _CHUNK)
        ]
    )  # fmt: skip
    if not worse.any():
        return np.ones(len(worse))
    reach = max(1, round(0.15 / step))
    near = maximum_filter1d(worse.astype(np.float64), 2 * reach + 1, mode="nearest")
    # the bell is narrower than what it smooths, so that the bad frames themselves stay at 0
    return 1.0 - gaussian_filter1d(near, reach / 3.0, mode="nearest", truncate=3.0)


def _foot_offset(
    posed: PosedLegs,
    contact: NDArray[np.bool_],
    columns: tuple[int, int],
    times: Array,
    step: float,
    up: Array,
    level: float,
    rule: LockRule,
) -> tuple[Array, Array]:
    """What one foot lacks (T,3) m to its places, and how strongly it is held (T,), from heel and ball together."""
    total, weights, free = np.zeros((len(times), 3)), np.zeros(len(times)), np.ones(len(times))
    for column in columns:
        points = posed.points[:, column]
        for start, stop in runs(contact[:, column]):
            for first, last, place in _places(points, start, stop, times, step, up, level, rule):
                near = slice(*np.searchsorted(times, [times[first] - rule.ease_out, times[last - 1] + rule.ease_out]))
                held = np.clip(np.arange(near.start, near.stop), first, last - 1)
                fade = _fade(times[near], times[first], times[last - 1], step, rule)
                total[near] += fade[:, None] * (place - points[held])
                weights[near] += fade
                free[near] *= 1.0 - fade
    return total / np.maximum(weights, 1e-9)[:, None], 1.0 - free


def _places(
    points: Array, start: int, stop: int, times: Array, step: float, up: Array, level: float, rule: LockRule
) -> list[tuple[int, int, Array]]:
    """One contact as stretches (first, last, place (3,)) in which one place is within the bounds; halved till it is."""
    if times[stop - 1] - times[start] + step < rule.shortest - 1e-9:
        return []
    part = points[start:stop]
    place = _on_ground(part.mean(axis=0), up, level, rule)
    lack = place - part
    ray = part / np.linalg.norm(part, axis=1, keepdims=True)
    along = np.sum(lack * ray, axis=1)
    across = np.sqrt(np.maximum(np.sum(lack**2, axis=1) - along**2, 0.0))
    if (across <= rule.across).all() and (np.abs(along) <= rule.along).all():
        return [(start, stop, place)]
    middle = (start + stop) // 2
    halves = (start, middle), (middle, stop)
    return [found for a, b in halves if b - a > 1 for found in _places(points, a, b, times, step, up, level, rule)]


def _on_ground(place: Array, up: Array, level: float, rule: LockRule) -> Array:
    """A place (3,) drawn to the ground in the most likely way, given how well it is known across and along the ray.

    Feet on a chair or a stair stay on it.
    """
    across, along, height = rule.drawn
    if abs(place @ up - level) > rule.elsewhere:
        return place
    ray = place / np.linalg.norm(place)
    spread = across**2 * up + (along**2 - across**2) * (ray @ up) * ray  # covariance · up
    return place - spread * (place @ up - level) / (up @ spread + height**2)


def _fade(times: Array, first: float, last: float, step: float, rule: LockRule) -> Array:
    """(n,) 0 to 1 at ``times``: smooth steps about both ends of a stretch from ``first`` to ``last`` s."""
    ease_in = min(rule.ease_in, 0.25 * (last - first + step))
    since = (times - first + rule.ease_out) / (rule.ease_out + ease_in)
    until = (last - times + rule.ease_out) / (rule.ease_out + ease_in)
    s = np.clip(np.minimum(since, until), 0.0, 1.0)
    return s * s * (3.0 - 2.0 * s)


def _slow(offset: Array, weight: Array, sigma: float) -> Array:
    """(T,3) what the feet ask for together, smoothed over time; fades to nothing where no foot stands for long."""
    summed = gaussian_filter1d((weight[..., None] * offset).sum(axis=1), sigma, axis=0, mode="nearest")
    mass = gaussian_filter1d(weight.sum(axis=1), sigma, axis=0, mode="nearest")
    return summed / np.maximum(mass, 0.05)[:, None]


def _with_legs(legs: Legs, params: BodyParams, posed: PosedLegs, shift: Array, weight: Array) -> BodyParams:
    """The parameters with the legs' new rotations and the pelvis' shift; frames that nothing touched stay exact."""
    touched = (weight > 0).any(axis=1)
    pose = np.array(params.body_pose, np.float64)
    moving = [*HIPS, *KNEES, *ANKLES]  # toes keep their bend
    turns = rotations.matrix_to_axis_angle(posed.local[:, moving])
    rows = np.flatnonzero(touched)
    pose[rows[:, None, None], legs.pose_columns[np.array(moving) - 1]] = turns[rows]
    fields = {**params.__dict__, "body_pose": pose, "transl": np.asarray(params.transl, np.float64) + shift}
    return BodyParams(**fields)
