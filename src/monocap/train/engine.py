"""The training loop: steps, not epochs, on any one device, and resumable to the same bits.

Step k draws its batch and its noise from seeds that are functions of (seed, k) alone, so a run that stops and goes on
is the run that never stopped (on one device, with one number of threads).
"""

from __future__ import annotations

import copy
import csv
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from monocap.errors import InputError
from monocap.files import replacing

CHECKPOINT, LOG = "checkpoint.ckpt", "log.csv"
Progress = Callable[[int, int, dict[str, float]], None]


class Task(Protocol):
    """What the engine needs to know of a network and its data."""

    @property
    def module(self) -> nn.Module:
        """The network, on the processor until training moves it."""
        ...

    def batch(self, generator: torch.Generator, device: torch.device) -> Any:
        """The next training batch, drawn with ``generator`` (on the processor) only."""
        ...

    def loss(self, module: nn.Module, batch: Any, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to go down and its named parts; ``progress`` in 0–1 is how much of the run is done."""
        ...

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Named errors on held-out data; the first one chooses the best weights (lower is better)."""
        ...


@dataclass(frozen=True)
class TrainSettings:
    """How to go down. ``learning_rate`` rises linearly over ``warmup`` steps and falls to a hundredth along a cosine;
    ``average``: decay of an exponential moving average of the weights, which is then what is validated and kept (None:
    the weights themselves); ``clip``: largest gradient norm; ``threads``: of the processor (None: torch's choice)."""

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: int = 200
    average: float | None = 0.999
    clip: float | None = 1.0
    seed: int = 1
    validate_every: int = 500
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    threads: int | None = None

    def rate(self, step: int) -> float:
        """Learning rate of one step, as a share of ``learning_rate``."""
        rise = min(1.0, (step + 1) / max(self.warmup, 1))
        return rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(step / self.steps, 1.0))))


@dataclass(frozen=True)
class Trained:
    """``state`` holds the best weights (processor), found at ``step`` with ``metrics``; ``seconds`` of training."""

    state: dict[str, Tensor]
    step: int
    metrics: dict[str, float]
    seconds: float


def train(
    task: Task, settings: TrainSettings, out: Path, resume: bool = False, progress: Progress | None = None
) -> Trained:
    """Train ``task.module`` and return its best weights; ``out`` gets ``checkpoint.ckpt`` and ``log.csv``.

    The checkpoint is written at every validation. With ``resume`` a checkpoint in ``out`` is gone on from; without
    one there, training starts. A resumed run may be given another number of ``steps``: the learning rate goes on where
    that length has it. Raises InputError for settings that cannot be, a checkpoint of other settings, or
    when a finished or unfinished run lies in ``out`` and ``resume`` was not asked for; FloatingPointError when the
    loss is no longer a number.
    """
    _check(settings)
    path = out / CHECKPOINT
    if path.exists() and not resume:
        raise InputError(f"{path} exists; pass --resume to go on from it, or choose another folder")
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    fabric = Fabric(accelerator=settings.accelerator, devices=1, precision=settings.precision)
    fabric.launch()
    torch.manual_seed(settings.seed)
    optimiser = torch.optim.AdamW(
        task.module.parameters(), settings.learning_rate, settings.betas, weight_decay=settings.weight_decay
    )
    module, wrapped = fabric.setup(task.module, optimiser)
    averaged = None if settings.average is None else copy.deepcopy(task.module).requires_grad_(False)
    state: dict[str, Any] = {"module": task.module, "optimiser": optimiser, "step": 0, "seconds": 0.0, "best": None}
    state["settings"] = asdict(settings)
    if averaged is not None:
        state["averaged"] = averaged
    if path.exists():
        _load(fabric, path, state, settings)
    out.mkdir(parents=True, exist_ok=True)
    log = _Log(out / LOG, state["step"])
    start, before = time.monotonic(), state["seconds"]

    for step in range(state["step"], settings.steps):
        module.train()
        generator = torch.Generator().manual_seed(_mix(settings.seed, step, 0))
        torch.manual_seed(_mix(settings.seed, step, 1))
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * settings.rate(step)
        loss, parts = task.loss(module, task.batch(generator, fabric.device), step / settings.steps)
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(f"the loss is {float(loss.detach())} at step {step}; lower the learning rate")
        wrapped.zero_grad()
        fabric.backward(loss)
        if settings.clip is not None:
            fabric.clip_gradients(module, wrapped, max_norm=settings.clip)
        wrapped.step()
        if averaged is not None and settings.average is not None:
            # early on, the average forgets the random start faster than its decay says
            _follow(averaged, task.module, min(settings.average, (1 + step) / (10 + step)))
        done = step + 1
        if done % settings.validate_every and done != settings.steps:
            if progress is not None and done % 20 == 0:
                progress(done, settings.steps, {"loss": float(loss.detach())})
            continue
        judged = task.module if averaged is None else averaged
        judged.eval()
        with torch.no_grad():
            metrics = task.validate(judged)
        task.module.train()
        if not metrics:
            raise InputError("validation gave no metrics; the first one chooses the best weights")
        first = next(iter(metrics))
        if state["best"] is None or metrics[first] < state["best"]["metrics"][first]:
            weights = {name: value.detach().cpu().clone() for name, value in judged.state_dict().items()}
            state["best"] = {"state": weights, "step": done, "metrics": metrics}
        named = {
            "loss": float(loss.detach()),
            **{name: float(part.detach()) for name, part in parts.items()},
            **metrics,
        }
        state["step"], state["seconds"] = done, before + time.monotonic() - start
        log.write(done, settings.learning_rate * settings.rate(step), state["seconds"], named)
        with replacing(path) as temporary:
            fabric.save(temporary, state)
        if progress is not None:
            progress(done, settings.steps, named)
    best = state["best"]
    return Trained(best["state"], best["step"], best["metrics"], state["seconds"])


def _check(settings: TrainSettings) -> None:
    for name in ("steps", "batch", "validate_every"):
        if getattr(settings, name) < 1:
            raise InputError(f"{name} is {getattr(settings, name)}; expected 1 or more")
    if not settings.learning_rate > 0:
        raise InputError(f"learning_rate is {settings.learning_rate}; expected a positive number")
    if settings.average is not None and not 0 <= settings.average < 1:
        raise InputError(f"average is {settings.average}; expected 0 or more, below 1")


_MAY_CHANGE = ("accelerator", "threads", "steps")  # of a resumed run


def _load(fabric: Fabric, path: Path, state: dict[str, Any], settings: TrainSettings) -> None:
    wanted = state["settings"]
    fabric.load(path, state)
    changed = [
        name
        for name, value in wanted.items()
        if name not in _MAY_CHANGE and state["settings"].get(name, value) != value
    ]
    if changed:
        was = ", ".join(f"{name} {state['settings'][name]} (now {wanted[name]})" for name in changed)
        raise InputError(
            f"{path} was made with other settings: {was}; repeat the same command, or start in another folder"
        )
    state["settings"] = wanted


def _follow(averaged: nn.Module, module: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for mean, value in zip(averaged.parameters(), module.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        # running statistics and codebooks are means already: the averaged network uses the newest
        for mean, value in zip(averaged.buffers(), module.buffers(), strict=True):
            mean.copy_(value)


def _mix(seed: int, step: int, stream: int) -> int:
    """One 63-bit seed from three numbers (splitmix64's finaliser), so that neighbouring steps are unrelated."""
    x = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + stream * 0x94D049BB133111EB) & (2**64 - 1)
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return (x ^ (x >> 31)) >> 1


class _Log:
    """``log.csv``: one row per validation; rows after the checkpoint that is gone on from are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        self._rows: list[dict[str, str]] = []
        if path.exists() and step:
            with path.open(newline="") as handle:
                self._rows = [row for row in csv.DictReader(handle) if int(row["step"]) <= step]

    def write(self, step: int, rate: float, seconds: float, named: dict[str, float]) -> None:
        row = {"step": str(step), "learning_rate": f"{rate:.3e}", "seconds": f"{seconds:.1f}"}
        self._rows.append(row | {name: f"{value:.6g}" for name, value in named.items()})
        columns = list(dict.fromkeys(name for known in self._rows for name in known))
        with replacing(self._path) as temporary, temporary.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, columns)
            writer.writeheader()
            writer.writerows(self._rows)
