"""Residual networks: version 1 (He et al., CVPR 2016) as SPIN, CLIFF and VIBE use it; HMR's pre-activation version 2.

Layer names are those of the widespread checkpoints: ``conv1, bn1, layer1 … layer4`` with ``conv1 … conv3, downsample``.
The stride sits in a bottleneck's 3×3 convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from monocap.nets.checkpointing import recomputed


def initialise(module: nn.Module) -> None:
    """Convolutions by their fan-out (He et al. 2015), normalisation at identity."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)


def _shortcut(into: int, out: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and into == out:
        return None
    return nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut: (B,into,h,w) → (B,width,h/stride,w/stride)."""

    expansion = 1

    def __init__(self, into: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(into, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(into, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        return functional.relu(h + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions beside a shortcut: (B,into,h,w) → (B,4·width,h/stride,w/stride)."""

    expansion = 4

    def __init__(self, into: int, width: int, stride: int = 1) -> None:
        super().__init__()
        out = width * self.expansion
        self.conv1 = nn.Conv2d(into, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = _shortcut(into, out, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.bn1(self.conv1(x)))
        h = functional.relu(self.bn2(self.conv2(h)))
        h = self.bn3(self.conv3(h))
        return functional.relu(h + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Version 1. (B,3,h,w) → four maps at strides 4, 8, 16, 32 with ``channels`` channels.

    ``checkpointing`` recomputes activations stage by stage in training.
    """

    def __init__(
        self, block: type[BasicBlock] | type[Bottleneck], depths: Sequence[int], checkpointing: bool = False
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.channels = tuple(width * block.expansion for width in (64, 128, 256, 512))
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        into, stages = 64, []
        for stage, (width, depth) in enumerate(zip((64, 128, 256, 512), depths, strict=True)):
            blocks = []
            for i in range(depth):
                blocks.append(block(into, width, 2 if stage and i == 0 else 1))
                into = width * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        initialise(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = functional.relu(self.bn1(self.conv1(image)))
        x = functional.max_pool2d(x, 3, 2, 1)
        maps = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = recomputed(stage, x) if self.checkpointing and torch.is_grad_enabled() else stage(x)
            maps.append(x)
        return maps


def resnet18(checkpointing: bool = False) -> ResNet:
    """11,176,512 parameters, 512 channels at the end."""
    return ResNet(BasicBlock, (2, 2, 2, 2), checkpointing)


def resnet50(checkpointing: bool = False) -> ResNet:
    """23,508,032 parameters, 2048 channels at the end."""
    return ResNet(Bottleneck, (3, 4, 6, 3), checkpointing)


class _PreActivation(nn.Module):
    """Bottleneck of version 2: normalisation and ReLU come before each convolution, none after the sum."""

    def __init__(self, into: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.stride = stride
        self.preact = nn.BatchNorm2d(into)
        self.conv1 = nn.Conv2d(into, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1)
        self.shortcut = nn.Conv2d(into, out, 1, stride) if into != out else None

    def forward(self, x: Tensor) -> Tensor:
        active = functional.relu(self.preact(x))
        h = functional.relu(self.bn1(self.conv1(active)))
        h = self.conv3(functional.relu(self.bn2(self.conv2(h))))
        return h + (self.shortcut(active) if self.shortcut is not None else x[..., :: self.stride, :: self.stride])


class ResNetV2(nn.Module):
    """Version 2 with 50 layers, as HMR's: 23,519,360 parameters (He et al., ECCV 2016, TensorFlow-Slim's arrangement).

    (B,3,h,w) → four maps at strides 8, 16, 32, 32: there, a stage halves the picture in its last block, not its first.
    """

    channels = (256, 512, 1024, 2048)

    def __init__(self, checkpointing: bool = False) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3)
        into, stages = 64, []
        for stage, (width, depth) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
            blocks = []
            for i in range(depth):
                blocks.append(_PreActivation(into, width, 2 if stage < 3 and i == depth - 1 else 1))
                into = 4 * width
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.postnorm = nn.BatchNorm2d(into)
        initialise(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = functional.max_pool2d(self.conv1(image), 3, 2, ceil_mode=True)  # TensorFlow pads at the end only
        maps = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = recomputed(stage, x) if self.checkpointing and torch.is_grad_enabled() else stage(x)
            maps.append(x)
        maps[-1] = functional.relu(self.postnorm(x))
        return maps
