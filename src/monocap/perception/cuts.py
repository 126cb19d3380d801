"""Camera cuts: from one frame to the next everything is elsewhere, and where people were says nothing any more."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_SIZE = (32, 18)  # pixels; smaller than anything that moves, larger than noise
_RELATED = 0.5  # correlation; neighbouring frames have 0.9 and more, a picture turned dark or bright too
_PLAIN = 2.0  # grey levels of deviation below which a picture shows nothing to compare


def thumbnail(image_rgb: Array) -> Array:
    """(18,32,3) float32 of a picture (H,W,3) uint8: what `is_cut` compares."""
    step = max(1, min(image_rgb.shape[0] // 72, image_rgb.shape[1] // 128))  # 4 × 4 samples a cell are plenty
    return cv2.resize(image_rgb[::step, ::step], _SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)


def is_cut(before: Array, after: Array) -> bool:
    """Whether two thumbnails show different scenes. A change of brightness or contrast alone is no cut."""
    first, second = (thumb.astype(float) - thumb.mean((0, 1)) for thumb in (before, after))
    plain = first.std() < _PLAIN, second.std() < _PLAIN
    if any(plain):
        return not all(plain)
    return bool((first * second).sum() < _RELATED * np.linalg.norm(first) * np.linalg.norm(second))
