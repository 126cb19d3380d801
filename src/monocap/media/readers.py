"""Photos, videos and folders of pictures as a stream of upright frames with their true times, in constant memory."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import av.error
import numpy as np

from monocap.errors import InputError, MediaError
from monocap.media.pictures import MAX_PIXELS, is_picture, read_picture
from monocap.types import Array, Frame

log = logging.getLogger(__name__)
_LEAST_STEP = 0.0005  # seconds: what two frames are apart at least
_HD_LINES = 720  # untagged video of at least this many lines is BT.709 by common practice, BT.601 below


class Media(ABC):
    """A source of frames; iterate it for `monocap.types.Frame`, as often as wanted, each time from the start.

    ``kind`` "image" or "video"; ``width`` and ``height`` pixels of the upright frames (all alike); ``fps`` average
    frames per second (1 for a photo); ``frame_count`` expected frames or None if the file does not tell (iterating
    may give fewer or more); ``duration`` seconds or None; ``focal_px`` focal length in pixels or None if unknown;
    ``warnings`` what was wrong but survivable, in plain words, filled while iterating (and logged).
    """

    kind: Literal["image", "video"]

    def __init__(self, path: Path) -> None:
        self.path = path
        self.width = 0
        self.height = 0
        self.fps = 1.0
        self.frame_count: int | None = None
        self.duration: float | None = None
        self.focal_px: float | None = None
        self.warnings: list[str] = []

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    def _warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)
            log.warning("%s: %s", self.path, message)


def open_media(path: str | os.PathLike[str]) -> Media:
    """Open a photo or video by its content (moving GIF and PNG are videos).

    Raises MediaError in one line if it is missing, a folder, neither picture nor video, damaged from the start, or
    above 200 megapixels.
    """
    path = Path(path)
    if path.is_dir():
        raise MediaError(f"{path}: a folder; pass its files, or open_pictures(files, fps) for one video of pictures")
    if not path.is_file():
        raise MediaError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise MediaError(f"{path}: the file is empty")
    return Photo(path) if is_picture(path) else Video(path)


class Photo(Media):
    """One still picture; its pixels are kept after the first reading, since opening must decode them anyway."""

    kind = "image"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._picture = read_picture(path)
        self.height, self.width = self._picture.image.shape[:2]
        self.focal_px = self._picture.focal_px
        self.frame_count, self.duration = 1, 0.0

    def __iter__(self) -> Iterator[Frame]:
        yield Frame(self._picture.image)


def open_pictures(paths: Sequence[str | os.PathLike[str]], fps: float) -> Media:
    """Pictures of one size, in the given order, as one video of ``fps`` frames per second.

    Raises InputError without pictures or for fps ≤ 0, MediaError while iterating if one is unreadable or of another
    size than the first.
    """
    if not paths or not fps > 0:
        raise InputError(f"{len(paths)} pictures at {fps} frames per second; expected at least one, and fps above 0")
    return _Pictures([Path(p) for p in paths], fps)


class _Pictures(Media):
    kind = "video"

    def __init__(self, paths: list[Path], fps: float) -> None:
        super().__init__(paths[0].parent)
        first = read_picture(paths[0])
        self._paths = paths
        self.height, self.width = first.image.shape[:2]
        self.fps, self.focal_px = float(fps), first.focal_px
        self.frame_count, self.duration = len(paths), len(paths) / fps

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            image = read_picture(path).image
            if image.shape[:2] != (self.height, self.width):
                raise MediaError(
                    f"{path}: {image.shape[1]} × {image.shape[0]} pixels, but the first picture has "
                    f"{self.width} × {self.height}; capture pictures of different sizes separately (without fps)"
                )
            yield Frame(image, index, index / self.fps)


class Video(Media):
    """A video file, decoded by FFmpeg through PyAV while iterating.

    Every source frame is given once, in order of presentation, with the time of its own stamp (variable frame rates
    stay as they are), the first at 0. Rotation and mirroring of the display matrix and pixels that are not square
    are applied. Damage does not stop the reading: what cannot be decoded is left out and told in ``warnings``.
    """

    kind = "video"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            with _container(path) as container:
                stream = container.streams.best("video")
                if stream is None or not isinstance(stream, av.VideoStream):
                    raise MediaError(f"{path}: holds no picture track; expected a video or a photo")
                self._probe(container, stream)
        except (av.error.FFmpegError, ValueError, OSError) as error:
            if isinstance(error, MediaError):
                raise
            raise MediaError(f"{path}: neither a readable video nor a picture ({_reason(error)})") from error

    def _probe(self, container: Any, stream: av.VideoStream) -> None:
        if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
            raise MediaError(f"{self.path}: frames above {MAX_PIXELS // 1_000_000} megapixels; make it smaller first")
        frame = next((frame for frame in _frames(container, stream, [])), None)
        if frame is None:
            raise MediaError(f"{self.path}: not one frame can be decoded; the file is damaged or empty")
        self._turn = _display_matrix(frame)
        self._coded = (frame.width, frame.height)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        if not Fraction(1, 10) < aspect < 10:
            aspect = Fraction(1)
        self._size = (max(1, round(frame.width * aspect)), frame.height)  # square pixels
        self.width, self.height = self._size if self._turn[0, 0] else self._size[::-1]
        rate = stream.average_rate or stream.guessed_rate
        if stream.duration and stream.time_base:
            self.duration = float(stream.duration * stream.time_base)
        elif container.duration:
            self.duration = container.duration / av.time_base
        if stream.frames:
            self.frame_count = stream.frames
        elif self.duration and rate:
            self.frame_count = max(1, round(self.duration * float(rate)))
        self._declared = stream.frames
        self.fps = float(rate) if rate else 25.0
        if not rate:
            self._warn("the file does not tell its frame rate; 25 frames per second are assumed")

    def __iter__(self) -> Iterator[Frame]:
        damage: list[str] = []
        first: Fraction | None = None
        index, last = 0, -1.0
        with _container(self.path) as container:
            stream = container.streams.best("video")
            for frame in _frames(container, stream, damage):
                time = last + 1 / self.fps if index else 0.0
                if frame.pts is not None and frame.time_base is not None:
                    stamp = frame.pts * frame.time_base
                    first = stamp if first is None else first
                    # stamps that repeat or run backwards are a writer's fault: time still goes on, if slowly
                    time = max(float(stamp - first), last + _LEAST_STEP if index else 0.0)
                yield Frame(self._upright(frame), index, time)
                index, last = index + 1, time
        if damage:
            self._warn(f"{len(damage)} damaged parts were left out; {index} frames were read ({damage[0]})")
        elif index < self._declared:
            self._warn(f"the file ends early: {index} of {self._declared} frames were read")
        elif self.duration and float(first or 0) + last + 2 / self.fps < 0.95 * self.duration:
            self._warn(f"the picture ends early: after {last:.2f} of {self.duration:.2f} s")

    def _upright(self, frame: av.VideoFrame) -> Array:
        if frame.width * self._coded[1] != frame.height * self._coded[0]:
            self._warn("the picture's shape changes on the way; later frames are stretched to the first one's")
        space = frame.colorspace
        if space == _UNSPECIFIED and frame.height >= _HD_LINES and not frame.format.is_rgb:
            space = _BT709
        width, height = self._size
        image = frame.reformat(width=width, height=height, format="rgb24", src_colorspace=space).to_ndarray()
        turn = self._turn
        if not turn[0, 0]:
            image = image.swapaxes(0, 1)
        if turn[0].sum() < 0:
            image = image[:, ::-1]
        if turn[1].sum() < 0:
            image = image[::-1]
        return np.ascontiguousarray(image)


_UNSPECIFIED, _BT709 = 2, 1  # ISO/IEC 23091-2 matrix coefficients, as FFmpeg numbers them


def _container(path: Path) -> Any:
    # "file:" and the whitelist: neither a name like "a:b.mp4" nor a play list may reach for the network
    return av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="ignore")


def _frames(container: Any, stream: Any, damage: list[str]) -> Iterator[av.VideoFrame]:
    """Decoded frames; parts that fail are noted in ``damage`` and left out."""
    stream.thread_type = "AUTO"
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError as error:
            damage.append(_reason(error))
            packet = None
        try:
            yield from (packet.decode() if packet is not None else stream.codec_context.decode(None))
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            damage.append(_reason(error))
        if packet is None:
            return


def _display_matrix(frame: av.VideoFrame) -> Array:
    """(2,2) of -1, 0, 1: x', y' of the upright picture from x, y of the coded one, to the nearest quarter turn."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return np.eye(2, dtype=int)
    linear = np.frombuffer(bytes(data), np.int32)[:9].reshape(3, 3)[:2, :2].T.astype(float)
    straight = abs(linear[0, 0]) + abs(linear[1, 1]) >= abs(linear[0, 1]) + abs(linear[1, 0])
    return np.sign(np.where(np.eye(2, dtype=bool) == straight, linear, 0)).astype(int)


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error)).strip().rstrip(".") or type(error).__name__
