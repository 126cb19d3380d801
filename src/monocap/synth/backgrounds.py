"""What stands behind people: made-up places in the camera's own perspective, or the user's pictures; and its light.

A made-up place has the camera's tilt, height and lens, so that feet stand on its floor, and lights of its own, by which
people before it are to be lit too. Places for the split "test" are of other kinds than those for "train".
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from monocap.errors import InputError
from monocap.media.pictures import is_picture, read_picture
from monocap.render.scene import Backdrop, Lamp
from monocap.synth import backgrounds_tiles as tiles
from monocap.synth.backgrounds_build import Place
from monocap.synth.backgrounds_places import FAMILIES
from monocap.synth.backgrounds_trace import trace
from monocap.types import Array, Camera

PEOPLE_FILL = 0.38  # of the picture's height that a person before the place usually takes at least
DETAIL = 0.7  # rays per pixel's side: what lies behind people is seldom quite sharp
PICTURE_PIXELS = 1_500_000
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Lighting:
    """``lamps`` with the light from above and below, linear, as `Scene` takes them; ``name`` of the kind of light."""

    lamps: tuple[Lamp, ...]
    sky: Colour
    ground: Colour
    name: str = ""


@dataclass(frozen=True, eq=False)
class Scenery(Backdrop):
    """A backdrop that knows what it shows: ``name`` of the place or file, and the ``lighting`` that belongs to it."""

    name: str = ""
    lighting: Lighting | None = None


def backdrop(
    rng: np.random.Generator,
    camera: Camera,
    up: Array,
    floor_height: float | None,
    split: str = "train",
    folder: str | os.PathLike[str] | None = None,
    reach: float | None = None,
    detail: float = DETAIL,
) -> Scenery:
    """A place by chance, or a picture out of ``folder``.

    ``up`` (3,) the world's up in the camera frame; ``floor_height`` how many metres the floor lies below the camera, or
    None where no floor is to be seen; ``split`` "train" or "test"; ``reach`` m: how far from the camera people stand at
    most, else guessed from the lens; ``detail``: rays along a pixel's side. Raises InputError for a folder without
    pictures, MediaError for a file in it that is none or is damaged, by name.
    """
    if split not in FAMILIES:
        raise InputError(f"split {split!r}; expected one of {tuple(FAMILIES)}")
    up = np.asarray(up, float) / np.linalg.norm(up)
    if folder is not None:
        return _from_folder(rng, camera, Path(folder), up)
    if reach is None:
        reach = float(np.clip(1.7 * camera.fy / (PEOPLE_FILL * camera.height), 2.5, 14.0))
    height = float(rng.uniform(1.0, 1.8)) if floor_height is None else max(float(floor_height), 0.05)
    kinds = FAMILIES[split]
    weight = np.array([often for _, often in kinds.values()])
    name = str(rng.choice(list(kinds), p=weight / weight.sum()))
    place = Place(rng, split, -height, reach)
    kinds[name][0](place)
    image, bare = _picture(rng, place, camera, up, detail)
    assert place.hall is not None
    floor = None if floor_height is None else (float(up[0]), float(up[1]), float(up[2]), height)
    return Scenery(image, floor, bare if floor is not None else None, name, _lighting(place, up))


def room_lights(rng: np.random.Generator, backdrop: Backdrop, up: Array) -> Lighting:
    """Lamps, sky and ground light that fit a backdrop: its own, a little changed; for pictures, of their colour."""
    own = backdrop.lighting if isinstance(backdrop, Scenery) else None
    if own is None:
        own = _guessed(rng, np.asarray(backdrop.image), np.asarray(up, float))
    gain = float(rng.uniform(0.88, 1.15))
    lamps = tuple(Lamp(lamp.towards, _scaled(lamp.colour, gain), lamp.size, lamp.shadows) for lamp in own.lamps)
    return Lighting(lamps, _scaled(own.sky, gain), _scaled(own.ground, gain), own.name)


def _scaled(colour: Colour, gain: float) -> Colour:
    return (colour[0] * gain, colour[1] * gain, colour[2] * gain)


def _axes(up: Array) -> Array:
    """(3,3) rows x, y, z of the place in the camera frame: y up, z along the floor to where the camera looks."""
    ahead = np.array([0.0, 0.0, 1.0]) - up[2] * up
    if np.linalg.norm(ahead) < 1e-3:  # straight down or up: the picture's upper edge is ahead
        ahead = np.array([0.0, -1.0, 0.0]) + up[1] * up
    ahead /= np.linalg.norm(ahead)
    # x to the camera's right: with y up and z ahead this is a left-handed frame, as `backgrounds_trace` has it
    return np.stack([np.cross(-up, ahead), up, ahead])


def _picture(rng: np.random.Generator, place: Place, camera: Camera, up: Array, detail: float) -> tuple[Array, Array]:
    """(H,W,3) uint8 of a place, and (H,W) float32 0–1 where its floor is bare."""
    scale = min(detail, 420 / max(camera.width, camera.height))
    width, height = max(8, round(camera.width * scale)), max(8, round(camera.height * scale))
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    columns = (x + 0.5) * camera.width / width - 0.5
    rows = (y + 0.5) * camera.height / height - 0.5
    rays = np.stack(
        [(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones((height, width))], axis=-1
    )
    rays = rays.reshape(-1, 3) @ _axes(up).T
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    s, hall, light = place.solids(), place.hall, place.light
    assert hall is not None
    assert light is not None
    assert place.sky is not None
    shades, bare = trace(
        rays, camera.width / width / camera.fx, s.kind, s.centre, s.half, s.turn, s.tile, s.tint, s.glow, hall.low,
        hall.high, hall.turn, hall.tiles, hall.tints, hall.open, tiles.stack(place.split), tiles.SIZES, light.sun,
        light.sun_colour, light.sky, light.ground, light.lamp, light.lamp_colour, light.haze, place.sky,
    )  # fmt: skip
    image = shades.reshape(height, width, 3)
    blur = 0.45 + rng.exponential(0.5) * width / 224
    image = cv2.GaussianBlur(image, (0, 0), blur)
    image = cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_LINEAR)
    mask = cv2.resize(bare.reshape(height, width), (camera.width, camera.height), interpolation=cv2.INTER_LINEAR)
    return (255 * np.clip(image, 0, 1) ** (1 / 2.2) + 0.5).astype(np.uint8), mask


def _lighting(place: Place, up: Array) -> Lighting:
    """The place's light in the camera frame. What a lamp gives at people's distance becomes a distant lamp."""
    light, axes = place.light, _axes(up)
    assert light is not None
    assert place.hall is not None

    def towards(way: Array) -> tuple[float, float, float]:
        x, y, z = (way / np.linalg.norm(way)) @ axes
        return (float(x), float(y), float(z))

    def plain(colour: Array) -> Colour:
        return (float(colour[0]), float(colour[1]), float(colour[2]))

    if place.hall.open:
        hard = float(np.max(light.sun_colour)) > 0.5
        lamp = Lamp(towards(light.sun), plain(light.sun_colour), 0.02 if hard else 0.5, True)
        return Lighting((lamp,), plain(light.sky), plain(light.ground), "sun" if hard else "overcast")
    middle = np.array([0.0, place.floor + 1.2, 0.7 * place.reach])
    way = light.lamp - middle
    given = light.lamp_colour / (way @ way + 0.3)
    window = np.array([light.sun[0], 0.45, light.sun[2]])
    day = light.sky * 0.7
    lamps = (
        Lamp(towards(way), plain(given + 0.15 * light.sky), 0.22, True),
        Lamp(towards(window), plain(day), 0.45, True),
    )
    return Lighting(lamps, plain(light.sky), plain(light.ground), "room")


def _guessed(rng: np.random.Generator, image: Array, up: Array) -> Lighting:
    """For a photograph: light of its mean colour from a side that is brighter, hard or soft by chance."""
    small = (cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA).astype(float) / 255) ** 2.2
    mean = small.mean(axis=(0, 1))
    tone = 0.5 + 0.5 * mean / max(float(mean.mean()), 1e-3)
    level = float(np.clip(mean.mean() / 0.22, 0.5, 1.6))
    aside = float(small[:, 8:].mean() - small[:, :8].mean()) * 4 + rng.normal(0, 0.4)
    way = 0.9 * up + np.array([aside, 0.0, rng.uniform(-0.9, 0.3)])
    hard = rng.random() < 0.35
    key = level * (1.3 if hard else 0.6) * tone
    sky, ground = level * 0.42 * tone, level * 0.2 * tone
    way /= np.linalg.norm(way)
    lamp = Lamp(tuple(map(float, way)), tuple(map(float, key)), 0.03 if hard else 0.4, True)  # type: ignore[arg-type]
    return Lighting((lamp,), tuple(map(float, sky)), tuple(map(float, ground)), "picture")  # type: ignore[arg-type]


@lru_cache(maxsize=8)
def pictures(folder: Path) -> tuple[Path, ...]:
    """The pictures of a folder, sorted; files whose names start with a dot are passed over.

    Raises InputError where there is no such folder or nothing in it, MediaError for a file that is no picture.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected one with pictures to stand behind people")
    found = tuple(sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")))
    for path in found:
        if not is_picture(path):
            raise InputError(f"{path}: no picture; take it out of the folder of backgrounds")
    if not found:
        raise InputError(f"{folder}: holds no pictures; expected some to stand behind people")
    return found


@lru_cache(maxsize=24)
def _decoded(path: Path) -> Array:
    return read_picture(path, PICTURE_PIXELS).image


def _from_folder(rng: np.random.Generator, camera: Camera, folder: Path, up: Array) -> Scenery:
    """A part of one of the pictures, of the camera's shape, turned over at times."""
    found = pictures(folder)
    path = found[int(rng.integers(len(found)))]
    image = _decoded(path)
    height, width = image.shape[:2]
    shape = camera.width / camera.height
    share = rng.uniform(0.6, 1.0)
    high = share * min(height, width / shape)
    wide = high * shape
    x, y = rng.uniform(0, width - wide + 1e-6), rng.uniform(0, height - high + 1e-6)
    part = image[int(y) : max(int(y + high), int(y) + 1), int(x) : max(int(x + wide), int(x) + 1)]
    how = cv2.INTER_AREA if part.shape[1] > camera.width else cv2.INTER_LINEAR
    part = np.asarray(cv2.resize(part, (camera.width, camera.height), interpolation=how), np.uint8)
    if rng.random() < 0.5:
        part = part[:, ::-1]
    return Scenery(np.ascontiguousarray(part), None, None, path.name, _guessed(rng, part, up))
