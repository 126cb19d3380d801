"""Where joints and skin of the open body go for given rotations: what losses and errors of trained networks compare."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from monocap.bodies import BodyModel, load_body
from monocap.geometry.kinematics_torch import forward_kinematics_torch

BODY_JOINTS = 22
SHAPES = 10  # betas that networks tell


class BodyPoints(nn.Module):
    """Joints, and ``count`` points of the skin spread evenly by area, of a body; metres.

    Vertices are drawn with probability in proportion to the area around them, so that a plain mean over them is an
    area-weighted mean over the skin.
    """

    rest: Tensor
    points: Tensor
    weights: Tensor
    rest_by_betas: Tensor
    points_by_betas: Tensor

    def __init__(self, body: BodyModel | None = None, count: int = 256, seed: int = 0) -> None:
        super().__init__()
        body = body or load_body("open")
        self.parents = tuple(int(p) for p in body.parents[:BODY_JOINTS])
        ids = spread(body, count, seed)
        self.register_buffer("rest", torch.tensor(body.J_template[:BODY_JOINTS]), persistent=False)
        self.register_buffer("points", torch.tensor(body.v_template[ids]), persistent=False)
        self.register_buffer("weights", torch.tensor(carried(body, BODY_JOINTS)[ids]), persistent=False)
        by_betas = torch.tensor(body.J_shapedirs[:BODY_JOINTS, :, :SHAPES])
        self.register_buffer("rest_by_betas", by_betas, persistent=False)
        self.register_buffer("points_by_betas", torch.tensor(body.shapedirs[ids, :, :SHAPES]), persistent=False)

    def forward(
        self, rotations: Tensor, skin: bool = True, betas: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Joints (N,22,3) and skin points (N,count,3), or None, for local rotations of the 21 body joints, or of root
        and body joints (N,22,3,3); ``betas`` (N,10), None for the mean shape."""
        if rotations.shape[1] == BODY_JOINTS - 1:
            root = torch.eye(3, dtype=rotations.dtype, device=rotations.device).expand(len(rotations), 1, 3, 3)
            rotations = torch.cat([root, rotations], dim=1)
        dtype = rotations.dtype
        rest, points = self.rest.to(dtype), self.points.to(dtype)
        if betas is not None:
            rest = rest + _shaped(self.rest_by_betas, betas)
            points = points + _shaped(self.points_by_betas, betas)
        world, joints = forward_kinematics_torch(rotations, rest, self.parents)
        if not skin:
            return joints, None
        return joints, blend(world, joints, rest, points, self.weights.to(dtype))


def _shaped(directions: Tensor, betas: Tensor) -> Tensor:
    """(N,K,3) of directions (K,3,B) and betas (N,B)."""
    return (betas @ directions.flatten(0, 1).T.to(betas.dtype)).unflatten(-1, (-1, 3))


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
