"""How does the face move? 52 ARKit shapes (CC0 face units) and a ten-component basis made from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .components import principal
from .sources import FACE_UNITS, Wheel

Array = NDArray[np.float64]

COMPONENTS = 10
# Movements that belong to joints (jaw, eyes) are left out of the basis: SMPL-X poses those joints instead.
BY_JOINT = ("jaw", "eyeLook", "tongue", "mouthClose")


def read_units(wheel: Wheel, keep: NDArray[np.int64], count: int) -> tuple[list[str], Array]:
    """Names of the 52 ARKit shapes, sorted, and their offsets (52,V,3) in metres at full strength."""
    files = sorted(n for n in wheel.names if n.startswith(FACE_UNITS) and n.endswith(".target"))
    offsets = np.zeros((len(files), count, 3))
    for row, name in enumerate(files):
        ids, delta = wheel.target(name)
        offsets[row, ids] = delta
    return [n.removeprefix(FACE_UNITS).removesuffix(".target") for n in files], offsets[:, keep]


def basis(names: list[str], units: Array, mirror: NDArray[np.int64], rng: np.random.Generator) -> tuple[Array, Array]:
    """Expression directions (V,3,10), and (52,10) the coefficients that imitate each ARKit shape best.

    Faces are random mixtures, most movements on both sides at once; each comes with its mirror image, so components
    are symmetric or antisymmetric.
    """
    used = [k for k, n in enumerate(names) if not n.startswith(BY_JOINT)]
    pairs = {n: n.replace("Left", "Right") for n in names if "Left" in n}
    strength = np.where(rng.random((400, len(names))) < 0.25, rng.beta(1.2, 1.6, (400, len(names))), 0.0)
    both = rng.random(400) < 0.8
    for left, right in pairs.items():
        strength[both, names.index(right)] = strength[both, names.index(left)]
    faces = np.einsum("nk,kvc->nvc", strength[:, used], units[used])
    faces = np.concatenate([faces, faces[:, mirror] * np.array([-1.0, 1.0, 1.0])])
    found = principal(faces, np.zeros((len(faces), 1, 3)), COMPONENTS)
    flat = found.basis.reshape(-1, COMPONENTS)
    imitate = np.linalg.lstsq(flat, units.reshape(len(units), -1).T, rcond=None)[0].T
    imitate[[k for k in range(len(names)) if k not in used]] = 0.0
    return found.basis, imitate.astype(np.float64)
