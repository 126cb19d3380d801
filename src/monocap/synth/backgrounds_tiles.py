"""What are walls, floors and things made of? Pictures that repeat, drawn by numbers: wood, brick, grass, windows.

Each comes in several variants; those of the split "test" are others than those of "train".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

from monocap.synth.backgrounds_trace import TILE, levels
from monocap.types import Array

VARIANTS = 3  # of each material in each split

_V, _U = np.mgrid[0:TILE, 0:TILE].astype(np.float32) / TILE


def _noise(rng: np.random.Generator, cells: int, rows: int | None = None) -> Array:
    """(T,T) smooth noise that repeats both ways, deviation about 1."""
    rows = rows or cells
    small = rng.standard_normal((rows, cells), dtype=np.float32)
    around = np.pad(small, 2, mode="wrap")
    big = cv2.resize(around, None, fx=TILE / cells, fy=TILE / rows, interpolation=cv2.INTER_CUBIC)
    y, x = 2 * TILE // rows, 2 * TILE // cells
    return cv2.resize(big[y : y + TILE, x : x + TILE], (TILE, TILE))


def _rough(rng: np.random.Generator, first: int = 4) -> Array:
    total, cells, strength = np.zeros((TILE, TILE), np.float32), first, 1.0
    while cells <= TILE:
        total += strength * _noise(rng, cells)
        cells, strength = cells * 2, strength * 0.62
    return total / total.std()


def _tone(rng: np.random.Generator, *choices: tuple[int, int, int]) -> Array:
    return np.clip(np.array(choices[rng.integers(len(choices))], np.float32) * rng.uniform(0.85, 1.15), 0, 250)


def _mix(a: Array, b: Array, share: Array) -> Array:
    return a * (1 - share[..., None]) + b * share[..., None]


def _shaded(tone: Array, gain: Array) -> Array:
    return tone * np.clip(gain, 0.1, 2.0)[..., None]


def _bricks(rng: np.random.Generator, columns: int, rows: int, shift: float, gap: float) -> tuple[Array, Array]:
    """(T,T) brightness of each brick, and 1 in the joints."""
    row = np.floor(_V * rows)
    x = _U * columns + shift * (row % 2)
    number = (np.floor(x) % columns + columns * row).astype(int)
    each = rng.normal(0, 1, columns * rows).astype(np.float32)[number % (columns * rows)]
    edge = np.minimum(np.minimum(x % 1, 1 - x % 1) / columns, np.minimum((_V * rows) % 1, 1 - (_V * rows) % 1) / rows)
    return each, np.clip(1.5 - edge / gap, 0, 1)


def _planks(rng: np.random.Generator) -> Array:
    each, joint = _bricks(rng, 2, 8, rng.uniform(0.3, 0.6), 0.004)
    grain = _noise(rng, 4, 64) * 0.05 + _noise(rng, 8, 32) * 0.05
    tone = _tone(rng, (150, 112, 76), (110, 76, 50), (186, 156, 118), (84, 62, 48), (170, 160, 148))
    return _shaded(tone, (1 + 0.09 * each + grain) * (1 - 0.55 * joint))


def _floor_tiles(rng: np.random.Generator) -> Array:
    each, joint = _bricks(rng, 4, 4, 0.0, 0.004)
    tone = _tone(rng, (206, 200, 190), (168, 162, 152), (120, 116, 112), (216, 214, 210))
    return _shaded(tone, (1 + 0.03 * each + 0.03 * _rough(rng)) * (1 - 0.3 * joint))


def _checker(rng: np.random.Generator) -> Array:
    share = ((np.floor(_U * 4) + np.floor(_V * 4)) % 2).astype(np.float32)
    return _mix(_tone(rng, (60, 58, 58), (130, 60, 50)), _tone(rng, (216, 212, 200)), share)


def _carpet(rng: np.random.Generator) -> Array:
    tone = _tone(rng, (120, 112, 104), (84, 88, 100), (130, 84, 74), (158, 148, 130), (76, 92, 84))
    return _shaded(tone, 1 + 0.05 * _rough(rng, 8) + 0.07 * rng.standard_normal((TILE, TILE)))


def _concrete(rng: np.random.Generator) -> Array:
    return _shaded(_tone(rng, (150, 148, 144), (120, 118, 116), (176, 172, 166)), 1 + 0.07 * _rough(rng, 3))


def _asphalt(rng: np.random.Generator) -> Array:
    grain = rng.standard_normal((TILE, TILE)).astype(np.float32)
    return _shaded(_tone(rng, (84, 84, 86), (104, 102, 100), (66, 66, 70)), 1 + 0.09 * grain + 0.06 * _rough(rng, 4))


def _grass(rng: np.random.Generator) -> Array:
    blades = 0.22 * rng.standard_normal((TILE, TILE)) + 0.12 * _rough(rng, 6)
    dry = np.clip(0.3 + 0.3 * _rough(rng, 4), 0, 1)
    return (
        _mix(_tone(rng, (70, 96, 38), (86, 108, 50)), _tone(rng, (130, 124, 70), (112, 120, 62)), dry)
        * (1 + blades)[..., None]
    )


def _paving(rng: np.random.Generator) -> Array:
    each, joint = _bricks(rng, 6, 6, 0.5 * rng.integers(2), 0.006)
    tone = _tone(rng, (160, 154, 146), (150, 120, 104), (132, 130, 128))
    return _shaded(tone, (1 + 0.08 * each + 0.05 * _rough(rng, 8)) * (1 - 0.4 * joint))


def _sand(rng: np.random.Generator) -> Array:
    return _shaded(
        _tone(rng, (206, 184, 146), (190, 168, 130)),
        1 + 0.05 * _rough(rng, 4) + 0.04 * rng.standard_normal((TILE, TILE)),
    )


def _gravel(rng: np.random.Generator) -> Array:
    return _shaded(_tone(rng, (150, 140, 126), (128, 124, 118)), 1 + 0.16 * _noise(rng, 42) + 0.08 * _rough(rng, 16))


def _court(rng: np.random.Generator) -> Array:
    tone = _tone(rng, (56, 96, 140), (60, 112, 84), (164, 84, 64))
    line = (np.abs(_U - 0.5) < 0.006) | (np.abs(_V - 0.3) < 0.006)
    return _mix(
        _shaded(tone, 1 + 0.04 * _rough(rng, 4)), np.array((226, 226, 220), np.float32), line.astype(np.float32)
    )


def _brick_wall(rng: np.random.Generator) -> Array:
    each, joint = _bricks(rng, 4, 12, 0.5, 0.006)
    brick = _shaded(
        _tone(rng, (150, 84, 64), (120, 70, 56), (176, 150, 122), (188, 186, 182)),
        1 + 0.13 * each + 0.06 * _rough(rng, 8),
    )
    return _mix(brick, _tone(rng, (176, 170, 160), (120, 114, 108)), joint)


def _plaster(rng: np.random.Generator) -> Array:
    tone = _tone(
        rng,
        (226, 222, 214),
        (214, 206, 190),
        (196, 204, 206),
        (206, 190, 172),
        (178, 188, 172),
        (168, 180, 194),
        (232, 232, 230),
    )
    return _shaded(tone, 1 + 0.015 * _rough(rng, 3))


def _wallpaper(rng: np.random.Generator) -> Array:
    tone = _tone(rng, (200, 188, 164), (162, 176, 160), (172, 160, 170), (150, 164, 184))
    stripe = (np.floor(_U * 16) % 2).astype(np.float32) * rng.uniform(0.02, 0.12)
    return _shaded(tone, 1 - stripe + 0.02 * _noise(rng, 16))


def _panels(rng: np.random.Generator) -> Array:
    _, joint = _bricks(rng, 6, 1, 0.0, 0.004)
    wood = 0.06 * _noise(rng, 48, 4)
    return _shaded(_tone(rng, (146, 104, 68), (200, 196, 188), (92, 70, 56)), (1 + wood) * (1 - 0.4 * joint))


def _wood(rng: np.random.Generator) -> Array:
    ring = np.sin(18 * _V + 2.5 * _noise(rng, 3, 6))
    return _shaded(
        _tone(rng, (140, 100, 64), (96, 66, 46), (190, 160, 122), (70, 54, 44)),
        1 + 0.07 * ring + 0.05 * _noise(rng, 3, 64),
    )


def _plain(rng: np.random.Generator) -> Array:
    return np.full((TILE, TILE, 3), 215, np.float32) * (1 + 0.015 * _rough(rng, 4))[..., None]


def _textile(rng: np.random.Generator) -> Array:
    return _shaded(np.full(3, 205, np.float32), 1 + 0.04 * _rough(rng, 8) + 0.04 * np.sin(2 * np.pi * 40 * (_U + _V)))


def _metal(rng: np.random.Generator) -> Array:
    return _shaded(np.full(3, 170, np.float32), 1 + 0.05 * _noise(rng, 2, 96) + 0.08 * np.cos(2 * np.pi * _U))


def _books(rng: np.random.Generator) -> Array:
    out = np.full((TILE, TILE, 3), (60, 46, 36), np.float32)
    for shelf in range(4):
        x, foot = 1, (shelf + 1) * TILE // 4 - 3
        while x < TILE - 3:
            width, tall = int(rng.integers(2, 7)), int(TILE / 4 * rng.uniform(0.6, 0.88))
            if rng.random() < 0.88:
                out[foot - tall : foot, x : x + width] = rng.choice([40, 90, 150, 200]) + rng.uniform(-35, 45, 3)
            x += width
    return out


def _window(rng: np.random.Generator) -> Array:
    view = np.array((250, 252, 255), np.float32) - np.clip(_V - 0.45 + 0.05 * _noise(rng, 6), 0, 1)[
        ..., None
    ] * np.array((190, 150, 190))
    frame = (
        (np.abs(_U - 0.5) < 0.02)
        | (np.abs(_V - 0.4) < 0.015)
        | (np.minimum(_U, 1 - _U) < 0.045)
        | (np.minimum(_V, 1 - _V) < 0.035)
    )
    return _mix(np.clip(view, 30, 255), _tone(rng, (225, 222, 216), (90, 70, 56)), frame.astype(np.float32))


def _curtain(rng: np.random.Generator) -> Array:
    fold = np.sin(2 * np.pi * (7 * _U + 0.3 * _noise(rng, 4, 2)))
    return _shaded(_tone(rng, (206, 196, 176), (128, 60, 56), (96, 110, 132), (220, 220, 216)), 1 + 0.18 * fold)


def _door(rng: np.random.Generator) -> Array:
    inset = np.zeros((TILE, TILE), np.float32)
    for top, foot in ((0.08, 0.45), (0.53, 0.92)):
        box = (_U > 0.16) & (_U < 0.84) & (top < _V) & (foot > _V)
        inset += box
    edge = cv2.Laplacian(cv2.GaussianBlur(inset, (0, 0), 1.2), cv2.CV_32F)
    out = _shaded(
        _tone(rng, (224, 220, 212), (120, 84, 56), (92, 104, 112), (70, 52, 44)),
        1 + 1.6 * edge + 0.02 * _noise(rng, 32, 4),
    )
    cv2.circle(out, (int(0.9 * TILE), int(0.52 * TILE)), 2, (190, 180, 150), -1, cv2.LINE_AA)
    return out


def _art(rng: np.random.Generator) -> Array:
    ground = _tone(rng, (220, 214, 200), (60, 70, 90), (170, 120, 90))
    out = np.ascontiguousarray(_mix(ground, _tone(rng, (90, 120, 130), (210, 170, 90), (120, 50, 50)),
                                    np.clip(0.5 + 0.6 * _rough(rng, 2), 0, 1)))  # fmt: skip
    for _ in range(rng.integers(1, 6)):
        cv2.circle(
            out,
            tuple(int(v) for v in rng.uniform(20, 108, 2)),
            int(rng.uniform(4, 30)),
            rng.uniform(20, 240, 3).tolist(),
            -1,
            cv2.LINE_AA,
        )
    frame = (np.minimum(_U, 1 - _U) < 0.05) | (np.minimum(_V, 1 - _V) < 0.05)
    return _mix(out, _tone(rng, (30, 28, 28), (120, 90, 50), (235, 235, 232)), frame.astype(np.float32))


def _facade(rng: np.random.Generator) -> Array:
    wall = _tone(
        rng, (190, 176, 154), (150, 96, 78), (168, 168, 170), (206, 200, 188), (120, 122, 126), (196, 160, 116)
    )
    columns, rows = int(rng.integers(3, 6)), int(rng.integers(3, 6))
    x, y = (_U * columns) % 1, (_V * rows) % 1
    wide, tall = rng.uniform(0.18, 0.32), rng.uniform(0.22, 0.36)
    pane = ((np.abs(x - 0.5) < wide) & (np.abs(y - 0.5) < tall)).astype(np.float32)
    frame = ((np.abs(x - 0.5) < wide + 0.04) & (np.abs(y - 0.5) < tall + 0.04)).astype(np.float32)
    number = (np.floor(_U * columns) + columns * np.floor(_V * rows)).astype(int)
    glass = np.array((50, 60, 72)) + rng.uniform(-20, 90, columns * rows)[number][..., None] + 40 * (y[..., None] < 0.4)
    out = _mix(_shaded(wall, 1 + 0.05 * _rough(rng, 8)), _tone(rng, (225, 222, 216), (70, 66, 62)), frame)
    return _mix(out, np.clip(glass, 20, 230).astype(np.float32), pane)


def _shop(rng: np.random.Generator) -> Array:
    out = _shaded(_tone(rng, (70, 60, 54), (40, 50, 60), (120, 40, 40)), 1 + 0.05 * _rough(rng, 8))
    inside = _mix(
        np.array((70, 66, 60), np.float32),
        np.array((230, 206, 160), np.float32),
        np.clip(0.4 + 0.4 * _rough(rng, 10), 0, 1),
    )
    pane = ((np.abs((_U * 3) % 1 - 0.5) < 0.42) & (_V > 0.3) & (_V < 0.92)).astype(np.float32)
    out = _mix(out, inside, pane)
    sign = ((_V > 0.06) & (_V < 0.22)).astype(np.float32)
    return _mix(out, _tone(rng, (200, 190, 160), (180, 40, 40), (40, 90, 130), (230, 230, 226)), sign)


def _leaves(rng: np.random.Generator) -> Array:
    light = np.clip(0.5 + 0.45 * _noise(rng, 40) + 0.35 * _noise(rng, 12), 0, 1.3)
    return _mix(
        _tone(rng, (24, 38, 16), (30, 40, 20)), _tone(rng, (98, 126, 54), (120, 130, 60), (150, 120, 50)), light
    )


def _bark(rng: np.random.Generator) -> Array:
    return _shaded(_tone(rng, (84, 70, 56), (110, 100, 90)), 1 + 0.25 * _noise(rng, 32, 6) + 0.1 * _rough(rng, 16))


def _hedge(rng: np.random.Generator) -> Array:
    return _mix(
        _tone(rng, (22, 36, 18)),
        _tone(rng, (76, 104, 44), (90, 110, 56)),
        np.clip(0.4 + 0.4 * _noise(rng, 48) + 0.2 * _noise(rng, 12), 0, 1),
    )


def _lockers(rng: np.random.Generator) -> Array:
    _, joint = _bricks(rng, 6, 2, 0.0, 0.006)
    vent = ((_V * 2) % 1 < 0.25) & ((_V * 60) % 1 < 0.4)
    return _shaded(_tone(rng, (90, 110, 136), (150, 154, 156), (150, 60, 50)), (1 - 0.5 * joint) * (1 - 0.3 * vent))


def _screen(rng: np.random.Generator) -> Array:
    out = np.full((TILE, TILE, 3), 14, np.float32)
    if rng.random() < 0.6:
        out = _mix(
            _tone(rng, (30, 60, 110), (90, 40, 60), (40, 90, 70)),
            _tone(rng, (210, 180, 120), (160, 200, 220)),
            np.clip(0.5 + 0.5 * _rough(rng, 3), 0, 1),
        )
    frame = np.minimum(np.minimum(_U, 1 - _U), np.minimum(_V, 1 - _V)) < 0.03
    return _mix(out, np.array((16, 16, 18), np.float32), frame.astype(np.float32))


# name → (how it is drawn, metres that a tile covers; −1: it fills a side of a thing once)
_DRAWN: dict[str, tuple[Callable[[np.random.Generator], Array], float]] = {
    "planks": (_planks, 1.6), "floor_tiles": (_floor_tiles, 1.6), "checker": (_checker, 1.4), "carpet": (_carpet, 1.2),
    "concrete": (_concrete, 3.0), "asphalt": (_asphalt, 2.2), "grass": (_grass, 1.6), "paving": (_paving, 1.8),
    "sand": (_sand, 2.5), "gravel": (_gravel, 1.5), "court": (_court, 7.0), "brick_wall": (_brick_wall, 0.95),
    "plaster": (_plaster, 2.5), "wallpaper": (_wallpaper, 1.2), "panels": (_panels, 1.0), "wood": (_wood, 0.9),
    "plain": (_plain, 1.5), "textile": (_textile, 0.5), "metal": (_metal, 0.8), "books": (_books, 1.1),
    "window": (_window, -1.0), "curtain": (_curtain, -1.0), "door": (_door, -1.0), "art": (_art, -1.0),
    "facade": (_facade, 10.0), "shop": (_shop, -1.0), "leaves": (_leaves, 1.3), "bark": (_bark, 0.8),
    "hedge": (_hedge, 1.5), "lockers": (_lockers, 2.0), "screen": (_screen, -1.0),
}  # fmt: skip
NAMES = tuple(_DRAWN)
SIZES = np.array([_DRAWN[n][1] for n in NAMES for _ in range(VARIANTS)], np.float64)


def number(name: str, variant: int) -> int:
    """Where a material's variant lies in `stack`."""
    return NAMES.index(name) * VARIANTS + variant % VARIANTS


@cache
def stack(split: str) -> Array:
    """(M,LEVELS,TILE,TILE,3) uint8, see `levels`: every variant of every material of a split."""
    out = []
    for k, name in enumerate(NAMES):
        for variant in range(VARIANTS):
            rng = np.random.default_rng([13, k, variant, split == "test"])
            out.append(levels(np.clip(_DRAWN[name][0](rng), 0, 255).astype(np.uint8)))
    return np.stack(out)
