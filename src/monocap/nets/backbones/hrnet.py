"""HRNet (Sun et al., CVPR 2019; Wang et al., TPAMI 2020): four resolutions side by side, exchanged again and again.

::

    stem (1/4, 256) → stage 2: 1/4 1/8 → stage 3 ×4: 1/4 1/8 1/16 → stage 4 ×3: 1/4 1/8 1/16 1/32

W32 has 32, 64, 128, 256 channels, W48 48, 96, 192, 384. All four resolutions come out (SMPLer's use); `ClassHead` folds
them into one vector (CLIFF's). Layer names are those of the released checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from monocap.nets.backbones.resnet import BasicBlock, Bottleneck, initialise
from monocap.nets.checkpointing import recomputed


def _conv(into: int, out: int, kernel: int, stride: int = 1, relu: bool = True) -> nn.Sequential:
    layers = [nn.Conv2d(into, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out)]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


class _Exchange(nn.Module):
    """Four basic blocks at every resolution, then each resolution becomes the sum of all of them."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(width, width) for _ in range(4))) for width in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._path(widths, source, target) for source in range(len(widths)))
            for target in range(len(widths))
        )

    @staticmethod
    def _path(widths: Sequence[int], source: int, target: int) -> nn.Module:
        """From a resolution to another: 1×1 and enlarging upwards, 3×3 convolutions of stride 2 downwards."""
        into, out = widths[source], widths[target]
        if source == target:
            return nn.Identity()
        if source > target:
            return nn.Sequential(*_conv(into, out, 1, relu=False), nn.Upsample(scale_factor=2 ** (source - target)))
        steps = [_conv(into, into, 3, 2) for _ in range(target - source - 1)]
        return nn.Sequential(*steps, _conv(into, out, 3, 2, relu=False))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for paths in self.fuse_layers:
            assert isinstance(paths, nn.ModuleList)
            parts = [path(x) for path, x in zip(paths, maps, strict=True)]
            total = parts[0]
            for part in parts[1:]:
                total = total + part
            fused.append(functional.relu(total))
        return fused


class HRNet(nn.Module):
    """(B,3,h,w), h and w multiples of 32 → four maps at strides 4, 8, 16, 32 with ``channels`` = width·(1, 2, 4, 8).

    ``checkpointing`` recomputes activations block by block in training.
    """

    def __init__(self, width: int, checkpointing: bool = False) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.channels = (width, 2 * width, 4 * width, 8 * width)
        self.conv1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Bottleneck(64, 64), *(Bottleneck(256, 64) for _ in range(3)))
        c = self.channels
        # a new resolution is a strided convolution of the coarsest one so far; the others pass as they are
        self.transition1 = nn.ModuleList([_conv(256, c[0], 3), nn.Sequential(_conv(256, c[1], 3, 2))])
        self.stage2 = nn.Sequential(_Exchange(c[:2]))
        self.transition2 = nn.ModuleList([nn.Identity(), nn.Identity(), nn.Sequential(_conv(c[1], c[2], 3, 2))])
        self.stage3 = nn.Sequential(*(_Exchange(c[:3]) for _ in range(4)))
        self.transition3 = nn.ModuleList([*(nn.Identity() for _ in range(3)), nn.Sequential(_conv(c[2], c[3], 3, 2))])
        self.stage4 = nn.Sequential(*(_Exchange(c) for _ in range(3)))
        initialise(self)

    def _through(self, part: nn.Module, given: Tensor | list[Tensor]) -> list[Tensor]:
        return recomputed(part, given) if self.checkpointing and torch.is_grad_enabled() else part(given)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = functional.relu(self.bn1(self.conv1(image)))
        x = functional.relu(self.bn2(self.conv2(x)))
        for block in self.layer1:
            x = self._through(block, x)
        maps = [grow(x) for grow in self.transition1]
        for stage, transition in (
            (self.stage2, self.transition2),
            (self.stage3, self.transition3),
            (self.stage4, None),
        ):
            for module in stage:
                maps = self._through(module, maps)
            if transition is not None:
                maps = [*maps, transition[-1](maps[-1])]
        return maps


class ClassHead(nn.Module):
    """The classification head: channels grown to 128, 256, 512, 1024, folded from fine to coarse, then 2048, pooled."""

    channels = 2048

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        wide = (128, 256, 512, 1024)
        self.incre_modules = nn.ModuleList(
            nn.Sequential(Bottleneck(into, out // 4)) for into, out in zip(channels, wide, strict=True)
        )
        self.downsamp_modules = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.ReLU()) for a, b in pairwise(wide)
        )
        self.final_layer = nn.Sequential(nn.Conv2d(wide[-1], 2048, 1), nn.BatchNorm2d(2048), nn.ReLU())
        initialise(self)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """(B,2048) of four maps, finest first."""
        x = self.incre_modules[0](maps[0])
        for grow, fold, finer in zip(self.incre_modules[1:], self.downsamp_modules, maps[1:], strict=True):
            x = grow(finer) + fold(x)
        return self.final_layer(x).mean((2, 3))
