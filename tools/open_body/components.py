"""How do bodies differ? Principal components of T-posed adults, and of face movements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """``mean`` (V,3); ``basis`` (V,3,K) scaled to one standard deviation; ``joint_mean`` (J,3); ``joint_basis``
    (J,3,K); ``cumulative`` (K,) share of variance explained; ``residual`` root-mean-square vertex error left (m)."""

    mean: Array
    basis: Array
    joint_mean: Array
    joint_basis: Array
    cumulative: Array
    residual: float


def principal(vertices: Array, joints: Array, count: int) -> Components:
    """Components of samples (n,V,3) with joints (n,J,3); the joints follow by least squares on the same scores."""
    n = len(vertices)
    mean, joint_mean = vertices.mean(0), joints.mean(0)
    flat = (vertices - mean).reshape(n, -1)
    gram = flat @ flat.T
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    scores = vectors[:, :count] * np.sqrt(n - 1)  # unit deviation
    basis = scores.T @ flat / (n - 1)
    sign = _positive(basis.reshape(count, -1, 3), mean)
    basis, scores = basis * sign[:, None], scores * sign
    joint_basis = scores.T @ (joints - joint_mean).reshape(n, -1) / (n - 1)
    left = values[count:].sum() / (n * flat.shape[1] / 3)
    return Components(
        mean,
        np.moveaxis(basis.reshape(count, -1, 3), 0, -1),
        joint_mean,
        np.moveaxis(joint_basis.reshape(count, -1, 3), 0, -1),
        np.cumsum(values)[:count] / values.sum(),
        float(np.sqrt(left)),
    )


def _positive(basis: Array, mean: Array) -> Array:
    """(K,) ±1 so that a positive coefficient makes the body taller, or, where stature hardly changes, wider."""
    top, bottom = mean[:, 1].argmax(), mean[:, 1].argmin()
    taller = basis[:, top, 1] - basis[:, bottom, 1]
    wider = (basis[:, :, 0] * np.sign(mean[:, 0])).mean(1)
    return np.where(np.where(np.abs(taller) > 0.005, taller, wider) >= 0, 1.0, -1.0)


def make_rigid(shape: Components, ids: NDArray[np.int64], joint: int) -> None:
    """Let components move and scale the part ``ids`` about its joint, but not deform it (changes ``shape``).

    An eyeball stays a ball, and its centre stays a fixed mean of its vertices.
    """
    arms = shape.mean[ids] - shape.joint_mean[joint]
    moves = shape.basis[ids] - shape.joint_basis[joint]
    scale = np.einsum("vc,vck->k", arms, moves) / (arms**2).sum()
    shape.basis[ids] = shape.joint_basis[joint] + arms[..., None] * scale


def symmetric(vertices: Array, mirror: NDArray[np.int64]) -> Array:
    """The mean of (…,V,3) and its mirror image."""
    return 0.5 * (vertices + vertices[..., mirror, :] * np.array([-1.0, 1.0, 1.0]))
