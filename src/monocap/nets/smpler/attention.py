"""Attention of few tokens to many image features, and reading features round a point.

Keys and values are never computed for the image: a head's logits (W_q x)·(W_k f) are (W_kᵀ W_q x)·f, and its result
W_v Σ p f, so that projections are paid per token instead of per pixel (26 against thousands). The numbers are the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

NORM_EPS = 1e-12  # the published one


class Attention(nn.Module):
    """Multi-head attention of tokens (N,T,d) to features (N,M,d)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.dropout = dropout

    def forward(self, tokens: Tensor, features: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Results (N,T,d) and weights (N,T,heads,M); ``bias`` (N,T,heads,M) is added to the scaled logits."""
        count, depth = tokens.shape[1], tokens.shape[2] // self.heads
        query = self.query(tokens).unflatten(-1, (self.heads, depth)) * depth**-0.5
        seen = torch.einsum("nthc,hcd->nthd", query, self.key.weight.unflatten(0, (self.heads, depth)))
        # The key's bias adds the same number to all logits of a token and head; kept, so that it has its gradient (0).
        level = (query * self.key.bias.unflatten(0, (self.heads, depth))).sum(-1).flatten(1)[..., None]
        logits = torch.baddbmm(level, seen.flatten(1, 2), features.transpose(1, 2)).unflatten(1, (count, self.heads))
        weights = torch.softmax(logits if bias is None else logits + bias, dim=-1)
        kept = nn.functional.dropout(weights, self.dropout, self.training)
        mixed = (kept.flatten(1, 2) @ features).unflatten(1, (count, self.heads))
        result = torch.einsum("nthd,hcd->nthc", mixed, self.value.weight.unflatten(0, (self.heads, depth)))
        offset = self.value.bias.unflatten(0, (self.heads, depth))
        if self.training and self.dropout:
            offset = offset * kept.sum(-1, keepdim=True)
        return (result + offset).flatten(2), weights


class Layer(nn.Module):
    """A pre-norm layer: attention and feed-forward, each added to its input. Features are not normalised."""

    def __init__(self, width: int, heads: int, hidden: float, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.attention = Attention(width, heads, attention_dropout)
        self.out = nn.Linear(width, width)
        self.hidden_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.up = nn.Linear(width, round(width * hidden))
        self.down = nn.Linear(round(width * hidden), width)
        self.dropout = dropout

    def forward(
        self, tokens: Tensor, features: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Tokens (N,T,d) after attending to ``features`` (N,M,d), or to themselves, and the weights (N,T,heads,M)."""
        normed = self.norm(tokens)
        result, weights = self.attention(normed, normed if features is None else features, bias)
        tokens = tokens + nn.functional.dropout(self.out(result), self.dropout, self.training)
        risen = nn.functional.gelu(self.up(self.hidden_norm(tokens)))
        return tokens + nn.functional.dropout(self.down(risen), self.dropout, self.training), weights


class Window:
    """Where features are read round points (N,J,2) on a map of ``side`` pixels, the centres of the outer ones at ±1.

    ``samples`` (N,J,4r²) are flat pixel numbers at offsets 1−r … r from the pixel left and above, x slowest, clamped to
    the border, ``outside`` (N,J,4r²) marks those that were; ``corners`` (N,J,4) with ``blend`` (N,J,4) interpolate at
    the point itself, counting what lies outside as 0.
    """

    def __init__(self, points: Tensor, side: int, radius: int) -> None:
        self.side, self.radius = side, radius
        at = (points + 1) * (0.5 * (side - 1))
        low = torch.floor(at.detach())
        offsets = torch.arange(1 - radius, radius + 1, device=at.device, dtype=at.dtype)
        clamped = (low[..., None] + offsets).clamp(0, side - 1)  # (N,J,2,2r)
        self.relative = clamped - at[..., None]
        missed = clamped != low[..., None] + offsets
        self.outside = (missed[..., 0, :, None] | missed[..., 1, None, :]).flatten(-2)
        self.samples = self._flat(clamped[..., 0, :], clamped[..., 1, :])
        share = at - low
        near = torch.stack([1 - share, share], dim=-1)  # (N,J,2,2)
        both = torch.stack([low, low + 1], dim=-1)
        near = near * ((both >= 0) & (both <= side - 1))
        both = both.clamp(0, side - 1)
        self.corners = self._flat(both[..., 0, :], both[..., 1, :])
        self.blend = (near[..., 0, :, None] * near[..., 1, None, :]).flatten(-2)

    def _flat(self, x: Tensor, y: Tensor) -> Tensor:
        return (y[..., None, :] * self.side + x[..., :, None]).flatten(-2).long()

    def bias(self, table: Tensor, ignore_outside: bool = False) -> Tensor:
        """(N,J,heads,4r²) from a table (1,heads,2r+1,2r+1; rows are y), interpolated at the samples' exact distances.

        Its centre stands for distance 0, its edges for ±r; beyond it the bias is 0. ``ignore_outside``: samples outside
        get so low a bias that they have no weight, unless all are outside.
        """
        steps = torch.arange(2 * self.radius + 1, device=table.device, dtype=self.relative.dtype)
        hat = (1 - (self.relative[..., None] + self.radius - steps).abs()).clamp(min=0)  # (N,J,2,2r,2r+1)
        by_x, by_y = hat[..., 0, :, :], hat[..., 1, :, :]
        # (heads,y,x) @ → (N,J,heads,y,a) → (N,J,heads,a,b)
        across = table[0] @ by_x.transpose(-1, -2)[..., None, :, :]
        bias = (across.transpose(-1, -2) @ by_y.transpose(-1, -2)[..., None, :, :]).flatten(-2)
        return bias - 1e4 * self.outside[:, :, None].to(bias.dtype) if ignore_outside else bias


def take(features: Tensor, indices: Tensor) -> Tensor:
    """(N,J,S,C) of features (N,M,C) at flat pixel numbers (N,J,S)."""
    base = torch.arange(features.shape[0], device=features.device) * features.shape[1]
    return features.flatten(0, 1)[indices + base[:, None, None]]
