"""Gaussian and mixture over poses: densities against scipy, fits of known data, SMPLify's formula and file."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from monocap.errors import InputError
from monocap.priors.gaussian import PoseGaussian
from monocap.priors.gmm import SIZE, PoseMixture
from monocap.priors.limits import PoseLimits


def log_normal(mean: np.ndarray, covariance: np.ndarray, points: np.ndarray) -> np.ndarray:
    frozen = stats.multivariate_normal(mean, covariance)  # pyright: ignore[reportArgumentType] - scipy's stubs say int
    return np.asarray(frozen.logpdf(points))


def random_covariance(rng: np.random.Generator, size: int, scale: float) -> np.ndarray:
    a = rng.normal(size=(size, 2 * size))
    return scale**2 * a @ a.T / (2 * size)


def random_mixture(rng: np.random.Generator, count: int = 3) -> PoseMixture:
    covariances = np.stack([random_covariance(rng, SIZE, 0.2 + 0.1 * m) for m in range(count)])
    return PoseMixture(np.array([0.5, 0.3, 0.2])[:count], 0.3 * rng.normal(size=(count, SIZE)), covariances)


def test_gaussian_density(rng: np.random.Generator) -> None:
    prior = PoseGaussian(rng.normal(size=63), random_covariance(rng, 63, 0.3))
    poses = prior.sample(5, rng)
    np.testing.assert_allclose(prior.log_probability(poses), log_normal(prior.mean, prior.covariance, poses), rtol=1e-9)
    np.testing.assert_allclose(prior.energy(poses), 0.5 * np.sum(prior.residual(poses) ** 2, axis=-1))
    columns = np.array([0, 5, 40])
    part = prior.marginal(columns)
    np.testing.assert_allclose(
        part.log_probability(poses[:, columns]),
        log_normal(prior.mean[columns], prior.covariance[np.ix_(columns, columns)], poses[:, columns]),
    )


def test_gaussian_fit_finds_what_made_the_data(rng: np.random.Generator) -> None:
    made = PoseGaussian(rng.normal(size=6), random_covariance(rng, 6, 1.0))
    poses = made.sample(20_000, rng)
    found = PoseGaussian.fit(poses, floor=1e-6, shrinkage=0.0)
    np.testing.assert_allclose(found.mean, made.mean, atol=0.05)
    np.testing.assert_allclose(found.covariance, made.covariance, atol=0.06)
    heavy = np.where(np.arange(len(poses)) < 10, 1.0, 0.0)
    np.testing.assert_allclose(PoseGaussian.fit(poses, heavy, floor=0.1).mean, poses[:10].mean(axis=0))
    shrunk = PoseGaussian.fit(poses, floor=1e-6, shrinkage=1.0).covariance
    np.testing.assert_allclose(shrunk, np.diag(np.diag(shrunk)))


def test_mixture_energy_is_smplifys(rng: np.random.Generator) -> None:
    """The formula as published, written out with determinants."""
    mixture = random_mixture(rng)
    pose = mixture.sample(7, rng)
    roots = np.array([np.sqrt(np.linalg.det(10.0 * c)) for c in mixture.covariances])  # scaled, against underflow
    expected = []
    for theta in pose:
        terms = [
            0.5 * (theta - mu) @ np.linalg.solve(c, theta - mu)
            - np.log(w / ((2 * np.pi) ** (69 / 2) * (r / roots.min())))
            for w, mu, c, r in zip(mixture.weights, mixture.means, mixture.covariances, roots, strict=True)
        ]
        expected.append(min(terms))
    np.testing.assert_allclose(mixture.energy(pose), expected, rtol=1e-8)


def test_mixture_density_and_short_poses(rng: np.random.Generator) -> None:
    mixture = random_mixture(rng)
    pose = mixture.sample(6, rng)
    parts = [log_normal(m, c, pose) for m, c in zip(mixture.means, mixture.covariances, strict=True)]
    expected = logsumexp(np.array(parts) + np.log(mixture.weights)[:, None], axis=0)
    np.testing.assert_allclose(mixture.log_probability(pose), expected, rtol=1e-9)
    padded = np.concatenate([pose[:, :63], np.zeros((6, 6))], axis=1)
    np.testing.assert_allclose(mixture.energy(pose[:, :63]), mixture.energy(padded))


def test_mixture_linearised(rng: np.random.Generator) -> None:
    mixture = random_mixture(rng)
    pose = mixture.sample(4, rng)[:, :63]
    chosen, residual, slope = mixture.linearised(pose)
    np.testing.assert_allclose(
        0.5 * np.sum(residual**2, axis=-1) + mixture.constants[chosen], mixture.energy(pose), rtol=1e-10
    )
    gradient = np.einsum("nr,nrd->nd", residual, slope)
    for d in (0, 17, 62):
        step = 1e-6 * np.eye(63)[d]
        expected = (mixture.energy(pose + step) - mixture.energy(pose - step)) / 2e-6
        np.testing.assert_allclose(gradient[:, d], expected, rtol=1e-4, atol=1e-3)


def test_mixture_fit_finds_clusters(rng: np.random.Generator) -> None:
    centres = np.zeros((3, 63))
    centres[1, :20], centres[2, 20:40] = 0.8, -0.8
    which = rng.choice(3, 3000, p=[0.6, 0.3, 0.1])
    poses = centres[which] + 0.1 * rng.normal(size=(3000, 63))
    found = PoseMixture.fit(poses, components=3, floor=1e-3, shrinkage=0.0)
    order = [int(np.argmin(np.sum((found.means[:, :63] - c) ** 2, axis=1))) for c in centres]
    np.testing.assert_allclose(found.weights[order], [0.6, 0.3, 0.1], atol=0.04)
    np.testing.assert_allclose(found.means[order][:, :63], centres, atol=0.05)
    np.testing.assert_allclose(np.diagonal(found.covariances[order[0]])[:63], 0.01, rtol=0.2)
    again = PoseMixture.fit(poses, components=3, floor=1e-3, shrinkage=0.0)
    np.testing.assert_array_equal(found.means, again.means)


def test_official_file_form_is_read_without_running_it(tmp_path: Path, rng: np.random.Generator) -> None:
    mixture = random_mixture(rng)
    content = {"means": mixture.means, "covars": mixture.covariances, "weights": mixture.weights}
    path = tmp_path / "gmm_08.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))
    read = PoseMixture.load(path)
    pose = mixture.sample(3, rng)
    np.testing.assert_allclose(read.energy(pose), mixture.energy(pose))
    path.write_bytes(pickle.dumps({"means": mixture.means}, protocol=2))
    with pytest.raises(InputError, match=r"lacks weights; expected a mixture like gmm_08\.pkl"):
        PoseMixture.load(path)
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(InputError):
        PoseMixture.load(path)


def test_shipped_priors_make_human_poses(rng: np.random.Generator) -> None:
    limits = PoseLimits.load()
    for poses in (PoseGaussian.load().sample(1000, rng), PoseMixture.load().sample(1000, rng)[:, :63]):
        assert (limits.excess(poses) > 0).mean() < 0.01
    gaussian, mixture = PoseGaussian.load(), PoseMixture.load()
    standing = mixture.mean[:63]
    odd = limits.sample(100, rng)
    assert (mixture.energy(odd) > mixture.energy(standing) + 50).all()
    assert (gaussian.energy(odd) > gaussian.energy(standing) + 50).all()


def test_bad_input(rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="not positive definite"):
        PoseGaussian(np.zeros(2), np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(InputError, match="expected a square"):
        PoseGaussian(np.zeros(2), np.eye(3))
    with pytest.raises(InputError, match="shrinkage 2"):
        PoseGaussian.fit(np.zeros((5, 3)), shrinkage=2.0)
    with pytest.raises(InputError, match=r"expected \(M,\), \(M,69\)"):
        PoseMixture(np.ones(2), np.zeros((2, 63)), np.zeros((2, 63, 63)))
    with pytest.raises(InputError, match=r"expected \(…,63\) or \(…,69\)"):
        random_mixture(rng).energy(np.zeros(66))
