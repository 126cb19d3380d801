"""``monocap train regressor``: any network of the registry on pictures, of data sets or rendered on the way."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from monocap import nets
from monocap.assets.manifest import locate
from monocap.assets.tensors import Tensors, read_tensors, write_tensors
from monocap.bodies import BodyModel, load_body
from monocap.data.augmentation import Change
from monocap.data.crop_families import crop_family
from monocap.data.sample import Sample
from monocap.data.synthetic import read_synthetic
from monocap.errors import InputError
from monocap.geometry.cameras import box_info
from monocap.metrics import mpjpe, mve, pa_mpjpe
from monocap.nets.light_regressors import LightRegressor
from monocap.nets.pose_discriminator import PoseDiscriminator
from monocap.nets.registry import from_tensors, to_tensors
from monocap.pipeline.outputs import versions
from monocap.synth.sampler import Sampler, SynthSettings
from monocap.train.adversarial import Adversary, RealPoses, Scores, joined
from monocap.train.body_losses import Estimate, LossRecipe, body_losses, project, recipe
from monocap.train.engine import Group, Progress, Seeds, Trained, TrainSettings, train
from monocap.train.overfit import OVERFIT_LOG
from monocap.train.people_batches import BatchPlan, PeopleBatches, Source, load, parse_sources
from monocap.train.posed_body import PosedBody
from monocap.train.settings import RunOptions
from monocap.train.supervision import Batch, collate, normalised, supervise

SETTINGS = TrainSettings(
    steps=100_000, batch=64, learning_rate=5e-5, warmup=500, average=0.999, clip=10.0, validate_every=1000
)
HELD = 64  # people that validation looks at
_SKIN = 256  # vertices of the vertex term
_SETTLED = 32  # people over whose feature maps the light networks' means are taken
_LOSSES = (("hmr-resnet50v2", "hmr"), ("hmr-light", "cliff"), ("hmr", "spin"), ("cliff", "cliff"), ("vibe", "vibe"),
           ("smpler-light", "cliff"), ("smpler", "smpler"), ("tokenhmr", "hmr2"), ("hmr2", "hmr2"))  # fmt: skip
_ENCODERS = ("encoder", "backbone")


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

    def forward(
        self, images: Tensor, place: tuple[Tensor, Tensor, Tensor], real: tuple[Tensor, Tensor] | None = None
    ) -> tuple[list[Any], Scores | None]:
        """Estimates of every stage for normalised crops (N,3,h,w), whose squares' centre (N,2), side and focal length
        (N,) are ``place``; scores where ``real`` ones are given."""
        if self.shrink > 1:
            images = functional.avg_pool2d(images, self.shrink)
        center, size, focal = place
        told = {"box": "plain", "box_info": "cliff"}.get(self._given[-1])
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
        parts = (*_ENCODERS, "upper")  # of the light networks: the encoder's upper half, which is learned further
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

    def loss(self, module: nn.Module, batch: Drawn, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
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
        total, parts = body_losses(which, estimates, targets, posed.names)
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


def train_pictures(options: PicturesOptions, progress: Progress | None = None) -> tuple[Path, Trained]:
    """Train, and write ``OUT/MODEL.safetensors`` with its recipe; its path (with ``run.overfit``: that of the losses)
    and what was measured on held-out people.

    Raises InputError for an unknown network or family, data that cannot be used, weights that do not fit, and for a run
    already in ``out`` without ``resume``.
    """
    given: dict[str, Any] = {n: getattr(options, n) for n in ("steps", "batch", "learning_rate", "threads")}
    given = {name: value for name, value in given.items() if value is not None}
    settings = replace(SETTINGS, seed=options.seed, accelerator=options.accelerator, **given)
    settings = replace(
        settings,
        validate_every=max(1, min(settings.validate_every, settings.steps // 4)),
        warmup=min(settings.warmup, settings.steps // 10),
    )
    settings = replace(settings, **options.run.given())
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
        "data": _described(task),
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
    sources, held = _sources(options)
    plan = BatchPlan(sources, count, family, options.augmentation, options.mix, options.joints, views=options.views)
    batches = PeopleBatches(plan)
    held = held or _held_of(batches)
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
    _freeze_unused(task)
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
        for name in _ENCODERS:
            if hasattr(network, name):
                getattr(network, name).requires_grad_(False)
    return network


def _freeze_unused(task: PicturesTask) -> None:
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


def _begin_light(network: LightRegressor, batches: PeopleBatches) -> None:
    """The encoder as it was published, and its maps brought to mean 0 and deviation 1 over some of the people."""
    network.load_encoder(locate("blazepose_lite"))
    few = PeopleBatches(replace(batches.plan, count=_SETTLED)).make(0)
    with torch.no_grad():
        network.settle(network.encoder(normalised(few.images, crop_family(batches.plan.family))))


def _fill(network: nn.Module, path: Path) -> None:
    """All weights of a file of the same network, or the encoder's of another with the same encoder."""
    given: dict[str, Tensor] = from_tensors(read_tensors(path), str(path)).state_dict()
    own = network.state_dict()
    fits = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    if set(fits) == set(own) == set(given):
        network.load_state_dict(given)
        return
    wanted = {name for name in own if name.startswith(_ENCODERS)}
    if not wanted or not wanted <= set(fits):
        raise InputError(f"{path}: neither this network's weights nor those of one with the same encoder")
    network.load_state_dict({name: fits[name] for name in wanted}, strict=False)


def _sources(options: PicturesOptions) -> tuple[tuple[Source, ...], list[Sample]]:
    """What is trained on, and who is held out where that is known beforehand."""
    sources = parse_sources(options.data) if options.data else ()
    if options.stream is not None:
        sources = (*sources, Source(stream=options.stream, share=options.stream_share))
    if not sources:
        raise InputError("nothing to train on; give data (KIND:PATH, …), or people rendered on the way (stream)")
    if options.held is not None:
        return sources, _spread(read_synthetic(options.held))
    first = next((i for i, source in enumerate(sources) if source.kind == "synth" and source.path), None)
    if first is not None:
        path = sources[first].path
        assert path is not None
        kept = replace(sources[first], held=max(1, min(4 * HELD, len(read_synthetic(path)) // 8)))
        return (*sources[:first], kept, *sources[first + 1 :]), []
    if options.stream is None:
        raise InputError("nobody to validate on: give a folder of rendered people (held)")
    return sources, _rendered(replace(options.stream, split="test"))


def _spread(people: Any) -> list[Sample]:
    at = np.unique(np.linspace(0, len(people) - 1, HELD).round().astype(int))
    return [sample for i in at if (sample := people[int(i)]).in_protocol and sample.box is not None]


def _held_of(batches: PeopleBatches) -> list[Sample]:
    source = next(i for i, source in enumerate(batches.plan.sources) if source.held)
    return batches.held(source, HELD)


def _rendered(settings: SynthSettings) -> list[Sample]:
    """`HELD` people of pictures that are made now: performers, skins, fabrics and backgrounds of the test split."""
    sampler, found, number = Sampler(settings=settings), [], 0
    while len(found) < HELD:
        found += [s for s in sampler.sample(number).samples() if s.in_protocol and s.box is not None]
        number += 1
    return found[:HELD]


def _described(task: PicturesTask) -> dict[str, Any]:
    plan, batches = task._batches.plan, task._batches
    named = [s.path.name if s.path is not None else "rendered on the way" for s in plan.sources]
    return {
        "sources": dict(zip(named, [round(share, 4) for share in batches.shares], strict=True)),
        "sizes": dict(zip(named, batches.sizes, strict=True)),
        "held_out": len(task._held),
        "augmentation": plan.augmentation,
    }


def _command(options: PicturesOptions, settings: TrainSettings) -> str:
    """The command that repeats this training, with file names instead of whole paths."""
    words = ["monocap", "train", "regressor", options.model]
    if options.data:
        named = [f"{s.kind}:{s.path.name}" + (f"*{s.share:g}" if s.share else "")
                 for s in parse_sources(options.data) if s.path]  # fmt: skip
        words += ["--data", ",".join(named)]
    words += ["--stream"] if options.stream is not None else []
    for name in ("init", "held", "losses", "mix", "adversary"):
        if (value := getattr(options, name)) is not None:
            words += [f"--{name}", Path(value).name]
    words += ["--freeze-encoder"] if options.freeze_encoder else []
    words += ["--augmentation", options.augmentation, "--steps", str(settings.steps), "--batch", str(settings.batch)]
    return shlex.join([*words, "--learning-rate", f"{settings.learning_rate:g}", "--seed", str(settings.seed)])
