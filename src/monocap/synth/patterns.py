"""What is cloth printed with? Fabrics by chance: a picture of one metre by one metre that goes round the body once.

Colours are those people wear: mostly dark, grey, white, blue and brown, sometimes bright. Wrinkles are painted as
light and shade, since at the size of training pictures they are not finer than that. Each family belongs to one split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from monocap.types import Array

SIDE = 256  # texels a metre
_WRINKLES = 24

# sRGB; how often each is worn falls along the list
MUTED = (
    (28, 29, 33), (58, 61, 68), (38, 47, 72), (224, 222, 216), (128, 130, 134), (72, 90, 122), (96, 82, 68),
    (178, 166, 146), (70, 78, 64), (110, 44, 48), (196, 198, 202), (60, 46, 40), (150, 168, 190), (206, 188, 160),
    (88, 104, 92), (142, 106, 84), (120, 124, 88), (176, 142, 144), (94, 76, 104), (222, 206, 204),
)  # fmt: skip
BRIGHT = (
    (190, 34, 40), (28, 84, 170), (236, 188, 50), (38, 130, 84), (230, 112, 40), (214, 92, 140), (56, 160, 180),
    (122, 62, 148), (160, 204, 70), (246, 246, 244),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Fabric:
    """``name`` of the family; ``texture`` (256,256,3) uint8, repeats sideways; ``gloss`` 0–1."""

    name: str
    texture: Array
    gloss: float


def colour(rng: np.random.Generator, bright: float = 0.25) -> Array:
    """(3,) sRGB 0–255 as people wear them; ``bright``: how often a strong one."""
    if rng.random() < bright:
        base = np.array(BRIGHT[rng.integers(len(BRIGHT))], float)
    else:
        base = np.array(MUTED[min(int(rng.exponential(6.0)), len(MUTED) - 1)], float)
    return np.clip(base * rng.uniform(0.85, 1.15) + rng.normal(0, 8, 3), 8, 250)


def _second(rng: np.random.Generator, first: Array) -> Array:
    """A colour that differs from ``first`` enough to be seen beside it."""
    for _ in range(8):
        other = colour(rng, 0.3)
        if abs(other.mean() - first.mean()) > 35 or np.abs(other - first).max() > 70:
            return other
    return 255 - first


def _noise(rng: np.random.Generator, cells: int, rows: int | None = None) -> Array:
    """(S,S) smooth noise, mean 0, deviation about 1, that repeats sideways."""
    rows = rows or cells
    small = rng.standard_normal((rows + 2, cells), dtype=np.float32)
    wide = np.concatenate([small[:, -2:], small, small[:, :2]], axis=1)
    step = SIDE / cells
    big = cv2.resize(wide, (round(SIDE + 4 * step), SIDE), interpolation=cv2.INTER_CUBIC)
    first = round(2 * step)
    return big[:, first : first + SIDE]


def _mix(a: Array, b: Array, share: Array) -> Array:
    share = share.astype(np.float32)[..., None]
    return np.asarray(a, np.float32) * (1 - share) + np.asarray(b, np.float32) * share


_V, _U = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE


def _plain(rng: np.random.Generator) -> Array:
    return np.broadcast_to(colour(rng).astype(np.float32), (SIDE, SIDE, 3))


def _heather(rng: np.random.Generator) -> Array:
    base = colour(rng, 0.1)
    return _mix(base, np.clip(base + 40, 0, 255), np.clip(0.4 + 0.3 * _noise(rng, 128), 0, 1))


def _bands(rng: np.random.Generator, along: Array) -> Array:
    count, width = rng.integers(6, 34), rng.uniform(0.25, 0.6)
    a = colour(rng)
    wave = (along * count + rng.random()) % 1.0
    return _mix(a, _second(rng, a), np.clip((width - wave) * SIDE / count + 0.5, 0, 1))


def _stripes(rng: np.random.Generator) -> Array:
    return _bands(rng, _V)


def _pinstripes(rng: np.random.Generator) -> Array:
    a = colour(rng, 0.05) * 0.7
    wave = (_U * rng.integers(16, 42)) % 1.0
    return _mix(a, np.clip(a + 70, 0, 255), (wave < 0.18) * 0.7)


def _gingham(rng: np.random.Generator) -> Array:
    count, white = rng.integers(10, 36), np.array((238.0, 236.0, 232.0))
    share = 0.5 * (((_U * count) % 1 < 0.5).astype(np.float32) + ((_V * count) % 1 < 0.5))
    return _mix(white, colour(rng, 0.6), share)


def _plaid(rng: np.random.Generator) -> Array:
    count = int(rng.integers(3, 9))
    a = colour(rng, 0.5)
    out = np.broadcast_to(a.astype(np.float32), (SIDE, SIDE, 3))
    for _ in range(rng.integers(2, 5)):
        other, start, width = _second(rng, a), rng.random(), rng.uniform(0.05, 0.3)
        for along in (_U, _V):
            out = _mix(out, other, 0.5 * (((along * count + start) % 1) < width))
    return out


def _dots(rng: np.random.Generator) -> Array:
    count, radius = rng.integers(8, 30), rng.uniform(0.2, 0.36)
    row = np.floor(_V * count)
    x, y = (_U * count + 0.5 * (row % 2)) % 1 - 0.5, (_V * count) % 1 - 0.5
    a = colour(rng)
    return _mix(a, _second(rng, a), np.clip((radius - np.hypot(x, y)) * SIDE / count + 0.5, 0, 1))


def _camouflage(rng: np.random.Generator) -> Array:
    families = (
        ((84, 88, 60), (52, 56, 40), (122, 108, 78), (34, 34, 30)), ((160, 148, 120), (120, 104, 80), (90, 80, 64)),
        ((110, 116, 120), (70, 74, 80), (150, 154, 158), (42, 44, 48)),
    )  # fmt: skip
    colours = families[rng.integers(len(families))]
    out = np.broadcast_to(np.array(colours[0], np.float32), (SIDE, SIDE, 3))
    cells = int(rng.integers(8, 20))
    for tone in colours[1:]:
        out = _mix(out, np.array(tone), (_noise(rng, cells) + 0.3 * _noise(rng, 4 * cells)) > 0.55)
    return out


def _flowers(rng: np.random.Generator) -> Array:
    a = colour(rng, 0.3)
    out = np.ascontiguousarray(np.broadcast_to(a, (SIDE, SIDE, 3)).astype(np.uint8))
    tones = [_second(rng, a) for _ in range(3)]
    size = rng.uniform(3, 12)
    for _ in range(int(6000 / size**1.6)):
        x, y = rng.uniform(0, SIDE, 2)
        tone, turn = tones[rng.integers(3)], rng.uniform(0, np.pi)
        for k in range(5):
            angle = turn + k * 2 * np.pi / 5
            centre = (int(x + 0.6 * size * np.cos(angle)), int(y + 0.6 * size * np.sin(angle)))
            cv2.circle(out, centre, max(1, int(0.4 * size)), tuple(map(float, tone)), -1, cv2.LINE_AA)
    return out.astype(np.float32)


def _denim(rng: np.random.Generator, tone: tuple[float, float, float] | None = None) -> Array:
    choices = ((52, 70, 104), (84, 108, 142), (36, 42, 58), (118, 140, 166), (48, 48, 52))
    base = np.array(tone or choices[rng.integers(len(choices))], float) * rng.uniform(0.85, 1.15)
    worn = np.clip(0.25 + 0.25 * _noise(rng, 5, 3), 0, 1) * rng.uniform(0.2, 1.0)
    out = _mix(base, np.clip(base * 1.25 + 38, 0, 255), worn)
    return out * (1 + 0.07 * _noise(rng, SIDE)[..., None])


def _knit(rng: np.random.Generator) -> Array:
    count = int(rng.integers(24, 60))
    rib = np.cos(2 * np.pi * count * _U)
    return np.broadcast_to(colour(rng, 0.15), (SIDE, SIDE, 3)) * (1 + 0.12 * rib + 0.05 * _noise(rng, 128))[..., None]


def _colour_block(rng: np.random.Generator) -> Array:
    a = colour(rng, 0.45)
    out = _mix(a, _second(rng, a), rng.uniform(0.5, 0.75) < _V)
    if rng.random() < 0.5:
        out = _mix(out, _second(rng, a), np.abs(_V - rng.uniform(0.5, 0.7)) < rng.uniform(0.01, 0.04))
    return out


def _print(rng: np.random.Generator, draw: Callable[[np.random.Generator, Array, Array], None]) -> Array:
    a = colour(rng, 0.35)
    out = np.ascontiguousarray(np.broadcast_to(a, (SIDE, SIDE, 3)).astype(np.uint8))
    draw(rng, out, _second(rng, a))
    return out.astype(np.float32)


# Where the chest is on the picture: middle of the front, texels; see `garments_cut`.
CHEST = (SIDE // 2, int(0.52 * SIDE))


def _letters_on(rng: np.random.Generator, out: Array, tone: Array) -> None:
    font = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)[rng.integers(3)]
    alphabet = "ABCDEFGHIJKLMNOPRSTUVWXYZ0123456789"
    word = "".join(alphabet[k] for k in rng.integers(0, len(alphabet), rng.integers(1, 7)))
    scale = rng.uniform(0.5, 1.4) * (2.2 if len(word) < 3 else 1.0) * 5 / max(len(word), 4)
    thick = int(rng.integers(1, 4))
    (w, h), _ = cv2.getTextSize(word, font, scale, thick)
    cv2.putText(
        out, word, (CHEST[0] - w // 2, CHEST[1] + h // 2), font, scale, tuple(map(float, tone)), thick, cv2.LINE_AA
    )


def _logo_on(rng: np.random.Generator, out: Array, tone: Array) -> None:
    size = rng.uniform(6, 36)
    x = CHEST[0] + (rng.choice([-1, 1]) * 18 if size < 14 else 0)
    for _ in range(rng.integers(1, 4)):
        corners = int(rng.integers(3, 9))
        angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
        radius = size * rng.uniform(0.5, 1.0, corners)
        points = np.stack([x + radius * np.cos(angle), CHEST[1] + radius * np.sin(angle)], axis=1)
        if rng.random() < 0.5:
            cv2.fillPoly(out, [points.astype(np.int32)], tuple(map(float, tone)), cv2.LINE_AA)
        else:
            cv2.circle(
                out, (int(x), CHEST[1]), int(size * rng.uniform(0.4, 1)), tuple(map(float, tone)), 2, cv2.LINE_AA
            )
        tone = _second(rng, tone)


def _letters(rng: np.random.Generator) -> Array:
    return _print(rng, _letters_on)


def _logo(rng: np.random.Generator) -> Array:
    return _print(rng, _logo_on)


def _emblem(rng: np.random.Generator) -> Array:
    def both(rng: np.random.Generator, out: Array, tone: Array) -> None:
        _logo_on(rng, out, tone)
        cv2.rectangle(out, (CHEST[0] - 30, CHEST[1] + 20), (CHEST[0] + 30, CHEST[1] + 26), tuple(map(float, tone)), -1)

    return _print(rng, both)


def _tie_dye(rng: np.random.Generator) -> Array:
    a = colour(rng, 0.8)
    ring = np.sin(18 * np.hypot(_U - 0.5, _V - 0.5) + 1.5 * _noise(rng, 8))
    return _mix(_mix(a, _second(rng, a), np.clip(0.5 + ring, 0, 1)), np.array((236, 232, 226)), ring < -0.7)


def _zigzag(rng: np.random.Generator) -> Array:
    count = int(rng.integers(8, 20))
    tooth = np.abs((_U * 2 * count) % 2 - 1)
    a = colour(rng, 0.4)
    return _mix(a, _second(rng, a), ((_V * count + 0.5 * tooth) % 1) < 0.5)


def _twill(rng: np.random.Generator) -> Array:
    wave = np.sin(2 * np.pi * 64 * (_U + _V))
    return np.broadcast_to(colour(rng, 0.2), (SIDE, SIDE, 3)) * (1 + 0.05 * wave)[..., None]


def _slub(rng: np.random.Generator) -> Array:
    return np.broadcast_to(colour(rng, 0.25), (SIDE, SIDE, 3)) * (1 + 0.05 * _noise(rng, 12, 128))[..., None]


def _raw_denim(rng: np.random.Generator) -> Array:
    return _denim(rng, tuple(np.array((40.0, 50.0, 82.0)) * rng.uniform(0.8, 1.5)))


_SIMPLE = {"train": ("plain", "plain", "plain", "heather", "knit"), "test": ("twill", "twill", "slub")}
_FANCY = {
    "train": ("stripes", "pinstripes", "gingham", "camouflage", "flowers", "colour_block", "letters", "logo", "logo"),
    "test": ("plaid", "dots", "zigzag", "tie_dye", "emblem"),
}
_DENIM = {"train": "denim", "test": "raw_denim"}
_WEAVE: dict[str, Callable[[np.random.Generator], Array]] = {
    "plain": _plain, "heather": _heather, "knit": _knit, "stripes": _stripes, "pinstripes": _pinstripes,
    "gingham": _gingham, "camouflage": _camouflage, "flowers": _flowers, "colour_block": _colour_block,
    "letters": _letters, "logo": _logo, "denim": _denim, "plaid": _plaid, "dots": _dots, "zigzag": _zigzag,
    "tie_dye": _tie_dye, "emblem": _emblem, "twill": _twill, "slub": _slub, "raw_denim": _raw_denim,
}  # fmt: skip


def names(split: str) -> tuple[str, ...]:
    """The families of a split; those of "train" and "test" have none in common."""
    return tuple(dict.fromkeys((*_SIMPLE[split], *_FANCY[split], _DENIM[split])))


def fabric(rng: np.random.Generator, split: str, *, fancy: float = 0.4, denim: float = 0.0) -> Fabric:
    """A fabric; ``fancy`` and ``denim``: how often it has a pattern, and how often it is denim."""
    chance = rng.random()
    if chance < denim:
        name = _DENIM[split]
    else:
        choices = _FANCY[split] if rng.random() < fancy else _SIMPLE[split]
        name = choices[rng.integers(len(choices))]
    return Fabric(
        name, finish(rng, _WEAVE[name](rng)), float(rng.choice([0.02, 0.04, 0.08, 0.25], p=[0.4, 0.3, 0.2, 0.1]))
    )


def finish(rng: np.random.Generator, cloth: Array) -> Array:
    """uint8 (256,256,3): ``cloth`` with wrinkles, wear and, at times, dirt."""
    shade = np.roll(wrinkles(int(rng.integers(_WRINKLES))), tuple(rng.integers(0, SIDE, 2)), axis=(0, 1))
    gain = 1.0 + rng.uniform(0.3, 1.1) * shade
    if rng.random() < 0.15:
        gain = gain * (1 - 0.25 * np.clip(_noise(rng, 9) - 1.0, 0, 1))
    return np.clip(cloth * gain[..., None], 0, 255).astype(np.uint8)


@cache
def wrinkles(number: int) -> Array:
    """(256,256) light and shade of folds, about −0.3 to 0.3; repeats sideways. The same for the same number."""
    rng = np.random.default_rng([7, number])
    height = np.zeros((SIDE, SIDE), np.float32)
    for cells, rows, strength in ((4, 6, 1.0), (7, 14, 0.8), (14, 20, 0.5), (30, 40, 0.22)):
        wave = _noise(rng, cells, rows) + 0.6 * _noise(rng, cells)
        height += strength * (1.0 - np.abs(wave)) * 12.0 / cells * (0.6 + 0.4 * np.tanh(_noise(rng, 4)))
    height = cv2.GaussianBlur(height, (0, 0), 1.0)
    slope = np.roll(height, 1, 0) - np.roll(height, -1, 0) + 0.4 * (np.roll(height, 1, 1) - np.roll(height, -1, 1))
    slope[:2], slope[-2:] = slope[2:3], slope[-3:-2]
    return (np.tanh(slope / (3.0 * slope.std())) * 0.3).astype(np.float32)
