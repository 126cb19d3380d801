"""`Poses`: what is compared, N samples in a protocol's joint order, and how other joint sets are brought into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from monocap import skeletons
from monocap.errors import InputError
from monocap.evaluate.protocols import EvaluationProtocol
from monocap.types import Array


@dataclass(frozen=True)
class Poses:
    """N samples, as truth or as estimate: metres (camera or world axes, as the protocol says) or pixels.

    ``joints`` (N,J,3), or (N,J,2) of keypoints, in the protocol's order; ``visible`` (N,J) bool: annotated, or
    estimated; ``root`` (N,3) the middle of the protocol's root joints, or None in 2D. ``vertices`` (N,V,3) and
    ``origin`` (N,3), what is subtracted from them, where meshes are compared, else None.
    """

    joints: Array
    visible: Array
    root: Array | None = None
    vertices: Array | None = None
    origin: Array | None = None

    def __len__(self) -> int:
        return len(self.joints)

    def take(self, index: Array) -> Poses:
        """The samples with these numbers, or where a mask is True."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        taken: dict[str, Any] = {name: None if value is None else value[index] for name, value in values.items()}
        return Poses(**taken)


def finite(points: Array) -> Array:
    """(…,M) bool: which of points (…,M,d) are numbers."""
    return np.isfinite(points.sum(axis=-1))


def in_order(
    protocol: EvaluationProtocol, joints: Array, valid: Array, *, skeleton: str = "", names: Sequence[str] = ()
) -> tuple[Array, Array, Array | None, list[str]]:
    """Points (…,M,d) with ``valid`` (…,M), of a ``skeleton`` or with ``names``, in the protocol's order.

    Names are taken by meaning between skeletons, literally otherwise. Returns joints (…,J,d), visible (…,J), root
    (…,d) or None, and notes. Joints that the source lacks are not visible; a root it lacks is replaced by the middle
    of the hips, which a note tells.

    Raises InputError if there is nothing in common.
    """
    at = _positions(protocol, skeleton, names)
    shape = (*joints.shape[:-2], len(protocol.joints), joints.shape[-1])
    ordered, visible = np.full(shape, np.nan), np.zeros(shape[:-1], dtype=bool)
    for j, name in enumerate(protocol.joints):
        if name in at:
            ordered[..., j, :] = joints[..., at[name], :]
            visible[..., j] = valid[..., at[name]]
    if not any(name in at for name in protocol.joints):
        raise InputError(f"{skeleton or 'the joints'} and protocol {protocol.name} have no joint in common")
    notes = [f"no {name} here; compared without it" for name in protocol.joints if name not in at]
    root = None
    if protocol.root:
        roots = protocol.root
        if not all(name in at for name in roots):
            roots = ("left_hip", "right_hip")
            notes.append("no root joint here; the middle of the hips is taken")
        if not all(name in at for name in roots):
            raise InputError(f"protocol {protocol.name} needs {', '.join(protocol.root)} (or both hips) as its root")
        chosen = [at[name] for name in roots]
        root = np.where(valid[..., chosen].all(axis=-1, keepdims=True), joints[..., chosen, :].mean(axis=-2), np.nan)
    return np.where(visible[..., None], ordered, np.nan), visible, root, notes


def _positions(protocol: EvaluationProtocol, skeleton: str, names: Sequence[str]) -> dict[str, int]:
    """Where each of the protocol's joint names is found in the source."""
    known = skeletons.get(protocol.skeleton)
    if names:
        return {str(name): i for i, name in enumerate(names)}
    if skeleton == protocol.skeleton:
        return {name: i for i, name in enumerate(known.joint_names)}
    here, there = skeletons.mapping(skeleton, protocol.skeleton)
    return {known.joint_names[b]: int(a) for a, b in zip(here, there, strict=True)}
