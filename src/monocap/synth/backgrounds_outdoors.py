"""Outdoors: streets, parks, gardens, squares, beaches and courts under a sky, sunny or overcast."""

from __future__ import annotations

import cv2
import numpy as np

from monocap.synth.backgrounds_build import Place
from monocap.synth.backgrounds_trace import BALL, Hall, Light
from monocap.types import Array


def _outdoors(place: Place, *floors: str) -> None:
    """Open ground, a sky with or without clouds, and daylight: sun or overcast."""
    rng = place.rng
    big = 390.0
    angle = rng.uniform(0, 2 * np.pi)
    numbers = np.array([0, place.tile(*floors), 0])
    tints = np.ones((3, 3)) * rng.uniform(0.7, 1.05)
    place.hall = Hall(
        np.array([-big, place.floor, -big]),
        np.array([big, big, big]),
        np.array([np.cos(angle), np.sin(angle)]),
        numbers,
        tints,
        True,
    )
    cloudy = rng.random() < 0.4
    low = rng.uniform(0.15, 1.2)
    heading = rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(low) * np.sin(heading), np.sin(low), np.cos(low) * np.cos(heading)])
    late = np.clip(1 - low / 0.5, 0, 1)
    level = rng.uniform(0.75, 1.2)
    colour = np.array([1.0, 0.96 - 0.22 * late, 0.9 - 0.45 * late]) * (
        rng.uniform(0.0, 0.15) if cloudy else rng.uniform(1.2, 2.0)
    )
    above = (np.array([0.62, 0.65, 0.7]) if cloudy else np.array([0.34, 0.42, 0.56])) * rng.uniform(0.8, 1.25)
    haze = np.array([0.72, 0.78, 0.86]) * level * (0.95 if cloudy else 1.0)
    place.light = Light(
        sun,
        level * colour,
        level * above,
        level * above * 0.38,
        np.array([0.0, 90.0, 0.0]),
        np.zeros(3),
        np.r_[haze, rng.uniform(0.001, 0.008)],
    )
    place.sky = _sky(rng, cloudy, late, level)


def _sky(rng: np.random.Generator, cloudy: bool, late: float, level: float) -> Array:
    """(256,512,3) linear: zenith in the first row, horizon in the last."""
    down = np.linspace(0, 1, 64)[:, None, None]
    top = np.array([0.16, 0.32, 0.66]) if not cloudy else np.array([0.55, 0.58, 0.62])
    low = np.array([0.72 + 0.25 * late, 0.8, 0.9 - 0.25 * late]) if not cloudy else np.array([0.78, 0.8, 0.82])
    sky = top * (1 - down) + low * down
    noise = sum(
        cv2.resize(rng.standard_normal((n // 2, n)), (128, 64), interpolation=cv2.INTER_CUBIC) / k
        for k, n in ((1, 6), (1.6, 16), (2.6, 40))
    )
    cover = np.clip((noise + rng.uniform(-1.6, 1.0)) * 0.6, 0, 1)[..., None] * rng.uniform(0.4, 1)
    sky = sky * (1 - cover) + np.array([0.95, 0.95, 0.96]) * cover
    sky = level * np.broadcast_to(sky, (64, 128, 3))
    return cv2.resize(sky.astype(np.float32), (512, 256), interpolation=cv2.INTER_CUBIC)


def _tree(place: Place, x: float, z: float, tall: float) -> None:
    rng = place.rng
    thick = 0.05 * tall
    place.box(x, 0, z, (thick, 0.5 * tall, thick), "bark")
    tint = rng.uniform(0.7, 1.2, 3) * [1.0, 1.0, 0.85]
    wide = rng.uniform(0.14, 0.2)
    for _ in range(2):
        size = rng.uniform(0.36, 0.5, 3) * tall
        place.box(x, 0.45 * tall + rng.normal(0, 0.04) * tall, z, tuple(size), "leaves", tint=0.8 * tint, kind=BALL)
    for _ in range(rng.integers(7, 13)):
        at = rng.normal(0, 1, 3) * tall * np.array([wide, 0.15, wide])
        size = rng.uniform(0.14, 0.32, 3) * tall
        shade = tint * rng.uniform(0.7, 1.15)
        place.box(x + at[0], 0.62 * tall + at[1], z + at[2], tuple(size), "leaves", tint=shade, kind=BALL)


def _car(place: Place, x: float, z: float, along: bool) -> None:
    rng = place.rng
    tint = place.tint() if rng.random() < 0.6 else np.full(3, rng.choice([0.02, 0.35, 0.8]))
    turn = (np.pi / 2 if along else 0.0) + rng.normal(0, 0.03)
    place.box(x, 0.28, z, (4.2, 0.55, 1.75), "metal", tint=tint * 1.6, turn=turn)
    place.box(x, 0.8, z, (2.3, 0.55, 1.55), "plain", tint=np.array([0.03, 0.035, 0.04]), turn=turn)
    place.box(x, 1.3, z, (1.9, 0.1, 1.5), "metal", tint=tint * 1.6, turn=turn)
    c, s = np.cos(turn), np.sin(turn)
    for a in (-1.35, 1.35):
        for b in (-0.8, 0.8):
            place.box(
                x + c * a + s * b,
                0,
                z - s * a + c * b,
                (0.62, 0.62, 0.2),
                "plain",
                tint=np.full(3, 0.02),
                kind=BALL,
                turn=turn,
            )


def _buildings(place: Place, z: float, *names: str) -> None:
    rng, x = place.rng, -60.0
    while x < 60:
        wide, tall, deep = rng.uniform(8, 22), rng.uniform(6, 28), rng.uniform(8, 16)
        place.box(
            x + wide / 2,
            0,
            z + deep / 2 + rng.uniform(0, 2),
            (wide, tall, deep),
            *(names or ("facade",)),
            tint=rng.uniform(0.7, 1.15, 3) * rng.uniform(0.6, 1.1),
        )
        if rng.random() < 0.5 and not names:
            place.box(x + wide / 2, 0, z - 0.1, (wide * 0.85, 3.2, 0.3), "shop")
        x += wide + (rng.uniform(0, 6) if rng.random() < 0.3 else 0.05)


def street(place: Place) -> None:
    rng = place.rng
    _outdoors(place, "asphalt", "paving", "concrete")
    back = place.reach + rng.uniform(3, 18)
    _buildings(place, back)
    place.box(0, 0, back - 1.6, (120, 0.12, 3.2), "paving")
    for _ in range(rng.integers(0, 5)):
        _car(place, rng.uniform(-16, 16), back - rng.uniform(4.5, 5.5), False)
    for _ in range(rng.integers(0, 4)):
        x = rng.uniform(-12, 12)
        place.box(x, 0, back - 2.8, (0.12, rng.uniform(3, 6), 0.12), "metal", tint=np.full(3, 0.2))
    for _ in range(rng.integers(0, 4)):
        _tree(place, rng.uniform(-14, 14), back - 2.4, rng.uniform(3, 7))
    side = rng.choice([-1, 1]) * rng.uniform(7, 14)
    if rng.random() < 0.5:
        place.box(side, 0, 12, (8, rng.uniform(8, 20), 60), "facade", "brick_wall")


def park(place: Place) -> None:
    rng = place.rng
    _outdoors(place, "grass", "grass", "gravel")
    place.box(
        rng.normal(0, 3), -0.02, 40, (rng.uniform(1.2, 3.0), 0.04, 120), "gravel", "asphalt", turn=rng.normal(0, 0.9)
    )
    for _ in range(rng.integers(6, 14)):
        z = place.reach + rng.uniform(1.5, 40)
        _tree(place, rng.normal(0, 0.5) * (z + 5), z, rng.uniform(3.5, 11))
    far = place.reach + rng.uniform(35, 70)
    for x in np.arange(-90, 90, 7.5):
        size = (rng.uniform(9, 14), rng.uniform(6, 15), 8.0)
        place.box(
            x + rng.normal(0, 2),
            -1,
            far + rng.normal(0, 4),
            size,
            "leaves",
            tint=np.full(3, rng.uniform(0.5, 0.9)),
            kind=BALL,
        )
    if rng.random() < 0.5:
        z = place.reach + rng.uniform(1, 6)
        x = rng.uniform(-4, 4)
        place.box(x, 0.42, z, (1.7, 0.05, 0.45), "wood")
        place.box(x, 0.6, z + 0.22, (1.7, 0.3, 0.04), "wood")
    if rng.random() < 0.3:
        _buildings(place, far - 8)


def garden(place: Place) -> None:
    rng = place.rng
    _outdoors(place, "grass", "paving", "gravel")
    back = place.reach + rng.uniform(1.5, 6)
    place.box(0, 0, back, (60, rng.uniform(1.2, 2.4), 0.6), "hedge", "panels", "brick_wall")
    place.box(rng.choice([-1, 1]) * rng.uniform(3, 8), 0, back / 2, (0.5, rng.uniform(1.2, 2.2), 40), "hedge", "panels")
    if rng.random() < 0.6:
        place.box(
            rng.uniform(-8, 8),
            0,
            back + 6,
            (rng.uniform(7, 14), rng.uniform(4, 8), 8),
            "brick_wall",
            "plaster",
            "facade",
        )
    for _ in range(rng.integers(1, 6)):
        _tree(place, rng.uniform(-10, 10), back + rng.uniform(1, 8), rng.uniform(3, 7))
    for _ in range(rng.integers(2, 9)):
        size = rng.uniform(0.4, 1.3, 3)
        place.box(rng.uniform(-6, 6), -0.1, back - rng.uniform(0.3, 1.0), tuple(size), "leaves", kind=BALL)


def square(place: Place) -> None:
    rng = place.rng
    _outdoors(place, "paving", "concrete")
    back = place.reach + rng.uniform(8, 30)
    _buildings(place, back)
    for _ in range(rng.integers(2, 7)):
        _tree(place, rng.uniform(-15, 15), place.reach + rng.uniform(2, back - place.reach), rng.uniform(3, 6))
    for _ in range(rng.integers(1, 5)):
        place.box(
            rng.uniform(-8, 8),
            0,
            place.reach + rng.uniform(1, 8),
            tuple(rng.uniform((0.4, 0.4, 0.4), (2.0, 1.0, 0.8))),
            "concrete",
            "wood",
        )


def beach(place: Place) -> None:
    rng = place.rng
    _outdoors(place, "sand")
    shore = place.reach + rng.uniform(4, 20)
    place.box(
        0,
        -0.05,
        shore + 190,
        (380, 0.08, 380),
        "plain",
        tint=np.array([0.05, 0.16, 0.22]) * rng.uniform(0.7, 2.0),
        turn=rng.normal(0, 0.1),
    )
    for _ in range(rng.integers(0, 6)):
        place.box(
            rng.uniform(-40, 40),
            -3,
            shore + rng.uniform(60, 250),
            tuple(rng.uniform((20, 6, 10), (90, 24, 40))),
            "hedge",
            kind=BALL,
        )
    for _ in range(rng.integers(0, 5)):
        place.box(
            rng.uniform(-8, 8),
            0,
            place.reach + rng.uniform(1, 6),
            (rng.uniform(0.5, 1.9), 0.05, 0.7),
            "textile",
            tint=place.tint(),
            turn=rng.uniform(0, 3),
        )


def court(place: Place) -> None:
    rng = place.rng
    _outdoors(place, "court", "court", "asphalt")
    back = place.reach + rng.uniform(3, 12)
    for x in np.arange(-18, 18, 3.0):
        place.box(x, 0, back, (0.06, 3.2, 0.06), "metal", tint=np.full(3, 0.15))
    for y in (1.0, 2.0, 3.15):
        place.box(0, y, back, (40, 0.05, 0.05), "metal", tint=np.full(3, 0.15))
    for _ in range(rng.integers(3, 8)):
        _tree(place, rng.uniform(-25, 25), back + rng.uniform(3, 20), rng.uniform(4, 10))
    if rng.random() < 0.6:
        _buildings(place, back + rng.uniform(12, 25))
