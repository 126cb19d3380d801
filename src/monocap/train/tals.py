"""Threshold-adaptive loss scaling: errors that a wrong camera explains count little (TokenHMR, Dwivedi et al. 2024).

2D keypoints and pseudo-truth that were made with a wrong camera pull a body away from the truth once it fits them
better than a true body could. Below a threshold per joint, their weight is therefore α. Here that is a change of
weights: `loosened` gives targets whose confidences say what still counts, for any recipe of `body_losses`.

Two forms. "code", as in the official code: squared 2D error, on every data set; of pseudo-truth, 3D joints do not count
at all where their 2D is good; angles of rotations; betas only of exact truth. "paper": |Δx| + |Δy| against a threshold
on that very loss, squared differences of rotations; exact truth is left alone, 3D and betas too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from monocap.data.tals_thresholds import TalsThresholds
from monocap.geometry.rotations import matrix_to_axis_angle
from monocap.skeletons import get
from monocap.train.body_losses import Estimate, LossRecipe, Targets, project
from monocap.train.posed_body import POINTS

Form = Literal["code", "paper"]
ALPHA = 0.05
"""Weight of what lies below its threshold, as released; the paper has about 0.01."""

_GOOD = 0.5  # confidence that 2D must keep for its 3D to count, "code"


@dataclass(frozen=True, eq=False)
class Tals:
    """``points`` (K,) thresholds for the points of ``names`` in crop widths (squared, or l1 for "paper"), ``rotations``
    (J,) rad; ``alpha``: what still counts below them; ``form``."""

    points: Tensor
    rotations: Tensor
    alpha: float = ALPHA
    form: Form = "code"

    @classmethod
    def of(
        cls, thresholds: TalsThresholds, joints: int = 22, alpha: float = ALPHA, form: Form = "code",
        names: tuple[str, ...] = POINTS,
    ) -> Tals:  # fmt: skip
        """For the points ``names`` and the leading ``joints`` of a body."""
        points = thresholds.of_points(names, "points" if form == "code" else "points_l1")
        rotations = thresholds.of_rotations(tuple(get("smplx55").joint_names[:joints]))
        return cls(
            torch.from_numpy(points.astype(np.float32)), torch.from_numpy(rotations.astype(np.float32)), alpha, form
        )


@torch.no_grad()
def loosened(tals: Tals, which: LossRecipe, estimate: Estimate, targets: Targets, exact: Tensor) -> Targets:
    """Targets (N people) with the confidences that TALS leaves them, seen from what the network says now.

    ``exact`` (N,) bool: whose truth is measured or synthetic; the others' rotations and 3D were fitted to 2D.
    """
    exact = exact.to(targets.seen.device)
    points, rotations = tals.points.to(targets.seen), tals.rotations.to(targets.seen)
    # project gives −1…1 across the crop: half of it is the crop's width
    flat = project(which.projection, estimate.points.float(), estimate.cam.float(), targets)
    off = 0.5 * torch.where(targets.seen[..., None] > 0, flat - targets.points, 0.0)
    error = off.square().sum(dim=-1) if tals.form == "code" else off.abs().sum(dim=-1)
    strong = targets.seen * error > points
    if tals.form == "paper":
        strong |= exact[:, None]
    seen = torch.where(strong, targets.seen, tals.alpha * targets.seen)

    turned = targets.turned[..., None, None] > 0
    between = torch.where(turned, estimate.rotmats.float().transpose(-1, -2) @ targets.rotmats, _eye(targets))
    angle = matrix_to_axis_angle(between).norm(dim=-1)
    # ‖ΔR‖² = 8 sin²(θ/2): as sharp a question as that about the angle
    size, limit = (angle, rotations) if tals.form == "code" else (_squared(angle), _squared(rotations))
    kept = (size > limit) | exact[:, None]
    weights = torch.where(kept, targets.turned, tals.alpha * targets.turned)
    if tals.form == "paper":
        return replace(targets, seen=seen, turned=weights)
    # the confidence of 2D that is left after the strong were chosen
    trusted = exact[:, None] | (torch.where(strong, targets.seen, 0.0) > _GOOD)
    known = torch.where(trusted, targets.known, 0.0)
    return replace(targets, seen=seen, turned=weights, known=known, shaped=torch.where(exact, targets.shaped, 0.0))


def _eye(targets: Targets) -> Tensor:
    return torch.eye(3, device=targets.rotmats.device, dtype=targets.rotmats.dtype)


def _squared(angle: Tensor) -> Tensor:
    return 8.0 * torch.sin(0.5 * angle.clamp(max=math.pi)).square()
