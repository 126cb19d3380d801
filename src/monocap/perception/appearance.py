"""What a person looks like, as colour histograms: enough to tell two people apart when they cross or come back."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from monocap.skeletons import get

Array = NDArray[Any]

_BINS = (6, 6, 6)  # lightness, and both colour axes of CIE L*a*b*
SHAPE = (4, 216)  # of a description: chest, thighs, head, forearms; colours
_SIDE = 48  # pixels; a part is looked at in this size at most
_PARTS = (
    ("left_shoulder", "right_shoulder", "right_hip", "left_hip"),
    ("left_hip", "right_hip", "right_knee", "left_knee"),
)
_HEAD = ("nose", "left_ear", "right_ear")
_FOREARMS = (("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"))
_WIDTH = 0.25  # of a forearm over its length
_HEAD_SIZE = 0.5  # side of the head's square over the length of the torso
# a and b of ordinary clothes stay near grey; bins over all of -127..127 would hardly ever be used
_RANGES = (0, 256, 128 - 48, 128 + 48, 128 - 48, 128 + 48)


def describe(image_rgb: Array, coco: Array) -> Array:
    """(4,216) histograms of chest, thighs, head and forearms, each summing to 1; a part outside of the picture is zero.

    ``image_rgb`` (H,W,3) uint8; ``coco`` (17,≥2) COCO keypoints in pixels.
    """
    skeleton = get("coco17")
    parts = []
    for names in _PARTS:
        corners = np.asarray(coco, float)[skeleton.indices(names), :2]
        middle = corners.mean(0)
        parts.append(_histogram(image_rgb, middle + 0.8 * (corners - middle)))
    points = np.asarray(coco, float)[:, :2]
    head = points[skeleton.indices(_HEAD)].mean(0)
    chest = points[skeleton.indices(_PARTS[0])]
    half = _HEAD_SIZE / 2 * np.linalg.norm(chest[:2].mean(0) - chest[2:].mean(0))
    parts.append(_histogram(image_rgb, head + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])))
    arms = sum(_histogram(image_rgb, _strip(points[skeleton.indices(names)])) for names in _FOREARMS)
    parts.append(arms / max(np.sum(arms), 1.0))
    return np.stack(parts).astype(np.float32)


def similarity(first: Array, second: Array) -> float:
    """0–1: mean Bhattacharyya coefficient over the parts that both have; 0.5, no opinion, if there are none."""
    both = (first.sum(1) > 0) & (second.sum(1) > 0)
    if not both.any():
        return 0.5
    return float(np.sqrt(first[both] * second[both]).sum(1).mean())


def _strip(ends: Array) -> Array:
    """(4,2) corners of a limb's middle between its ends (2,2)."""
    along = ends[1] - ends[0]
    across = _WIDTH / 2 * np.array([-along[1], along[0]])
    return np.array([ends[0] + across, ends[1] + across, ends[1] - across, ends[0] - across])


def _histogram(image: Array, corners: Array) -> Array:
    height, width = image.shape[:2]
    low = np.clip(np.floor(corners.min(0)).astype(int), 0, (width, height))
    high = np.clip(np.ceil(corners.max(0)).astype(int) + 1, 0, (width, height))
    empty = np.zeros(int(np.prod(_BINS)))
    if (high - low).min() < 4:
        return empty
    part = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    scale = min(1.0, _SIDE / max(part.shape[:2]))
    size = tuple(max(1, round(side * scale)) for side in (part.shape[1], part.shape[0]))
    part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    inside = np.zeros(part.shape[:2], np.uint8)
    # thigh corners may cross when legs do: the hull is what is meant
    hull = cv2.convexHull(np.rint((corners - low) * scale).astype(np.int32))
    cv2.fillConvexPoly(inside, hull, (1,))
    lab = cv2.cvtColor(part, cv2.COLOR_RGB2LAB)
    lab[..., 1:] = np.clip(lab[..., 1:], _RANGES[2], _RANGES[3] - 1)
    counts = cv2.calcHist([lab], [0, 1, 2], inside, list(_BINS), list(_RANGES)).ravel()
    total = counts.sum()
    return counts / total if total >= 16 else empty
