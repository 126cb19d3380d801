"""`Skeleton`: what a joint set is called, how it hangs together, and how two of them correspond."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import MappingProxyType

import numpy as np

from monocap.errors import InputError
from monocap.skeletons import tables
from monocap.types import Array

LIMBS12: tuple[str, ...] = tuple(
    f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left", "right")
)
"""The twelve limb joints that every whole-body skeleton has, under these names in all of them."""


@dataclass(frozen=True)
class Skeleton:
    """A named, ordered joint set of J joints.

    ``parents`` (J,) holds each joint's parent, -1 for the root; a bare keypoint set (COCO, BlazePose) has no
    tree, all its entries are -1. ``edges`` are pairs of indices to draw. ``meanings`` renames joints for
    `mapping` where a data set's own name means another place than the same name elsewhere (H36M's ``head`` is
    the top of the head, SMPL's the joint below the skull): common names, best first; none if no other has it.
    """

    name: str
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]
    meanings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.joint_names)) != len(self.joint_names) or len(self.parents) != len(self.joint_names):
            raise InputError(f"skeleton {self.name}: joint names must be unique and as many as the parents")
        object.__setattr__(self, "meanings", MappingProxyType(dict(self.meanings)))

    def __len__(self) -> int:
        return len(self.joint_names)

    @cached_property
    def flip(self) -> tuple[int, ...]:
        """Permutation that exchanges left and right: ``mirrored = joints[..., flip, :]`` (then negate x)."""
        return tuple(self.index(_other_side(name)) for name in self.joint_names)

    def index(self, name: str) -> int:
        """Index of one joint. Raises InputError, listing the names, if there is none such."""
        try:
            return self.joint_names.index(name)
        except ValueError:
            raise InputError(
                f"skeleton {self.name} has no joint {name!r}; it has {', '.join(self.joint_names)}"
            ) from None

    def indices(self, names: Iterable[str]) -> Array:
        """(n,) indices of several joints, e.g. of `LIMBS12`."""
        return np.array([self.index(name) for name in names], dtype=np.intp)

    def meaning(self, index: int) -> tuple[str, ...]:
        """Common names of the place that joint ``index`` marks, best first; empty if no other skeleton has it."""
        name = self.joint_names[index]
        return self.meanings.get(name, (name,))


def _other_side(name: str) -> str:
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if name.startswith(side):
            return other + name.removeprefix(side)
    if name.endswith("_left"):
        return name.removesuffix("left") + "right"
    if name.endswith("_right"):
        return name.removesuffix("right") + "left"
    return name


def names() -> tuple[str, ...]:
    """Names that `get` accepts."""
    return tuple(tables.SKELETONS)


@cache
def get(name: str) -> Skeleton:
    """The skeleton called ``name`` (see `names`). Raises InputError for an unknown one."""
    if name not in tables.SKELETONS:
        raise InputError(f"no skeleton {name!r}; there are {', '.join(tables.SKELETONS)}")
    joints, parents, edges, meanings = tables.SKELETONS[name]
    at = {joint: i for i, joint in enumerate(joints)}
    up = tuple(at.get(parents.get(joint, ""), -1) for joint in joints)
    drawn = tuple((at[a], at[b]) for a, b in edges) or tuple((p, i) for i, p in enumerate(up) if p >= 0)
    return Skeleton(name, joints, up, drawn, meanings)


@cache
def mapping(source: str, target: str) -> tuple[Array, Array]:
    """Joints with the same meaning in two skeletons.

    Returns two (n,) integer arrays, so that ``points_of_source[..., a, :]`` and ``points_of_target[..., b, :]``
    correspond; in the order of the target. Same meaning is not same place: detectors mark the skin or the
    outline where bodies have joint centres, by up to several centimetres.
    """
    one, other = get(source), get(target)
    free: dict[str, int] = {}
    for i in range(len(one)):
        for place in one.meaning(i):
            free.setdefault(place, i)
    pairs: dict[int, int] = {}  # a source joint serves once
    for j in range(len(other)):
        found = next((free[place] for place in other.meaning(j) if place in free), None)
        if found is not None:
            pairs.setdefault(found, j)
    array = np.array(list(pairs.items()), dtype=np.intp).reshape(-1, 2)
    array.setflags(write=False)
    return array[:, 0], array[:, 1]
