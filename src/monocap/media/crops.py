"""The only pre-processing: which part of a picture a network sees, and how its answers come back.

One pixel convention: a coordinate is measured from the centre of the first pixel, so a picture of width W covers
x from -0.5 to W - 0.5. Networks whose outputs count from the *edge* of the first pixel (0 to W) are half a pixel
away; their readers subtract it. A matrix is (2,3) and maps picture to crop:
``crop = matrix[:, :2] @ xy + matrix[:, 2]`` (`transform_points`). The matrices of `monocap.geometry.crops` keep to
the regression papers' convention instead: their crops span 0 to the resolution.
"""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from monocap.errors import InputError
from monocap.geometry.crops import transform_points

__all__ = [
    "check_image",
    "invert",
    "letterbox_matrix",
    "scale_of",
    "square_matrix",
    "transform_points",
    "unwarp",
    "warp",
]

Array = NDArray[Any]

Shrink = Literal["area", "gaussian", "none"]

_MIN_SIZE = 1e-3  # pixels; a smaller region is a mistake of the caller


def check_image(image: Array) -> Array:
    """``image`` itself if it is (H,W,3) uint8 with at least one pixel, else InputError."""
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"expected an RGB picture as a uint8 array (height, width, 3), got {got}")
    if 0 in image.shape:
        raise InputError(f"the picture is empty: shape {image.shape}")
    return image


def square_matrix(center: Array, size: float, rotation: float, out_size: int) -> Array:
    """(2,3) matrix of the square of side ``size`` around ``center``, seen upright in ``out_size²`` pixels.

    ``center`` (2,) and ``size`` in picture pixels, edge to edge; ``rotation`` in radians, clockwise as seen in the
    picture: the square's own x axis points to (cos, sin) in the picture.
    """
    if not np.isfinite([*center, size, rotation]).all() or size < _MIN_SIZE or out_size < 1:
        raise InputError(f"no such crop: center {center}, size {size}, rotation {rotation}, out_size {out_size}")
    scale = out_size / size
    c, s = scale * np.cos(rotation), scale * np.sin(rotation)
    linear = np.array([[c, s], [-s, c]])
    middle = np.full(2, (out_size - 1) / 2)
    return np.column_stack([linear, middle - linear @ np.asarray(center, float)])


def letterbox_matrix(width: int, height: int, out_width: int, out_height: int) -> Array:
    """(2,3) matrix that fits a whole picture into ``out_width × out_height``, centred, aspect kept."""
    if min(width, height, out_width, out_height) < 1:
        raise InputError(f"cannot fit a {width}×{height} picture into {out_width}×{out_height}")
    scale = min(out_width / width, out_height / height)
    middle_in = np.array([(width - 1) / 2, (height - 1) / 2])
    middle_out = np.array([(out_width - 1) / 2, (out_height - 1) / 2])
    return np.column_stack([scale * np.eye(2), middle_out - scale * middle_in])


def invert(matrix: Array) -> Array:
    """The (2,3) matrix of the way back. Raises InputError if there is none."""
    linear = np.asarray(matrix, float)[:, :2]
    if not np.isfinite(matrix).all() or abs(np.linalg.det(linear)) < 1e-12:
        raise InputError(f"the crop matrix {np.asarray(matrix).tolist()} cannot be inverted")
    back = np.linalg.inv(linear)
    return np.column_stack([back, -back @ np.asarray(matrix, float)[:, 2]])


def scale_of(matrix: Array) -> float:
    """Crop pixels per picture pixel (geometric mean of both axes)."""
    return float(np.sqrt(abs(np.linalg.det(np.asarray(matrix, float)[:, :2]))))


def warp(
    image: Array, matrix: Array, out_width: int, out_height: int, border: int | None = 0, shrink: Shrink = "area"
) -> Array:
    """Resample a picture (H,W) or (H,W,C) through ``matrix`` to (out_height, out_width[, C]), same dtype.

    Outside of the picture the crop is ``border``; None repeats the picture's edge. Shrinking averages over the
    source pixels first, so that fine texture does not turn into noise; ``shrink`` "gaussian" blurs instead, as
    HMR 2.0 does (σ = (ratio/2 − 1)/2 where the ratio is above 2.2), "none" only samples.
    """
    mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
    fill = (border or 0,) * 4
    matrix = np.asarray(matrix, float)
    if shrink == "area":
        image, matrix = _shrink(image, matrix, out_width, out_height)
    elif shrink == "gaussian" and (half := 0.5 / max(scale_of(matrix), 1e-6)) > 1.1:
        image = cv2.GaussianBlur(image, (0, 0), (half - 1) / 2, borderType=cv2.BORDER_REPLICATE)
    return cv2.warpAffine(
        image, matrix, (out_width, out_height), flags=cv2.INTER_LINEAR, borderMode=mode, borderValue=fill
    )


def unwarp(crop: Array, matrix: Array, width: int, height: int) -> Array:
    """Bring a crop's map (h,w[,C]) back on the whole picture (height, width[, C]); zero where the crop did not look."""
    return warp(crop, invert(matrix), width, height, border=0)


def _shrink(image: Array, matrix: Array, out_width: int, out_height: int) -> tuple[Array, Array]:
    """Cut out what the crop sees and, where it is shrunk by two or more, average blocks of whole pixels beforehand."""
    factor = int(1 / max(scale_of(matrix), 1e-6))
    if factor < 2:
        return image, matrix
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [out_width, 0], [0, out_height], [out_width, out_height]]) - 0.5
    seen = transform_points(invert(matrix), corners)
    low = np.clip(np.floor(seen.min(0)).astype(int) - factor, 0, [width, height])
    high = np.clip(np.ceil(seen.max(0)).astype(int) + factor + 1, 0, [width, height])
    blocks = (high - low) // factor
    if blocks.min() < 2:  # nothing to average, or outside of the picture
        return image, matrix
    # a rest of fewer than `factor` pixels would make blocks of unequal size; extend where the picture has more
    high = np.minimum(low + (blocks + 1) * factor, [width, height])
    blocks = (high - low) // factor
    high = low + blocks * factor
    part = image[low[1] : high[1], low[0] : high[0]]
    small = cv2.resize(part, (int(blocks[0]), int(blocks[1])), interpolation=cv2.INTER_AREA)
    # pixel i of `small` is centred at low + factor * i + (factor - 1) / 2
    enlarge = np.column_stack([factor * np.eye(2), low + (factor - 1) / 2])
    linear = matrix[:, :2] @ enlarge[:, :2]
    return small, np.column_stack([linear, matrix[:, :2] @ enlarge[:, 2] + matrix[:, 2]])
