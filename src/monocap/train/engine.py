"""The training loop: steps, not epochs, on one device or many, and resumable to the same bits.

Step k draws its batch and its noise from seeds that are functions of (seed, k, piece) alone, so a run that stops and
goes on is the run that never stopped (on one kind of device, with one number of threads and of pieces).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import time
import zipfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from monocap.errors import InputError
from monocap.files import replacing
from monocap.pipeline.lock import locked
from monocap.train.distributed import launch, leave
from monocap.train.logs import EVENTS, CsvLog, Events
from monocap.train.memory import peak_memory, reset_peak
from monocap.train.overfit import overfit
from monocap.train.settings import TrainSettings as TrainSettings
from monocap.train.settings import check
from monocap.train.stepping import Group as Group
from monocap.train.stepping import Seeds as Seeds
from monocap.train.stepping import Stepper

CHECKPOINT, LOG = "checkpoint.ckpt", "log.csv"
_TOLD_EVERY = 20  # steps, to TensorBoard


class Progress(Protocol):
    """Told of every step: its loss and the samples per second; and of every validation, with all that was measured
    (three numbers or more)."""

    def __call__(self, step: int, steps: int, named: dict[str, float], /) -> None: ...


class Task(Protocol):
    """What the engine needs to know of a network and its data.

    A task may have more, all optional:

    - ``amounts(batch) -> Tensor``: what the means of ``loss`` go over, such as how many joints are seen, where that is
      not the same for all pieces of a step's batch. Where there are several, ``loss`` is called with ``whole``, the
      mean of these over all pieces of all processes and how many pieces they are, and is to divide by that: then the
      mean of the pieces' losses is the loss of the whole batch, however it is cut.
    - ``groups() -> Sequence[Group]``: weights with a learning rate of their own. What does not require a gradient is
      neither trained nor averaged, and parts that are frozen whole stay in evaluation mode (batch norms keep their
      statistics).
    - ``batches(seeds: Seeds, device) -> Iterator``: in place of ``batch``, the batches drawn with these seeds in this
      order, so that workers can prepare them ahead; batch i must be a function of ``seeds[i]`` alone.
    - ``setup(fabric)``: called once after the network was set up, for a task that trains something beside it.
    - ``state_dict()`` and ``load_state_dict(state)``: tensors and numbers that a resumed run needs.
    - ``methods``: names of the network's methods that ``loss`` calls beside the network itself, so that many processes
      and 16 bits take part in them too.
    - ``unit``: what is counted in the rate, e.g. "pictures" ("samples").
    """

    @property
    def module(self) -> nn.Module:
        """The network, on the processor until training moves it."""
        ...

    def batch(self, generator: torch.Generator, device: torch.device) -> Any:
        """The next `TrainSettings.share` samples, drawn with ``generator`` (on the processor) only."""
        ...

    def loss(self, module: nn.Module, batch: Any, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss to go down and its named parts; ``progress`` in 0–1 is how much of the run is done.

        ``module`` is to be called, or those of its methods that ``methods`` names."""
        ...

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Named errors on held-out data; the first one chooses the best weights (lower is better). Called in the first
        process only."""
        ...


@dataclass(frozen=True)
class Trained:
    """``state`` holds the best weights (processor), found at ``step`` with ``metrics``; ``seconds`` of training;
    ``rate``: samples per second, ``memory_mb``: see `peak_memory`, both of the part that this call ran."""

    state: dict[str, Tensor]
    step: int
    metrics: dict[str, float]
    seconds: float
    rate: float = 0.0
    memory_mb: float | None = None


def train(
    task: Task, settings: TrainSettings, out: Path, resume: bool = False, progress: Progress | None = None
) -> Trained:
    """Train ``task.module`` and return its best weights; ``out`` gets ``checkpoint.ckpt`` and ``log.csv``, and
    ``tensorboard`` where that is installed.

    The checkpoint is written at every validation. With ``resume`` a checkpoint in ``out`` is gone on from; without
    one there, training starts. A resumed run may be given another number of ``steps``: the learning rate goes on where
    that length has it. With many processes only the first returns; the others end here (SystemExit).

    With ``settings.overfit`` nothing is trained or kept: see `overfit.overfit`; the metrics are the loss before and
    after, and the state is not worth keeping.

    Raises InputError for settings that cannot be, a checkpoint of other settings, or when a finished or unfinished run
    lies in ``out`` and ``resume`` was not asked for; DivergedError (a FloatingPointError) when the loss is no longer a
    number.
    """
    check(settings)
    path, saved = out / CHECKPOINT, None
    if settings.overfit is not None:
        steps = settings.overfit
        settings = replace(settings, steps=steps, warmup=min(settings.warmup, steps // 10), average=None)
    elif path.exists():
        if not resume:
            raise InputError(f"{path} exists; pass --resume to go on from it, or choose another folder")
        saved = _read(path, settings)
    fabric = launch(settings)
    torch.manual_seed(settings.seed)
    with locked(out) if fabric.is_global_zero else contextlib.nullcontext():
        reset_peak(fabric.device)
        stepper = Stepper(task, settings, fabric)
        run = _Run(stepper, settings, out, progress)
        done = run.go(saved) if settings.overfit is None else run.overfit()
        leave(fabric)
    return done


class _Run:
    """The steps of a run, with what is measured, written and told between them."""

    def __init__(self, stepper: Stepper, settings: TrainSettings, out: Path, progress: Progress | None) -> None:
        self._stepper, self._settings, self._out = stepper, settings, out
        self._fabric: Fabric = stepper.fabric
        self._first = self._fabric.is_global_zero
        self._progress = progress if self._first else None
        self._rate_name = f"{getattr(stepper.task, 'unit', 'samples')}_per_second"
        self._best: dict[str, Any] | None = None
        # steps and their seconds, validation left out: since the last validation, and of this call
        self._now, self._all = [0.0, 0.0], [0.0, 0.0]

    def go(self, saved: dict[str, Any] | None) -> Trained:
        settings, stepper = self._settings, self._stepper
        begin, before = 0, 0.0
        if saved is not None:
            stepper.load(saved)
            begin, before, self._best = saved["step"], saved["seconds"], saved["best"]
        log = CsvLog(self._out / LOG, begin) if self._first else None
        events = Events(self._out / EVENTS, begin) if self._first else None
        start, seconds = time.monotonic(), before
        stepper.prepare(begin, settings.steps)
        for step in range(begin, settings.steps):
            loss, parts = self._timed(step)
            done = step + 1
            last = done == settings.steps
            quick = {"loss": loss, self._rate_name: self._rate(self._now)}
            if self._progress is not None and (done % settings.validate_every and not last):
                self._progress(done, settings.steps, quick)
            if events is not None and done % _TOLD_EVERY == 0:
                events.write(done, {**quick, "learning_rate": settings.learning_rate * settings.rate(step)})
            if (done % settings.validate_every and not last) or log is None or events is None:
                continue  # the other processes wait for the first one in their next step
            metrics = self._validated(done)
            seconds = before + time.monotonic() - start
            named = {"loss": loss, **{name: float(part) for name, part in parts.items()}, **metrics}
            named |= {self._rate_name: self._rate(self._now)}
            self._now = [0.0, 0.0]
            if (memory := peak_memory(self._fabric.device)) is not None:
                named["memory_mb"] = round(memory, 1)
            log.write(done, settings.learning_rate * settings.rate(step), seconds, named)
            events.write(done, named)
            events.flush()
            self._write(done, seconds)
            if self._progress is not None:
                self._progress(done, settings.steps, named)
        if events is not None:
            events.close()
        best = self._best or {"state": {}, "step": 0, "metrics": {}}  # empty in the processes that end now
        return Trained(best["state"], best["step"], best["metrics"], seconds, self._rate(self._all), self._peak)

    def overfit(self) -> Trained:
        settings, start = self._settings, time.monotonic()

        def tell(step: int, loss: float) -> None:
            if self._progress is not None:
                self._progress(step, settings.steps, {"loss": loss})

        fall = overfit(self._stepper, settings, self._out, tell)
        state = self._stepper.task.module.state_dict()
        metrics = {"loss_before": fall.before, "loss_after": fall.after}
        return Trained(state, settings.steps, metrics, time.monotonic() - start, memory_mb=self._peak)

    def _rate(self, counted: list[float]) -> float:
        return counted[0] * self._settings.batch / max(counted[1], 1e-9)

    @property
    def _peak(self) -> float | None:
        return peak_memory(self._fabric.device)

    def _timed(self, step: int) -> tuple[float, dict[str, Tensor]]:
        start = time.monotonic()
        lost = self._stepper.step(step, step / self._settings.steps)
        for counted in (self._now, self._all):
            counted[0], counted[1] = counted[0] + 1, counted[1] + time.monotonic() - start
        return lost

    def _validated(self, done: int) -> dict[str, float]:
        """What the task measures; the weights are kept if they are the best so far."""
        judged = self._stepper.judged
        judged.eval()
        with torch.no_grad():
            metrics = self._stepper.task.validate(judged)
        if not metrics:
            raise InputError("validation gave no metrics; the first one chooses the best weights")
        first = next(iter(metrics))
        if self._best is None or metrics[first] < self._best["metrics"][first]:
            weights = {name: value.detach().cpu().clone() for name, value in judged.state_dict().items()}
            self._best = {"state": weights, "step": done, "metrics": metrics}
        return metrics

    def _write(self, done: int, seconds: float) -> None:
        kept = self._stepper.state() | {"step": done, "seconds": seconds, "best": self._best}
        with replacing(self._out / CHECKPOINT) as temporary:
            torch.save(kept | {"settings": asdict(self._settings)}, temporary)


# of a resumed run; a task's warm-up and how often it validates follow from the steps where these are few
_MAY_CHANGE = (
    "accelerator", "threads", "steps", "warmup", "validate_every", "devices", "nodes", "strategy", "accumulate",
    "checkpointing",
)  # fmt: skip


def _read(path: Path, settings: TrainSettings) -> dict[str, Any]:
    """A checkpoint, on the processor. Raises InputError if it is damaged or was made with other settings."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        was = saved["settings"]
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = os.linesep.join(str(error).splitlines()[:1])
        raise InputError(f"{path} cannot be read ({reason}); remove it, or start in another folder") from error
    wanted = asdict(settings)
    changed = [name for name, value in wanted.items() if name not in _MAY_CHANGE and was.get(name, value) != value]
    if changed:
        told = ", ".join(f"{name} {was[name]} (now {wanted[name]})" for name in changed)
        raise InputError(
            f"{path} was made with other settings: {told}; repeat the same command, or start in another folder"
        )
    return saved
