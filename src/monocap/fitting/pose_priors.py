"""Energy terms of what poses are human, from the learned priors: rows for the solver, like those in terms.py."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from monocap.fitting.state import FREE_JOINTS, FREE_POSE, POSE, UNKNOWNS, Linearised
from monocap.fitting.terms import Rows
from monocap.priors.gaussian import PoseGaussian
from monocap.priors.gmm import PoseMixture
from monocap.priors.limits import PoseLimits
from monocap.priors.vposer import VPoserPrior
from monocap.types import Array

_FREE = np.array([joint - 1 for joint in FREE_JOINTS])  # of the 21 body joints


@dataclass(frozen=True)
class GaussianPull:
    """½ ``strength`` (θ − μ)ᵀ Σ⁻¹ (θ − μ) over the free joints (the others are integrated out)."""

    prior: PoseGaussian
    strength: float = 1.0
    _free: PoseGaussian = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_free", self.prior.marginal(FREE_POSE))

    def rows(self, at: Linearised) -> Rows:
        scale = np.sqrt(self.strength)
        residual = scale * self._free.residual(at.state.body_pose[:, FREE_POSE])
        return _rows(residual, np.broadcast_to(scale * self._free.whitening, (*residual.shape, len(FREE_POSE))))


@dataclass(frozen=True)
class MixturePull:
    """``strength`` × SMPLify's mixture energy: each frame is pulled to the component that explains it best."""

    prior: PoseMixture
    strength: float = 1.0

    def rows(self, at: Linearised) -> Rows:
        chosen, residual, slope = self.prior.linearised(at.state.body_pose)
        scale = np.sqrt(self.strength)
        rows = _rows(scale * residual, scale * slope[..., FREE_POSE])
        rest = self.strength * (self.prior.constants[chosen] - self.prior.constants.min())
        return Rows(rows.residual, rows.jacobian, None, rows.cost + rest)


@dataclass(frozen=True)
class LatentPull:
    """``strength`` × VPoser's energy: how far out the code is, and what it misses, in ``angle`` rad.

    Dear: two networks are differentiated in every step; for photographs.
    """

    prior: VPoserPrior
    strength: float = 1.0
    angle: float = 0.25

    def rows(self, at: Linearised) -> Rows:
        pose = at.state.body_pose
        code, by_pose = self.prior.encode_with_jacobian(pose)
        decoded, by_code = self.prior.decode_with_jacobian(code)
        missed = (pose - decoded)[:, FREE_POSE] / self.angle
        by_free = by_pose[..., FREE_POSE]
        d_missed = (np.eye(len(FREE_POSE)) - by_code[:, FREE_POSE] @ by_free) / self.angle
        scale = np.sqrt(self.strength)
        return _rows(
            scale * np.concatenate([code, missed], axis=1), scale * np.concatenate([by_free, d_missed], axis=1)
        )


@dataclass(frozen=True)
class LimitExcess:
    """One row per free joint: how far beyond its limits it is, in ``deviation`` rad; 0 inside."""

    limits: PoseLimits
    deviation: float = 0.06

    def rows(self, at: Linearised) -> Rows:
        excess, slope = self.limits.excess_jacobian(at.state.body_pose)
        residual, slope = excess[:, _FREE] / self.deviation, slope[:, _FREE] / self.deviation
        count = len(_FREE)
        by_pose = np.zeros((len(residual), count, count, 3))
        by_pose[:, range(count), range(count)] = slope
        return _rows(residual, by_pose.reshape(len(residual), count, 3 * count))


def _rows(residual: Array, by_pose: Array) -> Rows:
    """Rows (T,R) that depend on the free pose only: derivative (T,R,57)."""
    jacobian = np.zeros((*residual.shape, UNKNOWNS))
    jacobian[..., POSE] = by_pose
    return Rows(residual, jacobian, None, 0.5 * np.sum(residual**2, axis=1))
