"""How are shirts, trousers and skirts cut out of a body? Shells grown from its T-pose, and skirts around the legs.

A cut is a number per body vertex, positive where the cloth lies: triangles are divided where it passes zero, so that
hems are straight. The piece is grown outwards, more towards loose ends, and smoothed without sinking into the body;
its hems get thickness. Texture: one metre by one metre, see `patterns`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from scipy import sparse
from scipy.spatial import KDTree

from monocap.bodies import BodyModel
from monocap.synth.garments_fit import Kit, neighbour_mean
from monocap.types import Array

DRAPE = {"tight": 0.0, "regular": 0.6, "loose": 1.0}  # how far cloth hangs from chest and seat instead of following
HEM = 0.014  # metres that a hem goes back inside
FITS = {
    "tight": (0.004, 0.002, 4),
    "regular": (0.009, 0.012, 24),
    "loose": (0.014, 0.03, 60),
}  # base, at ends, smoothing


@dataclass(frozen=True, eq=False)
class Piece:
    """A garment at rest: ``points`` (G,3) m; ``faces`` (T,3); ``uv`` (U,2), ``uv_faces`` (T,3)."""

    points: Array
    faces: Array
    uv: Array
    uv_faces: Array


class Tailor:
    """Cuts for one body in its mean shape; lengths are shares of limbs, so that they mean the same on every body."""

    def __init__(self, body: BodyModel, kit: Kit) -> None:
        self.kit = kit
        self.at = {name: body.J_template[i] for i, name in enumerate(body.joint_names)}
        rest = kit.rest.astype(float)
        self.x, self.y, self.z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
        skin = np.zeros(len(rest), bool)
        skin[kit.skin] = True
        self.skin = skin
        self.crotch = float(rest[(self.x < 0.008) & skin & (self.y < self.at["left_hip"][1] + 0.05), 1].min())
        self.waist = float(self.at["left_hip"][1] + 0.13)
        self.arm = self.x > self.at["left_shoulder"][0] + 0.035
        self.hand = self.x > 0.3

    def _between(self, first: str, second: str, share: float, axis: int) -> float:
        a, b = abs(self.at[first][axis]), abs(self.at[second][axis])
        return a + share * (b - a)

    @cached_property
    def neighbours(self) -> Any:
        """(V,V) sparse: smooths values on the body."""
        return neighbour_mean(self.kit.faces, len(self.kit.rest))

    def sleeve_end(self, share: float) -> float:
        """|x| of a sleeve's end: 0 at the shoulder, 1 at the elbow, 2 at the wrist; below 0 there is none."""
        if share <= 1:
            return self._between("left_shoulder", "left_elbow", share, 0)
        return self._between("left_elbow", "left_wrist", share - 1, 0)

    def leg_end(self, share: float) -> float:
        """y of a trouser leg's end: 0 at the crotch, 1 at the knee, 2 at the ankle."""
        knee, ankle = self.at["left_knee"][1], self.at["left_ankle"][1]
        return self.crotch + share * (knee - self.crotch) if share <= 1 else knee + (share - 1) * (ankle - knee)

    def top(self, sleeve: float, hem: float, neck: float, fit: str) -> Piece:
        """Shirt, jumper or vest: ``sleeve`` as of `sleeve_end`; ``hem`` 0 at the waist, 1 at the crotch; ``neck`` m
        around the base of the neck (0.03 a turtleneck, 0.1 a T-shirt, 0.14 wide)."""
        low = self.waist + hem * (self.crotch + 0.012 - self.waist)
        end = self.sleeve_end(sleeve)
        nape = self.at["neck"]
        around = np.sqrt(self.x**2 + ((self.y - nape[1] - 0.03) * 1.15) ** 2 + ((self.z - nape[2] - 0.03) * 0.75) ** 2)
        chin = 1.5 * np.clip(self.z - 0.095, 0, 1)
        high = nape[1] + (0.055 if neck < 0.06 else 0.04) - self.y - chin
        if neck >= 0.06:
            high = np.minimum(high, around - neck)
        lower = np.where(self.hand, 1.0, self.y - low)
        field = np.minimum.reduce([lower, end - self.x, np.where(self.arm, 1.0, high)])
        base, loose, smooth = FITS[fit]
        sleeves = np.clip((self.x - 0.2) / max(end - 0.2, 0.05), 0, 1) ** 1.5
        trunk = np.clip((0.12 - self.y) / (0.12 - low), 0, 1) ** 1.5
        extra = np.where(self.arm, 0.7 * sleeves if sleeve > 0.1 else 0.0, trunk)
        if sleeve > 1.7 and fit != "tight":  # cuffs
            extra = extra * np.clip((end - self.x) / 0.05, 0.15, 1)
        return self.shell(field, base + loose * extra, smooth, drape=DRAPE[fit])

    def trousers(self, length: float, fit: str, *, rise: float = 0.0) -> Piece:
        """Trousers, shorts, leggings or trunks: ``length`` as of `leg_end`; ``rise`` m above the hips' usual line."""
        low, high = self.leg_end(length), self.waist + 0.01 + rise
        field = np.where(self.hand, -1.0, np.minimum(high - self.y, self.y - low))
        base, loose, smooth = FITS[fit]
        down = np.clip((self.crotch - self.y) / max(self.crotch - low, 0.05), 0, 1)
        return self.shell(field, base + 0.8 * loose * down, min(smooth, 30))

    def briefs(self, top: bool) -> Piece:
        """Swimming trunks, or with ``top`` a swimsuit."""
        leg = self.y - (self.crotch + 0.01 + 0.75 * np.clip(self.x - 0.02, 0, 0.12))
        nape = self.at["neck"]
        around = np.hypot(np.hypot(self.x, (self.y - nape[1] - 0.03) * 1.1), (self.z - nape[2]) * 0.6)
        over = np.minimum(around - 0.15, self.sleeve_end(0.0) - 0.035 - self.x) if top else self.waist - 0.02 - self.y
        return self.shell(np.where(self.hand, -1.0, np.minimum(leg, over)), np.full(len(self.x), 0.003), 3)

    def socks(self, height: float) -> Piece:
        """Both socks, up to ``height`` of the shin (0 the ankle, 1 the knee)."""
        knee, ankle = self.at["left_knee"][1], self.at["left_ankle"][1]
        high = ankle + height * (knee - ankle) + 0.03
        return self.shell(high - self.y, np.full(len(self.x), 0.003), 2)

    def gloves(self) -> Piece:
        return self.shell(self.x - self.at["left_wrist"][0] + 0.03, np.full(len(self.x), 0.003), 2)

    def cap(self) -> Piece:
        """The crown of a cap, as hair of no style would lie."""
        eye = self.at["left_eye"]
        field = self.y - (eye[1] + 0.038 + 0.25 * np.clip(self.z - 0.06, -0.2, 0.2))
        return self.shell(np.where(self.hand, -1.0, field), np.full(len(self.x), 0.017), 30)

    def skirt(self, length: float, flare: float, rng_number: int, *, high: float = 0.02, slack: float = 0.012) -> Piece:
        """Around both legs from the waist (``high`` m above the hips' line) to `leg_end` ``length``; ``flare``: metres
        of radius gained on each metre down; ``rng_number`` chooses the folds."""
        rng = np.random.default_rng([11, rng_number])
        top, low = self.waist + high, self.leg_end(length)
        around, rows = 72, max(8, round((top - low) / 0.028))
        angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
        ways = np.stack([np.sin(angle), np.cos(angle)], axis=1)  # x, z: from the front to the left
        usable = self.skin & ~self.hand
        flat = self.kit.rest[:, [0, 2]].astype(float)
        centre = np.array([0.0, float(np.median(flat[usable & (np.abs(self.y - self.waist) < 0.03), 1]))])
        folds = sum(rng.normal(0, 1.0 / k**0.5) * np.sin(k * angle + rng.uniform(0, 6.3)) for k in (3, 4, 5, 7, 9, 12))
        heights, radius, points = np.linspace(top, low, rows), None, []
        for y in heights:
            band = flat[usable & (np.abs(self.y - y) < 0.022)] - centre
            reach = (band @ ways.T).max(axis=0) + slack
            down = (top - y) / (top - low)
            if radius is not None:
                reach = np.maximum(reach, radius + max(flare, -0.15) * (heights[0] - heights[1]))
            radius = reach
            wavy = radius + 0.018 * (0.3 + 4 * max(flare, 0)) * down**1.5 * folds * min(1.0, 0.2 + 3 * max(flare, 0))
            wavy = np.maximum(wavy, (band @ ways.T).max(axis=0) + 0.004)
            ring = centre + wavy[:, None] * ways
            points.append(np.stack([ring[:, 0], np.full(around, y), ring[:, 1]], axis=1))
        grid = np.arange(rows * around).reshape(rows, around)
        right = np.roll(grid, -1, axis=1)
        faces = _grid_faces(grid[:-1], right[:-1], grid[1:], right[1:])
        u = np.linspace(0, 1, around + 1) + 0.5
        uv = np.stack(np.broadcast_arrays(u[None], (heights + 1.0)[:, None]), axis=-1).reshape(-1, 2)
        wide = np.arange(rows * (around + 1)).reshape(rows, around + 1)
        uv_faces = _grid_faces(wide[:-1, :-1], wide[:-1, 1:], wide[1:, :-1], wide[1:, 1:])
        return Piece(np.concatenate(points), faces, uv, uv_faces)

    def shell(self, field: Array, grow: Array, smooth: int, drape: float = 0.0) -> Piece:
        """What lies where ``field`` (V,) is positive, ``grow`` (V,) m outside the skin, smoothed ``smooth`` times;
        ``drape`` 0–1: how far it bridges the hollows of the trunk."""
        kit = self.kit
        field = np.where(self.skin, field, -1.0)
        ends, share, faces = divide(kit.faces, field)

        def mean(values: Array) -> Array:
            s = share.astype(float)
            return np.einsum("gk,gk...->g...", s, np.asarray(values, float)[ends])

        skin, normal, grow = mean(kit.rest), mean(kit.normals), mean(grow)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        points = skin + grow[:, None] * normal
        step, border, loops = _steps(faces, len(points))
        for k in range(smooth):
            points = step @ points
            inside = ((points - skin) * normal).sum(axis=1)
            need = 0.75 * grow if k < smooth - 1 else 0.9 * grow
            points += np.maximum(need - inside, 0)[:, None] * normal
        if drape:
            points = self._draped(points, drape)
            for _ in range(4):
                points = step @ points
        points, faces = _hemmed(points, faces, skin, normal, border, loops)
        uv, uv_faces = self._texture(points, faces)
        return Piece(points, faces, uv, uv_faces)

    def _draped(self, points: Array, share: Array | float) -> Array:
        """Cloth of the trunk moved out to where it hangs: round the widest of each height, straight down from the
        chest; arms stay as they are."""
        middle = np.array([0.0, 0.02])
        trunk = np.abs(points[:, 0]) < self.at["left_shoulder"][0] + 0.02
        chest = self.at["spine3"][1] + 0.03
        low = points[trunk, 1].min() - 1e-6
        rows, around = 24, 72
        flat = points[:, [0, 2]] - middle
        angle = np.arctan2(flat[:, 0], flat[:, 1])
        ways = np.linspace(-np.pi, np.pi, around, endpoint=False)
        compass = np.stack([np.sin(ways), np.cos(ways)])
        step = (chest - low) / rows
        reach = np.zeros((rows, around))
        for row in range(rows):
            y = chest - (row + 0.5) * step
            near = trunk & (np.abs(points[:, 1] - y) < 0.75 * step + 0.006)
            if near.any():
                reach[row] = (flat[near] @ compass).max(axis=0)
            if row:
                reach[row] = np.maximum(reach[row], reach[row - 1] - 0.35 * step)
        place = np.clip((chest - points[:, 1]) / step - 0.5, 0, rows - 1.001)
        first, part = place.astype(int), place % 1
        turn = (angle + np.pi) / (2 * np.pi) * around
        a, b, t = turn.astype(int) % around, (turn.astype(int) + 1) % around, turn % 1
        wide = (1 - part) * ((1 - t) * reach[first, a] + t * reach[first, b])
        wide += part * ((1 - t) * reach[first + 1, a] + t * reach[first + 1, b])
        own = np.linalg.norm(flat, axis=1)
        fade = share * np.clip((chest - points[:, 1]) / 0.1, 0, 1) * trunk
        gain = 1 + fade * np.clip(0.985 * wide / np.maximum(own, 1e-6) - 1, 0, 0.6)
        out = points.copy()
        out[:, [0, 2]] = middle + flat * gain[:, None]
        return out

    def _texture(self, points: Array, faces: Array) -> tuple[Array, Array]:
        """A corner's own uv: round the trunk once (the middle of the front at 0.5), sleeves and legs on their share."""
        corner = points[faces]
        middle = corner.mean(axis=1)
        shoulder = self.at["left_shoulder"]
        arm = np.abs(middle[:, 0]) > shoulder[0] + 0.01
        leg = ~arm & (middle[:, 1] < self.crotch)
        x, y, z = corner[..., 0], corner[..., 1], corner[..., 2]
        side = np.sign(middle[:, :1])
        trunk = np.arctan2(x, z - 0.01) / (2 * np.pi) + 0.5
        about_arm = np.arctan2(z - shoulder[2], y - shoulder[1]) / (2 * np.pi)
        knee = self.at["left_knee"]
        about_leg = np.arctan2(x - side * knee[0], z - knee[2]) / (2 * np.pi)
        turn = np.where(arm[:, None], about_arm, np.where(leg[:, None], about_leg, trunk))
        turn = turn - np.round(turn - turn[:, :1])  # across the seam
        u = np.where(arm[:, None], 0.8 + 0.4 * turn, np.where(leg[:, None], 0.25 + 0.25 * side + 0.5 * turn, turn))
        v = np.where(arm[:, None], 0.9 - np.abs(x), y + 0.55)
        return np.stack([u, v], axis=-1).reshape(-1, 2), np.arange(3 * len(faces)).reshape(-1, 3)


def _grid_faces(a: Array, b: Array, c: Array, d: Array) -> Array:
    """Triangles of quads a b over c d, seen from outside: b lies to the left of the person, to the right in sight."""
    return np.stack([np.stack([a, c, d], -1), np.stack([a, d, b], -1)], axis=2).reshape(-1, 3)


def divide(faces: Array, field: Array) -> tuple[Array, Array, Array]:
    """Cut triangles where ``field`` (V,) passes zero, keeping what is positive.

    Returns ``ends`` (N,2) vertices and ``share`` (N,2) that each new vertex is the mean of, and ``faces`` (T,3).
    """
    field = np.where(np.abs(field) < 1e-9, 1e-9, field)
    inside = field > 0
    count = inside[faces].sum(axis=1)
    whole = faces[count == 3]
    pairs, triangles = [], []

    def crossing(a: Array, b: Array) -> int:
        pairs.append(np.stack([a, b], axis=1))
        return len(pairs) - 1

    for kept in (1, 2):
        rows = faces[count == kept]
        odd = np.argmax(inside[rows] == (kept == 1), axis=1)
        a, b, c = (np.take_along_axis(rows, ((odd + k) % 3)[:, None], axis=1)[:, 0] for k in range(3))
        ab, ca = crossing(a, b), crossing(c, a)
        if kept == 1:
            triangles.append([(None, a), (ab, None), (ca, None)])
        else:
            triangles += [[(ab, None), (None, b), (None, c)], [(ab, None), (None, c), (ca, None)]]
    edges = np.concatenate(pairs) if pairs else np.zeros((0, 2), int)
    ordered = np.sort(edges, axis=1)
    unique, own = np.unique(ordered, axis=0, return_inverse=True)
    own = own.reshape(-1)
    starts = np.cumsum([0] + [len(p) for p in pairs])
    size = len(field)

    def number(corner: tuple[int | None, Array | None]) -> Array:
        edge, vertex = corner
        if vertex is not None:
            return vertex
        assert edge is not None
        return size + own[starts[edge] : starts[edge + 1]]

    out = [whole] + [np.stack([number(c) for c in triangle], axis=1) for triangle in triangles]
    cut = np.concatenate(out)
    used, cut = np.unique(cut, return_inverse=True)
    both = np.concatenate([np.repeat(np.arange(size)[:, None], 2, axis=1), unique])
    fa, fb = field[unique[:, 0]], field[unique[:, 1]]
    t = fa / (fa - fb) if len(unique) else np.zeros(0)
    share = np.concatenate([np.tile([1.0, 0.0], (size, 1)), np.stack([1 - t, t], axis=1)])
    return both[used], share[used], cut.reshape(-1, 3)


def borders(faces: Array) -> Array:
    """(E,2) edges of one triangle only, in its direction."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, own, count = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
    return edges[count[own.reshape(-1)] == 1]


def _steps(faces: Array, count: int) -> tuple[Any, Array, Array]:
    """A smoothing step in which a border only slides along itself; (G,) which vertices are border; border edges."""
    loops = borders(faces)
    border = np.zeros(count, bool)
    border[loops] = True
    inner = neighbour_mean(faces, count).tocsr()
    along = neighbour_mean(np.stack([loops[:, 0], loops[:, 1], loops[:, 0]], axis=1), count).tocsr()
    keep = np.where(border, 0.0, 1.0)

    return sparse.diags(keep) @ inner + sparse.diags(1 - keep) @ along, border, loops


def _hemmed(
    points: Array, faces: Array, skin: Array, normal: Array, border: Array, loops: Array
) -> tuple[Array, Array]:
    """Hems turned inwards: a strip from each border towards the skin and back below the cloth, with an edge of its own
    so that it is shaded apart from the cloth."""
    ids = np.flatnonzero(border)
    front = np.full(len(points), -1)
    front[ids] = len(points) + np.arange(len(ids))
    towards = neighbour_mean(faces, len(points)) @ points - points
    along = neighbour_mean(np.stack([loops[:, 0], loops[:, 1], loops[:, 0]], axis=1), len(points))
    for _ in range(3):  # the way from the border into the cloth, smoothed along the hem
        towards = along @ towards
    towards = towards[ids]
    towards -= (towards * normal[ids]).sum(axis=1, keepdims=True) * normal[ids]
    towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-9)
    room = ((points[ids] - skin[ids]) * normal[ids]).sum(axis=1, keepdims=True)
    inner = points[ids] + HEM * towards - np.minimum(0.6 * room, 0.006) * normal[ids]
    a, b = front[loops[:, 0]], front[loops[:, 1]]
    back_a, back_b = a + len(ids), b + len(ids)
    strip = np.concatenate([np.stack([a, back_a, back_b], axis=1), np.stack([a, back_b, b], axis=1)])
    return np.concatenate([points, points[ids], inner]), np.concatenate([faces, strip])


@njit(cache=True)
def _covered(skin: Array, normals: Array, near: Array, cloth: Array, distance: Array, margin: float) -> Array:
    out = np.zeros(len(skin), np.bool_)
    for i in range(len(skin)):
        for k in range(near.shape[1]):
            g = near[i, k]
            along, square = 0.0, 0.0
            for c in range(3):
                d = cloth[g, c] - skin[i, c]
                along += d * normals[i, c]
                square += d * d
            aside = square - along * along
            reach = max(margin, 1.5 * along)
            if -0.012 < along < 0.075 and aside < max(0.015, 0.6 * along) ** 2 and distance[i] > reach:
                out[i] = True
                break
    return out


def covered(kit: Kit, piece: Piece, margin: float = 0.028) -> Array:
    """(V,) body vertices so far under a garment that nobody sees them: a margin from every hem, wider where loose."""

    edge = np.unique(borders(piece.faces))
    near = np.asarray(KDTree(piece.points).query(kit.rest, k=6)[1])
    distance = np.full(len(kit.rest), np.inf)
    if len(edge):
        distance, _ = KDTree(piece.points[edge]).query(kit.rest)
    return _covered(kit.rest, kit.normals, near, piece.points.astype(np.float32), distance, margin)
