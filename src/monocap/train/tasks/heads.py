"""Heads of the light networks, learned from features that were computed once (`monocap.train.feature_cache`)."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from monocap.assets.manifest import locate
from monocap.assets.tensors import Tensors, read_tensors, write_tensors
from monocap.data.synthetic import OUTSIDE
from monocap.errors import InputError
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.metrics.joints import pa_mpjpe
from monocap.nets.iterative import BodyOutput
from monocap.nets.light_regressors import HEADS, LightRegressor, in_crop, light_regressor, maps_needed, pelvis
from monocap.pipeline.outputs import versions
from monocap.train.body_points import BODY_JOINTS, BodyPoints
from monocap.train.engine import Progress, Trained, TrainSettings, train
from monocap.train.feature_cache import Truth, read_features
from monocap.train.overfit import OVERFIT_LOG
from monocap.train.settings import RunOptions, chosen
from monocap.train.stepping import Group
from monocap.types import Array

SETTINGS = TrainSettings(
    steps=60_000, batch=128, learning_rate=3e-4, weight_decay=1e-4, warmup=500, average=0.999, validate_every=1000
)
FEWEST = 7  # of the 22 joints within the crop: who shows less teaches only how people stand on average
HELD_OUT = 1500
EARLIER = 0.3  # weight of every stage but the last: the published networks supervise the last alone
WEIGHTS = {"joints": 5.0, "skin": 5.0, "points": 1.0, "rotations": 1.0, "betas": 0.05, "cam": 0.3}


@dataclass(frozen=True)
class HeadOptions:
    """``features``: folder that `monocap train features` wrote; ``held``: another, of people held out; ``start``:
    weights to go on from, of the other kind too (then its upper half and first estimate are taken); ``upper_rate`` of
    the learning rate for the encoder's upper half, 0 to leave it as published, which is eight times as fast."""

    kind: str
    features: Path
    held: Path
    out: Path
    start: Path | None = None
    upper_rate: float = 0.0
    steps: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    seed: int = 1
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = None
    resume: bool = False
    run: RunOptions = field(default_factory=RunOptions)


class Batch(NamedTuple):
    """``maps`` of N crops and what is true of them: rotations, betas, pelvis (N,3) m, box (N,3)."""

    maps: dict[str, Tensor]
    rotmats: Tensor
    betas: Tensor
    pelvis: Tensor
    box: Tensor


class People:
    """A folder of features, of which crops that show enough of a person are used."""

    def __init__(self, folder: Path, needs: tuple[str, ...]) -> None:
        maps, truth = read_features(folder)
        self.truth: Truth = truth
        inside = (truth.state[:, :BODY_JOINTS] != OUTSIDE).sum(axis=1)
        self.rows = np.flatnonzero(inside >= FEWEST)
        if not len(self.rows):
            raise InputError(f"{folder}: no crop shows {FEWEST} joints of a person")
        self._maps = {name: maps[name] for name in needs}
        lengths = [len(one) for one in next(iter(maps.values()))]
        self._starts = np.cumsum([0, *lengths])
        pose = np.concatenate([truth.global_orient, truth.body_pose], axis=1).reshape(-1, BODY_JOINTS, 3)
        self.rotmats = axis_angle_to_matrix(pose.astype(np.float32))
        self.box = np.column_stack([truth.center, truth.size]) / truth.focal[:, None]

    def maps(self, rows: Array, device: torch.device | str = "cpu") -> dict[str, Tensor]:
        """Feature maps of the crops ``rows`` (N,), numbers of the folder."""
        chunk = np.searchsorted(self._starts, rows, side="right") - 1
        at = rows - self._starts[chunk]
        maps = {
            name: torch.from_numpy(np.stack([parts[c][i] for c, i in zip(chunk, at, strict=True)])).to(device).float()
            for name, parts in self._maps.items()
        }
        if "f16" in maps:
            maps["f16"] = maps["f16"].contiguous(memory_format=torch.channels_last)
        return maps

    def take(self, rows: Array, device: torch.device | str = "cpu") -> Batch:
        """The crops of ``rows`` (N,), numbers of the folder."""
        found = (self.rotmats[rows], self.truth.betas[rows], self.truth.joints[rows, 0], self.box[rows])
        return Batch(
            self.maps(rows, device), *(torch.from_numpy(np.asarray(one, np.float32)).to(device) for one in found)
        )


class HeadTask:
    """Crops by the batch, drawn evenly; held-out performers, clothes and rooms for validation."""

    unit = "crops"
    methods = ("read",)

    def __init__(self, kind: str, people: People, held: People, batch: int, upper_rate: float) -> None:
        self.module = light_regressor(kind)
        self.module.load_encoder(locate("blazepose_lite"))
        self.module.encoder.requires_grad_(False)
        self.module.landmarks.requires_grad_(False)
        self.module.upper.requires_grad_(upper_rate > 0)
        self.module.as_published = upper_rate == 0
        self._upper_rate = upper_rate
        # Depthwise convolutions take half the time on a processor.
        self.module.upper.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._people, self._held, self._batch = people, held, batch
        self._body = BodyPoints(count=128)
        rng = np.random.default_rng(0)
        self._held_rows = np.sort(rng.permutation(held.rows)[:HELD_OUT])
        self.module.settle(people.take(np.sort(rng.permutation(people.rows)[:512])).maps)

    def groups(self) -> list[Group]:
        """The upper half has learned from real people: it follows slowly."""
        return [Group("upper.", self._upper_rate)] if self._upper_rate else []

    def batch(self, generator: torch.Generator, device: torch.device) -> Batch:
        drawn = torch.randint(len(self._people.rows), (self._batch,), generator=generator).numpy()
        return self._people.take(np.sort(self._people.rows[drawn]), device)

    def amounts(self, batch: Batch) -> Tensor:
        """(1,): points of the crops that lie in or near them."""
        return self._true(batch)[2].sum()[None].float()

    def _true(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Joints and skin (N,K,3) m from the pelvis, where they lie in the crop (N,K,2), and whether they are near it
        and in front of the camera."""
        joints, skin = self._body.to(batch.box.device)(batch.rotmats, betas=batch.betas)
        assert skin is not None
        truth = torch.cat([joints, skin], dim=1) - joints[:, :1]
        flat = in_crop(truth + batch.pelvis[:, None], batch.box)
        return truth, flat, (flat.abs().amax(dim=-1) < 1.5) & (truth[..., 2] + batch.pelvis[:, None, 2] > 0.2)

    def loss(
        self, module: torch.nn.Module, batch: Batch, progress: float, whole: tuple[Tensor, int] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean absolute errors of joints, skin and rotations, in space and in the crop."""
        body = self._body.to(batch.box.device)
        truth, flat, seen = self._true(batch)
        shown = seen.sum() if whole is None else whole[0][0]
        depth = 2 / (batch.box[:, 2] * batch.pelvis[:, 2])
        total, named = torch.zeros((), device=flat.device), {}
        stages: list[BodyOutput] = module.read(batch.maps, batch.box)  # type: ignore[operator]
        for number, told in enumerate(stages):
            joints, skin = body(told.rotmats, betas=told.betas)
            points = torch.cat([joints, skin], dim=1) - joints[:, :1]
            missed = (points - truth).abs()
            apart = (in_crop(points + pelvis(told.cam, batch.box)[:, None], batch.box) - flat).abs().sum(dim=-1)
            named = {
                "joints": missed[:, :BODY_JOINTS].mean(),
                "skin": missed[:, BODY_JOINTS:].mean(),
                "points": (apart.clamp(max=2.0) * seen).sum() / shown.clamp(min=1),
                "rotations": (told.rotmats - batch.rotmats).abs().mean(),
                "betas": (told.betas - batch.betas).square().mean(),
                "cam": (told.cam[:, 0].log() - depth.log()).abs().mean(),
            }
            weight = 1.0 if number == len(stages) - 1 else EARLIER
            total = total + weight * sum(WEIGHTS[name] * value for name, value in named.items())
        return total, named

    def validate(self, module: torch.nn.Module) -> dict[str, float]:
        device = next(module.parameters()).device
        body = self._body.to(device)
        names = ("pa_mpjpe_mm", "mpjpe_mm", "pve_mm", "crop_percent", "first_mm")
        kept: dict[str, list[Array]] = {name: [] for name in names}
        for rows in np.array_split(self._held_rows, max(1, len(self._held_rows) // 250)):
            batch = self._held.take(rows, device)
            stages: list[BodyOutput] = module.read(batch.maps, batch.box)  # type: ignore[operator]
            truth = torch.cat(body(batch.rotmats, betas=batch.betas), dim=1)  # type: ignore[arg-type]
            truth = truth - truth[:, :1]
            for stage in {0, len(stages) - 1}:
                told = stages[stage]
                points = torch.cat(body(told.rotmats, betas=told.betas), dim=1)  # type: ignore[arg-type]
                points = points - points[:, :1]
                missed = 1e3 * (points - truth).norm(dim=-1)
                if stage == 0:
                    kept["first_mm"].append(missed[:, :BODY_JOINTS].mean(dim=1).cpu().numpy())
                if stage < len(stages) - 1:
                    continue
                flat, true = (in_crop(p[:, :BODY_JOINTS] + at[:, None], batch.box) for p, at in (
                    (points, pelvis(told.cam, batch.box)), (truth, batch.pelvis)))  # fmt: skip
                aligned = pa_mpjpe(points[:, :BODY_JOINTS].cpu().numpy(), truth[:, :BODY_JOINTS].cpu().numpy())
                kept["pa_mpjpe_mm"].append(1e3 * np.asarray(aligned))
                kept["mpjpe_mm"].append(missed[:, :BODY_JOINTS].mean(dim=1).cpu().numpy())
                kept["pve_mm"].append(missed[:, BODY_JOINTS:].mean(dim=1).cpu().numpy())
                kept["crop_percent"].append(50 * (flat - true).norm(dim=-1).median(dim=1).values.cpu().numpy())
        return {name: float(np.concatenate(value).mean()) for name, value in kept.items()}


def train_head(options: HeadOptions, progress: Progress | None = None) -> tuple[Path, Trained]:
    """Train a head and write ``OUT/KIND.safetensors``, encoder included; its path and what was measured (with
    ``run.overfit``: the path of the losses).

    Raises InputError for an unknown kind, a folder without features, a run already in ``out`` without ``resume``.
    """
    if options.kind not in HEADS:
        raise InputError(f"cannot train head {options.kind!r}; expected {' or '.join(HEADS)}")
    settings = chosen(SETTINGS, options)
    torch.manual_seed(options.seed)
    needs = maps_needed(HEADS[options.kind].looks, options.upper_rate > 0)
    people, held = People(options.features, needs), People(options.held, needs)
    task = HeadTask(options.kind, people, held, settings.share, options.upper_rate)
    if options.start is not None:
        _begin(task.module, options.start, options.kind)
    done = train(task, settings, options.out, options.resume, progress)
    if settings.overfit is not None:
        return options.out / OVERFIT_LOG, done
    words = ["monocap", "train", "head", options.kind, "--features", options.features.name, "--held", options.held.name]
    words += ["--upper-rate", str(options.upper_rate)] if options.upper_rate else []
    words += ["--steps", str(settings.steps), "--batch", str(settings.batch), "--seed", str(settings.seed)]
    recipe: dict[str, Any] = {
        "command": shlex.join(words),
        "settings": asdict(settings),
        "data": {"crops": len(people.rows), "held_out": len(held.rows), "source": "monocap synth, poses of CMU"},
        "held_out": {name: round(value, 3) for name, value in done.metrics.items()},
        "step": done.step,
        "seconds": round(done.seconds),
        "versions": versions() | {"torch": torch.__version__},
    }
    if options.start is not None:
        recipe["start"] = read_tensors(options.start).recipe
    arrays = {name: value.numpy() for name, value in done.state.items()}
    path = options.out / f"{options.kind}.safetensors"
    write_tensors(path, Tensors(arrays, {"name": options.kind}, recipe), True, options.run.piece_bytes)
    return path, done


def _begin(module: LightRegressor, path: Path, kind: str) -> None:
    stored = read_tensors(path)
    if stored.arch["name"] == kind:
        load_weights(module, path, kind)
        return
    if stored.arch["name"] not in HEADS:
        raise InputError(f"{path} holds a {stored.arch['name']!r} network; expected {' or '.join(HEADS)}")
    module.begin_with({name: torch.from_numpy(np.asarray(value)).float() for name, value in stored.arrays.items()})


def load_weights(module: torch.nn.Module, path: Path, kind: str) -> None:
    """Weights of a file. Raises InputError if they are of another network."""
    arrays = read_tensors(path, kind).arrays
    try:
        module.load_state_dict({name: torch.from_numpy(np.asarray(value)).float() for name, value in arrays.items()})
    except RuntimeError as error:
        raise InputError(f"{path} does not fit the network: {str(error).splitlines()[-1].strip()}") from error
