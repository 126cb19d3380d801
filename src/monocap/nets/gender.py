"""ResNet-18 (He et al. 2016), narrow, on a person's crop and keypoints: does somebody look female?

The classifier of SMPLify-X (Pavlakos et al. 2019, section 3.5) in kind: a quarter of the usual width, and the keypoints
drawn as three maps (head, arms, legs) beside the picture's colours, which also says who in the crop is meant.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from monocap.nets.backbones.resnet import BasicBlock, initialise
from monocap.skeletons import get

ARCH = "gender-resnet18"
SIDE = 96  # px of a crop
SKELETON = "coco17"
WIDTH = 16
_SPREAD = 0.07  # of a drawn keypoint, half crops
_MEAN, _DEVIATION = 0.45, 0.25  # of colours
_PARTS = (("nose", "eye", "ear"), ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))


class GenderNet(nn.Module):
    """``image`` (N,3,s,s) RGB 0–1 and ``points`` (N,17,3), COCO's, −1…1 across the crop and confidence → (N,) log-odds
    that somebody looks female, not calibrated. ``width`` channels after the first layer (64 in the paper)."""

    def __init__(self, width: int = WIDTH, dropout: float = 0.2) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3 + len(_PARTS), width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        widths = [width * 2**stage for stage in range(4)]
        stages, into = [], width
        for stage, out in enumerate(widths):
            stages.append(nn.Sequential(BasicBlock(into, out, 2 if stage else 1), BasicBlock(out, out)))
            into = out
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(into, 1)
        initialise(self)
        names = get(SKELETON).joint_names
        parts = [[i for i, name in enumerate(names) if name.endswith(words)] for words in _PARTS]
        self._parts = tuple(torch.tensor(rows) for rows in parts)

    def forward(self, image: Tensor, points: Tensor) -> Tensor:
        seen = torch.cat([(image - _MEAN) / _DEVIATION, self.drawn(points, image.shape[-1])], dim=1)
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(seen))), 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(self.dropout(x.mean(dim=(2, 3))))[:, 0]

    def drawn(self, points: Tensor, side: int) -> Tensor:
        """(N,3,side,side): the keypoints (N,17,3) of head, arms and legs as spots as bright as they are sure."""
        grid = (2 * torch.arange(side, dtype=points.dtype, device=points.device) + 1) / side - 1
        spots = torch.exp(-0.5 * ((points[..., :2, None] - grid) / _SPREAD) ** 2)  # (N,17,2,side)
        across, down = spots[:, :, 0] * points[..., 2:], spots[:, :, 1]
        maps = []
        for rows in self._parts:
            rows = rows.to(points.device)
            maps.append(down[:, rows].transpose(1, 2) @ across[:, rows])
        return torch.stack(maps, dim=1)


def write_gender_onnx(path: str | os.PathLike[str], module: nn.Module, calibration: Mapping[str, float]) -> None:
    """The network for the torch-free core: ``image`` (N,3,96,96), ``points`` (N,17,3) → ``female`` (N,); weights are
    stored in half precision, computing stays in float32; ``calibration`` (`monocap.perception.gender`) goes into the
    metadata.
    """
    from monocap.nets.onnx_export import write_traced

    given = {"image": torch.rand(2, 3, SIDE, SIDE), "points": torch.rand(2, 17, 3)}
    told = {"arch": ARCH, **{name: repr(float(value)) for name, value in calibration.items()}}
    write_traced(path, module.eval(), given, ["female"], told, half=True)
