"""Photos, videos and folders of pictures as a stream of upright frames with their true times, in constant memory."""

from __future__ import annotations

import logging
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import av.error
import numpy as np
from av.stream import Disposition

from monocap.errors import InputError, MediaError
from monocap.media.exif import Lens
from monocap.media.pictures import MAX_PIXELS, WORKING_PIXELS, is_picture, read_picture, shrink_factor
from monocap.types import Array, Frame

log = logging.getLogger(__name__)
_LEAST_STEP = 0.0005  # seconds: what two frames are apart at least
_LONGEST_STEP = 3600.0  # seconds: a longer wait between two frames is a writer's fault, as is going back by
_BACK_STEP = 1.0  # more than this; smaller steps back are taken as stamps that repeat
_RATES = (0.01, 1000.0)  # frames per second that files may claim
_LONGEST = 10 * 24 * 3600.0  # seconds that files may claim to last
_MIN_SIDE = 16
_MAX_VIDEO_PIXELS = 71_000_000  # 16-bit decoders keep some 20 such frames
_BIG_PIXELS = 9_000_000  # larger frames are decoded by slices, since each frame thread keeps frames of its own
_HD_LINES = 720  # untagged video of at least this many lines is BT.709 by common practice, BT.601 below


class Media(ABC):
    """A source of frames; iterate it for `monocap.types.Frame`, as often as wanted, each time from the start.

    ``kind`` "image" or "video"; ``width`` and ``height`` pixels of the upright frames (all alike); ``full_size`` the
    width and height of the source, upright: frames of more than 13 megapixels are given smaller. ``fps`` average
    frames per second (1 for a photo); ``frame_count`` expected frames or None if the file does not tell (iterating
    may give fewer or more); ``duration`` seconds or None; ``focal_px`` focal length in pixels of the full size or None
    if unknown; ``lens`` what EXIF says of it, sure or not; ``warnings`` what was wrong but survivable, in plain words,
    filled while iterating (and logged).
    ``files``: what is read.
    """

    kind: Literal["image", "video"]

    def __init__(self, path: Path) -> None:
        self.path = path
        self.width = 0
        self.height = 0
        self.full_size = (0, 0)
        self.files: list[Path] = [path]
        self.fps = 1.0
        self.frame_count: int | None = None
        self.duration: float | None = None
        self.focal_px: float | None = None
        self.lens: Lens | None = None
        self.warnings: list[str] = []

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    @abstractmethod
    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Frames from index ``start`` on, with the same index and time that a full reading gives them."""

    def _set_size(self, full: tuple[int, int], factor: int = 1) -> None:
        """Take the upright size of the source, and the whole number by which its frames are smaller."""
        if min(full) < _MIN_SIDE:
            raise MediaError(
                f"{self.path}: {full[0]} × {full[1]} pixels; expected at least {_MIN_SIDE} on each side, "
                "people are not to be seen in less"
            )
        self.full_size = full
        self.width, self.height = (-(-side // factor) for side in full)
        if factor > 1:
            self._warn(
                f"{full[0]} × {full[1]} pixels are worked on as {self.width} × {self.height}; "
                "keypoints and camera are given for the full size, the overlay is drawn at the smaller one"
            )

    def _warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)
            log.warning("%s: %s", self.path, message)


def open_media(path: str | os.PathLike[str]) -> Media:
    """Open a photo or video by its content (moving GIF and PNG are videos).

    Raises MediaError in one line if it is missing, an address, a folder, a device, neither picture nor video, damaged
    from the start, under 16 pixels a side, or above 400 megapixels (71 for a video).
    """
    check_local_file(path)
    path = Path(path)
    return Photo(path) if is_picture(path) else Video(path)


def check_local_file(path: str | os.PathLike[str]) -> None:
    """Raises MediaError unless ``path`` is an ordinary file on this machine that holds something."""
    text, path = os.fspath(path), Path(path)
    try:
        if path.is_dir():
            raise MediaError(
                f"{path}: a folder; pass its files, or open_pictures(files, fps) for one video of pictures"
            )
        if path.is_file():
            if path.stat().st_size == 0:
                raise MediaError(f"{path}: the file is empty")
            with path.open("rb"):
                return
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text):
            raise MediaError(f"{text}: an address; monocap reads files on this machine, download it first")
        if path.exists():
            raise MediaError(f"{path}: a device or pipe; expected an ordinary file, save the recording to one first")
    except (OSError, ValueError) as error:  # no right to read it, a name too long, a null byte
        if isinstance(error, MediaError):
            raise
        raise MediaError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    raise MediaError(f"{path}: no such file")


class Photo(Media):
    """One still picture; its pixels are kept, since opening must decode them anyway."""

    kind = "image"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._picture = read_picture(path, WORKING_PIXELS)
        self._set_size(self._picture.full_size, self._picture.factor)
        self.focal_px, self.lens = self._picture.focal_px, self._picture.lens
        self.frame_count, self.duration = 1, 0.0

    def frames(self, start: int = 0) -> Iterator[Frame]:
        if start == 0:
            yield Frame(self._picture.image)


def open_pictures(paths: Sequence[str | os.PathLike[str]], fps: float) -> Media:
    """Pictures of one size, in the given order, as one video of ``fps`` frames per second.

    Raises InputError without pictures or for an impossible fps, MediaError while iterating if one is unreadable or of
    another size than the first.
    """
    low, high = _RATES
    if not paths or not low <= fps <= high:
        raise InputError(
            f"{len(paths)} pictures at {fps} frames per second; expected at least one, and fps from {low} to {high:.0f}"
        )
    return _Pictures([Path(p) for p in paths], fps)


class _Pictures(Media):
    kind = "video"

    def __init__(self, paths: list[Path], fps: float) -> None:
        super().__init__(paths[0].absolute().parent)
        first = read_picture(paths[0], WORKING_PIXELS)
        self.files = paths
        self._set_size(first.full_size, first.factor)
        self.fps, self.focal_px, self.lens = float(fps), first.focal_px, first.lens
        self.frame_count, self.duration = len(paths), len(paths) / fps

    def frames(self, start: int = 0) -> Iterator[Frame]:
        for index, path in enumerate(self.files[start:], start):
            picture = read_picture(path, WORKING_PIXELS)
            if picture.full_size != self.full_size:
                width, height = self.full_size
                raise MediaError(
                    f"{path}: {picture.full_size[0]} × {picture.full_size[1]} pixels, but the first picture has "
                    f"{width} × {height}; capture pictures of different sizes separately (without fps)"
                )
            yield Frame(picture.image, index, index / self.fps)


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
                self._probe(container, _picture_track(container, path))
        except (av.error.FFmpegError, ValueError, OSError) as error:
            if isinstance(error, MediaError):
                raise
            reason = _reason(error)
            if isinstance(error, av.error.ArgumentError):  # what FFmpeg says of a kind off the whitelist
                reason = "perhaps a play list or a sound file"
            elif _is_mp4(path):
                reason = f"{reason}; an MP4 has its index at the end: was the recording or the copy cut off?"
            raise MediaError(f"{path}: neither a picture nor a video that can be read ({reason})") from error

    def _probe(self, container: Any, stream: av.VideoStream) -> None:
        if stream.codec_context.width * stream.codec_context.height > _MAX_VIDEO_PIXELS:
            raise MediaError(f"{self.path}: frames above {_MAX_VIDEO_PIXELS // 1_000_000} megapixels; make it smaller")
        frame = next((frame for frame in _frames(container, stream, [])), None)
        if frame is None:
            raise MediaError(f"{self.path}: not one frame can be decoded; the file is damaged or empty")
        self._turn = _display_matrix(frame)
        self._coded = (frame.width, frame.height)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        if not Fraction(1, 10) < aspect < 10:
            aspect = Fraction(1)
        size = (max(1, round(frame.width * aspect)), frame.height)  # square pixels
        upright = size if self._turn[0, 0] else (size[1], size[0])
        if upright[0] * upright[1] > MAX_PIXELS:
            raise MediaError(f"{self.path}: {upright[0]} × {upright[1]} pixels; make it smaller first")
        factor = shrink_factor(*upright, WORKING_PIXELS)
        self._set_size(upright, factor)
        self._size = (-(-size[0] // factor), -(-size[1] // factor))
        self._set_length(container, stream)

    def _set_length(self, container: Any, stream: av.VideoStream) -> None:
        """Rate, duration and number of frames, as far as the file's claims make sense."""
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        if stream.duration and stream.time_base:
            self.duration = float(stream.duration * stream.time_base)
        elif container.duration:
            self.duration = container.duration / av.time_base
        if self.duration is not None and not 0 < self.duration < _LONGEST:
            self.duration = None
        self._declared = stream.frames if 0 < stream.frames < _LONGEST * _RATES[1] else 0
        if not _RATES[0] <= rate <= _RATES[1]:
            self._warn("the file does not tell its frame rate; 25 frames per second are assumed")
            rate = 25.0
        elif not self._declared and self.duration:
            self.frame_count = max(1, round(self.duration * rate))
        self.frame_count = self._declared or self.frame_count
        self.fps = rate

    def frames(self, start: int = 0) -> Iterator[Frame]:
        damage: list[str] = []
        first: Fraction | None = None
        index, last = 0, -1.0
        with _container(self.path) as container:
            stream = _picture_track(container, self.path)
            for frame in _frames(container, stream, damage):
                time = last + 1 / self.fps if index else 0.0
                if frame.pts is not None and frame.time_base is not None:
                    stamp = frame.pts * frame.time_base
                    first = stamp if first is None else first
                    step = float(stamp - first) - last if index else 0.0
                    if -_BACK_STEP < step < _LONGEST_STEP:
                        # stamps that repeat are a writer's fault: time still goes on, if slowly
                        time = last + max(step, _LEAST_STEP) if index else 0.0
                    else:
                        self._warn("the time stamps jump; after a jump time goes on at the frame rate")
                        first = stamp - Fraction(time)
                if index >= start:
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
        image = frame.reformat(
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=space,
            interpolation="AREA" if width < frame.width else None,
        ).to_ndarray()
        turn = self._turn
        if not turn[0, 0]:
            image = image.swapaxes(0, 1)
        if turn[0].sum() < 0:
            image = image[:, ::-1]
        if turn[1].sum() < 0:
            image = image[::-1]
        return np.ascontiguousarray(image)


_UNSPECIFIED, _BT709 = 2, 1  # ISO/IEC 23091-2 matrix coefficients, as FFmpeg numbers them


# Containers that hold the film themselves. Play lists and scripts (HLS, DASH, concat, SDP, image patterns) name other
# files or addresses, sound formats bring a cover picture at most.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,flv,asf,ogg,gif,apng,h264,hevc,av1,obu,vc1,"
    "ivf,mjpeg,mxf,dv,nut,rm,yuv4mpegpipe,wtv,h263,h261,amv,nsv,swf,bink,smk,roq,fli,film_cpk,4xm,gxf,lvf,xmv"
)


def _container(path: Path) -> Any:
    # "file:" and the whitelists: neither a name like "a:b.mp4" nor a play list may reach for anything else
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": _CONTAINERS,
        "max_pixels": str(_MAX_VIDEO_PIXELS),  # for the decoders that look into the file while it is opened
    }
    try:
        return av.open(f"file:{path}", options=options, metadata_errors="ignore")
    except UnicodeEncodeError:
        raise MediaError(f"{path}: the name is no valid text; rename the file") from None


def _is_mp4(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(8)[4:] == b"ftyp"


def _picture_track(container: Any, path: Path) -> av.VideoStream:
    tracks = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not tracks:
        raise MediaError(f"{path}: holds no picture track; expected a video or a photo")
    tracks = [track for track in tracks if track.codec_context is not None]
    if not tracks:
        raise MediaError(f"{path}: its picture is coded in a way that is not read; convert it to H.264 in MP4")
    best = container.streams.best("video")
    return best if best in tracks else tracks[0]


def _frames(container: Any, stream: Any, damage: list[str]) -> Iterator[av.VideoFrame]:
    """Decoded frames; parts that fail are noted in ``damage`` and left out."""
    context = stream.codec_context
    context.thread_type = "AUTO" if context.width * context.height <= _BIG_PIXELS else "SLICE"
    context.options = {"max_pixels": str(_MAX_VIDEO_PIXELS)}
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
