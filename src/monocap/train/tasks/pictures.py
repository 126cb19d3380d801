"""``monocap train regressor``: any network of the registry on pictures, of data sets or rendered on the way."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from monocap import nets
from monocap.assets.manifest import locate
from monocap.assets.tensors import Tensors, read_tensors, write_tensors
from monocap.bodies import load_body
from monocap.data.crop_families import crop_family
from monocap.errors import InputError
from monocap.nets.light_regressors import LightRegressor
from monocap.nets.pose_discriminator import PoseDiscriminator
from monocap.nets.registry import from_tensors, to_tensors
from monocap.nets.smpler.network import Smpler, SmplerStage1
from monocap.pipeline.outputs import versions
from monocap.synth.sampler import SynthSettings
from monocap.train.adversarial import Adversary, RealPoses
from monocap.train.body_losses import recipe
from monocap.train.engine import Progress, Trained, TrainSettings, train
from monocap.train.overfit import OVERFIT_LOG
from monocap.train.people_batches import BatchPlan, PeopleBatches, parse_sources
from monocap.train.picture_sources import held_of, named, picture_sources
from monocap.train.picture_task import ENCODERS, PicturesTask, Regression, freeze_unused
from monocap.train.settings import RunOptions, chosen
from monocap.train.supervision import normalised

SETTINGS = TrainSettings(
    steps=100_000, batch=64, learning_rate=5e-5, warmup=500, average=0.999, clip=10.0, validate_every=1000
)
_SETTLED = 32  # people over whose feature maps the light networks' means are taken
_LOSSES = (("hmr-resnet50v2", "hmr"), ("hmr-light", "cliff"), ("hmr", "spin"), ("cliff", "cliff"), ("vibe", "vibe"),
           ("smpler-light", "cliff"), ("smpler", "smpler"), ("tokenhmr", "hmr2"), ("hmr2", "hmr2"),
           ("camerahmr", "hmr2"))  # fmt: skip


@dataclass(frozen=True)
class PicturesOptions:
    """What to train on what; None takes the value of `SETTINGS`, or the network's family's.

    ``model``: a name of `monocap.nets.registry`, built with ``joints`` (22: those that the open body and SMPL share).
    ``data``: as `parse_sources` reads it; ``stream``: people rendered on the way, alone or with ``stream_share`` of the
    batch beside the data. ``mix``: shares as published (`people_batches.MIXES`). ``held``: a folder of rendered people
    to validate on; by default the last of ``data``'s first rendered folder, or rendered from the test split.
    ``init``: weights of this network, or of one with the same encoder, whose encoder is then taken.
    ``freeze_encoder``, else it learns at ``encoder_rate`` × the learning rate. ``losses``: a family of
    `body_losses.RECIPES`; ``adversary``: folder of a pose corpus, or "priors", for the adversarial prior. ``workers``
    prepare batches; ``views``: crops of each rendered person; ``shrink``: the network sees crops that much smaller,
    for trials on small machines.
    """

    model: str
    out: Path
    data: str = ""
    stream: SynthSettings | None = None
    stream_share: float | None = None
    mix: str | None = None
    held: Path | None = None
    init: Path | None = None
    freeze_encoder: bool = False
    encoder_rate: float = 1.0
    augmentation: str = "synthetic"
    losses: str | None = None
    adversary: str | None = None
    joints: int = 22
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


def train_pictures(options: PicturesOptions, progress: Progress | None = None) -> tuple[Path, Trained]:
    """Train, and write ``OUT/MODEL.safetensors`` with its recipe; its path (with ``run.overfit``: that of the losses)
    and what was measured on held-out people.

    Raises InputError for an unknown network or family, data that cannot be used, weights that do not fit, and for a run
    already in ``out`` without ``resume``.
    """
    settings = chosen(SETTINGS, options)
    torch.manual_seed(options.seed)
    task = build_task(options, settings.share)
    done = train(task, settings, options.out, options.resume, progress)
    if settings.overfit is not None:
        return options.out / OVERFIT_LOG, done
    network = task.module.network
    own = {name.removeprefix("network."): v for name, v in done.state.items() if name.startswith("network.")}
    network.load_state_dict(own)
    recipe_text: dict[str, Any] = {
        "command": _command(options, settings),
        "settings": asdict(settings),
        "losses": asdict(task.losses),
        "data": task.described(),
        "held_out": {name: round(value, 3) for name, value in done.metrics.items()},
        "step": done.step,
        "seconds": round(done.seconds),
        "pictures_per_second": round(done.rate, 2),
        "versions": versions() | {"torch": torch.__version__},
    }
    if options.init is not None:
        recipe_text["init"] = read_tensors(options.init).recipe
    path = options.out / f"{options.model}.safetensors"
    tensors = to_tensors(network, recipe_text)
    write_tensors(path, Tensors(tensors.arrays, tensors.arch, recipe_text), True, options.run.piece_bytes)
    return path, done


def build_task(options: PicturesOptions, count: int) -> PicturesTask:
    """The task of ``options``, whose batches are of ``count`` people. Raises as `train_pictures`."""
    network = _network(options)
    family = getattr(network, "crop", "light")
    losses = recipe(options.losses or next((f for start, f in _LOSSES if options.model.startswith(start)), "spin"))
    sources, held = picture_sources(options)
    plan = BatchPlan(sources, count, family, options.augmentation, options.mix, options.joints, views=options.views)
    batches = PeopleBatches(plan)
    held = held or held_of(batches)
    body = load_body("open")
    real, adversary = None, None
    if options.adversary is not None:
        if not losses.adversarial:
            losses = replace(losses, adversarial=recipe("hmr").adversarial)
        below = options.joints - 1
        if options.adversary == "priors":
            real = RealPoses.of_priors(body, below)
        else:
            real = RealPoses.of_corpus(Path(options.adversary), body, below)
        adversary = Adversary(PoseDiscriminator(below))
    if isinstance(network, LightRegressor) and options.init is None:
        _begin_light(network, batches)
    module = Regression(network, adversary, options.shrink)
    task = PicturesTask(module, batches, held, losses, real, options.encoder_rate, options.workers, body)
    freeze_unused(task)
    return task


def _network(options: PicturesOptions) -> nn.Module:
    """The network, with what ``init`` gives it, and frozen where asked for."""
    if options.shrink < 1:
        raise InputError(f"shrink is {options.shrink}; expected 1 or more")
    light = options.model.endswith("-light")
    if light and options.joints != 22:
        raise InputError(f"{options.model} has 22 joints; joints is {options.joints}")
    network: nn.Module = nets.build(options.model, **({} if light else {"joints": options.joints}))
    if options.init is not None:
        _fill(network, options.init)
    if options.freeze_encoder:
        for name in ENCODERS:
            if hasattr(network, name):
                getattr(network, name).requires_grad_(False)
    return network


def _begin_light(network: LightRegressor, batches: PeopleBatches) -> None:
    """The encoder as it was published, and its maps brought to mean 0 and deviation 1 over some of the people."""
    network.load_encoder(locate("blazepose_lite"))
    few = PeopleBatches(replace(batches.plan, count=_SETTLED)).make(0)
    with torch.no_grad():
        network.settle(network.encoder(normalised(few.images, crop_family(batches.plan.family))))


def _fill(network: nn.Module, path: Path) -> None:
    """All weights of a file of the same network, SMPLer's first stage, or the encoder of another with the same one."""
    source = from_tensors(read_tensors(path), str(path))
    given: dict[str, Tensor] = source.state_dict()
    own = network.state_dict()
    if isinstance(network, Smpler) and isinstance(source, SmplerStage1) and _fits(given, own):
        network.load_stage1(given)
        return
    fits = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    if set(fits) == set(own) == set(given):
        network.load_state_dict(given)
        return
    wanted = {name for name in own if name.startswith(ENCODERS)}
    if not wanted or not wanted <= set(fits):
        raise InputError(f"{path}: neither this network's weights nor those of one with the same encoder")
    network.load_state_dict({name: fits[name] for name in wanted}, strict=False)


def _fits(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    return all(name in own and own[name].shape == value.shape for name, value in given.items())


def _command(options: PicturesOptions, settings: TrainSettings) -> str:
    """The command that repeats this training, with file names instead of whole paths."""
    words = ["monocap", "train", "regressor", options.model]
    if options.data:
        words += ["--data", named(parse_sources(options.data))]
    words += ["--stream"] if options.stream is not None else []
    for name in ("init", "held", "losses", "mix", "adversary"):
        if (value := getattr(options, name)) is not None:
            words += [f"--{name}", Path(value).name]
    words += ["--freeze-encoder"] if options.freeze_encoder else []
    words += ["--augmentation", options.augmentation, "--steps", str(settings.steps), "--batch", str(settings.batch)]
    return shlex.join([*words, "--learning-rate", f"{settings.learning_rate:g}", "--seed", str(settings.seed)])
