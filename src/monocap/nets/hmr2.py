"""HMR 2.0 (Goel et al., ICCV 2023) and CameraHMR (Patel and Black, 3DV 2025): ViT, one token's decoder, readouts.

::

    crop (N,3,256,192) → ViT → 16 × 12 features → token decoder → linear readouts, added to a mean body

CameraHMR's token knows where the crop sits (`monocap.geometry.cameras.box_info`, not normalised) and the mean body; its
camera is for the whole picture. Both read 6D rotations as contiguous columns. The mean pose inside released files is
degenerate in that layout and is used as it is: the readout has learned what to add to it.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from monocap.errors import InputError
from monocap.geometry.rotations import Layout6D, matrix_to_rotation_6d
from monocap.nets.backbones.vit import SHAPE, Vit
from monocap.nets.decoder import WIDTH, TokenDecoder
from monocap.nets.iterative import BETAS, BodyOutput, mean_body, whole_rotations
from monocap.nets.network import Network, random_image

KEYPOINTS = 44  # of which CameraHMR's head tells two numbers each, unused at inference
LAYOUT: Layout6D = "contiguous_columns"


class MeanStart(nn.Module):
    """The mean body as three buffers ``init_body_pose`` (1,6J), ``init_betas`` (1,10), ``init_cam`` (1,3)."""

    init_body_pose: Tensor
    init_betas: Tensor
    init_cam: Tensor

    def __init__(self, joints: int, layout: Layout6D) -> None:
        super().__init__()
        mean = mean_body(joints)
        pose = matrix_to_rotation_6d(mean.rotmats, layout)
        for name, value in (("body_pose", pose), ("betas", mean.betas), ("cam", mean.cam)):
            start = torch.tensor(np.asarray(value).tolist(), dtype=torch.float32).reshape(1, -1)
            self.register_buffer(f"init_{name}", start)


class _Head(MeanStart):
    """``told``: how many numbers about the box the token is given beside the mean body; 0 gives it a zero."""

    def __init__(self, context: int, joints: int, told: int) -> None:
        super().__init__(joints, LAYOUT)
        self.told = told
        self.transformer = TokenDecoder(context, told + 6 * joints + BETAS + 3 if told else 1)
        self.decpose = nn.Linear(WIDTH, 6 * joints)
        self.decshape = nn.Linear(WIDTH, BETAS)
        self.deccam = nn.Linear(WIDTH, 3)
        if told:
            self.deckp = nn.Linear(WIDTH, 2 * KEYPOINTS)

    def forward(self, maps: Tensor, box_info: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Pose numbers (N,6J), betas, cam of feature maps (N,C,h,w)."""
        starts = [x.expand(maps.shape[0], -1) for x in (self.init_body_pose, self.init_betas, self.init_cam)]
        given = maps.new_zeros(1, 1).expand(maps.shape[0], 1)
        if box_info is not None:
            given = torch.cat([box_info, *starts], dim=1)
        token = self.transformer(given, maps.flatten(2).transpose(1, 2))
        readouts = (self.decpose, self.decshape, self.deccam)
        pose, betas, cam = (read(token) + start for read, start in zip(readouts, starts, strict=True))
        return pose, betas, cam


_PARTS = {"backbone": "encoder", "smpl_head": "head"}


class VitNetwork(Network):
    """What HMR 2.0's descendants share: pictures, names and the camera's place in released files."""

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.joints = joints

    def example(self, count: int) -> dict[str, Tensor]:
        return {"image": random_image(count, *SHAPE)}

    def own_name(self, official: str) -> str | None:
        top, _, rest = official.partition(".")
        if top in ("discriminator", "cam_model", "initialized") or (top.startswith("smpl") and top != "smpl_head"):
            return None  # what only training needs, another network, the licensed body
        return f"{_PARTS.get(top, top)}.{rest}"


class Hmr2(VitNetwork):
    """670,459,037 parameters on ViT-H (the published 672,266,656 count the discriminator). ``size`` S, B or H."""

    crop = "hmr2"
    layout = LAYOUT
    told: ClassVar[int] = 0

    def __init__(self, size: str = "H", joints: int = 24, checkpointing: bool = False) -> None:
        super().__init__(joints)
        self.encoder = Vit(size, checkpointing)
        self.head = _Head(self.encoder.channels, joints, self.told)

    def forward(self, image: Tensor, box: Tensor | None = None) -> list[BodyOutput]:
        """One body per picture, in a list of one."""
        if (0 if box is None else box.shape[-1]) != self.told:
            raise InputError(f"{type(self).__name__} expects {self.told} numbers about the box")
        pose, betas, cam = self.head(self.encoder(image), box)
        return [BodyOutput(whole_rotations(pose, LAYOUT), betas, cam)]


class CameraHmr(Hmr2):
    """670,712,053 parameters on ViT-H. Pictures and ``box`` (N,3): offset of the box and its side over the focal
    length, not scaled as CLIFF's ``box_info``."""

    crop = "camerahmr"
    told = 3

    def example(self, count: int) -> dict[str, Tensor]:
        return {**super().example(count), "box": 0.3 * torch.randn(count, 3)}
