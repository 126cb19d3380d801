"""The light gender network: two layers learned in minutes on cached features of a frozen encoder.

Every second held-out picture chooses the weights and calibrates; the others tell how good the result is.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from monocap.assets.manifest import locate
from monocap.assets.tensors import Tensors, write_tensors
from monocap.nets.backbones.light import SIDE, load_published
from monocap.nets.gender import write_gender_onnx
from monocap.nets.gender_light import ARCH, WIDTH, Judge, LightGenderNet
from monocap.perception.gender import GenderNetwork
from monocap.pipeline.outputs import versions
from monocap.train.engine import Progress, Trained, TrainSettings, train
from monocap.train.gender_calibration import THRESHOLD, logistic, summary
from monocap.train.gender_features import GenderVectors, read_vectors
from monocap.train.overfit import OVERFIT_LOG
from monocap.train.settings import RunOptions, chosen
from monocap.types import Array

SETTINGS = TrainSettings(
    steps=2500, batch=256, learning_rate=1e-3, weight_decay=0.1, warmup=50, average=0.99, validate_every=250
)
CHILD = 0.5  # weight of children, who are to be neutral
_FLOOR = 1e-2  # of a feature's deviation


@dataclass(frozen=True)
class LightGenderOptions:
    """``features`` and ``held_out``: folders of ``monocap train features``, of the splits train and test."""

    features: Path
    held_out: Path
    out: Path
    steps: int | None = None
    batch: int | None = None
    seed: int = 1
    width: int = WIDTH
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = None
    resume: bool = False
    run: RunOptions = field(default_factory=RunOptions)


class LightGenderTask:
    """Vectors by the batch; ``held`` chooses the weights."""

    def __init__(self, vectors: GenderVectors, held: GenderVectors, width: int, batch: int) -> None:
        self.module = Judge(width)
        self._vectors, self._batch = vectors.take(np.flatnonzero(np.isfinite(vectors.target))), batch
        self._target = self._vectors.target.astype(np.float32)
        self._held = held.take(np.flatnonzero(np.isfinite(held.target)))
        some = self._vectors.vector[:: max(1, len(self._target) // 5000)].astype(np.float32)
        self.module.mean.copy_(torch.from_numpy(some.mean(axis=0)))
        self.module.deviation.copy_(torch.from_numpy(some.std(axis=0) + _FLOOR))

    def batch(self, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(self._target), (self._batch,), generator=generator).numpy()
        vector, target = self._vectors.vector[chosen].astype(np.float32), self._target[chosen]
        return torch.from_numpy(vector).to(device), torch.from_numpy(target).to(device)

    def loss(
        self, module: torch.nn.Module, batch: tuple[Tensor, Tensor], progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        vector, target = batch
        said = module(vector)
        each = functional.binary_cross_entropy_with_logits(said, target, reduction="none")
        clear = target != 0.5
        correct = ((said > 0) == (target > 0.5))[clear].float().mean()
        return (each * torch.where(clear, 1.0, CHILD)).mean(), {"right": correct.detach()}

    def validate(self, module: torch.nn.Module) -> dict[str, float]:
        answers = torch.from_numpy(answers_of(module, self._held))
        target = torch.from_numpy(self._held.target).float()
        clear = target != 0.5
        return {
            "held_loss": float(functional.binary_cross_entropy_with_logits(answers[clear], target[clear])),
            "held_right": float(((answers > 0) == (target > 0.5))[clear].float().mean()),
        }


def answers_of(module: torch.nn.Module, vectors: GenderVectors) -> Array:
    """(N,) float32 log-odds, not calibrated."""
    device = next(module.parameters()).device
    with torch.no_grad():
        return module(torch.from_numpy(vectors.vector.astype(np.float32)).to(device)).cpu().numpy()


def calibrated(vectors: GenderVectors, answers: Array) -> dict[str, float]:
    """Numbers of `monocap.perception.gender.CALIBRATION`. Heads count for nothing: caches have no crops of heads, and
    on real pictures, answers on heads that the network never learned from made it worse."""
    target = vectors.target
    known = np.isfinite(target)
    weight, bias = logistic(answers[known, None].astype(float), target[known], np.array([1.0])).tolist()
    both = {"both_body": weight, "both_head": 0.0, "both_bias": bias}
    return {"body": weight, "body_bias": bias, **both, "threshold": THRESHOLD}


def train_light_gender(options: LightGenderOptions, progress: Progress | None = None) -> tuple[Path, Trained]:
    """Train, calibrate and write ``OUT/gender.onnx`` (and ``gender.safetensors``); returns the first's path and what
    was measured on held-out people.

    Raises InputError for folders without features, and a run already in ``out`` without ``resume``.
    """
    settings = chosen(SETTINGS, options)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    vectors, held = read_vectors(options.features), read_vectors(options.held_out)
    tuning, judged = (held.take(np.flatnonzero(held.number % 2 == odd)) for odd in (0, 1))
    torch.manual_seed(options.seed)
    task = LightGenderTask(vectors, tuning, options.width, settings.share)
    done = train(task, settings, options.out, options.resume, progress)
    if settings.overfit is not None:
        return options.out / OVERFIT_LOG, done
    judge = task.module.cpu()
    judge.load_state_dict(done.state)
    judge.eval()
    network = LightGenderNet(judge)
    load_published(network.encoder, locate("blazepose_lite"))
    path = options.out / "gender.onnx"
    write_gender_onnx(path, network, calibrated(tuning, answers_of(judge, tuning)), ARCH, SIDE)
    shipped = GenderNetwork(path, 1)
    found = np.array([shipped.judge(float(answer)).probability for answer in answers_of(judge, judged)])
    words = ["monocap", "train", "gender-light", "--features", options.features.name]
    words += ["--held-out", options.held_out.name, "--seed", str(options.seed), "--steps", str(settings.steps)]
    recipe: dict[str, Any] = {
        "command": shlex.join([*words, "--batch", str(settings.batch)]),
        "settings": asdict(settings),
        "data": {"crops": len(vectors.look), "held_out": len(held.look), "source": "monocap synth, quality fast"},
        "calibration": shipped.calibration,
        "held_out": summary(found, judged.target),
        "step": done.step,
        "seconds": round(done.seconds),
        "versions": versions() | {"torch": torch.__version__},
    }
    arrays = {name: value.numpy() for name, value in done.state.items()}
    write_tensors(
        options.out / "gender.safetensors",
        Tensors(arrays, {"name": ARCH, "width": options.width}, recipe),
        True,
        options.run.piece_bytes,
    )
    return path, done
