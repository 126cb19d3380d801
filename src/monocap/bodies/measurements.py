"""A body in numbers: stature, girths and lengths of a shape, and the shape that has given ones.

Everything is measured on the rest mesh (T-pose), where a tape would lie. Levels are found from the skeleton and from
the mesh itself, not from numbers of vertices, so that every body of the SMPL family is measured alike. A girth is the
length of a tape drawn tight: the perimeter of the convex hull of a plane section. Definitions follow ISO 8559-1:2017
and ANSUR II (Gordon et al. 2014, NATICK/TR-15/007) as far as a T-pose allows; see `Measurements`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull, QhullError

from monocap.bodies.model import BodyModel
from monocap.errors import InputError

Vector = NDArray[np.float64]

HUMAN_RANGE: Mapping[str, tuple[float, float]] = {
    "stature": (1.40, 2.10),
    "neck": (0.28, 0.55),
    "chest": (0.70, 1.50),
    "waist": (0.55, 1.55),
    "hip": (0.75, 1.60),
    "thigh": (0.40, 0.90),
    "upper_arm": (0.20, 0.52),
    "arm_length": (0.45, 0.75),
    "inseam": (0.58, 1.02),
    "shoulder_breadth": (0.27, 0.46),
}
"""Metres, the smallest and the largest that `betas_from` takes: wide enough for the adults of ANSUR II and for people
heavier than soldiers; what lies outside is more often centimetres or inches than a person."""

_MAX_BETAS = 16  # enough to meet ten numbers; more would only make the search slower
_TOLERANCE = 0.003  # metres: as well as a tape repeats; weighs measurements against how unusual the shape is
_ACCEPTED = 0.01
_RARE = 5.0  # standard deviations

_SPINE = ("pelvis", "spine1", "spine2", "spine3")
_COLLARS = ("left_collar", "right_collar")
_THIGHS = ("left_hip", "right_hip")
_PARTS: Mapping[str, tuple[str, ...]] = {
    "neck": ("neck", "head", "spine3", *_COLLARS),
    "chest": (*_SPINE, *_COLLARS),
    "waist": _SPINE,
    "hip": (*_SPINE, *_THIGHS),
    "thigh": ("right_hip", "right_knee"),
    "upper_arm": ("right_shoulder", "right_elbow"),
}
"""Joints whose skin a tape goes round: what is left out are arms beside the chest, the other leg."""

# Levels on a line through the trunk, from the middle of the hip joints (0) to that of the shoulder joints (1).
_CHEST = np.linspace(0.50, 0.70, 9)  # the largest girth below the folds of the armpits: where the bust is
_WAIST = np.linspace(0.26, 0.42, 7)  # between lowest rib and hip bone
_HIP = np.linspace(-0.16, 0.16, 9)  # the largest girth over the buttocks
_NECK = np.linspace(0.15, 0.85, 8)  # from the neck joint to the head joint: the smallest girth, below the chin
_BELOW_CROTCH = 0.03  # metres


@dataclass(frozen=True)
class Measurements:
    """Metres, of the rest mesh.

    - ``stature``: from sole to crown.
    - ``neck``: smallest girth of the neck, square to it.
    - ``chest``: largest horizontal girth between the lower ribs and the armpits, arms left out (ISO bust girth).
    - ``waist``: mean horizontal girth between lowest rib and hip bone (ISO waist girth lies in the middle of them).
    - ``hip``: largest horizontal girth over the buttocks, legs as they stand (ISO hip girth).
    - ``thigh``: horizontal girth of one thigh 3 cm below the crotch.
    - ``upper_arm``: girth half-way from shoulder to elbow joint, square to the arm, relaxed.
    - ``arm_length``: from the skin above the shoulder joint to it, to the elbow and to the wrist joint: ISO's shoulder
      point to wrist of a hanging arm.
    - ``inseam``: from sole to crotch (ISO inside leg height).
    - ``shoulder_breadth``: between the shoulder joints' centres in the T-pose: some 3 cm less than between the acromia.
    """

    stature: float
    neck: float
    chest: float
    waist: float
    hip: float
    thigh: float
    upper_arm: float
    arm_length: float
    inseam: float
    shoulder_breadth: float

    def as_dict(self) -> dict[str, float]:
        """By name, metres."""
        return asdict(self)


NAMES = tuple(field.name for field in fields(Measurements))


def measure(body: BodyModel, betas: ArrayLike | None = None) -> Measurements:
    """The measurements of one shape, ``betas`` (≤B,) or None for the mean.

    Raises InputError for a body without legs and arms (MANO, FLAME), one of no mesh, or betas of another shape.
    """
    edges = _part_edges(body)
    shape = np.zeros(1) if betas is None or not np.size(betas) else np.asarray(betas, dtype=np.float64)
    if shape.ndim != 1 or not np.isfinite(shape).all():
        raise InputError(f"betas of shape {shape.shape}; expected finite numbers (n,), n at most {body.num_betas}")
    return Measurements(**_measure(body, edges, shape, NAMES))


def betas_from(body: BodyModel, **wanted: float) -> Vector:
    """The most ordinary shape (n,), n = min(16, B), that has the ``wanted`` measurements (names of `Measurements`,
    metres): least squares in which 3 mm weigh as much as one standard deviation of a beta.

    Raises InputError for unknown names, values no adult has, or measurements that no shape of the body has together
    (one is missed by more than 1 cm, or a beta passes 5 deviations).
    """
    if not wanted:
        raise InputError(f"no measurement given; expected some of {', '.join(NAMES)} in metres")
    for name, value in wanted.items():
        if name not in HUMAN_RANGE:
            raise InputError(f"no measurement {name!r}; expected {', '.join(NAMES)}")
        low, high = HUMAN_RANGE[name]
        if not low <= value <= high:
            raise InputError(f"{name} {value:g}; expected {low:g} to {high:g} metres")
    edges, count = _part_edges(body), min(_MAX_BETAS, body.num_betas)
    target = np.array(list(wanted.values()), dtype=np.float64)

    def of(shape: Vector) -> Vector:
        found = _measure(body, edges, shape, tuple(wanted))
        return np.array([found[name] for name in wanted])

    def cost(shape: Vector, values: Vector) -> float:
        return float((((values - target) / _TOLERANCE) ** 2).sum() + (shape**2).sum())

    shape, step = np.zeros(count), 0.1
    now = of(shape)
    for _ in range(12):
        slopes = np.stack([of(shape + step * unit) - now for unit in np.eye(count)], axis=1) / step / _TOLERANCE
        # Gauss–Newton on measurements and prior together: shape + move is the mean of the linearised posterior
        left = (target - now) / _TOLERANCE + slopes @ shape
        goal = slopes.T @ np.linalg.solve(slopes @ slopes.T + np.eye(len(target)), left)
        move, before = goal - shape, cost(shape, now)
        for share in (1.0, 0.5, 0.25, 0.1):
            tried = shape + share * move
            values = of(tried)
            if cost(tried, values) < before:
                break
        else:
            break
        shape, now = tried, values
        if before - cost(shape, now) < 1e-4 * before:
            break
    missed = {n: v for n, v, w in zip(wanted, now, target, strict=True) if abs(v - w) > _ACCEPTED}
    if missed or np.abs(shape).max() > _RARE:
        told = ", ".join(f"{n} {v:.3f}" for n, v in zip(wanted, now, strict=True))
        raise InputError(
            f"no shape of body {body.name!r} has {', '.join(f'{n} {v:g}' for n, v in wanted.items())} together; "
            f"the nearest has {told}; give fewer or more usual measurements"
        )
    return shape


# ---------------------------------------------------------------------- parts
def _part_edges(body: BodyModel) -> dict[str, NDArray[np.int64]]:
    """Edges (n,2) of the triangles of every part."""
    if "left_hip" not in body.joint_names:
        raise InputError(f"body {body.name!r} is a {body.kind.title}; only bodies with arms and legs can be measured")
    if not len(body.faces):
        raise InputError(f"body {body.name!r} has no triangles here; measure the whole body")
    column = {name: i for i, name in enumerate(body.joint_names)}
    found = {}
    for part, names in _PARTS.items():
        share = body.lbs_weights[:, [column[name] for name in names]].sum(axis=1)
        faces = body.faces[(share[body.faces] > 0.5).all(axis=1)]
        pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
        found[part] = np.unique(pairs, axis=0).astype(np.int64)
    return found


def _measure(
    body: BodyModel, edges: Mapping[str, NDArray[np.int64]], shape: Vector, names: tuple[str, ...]
) -> dict[str, float]:
    """The named measurements only: girths are what takes time."""
    vertices = np.asarray(body(betas=shape).vertices, dtype=np.float64)
    rest = np.asarray(body.rest_joints(betas=shape), dtype=np.float64)
    joint = {name: rest[i] for i, name in enumerate(body.joint_names)}
    floor, crown = vertices[:, 1].min(), vertices[:, 1].max()
    hips = 0.5 * (joint["left_hip"] + joint["right_hip"])
    shoulders = 0.5 * (joint["left_shoulder"] + joint["right_shoulder"])
    up, aside = np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])

    def girth(part: str, point: Vector, normal: Vector) -> float:
        return tape(section(vertices, edges[part], point, normal), normal)

    def trunk(part: str, levels: Vector) -> list[float]:
        return [girth(part, hips + level * (shoulders - hips), up) for level in levels]

    def crotch() -> float:
        midline = section(vertices, edges["hip"], hips, aside)
        knees = 0.5 * (joint["left_knee"] + joint["right_knee"])
        # heavy thighs touch below the crotch: it is not lower than a third of the way to the knees
        lowest = hips[1] + (knees[1] - hips[1]) / 3.0
        return max(float(midline[:, 1].min()) if len(midline) else lowest, float(lowest))

    neck, head = joint["neck"], joint["head"]
    shoulder, elbow, wrist = (joint[f"right_{name}"] for name in ("shoulder", "elbow", "wrist"))

    def arm_length() -> float:
        above = [section(vertices, edges[part], shoulder, aside)[:, 1] for part in ("chest", "upper_arm")]
        top = np.concatenate([*above, shoulder[1:2]]).max()
        return float(top - shoulder[1] + np.linalg.norm(elbow - shoulder) + np.linalg.norm(wrist - elbow))

    how: dict[str, Callable[[], float]] = {
        "stature": lambda: float(crown - floor),
        "neck": lambda: min(girth("neck", neck + level * (head - neck), head - neck) for level in _NECK),
        "chest": lambda: max(trunk("chest", _CHEST)),
        "waist": lambda: float(np.mean(trunk("waist", _WAIST))),
        "hip": lambda: max(trunk("hip", _HIP)),
        "thigh": lambda: girth("thigh", np.array([hips[0], crotch() - _BELOW_CROTCH, hips[2]]), up),
        "upper_arm": lambda: girth("upper_arm", 0.5 * (shoulder + elbow), elbow - shoulder),
        "arm_length": arm_length,
        "inseam": lambda: float(crotch() - floor),
        "shoulder_breadth": lambda: float(np.linalg.norm(joint["left_shoulder"] - joint["right_shoulder"])),
    }
    return {name: how[name]() for name in names}


def section(vertices: Vector, edges: NDArray[np.int64], point: Vector, normal: Vector) -> Vector:
    """(n,3) points where edges pass through a plane."""
    height = (vertices - point) @ normal
    a, b = height[edges[:, 0]], height[edges[:, 1]]
    cut = (a > 0) != (b > 0)
    share = (a[cut] / (a[cut] - b[cut]))[:, None]
    first, second = vertices[edges[cut, 0]], vertices[edges[cut, 1]]
    return first + share * (second - first)


def tape(points: Vector, normal: Vector) -> float:
    """Perimeter of the convex hull of points (n,3) in a plane; not a number where there are none."""
    _, _, axes = np.linalg.svd(normal[None])
    try:
        return float(ConvexHull(points @ axes[1:].T).area)  # in two dimensions, area is the perimeter
    except (QhullError, ValueError):
        return float("nan")
