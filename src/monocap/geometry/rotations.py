"""Rotation matrices, axis-angle vectors, quaternions (wxyz) and 6D, converted into one another.

Every function takes any leading batch shape and is smooth where the mathematics allows: gradients are finite
at angle 0 and at π. Rotations are active: ``R @ x`` turns x. Angles in radians.
"""

from __future__ import annotations

from typing import Literal

from monocap.errors import InputError
from monocap.geometry.arrays import Array, apply_matrix, constant, eye, floats, safe_sqrt, transpose

Layout6D = Literal["interleaved_columns", "contiguous_columns", "contiguous_rows"]

# Below this squared angle the series with five terms is exact to float64; above it, the closed forms are
# accurate even in float32, where (θ − sin θ) loses digits quickly.
_SERIES = 0.25


def _series(xp, x, closed, coefficients):
    """closed(θ) for θ² = x, by its power series in x near zero (where closed forms divide by zero)."""
    small = x < _SERIES
    # constants, not ones_like: that bakes the batch size into traced graphs
    theta = xp.sqrt(xp.where(small, constant(1.0, x), x))
    near = xp.where(small, x, constant(0.0, x))
    power = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        power = power * near + c
    return xp.where(small, power, closed(theta))


def _sinc(xp, x):
    """sin θ / θ of x = θ²."""
    return _series(
        xp, x, lambda t: xp.sin(t) / t, (1, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800, 1 / 6227020800)
    )


def _cosc(xp, x):
    """(1 − cos θ) / θ² of x = θ²."""
    terms = (1 / 2, -1 / 24, 1 / 720, -1 / 40320, 1 / 3628800, -1 / 479001600, 1 / 87178291200)
    return _series(xp, x, lambda t: 2 * xp.sin(t / 2) ** 2 / t**2, terms)


def _sinc3(xp, x):
    """(θ − sin θ) / θ³ of x = θ²."""
    terms = (1 / 6, -1 / 120, 1 / 5040, -1 / 362880, 1 / 39916800, -1 / 6227020800, 1 / 1307674368000)
    return _series(xp, x, lambda t: (t - xp.sin(t)) / t**3, terms)


def hat(vector: Array) -> Array:
    """Cross-product matrix (…,3,3) of (…,3): ``hat(a) @ b = a × b``."""
    xp, vector = floats(("vector", vector, (3,)))
    x, y, z = (vector[..., i] for i in range(3))
    o = 0 * x
    return xp.stack(
        [xp.stack([o, -z, y], axis=-1), xp.stack([z, o, -x], axis=-1), xp.stack([-y, x, o], axis=-1)], axis=-2
    )


def vee(matrix: Array) -> Array:
    """(…,3) vector of the antisymmetric part of (…,3,3); inverse of `hat`."""
    xp, m = floats(("matrix", matrix, (3, 3)))
    return 0.5 * xp.stack(
        [m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], axis=-1
    )


def axis_angle_to_matrix(axis_angle: Array) -> Array:
    """Rotation matrices (…,3,3) of axis-angle vectors (…,3), by Rodrigues' formula."""
    xp, r = floats(("axis_angle", axis_angle, (3,)))
    x = xp.sum(r * r, axis=-1)[..., None, None]
    outer = r[..., :, None] * r[..., None, :]
    square = outer - x * eye(3, r)  # hat(r)²
    return eye(3, r) + _sinc(xp, x) * hat(r) + _cosc(xp, x) * square


def left_jacobian_so3(axis_angle: Array) -> Array:
    """Left Jacobian (…,3,3) of the exponential at (…,3): exp(r + dr) ≈ exp(J_l(r) dr) exp(r)."""
    xp, r = floats(("axis_angle", axis_angle, (3,)))
    x = xp.sum(r * r, axis=-1)[..., None, None]
    square = r[..., :, None] * r[..., None, :] - x * eye(3, r)
    return eye(3, r) + _cosc(xp, x) * hat(r) + _sinc3(xp, x) * square


def axis_angle_to_quaternion(axis_angle: Array) -> Array:
    """Unit quaternions (…,4) wxyz of axis-angle vectors (…,3)."""
    xp, r = floats(("axis_angle", axis_angle, (3,)))
    quarter = xp.sum(r * r, axis=-1, keepdims=True) / 4
    s = 0.5 * _sinc(xp, quarter)
    # cos(θ/2) from its own series, since √ at 0 has no gradient
    w = 1 - quarter * _cosc(xp, quarter)
    return xp.concat([w, s * r], axis=-1)


def quaternion_to_axis_angle(quaternion: Array) -> Array:
    """Axis-angle vectors (…,3), angle in [0, π], of quaternions (…,4) wxyz of any length but 0."""
    xp, q = floats(("quaternion", quaternion, (4,)))
    q = xp.where(q[..., :1] < 0, -q, q)
    w, v = q[..., :1], q[..., 1:]
    x = xp.sum(v * v, axis=-1, keepdims=True)
    small = x < 1e-3 * w * w  # never at w = 0, where the angle is π
    one = xp.ones_like(x)
    s = xp.sqrt(xp.where(small, one, x))
    safe_w = xp.where(small, w, one)
    t2 = xp.where(small, x, xp.zeros_like(x)) / (safe_w * safe_w)
    series = 2 / safe_w * (1 - t2 * (1 / 3 - t2 * (1 / 5 - t2 * (1 / 7 - t2 * (1 / 9 - t2 / 11)))))
    return v * xp.where(small, series, 2 * xp.atan2(s, w) / s)


def quaternion_to_matrix(quaternion: Array) -> Array:
    """Rotation matrices (…,3,3) of quaternions (…,4) wxyz of any length but 0."""
    xp, q = floats(("quaternion", quaternion, (4,)))
    q = q / xp.sqrt(xp.sum(q * q, axis=-1, keepdims=True))
    w, v = q[..., 0][..., None, None], q[..., 1:]
    outer = v[..., :, None] * v[..., None, :]
    x = xp.sum(v * v, axis=-1)[..., None, None]
    return eye(3, q) + 2 * (w * hat(v) + outer - x * eye(3, q))


def matrix_to_quaternion(matrix: Array) -> Array:
    """Unit quaternions (…,4) wxyz with w ≥ 0 of rotation matrices (…,3,3)."""
    xp, m = floats(("matrix", matrix, (3, 3)))
    a, b, c = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    rows = (  # 4 q qᵀ: each row is the quaternion times four of its components; the longest is the safest
        (1 + a + b + c, wx, wy, wz),
        (wx, 1 + a - b - c, xy, xz),
        (wy, xy, 1 - a + b - c, yz),
        (wz, xz, yz, 1 - a - b + c),
    )
    square = xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)
    diagonal = xp.stack([rows[i][i] for i in range(4)], axis=-1)
    longest = xp.argmax(diagonal, axis=-1, keepdims=True)
    chosen = xp.astype(longest == xp.arange(4, device=longest.device), m.dtype)
    q = xp.sum(square * chosen[..., None], axis=-2)
    q = q / xp.sqrt(xp.sum(q * q, axis=-1, keepdims=True))
    return xp.where(q[..., :1] < 0, -q, q)


def matrix_to_axis_angle(matrix: Array) -> Array:
    """Axis-angle vectors (…,3), angle in [0, π], of rotation matrices (…,3,3)."""
    return quaternion_to_axis_angle(matrix_to_quaternion(matrix))


def quaternion_multiply(a: Array, b: Array) -> Array:
    """Hamilton product (…,4) wxyz: the rotation b, then a."""
    xp, a, b = floats(("a", a, (4,)), ("b", b, (4,)))
    aw, ax, ay, az = (a[..., i] for i in range(4))
    bw, bx, by, bz = (b[..., i] for i in range(4))
    return xp.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def quaternion_conjugate(quaternion: Array) -> Array:
    """Conjugate (…,4) wxyz: the inverse rotation of a unit quaternion."""
    _, q = floats(("quaternion", quaternion, (4,)))
    return q * constant([1.0, -1.0, -1.0, -1.0], q)


def slerp(start: Array, end: Array, t: Array | float) -> Array:
    """Quaternion (…,4) wxyz at fraction ``t`` (a number or (…)) of the shorter way from start to end."""
    _, start, end = floats(("start", start, (4,)), ("end", end, (4,)))
    fraction = t if isinstance(t, int | float) else constant(t, start)[..., None]
    turn = quaternion_to_axis_angle(quaternion_multiply(quaternion_conjugate(start), end))
    return quaternion_multiply(start, axis_angle_to_quaternion(fraction * turn))


def rotation_6d_to_matrix(rotation: Array, layout: Layout6D) -> Array:
    """Rotation matrices (…,3,3) of 6D vectors (…,6) by Gram–Schmidt (Zhou et al. 2019).

    Three layouts are in use and give different rotations for the same numbers; it goes by the checkpoint:
    ``interleaved_columns`` reads (…,3,2) row by row (SPIN, VIBE, SMPLer, CLIFF); ``contiguous_columns`` two
    columns one after the other (HMR 2.0, CameraHMR); ``contiguous_rows`` two rows (TokenHMR, pytorch3d).
    """
    xp, x = floats(("rotation", rotation, (6,)))
    if layout == "interleaved_columns":
        a, b = x[..., 0::2], x[..., 1::2]
    elif layout in ("contiguous_columns", "contiguous_rows"):
        a, b = x[..., :3], x[..., 3:]
    else:
        raise InputError(f"layout {layout!r}; expected interleaved_columns, contiguous_columns or contiguous_rows")
    first = a / _length(xp, a)
    second = b - xp.sum(first * b, axis=-1, keepdims=True) * first
    second = second / _length(xp, second)
    axis = -2 if layout == "contiguous_rows" else -1
    return xp.stack([first, second, xp.linalg.cross(first, second)], axis=axis)


def _length(xp, vector):
    """Length, at least the tiny number under which torch's own normalisation stops dividing."""
    length = safe_sqrt(xp.sum(vector * vector, axis=-1, keepdims=True))
    return xp.where(length < 1e-12, constant(1e-12, length), length)


def matrix_to_rotation_6d(matrix: Array, layout: Layout6D) -> Array:
    """6D vectors (…,6) of rotation matrices (…,3,3); inverse of `rotation_6d_to_matrix` for every layout."""
    xp, m = floats(("matrix", matrix, (3, 3)))
    if layout == "interleaved_columns":
        parts = [m[..., i, :2] for i in range(3)]
    elif layout == "contiguous_columns":
        parts = [m[..., :, 0], m[..., :, 1]]
    elif layout == "contiguous_rows":
        parts = [m[..., 0, :], m[..., 1, :]]
    else:
        raise InputError(f"layout {layout!r}; expected interleaved_columns, contiguous_columns or contiguous_rows")
    return xp.concat(parts, axis=-1)


def geodesic_angle(a: Array, b: Array) -> Array:
    """Angle (…) in [0, π] between rotation matrices (…,3,3); its gradient at 0 and π is taken as 0."""
    xp, a, b = floats(("a", a, (3, 3)), ("b", b, (3, 3)))
    relative = transpose(a) @ b
    axis = vee(relative)
    sine = safe_sqrt(xp.sum(axis * axis, axis=-1))
    trace = relative[..., 0, 0] + relative[..., 1, 1] + relative[..., 2, 2]
    return xp.atan2(sine, (trace - 1) / 2)


def project_to_so3(matrix: Array) -> Array:
    """Rotations (…,3,3) nearest (Frobenius) to matrices (…,3,3), by singular value decomposition.

    In torch the gradient is exact and finite wherever the nearest rotation is unique, also where singular
    values coincide (at a rotation itself), which the gradient of the decomposition is not.
    """
    xp, m = floats(("matrix", matrix, (3, 3)))
    fixed = m.detach() if hasattr(m, "detach") else m
    u, _, vh = xp.linalg.svd(fixed)
    sign = xp.where(xp.linalg.det(u @ vh) < 0, -1.0, 1.0)
    flip = xp.stack([xp.ones_like(sign), xp.ones_like(sign), sign], axis=-1)
    r = (u * xp.astype(flip, m.dtype)[..., None, :]) @ vh
    if fixed is m:
        return r
    # Implicit function theorem on vee(rᵀm) = 0: a turn ω of r answers a change of m by (tr(s)I − s) ω = 2 vee(rᵀdm).
    s = transpose(r) @ fixed
    s = (s + transpose(s)) / 2
    stiffness = (s[..., 0, 0] + s[..., 1, 1] + s[..., 2, 2])[..., None, None] * eye(3, m) - s
    change = vee(transpose(r) @ m)
    turn = apply_matrix(xp.linalg.inv(stiffness), 2 * (change - change.detach()))
    return r @ (eye(3, m) + hat(turn))


def rotation_between(a: Array, b: Array) -> Array:
    """Rotation matrices (…,3,3) that turn directions a (…,3) to b by the shortest arc.

    Lengths do not matter; opposite directions are turned by π about some axis at right angles to them.
    """
    xp, a, b = floats(("a", a, (3,)), ("b", b, (3,)))
    a, b = a / _length(xp, a), b / _length(xp, b)
    cosine = xp.sum(a * b, axis=-1, keepdims=True)
    axis = apply_matrix(hat(a), b)
    # at right angles to a: cross it with the coordinate axis it is farthest from
    far = xp.astype(xp.argmin(xp.abs(a), axis=-1, keepdims=True) == xp.arange(3, device=a.device), a.dtype)
    spare = apply_matrix(hat(a), far)
    opposite = cosine < -1 + 8 * xp.finfo(a.dtype).eps
    w = xp.where(opposite, xp.zeros_like(cosine), 1 + cosine)
    return quaternion_to_matrix(xp.concat([w, xp.where(opposite, spare, axis)], axis=-1))
