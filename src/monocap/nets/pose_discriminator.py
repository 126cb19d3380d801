"""HMR's adversarial prior (Kanazawa et al., CVPR 2018): is every joint, the whole pose, the shape a person's?"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from monocap.errors import InputError

Order = Literal["hmr", "hmr2"]
WIDTH = 32


class PoseDiscriminator(nn.Module):
    """``rotmats`` (N,J,3,3) of the joints below the root and ``betas`` (N,10) → (N,J+2): 25 for SMPL's 23 joints.

    ``order`` of the outputs: "hmr" joints, all joints together, shape; "hmr2" joints, shape, all joints together. Layer
    names are HMR 2.0's: 1,807,619 parameters for 23 joints. Trained with least squares: real 1, made 0.
    """

    def __init__(self, joints: int = 23, order: Order = "hmr", betas: int = 10) -> None:
        super().__init__()
        if order not in ("hmr", "hmr2"):
            raise InputError(f"order {order!r}; expected 'hmr' or 'hmr2'")
        self.order: Order = order
        self.joints = joints
        self.D_conv1 = nn.Conv2d(9, WIDTH, 1)
        self.D_conv2 = nn.Conv2d(WIDTH, WIDTH, 1)
        self.pose_out = nn.ModuleList(nn.Linear(WIDTH, 1) for _ in range(joints))
        self.betas_fc1 = nn.Linear(betas, 10)
        self.betas_fc2 = nn.Linear(10, 5)
        self.betas_out = nn.Linear(5, 1)
        self.D_alljoints_fc1 = nn.Linear(joints * WIDTH, 1024)
        self.D_alljoints_fc2 = nn.Linear(1024, 1024)
        self.D_alljoints_out = nn.Linear(1024, 1)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, rotmats: Tensor, betas: Tensor) -> Tensor:
        """(N,J+2) numbers, 1 for real. Raises InputError for another number of joints."""
        if tuple(rotmats.shape[1:]) != (self.joints, 3, 3):
            raise InputError(f"rotations of shape {tuple(rotmats.shape)}; expected (N, {self.joints}, 3, 3)")
        x = rotmats.flatten(2).transpose(1, 2)[
            ..., None
        ]  # (N,9,J,1): a 1×1 convolution is the same layer for each joint
        x = torch.relu(self.D_conv2(torch.relu(self.D_conv1(x))))[..., 0]
        each = torch.cat([judge(x[:, :, j]) for j, judge in enumerate(self.pose_out)], dim=1)
        together = torch.relu(self.D_alljoints_fc1(x.flatten(1)))
        together = self.D_alljoints_out(torch.relu(self.D_alljoints_fc2(together)))
        shape = self.betas_out(torch.relu(self.betas_fc2(torch.relu(self.betas_fc1(betas)))))
        return torch.cat([each, together, shape] if self.order == "hmr" else [each, shape, together], dim=1)
