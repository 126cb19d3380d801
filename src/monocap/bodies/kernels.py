"""Compiled loops of posing: Rodrigues' formula and linear blend skinning, each with its adjoint, pose correctives.

Kinematics between them is `monocap.geometry.kernels`. Rotations and joints are float64; meshes have the dtype of the
call. All loops are serial and free of the GIL.
"""

from __future__ import annotations

from math import cos, sin, sqrt

from numba import njit

EPSILON = 1e-8
"""Added to each component of an axis-angle vector before its length is taken, as smplx does; equality to it in
float64 depends on that (the rotation differs by as much)."""


@njit(cache=True, nogil=True, error_model="numpy")
def rotate_batch(pose, local):
    """Axis-angle ``pose`` (N,J,3) → fills ``local`` (N,J,3,3)."""
    for n in range(pose.shape[0]):
        for j in range(pose.shape[1]):
            x, y, z = pose[n, j, 0], pose[n, j, 1], pose[n, j, 2]
            square = (x + EPSILON) ** 2 + (y + EPSILON) ** 2 + (z + EPSILON) ** 2
            s, c = 1.0, 0.5
            if square > 1e-30:
                angle = sqrt(square)
                half = sin(0.5 * angle)
                s, c = sin(angle) / angle, 2.0 * half * half / square
            r = local[n, j]
            r[0, 0], r[0, 1], r[0, 2] = 1.0 - c * (y * y + z * z), c * x * y - s * z, c * x * z + s * y
            r[1, 0], r[1, 1], r[1, 2] = c * x * y + s * z, 1.0 - c * (x * x + z * z), c * y * z - s * x
            r[2, 0], r[2, 1], r[2, 2] = c * x * z - s * y, c * y * z + s * x, 1.0 - c * (x * x + y * y)


@njit(cache=True, nogil=True, error_model="numpy")
def rotate_adjoint(pose, grad_local, grad_pose):
    """Fills ``grad_pose`` (N,J,3) from ``grad_local`` (N,J,3,3)."""
    for n in range(pose.shape[0]):
        for j in range(pose.shape[1]):
            x, y, z = pose[n, j, 0], pose[n, j, 1], pose[n, j, 2]
            square = (x + EPSILON) ** 2 + (y + EPSILON) ** 2 + (z + EPSILON) ** 2
            if square < 1e-4:  # series, where the closed forms cancel; exact to float64
                s, c = 1.0 - square / 6.0 * (1.0 - square / 20.0), 0.5 - square / 24.0 * (1.0 - square / 30.0)
                ds = -1.0 / 3.0 + square / 30.0 * (1.0 - square / 28.0)
                dc = -1.0 / 12.0 + square / 180.0 * (1.0 - square / 37.333333333333336)
            else:
                angle = sqrt(square)
                half = sin(0.5 * angle)
                s, c = sin(angle) / angle, 2.0 * half * half / square
                ds, dc = (cos(angle) - s) / square, (s - 2.0 * c) / square
            g = grad_local[n, j]
            u, v, w = g[2, 1] - g[1, 2], g[0, 2] - g[2, 0], g[1, 0] - g[0, 1]  # by the antisymmetric part
            by_s = u * x + v * y + w * z
            a, b, d = g[0, 1] + g[1, 0], g[0, 2] + g[2, 0], g[1, 2] + g[2, 1]
            trace = g[0, 0] + g[1, 1] + g[2, 2]
            sx = g[0, 0] * x * x + g[1, 1] * y * y + g[2, 2] * z * z
            by_c = sx + a * x * y + b * x * z + d * y * z - trace * (x * x + y * y + z * z)
            by_angle = ds * by_s + dc * by_c
            grad_pose[n, j, 0] = s * u + c * (2 * (g[0, 0] - trace) * x + a * y + b * z) + by_angle * (x + EPSILON)
            grad_pose[n, j, 1] = s * v + c * (a * x + 2 * (g[1, 1] - trace) * y + d * z) + by_angle * (y + EPSILON)
            grad_pose[n, j, 2] = s * w + c * (b * x + d * y + 2 * (g[2, 2] - trace) * z) + by_angle * (z + EPSILON)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def correct_one(feature, correctives, out):
    """``out`` (M,) += ``feature`` (P,) @ ``correctives`` (P,M), one pass over the rows that are not zero."""
    rows = 0
    for k in range(len(feature)):
        rows += feature[k] != 0
    used = [0] * rows
    i = 0
    for k in range(len(feature)):
        if feature[k] != 0:
            used[i] = k
            i += 1
    whole = rows - rows % 4
    for i in range(0, whole, 4):
        a, b, c, d = feature[used[i]], feature[used[i + 1]], feature[used[i + 2]], feature[used[i + 3]]
        p, q, r, s = correctives[used[i]], correctives[used[i + 1]], correctives[used[i + 2]], correctives[used[i + 3]]
        for m in range(len(out)):
            out[m] += a * p[m] + b * q[m] + c * r[m] + d * s[m]
    for i in range(whole, rows):
        a, p = feature[used[i]], correctives[used[i]]
        for m in range(len(out)):
            out[m] += a * p[m]


@njit(cache=True, nogil=True, error_model="numpy")
def bones_batch(world, joints, rest, which, bones):
    """Fills ``bones`` (N,J,12): the 3×4 matrices that carry rest vertices to posed ones, before translation.

    ``world`` (N,J,3,3), ``joints`` (N,J,3); ``rest`` (S,J,3), body n has the shape ``which[n]``.
    """
    for n in range(world.shape[0]):
        r = rest[which[n]]
        for j in range(world.shape[1]):
            for a in range(3):
                shift = joints[n, j, a]
                for b in range(3):
                    bones[n, j, 4 * a + b] = world[n, j, a, b]
                    shift -= world[n, j, a, b] * r[j, b]
                bones[n, j, 4 * a + 3] = shift


@njit(cache=True, nogil=True, error_model="numpy")
def skin_batch(shaped, bones, transl, start, index, values, out):
    """Fills ``out`` (N,V,3) metres: ``shaped`` (N or 1,V,3), ``bones`` (N,J,12), ``transl`` (N or 1,3); the weights
    of vertex v are ``values[start[v]:start[v+1]]`` for the joints ``index`` of the same range."""
    for n in range(len(out)):
        s, t = n if len(shaped) > 1 else 0, n if len(transl) > 1 else 0
        for v in range(shaped.shape[1]):
            x, y, z = shaped[s, v, 0], shaped[s, v, 1], shaped[s, v, 2]
            px, py, pz = transl[t, 0], transl[t, 1], transl[t, 2]
            for k in range(start[v], start[v + 1]):
                m, c = bones[n, index[k]], values[k]
                px += c * (m[0] * x + m[1] * y + m[2] * z + m[3])
                py += c * (m[4] * x + m[5] * y + m[6] * z + m[7])
                pz += c * (m[8] * x + m[9] * y + m[10] * z + m[11])
            out[n, v, 0], out[n, v, 1], out[n, v, 2] = px, py, pz


@njit(cache=True, nogil=True, error_model="numpy")
def skin_adjoint(shaped, bones, start, index, values, grad, grad_shaped, grad_bones):
    """From ``grad`` (N,V,3) fills ``grad_shaped`` (N,V,3) and adds to ``grad_bones`` (N,J,12)."""
    for n in range(len(grad)):
        s = n if len(shaped) > 1 else 0
        for v in range(grad.shape[1]):
            x, y, z = shaped[s, v, 0], shaped[s, v, 1], shaped[s, v, 2]
            gx, gy, gz = grad[n, v, 0], grad[n, v, 1], grad[n, v, 2]
            sx, sy, sz = 0 * gx, 0 * gx, 0 * gx
            for k in range(start[v], start[v + 1]):
                m, h, c = bones[n, index[k]], grad_bones[n, index[k]], values[k]
                a, b, d = c * gx, c * gy, c * gz
                sx += m[0] * a + m[4] * b + m[8] * d
                sy += m[1] * a + m[5] * b + m[9] * d
                sz += m[2] * a + m[6] * b + m[10] * d
                h[0] += a * x
                h[1] += a * y
                h[2] += a * z
                h[3] += a
                h[4] += b * x
                h[5] += b * y
                h[6] += b * z
                h[7] += b
                h[8] += d * x
                h[9] += d * y
                h[10] += d * z
                h[11] += d
            grad_shaped[n, v, 0], grad_shaped[n, v, 1], grad_shaped[n, v, 2] = sx, sy, sz


@njit(cache=True, nogil=True, error_model="numpy")
def bones_adjoint(world, rest, which, grad_bones, grad_world, grad_joints, grad_rest):
    """Adds the gradient of `bones_batch` to ``grad_world``, ``grad_joints`` and ``grad_rest`` (S,J,3)."""
    for n in range(world.shape[0]):
        r, g = rest[which[n]], grad_rest[which[n]]
        for j in range(world.shape[1]):
            for a in range(3):
                shift = grad_bones[n, j, 4 * a + 3]
                grad_joints[n, j, a] += shift
                for b in range(3):
                    grad_world[n, j, a, b] += grad_bones[n, j, 4 * a + b] - shift * r[j, b]
                    g[j, b] -= world[n, j, a, b] * shift
