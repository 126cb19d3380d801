"""Video written as every player reads it: H.264 in MP4, 4:2:0, with the frames' own times, whole or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.error
import numpy as np

from monocap.errors import InputError, MediaError
from monocap.files import replacing

_TICKS = 90_000  # per second: the MPEG clock, which common frame rates divide
_BT709 = 1
_DISK = {errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS}  # no room, or no disk


class VideoWriter:
    """Context manager that writes RGB frames to an MP4; the file appears when the block ends without an error.

    ``path`` ending in .mp4, ``fps`` frames per second (for frames without a time of their own), ``size`` (width,
    height) pixels of the frames. Odd sizes get one more column or row (a copy of the last), as 4:2:0 demands. ``crf``
    is x264's quality, lower is better.

    Raises InputError for bad arguments or frames, MediaError if nothing was written or the encoder fails, OSError if
    the disk is full or gone.
    """

    def __init__(self, path: str | os.PathLike[str], fps: float, size: tuple[int, int], *, crf: int = 20) -> None:
        self.path = Path(path)
        width, height = (int(v) for v in size)
        if self.path.suffix.lower() != ".mp4":
            raise InputError(f"{path}: videos are written as .mp4; rename it")
        if not (np.isfinite(fps) and fps > 0) or width < 1 or height < 1:
            raise InputError(f"fps {fps}, size {size}; expected both above 0")
        self.fps, self.size, self.crf = float(fps), (width, height), crf
        self.frames = 0
        self._last = -1
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> Self:
        temporary = self._stack.enter_context(replacing(self.path))
        try:
            self._container = av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"})
            self._stream = self._container.add_stream("libx264", rate=Fraction(self.fps).limit_denominator(1001))
            stream = self._stream
            stream.width, stream.height = self.size[0] + self.size[0] % 2, self.size[1] + self.size[1] % 2
            stream.pix_fmt = "yuv420p"
            stream.options = {
                "crf": str(self.crf),
                "preset": "veryfast",
                "bf": "0",
            }  # no reordering: durations stay true
            stream.codec_context.time_base = Fraction(1, _TICKS)
            for tag in ("colorspace", "color_primaries", "color_trc"):
                setattr(stream.codec_context, tag, _BT709)
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def write(self, image: Any, time: float | None = None) -> None:
        """Append one frame (H,W,3) uint8 RGB; ``time`` in seconds, above the last frame's; by default frames / fps."""
        image = np.asarray(image)
        width, height = self.size
        if image.shape != (height, width, 3) or image.dtype != np.uint8:
            raise InputError(f"frame of shape {image.shape} {image.dtype}; expected ({height}, {width}, 3) uint8 RGB")
        if self._container is None:
            raise InputError("the writer is closed; write inside its `with` block")
        ticks = round((self.frames / self.fps if time is None else float(time)) * _TICKS)
        if ticks <= self._last:
            raise InputError(f"frame {self.frames} at {time} s does not come after the last one; times must grow")
        if width % 2 or height % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=_BT709)
        frame.pts, frame.time_base = ticks, Fraction(1, _TICKS)
        self._encode(self._container, frame)
        self._last = ticks
        self.frames += 1

    def _encode(self, container: Any, frame: Any) -> None:
        try:
            container.mux(self._stream.encode(frame))
        except av.error.FFmpegError as error:
            if error.errno in _DISK:
                raise OSError(error.errno, error.strerror, str(self.path)) from error
            raise MediaError(f"{self.path}: cannot be encoded ({error.strerror})") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        container, self._container = self._container, None
        with self._stack:  # drops the temporary file if what follows raises, or what went before did
            try:
                if kind is None:
                    if self.frames == 0:
                        raise MediaError(f"{self.path}: no frame was written, so there is no video")
                    self._encode(container, None)
            finally:
                if container is not None:
                    container.close()
            if error is not None:
                raise error
