"""The gender network for little computing time: a frozen encoder that learned on real people, read where it counts.

Features of the light encoder are taken at places that the keypoints name: a grid over the head and hair, one from the
shoulders to below the hips, elbows, wrists, knees and ankles; two layers decide. So it can be trained on cached
features in minutes, where `monocap.nets.gender` learns from pixels for hours. Same input, same output.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from monocap.nets.backbones.light import CHANNELS, LightEncoder
from monocap.nets.gender import SKELETON
from monocap.skeletons import get

ARCH = "gender-light"
WIDTH = 48
MAPS = ("f32", "f16", "f8", "f2")
_COCO = get(SKELETON)
_NOSE, _EARS = _COCO.index("nose"), tuple(_COCO.indices(("left_ear", "right_ear")).tolist())
_SHOULDERS, _HIPS = (tuple(_COCO.indices((f"left_{n}", f"right_{n}")).tolist()) for n in ("shoulder", "hip"))
_LIMBS = tuple(i for i, n in enumerate(_COCO.joint_names) if n.endswith(("elbow", "wrist", "knee", "ankle")))
_HEAD_GRID = torch.stack(torch.meshgrid(torch.linspace(-1.0, 1.4, 6), torch.linspace(-1, 1, 5), indexing="ij"), -1)
"""Rows, columns, (down, across) in heights of the face from between ears and nose."""
_TRUNK_GRID = torch.stack(torch.meshgrid(torch.linspace(-0.2, 1.6, 7), torch.linspace(-0.7, 0.7, 4), indexing="ij"), -1)
"""Likewise in lengths of the trunk from between the shoulders."""


def vector_length() -> int:
    """F of `read`."""
    head, trunk, limbs = _HEAD_GRID[..., 0].numel(), _TRUNK_GRID[..., 0].numel(), len(_LIMBS)
    near, far = CHANNELS["f32"], CHANNELS["f16"]
    return (head + trunk + limbs) * near + (trunk + limbs) * far + 2 * CHANNELS["f8"] + CHANNELS["f2"] + 3 * 17 + 1


class Judge(nn.Module):
    """Vectors (N,F) of `read` → (N,) log-odds; ``mean`` and ``deviation`` (F,) of them are set before training."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int = WIDTH, dropout: float = 0.4) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(vector_length()))
        self.register_buffer("deviation", torch.ones(vector_length()))
        count = vector_length()
        self.layers = nn.Sequential(
            nn.Dropout(dropout / 2), nn.Linear(count, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 1)
        )

    def forward(self, vector: Tensor) -> Tensor:
        return self.layers(((vector - self.mean) / self.deviation).clamp(-6, 6))[:, 0]


class LightGenderNet(nn.Module):
    """``image`` (N,3,256,256) RGB 0–1 and ``points`` (N,17,3), COCO's, −1…1 across the crop and confidence, zero where
    not seen → (N,) log-odds that somebody looks female, not calibrated."""

    def __init__(self, judge: Judge | None = None) -> None:
        super().__init__()
        self.encoder = LightEncoder().requires_grad_(False)
        self.judge = judge or Judge()

    def forward(self, image: Tensor, points: Tensor) -> Tensor:
        return self.judge(read(self.encoder(image), points))


def read(maps: Mapping[str, Tensor], points: Tensor) -> Tensor:
    """(N,F) what is read of the encoder's `MAPS` (N,C,s,s) for people with ``points`` (N,17,3)."""
    head, face = _head(points)
    trunk, shape = _trunk(points)
    limbs = points[:, list(_LIMBS), :2]
    near = _at(maps["f32"], torch.cat([head, trunk, limbs], dim=1))
    far = _at(maps["f16"], torch.cat([trunk, limbs], dim=1))
    wide = maps["f8"].flatten(2)
    deep = maps["f2"].flatten(2).mean(-1)
    return torch.cat([near, far, wide.mean(-1), wide.amax(-1), deep, shape, points[..., 2], face], dim=1)


def _middle(points: Tensor, rows: tuple[int, ...]) -> Tensor:
    """(N,2) of the points that are seen; 0 if none is."""
    chosen = points[:, list(rows)]
    weight = (chosen[..., 2:] > 0).to(points.dtype) + 1e-6
    return (chosen[..., :2] * weight).sum(dim=1) / weight.sum(dim=1)


def _length(vector: Tensor) -> Tensor:
    return torch.sqrt((vector * vector).sum(dim=-1, keepdim=True) + 1e-8)


def _grid(origin: Tensor, down: Tensor, size: Tensor, grid: Tensor) -> Tensor:
    """(N,G,2) places of a grid (rows, columns, (down, across)) in ``size`` (N,1) with ``down`` (N,2) of length 1."""
    across = torch.stack([down[:, 1], -down[:, 0]], dim=-1)
    flat = grid.reshape(-1, 2).to(origin)
    own = flat[None, :, :1] * down[:, None] + flat[None, :, 1:] * across[:, None]
    return origin[:, None] + size[:, None] * own


def _head(points: Tensor) -> tuple[Tensor, Tensor]:
    """Places over the head (N,30,2), and the height of the face (N,1) in half crops."""
    ears, nose, shoulders = _middle(points, _EARS), points[:, _NOSE, :2], _middle(points, _SHOULDERS)
    apart = points[:, _EARS[0], :2] - points[:, _EARS[1], :2]
    face = torch.maximum(1.25 * _length(apart), 1.6 * _length(nose - ears)).clamp(0.02, 1.5)
    down = shoulders - ears
    return _grid((ears + nose) / 2, down / _length(down), face, _HEAD_GRID), face


def _trunk(points: Tensor) -> tuple[Tensor, Tensor]:
    """Places over the trunk (N,28,2), and all points (N,34) in its own frame and lengths."""
    shoulders, hips = _middle(points, _SHOULDERS), _middle(points, _HIPS)
    down = hips - shoulders
    length = _length(down).clamp(min=0.05)
    down = down / _length(down)
    across = torch.stack([down[:, 1], -down[:, 0]], dim=-1)
    off = (points[..., :2] - shoulders[:, None]) / length[:, None]
    own = torch.stack([(off * down[:, None]).sum(-1), (off * across[:, None]).sum(-1)], dim=-1)
    own = own.clamp(-3, 3) * (points[..., 2:] > 0).to(points.dtype)
    return _grid(shoulders, down, length, _TRUNK_GRID), own.flatten(1)


def _at(maps: Tensor, places: Tensor) -> Tensor:
    """(N,C·G) a map (N,C,s,s) at places (N,G,2), −1…1, between its cells; 0 outside."""
    seen = functional.grid_sample(maps, places[:, :, None], mode="bilinear", padding_mode="zeros", align_corners=False)
    return seen.flatten(1)
