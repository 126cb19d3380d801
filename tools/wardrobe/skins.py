"""Bare skins for people who are dressed afterwards, the masks of hair and beard on them, and eyes of several colours.

All share the open body's texture atlas. The skins are bald and beardless but have brows; the wardrobe paints stubble
and hair where the masks say. Pictures: CC0, makehuman-assets (``base/skins/textures``, ``base/eyes/materials``).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tools.open_body import skin
from tools.open_body.build import SKINS
from tools.open_body.skins import BLACK, BROWN, HAIR, Canvas, Person, with_hair
from tools.open_body.sources import read_image

Array = NDArray[np.float64]
SIDE = 512
EYES = "proxies/eyes/HighPolyEyes/textures/"
PLAIN = (1.0, 1.0, 1.0)
# our name of a skin, which is its room, → its picture
PICTURES = {
    f"{age}_{people}_{sex}": f"{age}_{tone}skinned_{sex}_diffuse{number if people != 'asian' or age != 'young' else 3}"
    for people, tone, number in (("african", "dark", ""), ("asian", "light", 2), ("caucasian", "light", ""))
    for age in ("young", "middleage", "old")
    for sex in ("female", "male")
}
IRISES = {
    "dark": ("brownlight_eye.png", (0.50, 0.40, 0.34)), "brown": ("brownlight_eye.png", (0.85, 0.72, 0.6)),
    "hazel": ("brown_eye.png", PLAIN), "green": ("green_eye.png", (0.8, 0.62, 0.75)),
    "blue": ("blue_eye.png", (1.1, 1.0, 0.95)), "grey": ("grey_eye.png", (0.75, 0.78, 0.82)),
}  # fmt: skip


def bare_skin(name: str, folder: Path, on: Canvas) -> NDArray[np.uint8]:
    """(512,512,3) RGB."""
    package = folder / SKINS
    brows = Person("", None, BLACK if "caucasian" not in name else BROWN, IRISES["brown"], (0, 0, 0), (0, 0, 0))
    body = read_image(package, f"skins/{name}/textures/{PICTURES[name]}.png")
    hairs = {"short": read_image(package, HAIR["short"])}
    head = with_hair(body, brows, hairs, on)
    cloth = (92, 90, 94)
    look = skin.Look(
        cloth,
        cloth,
        cloth,
        cloth,
        eye=None,
        toned=False,
        teeth=True,
        clothes="trunks" if name.endswith("_male") else "underwear",
    )
    atlas = skin.paint((body, head), on.points, on.owner, on.part, on.island, on.joints, look)
    return np.asarray(cv2.resize(atlas, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def eye_patch(name: str, folder: Path, on: Canvas) -> NDArray[np.uint8]:
    """(128,128,3) RGB: the square about the eye's disc, ``patch_bounds`` of the atlas."""
    file, tint = IRISES[name]
    look = skin.Look(eye=(read_image(folder / SKINS, EYES + file), tint), toned=False)
    blank = np.zeros((skin.SIZE, skin.SIZE, 3), np.uint8)
    atlas = skin.paint((blank, blank), on.points, on.owner, on.part, on.island, on.joints, look)
    u0, v0, u1, v1 = patch_bounds()
    rows = slice(round((1 - v1) * skin.SIZE), round((1 - v0) * skin.SIZE))
    cut = atlas[rows, round(u0 * skin.SIZE) : round(u1 * skin.SIZE)]
    return np.asarray(cv2.resize(cut, (128, 128), interpolation=cv2.INTER_AREA), np.uint8)


def _large(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pieces of a mask that have at least a tenth of the largest one's area."""
    _, label, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    area = stats[:, cv2.CC_STAT_AREA].astype(float)
    area[0] = 0.0
    return (area >= 0.1 * area.max())[label]


def patch_bounds() -> tuple[float, float, float, float]:
    """u0, v0, u1, v1 of the eye's square."""
    (u, v), r = skin.EYE_CENTRE, skin.EYE_RADIUS
    return u - r, v - r, u + r, v + r


def masks(folder: Path, on: Canvas) -> dict[str, NDArray[np.uint8]]:
    """(512,512) each: ``scalp`` where short hair grows, ``beard`` where a full beard grows, ``lips``."""
    donor = cv2.resize(read_image(folder / SKINS, HAIR["short"]), (skin.SIZE, skin.SIZE)).astype(float)
    light = donor @ [0.299, 0.587, 0.114]
    eye = on.joints["left_eye"]
    x, y, z = np.abs(on.points[..., 0]), on.points[..., 1] - eye[1], on.points[..., 2] - eye[2]
    head = skin.head_island(on.points, on.owner, on.part, on.island, on.joints)
    face = head & (z > -0.03) & (y < 0.045) & (x < 0.062)
    ear = (x > 0.066) & (np.hypot((y + 0.034) / 1.35, z + 0.078) < 0.026)
    cheek = float(np.median(light[face & (y < -0.02) & (y > -0.06)]))
    dark = np.clip((0.72 * cheek - light) / (0.34 * cheek), 0, 1)
    scalp = cv2.GaussianBlur(dark * (head & ~face & ~ear & (y > -0.11)), (0, 0), 1.5)
    scalp *= _large(scalp > 0.2)
    # nose tip and lips, measured from the eyes on the mean face, metres
    jaw = head & (z > -0.085) & (y < -0.03)
    moustache = np.exp(-(((y + 0.052 + 0.25 * x) / 0.007) ** 4)) * np.clip((0.036 - x) / 0.006, 0, 1) * (z > -0.02)
    side = np.clip((-y - 0.045 - 0.35 * np.clip(z + 0.06, 0, 0.06)) / 0.02, 0, 1) * (z < 0.0)
    whiskers = np.clip((x - 0.052) / 0.008, 0, 1) * (z < -0.03) * (y < 0.0)
    chin = np.clip((-y - 0.076) / 0.008, 0, 1)
    neck = np.clip((y + 0.125) / 0.02, 0, 1)
    lips = np.clip(1.6 - np.hypot(x / 0.024, (y + 0.0655) / 0.0075) * 1.1, 0, 1) * (z > -0.02) * head
    beard = np.clip(np.maximum.reduce([moustache, side, chin, whiskers]), 0, 1) * jaw * neck * (1 - lips) * ~ear
    beard = cv2.GaussianBlur(beard.astype(float), (0, 0), 3.0)
    out = {"scalp": scalp, "beard": beard, "lips": cv2.GaussianBlur(lips.astype(float), (0, 0), 1.5)}
    return {
        key: np.clip(cv2.resize(value, (SIDE, SIDE), interpolation=cv2.INTER_AREA) * 255, 0, 255).astype(np.uint8)
        for key, value in out.items()
    }
