"""What the user named → what is captured: files, folders, patterns, pictures that are one video, a camera."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from monocap.errors import InputError, MediaError
from monocap.media.pictures import is_picture
from monocap.media.readers import Media, check_local_file, open_media, open_pictures

# In folders and patterns names decide, since there everything else would have to be opened; a file that is named by
# itself is recognised by its content.
# fmt: off
PICTURES = frozenset((
    "jpg", "jpeg", "jpe", "jfif", "mpo", "png", "webp", "avif", "tif", "tiff", "bmp", "jp2", "ppm", "pgm", "pnm",
    "heic", "heif",  # told that they are not read
))
VIDEOS = frozenset((
    "mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "mts", "m2ts", "ts", "vob", "wmv", "asf", "flv",
    "3gp", "3g2", "ogv", "gif", "apng", "h264", "hevc", "mjpeg", "mxf", "dv",
))
# fmt: on
_OWN_OUTPUTS = (".overlay.png", "overlay.mp4")  # of a capture into the same folder
_NAMED_IN_NOTE = 3
_RESERVED = frozenset(["con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))])


@dataclass(frozen=True)
class Source:
    """One capture to make: one file; or ``files`` that are one video of ``fps``; or a camera, ``device``."""

    files: tuple[Path, ...]
    fps: float | None = None
    device: int | None = None

    @property
    def name(self) -> str:
        """What to call it: the file's name without its ending, the pictures' folder, or camera_N."""
        if self.device is not None:
            return f"camera_{self.device}"
        return self.files[0].absolute().parent.name if self.fps is not None else self.files[0].stem

    @property
    def label(self) -> str:
        """For messages: as `name`, with the ending."""
        return self.files[0].name if self.files and self.fps is None else self.name

    def open(self) -> Media:
        """Raises MediaError in one line; a camera must have been recorded first (`media.webcam`)."""
        return open_media(self.files[0]) if self.fps is None else open_pictures(self.files, self.fps)


def find_sources(inputs: Sequence[str], fps: float | None, out: Path) -> tuple[list[Source], list[str]]:
    """What to capture, in the given order, folders and patterns in natural order (frame 2 before 10); and notes.

    A number that is no file is a camera. A folder gives the pictures and videos in it, a pattern (``*``, ``?``,
    ``[…]``, ``**``) what matches; what lies under ``out`` is left. With ``fps``, all pictures of one folder are one
    video.

    Raises InputError or MediaError, in one line, for what does not exist or is no ordinary file, folders and patterns
    without media, and ``fps`` without pictures.
    """
    notes: list[str] = []
    found: list[Source] = []
    for text in inputs:
        if text.isascii() and text.isdigit() and not os.path.exists(text):
            found.append(Source((), device=int(text)))
        else:
            found += [Source((path,)) for path in _files(text, out, notes)]
    unique = list(dict.fromkeys(found))
    if len(unique) < len(found):
        notes.append("inputs that were named twice are captured once")
    return (unique if fps is None else _as_videos(unique, fps)), notes


def _files(text: str, out: Path, notes: list[str]) -> list[Path]:
    path = Path(text)
    if not text:
        raise InputError("an input is empty text; expected a file, a folder, a pattern or a camera's number")
    if os.path.isdir(text):  # never raises, whatever the text
        chosen = _media_of((entry for entry in path.iterdir()), text, out, notes)
    elif glob.has_magic(text) and not os.path.exists(text) and "://" not in text:
        chosen = _media_of((Path(match) for match in glob.iglob(text, recursive=True)), text, out, notes)
    else:
        check_local_file(text)
        return [path]
    return sorted(chosen, key=_natural)


def _media_of(paths: Iterable[Path], text: str, out: Path, notes: list[str]) -> list[Path]:
    target, named = out.resolve(), _folder_of(text)
    chosen, skipped = [], []
    for path in paths:
        if path.name.startswith(".") or not path.is_file():
            continue
        if target != named and path.resolve().is_relative_to(target):
            continue  # results of an earlier run
        own = path.name.endswith(_OWN_OUTPUTS)
        (skipped if own or path.suffix[1:].lower() not in PICTURES | VIDEOS else chosen).append(path)
    if not chosen:
        raise InputError(f"{text}: no pictures or videos there; expected files like .jpg, .png, .mp4, .mov")
    if skipped:
        names = ", ".join(path.name for path in sorted(skipped, key=_natural)[:_NAMED_IN_NOTE])
        more = ", …" if len(skipped) > _NAMED_IN_NOTE else ""
        notes.append(f"{text}: {len(skipped)} files that are no photos or videos were left ({names}{more})")
    return chosen


def _folder_of(text: str) -> Path:
    """The folder that a folder or pattern names."""
    path = Path(text)
    while glob.has_magic(str(path)):
        path = path.parent
    return path.resolve()


def _natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key: numbers by value, letters without case; equal ones by the text itself."""
    pieces = re.split(r"([0-9]+)", os.fspath(path).casefold())
    return [(0, int(piece), "") if i % 2 else (1, 0, piece) for i, piece in enumerate(pieces)], os.fspath(path)


def _as_videos(sources: list[Source], fps: float) -> list[Source]:
    """Pictures of one folder become one video, at the place of the first of them."""
    gathered: dict[Path, list[Path]] = {}
    order: list[Source | Path] = []
    for source in sources:
        if source.device is None and _still(source.files[0]):
            folder = source.files[0].absolute().parent
            if folder not in gathered:
                order.append(folder)
            gathered.setdefault(folder, []).append(source.files[0])
        else:
            order.append(source)
    if not gathered:
        raise InputError(
            "--fps is for folders of pictures; the inputs hold no pictures, and videos tell their own rate"
        )
    return [Source(tuple(gathered[item]), fps) if isinstance(item, Path) else item for item in order]


def _still(path: Path) -> bool:
    try:
        return is_picture(path)
    except MediaError:
        return path.suffix[1:].lower() in PICTURES  # a damaged one: told when it is its turn


def folder_names(sources: Sequence[Source]) -> list[str]:
    """One folder name for each source, no two alike even where capitals do not count: equal ones get _2, _3, …"""
    taken: set[str] = set()
    names = []
    for source in sources:
        plain = source.name.rstrip(". ")[:200] or "input"
        if plain.partition(".")[0].casefold() in _RESERVED:  # on Windows no file can have these names
            plain = f"{plain}_"
        name, count = plain, 1
        while name.casefold() in taken:
            count += 1
            name = f"{plain}_{count}"
        taken.add(name.casefold())
        names.append(name)
    return names
