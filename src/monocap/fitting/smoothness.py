"""Smoothness over time: small accelerations of the joints, in metres per second squared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from monocap.fitting.state import BODY_JOINTS, FREE_POSE, POSE, UNKNOWNS, Linearised
from monocap.types import Array


class Coupling(NamedTuple):
    """Normal equations of the coupling: cost, gradient (T,n), diagonal blocks, A[t,t+1] and A[t,t+2]."""

    cost: float
    gradient: Array
    hessian: Array
    next: Array
    after_next: Array


@dataclass(frozen=True)
class Smoothness:
    """Second differences of 3D joint positions, and weakly of the pose itself (twists move no joint).

    ``times`` (T,) s: uneven spacing (dropped frames, variable rate) is taken into account.
    ``acceleration`` m/s²: one standard deviation (9 = 10 mm/frame² at 30 fps). ``depth_factor`` scales it for
    the camera's z, where one camera sees least. ``angular`` rad/s².
    """

    times: Array
    acceleration: float = 9.0
    depth_factor: float = 0.6
    angular: float = 60.0

    def stencil(self) -> Array:
        """(T-2,3) weights of three consecutive samples that give the second derivative."""
        h0 = np.maximum(np.diff(self.times)[:-1], 1e-3)
        h1 = np.maximum(np.diff(self.times)[1:], 1e-3)
        return np.stack([2 / (h0 * (h0 + h1)), -2 / (h0 * h1), 2 / (h1 * (h0 + h1))], axis=1)

    def normal(self, at: Linearised) -> Coupling:
        frames = at.state.frames
        n = UNKNOWNS
        gradient, hessian = np.zeros((frames, n)), np.zeros((frames, n, n))
        first, second = np.zeros((max(frames - 1, 0), n, n)), np.zeros((max(frames - 2, 0), n, n))
        if frames < 3:
            return Coupling(0.0, gradient, hessian, first, second)
        weights = self.stencil()
        inverse = 1.0 / (self.acceleration * np.array([1.0, 1.0, self.depth_factor]))
        joints = (at.joints * inverse).reshape(frames, -1)
        jacobian = (at.d_joints * inverse[:, None]).reshape(frames, 3 * BODY_JOINTS, n)
        residual = _second(joints, weights)
        pose = at.state.body_pose[:, FREE_POSE] / self.angular
        pose_residual = _second(pose, weights)
        cost = 0.5 * float(np.sum(residual**2) + np.sum(pose_residual**2))

        back, back_pose = _adjoint(residual, weights), _adjoint(pose_residual, weights)
        gradient += (np.swapaxes(jacobian, 1, 2) @ back[..., None])[..., 0]
        gradient[:, POSE] += back_pose / self.angular
        centre, one, two = _gram(weights)
        transposed = np.swapaxes(jacobian, 1, 2)
        hessian += centre[:, None, None] * (transposed @ jacobian)
        first += one[:, None, None] * (transposed[:-1] @ jacobian[1:])
        second += two[:, None, None] * (transposed[:-2] @ jacobian[2:])
        index = np.arange(POSE.start, POSE.stop)
        squared = 1.0 / self.angular**2
        hessian[:, index, index] += squared * centre[:, None]
        first[:, index, index] += squared * one[:, None]
        second[:, index, index] += squared * two[:, None]
        return Coupling(cost, gradient, hessian, first, second)


def _second(values: Array, weights: Array) -> Array:
    return weights[:, :1] * values[:-2] + weights[:, 1:2] * values[1:-1] + weights[:, 2:] * values[2:]


def _adjoint(residual: Array, weights: Array) -> Array:
    out = np.zeros((len(residual) + 2, residual.shape[1]))
    out[:-2] += weights[:, :1] * residual
    out[1:-1] += weights[:, 1:2] * residual
    out[2:] += weights[:, 2:] * residual
    return out


def _gram(weights: Array) -> tuple[Array, Array, Array]:
    """Diagonal and the two upper diagonals of DᵀD for the second-difference operator D."""
    frames = len(weights) + 2
    centre, one, two = np.zeros(frames), np.zeros(frames - 1), np.zeros(frames - 2)
    a, b, c = weights.T
    centre[:-2] += a * a
    centre[1:-1] += b * b
    centre[2:] += c * c
    one[:-1] += a * b
    one[1:] += b * c
    two += a * c
    return centre, one, two
