"""The energy term of measured 3D points: joints or markers whose places on the body are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monocap.fitting.state import UNKNOWNS, Linearised
from monocap.fitting.terms import Rows
from monocap.types import Array


@dataclass(frozen=True)
class Points3D:
    """Points on the body against measured ones, Geman–McClure per point.

    ``target`` (T,M,3) m in the frame of the state; ``weight`` (T,M), 0 = not measured; ``mix`` (M,N): each point as a
    weighted sum of the skeleton's N landmarks, which is linear blend skinning written out; ``deviation`` m: one
    standard deviation; ``cutoff``: where errors stop to count, in deviations.
    """

    target: Array
    weight: Array
    mix: Array
    deviation: float
    cutoff: float

    def rows(self, at: Linearised) -> Rows:
        frames, count = self.weight.shape
        error = (np.einsum("mn,tnc->tmc", self.mix, at.points) - self.target) / self.deviation
        squared = np.sum(error**2, axis=-1)
        c2 = self.cutoff**2
        robust = c2 / (c2 + squared)
        cost = 0.5 * np.sum(self.weight * squared * robust, axis=1)
        scale = np.sqrt(self.weight) * robust  # sqrt of ρ'(e²) for ρ = c² e² / (c² + e²)
        by_point = (scale / self.deviation)[..., None, None]
        jacobian = self._mixed(at.d_points) * by_point
        by_betas = None
        if at.b_points is not None:
            by_betas = (self._mixed(at.b_points) * by_point).reshape(frames, 3 * count, -1)
        return Rows(
            (scale[..., None] * error).reshape(frames, -1),
            jacobian.reshape(frames, 3 * count, UNKNOWNS),
            by_betas,
            cost,
        )

    def _mixed(self, derivative: Array) -> Array:
        """(M,N) applied to (T,N,3,n): one matrix product per frame."""
        frames, count, _, n = derivative.shape
        return (self.mix @ derivative.reshape(frames, count, 3 * n)).reshape(frames, len(self.mix), 3, n)
