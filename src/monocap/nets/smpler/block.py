"""One block of SMPLer: tokens attend to every scale, joints to their surroundings, and all to one another."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from monocap.geometry.rotations import rotation_6d_to_matrix
from monocap.nets.iterative import BETAS, BodyOutput, precise, unmixed
from monocap.nets.smpler.attention import NORM_EPS, Layer, Window, take
from monocap.nets.smpler.config import SmplerConfig
from monocap.nets.smpler.looks import Looks


class Projection(nn.Module):
    """Pixels (…,C) to normalised tokens (…,d)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, width)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.norm(self.linear(pixels))


class Unit(nn.Module):
    """Global attention per scale, averaged; joints' tokens averaged with local attention; attention among tokens."""

    def __init__(self, config: SmplerConfig) -> None:
        super().__init__()

        def layer() -> Layer:
            return Layer(config.width, config.heads, config.hidden, config.dropout, config.attention_dropout)

        self.joints, self.ignore_outside = config.joints, config.border == "ignore"
        self.global_layers = nn.ModuleList([layer() for _ in config.global_scales])
        self.local_layer = layer() if config.local else None
        if config.local:
            side = 2 * config.radius + 1
            self.bias_table = nn.Parameter(torch.zeros(1, config.heads, side, side))
        self.self_layer = layer()

    def forward(
        self, tokens: Tensor, scales: list[Tensor], around: Tensor | None, window: Window | None
    ) -> tuple[Tensor, list[Tensor], Tensor | None]:
        """Tokens (N,J+2,d), weights per scale (N,J+2,heads,M) and of the windows (N,J,heads,4r²).

        ``scales`` (N,M,d) each; ``around`` (N,J,4r²,d) what lies in each joint's ``window``.
        """
        seen = [layer(tokens, scale) for layer, scale in zip(self.global_layers, scales, strict=True)]
        after = torch.stack([result for result, _ in seen]).mean(0) if len(seen) > 1 else seen[0][0]
        near = None
        if self.local_layer is not None and around is not None and window is not None:
            joints = tokens[:, : self.joints].reshape(-1, 1, tokens.shape[-1])
            bias = window.bias(self.bias_table, self.ignore_outside).flatten(0, 1)[:, None]
            local, near = self.local_layer(joints, around.flatten(0, 1), bias)
            local = local.reshape(-1, self.joints, tokens.shape[-1])
            after = torch.cat([(after[:, : self.joints] + local) * 0.5, after[:, self.joints :]], dim=1)
            near = near.reshape(-1, self.joints, *near.shape[2:])
        return self.self_layer(after)[0], [weights for _, weights in seen], near


class Block(nn.Module):
    """Tokens in, tokens and corrections of rotations, shape and camera out, with features read where joints are."""

    def __init__(self, config: SmplerConfig) -> None:
        super().__init__()
        self.config = config
        c, d = config, config.width
        used = sorted(set(c.global_scales) | ({c.local_scale} if c.local else set()))
        self.projections = nn.ModuleDict({str(s): Projection(c.channels[s], d) for s in used})
        if c.local:
            self.joint_feature = nn.Linear(d, d)
        sides = [c.sizes[s] for s in c.global_scales][: 1 if c.pooled_position else None]
        self.positions = nn.ParameterList([nn.Parameter(0.1 * torch.randn(1, d, side, side)) for side in sides])
        self.enter = nn.Linear(d, d)
        self.token_position = nn.Embedding(c.tokens, d)
        self.units = nn.ModuleList([Unit(c) for _ in range(c.units)])
        self.leave = nn.Linear(d, d)
        self.residual = nn.Linear(d, d)
        self.pose = nn.Linear(d, 6)
        self.shape = nn.Linear(d, BETAS)
        self.cam = nn.Linear(d, 3)
        for head in (self.pose, self.shape, self.cam):
            nn.init.normal_(head.weight, std=1e-3)
            nn.init.zeros_(head.bias)
        first, second = {"interleaved_columns": (0, 3)}.get(c.layout, (0, 4))
        with torch.no_grad():
            self.pose.bias[[first, second]] = 0.1  # no turn

    def position(self, k: int) -> Tensor:
        """(1,M,d) of the k-th attended map."""
        c = self.config
        if not c.pooled_position:
            embedding = self.positions[k]
        else:
            embedding = self.positions[0]
            # Halving repeatedly is the mean over squares of that size.
            step = c.sizes[c.global_scales[0]] // c.sizes[c.global_scales[k]]
            embedding = nn.functional.avg_pool2d(embedding, step) if step > 1 else embedding
        return embedding.flatten(2).transpose(1, 2)

    def forward(
        self, tokens: Tensor, maps: list[Tensor], points: Tensor, look: bool = False
    ) -> tuple[Tensor, BodyOutput, Looks | None]:
        """New tokens (N,J+2,d), what turns the rotations and is added to betas and camera, and where tokens looked.

        ``tokens`` (N,J+2,d); ``maps`` (N,M,C) of every scale, pixels row by row; ``points`` (N,J,2) −1…1.
        """
        c = self.config
        projected = {s: self.projections[str(s)](maps[s]) for s in c.global_scales}
        window = around = None
        if c.local:
            window = Window(points, c.sizes[c.local_scale], c.radius)
            both = torch.cat([window.corners, window.samples], dim=-1)
            if c.local_scale in projected:
                read = take(projected[c.local_scale], both)
            else:  # what is not looked at globally need not be projected whole
                read = self.projections[str(c.local_scale)](take(maps[c.local_scale], both))
            around = read[:, :, 4:]
            feature = self.joint_feature((window.blend[..., None] * read[:, :, :4]).sum(2))
            rest = feature.mean(1, keepdim=True).expand(-1, 2, -1)
            tokens = tokens + torch.cat([feature, rest], dim=1)
        x = self.enter(tokens) + self.token_position.weight
        x = nn.functional.dropout(x, c.dropout, self.training)
        scales = [projected[s] + self.position(k) for k, s in enumerate(c.global_scales)]
        looked = []
        for unit in self.units:
            x, far, near = unit(x, scales, around, window)
            looked.append((far, near))
        tokens = self.leave(x) + self.residual(tokens)
        with unmixed(tokens):
            last = precise(tokens)
            turns = rotation_6d_to_matrix(self.pose(last[:, : c.joints]), c.layout)
            change = BodyOutput(turns, self.shape(last[:, c.joints]), self.cam(last[:, c.joints + 1]))
        return tokens, change, self._looks(looked, window) if look else None

    def _looks(self, looked: list[tuple[list[Tensor], Tensor | None]], window: Window | None) -> Looks:
        sides = [self.config.sizes[s] for s in self.config.global_scales]
        means = [torch.stack([f[k] for f, _ in looked]).mean((0, 3)) for k in range(len(sides))]
        far = [mean.unflatten(-1, (side, side)) for mean, side in zip(means, sides, strict=True)]
        if window is None:
            return Looks(far, None, None)
        near = torch.stack([n for _, n in looked if n is not None]).mean((0, 3))
        return Looks(far, near, window.samples)
