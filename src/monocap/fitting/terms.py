"""Energy terms: each turns the posed skeleton into weighted residuals (T,R) and Jacobians (T,R,63).

Residuals are in standard deviations, so that the energy is a negative log-likelihood: ½ Σ r². Robust terms give
iteratively re-weighted rows for the step and their true robust cost for its acceptance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monocap.fitting.state import FREE_POSE, POSE, UNKNOWNS, Linearised
from monocap.priors import PosePrior
from monocap.types import Array


@dataclass(frozen=True)
class Rows:
    """Weighted residuals (T,R), Jacobians by frame unknowns (T,R,63) and by betas (T,R,B) or None; ``cost`` (T,).

    ``columns``: which unknowns the Jacobian is by, where not by all.
    """

    residual: Array
    jacobian: Array
    by_betas: Array | None
    cost: Array
    columns: slice | None = None


class Term(Protocol):
    def rows(self, at: Linearised) -> Rows: ...


@dataclass(frozen=True)
class Reprojection:
    """Landmarks against detected keypoints, Geman–McClure per keypoint.

    ``target`` (T,N,2) px; ``weight`` (T,N) confidence × trust, 0 = not seen; ``K`` (3,3) px; ``deviation`` (T,) px: one
    standard deviation, usually 2 % of the person's extent; ``cutoff``: where errors stop to count, in deviations.
    """

    target: Array
    weight: Array
    K: Array
    deviation: Array
    cutoff: float

    def rows(self, at: Linearised) -> Rows:
        frames, count = self.weight.shape
        x, y, z = at.points[..., 0], at.points[..., 1], np.maximum(at.points[..., 2], 0.05)
        fx, fy, cx, cy = self.K[0, 0], self.K[1, 1], self.K[0, 2], self.K[1, 2]
        projected = np.stack([fx * x / z + cx, fy * y / z + cy], axis=-1)
        error = (projected - self.target) / self.deviation[:, None, None]
        squared = np.sum(error**2, axis=-1)
        c2 = self.cutoff**2
        robust = c2 / (c2 + squared)
        cost = 0.5 * np.sum(self.weight * squared * robust, axis=1)
        scale = np.sqrt(self.weight) * robust  # sqrt of ρ'(e²) for ρ = c² e² / (c² + e²)
        by_point = np.zeros((frames, count, 2, 3))
        by_point[..., 0, 0] = fx / z
        by_point[..., 0, 2] = -fx * x / z**2
        by_point[..., 1, 1] = fy / z
        by_point[..., 1, 2] = -fy * y / z**2
        by_point *= (scale / self.deviation[:, None])[..., None, None]
        jacobian = (by_point @ at.d_points).reshape(frames, 2 * count, UNKNOWNS)
        by_betas = None
        if at.b_points is not None:
            by_betas = (by_point @ at.b_points).reshape(frames, 2 * count, -1)
        return Rows((scale[..., None] * error).reshape(frames, -1), jacobian, by_betas, cost)


@dataclass(frozen=True)
class Directions:
    """Directions between landmarks against the keypoint network's 3D hints (unit vectors, camera frame).

    ``target`` (T,D,3); ``weight`` (T,D); ``pairs`` (D,2) landmark indices; ``deviation`` in radians.
    """

    target: Array
    weight: Array
    pairs: NDArray[np.int64]
    deviation: float

    def rows(self, at: Linearised) -> Rows:
        frames, count = self.weight.shape
        a, b = self.pairs.T
        vector = at.points[:, b] - at.points[:, a]
        length = np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-6)
        unit = vector / length
        scale = np.sqrt(self.weight)[..., None] / self.deviation
        residual = (scale * (unit - self.target)).reshape(frames, -1)
        tangent = (np.eye(3) - unit[..., :, None] * unit[..., None, :]) * (scale / length)[..., None]
        jacobian = (tangent @ (at.d_points[:, b] - at.d_points[:, a])).reshape(frames, 3 * count, UNKNOWNS)
        by_betas = None
        if at.b_points is not None:
            by_betas = (tangent @ (at.b_points[:, b] - at.b_points[:, a])).reshape(frames, 3 * count, -1)
        return Rows(residual, jacobian, by_betas, 0.5 * np.sum(residual**2, axis=1))


@dataclass(frozen=True)
class PosePull:
    """A Gaussian over ``body_pose`` about the everyday mean (priors.anatomy); ``strength`` multiplies its energy."""

    prior: PosePrior
    strength: float = 1.0

    def rows(self, at: Linearised) -> Rows:
        mean = self.prior.mean.reshape(-1)[FREE_POSE]
        scale = np.sqrt(self.strength) / self.prior.deviation.reshape(-1)[FREE_POSE]
        residual = scale * (at.state.body_pose[:, FREE_POSE] - mean)
        return _diagonal(residual, np.broadcast_to(scale, residual.shape))


@dataclass(frozen=True)
class JointLimits:
    """Hinge on every axis of ``body_pose`` outside its range; ``deviation`` rad past the limit costs ½."""

    prior: PosePrior
    deviation: float = 0.06

    def rows(self, at: Linearised) -> Rows:
        pose = at.state.body_pose[:, FREE_POSE]
        over = np.maximum(pose - self.prior.upper.reshape(-1)[FREE_POSE], 0.0)
        under = np.minimum(pose - self.prior.lower.reshape(-1)[FREE_POSE], 0.0)
        beyond = over + under
        return _diagonal(beyond / self.deviation, (beyond != 0) / self.deviation)


# Columns of body_pose that are positive, after the sign, when bent the wrong way: elbows about y, knees about x.
_BENDS = ((17 * 3 + 1, 1.0), (18 * 3 + 1, -1.0), (3 * 3, -1.0), (4 * 3, -1.0))


@dataclass(frozen=True)
class Bending:
    """SMPLify's exponential against elbows and knees that bend backwards: r = w·exp(s θ) (Bogo 2016, eq. 6)."""

    strength: float = 0.15

    def rows(self, at: Linearised) -> Rows:
        frames = at.state.frames
        residual = np.empty((frames, len(_BENDS)))
        jacobian = np.zeros((frames, len(_BENDS), UNKNOWNS))
        columns = {int(c): i for i, c in enumerate(FREE_POSE)}
        for row, (column, sign) in enumerate(_BENDS):
            value = self.strength * np.exp(np.clip(sign * at.state.body_pose[:, column], -4.0, 4.0))
            residual[:, row] = value
            jacobian[:, row, POSE.start + columns[column]] = sign * value
        return Rows(residual, jacobian, None, 0.5 * np.sum(residual**2, axis=1))


def _diagonal(residual: Array, slope: Array | NDArray[np.bool_]) -> Rows:
    """Rows that each depend on one entry of the free pose only."""
    frames, count = residual.shape
    jacobian = np.zeros((frames, count, UNKNOWNS))
    index = np.arange(count)
    jacobian[:, index, POSE.start + index] = slope
    return Rows(residual, jacobian, None, 0.5 * np.sum(residual**2, axis=1))


@dataclass(frozen=True)
class Shape:
    """Prior over ``betas`` (unit Gaussians) and stature; acts once per person, not per frame.

    ``strength`` multiplies the Gaussian: it must grow with the number of frames, else betas run away.
    ``height`` (m) and ``height_deviation``: held tightly, since size and distance trade off in one camera.
    ``sole_to_crown`` = (height at betas 0, its derivative (B,)).
    """

    strength: float
    height: float
    height_deviation: float
    sole_to_crown: tuple[float, Array]

    def normal(self, betas: Array) -> tuple[float, Array, Array]:
        """Cost, gradient (B,) and Hessian (B,B)."""
        base, slope = self.sole_to_crown
        error = (base + slope @ betas - self.height) / self.height_deviation
        row = slope / self.height_deviation
        cost = 0.5 * self.strength * float(betas @ betas + error**2)
        gradient = self.strength * (betas + error * row)
        return cost, gradient, self.strength * (np.eye(len(betas)) + np.outer(row, row))
