"""How well a person's path through the world is known: errors of whole motions, not of single poses.

Joints are (T,J,3) of one sequence in some world frame, metres; the frames of estimate and truth need not agree.
Source of all: SLAHMR (Ye et al. 2023) and WHAM (Shin et al. 2024), who align with scale; GVHMR and TRAM follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from monocap.errors import InputError
from monocap.geometry.procrustes import Alignment, distances, rigid_alignment, similarity_alignment
from monocap.types import Array

SEGMENT = 100


def wa_mpjpe(estimate: Any, truth: Any, segment: int = SEGMENT, with_scale: bool = True) -> Array:
    """World-aligned error (T,): each segment of 100 frames is laid on the truth as a whole (one similarity)."""
    return _by_segment(estimate, truth, segment, with_scale, lambda points: points)


def w_mpjpe(estimate: Any, truth: Any, segment: int = SEGMENT, with_scale: bool = True) -> Array:
    """World error (T,): each segment of 100 frames is aligned by its first two frames only, so that drift shows."""
    return _by_segment(estimate, truth, segment, with_scale, lambda points: points[:2])


def rte(estimate: Any, truth: Any) -> Array:
    """Root translation error (T,) of paths (T,3), as a share of the length of the true path (×100: the tables' %).

    The whole path is aligned by rotation and translation, without scale. Raises InputError if the person stays
    within a millimetre: there is no length to compare with.
    """
    one, other = np.asarray(estimate, np.float64), np.asarray(truth, np.float64)
    if one.shape != other.shape or one.ndim != 2 or one.shape[1] != 3 or len(one) < 2:
        raise InputError(f"paths have shapes {one.shape} and {other.shape}; expected the same (T, 3), T at least 2")
    length = np.linalg.norm(np.diff(other, axis=0), axis=1).sum()
    if length < 1e-3:
        raise InputError("the true path is shorter than 1 mm; RTE needs somebody who moves")
    return distances(rigid_alignment(one, other).apply(one), other) / length


def _by_segment(estimate: Any, truth: Any, segment: int, with_scale: bool, anchor: Callable[[Array], Array]) -> Array:
    one, other = np.asarray(estimate, np.float64), np.asarray(truth, np.float64)
    if one.shape != other.shape or one.ndim != 3 or one.shape[2] != 3:
        raise InputError(f"motions have shapes {one.shape} and {other.shape}; expected the same (T, J, 3)")
    if segment < 2 or len(one) < 2:
        raise InputError(f"{len(one)} frames in segments of {segment}; expected at least 2 of both")
    align: Callable[[Array, Array], Alignment] = similarity_alignment if with_scale else rigid_alignment
    errors = []
    for start in range(0, len(one), segment):
        a, b = one[start : start + segment], other[start : start + segment]
        if len(a) < 2:  # a last frame alone cannot be aligned by two; it joins the segment before
            previous = slice(start - segment, len(one))
            a, b = one[previous], other[previous]
            errors.pop()
        found = align(anchor(a).reshape(-1, 3), anchor(b).reshape(-1, 3))
        errors.append(distances(found.apply(a.reshape(-1, 3)).reshape(a.shape), b).mean(axis=-1))
    return np.concatenate(errors)
