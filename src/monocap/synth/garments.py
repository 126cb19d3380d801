"""Which garments are there? The catalogue: MakeHuman's and those cut from the body, made and bound when first worn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from monocap.bodies import BodyModel
from monocap.synth import hair
from monocap.synth.garments_cut import Piece, Tailor, covered
from monocap.synth.garments_fit import Binding, Kit
from monocap.synth.garments_store import stored, stored_names
from monocap.types import Array

FOLD = 0.035  # metres that cloth bulges where the body's surface shrinks to nothing
HEAD = ("head", "jaw", "left_eye", "right_eye", "neck")

Maker = Callable[[Tailor], Piece]

# (sleeve, hem, neck, fit), see `Tailor.top`
TOPS: dict[str, tuple[float, float, float, str]] = {
    "tshirt": (0.55, 0.8, 0.098, "regular"), "loose_tshirt": (0.75, 0.97, 0.1, "loose"),
    "tight_tshirt": (0.42, 0.7, 0.112, "tight"), "tank_top": (-0.1, 0.7, 0.14, "tight"),
    "vest": (-0.06, 0.9, 0.128, "regular"), "long_sleeve": (1.95, 0.75, 0.1, "tight"),
    "jumper": (1.93, 0.85, 0.1, "regular"), "sweatshirt": (1.93, 0.92, 0.092, "loose"),
    "turtleneck": (1.95, 0.8, 0.03, "regular"), "three_quarter": (1.45, 0.78, 0.12, "tight"),
    "crop_top": (-0.1, -0.35, 0.13, "tight"), "blouse": (1.2, 0.6, 0.11, "loose"),
}  # fmt: skip
# (length, fit), see `Tailor.trousers`
BOTTOMS: dict[str, tuple[float, str]] = {
    "trousers": (1.96, "regular"), "wide_trousers": (1.94, "loose"), "leggings": (1.97, "tight"),
    "capri": (1.45, "tight"), "shorts": (0.55, "regular"), "long_shorts": (0.9, "loose"), "hot_pants": (0.24, "tight"),
    "bermudas": (0.8, "regular"),
}  # fmt: skip
# (length, flare), see `Tailor.skirt`
SKIRTS: dict[str, tuple[float, float]] = {
    "mini_skirt": (0.45, 0.12), "skirt": (0.92, 0.13), "midi_skirt": (1.4, 0.22), "long_skirt": (1.88, 0.18),
    "pencil_skirt": (0.95, -0.1), "flared_skirt": (0.72, 0.42),
}  # fmt: skip
OTHERS: dict[str, Maker] = {
    "trunks": lambda t: t.briefs(False),
    "swimsuit": lambda t: t.briefs(True),
    "ankle_socks": lambda t: t.socks(0.12),
    "socks": lambda t: t.socks(0.35),
    "knee_socks": lambda t: t.socks(0.85),
    "gloves": lambda t: t.gloves(),
    "coat": lambda t: t.top(1.93, 0.9, 0.1, "loose"),
    "coat_skirt": lambda t: t.skirt(0.75, 0.04, 3, high=-0.06, slack=0.036),
    "cap": lambda t: hair.visor(t, t.cap()),
    "beanie": lambda t: t.cap(),
    "round_glasses": lambda t: hair.glasses(t, True, False),
    "glasses": lambda t: hair.glasses(t, False, False),
    "sunglasses": lambda t: hair.glasses(t, False, True),
    "high_bun": lambda t: hair.bun(t, True),
    "low_bun": lambda t: hair.bun(t, False),
}
SHELLS = {"crop": ("scalp", 0.006, 0.15), "thick": ("scalp", 0.016, 0.3), "mop": ("scalp", 0.026, 0.35),
          "full_beard": ("beard", 0.011, 0.25)}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Garment:
    """A garment that is bound: its ``piece`` at rest; ``covers`` (V,) body vertices that nobody sees below it; ``part``
    (T,) SMPL-X joint that carries each face; ``fold`` (G,) m, see `Kit.place`."""

    name: str
    piece: Piece
    binding: Binding
    covers: Array
    part: Array
    fold: Array


class Catalogue:
    """Garments of one body by name, each made once."""

    def __init__(self, body: BodyModel) -> None:
        self.body, self.kit = body, Kit.of(body)
        self.tailor = Tailor(body, self.kit)
        self.head = np.isin(np.array(body.joint_names)[self.kit.parts], HEAD)
        self._made: dict[str, Garment] = {}

    def __call__(self, name: str) -> Garment:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Garment:
        covers, smooth, spread, only = None, 3, 0.0, None
        if name in stored_names():
            piece, covers = stored(name, len(self.kit.rest))
            if name.startswith(("long", "bob", "pony", "braid", "short", "afro")):
                spread, only = 0.025, (self.head if not name.startswith("long") else None)
            elif "shoes" in name:
                spread = 0.02
            else:
                covers = covers | covered(self.kit, piece)
        elif name in TOPS:
            piece = self.tailor.top(*TOPS[name])
        elif name in BOTTOMS:
            piece = self.tailor.trousers(*BOTTOMS[name])
        elif name in SKIRTS:
            piece, smooth, spread = self.tailor.skirt(*SKIRTS[name], sum(map(ord, name))), 16, 0.045
        elif name in SHELLS:
            mask, thick, rough = SHELLS[name]
            piece = hair.shell(self.tailor, self.body, mask, thick, rough)
        else:
            piece = OTHERS[name](self.tailor)
            if name == "coat_skirt":
                smooth, spread = 16, 0.045
            elif "glasses" in name or "bun" in name or name in ("cap", "beanie"):
                smooth, spread, only = 0 if "glasses" in name else 2, 0.03, self.head
            if "glasses" in name or "bun" in name:
                covers = np.zeros(len(self.kit.rest), bool)
        binding = self.kit.bind(piece.points, piece.faces, smooth=smooth, spread=spread, only=only)
        if covers is None:
            covers = covered(self.kit, piece)
        weights = binding.carried(self.body.lbs_weights)
        part = np.argmax(weights[piece.faces].sum(axis=1), axis=1).astype(np.int16)
        return Garment(name, piece, binding, covers, part, _folds(piece.points))


def _folds(points: Array) -> Array:
    """(G,) m: an uneven wave of 5 to 9 cm over the garment."""
    rng = np.random.default_rng(len(points))
    total = np.zeros(len(points))
    for _ in range(7):
        way = rng.normal(size=3) * (0.6, 1.4, 0.6)
        total += np.sin(
            points @ (way / np.linalg.norm(way)) * 2 * np.pi / rng.uniform(0.05, 0.09) + rng.uniform(0, 6.3)
        )
    return (FOLD * np.clip(0.4 + 0.35 * total, 0, 1)).astype(np.float32)
