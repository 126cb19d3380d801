"""SMPLer's head: feature maps in, a body per stage out, whatever network made the features.

A regressor's first estimate becomes tokens, one per joint, one for shape, one for the camera. Every block reads the
image where the present estimate puts the joints and corrects it. Source: Xu, Liu, Wang, Jiang, Yang, *SMPLer: Taming
Transformers for Monocular 3D Human Shape and Pose Estimation* (TPAMI 2024), as its authors' program computes it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from monocap.errors import InputError
from monocap.nets.iterative import BETAS, BodyOutput, IterativeRegressor, MeanBody, precise, unmixed
from monocap.nets.smpler.block import Block
from monocap.nets.smpler.config import SmplerConfig
from monocap.nets.smpler.looks import Looks

Joints2D = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(rotmats (N,J,3,3), betas (N,b), cam (N,3)) → points (N,J,2), −1…1 across the crop."""


class Predictor(IterativeRegressor):
    """The first estimate: the HMR family's regressor with ReLU, from the global feature."""

    def __init__(self, config: SmplerConfig, rotmats: Tensor | None = None, betas: Tensor | None = None) -> None:
        c, mean = config, None
        if rotmats is not None:
            shape = np.zeros(BETAS) if betas is None else betas.numpy()
            mean = MeanBody(rotmats.numpy(), shape, np.array(c.cam))
        super().__init__(
            c.g,
            c.joints,
            layout=c.layout,
            relu=True,
            dropout=c.predictor_dropout,
            box_info=c.box_info,
            iterations=c.iterations,
            hidden=c.predictor_width,
            mean=mean,
        )
        if mean is None:
            self.init_cam.copy_(torch.tensor([c.cam]))


class SmplerHead(nn.Module):
    """``config`` says which maps it takes; ``joints2d`` where joints fall in the crop (a module is kept as a part);
    the first estimate starts at ``mean_rotmats`` (J,3,3) and ``mean_betas`` (10,), by default those of `mean_body`,
    with the configuration's camera."""

    def __init__(
        self,
        config: SmplerConfig,
        joints2d: Joints2D,
        mean_rotmats: Tensor | None = None,
        mean_betas: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.joints2d = joints2d
        self.predictor = Predictor(config, mean_rotmats, mean_betas)
        self.pose_token = nn.Linear(9, config.width)
        self.shape_token = nn.Linear(BETAS, config.width)
        self.cam_token = nn.Linear(3, config.width)
        self.global_token = nn.Linear(config.g, config.width)
        if config.box_info:
            self.box_token = nn.Linear(config.box_info, config.width)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.blocks)])

    def forward(
        self, features: list[Tensor], g: Tensor | None = None, box_info: Tensor | None = None
    ) -> list[BodyOutput]:
        """The estimate before the first block and after each.

        ``features`` (N,C,h,h) from fine to coarse; ``g`` (N,G), by default the last map's mean; ``box_info`` (N,k).
        Raises InputError when they do not fit the configuration.
        """
        return self.stages(features, g, box_info)[0]

    def stages(
        self, features: list[Tensor], g: Tensor | None = None, box_info: Tensor | None = None, look: bool = False
    ) -> tuple[list[BodyOutput], list[Looks]]:
        """As `forward`; with ``look`` also where tokens looked in every block."""
        g = features[-1].mean((2, 3)) if g is None else g
        self._check(features, g, box_info)
        with unmixed(g):
            state = self.predictor(precise(g), box_info)[-1]
        cam_token = self.cam_token(state.cam)
        if box_info is not None:
            cam_token = cam_token + self.box_token(box_info)
        parts = [self.pose_token(state.rotmats.flatten(2)), self.shape_token(state.betas)[:, None], cam_token[:, None]]
        tokens = torch.cat(parts, dim=1) + self.global_token(g)[:, None]
        maps = [f.flatten(2).transpose(1, 2) for f in features]
        outputs, looks = [state], []
        for block in self.blocks:
            points = self._points(state)
            tokens, change, looked = block(tokens, maps, points, look)
            with unmixed(g):
                rotmats = state.rotmats @ change.rotmats
            state = BodyOutput(rotmats, state.betas + change.betas, state.cam + change.cam)
            outputs.append(state)
            if looked is not None:
                looks.append(looked)
        return outputs, looks

    def _points(self, state: BodyOutput) -> Tensor:
        if not self.config.local:
            return state.cam.new_zeros(state.cam.shape[0], self.config.joints, 2)
        flow = self.config.points == "flow" and torch.is_grad_enabled()
        with torch.set_grad_enabled(flow), unmixed(state.cam):
            return self.joints2d(state.rotmats, state.betas, state.cam)

    def _check(self, features: list[Tensor], g: Tensor, box_info: Tensor | None) -> None:
        c = self.config
        want = [(channels, side, side) for channels, side in zip(c.channels, c.sizes, strict=True)]
        got = [tuple(f.shape[1:]) for f in features]
        if got != want:
            raise InputError(f"SMPLer: features {got}; expected {want}")
        if g.shape[1] != c.g:
            raise InputError(f"SMPLer: a global feature of {g.shape[1]} numbers; expected {c.g}")
        numbers = 0 if box_info is None else box_info.shape[1]
        if numbers != c.box_info:
            raise InputError(f"SMPLer: {numbers} numbers about the box; expected {c.box_info}")
