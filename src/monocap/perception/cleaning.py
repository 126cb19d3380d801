"""Keypoints of a whole video, cleaned before they are lifted and fitted: exchanged sides, jumps, blinks.

A landmark that jumps away for a few frames and comes back cannot have moved: bodies accelerate only so much. For every
landmark the frames to keep are chosen by dynamic programming: a kept landmark costs what it is off from the line
between its kept neighbours, against what noise and the fastest honest motion allow in that time; a dropped one costs a
constant. The same for all limbs together, with less patience, finds blinks: frames in which the network saw another
pose. This is no smoothing: what is kept stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter, percentile_filter

from monocap.perception.exchanges import exchange, exchanged_sides
from monocap.skeletons import LIMBS12, get
from monocap.types import Array, Track

_SKELETON = get("blazepose33")
_LIMBS = _SKELETON.indices(LIMBS12)
_NOISE = 0.03  # statures a landmark may be off from one frame to the next, or
_JITTER, _AROUND = 2.0, 7  # so many times its median over so many frames to each side: among jitter nothing stands out
_ACCELERATION = {"elbow": 60.0, "knee": 60.0, "shoulder": 40.0, "hip": 40.0}  # statures/s²: fast honest motion
_HANDS_FEET, _HEAD = 100.0, 40.0
_DROP = np.array([0.0, 4.0, 5.0, 6.0])  # cost of dropping none, one, two or three frames in a row
_MOST = 3.0  # cost at most of a kept one, its squared error in units of what is allowed: dropping must not soften a cut
_LONGEST = len(_DROP) - 1
_BLOCK = 500  # frames whose costs are held at a time


@dataclass(frozen=True)
class Cleaned:
    """``track``: cleaned, rejected landmarks interpolated, with confidence 0; ``rejected`` (T,33); ``blinks`` (T,),
    frames that are rejected as a whole; ``exchanged`` (T,2): arms' and legs' sides put right. All bool."""

    track: Track
    rejected: NDArray[np.bool_]
    blinks: NDArray[np.bool_]
    exchanged: NDArray[np.bool_]


def clean(track: Track, times: Array) -> Cleaned:
    """A BlazePose track with ``times`` (T,) s, cleaned. Its ``valid`` stays; frames that are not are left alone."""
    found = np.flatnonzero(track.valid)
    frames = len(track.valid)
    rejected, exchanged = np.zeros((frames, len(_SKELETON)), dtype=bool), np.zeros((frames, 2), dtype=bool)
    blinks = np.zeros(frames, dtype=bool)
    if not len(found):
        return Cleaned(track, rejected, blinks, exchanged)
    when = np.asarray(times, dtype=np.float64)[found]
    points2d, points3d = (np.asarray(p, dtype=np.float64)[found] for p in (track.points2d, track.points3d))
    size = statures(points2d, when)
    exchanged[found] = exchanged_sides(points2d, when, size)
    points2d, points3d = exchange(points2d, points3d, exchanged[found])
    dropped = jumps(points2d, when, size)
    blinks[found] = dropped[:, -1]
    bad = dropped[:, :-1] | dropped[:, -1:]
    for i in np.flatnonzero(bad.any(axis=0)):
        good = ~bad[:, i]
        for points, axes in ((points2d, 2), (points3d, 3)):
            for axis in range(axes):
                points[bad[:, i], i, axis] = np.interp(when[bad[:, i]], when[good], points[good, i, axis])
    points2d[bad, 2] = 0.0
    rejected[found] = bad
    whole2d, whole3d = np.array(track.points2d, np.float64), np.array(track.points3d, np.float64)
    whole2d[found], whole3d[found] = points2d, points3d
    return Cleaned(replace(track, points2d=whole2d, points3d=whole3d), rejected, blinks, exchanged)


def statures(points2d: Array, times: Array) -> Array:
    """(n,) px: how tall the person would stand in the picture; from trunk, thighs and shins, which foreshortening only
    makes shorter, over a second to each side."""
    x = points2d[..., :2]
    left, right = (
        [x[:, _SKELETON.index(f"{side}_{name}")] for name in ("shoulder", "hip", "knee", "ankle")]
        for side in ("left", "right")
    )
    middle = [0.5 * (a + b) for a, b in zip(left, right, strict=True)]
    length = np.linalg.norm(middle[0] - middle[1], axis=-1)
    for leg in (left, right):
        length = length + 0.5 * sum(np.linalg.norm(leg[i] - leg[i + 1], axis=-1) for i in (1, 2))
    spacing = np.median(np.diff(times)) if len(times) > 1 else 1.0
    window = 2 * int(np.clip(1.0 / max(spacing, 1e-3), 1, 120)) + 1
    return np.maximum(1.28 * percentile_filter(length, 80, size=window, mode="nearest"), 1.0)


def jumps(points2d: Array, times: Array, stature: Array) -> NDArray[np.bool_]:
    """(n,34) bool: landmarks of n frames that jump away and back; last column: frames in which all limbs do.

    ``points2d`` (n,33,≥2) px at ``times`` (n,) s of somebody of ``stature`` (n,) px.
    """
    count, gaps = len(points2d), _LONGEST + 1
    channels = points2d.shape[1] + 1
    best = np.full((count, gaps + 1, channels), np.inf)  # [t, g]: t is kept, as was t-g; g = 0: t is the first kept
    came = np.zeros((count, gaps + 1, channels), dtype=np.int8)
    noise = _noise(points2d, times, stature)
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        for t, bend in enumerate(_bends(points2d, times, stature, noise, start, stop), start):
            if t <= _LONGEST:
                best[t, 0] = _DROP[t]
            for h in range(1, min(gaps, t) + 1):
                ways = best[t - h].copy()
                ways[1:] += bend[h - 1]
                came[t, h] = ways.argmin(axis=0)
                best[t, h] = ways.min(axis=0) + _DROP[h - 1]
    # The last kept frame, then back.
    last = np.arange(max(count - gaps, 0), count)
    ends = best[last] + _DROP[count - 1 - last][:, None, None]
    choice = ends.reshape(-1, channels).argmin(axis=0)
    t, g = last[choice // (gaps + 1)], choice % (gaps + 1)
    kept, every = np.zeros((count, channels), dtype=bool), np.arange(channels)
    while True:
        kept[t, every] = True
        if not (g > 0).any():
            return ~kept
        before = np.where(g > 0, t - g, t)
        g = np.where(g > 0, came[t, g, every], 0)
        t = before


def _noise(points2d: Array, times: Array, stature: Array) -> Array:
    """(n,33) statures: what landmarks may be off, from how restless they are around that time."""
    noise = np.full(points2d.shape[:2], _NOISE)
    if len(points2d) > 2 * _AROUND:
        share = ((times[1:-1] - times[:-2]) / np.maximum(times[2:] - times[:-2], 1e-3))[:, None, None]
        x = points2d[..., :2]
        off = np.linalg.norm(x[1:-1] - (x[:-2] + share * (x[2:] - x[:-2])), axis=-1) / stature[1:-1, None]
        usual = median_filter(off, size=(2 * _AROUND + 1, 1), mode="nearest")
        noise[1:-1] = np.maximum(_NOISE, _JITTER * usual)
    return noise


def _bends(points2d: Array, times: Array, stature: Array, noise: Array, start: int, stop: int) -> Array:
    """[t - start, h-1, g-1, channel]: cost of going through t-h-g, t-h and t."""
    gaps = _LONGEST + 1
    t, h, g = np.ogrid[start:stop, 1 : gaps + 1, 1 : gaps + 1]
    a, b, c = np.maximum(t - h - g, 0), np.maximum(t - h, 0), t
    before, after = np.maximum(times[b] - times[a], 1e-3), np.maximum(times[c] - times[b], 1e-3)
    share = (before / (before + after))[..., None, None]
    x = points2d[..., :2]
    off = np.linalg.norm(x[b] - (x[a] + share * (x[c] - x[a])), axis=-1) / stature[b][..., None]
    squared = (off / (noise[b] + 0.5 * _fastest() * (before * after)[..., None])) ** 2
    together = _MOST * (np.clip(squared[..., _LIMBS] - 1.0, 0.0, 3.0) / 3.0).mean(axis=-1, keepdims=True)
    return np.concatenate([np.minimum(squared, _MOST), together], axis=-1)


def _fastest() -> Array:
    """(33,) statures/s²."""
    head = _SKELETON.index("left_shoulder")
    ends = [_ACCELERATION.get(name.partition("_")[2], _HANDS_FEET) for name in _SKELETON.joint_names]
    return np.array([_HEAD if i < head else end for i, end in enumerate(ends)])
