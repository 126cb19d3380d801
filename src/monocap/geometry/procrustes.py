"""The rotation, translation and scale that lay one point set on another in the least-squares sense.

Source: Umeyama (1991); Kabsch (1976) without scale. Batched, with optional weights, in the array API.
"""

from __future__ import annotations

from dataclasses import dataclass

from monocap.errors import InputError
from monocap.geometry.arrays import Array, apply_matrix, constant, floats, safe_sqrt, transpose
from monocap.geometry.rotations import project_to_so3


@dataclass(frozen=True)
class Alignment:
    """``x ↦ scale · rotation @ x + translation``: ``rotation`` (…,3,3), ``translation`` (…,3), ``scale`` (…)."""

    rotation: Array
    translation: Array
    scale: Array

    def apply(self, points: Array) -> Array:
        """Map points (…,N,3)."""
        turned = points @ transpose(self.rotation)
        return self.scale[..., None, None] * turned + self.translation[..., None, :]


def similarity_alignment(source: Array, target: Array, weights: Array | None = None) -> Alignment:
    """Best similarity from ``source`` (…,N,3) to ``target`` (…,N,3); never a reflection.

    ``weights`` (…,N) ≥ 0, default all 1. A source whose points coincide is given scale 1.
    Raises InputError for wrong shapes or weights that sum to nothing.
    """
    return _align(source, target, weights, with_scale=True)


def rigid_alignment(source: Array, target: Array, weights: Array | None = None) -> Alignment:
    """Best rotation and translation from ``source`` (…,N,3) to ``target`` (…,N,3); scale is 1."""
    return _align(source, target, weights, with_scale=False)


def _align(source: Array, target: Array, weights: Array | None, with_scale: bool) -> Alignment:
    xp, source, target = floats(("source", source, (None, 3)), ("target", target, (None, 3)))
    count = source.shape[-2]
    if target.shape[-2] != count or count == 0:
        raise InputError(f"source has {count} points, target {target.shape[-2]}; expected the same number, at least 1")
    if weights is None:
        share = xp.ones_like(source[..., :1]) / count
    else:
        _, weights = floats(("weights", weights, (count,)))
        column = constant(weights, source)[..., None]
        total = xp.sum(column, axis=-2, keepdims=True)
        if bool(xp.any(total <= 0)) or bool(xp.any(column < 0)):
            raise InputError("weights must be ≥ 0, and every point set needs one that is positive")
        share = column / total
    source_mean = xp.sum(share * source, axis=-2)
    target_mean = xp.sum(share * target, axis=-2)
    a, b = source - source_mean[..., None, :], target - target_mean[..., None, :]
    covariance = transpose(share * b) @ a
    rotation = project_to_so3(covariance)
    if with_scale:
        spread = xp.sum(share * a * a, axis=(-2, -1))
        overlap = xp.sum(rotation * covariance, axis=(-2, -1))
        flat = spread <= xp.finfo(spread.dtype).tiny
        scale = xp.where(flat, xp.ones_like(overlap), overlap / xp.where(flat, xp.ones_like(spread), spread))
    else:
        scale = xp.ones_like(rotation[..., 0, 0])
    translation = target_mean - scale[..., None] * apply_matrix(rotation, source_mean)
    return Alignment(rotation, translation, scale)


def distances(a: Array, b: Array) -> Array:
    """Euclidean distances (…,N) of points (…,N,d); the gradient at 0 is taken as 0."""
    xp, a, b = floats(("a", a, (None,)), ("b", b, (None,)))
    return safe_sqrt(xp.sum((a - b) ** 2, axis=-1))
