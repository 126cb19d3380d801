"""The conical distance field of a triangle: how much a vertex is inside a body, by the triangles it pierces.

Source: Tzionas et al., "Capturing Hands in Action" (IJCV 2016), as used by SMPLify-X (2019). Each triangle carries a
cone over its circumcircle (centre o, radius r, outward normal n) with the apex σ outside, opening inwards. With the
depth d = n·(v − o), the distance from the axis in units of the cone's radius there, Φ = ‖v − o − d n‖ / (r (1 − d/σ)),
and a profile ψ(d) that grows inwards, the field is Ψ = ((1 − Φ) ψ)^(e/2) inside the cone, 0 outside; a pair costs Σ Ψ².
The paper's e is 4; the released code squares once more, e = 8.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numba import njit

from monocap.fitting.collision.triangles import FLAT, cross

RIM = 1e-6
"""Metres added to the cone's radius, as the released code does: the division at the apex."""


@njit(cache=True, nogil=True, error_model="numpy")
def profile(depth, sigma):
    """ψ and its slope: 0 from σ outside, quadratic through the shell ±σ, then 1 more per metre inside."""
    if depth >= sigma:
        return 0.0, 0.0
    if depth <= -sigma:
        return 1.0 - sigma - depth, -1.0
    a, b, c = -(1.0 - 2.0 * sigma) / (4.0 * sigma * sigma), -1.0 / (2.0 * sigma), (3.0 - 2.0 * sigma) / 4.0
    return (a * depth + b) * depth + c, 2.0 * a * depth + b


@njit(cache=True, nogil=True, error_model="numpy")
def field(x, y, z, v, sigma, outside, g):
    """(1 − Φ) ψ of the triangle ``x``, ``y``, ``z`` (3,) at ``v`` (3,), and the gradient ``g`` (4,3) by those points.

    0 outside the cone; where not ``outside``, also on the outer side of the triangle. A triangle without area has no
    cone. The gradient is written only where the value is above 0.
    """
    ax, ay, az = x[0] - z[0], x[1] - z[1], x[2] - z[2]
    bx, by, bz = y[0] - z[0], y[1] - z[1], y[2] - z[2]
    cx, cy, cz = cross(ax, ay, az, bx, by, bz)
    aa, bb, cc = ax * ax + ay * ay + az * az, bx * bx + by * by + bz * bz, cx * cx + cy * cy + cz * cz
    if cc <= FLAT * max(aa, bb) ** 2:
        return 0.0
    long = sqrt(cc)
    nx, ny, nz = cx / long, cy / long, cz / long
    mx, my, mz = aa * bx - bb * ax, aa * by - bb * ay, aa * bz - bb * az
    qx, qy, qz = cross(mx, my, mz, cx, cy, cz)
    hx, hy, hz = qx / (2 * cc), qy / (2 * cc), qz / (2 * cc)  # circumcentre, from z
    radius = sqrt(hx * hx + hy * hy + hz * hz)
    ux, uy, uz = v[0] - z[0] - hx, v[1] - z[1] - hy, v[2] - z[2] - hz
    depth = nx * ux + ny * uy + nz * uz
    if depth >= sigma or (depth >= 0.0 and not outside):
        return 0.0
    wx, wy, wz = ux - depth * nx, uy - depth * ny, uz - depth * nz
    rho = sqrt(wx * wx + wy * wy + wz * wz)
    cone = radius * (1.0 - depth / sigma) + RIM
    if rho >= cone:
        return 0.0
    psi, slope = profile(depth, sigma)
    within = 1.0 - rho / cone
    # Backwards through the same steps; ``f`` is what the value changes with each quantity.
    f_rho, f_cone = -psi / cone, psi * rho / (cone * cone)
    f_depth = within * slope - f_cone * radius / sigma
    f_radius = f_cone * (1.0 - depth / sigma)
    s = f_rho / rho if rho > 0.0 else 0.0
    # by u: the direction across the axis, and along it
    gx, gy, gz = s * wx + f_depth * nx, s * wy + f_depth * ny, s * wz + f_depth * nz
    # by n, then by c = a × b whose direction it is
    t = -s * depth
    px, py, pz = t * wx + f_depth * ux, t * wy + f_depth * uy, t * wz + f_depth * uz
    along = px * nx + py * ny + pz * nz
    kx, ky, kz = (px - along * nx) / long, (py - along * ny) / long, (pz - along * nz) / long
    # by h, which moves the centre and is the radius
    t = f_radius / radius
    ex, ey, ez = t * hx - gx, t * hy - gy, t * hz - gz
    shrink = -(ex * hx + ey * hy + ez * hz) / cc
    dx, dy, dz = ex / (2 * cc), ey / (2 * cc), ez / (2 * cc)  # by q = m × c
    ix, iy, iz = cross(dx, dy, dz, mx, my, mz)
    kx, ky, kz = kx + ix + 2 * shrink * cx, ky + iy + 2 * shrink * cy, kz + iz + 2 * shrink * cz
    jx, jy, jz = cross(cx, cy, cz, dx, dy, dz)  # by m = |a|² b − |b|² a
    aj, bj = ax * jx + ay * jy + az * jz, bx * jx + by * jy + bz * jz
    lx, ly, lz = cross(bx, by, bz, kx, ky, kz)
    lx, ly, lz = lx + 2 * ax * bj - bb * jx, ly + 2 * ay * bj - bb * jy, lz + 2 * az * bj - bb * jz
    rx, ry, rz = cross(kx, ky, kz, ax, ay, az)
    rx, ry, rz = rx - 2 * bx * aj + aa * jx, ry - 2 * by * aj + aa * jy, rz - 2 * bz * aj + aa * jz
    g[0, 0], g[0, 1], g[0, 2] = lx, ly, lz
    g[1, 0], g[1, 1], g[1, 2] = rx, ry, rz
    g[2, 0], g[2, 1], g[2, 2] = -lx - rx - gx, -ly - ry - gy, -lz - rz - gz
    g[3, 0], g[3, 1], g[3, 2] = gx, gy, gz
    return within * psi


@njit(cache=True, nogil=True, error_model="numpy")
def penalty(vertices, faces, pairs, exponent, sigma, outside, gradient):
    """Σ ((1 − Φ) ψ)^exponent over ``pairs`` (P,2) of ``faces`` (F,3), each vertex of one in the other's cone and the
    other way round; adds to ``gradient`` (V,3)."""
    total = 0.0
    g = np.empty((4, 3))
    for k in range(len(pairs)):
        for way in range(2):
            receiver, intruder = faces[pairs[k, way]], faces[pairs[k, 1 - way]]
            x, y, z = vertices[receiver[0]], vertices[receiver[1]], vertices[receiver[2]]
            for i in range(3):
                value = field(x, y, z, vertices[intruder[i]], sigma, outside, g)
                if value <= 0.0:
                    continue
                power = value ** (exponent - 1.0)
                total += power * value
                for a in range(3):
                    gradient[receiver[0], a] += exponent * power * g[0, a]
                    gradient[receiver[1], a] += exponent * power * g[1, a]
                    gradient[receiver[2], a] += exponent * power * g[2, a]
                    gradient[intruder[i], a] += exponent * power * g[3, a]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def residuals(vertices, faces, pairs, exponent, sigma, outside, value, ids, slope):
    """Fills ``value`` (6P,), ``ids`` (6P,4) and ``slope`` (6P,4,3) with the rows that are not 0; returns how many."""
    count = 0
    for k in range(len(pairs)):
        for way in range(2):
            receiver, intruder = faces[pairs[k, way]], faces[pairs[k, 1 - way]]
            x, y, z = vertices[receiver[0]], vertices[receiver[1]], vertices[receiver[2]]
            for i in range(3):
                base = field(x, y, z, vertices[intruder[i]], sigma, outside, slope[count])
                if base <= 0.0:
                    continue
                power = base ** (0.5 * exponent - 1.0)
                value[count] = power * base
                for j in range(4):
                    ids[count, j] = receiver[j] if j < 3 else intruder[i]
                    for a in range(3):
                        slope[count, j, a] *= 0.5 * exponent * power
                count += 1
    return count
