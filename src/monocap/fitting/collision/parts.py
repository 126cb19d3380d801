"""Which parts of a body may not meet: those that are no neighbours. Parts are joints; a triangle's is its strongest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monocap.errors import InputError
from monocap.types import Array

NEIGHBOURS: tuple[tuple[str, str], ...] = (
    *((spine, f"{side}_shoulder") for spine in ("spine3", "spine2") for side in ("left", "right")),
    ("left_hip", "right_hip"),
    ("neck", "jaw"),
)
"""Parts that SMPLify-X lets touch besides parent and child: 9-16, 9-17, 6-16, 6-17, 1-2 and 12-22 in SMPL-X's numbers.

By name, since joint 22 is a hand in SMPL.
"""


def neighbours(joint_names: Sequence[str]) -> list[tuple[int, int]]:
    """Those of `NEIGHBOURS` that a body with these joints has, as indices."""
    at = {name: i for i, name in enumerate(joint_names)}
    return [(at[a], at[b]) for a, b in NEIGHBOURS if a in at and b in at]


def face_parts(faces: Array, weights: Array) -> NDArray[np.int64]:
    """(F,) the joint that moves each triangle of ``faces`` (F,3) most, by its corners' ``weights`` (V,J)."""
    return np.argmax(np.asarray(weights)[np.asarray(faces)].sum(axis=1), axis=1)


def allowed_pairs(parents: Sequence[int] | Array, ignored: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """(J,J) bool, symmetric: parts whose triangles are compared. Not itself, its parent, ``ignored``.

    Raises InputError for parents that are no tree or pairs that are no parts.
    """
    count = len(parents)
    allowed = ~np.eye(count, dtype=bool)
    for child, parent in enumerate(int(p) for p in parents):
        if not -1 <= parent < count:
            raise InputError(f"parents[{child}] is {parent}; expected -1 or a part in 0…{count - 1}")
        if parent >= 0:
            allowed[child, parent] = allowed[parent, child] = False
    for a, b in ignored:
        if not (0 <= a < count and 0 <= b < count):
            raise InputError(f"ignored pair ({a}, {b}); expected parts in 0…{count - 1}")
        allowed[a, b] = allowed[b, a] = False
    return allowed
