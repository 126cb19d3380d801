"""Keypoints in ``.npz``: a motion that capture wrote, or plain arrays; written again for other fits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monocap import skeletons
from monocap.data.fields import plain_text, shaped
from monocap.data.keypoint_files.form import KeypointPicture, KeypointSet, cleaned
from monocap.errors import InputError
from monocap.files import write_npz
from monocap.types import MOTION_SCHEMA, Array

SCHEMA = "monocap.keypoints/1"


def is_keypoint_arrays(content: Mapping[str, Any]) -> bool:
    """Whether arrays of an npz are 2D keypoints: has ``keypoints2d``, as our motions have."""
    return "keypoints2d" in content


def read_arrays(content: Mapping[str, Any], path: Path, skeleton: str | None = None) -> KeypointSet:
    """``keypoints2d`` (N,3), (T,N,3) or (P,T,N,3), px, px, confidence; (T: frames, P: people).

    ``keypoint_names`` or ``names`` (N), or ``skeleton``, say what they are; optional are ``valid`` (P,T), ``track_id``
    (P), ``fps``, ``image_size`` (2), ``K`` (3,3) or (T,3,3). Raises InputError naming what does not fit.
    """
    points = _numbers(content, "keypoints2d", path)
    if points.ndim not in (2, 3, 4) or points.shape[-1] != 3:
        raise InputError(f"{path}: keypoints2d has shape {points.shape}; expected (P, T, N, 3), (T, N, 3) or (N, 3)")
    while points.ndim < 4:
        points = points[None]
    people, frames, count = points.shape[:3]
    order, points = _ordered(points, content, path, skeleton, count)
    points = cleaned(points)
    if "valid" in content:
        valid = _numbers(content, "valid", path) > 0
        if valid.size != people * frames:
            raise InputError(f"{path}: valid has shape {valid.shape}; expected ({people}, {frames})")
        points = np.where(valid.reshape(people, frames)[..., None, None], points, 0.0)
    tracks = np.arange(people)
    if "track_id" in content:
        tracks = shaped(content["track_id"], (people,), f"{path}: track_id", np.int64)
    size = None
    if "image_size" in content:
        width, height = shaped(content["image_size"], (2,), f"{path}: image_size")
        size = (int(width), int(height))
    K = None
    if "K" in content:
        K = _numbers(content, "K", path)
        if K.shape[-2:] != (3, 3) or not K.size:
            raise InputError(f"{path}: K has shape {K.shape}; expected (3, 3) or ({frames}, 3, 3)")
        K = K.reshape(-1, 3, 3)[0]
    fps = float(shaped(content["fps"], (), f"{path}: fps")) if "fps" in content else None
    pictures = []
    for t in range(frames):
        seen = np.flatnonzero((points[:, t, :, 2] > 0).any(axis=1))
        name = path.stem if frames == 1 else f"{t:06d}"
        identity = tuple(int(tracks[p]) for p in seen)
        pictures.append(KeypointPicture(name, points[seen, t], identity, size=size))
    told = plain_text(content["schema"]) if "schema" in content else ""
    kind = "monocap motion" if told == MOTION_SCHEMA else "keypoint arrays"
    return KeypointSet(f"{kind} ({order})", order, tuple(pictures), (path,), video=frames > 1, fps=fps, K=K)


def _numbers(content: Mapping[str, Any], key: str, path: Path) -> Array:
    try:
        return np.asarray(content[key], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {key} is no array of numbers ({error})") from error


def _ordered(
    points: Array, content: Mapping[str, Any], path: Path, skeleton: str | None, count: int
) -> tuple[str, Array]:
    names = next((content[key] for key in ("keypoint_names", "names") if key in content), None)
    told = skeleton or (plain_text(content["skeleton"]) if "skeleton" in content else "")
    if names is None and told:
        if len(skeletons.get(told)) != count:
            raise InputError(f"{path}: {count} points; {told} has {len(skeletons.get(told))}")
        return told, points
    if names is None:
        raise InputError(f"{path}: lacks names and skeleton, so nobody knows which point is which; add --skeleton NAME")
    words = [plain_text(name) for name in np.ravel(names)]
    if len(words) != count or len(set(words)) != count:
        raise InputError(f"{path}: {len(words)} names for {count} points, or a name twice")
    fits = [told] if told else [s for s in skeletons.names() if set(words) <= set(skeletons.get(s).joint_names)]
    if not fits:
        raise InputError(f"{path}: points named {', '.join(words[:6])} …; expected names of {skeletons.names()}")
    order = min(fits, key=lambda s: len(skeletons.get(s)))
    out = np.zeros((*points.shape[:2], len(skeletons.get(order)), 3))
    out[:, :, skeletons.get(order).indices(words)] = points
    return order, out


def write_keypoints(path: str | os.PathLike[str], points: Array, skeleton: str, **known: Any) -> None:
    """Write keypoints (P,T,N,3) of a skeleton as an npz that `read_keypoints` reads.

    ``known``: ``fps``, ``image_size``, ``K``, ``track_id``, ``valid`` as above. Raises InputError for points that do
    not fit the skeleton.
    """
    points = np.asarray(points, np.float32)
    names = skeletons.get(skeleton).joint_names
    if points.ndim != 4 or points.shape[2:] != (len(names), 3):
        raise InputError(f"keypoints have shape {points.shape}; expected (P, T, {len(names)}, 3) of {skeleton}")
    arrays = {"schema": np.array(SCHEMA), "skeleton": np.array(skeleton), "keypoints2d": points}
    write_npz(path, arrays | {"names": np.array(names)} | {k: np.asarray(v) for k, v in known.items() if v is not None})
