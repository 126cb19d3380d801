"""`TorchBody`: a `BodyModel` on torch, with gradients. Needs ``monocap[torch]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monocap.bodies.parameters import Posed, assemble
from monocap.errors import MissingDependencyError
from monocap.geometry.rotations import axis_angle_to_matrix

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:  # pragma: no cover - exercised where torch is absent
    raise MissingDependencyError("torch", "torch") from error

from monocap.bodies.model import BodyOutput
from monocap.geometry.kinematics_torch import forward_kinematics_torch

if TYPE_CHECKING:
    from monocap.bodies.model import BodyModel


def kind_of(parameters: dict[str, Any]) -> tuple[torch.device, torch.dtype]:
    """Device and (widest floating) dtype of the tensors among the values."""
    tensors = [value for value in parameters.values() if isinstance(value, Tensor)]
    dtype = torch.float32
    for tensor in tensors:
        if tensor.is_floating_point():
            dtype = torch.promote_types(dtype, tensor.dtype)
    return tensors[0].device, dtype


class TorchBody(nn.Module):
    """The same parameters and results as `BodyModel`, as tensors; buffers follow ``.to(device)``.

    float64 parameters give float64 results; ``.double()`` spares the conversion of the buffers in every call.
    """

    v_template: Tensor
    shapedirs: Tensor
    exprdirs: Tensor
    posedirs: Tensor | None
    lbs_weights: Tensor
    J_template: Tensor
    J_shapedirs: Tensor
    pose_mean: Tensor
    faces: Tensor

    def __init__(
        self,
        body: BodyModel,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.name = body.name
        self.joint_names = body.joint_names
        self.parents = tuple(int(p) for p in body.parents)
        self.extra_vertex_ids = dict(body.extra_vertex_ids)
        mean = np.zeros((len(self.parents), 3), np.float32)
        if body.hand_mean is not None:
            mean[-30:] = body.hand_mean.reshape(30, 3)

        def buffer(name: str, value: np.ndarray | None, kind: torch.dtype) -> None:
            # a copy: the module's in-place operations must not reach the numpy body
            tensor = None if value is None else torch.tensor(value, dtype=kind, device=device)
            self.register_buffer(name, tensor, persistent=False)

        for name in ("v_template", "shapedirs", "exprdirs", "posedirs", "lbs_weights", "J_template", "J_shapedirs"):
            buffer(name, getattr(body, name), dtype)
        buffer("pose_mean", mean, dtype)
        buffer("faces", body.faces, torch.int64)

    @property
    def num_betas(self) -> int:
        """B, the number of shape coefficients."""
        return self.shapedirs.shape[2]

    def forward(self, **parameters: Any) -> BodyOutput:
        """Posed mesh (…,V,3) and joints (…,J,3); see `BodyModel.__call__`."""
        posed = self._assemble(parameters)
        local = axis_angle_to_matrix(posed.pose + self.pose_mean)
        rest = self._rest_joints(posed)
        world, joints = forward_kinematics_torch(local, rest, self.parents)
        shaped = self._linear(posed, self.v_template, self.shapedirs, self.exprdirs)
        if self.posedirs is not None:
            feature = (local[..., 1:, :, :] - torch.eye(3, dtype=local.dtype, device=local.device)).flatten(-3)
            moved = feature @ self.posedirs.to(local.dtype).reshape(-1, feature.shape[-1]).T
            shaped = shaped + moved.unflatten(-1, (-1, 3))
        shift = joints - (world @ rest[..., None])[..., 0]
        bones = torch.cat([world, shift[..., None]], dim=-1).flatten(-2)  # (…,J,12)
        blended = (self.lbs_weights.to(bones.dtype) @ bones).unflatten(-1, (3, 4))  # (…,V,3,4)
        vertices = (blended[..., :3] @ shaped[..., None])[..., 0] + blended[..., 3]
        return BodyOutput(self._finish(posed, vertices), self._finish(posed, joints))

    def joints_only(self, **parameters: Any) -> Tensor:
        """Posed joints (…,J,3) without touching the mesh."""
        posed = self._assemble(parameters)
        local = axis_angle_to_matrix(posed.pose + self.pose_mean)
        return self._finish(posed, forward_kinematics_torch(local, self._rest_joints(posed), self.parents)[1])

    def rest_joints(self, betas: Any = None, expression: Any = None) -> Tensor:
        """Rest joints (…,J,3) of a shape, metres."""
        posed = self._assemble({"betas": betas, "expression": expression})
        return self._rest_joints(posed)

    def _assemble(self, parameters: dict[str, Any]) -> Posed:
        sizes = len(self.parents), self.num_betas, self.exprdirs.shape[2]
        return assemble(*sizes, parameters, self.v_template)

    def _linear(self, posed: Posed, base: Tensor, shape: Tensor, expression: Tensor) -> Tensor:
        for coefficients, directions in ((posed.betas, shape), (posed.expression, expression)):
            if coefficients is not None:
                used = directions[..., : coefficients.shape[-1]].flatten(0, 1).to(coefficients.dtype)
                base = base + (coefficients @ used.T).unflatten(-1, (-1, 3))
        return base

    def _rest_joints(self, posed: Posed) -> Tensor:
        n = self.num_betas
        return self._linear(posed, self.J_template, self.J_shapedirs[..., :n], self.J_shapedirs[..., n:])

    def _finish(self, posed: Posed, points: Tensor) -> Tensor:
        if posed.transl is not None:
            points = points + posed.transl[..., None, :]
        return points.broadcast_to((*posed.lead, *points.shape[-2:]))
