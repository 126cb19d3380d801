"""SMPLify's pose prior: a mixture of 8 Gaussians over 69 numbers, of which the likeliest counts (Bogo et al. 2016).

Energy: E(θ) = minₘ [ ½ (θ−μₘ)ᵀ Σₘ⁻¹ (θ−μₘ) − log( wₘ / ((2π)^(D/2) √|Σₘ| / minₖ √|Σₖ|) ) ].
The 69 numbers are SMPL's 23 joints without the root: the 21 of ``body_pose``, then the two hands, which SMPL-X poses
by fingers instead; poses of 63 numbers stand for hands at rest.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from monocap.assets.manifest import locate
from monocap.assets.pickles import read_pickle
from monocap.errors import InputError
from monocap.files import read_npz
from monocap.priors.gaussian import weighted_moments
from monocap.types import Array

SIZE = 69
HAND_DEVIATION = 0.25  # rad; captured hands are stiff, so nothing is learnt about them


@dataclass(frozen=True)
class PoseMixture:
    """``weights`` (M,), ``means`` (M,69), ``covariances`` (M,69,69), radians. Raises InputError if they disagree."""

    weights: Array
    means: Array
    covariances: Array

    def __post_init__(self) -> None:
        count = len(self.weights)
        if np.shape(self.means) != (count, SIZE) or np.shape(self.covariances) != (count, SIZE, SIZE):
            raise InputError(
                f"weights {np.shape(self.weights)}, means {np.shape(self.means)}, covariances"
                f" {np.shape(self.covariances)}; expected (M,), (M,{SIZE}), (M,{SIZE},{SIZE})"
            )
        if not (np.all(self.weights > 0) and np.isfinite(self.means).all() and np.isfinite(self.covariances).all()):
            raise InputError("a mixture needs positive weights and finite means and covariances")
        try:
            np.linalg.cholesky(self.covariances)
        except np.linalg.LinAlgError:
            raise InputError("a covariance of the mixture is not positive definite; the file is damaged") from None

    @cached_property
    def whitening(self) -> Array:
        """W (M,69,69) with WᵀW = Σ⁻¹, lower triangular."""
        return np.linalg.inv(np.linalg.cholesky(self.covariances))

    @cached_property
    def constants(self) -> Array:
        """(M,) what each component adds to its half squared distance in the energy."""
        half_log = -np.log(np.diagonal(self.whitening, axis1=1, axis2=2)).sum(axis=1)  # log √|Σ|
        return 0.5 * SIZE * np.log(2 * np.pi) + half_log - half_log.min() - np.log(self.weights)

    def component_energies(self, pose: Array) -> Array:
        """(…,M) the energy by each component, of poses (…,63) or (…,69)."""
        return 0.5 * np.sum(self._residuals(pose) ** 2, axis=-1) + self.constants

    def energy(self, pose: Array) -> Array:
        """E (…), the least of the components': SMPLify's term without its weight."""
        return self.component_energies(pose).min(axis=-1)

    def linearised(self, pose: Array) -> tuple[Array, Array, Array]:
        """Likeliest component (…), its residual (…,69) and Jacobian (…,69,D): E = ½|r|² + constants[component].

        D is the size of the poses, 63 or 69.
        """
        residuals = self._residuals(pose)
        chosen = (0.5 * np.sum(residuals**2, axis=-1) + self.constants).argmin(axis=-1)
        residual = np.take_along_axis(residuals, chosen[..., None, None], axis=-2)[..., 0, :]
        return chosen, residual, self.whitening[chosen][..., : np.shape(pose)[-1]]

    def log_probability(self, pose: Array) -> Array:
        """Natural logarithm of the mixture's density (…): all components, normalised, unlike the energy."""
        half_log = -np.log(np.diagonal(self.whitening, axis1=1, axis2=2)).sum(axis=1)
        share = np.log(self.weights / self.weights.sum()) - half_log - 0.5 * SIZE * np.log(2 * np.pi)
        terms = share - 0.5 * np.sum(self._residuals(pose) ** 2, axis=-1)
        top = terms.max(axis=-1, keepdims=True)
        return top[..., 0] + np.log(np.exp(terms - top).sum(axis=-1))

    @property
    def mean(self) -> Array:
        """(69,) weighted mean of the means: SMPLify's starting pose."""
        return self.weights @ self.means / self.weights.sum()

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """(count,69) poses."""
        which = rng.choice(len(self.weights), count, p=self.weights / self.weights.sum())
        noise = rng.standard_normal((count, SIZE))
        return self.means[which] + np.einsum("nij,nj->ni", np.linalg.cholesky(self.covariances)[which], noise)

    def _residuals(self, pose: Array) -> Array:
        """(…,M,69)."""
        pose = np.asarray(pose, dtype=np.float64)
        if pose.shape[-1:] not in ((63,), (SIZE,)):
            raise InputError(f"pose has shape {pose.shape}; expected (…,63) or (…,{SIZE})")
        if pose.shape[-1] == 63:
            pose = np.concatenate([pose, np.zeros((*pose.shape[:-1], 6))], axis=-1)
        return np.einsum("mij,...mj->...mi", self.whitening, pose[..., None, :] - self.means)

    @classmethod
    def load(cls, weights: str | os.PathLike[str] = "pose_mixture") -> PoseMixture:
        """The shipped mixture (``"pose_mixture"``), an npz file (``weights, means, covariances``), or an official
        ``gmm_08.pkl`` (``weights, means, covars``), read as data: nothing in it runs.

        Raises InputError for anything else, AssetError if the shipped file is damaged.
        """
        path = locate("pose_mixture") if str(weights) == "pose_mixture" else Path(weights)
        limit = 16 << 20
        pickled = path.suffix.lower() in (".pkl", ".pickle")
        content = read_pickle(path, limit) if pickled else read_npz(path, max_bytes=limit)
        if not isinstance(content, dict):
            raise InputError(f"{path}: expected a dictionary of weights, means and covars, as in gmm_08.pkl")
        arrays = []
        for names in (("weights",), ("means",), ("covariances", "covars")):
            found = next((content[name] for name in names if name in content), None)
            if found is None:
                raise InputError(f"{path}: lacks {' or '.join(names)}; expected a mixture like gmm_08.pkl")
            arrays.append(np.asarray(found, dtype=np.float64))
        return cls(arrays[0].reshape(-1), arrays[1], arrays[2])

    @classmethod
    def fit(
        cls,
        poses: Array,
        weights: Array | None = None,
        *,
        components: int = 8,
        floor: float = 0.05,
        shrinkage: float = 0.1,
        iterations: int = 60,
        seed: int = 0,
    ) -> PoseMixture:
        """Expectation–maximisation on poses (N,63) with weights (N,); hands get a Gaussian of `HAND_DEVIATION`.

        ``floor`` and ``shrinkage`` as in `PoseGaussian.fit`, applied to every component at every step.
        """
        poses = np.asarray(poses, dtype=np.float64)
        if poses.ndim != 2 or poses.shape[1] != 63 or len(poses) < 10 * components:
            raise InputError(f"poses have shape {poses.shape}; expected (N,63) with N of at least {10 * components}")
        weight = np.ones(len(poses)) if weights is None else np.asarray(weights, dtype=np.float64)
        weight = weight / weight.sum()
        owner = _seeds(poses, weight, components, np.random.default_rng(seed))
        share = np.eye(components)[owner]
        last = -np.inf
        mix, means, covariances = np.empty(components), np.empty((components, 63)), np.empty((components, 63, 63))
        for _ in range(iterations):
            for m in range(components):
                belongs = share[:, m] * weight
                mix[m] = belongs.sum()
                means[m], covariances[m] = weighted_moments(poses, belongs, floor, shrinkage)
            log = np.stack([_log_density(poses, means[m], covariances[m]) for m in range(components)], axis=1) + np.log(
                mix
            )
            top = log.max(axis=1, keepdims=True)
            total = top[:, 0] + np.log(np.exp(log - top).sum(axis=1))
            share = np.exp(log - total[:, None])
            likelihood = float(weight @ total)
            if likelihood - last < 1e-3:
                break
            last = likelihood
        wide = np.zeros((components, SIZE, SIZE))
        wide[:, :63, :63] = covariances
        wide[:, range(63, SIZE), range(63, SIZE)] = HAND_DEVIATION**2
        return cls(mix / mix.sum(), np.concatenate([means, np.zeros((components, 6))], axis=1), wide)


def _log_density(poses: Array, mean: Array, covariance: Array) -> Array:
    lower = np.linalg.cholesky(covariance)
    residual = (poses - mean) @ np.linalg.inv(lower).T
    constant = np.log(np.diag(lower)).sum() + 0.5 * len(mean) * np.log(2 * np.pi)
    return -0.5 * np.sum(residual**2, axis=1) - constant


def _seeds(poses: Array, weight: Array, components: int, rng: np.random.Generator) -> Array:
    """(N,) a first owner of each pose: k-means from spread seeds (Arthur and Vassilvitskii 2007)."""
    centres = poses[[rng.choice(len(poses), p=weight)]]
    while len(centres) < components:
        nearest = np.min([np.sum((poses - centre) ** 2, axis=1) for centre in centres], axis=0) * weight
        centres = np.concatenate([centres, poses[[rng.choice(len(poses), p=nearest / nearest.sum())]]])
    owner = np.zeros(len(poses), dtype=np.int64)
    for _ in range(20):
        owner = np.stack([np.sum((poses - centre) ** 2, axis=1) for centre in centres], axis=1).argmin(axis=1)
        for m in range(components):
            mine = owner == m
            if mine.any():
                centres[m] = np.average(poses[mine], axis=0, weights=weight[mine])
    return owner
