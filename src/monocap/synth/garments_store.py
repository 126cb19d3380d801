"""The clothes, hair, skins and eyes that ship: read from ``synth/data``, made by ``tools/wardrobe``."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

import cv2
import numpy as np

from monocap.errors import AssetError
from monocap.files import read_npz
from monocap.synth.garments_cut import Piece
from monocap.types import Array

DATA = Path(str(resources.files("monocap.synth"))) / "data"
UNIT = 1e-4  # metres that the stored vertices count
# Held out, so that a benchmark shows people that no training picture showed. Shared meshes are no secret; these
# skins, pictures of cloth and styles of hair are.
TEST_SKINS = ("young_asian_male", "middleage_african_female", "old_caucasian_male", "young_caucasian_female")
TEST_HAIR = ("short03", "bob02", "braid01")
TEST_SUITS = ("male_casualsuit03", "male_casualsuit06", "female_casualsuit02")
TEST_SHOES = ("shoes01_2",)
CHILD_SKINS = "young"


@cache
def _arrays() -> dict[str, Array]:
    return read_npz(DATA / "clothes.npz")


@cache
def stored_names() -> tuple[str, ...]:
    """Every piece in the file, sorted."""
    return tuple(sorted({key.split("/")[0] for key in _arrays()}))


def stored(name: str, count: int) -> tuple[Piece, Array]:
    """A piece at rest on the open body's mean shape, and (V,) which of the body's ``count`` vertices it hides."""
    arrays = _arrays()
    if f"{name}/vertices" not in arrays:
        raise AssetError(f"{DATA / 'clothes.npz'}: holds no {name!r}; install monocap again")
    piece = Piece(
        arrays[f"{name}/vertices"].astype(np.float32) * np.float32(UNIT),
        arrays[f"{name}/faces"].astype(np.int64),
        arrays[f"{name}/uv"].astype(np.float32) / np.float32(65535),
        arrays[f"{name}/uv_faces"].astype(np.int64),
    )
    return piece, np.unpackbits(arrays[f"{name}/hidden"], count=count).astype(bool)


@cache
def picture(room: str, name: str) -> Array:
    """(H,W,3) or, with opacity, (H,W,4) uint8 RGB of ``cloth``, ``skins`` or ``eyes``; a mask is (H,W)."""
    for suffix in (".jpg", ".webp", ".png"):
        path = DATA / room / f"{name}{suffix}"
        if path.is_file():
            image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
            if image is None:
                raise AssetError(f"{path}: damaged; install monocap again")
            if image.ndim == 2:
                return np.asarray(image)
            code = cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
            return np.asarray(cv2.cvtColor(image, code))
    raise AssetError(f"{DATA / room / name}: missing; install monocap again")


@cache
def grey(name: str) -> tuple[Array, float]:
    """A picture of cloth without its colours, in as many channels (opacity stays), and how bright it usually is."""
    image = picture("cloth", name)
    flat = np.round(image[..., :3].mean(axis=2)).astype(np.uint8)
    usual = float(np.median(flat))
    if image.shape[2] == 4:
        usual = float(np.average(flat, weights=image[..., 3].astype(np.float32) + 1e-3))
        return np.ascontiguousarray(np.dstack([flat, flat, flat, image[..., 3]])), usual
    return np.ascontiguousarray(np.dstack([flat, flat, flat])), usual


def recoloured(name: str, ramp: Array, tone: Array) -> Array:
    """A picture of cloth in another colour: ``ramp`` (256,) how bright each grey becomes against ``tone`` (3,) sRGB."""
    image, _ = grey(name)
    table = np.clip(ramp[:, None] * np.asarray(tone), 0, 255)
    if image.shape[2] == 4:
        table = np.concatenate([table, np.arange(256)[:, None]], axis=1)
    return np.asarray(cv2.LUT(image, table.astype(np.uint8)[None]))


@cache
def skins(gender: str, split: str) -> tuple[str, ...]:
    """Names of the skins of a gender ("child": young ones) in a split."""
    names = sorted(path.stem for path in (DATA / "skins").glob("*.jpg"))
    names = [n for n in names if (n in TEST_SKINS) == (split == "test")]
    if gender in ("female", "male"):
        return tuple(n for n in names if n.endswith(f"_{gender}"))
    return tuple(n for n in names if gender != "child" or n.startswith(CHILD_SKINS))


@cache
def irises() -> tuple[str, ...]:
    """Colours of eyes."""
    return tuple(sorted(path.stem for path in (DATA / "eyes").glob("*.jpg")))
