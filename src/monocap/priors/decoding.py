"""From the six numbers that a network predicts per joint to axis-angle vectors, with the derivative."""

from __future__ import annotations

import numpy as np

from monocap.errors import InputError
from monocap.geometry.rotations import Layout6D, left_jacobian_so3, matrix_to_axis_angle, rotation_6d_to_matrix
from monocap.types import Array


def axis_angle_of_6d(numbers: Array, layout: Layout6D) -> tuple[Array, Array]:
    """Axis-angle vectors (…,3), angle in [0, π], of 6D rotations (…,6), and their derivative (…,3,6).

    ``layout``: interleaved_columns (VPoser) or contiguous_rows (TokenHMR). float64. Raises InputError for others.
    """
    numbers = np.asarray(numbers, dtype=np.float64)
    if layout == "interleaved_columns":
        first, second = slice(0, 6, 2), slice(1, 6, 2)
    elif layout == "contiguous_rows":
        first, second = slice(0, 3), slice(3, 6)
    else:
        raise InputError(f"layout {layout!r}; expected interleaved_columns or contiguous_rows")
    matrix = rotation_6d_to_matrix(numbers, layout)
    axes = (
        np.swapaxes(matrix, -1, -2) if layout == "interleaved_columns" else matrix
    )  # rows: the orthonormal b1, b2, b3
    b1, b2, b3 = axes[..., 0, :], axes[..., 1, :], axes[..., 2, :]
    a, b = numbers[..., first], numbers[..., second]
    length = np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-12)
    along = np.sum(b1 * b, axis=-1, keepdims=True)
    across = np.maximum(np.linalg.norm(b - along * b1, axis=-1, keepdims=True), 1e-12)
    # A turn ω of the frame (b1, b2, b3), in the frame's own axes: each is what one axis does towards another.
    own = np.zeros((*numbers.shape[:-1], 3, 6))
    own[..., 0, second] = b3 / across
    own[..., 0, first] = -along / (length * across) * b3
    own[..., 1, first] = -b3 / length
    own[..., 2, first] = b2 / length
    # dR = hat(turn) R. With columns R is the frame; with rows it is the frame's inverse, which turns the other way.
    turn = matrix @ own if layout == "interleaved_columns" else -own
    axis_angle = matrix_to_axis_angle(matrix)
    return axis_angle, np.linalg.inv(left_jacobian_so3(axis_angle)) @ turn
