"""Tiny videos made with PyAV directly (not with the writer under test)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from monocap.types import Array


def clip(count: int = 8, height: int = 48, width: int = 64) -> list[Array]:
    """Frames with a white corner top left, and a brightness that tells their number."""
    frames = []
    for i in range(count):
        image = np.full((height, width, 3), 40 + 20 * i, np.uint8)
        image[: height // 3, : width // 3] = 255
        frames.append(image)
    return frames


def make(
    path: Path,
    frames: Sequence[Array],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 1000),
    rate: int = 25,
    turn: float | None = None,
    mirror: tuple[bool, bool] | None = None,
    aspect: Fraction | None = None,
    source: str = "rgb24",
    file_options: dict[str, str] | None = None,
    tags: dict[str, int] | None = None,
) -> Path:
    with av.open(str(path), "w", options=file_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2] if source == "rgb24" else frames[0].shape[1:]  # or planes
        stream.pix_fmt = pixels
        stream.codec_context.time_base = time_base
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if turn is not None or mirror is not None:
            stream.set_display_rotation(turn or 0.0, *(mirror or (False, False)))
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, source)
            if source != pixels:
                frame = frame.reformat(format=pixels, dst_colorspace=(tags or {}).get("colorspace"))
            frame.pts = round(i / rate / time_base) if pts is None else pts[i]
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
