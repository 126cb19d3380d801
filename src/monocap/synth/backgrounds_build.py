"""What is a made-up place put together from? `Place`: things on a floor, a hall around them, light and sky."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from monocap.synth import backgrounds_tiles as tiles
from monocap.synth.backgrounds_trace import BALL, BOX, LEAFY, Hall, Light, Solids
from monocap.types import Array

# sRGB tints of furniture
_TINTS = (
    (200, 200, 198), (120, 120, 122), (60, 60, 64), (150, 120, 92), (96, 70, 52), (70, 86, 110), (130, 62, 56),
    (96, 112, 84), (196, 178, 148), (170, 140, 60),
)  # fmt: skip


@dataclass
class Place:
    """A place as it is built: ``floor`` y of the floor, ``reach`` how far off people stand at most; ``hall`` and
    ``light``; ``sky`` (R,C,3) linear."""

    rng: np.random.Generator
    split: str
    floor: float
    reach: float
    hall: Hall | None = None
    light: Light | None = None
    sky: Array | None = None
    rows: list[tuple] = field(default_factory=list)

    def tile(self, *names: str) -> int:
        name = names[self.rng.integers(len(names))]
        return tiles.number(name, int(self.rng.integers(tiles.VARIANTS)))

    def tint(self) -> Array:
        base = np.array(_TINTS[self.rng.integers(len(_TINTS))]) * self.rng.uniform(0.75, 1.2)
        return (np.clip(base, 5, 250) / 255) ** 2.2

    def box(
        self, x: float, foot: float, z: float, size: tuple[float, float, float], *names: str, turn: float = 0.0,
        tint: Array | None = None, glow: float = 0.0, kind: int = BOX,
    ) -> None:  # fmt: skip
        """A thing of ``size`` (width, height, depth) that stands ``foot`` m above the floor."""
        half = np.array(size) / 2
        centre = np.array([x, self.floor + foot + half[1], z])
        tint = np.ones(3) if tint is None else tint
        kind = LEAFY if kind == BALL and names[0] in ("leaves", "hedge") else kind
        self.rows.append((kind, centre, half, (np.cos(turn), np.sin(turn)), self.tile(*names), tint, glow))

    def solids(self) -> Solids:
        rows = self.rows or [(BOX, np.array([0, -1e3, -1e3]), np.full(3, 0.1), (1.0, 0.0), 0, np.ones(3), 0.0)]
        kind, centre, half, turn, tile, tint, glow = zip(*rows, strict=True)
        return Solids(
            np.array(kind), np.array(centre, float), np.array(half, float), np.array(turn, float), np.array(tile),
            np.array(tint, float), np.array(glow, float),
        )  # fmt: skip
