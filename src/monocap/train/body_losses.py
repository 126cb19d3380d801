"""What makes a predicted body wrong: the losses of the regression networks' papers, as terms with weights per family.

Forms and weights are those of the official codes (HMR, SPIN, VIBE, SMPLer, CLIFF, HMR 2.0), which differ from one
another in norm, in what the mean goes over, in the joints and their root. Every term counts only what a sample has:
of pictures with 2D keypoints alone, the 3D terms are exactly zero, and so are their gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from monocap.errors import InputError
from monocap.geometry import cameras
from monocap.train.posed_body import POINTS

Projection = Literal["weak", "spin", "hmr2", "full"]

LIMBS: tuple[str, ...] = tuple(
    f"{side}_{part}" for part in ("ankle", "knee", "hip", "wrist", "elbow", "shoulder") for side in ("right", "left")
)
LSP: tuple[str, ...] = (*LIMBS, "neck", "head")
"""The joints of `POINTS` that stand for LSP's 14 (its neck and top of the head are not exactly there)."""
HIPS = ("left_hip", "right_hip")
_NEAREST = 0.05  # m: nothing is projected from nearer, or from behind the camera


@dataclass(frozen=True)
class Term:
    """``weight`` × |difference| ("l1") or its square ("l2"), summed or meant over coordinates.

    ``over``: "entries": mean over all coordinates of samples that have any, times their confidence; "visible": mean
    over coordinates of confidence above 0 (TensorFlow's SUM_BY_NONZERO_WEIGHTS); "sum": no mean at all.

    A batch may be one of several pieces of a step's. The step goes down the mean of its pieces' losses, so that each
    divides by what the mean over *all* of them goes over, given as ``whole`` (see `amounts`), not by its own.
    """

    weight: float
    norm: Literal["l1", "l2"]
    over: Literal["entries", "visible", "sum"] = "entries"

    def amount(self, confidence: Tensor) -> Tensor:
        """What the mean goes over for confidence (N,n): samples with any, or visible points."""
        known = confidence > 0
        return known.sum() if self.over == "visible" else known.any(dim=1).sum()

    def __call__(
        self,
        estimate: Tensor,
        truth: Tensor,
        confidence: Tensor,
        share: Tensor | None = None,
        whole: tuple[Tensor, int] | None = None,
    ) -> Tensor:
        """Estimate and truth (N,n,D), confidence (N,n) ≥ 0; ``share`` (N,) weighs samples without counting in the mean;
        ``whole``: the mean `amount` of a step's pieces, and how many they are.

        Zero, with zero gradients, where nothing is known; what is not known may hold any numbers, NaN too.
        """
        known = confidence > 0
        difference = torch.where(known[..., None], estimate - truth, torch.zeros((), device=estimate.device))
        error = difference.abs() if self.norm == "l1" else difference**2
        weights = torch.where(known, confidence, 0.0)
        if share is not None:
            weights = weights * share[:, None]
        total = (error * weights[..., None]).sum()
        amount, pieces = (self.amount(confidence), 1) if whole is None else whole
        if self.over == "sum":
            return self.weight * pieces * total
        count = amount * ((1 if self.over == "visible" else known.shape[1]) * estimate.shape[-1])
        return self.weight * total / torch.where(count > 0, count, 1)


@dataclass(frozen=True)
class LossRecipe:
    """One family's losses; a term that is None has none.

    ``points``: reprojection, in units of ``unit`` × (−1…1 across the crop), through ``projection``; ``joints``: of
    ``joint_names`` (None: all) after taking away the mean of ``root``, in metres; ``rotations``: entries of matrices;
    ``betas``; ``vertices``: after taking away the same root; ``scale``: of mean exp(−10 s)², which keeps the camera's
    scale positive; ``adversarial``: of the discriminators. ``stages``: which of an iterative network's estimates count
    (discriminators see all of HMR's). ``times``: of the whole sum.
    """

    points: Term
    joints: Term
    rotations: Term | None
    betas: Term | None
    vertices: Term | None = None
    scale: float = 0.0
    adversarial: float = 0.0
    joint_names: tuple[str, ...] | None = LSP
    root: tuple[str, ...] = HIPS
    projection: Projection = "weak"
    unit: float = 1.0
    stages: Literal["last", "all"] = "last"
    times: float = 1.0


_SPIN = LossRecipe(
    points=Term(5.0, "l2"), joints=Term(5.0, "l2"), rotations=Term(1.0, "l2"), betas=Term(0.001, "l2"), scale=1.0,
    joint_names=None, projection="spin", times=60.0,
)  # fmt: skip

RECIPES: dict[str, LossRecipe] = {
    # half the mean square over the 216 entries of rotations and 10 betas together
    "hmr": LossRecipe(
        points=Term(60.0, "l1", "visible"), joints=Term(30.0, "l2"), rotations=Term(30.0 * 216 / 226, "l2"),
        betas=Term(30.0 * 10 / 226, "l2"), adversarial=1.0,
    ),
    "spin": _SPIN,
    # config.yaml, not the constructor's defaults; the discriminator is of motion
    "vibe": LossRecipe(
        points=Term(300.0, "l2"), joints=Term(300.0, "l2"), rotations=Term(60.0, "l2"), betas=Term(0.06, "l2"),
        adversarial=0.5, projection="spin",
    ),
    "smpler": LossRecipe(
        points=Term(100.0, "l2"), joints=Term(1000.0, "l2"), rotations=Term(50.0, "l1"), betas=None,
        vertices=Term(100.0, "l1"),
    ),
    # as SPIN, but the error is taken where the whole picture's camera projects
    "cliff": LossRecipe(**{**_SPIN.__dict__, "projection": "full"}),
    "hmr2": LossRecipe(
        points=Term(0.01, "l1", "sum"), joints=Term(0.05, "l1", "sum"), rotations=Term(0.001, "l2", "sum"),
        betas=Term(0.0005, "l2", "sum"), adversarial=0.0005, joint_names=None, root=("pelvis",), projection="hmr2",
        unit=0.5,
    ),
}  # fmt: skip
"""By family. HMR 2.0's are sums: they grow with the batch of a step, as published (48 on each device)."""

PARTS = ("points", "joints", "rotations", "betas", "vertices")
"""The terms of a recipe that count only what is known."""


def recipe(name: str) -> LossRecipe:
    """A family's losses. Raises InputError for an unknown one."""
    if name not in RECIPES:
        raise InputError(f"no losses of {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]


@dataclass(frozen=True, eq=False)
class Targets:
    """The truth of N crops over the K points of ``names``, as tensors; what is unknown has weight 0.

    ``points`` (N,K,2) −1…1 across the crop with ``seen`` (N,K) confidence; ``joints`` (N,K,3) m in any origin, axes of
    the (turned) camera, with ``known`` (N,K); ``rotmats`` (N,J,3,3) with ``turned`` (N,J); ``betas`` (N,B) with
    ``shaped`` (N,). ``share`` (N,): weight of the data set's 2D. ``center`` (N,2) px from the principal point, ``size``
    (N,) and ``focal`` (N,) px: the crop's square. ``body``: the body that rotations and betas give, points (N,K,3) and
    skin (N,V,3), which counts where both are known; None where no term wants it.
    """

    points: Tensor
    seen: Tensor
    joints: Tensor
    known: Tensor
    rotmats: Tensor
    turned: Tensor
    betas: Tensor
    shaped: Tensor
    share: Tensor
    center: Tensor
    size: Tensor
    focal: Tensor
    body: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a network said at one stage: ``rotmats`` (N,J,3,3), ``betas`` (N,B), ``cam`` (N,3) s, tx, ty; and of the
    body with it ``points`` (N,K,3) m, untranslated, and ``skin`` (N,V,3) or None."""

    rotmats: Tensor
    betas: Tensor
    cam: Tensor
    points: Tensor
    skin: Tensor | None = None


def project(how: Projection, points: Tensor, cam: Tensor, targets: Targets) -> Tensor:
    """Where points (N,K,3) m lie in the crop, −1…1 (N,K,2), for cameras (N,3) s, tx, ty.

    "weak": s (X + t), HMR and SMPLer; "spin", "hmr2": a pinhole of 5000 px over crops of 224 and 256; "full": CLIFF's,
    the pinhole of the whole picture, which knows where the crop lies in it.
    """
    if how == "weak":
        return cameras.project_weak(points, cam)
    if how == "full":
        nowhere = torch.zeros_like(targets.center)  # `center` is counted from the principal point already
        shift = cameras.crop_to_full_translation(cam, targets.center, targets.size, nowhere, targets.focal)
        at = points + shift[:, None]
        at = torch.cat([at[..., :2], at[..., 2:].clamp(min=_NEAREST)], dim=-1)
        flat = targets.focal[:, None, None] * cameras.project(at, torch.eye(3, dtype=at.dtype, device=at.device))
        return (flat - targets.center[:, None]) * (2 / targets.size[:, None, None])
    return cameras.project_crop(points, cam, 224.0 if how == "spin" else 256.0)


def rootless(points: Tensor, names: Sequence[str], root: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Points (N,K,3) minus the mean of the points ``root``, and that mean (N,1,3)."""
    middle = points[:, [list(names).index(name) for name in root]].mean(dim=1, keepdim=True)
    return points - middle, middle


def confidences(which: LossRecipe, targets: Targets, names: Sequence[str] = POINTS) -> dict[str, Tensor]:
    """How sure everything is (N,n) that the terms of `PARTS` compare, by their names; all of the skin as one."""
    chosen, root = _chosen(which, names)
    rooted = (targets.known[:, root] > 0).all(dim=1)
    whole = (targets.turned > 0).all(dim=1) & (targets.shaped > 0)
    return {
        "points": targets.seen,
        "joints": targets.known[:, chosen] * rooted[:, None],
        "rotations": targets.turned,
        "betas": targets.shaped[:, None],
        "vertices": whole[:, None].float(),
    }


def amounts(which: LossRecipe, targets: Targets, names: Sequence[str] = POINTS) -> Tensor:
    """(5,) float32 what the means of `PARTS` go over; 0 where there is no such term."""
    known, none = confidences(which, targets, names), torch.zeros((), device=targets.seen.device)
    terms = [(getattr(which, part), known[part]) for part in PARTS]
    return torch.stack([none if term is None else term.amount(sure).float() for term, sure in terms])


def body_losses(
    which: LossRecipe,
    stages: Sequence[Estimate],
    targets: Targets,
    names: Sequence[str] = POINTS,
    whole: tuple[Tensor, int] | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a network's ``stages`` (last one best) and its parts by name, without the adversarial one.

    ``whole``: where the targets are one of several pieces of a step's batch, the mean of their `amounts`, and how many
    they are; the mean of the pieces' losses is then the loss of the whole batch.
    """
    counted = stages if which.stages == "all" else stages[-1:]
    parts: dict[str, Tensor] = {}
    for estimate in counted:
        for name, value in _parts(which, estimate, targets, names, whole).items():
            parts[name] = parts[name] + value if name in parts else value
    scaled = {name: value * (which.times / len(counted)) for name, value in parts.items()}
    return torch.stack(list(scaled.values())).sum(), scaled


def _chosen(which: LossRecipe, names: Sequence[str]) -> tuple[list[int], list[int]]:
    """Numbers of the joints that count, and of those of the root."""
    chosen = [i for i, name in enumerate(names) if which.joint_names is None or name in which.joint_names]
    return chosen, [list(names).index(name) for name in which.root]


def _parts(
    which: LossRecipe, estimate: Estimate, targets: Targets, names: Sequence[str], whole: tuple[Tensor, int] | None
) -> dict[str, Tensor]:
    known = confidences(which, targets, names)
    each = {part: None if whole is None else (whole[0][i], whole[1]) for i, part in enumerate(PARTS)}
    parts: dict[str, Tensor] = {}
    flat = which.unit * project(which.projection, estimate.points.float(), estimate.cam.float(), targets)
    true_flat = which.unit * targets.points
    parts["points"] = which.points(flat, true_flat, known["points"], targets.share, each["points"])

    chosen, _ = _chosen(which, names)
    mine, middle = rootless(estimate.points, names, which.root)
    true, _ = rootless(targets.joints, names, which.root)
    parts["joints"] = which.joints(mine[:, chosen], true[:, chosen], known["joints"], None, each["joints"])

    if which.rotations is not None:
        turns, true_turns = estimate.rotmats.flatten(2), targets.rotmats.flatten(2)
        parts["rotations"] = which.rotations(turns, true_turns, known["rotations"], None, each["rotations"])
    if which.betas is not None:
        betas, true_betas = estimate.betas[:, None], targets.betas[:, None]
        parts["betas"] = which.betas(betas, true_betas, known["betas"], None, each["betas"])
    if which.vertices is not None and estimate.skin is not None and targets.body is not None:
        points, skin = targets.body
        confidence = known["vertices"].expand(skin.shape[:2])
        true_middle = rootless(points, names, which.root)[1]
        off, true_off = estimate.skin - middle, skin - true_middle
        parts["vertices"] = which.vertices(off, true_off, confidence, None, each["vertices"])
    if which.scale:
        parts["scale"] = which.scale * torch.exp(-10.0 * estimate.cam[:, 0].float()).square().mean()
    return parts
