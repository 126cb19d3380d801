"""How far an estimated surface is from the true one: mean distance over vertices that correspond, per sample."""

from __future__ import annotations

from monocap.errors import InputError
from monocap.geometry.arrays import Array, floats
from monocap.geometry.procrustes import distances, similarity_alignment


def mve(estimate: Array, truth: Array, origin: Array | None = None, true_origin: Array | None = None) -> Array:
    """Mean vertex error (…) of vertices (…,V,3), metres; also called PVE, MPVE or vertex-to-vertex (v2v).

    ``origin`` and ``true_origin`` (…,3) are subtracted first: the pelvis as each protocol defines it. Without them
    positions are absolute (VIBE's PVE of meshes posed at the origin). Systems differ here by several millimetres:
    see the traps of each protocol. Source: SPIN, SMPLer, TokenHMR evaluation codes.

    Raises InputError for unequal vertex counts (another body), or if only one origin is given.
    """
    xp, estimate, truth = _same(estimate, truth)
    if (origin is None) != (true_origin is None):
        raise InputError("only one of origin and true_origin is given; expected both or neither")
    if origin is not None and true_origin is not None:
        _, one, other = floats(("origin", origin, (3,)), ("true_origin", true_origin, (3,)))
        estimate, truth = estimate - one[..., None, :], truth - other[..., None, :]
    return xp.mean(distances(estimate, truth), axis=-1)


pve = mve


def pa_mve(estimate: Array, truth: Array) -> Array:
    """Mean vertex error (…) after the best similarity of all vertices onto the true ones: EHF's PA-v2v.

    Source: SMPLify-X (Pavlakos et al. 2019) and AGORA's evaluation.
    """
    xp, estimate, truth = _same(estimate, truth)
    return xp.mean(distances(similarity_alignment(estimate, truth).apply(estimate), truth), axis=-1)


def _same(estimate: Array, truth: Array) -> tuple[Array, Array, Array]:
    xp, estimate, truth = floats(("estimate", estimate, (None, 3)), ("truth", truth, (None, 3)))
    if estimate.shape[-2] != truth.shape[-2]:
        raise InputError(
            f"estimate has {estimate.shape[-2]} vertices, truth {truth.shape[-2]}; convert them to one body first"
        )
    return xp, estimate, truth
