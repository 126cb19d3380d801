"""The camera of a source: calibrated (our JSON; OpenCV's YAML, XML, JSON; npz), or guessed from one of its frames."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from monocap.errors import InputError
from monocap.files import read_npz
from monocap.media.exif import Lens
from monocap.perception.field_of_view import TYPICAL, CameraGuess, guess_camera
from monocap.types import Array, Camera

_MAX_BYTES = 1_000_000
_MATRIX = ("K", "camera_matrix", "cameraMatrix", "mtx", "intrinsic_matrix", "intrinsics")
_WIDTH, _HEIGHT, _SIZE = ("width", "image_width"), ("height", "image_height"), ("image_size", "imageSize", "resolution")
_DISTORTION = ("distortion_coefficients", "dist_coeffs", "distCoeffs", "dist", "distortion", "D")
_EXAMPLE = 'expected {"fx": …, "fy": …, "cx": …, "cy": …, "width": …, "height": …} or "K" with width and height'


def read_camera(path: str | os.PathLike[str]) -> tuple[Camera, bool]:
    """The pinhole camera of a calibration file, pixels, and whether the file also tells of lens distortion.

    Read are JSON with fx, fy, cx, cy, width, height, or with K (3,3) instead; OpenCV's YAML, XML and JSON
    (camera_matrix, image_width, image_height); npz with such arrays. Distortion is not applied.

    Raises InputError if the file is none of them, or holds no possible camera.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a camera calibration")
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"{path}: {path.stat().st_size} bytes; a camera calibration has a few hundred")
    values = read_npz(path, max_bytes=_MAX_BYTES) if path.suffix.lower() == ".npz" else _read_text(path)
    try:
        camera = _camera(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: no usable camera ({error}); {_EXAMPLE}") from error
    distortion = _first(values, _DISTORTION)
    return camera, distortion is not None and bool(np.any(np.asarray(distortion, dtype=float) != 0))


def guessed_camera(image: Array, size: tuple[int, int], lens: Lens | None = None) -> tuple[Camera, CameraGuess, str]:
    """The pinhole camera of a source of ``size`` (w, h) px from one of its frames (H,W,3), perhaps smaller, and from
    what EXIF says of its ``lens``; the guess behind it, in pixels of that size; and a line for the user."""
    width, height = size
    guess = guess_camera(image, lens, max(size))
    whole = guess.scaled(max(size) / max(image.shape[:2]))
    camera = Camera(whole.focal, whole.focal, (width - 1) / 2, (height - 1) / 2, width, height)
    return camera, whole, about_guess(whole)


def about_guess(guess: CameraGuess) -> str:
    """What the user should know of a guessed focal length, in pixels of the full size."""
    if guess.source == TYPICAL:
        return f"focal length unknown, {guess.focal:.0f} px assumed; give --focal or --fov for truer depth"
    return (
        f"focal length {guess.focal:.0f} px from {guess.source}, give or take {math.expm1(guess.log_sigma):.0%}; "
        "give --focal or --fov if you know better"
    )


def _camera(values: Mapping[str, Any]) -> Camera:
    size = _first(values, _SIZE)
    width, height = _first(values, _WIDTH), _first(values, _HEIGHT)
    if size is not None and width is None and height is None:
        width, height = (float(v) for v in np.asarray(size).reshape(2))
    matrix = _first(values, _MATRIX)
    if matrix is None:
        numbers = [float(values[key]) if key in values else math.nan for key in ("fx", "fy", "cx", "cy")]
    else:
        K = np.asarray(matrix, dtype=float).reshape(3, 3)
        numbers = [float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])]
    if width is None or height is None:
        raise ValueError("width and height are missing")
    w, h = float(width), float(height)
    if not all(map(math.isfinite, [*numbers, w, h])):
        raise ValueError("a number is missing, or is none")
    fx, fy, cx, cy = numbers
    if min(fx, fy, w, h) <= 0 or max(fx, fy) > 1000 * max(w, h) or not (-w < cx < 2 * w and -h < cy < 2 * h):
        raise ValueError(f"fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g} do not fit a picture of {w:g} × {h:g}")
    return Camera(fx, fy, cx, cy, round(w), round(h))


def _first(values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((values[name] for name in names if name in values), None)


def _read_text(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        values = _read_opencv(path)
    if not isinstance(values, dict):
        raise InputError(f"{path}: no camera calibration; {_EXAMPLE}")
    matrices = {key: value["data"] for key, value in values.items() if isinstance(value, dict) and "data" in value}
    return {**values, **matrices}  # OpenCV's JSON keeps a matrix as rows, cols, dt, data


def _read_opencv(path: Path) -> dict[str, Any]:
    names = (*_MATRIX, *_WIDTH, *_HEIGHT, *_SIZE, *_DISTORTION, "fx", "fy", "cx", "cy")
    values: dict[str, Any] = {}
    try:
        storage = cv2.FileStorage(os.fspath(path), cv2.FILE_STORAGE_READ)
        for name in names:
            node = storage.getNode(name)
            if node.empty() or node.isNone():
                continue
            if node.isReal() or node.isInt():
                values[name] = node.real()
            elif node.isMap():
                values[name] = node.mat()
            elif node.isSeq():
                values[name] = [node.at(i).real() for i in range(node.size())]
        storage.release()
    except (cv2.error, SystemError) as error:
        raise InputError(f"{path}: neither JSON nor OpenCV's YAML or XML; {_EXAMPLE}") from error
    return values
