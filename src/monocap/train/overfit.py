"""The first thing to ask of a network, its loss and its data: can it learn one batch by heart?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from monocap.errors import MonocapError
from monocap.train.logs import write_rows
from monocap.train.settings import TrainSettings
from monocap.train.stepping import Stepper

OVERFIT_LOG = "overfit.csv"
FALL = 0.1  # of the first loss, at least


class NotLearningError(MonocapError):
    """The loss on one fixed batch did not go down."""


@dataclass(frozen=True)
class Fall:
    """Loss at the first step, and its median over the last tenth of the steps."""

    before: float
    after: float

    @property
    def enough(self) -> bool:
        return self.after < self.before - FALL * abs(self.before)


def overfit(stepper: Stepper, settings: TrainSettings, out: Path, tell: Callable[[int, float], None]) -> Fall:
    """Go ``settings.steps`` steps down on the first batch, with the same noise every time; all losses are written to
    ``out/overfit.csv`` and told to ``tell`` (step, loss). Raises NotLearningError if the loss falls by less than a
    tenth."""
    stepper.prepare(0, 1)
    batches = [stepper.draw(0, piece) for piece in range(settings.accumulate)]
    losses: list[float] = []
    for step in range(settings.steps):
        loss, _ = stepper.step(step, 0.0, batches)
        losses.append(loss)
        tell(step + 1, loss)
    tail = losses[-max(1, len(losses) // 10) :]
    fall = Fall(losses[0], median(tail))
    if stepper.fabric.is_global_zero:
        write_rows(out / OVERFIT_LOG, [{"step": str(step), "loss": f"{loss:.6g}"} for step, loss in enumerate(losses)])
    if not fall.enough:
        raise NotLearningError(
            f"the loss on one fixed batch went from {fall.before:.6g} to {fall.after:.6g} in {settings.steps} steps; "
            f"it should fall by a tenth or more. Look at the losses in {out / OVERFIT_LOG}, at the learning rate "
            f"({settings.learning_rate:g}) and at what is frozen"
        )
    return fall
