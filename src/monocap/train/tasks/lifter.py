"""The lifter: learn where a body is in space from where its landmarks are in a picture.

Half of a batch are people of motion capture before simulated cameras, half are people whom the keypoint network
really saw (renderings, ``seen``); without those, all are simulated and the network's own guess is not learned.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from monocap.assets.tensors import Tensors, read_tensors, write_tensors
from monocap.bodies import load_body
from monocap.data.mocap.balance import balancing_weights, pose_features
from monocap.data.mocap.corpus import CorpusOptions
from monocap.data.mocap.retarget import retarget
from monocap.data.mocap.takes import find_takes, read_take
from monocap.errors import InputError
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.nets.lifter import LifterNet
from monocap.perception.lifter import ARCH, FEATURES, SKELETON, USED, features
from monocap.pipeline.outputs import versions
from monocap.train.engine import Progress, Trained, TrainSettings, train
from monocap.train.overfit import OVERFIT_LOG
from monocap.train.seen_keypoints import SeenErrors, SeenKeypoints, Sight, join
from monocap.train.settings import RunOptions, chosen
from monocap.train.simulated_keypoints import SimulatedKeypoints
from monocap.types import Array

SETTINGS = TrainSettings(
    steps=16_000, batch=512, learning_rate=2e-3, weight_decay=1e-4, warmup=500, average=0.998, validate_every=1000
)
# To go on from trained weights takes less.
ONWARD = replace(SETTINGS, steps=1600, batch=256, learning_rate=8e-4, warmup=100, average=0.995, validate_every=400)
MOST_POSES = 60_000  # balancing compares all with all
HELD_OUT = 4_000
KEPT = 0.5  # of the weights gone on from (Wortsman et al. 2022): renderings are not quite pictures
UNGUESSED = 0.15  # of the people, that the network also works without the guess


@dataclass(frozen=True)
class LifterOptions:
    """``data``: folder of motion capture files (CMU's are used, see data.mocap.takes); ``seen``: folder that
    tools/render_keypoints.py wrote; ``start``: weights to go on from, of which half are kept (`KEPT`); ``width`` of
    the network."""

    data: Path
    out: Path
    seen: Path | None = None
    start: Path | None = None
    steps: int | None = None
    batch: int | None = None
    seed: int = 1
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = None
    resume: bool = False
    width: int = 384
    run: RunOptions = field(default_factory=RunOptions)


class LifterTask:
    """People by the batch; held-out performers for validation."""

    def __init__(
        self,
        simulated: tuple[SimulatedKeypoints, SimulatedKeypoints],
        seen: tuple[SeenKeypoints, SeenKeypoints] | None,
        width: int,
        batch: int,
    ) -> None:
        self.module = LifterNet(FEATURES, len(USED), width)
        self._simulated, self._batch = simulated[0], batch
        self._seen = None if seen is None else seen[0]
        self._held = {"held_out_mm": _tensors(simulated[1].draw(np.random.default_rng(0), HELD_OUT))}
        if seen is not None:
            held = seen[1].sight
            blind = replace(held, guessed=np.zeros(len(held.points), dtype=bool))
            self._held = {"seen_mm": _tensors(held), "unguessed_mm": _tensors(blind)} | self._held
        names = [SKELETON.joint_names[i] for i in USED]
        self._weights = torch.tensor([_share(name) for name in names])

    def batch(self, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        if self._seen is None:
            sight = self._simulated.draw(rng, self._batch)
        else:
            half = self._batch // 2
            sight = join([self._simulated.draw(rng, self._batch - half), self._seen.draw(rng, half)])
        sight = replace(sight, guessed=sight.guessed & (rng.random(self._batch) > UNGUESSED))
        sight = sight.rolled(rng.normal(size=self._batch) * 0.1)
        points, truth = _tensors(sight)
        return points.to(device), truth.to(device)

    def loss(
        self, module: torch.nn.Module, batch: tuple[Tensor, Tensor], progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean absolute error: the median of what one picture leaves open, not the mean of both sides. The error
        that is to be expected is learned from what is left, without changing it (Laplace's likelihood)."""
        out = module(batch[0])
        difference = out[..., :3] - batch[1]
        weights = self._weights.to(difference.device)
        error = (difference.abs().mean(dim=-1) * weights).mean()
        log, missed = out[..., 3], difference.detach().norm(dim=-1)
        sure = (missed * torch.exp(-log) + log).mean()
        return error + 0.003 * sure, {"error": error, "sure": sure}

    def validate(self, module: torch.nn.Module) -> dict[str, float]:
        device = next(module.parameters()).device
        measured = {}
        for name, (seen, truth) in self._held.items():
            distance = (module(seen.to(device))[..., :3] - truth.to(device)).norm(dim=-1)
            measured[name] = 1e3 * float((distance * self._weights.to(device)).mean())
        return measured


def _share(name: str) -> float:
    """How much of the loss a landmark is: limbs matter, eyes follow from each other. One on average."""
    part = name.split("_")[-1] if not name.startswith(("left_eye", "right_eye")) else "eye"
    return {"nose": 0.4, "eye": 0.25, "ear": 0.5, "pinky": 0.6, "index": 0.6, "thumb": 0.6}.get(part, 1.5)


def _tensors(sight: Sight) -> tuple[Tensor, Tensor]:
    seen = features(sight.flat, sight.confidence, sight.guess, sight.guessed)
    return torch.from_numpy(seen), torch.from_numpy(sight.points[:, USED]).float()


def train_lifter(options: LifterOptions, progress: Progress | None = None) -> tuple[Path, Trained]:
    """Train and write ``OUT/lifter.safetensors``; returns its path and what was measured on held-out performers (with
    ``run.overfit``: the path of the losses).

    Raises InputError for a folder without usable motion, and for a run already in ``out`` without ``resume``.
    """
    settings = chosen(SETTINGS if options.start is None else ONWARD, options)
    poses, up, held = read_poses(options.data)
    torch.manual_seed(options.seed)
    seen, errors = None, [None, None]
    if options.seen is not None:
        every = SeenKeypoints.read(options.seen)
        seen = every.part(False), every.part(True)
        errors = [SeenErrors(part) for part in seen]
    train_on, held_out = (
        SimulatedKeypoints(poses[at], up[at], _weights(poses[at]), of)
        for at, of in zip((~held, held), errors, strict=True)
    )
    task = LifterTask((train_on, held_out), seen, options.width, settings.share)
    if options.start is not None:
        _load(task.module, options.start)
    done = train(task, settings, options.out, options.resume, progress)
    if settings.overfit is not None:
        return options.out / OVERFIT_LOG, done
    if options.start is not None:
        done = _kept(task, options.start, done)
    words = ["monocap", "train", "lifter", "--data", options.data.name, "--seed", str(options.seed)]
    words += [] if options.seen is None else ["--seen", options.seen.name]
    words += [] if options.start is None else ["--start", options.start.name]
    recipe: dict[str, Any] = {
        "command": shlex.join([*words, "--steps", str(settings.steps), "--batch", str(settings.batch)]),
        "settings": asdict(settings),
        "data": {"poses": int((~held).sum()), "held_out": int(held.sum()), "source": "mocap.cs.cmu.edu"}
        | ({} if seen is None else {"seen": len(seen[0].clip), "seen_held_out": len(seen[1].clip)}),
        "held_out": {name: round(value, 3) for name, value in done.metrics.items()},
        "step": done.step,
        "seconds": round(done.seconds),
        "versions": versions() | {"torch": torch.__version__},
    }
    if options.start is not None:
        recipe |= {"start": read_tensors(options.start, ARCH).recipe, "kept": KEPT}
    arrays = {name: value.numpy() for name, value in done.state.items()}
    path = options.out / "lifter.safetensors"
    write_tensors(path, Tensors(arrays, {"name": ARCH, "width": options.width}, recipe), True, options.run.piece_bytes)
    return path, done


def _kept(task: LifterTask, start: Path, done: Trained) -> Trained:
    """The mean of the weights gone on from and those trained, and what it measures."""
    trained = {name: value.clone() for name, value in done.state.items()}
    task.module.cpu()
    _load(task.module, start)
    state = {name: KEPT * value + (1 - KEPT) * trained[name] for name, value in task.module.state_dict().items()}
    task.module.load_state_dict(state)
    with torch.no_grad():
        return replace(done, state=state, metrics=task.validate(task.module.eval()))


def _load(module: LifterNet, path: Path) -> None:
    """Weights of a file. Raises InputError if they are of another network."""
    arrays = read_tensors(path, ARCH).arrays
    try:
        module.load_state_dict({name: torch.from_numpy(np.asarray(value)).float() for name, value in arrays.items()})
    except RuntimeError as error:
        raise InputError(f"{path} does not fit the network: {str(error).splitlines()[-1].strip()}") from error


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
