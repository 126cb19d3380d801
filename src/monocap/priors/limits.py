"""Joint limits of SMPL-X's 21 body joints, in a chart where human ranges are nearly convex.

Each joint's rotation is split into a twist about its bone and a swing of that bone (the twist comes first): the chart
u = (s₁, s₂, τ) holds the swing as a rotation vector in the plane across the bone, and the twist angle, all radians.
Allowed is a convex polytope nₖ·u ≤ dₖ of 26 facets: it couples what anatomy couples (a raised arm turns less; a
knee is a hinge, a thin polytope), which a box over axis-angle components cannot, and those components are
themselves no angles once a rotation is large. The excess of a pose is its largest nₖ·u − dₖ, in radians, 0 inside.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monocap import skeletons
from monocap.assets.manifest import locate
from monocap.errors import InputError
from monocap.files import read_npz
from monocap.geometry import rotations
from monocap.types import Array

JOINTS = skeletons.get("smplx55").joint_names[1:22]
_EDGE = 1e-6  # below this a swing is π and its direction undefined


def facet_normals() -> Array:
    """(26,3) unit directions: faces, edges and corners of a cube."""
    all_ = np.array([v for v in itertools.product((-1.0, 0.0, 1.0), repeat=3) if any(v)])
    return all_ / np.linalg.norm(all_, axis=1, keepdims=True)


def bone_frames() -> Array:
    """(21,3,3): rows are two axes across the bone of each joint at rest, then the bone (the twist's axis), T-pose axes.

    Arms lie along x, everything else along y; feet along z.
    """
    x, y, z = np.eye(3)
    frames = []
    for name in JOINTS:
        if any(part in name for part in ("collar", "shoulder", "elbow", "wrist")):
            frames.append([y, z, x])
        elif "foot" in name:
            frames.append([x, y, z])
        else:
            frames.append([z, x, y])
    return np.array(frames)


@dataclass(frozen=True)
class PoseLimits:
    """A polytope per joint: ``frames`` (21,3,3) as `bone_frames`, ``normals`` (K,3), ``support`` (21,K) radians.

    Poses are ``body_pose`` (…,63) radians, SMPL-X.
    """

    frames: Array
    normals: Array
    support: Array

    def chart(self, body_pose: Array) -> Array:
        """u (…,21,3): two swing components and the twist, radians."""
        return self._chart(body_pose, False)[0]

    def chart_jacobian(self, body_pose: Array) -> tuple[Array, Array]:
        """u (…,21,3) and its derivative by each joint's own axis-angle (…,21,3,3)."""
        u, jacobian = self._chart(body_pose, True)
        assert jacobian is not None
        return u, jacobian

    def from_chart(self, u: Array) -> Array:
        """``body_pose`` (…,63) of chart coordinates (…,21,3): the inverse of `chart`."""
        swing = np.concatenate([u[..., :2], np.zeros_like(u[..., :1])], axis=-1)
        twist = np.concatenate([np.zeros_like(u[..., :2]), u[..., 2:]], axis=-1)
        turn = rotations.axis_angle_to_matrix(swing) @ rotations.axis_angle_to_matrix(twist)
        local = rotations.matrix_to_axis_angle(turn)
        return np.einsum("jab,...ja->...jb", self.frames, local).reshape(*u.shape[:-2], 63)

    def excess(self, body_pose: Array) -> Array:
        """(…,21) radians by which each joint is beyond its limits; 0 inside."""
        return np.maximum((self.chart(body_pose) @ self.normals.T - self.support).max(axis=-1), 0.0)

    def excess_jacobian(self, body_pose: Array) -> tuple[Array, Array]:
        """`excess` (…,21) and its derivative by each joint's own axis-angle (…,21,3), zero inside."""
        u, by_pose = self.chart_jacobian(body_pose)
        beyond = u @ self.normals.T - self.support
        facet = beyond.argmax(axis=-1)
        value = np.take_along_axis(beyond, facet[..., None], axis=-1)[..., 0]
        slope = np.einsum("...ja,...jab->...jb", self.normals[facet], by_pose)
        outside = value > 0.0
        return np.where(outside, value, 0.0), np.where(outside[..., None], slope, 0.0)

    def allows(self, body_pose: Array, tolerance: float = 0.0) -> NDArray[np.bool_]:
        """(…) whether every joint is within its limits, up to ``tolerance`` rad."""
        return np.asarray((self.excess(body_pose) <= tolerance).all(axis=-1))

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """(count,63) poses, each joint uniform in its polytope and independent of the others."""
        if count < 0:
            raise InputError(f"count is {count}; expected 0 or more")
        u = np.empty((count, len(JOINTS), 3))
        for joint, support in enumerate(self.support):
            high, low = (support[np.argmax(self.normals @ (sign * np.eye(3)), axis=0)] for sign in (1, -1))
            filled = 0
            while filled < count:  # rejection from the box: the polytope fills a third of it or more
                tries = rng.uniform(-low, high, (2 * (count - filled) + 16, 3))
                good = tries[(tries @ self.normals.T <= support).all(axis=1)][: count - filled]
                u[filled : filled + len(good), joint] = good
                filled += len(good)
        return self.from_chart(u)

    def _chart(self, body_pose: Array, with_jacobian: bool) -> tuple[Array, Array | None]:
        pose = np.asarray(body_pose, dtype=np.float64)
        if pose.shape[-1:] != (63,):
            raise InputError(f"body_pose has shape {pose.shape}; expected (…,63), 21 joints of SMPL-X")
        r = np.einsum("jab,...jb->...ja", self.frames, pose.reshape(*pose.shape[:-1], 21, 3))
        q = rotations.axis_angle_to_quaternion(r)
        sign = np.where(q[..., :1] < 0.0, -1.0, 1.0)
        w, x, y, z = (np.moveaxis(q * sign, -1, 0)[i] for i in range(4))
        n = np.maximum(np.hypot(w, z), _EDGE)
        m = np.hypot(x, y)
        c, s = w / n, z / n  # of half the twist
        small = m < 1e-4 * n
        safe = np.where(small, 1.0, m)
        g = np.where(small, 2.0 / n * (1.0 - (m / n) ** 2 / 3.0), 2.0 * np.arctan2(m, n) / safe)
        # (x, y) turned back by half the twist: the swing quaternion's vector
        p1, p2 = c * x - s * y, s * x + c * y
        u = np.stack([g * p1, g * p2, 2.0 * np.arctan2(z, w)], axis=-1)
        if not with_jacobian:
            return u, None
        # g depends on m and n: dg/dm·1/m and dg/dn
        square = n * n + m * m
        by_n = -2.0 / square
        by_m = np.where(small, -4.0 / (3.0 * n**3), (2.0 * n / square - g) / np.where(small, 1.0, m * m))
        zero = np.zeros_like(w)
        d_half = np.stack([-z / (n * n), zero, zero, w / (n * n)], axis=-1)  # of half the twist by w, x, y, z
        d_g = np.stack([by_n * c, by_m * x, by_m * y, by_n * s], axis=-1)
        d_p1 = np.stack([zero, c, -s, zero], axis=-1) - p2[..., None] * d_half
        d_p2 = np.stack([zero, s, c, zero], axis=-1) + p1[..., None] * d_half
        by_q = np.stack(
            [
                d_g * p1[..., None] + g[..., None] * d_p1,
                d_g * p2[..., None] + g[..., None] * d_p2,
                2.0 * d_half,
            ],
            axis=-2,
        )
        by_r = (by_q * sign[..., None]) @ _quaternion_jacobian(r)
        return u, by_r @ self.frames

    @classmethod
    def load(cls, weights: str | os.PathLike[str] = "pose_limits") -> PoseLimits:
        """The shipped limits (``"pose_limits"``), or an npz file with ``support`` (21,26).

        Raises InputError for anything else, AssetError if the shipped file is damaged.
        """
        path = locate("pose_limits") if str(weights) == "pose_limits" else weights
        support = read_npz(path, ["support"], max_bytes=1 << 20).get("support")
        if support is None or support.shape != (21, 26) or not np.isfinite(support).all():
            raise InputError(f"{path}: expected an array 'support' (21,26) of finite numbers, radians")
        return cls(bone_frames(), facet_normals(), support.astype(np.float64))

    @classmethod
    def fit(
        cls, poses: Array, weights: Array | None = None, *, outliers: float = 5e-4, margin: float = 0.15
    ) -> PoseLimits:
        """Limits that hold all but a share of ``outliers`` of poses (N,63) at every facet, widened by ``margin`` rad.

        ``weights`` (N,) of the poses; both sides are made mirror images of each other. Raises InputError for
        fewer than 100 poses.
        """
        blank = cls(bone_frames(), facet_normals(), np.zeros((21, 26)))
        poses = np.asarray(poses, dtype=np.float64)
        if poses.ndim != 2 or poses.shape[1] != 63 or len(poses) < 100:
            raise InputError(f"poses have shape {poses.shape}; expected (N,63) with N of at least 100")
        both = np.concatenate([poses, mirrored(poses)])
        weight = np.ones(len(poses)) if weights is None else np.asarray(weights, dtype=np.float64)
        weight = np.concatenate([weight, weight])
        support = np.empty((21, len(blank.normals)))
        u = blank.chart(both)
        for joint in range(21):
            reach = u[:, joint] @ blank.normals.T
            for facet in range(len(blank.normals)):
                order = np.argsort(reach[:, facet])
                share = np.cumsum(weight[order]) / weight.sum()
                at = min(int(np.searchsorted(share, 1.0 - outliers)), len(order) - 1)
                support[joint, facet] = reach[order[at], facet] + margin
        return cls(blank.frames, blank.normals, support)

    @classmethod
    def around(cls, poses: Array) -> PoseLimits:
        """The tightest limits that hold all of ``poses`` (N,63)."""
        blank = cls(bone_frames(), facet_normals(), np.zeros((21, 26)))
        return cls(blank.frames, blank.normals, (blank.chart(poses) @ blank.normals.T).max(axis=0))

    def widened(self, other: PoseLimits) -> PoseLimits:
        """Limits that hold whatever this one or ``other`` holds (the larger of both supports)."""
        return PoseLimits(self.frames, self.normals, np.maximum(self.support, other.support))


def mirrored(body_pose: Array) -> Array:
    """The poses (…,63) of mirror images: left and right exchanged, y and z of every rotation vector negated."""
    flip = [j - 1 for j in skeletons.get("smplx55").flip[1:22]]
    pose = np.asarray(body_pose)
    joints = pose.reshape(*pose.shape[:-1], 21, 3)[..., flip, :]
    return (joints * np.array([1, -1, -1], dtype=pose.dtype)).reshape(pose.shape)


def _quaternion_jacobian(r: Array) -> Array:
    """Derivative (…,4,3) of the unit quaternion wxyz by its axis-angle (…,3)."""
    angle2 = np.sum(r * r, axis=-1)[..., None]
    angle = np.sqrt(angle2)
    small = angle2 < 1e-6
    safe = np.where(small, 1.0, angle)
    half = np.where(small, 0.5 - angle2 / 48.0, np.sin(safe / 2) / safe)  # sin(θ/2)/θ
    slope = np.where(small, -1.0 / 24.0, (0.5 * np.cos(safe / 2) - np.sin(safe / 2) / safe) / safe**2)
    by_w = -0.5 * half * r
    by_v = half[..., None] * np.eye(3) + slope[..., None] * r[..., :, None] * r[..., None, :]
    return np.concatenate([by_w[..., None, :], by_v], axis=-2)
