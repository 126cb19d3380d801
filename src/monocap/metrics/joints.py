"""How far estimated joints are from true ones: one number per sample; averaging is the caller's.

Points are (…,J,3) metres (any unit will do, errors come in the same). numpy or torch. Definitions as in SPIN,
HMR 2.0 and VIBE, held to their numbers by the tests. ``visible`` (…,J) bool leaves joints out, both of the mean
and of the alignment; a sample without any visible joint gets NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from monocap.errors import InputError
from monocap.geometry.arrays import Array, constant, floats
from monocap.geometry.procrustes import distances, similarity_alignment

Root = int | Sequence[int] | None
Alignment = Literal["none", "root", "scale", "similarity"]

AUC_STEPS = 31  # 0, 5, …, 150 mm


def joint_distances(
    estimate: Array, truth: Array, align: Alignment = "none", root: Root = None, visible: Array | None = None
) -> Array:
    """Distances (…,J) of joints (…,J,3) to the truth after an alignment.

    ``align``: "none"; "root" moves both so that ``root`` (a joint, or several whose middle counts) is at the origin;
    "scale" also multiplies the estimate by its best factor; "similarity" is Procrustes: the best scale, rotation and
    translation, never a reflection. ``visible`` restricts what the alignment looks at; distances are given for all.

    Raises InputError for unequal joint counts, another ``align``, or "root" and "scale" without a root.
    """
    xp, estimate, truth = _same(estimate, truth)
    if align == "similarity":
        estimate = _similarity(xp, estimate, truth, visible)
    elif align in ("root", "scale"):
        if root is None:
            raise InputError(f"align={align!r} needs root; expected a joint index or several")
        estimate, truth = _centred(xp, estimate, root), _centred(xp, truth, root)
        if align == "scale":
            estimate = _scaled(xp, estimate, truth, visible)
    elif align != "none":
        raise InputError(f"align is {align!r}; expected none, root, scale or similarity")
    return distances(estimate, truth)


def mpjpe(estimate: Array, truth: Array, root: Root = None, visible: Array | None = None) -> Array:
    """Mean distance (…) of joints (…,J,3) to the truth, both moved so that ``root`` is at the origin.

    ``root`` is a joint index, or several whose middle counts (both hips); None compares absolute positions.
    Source: Ionescu et al. 2014 (Human3.6M), protocol 1.
    """
    return _mean(joint_distances(estimate, truth, "none" if root is None else "root", root), visible)


def pa_mpjpe(estimate: Array, truth: Array, visible: Array | None = None) -> Array:
    """Mean distance (…) after the best similarity (scale, rotation, translation) of each sample onto the truth.

    Source: HMR (Kanazawa et al. 2018) and all that compare with it; also called reconstruction error.
    """
    return _mean(joint_distances(estimate, truth, "similarity", visible=visible), visible)


def n_mpjpe(estimate: Array, truth: Array, root: Root = 0, visible: Array | None = None) -> Array:
    """`mpjpe` after the root-centred estimate was multiplied by the factor that fits the truth best.

    Source: Rhodin et al. 2018. The factor minimises squared distances; a collapsed estimate keeps its size.
    """
    return _mean(joint_distances(estimate, truth, "scale", root, visible), visible)


def pck(
    estimate: Array, truth: Array, threshold: float = 0.15, root: Root = None, visible: Array | None = None
) -> Array:
    """Share (…) of joints nearer to the truth than ``threshold``, 0–1.

    0.15 m with the pelvis as root is 3D-PCK. Source: Mehta et al. 2017 (MPI-INF-3DHP).
    """
    if not threshold > 0:
        raise InputError(f"threshold is {threshold}; expected more than 0, in the unit of the points")
    far = joint_distances(estimate, truth, "none" if root is None else "root", root)
    return _share(far, threshold, visible)


def auc(
    estimate: Array,
    truth: Array,
    root: Root = None,
    visible: Array | None = None,
    limit: float = 0.15,
    steps: int = AUC_STEPS,
) -> Array:
    """Mean (…) of `pck` over ``steps`` thresholds evenly from 0 to ``limit``, 0–1.

    Source: Mehta et al. 2017: 0 to 150 mm in steps of 5 mm. The first threshold is 0 and counts no joint, so a
    perfect estimate gets 30/31, as in the official evaluation.
    """
    if not limit > 0 or steps < 2:
        raise InputError(f"limit is {limit} and steps {steps}; expected more than 0 and at least 2")
    far = joint_distances(estimate, truth, "none" if root is None else "root", root)
    shares = [_share(far, limit * k / (steps - 1), visible) for k in range(steps)]
    return sum(shares[1:], start=shares[0]) / steps


def _same(estimate: Array, truth: Array) -> tuple[Array, Array, Array]:
    xp, estimate, truth = floats(("estimate", estimate, (None, 3)), ("truth", truth, (None, 3)))
    if estimate.shape[-2] != truth.shape[-2]:
        raise InputError(f"estimate has {estimate.shape[-2]} joints, truth {truth.shape[-2]}; map them to one skeleton")
    return xp, estimate, truth


def _centred(xp: Array, points: Array, root: Root) -> Array:
    chosen = [root] if isinstance(root, int) else list(root or ())
    count = points.shape[-2]
    if not chosen or not all(0 <= i < count for i in chosen):
        raise InputError(f"root is {root}; expected joint indices in 0…{count - 1}")
    middle = xp.stack([points[..., i, :] for i in chosen], axis=-2)
    return points - xp.mean(middle, axis=-2, keepdims=True)


def _weights(like: Array, visible: Array) -> Array:
    """``visible`` (…,J) as 0 and 1 in the library and dtype of ``like`` (…,J)."""
    if tuple(visible.shape[-1:]) != tuple(like.shape[-1:]):
        raise InputError(f"visible has shape {tuple(visible.shape)}; expected (..., {like.shape[-1]}), one per joint")
    return constant(visible, like)


def _similarity(xp: Array, estimate: Array, truth: Array, visible: Array | None) -> Array:
    if visible is None:
        return similarity_alignment(estimate, truth).apply(estimate)
    weights = _weights(estimate[..., 0], visible)
    a, b = (xp.where(weights[..., None] > 0, points, xp.zeros_like(points)) for points in (estimate, truth))  # no NaN
    some = xp.sum(weights, axis=-1, keepdims=True) > 0  # a sample without joints is NaN later, not an error here
    weights = xp.where(some, weights, xp.ones_like(weights))
    return similarity_alignment(a, b, weights).apply(estimate)


def _scaled(xp: Array, estimate: Array, truth: Array, visible: Array | None) -> Array:
    weights = xp.ones_like(estimate[..., :1]) if visible is None else _weights(estimate[..., 0], visible)[..., None]
    a, b = (xp.where(weights > 0, points, xp.zeros_like(points)) for points in (estimate, truth))
    along = xp.sum(a * b, axis=(-2, -1), keepdims=True)
    size = xp.sum(a * a, axis=(-2, -1), keepdims=True)
    flat = size <= xp.finfo(size.dtype).tiny
    return xp.where(flat, xp.ones_like(size), along / xp.where(flat, xp.ones_like(size), size)) * estimate


def _mean(values: Array, visible: Array | None) -> Array:
    xp, values = floats(("values", values, (None,)))
    if visible is None:
        return xp.mean(values, axis=-1)
    weights = _weights(values, visible)
    count = xp.sum(weights, axis=-1)
    total = xp.sum(xp.where(weights > 0, values, xp.zeros_like(values)), axis=-1)
    return xp.where(count > 0, total, xp.full_like(total, np.nan)) / xp.where(count > 0, count, xp.ones_like(count))


def _share(far: Array, threshold: float, visible: Array | None) -> Array:
    xp, far = floats(("far", far, (None,)))
    return _mean(xp.astype(far < threshold, far.dtype), visible)
