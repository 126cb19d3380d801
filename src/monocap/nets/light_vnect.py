"""VNect's read-out on the light encoder: what ships for processors.

    crop ─ LightEncoder ─┬─ 32² ───────────────────────────────────────────────┐
                         └─ 16² ─┬──────────────────────────────┐              │
                                 └─ Upper ─ 8², 4², 2² ─ merged ─ 16² (tap) ─┬──┴─ 32²: F
                                                                             └─ Δ at 16², twice as large
    F, Δ, bone lengths of Δ ─ 32²: heatmaps, X, Y, Z

As in the published network (`vnect`), maps relative to each joint's parent are made first, and the last layers are
shown them with the lengths of their bones (Mehta et al., *VNect*, SIGGRAPH 2017). Separable convolutions throughout.
"""

from __future__ import annotations

import os
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from monocap.nets.backbones.light import CHANNELS, SIDE, SIZES, LightEncoder, Upper, load_published
from monocap.nets.backbones.resnet import initialise
from monocap.nets.network import random_image
from monocap.nets.vnect_maps import DELTAS, JOINTS, UNIT, Looked, Maps, VnectNetwork, bone_lengths

_GLANCE = 256  # numbers of the whole person, told to every cell
_STILL = 1e-2  # deviations below it count as this
_WIDE, _FINE = 96, 64  # channels at 8² and 16², at 32²
NEEDS = ("f32", "f16")
"""The encoder's maps that training does not change."""


def _point(given: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(given, out, 1, bias=False), nn.BatchNorm2d(out))


class _Separable(nn.Module):
    """Depthwise and pointwise, beside the identity."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.wise = nn.Conv2d(channels, channels, size, padding=size // 2, groups=channels, bias=False)
        self.point = _point(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.point(self.wise(x)))


class VnectHead(nn.Module):
    """From the encoder's five maps to heatmaps and location maps of 32²."""

    def __init__(self) -> None:
        super().__init__()
        self.glance = nn.Linear(CHANNELS["f2"] * SIZES["f2"] ** 2, _GLANCE)
        self.tell = nn.Linear(_GLANCE, _WIDE)
        self.side4, self.side8 = _point(CHANNELS["f4"], _WIDE), _point(CHANNELS["f8"], _WIDE)
        self.side16, self.side32 = _point(CHANNELS["f16"], _WIDE), _point(CHANNELS["f32"], _FINE)
        self.at8 = nn.Sequential(_Separable(_WIDE, 5), _Separable(_WIDE, 5))
        self.at16 = nn.Sequential(_Separable(_WIDE, 5), _Separable(_WIDE, 5))
        self.deltas = nn.Conv2d(_WIDE, DELTAS, 1)
        self.down = _point(_WIDE, _FINE)
        self.at32 = _Separable(_FINE, 3)
        self.gather = _point(_FINE + DELTAS + JOINTS, _FINE)
        maps = nn.Conv2d(_FINE, 4 * JOINTS, 1)
        self.last = nn.Sequential(_Separable(_FINE, 3), maps)
        initialise(self)
        for last in (self.deltas, maps):  # nothing is anywhere, to begin with
            nn.init.normal_(last.weight, std=0.01)
        for linear in (self.glance, self.tell):
            nn.init.kaiming_normal_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, maps: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(N,84,32,32), the maps relative to parents (N,63,32,32), both in decimetres, and the tap (N,96,16,16)."""
        whole = self.tell(functional.relu(self.glance(maps["f2"].flatten(1))))[..., None, None]
        x8 = self.at8(functional.relu(self.side8(maps["f8"]) + _twice(self.side4(maps["f4"])) + whole))
        x16 = self.at16(functional.relu(self.side16(maps["f16"]) + _twice(x8)))
        deltas = _twice(self.deltas(x16))
        fine = self.at32(functional.relu(self.side32(maps["f32"]) + _twice(self.down(x16))))
        gathered = self.gather(torch.cat([fine, deltas, bone_lengths(deltas)], dim=1))
        return self.last(functional.relu(gathered)), deltas, x16

    @torch.no_grad()
    def settle(self, maps: dict[str, Tensor]) -> None:
        """Begin as if each channel of the maps (N,C,h,w) had mean 0 and deviation 1, as in these of many pictures."""
        for name, side in (("f4", self.side4), ("f8", self.side8), ("f16", self.side16), ("f32", self.side32)):
            conv = side[0]
            assert isinstance(conv, nn.Conv2d)
            conv.weight /= maps[name].float().std((0, 2, 3)).clamp(min=_STILL)[None, :, None, None]
        whole = maps["f2"].float().flatten(1)
        self.glance.weight /= whole.std(0).clamp(min=_STILL)
        self.glance.bias.sub_(self.glance.weight @ whole.mean(0))


class LightVnect(VnectNetwork):
    """Encoder as published, its upper half once more to be learned further, head."""

    crop = "light"
    axes = "crop"
    taps: ClassVar[dict[str, int]] = {"at16": _WIDE}

    def __init__(self) -> None:
        super().__init__()
        self.encoder = LightEncoder()
        self.upper = Upper()
        self.head = VnectHead()

    def look(self, crop: Tensor) -> Looked:
        """As `VnectNetwork.look`, of crops (N,3,256,256) RGB 0…1."""
        return self.read(self.encoder(crop))

    def read(self, maps: dict[str, Tensor]) -> Looked:
        """The same of the encoder's own maps (`NEEDS` are enough)."""
        channels, deltas, tap = self.head(self._all(maps))
        return Looked(Maps.of(channels), UNIT * deltas, {"at16": tap})

    def example(self, count: int) -> dict[str, Tensor]:
        return {"crop": 0.5 + 0.2 * random_image(count, SIDE, SIDE)}

    def load_encoder(self, path: str | os.PathLike[str]) -> None:
        """Encoder and upper half as published, from the shipped ``blazepose_lite.onnx``."""
        load_published(self.encoder, path)
        self.upper.load_state_dict(self.encoder.upper.state_dict())

    def settle(self, maps: dict[str, Tensor]) -> None:
        """Fit the first layers of a fresh head to the encoder's maps (N,C,h,w) of many pictures."""
        with torch.no_grad():
            self.head.settle(self._all(maps))

    def _all(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        _, f8, f4, f2 = self.upper(maps["f16"])
        return {name: maps[name] for name in NEEDS} | {"f8": f8, "f4": f4, "f2": f2}


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
