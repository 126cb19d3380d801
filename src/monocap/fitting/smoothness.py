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
        if frames < 3:
            return uncoupled(frames, n)
        weights = self.stencil()
        inverse = 1.0 / (self.acceleration * np.array([1.0, 1.0, self.depth_factor]))
        joints = (at.joints * inverse).reshape(frames, -1)
        jacobian = (at.d_joints * inverse[:, None]).reshape(frames, 3 * BODY_JOINTS, n)
        coupling = couple(joints, jacobian, weights)
        pose = at.state.body_pose[:, FREE_POSE] / self.angular
        return couple_diagonal(coupling, pose, POSE, np.full(pose.shape[1], 1.0 / self.angular), weights)


def uncoupled(frames: int, n: int) -> Coupling:
    """No coupling: of too few frames to have an acceleration."""
    between = np.zeros((max(frames - 1, 0), n, n)), np.zeros((max(frames - 2, 0), n, n))
    return Coupling(0.0, np.zeros((frames, n)), np.zeros((frames, n, n)), *between)


def couple(values: Array, jacobian: Array, weights: Array) -> Coupling:
    """½ Σ (second difference of ``values``)²: ``values`` (T,m), ``jacobian`` (T,m,n), stencil ``weights`` (T−2,3)."""
    frames = len(values)
    residual = _second(values, weights)
    back = _adjoint(residual, weights)
    transposed = np.swapaxes(jacobian, 1, 2)
    gradient = (transposed @ back[..., None])[..., 0]
    centre, one, two = _gram(weights)
    return Coupling(
        0.5 * float(np.sum(residual**2)),
        gradient,
        centre[:, None, None] * (transposed @ jacobian),
        one[:, None, None] * (transposed[: frames - 1] @ jacobian[1:]),
        two[:, None, None] * (transposed[: frames - 2] @ jacobian[2:]),
    )


def couple_diagonal(coupling: Coupling, values: Array, columns: slice, scale: Array, weights: Array) -> Coupling:
    """``coupling``, written over, plus that of ``values`` (T,m) = ``scale`` (m,) × the unknowns in ``columns``."""
    residual = _second(values, weights)
    cost, gradient, hessian, first, second = coupling
    gradient[:, columns] += _adjoint(residual, weights) * scale
    centre, one, two = _gram(weights)
    index = np.arange(columns.start, columns.stop)
    hessian[:, index, index] += scale**2 * centre[:, None]
    first[:, index, index] += scale**2 * one[:, None]
    second[:, index, index] += scale**2 * two[:, None]
    return Coupling(cost + 0.5 * float(np.sum(residual**2)), gradient, hessian, first, second)


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
