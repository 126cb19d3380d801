"""What both VNect networks answer with, and what else training looks at."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from monocap.nets.network import Network
from monocap.skeletons import get, vnect

JOINTS = len(get(vnect.NAME))
DELTAS = 3 * JOINTS
UNIT = 0.1  # m: inside, location maps are in decimetres, as the official ones are; so all maps are numbers of about 1


class Maps(NamedTuple):
    """``heatmaps`` (N,21,h,w), 0–1 at a joint; ``x``, ``y``, ``z`` (N,21,h,w): where the joint is that lies there, in
    metres of the person of normalised height (`monocap.skeletons.vnect`), about the pelvis; x right, y down, z ahead.
    """

    heatmaps: Tensor
    x: Tensor
    y: Tensor
    z: Tensor

    @classmethod
    def of(cls, channels: Tensor) -> Maps:
        """From the last layer's (N,84,h,w), location maps in decimetres."""
        heatmaps, *located = channels.split(JOINTS, dim=1)
        return cls(heatmaps, *(UNIT * one for one in located))


class Looked(NamedTuple):
    """``maps``; ``deltas`` (N,63,h,w): the same relative to each joint's parent, X of all joints, then Y, then Z, m;
    ``taps``: feature maps (N,C,h',w') by layer, which intermediate supervision reads."""

    maps: Maps
    deltas: Tensor
    taps: dict[str, Tensor]


class VnectNetwork(Network):
    """A network with heatmaps and location maps. ``axes``: those of the whole picture's "camera", or of a camera that
    looks at the middle of the "crop" and is turned as the crop is; ``taps``: channels of each layer that `look` gives.
    """

    layout = None
    joints = JOINTS
    outputs = Maps._fields
    axes: ClassVar[str]
    taps: ClassVar[dict[str, int]]

    def described(self) -> dict[str, str]:
        return {"axes": self.axes, "knee_neck": str(vnect.KNEE_NECK)}

    def look(self, crop: Tensor) -> Looked:
        """All that training looks at, for normalised crops (N,3,S,S)."""
        raise NotImplementedError

    def forward(self, crop: Tensor) -> Maps:
        """The maps of normalised crops (N,3,S,S)."""
        return self.look(crop).maps

    def answer(self, *given: Tensor) -> Maps:  # type: ignore[override]
        return self(*given)


def bone_lengths(deltas: Tensor) -> Tensor:
    """(N,21,h,w): lengths of parent-relative maps (N,63,h,w), which the last layers are shown (spec: never supervised).

    Finite slopes where a length is 0."""
    x, y, z = deltas.split(JOINTS, dim=1)
    return torch.sqrt(x * x + y * y + z * z + 1e-12)
