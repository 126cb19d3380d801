"""The public functions `monocap.capture` and `monocap.capture_image`."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monocap.errors import InputError
from monocap.media.readers import open_media
from monocap.pipeline.clock import Progress, silent
from monocap.pipeline.engine import CaptureEngine
from monocap.pipeline.settings import CaptureSettings
from monocap.types import Motion


def capture(
    source: str | os.PathLike[str],
    settings: CaptureSettings | None = None,
    *,
    progress: Progress = silent,
    **options: Any,
) -> Motion:
    """Capture a photo or video file.

    ``options`` are the fields of `CaptureSettings` (``preset="fast"``, ``height=1.8``, …), instead of ``settings``.
    ``progress(stage, done, total)`` is called as frames are done. Nobody found is no error: ``motion.people`` is 0.

    Raises MediaError if the file cannot be read, InputError for bad options.
    """
    chosen = _settings(settings, options)
    media = open_media(source)  # first: a very large picture is decoded before networks take memory
    return CaptureEngine(chosen).capture(media, progress)


def capture_image(
    image: NDArray[np.uint8] | str | os.PathLike[str], settings: CaptureSettings | None = None, **options: Any
) -> Motion:
    """Capture one picture: a path, or an array (H,W,3) uint8 RGB. See `capture`.

    Raises InputError if a path holds a video, or the array is not RGB uint8.
    """
    engine = CaptureEngine(_settings(settings, options))
    if isinstance(image, (str, os.PathLike)):
        media = open_media(image)
        if media.kind != "image":
            raise InputError(f"{image}: a video; use monocap.capture for it")
        return engine.capture(media)
    return engine.capture_pixels(np.asarray(image))


def _settings(settings: CaptureSettings | None, options: dict[str, Any]) -> CaptureSettings:
    if settings is not None and options:
        raise InputError(f"both settings and {', '.join(options)} are given; expected one or the other")
    try:
        return settings or CaptureSettings(**options)
    except TypeError as error:
        names = ", ".join(CaptureSettings.__dataclass_fields__)
        raise InputError(f"{error}; the options of capture are {names}") from None
