"""Keypoints and the pictures they were found in, brought together by name, number or order."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from monocap.data.keypoint_files.form import KeypointSet, natural
from monocap.errors import InputError, MediaError
from monocap.media.pictures import is_picture, picture_size
from monocap.media.readers import Media, open_media, open_pictures

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif"}
_MIN_SIDE, _MAX_SIDE = 16, 100_000


class Pictures:
    """What ``--images`` names: a folder of pictures, one picture, or a video.

    Raises MediaError if it cannot be read, InputError for a folder without pictures.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.video: Media | None = None
        self.by_stem: dict[str, Path] = {}
        self._sizes: dict[Path, tuple[tuple[int, int], float | None]] = {}
        if path.is_dir():
            files = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
            files = [p for p in files if not p.name.startswith(".") and not p.name.endswith(".overlay.png")]
            if not files:
                raise InputError(f"{path}: no pictures there; expected those the keypoints were found in")
            for file in sorted(files, key=lambda p: natural(p.name)):
                self.by_stem.setdefault(file.stem.casefold(), file)
        elif path.is_file() and is_picture(path):
            self.by_stem[path.stem.casefold()] = path
        else:
            self.video = open_media(path)

    def find(self, name: str) -> Path | None:
        """The picture that keypoints of this name belong to: of the same name, but for what detectors add to it."""
        stem = name.casefold()
        for candidate in (stem, stem.removesuffix("_rendered"), stem.removesuffix("_keypoints"), Path(stem).stem):
            if candidate in self.by_stem:
                return self.by_stem[candidate]
        return None

    @property
    def only(self) -> Path | None:
        """The picture, if a single one was named: whatever it is called, a set of one picture is its."""
        return None if self.video is not None or self.path.is_dir() else next(iter(self.by_stem.values()))

    def size(self, name: str) -> tuple[int, int] | None:
        """Width and height of that picture, or of the video's frames; None if there is none of that name."""
        if self.video is not None:
            return self.video.full_size
        path = self.find(name) or self.only
        return None if path is None else self.look(path)[0]

    def look(self, path: Path) -> tuple[tuple[int, int], float | None]:
        """Upright size and lens of a picture."""
        if path not in self._sizes:
            self._sizes[path] = picture_size(path)
        return self._sizes[path]


def with_pictures(found: KeypointSet, pictures: Pictures) -> KeypointSet:
    """The set with size, lens and file of each picture. Frames of a video keep their own names.

    Pictures that are missing are told in the notes. Raises InputError if none belongs to any of the keypoints.
    """
    if pictures.video is not None:
        media = pictures.video
        known = [replace(one, size=media.full_size, focal=media.focal_px) for one in found.pictures]
        return replace(found, pictures=tuple(known), video=True, fps=found.fps or media.fps)
    placed, missing = [], []
    files = list(pictures.by_stem.values())
    by_order = found.video and len(files) == len(found.pictures)
    for i, one in enumerate(found.pictures):
        path = pictures.find(one.name) or (files[i] if by_order else None)
        if path is None and len(found.pictures) == 1:
            path = pictures.only
        if path is None:
            missing.append(one.name)
            placed.append(one)
            continue
        size, focal = pictures.look(path)
        placed.append(replace(one, image=path, size=size, focal=focal))
    if missing and len(missing) == len(found.pictures):
        raise InputError(
            f"{pictures.path}: no picture is called as the keypoints are ({missing[0]} …); expected "
            f"{missing[0]}.jpg or .png"
        )
    found = replace(found, pictures=tuple(placed))
    if missing:
        return found.with_notes(f"{len(missing)} pictures of the keypoints are not in {pictures.path} ({missing[0]} …)")
    return found


def with_size(found: KeypointSet, size: tuple[int, int] | None) -> KeypointSet:
    """The set with ``size`` (w, h) for pictures that know none. Raises InputError if one still has none."""
    if size is not None and not all(_MIN_SIDE <= side <= _MAX_SIDE for side in size):
        raise InputError(
            f"size {size[0]} × {size[1]}; expected width and height from {_MIN_SIDE} to {_MAX_SIDE} pixels"
        )
    known = [one if one.size is not None or size is None else replace(one, size=size) for one in found.pictures]
    lost = next((one.name for one in known if one.size is None), None)
    if lost is not None:
        raise InputError(
            f"{found.files[0]}: the file does not tell the size of its pictures ({lost}), on which distance depends; "
            "add --images DIR, or --size WIDTHxHEIGHT"
        )
    return replace(found, pictures=tuple(known))


def numbered(found: KeypointSet) -> list[int]:
    """Which frame of the video each picture is, from 0: the last number in its name, or else its place.

    Numbers from 1 on are taken for counted from one if no frame 0 is there.
    """
    numbers = [re.search(r"([0-9]+)(?!.*[0-9])", one.name) for one in found.pictures]
    values = [int(match[1]) if match else -1 for match in numbers]
    steps = [after - before for before, after in pairwise(values)]
    if min(values, default=-1) < 0 or any(step <= 0 for step in steps) or max(values) > 20 * len(values) + 100:
        return list(range(len(found.pictures)))
    first = 1 if values[0] >= 1 and max(values) - values[0] + 1 == len(values) else 0
    return [value - (values[0] if first else 0) for value in values]


def media_of(found: KeypointSet, pictures: Pictures | None, fps: float | None) -> Callable[[int], Media] | None:
    """What to draw overlays on: picture ``i`` of the set, or the video (any ``i``); None without pictures."""
    if pictures is None:
        return None
    if pictures.video is not None:
        video = pictures.video
        return lambda i: video
    if found.video:
        files = [one.image for one in found.pictures]
        if any(file is None for file in files):
            return None
        whole = open_pictures([file for file in files if file is not None], fps or 30.0)
        return lambda i: whole

    def one(i: int) -> Media:
        file = found.pictures[i].image
        if file is None:
            raise MediaError(f"{found.pictures[i].name}: its picture is not in {pictures.path}")
        return open_media(file)

    return one
