"""Who wears what? People of the open body dressed by chance: skin, eyes, hair, clothes, shoes, to be photographed.

`Wardrobe.choose` draws everything that is chance; `Outfit.surfaces` then only follows the body. What lies hidden under
clothes is left out, so that a body never pokes through; a garment under another one likewise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.render import vertex_normals
from monocap.render.scene import Surface
from monocap.synth import garments_store as store
from monocap.synth import hair
from monocap.synth.garments import Catalogue
from monocap.synth.wardrobe_choice import PAINTED_HAIR, Dresser, Worn
from monocap.types import Array

GENDERS, SPLITS = ("female", "male", "neutral", "child"), ("train", "test")
EYE_PATCH = (0.875 - 0.078, 0.915 - 0.078, 0.156)  # where eyes lie on the atlas: u, v of its corner and its side
_HANDS = 0.3  # metres from the middle at rest, beyond which there are only arms
_COVERED = 0.9  # of what a vertex hangs on: more of it covered, and the vertex is not seen


@dataclass(frozen=True, eq=False)
class Outfit:
    """One person's looks: `surfaces` puts them on a posed body; ``words`` names them."""

    wardrobe: Wardrobe
    worn: tuple[Worn, ...]
    skin: Array
    eyes: Array
    seen: Array
    words: dict[str, Any]

    def surfaces(self, vertices: Array, person: int, normals: Array | None = None) -> tuple[Surface, ...]:
        """Skin, eyes, garments, hair and shoes of a body posed to ``vertices`` (V,3), metres, in the frame of those.

        ``person``: its number in the scene; ``normals`` (V,3) of the bare body where they are known. Always the same
        surfaces in the same order, so that two poses of one outfit correspond vertex by vertex.
        Raises InputError for vertices of another body.
        """
        vertices = np.ascontiguousarray(vertices, np.float32)
        of = self.wardrobe
        body, kit = of.body, of.catalogue.kit
        if vertices.shape != kit.rest.shape:
            raise InputError(f"vertices {vertices.shape}; expected {kit.rest.shape} of the open body")
        if normals is None:
            normals = vertex_normals(vertices, kit.faces)
        assert body.uv_faces is not None
        seen = self.seen
        out = [
            Surface(
                vertices, body.faces[seen], uv=body.uv, uv_faces=body.uv_faces[seen], texture=self.skin, person=person,
                part=of.face_part[seen], kind="skin", gloss=0.22, roughness=0.55, normals=normals,
            ),
            Surface(
                vertices, body.faces[of.eye_faces], uv=of.eye_uv, uv_faces=body.uv_faces[of.eye_faces],
                texture=self.eyes, person=person, part=of.face_part[of.eye_faces], kind="eyes", gloss=0.9,
                roughness=0.1, normals=normals,
            ),
        ]  # fmt: skip
        frames = kit.frames(vertices)
        for worn in self.worn:
            made = worn.garment
            points = kit.place(made.binding, vertices, frames, made.fold if worn.kind == "cloth" else None, worn.grow)
            textured = worn.texture is not None
            out.append(
                Surface(
                    points, made.piece.faces[worn.faces], worn.colour, made.piece.uv if textured else None,
                    made.piece.uv_faces[worn.faces] if textured else None, worn.texture, person,
                    made.part[worn.faces], worn.kind, worn.gloss, worn.roughness, two_sided=True,
                )
            )  # fmt: skip
        return tuple(out)

    def describe(self) -> dict[str, Any]:
        """Names of everything worn: plain text and numbers."""
        return dict(self.words)


class Wardrobe:
    """Everything that one body can wear. Use `Wardrobe.load`."""

    def __init__(self, body: BodyModel) -> None:
        if body.name != "open":
            raise InputError(f"body {body.name!r} has no wardrobe; clothes are made for the open body")
        self.body, self.catalogue = body, Catalogue(body)

    @classmethod
    def load(cls, body: BodyModel) -> Wardrobe:
        """The wardrobe of a body, made once for each body. Raises InputError for another body than the open one."""
        return _made(body)

    @cached_property
    def face_part(self) -> Array:
        """(F,) SMPL-X joint that carries each face of the body."""
        return np.argmax(self.body.lbs_weights[self.body.faces].sum(axis=1), axis=1).astype(np.int16)

    @cached_property
    def eye_faces(self) -> Array:
        """Numbers of the body's faces that are eyeballs."""
        assert self.body.uv is not None
        assert self.body.uv_faces is not None
        u, v, side = EYE_PATCH
        corner = self.body.uv[self.body.uv_faces]
        inside = (corner > (u - 1e-3, v - 1e-3)).all(axis=(1, 2)) & (corner < (u + side + 1e-3, v + side + 1e-3)).all(
            axis=(1, 2)
        )
        skin = np.zeros(len(self.body.v_template), bool)
        skin[self.catalogue.kit.skin] = True
        return np.flatnonzero(inside & ~skin[self.body.faces].any(axis=1))

    @cached_property
    def eye_uv(self) -> Array:
        u, v, side = EYE_PATCH
        return (np.asarray(self.body.uv) - (u, v)) / side

    @cached_property
    def _masks(self) -> Array:
        return np.stack([store.picture("skins", name) for name in ("scalp", "beard", "lips")])

    @cached_property
    def _grain(self) -> Array:
        return np.random.default_rng(2).uniform(0.75, 1.1, self._masks.shape[1:]).astype(np.float32)

    def choose(self, rng: np.random.Generator, gender: str, split: str = "train") -> Outfit:
        """Dress somebody by chance. ``gender`` "female", "male", "neutral" (either) or "child"; ``split`` "train" or
        "test": skins, fabrics, pictures of cloth and styles of hair of one never occur in the other.
        Raises InputError for other words."""
        if gender not in GENDERS or split not in SPLITS:
            raise InputError(f"gender {gender!r}, split {split!r}; expected one of {GENDERS} and one of {SPLITS}")
        sex = gender if gender in ("female", "male") else str(rng.choice(["female", "male"]))
        adult = gender != "child"
        skins = [n for n in store.skins(gender if not adult else sex, split) if n.endswith(f"_{sex}")]
        skin = str(rng.choice(skins or list(store.skins(gender, split))))
        tone_name, tone = hair.colour(rng, skin)
        if not adult and tone_name in ("grey", "white"):
            tone_name, tone = "dark_brown", np.array(hair.COLOURS["dark_brown"][0], float)
        dresser = Dresser(self.catalogue, rng, split, sex, adult)
        dresser.words |= {"skin": skin, "sex": sex, "hair_colour": tone_name}
        dresser.shoe(dresser.clothe())
        style, beard = dresser.hair(tone), dresser.beard(tone)
        dresser.extras()
        covers = np.zeros(len(self.body.v_template), bool)
        shown = []
        for worn in dresser.layers:
            shown.append(replace(worn, faces=_seen(worn, covers)))
            covers |= worn.garment.covers
        hidden = np.asarray(covers[self.body.faces].all(axis=1))
        hidden[self.eye_faces] = True
        iris = str(rng.choice(["dark", "brown"]) if "caucasian" not in skin else rng.choice(store.irises()))
        dresser.words["eyes"] = iris
        painted, eyes = self._skin(rng, skin, sex, adult, tone, style, beard), store.picture("eyes", iris)
        for texture in (painted, eyes, *(worn.texture for worn in shown)):
            if texture is not None:
                texture.flags.writeable = False  # so that the renderer may keep what it makes of them
        return Outfit(self, tuple(shown), painted, eyes, np.flatnonzero(~hidden), dresser.words)

    def _skin(
        self, rng: np.random.Generator, name: str, sex: str, adult: bool, tone: Array, style: str, beard: float
    ) -> Array:
        """The person's own atlas: tone of the skin, hair on the scalp, beard, lips."""
        base = store.picture("skins", name)
        gain = rng.uniform(0.82, 1.12) * np.array([1.0, rng.uniform(0.95, 1.04), rng.uniform(0.9, 1.05)])
        curve = 255 * (np.arange(256)[:, None] / 255) ** rng.uniform(0.9, 1.12) * gain
        table = np.clip(curve, 0, 255).astype(np.float32)
        scalp = PAINTED_HAIR.get(style, 0.92)
        lips = rng.uniform(0.1, 0.75) if sex == "female" and adult and rng.random() < 0.4 else 0.0
        red = np.array((150, 40, 55)) * rng.uniform(0.6, 1.2)
        tones = np.stack([0.8 * tone, tone, red]).astype(np.float32)
        strength = np.array([scalp, beard, lips], np.float32)
        return hair.painted(base, table, self._masks, strength, tones, self._grain)


@lru_cache(maxsize=2)
def _made(body: BodyModel) -> Wardrobe:
    return Wardrobe(body)


def _seen(worn: Worn, covers: Array) -> Array:
    """Numbers of a garment's faces that neither lie under others, which cover ``covers`` (V,), nor are tucked in."""
    points, faces = worn.garment.piece.points, worn.garment.piece.faces
    below = np.asarray(worn.garment.binding.carried(covers.astype(np.float32)) > _COVERED)
    if worn.tucked is not None:
        below |= (points[:, 1] < worn.tucked) & (np.abs(points[:, 0]) < _HANDS)
    return np.flatnonzero(~below[faces].all(axis=1))
