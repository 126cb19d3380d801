"""`Sample`: one person in one picture, or frame of a motion, with what is known of it; alike for all data sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from monocap.errors import InputError
from monocap.geometry import transforms
from monocap.media.pictures import read_picture
from monocap.types import Array, BodyParams

BodyKind = Literal["smpl", "smplh", "smplx", "open"]
Gender = Literal["neutral", "female", "male"]


@dataclass(frozen=True)
class DatasetInfo:
    """What a data set is: ``skeleton`` of its 3D joints (2D where it has no 3D), licence in a line, where to get it."""

    name: str
    licence: str
    source: str
    skeleton: str
    description: str = ""


@dataclass(frozen=True, eq=False)
class Sample:
    """One person; what is unknown is None. Metres, pixels, radians; the centre of the first pixel is (0, 0).

    - ``image``: file, (H,W,3) uint8 RGB, or None (motion without pictures); ``image_size`` (w, h) px;
    - ``box_center`` (2,), ``box_size`` (2,) w, h: the person's tight box, px (no margin, unless the data set itself
      gives only a padded square: then ``notes["box_margin"]`` says so);
    - ``K`` (3,3) px; ``T_camera_world`` (4,4) maps the data set's world (its own axes) to the camera (OpenCV axes);
    - ``joints3d`` (J,3) m in ``frame`` ("camera", "world", or "root": relative, axes of the camera) with
      ``joints3d_valid`` (J,) bool; names from ``skeleton3d``;
    - ``joints2d`` (N,3) px, px, confidence 0–1 (0: not annotated) in the order of ``skeleton2d``;
    - ``params`` without batch axis, of the body ``body`` and ``gender``, in ``params_frame``;
    - ``quarter_turns``: how often the stored picture must be turned clockwise by 90° to agree with all of this;
    - ``in_protocol``: False where the data set itself says that the frame does not count (camera lost, hidden);
    - ``scan``: file of a mesh that is the truth (EHF); ``notes``: what only this data set has (activity, iscrowd …).
    """

    info: DatasetInfo
    image: Path | Array | None = None
    image_size: tuple[int, int] | None = None
    box_center: Array | None = None
    box_size: Array | None = None
    K: Array | None = None
    T_camera_world: Array | None = None
    joints3d: Array | None = None
    joints3d_valid: Array | None = None
    skeleton3d: str = ""
    frame_of_reference: Literal["camera", "world", "root"] = "camera"
    joints2d: Array | None = None
    skeleton2d: str = ""
    params: BodyParams | None = None
    body: BodyKind | None = None
    gender: Gender = "neutral"
    params_frame: Literal["camera", "world"] = "camera"
    scan: Path | None = None
    quarter_turns: int = 0
    in_protocol: bool = True
    sequence: str = ""
    frame: int = 0
    subject: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What messages call this sample: data set, sequence, frame and person."""
        parts = [self.info.name, self.sequence, f"{self.frame:06d}", self.subject]
        return "/".join(part for part in parts if part)

    @property
    def box(self) -> Array | None:
        """(4,) x0, y0, x1, y1 px, or None."""
        if self.box_center is None or self.box_size is None:
            return None
        half = np.asarray(self.box_size, dtype=np.float64) / 2
        return np.concatenate([self.box_center - half, self.box_center + half])

    def read_image(self) -> Array:
        """The picture, (H,W,3) uint8 RGB, turned upright. Raises MediaError if unreadable, InputError if absent."""
        if self.image is None:
            raise InputError(f"{self.name}: has no picture")
        image = read_picture(self.image).image if isinstance(self.image, Path) else self.image
        return np.ascontiguousarray(np.rot90(image, -self.quarter_turns)) if self.quarter_turns else image

    def camera_joints(self) -> Array:
        """``joints3d`` (J,3) in camera axes, metres. Raises InputError if they or the extrinsics are unknown."""
        if self.joints3d is None:
            raise InputError(f"{self.name}: has no 3D joints")
        if self.frame_of_reference != "world":
            return self.joints3d
        if self.T_camera_world is None:
            raise InputError(f"{self.name}: joints are in the world and the camera's place is unknown")
        return transforms.apply(self.T_camera_world, self.joints3d)


def box_of_points(points: Array, confidence: Array | None = None) -> tuple[Array, Array] | tuple[None, None]:
    """Centre (2,) and size (2,) px of the box round points (N,2) of confidence (N,) > 0; None for fewer than two."""
    seen = np.isfinite(points).all(axis=-1)
    if confidence is not None:
        seen &= np.asarray(confidence) > 0
    if seen.sum() < 2:
        return None, None
    low, high = points[seen].min(axis=0), points[seen].max(axis=0)
    return (low + high) / 2, high - low


def box_of_corners(corners: Array) -> tuple[Array, Array]:
    """Centre (2,) and size (2,) of x0, y0, x1, y1."""
    x0, y0, x1, y1 = (float(v) for v in corners)
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2]), np.array([x1 - x0, y1 - y0])
