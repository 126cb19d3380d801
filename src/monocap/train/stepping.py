"""One step down, on one process or many: draw, back-propagate, clip, step, average.

All randomness of a piece of a batch is a function of (seed, step, number of the piece). Pieces are numbered through the
processes, so two processes draw what one draws that accumulates two.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from monocap.errors import InputError, MonocapError
from monocap.train.settings import TrainSettings

if TYPE_CHECKING:
    from monocap.train.engine import Task


class DivergedError(MonocapError, FloatingPointError):
    """The loss or its gradient is no longer a number."""


@dataclass(frozen=True)
class Group:
    """Parameters whose names begin with ``prefix``: their ``rate`` as a share of the learning rate, and their own
    weight decay (None: that of the settings). A parameter belongs to the first group that names it."""

    prefix: str
    rate: float = 1.0
    weight_decay: float | None = None


@dataclass(frozen=True)
class Seeds(Sequence[int]):
    """The seeds of every batch that this process will draw, in order; can be sent to workers that prepare batches.

    From step ``first`` to ``end``; ``pieces`` per step, of ``parts`` in all, beginning with piece ``begin``."""

    seed: int
    first: int
    end: int
    begin: int = 0
    pieces: int = 1

    def __len__(self) -> int:
        return (self.end - self.first) * self.pieces

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        at = at + len(self) if at < 0 else at
        if not 0 <= at < len(self):
            raise IndexError(at)
        step, piece = divmod(at, self.pieces)
        return batch_seed(self.seed, self.first + step, self.begin + piece)


def batch_seed(seed: int, step: int, piece: int) -> int:
    """Of what a piece of a step's batch is drawn with."""
    return _mix(seed, step, 2 * piece)


def noise_seed(seed: int, step: int, piece: int) -> int:
    """Of torch's own generators while the loss of that piece is computed: dropout, noise."""
    return _mix(seed, step, 2 * piece + 1)


class Stepper:
    """A task set up on this process's device. ``state`` and ``load`` hold all that a run goes on from."""

    def __init__(self, task: Task, settings: TrainSettings, fabric: Fabric) -> None:
        self.task, self.settings, self.fabric = task, settings, fabric
        _switch_checkpointing(task.module, settings.checkpointing)
        trained = [value for value in task.module.parameters() if value.requires_grad]
        if not trained:
            raise InputError("the network has no weights to train: all are frozen")
        groups, self._rates = _grouped(task, settings)
        self.optimiser = torch.optim.AdamW(
            groups, settings.learning_rate, settings.betas, weight_decay=settings.weight_decay
        )
        methods = tuple(getattr(task, "methods", ()))
        entry = _Entry(task.module) if methods else task.module
        self._module, self._wrapped = fabric.setup(entry, self.optimiser)
        self._seen = _Methods(self._module, task.module, methods) if methods else self._module
        if (own := getattr(task, "setup", None)) is not None:
            own(fabric)
        self._still = [part for part in task.module.modules() if _is_frozen(part)]
        self.averaged = _copy(task.module) if settings.average is not None and fabric.is_global_zero else None
        self._begin = fabric.global_rank * settings.accumulate
        self._weighed = hasattr(task, "amounts") and settings.accumulate * fabric.world_size > 1
        self._prepared: Iterator[Any] | None = None

    @property
    def judged(self) -> nn.Module:
        """What is validated and kept: the average where there is one."""
        return self.task.module if self.averaged is None else self.averaged

    def seeds(self, first: int, end: int) -> Seeds:
        """Of the batches of this process from step ``first`` to ``end``."""
        return Seeds(self.settings.seed, first, end, self._begin, self.settings.accumulate)

    def prepare(self, first: int, end: int) -> None:
        """Let a task that prepares its batches ahead begin; call before the first `step`."""
        if (batches := getattr(self.task, "batches", None)) is not None:
            self._prepared = iter(batches(self.seeds(first, end), self.fabric.device))

    def draw(self, step: int, piece: int) -> Any:
        """One piece of this process's part of the batch of ``step``."""
        if self._prepared is not None:
            return next(self._prepared)
        generator = torch.Generator().manual_seed(batch_seed(self.settings.seed, step, self._begin + piece))
        return self.task.batch(generator, self.fabric.device)

    def step(self, step: int, progress: float, batches: Sequence[Any] | None = None) -> tuple[float, dict[str, Tensor]]:
        """Go down once; returns the loss over the whole batch, and the first process's mean of its named parts.

        ``batches``: pieces to use, again with the noise of step 0, instead of drawing new ones. Raises
        DivergedError, in every process, when the loss of any of them, or the gradient, is no number.
        """
        settings, pieces = self.settings, self.settings.accumulate
        repeated = batches is not None
        self._module.train()
        for part in self._still:  # frozen batch norms keep their statistics
            part.eval()
        for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = settings.learning_rate * settings.rate(step) * rate
        self._wrapped.zero_grad()
        total: Tensor | None = None
        named: dict[str, Tensor] = {}
        shared: dict[str, tuple[Tensor, int]] = {}
        if self._weighed:  # what all pieces hold is to be known before the first is back-propagated
            batches = self._drawn(step) if batches is None else batches
            shared["whole"] = self._whole(batches)
        for piece in range(pieces):
            noise = noise_seed(settings.seed, 0 if repeated else step, self._begin + piece)
            torch.manual_seed(noise)
            batch = batches[piece] if batches else self.draw(step, piece)
            # Once more: where a run begins or goes on, making the loader of batches takes a number of its own.
            torch.manual_seed(noise)
            with self.fabric.no_backward_sync(self._module, enabled=piece + 1 < pieces):
                loss, parts = self.task.loss(self._seen, batch, progress, **shared)
                loss = loss / pieces if pieces > 1 else loss
                self.fabric.backward(loss)
            total = loss.detach() if total is None else total + loss.detach()
            for name, value in parts.items():
                value = value.detach() / pieces
                named[name] = named[name] + value if name in named else value
        assert total is not None
        if self.fabric.world_size > 1:
            reduced = self.fabric.all_reduce(total, reduce_op="mean")
            assert isinstance(reduced, Tensor)
            total = reduced
        whole = float(total)
        if not math.isfinite(whole):
            raise DivergedError(f"the loss is {whole} at step {step}; lower the learning rate")
        if settings.clip is not None:
            norm = self.fabric.clip_gradients(
                self._module, self._wrapped, max_norm=settings.clip, error_if_nonfinite=False
            )
            # the scaler of 16 bits tries scales that are too large, and leaves such a step out by itself
            if settings.precision != "16-mixed" and norm is not None and not math.isfinite(float(norm)):
                raise DivergedError(f"the gradient's norm is {float(norm)} at step {step}; lower the learning rate")
        self._wrapped.step()
        if self.averaged is not None and settings.average is not None:
            # early on, the average forgets the random start faster than its decay says
            _follow(self.averaged, self.task.module, min(settings.average, (1 + step) / (10 + step)))
        return whole, named

    def _drawn(self, step: int) -> list[Any]:
        """All pieces of this process's part of the batch, each drawn with its own noise, as one by one."""
        drawn = []
        for piece in range(self.settings.accumulate):
            torch.manual_seed(noise_seed(self.settings.seed, step, self._begin + piece))
            drawn.append(self.draw(step, piece))
        return drawn

    def _whole(self, batches: Sequence[Any]) -> tuple[Tensor, int]:
        """What the means of all processes' pieces go over on average, and how many pieces there are."""
        amounts: Tensor = torch.stack([self.task.amounts(batch) for batch in batches]).mean(dim=0)  # type: ignore[attr-defined]
        if self.fabric.world_size > 1:
            reduced = self.fabric.all_reduce(amounts, reduce_op="mean")
            assert isinstance(reduced, Tensor)
            amounts = reduced
        return amounts, len(batches) * self.fabric.world_size

    def state(self) -> dict[str, Any]:
        """Tensors and numbers only, so that a checkpoint needs nothing run to be read."""
        kept: dict[str, Any] = {"module": self.task.module.state_dict(), "optimiser": self.optimiser.state_dict()}
        if self.averaged is not None:
            kept["averaged"] = self.averaged.state_dict()
        if scaler := self.fabric.strategy.precision.state_dict():
            kept["scaler"] = scaler
        if (own := getattr(self.task, "state_dict", None)) is not None:
            kept["task"] = own()
        return kept

    def load(self, saved: dict[str, Any]) -> None:
        """Go on from a `state`. Raises InputError if it is of another network."""
        try:
            self.task.module.load_state_dict(saved["module"])
            self.optimiser.load_state_dict(saved["optimiser"])
            if self.averaged is not None:
                self.averaged.load_state_dict(saved["averaged"])
            if "scaler" in saved:
                self.fabric.strategy.precision.load_state_dict(saved["scaler"])
            if (own := getattr(self.task, "load_state_dict", None)) is not None:
                own(saved["task"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise InputError(
                f"the checkpoint is of another network ({str(error).splitlines()[0]}); start in another folder"
            ) from error


class _Entry(nn.Module):
    """One way into a network with several: what wraps it (many processes, 16 bits) sees every call of them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, method: str, *args: Any, **named: Any) -> Any:
        return getattr(self.network, method)(*args, **named)


class _Methods(nn.Module):
    """A network whose ``methods`` and call go through the wrapped entry; all else is its own."""

    def __init__(self, entry: nn.Module, network: nn.Module, methods: tuple[str, ...]) -> None:
        super().__init__()
        object.__setattr__(self, "_own", (entry, network, methods))  # neither is a part of this one

    def forward(self, *args: Any, **named: Any) -> Any:
        return self._own[0]("__call__", *args, **named)

    def __getattr__(self, name: str) -> Any:
        entry, network, methods = self.__dict__["_own"]
        return functools.partial(entry, name) if name in methods else getattr(network, name)


def _grouped(task: Task, settings: TrainSettings) -> tuple[list[dict[str, Any]], list[float]]:
    """AdamW's parameter groups without what is frozen, and their shares of the learning rate."""
    method = getattr(task, "groups", None)
    groups: list[Group] = [] if method is None else list(method())
    own: list[list[nn.Parameter]] = [[] for _ in groups]
    rest: list[nn.Parameter] = []
    found: set[str] = set()
    for name, value in task.module.named_parameters():
        chosen = next((i for i, group in enumerate(groups) if name.startswith(group.prefix)), None)
        if chosen is not None:
            found.add(groups[chosen].prefix)
        if value.requires_grad:
            (rest if chosen is None else own[chosen]).append(value)
    if missing := [group.prefix for group in groups if group.prefix not in found]:
        raise InputError(f"no weights of the network are named {missing[0]}…, which were to have their own rate")
    made, rates = [], []
    for group, values in [(Group(""), rest), *zip(groups, own, strict=True)]:
        if values:
            decay = settings.weight_decay if group.weight_decay is None else group.weight_decay
            made.append({"params": values, "weight_decay": decay})
            rates.append(group.rate)
    return made, rates


def _is_frozen(part: nn.Module) -> bool:
    values = list(part.parameters())
    return bool(values) and not any(value.requires_grad for value in values)


def _copy(module: nn.Module) -> nn.Module:
    """A copy that follows; what is frozen is the same tensor in both."""
    frozen = {id(value): value for value in module.parameters() if not value.requires_grad}
    return copy.deepcopy(module, frozen).requires_grad_(False)


def _follow(averaged: nn.Module, module: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for mean, value in zip(averaged.parameters(), module.parameters(), strict=True):
            if value.requires_grad:
                mean.lerp_(value, 1 - decay)
        # running statistics and codebooks are means already: the averaged network uses the newest
        for mean, value in zip(averaged.buffers(), module.buffers(), strict=True):
            mean.copy_(value)


def _switch_checkpointing(module: nn.Module, on: bool) -> None:
    parts = [part for part in module.modules() if isinstance(getattr(part, "checkpointing", None), bool)]
    if on and not parts:
        raise InputError(f"{type(module).__name__} cannot compute activations again; leave --checkpointing out")
    for part in parts if on else ():
        part.checkpointing = True  # type: ignore[assignment]


def _mix(seed: int, step: int, stream: int) -> int:
    """One 63-bit seed from three numbers (splitmix64's finaliser), so that neighbouring steps are unrelated."""
    x = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + stream * 0x94D049BB133111EB) & (2**64 - 1)
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return (x ^ (x >> 31)) >> 1
