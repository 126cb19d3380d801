"""How does a person in MakeHuman's A-pose look in SMPL-X's T-pose? Bake, then relax the skin.

Every bone gets the global rotation that brings it to its place in the T-pose; the arm is raised partly by the collar,
as in life (scapulohumeral rhythm), the forearm's twist is spread over its two bones, fingers are straightened. Linear
blend skinning alone leaves a web under the arm: `relax` smooths the posed skin and puts back the detail that smoothing
removed from the rest pose, turned with the skin (the idea of delta mush, Mancewicz et al., DigiPro 2014).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial.transform import Rotation

from .sources import Rig

Array = NDArray[np.float64]

COLLAR_RAISE, SCAPULA_RAISE = np.radians(9.0), np.radians(19.0)
THIGH = (0.045, -1.0, -0.015)  # directions in the T-pose, left side; SMPL's legs stand a little apart
SHIN = (-0.015, -1.0, -0.065)
THUMB = (0.74, -0.24, 0.63)
FAN = 0.75  # how much of the fingers' natural spread is kept


def unit(v: Array) -> Array:
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def frame(a: Array, b: Array) -> Array:
    """(…,3,3) orthonormal columns: along a; b made orthogonal to it; their cross product."""
    x = unit(a)
    y = unit(b - (b * x).sum(-1, keepdims=True) * x)
    return np.stack([x, y, np.cross(x, y)], axis=-1)


def swing(a: Array, b: Array) -> Array:
    """(…,3,3) the smallest rotation that turns direction a into direction b."""
    a, b = np.broadcast_arrays(unit(a), unit(b))
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arctan2(sine, (a * b).sum(-1, keepdims=True))
    turn = axis / np.maximum(sine, 1e-12) * angle
    return Rotation.from_rotvec(turn.reshape(-1, 3)).as_matrix().reshape(*a.shape, 3)


def halfway(a: Array, b: Array, share: float = 0.5) -> Array:
    """Rotation ``share`` of the way from a to b, (n,3,3)."""
    step = Rotation.from_matrix(b @ np.swapaxes(a, -1, -2)).as_rotvec() * share
    return Rotation.from_rotvec(step).as_matrix() @ a


def target_rotations(rig: Rig, heads: Array, tips: dict[str, Array]) -> dict[str, Array]:
    """Global rotation (n,3,3) of each bone that does not simply follow its parent. ``heads`` (n,B,3), m."""
    at = {name: heads[:, i] for i, name in enumerate(rig.names)}
    out: dict[str, Array] = {}
    for s, sign in (("L", 1.0), ("R", -1.0)):
        side = np.array([sign, 1.0, 1.0])
        along = np.array([sign, 0.0, 0.0])
        count = len(heads)
        for bone, angle in (("clavicle", COLLAR_RAISE), ("shoulder01", SCAPULA_RAISE)):
            out[f"{bone}.{s}"] = np.tile(Rotation.from_rotvec([0, 0, sign * angle]).as_matrix(), (count, 1, 1))
        upper = at[f"lowerarm01.{s}"] - at[f"upperarm01.{s}"]
        fore = at[f"wrist.{s}"] - at[f"lowerarm01.{s}"]
        hinge = np.cross(unit(upper), unit(fore))  # the elbow bends about it: vertical in the T-pose
        goal = frame(along, np.array([0.0, -sign, 0.0]))
        arm = goal @ np.swapaxes(frame(upper, hinge), -1, -2)
        out[f"upperarm01.{s}"] = halfway(swing(upper, along), arm)
        out[f"upperarm02.{s}"] = arm
        forearm = goal @ np.swapaxes(frame(fore, hinge), -1, -2)
        knuckles = [at[f"finger{k}-1.{s}"] for k in (2, 3, 4, 5)]
        palm = frame(np.mean(knuckles, axis=0) - at[f"wrist.{s}"], knuckles[3] - knuckles[0])
        hand = frame(along, np.array([0.0, 0.0, -1.0])) @ np.swapaxes(palm, -1, -2)
        out[f"lowerarm01.{s}"] = halfway(forearm, hand, 0.15)
        out[f"lowerarm02.{s}"] = halfway(forearm, hand, 0.65)
        out[f"wrist.{s}"] = hand
        for finger in (1, 2, 3, 4, 5):
            chain = [at[f"finger{finger}-{k}.{s}"] for k in (1, 2, 3)] + [tips[f"joint-{s.lower()}-finger-{finger}-4"]]
            for k in (1, 2, 3):
                now = np.einsum("nij,nj->ni", hand, chain[k] - chain[k - 1])
                if finger == 1:
                    goal_direction = np.broadcast_to(np.array(THUMB) * side, now.shape)
                else:
                    first = unit(np.einsum("nij,nj->ni", hand, chain[1] - chain[0]))
                    goal_direction = np.stack([first[:, 0], 0 * first[:, 0], FAN * first[:, 2]], axis=-1)
                out[f"finger{finger}-{k}.{s}"] = swing(now, goal_direction) @ hand
        thigh = at[f"lowerleg01.{s}"] - at[f"upperleg01.{s}"]
        shin = at[f"foot.{s}"] - at[f"lowerleg01.{s}"]
        out[f"upperleg01.{s}"] = swing(thigh, np.array(THIGH) * side)
        out[f"lowerleg01.{s}"] = swing(shin, np.array(SHIN) * side)
        out[f"foot.{s}"] = np.tile(np.eye(3), (count, 1, 1))  # soles stay flat
    return out


def bone_transforms(rig: Rig, heads: Array, rotations: dict[str, Array]) -> tuple[Array, Array]:
    """Global rotations (n,B,3,3) and posed heads (n,B,3): bones without an entry follow their parent."""
    turned, posed = np.empty((*heads.shape, 3)), np.empty_like(heads)
    for b, (name, parent) in enumerate(zip(rig.names, rig.parents, strict=True)):
        if parent < 0:
            turned[:, b], posed[:, b] = np.eye(3), heads[:, b]
            continue
        turned[:, b] = rotations.get(name, turned[:, parent])
        arm = heads[:, b] - heads[:, parent]
        posed[:, b] = posed[:, parent] + np.einsum("nij,nj->ni", turned[:, parent], arm)
    return turned, posed


def smoother(faces: NDArray[np.int64], count: int, steps: int) -> sparse.csr_array:
    """(V,V) matrix that averages every vertex with its neighbours ``steps`` times, half and half."""
    a = np.concatenate([faces, np.roll(faces, 1, axis=1)], axis=1).reshape(-1)
    b = np.concatenate([np.roll(faces, 1, axis=1), faces], axis=1).reshape(-1)
    links = sparse.csr_array((np.ones(len(a)), (a, b)), (count, count))
    links.data[:] = 1.0
    mean = sparse.diags_array(0.5 / np.asarray(links.sum(1)).ravel()) @ links
    step = sparse.csr_array(0.5 * sparse.eye_array(count) + mean)
    out = sparse.csr_array(sparse.eye_array(count))
    for _ in range(steps):
        out = step @ out
    return sparse.csr_array(out)


def relax(rest: Array, posed: Array, blended: Array, smooth: sparse.csr_array) -> Array:
    """Smooth the posed skin and restore its rest detail. ``blended`` (V,3,3) blended bone rotations."""
    u, _, vt = np.linalg.svd(blended)
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    turn = u @ vt
    detail = rest - smooth @ rest
    return smooth @ posed + np.einsum("vij,vj->vi", turn, detail)


def bake(
    rig: Rig, people: Array, keep: NDArray[np.int64], faces: NDArray[np.int64], pivots: Array, weights: Array
) -> tuple[Array, Array]:
    """T-posed vertices (n,V,3) and bone heads (n,B,3) of people (n,N,3), metres.

    ``keep`` (V,) the vertices kept, ``faces`` (F,4) in kept numbering, ``pivots`` (B,B) turns bone heads into the
    points that bones turn about (hips and knees are moved to the anatomical centres), ``weights`` (V,B).
    """
    heads = np.stack([pivots @ (rig.heads @ person) for person in people])
    tips = {name: people[:, ids].mean(1) for name, ids in rig.cubes.items() if name.endswith("-4") and "finger" in name}
    turned, posed_heads = bone_transforms(rig, heads, target_rotations(rig, heads, tips))
    shift = posed_heads - np.einsum("nbij,nbj->nbi", turned, heads)
    smooth = smoother(faces, len(keep), 24)
    soft = smooth @ weights
    out = np.empty((len(people), len(keep), 3))
    for i, person in enumerate(people):
        rest = person[keep]
        rotation = (weights @ turned[i].reshape(len(shift[i]), 9)).reshape(-1, 3, 3)
        posed = np.einsum("vij,vj->vi", rotation, rest) + weights @ shift[i]
        blended = (soft @ turned[i].reshape(len(shift[i]), 9)).reshape(-1, 3, 3)
        out[i] = relax(rest, posed, blended, smooth)
    return out, posed_heads
