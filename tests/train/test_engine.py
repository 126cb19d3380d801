"""The training loop: goes on from a checkpoint to the same bits, keeps the best weights, refuses what cannot be."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training runs on torch")
pytest.importorskip("lightning_fabric", reason="the training loop is Lightning Fabric's")

from monocap.errors import InputError, MonocapError  # noqa: E402
from monocap.train.engine import CHECKPOINT, LOG, TrainSettings, train  # noqa: E402

SETTINGS = TrainSettings(
    steps=40, batch=16, learning_rate=0.05, warmup=4, validate_every=10, average=0.9, accelerator="cpu", threads=1
)


class Line:
    """Fits y = 3x₀ − 2x₁ with dropout and noise, so that every kind of randomness takes part."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = torch.nn.Sequential(torch.nn.Dropout(0.2), torch.nn.Linear(2, 1))
        self.stop_at: int | None = None
        self.steps = 0

    def batch(self, generator: Any, device: Any) -> Any:
        return torch.randn(16, 2, generator=generator).to(device)

    def loss(self, module: Any, batch: Any, progress: float) -> Any:
        if self.steps == self.stop_at:
            raise KeyboardInterrupt
        self.steps += 1
        wanted = batch @ torch.tensor([3.0, -2.0]) + 0.1 * torch.randn(len(batch))
        error = ((module(batch)[:, 0] - wanted) ** 2).mean()
        return error, {"error": error}

    def validate(self, module: Any) -> dict[str, float]:
        assert not module.training
        weight = module[1].weight[0]
        return {"distance": float((weight - torch.tensor([3.0, -2.0])).norm())}


MEASURED = ("seconds", "samples_per_second", "memory_mb")  # of the machine, not of the run


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / LOG).open(newline="") as handle:
        return [{k: v for k, v in row.items() if k not in MEASURED} for row in csv.DictReader(handle)]


def test_interrupted_run_ends_like_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = train(Line(), SETTINGS, tmp_path / "whole")
    stopped = Line()
    stopped.stop_at = 27  # after the checkpoint of step 20
    with pytest.raises(KeyboardInterrupt):
        train(stopped, SETTINGS, tmp_path / "parts")
    resumed = train(Line(), SETTINGS, tmp_path / "parts", resume=True)
    assert resumed.metrics == whole.metrics
    for name, value in whole.state.items():
        assert torch.equal(value, resumed.state[name])
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    assert [row["step"] for row in rows(tmp_path / "whole")] == ["10", "20", "30", "40"]


def test_it_learns_and_keeps_the_best(tmp_path: Path) -> None:
    done = train(Line(), replace(SETTINGS, steps=120), tmp_path)
    distances = [float(row["distance"]) for row in rows(tmp_path)]
    assert distances[0] > 1
    assert done.metrics["distance"] == pytest.approx(min(distances), rel=1e-4)
    assert done.metrics["distance"] < 0.3 * distances[0]
    assert done.step == int(rows(tmp_path)[distances.index(min(distances))]["step"])


def test_seeds_differ(tmp_path: Path) -> None:
    one = train(Line(), SETTINGS, tmp_path / "1")
    other = train(Line(), replace(SETTINGS, seed=2), tmp_path / "2")
    assert not torch.equal(one.state["1.weight"], other.state["1.weight"])


def test_without_average_the_weights_themselves_are_judged(tmp_path: Path) -> None:
    task = Line()
    done = train(task, replace(SETTINGS, average=None, clip=None, validate_every=40), tmp_path)
    assert torch.equal(done.state["1.weight"], task.module[1].weight.detach())


def test_learning_rate_rises_and_falls() -> None:
    rates = [SETTINGS.rate(step) for step in range(SETTINGS.steps)]
    assert rates[0] == pytest.approx(0.25, abs=0.01)
    assert max(rates) == pytest.approx(1.0, abs=0.05)
    assert rates[-1] < 0.02
    assert all(a > b for a, b in pairwise(rates[4:]))


def test_existing_run_is_not_overwritten(tmp_path: Path) -> None:
    train(Line(), replace(SETTINGS, steps=10), tmp_path)
    with pytest.raises(InputError, match="--resume"):
        train(Line(), replace(SETTINGS, steps=10), tmp_path)
    with pytest.raises(InputError, match=r"other settings: batch \d+ \(now 7\)"):
        train(Line(), replace(SETTINGS, steps=10, batch=7), tmp_path, resume=True)
    assert (tmp_path / CHECKPOINT).is_file()


def test_a_run_can_be_made_longer(tmp_path: Path) -> None:
    short = train(Line(), replace(SETTINGS, steps=10), tmp_path)
    longer = train(Line(), SETTINGS, tmp_path, resume=True)
    assert short.step <= 10 < longer.step <= SETTINGS.steps


def test_a_run_can_be_cut_short(tmp_path: Path) -> None:
    """A task's usual warm-up and validations go by the steps where these are few, so they differ then."""
    half = replace(SETTINGS, steps=20, warmup=2, validate_every=10)
    train(Line(), half, tmp_path)
    assert train(Line(), replace(half, steps=24, warmup=1, validate_every=6), tmp_path, resume=True).step <= 24


def test_nonsense_is_refused(tmp_path: Path) -> None:
    for wrong in ({"steps": 0}, {"learning_rate": 0.0}, {"average": 1.0}, {"validate_every": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            train(Line(), replace(SETTINGS, **wrong), tmp_path)


def test_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    task = Line()
    task.loss = lambda module, batch, progress: (module(batch).sum() * float("nan"), {})  # type: ignore[method-assign]
    with pytest.raises(FloatingPointError, match="step 0"):
        train(task, SETTINGS, tmp_path)
    # the square root's slope at 0 is infinite although its value is not
    task.loss = lambda module, batch, progress: (torch.sqrt(0 * module(batch).sum()), {})  # type: ignore[method-assign]
    with pytest.raises(MonocapError, match=r"norm is nan at step 0"):
        train(task, SETTINGS, tmp_path)
