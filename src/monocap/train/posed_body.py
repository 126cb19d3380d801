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

    ``names`` as for `BodyModel.keypoints`; ``skin``: so many vertices, drawn with ``seed`` in proportion to the area
    around them so that a plain mean over them is one over the skin (0: none), or "all"; ``origin``: where the pelvis
    is 0 ("pelvis"), or where the body file has it ("body", as the official networks).
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
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.names, self.joints, self.origin, self.betas = tuple(names), joints, origin, betas
        self.parents = tuple(int(p) for p in body.parents[:joints])
        selection = body.selection(self.names)
        if np.any(selection.mix[:, joints : len(body.parents)]):
            raise InputError(
                f"points of body {body.name!r} that hang on joints beyond the first {joints}; choose others"
            )
        whole = len(body.v_template)
        ids = np.arange(whole) if skin == "all" else spread(body, skin, seed) if skin else np.zeros(0, int)
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

    def forward(self, rotmats: Tensor, betas: Tensor | None = None, skin: bool = True) -> tuple[Tensor, Tensor | None]:
        """Points (N,K,3) in the order of ``names`` and skin (N,V,3) or None, metres, in the axes of the root's
        rotation, for ``rotmats`` (N,J,3,3), or (N,J−1,3,3) without the root, and ``betas`` (N,B), None for the mean
        shape. Computed in single precision."""
        with torch.autocast(rotmats.device.type, enabled=False):
            rotmats = rotmats.float()
            if rotmats.shape[1] == self.joints - 1:
                root = torch.eye(3, device=rotmats.device).expand(len(rotmats), 1, 3, 3)
                rotmats = torch.cat([root, rotmats], dim=1)
            betas = rotmats.new_zeros(len(rotmats), self.betas) if betas is None else betas.float()
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


def blend(world: Tensor, joints: Tensor, rest: Tensor, points: Tensor, weights: Tensor) -> Tensor:
    """Skin (N,V,3) by linear blending: ``points`` (V,3) or (N,V,3) of the rest body, whose joints are ``rest`` (J,3) or
    (N,J,3), moved by world rotations (N,J,3,3) and ``joints`` (N,J,3) with ``weights`` (V,J)."""
    shift = joints - (world @ rest[..., None])[..., 0]
    bones = torch.cat([world, shift[..., None]], dim=-1).flatten(2)  # (N,J,12)
    blended = (weights @ bones).unflatten(-1, (3, 4))
    turned = (blended[..., :3] @ points[..., None])[..., 0]
    return turned + blended[..., 3]


def spread(body: BodyModel, count: int, seed: int = 0) -> np.ndarray:
    """Numbers (count,) of vertices, each drawn with probability in proportion to the skin's area around it."""
    corners = body.v_template[body.faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    share = np.bincount(body.faces.reshape(-1), np.repeat(area, body.faces.shape[1]), len(body.v_template))
    return np.random.default_rng(seed).choice(len(share), count, replace=False, p=share / share.sum())


def carried(body: BodyModel, count: int) -> np.ndarray:
    """Skinning weights (V,count) on the leading joints: skin of the others follows the joint that carries them."""
    carrier = np.arange(len(body.parents))
    for joint in range(count, len(carrier)):
        carrier[joint] = carrier[body.parents[joint]]
    weights = np.zeros((len(body.lbs_weights), count), np.float32)
    for joint, target in enumerate(carrier):
        weights[:, target] += body.lbs_weights[:, joint]
    return weights
