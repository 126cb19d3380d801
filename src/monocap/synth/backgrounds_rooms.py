"""Rooms: walls, windows and furniture around a camera; living rooms, offices, gyms, studios, corridors, kitchens."""

from __future__ import annotations

import numpy as np

from monocap.synth.backgrounds_build import Place
from monocap.synth.backgrounds_trace import BALL, Hall, Light
from monocap.types import Array


def _warm(rng: np.random.Generator, low: float = -0.1, high: float = 0.25) -> Array:
    """(3,) colour of a lamp: below 0 bluish, above 0 yellowish."""
    w = rng.uniform(low, high)
    return np.array([1 + 0.5 * w, 1.0, 1 - 0.9 * w])


def _room(
    place: Place, walls: tuple[str, ...], floors: tuple[str, ...], wide: tuple[float, float], high: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Walls around camera and people; returns left, right, back and height in the room's own axes."""
    rng = place.rng
    left, right = -rng.uniform(*wide), rng.uniform(*wide)
    back, tall = place.reach + rng.uniform(0.8, 3.0), rng.uniform(*high)
    tall = max(tall, -place.floor + 0.35)
    angle = rng.normal(0, 0.25)
    turn = np.array([np.cos(angle), np.sin(angle)])
    numbers = np.array([place.tile(*walls), place.tile(*floors), place.tile("plaster", "plain")])
    ceiling = np.full(3, rng.uniform(0.7, 0.95))
    tints = np.stack(
        [rng.uniform(0.75, 1.05, 3) * rng.uniform(0.75, 1.05), np.full(3, rng.uniform(0.6, 1.05)), ceiling]
    )
    low = np.array([left, place.floor, -rng.uniform(1.0, 4.0)])
    place.hall = Hall(low, np.array([right, place.floor + tall, back]), turn, numbers, tints, False)
    return left, right, back, tall


def _inside(place: Place, x: float, z: float) -> tuple[float, float, float]:
    """x, z and turn of a place in the room's axes, in the world's."""
    assert place.hall is not None
    c, s = place.hall.turn
    return c * x + s * z, -s * x + c * z, float(np.arctan2(s, c))


def _stand(place: Place, x: float, z: float, size: tuple[float, float, float], *names: str, foot: float = 0.0,
           tint: Array | None = None, glow: float = 0.0, aside: float = 0.0) -> None:  # fmt: skip
    wx, wz, turn = _inside(place, x, z)
    place.box(wx, foot, wz, size, *names, turn=turn + aside, tint=tint, glow=glow)


def _on_walls(place: Place, left: float, right: float, back: float, tall: float, windows: float) -> None:
    """Windows, doors, pictures, skirting boards."""
    rng = place.rng
    for wall in ("back", "left", "right"):
        long = (right - left) if wall == "back" else back
        at = rng.uniform(0.2, 1.0)
        while at < long - 0.8:
            chance, thick = rng.random(), 0.05
            if chance < windows:
                wide, high, foot, name, glow = rng.uniform(0.9, 2.0), rng.uniform(1.1, 1.6), 0.85, "window", 1.2
            elif chance < windows + 0.15:
                wide, high, foot, name, glow = 0.9, 2.05, 0.0, "door", 0.0
            elif chance < windows + 0.5:
                wide, high, foot, name, glow = (
                    rng.uniform(0.3, 1.1),
                    rng.uniform(0.3, 0.9),
                    rng.uniform(1.2, 1.5),
                    "art",
                    0.0,
                )
            else:
                wide, high, foot, name, glow = 0.6, 0.0, 0.0, "", 0.0
            high = min(high, tall - foot - 0.1)
            if name and high > 0.2:
                if wall == "back":
                    spots = [(left + at + wide / 2, back, (wide, high, thick))]
                else:
                    spots = [(left if wall == "left" else right, at + wide / 2, (thick, high, wide))]
                for x, z, size in spots:
                    _stand(place, x, z, size, name, foot=foot, glow=glow * rng.uniform(0.7, 1.3) * 0.7)
                    if name == "window" and wall == "back" and rng.random() < 0.5:
                        for end in (-1, 1):
                            _stand(
                                place,
                                x + end * 0.55 * wide,
                                back - 0.06,
                                (0.35 * wide, min(2.3, tall - 0.1), 0.06),
                                "curtain",
                            )
            at += wide + rng.uniform(0.3, 1.6)
    board = np.full(3, rng.uniform(0.1, 0.9))
    _stand(place, (left + right) / 2, back, (right - left, 0.1, 0.03), "plain", tint=board)


def _lamp_light(place: Place, left: float, right: float, back: float, tall: float, level: float) -> None:
    rng = place.rng
    colour = _warm(rng)
    level *= rng.uniform(0.85, 1.75)
    lamp = np.array([rng.uniform(left, right) * 0.6, place.floor + tall - 0.2, rng.uniform(0.3, 0.9) * back])
    day = _warm(rng, -0.25, 0.05)
    sun = np.array([rng.choice([-1, 1]) * rng.uniform(0.5, 1), rng.uniform(0.4, 0.9), rng.uniform(-0.8, 0.3)])
    place.light = Light(
        sun / np.linalg.norm(sun), np.zeros(3), level * (0.36 * colour + 0.12 * day), level * 0.26 * colour, lamp,
        level * rng.uniform(0.8, 3.0) * colour, np.zeros(4),
    )  # fmt: skip
    place.sky = np.ones((2, 2, 3), np.float32)


def _plant(place: Place, x: float, z: float) -> None:
    wx, wz, _ = _inside(place, x, z)
    place.box(wx, 0, wz, (0.3, 0.3, 0.3), "plain", tint=place.tint())
    for _ in range(3):
        at = place.rng.normal(0, 0.12, 3)
        size = place.rng.uniform(0.3, 0.6, 3)
        place.box(wx + at[0], 0.35 + abs(at[1]), wz + at[2], tuple(size), "leaves", kind=BALL)


def _shelf(place: Place, x: float, z: float, side: bool) -> None:
    size = (0.32, place.rng.uniform(1.2, 2.1), place.rng.uniform(0.8, 1.8))
    _stand(place, x, z, size if side else (size[2], size[1], size[0]), "books", "wood", "books")


def _table(place: Place, x: float, z: float, wide: float, deep: float, high: float) -> None:
    tint, aside = place.tint(), place.rng.normal(0, 0.1)
    _stand(place, x, z, (wide, 0.04, deep), "wood", "plain", foot=high - 0.04, tint=tint * 1.5, aside=aside)
    for a in (-1, 1):
        for b in (-1, 1):
            _stand(
                place,
                x + a * (wide / 2 - 0.06),
                z + b * (deep / 2 - 0.06),
                (0.05, high - 0.04, 0.05),
                "wood",
                tint=tint,
                aside=aside,
            )
    for _ in range(place.rng.integers(0, 4)):
        size = tuple(place.rng.uniform((0.05, 0.05, 0.05), (0.3, 0.35, 0.2)))
        _stand(
            place,
            x + place.rng.uniform(-0.4, 0.4) * wide,
            z + place.rng.uniform(-0.3, 0.3) * deep,
            size,
            "plain",
            "screen",
            foot=high,
            tint=place.tint(),
        )


def _sofa(place: Place, x: float, z: float, side: float) -> None:
    rng, tint = place.rng, place.tint()
    wide = rng.uniform(0.9, 2.2)

    def part(dx: float, dz: float, size: tuple[float, float, float], foot: float) -> None:
        if side:
            _stand(place, x - side * dz, z + dx, (size[2], size[1], size[0]), "textile", foot=foot, tint=tint)
        else:
            _stand(place, x + dx, z + dz, size, "textile", foot=foot, tint=tint)

    part(0, 0, (wide, 0.42, 0.8), 0.0)
    part(0, 0.32, (wide, 0.42, 0.2), 0.42)
    for end in (-1, 1):
        part(end * (wide / 2 - 0.08), 0, (0.16, 0.6, 0.8), 0.0)
    for _ in range(rng.integers(0, 3)):
        part(rng.uniform(-0.3, 0.3) * wide, 0.15, (0.4, 0.35, 0.14), 0.42)


def _furnish(place: Place, left: float, right: float, back: float, pieces: dict[str, float]) -> None:
    """Things along the walls, where people are not."""
    rng = place.rng
    names, weight = list(pieces), np.array(list(pieces.values()))
    for wall in ("back", "left", "right"):
        long = (right - left) if wall == "back" else back - 0.8
        at = rng.uniform(0.1, 0.8)
        while at < long - 0.9:
            name = str(rng.choice(names, p=weight / weight.sum()))
            gap = rng.uniform(0.9, 1.9)
            if wall == "back":
                x, z, side = left + at + gap / 2, back - 0.45, 0.0
            else:
                x, z, side = (left + 0.45, at + gap / 2, -1.0) if wall == "left" else (right - 0.45, at + gap / 2, 1.0)
            if z > 1.2 or abs(x) > 1.6:
                if name == "shelf":
                    _shelf(place, x + side * 0.25, z + (0.25 if not side else 0.0), bool(side))
                elif name == "table":
                    _table(place, x, z, *((0.7, 1.2) if side else (1.2, 0.7)), rng.uniform(0.45, 0.78))
                elif name == "sofa":
                    _sofa(place, x, z, side)
                elif name == "plant":
                    _plant(place, x, z)
                elif name == "lockers":
                    _stand(place, x + side * 0.2, z, (0.5, 1.85, gap) if side else (gap, 1.85, 0.5), "lockers")
                elif name == "screen":
                    _stand(
                        place,
                        x + side * 0.35,
                        z + (0.35 if not side else 0),
                        (0.08, 0.8, 1.3) if side else (1.3, 0.8, 0.08),
                        "screen",
                        foot=0.8,
                    )
                elif name == "machine":
                    for _ in range(4):
                        part = tuple(rng.uniform((0.08, 0.1, 0.08), (0.5, 1.4, 0.5)))
                        _stand(
                            place,
                            x + rng.normal(0, 0.25),
                            z + rng.normal(0, 0.25),
                            part,
                            "metal",
                            "plain",
                            tint=place.tint() * 0.7,
                        )
                elif name == "crate":
                    for _ in range(rng.integers(1, 4)):
                        part = tuple(rng.uniform(0.25, 0.8, 3))
                        _stand(
                            place,
                            x + rng.normal(0, 0.3),
                            z + rng.normal(0, 0.3),
                            part,
                            "wood",
                            "plain",
                            "textile",
                            tint=place.tint() * 1.3,
                            aside=rng.normal(0, 0.3),
                        )
            at += gap


def living_room(place: Place) -> None:
    left, right, back, tall = _room(
        place, ("plaster", "plaster", "wallpaper"), ("planks", "carpet", "planks"), (1.6, 3.8), (2.3, 2.9)
    )
    _on_walls(place, left, right, back, tall, 0.25)
    _furnish(place, left, right, back, {"sofa": 3, "shelf": 3, "table": 2, "plant": 1.5, "screen": 1, "crate": 0.5})
    _lamp_light(place, left, right, back, tall, 1.0)


def office(place: Place) -> None:
    left, right, back, tall = _room(
        place, ("plaster", "concrete", "panels"), ("carpet", "concrete"), (2.0, 5.0), (2.5, 3.2)
    )
    _on_walls(place, left, right, back, tall, 0.4)
    _furnish(place, left, right, back, {"table": 5, "shelf": 2, "plant": 1.5, "lockers": 1.5, "screen": 1})
    _lamp_light(place, left, right, back, tall, 1.15)


def gym(place: Place) -> None:
    left, right, back, tall = _room(
        place, ("brick_wall", "plaster", "concrete", "panels"), ("planks", "concrete", "carpet"), (3.0, 9.0), (3.0, 6.0)
    )
    _on_walls(place, left, right, back, tall, 0.15)
    _furnish(place, left, right, back, {"machine": 5, "crate": 2, "lockers": 2, "screen": 0.5})
    _lamp_light(place, left, right, back, tall, 1.1)


def studio(place: Place) -> None:
    """A plain backdrop, as photographers use."""
    rng = place.rng
    left, right, back, tall = _room(place, ("plain", "plaster"), ("plain", "concrete"), (3.0, 6.0), (2.8, 4.5))
    tone = rng.uniform(0.05, 1.0, 3) if rng.random() < 0.4 else np.full(3, rng.uniform(0.05, 1.0))
    _stand(place, 0.0, back - 0.3, (rng.uniform(2.5, 5.0), tall - 0.2, 0.02), "plain", tint=tone)
    for side in (-1, 1):
        if rng.random() < 0.5:
            _stand(place, side * rng.uniform(1.6, 2.6), place.reach, (0.04, 2.0, 0.04), "metal", tint=np.full(3, 0.1))
            _stand(place, side * rng.uniform(1.6, 2.6), place.reach, (0.7, 0.7, 0.15), "plain", foot=1.7, glow=1.5)
    _lamp_light(place, left, right, back, tall, 1.2)


def corridor(place: Place) -> None:
    place.reach += 6
    left, right, back, tall = _room(
        place,
        ("plaster", "brick_wall", "panels", "concrete"),
        ("floor_tiles", "carpet", "concrete"),
        (1.1, 2.0),
        (2.3, 3.0),
    )
    _on_walls(place, left, right, back, tall, 0.12)
    for z in np.arange(1.0, back, 2.4):
        _stand(place, 0.0, z, (0.5, 0.03, 1.0), "plain", foot=tall - 0.03, glow=1.6)
    _lamp_light(place, left, right, back, tall, 1.0)


def kitchen(place: Place) -> None:
    rng = place.rng
    left, right, back, tall = _room(
        place, ("floor_tiles", "plaster"), ("checker", "floor_tiles"), (1.6, 3.2), (2.3, 2.8)
    )
    tint, top = place.tint() * 1.4, place.tint()
    wide = right - left
    _stand(place, (left + right) / 2, back - 0.3, (wide, 0.86, 0.6), "panels", "plain", tint=tint)
    _stand(place, (left + right) / 2, back - 0.3, (wide, 0.04, 0.64), "metal", "wood", foot=0.86, tint=top)
    _stand(
        place,
        (left + right) / 2 + rng.uniform(-1, 1),
        back - 0.18,
        (wide * 0.6, 0.7, 0.36),
        "panels",
        "plain",
        foot=1.45,
        tint=tint,
    )
    _stand(place, left + 0.35, back - 0.35, (0.65, 1.85, 0.65), "metal", "plain", tint=np.full(3, rng.uniform(0.3, 1)))
    for _ in range(rng.integers(3, 8)):
        size = tuple(rng.uniform((0.06, 0.08, 0.06), (0.3, 0.35, 0.25)))
        _stand(
            place, rng.uniform(left + 0.8, right), back - 0.3, size, "metal", "plain", foot=0.9, tint=place.tint() * 1.3
        )
    _on_walls(place, left, right, back - 0.02, tall, 0.5)
    _lamp_light(place, left, right, back, tall, 1.1)


def workshop(place: Place) -> None:
    left, right, back, tall = _room(
        place, ("brick_wall", "concrete", "panels"), ("concrete", "planks"), (2.5, 6.0), (2.8, 4.5)
    )
    _on_walls(place, left, right, back, tall, 0.3)
    _furnish(place, left, right, back, {"crate": 4, "table": 3, "machine": 2, "shelf": 2})
    _lamp_light(place, left, right, back, tall, 0.9)
