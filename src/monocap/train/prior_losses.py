"""Every loss term of VPoser (paper, v1, v2) and of the pose tokenizer, with the weights that were published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from monocap.geometry.rotations import geodesic_angle, matrix_to_axis_angle, project_to_so3
from monocap.nets.pose_tokenizer import TokenizerOutput
from monocap.nets.vposer import VPoserOutput
from monocap.priors.limits import PoseLimits
from monocap.train.body_points import BodyPoints


@dataclass(frozen=True)
class VPoserWeights:
    """What each term counts; 0 leaves it out. Distances in metres, angles in radians; KL is summed over the latent
    dimensions, everything averaged over the batch.

    ``axis_angle`` Σ(difference)²; ``rotation`` Σ‖R − R̂‖²; ``geodesic`` mean angle; ``joints`` and ``vertices`` mean
    absolute difference; ``orthogonality`` Σ‖R̂R̂ᵀ − 1‖²; ``determinant`` Σ|det R̂ − 1| (both vanish unless the
    network predicts free matrices); ``regularisation`` Σφ² over the network's weights. ``early``: the share of the
    run in which ``axis_angle``, ``geodesic`` and ``joints`` act.
    """

    kl: float
    vertices: float = 0.0
    joints: float = 0.0
    geodesic: float = 0.0
    axis_angle: float = 0.0
    rotation: float = 0.0
    orthogonality: float = 0.0
    determinant: float = 0.0
    regularisation: float = 0.0
    early: float = 1.0


PUBLISHED: dict[str, VPoserWeights] = {
    # v1: (1 − k)·1000·mean|ΔV| + k·KL; the first epochs also Σ(Δ axis-angle)²
    "v1": VPoserWeights(kl=5e-3, vertices=0.995 * 1000, axis_angle=0.995, early=0.1),
    "v2": VPoserWeights(kl=5e-3, vertices=4.0, joints=2.0, geodesic=2.0, early=0.15),
    # the paper names the five terms, not their weights
    "paper": VPoserWeights(kl=5e-3, rotation=1.0, orthogonality=1.0, determinant=1.0, regularisation=1e-4),
}


def vposer_loss(
    weights: VPoserWeights, module: nn.Module, out: VPoserOutput, target: Tensor, body: BodyPoints, progress: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum and its named parts (unweighted) for target rotations (N,21,3,3)."""
    w, parts = weights, {}
    early = progress < w.early
    mean, deviation, predicted = out.mean, out.deviation, out.rotations
    # KL of N(mean, deviation²) from N(0, 1)
    parts["kl"] = 0.5 * (mean**2 + deviation**2 - 1 - 2 * torch.log(deviation)).sum(1).mean()
    if w.rotation:
        parts["rotation"] = ((predicted - target) ** 2).sum((1, 2, 3)).mean()
    if w.geodesic and early:
        parts["geodesic"] = geodesic_angle(predicted, target).mean()
    if w.axis_angle and early:
        turned = matrix_to_axis_angle(_proper(predicted)) - matrix_to_axis_angle(target)
        parts["axis_angle"] = (turned**2).sum((1, 2)).mean()
    if w.vertices or (w.joints and early):
        joints, skin = body(predicted, skin=w.vertices > 0)
        true_joints, true_skin = body(target, skin=w.vertices > 0)
        if w.joints and early:
            parts["joints"] = (joints - true_joints).abs().mean()
        if skin is not None and true_skin is not None:
            parts["vertices"] = (skin - true_skin).abs().mean()
    if w.orthogonality:
        gram = predicted @ predicted.transpose(-1, -2) - torch.eye(3, dtype=predicted.dtype, device=predicted.device)
        parts["orthogonality"] = (gram**2).sum((1, 2, 3)).mean()
    if w.determinant:
        parts["determinant"] = (torch.linalg.det(predicted) - 1).abs().sum(1).mean()
    if w.regularisation:
        matrices = [p for p in module.parameters() if p.ndim > 1]
        parts["regularisation"] = torch.stack([(p**2).sum() for p in matrices]).sum()
    return torch.stack([getattr(w, name) * part for name, part in parts.items()]).sum(), parts


def _proper(matrices: Tensor) -> Tensor:
    """Rotations as they are; free matrices made rotations (told apart by their columns' lengths)."""
    free = (matrices.detach().norm(dim=-2) - 1).abs().max() > 1e-3
    return project_to_so3(matrices) if bool(free) else matrices


@dataclass(frozen=True)
class TokenizerWeights:
    """``rotation``: mean square of matrix entries; ``joints``, ``vertices``: mean square (``absolute``: mean absolute)
    differences in metres, the skin's area-weighted; ``commitment``. ``limits``: mean radians by which joints are
    beyond their limits in poses some of whose tokens were replaced at random, as a classifier's mistakes will.
    Defaults: the released configuration, which lacks the last."""

    rotation: float = 20.0
    joints: float = 100.0
    vertices: float = 100.0
    commitment: float = 1.0
    limits: float = 0.0
    absolute: bool = False


class _Excess(torch.autograd.Function):
    """`PoseLimits.excess` with its analytic gradient."""

    @staticmethod
    def forward(ctx: Any, body_pose: Tensor, limits: PoseLimits) -> Tensor:
        value, slope = limits.excess_jacobian(body_pose.detach().cpu().double().numpy())
        ctx.save_for_backward(torch.from_numpy(slope).to(body_pose))
        return torch.from_numpy(value).to(body_pose)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return (grad[0][..., None] * slope).flatten(-2), None


def beyond_limits(rotations: Tensor, limits: PoseLimits) -> Tensor:
    """Radians (N,21) by which the joints of local rotations (N,21,3,3) are beyond their limits, differentiable."""
    value: Tensor = _Excess.apply(matrix_to_axis_angle(rotations).flatten(-2), limits)  # type: ignore[no-untyped-call]
    return value


def tokenizer_loss(
    weights: TokenizerWeights,
    out: TokenizerOutput,
    target: Tensor,
    body: BodyPoints,
    disturbed: Tensor | None = None,
    limits: PoseLimits | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum and its named parts (unweighted) for target rotations (N,21,3,3).

    ``disturbed`` (M,21,3,3): what the decoder makes of spoilt tokens; with ``limits`` it gives the term of that name.
    """
    joints, skin = body(out.rotations, skin=weights.vertices > 0)
    true_joints, true_skin = body(target, skin=weights.vertices > 0)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs().mean() if weights.absolute else ((a - b) ** 2).mean()

    parts = {
        "rotation": distance(out.rotations, target),
        "joints": distance(joints[:, 1:], true_joints[:, 1:]),
        "commitment": out.commitment,
    }
    if skin is not None and true_skin is not None:
        parts["vertices"] = distance(skin, true_skin)
    if disturbed is not None and limits is not None:
        parts["limits"] = beyond_limits(disturbed, limits).mean()
    return torch.stack([getattr(weights, name) * part for name, part in parts.items()]).sum(), parts
