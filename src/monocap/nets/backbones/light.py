"""The light encoder: the trunk of BlazePose's smallest network, its features at five scales.

    256² ─ stem ─ 128² ─ 64² ─ 32² ──┬── 16² ──┬── 8² ─ f8 (192) ─ f4 (192,4²) ─ f2 (192,2²)
                                     │   f16 (56)│
                       f32 (32) ◄────┴◄──────────┴◄─ upsampled, as the network's own heatmaps are made

Inverted residuals (Sandler et al., *MobileNetV2*, 2018) with ReLU6; batch norms are folded into the weights, as
published (Bazarevsky et al., *BlazePose*, 2020; Apache-2.0). f2 is what its landmarks are read from by one linear map.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from monocap.errors import InputError

CHANNELS = {"f32": 32, "f16": 56, "f8": 192, "f4": 192, "f2": 192}
SIZES = {"f32": 32, "f16": 16, "f8": 8, "f4": 4, "f2": 2}
SIDE = 256
_PLACES, _WORLD = 39, 39  # landmarks with 5 numbers each in the crop, and in space
LANDMARKS = 5 * _PLACES + 3 * _WORLD


class _Wise(nn.Module):
    """Depthwise convolution; ``after``: padded behind the last row and column only, as TensorFlow does when halving."""

    def __init__(self, channels: int, size: int = 3, stride: int = 1, after: bool = False) -> None:
        super().__init__()
        self.after = after
        self.conv = nn.Conv2d(channels, channels, size, stride, 0 if after else size // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.pad(x, (0, 1, 0, 1)) if self.after else x)


class _Inverted(nn.Module):
    """Expand, look around, project; added to what came in where nothing changes its size."""

    def __init__(self, given: int, wide: int, out: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.expand = nn.Conv2d(given, wide, 1)
        self.wise = _Wise(wide, size, stride)
        self.project = nn.Conv2d(wide, out, 1)
        self.adds = stride == 1 and given == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(functional.relu6(self.wise(functional.relu6(self.expand(x)))))
        return x + y if self.adds else y


class _Separable(nn.Module):
    """Depthwise and pointwise, each with ReLU6."""

    def __init__(self, given: int, out: int) -> None:
        super().__init__()
        self.wise = _Wise(given)
        self.point = nn.Conv2d(given, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu6(self.point(functional.relu6(self.wise(x))))


class _Residual(nn.Module):
    """Depthwise and pointwise beside the identity, or beside the largest of each four where the map is halved."""

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.wise = _Wise(channels, 3, stride, after=stride == 2)
        self.point = nn.Conv2d(channels, channels, 1)
        self.halves = stride == 2

    def forward(self, x: Tensor) -> Tensor:
        y = self.point(functional.relu6(self.wise(x)))
        return functional.relu6(y + (functional.max_pool2d(x, 2) if self.halves else x))


class Upper(nn.Module):
    """From the map of 16² on: x16 (N,56,16,16) to x8 (N,576,8,8), which the heatmaps are made from, f8, f4 and f2."""

    def __init__(self) -> None:
        super().__init__()
        self.to8 = nn.Sequential(_Inverted(56, 336, 96, 5, 2), *(_Inverted(96, 576, 96, 5) for _ in range(3)))
        self.widen = nn.Conv2d(96, 576, 1)
        self.wide = _Wise(576)
        self.f8 = _Separable(576, 192)
        self.f4 = nn.Sequential(_Residual(192, 2), *(_Residual(192) for _ in range(2)))
        self.f2 = nn.Sequential(_Residual(192, 2), *(_Residual(192) for _ in range(3)))

    def forward(self, x16: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x8 = functional.relu6(self.wide(functional.relu6(self.widen(self.to8(x16)))))
        f8 = self.f8(x8)
        f4 = self.f4(f8)
        return x8, f8, f4, self.f2(f4)


class LightEncoder(nn.Module):
    """Crops (N,3,256,256) RGB in 0…1 → maps of `CHANNELS` × `SIZES`². 1.2 million numbers.

    Modules stand in the order in which the published file holds their weights (`load_published`).
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, 2, 1)
        self.first = _Wise(24)
        self.narrow = nn.Conv2d(24, 8, 1)
        self.to64 = nn.Sequential(_Inverted(8, 32, 16, 3, 2), _Inverted(16, 96, 16, 3))
        self.to32 = nn.Sequential(_Inverted(16, 96, 24, 5, 2), _Inverted(24, 144, 24, 5))
        self.side32 = _Separable(24, 32)
        self.to16 = nn.Sequential(
            _Inverted(24, 144, 40, 3, 2), *(_Inverted(40, 240, 40, 3) for _ in range(2)),
            _Inverted(40, 240, 56, 5), *(_Inverted(56, 336, 56, 5) for _ in range(2)),
        )  # fmt: skip
        self.side16 = _Separable(56, 32)
        self.upper = Upper()
        self.side8 = _Separable(576, 32)

    def forward(self, crop: Tensor) -> dict[str, Tensor]:
        x = functional.relu6(self.stem(crop))
        x = self.narrow(functional.relu6(self.first(x)))
        x32 = self.to32(self.to64(x))
        x16 = self.to16(x32)
        x8, f8, f4, f2 = self.upper(x16)
        up16 = _twice(self.side8(x8)) + self.side16(x16)
        return {"f32": _twice(up16) + self.side32(x32), "f16": x16, "f8": f8, "f4": f4, "f2": f2}

    def convolutions(self) -> Iterator[nn.Conv2d]:
        """All of them, in the order of the published file."""
        return (module for module in self.modules() if isinstance(module, nn.Conv2d))


class Landmarks(nn.Module):
    """f2 (N,192,2,2) → (N,312): where the published network's 39 landmarks lie in the crop, −1…1 with depth in the same
    unit, how visible and present they are, 0…1, and their places in space in half metres. One linear map, as published.
    """

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Conv2d(CHANNELS["f2"], 5 * _PLACES, 2)
        self.world = nn.Conv2d(CHANNELS["f2"], 3 * _WORLD, 2)

    def forward(self, f2: Tensor) -> Tensor:
        told = self.places(f2).flatten(1).unflatten(1, (_PLACES, 5))
        where = (told[..., :3] - told.new_tensor([SIDE / 2, SIDE / 2, 0.0])) * (2 / SIDE)
        return torch.cat([where.flatten(1), told[..., 3:].sigmoid().flatten(1), 2 * self.world(f2).flatten(1)], dim=1)


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def load_published(
    encoder: LightEncoder, path: str | os.PathLike[str], landmarks: Landmarks | None = None
) -> LightEncoder:
    """Fill ``encoder``, and ``landmarks`` if given, from the shipped landmark network (``blazepose_lite.onnx``).

    Raises InputError for a file whose trunk is another one. Needs the package onnx.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(os.fspath(path)).graph
    stored = {one.name: one for one in graph.initializer}
    made = {node.output[0]: node for node in graph.node}

    def weight(name: str) -> Tensor:
        while name not in stored:  # widened from half precision
            name = made[name].input[0]
        return torch.from_numpy(numpy_helper.to_array(stored[name]).copy()).float()

    rows = iter([node for node in graph.node if node.op_type == "Conv"])
    with torch.no_grad():
        for conv in encoder.convolutions():
            # convolutions of the other branches (mask, landmarks, heatmaps at 128²) lie between ours
            for node in rows:
                found = weight(node.input[1])
                if found.shape == conv.weight.shape and _reads(node, conv):
                    break
            else:
                raise InputError(f"{path}: no convolution {tuple(conv.weight.shape)} where the encoder has one")
            conv.weight.copy_(found)
            assert conv.bias is not None
            conv.bias.copy_(weight(node.input[2]))
        if landmarks is not None:
            for conv, name in ((landmarks.places, "landmarks"), (landmarks.world, "world_landmarks")):
                node = made[name]
                while node.op_type != "Conv":
                    node = made[node.input[0]]
                assert conv.bias is not None
                conv.weight.copy_(weight(node.input[1]))
                conv.bias.copy_(weight(node.input[2]))
    return encoder


class _InOrder(nn.Module):
    """The maps of an encoder as a tuple, which is what a graph can return."""

    def __init__(self, encoder: LightEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, crop: Tensor) -> tuple[Tensor, ...]:
        maps = self.encoder(crop)
        return tuple(maps[name] for name in CHANNELS)


def write_encoder(encoder: LightEncoder, path: str | os.PathLike[str]) -> None:
    """An ONNX file: ``crop`` (N,3,256,256) to the maps by their names; six times as fast on a processor."""
    names = ["crop", *CHANNELS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _InOrder(encoder), (torch.zeros(2, 3, SIDE, SIDE),), os.fspath(path), input_names=names[:1],
            output_names=names[1:], dynamic_axes={name: {0: "N"} for name in names}, opset_version=17, dynamo=False,
        )  # fmt: skip


def _reads(node: object, conv: nn.Conv2d) -> bool:
    """Whether strides and groups are those of ``conv``."""
    named = {one.name: list(one.ints) or one.i for one in node.attribute}  # type: ignore[attr-defined]
    return named.get("strides", [1, 1]) == list(conv.stride) and named.get("group", 1) == conv.groups
