"""VNect's light network, learned from features that were computed once (`monocap.train.feature_cache`)."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from monocap.assets.manifest import locate
from monocap.assets.tensors import Tensors, read_tensors, write_tensors
from monocap.errors import InputError
from monocap.geometry.cameras import look_rotation
from monocap.nets.light_regressors import HEADS
from monocap.nets.light_vnect import NEEDS, LightVnect
from monocap.nets.network import fill
from monocap.nets.registry import build, to_tensors
from monocap.pipeline.outputs import versions
from monocap.skeletons import vnect
from monocap.train.engine import Progress, Trained, TrainSettings, train
from monocap.train.normalisation import take_statistics
from monocap.train.overfit import OVERFIT_LOG
from monocap.train.settings import RunOptions, chosen
from monocap.train.stepping import Group
from monocap.train.tasks.heads import People
from monocap.train.vnect_errors import mean_errors, vnect_errors
from monocap.train.vnect_losses import Supervised, Targets, VnectLosses, as_targets, vnect_losses
from monocap.types import Array

NAME = "vnect-light"
SETTINGS = TrainSettings(
    steps=20_000, batch=32, learning_rate=2e-3, weight_decay=1e-4, warmup=500, average=0.998, clip=5.0,
    validate_every=1000,
)  # fmt: skip
HELD_OUT = 800
SETTLED = 768  # crops over which statistics are taken before validation
UPPER_RATE = 0.1  # of the learning rate
_SIDE = 256


@dataclass(frozen=True)
class LightVnectOptions:
    """``features``: folder that `monocap train features` wrote; ``held``: another, of people held out; ``start``:
    weights to go on from, or of a light regressor, whose upper half of the encoder is then taken; ``upper_rate``: of
    the learning rate, with which that half learns (0: not at all, which is a third faster)."""

    features: Path
    held: Path
    out: Path
    start: Path | None = None
    upper_rate: float = UPPER_RATE
    steps: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    seed: int = 1
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = None
    resume: bool = False
    run: RunOptions = field(default_factory=RunOptions)


class Batch(NamedTuple):
    """``maps`` of the encoder of N crops, and what is true of them."""

    maps: dict[str, Tensor]
    targets: Targets


class VnectPeople:
    """A folder of features, and where VNect's joints are in the crops and in space, seen straight through each."""

    def __init__(self, folder: Path) -> None:
        self.people = People(folder, NEEDS)
        self.rows = self.people.rows

    def take(self, rows: Array, device: torch.device | str = "cpu") -> Batch:
        """The crops of ``rows`` (N,), numbers of the folder."""
        truth = self.people.truth
        joints = vnect.on_body() @ truth.joints[rows].astype(np.float64)
        some = replace(truth, joints=joints, **{n: getattr(truth, n)[rows] for n in ("center", "size", "focal")})
        rays = np.column_stack([some.center / some.focal[:, None], np.ones(len(rows))])
        # v R is Rᵀ v: from the (turned) camera to the one that looks at the crop's middle
        places = vnect.normalised(joints) @ look_rotation(rays)
        maps = {
            name: value.contiguous(memory_format=torch.channels_last)
            for name, value in self.people.maps(rows, device).items()
        }
        return Batch(maps, as_targets(some.points(), places, _SIDE, device))


class LightVnectTask:
    """Crops by the batch, drawn evenly; held-out performers, clothes and rooms for validation."""

    unit = "crops"

    def __init__(
        self, people: VnectPeople, held: VnectPeople, batch: int, upper_rate: float = UPPER_RATE,
        losses: VnectLosses | None = None,
    ) -> None:  # fmt: skip
        network: LightVnect = build(NAME)
        network.load_encoder(locate("blazepose_lite"))
        network.encoder.requires_grad_(False)
        network.upper.requires_grad_(upper_rate > 0)
        self.module = Supervised(network)
        self.losses = losses or VnectLosses()
        self._rate, self._people, self._held, self._batch = upper_rate, people, held, batch
        rng = np.random.default_rng(0)
        self._held_rows = np.sort(rng.permutation(held.rows)[:HELD_OUT])
        self._first = np.sort(rng.permutation(people.rows)[:SETTLED])

    def begin(self, start: Path | None) -> None:
        """Weights of a file, or a fresh head fitted to its maps. Raises InputError for another network's file."""
        network: LightVnect = self.module.network  # type: ignore[assignment]
        fresh = True
        if start is not None:
            stored = read_tensors(start)
            fresh = stored.arch["name"] != NAME
            state = {name: torch.from_numpy(np.asarray(value)).float() for name, value in stored.arrays.items()}
            if not fresh:
                fill(network, state).train()
            elif stored.arch["name"] in HEADS:
                network.upper.load_state_dict(
                    {name.removeprefix("upper."): value for name, value in state.items() if name.startswith("upper.")}
                )
            else:
                known = ", ".join((NAME, *HEADS))
                raise InputError(f"{start} holds a {stored.arch['name']!r} network; expected one of {known}")
        if fresh:
            network.settle(self._people.take(self._first[:256]).maps)
        # Depthwise convolutions take half the time on a processor.
        self.module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def groups(self) -> list[Group]:
        """The upper half has learned from real people: it follows slowly."""
        return [Group("network.upper.", self._rate)] if self._rate > 0 else []

    def batch(self, generator: torch.Generator, device: torch.device) -> Batch:
        drawn = torch.randint(len(self._people.rows), (self._batch,), generator=generator).numpy()
        return self._people.take(np.sort(self._people.rows[drawn]), device)

    def loss(self, module: torch.nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        looked, earlier = module(batch.maps)
        return vnect_losses(self.losses, looked, earlier, batch.targets, progress)

    def validate(self, module: torch.nn.Module) -> dict[str, float]:
        """See `vnect_errors`, over held-out people, after statistics of normalisation were taken anew."""
        device = next(module.parameters()).device
        parts = np.array_split(self._first, max(1, len(self._first) // 64))
        take_statistics(module, (self._people.take(rows, device).maps for rows in parts))
        found = []
        for rows in np.array_split(self._held_rows, max(1, len(self._held_rows) // 100)):
            batch = self._held.take(rows, device)
            found.append(vnect_errors(module(batch.maps)[0].maps, batch.targets))
        return mean_errors(found)


def train_light_vnect(options: LightVnectOptions, progress: Progress | None = None) -> tuple[Path, Trained]:
    """Train, and write ``OUT/vnect-light.safetensors``, encoder included; its path and what was measured (with
    ``run.overfit``: the path of the losses).

    Raises InputError for a folder without features, a start that is another network, a negative ``upper_rate``, and a
    run already in ``out`` without ``resume``.
    """
    if not options.upper_rate >= 0:
        raise InputError(f"upper_rate is {options.upper_rate}; expected 0 or more, a share of the learning rate")
    settings = chosen(SETTINGS, options)
    torch.manual_seed(options.seed)
    people, held = VnectPeople(options.features), VnectPeople(options.held)
    task = LightVnectTask(people, held, settings.share, options.upper_rate)
    task.begin(options.start)
    done = train(task, settings, options.out, options.resume, progress)
    if settings.overfit is not None:
        return options.out / OVERFIT_LOG, done
    words = ["monocap", "train", "vnect", "--light", "--features", options.features.name, "--held", options.held.name]
    words += ["--steps", str(settings.steps), "--batch", str(settings.batch), "--upper-rate", f"{options.upper_rate:g}"]
    words += ["--learning-rate", f"{settings.learning_rate:g}", "--seed", str(settings.seed)]
    recipe: dict[str, Any] = {
        "command": shlex.join(words),
        "settings": asdict(settings),
        "losses": asdict(task.losses),
        "data": {"crops": len(people.rows), "held_out": len(held.rows), "source": "monocap synth, poses of CMU"},
        "held_out": {name: round(value, 3) for name, value in done.metrics.items()},
        "step": done.step,
        "seconds": round(done.seconds),
        "versions": versions() | {"torch": torch.__version__},
    }
    if options.start is not None:
        recipe["start"] = read_tensors(options.start).recipe
    network = task.module.network
    own = {name.removeprefix("network."): v for name, v in done.state.items() if name.startswith("network.")}
    network.load_state_dict(own)
    path, made = options.out / f"{NAME}.safetensors", to_tensors(network)
    write_tensors(path, Tensors(made.arrays, made.arch, recipe), True, options.run.piece_bytes)
    return path, done
