"""Crops of rendered people and of their heads, with what they look like: what the gender network learns from.

A folder of chunks, each of the people in a run of pictures, whole or not there at all; a command that is repeated goes
on. Squares and points are those of `monocap.perception.gender`, with keypoints as uncertain as a detector's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from monocap.bodies import BodyModel, load_body
from monocap.bodies.shapes import named_shape
from monocap.data.synthetic import OUTSIDE, SKELETON, VISIBLE, SynthSample
from monocap.errors import InputError
from monocap.files import read_npz, write_npz
from monocap.media.crops import warp
from monocap.perception.gender import INPUT, body_square, coco_points, head_square, told_points
from monocap.perception.roi import Roi
from monocap.synth.people import Look
from monocap.synth.sampler import Sampler, SynthSettings
from monocap.synth.streaming import each
from monocap.types import Array

SIZE, KEPT = 288, 108  # px: sides of a picture, and of a stored crop
MARGIN = KEPT / INPUT  # of a stored crop around what the network sees, so that it can be moved
APART = 2  # every other sample number: clothes are shared by 32 in a row
PER_CHUNK = 100  # pictures
LOOKS: tuple[Look, ...] = ("female", "male", "neutral", "child")
_SMALLEST_FACE = 24.0  # px
_SEED = 31


@dataclass(frozen=True, eq=False)
class GenderCrops:
    """N crops. ``image`` (N,108,108,3) uint8; ``points`` (N,17,3) as the network is told; ``look`` (N,) of `LOOKS`;
    ``axis`` (N,) where the body's shape lies: −1 the mean woman, 1 the mean man; ``face`` (N,) px, 0 where none is
    seen; ``head`` (N,) whether this is the crop of the head; ``number``, ``person`` (N,)."""

    image: Array
    points: Array
    look: Array
    axis: Array
    face: Array
    head: Array
    number: Array
    person: Array

    def __len__(self) -> int:
        return len(self.look)

    def take(self, index: Array) -> GenderCrops:
        """Some of them."""
        return GenderCrops(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @property
    def target(self) -> Array:
        """(N,) 1 female, 0 male, 0.5 a child, NaN: left out, since look and shape disagree, or neither says it."""
        return clear_target(self.look, self.axis)


def clear_target(look: Array, axis: Array) -> Array:
    """(N,) 1 female, 0 male, 0.5 a child, NaN the others, of looks (number in `LOOKS`) and `shape_axis`."""
    female, male, _, child = (look == k for k in range(len(LOOKS)))
    out = np.full(len(look), np.nan)
    out[female & (axis < 0)] = 1.0
    out[male & (axis > 0)] = 0.0
    out[child] = 0.5
    return out


def shape_axis(body: BodyModel, betas: Array) -> Array:
    """(…) where betas (…,B) of the open body lie between the mean woman, −1, and the mean man, 1."""
    female, male = named_shape(body, "female"), named_shape(body, "male")
    way = male - female
    return (np.asarray(betas, float)[..., : len(way)] - (female + male) / 2) @ way * (2 / (way @ way))


def write_crops(
    out: Path,
    pictures: int,
    split: Literal["train", "test"],
    corpus: Path | None = None,
    seed: int = _SEED,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Render ``pictures`` into ``out``, in this process; chunks that are there are kept."""
    settings = SynthSettings(seed=seed, size=(SIZE, SIZE), people=(1, 3), split=split, quality="fast", corpus=corpus)
    out.mkdir(parents=True, exist_ok=True)
    starts = [n for n in range(0, pictures, PER_CHUNK) if not _chunk(out, split, n).exists()]
    source = each(settings, (APART * n for s in starts for n in _run(s, pictures)), 0, _crops)
    for start in starts:
        found: list[dict[str, Array]] = []
        for number in _run(start, pictures):
            found += next(source)
            if progress is not None:
                progress(number + 1, pictures)
        if found:
            arrays = {name: np.stack([one[name] for one in found]) for name in found[0]}
            write_npz(_chunk(out, split, start), arrays, compress=False)


def read_crops(folder: Path, split: Literal["train", "test"]) -> GenderCrops:
    """All chunks of a split. Raises InputError where there are none."""
    chunks = sorted(folder.glob(f"{split}-*.npz"))
    if not chunks:
        raise InputError(f"{folder}: no {split}-*.npz; expected a folder that monocap train gender rendered")
    names = [f.name for f in fields(GenderCrops)]
    parts = []
    for chunk in chunks:
        arrays = read_npz(chunk, set(names))
        missing = [name for name in names if name not in arrays]
        if missing:
            raise InputError(f"{chunk}: lacks {', '.join(missing)}; delete it, and render again")
        parts.append(arrays)
    return GenderCrops(**{name: np.concatenate([part[name] for part in parts]) for name in names})


def _chunk(out: Path, split: str, start: int) -> Path:
    return out / f"{split}-{start:06d}.npz"


def _run(start: int, pictures: int) -> range:
    return range(start, min(start + PER_CHUNK, pictures))


def _crops(sampler: Sampler, number: int) -> list[dict[str, Array]]:
    return crops_of(sampler.sample(number), sampler.settings.seed)


def crops_of(sample: SynthSample, seed: int = _SEED) -> list[dict[str, Array]]:
    """The fields of `GenderCrops`, without N, of everybody in a picture of whom enough is seen, and of their heads."""
    body = load_body("open")
    found = []
    for one in sample.samples():
        p = int(one.subject)
        rng = np.random.default_rng([seed, sample.number, p])
        points = seen_points(rng, sample.joints2d[p], sample.visibility[p])
        square, head = body_square(points), head_square(points)
        if not one.in_protocol or square is None:
            continue
        face = 0.0 if head is None else head[1]
        looks = [(square, False)]
        if head is not None and face >= _SMALLEST_FACE:
            looks.append((head[0], True))
        about = sample.about["people"][p]
        for at, is_head in looks:
            found.append(
                {
                    "image": _cut(sample.image, at),
                    "points": told_points(points, at).astype(np.float16),
                    "look": np.int8(LOOKS.index(about["look"])),
                    "axis": np.float32(shape_axis(body, sample.params.betas[p])),
                    "face": np.float32(face),
                    "head": np.bool_(is_head),
                    "number": np.int32(sample.number),
                    "person": np.int8(p),
                }
            )
    return found


def seen_points(rng: np.random.Generator, joints2d: Array, visibility: Array) -> Array:
    """(17,3) COCO's points as a detector might say them, of a rendered person's joints (127,2) and their states."""
    state = visibility.astype(int)
    confidence = np.where(state == VISIBLE, rng.uniform(0.85, 1.0, len(state)), rng.uniform(0.25, 0.9, len(state)))
    confidence = np.where(state == OUTSIDE, rng.uniform(0.0, 0.28, len(state)), confidence)
    points = coco_points(np.column_stack([joints2d, confidence]), SKELETON)
    reach = np.ptp(points[points[:, 2] > 0, :2], axis=0).max()
    points[:, :2] += 0.012 * min(reach, 2.0 * SIZE) * rng.standard_normal((len(points), 2)) * rng.gamma(2.0, 0.5)
    return points


def _cut(image: Array, square: Roi) -> Array:
    return warp(image, square.scaled(MARGIN).matrix(KEPT), KEPT, KEPT)
