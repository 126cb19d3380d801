"""VNect's network: ResNet-50 whose fifth stage became heatmaps and location maps (Mehta et al., SIGGRAPH 2017).

    368² ─ conv1, pool ─ 92² ─ res2 ─ res3: 46² ─ res4: 23² ─ res5a ─ res5b ─┬─ twice as large: Δ of 21 joints, X, Y, Z
                                                                             └─ twice as large: 128, normalised
    128, Δ, bone lengths of Δ ─ res5c: 46²: heatmaps, X, Y, Z

Layers have the names of the released Caffe model. It was trained with normalisation behind every convolution and
released with that folded into the weights; so ``norm=True`` builds it for training and `folded` makes the other of it:
14,615,680 numbers. The stride of a stage sits in its first 1×1 convolutions, as in Caffe's ResNet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from monocap.errors import InputError
from monocap.nets.backbones.resnet import initialise
from monocap.nets.network import fill, random_image
from monocap.nets.vnect_maps import DELTAS, JOINTS, UNIT, Looked, Maps, VnectNetwork, bone_lengths

SIDE = 368
_STAGES = ((2, 64, "abc", 1), (3, 128, "abcd", 2), (4, 256, "abcdef", 2))  # number, width, blocks, stride
_FEATURES = 128


class _Conv(nn.Sequential):
    """A convolution with bias, or without and normalised behind."""

    def __init__(self, given: int, out: int, size: int, stride: int = 1, norm: bool = False) -> None:
        conv = nn.Conv2d(given, out, size, stride, size // 2, bias=not norm)
        super().__init__(conv, *([nn.BatchNorm2d(out)] if norm else []))


class _Block(nn.Module):
    """1×1 with the stride, 3×3, 1×1, beside a shortcut."""

    def __init__(self, given: int, width: int, out: int, stride: int, norm: bool) -> None:
        super().__init__()
        self.branch2a = _Conv(given, width, 1, stride, norm)
        self.branch2b = _Conv(width, width, 3, 1, norm)
        self.branch2c = _Conv(width, out, 1, 1, norm)
        self.branch1 = _Conv(given, out, 1, stride, norm) if given != out or stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.branch2c(functional.relu(self.branch2b(functional.relu(self.branch2a(x)))))
        return functional.relu(y + (x if self.branch1 is None else self.branch1(x)))


class _Plain(nn.Module):
    """Three convolutions in a row: res5b."""

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.branch2a = _Conv(1024, 256, 1, 1, norm)
        self.branch2b = _Conv(256, 128, 3, 1, norm)
        self.branch2c = _Conv(128, 256, 1, 1, norm)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.branch2a, self.branch2b, self.branch2c):
            x = functional.relu(layer(x))
        return x


class Vnect(VnectNetwork):
    """Crops (N,3,S,S), BGR / 255 − 0.4, S a multiple of 16 (368) → maps of (S/8)². ``norm``: for training."""

    crop = "vnect"
    axes = "camera"
    taps: ClassVar[dict[str, int]] = {"res4d": 1024, "res5a": 1024}

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        self.norm = norm
        self.conv1 = _Conv(3, 64, 7, 2, norm)
        given = 64
        for number, width, blocks, stride in _STAGES:
            for letter in blocks:
                block = _Block(given, width, 4 * width, stride if letter == "a" else 1, norm)
                self.add_module(f"res{number}{letter}", block)
                given = 4 * width
        self.res5a = _Block(1024, 512, 1024, 1, norm)
        self.res5a.branch1 = self.res5a.branch1 or _Conv(1024, 1024, 1, 1, norm)  # it is projected all the same
        self.res5b = _Plain(norm)
        self.res5c_branch1a = nn.ConvTranspose2d(256, DELTAS, 4, 2, 1, bias=False)
        self.res5c_branch2a = nn.ConvTranspose2d(256, _FEATURES, 4, 2, 1, bias=False)
        self.bn5c_branch2a = nn.BatchNorm2d(_FEATURES)
        self.res5c_branch2b = _Conv(_FEATURES + DELTAS + JOINTS, 128, 3, 1, norm)
        self.res5c_branch2c = nn.Conv2d(128, 4 * JOINTS, 1, bias=False)
        initialise(self)
        for last in (self.res5c_branch1a, self.res5c_branch2c):  # nothing is anywhere, to begin with
            nn.init.normal_(last.weight, std=0.01)

    def look(self, crop: Tensor) -> Looked:
        # Caffe's pool begins at the first pixel and reaches beyond the last
        x = functional.max_pool2d(functional.relu(self.conv1(crop)), 3, 2, ceil_mode=True)
        taps: dict[str, Tensor] = {}
        for name, block in self.named_children():
            if isinstance(block, _Block):
                x = block(x)
                if name in self.taps:
                    taps[name] = x
        x = self.res5b(x)
        deltas = self.res5c_branch1a(x)
        features = functional.relu(self.bn5c_branch2a(self.res5c_branch2a(x)))
        x = functional.relu(self.res5c_branch2b(torch.cat([features, deltas, bone_lengths(deltas)], dim=1)))
        return Looked(Maps.of(self.res5c_branch2c(x)), UNIT * deltas, taps)

    def example(self, count: int) -> dict[str, Tensor]:
        return {"crop": 0.1 + 0.25 * random_image(count, SIDE, SIDE)}

    def folded(self) -> Vnect:
        """The same function (of running statistics) with normalisation in the weights, but for bn5c as released."""
        made, state = Vnect(), self.state_dict()
        own: dict[str, Tensor] = {}
        for name in made.state_dict():
            layer, _, last = name.rpartition(".")
            if not self.norm or not layer.endswith(".0"):
                own[name] = state[name]
                continue
            norm = self.get_submodule(layer.removesuffix(".0") + ".1")
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            gain = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
            if last == "weight":
                own[name] = state[name] * gain[:, None, None, None]
            else:
                own[name] = norm.bias.detach() - norm.running_mean * gain
        return fill(made, own)

    def own_name(self, official: str) -> str | None:
        """The name here of a tensor of the released model: "res2a_branch2a.weight", "bn5c_branch2a.running_mean" …"""
        layer, _, kind = official.rpartition(".")
        if self.norm:
            raise InputError("released weights have their normalisation folded; build vnect without norm")
        if layer.startswith(("res5c_branch1a", "res5c_branch2a", "res5c_branch2c", "bn5c_branch2a")):
            return f"{layer}.{kind}"
        whole = layer.removesuffix("_new")
        block, _, branch = whole.partition("_")
        inside = f"{block}.{branch}" if branch and block != "res5c" else whole
        return f"{inside}.0.{kind}"


def is_vnect(state: Mapping[str, object]) -> bool:
    """Whether tensors by official names are VNect's."""
    return {"res5a_branch2a_new.weight", "res5c_branch1a.weight"} <= set(state)
