"""The kinematic fit's energy, its normal equations and its Levenberg–Marquardt loop, compiled.

Unknowns: a turn of the root (from the left), the root's position, then the free angles. Every observed point enters
with one 3×3 matrix and one 3-vector, whatever terms ask for it, and moves only with the joints above it: the normal
equations cost a few ten thousand products.
"""

from __future__ import annotations

from math import sin, sqrt

import numpy as np
from numba import njit

from monocap.geometry.kernels import fk_kernel

IK, PROJ, SMOOTH, DEPTH, LIMIT = range(5)
NEAR = 0.05  # metres in front of the camera, below which perspective is held


@njit(cache=True, nogil=True, error_model="numpy")
def turn(x, y, z, out):
    """Rodrigues: fills ``out`` (3,3)."""
    square = x * x + y * y + z * z
    if square < 1e-12:
        s, c = 1.0 - square / 6.0, 0.5 - square / 24.0
    else:
        angle = sqrt(square)
        s, c = sin(angle) / angle, 2.0 * sin(0.5 * angle) ** 2 / square
    out[0, 0], out[0, 1], out[0, 2] = 1.0 - c * (y * y + z * z), c * x * y - s * z, c * x * z + s * y
    out[1, 0], out[1, 1], out[1, 2] = c * x * y + s * z, 1.0 - c * (x * x + z * z), c * y * z - s * x
    out[2, 0], out[2, 1], out[2, 2] = c * x * z - s * y, c * y * z + s * x, 1.0 - c * (x * x + y * y)


@njit(cache=True, nogil=True, error_model="numpy")
def left_jacobian(x, y, z, out):
    """How exp(r) turns, from the left, as r moves: fills ``out`` (3,3)."""
    square = x * x + y * y + z * z
    if square < 1e-8:
        b, c = 0.5 - square / 24.0, 1.0 / 6.0 - square / 120.0
    else:
        angle = sqrt(square)
        b, c = 2.0 * sin(0.5 * angle) ** 2 / square, (angle - sin(angle)) / (square * angle)
    out[0, 0], out[0, 1], out[0, 2] = 1.0 - c * (y * y + z * z), c * x * y - b * z, c * x * z + b * y
    out[1, 0], out[1, 1], out[1, 2] = c * x * y + b * z, 1.0 - c * (x * x + z * z), c * y * z - b * x
    out[2, 0], out[2, 1], out[2, 2] = c * x * z - b * y, c * y * z + b * x, 1.0 - c * (x * x + y * y)


@njit(cache=True, nogil=True, error_model="numpy")
def place(root, angles, position, parents, rest, carriers, offsets, local, world, joints, points):
    """Fills ``world`` (J,3,3), ``joints`` (J,3), ``points`` (P,3), camera frame; ``rest`` is relative to the root."""
    for j in range(len(parents)):
        if parents[j] < 0:
            for a in range(3):
                for b in range(3):
                    local[j, a, b] = root[a, b]
        else:
            turn(angles[j, 0], angles[j, 1], angles[j, 2], local[j])
    fk_kernel(local, rest, parents, world, joints)
    for j in range(len(parents)):
        for a in range(3):
            joints[j, a] += position[a]
    for p in range(len(carriers)):
        k = carriers[p]
        for a in range(3):
            points[p, a] = joints[k, a]
            for b in range(3):
                points[p, a] += world[k, a, b] * offsets[p, b]


@njit(cache=True, nogil=True, error_model="numpy")
def energies(points, position, angles, lower, upper, seen3d, seen2d, trust, camera, past, steps, weights, terms):
    """Fills ``terms`` (5,) with the weighted energies and returns their sum.

    ``seen3d`` (P,3) root-relative, ``seen2d`` (P,2), ``trust`` (P,); ``camera`` fx, fy, cx, cy; ``past`` (2,P,3) the
    points one and two frames ago; ``steps`` (2,) s to them and between them, 0 where there is none.
    """
    for k in range(5):
        terms[k] = 0.0
    for p in range(len(points)):
        x, y, z = points[p, 0], points[p, 1], max(points[p, 2], NEAR)
        if trust[p] > 0.0:
            for a in range(3):
                terms[IK] += trust[p] * (points[p, a] - position[a] - seen3d[p, a]) ** 2
            u, v = camera[0] * x / z + camera[2] - seen2d[p, 0], camera[1] * y / z + camera[3] - seen2d[p, 1]
            terms[PROJ] += trust[p] * (u * u + v * v)
        if steps[0] > 0.0:
            terms[DEPTH] += ((points[p, 2] - past[0, p, 2]) / steps[0]) ** 2
        if steps[0] > 0.0 and steps[1] > 0.0:
            for a in range(3):
                now, then = (points[p, a] - past[0, p, a]) / steps[0], (past[0, p, a] - past[1, p, a]) / steps[1]
                terms[SMOOTH] += (2.0 * (now - then) / (steps[0] + steps[1])) ** 2
    for j in range(1, len(angles)):
        for a in range(3):
            over = max(angles[j, a] - upper[j, a], 0.0) + max(lower[j, a] - angles[j, a], 0.0)
            terms[LIMIT] += over * over
    total = 0.0
    for k in range(5):
        terms[k] *= weights[k]
        total += terms[k]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def normal(
    points, joints, world, position, angles, parents, carriers, columns, lower, upper,
    seen3d, seen2d, trust, camera, past, steps, weights, gradient, hessian,
):  # fmt: skip
    """Fills ``gradient`` (n,) = Jᵀr and the lower half of ``hessian`` (n,n) = JᵀJ; ``columns`` (J,3): each unknown."""
    size = len(gradient)
    for i in range(size):
        gradient[i] = 0.0
        for j in range(i + 1):
            hessian[i, j] = 0.0
    # World axes of each joint's angles: parent's rotation times the left Jacobian.
    axes, small = np.empty((len(parents), 3, 3)), np.empty((3, 3))
    for j in range(len(parents)):
        q = parents[j]
        if q >= 0:
            left_jacobian(angles[j, 0], angles[j, 1], angles[j, 2], small)
        for a in range(3):
            for b in range(3):
                if q < 0:
                    axes[j, a, b] = 1.0 * (a == b)
                else:
                    axes[j, a, b] = world[q, a, 0] * small[0, b] + world[q, a, 1] * small[1, b]
                    axes[j, a, b] += world[q, a, 2] * small[2, b]
    used, d, m = np.empty(size, np.int64), np.empty((size, 3)), np.empty((size, 3))
    matrix, force = np.empty((3, 3)), np.empty(3)
    for p in range(len(points)):
        # What asks for the point's place in space; then, what asks for its place beside the root.
        for a in range(3):
            force[a] = 0.0
            for b in range(3):
                matrix[a, b] = 0.0
        x, y, z = points[p, 0], points[p, 1], max(points[p, 2], NEAR)
        if trust[p] > 0.0:
            w = weights[PROJ] * trust[p]
            fx, fy = camera[0] / z, camera[1] / z
            gx, gy = (-fx * x / z, -fy * y / z) if points[p, 2] > NEAR else (0.0, 0.0)
            u, v = fx * x + camera[2] - seen2d[p, 0], fy * y + camera[3] - seen2d[p, 1]
            matrix[0, 0], matrix[1, 1], matrix[2, 2] = w * fx * fx, w * fy * fy, w * (gx * gx + gy * gy)
            matrix[0, 2], matrix[1, 2] = w * fx * gx, w * fy * gy
            matrix[2, 0], matrix[2, 1] = matrix[0, 2], matrix[1, 2]
            force[0], force[1], force[2] = w * fx * u, w * fy * v, w * (gx * u + gy * v)
        if steps[0] > 0.0:
            w = weights[DEPTH] / steps[0] ** 2
            matrix[2, 2] += w
            force[2] += w * (points[p, 2] - past[0, p, 2])
        if steps[0] > 0.0 and steps[1] > 0.0:
            k = 2.0 / (steps[0] * (steps[0] + steps[1]))
            for a in range(3):
                now, then = (points[p, a] - past[0, p, a]) / steps[0], (past[0, p, a] - past[1, p, a]) / steps[1]
                matrix[a, a] += weights[SMOOTH] * k * k
                force[a] += weights[SMOOTH] * k * 2.0 * (now - then) / (steps[0] + steps[1])
        beside = weights[IK] * max(trust[p], 0.0)
        count, j = 0, carriers[p]
        while j >= 0:
            rx, ry, rz = x - joints[j, 0], y - joints[j, 1], points[p, 2] - joints[j, 2]
            if rx * rx + ry * ry + rz * rz > 1e-20:
                for c in range(3):
                    if columns[j, c] < 0:
                        continue
                    ax, ay, az = axes[j, 0, c], axes[j, 1, c], axes[j, 2, c]
                    used[count] = columns[j, c]
                    d[count, 0], d[count, 1], d[count, 2] = ay * rz - az * ry, az * rx - ax * rz, ax * ry - ay * rx
                    count += 1
            j = parents[j]
        for i in range(count):
            for a in range(3):
                m[i, a] = matrix[a, 0] * d[i, 0] + matrix[a, 1] * d[i, 1] + matrix[a, 2] * d[i, 2]
                hessian[max(3 + a, used[i]), min(3 + a, used[i])] += m[i, a]
                away = 0.0
                if beside > 0.0:
                    away = beside * (points[p, a] - position[a] - seen3d[p, a])
                gradient[used[i]] += d[i, a] * (force[a] + away)
                m[i, a] += beside * d[i, a]
        for i in range(count):
            for k in range(i + 1):
                value = d[k, 0] * m[i, 0] + d[k, 1] * m[i, 1] + d[k, 2] * m[i, 2]
                hessian[max(used[i], used[k]), min(used[i], used[k])] += value
        for a in range(3):
            gradient[3 + a] += force[a]
            for b in range(a + 1):
                hessian[3 + a, 3 + b] += matrix[a, b]
    for j in range(1, len(angles)):
        for c in range(3):
            k = columns[j, c]
            if k < 0:
                continue
            over = max(angles[j, c] - upper[j, c], 0.0) - max(lower[j, c] - angles[j, c], 0.0)
            if over != 0.0:
                gradient[k] += weights[LIMIT] * over
                hessian[k, k] += weights[LIMIT]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def solve(hessian, gradient, damping, factor, delta):
    """Fills ``delta`` with −(H + damping · diagonal)⁻¹ g by Cholesky; False where that is not positive definite."""
    size, mean = len(gradient), 0.0
    for i in range(size):
        mean += hessian[i, i] / size
    for i in range(size):
        for j in range(i + 1):
            total = hessian[i, j]
            if i == j:  # a floor keeps angles solvable that nothing sees: twists of straight limbs
                total += damping * (total + 1e-4 * mean) + 1e-9 * mean + 1e-300
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            if i == j:
                if not total > 0.0:
                    return False
                factor[i, i] = sqrt(total)
            else:
                factor[i, j] = total / factor[j, j]
    for i in range(size):
        total = -gradient[i]
        for k in range(i):
            total -= factor[i, k] * delta[k]
        delta[i] = total / factor[i, i]
    for i in range(size - 1, -1, -1):
        total = delta[i]
        for k in range(i + 1, size):
            total -= factor[k, i] * delta[k]
        delta[i] = total / factor[i, i]
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def fit(
    root, angles, position, parents, rest, carriers, offsets, columns, lower, upper,
    seen3d, seen2d, trust, camera, past, steps, weights, iterations, tolerance,
    joints, points, terms, trace,
):  # fmt: skip
    """Levenberg–Marquardt from ``root`` (3,3), ``angles`` (J,3), ``position`` (3,), which are moved to the minimum.

    Fills ``joints``, ``points``, ``terms`` and ``trace`` (iterations + 1,), energies after every accepted step; returns
    how many of those there are.
    """
    size, count = 6, len(parents)
    for j in range(count):
        for c in range(3):
            size = max(size, columns[j, c] + 1)
    local, world = np.empty((count, 3, 3)), np.empty((count, 3, 3))
    gradient, hessian, factor = np.empty(size), np.empty((size, size)), np.empty((size, size))
    delta = np.empty(size)
    new_root, new_angles, new_position = np.empty((3, 3)), np.empty((count, 3)), np.empty(3)
    new_world, new_joints, new_points = np.empty((count, 3, 3)), np.empty((count, 3)), np.empty(points.shape)
    new_terms, swing = np.empty(5), np.empty((3, 3))
    place(root, angles, position, parents, rest, carriers, offsets, local, world, joints, points)
    energy = energies(
        points, position, angles, lower, upper, seen3d, seen2d, trust, camera, past, steps, weights, terms
    )  # fmt: skip
    trace[0], accepted = energy, 1
    damping, fresh, now = 1e-4, True, energy
    for _ in range(iterations):
        if fresh:
            normal(
                points, joints, world, position, angles, parents, carriers, columns, lower, upper,
                seen3d, seen2d, trust, camera, past, steps, weights, gradient, hessian,
            )  # fmt: skip
            fresh = False
        better = solve(hessian, gradient, damping, factor, delta)
        if better:
            for k in range(size):  # Gauss–Newton's model holds no farther than half a radian, a metre
                limit = 1.0 if 3 <= k < 6 else 0.5
                delta[k] = min(max(delta[k], -limit), limit)
            turn(delta[0], delta[1], delta[2], swing)
            for a in range(3):
                new_position[a] = position[a] + delta[3 + a]
                for b in range(3):
                    new_root[a, b] = swing[a, 0] * root[0, b] + swing[a, 1] * root[1, b] + swing[a, 2] * root[2, b]
            for j in range(count):
                for c in range(3):
                    k = columns[j, c]
                    new_angles[j, c] = angles[j, c] + (delta[k] if k >= 6 else 0.0)
            place(
                new_root, new_angles, new_position, parents, rest, carriers, offsets,
                local, new_world, new_joints, new_points,
            )  # fmt: skip
            now = energies(
                new_points, new_position, new_angles, lower, upper,
                seen3d, seen2d, trust, camera, past, steps, weights, new_terms,
            )  # fmt: skip
            better = now < energy
        if not better:
            damping *= 8.0
            if damping > 1e8:
                break
            continue
        gain, energy = energy - now, now
        _copy(new_root, root)
        _copy(new_angles, angles)
        _copy(new_joints, joints)
        _copy(new_points, points)
        for j in range(count):
            _copy(new_world[j], world[j])
        for a in range(3):
            position[a] = new_position[a]
        for k in range(5):
            terms[k] = new_terms[k]
        trace[accepted] = energy
        accepted += 1
        damping, fresh = max(damping * 0.1, 1e-9), True
        if gain <= tolerance * energy:
            break
    return accepted


@njit(cache=True, nogil=True)
def _copy(source, target):
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            target[i, j] = source[i, j]
