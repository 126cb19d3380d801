"""How a motion behaves in time and on the ground: acceleration, jitter, sliding feet, feet in the floor.

Points are (…,T,J,3) metres at evenly spaced frames. Without ``fps`` derivatives are per frame (what SPIN, VIBE and
most tables print, times 1000: mm/frame², which depends on the frame rate); with it per second.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from monocap.errors import InputError
from monocap.geometry.arrays import Array, floats
from monocap.geometry.procrustes import distances

CONTACT_SPEED = 0.01  # m per frame at 30 fps


def accel(points: Array, fps: float | None = None) -> Array:
    """Mean length (…,T−2) of the joints' second differences of points (…,T,J,3): m/frame², or m/s² with ``fps``.

    Source: VIBE (Kocabas et al. 2020).
    """
    xp, points = floats(("points", points, (None, None, 3)))
    second = _difference(points, 2)
    return xp.mean(distances(second, xp.zeros_like(second)), axis=-1) * _rate(fps) ** 2


def accel_error(estimate: Array, truth: Array, visible: Array | None = None, fps: float | None = None) -> Array:
    """Mean distance (…,T−2) of second differences of two motions (…,T,J,3): m/frame², or m/s² with ``fps``.

    ``visible`` (T,) bool, for a single sequence (T,J,3): frames are left out (the result is shorter) unless the
    person is visible in all three that enter. Source: HMMR (Kanazawa et al. 2019), VIBE.
    """
    xp, estimate, truth = floats(("estimate", estimate, (None, None, 3)), ("truth", truth, (None, None, 3)))
    if estimate.shape[-3:] != truth.shape[-3:]:
        raise InputError(f"estimate has shape {tuple(estimate.shape)}, truth {tuple(truth.shape)}; expected the same")
    error = xp.mean(distances(_difference(estimate, 2), _difference(truth, 2)), axis=-1) * _rate(fps) ** 2
    if visible is None:
        return error
    if tuple(visible.shape) != (estimate.shape[0],) or estimate.ndim != 3:
        shapes = f"visible has shape {tuple(visible.shape)}, points {tuple(estimate.shape)}"
        raise InputError(f"{shapes}; expected (T,) and (T, J, 3)")
    seen = xp.astype(visible, xp.bool)
    return error[seen[:-2] & seen[1:-1] & seen[2:]]


def jitter(points: Array, fps: float | None = None) -> Array:
    """Mean length (…,T−3) of the joints' third differences (jerk) of points (…,T,J,3): m/frame³, or m/s³ with fps.

    Source: WHAM (Shin et al. 2024), whose tables print it in 10 m/s³: divide by 10 to compare.
    """
    xp, points = floats(("points", points, (None, None, 3)))
    third = _difference(points, 3)
    return xp.mean(distances(third, xp.zeros_like(third)), axis=-1) * _rate(fps) ** 3


def foot_contact(feet: Any, fps: float = 30.0, speed: float = CONTACT_SPEED * 30.0) -> Array:
    """Whether true feet (…,T,F,3) stand: (…,T−1,F) bool, slower than ``speed`` m/s between two frames.

    0.3 m/s is WHAM's 1 cm per frame at 30 frames per second.
    """
    return _steps(feet) * _rate(fps) < speed


def foot_skate(feet: Any, contact: Any, fps: float | None = None) -> Array:
    """Mean distance (…) that feet (…,T,F,3) in the world move per frame (or m/s with ``fps``) while they should stand.

    ``contact`` (…,T−1,F) bool from the truth, see `foot_contact`. NaN where there is no contact at all.
    Source: WHAM's foot sliding (there toes and heels of SMPL, mm per frame).
    """
    moved, standing = _steps(feet) * _rate(fps), np.asarray(contact, bool)
    if standing.shape[-2:] != moved.shape[-2:]:
        raise InputError(f"contact has shape {standing.shape}; expected (..., {moved.shape[-2]}, {moved.shape[-1]})")
    count = np.broadcast_to(standing, moved.shape).sum(axis=(-2, -1))
    total = np.where(standing, moved, 0.0).sum(axis=(-2, -1))
    return np.where(count > 0, total, np.nan) / np.maximum(count, 1)


def floor_penetration(points: Any, floor: float = 0.0) -> Array:
    """How deep (…,T) the lowest of points (…,T,N,3) lies below the floor, metres; 0 where none does.

    World frame, y up. Source: SimPoE (Yuan et al. 2021), which averages it over frames.
    """
    points = np.asarray(points, np.float64)
    if points.ndim < 2 or points.shape[-1] != 3:
        raise InputError(f"points has shape {points.shape}; expected (..., T, N, 3) in the world, y up")
    return np.maximum(floor - points[..., 1].min(axis=-1), 0.0)


def _difference(points: Array, order: int) -> Array:
    if points.ndim < 3 or points.shape[-3] < order + 1:
        raise InputError(
            f"points of shape {tuple(points.shape)}; expected (..., T, J, 3) with at least {order + 1} frames"
        )
    for _ in range(order):
        points = points[..., 1:, :, :] - points[..., :-1, :, :]
    return points


def _steps(feet: Any) -> Array:
    feet = np.asarray(feet, np.float64)
    if feet.ndim < 3 or feet.shape[-1] != 3 or feet.shape[-3] < 2:
        raise InputError(f"feet has shape {feet.shape}; expected (..., T, F, 3) with at least 2 frames")
    return np.linalg.norm(np.diff(feet, axis=-3), axis=-1)


def _rate(fps: float | None) -> float:
    if fps is None:
        return 1.0
    if not fps > 0:
        raise InputError(f"fps is {fps}; expected frames per second above 0")
    return float(fps)
