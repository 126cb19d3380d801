"""When does a foot stand? Slow and low points of the soles, decided with hysteresis.

A camera sees motion across its line of sight far better than along it, so speed is weighed: the share along the ray
counts a quarter (docs/motion.md has what that buys). deep-motion-editing, SlimeVR and WHAM agree on thresholds of
0.15–0.4 m/s; ours is at the upper end because the fit has already smoothed the soles' stops.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monocap.types import Array, Camera, Track

_FOOT_KEYPOINTS = ("ankle", "heel", "foot_index")


@dataclass(frozen=True)
class ContactRule:
    """A contact begins below ``slow`` m/s and ``low`` m above the ground and lasts until ``fast`` or ``high``.

    ``along`` weighs speed along the line of sight. Contacts shorter than ``shortest`` s are none; pauses shorter than
    ``pause`` s are bridged.
    """

    slow: float = 0.25
    fast: float = 0.45
    low: float = 0.10
    high: float = 0.14
    along: float = 0.25
    shortest: float = 0.1
    pause: float = 0.07


def sole_speed(points: Array, times: Array, along: float = ContactRule.along) -> Array:
    """Speed (T,N) m/s of points (T,N,3), camera frame, at ``times`` (T,) s; the share along the ray times ``along``.

    A single frame has speed 0: what cannot be seen to move is taken to stand.
    """
    points = np.asarray(points, np.float64)
    if len(points) < 2:
        return np.zeros(points.shape[:2])
    velocity = np.gradient(points, _increasing(times), axis=0)
    ray = points / np.maximum(np.linalg.norm(points, axis=-1, keepdims=True), 1e-9)
    depth = np.sum(velocity * ray, axis=-1)
    squared = np.sum(velocity**2, axis=-1)
    return np.sqrt(np.maximum(squared - (1.0 - along**2) * depth**2, 0.0))


def foot_contacts(
    speed: Array, height: Array | None, possible: NDArray[np.bool_], times: Array, rule: ContactRule | None = None
) -> NDArray[np.bool_]:
    """Contacts (T,N) of points with ``speed`` (T,N) m/s and ``height`` (T,N) m above the ground (None: unknown).

    ``possible`` (T,N): False where the point is not seen or the person absent; nothing stands there. ``times`` (T,) s.
    """
    rule = rule or ContactRule()
    surely, perhaps = possible & (speed < rule.slow), possible & (speed < rule.fast)
    if height is not None:
        surely, perhaps = surely & (height < rule.low), perhaps & (height < rule.high)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    out = np.zeros(speed.shape, bool)
    for column in range(speed.shape[1]):
        spans = [(a, b) for a, b in runs(perhaps[:, column]) if surely[a:b, column].any()]
        joined: list[tuple[int, int]] = []
        for start, stop in spans:
            bridged = joined and times[start] - times[joined[-1][1] - 1] - step <= rule.pause
            if bridged and possible[joined[-1][1] : start, column].all():
                joined[-1] = joined[-1][0], stop
            else:
                joined.append((start, stop))
        for start, stop in joined:
            if len(times) < 3 or times[stop - 1] - times[start] + step >= rule.shortest - 1e-9:
                out[start:stop, column] = True
    return out


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Start and stop (exclusive) of every run of True in (T,)."""
    edges = np.diff(np.concatenate([[0], np.asarray(flags, np.int8), [0]]))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def feet_seen(track: Track, names: tuple[str, ...], camera: Camera, confident: float = 0.45) -> NDArray[np.bool_]:
    """(T,2) whether the left and the right foot lie inside the picture and were seen by the detector.

    ``names`` are the joints of ``track.skeleton``; of ankle, heel and toe those count that it has. A skeleton without
    feet sees none.
    """
    seen = np.zeros((len(track.valid), 2), bool)
    x, y, score = np.moveaxis(np.asarray(track.points2d, np.float64), -1, 0)
    inside = (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height) & (score > confident)
    for side, name in enumerate(("left", "right")):
        index = [names.index(f"{name}_{part}") for part in _FOOT_KEYPOINTS if f"{name}_{part}" in names]
        if index:
            seen[:, side] = inside[:, index].mean(axis=1) > 0.5
    return seen & np.asarray(track.valid, bool)[:, None]


def _increasing(times: Array) -> Array:
    """Times with steps of at least a millisecond: some videos repeat a time stamp."""
    times = np.asarray(times, np.float64)
    return times[0] + np.concatenate([[0.0], np.cumsum(np.maximum(np.diff(times), 1e-3))])
