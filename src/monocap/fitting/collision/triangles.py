"""Do two triangles in space meet? Separating axes, exact up to rounding, for any triangles.

Two convex sets are apart if and only if their projections onto some axis are. For triangles the axes to try are both
normals, the nine products of edges and, in one plane, the edges' normals in it: 17. A triangle without area is a
segment or a point; then a few more axes are tried, which can only find more proofs of being apart. Triangles
that touch count as meeting.
"""

from __future__ import annotations

from numba import njit

FLAT = 1e-16
"""Below this share of (longest edge)⁴ a squared double area counts as zero: sine of the angle under 1e-8."""


@njit(cache=True, nogil=True)
def cross(ax, ay, az, bx, by, bz):
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


@njit(cache=True, nogil=True, error_model="numpy")
def _apart_along(x, y, z, p, q):
    """Whether the projections of both triangles (9,) onto the axis are disjoint."""
    a, b, c = x * p[0] + y * p[1] + z * p[2], x * p[3] + y * p[4] + z * p[5], x * p[6] + y * p[7] + z * p[8]
    d, e, f = x * q[0] + y * q[1] + z * q[2], x * q[3] + y * q[4] + z * q[5], x * q[6] + y * q[7] + z * q[8]
    return max(a, b, c) < min(d, e, f) or max(d, e, f) < min(a, b, c)


@njit(cache=True, nogil=True, error_model="numpy")
def meet(first, second, p, q):
    """Whether triangles ``first`` and ``second`` (9,), three corners each, have a point in common.

    ``p`` and ``q`` (18,) are work space: corners relative to a common origin, so that rounding is that of the
    triangles' size, not of where they are; then their edges.
    """
    for k in range(9):
        origin = first[k % 3]
        p[k], q[k] = first[k] - origin, second[k] - origin
    for t in (p, q):
        for k in range(3):
            t[9 + k], t[12 + k], t[15 + k] = t[3 + k] - t[k], t[6 + k] - t[3 + k], t[k] - t[6 + k]
    nx, ny, nz = cross(p[9], p[10], p[11], p[12], p[13], p[14])
    # Corners of one all on one side of the other's plane: settles nearly every pair. p[0] is the origin.
    a, b, c = nx * q[0] + ny * q[1] + nz * q[2], nx * q[3] + ny * q[4] + nz * q[5], nx * q[6] + ny * q[7] + nz * q[8]
    if (a > 0 and b > 0 and c > 0) or (a < 0 and b < 0 and c < 0):
        return False
    mx, my, mz = cross(q[9], q[10], q[11], q[12], q[13], q[14])
    height = mx * q[0] + my * q[1] + mz * q[2]
    a, b = -height, mx * p[3] + my * p[4] + mz * p[5] - height
    c = mx * p[6] + my * p[7] + mz * p[8] - height
    if (a > 0 and b > 0 and c > 0) or (a < 0 and b < 0 and c < 0):
        return False
    if _apart_along(nx, ny, nz, p, q) or _apart_along(mx, my, mz, p, q):
        return False
    for i in range(9, 18, 3):
        for j in range(9, 18, 3):
            x, y, z = cross(p[i], p[i + 1], p[i + 2], q[j], q[j + 1], q[j + 2])
            if _apart_along(x, y, z, p, q):
                return False
    for i in range(9, 18, 3):
        x, y, z = cross(nx, ny, nz, p[i], p[i + 1], p[i + 2])
        if _apart_along(x, y, z, p, q):
            return False
        x, y, z = cross(mx, my, mz, q[i], q[i + 1], q[i + 2])
        if _apart_along(x, y, z, p, q):
            return False
    if _flat(nx, ny, nz, p) or _flat(mx, my, mz, q):
        return not _flat_apart(nx, ny, nz, mx, my, mz, p, q)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _flat(nx, ny, nz, t):
    square = 0.0
    for i in range(9, 18, 3):
        square = max(square, t[i] ** 2 + t[i + 1] ** 2 + t[i + 2] ** 2)
    return nx * nx + ny * ny + nz * nz <= FLAT * square * square


@njit(cache=True, nogil=True, error_model="numpy")
def _flat_apart(nx, ny, nz, mx, my, mz, p, q):
    """More axes, for segments and points: along edges, across them towards the other, in the other's plane."""
    gx, gy, gz = q[0] - p[0], q[1] - p[1], q[2] - p[2]
    if _apart_along(gx, gy, gz, p, q):
        return True
    for t in (p, q):
        for i in range(9, 18, 3):
            dx, dy, dz = t[i], t[i + 1], t[i + 2]
            if _apart_along(dx, dy, dz, p, q):
                return True
            for ax, ay, az in ((nx, ny, nz), (mx, my, mz), cross(dx, dy, dz, gx, gy, gz)):
                x, y, z = cross(ax, ay, az, dx, dy, dz)
                if _apart_along(x, y, z, p, q):
                    return True
            other = q if t is p else p
            for j in range(9, 18, 3):  # two segments in one plane
                ax, ay, az = cross(dx, dy, dz, other[j], other[j + 1], other[j + 2])
                x, y, z = cross(ax, ay, az, dx, dy, dz)
                if _apart_along(x, y, z, p, q):
                    return True
    return False
