"""Still pictures in and out: any kind to upright RGB uint8, the lens from EXIF, written whole or not at all.

Pillow decodes: it knows a picture's size before it unpacks a single pixel, so that a picture bomb is refused in time.
"""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from monocap.errors import InputError, MediaError
from monocap.files import replacing
from monocap.types import Array

MAX_PIXELS = 200_000_000  # the largest phone sensors; 600 MB of RGB
DIAGONAL_35MM = math.hypot(36.0, 24.0)
_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
_ALONE = {"MPO"}  # several pictures in one file, of which the first is the photo
_pillow_limit = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """A still picture: ``image`` (H,W,3) uint8 RGB, upright; ``focal_px`` focal length in its pixels, or None."""

    image: Array
    focal_px: float | None


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    """Pillow's image of a file with this module's size limit instead of Pillow's (a global, hence the lock)."""
    with _pillow_limit, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd EXIF blocks and the like; a picture that opens is used
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with Image.open(path) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise MediaError(
                        f"{path}: {width} × {height} pixels; at most {MAX_PIXELS // 1_000_000} megapixels are read, "
                        "make it smaller first"
                    )
                yield image
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            if isinstance(error, MediaError):
                raise
            raise MediaError(f"{path}: damaged or unreadable picture ({error})") from error
        finally:
            Image.MAX_IMAGE_PIXELS = before


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a still picture by its content (its name does not matter); moving GIF and PNG are not."""
    try:
        with _open(Path(path)) as image:
            return image.format in _ALONE or not getattr(image, "is_animated", False)
    except MediaError as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            return False
        raise


def read_picture(path: str | os.PathLike[str]) -> Picture:
    """Read a still picture upright (EXIF orientation applied) as RGB uint8, with the focal length that EXIF tells.

    Grey, palette, 16-bit, CMYK and transparent pictures become RGB; transparent parts become white.
    Raises MediaError if it is missing, damaged, no picture, or above 200 megapixels.
    """
    path = Path(path)
    if not path.is_file():
        raise MediaError(f"{path}: no such file")
    with _open(path) as image:
        focal = _focal(image)
        return Picture(_rgb(ImageOps.exif_transpose(image), path), focal)


def _rgb(image: Image.Image, path: Path) -> Array:
    if image.mode.startswith("I;16") or image.mode == "I":
        deep = np.asarray(image).astype(np.int64)
        if deep.min(initial=0) < 0 or deep.max(initial=0) > 65535:
            raise MediaError(f"{path}: 32-bit pixel values; expected a picture of at most 16 bits per channel")
        grey = np.round(deep / 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "F":
        raise MediaError(f"{path}: floating-point pixels; save it as PNG or JPEG first")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return np.array(image.convert("RGB"))


def _focal(image: Image.Image) -> float | None:
    """Focal length in pixels of the whole picture from EXIF, or None if it is absent or makes no sense.

    The 35 mm equivalent is defined on the diagonal (CIPA DCG-001); otherwise the true focal length with the density
    of the sensor's pixels. A picture whose shape is no longer the recorded one was cropped: its lens is unknown.
    """
    try:
        exif = image.getexif().get_ifd(0x8769)
        values = {name: _number(exif.get(tag)) for name, tag in _EXIF.items()}
    except Exception:  # EXIF blocks of strangers break in every way; without one the field of view is estimated
        return None
    width, height = image.size  # before turning, as the sensor's
    recorded_w, recorded_h = values["width"], values["height"]
    if recorded_w and recorded_h:
        ratio = (width * recorded_h) / (height * recorded_w)
        if not (0.98 < ratio < 1.02 or 0.98 < (height * recorded_h) / (width * recorded_w) < 1.02):
            return None
    focal = None
    if values["focal_35mm"]:
        focal = values["focal_35mm"] / DIAGONAL_35MM * math.hypot(width, height)
    elif values["focal_mm"] and values["density"] and recorded_w:
        unit_mm = {2: 25.4, 3: 10.0, 4: 1.0}.get(int(values["unit"] or 2), 25.4)
        focal = values["focal_mm"] * values["density"] / unit_mm * max(width, height) / max(recorded_w, recorded_h or 0)
    plausible = focal is not None and 0.15 < focal / max(width, height) < 60  # 5 mm fish-eye to 2000 mm telescope
    return focal if plausible else None


_EXIF = {"focal_35mm": 0xA405, "focal_mm": 0x920A, "density": 0xA20E, "unit": 0xA210, "width": 0xA002, "height": 0xA003}


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def write_image(path: str | os.PathLike[str], image: Any, quality: int = 92) -> None:
    """Write (H,W,3) uint8 RGB, (H,W,4) RGBA or (H,W) grey as PNG, JPEG or WebP (by the suffix).

    Raises InputError for another suffix or array, MediaError if it cannot be written.
    """
    path = Path(path)
    array = np.asarray(image)
    if path.suffix.lower() not in _IMAGE_SUFFIXES:
        raise InputError(f"{path}: pictures are written as {', '.join(sorted(_IMAGE_SUFFIXES))}; rename it")
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise InputError(f"image of shape {array.shape} {array.dtype}; expected (H, W, 3) uint8 RGB")
    if array.shape[-1] == 4 and array.ndim == 3 and path.suffix.lower() in (".jpg", ".jpeg"):
        raise InputError(f"{path}: JPEG has no transparency; write a .png or pass RGB")
    try:
        with replacing(path) as temporary:
            Image.fromarray(np.ascontiguousarray(array)).save(temporary, quality=quality)
    except OSError as error:
        raise MediaError(f"{path}: cannot be written ({error})") from error
