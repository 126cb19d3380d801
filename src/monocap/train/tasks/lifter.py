"""The lifter: learn where a body is in space from where its landmarks are in a picture, on simulated pictures."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from monocap.assets.tensors import Tensors, write_tensors
from monocap.bodies import load_body
from monocap.data.mocap.balance import balancing_weights, pose_features
from monocap.data.mocap.corpus import CorpusOptions
from monocap.data.mocap.retarget import retarget
from monocap.data.mocap.takes import find_takes, read_take
from monocap.errors import InputError
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.nets.lifter import LifterNet
from monocap.perception.lifter import ARCH, FEATURES, USED, features
from monocap.pipeline.outputs import versions
from monocap.train.engine import Progress, Trained, TrainSettings, train
from monocap.train.simulated_keypoints import SimulatedKeypoints
from monocap.types import Array

SETTINGS = TrainSettings(
    steps=16_000, batch=512, learning_rate=2e-3, weight_decay=1e-4, warmup=500, average=0.998, validate_every=1000
)
MOST_POSES = 60_000  # balancing compares all with all
HELD_OUT = 4_000


@dataclass(frozen=True)
class LifterOptions:
    """``data``: folder of motion capture files (CMU's are used, see data.mocap.takes); ``width`` of the network."""

    data: Path
    out: Path
    steps: int | None = None
    batch: int | None = None
    seed: int = 1
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = None
    resume: bool = False
    width: int = 384


class LifterTask:
    """Simulated people by the batch; held-out performers for validation."""

    def __init__(self, train_on: SimulatedKeypoints, held: SimulatedKeypoints, width: int, batch: int) -> None:
        self.module = LifterNet(FEATURES, len(USED), width)
        self._train, self._batch = train_on, batch
        flat, confidence, points = held.draw(np.random.default_rng(0), HELD_OUT)
        self._held = torch.from_numpy(features(flat, confidence)), torch.from_numpy(points[:, USED]).float()

    def batch(self, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        seed = int(torch.randint(2**62, (1,), generator=generator))
        flat, confidence, points = self._train.draw(np.random.default_rng(seed), self._batch)
        seen = torch.from_numpy(features(flat, confidence))
        return seen.to(device), torch.from_numpy(points[:, USED]).float().to(device)

    def loss(
        self, module: torch.nn.Module, batch: tuple[Tensor, Tensor], progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean absolute error: the median of what one picture leaves open, not the mean of both sides."""
        error = (module(batch[0]) - batch[1]).abs().mean()
        return error, {"error": error}

    def validate(self, module: torch.nn.Module) -> dict[str, float]:
        device = next(module.parameters()).device
        difference = module(self._held[0].to(device)) - self._held[1].to(device)
        return {"held_out_mm": 1e3 * float(difference.norm(dim=-1).mean())}


def train_lifter(options: LifterOptions, progress: Progress | None = None) -> tuple[Path, Trained]:
    """Train and write ``OUT/lifter.safetensors``; returns its path and what was measured on held-out performers.

    Raises InputError for a folder without usable motion, and for a run already in ``out`` without ``resume``.
    """
    given = {name: value for name in ("steps", "batch", "threads") if (value := getattr(options, name)) is not None}
    settings = replace(SETTINGS, seed=options.seed, accelerator=options.accelerator, **given)
    settings = replace(
        settings,
        validate_every=max(1, min(settings.validate_every, settings.steps // 4)),
        warmup=min(settings.warmup, settings.steps // 10),
    )
    poses, up, held = read_poses(options.data)
    torch.manual_seed(options.seed)
    parts = [SimulatedKeypoints(poses[at], up[at], _weights(poses[at])) for at in (~held, held)]
    task = LifterTask(parts[0], parts[1], options.width, settings.batch)
    done = train(task, settings, options.out, options.resume, progress)
    words = ["monocap", "train", "lifter", "--data", options.data.name, "--seed", str(options.seed)]
    recipe: dict[str, Any] = {
        "command": shlex.join([*words, "--steps", str(settings.steps), "--batch", str(settings.batch)]),
        "settings": asdict(settings),
        "data": {"poses": int((~held).sum()), "held_out": int(held.sum()), "source": "mocap.cs.cmu.edu"},
        "held_out": {name: round(value, 3) for name, value in done.metrics.items()},
        "step": done.step,
        "seconds": round(done.seconds),
        "versions": versions() | {"torch": torch.__version__},
    }
    arrays = {name: value.numpy() for name, value in done.state.items()}
    path = options.out / "lifter.safetensors"
    write_tensors(path, Tensors(arrays, {"name": ARCH, "width": options.width}, recipe), half=True)
    return path, done


def read_poses(folder: Path, say: Callable[[str], None] | None = None) -> tuple[Array, Array, Array]:
    """``body_pose`` (N,63), the world's up in the pelvis frame (N,3), and whether a held-out performer's (N,).

    Takes of clear origin whose retargeting is good, steady frames only; performers are held out as in the pose corpus.
    """
    body, options = load_body("open"), CorpusOptions()
    poses, ups, held = [], [], []
    for take in find_takes(folder):
        if take.origin != "cmu":
            continue
        try:
            motion = retarget(read_take(take), body)
        except InputError as error:
            if say is not None:
                say(f"left out: {error}")
            continue
        if motion.error.summary["direction_mean_deg"] > options.direction:
            continue
        steady = motion.steady
        world = axis_angle_to_matrix(motion.global_orient[steady])
        poses.append(motion.body_pose[steady])
        ups.append(world[:, 1, :])  # row y: the pelvis axes' shares of the world's up
        held.append(np.full(int(steady.sum()), take.subject in (*options.test, *options.val)))
    if not poses:
        raise InputError(f"{folder}: no usable motion of CMU's; unpack its .amc or .bvh files there")
    pose, up, mask = np.concatenate(poses), np.concatenate(ups), np.concatenate(held)
    if not mask.any() or mask.all():
        mask = np.arange(len(pose)) % 10 == 0
    if len(pose) > MOST_POSES:
        chosen = np.sort(np.random.default_rng(0).choice(len(pose), MOST_POSES, replace=False))
        pose, up, mask = pose[chosen], up[chosen], mask[chosen]
    return pose, up, mask


def _weights(poses: Array) -> Array:
    return balancing_weights(pose_features(poses.astype(np.float32)))
