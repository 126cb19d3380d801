"""Which vertex gets which number? smplx reads key points of the body at fixed vertex ids; put them there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .proportions import FINGERS, joint_names
from .sources import DATA, BaseMesh, Rig, Wheel

Array = NDArray[np.float64]

# Vertex ids that smplx appends to SMPL-X's joints: nose, eyes, ears, feet, finger tips.
SMPLX_IDS = {
    "nose": 9120, "right_eye": 9929, "left_eye": 9448, "right_ear": 616, "left_ear": 6,
    "left_big_toe": 5770, "left_small_toe": 5780, "left_heel": 8846,
    "right_big_toe": 8463, "right_small_toe": 8474, "right_heel": 8635,
    "left_thumb": 5361, "left_index": 4933, "left_middle": 5058, "left_ring": 5169, "left_pinky": 5286,
    "right_thumb": 8079, "right_index": 7669, "right_middle": 7794, "right_ring": 7905, "right_pinky": 8022,
}  # fmt: skip


def key_vertices(
    wheel: Wheel, rig: Rig, mesh: BaseMesh, keep: NDArray[np.int64], vertices: Array, mirror: NDArray[np.int64]
) -> dict[str, int]:
    """The kept vertex that lies on each key point of the T-posed template (V,3); right ones mirror left ones."""
    back = np.full(len(mesh.vertices), -1)
    back[keep] = np.arange(len(keep))

    def of_group(name: str) -> NDArray[np.int64]:
        return np.unique(back[mesh.quads[mesh.group == name]])

    def moved_by(bone: str) -> NDArray[np.int64]:
        return np.flatnonzero(rig.weights[keep, rig.index(bone)] > 0.5)

    def best(ids: NDArray[np.int64], score: Array) -> int:
        return int(ids[np.argmax(score)])

    skin = of_group("body")
    middle = skin[(np.abs(vertices[skin, 0]) < 1e-4) & (vertices[skin, 1] > vertices[skin, 1].max() - 0.25)]
    left: dict[str, int] = {}
    nose = best(middle, vertices[middle, 2])
    eye = of_group("helper-l-eye")
    left["eye"] = best(eye, vertices[eye, 2])
    ear_ids, _ = wheel.target(DATA + "targets/ears/l-ear-scale-incr.target.gz")
    ear = back[ear_ids]
    ear = ear[ear >= 0]
    centre = vertices[ear].mean(0) + np.array([0.012, 0.0, 0.008])  # in front of the ear canal
    left["ear"] = best(ear, -np.linalg.norm(vertices[ear] - centre, axis=1))
    for name, bone in (("big_toe", "toe1-2.L"), ("small_toe", "toe5-3.L")):
        ids = moved_by(bone)
        left[name] = best(ids, vertices[ids, 2])
    foot = moved_by("foot.L")
    low = foot[vertices[foot, 1] < vertices[foot, 1].min() + 0.03]
    left["heel"] = best(low, -vertices[low, 2])
    for name, number in FINGERS.items():
        ids = moved_by(f"finger{number}-3.L")
        along = np.array([1.0, 0.0, 1.0]) if name == "thumb" else np.array([1.0, 0.0, 0.0])
        left[name] = best(ids, vertices[ids] @ along)
    sides = {f"left_{k}": v for k, v in left.items()} | {f"right_{k}": int(mirror[v]) for k, v in left.items()}
    return {"nose": nose} | sides


def permutation(count: int, keys: dict[str, int]) -> NDArray[np.int64]:
    """(V,) old id of each new id: the old order, with the key vertices swapped into their places."""
    old = np.arange(count)
    place = np.arange(count)  # where each old vertex sits now
    for name, wanted in SMPLX_IDS.items():
        here, other = place[keys[name]], old[wanted]
        old[wanted], old[here] = keys[name], other
        place[keys[name]], place[other] = wanted, here
    return old


def pools(weights: Array, parents: list[int], eyes: dict[str, NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Vertices each joint may be regressed from: those that it or the two joints above it move; eyes, their ball."""
    out = []
    for j, name in enumerate(joint_names()):
        if name in eyes:
            out.append(eyes[name])
            continue
        near = weights[:, j] > 0.02
        for above in (parents[j], parents[max(parents[j], 0)]):
            if above >= 0:
                near |= weights[:, above] > 0.02
        for ids in eyes.values():
            near[ids] = False
        out.append(np.flatnonzero(near))
    return out
