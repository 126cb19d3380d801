"""A part of a body, a hand or the head, as SMPLify-X's fit sees a body: unknowns, points, derivatives.

The part hangs in the camera's frame by its first joint, whose turn and place are free: where the rest of the body puts
it is a prior, not a fact. All else is `smplifyx.state.Model`, so that its terms, its solver and its windows over time
serve parts as they serve bodies. One shape is baked in; pose correctives of official bodies are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel
from monocap.fitting.part_landmarks import offset_of
from monocap.fitting.smplifyx.points import Carriers, PointModel, Tree
from monocap.fitting.smplifyx.state import At, Layout, Model
from monocap.fitting.smplifyx.terms import Index
from monocap.fitting.terms import Rows
from monocap.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from monocap.types import Array


@dataclass(frozen=True)
class Looks:
    """T frames between looks: each lies at ``share`` (T,) of the way from frame ``before`` (T,) to ``after`` (T,), in
    which the part was seen; ``there`` (T,) where it was, or where both are near enough to tell."""

    there: NDArray[np.bool_]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    share: Array

    @classmethod
    def of(cls, seen: NDArray[np.bool_], every: int) -> Looks:
        """Of frames ``seen`` (T,) when every ``every``-th was looked at."""
        number = np.arange(len(seen))
        before = np.maximum.accumulate(np.where(seen, number, -1))
        after = np.minimum.accumulate(np.where(seen, number, len(seen))[::-1])[::-1]
        there = (before >= 0) & (after < len(seen)) & (after - before <= every)
        before, after = np.where(there, before, number), np.where(there, after, number)
        return cls(there, before, after, (number - before) / np.maximum(after - before, 1))

    def between(self, values: Array) -> Array:
        """(T,n) on the straight line between looks."""
        share = self.share[:, None]
        return (1 - share) * values[self.before] + share * values[self.after]

    def turned(self, turns: Array) -> Array:
        """(T,3,3) on the shortest way between looks."""
        first = turns[self.before]
        way = matrix_to_axis_angle(np.swapaxes(first, 1, 2) @ turns[self.after])
        return first @ axis_angle_to_matrix(way * self.share[:, None])


def baked(body: BodyModel, betas: Array) -> BodyModel:
    """The body with one shape (B,) as its rest shape, and no betas."""
    betas = np.asarray(betas, np.float64)
    count = body.num_betas
    own = np.zeros(count)
    own[: len(betas)] = betas
    return replace(
        body,
        v_template=(body.v_template + body.shapedirs @ own).astype(np.float32),
        shapedirs=body.shapedirs[..., :0],
        J_template=body.J_template + body.J_shapedirs[..., :count] @ own,
        J_shapedirs=body.J_shapedirs[..., count:],
        posedirs=None,
    )


@dataclass(frozen=True, eq=False)
class Part(Model):
    """``mean`` (J,3) axis-angle is added to the unknowns: poses are measured from there."""

    mean: Array

    @classmethod
    def cut(
        cls,
        body: BodyModel,
        joints: Sequence[str],
        points: Sequence[str],
        poses: Mapping[str, int],
        mean: Array | None = None,
        expressions: bool = False,
    ) -> Part:
        """The ``joints`` of a `baked` body, parents first, with ``points`` by name, where the networks see them.

        ``poses``: names of pose unknowns and how many joints each has, in the order of ``joints`` behind the first;
        the first of them is called pose. Raises InputError for points that the body does not have.
        """
        numbers = [body.joint_names.index(name) for name in joints]
        owner = np.zeros(len(body.parents), dtype=np.int64)
        for j, parent in enumerate(body.parents):
            owner[j] = numbers.index(j) if j in numbers else (owner[parent] if parent >= 0 else 0)
        parents = np.array([-1, *(owner[body.parents[j]] for j in numbers[1:])], dtype=np.int64)
        if not expressions:
            body = replace(body, exprdirs=body.exprdirs[..., :0], J_shapedirs=body.J_shapedirs[..., :0])
        chosen = PointModel.of(body, points)
        carriers: Carriers = replace(chosen.carriers, bone=owner[chosen.carriers.bone], correctives=None)
        tree = Tree(parents, np.array(body.J_template[numbers], np.float64), np.array(body.J_shapedirs[numbers]))
        parts, at = {}, 1
        for name, count in poses.items():
            parts["body_pose" if name == "pose" else name] = slice(at, at + count)
            at += count
        sizes = {"root": 3, "transl": 3, **{name: 3 * count for name, count in poses.items()}}
        if expressions:
            sizes["expression"] = body.num_expressions
        sizes["betas"] = 0
        rest = np.zeros((len(joints), 3)) if mean is None else np.asarray(mean, np.float64).reshape(-1, 3)
        place = np.repeat(np.arange(len(points)), np.diff(carriers.begin))
        off = np.array([offset_of(name) for name in points])[place]
        carriers = replace(carriers, moment=carriers.moment + carriers.mass[:, None] * off)
        model = replace(chosen, carriers=carriers, head=0)
        return cls(replace(body, hand_components={}), Layout.of(sizes), tree, model, None, parts, rest)

    def pose(self, state, derivatives: bool = False) -> tuple[Array, None]:
        """Axis-angle (N,J,3) of all joints, the first one's left at zero."""
        pose = np.repeat(self.mean[None], len(state), axis=0)
        for name, joints in self.parts.items():
            values = state.values[:, self.layout["pose" if name == "body_pose" else name]]
            pose[:, joints] += values.reshape(len(state), joints.stop - joints.start, 3)
        return pose, None

    def place(self, places: Array) -> Array:
        """The translation (…,3) that puts the first joint at ``places`` (…,3), camera frame, metres."""
        return places - self.tree.joints[0]


@dataclass(frozen=True)
class Coupled:
    """((x_b + m_b − share (x_a + m_a)) / deviation)² / 2 of pairs (a, b) of columns of the poses with mean ``mean``."""

    pairs: tuple[tuple[int, int], ...]
    share: float
    deviation: float
    mean: Array
    name: str = field(default="coupling", init=False)

    def rows(self, at: At) -> Rows:
        a, b = np.array(self.pairs).T
        pose = at.block("pose") + self.mean
        residual = (pose[:, b] - self.share * pose[:, a]) / self.deviation
        jacobian = np.zeros((*residual.shape, pose.shape[1]))
        rows = np.arange(len(a))
        jacobian[:, rows, b] = 1.0 / self.deviation
        jacobian[:, rows, a] = -self.share / self.deviation
        return Rows(residual, jacobian, None, 0.5 * np.sum(residual**2, axis=1), at.columns["pose"])

    def take(self, index: Index) -> Self:
        return self


@dataclass(frozen=True)
class Ranges:
    """A hinge on every angle of the poses outside ``lower``…``upper`` (45,) rad; ``deviation`` rad past costs ½."""

    lower: Array
    upper: Array
    mean: Array
    deviation: float = 0.05
    name: str = field(default="ranges", init=False)

    def rows(self, at: At) -> Rows:
        pose = at.block("pose") + self.mean
        beyond = np.maximum(pose - self.upper, 0.0) + np.minimum(pose - self.lower, 0.0)
        residual = beyond / self.deviation
        jacobian = np.zeros((*residual.shape, pose.shape[1]))
        every = np.arange(pose.shape[1])
        jacobian[:, every, every] = (beyond != 0) / self.deviation
        return Rows(residual, jacobian, None, 0.5 * np.sum(residual**2, axis=1), at.columns["pose"])

    def take(self, index: Index) -> Self:
        return self
