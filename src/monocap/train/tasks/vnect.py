"""``monocap train vnect``: the published network on pictures, of data sets or rendered on the way.

First heatmaps alone, on 2D data (``stage="2d"``), then all maps from those weights (Mehta et al., SIGGRAPH 2017; it
trained with AdaDelta, this with AdamW). It is trained with normalisation behind its convolutions, which the written
network has in its weights; beside it lie weights to train on from.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from monocap.assets.tensors import Tensors, read_tensors, write_tensors
from monocap.data.augmentation import Change
from monocap.data.crop_families import crop_family
from monocap.data.sample import Sample
from monocap.errors import InputError
from monocap.nets.registry import build, from_tensors, to_tensors
from monocap.nets.vnect import Vnect
from monocap.pipeline.outputs import versions
from monocap.synth.sampler import SynthSettings
from monocap.train.engine import Progress, Trained, TrainSettings, train
from monocap.train.normalisation import take_statistics
from monocap.train.overfit import OVERFIT_LOG
from monocap.train.people_batches import BatchPlan, PeopleBatches, Source, load, parse_sources
from monocap.train.picture_sources import held_of, named, picture_sources
from monocap.train.settings import RunOptions, chosen
from monocap.train.stepping import Seeds
from monocap.train.supervision import normalised
from monocap.train.vnect_errors import mean_errors, vnect_errors
from monocap.train.vnect_losses import Supervised, VnectLosses, vnect_losses
from monocap.train.vnect_supervision import VnectBatch, VnectCrop, collate_vnect, supervise_vnect

NAME, UNFOLDED = "vnect", "vnect-training"
SETTINGS = TrainSettings(
    steps=200_000, batch=32, learning_rate=5e-4, weight_decay=1e-4, warmup=1000, average=0.999, clip=10.0,
    validate_every=1000,
)  # fmt: skip
SETTLED = 4  # batches over which statistics are taken before validation
LOSSES = VnectLosses(elsewhere=0.0)


@dataclass(frozen=True)
class VnectOptions:
    """``data``, ``stream``, ``stream_share``, ``held``: see `picture_sources.SaidOfPictures`. ``stage``: "2d" learns
    heatmaps alone, where 3D is known too. ``start``: weights to go on from: of an earlier stage (``vnect-training``),
    or the released ones, converted, which then have no normalisation left. ``workers`` prepare batches; ``views``:
    crops of each rendered person; ``shrink``: the network sees crops that much smaller, for trials."""

    out: Path
    data: str = ""
    stream: SynthSettings | None = None
    stream_share: float | None = None
    held: Path | None = None
    start: Path | None = None
    stage: Literal["2d", "3d"] = "3d"
    augmentation: str = "synthetic"
    workers: int = 2
    views: int = 2
    shrink: int = 1
    steps: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    seed: int = 1
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = None
    resume: bool = False
    run: RunOptions = field(default_factory=RunOptions)


class VnectBatches(PeopleBatches):
    """People with what VNect's maps are compared with."""

    def crop(self, sample: Sample, change: Change, source: Source) -> VnectCrop | None:
        return supervise_vnect(sample, crop_family(self.plan.family), change)

    def together(self, crops: Sequence[VnectCrop], source: Sequence[int]) -> VnectBatch:
        return collate_vnect(crops)


class VnectTask:
    """People by the batch from workers; held-out people for validation."""

    unit = "pictures"

    def __init__(
        self, network: Vnect, batches: VnectBatches, held: Sequence[Sample], losses: VnectLosses, workers: int = 0,
        shrink: int = 1,
    ) -> None:  # fmt: skip
        self.module, self.losses = Supervised(network), losses
        self._batches, self._workers, self._shrink = batches, workers, shrink
        self._family = crop_family(batches.plan.family)
        crops = [supervise_vnect(sample, self._family, Change()) for sample in held]
        self._held = [crop for crop in crops if crop is not None and crop.truth["known"].any()]
        if not self._held:
            raise InputError("nobody to validate on: held-out people need a picture and joints in space")

    def batches(self, seeds: Seeds, device: torch.device) -> Iterator[VnectBatch]:
        """The batches of ``seeds``, prepared ahead."""
        return cast("Iterator[VnectBatch]", load(self._batches, seeds, self._workers, device))

    def batch(self, generator: torch.Generator, device: torch.device) -> VnectBatch:
        return cast("VnectBatch", self._batches.make(generator.initial_seed()).to(device))

    def described(self) -> dict[str, Any]:
        """What it learns from, ready for JSON."""
        plan = self._batches.plan
        names = [s.path.name if s.path is not None else "rendered on the way" for s in plan.sources]
        shares = [round(share, 4) for share in self._batches.shares]
        return {"sources": dict(zip(names, shares, strict=True)), "held_out": len(self._held)}

    def loss(self, module: nn.Module, batch: VnectBatch, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        looked, earlier = module(self._seen(batch.images))
        return vnect_losses(self.losses, looked, earlier, batch.targets, progress)

    def validate(self, module: nn.Module) -> dict[str, float]:
        """See `vnect_errors`; while only heatmaps are learned, their error alone. Statistics of normalisation are taken
        anew before."""
        device, found = next(module.parameters()).device, []
        batches = (self._batches.make(seed).to(device) for seed in range(SETTLED))
        take_statistics(module, (self._seen(batch.images) for batch in batches))
        for start in range(0, len(self._held), 16):
            batch = collate_vnect(self._held[start : start + 16]).to(device)
            found.append(vnect_errors(module(self._seen(batch.images))[0].maps, batch.targets))
        errors = mean_errors(found)
        return errors if self.losses.stage == "3d" else {"crop_percent": errors["crop_percent"]}

    def _seen(self, images: Tensor) -> Tensor:
        given = normalised(images, self._family)
        return functional.avg_pool2d(given, self._shrink) if self._shrink > 1 else given


def train_vnect(options: VnectOptions, progress: Progress | None = None) -> tuple[Path, Trained]:
    """Train, and write ``OUT/vnect.safetensors`` and ``OUT/vnect-training.safetensors``; the first one's path (with
    ``run.overfit``: that of the losses) and what was measured on held-out people.

    Raises InputError for data that cannot be used, weights that do not fit, and for a run already in ``out`` without
    ``resume``.
    """
    if options.shrink < 1:
        raise InputError(f"shrink is {options.shrink}; expected 1 or more")
    if options.stage not in ("2d", "3d"):
        raise InputError(f"stage is {options.stage!r}; expected 2d or 3d")
    settings = chosen(SETTINGS, options)
    torch.manual_seed(options.seed)
    network = _network(options.start)
    sources, held = picture_sources(options)
    plan = BatchPlan(sources, settings.share, network.crop, options.augmentation, views=options.views)
    batches = VnectBatches(plan)
    losses = VnectLosses(**{**asdict(LOSSES), "stage": options.stage})
    task = VnectTask(network, batches, held or held_of(batches), losses, options.workers, options.shrink)
    done = train(task, settings, options.out, options.resume, progress)
    if settings.overfit is not None:
        return options.out / OVERFIT_LOG, done
    network.load_state_dict(
        {name.removeprefix("network."): v for name, v in done.state.items() if name.startswith("network.")}
    )
    recipe: dict[str, Any] = {
        "command": _command(options, settings),
        "settings": asdict(settings),
        "losses": asdict(losses),
        "data": task.described(),
        "held_out": {name: round(value, 3) for name, value in done.metrics.items()},
        "step": done.step,
        "seconds": round(done.seconds),
        "pictures_per_second": round(done.rate, 2),
        "versions": versions() | {"torch": torch.__version__},
    }
    if options.start is not None:
        recipe["start"] = read_tensors(options.start).recipe
    folded = network.folded()
    folded.arch = {"name": NAME}
    for name, made in ((UNFOLDED, network), (NAME, folded)):
        tensors = to_tensors(made)
        path = options.out / f"{name}.safetensors"
        write_tensors(path, Tensors(tensors.arrays, tensors.arch, recipe), name == NAME, options.run.piece_bytes)
    return options.out / f"{NAME}.safetensors", done


def _network(start: Path | None) -> Vnect:
    if start is None:
        return build(NAME, norm=True)
    return from_tensors(read_tensors(start, NAME), str(start)).train()


def _command(options: VnectOptions, settings: TrainSettings) -> str:
    words = ["monocap", "train", "vnect", "--stage", options.stage]
    if options.data:
        words += ["--data", named(parse_sources(options.data))]
    words += ["--stream"] if options.stream is not None else []
    for name in ("held", "start"):
        if (value := getattr(options, name)) is not None:
            words += [f"--{name}", value.name]
    words += ["--augmentation", options.augmentation, "--steps", str(settings.steps), "--batch", str(settings.batch)]
    return shlex.join([*words, "--learning-rate", f"{settings.learning_rate:g}", "--seed", str(settings.seed)])
