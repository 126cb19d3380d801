"""How well an estimate lies on the picture: 2D keypoints (pixels) and masks, one number per sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from monocap.errors import InputError
from monocap.types import Array

# How far annotators of COCO keypoints differ, in units of the square root of the person's area (pycocotools).
COCO_SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
    *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
HEAD_SHARE = 0.6


def keypoint_distances(estimate: Any, truth: Any) -> Array:
    """Distances (…,J) in pixels of keypoints (…,J,2). Raises InputError for other shapes."""
    one, other = np.asarray(estimate, np.float64), np.asarray(truth, np.float64)
    for name, points in (("estimate", one), ("truth", other)):
        if points.ndim < 2 or points.shape[-1] != 2:
            raise InputError(f"{name} has shape {points.shape}; expected (..., J, 2) pixels, without confidence")
    if one.shape[-2] != other.shape[-2]:
        raise InputError(f"estimate has {one.shape[-2]} keypoints, truth {other.shape[-2]}; map them to one skeleton")
    return np.linalg.norm(one - other, axis=-1)


def pixel_error(estimate: Any, truth: Any, visible: Any | None = None) -> Array:
    """Mean distance (…) in pixels of keypoints (…,J,2); ``visible`` (…,J) bool leaves some out."""
    far = keypoint_distances(estimate, truth)
    return _mean(far, visible)


def pck_2d(estimate: Any, truth: Any, threshold: float, size: Any | None = None, visible: Any | None = None) -> Array:
    """Share (…) of keypoints (…,J,2) within ``threshold`` of the truth, 0–1.

    ``size`` (…) pixels makes the threshold relative: `torso_size` (PCK@0.2 of LSP, Yang and Ramanan 2013),
    `head_size` (PCKh@0.5 of MPII, Andriluka et al. 2014) or `box_size` (PCK@0.05 and 0.1 of HMR 2.0). Without it
    the threshold is in pixels. ``visible`` (…,J) bool leaves keypoints out; a sample without any gets NaN.
    """
    if not threshold > 0:
        raise InputError(f"threshold is {threshold}; expected more than 0")
    far = keypoint_distances(estimate, truth)
    limit = np.asarray(threshold, np.float64)
    if size is not None:
        limit = threshold * np.asarray(size, np.float64)
        if not (limit > 0).all():
            raise InputError("size has entries that are not above 0; leave those samples out, they have no scale")
        limit = limit[..., None]
    return _mean((far <= limit).astype(np.float64), visible)


def torso_size(keypoints: Any, left_shoulder: int, right_hip: int) -> Array:
    """Distance (…) in pixels between left shoulder and right hip of keypoints (…,J,2): LSP's scale of a person."""
    points = np.asarray(keypoints, np.float64)
    return np.linalg.norm(points[..., left_shoulder, :2] - points[..., right_hip, :2], axis=-1)


def head_size(head_box: Any) -> Array:
    """Head size (…) in pixels from MPII's head rectangle (…,4) x0, y0, x1, y1: 0.6 of its diagonal, as in PCKh."""
    box = _boxes(head_box)
    return HEAD_SHARE * np.hypot(box[..., 2] - box[..., 0], box[..., 3] - box[..., 1])


def box_size(box: Any) -> Array:
    """The longer side (…) in pixels of boxes (…,4) x0, y0, x1, y1.

    HMR 2.0 counts the side of its square crop, that is after the data set's own enlargement of the box: pass that.
    """
    box = _boxes(box)
    return np.maximum(box[..., 2] - box[..., 0], box[..., 3] - box[..., 1])


def oks(estimate: Any, truth: Any, area: Any, visible: Any | None = None, sigmas: Any = COCO_SIGMAS) -> Array:
    """Object keypoint similarity (…), 0–1, of keypoints (…,J,2) of a person of ``area`` (…) square pixels.

    Source: COCO keypoint challenge: mean of exp(−d² / (2·area·(2σ)²)) over labelled keypoints.
    """
    far = keypoint_distances(estimate, truth)
    spread = 2.0 * np.asarray(sigmas, np.float64)
    if spread.shape != far.shape[-1:]:
        raise InputError(f"sigmas has shape {spread.shape}; expected ({far.shape[-1]},), one per keypoint")
    scale = np.maximum(np.asarray(area, np.float64), np.spacing(1.0))[..., None]
    return _mean(np.exp(-(far**2) / (2.0 * scale * spread**2)), visible)


def mask_iou(estimate: Any, truth: Any) -> Array:
    """Intersection over union (…), 0–1, of masks (…,H,W) bool; 1 where both are empty."""
    one, other = np.asarray(estimate, bool), np.asarray(truth, bool)
    if one.shape != other.shape or one.ndim < 2:
        raise InputError(f"masks have shapes {one.shape} and {other.shape}; expected the same (..., H, W)")
    union = (one | other).sum(axis=(-2, -1))
    return np.where(union > 0, (one & other).sum(axis=(-2, -1)) / np.maximum(union, 1), 1.0)


def box_iou(one: Any, other: Any) -> Array:
    """Intersection over union (…), 0–1, of boxes (…,4) x0, y0, x1, y1; 0 where both are empty."""
    a, b = _boxes(one), _boxes(other)
    shared = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    inside = np.prod(np.maximum(shared, 0.0), axis=-1)
    total = np.prod(np.maximum(a[..., 2:] - a[..., :2], 0), axis=-1) + np.prod(
        np.maximum(b[..., 2:] - b[..., :2], 0), axis=-1
    )
    return inside / np.maximum(total - inside, np.spacing(1.0))


def _boxes(box: Any) -> Array:
    array = np.asarray(box, np.float64)
    if array.ndim < 1 or array.shape[-1] != 4:
        raise InputError(f"box has shape {array.shape}; expected (..., 4): x0, y0, x1, y1 in pixels")
    return array


def _mean(values: Array, visible: Any | None) -> Array:
    if visible is None:
        return values.mean(axis=-1)
    keep = np.asarray(visible, bool)
    if keep.shape[-1:] != values.shape[-1:]:
        raise InputError(f"visible has shape {keep.shape}; expected (..., {values.shape[-1]}), one per keypoint")
    count = np.broadcast_to(keep, values.shape).sum(axis=-1)
    total = np.where(keep, values, 0.0).sum(axis=-1)
    return np.where(count > 0, total, np.nan) / np.maximum(count, 1)
