"""Named points on a body: joints of any skeleton, and markers attached to joints or to the skin.

Each is a weighted sum of rigid landmarks (`LandmarkModel`), one per bone that moves it: linear blend skinning, exactly,
so that a marker near a joint is placed as the mesh is. Pose correctives, where a body has them, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.bodies.load import EXTRA_POINTS
from monocap.errors import InputError
from monocap.fitting.landmarks import LandmarkModel
from monocap.fitting.state import BODY_JOINTS
from monocap.types import Array

_NEGLIGIBLE = 0.02  # skinning weights below this are folded into the others


@dataclass(frozen=True)
class PointSet:
    """M named points: ``mix`` (M,N) over the N landmarks of ``landmarks``; ``known`` (M,): False if not on the body."""

    names: tuple[str, ...]
    landmarks: LandmarkModel
    mix: Array
    known: Array

    def take(self, points: Array) -> PointSet:
        """Some of the points (n,) by number, and only the landmarks that they need."""
        mix = self.mix[points]
        used = np.flatnonzero((mix != 0).any(axis=0))
        marks = self.landmarks
        kept = replace(
            marks,
            keypoint_names=tuple(self.names[i] for i in points),
            bone=marks.bone[used],
            rest=marks.rest[used],
            directions=marks.directions[used],
            weight=self.known[points].astype(np.float64),
        )
        return PointSet(kept.keypoint_names, kept, mix[:, used], self.known[points])

    def moved(self, offsets: Array) -> PointSet:
        """The same points shifted by ``offsets`` (M,3) m in the rest pose."""
        owner = np.argmax(self.mix > 0, axis=0)  # every landmark belongs to one point
        marks = replace(self.landmarks, rest=self.landmarks.rest + offsets[owner])
        return replace(self, landmarks=marks)


def skeleton_points(body: BodyModel, skeleton: str) -> PointSet:
    """The joints of a skeleton (`skeletons.names()`) that mean something on the body, by name."""
    source, target = skeletons.mapping(skeleton, "smplx76")
    names = skeletons.get(skeleton).joint_names
    places: list[tuple[Array, Array, dict[int, float]] | None] = [None] * len(names)
    for theirs, ours in zip(source.tolist(), target.tolist(), strict=True):
        places[theirs] = _named_place(body, skeletons.get("smplx76").joint_names[ours])
    return _point_set(body, names, places)


def marker_points(body: BodyModel, markers: Mapping[str, Any], names: Sequence[str]) -> PointSet:
    """Markers ``names`` by an attachment table: name → where.

    Where is one of ``{"vertex": n}``; ``{"joint": name, "offset": [x, y, z]}`` (metres, rest pose); or
    ``{"from": joint, "to": joint, "share": s, "direction": [x, y, z]}``: the skin that is met when looking from the
    point between two joints (share 0: the first) into a direction of the rest pose (T-pose, x left, y up, z forward).
    All may have ``"distance"``: how far the marker's centre lies off the skin, metres. Markers that the table does not
    name are unknown. Raises InputError for a table that is none.
    """
    places = [None if name not in markers else _attached(body, name, markers[name]) for name in names]
    return _point_set(body, tuple(names), places)


def _point_set(
    body: BodyModel, names: tuple[str, ...], places: Sequence[tuple[Array, Array, dict[int, float]] | None]
) -> PointSet:
    bones, rest, directions, owners, shares = [], [], [], [], []
    betas = body.shapedirs.shape[2]
    for i, place in enumerate(places):
        if place is None:
            place = np.zeros(3), np.zeros((3, betas)), {0: 1.0}
        for bone, share in place[2].items():
            bones.append(bone)
            rest.append(place[0])
            directions.append(place[1])
            owners.append(i)
            shares.append(share)
    mix = np.zeros((len(names), len(bones)))
    mix[owners, np.arange(len(bones))] = shares
    known = np.array([place is not None for place in places])
    marks = LandmarkModel(
        names,
        np.array(bones, dtype=np.int64),
        np.array(rest, dtype=np.float64),
        np.array(directions, dtype=np.float64),
        known.astype(np.float64),
        np.zeros((0, 2), dtype=np.int64),
    )
    return PointSet(names, marks, mix, known)


def _joint(body: BodyModel, name: str) -> int:
    if name not in body.joint_names:
        raise InputError(f"the body has no joint {name!r}; it has {', '.join(body.joint_names[:BODY_JOINTS])} …")
    return body.joint_names.index(name)


def _body_bone(body: BodyModel, joint: int) -> int:
    """The joint itself or the nearest above it among the 22 that the fit moves."""
    while joint >= BODY_JOINTS:
        joint = int(body.parents[joint])
    return joint


def _named_place(body: BodyModel, name: str) -> tuple[Array, Array, dict[int, float]] | None:
    betas = body.shapedirs.shape[2]
    if name in body.joint_names:
        joint = body.joint_names.index(name)
        return body.J_template[joint], body.J_shapedirs[joint, :, :betas], {_body_bone(body, joint): 1.0}
    order = skeletons.get("smplx76").joint_names[55:]
    vertex = body.extra_vertex_ids.get(EXTRA_POINTS[order.index(name)]) if name in order else None
    return None if vertex is None else _on_skin(body, vertex)


def _on_skin(body: BodyModel, vertex: int, shift: Array | None = None) -> tuple[Array, Array, dict[int, float]]:
    shares: dict[int, float] = {}
    for joint in np.flatnonzero(body.lbs_weights[vertex] > _NEGLIGIBLE):
        bone = _body_bone(body, int(joint))
        shares[bone] = shares.get(bone, 0.0) + float(body.lbs_weights[vertex, joint])
    total = sum(shares.values())
    rest = body.v_template[vertex] + (0.0 if shift is None else shift)
    return rest, body.shapedirs[vertex], {bone: share / total for bone, share in shares.items()}


def _attached(body: BodyModel, name: str, where: Any) -> tuple[Array, Array, dict[int, float]]:
    if not isinstance(where, Mapping):
        raise InputError(f"marker {name}: attachment is {type(where).__name__}; expected an object")
    try:
        distance = float(where.get("distance", 0.0))
        if "vertex" in where:
            vertex = int(where["vertex"])
            if not 0 <= vertex < len(body.v_template):
                raise InputError(f"marker {name}: vertex {vertex}; the body has {len(body.v_template)}")
            return _on_skin(body, vertex, distance * _normal(body, vertex))
        if "from" in where:
            start = body.J_template[_joint(body, str(where["from"]))]
            stop = body.J_template[_joint(body, str(where.get("to", where["from"])))]
            origin = start + float(where.get("share", 0.0)) * (stop - start)
            direction = np.asarray(where["direction"], dtype=np.float64)
            vertex = _seen_along(body, origin, direction.reshape(3), _bones_of(body, where))
            return _on_skin(body, vertex, distance * _normal(body, vertex))
        if "joint" in where:
            joint, betas = _joint(body, str(where["joint"])), body.shapedirs.shape[2]
            offset = np.asarray(where.get("offset", (0.0, 0.0, 0.0)), dtype=np.float64).reshape(3)
            bone = {_body_bone(body, joint): 1.0}
            return body.J_template[joint] + offset, body.J_shapedirs[joint, :, :betas], bone
    except (TypeError, ValueError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"marker {name}: attachment {dict(where)} is damaged ({error})") from error
    raise InputError(f"marker {name}: attachment {dict(where)}; expected vertex, joint, or from and direction")


def _bones_of(body: BodyModel, where: Mapping[str, Any]) -> set[int]:
    """Joints whose skin may carry the marker: those named, and their neighbours in the tree."""
    named = {_joint(body, str(where["from"])), _joint(body, str(where.get("to", where["from"])))}
    parents = [int(p) for p in body.parents]
    near = {p for j in named for p in (parents[j],) if p >= 0}
    return named | near | {j for j, p in enumerate(parents) if p in named}


def _seen_along(body: BodyModel, origin: Array, direction: Array, bones: set[int]) -> int:
    """The vertex of the bones' skin nearest to the ray from ``origin``, by angle."""
    length = float(np.linalg.norm(direction))
    if length < 1e-9:
        raise InputError("a marker's direction is zero")
    towards = body.v_template - origin
    distance = np.linalg.norm(towards, axis=1)
    cosine = towards @ (direction / length) / np.maximum(distance, 1e-6)
    own = np.isin(np.argmax(body.lbs_weights, axis=1), list(bones)) & (distance > 0.01)
    if not own.any():
        raise InputError("the body has no skin where a marker is said to be")
    return int(np.argmax(np.where(own, cosine, -2.0)))


def _normal(body: BodyModel, vertex: int) -> Array:
    """Unit normal of the rest mesh at a vertex."""
    faces = body.faces[(body.faces == vertex).any(axis=1)]
    a, b, c = (body.v_template[faces[:, i]].astype(np.float64) for i in range(3))
    total = np.cross(b - a, c - a).sum(axis=0)
    return total / max(float(np.linalg.norm(total)), 1e-12)
