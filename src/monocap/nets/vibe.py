"""VIBE (Kocabas et al., CVPR 2020): SPIN's features through time, and a judge of motion.

::

    features (N,T,2048) of SPIN → GRU, 2 layers → ReLU → linear, added to the features → SPIN's regressor per frame
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from monocap.errors import InputError
from monocap.nets.hmr import FEATURES
from monocap.nets.iterative import BodyOutput, IterativeRegressor
from monocap.nets.network import Network

HIDDEN = 1024
LENGTH = 16  # frames in training; any number at inference


class TemporalEncoder(nn.Module):
    """(N,T,2048) → (N,T,2048), looking back only."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(FEATURES, HIDDEN, num_layers=2, batch_first=True)
        self.linear = nn.Linear(HIDDEN, FEATURES)

    def forward(self, features: Tensor) -> Tensor:
        through, _ = self.gru(features)
        return features + self.linear(torch.relu(through))


class Vibe(Network):
    """The generator: 21,309,597 parameters (the published 21,314,845 count numbers of the licensed body beside it).

    Outputs have two leading axes, people and frames."""

    crop = "vibe"
    second_axis = "T"

    def __init__(self, joints: int = 24, relu: bool = False, dropout: float = 0.5) -> None:
        super().__init__()
        self.joints = joints
        self.encoder = TemporalEncoder()
        self.regressor = IterativeRegressor(FEATURES, joints, relu=relu, dropout=dropout)

    def example(self, count: int) -> dict[str, Tensor]:
        return {"features": torch.randn(count, LENGTH, FEATURES).abs()}

    def own_name(self, official: str) -> str | None:
        return None if official.startswith("regressor.smpl.") else official

    def forward(self, features: Tensor) -> list[BodyOutput]:
        """A body per frame, for every iteration, of `monocap.nets.hmr.Spin.features` (N,T,2048)."""
        if features.ndim != 3:
            raise InputError(f"features of shape {tuple(features.shape)}; expected (N, T, {FEATURES})")
        count, frames = features.shape[:2]
        stages = self.regressor(self.encoder(features).flatten(0, 1))
        return [BodyOutput(*(x.unflatten(0, (count, frames)) for x in stage)) for stage in stages]


class _Attention(nn.Module):
    """Weights of frames from their own content."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            nn.Linear(HIDDEN, HIDDEN), nn.Tanh(), nn.Dropout(0.2),
            nn.Linear(HIDDEN, HIDDEN), nn.Tanh(), nn.Dropout(0.2),
            nn.Linear(HIDDEN, 1),
        )  # fmt: skip

    def forward(self, frames: Tensor) -> Tensor:
        return (self.attention(frames).softmax(dim=1) * frames).sum(dim=1)


class MotionDiscriminator(nn.Module):
    """Is a motion real? ``body_pose`` (N,T,69), axis-angle radians of SMPL's joints without the root → (N,1).

    11,762,690 parameters; ``pose`` 63 leaves the hands out. Trained with least squares: real 1, made 0.
    """

    def __init__(self, pose: int = 69) -> None:
        super().__init__()
        self.gru = nn.GRU(pose, HIDDEN, num_layers=2, batch_first=True)
        self.attention = _Attention()
        self.fc = nn.Linear(HIDDEN, 1)

    def forward(self, body_pose: Tensor) -> Tensor:
        through, _ = self.gru(body_pose)
        return self.fc(self.attention(through))
