"""What does somebody wear? The chance in it: clothes, shoes, hair, beard, glasses and hats that go together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from monocap.render.scene import SurfaceKind
from monocap.synth import garments, hair, patterns
from monocap.synth import garments_store as store
from monocap.synth.garments import Catalogue, Garment
from monocap.types import Array

_TOPS = {
    "female": (
        "tshirt",
        "tight_tshirt",
        "tank_top",
        "long_sleeve",
        "jumper",
        "three_quarter",
        "blouse",
        "crop_top",
        "turtleneck",
    ),
    "male": ("tshirt", "tshirt", "loose_tshirt", "vest", "long_sleeve", "jumper", "sweatshirt", "turtleneck"),
}
_BOTTOMS = {
    "female": ("trousers", "leggings", "leggings", "capri", "shorts", "hot_pants", "wide_trousers"),
    "male": ("trousers", "trousers", "wide_trousers", "shorts", "long_shorts", "bermudas"),
}
_SKIRTS = ("mini_skirt", "skirt", "midi_skirt", "long_skirt", "pencil_skirt", "flared_skirt")
_SUITS = {
    "female": ("female_casualsuit01", "female_casualsuit02", "female_elegantsuit01", "female_sportsuit01"),
    "male": (
        "male_casualsuit01", "male_casualsuit02", "male_casualsuit03", "male_casualsuit04", "male_casualsuit05",
        "male_casualsuit06", "male_elegantsuit01", "male_worksuit01",
    ),
}  # fmt: skip
_WHOLE = ("male_casualsuit01", "male_elegantsuit01", "male_worksuit01")
_LIGHT = ("shorts", "long_shorts", "hot_pants", "leggings", "capri", "bermudas")
_JEANS = ((60, 78, 112), (38, 44, 58), (92, 112, 140), (50, 50, 54))
_SHOES = {"shoes01": ("shoes01", "shoes01_2"), "shoes02": ("shoes02",), "shoes03": ("shoes03",)}
# style → how often, by sex
_HAIR = {
    "train": {
        "female": {"long01": 4, "bob01": 2, "ponytail01": 3, "short04": 1, "afro01": 1, "low_bun": 3, "crop": 0.5},
        "male": {
            "short01": 3, "short02": 3, "short04": 2, "crop": 3, "thick": 2, "buzz": 1.5, "bald": 1.2, "afro01": 0.8,
            "long01": 0.4,
        },
    },
    "test": {
        "female": {"bob02": 3, "braid01": 3, "short03": 2, "high_bun": 2},
        "male": {"short03": 2, "mop": 3, "shaved": 2},
    },
}  # fmt: skip
PAINTED_HAIR = {"bald": 0.12, "buzz": 0.75, "shaved": 0.5}  # opacity of hair on the skin where no mesh covers it


@dataclass(frozen=True, eq=False)
class Worn:
    """A garment with its looks; ``grow`` as of `Kit.place`; ``tucked``: rest height (m) below which it is inside
    another one; ``faces`` (T,) numbers of those that are seen, None for all."""

    garment: Garment
    kind: SurfaceKind
    texture: Array | None
    colour: tuple[float, float, float]
    gloss: float
    roughness: float
    grow: Array | None = None
    tucked: float | None = None
    faces: Array | None = None


@dataclass
class Dresser:
    """Dresses one person: ``layers`` from the outermost inwards, ``words`` that name them. ``sex``
    "female" or "male"."""

    catalogue: Catalogue
    rng: np.random.Generator
    split: str
    sex: str
    adult: bool
    layers: list[Worn] = field(default_factory=list)
    words: dict[str, Any] = field(default_factory=lambda: {"fabrics": []})

    def clothe(self) -> str:
        """Clothes of the trunk and legs; returns "bare" (swimming), "light" or "full", which the feet go with."""
        suits = [n for n in _SUITS[self.sex] if (n in store.TEST_SUITS) == (self.split == "test")]
        chance = self.rng.random()
        if chance < 0.05:
            name = "swimsuit" if self.sex == "female" else "trunks"
            self._wear(name, texture=self._fabric(fancy=0.5).texture, gloss=0.15, roughness=0.5)
            self.words["clothes"] = [name]
            return "bare"
        if chance < 0.24 and suits:
            return self._suit(suits)
        if self.sex == "female" and chance < 0.38:
            return self._dress()
        if 0.38 <= chance < 0.46:
            return self._coat()
        top, bottom = self._top(suits), self._bottom(suits)
        self.words["clothes"] = [top, bottom]
        loose = top not in garments.TOPS or garments.TOPS[top][3] == "loose"
        if bottom in _SKIRTS or (self.rng.random() < 0.25 and not loose):
            self._tuck()
            self.words["clothes"].append("tucked in")
        return "light" if bottom in _LIGHT else "full"

    def shoe(self, clothes: str) -> None:
        """Shoes, socks or neither, for what `clothe` returned."""
        chance = self.rng.random()
        if chance < {"bare": 0.9, "light": 0.12, "full": 0.05}[clothes]:
            self.words["shoes"] = "barefoot"
            return
        if chance > 0.95:
            name = self._pick("ankle_socks", "socks")
            self._wear(name, colour=patterns.colour(self.rng, 0.2))
            self.words["shoes"] = name
            return
        name = self._pick(*_SHOES)
        looks = [p for p in _SHOES[name] if (p in store.TEST_SHOES) == (self.split == "test")]
        look = self._pick(*(looks or _SHOES[name][:1]))
        image = store.picture("cloth", look)
        if self.rng.random() < 0.7:
            tone = patterns.colour(self.rng, 0.06)
            ramp = (np.arange(256) / max(store.grey(look)[1], 30.0)) ** 0.7
            image = store.recoloured(look, ramp, 0.75 * tone + 0.25 * tone.mean())
        self._wear(name, "shoes", texture=image, gloss=0.2, roughness=0.5)
        self.words["shoes"] = name

    def hair(self, tone: Array) -> str:
        """Hair of colour ``tone`` (3,) 0–255; returns the style whose roots are painted on the skin."""
        styles = _HAIR[self.split][self.sex]
        weight = np.array(list(styles.values()), float)
        style = str(self.rng.choice(list(styles), p=weight / weight.sum()))
        self.words["hair"] = style
        if style in PAINTED_HAIR:
            return style
        if style.endswith("_bun"):
            self._wear(style, "hair", texture=hair.strands(tone), gloss=0.3, roughness=0.45)
            style = "crop"
        texture = hair.strands(tone) if style in garments.SHELLS else hair.tinted(style, tone)
        self._wear(style, "hair", texture=texture, gloss=0.3, roughness=0.45)
        return style

    def beard(self, tone: Array) -> float:
        """A man's beard; returns its opacity where it is painted on the skin."""
        if self.sex != "male" or not self.adult:
            return 0.0
        kind = str(self.rng.choice(["none", "stubble", "short", "full"], p=[0.5, 0.27, 0.15, 0.08]))
        self.words["beard"] = kind
        if kind == "full":
            self._wear("full_beard", "hair", texture=hair.strands(tone), gloss=0.15, roughness=0.7)
        return {"none": 0.08, "stubble": 0.35, "short": 0.75, "full": 0.9}[kind] * float(self.rng.uniform(0.7, 1.0))

    def extras(self) -> None:
        """Glasses and hats, now and then."""
        if self.rng.random() < 0.14:
            name = self._pick("glasses", "glasses", "round_glasses", "sunglasses")
            dark = np.array((24, 22, 22)) * self.rng.uniform(0.6, 4)
            self._wear(name, "object", gloss=0.6, roughness=0.2, colour=dark)
            self.words["glasses"] = name
        if self.rng.random() < 0.1:
            name = self._pick("cap", "cap", "beanie", "fedora")
            texture = store.picture("cloth", "fedora") if name == "fedora" else None
            self._wear(name, texture=texture, colour=patterns.colour(self.rng, 0.4), grow=0.004 * (name != "fedora"))
            self.layers.insert(0, self.layers.pop())  # over the hair
            self.words["hat"] = name

    # ------------------------------------------------------------------ clothes
    def _suit(self, suits: list[str]) -> str:
        name = self._pick(*(suits if self.adult else [s for s in suits if "elegant" not in s] or suits))
        parts = [name] if name in _WHOLE else [f"{name}_top", f"{name}_bottom"]
        for part in parts:
            top = part.endswith("top")
            self._wear(part, texture=self._pictured(name, part.endswith("bottom")), grow=0.002 * top)
        self.words["clothes"] = parts
        return "full"

    def _dress(self) -> str:
        cloth = self._fabric(fancy=0.6)
        skirt = self._pick(*[s for s in _SKIRTS if s != "pencil_skirt"])
        top = self._pick("tank_top", "tight_tshirt", "three_quarter", "long_sleeve")
        for part in (top, skirt):
            self._wear(part, texture=cloth.texture, gloss=cloth.gloss)
        self._tuck()
        self.words["clothes"] = ["dress", top, skirt]
        return "light"

    def _coat(self) -> str:
        cloth = self._fabric(fancy=0.15)
        for part in ("coat", "coat_skirt"):
            self._wear(part, texture=cloth.texture, gloss=cloth.gloss, grow=0.006)
        self._wear("trousers", texture=self._fabric(fancy=0.15, denim=0.4).texture)
        self.words["clothes"] = ["coat", "trousers"]
        return "full"

    def _top(self, suits: list[str]) -> str:
        halves = [s for s in suits if s not in _WHOLE]
        if halves and self.rng.random() < 0.2:
            name = self._pick(*halves)
            self._wear(f"{name}_top", texture=self._pictured(name, False), grow=0.004)
            return f"{name}_top"
        name, cloth = self._pick(*_TOPS[self.sex]), self._fabric(fancy=0.45)
        self._wear(name, texture=cloth.texture, gloss=cloth.gloss, grow=0.003 + 0.006 * self.rng.random())
        return name

    def _bottom(self, suits: list[str]) -> str:
        halves, chance = [s for s in suits if s not in _WHOLE and s != "female_elegantsuit01"], self.rng.random()
        if halves and chance < 0.3:
            name = self._pick(*halves)
            self._wear(f"{name}_bottom", texture=self._pictured(name, True))
            return f"{name}_bottom"
        if self.sex == "female" and chance < 0.45:
            name = self._pick(*_SKIRTS)
            cloth = self._fabric(fancy=0.35, denim=0.15)
        else:
            name = self._pick(*_BOTTOMS[self.sex])
            cloth = self._fabric(fancy=0.12, denim=0.0 if name in ("leggings", "capri") else 0.35)
        self._wear(name, texture=cloth.texture, gloss=cloth.gloss)
        return name

    def _tuck(self) -> None:
        """The last but one garment goes inside the last one, from its upper edge downwards."""
        outer, inner = self.layers[-1], self.layers[-2]
        waist = float(outer.garment.piece.points[:, 1].max())
        self.layers[-2:] = [outer, replace(inner, tucked=waist - 0.012, grow=None)]

    # ------------------------------------------------------------------ looks
    def _wear(
        self, name: str, kind: SurfaceKind = "cloth", *, texture: Array | None = None, gloss: float = 0.03,
        roughness: float = 0.8, colour: Array | None = None, grow: float = 0.0,
    ) -> None:  # fmt: skip
        made = self.catalogue(name)
        r, g, b = (0.7, 0.7, 0.7) if colour is None else (float(c) / 255 for c in colour)
        more = np.full(len(made.piece.points), grow, np.float32) if grow else None
        self.layers.append(Worn(made, kind, texture, (r, g, b), gloss, roughness, more))

    def _pick(self, *names: str) -> str:
        return names[int(self.rng.integers(len(names)))]

    def _fabric(self, **chances: float) -> patterns.Fabric:
        found = patterns.fabric(self.rng, self.split, **chances)
        self.words["fabrics"].append(found.name)
        return found

    def _pictured(self, name: str, jeans: bool) -> Array:
        """A picture of MakeHuman's, mostly in another colour."""
        if self.rng.random() < 0.25:
            return store.picture("cloth", name)
        tone = patterns.colour(self.rng, 0.25)
        if jeans and self.rng.random() < 0.6:
            tone = np.array(_JEANS[self.rng.integers(len(_JEANS))]) * self.rng.uniform(0.8, 1.3)
        usual = max(store.grey(name)[1], 40.0)
        return store.recoloured(name, np.clip(np.arange(256) / usual, 0, 2.2) ** 0.8, tone)
