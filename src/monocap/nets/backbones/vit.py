"""The plain vision transformer of ViTPose (Xu et al., NeurIPS 2022) as HMR 2.0, TokenHMR and CameraHMR use it.

::

    picture (N,3,256,192) → 16×16 patches, 2 pixels of padding → 16 × 12 tokens + position → blocks → norm → (N,C,16,12)

The learned positions keep the place of a class token that is not there: it is added to every other token. Layer names
are those of the released checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from monocap.errors import InputError
from monocap.nets.checkpointing import recomputed

PATCH = 16
PADDING = 2
SHAPE = (256, 192)
EPSILON = 1e-6


@dataclass(frozen=True)
class VitSize:
    """``width`` C of tokens, ``depth`` in blocks, ``heads``; ``drop_path``: how often training skips the last block."""

    width: int
    depth: int
    heads: int
    drop_path: float


SIZES = {"S": VitSize(384, 12, 12, 0.1), "B": VitSize(768, 12, 12, 0.3), "H": VitSize(1280, 32, 16, 0.55)}


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(seen.transpose(1, 2).flatten(2))


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class _Block(nn.Module):
    """Normalised attention and normalised layers, each added; in training left out for some people at random."""

    def __init__(self, size: VitSize, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.norm1 = nn.LayerNorm(size.width, eps=EPSILON)
        self.attn = _Attention(size.width, size.heads)
        self.norm2 = nn.LayerNorm(size.width, eps=EPSILON)
        self.mlp = _Mlp(size.width)

    def _kept(self, x: Tensor) -> Tensor:
        if not self.training or self.drop == 0:
            return x
        keep = torch.rand(x.shape[0], 1, 1, device=x.device, dtype=x.dtype) >= self.drop
        return x * keep / (1 - self.drop)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._kept(self.attn(self.norm1(x)))
        return x + self._kept(self.mlp(self.norm2(x)))


class _Patches(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH, PADDING)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image)


class Vit(nn.Module):
    """(N,3,256,192) → (N,C,16,12). ``size`` "S", "B" or "H" (630,912,000 parameters); ``checkpointing`` recomputes
    activations block by block in training. Raises InputError for another size of network or picture."""

    def __init__(self, size: str = "H", checkpointing: bool = False, drop_path: float | None = None) -> None:
        super().__init__()
        if size not in SIZES:
            raise InputError(f"vision transformer of size {size!r}; expected {', '.join(SIZES)}")
        sizes = SIZES[size]
        self.checkpointing = checkpointing
        self.channels = sizes.width
        self.grid = tuple((side + 2 * PADDING - PATCH) // PATCH + 1 for side in SHAPE)
        self.patch_embed = _Patches(sizes.width)
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid[0] * self.grid[1], sizes.width))
        deepest = sizes.drop_path if drop_path is None else drop_path
        drops = [deepest * i / (sizes.depth - 1) for i in range(sizes.depth)]
        self.blocks = nn.ModuleList(_Block(sizes, drop) for drop in drops)
        self.last_norm = nn.LayerNorm(sizes.width, eps=EPSILON)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> Tensor:
        if tuple(image.shape[1:]) != (3, *SHAPE):
            raise InputError(f"pictures of shape {tuple(image.shape)}; expected (N, 3, {SHAPE[0]}, {SHAPE[1]})")
        x = self.patch_embed(image).flatten(2).transpose(1, 2)
        x = x + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks:
            x = recomputed(block, x) if self.checkpointing and torch.is_grad_enabled() else block(x)
        return self.last_norm(x).transpose(1, 2).reshape(-1, self.channels, *self.grid)  # traces with any batch size
