"""Progress on standard error: bar, rate and time left on a terminal; a line now and then in a log."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from monocap.cli.interruption import heed

_LOG_EVERY = 10.0  # seconds between lines where there is no terminal


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self._unit}/s", style="progress.data.speed")


class ProgressDisplay:
    """A `pipeline.clock.Progress` that shows itself; use as a context manager, one per input (``label``); what is
    counted is called ``unit``."""

    def __init__(self, label: str = "", unit: str = "frames") -> None:
        self._unit = unit
        self._label = f"{label} " if label else ""
        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:>10}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(unit),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, tuple[float, int]] = {}  # when, and at which frame: a resumed capture starts later
        self._logged: dict[str, float] = {}
        self._done: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        heed()
        now = time.monotonic()
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(self._label + stage, total=total)
            self._started[stage], self._logged[stage] = (now, done), now
        if done < self._done.get(stage, 0):  # the stage begins again, for the next person
            self._started[stage] = (now, done)
            self._bars.reset(self._tasks[stage], total=total)
        self._done[stage] = done
        self._bars.update(self._tasks[stage], completed=done, total=total)  # type: ignore[arg-type]
        if not self._console.is_terminal and (now - self._logged[stage] >= _LOG_EVERY):
            self._logged[stage] = now
            begun, before = self._started[stage]
            rate = (done - before) / max(now - begun, 1e-9)
            left = "" if not total else f" of {total}, {max(total - done, 0) / max(rate, 1e-9):.0f} s left"
            self.say(f"{self._label}{stage}: {done}{left}, {rate:.1f} {self._unit}/s")

    def say(self, text: str) -> None:
        """One line for the user, on standard error."""
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)
