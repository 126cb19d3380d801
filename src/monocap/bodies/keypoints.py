"""Points on a body by name: joints, single vertices, landmarks of the face and its contour, in any named order.

A set is the name of a skeleton (`monocap.skeletons`: ``smpl45``, ``smplx127``, ``smplx144``, ``openpose135`` …) or a
list of names. What it needs of the mesh, some 200 vertices at most, is all that is skinned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import array_namespace

from monocap import skeletons
from monocap.bodies import reference
from monocap.bodies.kinds import KINDS
from monocap.errors import InputError
from monocap.geometry.arrays import Array

if TYPE_CHECKING:
    from monocap.bodies.model import BodyModel


@dataclass(frozen=True)
class Landmarks:
    """Points inside triangles of the mesh: ``vertices`` (…,3) their corners, ``weights`` (…,3) barycentric."""

    vertices: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Selection:
    """K points as sums over J joints and the n ``vertices`` (n,) of the mesh: ``mix`` (K,J+n).

    Points of the contour have zeros there and are set afterwards: ``contour`` (c,) their places among the K,
    ``corners`` (79,c,3) and ``weights`` (79,c,3) their triangles, as numbers into ``vertices``, for every turn.
    """

    names: tuple[str, ...]
    vertices: np.ndarray
    mix: np.ndarray
    contour: np.ndarray
    corners: np.ndarray
    weights: np.ndarray


def available(body: BodyModel) -> tuple[str, ...]:
    """Names of all points that a body has, in smplx's order: joints, vertices, landmarks, contour."""
    return tuple(name for name in _whole(body).joint_names if name in _places(body))


def _whole(body: BodyModel) -> skeletons.Skeleton:
    return skeletons.get(KINDS[len(body.parents)].points)


def _places(body: BodyModel) -> dict[str, tuple[str, int]]:
    """What each of the body's points is: a joint, vertex, landmark or contour point, and its number."""
    names, joints = _whole(body).joint_names, len(body.parents)
    extra = len(KINDS[joints].extra_points)
    places = {name: ("joint", i) for i, name in enumerate(names[:joints])}
    ids = list(body.extra_vertex_ids.values())
    if len(ids) == extra:
        places |= {name: ("vertex", v) for name, v in zip(names[joints : joints + extra], ids, strict=True)}
    rest = names[joints + extra :]
    if body.landmarks is not None:
        places |= {name: ("landmark", i) for i, name in enumerate(rest[: len(body.landmarks.vertices)])}
    if body.contour is not None:
        places |= {name: ("contour", i) for i, name in enumerate(rest[51:])}
    return places


def select(body: BodyModel, which: str | Sequence[str] | None) -> Selection:
    """The points of a set. Raises InputError, naming them, if the body lacks some."""
    places, whole = _places(body), _whole(body)
    if which is None:
        which = [name for name, (what, _) in places.items() if what != "contour"]
    meanings: dict[str, str] = {}  # common name → the body's own
    for i, name in enumerate(whole.joint_names):
        for place in whole.meaning(i):
            if name in places:
                meanings.setdefault(place, name)
    found: list[str | None]
    if isinstance(which, str):
        wanted = skeletons.get(which)
        names = wanted.joint_names
        own = which.rstrip("0123456789") == whole.name.rstrip("0123456789")
        found = [
            (name if name in places else None)
            if own
            else next((meanings[place] for place in wanted.meaning(i) if place in meanings), None)
            for i, name in enumerate(names)
        ]
    else:
        names = tuple(which)
        found = [name if name in places else None for name in names]
    missing = [name for name, own_name in zip(names, found, strict=True) if own_name is None]
    if missing:
        raise InputError(
            f"body {body.name!r} has no {', '.join(missing[:6])}{' …' if len(missing) > 6 else ''}; "
            f"it has the {len(places)} points that keypoint_names() lists"
        )
    return _selection(body, names, [places[name] for name in found if name is not None])


def _selection(body: BodyModel, names: tuple[str, ...], points: list[tuple[str, int]]) -> Selection:
    joints = len(body.parents)
    contour = np.array([k for k, (what, _) in enumerate(points) if what == "contour"], dtype=np.int64)
    numbers = np.array([points[k][1] for k in contour], dtype=np.int64)
    corners = weights = np.zeros((0, 0, 3))
    if len(contour) and body.contour is not None:
        corners, weights = body.contour.vertices[:, numbers], body.contour.weights[:, numbers]
    rows: list[tuple[int, Any, Any]] = []
    for k, (what, number) in enumerate(points):
        if what == "vertex":
            rows.append((k, np.array([number]), np.ones(1)))
        elif what == "landmark" and body.landmarks is not None:
            rows.append((k, body.landmarks.vertices[number], body.landmarks.weights[number]))
    used = np.unique(np.concatenate([corners.ravel(), *(ids for _, ids, _ in rows)]).astype(np.int64))
    mix = np.zeros((len(points), joints + len(used)))
    for k, (what, number) in enumerate(points):
        if what == "joint":
            mix[k, number] = 1.0
    for k, ids, shares in rows:
        np.add.at(mix[k], joints + np.searchsorted(used, ids), shares)
    return Selection(names, used, mix, contour, np.searchsorted(used, corners).astype(np.int64), weights)


def combine(selection: Selection, mix: Array, joints: Array, vertices: Array, row: Array | None) -> Array:
    """Points (…,K,3) from joints (…,J,3) and the selection's vertices (…,n,3); ``mix`` is its own in the library and
    dtype of the call, ``row`` (…) that of the contour's table (`contour_row`)."""
    xp = array_namespace(vertices)
    points = mix @ xp.concat([joints, vertices], axis=-2)
    if row is None:
        return points
    like = {"dtype": vertices.dtype, "device": vertices.device}
    corners = xp.asarray(selection.corners, device=vertices.device)[row]  # (…,c,3)
    weights = xp.asarray(selection.weights, **like)[row]
    flat = xp.reshape(vertices, (-1, *vertices.shape[-2:]))
    body = xp.arange(flat.shape[0], device=vertices.device)[:, None, None]
    picked = flat[body, xp.reshape(corners, (flat.shape[0], *corners.shape[-2:]))]  # (N,c,3 corners,3)
    found = xp.sum(picked * xp.reshape(weights, (*picked.shape[:-1], 1)), axis=-2)
    found = xp.reshape(found, (*points.shape[:-2], *found.shape[-2:]))
    kept = np.setdiff1d(np.arange(len(selection.names)), selection.contour)
    order = np.argsort(np.concatenate([kept, selection.contour]))
    kept, order = (xp.asarray(index, device=vertices.device) for index in (kept, order))
    return xp.concat([points[..., kept, :], found], axis=-2)[..., order, :]


def contour_row(pose: Array, parents: Sequence[int], joint: int, camera: bool = False) -> Array:
    """The row (…) of the contour's table for poses (…,J,3) rad: the yaw of ``joint`` in the frame of the body's
    translation, root included, in whole degrees. No gradient passes: the choice is piecewise constant.

    Rows 0…39 are turns to one side by so many degrees, 40…78 those to the other (Li et al., FLAME). ``camera``: that
    frame is a camera's, see `contour_row_of`.
    """
    if hasattr(pose, "detach"):
        pose = pose.detach()
    turn = None
    while joint >= 0:
        local = reference.rodrigues(pose[..., joint, :])
        turn = local if turn is None else local @ turn
        joint = int(parents[joint])
    assert turn is not None
    return contour_row_of(turn, camera)


def contour_row_of(turn: Array, camera: bool = False) -> Array:
    """The row (…) for turns of the neck or head (…,3,3), root included.

    The table is meant for faces that are looked at from +z with y up. In the frame of a ``camera`` (y down, z forward)
    the same face has the opposite yaw, and without that option the contour of the other cheek is taken.
    """
    xp = array_namespace(turn)
    length = xp.sqrt(turn[..., 0, 0] ** 2 + turn[..., 1, 0] ** 2)
    yaw = xp.atan2(turn[..., 2, 0] if camera else -turn[..., 2, 0], length) * (180 / np.pi)
    degrees = xp.astype(xp.round(xp.clip(-yaw, max=39.0)), xp.int64)
    return xp.where(degrees >= 0, degrees, xp.where(degrees < -39, xp.full_like(degrees, 78), 39 - degrees))


def contour_joint(body: BodyModel, camera: bool) -> int:
    """Which joint's turn moves the contour: smplx's choice, the neck (FLAME: the root); for a ``camera`` the head."""
    if camera and "head" in body.joint_names:
        return body.joint_names.index("head")
    return body.kind.neck or 0
