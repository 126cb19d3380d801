"""Is it a human body? HMR's adversarial prior on rotations and shape, VIBE's on motion: losses and real poses.

Least squares on both sides (Mao et al. 2017; Kanazawa et al. 2018; Kocabas et al. 2020). Both players learn in one step
of one optimiser: what the discriminator is shown are estimates without their gradient, and what the network is told
comes from the discriminator as it stands, without learning of it. That is to the bit what two optimisers in turn do
that share one forward pass (as in HMR and HMR 2.0), and a checkpoint of the one holds all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from monocap.bodies import BodyModel
from monocap.data.pose_corpus import read_pose_corpus
from monocap.errors import InputError
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.priors import PoseLimits, PoseMixture
from monocap.priors.limits import mirrored
from monocap.priors.vposer import VPoserPrior
from monocap.synth.people import random_person
from monocap.types import Array

MOST_POSES = 200_000
_SAMPLED = 8192  # of the shipped priors, before those beyond the limits are left out
_EXCESS = 0.05  # rad that a sample may be beyond them
_SHAPES = 2048


def network_loss(scores: Tensor) -> Tensor:
    """What a network pays for scores (N,S) of its estimates: mean over N of Σ(score − 1)²."""
    return (scores.float() - 1).square().flatten(1).sum(dim=1).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """What a discriminator pays: real (N,S) ought to be 1, fake (M,S) 0."""
    return network_loss(real) + fake.float().square().flatten(1).sum(dim=1).mean()


class Scores(NamedTuple):
    """Of estimates, for the network to learn from; of the real, and of the same estimates, for the discriminator."""

    network: Tensor
    real: Tensor
    fake: Tensor

    def losses(self, weight: float) -> dict[str, Tensor]:
        """Both players' parts of the whole loss."""
        return {
            "adversarial": weight * network_loss(self.network),
            "discriminator": weight * discriminator_loss(self.real, self.fake),
        }


class Adversary(nn.Module):
    """A discriminator beside the network that it judges.

    ``discriminator(*inputs)`` gives scores (N,S): of poses (rotations (N,J−1,3,3) without the root, betas (N,B)), or
    of motions (axis-angle poses (N,T,69),).
    """

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Scores:
        """Scores of real and estimated ones; only ``network`` has gradients to the estimates, only the others to the
        discriminator."""
        still = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        told = functional_call(self.discriminator, still, tuple(fake))
        shown = [value.detach() for value in fake]
        return Scores(told, self.discriminator(*real), self.discriminator(*shown))


def joined(stages: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """What HMR shows its discriminator: body rotations (SN,J−1,3,3) and betas (SN,B) of all S stages, from rotations
    (N,J,3,3) with the root and betas."""
    return torch.cat([r[:, 1:] for r, _ in stages]), torch.cat([b for _, b in stages])


class RealPoses:
    """Poses and shapes of people, to be drawn from.

    ``poses`` (M,63) rad with ``weights`` (M,); ``shapes`` (K,10) betas; ``joints``: how many body joints are given
    (21, or 23: SMPL's hands at rest).
    """

    def __init__(self, poses: Array, weights: Array, shapes: Array, joints: int = 21) -> None:
        if joints not in (21, 23):
            raise InputError(f"{joints} body joints; expected 21, or SMPL's 23")
        total = np.cumsum(weights, dtype=np.float64)
        if not len(poses) or not total[-1] > 0:
            raise InputError("no real poses: all have weight 0")
        self.poses, self.shapes, self.joints = np.asarray(poses, np.float32), np.asarray(shapes, np.float32), joints
        self._upto = total / total[-1]

    @classmethod
    def of_corpus(cls, folder: Path, body: BodyModel, joints: int = 21) -> RealPoses:
        """The captured training poses of a folder that ``monocap data corpus`` wrote.

        Raises InputError if it is none.
        """
        corpus = read_pose_corpus(folder).part("train")
        real = np.isin(corpus.kind, ("captured", "mirrored"))
        if real.any():  # recombined ones would teach that limbs know nothing of each other
            corpus = corpus.take(real)
        if len(corpus) > MOST_POSES:
            corpus = corpus.take(np.sort(np.random.default_rng(0).choice(len(corpus), MOST_POSES, replace=False)))
        return cls(corpus.body_pose, corpus.weight, _shapes(body), joints)

    @classmethod
    def of_priors(cls, body: BodyModel, joints: int = 21) -> RealPoses:
        """Samples of the shipped mixture and VPoser that keep within the joint limits: for those without a corpus."""
        rng = np.random.default_rng(0)
        mixture = PoseMixture.load().sample(_SAMPLED // 2, rng)[:, :63]
        sampled = np.concatenate([mixture, VPoserPrior.load().sample(_SAMPLED // 2, rng)])
        kept = sampled[PoseLimits.load().allows(sampled, _EXCESS)]
        return cls(kept, np.ones(len(kept)), _shapes(body), joints)

    def draw(self, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """Rotations (count,J−1,3,3) of poses drawn with replacement, half of them mirrored, and betas (count,10)."""
        rng = np.random.default_rng(seed)
        at = np.minimum(np.searchsorted(self._upto, rng.random(count), side="right"), len(self.poses) - 1)
        pose = self.poses[at]
        flip = rng.random(count) < 0.5
        pose = np.where(flip[:, None], mirrored(pose), pose)
        pose = np.concatenate([pose, np.zeros((count, 3 * (self.joints - 21)))], axis=1)
        rotations = axis_angle_to_matrix(pose.reshape(count, self.joints, 3))
        betas = self.shapes[rng.integers(len(self.shapes), size=count)]
        return torch.from_numpy(rotations.astype(np.float32)), torch.from_numpy(betas)


def _shapes(body: BodyModel) -> Array:
    """(K,10) betas as people have them: of the open body as synthetic people do, else a standard normal's."""
    rng = np.random.default_rng(1)
    if body.name != "open":
        return rng.standard_normal((_SHAPES, 10))
    return np.stack([random_person(rng, body).betas[:10] for _ in range(_SHAPES)])
