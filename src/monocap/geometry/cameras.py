"""From camera space to pixels and back, and between a crop's weak-perspective camera and the picture's own.

Camera space is OpenCV's: x right, y down, z forward, metres. A weak-perspective camera is (s, tx, ty), always in
this order: ``crop = s · (x + t)`` with the crop spanning [−1, 1].
"""

from __future__ import annotations

import math

import numpy as np

from monocap.errors import InputError
from monocap.geometry.arrays import Array, apply_matrix, constant, floats
from monocap.geometry.rotations import axis_angle_to_matrix, rotation_between
from monocap.types import Camera

DEFAULT_FOCAL_FACTOR = 0.9
"""Focal length of an unknown camera in units of the long side: 58° across it, near a phone's main camera."""

TRAINING_FOCAL = 5000.0
"""Focal length in crop pixels that SPIN, VIBE, HMR 2.0 and TokenHMR were trained with."""

_EPSILON = 1e-9  # added to s · size by all of these systems


def default_focal(width: float, height: float) -> float:
    """Focal length in pixels assumed for a picture without other knowledge: `DEFAULT_FOCAL_FACTOR` × long side."""
    if not min(width, height) > 0:
        raise InputError(f"picture of {width}×{height} pixels; expected positive sizes")
    return DEFAULT_FOCAL_FACTOR * max(width, height)


def fov_to_focal(fov: float, size: float) -> float:
    """Focal length in pixels of a field of view ``fov`` (radians) across ``size`` pixels."""
    if not 0 < fov < math.pi:
        raise InputError(f"field of view {fov} rad; expected between 0 and π (were these degrees?)")
    return size / (2 * math.tan(fov / 2))


def focal_to_fov(focal: float, size: float) -> float:
    """Field of view in radians across ``size`` pixels at ``focal`` pixels."""
    if not focal > 0:
        raise InputError(f"focal length {focal} px; expected more than 0")
    return 2 * math.atan(size / (2 * focal))


def intrinsics(fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    """(3,3) intrinsic matrix in pixels."""
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def _split(K: Array | Camera, like: Array) -> tuple[Array, Array]:
    """Focal lengths and principal points, (…,1,2) each; skew is not supported and not silently dropped."""
    matrix = constant(K.K if isinstance(K, Camera) else K, like)
    xp, matrix = floats(("K", matrix, (3, 3)))
    if bool(xp.any(matrix[..., 0, 1] != 0)):
        raise InputError("K has skew (entry [0, 1] is not 0); undistort the picture first")
    focal = xp.stack([matrix[..., 0, 0], matrix[..., 1, 1]], axis=-1)
    return focal[..., None, :], matrix[..., None, :2, 2]


def project(points: Array, K: Array | Camera) -> Array:
    """Pixels (…,N,2) of camera-space points (…,N,3), for intrinsics K (…,3,3) or a `Camera`.

    Points with z ≤ 0 lie behind the camera: their pixels mean nothing, the caller masks them.
    """
    xp, points = floats(("points", points, (None, 3)))
    focal, centre = _split(K, points)
    z = points[..., 2:]
    z = xp.where(xp.abs(z) < 1e-9, 1e-9 * xp.ones_like(z), z)
    return focal * points[..., :2] / z + centre


def unproject(pixels: Array, depth: Array | float, K: Array | Camera) -> Array:
    """Camera-space points (…,N,3) that lie at ``depth`` z (…,N), metres, behind ``pixels`` (…,N,2)."""
    xp, pixels = floats(("pixels", pixels, (None, 2)))
    focal, centre = _split(K, pixels)
    z = constant(depth, pixels)[..., None]
    xy = (pixels - centre) / focal * z
    return xp.concat([xy, z + xp.zeros_like(xy[..., :1])], axis=-1)


def look_rotation(ray: Array, roll: Array | float = 0.0) -> Array:
    """Rotation (…,3,3) from the axes of a crop's own view, whose z is the ray, to the camera's axes.

    A network that sees a crop answers as if the crop were straight ahead. What it says about a person in
    direction ``ray`` (…,3) is put right by this rotation: the shortest arc from the optical axis to the ray.
    ``roll`` (…) radians: how far the crop was turned clockwise in the picture.
    """
    xp, ray = floats(("ray", ray, (3,)))
    ahead = constant([0.0, 0.0, 1.0], ray) + xp.zeros_like(ray)
    turn = constant(roll, ray)[..., None] * constant([0.0, 0.0, 1.0], ray)
    return rotation_between(ahead, ray) @ axis_angle_to_matrix(turn)


# ------------------------------------------------------------------ weak perspective
def weak_to_translation(weak: Array, resolution: float, focal: float = TRAINING_FOCAL) -> Array:
    """Translation (…,3) metres in the *crop's* camera of weak cameras (…,3), for a crop of ``resolution`` pixels.

    SPIN: 224 and f = 5000; HMR 2.0: 256. z = 2 f / (resolution · s).
    """
    xp, weak = floats(("weak", weak, (3,)))
    return xp.stack([weak[..., 1], weak[..., 2], 2 * focal / (resolution * weak[..., 0] + _EPSILON)], axis=-1)


def project_weak(points: Array, weak: Array) -> Array:
    """Crop coordinates (…,N,2) in −1…1 of points (…,N,3) metres for weak cameras (…,3): s · (x + t). HMR, SMPLer."""
    _, points, weak = floats(("points", points, (None, 3)), ("weak", weak, (3,)))
    return weak[..., None, :1] * (points[..., :2] + weak[..., None, 1:])


def project_crop(points: Array, weak: Array, resolution: float, focal: float = TRAINING_FOCAL) -> Array:
    """Crop coordinates (…,N,2) in −1…1 of points (…,N,3) metres, by the pinhole that `weak_to_translation` describes.

    SPIN and VIBE compare these numbers; HMR 2.0 and TokenHMR halves of them, units of the crop's width.
    """
    _, points = floats(("points", points, (None, 3)))
    at = points + weak_to_translation(weak, resolution, focal)[..., None, :]
    return 2 * focal / resolution * at[..., :2] / at[..., 2:]


def crop_to_full_translation(
    weak: Array, box_center: Array, box_size: Array | float, image_size: Array, focal: Array | float
) -> Array:
    """Translation (…,3) metres in the *picture's* camera of weak cameras (…,3) that a crop network predicted.

    ``box_center`` (…,2) and ``box_size`` (…) of the square crop, ``image_size`` (…,2) as w, h, ``focal`` (…): all
    in picture pixels; the principal point is the middle. Source: CLIFF (Li et al. 2022), the same as
    ``cam_crop_to_full`` of 4D-Humans.
    """
    xp, weak = floats(("weak", weak, (3,)))
    center, box, image, focal = (constant(v, weak) for v in (box_center, box_size, image_size, focal))
    scaled = box * weak[..., 0] + _EPSILON
    xy = weak[..., 1:] + 2 * (center - image / 2) / scaled[..., None]
    return xp.concat([xy, (2 * focal / scaled)[..., None] + xp.zeros_like(xy[..., :1])], axis=-1)


def full_to_crop_weak(
    translation: Array, box_center: Array, box_size: Array | float, image_size: Array, focal: Array | float
) -> Array:
    """Weak cameras (…,3) whose `crop_to_full_translation` is ``translation`` (…,3); its inverse."""
    xp, t = floats(("translation", translation, (3,)))
    center, box, image, focal = (constant(v, t) for v in (box_center, box_size, image_size, focal))
    scaled = 2 * focal / t[..., 2]
    xy = t[..., :2] - 2 * (center - image / 2) / scaled[..., None]
    return xp.concat([((scaled - _EPSILON) / box)[..., None] + xp.zeros_like(xy[..., :1]), xy], axis=-1)


def crop_to_image_weak(weak: Array, box_center: Array, box_size: Array | float, image_size: Array) -> Array:
    """Weak cameras (…,4) as sx, sy, tx, ty of the whole picture (VIBE's orthographic overlay), from (…,3) of a crop."""
    xp, weak = floats(("weak", weak, (3,)))
    center, box, image = (constant(v, weak) for v in (box_center, box_size, image_size))
    scale = (weak[..., 0] * box)[..., None] / image
    shift = (center - image / 2) / (image / 2) / scale + weak[..., 1:]
    return xp.concat([scale, shift], axis=-1)


def cliff_focal(image_size: Array) -> Array:
    """CLIFF's assumed focal length (…) in pixels: the diagonal of the picture (…,2)."""
    xp, image = floats(("image_size", image_size, (2,)))
    return xp.sqrt(xp.sum(image * image, axis=-1))


def box_info(
    box_center: Array, box_size: Array, image_size: Array, focal: Array | float, normalised: bool = True
) -> Array:
    """Where the crop sits in the picture (…,3), as CLIFF feeds it to its head; with ``normalised=False`` CameraHMR's.

    Plain: ((cx, cy) − image/2) / f and box / f. CLIFF scales these by 2.8 and maps the size to (b − 0.24 f)/(0.06 f).
    """
    xp, center = floats(("box_center", box_center, (2,)))
    box, image, f = (constant(v, center) for v in (box_size, image_size, focal))
    offset = (center - image / 2) / f[..., None]
    size = (box / f)[..., None] + xp.zeros_like(offset[..., :1])
    if normalised:
        offset, size = 2.8 * offset, (size - 0.24) / 0.06
    return xp.concat([offset, size], axis=-1)


def ray_of(pixel: Array, K: Array | Camera) -> Array:
    """Unit direction (…,3) in camera space of pixels (…,2)."""
    xp, pixel = floats(("pixel", pixel, (2,)))
    ray = unproject(pixel[..., None, :], 1.0, K)[..., 0, :]
    return ray / xp.sqrt(apply_matrix(ray[..., None, :], ray))
