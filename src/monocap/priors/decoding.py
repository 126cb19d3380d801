"""From the six numbers that a network predicts per joint to axis-angle vectors, with the derivative."""

from __future__ import annotations

from math import atan2, sqrt, tan

import numpy as np
from numba import njit

from monocap.errors import InputError
from monocap.geometry.rotations import Layout6D
from monocap.types import Array


def axis_angle_of_6d(numbers: Array, layout: Layout6D) -> tuple[Array, Array]:
    """Axis-angle vectors (…,3), angle in [0, π], of 6D rotations (…,6), and their derivative (…,3,6).

    ``layout``: interleaved_columns (VPoser) or contiguous_rows (TokenHMR). float64. Raises InputError for others.
    The rotation is that of `geometry.rotations.rotation_6d_to_matrix`; compiled, since fits ask for it at every step.
    """
    numbers = np.require(numbers, np.float64, ["C", "W"])
    if layout not in ("interleaved_columns", "contiguous_rows"):
        raise InputError(f"layout {layout!r}; expected interleaved_columns or contiguous_rows")
    if numbers.shape[-1:] != (6,):
        raise InputError(f"numbers have shape {numbers.shape}; expected (…,6)")
    lead = numbers.shape[:-1]
    angles, slopes = np.empty((*lead, 3)), np.empty((*lead, 3, 6))
    _angles_batch(
        numbers.reshape(-1, 6), layout == "interleaved_columns", angles.reshape(-1, 3), slopes.reshape(-1, 3, 6)
    )
    return angles, slopes


@njit(cache=True, nogil=True, error_model="numpy")
def _angles_batch(numbers, columns, angles, slopes):
    """Fills ``angles`` (M,3) and ``slopes`` (M,3,6); ``columns``: numbers (M,6) interleave the matrix's two columns,
    else they are its first two rows."""
    frame, turn, rotation = np.empty((3, 3)), np.empty((3, 6)), np.empty((3, 3))
    a, b, v = np.empty(3), np.empty(3), np.empty(3)
    first, second, step = (0, 1, 2) if columns else (0, 3, 1)
    for n in range(len(numbers)):
        for k in range(3):
            a[k], b[k] = numbers[n, first + step * k], numbers[n, second + step * k]
        length = max(sqrt(a[0] ** 2 + a[1] ** 2 + a[2] ** 2), 1e-12)
        along = (a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) / length
        for k in range(3):
            frame[0, k] = a[k] / length
            frame[1, k] = b[k] - along * frame[0, k]
        across = max(sqrt(frame[1, 0] ** 2 + frame[1, 1] ** 2 + frame[1, 2] ** 2), 1e-12)
        for k in range(3):
            frame[1, k] /= across
        for k in range(3):
            i, j = (k + 1) % 3, (k + 2) % 3
            frame[2, k] = frame[0, i] * frame[1, j] - frame[0, j] * frame[1, i]
        # A turn of the frame in the frame's own axes: each is what one axis does towards another.
        turn[:] = 0.0
        for k in range(3):
            turn[0, second + step * k] = frame[2, k] / across
            turn[0, first + step * k] = -along / (length * across) * frame[2, k]
            turn[1, first + step * k] = -frame[2, k] / length
            turn[2, first + step * k] = frame[1, k] / length
        # dR = hat(turn) R. With columns R is the frame; with rows its inverse, which turns the other way.
        for i in range(3):
            for j in range(3):
                rotation[i, j] = frame[j, i] if columns else frame[i, j]
        if columns:
            for c in range(6):
                x, y, z = turn[0, c], turn[1, c], turn[2, c]
                for k in range(3):
                    turn[k, c] = rotation[k, 0] * x + rotation[k, 1] * y + rotation[k, 2] * z
        else:
            turn *= -1.0
        angle = _log(rotation, v)
        # inverse of the left Jacobian: I − K/2 + e K², K² = v vᵀ − |v|² I
        square = angle * angle
        if angle < 0.03:
            e = 1.0 / 12.0 + square / 720.0 + square * square / 30240.0
        else:
            e = 1.0 / square - 0.5 / (angle * tan(0.5 * angle))
        for c in range(6):
            x, y, z = turn[0, c], turn[1, c], turn[2, c]
            dot = v[0] * x + v[1] * y + v[2] * z
            slopes[n, 0, c] = x - 0.5 * (v[1] * z - v[2] * y) + e * (v[0] * dot - square * x)
            slopes[n, 1, c] = y - 0.5 * (v[2] * x - v[0] * z) + e * (v[1] * dot - square * y)
            slopes[n, 2, c] = z - 0.5 * (v[0] * y - v[1] * x) + e * (v[2] * dot - square * z)
        for k in range(3):
            angles[n, k] = v[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _log(r, v):
    """Fills ``v`` with the axis-angle vector of ``r``, by the safest component of its quaternion; returns the angle."""
    w = 1.0 + r[0, 0] + r[1, 1] + r[2, 2]
    x = 1.0 + r[0, 0] - r[1, 1] - r[2, 2]
    y = 1.0 - r[0, 0] + r[1, 1] - r[2, 2]
    z = 1.0 - r[0, 0] - r[1, 1] + r[2, 2]
    if w >= x and w >= y and w >= z:
        x, y, z = r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
    elif x >= y and x >= z:
        w, y, z = r[2, 1] - r[1, 2], r[1, 0] + r[0, 1], r[0, 2] + r[2, 0]
    elif y >= z:
        w, x, z = r[0, 2] - r[2, 0], r[1, 0] + r[0, 1], r[2, 1] + r[1, 2]
    else:
        w, x, y = r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[2, 1] + r[1, 2]
    if w < 0:
        w, x, y, z = -w, -x, -y, -z
    sine = sqrt(x * x + y * y + z * z)
    angle = 2.0 * atan2(sine, w)
    scale = angle / sine if sine > 1e-12 * w else 2.0 / w
    v[0], v[1], v[2] = scale * x, scale * y, scale * z
    return sqrt(v[0] ** 2 + v[1] ** 2 + v[2] ** 2)
