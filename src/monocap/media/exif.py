"""The lens of a photograph from its EXIF block: a focal length in pixels, and how far it is to be believed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from PIL import Image

DIAGONAL_35MM = math.hypot(36.0, 24.0)

# Standard deviations of ln f. Equivalents are rounded to millimetres and by some makers taken along the width, which
# moves 4:3 pictures by 4 %; densities of the sensor's pixels are often of the thumbnail's or a rounded sensor size.
EQUIVALENT_SIGMA, DENSITY_SIGMA = 0.04, 0.06
_SURE = 0.1  # above, the focal length is a guess among several histories of the picture
_SAME_SHAPE = 0.02
_TAGS = {
    "focal_35mm": 0xA405, "focal_mm": 0x920A, "density": 0xA20E, "unit": 0xA210, "width": 0xA002, "height": 0xA003,
    "zoom": 0xA404,
}  # fmt: skip


@dataclass(frozen=True)
class Lens:
    """``focal`` in pixels of the whole stored picture; ``log_sigma``: standard deviation of ln f; ``words``: from what.

    ``cropped``: the picture is a part of what was taken, so that its middle is not where the lens looked.
    """

    focal: float
    log_sigma: float
    words: str
    cropped: bool = False

    @property
    def sure(self) -> bool:
        """Whether it may be used as it is."""
        return self.log_sigma < _SURE


def lens_of(image: Image.Image) -> Lens | None:
    """The lens of a picture as stored, before EXIF's turn, or None if EXIF is silent or makes no sense.

    The 35 mm equivalent is defined on the diagonal (CIPA DCG-001); otherwise the true focal length with the density of
    the sensor's pixels. A picture whose shape is no longer the recorded one was cropped. How much smaller it was made
    too, nobody wrote down: between not at all, and so much that one side was kept whole.
    """
    try:
        block = image.getexif().get_ifd(0x8769)
        told = {name: _number(block.get(tag)) for name, tag in _TAGS.items()}
    except Exception:  # EXIF blocks of strangers break in every way; without one the field of view is estimated
        return None
    width, height = image.size
    recorded = (told["width"], told["height"]) if told["width"] and told["height"] else None
    low, high = 1.0, 1.0  # the picture's pixels per recorded one
    cropped = False
    if recorded is None:
        taken: tuple[float, float] = (width, height)
    else:
        taken = _upright(recorded, width, height)
        least = max(width / taken[0], height / taken[1])
        cropped = abs(width * taken[1] / (height * taken[0]) - 1) > _SAME_SHAPE
        low, high = least, (max(1.0, least) if cropped else least)
    if told["focal_35mm"]:
        focal = told["focal_35mm"] / DIAGONAL_35MM * math.hypot(*taken)
        sigma, words = EQUIVALENT_SIGMA, f"EXIF, {told['focal_35mm']:.4g} mm equivalent"
        if told["zoom"] and told["zoom"] > 1:  # most makers' equivalent includes the digital zoom, some do not
            sigma += math.log(told["zoom"]) / 3
    elif told["focal_mm"] and told["density"] and recorded is not None:
        unit = {2: 25.4, 3: 10.0, 4: 1.0}.get(int(told["unit"] or 2), 25.4)
        focal = told["focal_mm"] * told["density"] / unit
        sigma, words = DENSITY_SIGMA, f"EXIF, {told['focal_mm']:.4g} mm on a sensor of known pixels"
    else:
        return None
    focal *= math.sqrt(low * high)
    if not 0.15 < focal / max(width, height) < 60:  # 5 mm fish-eye to 2000 mm telescope
        return None
    sigma = math.hypot(sigma, math.log(high / low) / math.sqrt(12))  # that of equal chances between the ends
    return Lens(focal, sigma, words + (", cropped" if cropped else ""), cropped)


def _upright(recorded: tuple[float, float], width: int, height: int) -> tuple[float, float]:
    """Recorded width and height, swapped if only so the picture has their shape (programs that turned the pixels)."""
    w, h = recorded
    straight, turned = abs(math.log(width * h / (height * w))), abs(math.log(width * w / (height * h)))
    return (h, w) if turned < math.log1p(_SAME_SHAPE) < straight else (w, h)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None
