"""``monocap train``."""

from __future__ import annotations

import json as json_module
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from monocap.assets.pieces import index_of
from monocap.cli.display import ProgressDisplay
from monocap.errors import InputError
from monocap.files import RESUMABLE, filling
from monocap.pipeline.lock import locked

if TYPE_CHECKING:
    from monocap.train.engine import Progress, Trained
    from monocap.train.feature_cache import CachePlan
    from monocap.train.tasks.gender import GenderOptions
    from monocap.train.tasks.heads import HeadOptions
    from monocap.train.tasks.lifter import LifterOptions
    from monocap.train.tasks.pictures import PicturesOptions
    from monocap.train.tasks.prior import PriorOptions
    from monocap.train.tasks.vnect import VnectOptions
    from monocap.train.tasks.vnect_light import LightVnectOptions

_LOG_EVERY = 10.0  # seconds between lines


def run_prior(options: PriorOptions, json: bool) -> int:
    """Train one prior; progress on standard error, the result on standard output; returns the exit status."""
    if options.kind not in ("vposer", "tokenizer"):
        raise InputError(f"cannot train prior {options.kind!r}; expected vposer or tokenizer")
    from monocap.train.tasks.prior import train_prior

    return _report(*train_prior(options, _progress()), json)


def run_lifter(options: LifterOptions, json: bool) -> int:
    """Train the lifter; as `run_prior`."""
    from monocap.train.tasks.lifter import train_lifter

    return _report(*train_lifter(options, _progress()), json)


def run_head(options: HeadOptions, json: bool) -> int:
    """Train a network on the light encoder; as `run_prior`."""
    from monocap.train.tasks.heads import train_head

    return _report(*train_head(options, _progress()), json)


def run_pictures(options: PicturesOptions, json: bool) -> int:
    """Train a network end to end; as `run_prior`."""
    from monocap.train.tasks.pictures import train_pictures

    return _report(*train_pictures(options, _progress()), json)


def run_gender(options: GenderOptions, json: bool) -> int:
    """Train the gender network; as `run_prior`."""
    from monocap.train.tasks.gender import train_gender

    return _report(*train_gender(options, _progress()), json)


def run_vnect(options: VnectOptions, json: bool) -> int:
    """Train VNect on pictures; as `run_prior`."""
    from monocap.train.tasks.vnect import train_vnect

    return _report(*train_vnect(options, _progress()), json)


def run_light_vnect(options: LightVnectOptions, json: bool) -> int:
    """Train VNect's light network on cached features; as `run_prior`."""
    from monocap.train.tasks.vnect_light import train_light_vnect

    return _report(*train_light_vnect(options, _progress()), json)


def run_features(plan: CachePlan, out: Path, workers: int | None) -> int:
    """Render people and keep their features; returns the exit status."""
    from monocap.cli.synth import default_workers
    from monocap.train.feature_cache import read_features, write_features

    count = default_workers() if workers is None else workers
    with locked(out), ProgressDisplay(unit="pictures") as display, filling(out, RESUMABLE):
        write_features(plan, out, count, lambda done, total: display("pictures", done, total))
    print(f"{len(read_features(out)[1].number)} crops: {out}")
    return 0


def _progress() -> Progress:
    """Steps, time left and numbers on standard error: at every validation, else every ten seconds."""
    from monocap.train.logs import NO_TENSORBOARD, has_tensorboard

    console = Console(stderr=True)
    begun = time.monotonic()
    seen: list[tuple[float, int]] = [(begun, -1)]

    def progress(step: int, steps: int, named: dict[str, float]) -> None:
        now = time.monotonic()
        if seen[0][1] < 0:
            seen[0] = (now, step)
            if not has_tensorboard():
                console.print(f"note: {NO_TENSORBOARD}", highlight=False, soft_wrap=True)
        if len(named) <= 2 and now - seen[-1][0] < _LOG_EVERY:
            return
        rate = (step - seen[0][1]) / max(now - seen[0][0], 1e-9)
        left = f", {(steps - step) / rate:.0f} s left" if rate else ""
        seen[1:] = [(now, step)]
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in named.items())
        console.print(f"step {step} of {steps}{left}: {numbers}", highlight=False, soft_wrap=True)

    return progress


def _report(path: Path, done: Trained, json: bool) -> int:
    if json:
        measured = {"samples_per_second": done.rate, "peak_memory_mb": done.memory_mb, **done.metrics}
        print(json_module.dumps({"weights": os.fspath(path), "step": done.step, "seconds": done.seconds, **measured}))
        return 0
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in done.metrics.items())
    memory = "" if done.memory_mb is None else f", {done.memory_mb:.0f} MB at most"
    if path.suffix == ".csv":
        print(f"learned one batch by heart in {done.step} steps: {numbers}{memory}; losses in {path}")
    else:
        written = path if path.exists() else index_of(path)
        print(f"wrote {written}: best at step {done.step}, held out {numbers}; {done.rate:.4g} samples/s{memory}")
    return 0
