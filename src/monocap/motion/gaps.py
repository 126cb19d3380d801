"""What a person does while nobody sees them: from the last pose to the next one without flying, spinning or sinking.

The fit bridges gaps by smoothness alone, which for more than a few frames swings out: a body keeps the speed it had
when it was lost. Here every gap longer than `LONGEST` gets a cubic from pose to pose (positions on a line, rotations
along the shortest turn) whose end speeds are bounded by what the way asks for; speed in excess runs out within a
fraction of a second. The pelvis is then moved along up so that the lowest sole keeps its height above the ground.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from monocap.geometry import rotations
from monocap.motion.contacts import runs
from monocap.motion.legs import Legs
from monocap.types import Array, BodyParams

LONGEST = 0.3  # s: shorter gaps are left to the fit
_RUN_OUT = 0.12  # s in which speed in excess fades
_ENOUGH = 2.0  # end speeds beyond so many times the mean speed of the way are in excess
_LINEAR = ("transl", "expression")


def bridge_gaps(
    legs: Legs, params: BodyParams, valid: NDArray[np.bool_], times: Array, up: Array
) -> tuple[BodyParams, NDArray[np.bool_]]:
    """Parameters of T frames with long gaps between sightings bridged anew, and which frames (T,) have changed.

    ``valid`` (T,): where the person was seen; ``times`` (T,) s; ``up`` (3,) in the frame of the parameters.
    """
    valid, times = np.asarray(valid, bool), np.asarray(times, np.float64)
    changed = np.zeros(len(valid), bool)
    found = np.flatnonzero(valid)
    gaps = [(a, b) for a, b in runs(~valid) if len(found) and found[0] < a and b <= found[-1]]
    gaps = [(a, b) for a, b in gaps if times[b] - times[a - 1] > LONGEST]
    if not gaps:
        return params, changed
    fields = {name: np.array(value, np.float64) for name, value in params.asdict().items() if name != "betas"}
    for a, b in gaps:
        before, after = _neighbours(valid, a - 1, -1), _neighbours(valid, b, 1)
        for name, value in fields.items():
            flat = value.reshape(len(value), -1, value.shape[1] if name in _LINEAR else 3)
            flat[a:b] = _between(flat, times, before, after, slice(a, b), name in _LINEAR)
        changed[a:b] = True
    bridged = replace(params, **fields)
    for a, b in gaps:
        fields["transl"][a:b] += _keep_height(legs, replace(bridged, **_rows(fields, slice(a - 1, b + 1))), up)
    return replace(params, **fields), changed


def _rows(fields: dict[str, Array], part: slice) -> dict[str, Array]:
    return {name: value[part] for name, value in fields.items()}


def _neighbours(valid: NDArray[np.bool_], edge: int, step: int) -> tuple[int, int]:
    """The frame at the edge of a gap and one up to three frames farther into the sighting, for its speed."""
    far = edge
    while abs(far - edge) < 3 and 0 <= far + step < len(valid) and valid[far + step]:
        far += step
    return edge, far


def _between(
    values: Array, times: Array, before: tuple[int, int], after: tuple[int, int], part: slice, linear: bool
) -> Array:
    """(n,k,3) values inside a gap. Rotations are handled in the tangent space at its first frame."""
    start, end = values[before[0]], values[after[0]]
    if linear:
        difference = end - start
        speeds = [_speed(values[i], values[j], times[i] - times[j]) for i, j in (before, after)]
    else:
        difference = _turn(start, end)
        speeds = [_rotation_speed(values[i], values[j], times[i] - times[j]) for i, j in (before, after)]
    length = times[after[0]] - times[before[0]]
    s = ((times[part] - times[before[0]]) / length)[:, None, None]
    allowed = _ENOUGH * np.linalg.norm(difference, axis=-1, keepdims=True) / length
    kept = [v * np.minimum(1.0, allowed / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)) for v in speeds]
    way = (3 - 2 * s) * s**2 * difference
    way = way + length * (s * (1 - s) ** 2 * kept[0] - s**2 * (1 - s) * kept[1])
    fade = min(_RUN_OUT, length / 8)
    since, until = s * length, (1 - s) * length
    way = way + since * np.exp(-since / fade) * (speeds[0] - kept[0])
    way = way - until * np.exp(-until / fade) * (speeds[1] - kept[1])
    if linear:
        return start + way
    base = np.broadcast_to(rotations.axis_angle_to_matrix(start), (*way.shape, 3))
    return np.asarray(rotations.matrix_to_axis_angle(base @ rotations.axis_angle_to_matrix(way)))


def _speed(near: Array, far: Array, seconds: float) -> Array:
    return (near - far) / seconds if abs(seconds) > 1e-6 else np.zeros_like(near)


def _rotation_speed(near: Array, far: Array, seconds: float) -> Array:
    return -_turn(near, far) / seconds if abs(seconds) > 1e-6 else np.zeros_like(near)


def _turn(start: Array, end: Array) -> Array:
    """(…,3) the shortest turn from start to end, in start's own axes."""
    back = np.swapaxes(np.asarray(rotations.axis_angle_to_matrix(start)), -1, -2)
    return np.asarray(rotations.matrix_to_axis_angle(back @ np.asarray(rotations.axis_angle_to_matrix(end))))


def _keep_height(legs: Legs, params: BodyParams, up: Array) -> Array:
    """(n,3) m for the inner frames: brings the lowest sole to the height between those of the first and last frame."""
    lowest = (legs.pose(params).points @ up).min(axis=1)
    share = np.linspace(0.0, 1.0, len(lowest))
    wanted = lowest[0] + (3 - 2 * share) * share**2 * (lowest[-1] - lowest[0])
    return (wanted - lowest)[1:-1, None] * up
