"""What is true of a picture: where joints project, and which of them the camera sees, told from the picture's depth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.data.synthetic import BY_ITSELF, BY_OTHER, BY_THING, OUTSIDE, SKELETON, VISIBLE
from monocap.geometry.cameras import project
from monocap.render.scene import Shot
from monocap.types import Array, Camera

_CLOTH = 0.03  # m of cloth and hair that may lie over the skin
_OWN = 2.0  # how much deeper than to the nearest skin a joint may lie under its own part: trunks are wide
_BEHIND = 0.02  # m that something else must be nearer to hide a joint


@dataclass(frozen=True, eq=False)
class Depths:
    """Per point of the skeleton: ``radius`` (127,) m from it to the nearest skin of the mean body; ``near`` (127,56)
    bool: which parts' skin may cover it without hiding it (its own bone's, the neighbours'); column 55 is no part."""

    radius: Array
    near: Array


@lru_cache(maxsize=2)
def depths(body: BodyModel) -> Depths:
    """The table for a body; a joint lies in flesh, a landmark on the skin."""
    points = body.keypoints(SKELETON, betas=np.zeros(1))
    skin = np.asarray(body.v_template, np.float64)
    away = np.array([np.sqrt(np.square(skin - point).sum(axis=1).min()) for point in points])
    carrier = np.argmax(body.lbs_weights, axis=1)
    near = np.zeros((len(points), 56), bool)
    for i, point in enumerate(points):
        bone = i if i < 55 else int(carrier[np.square(skin - point).sum(axis=1).argmin()])
        near[i, bone] = True
        if body.parents[bone] >= 0:
            near[i, body.parents[bone]] = True
        near[i, :55] |= np.asarray(body.parents) == bone
    return Depths(away, near)


def visibility(shot: Shot, camera: Camera, joints: Array, person: int, table: Depths, scale: float = 1.0) -> Array:
    """(127,) uint8 state of each of ``joints`` (127,3), camera frame, of one person (see `data.synthetic.VISIBLE`).

    The surface seen at a joint's pixel is compared with the joint's own depth: whatever is nearer hides it, except the
    person's own skin and clothes as far as the joint lies below them. ``scale``: stature over the mean body's.
    """
    height, width = shot.depth.shape
    pixels = project(joints, camera)
    states = np.full(len(joints), OUTSIDE, np.uint8)
    inside = (joints[:, 2] > 1e-3) & (pixels > -0.5).all(axis=1) & (pixels < [width - 0.5, height - 0.5]).all(axis=1)
    for i in np.flatnonzero(inside):
        x, y = np.rint(pixels[i]).astype(int)
        x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
        # along the ray, not along z: at the edge of a wide lens they differ
        stretch = float(np.linalg.norm(joints[i]) / joints[i, 2])
        before = (joints[i, 2] - float(shot.depth[y, x])) * stretch  # m; −inf where nothing was hit
        who = int(shot.person[y, x])
        if who == person:
            radius = table.radius[i] * scale
            own = table.near[i, shot.part[y, x]]
            allowed = (_OWN * radius + 2 * _CLOTH) if own else (radius + _CLOTH)
            states[i] = BY_ITSELF if before > allowed else VISIBLE
        elif before > _BEHIND:
            states[i] = BY_OTHER if who >= 0 else BY_THING
        else:
            states[i] = VISIBLE
    return states


def box_of_body(vertices: Array, camera: Camera) -> Array:
    """(4,) x0, y0, x1, y1 px of what of ``vertices`` (V,3) lies in front of the camera; zeros if nothing does."""
    ahead = vertices[vertices[:, 2] > 0.05]
    if not len(ahead):
        return np.zeros(4)
    flat = project(ahead, camera)
    return np.concatenate([flat.min(axis=0), flat.max(axis=0)])


def stature(joints: Array) -> float:
    """Length of trunk and legs of posed ``joints`` (127,3), metres: a size that no pose changes much."""
    at = skeletons.get(SKELETON).index
    chain = [at(name) for name in ("head", "neck", "spine3", "spine2", "spine1", "pelvis")]
    legs = [at(name) for name in ("left_hip", "left_knee", "left_ankle")]
    return float(sum(np.linalg.norm(np.diff(joints[part], axis=0), axis=1).sum() for part in (chain, legs)))
