"""Where the camera of a synthetic picture stands, how it is turned, and what its lens shows of whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from monocap.geometry import rotations
from monocap.types import Array, Camera

Framing = Literal["full", "upper", "head", "far", "group"]

FRAMINGS: tuple[Framing, ...] = ("full", "upper", "head", "far", "group")
_ODDS = (0.52, 0.22, 0.07, 0.07, 0.12)
_SHARE = {"full": (0.5, 0.95), "upper": (0.6, 1.05), "head": (0.5, 1.0), "far": (0.12, 0.4), "group": (0.55, 1.0)}
"""Part of the picture that the region takes, longer direction."""
_MARGIN = {"full": 0.0, "upper": 0.13, "head": 0.15, "far": 0.0, "group": 0.0}  # m around joints
_UPPER = np.array([0, 1, 2, 3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19])  # joints from the hips up, without the hands
_HEAD = np.array([12, 15, 22, 23, 24])
FOCAL = (0.5, 3.0)  # in widths of the picture
HEIGHT = (0.2, 3.5)  # m
_NEAREST = {"full": 1.1, "upper": 0.8, "head": 0.45, "far": 2.0, "group": 1.3}  # m
_FARTHEST = 28.0
_CLEAR = 0.3  # m between the lens and anybody
_STEEPEST = np.deg2rad(65.0)
ASPECTS = ((1, 1), (4, 3), (3, 4), (16, 9), (9, 16), (3, 2), (2, 3))


@dataclass(frozen=True, eq=False)
class View:
    """``camera``; ``T_camera_world`` (4,4), world with y up; ``framing``: what was meant to be seen, of whom."""

    camera: Camera
    T_camera_world: Array
    framing: Framing
    target: int

    @property
    def up(self) -> Array:
        """(3,) the world's up in the camera frame."""
        return self.T_camera_world[:3, 1]

    @property
    def height(self) -> float:
        """Of the lens above the floor, metres."""
        return float(-self.T_camera_world[:3, 1] @ self.T_camera_world[:3, 3])

    @property
    def floor(self) -> Array:
        """(4,) the plane n·x + d = 0 of the floor, camera frame."""
        return np.append(self.up, self.height)


def picture_size(rng: np.random.Generator, size: tuple[int, int], any_aspect: bool) -> tuple[int, int]:
    """Width and height: as given, or of any usual aspect ratio with the longer side of ``size``."""
    if not any_aspect:
        return size
    w, h = ASPECTS[rng.integers(len(ASPECTS))]
    longest = max(size)
    return round(longest * w / max(w, h)), round(longest * h / max(w, h))


def random_view(
    rng: np.random.Generator, vertices: list[Array], joints: list[Array], size: tuple[int, int]
) -> View | None:
    """A camera that looks at one of the people, or at all; their ``vertices`` (V,3) and ``joints`` (55,3) in the world.

    The region that is meant (whole body, from the hips up, head, group) takes a share of the picture and lies somewhere
    near its middle, at times partly outside. None if the camera would stand inside somebody, or sees too little.
    """
    width, height = size
    framing = FRAMINGS[rng.choice(len(FRAMINGS), p=_ODDS)]
    target = int(rng.integers(len(vertices)))
    if framing == "group" and len(vertices) == 1:
        framing = "full"
    focal = width * float(np.exp(rng.uniform(*np.log(FOCAL))))
    cx, cy = (width - 1) / 2, (height - 1) / 2
    if rng.random() < 0.12:  # as in a part cut out of a larger picture
        cx, cy = cx + width * rng.uniform(-0.25, 0.25), cy + height * rng.uniform(-0.25, 0.25)
    camera = Camera(focal, focal, cx, cy, width, height)
    region = _region(framing, vertices, joints, target)
    middle = (region.min(axis=0) + region.max(axis=0)) / 2
    share = rng.uniform(*_SHARE[framing])
    offset = np.clip(rng.standard_normal(2) * 0.06, -0.15, 0.15)
    if rng.random() < 0.15:  # cut off on purpose
        offset = rng.uniform(-0.42, 0.42, 2)
    pixel = np.array([(width - 1) / 2, (height - 1) / 2]) + offset * [width, height]
    level = rng.uniform(*HEIGHT) if rng.random() < 0.35 else np.clip(rng.normal(1.4, 0.35), *HEIGHT)
    roll = np.deg2rad(rng.uniform(-25, 25) if rng.random() < 0.07 else 2.0 * rng.standard_normal())
    azimuth = rng.uniform(-np.pi, np.pi)
    # turns the optical axis to the ray of that pixel; the roll is about this ray
    ray = np.array([(pixel[0] - cx) / focal, (pixel[1] - cy) / focal, 1.0])
    aside = rotations.rotation_between(np.array([[0.0, 0.0, 1.0]]), (ray / np.linalg.norm(ray))[None])[0]
    aside = aside @ rotations.axis_angle_to_matrix(np.array([0.0, 0.0, roll]))

    distance = focal * float(np.ptp(region, axis=0).max()) / (share * min(width, height))
    transform = np.eye(4)
    for _ in range(5):
        distance = float(np.clip(distance, _NEAREST[framing], _FARTHEST))
        transform = look_at(middle, distance, level, azimuth, aside)
        seen = region @ transform[:3, :3].T + transform[:3, 3]
        flat = seen[:, :2] / np.maximum(seen[:, 2:], 0.05) * focal
        taken = float((np.ptp(flat, axis=0) / [width, height]).max())
        distance *= float(np.clip(taken / share, 0.6, 1.7))
    view = View(camera, transform, framing, target)
    return view if _sensible(view, vertices, joints) else None


def _region(framing: Framing, vertices: list[Array], joints: list[Array], target: int) -> Array:
    if framing in ("full", "far"):
        return vertices[target][::19]
    if framing == "group":
        return np.concatenate([points[::37] for points in vertices])
    points = joints[target][_UPPER if framing == "upper" else _HEAD]
    around = _MARGIN[framing] * np.concatenate([np.eye(3), -np.eye(3)])
    return (points[:, None] + around).reshape(-1, 3)


def look_at(middle: Array, distance: float, level: float, azimuth: float, aside: Array) -> Array:
    """T_camera_world (4,4) of a camera ``distance`` from ``middle``, its lens as near ``level`` as that allows, that
    looks at ``middle`` and is then turned by ``aside`` (3,3)."""
    highest = distance * np.sin(_STEEPEST)
    rise = float(np.clip(level - middle[1], -highest, highest))
    rise = max(rise, 0.12 - middle[1])  # above the floor in any case
    along = np.sqrt(max(distance**2 - rise**2, 0.0))
    eye = middle + np.array([along * np.sin(azimuth), rise, along * np.cos(azimuth)])
    ahead = (middle - eye) / np.linalg.norm(middle - eye)
    right = np.array([-ahead[2], 0.0, ahead[0]]) / np.hypot(ahead[0], ahead[2])  # ahead × up
    turn = np.stack([right, np.cross(ahead, right), ahead])
    turn = aside @ turn
    transform = np.eye(4)
    transform[:3, :3], transform[:3, 3] = turn, -turn @ eye
    return transform


def _sensible(view: View, vertices: list[Array], joints: list[Array]) -> bool:
    """Nobody touches the lens; the lens is above the floor; the target has some joints in the picture."""
    turn, move = view.T_camera_world[:3, :3], view.T_camera_world[:3, 3]
    eye = -turn.T @ move
    if eye[1] < 0.1 or eye[1] > HEIGHT[1] + 0.5:
        return False
    if min(float(np.square(points[::5] - eye).sum(axis=1).min()) for points in vertices) < _CLEAR**2:
        return False
    seen = joints[view.target][:22] @ turn.T + move
    flat = seen[:, :2] / np.maximum(seen[:, 2:], 1e-3) * view.camera.fx + [view.camera.cx, view.camera.cy]
    inside = (seen[:, 2] > 0.1) & (flat > 0).all(axis=1) & (flat < [view.camera.width, view.camera.height]).all(axis=1)
    return int(inside.sum()) >= 5
