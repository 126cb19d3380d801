"""The affine maps from picture to crop of the regression networks' papers (pixels are warped in `monocap.media`).

These follow the papers' convention, in which the crop of ``resolution`` pixels spans 0 … resolution and its middle
is resolution / 2, so that numbers agree with theirs.
"""

from __future__ import annotations

from monocap.geometry.arrays import Array, constant, floats
from monocap.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle

SCALE_PIXELS = 200.0
"""A box "scale" of the SPIN line (SPIN, VIBE, SMPLer, CLIFF, BEDLAM) is its side over 200 pixels."""


def crop_matrix(center: Array, size: Array | float, resolution: float, rotation: Array | float = 0.0) -> Array:
    """(…,3,3) map of homogeneous picture pixels to pixels of a square crop.

    ``center`` (…,2) and ``size`` (…) of the square in picture pixels (HMR 2.0: box size × augmentation scale; the
    SPIN line: `SCALE_PIXELS` × scale); ``rotation`` (…) radians, about the middle of the crop, anticlockwise as
    seen for y down (the official codes' positive degrees).
    """
    xp, center = floats(("center", center, (2,)))
    size, rotation = constant(size, center), constant(rotation, center)
    zero = xp.zeros_like(center[..., 0] + size + rotation)
    scale = resolution / size
    c, s = scale * xp.cos(rotation) + zero, scale * xp.sin(rotation) + zero
    x, y = center[..., 0], center[..., 1]
    rows = (
        (c, s, resolution / 2 - c * x - s * y),
        (-s, c, resolution / 2 + s * x - c * y),
        (zero, zero, zero + 1),
    )
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


def transform_points(matrix: Array, points: Array) -> Array:
    """Map pixels (…,N,2) through (…,3,3) or (…,2,3) matrices."""
    xp, points = floats(("points", points, (None, 2)))
    _, matrix = floats(("matrix", matrix, (None, 3)))
    return points @ xp.matrix_transpose(matrix[..., :2, :2]) + matrix[..., None, :2, 2]


def transform_points_rounded(matrix: Array, points: Array) -> Array:
    """The SPIN line's own map of keypoints (…,N,2): whole pixels counted from 1, truncated towards 0."""
    xp, points = floats(("points", points, (None, 2)))
    return xp.trunc(transform_points(matrix, points - 1)) + 1


def square_box(boxes: Array, aspect: tuple[float, float] = (192, 256), margin: float = 1.0) -> tuple[Array, Array]:
    """Centre (…,2) and side (…) of the square crop around boxes (…,4) x0, y0, x1, y1.

    The box is grown to the aspect (w, h), then its longer side is taken, times ``margin``: HMR 2.0 and TokenHMR
    have margin 1, CLIFF 1.1; CameraHMR aspect (1, 1); VIBE (1, 1) and 1.1; SPIN's keypoint boxes (1, 1) and 1.2.
    """
    xp, boxes = floats(("boxes", boxes, (4,)))
    low, high = boxes[..., :2], boxes[..., 2:]
    extent = (high - low) * max(aspect) / constant(aspect, boxes)
    return (low + high) / 2, margin * xp.max(extent, axis=-1)


def rotate_in_plane(global_orient: Array, rotation: Array | float) -> Array:
    """``global_orient`` (…,3) of the same person in a crop that was turned by ``rotation`` (…) radians."""
    _, orient = floats(("global_orient", global_orient, (3,)))
    turn = constant(rotation, orient)[..., None] * constant([0.0, 0.0, -1.0], orient)
    return matrix_to_axis_angle(axis_angle_to_matrix(turn) @ axis_angle_to_matrix(orient))
