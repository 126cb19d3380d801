"""The terms of SMPLify-X's energy as weighted residuals with analytic Jacobians.

Rows are scaled so that a term's energy, as written in `schedule`, is ½ Σ r². Robust terms give iteratively re-weighted
rows (their gradient is exact) and their true cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from monocap.fitting.smplifyx.points import PointModel
from monocap.fitting.smplifyx.state import At
from monocap.fitting.terms import Rows
from monocap.priors.gmm import PoseMixture
from monocap.types import Array

Index = NDArray[np.int64]
NEAR = 0.05  # m; nearer points are projected as if they were there
_MOST = 9.0  # bending stops to grow beyond so many radians, which only a runaway step reaches


class Term(Protocol):
    """One summand. ``take`` keeps some of the N samples."""

    @property
    def name(self) -> str: ...

    def rows(self, at: At) -> Rows: ...

    def take(self, index: Index) -> Self: ...


def geman_mcclure(error: Array, scale: Array | float) -> tuple[Array, Array]:
    """ρ(e) = s² e² / (s² + e²), and ρ'(e) / 2e, the weight of a re-weighted least-squares row."""
    share = scale**2 / (scale**2 + error**2)
    return error**2 * share, share**2


@dataclass(frozen=True)
class Reprojection:
    """weight · ρ(error) for each coordinate of each keypoint, in pixels.

    ``target`` (N,K,2) px; ``weight`` (N,K) = data² (γκ)², 0 = not seen; ``K`` (N,3,3) px; ``rho`` (N,) px.
    """

    name: str = field(default="reprojection", init=False)
    target: Array
    weight: Array
    K: Array
    rho: Array

    def rows(self, at: At) -> Rows:
        count, points = self.weight.shape
        error, by_point = projection(at.points, self.K)
        error = error - self.target
        rho, share = geman_mcclure(error, self.rho[:, None, None])
        cost = np.sum(self.weight[..., None] * rho, axis=(1, 2))
        assert at.d_points is not None
        scale = np.sqrt(2.0 * self.weight[..., None] * share)
        jacobian = projected(by_point * scale[..., None], at.d_points)
        return Rows((scale * error).reshape(count, 2 * points), jacobian.reshape(count, 2 * points, -1), None, cost)

    def take(self, index: Index) -> Reprojection:
        return Reprojection(self.target[index], self.weight[index], self.K[index], self.rho[index])


def projection(points: Array, K: Array) -> tuple[Array, Array]:
    """Pixels (N,K,2) of points (N,K,3), and their derivative as (N,K,2,2): by x or y, and by z."""
    z = np.maximum(points[..., 2], NEAR)
    focal = K[:, None, [0, 1], [0, 1]]
    pixels = focal * points[..., :2] / z[..., None] + K[:, None, :2, 2]
    by_own = focal / z[..., None]
    return pixels, np.stack([by_own, -by_own * points[..., :2] / z[..., None]], axis=-1)


def projected(by_point: Array, d_points: Array) -> Array:
    """(N,K,2,n) from (N,K,2,2) of `projection` and (N,K,3,n)."""
    return by_point[..., :1] * d_points[:, :, :2] + by_point[..., 1:] * d_points[:, :, 2:]


@dataclass(frozen=True)
class Quadratic:
    """Σ (w ⊙ (x M))² of one unknown x: ``weight`` (R,); ``mix`` (m,R) or None for the identity.

    VPoser's code, betas, expression, hands (``mix`` their components: the published term is over the 45 angles),
    jaw and eyes.
    """

    name: str
    block: str
    weight: Array
    mix: Array | None = None

    def rows(self, at: At) -> Rows:
        x = at.block(self.block)
        scale = np.sqrt(2.0) * self.weight
        if self.mix is None:
            residual, jacobian = scale * x, np.diag(scale)
        else:
            residual, jacobian = scale * (x @ self.mix), (self.mix * scale).T
        wide = np.broadcast_to(jacobian, (len(x), *jacobian.shape))
        return Rows(residual, wide, None, 0.5 * np.sum(residual**2, axis=1), at.columns[self.block])

    def take(self, index: Index) -> Quadratic:
        return self


@dataclass(frozen=True)
class Mixture:
    """w² times SMPLify's mixture energy with its constants: ``prior``; the likeliest component counts."""

    name: str = field(default="body_pose", init=False)
    prior: PoseMixture
    weight: float

    def rows(self, at: At) -> Rows:
        chosen, residual, slope = self.prior.linearised(at.body_pose)
        cost = self.weight**2 * (0.5 * np.sum(residual**2, axis=1) + self.prior.constants[chosen])
        jacobian = slope if at.d_pose is None else slope @ at.d_pose
        return Rows(self.weight * residual, self.weight * jacobian, None, cost, at.columns["pose"])

    def take(self, index: Index) -> Mixture:
        return self


# Columns of body_pose that are positive, after the sign, when bent the wrong way: elbows about y, knees about x.
BENDS = ((17 * 3 + 1, 1.0), (18 * 3 + 1, -1.0), (3 * 3, -1.0), (4 * 3, -1.0))


@dataclass(frozen=True)
class Bending:
    """weight · Σ exp(2 s θ) over elbows and knees; the weight is not squared (SMPLify's own is (3.17 w)²)."""

    name: str = field(default="bending", init=False)
    weight: float

    def rows(self, at: At) -> Rows:
        columns, sign = (np.array(values) for values in zip(*BENDS, strict=True))
        angle = np.clip(sign * at.body_pose[:, columns], -_MOST, _MOST)
        residual = np.sqrt(2.0 * self.weight) * np.exp(angle)
        slope = sign * residual * (np.abs(angle) < _MOST)
        if at.d_pose is None:
            jacobian = np.zeros((*residual.shape, at.body_pose.shape[1]))
            jacobian[:, range(len(columns)), columns] = slope
        else:
            jacobian = slope[..., None] * at.d_pose[:, columns]
        return Rows(residual, jacobian, None, 0.5 * np.sum(residual**2, axis=1), at.columns["pose"])

    def take(self, index: Index) -> Bending:
        return self


@dataclass(frozen=True)
class Stature:
    """((height(β) − height) / deviation)²: ``rise`` = height at betas 0 and its slope (B,), metres, linear."""

    name: str = field(default="stature", init=False)
    height: float
    rise: tuple[float, Array]
    deviation: float = 0.002

    def rows(self, at: At) -> Rows:
        base, slope = self.rise
        scale = np.sqrt(2.0) / self.deviation
        residual = scale * (base + at.block("betas") @ slope - self.height)[:, None]
        jacobian = np.broadcast_to(scale * slope, (len(residual), 1, len(slope)))
        return Rows(residual, jacobian, None, 0.5 * residual[:, 0] ** 2, at.columns["betas"])

    def take(self, index: Index) -> Stature:
        return self


@dataclass(frozen=True)
class Damped:
    """A pull towards given values of all unknowns but the root's turn: ``centre`` (N,n), ``weight`` (n,), squared."""

    name: str
    centre: Array
    weight: Array

    def rows(self, at: At) -> Rows:
        scale = np.sqrt(2.0) * self.weight
        residual = scale * (at.state.values - self.centre)
        jacobian = np.broadcast_to(np.diag(scale), (*residual.shape, len(scale)))
        return Rows(residual, jacobian, None, 0.5 * np.sum(residual**2, axis=1))

    def take(self, index: Index) -> Damped:
        return replace(self, centre=self.centre[index])


@dataclass(frozen=True)
class Points3D:
    """weight · ρ(error) per coordinate of measured 3D points, metres.

    ``points`` P points of the body; ``target`` (N,P,3) m; ``weight`` (N,P) 1/m²; ``scale`` m of the robustifier;
    ``relative``: both sides are taken from their weighted means, so that place does not count.
    """

    name: str = field(default="points3d", init=False)
    points: PointModel
    target: Array
    weight: Array
    scale: float = 0.1
    relative: bool = False

    def rows(self, at: At) -> Rows:
        count, points = self.weight.shape
        places, slope = at.of(self.points)
        error = places - self.target
        if self.relative:
            share = (self.weight / np.maximum(self.weight.sum(axis=1, keepdims=True), 1e-12))[..., None]
            error = error - np.sum(share * error, axis=1, keepdims=True)
            slope = slope - np.sum(share[..., None] * slope, axis=1, keepdims=True)
        rho, weight = geman_mcclure(error, self.scale)
        scale = np.sqrt(2.0 * self.weight[..., None] * weight)
        return Rows(
            (scale * error).reshape(count, 3 * points),
            (scale[..., None] * slope).reshape(count, 3 * points, -1),
            None,
            np.sum(self.weight[..., None] * rho, axis=(1, 2)),
        )

    def take(self, index: Index) -> Points3D:
        return replace(self, target=self.target[index], weight=self.weight[index])
