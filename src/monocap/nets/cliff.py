"""CLIFF (Li et al., ECCV 2022): SPIN's regressor that is told where the crop sits in the picture.

::

    crop (N,3,256,192) → encoder → 2048 ┐
    box_info (N,3) ─────────────────────┴→ iterative regressor → body; its camera is for the whole picture

``box_info`` is `monocap.geometry.cameras.box_info` with `cliff_focal` where the focal length is not known;
`crop_to_full_translation` with the same focal length places the body in the picture's camera.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from monocap.errors import InputError
from monocap.nets.backbones.hrnet import ClassHead, HRNet
from monocap.nets.backbones.resnet import resnet50
from monocap.nets.hmr import FEATURES, REGRESSOR
from monocap.nets.iterative import BodyOutput, IterativeRegressor
from monocap.nets.network import Network, random_image

Encoder = Literal["resnet50", "hrnet48"]


class Cliff(Network):
    """26,980,573 parameters on ResNet-50, 78,893,405 on HRNet-W48. ``relu`` for our own training only."""

    crop = "cliff"

    def __init__(
        self,
        encoder: Encoder = "resnet50",
        joints: int = 24,
        relu: bool = False,
        gain: float = 0.01,
        dropout: float = 0.5,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.joints = joints
        self.pool: nn.Module | None = None
        if encoder == "resnet50":
            self.encoder: nn.Module = resnet50(checkpointing)
        elif encoder == "hrnet48":
            self.encoder = HRNet(48, checkpointing)
            self.pool = ClassHead(self.encoder.channels)
        else:
            raise InputError(f"CLIFF on {encoder!r}; expected 'resnet50' or 'hrnet48'")
        self.regressor = IterativeRegressor(FEATURES, joints, relu=relu, gain=gain, dropout=dropout, box_info=3)

    def example(self, count: int) -> dict[str, Tensor]:
        return {"image": random_image(count, 256, 192), "box_info": torch.randn(count, 3)}

    def own_name(self, official: str) -> str | None:
        if official.startswith(REGRESSOR):
            return f"regressor.{official}"
        name = official.removeprefix("encoder.")
        head = name.startswith(("incre_modules.", "downsamp_modules.", "final_layer."))
        return f"pool.{name}" if head and self.pool is not None else official

    def forward(self, image: Tensor, box_info: Tensor) -> list[BodyOutput]:
        """A body per iteration."""
        maps = self.encoder(image)
        features = maps[-1].mean((2, 3)) if self.pool is None else self.pool(maps)
        return self.regressor(features, box_info)
