"""Which weights keep the volume of bent limbs? Weights refined over deep bends, still plain linear blend skinning.

The idea is that of Kavan and Sorkine, "Elasticity-inspired deformers for character articulation" (2012): choose the
weights whose skin, over a set of poses, strains least. Here strain is as-rigid-as-possible energy of the skin (Sorkine
and Alexa 2007, with spokes about every vertex), plus the volume that the mesh loses, plus roughness of the weights and
their distance from where they were. No other bones, no pose correctives; sums stay 1, at most four joints per vertex.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, minimize

from monocap.geometry.kinematics import forward_kinematics
from monocap.geometry.rotations import axis_angle_to_matrix, project_to_so3

from .sheet import Pose, full_pose
from .weights import INFLUENCES

Array = NDArray[np.float64]
Index = NDArray[np.int64]

BODY = 22  # joints whose skin is refined: not hands, jaw, eyes
RINGS = 3  # a joint may come to move skin this many edges beyond where it did
VOLUME = 80.0  # of a pose's squared loss of volume, over the 4/3 power of the volume that moves: both grow as m²
ROUGHNESS = 0.05  # of the squared differences of weights and the mean of their neighbours'
STAYING = 2e-4  # of the squared change of weights
# The crotch lies on the pelvic bone: half on either thigh it would keep more volume, and fold when the legs are spread.
CROTCH, CROTCH_WIDTH, CROTCH_DEPTH = 1.0, 0.06, 0.15  # the same there; how wide, how far below the hips that is (m)
SUM = 1e-3
ROUNDS, STEPS = 8, 15  # local rotations are found anew so often; steps between

# Degrees, as in sheet.py: the right side mirrors the left.
POSES: tuple[Pose, ...] = (
    *({"left_elbow": (0, -a, 0)} for a in (50, 90, 130)),
    *({"left_knee": (a, 0, 0)} for a in (50, 90, 130)),
    *({"left_hip": (-a, 0, 0)} for a in (50, 85, 110)),
    {"left_hip": (25, 0, 0)},
    {"left_hip": (0, 0, 40)},
    {"left_hip": (-60, 0, 45)},
    {"left_hip": (-95, 0, 45), "spine1": (20, 0, 0)},
    {"left_hip": (-90, 0, 0), "right_hip": (15, 0, 0)},
    {"left_hip": (0, 40, 0)},
    {"left_hip": (-80, 0, 5), "spine1": (20, 0, 0), "spine2": (15, 0, 0)},
    *({"left_shoulder": (0, 0, -a), "left_collar": (0, 0, -0.08 * a)} for a in (40, 75)),
    {"left_shoulder": (0, 0, 65), "left_collar": (0, 0, 15)},
    {"left_shoulder": (0, -70, 0), "left_collar": (0, -10, 0)},
    {"left_shoulder": (0, -60, -50)},
    {"left_shoulder": (0, 40, -50)},
    {"left_shoulder": (50, 0, -40)},
    {"left_shoulder": (-50, 0, -60)},
    {"left_elbow": (60, 0, 0), "left_wrist": (60, 0, 0)},
    {"left_elbow": (-60, 0, 0), "left_wrist": (-60, 0, 0)},
    {"left_elbow": (50, -90, 0)},
    {"left_wrist": (0, 0, 60)},
    {"left_wrist": (0, 0, -60)},
    {"left_ankle": (40, 0, 0)},
    {"left_ankle": (-30, 0, 0)},
    {"neck": (30, 0, 0), "head": (20, 0, 0)},
    {"neck": (-25, 0, 0), "head": (-20, 0, 0)},
    {"neck": (0, 35, 0), "head": (0, 30, 0)},
    {"spine1": (25, 0, 0), "spine2": (20, 0, 0), "spine3": (15, 0, 0)},
    {"spine1": (0, 20, 0), "spine2": (0, 20, 0), "spine3": (0, 15, 0)},
    {"spine1": (0, 0, 20), "spine2": (0, 0, 15), "spine3": (0, 0, 10)},
)


@dataclass(frozen=True)
class _Posed:
    """One pose, and the skin that does not move rigidly in it: only there do weights matter.

    ``world`` (22,3,3) and ``shift`` (22,3) move skin; ``ids`` (n,) vertices of the triangles ``faces`` (m,3, into ids)
    that touch such skin, and their ``rest`` (n,3); ``spokes`` (k,2, into ids) with ``stiffness`` (k,1) about the
    ``count`` strained vertices, and which of them (k,); ``wanted`` m³, the volume that these triangles had to hold for
    the whole mesh to keep its own; ``scale`` m², what a loss of it is measured with.
    """

    world: Array
    shift: Array
    ids: Index
    faces: Index
    rest: Array
    spokes: Index
    stiffness: Array
    strained: Index
    count: int
    wanted: float
    scale: float

    def skin(self, weights: Array) -> Array:
        """Posed vertices (n,3) by the weights (V,22)."""
        own = weights[self.ids]
        turned = (own @ self.world.reshape(-1, 9)).reshape(-1, 3, 3)
        return np.einsum("vab,vb->va", turned, self.rest) + own @ self.shift

    def rotations(self, weights: Array) -> Array:
        """The rotation (count,3,3) of each strained vertex that fits its spokes best."""
        x, (first, second) = self.skin(weights), self.spokes.T
        outer = (x[first] - x[second])[:, :, None] * (self.stiffness * (self.rest[first] - self.rest[second]))[:, None]
        total = [np.bincount(self.strained, part, self.count) for part in outer.reshape(-1, 9).T]
        return np.asarray(project_to_so3(np.stack(total, axis=1).reshape(-1, 3, 3)))

    def energy(self, weights: Array, turns: Array) -> tuple[float, float, Array]:
        """Strain, loss of volume (both m²), and their sum's derivative (n,22) by the weights of ``ids``."""
        x, (first, second) = self.skin(weights), self.spokes.T
        turned = np.einsum("kab,kb->ka", turns[self.strained], self.rest[first] - self.rest[second])
        off = x[first] - x[second] - turned
        pull = 2.0 * self.stiffness * off
        lost = signed_volume(x, self.faces) - self.wanted
        by_x = 2.0 * VOLUME * lost / self.scale * volume_slope(x, self.faces)
        for axis in range(3):
            by_x[:, axis] += np.bincount(first, pull[:, axis], len(x)) - np.bincount(second, pull[:, axis], len(x))
        # x_v = Σ_j w_vj (R_j p_v + t_j)
        spread = (by_x[:, :, None] * self.rest[:, None, :]).reshape(-1, 9)
        slope = spread @ self.world.reshape(-1, 9).T + by_x @ self.shift.T
        return float((self.stiffness * off**2).sum()), VOLUME * lost**2 / self.scale, slope


class Refinement:
    """Weights (V,55) of a template (V,3) with triangles (F,3), joints (55,3) and ``parents``, made to strain less."""

    def __init__(
        self, vertices: Array, faces: Index, joints: Array, parents: Index, weights: Array, mirror: Index,
        names: list[str],
    ) -> None:  # fmt: skip
        self.vertices, self.faces, self.weights, self.mirror = vertices, faces, weights, mirror
        self.twin = np.array([names.index(_other_side(n)) for n in names])
        count = len(vertices)
        self.start = weights[:, :BODY].copy()  # fingers follow the wrist here, jaw and eyes the head
        for joint in range(BODY, len(names)):
            up = int(parents[joint])
            while up >= BODY:
                up = int(parents[up])
            self.start[:, up] += weights[:, joint]
        self.edges, self.stiffness = spokes(vertices, faces)
        links = sparse.csr_array((np.ones(len(self.edges)), (self.edges[:, 0], self.edges[:, 1])), (count, count))
        near = (self.start > 0).astype(float)
        for _ in range(RINGS):
            near = near + links @ near
        free = (weights[:, BODY:].sum(1) == 0) & ((near > 0).sum(1) > 1)
        self.rows, self.columns = np.nonzero((near > 0) & free[:, None])
        hips = joints[names.index("left_hip"), 1]
        below = (vertices[:, 1] < joints[0, 1]) & (vertices[:, 1] > hips - CROTCH_DEPTH) & free
        middle = np.exp(-((vertices[:, 0] / CROTCH_WIDTH) ** 2))
        self.staying = (STAYING + CROTCH * below * middle)[:, None]
        average = sparse.diags_array(1.0 / np.maximum(links.sum(1), 1)) @ links
        self.roughness = sparse.csr_array(sparse.eye_array(count) - average)[np.flatnonzero(free)]
        self.poses = [self._prepare(pose, joints, parents, names) for pose in POSES]

    def _prepare(self, pose: Pose, joints: Array, parents: Index, names: list[str]) -> _Posed:
        local = np.asarray(axis_angle_to_matrix(full_pose(names, pose)))
        world, posed = (np.asarray(a)[:BODY] for a in forward_kinematics(local, joints, parents))
        shift = posed - np.einsum("jab,jb->ja", world, joints[:BODY])
        follows = self.start > 0
        follows[self.rows, self.columns] = True
        # Skin strains where joints that move differently may share it.
        moves = np.concatenate([world.reshape(-1, 9), shift], axis=1)
        _, kind = np.unique(moves.round(6), axis=0, return_inverse=True)
        kinds = np.where(follows, kind.reshape(-1)[None], -1)
        lowest = np.where(follows, kind.reshape(-1)[None], BODY).min(1)
        strains = kinds.max(1) > lowest
        touched = strains[self.faces].any(1)
        ids, local_faces = np.unique(self.faces[touched], return_inverse=True)
        place = np.full(len(self.vertices), -1)
        place[ids] = np.arange(len(ids))
        chosen = np.flatnonzero(strains[self.edges[:, 0]])
        _, position = np.unique(self.edges[chosen, 0], return_inverse=True)
        turned = (self.start @ world.reshape(-1, 9)).reshape(-1, 3, 3)
        rigid = np.einsum("vab,vb->va", turned, self.vertices) + self.start @ shift
        wanted = signed_volume(self.vertices, self.faces) - signed_volume(rigid, self.faces[~touched])
        size = 0.5 * signed_volume(self.vertices, self.faces) * float(strains.mean())
        return _Posed(
            world, shift, ids, local_faces.reshape(-1, 3), self.vertices[ids], place[self.edges[chosen]],
            self.stiffness[chosen, None], position, int(strains.sum()), wanted, size ** (4 / 3),
        )  # fmt: skip

    def energy(self, weights: Array, turns: list[Array]) -> tuple[float, Array, dict[str, float]]:
        """Energy, its derivative by the weights (V,22), and its parts."""
        slope = np.zeros_like(weights)
        strain = volume = 0.0
        for pose, turn in zip(self.poses, turns, strict=True):
            one, other, part = pose.energy(weights, turn)
            strain, volume = strain + one, volume + other
            slope[pose.ids] += part
        rough, change = self.roughness @ weights, weights - self.start
        slope += 2.0 * ROUGHNESS * (self.roughness.T @ rough) + 2.0 * self.staying * change
        parts = {"strain": strain, "volume": volume, "roughness": ROUGHNESS * float((rough**2).sum())}
        parts["staying"] = float((self.staying * change**2).sum())
        return sum(parts.values()), slope, parts

    def solve(self, say: Callable[[str], object] = print) -> Array:
        """The refined weights (V,55)."""
        free = self.start[self.rows, self.columns]
        for k in range(ROUNDS):
            turns = [pose.rotations(self._body(free)) for pose in self.poses]
            found = minimize(
                self._objective, free, (turns,), "L-BFGS-B", jac=True, bounds=Bounds(0.0, 1.0),
                options={"maxiter": STEPS, "maxcor": 12},
            )  # fmt: skip
            free = found.x
            parts = self.energy(self._body(free), turns)[2]
            say(f"round {k + 1}: " + ", ".join(f"{name} {value:.4f}" for name, value in parts.items()))
        out = self.weights.copy()
        own = np.unique(self.rows)
        out[own, :BODY] = self._body(free)[own]
        return self._pruned(out)

    def _sums(self, free: Array) -> Array:
        return np.bincount(self.rows, weights=free, minlength=len(self.start)).astype(np.float64)[self.rows]

    def _body(self, free: Array) -> Array:
        out = self.start.copy()
        out[self.rows, self.columns] = free / self._sums(free)
        return out

    def _objective(self, free: Array, turns: list[Array]) -> tuple[float, Array]:
        """Energy of free weights, which count by their share of their vertex's sum; that sum is held near 1."""
        weights, total = self._body(free), self._sums(free)
        value, slope, _ = self.energy(weights, turns)
        centred = slope[self.rows, self.columns] - (slope * weights).sum(1)[self.rows]
        off = total - 1.0
        return value + SUM * float((off**2).sum()), centred / total + 2.0 * SUM * np.bincount(
            self.rows, off, len(self.start)
        )[self.rows]

    def _pruned(self, weights: Array) -> Array:
        """Both sides alike, the largest of each vertex, sums 1."""
        out = 0.5 * (weights + weights[self.mirror][:, self.twin])
        next_largest = np.partition(out, -INFLUENCES - 1, axis=1)[:, [-INFLUENCES - 1]]
        out[(out <= next_largest) | (out < 0.004)] = 0.0  # of two sides that tie for the last place neither stays
        return out / out.sum(1, keepdims=True)


def _other_side(name: str) -> str:
    for here, there in (("left_", "right_"), ("right_", "left_")):
        if name.startswith(here):
            return there + name.removeprefix(here)
    return name


def spokes(vertices: Array, faces: Index) -> tuple[Index, Array]:
    """Directed edges (E,2) of a mesh and their cotangent stiffness (E,), at least a little."""
    first, second, stiffness = [], [], []
    for k in range(3):
        a, b, c = faces[:, k], faces[:, (k + 1) % 3], faces[:, (k + 2) % 3]
        u, v = vertices[a] - vertices[c], vertices[b] - vertices[c]
        cot = (u * v).sum(1) / np.maximum(np.linalg.norm(np.cross(u, v), axis=1), 1e-12)
        first += [a, b]
        second += [b, a]
        stiffness += [0.5 * cot, 0.5 * cot]
    count = len(vertices)
    table = sparse.coo_array(
        (np.concatenate(stiffness), (np.concatenate(first), np.concatenate(second))), (count, count)
    ).tocsr()
    table.sum_duplicates()
    table = table.tocoo()
    return np.stack([table.row, table.col], axis=1).astype(np.int64), np.clip(table.data.astype(np.float64), 0.05, 5.0)


def signed_volume(vertices: Array, faces: Index) -> float:
    """Cubic metres inside the mesh; what is inside twice counts twice."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    return float(np.einsum("fc,fc->", a, np.cross(b, c))) / 6.0


def volume_slope(vertices: Array, faces: Index) -> Array:
    """Derivative (V,3) of `signed_volume`."""
    corners = np.moveaxis(vertices[faces], 1, 0)
    out = np.zeros_like(vertices)
    for k in range(3):
        push = np.cross(corners[(k + 1) % 3], corners[(k + 2) % 3]) / 6.0
        for axis in range(3):
            out[:, axis] += np.bincount(faces[:, k], push[:, axis], len(vertices))
    return out
