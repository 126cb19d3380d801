"""The one form that every keypoint file becomes: people with points of a named skeleton, picture by picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from monocap import skeletons
from monocap.data.fields import shaped
from monocap.errors import InputError
from monocap.types import Array

MAX_PEOPLE, MAX_PICTURES, MAX_POINTS = 1000, 1_000_000, 200_000_000
MAX_PIXELS = 1e6
"""Coordinates beyond this are no pixels: files in other units, or damaged ones."""


@dataclass(frozen=True)
class KeypointPicture:
    """One picture, or frame of a video, and its P people.

    ``points`` (P,N,3): px, px (the first pixel's centre at 0), confidence 0–1; a point that is not there has confidence
    0. ``identity`` (P): the number that the file gives each person over time, or None. ``gender`` (P): "male",
    "female", "neutral" or None where it says nothing. ``size`` width and height in pixels, ``image`` the picture's
    file, ``focal`` its lens in pixels, where these are known.
    """

    name: str
    points: Array
    identity: tuple[int | None, ...] = ()
    gender: tuple[str | None, ...] = ()
    size: tuple[int, int] | None = None
    image: Path | None = None
    focal: float | None = None

    def __post_init__(self) -> None:
        for name in ("identity", "gender"):
            if len(getattr(self, name)) != len(self.points):
                object.__setattr__(self, name, (None,) * len(self.points))


@dataclass(frozen=True)
class KeypointSet:
    """What a file or folder of keypoints holds.

    ``kind`` says in words what it was recognised as. ``video``: whether the pictures are frames of one video (None: the
    file does not say), ``fps`` its rate and ``K`` (3,3) its camera where the file tells them. ``notes`` are what the
    user should know.
    """

    kind: str
    skeleton: str
    pictures: tuple[KeypointPicture, ...]
    files: tuple[Path, ...]
    video: bool | None = None
    fps: float | None = None
    K: Array | None = None
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if len(self.pictures) > MAX_PICTURES:
            raise InputError(f"{self.files[0]}: {len(self.pictures)} pictures; at most {MAX_PICTURES} are read at once")
        wanted = (len(skeletons.get(self.skeleton)), 3)
        for picture in self.pictures:
            if picture.points.shape[1:] != wanted:
                raise InputError(
                    f"{picture.name}: points {picture.points.shape}; {self.skeleton} has (P, {wanted[0]}, 3)"
                )

    @property
    def most_people(self) -> int:
        """In one picture."""
        return max((len(picture.points) for picture in self.pictures), default=0)

    def with_notes(self, *notes: str) -> KeypointSet:
        return replace(self, notes=tuple(dict.fromkeys((*self.notes, *notes))))


def points_of(value: Any, where: str, scores: Any = None) -> Array:
    """(N,3) px, px, confidence from what files hold: a flat list of triples or pairs, rows of two or three, nulls.

    ``scores`` (N,) are the confidences where they stand apart; points without any count as sure. A point with a missing
    or impossible number, at (0, 0), or of confidence 0 is not there: confidence 0, place 0. Raises InputError for
    anything that is no list of points.
    """
    try:
        rows = np.array(_numbers(value), dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: no list of points ({error}); expected numbers x, y, confidence") from error
    if rows.ndim == 1:
        if len(rows) % 3 and (scores is None or len(rows) % 2):
            raise InputError(f"{where}: {len(rows)} numbers; expected triples of x, y, confidence")
        rows = rows.reshape(-1, 3 if scores is None or len(rows) % 2 else 2)
    if rows.ndim != 2 or rows.shape[1] not in (2, 3):
        raise InputError(f"{where} has shape {rows.shape}; expected (N, 3): x, y, confidence")
    if scores is not None:
        confidence = shaped(_numbers(scores), (len(rows),), f"{where}: scores")
    else:
        confidence = rows[:, 2] if rows.shape[1] == 3 else np.ones(len(rows))
    return cleaned(np.column_stack([rows[:, :2], confidence]))


def cleaned(points: Array) -> Array:
    """Points (…,3) with what is not there zeroed (see `points_of`); confidences above 1 become 1, below 0 become 0."""
    points = np.array(points, dtype=np.float64)
    there = np.isfinite(points).all(axis=-1) & (points[..., 2] > 0) & (points[..., :2] != 0).any(axis=-1)
    there &= (np.abs(np.nan_to_num(points[..., :2], posinf=np.inf, neginf=np.inf)) < MAX_PIXELS).all(axis=-1)
    points[..., 2] = np.minimum(points[..., 2], 1.0)
    return np.where(there[..., None], points, 0.0)


def _numbers(value: Any) -> Any:
    """None as not-a-number; everything else unchanged."""
    if isinstance(value, (list, tuple)):
        if len(value) > MAX_POINTS:
            raise ValueError(f"{len(value)} entries")
        return [_numbers(item) for item in value]
    return np.nan if value is None else value


def stacked(people: Sequence[Array], count: int) -> Array:
    """(P,N,3) of people's points (N,3)."""
    if len(people) > MAX_PEOPLE:
        raise InputError(f"{len(people)} people in one picture; at most {MAX_PEOPLE} are read")
    return np.stack(people) if people else np.zeros((0, count, 3))


def natural(text: str) -> list[tuple[int, int, str]]:
    """Sort key: numbers by value, letters without case."""
    pieces = re.split(r"([0-9]+)", text.casefold())
    return [(0, int(piece), "") if i % 2 else (1, 0, piece) for i, piece in enumerate(pieces)]


def size_from(entry: Any) -> tuple[int, int] | None:
    """Width and height that a JSON object tells under one of the usual names."""
    if not isinstance(entry, dict):
        return None
    for names in (("width", "height"), ("image_width", "image_height"), ("imageWidth", "imageHeight"), ("w", "h")):
        if all(_side(entry.get(name)) for name in names):
            width, height = (int(entry[name]) for name in names)
            return width, height
    for name in ("image_size", "imageSize", "resolution", "size"):
        value = entry.get(name)
        if isinstance(value, (list, tuple)) and len(value) == 2 and all(_side(v) for v in value):
            return int(value[0]), int(value[1])
    return None


def _side(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 1 <= value <= MAX_PIXELS
