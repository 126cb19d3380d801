"""What grows on a head: painted stubble and hair, shells of short hair, beards; and what sits on it, glasses and caps.

Long and styled hair is MakeHuman's (`garments_store`), coloured anew; here is what follows from the body alone.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit
from scipy import sparse

from monocap.bodies import BodyModel
from monocap.synth.garments_cut import Piece, Tailor
from monocap.synth.garments_store import grey, picture, recoloured
from monocap.types import Array

# sRGB of hair in middling light, and how often each is seen
COLOURS: dict[str, tuple[tuple[int, int, int], float]] = {
    "black": ((30, 26, 25), 0.34), "dark_brown": ((54, 38, 29), 0.24), "brown": ((86, 60, 42), 0.14),
    "auburn": ((98, 50, 32), 0.04), "dark_blond": ((128, 98, 64), 0.08), "blond": ((178, 146, 98), 0.06),
    "grey": ((138, 136, 134), 0.06), "white": ((204, 202, 198), 0.025), "dyed": ((150, 60, 110), 0.015),
}  # fmt: skip
DARK = ("black", "dark_brown")


def colour(rng: np.random.Generator, skin: str) -> tuple[str, Array]:
    """Name and sRGB (3,) 0–255 of a hair colour that goes with a skin."""
    names = [
        n for n in COLOURS if "caucasian" in skin or n in (*DARK, "dyed") or (n in ("grey", "white") and "old" in skin)
    ]
    weight = np.array([COLOURS[n][1] * (4.0 if "old" in skin and n in ("grey", "white") else 1.0) for n in names])
    name = str(rng.choice(names, p=weight / weight.sum()))
    return name, np.clip(np.array(COLOURS[name][0]) * rng.uniform(0.8, 1.2) * rng.normal(1, 0.04, 3), 5, 245)


def tinted(name: str, tone: Array) -> Array:
    """(H,W,4) uint8: MakeHuman's hair in another colour."""
    _, usual = grey(name)
    return recoloured(name, np.clip(np.arange(256) / max(usual, 1.0), 0.25, 2.6) ** 0.55, tone)


@cache
def _strands() -> Array:
    rng = np.random.default_rng(5)
    fine = rng.normal(size=(1, 256)).repeat(256, axis=0) + 0.5 * rng.normal(size=(16, 256)).repeat(16, axis=0)
    return (1 + 0.13 * fine).astype(np.float32)


def strands(tone: Array) -> Array:
    """(256,256,3) uint8: hair that falls along v."""
    return np.clip(_strands()[..., None] * np.asarray(tone), 0, 255).astype(np.uint8)


def at_vertices(body: BodyModel, mask: Array) -> Array:
    """(V,) 0–1: a mask (H,W) of the body's atlas at each of its vertices."""
    assert body.uv is not None
    assert body.uv_faces is not None
    corner = np.zeros(len(body.v_template), int)
    corner[body.faces.ravel()] = body.uv_faces.ravel()
    height, width = mask.shape
    u, v = body.uv[corner].T
    rows = np.clip(((1 - v) * height).astype(int), 0, height - 1)
    return mask[rows, np.clip((u * width).astype(int), 0, width - 1)] / 255.0


def shell(tailor: Tailor, body: BodyModel, mask: str, thick: float, rough: float) -> Piece:
    """Short hair or a beard: ``thick`` metres where ``mask`` says it grows, uneven by ``rough`` of that."""
    grows = at_vertices(body, picture("skins", mask))
    for _ in range(4):
        grows = tailor.neighbours @ grows
    uneven = np.random.default_rng(3).normal(size=len(grows))
    for _ in range(6):
        uneven = tailor.neighbours @ uneven
    uneven = 1 + rough * uneven / uneven[grows > 0.2].std()
    grow = thick * np.clip(uneven, 0.3, 2.0) * np.clip(1.6 * grows, 0.25, 1)
    field = grows - 0.35
    field[~_large_piece(body.faces, field > 0)] = -1.0  # specks where seams of the atlas meet other hair
    return tailor.shell(field, grow, 4 if mask == "scalp" else 2)


def _large_piece(faces: Array, chosen: Array) -> Array:
    """(V,) vertices of ``chosen`` (V,) in pieces that have at least a twentieth of the largest one's vertices."""
    inner = faces[chosen[faces].all(axis=1)]
    a, b = inner.ravel(), np.roll(inner, 1, axis=1).ravel()
    links = sparse.csr_matrix((np.ones(len(a)), (a, b)), (len(chosen), len(chosen)))
    label = sparse.csgraph.connected_components(links, directed=False)[1]
    size = np.bincount(label[chosen], minlength=label.max() + 1)
    return chosen & (size[label] >= 0.05 * size.max())


def bun(tailor: Tailor, high: bool) -> Piece:
    """A knot of hair at the crown (``high``) or at the back of the head."""
    eye = tailor.at["left_eye"]
    head = tailor.kit.rest[(tailor.x < 0.02) & (tailor.y > eye[1] - 0.02)]
    middle = np.array([0.0, eye[1] + 0.045, float(eye[2]) - 0.075])
    way = np.array([0.0, 0.75, -0.66]) if high else np.array([0.0, 0.05, -1.0])
    reach = float(((head - middle) @ way).max())
    points, faces, uv = ball((0.036, 0.034, 0.036))
    return Piece(points + middle + way * (reach + 0.018), faces, uv, faces)


def ball(radius: tuple[float, float, float], around: int = 16, rows: int = 9) -> tuple[Array, Array, Array]:
    """Vertices, outward faces and uv of an ellipsoid."""
    turn = np.linspace(0, 2 * np.pi, around + 1)
    lift = np.linspace(np.pi / 2, -np.pi / 2, rows)
    flat = np.cos(lift)[:, None]
    points = np.stack(
        [flat * np.sin(turn), np.broadcast_to(np.sin(lift)[:, None], (rows, around + 1)), flat * np.cos(turn)], -1
    )
    grid = np.arange(rows * (around + 1)).reshape(rows, around + 1)
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]
    faces = np.stack([np.stack([a, c, d], -1), np.stack([a, d, b], -1)], axis=2).reshape(-1, 3)
    uv = np.stack(np.broadcast_arrays(turn / 6.2832, (lift / np.pi + 0.5)[:, None]), -1).reshape(-1, 2)
    return points.reshape(-1, 3) * radius, faces, uv


def _tube(path: Array, radius: float, closed: bool) -> tuple[Array, Array]:
    """A thin square tube along points (N,3)."""
    ahead = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0)
    if not closed:
        ahead[0], ahead[-1] = path[1] - path[0], path[-1] - path[-2]
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    up = np.where(np.abs(ahead[:, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]])
    side = np.cross(ahead, up)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(side, ahead)
    ring = [path + radius * (a * side + b * up) for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
    points = np.stack(ring, axis=1).reshape(-1, 3)
    faces = []
    for i in range(len(path) if closed else len(path) - 1):
        j = (i + 1) % len(path)
        for k in range(4):
            m = (k + 1) % 4
            faces += [(4 * i + k, 4 * i + m, 4 * j + m), (4 * i + k, 4 * j + m, 4 * j + k)]
    return points, np.array(faces)


def glasses(tailor: Tailor, round_: bool, dark: bool) -> Piece:
    """Frames before the eyes, with arms to the ears; ``dark``: with glass that hides the eyes."""
    eye = tailor.at["left_eye"]
    z = float(eye[2]) + 0.034
    parts: list[tuple[Array, Array]] = []
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    power = 1.0 if round_ else 0.55
    shape = np.stack(
        [np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power, np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power],
        1,
    )
    for side in (1, -1):
        tall = 0.022 if round_ else 0.018
        ring = np.stack([side * (float(eye[0]) + 0.003) + 0.0245 * shape[:, 0], eye[1] - 0.004 + tall * shape[:, 1],
                         z - 0.10 * np.abs(side * 0.031 + 0.0245 * shape[:, 0]) ** 1.5 * 3], axis=1)  # fmt: skip
        parts.append(_tube(ring, 0.0015, True))
        if dark:
            fan = np.array([(24, (i + 1) % 24, i) if side else (24, i, (i + 1) % 24) for i in range(24)])
            parts.append((np.vstack([ring, ring.mean(axis=0)]), fan[:, ::-1]))
        arm = np.array(
            [
                [side * 0.0575, eye[1], z - 0.012],
                [side * 0.070, eye[1] + 0.002, z - 0.05],
                [side * 0.0765, eye[1] - 0.002, z - 0.105],
            ]
        )
        parts.append(_tube(arm, 0.0014, False))
    parts.append(
        _tube(np.array([[-0.009, eye[1], z], [0.0, eye[1] + 0.003, z + 0.001], [0.009, eye[1], z]]), 0.0014, False)
    )
    points, faces, start = [], [], 0
    for p, f in parts:
        points.append(p)
        faces.append(f + start)
        start += len(p)
    faces = np.concatenate(faces)
    return Piece(np.concatenate(points), faces, np.zeros((1, 2)), np.zeros_like(faces))


def visor(tailor: Tailor, crown: Piece) -> Piece:
    """A cap: ``crown`` and a peak above the eyes."""
    front = crown.points[crown.points[:, 2] > 0.06]
    low = float(front[:, 1].min()) + 0.004
    rows, across = 6, 15
    points = []
    for row in np.linspace(0, 1, rows):
        angle = np.linspace(-1.15, 1.15, across)
        x = (0.078 + 0.012 * row) * np.sin(angle)
        y = low + 0.014 - 0.02 * row - 0.012 * np.sin(angle) ** 2
        points.append(np.stack([x, y, 0.055 + (0.085 + 0.062 * row) * np.cos(angle)], axis=1))
    grid = np.arange(rows * across).reshape(rows, across)
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]
    peak = np.stack([np.stack([a, c, d], -1), np.stack([a, d, b], -1)], axis=2).reshape(-1, 3)
    count = len(crown.points)
    uv = np.concatenate([crown.uv, np.full((1, 2), 0.1)])
    return Piece(
        np.concatenate([crown.points, *points]), np.concatenate([crown.faces, peak + count]), uv,
        np.concatenate([crown.uv_faces, np.full_like(peak, len(crown.uv))]),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def painted(base: Array, table: Array, masks: Array, strength: Array, tones: Array, grain: Array) -> Array:
    """A skin (H,W,3) uint8 through ``table`` (256,3), then each of ``tones`` (M,3) laid on by ``masks`` (M,H,W) uint8
    times ``strength`` (M,) times ``grain`` (H,W), in one pass."""
    height, width = base.shape[:2]
    out = np.empty((height, width, 3), np.uint8)
    for y in range(height):
        for x in range(width):
            for c in range(3):
                value = table[base[y, x, c], c]
                for m in range(len(masks)):
                    if masks[m, y, x]:
                        a = min(masks[m, y, x] * strength[m] * grain[y, x] * np.float32(1 / 255), np.float32(1))
                        value += a * (tones[m, c] - value)
                out[y, x, c] = np.uint8(value)
    return out
