"""A network that learns from pictures: what it is shown, what it pays for, how it is judged.

The network and the discriminator of its estimates are one module, called once a step: so both take part in 16 bits and
in training by many processes, and a checkpoint of the one holds the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from monocap.bodies import BodyModel, load_body
from monocap.data.augmentation import Change
from monocap.data.crop_families import crop_family
from monocap.data.sample import Sample
from monocap.errors import InputError
from monocap.geometry.cameras import box_info
from monocap.metrics import mpjpe, mve, pa_mpjpe
from monocap.pipeline.regress.networks import BOX_NUMBERS
from monocap.train.adversarial import Adversary, RealPoses, Scores, joined
from monocap.train.body_losses import Estimate, LossRecipe, amounts, body_losses, project
from monocap.train.engine import Group, Seeds
from monocap.train.people_batches import PeopleBatches, load
from monocap.train.posed_body import PosedBody
from monocap.train.supervision import Batch, collate, normalised, supervise

ENCODERS = ("encoder", "backbone")
"""What a network's encoder may be called."""

_SKIN = 256  # vertices of the vertex term


class Drawn(NamedTuple):
    """A batch of people, and as many real rotations and betas as the discriminator is shown estimates."""

    people: Batch
    real: tuple[Tensor, Tensor] | None


class Regression(nn.Module):
    """A network, and the discriminator of its estimates if there is one: all that learns, in one call."""

    def __init__(self, network: nn.Module, adversary: Adversary | None = None, shrink: int = 1) -> None:
        super().__init__()
        self.network, self.adversary, self.shrink = network, adversary, shrink
        example: Any = getattr(network, "example", None)
        self._given = tuple(example(1)) if example is not None else ("image",)
        if self._given[0] not in ("image", "crop"):
            raise InputError(f"this network learns from {self._given[0]}, not from pictures; choose another model")

    def forward(
        self, images: Tensor, place: tuple[Tensor, Tensor, Tensor], real: tuple[Tensor, Tensor] | None = None
    ) -> tuple[list[Any], Scores | None]:
        """Estimates of every stage for normalised crops (N,3,h,w), whose squares' centre (N,2), side and focal length
        (N,) are ``place``; scores where ``real`` ones are given."""
        if self.shrink > 1:
            images = functional.avg_pool2d(images, self.shrink)
        center, size, focal = place
        told = BOX_NUMBERS.get(self._given[-1])
        if told is None:
            stages = self.network(images)
        else:
            box = box_info(center, size, torch.zeros_like(center), focal, normalised=told == "cliff")
            stages = self.network(images, box)
        if self.adversary is None or real is None:
            return list(stages), None
        with torch.autocast(images.device.type, enabled=False):
            fake = joined([(stage.rotmats.float(), stage.betas.float()) for stage in stages])
            return list(stages), self.adversary(real, fake)


class PicturesTask:
    """People by the batch from workers; held-out rendered people for validation."""

    unit = "pictures"

    def __init__(
        self,
        module: Regression,
        batches: PeopleBatches,
        held: Sequence[Sample],
        losses: LossRecipe,
        real: RealPoses | None = None,
        encoder_rate: float = 1.0,
        workers: int = 0,
        body: BodyModel | None = None,
    ) -> None:
        self.module, self.losses = module, losses
        self._batches, self._real, self._workers, self._rate = batches, real, workers, encoder_rate
        plan = batches.plan
        self._body = body or load_body("open")
        self._family = crop_family(plan.family)
        skin = _SKIN if losses.vertices is not None else 0
        origin = _origin(module.network)
        self._posed = PosedBody(self._body, skin=skin, joints=plan.joints, origin=origin)
        self._whole = PosedBody(self._body, skin="all", joints=plan.joints, origin=origin)
        crops = [(sample, supervise(sample, self._family, Change(), plan.joints, plan.body)) for sample in held]
        known = [(sample, crop) for sample, crop in crops if crop is not None and sample.body == "open"]
        if not known:
            raise InputError("nobody to validate on: held-out people need a picture and parameters of the open body")
        self._held = [crop for _, crop in known]
        self._true = [self._true_body(sample) for sample, _ in known]

    def groups(self) -> list[Group]:
        """The encoder at its own rate, the discriminator at ten times the network's (HMR)."""
        parts = (*ENCODERS, "upper")  # of the light networks: the encoder's upper half, which is learned further
        found = [Group(f"network.{name}.", self._rate) for name in parts if hasattr(self.module.network, name)]
        return found if self.module.adversary is None else [*found, Group("adversary.", 10.0, 1e-4)]

    def batches(self, seeds: Seeds, device: torch.device) -> Iterator[Drawn]:
        """The batches of ``seeds``, prepared ahead."""
        for seed, people in zip(seeds, load(self._batches, seeds, self._workers, device), strict=True):
            yield Drawn(people, self._real_for(seed, people, device))

    def batch(self, generator: torch.Generator, device: torch.device) -> Drawn:
        seed = generator.initial_seed()
        people = self._batches.make(seed).to(device)
        return Drawn(people, self._real_for(seed, people, device))

    def _real_for(self, seed: int, people: Batch, device: torch.device) -> tuple[Tensor, Tensor] | None:
        if self._real is None:
            return None
        shown = getattr(getattr(self.module.network, "regressor", None), "iterations", 1)  # all stages, as HMR
        rotations, betas = self._real.draw(shown * len(people.images), seed)
        return rotations.to(device), betas.to(device)

    def described(self) -> dict[str, Any]:
        """What it learns from, ready for JSON."""
        plan, batches = self._batches.plan, self._batches
        named = [s.path.name if s.path is not None else "rendered on the way" for s in plan.sources]
        return {
            "sources": dict(zip(named, [round(share, 4) for share in batches.shares], strict=True)),
            "sizes": dict(zip(named, batches.sizes, strict=True)),
            "held_out": len(self._held),
            "augmentation": plan.augmentation,
        }

    def amounts(self, batch: Drawn) -> Tensor:
        """What the means of this piece go over."""
        return amounts(self.losses, batch.people.targets, self._posed.names)

    def loss(
        self, module: nn.Module, batch: Drawn, progress: float, whole: tuple[Tensor, int] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        which, targets = self.losses, batch.people.targets
        images = normalised(batch.people.images, self._family)
        stages, scores = module(images, (targets.center, targets.size, targets.focal), batch.real)
        posed = self._posed.to(images.device)
        if which.vertices is not None:
            points, skin = posed(targets.rotmats, targets.betas)
            assert skin is not None
            targets = replace(targets, body=(points, skin))
        counted = stages if which.stages == "all" else stages[-1:]
        estimates = [Estimate(*stage, *posed(stage.rotmats, stage.betas)) for stage in counted]
        total, parts = body_losses(which, estimates, targets, posed.names, whole)
        if scores is not None:
            players = scores.losses(which.adversarial)
            total, parts = total + torch.stack(list(players.values())).sum(), parts | players
        return total, parts

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Errors on held-out people, mm, pelvis on pelvis: of the 22 joints, after the best similarity and without, of
        the skin (hands and face at rest in both); and of points in the picture, per cent of the crop."""
        device = next(module.parameters()).device
        found: dict[str, list[np.ndarray]] = {"pa_mpjpe_mm": [], "mpjpe_mm": [], "pve_mm": [], "crop_percent": []}
        for start in range(0, len(self._held), 32):
            people = collate(self._held[start : start + 32], [0] * len(self._held[start : start + 32])).to(device)
            true = self._true[start : start + 32]
            t = people.targets
            stages, _ = module(normalised(people.images, self._family), (t.center, t.size, t.focal))
            points, skin = self._whole.to(device)(stages[-1].rotmats, stages[-1].betas)
            assert skin is not None
            joints, mesh = ((part - points[:, :1]).cpu().numpy() for part in (points[:, :22], skin))
            true_joints, true_mesh = (np.stack(part) for part in zip(*true, strict=True))
            found["pa_mpjpe_mm"].append(1e3 * pa_mpjpe(joints, true_joints))
            found["mpjpe_mm"].append(1e3 * mpjpe(joints, true_joints, root=0))
            found["pve_mm"].append(1e3 * mve(mesh, true_mesh))
            flat = project(self.losses.projection, points, stages[-1].cam.float(), t)
            missed = (flat - t.points).norm(dim=-1) * (t.seen > 0)
            found["crop_percent"].append((50 * missed.sum(1) / (t.seen > 0).sum(1).clamp(min=1)).cpu().numpy())
        return {name: float(np.concatenate(values).mean()) for name, values in found.items()}

    def _true_body(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """Joints (22,3) and skin (V,3) about the pelvis, of a sample with parameters of the open body."""
        assert sample.params is not None
        given = {name: getattr(sample.params, name) for name in ("betas", "global_orient", "body_pose")}
        posed = self._body(**given)
        return posed.joints[:22] - posed.joints[:1], posed.vertices - posed.joints[:1]


def _origin(network: nn.Module) -> Literal["pelvis", "body"]:
    """Where the body is before the camera moves it: as the network's own projection has it, else about the pelvis."""
    own: Any = getattr(getattr(network, "head", None), "joints2d", None)
    if own is None:
        return "pelvis"
    rest = own.space(torch.eye(3).expand(1, len(own.parents), 3, 3), torch.zeros(1, 10))
    return "pelvis" if float(rest[0, 0].detach().norm()) < 1e-6 else "body"


def freeze_unused(task: PicturesTask) -> None:
    """Weights that no loss reaches are not trained: processes that train together would wait for their gradients."""
    task.module.eval()  # batch norms keep their statistics
    few = Drawn(
        collate(task._held[:2], [0] * len(task._held[:2])), None if task._real is None else task._real.draw(2, 0)
    )
    task.loss(task.module, few, 0.0)[0].backward()
    for value in task.module.parameters():
        if value.grad is None:
            value.requires_grad_(False)
        value.grad = None
    task.module.train()
