"""The lifter: 31 landmarks in the picture → 31 points in space, one residual network over one frame.

    features (B,187) ─ linear ─ [norm · linear · GELU · linear]+ ×3 ─ GELU · linear ─ points and how sure (B,31,4)

After the simple residual baseline of Martinez et al., *A simple yet effective baseline for 3d human pose estimation*
(2017), with layer instead of batch norms.
"""

from __future__ import annotations

from torch import Tensor, nn


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, width)
        self.down = nn.Linear(width, width)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.down(nn.functional.gelu(self.up(self.norm(h))))


class LifterNet(nn.Module):
    """``features`` numbers in, ``points`` points out, ``width`` channels, ``depth`` residual blocks.

    The numpy twin, and what the features are, is `monocap.perception.lifter`.
    """

    def __init__(self, features: int, points: int, width: int = 384, depth: int = 3) -> None:
        super().__init__()
        self.enter = nn.Linear(features, width)
        self.blocks = nn.ModuleList([_Block(width) for _ in range(depth)])
        self.leave = nn.Linear(width, 4 * points)

    def forward(self, features: Tensor) -> Tensor:
        """(B,points,4): metres relative to the mid-hips, in the frame whose z is the ray through them; and the
        logarithm of the error expected there, metres."""
        h = self.enter(features)
        for block in self.blocks:
            h = block(h)
        return self.leave(nn.functional.gelu(h)).reshape(len(features), -1, 4)
