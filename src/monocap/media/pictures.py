"""Still pictures in and out: any kind to upright RGB uint8, the lens from EXIF, written whole or not at all.

Pillow decodes: it knows a picture's size before it unpacks a single pixel, so that a picture bomb is refused in time.
"""

from __future__ import annotations

import math
import os
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from monocap.errors import InputError, MediaError
from monocap.files import replacing
from monocap.media.exif import Lens, lens_of
from monocap.types import Array

MAX_PIXELS = 400_000_000  # 20,000 × 20,000
WORKING_PIXELS = 13_000_000  # what capture works on; a body drawn over 25 million would take 2 GB
_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
# Formats with a decoder inside Pillow's wheel (JPEG opens MPO too); others start programs (EPS) or take any file (TGA).
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "JPEG2000", "PPM")
_MOVING = {"GIF", "PNG", "WEBP", "AVIF"}  # several frames are a film there; elsewhere they are pages or previews
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}
# Memory while decoding, bytes per pixel, and what a capture may spend on it. As seen on 25 megapixels; a TIFF that is
# one strip is held twice. The others take what Pillow's own pixels take, see `_check_size`.
_DECODER_BYTES = {"WEBP": 16, "AVIF": 10, "JPEG2000": 20, "TIFF": 8}
_DECODER_LIMIT = 1_650_000_000
_STRIP_PIXELS = 2_000_000
_pillow_limit = threading.Lock()
# What Pillow's readers raise on damaged files; every one of them was met, `tools/fuzz_capture.py`.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
_DAMAGE += (struct.error, ZeroDivisionError, NotImplementedError, RuntimeError, MemoryError, AssertionError)


@dataclass(frozen=True)
class Picture:
    """A still picture: ``image`` (H,W,3) uint8 RGB, upright; ``full_size`` width and height in the file, upright.

    ``lens``: what EXIF tells of it, in pixels of the full size. ``image`` is smaller than the full size if
    `read_picture` was told to make it so, by the whole number ``factor``, rounded up.
    """

    image: Array
    lens: Lens | None
    full_size: tuple[int, int]
    factor: int = 1

    @property
    def focal_px(self) -> float | None:
        """Focal length in pixels of the full size where EXIF is sure of it, or None."""
        return self.lens.focal if self.lens is not None and self.lens.sure else None


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    """Pillow's image of a file with this module's size limit instead of Pillow's (a global, hence the lock)."""
    with _pillow_limit, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd EXIF blocks and the like; a picture that opens is used
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with Image.open(path, formats=_FORMATS) as image:
                _check_size(path, image)
                yield image
        except _DAMAGE as error:
            if isinstance(error, MediaError):
                raise
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise MediaError(f"{path}: damaged or unreadable picture ({reason})") from error
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _check_size(path: Path, image: Image.Image) -> None:
    """Refuse, before a pixel is unpacked, what would take too much memory."""
    width, height = image.size
    pixels, kind = width * height, image.format or ""
    if pixels > MAX_PIXELS:
        raise MediaError(
            f"{path}: {width} × {height} pixels; at most {MAX_PIXELS // 1_000_000} megapixels are read, "
            "make it smaller first"
        )
    if kind in ("JPEG", "MPO"):
        # shrunk while decoding, unless it is progressive: then all coefficients are kept, 16 bits each
        cost = _coefficients(image) * 2 if image.info.get("progressive") else 0.5
    else:
        cost = _DECODER_BYTES.get(kind, {"1": 1, "L": 1, "P": 1, "I;16": 2}.get(image.mode, 4))
    if pixels * cost > _DECODER_LIMIT:
        kind = "progressive JPEG" if kind in ("JPEG", "MPO") else kind
        raise MediaError(
            f"{path}: {width} × {height} pixels; {kind} files are read up to "
            f"{_DECODER_LIMIT / cost / 1e6:.0f} megapixels, save it as plain JPEG or make it smaller"
        )


def _coefficients(image: Image.Image) -> float:
    """Coefficients per pixel of a JPEG: 1 for grey, 1.5 for the usual halved colour, 3 for full colour."""
    layers: Any = getattr(image, "layer", None) or [(0, 1, 1, 0)] * 4
    most = max(h for _, h, _, _ in layers) * max(v for _, _, v, _ in layers)
    return sum(h * v for _, h, v, _ in layers) / max(most, 1)


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a still picture by its content (its name does not matter); moving GIF and PNG are not.

    Raises MediaError for a picture that is damaged, too large, or of a kind that is not read (HEIC, moving WebP).
    """
    path = Path(path)
    with path.open("rb") as handle:
        head = handle.read(64)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS and b"avif" not in head:
        raise MediaError(f"{path}: HEIC pictures are not read; save it as JPEG or PNG first")
    try:
        with _open(path) as image:
            moving = image.format in _MOVING and getattr(image, "is_animated", False)
            if moving and image.format in ("WEBP", "AVIF"):
                raise MediaError(f"{path}: a moving {image.format}; convert it to MP4 or GIF first")
            return not moving
    except MediaError as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            return False
        raise


def read_picture(path: str | os.PathLike[str], most_pixels: int | None = None) -> Picture:
    """Read a still picture upright (EXIF orientation applied) as RGB uint8, with the lens that EXIF tells.

    Grey, palette, 16-bit, CMYK and transparent pictures become RGB; transparent parts become white. With more than
    ``most_pixels``, it is made smaller by a whole factor while it is decoded, so that a picture of 20,000 × 20,000
    takes less than 2 GB.

    Raises MediaError if it is missing, damaged, no picture, or above 400 megapixels.
    """
    path = Path(path)
    if not path.is_file():
        raise MediaError(f"{path}: no such file")
    with _open(path) as image:
        lens, full, factor = lens_of(image), image.size, 1
        if most_pixels is not None and (factor := shrink_factor(*full, most_pixels)) > 1:
            # a JPEG is decoded at 1/2, 1/4 or 1/8 for free
            image.draft(None, (max(full[0] // factor, 1), max(full[1] // factor, 1)))
            drafted = round(full[0] / image.size[0])
            factor = drafted * shrink_factor(*image.size, most_pixels)
            pixels = _pixels(image, path, factor // drafted)
        else:
            pixels = _pixels(image, path, 1)
        turn = _orientation(image)
    if turn >= 5:
        full = (full[1], full[0])
    return Picture(_turned(pixels, turn), lens, full, factor)


def picture_size(path: str | os.PathLike[str]) -> tuple[tuple[int, int], float | None]:
    """Upright width and height of a still picture, and the focal length in pixels that EXIF is sure of or None.

    Reads the file's head only, but for TIFF. Raises MediaError as `read_picture`.
    """
    path = Path(path)
    if not path.is_file():
        raise MediaError(f"{path}: no such file")
    with _open(path) as image:
        if image.format == "TIFF":  # turned while it is decoded
            image.load()
        lens, size, turn = lens_of(image), image.size, _orientation(image)
    focal = lens.focal if lens is not None and lens.sure else None
    return ((size[1], size[0]) if turn >= 5 else (size[0], size[1])), focal


def shrink_factor(width: int, height: int, most_pixels: int) -> int:
    """The least whole number by which both sides must be divided for at most ``most_pixels``."""
    return max(1, math.ceil(math.sqrt(width * height / most_pixels)))


def _pixels(image: Image.Image, path: Path, factor: int) -> Array:
    """RGB, smaller by ``factor``; converted strip by strip, so that nothing of the full size exists twice."""
    image.load()
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width // factor) * factor
    pixels = np.empty((-(-height // factor), -(-width // factor), 3), np.uint8)
    for top in range(0, height, rows):
        strip = _rgb(image.crop((0, top, width, min(top + rows, height))), path)
        if factor > 1:
            strip = np.asarray(Image.fromarray(strip).reduce(factor), np.uint8)
        pixels[top // factor : (top + rows) // factor] = strip
    return pixels


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1–8 of a decoded image (Pillow turns TIFF itself, and then says 1)."""
    try:
        value = image.getexif().get(0x0112)
    except Exception:  # EXIF blocks of strangers break in every way; without one the picture is upright
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _turned(image: Array, orientation: int) -> Array:
    """Upright pixels; EXIF 2.32, tag 0x0112: 2–4 are mirrored, upside down; 5–8 the same after swapping axes."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)


def _rgb(image: Image.Image, path: Path) -> Array:
    if image.mode.startswith("I;16") or image.mode == "I":
        deep = np.asarray(image).astype(np.int32, copy=False)
        if deep.min(initial=0) < 0 or deep.max(initial=0) > 65535:
            raise MediaError(f"{path}: 32-bit pixel values; expected a picture of at most 16 bits per channel")
        grey = np.round(deep / np.float32(257)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "F":
        raise MediaError(f"{path}: floating-point pixels; save it as PNG or JPEG first")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return np.array(image.convert("RGB"))


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
