"""The captured picture as any browser shows it: small, H.264 or JPEG, upright, each frame at the motion's own time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from monocap.errors import InputError
from monocap.media.pictures import write_image
from monocap.media.readers import Media
from monocap.media.writers import VideoWriter
from monocap.types import Array, Motion

LONGER_SIDE = {"video": 960, "image": 1600}  # pixels
_CRF = 26


def write_preview(
    path: Path, motion: Motion, media: Media, progress: Callable[[int, int], None] = lambda done, total: None
) -> Path:
    """Write ``PATH.mp4`` or, of a photo, ``PATH.jpg``; returns its path.

    Raises InputError if the media has another shape than the motion's pictures, MediaError if it cannot be decoded.
    """
    width, height = (int(v) for v in motion.image_size)
    if abs(media.width / media.height - width / height) > 0.02:
        raise InputError(
            f"{media.path}: {media.width} × {media.height} pixels, but the motion was captured from {width} × {height};"
            " give the file it was captured from"
        )
    if (media.kind == "image") != (motion.frames == 1):
        raise InputError(f"{media.path}: {media.kind} for a motion of {motion.frames} frames; give its own source")
    scale = min(1.0, LONGER_SIDE[media.kind] / max(media.width, media.height))
    size = (max(round(media.width * scale), 2) // 2 * 2, max(round(media.height * scale), 2) // 2 * 2)
    frames = iter(media)
    if media.kind == "image":
        target = path.with_suffix(".jpg")
        write_image(target, _resized(next(frames).image, size), quality=85)
        return target
    target = path.with_suffix(".mp4")
    with VideoWriter(target, motion.fps, size, crf=_CRF) as writer:
        for t in range(motion.frames):
            frame = next(frames, None)
            if frame is None:
                break
            writer.write(_resized(frame.image, size), float(motion.time[t]))
            progress(t + 1, motion.frames)
    return target


def _resized(image: Array, size: tuple[int, int]) -> Array:
    smaller = size[0] < image.shape[1]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR))
