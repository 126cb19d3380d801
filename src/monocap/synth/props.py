"""What stands before and beside people: furniture, boxes, poles, plants, balls: they hide parts of them.

Things stand on the floor of the scene; some between camera and people, where they cover legs or a side, others near by.
Kinds for the split "test" are others than those for "train".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from monocap.render.scene import Surface
from monocap.synth import backgrounds_tiles as tiles
from monocap.synth.hair import ball
from monocap.types import Array

_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (0, 2) for z in (-1, 1)], float) / 2
_QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


@dataclass(frozen=True, eq=False)
class Extent:
    """Where people are: ``people`` (P,2,3) the lowest and highest corner of each one's box in the camera frame, metres;
    ``up`` (3,) there; ``floor_height`` m of the floor below the camera, None without one."""

    people: Array
    up: Array
    floor_height: float | None = None


@dataclass
class _Build:
    """A thing as it is put together, on the floor, y up."""

    points: list[Array]
    faces: list[Array]
    uv: list[Array]
    count: int = 0

    def add(self, points: Array, faces: Array, uv: Array) -> None:
        self.points.append(points)
        self.faces.append(faces + self.count)
        self.uv.append(uv)
        self.count += len(points)

    def box(self, at: tuple[float, float, float], size: tuple[float, float, float]) -> None:
        """``at``: the middle of its foot."""
        corners = (_CORNERS * size + np.array(at))[_QUADS]
        flat = corners.reshape(-1, 3)
        across = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)
        along = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1)
        uv = np.zeros((6, 4, 2))
        uv[:, 1:3, 0], uv[:, 2:, 1] = across[:, None], along[:, None]
        start = 4 * np.arange(6)[:, None]
        self.add(flat, np.concatenate([start + np.array([0, 1, 2]), start + np.array([0, 2, 3])]), uv.reshape(-1, 2))

    def ball(self, at: tuple[float, float, float], radius: tuple[float, float, float], rows: int = 9) -> None:
        points, faces, uv = ball(radius, 2 * rows, rows)
        self.add(points + np.array(at), faces, uv * [2 * np.pi * radius[0], np.pi * radius[1]])

    def post(self, at: tuple[float, float, float], radius: float, tall: float, top: float | None = None) -> None:
        """A round post; ``top`` another radius at its top."""
        turn = np.linspace(0, 2 * np.pi, 15)
        ring = np.stack([np.sin(turn), 0 * turn, np.cos(turn)], axis=1)
        radii, heights = (radius, radius if top is None else top, 1e-4), (0.0, tall, tall)
        points = np.concatenate([r * ring + [0, h, 0] for r, h in zip(radii, heights, strict=True)])
        grid = np.arange(45).reshape(3, 15)
        a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]
        faces = np.stack([np.stack([a, b, d], -1), np.stack([a, d, c], -1)], axis=2).reshape(-1, 3)
        uv = np.stack([np.tile(turn * radius, 3), np.repeat(heights, 15)], axis=1)
        self.add(points + np.array(at), faces, uv)


def _table(rng: np.random.Generator, build: _Build) -> str:
    wide, deep, high = rng.uniform(0.7, 1.6), rng.uniform(0.5, 0.9), rng.uniform(0.45, 0.95)
    build.box((0, high - 0.04, 0), (wide, 0.04, deep))
    for x in (-1, 1):
        for z in (-1, 1):
            build.box((x * (wide / 2 - 0.05), 0, z * (deep / 2 - 0.05)), (0.05, high - 0.04, 0.05))
    return "wood"


def _chair(rng: np.random.Generator, build: _Build) -> str:
    seat, back = rng.uniform(0.42, 0.5), rng.uniform(0.35, 0.6)
    build.box((0, seat - 0.04, 0), (0.44, 0.05, 0.44))
    for x in (-0.19, 0.19):
        for z in (-0.19, 0.19):
            build.box((x, 0, z), (0.035, seat - 0.04, 0.035))
    if rng.random() < 0.5:
        build.box((0, seat, 0.2), (0.42, back, 0.03))
    else:
        for x in (-0.19, -0.06, 0.06, 0.19):
            build.box((x, seat, 0.2), (0.03, back, 0.03))
        build.box((0, seat + back, 0.2), (0.43, 0.07, 0.035))
    return "wood"


def _crate(rng: np.random.Generator, build: _Build) -> str:
    foot = 0.0
    for _ in range(rng.integers(1, 3)):
        size = tuple(rng.uniform((0.3, 0.2, 0.3), (0.7, 0.45, 0.6)))
        build.box((rng.normal(0, 0.05), foot, rng.normal(0, 0.05)), size)
        foot += size[1]
    return str(rng.choice(["wood", "plain", "textile"]))


def _sofa(rng: np.random.Generator, build: _Build) -> str:
    wide = rng.uniform(0.9, 2.0)
    build.box((0, 0, 0), (wide, 0.42, 0.8))
    build.box((0, 0.4, 0.32), (wide, 0.42, 0.18))
    for x in (-1, 1):
        build.box((x * (wide / 2 - 0.08), 0, 0), (0.16, 0.6, 0.8))
    return "textile"


def _plant(rng: np.random.Generator, build: _Build) -> str:
    """Blades that rise from a pot and bend over, or leaves around a stem."""
    tall, stem = rng.uniform(0.35, 1.0), rng.uniform(0.0, 0.7)
    build.post((0, 0, 0), 0.1, 0.28, 0.15)
    if stem > 0.2:
        build.post((0, 0, 0), 0.018, 0.28 + stem)
    wide = rng.uniform(0.015, 0.06)
    along = np.linspace(0, 1, 6)
    for _ in range(rng.integers(18, 50)):
        turn, lean = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 1.2)
        long = tall * rng.uniform(0.5, 1.1)
        foot = 0.28 + (stem * rng.random() ** 0.5 if stem > 0.2 else 0.0)
        out = long * lean * 0.7 * along
        rise = foot + long * (along - 0.55 * lean * along**2)
        half = wide * np.sin(np.pi * (0.06 + 0.94 * along)) ** 0.7
        middle = np.stack([out * np.sin(turn), np.maximum(rise, 0.02), out * np.cos(turn)], axis=1)
        side = half[:, None] * np.array([np.cos(turn), 0.0, -np.sin(turn)])
        points = np.concatenate([middle - side, middle + side])
        k = np.arange(5)
        faces = np.concatenate([np.stack([k, k + 6, k + 7], 1), np.stack([k, k + 7, k + 1], 1)])
        uv = np.concatenate([np.stack([0.2 + 0 * along, 0.3 * along], 1), np.stack([0.2 + 2 * half, 0.3 * along], 1)])
        build.add(points, faces, uv + rng.uniform(0, 1, 2))
    return "leaves"


def _ball(rng: np.random.Generator, build: _Build) -> str:
    radius = float(rng.choice([0.11, 0.12, 0.3, 0.35]))
    build.ball((0, radius, 0), (radius, radius, radius), 12)
    return "plain"


def _pole(rng: np.random.Generator, build: _Build) -> str:
    build.post((0, 0, 0), rng.uniform(0.02, 0.09), rng.uniform(2.2, 4.0))
    return str(rng.choice(["metal", "concrete", "bark"]))


def _shelf(rng: np.random.Generator, build: _Build) -> str:
    wide, tall = rng.uniform(0.5, 1.2), rng.uniform(0.8, 1.8)
    build.box((0, 0, 0.14), (wide, tall, 0.02))
    for x in (-1, 1):
        build.box((x * wide / 2, 0, 0), (0.03, tall, 0.3))
    for level in np.arange(0.05, tall, 0.38):
        build.box((0, level, 0), (wide, 0.03, 0.3))
    return "wood"


def _bench(rng: np.random.Generator, build: _Build) -> str:
    wide = rng.uniform(1.0, 1.8)
    for z in (-0.15, 0.0, 0.15):
        build.box((0, 0.42, z), (wide, 0.04, 0.11))
    for x in (-1, 1):
        build.box((x * (wide / 2 - 0.15), 0, 0), (0.07, 0.42, 0.38))
    return str(rng.choice(["wood", "metal"]))


def _bin(rng: np.random.Generator, build: _Build) -> str:
    build.post((0, 0, 0), rng.uniform(0.15, 0.28), rng.uniform(0.4, 0.9), rng.uniform(0.2, 0.32))
    return str(rng.choice(["metal", "plain"]))


def _fence(rng: np.random.Generator, build: _Build) -> str:
    wide, tall = rng.uniform(1.5, 3.0), rng.uniform(0.6, 1.1)
    for x in np.arange(-wide / 2, wide / 2 + 0.01, 0.14):
        build.box((float(x), 0, 0), (0.035, tall, 0.02))
    for level in (0.15, tall - 0.12):
        build.box((0, level, 0.02), (wide, 0.05, 0.02))
    return str(rng.choice(["wood", "metal"]))


_KINDS: dict[str, dict[str, tuple[Callable[[np.random.Generator, _Build], str], float]]] = {
    "train": {"table": (_table, 3), "chair": (_chair, 4), "crate": (_crate, 3), "sofa": (_sofa, 1),
              "plant": (_plant, 2),
              "ball": (_ball, 2), "pole": (_pole, 1.5)},
    "test": {"shelf": (_shelf, 1), "bench": (_bench, 3), "bin": (_bin, 2), "fence": (_fence, 2), "plant": (_plant, 1)},
}  # fmt: skip


def props(rng: np.random.Generator, extent: Extent, split: str = "train", most: int = 3) -> tuple[Surface, ...]:
    """Up to ``most`` things on the floor around people, at least one; none where there is no floor or nobody.

    Each is one closed or two-sided surface in the camera frame, metres, with ``person`` -1.
    """
    people = np.asarray(extent.people, float).reshape(-1, 2, 3)
    if extent.floor_height is None or not len(people):
        return ()
    up = np.asarray(extent.up, float) / np.linalg.norm(extent.up)
    names = list(_KINDS[split])
    weight = np.array([_KINDS[split][n][1] for n in names])
    out = []
    for _ in range(rng.integers(1, most + 1)):
        name = str(rng.choice(names, p=weight / weight.sum()))
        build = _Build([], [], [])
        material = _KINDS[split][name][0](rng, build)
        points = np.concatenate(build.points)
        spot = _spot(rng, people, up, float(extent.floor_height), float(np.abs(points[:, [0, 2]]).max()))
        if spot is not None:
            out.append(_placed(rng, build, points, material, spot, up, split))
    return tuple(out)


def _spot(rng: np.random.Generator, people: Array, up: Array, height: float, size: float) -> Array | None:
    """A place (3,) on the floor before or beside somebody, clear of everybody and of the camera."""
    middles = people.mean(axis=1)
    wide = 0.5 * np.linalg.norm((people[:, 1] - people[:, 0]) * [1, 0, 1], axis=1)
    for _ in range(12):
        who = int(rng.integers(len(people)))
        centre = middles[who]
        towards = -centre / np.linalg.norm(centre)  # to the camera
        aside = np.cross(up, towards)
        ahead = rng.uniform(0.25, 1.6) if rng.random() < 0.6 else rng.uniform(-1.5, 0.3)
        spot = centre + (0.55 * wide[who] + size) * np.sign(ahead) * towards * 0.8 + ahead * towards
        spot = spot + rng.normal(0, 0.5 if ahead > 0 else 1.2) * aside
        spot = spot - (spot @ up + height) * up
        flat = spot - middles
        flat -= (flat @ up)[:, None] * up
        clear = np.linalg.norm(flat, axis=1) > 0.45 * wide + 0.75 * size + 0.05
        near = float(np.linalg.norm(middles, axis=1).min())
        if clear.all() and spot[2] > max(0.6 + size, 0.62 * near):
            return spot
    return None


def _placed(
    rng: np.random.Generator, build: _Build, points: Array, material: str, spot: Array, up: Array, split: str
) -> Surface:
    """A thing turned by chance, put on its spot, with a material's picture."""
    first = np.cross(up, [0.0, 0.0, 1.0])
    first = np.array([1.0, 0.0, 0.0]) if np.linalg.norm(first) < 1e-6 else first / np.linalg.norm(first)
    turn = rng.uniform(0, 2 * np.pi)
    second = np.cross(first, up)
    x, z = np.cos(turn) * first + np.sin(turn) * second, -np.sin(turn) * first + np.cos(turn) * second
    at = points @ np.stack([x, up, z]) + spot
    number = tiles.number(material, int(rng.integers(tiles.VARIANTS)))
    texture = tiles.stack(split)[number, 0].astype(np.float32) / 255
    tint = (
        rng.uniform(0.25, 1.15) * (1 + 0.25 * rng.uniform(-1, 1, 3))
        if material not in ("leaves", "bark")
        else np.ones(3)
    )
    texture = (255 * np.clip(texture**2 * tint, 0, 1) ** (1 / 2.2)).astype(np.uint8)
    uv = np.concatenate(build.uv) / abs(tiles.SIZES[number])
    faces = np.concatenate(build.faces)
    gloss = {"metal": 0.5, "wood": 0.15, "plain": 0.25}.get(material, 0.03)
    return Surface(at.astype(np.float32), faces, uv=uv, uv_faces=faces, texture=texture, gloss=gloss, two_sided=True)
