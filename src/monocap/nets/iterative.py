"""The iterative regressor of the HMR family: one vector of features, a mean body corrected a few times.

::

    [features | box numbers | pose, betas, cam] → fc1 → fc2 → corrections of pose, betas, cam, added; three times over

HMR (Kanazawa et al., CVPR 2018) has a ReLU after each layer and regresses axis-angle; SPIN, VIBE and CLIFF regress 6D
rotations and have no activation, so that at inference their regressor is affine; SMPLer put the ReLU back. Layer names
are those of the released checkpoints.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from monocap.errors import InputError
from monocap.geometry.rotations import (
    Layout6D,
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_rotation_6d,
    rotation_6d_to_matrix,
)
from monocap.priors import PoseGaussian
from monocap.types import Array

BETAS = 10
MEAN_CAM = (0.9, 0.0, 0.0)
Layout = Layout6D | Literal["axis_angle"]


def unmixed(like: Tensor) -> AbstractContextManager[Any]:
    """Where mixed precision is off: half the digits of a rotation are degrees."""
    kind = like.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def precise(x: Tensor) -> Tensor:
    """At least float32."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def whole_rotations(numbers: Tensor, layout: Layout) -> Tensor:
    """Rotation matrices (N,J,3,3) of pose numbers (N,·); float32 in mixed precision, too."""
    with unmixed(numbers):
        if layout == "axis_angle":
            return axis_angle_to_matrix(precise(numbers).unflatten(-1, (-1, 3)))
        return rotation_6d_to_matrix(precise(numbers).unflatten(-1, (-1, 6)), layout)


class BodyOutput(NamedTuple):
    """``rotmats`` (N,J,3,3) local rotations with the root first, camera frame; ``betas`` (N,10); weak-perspective
    ``cam`` (N,3) as s, tx, ty: crop coordinates in −1…1 are s · (x + t)."""

    rotmats: Tensor
    betas: Tensor
    cam: Tensor


@dataclass(frozen=True)
class MeanBody:
    """From where a regressor starts: ``rotmats`` (J,3,3), ``betas`` (10,), ``cam`` (3,)."""

    rotmats: Array
    betas: Array
    cam: Array


def mean_body(joints: int = 24) -> MeanBody:
    """Our own starting point: upright before the camera, in the shipped priors' mean pose and mean shape.

    ``joints`` 24 (SMPL: hands are at rest) or 22. Official checkpoints bring their own, which is never replaced.
    """
    if joints not in (22, 24):
        raise InputError(f"{joints} joints; expected 24 (SMPL) or 22 (without hands)")
    rotmats = np.tile(np.eye(3), (joints, 1, 1))
    rotmats[0] = np.diag([1.0, -1.0, -1.0])  # bodies are y-up, cameras y-down: half a turn about x
    rotmats[1:22] = axis_angle_to_matrix(PoseGaussian.load().mean.reshape(21, 3))
    return MeanBody(rotmats, np.zeros(BETAS), np.array(MEAN_CAM))


class IterativeRegressor(nn.Module):
    """``features`` (N,C), and for CLIFF ``box_info`` (N,3), to a body per iteration, the last one being the answer.

    ``joints`` J; ``layout`` of the 6D numbers or "axis_angle"; ``relu`` after both layers; ``dropout``; ``gain`` of the
    xavier-uniform start of the three decoders; ``box_info`` how many numbers about the box; ``trainable_mean`` learns
    where to start, as HMR does. Raises InputError for sizes that do not fit.
    """

    init_pose: Tensor
    init_shape: Tensor
    init_cam: Tensor

    def __init__(
        self,
        features: int,
        joints: int = 24,
        *,
        layout: Layout = "interleaved_columns",
        relu: bool = False,
        dropout: float = 0.5,
        gain: float = 0.01,
        box_info: int = 0,
        iterations: int = 3,
        hidden: int = 1024,
        trainable_mean: bool = False,
        mean: MeanBody | None = None,
    ) -> None:
        super().__init__()
        self.joints, self.relu, self.box_info = joints, relu, box_info
        self.layout: Layout = layout
        self.features, self.iterations = features, iterations
        pose = joints * (3 if layout == "axis_angle" else 6)
        self.fc1 = nn.Linear(features + box_info + pose + BETAS + 3, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.drop = nn.Dropout(dropout)
        self.decpose = nn.Linear(hidden, pose)
        self.decshape = nn.Linear(hidden, BETAS)
        self.deccam = nn.Linear(hidden, 3)
        for decoder in (self.decpose, self.decshape, self.deccam):
            nn.init.xavier_uniform_(decoder.weight, gain=gain)
        mean = mean_body(joints) if mean is None else mean
        starts = {"init_pose": self._numbers(mean.rotmats), "init_shape": mean.betas, "init_cam": mean.cam}
        for name, value in starts.items():
            start = torch.tensor(np.asarray(value).tolist(), dtype=torch.float32).reshape(1, -1)
            if trainable_mean:
                self.register_parameter(name, nn.Parameter(start))
            else:
                self.register_buffer(name, start)

    def _numbers(self, rotmats: Array) -> Array:
        """The numbers that stand for rotations (J,3,3) in this layout."""
        if np.shape(rotmats) != (self.joints, 3, 3):
            raise InputError(f"mean rotations of shape {np.shape(rotmats)}; expected ({self.joints}, 3, 3)")
        return (
            matrix_to_axis_angle(rotmats)
            if self.layout == "axis_angle"
            else matrix_to_rotation_6d(rotmats, self.layout)
        )

    def rotations(self, pose: Tensor) -> Tensor:
        """Rotation matrices (N,J,3,3) of pose numbers (N,·)."""
        return whole_rotations(pose, self.layout)

    def corrections(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Changes of pose (N,·), betas and cam for ``features`` (N,C + box numbers) and the present ``state`` (N,·)."""
        h = self.fc1(torch.cat([features, state], dim=-1))
        h = self.drop(torch.relu(h) if self.relu else h)
        h = self.fc2(h)
        h = self.drop(torch.relu(h) if self.relu else h)
        return self.decpose(h), self.decshape(h), self.deccam(h)

    def forward(self, features: Tensor, box_info: Tensor | None = None) -> list[BodyOutput]:
        if features.ndim != 2 or features.shape[1] != self.features:
            raise InputError(f"features of shape {tuple(features.shape)}; expected (N, {self.features})")
        if (0 if box_info is None else box_info.shape[-1]) != self.box_info:
            came = "none" if box_info is None else f"{tuple(box_info.shape)}"
            raise InputError(f"box numbers {came}; expected {self.box_info} per crop")
        if box_info is not None:
            features = torch.cat([features, box_info], dim=-1)
        starts = (self.init_pose, self.init_shape, self.init_cam)
        pose, betas, cam = (start.expand(features.shape[0], -1) for start in starts)
        stages = []
        for _ in range(self.iterations):
            change = [precise(part) for part in self.corrections(features, torch.cat([pose, betas, cam], dim=-1))]
            pose, betas, cam = pose + change[0], betas + change[1], cam + change[2]
            stages.append(BodyOutput(self.rotations(pose), betas, cam))
        return stages
