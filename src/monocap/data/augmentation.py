"""By how much is a training crop moved, turned, mirrored, coloured, hidden? Strengths as published, and what was drawn.

`draw` rolls the dice once; `monocap.data.training_view` then does the same to picture, keypoints, joints and
parameters, so that they always agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from monocap import skeletons
from monocap.errors import InputError
from monocap.types import Array

Spread = Literal["normal", "uniform"]


@dataclass(frozen=True)
class Augmentation:
    """``scale``: the square's side times 1 + this × a normal number cut at ``scale_cut``; ``rotation`` rad likewise at
    ±2, in a ``rotation_share`` of the crops; ``shift`` of the side, per axis, normal cut at ±1; ``colour``: each
    channel times 1 ± this, uniform; ``flip``, ``extreme``, ``occlude``: shares that are mirrored, cut to a part of the
    body, partly covered; ``noise``: largest deviation of pixel noise (of 255); ``coarse``: largest factor by which
    the picture loses resolution (1: none)."""

    scale: float = 0.0
    scale_cut: float = 1.0
    rotation: float = 0.0
    rotation_share: float = 1.0
    shift: float = 0.0
    colour: float = 0.0
    flip: float = 0.0
    extreme: float = 0.0
    occlude: float = 0.0
    noise: float = 0.0
    coarse: float = 1.0

    def __post_init__(self) -> None:
        shares = (self.rotation_share, self.flip, self.extreme, self.occlude)
        if not all(0.0 <= share <= 1.0 for share in shares):
            raise InputError(f"shares of an augmentation are {shares}; expected 0 to 1")
        if min(self.scale, self.rotation, self.shift, self.colour, self.noise) < 0 or self.coarse < 1:
            raise InputError("strengths of an augmentation are 0 or more, and coarse 1 or more")


_DEGREES = np.pi / 180
PUBLISHED: dict[str, Augmentation] = {
    "none": Augmentation(),
    # HMR: ±20 px of 224, sides 1/1.23 to 1/0.8, no rotation
    "hmr": Augmentation(scale=0.2, shift=20 / 224, flip=0.5),
    "spin": Augmentation(scale=0.25, rotation=30 * _DEGREES, rotation_share=0.4, colour=0.4, flip=0.5),
    "hmr2": Augmentation(
        scale=0.3, rotation=30 * _DEGREES, rotation_share=0.6, shift=0.02, colour=0.2, flip=0.5, extreme=0.1
    ),
    # CameraHMR's SMPL-X model: its camera must stay what it was
    "camerahmr": Augmentation(scale=0.1, extreme=0.1),
    # ours, for crops in which the torso is upright to begin with: what a tracker's keypoints leave of its tilt
    "aligned": Augmentation(
        scale=0.2, rotation=8 * _DEGREES, shift=0.04, colour=0.25, flip=0.5, extreme=0.05, occlude=0.2, noise=10.0,
        coarse=3.0,
    ),
    # ours, for synthetic pictures: what they lack against real ones on top
    "synthetic": Augmentation(
        scale=0.25, rotation=30 * _DEGREES, rotation_share=0.5, shift=0.04, colour=0.3, flip=0.5, extreme=0.1,
        occlude=0.25, noise=12.0, coarse=4.0,
    ),
}  # fmt: skip
"""By family; SMPLer, VIBE and CLIFF use SPIN's, TokenHMR HMR 2.0's."""


@dataclass(frozen=True)
class Change:
    """What was drawn for one crop. ``scale`` of the side, ``rotation`` rad, ``shift`` (x, y) in sides, ``colour`` (3),
    ``flip``; ``part`` of the body that remains in view ("" for all); ``cover`` (x, y, w, h) in parts of the crop and
    ``cover_colour``, or None; ``noise`` deviation; ``coarse`` factor; ``seed`` of the noise's pixels."""

    scale: float = 1.0
    rotation: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    flip: bool = False
    part: str = ""
    cover: tuple[float, float, float, float] | None = None
    cover_colour: tuple[int, int, int] = (0, 0, 0)
    noise: float = 0.0
    coarse: float = 1.0
    seed: int = 0


PARTS: dict[str, tuple[str, ...]] = {
    "head": ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "neck", "left_shoulder", "right_shoulder"),
    "to the hips": ("nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_elbow", "right_elbow"),
    "torso": ("left_shoulder", "right_shoulder", "left_hip", "right_hip"),
    "left arm": ("left_shoulder", "left_elbow", "left_wrist"),
    "right arm": ("right_shoulder", "right_elbow", "right_wrist"),
    "legs": ("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    "shins": ("left_knee", "right_knee", "left_ankle", "right_ankle"),
}
"""What extreme crops leave of a person, by the names of joints that stay in view."""


def draw(strengths: Augmentation, rng: np.random.Generator) -> Change:
    """One change; the same numbers are drawn whatever the strengths, so that they can be varied one at a time."""
    a = strengths
    normal, shares, tint = np.clip(rng.normal(size=4), -2, 2), rng.random(4), rng.random(3)
    part = tuple(PARTS)[int(rng.integers(len(PARTS)))]
    size, middle, paint = rng.uniform(0.15, 0.5, 2), rng.uniform(0.0, 1.0, 2), rng.integers(0, 256, 3)
    noise, coarse, seed = rng.random(), rng.random(), int(rng.integers(2**31))
    corner = middle - size / 2
    return Change(
        scale=float(1 + a.scale * np.clip(normal[0], -a.scale_cut, a.scale_cut)),
        rotation=float(a.rotation * normal[1]) if shares[0] < a.rotation_share else 0.0,
        shift=(float(a.shift * np.clip(normal[2], -1, 1)), float(a.shift * np.clip(normal[3], -1, 1))),
        colour=(
            float(1 + a.colour * (2 * tint[0] - 1)),
            float(1 + a.colour * (2 * tint[1] - 1)),
            float(1 + a.colour * (2 * tint[2] - 1)),
        ),
        flip=bool(shares[1] < a.flip),
        part=part if shares[2] < a.extreme else "",
        cover=(*map(float, corner), *map(float, size)) if shares[3] < a.occlude else None,  # type: ignore[arg-type]
        cover_colour=(int(paint[0]), int(paint[1]), int(paint[2])),
        noise=float(a.noise * noise**2),
        coarse=float(a.coarse ** (coarse**2)),
        seed=seed,
    )


def part_box(part: str, points: Array, skeleton: str) -> Array | None:
    """Box (4,) round a part of the body for keypoints (N,3) px, px, confidence; None where too little of it is known.

    Raises InputError for an unknown part.
    """
    if part not in PARTS:
        raise InputError(f"no part {part!r}; there are {', '.join(PARTS)}")
    names = skeletons.get(skeleton).joint_names
    rows = [names.index(name) for name in PARTS[part] if name in names]
    known = points[rows][points[rows, 2] > 0] if rows else points[:0]
    if len(known) < max(2, len(PARTS[part]) // 2):
        return None
    low, high = known[:, :2].min(axis=0), known[:, :2].max(axis=0)
    pad = 0.15 * float((high - low).max())
    return np.concatenate([low - pad, high + pad]) if pad > 1 else None
