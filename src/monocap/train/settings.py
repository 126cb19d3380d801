"""How a run goes down (`TrainSettings`), and what a user may say of any run beside its task (`RunOptions`)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from monocap.errors import InputError
from monocap.train.distributed import processes

Accelerator = Literal["auto", "cpu", "cuda", "mps"]
Strategy = Literal["auto", "ddp", "ddp_find_unused_parameters_true"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
PIECE_BYTES = 15_000_000  # of final weights, where they are wanted in pieces


@dataclass(frozen=True)
class TrainSettings:
    """How to go down. ``learning_rate`` rises linearly over ``warmup`` steps and falls to a hundredth along a cosine;
    ``average``: decay of an exponential moving average of the weights, which is then what is validated and kept (None:
    the weights themselves); ``clip``: largest gradient norm; ``threads``: of the processor (None: torch's choice).

    ``batch`` counts all samples of a step, however they are cut: ``devices`` (per node) × ``nodes`` processes draw
    their parts in ``accumulate`` pieces of `share` samples each, so the same settings mean the same training on any
    machine. ``strategy``: as Lightning Fabric names it; ddp_find_unused_parameters_true for networks of which a step
    may use only a part. ``checkpointing``: compute activations again on the way back instead of keeping them, in every
    part of the network that has a ``checkpointing`` switch. ``overfit``: instead of training, so many steps on one
    fixed batch, and the loss must fall."""

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
    accelerator: Accelerator = "auto"
    precision: Precision = "32-true"
    threads: int | None = None
    devices: int | Literal["auto"] = 1
    nodes: int = 1
    strategy: Strategy = "auto"
    accumulate: int = 1
    checkpointing: bool = False
    overfit: int | None = None

    def rate(self, step: int) -> float:
        """Learning rate of one step, as a share of ``learning_rate``."""
        rise = min(1.0, (step + 1) / max(self.warmup, 1))
        return rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(step / self.steps, 1.0))))

    @property
    def parts(self) -> int:
        """In how many pieces a step's batch is drawn: processes × ``accumulate``."""
        return processes(self.accelerator, self.devices, self.nodes) * self.accumulate

    @property
    def share(self) -> int:
        """Samples that a task draws at once. Raises InputError if ``batch`` cannot be cut evenly."""
        whole, rest = divmod(self.batch, self.parts)
        if rest or not whole:
            raise InputError(
                f"a batch of {self.batch} cannot be cut into {self.parts} equal parts (processes × accumulate); choose "
                f"one that is a multiple of {self.parts}"
            )
        return whole


def check(settings: TrainSettings) -> None:
    """Raise InputError for settings that cannot be."""
    for name in ("steps", "batch", "validate_every", "nodes", "accumulate"):
        if getattr(settings, name) < 1:
            raise InputError(f"{name} is {getattr(settings, name)}; expected 1 or more")
    if settings.devices != "auto" and settings.devices < 1:
        raise InputError(f"devices is {settings.devices}; expected 1 or more, or auto")
    if not settings.learning_rate > 0:
        raise InputError(f"learning_rate is {settings.learning_rate}; expected a positive number")
    if settings.average is not None and not 0 <= settings.average < 1:
        raise InputError(f"average is {settings.average}; expected 0 or more, below 1")
    if settings.overfit is not None and settings.overfit < 10:
        raise InputError(f"overfit is {settings.overfit}; expected 10 or more steps")
    _ = settings.share  # raises


@dataclass(frozen=True)
class RunOptions:
    """What any training can be told beside its task; None keeps what the task's own settings say.

    ``pieces``: write the final weights in files of at most 15 MB with an index (`monocap.assets.tensors`). The others
    as in `TrainSettings`."""

    devices: int | Literal["auto"] | None = None
    nodes: int | None = None
    strategy: Strategy | None = None
    precision: Precision | None = None
    accumulate: int | None = None
    checkpointing: bool | None = None
    overfit: int | None = None
    pieces: bool = False

    def given(self) -> dict[str, Any]:
        """Those that were given, to `dataclasses.replace` in `TrainSettings`."""
        named = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "pieces"}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def piece_bytes(self) -> int | None:
        """For `write_tensors`."""
        return PIECE_BYTES if self.pieces else None


def chosen(usual: TrainSettings, options: Any) -> TrainSettings:
    """A task's ``usual`` settings with what a user's ``options`` say (None says nothing): ``steps``, ``batch``,
    ``learning_rate``, ``threads``, ``seed``, ``accelerator`` and ``run``, as far as it has them. A short run validates
    four times or more, and warms up for a tenth of it at most."""
    names = ("steps", "batch", "learning_rate", "threads", "seed", "accelerator")
    said = {name: value for name in names if (value := getattr(options, name, None)) is not None}
    settings = replace(usual, **said, **options.run.given())
    return replace(
        settings,
        validate_every=max(1, min(settings.validate_every, settings.steps // 4)),
        warmup=min(settings.warmup, settings.steps // 10),
    )
