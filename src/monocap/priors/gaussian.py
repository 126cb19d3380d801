"""A Gaussian over ``body_pose`` with full covariance: which joints move together, and how far from the usual pose.

As residuals r = W(θ − μ) with WᵀW = Σ⁻¹ its energy is ½|r|² = −log p + const, so it adds rows to a least-squares fit.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from monocap.assets.manifest import locate
from monocap.errors import InputError
from monocap.files import read_npz
from monocap.types import Array


@dataclass(frozen=True)
class PoseGaussian:
    """``mean`` (D,) and ``covariance`` (D,D) of pose vectors, radians; D = 63 for SMPL-X's body."""

    mean: Array
    covariance: Array

    def __post_init__(self) -> None:
        size = len(self.mean)
        if np.shape(self.covariance) != (size, size):
            raise InputError(
                f"mean has {size} numbers, covariance shape {np.shape(self.covariance)}; expected a square of it"
            )
        try:
            np.linalg.cholesky(self.covariance)
        except np.linalg.LinAlgError:
            raise InputError("covariance is not positive definite; fit it with more shrinkage") from None

    @cached_property
    def whitening(self) -> Array:
        """W (D,D), lower triangular."""
        return np.linalg.inv(self._lower)

    @property
    def log_determinant(self) -> float:
        """log |Σ|."""
        return float(2.0 * np.log(np.diag(self._lower)).sum())

    @cached_property
    def _lower(self) -> Array:
        return np.linalg.cholesky(self.covariance)

    def residual(self, pose: Array) -> Array:
        """r (…,D) of poses (…,D)."""
        return (np.asarray(pose) - self.mean) @ self.whitening.T

    def energy(self, pose: Array) -> Array:
        """½ (θ − μ)ᵀ Σ⁻¹ (θ − μ), (…)."""
        return 0.5 * np.sum(self.residual(pose) ** 2, axis=-1)

    def log_probability(self, pose: Array) -> Array:
        """Natural logarithm of the density, (…)."""
        return -self.energy(pose) - 0.5 * (self.log_determinant + len(self.mean) * np.log(2 * np.pi))

    def marginal(self, columns: NDArray[np.int64] | slice) -> PoseGaussian:
        """The Gaussian of some of the columns, whatever the others are."""
        return PoseGaussian(self.mean[columns], self.covariance[columns][:, columns])

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """(count,D) poses."""
        return self.mean + rng.standard_normal((count, len(self.mean))) @ self._lower.T

    @classmethod
    def load(cls, weights: str | os.PathLike[str] = "pose_gaussian") -> PoseGaussian:
        """The shipped Gaussian (``"pose_gaussian"``), or an npz file with ``mean`` (D,) and ``covariance`` (D,D).

        Raises InputError for anything else, AssetError if the shipped file is damaged.
        """
        path = locate("pose_gaussian") if str(weights) == "pose_gaussian" else weights
        arrays = read_npz(path, ["mean", "covariance"], max_bytes=4 << 20)
        if set(arrays) != {"mean", "covariance"}:
            raise InputError(f"{path}: expected arrays 'mean' and 'covariance'")
        return cls(arrays["mean"].astype(np.float64), arrays["covariance"].astype(np.float64))

    @classmethod
    def fit(
        cls, poses: Array, weights: Array | None = None, *, floor: float = 0.05, shrinkage: float = 0.05
    ) -> PoseGaussian:
        """Mean and covariance of poses (N,D) with weights (N,).

        ``shrinkage`` mixes in the diagonal (0 none, 1 independent axes): what an hour of motion shows of how far-apart
        joints move together is mostly chance. ``floor`` rad is added to every deviation (in square), since
        a corpus moves some axes (a hinge's second) less than a body model needs.
        """
        poses = np.asarray(poses, dtype=np.float64)
        if poses.ndim != 2 or len(poses) < 2:
            raise InputError(f"poses have shape {poses.shape}; expected (N,D) with N of at least 2")
        if not 0.0 <= shrinkage <= 1.0 or floor <= 0.0:
            raise InputError(f"shrinkage {shrinkage}, floor {floor}; expected 0 to 1, and a positive number")
        weight = np.ones(len(poses)) if weights is None else np.asarray(weights, dtype=np.float64)
        return cls(*weighted_moments(poses, weight, floor, shrinkage))


def weighted_moments(poses: Array, weight: Array, floor: float, shrinkage: float) -> tuple[Array, Array]:
    """Mean (D,) and shrunk covariance (D,D) of poses (N,D) with weights (N,); see `PoseGaussian.fit`."""
    share = weight / weight.sum()
    mean = share @ poses
    centred = poses - mean
    covariance = centred.T @ (centred * share[:, None])
    diagonal = np.diag(np.diag(covariance))
    return mean, (1.0 - shrinkage) * covariance + shrinkage * diagonal + floor**2 * np.eye(len(mean))
