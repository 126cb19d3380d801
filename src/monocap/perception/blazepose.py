"""BlazePose: 33 landmarks of one person in one region, in the picture and in metres, with a mask.

The network is Google's BlazePose GHUM 3D (Bazarevsky et al. 2020, Grishchenko et al. 2022), see the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from monocap.assets.sessions import session
from monocap.errors import InputError
from monocap.media.crops import check_image, invert, transform_points, unwarp, warp
from monocap.perception.roi import Roi, from_alignment
from monocap.skeletons import get
from monocap.types import Camera, Keypoints

Array = NDArray[Any]
Variant = Literal["lite", "heavy"]

SKELETON = "blazepose33"
INPUT = 256  # pixels
_ALL = 39  # 33 landmarks, 2 alignment points, 4 that nobody documents
_HIPS, _RIM = 33, 34  # alignment points: mid-hips, top of the body's circle
_WINDOW = 3  # cells of the heatmap to each side of the regressed landmark
_MIN_PEAK = 0.5  # below it the heatmap has no opinion worth having


@dataclass(frozen=True)
class PoseResult:
    """What the network saw in ``roi``.

    ``peak`` 0–1 is the mean over landmarks of the heatmaps' maxima: of several regions of the same person, the one
    with the highest peak has the best pose. ``next_roi`` is where to look in the next frame, or for a second,
    better look at this one.
    """

    keypoints: Keypoints
    roi: Roi
    peak: float
    next_roi: Roi


class BlazePose:
    """The landmark network; ``variant`` "lite" (about 7 ms on one CPU core) or "heavy" (26 ms).

    Raises InputError for another variant.
    """

    def __init__(self, variant: Variant = "heavy", threads: int | None = None) -> None:
        if variant not in ("lite", "heavy"):
            raise InputError(f"BlazePose variant {variant!r}; expected 'lite' or 'heavy'")
        self.variant: Variant = variant
        self._session = session(f"blazepose_{variant}", threads)

    def estimate(self, image_rgb: Array, roi: Roi, want_mask: bool = False, mirrored: bool = False) -> PoseResult:
        """Landmarks of the person in ``roi`` of ``image_rgb`` (H,W,3) uint8.

        ``points2d`` (33,3): picture pixels and confidence; ``points3d`` (33,3): metres from the mid-hips along the
        picture's axes (the region's own turn is undone), seen along the ray through the region: see
        `turn_to_camera`. ``mask`` (H,W) float32 if asked for. Somebody is always found: ``score`` says whether to
        believe it. ``mirrored``: the network sees the crop in a mirror, and what it says is mirrored back; a second
        opinion whose errors are not those of the first.
        """
        image = check_image(image_rgb)
        matrix = roi.matrix(INPUT)
        if mirrored:
            matrix = np.array([[-1.0, 0.0], [0.0, 1.0]]) @ matrix + [[0.0, 0.0, INPUT - 1.0], [0.0, 0.0, 0.0]]
        crop = warp(image, matrix, INPUT, INPUT)
        names = ["landmarks", "person", "heatmaps", "world_landmarks"] + ["segmentation"] * want_mask
        values = self._session.run(names, {"image": (crop.astype(np.float32) / 255)[None]})
        out = {name: np.asarray(value) for name, value in zip(names, values, strict=True)}
        landmarks = out["landmarks"].reshape(_ALL, 5).astype(float)
        heat = _sigmoid(out["heatmaps"][0])  # (64,64,39)
        peaks = heat.max(axis=(0, 1))
        skeleton = get(SKELETON)
        count = len(skeleton)
        # landmarks count from the edge of the first pixel; ours from its centre
        in_image = transform_points(invert(matrix), refine(landmarks[:, :2], heat) - 0.5)
        visibility, presence = _sigmoid(landmarks[:count, 3]), _sigmoid(landmarks[:count, 4])
        points2d = np.column_stack([in_image[:count], confidence(visibility, presence, peaks[:count])])
        world = out["world_landmarks"].reshape(_ALL, 3)[:count].astype(float)
        if mirrored:
            flip = np.array(skeleton.flip)
            points2d, world = points2d[flip], world[flip] * [-1.0, 1.0, 1.0]
        c, s = np.cos(roi.rotation), np.sin(roi.rotation)
        points3d = world @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        mask = None
        if want_mask:
            height, width = image.shape[:2]
            mask = unwarp(_sigmoid(out["segmentation"][0, :, :, 0]), matrix, width, height)
        keypoints = Keypoints(
            SKELETON, points2d.astype(np.float32), points3d.astype(np.float32), float(out["person"].item()), mask
        )
        next_roi = from_alignment(in_image[_HIPS], in_image[_RIM], in_image[:count])
        return PoseResult(keypoints, roi, float(peaks[:count].mean()), next_roi)


def confidence(visibility: Array, presence: Array, peak: Array) -> Array:
    """One number 0–1 from the network's three: inside the picture at all, not hidden, and sharply located.

    A hidden landmark is a guess but often a fair one, so visibility takes away at most half.
    """
    return presence * (0.5 + 0.5 * visibility) * np.sqrt(peak)


def refine(points: Array, heat: Array) -> Array:
    """Move regressed points (N,2), input pixels from the edge, to the centre of mass of their heatmaps nearby.

    ``heat`` (h,w,M ≥ N) 0–1. A cell's index times the cell's size is its place in pixels (measured: left and right
    mirror images agree so, not with half a cell added). Points without a peak of `_MIN_PEAK` nearby stay.
    After MediaPipe's RefineLandmarksFromHeatmap, which does the same with a 7×7 window.
    """
    rows, columns = heat.shape[:2]
    cell = np.array([INPUT / columns, INPUT / rows])
    refined = points.copy()
    for i, (column, row) in enumerate((points / cell).astype(int)):
        x0, x1 = max(column - _WINDOW, 0), min(column + _WINDOW + 1, columns)
        y0, y1 = max(row - _WINDOW, 0), min(row + _WINDOW + 1, rows)
        if x0 >= x1 or y0 >= y1:
            continue
        near = heat[y0:y1, x0:x1, i]
        if near.max() >= _MIN_PEAK:
            total = near.sum()
            refined[i] = cell * (near.sum(0) @ np.arange(x0, x1) / total, near.sum(1) @ np.arange(y0, y1) / total)
    return refined


def turn_to_camera(points3d: Array, points2d: Array, camera: Camera) -> Array:
    """Turn landmarks from the crop's own view to the camera's axes.

    The network sees a crop as if the camera pointed at its middle; a person off the picture's centre is seen along a
    slanted ray. Rotates ``points3d`` (…,33,3) by the shortest turn from the optical axis to the ray through the
    mid-hips of ``points2d`` (…,33,≥2), pixels of ``camera``. Same shape out.
    """
    skeleton = get(SKELETON)
    hips = np.asarray(points2d, float)[..., skeleton.indices(("left_hip", "right_hip")), :2].mean(-2)
    ray = np.stack([(hips[..., 0] - camera.cx) / camera.fx, (hips[..., 1] - camera.cy) / camera.fy], -1)
    ray = np.concatenate([ray, np.ones_like(ray[..., :1])], -1)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    # Rodrigues with axis z × ray = (-y, x, 0), cos = ray z
    x, y, z = ray[..., 0], ray[..., 1], ray[..., 2]
    k = 1 / (1 + z)
    R = np.stack(
        [1 - k * x * x, -k * x * y, x, -k * x * y, 1 - k * y * y, y, -x, -y, z],
        -1,
    ).reshape(*ray.shape[:-1], 3, 3)
    return np.asarray(points3d) @ np.swapaxes(R, -1, -2)


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))
