"""The body that a network predicts, from rotation matrices and betas: its points by name, and its skin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.geometry.kinematics_torch import forward_kinematics_torch
from monocap.train.body_points import blend, carried, spread

POINTS: tuple[str, ...] = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle"),
    *("spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder"),
    *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "nose", "right_eye_surface"),
    *("left_eye_surface", "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe"),
    *("right_small_toe", "right_heel"),
)
"""The 22 joints of the body and 11 points of its skin that people annotate: SMPL, SMPL-X and the open body have all."""


class PosedBody(nn.Module):
    """Points and skin of ``body`` with its leading ``joints`` posed; the others (fingers, face) stay at rest.

    ``names`` as for `BodyModel.keypoints`; ``skin``: so many vertices evenly by area (0: none), or "all";
    ``origin``: where the pelvis is 0 ("pelvis"), or where the body file has it ("body", as the official networks).
    """

    rest: Tensor
    rest_shapes: Tensor
    points: Tensor
    point_shapes: Tensor
    weights: Tensor
    mix: Tensor
    correctives: Tensor | None

    def __init__(
        self,
        body: BodyModel,
        names: Sequence[str] = POINTS,
        skin: int | Literal["all"] = 256,
        joints: int = 22,
        origin: Literal["pelvis", "body"] = "pelvis",
        betas: int = 10,
    ) -> None:
        super().__init__()
        self.names, self.joints, self.origin, self.betas = tuple(names), joints, origin, betas
        self.parents = tuple(int(p) for p in body.parents[:joints])
        selection = body.selection(self.names)
        if np.any(selection.mix[:, joints : len(body.parents)]):
            raise InputError(
                f"points of body {body.name!r} that hang on joints beyond the first {joints}; choose others"
            )
        ids = np.arange(len(body.v_template)) if skin == "all" else spread(body, skin) if skin else np.zeros(0, int)
        self._marked = len(selection.vertices)
        few = body.restricted(np.concatenate([selection.vertices, ids]).astype(np.int64))
        mix = np.delete(selection.mix, np.s_[joints : len(body.parents)], axis=1)
        tables = {
            "rest": body.J_template[:joints], "rest_shapes": body.J_shapedirs[:joints, :, :betas], "mix": mix,
            "points": few.v_template, "point_shapes": few.shapedirs[..., :betas], "weights": carried(few, joints),
            "correctives": None if few.posedirs is None else few.posedirs[..., : 9 * (joints - 1)],
        }  # fmt: skip
        for name, value in tables.items():
            tensor = None if value is None else torch.tensor(np.asarray(value, np.float32))
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, rotmats: Tensor, betas: Tensor, skin: bool = True) -> tuple[Tensor, Tensor | None]:
        """Points (N,K,3) in the order of ``names`` and skin (N,V,3) or None, metres, in the axes of the root's
        rotation, for ``rotmats`` (N,J,3,3) and ``betas`` (N,B). Computed in single precision."""
        with torch.autocast(rotmats.device.type, enabled=False):
            rotmats, betas = rotmats.float(), betas.float()
            rest = self.rest + _along(self.rest_shapes, betas)
            world, joints = forward_kinematics_torch(rotmats, rest, self.parents)
            count = len(self.points) if skin else self._marked
            shaped = self.points[:count] + _along(self.point_shapes[:count], betas)
            if self.correctives is not None:
                bent = rotmats[:, 1:] - torch.eye(3, device=rotmats.device)
                shaped = shaped + _along(self.correctives[:count], bent.flatten(1))
            vertices = blend(world, joints, rest, shaped, self.weights[:count])
            if self.origin == "pelvis":
                vertices, joints = vertices - joints[:, :1], joints - joints[:, :1]
            named = self.mix @ torch.cat([joints, vertices[:, : self._marked]], dim=1)
            return named, vertices[:, self._marked :] if skin and count > self._marked else None


def _along(directions: Tensor, coefficients: Tensor) -> Tensor:
    """(N,n,3): directions (n,3,B) times coefficients (N,B)."""
    return (coefficients @ directions.flatten(0, 1).T).unflatten(-1, directions.shape[:2])
