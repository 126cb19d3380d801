"""A run of the engine in processes of its own: ``engine_run.py OUT SETTINGS.json [whole] [method|masked] [kill=STEP]``.

A small network of pictures with a frozen batch norm, dropout where asked for, and a batch that is the same however it
is cut: whole draws both halves of it at once. With method the loss calls a method of the network instead of it; masked
is `Masked`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from monocap.train.body_losses import Term
from monocap.train.engine import Trained, TrainSettings, train
from monocap.train.stepping import batch_seed

SIZE = 8  # samples drawn at once


class Network(torch.nn.Sequential):
    def read(self, pictures: torch.Tensor) -> torch.Tensor:
        return self(pictures)


class Pictures:
    """Noise in, noise out: nothing to learn, all gradients different."""

    unit = "pictures"

    def __init__(self, seed: int, whole: bool = False, dropout: float = 0.0, scale: float = 1.0) -> None:
        torch.manual_seed(0)
        norm = torch.nn.BatchNorm2d(8)
        norm.requires_grad_(False)
        torch.nn.init.uniform_(norm.running_mean)  # type: ignore[arg-type]
        layers = [torch.nn.Conv2d(3, 8, 3), norm, torch.nn.ReLU(), torch.nn.Dropout(dropout), torch.nn.Flatten()]
        self.module = Network(*layers, torch.nn.Linear(288, 4))
        self.steps, self.kill_at = 0, -1
        self.methods: tuple[str, ...] = ()
        self._seed, self._whole, self._scale = seed, whole, scale

    def batch(self, generator: torch.Generator, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        if not self._whole:
            return _draw(generator)
        seeds = [batch_seed(self._seed, self.steps, piece) for piece in range(2)]
        halves = [_draw(torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.cat([half[0] for half in halves]), torch.cat([half[1] for half in halves])

    def loss(self, module: Any, batch: Any, progress: float) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        if self.steps == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.steps += 1
        out = module.read(batch[0]) if self.methods else module(batch[0])
        error = self._scale * ((out - batch[1]) ** 2).mean()
        return error, {"error": error}

    def validate(self, module: torch.nn.Module) -> dict[str, float]:
        return {"norm": float(sum(value.norm() for value in module.parameters()))}


class Masked(Pictures):
    """Two points in each picture, few of them seen in some pieces and most in others, by the losses of training."""

    terms = (Term(3.0, "l1", "visible"), Term(1.0, "l2"), Term(0.1, "l1", "sum"))

    def amounts(self, batch: Any) -> torch.Tensor:
        sure = _seen(batch[1])
        return torch.stack([term.amount(sure).float() for term in self.terms])

    def loss(
        self, module: Any, batch: Any, progress: float, whole: tuple[torch.Tensor, int] | None = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        self.steps += 1
        said, true, sure = module(batch[0]).unflatten(1, (2, 2)), batch[1].unflatten(1, (2, 2)), _seen(batch[1])
        parts = [
            term(said, true, sure, None, None if whole is None else (whole[0][i], whole[1]))
            for i, term in enumerate(self.terms)
        ]
        return torch.stack(parts).sum(), {}


def _seen(truth: torch.Tensor) -> torch.Tensor:
    """(N,2) confidence, from what is true: half of the pieces of `SIZE` have two points in three, half one in eight."""
    rows = truth.unflatten(0, (-1, SIZE))
    least = torch.where(rows[:, :1, :1] > 0, -0.4, 1.15)
    sure = (rows[..., :2] > least).float() * (0.5 + 0.5 * torch.sigmoid(rows[..., 2:]))
    return sure.flatten(0, 1)


def _draw(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(SIZE, 3, 8, 8, generator=generator), torch.randn(SIZE, 4, generator=generator)


def run(out: Path, given: dict[str, Any], words: list[str]) -> Trained:
    given = {"steps": 12, "batch": 2 * SIZE, "learning_rate": 1e-2, "warmup": 2, "validate_every": 4} | given
    options = {name: given.pop(name) for name in ("dropout", "scale") if name in given}
    settings = TrainSettings(**given, accelerator="cpu", threads=1)
    task = (Masked if "masked" in words else Pictures)(settings.seed, "whole" in words, **options)
    task.methods = ("read",) if "method" in words else ()
    for word in words:
        if word.startswith("kill="):
            task.kill_at = int(word[5:])
    done = train(task, settings, out, resume="resume" in words)
    gradients = {name: value.grad for name, value in task.module.named_parameters() if value.grad is not None}
    result = {"gradients": gradients, "module": task.module.state_dict(), "best": done.state, "step": done.step}
    torch.save(result, out / "result.pt")
    return done


if __name__ == "__main__":
    if os.environ.get("LOCAL_RANK", "0") != "0":
        Path(sys.argv[1] + ".pid").write_text(str(os.getpid()))
    run(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:])
