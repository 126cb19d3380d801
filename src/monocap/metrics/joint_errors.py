"""Joint errors of the field, as arrays with one number per sample; averaging is the caller's.

Points are (…,J,3) metres (any unit will do, errors come in the same). numpy or torch. Definitions as in SPIN,
HMR 2.0 and VIBE, held to their numbers by the tests.
"""

from __future__ import annotations

from collections.abc import Sequence

from monocap.errors import InputError
from monocap.geometry.arrays import Array, floats
from monocap.geometry.procrustes import distances, similarity_alignment


def _same(estimate: Array, truth: Array) -> tuple[Array, Array, Array]:
    xp, estimate, truth = floats(("estimate", estimate, (None, 3)), ("truth", truth, (None, 3)))
    if estimate.shape[-2] != truth.shape[-2]:
        raise InputError(f"estimate has {estimate.shape[-2]} joints, truth {truth.shape[-2]}; map them to one skeleton")
    return xp, estimate, truth


def _centred(xp: Array, points: Array, root: int | Sequence[int] | None) -> Array:
    if root is None:
        return points
    chosen = [root] if isinstance(root, int) else list(root)
    middle = xp.stack([points[..., i, :] for i in chosen], axis=-2)
    return points - xp.mean(middle, axis=-2, keepdims=True)


def mpjpe(estimate: Array, truth: Array, root: int | Sequence[int] | None = None) -> Array:
    """Mean distance (…) of joints (…,J,3) to the truth, both moved so that ``root`` is at the origin.

    ``root`` is a joint index, or several whose middle counts (both hips); None compares absolute positions.
    """
    xp, estimate, truth = _same(estimate, truth)
    return xp.mean(distances(_centred(xp, estimate, root), _centred(xp, truth, root)), axis=-1)


def pa_mpjpe(estimate: Array, truth: Array) -> Array:
    """Mean distance (…) after the best similarity (scale, rotation, translation) of each sample onto the truth."""
    xp, estimate, truth = _same(estimate, truth)
    return xp.mean(distances(similarity_alignment(estimate, truth).apply(estimate), truth), axis=-1)


def pck(estimate: Array, truth: Array, threshold: float = 0.15, root: int | Sequence[int] | None = None) -> Array:
    """Share (…) of joints nearer to the truth than ``threshold`` (0.15 m: 3D-PCK of MPI-INF-3DHP)."""
    xp, estimate, truth = _same(estimate, truth)
    near = distances(_centred(xp, estimate, root), _centred(xp, truth, root)) < threshold
    return xp.mean(xp.astype(near, estimate.dtype), axis=-1)


def _second_difference(points: Array) -> Array:
    if points.ndim < 3 or points.shape[-3] < 3:
        raise InputError(f"points of shape {tuple(points.shape)}; expected (..., T, J, 3) with at least 3 frames")
    return points[..., :-2, :, :] - 2 * points[..., 1:-1, :, :] + points[..., 2:, :, :]


def accel(points: Array) -> Array:
    """Mean length (…,T−2) of the joints' second differences in time, per frame²; ``points`` (…,T,J,3)."""
    xp, points = floats(("points", points, (None, None, 3)))
    second = _second_difference(points)
    return xp.mean(distances(second, xp.zeros_like(second)), axis=-1)


def accel_error(estimate: Array, truth: Array, visible: Array | None = None) -> Array:
    """Mean difference (…,T−2) of second differences, per frame².

    ``visible`` (T,) bool, for a single sequence (T,J,3): frames are left out (the result is shorter) unless the
    person is visible in all three that enter.
    """
    xp, estimate, truth = _same(estimate, truth)
    error = xp.mean(distances(_second_difference(estimate), _second_difference(truth)), axis=-1)
    if visible is None:
        return error
    if tuple(visible.shape) != (estimate.shape[0],) or estimate.ndim != 3:
        shapes = f"visible has shape {tuple(visible.shape)}, points {tuple(estimate.shape)}"
        raise InputError(f"{shapes}; expected (T,) and (T, J, 3)")
    seen = xp.astype(visible, xp.bool)
    return error[seen[:-2] & seen[1:-1] & seen[2:]]
