"""Who was in the video, now that all of it was seen: ghosts dropped, fragments of one person joined, the subject first.

While a video runs, a tracker must decide at once; afterwards there are whole stretches to compare. Somebody who
went behind a tree and came out as somebody new is put together again if both stretches look alike, never overlap in
time, and the way from the end of one to the start of the other can be walked.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monocap.perception import appearance, people
from monocap.perception.followed import box_of
from monocap.pipeline.sightings import Sightings
from monocap.types import BodyGuess, Parts, Track

Array = NDArray[Any]

_SHORT = 5  # frames that somebody must be seen in, in a video that has many more
_WEAK = 0.25  # mean confidence of the landmarks, below which nobody was there
# Similarity of looks from which two stretches can be one person's: at once, at most, after so many seconds. Different
# people in clothes of one colour reach 0.91.
_ALIKE = (0.75, 0.94, 3.0)
_REACH, _SPEED = 0.5, 4.0  # body sizes a person may be off at once, and per second


@dataclass(frozen=True)
class Cast:
    """The people of a video by prominence, as tracks 0, 1, 2, …; and how many were left out and why."""

    tracks: list[Track]
    doubtful: int = 0  # too short or too weak to be a person
    less_prominent: int = 0  # people, but more than were asked for


@dataclass(frozen=True)
class _Stretch:
    """What was seen of one person: rows, their frames, ascending, boxes (n,4) of what is in the picture, and looks."""

    rows: NDArray[np.int64]
    frames: Array
    boxes: Array
    sureness: Array
    looks: Array


def cast_of(sightings: Sightings, confirmed: Collection[int], width: int, height: int, most: int | None = None) -> Cast:
    """Decide who was in a video of that size in pixels. ``confirmed``: ids that the tracker takes for people."""
    rows = sightings.rows
    stretches, doubtful = [], 0
    shortest = min(_SHORT, (sightings.frames + 1) // 2)
    limits = (width - 1, height - 1, width - 1, height - 1)
    for identity in np.unique(rows["id"]):
        index = np.flatnonzero(rows["id"] == identity)
        points = rows["points2d"][index].astype(float)
        sureness = points[..., 2].mean(-1)
        known = int(identity) in confirmed or sightings.frames < _SHORT
        if len(index) < shortest or not known or sureness.mean() < _WEAK:
            doubtful += 1
            continue
        looks = sightings.looks[int(identity)]
        boxes = np.clip(box_of(points), 0, limits)
        stretches.append(_Stretch(index, rows["frame"][index], boxes, sureness, looks))
    stretches = _join(stretches, sightings.times)
    shown = [people.prominence(s.boxes, s.sureness, width, height).sum() for s in stretches]
    order = np.argsort(-np.array(shown), kind="stable")
    tracks = [_track(rank, stretches[i], sightings) for rank, i in enumerate(order[:most])]
    return Cast(tracks, doubtful, len(order) - len(tracks))


def _join(stretches: Sequence[_Stretch], times: Array) -> list[_Stretch]:
    """Join the two stretches that fit best, again and again, until no two fit."""
    left = list(stretches)
    while True:
        fits = {(i, j): _fit(left[i], left[j], times) for i in range(len(left)) for j in range(i + 1, len(left))}
        best = max(fits, key=lambda pair: fits[pair], default=None)
        if best is None or fits[best] <= 0:
            return left
        second, first = left.pop(best[1]), left.pop(best[0])
        left.append(_both(first, second))


def _fit(first: _Stretch, second: _Stretch, times: Array) -> float:
    """How well two stretches fit one person; 0 or less: not at all."""
    if len(np.intersect1d(first.frames, second.frames)):
        return 0.0
    both = _both(first, second)
    change = np.flatnonzero(np.diff(np.isin(both.frames, first.frames)))  # where one stretch hands over to the other
    before, after = both.boxes[change], both.boxes[change + 1]
    seconds = np.maximum(times[both.frames[change + 1]] - times[both.frames[change]], 0.0)
    size = np.maximum(np.maximum(before[:, 2:] - before[:, :2], after[:, 2:] - after[:, :2]).max(1), 1.0)
    way = np.linalg.norm(after[:, :2] + after[:, 2:] - before[:, :2] - before[:, 2:], axis=1) / 2 / size
    if (way > _REACH + _SPEED * seconds).any():
        return 0.0
    soon, late, when = _ALIKE
    needed = soon + (late - soon) * min(float(seconds.min()) / when, 1.0)
    return appearance.similarity(first.looks, second.looks) - needed


def _both(first: _Stretch, second: _Stretch) -> _Stretch:
    frames = np.concatenate([first.frames, second.frames])
    order = np.argsort(frames)
    share = len(first.frames) / len(frames)
    return _Stretch(
        np.concatenate([first.rows, second.rows])[order],
        frames[order],
        np.concatenate([first.boxes, second.boxes])[order],
        np.concatenate([first.sureness, second.sureness])[order],
        share * first.looks + (1 - share) * second.looks,
    )


def _track(identity: int, stretch: _Stretch, sightings: Sightings) -> Track:
    rows, count = sightings.rows, sightings.frames
    columns = {}
    wanted = ("points2d", "points3d", "score", "hands", "face", "shapes", "pose", "betas", "pelvis")
    for name in (name for name in wanted if name in rows):
        columns[name] = np.zeros((count, *rows[name].shape[1:]), np.float32)
        columns[name][stretch.frames] = rows[name][stretch.rows]
    valid = np.zeros(count, bool)
    valid[stretch.frames] = True
    parts = Parts(*(columns.pop(name) for name in ("hands", "face", "shapes"))) if "hands" in columns else None
    guess = BodyGuess(*(columns.pop(name) for name in ("pose", "betas", "pelvis"))) if "pose" in columns else None
    return Track(identity, sightings.skeleton, valid=valid, parts=parts, guess=guess, **columns)
