"""HMR 2.0's transformer decoder (Goel et al., ICCV 2023): one token that looks at the picture's features, six times.

Over a single token self-attention is a linear map; it is there because the released weights have it. Layer names are
those of the released checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH, HEADS, HEAD_WIDTH = 1024, 8, 64


class _Normed(nn.Module):
    """A layer behind a normalisation of what it changes."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.fn = layer

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        return self.fn(self.norm(x), *context)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(N,T,heads · width) of queries (N,T,·), keys and values (N,S,·)."""
    q, k, v = (x.unflatten(-1, (HEADS, HEAD_WIDTH)).transpose(1, 2) for x in (q, k, v))
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class _SelfAttention(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.to_qkv = nn.Linear(WIDTH, 3 * HEADS * HEAD_WIDTH, bias=False)
        self.to_out = nn.Sequential(nn.Linear(HEADS * HEAD_WIDTH, WIDTH), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        return self.to_out(_attend(*self.to_qkv(x).chunk(3, dim=-1)))


class _CrossAttention(nn.Module):
    def __init__(self, context: int, dropout: float) -> None:
        super().__init__()
        self.to_kv = nn.Linear(context, 2 * HEADS * HEAD_WIDTH, bias=False)
        self.to_q = nn.Linear(WIDTH, HEADS * HEAD_WIDTH, bias=False)
        self.to_out = nn.Sequential(nn.Linear(HEADS * HEAD_WIDTH, WIDTH), nn.Dropout(dropout))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.to_out(_attend(self.to_q(x), *self.to_kv(context).chunk(2, dim=-1)))


class _FeedForward(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        layers = (nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Dropout(dropout), nn.Linear(WIDTH, WIDTH), nn.Dropout(dropout))
        self.net = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class _Layers(nn.Module):
    def __init__(self, context: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                _Normed(layer)
                for layer in (_SelfAttention(dropout), _CrossAttention(context, dropout), _FeedForward(dropout))
            )
            for _ in range(depth)
        )

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            look_inside, look_at, think = layer
            x = look_inside(x) + x
            x = look_at(x, context) + x
            x = think(x) + x
        return x


class TokenDecoder(nn.Module):
    """``given`` (N,k) numbers about each person and ``context`` (N,S,C) features → (N,1024).

    HMR 2.0 is given one zero, CameraHMR what it knows of the box and the mean body.
    """

    def __init__(self, context: int, given: int = 1, depth: int = 6, dropout: float = 0.0) -> None:
        super().__init__()
        self.to_token_embedding = nn.Linear(given, WIDTH)
        self.pos_embedding = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.transformer = _Layers(context, depth, dropout)

    def forward(self, given: Tensor, context: Tensor) -> Tensor:
        token = self.to_token_embedding(given)[:, None] + self.pos_embedding
        return self.transformer(token, context)[:, 0]
