"""Recipe ``skeleton``: the kinematic fit of VNect. One skeleton follows 3D and 2D joints, frame by frame, causally.

E = w_IK ‖(P − d) − P^L‖² + w_proj ‖Π(P) − K‖² + w_smooth ‖P̈‖² + w_depth ‖Ṗ_z‖² over joint angles and the root's place
d, with joint limits as penalties; P are the skeleton's points in the camera, P^L the network's root-relative ones, K
its pixels. Source: Mehta et al., VNect (SIGGRAPH 2017). Solved by Levenberg–Marquardt with analytic Jacobians from the
last frame's answer; the first frame starts from bone directions and a linear system for d.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.fitting import skeleton_fit_kernels as kernels
from monocap.fitting.initialise import translation_from_keypoints
from monocap.geometry import kinematics, procrustes, rotations
from monocap.priors import anatomical_prior
from monocap.types import Array

TERMS: tuple[str, ...] = ("ik", "proj", "smooth", "depth", "limit")
_LOST = 4.0  # mean energy of IK and projection per coordinate of a point above which a fresh start is tried as well


@dataclass(frozen=True)
class Weights:
    """One over the squared standard deviation of each term, in SI units and pixels: m, px, m/s², m/s, rad.

    Chosen on a noisy walk (``monocap bench skeleton``): a tighter depth holds walkers back, looser smoothness trembles.
    """

    ik: float = 1.0 / 0.05**2
    proj: float = 1.0 / 3.0**2
    smooth: float = 1.0 / 20.0**2
    depth: float = 1.0 / 1.5**2
    limit: float = 1.0 / 0.06**2

    @classmethod
    def paper(cls, fps: float = 30.0) -> Weights:
        """1, 44, 0.07, 0.11 for millimetres, pixels and differences between frames (as remembered of the paper, not
        checked against it); limits are in its skeleton's design, here a stiff penalty."""
        return cls(1e6, 44.0, 0.07e6 / fps**4, 0.11e6 / fps**2, 1e4)


@dataclass(frozen=True)
class KinematicSkeleton:
    """What moves: a tree of J joints, P observed points fixed to them, limits of the angles.

    ``parents`` (J,), −1 first; ``rest_joints`` (J,3) m; ``carriers`` (P,) and ``rest_points`` (P,3) m; ``lower`` and
    ``upper`` (J,3) rad, axis-angle, ±inf for none; ``free`` (J,3) bool: which components of an angle may move (a hinge
    has one). ``order`` (J,): the joint's number in the table the skeleton came from.
    """

    parents: tuple[int, ...]
    rest_joints: Array
    carriers: NDArray[np.int64]
    rest_points: Array
    lower: Array
    upper: Array
    free: NDArray[np.bool_]
    order: NDArray[np.int64]

    @classmethod
    def of_tree(
        cls,
        parents: Sequence[int] | Array,
        rest_joints: Array,
        limits: Mapping[int, tuple[Sequence[float], Sequence[float]]] | None = None,
        free: Array | None = None,
    ) -> KinematicSkeleton:
        """Any tree, in any order with one root (−1): points are its joints, in the order given.

        ``rest_joints`` (J,3) m; ``limits``: joint → (lower xyz, upper xyz) rad; ``free`` (J,3). Raises InputError for a
        tree with another number of roots, with a circle, or shapes that do not fit.
        """
        up = [int(p) for p in parents]
        rest = np.asarray(rest_joints, np.float64)
        count = len(up)
        if rest.shape != (count, 3) or not np.isfinite(rest).all():
            raise InputError(f"rest_joints has shape {rest.shape}; expected ({count}, 3) of finite numbers, metres")
        order = _parents_first(up)
        place = np.argsort(order)
        lower, upper = np.full((count, 3), -np.inf), np.full((count, 3), np.inf)
        for joint, (low, high) in (limits or {}).items():
            if not 0 <= joint < count:
                raise InputError(f"limits for joint {joint}; expected 0…{count - 1}")
            lower[joint], upper[joint] = low, high
        able = np.ones((count, 3), dtype=bool) if free is None else np.asarray(free, dtype=bool)
        if able.shape != (count, 3):
            raise InputError(f"free has shape {able.shape}; expected ({count}, 3)")
        sorted_parents = tuple(-1 if up[j] < 0 else int(place[up[j]]) for j in order)
        return cls(
            sorted_parents, rest[order], place.astype(np.int64), rest, lower[order], upper[order], able[order], order
        )

    @classmethod
    def of_table(cls, name: str, rest_joints: Array, **options: Any) -> KinematicSkeleton:
        """A skeleton of `monocap.skeletons` (``"vnect21"`` …) with rest joints (J,3) m in its order; as `of_tree`."""
        return cls.of_tree(skeletons.get(name).parents, rest_joints, **options)

    @classmethod
    def of_body(cls, body: BodyModel, betas: Array | None = None) -> KinematicSkeleton:
        """The 22 body joints of SMPL, SMPL-H or SMPL-X at a shape, with the limits of anatomy.

        Raises InputError for a body without them.
        """
        names = skeletons.get("smplx55").joint_names[:22]
        if tuple(body.joint_names[:22]) != names:
            raise InputError(f"body {body.name!r} has other joints than SMPL; expected its 22 first")
        rest = body.rest_joints(None if betas is None else np.asarray(betas, np.float64))[:22]
        prior = anatomical_prior()
        limits = {j + 1: (prior.lower[j].tolist(), prior.upper[j].tolist()) for j in range(21)}
        return cls.of_tree(tuple(body.parents[:22]), rest, limits)

    @property
    def columns(self) -> NDArray[np.int64]:
        """(J,3) the unknown that each angle is, −1 for none: 0–2 turn the root, 3–5 place it. Joints that move no point
        are left out."""
        tree, moves = self.parents, np.zeros(len(self.parents), dtype=bool)
        for carrier, point in zip(self.carriers, self.rest_points, strict=True):
            j = int(carrier)
            while j >= 0:
                moves[j] |= bool(np.linalg.norm(point - self.rest_joints[j]) > 1e-9)
                j = tree[j]
        able = self.free & moves[:, None]
        able[0] = False
        columns = np.full(able.shape, -1, dtype=np.int64)
        columns[able] = 6 + np.arange(able.sum())
        columns[0] = [0, 1, 2]
        return columns


@dataclass(frozen=True)
class SkeletonPose:
    """One fitted frame, camera frame: ``pose`` (J,3) rad axis-angle, the root's first, in the tree's order.

    ``position`` (3,) m of the root; ``joints`` (J,3), ``points`` (P,3) m; ``energies`` by term, weighted; ``trace``:
    the energy at the start and after each step.
    """

    pose: Array
    position: Array
    joints: Array
    points: Array
    energies: Mapping[str, float]
    trace: Array

    @property
    def energy(self) -> float:
        return float(self.trace[-1])


class SkeletonFit:
    """Follows one person: call `step` once per frame. Holds the last two frames and nothing else.

    ``K`` (3,3) px; ``iterations`` and ``tolerance`` (relative gain) end each frame's solve.
    """

    def __init__(
        self,
        skeleton: KinematicSkeleton,
        K: Array,
        weights: Weights | None = None,
        iterations: int = 12,
        tolerance: float = 1e-4,
    ) -> None:
        K = np.asarray(K, np.float64)
        if K.shape != (3, 3) or not (K[0, 0] > 0 and K[1, 1] > 0):
            raise InputError(f"K has shape {K.shape}; expected (3, 3) pixels with positive focal lengths")
        if K[0, 1] != 0:
            raise InputError("K has skew (entry [0, 1] is not 0); undistort the picture first")
        self.skeleton, self.K, self.weights = skeleton, K, weights or Weights()
        self.iterations, self.tolerance = iterations, tolerance
        self._camera = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]])
        self._rest = skeleton.rest_joints - skeleton.rest_joints[0]
        self._offsets = skeleton.rest_points - skeleton.rest_joints[skeleton.carriers]
        self._tree, self._columns = np.array(skeleton.parents), skeleton.columns
        self.reset()

    def reset(self) -> None:
        """Forget the person: the next frame is the first."""
        self._last: tuple[Array, Array, Array] | None = None  # root (3,3), angles (J,3), position (3,)
        self._past = np.zeros((2, len(self._offsets), 3))
        self._steps, self._frames = np.zeros(2), 0

    def step(self, points3d: Array, points2d: Array, confidence: Array, dt: float) -> SkeletonPose:
        """The pose of the next frame.

        ``points3d`` (P,3) m relative to the root, camera axes; ``points2d`` (P,2) px; ``confidence`` (P,) 0–1, 0 or NaN
        points are not seen; ``dt`` s since the last frame (of the first one, unused). A frame in which nothing is seen
        goes on as it was going. Raises InputError for wrong shapes, a dt that is not positive, or a first frame with
        fewer than three points.
        """
        seen3d, seen2d, trust = self._checked(points3d, points2d, confidence)
        if self._frames and not dt > 0:
            raise InputError(f"dt is {dt} s; expected the time since the last frame, above 0")
        if self._last is None:
            if (trust > 0).sum() < 3:
                raise InputError(f"{int((trust > 0).sum())} points are seen in the first frame; expected 3 or more")
            start = self.start(seen3d, seen2d, trust)
        else:
            start = self._last
        steps = np.array([dt if self._frames > 0 else 0.0, self._steps[0] if self._frames > 1 else 0.0])
        found, state = self._solve(start, seen3d, seen2d, trust, steps)
        told = found.energies["ik"] + found.energies["proj"]
        if self._last is not None and (trust > 0).sum() > 2 and told > _LOST * 5 * trust.sum():
            other, other_state = self._solve(self.start(seen3d, seen2d, trust), seen3d, seen2d, trust, steps)
            if other.energy < found.energy:
                found, state = other, other_state
        self._last = state
        self._past = np.stack([found.points, self._past[0]])
        self._steps, self._frames = steps, self._frames + 1
        return found

    def start(self, points3d: Array, points2d: Array, confidence: Array) -> tuple[Array, Array, Array]:
        """Closed form: root rotation (3,3), angles (J,3) and root position (3,) from bone directions and the pixels."""
        sk, tree = self.skeleton, self.skeleton.parents
        count = len(tree)
        at = np.full((count, 3), np.nan)  # observed joints: points that lie on them
        for p in np.flatnonzero(confidence > 0):
            if np.linalg.norm(self._offsets[p]) < 1e-9:
                at[sk.carriers[p]] = points3d[p]
        at[0] = np.where(np.isfinite(at[0]), at[0], 0.0)
        world = np.tile(np.eye(3), (count, 1, 1))
        for j in range(count):
            world[j] = world[tree[j]] if tree[j] >= 0 else np.eye(3)
            if not np.isfinite(at[j]).all():
                continue
            rest = [self._rest[k] - self._rest[j] for k in range(count) if tree[k] == j and np.isfinite(at[k]).all()]
            seen = [at[k] - at[j] for k in range(count) if tree[k] == j and np.isfinite(at[k]).all()]
            hung = [p for p in np.flatnonzero((sk.carriers == j) & (confidence > 0)) if self._offsets[p].any()]
            rest += [self._offsets[p] for p in hung]
            seen += [points3d[p] - at[j] for p in hung]
            useful = [k for k in range(len(rest)) if min(np.linalg.norm(rest[k]), np.linalg.norm(seen[k])) > 1e-3]
            if len(useful) == 1:
                one, other = _unit(world[j] @ rest[useful[0]]), _unit(seen[useful[0]])
                world[j] = rotations.rotation_between(one, other) @ world[j]
            elif useful:
                source = np.stack([np.zeros(3), *(_unit(rest[k]) for k in useful)])
                target = np.stack([np.zeros(3), *(_unit(seen[k]) for k in useful)])
                world[j] = procrustes.rigid_alignment(source, target).rotation
        local = np.stack(
            [np.swapaxes(world[tree[j]], 0, 1) @ world[j] if tree[j] >= 0 else world[j] for j in range(count)]
        )
        angles = np.where(sk.free, rotations.matrix_to_axis_angle(local), 0.0)
        angles = np.clip(angles, sk.lower, sk.upper)
        angles[0] = 0.0
        placed = rotations.axis_angle_to_matrix(angles)
        placed[0] = world[0]
        turned, joints = kinematics.forward_kinematics_numba(placed, self._rest, tree)
        points = joints[sk.carriers] + (turned[sk.carriers] @ self._offsets[..., None])[..., 0]
        position = translation_from_keypoints(points[None], points2d[None], confidence[None], self.K)[0]
        return world[0].copy(), angles, position

    def _solve(
        self, start: tuple[Array, Array, Array], seen3d: Array, seen2d: Array, trust: Array, steps: Array
    ) -> tuple[SkeletonPose, tuple[Array, Array, Array]]:
        root, angles, position = (np.array(part, np.float64, order="C") for part in start)
        joints, points = np.empty_like(self._rest), np.empty_like(self._offsets)
        terms, trace = np.zeros(5), np.zeros(self.iterations + 1)
        w = self.weights
        accepted = kernels.fit(
            *(root, angles, position, self._tree, self._rest, self.skeleton.carriers, self._offsets, self._columns),
            *(self.skeleton.lower, self.skeleton.upper, seen3d, seen2d, trust, self._camera, self._past, steps),
            *(np.array([w.ik, w.proj, w.smooth, w.depth, w.limit]), self.iterations, self.tolerance),
            *(joints, points, terms, trace),
        )
        pose = angles.copy()
        pose[0] = rotations.matrix_to_axis_angle(root)
        energies = dict(zip(TERMS, terms.tolist(), strict=True))
        found = SkeletonPose(pose, position.copy(), joints, points, energies, trace[:accepted])
        return found, (root, angles, position)

    def _checked(self, points3d: Array, points2d: Array, confidence: Array) -> tuple[Array, Array, Array]:
        count = len(self._offsets)
        arrays = []
        for name, value, shape in (
            ("points3d", points3d, (count, 3)),
            ("points2d", points2d, (count, 2)),
            ("confidence", confidence, (count,)),
        ):
            array = np.array(value, np.float64, order="C")
            if array.shape != shape:
                raise InputError(f"{name} has shape {array.shape}; expected {shape}")
            arrays.append(array)
        seen3d, seen2d, trust = arrays
        seen = np.isfinite(seen3d).all(axis=1) & np.isfinite(seen2d).all(axis=1) & np.isfinite(trust) & (trust > 0)
        seen3d[~seen], seen2d[~seen] = 0.0, 0.0
        return seen3d, seen2d, np.where(seen, trust, 0.0)


def _parents_first(parents: list[int]) -> NDArray[np.int64]:
    """Joints so that each comes after its parent."""
    roots = [j for j, p in enumerate(parents) if p < 0]
    if len(roots) != 1 or any(not -1 <= p < len(parents) for p in parents):
        raise InputError(f"parents {parents}: expected one root (-1) and joints of this tree")
    order = [roots[0]]
    for j in order:
        order += [k for k, p in enumerate(parents) if p == j]
    if len(order) != len(parents):
        raise InputError(f"parents {parents}: some joints hang on a circle, not on the root")
    return np.array(order)


def _unit(vector: Array) -> Array:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
