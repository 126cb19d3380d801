"""A body as VNect's kinematic skeleton: the 21 joints hung on its own, and the shape that a network's bones speak for.

A network tells joints of a person of normalised height, so only the proportions of bones can be learned from it; the
size comes from the stature, which the user knows or is taken to be the mean.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.fitting.skeleton_fit import KinematicSkeleton
from monocap.fitting.smplifyx.energy import stature
from monocap.skeletons import vnect
from monocap.types import Array

SKELETON = skeletons.get(vnect.NAME)
# Which joint of the body turns a point that is none of its joints itself.
_CARRIED = {
    **{"head_top": "head", "spine": "spine2"},
    **{
        f"{side}_{part}": f"{side}_{on}"
        for side in ("left", "right")
        for part, on in (("hand", "wrist"), ("toe", "foot"))
    },
}
_OUTWARDS = (SKELETON.index("pelvis"),)
while len(_OUTWARDS) < len(SKELETON):
    _OUTWARDS += tuple(j for j, p in enumerate(SKELETON.parents) if p in _OUTWARDS and j not in _OUTWARDS)
_SPREAD = 0.03  # of a bone's length: how unlike the network's bones are those that it was shown
_TALL = 0.003  # m: what a given stature is held to
_BETAS = 10


def carried_skeleton(body: BodyModel, betas: Array | None = None) -> KinematicSkeleton:
    """The 22 body joints at a shape (B,) with VNect's 21 joints as observed points. Raises as `of_body`."""
    plain = KinematicSkeleton.of_body(body, betas)
    names = skeletons.get("smplx55").joint_names[:22]
    place = {int(joint): i for i, joint in enumerate(plain.order)}
    on = [place[names.index(_CARRIED.get(name, name))] for name in SKELETON.joint_names]
    return replace(plain, carriers=np.array(on, np.int64), rest_points=rest_points(body, betas))


def rest_points(body: BodyModel, betas: Array | None = None) -> Array:
    """(21,3) m: the joints on the body at rest, in the frame of `BodyModel.rest_joints`."""
    used = np.flatnonzero(vnect.on_body().any(axis=0))
    names = skeletons.get("smplx127").joint_names
    shaped = {} if betas is None else {"betas": np.asarray(betas, np.float64)}
    points = np.asarray(body.keypoints([names[i] for i in used], **shaped), np.float64)
    return vnect.on_body()[:, used] @ points.reshape(-1, 3)


def bone_lengths(points: Array) -> Array:
    """(…,21) m from each joint's parent to it, of joints (…,21,3); the root has 0."""
    points = np.asarray(points, np.float64)
    up = np.array(SKELETON.parents)
    return np.where(up >= 0, np.linalg.norm(points - points[..., up, :], axis=-1), 0.0)


def betas_of(body: BodyModel, lengths: Array | None = None, height: float | None = None) -> Array:
    """The likeliest shape (B,) of somebody with these bones, up to one factor for all, and this stature.

    ``lengths`` (21,) of `bone_lengths` in any unit, NaN where not known; ``height`` m, None: the mean's. Raises
    InputError for a stature that is none.
    """
    if height is not None and not 0.3 <= height <= 3.0:
        raise InputError(f"height is {height} m; expected 0.3 to 3")
    count = min(body.num_betas, _BETAS)
    tall, slope = stature(body)
    wanted = tall if height is None else height
    known = np.zeros(0, np.int64)
    if lengths is not None:
        lengths = np.asarray(lengths, np.float64)
        if lengths.shape != (len(SKELETON),):
            raise InputError(f"lengths has shape {lengths.shape}; expected ({len(SKELETON)},)")
        known = np.flatnonzero(np.isfinite(lengths) & (lengths > 1e-3))
    base = rest_points(body, np.zeros(body.num_betas))
    basis = np.stack([rest_points(body, one) - base for one in np.eye(count, body.num_betas)], axis=-1)  # (21,3,B)
    up = np.array(SKELETON.parents)
    betas = np.zeros(count)
    for _ in range(4):
        rows, right = [np.eye(count)], [-betas]
        if height is not None:
            rows.append(slope[None, :count] / _TALL)
            right.append(np.array([wanted - tall - slope[:count] @ betas]) / _TALL)
        if lengths is not None and len(known) >= 5:
            bone = (base - base[up])[known] + (basis - basis[up])[known] @ betas
            own = np.linalg.norm(bone, axis=1)
            factor = float(np.exp(np.mean(np.log(own / lengths[known]))))
            change = np.einsum("ka,kab->kb", bone / own[:, None], (basis - basis[up])[known]) / own[:, None]
            change -= change.mean(axis=0)  # the factor follows
            rows.append(change / _SPREAD)
            right.append(-np.log(own / (factor * lengths[known])) / _SPREAD)
        step = np.linalg.lstsq(np.concatenate(rows), np.concatenate(right), rcond=None)[0]
        betas = betas + step
    return np.concatenate([betas, np.zeros(body.num_betas - count)])


def retarget(points: Array, lengths: Array) -> Array:
    """Joints (…,21,3) m about the pelvis with bones of ``lengths`` (21,) m, every one in the direction it had.

    From the root outwards; a bone without a direction points as its parent does. Source: VNect.
    """
    points = np.asarray(points, np.float64)
    if points.shape[-2:] != (len(SKELETON), 3) or np.shape(lengths) != (len(SKELETON),):
        raise InputError(f"points {points.shape}, lengths {np.shape(lengths)}; expected (…,21,3) and (21,)")
    moved, way = np.zeros_like(points), np.zeros_like(points)
    for joint in _OUTWARDS:
        parent = SKELETON.parents[joint]
        if parent < 0:
            moved[..., joint, :] = points[..., joint, :]
            continue
        bone = points[..., joint, :] - points[..., parent, :]
        length = np.linalg.norm(bone, axis=-1, keepdims=True)
        way[..., joint, :] = np.where(length > 1e-6, bone / np.maximum(length, 1e-6), way[..., parent, :])
        moved[..., joint, :] = moved[..., parent, :] + lengths[joint] * way[..., joint, :]
    return moved
