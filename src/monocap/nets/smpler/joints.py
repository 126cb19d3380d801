"""Where a body's joints fall in the crop, for shape, pose and a weak-perspective camera."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from monocap import skeletons
from monocap.bodies import BodyModel, load_body
from monocap.bodies.kinds import KINDS
from monocap.errors import InputError
from monocap.geometry.kinematics import forward_kinematics
from monocap.geometry.kinematics_torch import forward_kinematics_torch
from monocap.nets.iterative import BETAS

SMPL_PARENTS = skeletons.get(KINDS[24].skeleton).parents


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
        """Of the first ``joints`` joints of ``body``, about its pelvis, which t places."""
        parents = tuple(int(p) for p in body.parents[:joints])
        return cls._about_root(body, list(range(joints)), betas, parents)

    @classmethod
    def smpl(cls) -> WeakJoints:
        """SMPL's 24 joints on the open body, about its pelvis: the hands' lie where its middle fingers begin.

        A released file brings its own, about its body's origin, with `settle`.
        """
        body = load_body("open")
        names = [*body.joint_names[:22], "left_middle1", "right_middle1"]
        rows = [body.joint_names.index(name) for name in names]
        return cls._about_root(body, rows, BETAS, SMPL_PARENTS)

    @classmethod
    def _about_root(cls, body: BodyModel, rows: list[int], betas: int, parents: tuple[int, ...]) -> WeakJoints:
        rest, directions = body.J_template[rows], body.J_shapedirs[rows][:, :, :betas]
        return cls(torch.tensor(rest - rest[:1]), torch.tensor(directions - directions[:1]), parents)

    def settle(self, state: Mapping[str, Tensor]) -> None:
        """Take rest joints and their directions from a body's buffers (v_template, shapedirs, J_regressor).

        Raises InputError where one is missing or of another shape.
        """
        names = ("J_regressor", "v_template", "shapedirs")
        missing = [name for name in names if name not in state]
        if missing:
            raise InputError(f"the body's {', '.join(missing)} are missing; its joints cannot be placed")
        regressor, template, directions = (state[name].to(torch.float64) for name in names)
        if regressor.shape != (len(self.parents), len(template)) or directions.shape[:2] != template.shape:
            shapes = ", ".join(f"{name} {tuple(state[name].shape)}" for name in names)
            raise InputError(f"{shapes}; expected {len(self.parents)} joints of one mesh")
        with torch.no_grad():
            self.rest.copy_(regressor @ template)
            self.directions.copy_(torch.einsum("jv,vcb->jcb", regressor, directions[:, :, :BETAS]))

    def space(self, rotmats: Tensor, betas: Tensor) -> Tensor:
        """Joints (N,J,3) metres for local rotations (N,J,3,3) and betas (N,b); nothing is added for a translation."""
        rest = self.rest + (self.directions @ betas[:, None, :, None])[..., 0]
        # A compiled kernel cannot be written into an exported graph.
        exporting = torch.onnx.is_in_onnx_export()
        forward = forward_kinematics if exporting else forward_kinematics_torch
        return forward(rotmats, rest, self.parents)[1]

    def forward(self, rotmats: Tensor, betas: Tensor, cam: Tensor) -> Tensor:
        """(N,J,2) for ``cam`` (N,3): s, tx, ty."""
        return cam[:, None, :1] * (self.space(rotmats, betas)[..., :2] + cam[:, None, 1:])
