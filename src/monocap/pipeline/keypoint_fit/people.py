"""Who is who over the frames of a keypoint file: people of neighbouring frames joined by where their points are.

`perception.association` decides by looks and regions, which a file does not hold; here are points only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from monocap.data.keypoint_files import KeypointPicture
from monocap.perception.people import prominence
from monocap.types import Array, Track

_NEAR = 0.25  # of the person's size: a mean distance of points up to which somebody is the same a frame later
_REACH = 0.04  # more per frame in which the person was not there
_FORGOTTEN = 1.0  # s
_SHORT = 3  # frames that somebody must be in, in a video that has many more
_SPEED = 0.5  # share of the last movement that is taken to go on


@dataclass(frozen=True)
class Person:
    """``track`` through all frames (its 3D hints are zero), and the ``gender`` that most of its frames name."""

    track: Track
    gender: str | None


@dataclass
class _Path:
    """``rows``: frame → person of that frame's picture."""

    rows: dict[int, int]
    points: Array  # (N,3) as last seen
    velocity: Array  # (2,) px per frame
    last: int
    identity: int | None


def follow(
    pictures: Sequence[KeypointPicture],
    skeleton: str,
    frames: Sequence[int],
    fps: float,
    count: int,
    most: int | None = None,
) -> tuple[list[Person], list[str]]:
    """People of a video of ``count`` frames by prominence, as tracks 0, 1, 2 …, and notes.

    ``frames``: the number of each picture's frame, ascending; ``skeleton`` of its points.

    Where the file numbers its people throughout, these numbers decide; otherwise the joint assignment with the least
    movement does. ``most`` people are kept.
    """
    told = all(identity is not None for one in pictures for identity in one.identity)
    paths: list[_Path] = []
    for picture, frame in zip(pictures, frames, strict=True):
        points = picture.points
        chosen = _by_number(paths, picture) if told else _by_place(paths, points, frame, fps)
        for row, path in enumerate(chosen):
            seen = points[row]
            if path is None:
                identity = picture.identity[row]
                paths.append(_Path({frame: row}, seen, np.zeros(2), frame, identity))
                continue
            step = (_middle(seen) - _middle(path.points)) / max(frame - path.last, 1)
            path.velocity = _SPEED * step
            path.rows[frame], path.points, path.last = row, seen, frame
    shortest = min(_SHORT, (len(pictures) + 1) // 2)
    kept = [path for path in paths if len(path.rows) >= shortest]
    notes = []
    if len(kept) < len(paths):
        notes.append(f"{len(paths) - len(kept)} people were in fewer than {shortest} frames and were left out")
    place = {frame: i for i, frame in enumerate(frames)}
    shown = [_shown(path, pictures, place) for path in kept]
    order = np.argsort(-np.array(shown), kind="stable") if kept else np.zeros(0, np.int64)
    if most is not None and len(order) > most:
        notes.append(f"{len(order) - most} less prominent people were left out; see --people")
    people = [_person(rank, kept[i], pictures, skeleton, place, count) for rank, i in enumerate(order[:most])]
    return people, notes


def by_prominence(picture: KeypointPicture, most: int | None = None) -> list[int]:
    """Rows of a single picture's people, the subject first; at most ``most``."""
    if not len(picture.points):
        return []
    shown = np.array([_prominence(points, picture.size) for points in picture.points])
    return [int(i) for i in np.argsort(-shown, kind="stable")[:most] if shown[i] > 0]


def _by_number(paths: Sequence[_Path], picture: KeypointPicture) -> list[_Path | None]:
    known = {path.identity: path for path in paths}
    return [known.get(identity) for identity in picture.identity]


def _by_place(paths: Sequence[_Path], points: Array, frame: int, fps: float) -> list[_Path | None]:
    chosen: list[_Path | None] = [None] * len(points)
    near = [path for path in paths if frame - path.last <= _FORGOTTEN * fps]
    if not near or not len(points):
        return chosen
    fits = np.zeros((len(near), len(points)))
    for i, path in enumerate(near):
        gap = frame - path.last
        for j, seen in enumerate(points):
            fits[i, j] = max(0.0, 1.0 - _apart(path.points, seen, path.velocity * gap) / (_NEAR + _REACH * (gap - 1)))
    for i, j in zip(*linear_sum_assignment(fits, maximize=True), strict=True):
        if fits[i, j] > 0:
            chosen[j] = near[i]
    return chosen


def _apart(before: Array, now: Array, moved: Array) -> float:
    """Mean distance of points that both see, in the larger person's size; far where they share none."""
    both = (before[:, 2] > 0) & (now[:, 2] > 0)
    if not both.any():
        return 10.0
    size = max(_extent(before), _extent(now), 1.0)
    away = np.linalg.norm(now[both, :2] - before[both, :2] - moved, axis=1)
    return float(np.minimum(away / size, 1.0).mean())


def _extent(points: Array) -> float:
    seen = points[points[:, 2] > 0, :2]
    return float(np.ptp(seen, axis=0).max()) if len(seen) else 0.0


def _middle(points: Array) -> Array:
    seen = points[points[:, 2] > 0, :2]
    return seen.mean(axis=0) if len(seen) else np.zeros(2)


def _prominence(points: Array, size: tuple[int, int] | None) -> float:
    seen = points[points[:, 2] > 0]
    if not len(seen):
        return 0.0
    box = np.concatenate([seen[:, :2].min(axis=0), seen[:, :2].max(axis=0)])
    width, height = size or (max(float(box[2]), 1.0), max(float(box[3]), 1.0))
    box = np.clip(box, 0, [width, height, width, height])
    box[2:] = np.maximum(box[2:], box[:2] + 1.0)
    return float(prominence(box, seen[:, 2].sum() / len(points), int(width), int(height)))


def _shown(path: _Path, pictures: Sequence[KeypointPicture], place: dict[int, int]) -> float:
    return sum(
        _prominence(pictures[place[frame]].points[row], pictures[place[frame]].size) for frame, row in path.rows.items()
    )


def _person(
    track_id: int,
    path: _Path,
    pictures: Sequence[KeypointPicture],
    skeleton: str,
    place: dict[int, int],
    count: int,
) -> Person:
    first = pictures[place[next(iter(path.rows))]]
    names = [pictures[place[frame]].gender[row] for frame, row in path.rows.items()]
    points = np.zeros((count, *first.points.shape[1:]))
    for frame, row in path.rows.items():
        points[frame] = pictures[place[frame]].points[row]
    valid = np.any(points[..., 2] > 0, axis=1)
    score = points[..., 2].sum(axis=1) / np.maximum((points[..., 2] > 0).sum(axis=1), 1)
    named = [name for name in names if name is not None]
    gender = max(set(named), key=named.count) if named else None
    return Person(Track(track_id, skeleton, points, np.zeros_like(points), valid, score), gender)
