"""Compiled loops over trees of joints: forward kinematics, its adjoint, Jacobians of posed points.

The ``*_kernel`` functions treat one body and fill their outputs, so that fitters can call them from their own
compiled loops; the ``*_batch`` ones run over N bodies, where rest shapes of length 1 serve all of them.
`monocap.geometry.kinematics` explains the notation, checks shapes and allocates.
"""

from __future__ import annotations

from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def fk_kernel(local, rest, parents, world, joints):
    """One tree: local (J,3,3), rest (J,3), parents (J,) → fills world (J,3,3) and joints (J,3)."""
    for i in range(len(parents)):
        p = parents[i]
        if p < 0:
            for a in range(3):
                joints[i, a] = rest[i, a]
                for b in range(3):
                    world[i, a, b] = local[i, a, b]
        else:
            x, y, z = rest[i, 0] - rest[p, 0], rest[i, 1] - rest[p, 1], rest[i, 2] - rest[p, 2]
            for a in range(3):
                u, v, w = world[p, a, 0], world[p, a, 1], world[p, a, 2]
                joints[i, a] = joints[p, a] + u * x + v * y + w * z
                for b in range(3):
                    world[i, a, b] = u * local[i, 0, b] + v * local[i, 1, b] + w * local[i, 2, b]


@njit(cache=True, nogil=True, error_model="numpy")
def points_kernel(rest, parents, world, joints, point_joints, rest_points, points, jacobian):
    """One posed tree: fills points (P,3) and jacobian (P,3,J,3) of points fixed to their joints."""
    for i in range(len(point_joints)):
        k = point_joints[i]
        x, y, z = rest_points[i, 0] - rest[k, 0], rest_points[i, 1] - rest[k, 1], rest_points[i, 2] - rest[k, 2]
        for a in range(3):
            points[i, a] = joints[k, a] + world[k, a, 0] * x + world[k, a, 1] * y + world[k, a, 2] * z
        jacobian[i] = 0.0
        while k >= 0:  # only the point's own joint and those above it move it
            p = parents[k]
            x, y, z = points[i, 0] - joints[k, 0], points[i, 1] - joints[k, 1], points[i, 2] - joints[k, 2]
            for c in range(3):
                if p < 0:
                    u, v, w = 1.0 * (c == 0), 1.0 * (c == 1), 1.0 * (c == 2)
                else:
                    u, v, w = world[p, 0, c], world[p, 1, c], world[p, 2, c]
                jacobian[i, 0, k, c] = v * z - w * y
                jacobian[i, 1, k, c] = w * x - u * z
                jacobian[i, 2, k, c] = u * y - v * x
            k = p


@njit(cache=True, nogil=True, error_model="numpy")
def betas_kernel(parents, world, joint_dirs, point_joints, point_dirs, joint_betas, point_betas):
    """One posed tree: fills joint_betas (J,3,B) and point_betas (P,3,B), the motion of posed joints and points."""
    size = joint_dirs.shape[2]
    for i in range(len(parents)):
        p = parents[i]
        for a in range(3):
            for b in range(size):
                if p < 0:
                    joint_betas[i, a, b] = joint_dirs[i, a, b]
                else:
                    joint_betas[i, a, b] = (
                        joint_betas[p, a, b]
                        + world[p, a, 0] * (joint_dirs[i, 0, b] - joint_dirs[p, 0, b])
                        + world[p, a, 1] * (joint_dirs[i, 1, b] - joint_dirs[p, 1, b])
                        + world[p, a, 2] * (joint_dirs[i, 2, b] - joint_dirs[p, 2, b])
                    )
    for i in range(len(point_joints)):
        k = point_joints[i]
        for a in range(3):
            for b in range(size):
                point_betas[i, a, b] = (
                    joint_betas[k, a, b]
                    + world[k, a, 0] * (point_dirs[i, 0, b] - joint_dirs[k, 0, b])
                    + world[k, a, 1] * (point_dirs[i, 1, b] - joint_dirs[k, 1, b])
                    + world[k, a, 2] * (point_dirs[i, 2, b] - joint_dirs[k, 2, b])
                )


@njit(cache=True, nogil=True, error_model="numpy")
def fk_batch(local, rest, parents, world, joints):
    for n in range(len(local)):
        fk_kernel(local[n], rest[n if len(rest) > 1 else 0], parents, world[n], joints[n])


@njit(cache=True, nogil=True, error_model="numpy")
def adjoint_batch(local, rest, parents, world, grad_world, grad_joints, grad_local, grad_rest):
    """Reverse sweep; ``grad_world`` and ``grad_joints`` are used up as accumulators."""
    for n in range(len(local)):
        for i in range(len(parents) - 1, -1, -1):
            p = parents[i]
            if p < 0:
                for a in range(3):
                    grad_rest[n, i, a] += grad_joints[n, i, a]
                    for b in range(3):
                        grad_local[n, i, a, b] = grad_world[n, i, a, b]
                continue
            for a in range(3):
                bone = 0.0
                for c in range(3):
                    bone += world[n, p, c, a] * grad_joints[n, i, c]
                grad_rest[n, i, a] += bone
                grad_rest[n, p, a] -= bone
                grad_joints[n, p, a] += grad_joints[n, i, a]
                for b in range(3):
                    own, above = 0.0, grad_joints[n, i, a] * (rest[n, i, b] - rest[n, p, b])
                    for c in range(3):
                        own += world[n, p, c, a] * grad_world[n, i, c, b]
                        above += grad_world[n, i, a, c] * local[n, i, b, c]
                    grad_local[n, i, a, b] = own
                    grad_world[n, p, a, b] += above


@njit(cache=True, nogil=True, error_model="numpy")
def points_batch(local, rest, parents, point_joints, rest_points, world, joints, points, jacobian):
    for n in range(len(local)):
        r = n if len(rest) > 1 else 0
        fk_kernel(local[n], rest[r], parents, world[n], joints[n])
        x = rest_points[n if len(rest_points) > 1 else 0]
        points_kernel(rest[r], parents, world[n], joints[n], point_joints, x, points[n], jacobian[n])


@njit(cache=True, nogil=True, error_model="numpy")
def betas_batch(parents, world, joint_dirs, point_joints, point_dirs, joint_betas, point_betas):
    for n in range(len(world)):
        betas_kernel(parents, world[n], joint_dirs, point_joints, point_dirs, joint_betas[n], point_betas[n])


@njit(cache=True, nogil=True, error_model="numpy")
def chain_batch(jacobian, left, out):
    """out[n,p,a,j] = jacobian[n,p,a,j] @ left[n,j]; ``out`` may be ``jacobian`` itself."""
    for n in range(jacobian.shape[0]):
        for p in range(jacobian.shape[1]):
            for a in range(3):
                for j in range(jacobian.shape[3]):
                    u, v, w = jacobian[n, p, a, j, 0], jacobian[n, p, a, j, 1], jacobian[n, p, a, j, 2]
                    for b in range(3):
                        out[n, p, a, j, b] = u * left[n, j, 0, b] + v * left[n, j, 1, b] + w * left[n, j, 2, b]
