"""SMPLify-X's energy on torch, with gradients, over a batch of pictures. Needs ``monocap[torch]``.

Written apart from the Levenberg–Marquardt side on purpose: that one derives residuals and Jacobians by hand, this
one adds up the published energy and lets autograd differentiate it; tests hold both equal. One flat vector per
picture, ordered by `state.Layout`; the root's three numbers are ``global_orient`` here, an axis-angle vector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from monocap.errors import InputError, MissingDependencyError
from monocap.fitting.collision import Collider
from monocap.fitting.smplifyx.energy import joint_weights, pixel_scales
from monocap.fitting.smplifyx.problem import Views
from monocap.fitting.smplifyx.schedule import Schedule, Stage
from monocap.fitting.smplifyx.state import BODY, Model
from monocap.fitting.smplifyx.terms import BENDS
from monocap.geometry.rotations import matrix_to_axis_angle, rotation_6d_to_matrix
from monocap.priors.decoding import axis_angle_of_6d
from monocap.priors.gmm import PoseMixture
from monocap.types import Array

try:
    import torch
    from torch import Tensor
except ImportError as error:  # pragma: no cover - exercised where torch is absent
    raise MissingDependencyError("torch", "torch") from error

NEAREST = 0.05
"""Metres before the camera; bodies that reach nearer have no energy, and line searches turn back from them."""


@dataclass(frozen=True)
class Interpenetration:
    """``collider`` of the body's mesh, ``exponent`` and cone height ``sigma`` (m) of its field; the pairs of triangles
    that meet are searched anew at every evaluation, as published."""

    collider: Collider
    exponent: float
    sigma: float


@dataclass(frozen=True, eq=False)
class Energy:
    """The energies of N pictures; ``x`` is (A,n), rows of the pictures ``samples`` (A,) int64.

    ``mixture`` takes the place of VPoser where the model has none. float32 or float64, on any device.
    """

    model: Model
    views: Views
    schedule: Schedule
    mixture: PoseMixture | None = None
    contact: Interpenetration | None = None
    dtype: torch.dtype = torch.float64
    device: torch.device | str = "cpu"
    _held: dict[str, Any] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        if (self.model.vposer is None) == (self.mixture is None):
            raise InputError("exactly one prior over the pose: VPoser in the model, or a mixture")
        views, model = self.views, self.model
        self._held.update(
            body=model.body.to("torch", dtype=self.dtype, device=self.device),
            target=self._tensor(views.keypoints[..., :2]),
            focal=self._tensor(views.K[:, None, [0, 1], [0, 1]]),
            centre=self._tensor(views.K[:, None, :2, 2]),
            scale=self._tensor(pixel_scales(views, self.schedule, "official")[0]),
            signs=self._tensor(np.array([sign for _, sign in BENDS])),
        )
        if model.vposer is not None:
            layers = model.vposer.decoder
            self._held["decoder"] = [(self._tensor(y.weight), self._tensor(y.bias), y.slope) for y in layers]
        if self.mixture is not None:
            parts = self.mixture.means, self.mixture.whitening, self.mixture.constants
            self._held["mixture"] = [self._tensor(part) for part in parts]

    def _tensor(self, array: Array) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array), dtype=self.dtype, device=self.device)

    # ------------------------------------------------------------------ the body
    def body_pose(self, x: Tensor) -> Tensor:
        """(A,63; SMPL's 69), radians."""
        free = x[:, self.model.layout["pose"]]
        vposer = self._held.get("decoder")
        if vposer is None:
            return free
        for weight, bias, slope in vposer:
            free = torch.nn.functional.linear(free, weight, bias)
            if slope != 1:
                free = torch.nn.functional.leaky_relu(free, slope)
        if free.device.type == "cpu":
            angles = _AxisAngle.apply(free)
        else:
            matrices = rotation_6d_to_matrix(free.reshape(-1, BODY, 6), "interleaved_columns")
            angles = matrix_to_axis_angle(matrices).reshape(len(free), -1)
        part = self.model.parts["body_pose"]
        missing = 3 * (part.stop - part.start) - angles.shape[1]  # SMPL's two hands
        return torch.nn.functional.pad(angles, (0, missing)) if missing else angles

    def start_pose(self) -> Tensor:
        """What the pose's unknowns start from: VPoser's mean, or the mixture's mean pose."""
        part = self.model.layout["pose"]
        size = part.stop - part.start
        return self._tensor(np.zeros(size) if self.mixture is None else self.mixture.mean[:size])

    def parameters(self, x: Tensor, body_pose: Tensor) -> dict[str, Tensor]:
        """What the body is called with: hands as coefficients about its mean hand, where it has one."""
        found = {name: x[:, part] for name, part in self.model.layout.columns.items() if name not in ("root", "pose")}
        return found | {"global_orient": x[:, self.model.layout["root"]], "body_pose": body_pose}

    def points(self, x: Tensor, body_pose: Tensor) -> Tensor:
        """Keypoints (A,K,3) m in the camera's frame, in the order of the views' skeleton."""
        return self._held["body"].camera_keypoints(self.views.skeleton, **self.parameters(x, body_pose))

    def project(self, points: Tensor, samples: Tensor) -> Tensor:
        """Pixels (A,K,2) of ``points`` (A,K,3)."""
        held = self._held
        return held["focal"][samples] * points[..., :2] / points[..., 2:] + held["centre"][samples]

    # ------------------------------------------------------------------ terms
    def terms(self, x: Tensor, samples: Tensor, stage: Stage) -> dict[str, Tensor]:
        """Term → (A,); infinite where the body reaches the camera."""
        layout, held = self.model.layout, self._held
        body_pose = self.body_pose(x)
        points = self.points(x, body_pose)
        error = self.project(points, samples) - held["target"][samples]
        square, limit = error * error, self.schedule.rho**2
        weight = self._weight(stage)[samples]
        data = held["scale"][samples] * torch.sum(weight * torch.sum(limit * square / (limit + square), -1), 1)
        terms = {"reprojection": torch.where(points[..., 2].amin(1) > NEAREST, data, torch.inf)}
        if self.mixture is None:
            terms["body_pose"] = stage.body_pose**2 * _squares(x[:, layout["pose"]])
        else:
            terms["body_pose"] = stage.body_pose**2 * self._mixture_energy(body_pose)
        terms["betas"] = stage.betas**2 * _squares(x[:, layout["betas"]])
        bent = torch.exp(2.0 * held["signs"] * body_pose[:, [column for column, _ in BENDS]])
        terms["bending"] = stage.bending * torch.sum(bent, 1)
        hands = [self._hand(name, x[:, layout[name]]) for name in self.model.hands if name in layout]
        if hands:
            terms["hands"] = stage.hands**2 * _squares(torch.cat(hands, 1))
        if "expression" in layout:
            terms["expression"] = stage.expression**2 * _squares(x[:, layout["expression"]])
        if "jaw_pose" in layout:
            terms["jaw"] = _squares(x[:, layout["jaw_pose"]] * x.new_tensor(stage.jaw))
            eyes = _squares(x[:, layout["left_eye_pose"]]) + _squares(x[:, layout["right_eye_pose"]])
            terms["eyes"] = stage.eyes**2 * eyes
        if self.contact is not None and stage.collision:
            vertices = held["body"](**self.parameters(x, body_pose)).vertices
            terms["collision"] = stage.collision * _Penalty.apply(vertices, self.contact)
        return terms

    def stage(self, stage: Stage, free_camera: bool = False) -> Callable[[Tensor, Tensor], Tensor]:
        """The energy of a body stage, for `lbfgs.minimise`. The translation keeps still unless ``free_camera``."""
        part = self.model.layout["transl"]

        def energy(x: Tensor, samples: Tensor) -> Tensor:
            if not free_camera:
                x = torch.cat([x[:, : part.start], x[:, part].detach(), x[:, part.stop :]], dim=1)
            return torch.stack(list(self.terms(x, samples, stage).values())).sum(0)

        return energy

    def camera(self, weight: Array, depth: Array) -> Callable[[Tensor, Tensor], Tensor]:
        """The energy of the camera stage: place and turn of the body at rest; ``weight`` (N,K) of the plain squares,
        ``depth`` (N,) m held by the prior."""
        layout = self.model.layout
        first, prior = layout["transl"].stop, self.schedule.camera_depth**2
        weights, depths = self._tensor(weight), self._tensor(depth)
        assert {layout["root"].start, layout["transl"].start} == {0, 3}

        def energy(x: Tensor, samples: Tensor) -> Tensor:
            x = torch.cat([x[:, :first], x[:, first:].detach()], dim=1)
            points = self.points(x, self.body_pose(x))
            error = self.project(points, samples) - self._held["target"][samples]
            data = self._held["scale"][samples] * torch.sum(weights[samples] * _squares(error), 1)
            data = torch.where(points[..., 2].amin(1) > NEAREST, data, torch.inf)
            return data + prior * (x[:, layout["transl"]][:, 2] - depths[samples]) ** 2

        return energy

    def _hand(self, name: str, coefficients: Tensor) -> Tensor:
        """The 45 angles about the mean hand, which the published term is over."""
        if name not in self.model.body.hand_components:
            return coefficients
        if name not in self._held:
            self._held[name] = self._tensor(self.model.body.hand_components[name])
        return coefficients @ self._held[name]

    def _weight(self, stage: Stage) -> Tensor:
        """(γκ)² (N,K)."""
        key = f"weight {stage.hand_joints} {stage.face_joints}"
        if key not in self._held:
            names, confidence = self.model.points.names, self.views.keypoints[..., 2]
            self._held[key] = self._tensor(joint_weights(names, confidence, self.schedule, stage))
        return self._held[key]

    def _mixture_energy(self, body_pose: Tensor) -> Tensor:
        means, whitening, constants = self._held["mixture"]
        size = means.shape[1]
        pose = torch.nn.functional.pad(body_pose, (0, size - body_pose.shape[1]))
        residual = (whitening @ (pose[:, None] - means)[..., None])[..., 0]
        return torch.amin(0.5 * _squares(residual) + constants, dim=1)


def _squares(values: Tensor) -> Tensor:
    return torch.sum(values * values, dim=-1)


class _AxisAngle(torch.autograd.Function):
    """Axis-angle vectors (A,63) of the decoder's numbers (A,126), with the derivative known in closed form."""

    @staticmethod
    def forward(ctx: Any, numbers: Tensor) -> Tensor:
        flat = numbers.detach().numpy().reshape(-1, 6)
        angles, ctx.slope = axis_angle_of_6d(flat, "interleaved_columns")
        return torch.from_numpy(angles.reshape(len(numbers), -1)).to(numbers.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        by_angle = grads[0].numpy().reshape(-1, 1, 3)
        by_number = (by_angle @ ctx.slope).reshape(len(grads[0]), -1)
        return torch.from_numpy(by_number).to(grads[0].dtype)


class _Penalty(torch.autograd.Function):
    """The interpenetration (A,) of meshes (A,V,3); numpy on the CPU, whatever the device."""

    @staticmethod
    def forward(ctx: Any, vertices: Tensor, contact: Interpenetration) -> Tensor:
        meshes = vertices.detach().double().cpu().numpy()
        values, slopes = np.full(len(meshes), np.inf), np.zeros_like(meshes)
        for i, mesh in enumerate(meshes):
            if np.isfinite(mesh).all():
                pairs = contact.collider.pairs(mesh)
                values[i], slopes[i] = contact.collider.penalty(mesh, pairs, contact.exponent, contact.sigma)
        ctx.slope = torch.from_numpy(slopes).to(vertices)
        return torch.from_numpy(values).to(vertices)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return ctx.slope * grads[0][:, None, None], None
