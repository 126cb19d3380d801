"""The unknowns of SMPLify-X, and the posed body with its derivatives at one value of them.

Per picture: a rotation vector applied from the left to the root's rotation (no chart breaks at 180°), translation,
VPoser's code (or the body's joints as axis-angle), coefficients of the hands' principal components, jaw, eyes,
expression, betas. Unlike `fitting.state`, everything that keypoints of hands and face tell about is free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.fitting.smplifyx.points import PointModel, Posed, Tree, pose_points, turn_batch
from monocap.geometry import rotations
from monocap.priors.vposer import LATENT, VPoserPrior
from monocap.types import Array, BodyParams

BODY = 21  # joints that VPoser poses
HAND_COMPONENTS = 12


@dataclass(frozen=True)
class Layout:
    """Where each unknown stands in a vector of ``size``: name → slice. ``betas`` come last, from `frame` on."""

    columns: Mapping[str, slice]
    size: int
    frame: int

    @classmethod
    def of(cls, sizes: Mapping[str, int]) -> Layout:
        columns, at = {}, 0
        for name, size in sizes.items():
            columns[name] = slice(at, at + size)
            at += size
        return cls(columns, at, columns["betas"].start)

    def __getitem__(self, name: str) -> slice:
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.columns


@dataclass(frozen=True)
class Free:
    """N states: ``root`` (N,3,3), ``values`` (N,n) by the layout; the root's three columns stay zero."""

    root: Array
    values: Array

    def __len__(self) -> int:
        return len(self.root)

    def step(self, delta: Array) -> Free:
        """Moved by ``delta`` (N,n)."""
        values = self.values + delta
        values[:, :3] = 0.0
        turn, left = np.empty((len(delta), 1, 3, 3)), np.empty((len(delta), 1, 3, 3))
        turn_batch(np.ascontiguousarray(delta[:, None, :3]), turn, left)
        return Free(turn[:, 0] @ self.root, values)

    def take(self, index: NDArray[np.int64] | slice | NDArray[np.bool_]) -> Free:
        return Free(self.root[index], self.values[index])

    def where(self, keep: NDArray[np.bool_], other: Free) -> Free:
        """Sample by sample this one where ``keep`` (N,), else ``other``."""
        return Free(
            np.where(keep[:, None, None], self.root, other.root),
            np.where(keep[:, None], self.values, other.values),
        )


@dataclass(frozen=True)
class At:
    """A linearised state: ``points`` (N,K,3) m in the camera's frame and ``d_points`` (N,K,3,n), or None when no
    derivatives were asked for; ``body_pose`` (N,63 or 69) rad and ``d_pose`` (N,·,m) by the columns of ``pose``;
    ``posed`` before translation, from rotations ``local`` (N,J,3,3), in axis-angle ``pose`` (N,J,3), and
    their left Jacobians ``left`` (N,J,3,3)."""

    model: Model
    state: Free
    points: Array
    body_pose: Array
    posed: Posed
    pose: Array
    local: Array
    left: Array
    d_points: Array | None = None
    d_pose: Array | None = None

    @property
    def columns(self) -> Layout:
        return self.model.layout

    def of(self, points: PointModel) -> tuple[Array, Array]:
        """Other points on the same body: places (N,P,3) m in the camera's frame and derivatives (N,P,3,n)."""
        posed = pose_points(self.model.tree, points, self.local, self.model.shape(self.state))
        shift = self.state.values[:, None, self.columns["transl"]]
        return posed.points + shift, self.model.chain(self, posed)

    def turns(self) -> Array:
        """(N,3J,n): the turn δ of every joint, R ← exp(δ) R in its parent's frame, by the unknowns."""
        count, joints = self.pose.shape[:2]
        unit = np.broadcast_to(np.eye(3 * joints).reshape(joints, 3, joints, 3), (count, joints, 3, joints, 3))
        still = Posed(self.posed.joints, self.posed.joints, self.posed.world, unit, np.zeros((count, joints, 3, 0)))
        out = self.model.chain(self, still).reshape(count, 3 * joints, -1)
        out[:, :, self.columns["transl"]] = 0.0
        return out

    def block(self, name: str) -> Array:
        """The values (N,m) of one unknown."""
        return self.state.values[:, self.model.layout[name]]


@dataclass(frozen=True, eq=False)
class Model:
    """A body as the fit sees it: unknowns, points, prior. Hand poses are coefficients about the mean hand.

    Raises InputError unless the body is SMPL, SMPL-H or SMPL-X.
    """

    body: BodyModel
    layout: Layout
    tree: Tree
    points: PointModel
    vposer: VPoserPrior | None
    parts: Mapping[str, slice]  # pose parameter → its joints

    @classmethod
    def of(cls, body: BodyModel, which: str | Sequence[str], vposer: VPoserPrior | None, num_betas: int = 10) -> Model:
        kind = body.kind.name
        if kind not in ("smpl", "smplh", "smplx"):
            raise InputError(f"body {body.name!r} is {body.kind.title}; expected SMPL, SMPL-H or SMPL-X")
        hands = body.kind.hands
        with_pca = bool(hands) and all(name in body.hand_data for name in hands)
        body = body.with_hands(HAND_COMPONENTS, False) if with_pca else body.with_hands()
        body = body.with_betas(min(num_betas, body.num_betas))
        parts, at = {}, 0
        for name, count in body.kind.parts:
            parts[name] = slice(at, at + count)
            at += count
        sizes = {"root": 3, "transl": 3, "pose": LATENT if vposer is not None else 3 * _joints(parts["body_pose"])}
        for name, _ in body.kind.parts[2:]:
            sizes[name] = HAND_COMPONENTS if name in hands and with_pca else 3 * _joints(parts[name])
        if body.num_expressions:
            sizes["expression"] = body.num_expressions
        sizes["betas"] = body.num_betas
        return cls(body, Layout.of(sizes), Tree.of(body), PointModel.of(body, which), vposer, parts)

    @property
    def hands(self) -> tuple[str, ...]:
        return self.body.kind.hands

    def rest(self, count: int) -> Free:
        """Everything zero: VPoser's mean pose, mean hands, mean shape, upright in the body's own frame."""
        return Free(np.eye(3)[None].repeat(count, 0), np.zeros((count, self.layout.size)))

    def shape(self, state: Free) -> Array:
        """[betas; expression] (N,S), as the body's directions want it."""
        betas = state.values[:, self.layout["betas"]]
        if "expression" not in self.layout:
            return betas
        return np.concatenate([betas, state.values[:, self.layout["expression"]]], axis=1)

    def pose(self, state: Free, derivatives: bool = False) -> tuple[Array, Array | None]:
        """Axis-angle (N,J,3) of all joints, the root's left at zero; and d body_pose (N,3·body,m) by its unknowns."""
        count = len(state)
        pose = np.zeros((count, len(self.tree.parents), 3))
        free, by_code = state.values[:, self.layout["pose"]], None
        body = self.parts["body_pose"]
        if self.vposer is None:
            pose[:, body] = free.reshape(count, -1, 3)
        else:
            if derivatives:
                angles, by_code = self.vposer.decode_with_jacobian(free)
            else:
                angles = self.vposer.decode(free)
            pose[:, body.start : body.start + BODY] = angles.reshape(count, BODY, 3)
        for name, joints in self.parts.items():
            if name in self.layout:
                values = state.values[:, self.layout[name]]
                if name in self.body.hand_components:
                    values = values @ self.body.hand_components[name]
                pose[:, joints] = values.reshape(count, -1, 3)
        mean = self.body.pose_mean()
        return (pose if mean is None else pose + mean), by_code

    def params(self, state: Free) -> BodyParams:
        """The state as angles, mean hands included: every field with N rows."""
        pose, _ = self.pose(state)
        angles = {name: pose[:, part].reshape(len(state), -1) for name, part in self.parts.items()}
        angles["global_orient"] = rotations.matrix_to_axis_angle(state.root)
        columns, values = self.layout, state.values
        expression = values[:, columns["expression"]].copy() if "expression" in columns else None
        betas, transl = values[:, columns["betas"]].copy(), values[:, columns["transl"]].copy()
        return BodyParams(betas=betas, transl=transl, expression=expression, **angles)

    def at(self, state: Free, derivatives: bool = True) -> At:
        """Pose the body's points, and differentiate them analytically."""
        pose, by_code = self.pose(state, derivatives)
        local, left = np.empty((*pose.shape, 3)), np.empty((*pose.shape, 3))
        turn_batch(pose, local, left)
        local[:, 0] = state.root
        posed = pose_points(self.tree, self.points, local, self.shape(state), derivatives)
        shift = state.values[:, None, self.layout["transl"]]
        flat = pose[:, self.parts["body_pose"]].reshape(len(state), -1)
        found = At(self, state, posed.points + shift, flat, posed, pose, local, left)
        if not derivatives:
            return found
        d_pose = by_code
        if self.vposer is not None and by_code is not None and flat.shape[1] > by_code.shape[1]:  # SMPL's hands
            d_pose = np.concatenate([by_code, np.zeros((len(state), flat.shape[1] - by_code.shape[1], LATENT))], axis=1)
        found = replace(found, d_pose=d_pose)
        return replace(found, d_points=self.chain(found, posed))

    def chain(self, at: At, posed: Posed) -> Array:
        """Derivatives (N,K,3,n) by the unknowns of points of which ``posed`` has those by joints and shape."""
        assert posed.rotations is not None
        assert posed.shapes is not None
        count, points = posed.rotations.shape[:2]
        by_joint = posed.rotations.reshape(count, 3 * points, -1, 3)
        out = np.zeros((count, 3 * points, self.layout.size))

        def columns(joints: slice, angles: Array | None) -> Array:
            """by_joint · left · d angles, for joints' angles that depend on m unknowns: ``angles`` (N,3·joints,m)."""
            turned = at.left[:, joints]  # δ = left · d(axis-angle)
            if angles is None:
                each = np.swapaxes(by_joint[:, :, joints], 1, 2) @ turned  # (N,joints,3·points,3)
                return np.swapaxes(each, 1, 2).reshape(count, 3 * points, -1)
            moved = (turned @ angles.reshape(count, turned.shape[1], 3, -1)).reshape(count, -1, angles.shape[-1])
            return by_joint[:, :, joints].reshape(count, 3 * points, -1) @ moved

        out[:, :, self.layout["root"]] = by_joint[:, :, 0]
        out.reshape(count, points, 3, -1)[..., self.layout["transl"]] = np.eye(3)
        out[:, :, self.layout["pose"]] = columns(self.parts["body_pose"], at.d_pose)
        for name, joints in self.parts.items():
            if name not in self.layout:
                continue
            if name in self.body.hand_components:
                spread = np.broadcast_to(self.body.hand_components[name].T, (count, 45, HAND_COMPONENTS))
                out[:, :, self.layout[name]] = columns(joints, spread)
            else:
                out[:, :, self.layout[name]] = columns(joints, None)
        shapes, betas = posed.shapes.reshape(count, 3 * points, posed.shapes.shape[-1]), self.body.num_betas
        if not shapes.shape[-1]:
            return out.reshape(count, points, 3, -1)
        out[:, :, self.layout["betas"]] = shapes[:, :, :betas]
        if "expression" in self.layout:
            out[:, :, self.layout["expression"]] = shapes[:, :, betas:]
        return out.reshape(count, points, 3, -1)


def _joints(part: slice) -> int:
    return part.stop - part.start
