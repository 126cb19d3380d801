"""What a fit is given: keypoints of one person in N pictures, cameras, and whatever else is known."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.geometry.cameras import default_focal
from monocap.types import Array

OFFICIAL_FOCAL = 5000.0
"""Focal length in pixels that SMPLify-X assumes where none is given."""


def intrinsics_of(image_size: Array, focal: float | Array | None = None) -> Array:
    """K (N,3,3) for pictures of ``image_size`` (N,2: w, h): principal point in the middle, ``focal`` px, one or (N,).

    None: capture's rule (`geometry.cameras.default_focal`); the published code assumes `OFFICIAL_FOCAL`.
    """
    size = np.asarray(image_size, dtype=np.float64).reshape(-1, 2)
    length = np.array([default_focal(w, h) for w, h in size]) if focal is None else np.broadcast_to(focal, len(size))
    K = np.zeros((len(size), 3, 3))
    K[:, 0, 0] = K[:, 1, 1] = length
    K[:, :2, 2] = size / 2
    K[:, 2, 2] = 1.0
    return K


@dataclass(frozen=True)
class Views:
    """N pictures, or frames of a video, of one person.

    - ``keypoints`` (N,K,3) px, px, confidence 0–1 (0: not seen) in the order of ``skeleton``, a name known to
      `monocap.skeletons` (openpose135, openpose118, openpose25, coco17 …); ``image_size`` (N,2) w, h;
    - ``K`` (N,3,3) px, intrinsics; see `intrinsics_of`;
    - ``times`` (N,) s, increasing: a video, whose frames are smoothed over time. None: separate pictures;
    - ``points3d`` (N,P,4) m and confidence, in the order of ``skeleton3d``; in the camera's frame, or anywhere, when
      ``relative3d``: then only shape and orientation count, not place;
    - ``masks``: N arrays (h,w), true where the person is; ``depths``: N arrays (h,w) metres, 0 where unknown;
      ``scans``: N arrays (P,3) m, points on the skin, camera's frame. Single ones may be None;
    - ``ground`` (N,4) planes n·x + d = 0, camera's frame, metres, n of unit length and up: feet stand on it.

    Raises InputError for shapes that disagree. Points that are not finite, or with confidence that is not, count as
    not seen.
    """

    keypoints: Array
    skeleton: str
    image_size: Array
    K: Array
    times: Array | None = None
    points3d: Array | None = None
    skeleton3d: str | None = None
    relative3d: bool = False
    masks: tuple[Array | None, ...] | None = None
    depths: tuple[Array | None, ...] | None = None
    scans: tuple[Array | None, ...] | None = None
    ground: Array | None = None
    names: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        points = np.array(self.keypoints, dtype=np.float64)
        count = len(skeletons.get(self.skeleton))
        if points.ndim != 3 or points.shape[1:] != (count, 3):
            raise InputError(f"keypoints have shape {points.shape}; expected (N, {count}, 3) of {self.skeleton}")
        object.__setattr__(self, "keypoints", _seen(points))
        n = len(points)
        size = np.broadcast_to(np.asarray(self.image_size, dtype=np.float64), (n, 2))
        K = np.broadcast_to(np.asarray(self.K, dtype=np.float64), (n, 3, 3))
        if not (np.isfinite(size).all() and (size > 0).all()):
            raise InputError("image_size must be positive: width and height of every picture, pixels")
        if not (np.isfinite(K).all() and (K[:, [0, 1], [0, 1]] > 0).all()) or K[:, 0, 1].any():
            raise InputError("K must have positive focal lengths and no skew, pixels")
        object.__setattr__(self, "image_size", size)
        object.__setattr__(self, "K", K)
        if self.times is not None:
            times = np.asarray(self.times, dtype=np.float64)
            if times.shape != (n,) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
                raise InputError(f"times must be {n} increasing seconds, one per frame")
            object.__setattr__(self, "times", times)
        if self.points3d is not None:
            if self.skeleton3d is None:
                raise InputError("points3d need skeleton3d, the name of their order")
            count = len(skeletons.get(self.skeleton3d))
            points = np.array(self.points3d, dtype=np.float64)
            if points.shape != (n, count, 4):
                raise InputError(f"points3d have shape {points.shape}; expected ({n}, {count}, 4) of {self.skeleton3d}")
            object.__setattr__(self, "points3d", _seen(points))
        if self.ground is not None:
            ground = np.array(np.broadcast_to(np.asarray(self.ground, dtype=np.float64), (n, 4)))
            length = np.linalg.norm(ground[:, :3], axis=1, keepdims=True)
            if not (np.isfinite(ground).all() and (length > 1e-9).all()):
                raise InputError("ground must be planes n·x + d = 0 as (N,4) finite numbers with n not zero")
            object.__setattr__(self, "ground", ground / length)
        for name in ("masks", "depths", "scans"):
            given = getattr(self, name)
            if given is not None and len(given) != n:
                raise InputError(f"{len(given)} {name} for {n} pictures; expected one each, or None")

    def __len__(self) -> int:
        return len(self.keypoints)

    def take(self, index: NDArray[np.int64] | slice) -> Views:
        """Some of the pictures."""
        chosen = np.arange(len(self))[index]
        changed = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, np.ndarray):
                changed[entry.name] = value[chosen]
            elif isinstance(value, tuple) and value:
                changed[entry.name] = tuple(value[i] for i in chosen)
        return replace(self, **changed)


_SETS = ("openpose25", "openpose67", "openpose118", "openpose135")
_MOST = {"smpl": "openpose25", "smplh": "openpose67", "smplx": "openpose135"}


def on_body(views: Views, body: BodyModel) -> Views:
    """The views with those of OpenPose's keypoints that the body has; its sets each begin with the smaller ones.

    Raises InputError for a body that is no whole person.
    """
    most = _MOST.get(body.kind.name)
    if most is None:
        raise InputError(f"body {body.name!r} is {body.kind.title}; expected SMPL, SMPL-H or SMPL-X")
    if views.skeleton not in _SETS:
        return views
    name = min(views.skeleton, most, key=_SETS.index)
    if name == views.skeleton:
        return views
    return replace(views, keypoints=views.keypoints[:, : len(skeletons.get(name))], skeleton=name)


def _seen(points: Array) -> Array:
    """Points (…,C+1) with what is not finite set to zero and not seen, confidences kept within 0–1."""
    fine = np.isfinite(points).all(axis=-1, keepdims=True)
    points = np.where(fine, points, 0.0)
    points[..., -1] = np.clip(points[..., -1], 0.0, 1.0)
    return points
