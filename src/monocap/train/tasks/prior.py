"""``monocap train prior``: VPoser and the pose tokenizer on a corpus of poses; weights with their recipe out."""

from __future__ import annotations

import shlex
import zlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from monocap.assets.tensors import Tensors, write_tensors
from monocap.data.pose_corpus import PoseCorpus, read_pose_corpus
from monocap.errors import InputError
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.nets.pose_tokenizer import OFFICIAL, PoseTokenizer, TokenizerConfig, pose_to_6d
from monocap.nets.vposer import VPoser, build_vposer
from monocap.pipeline.outputs import versions
from monocap.priors.limits import PoseLimits
from monocap.train.body_points import BodyPoints
from monocap.train.engine import Progress, Trained, TrainSettings, train
from monocap.train.overfit import OVERFIT_LOG
from monocap.train.pose_augmentation import exchange_limbs, invent_limbs, jitter, masked_part, mirror, noisy_part
from monocap.train.prior_losses import (
    PUBLISHED,
    TokenizerWeights,
    VPoserWeights,
    tokenizer_loss,
    vposer_loss,
)
from monocap.train.settings import RunOptions

Kind = Literal["vposer", "tokenizer"]
VALIDATION_SHARE = 0.08
VALIDATION_POSES = 2000
INVENTED = 20_000


@dataclass(frozen=True)
class PriorOptions:
    """What to train and how far; None takes the value that the shipped weights were trained with.

    ``arch``: vposer-v2 or vposer-v1; ``loss``: shipped, v1, v2 or paper (VPoser only).
    """

    kind: Kind
    data: Path
    out: Path
    steps: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    seed: int = 1
    arch: str = "vposer-v2"
    loss: str = "shipped"
    official_size: bool = False
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = None
    resume: bool = False
    run: RunOptions = field(default_factory=RunOptions)


SETTINGS: dict[Kind, TrainSettings] = {
    "vposer": TrainSettings(
        steps=8_000, batch=256, learning_rate=1e-3, weight_decay=1e-4, warmup=200, validate_every=1000
    ),
    "tokenizer": TrainSettings(
        steps=52_000, batch=64, learning_rate=1e-3, weight_decay=1e-5, betas=(0.9, 0.99), warmup=200, average=0.995,
        validate_every=500,
    ),
}  # fmt: skip
SHIPPED_VPOSER = VPoserWeights(kl=5e-3, vertices=4.0, joints=8.0, geodesic=2.0)
SHIPPED_TOKENIZER = TokenizerWeights(
    rotation=2.0, joints=10.0, vertices=10.0, commitment=0.5, limits=2.0, absolute=True
)


@dataclass(frozen=True)
class Augmentation:
    """Shares of the batch that are mirrored or get a limb of another pose; noise in rad (VPoser, also the target) or in
    6D numbers (tokenizer, input only), growing over the first quarter of the run; share with a part masked; share with
    parts ``invented``: random joints within the limits (tokenizer: tokens must express what a body can do);
    ``spoil_share``: of the batch's tokens up to half are replaced at random in so many poses, for the limits term."""

    mirror: float = 0.5
    exchange: float = 0.1
    jitter: float = 0.03
    noise: float = 0.0
    noise_share: float = 0.5
    mask_share: float = 0.0
    invent: float = 0.0
    spoil_share: float = 0.0


SHIPPED_DISTURBANCE = Augmentation(
    jitter=0.02, noise=0.1, noise_share=0.25, mask_share=0.02, invent=0.3, spoil_share=0.25
)


class _Poses:
    """Training poses drawn by their weights, and held-out ones, as tensors on the processor."""

    def __init__(self, corpus: PoseCorpus, batch: int) -> None:
        train_part = corpus.part("train")
        if "val" in corpus.splits:
            held = corpus.part("val")
        else:  # whole clips, chosen by their names, so that neighbours in time are never on both sides
            key = np.array([zlib.crc32(str(clip).encode()) % 1000 for clip in train_part.clip])
            mask = key < 1000 * VALIDATION_SHARE
            if not mask.any() or mask.all():  # too few clips: judge on some of what is trained on
                held = train_part
            else:
                held, train_part = train_part.take(mask), train_part.take(~mask)
        step = max(1, len(held) // VALIDATION_POSES)
        self.held = torch.from_numpy(np.ascontiguousarray(held.body_pose[::step]))
        self._poses = torch.from_numpy(np.ascontiguousarray(train_part.body_pose))
        self._below = torch.from_numpy(np.cumsum(train_part.weight, dtype=np.float64))
        if not self._below[-1] > 0:
            raise InputError("all poses of the split 'train' have weight 0")
        self._batch = batch
        self.count = len(train_part)

    def draw(self, generator: torch.Generator) -> Tensor:
        """(batch,63) poses, with replacement."""
        at = torch.rand(self._batch, generator=generator, dtype=torch.float64) * self._below[-1]
        return self._poses[torch.searchsorted(self._below, at, right=True).clamp_(max=len(self._poses) - 1)]


def _rotations(body_pose: Tensor) -> Tensor:
    return axis_angle_to_matrix(body_pose.reshape(-1, 21, 3))


def _errors(predicted: Tensor, target: Tensor, body: BodyPoints) -> dict[str, float]:
    joints, skin = body(predicted)
    true_joints, true_skin = body(target)
    assert skin is not None
    assert true_skin is not None
    return {
        "joint_mm": 1000 * float((joints - true_joints)[:, 1:].norm(dim=-1).mean()),
        "skin_mm": 1000 * float((skin - true_skin).norm(dim=-1).mean()),
    }


class VPoserTask:
    """VPoser under one of the published losses or the shipped one."""

    def __init__(self, poses: _Poses, arch: str, weights: VPoserWeights, augmentation: Augmentation) -> None:
        self.module: VPoser = build_vposer(arch, "matrix" if weights.orthogonality else "6d")
        self.weights, self.augmentation, self.poses = weights, augmentation, poses
        self.body = BodyPoints()

    def batch(self, generator: torch.Generator, device: torch.device) -> Tensor:
        a = self.augmentation
        pose = mirror(self.poses.draw(generator), a.mirror, generator)
        pose = exchange_limbs(pose, a.exchange, generator)
        return jitter(pose, a.jitter, generator).to(device)

    def loss(self, module: nn.Module, batch: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        body = self.body.to(batch.device)
        return vposer_loss(self.weights, self.module, module(batch), _rotations(batch), body, progress)

    def validate(self, module: nn.Module) -> dict[str, float]:
        assert isinstance(module, VPoser)
        device = next(module.parameters()).device
        held = self.poses.held.to(device)
        mean, deviation = module.encode(held)
        errors = _errors(_rotations(module.decode(mean)), _rotations(held), self.body.to(device))
        kl = 0.5 * (mean**2 + deviation**2 - 1 - 2 * torch.log(deviation)).sum(1).mean()
        return errors | {"held_kl": float(kl)}


class TokenizerTask:
    """The VQ-VAE: noise and masks on the way in, clean poses as the target."""

    def __init__(
        self, poses: _Poses, sizes: TokenizerConfig, weights: TokenizerWeights, augmentation: Augmentation
    ) -> None:
        self.module = PoseTokenizer(sizes)
        self.weights, self.augmentation, self.poses = weights, augmentation, poses
        self.body = BodyPoints()
        self.limits = PoseLimits.load()
        invented = self.limits.sample(INVENTED, np.random.default_rng(0))
        self._invented = torch.from_numpy(invented.astype(np.float32))

    def batch(self, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        """Clean rotations (N,21,3,3) and the random numbers with which `loss` disturbs them."""
        a = self.augmentation
        pose = exchange_limbs(mirror(self.poses.draw(generator), a.mirror, generator), a.exchange, generator)
        pose = invent_limbs(pose, self._invented, a.invent, generator)
        seed = torch.randint(2**62, (1,), generator=generator)
        return jitter(pose, a.jitter, generator).to(device), seed

    def loss(self, module: nn.Module, batch: Any, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        a, (pose, seed) = self.augmentation, batch
        generator = torch.Generator().manual_seed(int(seed))
        clean = pose_to_6d(pose.cpu())
        noisy = noisy_part(clean, a.noise * min(1.0, 4 * progress), a.noise_share, generator)
        shown = masked_part(noisy, a.mask_share, generator).to(pose.device)
        out = module(shown)
        spoilt = self._spoilt(out.indices[: round(a.spoil_share * len(pose))], generator)
        body = self.body.to(pose.device)
        return tokenizer_loss(self.weights, out, _rotations(pose), body, spoilt, self.limits)

    def _spoilt(self, indices: Tensor, generator: torch.Generator) -> Tensor | None:
        """What the decoder makes of (M,tokens) indices of which a random share, up to half, is replaced."""
        if not (self.weights.limits and len(indices)):
            return None
        share = 0.5 * torch.rand(len(indices), 1, generator=generator)
        replaced = torch.rand(indices.shape, generator=generator) < share
        other = torch.randint(self.module.sizes.codes, indices.shape, generator=generator)
        mixed = torch.where(replaced.to(indices.device), other.to(indices.device), indices)
        return self.module.rotations(self.module.quantizer.codebook[mixed])

    def validate(self, module: nn.Module) -> dict[str, float]:
        assert isinstance(module, PoseTokenizer)
        device = next(module.parameters()).device
        held = self.poses.held.to(device)
        indices = module.tokenize(held)
        rotations = module.rotations(module.quantizer.codebook[indices])
        used = torch.bincount(indices.reshape(-1), minlength=module.sizes.codes)
        share = used / used.sum()
        perplexity = torch.exp(-(share * torch.log(share.clamp(min=1e-12))).sum())
        errors = _errors(rotations, _rotations(held), self.body.to(device))
        return errors | {"codes_used": float((used > 0).float().mean()), "perplexity": float(perplexity)}


def train_prior(options: PriorOptions, progress: Progress | None = None) -> tuple[Path, Trained]:
    """Train one prior and write ``OUT/<kind>.safetensors``; returns its path and what was measured on held-out poses
    (with ``run.overfit``: the path of the losses).

    Raises InputError for options or data that cannot be used, and for a run already in ``out`` without ``resume``.
    """
    given = {
        name: value
        for name in ("steps", "batch", "learning_rate", "threads")
        if (value := getattr(options, name)) is not None
    }
    settings = replace(SETTINGS[options.kind], seed=options.seed, accelerator=options.accelerator, **given)
    settings = replace(settings, **options.run.given())
    short = {"validate_every": max(1, min(settings.validate_every, settings.steps // 4))}
    settings = replace(settings, warmup=min(settings.warmup, settings.steps // 10), **short)
    corpus = read_pose_corpus(options.data)
    poses = _Poses(corpus, settings.share)
    torch.manual_seed(options.seed)
    task: VPoserTask | TokenizerTask
    if options.kind == "vposer":
        losses = {"shipped": SHIPPED_VPOSER, **PUBLISHED}
        if options.loss not in losses:
            raise InputError(f"loss {options.loss!r}; expected one of {', '.join(losses)}")
        task = VPoserTask(poses, options.arch, losses[options.loss], Augmentation())
    else:
        sizes = OFFICIAL if options.official_size else TokenizerConfig()
        task = TokenizerTask(poses, sizes, SHIPPED_TOKENIZER, SHIPPED_DISTURBANCE)
    done = train(task, settings, options.out, options.resume, progress)
    if settings.overfit is not None:
        return options.out / OVERFIT_LOG, done
    arrays = {name: value.numpy() for name, value in done.state.items()}
    recipe = {
        "command": _command(options),
        "settings": asdict(settings),
        "loss": asdict(task.weights),
        "augmentation": asdict(task.augmentation),
        "data": _described(corpus, poses),
        "held_out": {name: round(value, 4) for name, value in done.metrics.items()},
        "step": done.step,
        "seconds": round(done.seconds),
        "versions": versions() | {"torch": torch.__version__},
    }
    path = options.out / f"{options.kind}.safetensors"
    write_tensors(path, Tensors(arrays, task.module.config, recipe), True, options.run.piece_bytes)
    return path, done


def _command(options: PriorOptions) -> str:
    """The command that repeats this training, with file names instead of whole paths."""
    words = ["monocap", "train", "prior", options.kind, "--data", options.data.name, "-o", options.out.name]
    words += ["--seed", str(options.seed)]
    for name in ("steps", "batch", "learning_rate"):
        if (value := getattr(options, name)) is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    if options.kind == "vposer":
        words += ["--arch", options.arch, "--loss", options.loss]
    return shlex.join([*words, "--official-size"] if options.official_size else words)


def _described(corpus: PoseCorpus, poses: _Poses) -> dict[str, Any]:
    """What the network saw: how much, from where, and a checksum of the poses."""
    seen = corpus.part("train")
    return {
        "poses": len(seen),
        "trained_on": poses.count,
        "subjects": sorted({str(name) for name in seen.subject}),
        "kinds": {str(kind): int((seen.kind == kind).sum()) for kind in np.unique(seen.kind)},
        "crc32": f"{zlib.crc32(np.ascontiguousarray(seen.body_pose).tobytes()):08x}",
    }
