"""Which square of a picture does each family of networks see, and in which numbers? The papers' conventions as data.

Sources: the official code of HMR, SPIN, VIBE, SMPLer, CLIFF, HMR 2.0, TokenHMR and CameraHMR, as described in their
papers and checked against numbers made by running it (tests/geometry, tests/data).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from monocap.data.sample import Sample
from monocap.errors import InputError
from monocap.geometry.crops import crop_matrix, square_box
from monocap.media.crops import Shrink, check_image, warp
from monocap.types import Array

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class CropFamily:
    """How a family looks at a person.

    The person's box is grown to ``aspect`` (w, h), its longer side times ``margin`` is the side of a square, which
    becomes ``resolution``² pixels, of which the columns ``columns`` (from, to) are shown. ``border``: what lies
    outside of the picture, None repeats its edge. ``shrink`` as in `monocap.media.crops.warp`. Pixels / 255 minus
    ``mean`` over ``deviation`` is what the network gets, its channels in the order ``channels``.
    """

    name: str
    resolution: int
    columns: tuple[int, int]
    aspect: tuple[float, float]
    margin: float
    border: int | None = 0
    shrink: Shrink = "area"
    mean: tuple[float, float, float] = _IMAGENET[0]
    deviation: tuple[float, float, float] = _IMAGENET[1]
    channels: Literal["rgb", "bgr"] = "rgb"

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) of what the network gets."""
        return self.resolution, self.columns[1] - self.columns[0]

    def square(self, box: Array) -> tuple[Array, float]:
        """Centre (2,) and side in picture pixels for a tight box (4,) x0, y0, x1, y1."""
        center, size = square_box(np.asarray(box, dtype=np.float64), self.aspect, self.margin)
        return center, float(size)

    def matrix(self, center: Array, size: float, rotation: float = 0.0) -> Array:
        """(3,3) map of picture pixels to pixels of what the network gets; ``rotation`` as in `crop_matrix`."""
        if not (np.isfinite([*center, size, rotation]).all() and size > 0):
            raise InputError(f"no such crop: center {list(center)}, size {size}, rotation {rotation}")
        matrix = crop_matrix(np.asarray(center, dtype=np.float64), size, self.resolution, rotation)
        matrix[0, 2] -= self.columns[0]
        return matrix

    def look(self, image: Array, matrix: Array) -> Array:
        """(h,w,3) uint8: the picture through ``matrix`` (of `matrix`)."""
        height, width = self.shape
        return warp(check_image(image), matrix[:2], width, height, self.border, self.shrink)

    def normalise(self, crop: Array) -> Array:
        """(3,h,w) float32: what the network is given for a crop (h,w,3) uint8."""
        mean, deviation = np.asarray(self.mean, np.float32), np.asarray(self.deviation, np.float32)
        value = (crop.astype(np.float32) / 255 - mean) / deviation
        value = value[..., ::-1] if self.channels == "bgr" else value
        return np.ascontiguousarray(np.moveaxis(value, -1, 0))


def _family(name: str, **changes: Any) -> CropFamily:
    spin: dict[str, Any] = {"resolution": 224, "columns": (0, 224), "aspect": (1.0, 1.0), "margin": 1.2}
    return CropFamily(name, **{**spin, **changes})


_HMR2: dict[str, Any] = {"resolution": 256, "columns": (32, 224), "aspect": (192.0, 256.0), "margin": 1.0}
FAMILIES: dict[str, CropFamily] = {
    family.name: family
    for family in (
        # HMR scales the diagonal of the keypoints to 150 of 224 pixels: for a standing person a margin of about 1.45
        _family("hmr", margin=1.45, border=None, mean=(0.5, 0.5, 0.5), deviation=(0.5, 0.5, 0.5)),
        _family("spin"),
        _family("vibe", margin=1.1),
        _family("smpler", shrink="none"),
        _family("cliff", **(_HMR2 | {"margin": 1.1, "shrink": "none"})),
        _family("hmr2", **(_HMR2 | {"shrink": "gaussian"})),
        _family("tokenhmr", **(_HMR2 | {"shrink": "gaussian"})),
        _family("camerahmr", **(_HMR2 | {"aspect": (1.0, 1.0), "shrink": "none"})),
        # VNect's ports grow the box of the joints by 0.8 of its width and 0.2 of its height, and show the whole of it
        _family("vnect", resolution=368, columns=(0, 368), mean=(0.4,) * 3, deviation=(1.0,) * 3, channels="bgr"),
        # ours: the square and the numbers that BlazePose's encoder has learned from
        _family("light", resolution=256, columns=(0, 256), margin=1.25, mean=(0.0,) * 3, deviation=(1.0,) * 3),
    )
}


def crop_family(name: str) -> CropFamily:
    """A family by name. Raises InputError for an unknown one."""
    if name not in FAMILIES:
        raise InputError(f"no crop family {name!r}; there are {', '.join(FAMILIES)}")
    return FAMILIES[name]


def hmr_square(points: Array, confidence: Array) -> tuple[Array, float]:
    """HMR's own rule for keypoints (N,2), confidence (N,) > 0.2: their box's diagonal becomes 150 of 224 pixels.

    Centre (2,) and side of the square. Raises InputError for fewer than two such keypoints.
    """
    seen = np.asarray(points, dtype=np.float64)[np.asarray(confidence) > 0.2]
    if len(seen) < 2:
        raise InputError(f"{len(seen)} keypoints with confidence above 0.2; expected two or more")
    low, high = seen.min(axis=0), seen.max(axis=0)
    return (low + high) / 2, float(np.linalg.norm(high - low)) * 224 / 150


def sample_square(sample: Sample, family: CropFamily) -> tuple[Array, float]:
    """Centre (2,) and side of the square of a sample's person. Raises InputError if the sample has no box."""
    if sample.box is None:
        raise InputError(f"{sample.name}: has no box; a crop needs one")
    return family.square(sample.box)
