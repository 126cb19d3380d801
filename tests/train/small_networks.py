"""Networks small enough to train in a test, in the registry beside the real ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from monocap.nets import names, register
from monocap.nets.iterative import BodyOutput, IterativeRegressor
from monocap.nets.network import Network, random_image

PIXELS = 14


class Small(Network):
    """Means of a coarse grid, one layer, an iterative regressor."""

    crop = "spin"

    def __init__(self, joints: int = 22, box: bool = False) -> None:
        super().__init__()
        self.joints, self.box = joints, box
        self.encoder = nn.Sequential(
            nn.AdaptiveAvgPool2d(PIXELS), nn.Flatten(), nn.Linear(3 * PIXELS**2, 64), nn.ReLU()
        )
        self.regressor = IterativeRegressor(
            64, joints, relu=True, dropout=0.1, gain=0.1, hidden=96, box_info=3 if box else 0
        )

    def example(self, count: int) -> dict[str, Tensor]:
        image = {"image": random_image(count, 224, 224)}
        return {**image, "box_info": torch.randn(count, 3)} if self.box else image

    def forward(self, image: Tensor, box_info: Tensor | None = None) -> list[BodyOutput]:
        return self.regressor(self.encoder(image), box_info)


class SmallBox(Small):
    """The same, told where the crop is, as CLIFF."""

    def __init__(self, joints: int = 22) -> None:
        super().__init__(joints, box=True)


for _name, _class in (("hmr-small", "Small"), ("cliff-small", "SmallBox")):
    if _name not in names():
        register(_name, f"small_networks:{_class}")
