"""Where a body's joints fall in the crop, for shape, pose and a weak-perspective camera."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from monocap.bodies.model import BodyModel
from monocap.geometry.kinematics import forward_kinematics
from monocap.geometry.kinematics_torch import forward_kinematics_torch
from monocap.nets.iterative import BETAS


class WeakJoints(nn.Module):
    """Points (N,J,2), −1…1 across the crop, of the first J joints of a tree: x = s·(X + t).

    ``rest`` (J,3) metres, ``directions`` (J,3,b) per unit of betas; ``parents`` (J). X is in the camera's axes (x
    right, y down): the root's rotation has the half turn between body and camera inside.
    """

    rest: Tensor
    directions: Tensor

    def __init__(self, rest: Tensor, directions: Tensor, parents: tuple[int, ...]) -> None:
        super().__init__()
        self.parents = parents
        self.register_buffer("rest", rest.float())
        self.register_buffer("directions", directions.float())

    @classmethod
    def of(cls, body: BodyModel, joints: int, betas: int = BETAS) -> WeakJoints:
        """Of the first ``joints`` joints of ``body``."""
        parents = tuple(int(p) for p in body.parents[:joints])
        directions = torch.tensor(body.J_shapedirs[:joints, :, :betas])
        return cls(torch.tensor(body.J_template[:joints]), directions, parents)

    def space(self, rotmats: Tensor, betas: Tensor) -> Tensor:
        """Joints (N,J,3) metres for local rotations (N,J,3,3) and betas (N,b); nothing is added for a translation."""
        rest = self.rest + (self.directions @ betas[:, None, :, None])[..., 0]
        # A compiled kernel cannot be written into an exported graph.
        exporting = torch.onnx.is_in_onnx_export() or torch.jit.is_tracing()
        forward = forward_kinematics if exporting else forward_kinematics_torch
        return forward(rotmats, rest, self.parents)[1]

    def forward(self, rotmats: Tensor, betas: Tensor, cam: Tensor) -> Tensor:
        """(N,J,2) for ``cam`` (N,3): s, tx, ty."""
        return cam[:, None, :1] * (self.space(rotmats, betas)[..., :2] + cam[:, None, 1:])
