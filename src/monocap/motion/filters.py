"""Smoothing without delay, for recorded motion: a Gaussian over time that knows rotations and uneven time stamps.

Rotations are averaged as quaternions of one sign (the chordal mean, which for rotations that near agrees with the
tangent-space mean to third order), never as angles or axis-angle vectors, which jump. At both ends the window shrinks
symmetrically, so that first and last frame stay where they are and nothing lags.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from monocap.errors import InputError
from monocap.geometry import rotations
from monocap.types import Array

_REACH = 3.0  # standard deviations
_MOST = 200  # frames to either side


def smooth_vectors(values: Array, times: Array, deviation: float) -> Array:
    """Values (T,…) smoothed over ``times`` (T,) s by a Gaussian of ``deviation`` s; 0 changes nothing.

    Raises InputError for times that do not fit or run backwards, or a negative deviation.
    """
    values = np.asarray(values, np.float64)
    total, weights = np.zeros_like(values), np.zeros(len(values))
    for to, of, weight in _windows(values, times, deviation):
        total[to] += weight.reshape(-1, *[1] * (values.ndim - 1)) * values[of]
        weights[to] += weight
    return total / weights.reshape(-1, *[1] * (values.ndim - 1))


def smooth_rotations(axis_angle: Array, times: Array, deviation: float) -> Array:
    """Rotations (T,…,3) rad, axis-angle, smoothed over ``times`` (T,) s by a Gaussian of ``deviation`` s.

    Raises InputError as `smooth_vectors`.
    """
    turns = np.asarray(rotations.axis_angle_to_quaternion(np.asarray(axis_angle, np.float64)))
    total = np.zeros_like(turns)
    for to, of, weight in _windows(turns, times, deviation):
        sign = np.where(np.sum(turns[to] * turns[of], axis=-1, keepdims=True) < 0, -1.0, 1.0)
        total[to] += weight.reshape(-1, *[1] * (turns.ndim - 1)) * sign * turns[of]
    return np.asarray(rotations.quaternion_to_axis_angle(total))


def _windows(values: Array, times: Array, deviation: float) -> Iterator[tuple[slice, slice, Array]]:
    """For every offset in frames: which rows take from which, and with what weight; the own row comes first."""
    times = np.asarray(times, np.float64)
    if times.shape != (len(values),) or (np.diff(times) < 0).any():
        raise InputError(f"times has shape {times.shape}; expected ({len(values)},), seconds that do not run backwards")
    if not (deviation >= 0 and np.isfinite(deviation)):
        raise InputError(f"deviation is {deviation}; expected seconds, 0 or more")
    everything = slice(0, len(times))
    if deviation == 0 or len(times) < 3:
        yield everything, everything, np.ones(len(times))
        return
    # a sample stands for the time around it, or a burst of frames would outvote the rest
    share = np.gradient(times) if times[-1] > times[0] else np.ones(len(times))
    share = np.maximum(share, 1e-9)
    room = np.minimum(np.minimum(times - times[0], times[-1] - times), _REACH * deviation) + 1e-9
    yield everything, everything, share
    for offset in range(1, min(_MOST, len(times) - 1) + 1):
        apart = times[offset:] - times[:-offset]
        if not (apart <= _REACH * deviation).any():
            break
        early, late = slice(0, len(times) - offset), slice(offset, len(times))
        bell = np.exp(-0.5 * (apart / deviation) ** 2)
        yield early, late, np.where(apart <= room[early], bell * share[late], 0.0)
        yield late, early, np.where(apart <= room[late], bell * share[early], 0.0)
