"""What people have to do with: something in a hand, something to sit on. Small meshes in the camera frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monocap import skeletons
from monocap.render.scene import Surface
from monocap.types import Array

_BODY = skeletons.get("smplx55")
_HANDS = {
    side: _BODY.indices([f"{side}_wrist", f"{side}_index1", f"{side}_middle1", f"{side}_pinky1"])
    for side in ("left", "right")
}
_HIPS = _BODY.indices(("left_hip", "right_hip"))
_KNEES = _BODY.indices(("left_knee", "right_knee"))
_ANKLES = _BODY.indices(("left_ankle", "right_ankle"))
_SEAT = (0.25, 0.75)  # m, how high a hip can be above the floor on a seat
_LEVEL = 0.22  # m, how much higher or lower than the hips the knees of a sitter are
_ROUND = 24  # corners of a circle


@dataclass(frozen=True, eq=False)
class Thing:
    """A surface and what it is called."""

    name: str
    surface: Surface


def box(size: Array) -> tuple[Array, Array]:
    """Vertices (36,3), none shared, so that edges stay sharp, and outward faces (12,3) of a box about the origin."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * np.asarray(size) / 2
    quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    return corners[faces].reshape(-1, 3), np.arange(36).reshape(12, 3)


def turned_profile(profile: Array) -> tuple[Array, Array]:
    """Vertices and outward faces of a closed profile (n,2) of radius and height, turned about y; heights rise."""
    angle = np.arange(_ROUND) * 2 * np.pi / _ROUND
    ring = np.stack([np.cos(angle), np.zeros(_ROUND), np.sin(angle)], axis=1)
    vertices = np.concatenate([r * ring + [0.0, h, 0.0] for r, h in profile])
    faces = []
    for level in range(len(profile) - 1):
        for k in range(_ROUND):
            a, b = level * _ROUND + k, level * _ROUND + (k + 1) % _ROUND
            faces += [(a, a + _ROUND, b + _ROUND), (a, b + _ROUND, b)]
    return vertices, np.array(faces)


def ball(radius: float) -> tuple[Array, Array]:
    """A sphere about the origin."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, 14)
    return turned_profile(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1))


def stick(radius: float, length: float, taper: float = 1.0) -> tuple[Array, Array]:
    """A closed cylinder along y; ``taper``: radius of its top over that of its foot."""
    top = radius * taper
    rows = [[1e-5, -0.5], [radius, -0.5], [radius, -0.49], [top, 0.49], [top, 0.5], [1e-5, 0.5]]
    return turned_profile(np.array(rows) * [1.0, length])


def held_thing(rng: np.random.Generator, joints: Array) -> Thing:
    """Something in one hand of a body of ``joints`` (55,3): ball, bottle, phone, book, stick, bag of a colour."""
    side = "left" if rng.random() < 0.5 else "right"
    wrist, index, middle, pinky = joints[_HANDS[side]]
    palm = np.cross(index - wrist, pinky - wrist) * (-1.0 if side == "left" else 1.0)
    palm /= np.linalg.norm(palm) + 1e-9
    across = (index - pinky) / (np.linalg.norm(index - pinky) + 1e-9)
    along = np.cross(palm, across)
    name = str(rng.choice(["ball", "bottle", "phone", "book", "stick", "box"]))
    if name == "ball":
        thick = rng.uniform(0.03, 0.12)
        vertices, faces = ball(thick)
    elif name == "bottle":
        thick = rng.uniform(0.025, 0.04)
        vertices, faces = stick(thick, rng.uniform(0.15, 0.28), rng.uniform(0.5, 1.0))
    elif name == "stick":
        thick = rng.uniform(0.01, 0.02)
        vertices, faces = stick(thick, rng.uniform(0.3, 1.3))
    else:
        size = {
            "phone": np.array([0.01, 0.075, 0.15]),
            "book": np.array([0.025, 0.16, 0.23]),
            "box": rng.uniform(0.08, 0.24, 3),
        }[name]
        thick = float(size[0]) / 2
        vertices, faces = box(size)
    # the mesh's own x leaves the palm, its y lies across it
    frame = np.stack([palm, across, along], axis=1)
    middle_of_palm = 0.45 * wrist + 0.55 * middle
    placed = vertices @ frame.T + middle_of_palm + palm * (thick + 0.018)
    return Thing(name, Surface(placed, faces, colour=_colour(rng), gloss=rng.uniform(0.0, 0.5), roughness=0.4))


def seat_below(
    rng: np.random.Generator, joints: Array, vertices: Array, up: Array, height: float, posture: str
) -> Thing | None:
    """A block under a body that sits on air, or None: hips at a seat's height, knees level with them, feet in front.

    ``joints`` (55,3) and ``vertices`` (V,3) in the camera frame, ``up`` (3,) there, ``height`` of the lens above the
    floor. Random numbers are drawn in any case, so that the stream does not depend on the pose.
    """
    width, depth, colour = rng.uniform(0.36, 0.6), rng.uniform(0.3, 0.5), _colour(rng)
    if posture == "lying":
        return None
    level = joints @ up + height
    hips, knees, ankles = joints[_HIPS], joints[_KNEES], joints[_ANKLES]
    flat = level[_KNEES] - level[_HIPS]
    forward = (knees - hips).mean(axis=0)
    forward = forward - up * (forward @ up)
    reach = float(np.linalg.norm(forward))
    if not (_SEAT[0] < level[_HIPS].mean() < _SEAT[1] and (np.abs(flat) < _LEVEL).all() and reach > 0.2):
        return None
    forward /= reach
    if ((ankles - hips) @ forward).mean() < 0.12 or level[_ANKLES].min() > 0.3:
        return None
    behind = np.linalg.norm(vertices - hips.mean(axis=0), axis=1) < 0.3
    below = (vertices[behind] @ up + height) - 0.004
    beside = np.abs((vertices[behind] - hips.mean(axis=0)) @ forward) < 0.15
    if not beside.any():
        return None
    top = float(np.percentile(below[beside], 4))  # flesh gives way a little
    if top < 0.12:
        return None
    corners, faces = box(np.array([width, top, depth]))
    sideways = np.cross(up, forward)
    base = hips.mean(axis=0) + forward * (0.3 * reach - 0.5 * depth + 0.1)
    base = base - up * (base @ up + height - top / 2)
    placed = corners @ np.stack([sideways, up, forward]) + base
    return Thing("seat", Surface(placed, faces, colour=colour, gloss=0.05))


def _colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """Grey and brown more often than loud."""
    grey = rng.uniform(0.03, 0.85)
    tint = rng.normal(0.0, 0.06 if rng.random() < 0.6 else 0.35, 3)
    red, green, blue = (float(v) for v in np.clip(grey + tint, 0.02, 0.95))
    return red, green, blue
