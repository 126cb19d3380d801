"""The gender network: learn from rendered people who looks like a woman and who like a man, and how sure one may be.

Held-out pictures show other skins, clothes, hair, places and performers. Every second one of them chooses the weights
and calibrates; the others tell how good the result is.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from monocap.assets.tensors import Tensors, write_tensors
from monocap.media.crops import square_matrix, transform_points, warp
from monocap.nets.gender import ARCH, WIDTH, GenderNet, write_gender_onnx
from monocap.perception.gender import INPUT, LEAST_FACE, SKELETON, GenderNetwork
from monocap.pipeline.outputs import versions
from monocap.skeletons import get
from monocap.train.engine import Progress, Trained, TrainSettings, train
from monocap.train.gender_calibration import THRESHOLD, logistic, right, summary
from monocap.train.gender_crops import KEPT, MARGIN, GenderCrops, read_crops, write_crops
from monocap.train.overfit import OVERFIT_LOG
from monocap.train.settings import RunOptions, chosen
from monocap.types import Array

SETTINGS = TrainSettings(
    steps=1500, batch=48, learning_rate=2e-3, weight_decay=5e-2, warmup=60, average=0.99, validate_every=100
)
CHILD = 0.5  # weight of children, who are to be neutral
_FLIP = np.array(get(SKELETON).flip)
_Pair = tuple[Tensor, Tensor, Tensor, Tensor]  # image, points, target, weight


@dataclass(frozen=True)
class GenderOptions:
    """``out`` gets the crops (``crops/``), the run and the weights. ``pictures`` and ``held_out`` are rendered where
    they are not there yet, with poses of ``corpus`` (None: of the shipped priors)."""

    out: Path
    pictures: int = 4000
    held_out: int = 600
    corpus: Path | None = None
    steps: int | None = None
    batch: int | None = None
    seed: int = 1
    width: int = WIDTH
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = None
    resume: bool = False
    run: RunOptions = field(default_factory=RunOptions)


class GenderTask:
    """Crops by the batch, never twice the same; held-out ones as they are."""

    def __init__(self, crops: GenderCrops, held: GenderCrops, width: int, batch: int) -> None:
        self.module = GenderNet(width)
        self._crops, self._batch = crops.take(np.flatnonzero(np.isfinite(crops.target))), batch
        self._target = self._crops.target
        self._held = held.take(np.flatnonzero(np.isfinite(held.target)))

    def batch(self, generator: torch.Generator, device: torch.device) -> _Pair:
        rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        chosen = rng.integers(len(self._crops), size=self._batch)
        seen = [augmented(rng, self._crops.image[i], self._crops.points[i]) for i in chosen]
        image, points = np.stack([one[0] for one in seen]), np.stack([one[1] for one in seen])
        target = self._target[chosen]
        weight = np.where(target == 0.5, CHILD, 1.0)
        return _colours(image).to(device), *(torch.from_numpy(x).float().to(device) for x in (points, target, weight))  # type: ignore[return-value]

    def loss(self, module: torch.nn.Module, batch: _Pair, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        image, points, target, weight = batch
        said = module(image, points)
        each = functional.binary_cross_entropy_with_logits(said, target, reduction="none") * weight
        clear = target != 0.5
        correct = ((said > 0) == (target > 0.5))[clear].float().mean()
        return each.mean(), {"right": correct.detach()}

    def validate(self, module: torch.nn.Module) -> dict[str, float]:
        answers = torch.from_numpy(self.answers(module, self._held))
        target = torch.from_numpy(self._held.target).float()
        head = torch.from_numpy(self._held.head)
        measured = {}
        for name, those in (("body", ~head), ("head", head)):
            clear = those & (target != 0.5)
            if clear.any():
                loss = functional.binary_cross_entropy_with_logits(answers[clear], target[clear])
                measured[f"{name}_loss"] = float(loss)
                measured[f"{name}_right"] = float(((answers > 0) == (target > 0.5))[clear].float().mean())
        return measured

    def answers(self, module: torch.nn.Module, crops: GenderCrops) -> Array:
        """(N,) float32 of crops seen straight."""
        device, out = next(module.parameters()).device, []
        for start in range(0, len(crops), 64):
            part = slice(start, start + 64)
            image = _colours(np.stack([middle(one) for one in crops.image[part]]))
            points = torch.from_numpy(crops.points[part].astype(np.float32))
            with torch.no_grad():
                out.append(module(image.to(device), points.to(device)).cpu().numpy())
        return np.concatenate(out)


def middle(image: Array) -> Array:
    """(96,96,3): what the network sees of a stored crop."""
    return warp(image, _view(0.0, np.zeros(2), 1.0), INPUT, INPUT)


def augmented(rng: np.random.Generator, image: Array, points: Array) -> tuple[Array, Array]:
    """A stored crop (108,108,3) and its points (17,3), moved, mirrored, in another light, blurred, coarse, covered:
    (96,96,3) uint8 and (17,3) float32."""
    view = _view(rng.normal(0, 0.13), 0.035 * rng.standard_normal(2), float(np.exp(rng.uniform(-0.16, 0.14))))
    out = warp(image, view, INPUT, INPUT)
    told = points.astype(np.float64)
    stored = ((told[:, :2] / MARGIN + 1) * KEPT - 1) / 2
    told[:, :2] = (2 * transform_points(view, stored) + 1) / INPUT - 1
    told[:, 2] *= rng.random() > 0.1
    told[:, 2] = np.clip(told[:, 2] * rng.uniform(0.7, 1.0, 17), 0, 1)
    if rng.random() < 0.5:
        out, told = out[:, ::-1], (told * [-1.0, 1.0, 1.0])[_FLIP]
    return _photographed(rng, np.ascontiguousarray(out)), told.astype(np.float32)


def _photographed(rng: np.random.Generator, image: Array) -> Array:
    if rng.random() < 0.4:  # from afar, or out of focus
        side = int(rng.uniform(28, 80))
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, (INPUT, INPUT), interpolation=cv2.INTER_LINEAR)
    light = image.astype(np.float32)
    if rng.random() < 0.15:
        light[:] = light.mean(axis=2, keepdims=True)
    else:
        grey = light.mean(axis=2, keepdims=True)
        light = grey + (light - grey) * rng.uniform(0.4, 1.5)
        light *= 1 + 0.12 * rng.standard_normal(3)
    level = light.mean()
    light = (light - level) * rng.uniform(0.65, 1.35) + level * rng.uniform(0.6, 1.45) + rng.normal(0, 8)
    if rng.random() < 0.5:
        light += rng.gamma(2, 4) * rng.standard_normal(light.shape)
    image = np.clip(light, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(20, 85))])
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
    if rng.random() < 0.25:
        low = rng.integers(0, INPUT, 2)
        high = low + rng.integers(8, 36, 2)
        image[low[1] : high[1], low[0] : high[0]] = rng.integers(0, 256, 3)
    return image


def _view(turn: float, shift: Array, scale: float) -> Array:
    """(2,3) from a stored crop to what the network sees."""
    centre = (KEPT - 1) / 2 + shift * KEPT
    return square_matrix(centre, INPUT * scale, turn, INPUT)


def _colours(image: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 1), np.float32) / 255)


# ------------------------------------------------------------------ how sure one may be
def pairs(crops: GenderCrops, answers: Array) -> tuple[Array, Array, Array]:
    """Rows of the bodies, the answers on them and on their heads (NaN where there is none of `LEAST_FACE` or more)."""
    heads = {(n, p): a for n, p, a, h in zip(crops.number, crops.person, answers, crops.head, strict=True) if h}
    rows = np.flatnonzero(~crops.head)
    of = [heads.get((n, p), np.nan) for n, p in zip(crops.number[rows], crops.person[rows], strict=True)]
    large = crops.face[rows] >= LEAST_FACE
    return rows, answers[rows].astype(float), np.where(large, np.array(of, float), np.nan)


def calibrated(crops: GenderCrops, answers: Array) -> dict[str, float]:
    """Numbers of `monocap.perception.gender.CALIBRATION`: the most probable ones for held-out people."""
    target = crops.target
    rows, body, _ = pairs(crops, answers)
    known = np.isfinite(target[rows])
    alone = logistic(body[known, None], target[rows][known], np.array([1.0]))
    # smaller faces as well: few are large, and how much a head is worth besides a body changes little
    smaller = replace(crops, face=np.where(crops.face > 0, LEAST_FACE, 0.0))
    rows, body, head = pairs(smaller, answers)
    known = np.isfinite(target[rows]) & np.isfinite(head)
    both = logistic(np.column_stack([body, head])[known], target[rows][known], np.array([0.5, 0.5]))
    names = ("body", "body_bias", "both_body", "both_head", "both_bias")
    return dict(zip(names, (*alone, *both), strict=True)) | {"threshold": THRESHOLD}


def judged(network: GenderNetwork, crops: GenderCrops) -> dict[str, Any]:
    """How the finished network does on people it was neither trained nor calibrated on."""
    answers = network.run(np.stack([middle(one) for one in crops.image]), crops.points)
    rows, body, head = pairs(crops, answers)
    target = crops.target[rows]
    said = [network.judge(b, None if np.isnan(h) else h) for b, h in zip(body, head, strict=True)]
    p = np.array([one.probability for one in said])
    alone = np.array([network.judge(b).probability for b in body])
    clear, face = np.isin(target, (0.0, 1.0)), ~np.isnan(head)
    out: dict[str, Any] = {}
    out["with_face"] = {
        "people": int((clear & face).sum()), "right": right(p, target, clear & face),
        "body_only": right(alone, target, clear & face),
    }  # fmt: skip
    return out | summary(p, target)


# ------------------------------------------------------------------ all of it
def train_gender(
    options: GenderOptions, progress: Progress | None = None, rendered: Callable[[int, int], None] | None = None
) -> tuple[Path, Trained]:
    """Render, train, calibrate and write ``OUT/gender.onnx`` (and ``gender.safetensors``); returns the first's path
    and what was measured on held-out people.

    Raises InputError for a run already in ``out`` without ``resume``.
    """
    settings = chosen(SETTINGS, options)
    folder = options.out / "crops"
    write_crops(folder, options.held_out, "test", options.corpus, progress=rendered)
    write_crops(folder, options.pictures, "train", options.corpus, progress=rendered)
    crops, held = read_crops(folder, "train"), read_crops(folder, "test")
    tuning = held.number % 4 == 0  # numbers are even
    torch.manual_seed(options.seed)
    task = GenderTask(crops, held.take(np.flatnonzero(tuning)), options.width, settings.share)
    done = train(task, settings, options.out, options.resume, progress)
    if settings.overfit is not None:
        return options.out / OVERFIT_LOG, done
    task.module.load_state_dict(done.state)
    module = task.module.cpu().eval()
    numbers = calibrated(held.take(np.flatnonzero(tuning)), task.answers(module, held.take(np.flatnonzero(tuning))))
    path = options.out / "gender.onnx"
    write_gender_onnx(path, module, numbers)
    measured = judged(GenderNetwork(path, 1), held.take(np.flatnonzero(~tuning)))
    words = ["monocap", "train", "gender", "--seed", str(options.seed), "--pictures", str(options.pictures)]
    words += ["--held-out", str(options.held_out), "--steps", str(settings.steps), "--batch", str(settings.batch)]
    recipe: dict[str, Any] = {
        "command": shlex.join(words),
        "settings": asdict(settings),
        "data": {"crops": len(crops), "held_out": len(held), "source": "monocap synth, quality fast"},
        "calibration": numbers,
        "held_out": measured,
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
