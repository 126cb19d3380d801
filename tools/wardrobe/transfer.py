"""How does a garment made for MakeHuman's A-pose lie on the open body's T-pose?

Garment and bare hm08 mesh go through the same change of pose (`tools.open_body.tpose`); what is left, from hm08's own
shape to the open body's mean, follows the skin: each garment vertex keeps its place beside the skin near it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tools.open_body import proportions, tpose
from tools.open_body.build import PARTS, PELVIS
from tools.open_body.sources import BaseMesh, Rig, Wheel, read_mesh, read_rig

from monocap.bodies import BodyModel
from monocap.synth import garments_fit

from .sources import Proxy

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Bare:
    """hm08 without clothes: ``rotation`` (B,3,3) and ``shift`` (B,3) of each bone into the T-pose; ``skin`` (V,3) its
    T-posed vertices in the open body's order; ``number`` (N,) of each hm08 vertex in the open body, or -1; ``scale``
    and ``move`` from the T-posed metres to the open body's."""

    mesh: BaseMesh
    rig: Rig
    rotation: Array
    shift: Array
    skin: Array
    number: Index
    scale: float
    move: Array


def bare(wheel: Wheel, body: BodyModel) -> Bare:
    mesh = read_mesh(wheel)
    rig = read_rig(wheel, len(mesh.vertices))
    kept = np.isin(mesh.group, PARTS)
    keep, quads = np.unique(mesh.quads[kept], return_inverse=True)
    quads = quads.reshape(-1, 4)
    pivots, joint_map = proportions.joint_matrices(rig)
    heads = (pivots @ (rig.heads @ mesh.vertices))[None]
    tips = {n: mesh.vertices[ids].mean(0)[None] for n, ids in rig.cubes.items() if n.endswith("-4") and "finger" in n}
    turned, posed_heads = tpose.bone_transforms(rig, heads, tpose.target_rotations(rig, heads, tips))
    shift = posed_heads - np.einsum("nbij,nbj->nbi", turned, heads)
    skin, _ = tpose.bake(rig, mesh.vertices[None], keep, quads, pivots, rig.weights[keep])
    number = _numbers(mesh, kept, keep, quads, body)
    pelvis = joint_map[0] @ posed_heads[0]
    scale = float(np.ptp(body.v_template[:, 1]) / np.ptp(skin[0][:, 1]))
    move = PELVIS - pelvis * scale
    ordered = np.empty_like(skin[0])
    ordered[number[keep]] = skin[0] * scale + move
    return Bare(mesh, rig, turned[0], shift[0], ordered, number, scale, move)


def _numbers(mesh: BaseMesh, kept: NDArray[np.bool_], keep: Index, quads: Index, body: BodyModel) -> Index:
    """(N,) which open-body vertex each hm08 vertex became: both keep the order of faces and of texture corners."""
    assert body.uv_faces is not None
    _, corners = np.unique(mesh.uv_quads[kept], return_inverse=True)
    corners = corners.reshape(-1, 4)
    number = np.full(len(mesh.vertices), -1)
    for half in (0, 1):
        ours, ours_uv = body.faces[half::2], body.uv_faces[half::2]
        for k in range(3):
            same = corners == ours_uv[:, k : k + 1]
            number[keep[quads[same]]] = np.repeat(ours[:, k], same.sum(axis=1))
    assert (np.sort(number[keep]) == np.arange(len(body.v_template))).all()
    return number


def to_open_body(proxy: Proxy, from_: Bare, body: BodyModel) -> Array:
    """(G,3) m: the garment on the open body's mean shape, T-pose."""
    at = np.einsum("gk,gkc->gc", proxy.weights, from_.mesh.vertices[proxy.reference]) + proxy.offset
    shares = np.clip(proxy.weights, 0.02, None)
    weights = np.einsum("gk,gkb->gb", shares / shares.sum(1, keepdims=True), from_.rig.weights[proxy.reference])
    smooth = tpose.smoother(proxy.quads, len(at), 8)
    weights = smooth @ weights  # references jump from limb to limb where a garment is loose
    rotation = (weights @ from_.rotation.reshape(-1, 9)).reshape(-1, 3, 3)
    posed = np.einsum("gij,gj->gi", rotation, at) + weights @ from_.shift
    posed = tpose.relax(at, posed, rotation, smooth)
    posed = posed * from_.scale + from_.move
    kit = garments_fit.Kit.of(body, from_.skin)
    binding = kit.bind(posed, triangles(proxy.quads))
    return kit.place(binding, body.v_template.astype(np.float32)).astype(float)


def triangles(quads: Index) -> Index:
    """(T,3) from (F,4), where a triangle repeats its last corner."""
    first = quads[:, [0, 1, 2]]
    second = quads[:, [0, 2, 3]]
    real = quads[:, 2] != quads[:, 3]
    out = np.concatenate([first, second[real]])
    order = np.concatenate([2 * np.arange(len(first)), 2 * np.flatnonzero(real) + 1])
    return out[np.argsort(order)]
